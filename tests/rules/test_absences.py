"""Tests of ``absent``: an incident is open while nothing matches."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.rules.world import (
    RESOLVE,
    SERVICE,
    STACK,
    TRIGGER,
    World,
    forms,
    incident_rule,
    incident_settings,
    notices,
    rule_set,
)
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.notice import Notice

OTHER = "/api/v1/stack/k2/"


def gone(**more: Any) -> IncidentRule:  # noqa: ANN401 - any key of the table
    """Make a rule that wants a stack to be there."""
    keys: dict[str, Any] = {
        "name": "shop is gone",
        "absent": {"type": "stack", "name": "shop"},
        "for_seconds": 60.0,
        "clear_for_seconds": 5.0,
        **more,
    }
    return incident_rule(incident_settings(**keys))


class AbsentTests(SynchronousTestCase):
    """Nothing that is known matches, once all is known."""

    def world(self, *rules: IncidentRule, **more: Any) -> World:  # noqa: ANN401 - as World.of
        """Make a world in which the stack is there."""
        world = World.of(*(rules or (gone(),)), **more)
        world.stream("Connected")
        world.listed({STACK: {"name": "shop", "state": "Running"}})
        return world

    def delete(self, world: World, uri: str = STACK) -> list[Notice]:
        """Let a stack be deleted."""
        return notices(world.event(uri, "Terminated", action="delete", parents=[]))

    def test_what_is_there_is_not_absent(self) -> None:
        world = self.world()
        self.assertEqual(world.wait(1000.0), [])

    def test_a_deleted_one_is(self) -> None:
        world = self.world()
        self.assertEqual(self.delete(world), [])
        (said,) = world.wait(60.0)
        self.assertEqual((said.at, said.key), (1060.0, "shop is gone"))
        self.assertEqual(forms([said]), [("plain", TRIGGER)])

    def test_one_that_comes_again_in_time(self) -> None:
        world = self.world()
        self.delete(world)
        world.wait(50.0)
        world.event(STACK, "Running", object={"name": "shop"})
        self.assertEqual(world.wait(1000.0), [])

    def test_one_that_comes_again_later(self) -> None:
        world = self.world()
        self.delete(world)
        world.wait(100.0)
        world.event(STACK, "Running", object={"name": "shop"})
        self.assertEqual(forms(world.wait(5.0)), [("plain", RESOLVE)])

    def test_another_one_does(self) -> None:
        world = self.world()
        world.event(OTHER, "Running", object={"name": "shop"})
        self.delete(world)
        self.assertEqual(world.wait(1000.0), [])
        self.delete(world, OTHER)
        self.assertEqual(len(world.wait(60.0)), 1)

    def test_one_that_matches_no_more_does_not(self) -> None:
        world = self.world()
        world.event(STACK, "Running", object={"name": "old"})
        self.assertEqual(len(world.wait(60.0)), 1)

    def test_nothing_is_missing_before_all_is_known(self) -> None:
        world = World.of(gone())
        world.wait(50.0)
        world.stream("Connected")
        world.wait(50.0)
        self.assertEqual(world.decider.incidents.members(), [])
        world.listed({})
        self.assertEqual([n.at for n in world.wait(60.0)], [1160.0])

    def test_nothing_is_missing_before_all_is_known_of_all_streams(self) -> None:
        world = World.of(gone(), streams=("main", "b"))
        world.catch_up("main")
        self.assertEqual(world.decider.incidents.members(), [])
        world.catch_up("b")
        self.assertEqual(len(world.decider.incidents.members()), 1)

    def test_what_is_unknown_changes_nothing(self) -> None:
        world = self.world(gone(absent={"type": "service", "stack.name": "shop"}))
        world.event(SERVICE, "Running", parents=["/api/v1/stack/unknown/"])
        self.assertEqual(len(world.wait(100.0)), 1)
        world.event(SERVICE, "Running", parents=[STACK])
        self.assertEqual(len(world.wait(100.0)), 1)
        world.event(SERVICE, "Running", parents=["/api/v1/stack/unknown/"])
        self.assertEqual(world.wait(100.0), [])

    def test_a_parent_may_decide(self) -> None:
        world = self.world(gone(absent={"type": "service", "stack.name": "shop"}))
        world.event(SERVICE, "Running", parents=[STACK])
        self.assertEqual(world.wait(100.0), [])
        world.event(STACK, "Running", object={"name": "old"})
        self.assertEqual(len(world.wait(60.0)), 1)

    def test_what_cannot_be_computed_changes_nothing(self) -> None:
        world = self.world(gone(absent={"type": "stack"}, when="1 / (name | length - 3) > 0"))
        world.event(STACK, "Running", object={"name": "abc"})
        self.assertEqual(world.decider.incidents.members(), [])
        self.assertEqual(world.wait(1000.0), [])

    def test_it_is_known_again_after_a_restart(self) -> None:
        world = self.world()
        world.restart(gone())
        world.catch_up()
        self.assertEqual(world.wait(1000.0), [])
        self.delete(world)
        world.wait(30.0)
        world.restart(gone())
        world.catch_up()
        (said,) = world.wait(100.0)
        self.assertEqual(said.at, 2060.0)
        self.assertEqual(notices(world.restart(gone())), [])
        world.stream("Connected")
        world.listed({STACK: {"name": "shop", "state": "Running"}})
        self.assertEqual(forms(world.wait(10.0)), [("plain", RESOLVE)])

    def test_a_reload_looks_at_all_that_is_known(self) -> None:
        world = self.world()
        world.reload(rule_set(gone(absent={"type": "stack", "name": "pay"})))
        self.assertEqual(len(world.wait(60.0)), 1)
        world.reload(rule_set(gone()))
        self.assertEqual(world.open_keys(), [])
