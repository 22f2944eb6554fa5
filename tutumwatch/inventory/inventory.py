"""All resources that we know, and how an input changes one.

A bounded picture: finished actions leave at once, gone resources after ten minutes, and beyond the
cap the least recently seen; a later look-up brings back what is wanted again.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from tutumwatch.events.event import Event
from tutumwatch.events.inputs import Found, Link, LinkType, Looked, Missing
from tutumwatch.events.resource_uri import parse_resource_uri
from tutumwatch.inventory.fields import PARENTS_INCOMPLETE, read_object
from tutumwatch.inventory.resource import GONE_STATE, Change, ChangeKind, Key, Resource

RESOURCES_MAX_COUNT = 200_000
GONE_KEPT_SECONDS = 600.0
# What a Change may name as changed, besides the object's fields.
_ATTRIBUTES = ("name", "state", "parents")


@attrs.define
class Inventory:
    """Every known resource, least recently seen first, with an index from parent to children.

    ``is_needed`` says of a key that it must stay although it was not seen for long (an incident
    is open for it); whoever knows that sets it.
    """

    is_needed: Callable[[Key], bool] = attrs.field(default=lambda _key: False)
    _max_count: int = RESOURCES_MAX_COUNT
    evicted_count: int = 0
    _resources: dict[Key, Resource] = attrs.field(factory=dict)
    _children: dict[Key, set[Key]] = attrs.field(factory=dict)
    _gone: deque[tuple[float, Key]] = attrs.field(factory=deque)

    def __len__(self) -> int:
        """Count the resources that are known."""
        return len(self._resources)

    def get(self, key: Key) -> Resource | None:
        """Give what is known of a resource, or None."""
        return self._resources.get(key)

    def children_of(self, key: Key) -> Iterator[Resource]:
        """Give the known resources that name this one as a parent."""
        return (self._resources[child] for child in self._children.get(key, ()))

    def apply_event(
        self, event: Event, change_id: str, stream: str, number: int, at: float
    ) -> Change:
        """Take in an event; an empty state, or parents that are not told, leave what is known.

        An event without a usable resource_uri gives a Change and leaves no trace.
        """
        named = parse_resource_uri(event.resource_uri or "")
        key = (stream, event.type, named.uuid if named is not None else "")
        before = self._resources.get(key)
        known = before or Resource(key, event.resource_uri or "", since=at)
        told = _told_by(event)
        state = sys.intern(event.state) if event.state else told.get("state") or known.state
        gone = event.action == "delete" or (state or "").lower() == GONE_STATE
        told |= {
            "state": state,
            "since": known.since if state == known.state else at,
            "number": number,
            "seen": at,
            "gone_at": (known.gone_at or at) if gone else None,
        }
        after = attrs.evolve(known, **told)
        if named is not None:
            self._keep(before, after)
        return _change(change_id, before, after, at, event=event)

    def apply_link(self, link: Link, change_id: str) -> Change:
        """Take in the state of a connection of ours: a stream and a notifier are resources."""
        stream = link.name if link.type is LinkType.STREAM else ""
        key = (stream, link.type.value, link.name)
        before = self._resources.get(key)
        known = before or Resource(key, "", name=link.name, parents=(), parents_complete=True)
        since = known.since if known.state == link.state else link.at
        after = attrs.evolve(
            known, state=link.state, since=since, seen=link.at, fields={"reason": link.reason}
        )
        self._keep(before, after)
        return _change(change_id, before, after, link.at, reason=link.reason)

    def apply_looked(self, looked: Looked, change_id: str) -> Change | None:
        """Take in the answer to a look-up, unless something newer arrived since it was asked."""
        named = parse_resource_uri(looked.resource_uri)
        if named is None:
            return None
        key = (looked.stream, named.type, named.uuid)
        before = self._resources.get(key)
        if before is not None and before.number > looked.asked:
            return None
        known = before or Resource(key, looked.resource_uri, since=looked.at)
        match looked.answer:
            case Missing():
                # Nothing more can be learned of it: what is not known is absent from now on.
                after = attrs.evolve(
                    known,
                    parents=known.parents or (),
                    parents_complete=True,
                    fields=known.fields or {},
                    seen=looked.at,
                    gone_at=known.gone_at or looked.at,
                )
            case Found(fields):
                told = _told_by_object(fields, named.type)
                if known.parents_complete:
                    told = {k: v for k, v in told.items() if not k.startswith("parents")}
                since = known.since if told.get("state", known.state) == known.state else looked.at
                after = attrs.evolve(known, **told, since=since, seen=looked.at)
            case _:
                return None
        self._keep(before, after)
        return _change(change_id, before, after, looked.at)

    def _keep(self, before: Resource | None, after: Resource) -> None:
        self._forget_old(after.seen)
        key = after.key
        if before is not None:
            self._remove(key)
        if after.is_finished:
            return
        self._resources[key] = after
        for parent in after.parent_keys():
            self._children.setdefault(parent, set()).add(key)
        if after.gone_at is not None and (before is None or before.gone_at is None):
            self._gone.append((after.gone_at, key))

    def _remove(self, key: Key) -> None:
        resource = self._resources.pop(key)
        for parent in resource.parent_keys():
            children = self._children.get(parent)
            if children is not None:
                children.discard(key)
                if not children:
                    del self._children[parent]

    def _forget_old(self, now: float) -> None:
        while self._gone and self._gone[0][0] + GONE_KEPT_SECONDS <= now:
            gone_at, key = self._gone.popleft()
            resource = self._resources.get(key)
            if resource is not None and resource.gone_at == gone_at:
                self._remove(key)
        while len(self._resources) >= self._max_count:
            oldest = next((k for k in self._resources if not self.is_needed(k)), None)
            if oldest is None:
                return
            self._remove(oldest)
            self.evicted_count += 1


def _told_by(event: Event) -> dict[str, Any]:
    """Give the attributes that an event tells: its parents, and its object's if it brings it."""
    told: dict[str, Any] = {}
    if event.object is not None:
        told |= _told_by_object(event.object, event.type)
    if event.parents is not None:
        # Thousands of resources name the same few parents: keep each name once.
        told |= {"parents": tuple(map(sys.intern, event.parents)), "parents_complete": True}
    return told


def _told_by_object(fields: Mapping[str, Any], type_: str) -> dict[str, Any]:
    facts = read_object(fields)
    complete = type_ not in PARENTS_INCOMPLETE
    told: dict[str, Any] = {"fields": facts.fields}
    if facts.name is not None:
        told["name"] = facts.name
    if facts.state is not None:
        told["state"] = facts.state
    if facts.parents or complete:
        told |= {"parents": facts.parents, "parents_complete": complete}
    return told


def _change(
    change_id: str,
    before: Resource | None,
    after: Resource,
    at: float,
    *,
    event: Event | None = None,
    reason: str = "",
) -> Change:
    old = _values(before)
    new = _values(after)
    changed = frozenset(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    if after.gone_at is not None and (before is None or before.gone_at is None):
        kind = ChangeKind.GONE
    elif before is None:
        kind = ChangeKind.NEW
    else:
        kind = ChangeKind.CHANGED if changed else ChangeKind.SAME
    return Change(change_id, kind, before, after, changed, at, event, reason)


def _values(resource: Resource | None) -> dict[str, Any]:
    if resource is None:
        return {}
    values = {name: getattr(resource, name) for name in _ATTRIBUTES}
    return {**{k: v for k, v in values.items() if v is not None}, **(resource.fields or {})}
