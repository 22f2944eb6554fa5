"""Tests of the tutorial's four functions, against fake servers on loopback."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.config.cases import set_environment
from tests.fakes.answers import Answer
from tests.fakes.pagerduty import V1_PATH, FakePagerDuty
from tests.fakes.scripted import ScriptedServer
from tests.fakes.slack import FakeSlack
from tests.fakes.tutum import FakeTutum
from tests.secrets_check import SecretsCheckedTestCase, parts_of
from tutumwatch import tutorial
from tutumwatch.tutorial import generic_slack, get_resource, pagerduty_event, post_slack

KEY = "9a1b2c3d4e5f60718293a4b5c6d7e8f9"
USER, TOKEN = "ops", "t0k+en/with?all"
STACK = "/api/v1/stack/a4319f36-3ac9-4ff0-a5bb-0c2ee83ad5fd/"
BOX = "/api/v1/container/fa159860-9048-4d1e-8655-6285fa9e3fa2/"


class TutorialTestCase(SecretsCheckedTestCase, TestCase):
    """Gives each test an environment, a record of the log, and the check that no secret is in it."""

    def setUp(self) -> None:
        """Begin to record."""
        self.record(KEY, TOKEN)
        self.set()

    def set(self, **variables: str) -> None:
        """Make these the variables of the process."""
        set_environment(self, {"HOME": "/nonexistent", **variables})

    async def start(self, fake: ScriptedServer) -> None:
        """Stop a fake when the test ends."""
        self.addCleanup(lambda: Deferred.fromCoroutine(fake.stop()))

    def logged(self, level: str) -> list[tuple[object, object]]:
        """Give status and words of what the functions logged at a level."""
        return [
            (event.get("status"), event.get("said"))
            for event in self.log.events
            if event["log_namespace"] == "tutumwatch.tutorial" and event["log_level"].name == level
        ]

    def refusal(self, call: Callable[[], Deferred[Any]]) -> str:
        """Give the words of the ValueError that a call raises at once."""
        problem = self.assertRaises(ValueError, call)
        self.outputs.append(repr(problem))
        return str(problem)


class PagerDutyEventTests(TutorialTestCase):
    """``pagerduty_event``."""

    fake: FakePagerDuty

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits a coroutine here
        """Start a PagerDuty."""
        super().setUp()
        self.fake = await FakePagerDuty.listen(reactor)
        await self.start(self.fake)
        self.set(PAGERDUTY_URL=self.fake.url, PAGERDUTY_KEY=KEY)

    async def test_the_defaults(self) -> None:
        """A trigger that says "Tutum Stream Issue", with the key of the environment."""
        self.assertEqual(await pagerduty_event(), 200)
        (request,) = self.fake.requests
        self.assertEqual((request.method, request.path), ("POST", V1_PATH))
        self.assertEqual(
            request.json(),
            {"service_key": KEY, "event_type": "trigger", "description": "Tutum Stream Issue"},
        )
        self.assertEqual(self.logged("info"), [(200, None)])

    async def test_all_parameters(self) -> None:
        status = await pagerduty_event(
            event_type="resolve",
            incident_key="tutum-stream",
            description="Tutum Stream connection open.",
            client="Tutum",
            client_url="https://tutum.example/",
            service_key="0" * 32,
        )
        self.assertEqual(status, 200)
        self.assertEqual(
            self.fake.requests[0].json(),
            {
                "service_key": "0" * 32,
                "event_type": "resolve",
                "incident_key": "tutum-stream",
                "description": "Tutum Stream connection open.",
                "client": "Tutum",
                "client_url": "https://tutum.example/",
            },
        )

    async def test_a_refused_event_is_logged_with_message_and_errors(self) -> None:
        self.assertEqual(await pagerduty_event(event_type="resolve"), 400)
        ((status, said),) = self.logged("error")
        self.assertEqual(status, 400)
        self.assertTrue(str(said).startswith("invalid event; Event object is invalid; "), said)
        self.assertIn("incident_key", str(said))
        self.assertEqual(len(self.fake.requests), 1)

    async def test_the_error_bodies_of_the_tutorials_time(self) -> None:
        body = {"error": {"message": "Bad\nkey", "code": 2001, "errors": ["one", "two"]}}
        for answer, said in (
            (json.dumps(body), "2001; Bad\\nkey; one, two"),
            ("{}", "400 {}"),
            ("<html>", "400 <html>"),
            ("\ufffd" * 2000, "400 " + "\ufffd" * 199 + "…"),
            (json.dumps({"message": "x" * 2000}), "x" * 999 + "…"),
        ):
            self.fake.answer_next(Answer(400, answer))
            self.assertEqual(await pagerduty_event(), 400)
            self.assertEqual(self.logged("error")[-1], (400, said))

    async def test_a_server_that_repeats_the_key_does_not_bring_it_into_the_log(self) -> None:
        self.fake.answer_next(Answer(400, json.dumps({"message": f"no such key: {KEY}"})))
        await pagerduty_event()
        self.assertEqual(self.logged("error"), [(400, "no such key: [hidden]")])

    async def test_no_answer_fails_the_deferred_and_is_not_tried_again(self) -> None:
        self.fake.answer_next(Answer.reset())
        problem = await self.assertFailure(pagerduty_event(), ConnectionError)
        self.outputs.append(repr(problem))
        self.assertEqual(len(self.fake.requests), 1)

    async def test_no_connection_is_left_behind(self) -> None:
        await pagerduty_event()
        await self.fake.when(lambda fake: fake.tcp_connection_count == 0)


class PagerDutyMistakesTests(TutorialTestCase):
    """What is missing raises at once, before anything is sent."""

    def test_no_key(self) -> None:
        self.assertEqual(
            self.refusal(pagerduty_event), "no service key: give service_key, or set PAGERDUTY_KEY"
        )

    def test_a_bad_url(self) -> None:
        self.set(PAGERDUTY_KEY=KEY, PAGERDUTY_URL="events.pagerduty.com")
        self.assertTrue(self.refusal(pagerduty_event).startswith("PAGERDUTY_URL: expected a URL"))

    def test_a_key_and_its_file(self) -> None:
        self.set(PAGERDUTY_KEY=KEY, PAGERDUTY_KEY_FILE="/x")
        self.assertEqual(
            self.refusal(pagerduty_event),
            "PAGERDUTY_KEY and PAGERDUTY_KEY_FILE are both set; unset one of them",
        )


class SlackTests(TutorialTestCase):
    """``post_slack`` and ``generic_slack``."""

    fake: FakeSlack

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits a coroutine here
        """Start a Slack."""
        super().setUp()
        self.fake = await FakeSlack.listen(reactor)
        await self.start(self.fake)
        self.fake.secret_path = "/services/T0AAAAAAA/B0BBBBBBB/w3bh00kS3cr3tT0k3n"
        self.secrets += parts_of(self.fake.url)
        self.set(SLACK_URL=self.fake.url)

    async def test_the_default_text(self) -> None:
        self.assertEqual(await post_slack(), 200)
        self.assertEqual(
            self.fake.payloads, [{"text": "You received a message from Tutum Stream!"}]
        )
        self.assertEqual(self.logged("error"), [])

    async def test_a_text_is_sent_as_it_is(self) -> None:
        """Its markup is the caller's."""
        await post_slack("*bold* <https://tutum.example|here> & \u00e9")
        self.assertEqual(self.fake.texts, ["*bold* <https://tutum.example|here> & \u00e9"])

    async def test_a_webhook_may_be_named(self) -> None:
        self.set()
        self.assertEqual(await post_slack("x", slack_url=self.fake.url), 200)
        self.assertEqual(self.fake.texts, ["x"])

    async def test_a_text_over_slacks_limit_is_cut_with_a_mark(self) -> None:
        await post_slack("x" * 50_000)
        self.assertEqual(self.fake.texts, ["x" * 39_999 + "…"])

    async def test_a_refusal_is_logged_and_not_tried_again(self) -> None:
        self.fake.answer_next(Answer(404, "no_service"))
        self.assertEqual(await post_slack("x"), 404)
        self.assertEqual(self.logged("error"), [(None, "404 no_service")])
        self.assertEqual(len(self.fake.requests), 1)

    async def test_no_answer_fails_the_deferred(self) -> None:
        self.fake.answer_next(Answer.reset())
        problem = await self.assertFailure(post_slack("x"), ConnectionError)
        self.outputs.append(repr(problem))

    async def test_an_event_in_the_tutorials_words(self) -> None:
        event = {"type": "container", "action": "create", "state": "Starting", "resource_uri": BOX}
        said = f"Your container was created on Tutum!\nCheck {BOX} to see more details."
        self.assertEqual(await generic_slack(json.dumps(event)), 200)
        self.assertEqual(await generic_slack(json.dumps(event).encode()), 200)
        self.assertEqual(self.fake.texts, [said, said])

    async def test_other_verbs_are_spelled_right(self) -> None:
        await generic_slack('{"type": "service", "action": "deploy", "resource_uri": "/x/"}')
        self.assertEqual(
            self.fake.texts,
            ["Your service was deployed on Tutum!\nCheck /x/ to see more details."],
        )

    async def test_what_an_event_holds_pings_nobody(self) -> None:
        await generic_slack('{"type": "a&b", "action": "<!here>", "resource_uri": "<!channel>"}')
        self.assertEqual(
            self.fake.texts,
            [
                (
                    "Your a&amp;b was &lt;!here&gt;ed on Tutum!\n"
                    "Check &lt;!channel&gt; to see more details."
                )
            ],
        )

    async def test_what_is_no_event_raises_at_once(self) -> None:
        for message in ("", "[]", "{}", '{"type": 1}', b"\xff"):
            said = self.refusal(lambda m=message: generic_slack(m))  # type: ignore[misc] # bound now
            self.assertTrue(said.startswith("this is no event of the stream: "), said)
        self.assertEqual(self.fake.requests, [])


class SlackMistakesTests(TutorialTestCase):
    """What is missing raises at once, before anything is sent."""

    def test_no_url(self) -> None:
        for call in (post_slack, lambda: generic_slack('{"type": "stack"}')):
            self.assertEqual(self.refusal(call), "no Slack URL: give slack_url, or set SLACK_URL")

    def test_a_bad_url_is_named_and_not_repeated(self) -> None:
        self.secrets.append("hooks.slack.com/w3bh00k")
        self.set(SLACK_URL="hooks.slack.com/w3bh00k")
        self.assertTrue(self.refusal(post_slack).startswith("SLACK_URL: expected a URL"))
        said = self.refusal(lambda: post_slack("x", slack_url="hooks.slack.com/w3bh00k"))
        self.assertTrue(said.startswith("slack_url: expected a URL"))


class GetResourceTests(TutorialTestCase):
    """``get_resource``."""

    fake: FakeTutum

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits a coroutine here
        """Start a Tutum."""
        super().setUp()
        self.fake = await FakeTutum.listen(reactor)
        await self.start(self.fake)
        self.fake.expect(USER, TOKEN)
        self.set(TUTUM_REST_HOST=self.fake.rest_url, TUTUM_USERNAME=USER, TUTUM_TOKEN=TOKEN)

    async def test_the_text_of_the_answer_is_not_parsed(self) -> None:
        self.fake.answer_next(Answer(200, '{"name":  "shop",\n "state": "R\u00fcnning"}'))
        self.assertEqual(await get_resource(STACK), '{"name":  "shop",\n "state": "R\u00fcnning"}')
        (request,) = self.fake.rest_requests
        self.assertEqual((request.method, request.path, request.query), ("GET", STACK, ""))
        self.assertEqual(request.headers["accept"], "application/json")
        basic = base64.b64encode(f"{USER}:{TOKEN}".encode()).decode()
        self.assertEqual(request.headers["authorization"], f"Basic {basic}")

    async def test_the_credentials_are_those_of_the_watcher(self) -> None:
        """In the same order, from the same sources."""
        self.set(
            TUTUM_BASE_URL=f"{self.fake.rest_url}/api/v1/", TUTUM_AUTH=f"ApiKey {USER}:{TOKEN}"
        )
        self.fake.answer_next(Answer(200, "{}"))
        self.assertEqual(await get_resource(STACK), "{}")
        (request,) = self.fake.rest_requests
        self.assertEqual(request.headers["authorization"], f"ApiKey {USER}:{TOKEN}")

    async def test_an_error_is_an_answer_as_well(self) -> None:
        self.fake.answer_next(Answer(404, '{"error": "Not found"}'))
        self.assertEqual(await get_resource(STACK), '{"error": "Not found"}')

    async def test_bytes_that_are_no_text_are_replaced(self) -> None:
        self.fake.answer_next(Answer(200, b"a\xffb"))
        self.assertEqual(await get_resource(STACK), "a\ufffdb")

    async def test_no_answer_fails_the_deferred(self) -> None:
        self.fake.answer_next(Answer.reset())
        problem = await self.assertFailure(get_resource(STACK), ConnectionError)
        self.outputs.append(repr(problem))
        self.assertEqual(len(self.fake.rest_requests), 1)

    async def test_what_would_lead_elsewhere_is_refused_and_nothing_is_sent(self) -> None:
        """The tutorial put it behind the host's name, and so sent the credentials elsewhere."""
        for resource_uri in ("@elsewhere.example/", "//elsewhere.example/", "", "/api/v1/../x/1/"):
            said = self.refusal(lambda uri=resource_uri: get_resource(uri))  # type: ignore[misc] # bound now
            self.assertEqual(said, f"{resource_uri!r} is no resource_uri; nothing was sent")
        self.assertEqual(self.fake.requests, [])
        self.assertEqual(self.fake.tcp_connection_count, 0)

    async def test_no_credentials(self) -> None:
        self.set(TUTUM_REST_HOST=self.fake.rest_url)
        said = self.refusal(lambda: get_resource(STACK))
        self.assertTrue(said.startswith("Please provide authentication credentials"))
        self.assertEqual(self.fake.requests, [])


class NamesTests(SynchronousTestCase):
    """The names and parameters are the tutorial's."""

    def test_signatures(self) -> None:
        from inspect import signature

        for name, parameters in (
            (
                "pagerduty_event",
                [
                    "event_type",
                    "incident_key",
                    "description",
                    "client",
                    "client_url",
                    "service_key",
                ],
            ),
            ("post_slack", ["text", "slack_url"]),
            ("generic_slack", ["message"]),
            ("get_resource", ["resource_uri"]),
        ):
            self.assertEqual(list(signature(getattr(tutorial, name)).parameters), parameters)
