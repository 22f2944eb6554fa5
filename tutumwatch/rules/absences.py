"""What must exist: which known resources match the rules that want one."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, ChangeKind, Key, Resource
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.matchers import Answer
from tutumwatch.rules.touching import touched
from tutumwatch.rules.view import View

TYPE = "absent"


@attrs.define
class Absences:
    """For each rule the resources that it wants one of; rebuilt from what is known at start."""

    _inventory: Inventory
    _present: dict[str, set[Key]] = attrs.field(factory=dict)

    def is_absent(self, rule: str) -> bool:
        """Say whether nothing that is known matches."""
        return not self._present.get(rule)

    def take(self, rule: IncidentRule, change: Change) -> None:
        """Take in a change; what is unknown, or cannot be computed, changes nothing."""
        present = self._present.setdefault(rule.name, set())
        verdict = rule.matcher.judge(View(self._inventory, change))
        is_gone = change.after.gone_at is not None
        if is_gone or (verdict.answer is Answer.NO and not verdict.failed):
            present.discard(change.after.key)
        elif verdict.answer is Answer.YES:
            present.add(change.after.key)

    def build(self, rules: Iterable[IncidentRule]) -> None:
        """Look at everything that is known, for each of these rules."""
        self._present = {}
        for rule in rules:
            for resource in self._inventory.resources():
                if rule.may_concern(resource.type):
                    self.take(rule, touched(resource, "", resource.seen))


def absence_of(rule: IncidentRule, at: float) -> Change:
    """Make the Change that tells that nothing matches a rule."""
    nothing = Resource(
        ("", TYPE, rule.name), "", name=rule.name, state="absent", parents=(), parents_complete=True
    )
    return Change(f"absent/{at}", ChangeKind.NEW, None, nothing, frozenset(), at)
