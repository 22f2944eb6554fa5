"""Tests of the outbox as a service: commit, release, drain, close."""

from __future__ import annotations

import gc

from twisted.application.service import IService
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from tests.outbox.cases import KEY_REFUSED, OutboxTestCase, ScriptedDestination, notice, told
from tutumwatch.outbox.outbox import Outbox
from tutumwatch.outbox.store import Delivery, Restored
from tutumwatch.rules.decisions import Decisions


class _FullStore:
    """A store that held something when it was opened."""

    def __init__(self, head: Delivery) -> None:
        self._head = head

    async def open(self) -> Restored:
        """Give the head of its one lane."""
        return Restored(heads=(self._head,), knows_the_past=True)


class OutboxServiceTests(OutboxTestCase):
    """One store, and one deliverer for each notifier."""

    def setUp(self) -> None:
        """Make an outbox with two notifiers."""
        super().setUp()
        self.other = ScriptedDestination(self.clock)
        self.deliverers = {"ops": self.deliverer(), "pd": self.deliverer(destination=self.other)}
        self.outbox = Outbox(self.store, self.deliverers, self.clock)

    def commit_and_release(self, *texts: str, notifier: str = "ops") -> None:
        """Owe some notices."""
        owed = [notice(text, notifier=notifier) for text in texts]
        self.outbox.release(self.result_of(self.outbox.commit(Decisions(owed=[*owed]))))

    def drained(self, grace_seconds: float) -> Deferred[None]:
        """Begin to drain."""
        return Deferred.fromCoroutine(self.outbox.drain(grace_seconds))

    def test_it_is_a_service_of_its_name(self) -> None:
        self.assertTrue(verifyObject(IService, self.outbox))
        self.assertEqual(self.outbox.name, "outbox")

    def test_what_is_committed_is_sent_only_when_released(self) -> None:
        owed = [notice("x"), notice("y", notifier="pd"), notice("z")]
        heads = self.result_of(self.outbox.commit(Decisions(owed=[*owed])))
        self.assertEqual(self.destination.batches, [])
        self.outbox.release(heads)
        self.assertEqual(self.destination.batches, told("x", "z"))
        self.assertEqual(self.other.batches, told("y"))

    def test_what_the_store_still_held_is_sent_on_opening(self) -> None:
        (head,) = self.commit(notice("from before"))
        held = _FullStore(head)
        outbox = Outbox(held, self.deliverers, self.clock)  # type: ignore[arg-type] # only its open() is called
        restored = self.result_of(outbox.open())
        self.assertTrue(restored.knows_the_past)
        self.assertEqual(self.destination.batches, told("from before"))

    def test_it_counts_what_is_owed(self) -> None:
        self.destination.holds = True
        self.commit_and_release("x", "y")
        self.assertEqual(self.outbox.owed_counts(), {"ops": 2})

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
