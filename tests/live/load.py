"""The bridge and one watcher under load: whether they keep up, and their memory stays level.

``python -m tests.live.load --rate 10000 --seconds 60`` starts a bridge with a simulated cloud and a
watcher, each a process of its own, and prints what both used: CPU for each event, and memory.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import urllib.request
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react
from twisted.internet.threads import deferToThread

from tests.live.programs import RunningProgram, script, start_program

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
name = "never"
match = {{ type = "service", state = "Nonesuch*" }}
notify = ["console"]
"""
WARM_UP_SECONDS = 5.0
SHOWN_COUNT = 6


def used(program: RunningProgram) -> tuple[float, float]:
    """Give the CPU seconds and the MiB of memory that a process has used."""
    stat = Path(f"/proc/{program.pid}/stat").read_text("ascii").rpartition(")")[2].split()
    ticks = int(stat[11]) + int(stat[12])
    pages = int(Path(f"/proc/{program.pid}/statm").read_text("ascii").split()[1])
    return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def events_of(url: str) -> int:
    """Ask a watcher how many events it has taken in."""

    def ask() -> bytes:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own loopback URL
            found: bytes = answer.read()
            return found

    return int(json.loads(await deferToThread(ask))["counts"].get("events", 0))


async def load(rate: float, seconds: float, port: int, folder: Path) -> None:
    """Run both, and print a line for each sixth of the time."""
    listen = f"--listen=tcp:{port}:interface=127.0.0.1"
    twistd = [script("twistd"), "-n", "--pidfile="]
    bridge = start_program([*twistd, "tutumbridge", "--demo", f"--rate={rate}", listen], {}, folder)
    await bridge.says("serving a simulated cloud")
    rules = folder / "load.toml"
    rules.write_text(RULES.format(port=port), "utf-8")
    watcher = start_program([script("tutumwatch"), "run", "--config", str(rules)], {}, folder)
    try:
        url = await watcher.health_url()
        await deferLater(reactor, WARM_UP_SECONDS)
        for _ in range(SHOWN_COUNT):
            events, begun = await events_of(url), reactor.seconds()
            cpu = [used(program)[0] for program in (bridge, watcher)]
            await deferLater(reactor, seconds / SHOWN_COUNT)
            count = await events_of(url) - events
            took = reactor.seconds() - begun
            now = [used(program) for program in (bridge, watcher)]
            each = [(n[0] - c) / max(count, 1) * 1e6 for n, c in zip(now, cpu, strict=True)]
            print(
                f"{count / took:7,.0f} events a second; bridge {each[0]:3.0f} us CPU each, "
                f"{now[0][1]:.0f} MiB; watcher {each[1]:3.0f} us ({each[1] / each[0]:.2f} x), "
                f"{now[1][1]:.0f} MiB",
                flush=True,
            )
    finally:
        await watcher.end("TERM")
        await bridge.end("TERM")


def main() -> None:
    """Run it alone."""
    parser = argparse.ArgumentParser(prog="python -m tests.live.load", description=__doc__)
    parser.add_argument("--rate", type=float, default=10_000.0, help="events a second")
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long")
    parser.add_argument("--port", type=int, default=18_085, help="where the bridge listens")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        react(
            lambda _: Deferred.fromCoroutine(
                load(given.rate, given.seconds, given.port, Path(folder))
            )
        )


if __name__ == "__main__":
    main()
