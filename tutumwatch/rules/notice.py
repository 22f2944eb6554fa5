"""What there is to say, ready to be sent: the value that flows from the rules to the outbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum

import attrs


class Form(Enum):
    """A message says something once; a trigger opens an incident and a resolve closes it."""

    MESSAGE = "message"
    TRIGGER = "trigger"
    RESOLVE = "resolve"


class Severity(Enum):
    """How bad an incident is, in PagerDuty's words."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@attrs.frozen
class Notice:
    """One thing to say to one destination.

    ``text`` is escaped for its destination and frozen; it holds no credential. ``key``: an
    incident's own key, or what a message is about. ``marks`` tell how sure it is: "details
    unknown", "gone". ``details``: further facts, for destinations that show them. ``is_change``: it
    tells of a change and asks nobody to act, for destinations that tell the two apart.
    """

    id: str
    form: Form
    rule: str
    notifier: str
    key: str
    text: str
    at: float
    severity: Severity = Severity.INFO
    marks: tuple[str, ...] = ()
    details: Mapping[str, str] = attrs.field(factory=dict)
    is_change: bool = False

    @property
    def lane(self) -> tuple[str, str]:
        """What it keeps its order with: the notices of one key to one notifier."""
        return (self.notifier, self.key)


@attrs.frozen
class Destination:
    """What rules know of a configured notifier.

    ``escape`` makes a value harmless in its texts. ``drops_orphans``: a resolve without a trigger
    has no effect there, so one may be sent when it is not known what was open.
    """

    name: str
    escape: Callable[[str], str]
    drops_orphans: bool = False
