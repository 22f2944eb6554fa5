"""What the rounds of a workload come to: medians, ratios, and whether the targets hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TypeAlias

import attrs

from bench.contenders import (
    ASYNCIO,
    BATCHING,
    FEW_RULES,
    MANY_RULES,
    TUTORIAL,
    TUTUMWATCH,
    Contender,
)
from bench.rounds import Round
from bench.workloads import Workload

Measure: TypeAlias = Callable[[Round], float]

MILLISECONDS = 1_000.0
FLAT_MAX_MIB = 5.0
RSS_MAX_MIB = 120.0
FIRST_SEND_MAX_SECONDS = 3.0
FLOOD_MIN_RATIO, MIXED_MAX_RATIO, BATCHING_MAX_RATIO = 2.5, 1.5, 1.0
TRICKLE_MAX_MS = 10.0
RULES_MAX_RATIO = 1.3


def percentile(values: Sequence[float], share: float) -> float:
    """Give the smallest value that at least this share of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def delay_ms(one: Round, share: float) -> float:
    """Give a percentile of the time from event to POST."""
    return percentile(one.delays, share) * MILLISECONDS if one.delays else math.nan


def rate(one: Round) -> float:
    """Give how many events a second it took in."""
    return one.events / one.seconds


def cpu_us(one: Round) -> float:
    """Give the CPU time for each event, in microseconds."""
    return math.nan if one.cpu_seconds is None else one.cpu_seconds / one.events * 1e6


@attrs.frozen
class Results:
    """The rounds of one workload, by the name of the contender, in the order in which they ran."""

    workload: Workload
    rounds: Mapping[str, Sequence[Round]]

    def median(self, contender: Contender, measure: Measure) -> float:
        """Give the median of a measure over a contender's rounds."""
        return median(measure(one) for one in self.rounds[contender.name])

    def ratio(self, contender: Contender, baseline: Contender, measure: Measure) -> float:
        """Give the median of the ratios of rounds that ran one after the other."""
        pairs = zip(self.rounds[contender.name], self.rounds[baseline.name], strict=False)
        return median(measure(one) / measure(other) for one, other in pairs)


@attrs.frozen
class Target:
    """Something that must hold. ``is_most``: the measured value may be at most the limit."""

    workload: str
    sentence: str
    unit: str
    limit: float
    measure: Callable[[Results], float]
    is_most: bool = True

    def judge(self, results: Results) -> Verdict:
        """Measure it."""
        value = self.measure(results)
        holds = value <= self.limit if self.is_most else value >= self.limit
        return Verdict(self, value, holds)


@attrs.frozen
class Verdict:
    """A target, what was measured, and whether it holds."""

    target: Target
    value: float
    holds: bool


def _rate_ratio(results: Results) -> float:
    return results.ratio(TUTUMWATCH, TUTORIAL, rate)


def _time_ratio(contender: Contender, baseline: Contender = ASYNCIO) -> Callable[[Results], float]:
    return lambda results: results.ratio(contender, baseline, lambda one: one.seconds)


def _most(measure: Measure) -> Callable[[Results], float]:
    """Take the worst round: what may never happen is no matter of medians."""
    return lambda results: max(measure(one) for one in results.rounds[TUTUMWATCH.name])


TARGETS = (
    Target(
        "flood",
        "events a second, against the tutorial's client",
        "x",
        FLOOD_MIN_RATIO,
        _rate_ratio,
        is_most=False,
    ),
    Target(
        "flood20k",
        "events a second, against the tutorial's client",
        "x",
        FLOOD_MIN_RATIO,
        _rate_ratio,
        is_most=False,
    ),
    Target(
        "rules",
        "time with 200 rules more that cannot match",
        "x",
        RULES_MAX_RATIO,
        _time_ratio(MANY_RULES, FEW_RULES),
    ),
    Target(
        "mixed",
        "time at batch 1, against the asyncio script",
        "x",
        MIXED_MAX_RATIO,
        _time_ratio(TUTUMWATCH),
    ),
    Target(
        "mixed",
        "time with batching, against the asyncio script",
        "x",
        BATCHING_MAX_RATIO,
        _time_ratio(BATCHING),
    ),
    Target(
        "trickle",
        "from event to POST, p99",
        "ms",
        TRICKLE_MAX_MS,
        lambda results: results.median(TUTUMWATCH, lambda one: delay_ms(one, 0.99)),
    ),
    Target("faults", "notices lost", "", 0, _most(lambda one: one.lost)),
    Target("faults", "time, against the asyncio script", "x", 1.0, _time_ratio(TUTUMWATCH)),
    Target("crash", "notices lost", "", 0, _most(lambda one: one.lost)),
    Target("dead", "memory, at most", "MiB", RSS_MAX_MIB, _most(lambda one: one.peak_mib)),
    Target(
        "dead",
        "memory that the second half of the events adds",
        "MiB",
        FLAT_MAX_MIB,
        _most(lambda one: one.grown_mib or 0.0),
    ),
    Target(
        "dead",
        "from the restart to the first POST",
        "s",
        FIRST_SEND_MAX_SECONDS,
        _most(lambda one: one.first_send_seconds or math.inf),
    ),
)


def judge(results: Mapping[str, Results]) -> list[Verdict]:
    """Judge the targets of the workloads that ran."""
    return [t.judge(results[t.workload]) for t in TARGETS if t.workload in results]
