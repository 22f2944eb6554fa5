"""Incident rules: what opens an incident, for how long it must be so, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import attrs
import msgspec

from tutumwatch.events.inputs import LINK_TYPES
from tutumwatch.inventory.resource import Change
from tutumwatch.rules.matchers import Matcher
from tutumwatch.rules.notice import Severity
from tutumwatch.rules.routes import Audience
from tutumwatch.rules.texts import Text
from tutumwatch.rules.vocabulary import Path
from tutumwatch.settings import Duration, Settings

DEFAULT_TEXT = "{{ summary }}"
# Where there is no resource to sum up the name is that of the rule.
ABSENT_TEXT, ABSENT_RESOLVE_TEXT = "{{ name }}: there is none", "{{ name }}: there is one again"
# What is told of an event and not of a resource: an incident is about what is.
OF_EVENTS = frozenset({"kind", "action", "changed", "late", "date", "before"})


class RuleForm(Enum):
    """The three forms of incidents: something is so, happened too often, or is not there."""

    WHILE = "while"
    EACH = "each"
    ABSENT = "absent"


class IncidentSettings(Settings, frozen=True, kw_only=True):
    """One ``[[incidents]]`` table: something open while something is true."""

    name: str
    while_: Any = msgspec.field(name="while", default=None)
    each: Any = None
    absent: Any = None
    when: str | None = None
    times: int | None = None
    within: Duration | None = None
    per: str | None = None
    until: Any = None
    unless: Any = None
    unless_open: Any = None
    unless_max: Duration = Duration(300.0)
    for_: Duration | None = msgspec.field(name="for", default=None)
    clear_for: Duration | None = None
    repeat: Duration | None = None
    key: str | None = None
    severity: Severity = Severity.CRITICAL
    notify: Any
    text: str | None = None
    resolve_text: str | None = None
    was: str | None = None


@attrs.frozen
class IncidentRule:
    """A compiled ``[[incidents]]`` table; texts for each notifier that it may reach.

    ``until``: what ends it, if that is more than that it does not hold. ``reads``: the types of
    parents whose fields decide whether it is true. ``asks``: those that are looked up before it
    opens, because something of it names them. ``digest``: of all that decides whether it is true;
    one that differs is another rule.
    """

    name: str
    form: RuleForm
    matcher: Matcher
    until: Matcher | None
    unless: Matcher | None
    unless_open: tuple[str, ...]
    unless_max_seconds: float
    times: int
    within_seconds: float
    per: str | None
    for_seconds: float
    clear_for_seconds: float
    repeat_seconds: float | None
    key: Text | None
    severity: Severity
    audience: Audience
    texts: Mapping[str, Text]
    resolve_texts: Mapping[str, Text]
    was: str | None
    reads: frozenset[str]
    asks: frozenset[str]
    digest: str

    @property
    def paths(self) -> frozenset[Path]:
        """Every field that decides whether it is true."""
        matchers = (self.matcher, self.unless, self.until)
        return frozenset[Path]().union(*(m.paths for m in matchers if m is not None))

    def may_concern(self, type_: str) -> bool:
        """Say whether a resource of this type can be a member, or make one."""
        return self.matcher.may_match(type_)

    def may_take(self, change: Change) -> bool:
        """Say whether a change of no member may do anything to it, by type, state and action."""
        if self.form is RuleForm.ABSENT:
            # What matched before is present no more.
            return self.matcher.may_match(change.after.key[1])
        return not self.matcher.refuses(change)


def is_own_connection(type_: str) -> bool:
    """Say whether a type is one of our own connections, of which no platform knows anything."""
    return type_ in LINK_TYPES
