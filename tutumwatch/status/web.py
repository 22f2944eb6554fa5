"""``/healthz`` over plain twisted.web."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from twisted.web.http import OK, SERVICE_UNAVAILABLE, Request
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource as WebResource
from twisted.web.server import Site

from tutumwatch.status.health import Health


class HealthPage(WebResource):
    """``GET /healthz``: 200, or 503 if we are stuck; a JSON object says how everything is."""

    isLeaf = True

    def __init__(self, check: Callable[[], Health]) -> None:
        """Serve what ``check`` says."""
        super().__init__()
        self._check = check

    def render_GET(self, request: IRequest) -> bytes:
        """Answer."""
        health = self._check()
        request.setResponseCode(OK if health.ok else SERVICE_UNAVAILABLE)
        request.setHeader(b"content-type", b"application/json")
        request.setHeader(b"cache-control", b"no-store")
        return msgspec.json.format(msgspec.json.encode(health.to_object()), indent=2) + b"\n"


class StatusSite(Site):
    """The status server; its access log would be one line for each probe of a supervisor."""

    noisy = False

    def __init__(self, check: Callable[[], Health]) -> None:
        """Serve what ``check`` says."""
        root = WebResource()
        root.putChild(b"healthz", HealthPage(check))
        super().__init__(root)

    def log(self, request: Request) -> None:
        """Log nothing."""
