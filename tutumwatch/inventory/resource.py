"""A resource as we know it, and what one input changed of it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeAlias

import attrs

from tutumwatch.events.event import Event
from tutumwatch.events.resource_uri import parse_resource_uri

Key: TypeAlias = tuple[str, str, str]
"""(stream, type, uuid): what a resource is called everywhere inside."""

GONE_STATE = "terminated"
FINISHED_ACTION_STATES = frozenset({"success", "failed", "canceled"})


class ChangeKind(Enum):
    """What an input did to what we know; ``action`` is what the event *said*."""

    NEW = "new"
    CHANGED = "changed"
    SAME = "same"
    GONE = "gone"


@attrs.frozen
class Resource:
    """What is known of one resource. None is "not known yet", never "has none".

    ``parents_complete``: no parent is missing from ``parents``. ``fields``: the object's fields as
    rules call them (:mod:`tutumwatch.inventory.fields`), None until it was looked up or sent
    along. ``number``: that of the last message about it. ``since``: when its state began;
    ``seen``: when it was last heard of; ``gone_at``: when it ended.
    """

    key: Key
    uri: str
    name: str | None = None
    state: str | None = None
    parents: tuple[str, ...] | None = None
    parents_complete: bool = False
    fields: Mapping[str, Any] | None = None
    number: int = 0
    since: float = 0.0
    seen: float = 0.0
    gone_at: float | None = None

    @property
    def stream(self) -> str:
        """The stream that tells of it; empty for a notifier."""
        return self.key[0]

    @property
    def type(self) -> str:
        """Its type: container, service, stack, node, nodecluster, action, stream, notifier..."""
        return self.key[1]

    @property
    def is_finished(self) -> bool:
        """Whether it is an action that nothing will be heard of again."""
        return self.type == "action" and (self.state or "").lower() in FINISHED_ACTION_STATES

    def parent_keys(self) -> list[Key]:
        """Give the keys of its known parents, in the order of the message."""
        names = (parse_resource_uri(uri) for uri in self.parents or ())
        return [(self.stream, name.type, name.uuid) for name in names if name is not None]


@attrs.frozen
class Change:
    """What one input did: the resource before and after it.

    ``changed`` names the attributes and fields that differ; a new resource counts every one that
    is known as changed. ``event`` is the message, if it was one.
    """

    id: str
    kind: ChangeKind
    before: Resource | None
    after: Resource
    changed: frozenset[str]
    at: float
    event: Event | None = None
    reason: str = ""

    @property
    def action(self) -> str:
        """What the event said was done: create, update, delete; empty for what is no event."""
        return self.event.action if self.event is not None else ""
