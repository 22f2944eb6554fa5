"""Compares what a test expects with what was said, notifier by notifier, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from tutumwatch.config.rehearsal_plans import ExpectedNotice, Rehearsal
from tutumwatch.inventory.survey import in_words
from tutumwatch.rehearsal.performing import Utterances
from tutumwatch.rules.notice import Notice

AS_EXPECTED, MISSING, SURPLUS = " ", "-", "+"
REJECTED_SHOWN_COUNT = 5


@attrs.frozen
class _Line:
    """A notice of the comparison: one that was expected and said, or one of these alone."""

    mark: str
    at: float | None
    form: str
    rule: str
    key: str
    text: str

    @classmethod
    def expected(cls, one: ExpectedNotice) -> _Line:
        return cls(
            MISSING, one.at, one.form or "any", one.rule or "", one.key or "", one.text or "*"
        )

    @classmethod
    def said(cls, mark: str, at: float, notice: Notice) -> _Line:
        return cls(mark, at, notice.form.value, notice.rule, notice.key, notice.text)

    def write(self) -> str:
        """Write it on one line; the key only where it may be why something is not as expected."""
        at = "" if self.at is None else f"at {in_words(self.at)} "
        rule = f" {self.rule!r}" if self.rule else ""
        key = f" (key {self.key!r})" if self.key and self.mark != AS_EXPECTED else ""
        return f"    {self.mark} {at}{self.form}{rule}: {_on_one_line(self.text)}{key}"


def compare(rehearsal: Rehearsal, performed: Utterances) -> list[str]:
    """Say how what was said differs from what a test expects; nothing if it does not."""
    lines: list[str] = []
    for notifier in rehearsal.heard:
        expected = [one for one in rehearsal.expected if one.notifier == notifier]
        said = [(at, one) for at, one in performed.said if one.notifier == notifier]
        aligned = list(_align(expected, said))
        if any(line.mark != AS_EXPECTED for line in aligned):
            head = f"  {notifier}: {len(expected)} expected, {len(said)} said"
            lines += [head, *(line.write() for line in aligned)]
    if lines:
        marks = f"({MISSING} expected and not said, {SURPLUS} said and not expected)"
        lines = [f"{_title(rehearsal)} {marks}", *lines]
        rejected = performed.rejected[:REJECTED_SHOWN_COUNT]
        lines += [f"  not decided: {_on_one_line(why)}" for why in rejected]
    return lines


def _title(rehearsal: Rehearsal) -> str:
    return f"test {rehearsal.name!r} failed"


def _align(
    expected: Sequence[ExpectedNotice], said: Sequence[tuple[float, Notice]]
) -> Iterator[_Line]:
    """Put side by side as many as can be, both in their order."""
    most = _common_counts(expected, said)
    row = column = 0
    while row < len(expected) or column < len(said):
        is_pair = (
            row < len(expected)
            and column < len(said)
            and most[row][column] == most[row + 1][column + 1] + 1
            and _takes(expected[row], *said[column])
        )
        if is_pair:
            yield _Line.said(AS_EXPECTED, *said[column])
            row, column = row + 1, column + 1
        elif row < len(expected) and (
            column == len(said) or most[row + 1][column] >= most[row][column + 1]
        ):
            yield _Line.expected(expected[row])
            row += 1
        else:
            yield _Line.said(SURPLUS, *said[column])
            column += 1


def _common_counts(
    expected: Sequence[ExpectedNotice], said: Sequence[tuple[float, Notice]]
) -> list[list[int]]:
    """Count how many can be paired of what comes from each place on."""
    most = [[0] * (len(said) + 1) for _ in range(len(expected) + 1)]
    for row in reversed(range(len(expected))):
        for column in reversed(range(len(said))):
            pair = most[row + 1][column + 1] + _takes(expected[row], *said[column])
            most[row][column] = max(pair, most[row + 1][column], most[row][column + 1])
    return most


def _takes(expected: ExpectedNotice, at: float, notice: Notice) -> bool:
    return expected.takes(at, notice.form.value, notice.rule, notice.key, notice.text)


def _on_one_line(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
