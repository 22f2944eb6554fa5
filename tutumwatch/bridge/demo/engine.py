"""A fake engine: what can happen to nodes, services and containers that exist only here.

Each operation is a generator of moments. It can do what Swarm does and nothing else, in the order
and with the delays that were measured there: containers are replaced a few at a time, a lost
node's containers are started elsewhere, what crashed is started again as a new container.
Operations may overlap: each looks at what there is before every step, as Swarm does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from tutumwatch.bridge.demo.cluster import FakeCluster
from tutumwatch.bridge.demo.flaws import EXIT_FAILED, EXIT_KILLED, Flaw
from tutumwatch.bridge.demo.moments import (
    CREATE_SECONDS,
    HEAL_SECONDS,
    RESTART_SECONDS,
    Moment,
    Moments,
    told,
)
from tutumwatch.bridge.demo.orchestrator import Orchestrator
from tutumwatch.bridge.demo.rollout import OnFailure, Rollout
from tutumwatch.bridge.happenings import (
    ContainerIs,
    ContainerPhase,
    Happening,
    NodeIs,
    NodeState,
    ServiceIs,
    Update,
)

ENGINE_VERSION = "28.2.2"
NODE_CPU_COUNT, NODE_MEMORY_MB = 4, 16_384


@attrs.define(eq=False)
class FakeEngine:
    """What can happen to a cluster."""

    cluster: FakeCluster
    _orchestrator: Orchestrator = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._orchestrator = Orchestrator(self.cluster)

    # -- nodes

    def join(self, hostname: str) -> Moments:
        """Let a node join the cluster."""
        node = NodeIs(
            self.cluster.new_id(),
            hostname,
            NodeState.UNKNOWN,
            ENGINE_VERSION,
            NODE_CPU_COUNT,
            NODE_MEMORY_MB,
        )
        yield Moment([self.cluster.set_node(node)], CREATE_SECONDS)
        yield Moment([self.cluster.set_node(attrs.evolve(node, state=NodeState.READY))])

    def lose_node(self, node_id: str) -> Moments:
        """Let a node vanish: what ran there is started elsewhere; then it is back.

        The last one that is ready stays: its containers would have nowhere to go.
        """
        if {n.id for n in self.cluster.ready_nodes()} <= {node_id}:
            return
        yield from self.cut_node(node_id)
        yield from self.heal_node(node_id)

    def cut_node(self, node_id: str) -> Moments:
        """Let a node vanish: what ran there is started elsewhere, as far as there is room.

        Nobody hears of the containers there; their service no longer counts them.
        """
        cluster = self.cluster
        lost = [c for c in cluster.containers.values() if c.node == node_id and c.service]
        down = attrs.evolve(cluster.nodes[node_id], state=NodeState.DOWN)
        said: list[Happening] = [cluster.set_node(down)]
        said += cluster.change_containers(lost, is_wanted=False)
        made = [c for service in _services_of(lost) for c in cluster.make_missing(service)]
        yield Moment([*said, *made], RESTART_SECONDS)
        yield from told(cluster.run(made))

    def heal_node(self, node_id: str) -> Moments:
        """Let a node be back: what waited for room starts there, what it still ran is stopped."""
        cluster = self.cluster
        ready = attrs.evolve(cluster.nodes[node_id], state=NodeState.READY)
        back = cluster.set_node(ready)
        placed = cluster.place_waiting()
        yield Moment([back, *placed], self._orchestrator.start_seconds)
        yield from told(cluster.run(placed), HEAL_SECONDS)
        surplus = [
            c
            for c in cluster.containers.values()
            if c.node == node_id and c.service and not c.is_wanted
        ]
        yield from self._orchestrator.stop(surplus, ContainerPhase.STOPPING)

    # -- services

    def deploy(
        self,
        stack: str | None,
        name: str,
        image: str,
        count: int,
        port: int = 0,
        labels: Mapping[str, str] | None = None,
    ) -> Moments:
        """Create a service and start its containers; ``port`` 0 is none."""
        service = ServiceIs(
            self.cluster.new_id(),
            name,
            image,
            count,
            stack=stack,
            labels={**({"com.docker.stack.namespace": stack} if stack else {}), **(labels or {})},
            ports=((port, port),) if port else (),
        )
        yield Moment([self.cluster.set_service(service)], CREATE_SECONDS)
        yield from self._orchestrator.reach_count(service.id)
        yield from self._orchestrator.crash_loop(service.id)

    def remove(self, service_id: str) -> Moments:
        """Remove a service and stop its containers."""
        yield from told(self.cluster.remove_service(service_id), CREATE_SECONDS)
        left = [c for c in self.cluster.containers.values() if c.service == service_id]
        yield from self._orchestrator.stop(left, ContainerPhase.TERMINATING)

    def scale(self, service_id: str, count: int) -> Moments:
        """Start or stop containers until there are as many; an update is said to be none then."""
        changed = self.cluster.change_service(service_id, replica_count=count, update=Update.NONE)
        yield from told(changed, CREATE_SECONDS)
        yield from self._orchestrator.reach_count(service_id)
        yield from self._orchestrator.crash_loop(service_id)

    def redeploy(
        self,
        service_id: str,
        image: str,
        *,
        parallelism: int = 1,
        delay_seconds: float = 0.0,
        on_failure: OnFailure = OnFailure.PAUSE,
    ) -> Moments:
        """Replace a service's containers, a few at a time, by such of another image.

        A new container that fails, or cannot be made, ends that: what was not replaced yet stays,
        or what was replaced is replaced back. What failed is started again and again. An image
        that is being pulled for ever holds everything up. Each for as long as no other order comes.
        """
        yield from Rollout(
            self.cluster, self._orchestrator, service_id, parallelism, delay_seconds, on_failure
        ).run(image)

    # -- containers

    def crash(self, container: ContainerIs, *, oom: bool) -> Moments:
        """Let a container die; a new one is started in its place and the dead one removed."""
        cluster = self.cluster
        if not cluster.is_live(container.id):
            return
        code = EXIT_KILLED if oom else EXIT_FAILED
        stopped = ContainerPhase.STOPPED
        dead = [container]
        died = cluster.change_containers(dead, phase=stopped, exit_code=code, is_oom=oom)
        yield Moment(died, CREATE_SECONDS)
        yield Moment(cluster.change_containers(dead, is_wanted=False), RESTART_SECONDS)
        yield from self._orchestrator.reach_count(str(container.service))
        yield from told(cluster.forget(dead))

    def spoil(self, service_id: str, flaw: Flaw) -> Moments:
        """Let the containers of a service crash from now on, and their successors.

        That lasts until it has another image, or the flaw of this one is taken away.
        """
        self.cluster.flaws[self.cluster.services[service_id].image] = flaw
        yield from self._orchestrator.crash_loop(service_id)

    def leave_stopped(self, name: str, image: str, exit_code: int = 0) -> Moments:
        """Run a container of no service to its end; it stays, stopped."""
        container = ContainerIs(
            self.cluster.new_id(),
            name,
            image,
            self.cluster.emptiest_node(),
            ContainerPhase.STARTING,
            is_wanted=False,
        )
        yield Moment([self.cluster.set_container(container)], self._orchestrator.start_seconds)
        yield Moment(self.cluster.run([container]), self._orchestrator.start_seconds)
        stopped = ContainerPhase.STOPPED
        ended = self.cluster.change_containers([container], phase=stopped, exit_code=exit_code)
        yield Moment(ended)


def _services_of(containers: Iterable[ContainerIs]) -> Iterable[str]:
    return dict.fromkeys(str(c.service) for c in containers)
