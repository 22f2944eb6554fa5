"""Tests of the Autobahn edge: nothing that a server sends, and nothing that breaks, escapes it."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import example, given
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.stream.cases import ServiceTestCase, logged_lines, pass_time
from tests.stream.fake_endpoint import AUTH, EVENT, FakeEndpoint, FakeServer
from tutumwatch.secret import Secret
from tutumwatch.stream.connector import EndpointConnector
from tutumwatch.stream.ending import Ending
from tutumwatch.stream.factory import StreamFactory
from tutumwatch.stream.protocol import StreamProtocol
from tutumwatch.stream.settings import StreamSettings


class RecordingListener:
    """Writes down what it is told; breaks at everything when told to."""

    def __init__(self) -> None:
        self.connector: EndpointConnector
        self.told: list[str] = []
        self.endings: list[Ending] = []
        self.is_broken = False
        self.drops_at = ""
        self.protocol: StreamProtocol

    def _note(self, what: str) -> None:
        self.told.append(what)
        if self.is_broken:
            raise ZeroDivisionError(what)

    def made(self, protocol: StreamProtocol) -> None:
        """Note it."""
        self.protocol = protocol
        self.connector.made(protocol)
        self._note("made")

    def opened(self) -> None:
        """Note it."""
        self._note("opened")

    def heard(self) -> None:
        """Note it."""
        self._note("heard")

    def ponged(self) -> None:
        """Note it."""
        self._note("ponged")

    def received(self, payload: bytes) -> None:
        """Note it."""
        what = f"received {payload.decode('utf-8', 'backslashreplace')}"
        self._note(what)
        if what == self.drops_at:
            self.protocol.dropConnection(abort=True)

    def closing(self) -> None:
        """Note it."""
        self._note("closing")

    def ended(self, protocol: StreamProtocol, ending: Ending, reason: Failure) -> None:
        """Note it, and let the factory know."""
        self.endings.append(ending)
        try:
            self._note("ended")
        finally:
            self.connector.lost(protocol, reason)

    def failed(self, reason: Failure) -> None:
        """Note it."""
        self._note("failed")

    def will_retry(self, delay_seconds: float) -> None:
        """Note it."""
        self.told.append(f"will retry in {delay_seconds:g} s")


class Wire:
    """One dialled connection to a fake server, told to a recording listener."""

    def __init__(self, *secrets: str) -> None:
        self.clock = Clock()
        self.listener = RecordingListener()
        endpoint = FakeEndpoint(self.clock)
        self.factory = StreamFactory(
            "ws://stream.example/v1/events",
            {},
            StreamSettings(),
            self.clock,
            lambda: 1.0,
            self.listener,
            [Secret(secret) for secret in secrets],
        )
        connector = self.listener.connector = EndpointConnector(endpoint, self.factory)
        connector.connect()
        self.server: FakeServer = endpoint.server

    def end(self) -> None:
        """Let the connection end, and hold that this is told once and a retry is due."""
        self.server.drop()
        pass_time(self.clock, 0.5)
        if self.listener.told.count("ended") != 1 or self.factory._callID is None:
            raise AssertionError(self.listener.told)
        self.factory.stopTrying()
        if self.clock.getDelayedCalls():
            raise AssertionError(self.clock.getDelayedCalls())


class TotalityTests(SynchronousTestCase):
    """Whatever happens, nothing is raised and the end is told once."""

    def test_everything_is_told(self) -> None:
        wire = Wire()
        wire.server.accept()
        wire.server.say(AUTH)
        wire.server.pong()
        wire.server.close()
        wire.end()
        self.assertEqual(
            wire.listener.told,
            [
                *("made", "heard", "opened", "heard", 'received {"type":"auth"}'),
                *("heard", "ponged", "heard", "closing", "ended", "will retry in 1 s"),
            ],
        )

    def test_a_listener_that_breaks_at_everything(self) -> None:
        """Each failure is logged, the connection lives on, and its end leads to a retry."""
        wire = Wire()
        wire.listener.is_broken = True
        wire.server.accept()
        wire.server.say(AUTH, EVENT)
        wire.server.pong()
        wire.server.close()
        wire.end()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 10)
        self.assertEqual(wire.listener.told[-2:], ["ended", "will retry in 1 s"])

    @given(st.lists(st.binary(max_size=300), max_size=5))
    @example([b"HTTP/1.1 200 \xff\xfe\r\n\r\n"])
    @example([b"HTTP/1.1 \xc2\xb2\xc2\xb2\xc2\xb2\r\n\r\n"])
    @example([b"\r\n\r\n"])
    @example([b"HTTP/1.1 " + b"9" * 5_000 + b"\r\n\r\n"])
    def test_any_bytes_for_an_answer(self, chunks: list[bytes]) -> None:
        wire = Wire()
        for chunk in chunks:
            wire.server.transport.deliver(chunk)
        wire.end()

    @given(st.text(max_size=60), st.lists(st.tuples(st.text(), st.text()), max_size=3))
    @example("1.1 101 OK", [("Upgrade", "websocket"), ("Sec-WebSocket-Extensions", ";=,;")])
    def test_any_head_for_an_answer(self, answer: str, headers: list[tuple[str, str]]) -> None:
        wire = Wire()
        lines = [f"HTTP/{answer}", *(f"{name}: {value}" for name, value in headers)]
        wire.server.transport.deliver("\r\n".join((*lines, "", "")).encode("utf-8", "replace"))
        wire.end()

    @given(st.lists(st.binary(max_size=300), max_size=5), st.binary(max_size=100))
    @example([b"\x88\x7d" + b"\xff" * 125], b"")
    @example([b"\x88\x02\x03\xee"], b"")
    @example([b"\x88\x01\x03"], b"")
    @example([], b"\x81\x02\xff\xff\x88\x00")
    def test_any_bytes_for_frames(self, chunks: list[bytes], at_once: bytes) -> None:
        """Also together with the answer to the handshake."""
        wire = Wire()
        wire.server.accept(then=at_once)
        for chunk in chunks:
            wire.server.transport.deliver(chunk)
        wire.listener.told = [told for told in wire.listener.told if told == "ended"]
        wire.end()

    def test_an_end_that_cannot_be_explained(self) -> None:
        """An error of OpenSSL with nothing in it."""
        for error in (SSL.Error(), SSL.Error([]), SSL.SysCallError(-1, "Unexpected EOF")):
            wire = Wire()
            wire.server.transport.end(error)
            self.assertEqual(wire.listener.endings, [Ending("TLS: the connection failed")])
            wire.factory.stopTrying()
            self.assertEqual(wire.clock.getDelayedCalls(), [])

    def test_a_connection_without_a_handshake_is_told_too(self) -> None:
        """Autobahn itself breaks at the end of what it never saw begin; the end is told first."""
        wire = Wire()
        protocol = wire.factory.buildProtocol(None)
        protocol.connectionLost()
        self.assertEqual(wire.listener.endings, [Ending("the connection was closed")])
        self.assertTrue(self.flushLoggedErrors(AttributeError))
        wire.server.drop()
        wire.factory.stopTrying()


class RudeAnswerTests(SynchronousTestCase):
    """Answers to a handshake that Autobahn does not survive."""

    def ending_after(self, act: Callable[[FakeServer], None]) -> Ending:
        """Give how a connection ends that we give up by ourselves."""
        wire = Wire()
        act(wire.server)
        self.assertTrue(wire.server.transport.disconnected)
        pass_time(wire.clock, 0)
        wire.factory.stopTrying()
        self.assertEqual(wire.clock.getDelayedCalls(), [])
        return wire.listener.endings[0]

    def test_a_status_line_that_is_not_utf_8(self) -> None:
        """The connection ends, with a reason; nothing is logged as a bug of ours."""

        def act(server: FakeServer) -> None:
            server.transport.deliver(b"HTTP/1.1 200 \xff\xfe\r\n\r\n")

        self.assertIn("the server sent what cannot be read: 'utf-8'", self.ending_after(act).said)

    def test_headers_without_end(self) -> None:
        """No more than 64 KiB are collected."""

        def act(server: FakeServer) -> None:
            server.transport.deliver(b"HTTP/1.1 101 Switching Protocols\r\n")
            for _ in range(64):
                self.assertFalse(server.transport.disconnected)
                server.transport.deliver(b"X-Header: " + b"x" * 1012 + b"\r\n")

        self.assertEqual(
            self.ending_after(act), Ending("the answer to the handshake has over 65536 bytes")
        )

    def test_a_refusal_with_a_long_body_is_still_a_refusal(self) -> None:
        ending = self.ending_after(
            lambda server: server.answer("HTTP/1.1 401 No", then=b"x" * 100_000)
        )
        self.assertEqual(ending, Ending("the server answered 401 No to the handshake", 401))


class ManyBytesTests(ServiceTestCase):
    """A long handshake's chunk may also hold messages."""

    def test_messages_behind_the_handshake_do_not_count_as_headers(self) -> None:
        self.service.startService()
        self.endpoint.server.accept(then=b"\x82\x7f" + (70_000).to_bytes(8, "big") + b"x" * 70_000)
        self.assertEqual([len(message) for message in self.messages], [70_000])


class EchoTests(SynchronousTestCase):
    """A server that repeats our credentials does not get them into our log."""

    SECRET = "c2VjcmV0OnNlY3JldA=="

    def assert_blotted(self, act: Callable[[FakeServer], None]) -> None:
        """Hold that a reason was told, and that the credential is not in it."""
        wire, log = Wire(self.SECRET), logged_lines(self, "")
        act(wire.server)
        pass_time(wire.clock, 0)
        wire.server.hang_up()
        (ending,) = wire.listener.endings
        self.assertIn("[hidden]", ending.said)
        self.assertNotIn(self.SECRET, ending.said)
        self.assertNotIn(self.SECRET, str(log))
        wire.factory.stopTrying()

    def test_in_a_status_line(self) -> None:
        self.assert_blotted(lambda server: server.answer(f"HTTP/1.1 403 no {self.SECRET}"))

    def test_in_rubbish(self) -> None:
        self.assert_blotted(lambda server: server.answer(self.SECRET))

    def test_in_a_close(self) -> None:
        def act(server: FakeServer) -> None:
            server.accept()
            server.close(4001, f"bad {self.SECRET}")

        self.assert_blotted(act)
