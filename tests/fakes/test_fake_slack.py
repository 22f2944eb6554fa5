"""Tests of the fake webhook, and with it of the scripted answers that every fake has."""

from __future__ import annotations

import json
from typing import Any

from treq.client import HTTPClient
from twisted.internet import error, reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import ResponseNeverReceived
from twisted.web.http_headers import Headers

from tests.fakes.answers import Answer
from tests.fakes.clients import http_client, open_raw
from tests.fakes.slack import TEXT_MAX_CHARS, FakeSlack, RateLimit


class SlackTestCase(TestCase):
    """Gives each test a fake and a client."""

    fake: FakeSlack
    client: HTTPClient

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits a coroutine here
        """Start the fake."""
        self.fake = await FakeSlack.listen(reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.fake.stop()))
        self.client = http_client(self)

    async def post(self, message: object, url: str | None = None) -> tuple[int, str]:
        """Post a message as JSON and return status and body."""
        response = await self.client.post(url or self.fake.url, json=message)
        return response.code, await response.text()

    def post_unanswered(self, text: str) -> Deferred[Any]:
        """Post a text whose answer is not expected, cancelled when the test ends."""
        posted: Deferred[Any] = Deferred.fromCoroutine(self.post({"text": text}))
        posted.addErrback(lambda _failure: None)
        self.addCleanup(posted.cancel)
        return posted


class WebhookTests(SlackTestCase):
    """What the webhook accepts and what it refuses, with Slack's words."""

    async def test_a_text_is_accepted_with_ok(self) -> None:
        """A text is answered 200 and ``ok``, and kept."""
        self.assertEqual(await self.post({"text": "first"}), (200, "ok"))
        self.assertEqual(await self.post({"text": "second"}), (200, "ok"))
        self.assertEqual(self.fake.texts, ["first", "second"])

    async def test_a_request_is_recorded_whole(self) -> None:
        """The record has all that the client sent and the status it was answered."""
        headers = Headers({"X-Odd": ["1"]})
        url = f"{self.fake.url}?a=b"
        await (await self.client.post(url, json={"text": "x"}, headers=headers)).text()
        (seen,) = self.fake.requests
        self.assertEqual(
            (seen.method, seen.path, seen.query), ("POST", self.fake.secret_path, "a=b")
        )
        self.assertEqual(
            (seen.headers["x-odd"], seen.json(), seen.status), ("1", {"text": "x"}, 200)
        )
        self.assertLessEqual(seen.time, reactor.seconds())

    async def test_the_older_form_is_accepted(self) -> None:
        """The form field ``payload`` holds the same JSON."""
        payload = json.dumps({"text": "a + b & c"})
        response = await self.client.post(self.fake.url, data={"payload": payload})
        self.assertEqual((response.code, await response.text()), (200, "ok"))
        self.assertEqual(self.fake.texts, ["a + b & c"])

    async def test_bad_messages_are_refused_with_slacks_token(self) -> None:
        """Each kind of bad message has its token."""
        section = {"type": "section", "text": {"type": "mrkdwn", "text": ""}}
        header = {"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}
        bad: list[tuple[object, str]] = [
            ({"text": ""}, "no_text"),
            ({}, "no_text"),
            ([], "invalid_payload"),
            ({"text": {}}, "invalid_payload"),
            ({"text": "x", "blocks": [section]}, "invalid_blocks"),
            ({"text": "x", "blocks": [header]}, "invalid_blocks"),
            ({"text": "x", "blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
            ({"text": "x", "blocks": ["divider"]}, "invalid_blocks"),
            ({"text": "x", "attachments": [{}] * 101}, "too_many_attachments"),
        ]
        for message, token in bad:
            self.assertEqual(await self.post(message), (400, token))
        response = await self.client.post(self.fake.url, data=b"{")
        self.assertEqual((response.code, await response.text()), (400, "invalid_payload"))
        self.assertEqual(response.headers.getRawHeaders("content-type"), ["text/html"])
        response = await self.client.get(self.fake.url)
        self.assertEqual((response.code, await response.text()), (400, "invalid_payload"))
        self.assertEqual(self.fake.texts, [])

    async def test_blocks_and_attachments_need_no_text(self) -> None:
        """A message of blocks or attachments alone is one."""
        section = {"type": "section", "text": {"type": "mrkdwn", "text": "x"}}
        self.assertEqual(await self.post({"blocks": [section]}), (200, "ok"))
        self.assertEqual(await self.post({"attachments": [{"text": "x"}]}), (200, "ok"))

    async def test_a_text_that_is_too_long_is_cut_off(self) -> None:
        """Slack truncates silently, and so does the fake."""
        self.assertEqual(await self.post({"text": "x" * (TEXT_MAX_CHARS + 1)}), (200, "ok"))
        self.assertEqual(len(self.fake.texts[0]), TEXT_MAX_CHARS)

    async def test_another_path_is_no_service(self) -> None:
        """The path is the credential."""
        self.assertEqual(
            await self.post({"text": "x"}, f"{self.fake.base_url}/services/T/B/other"),
            (404, "no_service"),
        )
        self.fake.secret_path = "/services/T/B/other"
        self.assertEqual(await self.post({"text": "x"}), (200, "ok"))

    async def test_a_rate_above_the_limit_is_throttled(self) -> None:
        """Past the burst the answer is 429 with Retry-After, and the text is not kept."""
        self.fake.rate_limit = RateLimit(burst_count=2)
        for _ in range(2):
            await self.post({"text": "x"})
        response = await self.client.post(self.fake.url, json={"text": "x"})
        self.assertEqual(response.code, 429)
        self.assertEqual(response.headers.getRawHeaders("retry-after"), ["1"])
        self.assertEqual(self.fake.texts, ["x", "x"])


class RateLimitTests(SynchronousTestCase):
    """The token bucket alone, with the time given."""

    def test_tokens_come_back_at_the_rate(self) -> None:
        """A burst, then one for each second."""
        limit = RateLimit(per_second=1.0, burst_count=2)
        self.assertEqual([limit.wait_seconds(10.0) for _ in range(3)], [0.0, 0.0, 1.0])
        self.assertEqual([limit.wait_seconds(11.0) for _ in range(2)], [0.0, 1.0])
        self.assertEqual([limit.wait_seconds(99.0) for _ in range(3)], [0.0, 0.0, 1.0])


class ScriptedAnswerTests(SlackTestCase):
    """Every scripted answer, as a client meets it."""

    async def test_answers_come_in_order_then_the_default(self) -> None:
        """Queued answers first, then the one for always, then the service's own."""
        self.fake.answer_next(Answer(500, "rollup_error"), Answer(403, "invalid_token"))
        self.fake.answer_always(Answer(503))
        got = [await self.post({"text": str(number)}) for number in range(3)]
        self.assertEqual(got, [(500, "rollup_error"), (403, "invalid_token"), (503, "")])
        self.fake.answer_ok()
        self.assertEqual(await self.post({"text": "3"}), (200, "ok"))
        self.assertEqual(self.fake.texts, ["3"])
        self.assertEqual([seen.status for seen in self.fake.requests], [500, 403, 503, 200])

    async def test_an_odd_success_is_processed(self) -> None:
        """A scripted 200 with another body still takes the text."""
        self.fake.answer_next(Answer(200, "<html>a proxy</html>"))
        self.assertEqual(await self.post({"text": "x"}), (200, "<html>a proxy</html>"))
        self.assertEqual(self.fake.texts, ["x"])

    async def test_a_failure_may_be_processed(self) -> None:
        """``processes`` overrides what the status implies."""
        self.fake.answer_next(Answer(500, processes=True))
        self.assertEqual(await self.post({"text": "x"}), (500, ""))
        self.assertEqual(self.fake.texts, ["x"])

    async def test_throttled_sends_any_retry_after(self) -> None:
        """Retry-After is sent as it is given, or left out."""
        self.fake.answer_next(Answer.throttled("soon"), Answer.throttled())
        for expected in (["soon"], None):
            response = await self.client.post(self.fake.url, json={"text": "x"})
            self.assertEqual(response.code, 429)
            self.assertEqual(response.headers.getRawHeaders("retry-after"), expected)

    async def test_a_redirect_has_a_location(self) -> None:
        """The client is sent elsewhere and told where."""
        self.fake.answer_next(Answer.redirect("http://elsewhere.invalid/"))
        response = await self.client.post(self.fake.url, json={"text": "x"}, allow_redirects=False)
        self.assertEqual(response.code, 302)
        location = response.headers.getRawHeaders("location")
        self.assertEqual(location, ["http://elsewhere.invalid/"])

    async def test_hang_records_and_never_answers(self) -> None:
        """The request is seen, its text not kept, and no byte comes back."""
        self.fake.answer_next(Answer.hang())
        posted = self.post_unanswered("x")
        await self.fake.when(lambda fake: len(fake.requests) == 1)
        self.assertFalse(posted.called)
        self.assertEqual((self.fake.texts, self.fake.requests[0].status), ([], None))

    async def test_accept_then_hang_keeps_the_text(self) -> None:
        """The message is in the channel, and the client cannot know."""
        self.fake.answer_next(Answer.accept_then_hang())
        posted = self.post_unanswered("x")
        await self.fake.when(lambda fake: fake.texts == ["x"])
        self.assertFalse(posted.called)

    async def test_slow_body_stalls_after_the_headers(self) -> None:
        """Status, headers and the body's beginning come; the body's end never does."""
        self.fake.answer_next(Answer.slow_body())
        request = f"POST {self.fake.secret_path} HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n"
        raw = await open_raw(self, self.fake.port, request.encode() + b'{"text":"x"}')
        await raw.when(lambda client: client.wire.endswith(b"\r\n\r\nok"))
        self.assertIn(b"HTTP/1.1 200 OK", raw.wire)
        self.assertIn(b"Content-Length: 3\r\n", raw.wire)
        self.assertIsNone(raw.lost)

    async def test_reset_drops_the_connection(self) -> None:
        """The connection ends instead of an answer; the text may have been taken or not."""
        self.fake.answer_next(Answer.reset(), Answer.accept_then_reset())
        for text in ("lost", "taken"):
            with self.assertRaises(ResponseNeverReceived):
                await self.post({"text": text})
        self.assertEqual(self.fake.texts, ["taken"])

    async def test_raw_sends_exactly_these_bytes(self) -> None:
        """What is no HTTP at all can be sent too."""
        self.fake.answer_next(Answer.raw("SMTP ready\r\n"))
        raw = await open_raw(self, self.fake.port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await raw.when(lambda client: client.lost is not None)
        self.assertEqual(raw.wire, b"SMTP ready\r\n")

    async def test_a_delayed_answer_comes_late(self) -> None:
        """The request is recorded at once, the answer comes after the delay."""
        self.fake.answer_next(Answer(delay_seconds=0.05))
        began = reactor.seconds()
        self.assertEqual(await self.post({"text": "x"}), (200, "ok"))
        self.assertGreaterEqual(reactor.seconds() - began, 0.05)

    async def test_a_delayed_answer_dies_with_its_connection(self) -> None:
        """No delayed call is left when the client is gone first; trial would find it."""
        self.fake.answer_next(Answer(delay_seconds=60))
        posted = self.post_unanswered("x")
        await self.fake.when(lambda fake: fake.texts == ["x"])
        posted.cancel()
        await self.fake.when(lambda fake: fake.tcp_connection_count == 0)


class LifeTests(SlackTestCase):
    """Dying, coming back, and waiting."""

    async def test_a_dead_server_refuses_and_comes_back_on_its_port(self) -> None:
        """Connections are refused until it listens again, at the same URL."""
        url = self.fake.url
        await self.fake.refuse_connections()
        with self.assertRaises(error.ConnectionRefusedError):
            await self.post({"text": "x"})
        await self.fake.resume()
        self.assertEqual(self.fake.url, url)
        self.assertEqual(await self.post({"text": "x"}), (200, "ok"))

    async def test_an_awaited_text_was_answered_before_the_server_dies(self) -> None:
        """A fake may be stopped right after a condition held; the client has its answer."""
        posted = Deferred.fromCoroutine(self.post({"text": "x"}))
        await self.fake.when(lambda fake: fake.texts == ["x"])
        await self.fake.stop()
        self.assertEqual(await posted, (200, "ok"))

    async def test_stop_ends_hanging_requests(self) -> None:
        """A client that waits for an answer sees its connection end."""
        self.fake.answer_next(Answer.hang())
        posted = Deferred.fromCoroutine(self.post({"text": "x"}))
        await self.fake.when(lambda fake: len(fake.requests) == 1)
        await self.fake.stop()
        with self.assertRaises(ResponseNeverReceived):
            await posted

    async def test_when_times_out_with_what_was_seen(self) -> None:
        """The error says what was received instead."""
        await self.post({"text": "a text"})
        with self.assertRaisesRegex(TimeoutError, "FakeSlack got 1 requests.*a text"):
            await self.fake.when(lambda fake: len(fake.texts) == 2, timeout_seconds=0.01)

    async def test_when_shows_the_bug_of_a_condition(self) -> None:
        """What a condition raises reaches the test that waits, now or later."""
        with self.assertRaises(ZeroDivisionError):
            await self.fake.when(lambda _fake: 1 // 0 > 0)
        waiting = self.fake.when(lambda fake: bool(fake.texts) and 1 // 0 > 0)
        await self.post({"text": "x"})
        with self.assertRaises(ZeroDivisionError):
            await waiting

    async def test_a_wait_can_be_cancelled(self) -> None:
        """A cancelled wait is forgotten."""
        waiting = self.fake.when(lambda fake: len(fake.texts) == 1)
        waiting.cancel()
        self.failureResultOf(waiting)
        self.assertEqual(await self.post({"text": "x"}), (200, "ok"))
