"""Tests of the heartbeat, on a Clock: it goes out while all is well, and only then."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.secrets_check import RecordedLog, find_leaks
from tests.status.test_health import health
from tutumwatch.http import NoResponse, Request, Response
from tutumwatch.secret import Secret
from tutumwatch.status.health import Health
from tutumwatch.status.heartbeat import AGAIN_SECONDS, CHECK_SECONDS, DEADLINE_SECONDS, Heartbeat

TOKEN = "5c1b6f0e-1f6d-4a5c-8a8e-1b2c3d4e5f60"
URL = f"https://hc-ping.example/{TOKEN}"
OK = Response(200, b"OK")
DOWN = {"main": {"state": "Disconnected", "reason": "refused"}}


class HeartbeatTests(SynchronousTestCase):
    """Each test has a service that is checked every 5 s and due every 60."""

    def setUp(self) -> None:
        """Start it."""
        self.log = RecordedLog()
        self.addCleanup(self.check_secrets)
        self.clock = Clock()
        self.clock.advance(5_000.0)
        self.health = health()
        self.sent: list[tuple[float, Request, float]] = []
        self.answers: list[Deferred[Response | NoResponse]] = []
        self.holds = False
        self.answer: Response | NoResponse = OK
        self.heartbeat = Heartbeat(self.check, Secret(URL), 60.0, self, self.clock)
        self.heartbeat.startService()
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        self.addCleanup(self.stop)

    def check(self) -> Health:
        """Give the health that the test wants."""
        return self.health

    def send(self, request: Request, deadline_seconds: float) -> Deferred[Response | NoResponse]:
        """Take a request; answer at once, unless the test holds the answers back."""
        self.sent.append((self.clock.seconds() - 5_000.0, request, deadline_seconds))
        answer: Deferred[Response | NoResponse] = Deferred()
        self.answers.append(answer)
        if not self.holds:
            answer.callback(self.answer)
        return answer

    def stop(self) -> None:
        """Stop it."""
        if self.heartbeat.running:
            self.heartbeat.stopService()

    def check_secrets(self) -> None:
        """The URL is a credential: nothing may show it."""
        self.log.stop()
        self.assertEqual(find_leaks(self.log.output, [URL, TOKEN]), [])

    def pass_seconds(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(int(seconds)):
            self.clock.advance(1.0)

    @property
    def times(self) -> list[float]:
        """When requests were sent."""
        return [time for time, _, _ in self.sent]

    def lines(self) -> list[tuple[str, str]]:
        """Give level and text of what was logged."""
        ours = (e for e in self.log.events if e["log_namespace"].startswith("tutumwatch.status"))
        return [(event["log_level"].name, str(formatEvent(event))) for event in ours]

    def test_once_an_interval(self) -> None:
        self.pass_seconds(200)
        self.assertEqual(self.times, [5.0, 65.0, 125.0, 185.0])
        _, request, deadline_seconds = self.sent[0]
        self.assertEqual((request.method, request.url, request.body), ("GET", Secret(URL), None))
        self.assertEqual(deadline_seconds, DEADLINE_SECONDS)
        self.assertEqual(self.lines(), [])

    def test_nothing_while_something_is_not_well(self) -> None:
        for ill in (
            health(streams=DOWN),
            health(streams={"main": {"state": "Connected"}, "lab": {"state": "Unauthorized"}}),
            health(store="the disk is full"),
            health(notifiers={"slack": {"state": "Failing", "waiting": 0}}),
            health(notifiers={"slack": {"state": "Refused", "waiting": 0}}),
            health(ok=False, problems=("notifier pd is stuck",)),
        ):
            self.health = ill
            self.pass_seconds(200)
            self.assertEqual(self.times, [], ill)

    def test_what_is_owed_to_one_that_is_off_is_no_reason(self) -> None:
        self.health = health(notifiers={"gone": {"state": "off", "waiting": 3}})
        self.pass_seconds(5)
        self.assertEqual(self.times, [5.0])

    def test_soon_after_all_is_well_again(self) -> None:
        """But not before its time: a short break changes nothing."""
        self.pass_seconds(10)
        self.health = health(streams=DOWN)
        self.pass_seconds(102)
        self.health = health()
        self.pass_seconds(CHECK_SECONDS)
        self.assertEqual(self.times, [5.0, 115.0])
        self.health = health(streams=DOWN)
        self.pass_seconds(20)
        self.health = health()
        self.pass_seconds(60)
        self.assertEqual(self.times, [5.0, 115.0, 175.0])

    def test_it_is_said_once_that_it_is_withheld(self) -> None:
        self.health = health(streams=DOWN)
        self.pass_seconds(100)
        self.health = health(streams=DOWN, store="full")
        self.pass_seconds(100)
        self.health = health()
        self.pass_seconds(100)
        self.assertEqual(
            self.lines(),
            [
                ("info", "heartbeat withheld: stream main is Disconnected"),
                ("info", "heartbeat goes out again: all is well"),
            ],
        )

    def test_a_failure_is_warned_of_once(self) -> None:
        self.answer = NoResponse(timed_out=True, sentence="no answer within 10 s")
        self.pass_seconds(150)
        self.answer = Response(404, f"not found: {URL}".encode())
        self.pass_seconds(60)
        self.answer = OK
        self.pass_seconds(120)
        self.assertEqual(
            self.lines(),
            [
                (
                    "warn",
                    "heartbeat not received by https://hc-ping.example/...: no answer within 10 s",
                ),
                ("info", "heartbeat received again, after 4 that were not"),
            ],
        )

    def test_statuses(self) -> None:
        """A redirect is not followed, and so it is a failure."""
        for status in (200, 204, 299, 300, 302, 404, 429, 500):
            self.answer = Response(status, b"")
            before = len(self.lines())
            self.pass_seconds(60)
            said = [text for _, text in self.lines()[before:]]
            if status == 300:
                self.assertIn("status 300", said[0])
            else:
                self.assertEqual(said, [])

    def test_a_rare_one_that_failed_goes_again_sooner(self) -> None:
        self.stop()
        self.heartbeat = Heartbeat(self.check, Secret(URL), 3_600.0, self, self.clock)
        self.answer = Response(500, b"")
        self.heartbeat.startService()
        self.pass_seconds(100)
        self.assertEqual(self.times, [5.0, 5.0 + AGAIN_SECONDS])

    def test_a_bug_is_told_and_ends_nothing(self) -> None:
        self.holds = True
        self.pass_seconds(5)
        self.answers[0].errback(RuntimeError("a bug"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.pass_seconds(60)
        self.assertEqual(self.times, [5.0, 65.0])

    def test_one_at_a_time(self) -> None:
        self.holds = True
        self.pass_seconds(200)
        self.assertEqual(self.times, [5.0])
        self.answers[0].callback(OK)
        self.pass_seconds(5)
        self.assertEqual(self.times, [5.0, 205.0])

    def test_another_url(self) -> None:
        """It is tried soon: somebody has put it right."""
        self.pass_seconds(10)
        self.heartbeat.use(Secret(f"{URL}-new"))
        self.pass_seconds(5)
        self.assertEqual(self.sent[-1][1].url, Secret(f"{URL}-new"))
        self.assertEqual(self.times, [5.0, 15.0])

    def test_stopping_ends_what_is_under_way_without_a_word(self) -> None:
        self.holds = True
        self.pass_seconds(10)
        self.heartbeat.stopService()
        self.assertTrue(self.answers[0].called)
        self.pass_seconds(100)
        self.assertEqual((len(self.sent), self.lines()), (1, []))
