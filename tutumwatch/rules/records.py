"""What rules remember over a restart: each record is written when it changes, and only then."""

from __future__ import annotations

from tutumwatch.rules.decisions import RecordName


# A dictionary, because whether it is empty is asked after every input.
class Records(dict[RecordName, bytes | None]):
    """The records that changed since they were taken last; None is forgotten."""

    def put(self, name: RecordName, record: bytes | None) -> None:
        """Keep a record from now on, or None: forget it."""
        self[name] = record

    def take(self) -> dict[RecordName, bytes | None]:
        """Give what changed since this was called last."""
        unsaved = dict(self)
        self.clear()
        return unsaved
