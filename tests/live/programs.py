"""Runs tutumwatch as its users do: as a process of its own, with an environment of its own."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from tests.fakes.waiting import Conditions

ROOT = Path(__file__).resolve().parent.parent.parent
START_MAX_SECONDS = 30.0

# What would make a process of ours another one than the test says.
_NOT_PASSED_ON = re.compile(
    r"(TUTUM|SLACK_|PAGERDUTY_|NOTIFY_|WATCHDOG_|LISTEN_)|(HOME|XDG_\w+|INVOCATION_ID)$"
)
_HEALTH_URL = re.compile(r"http://127\.0\.0\.1:\d+/healthz")


class RunningProgram(ProcessProtocol):
    """A process, and what it printed; ``exit_code`` is negative for a signal."""

    transport: IProcessTransport

    def __init__(self) -> None:
        self.printed = ""
        self.complained = ""
        self.exit_code: int | None = None
        self._conditions = Conditions(
            reactor, lambda: f"{self.exit_code}\n{self.printed}\n{self.complained}"
        )

    def when(
        self, holds: Callable[[RunningProgram], bool], timeout_seconds: float = START_MAX_SECONDS
    ) -> Deferred[None]:
        """Return a Deferred that fires as soon as a condition holds."""
        return self._conditions.when(lambda: holds(self), timeout_seconds)

    async def says(self, text: str) -> None:
        """Wait until it has printed a text."""
        await self.when(lambda program: text in program.printed)

    async def health_url(self) -> str:
        """Wait until it listens, and give the URL of its health."""
        await self.when(lambda program: _HEALTH_URL.search(program.printed) is not None)
        found = _HEALTH_URL.search(self.printed)
        assert found is not None
        return found[0]

    async def end(self, signal: str = "TERM") -> float:
        """Send a signal, and give how many seconds the end took."""
        begun = reactor.seconds()
        if self.exit_code is None:
            self.transport.signalProcess(signal)
        await self.when(lambda program: program.exit_code is not None)
        return float(reactor.seconds() - begun)

    @property
    def output(self) -> str:
        """All that it wrote."""
        return self.printed + self.complained

    @property
    def pid(self) -> int:
        """The process's number."""
        return int(self.transport.pid)

    def outReceived(self, data: bytes) -> None:
        """Keep what is printed."""
        self.printed += data.decode()
        self._conditions.changed()

    def errReceived(self, data: bytes) -> None:
        """Keep what is complained of."""
        self.complained += data.decode()
        self._conditions.changed()

    def processEnded(self, reason: Failure) -> None:
        """Note the end."""
        code = getattr(reason.value, "exitCode", None)
        signal = getattr(reason.value, "signal", None)
        self.exit_code = -signal if signal is not None else code
        self._conditions.changed()


def script(name: str) -> str:
    """Give the path of a program that is installed beside the Python that runs us."""
    return str(Path(sys.executable).with_name(name))


def start_program(
    arguments: list[str], variables: Mapping[str, str], folder: Path
) -> RunningProgram:
    """Start a program in a folder; tutumwatch is the one of this checkout.

    :param variables: its environment, besides what the test runner needs.
    """
    passed_on = {
        name: value for name, value in os.environ.items() if not _NOT_PASSED_ON.match(name)
    }
    program = RunningProgram()
    reactor.spawnProcess(
        program,
        arguments[0],
        arguments,
        env={
            **passed_on,
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            **variables,
        },
        path=str(folder),
    )
    return program
