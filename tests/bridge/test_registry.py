"""Tests of tutumwatch/bridge/registry.py."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.bridge.cases import BEGIN, World, container, node, service
from tutumwatch.bridge.happenings import ContainerGone, Happening, NodeGone, ServiceGone
from tutumwatch.bridge.objects import object_of
from tutumwatch.bridge.registry import ENDED_ACTIONS_KEPT_COUNT, GONE_KEPT_COUNT, Registry


class RegistryTests(SynchronousTestCase):
    """What is gone stays for a while, and not for ever."""

    def test_a_gone_thing_is_answered_for_an_hour(self) -> None:
        world = World(container(of=None))
        world.tell(ContainerGone("c1"))
        uuid = world.object("container")["uuid"]
        for seconds, is_kept in ((3599, True), (1, False)):
            world.now += seconds - 1
            world.tell(node())
            found = world.reducer.registry.find("container", uuid)
            self.assertEqual(found is not None, is_kept, seconds)

    def test_gone_things_are_bounded_in_number(self) -> None:
        world = World()
        for number in range(GONE_KEPT_COUNT + 20):
            world.tell(container(str(number), of=None))
            world.tell(ContainerGone(str(number)))
        self.assertEqual(len(world.reducer.registry), GONE_KEPT_COUNT)
        (oldest, *_) = world.reducer.registry.things("container")
        self.assertEqual(oldest.deployed_at, BEGIN + 1 + 2 * 20)

    def test_a_container_that_is_kept_has_its_node_in_the_list(self) -> None:
        """The official CLI looks the node of each container up in the list of nodes."""
        told: list[Happening] = [container(str(n), of=None) for n in range(GONE_KEPT_COUNT + 10)]
        world = World(node(), *told)
        world.tell(NodeGone("n1"))
        registry = world.reducer.registry
        nodes = {thing.uri for thing in registry.things("node")}
        kept = [object_of(thing)["node"] for thing in registry.things("container")]
        self.assertEqual(len(kept), GONE_KEPT_COUNT - 1)
        self.assertEqual(set(kept), nodes)

    def test_ended_actions_are_bounded_and_those_in_progress_stay(self) -> None:
        world = World(node(), service("first"))
        first = next(iter(world.reducer.registry.things("action")))
        for number in range(ENDED_ACTIONS_KEPT_COUNT + 20):
            world.tell(service(str(number), 0))
        actions = list(world.reducer.registry.things("action"))
        self.assertEqual(len(actions), ENDED_ACTIONS_KEPT_COUNT + 1)
        self.assertIs(actions[0], first)

    def test_a_stack_forgets_its_old_services(self) -> None:
        world = World(service(), service("db", 0))
        (stack,) = world.reducer.registry.things("stack")
        world.tell(ServiceGone("db"))
        self.assertEqual(len(object_of(stack)["services"]), 2)
        world.now += 7200
        world.tell(node())
        self.assertEqual(len(object_of(stack)["services"]), 1)

    def test_nothing_is_found_where_nothing_is(self) -> None:
        registry = Registry()
        self.assertIsNone(registry.find("service", "x"))
        self.assertEqual((list(registry.things("service")), len(registry)), ([], 0))
