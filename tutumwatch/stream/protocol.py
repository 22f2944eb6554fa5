"""The Autobahn edge: bytes in, hand them over. Nothing raised here may escape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast
from typing import Protocol as TypingProtocol

from autobahn.twisted.websocket import WebSocketClientProtocol
from twisted.internet.interfaces import IPushProducer, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from tutumwatch.secret import Secret, blot_out
from tutumwatch.stream.ending import Ending, lost_connection, refused_handshake
from tutumwatch.stream.frames import split_messages

# Common servers send less than 16 KiB of headers; Autobahn would collect them without end.
HANDSHAKE_MAX_BYTES = 64 * 1024


class ConnectionListener(TypingProtocol):
    """Who is told what happens on a connection."""

    def made(self, protocol: StreamProtocol) -> None:
        """TCP is connected, and the handshake has begun."""

    def opened(self) -> None:
        """The handshake succeeded."""

    def heard(self) -> None:
        """Some bytes came: the peer lives."""

    def ponged(self) -> None:
        """The peer answered a ping."""

    def received(self, payload: bytes) -> None:
        """A whole message came."""

    def closing(self) -> None:
        """The peer said goodbye, and was answered; it ought to drop the connection now."""

    def ended(self, protocol: StreamProtocol, ending: Ending, reason: Failure) -> None:
        """The connection is gone; told once for each that was made."""


class StreamProtocol(WebSocketClientProtocol):
    """One connection to a Tutum Stream."""

    _log = Logger()
    listener: ConnectionListener
    secrets: Sequence[Secret] = ()
    # Autobahn sets these when the handshake's answer arrives, if one does.
    http_status_line = ""
    http_headers: dict[str, str] = {}  # noqa: RUF012 - Autobahn replaces it, nobody fills it
    _close_said = ""
    _is_paused = False

    def pause_reading(self) -> None:
        """Read nothing more from the socket for now; one more chunk may still be handed over."""
        self._is_paused = True
        cast("IPushProducer", self.transport).pauseProducing()

    def resume_reading(self) -> None:
        """Read on."""
        self._is_paused = False
        cast("IPushProducer", self.transport).resumeProducing()

    def onAutoPingTimeout(self) -> None:
        """Drop a peer that does not answer a ping, unless it is us who do not read the answer."""
        if self._is_paused:
            timers = cast("Any", self.factory)._batched_timer  # noqa: SLF001 - Autobahn has no other way
            self.autoPingTimeoutCall = timers.call_later(
                cast("Any", self).autoPingTimeout, self.onAutoPingTimeout
            )
        else:
            super().onAutoPingTimeout()

    def abort(self) -> None:
        """End the connection now, whatever state the closing handshake is in."""
        cast("ITCPTransport", self.transport).abortConnection()

    def connectionMade(self) -> None:
        """Begin the handshake."""
        super().connectionMade()
        with self._log.failuresHandled("stream"):
            self.listener.made(self)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes off the socket."""
        with self._log.failuresHandled("stream"):
            self.listener.heard()
        try:
            super().dataReceived(data)
        except Exception as error:  # noqa: BLE001 - Autobahn's, of a rude server; we dial again later
            self._give_up(f"the server sent what cannot be read: {error}")
        # Once open, Autobahn keeps no more than a frame's header here.
        if len(self.data) > HANDSHAKE_MAX_BYTES:
            self._give_up(f"the answer to the handshake has over {HANDSHAKE_MAX_BYTES} bytes")

    def processData(self) -> bool:  # noqa: N802 - Autobahn names it
        """Take the plain messages; the last frame, and whatever is not plain, is Autobahn's.

        It sees a frame of every packet, and with it that the peer lives.
        """
        is_between = not self.inside_message and cast("Any", self).current_frame is None
        if is_between and self.state == self.STATE_OPEN:
            messages, taken_bytes = split_messages(self.data)
            if taken_bytes:
                self.data = self.data[taken_bytes:]
            for message in messages:
                self.onMessage(message, isBinary=False)
                if self.state == self.STATE_CLOSED:
                    return False
        more: bool = super().processData()
        return more

    def _give_up(self, said: str) -> None:
        self.wasNotCleanReason = said
        self.dropConnection(abort=True)

    def onOpen(self) -> None:
        """Ask for a sign of life at once."""
        with self._log.failuresHandled("stream"):
            self.sendPing()
            self.listener.opened()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: FBT001 - Autobahn calls it
        """Hand a message over."""
        try:  # not failuresHandled, which costs as much as all the rest of a message's way here
            self.listener.received(payload)
        except Exception:  # noqa: BLE001 - one bad message must not end the stream
            self._log.failure("stream")

    def onPong(self, payload: bytes) -> None:
        """Hand a pong on."""
        with self._log.failuresHandled("stream"):
            self.listener.ponged()

    def onCloseFrame(self, code: int, reasonRaw: bytes) -> bool | None:  # noqa: N803 - Autobahn names it
        """Answer a goodbye. Autobahn then waits for the peer to hang up, without any limit."""
        skip: bool | None = super().onCloseFrame(code, reasonRaw)
        with self._log.failuresHandled("stream"):
            self.listener.closing()
        return skip

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:  # noqa: FBT001 - Autobahn calls it
        """Keep what the closing handshake, or Autobahn, says."""
        if wasClean and not self.closedByMe:
            self._close_said = f"closed by the server with {code or 'no code'} {reason or ''}"
        elif not wasClean:
            said = self.wasNotCleanReason or ""
            self._close_said = said.removeprefix("I dropped the WebSocket TCP connection: ")

    def failHandshake(self, reason: str) -> None:  # noqa: N802 - Autobahn names it
        """Fail a handshake. Autobahn logs the reason, which may repeat what we sent."""
        super().failHandshake(self._without_secrets(reason))

    def _without_secrets(self, said: str) -> str:
        return blot_out(said.encode("utf-8", "replace"), self.secrets).decode()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the end, whatever happens: what escaped here would end reconnecting for ever."""
        ending = Ending("the connection is gone")
        with self._log.failuresHandled("stream"):
            # Autobahn reads the reason only to log it, and breaks at some errors of TLS.
            super().connectionLost(connectionDone)
        with self._log.failuresHandled("stream"):
            status_line = self._without_secrets(self.http_status_line)
            answer = refused_handshake(status_line, self.http_headers)
            ending = answer or lost_connection(self._without_secrets(self._close_said), reason)
        with self._log.failuresHandled("stream"):
            self.listener.ended(self, ending, reason)
