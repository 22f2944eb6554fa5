"""Tests of what is saved from a damaged file, place by place."""

from __future__ import annotations

import sqlite3
from typing import Any

from twisted.internet.defer import execute
from twisted.trial.unittest import SynchronousTestCase

from tests.outbox.cases import notice
from tests.outbox.sqlite.cases import NOW, StoreTestCase, message, resource, waiting
from tutumwatch.outbox.sqlite.codec import (
    DamagedError,
    decode_notice,
    encode_notice,
    encode_page,
    encode_resource,
    encode_waiting,
    seal,
)
from tutumwatch.outbox.sqlite.copies import read_leaves
from tutumwatch.outbox.sqlite.mending import Mender
from tutumwatch.outbox.sqlite.schema import PAGE_BYTES
from tutumwatch.outbox.sqlite.store import SQLiteStore, connect
from tutumwatch.outbox.store import StoreUnusableError
from tutumwatch.rules.notice import Form

DAMAGED = "it was damaged on the disk"


def delivery(**changed: object) -> dict[str, Any]:
    """Make a row of what is owed as it was written, but for some columns."""
    one = notice("text", "key", Form.TRIGGER, rule="rule", at=NOW)
    columns = {
        "id": 7,
        "notifier": "ops",
        "key": "key",
        "state": 1,
        "head": 1,
        "form": "trigger",
        "rule": "rule",
        "at": NOW,
        "attempts": 2,
        "maybe_sent": 0,
        "waits_for": None,
        "reason": "why",
        "notice": encode_notice(one),
        "up_seconds": 3.0,
    }
    return columns | changed


class MendingTests(SynchronousTestCase):
    """A row is as it was written, or it is not taken for it."""

    def mend(self, **changed: object) -> dict[str, Any]:
        """Mend a row of what is owed."""
        return dict(Mender().mend("deliveries", delivery(**changed)))

    def test_a_whole_row(self) -> None:
        """Nothing of it changes, but who is first in a lane is found out later."""
        whole = delivery(head=0)
        del whole["waits_for"]
        self.assertEqual(self.mend(), whole)

    def test_columns_beside_a_whole_notice(self) -> None:
        """What the notice says counts; what it does not say is taken if it can be."""
        whole = self.mend()
        for column in ("notifier", "key", "form", "rule", "at"):
            self.assertEqual(self.mend(**{column: "�"}), whole, column)
        for column, least in (("attempts", 0), ("reason", ""), ("up_seconds", 0.0)):
            self.assertEqual(self.mend(**{column: b"x"}), whole | {column: least}, column)
        self.assertEqual(self.mend(maybe_sent="x"), whole | {"maybe_sent": True})

    def test_states(self) -> None:
        """What can be no state of it means that it is owed."""
        states = {state: self.mend(state=state)["state"] for state in (0, 1, 2, 3, 4, None, "x")}
        self.assertEqual(states, {0: 1, 1: 1, 2: 2, 3: 3, 4: 1, None: 1, "x": 1})

    def test_a_damaged_notice(self) -> None:
        """It is a dead letter, which says what can be said of it."""
        dead = self.mend(notice=b"xxxxx", at="x")
        self.assertEqual((dead["id"], dead["state"], dead["reason"]), (7, 3, DAMAGED))
        self.assertEqual((dead["notifier"], dead["key"], dead["at"]), ("ops", "key", 0.0))
        self.assertEqual(dead["notice"], b"xxxxx")
        self.assertIsNone(self.mend(notice="a text")["notice"])

    def test_a_damaged_number(self) -> None:
        """What no number can be is none."""
        for number in (-1, 0, 2**60):
            self.assertEqual(self.mend(id=number), self.mend() | {"id": None})
            self.assertIsNone(self.mend(id=number, notice=b"x")["id"])

    def test_what_waits(self) -> None:
        """It keeps its place if what it waits for is whole."""
        mender = Mender()
        row = waiting("w", "key", "ops")
        columns = {"id": "v", "row": encode_waiting(row)}
        self.assertEqual(dict(mender.mend("waiting", columns)), columns | {"id": "w"})
        waits = {"state": 0, "notice": None, "waits_for": "w"}
        kept = mender.mend("deliveries", delivery(**waits, key="x", form="x"))
        self.assertEqual((kept["key"], kept["state"], kept["waits_for"]), ("key", 0, "w"))
        for changed in ({"waits_for": "v"}, {"notifier": "opr"}):
            dead = mender.mend("deliveries", delivery(**(waits | changed)))
            self.assertEqual((dead["state"], dead["reason"]), (3, DAMAGED), changed)

    def test_other_tables(self) -> None:
        """Whole rows stay, and what is set by the sealed part is set."""
        page = encode_page([message(1)], 5, NOW, 1, 1)
        sealed = encode_resource(resource(1))
        rows: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
            ("records", {"kind": "k", "name": "n", "value": seal(b"v", "k", "n")}, {}),
            (
                "journal",
                {"number": 5, "at": NOW, "inputs": 1, "total": -9, "last_number": 1, "page": page},
                {"total": len(page)},
            ),
            (
                "resources",
                {"stream": "x", "type": "x", "uuid": "x", "resource": sealed},
                dict(zip(("stream", "type", "uuid"), resource(1).key, strict=True)),
            ),
            ("meta", {"name": "checkpoint", "value": 5}, {}),
            ("memory", {"notifier": "ops", "key": "k", "value": "v", "at": NOW}, {}),
        ]
        for table, row, mended in rows:
            self.assertEqual(dict(Mender().mend(table, row)), row | mended, table)

    def test_useless_rows(self) -> None:
        """What is not what was written is not taken."""
        page = encode_page([message(1)], 5, NOW, 1, 1)
        for table, row in (
            ("waiting", {"id": "w", "row": b"x"}),
            ("records", {"kind": "k", "name": "m", "value": seal(b"v", "k", "n")}),
            ("resources", {"stream": "x", "type": "x", "uuid": "x", "resource": b"x"}),
            (
                "journal",
                {"number": 5, "at": 1.0, "inputs": 1, "total": 9, "last_number": 1, "page": page},
            ),
            ("meta", {"name": "checkpoint", "value": "5"}),
            ("meta", {"name": "alive_at", "value": float("inf")}),
            ("meta", {"name": 5, "value": 5}),
            ("memory", {"notifier": "ops", "key": "k", "value": b"v", "at": NOW}),
            ("memory", {"notifier": "ops", "key": "k", "value": "v", "at": None}),
        ):
            self.assertRaises(DamagedError, Mender().mend, table, row)


class SalvageTests(StoreTestCase):
    """Files with a certain damage."""

    def setUp(self) -> None:
        """Write a whole one."""
        super().setUp()
        self.whole = self.fill(rounds=30)
        self.content = bytearray(self.path.read_bytes())
        roots = dict(self.rows("SELECT name, rootpage FROM sqlite_master"))
        self.root = (roots["deliveries"] - 1) * PAGE_BYTES
        self.lanes = (roots["lanes"] - 1) * PAGE_BYTES

    def children(self) -> list[int]:
        """Give where the root of what is owed points to, in its own order."""
        count = int.from_bytes(self.content[self.root + 3 : self.root + 5], "big")
        places = [self.root + 12 + 2 * number for number in range(count)]
        return [self.root + int.from_bytes(self.content[p : p + 2], "big") for p in places]

    def salvage(self) -> SQLiteStore:
        """Write the damaged file, and start."""
        self.path.write_bytes(self.content)
        store = self.store()
        store.restore()
        self.assertIn("is damaged", self.said()[0])
        return store

    def blank(self, place: int, pages: int = 1) -> None:
        """Overwrite pages."""
        self.content[place : place + pages * PAGE_BYTES] = b"\xff" * pages * PAGE_BYTES

    def test_a_page_that_is_met_twice(self) -> None:
        """Its rows are saved once, and those of the page that nothing leads to are found."""
        first, second, *_ = self.children()
        self.content[second : second + 4] = self.content[first : first + 4]
        self.salvage()
        self.assertEqual(self.notices(), self.whole)
        # What was found may be older than what became of it since, so nothing is withdrawn.
        found = {row_id for (row_id,) in self.rows("SELECT id FROM deliveries WHERE maybe_sent")}
        self.assertGreater(len(found & set(self.whole)), 5)

    def last_number(self) -> int:
        """Give where the number of the fifth row stands, when there are only five."""
        self.change("DELETE FROM deliveries WHERE id > 5")
        self.content = bytearray(self.path.read_bytes())
        leaf = int.from_bytes(self.content[self.root + 8 : self.root + 12], "big")
        page = (leaf - 1) * PAGE_BYTES if self.content[self.root] == 5 else self.root
        cell = page + int.from_bytes(self.content[page + 16 : page + 18], "big")
        self.assertEqual(self.content[cell + 2], 5)  # behind two bytes of its length
        return cell + 2

    def test_two_rows_of_one_number(self) -> None:
        """The second one takes the place that is missing in its lane."""
        place = self.last_number()
        self.content[place] = 4
        before = self.notices()
        self.salvage()
        self.assertEqual(self.notices(), before)
        self.assertEqual(self.rows("SELECT count(*) FROM deliveries WHERE state = 3"), [(0,)])

    def test_a_second_row_without_a_place(self) -> None:
        """If nobody knows where it was, it is a dead letter behind all others."""
        place = self.last_number()
        self.content[place] = 4
        self.blank(self.lanes)
        before = self.notices()
        store = self.salvage()
        fifth = before.pop(5)
        self.assertEqual(self.notices(), before)
        ((row_id, reason, sealed),) = self.rows(
            "SELECT id, reason, notice FROM deliveries WHERE state = 3"
        )
        self.assertEqual((row_id, reason, decode_notice(sealed)), (5, DAMAGED, fifth))
        # No new notice gets its number.
        self.result_of(store.open())
        (head,) = self.commit(store, notice("new"))
        self.assertEqual(head.row_id, 6)
        self.result_of(store.close())

    def test_the_root_and_no_room_for_a_copy(self) -> None:
        """Then there are dead letters in the place of what cannot be read."""
        self.blank(self.root)
        copy = self.folder / "outbox.sqlite.damaged-20260921T141320Z.copy"
        copy.symlink_to(self.folder / "nowhere" / "copy")
        store = self.salvage()
        self.assertEqual(store.owed_counts(), {})
        dead = self.rows("SELECT count(*) FROM deliveries WHERE state = 3 AND notice IS NULL")
        self.assertEqual(dead, [(len(self.whole) + 2,)])
        self.assertIn(f"{len(self.whole) + 2} damaged notices are dead letters", self.said()[1])

    def test_the_first_page_and_no_room_for_a_copy(self) -> None:
        """Nothing can be saved; the file lies beside the new one."""
        self.blank(0)
        copy = self.folder / "outbox.sqlite.damaged-20260921T141320Z.copy"
        copy.symlink_to(self.folder / "nowhere" / "copy")
        self.assertEqual(self.salvage().owed_counts(), {})
        self.assertIn("saved from the damaged store: nothing", self.said()[1])
        self.assertFalse(copy.is_symlink())

    def test_the_root_and_the_first_page_of_the_index(self) -> None:
        """What neither table nor index leads to is lost, and lies in the file beside."""
        self.blank(self.root)
        self.blank(self.lanes)
        self.assertEqual(self.salvage().owed_counts(), {})

    def test_no_room_for_the_new_file(self) -> None:
        """Nothing is given up: the next start does it to its end."""
        self.blank(self.root)
        self.path.write_bytes(self.content)

        def connect_small(path: str) -> sqlite3.Connection:
            connection = connect(path)
            connection.execute("PRAGMA max_page_count = 20")
            return connection

        store = SQLiteStore(str(self.path), connect_small, lambda: NOW, execute, lambda: None)
        error = self.assertRaises(StoreUnusableError, store.restore)
        self.assertIn("database or disk is full", str(error))
        self.assertTrue(self.path.with_name("outbox.sqlite.replacing").exists())
        store = self.store()
        store.restore()
        self.assertEqual(self.notices(), self.whole)
        self.assertIn("was being replaced when we last ended", self.said()[1])
        self.assertFalse(self.path.with_name("outbox.sqlite.replacing").exists())

    def test_damage_in_several_places(self) -> None:
        """What lies between two damaged pages is saved with its state and order."""
        pages = [
            int.from_bytes(self.content[place : place + 4], "big") for place in self.children()
        ]
        for page in (pages[1], pages[4]):
            self.blank((page - 1) * PAGE_BYTES)
        self.salvage()
        kept = self.notices()
        self.assertEqual(kept, {row_id: self.whole[row_id] for row_id in kept})
        self.assertGreater(len(kept), len(self.whole) - 30)
        dead = {row_id for (row_id,) in self.rows("SELECT id FROM deliveries WHERE state = 3")}
        self.assertEqual(set(self.whole) - set(kept), dead & set(self.whole))

    def test_text_that_is_none(self) -> None:
        """Text that is no UTF-8 stops nothing, neither at a start nor while we run."""
        self.change("UPDATE deliveries SET rule = CAST(x'ff41' AS TEXT) WHERE id = 2")
        store = self.opened()
        (found,) = self.result_of(store.find([2]))
        self.assertEqual(found.rule, "�A")
        self.assertEqual(self.said(), self.said()[-1:])  # of what was being sent alone

    def test_leaves_of_what_is_no_database(self) -> None:
        """There are none."""
        path = self.folder / "text"
        path.write_text("no database" * 1000)
        self.assertEqual(list(read_leaves(path, "deliveries", "SELECT 1")), [])
