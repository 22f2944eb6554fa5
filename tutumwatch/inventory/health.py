"""How well a resource is, derived from its state and counts; the same words for every type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import TypeAlias

from tutumwatch.inventory.endings import CLEAN, FAILED, OOM
from tutumwatch.inventory.resource import GONE_STATE, TERMINATING_STATE, Key, Resource

Children: TypeAlias = Callable[[Key], Iterable[Resource]]
"""Gives the known resources that name one as a parent."""


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


_FROM_WELL_TO_ILL = list(Wellness)
_BY_STATE: Mapping[str, Mapping[str, Wellness]] = {
    "node": {
        "deployed": Wellness.OK,
        "unreachable": Wellness.DOWN,
        "deploying": Wellness.PROGRESSING,
        "upgrading": Wellness.PROGRESSING,
    },
    "nodecluster": {
        "deployed": Wellness.OK,
        "partly deployed": Wellness.DEGRADED,
        "init": Wellness.PROGRESSING,
        "deploying": Wellness.PROGRESSING,
        "scaling": Wellness.PROGRESSING,
    },
    "service": {
        "running": Wellness.OK,
        "partly running": Wellness.DEGRADED,
        "stopped": Wellness.DOWN,
        "not running": Wellness.DOWN,
    },
}
TYPES_WITH_HEALTH = frozenset({*_BY_STATE, "container", "stack"})


def no_children(_key: Key) -> Iterable[Resource]:
    """Give none: for a resource of which only its own attributes are to tell."""
    return ()


def wellness_of(resource: Resource, children: Children) -> Wellness | None:
    """Derive how well a resource is; None if that is not known, and for types that have no health.

    :param children: as :meth:`tutumwatch.inventory.inventory.Inventory.children_of`.
    """
    type_ = resource.type
    if type_ not in TYPES_WITH_HEALTH:
        return None
    state = (resource.state or "").lower()
    if resource.gone_at is not None or state == GONE_STATE:
        return Wellness.ENDED
    match type_:
        case "service":
            return _service(resource, state, children)
        case "container":
            return _container(resource, state)
        case "stack":
            return _worst(children(resource.key), children)
        case _:
            return _BY_STATE[type_].get(state, Wellness.ENDED) if state else None


def _service(service: Resource, state: str, children: Children) -> Wellness | None:
    """Ask the counts where they are known: the state says what is planned, not what is."""
    fields = service.fields or {}
    target, running = fields.get("target"), fields.get("running")
    if target == 0 or state == TERMINATING_STATE:
        return Wellness.ENDED
    if not isinstance(target, int) or not isinstance(running, int):
        wellness = _BY_STATE["service"].get(state, Wellness.PROGRESSING) if state else None
    elif running >= target:
        wellness = Wellness.OK
    else:
        wellness = Wellness.DEGRADED if running else Wellness.DOWN
    if wellness is Wellness.DOWN and _all_ended_clean(children(service.key)):
        return Wellness.ENDED
    return wellness


def _all_ended_clean(children: Iterable[Resource]) -> bool:
    """Say whether there are containers, and each is through with what it had to do."""
    endings = {c.ended for c in children if c.type == "container" and c.gone_at is None}
    return endings == {CLEAN}


def _container(container: Resource, state: str) -> Wellness | None:
    if state == "running":
        return Wellness.OK
    if state == TERMINATING_STATE:
        return Wellness.ENDED
    if state != "stopped":
        return Wellness.PROGRESSING if state else None
    if not container.ended:
        return None
    return Wellness.DOWN if container.ended in {FAILED, OOM} else Wellness.ENDED


def _worst(of_stack: Iterable[Resource], children: Children) -> Wellness | None:
    """Give how well the worst of a stack's services is, of those that it is known of."""
    services = (r for r in of_stack if r.type == "service")
    known = (w for s in services if (w := wellness_of(s, children)) is not None)
    return max(known, key=_FROM_WELL_TO_ILL.index, default=None)
