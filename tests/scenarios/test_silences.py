"""Silences and mutes: nothing is paged meanwhile, and once at the end what is still broken."""

from __future__ import annotations

from datetime import UTC, datetime

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.scenarios.harness import PAGERDUTY, SLACK, Scenario, own_rules
from tests.scenarios.timeline import BEGIN, Timeline
from tutumwatch.events.inputs import Silence, Unsilence
from tutumwatch.rules.notice import Form

SECOND, MINUTE, HOUR, DAY = 1.0, 60.0, 3600.0, 86_400.0
FOR = 2 * MINUTE
LOST = """
[[incidents]]
name = "node lost"
while = { type = "node", health = "down" }
for = "2m"
clear_for = "10s"
notify = ["pagerduty", "slack"]
text = "{{ name }} is lost"
resolve_text = "{{ name }} is back"
"""
GONE = """
[[messages]]
name = "removed"
match = { type = "service", kind = "gone" }
notify = ["slack"]
text = "{{ name }} is removed"
"""
# On the last Sunday of October the clocks of Berlin show 02:00 to 03:00 twice: at 00:00 and at
# 01:00 UTC of 2026-10-25.
NIGHT = """
[[mutes]]
name = "patch night"
match = { type = "node" }
days = ["Sun"]
from = "02:00"
to = "03:00"
tz = "Europe/Berlin"
"""


def seconds_of(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> float:
    """Say how long after the beginning of all stories a time in UTC is."""
    return datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp() - BEGIN


class QuietTestCase(SynchronousTestCase):
    """Gives each test a watched cloud of three nodes, of which none is lost."""

    story: Scenario

    def watch(self, rules: str, at: float = 0.0) -> None:
        """Begin the story at a time."""
        clock = Clock()
        clock.advance(at)
        self.story = Scenario(own_rules(rules), timeline=Timeline(clock))
        self.story.nodes("node-1", "node-2", "node-3")
        self.story.start()
        self.story.wait(MINUTE)
        self.begun = self.story.seconds

    def silence(
        self, lasts: float, silence_id: str = "s", /, *, after: float = 0.0, **match: str
    ) -> None:
        """Make a silence of nodes, or of something else."""
        starts = self.story.now + after
        tables = [match or {"type": "node"}]
        self.story.decide(
            Silence(silence_id, tables, starts, starts + lasts, "we know", "ops", self.story.now)
        )

    def wait_until(self, at: float) -> None:
        """Let time pass until a time."""
        self.story.wait(at - self.story.seconds)

    def told(self, notifier: str = PAGERDUTY) -> list[tuple[float, str]]:
        """Say what somebody was told of incidents since the beginning, and when: full seconds."""
        said = [
            one
            for one in self.story.said
            if one.at >= self.begun and one.notice.form is not Form.MESSAGE
        ]
        return [(round(s.at), s.text) for s in said if s.notice.notifier == notifier]

    def assert_told(self, *told: tuple[float, str]) -> None:
        """Fail unless this, and no more, was told to both of those that are to be told."""
        for notifier in (PAGERDUTY, SLACK):
            expected = sorted((round(at), text) for at, text in told)
            self.assertEqual(sorted(self.told(notifier)), expected)


class SilenceTests(QuietTestCase):
    """What people ask for, for a while."""

    def setUp(self) -> None:
        self.watch(LOST)

    def test_what_is_still_broken_at_its_end(self) -> None:
        """Told once, when it ends; what is broken later as always."""
        self.silence(HOUR)
        self.story.cut("node-1")
        self.story.cut("node-2")
        self.story.wait(30 * MINUTE)
        self.story.heal("node-2")
        self.wait_until(self.begun + HOUR - 1)
        self.assert_told()
        self.story.wait(HOUR)
        self.story.cut("node-3")
        at = self.story.seconds
        self.story.wait(HOUR)
        self.assert_told(
            (self.begun + HOUR, "node-1 is lost"),
            (at + FOR, "node-3 is lost"),
        )

    def test_what_was_not_told_has_no_end_either(self) -> None:
        """Of what came and went within it nobody hears anything."""
        self.silence(HOUR)
        self.story.cut("node-1")
        self.story.wait(30 * MINUTE)
        self.story.heal("node-1")
        self.story.wait(DAY)
        self.assert_told()

    def test_what_is_over_at_its_end(self) -> None:
        """A moment before it ends is early enough, and clear_for need not be over."""
        self.silence(HOUR)
        self.story.cut("node-1")
        self.wait_until(self.begun + HOUR - 5)
        self.story.heal("node-1")
        self.story.wait(HOUR)
        self.assert_told()

    def test_what_is_broken_for_less_than_for_at_its_end(self) -> None:
        self.silence(HOUR)
        self.wait_until(self.begun + HOUR - MINUTE)
        self.story.cut("node-1")
        self.story.wait(HOUR)
        self.assert_told((self.begun + HOUR + MINUTE, "node-1 is lost"))

    def test_one_that_ends_before_it_would_be_told(self) -> None:
        """Then it had nothing to withhold."""
        self.story.cut("node-1")
        self.silence(MINUTE)
        self.story.wait(HOUR)
        self.assert_told((self.begun + FOR, "node-1 is lost"))

    def test_one_that_begins_while_it_is_pending(self) -> None:
        self.story.cut("node-1")
        self.story.wait(MINUTE)
        self.silence(30 * MINUTE)
        self.story.wait(HOUR)
        self.assert_told((self.begun + 31 * MINUTE, "node-1 is lost"))

    def test_one_that_is_announced(self) -> None:
        """It withholds from its beginning on."""
        self.silence(HOUR, after=HOUR)
        self.story.cut("node-1")
        self.wait_until(self.begun + HOUR)
        self.story.cut("node-2")
        self.story.wait(HOUR + MINUTE)
        self.assert_told(
            (self.begun + FOR, "node-1 is lost"), (self.begun + 2 * HOUR, "node-2 is lost")
        )

    def test_one_that_is_removed_early(self) -> None:
        """What is still broken is told at once."""
        self.silence(DAY)
        self.story.cut("node-1")
        self.story.cut("node-2")
        self.story.wait(HOUR)
        self.story.heal("node-2")
        self.story.wait(MINUTE)
        self.assert_told()
        at = self.story.seconds
        self.story.decide(Unsilence("s", self.story.now))
        self.story.wait(2 * DAY)
        self.assert_told((at, "node-1 is lost"))

    def test_one_of_two_that_is_removed(self) -> None:
        """The other one goes on."""
        self.silence(DAY, "first")
        self.silence(HOUR, "second", name="node-1")
        self.story.cut("node-1")
        self.story.wait(30 * MINUTE)
        self.story.decide(Unsilence("first", self.story.now))
        self.wait_until(self.begun + HOUR - 1)
        self.assert_told()
        self.story.wait(MINUTE)
        self.assert_told((self.begun + HOUR, "node-1 is lost"))

    def test_one_that_another_follows(self) -> None:
        """Told when the last one ends."""
        self.silence(HOUR, "first")
        self.silence(2 * HOUR, "second", after=30 * MINUTE)
        self.story.cut("node-1")
        self.story.wait(DAY)
        self.assert_told((self.begun + 2.5 * HOUR, "node-1 is lost"))

    def test_one_that_comes_while_a_page_is_open(self) -> None:
        """The page stays as it is, and who was told of it hears of its end meanwhile."""
        self.story.cut("node-1")
        self.story.wait(HOUR)
        self.silence(DAY)
        self.story.wait(HOUR)
        self.assertEqual(len(self.told()), 1)
        self.story.heal("node-1")
        self.story.wait(HOUR)
        (_, (_, text)) = self.told()
        self.assertEqual(text, "node-1 is back")
        self.assertEqual(self.told(SLACK), self.told())
        self.assertEqual(self.story.open_pages(), [])

    def test_what_falls_again_meanwhile(self) -> None:
        """Its first page was closed; the next one waits for the end."""
        self.story.cut("node-1")
        self.story.wait(HOUR)
        self.silence(HOUR)
        ends = self.story.seconds + HOUR
        self.story.heal("node-1")
        self.story.wait(10 * MINUTE)
        self.story.cut("node-1")
        self.story.wait(2 * HOUR)
        self.assertEqual(
            [text for _, text in self.told()],
            ["node-1 is lost", "node-1 is back", "node-1 is lost"],
        )
        self.assertEqual(self.told()[-1][0], round(ends))

    def test_over_a_restart(self) -> None:
        """It is kept, and ends when it was said to."""
        self.silence(HOUR)
        self.story.cut("node-1")
        self.story.wait(10 * MINUTE)
        self.story.restart(away_seconds=5 * MINUTE)
        self.story.cut("node-2")
        self.wait_until(self.begun + HOUR - 1)
        self.assert_told()
        self.story.wait(MINUTE)
        self.assert_told(
            (self.begun + HOUR, "node-1 is lost"), (self.begun + HOUR, "node-2 is lost")
        )

    def test_whose_end_nobody_saw(self) -> None:
        """What is still broken is told as soon as that is known."""
        self.silence(HOUR)
        self.story.cut("node-1")
        self.story.cut("node-2")
        self.story.wait(30 * MINUTE)
        self.story.kill()
        self.story.heal("node-2")
        self.story.wait(HOUR)
        back = self.story.seconds
        self.story.start()
        self.story.wait(HOUR)
        ((at, text),) = self.told()
        self.assertEqual(text, "node-1 is lost")
        self.assertTrue(back <= at <= back + 5, at - back)

    def test_over_a_reload(self) -> None:
        self.silence(HOUR)
        self.story.cut("node-1")
        self.story.wait(10 * MINUTE)
        self.story.reload(own_rules(LOST.replace('"2m"', '"1m"')))
        self.story.wait(10 * MINUTE)
        self.assert_told()
        self.story.wait(HOUR)
        self.assert_told((self.begun + HOUR, "node-1 is lost"))

    def test_over_a_stream_that_is_down_at_its_end(self) -> None:
        """It is looked up then, and told; its end waits for the stream."""
        self.silence(HOUR)
        self.story.cut("node-1")
        self.story.cut("node-2")
        self.wait_until(self.begun + 50 * MINUTE)
        self.story.disconnect()
        self.story.heal("node-2")
        self.wait_until(self.begun + HOUR + MINUTE)
        self.assert_told((self.begun + HOUR, "node-1 is lost"))
        self.story.heal("node-1")
        self.story.wait(HOUR)
        self.assertEqual(len(self.told()), 1)
        self.story.connect()
        self.story.wait(HOUR)
        self.assertEqual([text for _, text in self.told()], ["node-1 is lost", "node-1 is back"])

    def test_one_that_is_over_before_it_matters(self) -> None:
        """With a restart and a reload besides, it is two minutes from the true beginning."""
        self.story.cut("node-1")
        self.silence(50 * SECOND)
        self.story.wait(20 * SECOND)
        self.story.restart(away_seconds=20 * SECOND)
        self.story.reload(own_rules(LOST.replace("is lost", "is away")))
        self.story.wait(20 * SECOND)
        self.story.restart(away_seconds=20 * SECOND)
        self.story.wait(HOUR)
        self.assert_told((self.begun + FOR, "node-1 is away"))

    def test_of_a_rule_or_of_one_thing(self) -> None:
        """Others are told as always."""
        self.silence(HOUR, name="node-1")
        self.silence(HOUR, "other", rule="another rule")
        self.story.cut("node-1")
        self.story.cut("node-2")
        self.story.wait(30 * MINUTE)
        self.assert_told((self.begun + FOR, "node-2 is lost"))

    def test_of_one_of_two_that_are_one_incident(self) -> None:
        """The other one opens it; what was withheld keeps it open after the silence."""
        self.watch(LOST + 'key = "nodes"\n')
        self.silence(HOUR, name="node-1")
        self.story.cut("node-1")
        self.story.cut("node-2")
        self.story.wait(30 * MINUTE)
        self.assert_told((self.begun + FOR, "node-2 is lost"))
        self.story.wait(HOUR)
        self.story.heal("node-2")
        self.story.wait(HOUR)
        self.assertEqual(len(self.told()), 1)
        self.story.heal("node-1")
        self.story.wait(HOUR)
        self.assertEqual([text for _, text in self.told()], ["node-2 is lost", "node-1 is back"])

    def test_of_what_is_told_again_and_again(self) -> None:
        """It withholds that as well; at its end one that is overdue is told."""
        self.watch(LOST + 'repeat = "1h"\n')
        self.story.cut("node-1")
        first = self.begun + FOR
        self.wait_until(first + 90 * MINUTE)
        self.silence(150 * MINUTE)
        self.wait_until(first + 5.5 * HOUR)
        hours = (0, 1, 4, 5)
        self.assert_told(*((first + hour * HOUR, "node-1 is lost") for hour in hours))
        self.story.heal("node-1")
        self.story.wait(DAY)
        self.assertEqual(len(self.told()), len(hours) + 1)

    def test_of_messages(self) -> None:
        """They are not said later: they are news no more."""
        self.watch(GONE)
        for name in ("web", "db"):
            self.story.deploy("shop", name, "i:1", 1)
        self.silence(HOUR, name="web")
        for name in ("web", "db"):
            self.story.play(self.story.engine.remove(self.story.cloud.service(name)))
        self.story.wait(DAY)
        self.assertEqual(self.story.lines(), ["db is removed"])


class MaintenanceTests(QuietTestCase):
    """Windows of a configuration."""

    def test_a_window(self) -> None:
        """Nothing within it; at its end, once, what is still broken."""
        opens = seconds_of(2026, 6, 7)
        self.watch(LOST + NIGHT, opens - HOUR)
        self.story.cut("node-1")
        before = self.story.seconds + FOR
        self.wait_until(opens + 10 * MINUTE)
        self.story.cut("node-2")
        self.story.cut("node-3")
        self.wait_until(opens + 30 * MINUTE)
        self.story.heal("node-1")
        back = self.story.seconds + 10
        self.story.heal("node-3")
        self.wait_until(opens + DAY)
        self.assert_told(
            (before, "node-1 is lost"), (back, "node-1 is back"), (opens + HOUR, "node-2 is lost")
        )

    def test_at_the_end_of_summer_time(self) -> None:
        """Two hours, since the clocks show the same hour twice."""
        opens = seconds_of(2026, 10, 25)
        self.watch(LOST + NIGHT, opens - HOUR)
        self.wait_until(opens + 10 * MINUTE)
        self.story.cut("node-1")
        self.wait_until(opens + HOUR + 10 * MINUTE)
        self.story.cut("node-2")
        self.wait_until(opens + 2 * HOUR - 1)
        self.assert_told()
        self.story.wait(HOUR)
        self.assert_told((opens + 2 * HOUR, "node-1 is lost"), (opens + 2 * HOUR, "node-2 is lost"))

    def test_an_end_that_the_clocks_show_twice(self) -> None:
        """It is the second time: a window is not shorter than it was announced."""
        midnight = seconds_of(2026, 10, 25)
        night = NIGHT.replace('"02:00"', '"01:00"').replace('"03:00"', '"02:30"')
        self.watch(LOST + night, midnight - 3 * HOUR)
        self.wait_until(midnight + 10 * MINUTE)
        self.story.cut("node-1")
        self.wait_until(midnight + 3 * HOUR)
        self.assert_told((midnight + 1.5 * HOUR, "node-1 is lost"))

    def test_at_the_end_of_summer_time_over_a_restart(self) -> None:
        opens = seconds_of(2026, 10, 25)
        self.watch(LOST + NIGHT, opens - HOUR)
        self.wait_until(opens + 10 * MINUTE)
        self.story.cut("node-1")
        self.wait_until(opens + HOUR - MINUTE)
        self.story.restart(away_seconds=2 * MINUTE)
        self.wait_until(opens + 2 * HOUR - 1)
        self.assert_told()
        self.story.wait(HOUR)
        self.assert_told((opens + 2 * HOUR, "node-1 is lost"))

    def test_a_silence_over_the_end_of_summer_time(self) -> None:
        """A length of time is one, whatever the clocks show."""
        night = seconds_of(2026, 10, 25)
        self.watch(LOST, night - HOUR)
        self.silence(4 * HOUR)
        self.story.cut("node-1")
        self.wait_until(night + 4 * HOUR)
        self.assert_told((self.begun + 4 * HOUR, "node-1 is lost"))

    def test_at_the_beginning_of_summer_time(self) -> None:
        """On that night the hour is skipped, and with it the window."""
        night = seconds_of(2026, 3, 29)
        self.watch(LOST + NIGHT, night)
        self.story.cut("node-1")
        at = self.story.seconds + FOR
        self.wait_until(night + 3 * HOUR)
        self.assert_told((at, "node-1 is lost"))

    def test_a_reload_that_takes_the_window_away(self) -> None:
        """What it withheld is told at once."""
        opens = seconds_of(2026, 6, 7)
        self.watch(LOST + NIGHT, opens)
        self.story.cut("node-1")
        self.story.wait(10 * MINUTE)
        self.assert_told()
        at = self.story.seconds
        self.story.reload(own_rules(LOST))
        self.story.wait(2 * HOUR)
        self.assert_told((at, "node-1 is lost"))

    def test_a_reload_that_makes_it_longer(self) -> None:
        opens = seconds_of(2026, 6, 7)
        self.watch(LOST + NIGHT, opens)
        self.story.cut("node-1")
        self.story.wait(10 * MINUTE)
        self.story.reload(own_rules(LOST + NIGHT.replace('"03:00"', '"05:00"')))
        self.story.wait(DAY)
        self.assert_told((opens + 3 * HOUR, "node-1 is lost"))

    def test_a_restart_without_the_window(self) -> None:
        """A file that was changed while nobody watched comes to the same as a reload."""
        opens = seconds_of(2026, 6, 7)
        self.watch(LOST + NIGHT, opens)
        self.story.cut("node-1")
        self.story.wait(10 * MINUTE)
        self.story.kill()
        self.story.rules = own_rules(LOST)
        back = self.story.seconds
        self.story.start()
        self.story.wait(DAY)
        ((at, _),) = self.told()
        self.assertTrue(back <= at <= back + 5, at - back)

    def test_every_week(self) -> None:
        """The same again a week later, and nothing between."""
        opens = seconds_of(2026, 6, 7)
        self.watch(LOST + NIGHT, opens)
        for week in range(2):
            self.wait_until(opens + week * 7 * DAY + 20 * MINUTE)
            self.story.cut("node-1")
            self.story.wait(DAY)
            self.story.heal("node-1")
        self.story.wait(DAY)
        self.assertEqual(
            [at for at, text in self.told() if text == "node-1 is lost"],
            [round(opens + HOUR), round(opens + 7 * DAY + HOUR)],
        )
        self.assertEqual(len(self.told()), 4)
