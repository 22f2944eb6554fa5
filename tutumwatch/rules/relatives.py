"""Which resources are to be judged again because another one changed: its children and parents."""

from __future__ import annotations

from collections.abc import Iterator

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
    _rules: list[IncidentRule] = attrs.field(factory=list)
    _readers: dict[str, list[IncidentRule]] = attrs.field(factory=dict)
    _health_rules: dict[str, list[IncidentRule]] = attrs.field(factory=dict)

    def use(self, rules: list[IncidentRule]) -> None:
        """Go on with these rules; those that count judge their own matches alone."""
        self._rules = [rule for rule in rules if rule.form is not RuleForm.EACH]
        self._readers, self._health_rules = {}, {}

    def of(self, change: Change) -> Iterator[tuple[IncidentRule, Change]]:
        """Give what is to be judged again after a change of something."""
        type_ = change.after.type
        readers = self._readers_of(type_)
        if readers:
            for child in self._descendants(change.after.key):
                for rule in readers:
                    if rule.may_concern(child.type):
                        yield rule, touched(child, change.id, change.at)
        whole = _WHOLE_OF.get(type_)
        if whole is None or (type_ == "container" and not _has_ended(change)):
            return
        rules = self._health_rules_of(whole)
        for key in change.after.parent_keys() if rules else ():
            parent = self._inventory.get(key)
            if parent is not None and parent.type == whole:
                for rule in rules:
                    yield rule, touched(parent, change.id, change.at)

    def _readers_of(self, type_: str) -> list[IncidentRule]:
        """Give the rules that judge other resources by the fields of such a parent."""
        if type_ not in self._readers:
            self._readers[type_] = [rule for rule in self._rules if type_ in rule.reads]
        return self._readers[type_]

    def _health_rules_of(self, type_: str) -> list[IncidentRule]:
        """Give the rules that judge a resource by a health that its parts make."""
        if type_ not in self._health_rules:
            paths = {(_HEALTH,), (type_, _HEALTH)}
            self._health_rules[type_] = [
                rule
                for rule in self._rules
                if rule.may_concern(type_) and not paths.isdisjoint(rule.matcher.paths)
            ]
        return self._health_rules[type_]

    def _descendants(self, key: Key) -> Iterator[Resource]:
        for child in list(self._inventory.children_of(key)):
            yield child
            if child.type != "container":
                yield from self._descendants(child.key)


def _has_ended(change: Change) -> bool:
    return "ended" in change.changed or change.kind is ChangeKind.GONE
