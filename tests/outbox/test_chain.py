"""From the outbox to the bytes of an answer, on a clock: what a destination answers is obeyed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from treq.testing import StubTreq
from twisted.web.server import NOT_DONE_YET, Request

from tests.outbox.cases import START, OutboxTestCase, notice
from tests.test_http import ScriptedResource, status
from tutumwatch.http import Web
from tutumwatch.notifiers.contract import Notifier, Pace
from tutumwatch.notifiers.pagerduty import PagerDuty
from tutumwatch.notifiers.service import NotifierService
from tutumwatch.notifiers.slack import Slack
from tutumwatch.outbox.deliverer import Deliverer
from tutumwatch.outbox.gate import State
from tutumwatch.secret import Secret

# Wed, 21 Oct 2015 07:28:00 GMT
NOW = 1_445_412_480.0
SLACK = Slack(Secret("https://hooks.slack.example/services/T/B/s3cr3t"))
V1 = PagerDuty(Secret("k" * 32), "v1", "https://pd.example", "tutumwatch", details=False)

Respond = Callable[[Request], bytes | int]


class ChainTestCase(OutboxTestCase):
    """Delivers through a whole notifier to a server that answers as a test says."""

    def setUp(self) -> None:
        """Make the server."""
        super().setUp()
        self.respond: Respond = status(200, b"ok")
        self.resource = ScriptedResource(self.answer)
        self.times: list[float] = []
        self.stub = StubTreq(self.resource)

    def answer(self, request: Request) -> bytes | int:
        """Answer, and note when."""
        self.times.append(self.clock.seconds() - START)
        return self.respond(request)

    def chain(self, notifier: Notifier = SLACK, pace: Pace | None = None) -> Deliverer:
        """Make a deliverer to it."""
        web = Web(self.stub, self.clock, lambda: NOW + self.clock.seconds() - START)  # type: ignore[arg-type] # has a request() of that shape
        service = NotifierService("ops", notifier, web)
        return self.deliverer_to(service.deliver, pace)

    def run_for(self, seconds: float) -> None:
        """Let time pass, and the bytes flow."""
        self.stub.flush()
        for _ in range(round(seconds * 4)):
            self.clock.advance(0.25)
            self.stub.flush()

    def assert_times(self, times: Sequence[float]) -> None:
        """Fail unless requests came then."""
        self.assertEqual(self.times, list(times))


class FaultTests(ChainTestCase):
    """The faults that break other clients."""

    def test_503_for_a_minute(self) -> None:
        """Attempts grow apart, and nothing is lost."""
        self.respond = status(503, b"busy")
        self.owe(self.chain(), notice("x"))
        self.run_for(60.0)
        self.respond = status(200, b"ok")
        self.run_for(10.0)
        self.assert_times([0, 1, 3, 7, 15, 31, 63])
        self.assertEqual(self.store.counts["delivered"], 1)

    def test_401(self) -> None:
        """One attempt, the next after 300 s; the notices stay."""
        self.respond = status(401, b"invalid_auth")
        self.owe(self.chain(), notice("x"), notice("y"))
        self.run_for(301.0)
        self.assert_times([0, 300])
        self.assertEqual(self.store.owed_counts(), {"ops": 2})
        self.assertEqual(
            self.reports, [(0.0, "ops", State.REFUSED, "credential refused: 401 invalid_auth")]
        )

    def test_429(self) -> None:
        """With seconds, a date, rubbish, nothing: a sane delay each time."""
        date = "Wed, 21 Oct 2015 07:28:30 GMT"
        for after, again in (("7", 7.0), (date, 30.0), ("soon", 1.0), (None, 1.0), ("0", 1.0)):
            self.setUp()
            headers = {} if after is None else {"Retry_After": after}
            self.respond = status(429, b"", **headers)
            deliverer = self.chain()
            self.owe(deliverer, notice("x"), notice("y"))
            self.stub.flush()
            self.respond = status(200, b"ok")
            self.run_for(40.0)
            self.assert_times([0.0, again, again])
            self.assertEqual(self.store.counts["delivered"], 2)
            deliverer.stop()

    def test_429_for_ever(self) -> None:
        """``Retry-After: 0`` is asked as seldom as if there were none."""
        for headers in ({"Retry_After": "0"}, {}):
            self.setUp()
            self.respond = status(429, b"", **headers)
            deliverer = self.chain()
            self.owe(deliverer, notice("x"), notice("y"))
            self.run_for(60.0)
            self.assert_times([0, 1, 3, 7, 15, 31])
            self.run_for(3600.0)
            self.assertLessEqual(len(self.times), 70)
            deliverer.stop()

    def test_403_of_version_1_throttles(self) -> None:
        self.respond = status(403)
        deliverer = self.chain(V1)
        self.owe(deliverer, notice("x"))
        self.run_for(10.0)
        self.assert_times([0, 1, 3, 7])
        self.assertIs(deliverer.state, State.DELIVERING)

    def test_a_slow_body(self) -> None:
        """It is given up after the deadline, ten seconds, and tried again."""

        def begin(request: Request) -> int:
            request.write(b"o")
            return NOT_DONE_YET

        self.respond = begin
        deliverer = self.chain()
        self.owe(deliverer, notice("x"))
        self.run_for(12.0)
        self.assert_times([0, 11])
        self.assertEqual(deliverer.counts, {"RetryLater": 1})

    def test_a_bad_payload(self) -> None:
        """It is given up at once, counted, and the next goes on."""
        self.respond = status(400, b"invalid_payload")
        deliverer = self.chain()
        self.owe(deliverer, notice("x", "lane"), notice("y", "lane"))
        self.stub.flush()
        self.assert_times([0, 0])
        reasons = [reason for _, reason in self.dead_letters()]
        self.assertEqual(reasons, ["400 invalid_payload"] * 2)
        self.assertEqual(deliverer.counts, {"GiveUp": 2})

    def test_stopping_with_a_request_under_way(self) -> None:
        self.respond = lambda _request: NOT_DONE_YET
        deliverer = self.chain()
        self.owe(deliverer, notice("x"))
        deliverer.stop()
        deliverer.cancel()
        self.successResultOf(deliverer.when_quiet(self.clock.seconds()))
        self.assertEqual(self.store.owed_counts(), {"ops": 1})
        self.assertEqual(deliverer.counts, {"RetryLater": 1})
