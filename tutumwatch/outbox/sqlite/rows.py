"""What is owed, as rows of the file: lanes, their heads, and what may be withdrawn.

Every method runs within a transaction that somebody else begins and ends.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias, assert_never

import attrs

from tutumwatch.events.inputs import OwedRow
from tutumwatch.notifiers.outcomes import Delivered, GiveUp, Outcome, Park, RetryLater, Smaller
from tutumwatch.outbox.sqlite.codec import (
    DamagedError,
    decode_notice,
    encode_notice,
    encode_waiting,
)
from tutumwatch.outbox.sqlite.heads import HEAD_COLUMNS, head_of
from tutumwatch.outbox.sqlite.held_up import take_held_up
from tutumwatch.outbox.store import Delivery, Head, HeldUp
from tutumwatch.rules.decisions import Dropped, Owed, Revived, Settled, WaitingRow
from tutumwatch.rules.notice import Form, Notice

WAITING, PENDING, SENDING, DEAD = range(4)
STATE_NAMES = ("waiting", "pending", "sending", "dead")
DAMAGED = "it was damaged on the disk"
# A request is named for its first row and how often that was tried: no other has that name.
ATTEMPTS_MAX_COUNT = 2**20

_Lane: TypeAlias = tuple[str, str]


@attrs.define
class Rows:
    """The rows of one transaction, and what it counts: applied by whoever commits it.

    :param new_id: gives a number that no row of this process has had.
    """

    _connection: sqlite3.Connection
    _new_id: Callable[[], int]
    owed: Counter[str] = attrs.field(factory=Counter)
    counts: Counter[str] = attrs.field(factory=Counter)
    _heads: dict[int, Head] = attrs.field(factory=dict)

    def take_heads(self) -> list[Head]:
        """Give the rows that became heads since this was asked last."""
        heads, self._heads = self._heads, {}
        return list(heads.values())

    # -- what was decided

    def add(self, owed: Owed) -> None:
        """Take in one thing that was decided."""
        match owed:
            case Notice():
                self._append(owed)
            case WaitingRow():
                self._append_waiting(owed)
            case Settled():
                self._settle(owed)
            case Revived():
                self._revive(owed.row_id)
            case Dropped():
                self._drop(owed.row_id)
            case _:
                assert_never(owed)

    def _append(self, notice: Notice) -> None:
        row_id = self._insert(
            notice.lane, PENDING, notice.form.value, notice.rule, notice.at, encode_notice(notice)
        )
        if notice.form is Form.RESOLVE:
            before = self._connection.execute(
                "SELECT id FROM deliveries WHERE notifier = ? AND key = ? AND state < 3 AND id < ?"
                " ORDER BY id DESC LIMIT 1",
                (*notice.lane, row_id),
            ).fetchone()
            if before is not None:
                self._withdraw_opposites(before[0], notice.lane)

    def _append_waiting(self, row: WaitingRow) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO waiting VALUES (?, ?)", (row.id, encode_waiting(row))
        )
        for notifier in row.notifiers:
            lane = (notifier, row.key)
            self._insert(lane, WAITING, Form.MESSAGE.value, row.rule, row.change.at, None, row.id)

    def _insert(
        self,
        lane: _Lane,
        state: int,
        form: str,
        rule: str,
        at: float,
        notice: bytes | None,
        waits_for: str | None = None,
    ) -> int:
        row_id = self._new_id()
        is_head = not self._connection.execute(
            "SELECT 1 FROM deliveries WHERE notifier = ? AND key = ? AND state < 3 LIMIT 1", lane
        ).fetchone()
        self._connection.execute(
            "INSERT INTO deliveries(id, notifier, key, state, head, form, rule, at, notice,"
            " waits_for) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (row_id, *lane, state, is_head, form, rule, at, notice, waits_for),
        )
        self.owed[lane[0]] += 1
        if is_head and state == PENDING:
            self._heads[row_id] = head_of((row_id, lane[0], at, form, 0))
        return row_id

    def _settle(self, settled: Settled) -> None:
        notices = {notice.notifier: notice for notice in settled.notices}
        self._connection.execute("DELETE FROM waiting WHERE id = ?", (settled.row_id,))
        rows = self._connection.execute(
            "SELECT id, notifier, key, head FROM deliveries WHERE waits_for = ? AND state = 0"
            " ORDER BY id",
            (settled.row_id,),
        ).fetchall()
        for row_id, notifier, key, is_head in rows:
            notice = notices.get(notifier)
            if notice is None:
                self.counts["withdrawn"] += 1
                self._delete(row_id, (notifier, key))
                continue
            row = self._connection.execute(
                "UPDATE deliveries SET state = 1, form = ?, at = ?, notice = ? WHERE id = ?"
                f" RETURNING {HEAD_COLUMNS}",
                (notice.form.value, notice.at, encode_notice(notice), row_id),
            ).fetchone()
            if is_head:
                self._heads[row_id] = head_of(row)

    def _revive(self, row_id: int) -> None:
        """Send a dead letter again, behind whatever its lane holds by now."""
        row = self._connection.execute(
            "SELECT notice FROM deliveries WHERE id = ? AND state = 3", (row_id,)
        ).fetchone()
        try:
            notice = decode_notice(row[0]) if row is not None else None
        except DamagedError:
            return  # it stays what it is: there is nothing left to send
        if notice is not None:
            self.counts["revived"] += 1
            self._connection.execute("DELETE FROM deliveries WHERE id = ?", (row_id,))
            self._append(notice)

    def _drop(self, row_id: int) -> None:
        """Forget a row, unless it is being sent."""
        row = self._connection.execute(
            "SELECT notifier, key, state, waits_for FROM deliveries WHERE id = ? AND state != 2",
            (row_id,),
        ).fetchone()
        if row is None:
            return
        self.counts["dropped"] += 1
        notifier, key, state, waits_for = row
        if state == DEAD:
            self._connection.execute("DELETE FROM deliveries WHERE id = ?", (row_id,))
            return
        self._delete(row_id, (notifier, key))
        self._connection.execute(
            "DELETE FROM waiting WHERE id = ? AND NOT EXISTS"
            " (SELECT 1 FROM deliveries WHERE waits_for = waiting.id AND state = 0)",
            (waits_for,),
        )

    # -- how delivery goes

    def heads(self, notifier: str, count: int) -> list[Head]:
        """Give the first heads of a notifier that may be sent."""
        rows = self._connection.execute(
            f"SELECT {HEAD_COLUMNS} FROM deliveries WHERE notifier = ? AND head = 1 AND state = 1"
            " ORDER BY id LIMIT ?",
            (notifier, count),
        )
        return [head_of(row) for row in rows]

    def begin(self, row_ids: Iterable[int]) -> list[Delivery]:
        """Mark rows as being sent; those that are gone, or not to be sent, are left out.

        One that is marked already was begun by somebody who never learned how it ended.
        """
        begun = []
        request: int | None = None
        for row_id in row_ids:
            row = self._connection.execute(
                "UPDATE deliveries SET state = 2, attempts = attempts + 1,"
                f" request = ifnull(?, id * {ATTEMPTS_MAX_COUNT} + attempts),"
                " maybe_sent = maybe_sent OR state = 2 WHERE id = ? AND state IN (1, 2)"
                " RETURNING request, attempts - 1, up_seconds, notifier, key, rule, at, notice",
                (request, row_id),
            ).fetchone()
            if row is None:
                continue
            request, attempts, up_seconds, notifier, key, rule, at, sealed = row
            try:
                notice, is_damaged = decode_notice(sealed, (notifier, key)), False
            except DamagedError:
                notice = Notice("", Form.MESSAGE, rule, notifier, key, DAMAGED, at)
                is_damaged = True
            memory = self._connection.execute(
                "SELECT value FROM memory WHERE notifier = ? AND key = ?", (notifier, key)
            ).fetchone()
            value = memory[0] if memory else None
            begun.append(Delivery(row_id, notice, attempts, up_seconds, value, is_damaged))
        return begun

    def finish(self, outcomes: Mapping[int, Outcome], up_seconds: Mapping[int, float]) -> None:
        """Take in how sending ended."""
        for row_id, outcome in outcomes.items():
            match outcome:
                case Delivered(remember):
                    self._deliver(row_id, remember)
                case GiveUp():
                    self._die(row_id, outcome.said)
                case RetryLater():
                    maybe = not outcome.surely_refused
                    self._put_back(row_id, up_seconds.get(row_id, 0.0), maybe_sent=maybe)
                case Smaller() | Park():
                    self._put_back(row_id, up_seconds.get(row_id, 0.0), maybe_sent=False)
                case _:
                    assert_never(outcome)

    def _deliver(self, row_id: int, remember: str | None) -> None:
        lane = self._lane_of(row_id)
        if lane is None:
            return
        self.counts["delivered"] += 1
        if remember is not None:
            self._connection.execute(
                "INSERT OR REPLACE INTO memory"
                " SELECT notifier, key, ?, at FROM deliveries WHERE id = ?",
                (remember, row_id),
            )
        self._delete(row_id, lane)

    def _die(self, row_id: int, reason: str) -> None:
        lane = self._lane_of(row_id)
        if lane is None:
            return
        self.counts["dead"] += 1
        self.owed[lane[0]] -= 1
        self._connection.execute(
            "UPDATE deliveries SET state = 3, head = 0, reason = ? WHERE id = ?", (reason, row_id)
        )
        self._promote(lane)

    def _put_back(self, row_id: int, up_seconds: float, *, maybe_sent: bool) -> None:
        row = self._connection.execute(
            "UPDATE deliveries SET state = 1, maybe_sent = maybe_sent OR ?, up_seconds = ?"
            f" WHERE id = ? AND state = 2 RETURNING key, {HEAD_COLUMNS}",
            (maybe_sent, up_seconds, row_id),
        ).fetchone()
        if row is None:
            return
        key, *columns = row
        head = head_of(columns)
        self._heads[row_id] = head
        if not head.is_message:
            self._withdraw_opposites(row_id, (head.notifier, key))

    # -- lanes

    def _lane_of(self, row_id: int) -> _Lane | None:
        return self._connection.execute(  # type: ignore[no-any-return] # SQLite gives what the columns declare
            "SELECT notifier, key FROM deliveries WHERE id = ? AND state = 2", (row_id,)
        ).fetchone()

    def _withdraw_opposites(self, row_id: int, lane: _Lane) -> None:
        """Withdraw a trigger and the resolve behind it, if it is proved that nobody saw it."""
        pair = self._connection.execute(
            "SELECT id, form, state, maybe_sent FROM deliveries"
            " WHERE notifier = ? AND key = ? AND state < 3 AND id >= ? ORDER BY id LIMIT 2",
            (*lane, row_id),
        ).fetchall()
        forms = [form for _, form, _, _ in pair]
        if forms != [Form.TRIGGER.value, Form.RESOLVE.value]:
            return
        _, _, state, maybe_sent = pair[0]
        if state == PENDING and not maybe_sent:
            self.counts["withdrawn"] += len(pair)
            for withdrawn_id, *_ in pair:
                self._delete(withdrawn_id, lane)

    def _delete(self, row_id: int, lane: _Lane) -> None:
        self.owed[lane[0]] -= 1
        self._heads.pop(row_id, None)
        self._connection.execute("DELETE FROM deliveries WHERE id = ?", (row_id,))
        self._promote(lane)

    def _promote(self, lane: _Lane) -> None:
        """Let the first live row of a lane be its head."""
        row = self._connection.execute(
            "UPDATE deliveries SET head = 1 WHERE head = 0 AND id = (SELECT id FROM deliveries"
            " WHERE notifier = ? AND key = ? AND state < 3 ORDER BY id LIMIT 1)"
            f" RETURNING state, {HEAD_COLUMNS}",
            lane,
        ).fetchone()
        if row is not None and row[0] == PENDING:
            self._heads[row[1]] = head_of(row[1:])

    # -- what grew old, and what a person names

    def digest(self, notifier: str, before: float, write: Callable[[HeldUp], Notice]) -> None:
        """Replace all messages of a notifier that are not being sent and are old by one."""
        held_up = take_held_up(self._connection, notifier, before)
        if held_up is None:
            return
        self.owed[notifier] -= held_up.count
        self.counts["digested"] += held_up.count
        self._append(write(held_up))
        promoted = self._connection.execute(
            "UPDATE deliveries SET head = 1 WHERE head = 0 AND id IN (SELECT min(id)"
            " FROM deliveries WHERE notifier = ? AND state < 3 GROUP BY key)"
            f" RETURNING state, {HEAD_COLUMNS}",
            (notifier,),
        ).fetchall()
        self._heads |= {row[1]: head_of(row[1:]) for row in promoted if row[0] == PENDING}

    def find(self, row_ids: Iterable[int]) -> list[OwedRow]:
        """Give those of some rows that there are."""
        found = (
            self._connection.execute(
                "SELECT id, form, rule, key, state FROM deliveries WHERE id = ?", (row_id,)
            ).fetchone()
            for row_id in row_ids
        )
        return [
            OwedRow(row_id, form, rule, key, STATE_NAMES[state])
            for row_id, form, rule, key, state in filter(None, found)
        ]
