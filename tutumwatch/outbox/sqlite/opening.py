"""Opens the file: makes it, checks it, moves a damaged one aside, changes an older one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import attrs
from twisted.logger import Logger

from tutumwatch.outbox.sqlite.errors import is_for_the_file
from tutumwatch.outbox.sqlite.files import back_up, make_file, make_folder, unusable
from tutumwatch.outbox.sqlite.replacing import beside, end_replacement, move_aside, moved_aside
from tutumwatch.outbox.sqlite.salvage import salvage
from tutumwatch.outbox.sqlite.schema import (
    APPLICATION_ID,
    PAGE_BYTES,
    TABLES,
    VERSION,
    is_as_made,
    migrate,
    table_with_wrong_types,
    tables_of,
    version_of,
)
from tutumwatch.outbox.store import IN_MEMORY, StoreUnusableError

# Between two of these the log beside the file grows, and is then written into it.
WAL_PAGES_COUNT = 400
WAL_MAX_BYTES = 8 * 1024 * 1024
_MAGIC = b"SQLite format 3\0"
# The two bytes behind the size of a page: who may write it, and who may read it.
_MAY_WRITE, _MAY_READ, _MAY_MAX = 18, 19, 2

_Connect: TypeAlias = Callable[[str], sqlite3.Connection]


@attrs.frozen
class Opened:
    """An open file; ``was_damaged``: it is a new one, with what could be saved of the old."""

    connection: sqlite3.Connection
    was_damaged: bool = False


class DamagedFileError(Exception):
    """The file is no store, or one with holes in it; says why."""


def open_file(
    path: str, connect: _Connect, at: float, log: Logger, damage: str | None = None
) -> Opened:
    """Open a store's file, whatever state it is in.

    :param at: the time, for the names of what is put beside it.
    :param damage: what was found to be wrong with it, if anything was.
    :raises StoreUnusableError: if there can be none: no right to write, no room, a file that a
        newer tutumwatch has changed, or one that belongs to something else.
    """
    if path == IN_MEMORY:
        connection = connect(path)
        migrate(connection)
        return Opened(connection)
    make_folder(Path(path))
    try:
        aside = moved_aside(Path(path))
        if aside is not None:
            log.error("{aside} was being replaced when we last ended", aside=str(aside))
            return Opened(_save_from(aside, path, connect, at, log), was_damaged=True)
        is_new = not Path(path).exists()
        make_file(Path(path))
        try:
            _check_beginning(Path(path), damage, is_new=is_new)
            return Opened(_open_checked(path, connect, at, log))
        except DamagedFileError as problem:
            aside = move_aside(Path(path), at)
            log.error(
                "the store {path} is damaged ({why}); it is now {aside}",
                path=path,
                why=str(problem),
                aside=str(aside),
            )
            return Opened(_save_from(aside, path, connect, at, log), was_damaged=True)
    except (sqlite3.Error, OSError) as problem:
        raise unusable(Path(path), problem) from problem


def _open_checked(path: str, connect: _Connect, at: float, log: Logger) -> sqlite3.Connection:
    connection = connect(path)
    try:
        _check(connection, path)
        _prepare(connection)
        _bring_up_to_date(connection, Path(path), at, log)
    except sqlite3.Error as problem:
        connection.close()
        if is_for_the_file(problem):
            raise DamagedFileError(str(problem)) from problem
        raise
    except BaseException:
        connection.close()
        raise
    return connection


def _check_beginning(path: Path, damage: str | None, *, is_new: bool) -> None:
    """Refuse what SQLite would take for an empty file, or for one that it may not write."""
    if damage is not None:
        raise DamagedFileError(damage)
    with path.open("rb") as file:
        beginning = file.read(_MAY_READ + 1)
    if not beginning:
        was_used = _size_bytes(beside(path, ".reserve")) and not is_new
        if was_used or _size_bytes(beside(path, "-wal")):
            raise DamagedFileError("it is empty, and was not")
        return
    if beginning[: len(_MAGIC)] != _MAGIC:
        raise DamagedFileError("it is no database")
    if max(beginning[_MAY_WRITE:], default=0) > _MAY_MAX:
        raise DamagedFileError("its beginning is damaged")


def _size_bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _check(connection: sqlite3.Connection, path: str) -> None:
    """Refuse what is not ours, what is newer than we are, and what is damaged."""
    version = version_of(connection)
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    tables = tables_of(connection)
    if application_id != APPLICATION_ID and tables and not tables.intersection(TABLES):
        raise StoreUnusableError(
            f"{path} is a database of something else, and is left as it is; name another file: "
            "path in [store], or TUTUMWATCH_STORE"
        )
    if application_id != (APPLICATION_ID if tables else 0):
        raise DamagedFileError("its beginning is damaged")
    if version > VERSION:
        raise StoreUnusableError(
            f"the store {path} is of version {version}, and this tutumwatch knows versions up to "
            f"{VERSION}; run the newer one again, or give this one a store of its own"
        )
    (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if said != "ok":
        raise DamagedFileError(said.rpartition("\n")[2])
    if not is_as_made(connection):
        raise DamagedFileError("its tables are not as they were made")
    table = table_with_wrong_types(connection)
    if table is not None:
        raise DamagedFileError(f"the table {table} holds what it cannot hold")


def _prepare(connection: sqlite3.Connection) -> None:
    if version_of(connection) == 0:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
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


def _save_from(
    aside: Path, path: str, connect: _Connect, at: float, log: Logger
) -> sqlite3.Connection:
    """Save what can be read of a damaged file into a new one."""
    make_file(Path(path))
    connection = _open_checked(path, connect, at, log)
    try:
        connection.execute("BEGIN IMMEDIATE")
        saved = salvage(aside, connection)
        connection.execute("COMMIT")
        end_replacement(Path(path))
    except BaseException:
        connection.close()
        raise
    log.error(
        "saved from the damaged store: {saved}; {dead} damaged notices are dead letters now, "
        "{lost} other rows were of no use, and what is missing was not delivered, or was in part",
        saved=", ".join(f"{count} {table}" for table, count in saved.rows.items()) or "nothing",
        dead=saved.dead_count,
        lost=saved.lost_count,
    )
    return connection
