"""Tests of single values: what a setting's type takes, and what is said of everything else."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.config.values import convert_setting, describe, may_be_left_out
from tutumwatch.rules.notice import Severity
from tutumwatch.secret import Secret
from tutumwatch.settings import Duration

Colour = Literal["red", "green"]


class ConvertSettingTests(SynchronousTestCase):
    """A value of the right type is taken; any other is refused with what would be right."""

    def test_what_is_taken(self) -> None:
        for value, annotation, converted in (
            ("x", str, "x"),
            ("x", str | None, "x"),
            (None, str | None, None),
            (True, bool, True),
            (3, int, 3),
            (3, int | None, 3),
            (3, float, 3.0),
            (0.5, float | None, 0.5),
            (["a"], list[str], ["a"]),
            ([], list[str], []),
            ("x", Secret, Secret("x")),
            ("x", Secret | None, Secret("x")),
            ("5m", Duration, Duration(300.0)),
            ("5m", Duration | None, Duration(300.0)),
            ("red", Colour, "red"),
            ("green", Colour | None, "green"),
            ("warning", Severity, Severity.WARNING),
            ({"a": [1]}, Any, {"a": [1]}),
        ):
            self.assertEqual(convert_setting(value, annotation), converted, annotation)

    def test_what_is_refused(self) -> None:
        text = "expected a text in quotes, got "
        duration = 'expected a length of time such as "15s" or "5m", got '
        texts = 'expected a list of texts such as ["a", "b"], got '
        colour = "expected 'red' or 'green', got "
        for value, annotation, said in (
            (5, str, f"{text}a number"),
            (True, str | None, f"{text}true or false"),
            (dt.date(2026, 11, 1), str, f"{text}a date or time"),
            (["x"], str, f"{text}a list"),
            ({}, str, f"{text}a table"),
            (5, Secret, f"{text}a number"),
            (5, Secret | None, f"{text}a number"),
            ("x", bool, "expected true or false, got a text"),
            (1, bool, "expected true or false, got a number"),
            ("3", int, "expected a whole number, got a text"),
            (1.5, int | None, "expected a whole number, got a number"),
            (True, int, "expected a whole number, got true or false"),
            ("1", float, "expected a finite number, got a text"),
            (float("nan"), float, "expected a finite number, got a number"),
            (float("inf"), float | None, "expected a finite number, got a number"),
            (15, Duration, f"{duration}a number"),
            (
                "15",
                Duration,
                '\'15\' is no length of time; write it like "500ms", "15s", "5m" or "1h30m"',
            ),
            ("a", list[str], f"{texts}a text"),
            (["a", 1], list[str], f"{texts}a list"),
            ("gren", Colour, f"{colour}'gren' (did you mean 'green'?)"),
            (1, Colour | None, f"{colour}a number"),
            ([], Colour, f"{colour}a list"),
            (
                "bad",
                Severity,
                "expected 'critical' or 'error' or 'warning' or 'info', got 'bad'",
            ),
        ):
            problem = self.assertRaises(ValueError, convert_setting, value, annotation)
            self.assertEqual(str(problem), said, annotation)

    def test_a_type_that_nobody_foresaw_is_refused_as_well(self) -> None:
        """A notifier of somebody else may declare any type that msgspec can read."""
        self.assertEqual(convert_setting({"a": 1}, dict[str, int]), {"a": 1})
        problem = self.assertRaises(ValueError, convert_setting, 5, dict[str, int])
        self.assertEqual(str(problem), "expected something else, got a number")

    def test_only_an_optional_setting_may_be_left_out(self) -> None:
        self.assertTrue(may_be_left_out(str | None))
        self.assertFalse(may_be_left_out(str))

    def test_a_description_has_no_value_in_it(self) -> None:
        self.assertEqual(describe("hunter2"), "a text")
        self.assertEqual(describe(dt.time(1)), "a date or time")
