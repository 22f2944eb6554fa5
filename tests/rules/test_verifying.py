"""Tests of what is looked up before an incident opens or closes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.rules.talk import make_ignores, make_routes
from tests.rules.world import (
    CONTAINER,
    NODE,
    SERVICE,
    STACK,
    World,
    incident_rule,
    incident_settings,
    notices,
    service_rule,
)
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.ignores import Ignores
from tutumwatch.rules.routes import Routes
from tutumwatch.settings import Duration

DOWN = {"name": "web", "state": "Stopped", "stack": STACK}
WELL = {"name": "web", "state": "Running", "stack": STACK}


class AskingTests(SynchronousTestCase):
    """The resource itself is asked for, and the parents that its rule names."""

    def asked(
        self,
        *,
        parents: object = (STACK,),
        is_stack_known: bool = False,
        routes: Routes | None = None,
        ignores: Ignores | None = None,
        **more: Any,  # noqa: ANN401 - any key of the table
    ) -> list[str]:
        """Let a service be down, and give what is looked up before that is told."""
        settings: dict[str, Any] = {
            "name": "service down",
            "while_": {"type": "service", "state": "Stopped"},
            "for_seconds": 1.0,
            "text": "down",
            "resolve_text": "up",
        }
        rule = incident_rule(incident_settings(**settings | more), routes)
        self.world = World.of(rule, routes=routes, ignores=ignores)
        self.world.catch_up()
        if is_stack_known:
            self.world.found(STACK, name="shop", state="Running")
        self.world.event(SERVICE, "Stopped", parents=parents)
        self.world.uris_asked()
        self.assertEqual(self.world.wait(1.0), [])
        return self.world.uris_asked()

    def test_the_resource_alone_if_its_rule_names_no_parent(self) -> None:
        self.assertEqual(self.asked(is_stack_known=True), [SERVICE])

    def test_whoever_its_incident_is_named_by_if_they_are_not_known(self) -> None:
        self.assertEqual(self.asked(), [SERVICE, STACK])
        self.assertEqual(self.asked(key="{{ name }}"), [SERVICE])

    def test_parents_that_decide_whether_it_is_true(self) -> None:
        table = {"type": "service", "state": "Stopped", "stack.name": "!test"}
        self.assertEqual(self.asked(while_=table, is_stack_known=True), [SERVICE, STACK])

    def test_parents_that_excuse(self) -> None:
        self.assertEqual(
            self.asked(unless={"stack.name": "test"}, is_stack_known=True), [SERVICE, STACK]
        )

    def test_parents_that_its_texts_or_its_key_name(self) -> None:
        for key in ("text", "resolve_text", "key"):
            more: dict[str, Any] = {key: "{{ stack.name }}"}
            self.assertEqual(self.asked(**more, is_stack_known=True), [SERVICE, STACK], key)

    def test_parents_that_its_routes_name(self) -> None:
        routes = make_routes(
            {"match": {"stack.name": "pay"}, "page": ["slack"]}, {"page": ["plain"]}
        )
        known: dict[str, Any] = {"routes": routes, "is_stack_known": True}
        self.assertEqual(self.asked(**known, notify="page"), [SERVICE, STACK])
        self.assertEqual(self.asked(**known, notify=["plain"]), [SERVICE])

    def test_parents_by_which_it_may_be_ignored(self) -> None:
        ignores = make_ignores({"stack.name": "test"})
        asked = self.asked(ignores=ignores, is_stack_known=True)
        self.assertEqual(asked, [SERVICE, STACK])
        self.world.found(STACK, name="test")
        self.assertEqual(self.world.found(SERVICE, **DOWN).owed, [])
        self.assertEqual(self.world.wait(3600.0), [])
        self.assertEqual(self.world.phases(), {})

    def test_a_parent_that_it_does_not_have(self) -> None:
        self.assertEqual(self.asked(parents=[], text="{{ stack.name }}"), [SERVICE])

    def test_what_has_no_usable_name_is_not_asked_for(self) -> None:
        elsewhere = "https://elsewhere.example/"
        self.assertEqual(self.asked(parents=[elsewhere], text="{{ stack.name }}"), [SERVICE])

    def test_each_answer_is_waited_for(self) -> None:
        self.asked(text="{{ stack.name }}/{{ name }}")
        self.assertEqual(self.world.found(SERVICE, **DOWN).owed, [])
        (opened,) = notices(self.world.found(STACK, name="shop"))
        self.assertEqual(opened.text, "shop/web")

    def test_one_that_fails_makes_it_unverified(self) -> None:
        """Whichever comes last."""
        for fails, answers in ((SERVICE, STACK), (STACK, SERVICE)):
            for is_first in (True, False):
                self.asked(text="{{ stack.name }}")
                both: list[tuple[Callable[[str], Decisions], str]] = [
                    (self.world.unanswered, fails),
                    (self.world.found, answers),
                ]
                said = []
                for call, uri in both if is_first else reversed(both):
                    said += notices(call(uri))
                self.assertEqual([notice.marks for notice in said], [("unverified",)])

    def test_a_parent_that_is_gone_is_an_answer(self) -> None:
        self.asked(text="{{ stack.name }}", while_={"type": "service", "state": "Stopped"})
        self.world.missing(STACK)
        (opened,) = notices(self.world.found(SERVICE, **DOWN))
        self.assertEqual(opened.marks, ())

    def test_an_end_asks_for_what_decides_alone(self) -> None:
        """REST may never answer for what only its text names."""
        self.asked(text="{{ stack.name }}", resolve_text="{{ stack.name }} is well")
        self.world.found(STACK, name="shop")
        self.world.found(SERVICE, **DOWN)
        self.world.event(SERVICE, "Running")
        self.assertEqual(self.world.wait(5.0), [])
        self.assertEqual(self.world.uris_asked(), [SERVICE])
        (closed,) = notices(self.world.found(SERVICE, **WELL))
        self.assertEqual(closed.text, "shop is well")

    def test_an_end_asks_for_parents_that_decide(self) -> None:
        table = {"type": "service", "state": "Stopped", "stack.state": "!x"}
        self.asked(while_=table, is_stack_known=True)
        self.world.found(STACK, state="y")
        self.world.found(SERVICE, **DOWN)
        self.world.uris_asked()
        self.world.event(SERVICE, "Running")
        self.world.wait(5.0)
        self.assertEqual(self.world.uris_asked(), [SERVICE, STACK])

    def test_a_parent_of_a_parent(self) -> None:
        """As far as it is known which one that is."""
        rule = service_rule(
            name="box",
            while_={"type": "container", "state": "Stopped"},
            text="{{ stack.name }} {{ node.name }}",
            for_seconds=1.0,
        )
        for is_known in (False, True):
            world = World.of(rule)
            world.catch_up()
            if is_known:
                world.found(SERVICE, **WELL)
            world.found(CONTAINER, state="Stopped", service=SERVICE, node=NODE)
            world.uris_asked()
            world.wait(1.0)
            # Its incident is named by its service, of which only so much can be asked yet.
            whole = STACK if is_known else SERVICE
            self.assertEqual(world.uris_asked(), sorted([CONTAINER, NODE, whole]))

    def test_nothing_is_asked_of_our_own_connections(self) -> None:
        world = World.of(incident_rule())
        world.stream("Disconnected")
        self.assertEqual(len(world.wait(15.0)), 1)
        self.assertEqual(world.uris_asked(), [])

    def test_nothing_is_asked_of_what_is_not_known(self) -> None:
        """As of a service that only its containers name: there is nothing to compare."""
        rule = incident_rule(
            incident_settings(
                name="dies",
                each={"type": "container", "state": "Stopped"},
                within=Duration(60.0),
                per="service",
                for_seconds=0.0,
            )
        )
        world = World.of(rule)
        world.catch_up()
        said = notices(world.event(CONTAINER, "Stopped", parents=[SERVICE]))
        self.assertEqual(len(said), 1)
        self.assertEqual(world.uris_asked(), [])

    def test_what_has_no_name_is_no_member(self) -> None:
        """Nothing would ever tell how it is."""
        world = World.of(service_rule(for_seconds=0.0))
        world.catch_up()
        decisions = world.event(None, "Stopped", type="service", parents=[])
        self.assertEqual((decisions.owed, world.phases()), ([], {}))
