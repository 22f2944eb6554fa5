"""The one decider: takes the inputs in order and says what each one comes to.

Pure: no clock, no I/O. The same code runs live and over inputs that were kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import assert_never

import attrs
from msgspec.structs import replace

from tutumwatch.events.event import Rejected, decode_event, sample_of
from tutumwatch.events.inputs import (
    CONNECTED,
    LINK_TYPES,
    LOOK_UP_DEADLINE_SECONDS,
    Drop,
    Input,
    Link,
    LinkType,
    Listed,
    Looked,
    Message,
    Retry,
    Started,
    Tick,
)
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, ChangeKind
from tutumwatch.rules.decisions import (
    Decisions,
    Dropped,
    RecordName,
    Revived,
    Settled,
    WaitingRow,
)
from tutumwatch.rules.incidents import Incidents
from tutumwatch.rules.index import RuleIndex
from tutumwatch.rules.matchers import Answer
from tutumwatch.rules.messages import MessageRule
from tutumwatch.rules.notice import Form, Notice
from tutumwatch.rules.seen import SeenEvents
from tutumwatch.rules.waiting import Waiting

REASON_MAX_CHARS = 200
# More late changes than this of one rule, found by one listing, become one summary.
LATE_SINGLY_COUNT = 3
# What is kept of a stream: that it was connected to once, and that it was caught up with once.
_GREETED, _CAUGHT_UP = "greeted", "caught up"


# The converter would else have attrs look at every attribute that is set, twice for each event.
@attrs.define(on_setattr=attrs.setters.NO_OP)
class Decider:
    """Decides one input after the other against the inventory as it is after that input."""

    inventory: Inventory
    incidents: Incidents
    _messages: RuleIndex = attrs.field(converter=RuleIndex)
    # Makes the ids of what has none of its own unique; the first input of a run brings it.
    _run_id: str = "run"
    waiting: Waiting = attrs.field(factory=Waiting)
    counts: Counter[str] = attrs.field(factory=Counter)
    last_rejected: Rejected | None = None
    _seen: SeenEvents = attrs.field(factory=SeenEvents)
    _greeted: set[str] = attrs.field(factory=set)
    _caught_up: set[str] = attrs.field(factory=set)
    _lost_records: dict[RecordName, bytes | None] = attrs.field(factory=dict)
    _last_number: int = 0
    _input_count: int = 0

    def decide(self, item: Input, decisions: Decisions | None = None) -> Decisions:
        """Say what one input comes to; one that cannot be decided is rejected, and counted.

        :param decisions: what came before it; what it comes to is added there.
        """
        self._input_count += 1
        decisions = decisions or Decisions()
        decisions.inputs.append(item)
        try:
            self._decide(item, decisions)
        except Exception as problem:  # noqa: BLE001 - one bad input must not stop the others
            sample = item.payload if isinstance(item, Message) else repr(item).encode()
            self._reject(_what(problem), sample)
        if self.incidents.has_unsaved:
            decisions.records |= self.incidents.take_unsaved()
        if self._lost_records:
            decisions.records |= self._lost_records
            self._lost_records = {}
        return decisions

    def restore(
        self,
        records: Mapping[RecordName, bytes],
        waiting: Iterable[WaitingRow],
        last_number: int,
        now: float,
    ) -> int:
        """Begin with what was kept when we last ran; :class:`Started` comes next.

        :param last_number: that of the last message that we have seen.
        :return: how many records could not be read.
        """
        unreadable = self.incidents.restore(records, now)
        self._greeted = {name for kind, name in records if kind == _GREETED}
        self._caught_up = {name for kind, name in records if kind == _CAUGHT_UP}
        self._last_number = last_number
        for row in waiting:
            self.waiting.add(row)
        return unreadable

    def replay(self, item: Input) -> None:
        """Know again what an input told: all that came of it was kept when it was decided."""
        try:
            match item:
                case Started():
                    self._begin(item)
                case Message():
                    self._take_in(item)
                case Link():
                    self.inventory.apply_link(item, self._own_id())
                case Looked():
                    self.inventory.apply_looked(item, self._own_id())
                case Listed():
                    for row in item.rows:
                        self.inventory.apply_looked(row, self._own_id())
                case Tick() | Retry() | Drop():
                    pass
                case _:
                    assert_never(item)
        except Exception as problem:  # noqa: BLE001 - it was rejected when it was decided, too
            self._reject(_what(problem), repr(item).encode())

    def remember_uuids(self, item: Input) -> None:
        """Know a message again if the server repeats it; what it tells is known already."""
        if isinstance(item, Message):
            event = decode_event(item.payload)
            if not isinstance(event, Rejected) and event.uuid:
                self._seen.is_repeated(item.stream, event.uuid)

    def save_everything(self) -> None:
        """Count all that is kept over a restart as changed: what was kept is lost."""
        self.inventory.save_everything()
        self.incidents.save_everything()
        for kind, streams in ((_GREETED, self._greeted), (_CAUGHT_UP, self._caught_up)):
            self._lost_records.update(dict.fromkeys(((kind, name) for name in streams), b""))

    def next_due(self) -> float | None:
        """Give the earliest time at which a Tick would change something."""
        times = (self.waiting.next_due(), self.incidents.next_due())
        return min((t for t in times if t is not None), default=None)

    def _decide(self, item: Input, decisions: Decisions) -> None:
        match item:
            case Started():
                self._decide_started(item, decisions)
            case Message():
                self._decide_message(item, decisions)
            case Link():
                self._decide_link(item, decisions)
            case Looked():
                self._decide_looked(item, decisions)
            case Listed():
                self._decide_listed(item, decisions)
            case Tick():
                self._decide_tick(item, decisions)
            case Retry():
                self._decide_retry(item, decisions)
            case Drop():
                decisions.owed += [Dropped(row_id, "dropped by hand") for row_id in item.row_ids]
            case _:
                assert_never(item)

    def _begin(self, started: Started) -> None:
        self._run_id, self._input_count = started.run_id, 1
        if started.alive_at is not None:
            self.inventory.begin_blind(started.alive_at)

    def _decide_started(self, started: Started, decisions: Decisions) -> None:
        """Go on where we ended: what waited waits anew, what nothing else would end, ends."""
        self._begin(started)
        decisions.owed += self.incidents.close_abandoned(started.at)
        for row in self.waiting:
            if row.rule in self._messages.by_name:
                decisions.needs |= row.needs
                self.waiting.add(attrs.evolve(row, due=started.at + LOOK_UP_DEADLINE_SECONDS))
            else:
                self.waiting.remove(row)
                decisions.owed.append(Settled(row.id, ()))

    def _decide_message(self, message: Message, decisions: Decisions) -> None:
        change = self._take_in(message)
        if change is not None:
            self._speak(change, decisions)

    def _take_in(self, message: Message) -> Change | None:
        """Decode and apply a message; None if it is no event, or one that was seen before."""
        self._last_number = message.number
        event = decode_event(message.payload)
        if isinstance(event, Rejected):
            self._reject(event.reason, message.payload)
            return None
        if event.type in LINK_TYPES:
            # Else a message could say that our own stream is down.
            self._reject(f"the type {event.type!r} is not the platform's to tell", message.payload)
            return None
        if event.uuid and self._seen.is_repeated(message.stream, event.uuid):
            self.counts["repeated"] += 1
            return None
        self.counts["events"] += 1
        change_id = f"{message.stream}/{event.uuid or f'{self._run_id}-{message.number}'}"
        return self.inventory.apply_event(
            event, change_id, message.stream, message.number, message.at
        )

    def _reject(self, reason: str, sample: bytes) -> None:
        self.counts["rejected"] += 1
        self.last_rejected = Rejected(reason, sample_of(sample))

    def _decide_link(self, link: Link, decisions: Decisions) -> None:
        change = self.inventory.apply_link(link, self._own_id())
        connected = link.type is LinkType.STREAM and link.state == CONNECTED
        if connected and link.name not in self._greeted:
            self._greeted.add(link.name)
            decisions.records[_GREETED, link.name] = b""
            # Before the change is judged: what it closes is resolved once, not twice.
            decisions.owed += self.incidents.resolve_orphans(change)
        self._speak(change, decisions)

    def _own_id(self) -> str:
        return f"{self._run_id}-input-{self._input_count}"

    def _speak(self, change: Change, decisions: Decisions) -> None:
        """Judge messages and incidents for a change; a rule that raises silences no other."""
        for rule in self._messages.rules_for(change):
            try:
                self._apply(rule, change, decisions)
            except Exception as problem:  # noqa: BLE001 - a rejected one for this rule alone
                self._reject(_what(problem), f"rule {rule.name!r}: {change.id}".encode())
        decisions.owed += self.incidents.judge(change)

    def _apply(self, rule: MessageRule, change: Change, decisions: Decisions) -> None:
        verdict = rule.judge(change, self.inventory)
        if verdict.answer is Answer.YES:
            decisions.owed += rule.write(change, self.inventory)
        elif verdict.answer is Answer.UNKNOWN:
            row = rule.wait(change, verdict.needs, self._last_number, change.at)
            decisions.owed.append(row)
            if self.waiting.is_full:
                self._go_on(row.without(row.needs), decisions)
            else:
                self.waiting.add(row)
                decisions.needs |= row.needs

    def _decide_looked(self, looked: Looked, decisions: Decisions) -> None:
        change = self.inventory.apply_looked(looked, self._own_id())
        for row in self.waiting.answer(looked):
            self._go_on(row, decisions)
        if change is not None and change.kind is not ChangeKind.SAME:
            decisions.owed += self.incidents.judge(change)

    def _decide_listed(self, listed: Listed, decisions: Decisions) -> None:
        """Take in what a listing found.

        It speaks where a state differs from what we knew, late. The first listing of a stream
        speaks of nothing: everything is new to us.
        """
        is_first = listed.stream not in self._caught_up
        if is_first:
            self._caught_up.add(listed.stream)
            decisions.records[_CAUGHT_UP, listed.stream] = b""
        late: dict[str, list[Change]] = {}
        for number, row in enumerate(listed.rows):
            change = self.inventory.apply_looked(row, f"{self._own_id()}-{number}")
            if change is None or change.kind is ChangeKind.SAME:
                continue
            decisions.owed += self.incidents.judge(change)
            if not is_first and _speaks_late(change):
                for rule in self._messages.rules_for(change):
                    late.setdefault(rule.name, []).append(replace(change, late=True))
        for name, rule in self._messages.by_name.items():
            if name in late:
                self._speak_late(rule, late[name], decisions)

    def _speak_late(
        self, rule: MessageRule, changes: Sequence[Change], decisions: Decisions
    ) -> None:
        """Say of each change, or of all together if they are many, what a rule has to say."""
        matching = [c for c in changes if rule.judge(c, self.inventory).answer is not Answer.NO]
        if len(matching) > LATE_SINGLY_COUNT:
            decisions.owed += rule.summarize(matching, self.inventory, self._own_id())
            return
        for change in matching:
            self._apply(rule, change, decisions)

    def _go_on(self, row: WaitingRow, decisions: Decisions) -> None:
        """Judge a row again: it waits on for what it has learned to need, or is settled.

        Settled is said if it matches, and if nobody could tell whether it does.
        """
        self.waiting.remove(row)
        rule = self._messages.by_name[row.rule]
        notices: list[Notice] = []
        try:
            verdict = rule.judge(row.change, self.inventory, row)
            needs = frozenset(n for n in verdict.needs if n.resource_uri not in row.answered)
            if needs and not row.failed:
                self.waiting.add(attrs.evolve(row, needs=needs))
                decisions.needs |= needs
                return
            if verdict.answer is not Answer.NO:
                notices = rule.write(row.change, self.inventory, row.without(verdict.needs))
        except Exception as problem:  # noqa: BLE001 - a row that nobody settles blocks its lane
            self._reject(_what(problem), f"rule {row.rule!r}: {row.change.id}".encode())
        decisions.owed.append(Settled(row.id, tuple(notices)))

    def _decide_tick(self, tick: Tick, decisions: Decisions) -> None:
        for row in self.waiting.due(tick.at):
            self._go_on(row, decisions)
        decisions.owed += self.incidents.tick(tick.at)

    def _decide_retry(self, retry: Retry, decisions: Decisions) -> None:
        """Send dead letters again, but none that would tell of an incident what is not so."""
        for row in (row for row in retry.rows if row.state == "dead"):
            is_open = self.incidents.is_open((row.rule, row.key))
            if row.form == Form.TRIGGER.value and not is_open:
                decisions.owed.append(Dropped(row.row_id, "its incident is closed"))
            elif row.form == Form.RESOLVE.value and is_open:
                decisions.owed.append(Dropped(row.row_id, "its incident is open again"))
            else:
                decisions.owed.append(Revived(row.row_id))


def _speaks_late(change: Change) -> bool:
    """Say whether a listing found something to tell: not what came and went unseen."""
    if change.before is None:
        return change.after.gone_at is None
    return change.kind is ChangeKind.GONE or "state" in change.changed


def _what(problem: Exception) -> str:
    return f"{type(problem).__name__}: {problem}"[:REASON_MAX_CHARS]
