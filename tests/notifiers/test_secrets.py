"""One check for every notifier: whatever fails, its credential is in nothing that we write."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote, urlsplit

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.notifiers.cases import ALL_STATUSES, ScriptedWeb, answer, notice
from tests.outbox.cases import memory_store
from tests.secrets_check import RecordedLog, find_leaks, parts_of
from tutumwatch.http import NoResponse, Request, Response
from tutumwatch.notifiers.contract import Notifier, Pace
from tutumwatch.notifiers.outcomes import Outcome
from tutumwatch.notifiers.pagerduty import PagerDuty
from tutumwatch.notifiers.service import NotifierService
from tutumwatch.notifiers.slack import Slack
from tutumwatch.outbox.deliverer import Deliverer
from tutumwatch.outbox.digest import write_digest
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.notice import Form, Notice
from tutumwatch.secret import Secret

WEBHOOK = "https://hooks.slack.example/services/T0AB12CD/B0EF34GH/s3cr3t/+w1th=odd%chars"
KEY = "R0UT1NG+K3Y/with=odd&chars<>'\"%%"

NOTIFIERS: Mapping[str, tuple[Notifier, tuple[str, ...]]] = {
    "slack": (Slack(Secret(WEBHOOK)), parts_of(WEBHOOK)),
    "pagerduty v1": (PagerDuty(Secret(KEY), "v1", "http://x", "c", details=True), (KEY,)),
    "pagerduty v2": (PagerDuty(Secret(KEY), "v2", "http://x", "c", details=True), (KEY,)),
}


# What servers put on their error pages.
REPEATS: Sequence[Callable[[Request], object]] = (
    lambda request: request.url.reveal(),
    lambda request: urlsplit(request.url.reveal()).path,
    lambda request: html.escape(request.url.reveal()),
    lambda request: quote(urlsplit(request.url.reveal()).path),
    lambda request: request.body,
    lambda request: repr(json.loads(request.body or b"")),
    lambda request: html.escape((request.body or b"").decode()),
)


@attrs.define
class _EchoingWeb(ScriptedWeb):
    """Answers with a page that repeats a part of the request."""

    status: int = 404
    repeat: Callable[[Request], object] = lambda request: request.url.reveal()

    def send(self, request: Request, deadline_seconds: float) -> Deferred[Response | NoResponse]:
        """Answer with the request."""
        repeated = self.repeat(request)
        page = repeated if isinstance(repeated, bytes) else str(repeated).encode()
        self.answer = Response(self.status, b"bad: " + page)
        return super().send(request, deadline_seconds)


class _BrokenNotifier:
    """Has the credential in its hands when it breaks."""

    def __init__(self, notifier: Notifier, secrets: Sequence[str]) -> None:
        self._notifier = notifier
        self._secrets = secrets
        self.render = notifier.render

    def judge(self, batch: object, response: object) -> Sequence[Outcome]:
        """Raise with the credential."""
        message = f"{self._secrets} {batch} {response}"
        raise RuntimeError(message)


class NoSecretTests(SynchronousTestCase):
    """Plain, base64, percent-encoded, as repr: in no log event, traceback, outcome or report."""

    def output_of(self, notifier: Notifier, web: ScriptedWeb) -> str:
        """Deliver through everything and give all that was written or kept."""
        log, clock, store = RecordedLog(), Clock(), memory_store()
        service = NotifierService("ops", notifier, web)
        kept: list[object] = []

        async def deliver(batch: Sequence[Notice], memory: Mapping[str, str]) -> Sequence[Outcome]:
            outcomes = await service.deliver(batch, memory)
            kept.append(outcomes)
            return outcomes

        deliverer = Deliverer(
            "ops",
            deliver,
            store,
            Pace(),
            clock,
            clock.seconds,
            lambda: 1.0,
            lambda *report: kept.append(report),
            lambda held: write_digest(held, str, clock.seconds()),
        )
        for form in (Form.TRIGGER, Form.MESSAGE):
            owed = Decisions(owed=[notice(f"{form}", form, key=f"{form}")])
            for head in self.successResultOf(Deferred.fromCoroutine(store.commit(owed, 0.0))):
                deliverer.offer(head)
        deliverer.wake()
        for _ in range(70):
            clock.advance(1.0)
        deliverer.stop()
        deliverer.cancel()
        log.stop()
        self.assertTrue(kept)
        return f"{log.output} {kept} {store} {deliverer} {notifier} {service} {web.requests}"

    def assert_clean(self, name: str, web: ScriptedWeb, *, broken: bool = False) -> None:
        """Fail if anything that one notifier wrote holds its credential."""
        notifier, secrets = NOTIFIERS[name]
        used: Notifier = _BrokenNotifier(notifier, secrets) if broken else notifier
        leaks = find_leaks(self.output_of(used, web), secrets)
        self.assertEqual(leaks, [], f"{name} {web.answer}")

    def test_every_status(self) -> None:
        for name in NOTIFIERS:
            for status in ALL_STATUSES[::7]:
                self.assert_clean(name, ScriptedWeb(answer(status, "no")))

    def test_a_destination_that_repeats_the_request(self) -> None:
        for name in NOTIFIERS:
            for status in (200, 302, 400, 401, 403, 404, 413, 429, 500):
                for repeat in REPEATS:
                    self.assert_clean(name, _EchoingWeb(None, status=status, repeat=repeat))

    def test_no_answer(self) -> None:
        for name in NOTIFIERS:
            for timed_out in (True, False):
                self.assert_clean(name, ScriptedWeb(NoResponse(timed_out, "why")))

    def test_a_bug(self) -> None:
        for name in NOTIFIERS:
            self.assert_clean(name, ScriptedWeb(answer(200, "ok")), broken=True)
