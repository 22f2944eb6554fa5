"""Tortures at length: ``python -m tests.torture --kills 300 --seed 7``."""

from __future__ import annotations

import argparse
import random
import sys
import time

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from tests.torture.running import torture


def main() -> None:
    """Kill, and print the table; end with 1 if anything does not add up."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=300, help="how many")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="which ones")
    parser.add_argument("--world", type=int, default=None, help="only those of this world")
    given = parser.parse_args()

    async def run() -> None:
        begun = time.monotonic()
        print(f"seed {given.seed}", flush=True)
        report = await torture(
            given.kills, given.seed, lambda line: print(line, flush=True), given.world
        )
        print(report.table())
        print(f"{time.monotonic() - begun:.0f} s")
        if report.violations:
            print("\n".join(report.violations))
            sys.exit(1)

    react(lambda _: Deferred.fromCoroutine(run()))


if __name__ == "__main__":
    main()
