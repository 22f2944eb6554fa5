"""What a silence or a mute is about: the names of rules, and the resources of which they speak."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import attrs

from tutumwatch.rules.incident_rules import OF_EVENTS
from tutumwatch.rules.matchers import Answer, Matcher, compile_matcher
from tutumwatch.rules.patterns import Pattern, compile_pattern, is_negative
from tutumwatch.rules.view import View
from tutumwatch.rules.vocabulary import suggestion

# What stands for the name of a rule among the fields of a table.
RULE = "rule"

Mistake = Callable[[str, str], None]


@attrs.frozen
class _RuleNames:
    """Patterns for the names of rules: one must fit if there are any, and no ``!negative``."""

    _positives: tuple[Pattern, ...] = ()
    _negatives: tuple[Pattern, ...] = ()

    def take(self, rule: str) -> bool:
        """Say whether the name of a rule fits."""
        if self._positives and not any(fits(rule) for fits in self._positives):
            return False
        return not any(fits(rule) for fits in self._negatives)


@attrs.frozen
class _Part:
    """One table; ``matcher`` is None if it names rules alone."""

    rules: _RuleNames
    matcher: Matcher | None

    def judge(self, rule: str, view: View) -> Answer:
        if not self.rules.take(rule):
            return Answer.NO
        return Answer.YES if self.matcher is None else self.matcher.judge(view).answer


@attrs.frozen
class Scope:
    """A compiled ``match`` of a silence or a mute: an OR of its tables."""

    _parts: tuple[_Part, ...]

    def judge(self, rule: str, view: View) -> Answer:
        """Say whether what a rule would say of a resource is within it."""
        answers = [part.judge(rule, view) for part in self._parts]
        if Answer.YES in answers:
            return Answer.YES
        return Answer.UNKNOWN if Answer.UNKNOWN in answers else Answer.NO

    def may_be_said_by(self, rule: str) -> bool:
        """Say whether anything that a rule says can be within it."""
        return any(part.rules.take(rule) for part in self._parts)

    def takes_any_resource(self) -> bool:
        """Say whether it is about whatever some rules, or all of them, say."""
        return any(part.matcher is None for part in self._parts)

    def takes_resource(self, view: View) -> bool:
        """Say whether something that some rule says of a resource is within it."""
        return any(
            part.matcher is None or part.matcher.judge(view).answer is Answer.YES
            for part in self._parts
        )


def compile_scope(raw: object, mistake: Mistake, rules: Collection[str] | None = None) -> Scope:
    """Compile the ``match`` of a silence or a mute: a table or a list of tables.

    A table is what a rule's ``match`` is, without what is told of events; ``rule`` among its
    fields is the name of a rule.

    :param mistake: told of each mistake: the dotted path below the match, and what is wrong. The
        second of several tables is ``1``.
    :param rules: the names that there are, if others are a mistake.
    """
    tables = raw if isinstance(raw, list | tuple) and raw else [raw]
    several = len(tables) > 1
    return Scope(
        tuple(
            _compile(table, str(number) if several else "", mistake, rules)
            for number, table in enumerate(tables)
        )
    )


def _compile(table: object, key: str, mistake: Mistake, rules: Collection[str] | None) -> _Part:
    if not isinstance(table, Mapping):
        return _Part(_RuleNames(), compile_matcher(table, mistake, key=key))

    def wrong(where: str, what: str) -> None:
        mistake(f"{key}.{where}" if key else where, what)

    fields: dict[str, Any] = {}
    names = _RuleNames()
    for name, value in table.items():
        if name == RULE:
            names = _compile_names(value, wrong, rules)
        elif name.partition(".")[0] in OF_EVENTS:
            wrong(name, "is told of an event; name fields of the resource, or its rule")
        else:
            fields[name] = value
    return _Part(names, compile_matcher(fields, mistake, key=key) if fields else None)


def _compile_names(raw: object, mistake: Mistake, rules: Collection[str] | None) -> _RuleNames:
    positives: list[Pattern] = []
    negatives: list[Pattern] = []
    for pattern in raw if isinstance(raw, list | tuple) and raw else [raw]:
        if not isinstance(pattern, str):
            mistake(RULE, f"expected the name of a rule, got {pattern!r}")
            continue
        word = pattern[1:] if is_negative(pattern) else pattern
        fits = compile_pattern(word, has_case=True)
        if rules is not None and not any(map(fits, rules)):
            mistake(RULE, f"there is no rule {word!r}{suggestion(word, rules)}")
        (negatives if is_negative(pattern) else positives).append(fits)
    return _RuleNames(tuple(positives), tuple(negatives))
