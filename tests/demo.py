"""``make demo``: the watcher, as it is installed, against a scripted platform on this machine.

A fake Tutum plays a small shop (deploys, scales, a crash), and its stream is cut off now and then
for 20 seconds; a fake Slack and a fake PagerDuty show what reaches them. Nothing leaves the
machine. Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorProcess, IReactorTCP, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import LoopingCall, deferLater, react
from twisted.python.failure import Failure

from tests.fakes.pagerduty import FakePagerDuty
from tests.fakes.slack import FakeSlack
from tests.fakes.tutum import FakeTutum
from tests.fakes.tutum_scenario import open_shop

CUT_AFTER_SECONDS, CUT_SECONDS = 20.0, 20.0
COLOURS = {"tutumwatch": "36", "Slack": "35", "PagerDuty": "31", "platform": "90"}


def say(who: str, text: str) -> None:
    """Print lines, each with who says it."""
    colour = COLOURS[who] if sys.stdout.isatty() else ""
    name = f"\033[{colour}m{who:>10}\033[0m" if colour else f"{who:>10}"
    for line in text.splitlines():
        print(f"{name} | {line}", flush=True)


def say_content(who: str, text: str) -> None:
    """Print what a destination received, without the requests that brought it."""
    if not text.startswith("POST /"):
        say(who, text)


class WatcherProcess(ProcessProtocol):
    """The watcher: prints its lines, fires ``ended`` when it is over."""

    def __init__(self) -> None:
        self.ended: Deferred[int] = Deferred()
        self._begun = b""

    def outReceived(self, data: bytes) -> None:
        *lines, self._begun = (self._begun + data).split(b"\n")
        for line in lines:
            say("tutumwatch", line.decode())

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        self.ended.callback(getattr(reason.value, "exitCode", None) or 0)


async def play(reactor: IReactorTCP, seconds: float | None) -> None:
    """Play until the watcher ends, or for some seconds."""
    clock = IReactorTime(reactor)
    tutum = await FakeTutum.listen(reactor)
    slack = await FakeSlack.listen(reactor)
    pagerduty = await FakePagerDuty.listen(reactor)
    slack.echo = lambda text: say_content("Slack", text)
    pagerduty.echo = lambda text: say_content("PagerDuty", text)
    say("platform", f"a scripted Tutum at {tutum.base_url}; Ctrl-C ends the demo")
    watcher = WatcherProcess()
    transport = IReactorProcess(reactor).spawnProcess(
        watcher,
        sys.executable,
        [sys.executable, "-m", "tutumwatch", "run"],
        env={
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(Path.home()),
            "PYTHONUNBUFFERED": "1",
            "TUTUM_STREAM_HOST": tutum.stream_host,
            "TUTUM_REST_HOST": tutum.rest_url,
            "TUTUM_USERNAME": "demo",
            "TUTUM_TOKEN": "demo-token",
            "SLACK_URL": slack.url,
            "PAGERDUTY_KEY": "0123456789abcdef0123456789abcdef",
            "PAGERDUTY_URL": pagerduty.url,
            "TUTUMWATCH_STATUS": "tcp:0:interface=127.0.0.1",
        },
    )
    await tutum.when(lambda fake: fake.connection_count == 1, timeout_seconds=30)
    open_shop(tutum, clock)
    outages = LoopingCall(lambda: Deferred.fromCoroutine(cut_off(tutum, clock)))
    outages.clock = clock
    outages.start(CUT_AFTER_SECONDS + CUT_SECONDS, now=False)
    if seconds is None:
        await watcher.ended
        return
    await deferLater(clock, seconds, lambda: None)
    transport.signalProcess("TERM")
    await watcher.ended


async def cut_off(tutum: FakeTutum, clock: IReactorTime) -> None:
    """Be unreachable for a while."""
    say("platform", f"*** the stream is cut off for {CUT_SECONDS:.0f} s ***")
    await tutum.refuse_connections()
    await deferLater(clock, CUT_SECONDS, lambda: None)
    await tutum.resume()
    say("platform", "*** the stream is back ***")


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.add_argument("--seconds", type=float, help="end by itself after this time")
    seconds: float | None = parser.parse_args().seconds
    react(lambda reactor: Deferred.fromCoroutine(play(reactor, seconds)))


if __name__ == "__main__":
    main()
