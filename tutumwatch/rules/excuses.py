"""What an incident explains is judged again when it opens and when it closes."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.members import Phase
from tutumwatch.rules.membership import Membership
from tutumwatch.rules.progress import Progress


@attrs.define
class Excuses:
    """Remembers of which rules an incident opened or closed."""

    _members: Membership
    _moved: set[str] = attrs.field(factory=set)

    def moved(self, rule: str) -> None:
        """Take in that an incident of a rule opened or closed."""
        self._moved.add(rule)

    @property
    def has_moved(self) -> bool:
        """Whether any opened or closed since what they explain was judged."""
        return bool(self._moved)

    def settle(
        self,
        rules: Mapping[str, IncidentRule],
        progress: Progress,
        now: float,
        decisions: Decisions,
    ) -> None:
        """Judge again whatever those incidents may explain, until nothing moves."""
        while self._moved:
            moved = set(self._moved)
            self._moved.clear()
            explained = {n: r for n, r in rules.items() if not moved.isdisjoint(r.unless_open)}
            members = self._members if explained else ()
            concerned = [member for member in members if member.name[0] in explained]
            # In an order that a restart keeps.
            for member in sorted(concerned, key=lambda one: (one.since, one.name)):
                # It may have moved since, because of another one.
                current = self._members.get(member.name)
                if current is not None and current.phase in {Phase.PENDING, Phase.EXCUSED}:
                    progress.look_again(explained[member.name[0]], current, now, decisions)
