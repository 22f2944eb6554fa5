"""Compiles the ``[[incidents]]`` tables."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

from tutumwatch.rules.incident_rules import (
    ABSENT_RESOLVE_TEXT,
    ABSENT_TEXT,
    DEFAULT_TEXT,
    OF_EVENTS,
    IncidentRule,
    IncidentSettings,
    RuleForm,
)
from tutumwatch.rules.matchers import Matcher, compile_matcher
from tutumwatch.rules.messages import compile_texts
from tutumwatch.rules.notice import Destination
from tutumwatch.rules.routes import Routes, compile_audience
from tutumwatch.rules.texts import Text, TextError, compile_text
from tutumwatch.rules.vocabulary import PARENT_TYPES, Path, parents_in, suggestion
from tutumwatch.settings import Duration

_DEFAULT_FOR = Duration(15.0)
_DEFAULT_CLEAR_FOR = Duration(5.0)
_COUNTING_CLEAR_FOR = Duration(60.0)


def compile_incident(
    settings: IncidentSettings,
    routes: Routes,
    destinations: Mapping[str, Destination],
    known: Sequence[str],
    mistake: Callable[[str, str], None],
) -> IncidentRule:
    """Compile an ``[[incidents]]`` table.

    :param destinations: the notifiers that are on.
    :param known: the names of all notifiers, those that are off as well.
    :param mistake: told of each mistake: the key, and what is wrong.
    """
    form, matcher = _compile_form(settings, mistake)
    unless = _compile_optional("unless", settings.unless, mistake)
    until = _compile_optional("until", settings.until, mistake)
    _check_form(settings, form, mistake)
    key = _compile_key(settings.key, mistake)
    audience = compile_audience(settings.notify, routes, destinations, known, mistake)
    reachable = [name for name in routes.reachable(audience) if name in destinations]
    on = (reachable, destinations, mistake)
    text, resolve_text = _texts_of(settings, form)
    texts = compile_texts("text", text, *on)
    resolve_texts = compile_texts("resolve_text", resolve_text, *on)
    judged = frozenset[Path]().union(*(m.paths for m in (matcher, unless, until) if m is not None))
    all_texts = [key, *texts.values(), *resolve_texts.values()]
    named = judged.union(*(text.paths for text in all_texts if text is not None))
    if audience.roles:
        named |= routes.paths
    is_counting = form is RuleForm.EACH
    default_clear = _COUNTING_CLEAR_FOR if is_counting else _DEFAULT_CLEAR_FOR
    return IncidentRule(
        name=settings.name,
        form=form,
        matcher=matcher,
        until=until,
        unless=unless,
        unless_open=_names_in("unless_open", settings.unless_open, mistake),
        unless_max_seconds=settings.unless_max.seconds,
        times=settings.times or 1,
        within_seconds=(settings.within or Duration(0.0)).seconds,
        per=settings.per,
        for_seconds=(settings.for_ or (Duration(0.0) if is_counting else _DEFAULT_FOR)).seconds,
        clear_for_seconds=(settings.clear_for or default_clear).seconds,
        repeat_seconds=settings.repeat.seconds if settings.repeat is not None else None,
        key=key,
        severity=settings.severity,
        audience=audience,
        texts=texts,
        resolve_texts=resolve_texts,
        was=settings.was,
        reads=parents_in(judged),
        asks=parents_in(named),
        digest=_digest_of(settings),
    )


def _compile_form(
    settings: IncidentSettings, mistake: Callable[[str, str], None]
) -> tuple[RuleForm, Matcher]:
    """Compile what makes it true; of several forms the first counts, and all are checked."""
    given: Mapping[RuleForm, object] = {
        RuleForm.WHILE: settings.while_,
        RuleForm.EACH: settings.each,
        RuleForm.ABSENT: settings.absent,
    }
    named = {form: raw for form, raw in given.items() if raw is not None}
    if len(named) != 1:
        what = "more than one of" if named else "none of"
        mistake("", f'has {what} "while", "each" and "absent"; an incident is one of them')
    compiled: list[tuple[RuleForm, Matcher]] = []
    for form, raw in (named or {RuleForm.WHILE: {}}).items():
        when = None if compiled else settings.when
        matcher = compile_matcher(raw, mistake, when, key=form.value)
        if form is not RuleForm.EACH:
            _require_state(form.value, matcher, mistake)
        compiled.append((form, matcher))
    return compiled[0]


def _texts_of(settings: IncidentSettings, form: RuleForm) -> tuple[str, str]:
    is_absent = form is RuleForm.ABSENT
    text, resolve_text = settings.text, settings.resolve_text
    if text is None:
        text = ABSENT_TEXT if is_absent else DEFAULT_TEXT
    if resolve_text is None:
        resolve_text = ABSENT_RESOLVE_TEXT if is_absent else DEFAULT_TEXT
    return text, resolve_text


def _compile_optional(key: str, raw: object, mistake: Callable[[str, str], None]) -> Matcher | None:
    if raw is None:
        return None
    matcher = compile_matcher(raw, mistake, key=key)
    _require_state(key, matcher, mistake)
    return matcher


def _require_state(key: str, matcher: Matcher, mistake: Callable[[str, str], None]) -> None:
    """Refuse what only an event tells: it is over when the event is."""
    for path in sorted(path for path in matcher.paths if path[0] in OF_EVENTS):
        mistake(
            f"{key}.{'.'.join(path)}",
            f"{'.'.join(path)!r} tells of an event, and an incident is open while something is so; "
            'use it in "each", or in [[messages]]',
        )


def _check_form(
    settings: IncidentSettings, form: RuleForm, mistake: Callable[[str, str], None]
) -> None:
    if settings.until is not None and form is not RuleForm.WHILE:
        mistake("until", f'"{form.value}" says itself when it is over; "until" goes with "while"')
    if settings.unless is not None and form is RuleForm.ABSENT:
        mistake("unless", 'is about a resource, and "absent" has none; leave it out')
    if settings.repeat is not None and settings.repeat.seconds <= 0:
        mistake("repeat", "expected a length of time above 0")
    if form is RuleForm.EACH:
        if settings.within is None or settings.within.seconds <= 0:
            mistake("within", 'is missing: "each" counts within a length of time, such as "10m"')
        if settings.times is not None and settings.times < 1:
            mistake("times", f"expected 1 or more, got {settings.times}")
        if settings.per is not None and settings.per not in PARENT_TYPES:
            near = suggestion(settings.per, PARENT_TYPES) or "; write service, stack or node"
            mistake("per", f"{settings.per!r} is no type of parent{near}")
        return
    for key in ("times", "within", "per"):
        if getattr(settings, key) is not None:
            mistake(key, 'counts what "each" matches; this rule has none')


def _names_in(key: str, raw: object, mistake: Callable[[str, str], None]) -> tuple[str, ...]:
    """Read a name or a list of names."""
    names = raw if isinstance(raw, list) else [] if raw is None else [raw]
    for name in names:
        if not isinstance(name, str):
            mistake(key, "expected the name of a rule, or a list of them")
    return tuple(name for name in names if isinstance(name, str))


def _compile_key(source: str | None, mistake: Callable[[str, str], None]) -> Text | None:
    if source is None:
        return None
    try:
        return compile_text(source, str)
    except TextError as problem:
        mistake("key", str(problem))
        return None


def _digest_of(settings: IncidentSettings) -> str:
    """Give what differs when another condition is meant, or another key."""
    decides = (
        *(
            getattr(settings, name)
            for name in ("while_", "each", "absent", "when", "until", "unless")
        ),
        *(settings.unless_open, settings.per, settings.times, settings.within, settings.key),
    )
    return hashlib.sha256(repr(decides).encode()).hexdigest()[:16]
