"""Tests of the types that settings are written in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.settings import Duration


class DurationTests(SynchronousTestCase):
    """A length of time is a number and a unit, or several."""

    def test_units(self) -> None:
        for text, seconds in (
            ("500ms", 0.5),
            ("0s", 0.0),
            ("15s", 15.0),
            ("1.5s", 1.5),
            ("5m", 300.0),
            ("2h", 7200.0),
            ("1d", 86400.0),
            ("1h30m", 5400.0),
            ("1m5s", 65.0),
            (" 15s ", 15.0),
        ):
            self.assertEqual(Duration.parse(text), Duration(seconds), text)

    def test_anything_else_is_refused_with_the_forms_that_are_understood(self) -> None:
        for text in (
            "",
            "15",
            "s",
            "15 s",
            "1h 30m",
            "-5s",
            "5s!",
            "x5s",
            "1e3s",
            ".5s",
            "5S",
            "2w",
        ):
            problem = self.assertRaises(ValueError, Duration.parse, text)
            self.assertEqual(
                str(problem),
                f'{text!r} is no length of time; write it like "500ms", "15s", "5m" or "1h30m"',
            )

    @given(st.integers(min_value=0, max_value=10**9), st.sampled_from("smhd"))
    def test_any_number_of_a_unit(self, number: int, unit: str) -> None:
        seconds = number * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
        self.assertEqual(Duration.parse(f"{number}{unit}"), Duration(seconds))

    def test_durations_are_ordered(self) -> None:
        self.assertTrue(Duration.parse("90s") < Duration.parse("2m"))
