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
FINISHED_ACTION_STATES = frozenset({"success", "failed", "canceled"})


class ChangeKind(Enum):
    """What an input did to what we know; ``action`` is what the event *said*."""

    NEW = "new"
    CHANGED = "changed"
    SAME = "same"
    GONE = "gone"


# Structs, because one of each is made for every event: attrs takes four times as long. gc=False:
# they hold texts, numbers and tuples, so 200,000 of them need not be searched for cycles.
class Resource(msgspec.Struct, frozen=True, gc=False):
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
        return self.key[1] == "action" and (self.state or "").lower() in FINISHED_ACTION_STATES

    def parent_keys(self) -> list[Key]:
        """Give the keys of its known parents, in the order of the message."""
        names = (parse_resource_uri(uri) for uri in self.parents or ())
        return [(self.stream, name.type, name.uuid) for name in names if name is not None]


class Change(msgspec.Struct, frozen=True):
    """What one input did: the resource before and after it.

    ``changed`` names the attributes and fields that differ; a new resource counts every one that
    is known as changed. ``action`` (create, update, delete...) and ``date`` are what the event
    said; empty for what is no event. ``late``: it happened while we were not listening.
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
    changed = set()
    if old.state != after.state:
        changed.add("state")
    if old.name != after.name:
        changed.add("name")
    if old.parents != after.parents:
        changed.add("parents")
    if old.fields is not after.fields:
        were, are = old.fields or {}, after.fields or {}
        changed |= {name for name in were.keys() | are if were.get(name) != are.get(name)}
    return frozenset(changed) if changed else _NOTHING
