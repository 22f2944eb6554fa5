"""A flood of events that match no rule, through a real watcher: its rate, and its memory.

``python -m tests.live.flood 500000`` runs it alone and prints what it measured.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

import attrs
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from tests.fakes.slack import FakeSlack
from tests.fakes.tutum import FakeTutum
from tests.fakes.tutum_events import container_event, service_event
from tests.live.programs import RunningProgram, script, start_program

RESOURCES_COUNT = 20_000
SECONDS_MAX = 300.0


@attrs.frozen
class Measured:
    """What a flood came to; ``cpu_seconds`` and memory are the watcher's alone."""

    count: int
    seconds: float
    cpu_seconds: float
    rss_mib: float
    peak_mib: float

    def __str__(self) -> str:
        """Say it in a line."""
        return (
            f"{self.count} events in {self.seconds:.1f} s: {self.count / self.seconds:,.0f} a "
            f"second, {self.cpu_seconds / self.count * 1e6:.1f} us of CPU each; "
            f"RSS {self.rss_mib:.1f} MiB, at most {self.peak_mib:.1f} MiB"
        )


async def flood(count: int, folder: Path) -> Measured:
    """Send a watcher under the tutorial's rules events of services without a stack.

    They match no rule. A container comes last: when Slack is told of it, all were taken in.
    """
    tutum, slack = await FakeTutum.listen(reactor), await FakeSlack.listen(reactor)
    variables = {
        "TUTUM_STREAM_HOST": tutum.stream_host,
        "TUTUM_REST_HOST": tutum.rest_url,
        "TUTUM_USERNAME": "ops",
        "TUTUM_TOKEN": "t0k3n",
        "SLACK_URL": slack.url,
        "TUTUMWATCH_STATUS": "off",
        # A watcher whose every line is traced would be another one.
        "COVERAGE_PROCESS_CONFIG": "",
        "COVERAGE_PROCESS_START": "",
    }
    program = start_program([script("twistd"), "-n", "--pidfile=", "tutumwatch"], variables, folder)
    try:
        await tutum.when(lambda fake: fake.connection_count == 1, timeout_seconds=30)
        return await _measured(program, tutum, slack, count)
    finally:
        await program.end("TERM")
        await tutum.stop()
        await slack.stop()


async def _measured(
    program: RunningProgram, tutum: FakeTutum, slack: FakeSlack, count: int
) -> Measured:
    messages = [
        json.dumps(service_event(action="update", stack="")).encode()
        for _ in range(RESOURCES_COUNT)
    ]
    begun, cpu_begun = reactor.seconds(), _cpu_seconds(program.pid)
    await tutum.flood(count, lambda number: messages[number % RESOURCES_COUNT])
    tutum.send(container_event())
    await slack.when(lambda fake: len(fake.texts) == 1, timeout_seconds=SECONDS_MAX)
    return Measured(
        count=count,
        seconds=reactor.seconds() - begun,
        cpu_seconds=_cpu_seconds(program.pid) - cpu_begun,
        rss_mib=_status_mib(program.pid, "VmRSS"),
        peak_mib=_status_mib(program.pid, "VmHWM"),
    )


def _status_mib(pid: int, name: str) -> float:
    """Read a size out of /proc/PID/status, as in ``VmRSS:     64000 kB``."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return int(kilobytes) / 1024


def _cpu_seconds(pid: int) -> float:
    """Read user and system time out of /proc/PID/stat; proc(5) counts its fields from 1."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[14 - 3]) + int(fields[15 - 3])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Run a flood and print its measures."""
    parser = argparse.ArgumentParser(prog="python -m tests.live.flood", description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=500_000, help="how many events")
    count: int = parser.parse_args().count

    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            print(await flood(count, Path(folder)))

    react(lambda _reactor: Deferred.fromCoroutine(run()))


if __name__ == "__main__":
    main()
