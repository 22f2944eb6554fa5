"""The incidents that are open, and who was told of each: openings, groups of them, resolves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs

from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change
from tutumwatch.inventory.timers import Timers
from tutumwatch.rules.grouping import Groups, describe
from tutumwatch.rules.incident_notices import write_notices, write_plainly
from tutumwatch.rules.incident_rules import IncidentRule, RuleForm
from tutumwatch.rules.members import (
    OPEN,
    IncidentName,
    Member,
    OpenIncident,
    decode_open,
    encode,
    record_of,
)
from tutumwatch.rules.messages import DETAILS_UNKNOWN
from tutumwatch.rules.notice import Form, Notice, Severity
from tutumwatch.rules.records import Records
from tutumwatch.rules.rule_set import RuleSet
from tutumwatch.rules.silences import Silences
from tutumwatch.rules.summary import name_of
from tutumwatch.rules.view import View

UNVERIFIED = "unverified"
REROUTED = "others are told of it now"


@attrs.define
class Telling:
    """Opens and closes incidents; every notice about one comes from here.

    ``unrouted``: the last that nobody was told of, in words; empty if there was none. ``reject``:
    told of a rule what could not be computed for it.
    """

    rules: RuleSet
    _inventory: Inventory
    _silences: Silences
    _records: Records
    counts: Counter[str]
    reject: Callable[[str, str], None]
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
        about = rule.name if rule.form is RuleForm.ABSENT else name_of(view)
        if not told and (rule.texts or rule.audience.roles):
            self.counts["unrouted"] += 1
            self.unrouted = f"rule {rule.name!r}: {about}"
        one = OpenIncident(
            member.incident,
            now,
            told,
            member.incident[1],
            self._group(rule, member.incident, member.excused_by, told, now),
            about,
            None if rule.repeat_seconds is None else now + rule.repeat_seconds,
            marks + doubts,
        )
        self._keep(one)
        return self._trigger(rule, one, told, member.change, now, one.marks)

    def audience(self, rule: IncidentRule, view: View) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Give who is to be told, and a mark if that had to be guessed."""
        routed = self.rules.routes.resolve(rule.audience, view)
        doubts: tuple[str, ...] = ()
        if routed.needs:
            routed = self.rules.routes.resolve(rule.audience, view, settled=True)
            doubts = (DETAILS_UNKNOWN,)
        if routed.failed:
            self.reject(rule.name, routed.failed)
        return tuple(n for n in routed.notifiers if n in rule.texts), doubts

    def _group(
        self,
        rule: IncidentRule,
        incident: IncidentName,
        excused_by: IncidentName | None,
        told: Iterable[str],
        now: float,
    ) -> dict[str, str]:
        """Give whom of those that are told is told of a group, and its key."""
        grouped: dict[str, str] = {}
        for notifier in told:
            key = self.groups.key_for(rule, excused_by, notifier, now)
            if key is not None:
                grouped[notifier] = key
                self.groups.add(notifier, key, incident, now)
        return grouped

    def _trigger(
        self,
        rule: IncidentRule,
        one: OpenIncident,
        told: Iterable[str],
        change: Change,
        now: float,
        marks: tuple[str, ...] = (),
    ) -> list[Notice]:
        """Write the triggers of those who are told of an incident by itself."""
        singly = [notifier for notifier in told if notifier not in one.grouped]
        known = (change, self._inventory)
        return write_notices(rule, one.key, Form.TRIGGER, *known, singly, now, marks)

    def tell_again(
        self, rule: IncidentRule, name: IncidentName, change: Change, now: float
    ) -> list[Notice]:
        """Send an open incident's triggers again, and set the time of the next.

        Within a silence or a mute nothing is sent; its end is such a time as well.
        """
        one = self._open[name]
        by = self._silences.withholding(rule.name, View(self._inventory, change), now)
        ends = None if by is None else self._silences.ends_at(by, now)
        times = (None if rule.repeat_seconds is None else now + rule.repeat_seconds, ends)
        repeat_due = min((at for at in times if at is not None), default=None)
        self._keep(attrs.evolve(one, repeat_due=repeat_due))
        return [] if by is not None else self._trigger(rule, one, one.told, change, now)

    def set_repeat(self, rule: IncidentRule, name: IncidentName, now: float) -> None:
        """Tell again of an open incident at the interval of its rule as it is now."""
        one = self._open[name]
        due = None if rule.repeat_seconds is None else now + rule.repeat_seconds
        if due is not None and one.repeat_due is not None:
            due = min(due, one.repeat_due)
        if due != one.repeat_due:
            self._keep(attrs.evolve(one, repeat_due=due))

    def take_repeats(self, now: float) -> Iterator[IncidentName]:
        """Give the incidents that are to be told of again."""
        yield from self._repeats.take_due(now)

    def tell_groups(self, now: float) -> list[Notice]:
        """Tell of the groups that have gathered long enough."""
        notices: list[Notice] = []
        for group, names in self.groups.take_gathered(now):
            opened = [self._open[name] for name in names]
            text = describe(group.key, opened)
            marks = tuple(dict.fromkeys(mark for one in opened for mark in one.marks))
            severity = self._worst({name[0] for name in names})
            about = (names[0][0], group.notifier, group.key, text, now)
            notices += self._plain(Form.TRIGGER, *about, severity, marks)
        return notices

    def _worst(self, rules: set[str]) -> Severity:
        found = {rule.severity for rule in self.rules.incidents if rule.name in rules}
        return next((severity for severity in Severity if severity in found), Severity.CRITICAL)

    # -- closing

    def close(
        self,
        name: IncidentName,
        now: float,
        *,
        rule: IncidentRule | None = None,
        change: Change | None = None,
        why: str = "",
        marks: tuple[str, ...] = (),
    ) -> list[Notice]:
        """Close an incident that is open, and tell whoever was told of it.

        :param rule: its rule, whose text is used where there is one for the notifier.
        :param why: what is said instead where there is none.
        """
        one = self._open.pop(name)
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
                    notices += self.end_group(one.name[0], notifier, group, now)
            elif rule is not None and change is not None and notifier in rule.resolve_texts:
                known = (change, self._inventory)
                notices += write_notices(
                    rule, one.key, Form.RESOLVE, *known, [notifier], now, marks
                )
            else:
                # Of what is absent there is nothing more to say than the name of its rule.
                about = one.name[0] if one.about == one.name[0] else f"{one.name[0]}: {one.about}"
                text = f"{about} is closed: {why}"
                notices += self._plain(Form.RESOLVE, one.name[0], notifier, one.key, text, now)
        return notices

    def end_group(self, rule: str, notifier: str, key: str, now: float) -> list[Notice]:
        """Resolve a group; nothing if the notifier is off."""
        return self._plain(Form.RESOLVE, rule, notifier, key, f"{key}: all are over", now)

    def reroute(
        self, rule: IncidentRule, name: IncidentName, changes: Sequence[Change], now: float
    ) -> list[Notice]:
        """Tell others of an open incident if other rules or routes say so now.

        :param changes: those of what is in it, at least one. As long as those who were told are
            told of any of it, nobody else is; and what would have to be guessed changes nothing.
        """
        one = self._open[name]
        for change in changes:
            told, doubts = self.audience(rule, View(self._inventory, change))
            if doubts or set(told) == set(one.told):
                return []
        told, _ = self.audience(rule, View(self._inventory, changes[0]))
        left = [notifier for notifier in one.told if notifier not in told]
        joined = [notifier for notifier in told if notifier not in one.told]
        notices = self._resolve(one, left, now, None, None, REROUTED)
        grouped = {n: key for n, key in one.grouped.items() if n in told}
        grouped |= self._group(rule, name, None, joined, now)
        one = attrs.evolve(one, told=told, grouped=grouped)
        self._keep(one)
        return notices + self._trigger(rule, one, joined, changes[0], now)

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
        """Resolve an incident that may be open, wherever it may be and that does no harm."""
        known = (change, self._inventory)
        harmless = [n for n in rule.resolve_texts if self.rules.destinations[n].drops_orphans]
        return write_notices(rule, name[1], Form.RESOLVE, *known, harmless, now)

    def end_empty_groups(self, now: float) -> list[Notice]:
        """Resolve the groups of which nobody knows any more what was in them."""
        notices: list[Notice] = []
        for group in self.groups.take_empty():
            notices += self.end_group(group.key, group.notifier, group.key, now)
        return notices

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
        """Put what was open into the order in which it opened, and into its groups."""
        self._open = {one.name: one for one in sorted(self, key=lambda one: one.since)}
        self.groups.restore_members(self._open.values())

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

    def _plain(
        self,
        form: Form,
        rule: str,
        notifier: str,
        key: str,
        text: str,
        now: float,
        severity: Severity = Severity.INFO,
        marks: tuple[str, ...] = (),
    ) -> list[Notice]:
        """Write what no template of a rule says; nothing if the notifier is off."""
        destination = self.rules.destinations.get(notifier)
        if destination is None:
            self.counts["untold resolves"] += form is Form.RESOLVE
            return []
        return [write_plainly(destination, form, rule, key, text, now, severity, marks)]
