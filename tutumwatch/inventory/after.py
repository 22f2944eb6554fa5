"""What a resource is after an event, and after the answer to a look-up."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from msgspec.structs import replace

from tutumwatch.events.event import Event
from tutumwatch.events.inputs import Found, Looked, Missing
from tutumwatch.inventory.deploys import deploy_after
from tutumwatch.inventory.endings import ending_of
from tutumwatch.inventory.fields import PARENTS_INCOMPLETE, read_object
from tutumwatch.inventory.resource import GONE_STATE, TERMINATING_STATE, Key, Resource


# Thousands of resources share a few types, states and parents: each is kept once.
# Not sys.intern, which on Python 3.12 keeps a text for ever.
@lru_cache(maxsize=8192)
def shared(text: str) -> str:
    """Give the one text that is kept of all that are equal."""
    return text


def after_event(
    before: Resource | None, key: Key, event: Event, number: int, at: float
) -> Resource:
    """Give a resource after an event; an empty state, or parents not told, leave what is known."""
    known = before or Resource(key, event.resource_uri or "", since=at)
    before_state = known.state
    told = None
    if isinstance(event.object, dict):
        known = _with_object(known, event.object)
        told = known.fields
    state = shared(event.state) if event.state else known.state
    parents, complete = known.parents, known.parents_complete
    if event.parents is not None:
        complete = True
        if parents is None or [*parents] != event.parents:
            parents = tuple(map(shared, event.parents))
    lower = state.lower() if state else ""
    gone = event.action == "delete" or lower == GONE_STATE
    ended, was_stopping, deploy = known.ended, known.was_stopping, known.deploy
    if key[1] == "container":
        ended, was_stopping = ending_of(before, lower, told)
    elif key[1] == "service" and not gone:
        deploy = deploy_after(before, lower, known.fields, at)
        if told is None and state != before_state and known.fields and "running" in known.fields:
            known = replace(known, fields=_without_counts(known.fields))
    # Not replace(), and only once: one is made for every event.
    return Resource(
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
        ended,
        was_stopping,
        deploy,
    )


def _without_counts(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give what is known of a service but how much of it runs: that was of its state before."""
    return {name: value for name, value in fields.items() if name != "running"}


def after_looked(before: Resource | None, key: Key, looked: Looked) -> Resource | None:
    """Give a resource after the answer to a look-up; None if nothing was learned.

    What arrived since it was asked knows better: then the answer only tells name and fields
    that were never told.
    """
    known = before or Resource(key, looked.resource_uri, since=looked.at)
    is_old = known.number > looked.asked
    told = None
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
            elif (lower := (after.state or "").lower()) == GONE_STATE:
                after = replace(after, gone_at=_gone_at(known, looked.at))
            elif lower != TERMINATING_STATE:
                # A restarted platform may have again what was gone.
                after = replace(after, gone_at=None)
            told = None if is_old else after.fields
        case _:
            return None
    since = known.since if after.state == known.state else looked.at
    after = replace(after, since=since, seen=looked.at)
    return _with_derived(before, after, told)


def _with_derived(
    before: Resource | None, after: Resource, told: Mapping[str, Any] | None
) -> Resource:
    """Give a resource with what follows for its type from what was told."""
    lower = (after.state or "").lower()
    if after.type == "container":
        ended, was_stopping = ending_of(before, lower, told)
        return replace(after, ended=ended, was_stopping=was_stopping)
    if after.type == "service" and after.gone_at is None:
        return replace(after, deploy=deploy_after(before, lower, after.fields, after.seen))
    return after


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


def _gone_at(known: Resource, at: float) -> float:
    return at if known.gone_at is None else known.gone_at
