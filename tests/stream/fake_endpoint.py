"""An endpoint without sockets, and the server at its other end.

The transport behaves as a TCP connection does: who ends it hears of the end one reactor turn later,
and while it is paused nothing is read from it. Protocol and frames are RFC 6455.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Callable
from typing import Any, cast

import attrs
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

AUTH = b'{"type":"auth"}'
UNAUTHORIZED = b'{"type":"error","data":{"errorMessage":"UNAUTHORIZED"}}'
EVENT = b'{"type":"service","action":"update","state":"Running"}'

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class MemoryTransport(StringTransport):
    """One TCP connection, seen from the client."""

    def __init__(self, clock: Clock, protocol: IProtocol) -> None:
        super().__init__(lenient=True)
        self.is_over = False
        self._clock = clock
        self._protocol = protocol
        self._unread: list[bytes] = []

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: FBT001, N802 - Twisted's
        """Take an option that means nothing here."""

    def unregisterProducer(self) -> None:
        """Forget the producer, if there is one: a socket does not mind."""
        self.producer = None

    def loseConnection(self) -> None:
        """End the connection."""
        self._end_soon(ConnectionDone())

    def abortConnection(self) -> None:
        """Reset the connection."""
        self.disconnected = True
        self._end_soon(ConnectionAborted())

    def _end_soon(self, error: Exception) -> None:
        if not self.disconnecting:
            self.disconnecting = True
            self._clock.callLater(0, self.end, error)

    def end(self, error: Exception) -> None:
        """Tell the protocol that the connection is gone, once."""
        if not self.is_over:
            self.is_over = self.disconnecting = True
            self._protocol.connectionLost(Failure(error))

    def deliver(self, data: bytes) -> None:
        """Give bytes to the protocol, at once or when it reads again."""
        self._unread.append(data)
        self._read()

    def resumeProducing(self) -> None:
        """Read on."""
        super().resumeProducing()
        if self._unread:
            self._clock.callLater(0, self._read)

    def _read(self) -> None:
        while self._unread and self.producerState == "producing" and not self.disconnecting:
            self._protocol.dataReceived(self._unread.pop(0))


class FakeServer:
    """The server's end of one connection."""

    def __init__(self, clock: Clock, protocol: IProtocol) -> None:
        self.protocol = protocol
        self.transport = MemoryTransport(clock, protocol)

    @property
    def request(self) -> str:
        """The handshake's request as it was sent."""
        wire: bytes = self.transport.value()
        return wire.partition(b"\r\n\r\n")[0].decode()

    @property
    def frames(self) -> list[tuple[int, bytes]]:
        """The client's frames: opcode and payload, unmasked; each is short."""
        wire, found = self.transport.value().partition(b"\r\n\r\n")[2], []
        while wire:
            length, mask = wire[1] & 0x7F, wire[2:6]
            masked, wire_after = wire[6 : 6 + length], wire[6 + length :]
            payload = bytes(byte ^ mask[place % 4] for place, byte in enumerate(masked))
            found.append((wire[0] & 0x0F, payload))
            wire = wire_after
        return found

    @property
    def said_goodbye(self) -> bool:
        """Whether the client sent a close frame."""
        return any(opcode == CLOSE for opcode, _ in self.frames)

    def accept(self, then: bytes = b"") -> None:
        """Complete the handshake; further bytes come in the same chunk."""
        fields = dict(line.split(": ", 1) for line in self.request.split("\r\n")[1:])
        digest = hashlib.sha1(fields["Sec-WebSocket-Key"].encode() + _GUID)  # noqa: S324 - RFC 6455 asks for it
        key = base64.b64encode(digest.digest()).decode()
        self.answer(
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {key}",
            then=then,
        )

    def answer(self, *lines: str, then: bytes = b"") -> None:
        """Answer the handshake with a status line and headers."""
        self.transport.deliver("\r\n".join((*lines, "", "")).encode("latin-1") + then)

    def refuse(self, status: int, *headers: str) -> None:
        """Answer the handshake with a status that refuses it."""
        self.answer(f"HTTP/1.1 {status} Refused", *headers)

    def say(self, *messages: bytes) -> None:
        """Send text messages in one chunk."""
        self.transport.deliver(b"".join(frame(TEXT, message) for message in messages))

    def pong(self) -> None:
        """Answer a ping."""
        self.transport.deliver(frame(PONG, b""))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame."""
        self.transport.deliver(frame(CLOSE, struct.pack("!H", code) + reason.encode()))

    def hang_up(self) -> None:
        """End the TCP connection."""
        self.transport.end(ConnectionDone())

    def drop(self) -> None:
        """Lose the TCP connection."""
        self.transport.end(ConnectionLost())


def frame(opcode: int, payload: bytes) -> bytes:
    """Make a server's frame: whole and unmasked."""
    if len(payload) < 126:
        return struct.pack("!BB", 0x80 | opcode, len(payload)) + payload
    if len(payload) < 65536:
        return struct.pack("!BBH", 0x80 | opcode, 126, len(payload)) + payload
    return struct.pack("!BBQ", 0x80 | opcode, 127, len(payload)) + payload


@attrs.define(eq=False)
class Dial:
    """One call of ``connect``: when, and what came of it."""

    time: float
    result: Deferred[IProtocol] = attrs.field(factory=Deferred)
    is_cancelled: bool = False


@implementer(IStreamClientEndpoint)
class FakeEndpoint:
    """Records each dial, and does with it what :attr:`behave` says.

    ``servers`` has the other end of each connection that was made.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.dials: list[Dial] = []
        self.servers: list[FakeServer] = []
        self.serve: Callable[[FakeServer], None] = lambda _server: None
        self.behave: Callable[[IProtocolFactory], Deferred[IProtocol]] = self.let_through

    @property
    def server(self) -> FakeServer:
        """The newest connection's other end."""
        return self.servers[-1]

    @property
    def dial_times(self) -> list[float]:
        """When it was dialled."""
        return [dial.time for dial in self.dials]

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:  # noqa: N803 - Twisted's
        """Dial."""
        self.dials.append(Dial(self.clock.seconds()))
        return self.behave(protocolFactory)

    def make(self, factory: IProtocolFactory) -> FakeServer:
        """Make a connection, and serve it."""
        address = IPv4Address("TCP", "192.0.2.1", 443)
        protocol = cast("IProtocol", cast("Any", factory).buildProtocol(address))
        server = FakeServer(self.clock, protocol)
        self.servers.append(server)
        protocol.makeConnection(server.transport)
        self.serve(server)
        return server

    def let_through(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect at once."""
        return succeed(self.make(factory).protocol)

    def fail_with(self, error: Exception) -> None:
        """Fail every dial from now on."""
        self.behave = lambda _factory: fail(error)

    def hold(self, _factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Neither connect nor fail; note when the dial is cancelled."""
        dial = self.dials[-1]

        def cancelled(_result: Deferred[IProtocol]) -> None:
            dial.is_cancelled = True

        dial.result = Deferred(cancelled)
        return dial.result

    def make_and_hold(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect at once, but do not say so yet."""
        result = self.hold(factory)
        self.make(factory)
        return result
