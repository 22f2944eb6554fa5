"""Tests of the heads in memory: no more than a limit, the others in their turn, none forgotten."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from tests.outbox.cases import (
    SERVER_DOWN,
    UNWRITABLE,
    FaultyStore,
    OutboxTestCase,
    notice,
    told,
)
from tutumwatch.notifiers.contract import Pace
from tutumwatch.notifiers.outcomes import Delivered, Outcome
from tutumwatch.outbox.backlog import HEADS_MAX_COUNT, Backlog
from tutumwatch.outbox.store import Head
from tutumwatch.rules.decisions import Owed


@attrs.define
class SlowStore(FaultyStore):
    """Gives the heads as they were when it was asked, but only when told to."""

    unanswered: list[Deferred[None]] = attrs.field(factory=list)

    async def heads(self, notifier: str, count: int) -> Sequence[Head]:
        """Give the first heads as they are now, later."""
        heads = await FaultyStore.heads(self, notifier, count)
        answered: Deferred[None] = Deferred()
        self.unanswered.append(answered)
        await answered
        return heads

    def answer(self) -> None:
        """Answer the oldest question."""
        self.unanswered.pop(0).callback(None)


class BacklogTests(OutboxTestCase):
    """Heads are read from the store as they are needed."""

    def setUp(self) -> None:
        """Make one that holds four at most."""
        super().setUp()
        self.slow = SlowStore(self.store)
        self.wakes: list[int] = []
        self.backlog = Backlog("ops", self.slow, self.clock, self.woken, 4)
        self.addCleanup(self.backlog.stop)

    def woken(self) -> None:
        """Note how many heads there were."""
        self.wakes.append(len(self.backlog.heads))

    def offer(self, *owed: Owed) -> None:
        """Commit something, and offer the heads that come of it."""
        for head in self.commit(*owed):
            self.backlog.offer(head)

    def owe_many(self, first: int, count: int) -> None:
        """Commit and offer one lane after another."""
        self.offer(*(notice(f"{number:02}") for number in range(first, first + count)))

    def read(self) -> None:
        """Read on, as far as it is of use now."""
        self.backlog.read_on()
        while self.slow.unanswered:
            self.slow.answer()
            self.backlog.read_on()

    def take(self, count: int) -> list[int]:
        """Let heads out, and let them end delivered."""
        taken = [head.row_id for head in self.backlog.heads.take(count, 0.0)]
        self.result_of(self.store.begin(taken))
        self.result_of(self.store.finish(dict.fromkeys(taken, Delivered()), {}))
        for row_id in taken:
            self.backlog.heads.remove(row_id)
        return taken

    def test_what_the_store_has_from_before_is_read(self) -> None:
        self.commit(notice("a"), notice("b"), notice("elsewhere", notifier="pd"))
        self.backlog.read_on()
        self.assertTrue(self.backlog.is_reading)
        self.assertEqual(len(self.backlog.heads), 0)
        self.slow.answer()
        self.assertFalse(self.backlog.is_reading)
        self.assertEqual((self.wakes, self.take(9)), ([2], [1, 2]))

    def test_it_is_read_once(self) -> None:
        self.read()
        self.owe_many(0, 3)
        self.take(3)
        self.backlog.read_on()
        self.assertEqual(self.slow.asked.count("heads"), 1)

    def test_one_question_at_a_time(self) -> None:
        self.backlog.read_on()
        self.backlog.read_on()
        self.assertEqual(len(self.slow.unanswered), 1)

    def test_before_it_was_read_nothing_is_taken_on(self) -> None:
        """It would overtake what is in the store."""
        self.owe_many(0, 2)
        self.assertEqual(len(self.backlog.heads), 0)
        self.read()
        self.assertEqual(self.take(9), [1, 2])

    def test_but_what_was_interrupted(self) -> None:
        self.backlog.offer(Head(7, "ops", interrupted=True))
        self.assertEqual(len(self.backlog.heads), 1)

    def test_no_more_are_taken_on_than_it_may_hold(self) -> None:
        self.read()
        self.owe_many(0, 9)
        self.assertEqual(len(self.backlog.heads), 4)

    def test_one_that_is_out_takes_a_place(self) -> None:
        self.read()
        self.owe_many(0, 1)
        self.backlog.heads.take(1, 0.0)
        self.owe_many(1, 9)
        self.assertEqual(len(self.backlog.heads), 3)

    def test_the_others_are_read_when_half_of_them_are_gone(self) -> None:
        self.read()
        self.owe_many(0, 9)
        self.take(2)
        self.backlog.read_on()
        self.assertEqual(self.slow.unanswered, [])
        self.assertEqual(self.take(1), [3])
        self.read()
        self.assertEqual(len(self.backlog.heads), 4)
        self.assertEqual(self.take(3), [4, 5, 6])
        self.read()
        self.assertEqual(self.take(9), [7, 8, 9])

    def test_half_is_half(self) -> None:
        self.backlog = Backlog("ops", self.slow, self.clock, self.woken, 10)
        self.read()
        self.owe_many(0, 12)
        self.take(5)
        self.backlog.read_on()
        self.assertEqual((len(self.backlog.heads), self.slow.unanswered), (5, []))
        self.take(1)
        self.read()
        self.assertEqual(len(self.backlog.heads), 6)

    def test_what_is_offered_while_many_wait_comes_in_its_turn(self) -> None:
        """There is a place for it, and it would overtake the others."""
        self.read()
        self.owe_many(0, 6)
        self.take(2)
        self.owe_many(6, 1)
        self.assertEqual(self.take(9), [3, 4])
        self.read()
        self.assertEqual(self.take(9), [5, 6, 7])

    def test_what_is_offered_while_reading_comes_in_its_turn(self) -> None:
        """Whether or not the answer has it, and whatever else is behind."""
        self.commit(*(notice(f"old {number}") for number in range(6)))
        self.backlog.read_on()
        self.owe_many(6, 1)
        self.assertEqual(len(self.backlog.heads), 0)
        self.slow.answer()
        self.assertEqual(self.take(9), [1, 2, 3, 4])
        self.read()
        self.assertEqual(self.take(9), [5, 6, 7])

    def test_it_is_not_forgotten_if_the_answer_is_without_it(self) -> None:
        self.commit(notice("old"))
        self.backlog.read_on()
        self.owe_many(1, 2)
        self.slow.answer()
        self.assertEqual((self.wakes, self.take(9)), ([3], [1, 2, 3]))
        self.read()
        self.assertEqual(len(self.backlog.heads), 0)

    def test_nor_if_there_are_more_of_it_than_places(self) -> None:
        self.backlog.read_on()
        self.owe_many(0, 9)
        self.assertEqual(len(self.backlog._offered), 4)
        self.slow.answer()
        self.read()
        self.assertEqual(self.take(4), [1, 2, 3, 4])
        self.read()
        self.assertEqual(self.take(4), [5, 6, 7, 8])
        self.read()
        self.assertEqual(self.take(4), [9])

    def test_those_that_are_out_do_not_hide_what_is_to_be_read(self) -> None:
        """The store still gives them: it was not told yet that they are being sent."""
        self.read()
        self.owe_many(0, 9)
        out = [head.row_id for head in self.backlog.heads.take(4, 0.0)]
        self.read()
        self.assertEqual(out, [1, 2, 3, 4])
        self.assertEqual(self.take(4), [5, 6, 7, 8])

    def test_nor_do_they_let_in_more_than_it_may_hold(self) -> None:
        """The store was told that they are being sent, and gives so many others."""
        self.read()
        self.owe_many(0, 9)
        out = [head.row_id for head in self.backlog.heads.take(3, 0.0)]
        self.result_of(self.store.begin(out))
        self.read()
        self.assertEqual(len(self.backlog.heads), 4)
        self.assertEqual(self.take(9), [4, 5, 6, 7])
        self.read()
        self.assertEqual(self.take(9), [8, 9])

    def test_what_is_taken_while_reading_does_not_hide_what_is_to_be_read(self) -> None:
        """The answer has it, and so many less of what is new."""
        self.read()
        self.owe_many(0, 9)
        self.take(3)
        self.backlog.read_on()
        self.assertEqual([head.row_id for head in self.backlog.heads.take(1, 0.0)], [4])
        self.slow.answer()
        self.assertEqual(self.take(9), [5, 6, 7])
        self.read()
        self.assertEqual(self.take(9), [8, 9])

    def test_an_answer_that_tells_of_what_is_out_tells_nothing_new(self) -> None:
        self.read()
        self.owe_many(0, 5)
        self.backlog.heads.take(3, 0.0)
        self.read()
        self.assertEqual(self.take(9), [4, 5])

    def test_told_that_heads_may_be_missing_it_reads(self) -> None:
        self.read()
        self.commit(notice("nobody offered it"))
        self.backlog.read_again()
        self.read()
        self.assertEqual(self.take(9), [1])

    def test_a_store_that_cannot_be_used_is_asked_again(self) -> None:
        """Each second, and nobody is told: commits fail as well, and that is."""
        log = self.recorded_log()
        self.commit(notice("a"))
        self.slow.faults["heads"] = UNWRITABLE
        self.backlog.read_on()
        self.pass_seconds(10.0)
        self.assertEqual(self.slow.asked.count("heads"), 11)
        self.assertTrue(self.backlog.is_reading)
        self.slow.faults.clear()
        self.pass_seconds(1.0)
        self.slow.answer()
        self.assertEqual((self.wakes, self.lines(log)), ([1], []))

    def test_so_is_one_that_raises(self) -> None:
        """A bug of ours: it is told, and does not turn into a busy loop."""
        self.commit(notice("a"))
        self.slow.faults["heads"] = ZeroDivisionError("a bug")
        self.backlog.read_on()
        self.pass_seconds(2.0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)
        self.slow.faults.clear()
        self.pass_seconds(1.0)
        self.slow.answer()
        self.assertEqual(self.take(9), [1])

    def test_stopped_it_reads_no_more(self) -> None:
        for fault in ({}, {"heads": UNWRITABLE}):
            self.slow.faults = dict(fault)
            self.backlog.read_on()
            self.backlog.stop()
            self.assertFalse(self.backlog.is_reading)
            self.assertEqual(self.clock.getDelayedCalls(), [])
        self.backlog.stop()
        self.slow.faults.clear()
        self.slow.unanswered.clear()
        self.commit(notice("a"))
        self.read()
        self.assertEqual(self.take(9), [1], "what was not read is read when it goes on")

    def test_ten_thousand_are_held(self) -> None:
        self.assertEqual(HEADS_MAX_COUNT, 10_000)
        deliverer = self.deliverer(Pace(rate_per_second=1.0))
        deliverer.wake()
        self.owe(deliverer, *(notice(str(number)) for number in range(10_500)))
        self.assertEqual(len(deliverer._heads), 9_999)


_EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("owe"), st.lists(st.integers(0, 12), min_size=1, max_size=6)),
        st.tuples(st.just("end"), st.booleans()),
        st.tuples(st.just("answer"), st.none()),
        st.tuples(st.just("wait"), st.floats(0.1, 3.0)),
    ),
    max_size=60,
)


class AnyOrderTests(OutboxTestCase):
    """However offers, reads, sends and retries mix: each is sent, its lane in order, none twice."""

    def begin(self, pace: Pace, limit: int) -> None:
        """Make a deliverer that holds few heads, with a store that answers when it is told to."""
        self.setUp()
        self.slow = SlowStore(self.store)
        self.sender = self.deliverer(pace, store=self.slow, heads_max_count=limit)
        self.destination.holds = True
        self.committed: list[str] = []
        self.delivered: list[str] = []
        self.sender.wake()

    def owe_in(self, lanes: list[int]) -> None:
        """Owe one notice in each of these lanes."""
        texts = [f"{lane:02}/{len(self.committed) + n:04}" for n, lane in enumerate(lanes)]
        self.committed += texts
        self.owe(self.sender, *(notice(text, text[:2]) for text in texts))

    def end(self, outcome: Outcome) -> None:
        """End the oldest request, if there is one."""
        if self.destination.held:
            sent = self.destination.held[0][0]
            self.destination.end_one(outcome)
            if isinstance(outcome, Delivered):
                self.delivered += [notice.text for notice in sent]

    def answer(self) -> None:
        """Let the store answer, if it was asked."""
        if self.slow.unanswered:
            self.slow.answer()

    def step(self, event: tuple[str, object]) -> None:
        """Let one thing happen."""
        match event:
            case "owe", list(lanes):
                self.owe_in(lanes)
            case "end", good:
                self.end(Delivered() if good else SERVER_DOWN)
            case "answer", _:
                self.answer()
            case _, float(seconds):
                self.clock.advance(seconds)

    @settings(max_examples=200, deadline=None)
    @given(_EVENTS, st.integers(1, 5), st.integers(1, 3), st.integers(1, 3))
    def test_nothing_is_sent_twice_and_nothing_forgotten(
        self, events: list[tuple[str, object]], limit: int, batch: int, slots: int
    ) -> None:
        pace = Pace(batch_count=batch, concurrency_count=slots, stale_after_seconds=1e9)
        self.begin(pace, limit)
        for event in events:
            self.step(event)
            # What is out comes back when it fails.
            self.assertLessEqual(len(self.sender._heads), limit + batch * slots)
        patience = 2_000
        while len(self.delivered) < len(self.committed) and patience:
            patience -= 1
            self.answer()
            self.end(Delivered())
            self.clock.advance(1.0)
        self.assertEqual(sorted(self.delivered), sorted(self.committed))
        for lane in {text[:2] for text in self.committed}:
            of_lane = [text for text in self.delivered if text[:2] == lane]
            self.assertEqual(of_lane, sorted(of_lane))
        self.assertEqual(self.store.owed_counts(), {})
        self.sender.stop()
        self.sender.cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class OrderTests(OutboxTestCase):
    """Where nothing is retried, lanes go in the order of commit, however few are held."""

    def test_it_is_that_of_commit(self) -> None:
        texts = [f"{number:03}" for number in range(100)]
        self.commit(*(notice(text) for text in texts[:50]))
        deliverer = self.deliverer(Pace(rate_per_second=4.0), heads_max_count=5)
        deliverer.wake()
        for text in texts[50:]:
            self.owe(deliverer, notice(text))
            self.pass_seconds(0.25)
        self.pass_seconds(30.0)
        self.assertEqual(self.destination.batches, told(*texts))
