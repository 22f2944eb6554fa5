"""Tests of how a resource stands under a rule: ignored, over, or what it was before."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.rules.talk import make_ignores, unexpected
from tests.rules.world import (
    RESOLVE,
    SERVICE,
    STACK,
    TRIGGER,
    World,
    forms,
    notices,
    service_rule,
)
from tutumwatch.rules.ignores import compile_ignores

DOWN = {"name": "web", "state": "Stopped"}
OPENED, CLOSED = [("plain", TRIGGER)], [("plain", RESOLVE)]


class IgnoredTests(SynchronousTestCase):
    """What is ignored opens nothing; an incident of what is ignored from now on is over."""

    def setUp(self) -> None:
        """Ignore cron jobs."""
        self.world = World.of(
            service_rule(for_seconds=0.0, clear_for_seconds=0.0),
            ignores=make_ignores({"name": "cron-*"}, {"stack.name": "test"}),
        )
        self.world.catch_up()

    def stop(self, **fields: object) -> list[tuple[str, str]]:
        """Let the service be stopped; it is looked up if that is to be told."""
        service = {**DOWN, **fields}
        said = notices(self.world.event(SERVICE, "Stopped", parents=[], object=service))
        return forms(said + notices(self.world.found(SERVICE, **service)))

    def test_a_name_that_is_ignored(self) -> None:
        self.assertEqual(self.stop(name="cron-1"), [])
        self.assertEqual(self.world.phases(), {})
        self.assertEqual(self.stop(name="web"), OPENED)

    def test_what_is_ignored_from_now_on_is_over(self) -> None:
        self.assertEqual(self.stop(), OPENED)
        self.assertEqual(self.stop(name="cron-1"), CLOSED)

    def test_what_may_be_ignored_is_looked_up(self) -> None:
        """For as long as that is not known, it is not."""
        self.world.event(SERVICE, "Stopped", parents=[STACK], object=DOWN)
        self.assertEqual(self.world.uris_asked(), [SERVICE, STACK])
        self.assertEqual(self.world.phases(), {"s1": "pending"})
        self.world.unanswered(STACK)
        self.assertEqual(forms(notices(self.world.found(SERVICE, **DOWN))), OPENED)

    def test_what_excuses_may_be_looked_up_as_well(self) -> None:
        self.world = World.of(
            service_rule(unless={"name": "planned"}), ignores=make_ignores({"stack.name": "test"})
        )
        self.world.catch_up()
        self.world.event(SERVICE, "Stopped", parents=[STACK])
        self.assertEqual(self.world.uris_asked(), [SERVICE, STACK])

    def test_a_condition_of_a_table_that_cannot_be_computed(self) -> None:
        """Nothing is ignored by it, and it is counted."""
        table = {"match": {"type": "service"}, "when": "10 / (target - 7) > 5"}
        self.world = World.of(
            service_rule(for_seconds=0.0), ignores=compile_ignores([table], unexpected)
        )
        self.world.catch_up()
        self.assertEqual(self.stop(target_num_containers=7), OPENED)
        self.assertGreater(self.world.decider.counts["rejected"], 0)
        self.assertEqual(self.world.event(SERVICE, "Running").owed, [])


class UntilTests(SynchronousTestCase):
    """Once open, it is over only when "until" matches; not when it goes on in another way."""

    def setUp(self) -> None:
        """Open an incident of a service that failed."""
        self.world = World.of(
            service_rule(
                for_seconds=0.0,
                clear_for_seconds=0.0,
                until={"state": "Running", "stack.name": "!test"},
            )
        )
        self.world.catch_up()
        self.world.event(SERVICE, "Stopped", parents=[], object=DOWN)
        self.assertEqual(forms(notices(self.world.found(SERVICE, **DOWN))), OPENED)

    def become(self, state: str) -> list[tuple[str, str]]:
        """Let the service have a state, which is looked up if that ends something."""
        said = notices(self.world.event(SERVICE, state))
        return forms(said + notices(self.world.found(SERVICE, name="web", state=state)))

    def test_another_state_is_no_end(self) -> None:
        for state in ("Starting", "Redeploying", "Not running", "Stopped"):
            self.assertEqual(self.become(state), [])
        self.assertEqual(self.world.phases(), {"s1": "open"})
        self.assertEqual(self.become("Running"), CLOSED)

    def test_what_is_unknown_is_no_end(self) -> None:
        decisions = self.world.event(SERVICE, "Running", parents=[STACK])
        self.assertEqual(self.world.phases(), {"s1": "open"})
        self.assertEqual({need.resource_uri for need in decisions.needs}, {STACK})
        self.world.found(STACK, name="test")
        self.assertEqual(self.world.phases(), {"s1": "open"})
        self.world.found(STACK, name="shop")
        self.assertEqual(self.world.phases(), {"s1": "clearing"})

    def test_it_says_nothing_of_what_is_not_open(self) -> None:
        self.assertEqual(self.become("Running"), CLOSED)
        self.assertEqual(self.become("Redeploying"), [])
        self.assertEqual(self.world.phases(), {})

    def test_what_is_pending_ends_as_ever(self) -> None:
        world = World.of(service_rule(until={"state": "Running"}, clear_for_seconds=0.0))
        world.catch_up()
        world.event(SERVICE, "Stopped", parents=[], object=DOWN)
        world.event(SERVICE, "Redeploying")
        self.assertEqual(world.phases(), {})


class FailingExcuseTests(SynchronousTestCase):
    """An excuse that cannot be told excuses nothing."""

    def test_a_parent_that_nobody_answers_for(self) -> None:
        world = World.of(service_rule(unless={"stack.name": "test"}, for_seconds=0.0))
        world.catch_up()
        world.event(SERVICE, "Stopped", parents=[STACK], object=DOWN)
        world.unanswered(STACK)
        (opened,) = notices(world.found(SERVICE, **DOWN))
        self.assertEqual(opened.marks, ("unverified",))
