"""A resource as we know it, and what one input changed of it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeAlias

import msgspec

from tutumwatch.events.resource_uri import parse_resource_uri

Key: TypeAlias = tuple[str, str, str]
"""(stream, type, uuid): what a resource is called everywhere inside."""

GONE_STATE = "terminated"
TERMINATING_STATE = "terminating"
FAILED_ACTION_STATE = "failed"
FINISHED_ACTION_STATES = frozenset({"success", FAILED_ACTION_STATE, "canceled"})


class ChangeKind(Enum):
    """What an input did to what we know; ``action`` is what the event *said*."""

    NEW = "new"
    CHANGED = "changed"
    SAME = "same"
    GONE = "gone"


class Deploy(msgspec.Struct, frozen=True, gc=False):
    """The last deploy of a service (:mod:`tutumwatch.inventory.deploys`).

    ``state``: "running", "done", "failed", "rolled back" or "overdue". ``since``: when it began;
    ``ended_at``: None while it is running or overdue. ``image_before``: the image that it replaces,
    None if that is not known.
    """

    state: str
    since: float
    ended_at: float | None = None
    image_before: str | None = None

    @property
    def goes_on(self) -> bool:
        """Whether it has not ended: it is running or overdue."""
        return self.ended_at is None


# Structs, because one of each is made for every event: attrs takes four times as long. gc=False:
# they hold texts, numbers and tuples, so 200,000 of them need not be searched for cycles.
class Resource(msgspec.Struct, frozen=True, gc=False):
    """What is known of one resource. None is "not known yet", never "has none".

    ``parents_complete``: no parent is missing from ``parents``. ``fields``: the object's fields as
    rules call them (:mod:`tutumwatch.inventory.fields`), None until it was looked up or sent
    along. ``number``: that of the last message about it. ``since``: when its state began;
    ``seen``: when it was last heard of; ``gone_at``: when it ended.

    ``ended``: how a container ended ("clean", "failed", "oom" or "stopped"), empty while it has
    not or while that is not known; ``was_stopping``: it was being stopped. ``deploy``: the last one
    of a service, None if it never had one.
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
    ended: str = ""
    was_stopping: bool = False
    deploy: Deploy | None = None

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
        return self.key[1] == "action" and (self.state or "").lower() in FINISHED_ACTION_STATES

    @property
    def has_failed(self) -> bool:
        """Whether it is an action that failed."""
        return self.key[1] == "action" and (self.state or "").lower() == FAILED_ACTION_STATE

    def parent_keys(self) -> list[Key]:
        """Give the keys of its known parents, in the order of the message."""
        names = (parse_resource_uri(uri) for uri in self.parents or ())
        return [(self.stream, name.type, name.uuid) for name in names if name is not None]


class Change(msgspec.Struct, frozen=True):
    """What one input did: the resource before and after it.

    ``changed`` names the attributes and fields that differ; a new resource counts every one that
    is known as changed. A deploy differs if its state does, or if it is another one. ``action``
    (create, update, delete...) and ``date`` are what the event said; empty for what is no event.
    ``late``: it happened while we were not listening.
    """

    id: str
    kind: ChangeKind
    before: Resource | None
    after: Resource
    changed: frozenset[str]
    at: float
    action: str = ""
    date: str = ""
    late: bool = False


def change_of(
    change_id: str, before: Resource | None, after: Resource, action: str = "", date: str = ""
) -> Change:
    """Compare a resource with what it was."""
    changed = _changed(before, after)
    if after.gone_at is not None and (before is None or before.gone_at is None):
        kind = ChangeKind.GONE
    elif before is None:
        kind = ChangeKind.NEW
    else:
        kind = ChangeKind.CHANGED if changed else ChangeKind.SAME
    return Change(change_id, kind, before, after, changed, after.seen, action, date)


_NOTHING: frozenset[str] = frozenset()
_UNKNOWN = Resource(("", "", ""), "")


def _changed(before: Resource | None, after: Resource) -> frozenset[str]:
    old = before or _UNKNOWN
    changed: list[str] = []
    if old.state != after.state:
        changed.append("state")
    if old.name != after.name:
        changed.append("name")
    if old.parents is not after.parents and old.parents != after.parents:
        changed.append("parents")
    if old.ended != after.ended:
        changed.append("ended")
    if old.deploy is not after.deploy and old.deploy != after.deploy:
        changed.append("deploy")
    if old.fields is not after.fields and old.fields != after.fields:
        were, are = old.fields or {}, after.fields or {}
        changed += [name for name, value in are.items() if were.get(name) != value]
        changed += [name for name in were if name not in are]
    return frozenset(changed) if changed else _NOTHING
