"""Tests of the status service: /healthz, and what the service manager is told when."""

from __future__ import annotations

import json
from typing import cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IReactorTime,
    IStreamServerEndpoint,
)
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from zope.interface import implementer

from tests.secrets_check import RecordedLog
from tests.status.test_health import health
from tests.status.test_sdnotify import SdNotifyTestCase
from tutumwatch.status.health import Health
from tutumwatch.status.sdnotify import ServiceManager
from tutumwatch.status.service import StatusService
from tutumwatch.status.web import StatusSite

STUCK = health(ok=False, problems=("notifier pd is stuck",))


@implementer(IListeningPort)
class ListeningPort:
    """A port that is listened on, and closes when the test says so."""

    def __init__(self) -> None:
        self.closed: Deferred[None] = Deferred()
        self.is_closing = False

    def startListening(self) -> None:  # noqa: N802 - Twisted names it
        """Nothing to do."""

    def stopListening(self) -> Deferred[None]:  # noqa: N802 - Twisted names it
        """Begin to close."""
        self.is_closing = True
        return self.closed

    def getHost(self) -> IPv4Address:
        """Give the address."""
        return IPv4Address("TCP", "127.0.0.1", 9797)


@implementer(IStreamServerEndpoint)
class ServerEndpoint:
    """Listens as the test says, and keeps the factory."""

    def __init__(self, *ports: Deferred[IListeningPort]) -> None:
        self.factories: list[IProtocolFactory] = []
        self._ports = list(ports)

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:  # noqa: N803 - Twisted's
        """Listen."""
        self.factories.append(protocolFactory)
        return self._ports.pop(0)


class StatusServiceTests(SdNotifyTestCase):
    """On a Clock, with a real datagram socket in the manager's place."""

    def setUp(self) -> None:
        """Make everything but the service."""
        self.clock = Clock()
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        self.log = RecordedLog()
        self.addCleanup(self.log.stop)
        self.health = health()
        self.problem: Exception | None = None
        self.port = ListeningPort()
        self.notify_path = self.path()
        self.listening = self.listen(self.notify_path)

    def check(self) -> Health:
        """Give the health that the test wants."""
        if self.problem is not None:
            raise self.problem
        return self.health

    def start(
        self,
        watchdog_seconds: float | None = None,
        endpoint: IStreamServerEndpoint | None = None,
    ) -> StatusService:
        """Start the service."""
        manager = ServiceManager(self.notify_path, watchdog_seconds)
        service = StatusService(self.check, endpoint, manager, cast("IReactorTime", self.clock))
        service.startService()
        self.addCleanup(service.stopService)
        return service

    def told(self) -> list[str]:
        """Give what the manager was told since the last time."""
        found = []
        while True:
            try:
                found.append(self.listening.recv(10_000).decode())
            except BlockingIOError:
                return found

    def lines(self) -> list[tuple[str, str]]:
        """Give what was logged: level and text."""
        return [(e["log_level"].name, e["log_format"].format(**e)) for e in self.log.events]

    # -- the service manager

    def test_ready_comes_at_the_start(self) -> None:
        self.start()
        self.assertEqual(self.told(), ["READY=1\nSTATUS=main Connected, 0 notices waiting"])

    def test_the_status_comes_every_ten_seconds(self) -> None:
        self.start()
        self.told()
        self.clock.advance(9.9)
        self.assertEqual(self.told(), [])
        self.clock.advance(0.1)
        self.assertEqual(self.told(), ["STATUS=main Connected, 0 notices waiting"])

    def test_the_watchdog_is_fed_twice_a_period(self) -> None:
        self.start(watchdog_seconds=4.0)
        self.told()
        self.clock.pump([1.0] * 4)
        said = "STATUS=main Connected, 0 notices waiting\nWATCHDOG=1"
        self.assertEqual(self.told(), [said, said])

    def test_a_slow_watchdog_does_not_slow_the_status(self) -> None:
        self.start(watchdog_seconds=60.0)
        self.told()
        self.clock.advance(10.0)
        self.assertEqual(len(self.told()), 1)

    def test_the_watchdog_is_not_fed_while_we_are_stuck(self) -> None:
        self.start(watchdog_seconds=4.0)
        self.told()
        self.health = STUCK
        self.clock.advance(2.0)
        self.assertEqual(self.told(), ["STATUS=stuck: notifier pd is stuck"])
        self.health = health()
        self.clock.advance(2.0)
        self.assertIn("WATCHDOG=1", self.told()[0])

    def test_the_end_is_told_first(self) -> None:
        service = self.start()
        self.told()
        service.say_stopping()
        self.assertEqual(self.told(), ["STOPPING=1\nSTATUS=delivering what is left"])

    def test_a_check_that_fails_is_a_bug_that_is_told(self) -> None:
        """The watchdog is not fed any more: the manager starts us anew."""
        service = self.start(watchdog_seconds=4.0)
        self.told()
        self.problem = RuntimeError("a bug")
        self.clock.advance(2.0)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.clock.advance(2.0)
        self.assertEqual(self.told(), [])
        self.successResultOf(service.stopService())

    # -- listening

    def test_it_listens_and_says_where(self) -> None:
        endpoint = ServerEndpoint(succeed(self.port))
        service = self.start(endpoint=endpoint)
        self.assertIs(service.port, self.port)
        (site,) = endpoint.factories
        self.assertIsInstance(site, StatusSite)
        self.assertEqual(self.lines(), [("info", "health: http://127.0.0.1:9797/healthz")])
        stopped = service.stopService()
        self.assertTrue(self.port.is_closing)
        self.assertNoResult(stopped)
        self.port.closed.callback(None)
        self.successResultOf(stopped)

    def test_a_port_that_is_taken_is_no_reason_to_end(self) -> None:
        taken = CannotListenError("127.0.0.1", 9797, OSError(98, "Address already in use"))
        service = self.start(endpoint=ServerEndpoint(fail(taken)))
        self.assertEqual(
            self.lines(),
            [
                (
                    "warn",
                    (
                        "no /healthz: [Errno 98] Address already in use; [status] listen "
                        "(or TUTUMWATCH_STATUS) names another endpoint"
                    ),
                )
            ],
        )
        self.successResultOf(service.stopService())

    def use(self, service: StatusService, endpoint: ServerEndpoint | None) -> Deferred[None]:
        """Begin to listen elsewhere."""
        return Deferred.fromCoroutine(service.use(endpoint))

    def test_it_goes_on_listening_elsewhere(self) -> None:
        """The old port is free before the new one is taken: it may be the same one."""
        service = self.start(endpoint=ServerEndpoint(succeed(self.port)))
        elsewhere, port = ServerEndpoint(succeed(other := ListeningPort())), self.port
        done = self.use(service, elsewhere)
        self.assertEqual((port.is_closing, elsewhere.factories), (True, []))
        port.closed.callback(None)
        self.successResultOf(done)
        self.assertIs(service.port, other)
        other.closed.callback(None)
        self.successResultOf(self.use(service, None))
        self.assertIsNone(service.port)
        self.successResultOf(self.use(service, ServerEndpoint(succeed(ListeningPort()))))
        self.assertIsNotNone(service.port)

    def test_where_it_cannot_it_stays_where_it_was(self) -> None:
        before = ServerEndpoint(succeed(self.port), succeed(ListeningPort()))
        service = self.start(endpoint=before)
        self.port.closed.callback(None)
        taken = CannotListenError("127.0.0.1", 9797, OSError(98, "Address already in use"))
        self.successResultOf(self.use(service, ServerEndpoint(fail(taken))))
        self.assertIsNot(service.port, self.port)
        self.assertEqual(len(before.factories), 2)
        self.assertIn("no /healthz: [Errno 98]", self.lines()[1][1])
        self.assertEqual(self.lines()[2][1], "health: http://127.0.0.1:9797/healthz")

    def test_stopped_meanwhile_it_listens_nowhere(self) -> None:
        service = self.start(endpoint=ServerEndpoint(succeed(self.port)))
        elsewhere = ServerEndpoint(succeed(ListeningPort()))
        done = self.use(service, elsewhere)
        service.stopService()
        self.port.closed.callback(None)
        self.successResultOf(done)
        self.assertEqual((service.port, elsewhere.factories), (None, []))

    def test_any_other_failure_is_told_as_well(self) -> None:
        self.start(endpoint=ServerEndpoint(fail(ValueError("no such interface"))))
        ((level, text),) = self.lines()
        self.assertEqual(level, "warn")
        self.assertTrue(text.startswith("no /healthz: no such interface; "), text)

    # -- /healthz

    def get(self, request: str) -> tuple[str, dict[str, str], str]:
        """Send a request; give the status line, the headers in lower case, and the body."""
        site = StatusSite(self.check)
        site.startFactory()
        self.addCleanup(site.stopFactory)
        protocol = site.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        transport = StringTransport()
        protocol.makeConnection(transport)
        protocol.dataReceived(
            f"{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        )
        head, _, body = transport.value().decode().partition("\r\n\r\n")
        status, *headers = head.split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in headers)
        return status, fields, body

    def test_being_well_is_200(self) -> None:
        status, headers, body = self.get("GET /healthz")
        self.assertEqual(status, "HTTP/1.1 200 OK")
        self.assertEqual(headers["content-type"], "application/json")
        self.assertEqual(headers["cache-control"], "no-store")
        self.assertEqual(
            json.loads(body),
            {
                "ok": True,
                "problems": [],
                "version": "1",
                "streams": {"main": {"state": "Connected", "reason": ""}},
                "notifiers": {"slack": {"state": "Delivering", "reason": "", "waiting": 0}},
                "store": "ok",
                "open_incidents": [],
                "counts": {},
                "moved_aside_count": 0,
                "reload": {},
            },
        )
        self.assertTrue(body.endswith("}\n"))

    def test_being_stuck_is_503(self) -> None:
        self.health = STUCK
        status, _, body = self.get("GET /healthz")
        self.assertEqual(status, "HTTP/1.1 503 Service Unavailable")
        self.assertEqual(json.loads(body)["problems"], ["notifier pd is stuck"])

    def test_head(self) -> None:
        status, _, body = self.get("HEAD /healthz")
        self.assertEqual((status, body), ("HTTP/1.1 200 OK", ""))

    def test_nothing_else_is_there(self) -> None:
        self.assertEqual(self.get("GET /")[0], "HTTP/1.1 404 Not Found")
        self.assertEqual(self.get("POST /healthz")[0], "HTTP/1.1 405 Method Not Allowed")

    def test_a_probe_leaves_no_line_in_the_log(self) -> None:
        self.get("GET /healthz")
        self.assertEqual(self.lines(), [])
