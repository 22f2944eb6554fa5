"""Tests of the file itself and what lies beside it: who may read it, and who may use it."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

from tests.outbox.cases import notice
from tests.outbox.sqlite.cases import NOW, StoreTestCase
from tutumwatch.outbox.sqlite.files import (
    RESERVE_BYTES,
    Lock,
    Reserve,
    back_up,
    free_name,
    make_file,
    make_folder,
)
from tutumwatch.outbox.store import StoreUnusableError

HOLDER = """
import sys
from pathlib import Path
from tutumwatch.outbox.sqlite.files import Lock
Lock(Path(sys.argv[1])).take(print)
print("taken", flush=True)
sys.stdin.read()
"""


def open_count() -> int:
    """Count what this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def mode_of(path: Path) -> int:
    """Give who may do what with a file."""
    return stat.S_IMODE(path.stat().st_mode)


class ModeTests(StoreTestCase):
    """Only the owner may read what tells of a platform, whatever the umask."""

    def use_umask(self, umask: int) -> None:
        """Set the umask until the test ends."""
        self.addCleanup(os.umask, os.umask(umask))

    def check_modes(self, umask: int) -> None:
        """Make all files there are, and look at each."""
        self.use_umask(umask)
        self.path = self.folder / "state" / "outbox.sqlite"
        lock = Lock(self.folder / "state" / "outbox.sqlite.lock")
        lock.take(self.fail)
        self.addCleanup(lock.release)
        store = self.opened()
        self.commit(store, notice("one"))
        store._writer.close()
        store._writer._connected()  # SQLite makes what lies beside it again
        self.commit(store, notice("two"))
        back_up(store._writer._connected(), self.path, 1, NOW)
        names = {path.name.removeprefix("outbox.sqlite") for path in self.path.parent.iterdir()}
        self.assertEqual(names, {"", "-wal", "-shm", ".lock", ".reserve", ".v1-20260921T141320Z"})
        for path in self.path.parent.iterdir():
            self.assertEqual(mode_of(path), 0o600, path)
        self.assertEqual(mode_of(self.path.parent), 0o700)

    def test_a_generous_umask(self) -> None:
        self.check_modes(0)

    def test_a_strict_umask(self) -> None:
        """Also what the umask would take from the owner is his."""
        self.check_modes(0o277)

    def test_a_file_that_is_there_is_closed_to_others(self) -> None:
        self.path.write_bytes(b"")
        self.path.chmod(0o644)
        make_file(self.path)
        self.assertEqual(mode_of(self.path), 0o600)

    def test_a_folder_that_is_there_stays_as_it_is(self) -> None:
        self.folder.chmod(0o750)
        make_folder(self.path)
        self.assertEqual(mode_of(self.folder), 0o750)

    def test_no_folder_can_be_made(self) -> None:
        """It is said what is wrong, and what to do."""
        (self.folder / "file").write_bytes(b"")
        error = self.assertRaises(StoreUnusableError, make_folder, self.folder / "file" / "x" / "y")
        self.assertIn("Not a directory; make its folder writable", str(error))

    def test_no_file_can_be_made(self) -> None:
        self.path.mkdir()
        error = self.assertRaises(StoreUnusableError, make_file, self.path)
        self.assertIn("Is a directory", str(error))
        self.assertIn("or name another file: path in [store], or TUTUMWATCH_STORE", str(error))


class LockTests(StoreTestCase):
    """One process at a time has the file."""

    def setUp(self) -> None:
        """Name the lock."""
        super().setUp()
        self.lock_path = self.folder / "outbox.sqlite.lock"
        self.waits: list[str] = []

    def hold(self) -> subprocess.Popen[str]:
        """Start a process that takes the lock, and wait until it has it."""
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(self.lock_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        for pipe in (holder.stdin, holder.stdout):
            assert pipe is not None
            self.addCleanup(pipe.close)
        assert holder.stdout is not None
        self.assertEqual(holder.stdout.readline(), "taken\n")
        return holder

    def take(self, seconds: float = 30.0) -> Lock:
        """Take the lock, and let go of it when the test ends."""
        lock = Lock(self.lock_path)
        self.addCleanup(lock.release)
        lock.take(self.waits.append, seconds)
        return lock

    def test_a_second_process_gives_up(self) -> None:
        """It says who holds the lock, and what to do."""
        holder = self.hold()
        error = self.assertRaises(StoreUnusableError, self.take, 0.3)
        self.assertEqual(
            str(error),
            f"another tutumwatch (process {holder.pid}) holds {self.lock_path} and did not end in "
            "0 s; stop it, or give this one a store of its own",
        )
        self.assertEqual(self.waits, [])

    def test_a_killed_holder_lets_go(self) -> None:
        """The next one waits, says so once, and goes on when the other is gone."""
        holder = self.hold()

        def kill(said: str) -> None:
            self.waits.append(said)
            holder.send_signal(signal.SIGKILL)

        lock = Lock(self.lock_path)
        self.addCleanup(lock.release)
        begun = time.monotonic()
        lock.take(kill)
        self.assertEqual(
            self.waits, [f"waiting for process {holder.pid}, which holds {self.lock_path}"]
        )
        self.assertLess(time.monotonic() - begun, 10)
        self.assertEqual(self.lock_path.read_text(), f"{os.getpid()}\n")

    def test_signed_again(self) -> None:
        """Whoever forks writes down who holds it now; without the lock nothing is written."""
        lock = self.take()
        self.lock_path.write_text("1\n")
        lock.sign()
        self.assertEqual(self.lock_path.read_text(), f"{os.getpid()}\n")
        lock.release()
        self.lock_path.write_text("1\n")
        lock.sign()
        self.assertEqual(self.lock_path.read_text(), "1\n")

    def test_released(self) -> None:
        """Whoever ends lets the next one in at once; to let go twice is no mistake."""
        first = self.take()
        self.assertRaises(StoreUnusableError, self.take, 0.0)
        first.release()
        first.release()
        self.take(0.0)
        self.assertEqual(self.waits, [])

    def test_a_holder_that_cannot_be_asked(self) -> None:
        """A pipe can be locked, and tells nothing; that is told, and nothing stays open."""
        os.mkfifo(self.lock_path)
        self.take()
        before = open_count()
        error = self.assertRaises(StoreUnusableError, self.take, 0.0)
        self.assertIn("Illegal seek; make its folder writable", str(error))
        self.assertEqual(open_count(), before)

    def test_a_file_that_cannot_be_locked(self) -> None:
        """What the system refuses is told with a remedy, and leaves nothing open."""
        self.lock_path.symlink_to("/proc/self/status")
        before = open_count()
        error = self.assertRaises(StoreUnusableError, self.take)
        self.assertIn("cannot be used", str(error))
        self.assertEqual(open_count(), before)


class NameTests(StoreTestCase):
    """What is put beside a file never takes the place of something else."""

    def test_names_are_free(self) -> None:
        names = []
        for _ in range(3):
            names.append(free_name(self.path, "damaged", NOW))
            names[-1].write_bytes(b"")
        self.assertEqual(
            [name.name for name in names],
            [
                "outbox.sqlite.damaged-20260921T141320Z",
                "outbox.sqlite.damaged-20260921T141320Z-2",
                "outbox.sqlite.damaged-20260921T141320Z-3",
            ],
        )

    def test_a_backup_that_cannot_be_made(self) -> None:
        """No half of one stays, and nothing is changed."""
        self.fill()
        connection = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(connection.close)
        connection.execute("SELECT count(*) FROM deliveries")
        os.truncate(self.path, 5_000)
        error = self.assertRaises(StoreUnusableError, back_up, connection, self.path, 1, NOW)
        self.assertIn("cannot be used", str(error))
        self.assertEqual(list(self.folder.glob("*.v1-*")), [])


class ReserveTests(StoreTestCase):
    """Some bytes are held, to be given up."""

    def setUp(self) -> None:
        """Make one."""
        super().setUp()
        self.file = self.folder / "outbox.sqlite.reserve"
        self.reserve = Reserve(self.file)

    def test_held_and_given_up(self) -> None:
        """What was given up is taken again as soon as it is asked for."""
        self.assertFalse(self.reserve.give_up())
        self.assertTrue(self.reserve.hold())
        self.assertEqual(self.file.stat().st_size, RESERVE_BYTES)
        self.assertTrue(self.reserve.hold())
        self.assertTrue(self.reserve.give_up())
        self.assertEqual(self.file.stat().st_size, 0)
        self.assertFalse(self.reserve.give_up())
        self.assertTrue(self.reserve.hold())
        self.assertEqual(self.file.stat().st_blocks * 512, RESERVE_BYTES)

    def test_bytes_of_an_earlier_run(self) -> None:
        """What a run left behind, its next one may give up before it has written anything."""
        self.reserve.hold()
        self.assertTrue(Reserve(self.file).give_up())

    def test_no_reserve_can_be_had(self) -> None:
        """Work goes on without one, unless it is for want of room."""
        self.file.mkdir()
        self.assertTrue(self.reserve.hold())
        self.assertFalse(self.reserve.give_up())
