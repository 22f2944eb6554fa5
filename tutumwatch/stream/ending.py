"""How a connection ended, in a sentence for an operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import attrs
from OpenSSL import SSL
from service_identity.exceptions import VerificationError
from twisted.internet.error import TimeoutError as ConnectTimeoutError
from twisted.python.failure import Failure

from tutumwatch.http import explain_error, innermost_error

SAID_MAX_CHARS = 300
SWITCHING_PROTOCOLS = 101


@attrs.frozen
class Ending:
    """The sentence; of a refused handshake also the answer's status and ``Retry-After``."""

    said: str
    status: int | None = None
    retry_after: str = ""


def failed_dial(reason: Failure) -> Ending:
    """Explain why no connection came to be."""
    cause = _cause_of(reason)
    if isinstance(cause, ConnectTimeoutError):  # in Twisted's words a "user timeout"
        return Ending("no connection was made in time")
    return Ending(printable(explain_error(cause)))


def refused_handshake(status_line: str, headers: Mapping[str, str]) -> Ending | None:
    """Read the answer to a handshake; None if it accepted, or is no answer.

    :param status_line: as in ``HTTP/1.1 503 Service Unavailable``.
    :param headers: with names in lower case.
    """
    version, _, answer = status_line.partition(" ")
    status = answer.strip()[:3]
    if not (status.isascii() and status.isdecimal()) or int(status) == SWITCHING_PROTOCOLS:
        return None
    said = answer if version == "HTTP/1.1" else status_line
    said = f"the server answered {printable(said)} to the handshake"
    return Ending(said, int(status), headers.get("retry-after", ""))


def lost_connection(close_said: str, reason: Failure) -> Ending:
    """Explain the end of a connection.

    :param close_said: what the closing handshake, or Autobahn, says; empty if it was ours.
    :param reason: the transport's; only it names a TLS failure, as Autobahn says "peer dropped".
    """
    cause = _cause_of(reason)
    if isinstance(cause, SSL.Error | VerificationError):
        return Ending(printable(explain_error(cause)))
    return Ending(printable(close_said) or "the connection was closed")


def _cause_of(reason: Failure) -> BaseException:
    return innermost_error(cast("BaseException", reason.value))


def printable(text: str) -> str:
    """Make a server's words fit for a log: short, on one line, without codes for a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text.strip())[:SAID_MAX_CHARS]
