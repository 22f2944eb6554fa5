"""Reads the ``[streams.NAME]`` tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tutumwatch.config.environment import Environment
from tutumwatch.config.lines import Place
from tutumwatch.config.mistakes import Mistakes
from tutumwatch.config.plans import StreamPlan
from tutumwatch.config.tables import read_table, require_ca_file
from tutumwatch.config.tutum import (
    find_credentials,
    find_rest_url,
    find_stream_url,
    read_rest_url,
)
from tutumwatch.stream.credentials import Credentials
from tutumwatch.stream.settings import StreamSettings
from tutumwatch.stream.urls import require_stream_url

# Autobahn's timers count whole seconds, and 0 switches them off.
TIMER_MIN_SECONDS = 1.0
_TIMERS = ("ping_interval", "ping_timeout", "handshake_timeout")
_CREDENTIALS = ("auth", "user", "apikey")


def read_streams(
    tables: Mapping[str, Any], environment: Environment, mistakes: Mistakes
) -> list[StreamPlan]:
    """Read all of them; one that holds a mistake is left out."""
    plans = (_read_stream(name, raw, environment, mistakes) for name, raw in tables.items())
    return [plan for plan in plans if plan is not None]


def _read_stream(
    name: str,
    raw: Any,  # noqa: ANN401 - TOML
    environment: Environment,
    mistakes: Mistakes,
) -> StreamPlan | None:
    place: Place = ("streams", name)
    settings = read_table(StreamSettings, raw, place, mistakes, environment)
    if settings is None:
        return None
    _check_timers(settings, place, mistakes)
    trust = mistakes.attempt(place, raw, lambda: require_ca_file(settings.ca_file))
    url = mistakes.attempt(place, raw, lambda: _url(settings, environment))
    rest = mistakes.attempt(place, raw, lambda: _rest(settings, environment))
    if any(mistakes.is_wrong((*place, key)) for key in _CREDENTIALS):
        return None
    credentials = mistakes.attempt(place, raw, lambda: _credentials(settings, environment))
    if url is None or rest is None or credentials is None:
        return None
    return StreamPlan(name, url, rest, credentials, settings, trust or "")


def _check_timers(settings: StreamSettings, place: Place, mistakes: Mistakes) -> None:
    for key in _TIMERS:
        if getattr(settings, key).seconds < TIMER_MIN_SECONDS:
            mistakes.add((*place, key), f"must be at least {TIMER_MIN_SECONDS:g}s")


def _url(settings: StreamSettings, environment: Environment) -> str:
    if settings.url is None:
        return find_stream_url(environment)
    require_stream_url("url", settings.url)
    return settings.url


def _rest(settings: StreamSettings, environment: Environment) -> str:
    if settings.rest is None:
        return find_rest_url(environment)
    return read_rest_url("rest", settings.rest)


def _credentials(settings: StreamSettings, environment: Environment) -> Credentials:
    user, apikey = settings.user, settings.apikey
    if settings.auth is not None:
        if user is not None or apikey is not None:
            message = "auth and user or apikey are both set; keep one"
            raise ValueError(message)
        return Credentials.from_header(settings.auth.reveal())
    if user is None and apikey is None:
        return find_credentials(environment)
    if user is None or apikey is None:
        message = "user and apikey go together; one of them is missing"
        raise ValueError(message)
    return Credentials.from_pair(user, apikey.reveal())
