"""Tests of the fake stream's scripted behaviours: every way in which it can fail."""

from __future__ import annotations

import json

from tests.fakes import tutum_stream
from tests.fakes.clients import RawClient, open_raw, open_stream
from tests.fakes.test_fake_tutum_stream import StreamTestCase
from tests.fakes.tutum_stream import AUTH_MESSAGE, UNAUTHORIZED_MESSAGE


class BehaviourTests(StreamTestCase):
    """Every scripted behaviour, as a client meets it."""

    async def test_refuse_answers_http(self) -> None:
        """Status and headers reach the client, and the next handshake is as usual."""
        self.fake.next_handshakes(
            tutum_stream.refuse(429, {"Retry-After": "7"}), tutum_stream.refuse(503)
        )
        client = await self.ended()
        self.assertEqual(client.http_status_line, "HTTP/1.1 429 Too Many Requests")
        self.assertEqual(client.http_headers["retry-after"], "7")
        self.assertIn("503", (await self.ended()).http_status_line)
        await self.connected()
        self.assertEqual([seen.status for seen in self.fake.handshakes], [429, 503, 101])

    async def test_every_handshake_until_accept(self) -> None:
        """A behaviour stays until it is taken back."""
        self.fake.every_handshake(tutum_stream.refuse(401))
        for _ in range(2):
            self.assertIn("401", (await self.ended()).http_status_line)
        self.fake.accept()
        await self.connected()

    async def test_no_answer_leaves_the_handshake_open(self) -> None:
        """The connection stays, and not a byte comes."""
        self.fake.next_handshakes(tutum_stream.no_answer())
        raw = await self.raw_handshake()
        await self.fake.when(lambda fake: len(fake.handshakes) == 1)
        self.assertEqual((raw.wire, raw.lost), (b"", None))
        self.assertIsNone(self.fake.handshakes[0].status)
        self.assertEqual(self.fake.tcp_connection_count, 1)

    async def test_reset_handshake(self) -> None:
        """The connection ends instead of an answer."""
        self.fake.next_handshakes(tutum_stream.reset_handshake())
        raw = await self.raw_handshake()
        await raw.when(lambda client: client.lost is not None)
        self.assertEqual(raw.wire, b"")

    async def test_http10(self) -> None:
        """The client sees the version of a server that knows no WebSocket."""
        self.fake.next_handshakes(tutum_stream.http10())
        self.assertEqual((await self.ended()).http_status_line, "HTTP/1.0 200 OK")

    async def test_raw_answer(self) -> None:
        """A handshake may be answered with rubbish."""
        self.fake.next_handshakes(tutum_stream.raw_answer(b"rubbish\r\n\r\n"))
        client = await self.ended()
        assert client.ended is not None
        self.assertEqual(client.ended[1], 1006)

    async def test_unauthorized(self) -> None:
        """Good credentials can be refused in Tutum's way."""
        self.fake.next_handshakes(tutum_stream.unauthorized())
        self.assertEqual((await self.ended()).messages, [UNAUTHORIZED_MESSAGE])

    async def test_silence_answers_neither_ping_nor_close(self) -> None:
        """The stream is open and dead, yet the server sees the client go."""
        self.fake.next_handshakes(tutum_stream.accept_then_silence())
        client = await open_stream(self, self.fake.stream_url)
        await client.when(lambda stream: stream.is_up)
        client.sendPing(b"1")
        self.fake.send(b"still able to send")
        await client.when(lambda stream: stream.messages == [b"still able to send"])
        self.assertEqual((client.pongs, self.fake.pings), ([], []))
        client.dropConnection(abort=True)
        await self.fake.when(lambda fake: fake.connection_count == 0)

    async def test_no_pong_sends_events_all_the_same(self) -> None:
        """A ping is kept and not answered."""
        self.fake.next_handshakes(tutum_stream.no_pong())
        client = await self.connected()
        client.sendPing(b"1")
        await self.fake.when(lambda fake: fake.pings == [b"1"])
        self.fake.send(b"event")
        await client.when(lambda stream: stream.messages == [AUTH_MESSAGE, b"event"])
        self.assertEqual(client.pongs, [])

    async def test_no_auth_leaves_the_message_out_once(self) -> None:
        """The stream is open and its first message is an event."""
        self.fake.next_handshakes(tutum_stream.no_auth())
        client = await open_stream(self, self.fake.stream_url)
        await self.fake.when(lambda fake: fake.connection_count == 1)
        self.fake.send(b"event")
        await client.when(lambda stream: stream.messages == [b"event"])

    async def test_accept_then_close(self) -> None:
        """Auth, then the close with its code."""
        self.fake.next_handshakes(tutum_stream.accept_then_close(1012, "restart"))
        client = await self.ended()
        self.assertEqual((client.messages, client.is_up), ([AUTH_MESSAGE], True))
        self.assertEqual(client.ended, (True, 1012, "restart"))

    async def test_accept_then_abort_is_seen_as_open_first(self) -> None:
        """The 101 and the auth message arrive before the reset."""
        self.fake.next_handshakes(tutum_stream.accept_then_abort())
        client = await self.ended()
        self.assertEqual((client.messages, client.is_up), ([AUTH_MESSAGE], True))
        assert client.ended is not None
        self.assertEqual(client.ended[1], 1006)

    async def test_drop_mid_frame_sends_half_a_message(self) -> None:
        """The half message is on the wire, then the connection is gone."""
        self.fake.next_handshakes(tutum_stream.drop_mid_frame())
        raw = await self.raw_handshake()
        await raw.when(lambda client: client.lost is not None)
        self.assertIn(b"101 Switching Protocols", raw.wire)
        half = raw.wire.partition(b'{"type":"container"')[2]
        self.assertEqual(len(b'{"type":"container"' + half), 500)

    async def test_big_message(self) -> None:
        """One JSON object of the size asked for, and life goes on."""
        self.fake.next_handshakes(tutum_stream.big_message(1_000_000))
        client = await self.connected()
        await client.when(lambda stream: len(stream.messages) == 2)
        self.assertEqual(len(client.messages[1]), 1_000_000)
        self.assertEqual(json.loads(client.messages[1])["type"], "container")
        self.fake.send(b"after")
        await client.when(lambda stream: stream.messages[-1] == b"after")

    async def raw_handshake(self) -> RawClient:
        """Send a good handshake by hand."""
        lines = (
            "GET /v1/events HTTP/1.1",
            f"Host: 127.0.0.1:{self.fake.port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
            "Authorization: ApiKey user:key",
        )
        return await open_raw(self, self.fake.port, "\r\n".join((*lines, "", "")).encode())
