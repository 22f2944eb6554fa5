"""Tests of look-ups under way: single flight, freshness, how many at once, retry, stop."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.secrets_check import RecordedLog
from tutumwatch.events.inputs import Found, Looked, Missing, Unanswered
from tutumwatch.http import NoResponse, Request, Response
from tutumwatch.resources.client import ResourceClient
from tutumwatch.resources.lookups import LookUps

BASE = "https://rest.example"
FOUND = Response(200, b'{"name": "web"}')
LOST = NoResponse(timed_out=False, sentence="connection refused")


def uri(number: int) -> str:
    """Give a resource_uri."""
    return f"/api/v1/service/{number}/"


@attrs.define
class HeldWeb:
    """Keeps every request until a test answers it; with ``at_once``, answers so."""

    clock: Clock
    at_once: Response | NoResponse | None = None
    asked: list[str] = attrs.field(factory=list)
    times: list[float] = attrs.field(factory=list)
    deadlines: list[float] = attrs.field(factory=list)
    held: list[Deferred[Response | NoResponse]] = attrs.field(factory=list)

    def send(self, request: Request, deadline_seconds: float) -> Deferred[Response | NoResponse]:
        """Take a request."""
        self.asked.append(request.url.reveal().removeprefix(BASE))
        self.times.append(self.clock.seconds())
        self.deadlines.append(deadline_seconds)
        answer: Deferred[Response | NoResponse] = Deferred(
            lambda d: d.callback(NoResponse(timed_out=True, sentence="ended by us"))
        )
        if self.at_once is not None:
            answer.callback(self.at_once)
        else:
            self.held.append(answer)
        return answer

    def answer(self, *answers: Response | NoResponse) -> None:
        """Answer the oldest requests."""
        for answer in answers:
            self.held.pop(0).callback(answer)


class LookUpsTestCase(SynchronousTestCase):
    """Gives each test look-ups of one stream; in the end no timer may be left."""

    def setUp(self) -> None:
        """Make them."""
        self.clock = Clock()
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        self.web = HeldWeb(self.clock)
        self.looked: list[Looked] = []
        self.number = 7
        clients = {"main": ResourceClient(self.web, BASE, {})}
        self.look_ups = LookUps(
            clients,
            self.looked.append,
            lambda: self.number,
            lambda: 1_000.0 + self.clock.seconds(),
            self.clock,
        )
        self.addCleanup(self.look_ups.stop)
        self.log = RecordedLog()
        self.addCleanup(self.log.stop)

    def ask(self, *numbers: int, fresh: bool = False) -> None:
        """Ask for resources."""
        for number in numbers:
            self.look_ups.ask("main", uri(number), fresh=fresh)

    def lines(self) -> Sequence[str]:
        """Give the log's lines."""
        return [formatEvent(event) for event in self.log.events]


class LookUpTests(LookUpsTestCase):
    """A look-up ends as one Looked."""

    def test_it_says_what_was_found_and_when_it_was_asked(self) -> None:
        self.ask(1)
        self.number = 9
        self.clock.advance(2.0)
        self.web.answer(FOUND)
        self.assertEqual(self.looked, [Looked("main", uri(1), 7, Found({"name": "web"}), 1_002.0)])
        self.assertEqual(self.web.deadlines, [10.0])
        self.assertEqual(self.look_ups.counts, {"Found": 1})

    def test_missing_is_an_answer(self) -> None:
        self.ask(1)
        self.web.answer(Response(404, b""))
        self.assertEqual([looked.answer for looked in self.looked], [Missing()])
        self.assertEqual((self.web.asked, self.lines()), ([uri(1)], []))

    def test_a_stream_without_rest_is_told(self) -> None:
        self.look_ups.ask("other", uri(1))
        self.assertEqual(
            [looked.answer for looked in self.looked],
            [Unanswered("stream 'other' has no REST API")],
        )

    def test_a_stream_that_is_not_watched_any_more_tells_nothing(self) -> None:
        """Nobody would ever take back what is known of it."""
        self.ask(1, 2)
        self.look_ups._clients.pop("main")  # type: ignore[attr-defined] # it is a dict here
        self.web.answer(FOUND, LOST)
        self.assertEqual([type(looked.answer) for looked in self.looked], [Unanswered])
        self.assertIn("is not watched any more", str(self.looked[0].answer))
        self.clock.advance(10.0)
        self.web.answer(LOST)


class SingleFlightTests(LookUpsTestCase):
    """A resource is asked for once at a time, and 32 at once."""

    def test_who_asks_meanwhile_shares_the_answer(self) -> None:
        self.ask(1, 1, 1)
        self.web.answer(FOUND)
        self.assertEqual((self.web.asked, len(self.looked)), ([uri(1)], 1))

    def test_afterwards_it_is_asked_for_again(self) -> None:
        self.ask(1)
        self.web.answer(FOUND)
        self.ask(1)
        self.assertEqual(self.web.asked, [uri(1)] * 2)

    def test_who_wants_it_fresh_is_answered_by_another(self) -> None:
        """An answer that was asked for before the event may be older than it."""
        self.ask(1)
        self.number = 9
        self.ask(1, 1, fresh=True)
        self.web.answer(FOUND)
        self.assertEqual(self.web.asked, [uri(1)] * 2)
        self.web.answer(FOUND)
        self.assertEqual([looked.asked for looked in self.looked], [7, 9])
        self.assertEqual(self.web.asked, [uri(1)] * 2)

    def test_one_that_is_only_queued_is_fresh_enough(self) -> None:
        self.ask(*range(33))
        self.ask(32, fresh=True)
        self.web.answer(*[FOUND] * 32)
        self.web.answer(FOUND)
        self.assertEqual(self.web.asked.count(uri(32)), 1)

    def test_the_same_resource_of_two_streams_is_two(self) -> None:
        self.ask(1)
        self.look_ups.ask("other", uri(1))
        self.assertEqual([looked.stream for looked in self.looked], ["other"])

    def test_so_many_are_under_way_and_the_others_follow_in_order(self) -> None:
        self.ask(*range(80))
        self.assertEqual(self.web.asked, [uri(number) for number in range(32)])
        self.web.answer(FOUND)
        self.assertEqual(self.web.asked, [uri(number) for number in range(33)])
        self.web.answer(*[FOUND] * 32)
        self.assertEqual(self.web.asked, [uri(number) for number in range(65)])

    def test_ten_thousand_that_end_at_once_do_not_recurse(self) -> None:
        self.ask(*range(10_000))
        self.web.at_once = FOUND
        self.web.answer(FOUND)
        self.assertEqual(len(self.looked), 10_000 - 31)


class RetryTests(LookUpsTestCase):
    """One that gets no answer is tried once more, within the same ten seconds."""

    def test_a_second_later(self) -> None:
        self.ask(1)
        self.web.answer(LOST)
        self.assertEqual(self.looked, [])
        self.clock.advance(1.0)
        self.web.answer(FOUND)
        self.assertEqual([looked.answer for looked in self.looked], [Found({"name": "web"})])
        self.assertEqual((self.web.times, self.web.deadlines), ([0.0, 1.0], [10.0, 8.0]))

    def test_only_once(self) -> None:
        self.ask(1)
        self.web.answer(LOST)
        self.clock.advance(1.0)
        self.web.answer(LOST)
        self.assertEqual(
            [looked.answer for looked in self.looked], [Unanswered("connection refused")]
        )
        self.assertEqual(self.look_ups.counts, {"Unanswered": 1})

    def test_what_is_left_of_the_time_is_its_deadline(self) -> None:
        self.ask(1)
        self.clock.advance(5.0)
        self.web.answer(LOST)
        self.clock.advance(1.0)
        self.assertEqual(self.web.deadlines, [10.0, 3.0])

    def test_not_when_the_time_is_up(self) -> None:
        self.ask(1)
        self.clock.advance(8.0)
        self.web.answer(LOST)
        self.assertEqual((len(self.web.asked), len(self.looked)), (1, 1))

    def test_a_slot_is_held_meanwhile(self) -> None:
        self.ask(*range(33))
        self.web.answer(LOST)
        self.assertEqual(len(self.web.asked), 32)
        self.clock.advance(1.0)
        self.assertEqual(self.web.asked[32:], [uri(0)])


class LookUpLogTests(LookUpsTestCase):
    """A failure is warned of once; repeated, it is only counted."""

    def let_fail(self, *sentences: str) -> None:
        """Look something up, and let it fail so."""
        for sentence in sentences:
            self.ask(1)
            for _ in range(2):
                self.web.answer(NoResponse(timed_out=False, sentence=sentence))
                self.clock.advance(1.0)

    def test_the_same_one_once(self) -> None:
        self.let_fail("refused", "refused", "refused")
        self.assertEqual(self.lines(), [f"main: look-up of {uri(1)} failed: refused"])
        self.assertEqual(self.look_ups.counts, {"Unanswered": 3})

    def test_another_one_and_one_after_a_success(self) -> None:
        self.let_fail("refused", "timed out")
        self.ask(1)
        self.web.answer(FOUND)
        self.let_fail("timed out")
        reasons = [line.rpartition(": ")[2] for line in self.lines()]
        self.assertEqual(reasons, ["refused", "timed out", "timed out"])


class BugTests(LookUpsTestCase):
    """A bug where the answer goes does not keep others from being looked up."""

    def test_it_is_logged_and_the_next_goes_on(self) -> None:
        looked: list[Looked] = []

        def submit(item: Looked) -> None:
            if not looked:
                looked.append(item)
                raise ZeroDivisionError
            looked.append(item)

        clients = {"main": ResourceClient(self.web, BASE, {})}
        look_ups = LookUps(clients, submit, lambda: 0, lambda: 0.0, self.clock)
        for number in range(9):
            look_ups.ask("main", uri(number))
        self.web.answer(FOUND, FOUND)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(looked), 2)
        self.assertEqual(len(self.web.asked), 9)


class StopTests(LookUpsTestCase):
    """Stopped, everything ends quietly and nothing is submitted any more."""

    def test_what_is_under_way_ends(self) -> None:
        self.ask(*range(80))
        self.ask(0, fresh=True)
        self.look_ups.stop()
        self.assertEqual((len(self.web.asked), self.looked, self.lines()), (32, [], []))

    def test_also_between_two_tries(self) -> None:
        self.ask(1)
        self.web.answer(LOST)
        self.look_ups.stop()
        self.assertEqual((self.clock.getDelayedCalls(), self.looked, self.lines()), ([], [], []))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_nothing_is_asked_for_afterwards(self) -> None:
        self.look_ups.stop()
        self.ask(1)
        self.assertEqual(self.web.asked, [])
