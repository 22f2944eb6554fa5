"""Tests of the commands that look at the store and speak to the watcher: processes of their own."""

from __future__ import annotations

import hashlib
import json
import random
import socket
import stat
import sys
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import execute

from tests.fakes.answers import Answer
from tests.fakes.tutum_events import container_event
from tests.live.programs import RunningProgram
from tests.live.running import LiveTestCase, until
from tests.live.test_twistd import RUN, ProgramTestCase
from tutumwatch.assembly import make_watch
from tutumwatch.config.environment import Environment
from tutumwatch.config.load import load_configuration
from tutumwatch.outbox.sqlite.store import SQLiteStore, connect
from tutumwatch.status.sdnotify import ServiceManager

BOX = "5a9f0b7e-3333-4a5b-9c3d-000000000003"
COMMAND = [sys.executable, "-m", "tutumwatch"]
REFUSED = Answer(400, "invalid_payload")
# Then nothing is sent for minutes, and so nothing is being sent.
PARKED = Answer(404, "no_service")


def contents(folder: Path) -> dict[str, str]:
    """Give a digest of every file in a folder but the lock and the socket, by name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.is_file()
    }


class ControlLiveTestCase(ProgramTestCase):
    """Runs a watcher with a store of the test's own, and commands beside it."""

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits a coroutine here
        """Choose a place for the store."""
        await super().setUp()
        self.home = self.folder()
        self.store = str(self.home / "outbox.sqlite")
        self.socket = Path(f"{self.store}.sock")

    async def watch_store(self, **variables: str) -> RunningProgram:
        """Run a watcher, and wait until it is connected."""
        program = self.run_program(
            RUN, **{**self.variables(), **variables}, TUTUMWATCH_STORE=self.store
        )
        await self.tutum.when(lambda fake: fake.connection_count == 1, timeout_seconds=30)
        return program

    async def command(self, *arguments: str) -> RunningProgram:
        """Run a command to its end, without any variable of the watcher."""
        program = self.run_program([*COMMAND, *arguments, "--store", self.store])
        await program.when(lambda running: running.exit_code is not None)
        self.assertNotIn("Traceback", program.output)
        return program

    async def output_of(self, *arguments: str, exit_code: int = 0) -> str:
        """Give what a command printed."""
        program = await self.command(*arguments)
        self.assertEqual(program.exit_code, exit_code, program.output)
        return program.printed

    async def rows(self, *arguments: str) -> list[dict[str, Any]]:
        """Give the rows that ``outbox list --json`` gives."""
        printed = await self.output_of("outbox", "list", "--json", *arguments)
        return [json.loads(line) for line in printed.splitlines()]

    async def dead_letter(self, program: RunningProgram) -> int:
        """Let Slack refuse a notice, and give its number."""
        self.slack.answer_next(REFUSED)
        self.tutum.send(container_event(BOX))
        await program.says("gave up a notice")
        while not (rows := await self.rows()):
            continue  # the log is a moment ahead of the file
        return int(rows[0]["id"])


class CommandsLiveTests(ControlLiveTestCase):
    """Beside a watcher that runs."""

    async def test_a_dead_letter_is_seen_and_sent_again(self) -> None:
        program = await self.watch_store()
        dead = await self.dead_letter(program)
        listed = await self.output_of("outbox", "list")
        head, line, owed = listed.splitlines()
        self.assertEqual(head.split()[:3], ["id", "notifier", "state"])
        self.assertEqual(line.split()[:4], [str(dead), "slack", "dead", "message"])
        self.assertIn("invalid_payload", line)
        self.assertEqual(owed, "owed: nothing")
        shown = await self.output_of("outbox", "show", str(dead))
        self.assertIn(f"    Check /api/v1/container/{BOX}/ to see more details.\n", shown)
        self.assertEqual(self.slack.texts, [])
        said = await self.output_of("outbox", "retry", str(dead))
        self.assertEqual(said, f"{dead} is sent again\n")
        await self.slack.when(lambda fake: len(fake.texts) == 1)
        self.assertIn(BOX, self.slack.texts[0])
        self.assertEqual(await self.rows("--state", "all"), [])
        said = await self.output_of("outbox", "retry", str(dead), exit_code=1)
        self.assertEqual(said, f"{dead} there is no such notice\n")
        await program.says("outbox retry: 1 is sent again")

    async def test_many_are_dropped(self) -> None:
        """What a destination that is down is owed, with its dead ones; others keep theirs."""
        program = await self.watch_store()
        await self.dead_letter(program)
        self.slack.answer_always(PARKED)
        self.tutum.send_many(container_event() for _ in range(5))
        await program.says("does not take notices")
        refused = await self.command("outbox", "drop", "--notifier", "slack")
        self.assertEqual((refused.exit_code, refused.printed), (1, ""))
        self.assertIn("1 dead letter and 5 notices not sent yet (slack)", refused.complained)
        self.assertIn("--yes", refused.complained)
        said = await self.output_of("outbox", "drop", "--notifier", "slack", "--yes")
        self.assertEqual([line.partition(" ")[2] for line in said.splitlines()], ["dropped"] * 6)
        self.assertEqual(await self.rows("--state", "all"), [])
        await self.output_of("status")

    async def test_status(self) -> None:
        await self.watch_store()
        await self.pagerduty.when(lambda fake: len(fake.events) >= 1)
        said = await self.output_of("status")
        lines = said.splitlines()
        self.assertRegex(lines[0], r"^tutumwatch \S+: running$")
        self.assertIn("stream main: Connected", lines)
        self.assertIn("notifier slack: Delivering; 0 waiting", lines)
        self.assertIn("store: ok", lines)
        health = json.loads(await self.output_of("status", "--json"))
        self.assertEqual((health["running"], health["ok"]), (True, True))
        self.assertGreaterEqual(health["counts"]["delivered"], 1)

    async def test_the_socket_is_ours_alone_and_goes_with_the_watcher(self) -> None:
        program = await self.watch_store()
        await self.output_of("status")
        mode = self.socket.stat().st_mode
        self.assertTrue(stat.S_ISSOCK(mode))
        self.assertEqual(stat.S_IMODE(mode), 0o600)
        await program.end("TERM")
        self.assertFalse(self.socket.exists())

    async def test_rubbish_does_no_harm(self) -> None:
        await self.watch_store()
        await self.output_of("status")
        with socket.socket(socket.AF_UNIX) as rude:
            rude.connect(str(self.socket))
            rude.sendall(b"GET / HTTP/1.1\r\n\r\n")
            # This process serves nothing that the watcher needs to answer.
            rude.settimeout(10)
            reply = json.loads(rude.recv(65_536))
        self.assertEqual(list(reply), ["error"])
        await self.output_of("status")


class WithoutWatcherLiveTests(ControlLiveTestCase):
    """Beside one that was killed, or was never there."""

    async def test_killed_and_started_again(self) -> None:
        """The socket that it left is no obstacle; what it owes can be seen meanwhile."""
        program = await self.watch_store()
        self.slack.answer_always(Answer(500, "down"))
        self.tutum.send(container_event(BOX))
        await program.says("does not take notices")
        await program.end("KILL")
        self.assertTrue(self.socket.exists())
        before = contents(self.home)
        said = await self.output_of("status", exit_code=1)
        # Of others it may not have been noted yet that they have what they got.
        self.assertRegex(
            said,
            f"^no watcher runs with the store {self.store}\nowed: .*slack 1\ndead letters: none\n$",
        )
        (row,) = await self.rows("--state", "owed", "--notifier", "slack")
        self.assertEqual((row["notifier"], row["attempts"]), ("slack", 1))
        self.assertIn(row["state"], {"pending", "sending"})
        refused = await self.command("outbox", "drop", str(row["id"]))
        self.assertEqual(refused.exit_code, 1)
        self.assertIn("no watcher runs with the store", refused.complained)
        self.assertEqual(contents(self.home), before)
        self.slack.answer_ok()
        await self.watch_store()
        await self.slack.when(lambda fake: len(fake.texts) == 1)
        await self.output_of("status")

    async def test_reading_what_a_stopped_one_left_changes_nothing(self) -> None:
        program = await self.watch_store()
        await self.dead_letter(program)
        await program.end("TERM")
        before = contents(self.home)
        self.assertEqual(len(await self.rows()), 1)
        await self.output_of("outbox", "show", str((await self.rows())[0]["id"]))
        await self.output_of("status", exit_code=1)
        self.assertEqual(contents(self.home), before)

    async def test_no_store(self) -> None:
        for arguments in (("outbox", "list"), ("outbox", "show", "1"), ("status",)):
            program = await self.command(*arguments)
            self.assertEqual(program.exit_code, 1)
            self.assertIn(f"there is no store {self.store}", program.output)
        self.assertEqual(list(self.home.iterdir()), [])


class StoppingLiveTests(LiveTestCase):
    """The order of an end."""

    async def test_the_socket_is_gone_before_the_store_is_free(self) -> None:
        """Else the next watcher, which waits for the store, would lose its own."""
        folder = self.folder()
        path = folder / "outbox.sqlite"
        control = folder / "outbox.sqlite.sock"
        environment = Environment({**self.variables(), "TUTUMWATCH_STORE": str(path)}, folder)
        was_there: list[bool] = []
        store = SQLiteStore(
            str(path), connect, time.time, execute, lambda: was_there.append(control.exists())
        )
        watch = make_watch(
            load_configuration(None, environment),
            store,
            reactor,
            time.time,
            random.Random(1),
            ServiceManager.from_environment({}),
        )
        watch.startService()
        await until(control.exists)
        await watch.stopService()
        self.assertEqual(was_there, [False])


class HeartbeatLiveTests(ControlLiveTestCase):
    """A sign of life, for as long as all is well."""

    async def test_it_goes_out_and_stays_out(self) -> None:
        path = "/5c1b6f0e-1f6d-4a5c-8a8e-heartbeat"
        self.secrets += [path, path[1:]]
        pings = await type(self.slack).listen(self.slack._reactor)
        self.addCleanup(pings.stop)
        pings.answer_always(Answer(200, "OK"))
        program = await self.watch_store(HEARTBEAT_URL=f"{pings.base_url}{path}")
        await pings.when(lambda fake: len(fake.requests) == 1)
        (ping,) = pings.requests
        self.assertEqual((ping.method, ping.path, ping.body), ("GET", path, b""))
        await self.tutum.refuse_connections()
        await program.says("heartbeat withheld: stream main is Disconnected")
        self.assertEqual(len(pings.requests), 1)
        await program.end("TERM")
