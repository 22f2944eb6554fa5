"""The incidents that are open, and who was told of each: openings, groups of them, resolves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change
from tutumwatch.inventory.timers import Timers
from tutumwatch.rules.grouping import Groups
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.members import (
    OPEN,
    IncidentName,
    Member,
    OpenIncident,
    decode_open,
    encode,
    record_of,
)
from tutumwatch.rules.messages import DETAILS_UNKNOWN, facts_of, render_or_say
from tutumwatch.rules.notice import Form, Notice, Severity
from tutumwatch.rules.records import Records
from tutumwatch.rules.rule_set import RuleSet
from tutumwatch.rules.summary import name_of
from tutumwatch.rules.texts import Text
from tutumwatch.rules.view import View

UNVERIFIED = "unverified"


@attrs.define
class Telling:
    """Opens and closes incidents; every notice about one is written here.

    ``unrouted``: the last that nobody was told of, in words; empty if there was none.
    """

    rules: RuleSet
    _inventory: Inventory
    _records: Records
    counts: Counter[str]
    unrouted: str = ""
    _open: dict[IncidentName, OpenIncident] = attrs.field(factory=dict)
    _repeats: Timers[IncidentName] = attrs.field(factory=Timers)
    groups: Groups = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.groups = Groups(self._records)

    def __iter__(self) -> Iterator[OpenIncident]:
        """Give the open incidents, oldest first."""
        return iter(list(self._open.values()))

    def get(self, name: IncidentName) -> OpenIncident | None:
        """Give an incident that is open, or None."""
        return self._open.get(name)

    def is_told(self, key: str) -> bool:
        """Say whether anybody was told that an incident, or a group of them, is open."""
        return self.groups.is_told(key) or any(one.key == key for one in self._open.values())

    # -- opening

    def open(
        self, rule: IncidentRule, member: Member, now: float, marks: tuple[str, ...]
    ) -> list[Notice]:
        """Open an incident for a member, and tell whoever a route or the rule names."""
        view = View(self._inventory, member.change)
        told, doubts = self.audience(rule, view)
        if not told and (rule.texts or rule.audience.roles):
            self.counts["unrouted"] += 1
            self.unrouted = f"{rule.name}: {name_of(view)}"
        about = name_of(view)
        grouped: dict[str, str] = {}
        for notifier in told:
            key = self.groups.key_for(rule, member, notifier, now)
            if key is not None:
                grouped[notifier] = key
                self.groups.add(notifier, key, rule.name, member.incident, now)
        repeat_due = None if rule.repeat_seconds is None else now + rule.repeat_seconds
        opened = OpenIncident(
            member.incident, now, told, member.incident[1], grouped, about, repeat_due
        )
        self._keep(opened)
        singly = [notifier for notifier in told if notifier not in grouped]
        return self._write(rule, opened, Form.TRIGGER, member.change, singly, now, marks + doubts)

    def audience(self, rule: IncidentRule, view: View) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Give who is to be told, and a mark if that had to be guessed."""
        routed = self.rules.routes.resolve(rule.audience, view)
        doubts: tuple[str, ...] = ()
        if routed.needs:
            routed = self.rules.routes.resolve(rule.audience, view, settled=True)
            doubts = (DETAILS_UNKNOWN,)
        return tuple(n for n in routed.notifiers if n in rule.texts), doubts

    def tell_again(
        self, rule: IncidentRule, name: IncidentName, change: Change, now: float
    ) -> list[Notice]:
        """Send an open incident's triggers again, and set the time of the next."""
        one = self._open[name]
        repeat_due = None if rule.repeat_seconds is None else now + rule.repeat_seconds
        self._keep(attrs.evolve(one, repeat_due=repeat_due))
        singly = [notifier for notifier in one.told if notifier not in one.grouped]
        return self._write(rule, one, Form.TRIGGER, change, singly, now)

    def take_repeats(self, now: float) -> Iterator[IncidentName]:
        """Give the incidents that are to be told of again."""
        yield from self._repeats.take_due(now)

    def tell_groups(self, now: float) -> list[Notice]:
        """Tell of the groups that have gathered long enough."""
        notices: list[Notice] = []
        for group in self.groups.take_gathered(now):
            abouts = [self._open[name].about for name in group.members if name in self._open]
            text = self.groups.describe(group, abouts)
            notices += self._plain(Form.TRIGGER, group.rule, group.notifier, group.key, text, now)
        return notices

    # -- closing

    def close(
        self,
        name: IncidentName,
        now: float,
        *,
        rule: IncidentRule | None = None,
        change: Change | None = None,
        why: str = "it is over",
        marks: tuple[str, ...] = (),
    ) -> list[Notice]:
        """Close an incident and tell whoever was told of it; nothing if it is not open.

        :param rule: its rule, whose text is used where there is one for the notifier.
        :param why: what is said instead where there is none.
        """
        one = self._open.pop(name, None)
        if one is None:
            return []
        self._repeats.cancel(name)
        self._records.put(record_of(OPEN, *name), None)
        return self._resolve(one, one.told, now, rule, change, why, marks)

    def _resolve(
        self,
        one: OpenIncident,
        notifiers: Iterable[str],
        now: float,
        rule: IncidentRule | None,
        change: Change | None,
        why: str,
        marks: tuple[str, ...] = (),
    ) -> list[Notice]:
        notices: list[Notice] = []
        for notifier in notifiers:
            group = one.grouped.get(notifier)
            if group is not None:
                if self.groups.remove(notifier, group, one.name):
                    text = f"{group}: all are over"
                    notices += self._plain(Form.RESOLVE, one.name[0], notifier, group, text, now)
            elif rule is not None and change is not None and notifier in rule.resolve_texts:
                notices += self._write(rule, one, Form.RESOLVE, change, [notifier], now, marks)
            else:
                about = one.about or one.name[1]
                text = f"{one.name[0]}: {about} is closed: {why}"
                notices += self._plain(Form.RESOLVE, one.name[0], notifier, one.key, text, now)
        return notices

    def reroute(
        self, rule: IncidentRule, name: IncidentName, change: Change, now: float
    ) -> list[Notice]:
        """Tell others of an open incident if other rules or routes say so now.

        What had to be guessed changes nothing.
        """
        one = self._open[name]
        told, doubts = self.audience(rule, View(self._inventory, change))
        if doubts or set(told) == set(one.told):
            return []
        left = [notifier for notifier in one.told if notifier not in told]
        joined = [notifier for notifier in told if notifier not in one.told]
        notices = self._resolve(one, left, now, None, None, "others are told of it now")
        grouped = {n: key for n, key in one.grouped.items() if n in told}
        one = attrs.evolve(one, told=told, grouped=grouped)
        self._keep(one)
        return notices + self._write(rule, one, Form.TRIGGER, change, joined, now)

    def rename(self, name: IncidentName, new: IncidentName) -> None:
        """Go on with an incident whose rule has another name; its key stays what was told."""
        one = self._open.pop(name)
        self._records.put(record_of(OPEN, *name), None)
        self._repeats.cancel(name)
        self.groups.rename(one, new)
        self._keep(attrs.evolve(one, name=new))

    def resolve_orphan(
        self, rule: IncidentRule, name: IncidentName, change: Change, now: float
    ) -> list[Notice]:
        """Resolve what a process before us may have opened, where that does no harm."""
        told, _ = self.audience(rule, View(self._inventory, change))
        orphan = OpenIncident(name, now, told, name[1])
        harmless = [n for n in told if self.rules.destinations[n].drops_orphans]
        return self._write(rule, orphan, Form.RESOLVE, change, harmless, now)

    def resolve_orphaned_groups(self, rules: Iterable[IncidentRule], now: float) -> list[Notice]:
        """Resolve what groups a process before us may have opened, where that does no harm."""
        notices: list[Notice] = []
        for rule in rules:
            for notifier in self.rules.routes.reachable(rule.audience):
                destination = self.rules.destinations.get(notifier)
                if destination is None or not destination.drops_orphans:
                    continue
                for key in self.groups.keys_of(rule):
                    notices += self._plain(
                        Form.RESOLVE, rule.name, notifier, key, f"{key}: all are over", now
                    )
        return list({(one.notifier, one.key): one for one in notices}.values())

    # -- what is kept

    def next_due(self) -> float | None:
        """Give when somebody is to be told next."""
        times = (self._repeats.next_due(), self.groups.next_due())
        return min((t for t in times if t is not None), default=None)

    def restore(self, record: bytes) -> None:
        """Go on with an incident that was open; :meth:`restored` comes after the last.

        :raises MsgspecError: if it cannot be read.
        """
        one = decode_open(record)
        self._open[one.name] = one
        if one.repeat_due is not None:
            self._repeats.set(one.name, one.repeat_due)

    def restored(self) -> None:
        """Put what was open into the order in which it opened."""
        self._open = {one.name: one for one in sorted(self, key=lambda one: one.since)}

    def set_repeat(self, rule: IncidentRule, name: IncidentName, now: float) -> None:
        """Tell again of an open incident at the interval of its rule as it is now."""
        one = self._open[name]
        if (one.repeat_due is None) is not (rule.repeat_seconds is None):
            due = None if rule.repeat_seconds is None else now + rule.repeat_seconds
            self._keep(attrs.evolve(one, repeat_due=due))

    def save_everything(self) -> None:
        """Record everything again."""
        for one in self._open.values():
            self._records.put(record_of(OPEN, *one.name), encode(one))
        self.groups.save_everything()

    def _keep(self, one: OpenIncident) -> None:
        self._open[one.name] = one
        self._records.put(record_of(OPEN, *one.name), encode(one))
        if one.repeat_due is None:
            self._repeats.cancel(one.name)
        else:
            self._repeats.set(one.name, one.repeat_due)

    # -- notices

    def _write(
        self,
        rule: IncidentRule,
        one: OpenIncident,
        form: Form,
        change: Change,
        notifiers: Sequence[str],
        now: float,
        marks: tuple[str, ...] = (),
    ) -> list[Notice]:
        texts: Mapping[str, Text] = rule.texts if form is Form.TRIGGER else rule.resolve_texts
        view = View(self._inventory, change)
        ending = "".join(f" ({mark})" for mark in marks)
        return [
            Notice(
                id=f"{change.id}/{rule.name}/{form.value}/{notifier}/{now}",
                form=form,
                rule=rule.name,
                notifier=notifier,
                key=one.key,
                text=render_or_say(texts[notifier], view, change) + ending,
                at=now,
                severity=rule.severity,
                marks=marks,
                details=facts_of(change.after, view),
            )
            for notifier in notifiers
        ]

    def _plain(
        self, form: Form, rule: str, notifier: str, key: str, text: str, now: float
    ) -> list[Notice]:
        """Write what no template of a rule says; nothing if the notifier is off."""
        destination = self.rules.destinations.get(notifier)
        if destination is None:
            self.counts["untold resolves"] += form is Form.RESOLVE
            return []
        severity = Severity.CRITICAL if form is Form.TRIGGER else Severity.INFO
        return [
            Notice(
                id=f"{rule}/{key}/{form.value}/{notifier}/{now}",
                form=form,
                rule=rule,
                notifier=notifier,
                key=key,
                text=destination.escape(text),
                at=now,
                severity=severity,
            )
        ]
