"""What the bench asks of its servers, and what they answer: a JSON object a line, over pipes."""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

import msgspec

MILLION = 1_000_000


class Said(Enum):
    """What an event is to those who watch: nothing, a notice, or a notice after a look-up."""

    NOTHING = "nothing"
    NOTICE = "notice"
    LOOKED_UP = "looked up"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The events of one workload.

    ``resources``: so many resources take turns. Every ``notice_every``-th event is one that is to
    be told, every ``look_up_every``-th one that is to be told after a look-up; 0 is never.
    ``rate`` a second, 0 for as fast as they are read. ``ends_with_notice``: one more event, that
    is to be told, comes last: when it arrives, all others were read.
    """

    count: int
    resources: int = 1_000 * MILLION
    notice_every: int = 0
    look_up_every: int = 0
    rate: float = 0.0
    ends_with_notice: bool = False

    def said(self, number: int) -> Said:
        """Say what an event is; they are numbered from 0."""
        if self.notice_every and (number + 1) % self.notice_every == 0:
            return Said.NOTICE
        if self.look_up_every and (number + 1) % self.look_up_every == 0:
            return Said.LOOKED_UP
        is_last = self.ends_with_notice and number == self.count
        return Said.NOTICE if is_last else Said.NOTHING

    @property
    def sent_count(self) -> int:
        """How many events are sent in all."""
        return self.count + self.ends_with_notice

    @property
    def notice_count(self) -> int:
        """How many of them are to be told."""
        return sum(self.said(number) is not Said.NOTHING for number in range(self.sent_count))


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """How the REST API and the destination answer.

    ``failed`` and ``limited``: the shares of requests that are answered with 500, and with 429
    and ``Retry-After: 1``. ``is_up``: else nobody listens where the destination was.
    """

    destination_seconds: float = 0.0
    rest_seconds: float = 0.0
    failed: float = 0.0
    limited: float = 0.0
    is_up: bool = True


class Prepare(msgspec.Struct, frozen=True, tag=True):
    """Forget what was, and make ready for a plan."""

    plan: Plan
    behaviour: Behaviour


class Behave(msgspec.Struct, frozen=True, tag=True):
    """Answer otherwise from now on."""

    behaviour: Behaviour


class Play(msgspec.Struct, frozen=True, tag=True):
    """Begin to send the events to whoever is connected; answered at once."""


class AwaitClient(msgspec.Struct, frozen=True, tag=True):
    """Wait until somebody is connected to the stream."""

    timeout_seconds: float


class AwaitNotices(msgspec.Struct, frozen=True, tag=True):
    """Wait until so many different notices have arrived.

    Also ends when all events are sent and nothing has arrived for ``quiet_seconds``.
    """

    count: int
    quiet_seconds: float
    timeout_seconds: float


class Ask(msgspec.Struct, frozen=True, tag=True):
    """Only answer."""


Command: TypeAlias = Prepare | Behave | Play | AwaitClient | AwaitNotices | Ask


class Ports(msgspec.Struct, frozen=True):
    """Where the servers listen: their first line."""

    stream: int
    rest: int
    destination: int


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How things are, in answer to every command.

    ``last_at``: when the last new notice arrived, in seconds since the first event went.
    ``requests``: all POSTs, also those that were refused. ``repeated``: how many notices arrived
    that had arrived before. ``unnamed``: how many arrived that say that a look-up failed.
    ``delays``: of each notice, the seconds from event to POST, if the plan has a rate.
    """

    is_connected: bool
    sent: int
    all_sent: bool
    distinct: int
    repeated: int
    unnamed: int
    requests: int
    look_ups: int
    last_at: float
    delays: tuple[float, ...]
