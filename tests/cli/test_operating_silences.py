"""Tests that docs/operating.md shows what the commands about silences print."""

from __future__ import annotations

import re
import shlex
import time

import attrs
from twisted.internet.task import Clock

from tests.cli.test_operating import examples
from tests.cli.test_silence import SilenceCommandTestCase
from tests.rules.silenced import NODE_2, WEB, mute, said
from tutumwatch.control.silencing import Silencing

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class OperatingTests(SilenceCommandTestCase):
    """Each example is run, one after the other, beside a watcher as the document tells of it."""

    def setUp(self) -> None:
        """Have said two things of the service web, and one of a node."""
        super().setUp()
        self.now = time.time()
        self.watch()
        silencing = Silencing(
            self.decider, self.carry_out, lambda: self.now, lambda: "5eaf00", Clock()
        )
        self.commands = attrs.evolve(self.commands, silencing=silencing)
        about_web = {"stream": "main", "type": "service", "resource_uri": WEB.uri}
        for ago, rule, notifier, text, about in (
            (7_500, "news", "slack", "shop/web 3/3 running, deployed in 2 min 3 s", about_web),
            (600, "news", "slack", "n", {**about_web, "type": "node", "resource_uri": NODE_2.uri}),
            (60, "service down", "pagerduty", "shop/web 2/3 partly running", about_web),
        ):
            notice = attrs.evolve(said(rule, notifier), text=text, details=about)
            self.decider.silences.note([notice], self.now - ago)
        # As that of the document it holds later, whatever the time is now.
        begin, end = (self.clock_time_in(hours) for hours in (10, 18))
        self.decider.silences.use([mute(begin=begin, end=end)], self.now)

    def clock_time_in(self, hours: int) -> str:
        """Give what a clock will show in some hours."""
        return time.strftime("%H:%M", time.gmtime(self.now + hours * 3600))

    def test_every_example(self) -> None:
        found = [one for one in examples() if one[0].startswith("silence ")]
        self.assertEqual(len(found), 4)
        for command, shown in found:
            lines = self.said(*shlex.split(command)[1:])
            printed = "".join(f"{line}\n" for line in lines)
            self.assertEqual(_MOMENT.sub("AT", printed), _MOMENT.sub("AT", shown), command)
