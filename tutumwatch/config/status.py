"""The ``[status]`` table."""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import serverFromString

from tutumwatch.config.environment import Environment
from tutumwatch.config.lines import Place
from tutumwatch.config.mistakes import Mistakes
from tutumwatch.config.tables import read_table
from tutumwatch.settings import Settings

DEFAULT_LISTEN = "tcp:9797:interface=127.0.0.1"
OFF = "off"


class StatusSettings(Settings, frozen=True, kw_only=True):
    """``[status]``: ``listen`` is a Twisted endpoint, or "off".

    Left out, it is loopback, port 9797, if that is free.
    """

    listen: str | None = None


def read_status(
    raw: Any,  # noqa: ANN401 - TOML
    environment: Environment,
    mistakes: Mistakes,
) -> StatusSettings:
    """Read the table; what is wrong is noted."""
    place: Place = ("status",)
    settings = read_table(StatusSettings, raw, place, mistakes, environment) or StatusSettings()
    listen = settings.listen
    if listen not in {None, OFF}:
        mistakes.attempt(place, raw, lambda: _require_endpoint(listen))
    return settings


def _require_endpoint(listen: str | None) -> None:
    """Check a description of an endpoint; without a reactor, for it is not opened.

    :raises ValueError: with the reason.
    """
    try:
        serverFromString(None, listen)
    except (ValueError, TypeError, LookupError, OSError) as problem:
        message = f'listen: {problem}; write it like "{DEFAULT_LISTEN}", or "{OFF}"'
        raise ValueError(message) from problem
