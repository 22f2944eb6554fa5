"""Reads what a person writes at a shell to say what is meant and when: words, times."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from tutumwatch.rules.vocabulary import PARENT_TYPES
from tutumwatch.rules.windows import DEFAULT_ZONE, instant_of, zone_of
from tutumwatch.settings import Duration

# Types to which nothing belongs.
_CHILDLESS = ("container", "notifier")
_MOMENT = re.compile(r"([^\[\]]+)(?:\[([^\[\]]+)\])?")
_FORMS = "2026-11-27T10:00 (UTC), 2026-11-27T10:00+01:00 or 2026-11-27T10:00[Europe/Berlin]"


def match_of(words: Iterable[str]) -> dict[str, Any]:
    """Make a table of ``key=value`` words; of a key that comes twice either value will do.

    ``service=web`` is what belongs to the service web, itself included.

    :raises ValueError: for what is no such word.
    """
    table: dict[str, Any] = {}
    for word in words:
        for key, pattern in _fields_of(word):
            known = table.get(key)
            if known is None or known == pattern:
                table[key] = pattern
            else:
                table[key] = [*(known if isinstance(known, list) else [known]), pattern]
    return table


def _fields_of(word: str) -> Iterator[tuple[str, str]]:
    key, equals, value = word.partition("=")
    if not equals or not key or not value:
        raise ValueError(
            f"{word!r} says nothing; write key=value, such as service=web or rule='crash loop'"
        )
    # "key!=value" is what many write; "key=!value" is what rules write.
    if key.endswith("!"):
        key, value = key[:-1], f"!{value}"
    if key in _CHILDLESS:
        yield "type", key
    # A type in place of a field is the name of what is, or belongs to, such a resource.
    yield f"{key}.name" if key in PARENT_TYPES else "name" if key in _CHILDLESS else key, value


def words_of(match: object) -> str:
    """Write a match as words, whichever way it was written."""
    tables = match if isinstance(match, list | tuple) else [match]
    return " or ".join(" ".join(_words(table)) or "everything" for table in tables)


def _words(table: object, above: str = "") -> Iterator[str]:
    if not isinstance(table, Mapping):
        yield repr(table)
        return
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _words(value, f"{above}{key}.")
            continue
        for pattern in (
            value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        ):
            yield f"{above}{key}={shlex.quote(str(pattern))}"


def moment_of(text: str, *, last: bool) -> float:
    """Give the time that a text names, in seconds since 1970; without a zone it is UTC.

    :param last: if the clocks of its zone show it twice, the second time.
    :raises ValueError: if it names none.
    """
    match = _MOMENT.fullmatch(text.strip())
    try:
        shown = datetime.fromisoformat(match[1]) if match else None
    except ValueError:
        shown = None
    if match is None or shown is None or (shown.tzinfo is not None and match[2] is not None):
        raise ValueError(f"{text!r} is no time; write it like {_FORMS}")
    if shown.tzinfo is not None:
        return shown.timestamp()
    wrong: list[str] = []
    zone = zone_of(match[2] or DEFAULT_ZONE, lambda _, what: wrong.append(what))
    if wrong:
        raise ValueError(wrong[0])
    return instant_of(shown, zone, last=last)


def length_of(text: str) -> float:
    """Give the seconds of a length of time such as ``2h`` or ``1h30m``.

    :raises ValueError: if it is none.
    """
    seconds = Duration.parse(text).seconds
    if not math.isfinite(seconds):
        raise ValueError("that is longer than anything")
    return seconds
