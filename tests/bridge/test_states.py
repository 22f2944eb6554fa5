"""Tests of tutumwatch/bridge/states.py: every row of the mapping from an engine's words to Tutum's."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from tests.bridge.cases import BEGIN, P, container, node, service
from tutumwatch.bridge.happenings import ContainerIs, NodeState, ServiceIs, Update
from tutumwatch.bridge.model import Container, Node, NodeCluster, Service, Stack
from tutumwatch.bridge.states import (
    cluster_state,
    container_state,
    node_state,
    service_state,
    stack_state,
)

READY, UNKNOWN, DOWN = NodeState.READY, NodeState.UNKNOWN, NodeState.DOWN
R, S, X = container(), container(phase=P.STARTING), container(phase=P.STOPPED)


def unwanted(phase: P) -> ContainerIs:
    """Give a container that its service does not want."""
    return container(phase=phase, is_wanted=False)


def state_of(
    now: ServiceIs,
    containers: Sequence[ContainerIs] = (),
    *,
    was_running: bool = True,
    is_scaling: bool = False,
    node_is: NodeState = READY,
) -> str:
    """Give the state of a service with some containers, all on one node."""
    made = Service("u", BEGIN, now=now, was_running=was_running, is_scaling=is_scaling)
    place = Node("n", BEGIN, cluster=NodeCluster("k", BEGIN), now=node(state=node_is))
    for number, told in enumerate(containers):
        made.containers[str(number)] = Container(str(number), BEGIN, now=told, node=place)
    return service_state(made)


class ServiceStateTests(SynchronousTestCase):
    """The first that holds decides."""

    def test_gone(self) -> None:
        made = Service("u", BEGIN, now=service(), is_gone=True)
        self.assertEqual(service_state(made), "Terminated")
        made.containers["1"] = Container("1", BEGIN, now=X)
        self.assertEqual(service_state(made), "Terminating")

    def test_an_update_counts_before_the_counts(self) -> None:
        for update in (Update.UPDATING, Update.ROLLBACK_STARTED):
            self.assertEqual(state_of(service(count=0, update=update)), "Redeploying")
        for update in Update:
            if not update.is_running:
                self.assertEqual(state_of(service(update=update), [R]), "Running", update)

    def test_no_containers_wanted(self) -> None:
        none = service(count=0)
        self.assertEqual(state_of(none, was_running=False), "Not running")
        self.assertEqual(state_of(none), "Stopped")
        self.assertEqual(state_of(none, [unwanted(P.STOPPED)]), "Stopped")
        for phase in (P.RUNNING, P.STOPPING, P.TERMINATING):
            self.assertEqual(state_of(none, [unwanted(phase)]), "Stopping", phase)
        # Right after the change the containers are still wanted.
        self.assertEqual(state_of(none, [R], is_scaling=True), "Stopping")

    def test_scaling_lasts_until_the_count_is_reached(self) -> None:
        for count, containers, expected in (
            (2, [R], "Scaling"),
            (2, [R, S], "Scaling"),
            (2, [R, R], "Running"),
            (1, [R, R], "Scaling"),
            (1, [R, unwanted(P.RUNNING)], "Scaling"),
            (1, [R, unwanted(P.TERMINATING)], "Scaling"),
            (1, [R, unwanted(P.STOPPED)], "Running"),
        ):
            state = state_of(service(count=count), containers, is_scaling=True)
            self.assertEqual(state, expected, (count, containers))

    def test_enough_run(self) -> None:
        self.assertEqual(state_of(service(count=2), [R, R]), "Running")
        self.assertEqual(state_of(service(count=1), [R, R]), "Running")
        self.assertEqual(state_of(service(count=1), [R, unwanted(P.STOPPING)]), "Running")

    def test_not_enough_run(self) -> None:
        two = service(count=2)
        self.assertEqual(state_of(two, [R, S], was_running=False), "Starting")
        self.assertEqual(state_of(two, [X, X], was_running=False), "Starting")
        self.assertEqual(state_of(two, [], was_running=False), "Starting")
        self.assertEqual(state_of(two, [R]), "Partly running")
        self.assertEqual(state_of(two, [R, X]), "Partly running")
        self.assertEqual(state_of(two, [X, S]), "Starting")
        self.assertEqual(state_of(two, [X, X]), "Stopped")
        self.assertEqual(state_of(two, [unwanted(P.RUNNING)]), "Stopped")

    def test_what_is_on_a_lost_node_does_not_count(self) -> None:
        for state in (DOWN, UNKNOWN):
            self.assertEqual(state_of(service(), [R], node_is=state), "Stopped")

    def test_a_container_without_a_place_is_on_its_way(self) -> None:
        made = Service("u", BEGIN, now=service(), was_running=True)
        made.containers["1"] = Container("1", BEGIN, now=S)
        self.assertEqual(service_state(made), "Starting")


class StackStateTests(SynchronousTestCase):
    """A stack's state follows from its services'."""

    def test_from_services(self) -> None:
        for states, expected in (
            ("", "Terminated"),
            ("Terminated", "Terminated"),
            ("Terminating,Terminated", "Terminating"),
            ("Running,Terminated", "Running"),
            ("Running,Redeploying,Stopped", "Redeploying"),
            ("Terminating,Redeploying", "Redeploying"),
            ("Running,Running", "Running"),
            ("Running,Scaling", "Running"),
            ("Scaling", "Running"),
            ("Stopped,Not running", "Stopped"),
            ("Not running", "Stopped"),
            ("Stopped,Stopping", "Stopping"),
            ("Stopping", "Stopping"),
            ("Starting", "Starting"),
            ("Starting,Running", "Starting"),
            ("Starting,Scaling", "Starting"),
            ("Running,Stopped", "Partly running"),
            ("Partly running", "Partly running"),
            ("Running,Terminating", "Partly running"),
        ):
            stack = Stack("s", BEGIN, name="shop")
            for number, state in enumerate(states.split(",") if states else ()):
                stack.services[str(number)] = Service("u", BEGIN, now=service(), published=state)
            self.assertEqual(stack_state(stack), expected, states)


class NodeStateTests(SynchronousTestCase):
    """Nodes, their cluster, and containers."""

    def test_a_node(self) -> None:
        for now, was_ready, expected in (
            (UNKNOWN, False, "Deploying"),
            (READY, True, "Deployed"),
            (UNKNOWN, True, "Unreachable"),
            (DOWN, True, "Unreachable"),
            (DOWN, False, "Unreachable"),
        ):
            made = Node("n", BEGIN, cluster=NodeCluster("k", BEGIN), now=node(state=now))
            made.was_ready = was_ready
            self.assertEqual(node_state(made), expected)
            made.is_gone = True
            self.assertEqual(node_state(made), "Terminated")

    def test_a_cluster(self) -> None:
        for nodes, was_deployed, expected in (
            ([], True, "Empty cluster"),
            ([READY, READY], False, "Deployed"),
            ([UNKNOWN], False, "Deploying"),
            ([READY, UNKNOWN], True, "Scaling"),
            ([READY, DOWN], True, "Partly deployed"),
            ([DOWN], True, "Partly deployed"),
        ):
            cluster = NodeCluster("k", BEGIN, was_deployed=was_deployed)
            for number, state in enumerate(nodes):
                made = Node(str(number), BEGIN, cluster=cluster, now=node(state=state))
                cluster.nodes[str(number)] = made
            self.assertEqual(cluster_state(cluster), expected, nodes)

    def test_a_container(self) -> None:
        for phase in P:
            made = Container("c", BEGIN, now=container(phase=phase))
            self.assertEqual(container_state(made), phase.value)
            made.is_gone = True
            self.assertEqual(container_state(made), "Terminated")
