"""What a cluster does by itself: it runs as many containers as are wanted, of what can be had."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from tutumwatch.bridge.demo.cluster import FakeCluster
from tutumwatch.bridge.demo.moments import (
    CREATE_SECONDS,
    RESTART_SECONDS,
    STOP_SECONDS,
    Moment,
    Moments,
    told,
)
from tutumwatch.bridge.happenings import ContainerIs, ContainerPhase


@attrs.define(eq=False)
class Orchestrator:
    """Starts, stops and replaces containers.

    ``start_seconds``: how long a container starts.
    """

    _cluster: FakeCluster
    start_seconds: float = 0.4
    _looping: set[str] = attrs.field(factory=set)
    # What is made in place of what died is started later, by service.
    _successors: dict[str, list[ContainerIs]] = attrs.field(factory=dict)

    def crash_loop(self, service_id: str) -> Moments:
        """Let what is doomed die and be started again, until nothing is doomed any more."""
        if service_id in self._looping:
            return
        self._looping.add(service_id)
        cluster = self._cluster
        while True:
            successors = self._successors.pop(service_id, [])
            if successors:
                yield Moment([], RESTART_SECONDS)
                yield from told(cluster.run(successors))
            doomed = cluster.doomed_containers(service_id)
            if not doomed:
                break
            yield Moment([], cluster.flaws[doomed[0].image].lives_seconds)
            yield from self.die(service_id)
        self._looping.discard(service_id)
        yield from told(cluster.forget(cluster.dead_containers(service_id)))

    def die(self, service_id: str) -> Moments:
        """Let the doomed containers of a service die; the dead of before are removed by then.

        Their successors are made at once, and started by :meth:`crash_loop`.
        """
        cluster = self._cluster
        gone = cluster.forget(cluster.dead_containers(service_id))
        died = cluster.die(cluster.doomed_containers(service_id))
        made = cluster.make_missing(service_id)
        self._successors.setdefault(service_id, []).extend(made)
        yield from told([*gone, *died, *made], CREATE_SECONDS)

    def reach_count(self, service_id: str) -> Moments:
        """Start or stop containers until there are as many as the service wants."""
        cluster = self._cluster
        while (service := cluster.services.get(service_id)) is not None:
            current = cluster.containers_of(service_id)
            if len(current) > service.replica_count:
                surplus = current[service.replica_count :]
                yield from self.stop(surplus, ContainerPhase.TERMINATING)
                continue
            made = cluster.make_missing(service_id)
            if not made:
                return
            yield Moment(made, self.start_seconds)
            yield from told(cluster.run(made))

    def stop(self, containers: Iterable[ContainerIs], phase: ContainerPhase) -> Moments:
        """Stop those of some containers that live, and remove them; others may have their room."""
        cluster = self._cluster
        live = [c for c in containers if cluster.is_live(c.id)]
        yield from told(cluster.begin_stop(live, phase), STOP_SECONDS)
        yield from told(cluster.end_stop(live), CREATE_SECONDS)
        placed = cluster.place_waiting()
        yield from told([*cluster.forget(live), *placed], self.start_seconds)
        yield from told(cluster.run(placed))
