"""From the outbox to PagerDuty and Slack on real sockets: one incident, in order, whatever fails."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import cast

import attrs
from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.trial.unittest import TestCase

from tests.fakes.answers import Answer
from tests.fakes.pagerduty import FakePagerDuty
from tests.fakes.scripted import ScriptedServer
from tests.fakes.slack import FakeSlack
from tests.live.running import until
from tests.notifiers.cases import notice
from tests.outbox.cases import memory_store
from tests.secrets_check import RecordedLog, find_leaks, parts_of
from tutumwatch.http import NoResponse, Request, Response, Web
from tutumwatch.notifiers import pagerduty, slack
from tutumwatch.notifiers.contract import Notifier, Pace
from tutumwatch.notifiers.pagerduty import PagerDuty
from tutumwatch.notifiers.service import NotifierService
from tutumwatch.notifiers.slack import Slack
from tutumwatch.outbox.backlog import HEADS_MAX_COUNT
from tutumwatch.outbox.deliverer import Deliverer
from tutumwatch.outbox.digest import write_digest
from tutumwatch.outbox.gate import State
from tutumwatch.outbox.outbox import Outbox
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.notice import Form, Notice
from tutumwatch.secret import Secret
from tutumwatch.tap import make_store

reactor = cast("IReactorTime", real_reactor)
KEY = "0123456789abcdef0123456789abcdef"
PATIENCE_SECONDS = 0.3
# Retries wait a twentieth of their time.
HASTE = 0.05
PAGERDUTY_PACE = attrs.evolve(pagerduty.PACE, rate_per_second=0.0)


class ImpatientWeb:
    """Makes calls with a deadline that suits a test."""

    def __init__(self, web: Web) -> None:
        self._web = web

    def send(self, request: Request, deadline_seconds: float) -> Deferred[Response | NoResponse]:
        """Make a call."""
        return self._web.send(request, min(deadline_seconds, PATIENCE_SECONDS))


class DeliveryTestCase(TestCase):
    """Gives each test an outbox whose one notifier speaks to a fake."""

    def setUp(self) -> None:
        """Make what needs no fake."""
        self.log = RecordedLog()
        self.addCleanup(self.log.stop)
        self.web = Web.over_sockets(reactor, time.time)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.web.close()))
        self.store = memory_store()
        store = self.store
        self.addCleanup(lambda: Deferred.fromCoroutine(store.close()))

    def outbox(
        self, notifier: Notifier, pace: Pace, heads_max_count: int = HEADS_MAX_COUNT
    ) -> Outbox:
        """Make an outbox; it is stopped when the test ends."""
        service = NotifierService("ops", notifier, ImpatientWeb(self.web))
        deliverer = Deliverer(
            "ops",
            service.deliver,
            self.store,
            pace,
            reactor,
            lambda: 0.0,
            lambda: HASTE,
            lambda *_: None,
            lambda held: write_digest(held, str, 0.0),
            heads_max_count,
        )
        outbox = Outbox(self.store, {"ops": deliverer}, reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(outbox.drain(0.0)))
        return outbox

    async def owe(self, outbox: Outbox, *notices: Notice) -> None:
        """Owe some notices."""
        outbox.release(await outbox.commit(Decisions(owed=list(notices)), 0.0))

    async def all_delivered(self, fake: ScriptedServer) -> None:
        """Wait until nothing is owed."""
        await until(lambda: self.store.owed_counts() == {}, 20.0, fake.summary())


class IncidentTests(DeliveryTestCase):
    """An incident is opened once and closed once, in that order."""

    async def fake_pagerduty(self) -> FakePagerDuty:
        """Start a PagerDuty."""
        fake = await FakePagerDuty.listen(real_reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(fake.stop()))
        fake.strict_keys = fake.limits_rate = True
        return fake

    async def check_incident(self, api: str, *answers: Answer) -> FakePagerDuty:
        """Send a trigger and its resolve through these answers, and see what PagerDuty made of it."""
        fake = await self.fake_pagerduty()
        notifier = PagerDuty(Secret(KEY), api, fake.url, "tutumwatch", details=False)  # type: ignore[arg-type] # v1 or v2
        outbox = self.outbox(notifier, PAGERDUTY_PACE)
        fake.answer_next(*answers)
        await self.owe(outbox, notice("closed.", Form.TRIGGER, "tutum-stream"))
        await fake.when(lambda fake: len(fake.requests) >= 1)
        await self.owe(outbox, notice("open.", Form.RESOLVE, "tutum-stream"))
        await self.all_delivered(fake)
        self.assertEqual(
            (fake.opened_count("tutum-stream"), fake.closed_count("tutum-stream")), (1, 1)
        )
        words = [e.get("event_type") or e.get("event_action") for e in fake.events]
        self.assertEqual(sorted(words, key=["trigger", "resolve"].index), words)
        self.assertEqual(find_leaks(self.log.output, [KEY]), [])
        return fake

    async def test_without_a_fault(self) -> None:
        for api in ("v1", "v2"):
            fake = await self.check_incident(api)
            self.assertEqual(len(fake.requests), 2)

    async def test_when_the_first_tries_fail(self) -> None:
        for api in ("v1", "v2"):
            await self.check_incident(api, Answer(500), Answer(502), Answer(503))

    async def test_when_the_first_try_was_accepted_and_never_answered(self) -> None:
        """It is tried again, since nobody can know; PagerDuty appends it to the open incident."""
        for api in ("v1", "v2"):
            fake = await self.check_incident(api, Answer.accept_then_hang())
            self.assertEqual(fake.incidents[0].descriptions, ["closed."] * 2)

    async def test_when_everything_goes_wrong_on_the_way(self) -> None:
        for api in ("v1", "v2"):
            await self.check_incident(
                api,
                Answer(500),
                Answer.accept_then_hang(),
                Answer.accept_then_reset(),
                Answer.reset(),
                Answer.accept_then_hang(),
            )

    async def test_when_the_resolve_was_accepted_and_never_answered(self) -> None:
        """The second resolve is of nothing that is open, and dropped."""
        for api in ("v1", "v2"):
            own = Answer()
            hang = Answer.accept_then_hang()
            fake = await self.check_incident(api, own, hang, Answer(500), hang)
            self.assertEqual(len(fake.events), 4)

    async def test_what_cannot_have_been_taken_is_withdrawn(self) -> None:
        """PagerDuty was unreachable for the whole break: nobody is paged for it afterwards."""
        fake = await self.fake_pagerduty()
        await fake.refuse_connections()
        outbox = self.outbox(
            PagerDuty(Secret(KEY), "v2", fake.url, "tutumwatch", details=False), PAGERDUTY_PACE
        )
        await self.owe(outbox, notice("closed.", Form.TRIGGER, "k"))
        await until(lambda: outbox.deliverers["ops"].counts["RetryLater"] >= 2)
        await self.owe(outbox, notice("open.", Form.RESOLVE, "k"))
        await until(lambda: outbox.owed_counts() == {})
        await fake.resume()
        await self.owe(outbox, notice("later", Form.TRIGGER, "other"))
        await self.all_delivered(fake)
        self.assertEqual((fake.opened_count("k"), fake.opened_count("other")), (0, 1))


class SlackTestCase(DeliveryTestCase):
    """Gives each test a Slack."""

    async def fake_slack(self) -> FakeSlack:
        """Start a Slack whose webhook has a long secret."""
        fake = await FakeSlack.listen(real_reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(fake.stop()))
        fake.secret_path = "/services/T0AB12CD/B0EF34GH/s3cr3tt0kens3cr3tt0ken"
        return fake


class SlackTests(SlackTestCase):
    """Every text arrives, in order, through a Slack that fails."""

    async def test_through_faults_of_every_kind(self) -> None:
        fake = await self.fake_slack()
        outbox = self.outbox(Slack(Secret(fake.url)), Pace())
        fake.answer_next(
            Answer(),
            Answer(500, "rollup_error"),
            Answer.hang(),
            Answer.reset(),
            Answer.raw("rubbish\r\n\r\n"),
            Answer.slow_body(503, "x"),
            Answer(503, "<html>"),
            Answer.throttled("0.5"),
        )
        texts = [f"text {number}" for number in range(8)]
        await self.owe(outbox, *(notice(text, key="one lane") for text in texts))
        await self.all_delivered(fake)
        self.assertEqual(fake.texts, texts)
        self.assertEqual(find_leaks(self.log.output, parts_of(fake.url)), [])

    async def test_a_burst_stays_within_slacks_rate(self) -> None:
        """Twelve that wait share one request; nothing is throttled."""
        fake = await self.fake_slack()
        outbox = self.outbox(Slack(Secret(fake.url)), slack.PACE)
        texts = [f"text {number:02}" for number in range(12)]
        await self.owe(outbox, *(notice(text, key=text) for text in texts))
        await self.all_delivered(fake)
        self.assertEqual(fake.texts, ["\n".join(texts)])

    async def test_a_wrong_webhook_keeps_what_is_owed(self) -> None:
        """404 parks the destination; put right, everything goes."""
        fake = await self.fake_slack()
        outbox = self.outbox(Slack(Secret(fake.url)), Pace())
        fake.secret_path, good = "/services/elsewhere", fake.secret_path
        await self.owe(outbox, notice("first", key="a"), notice("second", key="b"))
        await until(lambda: outbox.deliverers["ops"].state is State.REFUSED)
        self.assertEqual((outbox.owed_counts(), len(fake.requests)), ({"ops": 2}, 1))
        fake.secret_path = good
        outbox.deliverers["ops"].probe_now()
        await self.all_delivered(fake)
        self.assertEqual(fake.texts, ["first", "second"])

    async def test_stopping_with_a_full_outbox_is_bounded(self) -> None:
        """What is left is counted and said by name."""
        fake = await self.fake_slack()
        outbox = self.outbox(Slack(Secret(fake.url)), Pace())
        fake.answer_always(Answer.hang())
        await self.owe(outbox, *(notice(str(number), key=str(number)) for number in range(100)))
        began = time.monotonic()
        await outbox.drain(0.2)
        await outbox.close()
        self.assertLess(time.monotonic() - began, 2.0)
        self.assertIn("stopped with 100 notices undelivered: ops 100", self.log.output)
        await fake.when(lambda fake: fake.tcp_connection_count == 0)


class RestartTests(SlackTestCase):
    """What one process leaves in its file, the next one delivers; the file has a real thread."""

    def setUp(self) -> None:
        """Make a folder for it."""
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = str(Path(folder.name, "outbox.sqlite"))

    async def begin(self, fake: FakeSlack, heads_max_count: int) -> Outbox:
        """Open the file and deliver from it."""
        self.store = make_store(self.path, reactor, time.time)
        self.store.restore()
        outbox = self.outbox(Slack(Secret(fake.url)), Pace(), heads_max_count)
        await outbox.open()
        return outbox

    async def test_what_was_left_is_delivered_in_its_order(self) -> None:
        """Also if memory holds a few of it at a time. How the last request ended was noted."""
        fake = await self.fake_slack()
        fake.answer_always(Answer.hang())
        outbox = await self.begin(fake, 10)
        texts = [f"text {number:03}" for number in range(100)]
        await self.owe(outbox, *(notice(text, key=text) for text in texts))
        await fake.when(lambda fake: len(fake.requests) >= 1)
        await outbox.drain(0.1)
        await outbox.close()
        self.assertIn("stopped with 100 notices undelivered: ops 100", self.log.output)
        fake.answer_always(Answer())
        outbox = await self.begin(fake, 10)
        await self.all_delivered(fake)
        self.assertEqual(fake.texts, texts)
        self.assertEqual(self.store.counts["possible repeats"], 0)
        await outbox.drain(1.0)
        await outbox.close()
