"""Incidents: open while something is true, for the resources for which it is.

A member resource goes quiet -> pending -> open -> clearing -> quiet. A gap shorter than
``clear_for`` does not restart ``for``; it does not close an incident either. Resources that share
a key are one incident, open while any of them is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, TypeAlias

import attrs
import msgspec

from tutumwatch.events.inputs import LINK_TYPES
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, Key
from tutumwatch.rules.matchers import Answer, Matcher, compile_matcher
from tutumwatch.rules.messages import compile_texts, facts_of, render_or_say
from tutumwatch.rules.notice import Destination, Form, Notice, Severity
from tutumwatch.rules.texts import Text, TextError, compile_text
from tutumwatch.rules.timers import Timers
from tutumwatch.rules.view import View
from tutumwatch.settings import Duration, Settings

DEFAULT_TEXT = "{{ type }} {{ name }} is {{ state | lower }}: {{ reason }}"
DEFAULT_RESOLVE_TEXT = "{{ type }} {{ name }} is {{ state | lower }}"


class IncidentSettings(Settings, frozen=True, kw_only=True):
    """One ``[[incidents]]`` table: something open while something is true."""

    name: str
    while_: Any = msgspec.field(name="while")
    notify: list[str]
    for_: Duration = msgspec.field(name="for", default=Duration(15.0))
    clear_for: Duration = Duration(5.0)
    key: str | None = None
    severity: Severity = Severity.CRITICAL
    text: str = DEFAULT_TEXT
    resolve_text: str = DEFAULT_RESOLVE_TEXT


@attrs.frozen
class IncidentRule:
    """A compiled ``[[incidents]]`` table; texts by notifier, those that are on."""

    name: str
    matcher: Matcher
    for_seconds: float
    clear_for_seconds: float
    key: Text | None
    severity: Severity
    texts: Mapping[str, Text]
    resolve_texts: Mapping[str, Text]


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

    ``since``: when it became true; ``gap_since``: when a pending one became false again.
    """

    name: MemberName
    incident: IncidentName
    phase: Phase
    since: float
    change: Change
    gap_since: float | None = None


@attrs.define
class Incidents:
    """Every member of every incident rule, and the incidents that are open.

    :param drops_orphans: the notifiers that ignore a resolve of what is not open.
    """

    _rules: Mapping[str, IncidentRule]
    _inventory: Inventory
    _drops_orphans: frozenset[str]
    _members: dict[MemberName, Member] = attrs.field(factory=dict)
    _open: dict[IncidentName, tuple[str, ...]] = attrs.field(factory=dict)
    _timers: Timers[MemberName] = attrs.field(factory=Timers)

    def is_needed(self, key: Key) -> bool:
        """Say whether a resource is a member of something and must stay known."""
        return any((rule, key) in self._members for rule in self._rules)

    def open_incidents(self) -> list[IncidentName]:
        """Give the incidents that are open, oldest first."""
        return list(self._open)

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
                told = tuple(n for n in rule.resolve_texts if n in self._drops_orphans)
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
            self._timers.cancel(name)
            self._members[name] = attrs.evolve(member, phase=Phase.OPEN, change=change)
            return []
        member = attrs.evolve(member, change=change, gap_since=None)
        due = member.since + rule.for_seconds
        if due <= change.at:
            return self._open_for(rule, member, change.at)
        self._members[name] = member
        self._timers.set(name, due)
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
        self._members[member.name] = member
        self._timers.set(member.name, change.at + rule.clear_for_seconds)
        return []

    def _open_for(self, rule: IncidentRule, member: Member, now: float) -> list[Notice]:
        self._timers.cancel(member.name)
        self._members[member.name] = attrs.evolve(member, phase=Phase.OPEN)
        if member.incident in self._open:
            return []
        told = tuple(rule.texts)
        self._open[member.incident] = told
        return self._write(rule, member.incident, Form.TRIGGER, member.change, told, now)

    def _leave(self, rule: IncidentRule, member: Member, now: float) -> list[Notice]:
        self._timers.cancel(member.name)
        self._members.pop(member.name, None)
        incident = member.incident
        counted = (m for m in self._members.values() if m.incident == incident)
        if incident not in self._open or any(m.phase is not Phase.PENDING for m in counted):
            return []
        told = self._open.pop(incident)
        return self._write(rule, incident, Form.RESOLVE, member.change, told, now)

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


def compile_incident(
    settings: IncidentSettings,
    destinations: Mapping[str, Destination],
    known: Sequence[str],
    mistake: Callable[[str, str], None],
) -> IncidentRule:
    """Compile an ``[[incidents]]`` table; the parameters are those of ``compile_message``."""
    matcher = compile_matcher(
        settings.while_, lambda where, what: mistake(f"while.{where}".rstrip("."), what)
    )
    if matcher.types is None or not matcher.types <= LINK_TYPES:
        mistake("while.type", 'an incident is about the type "stream" or "notifier"')
    key = None
    if settings.key is not None:
        try:
            key = compile_text(settings.key, str)
        except TextError as problem:
            mistake("key", str(problem))
    args = (settings.notify, destinations, known)
    texts = compile_texts("text", settings.text, *args, mistake)
    # A notifier that does not exist was told with the first text.
    resolve_texts = compile_texts(
        "resolve_text",
        settings.resolve_text,
        *args,
        lambda where, what: None if where == "notify" else mistake(where, what),
    )
    return IncidentRule(
        name=settings.name,
        matcher=matcher,
        for_seconds=settings.for_.seconds,
        clear_for_seconds=settings.clear_for.seconds,
        key=key,
        severity=settings.severity,
        texts=texts,
        resolve_texts=resolve_texts,
    )
