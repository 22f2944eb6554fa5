"""Tests of the control socket: each client on a StringTransport, the socket a real one."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from pathlib import Path
from typing import Any, cast

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.secrets_check import RecordedLog
from tests.status.test_service import ListeningPort
from tutumwatch.control.service import (
    CLIENTS_MAX_COUNT,
    COMMAND_DEADLINE_SECONDS,
    LINE_DEADLINE_SECONDS,
    ControlProtocol,
    ControlService,
)
from tutumwatch.control.wire import LINE_MAX_BYTES, AskStatus, Question, Reply, decode_reply

STATUS = b'{"command":"status"}\n'


class AbortableTransport(StringTransport):
    """A transport that can be ended at once, and says so."""

    aborted = False

    def abortConnection(self) -> None:
        """End it."""
        self.aborted = True
        self.loseConnection()


@implementer(IStreamServerEndpoint)
@attrs.define
class UnixEndpoint:
    """Binds a real socket, and keeps the rights that it had from the first moment."""

    path: str
    outcome: Deferred[IListeningPort]
    modes: list[int] = attrs.field(factory=list)
    factories: list[IProtocolFactory] = attrs.field(factory=list)

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:  # noqa: N803 - Twisted's
        """Bind, and look."""
        self.factories.append(protocolFactory)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(self.path)
        self.modes.append(stat.S_IMODE(Path(self.path).stat().st_mode))
        return self.outcome


class ControlTestCase(SynchronousTestCase):
    """Gives each test a service on a Clock."""

    def setUp(self) -> None:
        """Make everything but the service."""
        self.log = RecordedLog()
        self.addCleanup(self.log.stop)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = str(Path(folder.name, "outbox.sqlite.sock"))
        self.clock = Clock()
        self.asked: list[Question] = []
        self.replies: list[Deferred[Reply]] = []
        self.port = ListeningPort()
        self.port.closed.callback(None)

    def do(self, question: Question) -> Deferred[Reply]:
        """Keep what is asked; answer at once, unless the test has put a reply in the way."""
        self.asked.append(question)
        return self.replies.pop(0) if self.replies else succeed(Reply(status={"ok": True}))

    def start(self, endpoint: UnixEndpoint | None = None, path: str = "") -> UnixEndpoint:
        """Start the service, which ends with the test."""
        endpoint = endpoint or UnixEndpoint(path or self.path, succeed(self.port))
        self.service = ControlService(path or self.path, endpoint, self.do, self.clock)
        self.service.startService()
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        self.addCleanup(lambda: self.successResultOf(self.service.stopService()))
        return endpoint

    def lines(self) -> list[str]:
        """Give the lines that were logged."""
        ours = (e for e in self.log.events if e["log_namespace"].startswith("tutumwatch.control"))
        return [formatEvent(event) for event in ours]


class ProtocolTests(ControlTestCase):
    """A line in, a line out, then the end."""

    def setUp(self) -> None:
        """Start."""
        super().setUp()
        self.endpoint = self.start()

    def client(self) -> tuple[ControlProtocol, AbortableTransport]:
        """Connect one that hangs up when the test ends."""
        made = cast("Any", self.endpoint.factories[0]).buildProtocol(None)
        assert isinstance(made, ControlProtocol)
        transport = AbortableTransport()
        made.makeConnection(transport)
        self.addCleanup(made.connectionLost)
        return made, transport

    def said(self, transport: AbortableTransport) -> Reply:
        """Give the one reply, after which the connection was ended."""
        (line, rest) = transport.value().split(b"\n")
        self.assertEqual((rest, transport.disconnecting), (b"", True))
        return decode_reply(line)

    def test_a_question_is_answered(self) -> None:
        protocol, transport = self.client()
        protocol.dataReceived(STATUS)
        self.assertEqual(self.said(transport).status, {"ok": True})
        self.assertEqual(self.asked, [AskStatus()])

    def test_a_question_in_pieces(self) -> None:
        protocol, transport = self.client()
        for byte in STATUS:
            self.assertEqual(transport.value(), b"")
            protocol.dataReceived(bytes([byte]))
        self.assertEqual(self.said(transport).status, {"ok": True})

    def test_only_the_first_line_counts(self) -> None:
        self.replies.append(Deferred())
        protocol, _ = self.client()
        protocol.dataReceived(STATUS + STATUS)
        protocol.dataReceived(STATUS)
        self.assertEqual(len(self.asked), 1)

    def test_rubbish_is_answered_with_an_error(self) -> None:
        for line in (b"\n", b"GET / HTTP/1.1\r\n", b"\xff\x00\n", b'{"command":"dance"}\n'):
            protocol, transport = self.client()
            protocol.dataReceived(line)
            self.assertTrue(self.said(transport).error, line)
        self.assertEqual(self.asked, [])

    def test_a_line_without_an_end(self) -> None:
        protocol, transport = self.client()
        protocol.dataReceived(b"x" * LINE_MAX_BYTES)
        self.assertEqual(transport.value(), b"")
        protocol.dataReceived(b"x")
        self.assertIn("bytes", self.said(transport).error)

    def test_a_client_that_says_nothing(self) -> None:
        protocol, transport = self.client()
        protocol.dataReceived(b"{")
        self.clock.advance(LINE_DEADLINE_SECONDS - 1)
        protocol.dataReceived(b" ")
        self.assertFalse(transport.disconnecting)
        self.clock.advance(1)
        self.assertIn("no whole line", self.said(transport).error)

    def test_a_client_that_does_not_read_is_cut_off(self) -> None:
        protocol, transport = self.client()
        protocol.dataReceived(STATUS)
        self.assertFalse(transport.aborted)
        self.clock.advance(LINE_DEADLINE_SECONDS)
        self.assertTrue(transport.aborted)

    def test_a_command_that_takes_too_long(self) -> None:
        """It cannot be taken back; the client learns that it is still to be done."""
        self.replies.append(Deferred())
        protocol, transport = self.client()
        protocol.dataReceived(STATUS)
        self.clock.advance(COMMAND_DEADLINE_SECONDS)
        self.assertIn("it will be when it can", self.said(transport).error)

    def test_a_command_that_fails(self) -> None:
        self.replies.append(fail(RuntimeError("a bug")))
        protocol, transport = self.client()
        protocol.dataReceived(STATUS)
        self.assertIn("by a bug", self.said(transport).error)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_several_clients(self) -> None:
        waiting: list[Deferred[Reply]] = [Deferred(), Deferred()]
        self.replies += waiting
        clients = [self.client(), self.client()]
        for protocol, _ in clients:
            protocol.dataReceived(STATUS)
        waiting[1].callback(Reply(error="second"))
        waiting[0].callback(Reply(error="first"))
        self.assertEqual([self.said(t).error for _, t in clients], ["first", "second"])

    def test_one_too_many(self) -> None:
        """Those that left make room."""
        clients = [self.client() for _ in range(CLIENTS_MAX_COUNT)]
        _, transport = self.client()
        self.assertIn("asking already", self.said(transport).error)
        clients[0][0].connectionLost()
        protocol, transport = self.client()
        protocol.dataReceived(STATUS)
        self.assertEqual(self.said(transport).status, {"ok": True})

    def test_a_client_that_leaves_is_not_written_to(self) -> None:
        reply: Deferred[Reply] = Deferred()
        self.replies.append(reply)
        protocol, transport = self.client()
        protocol.dataReceived(STATUS)
        protocol.connectionLost()
        reply.callback(Reply(error="too late"))
        self.assertEqual(transport.value(), b"")

    def test_a_client_counts_for_as_long_as_something_is_done_for_it(self) -> None:
        waiting: list[Deferred[Reply]] = [Deferred() for _ in range(CLIENTS_MAX_COUNT)]
        self.replies += waiting
        for _ in range(CLIENTS_MAX_COUNT):
            protocol, _ = self.client()
            protocol.dataReceived(STATUS)
            protocol.connectionLost()
        _, transport = self.client()
        self.assertIn("asking already", self.said(transport).error)
        waiting[0].callback(Reply())
        _, transport = self.client()
        self.assertEqual(transport.value(), b"")

    def test_stopping_ends_every_connection(self) -> None:
        _, transport = self.client()
        self.successResultOf(self.service.stopService())
        self.assertTrue(transport.aborted)
        self.assertTrue(self.port.is_closing)


class SocketTests(ControlTestCase):
    """The file of the socket."""

    def test_nobody_else_may_connect_from_the_first_moment(self) -> None:
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        endpoint = self.start()
        self.assertEqual(endpoint.modes, [0o600])
        self.assertEqual(os.umask(0), 0)

    def test_the_socket_of_a_killed_process_is_replaced(self) -> None:
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(self.path)
        endpoint = self.start()
        self.assertEqual((len(endpoint.modes), self.lines()), (1, []))

    def test_what_is_no_socket_is_left_alone(self) -> None:
        Path(self.path).write_text("precious")
        endpoint = self.start()
        self.assertEqual(endpoint.modes, [])
        self.assertEqual(Path(self.path).read_text(), "precious")
        (line,) = self.lines()
        self.assertIn("something that is no socket is there", line)

    def test_a_path_that_is_too_long(self) -> None:
        path = self.path + "x" * 107
        endpoint = self.start(path=path)
        self.assertEqual(endpoint.modes, [])
        (line,) = self.lines()
        self.assertIn(f"no control socket {path}: a socket's path may have 107 bytes", line)

    def test_a_socket_that_cannot_be(self) -> None:
        """We watch all the same."""
        refused = CannotListenError(None, self.path, OSError(13, "Permission denied"))
        self.start(UnixEndpoint(self.path, fail(refused)))
        (line,) = self.lines()
        self.assertIn("Permission denied", line)
        self.assertIn("`tutumwatch status`", line)

    def test_stopping_twice_does_no_harm(self) -> None:
        self.start()
        for _ in range(2):
            self.successResultOf(self.service.stopService())
            self.assertTrue(self.port.is_closing)
