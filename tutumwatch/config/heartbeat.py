"""The ``[heartbeat]`` table."""

from __future__ import annotations

from typing import Any

import msgspec

from tutumwatch.config.environment import Environment
from tutumwatch.config.mistakes import Mistakes
from tutumwatch.config.tables import read_table
from tutumwatch.notifiers.urls import require_http_url
from tutumwatch.secret import Secret
from tutumwatch.settings import Duration, Settings

INTERVAL_MIN_SECONDS = 1.0


class HeartbeatSettings(Settings, frozen=True, kw_only=True):
    """``[heartbeat]``: ``url`` is asked every ``interval``; left out, there is no heartbeat."""

    url: Secret | None = None
    interval: Duration = msgspec.field(default=Duration(60.0))


def read_heartbeat(
    raw: Any,  # noqa: ANN401 - TOML
    environment: Environment,
    mistakes: Mistakes,
) -> HeartbeatSettings:
    """Read the table; what is wrong is noted."""
    place = ("heartbeat",)
    read = read_table(HeartbeatSettings, raw, place, mistakes, environment)
    settings = read or HeartbeatSettings()
    mistakes.attempt(place, raw, lambda: _require_sense(settings))
    return settings


def _require_sense(settings: HeartbeatSettings) -> None:
    if settings.url is not None:
        require_http_url("url", settings.url.reveal())
    if settings.interval.seconds < INTERVAL_MIN_SECONDS:
        raise ValueError("interval: must be at least 1s")
