"""Tests of the outbox as a service: commit, release, drain, close."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence

from twisted.application.service import IService
from twisted.internet.defer import CancelledError, Deferred
from zope.interface.verify import verifyObject

from tests.outbox.cases import (
    KEY_REFUSED,
    TIMED_OUT,
    UNWRITABLE,
    FaultyStore,
    OutboxTestCase,
    ScriptedDestination,
    notice,
    told,
)
from tutumwatch.notifiers.outcomes import Outcome
from tutumwatch.outbox.outbox import Outbox
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.notice import Notice


class OutboxServiceTests(OutboxTestCase):
    """One store, and one deliverer for each notifier."""

    def setUp(self) -> None:
        """Make an outbox with two notifiers."""
        super().setUp()
        self.other = ScriptedDestination(self.clock)
        self.faulty = FaultyStore(self.store)
        self.deliverers = {
            "ops": self.deliverer(store=self.faulty),
            "pd": self.deliverer(store=self.faulty, destination=self.other, name="pd"),
        }
        self.outbox = Outbox(self.faulty, self.deliverers, self.clock)

    def commit_and_release(self, *texts: str, notifier: str = "ops") -> None:
        """Owe some notices."""
        owed = [notice(text, notifier=notifier) for text in texts]
        heads = self.result_of(self.outbox.commit(Decisions(owed=[*owed]), 0.0))
        self.outbox.release(heads)

    def drained(self, grace_seconds: float) -> Deferred[None]:
        """Begin to drain."""
        return Deferred.fromCoroutine(self.outbox.drain(grace_seconds))

    def test_it_is_a_service_of_its_name(self) -> None:
        self.assertTrue(verifyObject(IService, self.outbox))
        self.assertEqual(self.outbox.name, "outbox")

    def test_what_is_committed_is_sent_only_when_released(self) -> None:
        owed = [notice("x"), notice("y", notifier="pd"), notice("z")]
        heads = self.result_of(self.outbox.commit(Decisions(owed=[*owed]), 0.0))
        self.assertEqual(self.destination.batches, [])
        self.outbox.release(heads)
        self.assertEqual(self.destination.batches, told("x", "z"))
        self.assertEqual(self.other.batches, told("y"))

    def test_what_the_store_still_held_is_sent_on_opening(self) -> None:
        log = self.recorded_log()
        self.commit(notice("1"), notice("2", notifier="pd"))
        self.result_of(self.outbox.open())
        self.assertEqual(self.destination.batches, told("1"))
        self.assertEqual(self.other.batches, told("2"))
        self.assertEqual(self.lines(log), ["still owed from the last run: ops 1, pd 1"])

    def test_what_the_store_holds_for_a_notifier_that_is_not_on_is_kept_and_told(self) -> None:
        log = self.recorded_log()
        elsewhere = ["1", "2"]
        self.commit(*(notice(text, notifier="gone") for text in elsewhere))
        self.commit(notice("3", notifier="away"), notice("ours"))
        self.result_of(self.outbox.open())
        self.assertEqual(
            self.lines(log),
            [
                "still owed from the last run: ops 1",
                (
                    "notices wait for notifiers that are not on: away 1, gone 2; they are kept, until "
                    "`tutumwatch outbox drop`"
                ),
            ],
        )
        self.assertEqual(self.outbox.owed_counts(), {"gone": 2, "away": 1})

    def test_what_is_owed_to_a_notifier_that_is_not_on_stays(self) -> None:
        self.commit_and_release("x", notifier="gone")
        self.assertEqual(self.outbox.owed_counts(), {"gone": 1})

    def test_when_the_file_was_replaced_it_looks_for_heads_that_nobody_offered(self) -> None:
        """The first of a lane could not be saved, say; the next one is its head now."""
        self.result_of(self.outbox.open())
        self.commit(notice("behind what is lost"))
        self.commit_and_release("new")
        self.assertEqual(self.destination.batches, told("new"))
        self.faulty.replaced_count += 1
        self.result_of(self.outbox.commit(Decisions(), 0.0))
        self.assertEqual(self.destination.batches, told("new", "behind what is lost"))
        asked = self.faulty.asked.count("heads")
        self.result_of(self.outbox.commit(Decisions(), 0.0))
        self.assertEqual(self.faulty.asked.count("heads"), asked)

    def test_it_counts_what_is_owed(self) -> None:
        self.destination.holds = True
        self.commit_and_release("x", "y")
        self.assertEqual(self.outbox.owed_counts(), {"ops": 2})

    def test_one_that_is_added_gets_what_waits_for_it(self) -> None:
        late = ScriptedDestination(self.clock)
        self.commit_and_release("x", "y", notifier="late")
        self.outbox.add(self.deliverer(store=self.faulty, destination=late, name="late"))
        self.assertEqual(late.batches, told("x", "y"))
        self.commit_and_release("z", notifier="late")
        self.assertEqual(late.batches, told("x", "y", "z"))

    def removed(self, grace_seconds: float) -> Deferred[None]:
        """Begin to remove a notifier."""
        return Deferred.fromCoroutine(self.outbox.remove("pd", grace_seconds))

    def test_one_that_is_removed_gets_nothing_more(self) -> None:
        self.successResultOf(self.removed(3.0))
        self.commit_and_release("x", notifier="pd")
        self.assertEqual(self.other.batches, [])
        self.assertEqual(self.outbox.owed_counts(), {"pd": 1})
        self.commit_and_release("y")
        self.assertEqual(self.destination.batches, told("y"))

    def test_what_is_under_way_to_it_may_end(self) -> None:
        self.other.holds = True
        self.commit_and_release("x", "y", notifier="pd")
        removed = self.removed(3.0)
        self.clock.advance(2.9)
        self.assertNoResult(removed)
        self.other.end_one()
        self.successResultOf(removed)
        self.assertEqual(self.other.batches, told("x"))
        self.assertEqual(self.outbox.owed_counts(), {"pd": 1})

    def test_but_not_for_longer_than_that_and_is_sent_again_when_it_is_back(self) -> None:
        self.other.holds = True

        async def deliver(batch: Sequence[Notice], memory: Mapping[str, str]) -> Sequence[Outcome]:
            """Give an outcome whatever happens, as the service of a notifier does."""
            try:
                return await self.other.deliver(batch, memory)
            except CancelledError:
                return [TIMED_OUT]

        self.outbox.deliverers["pd"] = self.deliverer_to(deliver, name="pd")
        self.commit_and_release("x", notifier="pd")
        removed = self.removed(3.0)
        self.clock.advance(3.0)
        self.successResultOf(removed)
        self.assertEqual(self.outbox.owed_counts(), {"pd": 1})
        self.other.holds = False
        self.outbox.add(self.deliverer(store=self.store, destination=self.other, name="pd"))
        self.assertEqual(self.other.batches, told("x", "x"))
        self.assertEqual(self.outbox.owed_counts(), {})

    def test_when_we_stop_meanwhile_nothing_of_it_goes_on(self) -> None:
        self.other.holds = True
        self.commit_and_release("x", notifier="pd")
        removed = self.removed(3.0)
        removed.cancel()
        self.failureResultOf(removed, CancelledError)
        ((_, answer),) = self.other.held
        self.assertTrue(answer.called)

    def test_draining_with_nothing_owed_ends_at_once(self) -> None:
        self.successResultOf(self.drained(3.0))

    def test_draining_goes_on_sending(self) -> None:
        self.destination.holds = True
        self.commit_and_release("x", "y")
        drained = self.drained(3.0)
        self.destination.end_one()
        self.assertNoResult(drained)
        self.destination.end_one()
        self.successResultOf(drained)
        self.assertEqual(self.outbox.owed_counts(), {})

    def test_draining_ends_when_its_time_is_up(self) -> None:
        """What is under way then is ended and stays owed; nothing is left to clean up."""
        self.destination.holds = self.other.holds = True
        self.commit_and_release("x", "y")
        self.commit_and_release("z", notifier="pd")
        drained = self.drained(3.0)
        self.clock.advance(2.9)
        self.assertNoResult(drained)
        self.clock.advance(0.1)
        self.successResultOf(drained)
        self.assertEqual(self.outbox.owed_counts(), {"ops": 2, "pd": 1})
        for destination in (self.destination, self.other):
            for _, request in destination.held:
                self.assertTrue(request.called)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_draining_waits_for_what_is_being_read(self) -> None:
        """Among it may be what can go in time."""
        self.commit(notice("x"))
        self.faulty.faults["heads"] = UNWRITABLE
        self.result_of(self.outbox.open())
        drained = self.drained(3.0)
        self.assertNoResult(drained)
        self.faulty.faults.clear()
        self.clock.advance(1.0)
        self.successResultOf(drained)
        self.assertEqual(self.destination.batches, told("x"))

    def test_but_not_for_longer_than_it_may(self) -> None:
        """No reading goes on after it."""
        self.commit(notice("x"))
        self.faulty.faults["heads"] = UNWRITABLE
        self.result_of(self.outbox.open())
        drained = self.drained(3.0)
        self.clock.pump([0.5] * 6)
        self.successResultOf(drained)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_draining_does_not_wait_for_a_parked_destination(self) -> None:
        self.destination.judge = lambda _notice: KEY_REFUSED
        self.commit_and_release("x")
        self.successResultOf(self.drained(3.0))

    def test_nothing_is_sent_after_it(self) -> None:
        self.successResultOf(self.drained(3.0))
        self.commit_and_release("late")
        self.assertEqual(self.destination.batches, [])

    def test_closing_says_what_is_left(self) -> None:
        log = self.recorded_log()
        self.destination.holds = self.other.holds = True
        self.commit_and_release("x", "y")
        self.commit_and_release("z", notifier="pd")
        self.result_of(self.outbox.close())
        self.assertEqual(self.lines(log), ["stopped with 3 notices undelivered: ops 2, pd 1"])

    def test_closing_with_nothing_left_says_nothing(self) -> None:
        log = self.recorded_log()
        self.commit_and_release("x")
        self.result_of(self.outbox.close())
        self.assertEqual(self.lines(log), [])

    def test_one_destination_does_not_wait_for_another(self) -> None:
        self.destination.holds = True
        self.commit_and_release("x")
        self.commit_and_release("y", notifier="pd")
        self.assertEqual(self.other.batches, told("y"))
