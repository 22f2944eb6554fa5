"""Tests of the writer: one transaction for all that waits, and what follows when one fails."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable

import attrs
from twisted.internet.defer import Deferred, fail

from tests.outbox.sqlite.cases import HeldThread, StoreTestCase
from tutumwatch.outbox.sqlite.files import Reserve
from tutumwatch.outbox.sqlite.store import connect
from tutumwatch.outbox.sqlite.writer import GROUP_MAX_COUNT, Counted, Transaction, Writer
from tutumwatch.outbox.store import StoreUnwritableError


class WriterTestCase(StoreTestCase):
    """Gives a writer on a table of texts, whose thread works when it is told to."""

    def setUp(self) -> None:
        """Make it."""
        super().setUp()
        self.thread = HeldThread()
        self.statements: list[str] = []
        self.counted: list[Counted] = []
        self.connections_count = 0
        self.damages: list[str | None] = []
        self.store().restore()
        self.writer = self.make(self.connect)
        self.addCleanup(self.writer.close)

    def make(
        self, connect_to: Callable[[str | None], sqlite3.Connection], reserve: Reserve | None = None
    ) -> Writer:
        """Make a writer."""
        return Writer(connect_to, lambda: 1, self.thread, reserve, self.counted.append)

    def connect(self, damage: str | None) -> sqlite3.Connection:
        """Connect, and record what is executed."""
        self.connections_count += 1
        self.damages.append(damage)
        connection = connect(str(self.path))
        connection.set_trace_callback(self.statements.append)
        return connection

    def put(self, text: str, *, essential: bool = False) -> Deferred[str]:
        """Let a text be kept."""

        def work(transaction: Transaction) -> str:
            transaction.rows.counts[text] += 1
            transaction.connection.execute("INSERT INTO meta VALUES (?, 1)", (text,))
            return text

        return self.writer.do(work, essential=essential)

    def commits_count(self) -> int:
        """Count the transactions that were committed."""
        return self.statements.count("COMMIT")

    def kept(self) -> list[str]:
        """Give what is in the file."""
        return [name for (name,) in self.rows("SELECT name FROM meta ORDER BY name")]


class GroupTests(WriterTestCase):
    """What waits goes in one hop and one transaction."""

    def test_what_gathers_shares_a_transaction(self) -> None:
        """The first goes at once; what comes while it is under way goes together."""
        first = self.put("a")
        rest = [self.put(f"{number:03}") for number in range(50)]
        self.thread.run()
        self.assertEqual(self.successResultOf(first), "a")
        self.assertEqual([self.successResultOf(d) for d in rest], self.kept()[:-1])
        self.assertEqual(self.commits_count(), 2)
        self.assertEqual(self.thread.ran_count, 2)
        self.assertEqual(self.connections_count, 1)

    def test_no_group_is_too_large(self) -> None:
        for number in range(GROUP_MAX_COUNT * 2 + 1):
            self.put(f"{number}")
        self.thread.run()
        self.assertEqual(self.commits_count(), 1 + 2)
        self.assertEqual(len(self.kept()), GROUP_MAX_COUNT * 2 + 1)

    def test_order(self) -> None:
        """All is done, and told, in the order in which it was given."""
        told: list[str] = []
        for text in ("b", "c", "a"):
            self.put(text).addCallback(told.append)
        self.thread.run()
        self.assertEqual(told, ["b", "c", "a"])
        inserts = [line for line in self.statements if line.startswith("INSERT")]
        self.assertEqual([line.partition("'")[2][0] for line in inserts], ["b", "c", "a"])

    def test_told_when_all_is_counted(self) -> None:
        """Whoever is told that its work is done finds the whole transaction counted."""
        self.put("a")
        told: list[Counter[str]] = []
        for text in ("b", "c"):
            done = self.put(text)
            done.addCallback(lambda _: told.append(self.counted[-1].rows.counts.copy()))
        self.thread.run()
        self.assertEqual(told, [Counter("bc"), Counter("bc")])
        self.assertEqual([counted.owed for counted in self.counted], [{}, None])

    def test_one_that_fails_fails_alone(self) -> None:
        """The others are done, each in a transaction of its own, in their order."""
        done = [self.put(text) for text in ("a", "b", "c", "b", "d")]
        self.thread.run()
        failure = self.failureResultOf(done.pop(3))
        self.assertIs(failure.type, sqlite3.IntegrityError)
        self.assertEqual([self.successResultOf(d) for d in done], ["a", "b", "c", "d"])
        self.assertEqual(self.kept(), ["a", "b", "c", "d"])
        self.assertEqual(self.commits_count(), 4)

    def test_nothing_of_what_failed_is_kept(self) -> None:
        """What a piece of work did before it failed is undone."""

        def work(transaction: Transaction) -> None:
            transaction.connection.execute("INSERT INTO meta VALUES ('half', 1)")
            raise ValueError("the other half")

        self.failureResultOf(self.do_now(work), ValueError)
        self.assertEqual(self.kept(), [])
        self.assertEqual(self.counted, [])
        self.put("a")
        self.thread.run()
        self.assertEqual(self.kept(), ["a"])

    def do_now(self, work: Callable[[Transaction], None]) -> Deferred[None]:
        """Do some work."""
        done = self.writer.do(work)
        self.thread.run()
        return done

    def test_told_work_gives_more_work(self) -> None:
        """What is asked for while results are told is taken on."""
        later: list[str] = []

        def ask_again(_: str) -> None:
            self.put("b").addCallback(later.append)

        self.put("a").addCallback(ask_again)
        self.thread.run()
        self.assertEqual(later, ["b"])

    def test_a_thread_that_fails(self) -> None:
        """Each that waited is told so."""
        self.writer = Writer(
            self.connect, lambda: 1, lambda _: fail(OSError("no thread")), None, self.counted.append
        )
        self.failureResultOf(self.put("a"), OSError)

    def test_idle(self) -> None:
        """Whoever waits for the end of all work is told at once, or then."""
        self.successResultOf(self.writer.when_idle())
        self.put("a").addCallback(lambda _: self.put("b"))
        idle = self.writer.when_idle()
        self.assertNoResult(idle)
        self.thread.run()
        self.successResultOf(idle)
        self.assertEqual(self.kept(), ["a", "b"])


class FaultTests(WriterTestCase):
    """What SQLite refuses, and how work goes on."""

    def test_somebody_else_writes(self) -> None:
        """It is no bug of ours; the next attempt may succeed."""
        other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(other.close)
        self.put("a")
        self.thread.run()
        self.writer._connected().execute("PRAGMA busy_timeout = 10")
        other.execute("BEGIN IMMEDIATE")
        done = self.put("b")
        self.thread.run()
        failure = self.failureResultOf(done, StoreUnwritableError)
        self.assertEqual(str(failure.value), "database is locked")
        other.execute("ROLLBACK")
        self.put("b")
        self.thread.run()
        self.assertEqual(self.kept(), ["a", "b"])
        self.assertEqual(self.connections_count, 1)

    def test_damaged(self) -> None:
        """The connection is closed, and whoever connects next is told what is wrong."""
        self.put("a")
        self.thread.run()
        connection = self.writer._connected()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        content = self.path.read_bytes()
        self.path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
        connection.execute("PRAGMA shrink_memory")
        done = self.put("b")
        self.thread.run()
        failure = self.failureResultOf(done, StoreUnwritableError)
        self.assertIn("the file is damaged: database disk image is malformed", str(failure.value))
        self.assertRaises(sqlite3.ProgrammingError, connection.execute, "SELECT 1")
        self.path.write_bytes(content)
        self.put("b")
        self.thread.run()
        self.assertEqual(self.kept(), ["a", "b"])
        self.assertEqual(self.damages, [None, "database disk image is malformed"])

    def refuse_the_end(self, transaction: Transaction) -> None:
        """Let neither COMMIT nor ROLLBACK be done by a connection any more."""
        transaction.connection.execute("INSERT INTO meta VALUES ('half', 1)")
        transaction.connection.set_authorizer(
            lambda action, *_: (
                sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_TRANSACTION else sqlite3.SQLITE_OK
            )
        )

    def refuse_and_fail(self, transaction: Transaction) -> None:
        """Let not even what failed be rolled back."""
        self.refuse_the_end(transaction)
        raise ValueError("the other half")

    def test_a_commit_that_fails(self) -> None:
        """The connection is closed: what is on the disk is read anew."""
        self.check_closed(self.refuse_the_end, sqlite3.DatabaseError)

    def test_a_connection_that_cannot_be_rolled_back(self) -> None:
        """It is closed, which rolls back; the next work has another one."""
        self.check_closed(self.refuse_and_fail, ValueError)

    def check_closed(self, work: Callable[[Transaction], None], error: type[Exception]) -> None:
        """Do some work that ends its connection, and go on with another one."""
        done = self.writer.do(work)
        self.thread.run()
        self.failureResultOf(done, error)
        self.put("a")
        self.thread.run()
        self.assertEqual(self.kept(), ["a"])
        self.assertEqual(self.damages, [None, None])
        self.assertIsNotNone(self.counted[-1].owed)

    def test_a_disk_that_is_gone(self) -> None:
        """Nothing can be opened; it is told as what it is, and tried again with the next work."""
        store = self.store()
        store.restore()
        self.path.rename(self.folder / "elsewhere")
        self.path.mkdir()
        said = self.failure_of(store.open(), StoreUnwritableError)
        self.assertIn("cannot be used: Is a directory", said)
        self.path.rmdir()
        (self.folder / "elsewhere").rename(self.path)
        self.result_of(store.open())
        self.result_of(store.close())


@attrs.define
class PagesReserve(Reserve):
    """Room for some more pages in the file, given up when it is full: a disk by count."""

    connection: sqlite3.Connection | None = None
    spare_count: int = 8
    is_room: bool = True

    def hold(self) -> bool:
        """Take the pages, if there is room."""
        if self.is_room:
            self._held = True
        return self._held

    def give_up(self) -> bool:
        """Let the file grow by them."""
        had, self._held = self._held, False
        assert self.connection is not None
        if had:
            (count,) = self.connection.execute("PRAGMA page_count").fetchone()
            self.connection.execute(f"PRAGMA max_page_count = {count + self.spare_count}")
        return had


class FullTests(WriterTestCase):
    """A disk that is full: deliveries go on for as long as the reserve lasts."""

    def setUp(self) -> None:
        """Let the file have no room to grow."""
        super().setUp()
        self.reserve = PagesReserve(self.folder / "reserve")
        self.writer = self.make(self.connect, self.reserve)
        self.addCleanup(self.writer.close)
        self.put("a")
        self.thread.run()
        self.reserve.connection = self.writer._connected()
        self.reserve.is_room = False
        self.set_room(0)

    def set_room(self, pages: int) -> None:
        """Let the file grow by so many pages."""
        connection = self.writer._connected()
        (count,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {count + pages}")

    def put_much(self, text: str, *, essential: bool) -> Deferred[str]:
        """Let something be kept that needs more pages."""

        def work(transaction: Transaction) -> str:
            transaction.connection.execute("INSERT INTO meta VALUES (?, zeroblob(9000))", (text,))
            return text

        done = self.writer.do(work, essential=essential)
        self.thread.run()
        return done

    def test_work_that_can_wait_is_refused(self) -> None:
        """It leaves the reserve alone."""
        failure = self.failureResultOf(self.put_much("b", essential=False), StoreUnwritableError)
        self.assertEqual(str(failure.value), "database or disk is full")
        self.assertTrue(self.reserve._held)

    def test_essential_work_goes_on(self) -> None:
        """The reserve is given up for it; what can wait is refused until there is room again."""
        self.assertEqual(self.successResultOf(self.put_much("b", essential=True)), "b")
        self.assertFalse(self.reserve._held)
        failure = self.failureResultOf(self.put_much("c", essential=False), StoreUnwritableError)
        self.assertEqual(str(failure.value), "the disk is full")
        self.assertEqual(self.successResultOf(self.put_much("d", essential=True)), "d")
        self.reserve.is_room = True
        self.set_room(100)
        self.assertEqual(self.successResultOf(self.put_much("c", essential=False)), "c")
        self.assertTrue(self.reserve._held)
        self.assertEqual(self.kept(), ["a", "b", "c", "d"])

    def test_what_is_free_in_the_file_goes_back(self) -> None:
        """It may be the file itself that has filled the disk: it lets go of what it can."""
        self.set_room(500)
        for number in range(100):
            self.put_much(f"{number}", essential=True)
        done = self.writer.do(
            lambda t: t.connection.execute("DELETE FROM meta").rowcount, essential=True
        )
        self.thread.run()
        self.successResultOf(done)
        self.writer._connected().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        before = self.path.stat().st_size
        self.reserve._held = False
        self.failureResultOf(self.put_much("b", essential=False), StoreUnwritableError)
        self.assertLess(self.path.stat().st_size, before / 2)

    def test_no_reserve_left(self) -> None:
        """Then nothing can be kept, and it is told."""
        self.reserve.spare_count = 0
        failure = self.failureResultOf(self.put_much("b", essential=True), StoreUnwritableError)
        self.assertEqual(str(failure.value), "database or disk is full")
        self.failureResultOf(self.put_much("b", essential=True), StoreUnwritableError)
        self.assertEqual(self.kept(), ["a"])

    def test_both_kinds_together(self) -> None:
        """In one group, what is essential is done and the rest is refused."""
        first = self.put("x", essential=True)  # it is under way while the others gather
        works = [("b", True), ("c", False), ("d", True)]
        done = []
        for text, essential in works:

            def work(transaction: Transaction, text: str = text) -> str:
                insert = "INSERT INTO meta VALUES (?, zeroblob(9000))"
                transaction.connection.execute(insert, (text,))
                return text

            done.append(self.writer.do(work, essential=essential))
        self.thread.run()
        self.successResultOf(first)
        self.failureResultOf(done[1], StoreUnwritableError)
        self.assertEqual([self.successResultOf(d) for d in (done[0], done[2])], ["b", "d"])
        self.assertEqual(self.kept(), ["a", "b", "d", "x"])
