"""A fake of Tutum: the event stream and the REST API, on one port of 127.0.0.1.

The stream is a WebSocket at ``/v1/events`` and ``/v1/events/`` (Docker Cloud:
``/api/audit/v1/events``). It accepts the four forms of credentials, says ``{"type":"auth"}``, and
sends one JSON object a text message; with bad credentials it says UNAUTHORIZED and closes. The
REST API serves whole objects at ``/api/v1/<type>/<uuid>/``, and under Docker Cloud's paths too.
Tutum closed in 2018; its reference is in the Internet Archive (https://docs.tutum.co/v2/api/).

Run it alone with ``python -m tests.fakes.tutum [--port N]``: a small shop lives on it, with about
one event a second.
"""

from __future__ import annotations

import json
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import parse_qs

import attrs
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTCP
from twisted.web.server import NOT_DONE_YET, Request

from tests.fakes.answers import Answer, deliver
from tests.fakes.scripted import Received, ScriptedServer
from tests.fakes.tutum_credentials import Credentials, credentials_of
from tests.fakes.tutum_events import StreamEvent
from tests.fakes.tutum_objects import RestObject, objects_after
from tests.fakes.tutum_stream import (
    ACCEPT,
    Behaviour,
    Flood,
    StreamConnection,
    take_over,
    unauthorized,
)

STREAM_PATHS = ("/v1/events", "/v1/events/")
CLOUD_STREAM_PATHS = ("/api/audit/v1/events", "/api/audit/v1/events/")
# Docker Cloud, the successor, has the same objects under other paths.
REST_PREFIXES = ("/api/v1/", "/api/app/v1/", "/api/infra/v1/", "/api/audit/v1/")

_JSON = {"Content-Type": "application/json"}

#: What can be sent on the stream: an event, any JSON object, or the bytes of any message.
Message = StreamEvent | Mapping[str, object] | bytes


LIST_PATH = re.compile(r"/api/v1/(?:stack|service|container|nodecluster|node|action)/")


@attrs.frozen
class Handshake:
    """One attempt to open the stream; ``status`` is 101, the refusal's, or None without any."""

    time: float
    path: str
    query: str
    headers: Mapping[str, str]
    credentials: Credentials | None
    status: int | None

    @property
    def authorization(self) -> str | None:
        """The Authorization header."""
        return self.headers.get("authorization")


class FakeTutum(ScriptedServer):
    """Tutum's stream and REST API.

    Any well-formed credentials will do until :meth:`expect` names the right ones; none at all
    never do. ``handshakes`` has every attempt, ``connections`` the open streams, ``objects`` what
    the REST API serves, by resource_uri, singly and in lists. Scripted answers are for REST; the stream's are behaviours
    (:mod:`tests.fakes.tutum_stream`). ``says_auth = False`` leaves the auth message out.
    """

    def __init__(self, reactor: IReactorTCP) -> None:
        super().__init__(reactor)
        self.handshakes: list[Handshake] = []
        self.list_requests: list[Received] = []
        self.connections: list[StreamConnection] = []
        self.objects: dict[str, RestObject] = {}
        self.pings: list[bytes] = []
        self.client_messages: list[bytes] = []
        self.floods: list[Flood] = []
        self.says_auth = True
        self._expected: tuple[str, str] | None = None
        self._behaviours: deque[Behaviour] = deque()
        self._behaviour = ACCEPT

    @property
    def stream_host(self) -> str:
        """Scheme, host and port of the stream, as ``TUTUM_STREAM_HOST`` wants it."""
        return f"ws{self.base_url.removeprefix('http')}"

    @property
    def stream_url(self) -> str:
        """The stream's whole URL, without credentials."""
        return f"{self.stream_host}/v1/events"

    @property
    def rest_url(self) -> str:
        """Scheme, host and port of the REST API, as ``TUTUM_REST_HOST`` wants it."""
        return self.base_url

    @property
    def rest_requests(self) -> list[Received]:
        """The REST requests, in order; handshakes are not among them."""
        return self.requests

    @property
    def connection_count(self) -> int:
        """How many streams are open."""
        return len(self.connections)

    def summary(self) -> str:
        """Say what was received."""
        statuses = [handshake.status for handshake in self.handshakes[-5:]]
        return (
            f"{super().summary()}; {self.connection_count} streams open, "
            f"{len(self.handshakes)} handshakes, the last: {statuses}"
        )

    def expect(self, user: str, apikey: str) -> None:
        """Accept these credentials only, on the stream and on REST."""
        self._expected = (user, apikey)

    def next_handshakes(self, *behaviours: Behaviour) -> None:
        """Queue behaviours for the next handshakes, one each; after them the default again."""
        self._behaviours.extend(behaviours)

    def every_handshake(self, behaviour: Behaviour) -> None:
        """Make this the behaviour for every handshake for which none is queued."""
        self._behaviour = behaviour

    def accept(self) -> None:
        """Forget every scripted behaviour: handshakes are judged by their credentials again."""
        self._behaviours.clear()
        self._behaviour = ACCEPT

    def send(self, message: Message) -> int:
        """Send a message to every open stream and return how many there are."""
        wire = _encoded(message)
        for connection in list(self.connections):
            connection.say(wire)
        return len(self.connections)

    def send_many(self, messages: Iterable[Message]) -> None:
        """Send messages, in order, to every open stream."""
        for message in messages:
            self.send(message)

    def announce(self, event: StreamEvent, **fields: object) -> int:
        """Bring ``objects`` to what the event says, then send it, as the real Tutum does.

        The event's object gets its state and the given fields; unknown parents come to be.
        """
        self.objects.update(objects_after(event, self.objects))
        self.objects[event["resource_uri"]].update(fields)
        return self.send(event)

    def put(self, rest_object: RestObject) -> None:
        """Serve this object at its resource_uri."""
        self.objects[rest_object["resource_uri"]] = rest_object

    def flood(
        self, count: int, make_event: Callable[[int], Message], per_turn: int = 100
    ) -> Deferred[list[int]]:
        """Send ``make_event(0 .. count - 1)`` to each open stream, no faster than it is read.

        Fires with the numbers written, one for each stream: less than ``count`` when it ended.
        """
        begun = [
            Flood(stream, count, lambda number: _encoded(make_event(number)), per_turn)
            for stream in self.connections
        ]
        self.floods.extend(begun)
        for producer in begun:
            producer.start()
        return gatherResults([producer.done for producer in begun])

    def drop(self) -> None:
        """Abort the TCP connection of every stream (RST)."""
        for connection in list(self.connections):
            connection.abort_when_sent()

    def drop_mid_frame(self) -> None:
        """Send half of a message to every stream, then abort its TCP connection."""
        for connection in list(self.connections):
            connection.drop_mid_frame()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close every stream with this code, by the closing handshake."""
        for connection in list(self.connections):
            connection.close(code, reason)

    def respond(self, request: Request) -> int:
        """Serve a stream's handshake, or else a REST request."""
        path = request.uri.decode("latin-1").partition("?")[0]
        received = Received.from_request(request, self._clock.seconds())
        if LIST_PATH.fullmatch(path):
            return self._list(request, attrs.evolve(received, query=""), received.query)
        if path not in STREAM_PATHS + CLOUD_STREAM_PATHS:
            return super().respond(request)
        behaviour = self._behaviour_for(received)
        handshake = Handshake(
            time=received.time,
            path=received.path,
            query=received.query,
            headers=received.headers,
            credentials=credentials_of(received.headers, received.query),
            status=101 if behaviour.answer is None else behaviour.answer.status_sent,
        )
        self.handshakes.append(handshake)
        self.echo(f"handshake {handshake.path} -> {handshake.status}")
        if behaviour.answer is None:
            take_over(request, self, self._clock, behaviour)
        else:
            deliver(request, behaviour.answer, self._clock)
        self.changed()
        return NOT_DONE_YET

    def _behaviour_for(self, received: Received) -> Behaviour:
        behaviour = self._behaviours.popleft() if self._behaviours else self._behaviour
        if behaviour.answer is not None or self._is_authorized(received):
            return behaviour
        if received.path in CLOUD_STREAM_PATHS:
            return Behaviour(answer=Answer(401))
        return unauthorized()

    def _is_authorized(self, received: Received) -> bool:
        found = credentials_of(received.headers, received.query)
        if found is None or self._expected is None:
            return found is not None
        return (found.user, found.apikey) == self._expected

    def process(self, request: Received) -> Answer:
        """Answer a REST request."""
        if request.method not in ("GET", "HEAD"):
            return _error(405, "Method not allowed")
        if not self._is_authorized(attrs.evolve(request, query="")):
            return _error(401, "Unauthorized")
        if not request.path.endswith("/"):
            return Answer.redirect(f"{request.path}/", 301)
        if request.path == "/api/v1/auth/":
            return Answer(200, "{}", _JSON)
        found = self._find(request.path)
        if found is None:
            return _error(404, "Object not found")
        return Answer(200, json.dumps(found), _JSON)

    def _list(self, request: Request, received: Received, query: str) -> int:
        """Answer a list: never scripted, and noted apart, since a watcher asks for it unasked."""
        self.list_requests.append(received)
        answer = self.process(received)
        if answer.status == 404:
            fields = parse_qs(query)
            offset = int(fields.get("offset", ["0"])[-1])
            limit = int(fields.get("limit", ["25"])[-1])
            found = [o for uri, o in self.objects.items() if uri.startswith(received.path)]
            meta = {"limit": limit, "offset": offset, "total_count": len(found)}
            page = {"meta": meta, "objects": found[offset : offset + limit]}
            answer = Answer(200, json.dumps(page), _JSON)
        deliver(request, answer, self._clock)
        return NOT_DONE_YET

    def _find(self, path: str) -> RestObject | None:
        """Look an object up under any of the forms that its path has."""
        prefix = next((known for known in REST_PREFIXES if path.startswith(known)), None)
        if path in self.objects or prefix is None:
            return self.objects.get(path)
        rest = path.removeprefix(prefix)
        aliases = (known + rest for known in REST_PREFIXES)
        return next((self.objects[alias] for alias in aliases if alias in self.objects), None)

    def opened(self, connection: StreamConnection) -> None:
        """Note an open stream."""
        self.connections.append(connection)

    def closed(self, connection: StreamConnection) -> None:
        """Note that a stream, or an attempt at one, is over."""
        if connection in self.connections:
            self.connections.remove(connection)
            self.echo("stream closed")
        self.changed()

    def pinged(self, payload: bytes) -> None:
        """Note a ping."""
        self.pings.append(payload)
        self.changed()

    def told(self, payload: bytes) -> None:
        """Note a message from the client."""
        self.client_messages.append(payload)
        self.changed()


def _encoded(message: Message) -> bytes:
    if isinstance(message, bytes):
        return message
    return json.dumps(message, separators=(",", ":")).encode()


def _error(status: int, text: str) -> Answer:
    return Answer(status, json.dumps({"error": text}), _JSON)


if __name__ == "__main__":
    from tests.fakes.standalone import run
    from tests.fakes.tutum_scenario import open_shop

    run(sys.argv[1:], "tests.fakes.tutum", FakeTutum, lambda fake: fake.base_url, open_shop)
