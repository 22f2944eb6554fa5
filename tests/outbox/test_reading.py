"""Tests of reading the file beside its watcher: everything is seen, nothing is changed."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.outbox.cases import BAD, TIMED_OUT, notice, open_store
from tutumwatch.events.inputs import Message, Tick
from tutumwatch.inventory.resource import Resource
from tutumwatch.outbox.sqlite.reading import (
    PAGE_COUNT,
    KeptRow,
    UnreadableStoreError,
    open_to_read,
)
from tutumwatch.outbox.sqlite.schema import VERSION
from tutumwatch.outbox.sqlite.store import SQLiteStore
from tutumwatch.outbox.store import Restored
from tutumwatch.rules.decisions import Decisions, Owed
from tutumwatch.rules.notice import Form

_Result = TypeVar("_Result")

ALL = ("waiting", "pending", "sending", "dead")


class StoredFileTestCase(SynchronousTestCase):
    """Gives each test a store in a file, whose watcher still has it open."""

    def setUp(self) -> None:
        """Make it."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.path = str(self.folder / "outbox.sqlite")
        self.store = self.open()

    def open(self) -> SQLiteStore:
        """Open the store, as a start does."""
        store = open_store(self.path)
        store.restore()
        self.result_of(store.open())
        self.addCleanup(lambda: self.result_of(store.close()))
        return store

    def result_of(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Give what a coroutine that waits for nothing comes to."""
        return self.successResultOf(Deferred.fromCoroutine(work))

    def owe(self, *owed: Owed) -> None:
        """Commit what is owed."""
        self.result_of(self.store.commit(Decisions(owed=list(owed)), 0.0))

    def execute(self, statement: str) -> None:
        """Change the file as no watcher would."""
        self.result_of(self.store.close())
        connection = sqlite3.connect(self.path, isolation_level=None)
        connection.execute(statement)
        connection.close()

    def rows(self, *states: str, notifier: str | None = None) -> list[KeptRow]:
        """Read rows, all if no state is named."""
        with open_to_read(self.path) as reader:
            return list(reader.rows(states or ALL, notifier))

    def contents(self) -> dict[str, str]:
        """Give a digest of every file, by name."""
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.folder.iterdir()
        }


class ReadingTests(StoredFileTestCase):
    """What can be seen."""

    def test_a_row_with_all_that_there_is(self) -> None:
        self.owe(notice("said", "k", Form.TRIGGER, at=7.0))
        self.result_of(self.store.begin([1]))
        self.result_of(self.store.finish({1: TIMED_OUT}, {}))
        (row,) = self.rows()
        self.assertEqual(
            row,
            KeptRow(
                id=1,
                notifier="ops",
                key="k",
                state="pending",
                form="trigger",
                rule="a rule",
                at=7.0,
                attempts=1,
                maybe_sent=True,
                waits_for=None,
                reason="",
                notice=notice("said", "k", Form.TRIGGER, at=7.0),
            ),
        )

    def test_records_of_a_kind(self) -> None:
        records = {("silence", "b"): b"2", ("silence", "a"): b"1", ("said", "0"): b"3"}
        self.result_of(self.store.commit(Decisions(records=dict(records)), 0.0))
        with open_to_read(self.path) as reader:
            self.assertEqual(list(reader.records("silence")), [b"1", b"2"])
            self.assertEqual(list(reader.records("nothing")), [])
        self.execute("UPDATE records SET value = x'00' WHERE name = 'a'")
        with open_to_read(self.path) as reader:
            self.assertEqual(list(reader.records("silence")), [b"2"])

    def test_what_a_start_would_begin_with(self) -> None:
        """Resources, inputs and records; what is damaged is left out."""
        web = Resource(("main", "service", "web"), "/api/v1/service/web/", "web")
        before, after = Message("main", 1, b"a", 1.0), Message("main", 2, b"b", 2.0)
        records = {("member", "a"): b"1", ("said", "0"): b"2"}
        first = Decisions(inputs=[before], records=dict(records))
        self.result_of(self.store.commit(first, 1.0))
        self.result_of(self.store.checkpoint({web.key: web}, 1.0))
        self.result_of(self.store.commit(Decisions(inputs=[after, Tick(3.0)]), 3.0))
        with open_to_read(self.path) as reader:
            restored = reader.restored()
            self.assertEqual(list(reader.inputs()), [Tick(3.0), after, before])
        self.assertEqual(
            restored,
            Restored(3.0, 2, resources=[web], later=[after, Tick(3.0)], records=records),
        )
        self.execute("UPDATE records SET value = x'00' WHERE kind = 'member'")
        self.execute("UPDATE journal SET page = x'00' WHERE number = 1")
        with open_to_read(self.path) as reader:
            self.assertEqual(reader.restored().records, {("said", "0"): b"2"})
            self.assertEqual(list(reader.inputs()), [Tick(3.0), after])

    def test_states_and_notifiers(self) -> None:
        self.owe(notice("a"), notice("b"), notice("c"), notice("d", notifier="pd"))
        self.result_of(self.store.begin([1, 2]))
        self.result_of(self.store.finish({1: BAD}, {}))
        self.assertEqual([row.id for row in self.rows("dead")], [1])
        self.assertEqual([row.reason for row in self.rows("dead")], [BAD.said])
        self.assertEqual([row.id for row in self.rows("sending")], [2])
        self.assertEqual([row.id for row in self.rows("pending", "sending")], [2, 3, 4])
        self.assertEqual([row.id for row in self.rows(notifier="pd")], [4])
        with open_to_read(self.path) as reader:
            self.assertEqual(reader.owed_counts(), {"ops": 2, "pd": 1})
            self.assertEqual(reader.dead_counts(), {"ops": 1})
            self.assertIsNone(reader.row(5))
            found = reader.row(4)
            assert found is not None
            self.assertEqual(found.notifier, "pd")

    def test_more_than_a_page(self) -> None:
        self.owe(*(notice(f"n{number}") for number in range(2 * PAGE_COUNT + 1)))
        ids = [row.id for row in self.rows()]
        self.assertEqual(ids, list(range(1, 2 * PAGE_COUNT + 2)))

    def test_a_damaged_notice_is_a_row_all_the_same(self) -> None:
        self.owe(notice("a"), notice("b"))
        self.execute("UPDATE deliveries SET notice = x'00112233' WHERE id = 1")
        self.assertEqual(
            [(row.is_damaged, row.notice is None) for row in self.rows()],
            [(True, True), (False, False)],
        )

    def test_what_was_committed_a_moment_ago_is_seen(self) -> None:
        for number in range(1, 4):
            self.owe(notice(f"n{number}"))
            self.assertEqual(len(self.rows()), number)


class NothingIsChangedTests(StoredFileTestCase):
    """No byte of any file, and no file more or less."""

    def assert_only_read(self, count: int) -> None:
        """Read, and compare."""
        before = self.contents()
        self.assertEqual(len(self.rows()), count)
        self.assertEqual(self.contents(), before)

    def test_after_a_clean_end(self) -> None:
        self.owe(notice("a"))
        self.result_of(self.store.close())
        self.assertNotIn("outbox.sqlite-wal", self.contents())
        self.assert_only_read(1)

    def test_after_a_kill(self) -> None:
        """What is only in the log beside the file counts."""
        self.owe(notice("a"))
        killed = self.folder / "killed"
        killed.mkdir()
        for path in list(self.folder.glob("outbox.sqlite*")):
            shutil.copy(path, killed)
        self.folder, self.path = killed, str(killed / "outbox.sqlite")
        self.assertIn("outbox.sqlite-wal", self.contents())
        self.assert_only_read(1)


class UnreadableTests(StoredFileTestCase):
    """Each is a sentence that says what to do, and nothing is made or mended."""

    def assert_unreadable(self, said: str) -> None:
        """Fail unless reading does, with these words and without a change."""
        before = self.contents()
        error = self.assertRaises(UnreadableStoreError, self.rows)
        self.assertIn(said, str(error))
        self.assertEqual(self.contents(), before)

    def test_no_file(self) -> None:
        self.path += "-elsewhere"
        self.assert_unreadable(f"there is no store {self.path}")

    def test_a_folder(self) -> None:
        self.path = str(self.folder)
        error = self.assertRaises(UnreadableStoreError, self.rows)
        self.assertIn("there is no store", str(error))

    def test_a_newer_one(self) -> None:
        self.execute(f"PRAGMA user_version = {VERSION + 1}")
        self.assert_unreadable(f"is of version {VERSION + 1}, and this tutumwatch reads version")

    def test_an_older_one(self) -> None:
        self.execute(f"PRAGMA user_version = {VERSION - 1}")
        self.assert_unreadable("the watcher brings it up to date")

    def test_a_database_of_something_else(self) -> None:
        self.execute("PRAGMA application_id = 7")
        self.assert_unreadable("is no store of tutumwatch")

    def test_no_database(self) -> None:
        self.result_of(self.store.close())
        Path(self.path).write_bytes(b"rubbish " * 1_000)
        self.assert_unreadable("is damaged")

    def damage(self) -> None:
        """Leave nothing of the rows, and the tables' names as they are."""
        self.owe(*(notice(f"n{number}" + "x" * 500) for number in range(200)))
        self.result_of(self.store.close())
        content = bytearray(Path(self.path).read_bytes())
        content[8_192:] = b"\xff" * (len(content) - 8_192)
        Path(self.path).write_bytes(content)

    def test_damage_that_shows_while_rows_are_read(self) -> None:
        self.damage()
        self.assert_unreadable("is damaged")

    def test_a_watcher_that_starts_while_rows_are_read(self) -> None:
        """It may change the file below a reader that took it for its own."""
        self.damage()

        def read() -> None:
            with open_to_read(self.path) as reader:
                Path(f"{self.path}-wal").touch()
                list(reader.rows(ALL))

        error = self.assertRaises(UnreadableStoreError, read)
        self.assertIn("say it again", str(error))

    def test_what_only_a_watcher_can_put_together(self) -> None:
        """The log is there, and what finds its way in it is not: nothing is made to read it."""
        self.owe(notice("a"))
        killed = self.folder / "killed"
        killed.mkdir()
        for name in ("outbox.sqlite", "outbox.sqlite-wal"):
            shutil.copy(self.folder / name, killed)
        self.folder, self.path = killed, str(killed / "outbox.sqlite")
        self.assert_unreadable("start the watcher")
