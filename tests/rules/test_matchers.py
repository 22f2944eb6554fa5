"""Tests of matchers: YES, NO, or UNKNOWN until something is looked up."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.rules.world import CONTAINER, SERVICE, STACK, unexpected
from tutumwatch.events.event import Event
from tutumwatch.events.inputs import Found, Looked
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change
from tutumwatch.rules.decisions import Need
from tutumwatch.rules.matchers import NO, YES, Answer, Verdict, compile_matcher
from tutumwatch.rules.view import View


def unknown(*uris: str) -> Verdict:
    """Give the verdict that waits for these resources."""
    return Verdict(Answer.UNKNOWN, frozenset(Need("main", uri) for uri in uris))


class JudgeTests(SynchronousTestCase):
    """What matches a change."""

    def setUp(self) -> None:
        """Know nothing."""
        self.inventory = Inventory()

    def event(
        self,
        uri: str = SERVICE,
        state: str = "Running",
        parents: list[str] | None = None,
        fields: dict[str, Any] | None = None,
        action: str = "update",
    ) -> Change:
        """Take in an event."""
        type_ = uri.strip("/").split("/")[-2]
        event = Event(type_, action, state, uri, parents or [], object=fields)
        return self.inventory.apply_event(event, "id", "main", 1, 5.0)

    def judge(self, match: object, change: Change) -> Verdict:
        """Judge a change by a matcher as TOML gives it."""
        return compile_matcher(match, unexpected).judge(View(self.inventory, change))

    def assert_judged(self, change: Change, *judged: tuple[object, Verdict]) -> None:
        """Fail unless matchers judge a change so."""
        for match, verdict in judged:
            self.assertEqual(self.judge(match, change), verdict, match)

    def test_a_value(self) -> None:
        self.assert_judged(
            self.event(),
            ({"state": "Running"}, YES),
            ({"state": "Stopped"}, NO),
            ({}, YES),
        )

    def test_a_table_is_an_and(self) -> None:
        self.assert_judged(
            self.event(),
            ({"type": "service", "state": "Running"}, YES),
            ({"type": "service", "state": "Stopped"}, NO),
            ({"type": "stack", "state": "Running"}, NO),
        )

    def test_a_list_of_tables_is_an_or(self) -> None:
        self.assert_judged(
            self.event(),
            ([{"state": "Stopped"}, {"type": "service"}], YES),
            ([{"state": "Stopped"}, {"type": "stack"}], NO),
            ([{"type": "service"}], YES),
        )

    def test_of_a_list_one_positive_must_match(self) -> None:
        self.assert_judged(
            self.event(),
            ({"state": ["Stopped", "Running"]}, YES),
            ({"state": ["Stopped", "Starting"]}, NO),
        )

    def test_no_negative_may_match(self) -> None:
        self.assert_judged(
            self.event(),
            ({"state": "!Stopped"}, YES),
            ({"state": "!Running"}, NO),
            ({"state": ["!Stopped", "!Starting"]}, YES),
            ({"state": ["!Stopped", "!Running"]}, NO),
            ({"state": ["Run*", "!Running"]}, NO),
            ({"state": ["Run*", "!Runner"]}, YES),
        )

    def test_globs(self) -> None:
        change = self.event(fields={"name": "pay-web.1"})
        self.assert_judged(
            change,
            ({"name": "pay-*"}, YES),
            ({"name": "*web*"}, YES),
            ({"name": "pay-web?1"}, YES),
            ({"name": "pay-web.?"}, YES),
            ({"name": "pay"}, NO),
            ({"name": "*pay"}, NO),
            ({"name": "pay-w.b*"}, NO),
            ({"name": "PAY-*"}, NO),
            ({"name": "!pay-*"}, NO),
            ({"type": "serv*"}, YES),
        )

    def test_a_glob_reaches_over_lines(self) -> None:
        change = self.event(fields={"name": "two\nlines"})
        self.assert_judged(change, ({"name": "two*"}, YES), ({"name": "two?lines"}, YES))

    def test_states_have_no_case(self) -> None:
        self.assert_judged(
            self.event(state="Partly running"),
            ({"state": "partly RUNNING"}, YES),
            ({"state": "PARTLY*"}, YES),
            ({"state": "!partly running"}, NO),
        )
        self.assert_judged(self.event(action="update"), ({"action": "Undo"}, NO))

    def test_a_label_called_state_has_a_case(self) -> None:
        change = self.event(fields={"labels": {"state": "On"}})
        self.assert_judged(
            change, ({"labels": {"state": "On"}}, YES), ({"labels": {"state": "on"}}, NO)
        )

    def test_numbers(self) -> None:
        """0 is neither false nor absent; a text compares as it is written."""
        change = self.event(fields={"running_num_containers": 0, "exit_code": 137})
        self.assert_judged(
            change,
            ({"running": 0}, YES),
            ({"running": 1}, NO),
            ({"running": False}, NO),
            ({"running": "0"}, YES),
            ({"exit_code": "!0"}, YES),
            ({"exit_code": "13?"}, YES),
            ({"exit_code": [1, 137]}, YES),
            ({"target": 0}, NO),
        )

    def test_a_field_that_is_a_list_matches_by_any_of_its_values(self) -> None:
        change = self.event(parents=[STACK, "/api/v1/node/n1/"])
        self.assert_judged(
            change,
            ({"parents": "*"}, YES),
            ({"parents": STACK}, YES),
            ({"parents": "*/node/*"}, YES),
            ({"parents": "!*/node/*"}, NO),
            ({"parents": "*/nodecluster/*"}, NO),
            ({"parents": ["*/stack/*", "!*/action/*"]}, YES),
        )
        self.assert_judged(
            self.event("/api/v1/service/other/"), ({"parents": "*"}, NO), ({"parents": "!*"}, YES)
        )

    def test_what_is_absent(self) -> None:
        """Positive matchers say NO, negative ones YES."""
        change = self.event(fields={"name": "web"})
        self.assert_judged(
            change,
            ({"image": "*"}, NO),
            ({"image": "!nginx"}, YES),
            ({"image": ["*", "!nginx"]}, NO),
            ({"labels": {"job": "*"}}, NO),
            ({"labels": {"job": "!*"}}, YES),
            ({"stack": {"name": "shop"}}, NO),
            ({"stack": {"name": "!shop"}}, YES),
            ({"before": {"state": "!Running"}}, YES),
        )

    def test_what_is_unknown_must_be_looked_up(self) -> None:
        change = self.event(parents=[STACK])
        self.assert_judged(
            change,
            ({"stack.name": "shop"}, unknown(STACK)),
            ({"stack.name": "!shop"}, unknown(STACK)),
            ({"name": "*"}, unknown(SERVICE)),
            ({"name": "web", "stack.name": "shop"}, unknown(SERVICE, STACK)),
        )
        self.inventory.apply_looked(
            Looked("main", STACK, 1, Found({"name": "shop"}), 6.0), "looked"
        )
        self.assert_judged(change, ({"stack.name": "shop"}, YES), ({"stack.name": "!shop"}, NO))

    def test_what_decides_alone_needs_no_look_up(self) -> None:
        """A NO in an AND, a YES in an OR."""
        change = self.event(parents=[STACK])
        self.assert_judged(
            change,
            ({"stack.name": "shop", "state": "Stopped"}, NO),
            ([{"stack.name": "shop"}, {"state": "Running"}], YES),
            ([{"stack.name": "shop"}, {"state": "Stopped"}], unknown(STACK)),
            ([{"stack.name": "shop"}, {"name": "web"}], unknown(STACK, SERVICE)),
        )

    def test_what_changed(self) -> None:
        self.event(state="Starting", parents=[STACK])
        changed = self.event(state="Running", parents=[STACK])
        self.assert_judged(
            changed,
            ({"changed": "state"}, YES),
            ({"changed": ["name", "state"]}, YES),
            ({"changed": "name"}, NO),
            ({"changed": "!state"}, NO),
            ({"kind": "changed", "before.state": "starting"}, YES),
            ({"before": {"state": "Running"}}, NO),
        )
        same = self.event(state="Running", parents=[STACK])
        self.assert_judged(
            same, ({"changed": "state"}, NO), ({"changed": "!state"}, YES), ({"kind": "same"}, YES)
        )

    def test_a_new_resource_counts_as_changed(self) -> None:
        self.assert_judged(
            self.event(),
            ({"changed": "state"}, YES),
            ({"kind": "new"}, YES),
            ({"kind": "gone"}, NO),
        )

    def test_every_way_to_write_a_field_means_the_same(self) -> None:
        """Dotted, nested and quoted keys; the dots of a label do not nest."""
        label = {"com.example.job": "nightly"}
        change = self.event(fields={"labels": label, "name": "web"})
        for match in (
            {"labels": {"com.example.job": "night*"}},
            {"labels": {"com": {"example": {"job": "night*"}}}},
            {"labels.com.example.job": "night*"},
            {"service": {"labels": {"com.example.job": "night*"}}},
            {"service.labels.com.example.job": "night*"},
            {"service.labels": {"com.example": {"job": "night*"}}},
            {"service.name": "web"},
            {"service": {"name": "web"}},
        ):
            self.assertEqual(self.judge(match, change), YES, match)

    def test_a_field_that_is_written_twice_must_match_twice(self) -> None:
        change = self.event(fields={"name": "web"})
        self.assert_judged(
            change,
            ({"service.name": "web", "service": {"name": "w*"}}, YES),
            ({"service.name": "web", "service": {"name": "x*"}}, NO),
            ({"service.name": "x*", "service": {"name": "web"}}, NO),
        )


class TypesTests(SynchronousTestCase):
    """The types that a matcher can match, so that others cost nothing."""

    def test_types(self) -> None:
        for match, types in (
            ({"type": "service"}, {"service"}),
            ({"type": ["service", "stack"]}, {"service", "stack"}),
            ({"type": ["service", "!stack"]}, {"service"}),
            ([{"type": "service"}, {"type": "stack", "state": "Stopped"}], {"service", "stack"}),
            ({"type": "!service"}, None),
            ({"type": "serv*"}, None),
            ({"type": ["stack", "serv?ce"]}, None),
            ({"state": "Running"}, None),
            ([{"type": "service"}, {"state": "Running"}], None),
            ([{"state": "Running"}, {"type": "service"}], None),
        ):
            self.assertEqual(compile_matcher(match, unexpected).types, types, match)

    def test_what_may_match(self) -> None:
        services = compile_matcher({"type": "service"}, unexpected)
        self.assertTrue(services.may_match("service"))
        self.assertFalse(services.may_match("stack"))
        self.assertTrue(compile_matcher({}, unexpected).may_match("whatever"))


class MistakesTests(SynchronousTestCase):
    """Every mistake is told, with its place and what would be right."""

    def mistakes(self, match: object) -> list[tuple[str, str]]:
        """Compile and give what is wrong."""
        found: list[tuple[str, str]] = []
        compile_matcher(match, lambda where, what: found.append((where, what)))
        return found

    def test_mistakes(self) -> None:
        for match, where, what in (
            ({"stat": "Running"}, "stat", "'stat' is no known field (did you mean 'state'?)"),
            (
                {"stack": {"nam": "x"}},
                "stack.nam",
                "'stack.nam' is no known field (did you mean 'stack.name'?)",
            ),
            ({"labels": "x"}, "labels", "'labels' must name one of the labels, as labels.job does"),
            ({"state.upper": "X"}, "state.upper", "'state.upper' is no known field"),
            ({"stack": {}}, "stack", "'stack' is no known field"),
            (
                {"state": "Runing"},
                "state",
                "'Runing' is no known state (did you mean 'Running'?)",
            ),
            (
                {"state": ["Stopped", "!Runing"]},
                "state",
                "'Runing' is no known state (did you mean 'Running'?)",
            ),
            ({"type": "servce"}, "type", "'servce' is no known type (did you mean 'service'?)"),
            ({"kind": "gonne"}, "kind", "'gonne' is no known kind (did you mean 'gone'?)"),
            ({"changed": "stat"}, "changed", "'stat' is no known field (did you mean 'state'?)"),
            ({"name": []}, "name", "expected a text, a number, true or false, got []"),
            ({"name": [["a"]]}, "name", "expected a text, a number, true or false, got ['a']"),
            ({"name": None}, "name", "expected a text, a number, true or false, got None"),
            ("service", "", "expected a table such as { type = \"service\" }, got 'service'"),
            ([], "", 'expected a table such as { type = "service" }, got []'),
            ([{"type": "stack"}, 7], "", 'expected a table such as { type = "service" }, got 7'),
        ):
            (found,) = self.mistakes(match)
            self.assertEqual(found[0], where, match)
            self.assertTrue(found[1].startswith(what), found[1])

    def test_all_are_told_at_once(self) -> None:
        match = [{"stat": "x", "type": "servce"}, {"nme": "x"}, 3]
        self.assertEqual([where for where, _ in self.mistakes(match)], ["stat", "type", "nme", ""])

    def test_globs_and_new_words_are_no_mistakes(self) -> None:
        for match in (
            {"state": "Runn*"},
            {"state": "Hibernating"},
            {"type": "volume"},
            {"action": ["redeploy", "start"]},
            {"uuid": CONTAINER, "name": ["a", 1, True, 1.5]},
        ):
            self.assertEqual(self.mistakes(match), [], match)
