"""Tests of the deliverer: portions, order, pace, retries, and faults around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from tests.outbox.cases import (
    BAD,
    KEY_REFUSED,
    REFUSED_FOR_SURE,
    SERVER_DOWN,
    START,
    TIMED_OUT,
    UNWRITABLE,
    FaultyStore,
    OutboxTestCase,
    limited,
    notice,
    told,
)
from tutumwatch.notifiers.contract import Pace
from tutumwatch.notifiers.outcomes import Delivered, Outcome, Reason, RetryLater, Smaller
from tutumwatch.notifiers.slack import PACE as SLACK_PACE
from tutumwatch.outbox.gate import State
from tutumwatch.rules.notice import Form, Notice

TOO_BIG = Smaller(Reason.TOO_LARGE, "413")
LINES = Pace(batch_count=20, batch_above_count=10)


def letters(count: int) -> list[str]:
    """Give some texts whose order can be seen."""
    return [f"n{number:02}" for number in range(count)]


class BatchingTests(OutboxTestCase):
    """Idle, a notice goes at once and alone; what gathers meanwhile may share a request."""

    def test_idle_it_goes_at_once_and_alone(self) -> None:
        deliverer = self.deliverer(Pace(batch_count=20))
        self.owe(deliverer, notice("one"))
        self.clock.advance(60.0)
        self.owe(deliverer, notice("two"))
        self.assertEqual(self.destination.batches, told("one", "two"))
        self.assertEqual(self.destination.times, [0.0, 60.0])

    def test_what_gathers_while_one_is_under_way_goes_together(self) -> None:
        deliverer = self.deliverer(Pace(batch_count=3))
        self.destination.holds = True
        for text in ("a", "b", "c", "d", "e"):
            self.owe(deliverer, notice(text))
        self.assertEqual(self.destination.batches, told("a"))
        self.destination.end_one()
        self.destination.end_one()
        self.assertEqual(self.destination.batches, [["a"], ["b", "c", "d"], ["e"]])

    def test_they_go_in_the_order_of_their_commit(self) -> None:
        """Whatever the order in which they were offered."""
        deliverer = self.deliverer()
        for head in reversed(self.commit(*(notice(text) for text in letters(5)))):
            deliverer.offer(head)
        deliverer.wake()
        self.assertEqual(self.destination.batches, told(*letters(5)))

    def test_slack_gets_one_post_each_while_ten_or_fewer_wait(self) -> None:
        deliverer = self.deliverer(SLACK_PACE)
        self.owe(deliverer, *(notice(text) for text in letters(10)))
        self.assertEqual(self.destination.batches, told(*letters(10)))

    def test_slack_gets_lines_once_more_than_ten_wait(self) -> None:
        deliverer = self.deliverer(SLACK_PACE)
        self.owe(deliverer, *(notice(text) for text in letters(33)))
        texts = letters(33)
        # 13 wait after the first portion, 0 after the second.
        self.assertEqual(self.destination.batches, [texts[:20], texts[20:]])

    def test_another_pace_counts_at_once(self) -> None:
        """Portions, slots and rate; what is under way is left alone."""
        deliverer = self.deliverer(Pace(rate_per_second=0.1))
        self.owe(deliverer, *(notice(text) for text in letters(8)))
        self.assertEqual(self.destination.batches, told("n00"))
        self.destination.holds = True
        deliverer.use(Pace(batch_count=3, concurrency_count=2))
        texts = letters(8)
        self.assertEqual(self.destination.batches, [["n00"], texts[1:4], texts[4:7]])
        self.destination.end_one()
        self.assertEqual(self.destination.batches[3:], [["n07"]])
        self.destination.end_one()
        self.destination.end_one()

    def test_for_how_long_a_notice_may_fail_may_change(self) -> None:
        deliverer = self.deliverer(Pace(give_up_after_seconds=1e6))
        self.destination.judge = lambda n: SERVER_DOWN if n.text == "bad" else Delivered()
        self.owe(deliverer, notice("bad"))
        for number in range(60):
            self.owe(deliverer, notice(f"good {number}"))
            self.clock.advance(1.0)
        self.assertEqual(self.dead_letters(), [])
        deliverer.use(Pace(give_up_after_seconds=30.0))
        self.clock.advance(60.0)
        self.assertEqual(len(self.dead_letters()), 1)

    def test_slack_gets_one_a_second_after_a_burst_of_ten(self) -> None:
        deliverer = self.deliverer(SLACK_PACE)
        self.owe(deliverer, *(notice(text) for text in letters(10)))
        self.owe(deliverer, notice("eleven"), notice("twelve"))
        self.pass_seconds(5.0)
        self.assertEqual(self.destination.times, [0.0] * 10 + [1.0, 2.0])

    def test_memory_of_a_lane_comes_with_its_notice(self) -> None:
        deliverer = self.deliverer()
        self.destination.judge = lambda notice: Delivered(remember=f"ts of {notice.text}")
        self.owe(deliverer, notice("1", "a"), notice("2", "a"), notice("3", "b"))
        self.assertEqual(
            list(zip(self.destination.batches, self.destination.memories, strict=True)),
            [(["1"], {}), (["2"], {"a": "ts of 1"}), (["3"], {})],
        )


class LaneTests(OutboxTestCase):
    """A lane is strictly in order; others go past one that waits."""

    def test_a_lane_that_retries_blocks_no_other(self) -> None:
        deliverer = self.deliverer()
        self.destination.judge = lambda notice: SERVER_DOWN if notice.key == "bad" else Delivered()
        self.owe(deliverer, notice("1", "bad"), notice("2", "bad"), notice("3", "good"))
        self.owe(deliverer, notice("4", "good"))
        self.assertEqual(self.destination.batches, told("1", "3", "4"))
        self.destination.judge = lambda _notice: Delivered()
        self.pass_seconds(1.0)
        self.assertEqual(self.destination.batches, told("1", "3", "4", "1", "2"))

    def test_no_more_requests_are_under_way_than_allowed(self) -> None:
        deliverer = self.deliverer(Pace(concurrency_count=3))
        self.destination.holds = True
        self.owe(deliverer, *(notice(text) for text in letters(5)))
        self.assertEqual(self.destination.batches, told("n00", "n01", "n02"))
        self.destination.end_one()
        self.assertEqual(self.destination.batches, told("n00", "n01", "n02", "n03"))

    def test_one_of_a_lane_is_under_way_whatever_is_allowed(self) -> None:
        deliverer = self.deliverer(Pace(concurrency_count=3))
        self.destination.holds = True
        self.owe(deliverer, notice("1", "a"), notice("2", "a"))
        self.assertEqual(self.destination.batches, told("1"))
        self.destination.end_one()
        self.assertEqual(self.destination.batches, told("1", "2"))

    def test_what_was_withdrawn_is_not_sent(self) -> None:
        """A break that is over before PagerDuty could be told pages nobody."""
        deliverer = self.deliverer(Pace(rate_per_second=1.0))
        self.owe(deliverer, notice("first"))
        self.owe(deliverer, notice("down", "k", Form.TRIGGER))
        self.owe(deliverer, notice("up", "k", Form.RESOLVE), notice("next"))
        self.pass_seconds(1.0)
        self.assertEqual(self.destination.batches, told("first", "next"))
        self.assertEqual(self.store.owed_counts(), {})


class RetryTests(OutboxTestCase):
    """What may go through later is tried again, ever further apart, until it is hopeless."""

    def test_attempts_grow_apart(self) -> None:
        """A destination that answers 503 for a minute is not hammered."""
        deliverer = self.deliverer()
        self.destination.judge = lambda _notice: SERVER_DOWN
        self.owe(deliverer, notice("x"))
        self.pass_seconds(64.0)
        self.assertEqual(self.destination.times, [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0])

    def test_many_lanes_together_are_not_many_attempts(self) -> None:
        """However much is owed: ten failures, then one probe at a time."""
        deliverer = self.deliverer(Pace(concurrency_count=4))
        self.destination.judge = lambda _notice: SERVER_DOWN
        self.owe(deliverer, *(notice(text) for text in letters(50)))
        self.pass_seconds(60.0)
        self.assertEqual(self.destination.times, [0.0] * 10 + [4.0, 12.0, 28.0, 60.0])

    def test_jitter_spreads_them(self) -> None:
        deliverer = self.deliverer(jitter=lambda: 1.2)
        self.destination.judge = lambda _notice: SERVER_DOWN
        self.owe(deliverer, notice("x"))
        self.pass_seconds(4.0, step=0.05)
        self.assertEqual([round(time, 1) for time in self.destination.times], [0.0, 1.2, 3.6])

    def test_retry_after_is_obeyed_for_all(self) -> None:
        deliverer = self.deliverer()
        answers: list[Outcome] = [limited(7.0)]
        self.destination.judge = lambda _notice: answers.pop() if answers else Delivered()
        self.owe(deliverer, notice("x"), notice("y"))
        self.pass_seconds(10.0)
        self.assertEqual(self.destination.batches, told("x", "x", "y"))
        self.assertEqual(self.destination.times, [0.0, 7.0, 7.0])

    def test_retry_after_of_a_notice_is_obeyed_for_it_alone(self) -> None:
        deliverer = self.deliverer(Pace(retry_after="notice"))
        answers: list[Outcome] = [limited(7.0)]
        self.destination.judge = lambda _notice: answers.pop() if answers else Delivered()
        self.owe(deliverer, notice("x"), notice("y"))
        self.pass_seconds(10.0)
        self.assertEqual(self.destination.batches, told("x", "y", "x"))
        self.assertEqual(self.destination.times, [0.0, 0.0, 7.0])

    def test_a_retry_after_is_between_a_second_and_an_hour(self) -> None:
        deliverer = self.deliverer(Pace(retry_after="notice"))
        for after, tried in ((0.0, 1.0), (1e9, 3600.0)):
            self.destination.times.clear()
            answers: list[Outcome] = [limited(after)]
            self.destination.judge = lambda _notice, answers=answers: (  # type: ignore[misc] # a default binds it
                answers.pop() if answers else Delivered()
            )
            self.owe(deliverer, notice("x"))
            self.pass_seconds(tried)
            self.assertEqual(self.destination.gaps, [tried])

    def test_throttling_for_ever_is_asked_ever_less_often(self) -> None:
        """Retry-After: 0, and none at all, do not spin."""
        for after in (0.0, None):
            deliverer = self.deliverer()
            self.destination.times.clear()
            self.destination.judge = lambda _notice, after=after: limited(after)  # type: ignore[misc] # a default binds it
            self.owe(deliverer, notice(f"x {after}"))
            self.pass_seconds(60.0)
            deliverer.stop()
            self.assertEqual(self.destination.gaps, [1.0, 2.0, 4.0, 8.0, 16.0])

    def test_after_a_day_of_the_destination_being_up_it_is_given_up(self) -> None:
        """Others were delivered all that time, so the fault is with this one."""
        deliverer = self.deliverer()
        self.destination.judge = lambda notice: (
            SERVER_DOWN if notice.text == "poison" else Delivered()
        )
        self.owe(deliverer, notice("fine"), notice("poison"))
        for tenth_minute in range(144):
            self.pass_seconds(600.0, step=30.0)
            self.owe(deliverer, notice(f"fine at {tenth_minute}"))
        self.assertEqual(self.store.counts["dead"], 0)
        self.pass_seconds(600.0, step=30.0)
        ((letter, reason),) = self.dead_letters()
        self.assertEqual(letter.text, "poison")
        self.assertRegex(reason, r"^tried \d+ times: 503$")
        self.assertEqual(deliverer.counts["GiveUp"], 1)
        self.assertEqual(deliverer.counts["Delivered"], 145)
        self.assertEqual(self.store.owed_counts(), {})

    def test_while_the_destination_is_down_nothing_is_given_up(self) -> None:
        deliverer = self.deliverer()
        self.owe(deliverer, notice("fine"))
        self.destination.judge = lambda _notice: SERVER_DOWN
        self.owe(deliverer, notice("patient"))
        self.pass_seconds(7 * 24 * 3600.0, step=60.0)
        self.assertEqual((self.store.counts["dead"], self.store.owed_counts()), (0, {"ops": 1}))
        self.destination.judge = lambda _notice: Delivered()
        self.pass_seconds(120.0)
        self.assertEqual(self.store.owed_counts(), {})

    def test_giving_up_does_not_pass_for_a_success(self) -> None:
        """The destination answered 503 all the same: its circuit opens after ten of them."""
        deliverer = self.deliverer(Pace(give_up_after_seconds=20.0))
        self.owe(deliverer, notice("fine"))
        self.destination.judge = lambda _notice: SERVER_DOWN
        self.owe(deliverer, notice("first"))
        self.pass_seconds(32.0)
        self.assertEqual((deliverer.counts["GiveUp"], len(self.destination.times)), (1, 7))
        self.owe(deliverer, *(notice(text) for text in letters(4)))
        self.assertEqual(deliverer.state.value, "Failing")


class SmallerTests(OutboxTestCase):
    """A batch that is refused as a whole goes one by one, so that one bad notice harms none."""

    def test_only_the_bad_one_is_given_up(self) -> None:
        deliverer = self.deliverer(LINES)
        self.destination.judge = lambda notice: (
            TOO_BIG
            if len(self.destination.batches[-1]) > 1 or notice.text == "n05"
            else Delivered()
        )
        self.owe(deliverer, *(notice(text) for text in letters(12)))
        self.assertEqual(self.destination.batches, [letters(12), *told(*letters(12))])
        letters_and_reasons = [(letter.text, reason) for letter, reason in self.dead_letters()]
        self.assertEqual(letters_and_reasons, [("n05", "413")])
        self.assertEqual(deliverer.counts, {"Smaller": 12, "Delivered": 11, "GiveUp": 1})

    def test_then_they_share_requests_again(self) -> None:
        deliverer = self.deliverer(LINES)
        answers: list[Outcome] = [TOO_BIG] * 12
        self.destination.judge = lambda _notice: answers.pop() if answers else Delivered()
        self.owe(deliverer, *(notice(text) for text in letters(12)))
        self.destination.batches.clear()
        self.owe(deliverer, *(notice(f"more {text}") for text in letters(12)))
        self.assertEqual([len(batch) for batch in self.destination.batches], [12])

    def test_also_if_one_of_them_was_withdrawn(self) -> None:
        """One that was to go singly and never goes does not make all others go singly."""
        deliverer = self.deliverer(LINES)
        answers: list[Outcome] = [TOO_BIG] * 12
        self.destination.judge = lambda _notice: answers.pop() if answers else Delivered()
        self.destination.holds = True
        triggers = [notice(text, text, Form.TRIGGER) for text in letters(12)]
        self.owe(deliverer, *triggers)
        self.destination.end_one()
        self.owe(deliverer, notice("resolved", "n11", Form.RESOLVE))
        self.destination.holds = False
        self.destination.end_one()
        self.assertEqual(self.store.counts["withdrawn"], 2)
        self.destination.batches.clear()
        self.owe(deliverer, *(notice(f"more {text}") for text in letters(12)))
        self.assertEqual([len(batch) for batch in self.destination.batches], [12])


class LogTests(OutboxTestCase):
    """Each thing that an operator should know is logged once."""

    def test_a_failure_is_warned_of_once(self) -> None:
        deliverer = self.deliverer()
        log = self.recorded_log()
        self.destination.judge = lambda _notice: SERVER_DOWN
        self.owe(deliverer, notice("x"))
        self.pass_seconds(31.0)
        self.assertEqual(
            self.lines(log),
            ["ops does not take notices (server failed): 503"],
        )
        self.assertEqual(deliverer.counts, {"RetryLater": 6})

    def test_another_failure_and_a_failure_after_a_success_are_warned_of(self) -> None:
        deliverer = self.deliverer()
        log = self.recorded_log()
        for outcome in (SERVER_DOWN, TIMED_OUT, KEY_REFUSED, Delivered(), KEY_REFUSED):
            self.destination.judge = lambda _notice, outcome=outcome: outcome  # type: ignore[misc] # a default binds it
            self.owe(deliverer, notice("x"))
            deliverer.probe_now()
            self.pass_seconds(300.0, step=1.0)
        self.assertEqual(
            [line.partition("(")[2] for line in self.lines(log)],
            [
                "server failed): 503",
                "no answer in time): no answer within 10 s",
                "credential refused): 401",
                "credential refused): 401",
            ],
        )

    def test_what_is_given_up_is_an_error_that_says_what(self) -> None:
        deliverer = self.deliverer()
        log = self.recorded_log()
        self.destination.judge = lambda _notice: BAD
        self.owe(deliverer, notice("x", "/main/service/u1"))
        self.assertEqual(
            self.lines(log),
            [
                "ops gave up a notice of rule a rule about /main/service/u1 (request refused): 400 invalid_payload"
            ],
        )


class FaultTests(OutboxTestCase):
    """Whatever breaks around it, the loop goes on and nothing owed is forgotten."""

    def test_a_store_that_cannot_be_written_sends_nothing(self) -> None:
        """What could not be noted as sent is not sent; the pipeline tells of the store."""
        store = FaultyStore(self.store, {"begin": UNWRITABLE})
        deliverer = self.deliverer(store=store)
        self.owe(deliverer, notice("x"))
        self.pass_seconds(10.0)
        self.assertEqual(self.destination.batches, [])
        store.faults.clear()
        self.pass_seconds(1.0)
        self.assertEqual(self.destination.batches, told("x"))

    def test_such_a_store_is_asked_once_a_second(self) -> None:
        """However much is owed, and also by probes, which are in a hurry."""
        for state in State:
            store = FaultyStore(self.store, {"begin": UNWRITABLE})
            deliverer = self.deliverer(Pace(concurrency_count=1), store=store)
            deliverer.restore(state, "as it was")
            self.owe(deliverer, *(notice(f"{state} {number}") for number in range(50)))
            deliverer.wake()
            self.pass_seconds(10.0)
            self.assertEqual(store.asked.count("begin"), 11, state)
            deliverer.stop()

    def test_what_was_sent_is_not_sent_again_because_it_could_not_be_noted(self) -> None:
        store = FaultyStore(self.store, {"finish": UNWRITABLE})
        deliverer = self.deliverer(store=store)
        self.owe(deliverer, notice("x", "a"), notice("y", "a"))
        self.pass_seconds(3600.0, step=1.0)
        self.assertEqual(self.destination.batches, told("x"))
        self.assertEqual(deliverer.stuck_seconds(), 0.0)
        store.faults.clear()
        self.pass_seconds(1.0)
        self.assertEqual(self.destination.batches, told("x", "y"))
        self.assertEqual(self.store.counts["delivered"], 2)

    def test_a_store_that_raises_does_not_end_the_loop(self) -> None:
        for call in ("begin", "finish"):
            store = FaultyStore(self.store, {call: ZeroDivisionError("a bug")})
            deliverer = self.deliverer(store=store)
            self.owe(deliverer, notice(f"x {call}"))
            self.pass_seconds(2.0)
            store.faults.clear()
            self.pass_seconds(2.0)
            self.assertEqual(self.store.owed_counts(), {}, call)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3, call)

    def test_a_service_that_raises_does_not_end_the_loop(self) -> None:
        """No notifier can make it, but a bug of ours may."""
        faults: list[Deferred[Sequence[Outcome]] | None] = [
            fail(Failure(ZeroDivisionError("a bug"))),
            None,
            succeed([]),
        ]

        def deliver(
            batch: Sequence[Notice], memory: Mapping[str, str]
        ) -> Deferred[Sequence[Outcome]]:
            if faults:
                fault = faults.pop(0)
                if fault is None:
                    raise ZeroDivisionError
                return fault
            return self.destination.deliver(batch, memory)

        deliverer = self.deliverer_to(deliver)
        self.owe(deliverer, notice("x", "a"), notice("y", "a"))
        self.pass_seconds(3.0)
        self.assertEqual(self.destination.batches, told("x", "y"))
        self.assertEqual(self.destination.times, [3.0, 3.0])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError, ValueError)), 3)

    def test_what_was_begun_and_then_failed_is_sent_again_as_it_may_have_arrived(self) -> None:
        """Nobody knows what became of it: a resolve behind it does not withdraw it."""
        store = FaultyStore(self.store, {"finish": ZeroDivisionError("a bug")})
        deliverer = self.deliverer(store=store)
        self.owe(deliverer, notice("down", "k", Form.TRIGGER))
        store.faults.clear()
        self.destination.judge = lambda _notice: REFUSED_FOR_SURE
        self.pass_seconds(1.0)
        self.owe(deliverer, notice("up", "k", Form.RESOLVE))
        self.destination.judge = lambda _notice: Delivered()
        self.pass_seconds(10.0)
        self.assertEqual(self.destination.batches, told("down", "down", "down", "up"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_what_is_damaged_is_given_up_and_its_lane_goes_on(self) -> None:
        """It is told, and does not count for or against the destination."""
        log = self.recorded_log()
        deliverer = self.deliverer(Pace(batch_count=3, rate_per_second=1.0))
        self.destination.judge = lambda _notice: KEY_REFUSED
        self.owe(deliverer, notice("first"))
        self.owe(deliverer, notice("bad", "a", rule="r"), notice("behind it", "a"))
        self.rows("UPDATE deliveries SET notice = NULL WHERE rule = 'r'")
        self.destination.judge = lambda _notice: Delivered()
        self.pass_seconds(302.0)
        self.assertEqual(self.destination.batches, told("first", "first", "behind it"))
        self.assertEqual(self.destination.times, [0.0, 300.0, 301.0])
        self.assertEqual(self.store.counts, {"delivered": 2, "dead": 1})
        self.assertEqual(
            self.rows("SELECT reason FROM deliveries"), [("it was damaged on the disk",)]
        )
        self.assertEqual(
            self.lines(log)[1:],
            ["ops gave up a notice of rule r about a (cannot be read): it was damaged on the disk"],
        )

    def test_what_is_whole_is_sent_without_what_is_damaged(self) -> None:
        deliverer = self.deliverer(Pace(batch_count=5))
        self.destination.holds = True
        self.owe(deliverer, notice("first"))
        self.owe(deliverer, notice("a"), notice("bad", rule="r"), notice("b"))
        self.rows("UPDATE deliveries SET notice = NULL WHERE rule = 'r'")
        self.destination.end_one()
        self.destination.end_one(TOO_BIG)
        self.assertEqual(self.destination.batches, [["first"], ["a", "b"], ["a"]])
        self.assertEqual(deliverer.counts, {"Delivered": 1, "GiveUp": 1, "Smaller": 2})

    def test_of_two_of_which_one_is_damaged_the_other_goes_singly(self) -> None:
        """Refused as too large, it is given up: no smaller request can be made."""
        deliverer = self.deliverer(Pace(batch_count=5))
        self.destination.holds = True
        self.owe(deliverer, notice("first"))
        self.owe(deliverer, notice("a"), notice("bad", rule="r"))
        self.rows("UPDATE deliveries SET notice = NULL WHERE rule = 'r'")
        self.destination.end_one()
        self.destination.end_one(TOO_BIG)
        self.assertEqual(deliverer.counts, {"Delivered": 1, "GiveUp": 2})
        self.assertEqual(self.store.owed_counts(), {})

    def test_ten_thousand_notices_that_end_at_once_do_not_recurse(self) -> None:
        """The console takes everything as soon as it is given."""
        deliverer = self.deliverer()
        texts = [str(number) for number in range(10_000)]
        self.owe(deliverer, *(notice(text, f"lane {text}") for text in texts))
        self.assertEqual(self.destination.batches, told(*texts))

    def test_nor_do_ten_thousand_of_one_lane(self) -> None:
        deliverer = self.deliverer()
        texts = [str(number) for number in range(10_000)]
        self.owe(deliverer, *(notice(text, "one lane") for text in texts))
        self.assertEqual(self.destination.batches, told(*texts))

    def test_nor_do_ten_thousand_withdrawn_ones(self) -> None:
        """A stream that flapped for days while the destination was down leaves nothing to send."""
        deliverer = self.deliverer(Pace(rate_per_second=1.0))
        self.destination.judge = lambda _notice: KEY_REFUSED
        self.owe(deliverer, notice("first"))
        self.destination.judge = lambda _notice: Delivered()
        for number in range(10_000):
            self.owe(deliverer, notice("down", f"k{number}", Form.TRIGGER))
            self.owe(deliverer, notice("up", f"k{number}", Form.RESOLVE))
        self.owe(deliverer, notice("last"))
        self.pass_seconds(301.0)
        self.assertEqual(self.destination.batches, told("first", "first", "last"))
        self.assertEqual(self.destination.times, [0.0, 300.0, 301.0])


class RepeatTests(OutboxTestCase):
    """An incident is opened and closed once and in order, whatever happens on the way."""

    def test_a_trigger_that_may_have_been_taken_goes_first_again(self) -> None:
        deliverer = self.deliverer()
        answers: list[Outcome] = [TIMED_OUT, SERVER_DOWN]
        self.destination.judge = lambda _notice: answers.pop() if answers else Delivered()
        self.owe(deliverer, notice("down", "k", Form.TRIGGER))
        self.owe(deliverer, notice("up", "k", Form.RESOLVE))
        self.pass_seconds(3.0)
        self.assertEqual(self.destination.batches, told("down", "down", "down", "up"))

    def test_a_trigger_that_was_surely_refused_goes_with_its_resolve(self) -> None:
        deliverer = self.deliverer()
        self.destination.judge = lambda _notice: REFUSED_FOR_SURE
        self.owe(deliverer, notice("down", "k", Form.TRIGGER))
        self.pass_seconds(20.0)
        self.destination.batches.clear()
        self.owe(deliverer, notice("up", "k", Form.RESOLVE))
        self.destination.judge = lambda _notice: Delivered()
        self.pass_seconds(600.0)
        self.assertEqual((self.destination.batches, self.store.counts["withdrawn"]), ([], 2))

    def test_times_are_those_of_the_clock(self) -> None:
        self.owe(self.deliverer(), notice("x"))
        self.assertEqual((self.clock.seconds(), self.destination.times), (START, [0.0]))
        self.assertIsInstance(TIMED_OUT, RetryLater)
