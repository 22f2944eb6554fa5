"""Matchers, compiled once: does a change match? YES, NO, or UNKNOWN until something is looked up.

A table is an AND of its fields, a list of tables an OR. A field's patterns are a value or a list:
one positive must match, and no ``!negative`` may. ``*`` and ``?`` are globs; states have no case.
A ``when`` must be true as well; it is computed only for what the tables do not refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import TypeAlias

import attrs

from tutumwatch.inventory.resource import Change
from tutumwatch.rules.decisions import Need
from tutumwatch.rules.expressions import Condition, ConditionError, compile_condition
from tutumwatch.rules.match_tables import explain_word, flatten_table, named_types
from tutumwatch.rules.patterns import Pattern, compile_pattern, is_negative, quoted
from tutumwatch.rules.view import ABSENT, TYPE, Unknown, Value, View
from tutumwatch.rules.vocabulary import Path, explain_unknown, field_of, has_no_case

Mistake: TypeAlias = Callable[[str, str], None]


class Answer(Enum):
    """The three answers of a matcher."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@attrs.frozen
class Verdict:
    """A matcher's answer; an UNKNOWN says what must be looked up to know.

    ``failed``: why its ``when`` could not be computed, which counts as NO and is to be counted.
    """

    answer: Answer
    needs: frozenset[Need] = frozenset()
    failed: str = ""


YES = Verdict(Answer.YES)
NO = Verdict(Answer.NO)


@attrs.frozen
class _FieldTest:
    """Tests one field against its patterns; ``words`` are these as they were written."""

    path: Path
    positives: tuple[Pattern, ...]
    negatives: tuple[Pattern, ...]
    words: tuple[object, ...] = ()

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
        return not (self.negatives and _any_fits(self.negatives, values))

    def explain(self, view: View) -> str:
        """Say why the value does not fit, or what it depends on."""
        name = ".".join(self.path)
        value = view.value(self.path)
        if isinstance(value, Unknown):
            return _depends_on(self.path, value)
        found = "absent" if value is ABSENT else quoted(value)
        values = [] if value is ABSENT else value if isinstance(value, list) else [value]
        if self.positives and not _any_fits(self.positives, values):
            wanted = " or ".join(quoted(word) for word in self.words if not is_negative(word))
            return f"{name} is {found}, not {wanted}"
        negative = zip(filter(is_negative, self.words), self.negatives, strict=True)
        unwanted = next(word for word, fits in negative if _any_fits((fits,), values))
        return f"{name} is {found}, which {quoted(unwanted)} excludes"


def _any_fits(patterns: Iterable[Pattern], values: Iterable[object]) -> bool:
    # Not any(), whose generator costs more than what is asked here for every event.
    for value in values:
        for fits in patterns:
            if fits(value):
                return True
    return False


def _depends_on(path: Path, value: Unknown) -> str:
    return f"depends on {'.'.join(path)} of {value.need.resource_uri}: would look it up"


@attrs.frozen
class Matcher:
    """A compiled ``match``. ``types``: the only types that it can match; None where any may."""

    _tables: tuple[tuple[_FieldTest, ...], ...]
    types: frozenset[str] | None
    _when: Condition | None = None

    @property
    def paths(self) -> frozenset[Path]:
        """Every field that it reads."""
        read = frozenset(test.path for table in self._tables for test in table)
        return read if self._when is None else read | self._when.paths

    @property
    def is_everything(self) -> bool:
        """Whether there is nothing that it would not match."""
        return self._when is None and any(map(_takes_everything, self._tables))

    def may_match(self, type_: str) -> bool:
        """Say whether a change of a resource of this type can match at all."""
        return self.types is None or type_ in self.types

    def refuses(self, change: Change) -> bool:
        """Say whether a change cannot match, by its type, state and action alone."""
        return _refuse(self._tables, change, _SIGNS)

    def refuses_more(self, change: Change) -> bool:
        """Say whether a change cannot match by what else it tells of itself.

        For one that :meth:`refuses` does not; to judge it takes several times as long.
        """
        return _refuse(self._tables, change, _MORE)

    def judge(self, view: View) -> Verdict:
        """Match a change."""
        verdict = self._judge_tables(view)
        if self._when is None or verdict.answer is Answer.NO:
            return verdict
        of_when = _judge_when(self._when, view)
        if of_when.answer is Answer.NO or verdict.answer is Answer.YES:
            return of_when
        return Verdict(Answer.UNKNOWN, verdict.needs | of_when.needs)

    def explain(self, view: View) -> list[str]:
        """Say of each table, and of ``when``, why it does not match; nothing if all is well."""
        reasons: list[str] = []
        for number, table in enumerate(self._tables, 1):
            reason = _explain_table(table, view)
            if reason is None:
                reasons = []
                break
            reasons.append(f"[{number}] {reason}" if len(self._tables) > 1 else reason)
        if self._when is not None and (reason := _explain_when(self._when, view)) is not None:
            reasons.append(reason)
        return reasons

    def _judge_tables(self, view: View) -> Verdict:
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


def _explain_table(table: tuple[_FieldTest, ...], view: View) -> str | None:
    """Say what decides that a table does not match, or else what is not known of it."""
    unknown: str | None = None
    for test in table:
        answer = test.judge(view).answer
        if answer is Answer.NO:
            return test.explain(view)
        if answer is Answer.UNKNOWN:
            unknown = unknown or test.explain(view)
    return unknown


def _judge_when(when: Condition, view: View) -> Verdict:
    values = {path: view.value(path) for path in when.paths}
    needs = frozenset(v.need for v in values.values() if isinstance(v, Unknown))
    if needs:
        return Verdict(Answer.UNKNOWN, needs)
    try:
        return YES if when.holds(values) else NO
    except ConditionError as problem:
        return Verdict(Answer.NO, failed=f"when: {problem}")


def _explain_when(when: Condition, view: View) -> str | None:
    verdict = _judge_when(when, view)
    if verdict.answer is Answer.YES:
        return None
    if verdict.failed:
        return verdict.failed
    for path in sorted(when.paths):
        value = view.value(path)
        if isinstance(value, Unknown):
            return f"when: {_depends_on(path, value)}"
    return f"when: {when.source} is false"


# What a change tells of itself; None where that is not certain.
_SIGNS: Mapping[Path, Callable[[Change], Value | None]] = {
    ("type",): lambda change: change.after.key[1],
    ("state",): lambda change: change.after.state,
    ("action",): lambda change: change.action or None,
}
_MORE: Mapping[Path, Callable[[Change], Value | None]] = {
    ("kind",): lambda change: change.kind.value,
    ("changed",): lambda change: [*change.changed],
    ("name",): lambda change: change.after.name or None,
    ("parents",): lambda change: None if change.after.parents is None else [*change.after.parents],
}


def _refuse(
    tables: Iterable[tuple[_FieldTest, ...]],
    change: Change,
    told: Mapping[Path, Callable[[Change], Value | None]],
) -> bool:
    """Say whether each table has a test that what is told does not pass."""
    for table in tables:
        for test in table:
            read = told.get(test.path)
            if read is not None:
                value = read(change)
                if value is not None and not test.takes(value):
                    break
        else:
            return False
    return True


def _takes_everything(table: tuple[_FieldTest, ...]) -> bool:
    return all(test.path == TYPE and test.words == ("*",) for test in table)


def compile_matcher(
    raw: object, mistake: Mistake, when: object = None, *, key: str = ""
) -> Matcher:
    """Compile a ``match`` or ``while`` as TOML gives it: a table, or a list of tables.

    :param mistake: told of each mistake: the dotted path below the match, and what is wrong. The
        second of several tables is ``1``, and ``when`` stands beside the match.
    :param when: the ``when`` beside it, an expression that must be true as well.
    :param key: what the match is called, to begin the paths with.
    """
    tables = raw if isinstance(raw, list) and raw else [raw]
    compiled: list[tuple[_FieldTest, ...]] = []
    types: set[str] | None = set()
    for number, table in enumerate(tables):
        above = (*([key] if key else []), *([str(number)] if len(tables) > 1 else []))
        if not isinstance(table, Mapping):
            what = f'expected a table such as {{ type = "service" }}, got {table!r}'
            mistake(".".join(above), what)
            continue
        flat = list(flatten_table(table))
        compiled.append(tuple(_compile(path, v, above, mistake) for path, v in flat))
        named = named_types(dict(flat).get(TYPE))
        types = None if types is None or named is None else types | named
    only = None if types is None else frozenset(types)
    condition = None
    if when is not None:
        condition = compile_condition(when, only, lambda what: mistake("when", what))
    return Matcher(tuple(compiled), only, condition)


def _compile(path: Path, raw: object, above: Path, mistake: Mistake) -> _FieldTest:
    where = ".".join((*above, *path))
    if field_of(path) != path:
        mistake(where, explain_unknown(path))
        return _FieldTest(path, (), ())
    positives: list[Pattern] = []
    negatives: list[Pattern] = []
    words = raw if isinstance(raw, list) and raw else [raw]
    for pattern in words:
        if not isinstance(pattern, str | bool | int | float):
            mistake(where, f"expected a text, a number, true or false, got {pattern!r}")
            continue
        negated = is_negative(pattern)
        word = str(pattern)[1:] if negated else pattern
        if why := explain_word(path, word):
            mistake(where, why)
        compiled = compile_pattern(word, has_case=not has_no_case(path))
        (negatives if negated else positives).append(compiled)
    return _FieldTest(path, tuple(positives), tuple(negatives), tuple(words))
