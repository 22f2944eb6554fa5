"""How well a resource is, derived from its state and counts; the same words for every type."""

from __future__ import annotations

from enum import Enum

from tutumwatch.inventory.resource import Resource


class Wellness(Enum):
    """Ordered from well to ill; ``ended`` is neither: nothing is expected of it any more."""

    ENDED = "ended"
    OK = "ok"
    PROGRESSING = "progressing"
    DEGRADED = "degraded"
    DOWN = "down"

    @property
    def is_ill(self) -> bool:
        """Whether somebody should know."""
        return self in {Wellness.DEGRADED, Wellness.DOWN}


_NODE = {
    "deployed": Wellness.OK,
    "unreachable": Wellness.DOWN,
    "deploying": Wellness.PROGRESSING,
    "upgrading": Wellness.PROGRESSING,
}
_CLUSTER = {
    "deployed": Wellness.OK,
    "partly deployed": Wellness.DEGRADED,
    "init": Wellness.PROGRESSING,
    "deploying": Wellness.PROGRESSING,
    "scaling": Wellness.PROGRESSING,
}
_SERVICE = {
    "running": Wellness.OK,
    "partly running": Wellness.DEGRADED,
    "stopped": Wellness.DOWN,
    "not running": Wellness.DOWN,
}


def wellness_of(resource: Resource) -> Wellness | None:
    """Derive how well a service, a node or a node cluster is; None for other types.

    A service's counts decide where they are known: its state says what is planned, not what is.
    """
    state = (resource.state or "").lower()
    if resource.type == "node":
        return _NODE.get(state, Wellness.ENDED)
    if resource.type == "nodecluster":
        return _CLUSTER.get(state, Wellness.ENDED)
    if resource.type == "service":
        return _service(resource, state)
    return None


def _service(resource: Resource, state: str) -> Wellness:
    fields = resource.fields or {}
    target, running = fields.get("target"), fields.get("running")
    if target == 0 or state in {"terminating", "terminated"}:
        return Wellness.ENDED
    if not isinstance(target, int) or not isinstance(running, int):
        return _SERVICE.get(state, Wellness.PROGRESSING)
    if running >= target:
        return Wellness.OK
    return Wellness.DEGRADED if running else Wellness.DOWN
