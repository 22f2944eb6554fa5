"""Incidents, by a real watcher and real sockets: whatever fails, open pages are what is broken."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing

from tests.fakes.answers import Answer
from tests.fakes.tutum_events import new_uuid, node_event, uri_of
from tests.fakes.tutum_objects import rest_object
from tests.live.programs import RunningProgram
from tests.live.running import PD, SLACK, until
from tests.live.test_twistd import RUN, ProgramTestCase

RULES = (
    """
last_resort = false

[streams.main]

[status]
listen = "off"
"""
    + SLACK
    + PD
    + """
[[incidents]]
name = "node lost"
while = { type = "node", health = "down" }
for = "1s"
clear_for = "1s"
notify = ["pd", "slack"]
text = "{{ name }} is lost"
resolve_text = "{{ name }} is back"
"""
)
NODES = ("node-1", "node-2", "node-3", "node-4")
CLUSTER = new_uuid()
UUIDS = {name: new_uuid() for name in NODES}
LOST, WELL = "Unreachable", "Deployed"
DOWN = Answer(500, "down")
# What wakes nobody and is there at any time.
SETTLED_SECONDS = 60.0


def key_of(node: str) -> str:
    """Give the key of a node's incident."""
    return f"node lost/main/node/{node}"


class NodesTestCase(ProgramTestCase):
    """Gives each test a platform of four nodes, and a watcher with a store of its own."""

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits a coroutine here
        """Let all nodes be well."""
        await super().setUp()
        for name, uuid in UUIDS.items():
            self.tutum.put(rest_object("node", uuid, nickname=name))
        self.store = self.folder() / "outbox.sqlite"
        self.config = self.write(RULES)

    async def begin(self) -> RunningProgram:
        """Start the watcher, and wait until it has caught up.

        With an empty store it resolves at PagerDuty first what one before it may have opened.
        """
        is_first, events = not self.store.exists(), len(self.pagerduty.events)
        program = self.run_program(
            [*RUN, "--config", self.config],
            **{**self.variables(), "TUTUMWATCH_STORE": str(self.store)},
        )
        await program.says("watching 0 stacks, 0 services, 4 nodes")
        if is_first:
            well = [node for node in NODES if self.state_of(node) == WELL]
            told = events + len(well) + 1
            await self.pagerduty.when(lambda fake: len(fake.events) >= told)
        return program

    def state_of(self, node: str) -> str:
        """Say how the platform says that a node is."""
        return str(self.tutum.objects[uri_of("node", UUIDS[node])]["state"])

    def become(self, state: str, *nodes: str) -> None:
        """Let some nodes be so; whoever listens is told."""
        for node in nodes:
            event = node_event(UUIDS[node], action="update", state=state, nodecluster=CLUSTER)
            self.tutum.announce(event)

    async def open_is(self, *nodes: str) -> None:
        """Wait until PagerDuty has an incident open for each of these nodes, and no other."""
        keys = sorted(map(key_of, nodes))
        await self.pagerduty.when(lambda fake: sorted(fake.open_keys()) == keys, SETTLED_SECONDS)

    async def slack_has(self, *texts: str) -> None:
        """Wait until Slack was told so much; fail unless it is this, in any order."""
        await self.slack.when(lambda fake: len(lines_in(fake.texts)) >= len(texts), SETTLED_SECONDS)
        self.assertEqual(sorted(lines_in(self.slack.texts)), sorted(texts))

    async def ends(self, program: RunningProgram, signal: str = "TERM") -> None:
        """End the watcher; it raised nothing."""
        await program.end(signal)
        self.assertNotIn("Traceback", program.output)

    async def assert_settled(self, *open_now: str) -> None:
        """Fail unless a watcher that starts once more has nothing to say to anybody."""
        texts, events = list(self.slack.texts), len(self.pagerduty.events)
        program = await self.begin()
        # What would be said is said after this, as it is after for and clear_for.
        self.become(LOST, "node-4")
        await self.open_is(*open_now, "node-4")
        self.become(WELL, "node-4")
        await self.open_is(*open_now)
        await self.slack_has(*lines_in(texts), "node-4 is lost", "node-4 is back")
        await self.ends(program)
        self.assertNotIn("undelivered", program.output)
        self.assertEqual(len(self.pagerduty.events), events + 2)

    def owed_count(self) -> int:
        """Count what is owed, by what is on disk."""
        with closing(sqlite3.connect(f"file:{self.store}?mode=ro", uri=True)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM deliveries").fetchone()
        return int(count)

    async def nothing_is_owed(self) -> None:
        """Wait until it is on disk that all was said: a kill repeats what may not have been."""
        await until(lambda: self.owed_count() == 0, what="nothing is owed")

    def assert_opened_once(self, *nodes: str) -> None:
        """Fail unless PagerDuty ever opened one incident for each of these nodes."""
        opened = {node: self.pagerduty.opened_count(key_of(node)) for node in nodes}
        self.assertEqual(opened, dict.fromkeys(nodes, 1))


def lines_in(texts: Iterable[str]) -> list[str]:
    """Give the single lines of messages, which may have several."""
    return [line for text in texts for line in text.splitlines()]


class KilledTests(NodesTestCase):
    """kill -9, and what happens until the next start."""

    async def test_one_dies_and_another_recovers(self) -> None:
        """Each is told once, late; and open pages are what is broken."""
        program = await self.begin()
        self.become(LOST, "node-1", "node-2")
        await self.open_is("node-1", "node-2")
        await self.slack_has("node-1 is lost", "node-2 is lost")
        await self.nothing_is_owed()
        await self.ends(program, "KILL")

        self.become(WELL, "node-1")
        self.become(LOST, "node-3")
        again = await self.begin()
        await self.open_is("node-2", "node-3")
        told = ("node-1 is lost", "node-2 is lost", "node-1 is back", "node-3 is lost")
        await self.slack_has(*told)
        await self.ends(again)
        self.assert_opened_once("node-1", "node-2", "node-3")
        await self.assert_settled("node-2", "node-3")

    async def test_in_the_middle_of_what_comes_before_a_page(self) -> None:
        """What was on its way is told after the restart, once."""
        program = await self.begin()
        self.become(LOST, "node-1")
        await until(lambda: UUIDS["node-1"] in self.journal(), what="the event is kept")
        await self.ends(program, "KILL")
        self.assertEqual(self.pagerduty.open_keys(), [])

        again = await self.begin()
        await self.open_is("node-1")
        await self.slack_has("node-1 is lost")
        await self.ends(again)
        self.assert_opened_once("node-1")

    async def test_in_the_middle_of_telling(self) -> None:
        """PagerDuty had it and could not say so: it is sent again, and is the same incident."""
        program = await self.begin()
        self.pagerduty.answer_always(Answer.accept_then_hang())
        self.become(LOST, "node-1")
        await self.open_is("node-1")
        await self.ends(program, "KILL")
        self.pagerduty.answer_ok()

        self.become(WELL, "node-1")
        again = await self.begin()
        await self.open_is()
        await self.nothing_is_owed()
        await self.ends(again)
        self.assert_opened_once("node-1")
        self.assertEqual(self.pagerduty.closed_count(key_of("node-1")), 1)

    async def test_the_store_is_deleted_meanwhile(self) -> None:
        """Still one incident a problem; what recovered is resolved, and is no message."""
        program = await self.begin()
        self.become(LOST, "node-1", "node-2")
        await self.open_is("node-1", "node-2")
        await self.slack_has("node-1 is lost", "node-2 is lost")
        await self.nothing_is_owed()
        await self.ends(program, "KILL")

        for file in self.store.parent.iterdir():
            file.unlink()
        self.become(WELL, "node-1")
        self.become(LOST, "node-3")
        again = await self.begin()
        await self.open_is("node-2", "node-3")
        # Nobody but PagerDuty can know that it was told before of what is still broken.
        first = ["node-1 is lost", "node-2 is lost"]
        await self.slack_has(*first, "node-2 is lost", "node-3 is lost")
        await self.ends(again)
        self.assert_opened_once("node-1", "node-2", "node-3")
        await self.assert_settled("node-2", "node-3")

    def journal(self) -> str:
        """Give what is on disk, as far as it is text."""
        files = (self.store, self.store.with_name(f"{self.store.name}-wal"))
        return "".join(file.read_bytes().decode("latin-1") for file in files)


class OutageTests(NodesTestCase):
    """Destinations that are down, for a while, one after the other."""

    async def test_pagerduty_answers_with_500(self) -> None:
        """Openings and closings meanwhile come to what is broken; none is opened twice."""
        program = await self.begin()
        self.become(LOST, "node-1")
        await self.open_is("node-1")
        self.pagerduty.answer_always(DOWN)
        asked = len(self.pagerduty.requests)
        self.become(WELL, "node-1")
        self.become(LOST, "node-2", "node-3")
        await self.pagerduty.when(lambda fake: len(fake.requests) >= asked + 3)
        self.become(WELL, "node-2")
        await self.slack.when(lambda fake: "node-2 is back" in lines_in(fake.texts))
        self.assertEqual(self.pagerduty.open_keys(), [key_of("node-1")])

        self.pagerduty.answer_ok()
        await self.nothing_is_owed()
        await self.open_is("node-3")
        await self.ends(program)
        self.assert_opened_once("node-1", "node-3")
        # It may have had the trigger that it answered so: only a resolve is certain to close it.
        self.assertEqual(self.pagerduty.closed_count(key_of("node-2")), 1)

    async def test_pagerduty_takes_and_does_not_answer(self) -> None:
        """What it has and we do not know of is resolved all the same."""
        program = await self.begin()
        self.pagerduty.answer_always(Answer.accept_then_reset())
        self.become(LOST, "node-1", "node-2")
        await self.open_is("node-1", "node-2")
        self.pagerduty.answer_always(Answer.hang())
        asked = len(self.pagerduty.requests)
        self.become(WELL, "node-1")
        await self.slack.when(lambda fake: "node-1 is back" in lines_in(fake.texts))
        await self.pagerduty.when(lambda fake: len(fake.requests) > asked)

        self.pagerduty.drop_connections()
        self.pagerduty.answer_ok()
        await self.nothing_is_owed()
        await self.open_is("node-2")
        await self.ends(program)
        self.assert_opened_once("node-1", "node-2")

    async def test_pagerduty_is_away_over_a_kill(self) -> None:
        """Broken before and after it, well before and after it: all of it converges."""
        program = await self.begin()
        self.become(LOST, "node-1", "node-2")
        await self.open_is("node-1", "node-2")
        await self.nothing_is_owed()
        await self.pagerduty.refuse_connections()
        self.become(WELL, "node-1")
        self.become(LOST, "node-3")
        await self.slack_has("node-1 is lost", "node-2 is lost", "node-1 is back", "node-3 is lost")
        await until(lambda: self.owed_count() == 2, what="Slack owes nothing")
        await self.ends(program, "KILL")

        self.become(WELL, "node-2", "node-3")
        self.become(LOST, "node-1")
        again = await self.begin()
        await self.slack.when(lambda fake: lines_in(fake.texts).count("node-1 is lost") == 2)
        await self.pagerduty.resume()
        await self.nothing_is_owed()
        await self.open_is("node-1")
        await self.ends(again)
        self.assertEqual(self.pagerduty.opened_count(key_of("node-1")), 2)
        self.assert_opened_once("node-2")
        await self.assert_settled("node-1")

    async def test_slack_is_away_over_a_restart(self) -> None:
        """It hears once of what is still so, and not of what came and went."""
        program = await self.begin()
        self.become(LOST, "node-1")
        await self.slack_has("node-1 is lost")
        await self.slack.refuse_connections()
        self.become(WELL, "node-1")
        self.become(LOST, "node-2", "node-3")
        await self.open_is("node-2", "node-3")
        self.become(WELL, "node-2")
        await self.open_is("node-3")
        await self.ends(program)
        self.assertIn("undelivered", program.output)

        await self.slack.resume()
        again = await self.begin()
        await self.slack_has("node-1 is lost", "node-1 is back", "node-3 is lost")
        await self.nothing_is_owed()
        await self.ends(again)
        self.assertEqual(len(lines_in(self.slack.texts)), 3)
