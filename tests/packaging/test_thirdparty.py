"""A notifier of somebody else's package: built, installed beside tutumwatch, and it delivers."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import ClassVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tests.fakes.answers import Answer
from tests.fakes.scripted import Received, ScriptedServer
from tests.live.programs import RunningProgram, start_program
from tests.packaging.environment import ROOT, Environment, build, copy_checkout
from tests.secrets_check import find_leaks, parts_of

PACKAGE = "tests/thirdparty/acme-chat"
SHIPPED = ("acme_chat.py", "twisted/plugins/acme_chat_plugin.py")
LINES_MAX_COUNT = 60
ROOM_PATH = "/rooms/r00mS3cr3tT0k3n"

CONFIGURATION = """\
[streams.main]
[status]
listen = "off"
[notifiers.room]
kind = "acme-chat"
url = "${ACME_URL}"
[[messages]]
name = "services"
match = { type = "service", state = "Running" }
notify = ["room"]
text = "{{ stack.name }}/{{ name }} is {{ state | lower }}"
"""
SEND_TEST = "[streams.main]\n[notifiers.room]\nkind = 'acme-chat'\nurl = '${ACME_URL}'\n"


class FakeAcmeChat(ScriptedServer):
    """A room that keeps the messages it accepted, in order, in ``messages``."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # whatever a server takes
        self.messages: list[str] = []

    def process(self, request: Received) -> Answer:
        """Accept a message."""
        if (request.method, request.path) != ("POST", ROOM_PATH):
            return Answer(404)
        self.messages.append(request.json()["message"])
        return Answer(202, "queued")


class ThirdPartyTests(TestCase):
    """In a fresh environment with the two wheels, and nothing of this checkout."""

    scratch: ClassVar[tempfile.TemporaryDirectory[str]]
    theirs: ClassVar[Path]
    environment: ClassVar[Environment]

    @classmethod
    def setUpClass(cls) -> None:
        """Build and install both."""
        cls.scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.scratch.cleanup)
        folder = Path(cls.scratch.name)
        copy_checkout(folder / "tutumwatch")
        copy_checkout(folder / "acme-chat", PACKAGE)
        for name in ("tutumwatch", "acme-chat"):
            build(folder / name, folder / "built", "--wheel")
        (cls.theirs,) = (folder / "built").glob("tutumwatch_acme_chat-*.whl")
        cls.environment = Environment(folder)
        cls.environment.install(*(folder / "built").glob("*.whl"))

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits a coroutine here
        """Start a room."""
        self.room = await FakeAcmeChat.listen(reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.room.stop()))
        self.url = self.room.base_url + ROOM_PATH

    def start(self, configuration: str, *arguments: str) -> RunningProgram:
        """Start the installed ``tutumwatch`` with a configuration; at its end nothing leaked."""
        folder = self.environment.elsewhere
        path = folder / f"{self.id().rpartition('.')[2]}.toml"
        path.write_text(configuration, "utf-8")
        variables = {"ACME_URL": self.url, "TUTUM_USERNAME": "ops", "TUTUM_TOKEN": "t0k3n-3f9"}
        command = [str(self.environment.python), "-I", "-m", "tutumwatch", *arguments]
        program = start_program([*command, "--config", str(path)], variables, folder)

        async def end() -> None:
            await program.end("KILL")
            self.assertEqual(find_leaks(program.output, parts_of(self.url)), [])

        self.addCleanup(lambda: Deferred.fromCoroutine(end()))
        return program

    async def ended(self, *arguments: str) -> RunningProgram:
        """Run a command to its end."""
        program = self.start(SEND_TEST, *arguments)
        await program.when(lambda running: running.exit_code is not None)
        return program

    def test_it_is_short(self) -> None:
        lines = [(ROOT / PACKAGE / name).read_text("utf-8").count("\n") for name in SHIPPED]
        self.assertLess(sum(lines), LINES_MAX_COUNT)

    async def test_a_test_message_is_delivered(self) -> None:
        program = await self.ended("send-test", "room")
        self.assertRegex(program.output, r"\Aroom: delivered in \d+ ms: 202 queued\n\Z")
        self.assertEqual(program.exit_code, 0)
        self.assertEqual(self.room.messages, ["This is a test of tutumwatch; nothing happened."])

    async def test_events_are_told_through_the_outbox(self) -> None:
        """What the room refuses for now is sent again; the names are those of the demo."""
        self.room.answer_next(Answer(503))
        program = self.start(CONFIGURATION, "run", "--demo", "--rate", "20")
        await self.room.when(
            lambda room: "shop/web is running" in "\n".join(room.messages), timeout_seconds=30
        )
        self.assertEqual([r.status for r in self.room.requests[:2]], [503, 202])
        refused = self.room.requests[0].json()["message"]
        self.assertEqual(refused, "shop/web is running")
        lines = "\n".join(self.room.messages).splitlines()
        for line in lines:
            self.assertRegex(line, r"\A[a-z]*/[a-z]+ is running\Z")
        self.assertIn("notifiers on: room", program.printed)
        self.assertLess(await program.end(), 5.0)

    async def test_its_own_tests_pass(self) -> None:
        """The ones that the documentation shows."""
        tests = ROOT / PACKAGE / "acme_chat_tests.py"
        self.assertIn("Ran 2 tests", self.environment.run("-m", "twisted.trial", tests))

    async def test_uninstalled_the_kind_is_gone(self) -> None:
        self.environment.pip("uninstall", "--yes", "tutumwatch-acme-chat")
        self.addCleanup(self.environment.install, self.theirs)
        program = await self.ended("check")
        self.assertEqual(program.exit_code, 1)
        self.assertIn(
            "notifiers.room.kind: 'acme-chat' is no kind of notifier; "
            "known are console, pagerduty, slack",
            program.complained,
        )
        self.assertEqual(self.environment.listed_commands(), ["tutumwatch", "tutumwatch"])
