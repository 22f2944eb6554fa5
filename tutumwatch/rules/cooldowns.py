"""Cooldowns: a rule speaks of one resource once in a while; what it keeps back is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

import attrs
import msgspec

from tutumwatch.inventory.resource import Key
from tutumwatch.rules.decisions import RecordName
from tutumwatch.rules.records import Records

COOLDOWN = "cooldown"
MARKS_MAX_COUNT = 10_000


@attrs.define
class Mark:
    """That a rule spoke of a resource: when, until when it rests, and what it kept back since.

    It is kept over restarts as it is here.
    """

    rule: str
    key: Key
    said_at: float
    until: float
    withheld: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Mark).decode


@attrs.define
class Cooldowns:
    """Every rest that may not be over, and every one in which something was kept back.

    Of more than ``MARKS_MAX_COUNT`` the oldest are forgotten, and what those kept back is counted.

    :param counts: where.
    """

    _records: Records
    _counts: Counter[str]
    _marks: dict[tuple[str, Key], Mark] = attrs.field(factory=dict)

    def admit(
        self, rule: str, key: Key, seconds: float, now: float, *, is_last: bool = False
    ) -> int | None:
        """Give how many were kept back since a rule spoke of a resource; None if this is as well.

        :param is_last: nothing will come after it, so it is not kept back, and ends the rest.
        """
        name = (rule, key)
        mark = self._marks.get(name)
        begins_rest = seconds > 0 and not is_last
        if mark is not None:
            if begins_rest and now < mark.until:
                mark.withheld += 1
                self._record(mark)
                return None
            self._remove(name)
        if begins_rest:
            self._marks[name] = Mark(rule, key, now, now + seconds)
            self._record(self._marks[name])
            if len(self._marks) > MARKS_MAX_COUNT:
                self._make_room(now)
        return 0 if mark is None else mark.withheld

    def begin(self, now: float) -> None:
        """Go on after a restart; what is dated later than now comes from a clock that was wrong."""
        for mark in self._marks.values():
            if mark.said_at > now:
                mark.until -= mark.said_at - now
                mark.said_at = now
                self._record(mark)

    def use(self, rules: Collection[str]) -> None:
        """Forget the rests of all rules but these."""
        for name in [name for name in self._marks if name[0] not in rules]:
            self._forget(name)

    def restore(self, records: Mapping[RecordName, bytes]) -> int:
        """Begin with the rests of the last run; give how many records could not be read."""
        marks: list[Mark] = []
        unreadable = 0
        for name, record in records.items():
            if name[0] == COOLDOWN:
                try:
                    marks.append(_decode(record))
                except msgspec.MsgspecError:
                    unreadable += 1
                    self._records.put(name, None)
        marks.sort(key=lambda mark: (mark.said_at, mark.rule, mark.key))
        self._marks = {(mark.rule, mark.key): mark for mark in marks}
        return unreadable

    def save_everything(self) -> None:
        """Count all that is kept over a restart as changed: what was kept is lost."""
        for mark in self._marks.values():
            self._record(mark)

    def _make_room(self, now: float) -> None:
        """Forget what is over and kept nothing back; if that is not enough, the oldest tenth."""
        idle = [n for n, m in self._marks.items() if m.until <= now and not m.withheld]
        enough = MARKS_MAX_COUNT // 10
        for name in idle if len(idle) >= enough else list(self._marks)[:enough]:
            self._forget(name)

    def _forget(self, name: tuple[str, Key]) -> None:
        self._counts["cooldown forgotten"] += self._remove(name).withheld

    def _remove(self, name: tuple[str, Key]) -> Mark:
        self._records.put(_record_of(*name), None)
        return self._marks.pop(name)

    def _record(self, mark: Mark) -> None:
        self._records.put(_record_of(mark.rule, mark.key), _encode(mark))


def _record_of(rule: str, key: Key) -> RecordName:
    return (COOLDOWN, msgspec.json.encode((rule, *key)).decode())
