"""A whole torture: as many kills as are asked for, in worlds of a few, two at a time."""

from __future__ import annotations

import random
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
from twisted.internet.defer import Deferred, gatherResults

from tests.torture.boundaries import BOUNDARIES, Boundary
from tests.torture.world import CONCURRENCIES, World

KILLS_IN_A_WORLD_COUNT = 17
WORLDS_AT_ONCE_COUNT = 2


@attrs.define
class Row:
    """What became of the kills at one boundary."""

    kills: int = 0
    lost: int = 0
    repeats: list[int] = attrs.field(factory=lambda: [0] * len(CONCURRENCIES))
    most: list[int] = attrs.field(factory=lambda: [0] * len(CONCURRENCIES))


@attrs.define
class Report:
    """The table of a torture, and all that did not add up, with how to see it again."""

    seed: int
    kills: int
    rows: dict[str, Row] = attrs.field(factory=lambda: defaultdict(Row))
    violations: list[str] = attrs.field(factory=list)
    committed_count: int = 0

    async def take_in(self, number: int, world: World) -> None:
        """Let a world settle, and add what became of its kills."""
        names = {kill.life: kill.boundary.name for kill in world.kills}
        for kill in world.kills:
            self.rows[kill.boundary.name].kills += not kill.problem
            if kill.problem:
                self._violate(number, f"{kill.boundary.name}: {kill.problem}")
        for violation in await world.settle():
            name = names.get(violation.life, "after the last kill")
            self.rows[name].lost += violation.is_loss
            self._violate(number, f"killed {name}: {violation.what}")
        for place, repeats in enumerate(world.repeats()):
            for life, count in repeats.counts().items():
                row = self.rows[names.get(life, "no kill")]
                row.repeats[place] += count
                row.most[place] = max(row.most[place], count)
        self.committed_count += len(world.books.committed)

    def _violate(self, number: int, what: str) -> None:
        again = f"python -m tests.torture --kills {self.kills} --seed {self.seed} --world {number}"
        self.violations.append(f"{what}\n    again: {again}")

    @property
    def kill_count(self) -> int:
        """How many watchers were killed where they were to be."""
        return sum(row.kills for row in self.rows.values())

    def table(self) -> str:
        """Write the table; repeats are those of ops / hook / PagerDuty / that for many."""
        lines = [f"{'boundary':<58}{'kills':>6}{'lost':>6}{'repeats':>12}{'most a kill':>13}"]
        order = [boundary.name for boundary in BOUNDARIES]
        for name in sorted(self.rows, key=lambda n: order.index(n) if n in order else len(order)):
            row = self.rows[name]
            repeats, most = ("/".join(map(str, counts)) for counts in (row.repeats, row.most))
            lines.append(f"{name:<58}{row.kills:>6}{row.lost:>6}{repeats:>12}{most:>13}")
        lost = sum(row.lost for row in self.rows.values())
        places, rows = range(len(CONCURRENCIES)), self.rows.values()
        repeats = "/".join(str(sum(row.repeats[i] for row in rows)) for i in places)
        most = "/".join(str(max(row.most[i] for row in rows)) for i in places)
        lines.append(f"{'all':<58}{self.kill_count:>6}{lost:>6}{repeats:>12}{most:>13}")
        lines.append(f"{self.committed_count} events were committed; seed {self.seed}")
        return "\n".join(lines)


def plan(kills: int, seed: int) -> list[list[Boundary]]:
    """Share kills out to worlds: every boundary once, in some order, then all again."""
    dice = random.Random(seed)
    deck: list[Boundary] = []
    while len(deck) < kills:
        deck += dice.sample(BOUNDARIES, len(BOUNDARIES))
    size = KILLS_IN_A_WORLD_COUNT
    return [deck[start : min(start + size, kills)] for start in range(0, kills, size)]


async def torture(
    kills: int, seed: int, say: Callable[[str], None], only: int | None = None
) -> Report:
    """Kill that many watchers.

    :param only: the number of the one world that is wanted.
    """
    report = Report(seed, kills)
    worlds = [(n, w) for n, w in enumerate(plan(kills, seed)) if only in {None, n}]

    said = [0]

    async def work() -> None:
        while worlds:
            number, boundaries = worlds.pop(0)
            await _run_world(number, boundaries, report)
            say(f"world {number} is done: {report.kill_count} kills in all")
            for violation in report.violations[said[0] :]:
                say(violation)
            said[0] = len(report.violations)

    await gatherResults([Deferred.fromCoroutine(work()) for _ in range(WORLDS_AT_ONCE_COUNT)])
    return report


async def _run_world(number: int, boundaries: Sequence[Boundary], report: Report) -> None:
    with tempfile.TemporaryDirectory() as folder:
        dice = random.Random(f"{report.seed}/{number}")
        world = await World.begin(Path(folder), dice)
        try:
            for boundary in boundaries:
                await world.kill_at(boundary)
            await report.take_in(number, world)
        finally:
            await world.end()
