"""What is kept of incidents over a restart: their members, and which are open."""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

import attrs
import msgspec

from tutumwatch.inventory.resource import Change, Key
from tutumwatch.rules.decisions import RecordName


class Phase(Enum):
    """How far a member is: true, but not long enough; counted; over, but not long enough."""

    PENDING = "pending"
    OPEN = "open"
    CLEARING = "clearing"


MemberName: TypeAlias = tuple[str, Key]
"""(rule, resource)"""
IncidentName: TypeAlias = tuple[str, str]
"""(rule, incident key)"""


@attrs.frozen
class Member:
    """A resource for which a rule's condition is true, or was until a moment ago.

    ``since``: when it became true; ``gap_since``: when a pending one became false again; ``due``:
    when it goes on if nothing happens. It is kept over restarts as it is here.
    """

    name: MemberName
    incident: IncidentName
    phase: Phase
    since: float
    change: Change
    gap_since: float | None = None
    due: float | None = None


@attrs.frozen
class OpenIncident:
    """An incident that is open: since when, and the notifiers that were told."""

    name: IncidentName
    since: float
    told: tuple[str, ...]


# The kinds of their records.
MEMBER, OPEN = "member", "incident"
decode_member = msgspec.msgpack.Decoder(Member).decode
decode_open = msgspec.msgpack.Decoder(OpenIncident).decode
encode = msgspec.msgpack.Encoder().encode


def record_of(kind: str, *name: object) -> RecordName:
    """Give the name of a record."""
    return (kind, msgspec.json.encode(name).decode())


def counted_from(member: Member, now: float) -> Member:
    """Give a member without dates that are ahead of now."""
    begun = member.change.at if member.phase is Phase.CLEARING else member.since
    if member.gap_since is not None:
        begun = member.gap_since
    return attrs.evolve(
        member,
        since=min(member.since, now),
        gap_since=None if member.gap_since is None else min(member.gap_since, now),
        due=None if member.due is None else member.due - max(0.0, begun - now),
    )
