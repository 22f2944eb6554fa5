"""Tests of what a silence or a mute is about."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.rules.silenced import NODE_2, SHOP, STRANGER, WEB, WEB_1, view_of
from tutumwatch.inventory.resource import Resource
from tutumwatch.rules.matchers import Answer
from tutumwatch.rules.scopes import Scope, compile_scope


def scope(match: object) -> Scope:
    """Compile one that holds no mistake."""

    def unexpected(where: str, what: str) -> None:
        raise AssertionError((where, what))

    return compile_scope(match, unexpected)


class ScopeTests(SynchronousTestCase):
    """What lies within one."""

    def judged(self, match: object, of: Resource = WEB_1, rule: str = "crash loop") -> Answer:
        """Judge what a rule says of a resource."""
        return scope(match).judge(rule, view_of(of))

    def test_a_service_is_within_its_own_name_as_its_containers_are(self) -> None:
        for of, answer in (
            (WEB, Answer.YES),
            (WEB_1, Answer.YES),
            (SHOP, Answer.NO),
            (NODE_2, Answer.NO),
            (STRANGER, Answer.UNKNOWN),
        ):
            self.assertEqual(self.judged({"service.name": "web"}, of), answer)

    def test_rules(self) -> None:
        for patterns, answer in (
            ("crash loop", Answer.YES),
            ("Crash loop", Answer.NO),
            ("crash*", Answer.YES),
            ("!crash*", Answer.NO),
            (["node lost", "crash ?oop"], Answer.YES),
            (["crash*", "!crash loop"], Answer.NO),
            (["!node lost"], Answer.YES),
        ):
            self.assertEqual(self.judged({"rule": patterns}), answer, patterns)
            self.assertEqual(self.judged({"rule": patterns, "name": "web-1"}), answer, patterns)
            self.assertEqual(self.judged({"rule": patterns, "name": "db"}), Answer.NO, patterns)

    def test_a_rule_that_is_another_one_needs_no_look_up(self) -> None:
        self.assertEqual(self.judged({"rule": "x", "service.name": "web"}, STRANGER), Answer.NO)

    def test_tables_are_an_or_and_what_is_certain_wins(self) -> None:
        unknown, yes, no = {"service.name": "web"}, {"name": "stranger"}, {"rule": "other"}
        for tables, answer in (
            ([unknown, yes], Answer.YES),
            ([no, unknown], Answer.UNKNOWN),
            ([no, no], Answer.NO),
            ((no, yes), Answer.YES),
        ):
            self.assertEqual(self.judged(tables, STRANGER), answer)

    def test_who_and_what_may_be_within(self) -> None:
        rule_alone = scope([{"rule": "a"}])
        resource_alone = scope({"name": "web"})
        both = scope([{"rule": "a", "name": "web"}, {"rule": "b", "name": "db"}])
        for of, rules, any_resource, is_web in (
            (rule_alone, {"a": True, "b": False}, True, True),
            (resource_alone, {"a": True, "b": True}, False, True),
            (both, {"a": True, "b": True, "c": False}, False, True),
            (scope({"name": "db"}), {"a": True}, False, False),
        ):
            self.assertEqual({rule: of.may_be_said_by(rule) for rule in rules}, rules)
            self.assertEqual(of.takes_any_resource(), any_resource)
            self.assertEqual(of.takes_resource(view_of(WEB)), is_web)

    def test_an_empty_one_takes_everything(self) -> None:
        self.assertEqual(self.judged({}), Answer.YES)


class MistakesTests(SynchronousTestCase):
    """What cannot be meant, with its place."""

    def mistakes(self, match: object, rules: tuple[str, ...] | None = None) -> list[str]:
        """Give the mistakes in a match."""
        found: list[str] = []
        compile_scope(match, lambda where, what: found.append(f"{where}: {what}"), rules)
        return found

    def test_fields(self) -> None:
        event = "is told of an event; name fields of the resource, or its rule"
        self.assertEqual(
            self.mistakes({"before": {"state": "Running"}, "before.name": "x", "late": True}),
            [f"before: {event}", f"before.name: {event}", f"late: {event}"],
        )
        (mistake,) = self.mistakes({"servce.name": "web"})
        self.assertEqual(
            mistake,
            "servce.name: 'servce.name' is no known field (did you mean 'service.name'?)",
        )

    def test_rules(self) -> None:
        self.assertEqual(
            self.mistakes({"rule": [7, "!crash lop", "crash*"]}, ("crash loop",)),
            [
                "rule: expected the name of a rule, got 7",
                "rule: there is no rule 'crash lop' (did you mean 'crash loop'?)",
            ],
        )
        self.assertEqual(self.mistakes({"rule": "crash lop"}), [])
        self.assertEqual(len(self.mistakes({"rule": []})), 1)

    def test_tables(self) -> None:
        for match, places in (
            ("web", [""]),
            ([], [""]),
            (None, [""]),
            ([{"rule": 7}], ["rule"]),
            ([{"colour": 1}, {"colour": 1, "rule": 7}, 5], ["0.colour", "1.rule", "1.colour", "2"]),
        ):
            found = self.mistakes(match)
            self.assertEqual([mistake.partition(":")[0] for mistake in found], places)
