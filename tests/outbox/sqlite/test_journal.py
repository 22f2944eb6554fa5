"""Tests of the journal: what a start reads of it, and what it forgets."""

from __future__ import annotations

from collections.abc import Sequence

from tests.outbox.cases import notice
from tests.outbox.sqlite.cases import NOW, REFUSED, StoreTestCase, message, resource
from tutumwatch.events.inputs import Input, Tick
from tutumwatch.outbox.sqlite.journal import (
    DELETED_AT_ONCE_COUNT,
    EARLIER_INPUTS_COUNT,
    LastPage,
    Retention,
    page_after,
)
from tutumwatch.outbox.sqlite.store import SQLiteStore
from tutumwatch.outbox.store import Restored
from tutumwatch.rules.decisions import Decisions

DAY = 24 * 3600.0


class JournalTestCase(StoreTestCase):
    """Words for pages."""

    def setUp(self) -> None:
        """Open a store."""
        super().setUp()
        self.store_now = self.opened()

    def page(self, *inputs: Input, at: float = NOW) -> None:
        """Commit inputs as one page."""
        decisions = Decisions(inputs=list(inputs))
        self.result_of(self.store_now.commit(decisions, at))

    def checkpoint(self, at: float = NOW) -> None:
        """Write the inventory as of the last page."""
        self.result_of(self.store_now.checkpoint({}, at))

    def again(self) -> Restored:
        """Close the store, and give what a start finds."""
        self.result_of(self.store_now.close())
        self.store_now = self.store()
        restored = self.store_now.restore()
        self.result_of(self.store_now.open())
        return restored

    def numbers(self) -> list[int]:
        """Give the numbers of the pages that are kept."""
        rows = self.look("SELECT number FROM journal ORDER BY number")
        return [number for (number,) in rows]

    def look(self, query: str) -> list[tuple[int, ...]]:
        """Look into the open store."""
        work = self.store_now._writer.do(lambda t: t.connection.execute(query).fetchall())
        return self.successResultOf(work)


class ReadingTests(JournalTestCase):
    """What a start takes in again."""

    def test_nothing(self) -> None:
        restored = self.again()
        self.assertEqual(restored, Restored(None, 0, [], [], [], [], {}))

    def test_earlier_and_later(self) -> None:
        """What came after the inventory was written is told apart from what it holds already."""
        self.page(message(1), message(2))
        self.page(Tick(NOW + 1), at=NOW + 1)
        self.checkpoint(at=NOW + 2)
        self.page(message(3), message(4), at=NOW + 3)
        self.page(message(5), Tick(NOW + 4), at=NOW + 4)
        restored = self.again()
        self.assertEqual(restored.earlier, [message(1), message(2), Tick(NOW + 1)])
        self.assertEqual(restored.later, [message(3), message(4), message(5), Tick(NOW + 4)])
        self.assertEqual(restored.last_number, 5)
        self.assertEqual(restored.alive_at, NOW + 4)

    def test_alive_without_inputs(self) -> None:
        """A watcher that saw nothing for long was alive all the same."""
        self.page(message(1))
        self.checkpoint(at=NOW + DAY)
        self.assertEqual(self.again().alive_at, NOW + DAY)

    def test_the_last_number_is_that_of_a_message(self) -> None:
        last = LastPage(7, NOW, 70)
        self.assertEqual(page_after(last, [message(71), Tick(0.0)], 1), LastPage(8, 1.0, 71))
        self.assertEqual(page_after(last, [Tick(0.0)], 1.0), LastPage(8, 1.0, 70))
        self.assertEqual(page_after(last, [], 1.0), LastPage(8, 1.0, 70))

    def test_numbers_go_on_after_a_restart(self) -> None:
        self.page(message(1))
        self.again()
        self.page(message(2))
        self.assertEqual(self.numbers(), [1, 2])
        self.assertEqual(self.again().last_number, 2)

    def test_only_so_many_earlier_ones(self) -> None:
        """Pages are read, from the last one back, until there are enough inputs in them."""
        many = [message(number) for number in range(EARLIER_INPUTS_COUNT - 1)]
        self.page(message(0))
        self.page(message(1))
        self.page(*many)
        self.checkpoint()
        self.assertEqual(len(list(self.again().earlier)), EARLIER_INPUTS_COUNT)

    def test_damaged_pages_are_left_out(self) -> None:
        """The others are read, and it is told."""
        for number in range(1, 4):
            self.page(message(number))
        self.checkpoint()
        for number in range(4, 7):
            self.page(message(number))
        self.result_of(self.store_now.close())
        self.change("UPDATE journal SET page = x'0102030405060708' WHERE number = 2")
        self.change("UPDATE journal SET at = 1.0 WHERE number = 5")
        self.change("INSERT INTO resources VALUES ('main', 'service', 'x', x'00')")
        restored = self.again()
        self.assertEqual(restored.earlier, [message(1), message(3)])
        self.assertEqual(restored.later, [message(4), message(6)])
        self.assertEqual(
            self.said(),
            [
                (
                    "3 pieces of journal and inventory are damaged and left out; the platform is "
                    "asked for what they told"
                )
            ],
        )

    def test_resources(self) -> None:
        """The inventory is as it was at the last checkpoint; what is known no more is gone."""
        two = {resource(n).key: resource(n) for n in range(1, 1300)}
        self.result_of(self.store_now.checkpoint(two, NOW))
        stopped = resource(1, "Stopped")
        changed = {stopped.key: stopped, resource(2).key: None}
        self.result_of(self.store_now.checkpoint(changed, NOW))
        known = {known.key: known for known in self.again().resources}
        self.assertEqual(len(known), 1298)
        self.assertEqual(known[stopped.key], stopped)
        self.assertNotIn(resource(2).key, known)


class ForgettingTests(JournalTestCase):
    """The journal is bounded by age and by size, and what is deleted gives its room back."""

    def reopen(self, kept: Retention) -> None:
        """Open the store with other limits."""
        self.result_of(self.store_now.close())
        self.store_now = self.store()
        self.store_now._kept = kept
        self.store_now.restore()
        self.result_of(self.store_now.open())

    def test_totals(self) -> None:
        """Each page says how many bytes there are up to it."""
        for number in range(5):
            self.page(*[message(number)] * number)
        rows = self.look("SELECT total, length(page) FROM journal ORDER BY number")
        self.assertEqual(
            [total for total, _ in rows], [sum(n for _, n in rows[: i + 1]) for i in range(5)]
        )

    def test_by_age(self) -> None:
        """Pages go after 30 days, however many there are, and those that are younger stay."""
        for number in range(3 * DELETED_AT_ONCE_COUNT):
            self.page(message(number), at=NOW + number)
        self.checkpoint(NOW + 30 * DAY)
        self.assertEqual(self.numbers()[0], 1)
        self.checkpoint(NOW + 30 * DAY + 250)
        self.assertEqual(self.numbers(), list(range(251, 3 * DELETED_AT_ONCE_COUNT + 1)))

    def test_never_beyond_the_checkpoint(self) -> None:
        """What the inventory does not hold yet is kept, however old it is."""
        self.page(message(1))
        self.page(message(2))
        self.checkpoint()
        self.page(message(3))
        self.look("UPDATE meta SET value = 2 WHERE name = 'checkpoint'")
        self.result_of(self.store_now._forget_old(NOW + 900 * DAY, 2))
        self.assertEqual(self.numbers(), [2, 3])
        self.assertEqual(self.again().later, [message(3)])

    def test_by_size(self) -> None:
        """The newest pages stay, as many as there is room for."""
        for number in range(10):
            self.page(message(number))
        ((size,),) = self.look("SELECT length(page) FROM journal WHERE number = 10")
        self.reopen(Retention(pages_bytes=size * 4 + 8))
        self.checkpoint()
        self.assertEqual(self.numbers(), [7, 8, 9, 10])
        self.page(message(10))
        self.checkpoint()
        self.assertEqual(self.numbers(), [8, 9, 10, 11])

    def test_memory(self) -> None:
        """What a destination asked to remember is forgotten after 30 days."""
        for text, at in (("old", NOW), ("new", NOW + DAY)):
            (head,) = self.commit(self.store_now, notice(text, at=at))
            self.deliver(self.store_now, head, f"about {text}")
        self.checkpoint(NOW + 30 * DAY + 1)
        self.assertEqual(self.look("SELECT value FROM memory"), [("about new",)])

    def die(self, store: SQLiteStore, texts: Sequence[str]) -> None:
        """Make dead letters."""
        heads = self.commit(store, *(notice(text) for text in texts))
        row_ids = [head.row_id for head in heads]
        self.result_of(store.begin(row_ids))
        self.result_of(store.finish(dict.fromkeys(row_ids, REFUSED), {}))

    def test_dead_letters(self) -> None:
        """The newest stay, and it is told how many are gone; what is owed is never touched."""
        self.reopen(Retention(dead_count=5))
        self.commit(self.store_now, notice("owed"))
        self.die(self.store_now, [f"{number:03d}" for number in range(250)])
        self.checkpoint()
        self.assertEqual(
            self.look("SELECT key FROM deliveries ORDER BY id"),
            [("owed",), *((f"{number}",) for number in range(245, 250))],
        )
        self.assertEqual(self.said(), ["245 of the oldest dead letters are forgotten"])

    def test_so_many_steps(self) -> None:
        """A checkpoint deletes for a while only; the next one goes on."""
        self.reopen(Retention(dead_count=0))
        self.store_now._forget_steps_count = 2
        self.die(self.store_now, [f"{number}" for number in range(250)])
        self.checkpoint()
        self.assertEqual(self.look("SELECT count(*) FROM deliveries"), [(50,)])
        self.checkpoint()
        self.assertEqual(self.look("SELECT count(*) FROM deliveries"), [(0,)])

    def test_the_file_shrinks(self) -> None:
        """Room that is not needed any more goes back to the disk, a little at a time."""
        dice = range(256)
        for number in range(300):
            payload = bytes((number * 7 + n * n) % 256 for n in dice) * 40
            inputs = [message(n) for n in range(40)]
            self.page(*inputs, Tick(NOW), *[message(int(payload[n])) for n in dice])
        self.result_of(self.store_now.close())
        before = self.path.stat().st_size
        self.reopen(Retention(pages_seconds=0.0))
        for _ in range(20):
            self.checkpoint(NOW + 1)
        self.result_of(self.store_now.close())
        self.assertLess(self.path.stat().st_size, before / 4)
        self.store_now = self.opened()
