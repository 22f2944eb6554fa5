"""The Autobahn edge: bytes in, hand them over. Nothing raised here may escape."""

from __future__ import annotations

from typing import Protocol as TypingProtocol
from typing import cast

import attrs
from autobahn.twisted.websocket import WebSocketClientProtocol
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from tutumwatch.http import explain_error, innermost_error


@attrs.frozen
class Ending:
    """How a connection ended, in a sentence; of a refused handshake, what the answer was."""

    said: str
    status: int | None = None
    retry_after: str = ""


class ConnectionListener(TypingProtocol):
    """Who is told what happens on a connection."""

    def opened(self, protocol: StreamProtocol) -> None:
        """The handshake succeeded."""

    def heard(self) -> None:
        """Some bytes came: the peer lives."""

    def ponged(self) -> None:
        """The peer answered a ping."""

    def received(self, payload: bytes) -> None:
        """A whole message came."""

    def ended(self, protocol: StreamProtocol, ending: Ending, reason: Failure) -> None:
        """The connection is gone; told once for each that was made."""


class StreamProtocol(WebSocketClientProtocol):
    """One connection to a Tutum Stream."""

    _log = Logger()
    listener: ConnectionListener
    # Autobahn sets these when the handshake's answer arrives, if one does.
    http_status_line = ""
    http_headers: dict[str, str] = {}  # noqa: RUF012 - Autobahn replaces it, nobody fills it
    _opened = False
    _close_said = ""

    def pause_reading(self) -> None:
        """Read nothing more from the socket for now; one more chunk may still be handed over."""
        self._producer().pauseProducing()

    def resume_reading(self) -> None:
        """Read on."""
        self._producer().resumeProducing()

    def _producer(self) -> IPushProducer:
        return cast("IPushProducer", self.transport)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes off the socket."""
        with self._log.failuresHandled("stream"):
            self.listener.heard()
        super().dataReceived(data)

    def onOpen(self) -> None:
        """Ask for a sign of life at once."""
        with self._log.failuresHandled("stream"):
            self._opened = True
            self.sendPing()
            self.listener.opened(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: FBT001 - Autobahn calls it
        """Hand a message over."""
        with self._log.failuresHandled("stream"):
            self.listener.received(payload)

    def onPong(self, payload: bytes) -> None:
        """Hand a pong on."""
        with self._log.failuresHandled("stream"):
            self.listener.ponged()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:  # noqa: FBT001 - Autobahn calls it
        """Keep what the closing handshake, or Autobahn, says."""
        # 1006 is no code that a peer sent: its reason is Autobahn's own prose.
        self._close_said = (
            f"closed by the server with {code} {reason or ''}" if wasClean else reason or ""
        )

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the end, whatever Autobahn does: an exception here would end reconnecting."""
        try:
            super().connectionLost(reason)
        finally:
            with self._log.failuresHandled("stream"):
                self.listener.ended(self, self._ending(reason), reason)

    def _ending(self, reason: Failure) -> Ending:
        words = [] if self._opened else self.http_status_line.split()
        if len(words) > 1 and words[1].isdigit():
            said = f"the server answered {' '.join(words[1:])} to the handshake"
            return Ending(said[:300], int(words[1]), str(self.http_headers.get("retry-after", "")))
        cause = innermost_error(reason.value)
        tls = type(cause).__module__.split(".")[0] in {"OpenSSL", "service_identity"}
        # Only connectionLost's own reason names a TLS failure; Autobahn says "peer dropped".
        said = explain_error(cause) if tls else self._close_said or explain_error(cause)
        return Ending(said.strip()[:300])
