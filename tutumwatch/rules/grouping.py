"""Groups: many openings at once are told of as one, under a key of its own.

After ten openings in a minute a notifier is told of the further ones together. What was explained
by another incident and is still so when that explains it no longer is one group from the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import attrs

from tutumwatch.inventory.survey import list_names
from tutumwatch.inventory.timers import Timers
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.members import (
    GROUP,
    OPENINGS,
    Group,
    IncidentName,
    OpenIncident,
    decode_group,
    decode_times,
    encode,
    record_of,
)
from tutumwatch.rules.records import Records

SINGLY_COUNT = 10
SINGLY_SECONDS = 60.0
# So long further openings are waited for before a group is told of, and before it is told again.
GATHER_SECONDS = 5.0
UPDATE_SECONDS = 60.0
MANY = "more incidents"

GroupName: TypeAlias = tuple[str, str]
"""(notifier, key)"""


@attrs.define
class Groups:
    """The groups that are open, by notifier and key; and how many openings each was told of."""

    _records: Records
    _groups: dict[GroupName, Group] = attrs.field(factory=dict)
    # Not recorded: an open incident knows the groups that it is in.
    _members: dict[GroupName, dict[IncidentName, None]] = attrs.field(factory=dict)
    _untold: dict[GroupName, dict[IncidentName, None]] = attrs.field(factory=dict)
    _openings: dict[str, tuple[float, ...]] = attrs.field(factory=dict)
    _timers: Timers[GroupName] = attrs.field(factory=Timers)

    def is_told(self, key: str) -> bool:
        """Say whether anybody was told of a group."""
        return any(group.key == key and group.is_told for group in self._groups.values())

    def is_open(self, notifier: str, key: str) -> bool:
        """Say whether there is a group."""
        return (notifier, key) in self._groups

    def key_for(
        self, rule: IncidentRule, excused_by: IncidentName | None, notifier: str, now: float
    ) -> str | None:
        """Give the key of the group that an opening belongs to; None: it is told of singly.

        :param excused_by: the incident that explained it until its excuse ran out.
        """
        if excused_by is not None:
            return f"{rule.name} after {excused_by[0]}"
        since = now - SINGLY_SECONDS
        recent = [at for at in self._openings.get(notifier, ()) if since < at <= now]
        self._openings[notifier] = times = (*recent[-SINGLY_COUNT:], now)
        self._records.put(record_of(OPENINGS, notifier), encode(times))
        return MANY if len(times) > SINGLY_COUNT else None

    @staticmethod
    def keys_of(rule: IncidentRule) -> list[str]:
        """Give the key of every group that an incident of a rule may belong to."""
        return [MANY, *(f"{rule.name} after {other}" for other in rule.unless_open)]

    def add(self, notifier: str, key: str, incident: IncidentName, now: float) -> None:
        """Take an opening into a group."""
        name = (notifier, key)
        self._members.setdefault(name, {})[incident] = None
        self._untold.setdefault(name, {})[incident] = None
        group = self._groups.get(name) or Group(notifier, key)
        if group.gathered is None:
            self._keep(attrs.evolve(group, gathered=now))

    def remove(self, notifier: str, key: str, incident: IncidentName) -> bool:
        """Take an incident out of its group; say whether the notifier must hear of its end."""
        name = (notifier, key)
        group = self._groups[name]
        self._members[name].pop(incident, None)
        untold = self._untold.get(name, {})
        untold.pop(incident, None)
        if not self._members[name]:
            self._forget(name)
            return group.is_told
        if group.gathered is not None and not untold:
            self._keep(attrs.evolve(group, gathered=None))
        return False

    def rename(self, one: OpenIncident, new: IncidentName) -> None:
        """Go on with an incident that has another name."""
        for name in one.grouped.items():
            for names in (self._members, self._untold):
                if one.name in names.get(name, {}):
                    del names[name][one.name]
                    names[name][new] = None

    def take_gathered(self, now: float) -> Iterator[tuple[Group, list[IncidentName]]]:
        """Give the groups that are to be told of now, each with what is in it: the news first."""
        for name in self._timers.take_due(now):
            group = attrs.evolve(self._groups[name], is_told=True, gathered=None)
            self._keep(group)
            yield group, list(self._untold.pop(name, {}) | self._members[name])

    def next_due(self) -> float | None:
        """Give when a group is to be told of next."""
        return self._timers.next_due()

    def restore_group(self, record: bytes) -> None:
        """Go on with a group.

        :raises MsgspecError: if it cannot be read.
        """
        group = decode_group(record)
        self._groups[group.notifier, group.key] = group
        self._set_timer(group)

    def restore_openings(self, notifier: str, record: bytes) -> None:
        """Go on counting the openings that a notifier was told of.

        :raises MsgspecError: if they cannot be read.
        """
        self._openings[notifier] = decode_times(record)

    def restore_members(self, incidents: Iterable[OpenIncident]) -> None:
        """Know again which incidents are in the groups; a group that is not known was told."""
        for one in incidents:
            for notifier, key in one.grouped.items():
                group = self._groups.get((notifier, key))
                if group is None:
                    self._keep(Group(notifier, key, is_told=True))
                elif group.gathered is not None and one.since >= group.gathered:
                    self._untold.setdefault((notifier, key), {})[one.name] = None
                self._members.setdefault((notifier, key), {})[one.name] = None

    def take_empty(self) -> list[Group]:
        """Give the groups with nothing in them of which somebody was told, and forget them.

        There are some only if the records of incidents could not be read.
        """
        empty = [group for name, group in self._groups.items() if name not in self._members]
        for group in empty:
            self._forget((group.notifier, group.key))
        return [group for group in empty if group.is_told]

    def save_everything(self) -> None:
        """Record everything again."""
        for group in self._groups.values():
            self._records.put(record_of(GROUP, group.notifier, group.key), encode(group))
        for notifier, times in self._openings.items():
            self._records.put(record_of(OPENINGS, notifier), encode(times))

    def _keep(self, group: Group) -> None:
        self._groups[group.notifier, group.key] = group
        self._records.put(record_of(GROUP, group.notifier, group.key), encode(group))
        self._set_timer(group)

    def _forget(self, name: GroupName) -> None:
        del self._groups[name]
        self._members.pop(name, None)
        self._untold.pop(name, None)
        self._timers.cancel(name)
        self._records.put(record_of(GROUP, *name), None)

    def _set_timer(self, group: Group) -> None:
        if group.gathered is None:
            self._timers.cancel((group.notifier, group.key))
        else:
            wait_seconds = UPDATE_SECONDS if group.is_told else GATHER_SECONDS
            self._timers.set((group.notifier, group.key), group.gathered + wait_seconds)


def describe(key: str, opened: Sequence[OpenIncident]) -> str:
    """Say what is in a group: ``service down after node lost: 2 are open: shop/web, shop/db``."""
    names = [f"{one.about} ({one.name[0]})" if key == MANY else one.about for one in opened]
    if len(names) == 1:
        return f"{key}: {names[0]}"
    return f"{key}: {len(names)} are open: {list_names(names)}"
