"""The plain clients with which the fakes are tested: HTTP, stream, and bare TCP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from treq.client import HTTPClient
from twisted.internet._sslverify import IOpenSSLTrustRoot
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import (
    IPushProducer,
    IReactorTime,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import optionsForClientTLS
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool

from tests.fakes.scripted import LOOPBACK
from tests.fakes.waiting import Conditions


def http_client(test: TestCase, trust_root: IOpenSSLTrustRoot | None = None) -> HTTPClient:
    """Return a treq client whose connections are closed when the test ends."""
    from twisted.internet import reactor

    pool = HTTPConnectionPool(reactor)
    test.addCleanup(pool.closeCachedConnections)
    policy = BrowserLikePolicyForHTTPS(trustRoot=trust_root)
    return HTTPClient(Agent(reactor, policy, pool=pool))


class RecordingStream(WebSocketClientProtocol):
    """A stream client that keeps its messages and how it ended."""

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__()
        self.messages: list[bytes] = []
        self.pongs: list[bytes] = []
        self.is_up = False
        self.ended: tuple[bool, int | None, str | None] | None = None
        self._conditions = Conditions(clock, lambda: f"{self.messages[-3:]} {self.ended}")

    def when(self, predicate: Callable[[RecordingStream], bool]) -> Deferred[None]:
        """Return a Deferred that fires once the predicate holds for this client."""
        return self._conditions.when(lambda: predicate(self), 5.0)

    @property
    def tcp(self) -> ITCPTransport:
        """The connection below the stream."""
        return cast("ITCPTransport", self.transport)

    @property
    def flow(self) -> IPushProducer:
        """The same connection, as what can be paused."""
        return cast("IPushProducer", self.transport)

    def onOpen(self) -> None:
        """Note the end of the handshake."""
        self.is_up = True
        self._conditions.changed()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: FBT001 - Autobahn's
        """Keep a message."""
        self.messages.append(payload)
        self._conditions.changed()

    def onPong(self, payload: bytes) -> None:
        """Keep a pong."""
        self.pongs.append(payload)
        self._conditions.changed()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:  # noqa: FBT001 - Autobahn's
        """Keep how it ended."""
        self.ended = (wasClean, code, reason)
        self._conditions.changed()


class _StreamFactory(WebSocketClientFactory):
    def __init__(self, url: str, headers: Mapping[str, str], clock: IReactorTime) -> None:
        super().__init__(url, headers=dict(headers))
        self.setProtocolOptions(serverConnectionDropTimeout=0, openHandshakeTimeout=0)
        self._clock = clock

    def buildProtocol(self, _addr: object) -> RecordingStream:
        client = RecordingStream(self._clock)
        client.factory = self
        return client


async def open_stream(
    test: TestCase,
    url: str,
    authorization: str | None = "ApiKey user:key",
    trust_root: IOpenSSLTrustRoot | None = None,
) -> RecordingStream:
    """Dial a stream and return its client once TCP is connected; aborted at the test's end."""
    from twisted.internet import reactor

    headers = {} if authorization is None else {"Authorization": authorization}
    factory = _StreamFactory(url, headers, reactor)
    endpoint: IStreamClientEndpoint = TCP4ClientEndpoint(reactor, LOOPBACK, factory.port)
    if factory.isSecure:
        options = optionsForClientTLS(LOOPBACK, trustRoot=trust_root)
        endpoint = wrapClientTLS(options, endpoint)
    client = cast("RecordingStream", await endpoint.connect(factory))

    async def end() -> None:
        client.dropConnection(abort=True)
        await client.when(lambda stream: stream.ended is not None)

    test.addCleanup(lambda: Deferred.fromCoroutine(end()))
    return client


class RawClient(Protocol):
    """A bare TCP client that keeps every byte and the reason of the end."""

    transport: ITCPTransport

    def __init__(self, clock: IReactorTime) -> None:
        self.wire = b""
        self.lost: Failure | None = None
        self._conditions = Conditions(clock, lambda: f"{self.wire!r} {self.lost}")

    def when(self, predicate: Callable[[RawClient], bool]) -> Deferred[None]:
        """Return a Deferred that fires once the predicate holds for this client."""
        return self._conditions.when(lambda: predicate(self), 5.0)

    def dataReceived(self, data: bytes) -> None:
        """Keep what came."""
        self.wire += data
        self._conditions.changed()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override] # no default needed
        """Keep why it ended."""
        self.lost = reason
        self._conditions.changed()


async def open_raw(test: TestCase, port: int, sent: bytes) -> RawClient:
    """Connect, send these bytes, and return the client; aborted at the test's end."""
    from twisted.internet import reactor

    endpoint = TCP4ClientEndpoint(reactor, LOOPBACK, port)
    factory = Factory.forProtocol(lambda: RawClient(reactor))
    client = cast("RawClient", await endpoint.connect(factory))
    client.transport.write(sent)

    async def end() -> None:
        client.transport.abortConnection()
        await client.when(lambda raw: raw.lost is not None)

    test.addCleanup(lambda: Deferred.fromCoroutine(end()))
    return client
