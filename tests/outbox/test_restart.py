"""Tests of what is owed over a restart: of the file, and of who delivers from it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.outbox.cases import (
    KEY_REFUSED,
    REFUSED_FOR_SURE,
    SERVER_DOWN,
    memory_store,
    notice,
    open_store,
    told,
)
from tests.outbox.test_rows import RESOLVE, TOO_BIG, TRIGGER, RowsTestCase, texts, waiting
from tutumwatch.notifiers.contract import Pace
from tutumwatch.notifiers.outcomes import Delivered
from tutumwatch.outbox.deliverer import Deliverer
from tutumwatch.outbox.gate import State
from tutumwatch.outbox.outbox import Outbox
from tutumwatch.outbox.store import Head
from tutumwatch.rules.decisions import Dropped, Settled


class RestartTestCase(RowsTestCase):
    """Gives each test a store in a file, which can be closed and opened again."""

    def setUp(self) -> None:
        """Make it."""
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = str(Path(folder.name, "outbox.sqlite"))
        self.store = open_store(self.path)
        self.addCleanup(lambda: self.result_of(self.store.close()))
        self.store.restore()
        self.assertEqual(len(self.result_of(self.store.open())), 0)

    def restart(self) -> Sequence[Head]:
        """End without a word, and begin again; give what was being sent."""
        self.result_of(self.store.close())
        self.store = open_store(self.path)
        self.store.restore()
        return self.result_of(self.store.open())

    def heads(self) -> list[str]:
        """Give what may be sent."""
        return self.said(self.result_of(self.store.heads("ops", 100)))


class RestartTests(RestartTestCase):
    """Lanes, places and counts are what they were."""

    def test_what_is_owed_is_owed_in_its_order(self) -> None:
        self.commit(notice("1", "a"), notice("2", "a"), notice("3", "b"), waiting("w", "c"))
        self.commit(notice("4", "c"))
        self.assertEqual(self.restart(), [])
        self.assertEqual(self.store.owed_counts(), {"ops": 5})
        self.assertEqual(self.heads(), ["1", "3"])
        self.assertEqual(self.owe_heads(Settled("w", (notice("it", "c"),))), ["it"])

    def test_new_rows_come_behind_old_ones(self) -> None:
        self.commit(notice("1"), notice("2"))
        self.restart()
        self.commit(notice("3"))
        self.assertEqual(self.heads(), ["1", "2", "3"])

    def test_what_was_remembered_of_a_lane_still_is(self) -> None:
        (head,) = self.commit(notice("1", "a"))
        self.end(head, Delivered(remember="ts 17"))
        self.restart()
        (head,) = self.commit(notice("2", "a"))
        self.assertEqual([begun.memory for begun in self.begin(head)], ["ts 17"])

    def test_what_is_in_memory_is_gone(self) -> None:
        self.result_of(self.store.close())
        self.store = memory_store()
        self.commit(notice("1"))
        self.result_of(self.store.close())
        self.store = memory_store()
        self.assertEqual(self.store.restore().waiting, ())
        self.assertEqual(self.store.owed_counts(), {})

    def test_a_restart_that_came_to_nothing_changes_nothing(self) -> None:
        """Killed between the two steps of opening."""
        (head,) = self.commit(notice("down", "k", TRIGGER))
        self.begin(head)
        open_store(self.path).restore()
        self.assertEqual([(h.row_id, h.interrupted) for h in self.restart()], [(head.row_id, True)])
        self.assertEqual(self.heads(), ["down"])
        self.commit(notice("up", "k", RESOLVE))
        self.assertEqual(self.owed_texts(), ["down", "up"])


class InterruptedTests(RestartTestCase):
    """What was being sent may have arrived: it goes again, first, and is never withdrawn."""

    def test_it_is_given_as_interrupted(self) -> None:
        log = self.recorded_log()
        _, second, *_ = self.commit(*(notice(str(number)) for number in range(3)))
        self.begin(second)
        (head,) = self.restart()
        self.assertEqual(
            (head.row_id, head.attempts, head.interrupted, head.is_message),
            (second.row_id, 1, True, True),
        )
        self.assertEqual(self.store.counts, {"possible repeats": 1})
        self.assertEqual(
            self.lines(log),
            [
                (
                    "1 notices were being sent when we last ended: they are sent again, and may arrive "
                    "twice"
                )
            ],
        )

    def test_it_is_not_withdrawn(self) -> None:
        """The destination may have opened an incident, which must be closed."""
        (head,) = self.commit(notice("down", "k", TRIGGER))
        self.begin(head)
        (head,) = self.restart()
        self.commit(notice("up", "k", RESOLVE))
        self.assertEqual(self.owed_texts(), ["down", "up"])
        self.assertEqual(self.end(head, REFUSED_FOR_SURE), ["down"])
        self.assertEqual(self.owed_texts(), ["down", "up"])
        self.assertEqual(self.end(head, Delivered()), ["up"])

    def test_nor_is_it_when_its_resolve_waited_behind_it(self) -> None:
        (head,) = self.commit(notice("down", "k", TRIGGER))
        self.begin(head)
        self.commit(notice("up", "k", RESOLVE))
        (head,) = self.restart()
        self.assertEqual(self.end(head, REFUSED_FOR_SURE), ["down"])
        self.assertEqual(self.owed_texts(), ["down", "up"])

    def test_a_person_may_drop_it(self) -> None:
        """After the restart it is not being sent."""
        (head,) = self.commit(notice("1", "a"), notice("2", "a"))
        self.begin(head)
        (head,) = self.restart()
        self.assertEqual(self.owe_heads(Dropped(head.row_id, "by hand")), ["2"])

    def test_it_is_sent_first(self) -> None:
        """Before what was committed earlier; then all goes in the order of commit."""
        *_, last = self.commit(notice("1"), notice("2"), notice("3"))
        self.begin(last)
        self.result_of(self.store.close())
        self.store = open_store(self.path)
        self.store.restore()
        outbox = Outbox(self.store, {"ops": self.deliverer()}, self.clock)
        self.result_of(outbox.open())
        self.assertEqual(self.destination.batches, told("3", "1", "2"))

    def test_what_was_one_request_is_one_again(self) -> None:
        """A kill repeats no more requests than were under way, whatever waits besides."""
        texts_before = [f"{number:02}" for number in range(12)]
        pace = Pace(batch_count=20, batch_above_count=10)
        self.begin(*self.commit(*(notice(text) for text in texts_before)))
        interrupted = self.restart()
        deliverer = self.deliverer(pace)
        self.commit(*(notice(f"new {number}") for number in range(3)))
        for head in interrupted:
            deliverer.offer(head)
        deliverer.wake()
        new = told("new 0", "new 1", "new 2")
        self.assertEqual(self.destination.batches, [texts_before, *new])

    def test_nothing_new_joins_the_rest_of_it(self) -> None:
        self.begin(*self.commit(*(notice(str(number)) for number in range(3))))
        interrupted = self.restart()
        deliverer = self.deliverer(Pace(batch_count=2))
        self.commit(notice("new"))
        self.destination.holds = True
        for head in interrupted:
            deliverer.offer(head)
        deliverer.wake()
        self.destination.holds = False
        self.destination.end_one()
        self.assertEqual(self.destination.batches, [["0", "1"], ["2"], ["new"]])

    def test_also_when_it_fails_and_is_sent_again(self) -> None:
        texts_before = [f"{number:02}" for number in range(4)]
        self.begin(*self.commit(*(notice(text) for text in texts_before)))
        interrupted = self.restart()
        deliverer = self.deliverer(Pace(batch_count=20, batch_above_count=10))
        self.destination.judge = lambda _notice: SERVER_DOWN
        for head in interrupted:
            deliverer.offer(head)
        deliverer.wake()
        self.pass_seconds(2.0)
        self.destination.judge = lambda _notice: Delivered()
        self.pass_seconds(10.0)
        self.assertEqual(self.destination.batches, [texts_before] * 3)

    def test_but_not_larger_than_a_request_may_be(self) -> None:
        """Nor as one, if it was too large as one."""
        self.begin(*self.commit(*(notice(str(number)) for number in range(5))))
        interrupted = self.restart()
        deliverer = self.deliverer(Pace(batch_count=3))
        self.destination.judge = lambda _notice: (
            TOO_BIG if len(self.destination.batches[-1]) > 1 else Delivered()
        )
        for head in interrupted:
            deliverer.offer(head)
        deliverer.wake()
        self.assertEqual(self.destination.batches[:4], [["0", "1", "2"], *told("0", "1", "2")])
        self.assertEqual(self.destination.batches[4:], [["3", "4"], *told("3", "4")])


class PatienceTests(RestartTestCase):
    """For how long a notice has failed counts on, so that a poisonous one ends in time."""

    def fail_for(self, deliverer: Deliverer, seconds: float) -> None:
        """Let others be delivered meanwhile: the destination is up."""
        for _ in range(round(seconds / 600.0)):
            self.pass_seconds(600.0, step=30.0)
            self.owe(deliverer, notice(f"fine at {self.now()}", at=self.now()))

    def test_it_counts_on_over_restarts(self) -> None:
        hours = 0
        self.destination.judge = lambda notice: (
            SERVER_DOWN if notice.text == "poison" else Delivered()
        )
        deliverer = self.deliverer()
        self.owe(deliverer, notice("fine"), notice("poison"))
        while not self.dead_letters() and hours < 40:
            hours += 1
            self.fail_for(deliverer, 3600.0)
            deliverer.stop()
            self.restart()
            deliverer = self.deliverer()
            deliverer.wake()
        self.assertEqual([letter.text for letter, _ in self.dead_letters()], ["poison"])
        self.assertGreaterEqual(hours, 24)
        self.assertLess(hours, 30, "what passes between an end and the next attempt is not counted")

    def test_another_outcome_does_not_begin_it_anew(self) -> None:
        (head,) = self.commit(notice("poison"))
        self.begin(head)
        self.finish(head, SERVER_DOWN, up_seconds=5_000.0)
        deliverer = self.deliverer()
        self.destination.judge = lambda _notice: KEY_REFUSED
        deliverer.wake()
        self.assertEqual(self.destination.batches, told("poison"))
        self.assertEqual(self.rows("SELECT up_seconds FROM deliveries"), [(5_000.0,)])

    def test_attempts_of_before_are_told_with_it(self) -> None:
        (head,) = self.commit(notice("poison"))
        for _ in range(3):
            self.begin(head)
            self.finish(head, SERVER_DOWN, up_seconds=90_000.0)
        self.restart()
        self.destination.judge = lambda _notice: SERVER_DOWN
        self.deliverer().wake()
        self.assertEqual([why for _, why in self.dead_letters()], ["tried 4 times: 503"])


class RestoredGateTests(RestartTestCase):
    """A destination that was down when we ended is probed at once, one request at a time."""

    def test_it_is_probed_at_once(self) -> None:
        for state in (State.REFUSED, State.FAILING):
            self.reports.clear()
            self.destination.held.clear()
            deliverer = self.deliverer(Pace(concurrency_count=8, batch_count=8))
            deliverer.restore(state, "server failed: 503")
            self.assertEqual((deliverer.state, deliverer.reason), (state, "server failed: 503"))
            self.destination.holds = True
            self.owe(deliverer, *(notice(f"{state} {number}") for number in range(20)))
            self.assertEqual([len(batch) for batch, _ in self.destination.held], [1])
            self.destination.end_one(Delivered())
            self.assertEqual((deliverer.state, deliverer.reason), (State.DELIVERING, ""))
            self.assertEqual(self.reports, [(self.now(), "ops", State.DELIVERING, "")])
            self.assertEqual([len(batch) for batch, _ in self.destination.held], [8, 8, 3])
            deliverer.stop()
            for _ in range(3):
                self.destination.end_one(Delivered())

    def test_still_refused_it_is_asked_every_five_minutes_and_nothing_is_new(self) -> None:
        deliverer = self.deliverer()
        deliverer.restore(State.REFUSED, "credential refused: 401")
        self.destination.judge = lambda _notice: KEY_REFUSED
        self.owe(deliverer, notice("x"), notice("y"))
        self.pass_seconds(600.0)
        self.assertEqual((self.destination.times, self.reports), ([0.0, 300.0, 600.0], []))

    def test_still_failing_its_probes_grow_apart(self) -> None:
        deliverer = self.deliverer()
        deliverer.restore(State.FAILING, "server failed: 503")
        self.destination.judge = lambda _notice: SERVER_DOWN
        self.owe(deliverer, *(notice(str(number)) for number in range(20)))
        self.pass_seconds(30.0)
        self.assertEqual((self.destination.times, self.reports), ([0.0, 4.0, 12.0, 28.0], []))

    def test_what_is_old_is_no_digest_before_it_is_back(self) -> None:
        self.commit(*(notice(str(number)) for number in range(20)))
        self.clock.advance(7_200.0)
        deliverer = self.deliverer()
        deliverer.restore(State.REFUSED, "credential refused: 401")
        self.destination.holds = True
        deliverer.wake()
        self.assertEqual(self.destination.batches, told("0"))
        self.assertEqual(self.store.counts, {})
        self.destination.end_one(Delivered())
        self.assertEqual(self.store.counts, {"delivered": 1, "digested": 19})


class OutboxRestartTests(RestartTestCase):
    """The whole outbox goes on where it ended."""

    def test_what_was_left_is_sent_on_opening(self) -> None:
        self.destination.holds = True
        deliverer = self.deliverer()
        self.owe(deliverer, *(notice(text) for text in ("1", "2", "3")))
        deliverer.stop()
        self.result_of(self.store.close())
        self.destination.batches.clear()
        self.destination.holds = False
        self.store = open_store(self.path)
        self.store.restore()
        outbox = Outbox(self.store, {"ops": self.deliverer()}, self.clock)
        self.result_of(outbox.open())
        self.assertEqual(self.destination.batches, told("1", "2", "3"))
        self.assertEqual(texts(self.result_of(self.store.begin([1, 2, 3]))), [])
