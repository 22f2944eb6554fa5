"""Members enter their incident, which opens with the first, and leave: it ends with the last."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.members import Member, Phase
from tutumwatch.rules.membership import Membership
from tutumwatch.rules.naming import learned_incident_of
from tutumwatch.rules.tallies import Tallies
from tutumwatch.rules.telling import Telling
from tutumwatch.rules.touching import touched

DELETED = "was deleted"


@attrs.define
class Entering:
    """Opens and closes incidents for their members.

    ``on_move``: told of each rule by which other resources are explained, or are not any more.
    """

    _inventory: Inventory
    _members: Membership
    _tallies: Tallies
    _telling: Telling
    _on_move: Callable[[str], None]

    def enter(
        self,
        rule: IncidentRule,
        member: Member,
        now: float,
        decisions: Decisions,
        marks: tuple[str, ...] = (),
    ) -> Member:
        """Count a member, and open its incident if it is the first; give it as it is then."""
        member = attrs.evolve(
            member,
            incident=learned_incident_of(rule, member, self._inventory),
            phase=Phase.OPEN,
            due=None,
            check=None,
            gap_since=None,
            withheld_by=None,
            is_orphan=False,
        )
        self._members.keep(member)
        if self._telling.get(member.incident) is None:
            decisions.owed += self._telling.open(rule, member, now, marks)
        self._on_move(rule.name)
        return member

    def leave(
        self,
        rule: IncidentRule,
        member: Member,
        now: float,
        decisions: Decisions,
        marks: tuple[str, ...] = (),
    ) -> None:
        """Forget a member; its incident is closed with the last that is counted."""
        self._members.forget(member.name)
        self._tallies.forget(member.name)
        change = self._last_change(member, now)
        others = self._members.of_incident(member.incident)
        if self._telling.get(member.incident) is None:
            # What is left may open it yet, and closes it then; or it leaves, too.
            if member.is_orphan and not any(other.is_orphan for other in others):
                decisions.owed += self._telling.resolve_orphan(rule, member.incident, change, now)
            return
        if not any(other.phase.is_counted for other in others):
            decisions.owed += self._telling.close(
                member.incident, now, rule=rule, change=change, marks=marks
            )
        self._on_move(rule.name)

    def _last_change(self, member: Member, now: float) -> Change:
        """Give what a resolve tells of: the resource as it is."""
        known = self._inventory.get(member.name[1])
        return member.change if known is None else touched(known, member.change.id, now)
