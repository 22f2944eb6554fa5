"""What other rules would come to, without any effect."""

from __future__ import annotations

import copy

import attrs

from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.incidents import Incidents, count_nothing
from tutumwatch.rules.members import Phase
from tutumwatch.rules.rule_set import RuleSet


@attrs.frozen
class Outlook:
    """How many incidents would resolve, and how many would open, at once or if it stays so."""

    resolving: int
    opening: int


def preview(incidents: Incidents, rules: RuleSet, now: float, *shared: object) -> Outlook:
    """Say what would come of going on under other rules.

    :param shared: what the incidents only read: it is not copied, and nor is what is frozen.
    """
    frozen = (*incidents.members(), *incidents.open_incidents())
    known = (rules, *rules.incidents, incidents.rules, *incidents.rules.incidents)
    memo: dict[int, object] = {id(one): one for one in (*shared, *known, *frozen)}
    # It is bound to the whole decider; and what cannot be computed is counted when it counts.
    memo[id(incidents.reject)] = count_nothing
    scratch = copy.deepcopy(incidents, memo)
    scratch.use(rules, now, Decisions())
    resolving = _open_keys(incidents) - _open_keys(scratch)
    opening = _coming_keys(scratch) - _coming_keys(incidents)
    return Outlook(len(resolving), len(opening))


def _open_keys(incidents: Incidents) -> set[str]:
    return {one.key for one in incidents.open_incidents()}


def _coming_keys(incidents: Incidents) -> set[str]:
    pending = {m.incident[1] for m in incidents.members() if m.phase is Phase.PENDING}
    return pending | _open_keys(incidents)
