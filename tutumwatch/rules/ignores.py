"""What no rule hears of: the ``[[ignore]]`` tables, and labels that say so of a resource.

What is nearest decides: the labels of the resource, those of its service, then the tables.
Our own streams and notifiers are ignored only by a table that names their type: a table about
labels would else match them, which have none, and nobody would hear that we are blind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from tutumwatch.events.inputs import LINK_TYPES
from tutumwatch.rules.decisions import Need
from tutumwatch.rules.match_tables import suggest_match
from tutumwatch.rules.matchers import NO, YES, Answer, Matcher, Verdict, compile_matcher
from tutumwatch.rules.view import TYPE, View
from tutumwatch.rules.vocabulary import Path, suggestion

IGNORE_LABEL = "tutumwatch.ignore"
ENABLE_LABEL = "tutumwatch.enable"
_KEYS = ("match", "when")
_SCOPES: tuple[Path, ...] = ((), ("service",))


@attrs.frozen
class Ignores:
    """The compiled ``[[ignore]]`` tables, in the order of the file."""

    _matchers: tuple[Matcher, ...] = ()

    @property
    def paths(self) -> frozenset[Path]:
        """Every field that a table reads."""
        return frozenset().union(*(matcher.paths for matcher in self._matchers))

    def judge(self, view: View) -> Verdict:
        """Say whether a change is ignored; UNKNOWN if that depends on a look-up."""
        label = _deciding_label(view)
        if label is not None:
            return YES if label[1] == IGNORE_LABEL else NO
        needs: frozenset[Need] = frozenset()
        failed = ""
        for _, matcher in self._matchers_for(view):
            verdict = matcher.judge(view)
            if verdict.answer is Answer.YES:
                return YES
            needs |= verdict.needs
            failed = failed or verdict.failed
        return Verdict(Answer.UNKNOWN if needs else Answer.NO, needs, failed)

    def explain(self, view: View) -> str | None:
        """Say why a change is ignored, or may be, or is not although a table matches it."""
        label = _deciding_label(view)
        if label is not None and label[1] == IGNORE_LABEL:
            return f"ignored: {label[0]} {IGNORE_LABEL}=true"
        for wanted in (Answer.YES, Answer.UNKNOWN):
            for number, matcher in self._matchers_for(view):
                if matcher.judge(view).answer is wanted:
                    return _explain(number, matcher, view, wanted, label)
        return None

    def _matchers_for(self, view: View) -> list[tuple[int, Matcher]]:
        type_ = str(view.value(TYPE))
        is_ours = type_ in LINK_TYPES
        return [
            (number, matcher)
            for number, matcher in enumerate(self._matchers, 1)
            if matcher.may_match(type_) and not (is_ours and matcher.types is None)
        ]


def _explain(
    number: int, matcher: Matcher, view: View, answer: Answer, enabled: tuple[str, str] | None
) -> str:
    table = f"ignore[{number}]"
    if enabled is not None:
        matches = "matches" if answer is Answer.YES else "may match"
        return f"not ignored, although {table} {matches}: {enabled[0]} {ENABLE_LABEL}=true"
    if answer is Answer.YES:
        return f"ignored: {table} matches"
    return f"may be ignored by {table}: {'; '.join(matcher.explain(view))}"


def _deciding_label(view: View) -> tuple[str, str] | None:
    """Give the label that decides, after whose it is; only what is known is asked."""
    for scope in _SCOPES:
        for label in (IGNORE_LABEL, ENABLE_LABEL):
            value = view.value((*scope, "labels", label))
            if isinstance(value, str) and value.lower() == "true":
                return ("its service has" if scope else "it has", label)
    return None


def compile_ignores(tables: Sequence[object], mistake: Callable[[str, str], None]) -> Ignores:
    """Compile the ``[[ignore]]`` tables.

    :param mistake: told of each mistake: the number of the table from 0 and the dotted key below
        it, as in ``"0.match.name"``, and what is wrong.
    """
    matchers = [
        matcher
        for number, table in enumerate(tables)
        if (matcher := _compile_ignore(number, table, mistake)) is not None
    ]
    return Ignores(tuple(matchers))


def _compile_ignore(
    number: int, table: object, mistake: Callable[[str, str], None]
) -> Matcher | None:
    if not isinstance(table, Mapping):
        mistake(str(number), f"expected a table, got {table!r}")
        return None

    def mistake_here(where: str, what: str) -> None:
        mistake(f"{number}.{where}", what)

    for key in table:
        if key not in _KEYS:
            near = suggestion(key, _KEYS)
            known = f"; known are {', '.join(_KEYS)}{suggest_match(key)}"
            mistake_here(key, f"there is no such key{near}{known}")
    if not any(key in table for key in _KEYS):
        mistake(str(number), "the key 'match' is missing")
        return None
    matcher = compile_matcher(table.get("match", {}), mistake_here, table.get("when"), key="match")
    if matcher.is_everything:
        remedy = 'say what nobody is to hear of, as in match = { name = "cron-*" }'
        mistake_here("match", f"this would ignore everything; {remedy}")
    return matcher
