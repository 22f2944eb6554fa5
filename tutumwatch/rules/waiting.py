"""What cannot be said before a look-up: rows that wait, and what ends their waiting."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from tutumwatch.events.inputs import Looked, Missing, Unanswered
from tutumwatch.inventory.timers import Timers
from tutumwatch.rules.decisions import Need, WaitingRow

WAITING_MAX_COUNT = 20_000


@attrs.define
class Waiting:
    """All rows that wait, oldest first, found by what they need."""

    _rows: dict[str, WaitingRow] = attrs.field(factory=dict)
    _by_need: dict[tuple[str, str], dict[str, None]] = attrs.field(factory=dict)
    _timers: Timers[str] = attrs.field(factory=Timers)

    def __len__(self) -> int:
        """Count the rows that wait."""
        return len(self._rows)

    @property
    def is_full(self) -> bool:
        """Whether so many wait that a further one must be settled at once."""
        return len(self._rows) >= WAITING_MAX_COUNT

    def add(self, row: WaitingRow) -> None:
        """Let a row wait, or wait on with other needs."""
        self.remove(row)
        self._rows[row.id] = row
        self._timers.set(row.id, row.due)
        for need in row.needs:
            self._by_need.setdefault((need.stream, need.resource_uri), {})[row.id] = None

    def __iter__(self) -> Iterator[WaitingRow]:
        """Give the rows that wait, oldest first."""
        return iter(list(self._rows.values()))

    def remove(self, row: WaitingRow) -> None:
        """Forget a row: it is settled."""
        self._timers.cancel(row.id)
        known = self._rows.pop(row.id, None)
        needs = known.needs if known is not None else ()
        # A set: a row may need a resource twice, as it is known and fresh.
        for key in {(need.stream, need.resource_uri) for need in needs}:
            rows = self._by_need[key]
            del rows[row.id]
            if not rows:
                del self._by_need[key]

    def answer(self, looked: Looked) -> list[WaitingRow]:
        """Give the rows that a look-up's end lets go on: all that they needed has been answered.

        An answer that was asked for before the event came is none to a need that wants it fresh.
        """
        ids = list(self._by_need.get((looked.stream, looked.resource_uri), ()))
        ready = []
        for row in (self._rows[row_id] for row_id in ids):
            answered = self._after(row, looked)
            if answered is row:
                continue
            self.add(answered)
            if not answered.needs:
                ready.append(answered)
        return ready

    def _after(self, row: WaitingRow, looked: Looked) -> WaitingRow:
        uri = looked.resource_uri
        ended = {
            need
            for need in row.needs
            if need == Need(looked.stream, uri, need.fresh)
            and not (need.fresh and looked.asked < row.number)
        }
        if not ended:
            return row
        return attrs.evolve(
            row,
            needs=row.needs - ended,
            answered=row.answered | {uri},
            failed=row.failed | ({uri} if isinstance(looked.answer, Unanswered) else set()),
            missing=row.missing | ({uri} if isinstance(looked.answer, Missing) else set()),
        )

    def due(self, now: float) -> Iterator[WaitingRow]:
        """Give the rows whose time is up; what they still needed counts as unanswered."""
        for row_id in self._timers.take_due(now):
            row = self._rows[row_id]
            yield row.without(row.needs)

    def next_due(self) -> float | None:
        """Give the time at which the first row's time is up."""
        return self._timers.next_due()
