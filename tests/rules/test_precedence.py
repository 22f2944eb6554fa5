"""Tests of what goes on first: whatever explains the others."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from tests.rules.world import (
    NODE,
    SERVICE,
    World,
    incident_rule,
    incident_settings,
    notices,
)
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.precedence import precedence_of


def rule(name: str, *unless_open: str, type_: str = "service") -> IncidentRule:
    """Make a rule that others explain."""
    return incident_rule(
        incident_settings(
            name=name,
            while_={"type": type_, "state": ["Stopped", "Unreachable"]},
            for_seconds=30.0,
            unless_open=list(unless_open) or None,
        )
    )


class PrecedenceTests(SynchronousTestCase):
    """The places of rules."""

    def order(self, *rules: IncidentRule) -> Sequence[str]:
        """Give the names of rules in the order of their places."""
        places = precedence_of({one.name: one for one in rules})
        self.assertEqual(sorted(places.values()), list(range(len(rules))))
        return sorted(places, key=lambda name: places[name])

    def test_what_explains_comes_first(self) -> None:
        rules = (rule("a", "b", "c"), rule("b", "c"), rule("c"), rule("d"))
        self.assertEqual(self.order(*rules), ["c", "b", "a", "d"])
        self.assertEqual(self.order(*rules[::-1]), ["d", "c", "b", "a"])

    def test_rules_that_explain_each_other_or_themselves(self) -> None:
        self.assertEqual(self.order(rule("a", "a", "b"), rule("b", "a")), ["b", "a"])

    def test_a_rule_that_is_not_there_explains_nothing(self) -> None:
        self.assertEqual(self.order(rule("a", "gone"), rule("b")), ["a", "b"])


class AtOneTimeTests(SynchronousTestCase):
    """A service is down, and then its node is lost; both are due when the stream comes back."""

    def test_what_is_due_at_the_same_time_is_explained(self) -> None:
        world = World.of(rule("down", "node lost"), rule("node lost", type_="node"))
        world.catch_up()
        world.event(SERVICE, "Stopped", parents=[NODE], object={"state": "Stopped"})
        world.event(NODE, "Unreachable", parents=[], object={"state": "Unreachable"})
        world.stream("Connected")
        self.assertEqual(world.wait(40.0), [])
        # Nothing can be looked up: both go on when the time for that is up.
        said = notices(world.catch_up()) + world.wait(10.0)
        self.assertEqual([notice.rule for notice in said], ["node lost"])
