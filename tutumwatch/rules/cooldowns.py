"""Cooldowns: a rule speaks of one resource once in a while; what it keeps back is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

import attrs
import msgspec

from tutumwatch.inventory.resource import Key
from tutumwatch.rules.decisions import RecordName

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
    ``unsaved``: the names of those that changed since they were taken last.

    :param counts: where.
    """

    _counts: Counter[str] = attrs.field(factory=Counter)
    _marks: dict[tuple[str, Key], Mark] = attrs.field(factory=dict)
    unsaved: set[tuple[str, Key]] = attrs.field(factory=set)

    def admit(
        self, rule: str, key: Key, seconds: float, now: float, *, is_last: bool = False
    ) -> int | None:
        """Give how many were kept back since a rule spoke of a resource; None if this is as well.

        :param is_last: nothing will come after it, so it is not kept back, and ends the rest.
        """
        name = (rule, key)
        mark = self._marks.get(name)
        is_resting = mark is not None and now < mark.until and seconds > 0
        if mark is not None and is_resting and not is_last:
            mark.withheld += 1
            self.unsaved.add(name)
            return None
        if mark is not None:
            del self._marks[name]
            self.unsaved.add(name)
        if seconds > 0 and not is_last:
            self._marks[name] = Mark(rule, key, now, now + seconds)
            self.unsaved.add(name)
            if len(self._marks) > MARKS_MAX_COUNT:
                self._make_room(now)
        return 0 if mark is None else mark.withheld

    def withheld_count(self) -> int:
        """Count what is kept back and was not told of yet."""
        return sum(mark.withheld for mark in self._marks.values())

    def begin(self, now: float) -> None:
        """Go on after a restart; what is dated later than now comes from a clock that was wrong."""
        for name, mark in self._marks.items():
            if mark.said_at > now:
                mark.until -= mark.said_at - now
                mark.said_at = now
                self.unsaved.add(name)

    def use(self, rules: Collection[str]) -> None:
        """Forget the rests of all rules but these."""
        for name in [name for name in self._marks if name[0] not in rules]:
            self._forget(name)

    def take_unsaved(self) -> dict[RecordName, bytes | None]:
        """Give what has to be kept over a restart and changed since this was asked last."""
        marks = {name: self._marks.get(name) for name in self.unsaved}
        self.unsaved.clear()
        return {
            _record_of(name): None if mark is None else _encode(mark)
            for name, mark in marks.items()
        }

    def restore(self, records: Mapping[RecordName, bytes]) -> list[RecordName]:
        """Begin with the rests of the last run; give the records that could not be read."""
        marks: list[Mark] = []
        unreadable: list[RecordName] = []
        for name, record in records.items():
            if name[0] == COOLDOWN:
                try:
                    marks.append(_decode(record))
                except msgspec.MsgspecError:
                    unreadable.append(name)
        marks.sort(key=lambda mark: (mark.said_at, mark.rule, mark.key))
        self._marks = {(mark.rule, mark.key): mark for mark in marks}
        return unreadable

    def save_everything(self) -> None:
        """Count all that is kept over a restart as changed: what was kept is lost."""
        self.unsaved.update(self._marks)

    def _make_room(self, now: float) -> None:
        """Forget what is over and kept nothing back; if that is not enough, the oldest tenth."""
        idle = [n for n, m in self._marks.items() if m.until <= now and not m.withheld]
        enough = MARKS_MAX_COUNT // 10
        for name in idle if len(idle) >= enough else list(self._marks)[:enough]:
            self._forget(name)

    def _forget(self, name: tuple[str, Key]) -> None:
        self._counts["cooldown forgotten"] += self._marks.pop(name).withheld
        self.unsaved.add(name)


def _record_of(name: tuple[str, Key]) -> RecordName:
    rule, key = name
    return (COOLDOWN, msgspec.json.encode((rule, *key)).decode())
