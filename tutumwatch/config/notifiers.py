"""Reads the ``[notifiers.NAME]`` tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tutumwatch.config.environment import Environment, UnsetError
from tutumwatch.config.lines import Place
from tutumwatch.config.mistakes import Mistakes
from tutumwatch.config.plans import NotifierPlan
from tutumwatch.config.tables import read_table, require_ca_file
from tutumwatch.config.values import describe
from tutumwatch.notifiers.contract import NotifierKind, NotifierSettings
from tutumwatch.notifiers.maker import INotifierMaker, find_makers
from tutumwatch.rules.vocabulary import suggestion


def read_notifiers(
    tables: Mapping[str, Any], environment: Environment, mistakes: Mistakes
) -> tuple[list[NotifierPlan], dict[str, str], list[str]]:
    """Read all of them; one that holds a mistake is left out.

    :return: those that are on; why the others are off: an optional one whose variable is not
        set; and which kinds of whose packages are not used, because another has the name.
    """
    makers = find_makers()
    on: list[NotifierPlan] = []
    off: dict[str, str] = {}
    for name, raw in tables.items():
        kind = _kind_of(raw, makers, ("notifiers", name), mistakes)
        if kind is None:
            continue
        try:
            plan = _read_notifier(name, raw, kind, environment, mistakes)
        except UnsetError as unset:
            off[name] = f"{unset.args[0]} is not set"
        else:
            on += [plan] if plan is not None else []
    return on, off, _passed_over(makers)


def _passed_over(makers: Mapping[str, Sequence[INotifierMaker]]) -> list[str]:
    return [
        f"the kind {name!r} of {other.module} is not used: {first.module} has that name"
        for name, (first, *others) in sorted(makers.items())
        for other in others
    ]


def _kind_of(
    raw: object,
    makers: Mapping[str, Sequence[INotifierMaker]],
    place: Place,
    mistakes: Mistakes,
) -> NotifierKind | None:
    known = f"known are {', '.join(sorted(makers))}"
    if not isinstance(raw, Mapping):
        mistakes.add(place, f"expected a table, got {describe(raw)}")
    elif "kind" not in raw:
        mistakes.add(place, f"the key 'kind' is missing; {known}")
    elif not isinstance(raw["kind"], str):
        mistakes.add((*place, "kind"), f"expected a text in quotes, got {describe(raw['kind'])}")
    elif raw["kind"] not in makers:
        name = raw["kind"]
        what = f"{name!r} is no kind of notifier{suggestion(name, makers)}; {known}"
        mistakes.add((*place, "kind"), what)
    else:
        return _load(makers[raw["kind"]][0], place, mistakes)
    return None


def _load(maker: INotifierMaker, place: Place, mistakes: Mistakes) -> NotifierKind | None:
    try:
        kind: object = maker.load()
    except Exception as problem:  # noqa: BLE001 - somebody else's module may raise anything
        why = f"{type(problem).__name__}: {problem}"
    else:
        if isinstance(kind, NotifierKind):
            return kind
        why = f"it is no NotifierKind, but {type(kind).__name__}"
    what = f"the kind {maker.name!r} of {maker.module} cannot be loaded: {why}"
    mistakes.add((*place, "kind"), what)
    return None


def _read_notifier(
    name: str,
    raw: Mapping[str, Any],
    kind: NotifierKind,
    environment: Environment,
    mistakes: Mistakes,
) -> NotifierPlan | None:
    place: Place = ("notifiers", name)
    settings = read_table(kind.settings, raw, place, mistakes, environment)
    if settings is None:
        return None
    own_keys = set(kind.settings.__struct_encode_fields__) - set(
        NotifierSettings.__struct_encode_fields__
    )
    notifier = None
    if not any(mistakes.is_wrong((*place, key)) for key in own_keys):
        notifier = mistakes.attempt(place, raw, lambda: kind.make(settings))
    pace = mistakes.attempt(place, raw, lambda: kind.pace.with_settings(settings))
    trust = mistakes.attempt(place, raw, lambda: require_ca_file(settings.ca_file))
    if notifier is None or pace is None:
        return None
    return NotifierPlan(name, kind, notifier, pace, settings.ca_file, settings, trust or "")
