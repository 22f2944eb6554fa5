"""Tests of the stream over real sockets: a StreamService and a Tutum on loopback.

Autobahn's own timers fire up to a second early; ours run on the reactor that the factory is given
and are exact, so that a ping interval of 1 s will do here, and no test takes longer than that asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from twisted.internet import reactor
from twisted.internet._sslverify import IOpenSSLTrustRoot
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import optionsForClientTLS
from twisted.trial.unittest import TestCase

from tests.fakes import tutum_stream
from tests.fakes.tls import Pair, make_tls
from tests.fakes.tutum import FakeTutum
from tests.fakes.tutum_events import container_event
from tests.fakes.tutum_stream import AUTH_MESSAGE, UNAUTHORIZED_MESSAGE, Behaviour
from tests.fakes.waiting import Conditions
from tutumwatch.events.inputs import Link
from tutumwatch.http import load_trust_root
from tutumwatch.settings import Duration
from tutumwatch.stream.credentials import Credentials
from tutumwatch.stream.factory import DialListener, StreamFactory
from tutumwatch.stream.service import StreamService
from tutumwatch.stream.settings import StreamSettings

USER, KEY = "u", "~~>?>?"
BASIC = "Basic dTp+fj4/Pj8="
FAST = StreamSettings(
    ping_interval=Duration(1.0), ping_timeout=Duration(1.0), handshake_timeout=Duration(1.0)
)


class Watched:
    """A started stream service, and all that it tells."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        settings: StreamSettings,
        trust_root: IOpenSSLTrustRoot | None,
    ) -> None:
        self.messages: list[bytes] = []
        self.links: list[Link] = []
        self.on_message: Callable[[], None] = lambda: None
        self.on_link: Callable[[], None] = lambda: None
        self._url, self._headers, self._settings = url, headers, settings
        self._conditions = Conditions(reactor, lambda: f"{self.states} {self.messages[-3:]}")
        self.service = StreamService(
            "main",
            _endpoint_of(url, trust_root),
            self._make_factory,
            reactor,
            reactor.seconds,
            self._receive,
            self._report,
            2.0,
        )

    def _make_factory(self, listener: DialListener) -> StreamFactory:
        self.factory = StreamFactory(
            self._url, self._headers, self._settings, reactor, lambda: 1.0, listener
        )
        return self.factory

    def _receive(self, _stream: str, payload: bytes) -> None:
        self.messages.append(payload)
        self.on_message()
        self._conditions.changed()

    def _report(self, link: Link) -> None:
        self.links.append(link)
        self.on_link()
        self._conditions.changed()

    @property
    def states(self) -> list[str]:
        """The states that were told."""
        return [link.state for link in self.links]

    def when(self, holds: Callable[[], bool]) -> Deferred[None]:
        """Return a Deferred that fires once a condition holds."""
        return self._conditions.when(holds, 30.0)

    async def disconnected(self) -> str:
        """Wait for the state Disconnected, and give its reason."""
        await self.when(lambda: "Disconnected" in self.states)
        return next(link.reason for link in self.links if link.state == "Disconnected")


def _endpoint_of(url: str, trust_root: IOpenSSLTrustRoot | None) -> IStreamClientEndpoint:
    parts = urlsplit(url)
    host, port = str(parts.hostname), parts.port or 0
    plain: IStreamClientEndpoint = HostnameEndpoint(reactor, host, port)
    if parts.scheme == "ws":
        return plain
    wrapped: IStreamClientEndpoint = wrapClientTLS(optionsForClientTLS(host, trust_root), plain)
    return wrapped


class StreamTestCase(TestCase):
    """Gives each test a Tutum; services are stopped before it."""

    tutum: FakeTutum

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits a coroutine here
        """Start it."""
        self.tutum = await FakeTutum.listen(reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.tutum.stop()))

    def watch(
        self,
        url: str | None = None,
        headers: Mapping[str, str] | None = None,
        settings: StreamSettings | None = None,
        trust_root: IOpenSSLTrustRoot | None = None,
    ) -> Watched:
        """Start a service, by default with good credentials at the test's Tutum."""
        watched = Watched(
            url or self.tutum.stream_url,
            {"Authorization": BASIC} if headers is None else headers,
            settings or StreamSettings(),
            trust_root,
        )
        self.addCleanup(watched.service.stopService)
        watched.service.startService()
        return watched


class CredentialTests(StreamTestCase):
    """What a server sees of our credentials."""

    async def test_every_form_is_understood(self) -> None:
        """Header and both queries; "+", "/" and "=" of base64 survive."""
        self.tutum.expect(USER, KEY)
        pair, whole = Credentials.from_pair(USER, KEY), Credentials.from_header(BASIC)
        url = self.tutum.stream_url
        for form, address, headers in (
            ("Basic", url, {n: v.reveal() for n, v in pair.headers().items()}),
            ("ApiKey", url, {"Authorization": f"ApiKey {USER}:{KEY}"}),
            ("token", f"{url}?{pair.query().reveal()}", {}),
            ("auth", f"{url}?{whole.query().reveal()}", {}),
        ):
            watched = self.watch(address, headers)
            await watched.when(lambda watched=watched: AUTH_MESSAGE in watched.messages)  # type: ignore[misc] # mypy sees no type of a default
            seen = self.tutum.handshakes[-1]
            assert seen.credentials is not None
            self.assertEqual(
                (seen.credentials.form, seen.credentials.user, seen.credentials.apikey),
                (form, USER, KEY),
            )
            self.assertEqual(bool(seen.query), form in {"token", "auth"})

    async def test_a_message_that_refuses_us(self) -> None:
        """The state is Unauthorized, and the next attempt is far away until we redial."""
        self.tutum.expect(USER, "another key")
        watched = self.watch()
        await self.tutum.when(lambda _: watched.states == ["Unauthorized"])
        await self.tutum.when(lambda fake: fake.tcp_connection_count == 0)
        self.assertEqual(watched.messages, [UNAUTHORIZED_MESSAGE])
        self.assertEqual(watched.links[0].reason, "the server says UNAUTHORIZED")
        self.assertEqual(watched.factory.delay, 300)
        self.tutum.expect(USER, KEY)
        watched.service.redial()
        await watched.when(lambda: watched.states == ["Unauthorized", "Connected"])

    async def test_a_401_at_the_handshake(self) -> None:
        self.tutum.every_handshake(tutum_stream.refuse(401))
        watched = self.watch()
        await watched.when(lambda: watched.states == ["Unauthorized"])
        self.assertIn("401 Unauthorized", watched.links[0].reason)
        self.tutum.accept()
        watched.service.redial()
        await watched.when(lambda: watched.states == ["Unauthorized", "Connected"])


class FaultTests(StreamTestCase):
    """Every way in which a server fails ends in Disconnected, a reason, and another attempt."""

    async def reason_after(
        self, behaviour: Behaviour, settings: StreamSettings | None = None
    ) -> str:
        """Meet a behaviour, then a good server; give the reason of the disconnection."""
        self.tutum.next_handshakes(behaviour)
        watched = self.watch(settings=settings)
        reason = await watched.disconnected()
        await watched.when(lambda: watched.states[-1] == "Connected")
        self.assertEqual(len(self.tutum.handshakes), 2)
        self.assertEqual(watched.messages[-1], AUTH_MESSAGE)
        return reason

    async def test_503(self) -> None:
        self.assertEqual(
            await self.reason_after(tutum_stream.refuse(503, body="x" * 200_000)),
            "the server answered 503 Service Unavailable to the handshake",
        )

    async def test_429_with_a_retry_after(self) -> None:
        """Two seconds are two seconds."""
        await self.reason_after(tutum_stream.refuse(429, {"Retry-After": "2"}))
        first, second = self.tutum.handshakes
        self.assertGreaterEqual(second.time - first.time, 2.0)
        self.assertLess(second.time - first.time, 3.0)

    async def test_http_1_0(self) -> None:
        self.assertEqual(
            await self.reason_after(tutum_stream.http10()),
            "the server answered HTTP/1.0 200 OK to the handshake",
        )

    async def test_a_status_line_that_is_not_utf_8(self) -> None:
        reason = await self.reason_after(tutum_stream.raw_answer(b"HTTP/1.1 200 \xff\r\n\r\n"))
        self.assertIn("the server sent what cannot be read", reason)

    async def test_no_answer(self) -> None:
        reason = await self.reason_after(tutum_stream.no_answer(), FAST)
        self.assertIn("opening handshake timeout", reason)

    async def test_reset_during_the_handshake(self) -> None:
        self.assertIn("dropped", await self.reason_after(tutum_stream.reset_handshake()))

    async def test_a_close_with_a_code(self) -> None:
        self.assertEqual(
            await self.reason_after(tutum_stream.accept_then_close(1012, "restart")),
            "closed by the server with 1012 restart",
        )

    async def test_an_abort(self) -> None:
        self.assertIn("dropped", await self.reason_after(tutum_stream.accept_then_abort()))

    async def test_a_drop_in_the_middle_of_a_frame(self) -> None:
        """The half message is not handed over."""
        self.assertIn("dropped", await self.reason_after(tutum_stream.drop_mid_frame()))

    async def test_a_message_of_10_mb(self) -> None:
        reason = await self.reason_after(tutum_stream.big_message(10_000_000))
        self.assertIn("10000000 exceeds payload limit of 1048576", reason)

    async def test_a_silent_peer(self) -> None:
        """It is asked again within ping interval + timeout + 2 s (1 + 1 + 2 here)."""
        reason = await self.reason_after(tutum_stream.accept_then_silence(), FAST)
        self.assertIn("ping timeout", reason)
        first, second = self.tutum.handshakes
        self.assertLess(second.time - first.time, 4.0)
        self.assertGreaterEqual(second.time - first.time, 3.0)

    async def test_a_peer_that_answers_no_ping(self) -> None:
        reason = await self.reason_after(tutum_stream.no_pong(), FAST)
        self.assertIn("ping timeout", reason)
        first, second = self.tutum.handshakes
        self.assertLess(second.time - first.time, 4.0)

    async def test_nobody_listens(self) -> None:
        """The reason is the kernel's; when somebody does again, we are back."""
        await self.tutum.refuse_connections()
        watched = self.watch()
        self.assertIn("Connection refused", await watched.disconnected())
        await self.tutum.resume()
        await watched.when(lambda: watched.states[-1] == "Connected")

    async def test_a_name_that_does_not_exist(self) -> None:
        watched = self.watch("ws://stream.invalid:80/v1/events")
        self.assertIn("the host name cannot be resolved", await watched.disconnected())

    async def test_a_listener_that_breaks_at_the_end(self) -> None:
        """An exception while the connection is being lost does not end reconnecting."""
        self.tutum.next_handshakes(tutum_stream.accept_then_abort())
        watched = self.watch()

        def broken() -> None:
            if watched.states[-1] == "Disconnected":
                message = "broken"
                raise ZeroDivisionError(message)

        watched.on_link = broken
        await self.tutum.when(lambda fake: len(fake.handshakes) == 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class TLSStreamTests(TestCase):
    """Certificates are checked, and an operator learns what is wrong with one."""

    def setUp(self) -> None:
        """Make an authority and its certificates."""
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.files = make_tls(Path(directory.name))

    async def watch(self, pair: Pair, root: IOpenSSLTrustRoot | None) -> tuple[FakeTutum, Watched]:
        """Start a Tutum that shows a certificate, and a service."""
        tutum = await FakeTutum.listen(reactor, ssl_context_factory=pair.context_factory())
        self.addCleanup(lambda: Deferred.fromCoroutine(tutum.stop()))
        watched = Watched(tutum.stream_url, {"Authorization": BASIC}, StreamSettings(), root)
        self.addCleanup(watched.service.stopService)
        watched.service.startService()
        return tutum, watched

    async def test_a_private_authority(self) -> None:
        tutum, watched = await self.watch(self.files.good, load_trust_root(str(self.files.ca)))
        await watched.when(lambda: watched.messages == [AUTH_MESSAGE])
        self.assertTrue(tutum.stream_url.startswith("wss://"))
        watched.service.pause()
        watched.service.resume()
        tutum.send(b"event")
        await watched.when(lambda: watched.messages == [AUTH_MESSAGE, b"event"])

    async def test_an_unknown_authority(self) -> None:
        """Neither the system's roots nor an unrelated authority will do."""
        for root in (None, self.files.other_trust_root()):
            tutum, watched = await self.watch(self.files.good, root)
            self.assertEqual(await watched.disconnected(), "TLS: certificate verify failed")
            self.assertEqual(tutum.handshakes, [])

    async def test_another_host_name(self) -> None:
        tutum, watched = await self.watch(self.files.wrong_host, self.files.trust_root())
        self.assertEqual(
            await watched.disconnected(), "the server's certificate is not for this host name"
        )
        self.assertEqual(tutum.handshakes, [])


class StopLiveTests(StreamTestCase):
    """Stopping, at every moment; trial holds that neither sockets nor timers are left."""

    async def test_a_server_that_answers_the_goodbye(self) -> None:
        watched = self.watch()
        await watched.when(lambda: watched.states == ["Connected"])
        begun = reactor.seconds()
        await watched.service.stop()
        self.assertLess(reactor.seconds() - begun, 0.5)
        await self.tutum.when(lambda fake: fake.tcp_connection_count == 0)
        self.assertEqual(watched.states, ["Connected"])

    async def test_a_server_that_does_not(self) -> None:
        """A second, then the connection is aborted."""
        self.tutum.next_handshakes(Behaviour(is_deaf=True))
        watched = self.watch()
        await watched.when(lambda: watched.states == ["Connected"])
        begun = reactor.seconds()
        await watched.service.stop()
        self.assertGreater(reactor.seconds() - begun, 0.9)
        self.assertLess(reactor.seconds() - begun, 2.0)
        await self.tutum.when(lambda fake: fake.tcp_connection_count == 0)

    async def test_during_the_first_dial(self) -> None:
        """Nothing was asked of the server, and nothing will be."""
        watched = self.watch()
        await watched.service.stop()
        await self.tutum.when(lambda fake: fake.tcp_connection_count == 0)
        self.assertEqual((self.tutum.handshakes, watched.links), ([], []))

    async def test_during_the_handshake(self) -> None:
        self.tutum.next_handshakes(tutum_stream.no_answer())
        watched = self.watch()
        await self.tutum.when(lambda fake: len(fake.handshakes) == 1)
        await watched.service.stop()
        await self.tutum.when(lambda fake: fake.tcp_connection_count == 0)
        self.assertEqual(watched.links, [])

    async def test_between_two_dials(self) -> None:
        self.tutum.next_handshakes(tutum_stream.refuse(503))
        watched = self.watch()
        await watched.disconnected()
        await watched.service.stop()
        self.assertEqual(len(self.tutum.handshakes), 1)

    async def test_while_reading_is_paused_in_a_flood(self) -> None:
        """The flood is read on and dropped until the goodbye is answered, or a second is over."""
        watched = self.watch()
        await watched.when(lambda: watched.states == ["Connected"])
        watched.service.pause()
        event = container_event()
        self.tutum.flood(1_000_000, lambda _: event)
        await self.tutum.when(lambda fake: fake.floods[0].is_paused)
        begun, count = reactor.seconds(), len(watched.messages)
        await watched.service.stop()
        self.assertLess(reactor.seconds() - begun, 2.0)
        self.assertEqual(len(watched.messages), count)
        await self.tutum.when(lambda fake: fake.tcp_connection_count == 0)

    async def test_suspend_and_redial(self) -> None:
        watched = self.watch()
        await watched.when(lambda: watched.states == ["Connected"])
        watched.service.suspend("the store cannot be written")
        self.assertEqual(await watched.disconnected(), "the store cannot be written")
        await self.tutum.when(lambda fake: fake.tcp_connection_count == 0)
        watched.service.redial()
        await watched.when(lambda: watched.states[-1] == "Connected")
        self.assertEqual(len(self.tutum.handshakes), 2)


class FloodTests(StreamTestCase):
    """More comes than can be taken."""

    async def test_a_pause_overshoots_by_little(self) -> None:
        """A reader that pauses at 1,000 waiting events gets no more than one 64 KiB read on top.

        Resumed whenever half were taken, it gets all 100,000, in order.
        """
        watched = self.watch()
        await watched.when(lambda: watched.states == ["Connected"])
        pauses: list[int] = []
        taken, is_paused, most = 1, False, 0

        def take() -> None:
            nonlocal taken, is_paused
            taken += 500
            if len(watched.messages) - taken <= 500:
                is_paused = False
                watched.service.resume()
            else:
                reactor.callLater(0, take)

        def count() -> None:
            nonlocal is_paused, most
            waiting = len(watched.messages) - taken
            most = max(most, waiting)
            if waiting >= 1_000 and not is_paused:
                is_paused = True
                pauses.append(waiting)
                watched.service.pause()
                reactor.callLater(0, take)

        watched.on_message = count
        event = container_event()
        size = len(repr(event))
        flooded = self.tutum.flood(100_000, lambda number: event | {"number": number})
        await watched.when(lambda: len(watched.messages) == 100_001)
        await flooded
        self.assertGreater(len(pauses), 50)
        self.assertLess(most, 1_000 + 64 * 1024 // (size // 2))
        numbers = [
            int(message.rpartition(b":")[2].rstrip(b"}")) for message in watched.messages[1:]
        ]
        self.assertEqual(numbers, list(range(100_000)))
