"""The Autobahn edge: bytes in, hand them over. Nothing raised here may escape."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol as TypingProtocol

import attrs
from autobahn.twisted.websocket import WebSocketClientProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from tutumwatch.http import explain_error, innermost_error


@attrs.frozen
class Ending:
    """How a connection ended: why, in a sentence, and what the handshake's answer was if it failed."""

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


class StreamProtocol(WebSocketClientProtocol):  # type: ignore[misc]  # Autobahn has no types
    """One connection to a Tutum Stream."""

    _log = Logger()
    listener: ConnectionListener
    # Autobahn sets these when the handshake's answer arrives, if one does.
    http_status_line: str | None = None
    http_headers: Mapping[str, str] = MappingProxyType({})
    _opened = False
    _close_said = ""

    def dataReceived(self, data: bytes) -> None:
        with self._log.failuresHandled("stream"):
            self.listener.heard()
        super().dataReceived(data)

    def onOpen(self) -> None:
        with self._log.failuresHandled("stream"):
            self._opened = True
            self.sendPing()
            self.listener.opened(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: FBT001 - Autobahn calls it
        with self._log.failuresHandled("stream"):
            self.listener.received(payload)

    def onPong(self, payload: bytes) -> None:
        with self._log.failuresHandled("stream"):
            self.listener.ponged()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:  # noqa: FBT001 - Autobahn calls it
        # 1006 is no code that a peer sent: its reason is Autobahn's own prose.
        self._close_said = (
            f"closed by the server with {code} {reason or ''}" if wasClean else reason or ""
        )

    def connectionLost(self, reason: Failure) -> None:
        try:
            super().connectionLost(reason)
        finally:
            with self._log.failuresHandled("stream"):
                self.listener.ended(self, self._ending(reason), reason)

    def _ending(self, reason: Failure) -> Ending:
        words = [] if self._opened else (self.http_status_line or "").split()
        if len(words) > 1 and words[1].isdigit():
            said = f"the server answered {' '.join(words[1:])} to the handshake"
            return Ending(said[:300], int(words[1]), str(self.http_headers.get("retry-after", "")))
        cause = innermost_error(reason.value)
        tls = type(cause).__module__.split(".")[0] in {"OpenSSL", "service_identity"}
        # Only connectionLost's own reason names a TLS failure; Autobahn says "peer dropped".
        said = explain_error(cause) if tls else self._close_said or explain_error(cause)
        return Ending(said.strip()[:300])
