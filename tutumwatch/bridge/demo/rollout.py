"""The update of a service: its containers are replaced a few at a time."""

from __future__ import annotations

from collections.abc import Generator
from enum import Enum

import attrs

from tutumwatch.bridge.demo.cluster import FakeCluster
from tutumwatch.bridge.demo.flaws import Fault
from tutumwatch.bridge.demo.moments import (
    CREATE_SECONDS,
    MONITOR_SECONDS,
    RESTART_SECONDS,
    STOP_SECONDS,
    Moment,
    Moments,
    told,
)
from tutumwatch.bridge.demo.orchestrator import Orchestrator
from tutumwatch.bridge.happenings import ContainerPhase, ServiceIs, Update


class OnFailure(Enum):
    """What an update does once a new container fails."""

    PAUSE = "pause"
    ROLL_BACK = "rollback"


class _Result(Enum):
    """How the replacing of a service's containers ended; OVERTAKEN: by a later order."""

    DONE = "done"
    FAILED = "failed"
    STUCK = "stuck"
    OVERTAKEN = "overtaken"


@attrs.frozen(eq=False)
class Rollout:
    """One update of one service.

    A new container that fails, or cannot be made, ends it: what was not replaced yet stays, or
    what was replaced is replaced back. What failed is started again and again. An image that is
    being pulled for ever holds it up. Each for as long as no other order comes.
    """

    _cluster: FakeCluster
    _orchestrator: Orchestrator
    _service_id: str
    _parallelism: int
    _delay_seconds: float
    _on_failure: OnFailure

    def run(self, image: str) -> Moments:
        """Replace the containers by such of another image; nothing if there is no such service."""
        cluster, service_id = self._cluster, self._service_id
        before, order_before = cluster.services.get(service_id), cluster.order_of(service_id)
        if before is None:
            return
        cluster.give_order(service_id)
        begun = cluster.change_service(service_id, image=image, update=Update.UPDATING)
        yield Moment(begun, CREATE_SECONDS)
        ended = yield from self._replace()
        if ended is _Result.DONE:
            yield from self._end(Update.UPDATING, Update.COMPLETED)
        elif ended is _Result.FAILED and self._on_failure is OnFailure.PAUSE:
            yield from self._end(Update.UPDATING, Update.PAUSED)
        elif ended is _Result.FAILED:
            yield from self._roll_back(before.image, order_before)
        yield from self._orchestrator.crash_loop(service_id)

    def _roll_back(self, image: str, order: int) -> Moments:
        cluster, back = self._cluster, Update.ROLLBACK_STARTED
        cluster.give_order(self._service_id, order)
        begun = cluster.change_service(self._service_id, image=image, update=back)
        yield from told(begun, CREATE_SECONDS)
        if (yield from self._replace()) is _Result.DONE:
            yield from self._end(back, Update.ROLLBACK_COMPLETED)

    def _end(self, begun: Update, ended: Update) -> Moments:
        yield from told(self._cluster.end_update(self._service_id, begun, ended))

    def _replace(self) -> Generator[Moment, None, _Result]:
        """Replace the containers that another order made, and start those that are missing."""
        order = self._cluster.order_of(self._service_id)
        while (service := self._cluster.services.get(self._service_id)) is not None:
            ended = yield from self._replace_some(service)
            if self._cluster.order_of(self._service_id) != order:
                return _Result.OVERTAKEN
            if ended is not None:
                return ended
            yield Moment([], self._delay_seconds)
        return _Result.OVERTAKEN

    def _replace_some(self, service: ServiceIs) -> Generator[Moment, None, _Result | None]:
        """Replace a few; None is not ended yet."""
        cluster = self._cluster
        old = cluster.outdated_containers(service.id)[: self._parallelism]
        current = cluster.containers_of(service.id)
        if not old and len(current) >= service.replica_count:
            # What died before is not replaced by us, and starts by itself.
            restarts = any(c.phase is ContainerPhase.STARTING for c in current)
            yield Moment([], MONITOR_SECONDS + (RESTART_SECONDS if restarts else 0.0))
            return _Result.DONE
        stopping = cluster.begin_stop(old, ContainerPhase.STOPPING)
        made = cluster.make_missing(service.id, self._parallelism)
        yield from told([*stopping, *made], STOP_SECONDS)
        yield from told(cluster.end_stop(old), self._orchestrator.start_seconds)
        yield from told([*cluster.run(made), *cluster.forget(old)])
        flaw = cluster.flaws.get(service.image)
        if flaw is None:
            return None
        if flaw.fault is not Fault.CRASHES and not made:
            return _Result.STUCK if flaw.fault is Fault.HANGS else _Result.FAILED
        if flaw.lives_seconds < MONITOR_SECONDS and cluster.doomed_containers(service.id):
            yield Moment([], flaw.lives_seconds)
            yield from self._orchestrator.die(service.id)
            return _Result.FAILED
        return None
