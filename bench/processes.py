"""The processes that the bench starts, and what the kernel knows of them (proc(5))."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import attrs
import msgspec

from bench.wire import Command, Ports, State

ROOT = Path(__file__).resolve().parent.parent
END_MAX_SECONDS = 20.0

# Field numbers in /proc/PID/stat, which counts from 1; the first two are cut off before.
_USER_TIME, _SYSTEM_TIME, _CUT_OFF = 14, 15, 3
# Only these are passed on: no proxy, no credentials, no settings of a watcher.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH")

Ending: TypeAlias = signal.Signals


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Give the environment of a process of the bench; Python finds this checkout."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**passed_on, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **variables}


@attrs.define
class Process:
    """A process that is measured; what it says goes to a file."""

    popen: subprocess.Popen[bytes]
    said_path: Path

    @classmethod
    def start(cls, arguments: Sequence[str], variables: Mapping[str, str], folder: Path) -> Process:
        """Start a program in a folder."""
        said_path = folder / "said.txt"
        with said_path.open("ab") as said:
            popen = subprocess.Popen(
                arguments,
                cwd=folder,
                env=environment({"HOME": str(folder), **variables}),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
        return cls(popen, said_path)

    @property
    def said(self) -> str:
        """All that it, and those before it in the same folder, said."""
        return self.said_path.read_text("utf-8", "replace")

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self.popen.poll() is None

    def cpu_seconds(self) -> float:
        """Give the user and system time that it used."""
        stat = Path(f"/proc/{self.popen.pid}/stat").read_text("ascii")
        fields = stat.rpartition(")")[2].split()
        ticks = sum(int(fields[number - _CUT_OFF]) for number in (_USER_TIME, _SYSTEM_TIME))
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_mib(self, name: str) -> float:
        """Read a size: ``VmRSS`` is what it has in memory now, ``VmHWM`` the most it ever had."""
        lines = Path(f"/proc/{self.popen.pid}/status").read_text("ascii").splitlines()
        (kibibytes,) = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
        return int(kibibytes) / 1024

    def end(self, how: Ending = signal.SIGTERM) -> None:
        """Send a signal and wait for the end; one that does not end is killed."""
        if self.is_running:
            self.popen.send_signal(how)
        try:
            self.popen.wait(END_MAX_SECONDS)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


class ServersProcess:
    """The servers, in a process of their own."""

    def __enter__(self) -> Self:
        """Start them."""
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "bench.servers"],
            env=environment({}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.ports = msgspec.json.decode(self._line(), type=Ports)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End them."""
        self._popen.kill()
        self._popen.communicate()

    def do(self, command: Command) -> State:
        """Have them do something, and wait until they have."""
        pipe = self._popen.stdin
        if pipe is None:
            raise RuntimeError("the servers were not started")
        pipe.write(msgspec.json.encode(command) + b"\n")
        pipe.flush()
        return msgspec.json.decode(self._line(), type=State)

    def _line(self) -> bytes:
        pipe = self._popen.stdout
        line = pipe.readline() if pipe is not None else b""
        if not line:
            raise RuntimeError("the bench's servers have ended")
        return line
