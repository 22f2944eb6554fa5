"""With an empty store: resolves what a process before us may have opened, where it does no harm."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, Resource
from tutumwatch.rules.absences import absence_of
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.incident_rules import IncidentRule, RuleForm
from tutumwatch.rules.matchers import Answer
from tutumwatch.rules.members import IncidentName
from tutumwatch.rules.membership import Membership
from tutumwatch.rules.naming import incident_of, learned_incident_of
from tutumwatch.rules.telling import Telling
from tutumwatch.rules.touching import touched
from tutumwatch.rules.view import ABSENT, View


@attrs.define
class Orphans:
    """Knows which incidents present resources would have, or would end."""

    _members: Membership
    _telling: Telling
    _inventory: Inventory

    def resolve(
        self,
        rules: Iterable[IncidentRule],
        resources: Iterable[Resource],
        at: float,
        decisions: Decisions,
    ) -> None:
        """Resolve the incidents of resources that are well, at destinations that drop orphans.

        What is on its way to open again is resolved if it does not.
        """
        rules = list(rules)
        resolved: set[IncidentName] = set()
        concerned: dict[str, IncidentRule] = {}
        for resource in list(resources):
            change = touched(resource, "orphan", at)
            for rule in rules:
                subject = self._subject_of(rule, change)
                if subject is None:
                    continue
                concerned[rule.name] = rule
                name = self._incident_of(rule, subject)
                members = self._members.of_incident(name)
                for member in members:
                    self._members.keep(attrs.evolve(member, is_orphan=True))
                if not members and name not in resolved:
                    resolved.add(name)
                    decisions.owed += self._telling.resolve_orphan(rule, name, subject, at)
        self._end_groups(concerned.values(), at, decisions)

    def _incident_of(self, rule: IncidentRule, subject: Change) -> IncidentName:
        """Give the incident that is on its way for a resource, or that it would have.

        By the listing the names are known of what joined before it.
        """
        member = self._members.get((rule.name, subject.after.key))
        if member is None or member.phase.is_counted:
            return incident_of(rule, (rule.name, subject.after.key), subject, self._inventory)
        name = learned_incident_of(rule, member, self._inventory)
        self._members.keep(attrs.evolve(member, incident=name))
        return name

    def _end_groups(self, rules: Iterable[IncidentRule], at: float, decisions: Decisions) -> None:
        """Resolve the groups that the incidents of some rules may be in, if they are not open."""
        destinations, groups = self._telling.rules.destinations, self._telling.groups
        ended = {
            (notifier, key): rule.name
            for rule in rules
            for notifier in rule.resolve_texts
            for key in groups.keys_of(rule)
            if destinations[notifier].drops_orphans and not groups.is_open(notifier, key)
        }
        for (notifier, key), name in ended.items():
            decisions.owed += self._telling.end_group(name, notifier, key, at)

    def _subject_of(self, rule: IncidentRule, change: Change) -> Change | None:
        """Give what an incident of a rule is about if a resource can have or end one, or None."""
        type_, view = change.after.type, View(self._inventory, change)
        if rule.form is RuleForm.EACH and rule.per is not None:
            # What has no such parent is counted by itself.
            is_alone = rule.may_concern(type_) and view.uri_of(rule.per) is ABSENT
            return change if is_alone or type_ == rule.per else None
        if not rule.may_concern(type_):
            return None
        if rule.form is RuleForm.ABSENT:
            is_there = rule.matcher.judge(view).answer is Answer.YES
            return absence_of(rule, change.at) if is_there else None
        return change
