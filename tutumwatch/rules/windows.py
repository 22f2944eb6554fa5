"""Windows of time as a clock on a wall shows them: days, hours and a zone.

A window of a day begins when that clock shows ``from`` for the first time, and ends when it shows
``to`` for the last time. So it is never shorter than announced where clocks are set back; a time
that they skip counts as the moment at which they skip it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import attrs

from tutumwatch.rules.vocabulary import suggestion

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DEFAULT_ZONE = "UTC"
_DAY_MINUTES = 24 * 60
# The window of a day may last into the next one. Two weeks, because the window of one week may
# lie in an hour that its clocks skip.
_DAYS_BACK, _DAYS_LOOKED_AT = 2, 17
_TIME = re.compile(r"(\d{1,2}):([0-5]\d)")

Mistake = Callable[[str, str], None]


@attrs.frozen
class Span:
    """From one time up to another, in seconds since 1970."""

    begins: float
    ends: float


@attrs.frozen
class WeeklyWindow:
    """The days on which something begins, and the minutes of such a day between which it holds.

    :param days: 0 is Monday.
    :param end: in minutes after the midnight before it begins; over midnight more than a day.
    """

    _days: frozenset[int]
    _begin: int
    _end: int
    _zone: ZoneInfo

    def span(self, at: float) -> Span:
        """Give from when to when it holds that holds at a time, or else will hold next.

        What follows without a gap is one; of what began days ago, the last day.
        """
        first, *others = (day for day in self._days_around(at) if day.ends > at)
        ends = first.ends
        for other in others:
            if other.begins <= ends:
                ends = other.ends
        return Span(first.begins, ends)

    def _days_around(self, at: float) -> Iterator[Span]:
        """Give the windows of single days, from before a time until two weeks after it."""
        first = datetime.fromtimestamp(at, self._zone).date() - timedelta(days=_DAYS_BACK)
        for number in range(_DAYS_LOOKED_AT):
            day = first + timedelta(days=number)
            if day.weekday() in self._days:
                midnight = datetime.combine(day, time())
                begins = instant_of(midnight + timedelta(minutes=self._begin), self._zone)
                end = midnight + timedelta(minutes=self._end)
                ends = instant_of(end, self._zone, last=True)
                if begins < ends:
                    yield Span(begins, ends)


def instant_of(shown: datetime, zone: ZoneInfo, *, last: bool = False) -> float:
    """Give when the clocks of a zone show a time, in seconds since 1970.

    :param shown: without a zone of its own.
    :param last: the last time that they show it, else the first. They show it twice when they are
        set back; what they skip counts as the moment at which they skip it.
    """
    before, after = (shown.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    if before <= after:
        return after if last else before
    return _jump(math.floor(after), math.ceil(before), zone)


def _jump(low: int, high: int, zone: ZoneInfo) -> float:
    """Give when the clocks of a zone are set, which is after one time and not after another."""
    offset = datetime.fromtimestamp(low, zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return float(high)


def compile_window(
    days: Sequence[str] | None, begin: str | None, end: str | None, zone: str, mistake: Mistake
) -> WeeklyWindow:
    """Compile what says when something holds; what is left out is the whole week, the whole day.

    :param mistake: told of each mistake: the key, and what is wrong.
    """
    numbers = frozenset(range(len(DAYS))) if days is None else _numbers_of(days, mistake)
    first = _minute_of("from", begin, 0, mistake)
    until = _minute_of("to", end, _DAY_MINUTES, mistake)
    if first == until:
        mistake("to", 'is the same time as from; the end of a day is "24:00"')
    if len(numbers) == len(DAYS) and until - first == _DAY_MINUTES:
        mistake("", "would always hold: say on which days, or from when to when")
    return WeeklyWindow(
        numbers, first, until if first < until else until + _DAY_MINUTES, zone_of(zone, mistake)
    )


def _numbers_of(days: Sequence[str], mistake: Mistake) -> frozenset[int]:
    """Give the numbers of days; ``Fri-Mon`` are four of them."""
    numbers: set[int] = set()
    if not days:
        mistake("days", "names no day, so it would never hold")
    for written in days:
        words = [word.strip().capitalize() for word in written.split("-")]
        unknown = [word for word in words if word not in DAYS]
        for word in unknown:
            hint = suggestion(word, DAYS)
            mistake("days", f"{word!r} is no day{hint}; days are {', '.join(DAYS)}")
        if not unknown and len(words) > 2:  # noqa: PLR2004 - from one day to another
            mistake("days", f'{written!r} is more than from one day to another, as "Mon-Fri" is')
        elif not unknown:
            first, last = DAYS.index(words[0]), DAYS.index(words[-1])
            numbers |= {(first + n) % len(DAYS) for n in range((last - first) % len(DAYS) + 1)}
    return frozenset(numbers)


def _minute_of(key: str, written: str | None, left_out: int, mistake: Mistake) -> int:
    if written is None:
        return left_out
    match = _TIME.fullmatch(written.strip())
    minute = 60 * int(match[1]) + int(match[2]) if match else _DAY_MINUTES + 1
    # Midnight has two names at the end of a day, and one at its beginning.
    if minute > _DAY_MINUTES or (minute == _DAY_MINUTES and key == "from"):
        mistake(key, f'{written!r} is no time of a day; write it like "02:00" or "23:30"')
        return left_out
    return minute


def zone_of(name: str, mistake: Mistake) -> ZoneInfo:
    """Give a time zone by its name; UTC for one that there is not, which is a mistake in ``tz``."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = available_timezones()
        hint = suggestion(name, known) or ', such as "Europe/Berlin" or "UTC"'
        mistake("tz", f"{name!r} is no time zone{hint}")
        return ZoneInfo(DEFAULT_ZONE)
