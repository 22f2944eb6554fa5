"""Incident rules: what opens an incident, for how long it must be so, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import msgspec

from tutumwatch.events.inputs import LINK_TYPES
from tutumwatch.rules.matchers import Matcher, compile_matcher
from tutumwatch.rules.messages import compile_texts
from tutumwatch.rules.notice import Destination, Severity
from tutumwatch.rules.texts import Text, TextError, compile_text
from tutumwatch.settings import Duration, Settings

DEFAULT_TEXT = "{{ type }} {{ name }} is {{ state | lower }}: {{ reason }}"
DEFAULT_RESOLVE_TEXT = "{{ type }} {{ name }} is {{ state | lower }}"


class IncidentSettings(Settings, frozen=True, kw_only=True):
    """One ``[[incidents]]`` table: something open while something is true."""

    name: str
    while_: Any = msgspec.field(name="while")
    notify: list[str]
    for_: Duration = msgspec.field(name="for", default=Duration(15.0))
    clear_for: Duration = Duration(5.0)
    key: str | None = None
    severity: Severity = Severity.CRITICAL
    text: str = DEFAULT_TEXT
    resolve_text: str = DEFAULT_RESOLVE_TEXT


@attrs.frozen
class IncidentRule:
    """A compiled ``[[incidents]]`` table; texts by notifier, those that are on."""

    name: str
    matcher: Matcher
    for_seconds: float
    clear_for_seconds: float
    key: Text | None
    severity: Severity
    texts: Mapping[str, Text]
    resolve_texts: Mapping[str, Text]


def compile_incident(
    settings: IncidentSettings,
    destinations: Mapping[str, Destination],
    known: Sequence[str],
    mistake: Callable[[str, str], None],
) -> IncidentRule:
    """Compile an ``[[incidents]]`` table; the parameters are those of ``compile_message``."""
    matcher = compile_matcher(
        settings.while_, lambda where, what: mistake(f"while.{where}".rstrip("."), what)
    )
    if matcher.types is None or not matcher.types <= LINK_TYPES:
        mistake("while.type", 'an incident is about the type "stream" or "notifier"')
    key = None
    if settings.key is not None:
        try:
            key = compile_text(settings.key, str)
        except TextError as problem:
            mistake("key", str(problem))
    args = (settings.notify, destinations, known)
    texts = compile_texts("text", settings.text, *args, mistake)
    # A notifier that does not exist was told with the first text.
    resolve_texts = compile_texts(
        "resolve_text",
        settings.resolve_text,
        *args,
        lambda where, what: None if where == "notify" else mistake(where, what),
    )
    return IncidentRule(
        name=settings.name,
        matcher=matcher,
        for_seconds=settings.for_.seconds,
        clear_for_seconds=settings.clear_for.seconds,
        key=key,
        severity=settings.severity,
        texts=texts,
        resolve_texts=resolve_texts,
    )
