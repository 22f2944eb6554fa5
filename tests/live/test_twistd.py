"""Tests of tutumwatch as a process: how it starts, what it prints, how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from tests.fakes.answers import Answer
from tests.fakes.tutum_events import container_event
from tests.fakes.tutum_stream import unauthorized
from tests.live.programs import RunningProgram, script, start_program
from tests.live.running import PAGERDUTY_KEY, TOKEN, LiveTestCase, until

BOX = "5a9f0b7e-3333-4a5b-9c3d-000000000003"
TWISTD = [script("twistd"), "-n", "--pidfile=", "tutumwatch"]
TWIST = [script("twist"), "tutumwatch"]
RUN = [sys.executable, "-m", "tutumwatch", "run"]

BAD = """\
[streams.main]
auth = "no-scheme-b3BzOnQwaytlbi93"
[streams.lab]
colour = "red"
[notifiers.slack]
kind = "slack"
url = "ftp://127.0.0.1/services/T0AAAAAAA/B0BBBBBBB/w3bh00kS3cr3tT0k3n"
[notifiers.pd]
kind = "pagerduty"
key = "9a1b2c3d4e5f60718293a4b5c6d7e8f9-and-more"
"""


class ProgramTestCase(LiveTestCase):
    """Starts programs that end with the test, and checks all that they wrote for secrets."""

    def run_program(self, arguments: list[str], **variables: str) -> RunningProgram:
        """Start a program with some variables.

        Its user's home, where its store is, is not where it is started; by default it is new.
        """
        self.cwd = self.folder()
        variables = {"HOME": str(self.folder()), **variables}
        program = start_program(arguments, variables, self.cwd)
        self.end_with_test(program)
        return program

    async def run_watcher(self, arguments: list[str], **variables: str) -> RunningProgram:
        """Start the watcher under the tutorial's environment, and wait until it is connected."""
        program = self.run_program(arguments, **{**self.variables(), **variables})
        await self.tutum.when(lambda fake: fake.connection_count == 1, timeout_seconds=30)
        await self.pagerduty.when(lambda fake: len(fake.events) >= 1)
        return program

    async def health_of(self, program: RunningProgram) -> tuple[int, dict[str, Any]]:
        """GET /healthz of a process."""
        return await self.health_at(await program.health_url())

    def write(self, text: str) -> str:
        """Write a configuration, and give its path."""
        path = self.folder() / "watch.toml"
        path.write_text(text, "utf-8")
        return str(path)


class RefusalTests(ProgramTestCase):
    """What cannot start says why, and ends with status 1."""

    async def test_no_credentials(self) -> None:
        """The tutorial's words; twist has a status of its own for every usage error."""
        for arguments, status in ((TWISTD, 1), (RUN, 1), (TWIST, 64)):
            program = self.run_program(arguments)
            await program.when(lambda ended: ended.exit_code is not None)
            self.assertEqual(program.exit_code, status, program.output)
            self.assertIn("Please provide authentication credentials", program.output)
            self.assertNotIn("Traceback", program.output)

    async def test_every_mistake_in_a_configuration(self) -> None:
        """With its line; a credential in the wrong place is not repeated."""
        self.secrets += ["no-scheme-b3BzOnQwaytlbi93"]
        program = self.run_program([*TWISTD, "--config", self.write(BAD)])
        await program.when(lambda ended: ended.exit_code is not None)
        self.assertEqual(program.exit_code, 1)
        for words in ("Usage: twistd", "streams.lab.colour", "streams.main", "url: ", "key: "):
            self.assertIn(words, program.output)
        self.assertNotIn("Traceback", program.output)


class RunningTests(ProgramTestCase):
    """From the start to the end."""

    async def test_twistd(self) -> None:
        """The tutorial's lines and texts; SIGTERM says goodbye to the stream, within 5 s."""
        program = await self.run_watcher(TWISTD)
        stream = self.tutum.connections[0]
        await program.says("Auth completed")
        self.tutum.send(container_event(BOX))
        await self.slack.when(lambda fake: len(fake.texts) == 1)
        self.assertIn(f"Check /api/v1/container/{BOX}/ to see more details.", self.slack.texts[0])
        status, health = await self.health_of(program)
        self.assertEqual((status, health["ok"]), (200, True))
        self.assertEqual(os.listdir(self.cwd), [])  # noqa: PTH208 - names are wanted
        took_seconds = await program.end("TERM")
        self.assertLess(took_seconds, 5.0)
        self.assertEqual(program.exit_code, -signal.SIGTERM)  # a shell says 143
        self.assertEqual((stream.wasClean, stream.remoteCloseCode), (True, 1000))
        self.assertNotIn("Traceback", program.output)
        order = ("watching stream main", "Connected", "Auth completed", "Received SIGTERM")
        places = [program.printed.index(words) for words in order]
        self.assertEqual(places, sorted(places))

    async def test_twist(self) -> None:
        """The other runner of Twisted has the same plugins."""
        program = await self.run_watcher(TWIST)
        await program.when(lambda running: "Auth completed" in running.output)
        self.assertLess(await program.end("TERM"), 5.0)
        self.assertNotIn("Traceback", program.output)

    async def test_run(self) -> None:
        """In the foreground, without a pid file, without the chatter of libraries."""
        program = await self.run_watcher(RUN)
        await program.says("Auth completed")
        self.assertEqual(os.listdir(self.cwd), [])  # noqa: PTH208 - names are wanted
        self.assertLess(await program.end("TERM"), 5.0)
        self.assertEqual(program.exit_code, -signal.SIGTERM)
        self.assertNotIn("Traceback", program.output)
        self.assertRegex(program.printed, r"(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ Connected$")

    async def test_run_with_json(self) -> None:
        """Every line is an object, also when things fail."""
        program = await self.run_watcher([*RUN, "--json"])
        await self.slack.refuse_connections()
        self.tutum.send(container_event(BOX))
        await program.says("does not take notices")
        self.tutum.close(4001, "bye")
        await program.says("### closed ###")
        await program.end("TERM")
        lines = [json.loads(line) for line in program.printed.splitlines()]
        self.assertTrue(all({"ts", "level", "ns", "msg"} <= line.keys() for line in lines))
        said = {line["msg"] for line in lines}
        self.assertLessEqual({"Connected", "Auth completed", "### closed ###"}, said)
        (warning,) = [line for line in lines if "does not take notices" in line["msg"]]
        self.assertEqual((warning["level"], warning["notifier"]), ("warn", "slack"))
        self.assertEqual(program.complained, "")

    async def test_well_while_everything_else_is_down(self) -> None:
        """A supervisor must not kill the watcher in the outage that it reports."""
        program = await self.run_watcher(RUN)
        await self.slack.refuse_connections()
        self.tutum.send(container_event(BOX))
        await program.says("slack does not take notices")
        await self.tutum.refuse_connections()
        await program.says("next attempt in 2 s")
        status, health = await self.health_of(program)
        self.assertEqual((status, health["problems"]), (200, []))
        self.assertEqual(health["streams"]["main"]["state"], "Disconnected")
        self.assertEqual(health["notifiers"]["slack"]["waiting"], 1)
        self.assertEqual(health["counts"]["events"], 2)
        self.assertLess(await program.end("TERM"), 5.0)
        self.assertIn("stopped with 1 notices undelivered: slack 1", program.printed)
        self.assertNotIn("Traceback", program.output)

    async def test_ending_with_a_destination_that_hangs(self) -> None:
        """Less than 5 s; what is left is counted, by name."""
        program = await self.run_watcher(RUN)
        self.slack.answer_always(Answer.hang())
        self.tutum.send_many(container_event() for _ in range(30))
        await self.slack.when(lambda fake: len(fake.requests) == 1)
        await until(lambda: self.tutum.pings != [])
        self.assertLess(await program.end("TERM"), 5.0)
        self.assertIn("notices undelivered: slack 30", program.printed)
        self.assertNotIn("Traceback", program.output)

    async def test_sighup_asks_again_whoever_refused_us(self) -> None:
        """Otherwise a stream that refused us is asked every 300 s, a destination likewise."""
        self.slack.answer_always(Answer(404, "no_service"))
        program = await self.run_watcher(RUN)
        self.tutum.send(container_event(BOX))
        await program.says("slack does not take notices")
        self.tutum.every_handshake(unauthorized())
        self.tutum.close()
        await program.says("next attempt in 300 s")
        self.tutum.accept()
        self.slack.answer_ok()
        program.transport.signalProcess("HUP")
        await program.says("is in effect")
        await self.tutum.when(lambda fake: fake.connection_count == 1)
        await self.slack.when(lambda fake: len(fake.texts) == 1)
        self.assertLess(await program.end("TERM"), 5.0)

    async def test_a_port_that_is_taken(self) -> None:
        """Without /healthz we still watch, and say what to set."""
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        port = taken.getsockname()[1]
        listen = f"tcp:{port}:interface=127.0.0.1"
        program = await self.run_watcher(RUN, TUTUMWATCH_STATUS=listen)
        await program.says("no /healthz")
        self.assertIn("TUTUMWATCH_STATUS", program.printed)
        await program.end()

    async def test_secrets_in_files(self) -> None:
        """Each variable may name a file, as container platforms hand secrets out."""
        folder = self.folder()
        (folder / "token").write_text(f"{TOKEN}\n")
        (folder / "key").write_text(PAGERDUTY_KEY)
        program = await self.run_watcher(
            RUN,
            TUTUM_TOKEN="",
            TUTUM_TOKEN_FILE=str(folder / "token"),
            PAGERDUTY_KEY="",
            PAGERDUTY_KEY_FILE=str(folder / "key"),
        )
        self.assertEqual(self.pagerduty.events[0]["service_key"], PAGERDUTY_KEY)
        await program.end()


class ServiceManagerTests(ProgramTestCase):
    """What systemd is told, over a real socket."""

    async def told_over(self, bound: str, named: str) -> None:
        """Run the watcher from READY to STOPPING, with a watchdog of two seconds."""
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.addCleanup(listening.close)
        listening.bind(bound)
        told: list[str] = []

        def heard(words: str) -> bool:
            with contextlib.suppress(BlockingIOError):
                told.append(listening.recv(10_000).decode())
            return any(words in datagram for datagram in told)

        program = await self.run_watcher(
            RUN, NOTIFY_SOCKET=named, WATCHDOG_USEC="2000000", PYTHONFAULTHANDLER=""
        )
        await until(lambda: heard("WATCHDOG=1"))
        await program.end("TERM")
        await until(lambda: heard("STOPPING=1"))
        self.outputs += told
        self.assertTrue(told[0].startswith("READY=1\nSTATUS=main Connecting, "), told)
        fed = next(datagram for datagram in told if "WATCHDOG=1" in datagram)
        self.assertEqual(fed, "STATUS=main Connected, 0 notices waiting\nWATCHDOG=1")
        self.assertEqual(told[-1], "STOPPING=1\nSTATUS=delivering what is left")

    async def test_a_socket_with_a_path(self) -> None:
        path = str(Path(self.folder(), "notify"))
        await self.told_over(path, path)

    async def test_an_abstract_socket(self) -> None:
        name = f"tutumwatch-live-{os.getpid()}"
        await self.told_over(f"\0{name}", f"@{name}")
