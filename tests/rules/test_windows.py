"""Tests of windows: on ordinary days, on those of 23 and 25 hours, and against a plain reference."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.live.programs import ROOT
from tutumwatch.rules.windows import DAYS, Span, WeeklyWindow, compile_window, instant_of

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
# Midnight is skipped and shown twice in Havana; Apia had no 30 December in 2011.
HAVANA, APIA = "America/Havana", "Pacific/Apia"
MINUTE = 60.0


def unexpected(key: str, what: str) -> None:
    """Take a mistake where there is none."""
    raise AssertionError((key, what))


def window(
    days: Sequence[str] | None = None,
    begin: str | None = None,
    end: str | None = None,
    zone: str = "UTC",
) -> WeeklyWindow:
    """Compile a window that holds no mistake."""
    return compile_window(days, begin, end, zone, unexpected)


def utc(text: str) -> float:
    """Give the time that a text such as ``2026-03-29T01:00`` names in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def span(begins: str, ends: str) -> Span:
    """Give a span between two times in UTC."""
    return Span(utc(begins), utc(ends))


def holds_at(window: WeeklyWindow, at: float) -> bool:
    """Say whether a window holds at a time."""
    return window.span(at).begins <= at


class OrdinaryDaysTests(SynchronousTestCase):
    """No clock is set."""

    def test_hours_of_a_day(self) -> None:
        patch_night = window(["Tue"], "02:00", "04:00", BERLIN)
        begins, ends = utc("2026-11-24T01:00"), utc("2026-11-24T03:00")
        for at, holds in (
            (begins - 1, False),
            (begins, True),
            (ends - 1, True),
            (ends, False),
            (begins - 86_400, False),
            (begins + 86_400, False),
        ):
            self.assertEqual(holds_at(patch_night, at), holds, at)
        for at in (begins - 1, begins, ends - 1):
            self.assertEqual(patch_night.span(at), Span(begins, ends))
        self.assertEqual(patch_night.span(ends).ends, ends + 7 * 86_400)

    def test_over_midnight_the_days_are_those_on_which_it_begins(self) -> None:
        nights = window(["Fri"], "22:00", "06:00")
        friday = span("2026-11-27T22:00", "2026-11-28T06:00")
        self.assertEqual(nights.span(utc("2026-11-28T05:00")), friday)
        self.assertFalse(holds_at(nights, utc("2026-11-27T05:00")))
        self.assertFalse(holds_at(nights, utc("2026-11-28T22:00")))

    def test_what_is_left_out(self) -> None:
        wednesday = utc("2026-11-25T12:00")
        for found, expected in (
            (window(["Wed"]), span("2026-11-25T00:00", "2026-11-26T00:00")),
            (window(["Wed"], "08:00"), span("2026-11-25T08:00", "2026-11-26T00:00")),
            (window(["Wed"], None, "13:00"), span("2026-11-25T00:00", "2026-11-25T13:00")),
            (window(["Wed"], "8:00", "24:00"), span("2026-11-25T08:00", "2026-11-26T00:00")),
            (window(["Wed"], "8:00", "00:00"), span("2026-11-25T08:00", "2026-11-26T00:00")),
            (window(None, "11:00", "13:00"), span("2026-11-25T11:00", "2026-11-25T13:00")),
        ):
            self.assertEqual(found.span(wednesday), expected)

    def test_days_that_follow_each_other_are_one(self) -> None:
        weekend = window(["Sat", "Sun"], zone=NEW_YORK)
        ends = utc("2026-11-30T05:00")
        self.assertEqual(weekend.span(utc("2026-11-27T12:00")), Span(utc("2026-11-28T05:00"), ends))
        self.assertEqual(weekend.span(utc("2026-11-29T12:00")).ends, ends)

    def test_days_from_one_to_another(self) -> None:
        for written, meant in (
            (["Mon-Fri"], DAYS[:5]),
            (["sat - mon", "Wed"], ("Sat", "Sun", "Mon", "Wed")),
            (["Tue-Tue"], ("Tue",)),
        ):
            self.assertEqual(window(written, "1:00"), window(meant, "01:00"))


class SetClocksTests(SynchronousTestCase):
    """Days on which clocks are set."""

    def test_what_they_skip_counts_as_the_moment_at_which_they_do(self) -> None:
        for zone, shown, jump in (
            (BERLIN, "2026-03-29T02:30", "2026-03-29T01:00"),
            (NEW_YORK, "2026-03-08T02:00", "2026-03-08T07:00"),
            (NEW_YORK, "2026-03-08T02:59:59.5", "2026-03-08T07:00"),
            (LORD_HOWE, "2026-10-04T02:15", "2026-10-03T15:30"),
            (HAVANA, "2026-03-08T00:00", "2026-03-08T05:00"),
            (APIA, "2011-12-30T12:00", "2011-12-30T10:00"),
        ):
            for last in (False, True):
                found = instant_of(datetime.fromisoformat(shown), ZoneInfo(zone), last=last)
                self.assertEqual(found, utc(jump), (zone, shown))

    def test_what_they_show_twice(self) -> None:
        for zone, shown, first, last in (
            (BERLIN, "2026-10-25T02:30", "2026-10-25T00:30", "2026-10-25T01:30"),
            (NEW_YORK, "2026-11-01T01:30", "2026-11-01T05:30", "2026-11-01T06:30"),
            (LORD_HOWE, "2026-04-05T01:45", "2026-04-04T14:45", "2026-04-04T15:15"),
        ):
            wall = datetime.fromisoformat(shown)
            self.assertEqual(instant_of(wall, ZoneInfo(zone)), utc(first))
            self.assertEqual(instant_of(wall, ZoneInfo(zone), last=True), utc(last))

    def test_spring(self) -> None:
        """Begun or ended in the hour that is not there; within it, it is not there at all."""
        sunday = utc("2026-03-28T22:00")
        for begin, end, expected in (
            ("02:30", "04:00", span("2026-03-29T01:00", "2026-03-29T02:00")),
            ("01:00", "02:30", span("2026-03-29T00:00", "2026-03-29T01:00")),
            ("02:10", "02:50", span("2026-04-05T00:10", "2026-04-05T00:50")),
        ):
            self.assertEqual(window(["Sun"], begin, end, BERLIN).span(sunday), expected)

    def test_autumn(self) -> None:
        """From the first time to the second one: never shorter than announced."""
        saturday = utc("2026-10-24T12:00")
        for days, begin, end, expected in (
            (["Sun"], "02:15", "02:45", span("2026-10-25T00:15", "2026-10-25T01:45")),
            (["Sat"], "23:00", "02:30", span("2026-10-24T21:00", "2026-10-25T01:30")),
            (["Sun"], "02:30", "04:00", span("2026-10-25T00:30", "2026-10-25T03:00")),
            (["Sun"], None, None, span("2026-10-24T22:00", "2026-10-25T23:00")),
        ):
            self.assertEqual(window(days, begin, end, BERLIN).span(saturday), expected)

    def test_a_night_that_ends_after_the_next_one_has_begun(self) -> None:
        """They are one: at no time between them does anybody want to hear of it."""
        nights = window(None, "02:45", "02:30", BERLIN)
        self.assertEqual(nights.span(utc("2026-10-24T12:00")).ends, utc("2026-10-26T01:30"))


def shown_minutes(begin: float, count: int, zone: ZoneInfo) -> list[datetime]:
    """Give what a clock shows in each minute from a time on."""
    times = (datetime.fromtimestamp(begin + MINUTE * n, zone) for n in range(count))
    return [at.replace(tzinfo=None, fold=0) for at in times]


def held_minutes(
    shown: list[datetime], days: frozenset[str], begin: timedelta, end: timedelta
) -> set[int]:
    """Look minute by minute: from the first that shows the begin or later, to the end's last."""
    held: set[int] = set()
    first_day = shown[0].replace(hour=0, minute=0) - timedelta(days=2)
    for number in range((shown[-1] - shown[0]).days + 4):
        day = first_day + timedelta(days=number)
        if DAYS[day.weekday()] in days:
            since = [n for n, at in enumerate(shown) if at >= day + begin]
            until = [n + 1 for n, at in enumerate(shown) if at < day + end]
            # Clocks that are set back to the very end show it twice, and nothing before it again.
            until += [n for n, at in enumerate(shown) if at == day + end]
            if since and until:
                held |= set(range(since[0], max(until)))
    return held


ZONES = st.sampled_from((BERLIN, NEW_YORK, LORD_HOWE, HAVANA, "Asia/Kolkata"))
# Every one of these zones sets its clocks on one of these days, or the day before or after.
DATES = st.sampled_from(
    ("2026-03-07", "2026-03-28", "2026-04-04", "2026-10-03", "2026-10-24", "2026-10-31")
)
MINUTES = st.integers(0, 24 * 60 - 1) | st.integers(0, 4).map(lambda half: 30 * half)


class ReferenceTests(SynchronousTestCase):
    """Against a look at the clock in every minute of some days."""

    @settings(max_examples=60, deadline=None)
    @given(
        ZONES,
        DATES,
        st.frozensets(st.sampled_from(DAYS), min_size=1),
        MINUTES,
        MINUTES,
        st.integers(0, 4 * 24 * 60),
    )
    @example(BERLIN, "2026-03-28", frozenset(DAYS), 150, 120, 1)
    @example(LORD_HOWE, "2026-04-04", frozenset(DAYS), 105, 100, 1)
    @example(LORD_HOWE, "2026-04-04", frozenset({"Mon", "Sat"}), 91, 90, 0)
    def test_a_window_is_what_a_clock_shows(
        self, zone: str, date: str, days: frozenset[str], begin: int, end: int, some: int
    ) -> None:
        if begin == end:
            return
        since, until = (f"{minute // 60:02}:{minute % 60:02}" for minute in (begin, end))
        found = window(sorted(days), since, until, zone)
        start = utc(f"{date}T00:00") - 4 * 86_400
        shown = shown_minutes(start, 13 * 24 * 60, ZoneInfo(zone))
        lasting = end if end > begin else end + 24 * 60
        held = held_minutes(shown, days, timedelta(minutes=begin), timedelta(minutes=lasting))
        # The days before, and those after, know of windows that do not lie among these minutes.
        looked_at = range(3 * 24 * 60, 8 * 24 * 60)
        edges = {n for n in looked_at if (n in held) != (n - 1 in held)}
        for n in sorted(edges | {n - 1 for n in edges} | {3 * 24 * 60 + some}):
            at = start + MINUTE * n
            self.assertEqual(holds_at(found, at), n in held, at)
            self.assertEqual(holds_at(found, at + 59.0), n in held, at)
            following = range(n + 1, len(shown))
            end_of_it = next((m for m in following if m not in held and m - 1 in held), None)
            if end_of_it is not None and end_of_it < 11 * 24 * 60:
                self.assertEqual(found.span(at).ends, start + MINUTE * end_of_it)

    @settings(max_examples=60)
    @given(ZONES, st.floats(0, 4e9), st.frozensets(st.sampled_from(DAYS), min_size=1), MINUTES)
    def test_it_ends_when_it_does_not_hold_any_more(
        self, zone: str, at: float, days: frozenset[str], begin: int
    ) -> None:
        if begin == 24 * 60 - 1:
            return
        found = window(sorted(days), f"{begin // 60}:{begin % 60:02}", "23:59", zone)
        ends = [at]
        while len(ends) < 4:
            ends.append(found.span(ends[-1]).ends)
        for before, after in pairwise(ends):
            self.assertGreater(after, before)
            self.assertTrue(holds_at(found, after - 0.5))
            self.assertFalse(holds_at(found, after))


class MistakesTests(SynchronousTestCase):
    """What cannot be meant."""

    def mistakes(
        self,
        days: Sequence[str] | None = ("Mon",),
        begin: str | None = None,
        end: str | None = None,
        zone: str = "UTC",
    ) -> list[str]:
        """Give the mistakes in a window."""
        found: list[str] = []
        compile_window(days, begin, end, zone, lambda key, what: found.append(f"{key}: {what}"))
        return found

    def test_days(self) -> None:
        days = "days are Mon, Tue, Wed, Thu, Fri, Sat, Sun"
        self.assertEqual(
            self.mistakes(["Tues", "Montag", "Mon-Fr"]),
            [
                f"days: 'Tues' is no day (did you mean 'Tue'?); {days}",
                f"days: 'Montag' is no day (did you mean 'Mon'?); {days}",
                f"days: 'Fr' is no day (did you mean 'Fri'?); {days}",
            ],
        )
        self.assertEqual(self.mistakes([]), ["days: names no day, so it would never hold"])
        (mistake,) = self.mistakes(["Mon-Wed-Fri"])
        self.assertIn("more than from one day to another", mistake)

    def test_times(self) -> None:
        for written in ("2", "24:01", "24:00", "12:60", "noon", "-1:00", "12:00:00"):
            (mistake,) = self.mistakes(begin=written)
            self.assertEqual(
                mistake,
                f'from: {written!r} is no time of a day; write it like "02:00" or "23:30"',
            )
        self.assertEqual(len(self.mistakes(begin="25:00", end="26:00")), 2)

    def test_no_time_at_all_and_always(self) -> None:
        self.assertEqual(
            self.mistakes(begin="02:00", end="2:00"),
            ['to: is the same time as from; the end of a day is "24:00"'],
        )
        self.assertEqual(len(self.mistakes(end="00:00")), 1)
        for days in (None, ["Mon-Sun"]):
            (mistake,) = self.mistakes(days)
            self.assertIn("would always hold", mistake)

    def test_zones(self) -> None:
        for zone, what in (
            ("Europe/Berln", "'Europe/Berln' is no time zone (did you mean 'Europe/Berlin'?)"),
            ("Nowhere", '\'Nowhere\' is no time zone, such as "Europe/Berlin" or "UTC"'),
        ):
            self.assertEqual(self.mistakes(zone=zone)[0], f"tz: {what}")
        for zone in ("", "Europe", "../etc/passwd", "/etc/passwd", "a\0b", "x" * 300):
            self.assertEqual(len(self.mistakes(zone=zone)), 1, zone)

    def test_where_the_system_has_no_files_of_zones(self) -> None:
        """A slim image has none."""
        program = f"from zoneinfo import ZoneInfo; print(ZoneInfo('{LORD_HOWE}'))"
        done = subprocess.run(
            (sys.executable, "-c", program),
            cwd=ROOT,
            env={**os.environ, "PYTHONTZPATH": ""},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        self.assertEqual((done.stdout.strip(), done.stderr), (LORD_HOWE, ""))
