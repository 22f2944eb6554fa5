"""Goes on under rules that may be others than before: at every start, and at a reload.

No page stays open that nothing would close any more, none is sent twice, and no timer restarts.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from tutumwatch.inventory.inventory import Inventory
from tutumwatch.rules.absences import TYPE as ABSENT_TYPE
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.incident_rules import IncidentRule, RuleForm
from tutumwatch.rules.matchers import Answer
from tutumwatch.rules.members import RULE, Member, MemberName, Phase, record_of
from tutumwatch.rules.membership import Membership
from tutumwatch.rules.naming import incident_of
from tutumwatch.rules.progress import Progress
from tutumwatch.rules.records import Records
from tutumwatch.rules.silences import Silences
from tutumwatch.rules.standing import Judge
from tutumwatch.rules.tallies import Tallies
from tutumwatch.rules.telling import Telling
from tutumwatch.rules.touching import present, touched

REMOVED = "its rule was removed"
CHANGED = "its rule was changed"
EMPTY = "nothing is in it"


@attrs.define
class Adopting:
    """Takes over members and open incidents; knows by their digests which rules are new."""

    _inventory: Inventory
    _records: Records
    _members: Membership
    _tallies: Tallies
    _telling: Telling
    _progress: Progress
    _judge: Judge
    _silences: Silences
    _digests: dict[str, str] = attrs.field(factory=dict)

    def adopt(self, rules: Mapping[str, IncidentRule], now: float, decisions: Decisions) -> None:
        """Go on under these rules."""
        for rule in rules.values():
            if rule.was is not None and rule.was not in rules and rule.was in self._digests:
                self._rename(rule.was, rule.name)
        self._tallies.use(dict(rules))
        changed = {name for name, rule in rules.items() if self._digests.get(name) != rule.digest}
        for member in self._members:
            self._take_over(member, rules, changed, now, decisions)
        self._close_empty(rules, now, decisions)
        for rule in (rule for name, rule in rules.items() if name in changed):
            if rule.form is RuleForm.WHILE:
                self._judge_everything(rule, now, decisions)
        for one in self._telling:
            rule_now = rules.get(one.name[0])
            counted = [m for m in self._members.of_incident(one.name) if m.phase.is_counted]
            if rule_now is not None and counted:
                change = counted[0].change
                decisions.owed += self._telling.reroute(rule_now, one.name, change, now)
                self._telling.set_repeat(rule_now, one.name, now)
        self._remember(rules)

    def _rename(self, old: str, new: str) -> None:
        for member in self._members:
            if member.name[0] == old:
                self._members.forget(member.name)
                name: MemberName = (new, member.name[1])
                incident = (new, _renamed_key(member.incident[1], old, new))
                self._members.keep(attrs.evolve(member, name=name, incident=incident))
        for one in self._telling:
            if one.name[0] == old:
                self._telling.rename(one.name, (new, _renamed_key(one.name[1], old, new)))
        self._tallies.rename(old, new)
        self._digests[new] = self._digests.pop(old)
        self._records.put(record_of(RULE, old), None)

    def _take_over(
        self,
        member: Member,
        rules: Mapping[str, IncidentRule],
        changed: set[str],
        now: float,
        decisions: Decisions,
    ) -> None:
        """Let a member go on under its rule, or end if nothing can be heard of it any more."""
        rule = rules.get(member.name[0])
        is_known = member.name[1][1] == ABSENT_TYPE or self._inventory.get(member.name[1])
        if rule is None or not is_known or not self._is_member_of(rule, member):
            self._members.forget(member.name)
            self._tallies.forget(member.name)
            return
        # What was asked before is asked again.
        member = attrs.evolve(member, check=None)
        if rule.name in changed and self._is_over(rule, member, now):
            self._members.forget(member.name)
            self._tallies.forget(member.name)
        else:
            self._set_due(rule, member, now)

    def _is_member_of(self, rule: IncidentRule, member: Member) -> bool:
        """Say whether a member could have come of a rule as it is now."""
        match rule.form:
            case RuleForm.ABSENT:
                return member.name[1][1] == ABSENT_TYPE
            case RuleForm.EACH:
                return self._tallies.is_reached(member.name)
            case _:
                return rule.may_concern(member.name[1][1])

    def _is_over(self, rule: IncidentRule, member: Member, now: float) -> bool:
        """Say whether a changed rule does not hold any more, or is of another incident now."""
        change = present(self._inventory, member, now)
        standing = self._judge.stand(rule, change, member, now)
        moved = incident_of(rule, member.name, change, self._inventory) != member.incident
        return standing.answer is Answer.NO or moved

    def _set_due(self, rule: IncidentRule, member: Member, now: float) -> None:
        """Let a member go on when its rule says; what it has behind it counts."""
        due = member.due
        if member.phase in {Phase.PENDING, Phase.CLEARING}:
            if member.gap_since is not None:
                due = member.gap_since + rule.clear_for_seconds
            elif member.withheld_by is None:
                due = member.since + rule.for_seconds
            else:
                due = self._silences.ends_at(member.withheld_by, now) or now
        elif member.phase is Phase.EXCUSED and member.excused_since is not None:
            ends = member.excused_since + rule.unless_max_seconds
            due = ends if ends > now else None
        self._members.keep(attrs.evolve(member, due=due))

    def _close_empty(
        self, rules: Mapping[str, IncidentRule], now: float, decisions: Decisions
    ) -> None:
        """Resolve what is open and has nobody left whose end would close it."""
        for one in self._telling:
            members = self._members.of_incident(one.name)
            if any(m.phase.is_counted for m in members) or _is_dismissed(members):
                continue
            rule = rules.get(one.name[0])
            why = REMOVED if rule is None else EMPTY
            if rule is not None and self._digests.get(rule.name) != rule.digest:
                why = CHANGED
            decisions.owed += self._telling.close(one.name, now, why=why)

    def _judge_everything(self, rule: IncidentRule, now: float, decisions: Decisions) -> None:
        for resource in self._inventory.resources():
            if rule.may_concern(resource.type) and resource.gone_at is None:
                change = touched(resource, f"rule/{rule.name}/{now}", now)
                self._progress.take(rule, change, decisions)

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


def _renamed_key(key: str, old: str, new: str) -> str:
    """Give the key that a resource would have under the new name, if it had the default one."""
    return new + key.removeprefix(old) if key == old or key.startswith(f"{old}/") else key


def _is_dismissed(members: list[Member]) -> bool:
    return any(member.phase is Phase.DISMISSED for member in members)
