"""Reads the tables within one ``[[tests]]`` table; what is wrong is noted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import attrs

from tutumwatch.config.lines import Place
from tutumwatch.config.mistakes import Mistakes
from tutumwatch.config.tables import read_table
from tutumwatch.config.values import describe
from tutumwatch.rules.vocabulary import suggestion
from tutumwatch.settings import Settings

_Read = TypeVar("_Read", bound=Settings)


@attrs.frozen
class Surroundings:
    """What a test may name of its file: streams, notifiers (also those that are off), rules."""

    streams: Sequence[str]
    notifiers: Sequence[str]
    rules: Sequence[str]


@attrs.frozen
class Reading:
    """The test that is read: its place and name, and who is told of mistakes."""

    place: Place
    name: str
    around: Surroundings
    _mistakes: Mistakes

    def note(self, what: str, *below: str | int) -> None:
        """Note a mistake."""
        self._mistakes.add((*self.place, *below), what, self.name)

    def line(self) -> int | None:
        """Give the line of the test."""
        return self._mistakes.line_of(self.place)

    def tables(self, name: str, raw: object) -> Iterator[tuple[int, Any]]:
        """Give the entries of a list with their numbers."""
        if isinstance(raw, list):
            yield from enumerate(raw)
        else:
            self.note(f"expected a list of tables, got {describe(raw)}", name)

    def read(self, kind: type[_Read], raw: object, *below: str | int) -> _Read | None:
        """Read a table."""
        return read_table(kind, raw, (*self.place, *below), self._mistakes)

    def require(self, name: str, what: str, known: Sequence[str], *below: str | int) -> None:
        """Note a name that means nothing."""
        if name not in known:
            there = f"; there are: {', '.join(known) or 'none'}"
            self.note(f"there is no {what} {name!r}{suggestion(name, known) or there}", *below)
