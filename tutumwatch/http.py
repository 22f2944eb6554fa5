"""HTTP out of this process: the one place that touches treq.

A call gives a :class:`Response` or, when none came, a :class:`NoResponse` that says why in a
sentence for an operator. The deadline covers the request *and* the body, the body has a cap, and
redirects are never followed: credentials go where the configuration says and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import attrs
from OpenSSL import SSL, crypto
from service_identity.exceptions import VerificationError
from treq.client import HTTPClient
from twisted.internet import ssl
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionClosed,
    DNSLookupError,
)
from twisted.internet.error import TimeoutError as ConnectTimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web._newclient import ParseError
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    HTTPConnectionPool,
    ResponseDone,
    _HTTP11ClientFactory,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse

from tutumwatch.endpoints import HostEndpoints
from tutumwatch.plain_url import URL, as_plain_url
from tutumwatch.secret import Secret

if TYPE_CHECKING:
    from twisted.internet._sslverify import IOpenSSLTrustRoot

BODY_MAX_BYTES = 4 * 1024 * 1024
CONNECT_TIMEOUT_SECONDS = 5.0
DEADLINE_SECONDS = 10.0
# Below the idle time after which common servers close (nginx 75 s, many balancers 60 s, some 20 s):
# a POST on a connection that the peer just closed would fail and wait for its retry.
IDLE_CONNECTION_SECONDS = 15.0
CONNECTIONS_PER_HOST_COUNT = 32
REASON_MAX_CHARS = 300
UNKNOWN_AUTHORITY = "certificate verify failed"

_PEM_CERTIFICATE = re.compile(
    rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\s*", re.DOTALL
)


@attrs.frozen
class Request:
    """What to send. URL, headers and body may hold credentials, so a Request prints none of them.

    ``secrets``: the credentials in headers and body, to be blotted out of what is answered.
    """

    method: str
    url: Secret
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes | None = attrs.field(default=None, repr=False)
    secrets: tuple[Secret, ...] = ()


@attrs.frozen
class Response:
    """What came back. ``retry_after_seconds`` is read from both forms of ``Retry-After``."""

    status: int
    body: bytes = attrs.field(repr=False)
    retry_after_seconds: float | None = None


@attrs.frozen
class NoResponse:
    """Nothing usable came back.

    ``surely_unsent`` says that it is proved that the server cannot have acted on the request: no
    connection was made.
    """

    timed_out: bool
    sentence: str
    surely_unsent: bool = False


class HTTPCaller(Protocol):
    """Makes one call; what :class:`Web` is, and what a test may stand in for."""

    def send(self, request: Request, deadline_seconds: float) -> Deferred[Response | NoResponse]:
        """Send a request; the Deferred never fails."""


class _Requester(Protocol):
    """The part of treq that we use: its HTTPClient, or its StubTreq in tests."""

    def request(self, method: str, url: URL, **options: object) -> Deferred[IResponse]: ...


class _BodyCollector(TwistedProtocol):
    """Collects a body up to a cap. Cancelling ``done`` closes the connection.

    treq's and Twisted's own readers leave the connection open when they are cancelled.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._pieces: list[bytes] = []
        self._left_bytes = limit_bytes
        self.done: Deferred[bytes] = Deferred(lambda _: self._drop())

    def _drop(self) -> None:
        # Below Twisted's proxy, which can only lose a connection: over TLS that waits for the peer.
        proxy: Any = self.transport
        connection = getattr(proxy, "_producer", None) or proxy
        (getattr(connection, "abortConnection", None) or connection.loseConnection)()

    def dataReceived(self, data: bytes) -> None:
        self._pieces.append(data)
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            self._drop()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.done.called:
            return
        if self._left_bytes < 0:
            self.done.errback(Failure(_BodyTooLargeError()))
        elif reason.check(ResponseDone, PotentialDataLoss):  # the latter: HTTP/1.0, and no length
            self.done.callback(b"".join(self._pieces))
        else:
            self.done.errback(reason)


class _QuietConnectionFactory(_HTTP11ClientFactory):
    """Makes connections without a log line for each."""

    noisy = False


class _NoCookies(CookieJar):
    """Keeps no cookie and sends none: no call of ours depends on an earlier one."""

    def add_cookie_header(self, request: object) -> None:
        """Add nothing."""

    def extract_cookies(self, response: object, request: object) -> None:
        """Take nothing."""


class _BodyTooLargeError(Exception):
    """The answer's body went over the cap."""


@attrs.define
class Web:
    """Makes HTTP calls over one pool of connections.

    :param requester: treq's HTTPClient, or a stand-in with the same ``request``.
    :param clock: measures the deadline.
    :param utc_now: gives the wall clock's time, to read a ``Retry-After`` that is a date.
    """

    _requester: _Requester
    _clock: IReactorTime
    _utc_now: Callable[[], float]
    _pool: HTTPConnectionPool | None = None

    @classmethod
    def over_sockets(
        cls,
        reactor: IReactorTime,
        utc_now: Callable[[], float],
        trust_root: IOpenSSLTrustRoot | None = None,
    ) -> Web:
        """Make calls over real sockets.

        :param trust_root: from :func:`load_trust_root`, or None for the system's own roots.
        """
        pool = HTTPConnectionPool(reactor)
        pool.maxPersistentPerHost = CONNECTIONS_PER_HOST_COUNT
        pool.cachedConnectionTimeout = IDLE_CONNECTION_SECONDS  # type: ignore[assignment]  # any number of seconds does
        pool._factory = _QuietConnectionFactory  # noqa: SLF001 - the only way to keep it from logging each connection
        policy = BrowserLikePolicyForHTTPS(trust_root)
        endpoints = HostEndpoints(reactor, policy, CONNECT_TIMEOUT_SECONDS)
        agent = Agent.usingEndpointFactory(reactor, endpoints, pool)
        return cls(
            cast("_Requester", HTTPClient(agent, cast("Any", _NoCookies()))), reactor, utc_now, pool
        )

    def send(self, request: Request, deadline_seconds: float) -> Deferred[Response | NoResponse]:
        """Send a request and read its answer; the Deferred never fails."""
        call = Deferred.fromCoroutine(self._send(request))
        call.addTimeout(deadline_seconds, self._clock, onTimeoutCancel=_explain_timeout)
        outcome: Deferred[Response | NoResponse] = call.addErrback(explain_failure)
        return outcome

    async def _send(self, request: Request) -> Response | NoResponse:
        answer = await self._requester.request(
            request.method,
            as_plain_url(request.url.reveal()),
            headers=Headers({name: [value] for name, value in request.headers.items()}),
            data=request.body,
            allow_redirects=False,
            unbuffered=True,
        )
        collector = _BodyCollector(BODY_MAX_BYTES)
        answer.deliverBody(collector)
        body = await collector.done
        waits = answer.headers.getRawHeaders("retry-after") or [""]
        return Response(answer.code, body, parse_retry_after(waits[0], self._utc_now()))

    async def close(self) -> None:
        """Close the connections that are kept for later calls."""
        if self._pool is not None:
            await self._pool.closeCachedConnections()


def parse_retry_after(text: str, utc_now: float) -> float | None:
    """Read a ``Retry-After``: seconds, or an HTTP date (RFC 9110, 10.2.3).

    :return: seconds from now, never negative; None for rubbish or nothing.
    """
    text = text.strip()
    try:
        if text[:1].isdigit():
            return float(text)
        date = parsedate_to_datetime(text)
        # The zone of a date without one is UTC, as HTTP asks of all dates.
        date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
        return max(0.0, date.timestamp() - utc_now)
    except (ValueError, TypeError, OverflowError):
        return None


def load_trust_root(path: str) -> IOpenSSLTrustRoot:
    """Read the certificates of a private CA; they replace the system's.

    :raises ValueError: naming the file, if it cannot be read or holds no certificate.
    """
    try:
        blocks = _PEM_CERTIFICATE.findall(Path(path).read_bytes())
        certificates = [ssl.Certificate.loadPEM(block) for block in blocks]
    except OSError as problem:
        message = f"cannot read certificates from {path!r}: {problem}"
        raise ValueError(message) from problem
    except crypto.Error as problem:
        message = f"{path!r} holds a certificate that is damaged"
        raise ValueError(message) from problem
    if not certificates:
        message = f"{path!r} holds no PEM certificate"
        raise ValueError(message)
    root: IOpenSSLTrustRoot = ssl.trustRootFromCertificates(certificates)
    return root


def _explain_timeout(ended: Response | NoResponse | Failure, seconds: float) -> NoResponse:
    """Say that the deadline ended a call, whatever that came to."""
    unsent = isinstance(ended, Failure) and explain_failure(ended).surely_unsent
    return NoResponse(
        timed_out=True, sentence=f"no answer within {seconds:g} s", surely_unsent=unsent
    )


def explain_failure(failure: Failure) -> NoResponse:
    """Unwrap a failed call to a sentence that an operator understands."""
    cause = innermost_error(failure.value or Exception())
    return NoResponse(
        timed_out=isinstance(
            cause, ConnectTimeoutError | CancelledError | ConnectingCancelledError
        ),
        sentence=explain_error(cause),
        surely_unsent=is_before_sending(cause),
    )


def is_before_sending(error: BaseException) -> bool:
    """Say whether an error proves that no request was sent.

    A certificate is checked before anything is sent; other TLS errors may come at any time.
    """
    refused = ConnectError | ConnectingCancelledError | DNSLookupError | VerificationError
    return isinstance(error, refused) or UNKNOWN_AUTHORITY in _words_of_openssl(error)


def innermost_error(error: BaseException) -> BaseException:
    """Follow ``.reasons`` to what really happened: Twisted wraps it up to three times."""
    reasons = getattr(error, "reasons", None)
    while reasons:
        causes = [reason.value for reason in reasons]
        error = next((c for c in causes if isinstance(c, VerificationError | SSL.Error)), causes[0])
        reasons = getattr(error, "reasons", None)
    return error


def explain_error(error: BaseException) -> str:
    """Say in a sentence what a connection failed of.

    The words of an error of no known kind are left out: they may repeat the URL.
    """
    match error:
        case _BodyTooLargeError():
            sentence = f"the answer is larger than {BODY_MAX_BYTES} bytes"
        case CancelledError() | ConnectingCancelledError():
            sentence = "ended by us before an answer came"
        case VerificationError():
            sentence = "the server's certificate is not for this host name"
        case SSL.Error():
            sentence = f"TLS: {_words_of_openssl(error) or 'the connection failed'}"
        case DNSLookupError():
            sentence = f"the host name cannot be resolved ({error})"
        case ParseError():
            sentence = "what was answered is not HTTP"
        case ConnectionClosed():
            sentence = "the connection was closed before the whole answer came"
        case OSError() | ConnectError():
            sentence = str(error).rstrip(".") or type(error).__name__
        case _:
            sentence = f"the call failed ({type(error).__name__})"
    return sentence[:REASON_MAX_CHARS]


def _words_of_openssl(error: BaseException) -> str:
    """Give the last reason of an OpenSSL error: ``Error([(library, function, reason), ...])``."""
    match error:
        case SSL.Error(args=([*_, (_, _, str(reason))],)):
            return reason
        case _:
            return ""
