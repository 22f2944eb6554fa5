"""Incidents: open while something is true, for the resources for which it is.

A member resource goes quiet -> pending -> open -> clearing -> quiet. A gap shorter than
``clear_for`` does not restart ``for``; it does not close an incident either. Resources that share
a key are one incident, open while any of them is in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import msgspec

from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, Key
from tutumwatch.rules.decisions import RecordName
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.matchers import Answer
from tutumwatch.rules.members import (
    MEMBER,
    OPEN,
    IncidentName,
    Member,
    MemberName,
    OpenIncident,
    Phase,
    counted_from,
    decode_member,
    decode_open,
    encode,
    record_of,
)
from tutumwatch.rules.messages import facts_of, render_or_say
from tutumwatch.rules.notice import Destination, Form, Notice
from tutumwatch.rules.timers import Timers
from tutumwatch.rules.view import View


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

    def restore(self, records: Mapping[RecordName, bytes], now: float) -> int:
        """Begin with what was open, and on its way to be, when we last ran.

        What is dated later than now comes from a clock that was wrong: it counts from now.

        :return: how many records could not be read; they are forgotten.
        """
        known: list[OpenIncident] = []
        unreadable = 0
        for name, record in records.items():
            try:
                if name[0] == MEMBER:
                    self._keep(counted_from(decode_member(record), now))
                elif name[0] == OPEN:
                    known.append(decode_open(record))
            except msgspec.MsgspecError:
                unreadable += 1
                self._unsaved[name] = None
        self._open = {one.name: one for one in sorted(known, key=lambda one: one.since)}
        return unreadable

    def save_everything(self) -> None:
        """Count all that is kept over a restart as changed: what was kept is lost."""
        for member in self._members.values():
            self._unsaved[record_of(MEMBER, *member.name)] = encode(member)
        for one in self._open.values():
            self._unsaved[record_of(OPEN, *one.name)] = encode(one)

    def close_abandoned(self, now: float) -> list[Notice]:
        """Resolve what was open when we last ran and nothing can close any more.

        Its rule is gone from the configuration, or is about another type by now, or there is no
        resource in it of which anything could be heard.
        """
        for name in list(self._members):
            rule = self._rules.get(name[0])
            is_judged = rule is not None and rule.matcher.may_match(name[1][1])
            if not is_judged or self._inventory.get(name[1]) is None:
                self._forget(name)
        inhabited = {member.incident for member in self._members.values()}
        notices: list[Notice] = []
        for incident in [incident for incident in self._open if incident not in inhabited]:
            why = "nothing is in it" if incident[0] in self._rules else "its rule was removed"
            for notifier in self._pop_open(incident):
                notices += self._close_plainly(incident, notifier, why, now)
        return notices

    def _close_plainly(
        self, incident: IncidentName, notifier: str, why: str, now: float
    ) -> list[Notice]:
        """Resolve an incident where its rule has no text for it; nothing if that is off."""
        destination = self._destinations.get(notifier)
        if destination is None:
            return []
        return [
            Notice(
                id=f"{incident[0]}/{incident[1]}/{Form.RESOLVE.value}/{notifier}/{now}",
                form=Form.RESOLVE,
                rule=incident[0],
                notifier=notifier,
                key=incident[1],
                text=destination.escape(f"{incident[0]}: {incident[1]} is closed: {why}"),
                at=now,
            )
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
        self._unsaved[record_of(OPEN, *member.incident)] = encode(opened)
        return self._write(rule, member.incident, Form.TRIGGER, member.change, told, now)

    def _leave(self, rule: IncidentRule, member: Member, now: float) -> list[Notice]:
        self._forget(member.name)
        incident = member.incident
        counted = (m for m in self._members.values() if m.incident == incident)
        if incident not in self._open or any(m.phase is not Phase.PENDING for m in counted):
            return []
        told = self._pop_open(incident)
        written = [notifier for notifier in told if notifier in rule.resolve_texts]
        notices = self._write(rule, incident, Form.RESOLVE, member.change, written, now)
        for notifier in told:
            if notifier not in rule.resolve_texts:
                # It was told before a restart that changed the rule.
                notices += self._close_plainly(incident, notifier, "it is over", now)
        return notices

    def _keep(self, member: Member) -> None:
        self._members[member.name] = member
        self._unsaved[record_of(MEMBER, *member.name)] = encode(member)
        if member.due is None:
            self._timers.cancel(member.name)
        else:
            self._timers.set(member.name, member.due)

    def _forget(self, name: MemberName) -> None:
        self._timers.cancel(name)
        del self._members[name]
        self._unsaved[record_of(MEMBER, *name)] = None

    def _pop_open(self, name: IncidentName) -> tuple[str, ...]:
        self._unsaved[record_of(OPEN, *name)] = None
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


def _gap_seconds(member: Member, now: float) -> float:
    return -1.0 if member.gap_since is None else now - member.gap_since
