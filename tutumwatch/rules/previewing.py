"""What other rules would come to, without any effect."""

from __future__ import annotations

from copy import copy as shallow_copy
from types import MethodType
from typing import Any

import attrs

from tutumwatch.rules.adopting import renamed_incident
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.incidents import Incidents
from tutumwatch.rules.members import IncidentName, Phase
from tutumwatch.rules.rejecting import count_nothing
from tutumwatch.rules.rule_set import RuleSet


@attrs.frozen
class Outlook:
    """How many incidents would resolve, and how many would open, at once or if it stays so."""

    resolving: int
    opening: int


def preview(incidents: Incidents, rules: RuleSet, now: float, *shared: object) -> Outlook:
    """Say what would come of going on under other rules.

    :param shared: what the incidents only read: it is not copied.
    """
    copies: dict[int, Any] = {id(one): one for one in shared}
    # It is bound to the whole decider; and what cannot be computed is counted when it counts.
    copies[id(incidents.reject)] = count_nothing
    scratch: Incidents = _copied(incidents, copies)
    scratch.use(rules, now, Decisions())
    was = {rule.was: rule for rule in rules.incidents}
    known = {
        renamed_incident(was[name[0]], name) if name[0] in was else name
        for name in _coming(incidents)
    }
    resolving = _open_keys(incidents) - _open_keys(scratch)
    return Outlook(len(resolving), len(_coming(scratch) - known))


def _copied(thing: Any, copies: dict[int, Any]) -> Any:  # noqa: ANN401 - whatever a part holds
    """Copy a thing and all of its parts that can change; what has a hash cannot, and is shared.

    A deep copy takes ten times as long: it looks into every name of every member.

    :param copies: what was copied already, and what is not to be, by identity.
    """
    if id(thing) in copies:
        return copies[id(thing)]
    if isinstance(thing, MethodType):
        return MethodType(thing.__func__, _copied(thing.__self__, copies))
    if type(thing).__hash__ is not None:
        return thing
    if isinstance(thing, dict):
        copy = copies[id(thing)] = shallow_copy(thing)
        for key, value in thing.items():
            if type(value).__hash__ is None:
                copy[key] = _copied(value, copies)
    elif attrs.has(type(thing)):
        copy = copies[id(thing)] = object.__new__(type(thing))
        for field in attrs.fields(type(thing)):
            setattr(copy, field.name, _copied(getattr(thing, field.name), copies))
    else:  # lists, sets and queues, whose elements do not change
        copy = copies[id(thing)] = shallow_copy(thing)
    return copy


def _open_keys(incidents: Incidents) -> set[str]:
    return {one.key for one in incidents.open_incidents()}


def _coming(incidents: Incidents) -> set[IncidentName]:
    """Give the incidents that are open, and those that will be if all stays as it is."""
    pending = {m.incident for m in incidents.members() if m.phase is Phase.PENDING}
    return pending | {one.name for one in incidents.open_incidents()}
