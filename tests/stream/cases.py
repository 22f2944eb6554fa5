"""What most tests of the stream stand on: a service on a Clock, and everything it tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import provider

from tests.stream.fake_endpoint import FakeEndpoint
from tutumwatch.events.inputs import Link
from tutumwatch.stream.factory import DialListener, StreamFactory
from tutumwatch.stream.service import StreamService
from tutumwatch.stream.settings import StreamSettings

URL = "wss://stream.example/v1/events"
NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


def pass_time(clock: Clock, seconds: float) -> None:
    """Let time pass from one delayed call to the next: what they schedule is due in time too."""
    end = clock.seconds() + seconds
    while any(call.getTime() <= end for call in clock.getDelayedCalls()):
        due = min(call.getTime() for call in clock.getDelayedCalls())
        clock.advance(max(0.0, due - clock.seconds()))
    clock.advance(max(0.0, end - clock.seconds()))


def logged_lines(case: SynchronousTestCase, namespace: str = "tutumwatch") -> list[tuple[str, str]]:
    """Give a list that fills with our log, or with everybody's: level and text."""
    lines: list[tuple[str, str]] = []

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        if str(event.get("log_namespace")).startswith(namespace):
            lines.append((event.get("log_level", LogLevel.info).name, formatEvent(event)))

    observer = cast("ILogObserver", observe)
    globalLogPublisher.addObserver(observer)
    case.addCleanup(globalLogPublisher.removeObserver, observer)
    return lines


class ServiceTestCase(SynchronousTestCase):
    """A stream service that is not started yet; at the end nothing is left to happen.

    Neither on its clock, nor on the global reactor, which Autobahn's own timers use.
    """

    def setUp(self) -> None:
        """Make the service."""
        self.clock = Clock()
        self.global_calls = reactor.getDelayedCalls()
        self.endpoint = FakeEndpoint(self.clock)
        self.messages: list[bytes] = []
        self.links: list[Link] = []
        self.jitter_factor = 1.0
        self.log = logged_lines(self)
        self.on_message: Callable[[], None] = lambda: None
        self.on_link: Callable[[], None] = lambda: None
        self.service = StreamService(
            "main",
            self.endpoint,
            self.make_factory,
            self.clock,
            lambda: NOW + self.clock.seconds(),
            self.receive,
            self.report,
            silence_max_seconds=45.0,
        )
        self.addCleanup(self.end)

    def make_factory(self, listener: DialListener) -> StreamFactory:
        """Make the service's factory."""
        self.factory = StreamFactory(
            URL,
            {"Authorization": "Basic dTprZXk="},
            StreamSettings(),
            self.clock,
            lambda: self.jitter_factor,
            listener,
        )
        return self.factory

    def receive(self, stream: str, payload: bytes) -> None:
        """Keep a message."""
        self.assertEqual(stream, "main")
        self.messages.append(payload)
        self.on_message()

    def report(self, link: Link) -> None:
        """Keep a change of state."""
        self.links.append(link)
        self.on_link()

    def end(self) -> None:
        """Stop, and hold that nothing is left to happen."""
        stopped = self.service.stopService()
        pass_time(self.clock, 5.0)
        self.successResultOf(stopped)
        dial_count = len(self.endpoint.dials)
        pass_time(self.clock, 1_000.0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(reactor.getDelayedCalls(), self.global_calls)
        self.assertEqual(len(self.endpoint.dials), dial_count)

    @property
    def states(self) -> list[tuple[str, str]]:
        """The changes of state that were told, each with its reason."""
        return [(link.state, link.reason) for link in self.links]

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        pass_time(self.clock, seconds)

    def open(self, *messages: bytes) -> None:
        """Start the service and let the server accept, and perhaps speak."""
        self.service.startService()
        self.endpoint.server.accept()
        if messages:
            self.endpoint.server.say(*messages)
