"""Tests of the store: what a start finds of an earlier run, whatever happened to that."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, execute, fail

from tests.outbox.cases import notice
from tests.outbox.sqlite.cases import (
    NOW,
    REFUSED,
    HeldThread,
    StoreTestCase,
    message,
    resource,
    waiting,
)
from tutumwatch.notifiers.outcomes import Delivered, Outcome, Reason, RetryLater
from tutumwatch.outbox.sqlite.store import SQLiteStore, connect
from tutumwatch.outbox.store import Head, HeldUp, StoreUnusableError, StoreUnwritableError
from tutumwatch.rules.decisions import Decisions, Settled
from tutumwatch.rules.notice import Form, Notice


def open_files() -> set[str]:
    """Give the numbers of what this process has open."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


class UnsureConnection(sqlite3.Connection):
    """Says once that a COMMIT failed which did not: the answer of the disk was lost."""

    fails = False

    def execute(self, statement: str, values: object = (), /) -> sqlite3.Cursor:
        """Execute a statement."""
        cursor = super().execute(statement, values)  # type: ignore[arg-type] # as sqlite3 takes it
        if statement == "COMMIT" and UnsureConnection.fails:
            UnsureConnection.fails = False
            raise sqlite3.OperationalError("disk I/O error")
        return cursor


def connect_unsure(path: str) -> sqlite3.Connection:
    """Connect to a disk whose answers are lost."""
    return sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, factory=UnsureConnection
    )


class RestartTests(StoreTestCase):
    """A run ends, in whatever way, and the next one finds what it kept."""

    def setUp(self) -> None:
        """Open a store."""
        super().setUp()
        self.first = self.store()
        self.first.restore()
        self.result_of(self.first.open())

    def end(self) -> None:
        """End the run without a word: the file is as a kill leaves it."""
        copy = self.folder / f"{len(list(self.folder.iterdir()))}"
        copy.mkdir()
        for path in self.folder.glob("outbox.sqlite*"):
            (copy / path.name).write_bytes(path.read_bytes())
        self.result_of(self.first.close())
        self.path, self.folder = copy / "outbox.sqlite", copy

    def test_everything_is_there(self) -> None:
        """Records, waiting rows, inputs, resources, counts: as they were committed."""
        decisions = Decisions(
            inputs=[message(7)],
            owed=[notice("one"), notice("two", notifier="pagers"), waiting("w", "k", "ops", "old")],
            records={("member", "a"): b"1", ("open", "b"): b"2", ("open", "c"): b"3"},
        )
        self.result_of(self.first.commit(decisions, NOW))
        gone = Decisions(records={("open", "b"): None, ("member", "a"): b"4"})
        self.result_of(self.first.commit(gone, NOW + 1))
        self.result_of(self.first.checkpoint({resource(1).key: resource(1)}, NOW + 2))
        self.end()
        store = self.store()
        restored = store.restore()
        self.assertEqual(restored.records, {("member", "a"): b"4", ("open", "c"): b"3"})
        self.assertEqual(restored.waiting, [waiting("w", "k", "ops", "old")])
        self.assertEqual(restored.earlier, [message(7)])
        self.assertEqual(restored.later, [])
        self.assertEqual(restored.resources, [resource(1)])
        self.assertEqual(restored.alive_at, NOW + 2)
        self.assertEqual(restored.last_number, 7)
        self.assertEqual(store.owed_counts(), {"ops": 2, "pagers": 1, "old": 1})
        self.assertEqual(self.result_of(store.open()), [])
        self.result_of(store.close())

    def test_killed_while_sending(self) -> None:
        """What was being sent may have arrived: it goes again, and is counted and told."""
        one, two, _ = self.commit(self.first, notice("1"), notice("2"), notice("3"))
        self.result_of(self.first.begin([one.row_id, two.row_id]))
        self.end()
        store = self.store()
        store.restore()
        interrupted = self.result_of(store.open())
        (request,) = {head.request for head in interrupted}
        self.assertEqual(
            interrupted,
            [
                Head(row_id, "ops", 0.0, attempts=1, interrupted=True, request=request)
                for row_id in (one.row_id, two.row_id)
            ],
        )
        self.assertEqual(store.counts["possible repeats"], 2)
        self.assertEqual(
            self.said(),
            [
                (
                    "2 notices were being sent when we last ended: they are sent again, and may "
                    "arrive twice"
                )
            ],
        )
        self.assertEqual(self.rows("SELECT maybe_sent FROM deliveries"), [(1,), (1,), (0,)])
        self.result_of(store.close())

    def test_killed_between_two_starts(self) -> None:
        """What was found interrupted by a start that was killed itself is still in doubt."""
        trigger = notice("down", "k", Form.TRIGGER)
        (head,) = self.commit(self.first, trigger)
        self.result_of(self.first.begin([head.row_id]))
        self.end()
        self.store().restore()
        store = self.opened()
        heads = self.result_of(store.heads("ops", 9))
        self.assertEqual([one.row_id for one in heads], [head.row_id])
        self.commit(store, notice("up", "k", Form.RESOLVE))
        self.assertEqual(store.owed_counts(), {"ops": 2})  # nothing is withdrawn

    def test_numbers_of_rows_go_on(self) -> None:
        (head,) = self.commit(self.first, notice("1"))
        self.end()
        (next_head,) = self.commit(self.opened(), notice("2"))
        self.assertEqual(next_head.row_id, head.row_id + 1)

    def test_killed_within_a_transaction(self) -> None:
        """Nothing of what was not committed is there."""
        self.commit(self.first, notice("1"))
        connection = self.first._writer._connected()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM deliveries")
        connection.execute("PRAGMA cache_spill = 1")
        copy = self.folder / "killed"
        copy.mkdir()
        for path in self.folder.glob("outbox.sqlite*"):
            (copy / path.name).write_bytes(path.read_bytes())
        connection.execute("ROLLBACK")
        self.result_of(self.first.close())
        self.path = copy / "outbox.sqlite"
        self.assertEqual(self.opened().owed_counts(), {"ops": 1})

    def test_closed_before_it_is_opened_again(self) -> None:
        """Between restore and open nothing of the file is open: twistd may fork."""
        self.end()
        before = open_files()
        store = self.store()
        store.restore()
        self.assertEqual(open_files(), before)
        self.assertFalse(Path(f"{self.path}-wal").exists())
        self.result_of(store.open())
        self.result_of(store.close())
        self.assertEqual(open_files(), before)

    def test_somebody_else_writes(self) -> None:
        """A file that cannot be had is no store, and is left as it is."""
        self.end()
        other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN IMMEDIATE")
        store = SQLiteStore(
            str(self.path),
            lambda path: sqlite3.connect(path, isolation_level=None, timeout=0.01),
            lambda: NOW,
            execute,
            lambda: None,
        )
        error = self.assertRaises(StoreUnusableError, store.restore)
        self.assertIn("database is locked", str(error))
        self.assertEqual(list(self.folder.glob("*damaged*")), [])

    def test_a_restored_waiting_row_can_be_settled(self) -> None:
        """What waited for a look-up keeps its place over a restart."""
        self.commit(self.first, waiting("w", "k"), notice("behind", "k"))
        self.end()
        store = self.opened()
        settled = Settled("w", (notice("looked up", "k"),))
        (head,) = self.commit(store, settled)
        (begun,) = self.result_of(store.begin([head.row_id]))
        self.assertEqual(begun.notice.text, "looked up")

    def check_damaged(self, table: str, column: str) -> SQLiteStore:
        """Change a byte of what a table keeps, and start again."""
        decisions = Decisions(
            owed=[waiting("w1", "a"), waiting("w2", "b"), notice("1")],
            records={("m", "1"): b"one", ("m", "2"): b"two"},
        )
        self.result_of(self.first.commit(decisions, NOW))
        self.end()
        ((sealed,),) = self.rows(f"SELECT {column} FROM {table} LIMIT 1")  # noqa: S608 - a name of ours
        broken = sealed[:-1] + bytes([sealed[-1] ^ 1])
        self.change(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (broken, sealed))  # noqa: S608 - as above
        store = self.store()
        self.restored = store.restore()
        self.assertIn("is damaged (the checksum does not fit)", self.said()[0])
        return store

    def test_a_damaged_record(self) -> None:
        """It is found at the start, told, and left out; everything else is there."""
        store = self.check_damaged("records", "value")
        self.assertEqual(self.restored.records, {("m", "2"): b"two"})
        self.assertEqual(len(self.restored.waiting), 2)
        self.assertEqual(store.owed_counts(), {"ops": 3})

    def test_a_damaged_waiting_row(self) -> None:
        """What would wait for ever becomes a dead letter, and its lane goes on."""
        store = self.check_damaged("waiting", "row")
        self.assertEqual(len(self.restored.records), 2)
        self.assertEqual([row.id for row in self.restored.waiting], ["w2"])
        self.assertEqual(store.owed_counts(), {"ops": 2})
        dead = self.rows("SELECT key, reason FROM deliveries WHERE state = 3")
        self.assertEqual(dead, [("a", "it was damaged on the disk")])

    def tearDown(self) -> None:
        """Close what the test left open."""
        self.first._writer.close()


class RunningTests(StoreTestCase):
    """What happens to the file while it is in use."""

    def damage(self) -> bytes:
        """Overwrite the table of what is owed, beneath an open store; give what it was."""
        with connect(str(self.path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            root = connection.execute(
                "SELECT rootpage FROM sqlite_master WHERE name = 'heads'"
            ).fetchone()[0]
        connection.close()
        content = self.path.read_bytes()
        with self.path.open("r+b") as file:
            file.seek((root - 1) * 4096)
            file.write(b"\xff" * 4096)
        return content

    def test_damaged_while_in_use(self) -> None:
        """It is moved aside, all that can be read is saved, and work goes on."""
        store = self.opened()
        heads = self.commit(store, notice("1"), notice("2", "2"), notice("3", "2"))
        self.result_of(store.begin([heads[0].row_id]))
        self.damage()
        self.assertEqual(store.replaced_count, 0)
        decisions = Decisions(owed=[notice("4")])
        said = self.failure_of(store.commit(decisions, NOW), StoreUnwritableError)
        self.assertIn("the file is damaged", said)
        offered = self.result_of(store.commit(decisions, NOW))
        self.assertEqual(store.replaced_count, 1)
        # All heads are given again: any lane may have another one now.
        self.assertEqual([head.row_id for head in offered], [heads[1].row_id, 5])
        self.assertEqual(store.owed_counts(), {"ops": 4})
        self.result_of(store.finish({heads[0].row_id: Delivered()}, {}))
        self.assertEqual(store.owed_counts(), {"ops": 3})
        self.assertEqual(len(list(self.folder.glob("*.damaged-*Z"))), 1)
        (head,) = self.commit(store, notice("5"))
        self.assertEqual(head.row_id, 6)

    def test_an_index_that_is_not_that_of_its_table(self) -> None:
        """What SQLite finds of it when a row changes is damage as well, and nothing is lost."""
        store = self.opened()
        (head,) = self.commit(store, notice("1"))
        with connect(str(self.path)) as other:
            ours = "FROM sqlite_master WHERE name IN ('lanes', 'heads')"
            indexes = other.execute(f"SELECT * {ours}").fetchall()
            other.execute("PRAGMA writable_schema = ON")
            other.execute(f"DELETE {ours}")
        other.close()
        self.change("UPDATE deliveries SET notifier = 'opr'")
        with connect(str(self.path)) as other:
            other.execute("PRAGMA writable_schema = ON")
            other.executemany("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", indexes)
        other.close()
        said = self.failure_of(store.begin([head.row_id]), StoreUnwritableError)
        self.assertIn("the file is damaged", said)
        (begun,) = self.result_of(store.begin([head.row_id]))
        self.assertEqual(begun.notice, notice("1"))
        self.assertFalse(begun.is_damaged)
        self.assertEqual(store.replaced_count, 1)

    def test_a_dead_letter_of_the_salvage_has_a_number(self) -> None:
        """No later notice gets it, also if all happens in one run."""
        store = self.opened()
        self.commit(store, *(notice(f"{number}") for number in range(5)))
        self.damage()
        with self.path.open("r+b") as file:
            file.seek(5 * 4096)
            file.write(b"\xff" * 4096)  # the index that knows what is missing
            file.seek(4 * 4096)
            page = file.read(4096)
            cell = int.from_bytes(page[12:14], "big")
            self.assertEqual(page[cell + 2], 3)
            file.seek(4 * 4096 + cell + 2)
            file.write(bytes([2]))
        self.failure_of(store.begin([1]), StoreUnwritableError)
        self.commit(store, notice("new"))
        self.assertEqual(store.owed_counts(), {"ops": 5})
        work = store._writer.do(
            lambda t: t.connection.execute("SELECT id, state FROM deliveries").fetchall()
        )
        states: list[Any] = self.successResultOf(work)
        self.assertEqual(states, [(1, 1), (2, 1), (4, 1), (5, 1), (6, 3), (7, 1)])

    def test_damage_that_costs_rows(self) -> None:
        """What is lost is not counted as owed any more."""
        store = self.opened()
        self.commit(store, *(notice(f"{number}") for number in range(5)))
        self.damage()
        with self.path.open("r+b") as file:
            file.seek(4 * 4096)
            file.write(b"\xff" * 4096 * 2)  # the rows, and the index that knows of them
        decisions = Decisions(owed=[notice("new")])
        self.failure_of(store.commit(decisions, NOW), StoreUnwritableError)
        self.result_of(store.commit(decisions, NOW))
        self.assertEqual(store.owed_counts(), {"ops": 1})

    def unsure(self) -> SQLiteStore:
        """Open a store whose COMMITs can seem to fail."""
        store = SQLiteStore(str(self.path), connect_unsure, lambda: NOW, execute, lambda: None)
        store.restore()
        self.result_of(store.open())
        self.addCleanup(lambda: self.result_of(store.close()))
        return store

    def test_a_commit_that_seems_to_fail(self) -> None:
        """It is made again, and is not done twice."""
        store = self.unsure()
        self.commit(store, notice("0"))
        UnsureConnection.fails = True
        decisions = Decisions(inputs=[message(1)], owed=[notice("1"), notice("2")])
        said = self.failure_of(store.commit(decisions, NOW), StoreUnwritableError)
        self.assertEqual(said, "disk I/O error")
        heads = self.result_of(store.commit(decisions, NOW))
        self.assertEqual([head.row_id for head in heads], [1, 2, 3])
        self.assertEqual(store.owed_counts(), {"ops": 3})
        self.assertEqual(self.rows("SELECT number FROM journal"), [(1,), (2,)])
        (head,) = self.commit(store, notice("3"))
        self.assertEqual(head.row_id, 4)

    def test_a_repeated_commit_that_is_killed(self) -> None:
        """The page of an earlier attempt is found by the next attempt, and all heads with it."""
        store = self.unsure()
        UnsureConnection.fails = True
        decisions = Decisions(inputs=[message(1)], owed=[notice("1")])
        self.failure_of(store.commit(decisions, NOW), StoreUnwritableError)
        store._was_reopened = False
        self.assertEqual(
            [head.row_id for head in self.result_of(store.commit(decisions, NOW))], [1]
        )

    def test_another_commit_in_the_place_of_one(self) -> None:
        """Only the very same page counts as done: anything else is a bug, and is told as such."""
        store = self.opened()
        self.commit(store, notice("1"))
        work = store._writer.do(
            lambda t: t.connection.execute("UPDATE journal SET number = 2").fetchall()
        )
        self.successResultOf(work)
        self.failure_of(store.commit(Decisions(inputs=[message(1)]), NOW), sqlite3.IntegrityError)

    def test_a_begin_that_seems_to_fail(self) -> None:
        """It is made again, and the notice is sent."""
        store = self.unsure()
        (head,) = self.commit(store, notice("1"))
        UnsureConnection.fails = True
        self.failure_of(store.begin([head.row_id]), StoreUnwritableError)
        (begun,) = self.result_of(store.begin([head.row_id]))
        self.assertEqual(begun.notice.text, "1")

    def test_a_finish_that_seems_to_fail(self) -> None:
        """It counts once, and the next of the lane is offered with the next commit."""
        store = self.unsure()
        (head,) = self.commit(store, notice("1", "k"), notice("2", "k"))
        self.result_of(store.begin([head.row_id]))
        UnsureConnection.fails = True
        ended = {head.row_id: Delivered()}
        self.failure_of(store.finish(ended, {}), StoreUnwritableError)
        self.assertEqual(self.result_of(store.finish(ended, {})), [])
        self.assertEqual(store.owed_counts(), {"ops": 1})
        self.assertEqual([h.row_id for h in self.commit(store, notice("3"))], [2, 3])

    def test_in_memory(self) -> None:
        """A store in memory keeps everything for as long as we run."""
        store = self.opened(Path(":memory:"))
        self.commit(store, notice("1"))
        self.result_of(store.checkpoint({resource(1).key: resource(1)}, NOW))
        self.assertEqual(store.owed_counts(), {"ops": 1})
        self.assertFalse(Path(":memory:").exists())

    def test_digest(self) -> None:
        """Old messages are told in one, which is a head like any other."""
        store = self.opened()
        self.commit(store, *(notice(f"{number}", at=NOW) for number in range(5)))
        texts: list[HeldUp] = []

        def write(held_up: HeldUp) -> Notice:
            texts.append(held_up)
            return notice("digest")

        (head,) = self.result_of(store.digest("ops", NOW + 1, write))
        self.assertEqual(texts[0].count, 5)
        self.assertEqual(store.owed_counts(), {"ops": 1})
        (found,) = self.result_of(store.find([head.row_id, 999]))
        self.assertEqual(found.key, "digest")

    def test_counts(self) -> None:
        """What becomes of notices is counted once it is committed."""
        store = self.opened()
        heads = self.commit(store, notice("1"), notice("2"), notice("3"))
        row_ids = [head.row_id for head in heads]
        self.result_of(store.begin(row_ids))
        retry = RetryLater(Reason.SERVER, "503")
        ends: tuple[Outcome, ...] = (Delivered(), REFUSED, retry)
        outcomes = dict(zip(row_ids, ends, strict=True))
        (head,) = self.result_of(store.finish(outcomes, {row_ids[2]: 7.0}))
        self.assertEqual(head.row_id, row_ids[2])
        self.assertEqual(store.counts, {"delivered": 1, "dead": 1})
        self.assertEqual(store.owed_counts(), {"ops": 1})


class ClosingTests(StoreTestCase):
    """A store ends what is under way, and leaves one whole file."""

    def make(self, in_thread: Callable[[Callable[[], object]], Deferred[object]]) -> SQLiteStore:
        """Make a store whose thread is ours; what is closed is recorded."""
        self.closed: list[str] = []
        store = SQLiteStore(
            str(self.path), connect, lambda: NOW, in_thread, lambda: self.closed.append("thread")
        )
        store.restore()
        return store

    def test_waits_for_what_is_under_way(self) -> None:
        thread = HeldThread()
        store = self.make(thread)
        opened = Deferred.fromCoroutine(store.open())
        committed = Deferred.fromCoroutine(store.commit(Decisions(owed=[notice("1")]), NOW))
        closed = Deferred.fromCoroutine(store.close())
        self.assertEqual(self.closed, [])
        self.assertNoResult(closed)
        thread.run()
        self.successResultOf(opened)
        self.assertEqual(len(self.successResultOf(committed)), 1)
        self.successResultOf(closed)
        self.assertEqual(self.closed, ["thread"])
        self.assertEqual(
            sorted(path.name for path in self.folder.iterdir()),
            ["outbox.sqlite", "outbox.sqlite.reserve"],
        )
        self.assertEqual(self.rows("SELECT count(*) FROM deliveries"), [(1,)])

    def test_a_store_that_was_never_opened(self) -> None:
        store = self.make(execute)
        self.result_of(store.close())
        self.assertEqual(self.closed, ["thread"])

    def test_the_thread_ends_whatever_happens(self) -> None:
        """Whoever waits for the lock must not wait in vain."""
        store = self.make(lambda _: fail(OSError("no thread")))
        self.failure_of(store.close(), OSError)
        self.assertEqual(self.closed, ["thread"])


class FullDiskTests(StoreTestCase):
    """A real disk of 4 MB, filled up."""

    def setUp(self) -> None:
        """Make the disk, if we may."""
        super().setUp()
        disk = self.folder / "disk"
        disk.mkdir()
        mount = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "store", str(disk)],
            check=False,
            capture_output=True,
        )
        if mount.returncode:
            self.skipTest("no right to mount a small disk")
        self.addCleanup(subprocess.run, ["umount", "-l", str(disk)], check=True)
        self.path = disk / "outbox.sqlite"
        self.filler = disk / "filler"

    def fill_up(self) -> None:
        """Leave no byte."""
        with self.filler.open("ab", buffering=0) as file:
            while True:
                try:
                    file.write(b"x" * 4096)
                except OSError:
                    return

    def test_deliveries_go_on(self) -> None:
        """Nothing new is kept, and what was committed is delivered; then there is room again."""
        store = self.opened()
        heads = self.commit(store, *(notice(f"{number}") for number in range(20)))
        self.fill_up()
        texts = [notice(f"new {number} " + "long " * 2_000) for number in range(30)]
        self.failure_of(store.commit(Decisions(owed=list(texts)), NOW), StoreUnwritableError)
        for head in heads:
            self.deliver(store, head)
        self.assertEqual(store.owed_counts(), {})
        self.failure_of(store.commit(Decisions(owed=list(texts)), NOW), StoreUnwritableError)
        self.filler.unlink()
        self.result_of(store.commit(Decisions(owed=list(texts)), NOW))
        self.assertEqual(store.owed_counts(), {"ops": 30})
        self.assertEqual(self.path.with_name("outbox.sqlite.reserve").stat().st_size, 2 * 1024**2)

    def test_a_start(self) -> None:
        """A start on a full disk gives the reserve up, and delivers what was committed."""
        store = self.opened()
        (head, _) = self.commit(store, notice("1"), notice("2"))
        self.result_of(store.begin([head.row_id]))
        store._writer.close()
        self.fill_up()
        store = self.opened()
        self.assertEqual(self.path.with_name("outbox.sqlite.reserve").stat().st_size, 0)
        self.assertEqual(store.owed_counts(), {"ops": 2})
        self.deliver(store, head)
        self.assertEqual(store.owed_counts(), {"ops": 1})

    def test_a_start_without_a_reserve(self) -> None:
        """There is no store on a disk without any room, and it is said why."""
        self.fill_up()
        error = self.assertRaises(StoreUnusableError, self.store().restore)
        self.assertIn("make its folder writable", str(error))
        self.filler.unlink()
        self.opened()

    def test_no_room_for_a_salvage(self) -> None:
        """A damaged file that cannot be replaced yet is replaced when there is room."""
        self.fill()
        content = bytearray(self.path.read_bytes())
        content[4096 * 4 : 4096 * 5] = b"\xff" * 4096
        self.path.write_bytes(content)
        (self.path.parent / "outbox.sqlite.reserve").unlink()
        self.fill_up()
        self.assertRaises(StoreUnusableError, self.store().restore)
        self.filler.unlink()
        store = self.opened()
        self.assertEqual(sum(store.owed_counts().values()), 51)
        self.assertFalse(self.path.with_name("outbox.sqlite.replacing").exists())
