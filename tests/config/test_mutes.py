"""Tests of ``[[mutes]]``: what they mean, and every mistake with its place and remedy."""

from __future__ import annotations

import tomllib
from datetime import datetime

from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.config.lines import scan_lines
from tutumwatch.config.mistakes import ConfigurationError, Mistakes
from tutumwatch.config.mutes import read_mutes
from tutumwatch.rules.silences import Mute
from tutumwatch.rules.windows import Span

RULES = ("service down", "crash loop")
GOOD = """\
[[mutes]]
name = "patch night"
match = { type = "node" }
days = ["Tue"]
from = "02:00"
to = "04:00"
tz = "Europe/Berlin"
[[mutes]]
name = "deploys"
match = [ { stack.name = "shop", rule = "crash*" }, { rule = "!crash loop" } ]
to = "07:30"
"""
BAD = """\
[[mutes]]
name = "patch night"
match = { type = "nod", rule = "crash lop", changed = "state" }
days = ["Tues"]
from = "2am"
to = 400
tz = "Europe/Berln"
until = "04:00"
[[mutes]]
name = "patch night"
match = [ { type = "node" },
  { colour = 1, rule = 7 } ]
[[mutes]]
name = ""
[[mutes]]
match = "web"
to = "24:00"
"""


class MutesTests(SynchronousTestCase):
    """The tables alone; the whole configuration has tests of its own."""

    def read(self, text: str) -> tuple[list[Mute], list[str]]:
        """Read the mutes of a text; give them, and the mistakes."""
        mistakes = Mistakes(scan_lines(text))
        mutes = read_mutes(tomllib.loads(text)["mutes"], RULES, mistakes)
        return mutes, str(ConfigurationError("f", mistakes.found)).splitlines()

    def test_what_they_mean(self) -> None:
        mutes, mistakes = self.read(GOOD)
        self.assertEqual(mistakes, [])
        night, deploys = mutes
        self.assertEqual((night.name, night.match), ("patch night", {"type": "node"}))
        tuesday = datetime.fromisoformat("2026-11-24T02:30+01:00").timestamp()
        self.assertEqual(night.window.span(tuesday), Span(tuesday - 1_800, tuesday + 5_400))
        self.assertTrue(deploys.scope.may_be_said_by("crash loop"))
        self.assertEqual(deploys.window.span(0.0).ends, 7.5 * 3600)

    def test_every_mistake(self) -> None:
        _, mistakes = self.read(BAD)
        days = "days are Mon, Tue, Wed, Thu, Fri, Sat, Sun"
        always = "would always hold: say on which days, or from when to when"
        first = "mutes[1].{} ('patch night'): {}"
        expected = [
            "f:3: " + first.format("match.type", "'nod' is no known type (did you mean 'node'?)"),
            "f:3: "
            + first.format(
                "match.rule", "there is no rule 'crash lop' (did you mean 'crash loop'?)"
            ),
            "f:3: "
            + first.format(
                "match.changed", "is told of an event; name fields of the resource, or its rule"
            ),
            "f:4: " + first.format("days", f"'Tues' is no day (did you mean 'Tue'?); {days}"),
            "f:5: "
            + first.format("from", '\'2am\' is no time of a day; write it like "02:00" or "23:30"'),
            "f:6: " + first.format("to", "expected a text in quotes, got a number"),
            "f:7: "
            + first.format("tz", "'Europe/Berln' is no time zone (did you mean 'Europe/Berlin'?)"),
            "f:8: "
            + first.format(
                "until",
                "there is no such key; known are name, match, days, from, to, tz",
            ),
            f"f:9: mutes[2] ('patch night'): {always}",
            "f:10: mutes[2].name ('patch night'): another mute has this name; each needs its own",
            "f:12: mutes[2].match[2].colour ('patch night'): 'colour' is no known field",
            "f:12: mutes[2].match[2].rule ('patch night'): expected the name of a rule, got 7",
            "f:13: mutes[3]: the key 'match' is missing",
            f"f:13: mutes[3]: {always}",
            "f:14: mutes[3].name: expected a name",
            "f:15: mutes[4]: the key 'name' is missing",
            f"f:15: mutes[4]: {always}",
            "f:16: mutes[4].match: expected a table such as { type = \"service\" }, got 'web'",
        ]
        self.assertEqual(sorted(mistakes), sorted(expected))

    def test_what_are_no_tables(self) -> None:
        for text, what in (
            ('mutes = "web"', "f:1: mutes: expected tables such as [[mutes]], got a text"),
            ("mutes = [1]", "f:1: mutes[1]: expected a table, got a number"),
        ):
            self.assertEqual(self.read(text), ([], [what]))
