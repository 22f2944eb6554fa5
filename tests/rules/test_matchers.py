"""Tests of matchers: YES, NO, or UNKNOWN until something is looked up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.rules.world import CONTAINER, SERVICE, STACK, unexpected
from tutumwatch.events.event import Event
from tutumwatch.events.inputs import Found, Looked
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change
from tutumwatch.rules.decisions import Need
from tutumwatch.rules.matchers import NO, YES, Answer, Verdict, compile_matcher
from tutumwatch.rules.view import View

# What a change may tell of itself, and what rules may want of that.
_STATES = ("Running", "Stopped", "Terminated", "")
_NAMES = ("web", "api", "")
_PARENTS = st.sampled_from((None, [], [STACK], [STACK, CONTAINER]))
_PATHS = ("type", "state", "action", "kind", "changed", "name", "parents")
_WORDS = st.lists(
    st.sampled_from(("service", "Running", "delete", "web", "later", STACK, "*", "s*"))
    | st.sampled_from(("!service", "!Running", "!web", "!*")),
    min_size=1,
    max_size=2,
)


def unknown(*uris: str) -> Verdict:
    """Give the verdict that waits for these resources."""
    return Verdict(Answer.UNKNOWN, frozenset(Need("main", uri) for uri in uris))


def noting(found: list[tuple[str, str]]) -> Callable[[str, str], None]:
    """Give what notes mistakes."""
    return lambda where, what: found.append((where, what))


class JudgeCase(SynchronousTestCase):
    """Judges events."""

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


class JudgeTests(JudgeCase):
    """What matches a change."""

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
            ({"running": 0.0}, YES),
            ({"running": True}, NO),
            ({"exit_code": "!0"}, YES),
            ({"exit_code": "13?"}, YES),
            ({"exit_code": [1, 137]}, YES),
            ({"target": 0}, NO),
        )

    def test_a_number_with_a_fraction(self) -> None:
        """A server may write whole numbers with one; they are the same numbers."""
        change = self.event(fields={"exit_code": 137.0, "running_num_containers": 1.5})
        self.assert_judged(
            change,
            ({"exit_code": 137}, YES),
            ({"exit_code": "137"}, YES),
            ({"exit_code": "13?"}, YES),
            ({"exit_code": "137.0"}, NO),
            ({"running": 1.5}, YES),
            ({"running": "1.5"}, YES),
            ({"running": 1}, NO),
        )

    def test_true_and_false(self) -> None:
        """They are no numbers, and may be written as texts."""
        change = self.event()
        self.assert_judged(
            change,
            ({"late": False}, YES),
            ({"late": "false"}, YES),
            ({"late": "f*"}, YES),
            ({"late": [True, "false"]}, YES),
            ({"late": True}, NO),
            ({"late": 0}, NO),
            ({"late": "!false"}, NO),
            ({"late": "False"}, NO),
        )

    def test_labels_are_texts_that_numbers_and_true_match(self) -> None:
        change = self.event(fields={"labels": {"a": "3", "b": "true", "c": "1"}})
        self.assert_judged(
            change,
            ({"labels": {"a": 3}}, YES),
            ({"labels": {"a": 3.0}}, YES),
            ({"labels": {"a": [1, 2]}}, NO),
            ({"labels": {"b": True}}, YES),
            ({"labels": {"b": False}}, NO),
            ({"labels": {"c": True}}, NO),
            ({"labels": {"missing": False}}, NO),
        )

    def test_a_label_may_be_an_empty_text(self) -> None:
        change = self.event(fields={"labels": {"a": ""}})
        self.assert_judged(
            change,
            ({"labels": {"a": ""}}, YES),
            ({"labels": {"a": "*"}}, YES),
            ({"labels": {"a": "!"}}, NO),
            ({"labels": {"b": ""}}, NO),
            ({"labels": {"b": "!"}}, YES),
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


class WhenTests(JudgeCase):
    """A ``when`` beside the match: both must be true."""

    def when(self, match: object, when: str, change: Change) -> Verdict:
        """Judge a change by a matcher with a condition."""
        return compile_matcher(match, unexpected, when).judge(View(self.inventory, change))

    def test_both_must_be_true(self) -> None:
        change = self.event(fields={"name": "web", "exit_code": 137})
        for match, when, verdict in (
            ({"name": "web"}, "exit_code > 128", YES),
            ({"name": "web"}, "exit_code > 200", NO),
            ({"name": "db"}, "exit_code > 128", NO),
            ([{"name": "db"}, {"name": "web"}], "exit_code > 128", YES),
            ({}, "exit_code > 128", YES),
            ({}, "target > 0", NO),
        ):
            self.assertEqual(self.when(match, when, change), verdict, (match, when))

    def test_what_is_unknown(self) -> None:
        change = self.event(parents=[STACK])
        for match, when, verdict in (
            ({"state": "Running"}, "stack.name == 'shop'", unknown(STACK)),
            ({"state": "Stopped"}, "stack.name == 'shop'", NO),
            ({"name": "web"}, "stack.name == 'shop'", unknown(SERVICE, STACK)),
            ({"name": "web"}, "state == 'Running'", unknown(SERVICE)),
            ({"name": "web"}, "state == 'Stopped'", NO),
        ):
            self.assertEqual(self.when(match, when, change), verdict, (match, when))

    def test_one_that_raises_is_a_no_that_says_why(self) -> None:
        change = self.event(fields={"exit_code": 137})
        failed = "when: ZeroDivisionError: division by zero"
        for match in ({}, {"state": "Running"}, {"stack.name": "!x"}, {"name": "!x"}):
            verdict = self.when(match, "1 / (exit_code - 137) > 0", change)
            self.assertEqual(verdict, Verdict(Answer.NO, failed=failed), match)

    def test_it_is_computed_only_for_what_the_match_takes(self) -> None:
        change = self.event(fields={"exit_code": 137})
        self.assertEqual(self.when({"state": "Stopped"}, "1 / (exit_code - 137) > 0", change), NO)

    def test_only_the_types_of_the_match_are_tried(self) -> None:
        """Of a service this cannot be computed; nobody asks."""
        when = "type == 'stack' or 1 / 0"
        compile_matcher({"type": "stack", "name": "x"}, unexpected, when)
        found: list[str] = []
        compile_matcher({"type": ["stack", "service"]}, lambda _, what: found.append(what), when)
        self.assertEqual(
            found, ["cannot be computed for the type service: ZeroDivisionError: division by zero"]
        )


class ExplainTests(JudgeCase):
    """Why a change does not match, in words."""

    def assert_explained(self, change: Change, *explained: tuple[object, str | None, Any]) -> None:
        """Fail unless matchers explain a change so."""
        for match, when, reasons in explained:
            matcher = compile_matcher(match, unexpected, when)
            view = View(self.inventory, change)
            expected = [reasons] if isinstance(reasons, str) else reasons
            self.assertEqual(matcher.explain(view), expected, match)
            is_yes = matcher.judge(view).answer is Answer.YES
            self.assertEqual(is_yes, not expected, match)

    def test_fields(self) -> None:
        change = self.event(
            state="Starting", fields={"name": "wéb", "exit_code": 137, "labels": {"a.b": "1"}}
        )
        self.assert_explained(
            change,
            ({"state": "starting"}, None, []),
            ({}, None, []),
            ({"state": "Running"}, None, 'state is "Starting", not "Running"'),
            (
                {"state": ["Running", "Stop*"]},
                None,
                'state is "Starting", not "Running" or "Stop*"',
            ),
            (
                {"state": ["*", "!Starting"]},
                None,
                'state is "Starting", which "!Starting" excludes',
            ),
            (
                {"name": ["!x", "!w*"]},
                None,
                'name is "wéb", which "!w*" excludes',
            ),
            ({"exit_code": [0, "1"]}, None, 'exit_code is 137, not 0 or "1"'),
            ({"late": True}, None, "late is false, not true"),
            ({"image": "nginx"}, None, 'image is absent, not "nginx"'),
            ({"labels.a.b": "2"}, None, 'labels.a.b is "1", not "2"'),
            ({"parents": "x"}, None, 'parents is [], not "x"'),
        )

    def test_what_is_unknown(self) -> None:
        change = self.event(parents=[STACK])
        of_stack = f"depends on stack.name of {STACK}: would look it up"
        of_service = f"depends on name of {SERVICE}: would look it up"
        self.assert_explained(
            change,
            ({"stack.name": "shop"}, None, of_stack),
            ({"name": "web", "stack.name": "shop"}, None, of_service),
            ({"name": "web", "state": "Stopped"}, None, 'state is "Running", not "Stopped"'),
            ({}, "stack.name == 'x'", f"when: {of_stack}"),
        )

    def test_fields_that_are_lists(self) -> None:
        self.event(state="Running")
        self.assert_explained(
            self.event(state="Stopped"),
            ({"changed": ["name", "image"]}, None, 'changed is ["state"], not "name" or "image"'),
            ({"changed": "!state"}, None, 'changed is ["state"], which "!state" excludes'),
        )

    def test_several_tables(self) -> None:
        """All that do not match are explained, until one does."""
        self.assert_explained(
            self.event(),
            (
                [{"type": "stack"}, {"state": "Stopped"}],
                None,
                ['[1] type is "service", not "stack"', '[2] state is "Running", not "Stopped"'],
            ),
            ([{"type": "stack"}, {"state": "Running"}], None, []),
        )

    def test_conditions(self) -> None:
        change = self.event(fields={"exit_code": 137})
        self.assert_explained(
            change,
            ({}, "exit_code > 3", []),
            ({}, "exit_code > 200", "when: exit_code > 200 is false"),
            ({}, "1 / (exit_code - 137) > 0", "when: ZeroDivisionError: division by zero"),
            (
                {"state": "Stopped"},
                "exit_code > 200",
                ['state is "Running", not "Stopped"', "when: exit_code > 200 is false"],
            ),
            ([{"state": "Stopped"}, {}], "exit_code > 200", "when: exit_code > 200 is false"),
        )


class ReadingTests(SynchronousTestCase):
    """What a matcher reads, and whether it leaves anything out."""

    def test_paths(self) -> None:
        match = [{"type": "service", "stack.name": "x"}, {"labels.a.b": "!x"}]
        matcher = compile_matcher(match, unexpected, "before.image != image")
        read = {("type",), ("stack", "name"), ("labels", "a.b"), ("before", "image"), ("image",)}
        self.assertEqual(matcher.paths, read)
        self.assertEqual(compile_matcher({}, unexpected).paths, frozenset())

    def test_what_matches_everything(self) -> None:
        for match, when, is_everything in (
            ({}, None, True),
            ({"type": "*"}, None, True),
            ({"type": ["*"]}, None, True),
            ([{"name": "x"}, {}], None, True),
            ({}, "exit_code > 1", False),
            ({"type": "!x"}, None, False),
            ({"type": ["*", "!stack"]}, None, False),
            ({"name": "*"}, None, False),
            ({"type": "*", "name": "x"}, None, False),
        ):
            matcher = compile_matcher(match, unexpected, when)
            self.assertEqual(matcher.is_everything, is_everything, match)

    def test_what_holds_a_mistake_does_not_match_everything(self) -> None:
        """Else one mistake would bring others."""
        for match, when in (({"stat": "x"}, None), ({}, "stat"), (5, None), ({"name": [[]]}, None)):
            matcher = compile_matcher(match, lambda *_said: None, when)
            self.assertFalse(matcher.is_everything, match)

    def test_a_change_is_refused_by_what_it_tells_of_itself(self) -> None:
        change = Inventory().apply_event(
            Event("service", "update", "Running", SERVICE, []), "id", "main", 1, 5.0
        )
        for match, is_refused in (
            ({"type": "stack"}, True),
            ({"state": "Stopped"}, True),
            ({"action": "!update"}, True),
            ({"type": "service", "state": "Stopped"}, True),
            ({"type": "service", "state": "Running", "name": "x"}, False),
            ([{"type": "stack"}, {"name": "x"}], False),
            ({"name": "x"}, False),
            ({}, False),
        ):
            matcher = compile_matcher(match, unexpected, "exit_code > 1")
            self.assertEqual(matcher.refuses(change), is_refused, match)

    def test_what_a_change_does_not_tell_refuses_nothing(self) -> None:
        """A look-up may tell the state later."""
        change = Inventory().apply_event(
            Event("service", "", "", SERVICE, []), "id", "main", 1, 5.0
        )
        for match in ({"state": "Stopped"}, {"action": "update"}):
            self.assertFalse(compile_matcher(match, unexpected).refuses(change))

    def test_a_change_is_refused_by_what_more_it_tells_of_itself(self) -> None:
        looked = Looked("main", SERVICE, 0, Found({"name": "web", "stack": STACK}), 4.0)
        inventory = Inventory()
        inventory.apply_looked(looked, "earlier")
        change = inventory.apply_event(
            Event("service", "update", "Running", SERVICE, [STACK]), "id", "main", 1, 5.0
        )
        for match, is_refused in (
            ({"name": "api"}, True),
            ({"name": "w*"}, False),
            ({"kind": "gone"}, True),
            ({"kind": "changed"}, False),
            ({"changed": "deploy"}, True),
            ({"changed": ["deploy", "state"]}, False),
            ({"changed": "!state"}, True),
            ({"parents": CONTAINER}, True),
            ({"parents": "*"}, False),
            ({"type": "service", "name": "web", "kind": "gone"}, True),
            ([{"name": "api"}, {"kind": "gone"}], True),
            ([{"name": "api"}, {"labels.x": "y"}], False),
            ({"type": "stack"}, False),
            ({"stack.name": "x"}, False),
            ({}, False),
        ):
            matcher = compile_matcher(match, unexpected, "exit_code > 1")
            self.assertEqual(matcher.refuses_more(change), is_refused, match)

    def test_an_end_is_refused_by_its_kind_and_what_it_changes(self) -> None:
        inventory, event = Inventory(), Event("service", "update", "Running", SERVICE, [])
        inventory.apply_event(event, "id", "main", 1, 5.0)
        ended = Event("service", "delete", "Running", SERVICE, [])
        change = inventory.apply_event(ended, "id", "main", 2, 6.0)
        for match, is_refused in (
            ({"kind": "changed"}, True),
            ({"kind": "gone"}, False),
            ({"changed": "state"}, True),
            ({"changed": "!state"}, False),
        ):
            matcher = compile_matcher(match, unexpected)
            self.assertEqual(matcher.refuses_more(change), is_refused, match)

    def test_what_may_be_learned_later_refuses_nothing(self) -> None:
        """Its name, and whom it belongs to, if the event did not say that."""
        change = Inventory().apply_event(
            Event("service", "update", "Running", SERVICE, None), "id", "main", 1, 5.0
        )
        for match in ({"name": "api"}, {"parents": STACK}):
            self.assertFalse(compile_matcher(match, unexpected).refuses_more(change))

    @given(
        st.lists(st.tuples(st.sampled_from(_STATES), _PARENTS, st.sampled_from(_NAMES))),
        st.lists(st.dictionaries(st.sampled_from(_PATHS), _WORDS, min_size=1), min_size=1),
        st.booleans(),
    )
    def test_what_is_refused_does_not_match(
        self,
        history: list[tuple[str, list[str] | None, str]],
        tables: list[dict[str, list[str]]],
        is_looked_up_later: bool,  # noqa: FBT001 - given by hypothesis
    ) -> None:
        """Not now, and not after any look-up either; that a word is an unlikely one is no matter."""
        inventory, matcher = Inventory(), compile_matcher(tables, lambda *_unlikely: None)
        for number, (state, parents, name) in enumerate(history, 1):
            if name:
                found = Found({"name": name, "state": state or "Starting", "stack": STACK})
                inventory.apply_looked(Looked("main", SERVICE, number, found, 4.0), "look-up")
            event = Event("service", "delete" * (number % 5 == 0), state, SERVICE, parents)
            change = inventory.apply_event(event, "id", "main", number, 5.0)
            if matcher.refuses(change) or matcher.refuses_more(change):
                if is_looked_up_later:
                    found = Found({"name": "later", "stack": SERVICE})
                    inventory.apply_looked(Looked("main", SERVICE, number, found, 6.0), "later")
                self.assertIs(matcher.judge(View(inventory, change)).answer, Answer.NO)


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
        compile_matcher(match, noting(found))
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
            ([{"type": "stack"}, 7], "1", 'expected a table such as { type = "service" }, got 7'),
            ([{"stack": {"nam": "x"}}, {}], "0.stack.nam", "'stack.nam' is no known field"),
            ([{"stat": "x"}], "stat", "'stat' is no known field"),
            (
                {"stack.name": ""},
                "stack.name",
                'it is never an empty text; what has no name is matched by "!*"',
            ),
            ({"image": ["nginx", "!"]}, "image", "it is never an empty text"),
        ):
            (found,) = self.mistakes(match)
            self.assertEqual(found[0], where, match)
            self.assertTrue(found[1].startswith(what), found[1])

    def test_all_are_told_at_once(self) -> None:
        match = [{"stat": "x", "type": "servce"}, {"nme": "x"}, 3]
        self.assertEqual(
            [where for where, _ in self.mistakes(match)], ["0.stat", "0.type", "1.nme", "2"]
        )

    def test_where_mistakes_are(self) -> None:
        """A compiler may say what the match is called; ``when`` stands beside it."""
        for match, when, where in (
            ({"stat": "x"}, None, "while.stat"),
            (5, None, "while"),
            ([{}, {"stat": "x"}], None, "while.1.stat"),
            ({}, "stat == 1", "when"),
        ):
            found: list[tuple[str, str]] = []
            compile_matcher(match, noting(found), when, key="while")
            self.assertEqual([at for at, _ in found], [where])

    def test_globs_and_new_words_are_no_mistakes(self) -> None:
        for match in (
            {"state": "Runn*"},
            {"state": "Hibernating"},
            {"type": "volume"},
            {"action": ["redeploy", "start"]},
            {"uuid": CONTAINER, "name": ["a", 1, True, 1.5]},
        ):
            self.assertEqual(self.mistakes(match), [], match)
