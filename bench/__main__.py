"""Runs the bench: ``python -m bench``, or ``make bench`` for the page in docs/."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs

from bench.ceiling import EVENTS_COUNT, measure
from bench.chart import draw
from bench.contenders import Contender
from bench.machine import describe
from bench.processes import ROOT, ServersProcess
from bench.report import Bench, results_table, targets_table, titles, write_page
from bench.rounds import Round, Runner
from bench.summary import Results, judge
from bench.workloads import WORKLOADS, Way, Workload

ROUNDS_COUNT = 3
PAGE, CHART = "bench.md", "bench.svg"
# Not /tmp, which may be in memory: the stores belong on a disk.
SCRATCH = ROOT / "build" / "bench"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        choices=[one.name for one in WORKLOADS],
        help=f"one workload; may be repeated: {titles(WORKLOADS)}".replace("%", "%%"),
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS_COUNT, help="how many (%(default)s)")
    parser.add_argument("--small", action="store_true", help="few events, for a quick look")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write page and chart there")
    parser.add_argument(
        "--profile", action="store_true", help="print where tutumwatch spends its time instead"
    )
    given = parser.parse_args(arguments)
    chosen = [one for one in WORKLOADS if not given.only or one.name in given.only]
    workloads = [one.small() for one in chosen] if given.small else chosen
    SCRATCH.mkdir(parents=True, exist_ok=True)
    if given.profile:
        with ServersProcess() as servers:
            for workload in workloads:
                print(profile(servers, workload))
        return
    bench = run(workloads, given.rounds, given.small)
    show(bench)
    if given.write is not None:
        (given.write / CHART).write_text(draw(bench.results), "utf-8")
        (given.write / PAGE).write_text(write_page(bench, CHART), "utf-8")
        say(f"wrote {given.write / PAGE} and {given.write / CHART}")


def say(line: str) -> None:
    """Say how far we are."""
    print(line, file=sys.stderr, flush=True)


def show(bench: Bench) -> None:
    """Print the tables."""
    print(results_table(bench.results))
    print(targets_table(bench.verdicts))
    for text in bench.profiles.values():
        print(text)


def run(workloads: Iterable[Workload], rounds: int, is_small: bool) -> Bench:  # noqa: FBT001 - as given on the command line
    """Run workloads, all their rounds."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        machine = describe(Path(folder))
    for line in machine:
        say(line)
    with ServersProcess() as servers:
        ceiling = measure(servers, EVENTS_COUNT // 10 if is_small else EVENTS_COUNT)
        say(f"servers: {ceiling.events:,.0f} events, {ceiling.requests:,.0f} POSTs a second")
        results = {one.name: run_workload(servers, one, rounds) for one in workloads}
        verdicts = judge(results)
        missed = {v.target.workload for v in verdicts if not v.holds}
        profiles = {
            name: profile(servers, one.workload)
            for name, one in results.items()
            if name in missed and not is_small
        }
    return Bench(machine, ceiling, results, verdicts, time.monotonic() - begun, profiles)


def run_workload(servers: ServersProcess, workload: Workload, rounds: int) -> Results:
    """Run the rounds of a workload, the contenders in turn."""
    found: dict[str, list[Round]] = {one.name: [] for one in workload.contenders}
    for number in range(1 if workload.way is Way.DEAD else rounds):
        for contender in workload.contenders:
            if number == 0 or contender not in workload.once:
                one = run_round(servers, workload, contender)
                found[contender.name].append(one)
                say(f"{workload.title} {number + 1}/{rounds}: {told(contender, one)}")
    return Results(workload, found)


def run_round(
    servers: ServersProcess, workload: Workload, contender: Contender, path: Path | None = None
) -> Round:
    """Run one round in a folder of its own.

    :param path: where to write a profile.
    """
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        runner = Runner(servers, lambda line: say(f"    {line}"), path)
        return runner.run(workload, contender, Path(folder))


def told(contender: Contender, one: Round) -> str:
    """Say a round in a line."""
    lost = f", {one.lost} lost, {one.repeated} repeated" if one.lost or one.repeated else ""
    return f"{contender.title}: {one.seconds:.2f} s{lost}, {one.peak_mib:.0f} MiB"


def profile(servers: ServersProcess, workload: Workload) -> str:
    """Run tutumwatch under a profiler, and give what it saw."""
    say(f"{workload.title}: under the profiler")
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        path = Path(folder) / "profile.txt"
        run_round(servers, attrs.evolve(workload, way=Way.PLAIN), workload.profiled, path)
        return path.read_text("utf-8")


if __name__ == "__main__":
    main()
