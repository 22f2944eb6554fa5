"""Tests of how the log is written: for people, and for machines."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tutumwatch.logs import JSONObserver, TextObserver, json_observer, text_observer

# 2026-11-24T09:14:14.834Z
AT = 1_795_511_654.834


FAILURE = Failure(ValueError("what went wrong"))


class TextObserverTests(SynchronousTestCase):
    """A line for each event, for people."""

    def written(self, **event: object) -> str:
        """Give what is written for an event."""
        out = io.StringIO()
        observer = TextObserver(out)
        verifyObject(ILogObserver, observer)
        observer({"log_time": AT, "log_level": LogLevel.info, **event})
        return out.getvalue()

    def test_time_and_text(self) -> None:
        self.assertEqual(
            self.written(log_format="{who} is here", who="shop"),
            "2026-11-24T09:14:14Z shop is here\n",
        )

    def test_a_warning_is_marked(self) -> None:
        line = self.written(log_format="careful", log_level=LogLevel.warn)
        self.assertEqual(line, "2026-11-24T09:14:14Z warn: careful\n")

    def test_an_event_of_the_old_kind(self) -> None:
        """Twisted's own older parts log without a level."""
        out = io.StringIO()
        TextObserver(out)({"log_time": AT, "log_format": "old"})
        self.assertEqual(out.getvalue(), "2026-11-24T09:14:14Z old\n")

    def test_a_traceback_follows(self) -> None:
        text = self.written(log_format="a bug", log_failure=FAILURE, log_level=LogLevel.critical)
        first, *rest = text.splitlines()
        self.assertEqual(first, "2026-11-24T09:14:14Z critical: a bug")
        self.assertIn("ValueError: what went wrong", rest[-1])


class JSONObserverTests(SynchronousTestCase):
    """An object for each event, a line each."""

    def written(self, **event: object) -> dict[str, object]:
        """Give the object that is written for an event; fail if it is not one line."""
        out = io.StringIO()
        observer = JSONObserver(out)
        verifyObject(ILogObserver, observer)
        observer({"log_time": AT, "log_level": LogLevel.info, **event})
        (line,) = out.getvalue().split("\n")[:-1]
        decoded = json.loads(line)
        assert isinstance(decoded, dict)
        return decoded

    def test_the_fields(self) -> None:
        self.assertEqual(
            self.written(
                log_format="{stream}: {reason}",
                log_namespace="tutumwatch.stream",
                log_level=LogLevel.warn,
                stream="main",
                reason="gone\nfor good",
                secret_key="not one of ours",
            ),
            {
                "ts": "2026-11-24T09:14:14.834+00:00",
                "level": "warn",
                "ns": "tutumwatch.stream",
                "msg": "main: gone\nfor good",
                "stream": "main",
                "reason": "gone\nfor good",
            },
        )

    def test_what_the_event_is_about_is_text(self) -> None:
        self.assertEqual(self.written(log_format="x", state=7)["state"], "7")

    def test_an_event_of_the_old_kind(self) -> None:
        out = io.StringIO()
        JSONObserver(out)({"log_time": AT, "log_format": "old"})
        line = json.loads(out.getvalue())
        self.assertEqual((line["level"], line["ns"], line["msg"]), ("info", "", "old"))

    def test_a_traceback_is_a_field(self) -> None:
        traceback = str(self.written(log_format="a bug", log_failure=FAILURE)["traceback"])
        self.assertIn("ValueError: what went wrong", traceback)

    @given(text=st.text())
    def test_any_text_is_one_line(self, text: str) -> None:
        self.assertEqual(self.written(log_format="{text}", text=text)["msg"], text)


class StdoutTests(SynchronousTestCase):
    """What ``twistd --logger=...`` is given writes to stdout, without the chatter of libraries."""

    def observed(self, make: Callable[[], ILogObserver], encoding: str = "utf-8") -> Logger:
        """Give a logger whose observer was made while stdout was a terminal of some encoding."""
        self.stdout = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        with contextlib.redirect_stdout(self.stdout):
            return Logger("ours", observer=make())

    def lines(self) -> list[str]:
        """Give the lines that were written."""
        written = self.stdout.buffer.getvalue()
        return written.decode(self.stdout.encoding).splitlines()

    def test_text(self) -> None:
        log = self.observed(text_observer)
        log.debug("no")
        log.info("yes")
        (line,) = self.lines()
        self.assertTrue(line.endswith("Z yes"), line)

    def test_json(self) -> None:
        self.observed(json_observer).warn("yes", stream="main")
        (line,) = self.lines()
        self.assertEqual(json.loads(line)["msg"], "yes")

    def test_libraries_are_heard_when_it_is_critical(self) -> None:
        for namespace in (
            "autobahn.twisted.websocket",
            "txaio.tx",
            "twisted.web.http",
            "twisted.internet.tcp.Port",
        ):
            log = Logger(namespace, observer=self.observed(text_observer).observer)
            log.info("a")
            log.error("b")
            log.critical("c")
            self.assertEqual([line[-1] for line in self.lines()], ["c"], namespace)

    def test_a_terminal_that_knows_no_such_letters_loses_no_line(self) -> None:
        for make in (text_observer, json_observer):
            self.observed(make, "ascii").info("Grüße")
            (line,) = self.lines()
            self.assertIn("Gr\\xfc\\xdfe", line)

    def test_a_stdout_that_is_no_terminal(self) -> None:
        """Whoever runs us may have put any object with ``write`` there."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            Logger("ours", observer=text_observer()).info("Grüße")
        self.assertTrue(out.getvalue().endswith("Z Grüße\n"))


class FormatTests(SynchronousTestCase):
    """A line that cannot be formatted is still a line."""

    def test_a_value_that_is_missing(self) -> None:
        """Twisted says so in place of the text; nothing is raised to who logs."""
        out = io.StringIO()
        Logger("ours", observer=TextObserver(out)).info("{missing}")
        self.assertIn("Unable to format event", out.getvalue())
