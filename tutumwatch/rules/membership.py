"""The members of all incident rules, found by resource, by incident, and by when they go on."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import TypeVar

import attrs

from tutumwatch.inventory.resource import Key
from tutumwatch.inventory.timers import Timers
from tutumwatch.rules.members import (
    MEMBER,
    IncidentName,
    Member,
    MemberName,
    counted_from,
    decode_member,
    encode,
    record_of,
)
from tutumwatch.rules.records import Records

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V", bound=Hashable)


@attrs.define
class Membership:
    """Every member; what is kept is recorded."""

    _records: Records
    timers: Timers[MemberName] = attrs.field(factory=Timers)
    _members: dict[MemberName, Member] = attrs.field(factory=dict)
    _rules_of: dict[Key, dict[str, None]] = attrs.field(factory=dict)
    _of_incident: dict[IncidentName, dict[MemberName, None]] = attrs.field(factory=dict)
    # By the look-up that a member waits for: (stream, resource_uri).
    _checked: dict[tuple[str, str], dict[MemberName, None]] = attrs.field(factory=dict)

    def __iter__(self) -> Iterator[Member]:
        """Give all members."""
        return iter(list(self._members.values()))

    def get(self, name: MemberName) -> Member | None:
        """Give a member, or None."""
        return self._members.get(name)

    def of_incident(self, incident: IncidentName) -> list[Member]:
        """Give the members of an incident."""
        return [self._members[name] for name in self._of_incident.get(incident, ())]

    def rules_of(self, key: Key) -> list[str]:
        """Give the rules that a resource is a member of."""
        return list(self._rules_of.get(key, ()))

    def is_member(self, key: Key) -> bool:
        """Say whether a resource is a member of anything."""
        return key in self._rules_of

    def waiting_for(self, stream: str, resource_uri: str) -> list[Member]:
        """Give the members that wait for a look-up."""
        return [self._members[name] for name in self._checked.get((stream, resource_uri), ())]

    def keep(self, member: Member) -> None:
        """Keep a member as it is now."""
        self._unlink(member.name)
        self._members[member.name] = member
        rule, key = member.name
        self._rules_of.setdefault(key, {})[rule] = None
        self._of_incident.setdefault(member.incident, {})[member.name] = None
        for look_up in _look_ups(member):
            self._checked.setdefault(look_up, {})[member.name] = None
        self._records.put(record_of(MEMBER, *member.name), encode(member))
        if member.due is None:
            self.timers.cancel(member.name)
        else:
            self.timers.set(member.name, member.due)

    def forget(self, name: MemberName) -> None:
        """Forget a member."""
        self.timers.cancel(name)
        self._unlink(name)
        del self._members[name]
        self._records.put(record_of(MEMBER, *name), None)

    def restore(self, record: bytes, now: float) -> None:
        """Keep a member as it was recorded; see :func:`counted_from`.

        :raises MsgspecError: if it cannot be read.
        """
        self.keep(counted_from(decode_member(record), now))

    def save_everything(self) -> None:
        """Record every member again."""
        for member in self._members.values():
            self._records.put(record_of(MEMBER, *member.name), encode(member))

    def _unlink(self, name: MemberName) -> None:
        known = self._members.get(name)
        if known is None:
            return
        _discard(self._rules_of, name[1], name[0])
        _discard(self._of_incident, known.incident, name)
        for look_up in _look_ups(known):
            _discard(self._checked, look_up, name)


def _look_ups(member: Member) -> list[tuple[str, str]]:
    return [(member.stream, uri) for uri in member.check.uris] if member.check is not None else []


def _discard(index: dict[_K, dict[_V, None]], key: _K, value: _V) -> None:
    entries = index[key]
    del entries[value]
    if not entries:
        del index[key]
