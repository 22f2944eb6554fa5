"""Our own connections as resources: a stream and what it has missed, a notifier."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tutumwatch.events.inputs import CONNECTED, Link, LinkType
from tutumwatch.inventory.resource import Key, Resource
from tutumwatch.inventory.survey import in_words

# A listing that takes longer than this after a connect is not waited for.
CATCH_UP_MAX_SECONDS = 60.0
# A field of a stream: its platform told, since the last connect, all that it has.
_CAUGHT_UP = "caught_up"


def key_of_link(link: Link) -> Key:
    """Give the key of a connection; a notifier is of no stream."""
    stream = link.name if link.type is LinkType.STREAM else ""
    return (stream, link.type.value, link.name)


def key_of_stream(stream: str) -> Key:
    """Give the key of a stream itself."""
    return (stream, LinkType.STREAM.value, stream)


def after_link(before: Resource | None, link: Link) -> Resource:
    """Give a connection as it is now."""
    key = key_of_link(link)
    known = before or Resource(key, "", name=link.name, parents=(), parents_complete=True)
    since = known.since if known.state == link.state else link.at
    fields = {"reason": link.reason, **_blindness(known, link)}
    return replace(known, state=link.state, since=since, seen=link.at, fields=fields)


def gone_blind(stream: Resource, since: float) -> Resource:
    """Give a stream of which nothing was seen since then, and which may be in any state."""
    was_blind_since = (stream.fields or {}).get("blind_since")
    return replace(stream, state=None, fields={"blind_since": was_blind_since or since})


def caught_up(stream: Resource) -> Resource:
    """Give a stream whose platform told all that it has."""
    return replace(stream, fields={**(stream.fields or {}), _CAUGHT_UP: True})


def sees_from(stream: Resource | None) -> float | None:
    """Give from when on a stream tells how things are now; None while it is down."""
    if stream is None:
        return 0.0
    if stream.state != CONNECTED:
        return None
    return 0.0 if _CAUGHT_UP in (stream.fields or {}) else stream.since + CATCH_UP_MAX_SECONDS


def _blindness(known: Resource, link: Link) -> dict[str, Any]:
    """Give since when a stream is blind; once it is back, for how long it was."""
    if link.type is not LinkType.STREAM:
        return {}
    fields = known.fields or {}
    blind_since = fields.get("blind_since")
    if link.state != CONNECTED:
        blind_since = link.at if known.state == CONNECTED else blind_since
        return {} if blind_since is None else {"blind_since": blind_since}
    # Said to be connected once more it is as it was: this field goes when the connection does.
    kept = {_CAUGHT_UP: True} if _CAUGHT_UP in fields else {}
    return kept if blind_since is None else {**kept, "blind": in_words(link.at - blind_since)}
