"""Which streams tell how things are now: no timer of a stream acts before it is caught up."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from tutumwatch.inventory.links import CATCH_UP_MAX_SECONDS
from tutumwatch.inventory.timers import Timers


@attrs.define
class Readiness:
    """The streams that are connected, and those whose listing came since, or is overdue."""

    _connected: set[str] = attrs.field(factory=set)
    _ready: set[str] = attrs.field(factory=set)
    _overdue: Timers[str] = attrs.field(factory=Timers)

    def is_ready(self, stream: str) -> bool:
        """Say whether timers of a stream's resources may act."""
        return stream in self._ready

    def is_connected(self, stream: str) -> bool:
        """Say whether a stream tells what happens."""
        return stream in self._connected

    def connected(self, stream: str, at: float) -> None:
        """Take in that a stream came: what it missed is not known yet."""
        self._connected.add(stream)
        self._ready.discard(stream)
        self._overdue.set(stream, at + CATCH_UP_MAX_SECONDS)

    def lost(self, stream: str) -> None:
        """Take in that a stream went; what is known of its resources may be looked up still."""
        self._connected.discard(stream)
        self._overdue.cancel(stream)

    def listed(self, stream: str) -> bool:
        """Take in that a stream's platform told all that it has; say whether that is news."""
        if stream not in self._connected or stream in self._ready:
            return False
        self._overdue.cancel(stream)
        self._ready.add(stream)
        return True

    def tick(self, now: float) -> Iterator[str]:
        """Give the streams whose listing is not waited for any longer."""
        for stream in self._overdue.take_due(now):
            self._ready.add(stream)
            yield stream

    def next_due(self) -> float | None:
        """Give when the first stream is not waited for any longer."""
        return self._overdue.next_due()
