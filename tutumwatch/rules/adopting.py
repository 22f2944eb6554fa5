"""Goes on under rules that may be others than before: at every start, and at a reload.

No page stays open that nothing would close any more, none is sent twice, and no timer restarts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
from msgspec.structs import replace

from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change
from tutumwatch.rules.absences import TYPE as ABSENT_TYPE
from tutumwatch.rules.absences import absence_of
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.incident_rules import IncidentRule, RuleForm
from tutumwatch.rules.matchers import Answer
from tutumwatch.rules.members import RULE, IncidentName, Member, Phase, record_of
from tutumwatch.rules.membership import Membership
from tutumwatch.rules.naming import moved_incident_of
from tutumwatch.rules.progress import Progress
from tutumwatch.rules.records import Records
from tutumwatch.rules.standing import Judge
from tutumwatch.rules.tallies import Tallies
from tutumwatch.rules.telling import Telling
from tutumwatch.rules.touching import present, touched
from tutumwatch.rules.view import View

REMOVED = "its rule was removed"
CHANGED = "its rule was changed"
IGNORED = "it is ignored now"
EMPTY = "nothing is in it"


@attrs.define
class Adopting:
    """Takes over members and open incidents; knows by their digests which rules are new.

    ``on_close``: told of each rule of which an incident closed.
    """

    _inventory: Inventory
    _records: Records
    _members: Membership
    _tallies: Tallies
    _telling: Telling
    _progress: Progress
    _judge: Judge
    _on_close: Callable[[str], None]
    _digests: dict[str, str] = attrs.field(factory=dict)

    def adopt(self, rules: Mapping[str, IncidentRule], now: float, decisions: Decisions) -> None:
        """Go on under these rules."""
        for new in rules.values():
            if new.was is not None and self._is_renamed(new, new.was, rules):
                self._rename(new, new.was)
        self._tallies.use(rules)
        changed = {name for name, rule in rules.items() if self._digests.get(name) != rule.digest}
        ignored = set[IncidentName]()
        for member in self._members:
            if self._take_over(member, rules, changed, now):
                ignored.add(member.incident)
        for one in self._telling:
            rule, is_changed = rules.get(one.name[0]), one.name[0] in changed
            why = IGNORED if one.name in ignored else CHANGED if is_changed else EMPTY
            self._take_over_incident(one.name, rule, why, now, decisions)
        decisions.owed += self._telling.end_empty_groups(now)
        for name in rules:
            if name in changed and rules[name].form is RuleForm.WHILE:
                self._judge_everything(rules[name], now, decisions)
        self._remember(rules)

    # -- a rule that has another name

    def _is_renamed(self, rule: IncidentRule, was: str, rules: Mapping[str, IncidentRule]) -> bool:
        """Say whether a rule is one that was in force under another name until now."""
        return was in self._digests and was not in rules and rule.name not in self._digests

    def _rename(self, rule: IncidentRule, old: str) -> None:
        for member in self._members:
            if member.name[0] == old:
                self._members.forget(member.name)
                self._members.keep(_renamed(rule, member))
        for one in self._telling:
            if one.name[0] == old:
                self._telling.rename(one.name, renamed_incident(rule, one.name))
        self._tallies.rename(old, rule.name)
        self._digests[rule.name] = self._digests.pop(old)
        self._records.put(record_of(RULE, old), None)
        self._records.put(record_of(RULE, rule.name), self._digests[rule.name].encode())

    # -- members

    def _take_over(
        self, member: Member, rules: Mapping[str, IncidentRule], changed: set[str], now: float
    ) -> bool:
        """Let a member go on under its rule, or end if nothing can be heard of it any more.

        :return: whether it ends because it is ignored now.
        """
        rule = rules.get(member.name[0])
        if rule is None or not self._is_known(member) or not self._is_member_of(rule, member):
            self._forget(member)
            return False
        incident, phase, is_changed = member.incident, member.phase, rule.name in changed
        if is_changed:
            change = present(self._inventory, member, now)
            is_ignored = self._judge.is_ignored(rule, View(self._inventory, change))
            if is_ignored or self._is_over(rule, change, member, now):
                self._forget(member)
                return is_ignored
            incident = moved_incident_of(rule, member, change, self._inventory)
        if phase.is_counted and self._telling.get(incident) is None:
            # It has another key now, or the record of its incident could not be read: it opens
            # again, and what it has behind it counts.
            phase = Phase.PENDING
        due = self._due_of(rule, member, phase, now, is_changed=is_changed)
        as_it_is = (member.incident, member.phase, member.due, member.check)
        # What was asked before is asked again.
        if as_it_is != (incident, phase, due, None):
            member = attrs.evolve(member, incident=incident, phase=phase, due=due, check=None)
            self._members.keep(member)
        return False

    def _forget(self, member: Member) -> None:
        self._members.forget(member.name)
        self._tallies.forget(member.name)

    def _is_known(self, member: Member) -> bool:
        """Say whether anything can be heard of a member, or of what was counted for it."""
        return (
            self._inventory.get(member.name[1]) is not None
            or self._inventory.get(member.change.after.key) is not None
            or member.name[1][1] == ABSENT_TYPE
        )

    def _is_member_of(self, rule: IncidentRule, member: Member) -> bool:
        """Say whether a member could have come of a rule as it is now."""
        match rule.form:
            case RuleForm.ABSENT:
                return member.name[1][1] == ABSENT_TYPE
            case RuleForm.EACH:
                # What was told ends when its stream is caught up and it was looked up.
                was_told = member.phase.is_counted or member.phase is Phase.DISMISSED
                return was_told or self._tallies.is_reached(member.name)
            case _:
                return rule.may_concern(member.name[1][1])

    def _is_over(self, rule: IncidentRule, change: Change, member: Member, now: float) -> bool:
        """Say whether a changed rule does not hold any more.

        What is clearing under it goes on to clear: that it does not hold is known already.
        """
        standing = self._judge.stand(rule, change, member, now)
        return standing.answer is Answer.NO and member.phase is not Phase.CLEARING

    @staticmethod
    def _due_of(
        rule: IncidentRule, member: Member, phase: Phase, now: float, *, is_changed: bool
    ) -> float | None:
        """Give when a member goes on as its rule says now; what it has behind it counts."""
        if member.gap_since is not None:
            return member.gap_since + rule.clear_for_seconds
        if phase is Phase.PENDING:  # withheld or not: other mutes may count now
            return member.since + rule.for_seconds
        if phase is Phase.EXCUSED:
            if is_changed:  # something else may excuse it now, or nothing
                return now
            if member.excused_since is not None:
                return member.excused_since + rule.unless_max_seconds
        return None

    # -- incidents

    def _take_over_incident(
        self,
        incident: IncidentName,
        rule: IncidentRule | None,
        why: str,
        now: float,
        decisions: Decisions,
    ) -> None:
        """Let an open incident be told to whom it is to be told now, as often as it is now.

        It is resolved if there is nobody left in it whose end would close it.

        :param rule: its rule, None if that was removed.
        :param why: what is said then, unless that is why.
        """
        counted = [m for m in self._members.of_incident(incident) if m.phase.is_counted]
        if rule is not None and counted:
            changes = [member.change for member in counted]
            decisions.owed += self._telling.reroute(rule, incident, changes, now)
            self._telling.set_repeat(rule, incident, now)
            return
        decisions.owed += self._telling.close(incident, now, why=REMOVED if rule is None else why)
        self._on_close(incident[0])

    def _judge_everything(self, rule: IncidentRule, now: float, decisions: Decisions) -> None:
        for resource in self._inventory.resources():
            if rule.may_concern(resource.type):
                change = touched(resource, f"rule/{rule.name}/{now}", now)
                self._progress.take(rule, change, decisions)

    # -- what is kept

    def _remember(self, rules: Mapping[str, IncidentRule]) -> None:
        for name in [name for name in self._digests if name not in rules]:
            del self._digests[name]
            self._records.put(record_of(RULE, name), None)
        for rule in rules.values():
            if self._digests.get(rule.name) != rule.digest:
                self._digests[rule.name] = rule.digest
                self._records.put(record_of(RULE, rule.name), rule.digest.encode())

    def restore(self, rule: str, record: bytes) -> None:
        """Know again which rule was in force when we last ran."""
        self._digests[rule] = record.decode("ascii", "replace")

    def save_everything(self) -> None:
        """Record everything again."""
        for name, digest in self._digests.items():
            self._records.put(record_of(RULE, name), digest.encode())


def _renamed(rule: IncidentRule, member: Member) -> Member:
    """Give a member of a rule as it is now that this has another name."""
    key, change = member.name[1], member.change
    if key[1] == ABSENT_TYPE:
        after = absence_of(rule, change.at).after
        key, change = after.key, replace(change, after=after)
    incident = renamed_incident(rule, member.incident)
    return attrs.evolve(member, name=(rule.name, key), incident=incident, change=change)


def renamed_incident(rule: IncidentRule, incident: IncidentName) -> IncidentName:
    """Give the incident that a resource would have under the new name of its rule."""
    old, key = incident
    has_name = rule.key is None and (key == old or key.startswith(f"{old}/"))
    return (rule.name, rule.name + key.removeprefix(old) if has_name else key)
