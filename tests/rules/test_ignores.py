"""Tests of what no rule hears of."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.rules.world import CONTAINER, SERVICE, unexpected
from tutumwatch.events.event import Event
from tutumwatch.events.inputs import Found, Link, LinkType, Looked
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.rules.decisions import Need
from tutumwatch.rules.ignores import Ignores, compile_ignores
from tutumwatch.rules.matchers import NO, YES, Answer, Verdict
from tutumwatch.rules.view import View

CRON = {"match": {"name": "cron-*"}}


def compiled(*tables: object) -> Ignores:
    """Compile what holds no mistake."""
    return compile_ignores(tables, unexpected)


def unknown(uri: str) -> Verdict:
    """Give the verdict that waits for a resource."""
    return Verdict(Answer.UNKNOWN, frozenset({Need("main", uri)}))


class IgnoresTestCase(SynchronousTestCase):
    """Looks at containers of a service."""

    def setUp(self) -> None:
        """Know nothing."""
        self.inventory = Inventory()

    def container(self, name: str | None = "web-1", **labels: str) -> View:
        """Look at a container; without a name, nothing is known of it but its parents."""
        fields: dict[str, Any] | None = None
        if name is not None:
            fields = {"name": name, "labels": {f"tutumwatch.{k}": v for k, v in labels.items()}}
        event = Event("container", "update", "Stopped", CONTAINER, [SERVICE], object=fields)
        return View(self.inventory, self.inventory.apply_event(event, "id", "main", 1, 5.0))

    def know_service(self, **labels: str) -> None:
        """Look the service up."""
        found = Found({"name": "web", "labels": {f"tutumwatch.{k}": v for k, v in labels.items()}})
        self.inventory.apply_looked(Looked("main", SERVICE, 0, found, 6.0), "looked")


class TablesTests(IgnoresTestCase):
    """``[[ignore]]``."""

    def test_nothing_is_ignored_without_tables(self) -> None:
        self.assertEqual(Ignores().judge(self.container()), NO)
        self.assertEqual(Ignores().paths, frozenset())
        self.assertIsNone(Ignores().explain(self.container()))

    def test_what_a_table_matches_is_ignored(self) -> None:
        ignores = compiled(CRON, {"match": [{"type": "node"}, {"state": "Stopped", "name": "x*"}]})
        self.assertEqual(ignores.judge(self.container("cron-1")), YES)
        self.assertEqual(ignores.judge(self.container("xen")), YES)
        self.assertEqual(ignores.judge(self.container("web")), NO)
        self.assertEqual(ignores.explain(self.container("cron-1")), "ignored: ignore[1] matches")
        self.assertEqual(ignores.explain(self.container("xen")), "ignored: ignore[2] matches")
        self.assertIsNone(ignores.explain(self.container("web")))

    def test_a_condition(self) -> None:
        ignores = compiled({"match": {"type": "container"}, "when": "name | length < 4"})
        self.assertEqual(ignores.judge(self.container("web")), YES)
        self.assertEqual(ignores.judge(self.container("cron-1")), NO)
        self.assertEqual(compiled({"when": "name == 'web'"}).judge(self.container("web")), YES)

    def test_a_condition_that_raises_ignores_nothing_and_is_told(self) -> None:
        ignores = compiled({"when": "1 / (name | length - 3) > 0"}, {"match": {"name": "cron"}})
        failed = "when: ZeroDivisionError: division by zero"
        self.assertEqual(ignores.judge(self.container("web")), Verdict(Answer.NO, failed=failed))
        self.assertEqual(ignores.judge(self.container("cron")), YES)

    def test_what_depends_on_a_look_up(self) -> None:
        ignores = compiled({"match": {"service.name": "cron-*"}}, CRON)
        self.assertEqual(ignores.judge(self.container()), unknown(SERVICE))
        self.assertEqual(
            ignores.explain(self.container()),
            f"may be ignored by ignore[1]: depends on service.name of {SERVICE}: would look it up",
        )
        self.assertEqual(ignores.judge(self.container("cron-1")), YES)
        self.assertEqual(ignores.explain(self.container("cron-1")), "ignored: ignore[2] matches")
        self.know_service()
        self.assertEqual(ignores.judge(self.container()), NO)

    def test_the_first_of_several_look_ups_is_explained(self) -> None:
        ignores = compiled({"match": {"service.name": "a"}}, {"match": {"service.name": "b"}})
        said = ignores.explain(self.container()) or ""
        self.assertTrue(said.startswith("may be ignored by ignore[1]: "), said)

    def test_paths(self) -> None:
        ignores = compiled(CRON, {"match": {"stack.name": "x"}, "when": "exit_code > 1"})
        self.assertEqual(ignores.paths, {("name",), ("stack", "name"), ("exit_code",)})


class LabelsTests(IgnoresTestCase):
    """Labels that say of a resource whether it is heard of."""

    def assert_judged(self, ignores: Ignores, view: View, verdict: Verdict) -> None:
        """Fail unless a change is judged so, and explained so."""
        self.assertEqual(ignores.judge(view), verdict)
        explained = ignores.explain(view)
        is_ignored = explained is not None and explained.startswith("ignored: ")
        self.assertEqual(is_ignored, verdict == YES, explained)

    def test_a_resource_may_ask_to_be_ignored(self) -> None:
        for value, verdict in (("true", YES), ("True", YES), ("false", NO), ("", NO)):
            self.assert_judged(Ignores(), self.container(ignore=value), verdict)
        said = Ignores().explain(self.container(ignore="true"))
        self.assertEqual(said, "ignored: it has tutumwatch.ignore=true")

    def test_a_service_asks_for_its_containers(self) -> None:
        self.know_service(ignore="true")
        self.assert_judged(Ignores(), self.container(), YES)
        said = Ignores().explain(self.container())
        self.assertEqual(said, "ignored: its service has tutumwatch.ignore=true")

    def test_enable_overrides_every_table(self) -> None:
        ignores = compiled(CRON)
        self.assert_judged(ignores, self.container("cron-1"), YES)
        enabled = self.container("cron-1", enable="true")
        self.assert_judged(ignores, enabled, NO)
        self.assertEqual(
            ignores.explain(enabled),
            "not ignored, although ignore[1] matches: it has tutumwatch.enable=true",
        )
        self.assert_judged(ignores, self.container("cron-1", enable="false"), YES)
        self.assertIsNone(ignores.explain(self.container("web", enable="true")))
        self.know_service(enable="true")
        self.assert_judged(ignores, self.container("cron-1"), NO)

    def test_of_both_on_one_resource_ignore_wins(self) -> None:
        self.assert_judged(Ignores(), self.container(ignore="true", enable="true"), YES)

    def test_the_resource_is_nearer_than_its_service(self) -> None:
        self.know_service(ignore="true")
        self.assert_judged(Ignores(), self.container(enable="true"), NO)
        self.know_service(enable="true")
        self.assert_judged(Ignores(), self.container(ignore="true"), YES)

    def test_labels_cause_no_look_up(self) -> None:
        """Neither the container nor its service is known: they count as without labels."""
        self.assert_judged(compiled({"match": {"state": "Running"}}), self.container(None), NO)
        self.assert_judged(compiled({"match": {"state": "Stopped"}}), self.container(None), YES)

    def test_a_table_that_would_need_a_look_up_is_not_asked_where_a_label_decides(self) -> None:
        ignores = compiled({"match": {"service.name": "x"}})
        self.assert_judged(ignores, self.container(enable="true"), NO)
        self.assert_judged(ignores, self.container(ignore="true"), YES)
        self.assertEqual(
            ignores.explain(self.container(enable="true")),
            "not ignored, although ignore[1] may match: it has tutumwatch.enable=true",
        )


class OwnConnectionsTests(IgnoresTestCase):
    """Our streams and notifiers: who is blind or mute by accident must hear of it."""

    def link(self, type_: LinkType, state: str) -> View:
        """Look at a connection of ours."""
        return View(
            self.inventory, self.inventory.apply_link(Link(type_, "x", state, "", 5.0), "i")
        )

    def test_a_table_must_name_their_type(self) -> None:
        for type_, state in ((LinkType.STREAM, "Disconnected"), (LinkType.NOTIFIER, "Failing")):
            view = self.link(type_, state)
            for match, verdict in (
                ({"labels": {"env": "!prod"}}, NO),
                ({"name": "x"}, NO),
                ({"type": "!container"}, NO),
                ({"type": type_.value, "name": "x"}, YES),
                ({"type": type_.value, "name": "y"}, NO),
            ):
                self.assertEqual(compiled({"match": match}).judge(view), verdict, match)

    def test_of_all_others_it_need_not(self) -> None:
        ignores = compiled({"match": {"labels": {"env": "!prod"}}})
        self.assertEqual(ignores.judge(self.container()), YES)


class MistakesTests(SynchronousTestCase):
    """Every mistake is told."""

    def test_mistakes(self) -> None:
        everything = (
            "this would ignore everything; "
            'say what nobody is to hear of, as in match = { name = "cron-*" }'
        )
        for table, where, what in (
            (5, "0", "expected a table, got 5"),
            ({}, "0", "the key 'match' is missing"),
            (
                {"mach": {}},
                "0.mach",
                "there is no such key (did you mean 'match'?); known are match, when",
            ),
            ({"match": {}}, "0.match", everything),
            ({"match": [{"name": "x"}, {}]}, "0.match", everything),
            ({"match": {"type": "*"}}, "0.match", everything),
            (
                {"match": {"nme": "x"}},
                "0.match.nme",
                "'nme' is no known field (did you mean 'name'?)",
            ),
            (
                {"match": [{"name": "x"}, {"state": "Runing"}]},
                "0.match.1.state",
                "'Runing' is no known state (did you mean 'Running'?)",
            ),
            ({"when": 5}, "0.when", 'expected an expression such as "exit_code > 128", got 5'),
        ):
            found: list[tuple[str, str]] = []
            compile_ignores([table], lambda *said, found=found: found.append(said))
            self.assertEqual(found[0], (where, what), table)
            self.assertEqual(len(found), 2 if isinstance(table, dict) and "mach" in table else 1)

    def test_all_are_told_at_once(self) -> None:
        found: list[str] = []
        compile_ignores(
            [{"match": {"nme": "x"}}, 7, {"match": {}}, {"match": {"stat": "x"}}],
            lambda where, _what: found.append(where),
        )
        self.assertEqual(found, ["0.match.nme", "1", "2.match", "3.match.stat"])

    def test_what_is_no_mistake(self) -> None:
        for match in ({"type": "container"}, {"name": "*"}, {"type": "!stack"}):
            compiled({"match": match})
        compiled({"match": {}, "when": "exit_code > 1"})
