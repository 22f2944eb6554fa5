"""What a store keeps, written and read as the real one does; committed at once, never broken."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from tutumwatch.events.inputs import Input, Message
from tutumwatch.inventory.resource import Key, Resource
from tutumwatch.outbox.sqlite.codec import (
    decode_page,
    decode_resource,
    decode_waiting,
    encode_page,
    encode_resource,
    encode_waiting,
)
from tutumwatch.outbox.store import Restored
from tutumwatch.rules.decisions import Decisions, RecordName, Settled, WaitingRow

EARLIER_KEPT_COUNT = 10_000


@attrs.define(eq=False, repr=False)
class Kept:
    """An empty store, and what is committed to it; read by the next life."""

    alive_at: float | None = None
    last_number: int = 0
    checkpointed_at: float = 0.0
    _resources: dict[Key, bytes] = attrs.field(factory=dict)
    _records: dict[RecordName, bytes] = attrs.field(factory=dict)
    _waiting: dict[str, bytes] = attrs.field(factory=dict)
    _earlier: list[Input] = attrs.field(factory=list)
    _later: list[Input] = attrs.field(factory=list)

    def commit(self, decisions: Decisions, at: float) -> None:
        """Keep what an input came to."""
        self.alive_at = at
        self._later += decisions.inputs
        for item in decisions.inputs:
            if isinstance(item, Message):
                self.last_number = item.number
        for owed in decisions.owed:
            if isinstance(owed, WaitingRow):
                self._waiting[owed.id] = encode_waiting(owed)
            elif isinstance(owed, Settled):
                self._waiting.pop(owed.row_id, None)
        for name, record in decisions.records.items():
            if record is None:
                self._records.pop(name, None)
            else:
                self._records[name] = record

    def checkpoint(self, changed: Mapping[Key, Resource | None], at: float) -> None:
        """Keep the resources that changed."""
        self.alive_at = self.checkpointed_at = at
        for key, resource in changed.items():
            if resource is None:
                self._resources.pop(key, None)
            else:
                self._resources[key] = encode_resource(resource)
        self._earlier = [*self._earlier, *self._later][-EARLIER_KEPT_COUNT:]
        self._later = []

    def restored(self) -> Restored:
        """Read all of it."""
        return Restored(
            alive_at=self.alive_at,
            last_number=self.last_number,
            resources=[decode_resource(sealed) for sealed in self._resources.values()],
            earlier=decode_page(encode_page(self._earlier)),
            later=decode_page(encode_page(self._later)),
            waiting=[decode_waiting(sealed) for sealed in self._waiting.values()],
            records=dict(self._records),
        )
