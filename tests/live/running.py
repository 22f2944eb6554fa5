"""Runs the whole watcher in this process, between fake servers on loopback."""

from __future__ import annotations

import base64
import json
import random
import tempfile
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.fakes.clients import http_client
from tests.fakes.pagerduty import FakePagerDuty
from tests.fakes.scripted import ScriptedServer
from tests.fakes.slack import FakeSlack
from tests.fakes.tutum import FakeTutum
from tests.live.programs import RunningProgram
from tests.secrets_check import SecretsCheckedTestCase, parts_of, read_stores
from tutumwatch.assembly import make_watch
from tutumwatch.config.environment import Environment
from tutumwatch.config.load import load_configuration
from tutumwatch.root import Watch
from tutumwatch.status.sdnotify import ServiceManager
from tutumwatch.status.service import StatusService
from tutumwatch.tap import make_store
from tutumwatch.watch import Pipeline

USER, TOKEN = "ops", "t0k+en/with?all&kinds=of%marks"
PAGERDUTY_KEY = "9a1b2c3d4e5f60718293a4b5c6d7e8f9"
WEBHOOK_PATH = "/services/T0AAAAAAA/B0BBBBBBB/w3bh00kS3cr3tT0k3n"
BASIC = base64.b64encode(f"{USER}:{TOKEN}".encode()).decode()
CONSOLE = "tutumwatch.notifiers.console"
# Tables of a configuration, for the environment of LiveTestCase.variables.
SLACK = """
[notifiers.slack]
kind = "slack"
url = "${SLACK_URL}"
rate = 0
"""
PD = """
[notifiers.pd]
kind = "pagerduty"
key = "${PAGERDUTY_KEY}"
host = "${PAGERDUTY_URL}"
rate = 0
"""
# With an empty store PagerDuty hears that the stream's incident is over, and that of a storm.
GREETING_COUNT = 2


async def until(holds: Callable[[], bool], timeout_seconds: float = 20.0, what: str = "") -> None:
    """Wait for a condition of something that tells nobody when it changes."""
    end = reactor.seconds() + timeout_seconds
    while not holds():
        if reactor.seconds() > end:
            raise TimeoutError(f"not so within {timeout_seconds} s: {what}")
        await deferLater(reactor, 0.01)


def built_in_configuration(**replaced: str) -> str:
    """Give tutorial.toml with some durations replaced: the key, as in ``for = "15s"``, and it."""
    text = resources.files("tutumwatch.config").joinpath("tutorial.toml").read_text("utf-8")
    for key, duration in replaced.items():
        before, line, after = text.partition(f"\n{key.removesuffix('_')} = ")
        if not line:
            raise AssertionError(f"tutorial.toml has no {key}")
        text = f'{before}{line}"{duration}"\n{after.partition(chr(10))[2]}'
    return text


def stop(fake: ScriptedServer) -> Deferred[None]:
    """Stop a fake, as a cleanup."""
    return Deferred.fromCoroutine(fake.stop())


class LiveTestCase(SecretsCheckedTestCase, TestCase):
    """Gives each test the three fakes, and :meth:`start`; checks for secrets at the very end."""

    tutum: FakeTutum
    slack: FakeSlack
    pagerduty: FakePagerDuty
    watch: Watch
    home: Path

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits a coroutine here
        """Start the fakes."""
        self.record(TOKEN, BASIC, PAGERDUTY_KEY)
        self.tutum = await FakeTutum.listen(reactor)
        self.slack = await FakeSlack.listen(reactor)
        self.pagerduty = await FakePagerDuty.listen(reactor)
        for fake in (self.tutum, self.slack, self.pagerduty):
            self.addCleanup(stop, fake)
        self.tutum.expect(USER, TOKEN)
        self.slack.secret_path = WEBHOOK_PATH
        self.secrets += parts_of(self.slack.url)

    def variables(self) -> dict[str, str]:
        """Give the environment of a user of the tutorial, who has it all on this machine."""
        return {
            "TUTUM_STREAM_HOST": self.tutum.stream_host,
            "TUTUM_REST_HOST": self.tutum.rest_url,
            "TUTUM_USERNAME": USER,
            "TUTUM_TOKEN": TOKEN,
            "SLACK_URL": self.slack.url,
            "PAGERDUTY_KEY": PAGERDUTY_KEY,
            "PAGERDUTY_URL": self.pagerduty.url,
            "TUTUMWATCH_STATUS": "tcp:0:interface=127.0.0.1",
        }

    def folder(self) -> Path:
        """Make a folder of this test's own."""
        folder = tempfile.TemporaryDirectory()
        path = Path(folder.name)

        def clean() -> None:
            """Look for secrets in what a store that was there has kept."""
            self.outputs += read_stores(path)
            folder.cleanup()

        self.addCleanup(clean)
        return path

    def start(
        self,
        configuration: str | None = None,
        dice: random.Random | None = None,
        home: Path | None = None,
        **variables: str,
    ) -> Watch:
        """Start the watcher, which ends before the fakes do; wait for nothing.

        :param configuration: the text of a file; without one the environment alone counts.
        :param home: of its user, who has its store there; by default one that was never used.
        :param variables: set besides the usual ones; an empty one is as good as unset.
        """
        folder = self.home = home or self.folder()
        path = folder / "tutumwatch.toml"
        if configuration is not None:
            path.write_text(configuration, "utf-8")
        loaded = load_configuration(
            None if configuration is None else str(path),
            Environment({**self.variables(), **variables}, folder),
        )
        manager = ServiceManager.from_environment({})
        store = make_store(loaded.store_path, reactor, time.time)
        self.watch = make_watch(
            loaded, store, reactor, time.time, dice or random.Random(1), manager
        )
        self.watch.startService()
        self.addCleanup(self.stop, self.watch)
        return self.watch

    def stop(self, watch: Watch) -> Deferred[None] | None:
        """Stop a watcher, unless that was done."""
        return watch.stopService() if watch.running else None

    async def restart(self, configuration: str | None = None, **variables: str) -> Watch:
        """Stop the watcher, unless that was done, and start it again on its store."""
        if self.watch.running:
            await self.watch.stopService()
        return self.start(configuration, None, self.home, **variables)

    async def start_connected(self, configuration: str | None = None) -> Watch:
        """Start the watcher and wait until it is connected and its first resolve has arrived."""
        watch = self.start(configuration)
        await self.tutum.when(lambda fake: fake.connection_count == 1)
        await self.pagerduty.when(lambda fake: len(fake.events) >= 1)
        return watch

    def end_with_test(self, program: RunningProgram) -> None:
        """Kill a program at the end of the test; what it wrote is checked for secrets."""

        async def end() -> None:
            await program.end("KILL")
            self.outputs.append(program.output)

        self.addCleanup(lambda: Deferred.fromCoroutine(end()))

    @property
    def pipeline(self) -> Pipeline:
        """The running watcher's pipeline."""
        return cast("Pipeline", self.watch.getServiceNamed("pipeline"))

    def console_lines(self) -> list[str]:
        """Give what the console notifier wrote."""
        return self.log.lines(CONSOLE)

    async def health(self) -> tuple[int, dict[str, Any]]:
        """GET /healthz of the watcher in this process; see :meth:`health_at`."""
        status = cast("StatusService", self.watch.getServiceNamed("status"))
        await until(lambda: status.port is not None)
        assert status.port is not None
        port = cast("IPv4Address", status.port.getHost()).port
        return await self.health_at(f"http://127.0.0.1:{port}/healthz")

    async def health_at(self, url: str) -> tuple[int, dict[str, Any]]:
        """GET /healthz of any watcher: the status, and the object; it may hold no secret."""
        answer = await http_client(self).get(url)
        body = await answer.text()
        self.outputs.append(body)
        return answer.code, json.loads(body)
