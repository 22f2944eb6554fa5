"""Storms: more messages of one rule in a minute than anybody reads become one summary."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import attrs
import msgspec

from tutumwatch.rules.decisions import RecordName
from tutumwatch.rules.gathered import Gathered
from tutumwatch.rules.records import Records

STORM = "storm"
MINUTE_SECONDS = 60.0


@attrs.define
class Minute:
    """A minute of one rule: when it began, how much was said singly, and what was gathered since.

    It is kept over restarts as it is here; its size is bounded, whatever is gathered.
    """

    rule: str
    began: float
    said_count: int = 0
    gathered: Gathered | None = None

    @property
    def ends(self) -> float:
        """When it is over, and what was gathered is due."""
        return self.began + MINUTE_SECONDS


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Minute).decode


@attrs.define
class Storms:
    """The last minute of every rule that spoke; one that gathered nothing ends unnoticed."""

    _records: Records
    _minutes: dict[str, Minute] = attrs.field(factory=dict)
    # Those that gathered something.
    _due: dict[str, float] = attrs.field(factory=dict)

    def admits(self, rule: str, count: int, now: float) -> bool:
        """Say whether a rule may say one more thing singly; else it is to be gathered.

        :param count: how many it may say in a minute; 0 is no limit.
        """
        minute = self._minutes.get(rule)
        # The Tick that ends a minute may be late: until then what comes goes with the others.
        is_over = minute is None or (minute.ends <= now and minute.gathered is None)
        if not count and is_over:
            return True
        if minute is None or is_over:
            minute = self._minutes[rule] = Minute(rule, now)
        if minute.gathered is not None or minute.said_count >= count > 0:
            return False
        minute.said_count += 1
        self._record(minute)
        return True

    def gather(
        self, rule: str, notifiers: Collection[str], name: str, withheld: int, *, is_change: bool
    ) -> None:
        """Keep what :meth:`admits` did not admit for the summary; see :meth:`Gathered.add`."""
        minute = self._minutes[rule]
        if minute.gathered is None:
            minute.gathered = Gathered(rule, is_change)
            self._due[rule] = minute.ends
        minute.gathered.add(notifiers, name, withheld)
        self._record(minute)

    def next_due(self) -> float | None:
        """Give when the next summary is due."""
        return min(self._due.values(), default=None)

    def take_due(self, now: float) -> Iterator[tuple[float, Gathered]]:
        """Take what was gathered in the minutes that are over, and when each began."""
        for rule in [rule for rule, due in self._due.items() if due <= now]:
            yield from self._take(rule)

    def begin(self, now: float) -> None:
        """Go on after a restart; what is dated later than now comes from a clock that was wrong."""
        for rule, minute in self._minutes.items():
            if minute.began > now:
                minute.began = now
                self._record(minute)
                if rule in self._due:
                    self._due[rule] = minute.ends

    def use(self, rules: Collection[str]) -> Iterator[tuple[float, Gathered]]:
        """Forget all rules but these; give what those had gathered."""
        for rule in [rule for rule in self._minutes if rule not in rules]:
            yield from self._take(rule)

    def restore(self, records: Mapping[RecordName, bytes]) -> int:
        """Begin with the minutes of the last run; give how many records could not be read."""
        unreadable = 0
        for name, record in records.items():
            if name[0] == STORM:
                try:
                    minute = _decode(record)
                except msgspec.MsgspecError:
                    unreadable += 1
                    self._records.put(name, None)
                    continue
                self._minutes[minute.rule] = minute
                if minute.gathered is not None:
                    self._due[minute.rule] = minute.ends
        return unreadable

    def save_everything(self) -> None:
        """Count all that is kept over a restart as changed: what was kept is lost."""
        for minute in self._minutes.values():
            self._record(minute)

    def _take(self, rule: str) -> Iterator[tuple[float, Gathered]]:
        minute = self._minutes.pop(rule)
        self._due.pop(rule, None)
        self._records.put((STORM, rule), None)
        if minute.gathered is not None:
            yield minute.began, minute.gathered

    def _record(self, minute: Minute) -> None:
        self._records.put((STORM, minute.rule), _encode(minute))
