"""A bridge that is killed during a deploy and comes back: what happened is told late, and once."""

from __future__ import annotations

import json
import socket
from typing import cast

from twisted.internet.defer import Deferred
from twisted.logger import formatEvent
from twisted.trial.unittest import TestCase

from tests.fakes.clients import http_client
from tests.live.programs import RunningProgram, script, start_program
from tests.live.running import LiveTestCase, until
from tutumwatch.stream.service import StreamService

TYPES = ("stack", "service", "container", "node", "nodecluster")
RULES = """
[streams.main]
url = "ws://127.0.0.1:{port}/v1/events"
rest = "http://127.0.0.1:{port}"
user = "ops"
apikey = "key"

[status]
listen = "tcp:0:interface=127.0.0.1"

[notifiers.console]
kind = "console"

[[messages]]
name = "service news"
match = {{ type = "service", changed = "state" }}
notify = ["console"]
text = "{{{{ stack.name }}}}/{{{{ name }}}} {{{{ state | lower }}}}"

[[incidents]]
name = "stream down"
while = {{ type = "stream", state = "!Connected" }}
for = "0s"
clear_for = "0s"
notify = ["console"]
text = "down"
resolve_text = "back, nothing was seen for {{{{ blind }}}}"
"""


def free_port() -> int:
    """Find a port that is free now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class BridgeRestartTests(LiveTestCase, TestCase):
    """The watcher, a real bridge in a process of its own, and a kill -9 in the middle."""

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits a coroutine here
        """Choose where the bridge listens."""
        await super().setUp()
        self.port = free_port()

    async def start_bridge(self, rate: float) -> RunningProgram:
        """Start the bridge of the one simulated cloud, and wait until it serves."""
        twistd = [script("twistd"), "-n", "--pidfile=", "tutumbridge", "--demo", "--seed=3"]
        listen = f"--listen=tcp:{self.port}:interface=127.0.0.1"
        bridge = start_program([*twistd, f"--rate={rate}", listen], {}, self.folder())
        self.addCleanup(lambda: Deferred.fromCoroutine(bridge.end("KILL")))
        await bridge.says("serving a simulated cloud")
        return bridge

    async def states_of_the_platform(self) -> dict[str, str]:
        """Ask the bridge's lists for the state of everything that is not gone."""
        states: dict[str, str] = {}
        for type_ in TYPES:
            url = f"http://127.0.0.1:{self.port}/api/v1/{type_}/?limit=500"
            answer = await http_client(self).get(url, auth=("ops", "key"))
            objects = json.loads(await answer.text())["objects"]
            states |= {o["resource_uri"]: o["state"] for o in objects}
        return {uri: state for uri, state in states.items() if state != "Terminated"}

    def states_that_we_know(self) -> dict[str, str]:
        """Give the state of everything that the watcher knows and takes for alive."""
        known = self.pipeline.decider.inventory.resources_of("main")
        return {r.uri: r.state or "" for r in known if r.type in TYPES}

    def surveys(self) -> list[str]:
        """Give the lines that say what is watched."""
        ours = (e for e in self.log.events if e["log_namespace"].startswith("tutumwatch.watch"))
        lines = [formatEvent(event) for event in ours]
        return [line for line in lines if line.startswith("watching")]

    async def test_kill_and_restart_during_a_deploy(self) -> None:
        bridge = await self.start_bridge(rate=20)
        self.start(RULES.format(port=self.port))
        await until(lambda: len(self.surveys()) == 1, 10, "the first survey")
        self.assertRegex(self.surveys()[0], r"^watching 3 stacks, 9 services, 3 nodes")
        told = len(self.console_lines())
        await until(
            lambda: any("redeploying" in line for line in self.console_lines()[told:]), 20, "deploy"
        )
        await bridge.end("KILL")
        stream = cast("StreamService", self.watch.getServiceNamed("stream:main"))
        await until(lambda: stream.state == "Disconnected", 5, "the stream is lost")
        told = len(self.console_lines())

        await self.start_bridge(rate=0)
        await until(lambda: len(self.surveys()) == 2, 20, "the second survey")
        self.assertRegex(self.surveys()[1], r"; nothing was seen for \d+ s$")
        self.assertEqual(self.states_that_we_know(), await self.states_of_the_platform())
        late = [line for line in self.console_lines()[told:] if "(late)" in line]
        self.assertTrue(late, self.console_lines())
        self.assertEqual(len(late), len(set(late)))
        back = [line for line in self.console_lines() if line.startswith("back")]
        self.assertEqual(len(back), 1)
        self.assertRegex(back[0], r"^back, nothing was seen for \d+ s$")

    async def test_what_was_told_late_is_not_told_again(self) -> None:
        """Another break in which nothing happens has nothing to tell."""
        bridge = await self.start_bridge(rate=0)
        self.start(RULES.format(port=self.port))
        await until(lambda: len(self.surveys()) == 1, 10, "the first survey")
        await bridge.end("KILL")
        await self.start_bridge(rate=0)
        await until(lambda: len(self.surveys()) == 2, 20, "the second survey")
        self.assertEqual([line for line in self.console_lines() if "(late)" in line], [])
