"""Reads the ``[[routes]]`` tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tutumwatch.config.mistakes import Mistakes
from tutumwatch.config.values import describe
from tutumwatch.rules.notice import Destination
from tutumwatch.rules.route_tables import compile_routes
from tutumwatch.rules.routes import Routes


def read_routes(
    raw: object,
    destinations: Mapping[str, Destination],
    known: Sequence[str],
    mistakes: Mistakes,
) -> Routes:
    """Read the array of routes; what is wrong is noted.

    :param destinations: the notifiers that are on.
    :param known: the names of all notifiers, those that are off as well.
    """
    if not isinstance(raw, list):
        mistakes.add(("routes",), f"expected tables such as [[routes]], got {describe(raw)}")
        return Routes()
    return compile_routes(raw, destinations, known, mistakes.reporter(("routes",)))
