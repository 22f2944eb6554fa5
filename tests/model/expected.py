"""Which incidents are to be open: the two rules of each configuration, written down a second time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, TypeAlias

import attrs

from tests.model.happened import HAPPENED
from tutumwatch.events.inputs import (
    CONNECTED,
    Input,
    Link,
    LinkType,
    Reloaded,
    Silence,
    Started,
    Tick,
)

STREAM_KEY = "tutum-stream"
_WELL = {LinkType.STREAM: {CONNECTED}, LinkType.NOTIFIER: {"Delivering"}}

_Name: TypeAlias = tuple[LinkType, str]


@attrs.define
class _Member:
    """``since``: when it became true; ``until``: when it became false again."""

    since: float
    is_open: bool = False
    until: float | None = None


@attrs.define
class ExpectedIncidents:
    """Opens and closes incidents as committed links and the time say; nothing else matters.

    ``for_seconds``: of each configuration, by its id; ``configurations``: that of each run, by the
    id of the run. Silences are all about the stream, and say nothing of what is open already.
    """

    CLEAR_FOR_SECONDS: ClassVar = 5.0
    for_seconds: Mapping[str, Mapping[LinkType, float]]
    configurations: dict[str, str] = attrs.field(factory=dict)
    _configuration: str = ""
    _silenced_until: float = 0.0
    _members: dict[_Name, _Member] = attrs.field(factory=dict)
    # The streams of which it is not known since a start whether they are there.
    _unknown: set[_Name] = attrs.field(factory=set)

    def take_in(self, item: Input) -> None:
        """Take in an input that was committed."""
        match item:
            case Link():
                self._take_link(item)
            case Tick(at=at):
                self._tick(at)
            case Started(run_id=run_id):
                other = self._configuration not in {"", self.configurations[run_id]}
                HAPPENED["restart: under other rules"] += other
                self._configuration = self.configurations[run_id]
                self._unknown = {name for name in self._members if name[0] is LinkType.STREAM}
            case Reloaded(id=configuration):
                HAPPENED["rules: changed by SIGHUP"] += configuration != self._configuration
                self._configuration = configuration
            case Silence(ends=ends):
                HAPPENED["person: silenced something"] += 1
                self._silenced_until = max(self._silenced_until, ends)
            case _:
                pass

    def _take_link(self, link: Link) -> None:
        name = (link.type, link.name)
        self._unknown.discard(name)
        member = self._members.get(name)
        if link.state in _WELL[link.type]:
            if member is not None and member.until is None:
                member.until = link.at
            return
        if member is not None and member.until is not None:
            gap = link.at - member.until
            if not member.is_open and gap >= self.CLEAR_FOR_SECONDS:
                member = None
        if member is None:
            member = self._members[name] = _Member(link.at)
        member.until = None
        member.is_open |= self._due(name, member) <= link.at

    def _due(self, name: _Name, member: _Member) -> float:
        if member.until is not None:
            return member.until + self.CLEAR_FOR_SECONDS
        if member.is_open:
            return float("inf")
        due = member.since + self.for_seconds[self._configuration][name[0]]
        return max(due, self._silenced_until) if name[0] is LinkType.STREAM else due

    def _tick(self, now: float) -> None:
        for name, member in list(self._members.items()):
            if self._due(name, member) > now:
                is_ripe = now - member.since >= self.for_seconds[self._configuration][name[0]]
                HAPPENED["withheld by a silence"] += is_ripe and not member.is_open
                continue
            if member.until is None:
                member.is_open = True
            elif name not in self._unknown:
                del self._members[name]
            else:  # nothing that was down ends before it is known to be there
                member.until = None
                member.since = member.since if member.is_open else now

    def next_due(self) -> float | None:
        """Give when an incident is to be opened or closed next."""
        dues = [self._due(name, member) for name, member in self._members.items()]
        return min((due for due in dues if due < float("inf")), default=None)

    def open_keys(self) -> set[str]:
        """Give the keys of the incidents that are open."""
        return {
            STREAM_KEY if type_ is LinkType.STREAM else f"notifier/{name}"
            for (type_, name), member in self._members.items()
            if member.is_open
        }
