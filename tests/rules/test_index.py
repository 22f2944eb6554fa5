"""Tests of finding the rules that may have something to say of a change."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tests.rules.talk import make_routes, make_rule
from tutumwatch.inventory.resource import Change, ChangeKind, Resource
from tutumwatch.rules.index import SIGNS_MAX_COUNT, RuleIndex
from tutumwatch.rules.matchers import Matcher


def change(type_: str = "service", state: str = "Running", action: str = "update") -> Change:
    """Make a change of something."""
    resource = Resource(("main", type_, "x"), "", state=state)
    return Change("id", ChangeKind.CHANGED, None, resource, frozenset(), 0.0, action)


class RuleIndexTests(SynchronousTestCase):
    """Only the rules are asked that a change's type, state and action do not refuse."""

    def setUp(self) -> None:
        """Index some rules."""
        self.index = RuleIndex(
            [
                make_rule({"type": "service"}, name="service"),
                make_rule({"state": "Stopped"}, name="stopped"),
                make_rule({"action": "create", "name": "x"}, name="created"),
                make_rule({}, name="deaf", notify="off"),
            ]
        )

    def names(self, of: Change) -> list[str]:
        """Give the names of the rules that may match."""
        return [rule.name for rule in self.index.rules_for(of)]

    def test_rules_that_cannot_match_are_left_out(self) -> None:
        for _ in range(2):
            self.assertEqual(self.names(change()), ["service"])
            self.assertEqual(self.names(change(state="Stopped")), ["service", "stopped"])
            self.assertEqual(self.names(change("stack", action="create")), ["created"])
            self.assertEqual(self.names(change("stack")), [])

    def test_a_flood_of_new_states_takes_no_memory(self) -> None:
        for number in range(SIGNS_MAX_COUNT + 10):
            self.assertEqual(self.names(change(state=str(number))), ["service"])
        self.assertEqual(len(self.index._by_signs), SIGNS_MAX_COUNT)

    def test_a_rule_that_raises_is_asked(self) -> None:
        """It raises again when it is judged, which is counted."""
        broken = attrs.evolve(make_rule(name="broken"), matcher=Matcher((None,), None))  # type: ignore[arg-type] # it raises
        self.index = RuleIndex([broken])
        self.assertEqual(self.names(change()), ["broken"])

    def test_a_rule_is_deaf_if_nobody_could_be_told(self) -> None:
        """One with a role is not: that nobody has that role is counted."""
        self.assertNotIn("deaf", self.names(change()))
        self.assertIn("deaf", self.index.by_name)
        routes = make_routes({"match": {"state": "x"}, "news": ["slack"]}, {"other": ["plain"]})
        silent = attrs.evolve(make_rule(name="silent", notify="news", routes=routes), texts={})
        self.index = RuleIndex([silent])
        self.assertEqual(self.names(change()), ["silent"])
