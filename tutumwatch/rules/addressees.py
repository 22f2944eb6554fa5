"""Reads what names notifiers: in a ``notify``, and behind the roles of a route."""

from __future__ import annotations

from collections.abc import Container, Sequence

from tutumwatch.rules.vocabulary import suggestion

EVERYONE = "*"
ALTERNATIVE = "|"


def texts_in(raw: object) -> list[str] | None:
    """Give one text or a list of them as a list; None for what is neither."""
    if isinstance(raw, str):
        return [raw]
    if isinstance(raw, list | tuple) and all(isinstance(entry, str) for entry in raw):
        return list(raw)
    return None


def _alternatives(entry: str) -> list[str]:
    return [name.strip() for name in entry.split(ALTERNATIVE)]


def first_on(entry: str, destinations: Container[str]) -> list[str]:
    """Give the first of an entry's alternatives that is on, if any is."""
    return [name for name in _alternatives(entry) if name in destinations][:1]


def problems_in(entry: str, known: Sequence[str], roles: Sequence[str]) -> list[str]:
    """Say what is wrong with an entry that names one notifier, or alternatives."""
    names = _alternatives(entry)
    problems = []
    for name in names:
        if name in known:
            continue
        if not name:
            problems.append(f"{entry!r} lacks the name of a notifier")
        elif name in roles:
            problems.append(f"{name!r} is a role; alternatives are notifiers")
        elif roles and len(names) == 1:
            near = suggestion(name, [*known, *roles])
            problems.append(f"there is no notifier, and no role of a route, {name!r}{near}")
        else:
            problems.append(f"there is no notifier {name!r}{suggestion(name, known)}")
    return problems
