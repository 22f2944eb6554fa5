"""One connection and one thread: all that waits is done in one transaction, in one hop.

A commit waits for the disk; while it does, work gathers, and the next transaction takes it all.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeAlias, TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from tutumwatch.outbox.sqlite.files import Reserve
from tutumwatch.outbox.sqlite.rows import Rows
from tutumwatch.outbox.store import StoreUnwritableError

Result = TypeVar("Result")
InThread: TypeAlias = Callable[[Callable[[], Any]], Deferred[Any]]
"""Runs a function in the thread of the connection, one at a time and in order."""

GROUP_MAX_COUNT = 500
_DAMAGE = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB"})
# A disk that is full shows in each of these, by what SQLite was about to do.
_FULL = frozenset({"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_WRITE"})


@attrs.frozen
class Transaction:
    """What work may use: the connection, within a transaction, and the rows of the outbox."""

    connection: sqlite3.Connection
    rows: Rows


Work: TypeAlias = Callable[[Transaction], Result]


@attrs.frozen
class _Job(Generic[Result]):
    """``essential``: it must go on while the disk is full."""

    work: Work[Result]
    essential: bool
    done: Deferred[Result]


@attrs.frozen
class _Ended:
    """How one job ended, and what its transaction counted."""

    result: object
    rows: Rows | None = None


@attrs.define(eq=False)
class Writer:
    """Does work in transactions, in the order in which it was given.

    :param connect: opens the file, in the thread; also after it was damaged and moved aside.
    :param counted: told, after each transaction, what it counted.
    """

    _connect: Callable[[], sqlite3.Connection]
    _new_id: Callable[[], int]
    _in_thread: InThread
    _reserve: Reserve | None
    _counted: Callable[[Rows], None]
    _connection: sqlite3.Connection | None = None
    _jobs: deque[_Job[Any]] = attrs.field(factory=deque)
    _idle: Deferred[None] | None = None
    _busy: bool = False

    def do(self, work: Work[Result], *, essential: bool = False) -> Deferred[Result]:
        """Do some work in a transaction of its own, or together with other work.

        :raises StoreUnwritableError: if nothing could be written; then nothing of it was done.
        """
        done: Deferred[Result] = Deferred()
        self._jobs.append(_Job(work, essential, done))
        self._go_on()
        return done

    def when_idle(self) -> Deferred[None]:
        """Give a Deferred that fires when all that was given is done."""
        idle = self._idle = Deferred()
        self._tell_idle()
        return idle

    def close(self) -> None:
        """Close the connection; to be called in its thread, or when that is idle."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _go_on(self) -> None:
        if self._busy or not self._jobs:
            return
        self._busy = True
        group = [self._jobs.popleft() for _ in range(min(len(self._jobs), GROUP_MAX_COUNT))]
        ran = self._in_thread(lambda: self._run(group))
        ran.addCallbacks(self._end, self._end_badly, callbackArgs=(group,), errbackArgs=(group,))

    def _end(self, ended: Sequence[_Ended], group: Sequence[_Job[Any]]) -> None:
        # All counts first: what is told of one job may ask for them.
        for rows in {id(one.rows): one.rows for one in ended if one.rows is not None}.values():
            self._counted(rows)
        self._busy = False
        for job, one in zip(group, ended, strict=True):
            if isinstance(one.result, Failure):
                job.done.errback(one.result)
            else:
                job.done.callback(one.result)
        self._go_on()
        self._tell_idle()

    def _end_badly(self, failure: Failure, group: Sequence[_Job[Any]]) -> None:
        self._end([_Ended(failure)] * len(group), group)

    def _tell_idle(self) -> None:
        if self._idle is not None and not self._busy and not self._jobs:
            idle, self._idle = self._idle, None
            idle.callback(None)

    # -- in the thread

    def _run(self, group: Sequence[_Job[Any]]) -> list[_Ended]:
        try:
            return self._transact(group)
        except Exception as problem:  # noqa: BLE001 - it is told to whoever gave the work
            if len(group) == 1:
                return [_Ended(Failure(_in_our_words(problem)))]
        # One of them is to blame: each has a transaction of its own.
        return [ended for job in group for ended in self._run([job])]

    def _transact(self, group: Sequence[_Job[Any]]) -> list[_Ended]:
        essential = all(job.essential for job in group)
        if self._reserve is not None and not self._reserve.hold() and not essential:
            raise StoreUnwritableError("the disk is full")
        try:
            return self._in_transaction(group)
        except sqlite3.Error as problem:
            is_full = _name_of(problem) in _FULL
            if not (is_full and essential and self._reserve and self._reserve.give_up()):
                raise
        return self._in_transaction(group)

    def _in_transaction(self, group: Sequence[_Job[Any]]) -> list[_Ended]:
        with self._transaction() as transaction:
            results = [job.work(transaction) for job in group]
        return [_Ended(result, transaction.rows) for result in results]

    @contextmanager
    def _transaction(self) -> Iterator[Transaction]:
        connection = self._connected()
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield Transaction(connection, Rows(connection, self._new_id))
            connection.execute("COMMIT")
        except BaseException as problem:
            self._roll_back(connection, problem)
            raise

    def _roll_back(self, connection: sqlite3.Connection, problem: BaseException) -> None:
        if _name_of(problem) in _DAMAGE:
            self.close()  # the next one to connect sees to it
            return
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self.close()  # which rolls back as well

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection


def _in_our_words(problem: Exception) -> Exception:
    """Tell what nobody can help (a disk that is full, say) from what is a bug of ours."""
    if isinstance(problem, sqlite3.OperationalError | OSError):
        return StoreUnwritableError(str(problem))
    if _name_of(problem) in _DAMAGE:
        return StoreUnwritableError(f"the file is damaged: {problem}")
    return problem


def _name_of(problem: BaseException) -> str:
    return getattr(problem, "sqlite_errorname", "")
