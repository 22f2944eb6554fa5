"""The settings of one stream: a ``[streams.NAME]`` table."""

from __future__ import annotations

from typing import Literal

from tutumwatch.secret import Secret
from tutumwatch.settings import Duration, Settings

PUBLIC_STREAM_URL = "wss://stream.tutum.co/v1/events"
PUBLIC_REST_URL = "https://dashboard.tutum.co"


class StreamSettings(Settings, frozen=True, kw_only=True):
    """``[streams.NAME]``.

    ``url`` is the whole URL of the stream, ``rest`` scheme and host of the REST API. Credentials
    are ``auth``, the whole value of an Authorization header, or ``user`` and ``apikey``; without
    any of them the environment's are taken. ``credentials``: sent as a header, or in the query.
    """

    url: str | None = None
    rest: str | None = None
    auth: Secret | None = None
    user: str | None = None
    apikey: Secret | None = None
    credentials: Literal["header", "query"] = "header"
    ca_file: str | None = None
    ping_interval: Duration = Duration(30.0)
    ping_timeout: Duration = Duration(15.0)
    handshake_timeout: Duration = Duration(10.0)
