"""Tests of HTTP calls, over a stub: answers, sentences, deadlines, Retry-After."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL
from service_identity.exceptions import VerificationError
from treq.testing import StubTreq
from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web._newclient import (
    ParseError,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.server import Request as ServerRequest

from tests.fakes.tls import make_tls
from tutumwatch.http import (
    NoResponse,
    Request,
    Response,
    Web,
    explain_error,
    explain_failure,
    load_trust_root,
    parse_retry_after,
)
from tutumwatch.secret import Secret

# Wed, 21 Oct 2015 07:28:00 GMT
NOW = 1_445_412_480.0
LOST = Failure(error.ConnectionLost())


def no_response(sentence: str, *, unsent: bool = False) -> NoResponse:
    """Make what a call comes to that failed."""
    return NoResponse(timed_out=False, sentence=sentence, surely_unsent=unsent)


def late(sentence: str, *, unsent: bool = False) -> NoResponse:
    """Make what a call comes to whose time was up."""
    return NoResponse(timed_out=True, sentence=sentence, surely_unsent=unsent)


class ScriptedResource(Resource):
    """Answers every request as a function says, and keeps what came."""

    isLeaf = True

    def __init__(self, respond: Callable[[ServerRequest], bytes | int]) -> None:
        super().__init__()
        self._respond = respond
        self.seen: list[tuple[bytes, bytes, Mapping[bytes, Sequence[bytes]], bytes]] = []

    def render(self, request: ServerRequest) -> bytes | int:
        """Keep a request and answer it."""
        headers = dict(request.requestHeaders.getAllRawHeaders())
        body = request.content.read() if request.content is not None else b""
        self.seen.append((request.method, request.uri, headers, body))
        return self._respond(request)


def status(code: int, body: bytes = b"", **headers: str) -> Callable[[ServerRequest], bytes]:
    """Make a function that answers so."""

    def respond(request: ServerRequest) -> bytes:
        request.setResponseCode(code)
        for name, value in headers.items():
            request.setHeader(name.replace("_", "-"), value)
        return body

    return respond


class WebTestCase(SynchronousTestCase):
    """Gives each test a clock; no timer may be left."""

    def setUp(self) -> None:
        """Make the clock."""
        self.clock = Clock()
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))

    def web(self, requester: Any) -> Web:  # noqa: ANN401 - StubTreq, or what stands in for it
        """Make calls through a stand-in for treq."""
        return Web(requester, self.clock, lambda: NOW)

    def request(self, body: bytes | None = b"{}") -> Request:
        """Make a request."""
        return Request("POST", Secret("https://host.example/s3cr3t?a=b"), {"X-Key": "k"}, body)

    def answer_of(
        self, respond: Callable[[ServerRequest], bytes | int], body: bytes | None = b"{}"
    ) -> tuple[Response | NoResponse, ScriptedResource]:
        """Make one call to a server that answers so."""
        resource = ScriptedResource(respond)
        stub = StubTreq(resource)
        call = self.web(stub).send(self.request(body), 10.0)
        stub.flush()
        return self.successResultOf(call), resource

    def failed_with(self, failure: Failure | Exception) -> NoResponse:
        """Make one call that fails so."""

        class _Failing:
            def request(self, *_args: object, **_options: object) -> Deferred[Any]:
                return fail(failure)

        answer = self.successResultOf(self.web(_Failing()).send(self.request(), 10.0))
        assert isinstance(answer, NoResponse)
        return answer


class SendTests(WebTestCase):
    """A request is sent as it is, and its answer read as it is."""

    def test_what_is_sent(self) -> None:
        answer, resource = self.answer_of(status(200, b"fine"), b'{"a":1}')
        self.assertEqual(answer, Response(200, b"fine"))
        ((method, uri, headers, body),) = resource.seen
        self.assertEqual((method, uri, body), (b"POST", b"/s3cr3t?a=b", b'{"a":1}'))
        self.assertEqual(headers[b"X-Key"], [b"k"])

    def test_without_a_body(self) -> None:
        _, resource = self.answer_of(status(200), None)
        self.assertEqual(resource.seen[0][3], b"")

    def test_every_status_is_an_answer(self) -> None:
        for code in (200, 204, 301, 302, 307, 400, 401, 404, 429, 500, 503):
            answer, resource = self.answer_of(status(code, location="https://elsewhere.example/"))
            self.assertEqual(answer, Response(code, b""))
            self.assertEqual(len(resource.seen), 1, "a redirect was followed")

    def test_retry_after_is_read_in_both_forms(self) -> None:
        for text, seconds in (("7", 7.0), ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0), ("soon", None)):
            answer, _ = self.answer_of(status(429, retry_after=text))
            self.assertEqual(answer, Response(429, b"", seconds))

    def test_a_request_and_its_answer_print_no_content(self) -> None:
        printed = f"{self.request(b's3cr3t')!r} {Response(200, b's3cr3t')!r}"
        self.assertNotIn("s3cr3t", printed)

    def test_closing_without_a_pool_is_nothing(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.web(None).close()))


class DeadlineTests(WebTestCase):
    """The deadline covers request and body."""

    def test_no_answer_in_time(self) -> None:
        stub = StubTreq(ScriptedResource(lambda _request: NOT_DONE_YET))
        call = self.web(stub).send(self.request(), 10.0)
        self.clock.advance(9.9)
        self.assertNoResult(call)
        self.clock.advance(0.1)
        self.assertEqual(self.successResultOf(call), late("no answer within 10 s"))

    def test_a_body_that_does_not_end_in_time(self) -> None:
        def begin(request: ServerRequest) -> int:
            request.write(b"begun")
            return NOT_DONE_YET

        stub = StubTreq(ScriptedResource(begin))
        call = self.web(stub).send(self.request(), 2.5)
        stub.flush()
        self.clock.advance(2.5)
        self.assertEqual(
            self.successResultOf(call),
            late("no answer within 2.5 s"),
        )

    def test_cancelled_it_says_so(self) -> None:
        stub = StubTreq(ScriptedResource(lambda _request: NOT_DONE_YET))
        call = self.web(stub).send(self.request(), 10.0)
        call.cancel()
        self.assertEqual(
            self.successResultOf(call),
            late("ended by us before an answer came"),
        )

    def test_a_connection_that_is_not_made_in_time_was_surely_not_used(self) -> None:
        """A deadline shorter than the time allowed for connecting."""

        class _Connecting:
            def request(self, *_args: object, **_options: object) -> Deferred[Any]:
                return Deferred(lambda d: d.errback(error.ConnectingCancelledError("address")))

        call = self.web(_Connecting()).send(self.request(), 1.0)
        self.clock.advance(1.0)
        self.assertEqual(
            self.successResultOf(call),
            late("no answer within 1 s", unsent=True),
        )


class FailureTests(WebTestCase):
    """A call that fails gives a sentence, and says whether it is proved that nothing was sent."""

    def test_refused(self) -> None:
        answer = self.failed_with(error.ConnectionRefusedError(111, "Connection refused"))
        self.assertEqual(
            answer,
            no_response(
                "Connection was refused by other side: 111: Connection refused", unsent=True
            ),
        )

    def test_not_connected_in_time(self) -> None:
        answer = self.failed_with(error.TimeoutError())
        self.assertEqual((answer.timed_out, answer.surely_unsent), (True, True))

    def test_an_unknown_host_name(self) -> None:
        answer = self.failed_with(error.DNSLookupError("no results for x.example"))
        self.assertEqual(
            answer,
            no_response(
                "the host name cannot be resolved (DNS lookup failed: no results for x.example.)",
                unsent=True,
            ),
        )

    def test_failures_are_unwrapped_whole(self) -> None:
        """Twisted wraps what happened up to three times."""
        inner = Failure(ResponseNeverReceived([LOST]))
        answer = self.failed_with(ResponseFailed([Failure(RequestTransmissionFailed([inner]))]))
        self.assertEqual(
            answer,
            no_response("the connection was closed before the whole answer came"),
        )

    def test_of_several_reasons_tls_is_told(self) -> None:
        unknown = SSL.Error([("SSL routines", "", "certificate verify failed")])
        wrapped = ResponseNeverReceived([LOST, Failure(unknown)])
        self.assertEqual(
            self.failed_with(wrapped), no_response("TLS: certificate verify failed", unsent=True)
        )
        wrapped = ResponseNeverReceived([LOST, Failure(VerificationError([]))])
        self.assertEqual(
            self.failed_with(wrapped),
            no_response("the server's certificate is not for this host name", unsent=True),
        )

    def test_other_tls_errors_prove_nothing(self) -> None:
        """They may come after the request was sent and acted on."""
        for problem, sentence in (
            (SSL.Error([("SSL routines", "", "bad record mac")]), "TLS: bad record mac"),
            (SSL.Error([]), "TLS: the connection failed"),
            (SSL.Error(), "TLS: the connection failed"),
            (SSL.SysCallError(-1, "Unexpected EOF"), "TLS: the connection failed"),
        ):
            answer = self.failed_with(ResponseNeverReceived([Failure(problem)]))
            self.assertEqual(answer, no_response(sentence), problem)

    def test_what_is_no_http(self) -> None:
        wrapped = ResponseNeverReceived([Failure(ParseError("wrong number of parts", b"s3cr3t"))])
        self.assertEqual(self.failed_with(wrapped), no_response("what was answered is not HTTP"))

    def test_of_an_unknown_error_only_its_name_is_told(self) -> None:
        """Its words may repeat the URL, which may be a credential."""
        answer = self.failed_with(ValueError("Invalid URI b'https://host.example/s3cr3t'"))
        self.assertEqual(answer, no_response("the call failed (ValueError)"))

    def test_an_error_of_the_system_is_told(self) -> None:
        self.assertEqual(
            explain_error(OSError(24, "Too many open files")), "[Errno 24] Too many open files"
        )
        self.assertEqual(explain_error(OSError()), "OSError")

    def test_a_sentence_has_an_end(self) -> None:
        self.assertEqual(len(explain_error(OSError("x" * 1_000))), 300)

    def test_a_request_that_cannot_be_made_fails_like_any_other(self) -> None:
        """The Deferred never fails, whatever is raised."""

        class _Raising:
            def request(self, *_args: object, **_options: object) -> Deferred[Any]:
                raise KeyError("s3cr3t")

        answer = self.successResultOf(self.web(_Raising()).send(self.request(), 10.0))
        self.assertEqual(answer, no_response("the call failed (KeyError)"))

    def test_a_cancelled_request_in_its_wrapping(self) -> None:
        wrapped = Failure(ResponseNeverReceived([Failure(CancelledError())]))
        self.assertEqual(explain_failure(wrapped), late("ended by us before an answer came"))


class RetryAfterTests(SynchronousTestCase):
    """``Retry-After`` has two forms, and servers send others."""

    def test_seconds(self) -> None:
        for text, seconds in (("0", 0.0), ("120", 120.0), (" 7 ", 7.0), ("1.5", 1.5)):
            self.assertEqual(parse_retry_after(text, NOW), seconds, text)

    def test_a_date_means_utc_wherever_we_run(self) -> None:
        def back(zone: str | None = os.environ.get("TZ")) -> None:
            os.environ.pop("TZ", None)
            os.environ.update({} if zone is None else {"TZ": zone})
            time.tzset()

        self.addCleanup(back)
        os.environ["TZ"] = "Asia/Tokyo"
        time.tzset()
        self.test_a_date()

    def test_a_date(self) -> None:
        for text, seconds in (
            ("Wed, 21 Oct 2015 07:30:00 GMT", 120.0),
            ("Wed, 21 Oct 2015 07:00:00 GMT", 0.0),
            ("Wed, 21 Oct 2015 09:30:00 +0200", 120.0),
            ("Wed, 21 Oct 2015 07:30:00 -0000", 120.0),
            ("Wed, 21 Oct 2015 07:30:00", 120.0),
            ("Wednesday, 21-Oct-15 07:30:00 GMT", 120.0),
        ):
            self.assertEqual(parse_retry_after(text, NOW), seconds, text)

    def test_rubbish(self) -> None:
        for text in (
            "",
            "soon",
            "-5",
            "5 minutes",
            "0x10",
            "²",
            "nan",
            "Wed, 99 Oct 2015 07:30:00 GMT",
        ):
            self.assertIsNone(parse_retry_after(text, NOW), text)

    @given(st.text() | st.from_regex(r"\A[0-9]{1,400}\Z"))
    def test_whatever_it_is(self, text: str) -> None:
        seconds = parse_retry_after(text, NOW)
        self.assertTrue(seconds is None or seconds >= 0.0)


class LoadTrustRootTests(SynchronousTestCase):
    """A private CA is read from a file; what is wrong with it is told by name."""

    def setUp(self) -> None:
        """Make a directory with the files of a private CA."""
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def problem(self, content: bytes | None) -> str:
        """Give what is wrong with a file."""
        path = self.directory / "ca.pem"
        if content is not None:
            path.write_bytes(content)
        told = str(self.assertRaises(ValueError, load_trust_root, str(path)))
        self.assertIn(repr(str(path)), told)
        return told

    def test_one_or_more_certificates(self) -> None:
        """With whatever stands between them."""
        files = make_tls(self.directory)
        self.assertIsNotNone(load_trust_root(str(files.ca)))
        both = self.directory / "both.pem"
        both.write_bytes(files.ca.read_bytes() + b"# and\n" + files.other_ca.read_bytes())
        self.assertIsNotNone(load_trust_root(str(both)))

    def test_no_file(self) -> None:
        self.assertIn("No such file", self.problem(None))

    def test_no_certificate(self) -> None:
        self.assertIn("holds no PEM certificate", self.problem(b"hello"))

    def test_a_broken_certificate(self) -> None:
        broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        self.assertIn("holds a certificate that is damaged", self.problem(broken))
