"""Tests of what is judged again because something else changed: its parents, or its parts."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.rules.world import (
    CONTAINER,
    NODE,
    SERVICE,
    STACK,
    World,
    incident_rule,
    incident_settings,
)
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, ChangeKind, Resource
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.relatives import Relatives
from tutumwatch.settings import Duration

OTHER = "/api/v1/service/s2/"
OK = {"running_num_containers": 1, "target_num_containers": 1}
DOWN = {"running_num_containers": 0, "target_num_containers": 1}


def rule(while_: object, **more: Any) -> IncidentRule:  # noqa: ANN401 - any key of the table
    """Make a rule that holds as soon as it is true."""
    keys: dict[str, Any] = {"name": "r", "while_": while_, "for_seconds": 60.0, **more}
    keys.setdefault("clear_for_seconds", 0.0)
    return incident_rule(incident_settings(**keys))


def world_of(*rules: IncidentRule) -> World:
    """Make a world that is caught up."""
    world = World.of(*rules)
    world.catch_up()
    return world


class ParentTests(SynchronousTestCase):
    """A rule that reads a field of a parent."""

    def test_a_parent_decides(self) -> None:
        world = world_of(rule({"type": "service", "stack.name": "shop"}))
        world.event(SERVICE, parents=[STACK])
        self.assertEqual(world.phases(), {})
        world.event(STACK, object={"name": "shop"})
        self.assertEqual(world.phases(), {"s1": "pending"})
        world.event(STACK, object={"name": "old"})
        self.assertEqual(world.phases(), {})

    def test_a_parent_that_a_look_up_told(self) -> None:
        world = world_of(rule({"type": "service", "stack.name": "shop"}))
        world.event(SERVICE, parents=[STACK])
        world.found(STACK, name="shop", state="Running")
        self.assertEqual(world.phases(), {"s1": "pending"})

    def test_a_parent_of_a_parent(self) -> None:
        world = world_of(rule({"type": "container", "stack.name": "shop"}))
        world.event(SERVICE, parents=[STACK], object={"name": "web", "stack": STACK, **OK})
        world.event(CONTAINER)
        world.found(CONTAINER, state="Running", service=SERVICE)
        world.event(STACK, object={"name": "shop"})
        self.assertEqual(world.phases(), {"c1": "pending"})

    def test_an_excuse_may_read_a_parent(self) -> None:
        world = world_of(rule({"type": "service"}, unless={"stack.state": "Redeploying"}))
        world.event(SERVICE, parents=[STACK])
        world.event(STACK, "Redeploying")
        self.assertEqual(world.phases(), {"s1": "excused"})
        world.event(STACK, "Running")
        self.assertEqual(world.phases(), {"s1": "pending"})

    def test_what_the_rule_is_not_about_is_left_alone(self) -> None:
        world = world_of(rule({"type": "container", "node.state": "Unreachable"}))
        world.event(CONTAINER, parents=[NODE, SERVICE])
        world.event(SERVICE, parents=[NODE])
        world.event(NODE, "Unreachable")
        self.assertEqual(world.phases(), {"c1": "pending"})

    def test_parents_in_a_circle_end(self) -> None:
        world = world_of(rule({"type": "service", "stack.name": "shop"}))
        world.event(SERVICE, parents=[STACK, SERVICE])
        world.event(STACK, parents=[SERVICE], object={"name": "shop"})
        self.assertEqual(world.phases(), {"s1": "pending"})
        self.assertEqual(world.decider.counts["rejected"], 0)


class HealthTests(SynchronousTestCase):
    """A stack is as well as its services; a service has ended with its containers."""

    def test_of_a_stack(self) -> None:
        world = world_of(rule({"type": "stack", "health": "down"}))
        world.event(STACK)
        world.event(SERVICE, parents=[STACK], object={"name": "web", **DOWN})
        self.assertEqual(world.phases(), {"k1": "pending"})
        world.event(SERVICE, parents=[STACK], object={"name": "web", **OK})
        self.assertEqual(world.phases(), {})

    def test_of_a_stack_by_another_name(self) -> None:
        world = world_of(rule({"type": "stack", "stack.health": "down"}))
        world.event(STACK)
        world.event(SERVICE, parents=[STACK], object={"name": "web", **DOWN})
        self.assertEqual(world.phases(), {"k1": "pending"})

    def test_of_a_service(self) -> None:
        ends = {"type": "service", "health": "ended"}
        world = world_of(rule(ends), rule({"type": "service"}, name="other", unless=ends))
        world.event(SERVICE, object={"name": "job", **DOWN})
        self.assertEqual([m.name[0] for m in world.decider.incidents.members()], ["other"])
        world.event(CONTAINER, "Running", parents=[SERVICE])
        world.event(CONTAINER, "Stopped", parents=[SERVICE], object={"exit_code": 0})
        found = {m.name[0]: m.phase.value for m in world.decider.incidents.members()}
        self.assertEqual(found, {"other": "excused", "r": "pending"})

    def test_a_container_that_runs_says_nothing_of_its_service(self) -> None:
        inventory = Inventory()
        inventory.restore([Resource(("main", "service", "s1"), SERVICE)])
        relatives = Relatives(inventory)
        relatives.use([rule({"type": "service", "health": "ended"})])
        self.assertTrue(relatives.may_have("container"))
        resource = Resource(("main", "container", "c1"), CONTAINER, parents=(SERVICE,))
        change = Change("x", ChangeKind.NEW, None, resource, frozenset({"state"}), 0.0)
        self.assertEqual(list(relatives.of(change)), [])
        ended = Change("x", ChangeKind.CHANGED, None, resource, frozenset({"ended"}), 0.0)
        self.assertEqual(len(list(relatives.of(ended))), 1)

    def test_siblings_may_read_it(self) -> None:
        """One service of a stack makes it ill, and the rule is about all of them."""
        world = world_of(rule({"type": "service", "stack.health": "down"}))
        world.event(STACK)
        world.event(SERVICE, parents=[STACK], object={"name": "web", **OK})
        world.event(OTHER, parents=[STACK], object={"name": "db", **DOWN})
        self.assertEqual(world.phases(), {"s1": "pending", "s2": "pending"})
        world.event(OTHER, parents=[STACK], object={"name": "db", **OK})
        self.assertEqual(world.phases(), {})

    def test_a_stack_that_is_not_known_is_not_judged(self) -> None:
        world = world_of(rule({"type": "stack", "health": "down"}))
        world.event(SERVICE, parents=[STACK, NODE], object={"name": "web", **DOWN})
        world.event(NODE)
        world.event(SERVICE, parents=[STACK, NODE], object={"name": "web", **OK})
        self.assertEqual(world.phases(), {})


class NothingToDoTests(SynchronousTestCase):
    """No event is asked about its relatives where no rule could want to know."""

    def test_which_types_may_concern_others(self) -> None:
        for some, concerned in (
            ([], set()),
            ([rule({"type": "service", "state": "Stopped"})], set()),
            ([rule({"type": "service", "stack.name": "shop"})], {"stack"}),
            ([rule({"type": "service", "health": "down"})], {"container"}),
            ([rule({"type": "stack", "health": "down"})], {"service"}),
            ([rule({"type": "node", "health": "down"})], set()),
            ([rule({"type": "service", "stack.health": "down"})], {"stack", "service"}),
            ([rule({"health": "down"})], {"service", "container"}),
        ):
            relatives = Relatives(Inventory())
            relatives.use(some)
            types = ("stack", "service", "container", "node", "nodecluster", "stream")
            self.assertEqual({type_ for type_ in types if relatives.may_have(type_)}, concerned)

    def test_rules_that_count_judge_their_own_matches_alone(self) -> None:
        relatives = Relatives(Inventory())
        relatives.use(
            [
                incident_rule(
                    incident_settings(
                        each={"type": "container", "service.name": "x"}, within=Duration(60.0)
                    )
                )
            ]
        )
        self.assertFalse(relatives.may_have("service"))
