"""Asks the Tutum REST API for single resources, on one host and with that host's credentials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import attrs
import msgspec

from tutumwatch.events.inputs import Answer, Found, Missing, Unanswered
from tutumwatch.events.resource_uri import parse_resource_uri
from tutumwatch.http import HTTPCaller, NoResponse, Request, Response
from tutumwatch.inventory.fields import without_unread
from tutumwatch.secret import Secret

REFUSED = "is no resource_uri; nothing was sent"
NO_OBJECT = "the REST API answered something that is no JSON object"
OK_STATUS = 200
MISSING_STATUSES = frozenset({404, 410})


@attrs.frozen
class Page:
    """One page of a list: its objects, and how many there are on all pages."""

    objects: Sequence[dict[str, Any]] = attrs.field(repr=False)
    total_count: int


class _WireMeta(msgspec.Struct):
    total_count: int


class _WireList(msgspec.Struct):
    """``{"meta": {"limit": 25, "offset": 0, "total_count": 2, ...}, "objects": [...]}``."""

    meta: _WireMeta
    objects: list[dict[str, Any]]


@attrs.define
class ResourceClient:
    """One REST host.

    :param base: scheme and host, as ``https://dashboard.tutum.co``.
    :param headers: the credentials; sent to this host alone.
    """

    _web: HTTPCaller
    _base: str
    _headers: Mapping[str, Secret]

    def use(self, web: HTTPCaller, base: str, headers: Mapping[str, Secret]) -> None:
        """Ask elsewhere, or with other credentials, from now on."""
        self._web, self._base, self._headers = web, base, headers

    async def fetch(self, resource_uri: str, deadline_seconds: float) -> Response | NoResponse:
        """GET a resource and give the answer as it is.

        :raises ValueError: if this is no resource_uri; nothing is sent then.
        """
        if parse_resource_uri(resource_uri) is None:
            message = f"{resource_uri[:100]!r} {REFUSED}"
            raise ValueError(message)
        return await self._get(f"{resource_uri.rstrip('/')}/", deadline_seconds)

    async def _get(self, path: str, deadline_seconds: float) -> Response | NoResponse:
        headers = {name: value.reveal() for name, value in self._headers.items()}
        url = Secret(f"{self._base.rstrip('/')}{path}")
        request = Request("GET", url, {"Accept": "application/json", **headers})
        return await self._web.send(request, deadline_seconds)

    async def get_resource(self, resource_uri: str, deadline_seconds: float) -> Answer:
        """GET a resource: its object, that there is none, or why nobody knows."""
        try:
            answer = await self.fetch(resource_uri, deadline_seconds)
        except ValueError as refusal:
            return Unanswered(str(refusal))
        if isinstance(answer, NoResponse):
            return Unanswered(answer.sentence)
        if answer.status in MISSING_STATUSES:
            return Missing()
        if answer.status != OK_STATUS:
            return Unanswered(f"the REST API answered {answer.status}")
        try:
            return Found(without_unread(msgspec.json.decode(answer.body, type=dict)))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Unanswered(NO_OBJECT)

    async def list_page(
        self,
        type_: str,
        filters: Mapping[str, str],
        offset: int,
        limit: int,
        deadline_seconds: float,
    ) -> Page | Unanswered:
        """GET one page of a list.

        Pages are asked for by their offset: the path that a server names as the next is not
        followed, because our credentials go only where we say.
        """
        query = urlencode({**filters, "limit": limit, "offset": offset})
        answer = await self._get(f"/api/v1/{type_}/?{query}", deadline_seconds)
        if isinstance(answer, NoResponse):
            return Unanswered(answer.sentence)
        if answer.status != OK_STATUS:
            return Unanswered(f"the REST API answered {answer.status} to a list of {type_}")
        try:
            wire = msgspec.json.decode(answer.body, type=_WireList)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Unanswered(f"the REST API answered something that is no list of {type_}")
        return Page([*map(without_unread, wire.objects)], wire.meta.total_count)
