"""Everything that can change what we owe is an Input; one queue carries them to one decider.

Every input carries ``at``: seconds since 1970 on the watch's own time, which runs on the monotonic
clock and was set by the wall clock once, at start. A clock that jumps moves no timer.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeAlias

import attrs


@attrs.frozen
class Message:
    """Bytes from a stream, in order of arrival; ``number`` counts all messages of this process."""

    stream: str
    number: int
    payload: bytes = attrs.field(repr=False)
    at: float


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


@attrs.frozen
class Link:
    """A connection of ours changed its state: a stream's, or a destination's.

    ``state`` of a stream: Connected, Disconnected, Unauthorized. Of a notifier: Delivering,
    Failing (its circuit is open), Refused (its credential or address is not accepted).
    """

    type: LinkType
    name: str
    state: str
    reason: str
    at: float


@attrs.frozen
class Found:
    """The platform gave the object: its JSON fields."""

    object: Mapping[str, Any] = attrs.field(repr=False)


@attrs.frozen
class Missing:
    """The platform says that there is no such object (404)."""


@attrs.frozen
class Unanswered:
    """The platform gave no usable answer, and why."""

    reason: str


Answer: TypeAlias = Found | Missing | Unanswered


@attrs.frozen
class Looked:
    """A look-up ended. ``asked`` is the number of the last message that had arrived when it began.

    What arrived later than ``asked`` knows better than this answer.
    """

    stream: str
    resource_uri: str
    asked: int
    answer: Answer
    at: float


@attrs.frozen
class Listed:
    """A stream's platform told everything that it has, after a connect.

    ``rows`` are as if each had been looked up; what is known and is not in any list was asked for
    singly.
    """

    stream: str
    rows: tuple[Looked, ...] = attrs.field(repr=False)
    at: float


@attrs.frozen
class Tick:
    """A time came that somebody waited for."""

    at: float


Input: TypeAlias = Message | Link | Looked | Listed | Tick
