"""Tests of the reactor's time: that it is the wall clock's as Twisted makes it, and then is not."""

from __future__ import annotations

import time

from twisted.internet.epollreactor import EPollReactor
from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.monotonic import run_on_monotonic_time


class MonotonicTimeTests(SynchronousTestCase):
    """A reactor of this test's own, on which nothing else runs."""

    def setUp(self) -> None:
        """Make the reactor."""
        self.reactor = EPollReactor()
        self.addCleanup(self.reactor._poller.close)
        self.addCleanup(self.reactor.removeAll)

    def test_twisted_counts_on_the_wall_clock(self) -> None:
        """If this fails, Twisted has changed, and tutumwatch/monotonic.py may have had its time."""
        self.assertApproximates(self.reactor.seconds(), time.time(), 5.0)

    def test_what_is_due_is_due_on_the_monotonic_clock(self) -> None:
        before = self.reactor.callLater(60.0, lambda: None)
        run_on_monotonic_time(self.reactor)
        after = self.reactor.callLater(60.0, lambda: None)
        for call in (before, after):
            self.assertApproximates(call.getTime(), time.monotonic() + 60.0, 5.0)
        after.reset(30.0)
        self.assertApproximates(after.getTime(), time.monotonic() + 30.0, 5.0)
        self.assertApproximates(self.reactor.timeout(), 30.0, 5.0)

    def test_calls_are_made(self) -> None:
        """Those that were asked for before, too."""
        made: list[str] = []
        self.reactor.callLater(0.01, made.append, "before")
        run_on_monotonic_time(self.reactor)
        self.reactor.callLater(0.02, made.append, "after")
        end = time.monotonic() + 5.0
        while len(made) < 2 and time.monotonic() < end:
            self.reactor.runUntilCurrent()
        self.assertEqual(made, ["before", "after"])
