"""A virtual time, and what is to happen at which point of it."""

from __future__ import annotations

import heapq
from collections.abc import Callable

import attrs
from twisted.internet.task import Clock

BEGIN = 1_767_225_600.0  # 2026-01-01T00:00:00Z


@attrs.define(eq=False, repr=False)
class Timeline:
    """Seconds since the story began, and calls that come at their time, in the order of asking."""

    clock: Clock = attrs.field(factory=Clock)
    _calls: list[tuple[float, int, Callable[[], None]]] = attrs.field(factory=list)
    _count: int = 0

    @property
    def seconds(self) -> float:
        """Say how far the story is."""
        return self.clock.seconds()

    @property
    def utc(self) -> float:
        """Give the true time, in seconds since 1970."""
        return BEGIN + self.seconds

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Make a call some time from now."""
        self._count += 1
        heapq.heappush(self._calls, (self.seconds + seconds, self._count, call))

    def next_at(self) -> float | None:
        """Say when the next call comes."""
        return self._calls[0][0] if self._calls else None

    def make_next(self) -> None:
        """Go on to the next call and make it."""
        at, _, call = heapq.heappop(self._calls)
        self.go_to(at)
        call()

    def go_to(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(max(0.0, seconds - self.seconds))
