"""Tests of what is written for a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.cli.terminal import (
    age,
    counted,
    cut,
    first_line,
    moment,
    table,
    visible,
    visible_lines,
)


class VisibleTests(SynchronousTestCase):
    """What others wrote does not steer the terminal."""

    def test_what_a_terminal_obeys_is_written_as_an_escape(self) -> None:
        for text, shown in (
            ("\x1b[2J", "\\x1b[2J"),
            ("a\rb", "a\\rb"),
            ("\x9b31m", "\\x9b31m"),
            ("\u202egnp", "\\u202egnp"),
            ("\ud800", "\\ud800"),
            ("wörk: 仕事 🎉", "wörk: 仕事 🎉"),
        ):
            self.assertEqual(visible(text), shown)

    @given(st.text(st.characters(codec=None)))
    def test_nothing_else_is_left(self, text: str) -> None:
        for line in (visible(text), *visible_lines(text), first_line(text)):
            self.assertTrue(line.isprintable())
            line.encode()

    def test_lines(self) -> None:
        self.assertEqual(visible_lines("a\n\n\x07b"), ["a", "", "\\x07b"])
        self.assertEqual(first_line("\n \n  a\tb \nc"), "a\\tb")
        self.assertEqual(first_line(""), "")


class WordsTests(SynchronousTestCase):
    """Tables, ages, numbers."""

    def test_a_table_is_aligned(self) -> None:
        self.assertEqual(
            table(("id", "who", "what"), [("7", "slack", "x y"), ("100", "pd", "")]),
            [" id  who    what", "  7  slack  x y", "100  pd"],
        )

    def test_ages(self) -> None:
        for seconds, said in (
            (-5.0, "0s"),
            (0.9, "0s"),
            (59.0, "59s"),
            (60.0, "1m"),
            (61.0, "1m 1s"),
            (3_600.0, "1h"),
            (3_659.0, "1h"),
            (11_100.0, "3h 5m"),
            (90_000.0, "1d 1h"),
        ):
            self.assertEqual(age(seconds), said)

    def test_moments(self) -> None:
        self.assertEqual(moment(1_767_323_045.6), "2026-01-02T03:04:05Z")
        self.assertEqual(moment(1e20), "100000000000000000000 s after 1970")

    def test_cutting_marks_itself(self) -> None:
        self.assertEqual(cut("abcdef", 4), "abc…")
        self.assertEqual((cut("abcd", 4), cut("abcdef", None)), ("abcd", "abcdef"))

    def test_numbers(self) -> None:
        self.assertEqual((counted(1, "notice"), counted(2, "notice")), ("1 notice", "2 notices"))
