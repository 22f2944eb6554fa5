"""Mistakes in a configuration: all of them, each with its place and remedy."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias

import attrs

Place: TypeAlias = tuple[str | int, ...]
"""Where something stands: ``("messages", 2, "match")``."""

_TABLE = re.compile(r"\s*\[(\[)?\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(
    r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_MULTILINE = re.compile(r'"""|\'\'\'')


@attrs.frozen
class Mistake:
    """One mistake; ``line`` is None where the file does not say it in one place."""

    where: str
    what: str
    line: int | None = None

    def __str__(self) -> str:
        """Write it as one line."""
        at = f"line {self.line}: " if self.line is not None else ""
        return f"{at}{self.where}: {self.what}" if self.where else f"{at}{self.what}"


class ConfigurationError(Exception):
    """A configuration that cannot be used; its mistakes are in the order of their lines."""

    def __init__(self, source: str, mistakes: Iterable[Mistake]) -> None:
        """Say what is wrong with a source: a file, or the environment."""
        self.source = source
        self.mistakes = sorted(mistakes, key=lambda m: (m.line is None, m.line or 0))
        super().__init__(source, self.mistakes)

    def __str__(self) -> str:
        """Write all mistakes, a line each."""
        count = len(self.mistakes)
        head = f"{self.source}: {count} mistake{'s' if count > 1 else ''}"
        return "\n".join([head, *(f"  {mistake}" for mistake in self.mistakes)])


@attrs.define
class Mistakes:
    """Gathers mistakes while a configuration is read."""

    lines: dict[Place, int] = attrs.field(factory=dict)
    found: list[Mistake] = attrs.field(factory=list)

    def add(self, place: Place, what: str, name: str = "") -> None:
        """Note a mistake at a place; ``name`` is what its table calls itself."""
        where = ".".join(f"[{part + 1}]" if isinstance(part, int) else part for part in place)
        where = where.replace(".[", "[")
        self.found.append(Mistake(f"{where} ({name!r})" if name else where, what, self.line(place)))

    def line(self, place: Place) -> int | None:
        """Give the line of a place, or of the nearest place around it that has one."""
        for length in range(len(place), 0, -1):
            if place[:length] in self.lines:
                return self.lines[place[:length]]
        return None


def scan_lines(text: str) -> dict[Place, int]:
    """Find on which line each table and key of a TOML text stands.

    A scan, not a parser: tomllib gives no lines. It knows tables, arrays of tables, dotted and
    quoted keys, and skips texts of several lines.
    """
    lines: dict[Place, int] = {}
    counts: dict[Place, int] = {}
    table: Place = ()
    inside = ""
    for number, line in enumerate(text.splitlines(), 1):
        if inside:
            inside = "" if inside in line else inside
            continue
        if header := _TABLE.match(line):
            table = _numbered(_parts(header[2]), counts, new=bool(header[1]))
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            place = (*table, *_parts(key[1]))
            lines.setdefault(place, number)
        quotes = _MULTILINE.findall(line)
        if len(quotes) % 2:
            inside = quotes[-1]
    return lines


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _numbered(parts: tuple[str, ...], counts: dict[Place, int], *, new: bool) -> Place:
    """Put the number of an array's element behind the array's name."""
    if new:
        counts[parts] = counts.get(parts, -1) + 1
    place: Place = ()
    for index in range(len(parts)):
        place = (*place, parts[index])
        if parts[: index + 1] in counts:
            place = (*place, counts[parts[: index + 1]])
    return place
