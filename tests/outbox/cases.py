"""What the tests of the outbox have in common: notices, a destination by script, a clock."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import Deferred, execute, succeed
from twisted.internet.task import Clock
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.secrets_check import RecordedLog
from tutumwatch.events.inputs import OwedRow
from tutumwatch.inventory.resource import Key, Resource
from tutumwatch.notifiers.contract import Pace
from tutumwatch.notifiers.outcomes import Delivered, GiveUp, Outcome, Park, Reason, RetryLater
from tutumwatch.outbox.backlog import HEADS_MAX_COUNT
from tutumwatch.outbox.deliverer import Deliver, Deliverer
from tutumwatch.outbox.digest import write_digest
from tutumwatch.outbox.gate import State
from tutumwatch.outbox.sqlite.codec import decode_notice
from tutumwatch.outbox.sqlite.store import SQLiteStore, connect
from tutumwatch.outbox.store import (
    IN_MEMORY,
    Delivery,
    Head,
    HeldUp,
    Restored,
    Store,
    StoreUnwritableError,
)
from tutumwatch.rules.decisions import Decisions, Owed
from tutumwatch.rules.notice import Form, Notice

_Result = TypeVar("_Result")

SERVER_DOWN = RetryLater(Reason.SERVER, "503")
TIMED_OUT = RetryLater(Reason.TIMEOUT, "no answer within 10 s")
REFUSED_FOR_SURE = RetryLater(Reason.NETWORK, "connection refused", surely_refused=True)
KEY_REFUSED = Park(Reason.AUTH, "401")
BAD = GiveUp(Reason.CLIENT, "400 invalid_payload")
# The monotonic clock of a machine that has been up for a while.
START = 5_000.0


def open_store(path: str, utc_now: Callable[[], float] = lambda: 0.0) -> SQLiteStore:
    """Make a store that does its work at once, in the thread of whoever asks."""
    return SQLiteStore(path, connect, utc_now, execute, lambda: None)


def memory_store() -> SQLiteStore:
    """Make a store in memory."""
    return open_store(IN_MEMORY)


def notice(
    text: str,
    key: str | None = None,
    form: Form = Form.MESSAGE,
    notifier: str = "ops",
    *,
    rule: str = "a rule",
    at: float = 0.0,
) -> Notice:
    """Make a notice; its lane is its own unless a key is given."""
    return Notice(
        id=f"id of {text}",
        form=form,
        rule=rule,
        notifier=notifier,
        key=text if key is None else key,
        text=text,
        at=at,
    )


def escape(text: str) -> str:
    """Escape as a destination would: so that it can be seen."""
    return f"<{text}>"


def limited(after_seconds: float | None) -> RetryLater:
    """Make what a 429 is judged to be."""
    return RetryLater(Reason.RATE_LIMITED, "429", after_seconds, surely_refused=True)


def told(*texts: str) -> list[list[str]]:
    """Give the batches of requests with one notice each."""
    return [[text] for text in texts]


@attrs.define
class ScriptedDestination:
    """Ends each request as ``judge`` says, at once; while ``holds``, only when told.

    ``batches`` has the texts of every request, ``times`` when each came.
    """

    clock: Clock
    judge: Callable[[Notice], Outcome] = lambda _notice: Delivered()
    holds: bool = False
    batches: list[list[str]] = attrs.field(factory=list)
    times: list[float] = attrs.field(factory=list)
    memories: list[Mapping[str, str]] = attrs.field(factory=list)
    held: list[tuple[Sequence[Notice], Deferred[Sequence[Outcome]]]] = attrs.field(factory=list)

    def deliver(
        self, batch: Sequence[Notice], memory: Mapping[str, str]
    ) -> Deferred[Sequence[Outcome]]:
        """Take a request."""
        self.batches.append([notice.text for notice in batch])
        self.times.append(self.clock.seconds() - START)
        self.memories.append(memory)
        if not self.holds:
            return succeed([self.judge(notice) for notice in batch])
        answer: Deferred[Sequence[Outcome]] = Deferred()
        self.held.append((batch, answer))
        return answer

    def end_one(self, outcome: Outcome | None = None) -> None:
        """End the oldest request that is held."""
        batch, answer = self.held.pop(0)
        answer.callback([outcome or self.judge(notice) for notice in batch])

    @property
    def gaps(self) -> list[float]:
        """The time between one request and the next."""
        return [later - earlier for earlier, later in zip(self.times, self.times[1:], strict=False)]


@attrs.define
class FaultyStore:
    """A store in front of which faults can be set, by the name of the call.

    ``asked`` has the names of the calls that were made.
    """

    inner: Store
    faults: dict[str, Exception] = attrs.field(factory=dict)
    asked: list[str] = attrs.field(factory=list)
    replaced_count: int = 0

    def _meet_fault(self, call: str) -> None:
        self.asked.append(call)
        if call in self.faults:
            raise self.faults[call]

    @property
    def counts(self) -> Mapping[str, int]:
        """What became of notices."""
        return self.inner.counts

    def restore(self) -> Restored:
        """Give what was kept."""
        self._meet_fault("restore")
        return self.inner.restore()

    async def open(self) -> Sequence[Head]:
        """Open the store."""
        self._meet_fault("open")
        return await self.inner.open()

    async def commit(self, decisions: Decisions, at: float) -> Sequence[Head]:
        """Keep decisions."""
        self._meet_fault("commit")
        return await self.inner.commit(decisions, at)

    async def heads(self, notifier: str, count: int) -> Sequence[Head]:
        """Give the first heads."""
        self._meet_fault("heads")
        return await self.inner.heads(notifier, count)

    async def begin(self, row_ids: Sequence[int]) -> Sequence[Delivery]:
        """Note what is about to be sent."""
        self._meet_fault("begin")
        return await self.inner.begin(row_ids)

    async def finish(
        self, outcomes: Mapping[int, Outcome], up_seconds: Mapping[int, float]
    ) -> Sequence[Head]:
        """Note how it ended."""
        self._meet_fault("finish")
        return await self.inner.finish(outcomes, up_seconds)

    async def digest(
        self, notifier: str, before: float, write: Callable[[HeldUp], Notice]
    ) -> Sequence[Head]:
        """Tell what is old in one."""
        self._meet_fault("digest")
        return await self.inner.digest(notifier, before, write)

    async def checkpoint(self, changed: Mapping[Key, Resource | None], at: float) -> None:
        """Keep the inventory."""
        self._meet_fault("checkpoint")
        await self.inner.checkpoint(changed, at)

    async def find(self, row_ids: Sequence[int]) -> Sequence[OwedRow]:
        """Give those of some rows that there are."""
        self._meet_fault("find")
        return await self.inner.find(row_ids)

    def owed_counts(self) -> Mapping[str, int]:
        """Count what is owed."""
        return self.inner.owed_counts()

    async def close(self) -> None:
        """Close the store."""
        self._meet_fault("close")
        await self.inner.close()


UNWRITABLE = StoreUnwritableError("no space left on device")


class OutboxTestCase(SynchronousTestCase):
    """Gives each test a clock, a store and a destination; in the end no timer may be left."""

    def setUp(self) -> None:
        """Make them."""
        self.clock = Clock()
        self.clock.advance(START)
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        store = self.store = memory_store()
        self.addCleanup(lambda: self.result_of(store.close()))
        self.destination = ScriptedDestination(self.clock)
        self.reports: list[tuple[float, str, State, str]] = []

    def result_of(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Give what a coroutine that waits for nothing comes to."""
        return self.successResultOf(Deferred.fromCoroutine(work))

    def now(self) -> float:
        """Give the watch's time: seconds since the test began."""
        return self.clock.seconds() - START

    def deliverer(
        self,
        pace: Pace | None = None,
        store: Store | None = None,
        jitter: Callable[[], float] = lambda: 1.0,
        destination: ScriptedDestination | None = None,
        name: str = "ops",
        heads_max_count: int = HEADS_MAX_COUNT,
    ) -> Deliverer:
        """Make a deliverer to the destination, stopped when the test ends."""
        return self.deliverer_to(
            (destination or self.destination).deliver, pace, store, jitter, name, heads_max_count
        )

    def deliverer_to(
        self,
        deliver: Deliver,
        pace: Pace | None = None,
        store: Store | None = None,
        jitter: Callable[[], float] = lambda: 1.0,
        name: str = "ops",
        heads_max_count: int = HEADS_MAX_COUNT,
    ) -> Deliverer:
        """Make a deliverer to whatever takes notices, stopped when the test ends."""
        made = Deliverer(
            name,
            deliver,
            store or self.store,
            pace or Pace(),
            self.clock,
            self.now,
            jitter,
            lambda name, state, reason: self.reports.append((self.now(), name, state, reason)),
            lambda held: write_digest(held, escape, self.now()),
            heads_max_count,
        )
        self.addCleanup(made.cancel)
        self.addCleanup(made.stop)
        return made

    def commit(self, *owed: Owed) -> Sequence[Head]:
        """Commit decisions and give the new heads."""
        return self.result_of(self.store.commit(Decisions(owed=list(owed)), self.now()))

    def owe(self, deliverer: Deliverer, *owed: Owed) -> None:
        """Commit decisions and release them."""
        for head in self.commit(*owed):
            deliverer.offer(head)
        deliverer.wake()

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Look into the store's file, or change it."""
        done = self.store._writer.do(lambda t: t.connection.execute(query, values).fetchall())
        return self.successResultOf(done)

    def notice_in(self, sealed: bytes) -> Notice:
        """Read a notice as the file has it."""
        return decode_notice(sealed)

    def dead_letters(self) -> list[tuple[Notice, str]]:
        """Give what was given up, and why."""
        rows = self.rows("SELECT notice, reason FROM deliveries WHERE state = 3 ORDER BY id")
        return [(self.notice_in(sealed), reason) for sealed, reason in rows]

    def recorded_log(self) -> RecordedLog:
        """Record the log until the test ends."""
        log = RecordedLog()
        self.addCleanup(log.stop)
        return log

    def lines(self, log: RecordedLog) -> list[str]:
        """Give the lines that the outbox logged."""
        ours = (e for e in log.events if e["log_namespace"].startswith("tutumwatch.outbox"))
        return [formatEvent(event) for event in ours]

    def pass_seconds(self, seconds: float, step: float = 0.25) -> None:
        """Let time pass, in steps; each timer runs within a step of when it is due."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
