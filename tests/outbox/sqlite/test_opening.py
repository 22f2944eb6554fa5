"""Tests of opening a file: new, older, newer, somebody else's, damaged, half replaced."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.outbox.cases import notice
from tests.outbox.sqlite.cases import NOW, StoreTestCase, message, resource
from tutumwatch.outbox.sqlite.codec import encode_notice, encode_page, encode_resource, seal
from tutumwatch.outbox.sqlite.schema import APPLICATION_ID, VERSION, is_as_made, migrate, version_of
from tutumwatch.outbox.sqlite.store import connect
from tutumwatch.outbox.store import StoreUnusableError

STAMP = "20260921T141320Z"


class FirstOpeningTests(StoreTestCase):
    """A file that is not there, or has nothing in it."""

    def test_a_new_file(self) -> None:
        """It is made, with all that the store needs to survive a power cut."""
        restored = self.store().restore()
        self.assertIsNone(restored.alive_at)
        self.assertEqual(self.rows("PRAGMA user_version"), [(VERSION,)])
        self.assertEqual(self.rows("PRAGMA application_id"), [(APPLICATION_ID,)])
        self.assertEqual(self.rows("PRAGMA journal_mode"), [("wal",)])
        self.assertEqual(self.rows("PRAGMA auto_vacuum"), [(2,)])
        store = self.opened()
        self.assertEqual(
            store._writer._connected().execute("PRAGMA synchronous").fetchall(), [(2,)]
        )
        self.assertEqual(self.said(), [])

    def test_killed_before_anything_was_written(self) -> None:
        """An empty file is as good as none."""
        self.path.write_bytes(b"")
        self.opened()
        self.assertEqual(self.said(), [])

    def test_emptied(self) -> None:
        """A file that was used and is empty now was damaged: it is told."""
        store = self.opened()
        self.commit(store, notice("one"))
        self.result_of(store.close())
        self.path.write_bytes(b"")
        self.opened()
        self.assertIn("it is empty, and was not", self.said()[0])
        self.assertIn("saved from the damaged store: nothing", self.said()[1])

    def test_emptied_beside_its_log(self) -> None:
        """What the log beside it still has is saved."""
        store = self.opened()
        (head,) = self.commit(store, notice("one"))
        other = self.folder / "other"
        other.mkdir()
        shutil.copy(f"{self.path}-wal", other / "outbox.sqlite-wal")
        store = self.opened(other / "outbox.sqlite")
        self.assertIn("it is empty, and was not", self.said()[0])
        self.assertEqual(store.owed_counts(), {"ops": 1})
        (begun,) = self.result_of(store.begin([head.row_id]))
        self.assertEqual(begun.notice, notice("one"))

    def test_deleted_by_a_person(self) -> None:
        """Whoever deletes the file wants a new one."""
        self.fill()
        self.path.unlink()
        store = self.opened()
        self.assertEqual(store.owed_counts(), {})
        self.assertEqual(self.said(), [])

    def test_a_folder_that_is_not_writable(self) -> None:
        """There is no store, and it is said why."""
        (self.folder / "taken").write_bytes(b"")
        store = self.store(self.folder / "taken" / "outbox.sqlite")
        self.assertRaises(StoreUnusableError, store.restore)


class MigrationTests(StoreTestCase):
    """A file of an earlier version becomes one of this version, and nothing is lost."""

    def make_first_version(self) -> None:
        """Write a file as the first version wrote it."""
        with closing(connect(str(self.path))) as connection:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            migrate(connection, 1)
            insert = (
                "INSERT INTO deliveries(id, notifier, key, state, head, form, rule, at, attempts,"
                " maybe_sent, reason, notice) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            )
            for row_id, (text, state, head) in enumerate(
                [("first", 2, 1), ("second", 1, 0), ("dead", 3, 0)], 1
            ):
                one = notice(text, "a lane", at=NOW)
                values = (*one.lane, state, head, "message", one.rule, one.at, 3, 1, "why")
                connection.execute(insert, (row_id, *values, encode_notice(one)))
            for number in (1, 2):
                page = encode_page([message(number)], number, NOW, 1, number)
                connection.execute(
                    "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?)",
                    (number, NOW, 1, len(page) * number, number, page),
                )
            connection.execute("INSERT INTO meta VALUES ('checkpoint', 1)")
            sealed = seal(b"open", "member", "m")
            connection.execute("INSERT INTO records VALUES ('member', 'm', ?)", (sealed,))
            connection.execute("INSERT INTO memory VALUES ('ops', 'a lane', 'it', ?)", (NOW,))
            known = (*resource(1).key, encode_resource(resource(1)))
            connection.execute("INSERT INTO resources VALUES (?, ?, ?, ?)", known)

    def dump(self, path: Path, columns: str) -> list[object]:
        """Give all that a file holds."""
        tables = ("journal", "meta", "records", "memory", "resources")
        return [
            self.rows(f"SELECT {columns} FROM deliveries", path),  # noqa: S608 - our own columns
            *(self.rows(f"SELECT * FROM {table}", path) for table in tables),  # noqa: S608 - as above
        ]

    def test_from_the_first_version(self) -> None:
        """All rows are there, and what it was lies beside it."""
        self.make_first_version()
        columns = (
            "id, notifier, key, head, form, rule, at, attempts, waits_for, reason, notice, state"
        )
        before = self.dump(self.path, columns)
        store = self.store()
        restored = store.restore()
        self.assertEqual(self.rows("PRAGMA user_version"), [(2,)])
        self.change("UPDATE deliveries SET state = 2 WHERE id = 1")  # as it was before the start
        self.assertEqual(self.dump(self.path, columns), before)
        self.assertEqual(self.rows("SELECT DISTINCT up_seconds FROM deliveries"), [(0.0,)])
        self.assertEqual(list(restored.later), [message(2)])
        self.assertEqual(restored.records, {("member", "m"): b"open"})
        backup = self.folder / f"outbox.sqlite.v1-{STAMP}"
        self.assertEqual(self.dump(backup, columns), before)
        with closing(connect(str(backup))) as connection:
            self.assertEqual(version_of(connection), 1)
            self.assertTrue(is_as_made(connection))
        self.assertEqual(
            [event["backup"] for event in self.log.events if "backup" in event], [str(backup)]
        )

    def test_the_backup_can_be_opened(self) -> None:
        """It is a whole store: to go back means to give it the old name."""
        self.make_first_version()
        self.store().restore()
        backup = self.folder / f"outbox.sqlite.v1-{STAMP}"
        store = self.opened(backup)
        self.assertEqual(store.owed_counts(), {"ops": 2})

    def test_killed_in_between(self) -> None:
        """A change that did not come to its end is begun again, with another backup."""
        self.make_first_version()
        with closing(connect(str(self.path))) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ALTER TABLE deliveries ADD COLUMN up_seconds REAL")
            (copy := self.folder / "copy").mkdir()
            for path in self.folder.glob("outbox.sqlite*"):
                shutil.copy(path, copy / path.name)
        self.path = copy / "outbox.sqlite"
        (copy / f"outbox.sqlite.v1-{STAMP}").write_bytes(b"half a backup")
        store = self.opened()
        self.assertEqual(store.owed_counts(), {"ops": 2})
        self.assertEqual(self.rows("PRAGMA user_version"), [(VERSION,)])
        self.assertTrue((copy / f"outbox.sqlite.v1-{STAMP}-2").exists())
        self.assertEqual([line for line in self.said() if "damaged" in line], [])

    def test_each_step_by_itself(self) -> None:
        """A file of every version can be brought to the next one."""
        with closing(connect(":memory:")) as connection:
            for version in range(VERSION):
                self.assertEqual(version_of(connection), version)
                self.assertTrue(is_as_made(connection))
                migrate(connection, version + 1)
            self.assertTrue(is_as_made(connection))

    def test_damaged_and_old(self) -> None:
        """What is saved from a damaged file of the first version is of this one."""
        self.make_first_version()
        self.change("PRAGMA journal_mode = DELETE")
        content = bytearray(self.path.read_bytes())
        content[:16] = b"x" * 16
        self.path.write_bytes(content)
        store = self.store()
        restored = store.restore()
        self.assertEqual(store.owed_counts(), {"ops": 2})
        self.assertEqual(list(restored.later), [message(2)])
        self.assertEqual(list(restored.resources), [resource(1)])
        self.assertEqual(self.rows("SELECT count(*) FROM deliveries WHERE state = 3"), [(1,)])
        self.assertEqual(self.rows("SELECT * FROM memory"), [("ops", "a lane", "it", NOW)])

    def test_a_newer_version(self) -> None:
        """A file that a newer tutumwatch has changed is left alone; it is said what to do."""
        self.fill()
        self.change("PRAGMA user_version = 3")
        content = self.path.read_bytes()
        error = self.assertRaises(StoreUnusableError, self.store().restore)
        self.assertEqual(
            str(error),
            f"the store {self.path} is of version 3, and this tutumwatch knows versions up to 2; "
            "run the newer one again, or give this one a store of its own",
        )
        self.assertTrue(self.path.read_bytes() == content)
        self.assertEqual(list(self.folder.glob("*damaged*")), [])


class ForeignTests(StoreTestCase):
    """Files that are no store of ours."""

    def test_no_database(self) -> None:
        """It is moved aside as it is, and told."""
        self.path.write_text("# these are my notes\n" * 100)
        self.assertEqual(self.opened().owed_counts(), {})
        aside = self.folder / f"outbox.sqlite.damaged-{STAMP}"
        self.assertEqual(aside.read_text(), "# these are my notes\n" * 100)
        self.assertEqual(
            self.said(),
            [
                f"the store {self.path} is damaged (it is no database); it is now {aside}",
                (
                    "saved from the damaged store: nothing; 0 damaged notices are dead letters "
                    "now, 0 other rows were of no use, and what is missing was not delivered, or "
                    "was in part"
                ),
            ],
        )

    def test_a_database_of_something_else(self) -> None:
        """It is left alone: somebody gave the wrong path."""
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("CREATE TABLE moz_places(url)")
            connection.commit()
        content = self.path.read_bytes()
        error = self.assertRaises(StoreUnusableError, self.store().restore)
        self.assertIn("is a database of something else, and is left as it is", str(error))
        self.assertTrue(self.path.read_bytes() == content)
        self.assertEqual(list(self.folder.glob("*damaged*")), [])

    def test_tables_that_are_not_ours(self) -> None:
        """What has our name and not our tables was damaged, or changed by hand."""
        self.fill()
        self.change("ALTER TABLE deliveries RENAME COLUMN reason TO why")
        self.assertEqual(sum(self.opened().owed_counts().values()), 51)
        self.assertIn("its tables are not as they were made", self.said()[0])

    def test_values_that_cannot_be(self) -> None:
        """SQLite lets a column hold anything; a start looks for that."""
        self.fill()
        self.change("UPDATE deliveries SET at = 'today' WHERE id = 3")
        self.assertEqual(sum(self.opened().owed_counts().values()), 51)
        self.assertIn("the table deliveries holds what it cannot hold", self.said()[0])
        self.assertEqual(self.rows("SELECT at FROM deliveries WHERE id = 3"), [(NOW,)])

    def test_a_number_of_the_application_that_is_not_ours(self) -> None:
        self.fill()
        self.change("PRAGMA application_id = 7")
        self.assertEqual(sum(self.opened().owed_counts().values()), 51)
        self.assertIn("its beginning is damaged", self.said()[0])

    def test_a_damaged_index(self) -> None:
        """When only an index is damaged, nothing is lost at all."""
        whole = self.fill()
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute("UPDATE sqlite_master SET sql = replace(sql, '= 1', '= 0')")
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("REINDEX heads")
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute("UPDATE sqlite_master SET sql = replace(sql, 'd = 0', 'd = 1')")
        self.opened()
        self.assertIn("index heads", self.said()[0])
        self.assertEqual(self.notices(), whole)

    def test_a_disk_that_refuses(self) -> None:
        """What is not the file's fault moves nothing aside."""
        self.fill()
        self.path.rename(self.folder / "real")
        self.path.symlink_to(self.folder / "real")
        (self.folder / "outbox.sqlite-wal").mkdir()
        (self.folder / "real-wal").mkdir()
        error = self.assertRaises(StoreUnusableError, self.store().restore)
        self.assertIn("make its folder writable for this user", str(error))
        self.assertEqual(list(self.folder.glob("*damaged*")), [])


class ReplacingTests(StoreTestCase):
    """A kill while a damaged file is being replaced: the next start does it to its end."""

    def setUp(self) -> None:
        """Write a damaged file, with a log beside it."""
        super().setUp()
        self.whole = self.fill()
        with closing(connect(str(self.path))) as connection:
            connection.execute("UPDATE meta SET value = 1 WHERE name = 'checkpoint'")
            content = bytearray(self.path.read_bytes())
            content[:16] = b"x" * 16
            log = self.path.with_name("outbox.sqlite-wal").read_bytes()
        self.path.write_bytes(content)
        self.wal = self.folder / "outbox.sqlite-wal"
        self.wal.write_bytes(log)
        self.note = self.folder / "outbox.sqlite.replacing"
        self.aside = self.folder / f"outbox.sqlite.damaged-{STAMP}"
        self.aside_wal = self.folder / f"outbox.sqlite.damaged-{STAMP}-wal"
        self.log_bytes = log

    def check(self, note: str | None = None) -> None:
        """Open it, and hold that all is there."""
        if note is not None:
            self.note.write_text(note)
        store = self.store()
        store.restore()
        (_, checkpoint), *_ = self.rows("SELECT * FROM meta WHERE name = 'checkpoint'")
        self.assertEqual(checkpoint, 1)  # which only the log says
        self.assertEqual(set(self.notices()), set(self.whole))
        self.assertFalse(self.note.exists())
        self.assertTrue(self.aside_wal.read_bytes() == self.log_bytes)

    def test_not_killed(self) -> None:
        self.check()

    def test_killed_before_anything_was_moved(self) -> None:
        self.check(f"{self.aside.name}\n")

    def test_killed_while_the_note_was_written(self) -> None:
        self.check("outbox.sqlite")

    def test_killed_when_the_file_was_moved_and_its_log_was_not(self) -> None:
        self.path.rename(self.aside)
        self.check(f"{self.aside.name}\n")
        self.assertIn("was being replaced when we last ended", self.said()[0])

    def test_killed_when_the_new_file_was_half_done(self) -> None:
        """What was saved then is saved again, from the beginning."""
        self.path.rename(self.aside)
        self.wal.rename(self.aside_wal)
        with closing(connect(str(self.path))) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            migrate(connection, 1)
            wal = self.wal.read_bytes()
        self.wal.write_bytes(wal)
        self.check(f"{self.aside.name}\n")

    def test_a_note_half_written_that_names_an_earlier_one(self) -> None:
        """A name without its end is not followed, even if there is such a file."""
        self.aside.write_bytes(b"of an earlier day")
        self.note.write_text(self.aside.name)
        self.store().restore()
        self.assertEqual(set(self.notices()), set(self.whole))
        self.assertEqual(self.aside.read_bytes(), b"of an earlier day")
        self.assertTrue(self.aside.with_name(f"{self.aside.name}-2").exists())

    def test_a_note_that_names_something_else(self) -> None:
        """A name that no damaged file of ours can have is not followed."""
        self.check("../somewhere\n")
