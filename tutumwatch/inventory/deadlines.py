"""Deploys that last too long: each that runs has a deadline.

While a stream is blind nothing of it becomes overdue: what ran may have ended unseen.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from tutumwatch.inventory.deploys import RUNNING
from tutumwatch.inventory.links import key_of_stream, sees_from
from tutumwatch.inventory.resource import TERMINATING_STATE, Key, Resource
from tutumwatch.inventory.timers import Timers

DEPLOY_DEADLINE_SECONDS = 900.0


@attrs.define
class Deadlines:
    """When each running deploy becomes overdue.

    Takes the resources that are known, which it only reads.
    """

    _resources: Mapping[Key, Resource]
    deadline_seconds: float = DEPLOY_DEADLINE_SECONDS
    _due: Timers[Key] = attrs.field(factory=Timers)
    # Since when each has been running.
    _running: dict[Key, float] = attrs.field(factory=dict)

    def follow(self, service: Resource) -> None:
        """Take in how a service's deploy is now."""
        key, deploy = service.key, service.deploy
        if deploy is None or deploy.state != RUNNING or not _is_to_stay(service):
            if key in self._running:
                self.forget(key)
        elif self._running.get(key) != deploy.since:
            self._running[key] = deploy.since
            self._set(key, deploy.since)

    def forget(self, key: Key) -> None:
        """Wait for a service no longer."""
        self._running.pop(key, None)
        self._due.cancel(key)

    def set_again(self) -> None:
        """Take in that a stream is blind or is not any more, or that the deadline is another."""
        for key, since in self._running.items():
            self._set(key, since)

    def next_due(self) -> float | None:
        """Give when the next deploy becomes overdue."""
        return self._due.next_due()

    def take_due(self, now: float) -> list[Key]:
        """Take the services whose deploys are overdue, in an order that a restart keeps."""
        due = sorted(self._due.take_due(now))
        for key in due:
            del self._running[key]
        return due

    def _set(self, key: Key, since: float) -> None:
        from_then_on = sees_from(self._resources.get(key_of_stream(key[0])))
        if from_then_on is None:
            self._due.cancel(key)
        else:
            self._due.set(key, max(since + self.deadline_seconds, from_then_on))


def _is_to_stay(service: Resource) -> bool:
    return service.gone_at is None and (service.state or "").lower() != TERMINATING_STATE
