"""Matchers, compiled once: does a change match? YES, NO, or UNKNOWN until something is looked up.

A table is an AND of its fields, a list of tables an OR. A field's patterns are a value or a list:
one positive must match, and no ``!negative`` may. ``*`` and ``?`` are globs; states have no case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any

import attrs

from tutumwatch.inventory.fields import LABELS
from tutumwatch.inventory.resource import Change
from tutumwatch.rules.decisions import Need
from tutumwatch.rules.view import ABSENT, Unknown, Value, View
from tutumwatch.rules.vocabulary import (
    Path,
    explain_unknown,
    explain_unlikely,
    field_of,
    has_no_case,
)


class Answer(Enum):
    """The three answers of a matcher."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@attrs.frozen
class Verdict:
    """A matcher's answer; an UNKNOWN says what must be looked up to know."""

    answer: Answer
    needs: frozenset[Need] = frozenset()


YES = Verdict(Answer.YES)
NO = Verdict(Answer.NO)


@attrs.frozen
class _FieldTest:
    """Tests one field against its patterns."""

    path: Path
    positives: tuple[Callable[[object], bool], ...]
    negatives: tuple[Callable[[object], bool], ...]

    def judge(self, view: View) -> Verdict:
        value: Value = view.value(self.path)
        if isinstance(value, Unknown):
            return Verdict(Answer.UNKNOWN, frozenset({value.need}))
        return YES if self.takes(value) else NO

    def takes(self, value: Value) -> bool:
        """Say whether a value that is known, or absent, fits the patterns."""
        values = [] if value is ABSENT else value if isinstance(value, list) else [value]
        if self.positives and not _any_fits(self.positives, values):
            return False
        return not _any_fits(self.negatives, values)


def _any_fits(patterns: Iterable[Callable[[object], bool]], values: Iterable[object]) -> bool:
    # Not any(), whose generator costs more than what is asked here for every event.
    for value in values:
        for fits in patterns:
            if fits(value):
                return True
    return False


@attrs.frozen
class Matcher:
    """A compiled ``match``. ``types``: the only types that it can match; None where any may."""

    _tables: tuple[tuple[_FieldTest, ...], ...]
    types: frozenset[str] | None

    def may_match(self, type_: str) -> bool:
        """Say whether a change of a resource of this type can match at all."""
        return self.types is None or type_ in self.types

    def refuses(self, change: Change) -> bool:
        """Say whether a change cannot match, by its type, state and action alone."""
        return all(_refuses(table, change) for table in self._tables)

    def judge(self, view: View) -> Verdict:
        """Match a change."""
        needs: frozenset[Need] = frozenset()
        for table in self._tables:
            verdict = _judge_table(table, view)
            if verdict.answer is Answer.YES:
                return YES
            needs |= verdict.needs
        return Verdict(Answer.UNKNOWN, needs) if needs else NO


def _judge_table(table: tuple[_FieldTest, ...], view: View) -> Verdict:
    needs: frozenset[Need] = frozenset()
    for test in table:
        verdict = test.judge(view)
        if verdict.answer is Answer.NO:
            return NO
        needs |= verdict.needs
    return Verdict(Answer.UNKNOWN, needs) if needs else YES


# What every change tells of itself; None where that is not certain.
_AT_HAND: Mapping[Path, Callable[[Change], str | None]] = {
    ("type",): lambda change: change.after.key[1],
    ("state",): lambda change: change.after.state,
    ("action",): lambda change: change.action or None,
}


def _refuses(table: tuple[_FieldTest, ...], change: Change) -> bool:
    for test in table:
        at_hand = _AT_HAND.get(test.path)
        if at_hand is not None:
            value = at_hand(change)
            if value is not None and not test.takes(value):
                return True
    return False


def compile_matcher(raw: object, mistake: Callable[[str, str], None]) -> Matcher:
    """Compile a ``match`` or ``while`` as TOML gives it: a table, or a list of tables.

    :param mistake: told of each mistake: the dotted path below the match, and what is wrong.
    """
    tables = raw if isinstance(raw, list) and raw else [raw]
    compiled: list[tuple[_FieldTest, ...]] = []
    types: set[str] | None = set()
    for table in tables:
        if not isinstance(table, Mapping):
            mistake("", f'expected a table such as {{ type = "service" }}, got {table!r}')
            continue
        flat = list(_flatten(table))
        compiled.append(tuple(t for p, v in flat if (t := _compile(p, v, mistake))))
        named = _named_types(dict(flat).get(("type",)))
        types = None if types is None or named is None else types | named
    return Matcher(tuple(compiled), None if types is None else frozenset(types))


def _flatten(table: Mapping[str, Any], above: Path = ()) -> Iterable[tuple[Path, Any]]:
    """Make dotted keys, nested tables and quoted keys mean the same; a label is one key."""
    for key, value in table.items():
        path = (*above, *key.split("."))
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, path)
            continue
        if LABELS in path[:-1]:
            label = path.index(LABELS) + 1
            path = (*path[:label], ".".join(path[label:]))
        yield path, value


def _compile(path: Path, raw: object, mistake: Callable[[str, str], None]) -> _FieldTest | None:
    where = ".".join(path)
    if field_of(path) != path:
        mistake(where, explain_unknown(path))
        return None
    positives: list[Callable[[object], bool]] = []
    negatives: list[Callable[[object], bool]] = []
    for pattern in raw if isinstance(raw, list) and raw else [raw]:
        if not isinstance(pattern, str | bool | int | float):
            mistake(where, f"expected a text, a number, true or false, got {pattern!r}")
            continue
        negated = isinstance(pattern, str) and pattern.startswith("!")
        word = pattern[1:] if negated and isinstance(pattern, str) else pattern
        if isinstance(word, str) and not _is_glob(word) and (why := explain_unlikely(path, word)):
            mistake(where, why)
        (negatives if negated else positives).append(_compile_pattern(path, word))
    return _FieldTest(path, tuple(positives), tuple(negatives))


def _is_glob(word: str) -> bool:
    return "*" in word or "?" in word


def _compile_pattern(path: Path, word: object) -> Callable[[object], bool]:
    if not isinstance(word, str):
        return lambda value: type(value) is type(word) and value == word
    fold = str.lower if has_no_case(path) else str
    wanted = fold(word)
    if _is_glob(wanted):
        regex = re.escape(wanted).replace(r"\*", ".*").replace(r"\?", ".")
        matches = re.compile(regex, re.DOTALL).fullmatch
        return lambda value: matches(fold(str(value))) is not None
    return lambda value: fold(str(value)) == wanted


def _named_types(raw: object) -> set[str] | None:
    """Give the types that a ``type`` pattern names, or None if it leaves others open."""
    patterns = raw if isinstance(raw, list) else [raw]
    words = {p for p in patterns if isinstance(p, str) and not p.startswith("!")}
    return None if not words or any(_is_glob(word) for word in words) else words
