"""All clients of the stream: each is sent every event; one that does not keep up is dropped."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Protocol

import attrs
import msgspec

from tutumwatch.bridge.announcement import Announcement

CLIENTS_MAX_COUNT = 200


TEXT = 0x81  # the last frame of its message, opcode 1


def frame_text(payload: bytes) -> bytes:
    """Frame a text message as a server does: in one piece, unmasked (RFC 6455, section 5.2)."""
    count = len(payload)
    if count < 126:  # noqa: PLR2004 - the RFC's numbers
        return bytes((TEXT, count)) + payload
    if count < 1 << 16:
        return struct.pack("!BBH", TEXT, 126, count) + payload
    return struct.pack("!BBQ", TEXT, 127, count) + payload


class StreamClient(Protocol):
    """A connection that takes messages."""

    def take(self, frame: bytes) -> None:
        """Send a frame now or soon; never waits, never raises."""

    def dismiss(self) -> None:
        """Close the connection: the bridge stops."""


@attrs.define(eq=False)
class Hub:
    """Encodes and frames each event once and hands it to every client."""

    _clients: dict[StreamClient, None] = attrs.field(factory=dict)
    _encode: Callable[[Announcement], bytes] = attrs.field(
        factory=lambda: msgspec.json.Encoder().encode
    )

    @property
    def is_full(self) -> bool:
        """Whether no further client is taken."""
        return len(self._clients) >= CLIENTS_MAX_COUNT

    @property
    def client_count(self) -> int:
        """Count the clients."""
        return len(self._clients)

    def join(self, client: StreamClient) -> None:
        """Take a client on; it is sent what happens from now on."""
        self._clients[client] = None

    def leave(self, client: StreamClient) -> None:
        """Forget a client."""
        self._clients.pop(client, None)

    def announce(self, announcements: Sequence[Announcement]) -> None:
        """Send events to all clients, in order."""
        if not self._clients:
            return
        for announcement in announcements:
            payload = self._encode(announcement)
            frame = frame_text(payload)
            for client in list(self._clients):
                client.take(frame)

    def dismiss_all(self) -> None:
        """Send all clients away."""
        for client in list(self._clients):
            client.dismiss()
