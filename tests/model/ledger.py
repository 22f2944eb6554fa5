"""What is owed, as the promises have it: each notice that was committed, and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import assert_never

import attrs

from tests.model.expected import ExpectedIncidents
from tests.model.file import StoreFile
from tests.model.happened import HAPPENED
from tutumwatch.events.inputs import Link, Listed
from tutumwatch.outbox.sqlite.codec import decode_notice
from tutumwatch.outbox.sqlite.rows import DEAD, SENDING
from tutumwatch.outbox.store import HeldUp
from tutumwatch.rules.decisions import Decisions, Dropped, Owed, Revived, Settled, WaitingRow
from tutumwatch.rules.notice import Form, Notice


class Fate(Enum):
    """How an owed notice ended."""

    DELIVERED = "delivered"
    WITHDRAWN = "withdrawn"
    DIGESTED = "digested"
    DROPPED = "dropped"
    NO_MATCH = "no match"


@attrs.define(eq=False)
class OwedNotice:
    """A notice that was committed, or a place that is kept for one.

    ``order``: its place in the order of commit. ``accepted``: how often its destination acted on
    it. ``doubts``: attempts of which the watcher cannot know that nobody saw them.
    """

    id: str
    notifier: str
    key: str
    form: Form
    order: int
    at: float
    fate: Fate | None = None
    accepted: int = 0
    doubts: int = 0
    may_vanish: bool = False
    is_dead: bool = False
    was_refused: bool = False

    @property
    def lane(self) -> tuple[str, str]:
        """What it keeps its order with."""
        return (self.notifier, self.key)


@attrs.define
class _Row:
    """A row of the file, by the id of its notice."""

    row_id: int
    state: int


@attrs.define
class _Tentative:
    """A digest that may have been committed."""

    held: HeldUp
    notice: Notice


class BrokenPromiseError(AssertionError):
    """Something happened that must not."""


def require(what: object, broken: str) -> None:
    """Hold a promise.

    :raises BrokenPromiseError: if it does not hold.
    """
    if not what:
        raise BrokenPromiseError(broken)


@attrs.define(eq=False)
class Ledger:
    """Compares what was committed with what the file holds and what destinations saw.

    :param stale_after: of each notifier, in seconds.
    :param give_up_after: of each notifier, in seconds.
    """

    _file: StoreFile
    _stale_after: Mapping[str, float]
    _give_up_after: Mapping[str, float]
    expected: ExpectedIncidents
    # All that was committed and has not ended, in that order; and all that ever was.
    owed: dict[str, OwedNotice] = attrs.field(factory=dict)
    known: dict[str, OwedNotice] = attrs.field(factory=dict)
    # What was found to be broken where the watcher would have caught the exception.
    broken: list[str] = attrs.field(factory=list)
    # Lanes of which a person took something out: whoever reads on there reads less.
    meddled: set[tuple[str, str]] = attrs.field(factory=set)
    _offered: dict[int, Decisions] = attrs.field(factory=dict)
    _digests: list[_Tentative] = attrs.field(factory=list)
    _waiting: dict[str, tuple[str, ...]] = attrs.field(factory=dict)
    _taken_in: int = 0
    _looked_at: int = -1
    _order: int = 0
    _rows: dict[str, _Row] = attrs.field(factory=dict)
    _ids: dict[int, str] = attrs.field(factory=dict)
    _last_first: dict[tuple[str, str], int] = attrs.field(factory=dict)
    # What a destination may hear again: what an answer was missing for.
    may_repeat: Counter[str] = attrs.field(factory=Counter)
    repeated: Counter[str] = attrs.field(factory=Counter)

    # -- what is committed

    def offer(self, decisions: Decisions, number: int) -> None:
        """Take note of a commit that is tried; its page of the journal will have this number."""
        self._offered[number] = decisions

    def offer_digest(self, held: HeldUp, notice: Notice) -> None:
        """Take note of a digest that is tried."""
        self._digests.append(_Tentative(held, notice))

    def is_settled(self) -> bool:
        """Say whether all that was tried is in the file."""
        return not self._offered

    def look(self, now: float) -> None:
        """Read the file if it has changed, and hold it to the promises."""
        if self._looked_at == self._file.commits_count:
            return
        self._looked_at = self._file.commits_count
        ((last,),) = self._file.rows("SELECT ifnull(max(number), 0) FROM journal")
        for number in sorted(n for n in self._offered if n <= last):
            decisions = self._offered.pop(number)
            require(number == self._taken_in + 1, f"page {number} follows {self._taken_in}")
            self._taken_in = number
            self._commit(decisions)
        self._read_rows()
        self._find_digests()
        self._settle(now)

    def crashed(self) -> None:
        """Forget what was tried and is not in the file: it never happened."""
        self._offered.clear()
        self._digests.clear()
        self._ids.clear()
        self._looked_at = -1

    def _commit(self, decisions: Decisions) -> None:
        for owed in decisions.owed:
            self._take_in(owed)
        for item in decisions.inputs:
            self.expected.take_in(item)
            HAPPENED["listing: taken in"] += isinstance(item, Listed)
            if isinstance(item, Link) and item.state == "Failing":
                HAPPENED["circuit opened"] += 1

    def _take_in(self, owed: Owed) -> None:
        match owed:
            case Notice():
                self._owe(owed.id, owed.notifier, owed.key, owed.form, owed.at)
            case WaitingRow():
                self._waiting[owed.id] = owed.notifiers
                for notifier in owed.notifiers:
                    place = f"{owed.id}/{notifier}"
                    self._owe(place, notifier, owed.key, Form.MESSAGE, owed.change.at)
            case Settled():
                said = {notice.id for notice in owed.notices}
                for notifier in self._waiting.pop(owed.row_id):
                    place = f"{owed.row_id}/{notifier}"
                    if place not in said and place in self.owed:
                        self._end(self.owed[place], Fate.NO_MATCH)
            case Revived():
                self._revive(owed.row_id)
            case Dropped():
                dropped = self.owed.get(self._ids.get(owed.row_id, ""))
                if dropped is not None:
                    dropped.may_vanish = True
            case _:
                assert_never(owed)

    def _revive(self, row_id: int) -> None:
        revived = self.owed.get(self._ids.get(row_id, ""))
        # Somebody who says it twice gets it once.
        if revived is not None and revived.is_dead and self._rows[revived.id].row_id == row_id:
            self._order += 1
            revived.order, revived.is_dead = self._order, False
            HAPPENED["person: retried a dead letter"] += 1

    def _owe(self, id_: str, notifier: str, key: str, form: Form, at: float) -> None:
        require(id_ not in self.known, f"{id_} is committed twice")
        self._order += 1
        self.known[id_] = self.owed[id_] = OwedNotice(id_, notifier, key, form, self._order, at)

    def _end(self, owed: OwedNotice, fate: Fate) -> None:
        owed.fate = fate
        del self.owed[owed.id]
        HAPPENED[fate.value] += 1

    # -- what the file holds

    def _read_rows(self) -> None:
        self._rows = {}
        for row_id, state, notifier, waits_for in self._file.rows(
            "SELECT id, state, notifier, waits_for FROM deliveries ORDER BY id"
        ):
            id_ = self._ids.get(row_id)
            if id_ is None:
                id_ = f"{waits_for}/{notifier}" if waits_for else self._id_of(row_id)
                self._ids[row_id] = id_
            if id_ in self._rows:
                raise BrokenPromiseError(f"{id_} has two rows")
            self._rows[id_] = _Row(row_id, state)

    def _id_of(self, row_id: int) -> str:
        ((sealed,),) = self._file.rows("SELECT notice FROM deliveries WHERE id = ?", (row_id,))
        return decode_notice(sealed).id

    def _find_digests(self) -> None:
        for tried in list(self._digests):
            notice = tried.notice
            if notice.id not in self._rows:
                continue
            self._digests.remove(tried)
            replaced = [
                owed
                for owed in self.owed.values()
                if owed.notifier == notice.notifier
                and owed.form is Form.MESSAGE
                and owed.id not in self._rows
                and not owed.accepted
                and owed.at < notice.at - self._stale_after[notice.notifier]
            ]
            # Of what a person dropped at the same time nobody can tell how it ended.
            replaced.sort(key=lambda owed: owed.may_vanish)
            for owed in replaced[: tried.held.count]:
                self._end(owed, Fate.DIGESTED)
            self._owe(notice.id, notice.notifier, notice.key, notice.form, notice.at)

    def _settle(self, now: float) -> None:
        for id_, row in self._rows.items():
            owed = self.owed.get(id_)
            if owed is None:
                raise BrokenPromiseError(f"{id_} is in the file ({row}), and is not owed")
            # What is being sent cannot be dropped.
            owed.may_vanish = False
            if row.state == DEAD and not owed.is_dead:
                owed.is_dead = True
                self._check_death(owed, now)
        for owed in [owed for id_, owed in self.owed.items() if id_ not in self._rows]:
            if owed.fate is None:
                self._end_absent(owed)

    def _check_death(self, owed: OwedNotice, now: float) -> None:
        if owed.was_refused:
            HAPPENED["dead"] += 1
            return
        is_old = now - owed.at > self._give_up_after[owed.notifier]
        require(is_old, f"{owed} is dead, was not refused, and is young")
        HAPPENED["gave up after its time"] += 1

    def _end_absent(self, owed: OwedNotice) -> None:
        """Say why a notice is no longer in the file, or that there is no reason."""
        resolve = self._resolve_of(owed)
        if owed.accepted:
            self._end(owed, Fate.DELIVERED)
        elif resolve is not None and not (owed.doubts and owed.may_vanish):
            require(not owed.doubts, f"{owed} is withdrawn, and somebody may have seen it")
            self._end(owed, Fate.WITHDRAWN)
            self._end(resolve, Fate.WITHDRAWN)
        else:
            require(owed.may_vanish, f"{owed} is lost")
            self.meddled.add(owed.lane)
            self._end(owed, Fate.DROPPED)

    def _resolve_of(self, trigger: OwedNotice) -> OwedNotice | None:
        """Give the resolve that a trigger was withdrawn with, if it can have been."""
        after = (
            o
            for o in self.owed.values()
            if o.lane == trigger.lane and not o.is_dead and o.order > trigger.order
        )
        resolve = min(after, key=lambda o: o.order, default=None)
        if (
            trigger.form is not Form.TRIGGER
            or trigger.is_dead
            or resolve is None
            or resolve.form is not Form.RESOLVE
            or resolve.accepted
            or resolve.id in self._rows
        ):
            return None
        return resolve

    # -- what destinations see

    def arrives(self, batch: Sequence[Notice], now: float) -> None:
        """Hold what is sent, whatever comes of it: it is committed, marked, and first in its lane."""
        self.look(now)
        for notice in batch:
            owed, row = self.owed.get(notice.id), self._rows.get(notice.id)
            if owed is None or row is None:
                raise BrokenPromiseError(f"{notice} is sent, and is not owed")
            if row.state != SENDING:
                raise BrokenPromiseError(f"{notice} is sent, and is not marked as being sent")
            earlier = [
                o.id
                for o in self.owed.values()
                if o.lane == owed.lane and o.order < owed.order and not o.is_dead
            ]
            if earlier:
                raise BrokenPromiseError(f"{notice} overtakes {earlier}")
            owed.doubts += 1

    def accepts(self, batch: Sequence[Notice]) -> None:
        """Take note that a destination acts on a request."""
        name = batch[0].notifier
        if any(self.known[notice.id].accepted for notice in batch):
            self.repeated[name] += 1
            HAPPENED["said again"] += 1
            require(
                self.repeated[name] <= self.may_repeat[name],
                f"{name} heard {self.repeated[name]} requests again",
            )
        for notice in batch:
            owed = self.known[notice.id]
            if not owed.accepted:
                last = self._last_first.get(owed.lane, 0)
                if owed.order < last:
                    raise BrokenPromiseError(f"{notice} comes after what was committed later")
                self._last_first[owed.lane] = owed.order
            owed.accepted += 1

    def refuses(self, batch: Sequence[Notice], *, for_good: bool) -> None:
        """Take note that the watcher knows that a request had no effect."""
        for notice in batch:
            owed = self.known[notice.id]
            owed.doubts -= 1
            owed.was_refused |= for_good

    def lanes(self, ids: Sequence[str]) -> set[tuple[str, str]]:
        """Give the lanes of some notices."""
        return {self.known[id_].lane for id_ in ids}

    def row_ids(self, state: int | None = None) -> list[int]:
        """Give the rows that the file held when it was looked at, or those in a state."""
        return [row.row_id for row in self._rows.values() if state in {None, row.state}]

    def lane_of(self, row_id: int) -> tuple[str, str]:
        """Give the lane of a row."""
        return self.known[self._ids[row_id]].lane

    def sending(self, notifier: str) -> set[str]:
        """Give what is marked as being sent to a notifier."""
        return {
            id_
            for id_, row in self._rows.items()
            if row.state == SENDING and self.known[id_].notifier == notifier
        }

    def live(self) -> list[OwedNotice]:
        """Give what is owed and not dead."""
        return [owed for owed in self.owed.values() if not owed.is_dead]

    def dead(self) -> list[OwedNotice]:
        """Give the dead letters."""
        return [owed for owed in self.owed.values() if owed.is_dead]
