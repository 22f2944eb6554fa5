"""What broke the tutorial does not break the watcher: slowness, rubbish, and malice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast
from urllib.parse import quote

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from tests.fakes import tutum_stream
from tests.fakes.answers import Answer
from tests.fakes.slack import FakeSlack
from tests.fakes.tls import Pair, make_tls
from tests.fakes.tutum import FakeTutum
from tests.fakes.tutum_events import container_event, service_event
from tests.fakes.tutum_objects import rest_object
from tests.live.running import BASIC, PAGERDUTY_KEY, TOKEN, USER, LiveTestCase, stop, until
from tests.secrets_check import parts_of
from tutumwatch.notifiers.outcomes import Reason, RetryLater
from tutumwatch.notifiers.service import NotifierService
from tutumwatch.outbox.outbox import Outbox
from tutumwatch.rules.notice import Form, Notice
from tutumwatch.stream.service import StreamService

SHOP = "5a9f0b7e-1111-4a5b-9c3d-000000000001"
WEB = "5a9f0b7e-2222-4a5b-9c3d-000000000002"
BOX = "5a9f0b7e-3333-4a5b-9c3d-000000000003"

BOX_TEXT = (
    "Your container was created on Tutum!\n"
    "Check /api/v1/container/5a9f0b7e-3333-4a5b-9c3d-000000000003/ to see more details."
)

RUBBISH = (
    b"",
    b"{",
    b"[]",
    b"[1, 2, 3]",
    b"null",
    b'"text"',
    b"\x00\x01",
    b'{"type": 7}',
    b'{"type": null}',
    b'{"action": "create"}',
    b'{"type": "container", "resource_uri": "@elsewhere.example/"}',
    b'{"type": "container", "parents": [[]]}',
    b'{"type": "container", "state": {"deep": 1}}',
    b'{"type": "' + b"x" * 100_000 + b'"}',
    b'{"type": "container", "filler": "' + b"x" * 900_000 + b'", "state": 1}',
    b"[" * 100_000,
)


def rules(*messages: str, ping: str = "30s") -> str:
    """Write a configuration with a Slack and some [[messages]]."""
    return "\n".join(
        [
            f'[streams.main]\nping_interval = "{ping}"\nping_timeout = "{ping}"',
            '[status]\nlisten = "${TUTUMWATCH_STATUS}"',
            '[notifiers.slack]\nkind = "slack"\nurl = "${SLACK_URL}"',
            *(f"[[messages]]\n{message}" for message in messages),
        ]
    )


class SlowTests(LiveTestCase):
    """The stream never waits for a destination."""

    async def test_ten_thousand_events_are_read_while_one_post_hangs(self) -> None:
        """A Slack that takes 5 s an answer delays reading by nothing."""
        await self.start_connected()
        self.slack.answer_next(Answer(delay_seconds=5.0))
        self.tutum.send(container_event(BOX))
        await self.slack.when(lambda fake: len(fake.requests) == 1)
        self.slack.answer_next(Answer())
        flood = self.tutum.flood(10_000, lambda _number: service_event(stack=""))
        counts = self.pipeline.decider.counts
        await until(lambda: counts["events"] >= 10_002, timeout_seconds=4.9)
        self.assertEqual(await flood, [10_000])
        _, health = await self.health()
        self.assertEqual(health["notifiers"]["slack"]["waiting"], 1)
        self.assertEqual(health["notifiers"]["slack"]["outcomes"], {})
        self.slack.drop_connections()
        await self.slack.when(lambda fake: len(fake.requests) == 2)


class RubbishTests(LiveTestCase):
    """After anything that a stream can say, the next event is still told."""

    async def test_messages_that_make_no_sense(self) -> None:
        await self.start_connected()
        for rubbish in RUBBISH:
            self.tutum.send(rubbish)
        self.tutum.send(container_event(BOX))
        await self.slack.when(lambda fake: BOX_TEXT in fake.texts, timeout_seconds=10)
        self.assertEqual(self.tutum.connection_count, 1)
        self.assertEqual(len(self.tutum.handshakes), 1)
        _, health = await self.health()
        self.assertEqual(health["counts"]["rejected"], len(RUBBISH) - 1)

    async def test_a_message_beyond_the_limit(self) -> None:
        """It costs the connection, and the next one works."""
        self.tutum.next_handshakes(tutum_stream.big_message(10_000_000))
        self.start()
        await self.tutum.when(lambda fake: len(fake.handshakes) == 2)
        await self.tutum.when(lambda fake: fake.connection_count == 1)
        self.tutum.send(container_event(BOX))
        await self.slack.when(lambda fake: fake.texts == [BOX_TEXT])

    async def test_half_a_message(self) -> None:
        self.tutum.next_handshakes(tutum_stream.drop_mid_frame())
        self.start()
        await self.tutum.when(lambda fake: len(fake.handshakes) == 2)
        await self.tutum.when(lambda fake: fake.connection_count == 1)
        self.tutum.send(container_event(BOX))
        await self.slack.when(lambda fake: fake.texts == [BOX_TEXT])

    async def test_a_text_that_fails(self) -> None:
        """A plain sentence goes out instead, and the next rule speaks as well."""
        self.start(
            rules(
                'name = "broken"\nmatch = { type = "container" }\nnotify = ["slack"]\n'
                'text = "{{ 1 // (state | length - 8) }}"',
                'name = "whole"\nmatch = { type = "container" }\nnotify = ["slack"]\n'
                'text = "{{ action }}"',
            )
        )
        await self.tutum.when(lambda fake: fake.connection_count == 1)
        self.tutum.send(container_event(BOX, state="Starting"))
        await self.slack.when(lambda fake: len(fake.texts) == 2)
        self.assertEqual(
            self.slack.texts,
            [
                f"container /api/v1/container/{BOX}/: create (its text failed: ZeroDivisionError)",
                "create",
            ],
        )


class MaliceTests(LiveTestCase):
    """Names that others chose do no harm."""

    async def test_a_service_called_channel_pings_nobody(self) -> None:
        self.start(
            rules(
                'name = "service"\nmatch = { type = "service" }\nnotify = ["slack"]\n'
                'text = "{{ name }} of {{ stack.name }} *runs*"'
            )
        )
        self.tutum.put(rest_object("stack", SHOP, name="<https://evil.example|shop> & <@U1>"))
        self.tutum.put(rest_object("service", WEB, name="<!channel>"))
        await self.tutum.when(lambda fake: fake.connection_count == 1)
        self.tutum.send(service_event(WEB, stack=SHOP))
        await self.slack.when(lambda fake: len(fake.texts) == 1)
        self.assertEqual(
            self.slack.texts,
            [
                "&lt;!channel&gt; of &lt;https://evil.example|shop&gt; &amp; &lt;@U1&gt; *runs*",
            ],
        )

    async def test_a_message_cannot_send_the_credentials_elsewhere(self) -> None:
        """A parent that is no resource_uri is not asked for, wherever it points."""
        await self.start_connected()
        port = self.slack.port
        for uri in (f"@127.0.0.1:{port}/", f"//127.0.0.1:{port}/", f"http://127.0.0.1:{port}/"):
            self.tutum.send(
                {
                    "type": "service",
                    "action": "create",
                    "state": "Running",
                    "resource_uri": f"/api/v1/service/{WEB}/",
                    "parents": [uri],
                }
            )
        await self.slack.when(lambda fake: len(fake.texts) == 3)
        self.assertEqual({request.method for request in self.slack.requests}, {"POST"})
        self.assertEqual(self.tutum.rest_requests, [])


class HealthTests(LiveTestCase):
    """/healthz is 200 whatever others do; what they do is in the answer."""

    async def test_all_is_well(self) -> None:
        await self.start_connected()
        self.tutum.send(container_event(BOX))
        await self.slack.when(lambda fake: len(fake.texts) == 1)
        outbox = cast("Outbox", self.watch.getServiceNamed("outbox"))
        await until(lambda: outbox.owed_counts() == {}, what="that it was delivered is noted")
        status, health = await self.health()
        self.assertEqual(status, 200)
        self.assertEqual(health["ok"], True)
        self.assertEqual(health["streams"], {"main": {"state": "Connected", "reason": ""}})
        self.assertEqual(
            health["notifiers"]["slack"],
            {"state": "Delivering", "reason": "", "waiting": 0, "outcomes": {"Delivered": 1}},
        )
        self.assertEqual(health["open_incidents"], [])

    async def test_a_silent_stream_is_closed_by_pings(self) -> None:
        """A server that accepts and is dead is dialled again; that is no fault of ours."""
        self.tutum.next_handshakes(tutum_stream.accept_then_silence())
        self.start(rules(ping="1s"))
        await self.tutum.when(lambda fake: len(fake.handshakes) == 2, timeout_seconds=8)
        status, health = await self.health()
        self.assertEqual((status, health["problems"]), (200, []))
        await self.tutum.when(lambda fake: fake.connection_count == 1)


class TLSTests(LiveTestCase):
    """A private authority is believed if the configuration names it, and nobody else is."""

    def setUp(self) -> Deferred[None]:  # type: ignore[override] # trial waits for it
        """Make certificates, too."""
        self.files = make_tls(self.folder())
        return Deferred.fromCoroutine(super().setUp())

    async def listen(self, pair: Pair) -> tuple[FakeTutum, FakeSlack]:
        """Start a Tutum and a Slack that speak TLS, with the usual credentials."""
        tutum = await FakeTutum.listen(reactor, ssl_context_factory=pair.context_factory())
        self.addCleanup(stop, tutum)
        slack = await FakeSlack.listen(reactor, ssl_context_factory=pair.context_factory())
        self.addCleanup(stop, slack)
        slack.secret_path = self.slack.secret_path
        return tutum, slack

    def start_with(self, tutum: FakeTutum, slack: FakeSlack, ca: Path | None = None) -> None:
        """Start the watcher between these two."""
        text = rules(
            'name = "box"\nmatch = { type = "container" }\nnotify = ["slack"]\n'
            'text = "{{ service.name }}"'
        )
        if ca is not None:
            text = text.replace("[streams.main]", f'[streams.main]\nca_file = "{ca}"')
            text = text.replace('kind = "slack"', f'kind = "slack"\nca_file = "{ca}"')
        self.secrets += parts_of(slack.url)
        self.start(
            text,
            TUTUM_STREAM_HOST=tutum.stream_host,
            TUTUM_REST_HOST=tutum.rest_url,
            SLACK_URL=slack.url,
        )

    async def test_a_private_authority(self) -> None:
        """On the stream, on the REST API and at the destination."""
        tutum, slack = await self.listen(self.files.good)
        self.start_with(tutum, slack, self.files.ca)
        tutum.put(rest_object("service", WEB, name="web"))
        await tutum.when(lambda fake: fake.connection_count == 1)
        tutum.send(container_event(BOX, service=WEB))
        await slack.when(lambda fake: fake.texts == ["web"])

    async def refused(self, pair: Pair, ca: Path | None, reason: str) -> None:
        """Fail unless neither stream nor destination is spoken to, and the reason is given."""
        tutum, slack = await self.listen(pair)
        self.start_with(tutum, slack, ca)
        await until(lambda: self.log.output.count(f"stream main: {reason}") > 0)
        notifier = cast("NotifierService", self.watch.getServiceNamed("notifier:slack"))
        batch = [Notice("n", Form.MESSAGE, "r", "slack", "k", "x", 1.0)]
        (outcome,) = await notifier.deliver(batch)
        self.assertEqual(outcome, RetryLater(Reason.NETWORK, reason, surely_refused=True))
        self.assertEqual((tutum.handshakes, slack.requests), ([], []))

    async def test_an_authority_that_nobody_named(self) -> None:
        await self.refused(self.files.good, None, "TLS: certificate verify failed")

    async def test_another_authority(self) -> None:
        await self.refused(self.files.good, self.files.other_ca, "TLS: certificate verify failed")

    async def test_a_certificate_for_another_host(self) -> None:
        await self.refused(
            self.files.wrong_host,
            self.files.ca,
            "the server's certificate is not for this host name",
        )


class SecretTests(LiveTestCase):
    """No failure shows a credential: in no log line, at no level, nor in the health answer.

    The check itself stands at the end of every live test.
    """

    def refuse(self, status: int) -> None:
        """Let both refuse the next request, and repeat it as many servers do."""
        path, url = self.slack.secret_path, self.slack.url
        self.slack.answer_next(
            Answer(status, f"Cannot POST {path} at {url} {json.dumps(url)} {quote(url, safe='')}")
        )
        self.pagerduty.answer_next(
            Answer(status, json.dumps({"status": "invalid", "errors": [f"no {PAGERDUTY_KEY}"]}))
        )

    def logged(self, words: str) -> int:
        """Count the log lines that say something."""
        return sum(words in str(event.get("log_format")) for event in self.log.events)

    async def test_destinations_that_refuse_us(self) -> None:
        self.refuse(404)
        self.start()
        await self.tutum.when(lambda fake: fake.connection_count == 1)
        self.tutum.send(container_event(BOX))
        await until(lambda: self.logged("does not take notices") == 2)
        _, health = await self.health()
        states = [health["notifiers"][name]["state"] for name in ("slack", "pagerduty")]
        self.assertEqual(states, ["Refused", "Refused"])

    async def test_payloads_that_are_refused(self) -> None:
        self.refuse(400)
        self.start()
        await self.tutum.when(lambda fake: fake.connection_count == 1)
        self.tutum.send(container_event(BOX))
        await until(lambda: self.logged("gave up") == 2)
        await self.health()

    async def test_hosts_that_do_not_exist(self) -> None:
        """The name of a webhook's host may be said, the webhook may not."""
        nowhere = "http://webhook.invalid"
        self.start(
            SLACK_URL=nowhere + self.slack.secret_path,
            PAGERDUTY_URL=nowhere,
            TUTUM_REST_HOST=nowhere,
        )
        await self.tutum.when(lambda fake: fake.connection_count == 1)
        self.tutum.send(container_event(BOX))
        self.tutum.send(service_event(WEB, stack=SHOP))
        await until(
            lambda: self.logged("does not take notices") == 2 and self.logged("look-up of") == 1,
            timeout_seconds=10,
        )
        self.assertIn("webhook.invalid", self.log.output)
        await self.health()

    async def test_a_stream_that_refuses_us(self) -> None:
        """With a status line that repeats what it was sent, or with Tutum's own message."""
        self.tutum.next_handshakes(
            tutum_stream.raw_answer(f"HTTP/1.1 401 no {TOKEN} {BASIC} here\r\n\r\n".encode()),
        )
        self.start()
        await until(lambda: "answered 401" in self.log.output)
        _, health = await self.health()
        self.assertEqual(health["streams"]["main"]["state"], "Unauthorized")
        self.tutum.expect(USER, "another key")
        cast("StreamService", self.watch.getServiceNamed("stream:main")).redial()
        await self.tutum.when(lambda fake: len(fake.handshakes) == 2)
        await until(lambda: "UNAUTHORIZED" in self.log.output)
        await self.health()

    async def test_a_token_in_the_query_of_the_stream(self) -> None:
        """Where a configuration asks for it, it is in the URL, and the URL is said nowhere."""
        self.tutum.next_handshakes(
            tutum_stream.refuse(503), tutum_stream.accept_then_close(4001, f"bad token {TOKEN}")
        )
        self.start(rules().replace("[streams.main]", '[streams.main]\ncredentials = "query"'))
        await self.tutum.when(lambda fake: len(fake.handshakes) == 2)
        await until(lambda: "with 4001" in self.log.output)
        self.assertIn("token=", self.tutum.handshakes[0].query)
        await self.health()
