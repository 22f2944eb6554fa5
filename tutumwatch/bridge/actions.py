"""Operations on services, as far as they can be observed; an engine keeps no record of them."""

from __future__ import annotations

import attrs

from tutumwatch.bridge import states
from tutumwatch.bridge.happenings import ServiceIs, Update
from tutumwatch.bridge.identity import make_uuid
from tutumwatch.bridge.model import Action, Service
from tutumwatch.bridge.registry import Registry

_GIVEN_UP = frozenset({Update.PAUSED, Update.ROLLBACK_STARTED, Update.ROLLBACK_PAUSED})
_COMPLETED = frozenset({Update.COMPLETED, Update.ROLLBACK_COMPLETED})


@attrs.define(eq=False)
class Actions:
    """The actions in progress, one a service, and which there is to tell of."""

    _registry: Registry
    _open: dict[Service, Action] = attrs.field(factory=dict)
    _changed: dict[Action, str] = attrs.field(factory=dict)
    _begun_count: int = 0

    def begin(self, title: str, service: Service, now: float) -> None:
        """Begin an action; one of the same service that is still in progress is canceled."""
        self.end(service, states.CANCELED, now)
        self._begun_count += 1
        uuid = make_uuid(f"action:{service.uuid}:{now}:{self._begun_count}")
        action = self._registry.add(Action(uuid, now, title=title, of=service))
        self._open[service] = action
        self._changed[action] = states.IN_PROGRESS

    def end(self, service: Service, state: str, now: float) -> None:
        """End a service's action, if one is in progress."""
        action = self._open.pop(service, None)
        if action is not None:
            action.ended_at = now
            self._changed[action] = state
            self._registry.end(action)

    def follow(self, service: Service, told: ServiceIs, now: float) -> None:
        """Begin and end what follows from how a service was and how it is said to be now."""
        before = service.now
        if before.update.is_running and told.update in _GIVEN_UP and told.update != before.update:
            self.end(service, states.FAILED, now)
        if before.update.is_running and told.update in _COMPLETED:
            self.end(service, states.SUCCESS, now)
        if told.update is not before.update:
            if told.update is Update.UPDATING:
                self.begin("Service Redeploy", service, now)
            elif told.update is Update.ROLLBACK_STARTED:
                self.begin("Service Rollback", service, now)
        if told.replica_count != before.replica_count:
            self.begin("Service Scale", service, now)

    def take_changed(self) -> dict[Action, str]:
        """Give the actions that there is to tell of, each with its newest state."""
        changed, self._changed = self._changed, {}
        return changed
