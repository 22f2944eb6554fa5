"""HTTP calls on real sockets: deadlines, caps, dead connections, certificates."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.internet import reactor, tcp
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tests.fakes.answers import Answer
from tests.fakes.slack import FakeSlack
from tests.fakes.tls import Pair, TLSFiles, make_tls
from tests.live.running import until
from tutumwatch.http import NoResponse, Request, Response, Web, load_trust_root
from tutumwatch.secret import Secret

SHORT_SECONDS = 0.3


def open_clients() -> list[object]:
    """Give our ends of the connections that are open in this process."""
    return [r for r in reactor.getReaders() if isinstance(r, tcp.Client)]


class HTTPLiveTestCase(TestCase):
    """Gives each test a server and a client."""

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits a coroutine here
        """Start the server."""
        self.fake = await self.listen()
        self.web = self.client()

    async def listen(self, pair: Pair | None = None) -> FakeSlack:
        """Start a server, with TLS if there is a certificate; stopped when the test ends."""
        context = None if pair is None else pair.context_factory()
        fake = await FakeSlack.listen(reactor, ssl_context_factory=context)
        self.addCleanup(lambda: Deferred.fromCoroutine(fake.stop()))
        return fake

    def client(self, ca: Path | None = None) -> Web:
        """Make a client; its connections are closed when the test ends."""
        root = None if ca is None else load_trust_root(str(ca))
        web = Web.over_sockets(reactor, time.time, root)
        self.addCleanup(lambda: Deferred.fromCoroutine(web.close()))
        return web

    async def post(
        self, url: str | None = None, seconds: float = 5.0, web: Web | None = None
    ) -> Response | NoResponse:
        """Post a text."""
        request = Request("POST", Secret(url or self.fake.url), {}, b'{"text": "x"}')
        return await (web or self.web).send(request, seconds)


class AnswerTests(HTTPLiveTestCase):
    """What comes back."""

    async def test_connections_are_kept_and_used_again(self) -> None:
        for _ in range(3):
            self.assertEqual(await self.post(), Response(200, b"ok"))
        self.assertEqual(self.fake.tcp_connection_count, 1)
        await self.web.close()
        await self.fake.when(lambda fake: fake.tcp_connection_count == 0)

    async def test_a_redirect_is_not_followed(self) -> None:
        """A credential goes nowhere but where the configuration says."""
        elsewhere = await self.listen()
        for status in (301, 302, 303, 307, 308):
            self.fake.answer_next(Answer.redirect(elsewhere.url, status))
            self.assertEqual(await self.post(), Response(status, b""))
        self.assertEqual(elsewhere.requests, [])

    async def test_retry_after(self) -> None:
        self.fake.answer_next(Answer.throttled("7"))
        self.assertEqual(await self.post(), Response(429, b"", 7.0))

    async def test_an_answer_of_http_1_0_without_a_length_is_an_answer(self) -> None:
        """Its end is that of the connection, as simple servers do it; else we would repeat it."""
        self.fake.answer_next(Answer.raw("HTTP/1.0 200 OK\r\n\r\nok"))
        self.assertEqual(await self.post(), Response(200, b"ok"))

    async def test_one_that_is_cut_off_is_none(self) -> None:
        self.fake.answer_next(Answer.raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"))
        self.assertEqual(
            await self.post(),
            NoResponse(
                timed_out=False, sentence="the connection was closed before the whole answer came"
            ),
        )

    async def test_one_that_is_no_http_is_none(self) -> None:
        self.fake.answer_next(Answer.raw("hello\r\n\r\n"))
        answer = await self.post()
        self.assertEqual(
            answer, NoResponse(timed_out=False, sentence="what was answered is not HTTP")
        )

    async def test_a_body_has_a_cap(self) -> None:
        """However much a server sends, 4 MiB are kept, and the connection is closed."""
        self.fake.answer_next(Answer(200, b"x" * 4_194_304), Answer(200, b"x" * 4_194_305))
        answer = await self.post()
        assert isinstance(answer, Response)
        self.assertEqual(len(answer.body), 4_194_304)
        self.assertEqual(
            await self.post(),
            NoResponse(timed_out=False, sentence="the answer is larger than 4194304 bytes"),
        )
        await self.fake.when(lambda fake: fake.tcp_connection_count == 0)


class DeadlineTests(HTTPLiveTestCase):
    """The deadline covers the whole call, and ends its connection."""

    def assert_late(self, answer: Response | NoResponse, began: float) -> None:
        """Fail unless a call ended in time, without an answer, and nobody knows what it did."""
        self.assertEqual(
            answer,
            NoResponse(timed_out=True, sentence="no answer within 0.3 s", surely_unsent=False),
        )
        self.assertLess(time.monotonic() - began, 3.0)

    async def test_no_headers(self) -> None:
        began = time.monotonic()
        self.fake.answer_next(Answer.hang())
        self.assert_late(await self.post(seconds=SHORT_SECONDS), began)
        await self.fake.when(lambda fake: fake.tcp_connection_count == 0)

    async def test_a_body_that_stalls(self) -> None:
        """The headers came long before; a client that only watches those would wait for ever."""
        began = time.monotonic()
        self.fake.answer_next(Answer.slow_body(200, "o"))
        self.assert_late(await self.post(seconds=SHORT_SECONDS), began)
        await self.fake.when(lambda fake: fake.tcp_connection_count == 0)

    async def test_a_body_that_trickles(self) -> None:
        """Each byte comes soon, the end never does."""
        began = time.monotonic()
        self.fake.answer_next(Answer.slow_body(200, "o" * 1_000))
        self.assert_late(await self.post(seconds=SHORT_SECONDS), began)

    async def test_cancelled_it_ends_its_connection(self) -> None:
        self.fake.answer_next(Answer.hang())
        request = Request("POST", Secret(self.fake.url), {}, b"{}")
        call = self.web.send(request, 5.0)
        await self.fake.when(lambda fake: len(fake.requests) == 1)
        call.cancel()
        self.assertEqual(
            await call, NoResponse(timed_out=True, sentence="ended by us before an answer came")
        )
        await self.fake.when(lambda fake: fake.tcp_connection_count == 0)


class ConnectionTests(HTTPLiveTestCase):
    """Connections that cannot be made, or that die."""

    async def test_a_kept_connection_that_the_peer_closed_is_not_used(self) -> None:
        """Idle connections are closed by servers all the time; that is no failure."""
        self.fake.answer_next(Answer.raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
        self.assertEqual(await self.post(), Response(200, b"ok"))
        await until(lambda: open_clients() == [])
        self.assertEqual(await self.post(), Response(200, b"ok"))

    async def test_one_that_dies_under_a_request_may_have_delivered_it(self) -> None:
        """The POST is not repeated behind our back, and nothing is proved."""
        await self.post()
        self.fake.answer_next(Answer.accept_then_reset())
        self.assertEqual(
            await self.post(),
            NoResponse(
                timed_out=False, sentence="the connection was closed before the whole answer came"
            ),
        )
        self.assertEqual(self.fake.texts, ["x", "x"])

    async def test_a_get_is_asked_again_on_a_new_connection(self) -> None:
        """That is harmless, and saves a look-up whose connection had just died."""
        await self.post()
        self.fake.answer_next(Answer.reset())
        request = Request("GET", Secret(self.fake.url), {})
        self.assertEqual(await self.web.send(request, 5.0), Response(400, b"invalid_payload"))

    async def test_refused(self) -> None:
        await self.fake.refuse_connections()
        answer = await self.post()
        assert isinstance(answer, NoResponse)
        self.assertIn("Connection was refused", answer.sentence)
        self.assertEqual((answer.timed_out, answer.surely_unsent), (False, True))

    async def test_an_unknown_host_name(self) -> None:
        answer = await self.post("http://no-such-host.invalid/s3cr3t")
        assert isinstance(answer, NoResponse)
        self.assertIn("the host name cannot be resolved", answer.sentence)
        self.assertNotIn("s3cr3t", answer.sentence)
        self.assertEqual((answer.timed_out, answer.surely_unsent), (False, True))


class CertificateTests(HTTPLiveTestCase):
    """Over TLS, only who shows the right certificate is told anything."""

    files: TLSFiles

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits a coroutine here
        """Make certificates, too."""
        await super().setUp()
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.files = make_tls(Path(directory.name))

    async def assert_refused(self, pair: Pair, ca: Path | None, sentence: str) -> None:
        """Fail unless a server with this certificate is not believed, and was sent nothing."""
        fake = await self.listen(pair)
        self.assertEqual(
            await self.post(fake.url, web=self.client(ca)),
            NoResponse(timed_out=False, sentence=sentence, surely_unsent=True),
        )
        self.assertEqual(fake.requests, [])
        await fake.when(lambda fake: fake.tcp_connection_count == 0)

    async def test_a_private_ca(self) -> None:
        fake = await self.listen(self.files.good)
        answer = await self.post(fake.url, web=self.client(self.files.ca))
        self.assertEqual(answer, Response(200, b"ok"))
        self.assertTrue(fake.url.startswith("https://"))

    async def test_an_unknown_authority(self) -> None:
        sentence = "TLS: certificate verify failed"
        await self.assert_refused(self.files.good, None, sentence)
        await self.assert_refused(self.files.good, self.files.other_ca, sentence)

    async def test_a_wrong_host_name(self) -> None:
        await self.assert_refused(
            self.files.wrong_host,
            self.files.ca,
            "the server's certificate is not for this host name",
        )

    async def test_tls_to_a_server_without_it(self) -> None:
        """It is not known how far that got."""
        answer = await self.post(self.fake.url.replace("http:", "https:"), seconds=SHORT_SECONDS)
        assert isinstance(answer, NoResponse)
        self.assertFalse(answer.surely_unsent)

    async def test_a_frozen_peer_cannot_keep_its_connection(self) -> None:
        """Closing TLS politely would wait for its answer, for ever, once for each retry."""
        fake = await self.listen(self.files.good)
        fake.answer_next(Answer.slow_body(200, "o"))
        web = self.client(self.files.ca)
        request = Request("POST", Secret(fake.url), {}, b"{}")
        call = web.send(request, 1.0)
        await fake.when(lambda fake: len(fake.requests) == 1)
        for connection in list(fake._connections.protocols):
            connection.transport.pauseProducing()
        self.assertEqual(await call, NoResponse(timed_out=True, sentence="no answer within 1 s"))
        await until(lambda: open_clients() == [])
