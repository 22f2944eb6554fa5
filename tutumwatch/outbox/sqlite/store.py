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

from tutumwatch.events.inputs import LINK_TYPES, OwedRow
from tutumwatch.inventory.resource import Key, Resource
from tutumwatch.notifiers.outcomes import Outcome
from tutumwatch.outbox.backlog import HEADS_MAX_COUNT
from tutumwatch.outbox.sqlite import journal
from tutumwatch.outbox.sqlite.codec import DamagedError, decode_waiting, seal, unseal
from tutumwatch.outbox.sqlite.errors import is_for_the_file, is_full
from tutumwatch.outbox.sqlite.files import Reserve, unusable
from tutumwatch.outbox.sqlite.heads import take_back
from tutumwatch.outbox.sqlite.opening import open_file
from tutumwatch.outbox.sqlite.writer import Counted, InThread, Transaction, Writer, owed_counts
from tutumwatch.outbox.store import IN_MEMORY, Delivery, Head, HeldUp, Restored, StoreUnusableError
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.notice import Notice

# Resources are written in steps of this many; commits go on between them.
CHECKPOINT_STEP_COUNT = 500
# A checkpoint deletes at least as much as was written since the last one, in so many steps.
FORGET_STEPS_COUNT = 600
_WAITING = "SELECT row FROM waiting"
_RECORDS = "SELECT kind, name, value FROM records"

Connect: TypeAlias = Callable[[str], sqlite3.Connection]


def connect(path: str) -> sqlite3.Connection:
    """Open a file of SQLite; transactions are begun and ended by us alone."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    # A text that is damaged must not stop everything: it differs from what its checksum covers.
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    return connection


@attrs.define(eq=False)
class SQLiteStore:
    """A :class:`tutumwatch.outbox.store.Store` in a file, or in memory for as long as we run.

    :param path: the file, or IN_MEMORY.
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
    _kept: journal.Retention = attrs.field(factory=journal.Retention)
    _forget_steps_count: int = FORGET_STEPS_COUNT
    _reserve: Reserve | None = attrs.field(init=False)
    _writer: Writer = attrs.field(init=False)
    _owed: Counter[str] = attrs.field(factory=Counter)
    _last_page: journal.LastPage = attrs.field(factory=journal.LastPage)
    _last_id: int = 0
    _interrupted: Sequence[Head] = ()
    # Whether the file was opened while we run, and then again: lanes may have other heads now.
    _is_open: bool = False
    _was_reopened: bool = False

    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self._reserve = None if self._is_in_memory else Reserve(Path(f"{self.path}.reserve"))
        self._writer = Writer(
            self._open_again, self._new_id, self._in_thread, self._reserve, self._count
        )

    @property
    def _is_in_memory(self) -> bool:
        return self.path == IN_MEMORY

    # -- the beginning and the end

    def restore(self) -> Restored:
        """Open the file, give what it holds, and close it: we may be about to fork."""
        if self._is_in_memory:
            return Restored()
        try:
            try:
                return self._restore()
            except (DamagedError, sqlite3.Error) as problem:
                if isinstance(problem, sqlite3.Error) and not is_for_the_file(problem):
                    raise
                return self._restore(str(problem))
        except sqlite3.Error as problem:
            raise unusable(Path(self.path), problem) from problem

    def _restore(self, damage: str | None = None) -> Restored:
        try:
            return self._read(damage)
        except (sqlite3.Error, StoreUnusableError) as problem:
            if not (is_full(problem) and self._reserve and self._reserve.give_up()):
                raise
        return self._read(damage)

    def _read(self, damage: str | None) -> Restored:
        opened = open_file(self.path, self._connect, self._utc_now(), self._log, damage)
        self.replaced_count += opened.was_damaged
        with closing(opened.connection) as connection:
            connection.execute("BEGIN IMMEDIATE")
            reader = journal.JournalReader(connection)
            last_page = journal.last_page(connection)
            restored = Restored(
                alive_at=journal.alive_at(connection),
                last_number=last_page.last_number,
                resources=list(reader.resources()),
                earlier=list(reader.earlier()),
                later=list(reader.later()),
                waiting=[decode_waiting(row) for (row,) in connection.execute(_WAITING)],
                records={
                    (kind, name): unseal(value, kind, name)
                    for kind, name, value in connection.execute(_RECORDS)
                },
            )
            interrupted, sending_count = take_back(connection)
            self._last_id = _last_id(connection)
            self._owed = Counter(owed_counts(connection))
            connection.execute("COMMIT")
        self._last_page, self._interrupted = last_page, interrupted
        self._say_restored(reader.damaged_count, sending_count)
        return restored

    def _say_restored(self, damaged_count: int, sending_count: int) -> None:
        if damaged_count:
            self._log.error(
                "{count} pieces of journal and inventory are damaged and left out; the platform "
                "is asked for what they told",
                count=damaged_count,
            )
        if sending_count:
            self.counts["possible repeats"] += sending_count
            self._log.warn(
                "{count} notices were being sent when we last ended: they are sent again, and "
                "may arrive twice",
                count=sending_count,
            )

    async def open(self) -> Sequence[Head]:
        """Open the file again, in its thread."""
        await self._writer.do(lambda _: None, essential=True)
        return self._interrupted

    def _open_again(self, damage: str | None) -> sqlite3.Connection:
        opened = open_file(self.path, self._connect, self._utc_now(), self._log, damage)
        self.replaced_count += opened.was_damaged
        self._was_reopened, self._is_open = self._is_open, True
        self._last_id = max(self._last_id, _last_id(opened.connection))
        return opened.connection

    async def close(self) -> None:
        """End what is under way, then the file and its thread."""
        await self._writer.when_idle()
        try:
            await self._in_thread(self._writer.close)
        finally:
            self._close_thread()

    # -- what the outbox asks for

    async def commit(self, decisions: Decisions, at: float) -> Sequence[Head]:
        """Keep decisions: a page of the journal, the rows they owe, the records of rules."""
        page = journal.page_after(self._last_page, decisions.inputs, at)
        heads = await self._writer.do(lambda t: _commit(t, page, decisions))
        if self._was_reopened:
            # What was committed may have been lost, or found again; so may any head.
            heads = await self._writer.do(_all_heads, essential=True)
            self._was_reopened = False
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
            """Note it all, in one transaction."""
            transaction.rows.finish(outcomes, up_seconds)
            return transaction.rows.take_heads()

        return await self._writer.do(work, essential=True)

    async def digest(
        self, notifier: str, before: float, write: Callable[[HeldUp], Notice]
    ) -> Sequence[Head]:
        """Tell old messages in one."""

        def work(transaction: Transaction) -> list[Head]:
            """Take them out and put the one in."""
            transaction.rows.digest(notifier, before, write)
            return transaction.rows.take_heads()

        return await self._writer.do(work)

    async def checkpoint(self, changed: Mapping[Key, Resource | None], at: float) -> None:
        """Write what changed of the inventory, a few at a time, and forget what is too old."""
        number = self._last_page.number
        # Taken in again over a row that is newer, a link would tell of another blind time.
        links = [row for row in changed.items() if row[0][1] in LINK_TYPES]
        others = (row for row in changed.items() if row[0][1] not in LINK_TYPES)
        while step := list(islice(others, CHECKPOINT_STEP_COUNT)):
            await self._write_resources(step)

        def work(transaction: Transaction) -> None:
            """Say that all is written."""
            journal.write_resources(transaction.connection, links)
            journal.finish_checkpoint(transaction.connection, number, at)

        await self._writer.do(work)
        await self._forget_old(at, number)

    async def _forget_old(self, at: float, checkpoint: int) -> None:
        forgotten_count = 0
        for _ in range(self._forget_steps_count):
            step = await self._writer.do(
                lambda t: journal.forget_old(t.connection, at, checkpoint, self._kept)
            )
            forgotten_count += step.dead_count
            if step.is_all:
                break
        if forgotten_count:
            self._log.error(
                "{count} of the oldest dead letters are forgotten", count=forgotten_count
            )

    async def _write_resources(self, step: Sequence[tuple[Key, Resource | None]]) -> None:
        await self._writer.do(lambda t: journal.write_resources(t.connection, step))

    async def find(self, row_ids: Sequence[int]) -> Sequence[OwedRow]:
        """Give those of some rows that there are."""
        return await self._writer.do(lambda t: t.rows.find(row_ids), essential=True)

    def owed_counts(self) -> Mapping[str, int]:
        """Count what is owed, by notifier; what still waits for a look-up counts."""
        return +self._owed

    def _count(self, counted: Counted) -> None:
        if counted.owed is None:
            self._owed.update(counted.rows.owed)
        else:
            self._owed = Counter(counted.owed)
        self.counts.update(counted.rows.counts)

    def _new_id(self) -> int:
        self._last_id += 1
        return self._last_id


def _commit(
    transaction: Transaction, page: journal.LastPage, decisions: Decisions
) -> Sequence[Head]:
    connection = transaction.connection
    if not journal.write_page(connection, page, decisions.inputs):
        return _all_heads(transaction)
    for owed in decisions.owed:
        transaction.rows.add(owed)
    for name, value in decisions.records.items():
        if value is None:
            connection.execute("DELETE FROM records WHERE kind = ? AND name = ?", name)
        else:
            connection.execute(
                "INSERT OR REPLACE INTO records VALUES (?, ?, ?)", (*name, seal(value, *name))
            )
    return transaction.rows.take_heads()


def _all_heads(transaction: Transaction) -> Sequence[Head]:
    """Give the first heads of every notifier, one more than are held in memory."""
    notifiers = owed_counts(transaction.connection)
    return [
        head
        for notifier in notifiers
        for head in transaction.rows.heads(notifier, HEADS_MAX_COUNT + 1)
    ]


def _last_id(connection: sqlite3.Connection) -> int:
    (last,) = connection.execute("SELECT ifnull(max(id), 0) FROM deliveries").fetchone()
    return int(last)
