"""The one decider: takes the inputs in order and says what each one comes to.

Pure: no clock, no I/O. The same code runs live and over inputs that were kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import assert_never

import attrs

from tutumwatch.events.event import Rejected, decode_event, sample_of
from tutumwatch.events.inputs import (
    CONNECTED,
    LINK_TYPES,
    Drop,
    Input,
    Link,
    LinkType,
    Listed,
    Looked,
    Message,
    Reloaded,
    Resolve,
    Retry,
    Silence,
    Started,
    Tick,
    Unsilence,
)
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, ChangeKind
from tutumwatch.rules.acquaintance import Acquaintance
from tutumwatch.rules.decisions import Decisions, Dropped, RecordName, Revived, WaitingRow
from tutumwatch.rules.incidents import Incidents
from tutumwatch.rules.notice import Form
from tutumwatch.rules.previewing import Outlook, preview
from tutumwatch.rules.rejecting import describe_problem
from tutumwatch.rules.rule_set import RuleSet
from tutumwatch.rules.seen import SeenEvents
from tutumwatch.rules.silences import Silences
from tutumwatch.rules.speaking import Speaking

REASON_MAX_CHARS = 200


# The converter would else have attrs look at every attribute that is set, twice for each event.
@attrs.define(on_setattr=attrs.setters.NO_OP)
class Decider:
    """Decides one input after the other against the inventory as it is after that input.

    ``rule_sets``: the rules of configurations that a :class:`Reloaded` may name.
    """

    inventory: Inventory
    rules: RuleSet
    # Makes the ids of what has none of its own unique; the first input of a run brings it.
    _run_id: str = "run"
    rule_sets: dict[str, RuleSet] = attrs.field(factory=dict)
    counts: Counter[str] = attrs.field(factory=Counter)
    last_rejected: Rejected | None = None
    silences: Silences = attrs.field(factory=Silences)
    incidents: Incidents = attrs.field(init=False)
    speaking: Speaking = attrs.field(init=False)
    _acquaintance: Acquaintance = attrs.field(factory=Acquaintance)
    _seen: SeenEvents = attrs.field(factory=SeenEvents)
    _last_number: int = 0
    _input_count: int = 0

    def __attrs_post_init__(self) -> None:
        self.incidents = Incidents(
            self.rules,
            self.inventory,
            self.silences,
            self._acquaintance.has_listed,
            counts=self.counts,
        )
        self.speaking = Speaking(self.inventory, self.rules, self.silences, counts=self.counts)
        self.speaking.reject = self.incidents.reject = self._reject
        self.inventory.is_needed = self.incidents.is_needed
        self.inventory.set_deploy_deadline(self.rules.deploy_deadline_seconds)

    def decide(self, item: Input, decisions: Decisions | None = None) -> Decisions:
        """Say what one input comes to; one that cannot be decided is rejected, and counted.

        :param decisions: what came before it; what it comes to is added there.
        """
        self._input_count += 1
        decisions = decisions or Decisions()
        decisions.inputs.append(item)
        owed_count = len(decisions.owed)
        try:
            self._decide(item, decisions)
        except Exception as problem:  # noqa: BLE001 - one bad input must not stop the others
            sample = item.payload if isinstance(item, Message) else repr(item).encode()
            self._reject(describe_problem(problem), sample)
        if len(decisions.owed) > owed_count:
            self.silences.note(decisions.owed[owed_count:], item.at)
        for part in (self.incidents, self.speaking, self.silences, self._acquaintance):
            if part.records:
                decisions.records |= part.records.take()
        return decisions

    # -- restarts

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
        unreadable = self.incidents.keeping.restore(records, now)
        unreadable += self.speaking.restore(records, waiting)
        unreadable += self.silences.restore(records)
        self._acquaintance.restore(records)
        self._last_number = last_number
        self.incidents.saw(last_number)
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
                    self.inventory.catch_up(item.stream)
                case Tick():
                    self.inventory.tick(item.at)
                case Retry() | Drop() | Silence() | Unsilence() | Reloaded() | Resolve():
                    pass
                case _:
                    assert_never(item)
        except Exception as problem:  # noqa: BLE001 - it was rejected when it was decided, too
            self._reject(describe_problem(problem), repr(item).encode())

    def remember_uuids(self, item: Input) -> None:
        """Know a message again if the server repeats it; what it tells is known already."""
        if isinstance(item, Message):
            event = decode_event(item.payload)
            if not isinstance(event, Rejected) and event.uuid:
                self._seen.is_repeated(item.stream, event.uuid)

    def save_everything(self) -> None:
        """Count all that is kept over a restart as changed: what was kept is lost."""
        self.inventory.save_everything()
        self.incidents.keeping.save_everything()
        self.speaking.save_everything()
        self.silences.save_everything()
        self._acquaintance.save_everything()

    def next_due(self) -> float | None:
        """Give the earliest time at which a Tick would change something."""
        parts = (self.speaking, self.incidents, self.silences, self.inventory)
        return min((t for part in parts if (t := part.next_due()) is not None), default=None)

    def preview(self, rules: RuleSet, now: float) -> Outlook:
        """Say what would become of the incidents under other rules."""
        return preview(self.incidents, rules, now, self.inventory, self.silences)

    # -- one input

    def _decide(self, item: Input, decisions: Decisions) -> None:  # noqa: C901, PLR0912 - one case each
        match item:
            case Started():
                self._decide_started(item, decisions)
            case Message():
                change = self._take_in(item)
                if change is not None:
                    self._speak(change, decisions)
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
            case Silence():
                self.silences.add(item)
            case Unsilence():
                if self.silences.remove(item.id):
                    self.incidents.go_on_withheld([item.id], item.at, decisions)
            case Reloaded():
                self._decide_reloaded(item, decisions)
            case Resolve():
                self.incidents.resolve_by_hand(item.key, item.at, decisions)
            case _:
                assert_never(item)

    def _begin(self, started: Started) -> None:
        self._run_id, self._input_count = started.run_id, 1
        if started.alive_at is not None:
            self.inventory.begin_blind(started.alive_at)

    def _decide_started(self, started: Started, decisions: Decisions) -> None:
        """Go on where we ended: what waited waits anew, what nothing else would end, ends."""
        self._begin(started)
        self._acquaintance.forget_others(self.rules.streams)
        self.silences.use(self.rules.mutes, started.at)
        self.speaking.begin(started.at, decisions)
        self.incidents.use(self.rules, started.at, decisions)

    def _decide_reloaded(self, reloaded: Reloaded, decisions: Decisions) -> None:
        """Go on under other rules; those that nobody gave us change nothing."""
        rules = self.rule_sets.get(reloaded.id)
        if rules is None:
            return
        self.rules = rules
        self._acquaintance.forget_others(rules.streams)
        self.inventory.set_deploy_deadline(rules.deploy_deadline_seconds)
        self.silences.use(rules.mutes, reloaded.at)
        self.speaking.use(rules, reloaded.at, decisions)
        self.incidents.use(rules, reloaded.at, decisions)

    def _take_in(self, message: Message) -> Change | None:
        """Decode and apply a message; None if it is no event, or one that was seen before."""
        self._last_number = message.number
        self.incidents.saw(message.number)
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
        self.last_rejected = Rejected(reason[:REASON_MAX_CHARS], sample_of(sample))

    def _decide_link(self, link: Link, decisions: Decisions) -> None:
        change = self.inventory.apply_link(link, self._own_id())
        if link.type is LinkType.STREAM:
            if link.state == CONNECTED:
                self.incidents.connected(link.name, link.at)
                # Before the change is judged: what it closes is resolved once, not twice.
                if self._acquaintance.greet(link.name):
                    self.incidents.greet(change, decisions)
            else:
                self.incidents.lost(link.name)
        self._speak(change, decisions)

    def _own_id(self) -> str:
        return f"{self._run_id}-input-{self._input_count}"

    def _speak(self, change: Change, decisions: Decisions) -> None:
        """Judge messages and incidents for a change, and for what else it brought about."""
        self.speaking.hear(change, decisions, self._last_number)
        self.incidents.judge(change, decisions)
        for derived in self.inventory.take_derived():
            self.speaking.hear(derived, decisions, self._last_number)
            self.incidents.judge(derived, decisions)

    def _decide_looked(self, looked: Looked, decisions: Decisions) -> None:
        change = self.inventory.apply_looked(looked, self._own_id())
        self.speaking.answer(looked, decisions)
        if change is not None and change.kind is not ChangeKind.SAME:
            self.incidents.judge(change, decisions)
        for derived in self.inventory.take_derived():
            self.incidents.judge(derived, decisions)
        self.incidents.answer(looked, decisions)

    def _decide_listed(self, listed: Listed, decisions: Decisions) -> None:
        """Take in what a listing found.

        It speaks where a state differs from what we knew, late. The first listing of a stream
        speaks of nothing: everything is new to us.
        """
        is_first = self._acquaintance.catch_up(listed.stream)
        late: list[Change] = []
        for number, row in enumerate(listed.rows):
            change = self.inventory.apply_looked(row, f"{self._own_id()}-{number}")
            derived = self.inventory.take_derived()
            found = [change] if change is not None and change.kind is not ChangeKind.SAME else []
            for one in (*found, *derived):
                self.incidents.judge(one, decisions)
                if _speaks_late(one):
                    late.append(one)
        heard = [] if is_first else late
        self.speaking.hear_late(heard, self._own_id(), decisions, self._last_number)
        self.inventory.catch_up(listed.stream)
        self.incidents.listed(listed.stream, listed.at, decisions, is_first=is_first)

    def _decide_tick(self, tick: Tick, decisions: Decisions) -> None:
        self.inventory.tick(tick.at)
        for overdue in self.inventory.take_derived():
            self.speaking.hear(overdue, decisions, self._last_number)
            self.incidents.judge(overdue, decisions)
        self.speaking.tick(tick.at, decisions)
        self.incidents.go_on_withheld(self.silences.tick(tick.at), tick.at, decisions)
        self.incidents.tick(tick.at, decisions)

    def _decide_retry(self, retry: Retry, decisions: Decisions) -> None:
        """Send dead letters again, but none that would tell of an incident what is not so."""
        for row in (row for row in retry.rows if row.state == "dead"):
            is_told = self.incidents.is_told(row.key)
            if row.form == Form.TRIGGER.value and not is_told:
                decisions.owed.append(Dropped(row.row_id, "its incident is closed"))
            elif row.form == Form.RESOLVE.value and is_told:
                decisions.owed.append(Dropped(row.row_id, "its incident is open again"))
            else:
                decisions.owed.append(Revived(row.row_id))


def _speaks_late(change: Change) -> bool:
    """Say whether a listing found something to tell: not what came and went unseen."""
    if change.before is None:
        return change.after.gone_at is None
    return change.kind is ChangeKind.GONE or not change.changed.isdisjoint({"state", "deploy"})
