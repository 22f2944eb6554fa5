"""Tests of the store in memory: lanes, heads, waiting rows, and what may be withdrawn."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from tests.outbox.cases import (
    BAD,
    KEY_REFUSED,
    REFUSED_FOR_SURE,
    SERVER_DOWN,
    TIMED_OUT,
    OutboxTestCase,
    limited,
    notice,
)
from tutumwatch.events.inputs import Link, LinkType
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.notifiers.outcomes import Delivered, Outcome, Reason, Smaller
from tutumwatch.outbox.store import Delivery, Restored
from tutumwatch.rules.decisions import Settled, WaitingRow
from tutumwatch.rules.notice import Form

TRIGGER, RESOLVE = Form.TRIGGER, Form.RESOLVE
TOO_BIG = Smaller(Reason.TOO_LARGE, "413")


def waiting(row_id: str, key: str, *notifiers: str) -> WaitingRow:
    """Make a place for what waits for a look-up."""
    change = Inventory().apply_link(Link(LinkType.STREAM, "main", "Connected", "", 0.0), "c")
    return WaitingRow(
        row_id, "a rule", notifiers or ("ops",), key, change, number=0, due=10.0, needs=frozenset()
    )


class StoreTestCase(OutboxTestCase):
    """Words for the store's calls."""

    def begin(self, *heads: Delivery) -> Sequence[Delivery]:
        """Note that heads are about to be sent."""
        return self.result_of(self.store.begin([head.row_id for head in heads]))

    def end(self, head: Delivery, outcome: Outcome) -> list[str]:
        """Send a head, end so, and give the texts of the heads that come of it."""
        self.begin(head)
        return texts(self.result_of(self.store.finish({head.row_id: outcome})))


def texts(heads: Sequence[Delivery]) -> list[str]:
    """Give what heads say."""
    return [head.notice.text for head in heads]


class LaneTests(StoreTestCase):
    """The notices of one key to one notifier are given out one by one, in their order."""

    def test_a_new_store_knows_nothing(self) -> None:
        self.assertEqual(
            self.result_of(self.store.open()), Restored(heads=(), knows_the_past=False)
        )

    def test_only_the_first_of_a_lane_is_given_out(self) -> None:
        heads = self.commit(notice("1", "a"), notice("2", "a"), notice("3", "b"))
        self.assertEqual(texts(heads), ["1", "3"])
        self.assertEqual([head.row_id for head in heads], [1, 3])

    def test_lanes_of_two_notifiers_are_two(self) -> None:
        heads = self.commit(notice("1", "a"), notice("2", "a", notifier="other"))
        self.assertEqual(
            [(h.notifier, h.notice.text) for h in heads], [("ops", "1"), ("other", "2")]
        )

    def test_a_head_is_given_out_once(self) -> None:
        self.commit(notice("1", "a"))
        self.assertEqual(self.commit(notice("2", "a")), [])

    def test_the_next_is_head_when_the_first_is_delivered(self) -> None:
        (head,) = self.commit(notice("1", "a"), notice("2", "a"), notice("3", "a"))
        self.assertEqual(self.end(head, Delivered()), ["2"])

    def test_the_next_is_head_when_the_first_is_given_up(self) -> None:
        (head,) = self.commit(notice("1", "a"), notice("2", "a"))
        self.assertEqual(self.end(head, BAD), ["2"])

    def test_every_other_outcome_keeps_the_head_with_one_attempt_more(self) -> None:
        for outcome in (SERVER_DOWN, REFUSED_FOR_SURE, limited(3.0), TOO_BIG, KEY_REFUSED):
            (head,) = self.commit(notice(f"1 {outcome}", "a"), notice("2", "a"))
            self.begin(head)
            (again,) = self.result_of(self.store.finish({head.row_id: outcome}))
            self.assertEqual((again.row_id, again.attempts), (head.row_id, 1), outcome)
            self.assertEqual(self.end(again, Delivered()), ["2"])
            self.store = type(self.store)()

    def test_a_batch_may_end_in_many_ways(self) -> None:
        heads = self.commit(*(notice(f"{lane}{n}", lane) for n in (1, 2) for lane in "abc"))
        self.begin(*heads)
        a, b, c = (head.row_id for head in heads)
        after = self.result_of(self.store.finish({a: Delivered(), b: SERVER_DOWN, c: BAD}))
        self.assertEqual(texts(after), ["a2", "b1", "c2"])

    def test_what_is_remembered_comes_with_the_next_of_the_lane(self) -> None:
        a, b = self.commit(notice("1", "a"), notice("2", "a"), notice("3", "a"), notice("4", "b"))
        self.begin(a, b)
        outcomes = {a.row_id: Delivered(remember="ts 17"), b.row_id: Delivered()}
        (second,) = self.result_of(self.store.finish(outcomes))
        self.assertEqual((a.memory, second.memory), (None, "ts 17"))
        self.begin(second)
        (third,) = self.result_of(self.store.finish({second.row_id: Delivered()}))
        self.assertEqual(third.memory, "ts 17")


class CountTests(StoreTestCase):
    """What is owed is counted by notifier, and so is how it ended."""

    def test_what_is_owed(self) -> None:
        heads = self.commit(
            notice("1", "a"), notice("2", "a"), notice("3", notifier="pd"), waiting("w", "c")
        )
        self.assertEqual(self.store.owed_counts(), {"ops": 3, "pd": 1})
        self.end(heads[0], Delivered())
        self.end(heads[1], BAD)
        self.assertEqual(self.store.owed_counts(), {"ops": 2})
        self.assertEqual((self.store.delivered_count, self.store.dead_count), (1, 1))

    def test_nothing_is_kept_of_what_has_ended(self) -> None:
        """Memory is bounded by what is owed, not by what ever was."""
        for head in self.commit(notice("1"), notice("2"), waiting("w", "c")):
            self.end(head, Delivered())
        self.commit(Settled("w", ()))
        self.assertEqual(self.store.owed_counts(), {})
        empty = type(self.store)()
        for name in ("_lanes", "_rows", "_waiting", "_memory"):
            self.assertEqual(getattr(self.store, name), getattr(empty, name), name)

    def test_a_dead_letter_says_what_and_why(self) -> None:
        (head,) = self.commit(notice("1", "a"))
        self.end(head, SERVER_DOWN)
        self.end(head, BAD)
        (letter,) = self.store.dead_letters
        self.assertEqual(
            (letter.row_id, letter.notice, letter.attempts, letter.reason),
            (1, notice("1", "a"), 2, "400 invalid_payload"),
        )

    def test_a_thousand_dead_letters_are_kept(self) -> None:
        """More are counted; the last ones can be seen."""
        for head in self.commit(*(notice(str(number)) for number in range(1_005))):
            self.end(head, BAD)
        self.assertEqual((self.store.dead_count, len(self.store.dead_letters)), (1_005, 1_000))
        self.assertEqual(self.store.dead_letters[0].notice.text, "5")

    def test_closing_is_nothing(self) -> None:
        self.commit(notice("1"))
        self.result_of(self.store.close())
        self.assertEqual(self.store.owed_counts(), {"ops": 1})


class WaitingRowTests(StoreTestCase):
    """What waits for a look-up holds its place in its lane and blocks that lane only."""

    def test_a_waiting_row_blocks_its_own_lane(self) -> None:
        heads = self.commit(waiting("w", "a"), notice("after it", "a"), notice("other", "b"))
        self.assertEqual(texts(heads), ["other"])

    def test_settled_it_is_said_in_its_place(self) -> None:
        self.commit(waiting("w", "a"), notice("after it", "a"))
        (head,) = self.commit(Settled("w", (notice("it", "a"),)))
        self.assertEqual(head.notice.text, "it")
        self.assertEqual(self.end(head, Delivered()), ["after it"])

    def test_settled_behind_another_it_is_said_after_that(self) -> None:
        (first,) = self.commit(notice("first", "a"), waiting("w", "a"))
        self.assertEqual(self.commit(Settled("w", (notice("it", "a"),))), [])
        self.assertEqual(self.end(first, Delivered()), ["it"])

    def test_without_a_notice_it_is_withdrawn(self) -> None:
        self.commit(waiting("w", "a"), notice("after it", "a"))
        self.assertEqual(texts(self.commit(Settled("w", ()))), ["after it"])
        self.assertEqual((self.store.withdrawn_count, self.store.owed_counts()), (1, {"ops": 1}))

    def test_each_notifier_has_a_row_of_its_own(self) -> None:
        self.commit(waiting("w", "a", "ops", "pd", "third"))
        self.assertEqual(self.store.owed_counts(), {"ops": 1, "pd": 1, "third": 1})
        both = (notice("to pd", "a", notifier="pd"), notice("to ops", "a"))
        self.assertEqual(texts(self.commit(Settled("w", both))), ["to ops", "to pd"])
        self.assertEqual(self.store.withdrawn_count, 1)

    def test_it_may_be_settled_in_the_commit_that_made_it(self) -> None:
        heads = self.commit(waiting("w", "a"), Settled("w", (notice("it", "a"),)))
        self.assertEqual(texts(heads), ["it"])

    def test_a_delivered_head_does_not_give_out_what_waits(self) -> None:
        (first,) = self.commit(notice("first", "a"), waiting("w", "a"))
        self.assertEqual(self.end(first, Delivered()), [])

    def test_what_waits_cannot_be_sent(self) -> None:
        """That would be a bug of ours, and is told so."""
        self.commit(waiting("w", "a"))
        failure = self.failureResultOf(self.deferred_begin(1), RuntimeError)
        self.assertIn("row 1 is waiting", str(failure.value))

    def deferred_begin(self, row_id: int) -> Deferred[Sequence[Delivery]]:
        """Begin a row of which no head was given out."""
        return Deferred.fromCoroutine(self.store.begin([row_id]))


class WithdrawTests(StoreTestCase):
    """A trigger and the resolve behind it cancel each other only if nobody can have seen it."""

    def assert_withdrawn(self, count: int, owed: dict[str, int]) -> None:
        """Fail unless so many were withdrawn, and so many are still owed."""
        self.assertEqual((self.store.withdrawn_count, self.store.owed_counts()), (count, owed))

    def test_a_trigger_never_tried_goes_with_its_resolve(self) -> None:
        heads = self.commit(notice("down", "k", TRIGGER), notice("up", "k", RESOLVE))
        self.assertEqual(heads, [])
        self.assert_withdrawn(2, {})

    def test_also_if_it_was_given_out_already(self) -> None:
        """The deliverer that holds it learns so when it wants to send it."""
        (head,) = self.commit(notice("down", "k", TRIGGER))
        self.assertEqual(self.commit(notice("up", "k", RESOLVE)), [])
        self.assertEqual(self.begin(head), [])
        self.assert_withdrawn(2, {})

    def test_what_comes_behind_them_is_head(self) -> None:
        self.commit(notice("down", "k", TRIGGER))
        heads = self.commit(notice("up", "k", RESOLVE), notice("down again", "k", TRIGGER))
        self.assertEqual(texts(heads), ["down again"])

    def test_not_while_it_is_being_sent(self) -> None:
        (head,) = self.commit(notice("down", "k", TRIGGER))
        self.begin(head)
        self.commit(notice("up", "k", RESOLVE))
        self.assert_withdrawn(0, {"ops": 2})
        after = self.result_of(self.store.finish({head.row_id: Delivered()}))
        self.assertEqual(texts(after), ["up"])

    def test_when_it_was_surely_refused(self) -> None:
        for outcome in (REFUSED_FOR_SURE, limited(None), KEY_REFUSED, TOO_BIG):
            (head,) = self.commit(notice("down", "k", TRIGGER))
            self.begin(head)
            self.commit(notice("up", "k", RESOLVE))
            self.assertEqual(self.result_of(self.store.finish({head.row_id: outcome})), [])
            self.assertEqual(self.store.owed_counts(), {}, outcome)

    def test_when_it_was_surely_refused_before(self) -> None:
        (head,) = self.commit(notice("down", "k", TRIGGER))
        self.end(head, REFUSED_FOR_SURE)
        self.commit(notice("up", "k", RESOLVE))
        self.assert_withdrawn(2, {})

    def test_never_after_an_attempt_that_may_have_been_taken(self) -> None:
        for outcome in (TIMED_OUT, SERVER_DOWN):
            (head,) = self.commit(notice("down", outcome.said, TRIGGER))
            self.end(head, outcome)
            self.commit(notice("up", outcome.said, RESOLVE))
        self.assert_withdrawn(0, {"ops": 4})

    def test_nor_if_a_later_attempt_is_surely_refused(self) -> None:
        """The first one may have opened an incident, which must be closed."""
        (head,) = self.commit(notice("down", "k", TRIGGER))
        self.end(head, TIMED_OUT)
        self.end(head, REFUSED_FOR_SURE)
        self.commit(notice("up", "k", RESOLVE))
        self.end(head, REFUSED_FOR_SURE)
        self.assert_withdrawn(0, {"ops": 2})
        self.assertEqual(self.end(head, Delivered()), ["up"])

    def test_a_resolve_after_a_delivered_trigger_is_sent(self) -> None:
        (head,) = self.commit(notice("down", "k", TRIGGER))
        self.end(head, Delivered())
        self.assertEqual(texts(self.commit(notice("up", "k", RESOLVE))), ["up"])

    def test_only_a_trigger_and_its_resolve_are_a_pair(self) -> None:
        self.commit(notice("1", "a", RESOLVE), notice("2", "a", TRIGGER))
        self.commit(notice("3", "b"), notice("4", "b", RESOLVE))
        self.commit(notice("5", "c", TRIGGER), notice("6", "c"))
        self.commit(notice("7", "d", TRIGGER), notice("8", "e", RESOLVE))
        self.commit(waiting("w", "f"), notice("9", "f", RESOLVE))
        self.assert_withdrawn(0, {"ops": 10})

    def test_a_pair_deep_in_a_lane_goes_too(self) -> None:
        """A stream that flaps while PagerDuty is down leaves one thing to say, not hundreds."""
        (head,) = self.commit(notice("down", "k", TRIGGER))
        self.begin(head)
        for _ in range(100):
            self.commit(notice("up", "k", RESOLVE), notice("down", "k", TRIGGER))
        self.assertEqual(self.store.owed_counts(), {"ops": 3})
        self.assertEqual(
            texts(self.result_of(self.store.finish({head.row_id: REFUSED_FOR_SURE}))), ["down"]
        )
        self.assertEqual(self.store.owed_counts(), {"ops": 1})
