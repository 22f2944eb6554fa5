"""The heads of one notifier's lanes: which may go now, in the order of their commit."""

from __future__ import annotations

import heapq

import attrs

from tutumwatch.outbox.store import Delivery


@attrs.define
class Heads:
    """Heads that may go, and heads whose time has not come."""

    _ready: list[tuple[int, Delivery]] = attrs.field(factory=list)
    _later: list[tuple[float, int, Delivery]] = attrs.field(factory=list)
    # Since when the first of the ready ones could have gone.
    ready_since: float | None = None

    def __len__(self) -> int:
        """Count them all."""
        return len(self._ready) + len(self._later)

    def add(self, delivery: Delivery, now: float, due: float = 0.0) -> None:
        """Add a head, to go at ``due`` or from now on."""
        if due > now:
            heapq.heappush(self._later, (due, delivery.row_id, delivery))
            return
        heapq.heappush(self._ready, (delivery.row_id, delivery))
        if self.ready_since is None:
            self.ready_since = now

    def ready_count(self, now: float) -> int:
        """Count those that may go now."""
        while self._later and self._later[0][0] <= now:
            due, _, delivery = heapq.heappop(self._later)
            self.add(delivery, max(due, 0.0))
        return len(self._ready)

    def next_due(self) -> float | None:
        """Give when the first of those that wait may go."""
        return self._later[0][0] if self._later else None

    def take(self, count: int, now: float) -> list[Delivery]:
        """Take the first ones that may go, in the order of their commit."""
        ready = min(count, self.ready_count(now))
        taken = [heapq.heappop(self._ready)[1] for _ in range(ready)]
        self.ready_since = now if self._ready else None
        return taken

    def hurry(self, now: float) -> None:
        """Let all go now: the destination is back."""
        later, self._later = self._later, []
        for _, _, delivery in later:
            self.add(delivery, now)

    def hurry_first(self, now: float) -> None:
        """Let at least one go now: a probe needs something to send."""
        if not self.ready_count(now) and self._later:
            _, _, delivery = heapq.heappop(self._later)
            self.add(delivery, now)
