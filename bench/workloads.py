"""What is measured: the events of each workload, how the servers answer, and who takes part."""

from __future__ import annotations

from enum import Enum

import attrs
import msgspec

from bench.contenders import (
    ASYNCIO,
    BATCHING,
    FEW_RULES,
    MANY_RULES,
    TUTORIAL,
    TUTUMWATCH,
    Contender,
)
from bench.wire import MILLION, Behaviour, Plan


class Way(Enum):
    """How a round goes."""

    PLAIN = "from the first event to the last notice"
    KILLED = "killed at half, and started again"
    DEAD = "nobody listens; then a restart"


@attrs.frozen
class Workload:
    """One workload; the first of its contenders is the one that the others are compared with.

    ``once``: contenders that take part in the first round alone, because they are too slow.
    ``quiet_seconds``: when nothing has arrived for so long, nothing more will. ``profiled``: who
    shows where the time goes.
    """

    name: str
    title: str
    plan: Plan
    contenders: tuple[Contender, ...]
    behaviour: Behaviour = attrs.field(factory=Behaviour)
    way: Way = Way.PLAIN
    once: tuple[Contender, ...] = ()
    quiet_seconds: float = 15.0
    small_divisor: int = 20
    profiled: Contender = TUTUMWATCH

    def small(self) -> Workload:
        """Give the same with few events, for a quick look."""
        return self.with_events(self.plan.count // self.small_divisor)

    def with_events(self, count: int) -> Workload:
        """Give the same with so many events, and no more resources."""
        resources = min(count, self.plan.resources)
        plan = msgspec.structs.replace(self.plan, count=count, resources=resources)
        return attrs.evolve(self, plan=plan)


_ALL = (TUTUMWATCH, TUTORIAL, ASYNCIO)
_RESOURCES = 20_000

WORKLOADS = (
    Workload(
        "flood",
        "flood, distinct",
        Plan(count=100_000, ends_with_notice=True),
        _ALL,
    ),
    Workload(
        "flood20k",
        "flood, 20,000 resources",
        Plan(count=100_000, resources=_RESOURCES, ends_with_notice=True),
        _ALL,
    ),
    Workload(
        "rules",
        "flood, 3 rules against 203",
        Plan(count=100_000, ends_with_notice=True),
        (FEW_RULES, MANY_RULES),
        profiled=MANY_RULES,
    ),
    Workload(
        "mixed",
        "mixed, 5 % looked up",
        Plan(count=20_000, look_up_every=20),
        (TUTUMWATCH, BATCHING, TUTORIAL, ASYNCIO),
        Behaviour(destination_seconds=0.02, rest_seconds=0.02),
        once=(TUTORIAL,),
    ),
    Workload(
        "trickle",
        "trickle, 50 a second",
        Plan(count=400, notice_every=1, rate=50.0),
        _ALL,
        Behaviour(destination_seconds=0.05),
        small_divisor=5,
    ),
    Workload(
        "faults",
        "faults, 10 % 500 and 5 % 429",
        Plan(count=2_000, notice_every=1),
        _ALL,
        Behaviour(destination_seconds=0.02, failed=0.1, limited=0.05),
        once=(TUTORIAL,),
        quiet_seconds=20.0,
    ),
    Workload(
        "crash",
        "crash, kill -9 at half",
        Plan(count=400, notice_every=1),
        _ALL,
        Behaviour(destination_seconds=0.02),
        way=Way.KILLED,
        quiet_seconds=5.0,
        small_divisor=4,
    ),
    Workload(
        "dead",
        "dead destination",
        Plan(count=MILLION, resources=_RESOURCES, notice_every=10),
        (TUTUMWATCH,),
        Behaviour(is_up=False),
        way=Way.DEAD,
        small_divisor=100,
    ),
)
