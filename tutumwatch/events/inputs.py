"""Everything that can change what we owe is an Input; one queue carries them to one decider.

Every input carries ``at``: seconds since 1970 on the watch's own time, which runs on the monotonic
clock and was set by the wall clock once, at start. A clock that jumps moves no timer.

Inputs are kept in the journal as they are here: a field may be added at the end, with a default,
and none may be taken away, renamed or moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeAlias

import msgspec


class Kept(msgspec.Struct, frozen=True, array_like=True, tag=True, tag_field="input"):
    """What is kept in the journal: an array that begins with the name of its class."""


class Message(Kept, frozen=True):
    """Bytes from a stream, in order of arrival; ``number`` counts all messages of this process."""

    stream: str
    number: int
    payload: bytes
    at: float

    def __repr__(self) -> str:
        """Say which it is; what is in it may be long."""
        return f"Message({self.stream!r}, {self.number})"


class LinkType(Enum):
    """The two kinds of connection that are resources themselves."""

    STREAM = "stream"
    NOTIFIER = "notifier"


# How long a look-up may take, and what waits for one waits.
LOOK_UP_DEADLINE_SECONDS = 10.0
# The states of a stream.
CONNECTED = "Connected"
DISCONNECTED = "Disconnected"
UNAUTHORIZED = "Unauthorized"
LINK_TYPES = frozenset(type_.value for type_ in LinkType)


class Link(Kept, frozen=True):
    """A connection of ours changed its state: a stream's, or a destination's.

    ``state`` of a stream: Connected, Disconnected, Unauthorized. Of a notifier: Delivering,
    Failing (its circuit is open), Refused (its credential or address is not accepted).
    """

    type: LinkType
    name: str
    state: str
    reason: str
    at: float


class Found(Kept, frozen=True):
    """The platform gave the object: its JSON fields."""

    object: Mapping[str, Any]


class Missing(Kept, frozen=True):
    """The platform says that there is no such object (404)."""


class Unanswered(Kept, frozen=True):
    """The platform gave no usable answer, and why."""

    reason: str


Answer: TypeAlias = Found | Missing | Unanswered


class Looked(Kept, frozen=True):
    """A look-up ended. ``asked`` is the number of the last message that had arrived when it began.

    What arrived later than ``asked`` knows better than this answer.
    """

    stream: str
    resource_uri: str
    asked: int
    answer: Answer
    at: float


class Listed(Kept, frozen=True):
    """A stream's platform told everything that it has, after a connect.

    ``rows`` are as if each had been looked up; what is known and is not in any list was asked for
    singly.
    """

    stream: str
    rows: tuple[Looked, ...]
    at: float


class Tick(Kept, frozen=True):
    """A time came that somebody waited for."""

    at: float


class Started(Kept, frozen=True):
    """We begin to run; the first input of every run.

    ``run_id``: a part of the ids of what has none of its own. ``alive_at``: when we last ran, None
    if we never did; what happened since then was not seen.
    """

    run_id: str
    alive_at: float | None
    at: float


class OwedRow(msgspec.Struct, frozen=True, array_like=True):
    """A notice in the outbox that a person names: its row, and what it says of which incident.

    ``form``: "message", "trigger" or "resolve". ``state``: "waiting" (for a look-up), "pending",
    "sending" or "dead".
    """

    row_id: int
    form: str
    rule: str
    key: str
    state: str = "dead"


class Retry(Kept, frozen=True):
    """A person wants dead letters to be sent again."""

    rows: tuple[OwedRow, ...]
    at: float


class Drop(Kept, frozen=True):
    """A person wants notices not to be sent any more, dead ones and such as are owed."""

    row_ids: tuple[int, ...]
    at: float


class Silence(Kept, frozen=True):
    """A person wants nothing to be said for a while of what matches.

    ``match``: tables as a rule's ``match``, of which one must match; a ``rule`` among the fields is
    the name of what would speak. ``starts`` and ``ends`` are on the watch's time.
    """

    id: str
    match: Any
    starts: float
    ends: float
    comment: str
    by: str
    at: float


class Unsilence(Kept, frozen=True):
    """A person ends a silence, or one that has not begun."""

    id: str
    at: float


class Reloaded(Kept, frozen=True):
    """Other rules count from now on; ``id`` names the configuration that they are from."""

    id: str
    at: float


class Resolve(Kept, frozen=True):
    """A person closes the incidents that are open under a key."""

    key: str
    at: float


Input: TypeAlias = (
    Started
    | Message
    | Link
    | Looked
    | Listed
    | Tick
    | Retry
    | Drop
    | Silence
    | Unsilence
    | Reloaded
    | Resolve
)
