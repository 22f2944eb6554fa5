"""Tests of when the inventory is saved, one time after the other, and what becomes of a failure."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from typing import Any, cast

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.outbox.cases import open_store
from tests.secrets_check import RecordedLog
from tutumwatch.events.event import Event
from tutumwatch.events.inputs import Link, LinkType
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Key, Resource
from tutumwatch.outbox.sqlite.store import CHECKPOINT_STEP_COUNT, SQLiteStore, connect
from tutumwatch.outbox.store import Store, StoreUnwritableError
from tutumwatch.saving import SAVE_AFTER_COUNT, SAVE_AFTER_SECONDS, InventorySaver


class HeldCheckpoints:
    """Stands in for a store: keeps what is to be saved until the test ends it."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], float]] = []
        self.held: list[Deferred[None]] = []

    async def checkpoint(self, changed: Mapping[Key, Resource | None], at: float) -> None:
        """Note it, and wait."""
        self.asked.append((sorted(key[2] for key in changed), at))
        self.held.append(Deferred())
        await self.held[-1]

    def end(self, problem: Exception | None = None) -> None:
        """End the oldest that waits."""
        held = self.held.pop(0)
        if problem is None:
            held.callback(None)
        else:
            held.errback(problem)


class InventorySaverTests(SynchronousTestCase):
    """A saver on a Clock."""

    def setUp(self) -> None:
        """Make an inventory in which something has changed."""
        self.clock = Clock()
        self.inventory = Inventory()
        self.store = HeldCheckpoints()
        self.saver = InventorySaver(
            self.inventory,
            cast("Store", self.store),
            self.clock,
            lambda: 1000 + self.clock.seconds(),
        )
        self.change("s1")

    def change(self, uuid: str) -> None:
        """Let a service change."""
        event = Event("service", state="Running", resource_uri=f"/api/v1/service/{uuid}/")
        self.inventory.apply_event(event, "id", "main", 1, 1.0)

    def test_it_is_due_after_a_while(self) -> None:
        self.clock.advance(SAVE_AFTER_SECONDS - 0.1)
        self.saver.save_if_due()
        self.assertEqual(self.store.asked, [])
        self.clock.advance(0.1)
        self.saver.save_if_due()
        self.assertEqual(self.store.asked, [(["s1"], 1060.0)])

    def test_it_is_due_after_many_inputs(self) -> None:
        self.saver.count(SAVE_AFTER_COUNT - 1)
        self.saver.save_if_due()
        self.assertEqual(self.store.asked, [])
        self.saver.count(1)
        self.saver.save_if_due()
        self.assertEqual(len(self.store.asked), 1)
        self.store.end()
        self.saver.save_if_due()
        self.assertEqual(len(self.store.asked), 1)

    def test_it_is_due_at_once_if_that_is_said(self) -> None:
        self.saver.hurry()
        self.saver.save_if_due()
        self.assertEqual(len(self.store.asked), 1)

    def test_one_at_a_time(self) -> None:
        """A slow disk: the next is asked for when the one before has ended."""
        self.saver.hurry()
        self.saver.save_if_due()
        self.change("s2")
        self.clock.advance(2 * SAVE_AFTER_SECONDS)
        self.saver.save_if_due()
        self.assertEqual(len(self.store.asked), 1)
        self.store.end()
        self.saver.save_if_due()
        self.assertEqual([uuids for uuids, _ in self.store.asked], [["s1"], ["s2"]])

    def test_the_last_one_is_waited_for(self) -> None:
        saved = self.saver.save()
        self.assertNoResult(saved)
        self.store.end()
        self.successResultOf(saved)
        self.assertEqual(self.store.asked, [(["s1"], 1000.0)])

    def test_one_that_is_under_way_at_the_end_counts_as_the_last(self) -> None:
        """What changed since then is in the journal."""
        self.saver.hurry()
        self.saver.save_if_due()
        self.change("s2")
        saved = self.saver.save()
        self.assertNoResult(saved)
        self.store.end()
        self.successResultOf(saved)
        self.assertEqual(len(self.store.asked), 1)

    def test_a_disk_that_is_full_costs_nothing(self) -> None:
        """It is told, and what was to be saved is saved the next time, soon."""
        saved = self.saver.save()
        self.store.end(StoreUnwritableError("the disk is full"))
        self.successResultOf(saved)
        self.assertEqual(self.saver.problem, "the disk is full")
        self.change("s2")
        self.saver.save_if_due()
        self.assertEqual(self.store.asked[-1][0], ["s1", "s2"])
        self.store.end()
        self.assertEqual(self.saver.problem, "")

    def test_a_failure_is_told_once_and_shown_until_it_is_over(self) -> None:
        log = RecordedLog()
        self.addCleanup(log.stop)
        for problem in ("the disk is full", "the disk is away"):
            self.saver.save()
            self.store.end(StoreUnwritableError(problem))
            self.assertEqual(self.saver.problem, problem)
        self.assertEqual([event["problem"] for event in log.events], ["the disk is full"])
        self.saver.save()
        self.store.end()
        self.assertEqual(self.saver.problem, "")

    def test_a_bug_is_logged_and_costs_nothing_either(self) -> None:
        saved = self.saver.save()
        self.store.end(ZeroDivisionError("a bug"))
        self.successResultOf(saved)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.saver.save()
        self.assertEqual(self.store.asked[-1][0], ["s1"])


class KilledWhileSavingTests(SynchronousTestCase):
    """The rows of an inventory are written a few at a time, and a kill comes between two of them."""

    def test_our_own_connections_are_written_when_saving_is_done(self) -> None:
        """Taken in again over what is newer, a stream would have been blind for another time."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = f"{folder.name}/outbox.sqlite"
        inventory = Inventory()
        for number in range(CHECKPOINT_STEP_COUNT + 1):
            uri = f"/api/v1/service/s{number}/"
            inventory.apply_event(Event("service", resource_uri=uri), "id", "main", 1, 1.0)
        for type_, name in ((LinkType.STREAM, "main"), (LinkType.NOTIFIER, "pd")):
            inventory.apply_link(Link(type_, name, "Disconnected", "why", 1.0), "id")
        changed = inventory.take_unsaved()
        written: list[set[str]] = []
        for steps in (1, 2, 3):
            left = steps

            def in_thread(work: Callable[[], Any]) -> Deferred[Any]:
                """Do so many steps; then the process is gone."""
                nonlocal left
                left -= 1
                return execute(work) if left >= 0 else Deferred()

            store = SQLiteStore(path, connect, lambda: 1.0, in_thread, lambda: None)
            store.restore()
            Deferred.fromCoroutine(store.checkpoint(changed, 1.0))
            store._writer.close()
            kept = open_store(path).restore().resources
            written.append({resource.type for resource in kept})
            self.assertEqual(len(list(kept)), (500, 501, 503)[steps - 1])
        self.assertEqual(written, [{"service"}, {"service"}, {"service", "stream", "notifier"}])
