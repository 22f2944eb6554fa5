"""The REST API and the destination: as little HTTP as their clients need, and fast."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from typing import Protocol, cast
from urllib.parse import parse_qs, urlsplit

import attrs

from bench.events import KINDS, numbers_in, object_of, told_in
from bench.wire import Behaviour, Plan

OK, FAILED, LIMITED = 200, 500, 429
_REASONS = {OK: "OK", FAILED: "Internal Server Error", LIMITED: "Too Many Requests"}
_LENGTH = b"content-length:"


@attrs.frozen
class Answer:
    """What a request is answered with, and after how long."""

    body: bytes
    after_seconds: float
    status: int = OK
    header: str = ""


class Site(Protocol):
    """Answers requests."""

    def answer(self, target: str, body: bytes) -> Answer:
        """Answer a request that is wholly here."""


class HTTPConnection(asyncio.Protocol):
    """One connection that stays open: one request after the other, none before the last answer."""

    def __init__(self, site: Site, connections: set[HTTPConnection]) -> None:
        self._site = site
        self._connections = connections
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self._connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Take a request, if it is whole."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        at = head.lower().find(_LENGTH)
        if at >= 0 and len(body) < int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]):
            return
        self._received = b""
        target = head.split(b" ", 2)[1].decode()
        answer = self._site.answer(target, body)
        if answer.after_seconds:
            asyncio.get_running_loop().call_later(answer.after_seconds, self._write, answer)
        else:
            self._write(answer)

    def _write(self, answer: Answer) -> None:
        if self.transport.is_closing():
            return
        head = (
            f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}\r\n{answer.header}"
            f"Content-Type: application/json\r\nContent-Length: {len(answer.body)}\r\n\r\n"
        )
        self.transport.write(head.encode() + answer.body)


class RESTSite:
    """Has an object for every path, and lists of those that events have told of.

    :param sent_count: gives how many events were sent.
    """

    def __init__(self, sent_count: Callable[[], int]) -> None:
        self._sent_count = sent_count
        self.prepare(Plan(count=0))
        self.behaviour = Behaviour()

    def prepare(self, plan: Plan) -> None:
        """Begin anew."""
        self._plan = plan
        self._told: dict[str, list[int]] = {}
        self._told_upto = -1
        self.look_ups_count = 0

    def answer(self, target: str, body: bytes) -> Answer:
        """Answer a GET."""
        url = urlsplit(target)
        kind, _, uuid = url.path.removeprefix("/api/v1/").strip("/").partition("/")
        if uuid:
            self.look_ups_count += 1
            found = object_of(kind, numbers_in(url.path.encode())[0])
            return Answer(json.dumps(found).encode(), self.behaviour.rest_seconds)
        asked = parse_qs(url.query)
        limit, offset = (int(asked[key][0]) for key in ("limit", "offset"))
        numbers = self._numbers(kind)
        page = [object_of(kind, number) for number in numbers[offset : offset + limit]]
        meta = {"limit": limit, "offset": offset, "next": None, "previous": None}
        meta["total_count"] = len(numbers)
        listed = {"meta": meta, "objects": page}
        return Answer(json.dumps(listed).encode(), self.behaviour.rest_seconds)

    def _numbers(self, kind: str) -> list[int]:
        if kind not in KINDS:
            return []
        sent = self._sent_count()
        if sent != self._told_upto:
            self._told, self._told_upto = told_in(self._plan, sent), sent
        return self._told.get(kind, [])


class DestinationSite:
    """Takes notices, and keeps the ledger of them."""

    def __init__(self) -> None:
        self.prepare()
        self.behaviour = Behaviour()

    def prepare(self) -> None:
        """Begin anew."""
        self.arrived_at: dict[int, float] = {}
        self.repeated_count = 0
        self.unnamed_count = 0
        self.requests_count = 0
        self._attempts: Counter[int] = Counter()

    def answer(self, target: str, body: bytes) -> Answer:
        """Take a POST, or refuse it; what was refused has not arrived."""
        now = asyncio.get_running_loop().time()
        self.requests_count += 1
        numbers = numbers_in(body)
        if not numbers:  # it tells of a look-up that failed
            self.unnamed_count += 1
            return Answer(b"ok", self.behaviour.destination_seconds)
        seconds = self.behaviour.destination_seconds
        status = self.status_for(numbers[0])
        if status != OK:
            header = "Retry-After: 1\r\n" if status == LIMITED else ""
            return Answer(b"try later", seconds, status, header)
        for number in numbers:
            if number in self.arrived_at:
                self.repeated_count += 1
            else:
                self.arrived_at[number] = now
        return Answer(b"ok", seconds)

    def status_for(self, number: int) -> int:
        """Draw how an attempt at a notice ends; the same for every client."""
        behaviour = self.behaviour
        if not behaviour.failed and not behaviour.limited:
            return OK
        self._attempts[number] += 1
        attempt = f"{number}, attempt {self._attempts[number]}".encode()
        drawn = int.from_bytes(hashlib.sha256(attempt).digest()[:4], "big") / 2**32
        if drawn < behaviour.failed:
            return FAILED
        return LIMITED if drawn < behaviour.failed + behaviour.limited else OK


class HTTPServer:
    """A site on a port of this machine, that may also be down."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._server: asyncio.Server | None = None
        self._connections: set[HTTPConnection] = set()
        self.port = 0

    async def listen(self) -> None:
        """Listen, on the same port as before."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                lambda: HTTPConnection(self._site, self._connections), "127.0.0.1", self.port
            )
            self.port = self._server.sockets[0].getsockname()[1]

    def go_down(self) -> None:
        """Close every connection, and refuse others."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._connections):
            connection.transport.abort()
