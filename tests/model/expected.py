"""Which incidents are to be open: the two rules of the history, written down a second time."""

from __future__ import annotations

from typing import ClassVar, TypeAlias

import attrs

from tutumwatch.events.inputs import CONNECTED, Input, Link, LinkType, Tick

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
    """Opens and closes incidents as committed links and the time say; nothing else matters."""

    FOR_SECONDS: ClassVar = {LinkType.STREAM: 15.0, LinkType.NOTIFIER: 20.0}
    CLEAR_FOR_SECONDS: ClassVar = 5.0
    _members: dict[_Name, _Member] = attrs.field(factory=dict)

    def take_in(self, item: Input) -> None:
        """Take in an input that was committed."""
        match item:
            case Link():
                self._take_link(item)
            case Tick(at=at):
                self._tick(at)
            case _:
                pass

    def _take_link(self, link: Link) -> None:
        name = (link.type, link.name)
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
        return float("inf") if member.is_open else member.since + self.FOR_SECONDS[name[0]]

    def _tick(self, now: float) -> None:
        for name, member in list(self._members.items()):
            if self._due(name, member) > now:
                continue
            if member.until is None:
                member.is_open = True
            else:
                del self._members[name]

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
