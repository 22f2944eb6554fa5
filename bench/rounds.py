"""One round: one contender, one workload, from an empty folder to what came of it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import attrs

from bench.contenders import START_MAX_SECONDS, Contender
from bench.processes import Process, ServersProcess
from bench.wire import Ask, AwaitClient, AwaitNotices, Behave, Behaviour, Play, Prepare, State
from bench.workloads import Way, Workload

ROUND_MAX_SECONDS = 300.0
SAMPLE_SECONDS = 0.5
# All have arrived once; whether one arrives twice is looked at for so much longer.
LATE_SECONDS = 1.0
# All was committed when the CPU has been idle for this long; the store works in large steps.
IDLE_SECONDS, IDLE_SHARE = 1.0, 0.1


@attrs.frozen
class Round:
    """What one round came to.

    ``seconds``: from the first event sent to the last notice received, or event committed.
    ``delays``: of each notice, the seconds from its event to its POST. ``grown_mib``: by how much
    memory grew over the second half of the events. ``first_send_seconds``: from the start of the
    process to its first POST.
    """

    contender: str
    events: int
    notices: int
    seconds: float
    lost: int = 0
    repeated: int = 0
    requests: int = 0
    look_ups: int = 0
    cpu_seconds: float | None = None
    peak_mib: float = 0.0
    delays: tuple[float, ...] = ()
    grown_mib: float | None = None
    first_send_seconds: float | None = None


@attrs.define
class Runner:
    """Runs rounds.

    :param profile: where to write the profile of a tutumwatch that runs under a profiler.
    :param say: told what is going on.
    """

    servers: ServersProcess
    say: Callable[[str], None]
    profile: Path | None = None
    _others: list[Process] = attrs.field(factory=list)

    def run(self, workload: Workload, contender: Contender, folder: Path) -> Round:
        """Run one round in an empty folder."""
        self.servers.do(Prepare(workload.plan, workload.behaviour))
        process = self._start(contender, folder)
        try:
            match workload.way:
                case Way.PLAIN:
                    return self._plain(workload, contender, process)
                case Way.KILLED:
                    return self._killed(workload, contender, process, folder)
                case Way.DEAD:
                    return self._dead(workload, contender, process, folder)
        finally:
            process.end()
            for again in self._others:
                again.end()

    def _start(self, contender: Contender, folder: Path) -> Process:
        process = contender.start(self.servers.ports, folder, self.profile)
        begun_at = len(process.said)
        if not self.servers.do(AwaitClient(START_MAX_SECONDS)).is_connected:
            process.end()
            raise RuntimeError(f"{contender.name} does not connect:\n{process.said}")
        contender.wait_until_ready(process, begun_at)
        return process

    def _await_all(self, workload: Workload, notices: int) -> State:
        return self.servers.do(AwaitNotices(notices, workload.quiet_seconds, ROUND_MAX_SECONDS))

    def _plain(self, workload: Workload, contender: Contender, process: Process) -> Round:
        notices = workload.plan.notice_count
        cpu_begun = process.cpu_seconds()
        self.servers.do(Play())
        state = self._await_all(workload, notices)
        if not process.is_running:
            raise RuntimeError(f"{contender.name} has ended:\n{process.said}")
        return attrs.evolve(
            _told(workload, contender, state),
            cpu_seconds=process.cpu_seconds() - cpu_begun,
            peak_mib=process.memory_mib("VmHWM"),
            delays=state.delays,
        )

    def _killed(
        self, workload: Workload, contender: Contender, process: Process, folder: Path
    ) -> Round:
        notices = workload.plan.notice_count
        self.servers.do(Play())
        self._await_all(workload, notices // 2)
        peak_mib = process.memory_mib("VmHWM")
        process.end(signal.SIGKILL)
        again = contender.start(self.servers.ports, folder)
        self._others.append(again)
        self._await_all(workload, notices)
        time.sleep(LATE_SECONDS)
        state = self.servers.do(Ask())
        return attrs.evolve(
            _told(workload, contender, state),
            peak_mib=max(peak_mib, again.memory_mib("VmHWM")),
        )

    def _dead(
        self, workload: Workload, contender: Contender, process: Process, folder: Path
    ) -> Round:
        events = workload.plan.sent_count
        cpu_begun, begun = process.cpu_seconds(), time.monotonic()
        self.servers.do(Play())
        samples = self._sample(process, events)
        cpu_seconds, seconds = process.cpu_seconds() - cpu_begun, time.monotonic() - begun
        peak_mib = process.memory_mib("VmHWM")
        process.end()
        self.servers.do(Behave(Behaviour()))
        begun = time.monotonic()
        again = contender.start(self.servers.ports, folder)
        self._others.append(again)
        state = self.servers.do(AwaitNotices(1, ROUND_MAX_SECONDS, ROUND_MAX_SECONDS))
        first_send_seconds = time.monotonic() - begun
        half = [mib for sent, mib in samples if sent >= events // 2]
        return Round(
            contender=contender.name,
            events=events,
            notices=workload.plan.notice_count,
            seconds=seconds - IDLE_SECONDS,
            requests=state.requests,
            look_ups=state.look_ups,
            cpu_seconds=cpu_seconds,
            peak_mib=max(peak_mib, again.memory_mib("VmHWM")),
            grown_mib=max(half) - half[0],
            first_send_seconds=first_send_seconds,
        )

    def _sample(self, process: Process, events: int) -> list[tuple[int, float]]:
        """Sample events sent and MiB in memory, until all are sent and the process is idle."""
        samples: list[tuple[int, float]] = []
        idle_since, cpu_before = time.monotonic(), process.cpu_seconds()
        end = time.monotonic() + ROUND_MAX_SECONDS
        said_at = 0
        while time.monotonic() < end and process.is_running:
            time.sleep(SAMPLE_SECONDS)
            state = self.servers.do(Ask())
            samples.append((state.sent, process.memory_mib("VmRSS")))
            if state.sent - said_at >= events // 10:
                said_at = state.sent
                self.say(f"{state.sent:,} events, {samples[-1][1]:.0f} MiB")
            cpu, now = process.cpu_seconds(), time.monotonic()
            if not state.all_sent or cpu - cpu_before > IDLE_SHARE * SAMPLE_SECONDS:
                idle_since = now
            cpu_before = cpu
            if now - idle_since >= IDLE_SECONDS:
                break
        return samples


def _told(workload: Workload, contender: Contender, state: State) -> Round:
    """Give what the destination knows of a round."""
    notices = workload.plan.notice_count
    return Round(
        contender=contender.name,
        events=workload.plan.sent_count,
        notices=notices,
        seconds=state.last_at,
        lost=notices - state.distinct,
        repeated=state.repeated,
        requests=state.requests,
        look_ups=state.look_ups,
    )
