"""Incidents: open while something is true, for the resources for which it is.

Resources that share a key are one incident, open while any of them is in it. This module says
which rules a change, a look-up or a moment concerns; rules/progress.py says what follows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import attrs

from tutumwatch.events.inputs import Looked
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, Key
from tutumwatch.rules.absences import Absences, absence_of
from tutumwatch.rules.adopting import Adopting
from tutumwatch.rules.counting import Counting
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.dismissing import dismiss
from tutumwatch.rules.entering import Entering
from tutumwatch.rules.excuses import Excuses
from tutumwatch.rules.incident_rules import IncidentRule, RuleForm
from tutumwatch.rules.index import IncidentIndex
from tutumwatch.rules.keeping import Keeping
from tutumwatch.rules.members import IncidentName, Member, MemberName, OpenIncident
from tutumwatch.rules.membership import Membership
from tutumwatch.rules.orphans import Orphans
from tutumwatch.rules.precedence import in_precedence, precedence_of
from tutumwatch.rules.progress import Progress
from tutumwatch.rules.records import Records
from tutumwatch.rules.rejecting import Reject, count_nothing, describe_problem
from tutumwatch.rules.relatives import Relatives
from tutumwatch.rules.restraint import Restraint
from tutumwatch.rules.rule_set import RuleSet
from tutumwatch.rules.silences import Silences
from tutumwatch.rules.standing import Judge
from tutumwatch.rules.tallies import Tallies
from tutumwatch.rules.telling import Telling
from tutumwatch.rules.verifying import Verifying


@attrs.define
class Incidents:
    """Every member of every incident rule, and the incidents that are open.

    ``records``: what has to be kept over a restart; ``keeping`` reads it again.
    """

    rules: RuleSet
    _inventory: Inventory
    _silences: Silences
    _has_listed: Callable[[str], bool]
    counts: Counter[str] = attrs.field(factory=Counter)
    reject: Reject = count_nothing
    records: Records = attrs.field(factory=Records)
    _members: Membership = attrs.field(init=False)
    _tallies: Tallies = attrs.field(init=False)
    _absences: Absences = attrs.field(init=False)
    _counting: Counting = attrs.field(init=False)
    _telling: Telling = attrs.field(init=False)
    _verifying: Verifying = attrs.field(init=False)
    _judge: Judge = attrs.field(init=False)
    _entering: Entering = attrs.field(init=False)
    _progress: Progress = attrs.field(init=False)
    _adopting: Adopting = attrs.field(init=False)
    _relatives: Relatives = attrs.field(init=False)
    _excuses: Excuses = attrs.field(init=False)
    _orphans: Orphans = attrs.field(init=False)
    keeping: Keeping = attrs.field(init=False)
    _concerned: IncidentIndex = attrs.field(init=False)
    _by_name: dict[str, IncidentRule] = attrs.field(init=False)
    _places: dict[str, int] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._members = Membership(self.records)
        self._tallies = Tallies(self.records)
        self._absences = Absences(self._inventory)
        known = (self._inventory, self._silences)
        self._telling = Telling(self.rules, *known, self.records, self.counts, self._reject_rule)
        self._verifying = Verifying(self.rules, self._inventory, self._has_listed)
        self._judge = Judge(
            self.rules,
            self._inventory,
            self._members,
            self._tallies,
            self._absences,
            self._reject_rule,
        )
        self._excuses = Excuses(self._members)
        self._entering = Entering(
            self._inventory, self._members, self._tallies, self._telling, self._excuses.moved
        )
        restraint = Restraint(self._inventory, self._members, self._silences, self._verifying)
        self._progress = Progress(
            self._inventory, self._members, self._judge, self._entering, restraint
        )
        self._counting = Counting(
            self._inventory,
            self.records,
            self._tallies,
            self._judge,
            self._progress,
            self.counts,
        )
        self._adopting = Adopting(
            self._inventory,
            self.records,
            self._members,
            self._tallies,
            self._telling,
            self._progress,
            self._judge,
            self._excuses.moved,
        )
        self._relatives = Relatives(self._inventory)
        self._orphans = Orphans(self._members, self._telling, self._inventory)
        self.keeping = Keeping(
            self.records,
            self._members,
            self._tallies,
            self._counting,
            self._telling,
            self._adopting,
        )
        self._index(self.rules)

    def _index(self, rules: RuleSet) -> None:
        self.rules = self._telling.rules = self._verifying.rules = self._judge.rules = rules
        self._concerned = IncidentIndex(rules.incidents)
        self._by_name = self._concerned.by_name
        self._places = precedence_of(self._by_name)
        self._relatives.use(list(rules.incidents))

    def _reject_rule(self, rule: str, reason: str) -> None:
        self.reject(reason, f"rule {rule!r}".encode())

    def is_needed(self, key: Key) -> bool:
        """Say whether a resource is a member of something and must stay known."""
        return self._members.is_member(key)

    def open_incidents(self) -> list[OpenIncident]:
        """Give the incidents that are open, oldest first."""
        return list(self._telling)

    def members(self) -> list[Member]:
        """Give all that is on its way to be an incident, or is one."""
        return list(self._members)

    @property
    def unrouted(self) -> str:
        """The last incident that nobody was told of, in words; empty if there was none."""
        return self._telling.unrouted

    def is_told(self, key: str) -> bool:
        """Say whether anybody was told that an incident is open, or several under one key."""
        return self._telling.is_told(key)

    # -- news

    def saw(self, number: int) -> None:
        """Take in the number of the last message."""
        self._verifying.number = number

    def judge(self, change: Change, decisions: Decisions) -> None:
        """Judge the resource of a change, and those whose parent or child it is."""
        key = change.after.key
        is_member = self._members.is_member(key)
        concerned = self._concerned
        for rule in concerned.rules_about(key[1]) if is_member else concerned.rules_for(change):
            self._take(rule, change, decisions)
        if change.changed and self._relatives.may_have(key[1]):
            for rule, relative in list(self._relatives.of(change)):
                self._take(rule, relative, decisions)
        if self._members.is_member(key):
            self._judge_counted(change, decisions)
        if self._excuses.has_moved:
            self._settle_excuses(change.at, decisions)

    def _take(self, rule: IncidentRule, change: Change, decisions: Decisions) -> None:
        try:
            match rule.form:
                case RuleForm.WHILE:
                    self._progress.take(rule, change, decisions)
                case RuleForm.EACH:
                    self._counting.take(rule, change, decisions)
                case _:
                    was_absent = self._absences.is_absent(rule.name)
                    self._absences.take(rule, change)
                    if was_absent != self._absences.is_absent(rule.name):
                        self._judge_absence(rule, change.at, decisions)
        except Exception as problem:  # noqa: BLE001 - a bug in one rule must not silence the others
            self._reject_rule(rule.name, describe_problem(problem))

    def _judge_absence(self, rule: IncidentRule, at: float, decisions: Decisions) -> None:
        if self._verifying.may_miss():
            self._progress.take(rule, absence_of(rule, at), decisions)

    def _judge_absences(self, at: float, decisions: Decisions) -> None:
        for rule in self._by_name.values():
            if rule.form is RuleForm.ABSENT:
                self._judge_absence(rule, at, decisions)

    def _judge_counted(self, change: Change, decisions: Decisions) -> None:
        """Judge what was counted for a resource: it may be well by now, or gone."""
        for name in self._members.rules_of(change.after.key):
            rule = self._by_name.get(name)
            if rule is not None and rule.form is RuleForm.EACH:
                self._progress.take(rule, change, decisions)

    def _settle_excuses(self, now: float, decisions: Decisions) -> None:
        self._excuses.settle(self._by_name, self._progress, now, decisions)

    def answer(self, looked: Looked, decisions: Decisions) -> None:
        """Let go on whatever waited for a look-up; what it told was judged already."""
        waiting = self._members.waiting_for(looked.stream, looked.resource_uri)
        for member in in_precedence(waiting, self._places):
            self._progress.answered(self._by_name[member.name[0]], member, looked, decisions)
        self._counting.answer(looked, self._by_name, decisions)
        self._settle_excuses(looked.at, decisions)

    # -- streams

    def connected(self, stream: str, at: float) -> None:
        """Take in that a stream came: nothing acts before it is caught up."""
        self._verifying.readiness.connected(stream, at)

    def lost(self, stream: str) -> None:
        """Take in that a stream went: no incident of its resources ends until it is back."""
        self._verifying.readiness.lost(stream)

    def listed(self, stream: str, at: float, decisions: Decisions, *, is_first: bool) -> None:
        """Take in that all is known that a stream's platform has.

        :param is_first: our store was empty; what was open before us is resolved where it may be.
        """
        if is_first:
            resources = self._inventory.resources_of(stream)
            self._orphans.resolve(self.rules.incidents, resources, at, decisions)
        if self._verifying.readiness.listed(stream):
            self._go_on_ready(stream, at, decisions)
        else:
            self._judge_absences(at, decisions)

    def _go_on_ready(self, stream: str, at: float, decisions: Decisions) -> None:
        self._judge_absences(at, decisions)
        self._go_on_all(self._verifying.take_held(stream), at, decisions)
        self._settle_excuses(at, decisions)

    def greet(self, change: Change, decisions: Decisions) -> None:
        """Take in the first connect of a stream with an empty store: is it well, so it is told."""
        self._orphans.resolve(self.rules.incidents, [change.after], change.at, decisions)

    # -- time

    def next_due(self) -> float | None:
        """Give the earliest time at which something goes on."""
        times = (
            self._members.timers.next_due(),
            self._tallies.next_due(),
            self._counting.next_due(),
            self._telling.next_due(),
            self._verifying.readiness.next_due(),
        )
        return min((t for t in times if t is not None), default=None)

    def tick(self, now: float, decisions: Decisions) -> None:
        """Let whatever has come due go on."""
        for stream in self._verifying.readiness.tick(now):
            self._go_on_ready(stream, now, decisions)
        self._counting.tick(now)
        for name in self._tallies.tick(now):
            self._end_count(name, now, decisions)
        self._go_on_all(self._members.timers.take_due(now), now, decisions)
        for incident in list(self._telling.take_repeats(now)):
            self._tell_again(incident, now, decisions)
        decisions.owed += self._telling.tell_groups(now)
        self._settle_excuses(now, decisions)

    def _go_on_all(self, names: Iterable[MemberName], now: float, decisions: Decisions) -> None:
        known = (member for name in names if (member := self._members.get(name)) is not None)
        for member in in_precedence(known, self._places):
            self._go_on(member, now, decisions)

    def _go_on(self, member: Member, now: float, decisions: Decisions) -> None:
        rule = self._by_name[member.name[0]]
        try:
            self._progress.go_on(rule, member, now, decisions)
        except Exception as problem:  # noqa: BLE001 - the timers of others are taken already
            self._reject_rule(rule.name, describe_problem(problem))

    def _end_count(self, name: MemberName, now: float, decisions: Decisions) -> None:
        member = self._members.get(name)
        if member is not None:
            self._progress.end_count(self._by_name[name[0]], member, now, decisions)

    def _tell_again(self, incident: IncidentName, now: float, decisions: Decisions) -> None:
        rule = self._by_name[incident[0]]
        counted = [m for m in self._members.of_incident(incident) if m.phase.is_counted]
        decisions.owed += self._telling.tell_again(rule, incident, counted[0].change, now)

    def go_on_withheld(self, by: Iterable[str], now: float, decisions: Decisions) -> None:
        """Take in that silences and mutes ended: what is still so is told."""
        ended = set(by)
        withheld = (m.name for m in self._members if m.withheld_by in ended) if ended else ()
        self._go_on_all(withheld, now, decisions)
        self._settle_excuses(now, decisions)

    def resolve_by_hand(self, key: str, now: float, decisions: Decisions) -> int:
        """Close the incidents of a key, because a person says so; say how many."""
        closed = dismiss(key, self._members, self._telling, now, decisions)
        for rule in closed:
            self._excuses.moved(rule)
        self._settle_excuses(now, decisions)
        return len(closed)

    # -- rules and what is kept

    def use(self, rules: RuleSet, now: float, decisions: Decisions) -> None:
        """Go on under these rules; also at the start of every run, under those that it has."""
        self._index(rules)
        self._absences.build(
            rule for rule in self._by_name.values() if rule.form is RuleForm.ABSENT
        )
        self._adopting.adopt(self._by_name, now, decisions)
        self._counting.begin(self._by_name, now, decisions)
        self._judge_absences(now, decisions)
        self._settle_excuses(now, decisions)
