"""Tests of the members of all rules, and of what is kept of them over a restart."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.inventory.resource import Change, ChangeKind, Resource
from tutumwatch.rules.acquaintance import Acquaintance
from tutumwatch.rules.members import Check, Member, Phase, record_of
from tutumwatch.rules.membership import Membership
from tutumwatch.rules.records import Records

AFTER = Resource(("main", "service", "s1"), "/api/v1/service/s1/", name="web")
CHANGE = Change("main/e1", ChangeKind.NEW, None, AFTER, frozenset({"name"}), 5.0)
MEMBER = Member(("rule", AFTER.key), ("rule", "key"), Phase.PENDING, 5.0, CHANGE)
NAME = record_of("member", *MEMBER.name)


class KeepingTests(SynchronousTestCase):
    """A member is found by its resource, its incident, its look-ups and its time."""

    def setUp(self) -> None:
        """Keep one."""
        self.records = Records()
        self.members = Membership(self.records)
        check = Check(7, frozenset({"/a/", "/b/"}))
        self.member = attrs.evolve(MEMBER, due=9.0, check=check)
        self.members.keep(self.member)

    def test_it_is_found(self) -> None:
        self.assertEqual(list(self.members), [self.member])
        self.assertEqual(self.members.get(MEMBER.name), self.member)
        self.assertEqual(self.members.of_incident(MEMBER.incident), [self.member])
        self.assertEqual(self.members.rules_of(AFTER.key), ["rule"])
        self.assertTrue(self.members.is_member(AFTER.key))
        for uri in ("/a/", "/b/"):
            self.assertEqual(self.members.waiting_for("main", uri), [self.member])
        self.assertEqual(self.members.waiting_for("lab", "/a/"), [])
        self.assertEqual(self.members.timers.next_due(), 9.0)

    def test_as_it_is_last(self) -> None:
        changed = attrs.evolve(self.member, incident=("rule", "other"), due=None, check=None)
        self.members.keep(changed)
        self.assertEqual(self.members.of_incident(MEMBER.incident), [])
        self.assertEqual(self.members.of_incident(changed.incident), [changed])
        self.assertEqual(self.members.waiting_for("main", "/a/"), [])
        self.assertIsNone(self.members.timers.next_due())

    def test_what_is_forgotten_leaves_nothing(self) -> None:
        other = attrs.evolve(MEMBER, name=("second", AFTER.key))
        self.members.keep(other)
        self.members.forget(MEMBER.name)
        self.assertEqual(self.members.rules_of(AFTER.key), ["second"])
        self.members.forget(other.name)
        empty = Membership(self.records)
        for index in ("_members", "_rules_of", "_of_incident", "_checked"):
            self.assertEqual(getattr(self.members, index), getattr(empty, index))
        self.assertFalse(self.members.is_member(AFTER.key))
        self.assertIsNone(self.members.timers.next_due())
        self.assertEqual(set(self.records.take().values()), {None})

    def test_what_is_kept_is_read_again(self) -> None:
        record = self.records.take()[NAME]
        assert record is not None
        again = Membership(Records())
        again.restore(record, 6.0)
        self.assertEqual(list(again), [self.member])
        self.assertEqual(again.timers.next_due(), 9.0)

    def test_each_change_is_recorded_once(self) -> None:
        self.assertTrue(self.records)
        self.assertEqual(list(self.records.take()), [NAME])
        self.assertFalse(self.records)
        self.assertEqual(self.records.take(), {})
        self.members.save_everything()
        self.assertEqual(list(self.records.take()), [NAME])

    @given(st.floats(0.0, 99.0), st.none() | st.floats(0.0, 99.0), st.none() | st.floats(0.0, 99.0))
    def test_no_date_is_ahead_of_now(
        self, since: float, gap_since: float | None, excused_since: float | None
    ) -> None:
        """The clock was wrong when it was kept: what is left to wait is what was left then."""
        begun = since if gap_since is None else gap_since
        kept = attrs.evolve(
            MEMBER, since=since, gap_since=gap_since, excused_since=excused_since, due=begun + 7.0
        )
        records = Records()
        Membership(records).keep(kept)
        record = records.take()[NAME]
        assert record is not None
        again = Membership(Records())
        again.restore(record, 50.0)
        (read,) = again
        dates = (read.since, read.gap_since or 0.0, read.excused_since or 0.0)
        self.assertLessEqual(max(dates), 50.0)
        assert read.due is not None
        self.assertAlmostEqual(read.due, min(begun, 50.0) + 7.0)
        if max(since, gap_since or 0.0, excused_since or 0.0) <= 50.0:
            self.assertEqual(read, kept)


class AcquaintanceTests(SynchronousTestCase):
    """A first connect and a first listing tell of nothing new."""

    def setUp(self) -> None:
        """Know no stream."""
        self.acquaintance = Acquaintance()

    def test_only_the_first_is_the_first(self) -> None:
        for first in (True, False):
            self.assertEqual(self.acquaintance.greet("main"), first)
            self.assertEqual(self.acquaintance.catch_up("main"), first)
        self.assertTrue(self.acquaintance.greet("lab"))

    def test_what_was_listed(self) -> None:
        self.acquaintance.greet("main")
        self.assertFalse(self.acquaintance.has_listed("main"))
        self.acquaintance.catch_up("main")
        self.assertTrue(self.acquaintance.has_listed("main"))
        self.assertFalse(self.acquaintance.has_listed("lab"))

    def test_it_is_kept(self) -> None:
        self.acquaintance.greet("main")
        self.acquaintance.catch_up("main")
        kept = self.acquaintance.records.take()
        again = Acquaintance()
        again.restore([*kept, ("member", "main")])
        self.assertFalse(again.greet("main") or again.catch_up("main"))
        again.save_everything()
        self.assertEqual(again.records.take(), kept)

    def test_a_stream_that_is_not_watched_any_more_is_new_when_it_comes_back(self) -> None:
        for stream in ("main", "lab"):
            self.acquaintance.greet(stream)
            self.acquaintance.catch_up(stream)
        self.acquaintance.records.take()
        self.acquaintance.forget_others(["lab"])
        self.assertEqual(
            self.acquaintance.records.take(),
            {("greeted", "main"): None, ("caught up", "main"): None},
        )
        self.assertEqual([self.acquaintance.greet(name) for name in ("main", "lab")], [True, False])
