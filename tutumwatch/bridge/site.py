"""One port for all: the stream at /v1/events, the REST API at /api/v1, and Docker Cloud's paths."""

from __future__ import annotations

import io
from http import HTTPStatus
from typing import BinaryIO, cast

from autobahn.twisted.resource import WebSocketResource
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from tutumwatch.bridge.credentials import Account
from tutumwatch.bridge.registry import Registry
from tutumwatch.bridge.rest import (
    READ_METHODS,
    TYPES_BELOW,
    ApiResource,
    NothingHere,
    TypeApi,
    answer,
    credentials_of,
    get_auth,
    refuse,
    refuse_write,
)
from tutumwatch.bridge.stream import EventsFactory


class EventsResource(Resource):
    """The stream, with and without the last slash.

    :param refuses_with_status: bad credentials are answered with 401, as Docker Cloud did; Tutum
        opened the stream and said so in a message.
    """

    def __init__(self, factory: EventsFactory, *, refuses_with_status: bool) -> None:
        super().__init__()
        self._websocket = cast("Resource", WebSocketResource(factory))
        self._account = factory.account
        self._refuses_with_status = refuses_with_status

    def getChild(self, path: bytes, request: Request) -> Resource:
        """Give itself for the last slash."""
        return NothingHere() if path else self

    def render(self, request: Request) -> bytes | int:
        """Hand the connection over to the stream."""
        if request.method not in READ_METHODS:
            return refuse_write(request)
        if self._refuses_with_status and not self._account.accepts(credentials_of(request)):
            return refuse(request)
        if b"websocket" not in (request.getHeader(b"upgrade") or b"").lower():
            request.setHeader(b"upgrade", b"websocket")
            return answer(
                request, HTTPStatus.UPGRADE_REQUIRED, {"error": "this is a WebSocket: upgrade"}
            )
        # Whoever asks may listen; Autobahn would answer 400 to an Origin that is no URL.
        request.requestHeaders.removeHeader(b"origin")
        return cast("int", self._websocket.render(request))


class _Ignored(io.BytesIO):
    """The body of a request: read from the connection, kept nowhere."""

    def write(self, body: object) -> int:
        return len(cast("bytes", body))


class BridgeSite(Site):
    """Logs no requests: clients of the time ask often, some with their key in the query."""

    noisy = False

    def log(self, request: object) -> None:
        """Log nothing."""

    def getContentFile(self, length: int | None) -> BinaryIO:  # noqa: N802 - twisted.web calls it
        """Give what a request's body is written to."""
        return _Ignored()


def folder_at(root: Resource, path: str) -> Resource:
    """Give the folder at a path, which is made where it is not there."""
    folder = root
    for name in path.encode().split(b"/"):
        if name not in folder.children:
            folder.putChild(name, NothingHere())
        folder = folder.children[name]
    return folder


def make_site(registry: Registry, factory: EventsFactory, account: Account) -> Site:
    """Make what answers on the bridge's port."""
    root = NothingHere()
    tutum = EventsResource(factory, refuses_with_status=False)
    folder_at(root, "v1").putChild(b"events", tutum)
    docker_cloud = EventsResource(factory, refuses_with_status=True)
    folder_at(root, "api/audit/v1").putChild(b"events", docker_cloud)
    folder_at(root, "api/v1").putChild(b"auth", ApiResource(account, get_auth))
    for below, types in TYPES_BELOW.items():
        for type_ in types:
            api = TypeApi(f"/api/{below}/{type_}/", type_, registry)
            folder = folder_at(root, f"api/{below}")
            folder.putChild(type_.encode(), ApiResource(account, api.get))
    return BridgeSite(root)
