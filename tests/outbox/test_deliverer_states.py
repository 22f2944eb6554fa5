"""Tests of the states of a destination, of health, and of stopping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.internet.defer import CancelledError, Deferred

from tests.outbox.cases import (
    KEY_REFUSED,
    SERVER_DOWN,
    TIMED_OUT,
    UNWRITABLE,
    FaultyStore,
    OutboxTestCase,
    limited,
    notice,
    told,
)
from tutumwatch.notifiers.contract import Pace
from tutumwatch.notifiers.outcomes import Delivered, Outcome
from tutumwatch.notifiers.slack import PACE as SLACK_PACE
from tutumwatch.outbox.deliverer import Deliverer
from tutumwatch.outbox.gate import State
from tutumwatch.rules.notice import Notice


class ReportTests(OutboxTestCase):
    """Each change of a destination's state is reported, with the reason."""

    def states(self) -> list[tuple[float, State, str]]:
        """Give when it was reported what."""
        return [(time, state, reason) for time, _, state, reason in self.reports]

    def test_a_destination_begins_as_delivering(self) -> None:
        deliverer = self.deliverer()
        self.owe(deliverer, notice("x"))
        self.assertEqual((deliverer.state, deliverer.reason), (State.DELIVERING, ""))
        self.assertEqual(self.states(), [])

    def test_failing_and_delivering_again(self) -> None:
        deliverer = self.deliverer()
        self.destination.judge = lambda _notice: SERVER_DOWN
        self.owe(deliverer, *(notice(str(number)) for number in range(10)))
        self.assertEqual(deliverer.state, State.FAILING)
        self.assertEqual(deliverer.reason, "server failed: 503")
        self.destination.judge = lambda _notice: Delivered()
        self.pass_seconds(4.0)
        self.assertEqual(
            self.states(),
            [(0.0, State.FAILING, "server failed: 503"), (4.0, State.DELIVERING, "")],
        )
        self.assertEqual({name for _, name, _, _ in self.reports}, {"ops"})

    def test_refused_is_asked_once_every_five_minutes(self) -> None:
        """401: one attempt, the next after 300 s; it is reported once."""
        deliverer = self.deliverer()
        self.destination.judge = lambda _notice: KEY_REFUSED
        self.owe(deliverer, notice("x"), notice("y"))
        self.pass_seconds(900.0)
        self.assertEqual(self.destination.times, [0.0, 300.0, 600.0, 900.0])
        self.assertEqual(self.states(), [(0.0, State.REFUSED, "credential refused: 401")])
        self.assertEqual(self.store.owed_counts(), {"ops": 2})

    def test_refused_is_asked_at_once_when_told_to(self) -> None:
        deliverer = self.deliverer()
        self.destination.judge = lambda _notice: KEY_REFUSED
        self.owe(deliverer, notice("x"), notice("y"))
        self.pass_seconds(10.0)
        self.destination.judge = lambda _notice: Delivered()
        deliverer.probe_now()
        self.assertEqual(self.destination.batches, told("x", "x", "y"))
        self.assertEqual(self.states()[-1], (10.0, State.DELIVERING, ""))

    def test_all_that_waited_goes_when_the_destination_is_back(self) -> None:
        """Not when each one's own backoff is over, which may be minutes later."""
        deliverer = self.deliverer()
        self.destination.judge = lambda _notice: SERVER_DOWN
        self.owe(deliverer, notice("x"), notice("y"))
        self.pass_seconds(16.0)
        self.assertIs(deliverer.state, State.FAILING)
        self.destination.judge = lambda _notice: Delivered()
        self.pass_seconds(15.0)
        self.assertEqual(self.destination.times[-3:], [15.0, 19.0, 19.0])

    def test_one_probe_at_a_time(self) -> None:
        deliverer = self.deliverer(Pace(concurrency_count=8))
        self.destination.judge = lambda _notice: SERVER_DOWN
        self.owe(deliverer, *(notice(f"{number:02}") for number in range(30)))
        self.destination.batches.clear()
        self.destination.holds = True
        self.pass_seconds(60.0)
        self.assertEqual(self.destination.batches, told("00"))
        self.destination.end_one(Delivered())
        self.assertEqual(len(self.destination.held), 8)

    def test_a_probe_takes_one_notice(self) -> None:
        """One is enough to see, and all that a destination may lose."""
        deliverer = self.deliverer(Pace(batch_count=8))
        self.destination.judge = lambda _notice: SERVER_DOWN
        self.owe(deliverer, *(notice(f"{number:02}") for number in range(30)))
        self.pass_seconds(4.0)
        self.assertIs(deliverer.state, State.FAILING)
        self.destination.batches.clear()
        self.pass_seconds(60.0)
        self.assertEqual({len(batch) for batch in self.destination.batches}, {1})


class StuckTests(OutboxTestCase):
    """``stuck_seconds`` counts only what is our own fault."""

    def lose_timer(self) -> None:
        """Take away the timer that would go on, as a bug might."""
        for call in self.clock.getDelayedCalls():
            call.cancel()

    def test_with_nothing_to_do_it_is_not_stuck(self) -> None:
        deliverer = self.deliverer()
        self.pass_seconds(100.0, step=1.0)
        self.owe(deliverer, notice("x"))
        self.pass_seconds(100.0, step=1.0)
        self.assertEqual(deliverer.stuck_seconds(), 0.0)

    def test_a_head_that_nobody_takes_is_stuck(self) -> None:
        """It was offered, and the wake that would send it never came."""
        deliverer = self.deliverer()
        deliverer.wake()  # it has read what the store had
        for head in self.commit(notice("x")):
            deliverer.offer(head)
        self.clock.advance(31.0)
        self.assertEqual(deliverer.stuck_seconds(), 31.0)
        deliverer.wake()
        self.assertEqual(deliverer.stuck_seconds(), 0.0)

    def test_also_to_a_destination_with_a_rate(self) -> None:
        """A full bucket of tokens does not hide it."""
        deliverer = self.deliverer(SLACK_PACE)
        self.owe(deliverer, notice("x"))
        self.clock.advance(500.0)
        for head in self.commit(notice("y")):
            deliverer.offer(head)
        self.clock.advance(31.0)
        self.assertEqual(deliverer.stuck_seconds(), 31.0)

    def test_also_one_whose_token_came_and_whose_timer_was_lost(self) -> None:
        deliverer = self.deliverer(Pace(rate_per_second=0.1))
        self.owe(deliverer, notice("x"), notice("y"))
        self.lose_timer()
        self.clock.advance(10.0)
        self.assertEqual(deliverer.stuck_seconds(), 0.0)
        self.clock.advance(31.0)
        self.assertEqual(deliverer.stuck_seconds(), 31.0)

    def test_also_one_whose_backoff_is_over(self) -> None:
        deliverer = self.deliverer()
        self.destination.judge = lambda _notice: SERVER_DOWN
        self.owe(deliverer, notice("x"))
        self.lose_timer()
        self.clock.advance(1.0)
        self.assertEqual(deliverer.stuck_seconds(), 0.0)
        self.clock.advance(31.0)
        self.assertEqual(deliverer.stuck_seconds(), 31.0)

    def test_throttled_or_down_or_parked_it_is_not_stuck(self) -> None:
        """A platform or destination that is down must not get the watcher killed."""
        for outcome in (limited(3600.0), KEY_REFUSED, SERVER_DOWN, TIMED_OUT):
            deliverer = self.deliverer()
            self.destination.judge = lambda _notice, outcome=outcome: outcome  # type: ignore[misc] # a default binds it
            self.owe(deliverer, *(notice(f"{number} {outcome}") for number in range(20)))
            for _ in range(1_000):
                self.clock.advance(1.0)
                self.assertEqual(deliverer.stuck_seconds(), 0.0, outcome)
            deliverer.stop()

    def test_waiting_for_a_token_it_is_not_stuck(self) -> None:
        deliverer = self.deliverer(SLACK_PACE)
        for number in range(200):
            self.owe(deliverer, notice(str(number), "one lane"))
        for _ in range(190):
            self.clock.advance(1.0)
            self.assertLess(deliverer.stuck_seconds(), 1.0)
        self.assertEqual(self.store.owed_counts(), {})

    def test_while_all_slots_are_taken_it_is_not_stuck(self) -> None:
        deliverer = self.deliverer()
        self.destination.holds = True
        self.owe(deliverer, notice("x"), notice("y"))
        self.clock.advance(25.0)
        self.assertEqual(deliverer.stuck_seconds(), 0.0)

    def test_right_after_the_gate_opens_it_is_not_stuck(self) -> None:
        """What waited out an hour of Retry-After has waited for no fault of ours."""
        deliverer = self.deliverer()
        self.destination.judge = lambda _notice: limited(3600.0)
        self.owe(deliverer, notice("x"), notice("y"))
        self.lose_timer()
        self.clock.advance(3600.5)
        self.assertEqual(deliverer.stuck_seconds(), 0.5)

    def test_right_after_the_destination_is_back_it_is_not_stuck(self) -> None:
        deliverer = self.deliverer(Pace(rate_per_second=0.5))
        self.destination.judge = lambda _notice: KEY_REFUSED
        self.owe(deliverer, notice("x"), notice("y"))
        self.destination.judge = lambda _notice: Delivered()
        self.clock.advance(300.0)
        self.assertIs(deliverer.state, State.DELIVERING)
        self.assertEqual(deliverer.stuck_seconds(), 0.0)

    def test_a_request_that_never_ends_is_stuck(self) -> None:
        """It has a deadline of ten seconds; one that is out for more than 25 never ends."""
        deliverer = self.deliverer(Pace(concurrency_count=2))
        self.destination.holds = True
        self.owe(deliverer, notice("x"))
        self.clock.advance(25.0)
        self.assertEqual(deliverer.stuck_seconds(), 0.0)
        self.clock.advance(31.0)
        self.assertEqual(deliverer.stuck_seconds(), 31.0)
        self.destination.end_one()
        self.assertEqual(deliverer.stuck_seconds(), 0.0)


class StoppingTests(OutboxTestCase):
    """``when_quiet`` waits for what can still go in time; ``stop`` takes nothing more."""

    def quiet(self, deliverer: Deliverer, within: float) -> Deferred[None]:
        """Wait until it is quiet, or nothing can go within some time."""
        return deliverer.when_quiet(self.clock.seconds() + within)

    def test_with_nothing_to_do_it_is_quiet(self) -> None:
        self.successResultOf(self.quiet(self.deliverer(), 3.0))

    def test_what_is_under_way_is_waited_for(self) -> None:
        deliverer = self.deliverer()
        self.destination.holds = True
        self.owe(deliverer, notice("x"), notice("y"))
        quiet = self.quiet(deliverer, 3.0)
        self.destination.end_one()
        self.assertNoResult(quiet)
        self.destination.end_one()
        self.successResultOf(quiet)

    def test_what_can_go_in_time_is_waited_for(self) -> None:
        deliverer = self.deliverer(Pace(rate_per_second=1.0))
        self.owe(deliverer, *(notice(str(number)) for number in range(3)))
        quiet = self.quiet(deliverer, 3.0)
        self.clock.advance(1.0)
        self.assertNoResult(quiet)
        self.clock.advance(1.0)
        self.successResultOf(quiet)
        self.assertEqual(self.destination.batches, told("0", "1", "2"))

    def test_what_cannot_go_in_time_is_not(self) -> None:
        for outcome in (limited(60.0), KEY_REFUSED):
            deliverer = self.deliverer()
            self.destination.judge = lambda _notice, outcome=outcome: outcome  # type: ignore[misc] # a default binds it
            self.owe(deliverer, notice(f"x {outcome}"))
            self.successResultOf(self.quiet(deliverer, 3.0))
            deliverer.stop()

    def test_stopped_it_sends_nothing_more_and_has_no_timer(self) -> None:
        deliverer = self.deliverer(Pace(rate_per_second=1.0))
        self.owe(deliverer, notice("x"), notice("y"))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        deliverer.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.owe(deliverer, notice("z"))
        self.clock.advance(10.0)
        self.assertEqual(self.destination.batches, told("x"))
        self.successResultOf(self.quiet(deliverer, 3.0))

    def test_stopped_what_is_under_way_ends_and_is_noted(self) -> None:
        deliverer = self.deliverer()
        self.destination.holds = True
        self.owe(deliverer, notice("x", "a"), notice("y", "a"))
        deliverer.stop()
        quiet = self.quiet(deliverer, 3.0)
        self.assertNoResult(quiet)
        self.destination.end_one()
        self.successResultOf(quiet)
        self.assertEqual(
            (self.store.counts["delivered"], self.store.owed_counts()), (1, {"ops": 1})
        )
        self.assertEqual(self.destination.batches, told("x"))

    def test_cancelled_what_is_under_way_stays_owed(self) -> None:
        """A service that passes the cancellation on is not taken for a bug."""
        deliverer = self.deliverer()
        self.destination.holds = True
        self.owe(deliverer, notice("x"))
        deliverer.stop()
        deliverer.cancel()
        self.successResultOf(self.quiet(deliverer, 3.0))
        self.assertEqual(self.store.owed_counts(), {"ops": 1})

    def test_a_wait_that_was_cancelled_harms_nobody(self) -> None:
        deliverer = self.deliverer()
        self.destination.holds = True
        self.owe(deliverer, notice("x"))
        given_up, patient = self.quiet(deliverer, 3.0), self.quiet(deliverer, 3.0)
        given_up.addErrback(lambda _failure: None)
        given_up.cancel()
        self.destination.end_one()
        self.successResultOf(patient)

    def test_stopped_while_heads_are_read_it_has_no_timer(self) -> None:
        """What is read at once wakes it while it is about to set one."""
        self.commit(notice("x"), notice("y"), notice("z"))
        deliverer = self.deliverer(Pace(rate_per_second=1.0))
        deliverer.wake()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        deliverer.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled_it_reads_no_more(self) -> None:
        store = FaultyStore(self.store, {"heads": UNWRITABLE})
        deliverer = self.deliverer(store=store)
        deliverer.wake()
        quiet = self.quiet(deliverer, 3.0)
        self.assertNoResult(quiet)
        deliverer.stop()
        deliverer.cancel()
        self.successResultOf(quiet)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled_it_does_not_try_for_ever_to_note_how_a_request_ended(self) -> None:
        """A service answers a cancellation; that cannot be noted while nothing can be written."""
        store = FaultyStore(self.store, {"finish": UNWRITABLE})

        async def deliver(batch: Sequence[Notice], memory: Mapping[str, str]) -> Sequence[Outcome]:
            try:
                return await self.destination.deliver(batch, memory)
            except CancelledError:
                return [TIMED_OUT]

        deliverer = self.deliverer_to(deliver, store=store)
        self.destination.holds = True
        self.owe(deliverer, notice("x"))
        deliverer.stop()
        deliverer.cancel()
        self.successResultOf(self.quiet(deliverer, 3.0))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(store.asked.count("finish"), 1)
        self.assertEqual(self.store.owed_counts(), {"ops": 1})

    def test_cancelled_while_the_store_cannot_be_written(self) -> None:
        store = FaultyStore(self.store, {"finish": UNWRITABLE})
        deliverer = self.deliverer(store=store)
        self.owe(deliverer, notice("x"))
        deliverer.stop()
        deliverer.cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.store.owed_counts(), {"ops": 1})


class OutcomeOrderTests(OutboxTestCase):
    """Outcomes belong to their notices, in whatever order requests end."""

    def test_requests_may_end_in_any_order(self) -> None:
        deliverer = self.deliverer(Pace(concurrency_count=2))
        self.destination.holds = True
        self.owe(deliverer, notice("1", "a"), notice("2", "a"), notice("3", "b"))
        outcomes: list[Outcome] = [SERVER_DOWN, Delivered()]
        self.destination.held.reverse()
        for outcome in reversed(outcomes):
            self.destination.end_one(outcome)
        self.assertEqual(self.store.owed_counts(), {"ops": 2})
        self.destination.holds = False
        self.pass_seconds(1.0)
        self.assertEqual(self.destination.batches, told("1", "3", "1", "2"))
