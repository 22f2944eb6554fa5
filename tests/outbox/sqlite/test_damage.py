"""Tests of a file with damage at random places: nothing that can be read is lost or garbled."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from tests.outbox.sqlite.cases import MEMORY_FOLDER, REFUSED, StoreTestCase
from tutumwatch.notifiers.outcomes import Delivered, Outcome
from tutumwatch.outbox.sqlite.schema import PAGE_BYTES
from tutumwatch.outbox.sqlite.store import SQLiteStore
from tutumwatch.outbox.store import StoreUnusableError, StoreUnwritableError
from tutumwatch.rules.notice import Notice

_Result = TypeVar("_Result")

FLIPS_COUNT = 300
LENGTHS_COUNT = 60
# The first pages of the table of what is owed, and of its index, are within these.
ROOTS_PAGES_COUNT = 6


@attrs.frozen
class Came:
    """What came of a damaged file: what was told of what it owed, and what nothing is known of."""

    how: str
    told: dict[int, Notice] = attrs.field(factory=dict)
    lost: set[int] = attrs.field(factory=set)


class DamageTests(StoreTestCase):
    """Each variant is a file of its own, made from the same whole one."""

    folder_in = MEMORY_FOLDER  # hundreds of files, and what is asked here is no question of disks

    def setUp(self) -> None:
        """Make the whole one."""
        super().setUp()
        self.whole = self.fill()
        self.bytes = self.path.read_bytes()
        self.alive = {row_id for (row_id,) in self.rows("SELECT id FROM deliveries WHERE state<3")}
        self.variants_count = 0

    def come_of(self, content: bytes, variant: str) -> Came:
        """Open a damaged file as a start does, deliver all that it owes, and check that."""
        self.variants_count += 1
        self.path = self.folder / str(self.variants_count) / "outbox.sqlite"
        self.path.parent.mkdir()
        self.path.write_bytes(content)
        del self.log.events[:]
        store = self.store()
        try:
            store.restore()
        except StoreUnusableError:
            self.assertTrue(self.path.read_bytes() == content, variant)
            return Came("unusable")
        replaced_count = store.replaced_count
        told = self.deliver_all(store)
        self.check_told(told, variant)
        self.result_of(store.close())
        left = {row_id for (row_id,) in self.rows("SELECT id FROM deliveries")}
        # SQLite may have begun to write beside it before it noticed.
        aside = list(self.path.parent.glob("*.damaged-*Z"))
        if not aside:
            self.assertNotIn("is damaged", "".join(self.said()), variant)
            return Came("as it was", told, self.alive - set(told) - left)
        self.assertIn("is damaged", "".join(self.said()), variant)
        self.assertIn("saved from the damaged store", "".join(self.said()), variant)
        if store.replaced_count > replaced_count:
            return Came("found later", told, self.alive - set(told) - left)
        self.assertTrue([path.read_bytes() for path in aside] == [content], variant)
        return Came("found at once", told, self.alive - set(told) - left)

    def persist(self, call: Callable[[], Coroutine[Any, Any, _Result]]) -> _Result:
        """Make a call as a deliverer does: damage that is found by it ends it, but not the next."""
        try:
            return self.result_of_call(call())
        except StoreUnwritableError:
            return self.result_of_call(call())

    def result_of_call(self, call: Coroutine[Any, Any, _Result]) -> _Result:
        """Give what a call comes to, or raise it."""
        came: list[_Result | Failure] = []
        Deferred.fromCoroutine(call).addBoth(came.append)
        if isinstance(came[0], Failure):
            came[0].raiseException()
        return came[0]

    def deliver_all(self, store: SQLiteStore) -> dict[int, Notice]:
        """Deliver all heads until there are none."""
        self.persist(store.open)
        told: dict[int, Notice] = {}
        while row_ids := self.heads(store):
            begun = self.persist(lambda ids=row_ids: store.begin(ids))  # type: ignore[misc] # its type is that of the argument
            ended: dict[int, Outcome] = {}
            for one in begun:
                ended[one.row_id] = REFUSED if one.is_damaged else Delivered()
                if not one.is_damaged:
                    self.assertNotIn(one.row_id, told)
                    told[one.row_id] = one.notice
            self.persist(lambda ended=ended: store.finish(ended, {}))  # type: ignore[misc] # as above
        return told

    def heads(self, store: SQLiteStore) -> list[int]:
        """Give what may be sent."""
        found = [self.persist(lambda: store.heads("ops", 100))]
        found.append(self.persist(lambda: store.heads("pagers", 100)))
        return [head.row_id for heads in found for head in heads]

    def check_told(self, told: Mapping[int, Notice], variant: str) -> None:
        """Hold that nothing was garbled, and that each lane was told in its order."""
        lanes: dict[tuple[str, str], list[int]] = {}
        for row_id, notice in told.items():
            self.assertEqual(notice, self.whole.get(row_id), variant)
            lanes.setdefault(notice.lane, []).append(row_id)
        for row_ids in lanes.values():
            self.assertEqual(row_ids, sorted(row_ids), variant)

    def flipped(self, place: int, bit: int) -> bytes:
        """Give the whole file with one bit flipped."""
        content = bytearray(self.bytes)
        content[place] ^= 1 << bit
        return bytes(content)

    def test_flipped_bits(self) -> None:
        """Wherever a bit flips, all that was owed is told as it was, or is a dead letter."""
        dice = random.Random(4)
        used = [place for place, byte in enumerate(self.bytes) if byte]
        hows: Counter[str] = Counter()
        for _ in range(FLIPS_COUNT):
            place, bit = dice.choice(used), dice.randrange(8)
            variant = f"bit {bit} of byte {place % PAGE_BYTES} of page {place // PAGE_BYTES + 1}"
            came = self.come_of(self.flipped(place, bit), variant)
            hows[came.how] += 1
            self.assertEqual(came.lost, set(), variant)
            if came.how != "unusable":
                self.assertGreater(len(came.told), len(self.whole) * 0.6, variant)
        self.assertGreater(hows["found at once"], 30)
        self.assertLess(hows["unusable"], 5)

    def test_flipped_bits_of_the_beginning(self) -> None:
        """The same holds for the first page, where it says what the file is."""
        for place in range(100):
            came = self.come_of(self.flipped(place, place % 8), f"byte {place}")
            if came.how == "unusable":
                self.assertIn(place, range(60, 64))  # it seems to be of a newer version
            else:
                self.assertEqual(came.told, self.whole, f"byte {place}")

    def test_a_page_overwritten(self) -> None:
        """Whatever page is lost, what was owed is told, or is a dead letter."""
        dice = random.Random(5)
        for page in range(len(self.bytes) // PAGE_BYTES):
            content = bytearray(self.bytes)
            content[page * PAGE_BYTES : (page + 1) * PAGE_BYTES] = dice.randbytes(PAGE_BYTES)
            came = self.come_of(bytes(content), f"page {page + 1}")
            self.assertEqual(came.how, "found at once")
            self.assertEqual(came.lost, set(), f"page {page + 1}")
            self.assertGreater(len(came.told), len(self.whole) - 9, f"page {page + 1}")

    def test_truncated(self) -> None:
        """At whatever length a file was cut off: what was whole before the cut is told."""
        dice = random.Random(6)
        lengths = {0, 1, 15, 16, 17, 99, 100, 511, 512, PAGE_BYTES - 1, PAGE_BYTES}
        lengths |= {dice.randrange(len(self.bytes)) for _ in range(LENGTHS_COUNT)}
        for length in sorted(lengths):
            came = self.come_of(self.bytes[:length], f"{length} bytes")
            self.assertEqual(came.how, "found at once" if length else "as it was")
            has_roots = length >= ROOTS_PAGES_COUNT * PAGE_BYTES
            self.assertEqual(came.lost, set() if has_roots else self.alive, f"{length} bytes")
