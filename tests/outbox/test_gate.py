"""Tests of when a destination may be sent to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.outbox.cases import BAD, KEY_REFUSED, SERVER_DOWN, TIMED_OUT, limited
from tutumwatch.notifiers.contract import Pace, RetryAfterScope
from tutumwatch.notifiers.outcomes import Delivered, Outcome, Reason, RetryLater, Smaller
from tutumwatch.outbox.gate import Gate, State, backoff_seconds

SLOW = Pace(rate_per_second=1.0, burst_count=3)
BUSY = RetryLater(Reason.SERVER, "503", 40.0)


def gate(pace: Pace | None = None) -> Gate:
    """Make a gate without jitter."""
    return Gate(pace or Pace(), lambda: 1.0)


def failing_gate(now: float) -> Gate:
    """Make a gate whose circuit opened just now; the first probe goes 4 s later."""
    made = gate()
    for _ in range(10):
        made.learn(now, [SERVER_DOWN])
    return made


class BackoffTests(SynchronousTestCase):
    """Waits double from one second to five minutes."""

    def test_it_doubles(self) -> None:
        waits = [backoff_seconds(failures, lambda: 1.0) for failures in range(1, 12)]
        self.assertEqual(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300])

    def test_it_has_jitter(self) -> None:
        self.assertEqual(backoff_seconds(3, lambda: 0.8), 3.2)
        self.assertEqual(backoff_seconds(99, lambda: 1.2, longest=60.0), 72.0)

    def test_any_number_of_failures_will_do(self) -> None:
        self.assertEqual(backoff_seconds(0, lambda: 1.0), 1.0)
        self.assertEqual(backoff_seconds(10**9, lambda: 1.0), 300.0)


class HoldTests(SynchronousTestCase):
    """What cannot be marked as being sent holds everything up, a probe as well."""

    def test_nothing_goes_before_its_end(self) -> None:
        held = gate()
        held.hold(101.0)
        held.probe_now()
        self.assertFalse(held.is_open(100.9))
        self.assertTrue(held.is_open(101.0))

    def test_it_shortens_no_other_wait(self) -> None:
        held = gate()
        held.learn(100.0, [limited(60.0)])
        held.hold(101.0)
        self.assertEqual(held.opens_at, 160.0)


class TokenTests(SynchronousTestCase):
    """A bucket of tokens holds the rate; a burst is what the bucket holds."""

    def test_a_burst_goes_at_once_and_then_one_a_second(self) -> None:
        bucket = gate(SLOW)
        for _ in range(3):
            self.assertTrue(bucket.is_open(100.0))
            bucket.take(100.0)
        self.assertFalse(bucket.is_open(100.0))
        self.assertEqual(bucket.opens_at, 101.0)
        self.assertTrue(bucket.is_open(101.0))

    def test_without_a_rate_there_is_no_limit(self) -> None:
        bucket = gate(Pace(rate_per_second=0.0))
        for _ in range(1_000):
            self.assertTrue(bucket.is_open(100.0))
            bucket.take(100.0)

    def test_what_was_taken_for_nothing_is_given_back(self) -> None:
        bucket = gate(Pace(rate_per_second=1.0))
        bucket.take(100.0)
        bucket.give_back()
        self.assertTrue(bucket.is_open(100.0))

    def test_it_says_since_when_it_is_open(self) -> None:
        """However long nothing was sent, and the bucket has been full."""
        bucket = gate(SLOW)
        for _ in range(3):
            bucket.take(100.0)
        self.assertTrue(bucket.is_open(10_000.0))
        self.assertEqual(bucket.opens_at, 101.0)

    @given(st.lists(st.floats(0.0, 3.0), max_size=60), st.floats(0.2, 5.0), st.integers(1, 5))
    def test_no_stretch_of_time_sees_more_than_burst_and_rate(
        self, pauses: list[float], rate: float, burst: int
    ) -> None:
        bucket, now, taken = gate(Pace(rate_per_second=rate, burst_count=burst)), 7.0, []
        for pause in pauses:
            now = max(now + pause, bucket.opens_at)
            self.assertTrue(bucket.is_open(now))
            bucket.take(now)
            taken.append(now)
        for first, start in enumerate(taken):
            for count, end in enumerate(taken[first:], 1):
                self.assertLessEqual(count, burst + rate * (end - start) + 0.001)


class PaceTests(SynchronousTestCase):
    """Another pace counts at once; what was sent before counts on."""

    def test_a_slower_one_lets_no_new_burst_go(self) -> None:
        bucket = gate(Pace(rate_per_second=10.0, burst_count=3))
        for _ in range(3):
            bucket.take(100.0)
        bucket.use(Pace(rate_per_second=1.0, burst_count=3), 100.1)
        self.assertTrue(bucket.is_open(100.1))  # one token came in that tenth of a second
        bucket.take(100.1)
        self.assertAlmostEqual(bucket.opens_at, 101.1)

    def test_a_faster_one_does_not_wait_as_the_slower_one_did(self) -> None:
        bucket = gate(Pace(rate_per_second=0.1))
        bucket.take(100.0)
        self.assertEqual(bucket.opens_at, 110.0)
        bucket.use(Pace(rate_per_second=2.0), 100.0)
        self.assertEqual(bucket.opens_at, 100.5)

    def test_none_waits_for_nothing(self) -> None:
        bucket = gate(SLOW)
        for _ in range(3):
            bucket.take(100.0)
        bucket.use(Pace(rate_per_second=0.0), 100.0)
        self.assertTrue(bucket.is_open(100.0))

    def test_a_smaller_burst_is_not_exceeded(self) -> None:
        bucket = gate(Pace(rate_per_second=1.0, burst_count=10))
        bucket.use(Pace(rate_per_second=1.0, burst_count=2), 100.0)
        for _ in range(2):
            self.assertTrue(bucket.is_open(100.0))
            bucket.take(100.0)
        self.assertFalse(bucket.is_open(100.0))

    def test_what_was_asked_of_us_holds(self) -> None:
        """A Retry-After is no pace of ours."""
        bucket = gate(SLOW)
        bucket.learn(100.0, [limited(60.0)])
        bucket.use(Pace(), 100.0)
        self.assertFalse(bucket.is_open(159.0))


class RetryAfterTests(SynchronousTestCase):
    """A destination that asks to wait is not sent to until then."""

    def opens_after(self, *outcomes: Outcome, pace: Pace | None = None) -> float:
        """Learn from requests and give for how long the gate is closed."""
        made = gate(pace)
        for outcome in outcomes:
            made.learn(100.0, [outcome])
        return max(0.0, made.opens_at - 100.0)

    def test_it_waits_as_long_as_it_is_asked(self) -> None:
        self.assertEqual(self.opens_after(limited(30.0)), 30.0)
        self.assertEqual(self.opens_after(BUSY), 40.0)

    def test_zero_does_not_spin(self) -> None:
        self.assertEqual(self.opens_after(limited(0.0)), 1.0)
        self.assertEqual(self.opens_after(limited(0.0), limited(0.0), limited(0.9)), 4.0)
        self.assertEqual(self.opens_after(limited(0.0), limited(1.0)), 1.0)

    def test_nobody_may_stop_us_for_longer_than_an_hour(self) -> None:
        self.assertEqual(self.opens_after(limited(1e9)), 3600.0)
        self.assertEqual(self.opens_after(limited(float("inf"))), 3600.0)

    def test_without_a_time_waits_grow_to_a_minute(self) -> None:
        nothing = limited(None)
        waits = [self.opens_after(*[nothing] * count) for count in range(1, 9)]
        self.assertEqual(waits, [1, 2, 4, 8, 16, 32, 60, 60])

    def test_after_a_success_they_begin_again(self) -> None:
        made = gate()
        for now, outcome in ((0.0, limited(None)), (5.0, limited(None)), (10.0, Delivered())):
            made.learn(now, [outcome])
        made.learn(20.0, [limited(None)])
        self.assertEqual(made.opens_at, 21.0)

    def test_an_earlier_time_does_not_shorten_a_longer_one(self) -> None:
        self.assertEqual(self.opens_after(limited(30.0), limited(5.0)), 30.0)

    def test_a_success_sent_before_does_not_lift_it(self) -> None:
        """Two requests are under way; one is throttled, then the other is accepted."""
        self.assertEqual(self.opens_after(limited(30.0), Delivered()), 30.0)

    def test_throttling_is_no_failure(self) -> None:
        made = gate()
        for _ in range(50):
            made.learn(100.0, [limited(1.0)])
        self.assertIs(made.state, State.DELIVERING)

    def test_a_failure_without_a_time_closes_nothing(self) -> None:
        """Each notice has a backoff of its own; others may go."""
        self.assertEqual(self.opens_after(SERVER_DOWN), 0.0)

    def test_of_the_scope_notice_it_closes_nothing(self) -> None:
        """A webhook that throttles one notice may take another."""
        pace = Pace(retry_after="notice")
        self.assertEqual(self.opens_after(limited(30.0), BUSY, pace=pace), 0.0)


class CircuitTests(SynchronousTestCase):
    """Many failures in a row open the circuit; then one probe at a time goes, further apart."""

    def test_ten_failures_open_it(self) -> None:
        made = gate()
        for _ in range(9):
            made.learn(100.0, [TIMED_OUT])
        self.assertIs(made.state, State.DELIVERING)
        self.assertFalse(made.is_probing)
        failure = made.learn(100.0, [SERVER_DOWN])
        self.assertEqual((made.state, made.reason), (State.FAILING, "server failed: 503"))
        self.assertTrue(made.is_probing)
        self.assertEqual((failure, made.opens_at), (SERVER_DOWN, 104.0))

    def test_not_within_five_seconds_of_a_success(self) -> None:
        """A busy destination with a few failures under way is not down."""
        made = gate()
        made.learn(100.0, [Delivered()])
        for _ in range(30):
            made.learn(104.9, [SERVER_DOWN])
        self.assertIs(made.state, State.DELIVERING)
        made.learn(105.0, [SERVER_DOWN])
        self.assertIs(made.state, State.FAILING)

    def test_a_success_in_between_starts_the_count_again(self) -> None:
        made = gate()
        for now in range(100):
            made.learn(now * 10.0, [Delivered() if now % 10 == 9 else SERVER_DOWN])
        self.assertIs(made.state, State.DELIVERING)

    def test_probes_grow_apart_to_a_minute(self) -> None:
        made, now, waits = failing_gate(100.0), 100.0, []
        for _ in range(7):
            waits.append(made.opens_at - now)
            now = made.opens_at
            made.learn(now, [SERVER_DOWN])
        self.assertEqual(waits, [4, 8, 16, 32, 60, 60, 60])

    def test_what_was_sent_before_it_opened_is_no_probe(self) -> None:
        """Thirty requests that fail together do not count as thirty failed probes."""
        made = failing_gate(100.0)
        for _ in range(30):
            made.learn(101.0, [TIMED_OUT])
        self.assertEqual(made.opens_at, 104.0)
        made.learn(104.0, [TIMED_OUT])
        self.assertEqual(made.opens_at, 112.0)

    def test_one_success_closes_it(self) -> None:
        for outcome in (Delivered(), BAD, Smaller(Reason.CLIENT, "400")):
            made = failing_gate(100.0)
            self.assertIsNone(made.learn(102.0, [outcome]))
            self.assertEqual((made.state, made.reason), (State.DELIVERING, ""))
            self.assertTrue(made.is_open(102.0))
            self.assertEqual(made.opens_at, 102.0)

    def test_a_batch_of_which_one_notice_is_taken_is_a_success(self) -> None:
        made = failing_gate(100.0)
        self.assertIsNone(made.learn(104.0, [SERVER_DOWN, Delivered()]))
        self.assertIs(made.state, State.DELIVERING)

    def test_a_throttled_probe_does_not_spin(self) -> None:
        """Whatever the scope of Retry-After: the next probe waits longer."""
        scopes: tuple[RetryAfterScope, ...] = ("destination", "notice")
        for scope in scopes:
            made = gate(Pace(retry_after=scope))
            for _ in range(10):
                made.learn(100.0, [SERVER_DOWN])
            made.learn(104.0, [limited(0.0)])
            self.assertEqual(made.opens_at, 112.0, scope)
            self.assertEqual(made.reason, "asked to slow down: 429")


class ParkTests(SynchronousTestCase):
    """A destination that refuses us is asked again every five minutes, and when told to."""

    def test_it_is_parked_for_five_minutes(self) -> None:
        made = gate()
        self.assertEqual(made.learn(100.0, [Delivered(), KEY_REFUSED]), KEY_REFUSED)
        self.assertEqual((made.state, made.reason), (State.REFUSED, "credential refused: 401"))
        self.assertTrue(made.is_probing)
        self.assertEqual(made.opens_at, 400.0)

    def test_a_failed_probe_parks_it_again(self) -> None:
        made = gate()
        made.learn(100.0, [KEY_REFUSED])
        made.learn(400.0, [KEY_REFUSED])
        self.assertEqual(made.opens_at, 700.0)

    def test_what_was_sent_before_does_not_make_it_failing(self) -> None:
        made = gate()
        made.learn(100.0, [KEY_REFUSED])
        made.learn(101.0, [TIMED_OUT])
        self.assertIs(made.state, State.REFUSED)

    def test_a_probe_that_finds_it_down_makes_it_failing(self) -> None:
        made = gate()
        made.learn(100.0, [KEY_REFUSED])
        made.learn(400.0, [TIMED_OUT])
        self.assertEqual(made.state, State.FAILING)
        self.assertEqual(made.opens_at, 404.0)

    def test_it_can_be_probed_at_once(self) -> None:
        made = gate()
        made.learn(100.0, [KEY_REFUSED])
        made.probe_now()
        self.assertTrue(made.is_open(101.0))
        self.assertTrue(made.is_probing)

    def test_it_is_probed_again_if_one_was_under_way_with_the_old_credential(self) -> None:
        """That one is refused for what is put right by now; the next one is not."""
        made = gate()
        made.take(100.0)
        made.probe_now()
        made.learn(100.1, [KEY_REFUSED])
        self.assertTrue(made.is_open(100.1))
        made.take(100.1)
        made.learn(100.2, [KEY_REFUSED])
        self.assertEqual(made.opens_at, 100.2 + 300.0)


class UpTests(SynchronousTestCase):
    """Time counts towards giving up only while the destination is known to be up."""

    def test_it_counts_from_the_first_success(self) -> None:
        made = gate()
        self.assertEqual(made.up_seconds(100.0), 0.0)
        made.learn(100.0, [Delivered()])
        self.assertEqual(made.up_seconds(130.0), 30.0)

    def test_it_stands_still_while_failing_or_parked(self) -> None:
        for outcomes in ([SERVER_DOWN] * 10, [KEY_REFUSED]):
            made = gate()
            made.learn(100.0, [Delivered()])
            for outcome in outcomes:
                made.learn(110.0, [outcome])
            self.assertEqual(made.up_seconds(1_000.0), 10.0)
            made.learn(1_000.0, [Delivered()])
            self.assertEqual(made.up_seconds(1_005.0), 15.0)
