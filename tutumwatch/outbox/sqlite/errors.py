"""What an error of SQLite means: the disk, the file, or neither."""

from __future__ import annotations

import sqlite3

# As SQLite calls them; some say more exactly what it is: SQLITE_CORRUPT_INDEX.
_DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
# A disk that is full shows in each of these, by what SQLite was about to do.
_FULL = frozenset({"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_WRITE"})
# What is wrong with the disk, with our rights, or with what others do to the file.
_NOT_THE_FILE = (
    "SQLITE_BUSY",
    "SQLITE_CANTOPEN",
    "SQLITE_FULL",
    "SQLITE_IOERR",
    "SQLITE_LOCKED",
    "SQLITE_PERM",
    "SQLITE_PROTOCOL",
    "SQLITE_READONLY",
)


def _name_of(problem: BaseException) -> str:
    return getattr(problem.__cause__ or problem, "sqlite_errorname", "")


def is_damage(problem: BaseException) -> bool:
    """Say whether SQLite found the file damaged."""
    return _name_of(problem).startswith(_DAMAGE)


def is_full(problem: BaseException) -> bool:
    """Say whether there was no room, also if that is what it was raised from."""
    return _name_of(problem) in _FULL


def is_for_the_file(problem: sqlite3.Error) -> bool:
    """Say whether what is known to be right cannot be done because of what the file holds."""
    return not _name_of(problem).startswith(_NOT_THE_FILE)
