"""The store's file as a crash leaves it, on a disk that fails when the history says so."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import attrs

from tests.model.happened import HAPPENED


class DiskFault(Enum):
    """What is wrong with the disk."""

    NONE = "none"
    BROKEN = "broken"
    FULL = "full"


class Work(Enum):
    """What a transaction is for, by the statement that only such a one has."""

    COMMIT = "INSERT INTO journal"
    BEGIN = "SET state = 2, attempts"
    FINISH = "SET state = 1, maybe_sent = maybe_sent OR"
    DELIVERED = "DELETE FROM deliveries WHERE id"
    DEAD = "SET state = 3"
    SAVING = "INSERT OR REPLACE INTO meta"
    START = "SET state = 1, maybe_sent = 1 WHERE state = 2"


_ENDS = {Work.FINISH, Work.DELIVERED, Work.DEAD}


@cache
def _works_of(sql: str) -> frozenset[Work]:
    return frozenset(work for work in Work if work.value in sql)


class KilledError(BaseException):
    """The process is gone: nothing of it goes on, not even what cleans up."""


@attrs.define
class CrashPoint:
    """Where the process is to be killed: at a statement of any transaction, or around a COMMIT."""

    name: str
    work: Work | None = None
    statement: int = 0
    is_after: bool = False


class CrashingConnection(sqlite3.Connection):
    """A connection that tells its file of each statement before it is done, and after."""

    file: StoreFile

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:  # noqa: ANN401 - as in sqlite3
        """See sqlite3."""
        self.file.before(sql)
        cursor = super().execute(sql, parameters)
        self.file.after(sql)
        return cursor

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:  # noqa: ANN401 - as in sqlite3
        """See sqlite3."""
        self.file.before(sql)
        return super().executemany(sql, parameters)

    def close(self) -> None:
        """See sqlite3."""
        self.file.closed(self)
        super().close()


@attrs.define(eq=False)
class StoreFile:
    """The file over all lives of the watcher: each crash leaves a copy, for the next one.

    :param killed: called when the process is gone.
    """

    folder: Path
    _killed: Callable[[], None]
    fault: DiskFault = DiskFault.NONE
    armed: CrashPoint | None = None
    commits_count: int = 0
    _generation: int = 0
    _works: set[Work] = attrs.field(factory=set)
    _statements: int = 0
    _connections: list[CrashingConnection] = attrs.field(factory=list)
    # The one that the store has open.
    _open: CrashingConnection | None = None

    # The file of the life that is, or comes next.
    path: Path = attrs.field(init=False)
    _reserve: Path = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._move_on()

    def _move_on(self) -> None:
        self._generation += 1
        self.path = self.folder / str(self._generation) / "outbox.sqlite"
        self._reserve = self.path.with_name(f"{self.path.name}.reserve")

    def connect(self, path: str) -> sqlite3.Connection:
        """Open the file, as the store does."""
        connection = sqlite3.connect(
            path,
            isolation_level=None,
            check_same_thread=False,
            timeout=0.0,
            factory=CrashingConnection,
        )
        connection.file = self
        self._connections.append(connection)
        self._open = connection
        return connection

    def rows(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        """Read what the file holds at the moment."""
        if self._open is not None:
            return sqlite3.Connection.execute(self._open, query, values).fetchall()
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            return connection.execute(query, values).fetchall()

    # -- what a connection tells

    def before(self, sql: str) -> None:
        """Fail, or end it all, before a statement is done."""
        if sql == "BEGIN IMMEDIATE":
            self._works, self._statements = set(), 0
            if self.fault is DiskFault.BROKEN:
                raise sqlite3.OperationalError("disk I/O error")
            return
        self._works |= _works_of(sql)
        self._statements += 1
        if sql == "COMMIT":
            self._meet_full_disk()
        if self.armed is not None and not self.armed.is_after and self._is_there(sql):
            self.kill(self.armed.name)

    def after(self, sql: str) -> None:
        """End it all after a COMMIT."""
        self.commits_count += sql == "COMMIT"
        if self.armed is not None and self.armed.is_after and self._is_there(sql):
            self.kill(self.armed.name)

    def _is_there(self, sql: str) -> bool:
        point = self.armed
        if point is None:
            return False
        if point.work is None:
            return sql != "ROLLBACK" and 0 < point.statement == self._statements
        if point.work is Work.FINISH and Work.COMMIT not in self._works:
            return sql == "COMMIT" and bool(self._works & _ENDS)
        return sql == "COMMIT" and point.work in self._works

    def _meet_full_disk(self) -> None:
        if self.fault is not DiskFault.FULL:
            return
        if Work.COMMIT in self._works or self._reserve.stat().st_size:
            problem = sqlite3.OperationalError("database or disk is full")
            problem.sqlite_errorname = "SQLITE_FULL"
            raise problem
        HAPPENED["disk: full, the reserve was given up"] += 1

    def closed(self, connection: CrashingConnection) -> None:
        """Forget a connection."""
        if connection is self._open:
            self._open = None

    # -- the end of a process

    def kill(self, name: str) -> None:
        """End the process here; its uncommitted work is lost, as the file then is.

        :raises KilledError: always.
        """
        HAPPENED[name] += 1
        self.leave()
        raise KilledError

    def leave(self) -> None:
        """Keep the file as it is at this moment, and end the process."""
        self.armed = self._open = None
        left, reserve = self.path, self._reserve
        self._move_on()
        self.path.parent.mkdir()
        for suffix in ("", "-wal"):
            part = left.with_name(left.name + suffix)
            if part.exists():
                shutil.copyfile(part, self.path.with_name(part.name))
        if reserve.exists():
            reserve.rename(self._reserve)  # nobody writes into it any more
        self._killed()

    def forget_connections(self) -> None:
        """Close what a dead process left open: that changes only the file that it had."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        for number in range(self._generation):
            shutil.rmtree(self.folder / str(number), ignore_errors=True)
