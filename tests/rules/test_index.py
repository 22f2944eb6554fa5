"""Tests of finding the rules that a change may concern."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tests.rules.talk import make_routes, make_rule
from tests.rules.world import incident_rule, incident_settings
from tutumwatch.inventory.resource import Change, ChangeKind, Resource
from tutumwatch.rules.index import SIGNS_MAX_COUNT, IncidentIndex, RuleIndex
from tutumwatch.rules.matchers import Matcher
from tutumwatch.settings import Duration


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


class IncidentIndexTests(SynchronousTestCase):
    """Rules of all forms; of what is a member of one, all are asked that its type may concern."""

    def setUp(self) -> None:
        """Index a rule of each form, and one about nodes."""
        settings = (
            incident_settings(name="down", while_={"type": "service", "state": "Stopped"}),
            incident_settings(
                name="loop", each={"type": "service", "action": "create"}, within=Duration(60.0)
            ),
            incident_settings(name="no web", absent={"type": "service", "state": "Stopped"}),
            incident_settings(name="lost", while_={"type": "node"}),
        )
        self.index = IncidentIndex([incident_rule(one) for one in settings])

    def names(self, of: Change) -> list[str]:
        """Give the names of the rules that a change may concern."""
        return [rule.name for rule in self.index.rules_for(of)]

    def test_rules_that_cannot_match_are_left_out(self) -> None:
        """What must exist is asked for all the same: what was there may not match any more."""
        for _ in range(2):
            self.assertEqual(self.names(change()), ["no web"])
            self.assertEqual(self.names(change(state="Stopped")), ["down", "no web"])
            self.assertEqual(self.names(change(action="create")), ["loop", "no web"])
            self.assertEqual(self.names(change("node")), ["lost"])

    def test_rules_about_a_type_are_asked_whatever_its_state(self) -> None:
        for _ in range(2):
            about = [rule.name for rule in self.index.rules_about("service")]
            self.assertEqual(about, ["down", "loop", "no web"])
        self.assertEqual(self.index.rules_about("stack"), [])

    def test_a_flood_of_new_types_takes_no_memory(self) -> None:
        for number in range(SIGNS_MAX_COUNT + 10):
            self.assertEqual(self.index.rules_about(str(number)), [])
        self.assertEqual(len(self.index._by_type), SIGNS_MAX_COUNT)
