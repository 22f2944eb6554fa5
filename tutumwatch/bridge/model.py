"""What the bridge knows of a cloud: its things, and the state each was last published with."""

from __future__ import annotations

from typing import NamedTuple

import attrs

from tutumwatch.bridge.happenings import (
    ContainerIs,
    ContainerPhase,
    NodeIs,
    NodeState,
    ServiceIs,
)
from tutumwatch.bridge.identity import make_uuid, uri_of


@attrs.define(eq=False)
class Thing:
    """What all six types have in common. Times are seconds since 1970.

    ``published`` is the state in the last event about it, None before the first.
    """

    uuid: str
    deployed_at: float
    published: str | None = None
    destroyed_at: float | None = None
    started_at: float | None = None
    stopped_at: float | None = None

    uri: str = attrs.field(init=False)

    type = ""

    def __attrs_post_init__(self) -> None:
        """Write its resource_uri down: every event needs several."""
        self.uri = uri_of(self.type, self.uuid)


@attrs.define(eq=False)
class NodeCluster(Thing):
    """All nodes of one cloud."""

    type = "nodecluster"
    name: str = ""
    nodes: dict[str, Node] = attrs.field(factory=dict)
    was_deployed: bool = False


@attrs.define(eq=False)
class Node(Thing):
    """A node and the containers on it; ``is_gone``: it left."""

    type = "node"
    cluster: NodeCluster = attrs.field(kw_only=True)
    now: NodeIs = attrs.field(kw_only=True)
    containers: dict[str, Container] = attrs.field(factory=dict)
    seen_at: float = 0.0
    was_ready: bool = False
    is_gone: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether what runs on it counts."""
        return self.now.state is NodeState.READY


@attrs.define(eq=False)
class Stack(Thing):
    """Services that share a namespace."""

    type = "stack"
    name: str = attrs.field(kw_only=True)
    services: dict[str, Service] = attrs.field(factory=dict)


class Counts(NamedTuple):
    """How many containers of a service are how far.

    ``running``, ``current`` (running, or on the way) and ``stopped`` are wanted by the service;
    ``surplus`` still run although they are not.
    """

    running: int
    current: int
    stopped: int
    surplus: int


_STILL_RUN = frozenset(
    {ContainerPhase.RUNNING, ContainerPhase.STOPPING, ContainerPhase.TERMINATING}
)


@attrs.define(eq=False)
class Service(Thing):
    """A service and its containers, those on their way out as well.

    ``is_gone``: the engine no longer has it; ``is_scaling``: its count was changed, and is not
    reached yet.
    """

    type = "service"
    now: ServiceIs = attrs.field(kw_only=True)
    stack: Stack | None = None
    containers: dict[str, Container] = attrs.field(factory=dict)
    is_gone: bool = False
    is_scaling: bool = False
    was_running: bool = False

    def count(self) -> Counts:
        """Count the containers on nodes that are ready."""
        running = current = stopped = surplus = 0
        for container in self.containers.values():
            if container.node is not None and not container.node.is_ready:
                continue
            phase = container.now.phase
            if not container.now.is_wanted:
                surplus += phase in _STILL_RUN
            elif phase is ContainerPhase.STOPPED:
                stopped += 1
            else:
                current += 1
                running += phase is ContainerPhase.RUNNING
        return Counts(running, current, stopped, surplus)


@attrs.define(eq=False)
class Container(Thing):
    """A container, where it runs and what for; ``is_gone``: it was removed."""

    type = "container"
    now: ContainerIs = attrs.field(kw_only=True)
    service: Service | None = None
    node: Node | None = None
    is_gone: bool = False


@attrs.define(eq=False)
class Action(Thing):
    """An operation on a service that was observed; the engine keeps no record of who asked."""

    type = "action"
    title: str = attrs.field(kw_only=True)
    of: Service = attrs.field(kw_only=True)
    ended_at: float | None = None


def make_cluster(scope: str, name: str, now: float) -> NodeCluster:
    """Make the node cluster of a cloud; ``scope`` tells one cloud from another."""
    return NodeCluster(make_uuid(f"cluster:{scope}"), now, name=name)
