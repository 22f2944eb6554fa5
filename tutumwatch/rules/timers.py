"""Times that somebody waits for, by name; the earliest is asked for, the due ones are taken."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

import attrs

Name = TypeVar("Name", bound=Hashable)


@attrs.define
class Timers(Generic[Name]):
    """Named due times, in seconds on the watch's time."""

    _due: dict[Name, float] = attrs.field(factory=dict)
    # The number keeps the heap from comparing names, and equal times in the order they were set.
    _heap: list[tuple[float, int, Name]] = attrs.field(factory=list)
    _set_count: int = 0

    def __len__(self) -> int:
        """Count the times that are waited for."""
        return len(self._due)

    def set(self, name: Name, due: float) -> None:
        """Wait for a time; a name has one time, the last that was set."""
        if self._due.get(name) != due:
            self._due[name] = due
            self._set_count += 1
            heapq.heappush(self._heap, (due, self._set_count, name))

    def cancel(self, name: Name) -> None:
        """Wait no longer."""
        self._due.pop(name, None)

    def next_due(self) -> float | None:
        """Give the earliest time, or None."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: float) -> Iterator[Name]:
        """Take the names whose time has come, earliest first."""
        while (due := self.next_due()) is not None and due <= now:
            name = heapq.heappop(self._heap)[2]
            del self._due[name]
            yield name
