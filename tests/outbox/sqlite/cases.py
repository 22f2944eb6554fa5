"""What the tests of the store have in common: a folder, files in it, and a store that is full."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import Deferred, execute
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.outbox.cases import notice, open_store
from tests.secrets_check import RecordedLog
from tutumwatch.events.inputs import Link, LinkType, Message
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Key, Resource
from tutumwatch.notifiers.outcomes import Delivered, GiveUp, Reason
from tutumwatch.outbox.sqlite.codec import decode_notice
from tutumwatch.outbox.sqlite.store import SQLiteStore
from tutumwatch.outbox.store import Head
from tutumwatch.rules.decisions import Decisions, Owed, WaitingRow
from tutumwatch.rules.notice import Form, Notice

_Result = TypeVar("_Result")

MEMORY_FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a folder of our own is made there
NOW = 1_790_000_000.0
REFUSED = GiveUp(Reason.CLIENT, "400 invalid_payload")


def message(number: int, at: float = NOW) -> Message:
    """Make what a stream told."""
    return Message("main", number, b'{"type": "service", "number": %d}' % number, at)


def resource(number: int, state: str = "Running") -> Resource:
    """Make something that the platform has."""
    key = ("main", "service", f"uuid-{number}")
    return Resource(key, f"/api/app/v1/service/uuid-{number}/", f"web-{number}", state)


def waiting(row_id: str, key: str, *notifiers: str) -> WaitingRow:
    """Make a place for what waits for a look-up."""
    change = Inventory().apply_link(Link(LinkType.STREAM, "main", "Connected", "", NOW), "c")
    return WaitingRow(
        row_id, "a rule", notifiers or ("ops",), key, change, number=0, due=10.0, needs=frozenset()
    )


class StoreTestCase(SynchronousTestCase):
    """Gives each test a folder of its own, and words for a store in it."""

    folder_in: str | None = None

    def setUp(self) -> None:
        """Make the folder."""
        folder = tempfile.TemporaryDirectory(dir=self.folder_in)
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.path = self.folder / "outbox.sqlite"
        self.log = RecordedLog()
        self.addCleanup(self.log.stop)

    def result_of(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Give what a coroutine that waits for nothing comes to."""
        return self.successResultOf(Deferred.fromCoroutine(work))

    def failure_of(self, work: Coroutine[Any, Any, object], *types: type[Exception]) -> str:
        """Give what a coroutine fails with, as a text."""
        failure = self.failureResultOf(Deferred.fromCoroutine(work), *types)
        return str(failure.value)

    def store(self, path: Path | None = None) -> SQLiteStore:
        """Make a store in a file, not opened, that does its work at once."""
        return open_store(str(path or self.path), lambda: NOW)

    def opened(self, path: Path | None = None) -> SQLiteStore:
        """Make a store in a file and open it; it is closed when the test ends."""
        store = self.store(path)
        store.restore()
        self.result_of(store.open())
        self.addCleanup(lambda: self.result_of(store.close()))
        return store

    def commit(self, store: SQLiteStore, *owed: Owed, at: float = NOW) -> Sequence[Head]:
        """Commit what is owed, and give the new heads."""
        return self.result_of(store.commit(Decisions(owed=list(owed)), at))

    def keep(self, store: SQLiteStore, *inputs: Message, at: float = NOW) -> None:
        """Commit inputs that come to nothing."""
        self.result_of(store.commit(Decisions(inputs=list(inputs)), at))

    def deliver(self, store: SQLiteStore, head: Head, remember: str | None = None) -> None:
        """Send a head."""
        self.result_of(store.begin([head.row_id]))
        self.result_of(store.finish({head.row_id: Delivered(remember)}, {}))

    def rows(self, query: str, path: Path | None = None) -> list[Any]:
        """Look into a file that nobody has open."""
        with closing(sqlite3.connect(path or self.path, isolation_level=None)) as connection:
            return connection.execute(query).fetchall()

    def change(self, statement: str, values: Sequence[object] = ()) -> None:
        """Change a file that nobody has open."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute(statement, values)

    def fill(self, lanes: int = 8, rounds: int = 6) -> dict[int, Notice]:
        """Write a store with something of everything, and give what its live rows say, by row."""
        store = self.store()
        store.restore()
        self.result_of(store.open())
        for number in range(rounds):
            owed: list[Owed] = [
                notice(
                    f"text {number} of lane {lane}, which is worth reading " + "and long " * 20,
                    key=f"lane {lane}",
                    form=(Form.TRIGGER, Form.MESSAGE)[lane % 2],
                    notifier=("ops", "pagers")[lane % 2],
                    rule=f"rule {lane}",
                    at=NOW + number,
                )
                for lane in range(lanes)
            ]
            records = {("member", f"{number}-{r}"): b"member %d" % r for r in range(lanes)}
            inputs = [message(number * lanes + n) for n in range(lanes)]
            decisions = Decisions(inputs=list(inputs), owed=owed, records=dict(records))
            self.result_of(store.commit(decisions, NOW + number))
            if number == rounds // 2:
                changed: dict[Key, Resource | None] = {
                    resource(n).key: resource(n) for n in range(lanes * 5)
                }
                self.result_of(store.checkpoint(changed, NOW + number))
        (dies, lives) = self.commit(store, notice("dies"), notice("lives, and is remembered"))
        self.result_of(store.begin([dies.row_id]))
        self.result_of(store.finish({dies.row_id: REFUSED}, {}))
        self.deliver(store, lives, remember="incident 7")
        (sending,) = self.commit(store, notice("was being sent"))
        self.result_of(store.begin([sending.row_id]))
        self.commit(store, waiting("w1", "lane 0"), waiting("w2", "lane of its own"))
        self.result_of(store.close())
        return self.notices()

    def notices(self) -> dict[int, Notice]:
        """Give what the live rows of a file say; what waits says nothing yet."""
        query = "SELECT id, notice FROM deliveries WHERE state IN (1, 2) ORDER BY id"
        return {row_id: decode_notice(sealed) for row_id, sealed in self.rows(query)}

    def said(self) -> list[str]:
        """Give what was logged by the outbox, from warnings on."""
        return [
            formatEvent(event)
            for event in self.log.events
            if event["log_namespace"].startswith("tutumwatch.outbox")
            and event["log_level"].name != "info"
        ]


@attrs.define
class HeldThread:
    """A thread that does nothing until it is told to."""

    held: list[tuple[Callable[[], Any], Deferred[Any]]] = attrs.field(factory=list)
    ran_count: int = 0

    def __call__(self, work: Callable[[], Any]) -> Deferred[Any]:
        """Take some work."""
        done: Deferred[Any] = Deferred()
        self.held.append((work, done))
        return done

    def run(self) -> None:
        """Do all that was given, and what that gives rise to."""
        while self.held:
            work, done = self.held.pop(0)
            self.ran_count += 1
            execute(work).chainDeferred(done)
