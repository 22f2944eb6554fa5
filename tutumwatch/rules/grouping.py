"""Groups: many openings at once are told of as one, under a key of its own.

After ten openings in a minute a notifier is told of the further ones together. What was explained
by another incident and is still so when that explains it no longer is one group from the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from tutumwatch.inventory.survey import list_names
from tutumwatch.inventory.timers import Timers
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.members import (
    GROUP,
    OPENINGS,
    Group,
    IncidentName,
    Member,
    OpenIncident,
    decode_group,
    decode_times,
    encode,
    record_of,
)
from tutumwatch.rules.records import Records

SINGLY_COUNT = 10
SINGLY_SECONDS = 60.0
# So long further openings are waited for before a group is told of.
GATHER_SECONDS = 5.0
MANY = "more incidents"


@attrs.define
class Groups:
    """The groups that are open, by notifier and key; and how many openings each was told of."""

    _records: Records
    _groups: dict[tuple[str, str], Group] = attrs.field(factory=dict)
    _openings: dict[str, tuple[float, ...]] = attrs.field(factory=dict)
    _timers: Timers[tuple[str, str]] = attrs.field(factory=Timers)

    def is_told(self, key: str) -> bool:
        """Say whether anybody was told of a group."""
        return any(group.key == key and group.is_told for group in self._groups.values())

    def key_for(self, rule: IncidentRule, member: Member, notifier: str, now: float) -> str | None:
        """Give the key of the group that an opening belongs to; None: it is told of singly."""
        times = (*self._openings.get(notifier, ()), now)[-SINGLY_COUNT - 1 :]
        self._openings[notifier] = times
        self._records.put(record_of(OPENINGS, notifier), encode(times))
        if member.excused_by is not None:
            return f"{rule.name} after {member.excused_by[0]}"
        if len(times) > SINGLY_COUNT and now - times[0] < SINGLY_SECONDS:
            return MANY
        return None

    @staticmethod
    def keys_of(rule: IncidentRule) -> list[str]:
        """Give the key of every group that an incident of a rule may belong to."""
        return [MANY, *(f"{rule.name} after {other}" for other in rule.unless_open)]

    def add(self, notifier: str, key: str, rule: str, incident: IncidentName, now: float) -> None:
        """Take an opening into a group."""
        known = self._groups.get((notifier, key)) or Group(notifier, key, rule, ())
        gathered = now if known.gathered is None else known.gathered
        self._keep(attrs.evolve(known, members=(*known.members, incident), gathered=gathered))

    def remove(self, notifier: str, key: str, incident: IncidentName) -> bool:
        """Take an incident out of its group; say whether the notifier must hear of its end."""
        group = self._groups.get((notifier, key))
        if group is None:  # its record could not be read
            return True
        left = tuple(member for member in group.members if member != incident)
        if left:
            self._keep(attrs.evolve(group, members=left))
            return False
        del self._groups[notifier, key]
        self._timers.cancel((notifier, key))
        self._records.put(record_of(GROUP, notifier, key), None)
        return group.is_told

    def rename(self, one: OpenIncident, new: IncidentName) -> None:
        """Go on with an incident that has another name."""
        for notifier, key in one.grouped.items():
            group = self._groups.get((notifier, key))
            if group is None:
                continue
            members = tuple(new if member == one.name else member for member in group.members)
            self._keep(attrs.evolve(group, members=members))

    def take_gathered(self, now: float) -> Iterator[Group]:
        """Give the groups that are to be told of now."""
        for name in self._timers.take_due(now):
            group = attrs.evolve(self._groups[name], is_told=True, gathered=None)
            self._keep(group)
            yield group

    @staticmethod
    def describe(group: Group, abouts: Sequence[str]) -> str:
        """Say what is in a group: ``more incidents: 12 are open: shop/web, shop/db``."""
        if len(abouts) == 1:
            return f"{group.rule}: {abouts[0]}"
        return f"{group.key}: {len(abouts)} are open: {list_names(list(abouts))}"

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

    def _set_timer(self, group: Group) -> None:
        if group.gathered is None:
            self._timers.cancel((group.notifier, group.key))
        else:
            self._timers.set((group.notifier, group.key), group.gathered + GATHER_SECONDS)
