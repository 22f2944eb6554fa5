"""Tests of the fake stream: who is let in, what is sent, and how fast."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tests.fakes.clients import RecordingStream, open_stream
from tests.fakes.tutum import FakeTutum
from tests.fakes.tutum_events import container_event, service_event
from tests.fakes.tutum_stream import AUTH_MESSAGE, UNAUTHORIZED_MESSAGE

BASIC = "Basic " + base64.b64encode(b"user:key>?>?").decode()


class StreamTestCase(TestCase):
    """Gives each test a fake."""

    fake: FakeTutum

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits a coroutine here
        """Start the fake."""
        self.fake = await FakeTutum.listen(reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.fake.stop()))

    async def connected(self) -> RecordingStream:
        """Return a client that has got its auth message."""
        client = await open_stream(self, self.fake.stream_url)
        await client.when(lambda stream: AUTH_MESSAGE in stream.messages)
        return client

    async def ended(self) -> RecordingStream:
        """Dial, and return the client when it has ended."""
        client = await open_stream(self, self.fake.stream_url)
        await client.when(lambda stream: stream.ended is not None)
        return client


class HandshakeTests(StreamTestCase):
    """Who is let in, and how."""

    async def test_both_paths_accept_and_say_auth(self) -> None:
        """With and without the last slash, and on Docker Cloud's path, there is no redirect."""
        for path in ("/v1/events", "/v1/events/", "/api/audit/v1/events"):
            client = await open_stream(self, self.fake.stream_host + path)
            await client.when(lambda stream: stream.messages == [AUTH_MESSAGE])
        self.assertEqual([seen.status for seen in self.fake.handshakes], [101] * 3)
        self.assertEqual(self.fake.connection_count, 3)

    async def test_the_four_forms_of_credentials_are_read(self) -> None:
        """Two headers and two queries name the same user and key."""
        self.fake.expect("user", "key>?>?")
        self.assertIn("+", BASIC)
        url = self.fake.stream_url
        for form, authorization, query in (
            ("Basic", BASIC, ""),
            ("ApiKey", "ApiKey user:key>?>?", ""),
            ("token", None, f"?user=user&token={quote('key>?>?')}"),
            ("auth", None, "?auth=" + BASIC.replace(" ", "%20")),
            ("auth", None, "?auth=ApiKey%20user:key>%3F>%3F"),
        ):
            client = await open_stream(self, url + query, authorization)
            await client.when(lambda stream: stream.messages == [AUTH_MESSAGE])
            seen = self.fake.handshakes[-1]
            assert seen.credentials is not None
            self.assertEqual((seen.credentials.form, seen.authorization), (form, authorization))

    async def test_bad_credentials_are_told_so_and_closed(self) -> None:
        """The handshake is accepted, then comes the error message, then a close."""
        self.fake.expect("user", "another key")
        client = await self.ended()
        self.assertEqual(client.messages, [UNAUTHORIZED_MESSAGE])
        self.assertEqual(client.ended, (True, 1000, None))

    async def test_no_credentials_are_bad_ones(self) -> None:
        """Without any, or with nonsense, the same."""
        for authorization in (None, "Basic !", "Bearer x", "ApiKey user"):
            client = await open_stream(self, self.fake.stream_url, authorization)
            await client.when(lambda stream: stream.ended is not None)
            self.assertEqual(client.messages, [UNAUTHORIZED_MESSAGE])

    async def test_docker_cloud_refuses_with_401(self) -> None:
        """The successor's stream answers a wrong key at the handshake."""
        self.fake.expect("user", "another key")
        client = await open_stream(self, f"{self.fake.stream_host}/api/audit/v1/events")
        await client.when(lambda stream: stream.ended is not None)
        self.assertEqual(client.http_status_line, "HTTP/1.1 401 Unauthorized")

    async def test_a_handshake_is_recorded(self) -> None:
        """Time, path, query and headers are kept."""
        await open_stream(self, f"{self.fake.stream_url}?a=b")
        await self.fake.when(lambda fake: fake.connection_count == 1)
        (seen,) = self.fake.handshakes
        self.assertEqual((seen.path, seen.query), ("/v1/events", "a=b"))
        self.assertEqual(seen.authorization, "ApiKey user:key")
        self.assertEqual(seen.headers["host"], f"127.0.0.1:{self.fake.port}")
        self.assertEqual(self.fake.rest_requests, [])

    async def test_the_auth_message_can_be_left_out(self) -> None:
        """A client must cope without it."""
        self.fake.says_auth = False
        client = await open_stream(self, self.fake.stream_url)
        await self.fake.when(lambda fake: fake.connection_count == 1)
        self.fake.send(b"first")
        await client.when(lambda stream: stream.messages == [b"first"])


class EventTests(StreamTestCase):
    """What is sent, and what comes back."""

    async def test_events_reach_every_stream_in_order(self) -> None:
        """An event is one compact JSON object; bytes are sent as they are."""
        clients = [await self.connected() for _ in range(2)]
        event = container_event(state="Running")
        self.assertEqual(self.fake.send(event), 2)
        self.fake.send_many([b"no json", {"type": "odd"}])
        for client in clients:
            await client.when(lambda stream: len(stream.messages) == 4)
            self.assertEqual(json.loads(client.messages[1]), event)
            self.assertEqual(client.messages[2:], [b"no json", b'{"type":"odd"}'])

    async def test_an_announced_event_is_in_step_with_rest(self) -> None:
        """The object has the event's state, and every parent exists, when the event comes."""
        client = await self.connected()
        event = service_event(state="Scaling")
        self.fake.announce(event, name="web")
        await client.when(lambda stream: len(stream.messages) == 2)
        service = self.fake.objects[event["resource_uri"]]
        self.assertEqual((service["state"], service["name"]), ("Scaling", "web"))
        self.assertEqual([service["stack"]], event["parents"])
        self.assertEqual(self.fake.objects[service["stack"]]["state"], "Running")

    async def test_a_ping_is_answered_with_its_payload(self) -> None:
        """The fake answers every ping and keeps it."""
        client = await self.connected()
        client.sendPing(b"are you there")
        await client.when(lambda stream: stream.pongs == [b"are you there"])
        self.assertEqual(self.fake.pings, [b"are you there"])

    async def test_a_client_message_is_kept(self) -> None:
        """No Tutum client sends any, which a test can assert."""
        client = await self.connected()
        client.sendMessage(b"hello")
        await self.fake.when(lambda fake: fake.client_messages == [b"hello"])

    async def test_a_client_close_is_answered(self) -> None:
        """The closing handshake is completed, and the stream is gone."""
        client = await self.connected()
        client.sendClose(1000)
        await client.when(lambda stream: stream.ended == (True, 1000, None))
        await self.fake.when(lambda fake: fake.connections == [])

    async def test_close_takes_any_code(self) -> None:
        """Codes that only a server may send are possible."""
        for code, reason in ((1000, None), (1001, "going away"), (4001, "auth expired")):
            client = await self.connected()
            self.fake.close(code, reason or "")
            await client.when(lambda stream: stream.ended is not None)
            self.assertEqual(client.ended, (True, code, reason))

    async def test_drop_aborts_every_stream(self) -> None:
        """TCP is reset, without a close."""
        client = await self.connected()
        self.fake.drop()
        await client.when(lambda stream: stream.ended is not None)
        assert client.ended is not None
        self.assertEqual(client.ended[:2], (False, 1006))

    async def test_drop_mid_frame_of_a_live_stream(self) -> None:
        """What was sent before arrives, the half message does not."""
        client = await self.connected()
        self.fake.send(b"whole")
        self.fake.drop_mid_frame()
        await client.when(lambda stream: stream.ended is not None)
        self.assertEqual(client.messages, [AUTH_MESSAGE, b"whole"])


class LifeTests(StreamTestCase):
    """Dying and coming back."""

    async def test_a_dead_server_comes_back_on_its_port(self) -> None:
        """Streams end, and a new one can be dialled at the same URL."""
        client = await self.connected()
        await self.fake.refuse_connections()
        self.assertEqual(self.fake.connection_count, 0)
        await client.when(lambda stream: stream.ended is not None)
        await self.fake.resume()
        await self.connected()


class FloodTests(StreamTestCase):
    """Many events, no faster than they are read."""

    async def test_a_flood_arrives_whole_and_in_order(self) -> None:
        """Every message, numbered."""
        client = await self.connected()
        flooded = self.fake.flood(5_000, lambda number: b"%d" % number, per_turn=1_000)
        await client.when(lambda stream: len(stream.messages) == 5_001)
        self.assertEqual(client.messages[1:], [b"%d" % number for number in range(5_000)])
        self.assertEqual(await flooded, [5_000])

    async def test_a_flood_waits_for_a_client_that_pauses(self) -> None:
        """While the client does not read, the server's writing stops; then it goes on."""
        client = await self.connected()
        client.flow.pauseProducing()
        event = container_event()
        flooded = self.fake.flood(40_000, lambda _number: event)
        (producer,) = self.fake.floods
        await self.fake.when(lambda _fake: producer.is_paused)
        self.assertGreater(producer.paused_count, 0)
        self.assertLess(producer.written_count, 40_000)
        self.assertFalse(flooded.called)
        client.flow.resumeProducing()
        self.assertEqual(await flooded, [40_000])
        await client.when(lambda stream: len(stream.messages) == 40_001)

    async def test_a_flood_ends_with_its_connection(self) -> None:
        """The Deferred fires with less than was asked for."""
        client = await self.connected()
        client.flow.pauseProducing()
        flooded = self.fake.flood(1_000_000, lambda _number: b"x" * 1_000)
        (producer,) = self.fake.floods
        await self.fake.when(lambda _fake: producer.is_paused)
        client.tcp.abortConnection()
        (written,) = await flooded
        self.assertEqual(written, producer.written_count)
        self.assertLess(written, 1_000_000)

    async def test_a_flood_without_streams_is_done(self) -> None:
        """There is nobody to write to."""
        self.assertEqual(await self.fake.flood(5, lambda _number: b"x"), [])
