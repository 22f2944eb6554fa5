"""Tests of the connector: each attempt is told once, whichever way it ends."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, NotConnectingError, UserError
from twisted.internet.interfaces import IConnector, IProtocol, IProtocolFactory
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.stream.fake_endpoint import FakeEndpoint, FakeServer
from tutumwatch.stream.connector import EndpointConnector


class RecordingFactory(ClientFactory):
    """Writes down what a connector tells, and breaks when told to."""

    noisy = False

    def __init__(self) -> None:
        self.told: list[str] = []
        self.is_broken = False

    def buildProtocol(self, addr: object) -> Protocol:
        """Make a protocol that does nothing."""
        return Protocol()

    def startedConnecting(self, connector: IConnector) -> None:
        """Note an attempt."""
        self.told.append("started")

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        """Note an attempt that came to nothing."""
        self.told.append(f"failed: {type(reason.value).__name__}")
        if self.is_broken:
            message = "broken"
            raise ZeroDivisionError(message)

    def clientConnectionLost(self, connector: IConnector, reason: Failure) -> None:
        """Note the end of a connection."""
        self.told.append("lost")


class ConnectorTests(SynchronousTestCase):
    """One connector, over several attempts."""

    def setUp(self) -> None:
        """Make it."""
        self.clock = Clock()
        self.endpoint = FakeEndpoint(self.clock)
        self.factory = RecordingFactory()
        self.connector = EndpointConnector(self.endpoint, self.factory)

    def connected(self) -> IProtocol:
        """Dial, and tell the connector of the protocol as it tells of itself."""
        self.connector.connect()
        protocol = self.endpoint.server.protocol
        self.assertTrue(self.connector.made(protocol))
        return protocol

    def test_it_is_a_connector_and_stands_for_its_endpoint(self) -> None:
        verifyObject(IConnector, self.connector)
        self.assertIs(self.connector.getDestination(), self.endpoint)

    def test_an_attempt_that_fails(self) -> None:
        """The next one may begin."""
        self.endpoint.fail_with(ConnectError())
        self.connector.connect()
        self.connector.connect()
        self.assertEqual(self.factory.told, ["started", "failed: ConnectError"] * 2)

    def test_an_endpoint_that_raises_has_failed(self) -> None:
        def broken(_factory: IProtocolFactory) -> Deferred[IProtocol]:
            message = "no such interface"
            raise OSError(message)

        self.endpoint.behave = broken
        self.connector.connect()
        self.assertEqual(self.factory.told, ["started", "failed: OSError"])

    def test_a_connection_that_is_lost(self) -> None:
        """Its end is told once, and the next attempt may begin."""
        protocol = self.connected()
        self.connector.lost(protocol, Failure(connectionDone.value))
        self.connector.lost(protocol, Failure(connectionDone.value))
        self.assertEqual(self.factory.told, ["started", "lost"])
        self.connector.lost(self.connected(), Failure(connectionDone.value))
        self.assertEqual(self.factory.told, ["started", "lost"] * 2)

    def test_one_attempt_at_a_time(self) -> None:
        """Neither while it dials, nor while it is connected, nor while both is said of it."""
        self.endpoint.behave = self.endpoint.hold
        self.connector.connect()
        self.assertRaises(UserError, self.connector.connect)
        self.endpoint.dials[-1].result.callback(Protocol())
        self.assertRaises(UserError, self.connector.connect)
        self.assertEqual(self.factory.told, ["started"])

    def test_a_protocol_that_dies_before_the_dial_says_so(self) -> None:
        """One end is told, whatever the dial's Deferred says later, and nothing of the next one."""
        for late in (Protocol(), Failure(ConnectError())):
            self.factory.told.clear()
            self.endpoint.behave = self.endpoint.make_and_hold
            protocol = self.connected()
            self.connector.lost(protocol, Failure(connectionDone.value))
            self.endpoint.behave = self.endpoint.hold
            self.connector.connect()
            self.endpoint.dials[-2].result.callback(late)
            self.connector.stopConnecting()
            self.assertEqual(
                self.factory.told, ["started", "lost", "started", "failed: CancelledError"]
            )

    def test_a_protocol_that_dies_within_connect(self) -> None:
        """The dial's Deferred is not kept for a connection that is gone."""

        def come_and_go(server: FakeServer) -> None:
            self.connector.made(server.protocol)
            self.connector.lost(server.protocol, Failure(connectionDone.value))

        self.endpoint.serve = come_and_go
        self.connector.connect()
        self.assertRaises(NotConnectingError, self.connector.stopConnecting)
        self.assertEqual(self.factory.told, ["started", "lost"])

    def test_stop_connecting_gives_the_dial_up(self) -> None:
        self.endpoint.behave = self.endpoint.hold
        self.connector.connect()
        self.connector.stopConnecting()
        self.assertTrue(self.endpoint.dials[0].is_cancelled)
        self.assertEqual(self.factory.told, ["started", "failed: CancelledError"])

    def test_stop_connecting_wants_a_dial(self) -> None:
        """Neither before the first one nor when it succeeded is there one to give up."""
        self.assertRaises(NotConnectingError, self.connector.stopConnecting)
        self.connected()
        self.assertRaises(NotConnectingError, self.connector.stopConnecting)

    def test_a_connection_that_nobody_waits_for(self) -> None:
        """One made by a dial that was given up is not taken, nor is a second one of one dial."""
        self.endpoint.behave = self.endpoint.hold
        self.connector.connect()
        self.connector.stopConnecting()
        stray = Protocol()
        self.assertFalse(self.connector.made(stray))
        self.connector.connect()
        self.assertTrue(self.connector.made(Protocol()))
        self.assertFalse(self.connector.made(stray))
        self.connector.lost(stray, Failure(connectionDone.value))
        self.assertEqual(self.factory.told, ["started", "failed: CancelledError", "started"])

    def test_disconnect_ends_what_there_is(self) -> None:
        """A dial, a connection, or nothing."""
        self.connector.disconnect()
        self.endpoint.behave = self.endpoint.hold
        self.connector.connect()
        self.connector.disconnect()
        self.assertEqual(self.factory.told, ["started", "failed: CancelledError"])
        self.endpoint.behave = self.endpoint.let_through
        self.connected()
        self.connector.disconnect()
        self.assertTrue(self.endpoint.server.transport.disconnected)

    def test_a_factory_that_breaks_is_logged(self) -> None:
        self.endpoint.fail_with(ConnectError())
        self.factory.is_broken = True
        self.connector.connect()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
