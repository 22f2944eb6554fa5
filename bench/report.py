"""The tables, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

import attrs

from bench.ceiling import Ceiling
from bench.contenders import CONCURRENCY, CONTENDERS, TUTUMWATCH, Contender
from bench.rounds import Round
from bench.summary import Results, Verdict, cpu_us, delay_ms, rate
from bench.wire import Behaviour, Plan
from bench.workloads import Way, Workload

NOTHING = ""
INTRODUCTION = """\
# Beside others

`make bench` wrote this page, with everything on one machine and over loopback. It runs tutumwatch
as it is shipped (a process of `twistd`, its store on the disk, each commit with `synchronous =
FULL`) and two programs that do its main job, against the same stream, REST API and destination:

- **the tutorial's client** ([bench/tutorial_client.py](../bench/tutorial_client.py)): the Tutum
  tutorial's four callbacks with websocket-client and requests. One thread: nothing is read while
  Slack or the REST API is waited for. It does not try again, does not reconnect, keeps nothing.
- **an asyncio script** ([bench/asyncio_client.py](../bench/asyncio_client.py)): what a good
  engineer writes in an afternoon with websockets and aiohttp. It never stops reading, makes at most
  64 requests at a time, obeys Retry-After, tries 8 times. What it owes is in memory, without limit;
  it keeps no order, remembers nothing, knows no resources, compares nothing after a reconnect.

Neither of them writes anything to a disk; tutumwatch commits every event, what is owed for it,
that it is being sent, and that it has arrived. All get the same events and send the same bodies;
connections stay open in all three.
"""
EXPLANATION = """\
Medians, with the contenders in turn in each round. `of ours` is the median of the ratios to the
first of them, which is ours, in the same round: of times, in a flood of events a second; none is
given for who lost something. CPU is user and system time for each event, RSS the most that any
round had. p50 and p99 are from an event being sent to its POST being there; the destination's own
time comes after that and is in neither. tutumwatch repeats what was under way when it was killed:
it cannot know.
"""
SERVERS = (
    "the servers, in a process of their own, can send at least {ceiling.events:,.0f} events a "
    "second and answer at least {ceiling.requests:,.0f} POSTs a second"
)


@attrs.frozen
class Bench:
    """All that a run of the bench found.

    ``profiles``: of workloads that missed a target, where the time went.
    """

    machine: Sequence[str]
    ceiling: Ceiling
    results: Mapping[str, Results]
    verdicts: Sequence[Verdict]
    seconds: float
    profiles: Mapping[str, str]


def write_page(bench: Bench, chart_name: str) -> str:
    """Write the page."""
    parts = [
        INTRODUCTION,
        f"![The medians as bars]({chart_name})\n",
        "## What must hold\n",
        targets_table(bench.verdicts),
        "## What was measured\n",
        EXPLANATION,
        results_table(bench.results),
        _dead(bench.results),
        "## Settings\n",
        settings_table(bench.results),
        _items(_settings_lines()),
        "## Where\n",
        _items([*bench.machine, SERVERS.format(ceiling=bench.ceiling), _length(bench)]),
        *_profiles(bench.profiles),
    ]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts if part)


def targets_table(verdicts: Iterable[Verdict]) -> str:
    """Write each target, what was measured, and whether it holds."""
    rows = [
        (
            verdict.target.workload,
            verdict.target.sentence,
            f"{'at most' if verdict.target.is_most else 'at least'} "
            f"{verdict.target.limit:g} {verdict.target.unit}".strip(),
            f"{verdict.value:.3g} {verdict.target.unit}".strip(),
            "holds" if verdict.holds else "**missed**",
        )
        for verdict in verdicts
    ]
    return _table(("workload", "what", "target", "measured", ""), rows)


def results_table(results: Mapping[str, Results]) -> str:
    """Write a row for each contender of each workload."""
    head = (
        "workload", "contender", "seconds", "events/s", "of ours", "CPU µs", "RSS MiB", "lost",
        "repeated", "p50 ms", "p99 ms",
    )  # fmt: skip
    rows = [
        _row(one, contender)
        for one in results.values()
        for contender in CONTENDERS
        if contender.name in one.rounds
    ]
    return _table(head, rows)


def _row(results: Results, contender: Contender) -> tuple[str, ...]:
    rounds = results.rounds[contender.name]
    floods = results.workload.plan.ends_with_notice
    compared = rate if floods else _seconds
    is_dead = results.workload.way is Way.DEAD
    # Who lost something was done the sooner for it, and a kill leaves no time to compare.
    is_comparable = results.workload.way is Way.PLAIN and not any(one.lost for one in rounds)
    ratio, baseline = math.nan, results.workload.contenders[0]
    if is_comparable and contender is not baseline and baseline.name in results.rounds:
        ratio = results.ratio(contender, baseline, compared)
    return (
        results.workload.name,
        contender.title,
        _number(results.median(contender, _seconds), 2),
        _number(results.median(contender, rate), 0) if floods or is_dead else NOTHING,
        _number(ratio, 2, " x"),
        _number(results.median(contender, cpu_us), 0),
        _number(max(one.peak_mib for one in rounds), 0),
        NOTHING if is_dead else _number(median(one.lost for one in rounds), 0),
        NOTHING if is_dead else _number(median(one.repeated for one in rounds), 0),
        _number(results.median(contender, lambda one: delay_ms(one, 0.5)), 1),
        _number(results.median(contender, lambda one: delay_ms(one, 0.99)), 1),
    )


def _dead(results: Mapping[str, Results]) -> str:
    """Say what a dead destination comes to, which fits no column."""
    if "dead" not in results:
        return ""
    one = results["dead"].rounds[TUTUMWATCH.name][-1]
    return (
        f"Dead: {one.events:,} events, of which {one.notices:,} were to be told, while nobody "
        f"listened where the destination was. Over the second half of them memory grew by "
        f"{one.grown_mib or 0.0:.1f} MiB. Then tutumwatch was stopped, the destination came back, "
        f"and {one.first_send_seconds or 0.0:.1f} s after the new start, with all "
        f"{one.notices:,} unsent, the first POST arrived.\n"
    )


def settings_table(results: Mapping[str, Results]) -> str:
    """Write what the workloads are."""
    rows = [
        (
            one.workload.name,
            _events(one.workload.plan),
            _answers(one.workload.behaviour),
            one.workload.way.value,
            _rounds(one),
        )
        for one in results.values()
    ]
    return _table(("workload", "events", "servers", "a round goes", "rounds"), rows)


def _settings_lines() -> Iterable[str]:
    for contender in CONTENDERS:
        yield f"{contender.title}: {contender.settings}"
    yield "`rate = 0`; nothing is summed up: there is no storm and no cooldown"
    yield (
        f'the destination is `kind = "slack"`, `concurrency = {CONCURRENCY}`, '
        '`retry_after = "notice"`; backoff is 1, 2, 4, ... s ± 20 % in both that try again'
    )


def _events(plan: Plan) -> str:
    words = [f"{plan.count:,}"]
    if plan.notice_every == 1:
        words.append("all to be told")
    elif plan.notice_every:
        words.append(f"1 in {plan.notice_every} to be told")
    if plan.look_up_every:
        words.append(f"1 in {plan.look_up_every} told after its own stack was looked up")
    if plan.ends_with_notice:
        words.append("nothing matches but one more, the last")
    if plan.rate:
        words.append(f"{plan.rate:g} a second")
    is_distinct = plan.resources >= plan.count
    words.append("each its own resource" if is_distinct else f"{plan.resources:,} resources")
    return ", ".join(words)


def _answers(behaviour: Behaviour) -> str:
    if not behaviour.is_up:
        return "destination refuses connections"
    words = [f"destination {behaviour.destination_seconds * 1000:g} ms"]
    if behaviour.rest_seconds:
        words.append(f"REST {behaviour.rest_seconds * 1000:g} ms")
    if behaviour.failed:
        words.append(f"{behaviour.failed * 100:g} % 500")
    if behaviour.limited:
        words.append(f"{behaviour.limited * 100:g} % 429 with Retry-After: 1")
    return ", ".join(words)


def _rounds(results: Results) -> str:
    counts = {c.title: len(results.rounds[c.name]) for c in results.workload.contenders}
    most = max(counts.values())
    fewer = [f"{title}: {count}" for title, count in counts.items() if count < most]
    return f"{most} ({', '.join(fewer)})" if fewer else str(most)


def _profiles(profiles: Mapping[str, str]) -> Iterable[str]:
    if not profiles:
        return
    yield "\n## Why a target is missed\n"
    yield (
        "A round of its own under a profiler, which makes every call slower, the shortest ones "
        "most. `python -m bench --profile --only WORKLOAD` repeats it.\n"
    )
    for name, text in profiles.items():
        yield f"### {name}\n\n```\n{text.strip()}\n```\n"


def _items(lines: Iterable[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)


def _length(bench: Bench) -> str:
    return f"all of it took {bench.seconds / 60:.1f} minutes"


def _seconds(one: Round) -> float:
    return one.seconds


def _number(value: float, digits: int, unit: str = "") -> str:
    return f"{value:,.{digits}f}{unit}" if math.isfinite(value) else NOTHING


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def titles(workloads: Iterable[Workload]) -> str:
    """Name workloads, for the help."""
    return ", ".join(f"{one.name} ({one.title})" for one in workloads)
