"""The stream: one client at a time is sent a plan's events, as fast as it reads them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct
from typing import cast

from bench.events import frame, frames
from bench.wire import Plan

# RFC 6455: 1.3 has the text that every server adds to the key, 5.2 the opcodes.
_ADDED_TO_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CLOSE, _PING, _PONG = 0x8, 0x9, 0xA
_FINAL, _OPCODE, _MASKED, _LENGTH = 0x80, 0x0F, 0x80, 0x7F
_CONTROL_MAX_BYTES = 125
_MASK_BYTES = 4

EVENTS_AT_ONCE_COUNT = 200
# A plan of at most so many events is written out before the first of them goes.
PREPARED_MAX_COUNT = 200_000


class StreamServer:
    """Sends a plan to whoever connected last, and notes when."""

    def __init__(self) -> None:
        self.client: StreamConnection | None = None
        self.prepare(Plan(count=0))

    def prepare(self, plan: Plan) -> None:
        """Forget what was sent, and make ready for a plan."""
        self.plan = plan
        self.sent_count = 0
        self.sent_at: dict[int, float] = {}
        self.first_at = 0.0
        steps = range(0, plan.sent_count, EVENTS_AT_ONCE_COUNT)
        prepared = plan.rate == 0 and plan.sent_count <= PREPARED_MAX_COUNT
        self._prepared = [self._step(number) for number in steps] if prepared else []

    @property
    def all_sent(self) -> bool:
        """Whether every event was handed to the socket."""
        return self.sent_count == self.plan.sent_count

    def _step(self, first: int) -> bytes:
        last = min(first + EVENTS_AT_ONCE_COUNT, self.plan.sent_count)
        return frames(self.plan, range(first, last))

    async def play(self) -> None:
        """Send the plan; a client that is gone meanwhile misses the rest."""
        plan, client = self.plan, self.client
        self.first_at = asyncio.get_running_loop().time()
        if client is None:
            raise RuntimeError("nobody is connected")
        if plan.rate:
            await self._play_slowly(client)
            return
        for number in range(0, plan.sent_count, EVENTS_AT_ONCE_COUNT):
            await client.writable.wait()
            step = self._prepared[number // EVENTS_AT_ONCE_COUNT] if self._prepared else None
            client.write(step or self._step(number))
            self.sent_count = min(number + EVENTS_AT_ONCE_COUNT, plan.sent_count)

    async def _play_slowly(self, client: StreamConnection) -> None:
        loop = asyncio.get_running_loop()
        for number in range(self.plan.sent_count):
            await asyncio.sleep(self.first_at + number / self.plan.rate - loop.time())
            self.sent_at[number] = loop.time()
            client.write(frames(self.plan, (number,)))
            self.sent_count = number + 1


class StreamConnection(asyncio.Protocol):
    """One client's end of the stream; of what it sends only pings and its goodbye count."""

    def __init__(self, server: StreamServer) -> None:
        self._server = server
        self._received = b""
        self._is_open = False
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of a client that has gone; what is still written goes nowhere."""
        if self._server.client is self:
            self._server.client = None
        self.writable.set()

    def pause_writing(self) -> None:
        """Wait: the client reads more slowly."""
        self.writable.clear()

    def resume_writing(self) -> None:
        """Go on."""
        self.writable.set()

    def write(self, content: bytes) -> None:
        """Send something, unless the connection is gone."""
        if not self._transport.is_closing():
            self._transport.write(content)

    def data_received(self, data: bytes) -> None:
        """Take the handshake, then frames."""
        self._received += data
        if not self._is_open:
            head, end, rest = self._received.partition(b"\r\n\r\n")
            if not end:
                return
            self._received = rest
            self._shake_hands(head)
        while self._take_frame():
            pass

    def _shake_hands(self, head: bytes) -> None:
        lines = (line.partition(b":") for line in head.split(b"\r\n"))
        headers = {name.strip().lower(): value.strip() for name, _, value in lines}
        key = headers[b"sec-websocket-key"] + _ADDED_TO_KEY
        accept = base64.b64encode(hashlib.sha1(key, usedforsecurity=False).digest())
        self.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        self.write(frame('{"type":"auth"}'))
        self._is_open = True
        self._server.client = self

    def _take_frame(self) -> bool:
        """Take a frame off what was received; False if there is no whole one."""
        header_bytes = 2 + _MASK_BYTES
        if len(self._received) < header_bytes:
            return False
        first, second = self._received[0], self._received[1]
        size = second & _LENGTH
        if size > _CONTROL_MAX_BYTES or not second & _MASKED or not first & _FINAL:
            self._transport.abort()  # no client of the bench sends such a thing
            return False
        if len(self._received) < header_bytes + size:
            return False
        mask = self._received[2:header_bytes]
        masked = self._received[header_bytes : header_bytes + size]
        self._received = self._received[header_bytes + size :]
        payload = bytes(byte ^ mask[i % _MASK_BYTES] for i, byte in enumerate(masked))
        opcode = first & _OPCODE
        if opcode == _PING:
            self.write(struct.pack("!BB", _FINAL | _PONG, size) + payload)
        elif opcode == _CLOSE:
            self.write(struct.pack("!BB", _FINAL | _CLOSE, size) + payload)
            self._transport.close()
            return False
        return True
