"""What has arrived and is not decided yet: a queue that says when to read no further."""

from __future__ import annotations

from collections import deque

import attrs

from tutumwatch.events.inputs import Input, Message

# One commit takes at most so much.
COMMIT_MAX_COUNT = 500
COMMIT_MAX_BYTES = 4 * 1024 * 1024
# Reading stops above these and goes on at half of them.
QUEUE_MAX_COUNT = 1_000
QUEUE_MAX_BYTES = 4 * 1024 * 1024


@attrs.define
class Intake:
    """Inputs in the order of their arrival."""

    _inputs: deque[Input] = attrs.field(factory=deque)
    _size_bytes: int = 0

    def __len__(self) -> int:
        """Count the inputs."""
        return len(self._inputs)

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be read for now."""
        return len(self._inputs) > QUEUE_MAX_COUNT or self._size_bytes > QUEUE_MAX_BYTES

    @property
    def is_half_empty(self) -> bool:
        """Whether reading may go on."""
        return (
            len(self._inputs) <= QUEUE_MAX_COUNT // 2 and self._size_bytes <= QUEUE_MAX_BYTES // 2
        )

    def add(self, item: Input) -> None:
        """Add an input behind the others."""
        self._inputs.append(item)
        self._size_bytes += _size_bytes(item)

    def take(self) -> list[Input]:
        """Take what one commit may hold; at least one, if there is any."""
        taken: list[Input] = []
        taken_bytes = 0
        while self._inputs and len(taken) < COMMIT_MAX_COUNT:
            size_bytes = _size_bytes(self._inputs[0])
            if taken and taken_bytes + size_bytes > COMMIT_MAX_BYTES:
                break
            taken_bytes += size_bytes
            taken.append(self._inputs.popleft())
        self._size_bytes -= taken_bytes
        return taken


def _size_bytes(item: Input) -> int:
    return len(item.payload) if isinstance(item, Message) else 0
