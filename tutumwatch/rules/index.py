"""Finds the rules that a change may concern, without asking them all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import attrs

from tutumwatch.inventory.resource import Change
from tutumwatch.rules.incident_rules import IncidentRule

# A stream may invent types and states without end; for those beyond this many combinations the
# rules that may match are sought each time.
SIGNS_MAX_COUNT = 1_000


class Indexed(Protocol):
    """A rule that can say of a change, by its signs, that it is none of its business."""

    @property
    def name(self) -> str:
        """No two rules have the same."""

    def may_take(self, change: Change) -> bool:
        """Say whether a change may do anything to it, by its type, state and action."""


_Rule = TypeVar("_Rule", bound=Indexed)


@attrs.define
class RuleIndex(Generic[_Rule]):
    """Rules, by their names and by what every change tells of itself."""

    _rules: Sequence[_Rule]
    by_name: dict[str, _Rule] = attrs.field(init=False)
    _by_signs: dict[tuple[str, str | None, str], list[_Rule]] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.by_name = {rule.name: rule for rule in self._rules}

    def rules_for(self, change: Change) -> list[_Rule]:
        """Give the rules that a change may concern, in their order, whatever more it tells."""
        signs = (change.after.key[1], change.after.state, change.action)
        rules = self._by_signs.get(signs)
        if rules is None:
            rules = [rule for rule in self._rules if _may_take(rule, change)]
            if len(self._by_signs) < SIGNS_MAX_COUNT:
                self._by_signs[signs] = rules
        return rules


@attrs.define
class IncidentIndex(RuleIndex[IncidentRule]):
    """The incident rules; a member of one must be judged also where it cannot match any more."""

    _by_type: dict[str, list[IncidentRule]] = attrs.field(factory=dict)

    def rules_about(self, type_: str) -> list[IncidentRule]:
        """Give the rules that a resource of a type may be a member of, in their order."""
        rules = self._by_type.get(type_)
        if rules is None:
            rules = [rule for rule in self._rules if rule.may_concern(type_)]
            if len(self._by_type) < SIGNS_MAX_COUNT:
                self._by_type[type_] = rules
        return rules


def _may_take(rule: Indexed, change: Change) -> bool:
    try:
        return rule.may_take(change)
    except Exception:  # noqa: BLE001 - it raises again when it is judged, and silences no other
        return True
