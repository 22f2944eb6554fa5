"""A client of nobody's: raw bytes over TCP, HTTP and WebSocket frames spelled out by hand."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import optionsForClientTLS
from twisted.python.failure import Failure

from tests.fakes.tls import TLSFiles
from tests.fakes.waiting import Conditions

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
BASIC = "Authorization: Basic b3BzOnMzY3JldA=="  # ops:s3cret
UPGRADE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, section 1.3, for that key


@attrs.frozen
class Answer:
    """What an HTTP server answered; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 - JSON
        """Decode the body."""
        return json.loads(self.body)


@attrs.frozen
class Frame:
    """One frame of a WebSocket."""

    opcode: int
    payload: bytes
    is_last: bool = True

    def json(self) -> Any:  # noqa: ANN401 - JSON
        """Decode the payload."""
        return json.loads(self.payload)


class Wire(Protocol):
    """One connection; ``received`` is what was not taken from it yet."""

    def __init__(self) -> None:
        self.received = b""
        self.is_closed = False
        self._conditions = Conditions(reactor, lambda: repr(self.received[-300:]))

    @classmethod
    async def connect(cls, port: int, tls: TLSFiles | None = None) -> Wire:
        """Connect to a port of this machine."""
        endpoint: IStreamClientEndpoint = HostnameEndpoint(reactor, "127.0.0.1", port)
        if tls is not None:
            options = optionsForClientTLS("127.0.0.1", tls.trust_root())
            endpoint = wrapClientTLS(options, endpoint)
        wire: Wire = await connectProtocol(endpoint, cls())
        return wire

    def dataReceived(self, data: bytes) -> None:
        """Keep what arrives."""
        self.received += data
        self._conditions.changed()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Note the end."""
        self.is_closed = True
        self._conditions.changed()

    def when(self, holds: Callable[[], bool], timeout_seconds: float = 20.0) -> Deferred[None]:
        """Wait for a condition of this connection."""
        return self._conditions.when(holds, timeout_seconds)

    def send(self, text: str | bytes) -> None:
        """Send bytes."""
        assert self.transport is not None
        self.transport.write(text.encode() if isinstance(text, str) else text)

    def pause(self) -> None:
        """Read no more."""
        self.transport.pauseProducing()  # type: ignore[union-attr] # TCP and TLS have it

    def resume(self) -> None:
        """Read again."""
        self.transport.resumeProducing()  # type: ignore[union-attr] # TCP and TLS have it

    async def close(self) -> None:
        """Close the connection, and wait until it is."""
        if self.transport is not None and not self.is_closed:
            self.transport.abortConnection()  # type: ignore[attr-defined] # TCP and TLS have it
            await self.when(lambda: self.is_closed)

    async def ended(self) -> None:
        """Wait until the other side closes the connection."""
        await self.when(lambda: self.is_closed)

    # -- HTTP

    async def head(self) -> tuple[int, dict[str, str]]:
        """Take a status and headers off what was received."""
        await self.when(lambda: b"\r\n\r\n" in self.received)
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        pairs = (line.partition(": ") for line in lines)
        return int(first.split()[1]), {name.lower(): value for name, _, value in pairs}

    async def ask(self, line: str, *headers: str, body: bytes = b"") -> Answer:
        """Send a request as it is spelled here, and no header more than Host; take the answer.

        :param line: such as ``GET /api/v1/service/``.
        """
        more = "".join(f"{header}\r\n" for header in headers)
        self.send(f"{line} HTTP/1.1\r\nHost: x.test\r\n{more}\r\n".encode("latin-1") + body)
        status, fields = await self.head()
        count = 0 if line.startswith("HEAD") else int(fields["content-length"])
        await self.when(lambda: len(self.received) >= count)
        got, self.received = self.received[:count], self.received[count:]
        return Answer(status, fields, got)

    # -- WebSocket

    async def upgrade(self, path: str, *headers: str) -> tuple[int, dict[str, str]]:
        """Ask for a WebSocket; give the status and headers of the answer."""
        lines = [f"GET {path} HTTP/1.1", "Host: x.test", *UPGRADE, *headers, "", ""]
        self.send("\r\n".join(lines))
        return await self.head()

    def send_frame(self, opcode: int, payload: bytes = b"") -> None:
        """Send a frame, masked, as a client must."""
        mask = os.urandom(4)
        masked = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
        count = len(payload)
        size = bytes((0x80 | count,)) if count < 126 else struct.pack("!BH", 0xFE, count)
        self.send(bytes((0x80 | opcode,)) + size + mask + masked)

    async def frame(self, timeout_seconds: float = 20.0) -> Frame:
        """Take the next frame off what was received."""
        await self.when(lambda: self._parsed() is not None or self.is_closed, timeout_seconds)
        parsed = self._parsed()
        if parsed is None:
            raise ConnectionError(f"closed; left is {self.received!r}")
        frame, end = parsed
        self.received = self.received[end:]
        return frame

    def _parsed(self) -> tuple[Frame, int] | None:
        if len(self.received) < 2:
            return None
        first, count = self.received[:2]
        assert not count & 0x80, "a server must not mask"
        start = {126: 4, 127: 10}.get(count, 2)
        if count > 125:
            count = int.from_bytes(self.received[2:start], "big")
        if len(self.received) < start + count:
            return None
        payload = self.received[start : start + count]
        return Frame(first & 0x0F, payload, bool(first & 0x80)), start + count
