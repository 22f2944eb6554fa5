"""Tests of tutumwatch/bridge/reducer.py: from what an engine says to Tutum's events."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from tests.bridge.cases import P, World, container, node, service
from tutumwatch.bridge.happenings import (
    ContainerGone,
    NodeGone,
    NodeState,
    ServiceGone,
    Update,
)
from tutumwatch.bridge.objects import object_of

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class EventTests(SynchronousTestCase):
    """What an announcement says."""

    def test_all_fields(self) -> None:
        world = World(node(), service(labels={"tutumwatch.team": "red"}))
        world.tell(container())
        made, of, stack = world.last[0], world.last[1], world.last[2]
        self.assertEqual((made.type, made.action, made.state), ("container", "create", "Running"))
        cluster = world.reducer.cluster
        (on,) = cluster.nodes.values()
        self.assertEqual(made.parents, [of.resource_uri, stack.resource_uri, on.uri, cluster.uri])
        self.assertEqual(of.parents, [stack.resource_uri])
        self.assertEqual(stack.parents, [])
        self.assertEqual(made.date, "2026-01-01T00:00:02+00:00")
        for told in world.last:
            self.assertRegex(told.uuid, UUID4)
            self.assertEqual(told.resource_uri, f"/api/v1/{told.type}/{told.object['uuid']}/")
            self.assertRegex(told.object["uuid"], UUID4)
            self.assertEqual(told.object["state"], told.state)

    def test_uuids_of_events_are_never_the_same(self) -> None:
        world = World()
        uuids = []
        for number in range(300):
            world.tell(container(str(number), of=None))
            uuids += [told.uuid for told in world.last]
        self.assertEqual(len(set(uuids)), 300)

    def test_uuids_of_things_survive_a_restart(self) -> None:
        told = (node(), service(), container())
        one, other = World(), World()
        one.tell(*told)
        other.now += 500
        other.tell(*told)
        for here, there in zip(one.last, other.last, strict=True):
            if here.type != "action":
                self.assertEqual(here.resource_uri, there.resource_uri)

    def test_children_come_before_their_parents_and_actions_last(self) -> None:
        told = World().tell(node(), service(), container())
        self.assertEqual(
            told,
            [
                "node create Deployed",
                "nodecluster create Deployed",
                "container create Running",
                "service create Running",
                "stack create Running",
                "action create Success",
            ],
        )

    def test_what_is_said_twice_is_told_once(self) -> None:
        world = World(node(), service(), container())
        self.assertEqual(world.tell(node(), service(), container()), [])

    def test_the_rest_api_knows_what_is_announced_and_its_parents(self) -> None:
        world = World(node())
        world.tell(service(), container())
        for told in world.last:
            for uri in (told.resource_uri, *told.parents):
                _, _, _, type_, uuid, _ = uri.split("/")
                self.assertIsNotNone(world.reducer.registry.find(type_, uuid))
            thing = world.reducer.registry.find(told.type, told.object["uuid"])
            assert thing is not None
            self.assertEqual(object_of(thing), told.object)


class ContainerTests(SynchronousTestCase):
    """A container's life."""

    def test_a_life(self) -> None:
        world = World(node(), service(count=2), container("other"))
        self.assertEqual(world.tell(container(phase=P.STARTING)), ["container create Starting"])
        self.assertEqual(
            world.tell(container()),
            [
                "container update Running",
                "service update Running",
                "stack update Running",
                "action update Success",
            ],
        )
        self.assertEqual(
            world.tell(container(phase=P.STOPPING, is_wanted=False)),
            [
                "container update Stopping",
                "service update Partly running",
                "stack update Partly running",
            ],
        )
        self.assertEqual(
            world.tell(container(phase=P.STOPPED, is_wanted=False, exit_code=143)),
            ["container update Stopped"],
        )
        self.assertEqual(world.object("container")["exit_code"], 143)
        self.assertEqual(world.tell(ContainerGone("c1")), ["container delete Terminated"])
        self.assertEqual(world.tell(ContainerGone("c1")), [])

    def test_dates(self) -> None:
        world = World()
        world.tell(container(phase=P.STARTING, of=None))
        made = world.object("container")
        self.assertEqual(made["deployed_datetime"], "Thu, 01 Jan 2026 00:00:01 +0000")
        self.assertEqual((made["started_datetime"], made["stopped_datetime"]), (None, None))
        world.tell(container(of=None))
        self.assertEqual(
            world.object("container")["started_datetime"], "Thu, 01 Jan 2026 00:00:02 +0000"
        )
        world.tell(container(phase=P.STOPPED, of=None))
        stopped = world.object("container")
        self.assertEqual(stopped["stopped_datetime"], "Thu, 01 Jan 2026 00:00:03 +0000")
        # While it runs again, the end of the run before stays.
        world.tell(container(of=None))
        running = world.object("container")
        self.assertEqual(running["started_datetime"], "Thu, 01 Jan 2026 00:00:04 +0000")
        self.assertEqual(running["stopped_datetime"], "Thu, 01 Jan 2026 00:00:03 +0000")
        world.tell(ContainerGone("c1"))
        self.assertEqual(
            world.object("container")["destroyed_datetime"], "Thu, 01 Jan 2026 00:00:05 +0000"
        )

    def test_one_of_no_service_has_a_node_and_its_cluster_for_parents(self) -> None:
        world = World(node())
        world.tell(container(of=None))
        self.assertEqual(
            [uri.split("/")[3] for uri in world.last[0].parents], ["node", "nodecluster"]
        )

    def test_what_it_belongs_to_may_be_learned_later(self) -> None:
        """A task has no node at first, and another node's engine may be faster than the manager."""
        world = World()
        world.tell(container(phase=P.STARTING, node=""))
        self.assertEqual(world.last[0].parents, [])
        world.tell(node(), service())
        world.tell(container())
        self.assertEqual(
            [uri.split("/")[3] for uri in world.last[0].parents],
            ["service", "stack", "node", "nodecluster"],
        )
        self.assertEqual(world.object("service")["containers"], [world.last[0].resource_uri])

    def test_an_id_that_comes_back_in_one_moment_is_told_twice(self) -> None:
        world = World(container(of=None))
        self.assertEqual(
            world.tell(ContainerGone("c1"), container(of=None)),
            ["container delete Terminated", "container create Running"],
        )
        world.now += 7200
        world.tell(node())
        (kept,) = world.reducer.registry.things("container")
        self.assertEqual(kept.published, "Running")


class ServiceTests(SynchronousTestCase):
    """A service's life, and that of its stack and actions."""

    def test_scale_up(self) -> None:
        world = World(node(), service(), container())
        self.assertEqual(
            world.tell(service(count=2)), ["service update Scaling", "action create In progress"]
        )
        self.assertEqual(world.tell(container("c2", P.STARTING)), ["container create Starting"])
        self.assertEqual(
            world.tell(container("c2")),
            ["container update Running", "service update Running", "action update Success"],
        )
        self.assertEqual(world.object("action")["action"], "Service Scale")
        counts = [
            world.object("service")[f"{n}_num_containers"]
            for n in ("target", "current", "running", "stopped")
        ]
        self.assertEqual(counts, [2, 2, 2, 0])

    def test_scale_down_is_shown_although_the_old_containers_still_look_fine(self) -> None:
        world = World(node(), service(count=2), container("c1"), container("c2"))
        self.assertEqual(
            world.tell(service()), ["service update Scaling", "action create In progress"]
        )
        self.assertEqual(
            world.tell(container("c2", P.TERMINATING, is_wanted=False)),
            ["container update Terminating"],
        )
        self.assertEqual(
            world.tell(container("c2", P.STOPPED, is_wanted=False)),
            ["container update Stopped", "service update Running", "action update Success"],
        )
        self.assertEqual(world.tell(container("c3")), ["container create Running"])

    def test_scale_to_nothing(self) -> None:
        world = World(node(), service(), container())
        self.assertEqual(
            world.tell(service(count=0)),
            ["service update Stopping", "stack update Stopping", "action create In progress"],
        )
        self.assertEqual(
            world.tell(container(phase=P.STOPPED, is_wanted=False)),
            [
                "container update Stopped",
                "service update Stopped",
                "stack update Stopped",
                "action update Success",
            ],
        )
        self.assertIsNotNone(world.object("service")["stopped_datetime"])

    def test_one_that_wants_no_containers_is_created_at_rest(self) -> None:
        self.assertEqual(
            World().tell(service(count=0)),
            ["service create Not running", "stack create Stopped", "action create Success"],
        )

    def test_a_crash_is_no_success_of_the_operation_before(self) -> None:
        world = World(node(), service(), container())
        world.tell(service(count=2))
        world.tell(container(phase=P.STOPPED, exit_code=1))
        self.assertEqual([t.type for t in world.last], ["container"])

    def test_redeploy(self) -> None:
        world = World(node(), service(), container())
        self.assertEqual(
            world.tell(service(update=Update.UPDATING, image="shop/web:1.1")),
            ["service update Redeploying", "stack update Redeploying", "action create In progress"],
        )
        self.assertFalse(world.object("service")["synchronized"])
        self.assertEqual(world.object("service")["image_name"], "shop/web:1.1")
        self.assertEqual(
            world.tell(service(update=Update.COMPLETED, image="shop/web:1.1")),
            ["service update Running", "stack update Running", "action update Success"],
        )
        self.assertEqual(world.object("action")["action"], "Service Redeploy")
        self.assertTrue(world.object("service")["synchronized"])

    def test_an_update_that_is_forgotten_ends(self) -> None:
        """Any change of a service resets its update; no `completed` ever comes then."""
        world = World(node(), service(), container())
        world.tell(service(update=Update.UPDATING))
        self.assertEqual(
            world.tell(service()),
            ["service update Running", "stack update Running", "action update Success"],
        )

    def test_an_update_that_pauses_failed(self) -> None:
        world = World(node(), service(count=2), container())
        world.tell(service(count=2, update=Update.UPDATING))
        self.assertEqual(
            world.tell(service(count=2, update=Update.PAUSED)),
            ["service update Starting", "stack update Starting", "action update Failed"],
        )

    def test_a_completed_update_succeeded_whatever_runs(self) -> None:
        world = World(node(), service(), container())
        world.tell(service(update=Update.UPDATING), container(phase=P.STOPPED))
        self.assertEqual(
            world.tell(service(update=Update.COMPLETED)),
            ["service update Stopped", "stack update Stopped", "action update Success"],
        )

    def test_rollback(self) -> None:
        for end, expected in (
            (Update.ROLLBACK_COMPLETED, "action update Success"),
            (Update.ROLLBACK_PAUSED, "action update Failed"),
        ):
            world = World(node(), service(), container())
            world.tell(service(update=Update.UPDATING))
            self.assertEqual(
                world.tell(service(update=Update.ROLLBACK_STARTED)),
                ["action update Failed", "action create In progress"],
            )
            self.assertEqual(world.object("action")["action"], "Service Rollback")
            self.assertEqual(world.tell(service(update=end))[-1], expected)

    def test_a_new_operation_cancels_the_one_in_progress(self) -> None:
        world = World(node(), service())
        self.assertEqual(
            world.tell(service(count=2)),
            [
                "service update Scaling",
                "stack update Running",
                "action update Canceled",
                "action create In progress",
            ],
        )

    def test_removal(self) -> None:
        world = World(node(), service(), container())
        self.assertEqual(
            world.tell(ServiceGone("web")),
            ["service update Terminating", "stack update Terminating", "action create In progress"],
        )
        self.assertEqual(world.object("action")["action"], "Service Terminate")
        self.assertEqual(world.tell(ServiceGone("web")), [])
        self.assertEqual(
            world.tell(ContainerGone("c1")),
            [
                "container delete Terminated",
                "service delete Terminated",
                "stack delete Terminated",
                "action update Success",
            ],
        )
        self.assertEqual(world.tell(ServiceGone("web")), [])
        self.assertEqual(world.tell(ServiceGone("unheard-of")), [])

    def test_a_stack_that_comes_back_has_the_same_name_and_uuid(self) -> None:
        world = World(node(), service(), service("db"))
        before = world.object("stack")
        self.assertIn("stack delete Terminated", world.tell(ServiceGone("web"), ServiceGone("db")))
        world.tell(service("new"))
        self.assertEqual((world.last[1].type, world.last[1].action), ("stack", "create"))
        self.assertEqual(world.object("stack")["uuid"], before["uuid"])
        self.assertEqual(len(world.object("stack")["services"]), 1)

    def test_one_without_a_stack(self) -> None:
        world = World()
        self.assertEqual(
            world.tell(service(stack=None)),
            ["service create Starting", "action create In progress"],
        )
        self.assertEqual(world.last[0].parents, [])
        self.assertIsNone(world.object("service")["stack"])

    def test_an_action_has_its_service_and_that_ones_stack_for_parents(self) -> None:
        world = World()
        world.tell(service())
        of, stack, action = world.last
        self.assertEqual(action.parents, [of.resource_uri, stack.resource_uri])
        self.assertEqual(action.object["object"], of.resource_uri)
        self.assertEqual(action.object["start_date"], "Thu, 01 Jan 2026 00:00:01 +0000")
        self.assertIsNone(action.object["end_date"])


class NodeTests(SynchronousTestCase):
    """A node's life."""

    def test_join(self) -> None:
        world = World()
        self.assertEqual(
            world.tell(node(state=NodeState.UNKNOWN)),
            ["node create Deploying", "nodecluster create Deploying"],
        )
        self.assertEqual(
            world.tell(node()), ["node update Deployed", "nodecluster update Deployed"]
        )
        self.assertEqual(
            world.tell(node("n2", NodeState.UNKNOWN)),
            ["node create Deploying", "nodecluster update Scaling"],
        )
        self.assertEqual(world.last[0].parents, [world.last[1].resource_uri])

    def test_lost_and_back(self) -> None:
        world = World(node(), node("n2"), service(count=2), container(), container("c2", node="n2"))
        self.assertEqual(
            world.tell(node("n2", NodeState.DOWN)),
            [
                "node update Unreachable",
                "nodecluster update Partly deployed",
                "service update Partly running",
                "stack update Partly running",
            ],
        )
        self.assertEqual(world.object("service")["running_num_containers"], 1)
        self.assertEqual(
            world.tell(node("n2")),
            [
                "node update Deployed",
                "nodecluster update Deployed",
                "service update Running",
                "stack update Running",
            ],
        )

    def test_gone(self) -> None:
        world = World(node(), service(), container(), container("c2", of=None))
        self.assertEqual(
            world.tell(NodeGone("n1")),
            [
                "node delete Terminated",
                "nodecluster update Empty cluster",
                "container delete Terminated",
                "container delete Terminated",
                "service update Stopped",
                "stack update Stopped",
            ],
        )
        self.assertEqual(world.tell(NodeGone("n1")), [])

    def test_rejoined_in_one_moment(self) -> None:
        world = World(node())
        self.assertEqual(
            world.tell(NodeGone("n1"), node()), ["node delete Terminated", "node create Deployed"]
        )
