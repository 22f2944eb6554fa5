"""Tests of tutumwatch/bridge/demo/cloud.py: how fast the story goes on."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.bridge.cases import BEGIN
from tutumwatch.bridge.announcement import Announcement
from tutumwatch.bridge.demo.cloud import DemoCloud
from tutumwatch.bridge.demo.story import OUTAGE_SECONDS


class CloudTests(SynchronousTestCase):
    """On a clock."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.heard: list[Announcement] = []
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))

    def hear(self, announcements: Sequence[Announcement]) -> None:
        """Hear what is announced."""
        self.heard += announcements

    def cloud(self, rate: float, seed: int = 1) -> DemoCloud:
        """Make a cloud and start it, for the length of a test."""
        cloud = DemoCloud(seed, rate, self.hear, self.clock, lambda: BEGIN + self.clock.seconds())
        cloud.startService()
        self.addCleanup(cloud.stopService)
        return cloud

    def run_for(self, seconds: float, step: float = 0.01) -> None:
        """Let time pass in steps."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)

    def assert_heard(self, count: int, more_or_less: float) -> None:
        """Fail unless about so many events were heard."""
        self.assertTrue(abs(len(self.heard) - count) <= more_or_less, f"{len(self.heard)} events")

    def test_the_past_is_not_announced(self) -> None:
        cloud = self.cloud(1)
        self.assertEqual(self.heard, [])
        actions = list(cloud.reducer.registry.things("action"))
        self.assertEqual(len(actions), 25)
        dates = [action.deployed_at for action in actions]
        self.assertEqual(dates, sorted(dates))
        self.assertGreaterEqual(dates[0], BEGIN - 86_400)
        self.assertLess(dates[-1], BEGIN)

    def test_as_many_events_as_asked_for(self) -> None:
        for rate, seconds, step, expected in (
            (1, 60, 0.1, 60),
            (0.5, 60, 0.1, 30),
            (50, 10, 0.01, 500),
            (700, 2, 0.001, 1400),
            (10_000, 2, 0.001, 20_000),
            (10_000, 2, 0.003, 20_000),
        ):
            self.heard.clear()
            cloud = self.cloud(rate)
            self.run_for(seconds, step)
            # A moment that tells of several things is told as a whole.
            self.assert_heard(expected, 6 + rate / 50)
            cloud.stopService()

    def test_a_whole_deploy_within_a_minute(self) -> None:
        self.cloud(1)
        self.run_for(60, 0.5)
        said = [f"{a.type} {a.state}" for a in self.heard]
        self.assertEqual(said[0], "service Redeploying")
        self.assertIn("action Success", said)

    def test_a_node_is_away_for_long_enough_at_any_rate(self) -> None:
        for rate in (2.0, 20.0):
            self.heard.clear()
            self.cloud(rate)
            told_at: dict[str, float] = {}
            begun = self.clock.seconds()
            while "node Deployed" not in told_at:
                self.assertLess(self.clock.seconds() - begun, 120.0, rate)
                self.clock.advance(0.5 / rate)
                for told in self.heard:
                    told_at.setdefault(f"{told.type} {told.state}", self.clock.seconds())
                self.heard.clear()
            away_seconds = told_at["node Deployed"] - told_at["node Unreachable"]
            self.assertApproximates(away_seconds, OUTAGE_SECONDS, 15.0)
            self.assertGreaterEqual(away_seconds, OUTAGE_SECONDS - 1.0)

    def test_none_stands_still(self) -> None:
        self.cloud(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.run_for(10)
        self.assertEqual(self.heard, [])

    def test_a_round_at_once_also_when_it_stands_still(self) -> None:
        cloud = self.cloud(0)
        cloud.play_round()
        said = [f"{a.type} {a.action} {a.state}" for a in self.heard]
        self.assertEqual(said[0], "service update Redeploying")
        self.assertIn("container create Starting", said)
        self.assertIn("action create In progress", said)
        self.assertEqual(
            said[-3:],
            ["service update Running", "stack update Running", "action update Success"],
        )

    def test_a_hold_up_is_made_good_not_all_at_once(self) -> None:
        self.cloud(1000)
        self.run_for(0.1, 0.001)
        self.heard.clear()
        self.clock.advance(0.5)
        self.assert_heard(4, 4)
        self.run_for(0.5, 0.001)
        self.assert_heard(1000, 6)

    def test_a_long_hold_up_is_left_out(self) -> None:
        self.cloud(100)
        self.clock.advance(3600)
        self.run_for(2)
        self.assert_heard(300, 10)

    def test_memory_stays_bounded(self) -> None:
        cloud = self.cloud(10_000)
        for _ in range(5):
            self.run_for(1)
            self.heard.clear()
            self.assertLessEqual(len(cloud.reducer.registry), 2000)

    def test_a_seed_gives_the_same_events(self) -> None:
        told = []
        for _ in range(2):
            self.heard.clear()
            cloud = DemoCloud(7, 100, self.hear, self.clock, lambda: BEGIN)
            cloud.startService()
            self.run_for(3)
            cloud.stopService()
            told.append(list(self.heard))
        self.assertGreater(len(told[0]), 250)
        self.assertEqual(told[0], told[1])

    def test_a_bug_is_logged_and_the_cloud_stands_still(self) -> None:
        def break_down(_: object) -> None:
            raise ZeroDivisionError

        cloud = DemoCloud(1, 1, break_down, self.clock, lambda: BEGIN)
        cloud.startService()
        self.clock.advance(1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        cloud.stopService()
