"""Incidents: open while something is true, for the resources for which it is.

A member resource goes quiet -> pending -> open -> clearing -> quiet. A gap shorter than
``clear_for`` does not restart ``for``; it does not close an incident either. Resources that share
a key are one incident, open while any of them is in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TypeAlias

import attrs
import msgspec

from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, Key
from tutumwatch.rules.decisions import RecordName
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.matchers import Answer
from tutumwatch.rules.messages import facts_of, render_or_say
from tutumwatch.rules.notice import Destination, Form, Notice
from tutumwatch.rules.timers import Timers
from tutumwatch.rules.view import View


class Phase(Enum):
    """How far a member is: true, but not long enough; counted; over, but not long enough."""

    PENDING = "pending"
    OPEN = "open"
    CLEARING = "clearing"


MemberName: TypeAlias = tuple[str, Key]
"""(rule, resource)"""
IncidentName: TypeAlias = tuple[str, str]
"""(rule, incident key)"""


@attrs.frozen
class Member:
    """A resource for which a rule's condition is true, or was until a moment ago.

    ``since``: when it became true; ``gap_since``: when a pending one became false again; ``due``:
    when it goes on if nothing happens. It is kept over restarts as it is here.
    """

    name: MemberName
    incident: IncidentName
    phase: Phase
    since: float
    change: Change
    gap_since: float | None = None
    due: float | None = None


@attrs.frozen
class OpenIncident:
    """An incident that is open: since when, and the notifiers that were told."""

    name: IncidentName
    since: float
    told: tuple[str, ...]


_MEMBER, _OPEN = "member", "incident"


@attrs.define
class Incidents:
    """Every member of every incident rule, and the incidents that are open.

    :param destinations: the notifiers that are on.
    """

    _rules: Mapping[str, IncidentRule]
    _inventory: Inventory
    _destinations: Mapping[str, Destination]
    _members: dict[MemberName, Member] = attrs.field(factory=dict)
    _open: dict[IncidentName, OpenIncident] = attrs.field(factory=dict)
    _unsaved: dict[RecordName, bytes | None] = attrs.field(factory=dict)
    _timers: Timers[MemberName] = attrs.field(factory=Timers)

    def is_needed(self, key: Key) -> bool:
        """Say whether a resource is a member of something and must stay known."""
        return any((rule, key) in self._members for rule in self._rules)

    def open_incidents(self) -> list[IncidentName]:
        """Give the incidents that are open, oldest first."""
        return list(self._open)

    def is_open(self, name: IncidentName) -> bool:
        """Say whether an incident is open."""
        return name in self._open

    @property
    def has_unsaved(self) -> bool:
        """Whether anything changed that has to be kept over a restart."""
        return bool(self._unsaved)

    def take_unsaved(self) -> dict[RecordName, bytes | None]:
        """Give what has to be kept over a restart and changed since this was asked last."""
        unsaved, self._unsaved = self._unsaved, {}
        return unsaved

    def restore(self, records: Mapping[RecordName, bytes], now: float) -> None:
        """Begin with what was open, and on its way to be, when we last ran.

        What is dated later than now comes from a clock that was wrong: it counts from now.
        """
        decoder = msgspec.msgpack.Decoder(Member)
        for (kind, _), record in records.items():
            if kind == _MEMBER:
                member = decoder.decode(record)
                ahead = max(0.0, member.since - now)
                due = None if member.due is None else member.due - ahead
                self._keep(attrs.evolve(member, since=member.since - ahead, due=due))
        opened = msgspec.msgpack.Decoder(OpenIncident)
        known = [opened.decode(value) for (kind, _), value in records.items() if kind == _OPEN]
        self._open = {one.name: one for one in sorted(known, key=lambda one: one.since)}

    def save_everything(self) -> None:
        """Count all that is kept over a restart as changed: what was kept is lost."""
        for member in self._members.values():
            self._unsaved[_record(_MEMBER, *member.name)] = msgspec.msgpack.encode(member)
        for one in self._open.values():
            self._unsaved[_record(_OPEN, *one.name)] = msgspec.msgpack.encode(one)

    def close_abandoned(self, now: float) -> list[Notice]:
        """Resolve what was open when we last ran and nothing can close any more.

        Its rule is gone from the configuration, or there is no resource in it of which anything
        could be heard.
        """
        for member in list(self._members):
            if member[0] not in self._rules or self._inventory.get(member[1]) is None:
                self._forget(member)
        inhabited = {member.incident for member in self._members.values()}
        notices: list[Notice] = []
        for name in [name for name in self._open if name not in inhabited]:
            why = "nothing is in it" if name[0] in self._rules else "its rule was removed"
            notices += self._close_abandoned(name, why, now)
        return notices

    def _close_abandoned(self, name: IncidentName, why: str, now: float) -> list[Notice]:
        told = [self._destinations[n] for n in self._pop_open(name) if n in self._destinations]
        return [
            Notice(
                id=f"{name[0]}/{name[1]}/{Form.RESOLVE.value}/{destination.name}/{now}",
                form=Form.RESOLVE,
                rule=name[0],
                notifier=destination.name,
                key=name[1],
                text=destination.escape(f"{name[0]}: {name[1]} is closed: {why}"),
                at=now,
            )
            for destination in told
        ]

    def next_due(self) -> float | None:
        """Give the earliest time at which a member goes on."""
        return self._timers.next_due()

    def judge(self, change: Change) -> list[Notice]:
        """Judge the resource of a change under every rule that can match its type."""
        notices: list[Notice] = []
        for rule in self._rules.values():
            if rule.matcher.may_match(change.after.type):
                notices += self._judge(rule, change)
        return notices

    def tick(self, now: float) -> list[Notice]:
        """Let the members go on whose time has come."""
        notices: list[Notice] = []
        for name in self._timers.take_due(now):
            member = self._members[name]
            rule = self._rules[name[0]]
            if member.phase is Phase.PENDING and member.gap_since is None:
                notices += self._open_for(rule, member, now)
            else:
                notices += self._leave(rule, member, now)
        return notices

    def resolve_orphans(self, change: Change) -> list[Notice]:
        """Resolve what a process before us may have opened for a resource that is well.

        We know nothing of it (our store is empty), so this goes only to destinations that ignore
        a resolve of what is not open.
        """
        notices: list[Notice] = []
        for rule in self._rules.values():
            if not rule.matcher.may_match(change.after.type):
                continue
            view = View(self._inventory, change)
            if rule.matcher.judge(view).answer is Answer.NO:
                name = self._incident_name(rule, change)
                told = tuple(n for n in rule.resolve_texts if self._destinations[n].drops_orphans)
                if name not in self._open:
                    notices += self._write(rule, name, Form.RESOLVE, change, told, change.at)
        return notices

    def _judge(self, rule: IncidentRule, change: Change) -> list[Notice]:
        name = (rule.name, change.after.key)
        member = self._members.get(name)
        if change.after.gone_at is not None:
            if member is None:
                return []
            return self._leave(rule, attrs.evolve(member, change=change), change.at)
        verdict = rule.matcher.judge(View(self._inventory, change))
        if verdict.answer is Answer.UNKNOWN:
            return []
        if verdict.answer is Answer.YES:
            return self._becomes_true(rule, name, member, change)
        return self._becomes_false(rule, member, change)

    def _becomes_true(
        self, rule: IncidentRule, name: MemberName, member: Member | None, change: Change
    ) -> list[Notice]:
        # The Tick that ends a gap may be late.
        if member is None or _gap_seconds(member, change.at) >= rule.clear_for_seconds:
            incident = self._incident_name(rule, change)
            member = Member(name, incident, Phase.PENDING, change.at, change)
        if member.phase is not Phase.PENDING:
            self._keep(attrs.evolve(member, phase=Phase.OPEN, change=change, due=None))
            return []
        member = attrs.evolve(member, change=change, gap_since=None)
        due = member.since + rule.for_seconds
        if due <= change.at:
            return self._open_for(rule, member, change.at)
        self._keep(attrs.evolve(member, due=due))
        return []

    def _becomes_false(
        self, rule: IncidentRule, member: Member | None, change: Change
    ) -> list[Notice]:
        if member is None or member.gap_since is not None or member.phase is Phase.CLEARING:
            return []
        if member.phase is Phase.PENDING:
            member = attrs.evolve(member, gap_since=change.at)
        else:
            member = attrs.evolve(member, phase=Phase.CLEARING, change=change)
        if rule.clear_for_seconds <= 0:
            return self._leave(rule, member, change.at)
        self._keep(attrs.evolve(member, due=change.at + rule.clear_for_seconds))
        return []

    def _open_for(self, rule: IncidentRule, member: Member, now: float) -> list[Notice]:
        self._keep(attrs.evolve(member, phase=Phase.OPEN, due=None))
        if member.incident in self._open:
            return []
        told = tuple(rule.texts)
        opened = OpenIncident(member.incident, now, told)
        self._open[member.incident] = opened
        self._unsaved[_record(_OPEN, *member.incident)] = msgspec.msgpack.encode(opened)
        return self._write(rule, member.incident, Form.TRIGGER, member.change, told, now)

    def _leave(self, rule: IncidentRule, member: Member, now: float) -> list[Notice]:
        self._forget(member.name)
        incident = member.incident
        counted = (m for m in self._members.values() if m.incident == incident)
        if incident not in self._open or any(m.phase is not Phase.PENDING for m in counted):
            return []
        told = self._pop_open(incident)
        return self._write(rule, incident, Form.RESOLVE, member.change, told, now)

    def _keep(self, member: Member) -> None:
        self._members[member.name] = member
        self._unsaved[_record(_MEMBER, *member.name)] = msgspec.msgpack.encode(member)
        if member.due is None:
            self._timers.cancel(member.name)
        else:
            self._timers.set(member.name, member.due)

    def _forget(self, name: MemberName) -> None:
        self._timers.cancel(name)
        if self._members.pop(name, None) is not None:
            self._unsaved[_record(_MEMBER, *name)] = None

    def _pop_open(self, name: IncidentName) -> tuple[str, ...]:
        self._unsaved[_record(_OPEN, *name)] = None
        return self._open.pop(name).told

    def _incident_name(self, rule: IncidentRule, change: Change) -> IncidentName:
        default = "/".join((rule.name, *(part for part in change.after.key if part)))
        if rule.key is None:
            return (rule.name, default)
        view = View(self._inventory, change)
        try:
            key = rule.key.render({path: view.value(path) for path in rule.key.paths})
        except Exception:  # noqa: BLE001 - a template may raise anything; the default key serves
            key = default
        return (rule.name, key.strip() or default)

    def _write(
        self,
        rule: IncidentRule,
        incident: IncidentName,
        form: Form,
        change: Change,
        notifiers: Sequence[str],
        now: float,
    ) -> list[Notice]:
        texts = rule.texts if form is Form.TRIGGER else rule.resolve_texts
        view = View(self._inventory, change)
        return [
            Notice(
                id=f"{change.id}/{rule.name}/{form.value}/{notifier}/{now}",
                form=form,
                rule=rule.name,
                notifier=notifier,
                key=incident[1],
                text=render_or_say(texts[notifier], view, change),
                at=now,
                severity=rule.severity,
                details=facts_of(change.after),
            )
            for notifier in notifiers
        ]


def _record(kind: str, *name: object) -> RecordName:
    return (kind, msgspec.json.encode(name).decode())


def _gap_seconds(member: Member, now: float) -> float:
    return -1.0 if member.gap_since is None else now - member.gap_since
