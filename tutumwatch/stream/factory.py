"""Keeps one connection to a stream: an Autobahn factory that reconnects, at a delay of our own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast
from typing import Protocol as TypingProtocol

import attrs
from autobahn.twisted.websocket import WebSocketClientFactory
from twisted.internet.interfaces import IAddress, IConnector, IDelayedCall, IReactorTime
from twisted.internet.protocol import ReconnectingClientFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from tutumwatch.secret import Secret
from tutumwatch.stream.protocol import ConnectionListener, StreamProtocol
from tutumwatch.stream.settings import StreamSettings

BACKOFF_MAX_SECONDS = 60.0
RETRY_AFTER_MAX_SECONDS = 900.0
UNAUTHORIZED_SECONDS = 300.0
MESSAGE_MAX_BYTES = 1024 * 1024


class DialListener(ConnectionListener, TypingProtocol):
    """Who is told of a connection, and of attempts that came to none."""

    def failed(self, reason: Failure) -> None:
        """No connection could be made."""

    def will_retry(self, delay_seconds: float) -> None:
        """The next attempt is after this delay."""


@attrs.frozen
class _ClockTimer:
    """Autobahn's timers, for the handshake and the pings, on the clock that we were given.

    Its own run on the global reactor whatever reactor its factory is given, and up to a second
    early.
    """

    _clock: IReactorTime

    def call_later(self, seconds: float, call: Callable[[], object]) -> IDelayedCall:
        return self._clock.callLater(seconds, call)


class StreamFactory(WebSocketClientFactory, ReconnectingClientFactory):
    """Makes StreamProtocols. The delay doubles from 1 s to a minute with each attempt that fails.

    It starts anew only when :meth:`prove` is called. ``asked_delay_seconds``, what the server
    asked for, and ``is_refused`` lengthen the next delay; both are the caller's to set.
    """

    _log = Logger()
    protocol = StreamProtocol
    noisy = False
    initialDelay = 1.0
    # The base class only keeps the timer; how long it runs is decided in retry().
    factor = 1.0
    maxDelay = int(RETRY_AFTER_MAX_SECONDS)
    jitter = 0.0

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        settings: StreamSettings,
        clock: IReactorTime,
        jitter: Callable[[], float],
        listener: DialListener,
        secrets: Sequence[Secret] = (),
    ) -> None:
        """Make a factory; ``jitter`` gives a factor of about 1.

        :param secrets: taken out of what the server says when it refuses us or hangs up.
        """
        super().__init__(url, headers=dict(headers), reactor=clock, useragent="tutumwatch")
        self._batched_timer = _ClockTimer(clock)
        self.clock = cast("Any", clock)
        self.delay = self.initialDelay
        self.asked_delay_seconds = 0.0
        self.is_refused = False
        self._jitter = jitter
        self._listener = listener
        self._secrets = secrets
        self.setProtocolOptions(
            maxMessagePayloadSize=MESSAGE_MAX_BYTES,
            # Decoding does that; a message that is no UTF-8 is rejected, and the next one read.
            utf8validateIncoming=False,
            autoPingInterval=settings.ping_interval.seconds,
            autoPingTimeout=settings.ping_timeout.seconds,
            openHandshakeTimeout=settings.handshake_timeout.seconds,
            # Two more timers on the global reactor; whoever hangs up sets a limit (Connection).
            closeHandshakeTimeout=0,
            serverConnectionDropTimeout=0,
            failByDrop=True,
            tcpNoDelay=True,
        )

    def use(self, url: str, headers: Mapping[str, str], secrets: Sequence[Secret]) -> None:
        """Dial with other credentials from now on."""
        self.setSessionParameters(url, headers=dict(headers), useragent="tutumwatch")
        self._secrets = secrets

    def startedConnecting(self, connector: IConnector) -> None:
        """Record the connector, or stopTrying could not end the first attempt."""
        self.connector = connector

    def buildProtocol(self, addr: IAddress | None) -> StreamProtocol:
        """Make the protocol of one connection; its end is told to us, then to the connector."""
        protocol = cast("StreamProtocol", super().buildProtocol(addr))
        protocol.listener = self._listener
        protocol.secrets = self._secrets
        return protocol

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        """Tell that no connection could be made, then try again later."""
        with self._log.failuresHandled("stream"):  # what escaped would end reconnecting for ever
            self._listener.failed(reason)
        ReconnectingClientFactory.clientConnectionFailed(self, connector, reason)

    def retry(self, connector: IConnector | None = None) -> None:
        """Dial again after a delay of our own choosing."""
        # The exponent is bounded so that years of failures do not overflow.
        doubled = self.initialDelay * 2.0 ** min(self.retries, 16)
        backoff = min(doubled * self._jitter(), BACKOFF_MAX_SECONDS)
        asked = min(self.asked_delay_seconds, RETRY_AFTER_MAX_SECONDS)
        delay = max(backoff, asked, UNAUTHORIZED_SECONDS if self.is_refused else 0.0)
        self.delay = delay
        ReconnectingClientFactory.retry(self, connector)
        self._listener.will_retry(delay)

    def prove(self) -> None:
        """Note that the connection is good: the next delay is the first one again."""
        # resetDelay also takes back a stopTrying, and forgets a retry that is pending.
        if self.continueTrying and self._callID is None:
            self.resetDelay()

    def retry_now(self) -> None:
        """Do not wait for the delay that is running, if one is."""
        call = self._callID
        if self.continueTrying and call is not None and call.active():
            call.reset(0)
