"""One stream as a service: its state, its messages, its end. Nobody else knows how we reconnect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from tutumwatch.events.event import Event, decode_event
from tutumwatch.events.inputs import CONNECTED, DISCONNECTED, UNAUTHORIZED, Link, LinkType
from tutumwatch.http import parse_retry_after
from tutumwatch.secret import Secret
from tutumwatch.stream.connection import Connection
from tutumwatch.stream.connector import EndpointConnector
from tutumwatch.stream.ending import Ending, failed_dial
from tutumwatch.stream.factory import DialListener, StreamFactory
from tutumwatch.stream.protocol import StreamProtocol

OPEN_IS_CONNECTED_SECONDS = 5.0
OPEN_IS_PROVEN_SECONDS = 10.0
# A reactor that is late by less than this is not stuck.
SILENCE_SLACK_SECONDS = 2.0
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
        self._connection: Connection | None = None
        self._heard_at = 0.0
        self._paused = False
        self._suspended = ""
        self._last_said = ""
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
        connection = self._connection
        if connection is not None:
            connection.hang_up()
            await connection.gone

    def stopService(self) -> Deferred[None]:
        """See :meth:`stop`."""
        return Deferred.fromCoroutine(self.stop())

    def pause(self) -> None:
        """Read no further for a moment: more has arrived than was committed."""
        self._paused = True
        if self._connection is not None and self._connection.is_live:
            self._connection.protocol.pause_reading()

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        if self._connection is not None and self._connection.is_live:
            self._connection.protocol.resume_reading()

    def suspend(self, reason: str) -> None:
        """Close the stream and stay away until :meth:`redial`: what came could not be kept."""
        if not self.running:
            return
        self._suspended = reason
        self._factory.stopTrying()
        if self._connection is not None:
            self._connection.hang_up()
        else:
            self._become(DISCONNECTED, reason)

    def redial(self) -> None:
        """Dial at once: after :meth:`suspend`, or instead of waiting for the next attempt."""
        if not self.running:
            return
        self._factory.is_refused = False
        if not self._suspended:
            self._factory.retry_now()
            return
        self._suspended = ""
        self._factory.continueTrying = 1
        if self._connection is None:  # else it is closing, and its end has us dial again
            self._connector.connect()

    def use(self, url: str, headers: Mapping[str, str], secrets: Sequence[Secret]) -> None:
        """Dial with other credentials from now on; a connection that is open stays."""
        self._factory.use(url, headers, secrets)

    def silent_seconds(self) -> float:
        """Give for how long an open stream has been silent beyond all pings."""
        if self._connection is None or not self._connection.is_live:
            return 0.0
        silent = self._clock.seconds() - self._heard_at
        return max(0.0, silent - self._silence_max_seconds - SILENCE_SLACK_SECONDS)

    # -- what the connection tells (DialListener)

    def made(self, protocol: StreamProtocol) -> None:
        """Take on a connection, unless its attempt was given up meanwhile."""
        if self._connector.made(protocol):
            self._connection = Connection(protocol, self._clock)
        else:
            protocol.abort()

    def opened(self) -> None:
        """Begin to count the time for which a connection has been open."""
        connection = self._connection
        if connection is None:
            return
        connection.is_open = True
        connection.after(OPEN_IS_CONNECTED_SECONDS, self._connected)
        connection.after(OPEN_IS_PROVEN_SECONDS, self._proven)
        if self._paused:
            connection.protocol.pause_reading()

    def heard(self) -> None:
        """Note that the peer lives."""
        self._heard_at = self._clock.seconds()

    def ponged(self) -> None:
        """Count a pong as proof of life, unless the server just refuses us."""
        if self.state != UNAUTHORIZED:
            self._connected()

    def received(self, payload: bytes) -> None:
        """Hand a message over; the one that refuses us also changes our state.

        After the goodbye nothing is handed over: nobody could slow it down any more.
        """
        connection = self._connection
        if connection is None or not connection.is_live:
            return
        if _is_refusal(payload):
            self._refused("the server says UNAUTHORIZED")
            connection.hang_up()
        elif self.state != CONNECTED:
            self._connected()
        self._receive(self.stream_name, payload)

    def closing(self) -> None:
        """Hang up in turn."""
        if self._connection is not None:
            self._connection.hang_up()

    def ended(self, protocol: StreamProtocol, ending: Ending, reason: Failure) -> None:
        """Take note of the end of a connection, and let the factory dial again."""
        connection = self._connection
        if connection is None or protocol is not connection.protocol:
            return
        self._connection = None
        connection.forget_timers()
        try:
            self._take_end(ending)
        finally:
            connection.gone.callback(None)
            self._connector.lost(protocol, reason)

    def failed(self, reason: Failure) -> None:
        """Take note of an attempt that came to no connection."""
        self._take_end(failed_dial(reason))

    def will_retry(self, delay_seconds: float) -> None:
        """Say what happened and when we try again; the same failure repeated is said once."""
        if self._last_said != self.reason:
            self._last_said = self.reason
            self._log.warn(
                "stream {stream}: {reason}; next attempt in {delay:.0f} s",
                stream=self.stream_name,
                reason=self.reason,
                delay=delay_seconds,
            )

    # -- states

    def _connected(self) -> None:
        if self._connection is not None and self._connection.is_live:
            self._factory.is_refused = False
            self._become(CONNECTED, "")

    def _proven(self) -> None:
        self._factory.prove()
        if self._last_said:
            self._last_said = ""
            self._log.info("stream {stream}: well again", stream=self.stream_name)

    def _refused(self, said: str) -> None:
        self._factory.is_refused = True
        self._become(UNAUTHORIZED, said)

    def _take_end(self, ending: Ending) -> None:
        if not self.running:
            return
        asked = parse_retry_after(ending.retry_after, self._now())
        self._factory.asked_delay_seconds = asked or 0.0
        if self._suspended:
            self._become(DISCONNECTED, self._suspended)
        elif ending.status in REFUSED_STATUSES:
            self._refused(ending.said)
        elif not self._factory.is_refused:
            self._become(DISCONNECTED, ending.said)

    def _become(self, state: str, reason: str) -> None:
        self.reason = reason
        if state != self.state:
            self.state = state
            self._report(Link(LinkType.STREAM, self.stream_name, state, reason, self._now()))


def _is_refusal(payload: bytes) -> bool:
    if len(payload) > REFUSAL_MAX_BYTES or b"UNAUTHORIZED" not in payload:
        return False
    event = decode_event(payload)
    return isinstance(event, Event) and event.is_refusal
