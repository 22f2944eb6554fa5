"""Tests of the fake Events API: what it checks, and what becomes of incidents."""

from __future__ import annotations

import json
from typing import Any

from treq.client import HTTPClient
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tests.fakes.answers import Answer
from tests.fakes.clients import http_client
from tests.fakes.pagerduty import (
    BODY_MAX_BYTES,
    CHANGE_PATH,
    LIMIT_COUNT,
    LIMIT_WINDOW_SECONDS,
    V1_PATH,
    V2_PATH,
    FakePagerDuty,
)
from tests.fakes.scripted import Received

KEY = "0123456789abcdef0123456789abcdef"


def v1(event_type: str, key: str | None = "k", description: str = "d") -> dict[str, object]:
    """Return a body of version 1."""
    body: dict[str, object] = {"service_key": KEY, "event_type": event_type}
    if key is not None:
        body["incident_key"] = key
    return {**body, "description": description}


def v2(action: str, key: str | None = "k", summary: str = "s") -> dict[str, object]:
    """Return a body of version 2."""
    body: dict[str, object] = {"routing_key": KEY, "event_action": action}
    if key is not None:
        body["dedup_key"] = key
    if action == "trigger":
        body["payload"] = {"summary": summary, "source": "host", "severity": "critical"}
    return body


def changed(**fields: object) -> dict[str, object]:
    """Return a change event with every field that it may have."""
    payload: dict[str, object] = {
        "summary": "deployed",
        "source": "host",
        "timestamp": "2026-01-02T03:04:05.678+00:00",
        "custom_details": {"image": "1.5"},
    }
    links = [{"href": "https://x/1", "text": "more"}]
    return {"routing_key": KEY, "payload": payload | fields, "links": links}


def without(body: dict[str, object], name: str) -> dict[str, object]:
    """Return a body that lacks a field."""
    return {key: field for key, field in body.items() if key != name}


class PagerDutyTestCase(TestCase):
    """Gives each test a fake and a client."""

    fake: FakePagerDuty
    client: HTTPClient

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits a coroutine here
        """Start the fake."""
        self.fake = await FakePagerDuty.listen(reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.fake.stop()))
        self.client = http_client(self)

    async def post(self, path: str, body: object) -> tuple[int, Any]:
        """Post a body and return the status and the decoded answer, None when it is empty."""
        response = await self.client.post(self.fake.url + path, json=body)
        text = await response.text()
        return response.code, json.loads(text) if text else None

    async def errors_of(self, path: str, body: object) -> str:
        """Post a body that is refused and return its one error."""
        status, answer = await self.post(path, body)
        self.assertEqual((status, answer["status"]), (400, "invalid event"))
        (error,) = answer["errors"]
        return str(error)


class Version1Tests(PagerDutyTestCase):
    """``create_event.json``."""

    async def test_a_trigger_is_accepted_with_its_key(self) -> None:
        """200, and the incident is open."""
        answer = await self.post(V1_PATH, v1("trigger", "tutum-stream", "closed"))
        expected = {
            "status": "success",
            "message": "Event processed",
            "incident_key": "tutum-stream",
        }
        self.assertEqual(answer, (200, expected))
        self.assertEqual(self.fake.open_keys(), ["tutum-stream"])
        self.assertEqual(self.fake.incidents[0].descriptions, ["closed"])
        self.assertEqual(self.fake.events, [v1("trigger", "tutum-stream", "closed")])

    async def test_a_trigger_without_a_key_is_given_one(self) -> None:
        """Each such trigger is an incident of its own."""
        keys = [(await self.post(V1_PATH, v1("trigger", None)))[1]["incident_key"] for _ in "ab"]
        self.assertEqual(self.fake.open_keys(), keys)
        self.assertEqual(len(set(keys)), 2)

    async def test_bad_events_are_refused_with_what_is_wrong(self) -> None:
        """The documented fields are checked."""
        good = v1("trigger")
        for body, error in (
            (without(good, "service_key"), "'service_key' is missing or blank"),
            (without(good, "description"), "'description' is missing or blank"),
            (v1("resolve", None), "'incident_key' is missing or blank"),
            (v1("page"), "event_type is invalid (must be one of: trigger acknowledge resolve)"),
            (v1("trigger", "k" * 256), "Length of 'incident_key' is incorrect"),
            (v1("trigger", "k", "d" * 1025), "Length of 'description' is incorrect"),
            ({**good, "description": 5}, "'description' must be a string"),
        ):
            self.assertIn(error, await self.errors_of(V1_PATH, body))
        self.assertEqual(self.fake.events, [])

    async def test_what_is_no_json_object_is_unrecognized(self) -> None:
        """Bad JSON has an error of its own."""
        for wire in (b"{", b"[]", b"\xff"):
            response = await self.client.post(self.fake.v1_url, data=wire)
            answer = json.loads(await response.text())
            self.assertEqual((response.code, answer["status"]), (400, "unrecognized object"))
            self.assertEqual(answer["errors"], ["JSON parse error"])


class Version2Tests(PagerDutyTestCase):
    """``enqueue`` and ``change/enqueue``."""

    async def test_a_trigger_is_queued(self) -> None:
        """202, and the incident is open."""
        answer = await self.post(V2_PATH, v2("trigger"))
        expected = {"status": "success", "message": "Event processed", "dedup_key": "k"}
        self.assertEqual(answer, (202, expected))
        self.assertEqual((self.fake.open_keys(), self.fake.opened_count("k")), (["k"], 1))

    async def test_bad_events_are_refused_with_what_is_wrong(self) -> None:
        """The documented fields are checked."""
        payload = {"summary": "s", "source": "h", "severity": "info"}
        for body, error in (
            (without(v2("trigger"), "routing_key"), "'routing_key' is missing or blank"),
            (v2("close"), "event_action is invalid"),
            (v2("resolve", None), "'dedup_key' is missing or blank"),
            ({**v2("trigger"), "payload": without(dict(payload), "summary")}, "'summary' is"),
            ({**v2("trigger"), "payload": without(dict(payload), "source")}, "'source' is"),
            ({**v2("trigger"), "payload": {**payload, "severity": "bad"}}, "severity is invalid"),
            (v2("trigger", "k", "s" * 1025), "Length of 'summary' is incorrect"),
        ):
            self.assertIn(error, await self.errors_of(V2_PATH, body))

    async def test_the_length_of_keys_is_checked_on_request(self) -> None:
        """``strict_keys`` wants 32 characters, in both versions."""
        short = {**v2("trigger"), "routing_key": "short"}
        self.assertEqual((await self.post(V2_PATH, short))[0], 202)
        self.fake.strict_keys = True
        self.assertEqual(
            await self.errors_of(V2_PATH, short),
            "Length of 'routing_key' is incorrect (should be 32 characters)",
        )
        self.assertEqual((await self.post(V2_PATH, v2("trigger")))[0], 202)

    async def test_a_change_event_opens_nothing(self) -> None:
        """It is accepted and kept apart."""
        body = {"routing_key": KEY, "payload": {"summary": "deployed"}}
        self.assertEqual((await self.post(CHANGE_PATH, body))[0], 202)
        self.assertEqual((self.fake.changes, self.fake.incidents), ([body], []))
        self.assertIn("'summary'", await self.errors_of(CHANGE_PATH, {"routing_key": KEY}))

    async def test_bad_change_events_are_refused_with_what_is_wrong(self) -> None:
        """The documented fields are checked; what an alert needs beside them is not."""
        good = changed()
        self.assertEqual((await self.post(CHANGE_PATH, good))[0], 202)
        for body, error in (
            (without(good, "routing_key"), "'routing_key' is missing or blank"),
            (changed(summary="s" * 1025), "Length of 'summary' is"),
            (changed(source=5), "'source' must be a string"),
            (changed(timestamp=5.0), "'timestamp' must be a string"),
            (changed(custom_details="x"), "'custom_details' must be an object"),
            ({**good, "links": {"href": "https://x/1"}}, "'links' must be objects"),
            ({**good, "links": [{"text": "x"}]}, "'links' must be objects"),
        ):
            self.assertIn(error, await self.errors_of(CHANGE_PATH, body))
        self.assertEqual(self.fake.changes, [good])

    async def test_the_key_of_a_change_event_has_32_characters(self) -> None:
        """The same key as for alerts."""
        body = {"routing_key": "short", "payload": {"summary": "deployed"}}
        self.fake.strict_keys = True
        self.assertIn("Length of 'routing_key'", await self.errors_of(CHANGE_PATH, body))

    async def test_a_body_above_the_limit_is_413(self) -> None:
        """The limit is 512 KB."""
        body = {**v2("trigger"), "client": "x" * BODY_MAX_BYTES}
        self.assertEqual(await self.post(V2_PATH, body), (413, None))

    async def test_other_paths_and_methods_are_refused(self) -> None:
        """404 and 405."""
        self.assertEqual((await self.post("/v3/enqueue", {}))[0], 404)
        response = await self.client.get(self.fake.v2_url)
        await response.text()
        self.assertEqual(response.code, 405)


class IncidentTests(PagerDutyTestCase):
    """The state machine of one key."""

    async def test_a_second_trigger_is_appended(self) -> None:
        """One incident with both descriptions."""
        await self.post(V1_PATH, v1("trigger", "k", "first"))
        await self.post(V2_PATH, v2("trigger", "k", "second"))
        (incident,) = self.fake.incidents
        self.assertEqual(incident.descriptions, ["first", "second"])

    async def test_a_resolve_closes_and_a_later_trigger_opens_another(self) -> None:
        """The counts tell how often it was opened and closed."""
        for action in ("trigger", "acknowledge", "resolve", "trigger"):
            await self.post(V2_PATH, v2(action))
        first, second = self.fake.incidents
        self.assertEqual((first.is_open, second.is_open), (False, True))
        assert first.acknowledged_at is not None
        assert first.closed_at is not None
        self.assertLessEqual(first.opened_at, first.acknowledged_at)
        self.assertLessEqual(first.acknowledged_at, first.closed_at)
        self.assertEqual(len(first.events), 3)
        self.assertEqual((self.fake.opened_count("k"), self.fake.closed_count("k")), (2, 1))

    async def test_an_orphan_is_accepted_and_dropped(self) -> None:
        """Acknowledge and resolve with nothing open change nothing."""
        for action in ("acknowledge", "resolve"):
            self.assertEqual((await self.post(V2_PATH, v2(action)))[0], 202)
        self.assertEqual((self.fake.incidents, len(self.fake.events)), ([], 2))

    async def test_another_integration_cannot_resolve(self) -> None:
        """The same key under another routing key is another incident."""
        await self.post(V2_PATH, v2("trigger"))
        await self.post(V2_PATH, {**v2("resolve"), "routing_key": KEY[::-1]})
        self.assertEqual(self.fake.open_keys(), ["k"])


class FaultTests(PagerDutyTestCase):
    """Scripted answers and the limit."""

    async def test_an_event_may_be_taken_and_never_answered(self) -> None:
        """The incident is open, and the client cannot know."""
        self.fake.answer_next(Answer.accept_then_hang())
        posted = Deferred.fromCoroutine(self.post(V2_PATH, v2("trigger")))
        posted.addErrback(lambda _failure: None)
        await self.fake.when(lambda fake: fake.open_keys() == ["k"])
        self.assertFalse(posted.called)
        posted.cancel()
        self.assertEqual((await self.post(V2_PATH, v2("trigger")))[0], 202)
        self.assertEqual(self.fake.opened_count("k"), 1)

    async def test_a_500_is_not_processed(self) -> None:
        """The event must be sent again."""
        self.fake.answer_next(Answer(500))
        self.assertEqual(await self.post(V1_PATH, v1("trigger")), (500, None))
        self.assertEqual(self.fake.incidents, [])

    def test_the_limit_is_120_in_a_sliding_minute(self) -> None:
        """Version 1 says 403 with an empty body, version 2 says 429; then there is room again."""
        self.fake.limits_rate = True
        for number in range(LIMIT_COUNT):
            self.assertEqual(self.status_at(float(number % 2), V1_PATH, v1("trigger")), 200)
        self.assertEqual(self.status_at(2.0, V1_PATH, v1("trigger")), 403)
        self.assertEqual(self.status_at(2.0, V2_PATH, v2("trigger")), 429)
        self.assertEqual(self.status_at(2.0, CHANGE_PATH, changed()), 429)
        other = {**v2("trigger"), "routing_key": KEY[::-1]}
        self.assertEqual(self.status_at(2.0, V2_PATH, other), 202)
        self.assertEqual(self.status_at(LIMIT_WINDOW_SECONDS, V2_PATH, v2("trigger")), 202)

    def status_at(self, now: float, path: str, body: object) -> int | None:
        """Return the status of an event that comes at this time."""
        wire = json.dumps(body).encode()
        return self.fake.process(Received(now, "POST", path, "", {}, wire)).status
