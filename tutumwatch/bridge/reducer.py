"""Makes Tutum's objects and events of what an engine says.

Happenings that came together are taken in together; then the state of every thing they touched is
derived, and what differs from the last published state is announced, children before parents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import assert_never

import attrs

from tutumwatch.bridge import states
from tutumwatch.bridge.actions import Actions
from tutumwatch.bridge.announcement import Announcement
from tutumwatch.bridge.happenings import (
    ContainerGone,
    ContainerIs,
    ContainerPhase,
    Happening,
    NodeGone,
    NodeIs,
    ServiceGone,
    ServiceIs,
)
from tutumwatch.bridge.identity import make_uuid
from tutumwatch.bridge.model import Container, Node, NodeCluster, Service, Stack, Thing
from tutumwatch.bridge.objects import object_of, parents_of
from tutumwatch.bridge.registry import Registry


@attrs.define(eq=False)
class _Touched:
    """What a batch touched; a dict is a set that keeps its order."""

    nodes: dict[Node, None] = attrs.field(factory=dict)
    containers: dict[Container, None] = attrs.field(factory=dict)
    services: dict[Service, None] = attrs.field(factory=dict)

    def touch_service_of(self, container: Container) -> None:
        """Note that the counts of a container's service may have changed."""
        if container.service is not None:
            self.services[container.service] = None


@attrs.define(eq=False)
class Reducer:
    """One cloud.

    :param scope: tells this cloud from others; part of every uuid that the engine's ids are not
        unique for.
    """

    _scope: str
    cluster: NodeCluster
    registry: Registry = attrs.field(factory=Registry)
    _nodes: dict[str, Node] = attrs.field(factory=dict)
    _services: dict[str, Service] = attrs.field(factory=dict)
    _stacks: dict[str, Stack] = attrs.field(factory=dict)
    _containers: dict[str, Container] = attrs.field(factory=dict)
    _actions: Actions = attrs.field(init=False)
    _event_uuid_start: str = attrs.field(init=False)
    _announced_count: int = 0

    def __attrs_post_init__(self) -> None:
        """Draw what all events' uuids begin with; the rest is a count, which costs less."""
        self._actions = Actions(self.registry)
        drawn = make_uuid(f"events:{self._scope}:{self.cluster.deployed_at}")
        self._event_uuid_start = drawn.rpartition("-")[0]

    def apply(self, happenings: Iterable[Happening], now: float) -> list[Announcement]:
        """Take in what an engine said at one moment; give what there is to announce, in order."""
        touched = _Touched()
        for happening in happenings:
            self._take_in(happening, touched, now)
        announcements = list(self._announce(touched, now))
        self.registry.forget_old(now)
        return announcements

    # -- what happens

    def _take_in(self, happening: Happening, touched: _Touched, now: float) -> None:
        match happening:
            case ContainerIs():
                self._container_is(happening, touched, now)
            case ContainerGone():
                self._container_gone(happening, touched)
            case ServiceIs():
                self._service_is(happening, touched, now)
            case ServiceGone():
                self._service_gone(happening, touched, now)
            case NodeIs():
                self._node_is(happening, touched, now)
            case NodeGone():
                self._node_gone(happening, touched)
            case _:
                assert_never(happening)

    def _node_is(self, told: NodeIs, touched: _Touched, now: float) -> None:
        node = self._nodes.get(told.id)
        if node is None:
            uuid = make_uuid(f"node:{self._scope}:{told.id}")
            node = self.registry.add(Node(uuid, now, cluster=self.cluster, now=told))
            self._nodes[told.id] = self.cluster.nodes[told.id] = node
        elif node.now.state is not told.state:
            for container in node.containers.values():
                touched.touch_service_of(container)
        node.now, node.seen_at = told, now
        node.was_ready = node.was_ready or node.is_ready
        touched.nodes[node] = None

    def _node_gone(self, told: NodeGone, touched: _Touched) -> None:
        node = self._nodes.pop(told.id, None)
        if node is None:
            return
        for container_id in list(node.containers):
            self._container_gone(ContainerGone(container_id), touched)
        del self.cluster.nodes[told.id]
        node.is_gone = True
        touched.nodes[node] = None

    def _service_is(self, told: ServiceIs, touched: _Touched, now: float) -> None:
        service = self._services.get(told.id)
        if service is None:
            service = self._new_service(told, now)
            self._actions.begin("Service Create", service, now)
        else:
            self._actions.follow(service, told, now)
            service.is_scaling |= service.now.replica_count != told.replica_count
            service.now = told
        touched.services[service] = None

    def _new_service(self, told: ServiceIs, now: float) -> Service:
        stack = None
        if told.stack is not None:
            stack = self._stacks.get(told.stack)
            if stack is None:
                # By its name: a stack that is removed and deployed again is the same one.
                uuid = make_uuid(f"stack:{self.cluster.uuid}:{told.stack}")
                stack = self.registry.add(Stack(uuid, now, name=told.stack))
                self._stacks[told.stack] = stack
        uuid = make_uuid(f"service:{self._scope}:{told.id}")
        service = self.registry.add(Service(uuid, now, now=told, stack=stack))
        self._services[told.id] = service
        if stack is not None:
            stack.services[told.id] = service
        return service

    def _service_gone(self, told: ServiceGone, touched: _Touched, now: float) -> None:
        service = self._services.get(told.id)
        if service is not None and not service.is_gone:
            service.is_gone = True
            self._actions.begin("Service Terminate", service, now)
            touched.services[service] = None

    def _container_is(self, told: ContainerIs, touched: _Touched, now: float) -> None:
        container = self._containers.get(told.id)
        if container is None:
            uuid = make_uuid(f"container:{self._scope}:{told.id}")
            container = self.registry.add(Container(uuid, now, now=told))
            self._containers[told.id] = container
            before = None
        else:
            before = container.now.phase
        container.now = told
        self._link(container)
        if told.phase is not before:
            if told.phase is ContainerPhase.RUNNING:
                container.started_at = now
            elif told.phase is ContainerPhase.STOPPED:
                container.stopped_at = now
        touched.containers[container] = None
        touched.touch_service_of(container)

    def _link(self, container: Container) -> None:
        """Link a container with what it belongs to, as soon as that is known."""
        told = container.now
        if container.service is None:
            container.service = self._services.get(told.service or "")
            if container.service is not None:
                container.service.containers[told.id] = container
        if container.node is None:
            container.node = self._nodes.get(told.node)
            if container.node is not None:
                container.node.containers[told.id] = container

    def _container_gone(self, told: ContainerGone, touched: _Touched) -> None:
        container = self._containers.pop(told.id, None)
        if container is None:
            return
        if container.service is not None:
            del container.service.containers[told.id]
        if container.node is not None:
            del container.node.containers[told.id]
        container.is_gone = True
        touched.containers[container] = None
        touched.touch_service_of(container)

    # -- what is announced

    def _announce(self, touched: _Touched, now: float) -> Iterator[Announcement]:
        for node in touched.nodes:
            yield from self._publish(node, states.node_state(node), now)
        if touched.nodes:
            yield from self._announce_cluster(now)
        for container in touched.containers:
            yield from self._publish(container, states.container_state(container), now)
        stacks: dict[Stack, None] = {}
        for service in touched.services:
            yield from self._announce_service(service, now)
            if service.stack is not None:
                stacks[service.stack] = None
        for stack in stacks:
            yield from self._announce_stack(stack, now)
        for action, state in self._actions.take_changed().items():
            yield from self._publish(action, state, now)
        # Last, so that what belongs to a node is forgotten before the node is.
        for node in touched.nodes:
            if node.is_gone:
                self.registry.retire(node, now)

    def _announce_cluster(self, now: float) -> Iterator[Announcement]:
        state = states.cluster_state(self.cluster)
        self.cluster.was_deployed |= state == states.DEPLOYED
        if self.cluster.published is None:
            self.registry.add(self.cluster)
        yield from self._publish(self.cluster, state, now)

    def _announce_service(self, service: Service, now: float) -> Iterator[Announcement]:
        state = states.service_state(service)
        is_at_rest = not service.now.replica_count and state in {
            states.STOPPED,
            states.NOT_RUNNING,
        }
        if state == states.RUNNING:
            service.was_running = True
            service.started_at = service.started_at or now
        elif state == states.STOPPED:
            service.stopped_at = now
        elif state == states.TERMINATED:
            del self._services[service.now.id]
        if state in {states.RUNNING, states.TERMINATED} or is_at_rest:
            service.is_scaling = False
            self._actions.end(service, states.SUCCESS, now)
        yield from self._publish(service, state, now)

    def _announce_stack(self, stack: Stack, now: float) -> Iterator[Announcement]:
        state = states.stack_state(stack)
        if state == states.TERMINATED:
            del self._stacks[stack.name]
        yield from self._publish(stack, state, now)

    def _publish(self, thing: Thing, state: str, now: float) -> Iterator[Announcement]:
        """Announce a thing, if its state is another than the last that was announced."""
        if thing.published == state:
            return
        action = "create" if thing.published is None else "update"
        thing.published = state
        if state == states.TERMINATED:
            action, thing.destroyed_at = "delete", now
            if not isinstance(thing, Node):
                self.registry.retire(thing, now)
        self._announced_count += 1
        yield Announcement(
            type=thing.type,
            action=action,
            state=state,
            resource_uri=thing.uri,
            parents=parents_of(thing),
            uuid=f"{self._event_uuid_start}-{self._announced_count:012x}",
            date=_event_date(int(now)),
            object=object_of(thing),
        )


@lru_cache(maxsize=1024)
def _event_date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
