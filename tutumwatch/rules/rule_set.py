"""Everything that a configuration says about what matters, compiled: what a reload replaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from tutumwatch.rules.ignores import Ignores
    from tutumwatch.rules.incident_rules import IncidentRule
    from tutumwatch.rules.messages import MessageRule
    from tutumwatch.rules.notice import Destination
    from tutumwatch.rules.routes import Audience, Routes
    from tutumwatch.rules.silences import Mute


@attrs.frozen
class RuleSet:
    """The rules of one configuration, each kind in the order of the file.

    ``destinations``: the notifiers that are on. ``storm_count``: how many messages of one rule a
    minute are said singly; 0 is no limit. ``deploy_deadline_seconds``: how long a deploy may take.
    ``streams``: the names of those that are watched.
    """

    messages: tuple[MessageRule, ...]
    incidents: tuple[IncidentRule, ...]
    routes: Routes
    ignores: Ignores
    mutes: tuple[Mute, ...]
    destinations: Mapping[str, Destination]
    storm_count: int = 20
    deploy_deadline_seconds: float = 900.0
    streams: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The names of all rules."""
        return [rule.name for rule in self.messages] + [rule.name for rule in self.incidents]

    @property
    def audiences(self) -> list[Audience]:
        """Whom each rule wants to be told."""
        of_incidents = [rule.audience for rule in self.incidents]
        return [rule.audience for rule in self.messages] + of_incidents
