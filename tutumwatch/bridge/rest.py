"""The REST API: read-only, all six types, lists and single objects.

``GET /api/v1/<type>/`` and ``GET /api/v1/<type>/<uuid>/``, with the answers that the published
clients of the time need, and the same under Docker Cloud's paths; errors are ``{"error": "text"}``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import attrs
import msgspec
from twisted.web.resource import Resource
from twisted.web.server import Request

from tutumwatch.bridge.credentials import Account, Presented, read_credentials
from tutumwatch.bridge.objects import object_of
from tutumwatch.bridge.query import BadQueryError, Lists, read_query
from tutumwatch.bridge.registry import Registry
from tutumwatch.events.resource_uri import parse_resource_uri

# Below /api: where each of Tutum's and of Docker Cloud's interfaces has which types.
TYPES_BELOW: Mapping[str, frozenset[str]] = {
    "v1": frozenset({"stack", "service", "container", "nodecluster", "node", "action"}),
    "app/v1": frozenset({"stack", "service", "container"}),
    "infra/v1": frozenset({"nodecluster", "node"}),
    "audit/v1": frozenset({"action"}),
}
READ_METHODS = (b"GET", b"HEAD")


class ApiResource(Resource):
    """What needs credentials and is read-only."""

    isLeaf = True

    def __init__(
        self, account: Account, get: Callable[[Request, Presented, list[str]], bytes]
    ) -> None:
        """Answer whom an account admits.

        :param get: is handed the names below this one's.
        """
        super().__init__()
        self._account = account
        self._get = get

    def render(self, request: Request) -> bytes:
        """Answer any request; whatever body it brings has been read and is ignored."""
        presented = credentials_of(request)
        if presented is None or not self._account.accepts(presented):
            return refuse(request)
        if request.method not in READ_METHODS:
            return refuse_write(request)
        names = [part.decode("ascii", "replace") for part in request.postpath or () if part]
        return self._get(request, presented, names)


def get_auth(request: Request, presented: Presented, _names: list[str]) -> bytes:
    """Answer ``auth/``: the official CLI asks before each command whether its key is good."""
    return answer(request, HTTPStatus.OK, {"user": presented.user})


@attrs.frozen
class TypeApi:
    """All objects of one type: ``service/``, and ``service/<uuid>/``.

    :param path: of the list, for ``next`` and ``previous``.
    """

    _path: str
    _type: str
    _registry: Registry

    def get(self, request: Request, presented: Presented, names: list[str]) -> bytes:
        """Answer with the list, or with one object."""
        match names:
            case []:
                return self._get_list(request)
            case [uuid]:
                thing = self._registry.find(self._type, uuid)
                if thing is not None:
                    return answer(request, HTTPStatus.OK, object_of(thing))
        return answer(request, HTTPStatus.NOT_FOUND, {"error": f"there is no such {self._type}"})

    def _get_list(self, request: Request) -> bytes:
        objects = (object_of(thing) for thing in self._registry.things(self._type))
        query = read_query(query_of(request))
        try:
            page = Lists(self._object_at).answer(self._type, self._path, objects, query)
        except BadQueryError as problem:
            return answer(request, HTTPStatus.BAD_REQUEST, {"error": str(problem)})
        return answer(request, HTTPStatus.OK, page)

    def _object_at(self, uri: str) -> Mapping[str, Any] | None:
        name = parse_resource_uri(uri)
        thing = self._registry.find(name.type, name.uuid) if name is not None else None
        return None if thing is None else object_of(thing)


class NothingHere(Resource):
    """Everything that there is not, as JSON; a folder of what there is."""

    def getChild(self, path: bytes, request: Request) -> Resource:
        """Give nothing for a name that nobody put here."""
        return NothingHere()

    def render(self, request: Request) -> bytes:
        """Answer 404, or 405 to a write."""
        if request.method not in READ_METHODS:
            return refuse_write(request)
        return answer(request, HTTPStatus.NOT_FOUND, {"error": "there is nothing here"})


def query_of(request: Request) -> str:
    """Give a request's query as it was sent."""
    return request.uri.decode("ascii", "replace").partition("?")[2]


def credentials_of(request: Request) -> Presented | None:
    """Give the credentials that a request presents."""
    return read_credentials(request.getHeader(b"authorization") or b"", query_of(request))


def refuse(request: Request) -> bytes:
    """Answer 401."""
    request.setHeader(b"www-authenticate", b'Basic realm="tutumwatch"')
    return answer(request, HTTPStatus.UNAUTHORIZED, {"error": "UNAUTHORIZED"})


def refuse_write(request: Request) -> bytes:
    """Answer 405."""
    request.setHeader(b"allow", b"GET, HEAD")
    return answer(request, HTTPStatus.METHOD_NOT_ALLOWED, {"error": "this server is read-only"})


def answer(request: Request, status: HTTPStatus, body: Mapping[str, Any]) -> bytes:
    """Answer a request with JSON."""
    encoded = msgspec.json.encode(body)
    request.setResponseCode(status, status.phrase.encode())
    request.setHeader(b"content-type", b"application/json")
    request.setHeader(b"content-length", str(len(encoded)).encode())
    return b"" if request.method == b"HEAD" else encoded
