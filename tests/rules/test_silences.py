"""Tests of silences and mutes: what they withhold, when they end, and what a restart keeps."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.rules.silenced import (
    DAY,
    HOUR,
    NODE_2,
    STRANGER,
    WEB,
    WEB_1,
    mute,
    said,
    silence,
    view_of,
)
from tutumwatch.events.inputs import Silence
from tutumwatch.inventory.resource import Resource
from tutumwatch.rules.decisions import RecordName
from tutumwatch.rules.silences import REMEMBERED_SECONDS, Silences


def silences(*added: Silence) -> Silences:
    """Make silences that were saved already."""
    made = Silences()
    for one in added:
        made.add(one)
    made.records.take()
    return made


def restored(records: dict[RecordName, bytes]) -> Silences:
    """Make silences of what was kept, all of which can be read."""
    made = Silences()
    assert made.restore(records) == 0
    return made


class WithholdingTests(SynchronousTestCase):
    """What is withheld, and by what."""

    def withheld(self, by: Silences, of: Resource = WEB, now: float = 1.0) -> str | None:
        """Give what withholds that the rule "news" says something of a resource."""
        return by.withholding("news", view_of(of), now)

    def test_a_silence_from_its_start_up_to_its_end(self) -> None:
        known = silences(silence(starts=10.0, ends=20.0))
        for now, by in ((9.9, None), (10.0, "5eaf00"), (19.9, "5eaf00"), (20.0, None)):
            self.assertEqual(self.withheld(known, now=now), by)
            self.assertEqual(known.ends_at("5eaf00", now), 20.0 if now < 20.0 else None)

    def test_what_does_not_match_is_said_and_what_nobody_can_tell_as_well(self) -> None:
        known = silences(silence())
        self.assertEqual(self.withheld(known, WEB_1), "5eaf00")
        self.assertIsNone(self.withheld(known, NODE_2))
        self.assertIsNone(self.withheld(known, STRANGER))

    def test_rules_by_name(self) -> None:
        known = silences(silence(match=[{"rule": "news"}]))
        self.assertEqual(known.withholding("news", view_of(NODE_2), 1.0), "5eaf00")
        self.assertIsNone(known.withholding("node lost", view_of(NODE_2), 1.0))

    def test_a_mute_holds_in_its_window(self) -> None:
        known = Silences()
        known.use([mute()], 12 * HOUR)
        for hour, by in ((12, None), (21.9, None), (22, "nights"), (29.9, "nights"), (30, None)):
            self.assertEqual(self.withheld(known, NODE_2, hour * HOUR), by)
        self.assertIsNone(self.withheld(known, WEB, 23 * HOUR))
        # It is asked of earlier times too: a clock that went back over a restart.
        self.assertEqual(self.withheld(known, NODE_2, 1 * HOUR), "nights")
        for hour, ends in ((12, 30), (23, 30), (31, 54), (1, 6)):
            self.assertEqual(known.ends_at("nights", hour * HOUR), ends * HOUR)
        self.assertIsNone(known.ends_at("days", 0.0))

    def test_mutes_are_those_that_were_used_last(self) -> None:
        known = Silences()
        known.use([mute(), mute("mornings", begin="06:00", end="12:00")], 0.0)
        self.assertEqual(self.withheld(known, NODE_2, 7 * HOUR), "mornings")
        known.use([mute(begin="07:00", end="08:00")], 0.0)
        self.assertEqual(self.withheld(known, NODE_2, 7 * HOUR), "nights")
        self.assertIsNone(self.withheld(known, NODE_2, 8 * HOUR))
        self.assertEqual(known.next_due(), 8 * HOUR)
        for hour in (4, 3):
            known.use([mute(begin="01:00", end=f"{hour}:00")], 0.0)
            self.assertEqual(known.next_due(), hour * HOUR)
        known.use([], 0.0)
        self.assertEqual((known.mutes, known.next_due()), ((), None))

    def test_a_silence_that_is_removed(self) -> None:
        known = silences(silence(), silence("beef01"))
        self.assertTrue(known.remove("5eaf00"))
        self.assertEqual(self.withheld(known), "beef01")
        self.assertTrue(known.remove("beef01"))
        self.assertIsNone(self.withheld(known))
        self.assertFalse(known.remove("beef01"))
        self.assertEqual((known.next_due(), list(known)), (None, []))
        self.assertIsNone(known.ends_at("beef01", 1.0))

    def test_a_second_one_of_the_same_id_replaces_the_first(self) -> None:
        known = silences(silence(), silence(match={"name": "db"}, ends=2 * HOUR))
        self.assertIsNone(self.withheld(known))
        self.assertEqual([one.ends for one in known], [2 * HOUR])
        self.assertEqual(known.next_due(), 2 * HOUR)

    def test_one_that_means_nothing_changes_nothing(self) -> None:
        known = silences()
        error = self.assertRaises(ValueError, known.add, silence(match=[{"colour": 1}, "web"]))
        self.assertIn("0.colour: 'colour' is no known field; 1: expected a table", str(error))
        error = self.assertRaises(ValueError, known.add, silence(match="web"))
        self.assertTrue(str(error).startswith("expected a table"), str(error))
        self.assertEqual((list(known), known.next_due(), bool(known.records)), ([], None, False))


class EndingTests(SynchronousTestCase):
    """Their ends are told once."""

    def test_a_silence_ends_and_is_forgotten_a_day_later(self) -> None:
        known = silences(silence(ends=10.0), silence("beef01", ends=20.0))
        self.assertEqual((known.next_due(), known.tick(9.0)), (10.0, []))
        self.assertEqual((known.tick(10.0), known.next_due()), (["5eaf00"], 20.0))
        self.assertEqual(known.tick(25.0), ["beef01"])
        self.assertEqual(known.next_due(), 10.0 + REMEMBERED_SECONDS)
        self.assertEqual(known.get("5eaf00"), silence(ends=10.0))
        self.assertEqual(known.tick(15.0 + REMEMBERED_SECONDS), [])
        self.assertIsNone(known.get("5eaf00"))
        self.assertEqual(known.records.take(), {("silence", "5eaf00"): None})
        self.assertEqual([one.id for one in known], ["beef01"])

    def test_a_tick_that_comes_days_late_still_tells_of_the_end(self) -> None:
        known = silences(silence(ends=10.0))
        known.use([mute()], 0.0)
        self.assertEqual(known.tick(3 * DAY), ["5eaf00", "nights"])
        self.assertIsNone(known.get("5eaf00"))
        self.assertEqual(known.next_due(), 3 * DAY + 6 * HOUR)

    def test_a_mute_ends_every_day(self) -> None:
        known = Silences()
        known.use([mute()], 0.0)
        for day in range(3):
            due = day * DAY + 6 * HOUR
            self.assertEqual(
                (known.next_due(), known.tick(due), known.tick(due)), (due, ["nights"], [])
            )

    @given(
        st.lists(st.tuples(st.floats(0, 9), st.floats(0.1, 9)), max_size=4),
        st.lists(st.floats(0, 20), max_size=8),
    )
    def test_what_was_withheld_is_said_at_the_latest_when_all_ended(
        self, times: list[tuple[float, float]], ticks: list[float]
    ) -> None:
        """Whoever waits for ``ends_at`` or for an end that is told waits for ever for nothing."""
        known = silences(
            *(silence(f"s{n}", None, at, at + long) for n, (at, long) in enumerate(times))
        )
        waits_for: str | None = None
        for now in sorted([*ticks, 0.0, 30.0]):
            ended = known.tick(now)
            by = known.withholding("news", view_of(WEB), now)
            if waits_for is not None and by != waits_for:
                ends = next(one.ends for one in known if one.id == waits_for)
                self.assertTrue(waits_for in ended or ends > now)
            if by is not None:
                ends_at = known.ends_at(by, now)
                assert ends_at is not None
                self.assertGreater(ends_at, now)
                due = known.next_due()
                assert due is not None
                self.assertLessEqual(due, ends_at)
            waits_for = by
        self.assertIsNone(waits_for)


class KeepingTests(SynchronousTestCase):
    """What a restart keeps."""

    def test_silences_are_kept_as_they_were(self) -> None:
        before = Silences()
        before.add(silence("beef01", at=2.0))
        before.add(silence(at=1.0))
        before.note([said(name="web")], 1.0)
        self.assertTrue(before.records)
        records = {name: value for name, value in before.records.take().items() if value}
        self.assertEqual(
            set(records), {("silence", "5eaf00"), ("silence", "beef01"), ("said", "0")}
        )
        self.assertFalse(before.records)
        after = restored({**records, ("greeted", "main"): b"\xc1"})
        self.assertEqual(list(after), [silence(at=1.0), silence("beef01", at=2.0)])
        self.assertEqual(len(list(after.said.since(0.0))), 1)
        self.assertEqual(after.withholding("news", view_of(WEB), 1.0), "5eaf00")
        self.assertEqual(after.next_due(), HOUR)
        self.assertFalse(after.records)
        after.save_everything()
        self.assertEqual(after.records.take(), records)

    def test_one_that_ended_meanwhile_is_told_at_once(self) -> None:
        kept = msgspec.msgpack.encode(silence(ends=10.0))
        after = restored({("silence", "5eaf00"): kept})
        self.assertEqual((after.next_due(), after.tick(100.0)), (10.0, ["5eaf00"]))

    def test_what_cannot_be_read_is_forgotten(self) -> None:
        bad = msgspec.msgpack.encode(silence("bad", {"colour": 1}))
        good = msgspec.msgpack.encode(silence())
        after = Silences()
        records = {("silence", "x"): b"\xc1", ("silence", "bad"): bad, ("silence", "5eaf00"): good}
        self.assertEqual(after.restore({**records, ("said", "7"): b"\xc1"}), 3)
        self.assertEqual([one.id for one in after], ["5eaf00"])
        self.assertEqual(
            after.records.take(),
            {("silence", "x"): None, ("silence", "bad"): None, ("said", "7"): None},
        )
