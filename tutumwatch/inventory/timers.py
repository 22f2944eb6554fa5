"""Times that somebody waits for, by name; the earliest is asked for, the due ones are taken."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

import attrs

Name = TypeVar("Name", bound=Hashable)

# A time that was changed or cancelled stays in the heap until it comes to the top, or until those
# are the most and more than this many.
_STALE_MAX_COUNT = 100


@attrs.define
class Timers(Generic[Name]):
    """Named due times, in seconds on the watch's time."""

    # The number tells a time that was set again from the one before, keeps the heap from comparing
    # names, and equal times in the order they were set.
    _due: dict[Name, tuple[float, int]] = attrs.field(factory=dict)
    _heap: list[tuple[float, int, Name]] = attrs.field(factory=list)
    _set_count: int = 0

    def set(self, name: Name, due: float) -> None:
        """Wait for a time; a name has one time, the last that was set."""
        known = self._due.get(name)
        if known is not None and known[0] == due:
            return
        self._set_count += 1
        self._due[name] = (due, self._set_count)
        heapq.heappush(self._heap, (due, self._set_count, name))
        if len(self._heap) > 2 * len(self._due) + _STALE_MAX_COUNT:
            self._heap = [entry for entry in self._heap if self._is_waited_for(entry)]
            heapq.heapify(self._heap)

    def cancel(self, name: Name) -> None:
        """Wait no longer."""
        self._due.pop(name, None)

    def next_due(self) -> float | None:
        """Give the earliest time, or None."""
        while self._heap and not self._is_waited_for(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: float) -> Iterator[Name]:
        """Take the names whose time has come, earliest first."""
        while (due := self.next_due()) is not None and due <= now:
            name = heapq.heappop(self._heap)[2]
            del self._due[name]
            yield name

    def _is_waited_for(self, entry: tuple[float, int, Name]) -> bool:
        due, number, name = entry
        return self._due.get(name) == (due, number)
