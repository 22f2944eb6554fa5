"""The ``[status]`` table."""

from __future__ import annotations

from tutumwatch.settings import Settings

DEFAULT_LISTEN = "tcp:9797:interface=127.0.0.1"
OFF = "off"


class StatusSettings(Settings, frozen=True, kw_only=True):
    """``[status]``: ``listen`` is a Twisted endpoint, or "off".

    Left out, it is loopback, port 9797, if that is free.
    """

    listen: str | None = None
