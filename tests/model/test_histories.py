"""Any history of faults keeps the promises of docs/delivery.md.

Two ways to make histories. Hypothesis drives a state machine, and shrinks a history that breaks a
promise to the few steps that matter. A seeded random drive makes long ones, until each kind of
fault came at least 200 times; run with ``-s`` to see the table.

``TUTUMWATCH_MODEL=long`` makes some hundred times as many histories, other ones each time, and
prints their seeds; ``TUTUMWATCH_MODEL_SEED=17`` makes the random drive begin with that seed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from tests.model.destinations import Manner
from tests.model.episodes import CRASH_POINTS, NAMES, NETWORK, STATES, URIS, RandomHistory
from tests.model.file import CrashPoint, DiskFault
from tests.model.happened import FAULTS, OUTCOMES, rarer_than, table
from tests.model.history import History, Restart
from tests.model.platform import Rest

IS_LONG = os.environ.get("TUTUMWATCH_MODEL", "") == "long"
LEAST_COUNT = 200
# Random histories go on until every fault is that frequent, but not for ever.
HISTORIES_MAX_COUNT = 20_000 if IS_LONG else 300

RESTARTS = st.builds(
    Restart,
    down_seconds=st.sampled_from([0.5, 12.0, 200.0, 1_500.0]),
    clock_back=st.booleans(),
    thread_seconds=st.sampled_from([None, 0.0, 0.02]),
)


class AnyHistory(RuleBasedStateMachine):
    """Whatever happens, in whatever order; in the end all is well again, and is to be found so."""

    def __init__(self) -> None:
        """Begin with an empty store, a platform without anything, and a watcher that starts."""
        super().__init__()
        self.history = History(Random(0))
        self._is_sound = True

    def _do(self, step: Callable[[], None]) -> None:
        self._is_sound = False
        self.history.be_alive()
        step()
        self.history.check()
        self._is_sound = True

    @rule(uri=st.sampled_from(URIS), state=st.sampled_from(STATES), with_uuid=st.booleans())
    def happen(self, uri: str, state: str | None, *, with_uuid: bool) -> None:
        """Let something happen to a resource."""
        self._do(lambda: self.history.happen(uri, state, with_uuid=with_uuid))

    @rule(state=st.sampled_from(STATES), count=st.integers(2, len(URIS)))
    def happen_to_many(self, state: str | None, count: int) -> None:
        """Let something happen to many resources at once."""
        self._do(lambda: self.history.happen_to_many(state, count))

    @rule(which=st.integers(0, 19))
    def repeat(self, which: int) -> None:
        """Let the server repeat itself."""
        self._do(lambda: self.history.repeat(which))

    @rule()
    def rubbish(self) -> None:
        """Let the server send what is no event."""
        self._do(self.history.send_rubbish)

    @rule(state=st.sampled_from(NETWORK))
    def network(self, state: str) -> None:
        """Let the stream come, go, or be refused."""
        self._do(lambda: self.history.network(state))

    @rule(name=st.sampled_from(NAMES), manner=st.sampled_from(Manner))
    def behave(self, name: str, manner: Manner) -> None:
        """Let a destination behave so from now on."""
        self._do(lambda: self.history.behave(name, manner))

    @rule(name=st.sampled_from(NAMES), manners=st.lists(st.sampled_from(Manner), max_size=4))
    def behave_next(self, name: str, manners: list[Manner]) -> None:
        """Let a destination meet the next requests so."""
        self._do(lambda: self.history.behave_next(name, manners))

    @rule(rest=st.sampled_from(Rest))
    def rest(self, rest: Rest) -> None:
        """Let the REST API answer so from now on."""
        self._do(lambda: self.history.answer_look_ups(rest))

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.05, 0.3, 1.0, 2.5, 4.0, 11.0, 16.0, 25.0]))
    def wait(self, seconds: float) -> None:
        """Let a moment pass."""
        self._do(lambda: self.history.wait(seconds))

    @rule(seconds=st.sampled_from([90.0, 400.0, 1_000.0, 2_000.0]))
    def wait_long(self, seconds: float) -> None:
        """Let enough time pass for probes, stale messages, giving up."""
        self._do(lambda: self.history.wait(seconds))

    @rule(fault=st.sampled_from(DiskFault))
    def disk(self, fault: DiskFault) -> None:
        """Let the disk fail, or work again."""
        self._do(lambda: self.history.disk(fault))

    @rule(restart=RESTARTS)
    def crash(self, restart: Restart) -> None:
        """Kill the watcher."""
        self._do(lambda: self.history.crash(restart))

    @rule(point=st.sampled_from(CRASH_POINTS), restart=RESTARTS)
    def crash_at(self, point: CrashPoint | str, restart: Restart) -> None:
        """Kill the watcher as soon as it comes to a point."""
        self._do(lambda: self.history.crash_at(point, restart))

    @rule(restart=RESTARTS)
    def stop(self, restart: Restart) -> None:
        """Stop the watcher."""
        self._do(lambda: self.history.stop(restart))

    @rule(name=st.sampled_from(NAMES))
    def rotate(self, name: str) -> None:
        """Let a destination accept another key only."""
        self._do(lambda: self.history.rotate(name))

    @rule()
    def renew(self) -> None:
        """Give the watcher all keys that are accepted, and a SIGHUP."""
        self._do(self.history.renew)

    @rule(with_reload=st.booleans())
    def change_rules(self, *, with_reload: bool) -> None:
        """Give the watcher other rules, now or with its next start."""
        self._do(lambda: self.history.change_rules(with_reload=with_reload))

    @rule(seconds=st.sampled_from([8.0, 20.0, 45.0]))
    def silence(self, seconds: float) -> None:
        """Let a person silence something."""
        self._do(lambda: self.history.silence(seconds))

    @rule()
    def retry_dead(self) -> None:
        """Let a person retry all dead letters."""
        self._do(self.history.retry_dead)

    @rule(which=st.integers(0, 9))
    def drop(self, which: int) -> None:
        """Let a person drop a notice."""
        self._do(lambda: self.history.drop(which))

    def teardown(self) -> None:
        """Let all be well again, unless it is known already that it cannot be."""
        try:
            if self._is_sound:
                self.history.heal()
        finally:
            self.history.close()


class HistoryTests(SynchronousTestCase):
    """Lost nothing, out of order nothing, no effect of what was not committed."""

    def test_any_history(self) -> None:
        """As hypothesis makes them, and shrinks them."""
        run_state_machine_as_test(
            AnyHistory,
            settings=settings(
                max_examples=5_000 if IS_LONG else 60,
                stateful_step_count=80 if IS_LONG else 40,
                derandomize=not IS_LONG,
                database=None,
                deadline=None,
                print_blob=True,
                suppress_health_check=list(HealthCheck),
                phases=(Phase.generate, Phase.shrink),
            ),
        )

    def test_each_fault_200_times(self) -> None:
        """As a seeded random drive makes them, until each fault came that often."""
        seed = int(
            os.environ.get("TUTUMWATCH_MODEL_SEED") or (Random().getrandbits(32) if IS_LONG else 1)
        )
        count = 0
        while count < HISTORIES_MAX_COUNT and (IS_LONG or rarer_than(LEAST_COUNT, FAULTS)):
            try:
                RandomHistory(seed + count).run()
            except BaseException:
                print(f"broken by the seed {seed + count}")
                raise
            count += 1
        print(f"{count} random histories, seeds {seed} to {seed + count - 1}")
        print(table(FAULTS), table(OUTCOMES), sep="\n")
        self.assertEqual(rarer_than(LEAST_COUNT, FAULTS), [])
        self.assertEqual(rarer_than(1, OUTCOMES), [])
