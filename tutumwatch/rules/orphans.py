"""With an empty store: resolves what a process before us may have opened, where it does no harm."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Resource
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.incident_rules import IncidentRule, RuleForm
from tutumwatch.rules.members import IncidentName
from tutumwatch.rules.membership import Membership
from tutumwatch.rules.naming import incident_of
from tutumwatch.rules.telling import Telling
from tutumwatch.rules.touching import touched


@attrs.define
class Orphans:
    """Knows which incidents present resources would have."""

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
        rules = [rule for rule in rules if rule.form is not RuleForm.ABSENT]
        told: set[IncidentName] = set()
        concerned: dict[str, IncidentRule] = {}
        for resource in list(resources):
            change = touched(resource, "orphan", at)
            for rule in rules:
                if not _may_have(rule, resource.type):
                    continue
                concerned[rule.name] = rule
                name = incident_of(rule, (rule.name, resource.key), change, self._inventory)
                members = self._members.of_incident(name)
                for member in members:
                    self._members.keep(attrs.evolve(member, is_orphan=True))
                if not members and name not in told and self._telling.get(name) is None:
                    told.add(name)
                    decisions.owed += self._telling.resolve_orphan(rule, name, change, at)
        decisions.owed += self._telling.resolve_orphaned_groups(concerned.values(), at)


def _may_have(rule: IncidentRule, type_: str) -> bool:
    """Say whether a resource of a type can be a member of a rule's incidents."""
    if rule.form is RuleForm.EACH and rule.per is not None:
        return rule.per == type_
    return rule.may_concern(type_)
