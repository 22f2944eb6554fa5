"""What is kept of incidents over a restart: their members, and which are open."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeAlias

import attrs
import msgspec

from tutumwatch.inventory.resource import Change, Key
from tutumwatch.rules.decisions import RecordName


class Phase(Enum):
    """How far a member is.

    EXCUSED: true, but something excuses it. PENDING: true, but not long enough, or withheld by a
    silence. OPEN: counted. CLEARING: over, but not long enough. DISMISSED: a person closed it; it
    stays closed until it was over once.
    """

    EXCUSED = "excused"
    PENDING = "pending"
    OPEN = "open"
    CLEARING = "clearing"
    DISMISSED = "dismissed"

    @property
    def is_counted(self) -> bool:
        """Whether an incident is open because of it."""
        return self is Phase.OPEN or self is Phase.CLEARING


MemberName: TypeAlias = tuple[str, Key]
"""(rule, resource)"""
IncidentName: TypeAlias = tuple[str, str]
"""(rule, incident key)"""


@attrs.frozen
class Check:
    """A look-up before a member goes on: what is still to be answered, and whether any failed.

    ``number``: that of the last message when it was asked; an older answer is none.
    """

    number: int
    uris: frozenset[str]
    failed: bool = False


@attrs.frozen
class Member:
    """A resource for which a rule's condition is true, or was until a moment ago.

    ``change``: the last one that spoke for it. ``since``: when its condition became true;
    ``gap_since``: when it became false again; ``due``: when it goes on if nothing happens.
    ``excused_since``, ``excused_by``: since when, and by which open incident it was explained,
    also after that excuse has run out. ``withheld_by``: the silence or mute that keeps it from
    opening. ``is_orphan``: a process before us may have opened it. It is kept over restarts as it
    is here.
    """

    name: MemberName
    incident: IncidentName
    phase: Phase
    since: float
    change: Change
    gap_since: float | None = None
    due: float | None = None
    excused_since: float | None = None
    excused_by: IncidentName | None = None
    withheld_by: str | None = None
    check: Check | None = None
    is_orphan: bool = False

    @property
    def stream(self) -> str:
        """The stream that tells of its resource; empty for a notifier, and for what is absent."""
        return self.name[1][0]


@attrs.frozen
class OpenIncident:
    """An incident that is open: since when, and the notifiers that were told, under which key.

    ``grouped``: those of them that were told of it together with others, under the key of the
    group. ``about``: what it is about, in a few words. ``repeat_due``: when they are told again.
    ``marks``: how sure it was when it opened.
    """

    name: IncidentName
    since: float
    told: tuple[str, ...]
    key: str = ""
    grouped: Mapping[str, str] = attrs.field(factory=dict)
    about: str = ""
    repeat_due: float | None = None
    marks: tuple[str, ...] = ()

    @property
    def keys(self) -> list[str]:
        """The keys under which it was told: its own, and those of its groups."""
        return [self.key, *self.grouped.values()]


@attrs.frozen
class Recurrence:
    """When a rule that counts was matched of late: at most as many times as it counts.

    ``is_reached``: it was matched often enough; that ends when it is forgotten.
    """

    name: MemberName
    times: tuple[float, ...]
    is_reached: bool = False


@attrs.frozen
class Unsettled:
    """A change that a counting rule cannot judge before a look-up has answered."""

    id: str
    rule: str
    change: Change
    due: float


@attrs.frozen
class Group:
    """Openings that one notifier is told of together, for as long as one of them is open.

    ``gathered``: since when there are some that it was not told of, None if there are none.
    """

    notifier: str
    key: str
    is_told: bool = False
    gathered: float | None = None


# The kinds of their records.
MEMBER, OPEN, TALLY, UNSETTLED, GROUP = "member", "incident", "tally", "unsettled", "group"
# The times at which a notifier was told of openings, and the rules as they were last.
OPENINGS, RULE = "openings", "rule"
decode_member = msgspec.msgpack.Decoder(Member).decode
decode_open = msgspec.msgpack.Decoder(OpenIncident).decode
decode_tally = msgspec.msgpack.Decoder(Recurrence).decode
decode_unsettled = msgspec.msgpack.Decoder(Unsettled).decode
decode_group = msgspec.msgpack.Decoder(Group).decode
decode_times = msgspec.msgpack.Decoder(tuple[float, ...]).decode
encode = msgspec.msgpack.Encoder().encode


def record_of(kind: str, *name: object) -> RecordName:
    """Give the name of a record."""
    return (kind, msgspec.json.encode(name).decode())


def counted_from(member: Member, now: float) -> Member:
    """Give a member without dates that are ahead of now."""
    begun = member.since if member.gap_since is None else member.gap_since
    return attrs.evolve(
        member,
        since=min(member.since, now),
        gap_since=None if member.gap_since is None else min(member.gap_since, now),
        excused_since=None if member.excused_since is None else min(member.excused_since, now),
        due=None if member.due is None else member.due - max(0.0, begun - now),
    )
