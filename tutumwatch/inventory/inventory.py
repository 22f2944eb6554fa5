"""All resources that we know, and how an input changes one.

A bounded picture: finished actions leave at once, gone resources after ten minutes or when 10,000
others are gone too, and beyond the cap the least recently seen; a later look-up brings back what is
wanted again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Any

import attrs
from msgspec.structs import replace

from tutumwatch.events.event import Event
from tutumwatch.events.inputs import CONNECTED, LINK_TYPES, Found, Link, LinkType, Looked, Missing
from tutumwatch.events.resource_uri import parse_resource_uri
from tutumwatch.inventory.fields import PARENTS_INCOMPLETE, read_object
from tutumwatch.inventory.resource import (
    GONE_STATE,
    TERMINATING_STATE,
    Change,
    Key,
    Resource,
    change_of,
)
from tutumwatch.inventory.survey import in_words

RESOURCES_MAX_COUNT = 200_000
GONE_KEPT_SECONDS = 600.0
GONE_MAX_COUNT = 10_000


@attrs.define
class Inventory:
    """Every known resource, least recently seen first, with an index from parent to children.

    ``is_needed`` says of a key that it must stay although it was not seen for long (an incident
    is open for it); whoever knows that sets it. Our own connections always stay: no look-up would
    bring them back.
    """

    is_needed: Callable[[Key], bool] = attrs.field(default=lambda _key: False)
    _max_count: int = RESOURCES_MAX_COUNT
    evicted_count: int = 0
    # Ordered dictionaries: taking the first of a plain one is slow once many before it were taken.
    _resources: OrderedDict[Key, Resource] = attrs.field(factory=OrderedDict)
    _gone: OrderedDict[Key, float] = attrs.field(factory=OrderedDict)
    _children: dict[Key, set[Key]] = attrs.field(factory=dict)
    _unsaved: set[Key] = attrs.field(factory=set)

    def __len__(self) -> int:
        """Count the resources that are known."""
        return len(self._resources)

    def get(self, key: Key) -> Resource | None:
        """Give what is known of a resource, or None."""
        return self._resources.get(key)

    def resources_of(self, stream: str) -> Iterator[Resource]:
        """Give the resources that are known of a stream's platform and are not gone."""
        return (
            resource
            for key, resource in self._resources.items()
            if key[0] == stream and key[1] not in LINK_TYPES and resource.gone_at is None
        )

    def children_of(self, key: Key) -> Iterator[Resource]:
        """Give the known resources that name this one as a parent."""
        return (self._resources[child] for child in self._children.get(key, ()))

    def take_unsaved(self) -> dict[Key, Resource | None]:
        """Give what changed since this was asked last; None is known no more."""
        unsaved = {key: self._resources.get(key) for key in self._unsaved}
        self._unsaved.clear()
        return unsaved

    def save_again(self, keys: Iterable[Key]) -> None:
        """Count resources as changed: what was taken could not be saved."""
        self._unsaved.update(keys)

    def save_everything(self) -> None:
        """Count every resource as changed: what was saved is lost."""
        self._unsaved.update(self._resources)

    def restore(self, resources: Iterable[Resource]) -> None:
        """Begin with what was known when we last ran."""
        for resource in sorted(resources, key=lambda r: r.seen):
            self._resources[resource.key] = resource
            self._index(None, resource)
        gone = [r for r in self._resources.values() if r.gone_at is not None]
        for resource in sorted(gone, key=lambda r: r.gone_at or 0.0):
            self._gone[resource.key] = resource.gone_at or 0.0

    def forget_others(self, streams: AbstractSet[str], notifiers: AbstractSet[str]) -> None:
        """Forget what no stream that is watched, and no notifier that is on, can tell of."""
        for key in list(self._resources):
            is_known = (
                key[2] in notifiers if key[1] == LinkType.NOTIFIER.value else key[0] in streams
            )
            if not is_known:
                self._remove(key)

    def begin_blind(self, since: float) -> None:
        """Know of no stream how it is: we did not run, and have seen nothing since then."""
        for key, known in self._resources.items():
            if key[1] == LinkType.STREAM.value:
                was_blind_since = (known.fields or {}).get("blind_since")
                fields = {"blind_since": was_blind_since or since}
                self._resources[key] = replace(known, state=None, fields=fields)
                self._unsaved.add(key)

    def apply_event(
        self, event: Event, change_id: str, stream: str, number: int, at: float
    ) -> Change:
        """Take in an event; an empty state, or parents that are not told, leave what is known.

        An event without a usable resource_uri gives a Change and leaves no trace.
        """
        self._forget_gone(at)
        named = parse_resource_uri(event.resource_uri or "")
        key = (stream, _shared(event.type), named.uuid if named is not None else "")
        before = self._resources.get(key)
        known = before or Resource(key, event.resource_uri or "", since=at)
        before_state = known.state
        if isinstance(event.object, dict):
            known = _with_object(known, event.object)
        state = _shared(event.state) if event.state else known.state
        parents, complete = known.parents, known.parents_complete
        if event.parents is not None:
            complete = True
            if parents is None or [*parents] != event.parents:
                parents = tuple(map(_shared, event.parents))
        gone = event.action == "delete" or _is_terminated(state)
        # Not replace(), and only once: one is made for every event.
        after = Resource(
            known.key,
            known.uri,
            known.name,
            state,
            parents,
            complete,
            known.fields,
            number,
            known.since if state == before_state else at,
            at,
            _gone_at(known, at) if gone else None,
        )
        if named is not None:
            self._keep(before, after)
        return change_of(change_id, before, after, event.action, event.date or "")

    def apply_link(self, link: Link, change_id: str) -> Change:
        """Take in the state of a connection of ours: a stream and a notifier are resources."""
        self._forget_gone(link.at)
        stream = link.name if link.type is LinkType.STREAM else ""
        key = (stream, link.type.value, link.name)
        before = self._resources.get(key)
        known = before or Resource(key, "", name=link.name, parents=(), parents_complete=True)
        since = known.since if known.state == link.state else link.at
        fields = {"reason": link.reason, **_blindness(known, link)}
        after = replace(known, state=link.state, since=since, seen=link.at, fields=fields)
        self._keep(before, after)
        return change_of(change_id, before, after)

    def apply_looked(self, looked: Looked, change_id: str) -> Change | None:
        """Take in the answer to a look-up.

        What arrived since it was asked knows better: then the answer only tells name and fields
        that were never told. None if nothing was learned.
        """
        self._forget_gone(looked.at)
        named = parse_resource_uri(looked.resource_uri)
        if named is None:
            return None
        key = (looked.stream, named.type, named.uuid)
        before = self._resources.get(key)
        known = before or Resource(key, looked.resource_uri, since=looked.at)
        is_old = known.number > looked.asked
        match looked.answer:
            case Missing() if not is_old:
                # Nothing more can be learned of it: what is not known is absent from now on.
                after = replace(
                    known,
                    parents=known.parents or (),
                    parents_complete=True,
                    fields=known.fields or {},
                    gone_at=_gone_at(known, looked.at),
                )
            case Found(fields) if known.fields is None or not is_old:
                after = _with_object(known, fields)
                if is_old and known.state:
                    after = replace(after, state=known.state)
                elif _is_terminated(after.state):
                    after = replace(after, gone_at=_gone_at(known, looked.at))
                elif not _is_terminating(after):
                    # A restarted platform may have again what was gone.
                    after = replace(after, gone_at=None)
            case _:
                return None
        since = known.since if after.state == known.state else looked.at
        after = replace(after, since=since, seen=looked.at)
        self._keep(before, after)
        return change_of(change_id, before, after)

    def _keep(self, before: Resource | None, after: Resource) -> None:
        key = after.key
        self._unsaved.add(key)
        if after.is_finished:
            if before is not None:
                self._remove(key)
            return
        if before is None:
            self._make_room()
        self._resources[key] = after
        self._resources.move_to_end(key)
        if before is None or before.parents != after.parents:
            self._index(before, after)
        if after.gone_at is None:
            self._gone.pop(key, None)
        elif key not in self._gone:
            self._add_gone(key, after.gone_at)

    def _add_gone(self, key: Key, gone_at: float) -> None:
        last = next(reversed(self._gone.values()), gone_at)
        self._gone[key] = gone_at
        if last > gone_at:  # after a restart, or by a clock that was wrong
            self._gone = OrderedDict(sorted(self._gone.items(), key=lambda entry: entry[1]))

    def _index(self, before: Resource | None, after: Resource | None) -> None:
        """Move a resource, which may have been or be nothing, from its old to its new parents."""
        if before is not None:
            for parent in set(before.parent_keys()):
                children = self._children[parent]
                children.discard(before.key)
                if not children:
                    del self._children[parent]
        if after is not None:
            for parent in after.parent_keys():
                self._children.setdefault(parent, set()).add(after.key)

    def _remove(self, key: Key) -> None:
        self._index(self._resources.pop(key), None)
        self._gone.pop(key, None)
        self._unsaved.add(key)

    def _forget_gone(self, now: float) -> None:
        while self._gone:
            key, gone_at = next(iter(self._gone.items()))
            if gone_at + GONE_KEPT_SECONDS > now and len(self._gone) <= GONE_MAX_COUNT:
                return
            self._remove(key)

    def _make_room(self) -> None:
        for _ in range(len(self._resources)):
            if len(self._resources) < self._max_count:
                return
            key = next(iter(self._resources))
            if key[1] in LINK_TYPES or self.is_needed(key):
                self._resources.move_to_end(key)
            else:
                self._remove(key)
                self.evicted_count += 1


# Thousands of resources share a few types, states and parents: each is kept once.
# Not sys.intern, which on Python 3.12 keeps a text for ever.
@lru_cache(maxsize=8192)
def _shared(text: str) -> str:
    return text


def _with_object(known: Resource, fields: Mapping[str, Any]) -> Resource:
    """Give a resource with what its object says; parents that an event named are not fewer."""
    facts = read_object(fields)
    parents, complete = known.parents, known.parents_complete
    if not complete:
        complete = known.type not in PARENTS_INCOMPLETE
        parents = facts.parents if facts.parents or complete else parents
    return replace(
        known,
        name=facts.name or known.name,
        state=facts.state or known.state,
        parents=parents,
        parents_complete=complete,
        fields=facts.fields,
    )


def _blindness(known: Resource, link: Link) -> dict[str, Any]:
    """Give since when a stream is blind; once it is back, for how long it was."""
    if link.type is not LinkType.STREAM:
        return {}
    fields = known.fields or {}
    if link.state != CONNECTED:
        was_connected = known.state == CONNECTED
        blind_since = link.at if was_connected else fields.get("blind_since")
        return {} if blind_since is None else {"blind_since": blind_since}
    blind_since = fields.get("blind_since")
    return {} if blind_since is None else {"blind": in_words(link.at - blind_since)}


def _is_terminated(state: str | None) -> bool:
    return state is not None and state.lower() == GONE_STATE


def _is_terminating(resource: Resource) -> bool:
    return (resource.state or "").lower() == TERMINATING_STATE


def _gone_at(known: Resource, at: float) -> float:
    return at if known.gone_at is None else known.gone_at
