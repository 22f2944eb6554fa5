"""What a person closes: its members stay quiet until they were well once."""

from __future__ import annotations

import attrs

from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.members import Phase
from tutumwatch.rules.membership import Membership
from tutumwatch.rules.telling import Telling

BY_HAND = "resolved by hand"


def dismiss(
    key: str, members: Membership, telling: Telling, now: float, decisions: Decisions
) -> list[str]:
    """Close the incidents that are open under a key; give the rule of each.

    :param key: of an incident, or of a group of them.
    """
    closed = [one for one in telling if key in one.keys]
    for one in closed:
        for member in members.of_incident(one.name):
            if member.phase.is_counted:
                members.keep(
                    attrs.evolve(
                        member, phase=Phase.DISMISSED, due=None, check=None, gap_since=None
                    )
                )
        decisions.owed += telling.close(one.name, now, why=BY_HAND)
    return [one.name[0] for one in closed]
