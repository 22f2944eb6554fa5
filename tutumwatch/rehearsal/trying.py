"""Takes events as a watcher would, one after the other, and explains each; nothing is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from tutumwatch.events.event import Rejected, decode_event
from tutumwatch.events.inputs import (
    CONNECTED,
    LINK_TYPES,
    Found,
    Input,
    Link,
    LinkType,
    Listed,
    Looked,
    Message,
    Missing,
    Tick,
)
from tutumwatch.events.resource_uri import parse_resource_uri
from tutumwatch.inventory.after import after_event
from tutumwatch.inventory.resource import Change, Resource, change_of
from tutumwatch.rehearsal.objects import write_object
from tutumwatch.rules.decider import Decider
from tutumwatch.rules.decisions import Decisions, Need, Settled
from tutumwatch.rules.notice import Notice

LOOK_UPS_MAX_COUNT = 1_000


@attrs.frozen
class Trial:
    """What became of one event.

    ``change``: None if it was not taken; then ``refused`` says why. ``said``: what is said at once,
    or once what is known was looked up again. ``records``: what rules remember of it.
    """

    at: float
    change: Change | None
    refused: str = ""
    said: tuple[Notice, ...] = ()
    records: dict[tuple[str, str], bytes | None] = attrs.field(factory=dict)


@attrs.define
class Trying:
    """A decider that nobody hears, and its time."""

    decider: Decider
    _now: float
    _number: int

    def begin(self) -> None:
        """Count every stream as connected and caught up: so it is when events come."""
        for stream in self.decider.rules.streams:
            self._settle(Link(LinkType.STREAM, stream, CONNECTED, "", self._now))
            self._settle(Listed(stream, (), self._now))

    def go_on(self, at: float) -> Iterator[tuple[float, Notice]]:
        """Let time pass; give what is said meanwhile, and when."""
        while (due := self.decider.next_due()) is not None and due <= at:
            self._now = max(self._now, due)
            for notice in notices_in(self._settle(Tick(self._now))):
                yield self._now, notice
        self._now = max(self._now, at)

    def take(self, stream: str, payload: bytes) -> Trial:
        """Take an event now."""
        event = decode_event(payload)
        if isinstance(event, Rejected):
            return Trial(self._now, None, f"it is no event: {event.reason}")
        if event.type in LINK_TYPES:
            return Trial(self._now, None, f"the type {event.type!r} is not the platform's to tell")
        self._number += 1
        named = parse_resource_uri(event.resource_uri or "")
        key = (stream, event.type, named.uuid if named is not None else "")
        before = self.decider.inventory.get(key)
        after = after_event(before, key, event, self._number, self._now)
        repeated_count = self.decider.counts["repeated"]
        decisions = self._settle(Message(stream, self._number, payload, self._now))
        if self.decider.counts["repeated"] > repeated_count:
            return Trial(self._now, None, f"an event with the uuid {event.uuid!r} came before")
        change_id = f"{stream}/{event.uuid or self._number}"
        change = change_of(change_id, before, after, event.action, event.date or "")
        said = tuple(notices_in(decisions))
        return Trial(self._now, change, "", said, decisions.records)

    def _settle(self, item: Input) -> Decisions:
        """Decide an input; of what it wants to be looked up, what is known is found as it is."""
        decisions = self.decider.decide(item)
        unknown: set[Need] = set()
        for _ in range(LOOK_UPS_MAX_COUNT):
            need = min(decisions.needs - unknown, key=_order, default=None)
            if need is None:
                break
            known = self._known(need)
            if known is None:
                unknown.add(need)
                continue
            decisions.needs.discard(need)
            answer = Missing() if known.gone_at is not None else Found(_object_of(known))
            uri, number, now = need.resource_uri, self._number, self._now
            self.decider.decide(Looked(need.stream, uri, number, answer, now), decisions)
        return decisions

    def _known(self, need: Need) -> Resource | None:
        named = parse_resource_uri(need.resource_uri)
        if named is None:
            return None
        known = self.decider.inventory.get((need.stream, named.type, named.uuid))
        # Of what was only named, by an event without an object, nobody knows what is asked for.
        return known if known is not None and known.fields is not None else None


def _order(need: Need) -> tuple[str, str, bool]:
    return need.stream, need.resource_uri, need.fresh


def notices_in(decisions: Decisions) -> Iterator[Notice]:
    """Give the notices that some inputs came to."""
    for owed in decisions.owed:
        found: Iterable[object] = owed.notices if isinstance(owed, Settled) else (owed,)
        yield from (one for one in found if isinstance(one, Notice))


def _object_of(resource: Resource) -> dict[str, Any]:
    named = ((parse_resource_uri(uri), uri) for uri in resource.parents or ())
    parents = {name.type: uri for name, uri in named if name is not None}
    return write_object(resource.uri, resource.name, resource.state, parents, resource.fields or {})
