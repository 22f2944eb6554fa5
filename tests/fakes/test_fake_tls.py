"""Tests of the private certificate authority, with fakes that listen on TLS."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase
from twisted.web.client import RequestTransmissionFailed, ResponseNeverReceived

from tests.fakes.clients import http_client, open_stream
from tests.fakes.slack import FakeSlack
from tests.fakes.tls import Pair, make_tls
from tests.fakes.tutum import FakeTutum
from tests.fakes.tutum_stream import AUTH_MESSAGE, accept_then_abort, drop_mid_frame


class TLSTests(TestCase):
    """Who trusts whom."""

    def setUp(self) -> None:
        """Make the files, outside the working directory (trial's mktemp is inside)."""
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.files = make_tls(Path(directory.name))

    async def slack(self, pair: Pair) -> FakeSlack:
        """Start a webhook that shows this certificate."""
        fake = await FakeSlack.listen(reactor, ssl_context_factory=pair.context_factory())
        self.addCleanup(lambda: Deferred.fromCoroutine(fake.stop()))
        return fake

    async def tutum(self, pair: Pair) -> FakeTutum:
        """Start a Tutum that shows this certificate."""
        fake = await FakeTutum.listen(reactor, ssl_context_factory=pair.context_factory())
        self.addCleanup(lambda: Deferred.fromCoroutine(fake.stop()))
        return fake

    async def test_a_client_that_knows_the_authority_gets_through(self) -> None:
        """HTTPS to the loopback address."""
        fake = await self.slack(self.files.good)
        client = http_client(self, self.files.trust_root())
        response = await client.post(fake.url, json={"text": "x"})
        self.assertEqual((response.code, await response.text()), (200, "ok"))
        self.assertTrue(fake.url.startswith("https://127.0.0.1:"))

    async def test_other_clients_do_not(self) -> None:
        """Neither with the unrelated authority, nor with the system's, nor for a wrong host."""
        fake = await self.slack(self.files.good)
        wrong = await self.slack(self.files.wrong_host)
        for url, root in (
            (fake.url, self.files.other_trust_root()),
            (fake.url, None),
            (wrong.url, self.files.trust_root()),
        ):
            client = http_client(self, root)
            with self.assertRaises((ResponseNeverReceived, RequestTransmissionFailed)):
                await client.post(url, json={"text": "x"})
        self.assertEqual(fake.texts + wrong.texts, [])

    async def test_the_stream_works_over_tls(self) -> None:
        """Auth, events, and a flood that waits for a client that pauses."""
        fake = await self.tutum(self.files.good)
        client = await open_stream(self, fake.stream_url, trust_root=self.files.trust_root())
        await client.when(lambda stream: stream.messages == [AUTH_MESSAGE])
        client.flow.pauseProducing()
        flooded = fake.flood(20_000, lambda _number: b"x" * 1_000)
        await fake.when(lambda tutum: tutum.floods[0].is_paused)
        self.assertFalse(flooded.called)
        client.flow.resumeProducing()
        self.assertEqual(await flooded, [20_000])
        await client.when(lambda stream: len(stream.messages) == 20_001)

    async def test_aborts_come_after_what_was_sent(self) -> None:
        """Over TLS too, the auth message arrives before the connection is cut."""
        fake = await self.tutum(self.files.good)
        for behaviour in (accept_then_abort(), drop_mid_frame()):
            fake.next_handshakes(behaviour)
            client = await open_stream(self, fake.stream_url, trust_root=self.files.trust_root())
            await client.when(lambda stream: stream.ended is not None)
            self.assertEqual(client.messages, [AUTH_MESSAGE])

    async def test_a_stream_with_a_wrong_host_is_never_opened(self) -> None:
        """The client refuses the certificate."""
        fake = await self.tutum(self.files.wrong_host)
        client = await open_stream(self, fake.stream_url, trust_root=self.files.trust_root())
        await client.when(lambda stream: stream.ended is not None)
        self.assertEqual((client.messages, fake.handshakes), ([], []))
