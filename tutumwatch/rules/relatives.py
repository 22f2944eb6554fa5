"""Which resources are to be judged again because another one changed: its children and parents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, ChangeKind, Key, Resource
from tutumwatch.rules.incident_rules import IncidentRule, RuleForm
from tutumwatch.rules.touching import touched

_HEALTH = "health"
# Whose health a resource is a part of.
_WHOLE_OF = {"service": "stack", "container": "service"}


@attrs.define
class Relatives:
    """Finds, for a change, the pairs of a rule and another resource that it may concern."""

    _inventory: Inventory
    # By the type of a parent: the rules that judge other resources by its fields, those that judge
    # it by a health that its parts make, and those that judge other resources by that health.
    _readers: dict[str, list[IncidentRule]] = attrs.field(factory=dict)
    _health_rules: dict[str, list[IncidentRule]] = attrs.field(factory=dict)
    _health_readers: dict[str, list[IncidentRule]] = attrs.field(factory=dict)

    def use(self, rules: Iterable[IncidentRule]) -> None:
        """Go on with these rules; those that count judge their own matches alone."""
        self._readers, self._health_rules, self._health_readers = {}, {}, {}
        for rule in rules:
            if rule.form is RuleForm.EACH:
                continue
            for type_ in rule.reads:
                self._readers.setdefault(type_, []).append(rule)
            for whole in set(_WHOLE_OF.values()):
                reads_it = (whole, _HEALTH) in rule.paths
                if reads_it:
                    self._health_readers.setdefault(whole, []).append(rule)
                if rule.may_concern(whole) and (reads_it or (_HEALTH,) in rule.paths):
                    self._health_rules.setdefault(whole, []).append(rule)

    def may_have(self, type_: str) -> bool:
        """Say whether a change of such a resource can concern any other."""
        whole = _WHOLE_OF.get(type_)
        return (
            type_ in self._readers or whole in self._health_rules or whole in self._health_readers
        )

    def of(self, change: Change) -> Iterator[tuple[IncidentRule, Change]]:
        """Give what is to be judged again after a change of something."""
        type_ = change.after.type
        yield from self._parts(change.after.key, self._readers.get(type_, []), change)
        whole = _WHOLE_OF.get(type_)
        if whole is None or (type_ == "container" and not _has_ended(change)):
            return
        rules = self._health_rules.get(whole, [])
        readers = self._health_readers.get(whole, [])
        for key in change.after.parent_keys() if rules or readers else ():
            parent = self._inventory.get(key)
            if parent is not None and parent.type == whole:
                for rule in rules:
                    yield rule, touched(parent, change.id, change.at)
                yield from self._parts(key, readers, change)

    def _parts(
        self, key: Key, rules: list[IncidentRule], change: Change
    ) -> Iterator[tuple[IncidentRule, Change]]:
        """Give what has a parent, as far as some rules that read it concern that."""
        for part in self._descendants(key) if rules else ():
            for rule in rules:
                if rule.may_concern(part.type):
                    yield rule, touched(part, change.id, change.at)

    def _descendants(self, above: Key) -> Iterator[Resource]:
        """Give all that is part of a resource, each once, also if parents go round in a circle."""
        seen, left = {above}, [above]
        while left:
            for child in list(self._inventory.children_of(left.pop())):
                if child.key not in seen:
                    seen.add(child.key)
                    left.append(child.key)
                    yield child


def _has_ended(change: Change) -> bool:
    return "ended" in change.changed or change.kind is ChangeKind.GONE
