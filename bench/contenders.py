"""The programs that are compared, each as its users would start it."""

from __future__ import annotations

import base64
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from bench.processes import Process
from bench.rules import FEW, MORE_COUNT, more_rules
from bench.wire import Ports

USER, APIKEY = "bench", "0123456789abcdef"
AUTHORIZATION = "Basic " + base64.b64encode(f"{USER}:{APIKEY}".encode()).decode()
WEBHOOK_PATH = "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"
START_MAX_SECONDS = 30.0
LOOK_SECONDS = 0.01
# One that does not say when it is ready has this long after it connected.
READY_AFTER_SECONDS = 0.5

BATCH, CONCURRENCY = 1, 32

# The tutorial's two messages to Slack; what else it prints to its terminal is left out everywhere.
CONFIGURATION = """\
storm = 0

[streams.main]
url = "ws://127.0.0.1:{ports.stream}/v1/events"
rest = "http://127.0.0.1:{ports.rest}"
user = "{user}"
apikey = "{apikey}"

[store]
path = "outbox.sqlite"

[status]
listen = "off"

[notifiers.slack]
kind = "slack"
url = "http://127.0.0.1:{ports.destination}{webhook_path}"
batch = {batch}
concurrency = {concurrency}
rate = 0
retry_after = "notice"

[[messages]]
name = "container"
match = {{ type = "container" }}
notify = ["slack"]
text = '''
Your container was {{{{ action | past }}}} on Tutum!
Check {{{{ resource_uri }}}} to see more details.'''

[[messages]]
name = "service"
match = {{ type = "service", parents = "*" }}
notify = ["slack"]
fresh = ["stack"]
text = '''
A Service on Tutum was {{{{ action | past }}}}.
It belonged to the {{{{ stack.name }}}} Stack.
The Stack state is: {{{{ stack.state }}}}'''
"""


@attrs.frozen
class Contender:
    """One program. ``settings``: what of it is chosen, for the table.

    ``ready``: what it says when it has nothing left to do but to wait for events. ``rules``: what
    a tutumwatch has beside the two messages.
    """

    name: str
    title: str
    settings: str
    command: Sequence[str] = ()
    batch: int = BATCH
    ready: str = ""
    rules: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether this is tutumwatch."""
        return not self.command

    def start(self, ports: Ports, folder: Path, profile: Path | None = None) -> Process:
        """Start it in a folder, where it finds what it left there."""
        if not self.is_ours:
            return Process.start([sys.executable, *self.command], _variables(ports), folder)
        (folder / "bench.toml").write_text(self.configuration(ports), "utf-8")
        twistd = [str(Path(sys.executable).with_name("twistd"))]
        if profile is not None:
            twistd = [sys.executable, "-m", "bench.profiled", str(profile)]
        arguments = [*twistd, "-n", "--pidfile=", "tutumwatch", "-c", "bench.toml"]
        return Process.start(arguments, {}, folder)

    def configuration(self, ports: Ports) -> str:
        """Write the configuration of a tutumwatch."""
        text = CONFIGURATION.format(
            ports=ports,
            user=USER,
            apikey=APIKEY,
            webhook_path=WEBHOOK_PATH,
            batch=self.batch,
            concurrency=CONCURRENCY,
        )
        return text + self.rules

    def wait_until_ready(self, process: Process, begun_at: int = 0) -> None:
        """Wait until it only waits for events.

        :param begun_at: how much had been said in the same folder before it was started.
        """
        if not self.ready:
            time.sleep(READY_AFTER_SECONDS)
            return
        end = time.monotonic() + START_MAX_SECONDS
        while not re.search(self.ready, process.said[begun_at:]):
            if time.monotonic() > end or not process.is_running:
                raise RuntimeError(f"{self.name} does not become ready:\n{process.said}")
            time.sleep(LOOK_SECONDS)


def _variables(ports: Ports) -> Mapping[str, str]:
    return {
        "TUTUM_AUTH": AUTHORIZATION,
        "TUTUM_STREAM_URL": f"ws://127.0.0.1:{ports.stream}/v1/events",
        "TUTUM_REST_HOST": f"http://127.0.0.1:{ports.rest}",
        "SLACK_URL": f"http://127.0.0.1:{ports.destination}{WEBHOOK_PATH}",
    }


# It says so when it has caught up: lists asked for, and two seconds waited.
_CAUGHT_UP = r"watching \d+ stack"
_TUTUMWATCH = f"batch {{}}, concurrency {CONCURRENCY}, rate 0, synchronous FULL"
TUTUMWATCH = Contender(
    "tutumwatch", "tutumwatch", _TUTUMWATCH.format(BATCH), batch=BATCH, ready=_CAUGHT_UP
)
BATCHING = Contender(
    "batching",
    "tutumwatch, batching",
    _TUTUMWATCH.format("20 (above 10 waiting)"),
    batch=20,
    ready=_CAUGHT_UP,
)
TUTORIAL = Contender(
    "tutorial",
    "the tutorial's client",
    "one thread, one request at a time",
    ("-m", "bench.tutorial_client"),
)
ASYNCIO = Contender(
    "asyncio",
    "asyncio script",
    "64 requests at a time, 8 attempts",
    ("-m", "bench.asyncio_client"),
)
FEW_RULES = attrs.evolve(
    TUTUMWATCH,
    name="few rules",
    title="tutumwatch, 3 rules",
    settings="as tutumwatch; two incidents beside its message may match what the flood is made of",
    rules=FEW,
)
MANY_RULES = attrs.evolve(
    TUTUMWATCH,
    name="many rules",
    title=f"tutumwatch, {3 + MORE_COUNT} rules",
    settings=f"those and {MORE_COUNT} more, which cannot: messages and incidents of all forms",
    rules=FEW + more_rules(),
)
CONTENDERS = (TUTUMWATCH, BATCHING, TUTORIAL, ASYNCIO, FEW_RULES, MANY_RULES)
