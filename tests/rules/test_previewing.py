"""Tests of what other rules would come to, without any effect."""

from __future__ import annotations

import time
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.rules.test_adopting import down, opened, pass_time, world_of
from tests.rules.test_counting import loop
from tests.rules.world import SERVICE, World, incident_rule, incident_settings, rule_set
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Resource
from tutumwatch.rules.members import Member, OpenIncident, Phase, encode, record_of
from tutumwatch.rules.previewing import Outlook
from tutumwatch.rules.rule_set import RuleSet
from tutumwatch.rules.touching import touched
from tutumwatch.settings import Duration

# It takes an eighth of a second on a busy machine, where a deep copy takes more than a second.
PREVIEW_MAX_SECONDS = 0.5


def preview(world: World, *rules: Any, **more: Any) -> Outlook:  # noqa: ANN401 - as rule_set
    """Say what rules would come to."""
    return world.decider.preview(rule_set(*rules, **more), world.now)


class OutlookTests(SynchronousTestCase):
    """How many incidents would resolve, and how many would open."""

    def test_the_same_rules(self) -> None:
        for world in (opened(), world_of()):
            self.assertEqual(preview(world, down()), Outlook(0, 0))

    def test_a_rule_that_is_removed(self) -> None:
        self.assertEqual(preview(opened()), Outlook(1, 0))
        self.assertEqual(preview(world_of()), Outlook(0, 0))

    def test_a_rule_that_is_new(self) -> None:
        self.assertEqual(preview(opened(), down(), down(name="new")), Outlook(0, 1))
        new = down(name="new", for_seconds=0.0)
        self.assertEqual(preview(opened(), down(), new), Outlook(0, 1))

    def test_a_rule_that_is_changed(self) -> None:
        other = down(while_={"type": "service", "state": "Running"})
        self.assertEqual(preview(opened(), other), Outlook(1, 0))
        world = world_of(other)
        self.assertEqual(preview(world, down()), Outlook(0, 1))

    def test_another_key(self) -> None:
        self.assertEqual(preview(opened(), down(key="web")), Outlook(1, 1))
        self.assertEqual(preview(world_of(), down(key="web")), Outlook(0, 1))

    def test_another_name(self) -> None:
        for world in (opened(), world_of()):
            self.assertEqual(preview(world, down(name="ill", was="down")), Outlook(0, 0))

    def test_several_of_one_incident_count_once(self) -> None:
        world = opened(down(key="shop"))
        world.event("/api/v1/service/s2/", "Stopped", parents=[])
        pass_time(world, 60.0)
        self.assertEqual(preview(world), Outlook(1, 0))


class NoEffectTests(SynchronousTestCase):
    """A preview changes nothing."""

    def busy(self) -> World:
        """Make a world in which every part of the incidents knows something."""
        rules = [
            down(repeat=Duration(60.0)),
            down(name="many", for_seconds=0.0, key="many/{{ name }}"),
            loop(times=2),
            incident_rule(
                incident_settings(
                    name="absent", absent={"type": "stack", "name": "x"}, for_seconds=0.0
                )
            ),
        ]
        world = World.of(*rules)
        world.catch_up()
        for number in range(12):
            world.event(f"/api/v1/service/x{number}/", "Stopped", parents=[])
        pass_time(world, 60.0)
        world.event(SERVICE, "Not running", parents=[])
        world.event("/api/v1/container/c1/", "Stopped", parents=[SERVICE], object={"exit_code": 1})
        world.event("/api/v1/container/c2/", "Stopped", parents=[SERVICE])
        world.tick()
        return world

    def state(self, world: World) -> object:
        """Give all that the incidents know, in a form that can be compared."""
        parts: dict[str, object] = {}

        def take(name: str, part: object) -> None:
            kind = type(part)
            if isinstance(part, dict | list | set):
                parts[name] = repr(part)
            elif kind.__module__.startswith("tutumwatch.") and hasattr(kind, "__attrs_attrs__"):
                for field in kind.__attrs_attrs__:
                    if (
                        field.name not in {"rules", "_inventory", "_silences"}
                        and name.count(".") < 5
                    ):
                        take(f"{name}.{field.name}", getattr(part, field.name))

        take("incidents", world.decider.incidents)
        return parts

    def test_of_any_rules(self) -> None:
        world = self.busy()
        state, due = self.state(world), world.decider.next_due()
        counts, records = dict(world.decider.counts), world.tick().records
        self.assertEqual(records, {})
        others: list[RuleSet] = [
            rule_set(),
            rule_set(down(key="{{ name }}")),
            rule_set(down(name="ill", was="down"), loop(name="crash", was="loop", times=5)),
            rule_set(down(notify="pd", repeat=Duration(5.0)), loop(within=Duration(1.0))),
            rule_set(down(while_={"type": "service"}, when="1 / (name | length - 7) < 1")),
        ]
        for other in others:
            world.decider.preview(other, world.now)
            self.assertEqual(self.state(world), state)
            self.assertEqual(world.decider.next_due(), due)
            self.assertEqual(dict(world.decider.counts), counts)
            self.assertEqual(world.tick().records, {})

    def test_it_is_what_the_reload_comes_to(self) -> None:
        world = self.busy()
        opened_before = {one.key for one in world.decider.incidents.open_incidents()}
        outlook = preview(world, down(key="{{ name }}"))
        world.reload(rule_set(down(key="{{ name }}")))
        left = {one.key for one in world.decider.incidents.open_incidents()}
        self.assertEqual(len(opened_before - left), outlook.resolving)
        self.assertGreater(outlook.resolving, 10)


class SpeedTests(SynchronousTestCase):
    """A preview holds up every event."""

    def test_ten_thousand_members(self) -> None:
        rule, inventory, records = down(), Inventory(), {}
        resources = [
            Resource(
                ("main", "service", f"s{number}"),
                f"/api/v1/service/s{number}/",
                f"web-{number}",
                "Stopped",
                (),
                parents_complete=True,
            )
            for number in range(10_000)
        ]
        inventory.restore(resources)
        for resource in resources:
            name = (rule.name, resource.key)
            incident = (rule.name, "/".join((rule.name, *resource.key)))
            member = Member(name, incident, Phase.OPEN, 0.0, touched(resource, "x", 0.0))
            records[record_of("member", *name)] = encode(member)
            one = OpenIncident(incident, 0.0, ("plain",), incident[1])
            records[record_of("incident", *incident)] = encode(one)
        records[record_of("rule", rule.name)] = rule.digest.encode()
        world = World.of(inventory=inventory)
        world.decider.rules = rule_set(rule)
        self.assertEqual(world.decider.restore(records, (), 0, world.now), 0)
        world.start()
        self.assertEqual(len(world.open_keys()), 10_000)
        seconds = []
        for _ in range(3):
            begun = time.process_time()
            self.assertEqual(preview(world, rule), Outlook(0, 0))
            seconds.append(time.process_time() - begun)
        self.assertLess(min(seconds), PREVIEW_MAX_SECONDS)
