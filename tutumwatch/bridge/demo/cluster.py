"""A fake cluster: the nodes, services and containers that exist only here, and each single step.

A step changes what there is and gives the happenings that tell of it, none if it no longer applies.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from tutumwatch.bridge.demo.flaws import EXIT_KILLED, Fault, Flaw
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

EXIT_TERMINATED = 143
LIVE = frozenset({ContainerPhase.STARTING, ContainerPhase.RUNNING})
_ASKED_TO_END = frozenset({ContainerPhase.STOPPING, ContainerPhase.TERMINATING})


@attrs.frozen
class _Made:
    """What a container was made for: its service's order, and its number among its image's."""

    order: int
    number: int


@attrs.define(eq=False)
class FakeCluster:
    """What there is.

    :param dice: makes all ids, so that a seed gives the same story.

    ``capacity``: how many containers fit on a node, None if any number do; ``flaws``: what is wrong
    with which images; ``exit_code``: how a container ends that is asked to.
    """

    _dice: random.Random
    capacity: int | None = None
    flaws: dict[str, Flaw] = attrs.field(factory=dict)
    exit_code: int = EXIT_TERMINATED
    nodes: dict[str, NodeIs] = attrs.field(factory=dict)
    services: dict[str, ServiceIs] = attrs.field(factory=dict)
    containers: dict[str, ContainerIs] = attrs.field(factory=dict)
    # A service's containers are numbered; each redeploy is a new order to it.
    _numbers: Counter[str] = attrs.field(factory=Counter)
    _orders: Counter[str] = attrs.field(factory=Counter)
    _orders_count: int = 0
    _made: dict[str, _Made] = attrs.field(factory=dict)
    _made_counts: Counter[str] = attrs.field(factory=Counter)

    # -- what there is

    def containers_of(self, service_id: str) -> list[ContainerIs]:
        """Give the containers that a service wants and that live, or are to; oldest first."""
        return [
            c
            for c in self.containers.values()
            if c.service == service_id and c.is_wanted and c.phase in LIVE
        ]

    def running_containers(self) -> list[ContainerIs]:
        """Give the containers that run for a service."""
        return [
            c
            for c in self.containers.values()
            if c.phase is ContainerPhase.RUNNING and c.is_wanted and c.service in self.services
        ]

    def outdated_containers(self, service_id: str) -> list[ContainerIs]:
        """Give the containers of a service that were made by another order than its last one."""
        order = self._orders[service_id]
        return [c for c in self.containers_of(service_id) if self._made[c.id].order != order]

    def doomed_containers(self, service_id: str) -> list[ContainerIs]:
        """Give the containers of a service that run and will die by themselves."""
        running = ContainerPhase.RUNNING
        return [
            c for c in self.containers_of(service_id) if c.phase is running and self._is_doomed(c)
        ]

    def dead_containers(self, service_id: str) -> list[ContainerIs]:
        """Give the containers of a service that ended and are still there."""
        stopped = ContainerPhase.STOPPED
        of_it = (c for c in self.containers.values() if c.service == service_id)
        return [c for c in of_it if c.phase is stopped and not c.is_wanted]

    def _is_doomed(self, container: ContainerIs) -> bool:
        flaw = self.flaws.get(container.image)
        return (
            flaw is not None
            and flaw.fault is Fault.CRASHES
            and self._made[container.id].number > flaw.good_count
        )

    def is_live(self, container_id: str) -> bool:
        """Whether a container runs or starts."""
        container = self.containers.get(container_id)
        return container is not None and container.phase in LIVE

    def ready_nodes(self) -> list[NodeIs]:
        """Give the nodes on which containers can run."""
        return [node for node in self.nodes.values() if node.state is NodeState.READY]

    # -- orders: which of a service's containers are up to date

    def order_of(self, service_id: str) -> int:
        """Give the order that a service's containers are made by."""
        return self._orders[service_id]

    def give_order(self, service_id: str, order: int | None = None) -> int:
        """Give a service a new order, or an earlier one again."""
        if order is None:
            self._orders_count += 1
            order = self._orders_count
        self._orders[service_id] = order
        return order

    # -- steps

    def new_id(self) -> str:
        """Draw an id."""
        return f"{self._dice.getrandbits(100):025x}"

    def set_node(self, node: NodeIs) -> NodeIs:
        """Let a node be so."""
        self.nodes[node.id] = node
        return node

    def set_service(self, service: ServiceIs) -> ServiceIs:
        """Let a service be so."""
        self.services[service.id] = service
        return service

    def change_service(self, service_id: str, **changes: Any) -> list[Happening]:  # noqa: ANN401 - each field has its own type
        """Change a service, if it is still there."""
        service = self.services.get(service_id)
        return [] if service is None else [self.set_service(attrs.evolve(service, **changes))]

    def end_update(self, service_id: str, begun: Update, ended: Update) -> list[Happening]:
        """End an update; a change that was made meanwhile, as by scaling, has reset it."""
        service = self.services.get(service_id)
        if service is None or service.update is not begun:
            return []
        return self.change_service(service_id, update=ended)

    def remove_service(self, service_id: str) -> list[Happening]:
        """Remove a service; its containers stay for now."""
        if self.services.pop(service_id, None) is None:
            return []
        del self._numbers[service_id]
        return [ServiceGone(service_id)]

    def make_missing(self, service_id: str, most: int | None = None) -> list[ContainerIs]:
        """Make as many containers as a service lacks, on the emptiest nodes.

        Those that have room on no node wait for it. None is made of an image that is not to be had.

        :param most: so many at the most.
        """
        service = self.services.get(service_id)
        if service is None:
            return []
        count = service.replica_count - len(self.containers_of(service_id))
        made: list[ContainerIs] = []
        while len(made) < (count if most is None else min(count, most)):
            if not self._is_to_be_had(service.image):
                break
            made.append(self._make_one(service))
        return made

    def _make_one(self, service: ServiceIs) -> ContainerIs:
        self._numbers[service.id] += 1
        self._made_counts[service.image] += 1
        container = ContainerIs(
            self.new_id(),
            f"{service.name}-{self._numbers[service.id]}",
            service.image,
            self.emptiest_node(),
            ContainerPhase.STARTING,
            service=service.id,
            labels=service.labels,
        )
        number = self._made_counts[service.image]
        self._made[container.id] = _Made(self._orders[service.id], number)
        return self.set_container(container)

    def _is_to_be_had(self, image: str) -> bool:
        flaw = self.flaws.get(image)
        return (
            flaw is None
            or flaw.fault is Fault.CRASHES
            or self._made_counts[image] < flaw.good_count
        )

    def run(self, containers: Iterable[ContainerIs]) -> list[Happening]:
        """Let containers run that are still starting and have a place."""
        return self.change_containers(
            (c for c in self._present(containers) if c.phase is ContainerPhase.STARTING and c.node),
            phase=ContainerPhase.RUNNING,
        )

    def begin_stop(
        self, containers: Iterable[ContainerIs], phase: ContainerPhase
    ) -> list[Happening]:
        """Ask containers that live to end; ``phase``: STOPPING, or TERMINATING."""
        live = (c for c in self._present(containers) if c.phase in LIVE)
        return self.change_containers(live, phase=phase, is_wanted=False)

    def end_stop(self, containers: Iterable[ContainerIs]) -> list[Happening]:
        """Let containers have ended that were asked to."""
        asked = (c for c in self._present(containers) if c.phase in _ASKED_TO_END)
        stopped = ContainerPhase.STOPPED
        return self.change_containers(asked, phase=stopped, exit_code=self.exit_code)

    def die(self, containers: Iterable[ContainerIs]) -> list[Happening]:
        """Let containers die, each as its image's flaw says."""
        died: list[Happening] = []
        for container in containers:
            flaw = self.flaws[container.image]
            died += self.change_containers(
                [container],
                phase=ContainerPhase.STOPPED,
                is_wanted=False,
                exit_code=EXIT_KILLED if flaw.is_oom else flaw.exit_code,
                is_oom=flaw.is_oom,
            )
        return died

    def forget(self, containers: Iterable[ContainerIs]) -> list[Happening]:
        """Remove containers that are still there."""
        gone: list[Happening] = []
        for container in containers:
            if self.containers.pop(container.id, None) is not None:
                self._made.pop(container.id, None)
                gone.append(ContainerGone(container.id))
        return gone

    def place_waiting(self) -> list[ContainerIs]:
        """Give a place to the containers that wait for one, as far as there is room."""
        placed = []
        for container in [c for c in self.containers.values() if not c.node and self._waits(c)]:
            node = self.emptiest_node()
            if not node:
                break
            placed.append(self.set_container(attrs.evolve(container, node=node)))
        return placed

    @staticmethod
    def _waits(container: ContainerIs) -> bool:
        return container.is_wanted and container.phase is ContainerPhase.STARTING

    def set_container(self, container: ContainerIs) -> ContainerIs:
        """Let a container be so."""
        self.containers[container.id] = container
        return container

    def change_containers(
        self,
        containers: Iterable[ContainerIs],
        **changes: Any,  # noqa: ANN401 - each field has its own type
    ) -> list[Happening]:
        """Change those of some containers that are still there."""
        return [
            self.set_container(attrs.evolve(now, **changes))
            for now in list(self._present(containers))
        ]

    def _present(self, containers: Iterable[ContainerIs]) -> Sequence[ContainerIs]:
        """Give containers as they are now, without those that are gone."""
        return [self.containers[c.id] for c in containers if c.id in self.containers]

    def emptiest_node(self) -> str:
        """Give the node on which the fewest containers live; empty if none has room."""
        load = {node.id: 0 for node in self.ready_nodes()}
        for container in self.containers.values():
            if container.node in load and container.is_wanted and container.phase in LIVE:
                load[container.node] += 1
        if self.capacity is not None:
            load = {node: count for node, count in load.items() if count < self.capacity}
        return min(load, key=lambda node: load[node], default="")
