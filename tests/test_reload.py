"""Tests of reading the configuration again: one time after the other, and what is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from twisted.internet.defer import Deferred
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.secrets_check import RecordedLog
from tutumwatch.config.mistakes import ConfigurationError, Mistake
from tutumwatch.config.plans import Configuration
from tutumwatch.reload import Load, Reloads

FIRST, SECOND, THIRD = (cast("Configuration", name) for name in ("first", "second", "third"))
BAD = ConfigurationError("watch.toml", [Mistake("streams", "none", 7), Mistake("url", "no URL", 3)])
AT = "2027-01-15T08:00:00+00:00"


def reading(configuration: Configuration) -> Load:
    """Make what reads a configuration."""
    return lambda: configuration


def failing(problem: Exception) -> Load:
    """Make what cannot read one."""

    def load() -> Configuration:
        raise problem

    return load


class ReloadsTests(SynchronousTestCase):
    """What goes over to a configuration is held by the test."""

    def setUp(self) -> None:
        """Make it."""
        self.log = RecordedLog()
        self.addCleanup(self.log.stop)
        self.begun: list[Configuration] = []
        self.held: list[Deferred[None]] = []
        self.reloads = Reloads(self.go_over, lambda: 1_800_000_000.0)

    async def go_over(self, configuration: Configuration) -> None:
        """Begin, and go on when the test says so."""
        self.begun.append(configuration)
        self.held.append(Deferred())
        await self.held[-1]

    def ask(self, load: Load) -> Deferred[None]:
        """Ask for a reload."""
        return self.reloads.ask(load)

    def lines(self) -> Sequence[str]:
        """Give what was logged."""
        return [f"{e['log_level'].name}: {formatEvent(e)}" for e in self.log.events]

    def test_before_the_first_there_is_nothing_to_tell(self) -> None:
        self.assertEqual(self.reloads.last, {})

    def test_it_is_done_when_all_goes_on_with_it(self) -> None:
        done = self.ask(reading(FIRST))
        self.assertEqual((self.begun, self.reloads.last), ([FIRST], {}))
        self.assertNoResult(done)
        self.held[0].callback(None)
        self.successResultOf(done)
        self.assertEqual(self.reloads.last, {"state": "ok", "at": AT, "reason": ""})

    def test_a_mistake_changes_nothing_and_all_mistakes_are_told(self) -> None:
        self.successResultOf(self.ask(failing(BAD)))
        self.assertEqual(self.begun, [])
        self.assertEqual(
            self.lines(),
            [
                "error: reload: watch.toml:3: url: no URL",
                "error: reload: watch.toml:7: streams: none",
                "error: reload failed: nothing is changed, all goes on as it was",
            ],
        )
        said = {"state": "failed", "at": AT, "reason": "watch.toml:3: url: no URL"}
        self.assertEqual(self.reloads.last, said)

    def test_what_is_wrong_with_the_options_is_a_mistake_too(self) -> None:
        self.successResultOf(self.ask(failing(ValueError("--demo: it watches something else"))))
        self.assertEqual(self.reloads.last["reason"], "--demo: it watches something else")

    def test_what_only_shows_when_it_is_used_is_a_mistake_too(self) -> None:
        done = self.ask(reading(FIRST))
        self.held[0].errback(BAD)
        self.successResultOf(done)
        self.assertEqual(self.reloads.last["state"], "failed")
        self.assertIn("nothing is changed", self.lines()[-1])

    def test_the_next_one_is_not_held_up_by_a_mistake(self) -> None:
        self.successResultOf(self.ask(failing(BAD)))
        self.ask(reading(FIRST))
        self.held[0].callback(None)
        self.assertEqual(self.reloads.last["state"], "ok")

    def test_a_bug_is_told_and_holds_up_nothing(self) -> None:
        done = self.ask(reading(FIRST))
        self.held[0].errback(ZeroDivisionError("a secret"))
        self.successResultOf(done)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.reloads.last["reason"], "a bug: ZeroDivisionError")
        self.assertIn("halfway", self.lines()[-1])
        self.ask(reading(SECOND))
        self.assertEqual(self.begun, [FIRST, SECOND])

    def test_one_at_a_time_and_what_is_asked_for_meanwhile_is_read_once(self) -> None:
        """What comes later is what counts, so that is read."""
        asked = [self.ask(reading(FIRST)), self.ask(reading(SECOND)), self.ask(reading(THIRD))]
        self.assertEqual(self.begun, [FIRST])
        self.held[0].callback(None)
        self.assertEqual(self.begun, [FIRST, THIRD])
        for done in asked:
            self.assertNoResult(done)
        self.held[1].callback(None)
        for done in asked:
            self.successResultOf(done)
        self.assertEqual(self.begun, [FIRST, THIRD])

    def test_stopped_it_ends_what_is_under_way_and_does_no_more(self) -> None:
        first, second = self.ask(reading(FIRST)), self.ask(reading(SECOND))
        self.reloads.stop()
        self.successResultOf(first)
        self.successResultOf(second)
        self.successResultOf(self.ask(reading(THIRD)))
        self.assertEqual((self.begun, self.reloads.last), ([FIRST], {}))
        self.assertEqual((self.lines(), self.flushLoggedErrors()), ([], []))

    def test_stopped_with_nothing_to_do(self) -> None:
        self.reloads.stop()
        self.assertEqual(self.lines(), [])
