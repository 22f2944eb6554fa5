"""A whole configuration, checked and compiled: what the composition root builds from."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from tutumwatch.config.heartbeat import HeartbeatSettings
from tutumwatch.config.status import StatusSettings
from tutumwatch.notifiers.contract import Notifier, NotifierKind, Pace, Sender
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.messages import MessageRule
from tutumwatch.rules.notice import Destination
from tutumwatch.stream.credentials import Credentials
from tutumwatch.stream.settings import StreamSettings


@attrs.frozen
class StreamPlan:
    """A stream that is to be watched: everything that was left out is filled in."""

    name: str
    url: str
    rest: str
    credentials: Credentials
    settings: StreamSettings


@attrs.frozen
class NotifierPlan:
    """A notifier that is on."""

    name: str
    kind: NotifierKind
    notifier: Notifier | Sender
    pace: Pace
    ca_file: str | None


@attrs.frozen
class Configuration:
    """A whole configuration without mistakes.

    ``off``: the optional notifiers that are off, with the variable that is not set.
    ``passed_over``: the kinds of installed packages that are not used. ``store_path``: the file
    of the store, or ":memory:".
    """

    source: str
    streams: tuple[StreamPlan, ...]
    notifiers: tuple[NotifierPlan, ...]
    off: Mapping[str, str]
    passed_over: tuple[str, ...]
    messages: tuple[MessageRule, ...]
    incidents: tuple[IncidentRule, ...]
    store_path: str
    status: StatusSettings
    heartbeat: HeartbeatSettings

    @property
    def destinations(self) -> Mapping[str, Destination]:
        """What rules know of the notifiers that are on, by name."""
        return {
            plan.name: Destination(plan.name, plan.kind.escape, plan.kind.drops_orphans)
            for plan in self.notifiers
        }

    def remarks(self) -> list[str]:
        """Say what is no mistake and yet may not be meant: what is off, and what has no effect."""
        texts = [rule.texts for rule in self.messages] + [rule.texts for rule in self.incidents]
        named = {notifier for of_rule in texts for notifier in of_rule}
        said = [f"notifier {name} is off: {why}" for name, why in self.off.items()]
        said += [
            f"notifier {plan.name} is on, but no rule names it"
            for plan in self.notifiers
            if plan.name not in named
        ]
        if not named:
            said.append("nobody will be told anything: no rule names a notifier that is on")
        return [*said, *self.passed_over]
