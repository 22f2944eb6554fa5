"""Texts of notices: Jinja templates in a sandbox, checked at load, escaped for their destination.

What a text may name is known when it is compiled (:attr:`Text.paths`), so that everything it
needs can be looked up before it is rendered. Beside the fields it may name ``summary``: what there
is to say of a change in a line (:mod:`tutumwatch.rules.summary`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs
import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tutumwatch.rules.summary import SUMMARY, WANTED, summary_of
from tutumwatch.rules.verbs import past
from tutumwatch.rules.view import ABSENT, Unknown, Value, View
from tutumwatch.rules.vocabulary import Path, explain_unknown, field_of, suggestion

UNKNOWN_TEXT = "(unknown)"


class TextError(ValueError):
    """A template that cannot be used; says what, and where in the text."""


@attrs.frozen
class Text:
    """A compiled template. ``paths``: every field that must be known before it is rendered.

    ``escape`` is what its values go through; what is said in its place must as well.
    """

    paths: frozenset[Path]
    escape: Callable[[str], str]
    _named: frozenset[Path]
    _template: jinja2.Template

    def say(self, view: View) -> str:
        """Render with what a view shows, and with its summary if that is named.

        :raises Exception: whatever a template can raise; see :func:`render_or_say`.
        """
        values: dict[Path, Value] = {path: view.value(path) for path in self.paths}
        if SUMMARY in self._named:
            values[SUMMARY] = summary_of(view)
        return self.render(values)

    def render(self, values: Mapping[Path, Value]) -> str:
        """Render with the values of all that it names; absent is empty, unknown says so.

        :raises Exception: as :meth:`say`.
        """
        context: dict[str, Any] = {}
        for path in self._named:
            at = context
            for name in path[:-1]:
                at = at.setdefault(name, {})
            at[path[-1]] = _shown(values[path])
        return self._template.render(context)


def _shown(value: Value) -> Any:  # noqa: ANN401 - what a template computes with
    if isinstance(value, Unknown):
        return UNKNOWN_TEXT
    return "" if value is ABSENT else value


def make_environment(escape: Callable[[str], str]) -> jinja2.Environment:
    """Make what templates and conditions are compiled in: they reach nothing but their values.

    :param escape: what every value that a template prints goes through.
    """

    def finalize(value: object) -> str:
        return escape("" if value is None else str(value))

    environment = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined,
        finalize=finalize,
        autoescape=False,
    )
    environment.filters["past"] = past
    return environment


def compile_text(source: str, escape: Callable[[str], str]) -> Text:
    """Compile a template; every value that it prints goes through ``escape``.

    :raises TextError: for a syntax error, or for a name that no rule knows.
    """
    environment = make_environment(escape)
    try:
        tree = environment.parse(source)
        template = environment.from_string(source)
    except jinja2.TemplateSyntaxError as problem:
        message = f"line {problem.lineno} of the text: {problem.message}"
        raise TextError(message) from problem
    named = frozenset(_fields_in(tree))
    paths = named - {SUMMARY} | WANTED if SUMMARY in named else named
    return Text(paths, escape, named, template)


def _fields_in(tree: nodes.Template) -> Iterator[Path]:
    free = meta.find_undeclared_variables(tree)
    for path in dotted_names(tree):
        if path[0] not in free:
            continue
        field = SUMMARY if path[:1] == SUMMARY else field_of(path)
        if field is None:
            near = suggestion(path[0], SUMMARY)
            written = ".".join(path)
            raise TextError(
                f"{written!r} is no known field{near}" if near else explain_unknown(path)
            )
        yield field


def dotted_names(node: nodes.Node) -> Iterator[Path]:
    """Give each dotted name that a template reads, at its full length."""
    path = _dotted_name(node)
    if path is not None:
        yield path
        return
    for child in node.iter_child_nodes():
        yield from dotted_names(child)


def _dotted_name(node: nodes.Node) -> Path | None:
    match node:
        case nodes.Name(ctx="load"):
            return (node.name,)
        case nodes.Getattr():
            above, last = _dotted_name(node.node), node.attr
        case nodes.Getitem(arg=nodes.Const(value=str(last))):
            above = _dotted_name(node.node)
        case _:
            return None
    return None if above is None else (*above, last)
