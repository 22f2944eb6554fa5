"""The slow one: a real break of twenty seconds, under the environment alone."""

from __future__ import annotations

import random

from twisted.internet import reactor
from twisted.internet.task import deferLater

from tests.fakes.answers import Answer
from tests.live.running import GREETING_COUNT, LiveTestCase


class LowDice(random.Random):
    """Always throws the lowest number, so that the attempts to reconnect have known times."""

    def uniform(self, a: float, b: float) -> float:
        """Give the lower end."""
        return min(a, b)


class TwentySecondsTests(LiveTestCase):
    """A user of the tutorial, whose stream is away for twenty seconds."""

    async def test_it_triggers_once_and_resolves_once(self) -> None:
        """In that order, although PagerDuty takes in the first trigger and never answers."""
        self.start(dice=LowDice())
        await self.pagerduty.when(lambda fake: len(fake.events) == GREETING_COUNT)
        self.pagerduty.answer_next(Answer.accept_then_hang())
        cut_at = reactor.seconds()
        await self.tutum.refuse_connections()
        await deferLater(reactor, 20.0)
        self.assertEqual(self.pagerduty.open_keys(), ["tutum-stream"])
        self.assertApproximates(self.pagerduty.incidents[0].opened_at - cut_at, 15.0, 1.0)
        await self.tutum.resume()
        # Attempts are 0.8, 1.6, 3.2, 6.4, 12.8 s apart: the fifth finds the stream back.
        await self.pagerduty.when(
            lambda fake: fake.closed_count("tutum-stream") == 1, timeout_seconds=15
        )
        self.assertEqual(self.pagerduty.opened_count("tutum-stream"), 1)
        tried = [request.json()["event_type"] for request in self.pagerduty.requests]
        self.assertEqual(tried, ["resolve", "resolve", "trigger", "trigger", "resolve"])
        self.assertEqual(self.slack.texts, [])
