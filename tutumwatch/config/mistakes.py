"""Mistakes in a configuration: all of them, each with its place and remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import attrs

from tutumwatch.config.environment import variables_in
from tutumwatch.config.lines import Lines, Place

T = TypeVar("T")


@attrs.frozen
class Mistake:
    """One mistake; ``line`` is None where no file says it in one place."""

    where: str
    what: str
    line: int | None = None

    def __str__(self) -> str:
        """Write it on one line, whatever is in it."""
        text = f"{self.where}: {self.what}" if self.where else self.what
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class ConfigurationError(Exception):
    """A configuration that cannot be used; its mistakes are in the order of their lines."""

    def __init__(self, source: str, mistakes: Iterable[Mistake]) -> None:
        """Say what is wrong with a source: a file, or the environment."""
        self.source = source
        self.mistakes = sorted(mistakes, key=lambda m: (m.line is None, m.line or 0))
        super().__init__(source, self.mistakes)

    def __str__(self) -> str:
        """Write all mistakes, a line each: ``FILE:LINE: WHERE: WHAT``."""
        sources = (f"{self.source}:{m.line}" if m.line else self.source for m in self.mistakes)
        return "\n".join(f"{at}: {m}" for at, m in zip(sources, self.mistakes, strict=True))


@attrs.define
class Mistakes:
    """Gathers mistakes while a configuration is read.

    :param lines: those of its file, if it is one that the user can see.
    """

    _lines: Lines = attrs.field(factory=Lines)
    found: list[Mistake] = attrs.field(factory=list)
    _places: set[Place] = attrs.field(factory=set)

    def add(self, place: Place, what: str, name: str = "") -> None:
        """Note a mistake at a place; ``name`` is what its table calls itself."""
        where = ".".join(f"[{part + 1}]" if isinstance(part, int) else part for part in place)
        where = where.replace(".[", "[")
        line = self._lines.find(place)
        self.found.append(Mistake(f"{where} ({name!r})" if name else where, what, line))
        self._places.add(place)

    def reporter(self, place: Place, name: str = "") -> Callable[[str, str], None]:
        """Give what compilers of rules tell of mistakes: the dotted key below a place, and what.

        A part that is a number is the place of a table in an array, from 0.
        """

        def mistake(where: str, what: str) -> None:
            parts = where.split(".") if where else ()
            below = (int(part) if part.isdecimal() else part for part in parts)
            self.add((*place, *below), what, name)

        return mistake

    def line_of(self, place: Place) -> int | None:
        """Give the line of a place, if a file says it."""
        return self._lines.find(place)

    def is_wrong(self, place: Place) -> bool:
        """Say whether a mistake was noted at this very place."""
        return place in self._places

    def attempt(self, place: Place, raw: Mapping[str, object], make: Callable[[], T]) -> T | None:
        """Make something of a table; what is wrong with it is noted, and None given.

        :param make: raises ValueError, beginning with ``KEY: `` if it is about one key.
        """
        try:
            return make()
        except ValueError as problem:
            key, _, what = str(problem).partition(": ")
            if key in raw:
                self.add((*place, key), what + origin(raw[key]))
            else:
                self.add(place, str(problem))
            return None


def origin(raw: object) -> str:
    """Say from which variables a setting comes, if it does: its user may never see the file."""
    names = variables_in(raw) if isinstance(raw, str) else ()
    return f" (it comes from {', '.join(names)})" if names else ""
