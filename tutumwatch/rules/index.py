"""Finds the message rules that may have something to say of a change, without asking them all."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from tutumwatch.inventory.resource import Change
from tutumwatch.rules.messages import MessageRule

# A stream may invent types and states without end; for those beyond this many combinations the
# rules that may match are sought each time.
SIGNS_MAX_COUNT = 1_000


@attrs.define
class RuleIndex:
    """The message rules, by their names and by what every change tells of itself."""

    _rules: Sequence[MessageRule]
    by_name: dict[str, MessageRule] = attrs.field(init=False)
    _by_signs: dict[tuple[str, str | None, str], list[MessageRule]] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.by_name = {rule.name: rule for rule in self._rules}

    def rules_for(self, change: Change) -> list[MessageRule]:
        """Give the rules that may match a change, in their order, whatever more it has to tell."""
        signs = (change.after.key[1], change.after.state, change.action)
        rules = self._by_signs.get(signs)
        if rules is None:
            rules = [r for r in self._rules if r.may_be_heard and _may_match(r, change)]
            if len(self._by_signs) < SIGNS_MAX_COUNT:
                self._by_signs[signs] = rules
        return rules


def _may_match(rule: MessageRule, change: Change) -> bool:
    try:
        return not rule.matcher.refuses(change)
    except Exception:  # noqa: BLE001 - it raises again when it is judged, and silences no other
        return True
