"""One stream as a service: its state, its messages, its end. Nobody else knows how we reconnect."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from tutumwatch.events.event import Event, decode_event
from tutumwatch.events.inputs import Link, LinkType
from tutumwatch.http import explain_error, innermost_error, parse_retry_after
from tutumwatch.stream.connector import EndpointConnector
from tutumwatch.stream.factory import DialListener, StreamFactory
from tutumwatch.stream.protocol import Ending, StreamProtocol

CONNECTED = "Connected"
DISCONNECTED = "Disconnected"
UNAUTHORIZED = "Unauthorized"

OPEN_IS_CONNECTED_SECONDS = 5.0
OPEN_IS_PROVEN_SECONDS = 10.0
CLOSE_SECONDS = 1.0
REFUSAL_MAX_BYTES = 1024
REFUSED_STATUSES = frozenset({401, 403})

FactoryMaker: TypeAlias = Callable[[DialListener], StreamFactory]


class StreamService(Service):
    """``stream:NAME``: keeps a stream open and hands over what it says.

    Connected means proof of life: a message, an answered ping, or five seconds open. A refused
    credential (401, 403, or the UNAUTHORIZED message) is a state of its own; there a pong proves
    nothing, because a server may answer it before it refuses.
    """

    _log = Logger()

    def __init__(
        self,
        name: str,
        endpoint: IStreamClientEndpoint,
        make_factory: FactoryMaker,
        clock: IReactorTime,
        now: Callable[[], float],
        receive: Callable[[str, bytes], None],
        report: Callable[[Link], None],
        silence_max_seconds: float,
    ) -> None:
        """Make the service.

        :param now: gives the watch's time; ``clock`` measures delays.
        :param receive: takes each message: the stream's name, and the bytes.
        :param report: told of each change of state.
        :param silence_max_seconds: how long a live peer can be silent: ping interval + timeout.
        """
        self.stream_name = name
        self.setName(f"stream:{name}")
        self._clock = clock
        self._now = now
        self._receive = receive
        self._report = report
        self._silence_max_seconds = silence_max_seconds
        self._factory = make_factory(self)
        self._connector = EndpointConnector(endpoint, self._factory)
        self._protocol: StreamProtocol | None = None
        self._timers: list[IDelayedCall] = []
        self._heard_at = 0.0
        self._paused = False
        self._refused_here = False
        self._suspended = ""
        self._last_said = ""
        self._closed: Deferred[None] | None = None
        self.state: str | None = None
        self.reason = ""

    # -- for whoever runs it

    def startService(self) -> None:
        """Dial."""
        super().startService()
        self._factory.continueTrying = 1
        self._connector.connect()

    async def stop(self) -> None:
        """Say goodbye to the server, for at most a second, and never dial again."""
        self.running = False
        self._factory.stopTrying()
        await self._close()

    def stopService(self) -> Deferred[None]:
        """See :meth:`stop`."""
        return Deferred.fromCoroutine(self.stop())

    def pause(self) -> None:
        """Read no further for a moment: more has arrived than was committed."""
        if not self._paused:
            self._paused = True
            if self._protocol is not None:
                self._protocol.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._paused:
            self._paused = False
            if self._protocol is not None:
                self._protocol.resume_reading()

    def suspend(self, reason: str) -> None:
        """Close the stream and stay away until :meth:`redial`: what came could not be kept."""
        self._suspended = reason
        self._factory.stopTrying()
        Deferred.fromCoroutine(self._close()).addErrback(
            lambda failure: self._log.failure("closing the stream failed", failure)
        )

    def redial(self) -> None:
        """Dial at once: after :meth:`suspend`, or instead of waiting for the next attempt."""
        if not self.running:
            return
        self._factory.is_refused = False
        if self._suspended:
            self._suspended = ""
            self._factory.continueTrying = 1
            if self._protocol is None:
                self._connector.connect()
        else:
            self._factory.retry_now()

    def silent_seconds(self) -> float:
        """Give for how long a stream that we believe Connected has been silent beyond all pings."""
        if self.state != CONNECTED:
            return 0.0
        return max(0.0, self._clock.seconds() - self._heard_at - self._silence_max_seconds)

    async def _close(self) -> None:
        protocol = self._protocol
        if protocol is None:
            self._connector.disconnect()
            return
        self.resume()  # a paused transport would never see the server's answer
        self._closed = Deferred()
        self._closed.addTimeout(CLOSE_SECONDS, self._clock)
        protocol.sendClose(1000)
        try:
            await self._closed
        except DeferredTimeoutError:
            protocol.dropConnection(abort=True)

    # -- what the connection tells (DialListener)

    def opened(self, protocol: StreamProtocol) -> None:
        """Take on a connection whose handshake succeeded."""
        self._protocol = protocol
        self._refused_here = False
        self._heard_at = self._clock.seconds()
        self._factory.asked_delay_seconds = 0.0
        if not self.running or self._suspended:
            protocol.sendClose(1000)
            return
        if self._paused:
            protocol.pause_reading()
        self._timers = [
            self._clock.callLater(OPEN_IS_CONNECTED_SECONDS, self._connected),
            self._clock.callLater(OPEN_IS_PROVEN_SECONDS, self._proven),
        ]

    def heard(self) -> None:
        """Note that the peer lives."""
        self._heard_at = self._clock.seconds()

    def ponged(self) -> None:
        """Count a pong as proof of life, unless the server just refuses us."""
        if self.state != UNAUTHORIZED:
            self._connected()

    def received(self, payload: bytes) -> None:
        """Hand a message over; the one that refuses us also changes our state."""
        if len(payload) <= REFUSAL_MAX_BYTES and b"UNAUTHORIZED" in payload:
            event = decode_event(payload)
            if isinstance(event, Event) and event.is_refusal:
                self._refuse("the server says UNAUTHORIZED")
                self._receive(self.stream_name, payload)
                return
        self._connected()
        self._receive(self.stream_name, payload)

    def ended(self, protocol: StreamProtocol, ending: Ending, reason: Failure) -> None:
        """Take note of the end of a connection, and let the factory dial again."""
        try:
            self._take_end(ending)
        finally:
            self._connector.lost(reason)
            if self._closed is not None and not self._closed.called:
                self._closed.callback(None)

    def failed(self, reason: Failure) -> None:
        """Take note of an attempt that came to no connection."""
        self._take_end(Ending(explain_error(innermost_error(reason.value))))

    def will_retry(self, delay_seconds: float) -> None:
        """Say what happened and when we try again; the same failure repeated is said once."""
        message = "stream {stream}: {reason}; next attempt in {delay:.0f} s"
        if self._last_said == self.reason:
            self._log.debug(
                message, stream=self.stream_name, reason=self.reason, delay=delay_seconds
            )
            return
        self._last_said = self.reason
        self._log.warn(message, stream=self.stream_name, reason=self.reason, delay=delay_seconds)

    # -- states

    def _connected(self) -> None:
        if self._protocol is None or self._suspended or not self.running:
            return
        if not self._refused_here:
            self._factory.is_refused = False
            self._become(CONNECTED, "")

    def _proven(self) -> None:
        self._factory.prove()
        self._last_said = ""

    def _refuse(self, said: str) -> None:
        self._factory.is_refused = self._refused_here = True
        self._become(UNAUTHORIZED, said)
        if self._protocol is not None:
            self._protocol.sendClose(1000)

    def _take_end(self, ending: Ending) -> None:
        self._protocol = None
        for timer in self._timers:
            if timer.active():
                timer.cancel()
        self._timers = []
        if not self.running:
            return
        asked = parse_retry_after(ending.retry_after, self._now())
        self._factory.asked_delay_seconds = asked or 0.0
        if self._suspended:
            self._become(DISCONNECTED, self._suspended)
        elif ending.status in REFUSED_STATUSES:
            self._refuse(ending.said)
        elif not self._factory.is_refused:
            self._become(DISCONNECTED, ending.said)

    def _become(self, state: str, reason: str) -> None:
        self.reason = reason
        if state != self.state:
            self.state = state
            self._report(Link(LinkType.STREAM, self.stream_name, state, reason, self._now()))
