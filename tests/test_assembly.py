"""Tests of what a watch is made of, and of how it goes on with what a store has kept."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any, cast

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from tests.outbox.cases import memory_store, open_store
from tests.secrets_check import RecordedLog
from tutumwatch.assembly import make_decider, make_watch
from tutumwatch.config.environment import Environment
from tutumwatch.config.load import load_configuration
from tutumwatch.config.plans import Configuration
from tutumwatch.events.inputs import Link, LinkType, Message, Started
from tutumwatch.outbox.gate import State
from tutumwatch.outbox.outbox import Outbox
from tutumwatch.outbox.store import Store
from tutumwatch.root import Watch
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.notice import Form, Notice
from tutumwatch.status.sdnotify import ServiceManager
from tutumwatch.watch import Pipeline

NOW = 1_800_000_000.0
TOKEN = "t0k3n-0123456789"
RULES = """
[streams.main]
url = "ws://stream.example/v1/events"
auth = "Basic eA=="
[status]
listen = "off"
[notifiers.slack]
kind = "slack"
url = "http://slack.example/hook"
[notifiers.spare]
kind = "slack"
url = "${TUTUMWATCH_TEST_UNSET}"
optional = true
[[messages]]
name = "box"
match = { type = "container" }
notify = ["slack", "spare"]
text = "{{ state }}"
[[messages]]
name = "spare only"
match = { type = "container" }
notify = ["spare"]
[[incidents]]
name = "stream down"
while = { type = "stream", state = "!Connected" }
notify = ["slack"]
[[incidents]]
name = "spare incident"
while = { type = "stream", state = "!Connected" }
notify = ["spare"]
"""
BOX = b'{"type":"container","resource_uri":"/api/v1/container/c1/","state":"Running","parents":[]}'


class AssemblyTestCase(SynchronousTestCase):
    """Makes watches that are never connected to anything."""

    def setUp(self) -> None:
        """Make a folder and a reactor, and record the log."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.reactor = MemoryReactorClock()
        self.log = RecordedLog()
        self.addCleanup(self.log.stop)
        self.utc_now = NOW

    def load(self, text: str = RULES) -> Configuration:
        """Load a configuration."""
        path = self.folder / "watch.toml"
        path.write_text(text, "utf-8")
        variables = {"TUTUMWATCH_STORE": str(self.folder / "outbox.sqlite")}
        return load_configuration(str(path), Environment(variables, self.folder))

    def make(self, configuration: Configuration, store: Store | None = None) -> Watch:
        """Make a watch; by default its store is in memory."""
        return make_watch(
            configuration,
            store or memory_store(),
            cast("Any", self.reactor),
            lambda: self.utc_now,
            random.Random(1),
            ServiceManager(None, None),
        )


class MakeWatchTests(AssemblyTestCase):
    """The parts."""

    def test_a_kind_that_is_not_used_because_its_name_is_taken_is_said(self) -> None:
        taken = "the kind 'slack' of acme is not used: tutumwatch.notifiers.slack has that name"
        self.make(attrs.evolve(self.load(), passed_over=(taken,)))
        (_, line) = [e for e in self.log.events if e["log_namespace"] == "tutumwatch.assembly"]
        self.assertEqual((line["log_level"], line["sentence"]), (LogLevel.warn, taken))

    def test_the_environment_alone_gives_the_tutorial(self) -> None:
        variables = {
            "TUTUM_USERNAME": "ops",
            "TUTUM_TOKEN": TOKEN,
            "TUTUMWATCH_STORE": ":memory:",
        }
        configuration = load_configuration(None, Environment(variables, self.folder))
        self.assertEqual(
            [child.name for child in self.make(configuration)],
            ["outbox", "pipeline", "stream:main", "notifier:console", "status"],
        )

    def test_with_a_store_in_a_file_it_listens_to_the_command_line(self) -> None:
        self.assertIn("control", [child.name for child in self.make(self.load())])

    def test_a_notifier_that_is_off_is_told_nothing(self) -> None:
        decider = make_decider(self.load())
        decisions = decider.decide(Message("main", 1, BOX, NOW))
        told = [(n.rule, n.notifier) for n in decisions.owed if isinstance(n, Notice)]
        self.assertEqual(told, [("box", "slack")])


class GoingOnTests(AssemblyTestCase):
    """What one process kept is what the next one begins with."""

    def begin(self, text: str = RULES) -> tuple[Watch, Pipeline]:
        """Make a watch on the store of this test, and start all of it that needs no network."""
        configuration = self.load(text)
        store = open_store(configuration.store_path, lambda: self.utc_now)
        watch = self.make(configuration, store)
        pipeline = cast("Pipeline", watch.getServiceNamed("pipeline"))
        pipeline.startService()
        return watch, pipeline

    def end(self, watch: Watch, pipeline: Pipeline) -> None:
        """End it as a kill would: nothing is saved, and a second passes."""
        pipeline.stopService()
        outbox = cast("Outbox", watch.getServiceNamed("outbox"))
        for deliverer in outbox.deliverers.values():
            deliverer.stop()
            deliverer.cancel()
        self.successResultOf(Deferred.fromCoroutine(outbox.store.close()))
        self.utc_now += 60.0

    def decide(self, pipeline: Pipeline, *links: tuple[LinkType, str, str]) -> None:
        """Let our own connections have some states."""
        for type_, name, state in links:
            pipeline.submit(Link(type_, name, state, "why", pipeline._now()))
        self.reactor.advance(0)

    def deliverer_state(self, watch: Watch) -> tuple[State, str]:
        """Give how Slack is, as far as it is known."""
        deliverer = cast("Outbox", watch.getServiceNamed("outbox")).deliverers["slack"]
        return deliverer.state, deliverer.reason

    def test_the_first_input_tells_of_the_run_before(self) -> None:
        """And each run has an id of its own."""
        watch, pipeline = self.begin()
        self.assertEqual(pipeline._started, Started(pipeline._started.run_id, None, NOW))
        self.end(watch, pipeline)
        watch, pipeline = self.begin()
        self.assertEqual(pipeline._started.alive_at, NOW)
        self.assertEqual(pipeline._started.at, NOW + 60.0)
        self.assertRegex(pipeline._started.run_id, r"\A[0-9a-f]{12}\Z")
        self.end(watch, pipeline)

    def test_messages_are_counted_on(self) -> None:
        watch, pipeline = self.begin()
        pipeline.receive("main", BOX)
        pipeline.receive("main", BOX)
        self.reactor.advance(0)
        self.end(watch, pipeline)
        watch, pipeline = self.begin()
        self.assertEqual(pipeline.last_number(), 2)
        self.assertEqual(len(pipeline.decider.inventory), 1)
        self.end(watch, pipeline)

    def test_a_destination_that_refused_us_does_so_until_it_is_asked_again(self) -> None:
        """It is not announced anew, and not flooded with all that waits for it."""
        watch, pipeline = self.begin()
        self.decide(pipeline, (LinkType.NOTIFIER, "slack", "Refused"))
        self.end(watch, pipeline)
        watch, pipeline = self.begin()
        self.assertEqual(self.deliverer_state(watch), (State.REFUSED, "why"))
        self.decide(pipeline, (LinkType.NOTIFIER, "slack", "Delivering"))
        self.end(watch, pipeline)
        watch, pipeline = self.begin()
        self.assertEqual(self.deliverer_state(watch), (State.DELIVERING, ""))
        self.end(watch, pipeline)

    def test_actions_are_listed_since_when_nothing_was_seen(self) -> None:
        watch, pipeline = self.begin()
        self.assertIsNone(pipeline._catch_ups["main"]._blind_since)
        self.decide(pipeline, (LinkType.STREAM, "main", "Disconnected"))
        self.decide(pipeline, (LinkType.STREAM, "main", "Connected"))
        self.end(watch, pipeline)
        watch, pipeline = self.begin()
        self.assertEqual(pipeline._catch_ups["main"]._blind_since, NOW)
        self.end(watch, pipeline)

    def test_a_stream_that_has_another_name_now_is_another_stream(self) -> None:
        """Its incident is closed: nobody would tell of the old one again."""
        watch, pipeline = self.begin()
        self.decide(pipeline, (LinkType.STREAM, "main", "Disconnected"))
        self.reactor.advance(15.0)
        self.reactor.advance(0)
        known = pipeline.decider.incidents.open_incidents()
        self.assertEqual([one.name[0] for one in known], ["stream down", "spare incident"])
        self.end(watch, pipeline)
        watch, pipeline = self.begin(RULES.replace("streams.main", "streams.other"))
        self.assertEqual(pipeline.decider.incidents.open_incidents(), [])
        self.assertEqual(len(pipeline.decider.inventory), 0)
        self.end(watch, pipeline)

    def test_a_clock_that_is_an_hour_behind_moves_nothing(self) -> None:
        watch, pipeline = self.begin()
        self.end(watch, pipeline)
        self.utc_now = NOW - 3600.0
        watch, pipeline = self.begin()
        self.assertEqual(pipeline._now(), NOW)
        self.end(watch, pipeline)

    def test_what_is_owed_to_a_notifier_that_is_not_on_is_said(self) -> None:
        watch, pipeline = self.begin()
        owed = [Notice("n1", Form.MESSAGE, "box", "gone", "k", "text", NOW)]
        store = cast("Outbox", watch.getServiceNamed("outbox")).store
        self.successResultOf(Deferred.fromCoroutine(store.commit(Decisions(owed=list(owed)), NOW)))
        self.end(watch, pipeline)
        watch, pipeline = self.begin()
        said = [e["log_format"].format(**e) for e in self.log.events if "elsewhere" in e]
        self.assertEqual(len(said), 1)
        self.assertIn("notices wait for notifiers that are not on: gone 1", said[0])
        self.end(watch, pipeline)
