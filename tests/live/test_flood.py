"""The watcher under a flood: memory is bounded, whatever happens.

``python -m tests.live.flood 500000`` is the whole of it, and prints the rate; this is as much as a
test run can spend.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.live.flood import flood

COUNT = 100_000
RSS_MAX_MIB = 100_000_000 / 1024 / 1024


class FloodTests(TestCase):
    """A hundred thousand events of 20,000 resources, through a real process."""

    timeout = 240

    async def test_memory_stays_below_100_megabytes(self) -> None:
        """All are taken in, and the one that matters, behind them, is told."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        measured = await flood(COUNT, Path(folder.name))
        print(measured)
        self.assertLess(measured.peak_mib, RSS_MAX_MIB, measured)
