"""Tests of the heads that may go, those whose time has not come, and those that are out."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.outbox.heads import TOGETHER_MAX_COUNT, Heads
from tutumwatch.outbox.store import Head


def head(row_id: int, *, interrupted: bool = False) -> Head:
    """Make a head."""
    return Head(row_id, "ops", interrupted=interrupted)


def ids(taken: Sequence[Head]) -> list[int]:
    """Give the rows of heads."""
    return [head.row_id for head in taken]


class HeadsTests(SynchronousTestCase):
    """They go in the order of their commit, whenever they were added."""

    def setUp(self) -> None:
        """Take in four: two that may go at once, one at 20, one at 15."""
        self.heads = Heads()
        self.heads.add(head(3), 10.0)
        self.heads.add(head(1), 10.0)
        self.heads.put_back(head(2), 10.0, 20.0)
        self.heads.put_back(head(4), 10.0, 15.0)

    def test_those_that_may_go_are_taken_in_order(self) -> None:
        self.assertEqual((len(self.heads), self.heads.ready_count(10.0)), (4, 2))
        self.assertEqual(ids(self.heads.take(5, 10.0)), [1, 3])
        self.assertEqual((len(self.heads), self.heads.ready_count(10.0)), (2, 0))

    def test_no_more_are_taken_than_asked_for(self) -> None:
        self.assertEqual(ids(self.heads.take(1, 10.0)), [1])
        self.assertEqual(ids(self.heads.take(1, 10.0)), [3])
        self.assertEqual(ids(self.heads.take(1, 10.0)), [])

    def test_the_others_go_when_their_time_comes(self) -> None:
        self.assertEqual(self.heads.next_due(), 15.0)
        self.assertEqual(ids(self.heads.take(5, 15.0)), [1, 3, 4])
        self.assertEqual(self.heads.next_due(), 20.0)
        self.assertEqual(ids(self.heads.take(5, 20.0)), [2])
        self.assertIsNone(self.heads.next_due())

    def test_what_was_interrupted_goes_first(self) -> None:
        """It may have arrived, and what its lane has behind it has waited for longer."""
        self.heads.add(head(7, interrupted=True), 10.0)
        self.heads.put_back(head(6, interrupted=True), 10.0, 10.0)
        self.assertEqual(ids(self.heads.take(5, 10.0)), [6, 7, 1, 3])

    def test_it_is_known_how_much_of_that_may_go(self) -> None:
        self.assertEqual(self.heads.interrupted_count(), 0)
        for row_id in (6, 7):
            self.heads.add(head(row_id, interrupted=True), 10.0)
        self.assertEqual(self.heads.interrupted_count(), 2)
        self.heads.take(1, 10.0)
        self.assertEqual(self.heads.interrupted_count(), 1)

    def fail_one(self, row_id: int, now: float, due: float) -> None:
        """Let a head out fail; the store gives it back as any other."""
        self.heads.put_back(head(row_id), now, due)

    def interrupted_and_failed(self, times: int) -> Heads:
        """Take in two that were interrupted, and let both fail some times, due 9 s apart."""
        self.heads = Heads()
        for row_id in (6, 7):
            self.heads.add(head(row_id, interrupted=True), 0.0)
        for time in range(times):
            self.assertEqual(ids(self.heads.take(2, 100.0 * time)), [6, 7])
            self.fail_one(6, 100.0 * time, 100.0 * time + 1.0)
            self.fail_one(7, 100.0 * time, 100.0 * time + 10.0)
        return self.heads

    def test_when_it_fails_it_goes_together_again(self) -> None:
        """When the first of it may: whoever may have had it is not asked twice in vain."""
        heads = self.interrupted_and_failed(1)
        heads.add(head(1), 0.0)
        self.assertEqual((heads.ready_count(0.9), heads.interrupted_count()), (1, 0))
        self.assertEqual((heads.ready_count(1.0), heads.interrupted_count()), (3, 2))
        self.assertEqual(ids(heads.take(9, 1.0)), [6, 7, 1])

    def test_a_probe_takes_it_together_as_well(self) -> None:
        heads = self.interrupted_and_failed(1)
        heads.put_back(head(1), 0.0, 0.5)
        heads.put_back(head(2), 0.0, 50.0)
        self.assertEqual(ids(heads.take(1, 0.5)), [1])
        heads.hurry_first(0.5)
        self.assertEqual(ids(heads.take(9, 0.5)), [6, 7])
        self.assertEqual(heads.next_due(), 50.0)

    def test_when_that_failed_three_times_each_goes_alone(self) -> None:
        """One that is bad must not hold up the others."""
        for times, together in ((TOGETHER_MAX_COUNT, 2), (TOGETHER_MAX_COUNT + 1, 0)):
            heads = self.interrupted_and_failed(times)
            count = heads.ready_count(100.0 * times)
            self.assertEqual((count, heads.interrupted_count()), (2, together))
        heads = self.interrupted_and_failed(TOGETHER_MAX_COUNT + 1)
        first_due = heads.next_due()
        self.assertEqual(ids(heads.take(9, first_due or 0.0)), [6], "each when its time comes")

    def test_once_it_has_ended_nothing_is_known_of_it(self) -> None:
        heads = self.interrupted_and_failed(1)
        heads.take(2, 100.0)
        heads.remove(6)
        heads.add(head(6), 100.0)
        self.assertEqual(heads.interrupted_count(), 0)
        self.fail_one(6, 100.0, 100.0)
        self.assertEqual(heads.interrupted_count(), 0)

    def test_none_is_taken_on_twice(self) -> None:
        """Neither one that waits, nor one that waits for later, nor one that is out."""
        for row_id in (1, 2, 3, 4):
            self.heads.add(head(row_id), 11.0)
        self.assertEqual(ids(self.heads.take(5, 11.0)), [1, 3])
        self.heads.add(head(1), 11.0)
        self.assertEqual((len(self.heads), self.heads.known_count), (2, 4))

    def test_one_that_ended_may_come_again(self) -> None:
        self.heads.take(2, 10.0)
        self.heads.remove(1)
        self.heads.remove(99)
        self.assertEqual(self.heads.known_count, 3)
        self.heads.add(head(1), 11.0)
        self.assertEqual(ids(self.heads.take(5, 11.0)), [1])

    def test_all_go_in_a_hurry(self) -> None:
        self.heads.hurry(11.0)
        self.assertEqual(ids(self.heads.take(5, 11.0)), [1, 2, 3, 4])

    def test_one_goes_in_a_hurry_if_none_may_go(self) -> None:
        self.heads.hurry_first(10.0)
        self.assertEqual(self.heads.ready_count(10.0), 2)
        self.heads.take(5, 10.0)
        self.heads.hurry_first(10.0)
        self.assertEqual(ids(self.heads.take(5, 10.0)), [4])
        Heads().hurry_first(10.0)

    def test_it_is_known_since_when_one_could_have_gone(self) -> None:
        self.assertEqual(self.heads.ready_since, 10.0)
        self.heads.take(1, 12.0)
        self.assertEqual(self.heads.ready_since, 12.0)
        self.heads.take(1, 13.0)
        self.assertIsNone(self.heads.ready_since)
        self.heads.ready_count(17.0)
        self.assertEqual(self.heads.ready_since, 15.0)
