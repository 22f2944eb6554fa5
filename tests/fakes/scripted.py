"""An HTTP server on loopback that records its requests and whose answers can be scripted."""

from __future__ import annotations

import abc
import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, Self, cast

import attrs
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import (
    IListeningPort,
    IOpenSSLContextFactory,
    IReactorTCP,
    IReactorTime,
)
from twisted.internet.protocol import ServerFactory
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from tests.fakes.answers import OWN_ANSWER, Answer, deliver
from tests.fakes.waiting import Conditions

LOOPBACK = "127.0.0.1"


@attrs.frozen
class Received:
    """One request as it arrived; ``time`` is ``reactor.seconds()``.

    ``headers`` has lower-case names; a header that came twice is joined by a comma. ``status``
    is the status sent back, or None where no status line is sent (hang, reset).
    """

    time: float
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    status: int | None = None

    def json(self) -> Any:  # noqa: ANN401 - JSON is what it is
        """Return the body decoded as JSON."""
        return json.loads(self.body)

    @classmethod
    def from_request(cls, request: Request, now: float) -> Received:
        """Copy what matters of a Twisted request."""
        path, _, query = request.uri.decode("latin-1").partition("?")
        return cls(
            time=now,
            method=request.method.decode("latin-1"),
            path=path,
            query=query,
            headers={
                name.decode("latin-1").lower(): b",".join(lines).decode("latin-1")
                for name, lines in request.requestHeaders.getAllRawHeaders()
            },
            body=cast("BinaryIO", request.content).read(),
        )


class ScriptedServer(abc.ABC):
    """Serves HTTP on 127.0.0.1, records every request, and answers by script or by itself.

    A subclass says in :meth:`process` what the real service does with a request.
    """

    def __init__(self, reactor: IReactorTCP) -> None:
        self.requests: list[Received] = []
        #: Called with a line of text for each thing received; the stand-alone programs print it.
        self.echo: Callable[[str], None] = _say_nothing
        self._reactor = reactor
        self._clock = IReactorTime(reactor)
        self._script: deque[Answer] = deque()
        self._default = OWN_ANSWER
        self._conditions = Conditions(self._clock, self.summary)
        self._connections = _Connections(_QuietSite(_Everything(self)), self.changed)
        self._scheme = "http"
        self._port: IListeningPort | None = None
        self._port_number = 0

    @classmethod
    async def listen(
        cls,
        reactor: IReactorTCP,
        port: int = 0,
        ssl_context_factory: IOpenSSLContextFactory | None = None,
    ) -> Self:
        """Start a server; port 0 takes a free one, a context factory makes it HTTPS."""
        fake = cls(reactor)
        if ssl_context_factory is not None:
            fake._speak_tls(ssl_context_factory)
        fake._port_number = port
        await fake.resume()
        return fake

    @abc.abstractmethod
    def process(self, request: Received) -> Answer:
        """Act on a request as the real service does and return the service's answer."""

    @property
    def port(self) -> int:
        """The port number, which stays the same over refuse_connections and resume."""
        return self._port_number

    @property
    def base_url(self) -> str:
        """Scheme, host and port, without a last slash."""
        return f"{self._scheme}://{LOOPBACK}:{self._port_number}"

    @property
    def tcp_connection_count(self) -> int:
        """How many TCP connections are open now."""
        return len(self._connections.protocols)

    def answer_next(self, *answers: Answer) -> None:
        """Queue answers for the next requests, one each; after them the default answers again."""
        self._script.extend(answers)

    def answer_always(self, answer: Answer) -> None:
        """Make this the answer to every request for which none is queued."""
        self._default = answer

    def answer_ok(self) -> None:
        """Forget every scripted answer: the service answers for itself again."""
        self._script.clear()
        self._default = OWN_ANSWER

    def when(
        self, predicate: Callable[[Self], bool], timeout_seconds: float = 20.0
    ) -> Deferred[Self]:
        """Return a Deferred that fires with this fake as soon as ``predicate(fake)`` holds.

        The predicate is tried now and after everything that happens to the fake; what it raises
        is raised to who waits, and so is a TimeoutError after ``timeout_seconds``. It fires two
        reactor turns later, so that the answer to the last request has left.
        """
        waiter = self._conditions.when(lambda: predicate(self), timeout_seconds)
        return waiter.addCallback(lambda _held: self)

    def summary(self) -> str:
        """Say in a line what was received, for the message of a wait that timed out."""
        seen = [f"{r.method} {r.path} -> {r.status}" for r in self.requests[-5:]]
        return f"{type(self).__name__} got {len(self.requests)} requests, the last: {seen}"

    def drop_connections(self) -> None:
        """Abort every TCP connection (RST); the port keeps listening."""
        for connection in list(self._connections.protocols):
            connection.transport.abortConnection()

    async def refuse_connections(self) -> None:
        """Die: stop listening and abort every connection; new ones are refused by the kernel."""
        if self._port is not None:
            port, self._port = self._port, None
            await _deferred(port.stopListening())
        self.drop_connections()
        await self._connections.all_lost()

    async def resume(self) -> None:
        """Come back to life on the same port."""
        if self._port is not None:
            return
        # WrappingFactory is declared a ClientFactory, yet it serves.
        factory = cast("ServerFactory[Any]", self._connections)
        self._port = self._reactor.listenTCP(self._port_number, factory, interface=LOOPBACK)
        self._port_number = cast("IPv4Address", self._port.getHost()).port

    def _speak_tls(self, context_factory: IOpenSSLContextFactory) -> None:
        # TLS goes inside the wrapper that knows the connections, not around it (listenSSL):
        # Autobahn insists on TLS itself as the transport that it takes over.
        self._scheme = "https"
        site = self._connections.wrappedFactory
        self._connections.wrappedFactory = TLSMemoryBIOFactory(context_factory, False, site)  # noqa: FBT003 - not a client

    async def stop(self) -> None:
        """Stop listening, abort all connections, and return when they are gone."""
        await self.refuse_connections()

    def respond(self, request: Request) -> int:
        """Record one request and answer it; the resource below calls this."""
        received = Received.from_request(request, self._clock.seconds())
        answer = self._script.popleft() if self._script else self._default
        if answer.is_processed:
            answer = answer.completed_by(self.process(received))
        received = attrs.evolve(received, status=answer.status_sent)
        self.requests.append(received)
        self.echo(f"{received.method} {received.path} -> {received.status or answer.fault.value}")
        deliver(request, answer, self._clock)
        self.changed()
        return NOT_DONE_YET

    def changed(self) -> None:
        """Fire the waiters whose condition holds now."""
        self._conditions.changed()


class _Everything(Resource):
    """The one resource of a fake: every path and method goes to its server."""

    isLeaf = True

    def __init__(self, server: ScriptedServer) -> None:
        super().__init__()
        self._server = server

    def render(self, request: Request) -> int:
        return self._server.respond(request)


class _QuietSite(Site):
    """A Site without an access log."""

    noisy = False

    def log(self, request: object) -> None:
        """Log nothing."""


class _Connection(ProtocolWrapper):
    """A connection that tells its factory when the protocol on it has really ended."""

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override] # Twisted: no default here either
        super().connectionLost(reason)
        cast("_Connections", self.factory).ended()


class _Connections(WrappingFactory):
    """Knows every open connection, whatever protocol has taken it over."""

    protocol = _Connection
    noisy = False

    def __init__(self, site: Site, one_ended: Callable[[], None]) -> None:
        super().__init__(site)
        self._one_ended = one_ended
        self._waiting: list[Deferred[None]] = []

    def all_lost(self) -> Deferred[None]:
        """Return a Deferred that fires when no connection is open."""
        if not self.protocols:
            return succeed(None)
        self._waiting.append(Deferred())
        return self._waiting[-1]

    def ended(self) -> None:
        """Tell the server, and the waiters if that was the last connection."""
        self._one_ended()
        if not self.protocols:
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                waiter.callback(None)


def _say_nothing(_line: str) -> None:
    pass


async def _deferred(stopped: Deferred[None] | None) -> None:
    if stopped is not None:
        await stopped
