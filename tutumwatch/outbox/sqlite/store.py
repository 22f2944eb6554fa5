"""The store in a file: what survives a kill, a power cut, a full disk.

Decisions about the file itself: a damaged one is moved aside, and what can be read of it is saved;
one of an older version is copied before it is changed; one of a newer version is left alone.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import attrs
from twisted.logger import Logger

from tutumwatch.events.inputs import OwedRow
from tutumwatch.inventory.resource import Key, Resource
from tutumwatch.notifiers.outcomes import Outcome
from tutumwatch.outbox.sqlite import journal
from tutumwatch.outbox.sqlite.codec import DamagedError, decode_waiting
from tutumwatch.outbox.sqlite.files import Reserve
from tutumwatch.outbox.sqlite.opening import open_file
from tutumwatch.outbox.sqlite.rows import Rows
from tutumwatch.outbox.sqlite.writer import InThread, Transaction, Writer
from tutumwatch.outbox.store import Delivery, Head, HeldUp, Restored
from tutumwatch.rules.decisions import Decisions, WaitingRow
from tutumwatch.rules.notice import Notice

# Resources are written in steps of this many; commits go on between them.
CHECKPOINT_STEP_COUNT = 500
MEMORY_PATH = ":memory:"

Connect: TypeAlias = Callable[[str], sqlite3.Connection]


def connect(path: str) -> sqlite3.Connection:
    """Open a file of SQLite; transactions are begun and ended by us alone."""
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)


@attrs.define(eq=False)
class SQLiteStore:
    """A :class:`tutumwatch.outbox.store.Store` in a file, or in memory for as long as we run.

    :param path: the file, or MEMORY_PATH.
    :param connect: opens it; see :func:`connect`.
    :param in_thread: runs a function in the one thread of the store.
    :param close_thread: ends that thread.
    """

    path: str
    _connect: Connect
    _utc_now: Callable[[], float]
    _in_thread: InThread
    _close_thread: Callable[[], None]
    counts: Counter[str] = attrs.field(factory=Counter)
    # How often a damaged file was replaced by a new one, which knows only what was saved.
    replaced_count: int = 0
    _writer: Writer = attrs.field(init=False)
    _owed: Counter[str] = attrs.field(factory=Counter)
    _last_page: journal.LastPage = attrs.field(factory=journal.LastPage)
    _last_id: int = 0
    _interrupted: Sequence[Head] = ()

    _log = Logger()

    def __attrs_post_init__(self) -> None:
        reserve = None if self._is_in_memory else Reserve(Path(f"{self.path}.reserve"))
        self._writer = Writer(self._open_again, self._new_id, self._in_thread, reserve, self._count)

    @property
    def _is_in_memory(self) -> bool:
        return self.path == MEMORY_PATH

    # -- the beginning and the end

    def restore(self) -> Restored:
        """Open the file, give what it holds, and close it: we may be about to fork."""
        if self._is_in_memory:
            return Restored()
        with closing(open_file(self.path, self._connect, self._utc_now(), self._log)) as opened:
            connection = opened.connection
            connection.execute("BEGIN IMMEDIATE")
            self._interrupted = Rows(connection, self._new_id).interrupted()
            connection.execute("COMMIT")
            if self._interrupted:
                self.counts["possible repeats"] += len(self._interrupted)
                self._log.warn(
                    "{count} notices were being sent when we last ended: they are sent again, and "
                    "may arrive twice",
                    count=len(self._interrupted),
                )
            self._last_page = journal.last_page(connection)
            self._last_id = _last_id(connection)
            self._owed.update(_owed(connection))
            return Restored(
                alive_at=journal.alive_at(connection),
                last_number=self._last_page.last_number,
                resources=list(journal.read_resources(connection)),
                earlier=list(journal.read_earlier(connection)),
                later=list(journal.read_later(connection)),
                waiting=self._read_waiting(connection),
                records={
                    (kind, name): value
                    for kind, name, value in connection.execute("SELECT * FROM records")
                },
            )

    def _read_waiting(self, connection: sqlite3.Connection) -> list[WaitingRow]:
        rows = []
        for row_id, sealed in connection.execute("SELECT id, row FROM waiting"):
            try:
                rows.append(decode_waiting(sealed))
            except DamagedError as problem:
                self._log.error(
                    "{row_id} waited for a look-up and is damaged: {problem}; `tutumwatch outbox "
                    "drop` lets its lane go on",
                    row_id=row_id,
                    problem=str(problem),
                )
        return rows

    async def open(self) -> Sequence[Head]:
        """Open the file again, in its thread."""
        await self._writer.do(lambda _: None, essential=True)
        return self._interrupted

    def _open_again(self) -> sqlite3.Connection:
        opened = open_file(self.path, self._connect, self._utc_now(), self._log)
        self.replaced_count += opened.was_damaged
        return opened.connection

    async def close(self) -> None:
        """End what is under way, then the file and its thread."""
        await self._writer.when_idle()
        await self._in_thread(self._writer.close)
        self._close_thread()

    # -- what the outbox asks for

    async def commit(self, decisions: Decisions, at: float) -> Sequence[Head]:
        """Keep decisions: a page of the journal, the rows they owe, the records of rules."""
        page = journal.page_after(self._last_page, decisions.inputs, at)
        heads = await self._writer.do(lambda t: _commit(t, page, decisions))
        self._last_page = page
        return heads

    async def heads(self, notifier: str, count: int) -> Sequence[Head]:
        """Give the first heads of a notifier."""
        return await self._writer.do(lambda t: t.rows.heads(notifier, count), essential=True)

    async def begin(self, row_ids: Sequence[int]) -> Sequence[Delivery]:
        """Mark rows as being sent."""
        return await self._writer.do(lambda t: t.rows.begin(row_ids), essential=True)

    async def finish(
        self, outcomes: Mapping[int, Outcome], up_seconds: Mapping[int, float]
    ) -> Sequence[Head]:
        """Take in how sending ended."""

        def work(transaction: Transaction) -> list[Head]:
            transaction.rows.finish(outcomes, up_seconds)
            return transaction.rows.take_heads()

        return await self._writer.do(work, essential=True)

    async def digest(
        self, notifier: str, before: float, write: Callable[[HeldUp], Notice]
    ) -> Sequence[Head]:
        """Tell old messages in one."""

        def work(transaction: Transaction) -> list[Head]:
            transaction.rows.digest(notifier, before, write)
            return transaction.rows.take_heads()

        return await self._writer.do(work)

    async def checkpoint(self, changed: Mapping[Key, Resource | None], at: float) -> None:
        """Write what changed of the inventory, a few at a time, and forget what is too old."""
        number = self._last_page.number
        rows = iter(changed.items())
        while step := list(islice(rows, CHECKPOINT_STEP_COUNT)):
            await self._write_resources(step)

        def work(transaction: Transaction) -> int:
            journal.finish_checkpoint(transaction.connection, number, at)
            return journal.forget_old(transaction.connection, at, number)

        forgotten = await self._writer.do(work)
        if forgotten:
            self._log.error("{count} of the oldest dead letters are forgotten", count=forgotten)

    async def _write_resources(self, step: Sequence[tuple[Key, Resource | None]]) -> None:
        await self._writer.do(lambda t: journal.write_resources(t.connection, step))

    async def find(self, row_ids: Sequence[int]) -> Sequence[OwedRow]:
        """Give those of some rows that there are."""
        return await self._writer.do(lambda t: t.rows.find(row_ids), essential=True)

    def owed_counts(self) -> Mapping[str, int]:
        """Count what is owed, by notifier; what still waits for a look-up counts."""
        return +self._owed

    def _count(self, rows: Rows) -> None:
        self._owed.update(rows.owed)
        self.counts.update(rows.counts)

    def _new_id(self) -> int:
        self._last_id += 1
        return self._last_id


def _commit(
    transaction: Transaction, page: journal.LastPage, decisions: Decisions
) -> Sequence[Head]:
    connection = transaction.connection
    journal.write_page(connection, page, decisions.inputs)
    for owed in decisions.owed:
        transaction.rows.add(owed)
    for name, value in decisions.records.items():
        if value is None:
            connection.execute("DELETE FROM records WHERE kind = ? AND name = ?", name)
        else:
            connection.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", (*name, value))
    return transaction.rows.take_heads()


def _last_id(connection: sqlite3.Connection) -> int:
    (last,) = connection.execute("SELECT ifnull(max(id), 0) FROM deliveries").fetchone()
    return int(last)


def _owed(connection: sqlite3.Connection) -> Mapping[str, int]:
    return dict(
        connection.execute(
            "SELECT notifier, count(*) FROM deliveries WHERE state < 3 GROUP BY notifier"
        )
    )
