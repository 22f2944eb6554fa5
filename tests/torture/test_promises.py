"""What must be in the file at which moment: each promise, at the instant at which it could break.

A kill leaves the file as it is. So a test copies the file, at a request or at a step of the store,
and goes on with the copy: that is the next life.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred, execute

from tests.outbox.cases import (
    REFUSED_FOR_SURE,
    SERVER_DOWN,
    TIMED_OUT,
    OutboxTestCase,
    ScriptedDestination,
    notice,
    open_store,
    told,
)
from tests.rules.world import (
    DESTINATIONS,
    incident_rule,
    incident_settings,
    message_rule,
    rule_set,
    service_rule,
)
from tutumwatch.events.inputs import (
    CONNECTED,
    DISCONNECTED,
    Found,
    Link,
    LinkType,
    Listed,
    Looked,
    Message,
    Silence,
    Tick,
    Unsilence,
)
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Resource
from tutumwatch.notifiers.contract import Pace
from tutumwatch.notifiers.outcomes import Delivered, Outcome, Reason, Smaller
from tutumwatch.outbox.deliverer import Deliverer
from tutumwatch.outbox.outbox import Outbox
from tutumwatch.outbox.sqlite.store import SQLiteStore, connect
from tutumwatch.restart import restore
from tutumwatch.rules.decider import Decider
from tutumwatch.rules.decisions import Decisions, Owed
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.messages import MessageRule
from tutumwatch.rules.notice import Form, Notice

FIVES = Pace(batch_count=5, batch_above_count=10)
TOGETHER = ["0", "1", "2", "3", "4"]
AT_ONCE = Pace(concurrency_count=8)
SERVICE = "/api/v1/service/web/"


class KilledTestCase(OutboxTestCase):
    """Gives each test a store in a file, and lives that go on with a copy of it."""

    def setUp(self) -> None:
        """Make the first store."""
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.copies_count = 0
        self.store = self.open_file(self.folder / "outbox.sqlite")

    def open_file(self, path: Path) -> SQLiteStore:
        """Open a file as a start does, but for what is released then."""
        store = open_store(str(path))
        store.restore()
        self.addCleanup(lambda: self.result_of(store.close()))
        return store

    def left_by_a_kill(self) -> Path:
        """Give a copy of the file as it is at this moment."""
        self.copies_count += 1
        copy = self.folder / f"copy-{self.copies_count}.sqlite"
        for suffix in ("", "-wal"):
            part = Path(f"{self.store.path}{suffix}")
            if part.exists():
                shutil.copy(part, f"{copy}{suffix}")
        return copy

    def begin_life(
        self, store: SQLiteStore, destination: ScriptedDestination, pace: Pace
    ) -> tuple[Outbox, Deliverer]:
        """Let an outbox go on with what a store holds."""
        deliverer = self.deliverer(pace, store, destination=destination)
        outbox = Outbox(store, {"ops": deliverer}, self.clock)
        self.result_of(outbox.open())
        return outbox, deliverer

    def killed_at_request(
        self, owed: Sequence[Notice], request: int, pace: Pace, **answers: Outcome
    ) -> Path:
        """Owe something, and be killed when a request arrives; give the file as it is then.

        :param request: which one: 1 is the first.
        :param answers: how earlier ones end, by text.
        """
        left: list[Path] = []

        def deliver(
            batch: Sequence[Notice], memory: Mapping[str, str]
        ) -> Deferred[Sequence[Outcome]]:
            answered = self.destination.deliver(batch, memory)
            if len(self.destination.batches) == request:
                left.append(self.left_by_a_kill())
            return answered

        self.destination.judge = lambda one: answers.get(one.text, Delivered())
        deliverer = self.deliverer_to(deliver, pace, self.store)
        outbox = Outbox(self.store, {"ops": deliverer}, self.clock)
        self.result_of(outbox.open())
        outbox.release(self.result_of(outbox.commit(Decisions(owed=list(owed)), self.now())))
        self.pass_seconds(5)
        self.assertEqual(len(left), 1, self.destination.batches)
        return left[0]

    def said_after(self, left: Path, pace: Pace, *owed: Notice) -> list[list[str]]:
        """Give what the next life says, with what it comes to owe by and by."""
        destination = ScriptedDestination(self.clock)
        outbox, _ = self.begin_life(self.open_file(left), destination, pace)
        outbox.release(self.result_of(outbox.commit(Decisions(owed=list(owed)), self.now())))
        self.pass_seconds(30)
        return destination.batches


class RequestTests(KilledTestCase):
    """What the file knows when a request arrives."""

    def test_what_is_sent_was_committed(self) -> None:
        """Nothing has an effect before it is kept: killed there, it is sent again."""
        left = self.killed_at_request([notice("1")], 1, Pace())
        self.assertEqual(self.said_after(left, Pace()), told("1"))

    def test_what_is_sent_was_marked(self) -> None:
        """Killed there, it counts as what may have arrived."""
        left = self.killed_at_request([notice("1")], 1, Pace())
        store = self.open_file(left)
        (head,) = self.result_of(store.open())
        self.assertTrue(head.interrupted)
        self.assertEqual(store.counts["possible repeats"], 1)

    def test_what_has_ended_is_not_sent_again(self) -> None:
        owed = [notice("1"), notice("2"), notice("3")]
        left = self.killed_at_request(owed, 3, Pace())
        self.assertEqual(self.said_after(left, Pace()), told("3"))

    def test_at_most_as_many_requests_are_repeated_as_were_under_way(self) -> None:
        owed = [notice(str(number)) for number in range(20)]
        self.destination.holds = True
        left = self.killed_at_request(owed, 8, AT_ONCE)
        store = self.open_file(left)
        self.assertEqual(len(self.result_of(store.open())), 8)

    def test_a_request_that_was_under_way_is_repeated_as_one(self) -> None:
        """Its notices may be few by themselves, and yet go together, as they did."""
        owed = [notice(str(number)) for number in range(14)]
        self.destination.holds = True
        left = self.killed_at_request(owed, 1, FIVES)
        first, *_ = self.said_after(left, FIVES)
        self.assertEqual(first, TOGETHER)

    def test_it_is_repeated_as_one_also_if_that_fails_at_first(self) -> None:
        owed = [notice(str(number)) for number in range(14)]
        self.destination.holds = True
        store = self.open_file(self.killed_at_request(owed, 1, FIVES))
        destination = ScriptedDestination(self.clock)
        destination.judge = lambda _one: (
            SERVER_DOWN if "0" in destination.batches[-1] else Delivered()
        )
        jitters = iter([1.0, 1.2, 0.8, 1.1, 0.9] * 20)
        deliverer = self.deliverer(FIVES, store, lambda: next(jitters), destination=destination)
        self.result_of(Outbox(store, {"ops": deliverer}, self.clock).open())
        self.pass_seconds(4)
        self.assertEqual([b for b in destination.batches if "0" in b], [TOGETHER] * 2)

    def test_it_is_repeated_as_one_also_while_another_one_is_taken_apart(self) -> None:
        """It failed at first, and comes again when notices that were found fault with go alone."""
        owed = [notice(str(number)) for number in range(30)]
        self.destination.holds = True
        store = self.open_file(self.killed_at_request(owed, 1, FIVES))
        destination = ScriptedDestination(self.clock)

        def judge(_one: Notice) -> Outcome:
            *earlier, batch = destination.batches
            if batch == TOGETHER and TOGETHER not in earlier:
                return SERVER_DOWN
            return Smaller(Reason.CLIENT, "400") if "7" in batch and len(batch) > 1 else Delivered()

        def deliver(
            batch: Sequence[Notice], memory: Mapping[str, str]
        ) -> Deferred[Sequence[Outcome]]:
            destination.holds = [one.text for one in batch] == ["5"]
            return destination.deliver(batch, memory)

        destination.judge = judge
        deliverer = self.deliverer_to(deliver, FIVES, store)
        self.result_of(Outbox(store, {"ops": deliverer}, self.clock).open())
        self.pass_seconds(3)
        destination.end_one()
        self.pass_seconds(3)
        self.assertEqual([b for b in destination.batches if "0" in b], [TOGETHER] * 2)

    def test_one_that_is_bad_does_not_hold_up_the_others_for_ever(self) -> None:
        """After four failures what went together goes alone."""
        owed = [notice(str(number)) for number in range(14)]
        self.destination.holds = True
        store = self.open_file(self.killed_at_request(owed, 1, FIVES))
        destination = ScriptedDestination(self.clock)

        def judge(_one: Notice) -> Outcome:
            return SERVER_DOWN if "3" in destination.batches[-1] else Delivered()

        destination.judge = judge
        self.begin_life(store, destination, FIVES)
        self.pass_seconds(120)
        sizes = [len(batch) for batch in destination.batches if "3" in batch]
        self.assertEqual((sizes[:4], set(sizes[4:])), ([5] * 4, {1}))
        self.assertEqual(dict(store.owed_counts()), {"ops": 1})

    def two_under_way(self) -> Path:
        """Let five notices be under way in one request, and one in another, and nothing else."""
        pace = attrs.evolve(FIVES, concurrency_count=2)
        left: list[Path] = []

        def deliver(
            batch: Sequence[Notice], memory: Mapping[str, str]
        ) -> Deferred[Sequence[Outcome]]:
            self.destination.holds = len(batch) > 1 or batch[0].text == "11"
            answered = self.destination.deliver(batch, memory)
            left.append(self.left_by_a_kill())
            return answered

        deliverer = self.deliverer_to(deliver, pace, self.store)
        outbox = Outbox(self.store, {"ops": deliverer}, self.clock)
        self.result_of(outbox.open())
        # The first one is under way, alone, while the others come.
        for numbers in (["11"], [str(number) for number in range(11)]):
            owed: list[Owed] = [notice(number) for number in numbers]
            outbox.release(self.result_of(outbox.commit(Decisions(owed=owed), self.now())))
        self.assertEqual(len(self.destination.held), 2)
        return left[-1]

    def test_two_requests_are_repeated_as_those_two(self) -> None:
        """In whatever order their notices were committed."""
        self.assertEqual(self.said_after(self.two_under_way(), FIVES)[:2], [["11"], TOGETHER])

    def test_a_request_is_repeated_as_one_also_after_a_second_kill(self) -> None:
        """Whether the life between did nothing, or tried and failed."""
        self.store = self.open_file(self.two_under_way())
        self.assertIn(TOGETHER, self.said_after(self.left_by_a_kill(), FIVES))
        destination = ScriptedDestination(self.clock, lambda _notice: SERVER_DOWN)
        self.begin_life(self.store, destination, FIVES)
        self.assertIn(TOGETHER, destination.batches)
        self.assertIn(TOGETHER, self.said_after(self.left_by_a_kill(), FIVES))

    def test_what_was_interrupted_goes_again_if_it_fails_and_is_interrupted_twice(self) -> None:
        first = self.killed_at_request([notice("1", "a"), notice("2", "a")], 1, Pace())
        self.open_file(first)  # a life that ends before it has sent anything
        self.store = self.open_file(first)
        self.assertEqual(self.said_after(self.left_by_a_kill(), Pace()), told("1", "2"))


class LaneTests(KilledTestCase):
    """A lane keeps its order, over failures and kills."""

    def test_a_failed_one_holds_up_its_lane(self) -> None:
        self.destination.judge = lambda _one: (
            SERVER_DOWN if len(self.destination.batches) == 1 else Delivered()
        )
        outbox, _ = self.begin_life(self.store, self.destination, AT_ONCE)
        owed = [notice("1", "a"), notice("2", "a"), notice("other", "b")]
        outbox.release(self.result_of(outbox.commit(Decisions(owed=[*owed]), 0.0)))
        self.pass_seconds(30)
        self.assertEqual(self.destination.batches, told("1", "other", "1", "2"))

    def test_a_resolve_never_overtakes_its_trigger(self) -> None:
        """Not while the trigger is under way, nor while it waits to be tried again."""
        trigger = notice("trigger", "a", Form.TRIGGER)
        resolve = notice("resolve", "a", Form.RESOLVE)
        self.destination.holds = True
        left = self.killed_at_request([trigger], 1, AT_ONCE)
        self.assertEqual(self.said_after(left, AT_ONCE, resolve), told("trigger", "resolve"))

    def test_a_lane_keeps_its_order_over_a_kill(self) -> None:
        owed = [notice(str(number), "a") for number in range(4)]
        left = self.killed_at_request(owed, 2, AT_ONCE)
        self.assertEqual(self.said_after(left, AT_ONCE, notice("4", "a")), told("1", "2", "3", "4"))


class WithdrawalTests(KilledTestCase):
    """A trigger and its resolve are withdrawn only if nobody can have seen the trigger."""

    def said_of(self, outcome: Outcome) -> list[str]:
        """Let a trigger fail once, resolve it meanwhile, and give what arrives then."""
        self.destination.judge = lambda _one: (
            outcome if len(self.destination.batches) == 1 else Delivered()
        )
        outbox, _ = self.begin_life(self.store, self.destination, Pace())
        for form in (Form.TRIGGER, Form.RESOLVE):
            owed = Decisions(owed=[notice(form.value, "a", form)])
            outbox.release(self.result_of(outbox.commit(owed, 0.0)))
        self.pass_seconds(30)
        return [text for batch in self.destination.batches[1:] for text in batch]

    def test_one_that_may_have_arrived_is_told_and_resolved(self) -> None:
        self.assertEqual(self.said_of(TIMED_OUT), ["trigger", "resolve"])

    def test_one_that_was_surely_refused_is_withdrawn(self) -> None:
        self.assertEqual(self.said_of(REFUSED_FOR_SURE), [])

    def test_one_that_was_under_way_when_we_were_killed_is_told_and_resolved(self) -> None:
        """Nothing is proved of it, however the next request of it ends."""
        trigger, resolve = (notice(f.value, "a", f) for f in (Form.TRIGGER, Form.RESOLVE))
        self.destination.holds = True
        store = self.open_file(self.killed_at_request([trigger], 1, Pace()))
        destination = ScriptedDestination(self.clock)
        destination.judge = lambda _one: (
            REFUSED_FOR_SURE if len(destination.batches) == 1 else Delivered()
        )
        outbox, _ = self.begin_life(store, destination, Pace())
        outbox.release(self.result_of(outbox.commit(Decisions(owed=[resolve]), 0.0)))
        self.pass_seconds(30)
        self.assertEqual(destination.batches, told("trigger", "trigger", "resolve"))


def stopped(name: str, state: str = "Stopped") -> tuple[str, dict[str, object]]:
    """Give the resource_uri of a service, and what the platform says of it."""
    return f"/api/v1/service/{name}/", {"name": name, "state": state, "stack": None}


class RememberingTestCase(KilledTestCase):
    """Gives each test a decider that keeps what it knows in the store."""

    rule: IncidentRule
    messages: Sequence[MessageRule] = ()

    def setUp(self) -> None:
        """Begin the first life of a decider."""
        super().setUp()
        self.number = 0
        self.decider = self.decider_of(self.store)

    def decider_of(self, store: SQLiteStore) -> Decider:
        """Make a decider that knows what a store holds."""
        decider = Decider(Inventory(), rule_set(self.rule, *self.messages))
        restore(decider, store.restore(), {"main"}, set(DESTINATIONS), self.now())
        return decider

    def decide(self, *items: Any) -> list[str]:  # noqa: ANN401 - any inputs
        """Decide inputs, commit what they come to, and give the texts of that."""
        decisions = Decisions()
        for item in items:
            self.decider.decide(item, decisions)
        self.result_of(self.store.commit(decisions, self.now()))
        return [owed.text for owed in decisions.owed if isinstance(owed, Notice)]

    def event(self, state: str, uuid: str, uri: str = SERVICE) -> Message:
        """Make the message of an event."""
        self.number += 1
        said = {"type": "service", "resource_uri": uri, "state": state, "uuid": uuid}
        return Message("main", self.number, json.dumps(said).encode(), self.now())

    def link(self, state: str) -> Link:
        """Make the stream have a state."""
        return Link(LinkType.STREAM, "main", state, "why", self.now())

    def kill(self) -> None:
        """Go on in another life, with the file as it is."""
        self.store = self.open_file(self.left_by_a_kill())
        self.decider = self.decider_of(self.store)

    def state_of(self, uuid: str) -> str | None:
        """Give the state of a service as it is known."""
        known: Resource | None = self.decider.inventory.get(("main", "service", uuid))
        return known.state if known is not None else None


class MemoryTests(RememberingTestCase):
    """What rules and inventory know outlives a kill."""

    rule = incident_rule(incident_settings(for_seconds=120.0, clear_for_seconds=5.0))
    messages = (message_rule(text="{{ state }}"),)

    def test_a_timer_goes_on(self) -> None:
        """An incident opens two minutes after it began, whatever happened in between."""
        self.decide(self.link(CONNECTED))
        self.decide(self.link(DISCONNECTED))
        self.pass_seconds(60, 10)
        self.kill()
        self.assertEqual(self.decider.next_due(), 120.0)
        self.pass_seconds(60, 10)
        self.assertEqual(self.decide(Tick(self.now())), ["down: why"])

    def test_an_open_incident_is_closed_in_another_life(self) -> None:
        self.decide(self.link(DISCONNECTED))
        self.pass_seconds(120, 10)
        self.decide(Tick(self.now()))
        self.kill()
        self.decide(self.link(CONNECTED))
        self.pass_seconds(5)
        self.assertEqual(self.decide(Tick(self.now())), ["up"])

    def test_what_was_heard_is_known(self) -> None:
        self.decide(self.event("Running", "1"))
        self.kill()
        self.assertEqual(self.state_of("web"), "Running")

    def test_a_repetition_of_the_server_is_known_again(self) -> None:
        """Whether its page came before the last checkpoint, or after it."""
        self.decide(self.event("Running", "1"))
        self.result_of(self.store.checkpoint(self.decider.inventory.take_unsaved(), self.now()))
        self.decide(self.event("Stopped", "2"))
        self.kill()
        self.assertEqual(self.decide(self.event("Running", "1"), self.event("Stopped", "2")), [])

    def test_a_checkpoint_is_of_the_page_that_it_names(self) -> None:
        self.decide(self.event("Running", "1"))
        self.result_of(self.store.checkpoint(self.decider.inventory.take_unsaved(), self.now()))
        self.decide(self.event("Stopped", "2"))
        self.kill()
        self.assertEqual(self.state_of("web"), "Stopped")

    def test_a_checkpoint_that_is_cut_short_forgets_nothing(self) -> None:
        """It takes several steps; after each of them everything is known."""
        uris = [f"/api/v1/service/{number}/" for number in range(1200)]
        self.decide(*(self.event("Running", uri, uri) for uri in uris))
        left: list[Path] = []

        def in_thread(work: Callable[[], Any]) -> Deferred[Any]:
            done = execute(work)
            left.append(self.left_by_a_kill())
            return done

        store = SQLiteStore(self.store.path, connect, self.now, in_thread, lambda: None)
        store.restore()
        self.result_of(store.checkpoint(self.decider.inventory.take_unsaved(), self.now()))
        self.result_of(store.close())
        self.assertGreater(len(left), 3)
        for file in left:
            self.decider = self.decider_of(self.open_file(file))
            known = [self.state_of(str(number)) for number in range(1200)]
            self.assertEqual(known.count("Running"), 1200, file)


class IncidentTests(RememberingTestCase):
    """No incident opens or ends by what may be old; what a life was about to do, the next does."""

    rule = service_rule()

    def listed(self, *services: tuple[str, dict[str, object]]) -> list[str]:
        """Connect, and hear of all that the platform has; give what that says."""
        rows = [Looked("main", uri, 10**6, Found(it), self.now()) for uri, it in services]
        return self.decide(self.link(CONNECTED), Listed("main", tuple(rows), self.now()))

    def found(self, *services: tuple[str, dict[str, object]]) -> list[str]:
        """Let look-ups be answered; give what that says."""
        looked = [Looked("main", uri, 10**6, Found(it), self.now()) for uri, it in services]
        return self.decide(*looked)

    def wait(self, seconds: float) -> list[str]:
        """Let time pass, and what is due then be done; give what that says."""
        self.pass_seconds(seconds, seconds)
        return self.decide(Tick(self.now()))

    def begin(self, *names: str) -> None:
        """Catch up, and let services be stopped."""
        self.listed(*(stopped(name, "Running") for name in names))
        self.found(*(stopped(name) for name in names))

    def test_what_is_due_opens_when_a_look_up_has_confirmed_it(self) -> None:
        self.begin("web")
        self.assertEqual(self.wait(120), [])
        self.assertEqual(self.found(stopped("web")), ["web is Stopped"])

    def test_what_a_look_up_denies_does_not_open(self) -> None:
        self.begin("web")
        self.wait(120)
        self.assertEqual(self.found(stopped("web", "Running")) + self.wait(30), [])

    def test_a_look_up_that_a_kill_cut_short_is_made_again(self) -> None:
        self.begin("web")
        self.wait(120)
        self.kill()
        self.assertEqual(self.listed(stopped("web")), [])
        self.assertEqual(self.found(stopped("web")), ["web is Stopped"])

    def test_what_came_due_while_we_were_gone_waits_until_we_have_caught_up(self) -> None:
        """It may be over by then."""
        self.begin("web")
        self.kill()
        self.assertEqual(self.wait(180), [])
        self.assertEqual(self.decide(self.link(CONNECTED), Tick(self.now())), [])
        self.assertEqual(self.wait(10), [])
        self.assertEqual(self.listed(stopped("web", "Running")) + self.wait(30), [])

    def open_many(self) -> list[str]:
        """Open a dozen incidents at once: ten singly, and a group of two that is told of."""
        names = [f"s{number}" for number in range(12)]
        self.begin(*names)
        self.wait(120)
        self.assertEqual(len(self.found(*map(stopped, names))), 10)
        self.assertIn("more incidents: 2 are open", "".join(self.wait(5)))
        return names

    def close(self, *names: str) -> list[str]:
        """Let services be well for long enough; give what that says."""
        well = [stopped(name, "Running") for name in names]
        self.found(*well)
        self.wait(30)
        return self.found(*well)

    def test_a_group_is_closed_in_another_life(self) -> None:
        *singly, last, very_last = self.open_many()
        self.kill()
        self.listed(*(stopped(name) for name in (*singly, last, very_last)))
        self.assertEqual(self.close(last), [])
        self.assertEqual(self.close(very_last), ["more incidents: all are over"])
        self.assertEqual(len(self.close(*singly)), 10)

    def test_who_was_told_of_a_group_is_told_of_no_member(self) -> None:
        """A kill between the ends of its members changes nothing."""
        *_, last, very_last = self.open_many()
        self.assertEqual(self.close(last), [])
        self.kill()
        self.listed(stopped(last, "Running"), stopped(very_last))
        self.assertEqual(self.close(very_last), ["more incidents: all are over"])

    def silence(self) -> None:
        """Silence everything for an hour."""
        ends = self.now() + 3600.0
        self.decide(Silence("s1", {"type": "service"}, self.now(), ends, "", "ops", self.now()))

    def withhold(self) -> None:
        """Let an incident ripen within a silence, and be killed."""
        self.begin("web")
        self.silence()
        self.assertEqual(self.wait(120) + self.found(stopped("web")), [])
        self.kill()
        self.assertEqual(self.listed(stopped("web")) + self.found(stopped("web")), [])

    def test_what_a_silence_withheld_is_told_when_it_ends(self) -> None:
        self.withhold()
        self.assertEqual(self.wait(3600) + self.found(stopped("web")), ["web is Stopped"])

    def test_what_a_silence_withheld_is_told_when_a_person_ends_it(self) -> None:
        self.withhold()
        told_then = self.decide(Unsilence("s1", self.now()))
        self.assertEqual(told_then + self.found(stopped("web")), ["web is Stopped"])
