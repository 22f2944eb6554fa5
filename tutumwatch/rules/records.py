"""What rules remember over a restart: each record is written when it changes, and only then."""

from __future__ import annotations

import attrs

from tutumwatch.rules.decisions import RecordName


@attrs.define
class Records:
    """The records that changed since they were taken last; None is forgotten."""

    _unsaved: dict[RecordName, bytes | None] = attrs.field(factory=dict)

    def __bool__(self) -> bool:
        """Whether anything changed."""
        return bool(self._unsaved)

    def put(self, name: RecordName, record: bytes | None) -> None:
        """Keep a record from now on, or None: forget it."""
        self._unsaved[name] = record

    def take(self) -> dict[RecordName, bytes | None]:
        """Give what changed since this was called last."""
        unsaved, self._unsaved = self._unsaved, {}
        return unsaved
