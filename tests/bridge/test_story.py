"""Tests of tutumwatch/bridge/demo: whatever happens there, a real platform could have said it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.bridge.cases import BEGIN, STATES
from tests.bridge.fields import wrong_fields
from tutumwatch.bridge.announcement import Announcement
from tutumwatch.bridge.demo.engine import FakeEngine
from tutumwatch.bridge.demo.story import Story
from tutumwatch.bridge.happenings import ContainerIs, ContainerPhase, Happening, NodeState
from tutumwatch.bridge.model import make_cluster
from tutumwatch.bridge.objects import object_of
from tutumwatch.bridge.reducer import Reducer

# What this engine lets a container live through, in order; steps may be left out.
LIFE = ("Starting", "Running", "Stopping", "Terminating", "Stopped", "Terminated")


class Witness:
    """Hears all that is announced of a cloud, and checks what must hold of any of it."""

    def __init__(self, test: SynchronousTestCase) -> None:
        self.test = test
        self.reducer = Reducer("test", make_cluster("test", "demo", BEGIN))
        self.now = BEGIN
        self.alive: dict[str, Announcement] = {}
        self.ended: set[str] = set()
        self.heard: list[str] = []

    def tell(self, moment: list[Happening]) -> None:
        """Tell the reducer of a moment."""
        self.now += 1
        announced = self.reducer.apply(moment, self.now)
        for told in announced:
            self._check(told)
        for told in announced:
            self._check_answers(told)
        self.test.assertLessEqual(len(self.reducer.registry), 2000)

    def _check(self, told: Announcement) -> None:
        test, uri = self.test, told.resource_uri
        self.heard.append(f"{told.type} {told.action} {told.state}")
        test.assertIn(told.state, STATES[told.type].split(", "))
        test.assertEqual(wrong_fields(told.type, told.object), [])
        before = self.alive.get(uri)
        test.assertEqual(told.action == "create", before is None, self.heard[-1])
        test.assertEqual(told.action == "delete", told.state == "Terminated", self.heard[-1])
        test.assertTrue(before is None or before.state != told.state, self.heard[-1])
        test.assertNotIn(uri, self.ended, "nothing may follow a delete")
        if told.type == "container" and before is not None:
            test.assertLess(LIFE.index(before.state), LIFE.index(told.state), "no way back")
        if told.action == "delete":
            self.alive.pop(uri, None)
            if told.type != "stack":  # it is known by its name, which may be given again
                self.ended.add(uri)
        else:
            self.alive[uri] = told

    def _check_answers(self, told: Announcement) -> None:
        for uri in (told.resource_uri, *told.parents):
            _, _, _, type_, uuid, _ = uri.split("/")
            thing = self.reducer.registry.find(type_, uuid)
            assert thing is not None, f"{uri} is unknown when {told} is sent"
            if uri == told.resource_uri:
                self.test.assertEqual(object_of(thing), told.object)

    def check_rest(self) -> None:
        """Check that what is alive is what the lists have."""
        for type_ in STATES:
            listed = {t.uri: t.published for t in self.reducer.registry.things(type_)}
            alive = {u: a.state for u, a in self.alive.items() if a.type == type_}
            self.test.assertEqual(
                {u: s for u, s in listed.items() if u in alive},
                {u: s for u, s in alive.items() if u in listed},
            )
            if type_ != "action":
                self.test.assertLessEqual(alive.keys(), listed.keys())


class BeginningTests(SynchronousTestCase):
    """The demo cloud as a newcomer finds it."""

    def beginning(self, seed: int) -> Witness:
        """Let a cloud be built."""
        witness = Witness(self)
        for moment in Story(random.Random(seed)).beginning():
            witness.tell(moment)
        return witness

    def test_there_is_enough_to_see(self) -> None:
        for seed in (1, 2, 77):
            registry = self.beginning(seed).reducer.registry
            states = {
                type_: [thing.published for thing in registry.things(type_)] for type_ in STATES
            }
            self.assertEqual(states["stack"], ["Running"] * 3)
            self.assertEqual(states["nodecluster"], ["Deployed"])
            self.assertEqual(states["node"], ["Deployed"] * 3)
            self.assertEqual(states["service"], ["Running"] * 9)
            self.assertEqual(states["action"], ["Success"] * 25)
            self.assertEqual(states["container"].count("Stopped"), 1)
            self.assertEqual(states["container"].count("Running"), 15)

    def test_every_container_has_a_node(self) -> None:
        registry = self.beginning(1).reducer.registry
        nodes = {thing.uri for thing in registry.things("node")}
        for thing in registry.things("container"):
            if thing.published != "Terminated":
                self.assertIn(object_of(thing)["node"], nodes)


def told_by(seed: int, count: int) -> list[object]:
    """Give the first moments of a story."""
    story = Story(random.Random(seed))
    moments: list[object] = list(story.beginning())
    for operation in story.life():
        moments += operation
        if len(moments) > count:
            break
    return moments


class LifeTests(SynchronousTestCase):
    """What goes on for ever."""

    def test_a_seed_gives_the_same_story_again(self) -> None:
        self.assertEqual(told_by(3, 500), told_by(3, 500))
        self.assertNotEqual(told_by(3, 500), told_by(4, 500))

    def test_all_sorts_of_things_happen(self) -> None:
        """A long life, with each rule of the witness held all along."""
        witness = Witness(self)
        for moment in told_by(5, 8_000):
            witness.tell(moment)  # type: ignore[arg-type] # a moment
        witness.check_rest()
        for expected in (
            "container create Starting",
            "container update Running",
            "container update Stopping",
            "container update Terminating",
            "container update Stopped",
            "container delete Terminated",
            "service update Redeploying",
            "service update Scaling",
            "service update Partly running",
            "service delete Terminated",
            "stack update Redeploying",
            "stack update Partly running",
            "stack create Starting",
            "stack delete Terminated",
            "node update Unreachable",
            "node update Deployed",
            "nodecluster update Partly deployed",
            "action create In progress",
            "action update Success",
        ):
            self.assertIn(expected, witness.heard)

    def test_between_operations_all_is_well(self) -> None:
        story = Story(random.Random(9))
        witness = Witness(self)
        for moment in story.beginning():
            witness.tell(moment)
        for _, operation in zip(range(150), story.life(), strict=False):
            for moment in operation:
                witness.tell(moment)
            for type_, well in (("service", "Running"), ("stack", "Running"), ("node", "Deployed")):
                states = {t.published for t in witness.reducer.registry.things(type_)}
                self.assertLessEqual(states, {well, "Terminated"})
            for service in story.engine.services.values():
                live = [c for c in story.engine.containers.values() if c.service == service.id]
                self.assertEqual(len(live), service.replica_count)

    def test_a_round_is_a_redeploy_with_its_containers_stack_and_action(self) -> None:
        story = Story(random.Random(1))
        witness = Witness(self)
        for moment in story.beginning():
            witness.tell(moment)
        witness.heard.clear()
        for moment in story.round():
            witness.tell(moment)
        self.assertEqual(
            witness.heard[:3],
            ["service update Redeploying", "stack update Redeploying", "action create In progress"],
        )
        self.assertEqual(
            witness.heard[-3:],
            ["service update Running", "stack update Running", "action update Success"],
        )
        for expected in ("container create Starting", "container delete Terminated"):
            self.assertIn(expected, witness.heard)


def operations(engine: FakeEngine) -> dict[str, Callable[[int], Iterator[list[Happening]]]]:
    """Give all that can be done to an engine; a number chooses to whom."""

    def one(things: dict[str, object], number: int) -> str:
        return list(things)[number % len(things)] if things else ""

    def crash(number: int) -> Iterator[list[Happening]]:
        running = engine.running_containers()
        if running:
            yield from engine.crash(running[number % len(running)], oom=number % 2 == 0)

    return {
        "deploy": lambda n: engine.deploy(
            "trial" if n % 2 else None, f"s{n}", f"i:{n}", n % 4, n % 3
        ),
        "remove": lambda n: engine.remove(one({**engine.services}, n)),
        "redeploy": lambda n: engine.redeploy(one({**engine.services}, n), f"i:{n}"),
        "scale": lambda n: engine.scale(one({**engine.services}, n), n % 6),
        "crash": crash,
        "lose_node": lambda n: engine.lose_node(one({**engine.nodes}, n)),
        "join": lambda n: engine.join(f"node-{n}"),
        "leave_stopped": lambda n: engine.leave_stopped(f"job-{n}", "job:1"),
    }


class EngineTests(SynchronousTestCase):
    """What cannot happen does not."""

    def engine(self) -> FakeEngine:
        """Make one with a node and a service."""
        engine = FakeEngine(random.Random(1))
        for operation in (engine.join("node-1"), engine.deploy("shop", "web", "web:1", 1, 0)):
            list(operation)
        return engine

    def test_the_last_node_is_not_lost(self) -> None:
        engine = self.engine()
        (node,) = engine.nodes
        self.assertEqual(list(engine.lose_node(node)), [])

    def test_what_is_gone_is_not_touched(self) -> None:
        engine = self.engine()
        (service,) = engine.services
        (container,) = engine.running_containers()
        self.assertGreater(len(list(engine.remove(service))), 3)
        self.assertEqual(list(engine.remove(service)), [])
        self.assertEqual(list(engine.crash(container, oom=True)), [])
        for operation in (engine.scale(service, 3), engine.redeploy(service, "web:2")):
            self.assertEqual([moment for moment in operation if moment], [])

    def test_a_crash_is_made_good_by_a_new_container(self) -> None:
        engine = self.engine()
        (container,) = engine.running_containers()
        (first, *_) = engine.crash(container, oom=True)
        (dead,) = first
        assert isinstance(dead, ContainerIs)
        self.assertEqual((dead.exit_code, dead.is_oom, dead.is_wanted), (137, True, True))
        (new,) = engine.running_containers()
        self.assertEqual((container.name, new.name), ("web-1", "web-2"))

    def test_a_start_that_is_overtaken_by_a_stop_is_given_up(self) -> None:
        engine = self.engine()
        (service,) = engine.services
        scale, remove = engine.scale(service, 2), engine.remove(service)
        next(scale)
        (new,) = next(scale)
        assert isinstance(new, ContainerIs)
        while engine.containers[new.id].phase is not ContainerPhase.TERMINATING:
            next(remove)
        self.assertEqual(list(scale), [])
        self.assertIs(engine.containers[new.id].phase, ContainerPhase.TERMINATING)


class OverlapTests(SynchronousTestCase):
    """Operations that overlap in any way, as a signal in the middle of one makes them."""

    @settings(max_examples=100, deadline=None)
    @given(st.data())
    def test_any_order_of_steps_is_a_possible_life(self, data: st.DataObject) -> None:
        witness = Witness(self)
        story = Story(random.Random(1))
        for moment in story.beginning():
            witness.tell(moment)
        known = operations(story.engine)
        steps = data.draw(
            st.lists(
                st.tuples(st.sampled_from(sorted(known)), st.integers(0, 30), st.integers(0, 6)),
                max_size=12,
            )
        )
        going: list[Iterator[list[Happening]]] = []
        for name, number, count in steps:
            going.append(known[name](number))
            for _ in range(count):
                self.step(going, number, witness)
        while going:
            self.step(going, len(going) // 2, witness)
        witness.check_rest()
        self.check_settled(story.engine, witness)

    def step(self, going: list[Iterator[list[Happening]]], number: int, witness: Witness) -> None:
        """Let one of the operations go one step further."""
        if going:
            operation = going[number % len(going)]
            moment = next(operation, None)
            if moment is None:
                going.remove(operation)
            else:
                witness.tell(moment)

    def check_settled(self, engine: FakeEngine, witness: Witness) -> None:
        """Check that every service came to rest with as many containers as it wants."""
        self.assertEqual({n.state for n in engine.nodes.values()}, {NodeState.READY})
        for service in engine.services.values():
            live = [c for c in engine.containers.values() if c.service == service.id]
            self.assertEqual(len(live), service.replica_count, live)
        states = {t.published for t in witness.reducer.registry.things("service")}
        self.assertLessEqual(states, {"Running", "Stopped", "Not running", "Terminated"})
