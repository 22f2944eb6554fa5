"""Writes for a terminal: nothing that others wrote may steer it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise

COLUMN_GAP = "  "
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def visible(text: str) -> str:
    """Give a text on one line, with what a terminal would obey written as an escape."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def visible_lines(text: str) -> list[str]:
    """Give the lines of a text, each as :func:`visible` does."""
    return [visible(line) for line in text.split("\n")]


def first_line(text: str) -> str:
    """Give the first line of a text in which there is anything."""
    return visible(next((line.strip() for line in text.split("\n") if line.strip()), ""))


def cut(line: str, columns: int | None) -> str:
    """Cut a line to a number of columns, if it is limited."""
    return line if columns is None or len(line) <= columns else f"{line[: columns - 1]}…"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Align columns; the first is a number, the last may be of any length."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        COLUMN_GAP.join(
            (
                line[0].rjust(widths[0]),
                *(cell.ljust(width) for cell, width in zip(line[1:-1], widths[1:-1], strict=True)),
                line[-1],
            )
        ).rstrip()
        for line in lines
    ]


def left_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Align columns, all to the left; the last may be of any length."""
    lines = [head, *rows]
    width = max(len(line[0]) for line in lines)
    first, *others = [(line[0].ljust(width), *line[1:]) for line in lines]
    return table(first, others)


def age(seconds: float) -> str:
    """Write how long ago something was, by its two greatest units: ``3h 5m``."""
    left = max(0, int(seconds))
    for (size, unit), (next_size, next_unit) in pairwise(_UNITS):
        if left >= size:
            rest = left % size // next_size
            return f"{left // size}{unit} {rest}{next_unit}" if rest else f"{left // size}{unit}"
    return f"{left}s"


def moment(at: float) -> str:
    """Write a time, in UTC."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{at:.0f} s after 1970"


def counted(count: int, what: str) -> str:
    """Write a number of things: ``1 notice``, ``2 notices``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def listed(counts: Iterable[tuple[str, int]]) -> str:
    """Write counts by name: ``slack 3, pagerduty 1``."""
    return ", ".join(f"{visible(name)} {count}" for name, count in counts)
