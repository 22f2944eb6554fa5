"""Tests of the heads that may go, and those whose time has not come."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from tests.outbox.cases import notice
from tutumwatch.outbox.heads import Heads
from tutumwatch.outbox.store import Delivery


def head(row_id: int) -> Delivery:
    """Make a head."""
    return Delivery(row_id, notice(str(row_id)))


def ids(taken: Sequence[Delivery]) -> list[int]:
    """Give the rows of heads."""
    return [delivery.row_id for delivery in taken]


class HeadsTests(SynchronousTestCase):
    """They go in the order of their commit, whenever they were added."""

    def setUp(self) -> None:
        """Add four: two at once, one at 20, one at 15."""
        self.heads = Heads()
        for row_id, due in ((3, 0.0), (1, 0.0), (2, 20.0), (4, 15.0)):
            self.heads.add(head(row_id), 10.0, due)

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
