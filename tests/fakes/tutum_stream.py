"""One client's connection to the fake stream, and the ways in which it can be made to fail."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Protocol, cast

import attrs
from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IDelayedCall,
    IPushProducer,
    IReactorTime,
    ITCPTransport,
)
from twisted.web.server import Request
from zope.interface import implementer

from tests.fakes.answers import Answer, transport_of

AUTH_MESSAGE = b'{"type":"auth"}'
UNAUTHORIZED_MESSAGE = b'{"type":"error","data":{"errorMessage":"UNAUTHORIZED"}}'


class StreamOwner(Protocol):
    """What a connection tells its server."""

    says_auth: bool

    def opened(self, connection: StreamConnection) -> None:
        """Note that the handshake is done."""

    def closed(self, connection: StreamConnection) -> None:
        """Note that the TCP connection is gone."""

    def pinged(self, payload: bytes) -> None:
        """Note a ping, answered or not."""

    def told(self, payload: bytes) -> None:
        """Note a message from the client, which a Tutum client never sends."""

    def changed(self) -> None:
        """Try again the conditions that somebody waits for."""


def _nothing(_connection: StreamConnection) -> None:
    pass


@attrs.frozen
class Behaviour:
    """What the stream does with a handshake; use the functions below to make one.

    ``answer`` is an HTTP answer instead of a 101; ``then`` runs once the stream is open.
    ``is_deaf`` reads nothing more from then on: no pong, no answer to a close.
    """

    answer: Answer | None = None
    says_auth: bool = True
    answers_pings: bool = True
    is_deaf: bool = False
    is_unauthorized: bool = False
    then: Callable[[StreamConnection], None] = _nothing


ACCEPT = Behaviour()


def refuse(
    status: int, headers: Mapping[str, str] | None = None, body: bytes | str = b""
) -> Behaviour:
    """Answer the handshake with this HTTP status."""
    return Behaviour(answer=Answer(status, body, headers or {}))


def no_answer() -> Behaviour:
    """Never answer the handshake."""
    return Behaviour(answer=Answer.hang())


def reset_handshake() -> Behaviour:
    """Abort the connection instead of answering the handshake."""
    return Behaviour(answer=Answer.reset())


def http10() -> Behaviour:
    """Answer as an HTTP/1.0 server that knows no WebSocket."""
    return Behaviour(answer=Answer.raw("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"))


def raw_answer(wire_bytes: bytes) -> Behaviour:
    """Answer the handshake with exactly these bytes and close the connection."""
    return Behaviour(answer=Answer.raw(wire_bytes))


def unauthorized() -> Behaviour:
    """Accept, say UNAUTHORIZED, close: what Tutum does with bad credentials."""
    return Behaviour(is_unauthorized=True)


def accept_then_silence() -> Behaviour:
    """Accept and then act dead: no auth message, no pong, no answer to a close."""
    return Behaviour(says_auth=False, is_deaf=True)


def no_pong() -> Behaviour:
    """Behave well, but answer no ping."""
    return Behaviour(answers_pings=False)


def no_auth() -> Behaviour:
    """Behave well, but send no auth message."""
    return Behaviour(says_auth=False)


def accept_then_close(code: int = 1000, reason: str = "", *, says_auth: bool = True) -> Behaviour:
    """Accept and at once close with this code, which may be one that only servers use."""
    return Behaviour(says_auth=says_auth, then=lambda stream: stream.close(code, reason))


def accept_then_abort(*, says_auth: bool = True) -> Behaviour:
    """Accept and then reset the TCP connection."""
    return Behaviour(says_auth=says_auth, then=StreamConnection.abort_when_sent)


def drop_mid_frame() -> Behaviour:
    """Accept, send the first half of a message, and reset the TCP connection."""
    return Behaviour(then=StreamConnection.drop_mid_frame)


def big_message(size_bytes: int = 10_000_000) -> Behaviour:
    """Accept and send one JSON object of this size, then go on as usual."""
    head, tail = b'{"type":"container","filler":"', b'"}'
    message = head + b"x" * (size_bytes - len(head) - len(tail)) + tail
    return Behaviour(then=lambda stream: stream.say(message))


class StreamConnection(WebSocketServerProtocol):
    """The server's end of one stream."""

    owner: StreamOwner
    clock: IReactorTime
    behaviour: Behaviour = ACCEPT
    is_up = False  # "is_open" is Autobahn's own Deferred

    def onOpen(self) -> None:
        """Say what the behaviour says, then do what it does."""
        self.is_up = True
        self.owner.opened(self)
        if self.behaviour.is_unauthorized:
            self.say(UNAUTHORIZED_MESSAGE)
            self.close(1000)
            return
        if self.behaviour.says_auth and self.owner.says_auth:
            self.say(AUTH_MESSAGE)
        self.behaviour.then(self)

    def dataReceived(self, data: bytes) -> None:
        """Read, unless deaf; a deaf server still sees the connection end."""
        if not (self.is_up and self.behaviour.is_deaf):
            super().dataReceived(data)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: FBT001 - Autobahn's
        """Note a message from the client."""
        self.owner.told(payload)

    def onPing(self, payload: bytes) -> None:
        """Answer with the same payload, unless told not to."""
        if self.behaviour.answers_pings:
            self.sendPong(payload)
        self.owner.pinged(payload)

    def onClose(self, *_how: object) -> None:
        """Note the end, clean or not; Autobahn calls this once, when the connection is gone."""
        self.is_up = False
        self.owner.closed(self)

    def say(self, message: bytes) -> None:
        """Send one text message, unfragmented; a connection that is closing gets nothing."""
        if self.state == self.STATE_OPEN:
            self.sendMessage(message)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin the closing handshake with any code, also those that a client may not send."""
        self.sendCloseFrame(code=code, reasonUtf8=reason.encode() or None)

    def abort_when_sent(self) -> None:
        """Reset the TCP connection when what was written has left, unless that is megabytes."""
        # The reactor runs delayed calls before it writes, hence the second turn.
        transport = self._tcp()
        self.clock.callLater(0, self.clock.callLater, 0, transport.abortConnection)

    def drop_mid_frame(self) -> None:
        """Send the header of a 1,000-byte message and 500 bytes of it, and reset."""
        half = b'{"type":"container","action":"create","state":"' + b"x" * 453
        self._tcp().write(struct.pack("!BBH", 0x81, 126, 1000) + half)
        self.abort_when_sent()

    def _tcp(self) -> ITCPTransport:
        return cast("ITCPTransport", self.transport)


class _OneStream(WebSocketServerFactory):
    """Makes the connection of one handshake."""

    def __init__(self, owner: StreamOwner, clock: IReactorTime, behaviour: Behaviour) -> None:
        super().__init__()
        # No timer of Autobahn's runs in the fake: the client's are the ones under test.
        self.setProtocolOptions(openHandshakeTimeout=0, closeHandshakeTimeout=0)
        self._owner, self._clock, self._behaviour = owner, clock, behaviour

    def buildProtocol(self, addr: IAddress | None) -> StreamConnection:
        connection = StreamConnection()
        connection.factory = self
        connection.owner, connection.clock = self._owner, self._clock
        connection.behaviour = self._behaviour
        return connection


def take_over(
    request: Request, owner: StreamOwner, clock: IReactorTime, behaviour: Behaviour
) -> None:
    """Turn an HTTP request for an upgrade into a stream."""
    factory = _OneStream(owner, clock, behaviour)
    # Twisted's HTTP channel stays registered as the transport's producer when Autobahn takes the
    # connection over; without this line nothing else can be, and a flood is never paused.
    cast("IConsumer", transport_of(request)).unregisterProducer()
    WebSocketResource(factory).render(request)


@implementer(IPushProducer)
class Flood:
    """Writes many messages to one stream, as fast as its client reads and no faster.

    ``done`` fires with the number written when all are, or when the connection ends; until then
    ``is_paused`` says whether the client is the slower one.
    """

    def __init__(
        self,
        stream: StreamConnection,
        count: int,
        make_message: Callable[[int], bytes],
        per_turn: int,
    ) -> None:
        self.done: Deferred[int] = Deferred()
        self.written_count = 0
        self.paused_count = 0
        self._stream = stream
        self._count = count
        self._make_message = make_message
        self._per_turn = per_turn
        self.is_paused = False
        self._next_turn: IDelayedCall | None = None

    def start(self) -> None:
        """Begin; the transport pauses and resumes this producer from now on."""
        self._stream.registerProducer(self, streaming=True)
        self._turn()

    def pauseProducing(self) -> None:
        """Stop writing: the transport's buffer is full."""
        self.is_paused = True
        self.paused_count += 1
        self._stream.owner.changed()

    def resumeProducing(self) -> None:
        """Go on: the transport's buffer is empty."""
        self.is_paused = False
        if self._next_turn is None and not self.done.called:
            self._next_turn = self._stream.clock.callLater(0, self._turn)

    def stopProducing(self) -> None:
        """Give up: the connection is gone."""
        self.is_paused = True
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        if not self.done.called:
            self.done.callback(self.written_count)

    def _turn(self) -> None:
        self._next_turn = None
        last = min(self.written_count + self._per_turn, self._count)
        while self.written_count < last and not self.is_paused and self._stream.is_up:
            self._stream.say(self._make_message(self.written_count))
            self.written_count += 1
        if self.written_count == self._count or not self._stream.is_up:
            self._stream.unregisterProducer()
            self.stopProducing()
        elif not self.is_paused:
            self._next_turn = self._stream.clock.callLater(0, self._turn)
