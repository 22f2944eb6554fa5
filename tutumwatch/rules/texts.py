"""Texts of notices: Jinja templates in a sandbox, checked at load, escaped for their destination.

What a text may name is known when it is compiled (:attr:`Text.paths`), so that everything it
needs can be looked up before it is rendered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs
import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tutumwatch.rules.view import ABSENT, Unknown, Value
from tutumwatch.rules.vocabulary import Path, explain_unknown, field_of

UNKNOWN_TEXT = "(unknown)"

# Past participles that no ending makes. A verb may carry one of these before it: rebuild, undo.
_IRREGULAR: dict[str, str] = dict(
    re.findall(
        r"(\w+):(\w+)",
        "begin:begun bind:bound build:built do:done exec:executed find:found freeze:frozen get:got "
        "give:given hold:held know:known lose:lost make:made put:put read:read run:run see:seen "
        "send:sent set:set shut:shut split:split take:taken tell:told write:written",
    )
)
_PREFIXES = ("re", "un", "over")
# One syllable that ends in one consonant after one vowel doubles it: stop, drop, plug, tag.
_DOUBLES = re.compile(r"(?:[^aeiou]|qu)+[aeiou][bdgklmnprtz]|(?:ad|com|e|o|per|sub|trans)mit")


def past(verb: str) -> str:
    """Put a verb into the form that "was" goes with: created, stopped, deployed, run."""
    lower = verb.lower()
    prefix = next((p for p in _PREFIXES if lower.startswith(p)), "")
    for before in dict.fromkeys(("", prefix)):
        stem = lower.removeprefix(before)
        if stem in _IRREGULAR:
            return verb[: len(before)] + _IRREGULAR[stem]
        if _DOUBLES.fullmatch(stem):
            return f"{verb}{verb[-1]}ed"
    if not lower or lower.endswith("ed"):
        return verb
    if lower.endswith("e"):
        return f"{verb}d"
    if lower.endswith("y") and lower[-2:-1] not in set("aeiou"):
        return f"{verb[:-1]}ied"
    return f"{verb}ed"


class TextError(ValueError):
    """A template that cannot be used; says what, and where in the text."""


@attrs.frozen
class Text:
    """A compiled template. ``paths``: every field that it names.

    ``escape`` is what its values go through; what is said in its place must as well.
    """

    paths: frozenset[Path]
    escape: Callable[[str], str]
    _template: jinja2.Template

    def render(self, values: Mapping[Path, Value]) -> str:
        """Render with the values of all ``paths``; absent is empty, unknown says so.

        :raises Exception: whatever a template can raise; see :func:`render_or_say`.
        """
        context: dict[str, Any] = {}
        for path in self.paths:
            at = context
            for name in path[:-1]:
                at = at.setdefault(name, {})
            at[path[-1]] = _shown(values[path])
        return self._template.render(context)


def _shown(value: Value) -> Any:  # noqa: ANN401 - what a template computes with
    if isinstance(value, Unknown):
        return UNKNOWN_TEXT
    return "" if value is ABSENT else value


def compile_text(source: str, escape: Callable[[str], str]) -> Text:
    """Compile a template; every value that it prints goes through ``escape``.

    :raises TextError: for a syntax error, or for a name that no rule knows.
    """

    def finalize(value: object) -> str:
        return escape("" if value is None else str(value))

    environment = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined,
        finalize=finalize,
        autoescape=False,
    )
    environment.filters["past"] = past
    try:
        tree = environment.parse(source)
        template = environment.from_string(source)
    except jinja2.TemplateSyntaxError as problem:
        message = f"line {problem.lineno} of the text: {problem.message}"
        raise TextError(message) from problem
    return Text(frozenset(_fields_in(tree)), escape, template)


def _fields_in(tree: nodes.Template) -> Iterator[Path]:
    free = meta.find_undeclared_variables(tree)
    for path in _chains(tree):
        if path[0] not in free:
            continue
        field = field_of(path)
        if field is None:
            raise TextError(explain_unknown(path))
        yield field


def _chains(node: nodes.Node) -> Iterator[Path]:
    """Give each dotted name that a template reads, at its full length."""
    path = _chain(node)
    if path is not None:
        yield path
        return
    for child in node.iter_child_nodes():
        yield from _chains(child)


def _chain(node: nodes.Node) -> Path | None:
    match node:
        case nodes.Name(ctx="load"):
            return (node.name,)
        case nodes.Getattr():
            above, last = _chain(node.node), node.attr
        case nodes.Getitem(arg=nodes.Const(value=str(last))):
            above = _chain(node.node)
        case _:
            return None
    return None if above is None else (*above, last)
