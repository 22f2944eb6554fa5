"""Opens the file: makes it, checks it, moves a damaged one aside, changes an older one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import attrs
from twisted.logger import Logger

from tutumwatch.outbox.sqlite.files import back_up, make_file, make_folder, move_aside, unusable
from tutumwatch.outbox.sqlite.salvage import salvage
from tutumwatch.outbox.sqlite.schema import APPLICATION_ID, VERSION, migrate, version_of
from tutumwatch.outbox.store import StoreUnusableError

# Between two of these the log beside the file grows, and is then written into it.
WAL_PAGES_COUNT = 400
WAL_MAX_BYTES = 8 * 1024 * 1024
_DAMAGE = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB"})
_IN_MEMORY = ":memory:"

_Connect: TypeAlias = Callable[[str], sqlite3.Connection]


@attrs.frozen
class Opened:
    """An open file; ``was_damaged``: it is a new one, with what could be saved of the old."""

    connection: sqlite3.Connection
    was_damaged: bool = False

    def close(self) -> None:
        """Close it."""
        self.connection.close()


class _DamagedFileError(Exception):
    """The file is no store, or one with holes in it; says why."""


def open_file(path: str, connect: _Connect, at: float, log: Logger) -> Opened:
    """Open a store's file, whatever state it is in.

    :param at: the time, for the names of what is put beside it.
    :raises StoreUnusableError: if there can be none: no right to write, no room, or a file that a
        newer tutumwatch has changed.
    """
    if path == _IN_MEMORY:
        connection = connect(path)
        migrate(connection)
        return Opened(connection)
    make_folder(Path(path))
    make_file(Path(path))
    try:
        try:
            return Opened(_open_checked(path, connect, at, log))
        except _DamagedFileError as problem:
            return Opened(_replace(path, connect, at, log, str(problem)), was_damaged=True)
    except (sqlite3.OperationalError, OSError) as problem:
        raise unusable(Path(path), problem) from problem


def _open_checked(path: str, connect: _Connect, at: float, log: Logger) -> sqlite3.Connection:
    connection = connect(path)
    try:
        _check(connection)
        _prepare(connection)
        _bring_up_to_date(connection, Path(path), at, log)
    except sqlite3.DatabaseError as problem:
        connection.close()
        if getattr(problem, "sqlite_errorname", "") in _DAMAGE:
            raise _DamagedFileError(str(problem)) from problem
        raise
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection) -> None:
    """Refuse what is not ours, what is newer than we are, and what is damaged."""
    version = version_of(connection)
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application_id != APPLICATION_ID:
        raise _DamagedFileError("it is a database of something else, or its beginning is lost")
    if version > VERSION:
        raise StoreUnusableError(
            f"the store is of version {version}, and this tutumwatch knows versions up to "
            f"{VERSION}; run the newer one again, or give this one a store of its own"
        )
    (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if said != "ok":
        raise _DamagedFileError(said)


def _prepare(connection: sqlite3.Connection) -> None:
    if version_of(connection) == 0:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES_COUNT}")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_MAX_BYTES}")


def _bring_up_to_date(connection: sqlite3.Connection, path: Path, at: float, log: Logger) -> None:
    version = version_of(connection)
    if version == VERSION:
        return
    if version:
        backup = back_up(connection, path, version, at)
        log.info(
            "the store is changed from version {old} to {new}; {backup} is what it was",
            old=version,
            new=VERSION,
            backup=str(backup),
        )
    migrate(connection)


def _replace(path: str, connect: _Connect, at: float, log: Logger, why: str) -> sqlite3.Connection:
    """Move a damaged file aside, and save what can be read of it into a new one."""
    aside = move_aside(Path(path), at)
    log.error(
        "the store {path} is damaged ({why}); it is now {aside}",
        path=path,
        why=why,
        aside=str(aside),
    )
    make_file(Path(path))
    connection = _open_checked(path, connect, at, log)
    connection.execute("BEGIN IMMEDIATE")
    saved = salvage(aside, connection)
    connection.execute("COMMIT")
    log.error(
        "saved from the damaged store: {saved}; what is missing was not delivered, or was in part",
        saved=", ".join(f"{count} {table}" for table, count in saved.items()) or "nothing",
    )
    return connection
