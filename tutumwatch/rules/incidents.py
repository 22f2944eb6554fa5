"""Incidents: open while something is true, for the resources for which it is.

Resources that share a key are one incident, open while any of them is in it. This module says
which rules a change, a look-up or a moment concerns; rules/progress.py says what follows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import attrs

from tutumwatch.events.inputs import Looked, Unanswered
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, Key
from tutumwatch.rules.absences import Absences, absence_of
from tutumwatch.rules.adopting import Adopting
from tutumwatch.rules.counting import Counting
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.excuses import Excuses
from tutumwatch.rules.incident_rules import IncidentRule, RuleForm
from tutumwatch.rules.keeping import Keeping
from tutumwatch.rules.members import IncidentName, Member, OpenIncident, Phase
from tutumwatch.rules.membership import Membership
from tutumwatch.rules.orphans import Orphans
from tutumwatch.rules.progress import Progress
from tutumwatch.rules.records import Records
from tutumwatch.rules.relatives import Relatives
from tutumwatch.rules.rule_set import RuleSet
from tutumwatch.rules.silences import Silences
from tutumwatch.rules.standing import Judge
from tutumwatch.rules.tallies import Tallies
from tutumwatch.rules.telling import Telling
from tutumwatch.rules.verifying import Verifying


def count_nothing(reason: str, sample: bytes) -> None:
    """Stand for whoever counts what could not be decided."""


@attrs.define
class Incidents:
    """Every member of every incident rule, and the incidents that are open.

    ``records``: what has to be kept over a restart; ``keeping`` reads it again.
    """

    rules: RuleSet
    _inventory: Inventory
    _silences: Silences
    counts: Counter[str] = attrs.field(factory=Counter)
    reject: Callable[[str, bytes], None] = count_nothing
    records: Records = attrs.field(factory=Records)
    _members: Membership = attrs.field(init=False)
    _tallies: Tallies = attrs.field(init=False)
    _absences: Absences = attrs.field(init=False)
    _counting: Counting = attrs.field(init=False)
    _telling: Telling = attrs.field(init=False)
    _verifying: Verifying = attrs.field(init=False)
    _judge: Judge = attrs.field(init=False)
    _progress: Progress = attrs.field(init=False)
    _adopting: Adopting = attrs.field(init=False)
    _relatives: Relatives = attrs.field(init=False)
    _excuses: Excuses = attrs.field(init=False)
    _orphans: Orphans = attrs.field(init=False)
    keeping: Keeping = attrs.field(init=False)
    _by_name: dict[str, IncidentRule] = attrs.field(factory=dict)
    _by_type: dict[str, list[IncidentRule]] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self._members = Membership(self.records)
        self._tallies = Tallies(self.records)
        self._absences = Absences(self._inventory)
        self._telling = Telling(self.rules, self._inventory, self.records, self.counts)
        self._verifying = Verifying(self.rules, self._inventory)
        self._judge = Judge(
            self.rules,
            self._inventory,
            self._members,
            self._tallies,
            self._telling,
            self._absences,
            self._reject_rule,
        )
        self._excuses = Excuses(self._members)
        self._progress = Progress(
            self._inventory,
            self._members,
            self._judge,
            self._telling,
            self._tallies,
            self._silences,
            self._verifying,
            self._excuses.moved,
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
            self._silences,
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
        self._by_name = {rule.name: rule for rule in rules.incidents}
        self._by_type = {}
        self._relatives.use(list(rules.incidents))

    def _reject_rule(self, rule: str, reason: str) -> None:
        self.reject(reason, f"rule {rule!r}".encode())

    def _rules_for(self, type_: str) -> list[IncidentRule]:
        """Give the rules that a resource of a type concerns."""
        rules = self._by_type.get(type_)
        if rules is None:
            rules = [rule for rule in self._by_name.values() if rule.may_concern(type_)]
            self._by_type[type_] = rules
        return rules

    def is_needed(self, key: Key) -> bool:
        """Say whether a resource is a member of something and must stay known."""
        return self._members.is_member(key)

    def open_incidents(self) -> list[OpenIncident]:
        """Give the incidents that are open, oldest first."""
        return list(self._telling)

    def members(self) -> list[Member]:
        """Give all that is on its way to be an incident, or is one."""
        return list(self._members)

    def is_told(self, key: str) -> bool:
        """Say whether anybody was told that an incident is open, or several under one key."""
        return self._telling.is_told(key)

    # -- news

    def saw(self, number: int) -> None:
        """Take in the number of the last message."""
        self._verifying.number = number

    def judge(self, change: Change, decisions: Decisions) -> None:
        """Judge the resource of a change, and those whose parent or child it is."""
        for rule in self._rules_for(change.after.key[1]):
            self._take(rule, change, decisions)
        if change.changed:
            for rule, relative in list(self._relatives.of(change)):
                self._take(rule, relative, decisions)
        if self._members.is_member(change.after.key):
            self._judge_counted(change, decisions)
        self._settle_excuses(change.at, decisions)

    def _take(self, rule: IncidentRule, change: Change, decisions: Decisions) -> None:
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

    def _judge_absence(self, rule: IncidentRule, at: float, decisions: Decisions) -> None:
        if all(map(self._verifying.readiness.is_ready, self.rules.streams)):
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
        failed = isinstance(looked.answer, Unanswered)
        for member in self._members.waiting_for(looked.stream, looked.resource_uri):
            now = self._members.get(member.name)
            rule = self._by_name.get(member.name[0])
            if rule is None or now is None or now.check is None or looked.asked < now.check.number:
                continue
            self._progress.answered(
                rule, now, looked.resource_uri, looked.at, decisions, failed=failed
            )
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

    def _go_on_ready(self, stream: str, at: float, decisions: Decisions) -> None:
        self._inventory.catch_up(stream)
        self._judge_absences(at, decisions)
        for name in self._verifying.take_held(stream):
            member = self._members.get(name)
            rule = self._by_name.get(name[0])
            if member is not None and rule is not None:
                # A look-up that was asked for before counts for nothing.
                member = attrs.evolve(member, check=None)
                self._progress.go_on(rule, member, at, decisions)
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
            self._go_on(name, now, decisions, is_over=True)
        for name in list(self._members.timers.take_due(now)):
            self._go_on(name, now, decisions)
        for incident in list(self._telling.take_repeats(now)):
            self._tell_again(incident, now, decisions)
        decisions.owed += self._telling.tell_groups(now)
        self._settle_excuses(now, decisions)

    def _go_on(
        self, name: tuple[str, Key], now: float, decisions: Decisions, *, is_over: bool = False
    ) -> None:
        member = self._members.get(name)
        rule = self._by_name.get(name[0])
        if member is None or rule is None:
            return
        if is_over:
            self._progress.leave(rule, member, now, decisions)
        else:
            self._progress.go_on(rule, member, now, decisions)

    def _tell_again(self, incident: IncidentName, now: float, decisions: Decisions) -> None:
        rule = self._by_name.get(incident[0])
        counted = [m for m in self._members.of_incident(incident) if m.phase.is_counted]
        if rule is not None and counted:
            decisions.owed += self._telling.tell_again(rule, incident, counted[0].change, now)

    def go_on_withheld(self, by: Iterable[str], now: float, decisions: Decisions) -> None:
        """Take in that silences and mutes ended: what is still so is told."""
        ended = set(by)
        for member in self._members:
            rule = self._by_name.get(member.name[0])
            if rule is not None and member.withheld_by in ended and member.phase is Phase.PENDING:
                self._progress.go_on(rule, member, now, decisions)
        self._settle_excuses(now, decisions)

    def go_on_withheld_by_others(
        self, still_there: Iterable[str], now: float, decisions: Decisions
    ) -> None:
        """Take in which silences and mutes there are: what others withheld goes on."""
        withholding = {member.withheld_by or "" for member in self._members} - {""}
        self.go_on_withheld(withholding.difference(still_there), now, decisions)

    def resolve_by_hand(self, key: str, now: float, decisions: Decisions) -> int:
        """Close the incidents of a key, because a person says so; say how many.

        Their members stay quiet until they were well once.
        """
        closed = [one for one in self._telling if key in {one.key, *one.grouped.values()}]
        for one in closed:
            for member in self._members.of_incident(one.name):
                if member.phase.is_counted:
                    dismissed = attrs.evolve(
                        member, phase=Phase.DISMISSED, due=None, check=None, gap_since=None
                    )
                    self._members.keep(dismissed)
            decisions.owed += self._telling.close(one.name, now, why="resolved by hand")
            self._excuses.moved(one.name[0])
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
