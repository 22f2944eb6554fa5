"""On which line of a TOML text each table and key stands: tomllib gives values, and no lines."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import TypeAlias

import attrs

Place: TypeAlias = tuple[str | int, ...]
"""Where something stands: ``("messages", 2, "match")``."""

_BLANK = re.compile(r"(?:\s|#[^\n]*)*")
_NAME = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
_KEY = re.compile(rf"{_NAME}(?:[ \t]*\.[ \t]*{_NAME})*")
_TEXT = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|[^,\]}#\n]+",
    re.DOTALL,
)


@attrs.frozen
class Lines:
    """The lines of a text, by place."""

    _lines: Mapping[Place, int] = attrs.field(factory=dict)

    def find(self, place: Place) -> int | None:
        """Give the line of a place, or of the nearest place around it that has one."""
        place = _flat(place)
        for length in range(len(place), 0, -1):
            if place[:length] in self._lines:
                return self._lines[place[:length]]
        return None


def scan_lines(text: str) -> Lines:
    """Find the line of each table, key and element of an array.

    :param text: what tomllib can read; of any other text less may be found.
    """
    scan = _Scan(text)
    scan.run()
    return Lines(scan.lines)


def _flat(place: Place) -> Place:
    """Make ``stack.name`` and ``"stack.name"`` the same place: rules read both alike."""
    pieces = (part.split(".") if isinstance(part, str) else (part,) for part in place)
    return tuple(piece for group in pieces for piece in group)


@attrs.define
class _Scan:
    """A walk through a text that is known to be TOML."""

    _text: str
    lines: dict[Place, int] = attrs.field(factory=dict)
    _at: int = 0
    _counts: dict[Place, int] = attrs.field(factory=dict)

    def run(self) -> None:
        table: Place = ()
        self._skip_blank()
        while self._at < len(self._text):
            start = self._at
            if is_array := self._take("[["):
                table = self._header(start, is_array=is_array)
            elif self._take("["):
                table = self._header(start, is_array=False)
            else:
                self._pair(table)
            self._skip_blank()
            if self._at == start:
                return

    def _header(self, start: int, *, is_array: bool) -> Place:
        self._skip_blank()
        name = self._key()
        self._skip_blank()
        self._take("]]" if is_array else "]")
        if is_array:
            self._counts[name] = self._counts.get(name, -1) + 1
        table: Place = ()
        for index, part in enumerate(name, 1):
            count = self._counts.get(name[:index])
            table = (*table, part) if count is None else (*table, part, count)
        self._note(table, start)
        return table

    def _pair(self, table: Place) -> None:
        start = self._at
        place = (*table, *self._key())
        self._note(place, start)
        self._skip_blank()
        self._take("=")
        self._skip_blank()
        self._value(place)

    def _value(self, place: Place) -> None:
        self._note(place, self._at)
        if self._take("["):
            self._items("]", place)
        elif self._take("{"):
            self._items("}", place)
        elif match := _TEXT.match(self._text, self._at):
            self._at = match.end()

    def _items(self, end: str, place: Place) -> None:
        number = 0
        self._skip_blank()
        while not self._take(end):
            start = self._at
            if end == "]":
                self._value((*place, number))
            else:
                self._pair(place)
            number += 1
            self._skip_blank()
            self._take(",")
            self._skip_blank()
            if self._at == start:
                return

    def _key(self) -> tuple[str, ...]:
        match = _KEY.match(self._text, self._at)
        if match is None:
            return ()
        self._at = match.end()
        names: list[str] = []
        try:
            inner: object = tomllib.loads(f"{match[0]}=0")
        except tomllib.TOMLDecodeError:
            return ()
        while isinstance(inner, dict):
            ((name, inner),) = inner.items()
            names.append(name)
        return tuple(names)

    def _note(self, place: Place, offset: int) -> None:
        line = self._text.count("\n", 0, offset) + 1
        for length in range(1, len(place) + 1):
            self.lines.setdefault(_flat(place[:length]), line)

    def _take(self, word: str) -> bool:
        found = self._text.startswith(word, self._at)
        self._at += len(word) if found else 0
        return found

    def _skip_blank(self) -> None:
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match is not None else self._at
