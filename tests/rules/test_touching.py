"""Tests of changes of what did not change itself."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.inventory.resource import Resource
from tutumwatch.rules.touching import touched


class TouchedTests(SynchronousTestCase):
    """Each has an id of its own, which says what it came from."""

    def test_the_same_name_on_two_streams(self) -> None:
        ids = [
            touched(Resource((stream, "service", "s1"), ""), "c1", 1.0).id
            for stream in ("main", "lab")
        ]
        self.assertEqual(ids, ["c1/main/service/s1", "c1/lab/service/s1"])
