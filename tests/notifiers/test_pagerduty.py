"""Tests of PagerDuty's Events API, both versions: bytes, limits, and how every answer is read."""

from __future__ import annotations

import json
from typing import Any

import attrs
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.pagerduty import LIMIT_COUNT, LIMIT_WINDOW_SECONDS, FakePagerDuty
from tests.fakes.scripted import Received
from tests.notifiers.cases import ALL_STATUSES, answer, notice
from tutumwatch.notifiers.outcomes import Delivered, GiveUp, Outcome, Park, Reason, RetryLater
from tutumwatch.notifiers.pagerduty import (
    KIND,
    PACE,
    PagerDuty,
    PagerDutySettings,
    incident_key,
    make_pagerduty,
)
from tutumwatch.notifiers.statuses import judge_status
from tutumwatch.outbox.gate import Gate
from tutumwatch.rules.notice import Form, Notice, Severity
from tutumwatch.secret import Secret

KEY = "0123456789abcdef0123456789abcdef"
HOST = "https://events.pagerduty.example"
V1 = PagerDuty(Secret(KEY), "v1", HOST, "tutumwatch", details=False)
V1_DETAILS = PagerDuty(Secret(KEY), "v1", HOST, "tutumwatch", details=True)
V2 = PagerDuty(Secret(KEY), "v2", HOST + "/", "tutumwatch", details=True)
V2_BARE = PagerDuty(Secret(KEY), "v2", HOST, "tutumwatch", details=False)
DETAILS = {"type": "service", "name": "web", "stream": "main"}
FORMS = (Form.TRIGGER, Form.RESOLVE, Form.MESSAGE)

WRONG_KEY = (
    '{"status":"invalid event","message":"Event object is invalid",'
    '"errors":["Length of \'routing_key\' is incorrect (should be 32 characters)"]}'
)
WRONG_EVENT = (
    '{"status":"invalid event","message":"Event object is invalid",'
    '"errors":["event_type is invalid (must be one of: trigger acknowledge resolve)"]}'
)
WRONG_JSON = (
    '{"status":"unrecognized object","message":"Event object format is unrecognized",'
    '"errors":["JSON parse error"]}'
)


def body_of(notifier: PagerDuty, said: Notice) -> Any:  # noqa: ANN401 - JSON
    """Render a notice and give its body, decoded."""
    return json.loads(notifier.render([said], {}).body or b"")


def judge(notifier: PagerDuty, status: int, body: str = "", after: float | None = None) -> Outcome:
    """Judge an answer."""
    (outcome,) = notifier.judge([notice()], answer(status, body, after))
    return outcome


class Version1Tests(SynchronousTestCase):
    """Bodies of version 1."""

    def test_without_details_it_has_the_tutorials_four_fields(self) -> None:
        request = V1.render([notice("closed.", Form.TRIGGER, "tutum-stream", DETAILS)], {})
        self.assertEqual(request.method, "POST")
        self.assertEqual(request.url.reveal(), f"{HOST}/generic/2010-04-15/create_event.json")
        self.assertEqual(request.headers, {"Content-Type": "application/json"})
        self.assertEqual(
            request.body,
            b'{"service_key":"0123456789abcdef0123456789abcdef","event_type":"trigger",'
            b'"incident_key":"tutum-stream","description":"closed."}',
        )

    def test_a_resolve_has_the_same_four(self) -> None:
        self.assertEqual(
            body_of(V1, notice("open.", Form.RESOLVE, "tutum-stream", DETAILS)),
            {
                "service_key": KEY,
                "event_type": "resolve",
                "incident_key": "tutum-stream",
                "description": "open.",
            },
        )

    def test_with_details_it_says_more(self) -> None:
        self.assertEqual(
            body_of(V1_DETAILS, notice("web is down", Form.TRIGGER, "k", DETAILS)),
            {
                "service_key": KEY,
                "event_type": "trigger",
                "incident_key": "k",
                "description": "web is down",
                "details": {**DETAILS, "rule": "service down", "text": "web is down"},
                "client": "tutumwatch",
            },
        )

    def test_client_is_for_triggers_only(self) -> None:
        self.assertNotIn("client", body_of(V1_DETAILS, notice(form=Form.RESOLVE)))
        self.assertIn("client", body_of(V1_DETAILS, notice(form=Form.MESSAGE)))


class Version2Tests(SynchronousTestCase):
    """Bodies of version 2."""

    def test_a_trigger(self) -> None:
        request = V2.render([notice("web is down", Form.TRIGGER, "k", DETAILS)], {})
        self.assertEqual(request.url.reveal(), f"{HOST}/v2/enqueue")
        self.assertEqual(
            json.loads(request.body or b""),
            {
                "routing_key": KEY,
                "event_action": "trigger",
                "dedup_key": "k",
                "client": "tutumwatch",
                "payload": {
                    "summary": "web is down",
                    "source": "main",
                    "severity": "critical",
                    "timestamp": "2026-01-02T03:04:05.678+00:00",
                    "custom_details": {**DETAILS, "rule": "service down", "text": "web is down"},
                },
            },
        )

    def test_a_resolve_needs_no_payload(self) -> None:
        self.assertEqual(
            V2.render([notice("web is up", Form.RESOLVE, "k", DETAILS)], {}).body,
            b'{"routing_key":"0123456789abcdef0123456789abcdef","event_action":"resolve",'
            b'"dedup_key":"k"}',
        )

    def test_without_details_it_has_what_is_required(self) -> None:
        payload = body_of(V2_BARE, notice("down", Form.TRIGGER))["payload"]
        self.assertEqual(
            payload,
            {
                "summary": "down",
                "source": "tutumwatch",
                "severity": "critical",
                "timestamp": "2026-01-02T03:04:05.678+00:00",
            },
        )


class ChangeEventTests(SynchronousTestCase):
    """A message that tells of a change, and asks nobody to act."""

    def changed(self, text: str = "web deployed") -> Notice:
        """Make such a notice."""
        return attrs.evolve(notice(text, Form.MESSAGE, "web", DETAILS), is_change=True)

    def test_it_is_a_change_event_of_version_2(self) -> None:
        """It has no severity, no key, no client: none of them is a field of a change event."""
        request = V2.render([self.changed()], {})
        self.assertEqual(request.url.reveal(), f"{HOST}/v2/change/enqueue")
        self.assertEqual(
            json.loads(request.body or b""),
            {
                "routing_key": KEY,
                "payload": {
                    "summary": "web deployed",
                    "source": "main",
                    "timestamp": "2026-01-02T03:04:05.678+00:00",
                    "custom_details": {**DETAILS, "rule": "service down", "text": "web deployed"},
                },
            },
        )
        self.assertEqual(request.secrets, (Secret(KEY),))

    def test_the_fake_takes_it(self) -> None:
        """It checks what is documented, and opens no incident."""
        for notifier in (V2, V2_BARE):
            request = notifier.render([self.changed()], {})
            path, body = request.url.reveal().removeprefix(HOST), request.body or b""
            fake = FakePagerDuty(MemoryReactorClock())
            fake.strict_keys = True
            answered = fake.process(Received(0.0, "POST", path, "", {}, body))
            self.assertEqual((answered.status, len(fake.changes)), (202, 1))
            self.assertEqual((fake.incidents, fake.events), ([], []))

    def test_without_details_it_says_what_and_when(self) -> None:
        payload = body_of(V2_BARE, self.changed())["payload"]
        self.assertEqual(set(payload), {"summary", "source", "timestamp"})

    def test_it_is_cut_and_never_empty(self) -> None:
        for text, summary in (("ü" * 2_000, "ü" * 1_023 + "…"), (" ", "service down")):
            self.assertEqual(body_of(V2, self.changed(text))["payload"]["summary"], summary)

    def test_a_refusal_does_not_hold_up_pages(self) -> None:
        """A key of an event orchestration, or another host, may take pages and no changes."""
        for status, body in ((400, WRONG_KEY), (401, ""), (403, ""), (404, "no such page")):
            refusal = answer(status, body)
            (said,) = V2.judge([notice()], refusal)
            assert isinstance(said, Park)
            self.assertEqual(
                V2.judge([self.changed()], refusal), [GiveUp(said.reason, said.said)], status
            )

    def test_all_else_is_read_as_for_pages(self) -> None:
        for status in (*range(200, 400), 429, *range(500, 600)):
            self.assertEqual(
                V2.judge([self.changed()], answer(status)), V2.judge([notice()], answer(status))
            )
        portal = answer(200, "<html>Log in</html>")
        self.assertIsInstance(V2.judge([self.changed()], portal)[0], Park)

    def test_in_version_1_it_is_judged_as_the_trigger_that_it_is(self) -> None:
        self.assertEqual(V1.judge([self.changed()], answer(404)), [Park(Reason.CLIENT, "404")])

    def test_version_1_knows_no_changes(self) -> None:
        """A trigger that a person closes is better than nothing."""
        request = V1.render([self.changed()], {})
        self.assertEqual(request, V1.render([notice("web deployed", Form.MESSAGE, "web")], {}))
        self.assertEqual(json.loads(request.body or b"")["event_type"], "trigger")

    def test_a_message_without_change_is_a_trigger_of_the_least_severity(self) -> None:
        """A message has no severity of its own: it is "info"."""
        said = Notice("id", Form.MESSAGE, "deploys", "pd", "web", "web deployed", 1.0)
        body = body_of(V2, said)
        self.assertEqual((body["event_action"], body["dedup_key"]), ("trigger", "id"))
        self.assertEqual(body["payload"]["severity"], "info")

    def test_an_incident_has_the_severity_of_its_rule(self) -> None:
        for severity in Severity:
            said = attrs.evolve(notice(form=Form.TRIGGER), severity=severity)
            self.assertEqual(body_of(V2, said)["payload"]["severity"], severity.value)


class LimitTests(SynchronousTestCase):
    """Nothing that is sent is longer than PagerDuty takes, and no trigger is empty."""

    def summary(self, notifier: PagerDuty, text: str) -> str:
        """Give what the incident would be called."""
        body = body_of(notifier, notice(text, Form.TRIGGER))
        said: str = body["description"] if notifier.api == "v1" else body["payload"]["summary"]
        return said

    def test_a_text_is_cut_at_1024_characters(self) -> None:
        for notifier in (V1, V2):
            self.assertEqual(self.summary(notifier, "ü" * 1_024), "ü" * 1_024)
            self.assertEqual(self.summary(notifier, "ü" * 1_025), "ü" * 1_023 + "…")

    def test_an_empty_text_still_pages(self) -> None:
        """An event without a description would be refused, and nobody would be woken."""
        for notifier in (V1, V2):
            for text in ("", " \n"):
                self.assertEqual(self.summary(notifier, text), "service down")

    def test_a_key_of_255_characters_is_sent_as_it_is(self) -> None:
        self.assertEqual(incident_key(notice(key="k" * 255)), "id of web is down")
        self.assertEqual(incident_key(notice(form=Form.TRIGGER, key="k" * 255)), "k" * 255)

    def test_of_a_longer_one_the_digest_is_sent(self) -> None:
        """The same for trigger and resolve, so that the incident is closed again."""
        keys = [
            incident_key(notice(form=form, key="k" * 256)) for form in (Form.TRIGGER, Form.RESOLVE)
        ]
        digest = "ce16fe78208a4e93f7158e62393680e025b2ad584f4e875ce903a654bb74cf93"
        self.assertEqual(keys, [digest, digest])
        self.assertNotEqual(keys[0], incident_key(notice(form=Form.TRIGGER, key="k" * 257)))

    def test_each_message_is_an_incident_of_its_own(self) -> None:
        """People close it; the resource's lane key would append them all to the first."""
        for notifier, name in ((V1, "incident_key"), (V2, "dedup_key")):
            body = body_of(notifier, notice("deployed", Form.MESSAGE, "web"))
            self.assertEqual(body[name], "id of deployed")
            self.assertEqual(body.get("event_type") or body.get("event_action"), "trigger")

    def test_a_body_stays_far_below_512_kb(self) -> None:
        details = {f"name {number}": "\x00" * 100_000 for number in range(6)}
        body = V2.render([notice("\x00" * 100_000, Form.TRIGGER, "\x00" * 300, details)], {}).body
        self.assertLess(len(body or b""), 100_000)

    def test_the_key_is_in_no_repr(self) -> None:
        request = V2.render([notice()], {})
        self.assertNotIn(KEY, f"{V2!r} {request!r}")
        self.assertEqual(request.secrets, (Secret(KEY),))


class JudgePagerDutyTests(SynchronousTestCase):
    """How every answer is read."""

    def test_every_status_without_a_body(self) -> None:
        for notifier in (V1, V2):
            for status in ALL_STATUSES:
                expected = judge_status(answer(status))
                if (notifier.api, status) == ("v1", 403):
                    expected = RetryLater(Reason.RATE_LIMITED, "403", None, surely_refused=True)
                self.assertEqual(judge(notifier, status), expected, (notifier.api, status))

    def test_its_own_successes_are_delivered(self) -> None:
        for status, name in ((200, "incident_key"), (202, "dedup_key")):
            body = f'{{"status":"success","message":"Event processed","{name}":"k"}}'
            self.assertEqual(judge(V1, status, body), Delivered())
            self.assertEqual(judge(V2, status, body), Delivered())

    def test_a_web_page_is_not_pagerduty(self) -> None:
        """A portal's page with status 200 must not swallow a page."""
        for notifier in (V1, V2):
            self.assertEqual(
                judge(notifier, 200, "\n<html>Log in</html>"),
                Park(Reason.CLIENT, "this is not PagerDuty: 200 <html>Log in</html>"),
            )

    def test_version_1_says_403_when_it_throttles(self) -> None:
        self.assertEqual(
            judge(V1, 403, "", 9.0),
            RetryLater(Reason.RATE_LIMITED, "403", 9.0, surely_refused=True),
        )
        self.assertEqual(judge(V2, 403, "no"), Park(Reason.AUTH, "403 no"))

    def test_a_refused_key_parks_the_destination(self) -> None:
        """The pages that wait are not lost: the key can be put right."""
        bodies = (
            WRONG_KEY,
            WRONG_KEY.replace("routing_key", "service_key"),
            '{"errors":["x","\'service_key\' is missing or blank"]}',
        )
        for body in bodies:
            for notifier in (V1, V2):
                self.assertEqual(judge(notifier, 400, body), Park(Reason.AUTH, f"400 {body}"[:204]))

    def test_a_bad_event_is_given_up(self) -> None:
        others = (
            "",
            "nonsense",
            '{"errors":"routing_key"}',
            '{"errors":[1]}',
            "[" * 100_000,
            "\x80",
        )
        for body in (WRONG_EVENT, WRONG_JSON, *others):
            for notifier in (V1, V2):
                judged = judge(notifier, 400, body)
                self.assertIsInstance(judged, GiveUp, (judged, body[:50]))

    def test_a_server_error_may_have_been_accepted(self) -> None:
        self.assertEqual(judge(V2, 500, "no"), RetryLater(Reason.SERVER, "500 no"))


class MakePagerDutyTests(SynchronousTestCase):
    """The settings of ``kind = "pagerduty"``."""

    def problem(self, **settings: Any) -> str:  # noqa: ANN401 - any setting
        """Give what is wrong with some settings."""
        made = PagerDutySettings(kind="pagerduty", **({"key": Secret(KEY)} | settings))
        return str(self.assertRaises(ValueError, make_pagerduty, made))

    def test_a_key_is_enough(self) -> None:
        self.assertEqual(
            make_pagerduty(PagerDutySettings(kind="pagerduty", key=Secret(KEY))),
            PagerDuty(
                Secret(KEY), "v2", "https://events.pagerduty.com", "tutumwatch", details=True
            ),
        )

    def test_a_key_of_version_2_has_32_characters(self) -> None:
        self.assertEqual(
            self.problem(key=Secret("S3cret")),
            "key: an integration key has 32 characters, this one 6",
        )
        self.assertEqual(self.problem(key=Secret("")), "key: it is empty")

    def test_version_1_takes_any_key(self) -> None:
        settings = PagerDutySettings(kind="pagerduty", key=Secret("short"), api="v1")
        self.assertEqual(make_pagerduty(settings).key.reveal(), "short")

    def test_the_host_is_a_url(self) -> None:
        self.assertTrue(
            self.problem(host="events.pagerduty.com").startswith("host: expected a URL")
        )

    def test_the_client_has_a_name(self) -> None:
        self.assertEqual(self.problem(client=""), "client: it is empty")

    def test_it_drops_orphans_and_escapes_nothing(self) -> None:
        self.assertTrue(KIND.drops_orphans)
        self.assertEqual(KIND.escape("<&>"), "<&>")


class PaceTests(SynchronousTestCase):
    """PagerDuty takes about 120 events in a sliding minute for one key."""

    def test_no_minute_sees_more_than_it_takes(self) -> None:
        gate, now, sent = Gate(PACE, lambda: 1.0), 1_000.0, []
        while now < 1_300.0:
            gate.take(now)
            sent.append(now)
            now = gate.opens_at
        most = max(sum(t <= later < t + LIMIT_WINDOW_SECONDS for later in sent) for t in sent)
        self.assertEqual(most, LIMIT_COUNT)
