"""Conditions: the ``when`` of a rule, a Jinja expression over the fields that matchers may name.

It is checked when it is loaded: its names, the words that it compares them with, and whether it
can be computed for each type that it may be asked about. ``is matches("REGEX")`` searches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any

import attrs
import jinja2
from jinja2 import nodes
from jinja2.parser import Parser

from tutumwatch.inventory.fields import LABELS
from tutumwatch.rules.texts import dotted_names, make_environment
from tutumwatch.rules.view import ABSENT, TYPE, Value
from tutumwatch.rules.vocabulary import (
    STATES,
    TYPES,
    Path,
    explain_unknown,
    explain_unlikely,
    field_of,
    has_no_case,
    suggestion,
)

# What fields may hold; those that are not named hold a text.
_SAMPLES: Mapping[str, object] = {
    "state": "Running",
    "exit_code": 1,
    "running": 1,
    "target": 1,
    "late": False,
    "parents": ["/api/v1/stack/sample/"],
    "changed": ["state"],
}
_EQUATIONS = frozenset({"eq", "ne", "in", "notin"})


class ConditionError(ValueError):
    """A condition that cannot be computed for what it was asked; says what it raised."""


class Nothing(str):
    """An absent value: an empty text that is neither more nor less than anything.

    What is computed with it is absent as well.
    """

    __slots__ = ()

    def _compare(self, _other: object, /) -> bool:
        return False

    def _compute(self, _other: object, /) -> Nothing:
        return self

    __lt__ = __le__ = __gt__ = __ge__ = _compare
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _compute
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _compute


@attrs.frozen
class Condition:
    """A compiled ``when``. ``paths``: every field that it reads."""

    source: str
    paths: frozenset[Path]
    _compute: Callable[..., object]

    def holds(self, values: Mapping[Path, Value]) -> bool:
        """Say whether it is true of the values of all ``paths``, each of them known or ABSENT.

        :raises ConditionError: if it raises anything.
        """
        context: dict[str, Any] = {}
        for path in self.paths:
            at = context
            for name in path[:-1]:
                at = at.setdefault(name, {})
            value = values[path]
            at[path[-1]] = Nothing() if value is ABSENT else value
        try:
            return bool(self._compute(context))
        except Exception as problem:
            # An expression may raise anything. Whoever asked counts this as false, and tells it.
            raise ConditionError(f"{type(problem).__name__}: {problem}") from problem


def compile_condition(
    raw: object, types: Collection[str] | None, mistake: Callable[[str], None]
) -> Condition:
    """Compile a ``when``; one that holds a mistake is never true.

    :param types: those of what it may be asked about; None where any may be.
    """
    never = Condition(str(raw), frozenset(), lambda _context: False)
    if not isinstance(raw, str) or not raw.strip():
        mistake(f'expected an expression such as "exit_code > 128", got {raw!r}')
        return never
    environment = _environment()
    try:
        tree = Parser(environment, raw, state="variable").parse_expression()
        problems = list(dict.fromkeys(_problems_in(tree, environment)))
        for what in problems:
            mistake(what)
        if problems:
            return never
        compute = environment.compile_expression(raw, undefined_to_none=False)
    except jinja2.TemplateSyntaxError as problem:
        alone = "; write the expression alone, without {{ }}" if "{{" in raw else ""
        mistake(f"{problem.message}{alone}")
        return never
    read = frozenset(field for path in dotted_names(tree) if (field := field_of(path)))
    condition = Condition(raw, read, compute)
    failure = _try_out(condition, sorted(TYPES if types is None else types))
    if failure is not None:
        mistake(failure)
    return condition


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = make_environment(str)
    environment.tests["matches"] = _matches
    return environment


def _matches(value: object, regex: str) -> bool:
    return re.search(regex, str(value)) is not None


def _problems_in(tree: nodes.Node, environment: jinja2.Environment) -> Iterator[str]:
    """Say what can be seen to be wrong without computing anything."""
    paths = list(dotted_names(tree))
    for path in paths:
        field = field_of(path)
        if field is None:
            yield explain_unknown(path)
        elif LABELS in field and not hasattr("", (*path[len(field) :], "strip")[0]):
            name = ".".join(path[path.index(LABELS) + 1 :])
            yield f"the dots of a label do not nest; write {'.'.join(field[:-1])}[{name!r}]"
    if not paths:
        yield "reads no field, so it is the same of everything"
    for node in _walk(tree):
        match node:
            case nodes.Filter(name=str(name)) if name not in environment.filters:
                yield f"there is no filter {name!r}{suggestion(name, environment.filters)}"
            case nodes.Test(name=str(name)) if name not in environment.tests:
                yield f"there is no test {name!r}{suggestion(name, environment.tests)}"
            case nodes.Test(name="matches", args=[nodes.Const(value=regex)]):
                yield from _problems_of_regex(regex)
            case nodes.Compare(expr=first, ops=[nodes.Operand(op=op, expr=second)]):
                if op in _EQUATIONS:
                    yield from _problems_of_words(first, second)
                    yield from _problems_of_words(second, first)
            case _:
                pass


def _walk(node: nodes.Node) -> Iterator[nodes.Node]:
    yield node
    yield from node.find_all(nodes.Node)


def _problems_of_regex(regex: object) -> Iterator[str]:
    try:
        re.compile(str(regex))
    except re.error as problem:
        yield f"{regex!r} is no regular expression: {problem}"


def _problems_of_words(field: nodes.Node, words: nodes.Node) -> Iterator[str]:
    """Say which of the words that a field is compared with it will hardly ever hold."""
    paths = list(dotted_names(field))
    if not isinstance(field, nodes.Name | nodes.Getattr | nodes.Getitem) or len(paths) != 1:
        return
    (path,) = paths
    if field_of(path) != path:
        return
    for word in _constants_in(words):
        if isinstance(word, str):
            why = explain_unlikely(path, word) or _explain_case(path, word)
            if why is not None:
                yield why


def _constants_in(node: nodes.Node) -> list[object]:
    if isinstance(node, nodes.List | nodes.Tuple):
        return [item.value for item in node.items if isinstance(item, nodes.Const)]
    return [node.value] if isinstance(node, nodes.Const) else []


def _explain_case(path: Path, word: str) -> str | None:
    """Say that a state is compared with what has its letters in another case."""
    right = {state.lower(): state for state in STATES}.get(word.lower())
    if not has_no_case(path) or right in {None, word}:
        return None
    return f"{word!r} is written {right!r}; write it so, or compare {'.'.join(path)} | lower"


def _try_out(condition: Condition, types: Collection[str]) -> str | None:
    """Compute a condition for samples of each type; give the first failure."""
    for type_ in types:
        known = {path: _sample(path, type_) for path in condition.paths}
        zeros = {p: 0 if type(value) is int else value for p, value in known.items()}
        absent = {p: type_ if p == TYPE else ABSENT for p in condition.paths}
        for what, values in (
            (f"for the type {type_}", known),
            (f"for the type {type_} where its numbers are 0", zeros),
            (f"for the type {type_} where its fields are absent", absent),
        ):
            try:
                condition.holds(values)
            except ConditionError as problem:
                return f"cannot be computed {what}: {problem}"
    return None


def _sample(path: Path, type_: str) -> object:
    if path == TYPE:
        return type_
    is_label = len(path) > 1 and path[-2] == LABELS
    return "sample" if is_label else _SAMPLES.get(path[-1], "sample")
