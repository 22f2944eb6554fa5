"""Routes: a rule names roles, and the routes say which notifiers have a role for what happened.

For each role the first route that matches and has it wins, unless it says ``continue``. A route
whose notifiers of a role are all off has that role no more than one that does not name it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from tutumwatch.rules.addressees import EVERYONE, first_on, problems_in, texts_in
from tutumwatch.rules.decisions import Need
from tutumwatch.rules.matchers import Answer, Matcher
from tutumwatch.rules.notice import Destination
from tutumwatch.rules.view import TYPE, View
from tutumwatch.rules.vocabulary import Path

_UUID: Path = ("uuid",)


@attrs.frozen
class Audience:
    """Whom a rule notifies, compiled: notifiers that are on, by name, and roles.

    ``everyone``: every notifier that is on; ``notifiers`` names them.
    """

    notifiers: tuple[str, ...]
    roles: tuple[str, ...] = ()
    everyone: bool = False


@attrs.frozen
class Routed:
    """Who is to be told, in order and without repeats.

    ``needs``: what must be looked up to know that for certain. Until then ``notifiers`` are all
    that may have to be told; once that is settled, those that are told without knowing.
    ``failed``: why a ``when`` of a route could not be computed; that route counts as no match.
    """

    notifiers: tuple[str, ...]
    needs: frozenset[Need] = frozenset()
    failed: str = ""


@attrs.frozen
class Route:
    """A compiled ``[[routes]]`` table: for each of its roles those of its notifiers that are on."""

    matcher: Matcher
    goes_on: bool
    roles: Mapping[str, tuple[str, ...]]


@attrs.frozen
class Routes:
    """All routes, in the order of the file."""

    _routes: tuple[Route, ...] = ()

    @property
    def roles(self) -> tuple[str, ...]:
        """Every role that a route names, in the order of the file."""
        return tuple(dict.fromkeys(role for route in self._routes for role in route.roles))

    @property
    def paths(self) -> frozenset[Path]:
        """Every field that a route reads."""
        return frozenset().union(*(route.matcher.paths for route in self._routes))

    def resolve(self, audience: Audience, view: View, *, settled: bool = False) -> Routed:
        """Say who is told of a change.

        :param settled: what is unknown will stay so, and the last route takes it.
        """
        routed = [self._resolve_role(role, view, settled=settled) for role in audience.roles]
        names = dict.fromkeys(audience.notifiers)
        for of_role in routed:
            names.update(dict.fromkeys(of_role.notifiers))
        return Routed(
            _without_itself(tuple(names), view),
            frozenset().union(*(of_role.needs for of_role in routed)),
            next((of_role.failed for of_role in routed if of_role.failed), ""),
        )

    def reachable(self, audience: Audience) -> tuple[str, ...]:
        """Give every notifier that could be told, whatever happens."""
        of_roles = [self._of_role(role) for role in audience.roles]
        names = dict.fromkeys(audience.notifiers)
        for routes in of_roles:
            for _, notifiers in routes:
                names.update(dict.fromkeys(notifiers))
        return tuple(names)

    def lacking(self, role: str) -> str | None:
        """Say for what a role has nobody; None if somebody is told of everything."""
        routes = self._of_role(role)
        if not routes:
            return "none of its notifiers is on, so what is for it reaches nobody"
        if not any(route.matcher.is_everything for route, _ in routes):
            return "what its other routes do not match reaches nobody: " + (
                "of the route without match none of its notifiers is on"
                if any(r.matcher.is_everything and role in r.roles for r in self._routes)
                else "no route without match has it"
            )
        return None

    def _of_role(self, role: str) -> list[tuple[Route, tuple[str, ...]]]:
        return [(route, names) for route in self._routes if (names := route.roles.get(role))]

    def _resolve_role(self, role: str, view: View, *, settled: bool) -> Routed:
        told: tuple[str, ...] = ()
        last: tuple[str, ...] = ()
        needs: frozenset[Need] = frozenset()
        failed = ""
        is_doubtful = False
        for route, names in self._of_role(role):
            verdict = route.matcher.judge(view)
            failed = failed or verdict.failed
            if verdict.answer is Answer.NO:
                continue
            last = names
            needs |= verdict.needs
            is_unknown = verdict.answer is Answer.UNKNOWN
            if is_unknown and settled:
                # One that continues takes nothing from those after it: they stay as certain.
                is_doubtful = is_doubtful or not route.goes_on
            elif not is_doubtful:
                told += names
                if not is_unknown and not route.goes_on:
                    break
        if is_doubtful or not told:
            told += last
        return Routed(told, needs, failed)


def _without_itself(names: tuple[str, ...], view: View) -> tuple[str, ...]:
    """Leave a notifier out that would be told of its own trouble, if there is another."""
    if len(names) < 2 or view.value(TYPE) != "notifier":  # noqa: PLR2004 - another than itself
        return names
    itself = view.value(_UUID)
    return tuple(name for name in names if name != itself)


def remarks(routes: Routes, audiences: Iterable[Audience]) -> list[str]:
    """Say what is no mistake and yet may not be meant: roles without anybody, or without use.

    :param audiences: those of all rules.
    """
    used = {role for audience in audiences for role in audience.roles}
    said = []
    for role in routes.roles:
        if lack := routes.lacking(role):
            said.append(f"role {role}: {lack}")
        if role not in used:
            said.append(f"role {role}: no rule notifies it")
    return said


def compile_audience(
    raw: object,
    routes: Routes,
    destinations: Mapping[str, Destination],
    known: Sequence[str],
    mistake: Callable[[str, str], None],
) -> Audience:
    """Compile a ``notify``: a role, a notifier, alternatives of notifiers, "*", or a list of such.

    :param destinations: the notifiers that are on.
    :param known: the names of all notifiers, those that are off as well.
    :param mistake: told of each mistake: the key, and what is wrong.
    """
    names = texts_in(raw)
    if names is None:
        what = f'expected a role or a notifier, or a list such as ["news", "slack"], got {raw!r}'
        mistake("notify", what)
        return Audience(())
    if not names:
        mistake("notify", "names no notifier, so nobody would be told")
    notifiers: dict[str, None] = {}
    roles: dict[str, None] = {}
    for name in names:
        if name == EVERYONE:
            notifiers.update(dict.fromkeys(destinations))
        elif name in routes.roles:
            roles[name] = None
        else:
            for problem in problems_in(name, known, routes.roles):
                mistake("notify", problem)
            notifiers.update(dict.fromkeys(first_on(name, destinations)))
    return Audience(tuple(notifiers), tuple(roles), everyone=EVERYONE in names)
