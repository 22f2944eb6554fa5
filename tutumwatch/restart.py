"""Goes on after a restart: what the store kept becomes what the decider knows."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tutumwatch.events.inputs import LinkType
from tutumwatch.outbox.store import Restored
from tutumwatch.rules.decider import Decider

_log = Logger()

# A wall clock that went back by more than this was wrong before, and is right now.
CLOCK_BACK_MAX_SECONDS = 24 * 3600.0
# A clock that is corrected a little is no news.
CLOCK_BACK_SAID_SECONDS = 60.0


@attrs.define
class WatchTime:
    """The time that everything is dated and timed by; events/inputs.py says why there is one.

    It is set by the wall clock at start and then runs on the monotonic clock. It never goes back
    behind what was committed, unless that was dated more than a day ahead.
    """

    _clock: IReactorTime
    _offset: float = 0.0

    @classmethod
    def begin(
        cls, clock: IReactorTime, utc_now: Callable[[], float], alive_at: float | None
    ) -> WatchTime:
        """Set it.

        :param alive_at: when we last ran.
        """
        wall = utc_now()
        back = 0.0 if alive_at is None else alive_at - wall
        if back > CLOCK_BACK_SAID_SECONDS:
            _log.warn(
                "the clock is {seconds:.0f} s behind what was written when we last ran; {what}",
                seconds=back,
                what="the time goes on from there"
                if back <= CLOCK_BACK_MAX_SECONDS
                else "it is taken to be right now",
            )
        start = wall + back if 0 < back <= CLOCK_BACK_MAX_SECONDS else wall
        return cls(clock, start - clock.seconds())

    def now(self) -> float:
        """Give the time, in seconds since 1970."""
        return self._offset + self._clock.seconds()


def restore(
    decider: Decider,
    restored: Restored,
    streams: AbstractSet[str],
    notifiers: AbstractSet[str],
    now: float,
) -> None:
    """Let a decider know what it knew when it last ran.

    :param streams: the names of those that are watched; what others told is forgotten.
    :param notifiers: the names of those that are on.
    """
    for item in restored.earlier:
        decider.remember_uuids(item)
    inventory = decider.inventory
    inventory.restore(restored.resources)
    kept = (restored.records, restored.waiting, restored.last_number)
    unreadable = decider.restore(*kept, now)
    if unreadable:
        _log.error(
            "{count} records of incidents cannot be read and are forgotten; what was open may "
            "have to be resolved by hand",
            count=unreadable,
        )
    for item in restored.later:
        decider.replay(item)
    decider.counts.clear()
    decider.last_rejected = None
    inventory.forget_others(streams, notifiers)


def blind_since(decider: Decider, stream: str, alive_at: float | None) -> float | None:
    """Give since when nothing was seen of a stream: since we last ran, or for longer."""
    known = decider.inventory.get((stream, LinkType.STREAM.value, stream))
    if known is None:
        return None
    since: float | None = (known.fields or {}).get("blind_since", alive_at)
    return since
