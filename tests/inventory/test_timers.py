"""Tests of named due times."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.inventory.timers import Timers


class TimersTests(SynchronousTestCase):
    """A name has one time; the due ones are taken, earliest first."""

    def setUp(self) -> None:
        """Begin without any."""
        self.timers: Timers[str] = Timers()

    def test_the_earliest_is_due_next(self) -> None:
        self.assertIsNone(self.timers.next_due())
        for name, due in (("b", 20.0), ("a", 10.0), ("c", 30.0)):
            self.timers.set(name, due)
        self.assertEqual(self.timers.next_due(), 10.0)

    def test_due_ones_are_taken_earliest_first_and_once(self) -> None:
        for name, due in (("b", 20.0), ("a", 10.0), ("c", 30.0)):
            self.timers.set(name, due)
        self.assertEqual(list(self.timers.take_due(20.0)), ["a", "b"])
        self.assertEqual(list(self.timers.take_due(20.0)), [])
        self.assertEqual(self.timers.next_due(), 30.0)

    def test_equal_times_keep_the_order_in_which_they_were_set(self) -> None:
        for name in ("z", "a", "m"):
            self.timers.set(name, 5.0)
        self.assertEqual(list(self.timers.take_due(5.0)), ["z", "a", "m"])

    def test_the_last_time_that_was_set_counts(self) -> None:
        self.timers.set("a", 10.0)
        self.timers.set("a", 5.0)
        self.timers.set("b", 7.0)
        self.timers.set("b", 12.0)
        self.assertEqual(self.timers.next_due(), 5.0)
        self.assertEqual(list(self.timers.take_due(11.0)), ["a"])
        self.assertEqual(list(self.timers.take_due(12.0)), ["b"])

    def test_what_was_cancelled_is_not_taken(self) -> None:
        self.timers.set("a", 10.0)
        self.timers.cancel("a")
        self.timers.cancel("never set")
        self.assertIsNone(self.timers.next_due())
        self.timers.set("a", 10.0)
        self.assertEqual(list(self.timers.take_due(10.0)), ["a"])
        self.assertEqual(list(self.timers.take_due(10.0)), [])

    def test_what_is_set_while_taking_is_taken_if_it_is_due(self) -> None:
        self.timers.set("a", 1.0)
        taken = []
        for name in self.timers.take_due(5.0):
            taken.append(name)
            if name == "a":
                self.timers.set("b", 5.0)
                self.timers.set("c", 6.0)
        self.assertEqual(taken, ["a", "b"])

    def test_changing_a_time_for_ever_takes_no_memory(self) -> None:
        self.timers.set("far", 1e9)
        for _ in range(1000):
            self.timers.set("flap", 1e6)
            self.timers.set("flap", 2e6)
            self.timers.cancel("flap")
            self.timers.set("flap", 1e6)
        self.assertLess(len(self.timers._heap), 110)
        self.assertEqual(list(self.timers.take_due(1e9)), ["flap", "far"])

    def test_forgetting_stale_times_keeps_the_order(self) -> None:
        due = {str(n): float(n * 7919 % 1009) for n in range(300)}
        for name, seconds in due.items():
            self.timers.set(name, seconds)
        for name in list(due)[:250]:
            self.timers.cancel(name)
            del due[name]
        self.timers.set("last", 1e6)
        self.assertEqual(len(self.timers._heap), 51)
        taken = list(self.timers.take_due(1e9))
        self.assertEqual(taken, [*sorted(due, key=lambda name: due[name]), "last"])

    @given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.integers(0, 9)), max_size=300))
    def test_it_agrees_with_a_plain_dictionary(self, steps: list[tuple[str, int | None]]) -> None:
        self.timers = Timers()
        plain: dict[str, float] = {}
        for name, due in steps:
            if due is None:
                self.timers.cancel(name)
                plain.pop(name, None)
            else:
                self.timers.set(name, float(due))
                plain[name] = float(due)
            self.assertEqual(self.timers.next_due(), min(plain.values(), default=None))
        taken = list(self.timers.take_due(5.0))
        self.assertEqual(sorted(taken), sorted(n for n, due in plain.items() if due <= 5))
        self.assertEqual([plain[n] for n in taken], sorted(plain[n] for n in taken))
