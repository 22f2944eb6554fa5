"""The heads of one notifier's lanes: which may go now, in the order of their commit."""

from __future__ import annotations

import heapq
from collections.abc import Set as AbstractSet
from typing import TypeAlias

import attrs

from tutumwatch.outbox.store import Head

_Order: TypeAlias = tuple[bool, int, int]
"""What was interrupted goes first, by requests; then in the order of commit."""

# What was a request when we last ended may have arrived: it goes again as one. After so many
# failures each notice goes alone: one that is bad must not hold up the others.
TOGETHER_MAX_COUNT = 3


@attrs.define
class Heads:
    """Heads that may go, heads whose time has not come, and those that are out."""

    _ready: list[tuple[_Order, Head]] = attrs.field(factory=list)
    _later: list[tuple[float, _Order, Head]] = attrs.field(factory=list)
    # All that were added and not removed, so that none is taken on twice.
    _row_ids: set[int] = attrs.field(factory=set)
    # The request that each one was part of that was interrupted, and how often it may still fail
    # before it goes alone.
    _together: dict[int, tuple[int, int]] = attrs.field(factory=dict)
    # Since when the first of the ready ones could have gone.
    ready_since: float | None = None

    def __len__(self) -> int:
        """Count those that are to go, now or later."""
        return len(self._ready) + len(self._later)

    @property
    def known_count(self) -> int:
        """Count those that are to go and those that are out."""
        return len(self._row_ids)

    def add(self, head: Head, now: float) -> None:
        """Add a head, to go from now on; one that is known is left as it is."""
        if head.row_id not in self._row_ids:
            self._row_ids.add(head.row_id)
            if head.interrupted:
                self._together[head.row_id] = (head.request, TOGETHER_MAX_COUNT)
            self._make_ready(head, now)

    def put_back(self, head: Head, now: float, due: float) -> None:
        """Take back a head that was out, to go again when its time comes."""
        self._row_ids.add(head.row_id)
        default = (head.request, TOGETHER_MAX_COUNT if head.interrupted else 0)
        request, left = self._together.pop(head.row_id, default)
        if left:
            self._together[head.row_id] = (request, left - 1)
        head = attrs.evolve(head, interrupted=left > 0, request=request)
        if due > now:
            heapq.heappush(self._later, (due, _order(head), head))
        else:
            self._make_ready(head, now)

    def remove(self, row_id: int) -> None:
        """Forget a head that was out: it has ended."""
        self._row_ids.discard(row_id)
        self._together.pop(row_id, None)

    def _make_ready(self, head: Head, since: float) -> None:
        heapq.heappush(self._ready, (_order(head), head))
        if self.ready_since is None:
            self.ready_since = since

    def ready_count(self, now: float) -> int:
        """Count those that may go now."""
        while self._later and self._later[0][0] <= now:
            due, _, head = heapq.heappop(self._later)
            self._make_ready(head, due)
            self._join(head, due)
        return len(self._ready)

    def interrupted_count(self, singly: AbstractSet[int] = frozenset()) -> int:
        """Count those that may go now and were one request that was interrupted.

        :param singly: those that go alone, as they were found fault with together.
        """
        if not self._ready or not self._ready[0][1].interrupted:
            return 0
        first = self._ready[0][1]
        together = [head.row_id for _, head in self._ready if _were_together(head, first)]
        return len(together) if singly.isdisjoint(together) else 0

    def _join(self, first: Head, now: float) -> None:
        """Let what was one request go together with the first of it that goes again."""
        if not first.interrupted:
            return
        others = [entry for entry in self._later if _were_together(entry[2], first)]
        self._later = [entry for entry in self._later if not _were_together(entry[2], first)]
        heapq.heapify(self._later)
        for _, _, other in others:
            self._make_ready(other, now)

    def next_due(self) -> float | None:
        """Give when the first of those that wait may go."""
        return self._later[0][0] if self._later else None

    def take(self, count: int, now: float) -> list[Head]:
        """Let the first ones out that may go."""
        ready = min(count, self.ready_count(now))
        taken = [heapq.heappop(self._ready)[1] for _ in range(ready)]
        self.ready_since = now if self._ready else None
        return taken

    def hurry(self, now: float) -> None:
        """Let all go now: the destination is back."""
        later, self._later = self._later, []
        for _, _, head in later:
            self._make_ready(head, now)

    def hurry_first(self, now: float) -> None:
        """Let at least one go now: a probe needs something to send."""
        if not self.ready_count(now) and self._later:
            _, _, head = heapq.heappop(self._later)
            self._make_ready(head, now)
            self._join(head, now)


def _were_together(head: Head, other: Head) -> bool:
    return head.interrupted and other.interrupted and head.request == other.request


def _order(head: Head) -> _Order:
    return (not head.interrupted, head.request if head.interrupted else 0, head.row_id)
