"""A fake engine: nodes, services and containers that exist only here, and what can happen to them.

Each operation is a generator of moments: lists of happenings that an engine would tell at once. It
can do what Swarm does and nothing else: containers are replaced one by one, a lost node's
containers are started elsewhere, what crashed is started again as a new container. Operations may
overlap: each looks at what there is before every step, as Swarm does.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, TypeAlias

import attrs

from tutumwatch.bridge.happenings import (
    ContainerGone,
    ContainerIs,
    ContainerPhase,
    Happening,
    NodeIs,
    NodeState,
    ServiceGone,
    ServiceIs,
    Update,
)

Moments: TypeAlias = Iterator[list[Happening]]

ENGINE_VERSION = "28.2.2"
NODE_CPU_COUNT, NODE_MEMORY_MB = 4, 16_384
EXIT_KILLED, EXIT_TERMINATED, EXIT_FAILED = 137, 143, 1
_LIVE = frozenset({ContainerPhase.STARTING, ContainerPhase.RUNNING})


@attrs.define(eq=False)
class FakeEngine:
    """A cluster of nodes that runs services.

    :param dice: makes all ids, so that a seed gives the same story.
    """

    _dice: random.Random
    nodes: dict[str, NodeIs] = attrs.field(factory=dict)
    services: dict[str, ServiceIs] = attrs.field(factory=dict)
    containers: dict[str, ContainerIs] = attrs.field(factory=dict)
    _numbers: dict[str, int] = attrs.field(factory=dict)

    # -- operations

    def join(self, hostname: str) -> Moments:
        """Let a node join the cluster."""
        node = NodeIs(
            self._new_id(),
            hostname,
            NodeState.UNKNOWN,
            ENGINE_VERSION,
            NODE_CPU_COUNT,
            NODE_MEMORY_MB,
        )
        yield [self._node(node)]
        yield [self._node(attrs.evolve(node, state=NodeState.READY))]

    def deploy(self, stack: str | None, name: str, image: str, count: int, port: int) -> Moments:
        """Create a service and start its containers; ``port`` 0 is none."""
        service = ServiceIs(
            self._new_id(),
            name,
            image,
            count,
            stack=stack,
            labels={"com.docker.stack.namespace": stack} if stack else {},
            ports=((port, port),) if port else (),
        )
        yield [self._service(service)]
        yield from self._reach_count(service.id)

    def remove(self, service_id: str) -> Moments:
        """Remove a service and stop its containers."""
        if self.services.pop(service_id, None) is None:
            return
        self._numbers.pop(service_id, None)
        yield [ServiceGone(service_id)]
        for container in self._containers_of(service_id):
            yield from self._stop_one(container.id, ContainerPhase.TERMINATING)

    def redeploy(self, service_id: str, image: str) -> Moments:
        """Replace a service's containers one by one by such of another image."""
        yield self._changed(service_id, image=image, update=Update.UPDATING)
        for container in self._containers_of(service_id):
            yield from self._stop_one(container.id, ContainerPhase.STOPPING)
            yield from self._reach_count(service_id)
        yield self._changed(service_id, update=Update.COMPLETED)

    def scale(self, service_id: str, count: int) -> Moments:
        """Start or stop containers until there are as many."""
        yield self._changed(service_id, replica_count=count, update=Update.NONE)
        yield from self._reach_count(service_id)

    def crash(self, container: ContainerIs, *, oom: bool) -> Moments:
        """Let a container die; a new one is started in its place and the dead one removed."""
        if not self._is_live(container.id):
            return
        code = EXIT_KILLED if oom else EXIT_FAILED
        yield self._now(container.id, phase=ContainerPhase.STOPPED, exit_code=code, is_oom=oom)
        yield self._now(container.id, is_wanted=False)
        yield from self._reach_count(str(container.service))
        yield self._gone(container.id)

    def lose_node(self, node_id: str) -> Moments:
        """Let a node vanish: what ran there is started elsewhere; then it is back.

        The last one that is ready stays: its containers would have nowhere to go.
        """
        if {n.id for n in self._ready_nodes()} <= {node_id}:
            return
        lost = [c for c in self.containers.values() if c.node == node_id and c.service]
        down: list[Happening] = [
            self._node(attrs.evolve(self.nodes[node_id], state=NodeState.DOWN))
        ]
        for container in lost:
            down += self._now(container.id, is_wanted=False)
        yield down
        for container in lost:
            yield from self._reach_count(str(container.service))
        yield [self._node(attrs.evolve(self.nodes[node_id], state=NodeState.READY))]
        for container in lost:
            yield from self._stop_one(container.id, ContainerPhase.STOPPING)

    def leave_stopped(self, name: str, image: str) -> Moments:
        """Run a container of no service to its end; it stays, stopped."""
        container = ContainerIs(
            self._new_id(),
            name,
            image,
            self._emptiest_node(),
            ContainerPhase.STARTING,
            is_wanted=False,
        )
        yield [self._container(container)]
        yield self._now(container.id, phase=ContainerPhase.RUNNING)
        yield self._now(container.id, phase=ContainerPhase.STOPPED, exit_code=0)

    # -- what there is to choose from

    def running_containers(self) -> list[ContainerIs]:
        """Give the containers that run for a service."""
        return [
            c
            for c in self.containers.values()
            if c.phase is ContainerPhase.RUNNING and c.is_wanted and c.service in self.services
        ]

    # -- steps

    def _reach_count(self, service_id: str) -> Moments:
        """Start or stop containers until there are as many as the service wants."""
        while (service := self.services.get(service_id)) is not None:
            current = self._containers_of(service_id)
            if len(current) < service.replica_count:
                yield from self._start_one(service)
            elif len(current) > service.replica_count:
                yield from self._stop_one(current[-1].id, ContainerPhase.TERMINATING)
            else:
                return

    def _start_one(self, service: ServiceIs) -> Moments:
        number = self._numbers[service.id] = self._numbers.get(service.id, 0) + 1
        container = ContainerIs(
            self._new_id(),
            f"{service.name}-{number}",
            service.image,
            self._emptiest_node(),
            ContainerPhase.STARTING,
            service=service.id,
            labels=service.labels,
        )
        yield [self._container(container)]
        now = self.containers.get(container.id)
        if now is not None and now.phase is ContainerPhase.STARTING:
            yield self._now(container.id, phase=ContainerPhase.RUNNING)

    def _stop_one(self, container_id: str, phase: ContainerPhase) -> Moments:
        if self._is_live(container_id):
            yield self._now(container_id, phase=phase, is_wanted=False)
            yield self._now(container_id, phase=ContainerPhase.STOPPED, exit_code=EXIT_TERMINATED)
            yield self._gone(container_id)

    def _is_live(self, container_id: str) -> bool:
        container = self.containers.get(container_id)
        return container is not None and container.phase in _LIVE

    def _containers_of(self, service_id: str) -> list[ContainerIs]:
        return [
            c
            for c in self.containers.values()
            if c.service == service_id and c.is_wanted and c.phase in _LIVE
        ]

    def _emptiest_node(self) -> str:
        load = {node.id: 0 for node in self._ready_nodes()}
        for container in self.containers.values():
            if container.node in load:
                load[container.node] += 1
        return min(load, key=lambda node_id: load[node_id])

    def _ready_nodes(self) -> list[NodeIs]:
        return [node for node in self.nodes.values() if node.state is NodeState.READY]

    def _new_id(self) -> str:
        return f"{self._dice.getrandbits(100):025x}"

    def _node(self, node: NodeIs) -> NodeIs:
        self.nodes[node.id] = node
        return node

    def _service(self, service: ServiceIs) -> ServiceIs:
        self.services[service.id] = service
        return service

    def _container(self, container: ContainerIs) -> ContainerIs:
        self.containers[container.id] = container
        return container

    def _changed(self, service_id: str, **changes: Any) -> list[Happening]:  # noqa: ANN401 - each field has its own type
        """Change a service, if it is still there."""
        service = self.services.get(service_id)
        return [] if service is None else [self._service(attrs.evolve(service, **changes))]

    def _now(self, container_id: str, **changes: Any) -> list[Happening]:  # noqa: ANN401 - each field has its own type
        """Change a container, if it is still there."""
        container = self.containers.get(container_id)
        return [] if container is None else [self._container(attrs.evolve(container, **changes))]

    def _gone(self, container_id: str) -> list[Happening]:
        """Remove a container, if it is still there."""
        gone = self.containers.pop(container_id, None)
        return [] if gone is None else [ContainerGone(container_id)]
