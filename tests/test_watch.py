"""Tests of the way of an event through the watcher, and of how the watcher stops."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import attrs
from twisted.application.service import Service
from twisted.internet.base import DelayedCall
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock, LoopingCall
from twisted.trial.unittest import SynchronousTestCase

from tests.outbox.cases import memory_store
from tests.rules.talk import make_routes, make_rule
from tests.rules.world import event_bytes, incident_rule, incident_settings, rule_set
from tests.secrets_check import RecordedLog
from tutumwatch.assembly import make_decider
from tutumwatch.config.environment import Environment
from tutumwatch.config.load import load_configuration
from tutumwatch.config.plans import Configuration
from tutumwatch.events.inputs import (
    Drop,
    Found,
    Input,
    Link,
    LinkType,
    Listed,
    Looked,
    Message,
    OwedRow,
    Reloaded,
    Started,
    Tick,
)
from tutumwatch.http import NoResponse, Request, Response
from tutumwatch.inventory.links import CATCH_UP_MAX_SECONDS
from tutumwatch.inventory.resource import Key, Resource
from tutumwatch.notifiers.contract import Pace
from tutumwatch.notifiers.outcomes import Delivered, Outcome, Reason, RetryLater
from tutumwatch.outbox.deliverer import Deliverer
from tutumwatch.outbox.digest import write_digest
from tutumwatch.outbox.gate import State
from tutumwatch.outbox.outbox import Outbox
from tutumwatch.outbox.store import (
    Delivery,
    Head,
    HeldUp,
    Restored,
    Store,
    StoreUnwritableError,
)
from tutumwatch.reload import Reloads
from tutumwatch.resources.catchup import CatchUp
from tutumwatch.resources.client import ResourceClient
from tutumwatch.resources.lookups import LookUps
from tutumwatch.root import Watch
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.notice import Form, Notice
from tutumwatch.saving import SAVE_AFTER_COUNT
from tutumwatch.stream.service import StreamService
from tutumwatch.watch import Pipeline

RULES = """
storm = 0
last_resort = false
[streams.main]
auth = "Basic eA=="
[notifiers.slack]
kind = "slack"
url = "http://slack.example/hook"
[[messages]]
name = "box"
match = { type = "container" }
notify = ["slack"]
text = "box {{ state }}"
[[messages]]
name = "service"
match = { type = "service" }
notify = ["slack"]
text = "{{ stack.name }}"
[[incidents]]
name = "stream down"
while = { type = "stream", state = "!Connected" }
for = "15s"
clear_for = "5s"
key = "tutum-stream"
notify = ["slack"]
text = "down"
resolve_text = "up"
"""
MEGABYTE = 1024 * 1024
STACK = "/api/v1/stack/5a9f0b7e-1111-4a5b-9c3d-000000000001/"


def box(state: str) -> bytes:
    """Make the event of a container of which the state says which one it is."""
    uri = f"/api/v1/container/{state}/"
    return json.dumps({"type": "container", "state": state, "resource_uri": uri}).encode()


def service_of_stack() -> bytes:
    """Make an event that nothing can be said of before its stack is looked up."""
    event = {"type": "service", "resource_uri": "/api/v1/service/s1/", "parents": [STACK]}
    return json.dumps(event).encode()


def quiet(size_bytes: int = 20) -> bytes:
    """Make a message of some size that matches no rule."""
    return b'{"type":"x","f":"' + b"x" * (size_bytes - 19) + b'"}'


@attrs.define
class HeldStore:
    """A store whose commits wait, or fail, as the test says; otherwise the one in memory."""

    is_held: bool = False
    problem: Exception | None = None
    open_problem: Exception | None = None
    save_problem: Exception | None = None
    closes: bool = True
    told: Callable[[str], None] = attrs.field(default=lambda _what: None)
    commits: list[Decisions] = attrs.field(factory=list)
    held: list[Deferred[None]] = attrs.field(factory=list)
    saved: list[tuple[float, set[Key]]] = attrs.field(factory=list)
    replaced_count: int = 0
    inner: Store = attrs.field(factory=memory_store)

    @property
    def counts(self) -> Mapping[str, int]:
        """See SQLiteStore, as with all that says nothing else."""
        return self.inner.counts

    def restore(self) -> Restored:
        """Give what was kept."""
        return self.inner.restore()

    async def open(self) -> Sequence[Head]:
        """Open, unless it is broken."""
        if self.open_problem is not None:
            raise self.open_problem
        return await self.inner.open()

    async def commit(self, decisions: Decisions, at: float) -> Sequence[Head]:
        """Keep, when the test lets go of it."""
        self.commits.append(decisions)
        if self.is_held:
            self.held.append(Deferred())
            await self.held[-1]
        if self.problem is not None:
            raise self.problem
        return await self.inner.commit(decisions, at)

    def let_go(self) -> None:
        """Let the commit that waits end, and no later one."""
        self.held.pop(0).callback(None)

    async def heads(self, notifier: str, count: int) -> Sequence[Head]:
        """Give the first heads."""
        return await self.inner.heads(notifier, count)

    async def begin(self, row_ids: Sequence[int]) -> Sequence[Delivery]:
        """Note what is about to be sent."""
        return await self.inner.begin(row_ids)

    async def finish(
        self, outcomes: Mapping[int, Outcome], up_seconds: Mapping[int, float]
    ) -> Sequence[Head]:
        """Note how it ended."""
        return await self.inner.finish(outcomes, up_seconds)

    async def digest(
        self, notifier: str, before: float, write: Callable[[HeldUp], Notice]
    ) -> Sequence[Head]:
        """Tell what is old in one."""
        return await self.inner.digest(notifier, before, write)

    async def checkpoint(self, changed: Mapping[Key, Resource | None], at: float) -> None:
        """Note what was to be saved, and save it, unless that is broken."""
        self.told("the inventory is saved")
        self.saved.append((at, set(changed)))
        if self.save_problem is not None:
            raise self.save_problem
        await self.inner.checkpoint(changed, at)

    async def find(self, row_ids: Sequence[int]) -> Sequence[OwedRow]:
        """Give those of some rows that there are."""
        return await self.inner.find(row_ids)

    def owed_counts(self) -> Mapping[str, int]:
        """Count what is owed."""
        return self.inner.owed_counts()

    async def close(self) -> None:
        """Close, unless the test lets it hang."""
        self.told("the store closes")
        if not self.closes:
            await Deferred[None]()


class RecordingStream(Service):
    """Stands in for a stream: notes what it is told."""

    def __init__(self, told: Callable[[str], None]) -> None:
        self.setName("stream:main")
        self.is_paused = False
        self.calls: list[str] = []
        self.stopping: Deferred[None] | None = None
        self._told = told

    def pause(self) -> None:
        """Note it."""
        self.is_paused = True

    def resume(self) -> None:
        """Note it."""
        self.is_paused = False

    def suspend(self, reason: str) -> None:
        """Note it."""
        self.calls.append(f"suspend: {reason}")

    def redial(self) -> None:
        """Note it."""
        self.calls.append("redial")

    async def stop(self) -> None:
        """Stop, when the test lets it."""
        self._told("the stream stops")
        if self.stopping is not None:
            await self.stopping


class RecordingNotifier:
    """Stands in for a destination: notes what it is to say; answers if it is to."""

    def __init__(self, told: Callable[[str], None]) -> None:
        self.texts: list[str] = []
        self.forms: list[Form] = []
        self.answers = True
        self._told = told

    async def __call__(
        self, batch: Sequence[Notice], memory: Mapping[str, str]
    ) -> Sequence[Outcome]:
        """Take a batch."""
        self.texts += [notice.text for notice in batch]
        self.forms += [notice.form for notice in batch]
        self._told("slack is told")
        if not self.answers:
            try:
                await Deferred[None]()
            except CancelledError:  # as an HTTP call that is ended by us
                return [RetryLater(Reason.TIMEOUT, "ended by us")] * len(batch)
        return [Delivered()] * len(batch)


class RecordingCaller:
    """Stands in for HTTP: notes what is asked and never answers."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def send(self, request: Request, deadline_seconds: float) -> Deferred[Response | NoResponse]:
        """Note a request."""
        self.asked.append(request.url.reveal())
        return Deferred()


class RecordingChild(Service):
    """A further child of the watch; its stopping may hang or fail."""

    def __init__(self, name: str, told: Callable[[str], None]) -> None:
        self.setName(name)
        self.stopping: Deferred[None] | None = None
        self.problem: Exception | None = None
        self._told = told

    def startService(self) -> None:
        """Note it."""
        super().startService()
        self._told(f"{self.name} starts")

    def stopService(self) -> Deferred[None] | None:
        """Note it, and do what the test says."""
        super().stopService()
        self._told(f"{self.name} stops")
        if self.problem is not None:
            raise self.problem
        return self.stopping


class WatchTestCase(SynchronousTestCase):
    """A pipeline on a Clock, with a stand-in at every end of it."""

    def setUp(self) -> None:
        """Make everything, and start nothing."""
        self.log = RecordedLog()
        self.addCleanup(self.log.stop)
        self.told: list[str] = []
        self.clock = Clock()
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        self.store = HeldStore(told=self.told.append)
        self.slack = RecordingNotifier(self.told.append)
        self.stream = RecordingStream(self.told.append)
        deliverers: dict[str, Deliverer] = {}
        self.outbox = Outbox(self.store, deliverers, self.clock)
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(RULES)
            file.flush()
            configuration = load_configuration(file.name, Environment({}, Path("/nowhere")))
        decider = make_decider(configuration)
        self.started = Started("run", None, self.now())
        self.pipeline = Pipeline(decider, self.outbox, self.clock, self.now, self.started)
        deliverers["slack"] = Deliverer(
            "slack",
            self.slack,
            self.store,
            Pace(),
            self.clock,
            self.now,
            lambda: 1.0,
            self.pipeline.report_notifier,
            lambda held: write_digest(held, str, self.now()),
        )
        self.web = RecordingCaller()
        look_ups = LookUps(
            {"main": ResourceClient(self.web, "http://rest", {})},
            self.pipeline.submit,
            self.pipeline.last_number,
            self.now,
            self.clock,
        )
        self.lists = RecordingCaller()
        self.catch_up = CatchUp(
            "main",
            ResourceClient(self.lists, "http://rest", {}),
            decider.inventory,
            self.pipeline.submit,
            self.pipeline.last_number,
            self.now,
            self.clock,
        )
        self.addCleanup(self.catch_up.stop)
        self.pipeline.connect(
            [cast("StreamService", self.stream)], look_ups, {"main": self.catch_up}
        )

    def now(self) -> float:
        """Give the watch's time."""
        return 1_800_000_000 + self.clock.seconds()

    def start(self) -> None:
        """Start the pipeline, which is stopped again at the end."""
        self.pipeline.startService()
        self.addCleanup(self.pipeline.stopService)

    def receive(self, *payloads: bytes) -> None:
        """Let messages arrive, all at once."""
        for payload in payloads:
            self.pipeline.receive("main", payload)

    def stream_is(self, state: str) -> None:
        """Let the stream report its state."""
        self.pipeline.submit(Link(LinkType.STREAM, "main", state, "why", self.now()))

    def turn(self, count: int = 1) -> None:
        """Let the reactor turn."""
        self.clock.pump([0.0] * count)

    def committed(self) -> list[list[Input]]:
        """Give the inputs of every commit but the first, which holds what begins every run."""
        first, *others = [decisions.inputs for decisions in self.store.commits]
        self.assertEqual(first, [self.started])
        return others

    def timers(self) -> list[float]:
        """Give the times that are waited for, but for when the inventory may have to be saved."""
        calls = cast("list[DelayedCall]", self.clock.getDelayedCalls())
        return [call.getTime() for call in calls if not isinstance(call.func, LoopingCall)]

    def said(self, level: str) -> list[str]:
        """Give what was logged at a level, as people read it."""
        found = [e for e in self.log.events if e["log_level"].name == level]
        return [e["log_format"].format(**e) for e in found]


class CommitTests(WatchTestCase):
    """What goes into one commit."""

    def test_at_most_500_inputs_in_order_of_arrival(self) -> None:
        self.start()
        self.receive(*[quiet()] * 1_001)
        self.turn(4)
        portions = self.committed()
        self.assertEqual([len(portion) for portion in portions], [500, 500, 1])
        numbers = [cast("Message", item).number for portion in portions for item in portion]
        self.assertEqual(numbers, list(range(1, 1_002)))
        self.assertEqual(self.pipeline.last_number(), 1_001)

    def test_at_most_4_mebibytes(self) -> None:
        self.start()
        self.receive(*[quiet(MEGABYTE)] * 5)
        self.turn(3)
        self.assertEqual([len(portion) for portion in self.committed()], [4, 1])

    def test_a_message_that_would_pass_the_limit_waits_for_the_next_commit(self) -> None:
        self.start()
        self.receive(quiet(3 * MEGABYTE), quiet(MEGABYTE + 1), quiet())
        self.turn(3)
        self.assertEqual([len(portion) for portion in self.committed()], [1, 2])

    def test_a_message_larger_than_the_limit_goes_alone(self) -> None:
        self.start()
        self.receive(quiet(), quiet(5 * MEGABYTE), quiet())
        self.turn(4)
        self.assertEqual([len(portion) for portion in self.committed()], [1, 1, 1])

    def test_one_commit_at_a_time(self) -> None:
        """What arrives meanwhile is not even decided."""
        self.start()
        self.store.is_held = True
        self.receive(quiet())
        self.turn()
        self.receive(quiet(), quiet())
        self.turn(3)
        self.assertEqual([len(portion) for portion in self.committed()], [1])
        self.assertEqual(self.pipeline.decider.counts["events"], 1)
        self.store.let_go()
        self.turn()
        self.assertEqual([len(portion) for portion in self.committed()], [1, 2])
        self.store.let_go()

    def test_what_arrives_before_the_start_waits_for_it(self) -> None:
        self.receive(box("Running"))
        self.turn()
        self.assertEqual(self.store.commits, [])
        self.start()
        self.turn()
        self.assertEqual(self.slack.texts, ["box Running"])

    def test_what_was_undelivered_goes_out_at_the_start(self) -> None:
        notice = Notice("n1", Form.MESSAGE, "box", "slack", "k", "from before", self.now())
        before = self.store.inner.commit(Decisions(owed=[notice]), self.now())
        self.successResultOf(Deferred.fromCoroutine(before))
        self.start()
        self.assertEqual(self.slack.texts, ["from before"])

    def test_a_store_that_does_not_open_is_told(self) -> None:
        self.store.open_problem = OSError("no such disk")
        self.start()
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.assertIn("opening the store failed", self.said("critical"))

    def test_a_bug_costs_one_commit_and_no_more(self) -> None:
        """It is logged, and reading goes on, also if it was paused."""
        self.start()
        self.store.problem = RuntimeError("a bug")
        self.receive(*[quiet()] * 1_001)
        self.turn(4)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 3)
        self.assertEqual(self.stream.is_paused, False)
        self.store.problem = None
        self.receive(box("Running"))
        self.turn()
        self.assertEqual(self.slack.texts, ["box Running"])

    def test_the_state_of_a_destination_is_an_input(self) -> None:
        self.start()
        self.pipeline.report_notifier("slack", State.FAILING, "no answer")
        self.turn()
        self.assertEqual(
            self.committed(),
            [[Link(LinkType.NOTIFIER, "slack", "Failing", "no answer", self.now())]],
        )


class BackpressureTests(WatchTestCase):
    """Reading stops while much is uncommitted, and for nothing else."""

    def test_reading_stops_above_1000_and_goes_on_at_500(self) -> None:
        self.start()
        self.store.is_held = True
        self.receive(*[quiet()] * 1_000)
        self.assertEqual(self.stream.is_paused, False)
        self.receive(quiet())
        self.assertEqual(self.stream.is_paused, True)
        self.turn()
        self.store.let_go()  # 501 are left
        self.assertEqual(self.stream.is_paused, True)
        self.turn()
        self.store.let_go()  # 1 is left
        self.assertEqual(self.stream.is_paused, False)
        self.turn()
        self.store.let_go()

    def test_reading_stops_above_4_mebibytes_and_goes_on_at_2(self) -> None:
        self.start()
        self.store.is_held = True
        self.receive(*[quiet(MEGABYTE)] * 4)
        self.assertEqual(self.stream.is_paused, False)
        self.receive(quiet())
        self.assertEqual(self.stream.is_paused, True)
        self.receive(*[quiet(MEGABYTE)] * 3)
        self.turn()
        self.store.let_go()  # 3 MiB are left
        self.assertEqual(self.stream.is_paused, True)
        self.turn()
        self.store.let_go()
        self.assertEqual(self.stream.is_paused, False)

    def test_a_stream_that_forgot_is_paused_again(self) -> None:
        """A new connection reads; when it brings more than fits, it stops as well."""
        self.start()
        self.store.is_held = True
        self.receive(*[quiet()] * 1_001)
        self.stream.is_paused = False
        self.receive(quiet())
        self.assertEqual(self.stream.is_paused, True)
        self.store.is_held = False
        self.turn()

    def test_a_destination_that_hangs_stops_nothing(self) -> None:
        self.slack.answers = False
        self.start()
        for number in range(20):
            self.receive(*[box(f"s{number}")] * 1_000)
            self.turn(3)
        self.assertEqual(self.stream.is_paused, False)
        self.assertEqual(self.pipeline.decider.counts["events"], 20_000)
        self.assertEqual(self.slack.texts, ["box s0"])


class ReleaseTests(WatchTestCase):
    """Nothing has an effect before it is committed."""

    def setUp(self) -> None:
        """Hold the commits."""
        super().setUp()
        self.start()
        self.store.is_held = True

    def test_a_notice_goes_out_after_its_commit(self) -> None:
        self.receive(box("Running"))
        self.turn(3)
        self.assertEqual(len(self.committed()), 1)
        self.assertEqual(self.slack.texts, [])
        self.store.let_go()
        self.assertEqual(self.slack.texts, ["box Running"])

    def test_a_look_up_starts_after_the_commit(self) -> None:
        self.receive(service_of_stack())
        self.turn(3)
        self.assertEqual(self.web.asked, [])
        self.store.let_go()
        self.assertEqual(self.web.asked, [f"http://rest{STACK}"])

    def test_a_timer_is_set_after_the_commit(self) -> None:
        self.stream_is("Disconnected")
        self.turn(3)
        self.assertEqual(self.timers(), [20.0])  # that of the commit itself
        self.store.let_go()
        self.assertEqual(self.timers(), [15.0])


class FailingCommitTests(WatchTestCase):
    """A store that cannot be written loses nothing and says nothing too early."""

    def setUp(self) -> None:
        """Break the store."""
        super().setUp()
        self.start()
        self.store.problem = StoreUnwritableError("the disk is full")

    def mend(self) -> None:
        """Let the store be written again, and the next attempt come."""
        self.store.problem = None
        self.clock.advance(1.0)

    def test_the_same_decisions_are_tried_every_second(self) -> None:
        self.receive(box("Running"))
        self.turn()
        self.clock.pump([1.0] * 3)
        attempts = self.store.commits[1:]
        self.assertEqual(len(attempts), 4)
        self.assertEqual(len({id(decisions) for decisions in attempts}), 1)
        self.assertEqual(self.slack.texts, [])
        self.mend()
        self.assertEqual(self.slack.texts, ["box Running"])
        self.assertEqual(self.pipeline.decider.counts["events"], 1)

    def test_it_is_said_once_and_shown_until_it_is_over(self) -> None:
        self.receive(quiet())
        self.turn()
        self.clock.pump([1.0] * 5)
        self.assertEqual(self.pipeline.store_problem, "the disk is full")
        self.assertEqual(self.said("error"), ["the store cannot be written: the disk is full"])
        self.mend()
        self.assertEqual(self.pipeline.store_problem, "")
        self.assertIn("the store can be written again", self.said("info"))

    def test_a_short_failure_leaves_the_stream_alone(self) -> None:
        self.receive(quiet())
        self.turn()
        self.clock.pump([1.0] * 18)
        self.mend()
        self.assertEqual(self.stream.calls, [])
        self.clock.advance(10.0)
        self.assertEqual(self.stream.calls, [])

    def test_after_20_seconds_the_stream_is_closed_until_it_works_again(self) -> None:
        self.receive(box("Running"))
        self.turn()
        self.clock.pump([1.0] * 19)
        self.assertEqual(self.stream.calls, [])
        self.clock.advance(1.0)
        self.assertEqual(self.stream.calls, ["suspend: the store cannot be written"])
        self.clock.pump([1.0] * 20)
        self.assertEqual(len(self.stream.calls), 1)
        self.mend()
        self.assertEqual(self.stream.calls, ["suspend: the store cannot be written", "redial"])
        self.assertEqual(self.slack.texts, ["box Running"])
        self.receive(quiet())
        self.turn()
        self.assertEqual(len(self.stream.calls), 2)

    def test_it_is_closed_each_time_anew(self) -> None:
        for _ in range(2):
            self.store.problem = StoreUnwritableError("the disk is full")
            self.receive(quiet())
            self.turn()
            self.clock.pump([1.0] * 20)
            self.mend()
        self.assertEqual(self.stream.calls, ["suspend: the store cannot be written", "redial"] * 2)

    def test_a_second_failure_has_its_own_20_seconds(self) -> None:
        self.receive(quiet())
        self.turn()
        self.clock.pump([1.0] * 15)
        self.mend()
        self.store.problem = StoreUnwritableError("again")
        self.receive(quiet())
        self.turn()
        self.clock.pump([1.0] * 15)
        self.assertEqual(self.stream.calls, [])
        self.mend()

    def test_a_commit_that_hangs_is_as_bad_as_one_that_fails(self) -> None:
        """A disk that does not answer fails nothing; after 20 s the stream is closed all the same."""
        self.store.problem = None
        self.store.is_held = True
        self.receive(box("Running"))
        self.turn()
        self.clock.advance(19.9)
        self.assertEqual((self.stream.calls, self.pipeline.store_problem), ([], ""))
        self.clock.advance(0.1)
        self.assertEqual(self.stream.calls, ["suspend: the store cannot be written"])
        self.assertEqual(self.pipeline.store_problem, "nothing was written for 20 s")
        self.assertEqual(
            self.said("error"), ["the store cannot be written: nothing was written for 20 s"]
        )
        self.clock.advance(100.0)
        self.assertEqual(len(self.stream.calls), 1)
        self.store.let_go()
        self.assertEqual(self.stream.calls, ["suspend: the store cannot be written", "redial"])
        self.assertEqual(self.slack.texts, ["box Running"])
        self.assertEqual(self.pipeline.store_problem, "")

    def test_stopping_meanwhile_says_what_is_lost(self) -> None:
        """The decisions that could not be kept, and what waited behind them."""
        self.receive(*[quiet()] * 3)
        self.turn()
        self.receive(quiet())
        self.pipeline.stopService()
        self.assertEqual(self.said("warn"), ["stopped with 4 inputs uncommitted"])
        self.assertEqual(self.said("critical"), [])


class OpeningTests(WatchTestCase):
    """The store is opened first, and what begins every run is committed before all else."""

    def test_what_begins_a_run_is_the_first_commit(self) -> None:
        self.receive(quiet())
        self.start()
        self.turn()
        self.assertEqual([type(portion[0]) for portion in self.committed()], [Message])

    def test_numbers_go_on_where_they_ended(self) -> None:
        """What arrived before the restart is told from what arrives after it."""
        later = Pipeline(self.pipeline.decider, self.outbox, self.clock, self.now, self.started, 41)
        later.receive("main", quiet())
        self.assertEqual(later.last_number(), 42)

    def test_a_store_that_cannot_be_opened_is_tried_again(self) -> None:
        """For a start it counts as a commit that fails: nothing is decided meanwhile."""
        self.store.open_problem = StoreUnwritableError("the disk is away")
        self.start()
        self.receive(box("Running"))
        self.clock.pump([1.0] * 20)
        self.assertEqual(self.store.commits, [])
        self.assertEqual(self.pipeline.store_problem, "the disk is away")
        self.assertEqual(self.stream.calls, ["suspend: the store cannot be written"])
        self.store.open_problem = None
        self.clock.pump([1.0, 0.0])
        self.assertEqual(self.pipeline.store_problem, "")
        self.assertEqual(self.stream.calls, ["suspend: the store cannot be written", "redial"])
        self.assertEqual(self.slack.texts, ["box Running"])


class CarryOutTests(WatchTestCase):
    """What a person wants is an input like any other; its asker hears when it is kept."""

    def test_it_fires_when_it_is_committed_with_what_was_decided(self) -> None:
        self.start()
        self.store.is_held = True
        self.receive(quiet())
        drop = Drop((7,), self.now())
        done = self.pipeline.carry_out(drop)
        equal = self.pipeline.carry_out(Drop((7,), self.now()))
        self.turn()
        self.assertNoResult(done)
        self.store.let_go()
        decisions = self.successResultOf(done)
        self.assertIs(self.successResultOf(equal), decisions)
        self.assertIs(decisions.inputs[1], drop)
        self.assertEqual([type(owed).__name__ for owed in decisions.owed], ["Dropped", "Dropped"])

    def test_what_is_behind_it_in_the_queue_is_not_waited_for(self) -> None:
        self.start()
        self.store.is_held = True
        done = self.pipeline.carry_out(Drop((7,), self.now()))
        self.turn()
        later = self.pipeline.carry_out(Drop((8,), self.now()))
        self.store.let_go()
        self.successResultOf(done)
        self.assertNoResult(later)
        self.turn()
        self.store.let_go()
        self.successResultOf(later)


class SavingTests(WatchTestCase):
    """The inventory is saved every now and then, each time as it was after a commit."""

    def saved_count(self) -> int:
        """Count the times that it was saved."""
        return len(self.store.saved)

    def test_it_is_saved_every_minute(self) -> None:
        """Also if nothing came: the store then knows when we last ran."""
        self.start()
        self.receive(box("Running"))
        self.turn()
        self.clock.pump([5.0] * 11)
        self.assertEqual(self.saved_count(), 0)
        self.clock.advance(5.0)
        self.assertEqual(self.store.saved, [(self.now(), {("main", "container", "Running")})])
        self.clock.pump([5.0] * 12)
        self.assertEqual(self.store.saved[1:], [(self.now(), set())])

    def test_it_is_saved_after_many_inputs(self) -> None:
        self.start()
        for _ in range(SAVE_AFTER_COUNT // 500 - 1):
            self.receive(*[quiet()] * 500)
            self.turn()
        self.receive(*[quiet()] * 499)
        self.turn()
        self.assertEqual(self.saved_count(), 0)
        self.receive(quiet())
        self.turn()
        self.assertEqual(self.saved_count(), 1)

    def test_never_between_deciding_and_its_commit(self) -> None:
        """What was decided and could not be kept must not be known after a restart."""
        self.start()
        self.store.is_held = True
        self.receive(box("Running"))
        self.turn()
        self.clock.pump([5.0] * 13)
        self.assertEqual(self.saved_count(), 0)
        self.store.let_go()
        self.assertEqual(self.store.saved, [(self.now(), {("main", "container", "Running")})])

    def test_what_could_not_be_saved_is_saved_the_next_time(self) -> None:
        self.start()
        self.receive(box("Running"))
        self.turn()
        self.store.save_problem = StoreUnwritableError("the disk is full")
        self.clock.pump([5.0] * 12)
        self.store.save_problem = None
        self.clock.pump([5.0] * 12)
        self.assertEqual(
            [keys for _, keys in self.store.saved], [{("main", "container", "Running")}] * 2
        )

    def test_a_new_file_in_place_of_a_damaged_one_gets_everything(self) -> None:
        """What rules remember with the next commit, the inventory right behind it."""
        self.start()
        self.receive(box("Running"))
        self.stream_is("Disconnected")
        self.turn()
        self.clock.pump([5.0] * 12)
        self.turn()
        self.store.saved.clear()
        self.store.commits.clear()
        self.store.replaced_count += 1
        self.receive(quiet())
        self.turn(2)
        self.assertEqual(
            [keys for _, keys in self.store.saved],
            [{("main", "container", "Running"), ("main", "stream", "main")}],
        )
        first, second = self.store.commits
        self.assertEqual((first.records, second.inputs), ({}, [Tick(self.now())]))
        kinds = {kind for kind, _ in second.records}
        self.assertEqual(kinds, {"incident", "member", "openings", "rule", "said"})


class TimerTests(WatchTestCase):
    """One timer, for the earliest due time."""

    def setUp(self) -> None:
        """Start."""
        super().setUp()
        self.start()

    def test_it_is_set_to_the_earliest(self) -> None:
        """The stream's 15 s, then a look-up's 10 s, and the 15 s again."""
        self.stream_is("Disconnected")
        self.turn()
        self.clock.advance(1.0)
        self.assertEqual(self.timers(), [15.0])
        self.receive(service_of_stack())
        self.turn()
        self.assertEqual(self.timers(), [11.0])
        self.clock.advance(10.0)
        self.assertEqual(self.slack.texts, ["(unknown) (details unknown)"])
        self.assertEqual(self.timers(), [15.0])

    def test_what_is_due_is_done(self) -> None:
        self.stream_is("Disconnected")
        self.turn()
        self.clock.advance(14.9)
        self.assertEqual(self.slack.texts, [])
        self.clock.advance(0.1)
        self.turn()
        self.assertEqual(self.slack.texts, ["down"])
        self.assertEqual(self.slack.forms, [Form.TRIGGER])
        self.assertEqual(self.committed()[-1], [Tick(self.now())])
        self.assertEqual(self.timers(), [])

    def test_no_timer_is_left_when_it_stops_amid_a_commit(self) -> None:
        self.stream_is("Disconnected")
        self.turn()
        self.store.is_held = True
        self.receive(quiet())
        self.turn()
        self.pipeline.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_is_no_longer_due_leaves_no_timer(self) -> None:
        """A break that was short, and a listing that came."""
        self.stream_is("Disconnected")
        self.stream_is("Connected")
        self.turn()
        self.assertEqual(self.timers(), [5.0])
        self.clock.advance(5.0)
        self.turn()
        self.assertEqual(self.slack.texts, [])
        self.assertEqual(self.timers(), [CATCH_UP_MAX_SECONDS])
        self.pipeline.submit(Listed("main", (), self.now()))
        self.turn()
        self.assertEqual(self.timers(), [])


class StopTests(WatchTestCase):
    """The watch stops in order, and in bounded time whatever its parts do."""

    def setUp(self) -> None:
        """Put a watch around everything, and start it."""
        super().setUp()
        self.children = [RecordingChild(name, self.told.append) for name in ("one", "status")]
        self.closing: Deferred[None] | None = None
        self.reloads = Reloads(self.go_over, self.now)
        self.used: list[Configuration] = []
        self.watch = Watch(
            self.pipeline,
            self.outbox,
            [cast("StreamService", self.stream)],
            self.children,
            self.clock,
            lambda: self.told.append("says that it stops"),
            self.close,
            self.reloads,
        )
        self.watch.startService()
        self.addCleanup(self.pipeline.stopService)  # again, for tests that do not stop it

    async def close(self) -> None:
        """Close the connections, when the test lets them."""
        self.told.append("connections close")
        if self.closing is not None:
            await self.closing

    async def go_over(self, configuration: Configuration) -> None:
        """Take note of a configuration, when the test lets it go on."""
        self.used.append(configuration)
        if self.closing is not None:
            await self.closing

    def stop(self, max_seconds: float = 5.0) -> float:
        """Stop, and give how long it took; fail if that is too long."""
        self.told.clear()
        stopped = self.watch.stopService()
        begun = self.clock.seconds()
        self.turn()
        while not stopped.called:
            if self.clock.seconds() - begun > max_seconds:
                self.fail(f"not stopped after {max_seconds} s")
            self.clock.advance(0.1)
        self.successResultOf(stopped)
        return self.clock.seconds() - begun

    def test_the_children_are_found_by_their_names(self) -> None:
        names = ("outbox", "pipeline", "stream:main", "one", "status")
        self.assertEqual([child.name for child in self.watch], list(names))
        for name in names:
            self.assertEqual(self.watch.getServiceNamed(name).name, name)

    def test_the_status_starts_last(self) -> None:
        """It tells the service manager that everything has started."""
        self.assertEqual(self.told, ["one starts", "status starts"])

    def test_the_order(self) -> None:
        """Intake first; then what had arrived is decided and sent; then all is closed."""
        self.receive(box("Running"))
        took_seconds = self.stop()
        self.assertEqual(
            self.told,
            [
                "says that it stops",
                "the stream stops",
                "slack is told",
                "the inventory is saved",
                "connections close",
                "the store closes",
                "one stops",
                "status stops",
            ],
        )
        self.assertEqual(took_seconds, 0.0)
        self.assertEqual(self.said("warn"), [])
        self.assertEqual(self.watch.running, 0)

    def test_what_arrives_while_the_stream_closes_is_still_told(self) -> None:
        self.stream.stopping = Deferred()
        stopped = self.watch.stopService()
        self.receive(*[box(f"s{number}") for number in range(700)])
        self.stream.stopping.callback(None)
        self.turn(3)
        self.successResultOf(stopped)
        self.assertEqual(len(self.slack.texts), 700)

    def test_what_is_being_committed_is_waited_for(self) -> None:
        self.store.is_held = True
        self.receive(box("Running"))
        self.turn()
        stopped = self.watch.stopService()
        self.assertNoResult(stopped)
        self.store.let_go()
        self.successResultOf(stopped)
        self.assertEqual(self.slack.texts, ["box Running"])

    def test_a_child_that_fails_is_reported_and_stops_nobody(self) -> None:
        self.children[0].problem = RuntimeError("cannot stop")
        self.stop()
        self.assertIn("status stops", self.told)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertIn("stopping one failed", self.said("critical"))

    def test_a_child_that_hangs_is_reported_and_stops_nobody(self) -> None:
        self.children[0].stopping = Deferred()
        self.stop()
        self.assertIn("status stops", self.told)
        self.assertEqual(self.said("warn"), ["stopping one took longer than 0.3 s"])

    def test_everything_hangs(self) -> None:
        """Less than five seconds, and each is named."""
        self.stream.stopping = Deferred()
        self.slack.answers = False
        self.closing = Deferred()
        self.store.closes = False
        for child in self.children:
            child.stopping = Deferred()
        self.receive(*[box(f"s{number}") for number in range(100)])
        self.turn()
        self.stop(5.0)
        self.assertEqual(
            self.said("warn"),
            [
                "stopping stream:main took longer than 3.0 s",
                "closing connections took longer than 0.3 s",
                "stopped with 100 notices undelivered: slack 100",
                "closing the store took longer than 0.3 s",
                "stopping one took longer than 0.3 s",
                "stopping status took longer than 0.3 s",
            ],
        )

    def test_a_full_outbox(self) -> None:
        """A destination that hangs gets three seconds; the rest is counted, by name."""
        self.slack.answers = False
        self.receive(*[box(f"s{number}") for number in range(600)])
        took_seconds = self.stop()
        self.assertApproximates(took_seconds, 3.0, 0.11)
        self.assertEqual(self.said("warn"), ["stopped with 600 notices undelivered: slack 600"])

    def test_another_configuration_is_gone_over_to(self) -> None:
        configuration = cast("Configuration", object())
        self.successResultOf(self.watch.reload(lambda: configuration))
        self.assertEqual(self.used, [configuration])

    def test_a_reload_does_not_outlive_it(self) -> None:
        waiting = self.closing = Deferred()
        done = self.watch.reload(lambda: cast("Configuration", object()))
        self.assertNoResult(done)
        self.closing = None
        self.stop()
        self.successResultOf(done)
        self.assertEqual(self.reloads.last, {})
        self.assertTrue(waiting.called)

    def test_a_child_that_came_later_is_stopped_with_the_others(self) -> None:
        RecordingChild("later", self.told.append).setServiceParent(self.watch)
        self.stop()
        self.assertEqual(self.told[-3:], ["one stops", "status stops", "later stops"])

    def test_a_store_that_cannot_be_written(self) -> None:
        """What was not committed is counted."""
        self.store.problem = StoreUnwritableError("the disk is full")
        self.receive(*[box(f"s{number}") for number in range(600)])
        self.turn()
        self.stop()
        self.assertEqual(
            self.said("warn"),
            [
                "deciding what had arrived took longer than 3.0 s",
                "stopped with 600 inputs uncommitted",
            ],
        )

    def test_what_arrives_afterwards_moves_nothing(self) -> None:
        self.stop()
        self.receive(box("Running"))
        self.turn(2)
        self.assertEqual(self.slack.texts, [])


class CatchingUpTests(WatchTestCase):
    """After a connect the platform is asked for everything, and what is watched is said."""

    def test_listing_begins_after_the_commit_and_ends_with_the_stream(self) -> None:
        self.start()
        self.store.is_held = True
        self.stream_is("Connected")
        self.turn(2)
        self.assertEqual(self.lists.asked, [])
        self.store.is_held = False
        self.store.let_go()
        self.turn(2)
        self.assertEqual(len(self.lists.asked), 1)
        self.stream_is("Disconnected")
        self.turn(2)
        self.stream_is("Connected")
        self.turn(2)
        self.assertEqual(len(self.lists.asked), 2)

    def test_what_is_watched_is_said_with_the_blind_time(self) -> None:
        self.start()
        for state, seconds in (("Connected", 100), ("Disconnected", 42), ("Connected", 0)):
            self.stream_is(state)
            self.turn(2)
            self.clock.advance(seconds)
        uri = "/api/v1/service/s1/"
        web = Found({"name": "web", "state": "Stopped"})
        rows = (Looked("main", uri, 0, web, self.now()),)
        self.pipeline.submit(Listed("main", rows, self.now()))
        self.turn(2)
        self.assertEqual(
            self.said("info")[-1],
            "watching 0 stacks, 1 service, 0 nodes; not healthy: web; nothing was seen for 42 s",
        )


class RejectedTests(WatchTestCase):
    """What cannot be used is told once for each reason, with how it began."""

    def test_the_same_reason_is_told_once(self) -> None:
        self.start()
        for payload in (b"[1]", b"[2]", b'{"type": 3}'):
            self.receive(payload)
            self.turn(2)
        self.assertEqual(
            self.said("warn"),
            [
                "rejected: Expected `object`, got `array` in [1]",
                'rejected: Expected `str`, got `int` - at `$.type` in {"type": 3}',
            ],
        )
        self.assertEqual(self.pipeline.decider.counts["rejected"], 3)


class UnroutedTests(WatchTestCase):
    """That nobody is told of something is said once for each rule."""

    def test_the_same_rule_is_told_of_once(self) -> None:
        routes = make_routes({"match": {"name": "x"}, "page": "plain"}, {"news": "plain"})
        settings = incident_settings(while_={"type": "notifier"}, notify="page", for_seconds=0.0)
        news = make_rule(routes=routes, notify="page", text="x")
        rules = rule_set(news, incident_rule(settings, routes), routes=routes)
        self.start()
        self.pipeline.decider.rule_sets["other"] = rules
        self.pipeline.submit(Reloaded("other", self.now()))
        for uuid in ("a", "b"):
            self.receive(event_bytes(f"/api/v1/service/{uuid}/", parents=[], object={"name": uuid}))
            self.turn(2)
        self.pipeline.submit(Link(LinkType.NOTIFIER, "slack", "Failing", "why", self.now()))
        self.turn(2)
        self.assertEqual(
            self.said("warn"),
            [
                "unrouted: no route has anybody for rule 'news': service a running",
                "unrouted: no route has anybody for rule 'stream down': notifier slack",
            ],
        )
        self.assertEqual(self.pipeline.decider.counts["unrouted"], 3)
