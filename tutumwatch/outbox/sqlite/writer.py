"""One connection and one thread: all that waits is done in one transaction, in one hop.

A commit waits for the disk; while it does, work gathers, and the next transaction takes it all.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeAlias, TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from tutumwatch.outbox.sqlite.errors import is_damage, is_full
from tutumwatch.outbox.sqlite.files import Reserve
from tutumwatch.outbox.sqlite.journal import give_room_back
from tutumwatch.outbox.sqlite.rows import Rows
from tutumwatch.outbox.store import StoreUnusableError, StoreUnwritableError

Result = TypeVar("Result")
InThread: TypeAlias = Callable[[Callable[[], Any]], Deferred[Any]]
"""Runs a function in the thread of the connection, one at a time and in order."""

GROUP_MAX_COUNT = 500
# So much of what is free within the file goes back to the disk at once, while that is full.
SHRUNK_PAGES_COUNT = 1000
_EMPTY_LOG = "PRAGMA wal_checkpoint(TRUNCATE)"


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
class Counted:
    """What a transaction counted; the first of a connection also counts all that is owed."""

    rows: Rows
    owed: Mapping[str, int] | None = None


@attrs.frozen
class _Ended:
    """How one job ended, and what its transaction counted."""

    result: object
    counted: Counted | None = None


@attrs.define(eq=False)
class Writer:
    """Does work in transactions, in the order in which it was given.

    :param connect: opens the file, in the thread; told what is wrong with it, if it was damaged
        while it was in use.
    :param counted: told, after each transaction, what it counted.
    """

    _connect: Callable[[str | None], sqlite3.Connection]
    _new_id: Callable[[], int]
    _in_thread: InThread
    _reserve: Reserve | None
    _counted: Callable[[Counted], None]
    _connection: sqlite3.Connection | None = None
    _damage: str | None = None
    _is_counted: bool = False
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
        for counted in {id(one.counted): one.counted for one in ended}.values():
            if counted is not None:
                self._counted(counted)
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
        if not self._has_reserve(may_shrink=not essential) and not essential:
            raise StoreUnwritableError("the disk is full")
        try:
            return self._in_transaction(group)
        except (sqlite3.Error, StoreUnusableError) as problem:
            if not (is_full(problem) and essential and self._reserve and self._reserve.give_up()):
                raise
        return self._in_transaction(group)

    def _has_reserve(self, *, may_shrink: bool) -> bool:
        if self._reserve is None or self._reserve.hold():
            return True
        if not may_shrink:
            return False
        self._shrink()
        return self._reserve.hold()

    def _shrink(self) -> None:
        """Give back to the disk what was delivered since, and the log.

        It may be ourselves who filled the disk up; nobody else would make room then.
        """
        connection = self._connected()
        with suppress(sqlite3.Error):  # what can be had is had, and there may be none
            connection.execute(_EMPTY_LOG).fetchall()
            # Page by page, without a transaction: each makes room for the next.
            give_room_back(connection, SHRUNK_PAGES_COUNT)
            connection.execute(_EMPTY_LOG).fetchall()

    def _in_transaction(self, group: Sequence[_Job[Any]]) -> list[_Ended]:
        connection = self._connected()
        is_committing = False
        try:
            connection.execute("BEGIN IMMEDIATE")
            transaction = Transaction(connection, Rows(connection, self._new_id))
            results = [job.work(transaction) for job in group]
            counted = Counted(
                transaction.rows, None if self._is_counted else owed_counts(connection)
            )
            is_committing = True
            connection.execute("COMMIT")
        except BaseException as problem:
            self._roll_back(connection, problem, is_unsure=is_committing)
            raise
        self._is_counted = True
        return [_Ended(result, counted) for result in results]

    def _roll_back(
        self, connection: sqlite3.Connection, problem: BaseException, *, is_unsure: bool
    ) -> None:
        if is_damage(problem):
            self._damage = str(problem)
            self.close()  # the next one to connect sees to it
            return
        if is_unsure and not is_full(problem):
            # It may be on the disk all the same: only who reads the file anew can tell.
            self.close()
            return
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self.close()  # which rolls back as well

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect(self._damage)
            self._damage, self._is_counted = None, False
        return self._connection


def owed_counts(connection: sqlite3.Connection) -> Mapping[str, int]:
    """Count what is owed, by notifier."""
    return dict(
        connection.execute(
            "SELECT notifier, count(*) FROM deliveries WHERE state < 3 GROUP BY notifier"
        )
    )


def _in_our_words(problem: Exception) -> Exception:
    """Tell what nobody can help (a disk that is full, say) from what is a bug of ours."""
    if is_damage(problem):
        return StoreUnwritableError(f"the file is damaged: {problem}")
    if isinstance(problem, sqlite3.OperationalError | OSError | StoreUnusableError):
        return StoreUnwritableError(str(problem))
    return problem
