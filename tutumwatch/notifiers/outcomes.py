"""How a delivery can end: a closed list, so that no case is forgotten."""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

import attrs


class Reason(Enum):
    """Why something was not delivered."""

    AUTH = "credential refused"
    RATE_LIMITED = "asked to slow down"
    CLIENT = "request refused"
    SERVER = "server failed"
    TIMEOUT = "no answer in time"
    NETWORK = "no connection"
    TOO_LARGE = "too large"
    UNREADABLE = "cannot be read"


@attrs.frozen
class Delivered:
    """The destination has it. ``remember``: kept for the next notice of the same key."""

    remember: str | None = None


@attrs.frozen
class RetryLater:
    """It may go through later; ``after_seconds`` is how long the destination asked to wait.

    ``surely_refused``: it is proved that the destination did not act on it.
    """

    reason: Reason
    said: str
    after_seconds: float | None = None
    surely_refused: bool = False


@attrs.frozen
class Smaller:
    """The batch as a whole is refused: send its notices one by one."""

    reason: Reason
    said: str


@attrs.frozen
class Park:
    """The destination itself refuses us: its credential or address must be put right.

    Nothing that waits for it is lost; it is asked again every few minutes.
    """

    reason: Reason
    said: str


@attrs.frozen
class GiveUp:
    """This notice can never be delivered: it becomes a dead letter."""

    reason: Reason
    said: str


Outcome: TypeAlias = Delivered | RetryLater | Smaller | Park | GiveUp
