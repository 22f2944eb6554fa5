"""What a notifier is: two pure functions, and what its kind declares about it.

``render`` makes a request of some notices, ``judge`` reads its answer. Transport, deadline, retry,
order, logs and redaction are not a notifier's business; ``docs/adding-a-notifier.md`` walks
through one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import attrs
import msgspec
from twisted.internet.defer import Deferred

from tutumwatch.http import Request, Response
from tutumwatch.notifiers.outcomes import Outcome
from tutumwatch.rules.notice import Notice
from tutumwatch.settings import Duration, Settings


class Notifier(Protocol):
    """Speaks a destination's HTTP API; a frozen object made from its settings."""

    def render(self, batch: Sequence[Notice], memory: Mapping[str, str]) -> Request:
        """Make the request that says these notices, in order.

        :param memory: what ``Delivered.remember`` kept, by the notice's key.
        """

    def judge(self, batch: Sequence[Notice], response: Response) -> Sequence[Outcome]:
        """Read the answer: one outcome for each notice of the batch, in its order."""


@runtime_checkable
class Sender(Protocol):
    """A destination that is not reached over HTTP."""

    def send(self, batch: Sequence[Notice]) -> Deferred[Sequence[Outcome]]:
        """Say these notices; one outcome for each, in its order."""


RetryAfterScope = Literal["destination", "notice"]


class NotifierSettings(Settings, frozen=True, kw_only=True):
    """What every ``[notifiers.NAME]`` table may hold, whatever its kind."""

    kind: str
    optional: bool = False
    ca_file: str | None = None
    batch: int | None = None
    rate: float | None = None
    burst: int | None = None
    concurrency: int | None = None
    retry_after: RetryAfterScope | None = None
    give_up_after: Duration | None = None
    stale_after: Duration | None = None


@attrs.frozen
class Pace:
    """How fast and in what portions a destination is sent to.

    ``batch_above_count``: notices share a request only while more than this many wait.
    ``rate_per_second`` 0 is without limit. ``give_up_after_seconds`` counts only time in which
    the destination is up. Messages that are older than ``stale_after_seconds`` are told in one.
    """

    batch_count: int = 1
    batch_above_count: int = 0
    rate_per_second: float = 0.0
    burst_count: int = 1
    concurrency_count: int = 1
    retry_after: RetryAfterScope = "destination"
    give_up_after_seconds: float = 24 * 3600.0
    stale_after_seconds: float = 3600.0

    def with_settings(self, settings: NotifierSettings) -> Pace:
        """Give the pace with what the configuration sets otherwise.

        :raises ValueError: naming the key, for a number that makes no sense.
        """
        for key in ("batch", "burst", "concurrency"):
            number = getattr(settings, key)
            if number is not None and number < 1:
                message = f"{key}: must be at least 1"
                raise ValueError(message)
        if settings.rate is not None and settings.rate < 0:
            message = "rate: must be 0 (no limit) or more"
            raise ValueError(message)
        given: dict[str, Any] = {
            "batch_count": settings.batch,
            "rate_per_second": settings.rate,
            "burst_count": settings.burst,
            "concurrency_count": settings.concurrency,
            "retry_after": settings.retry_after,
        }
        for key in ("give_up_after", "stale_after"):
            duration = getattr(settings, key)
            if duration is not None:
                given[f"{key}_seconds"] = duration.seconds
        return attrs.evolve(self, **{k: v for k, v in given.items() if v is not None})


@attrs.frozen
class NotifierKind:
    """A kind of notifier, as ``kind = "NAME"`` in the configuration names it.

    ``make`` builds it from its settings and raises ValueError, naming the key, for what no type
    can express. ``escape`` makes a value harmless in a text of this kind. ``drops_orphans``: a
    resolve of what is not open has no effect there.
    """

    name: str
    settings: type[NotifierSettings]
    make: Callable[[Any], Notifier | Sender]
    escape: Callable[[str], str]
    pace: Pace
    drops_orphans: bool = False


def for_all(batch: Sequence[Notice], outcome: Outcome) -> Sequence[Outcome]:
    """Give every notice of a batch the same outcome."""
    return [outcome] * len(batch)


def encode_json(body: object) -> bytes:
    """Write a JSON body; line separators and the like survive every destination's parser."""
    return msgspec.json.encode(body)
