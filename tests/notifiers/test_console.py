"""Tests of the console."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.notifiers.cases import notice
from tests.secrets_check import RecordedLog
from tutumwatch.notifiers.console import KIND, ConsoleSettings, escape_control, make_console
from tutumwatch.notifiers.contract import Sender
from tutumwatch.notifiers.outcomes import Delivered


class ConsoleTests(SynchronousTestCase):
    """Every notice is a line of the log."""

    def test_each_notice_is_a_line_at_info(self) -> None:
        log = RecordedLog()
        self.addCleanup(log.stop)
        console = make_console(ConsoleSettings(kind="console"))
        self.assertIsInstance(console, Sender)
        outcomes = self.successResultOf(console.send([notice("Connected"), notice("{braces}")]))
        self.assertEqual(outcomes, [Delivered(), Delivered()])
        self.assertEqual([formatEvent(e) for e in log.events], ["Connected", "{braces}"])
        self.assertEqual(
            {(e["log_level"].name, e["rule"]) for e in log.events}, {("info", "service down")}
        )

    def test_a_value_cannot_steer_the_terminal(self) -> None:
        self.assertEqual(escape_control("web\x1b[2J\r\nok"), r"web\x1b[2J\r\nok")
        self.assertEqual(escape_control("ü 🚀 é"), "ü 🚀 é")
        self.assertEqual(KIND.escape("\x9b"), r"\x9b")

    @given(st.text())
    def test_whatever_it_is(self, value: str) -> None:
        self.assertTrue(escape_control(value).isprintable())
