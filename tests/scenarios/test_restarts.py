"""What happened while nobody watched is told once, late; open pages are what is broken."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from tests.scenarios.harness import PAGERDUTY, SLACK, Scenario, own_rules
from tutumwatch.events.inputs import Silence
from tutumwatch.rules.notice import Form

MINUTE, HOUR = 60.0, 3600.0
FOR_TWO_MINUTES = """
[[incidents]]
name = "service down"
while = { type = "service", health = ["degraded", "down"] }
for = "2m"
clear_for = "10s"
notify = ["pagerduty", "slack"]
text = "{{ stack.name }}/{{ name }} is {{ health }}"
"""


class AwayTests(SynchronousTestCase):
    """Three nodes, of which the first is lost and that was told."""

    def setUp(self) -> None:
        self.story = Scenario()
        self.story.nodes("node-1", "node-2", "node-3")
        self.story.deploy("shop", "web", "shop/web:1.0", 9)
        self.story.start()
        self.story.wait(10 * MINUTE)
        self.story.cut("node-1")
        self.story.wait(10 * MINUTE)
        self.assert_broken("node-1")

    def assert_broken(self, *hostnames: str) -> None:
        """Fail unless there is one open page for each of these nodes, and no other."""
        pages = self.story.open_pages()
        self.assertEqual(len(pages), len(hostnames), pages)
        for hostname in hostnames:
            self.assertEqual(sum(hostname in page for page in pages), 1, pages)

    def assert_told_once(self, hostname: str, form: Form, since: float) -> None:
        """Fail unless each who is told of a node from a time on is told once, PagerDuty among them."""
        told = [s for s in self.story.said if hostname in s.text and s.at >= since]
        self.assertEqual({s.notice.form for s in told}, {form})
        notifiers = [s.notice.notifier for s in told]
        self.assertEqual(len(notifiers), len(set(notifiers)), notifiers)
        self.assertIn(PAGERDUTY, notifiers)

    def away(self, what_happens: Callable[[], None], *, lose_store: bool = False) -> float:
        """Let something happen while nobody watches; give when somebody does again."""
        story = self.story
        story.kill()
        if lose_store:
            story.lose_store()
        story.wait(MINUTE)
        what_happens()
        story.wait(5 * MINUTE)
        back = story.seconds
        story.start()
        story.wait(10 * MINUTE)
        return back

    def one_dies_and_another_recovers(self) -> None:
        """Change the roles of two nodes."""
        self.story.heal("node-1")
        self.story.wait(MINUTE)
        self.story.cut("node-2")

    def test_one_dies_and_another_recovers(self) -> None:
        back = self.away(self.one_dies_and_another_recovers)
        self.assert_broken("node-2")
        self.assertEqual(len(self.story.pages()), 2)
        self.assert_told_once("node-1", Form.RESOLVE, back)
        self.assert_told_once("node-2", Form.TRIGGER, back)

    def test_nothing_happens(self) -> None:
        back = self.away(lambda: None)
        self.assert_broken("node-1")
        self.assertEqual(len(self.story.pages()[0].triggers), 1)
        self.assertEqual(self.story.lines(since=back), [])

    def test_the_store_is_lost_meanwhile(self) -> None:
        """What recovered is resolved and not told; what is still broken is still one page."""
        back = self.away(self.one_dies_and_another_recovers, lose_store=True)
        self.assert_broken("node-2")
        self.assertEqual(len(self.story.pages()), 2)
        told = [line for line in self.story.messages(since=back) if "node-1" in line]
        self.assertEqual(told, [])

    def test_the_store_is_lost_and_nothing_happens(self) -> None:
        self.away(lambda: None, lose_store=True)
        self.assert_broken("node-1")
        self.assertEqual(len(self.story.pages()), 1)

    def test_it_recovers_while_the_stream_is_down(self) -> None:
        story = self.story
        story.disconnect()
        self.story.heal("node-1")
        story.wait(30 * MINUTE)
        self.assertTrue(any("node-1" in page for page in story.open_pages()))
        back = story.seconds
        story.connect()
        story.wait(10 * MINUTE)
        self.assert_broken()
        self.assert_told_once("node-1", Form.RESOLVE, back)
        self.assertEqual(story.pages(since=back), [])


class TimerTests(SynchronousTestCase):
    """A ``for`` of two minutes, whatever comes in between."""

    def setUp(self) -> None:
        self.story = Scenario(own_rules(FOR_TWO_MINUTES))
        self.story.nodes("node-1", "node-2", capacity=2)
        self.story.deploy("shop", "web", "shop/web:1.0", 4)
        self.story.start()
        self.story.wait(MINUTE)
        self.begun = self.story.seconds
        self.story.cut("node-1")

    def assert_opened_after(self, seconds: float, within: float = 1.0) -> None:
        """Wait long; fail unless one page was opened so long after the beginning."""
        self.story.wait(HOUR)
        (page,) = self.story.pages(since=self.begun)
        self.assertEqual(len(page.triggers), 1)
        after = page.opened_at - self.begun
        self.assertTrue(seconds - 1.0 <= after <= seconds + within, f"after {after} s")

    def test_nothing(self) -> None:
        self.assert_opened_after(120.0)

    def test_a_restart(self) -> None:
        self.story.wait(MINUTE)
        self.story.restart(away_seconds=30.0)
        self.assert_opened_after(120.0)

    def test_a_restart_over_its_end(self) -> None:
        """It is due at once, and comes as soon as the lists have said that it is still so."""
        self.story.wait(MINUTE)
        self.story.restart(away_seconds=300.0)
        self.assert_opened_after(360.0, within=5.0)

    def test_a_restart_with_a_clock_that_is_wrong(self) -> None:
        """Ahead, it counts as long ago; behind, the time that we were away does not count."""
        for wrong, expected in ((3600.0, 90.0), (-3600.0, 150.0)):
            self.setUp()
            self.story.wait(MINUTE)
            self.story.clock_wrong_seconds = wrong
            self.story.restart(away_seconds=30.0)
            self.assert_opened_after(expected, within=5.0)

    def test_a_stream_that_breaks_meanwhile(self) -> None:
        self.story.wait(MINUTE)
        self.story.disconnect()
        self.story.wait(30.0)
        self.story.connect()
        self.assert_opened_after(120.0)

    def test_a_reload(self) -> None:
        self.story.wait(MINUTE)
        self.story.reload(own_rules(FOR_TWO_MINUTES + "# the same\n"))
        self.assert_opened_after(120.0)

    def test_a_reload_that_shortens_it(self) -> None:
        self.story.wait(MINUTE)
        self.story.reload(own_rules(FOR_TWO_MINUTES.replace('"2m"', '"90s"')))
        self.assert_opened_after(90.0)

    def test_a_reload_and_a_restart(self) -> None:
        self.story.wait(30.0)
        self.story.reload(own_rules(FOR_TWO_MINUTES.replace('"2m"', '"3m"')))
        self.story.wait(30.0)
        self.story.restart(away_seconds=30.0)
        self.assert_opened_after(180.0)

    def test_a_silence(self) -> None:
        """Its end tells once what is still so."""
        now = self.story.now
        match = [{"type": "service", "name": "web"}]
        self.story.decide(Silence("s1", match, now, now + 600.0, "we know", "ops", now))
        self.assert_opened_after(600.0)
        self.assertEqual(len(self.story.pages(notifier=SLACK)), 1)

    def test_an_end_before_it_is_due(self) -> None:
        self.story.wait(90.0)
        self.story.heal("node-1")
        self.story.wait(HOUR)
        self.assertEqual(self.story.pages(since=self.begun), [])
