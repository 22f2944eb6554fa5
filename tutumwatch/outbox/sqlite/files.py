"""The file itself, and what lies beside it: the lock, the backups, the reserve.

Everything is readable by its owner alone: notices tell of somebody's platform.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import attrs

from tutumwatch.outbox.store import StoreUnusableError

FILE_MODE = 0o600
FOLDER_MODE = 0o700
LOCK_SECONDS = 30.0
LOCK_POLL_SECONDS = 0.1
LOCK_SAID_SECONDS = 1.0
# Enough for what marks and ends deliveries to go on while the disk is full.
RESERVE_BYTES = 2 * 1024 * 1024
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
# What SQLite keeps beside a file.
SIDE_FILES = ("-wal", "-shm")


def make_folder(path: Path) -> None:
    """Make the folder that a file is to be in, for us alone; one that is there stays as it is.

    :raises StoreUnusableError: if that cannot be.
    """
    folder = path.parent
    try:
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(FOLDER_MODE)
    except OSError as problem:
        raise unusable(path, problem) from problem


def make_file(path: Path) -> None:
    """Make a file with nothing in it, for us alone; one that is there keeps what it holds.

    :raises StoreUnusableError: if that cannot be.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))
        path.chmod(FILE_MODE)
    except OSError as problem:
        raise unusable(path, problem) from problem


def unusable(path: Path, problem: OSError | sqlite3.Error) -> StoreUnusableError:
    """Say what is wrong with a file, and what to do about it."""
    why = problem.strerror if isinstance(problem, OSError) else str(problem)
    return StoreUnusableError(
        f"the store {path} cannot be used: {why}; make its folder writable for this user, or name "
        "another file: path in [store], or TUTUMWATCH_STORE"
    )


@attrs.define
class Lock:
    """Keeps a second process from the file; it holds for as long as this process lives."""

    path: Path
    _descriptor: int = -1

    def take(self, say: Callable[[str], None], seconds: float = LOCK_SECONDS) -> None:
        """Wait for the lock; whoever holds it may be on its way out.

        :param say: told once that we wait.
        :raises StoreUnusableError: if it is still held when the time is up.
        """
        make_folder(self.path)
        make_file(self.path)
        try:
            self._take(say, seconds)
        except BaseException as problem:
            self.release()
            if isinstance(problem, OSError):
                raise unusable(self.path, problem) from problem
            raise

    def _take(self, say: Callable[[str], None], seconds: float) -> None:
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        begun = time.monotonic()
        said = False
        while not self._is_taken():
            waited = time.monotonic() - begun
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            if waited >= seconds:
                raise StoreUnusableError(
                    f"another tutumwatch (process {holder}) holds {self.path} and did not end in "
                    f"{seconds:.0f} s; stop it, or give this one a store of its own"
                )
            if not said and waited >= min(LOCK_SAID_SECONDS, seconds):
                said = True
                say(f"waiting for process {holder}, which holds {self.path}")
            time.sleep(LOCK_POLL_SECONDS)
        self.sign()

    def sign(self) -> None:
        """Say which process holds it: after a fork it is another one."""
        if self._descriptor >= 0:
            with suppress(OSError):  # on a disk that is full nobody learns it
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def _is_taken(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let another process have it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def stamp(at: float) -> str:
    """Write a time so that it can be part of a file's name."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")


def free_name(path: Path, what: str, at: float) -> Path:
    """Give a name beside a file that nothing has yet."""
    name = path.with_name(f"{path.name}.{what}-{stamp(at)}")
    number = 1
    while name.exists():
        number += 1
        name = path.with_name(f"{path.name}.{what}-{stamp(at)}-{number}")
    return name


def back_up(connection: sqlite3.Connection, path: Path, version: int, at: float) -> Path:
    """Copy a whole file, as it is for this connection, under another name.

    :raises StoreUnusableError: if there is no room for it.
    """
    backup = free_name(path, f"v{version}", at)
    # Under this name until it is whole: a kill must not leave half of one that looks like one.
    half = backup.with_name(f"{backup.name}.half")
    make_file(half)
    try:
        copy = sqlite3.connect(half)
        try:
            connection.backup(copy)
        finally:
            copy.close()
    except sqlite3.Error as problem:
        half.unlink(missing_ok=True)
        raise unusable(backup, problem) from problem
    half.rename(backup)
    return backup


@attrs.define
class Reserve:
    """Some bytes of the disk that are given up when it is full."""

    path: Path
    _held: bool = False

    def hold(self) -> bool:
        """Take the bytes, and say whether there is room for them.

        What goes wrong otherwise does not count: work can do without a reserve.
        """
        if self._held:
            return True
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            try:
                os.fchmod(descriptor, FILE_MODE)
                os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
            except OSError:
                os.ftruncate(descriptor, 0)
                raise
            finally:
                os.close(descriptor)
        except OSError as problem:
            return problem.errno not in _NO_ROOM
        self._held = True
        return True

    def give_up(self) -> bool:
        """Let go of the bytes; say whether that made any difference."""
        self._held = False
        try:
            had_bytes = self.path.stat().st_size > 0
            os.truncate(self.path, 0)
        except OSError:
            return False
        return had_bytes
