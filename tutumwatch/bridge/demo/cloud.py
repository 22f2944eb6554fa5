"""The simulated cloud as the bridge sees it: a reducer that is fed at a rate."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import chain

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from tutumwatch.bridge.announcement import Announcement
from tutumwatch.bridge.demo.moments import Moment
from tutumwatch.bridge.demo.story import Story
from tutumwatch.bridge.model import make_cluster
from tutumwatch.bridge.reducer import Reducer

RATE_MAX = 10_000.0
# Above this rate several events go out in one turn of the clock. Never more in one than a socket
# takes between two turns, 64 KiB: else a client that reads all day long falls behind.
TURNS_PER_SECOND = 1000.0
# After a hold-up it catches up so much faster, and leaves out what it is later than a second with.
CATCH_UP_FACTOR = 4
BEHIND_MAX_SECONDS = 1.0
HISTORY_SECONDS = 86_400.0


class DemoCloud(Service):
    """``cloud``: lets the story go on, so many events a second.

    :param announce: told of what there is to send, in order.
    """

    name = "cloud"
    _log = Logger()

    def __init__(
        self,
        seed: int,
        rate: float,
        announce: Callable[[Sequence[Announcement]], None],
        clock: IReactorTime,
        utc_now: Callable[[], float],
    ) -> None:
        """Build the cloud and its past; ``rate`` is in events a second, 0 stands still."""
        self._rate = rate
        self._announce = announce
        self._utc_now = utc_now
        self._told_count = 0
        self._story = Story(random.Random(seed), self._seconds)  # noqa: S311 - a story, not a secret
        begin = utc_now() - HISTORY_SECONDS
        self.reducer = Reducer(f"demo-{seed}", make_cluster(f"demo-{seed}", "demo", begin))
        self._live_through_the_past(begin)
        self._moments = chain.from_iterable(self._story.life())
        self._turn_seconds = 1.0 / min(rate, TURNS_PER_SECOND) if rate else 0.0
        self._owed_count = 0.0
        self._loop = LoopingCall.withCount(self._turn)
        self._loop.clock = clock

    def _live_through_the_past(self, begin: float) -> None:
        moments = list(self._story.beginning())
        for number, moment in enumerate(moments):
            self.reducer.apply(moment.happenings, begin + number * HISTORY_SECONDS / len(moments))

    def startService(self) -> None:
        """Let it live."""
        super().startService()
        if self._rate:
            self._loop.start(self._turn_seconds, now=False).addErrback(
                lambda failure: self._log.failure("the simulated cloud stands still", failure)
            )

    def stopService(self) -> None:
        """Let it stand still."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()

    def _turn(self, count: int) -> None:
        """Tell what is owed. A moment may tell more than one event: the next turns then wait."""
        a_turn = self._turn_seconds * self._rate
        most = max(a_turn, BEHIND_MAX_SECONDS * self._rate)
        self._owed_count = min(self._owed_count + count * a_turn, most)
        least = self._owed_count - CATCH_UP_FACTOR * a_turn
        while self._owed_count >= 1 and self._owed_count > least:
            self._owed_count -= self._tell_a_moment(next(self._moments))

    def _tell_a_moment(self, moment: Moment) -> int:
        announcements = self.reducer.apply(moment.happenings, self._utc_now())
        self._told_count += len(announcements)
        self._announce(announcements)
        return len(announcements)

    def _seconds(self) -> float:
        """Say how much time has passed: not on a clock, for a seed tells the same story again."""
        return self._told_count / self._rate if self._rate else 0.0

    def play_round(self) -> None:
        """Redeploy one service, wholly and at once."""
        for moment in self._story.round():
            self._tell_a_moment(moment)
