"""A whole configuration, checked and compiled: what the composition root builds from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from tutumwatch.config.heartbeat import HeartbeatSettings
from tutumwatch.config.rehearsal_plans import Rehearsal
from tutumwatch.config.rules import LAST_RESORT
from tutumwatch.config.status import StatusSettings
from tutumwatch.notifiers.contract import (
    Notifier,
    NotifierKind,
    NotifierSettings,
    Pace,
    Sender,
)
from tutumwatch.rules.notice import Destination
from tutumwatch.rules.routes import remarks
from tutumwatch.rules.rule_set import RuleSet
from tutumwatch.stream.credentials import Credentials
from tutumwatch.stream.settings import StreamSettings


@attrs.frozen
class StreamPlan:
    """A stream that is to be watched: everything that was left out is filled in.

    ``trust``: a digest of what the ``ca_file`` holds; empty without one.
    """

    name: str
    url: str
    rest: str
    credentials: Credentials
    settings: StreamSettings
    trust: str = ""


@attrs.frozen
class NotifierPlan:
    """A notifier that is on.

    ``settings``: what its table says. ``trust``: a digest of what the ``ca_file`` holds.
    """

    name: str
    kind: NotifierKind
    notifier: Notifier | Sender
    pace: Pace
    ca_file: str | None
    settings: NotifierSettings
    trust: str = ""


@attrs.frozen
class Configuration:
    """A whole configuration without mistakes.

    ``off``: the optional notifiers that are off, with the variable that is not set.
    ``passed_over``: the kinds of installed packages that are not used. ``store_path``: the file
    of the store, or ":memory:". ``id``: a short digest of its text. ``written``: the tables of
    rules and of what goes with them, as they are written; no credential belongs there.
    ``rehearsals``: its tests. ``rehearsed``: the rules as these know them, every notifier on; None
    without tests.
    """

    source: str
    streams: tuple[StreamPlan, ...]
    notifiers: tuple[NotifierPlan, ...]
    off: Mapping[str, str]
    passed_over: tuple[str, ...]
    rules: RuleSet
    store_path: str
    status: StatusSettings
    heartbeat: HeartbeatSettings
    id: str = ""
    written: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    rehearsals: tuple[Rehearsal, ...] = ()
    rehearsed: RuleSet | None = None

    @property
    def destinations(self) -> Mapping[str, Destination]:
        """What rules know of the notifiers that are on, by name."""
        return self.rules.destinations

    def remarks(self) -> list[str]:
        """Say what is no mistake and yet may not be meant: what is off, and what has no effect."""
        rules = [rule for rule in self.rules.incidents if rule.name != LAST_RESORT.name]
        texts = [rule.texts for rule in self.rules.messages] + [rule.texts for rule in rules]
        named = {notifier for of_rule in texts for notifier in of_rule}
        said = [f"notifier {name} is off: {why}" for name, why in self.off.items()]
        said += [
            f"notifier {plan.name} is on, but no rule names it"
            for plan in self.notifiers
            if plan.name not in named
        ]
        if not named:
            said.append("nobody will be told anything: no rule names a notifier that is on")
        return [*said, *remarks(self.rules.routes, self.rules.audiences), *self.passed_over]
