"""Ending and starting again: on real sockets, with the same store, by request and by force."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from twisted.internet.defer import Deferred
from twisted.logger import formatEvent

from tests.fakes.answers import Answer
from tests.fakes.tutum_events import StreamEvent, container_event, new_uuid
from tests.fakes.tutum_objects import rest_object
from tests.live.programs import RunningProgram, script
from tests.live.running import GREETING_COUNT, PAGERDUTY_KEY, WEBHOOK_PATH, LiveTestCase, until
from tests.live.test_twistd import RUN, TWISTD, ProgramTestCase
from tests.secrets_check import parts_of
from tutumwatch.outbox.outbox import Outbox

RULES = """
storm = 0

[streams.main]

[status]
listen = "off"

[notifiers.slack]
kind = "slack"
url = "file:SECRETS/slack"
rate = 0
batch = 5

[notifiers.pd]
kind = "pagerduty"
key = "file:SECRETS/key"
host = "${PAGERDUTY_URL}"
rate = 0

[[messages]]
name = "box"
match = { type = "container" }
notify = ["slack"]
text = "{{ resource_uri }} {{ state }}"

[[messages]]
name = "service"
match = { type = "service", changed = "state" }
notify = ["slack"]
text = "{{ name }} {{ state }}"

[[incidents]]
name = "stream down"
while = { type = "stream", state = "!Connected" }
for = "0s"
clear_for = "0s"
notify = ["pd", "slack"]
key = "the-stream"
text = "down"
resolve_text = "back, nothing was seen for {{ blind }}"
"""
SERVER_DOWN = Answer(503, "down")
BOXES = [new_uuid() for _ in range(40)]


def boxes(count: int) -> list[StreamEvent]:
    """Make events of some containers in turn; their states are numbers that grow."""
    return [
        container_event(BOXES[number % len(BOXES)], action="update", state=f"{number:05}")
        for number in range(count)
    ]


def lines_of(texts: Iterable[str]) -> list[str]:
    """Give the lines of Slack's messages about containers, in order."""
    lines = [line for text in texts for line in text.splitlines()]
    return [line for line in lines if "/container/" in line]


class RestartCase(ProgramTestCase):
    """A watcher with rules that have their secrets in files."""

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits a coroutine here
        """Write the secrets."""
        await super().setUp()
        self.secrets_folder = self.folder()
        self.write_secrets(self.slack.url, PAGERDUTY_KEY)
        self.rules = RULES.replace("SECRETS", str(self.secrets_folder))

    def write_secrets(self, url: str, key: str) -> None:
        """Write the credentials into their files."""
        (self.secrets_folder / "slack").write_text(f"{url}\n")
        (self.secrets_folder / "key").write_text(f"{key}\n")

    def owed(self) -> dict[str, int]:
        """Count what the watcher in this process owes."""
        return dict(cast("Outbox", self.watch.getServiceNamed("outbox")).owed_counts())

    def assert_all_told_once(self, count: int, repeated_max: int = 0) -> None:
        """Fail unless Slack has every event, those of a container in order.

        :param repeated_max: how many may stand there twice.
        """
        lines = lines_of(self.slack.texts)
        expected = {f"{event['resource_uri']} {event['state']}" for event in boxes(count)}
        self.assertEqual(set(lines), expected)
        self.assertLessEqual(len(lines) - len(expected), repeated_max)
        told: dict[str, list[str]] = defaultdict(list)
        for line in dict.fromkeys(lines):
            uri, state = line.split()
            told[uri].append(state)
        for states in told.values():
            self.assertEqual(states, sorted(states))


class InProcessTests(RestartCase, LiveTestCase):
    """The watcher in this process, stopped and started again."""

    def said(self, level: str) -> list[str]:
        """Give what was logged at a level."""
        return [formatEvent(e) for e in self.log.events if e["log_level"].name == level]

    async def test_a_thousand_undelivered(self) -> None:
        """Everybody was dead; nothing is lost, nothing overtakes, and one problem is one incident."""
        for fake in (self.slack, self.pagerduty, self.tutum):
            fake.answer_always(SERVER_DOWN)
        self.rules = self.rules.replace("batch = 5", "batch = 20")
        self.start(self.rules)
        await self.tutum.when(lambda fake: fake.connection_count == 1)
        self.tutum.send_many(boxes(1_000))
        await until(lambda: self.owed().get("slack") == 1_000, what="all are owed")
        self.tutum.close()
        await self.pagerduty.when(lambda fake: len(fake.requests) >= 2)
        await until(lambda: self.owed().get("pd", 0) >= 1, what="the stream's incident is owed")
        self.assertEqual((self.slack.texts, self.pagerduty.incidents), ([], []))

        await self.watch.stopService()
        self.slack.answer_ok()
        self.pagerduty.answer_ok()
        await self.restart(self.rules)
        await self.slack.when(lambda fake: len(lines_of(fake.texts)) >= 1_000)
        await until(lambda: self.owed() == {}, what="nothing is owed")
        self.assert_all_told_once(1_000)
        self.assertLessEqual(len(self.pagerduty.incidents), 1)
        self.assertEqual(self.pagerduty.open_keys(), [])

    async def test_what_happened_while_we_were_away(self) -> None:
        """It is told late, once, and the log says for how long nothing was seen."""
        uri = f"/api/v1/service/{new_uuid()}/"
        self.tutum.put(
            {**rest_object("service", uri.split("/")[-2]), "name": "web", "state": "Running"}
        )
        self.start(self.rules)
        await until(lambda: any("watching" in s and "1 service" in s for s in self.said("info")))
        await self.watch.stopService()
        self.assertEqual(self.slack.texts, [])

        stopped = {"state": "Stopped", "running_num_containers": 0}
        self.tutum.put({**self.tutum.objects[uri], **stopped})
        for _ in range(2):
            told = len(self.log.events)
            await self.restart(self.rules)

            def surveys(since: int = told) -> list[str]:
                lines = map(formatEvent, self.log.events[since:])
                return [line for line in lines if line.startswith("watching 0 stacks, 1 service")]

            await until(lambda: surveys() != [], what="the survey")
            self.assertRegex(surveys()[0], r"not healthy: web; nothing was seen for \d+ s$")
        await until(lambda: self.owed() == {}, what="nothing is owed")
        self.assertEqual(self.slack.texts, ["web Stopped (late)"])

    async def test_an_incident_that_was_open_stays_the_same_one(self) -> None:
        self.start(self.rules)
        await self.pagerduty.when(lambda fake: len(fake.events) == GREETING_COUNT)
        await self.tutum.refuse_connections()
        await self.pagerduty.when(lambda fake: fake.open_keys() == ["the-stream"])

        await self.restart(self.rules)
        (one,) = self.pipeline.decider.incidents.open_incidents()
        self.assertEqual(one.name, ("stream down", "the-stream"))
        await until(lambda: any("next attempt" in said for said in self.said("warn")))
        await self.tutum.resume()
        await self.pagerduty.when(lambda fake: fake.open_keys() == [], timeout_seconds=30)
        await until(lambda: self.owed() == {}, what="nothing is owed")
        self.assertEqual(self.pagerduty.opened_count("the-stream"), 1)
        self.assertEqual(len(self.pagerduty.events), GREETING_COUNT + 2)
        self.assertEqual(self.slack.texts[0], "down")
        self.assertRegex(self.slack.texts[1], r"^back, nothing was seen for \d+ s$")
        self.assertEqual(len(self.slack.texts), 2)

    async def test_nothing_is_greeted_twice(self) -> None:
        """The resolves of an empty store are sent once in its life."""
        self.start(self.rules)
        await self.pagerduty.when(lambda fake: len(fake.events) == GREETING_COUNT)
        await self.restart(self.rules)
        await self.tutum.when(lambda fake: fake.connection_count == 1)
        self.tutum.send(boxes(1)[0])
        await self.slack.when(lambda fake: len(fake.texts) == 1)
        self.assertEqual(len(self.pagerduty.events), GREETING_COUNT)


class KilledTests(RestartCase):
    """A real process, and force."""

    def run_rules(self, home: Path, **variables: str) -> RunningProgram:
        """Run the watcher with our rules, and a home for its store."""
        path = self.write(self.rules)
        return self.run_program(
            [*RUN, "--config", path], **{**self.variables(), "HOME": str(home), **variables}
        )

    async def test_a_kill_in_the_middle_of_delivering(self) -> None:
        """At most one request, of at most five notices, is said twice; and that is told."""
        home = self.folder()
        self.tutum.answer_always(SERVER_DOWN)  # else its lists would tell of containers, too
        self.slack.answer_always(Answer(delay_seconds=0.02))
        program = self.run_rules(home)
        await self.tutum.when(lambda fake: fake.connection_count == 1, timeout_seconds=30)
        self.tutum.send_many(boxes(200))
        await self.slack.when(lambda fake: len(lines_of(fake.texts)) >= 100)
        await program.end("KILL")
        self.assertLess(len(lines_of(self.slack.texts)), 200)
        again = self.run_rules(home)
        await self.slack.when(lambda fake: len(set(lines_of(fake.texts))) == 200)
        await again.end("TERM")
        self.assert_all_told_once(200, repeated_max=5)
        if len(lines_of(self.slack.texts)) > 200:
            self.assertIn("were being sent when we last ended", again.printed)
        self.assertNotIn("Traceback", program.output + again.output)
        self.assertNotIn("undelivered", again.output)

    async def test_a_key_that_is_rotated_while_a_hundred_wait(self) -> None:
        """The old one is refused; with SIGHUP the new one is read, and all is delivered."""
        new_path, new_key = f"{WEBHOOK_PATH}-n3w", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
        program = self.run_rules(self.folder())
        await self.pagerduty.when(
            lambda fake: len(fake.events) == GREETING_COUNT, timeout_seconds=30
        )
        self.slack.secret_path = new_path
        self.pagerduty.answer_always(Answer(403, "invalid key"))
        self.secrets += [*parts_of(self.slack.url), new_key]
        self.tutum.send_many(boxes(100))
        await program.says("slack does not take notices")
        self.assertEqual(self.slack.texts, [])
        self.write_secrets(self.slack.url, new_key)
        self.pagerduty.answer_ok()
        program.transport.signalProcess("HUP")
        await self.slack.when(lambda fake: len(set(lines_of(fake.texts))) == 100)
        self.assert_all_told_once(100)
        self.tutum.close()
        await self.pagerduty.when(lambda fake: fake.closed_count("the-stream") == 1)
        self.assertIn(new_key, str(self.pagerduty.events[-1]))
        await program.end()

    async def test_a_daemon(self) -> None:
        """Without -n: what holds the lock and the file is the process that goes on."""
        home = self.folder()
        pid_file, log_file = home / "twistd.pid", home / "twistd.log"
        store, lock = home / "outbox.sqlite", home / "outbox.sqlite.lock"
        program = self.run_program(
            [script("twistd"), f"--pidfile={pid_file}", f"--logfile={log_file}", "tutumwatch"],
            **self.variables(),
            TUTUMWATCH_STORE=str(store),
        )
        await program.when(lambda started: started.exit_code is not None)
        self.assertEqual(program.exit_code, 0, program.output)
        pid = int(pid_file.read_text())

        async def end() -> None:
            if pid_file.exists():
                os.kill(pid, signal.SIGKILL)
            self.outputs.append(log_file.read_text())

        self.addCleanup(lambda: Deferred.fromCoroutine(end()))
        await self.tutum.when(lambda fake: fake.connection_count == 1, timeout_seconds=30)
        self.tutum.send(container_event(BOXES[0]))
        await self.slack.when(lambda fake: len(fake.texts) == 1)
        self.assertEqual(lock.read_text(), f"{pid}\n")
        os.kill(pid, signal.SIGTERM)
        await until(lambda: not pid_file.exists(), what="it has ended")
        self.assertNotIn("Traceback", log_file.read_text())
        with sqlite3.connect(store) as connection:
            (owed,) = connection.execute("SELECT count(*) FROM deliveries").fetchone()
            (pages,) = connection.execute("SELECT count(*) FROM journal").fetchone()
        connection.close()
        self.assertEqual(owed, 0)
        self.assertGreater(pages, 0)


class RefusalTests(ProgramTestCase):
    """No store to be had: the process ends with 1, and says what to do."""

    async def refused(self, arguments: list[str], store: Path) -> str:
        """Start a watcher that cannot have its store; give what it said."""
        program = self.run_program(arguments, **self.variables(), TUTUMWATCH_STORE=str(store))
        await program.when(lambda ended: ended.exit_code is not None, timeout_seconds=60)
        self.assertEqual(program.exit_code, 1, program.output)
        self.assertNotIn("Traceback", program.output)
        self.assertEqual(self.tutum.handshakes, [])
        return program.output

    async def test_a_folder_that_cannot_be_written(self) -> None:
        file = self.folder() / "file"
        file.write_text("in the way")
        for arguments in (RUN, TWISTD):
            said = await self.refused(arguments, file / "deeper" / "outbox.sqlite")
            self.assertIn("cannot be used", said)
            self.assertIn("path in [store], or TUTUMWATCH_STORE", said)

    async def test_a_store_of_a_newer_version(self) -> None:
        """It is left as it is."""
        store = self.folder() / "outbox.sqlite"
        program = await self.run_watcher(RUN, TUTUMWATCH_STORE=str(store))
        await program.end()
        with sqlite3.connect(store) as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()
        self.tutum.handshakes.clear()
        before = store.read_bytes()
        said = await self.refused(RUN, store)
        self.assertIn(f"the store {store} is of version 99, and this tutumwatch knows", said)
        self.assertIn("give this one a store of its own", said)
        self.assertEqual(store.read_bytes(), before)

    async def test_a_second_process_waits_for_the_first(self) -> None:
        """Half a minute for one that does not end; no longer than that for one that does."""
        store = self.folder() / "outbox.sqlite"
        first = await self.run_watcher(RUN, TUTUMWATCH_STORE=str(store))
        self.tutum.handshakes.clear()
        said = await self.refused(RUN, store)
        self.assertIn(f"waiting for process {first.pid}", said)
        self.assertIn(f"another tutumwatch (process {first.pid}) holds {store}.lock", said)
        self.assertIn("give this one a store of its own", said)

        second = self.run_program(RUN, **self.variables(), TUTUMWATCH_STORE=str(store))
        await second.when(lambda running: "waiting for process" in running.output)
        await first.end()
        await self.tutum.when(lambda fake: fake.connection_count == 1, timeout_seconds=30)
        await second.end()
        self.assertNotIn("Traceback", second.output)
