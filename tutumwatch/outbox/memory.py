"""The store in memory: what it holds is gone with the process."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TypeAlias, assert_never

import attrs

from tutumwatch.notifiers.outcomes import Delivered, GiveUp, Outcome, Park, RetryLater, Smaller
from tutumwatch.outbox.store import DeadLetter, Delivery, Restored
from tutumwatch.rules.decisions import Decisions, Settled, WaitingRow
from tutumwatch.rules.notice import Form, Notice

DEAD_LETTERS_KEPT_COUNT = 1_000

Lane: TypeAlias = tuple[str, str]


class _Status(Enum):
    WAITING = "waiting for a look-up"
    PENDING = "to be sent"
    SENDING = "being sent"


@attrs.define(eq=False)
class _Row:
    id: int
    lane: Lane
    status: _Status
    notice: Notice | None = None
    attempts: int = 0
    # Whether the destination may have acted on it: set when it is sent, cleared only by proof.
    maybe_sent: bool = False
    given_out: bool = False


@attrs.define
class MemoryStore:
    """A whole implementation of :class:`tutumwatch.outbox.store.Store`, for as long as we run.

    It keeps no journal, and what it owes is bounded only by the number of notices.
    """

    withdrawn_count: int = 0
    delivered_count: int = 0
    dead_count: int = 0
    dead_letters: deque[DeadLetter] = attrs.field(
        factory=lambda: deque(maxlen=DEAD_LETTERS_KEPT_COUNT)
    )
    _lanes: dict[Lane, deque[_Row]] = attrs.field(factory=dict)
    _rows: dict[int, _Row] = attrs.field(factory=dict)
    _waiting: dict[str, list[_Row]] = attrs.field(factory=dict)
    _memory: dict[Lane, str] = attrs.field(factory=dict)
    _owed: Counter[str] = attrs.field(factory=Counter)
    _last_id: int = 0

    async def open(self) -> Restored:
        """Begin with nothing."""
        return Restored(heads=(), knows_the_past=False)

    async def commit(self, decisions: Decisions) -> Sequence[Delivery]:
        """Take in notices, places for what waits, and the ends of waiting, in their order."""
        touched: dict[Lane, None] = {}
        for owed in decisions.owed:
            match owed:
                case Notice():
                    self._append(owed.lane, _Status.PENDING, owed)
                    touched[owed.lane] = None
                case WaitingRow():
                    self._waiting[owed.id] = [
                        self._append((notifier, owed.key), _Status.WAITING)
                        for notifier in owed.notifiers
                    ]
                case Settled():
                    touched.update(dict.fromkeys(self._settle(owed)))
                case _:
                    assert_never(owed)
        return self._new_heads(touched)

    async def begin(self, row_ids: Sequence[int]) -> Sequence[Delivery]:
        """Mark heads as being sent; those that were withdrawn meanwhile are left out."""
        rows = [self._rows[row_id] for row_id in row_ids if row_id in self._rows]
        for row in rows:
            row.status = _Status.SENDING
        return [self._delivery(row) for row in rows]

    async def finish(self, outcomes: Mapping[int, Outcome]) -> Sequence[Delivery]:
        """Take in how sending ended."""
        lanes = []
        for row_id, outcome in outcomes.items():
            row = self._rows[row_id]
            row.attempts += 1
            lanes.append(row.lane)
            match outcome:
                case Delivered(remember):
                    self.delivered_count += 1
                    if remember is not None:
                        self._memory[row.lane] = remember
                    self._remove(row)
                case GiveUp():
                    self.dead_count += 1
                    self.dead_letters.append(
                        DeadLetter(row.id, _said(row), row.attempts, outcome.said)
                    )
                    self._remove(row)
                case RetryLater():
                    row.maybe_sent = row.maybe_sent or not outcome.surely_refused
                    self._put_back(row)
                case Smaller() | Park():
                    self._put_back(row)
                case _:
                    assert_never(outcome)
        return self._new_heads(lanes)

    def owed_counts(self) -> Mapping[str, int]:
        """Count what is owed, by notifier; what still waits for a look-up counts."""
        return +self._owed

    async def close(self) -> None:
        """Nothing to do: what is held ends with the process."""

    def _append(self, lane: Lane, status: _Status, notice: Notice | None = None) -> _Row:
        self._last_id += 1
        row = _Row(self._last_id, lane, status, notice)
        self._rows[row.id] = row
        self._owed[lane[0]] += 1
        rows = self._lanes.setdefault(lane, deque())
        rows.append(row)
        self._withdraw_opposites(rows, len(rows) - 2)
        return row

    def _settle(self, settled: Settled) -> list[Lane]:
        notices = {notice.notifier: notice for notice in settled.notices}
        rows = self._waiting.pop(settled.row_id)
        for row in rows:
            row.notice = notices.get(row.lane[0])
            row.status = _Status.PENDING
            if row.notice is None:
                self.withdrawn_count += 1
                self._remove(row)
        return [row.lane for row in rows]

    def _put_back(self, row: _Row) -> None:
        row.status = _Status.PENDING
        row.given_out = False
        self._withdraw_opposites(self._lanes[row.lane], 0)

    def _withdraw_opposites(self, rows: deque[_Row], index: int) -> None:
        """Withdraw a trigger and the resolve behind it, if it is proved that nobody saw it."""
        if index < 0 or index + 1 >= len(rows):
            return
        first, second = rows[index], rows[index + 1]
        forms = (row.notice.form if row.notice is not None else None for row in (first, second))
        unseen = first.status is _Status.PENDING and not first.maybe_sent
        if unseen and tuple(forms) == (Form.TRIGGER, Form.RESOLVE):
            self.withdrawn_count += 2
            self._remove(first)
            self._remove(second)

    def _remove(self, row: _Row) -> None:
        del self._rows[row.id]
        self._owed[row.lane[0]] -= 1
        rows = self._lanes[row.lane]
        rows.remove(row)
        if not rows:
            del self._lanes[row.lane]

    def _new_heads(self, lanes: Sequence[Lane] | Mapping[Lane, None]) -> list[Delivery]:
        heads = []
        for lane in lanes:
            rows = self._lanes.get(lane)
            if rows and rows[0].status is _Status.PENDING and not rows[0].given_out:
                rows[0].given_out = True
                heads.append(self._delivery(rows[0]))
        return heads

    def _delivery(self, row: _Row) -> Delivery:
        return Delivery(row.id, _said(row), row.attempts, self._memory.get(row.lane))


def _said(row: _Row) -> Notice:
    if row.notice is None:
        message = f"row {row.id} is waiting and has nothing to say yet"
        raise RuntimeError(message)
    return row.notice
