"""A short torture; ``make torture`` is the long one, and CI runs one of every boundary."""

from __future__ import annotations

import random

from twisted.trial.unittest import TestCase

from tests.torture.running import torture

KILLS_COUNT = 6
MAX_SECONDS = 120


class TortureTests(TestCase):
    """Some kills, on another seed each time."""

    timeout = MAX_SECONDS

    async def test_nothing_is_lost_and_nothing_is_repeated_without_need(self) -> None:
        seed = random.SystemRandom().randrange(10**6)
        print(f"seed {seed}")
        report = await torture(KILLS_COUNT, seed, print)
        self.assertEqual(report.violations, [], "\n".join([report.table(), *report.violations]))
        self.assertEqual(report.kill_count, KILLS_COUNT)
        self.assertGreater(report.committed_count, 0)
