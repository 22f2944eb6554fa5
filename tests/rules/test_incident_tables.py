"""Tests of the ``[[incidents]]`` tables: what each key means, and what is wrong with it."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.rules.talk import make_routes, make_rule
from tests.rules.world import DESTINATIONS, KNOWN, incident_rule, rule_set
from tutumwatch.inventory.resource import Change, ChangeKind, Resource
from tutumwatch.rules.incident_rules import (
    IncidentRule,
    IncidentSettings,
    RuleForm,
    is_own_connection,
)
from tutumwatch.rules.incident_tables import compile_incident
from tutumwatch.rules.notice import Severity
from tutumwatch.rules.routes import Routes
from tutumwatch.settings import Duration

MINUTE = Duration(60.0)


def compiled(routes: Routes | None = None, **keys: Any) -> IncidentRule:  # noqa: ANN401 - any key
    """Compile a table that holds no mistake; by default it is about services."""
    if not {"while_", "each", "absent"} & keys.keys():
        keys["while_"] = {"type": "service", "health": "down"}
    return incident_rule(IncidentSettings(**{"name": "i", "notify": "plain", **keys}), routes)


def mistakes(**keys: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - any key
    """Give what is wrong with a table."""
    found: list[tuple[str, str]] = []
    settings = IncidentSettings(**{"name": "i", "notify": "plain", **keys})
    compile_incident(
        settings, Routes(), DESTINATIONS, KNOWN, lambda where, what: found.append((where, what))
    )
    return found


class FormTests(SynchronousTestCase):
    """The three forms, and what goes without saying in each."""

    def test_while(self) -> None:
        rule = compiled()
        self.assertEqual(rule.form, RuleForm.WHILE)
        self.assertEqual((rule.for_seconds, rule.clear_for_seconds), (15.0, 5.0))
        self.assertEqual((rule.unless_open, rule.unless_max_seconds), ((), 300.0))
        self.assertEqual(rule.severity, Severity.CRITICAL)
        self.assertIsNone(rule.repeat_seconds)
        self.assertTrue(rule.may_concern("service"))
        self.assertFalse(rule.may_concern("node"))

    def test_each(self) -> None:
        rule = compiled(each={"type": "container", "ended": "oom"}, within=MINUTE, per="service")
        self.assertEqual(rule.form, RuleForm.EACH)
        self.assertEqual((rule.times, rule.within_seconds, rule.per), (1, 60.0, "service"))
        self.assertEqual((rule.for_seconds, rule.clear_for_seconds), (0.0, 60.0))

    def test_absent(self) -> None:
        rule = compiled(absent={"type": "stack", "name": "shop"})
        self.assertEqual(rule.form, RuleForm.ABSENT)
        self.assertEqual((rule.for_seconds, rule.clear_for_seconds), (15.0, 5.0))
        self.assertEqual(rule.texts["plain"].render({("name",): "x"}), "x: there is none")
        self.assertEqual(rule.resolve_texts["plain"].render({("name",): "x"}), "x: there is one again")  # fmt: skip

    def test_texts_of_one_s_own(self) -> None:
        forms: tuple[dict[str, Any], ...] = ({}, {"absent": {"type": "stack"}})
        for form in forms:
            rule = compiled(text="a", resolve_text="b", **form)
            self.assertEqual(rule.texts["plain"].render({}), "a")
            self.assertEqual(rule.resolve_texts["plain"].render({}), "b")

    def test_none_and_more_than_one(self) -> None:
        said = '"while", "each" and "absent"; an incident is one of them'
        self.assertEqual(mistakes(), [("", f"has none of {said}")])
        self.assertEqual(
            mistakes(while_={"stat": "x"}, absent={"nam": "x"}),
            [
                ("", f"has more than one of {said}"),
                ("while.stat", "'stat' is no known field (did you mean 'state'?)"),
                ("absent.nam", "'nam' is no known field (did you mean 'name'?)"),
            ],
        )

    def test_a_condition_beside_two_forms_is_checked_once(self) -> None:
        found = mistakes(while_={"type": "node"}, absent={"type": "node"}, when="nam")
        self.assertEqual([key for key, _ in found], ["", "when"])

    def test_what_tells_of_an_event_is_no_state(self) -> None:
        for form in ("while_", "absent"):
            ((where, what),) = mistakes(**{form: {"type": "service", "action": "create"}})
            self.assertEqual(where, f"{form.rstrip('_')}.action")
            self.assertIn("tells of an event", what)
        for key in ("unless", "until"):
            ((where, _),) = mistakes(while_={"type": "service"}, **{key: {"before.state": "x"}})
            self.assertEqual(where, f"{key}.before.state")
        compiled(each={"type": "service", "action": "create"}, within=MINUTE)

    def test_for_whom_it_counts(self) -> None:
        for per, remedy in (("nod", " (did you mean 'node'?)"), ("x", "; write service, stack or node")):  # fmt: skip
            self.assertEqual(
                mistakes(each={}, within=MINUTE, per=per),
                [("per", f"{per!r} is no type of parent{remedy}")],
            )

    def test_which_changes_may_do_anything(self) -> None:
        """A stack that is renamed may be the one that was wanted."""
        stopped = {"type": "service", "state": "Stopped"}
        for form, taken in (("while_", False), ("absent", True)):
            rule = compiled(None, **{form: stopped})
            for type_, expected in (("service", taken), ("node", False)):
                resource = Resource(("main", type_, "x"), "", state="Running")
                change = Change("x", ChangeKind.NEW, None, resource, frozenset(), 0.0)
                self.assertEqual(rule.may_take(change), expected)

    def test_keys_of_other_forms(self) -> None:
        for keys, where in (
            ({"each": {}, "within": MINUTE, "until": {}}, ["until"]),
            ({"absent": {}, "until": {}, "unless": {}}, ["until", "unless"]),
            ({"while_": {}, "times": 2, "within": MINUTE, "per": "x"}, ["times", "within", "per"]),
            ({"each": {}, "times": 0, "per": "x"}, ["within", "times", "per"]),
            ({"each": {}, "within": Duration(0.0)}, ["within"]),
            ({"while_": {}, "repeat": Duration(0.0)}, ["repeat"]),
        ):
            self.assertEqual([key for key, _ in mistakes(**keys)], where)


class NamesTests(SynchronousTestCase):
    """Whom and what else it names."""

    def test_rules_that_explain_it(self) -> None:
        self.assertEqual(compiled(unless_open="a").unless_open, ("a",))
        self.assertEqual(compiled(unless_open=["a", "b"]).unless_open, ("a", "b"))
        ((where, what),) = mistakes(while_={}, unless_open=["a", 5])
        self.assertEqual(where, "unless_open")
        self.assertEqual(what, "expected the name of a rule, or a list of them")

    def test_texts_are_for_whoever_may_be_told(self) -> None:
        routes = make_routes(
            {"match": {"name": "x"}, "page": ["pd", "off"]}, {"page": ["slack"], "news": "plain"}
        )
        rule = compiled(routes, notify="page")
        self.assertEqual(set(rule.texts), {"pd", "slack"})
        self.assertEqual(set(rule.resolve_texts), {"pd", "slack"})

    def test_a_key(self) -> None:
        self.assertIsNone(compiled().key)
        rule = compiled(key="{{ stack.name }}")
        assert rule.key is not None
        self.assertEqual(rule.key.paths, {("stack", "name")})
        ((where, what),) = mistakes(while_={}, key="{{ nam }}")
        self.assertEqual((where, what), ("key", "'nam' is no known field (did you mean 'name'?)"))

    def test_what_is_looked_up_before_it_opens(self) -> None:
        """What decides, and what is only named."""
        routes = make_routes({"match": {"node.name": "x"}, "page": "pd"}, {"page": "plain"})
        while_ = {"type": "container", "service.state": "Stopped"}
        rule = compiled(while_=while_, unless={"stack.state": "x"}, text="x", resolve_text="x")
        self.assertEqual(rule.reads, {"service", "stack"})
        self.assertEqual(rule.asks, {"service", "stack"})
        rule = compiled(routes, while_=while_, notify="page", text="{{ stack.name }}", resolve_text="x")  # fmt: skip
        self.assertEqual(rule.reads, {"service"})
        self.assertEqual(rule.asks, {"service", "stack", "node"})
        self.assertEqual(rule.paths, {("type",), ("service", "state")})


class DigestTests(SynchronousTestCase):
    """A rule with another digest is another rule."""

    def test_what_decides_whether_it_is_true_differs(self) -> None:
        base: dict[str, Any] = {"while_": {"type": "service", "state": "Stopped"}}
        others: list[dict[str, Any]] = [
            {"while_": {"type": "service", "state": "Starting"}},
            {**base, "unless": {"deploy": "running"}},
            {**base, "unless_open": "x"},
            {**base, "until": {"state": "Running"}},
            {**base, "when": 'name != "x"'},
            {**base, "key": "x"},
            {"each": base["while_"], "within": MINUTE},
            {"each": base["while_"], "within": MINUTE, "times": 2},
            {"each": base["while_"], "within": Duration(61.0)},
            {"each": base["while_"], "within": MINUTE, "per": "stack"},
            {"absent": base["while_"]},
        ]
        digests = [compiled(**keys).digest for keys in (base, *others)]
        self.assertEqual(len(set(digests)), len(digests))

    def test_what_is_only_said_or_timed_does_not(self) -> None:
        digest = compiled().digest
        others: tuple[dict[str, Any], ...] = (
            {"name": "other"},
            {"for_": MINUTE},
            {"clear_for": MINUTE},
            {"text": "x"},
            {"notify": "pd"},
            {"severity": Severity.INFO},
            {"repeat": MINUTE},
            {"unless_max": MINUTE},
            {"was": "x"},
        )
        for keys in others:
            self.assertEqual(compiled(**keys).digest, digest, keys)


class RuleSetTests(SynchronousTestCase):
    """What a set of rules says of all of them."""

    def test_names_and_audiences(self) -> None:
        rules = rule_set(make_rule(name="news"), compiled(name="i", notify="pd"))
        self.assertEqual(rules.names, ["news", "i"])
        self.assertEqual([one.notifiers for one in rules.audiences], [("plain",), ("pd",)])

    def test_our_own_connections(self) -> None:
        self.assertEqual(
            [t for t in ("stream", "notifier", "service", "node") if is_own_connection(t)],
            ["stream", "notifier"],
        )
