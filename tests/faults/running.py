"""Runs a real watcher over a disk that fails, between fakes that keep the ledger."""

from __future__ import annotations

import os
import sys
import unittest
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet import reactor
from twisted.internet.task import deferLater

from tests.fakes.tutum_events import StreamEvent, container_event
from tests.faults.disks import CannotMountError, FragileDisk, MountedDisk, SmallDisk
from tests.faults.shim import COMPILER, Shim
from tests.live.programs import RunningProgram, start_program
from tests.live.running import TOKEN, USER, LiveTestCase, until

# Set where a test that cannot be run must fail, as in CI.
REQUIRED_VARIABLE = "TUTUMWATCH_TEST_FAULTS"

Disk = TypeVar("Disk", bound=MountedDisk)

CONFIGURATION = """\
storm = 0

[streams.main]
url = "{stream}"
rest = "{rest}"
user = "{user}"
apikey = "{token}"
ping_interval = "{ping}"
ping_timeout = "{ping}"

[store]
path = "{store}"

[status]
listen = "tcp:0:interface=127.0.0.1"

[notifiers.slack]
kind = "slack"
url = "{slack}"
rate = 0
batch = {batch}

[notifiers.pd]
kind = "pagerduty"
api = "v1"
key = "9a1b2c3d4e5f60718293a4b5c6d7e8f9"
host = "{pagerduty}"
rate = 0

[[messages]]
name = "container"
match = {{ type = "container", state = "Running" }}
notify = ["slack"]
text = "{{{{ uuid }}}}"

[[incidents]]
name = "stream down"
while = {{ type = "stream", state = "!Connected" }}
for = "{for_}"
clear_for = "0s"
key = "stream"
notify = ["pd"]
text = "down: {{{{ reason }}}}"
resolve_text = "back, nothing was seen for {{{{ blind }}}}"
"""
PARENT = "00000000-5555-4000-8000-000000000000"


def uuid_of(number: int) -> str:
    """Give the uuid of a test's container; its message says nothing else."""
    return f"{number:08x}-3333-4000-8000-000000000000"


def event_of_number(number: int) -> StreamEvent:
    """Give the event of a test's container."""
    return container_event(
        uuid_of(number),
        action="update",
        state="Running",
        service=PARENT,
        stack=PARENT,
        node=PARENT,
        nodecluster=PARENT,
    )


class FaultsTestCase(LiveTestCase):
    """Gives each test a folder for the store, and a watcher; the messages are numbered."""

    program: RunningProgram

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits a coroutine here
        """Choose where the store is."""
        await super().setUp()
        self.tutum.says_auth = False
        self.place = self.folder().resolve()
        self.store_folder = self.place / "state"
        self.shim: Shim | None = None

    @property
    def store(self) -> Path:
        """The file of the store."""
        return self.store_folder / "outbox.sqlite"

    # -- what fails

    def _mounted(self, make: Callable[[], Disk]) -> Disk:
        try:
            disk = make()
        except CannotMountError as problem:
            raise self._lacking(str(problem)) from problem
        self.addCleanup(disk.unmount)
        return disk

    def _lacking(self, what: str) -> Exception:
        """Give what skips a test, or fails it where it must not be skipped."""
        if os.environ.get(REQUIRED_VARIABLE):
            return AssertionError(what)
        return unittest.SkipTest(f"NOT TESTED: {what}")

    def small_disk(self) -> SmallDisk:
        """Put the store on a disk of 4 MB."""
        return self._mounted(lambda: SmallDisk(self.store_folder))

    def fragile_disk(self) -> FragileDisk:
        """Put the store on a disk that can become read-only."""
        return self._mounted(lambda: FragileDisk(self.store_folder, self.place / "image"))

    def use_shim(self) -> Shim:
        """Start the watcher under the shim."""
        if COMPILER is None:
            raise self._lacking("there is no C compiler, neither cc nor gcc")
        self.store_folder.mkdir(exist_ok=True)
        self.shim = Shim(self.store_folder, self.place / "faults.page")
        self.addCleanup(self.shim.close)
        return self.shim

    # -- the watcher

    def start_watcher(
        self, *, for_: str = "0s", batch: int = 1, ping: str = "30s"
    ) -> RunningProgram:
        """Start a watcher, which ends with the test, and wait for nothing."""
        path = self.place / "watch.toml"
        text = CONFIGURATION.format(
            stream=self.tutum.stream_url,
            rest=self.tutum.rest_url,
            user=USER,
            token=TOKEN,
            store=self.store,
            slack=self.slack.url,
            pagerduty=self.pagerduty.url,
            for_=for_,
            batch=batch,
            ping=ping,
        )
        path.write_text(text, "utf-8")
        variables = self.shim.variables if self.shim is not None else {}
        command = [sys.executable, "-m", "tutumwatch", "run", "--config", str(path)]
        program = start_program(command, variables, self.place)
        self.program = program
        self.end_with_test(program)
        return program

    async def run_watcher(
        self, *, for_: str = "0s", batch: int = 1, ping: str = "30s"
    ) -> RunningProgram:
        """Start a watcher, and wait until its stream is open."""
        program = self.start_watcher(for_=for_, batch=batch, ping=ping)
        await self.connected()
        return program

    async def connected(self) -> None:
        """Wait until a stream is open, and the watcher believes it."""
        await until(
            lambda: self.tutum.connection_count == 1 or self.program.exit_code is not None, 40
        )
        self.assertIsNone(self.program.exit_code, self.program.output)
        await self.until_health("streams", "'state': 'Connected'")

    async def health(self) -> tuple[int, dict[str, Any]]:
        """GET /healthz: the status, and the object."""
        return await self.health_at(await self.program.health_url())

    async def until_health(self, key: str, wanted: object, timeout_seconds: float = 20) -> None:
        """Wait until the health says something; a text is enough if it is a part of what it says."""
        end = reactor.seconds() + timeout_seconds
        while True:
            _, health = await self.health()
            said = health[key]
            if said == wanted or (isinstance(wanted, str) and wanted in str(said)):
                return
            if reactor.seconds() > end:
                raise TimeoutError(f"{key} is {said!r}, not {wanted!r}\n{self.program.output}")
            await deferLater(reactor, 0.05)

    # -- the ledger

    def say(self, numbers: Iterable[int]) -> None:
        """Have the platform tell of containers."""
        for number in numbers:
            self.tutum.announce(event_of_number(number))

    def told(self) -> Counter[str]:
        """Count how often each container was told of, in however many messages."""
        return Counter(
            line.removesuffix(" (late)") for text in self.slack.texts for line in text.split("\n")
        )

    async def all_told(self, count: int, timeout_seconds: float = 30) -> None:
        """Wait until so many containers were told of."""
        try:
            await self.slack.when(lambda _: len(self.told()) >= count, timeout_seconds)
        except TimeoutError as problem:
            said = self.program.output
            raise TimeoutError(f"{len(self.told())} of {count} were told of\n{said}") from problem

    async def waits(self, count: int, timeout_seconds: float = 30) -> None:
        """Wait until so many messages are committed and not known to be delivered."""
        end = reactor.seconds() + timeout_seconds
        while (found := (await self.health())[1]["notifiers"]["slack"]["waiting"]) != count:
            if reactor.seconds() > end:
                raise TimeoutError(f"{found} wait, not {count}\n{self.program.output}")
            await deferLater(reactor, 0.02)

    def check_told_once(self, numbers: Iterable[int]) -> None:
        """Fail unless exactly these were told of, each of them once."""
        self.assertEqual(self.told(), Counter(uuid_of(number) for number in numbers))

    async def end_well(self) -> None:
        """Stop the watcher, which has its five seconds, and fail if it left a traceback."""
        self.assertLess(await self.program.end("TERM"), 5.5)
        self.assertNotIn("Traceback", self.program.output)
