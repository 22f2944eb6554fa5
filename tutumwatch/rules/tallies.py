"""Counts how often a rule is matched within a length of time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from tutumwatch.inventory.timers import Timers
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.members import (
    TALLY,
    MemberName,
    Recurrence,
    decode_tally,
    encode,
    record_of,
)
from tutumwatch.rules.records import Records

# Beyond this many resources whose matches are counted, the one whose last is the longest ago is
# forgotten, unless there were enough.
TALLIES_MAX_COUNT = 20_000


@attrs.define
class Tallies:
    """When each rule that counts was matched of late, by rule and resource."""

    _records: Records
    _tallies: dict[MemberName, Recurrence] = attrs.field(factory=dict)
    _timers: Timers[MemberName] = attrs.field(factory=Timers)

    def is_reached(self, name: MemberName) -> bool:
        """Say whether there were as many matches as a rule counts, and none is overdue."""
        tally = self._tallies.get(name)
        return tally is not None and tally.is_reached

    def count(self, rule: IncidentRule, name: MemberName, at: float) -> bool:
        """Count a match; say whether there were enough.

        :param at: when it was matched; matches that waited for a look-up may come in any order.
        """
        known = self._tallies.pop(name, None) or Recurrence(name, ())
        times = tuple(sorted((*known.times, at)))[-rule.times :]
        is_enough = len(times) == rule.times and times[-1] - times[0] <= rule.within_seconds
        self._put(Recurrence(name, times, known.is_reached or is_enough), rule)
        if len(self._tallies) > TALLIES_MAX_COUNT:
            self._make_room()
        return self.is_reached(name)

    def _make_room(self) -> None:
        for name, tally in self._tallies.items():
            if not tally.is_reached:
                self.forget(name)
                return

    def forget(self, name: MemberName) -> None:
        """Begin to count anew."""
        if self._tallies.pop(name, None) is not None:
            self._timers.cancel(name)
            self._records.put(record_of(TALLY, *name), None)

    def tick(self, now: float) -> Iterator[MemberName]:
        """Give what was not matched again in time; it is forgotten."""
        for name in self._timers.take_due(now):
            self.forget(name)
            yield name

    def next_due(self) -> float | None:
        """Give when the first is not matched in time."""
        return self._timers.next_due()

    def restore(self, record: bytes) -> None:
        """Go on with what was counted; :meth:`use` says for how long each counts.

        :raises MsgspecError: if it cannot be read.
        """
        tally = decode_tally(record)
        self._tallies[tally.name] = tally

    def use(self, rules: Mapping[str, IncidentRule]) -> None:
        """Go on under these rules; what others counted is forgotten."""
        for name, tally in list(self._tallies.items()):
            rule = rules.get(name[0])
            if rule is None:
                self.forget(name)
            elif tally.is_reached and len(tally.times) < rule.times:
                # It wants more of them now.
                self._put(attrs.evolve(tally, is_reached=False), rule)
            else:
                self._timers.set(name, tally.times[-1] + rule.within_seconds)

    def rename(self, old: str, new: str) -> None:
        """Go on counting for a rule that has another name now."""
        for name, tally in list(self._tallies.items()):
            if name[0] == old:
                self.forget(name)
                renamed = attrs.evolve(tally, name=(new, name[1]))
                self._tallies[renamed.name] = renamed
                self._records.put(record_of(TALLY, *renamed.name), encode(renamed))

    def save_everything(self) -> None:
        """Record everything again."""
        for tally in self._tallies.values():
            self._records.put(record_of(TALLY, *tally.name), encode(tally))

    def _put(self, tally: Recurrence, rule: IncidentRule) -> None:
        self._tallies[tally.name] = tally
        self._timers.set(tally.name, tally.times[-1] + rule.within_seconds)
        self._records.put(record_of(TALLY, *tally.name), encode(tally))
