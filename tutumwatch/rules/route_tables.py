"""Compiles the ``[[routes]]`` tables, and finds what in them would never come to anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tutumwatch.rules.addressees import EVERYONE, first_on, problems_in, texts_in
from tutumwatch.rules.match_tables import suggest_match
from tutumwatch.rules.matchers import compile_matcher
from tutumwatch.rules.notice import Destination
from tutumwatch.rules.routes import Route, Routes
from tutumwatch.rules.vocabulary import suggestion

CONTINUE = "continue"
# Every other key of a route is a role.
_KEYS = frozenset({"match", "when", CONTINUE})


def compile_routes(
    tables: Sequence[object],
    destinations: Mapping[str, Destination],
    known: Sequence[str],
    mistake: Callable[[str, str], None],
) -> Routes:
    """Compile the ``[[routes]]`` tables; the parameters are those of :func:`compile_audience`.

    :param mistake: told of each mistake: the number of the table from 0 and the dotted key below
        it, as in ``"0.news"``, and what is wrong.
    """
    routes: list[Route] = []
    ended: dict[str, int] = {}
    for number, table in enumerate(tables):
        if not isinstance(table, Mapping):
            mistake(str(number), f"expected a table, got {table!r}")
            continue
        route = _compile_route(number, table, destinations, known, mistake)
        routes.append(route)
        for role in route.roles:
            if role in ended:
                first = f"routes[{ended[role] + 1}]"
                remedy = f"give that one a match or continue = true, or leave {role!r} out here"
                mistake(
                    f"{number}.{role}",
                    f"is never reached: {first} has no match and takes all of it; {remedy}",
                )
            elif route.matcher.is_everything and not route.goes_on:
                ended[role] = number
    if tables and isinstance(tables[-1], Mapping) and not routes[-1].matcher.is_everything:
        key = "match" if "match" in tables[-1] else "when"
        remedy = "add a [[routes]] without match after it, for what no other route takes"
        mistake(f"{len(tables) - 1}.{key}", f"the last route must have none; {remedy}")
    return Routes(tuple(routes))


def _compile_route(
    number: int,
    table: Mapping[str, object],
    destinations: Mapping[str, Destination],
    known: Sequence[str],
    mistake: Callable[[str, str], None],
) -> Route:
    def mistake_here(where: str, what: str) -> None:
        mistake(f"{number}.{where}", what)

    matcher = compile_matcher(table.get("match", {}), mistake_here, table.get("when"), key="match")
    goes_on = table.get(CONTINUE, False)
    if not isinstance(goes_on, bool):
        mistake_here(CONTINUE, f"expected true or false, got {goes_on!r}")
    roles: dict[str, tuple[str, ...]] = {}
    for role, raw in table.items():
        if role not in _KEYS:
            problems, roles[role] = _compile_role(role, raw, destinations, known)
            for problem in problems:
                mistake_here(role, problem + suggest_match(role))
    if not roles:
        mistake(str(number), 'names no role such as news = ["slack"], so it tells nobody')
    return Route(matcher, goes_on is True, roles)


def _compile_role(
    role: str, raw: object, destinations: Mapping[str, Destination], known: Sequence[str]
) -> tuple[list[str], tuple[str, ...]]:
    """Give what is wrong with a role, and those of its notifiers that are on."""
    problems = []
    if role in known or role == EVERYONE:
        taken = "a notifier has this name" if role in known else "this means every notifier"
        problems.append(f"{taken}, so rules could not notify the role; call it otherwise")
    entries = texts_in(raw)
    if not entries:
        found = "an empty list" if entries == [] else repr(raw)
        what = f'expected notifiers such as ["slack"] or "pagerduty | slack", got {found}'
        if entries is None:
            what += suggestion(role, _KEYS)
        else:
            what += "; what nobody is to hear of belongs into [[ignore]]"
        return [*problems, what], ()
    names: dict[str, None] = {}
    for entry in entries:
        if entry == EVERYONE:
            names.update(dict.fromkeys(destinations))
            continue
        problems += problems_in(entry, known, ())
        names.update(dict.fromkeys(first_on(entry, destinations)))
    return problems, tuple(names)
