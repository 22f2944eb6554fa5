"""Which of Tutum's states a thing is in: pure functions of what the engine says.

Counts decide, not the order of events: an engine's events can be lost, its states cannot.
"""

from __future__ import annotations

from tutumwatch.bridge.happenings import NodeState
from tutumwatch.bridge.model import Container, Node, NodeCluster, Service, Stack

STARTING, RUNNING, PARTLY_RUNNING = "Starting", "Running", "Partly running"
STOPPING, STOPPED, NOT_RUNNING = "Stopping", "Stopped", "Not running"
SCALING, REDEPLOYING = "Scaling", "Redeploying"
TERMINATING, TERMINATED = "Terminating", "Terminated"
DEPLOYING, DEPLOYED, UNREACHABLE = "Deploying", "Deployed", "Unreachable"
PARTLY_DEPLOYED, EMPTY_CLUSTER = "Partly deployed", "Empty cluster"
IN_PROGRESS, SUCCESS, FAILED, CANCELED = "In progress", "Success", "Failed", "Canceled"


def node_state(node: Node) -> str:
    """Give a node's state; one that has just joined is still being deployed."""
    if node.is_gone:
        return TERMINATED
    match node.now.state:
        case NodeState.READY:
            return DEPLOYED
        case NodeState.UNKNOWN if not node.was_ready:
            return DEPLOYING
        case _:
            return UNREACHABLE


def cluster_state(cluster: NodeCluster) -> str:
    """Give a node cluster's state."""
    states = {node_state(node) for node in cluster.nodes.values()}
    if not states:
        return EMPTY_CLUSTER
    if states == {DEPLOYED}:
        return DEPLOYED
    if DEPLOYING in states:
        return SCALING if cluster.was_deployed else DEPLOYING
    return PARTLY_DEPLOYED


def container_state(container: Container) -> str:
    """Give a container's state."""
    return TERMINATED if container.is_gone else container.now.phase.value


def service_state(service: Service) -> str:
    """Give a service's state. The first that holds decides."""
    if service.is_gone:
        return TERMINATING if service.containers else TERMINATED
    if service.now.update.is_running:
        return REDEPLOYING
    target, count = service.now.replica_count, service.count()
    if target == 0:
        still_runs = count.surplus or count.current
        return STOPPING if still_runs else STOPPED if service.was_running else NOT_RUNNING
    # An engine says the new count first and what it does about it later, so right after a
    # change the old containers still look fine.
    is_reached = count.running >= target >= count.current and not count.surplus
    if service.is_scaling and not is_reached:
        return SCALING
    if count.running >= target:
        return RUNNING
    if not service.was_running:
        return STARTING
    if count.running:
        return PARTLY_RUNNING
    return STARTING if count.current else STOPPED


def stack_state(stack: Stack) -> str:
    """Give a stack's state, from those its services were published with.

    Services that are gone do not count, and one that is scaling counts as running.
    """
    states = {service.published for service in stack.services.values()} - {TERMINATED}
    if SCALING in states:
        states = states - {SCALING} | {RUNNING}
    if not states:
        return TERMINATED
    if states == {TERMINATING}:
        return TERMINATING
    if REDEPLOYING in states:
        return REDEPLOYING
    if states == {RUNNING}:
        return RUNNING
    if states <= {STOPPED, NOT_RUNNING}:
        return STOPPED
    if states <= {STOPPING, STOPPED, NOT_RUNNING}:
        return STOPPING
    if states <= {STARTING, RUNNING}:
        return STARTING
    return PARTLY_RUNNING
