"""What keeps a member from acting when its time has come: its stream, a silence, a look-up."""

from __future__ import annotations

import attrs

from tutumwatch.events.inputs import LOOK_UP_DEADLINE_SECONDS
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.rules.decisions import Decisions, Need
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.members import Member
from tutumwatch.rules.membership import Membership
from tutumwatch.rules.silences import Silences
from tutumwatch.rules.verifying import Verifying
from tutumwatch.rules.view import View


@attrs.define
class Restraint:
    """Lets members wait; each answer says whether one does."""

    _inventory: Inventory
    _members: Membership
    _silences: Silences
    _verifying: Verifying

    def hold(self, rule: IncidentRule, member: Member) -> bool:
        """Let a member wait until its stream is caught up; what it asked before is asked again."""
        if self._verifying.may_act(rule, member):
            return False
        self._members.keep(attrs.evolve(member, due=None, check=None))
        self._verifying.hold(member)
        return True

    def withhold(self, rule: IncidentRule, member: Member, now: float) -> bool:
        """Keep a member from opening as long as a silence or a mute says so."""
        view = View(self._inventory, member.change)
        by = self._silences.withholding(rule.name, view, now)
        if by is None:
            return False
        due = self._silences.ends_at(by, now)
        self._members.keep(attrs.evolve(member, withheld_by=by, due=due, check=None))
        return True

    def verify(self, rule: IncidentRule, member: Member, now: float, decisions: Decisions) -> bool:
        """Begin to look up what must be seen before a member goes on, if there is anything."""
        check = self._verifying.begin(rule, member)
        if check is None:
            return False
        decisions.needs |= {Need(member.stream, uri, fresh=True) for uri in check.uris}
        due = now + LOOK_UP_DEADLINE_SECONDS
        self._members.keep(attrs.evolve(member, check=check, due=due))
        return True
