"""The stream's side of a client's connection: a WebSocket at /v1/events.

Messages from us: ``{"type": "auth"}`` once the credentials are accepted, or the UNAUTHORIZED error
and a close; then one event a text message. A client's pings are answered, its messages ignored.
A client that is over the limit, or here when the bridge stops, is told so in the close's reason.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionRequest
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from tutumwatch.bridge.credentials import Account, read_credentials
from tutumwatch.bridge.hub import Hub

AUTH_MESSAGE = b'{"type":"auth","action":"","state":"","resource_uri":"","parents":[]}'
UNAUTHORIZED_MESSAGE = (
    b'{"type":"error","action":"","state":"","resource_uri":"","parents":[],'
    b'"data":{"errorMessage":"UNAUTHORIZED"}}'
)
# A client that is this far behind does not keep up. About 10,000 events.
BEHIND_MAX_BYTES = 16 * 1024 * 1024
CLIENT_MESSAGE_MAX_BYTES = 64 * 1024
CLOSE_GOING_AWAY, CLOSE_UNAUTHORIZED, CLOSE_FULL = 1001, 3401, 3503
PONG = 0x8A  # the last frame of its message, opcode 10


@implementer(IPushProducer)
class EventsProtocol(WebSocketServerProtocol):
    """One client. What its socket does not take waits here, up to a bound; then it is dropped."""

    _log = Logger()
    factory: EventsFactory
    _accepted = False
    _blocked = False
    _behind_bytes = 0

    def __init__(self) -> None:
        """Begin with nothing to catch up with."""
        super().__init__()
        self._behind: deque[bytes] = deque()

    def onConnect(self, request: ConnectionRequest) -> None:
        """Read the credentials; a bad one is told in a message, as Tutum did, not by a status."""
        query = self.http_request_uri.partition("?")[2]
        authorization = str(request.headers.get("authorization", "")).encode("latin-1")
        self._accepted = self.factory.account.accepts(read_credentials(authorization, query))

    def onOpen(self) -> None:
        """Greet an accepted client and let it listen; send another one away."""
        if not self._accepted:
            self.sendMessage(UNAUTHORIZED_MESSAGE)
            self.sendClose(CLOSE_UNAUTHORIZED, "UNAUTHORIZED")
            return
        if self.factory.hub.is_full:
            self.sendClose(CLOSE_FULL, "too many clients")
            return
        # The HTTP channel that took the request is still registered as a producer.
        self.unregisterProducer()
        self.registerProducer(self, True)  # noqa: FBT003 - Autobahn's signature
        self.sendMessage(AUTH_MESSAGE)
        self.factory.hub.join(self)

    def onPing(self, payload: bytes) -> None:
        """Answer a ping, in its place among the events."""
        self.take(bytes((PONG, len(payload))) + payload)

    def take(self, frame: bytes) -> None:
        """Send a frame, or keep it until the socket takes more."""
        if self.state != self.STATE_OPEN:
            return
        if not self._blocked:
            self.sendData(frame)
            return
        self._behind.append(frame)
        self._behind_bytes += len(frame)
        if self._behind_bytes > BEHIND_MAX_BYTES:
            self._log.warn("a stream client at {peer} does not keep up: dropped", peer=self.peer)
            self.dropConnection(abort=True)

    def dismiss(self) -> None:
        """Close the connection: the bridge stops."""
        # As if it were an answer: Autobahn would start a timer for the other side's.
        self.sendCloseFrame(CLOSE_GOING_AWAY, b"the bridge stops", isReply=True)
        self.dropConnection(abort=self._blocked)

    def pauseProducing(self) -> None:
        """Hear that the socket takes no more."""
        self._blocked = True

    def resumeProducing(self) -> None:
        """Hear that the socket takes more."""
        self._blocked = False
        while self._behind and not self._blocked and self.state == self.STATE_OPEN:
            frame = self._behind.popleft()
            self._behind_bytes -= len(frame)
            self.sendData(frame)

    def stopProducing(self) -> None:
        """Hear that the connection is over."""

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:  # noqa: FBT001 - Autobahn calls it
        """Forget the client."""
        self._behind.clear()
        self.factory.hub.leave(self)


class EventsFactory(WebSocketServerFactory):
    """Makes the protocol of each client."""

    protocol: Any = EventsProtocol

    def __init__(self, hub: Hub, account: Account, clock: IReactorTime) -> None:
        """Serve the events of a hub to whom an account admits."""
        super().__init__(reactor=clock)
        self.hub = hub
        self.account = account
        self.setProtocolOptions(
            maxMessagePayloadSize=CLIENT_MESSAGE_MAX_BYTES,
            openHandshakeTimeout=10,
            closeHandshakeTimeout=5,
            # Clients of the time send no pings and must not be dropped for it; a peer that is
            # gone without a word is found by ours.
            autoPingInterval=60,
            autoPingTimeout=60,
            tcpNoDelay=True,
            webStatus=False,
        )
