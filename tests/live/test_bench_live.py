"""The bench itself, with few events: every workload runs, and its ledger adds up."""

from __future__ import annotations

import tempfile
from pathlib import Path

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from bench.ceiling import measure
from bench.contenders import (
    ASYNCIO,
    BATCHING,
    FEW_RULES,
    MANY_RULES,
    TUTORIAL,
    TUTUMWATCH,
    Contender,
)
from bench.processes import ServersProcess
from bench.rounds import Round, Runner
from bench.workloads import WORKLOADS, Workload

COUNTS = {
    "flood": 400, "flood20k": 400, "rules": 400, "mixed": 200, "trickle": 20, "faults": 60, "crash": 60,
    "dead": 2_000,
}  # fmt: skip
# Whoever loses something is waited for in vain.
QUIET_SECONDS, LOST_QUIET_SECONDS = 10.0, 1.0


def workload(name: str) -> Workload:
    """Give a workload with few events."""
    (found,) = (one for one in WORKLOADS if one.name == name)
    return found.with_events(COUNTS[name])


class BenchTests(TestCase):
    """Each round is three processes: the servers, the contender, and this one."""

    timeout = 120.0

    async def run_round(
        self, name: str, contender: Contender, profile: Path | None = None
    ) -> Round:
        """Run a round, in a thread: it waits as a program does."""
        quiet_seconds = LOST_QUIET_SECONDS if contender is TUTORIAL else QUIET_SECONDS
        of_this = attrs.evolve(workload(name), quiet_seconds=quiet_seconds)

        def run() -> Round:
            with ServersProcess() as servers, tempfile.TemporaryDirectory() as folder:
                runner = Runner(servers, lambda _line: None, profile)
                return runner.run(of_this, contender, Path(folder))

        running: Deferred[Round] = deferToThread(run)
        return await running

    async def test_a_flood_is_read_to_its_end(self) -> None:
        for contender in (TUTUMWATCH, TUTORIAL, ASYNCIO):
            one = await self.run_round("flood", contender)
            self.assertEqual((one.lost, one.requests, one.events), (0, 1, 401))
            self.assertGreater(one.seconds, 0.0)
            self.assertGreater(one.peak_mib, 5.0)

    async def test_a_flood_of_few_resources(self) -> None:
        one = await self.run_round("flood20k", TUTUMWATCH)
        self.assertEqual((one.lost, one.requests), (0, 1))

    async def test_many_rules_say_no_more_than_few(self) -> None:
        for contender in (FEW_RULES, MANY_RULES):
            one = await self.run_round("rules", contender)
            self.assertEqual((one.lost, one.requests, one.look_ups, one.events), (0, 1, 0, 401))

    async def test_mixed_looks_up_every_stack(self) -> None:
        for contender in (TUTUMWATCH, BATCHING, TUTORIAL, ASYNCIO):
            one = await self.run_round("mixed", contender)
            self.assertEqual((one.lost, one.repeated, one.look_ups), (0, 0, 10))

    async def test_a_trickle_has_a_delay_for_each_event(self) -> None:
        one = await self.run_round("trickle", TUTUMWATCH)
        self.assertEqual(len(one.delays), 20)
        self.assertTrue(all(delay > 0 for delay in one.delays))

    async def test_faults_are_got_over_by_those_who_try_again(self) -> None:
        ours = await self.run_round("faults", TUTUMWATCH)
        theirs = await self.run_round("faults", ASYNCIO)
        tutorial = await self.run_round("faults", TUTORIAL)
        self.assertEqual((ours.lost, theirs.lost), (0, 0))
        self.assertEqual(ours.requests, theirs.requests)
        self.assertGreater(ours.requests, 60)
        self.assertGreater(tutorial.lost, 0)

    async def test_a_kill_costs_others_what_was_left(self) -> None:
        ours = await self.run_round("crash", TUTUMWATCH)
        tutorial = await self.run_round("crash", TUTORIAL)
        self.assertEqual(ours.lost, 0)
        self.assertLessEqual(ours.repeated, 32)
        self.assertGreaterEqual(tutorial.lost, 25)

    async def test_a_dead_destination_and_a_restart(self) -> None:
        one = await self.run_round("dead", TUTUMWATCH)
        self.assertEqual((one.events, one.notices), (2_000, 200))
        assert one.first_send_seconds is not None
        self.assertGreater(one.first_send_seconds, 0.1)

    async def test_a_profile_has_both_threads(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "profile.txt"
            await self.run_round("flood", TUTUMWATCH, path)
            text = path.read_text()
        self.assertIn("decider.py", text)
        self.assertIn("writer.py", text)

    async def test_the_servers_are_not_what_is_measured(self) -> None:
        def run() -> tuple[float, float]:
            with ServersProcess() as servers:
                found = measure(servers, 20_000)
                return found.events, found.requests

        events, requests = await deferToThread(run)
        self.assertGreater(events, 50_000)
        self.assertGreater(requests, 1_000)
