"""Tests of tutumwatch/bridge/demo: whatever happens there, a real platform could have said it."""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.bridge.cases import BEGIN, STATES
from tests.bridge.fields import wrong_fields
from tutumwatch.bridge.announcement import Announcement
from tutumwatch.bridge.demo.cluster import FakeCluster
from tutumwatch.bridge.demo.engine import FakeEngine
from tutumwatch.bridge.demo.flaws import Fault, Flaw
from tutumwatch.bridge.demo.moments import Moment, Moments
from tutumwatch.bridge.demo.rollout import OnFailure
from tutumwatch.bridge.demo.story import OUTAGE_SECONDS, Story
from tutumwatch.bridge.happenings import ContainerIs, ContainerPhase, NodeState
from tutumwatch.bridge.model import Service, make_cluster
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

    def tell(self, moment: Moment) -> None:
        """Tell the reducer of a moment."""
        self.now += 1
        announced = self.reducer.apply(moment.happenings, self.now)
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


def story_of(seed: int, witness: Witness | None = None) -> Story:
    """Make a story; its time is that of a witness, if there is one."""
    return Story(random.Random(seed), lambda: witness.now - BEGIN if witness else 0.0)


class BeginningTests(SynchronousTestCase):
    """The demo cloud as a newcomer finds it."""

    def beginning(self, seed: int) -> Witness:
        """Let a cloud be built."""
        witness = Witness(self)
        for moment in story_of(seed).beginning():
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


def told_by(seed: int, count: int) -> list[Moment]:
    """Give the first moments of a story, of which each is a second."""
    moments: list[Moment] = []
    story = Story(random.Random(seed), lambda: float(len(moments)))
    moments += story.beginning()
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
            witness.tell(moment)
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
        """But for a node that is lost, of which there is one at the most, and not for long."""
        witness = Witness(self)
        story = story_of(9, witness)
        for moment in story.beginning():
            witness.tell(moment)
        lost_at: dict[str, float] = {}
        for _, operation in zip(range(300), story.life(), strict=False):
            for moment in operation:
                witness.tell(moment)
            for type_ in ("service", "stack"):
                states = {t.published for t in witness.reducer.registry.things(type_)}
                self.assertLessEqual(states, {"Running", "Terminated"})
            for service in story.cluster.services.values():
                self.assertEqual(
                    len(story.cluster.containers_of(service.id)), service.replica_count
                )
            self.assertEqual(story.cluster.flaws, {})
            lost = [n.id for n in story.cluster.nodes.values() if n.state is not NodeState.READY]
            lost_at = {node: lost_at.get(node, witness.now) for node in lost}
            self.assertLessEqual(len(lost_at), 1)
            for at in lost_at.values():
                self.assertLess(witness.now - at, 3 * OUTAGE_SECONDS)
            if not lost:
                self.assertEqual(
                    [c.name for c in story.cluster.containers.values() if not c.is_wanted],
                    ["backup"],
                )

    def test_it_begins_with_one_of_each_thing_that_is_worth_telling(self) -> None:
        """A deploy, a node that is lost, a bad deploy and its fix, a crash loop and its fix."""
        for seed in range(20):
            witness = Witness(self)
            story = story_of(seed, witness)
            for moment in story.beginning():
                witness.tell(moment)
            told: list[set[str]] = []
            for _, operation in zip(range(4), story.life(), strict=False):
                witness.heard.clear()
                for moment in operation:
                    witness.tell(moment)
                told.append(set(witness.heard))
            good, lost, bad, loop = told
            self.assertIn("action update Success", good)
            self.assertNotIn("action update Failed", good)
            self.assertIn("node update Unreachable", lost)
            self.assertLessEqual({"action update Failed", "action update Success"}, bad)
            self.assertIn("action update Success", loop)
            self.assertIn("node update Deployed", bad | loop)

    def test_a_round_is_a_redeploy_with_its_containers_stack_and_action(self) -> None:
        story = story_of(1)
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


def operations(engine: FakeEngine) -> dict[str, Callable[[int], Moments]]:
    """Give all that can be done to an engine; a number chooses to whom."""

    def one(things: dict[str, object], number: int) -> str:
        return list(things)[number % len(things)] if things else ""

    def crash(number: int) -> Moments:
        running = engine.cluster.running_containers()
        if running:
            yield from engine.crash(running[number % len(running)], oom=number % 2 == 0)

    return {
        "deploy": lambda n: engine.deploy(
            "trial" if n % 2 else None, f"s{n}", f"i:{n}", n % 4, n % 3
        ),
        "remove": lambda n: engine.remove(one({**engine.cluster.services}, n)),
        "redeploy": lambda n: engine.redeploy(one({**engine.cluster.services}, n), f"i:{n}"),
        "scale": lambda n: engine.scale(one({**engine.cluster.services}, n), n % 6),
        "crash": crash,
        "lose_node": lambda n: engine.lose_node(one({**engine.cluster.nodes}, n)),
        "join": lambda n: engine.join(f"node-{n}"),
        "leave_stopped": lambda n: engine.leave_stopped(f"job-{n}", "job:1"),
    }


class EngineTests(SynchronousTestCase):
    """What cannot happen does not."""

    def engine(self) -> FakeEngine:
        """Make one with a node and a service."""
        engine = FakeEngine(FakeCluster(random.Random(1)))
        for operation in (engine.join("node-1"), engine.deploy("shop", "web", "web:1", 1, 0)):
            list(operation)
        return engine

    def test_the_last_node_is_not_lost(self) -> None:
        engine = self.engine()
        (node,) = engine.cluster.nodes
        self.assertEqual(list(engine.lose_node(node)), [])

    def test_what_is_gone_is_not_touched(self) -> None:
        engine = self.engine()
        (service,) = engine.cluster.services
        (container,) = engine.cluster.running_containers()
        self.assertGreater(len(list(engine.remove(service))), 3)
        self.assertEqual(list(engine.remove(service)), [])
        self.assertEqual(list(engine.crash(container, oom=True)), [])
        for operation in (engine.scale(service, 3), engine.redeploy(service, "web:2")):
            self.assertEqual([moment for moment in operation if moment], [])

    def test_a_crash_is_made_good_by_a_new_container(self) -> None:
        engine = self.engine()
        (container,) = engine.cluster.running_containers()
        (first, *_) = engine.crash(container, oom=True)
        (dead,) = first.happenings
        assert isinstance(dead, ContainerIs)
        self.assertEqual((dead.exit_code, dead.is_oom, dead.is_wanted), (137, True, True))
        (new,) = engine.cluster.running_containers()
        self.assertEqual((container.name, new.name), ("web-1", "web-2"))

    def test_a_start_that_is_overtaken_by_a_stop_is_given_up(self) -> None:
        engine = self.engine()
        (service,) = engine.cluster.services
        scale, remove = engine.scale(service, 2), engine.remove(service)
        next(scale)
        (new,) = next(scale).happenings
        assert isinstance(new, ContainerIs)
        while engine.cluster.containers[new.id].phase is not ContainerPhase.TERMINATING:
            next(remove)
        self.assertEqual(list(scale), [])
        self.assertIs(engine.cluster.containers[new.id].phase, ContainerPhase.TERMINATING)


class FateTests(SynchronousTestCase):
    """What goes wrong, as it was seen to go wrong with Swarm."""

    def setUp(self) -> None:
        self.cluster = FakeCluster(random.Random(1))
        self.engine = FakeEngine(self.cluster)
        self.witness = Witness(self)
        for hostname in ("node-1", "node-2"):
            self.tell(self.engine.join(hostname))
        self.service = self.deploy("web", "web:1", 4)
        self.witness.heard.clear()

    def tell(self, operation: Moments, seconds: float = 3600.0) -> list[str]:
        """Let an operation go on for so long; give what was announced of services and nodes."""
        count = len(self.witness.heard)
        for moment in operation:
            self.witness.tell(moment)
            seconds -= moment.pause_seconds
            if seconds < 0:
                break
        return [h for h in self.witness.heard[count:] if h.startswith(("service", "node "))]

    def deploy(self, name: str, image: str, count: int, seconds: float = 3600.0) -> str:
        """Deploy a service."""
        self.tell(self.engine.deploy(None, name, image, count), seconds)
        return next(s.id for s in self.cluster.services.values() if s.name == name)

    def object(self, service_id: str) -> tuple[str, int, str]:
        """Give the image, the running containers and the update of a service."""
        things = self.witness.reducer.registry.things("service")
        (told,) = (
            object_of(t) for t in things if isinstance(t, Service) and t.now.id == service_id
        )
        return told["image_name"], told["running_num_containers"], told["update_state"]

    def images(self) -> list[str]:
        """Give the images of the containers that run."""
        return sorted(c.image for c in self.cluster.running_containers())

    def test_a_redeploy_replaces_some_at_once(self) -> None:
        moments = list(self.engine.redeploy(self.service, "web:2", parallelism=2))
        for moment in moments:
            self.witness.tell(moment)
        stopping = [
            sum(
                isinstance(h, ContainerIs) and h.phase is ContainerPhase.STOPPING
                for h in m.happenings
            )
            for m in moments
        ]
        self.assertEqual([count for count in stopping if count], [2, 2])
        self.assertEqual(self.images(), ["web:2"] * 4)
        self.assertEqual(self.object(self.service), ("web:2", 4, "completed"))
        self.assertAlmostEqual(sum(m.pause_seconds for m in moments), 0.2 + 2 * 3.5 + 5.0)

    def test_a_redeploy_whose_third_container_fails_is_paused(self) -> None:
        """The rest stays as it was; what failed is started again and fails again."""
        self.cluster.flaws["web:2"] = Flaw(good_count=2)
        told = self.tell(self.engine.redeploy(self.service, "web:2"), 40.0)
        self.assertEqual(
            told[:3],
            [
                "service update Redeploying",
                "service update Partly running",
                "service update Running",
            ],
        )
        self.assertEqual(set(told[3:]), {"service update Partly running", "service update Running"})
        self.assertEqual(self.object(self.service)[::2], ("web:2", "paused"))
        self.assertEqual(self.images()[:3], ["web:1", "web:2", "web:2"])
        deaths = sum(h == "container update Stopped" for h in self.witness.heard)
        self.assertGreater(deaths, 3 + 3)

    def test_a_paused_one_is_mended_by_the_next(self) -> None:
        self.cluster.flaws["web:2"] = Flaw(good_count=2)
        bad = self.engine.redeploy(self.service, "web:2")
        self.tell(bad, 40.0)
        good = self.engine.redeploy(self.service, "web:3")
        self.tell(good, 3.0)
        self.tell(bad)
        self.tell(good)
        self.assertEqual(self.images(), ["web:3"] * 4)
        self.assertEqual(self.object(self.service), ("web:3", 4, "completed"))
        self.assertEqual(len(self.cluster.containers), 4)

    def test_one_that_is_rolled_back(self) -> None:
        """What was not replaced is not touched."""
        kept = self.cluster.containers_of(self.service)[3]
        self.cluster.flaws["web:2"] = Flaw(good_count=2)
        told = self.tell(
            self.engine.redeploy(self.service, "web:2", on_failure=OnFailure.ROLL_BACK)
        )
        self.assertEqual(told, ["service update Redeploying", "service update Running"])
        self.assertEqual(self.object(self.service), ("web:1", 4, "rollback_completed"))
        self.assertEqual(self.images(), ["web:1"] * 4)
        self.assertIn(kept.id, self.cluster.containers)
        self.assertIn("action update Failed", self.witness.heard)
        self.assertIn("action update Success", self.witness.heard)
        self.assertEqual(len(self.cluster.containers), 4)

    def test_one_that_fails_late_was_a_good_one(self) -> None:
        self.cluster.flaws["web:2"] = Flaw(lives_seconds=20.0)
        told = self.tell(self.engine.redeploy(self.service, "web:2", parallelism=4), 12.0)
        self.assertEqual(told, ["service update Redeploying", "service update Running"])

    def test_an_image_that_is_missing(self) -> None:
        self.cluster.flaws["web:2"] = Flaw(Fault.MISSING)
        told = self.tell(self.engine.redeploy(self.service, "web:2"))
        self.assertEqual(told, ["service update Redeploying", "service update Partly running"])
        self.assertEqual(self.object(self.service), ("web:2", 3, "paused"))
        self.tell(self.engine.redeploy(self.service, "web:3"))
        self.assertEqual(self.object(self.service), ("web:3", 4, "completed"))

    def test_an_image_that_is_missing_and_a_rollback(self) -> None:
        self.cluster.flaws["web:2"] = Flaw(Fault.MISSING)
        self.tell(self.engine.redeploy(self.service, "web:2", on_failure=OnFailure.ROLL_BACK))
        self.assertEqual(self.object(self.service), ("web:1", 4, "rollback_completed"))

    def test_an_image_that_is_pulled_for_ever(self) -> None:
        self.cluster.flaws["web:2"] = Flaw(Fault.HANGS)
        told = self.tell(self.engine.redeploy(self.service, "web:2"))
        self.assertEqual(told, ["service update Redeploying"])
        self.assertEqual(self.object(self.service), ("web:2", 3, "updating"))

    def test_a_new_service_of_a_missing_image(self) -> None:
        self.cluster.flaws["api:1"] = Flaw(Fault.MISSING)
        service = self.deploy("api", "api:1", 2)
        services = [h for h in self.witness.heard if h.startswith("service")]
        self.assertEqual(services, ["service create Starting"])
        self.tell(self.engine.redeploy(service, "api:2"))
        self.assertEqual(self.object(service), ("api:2", 2, "completed"))

    def test_a_crash_loop_until_it_is_fixed(self) -> None:
        """Each round is a new container; the service is Running while one runs."""
        service = self.deploy("api", "api:1", 1)
        loop = self.engine.spoil(service, Flaw(lives_seconds=10.0, is_oom=True))
        told = self.tell(loop, 100.0)
        self.assertEqual(told[:4], ["service update Starting", "service update Running"] * 2)
        self.assertEqual(len(told), 12)
        self.assertEqual(len(self.cluster.dead_containers(service)), 1)
        (dead,) = self.cluster.dead_containers(service)
        self.assertEqual((dead.exit_code, dead.is_oom), (137, True))
        self.tell(self.engine.redeploy(service, "api:2"))
        self.tell(loop)
        self.assertEqual(self.object(service), ("api:2", 1, "completed"))
        self.assertEqual(self.cluster.dead_containers(service), [])

    def test_a_crash_loop_that_ends_by_itself(self) -> None:
        loop = self.engine.spoil(self.service, Flaw(good_count=3))
        self.tell(loop, 30.0)
        self.cluster.flaws.clear()
        self.tell(loop)
        self.assertEqual(self.object(self.service)[:2], ("web:1", 4))

    def test_a_lost_node_with_room_elsewhere(self) -> None:
        node = next(iter(self.cluster.nodes))
        told = self.tell(self.engine.cut_node(node))
        self.assertEqual(
            told,
            ["node update Unreachable", "service update Partly running", "service update Running"],
        )
        told = self.tell(self.engine.heal_node(node))
        self.assertEqual(told, ["node update Deployed"])
        self.assertEqual(len(self.cluster.containers), 4)

    def test_a_lost_node_without(self) -> None:
        """What has no room waits for the node, or for the room of what is stopped."""
        self.cluster.capacity = 3
        node, other = self.cluster.nodes
        told = self.tell(self.engine.cut_node(node))
        self.assertEqual(told, ["node update Unreachable", "service update Partly running"])
        self.assertEqual(self.object(self.service)[1], 3)
        told = self.tell(self.engine.heal_node(node))
        self.assertEqual(told, ["node update Deployed", "service update Running"])
        self.assertEqual(len(self.cluster.containers), 4)
        self.cluster.capacity = 2
        self.tell(self.engine.cut_node(other))
        third = self.deploy("api", "api:1", 1)
        self.assertEqual(self.object(third)[1], 0)
        self.tell(self.engine.remove(self.service))
        self.assertEqual(self.object(third)[1], 1)
        nodes = {c.node for c in self.cluster.running_containers()}
        self.assertEqual(nodes, {node})

    def test_every_node_lost(self) -> None:
        for node in self.cluster.nodes:
            self.tell(self.engine.cut_node(node))
        self.assertEqual(self.object(self.service)[1], 0)
        for node in self.cluster.nodes:
            self.tell(self.engine.heal_node(node))
        self.assertEqual(self.object(self.service)[1], 4)
        self.assertEqual(len(self.cluster.containers), 4)

    def test_a_redeploy_that_is_overtaken_does_nothing_more(self) -> None:
        first = self.engine.redeploy(self.service, "web:2")
        second = self.engine.redeploy(self.service, "web:3")
        self.tell(first, 4.0)
        self.tell(second, 1.0)
        containers = set(self.cluster.containers)
        self.assertEqual(self.tell(first), [])
        self.assertLessEqual(set(self.cluster.containers), containers)
        self.assertEqual(self.object(self.service)[2], "updating")
        self.tell(second)
        self.assertEqual(self.images(), ["web:3"] * 4)

    def test_scaling_resets_an_update(self) -> None:
        """Then no end of it is ever told, though it goes on."""
        redeploy = self.engine.redeploy(self.service, "web:2")
        self.tell(redeploy, 4.0)
        self.tell(self.engine.scale(self.service, 6))
        self.tell(redeploy)
        self.assertEqual(self.object(self.service), ("web:2", 6, None))
        self.assertEqual(self.images(), ["web:2"] * 6)


class OverlapTests(SynchronousTestCase):
    """Operations that overlap in any way, as a signal in the middle of one makes them."""

    @settings(max_examples=100, deadline=None)
    @given(st.data())
    def test_any_order_of_steps_is_a_possible_life(self, data: st.DataObject) -> None:
        witness = Witness(self)
        story = story_of(1)
        for moment in story.beginning():
            witness.tell(moment)
        known = operations(story.engine)
        steps = data.draw(
            st.lists(
                st.tuples(st.sampled_from(sorted(known)), st.integers(0, 30), st.integers(0, 6)),
                max_size=12,
            )
        )
        going: list[Moments] = []
        for name, number, count in steps:
            going.append(known[name](number))
            for _ in range(count):
                self.step(going, number, witness)
        while going:
            self.step(going, len(going) // 2, witness)
        witness.check_rest()
        self.check_settled(story.cluster, witness)

    def step(self, going: list[Moments], number: int, witness: Witness) -> None:
        """Let one of the operations go one step further."""
        if going:
            operation = going[number % len(going)]
            moment = next(operation, None)
            if moment is None:
                going.remove(operation)
            else:
                witness.tell(moment)

    def check_settled(self, cluster: FakeCluster, witness: Witness) -> None:
        """Check that every service came to rest with as many containers as it wants."""
        self.assertEqual({n.state for n in cluster.nodes.values()}, {NodeState.READY})
        for service in cluster.services.values():
            live = [c for c in cluster.containers.values() if c.service == service.id]
            self.assertEqual(len(live), service.replica_count, live)
        states = {t.published for t in witness.reducer.registry.things("service")}
        self.assertLessEqual(states, {"Running", "Stopped", "Not running", "Terminated"})
