"""Tests of rules that count: what is counted, for which resource, and what waits to be counted."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.rules.talk import make_ignores
from tests.rules.world import (
    CONTAINER,
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
from tutumwatch.rules import counting
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.notice import Notice
from tutumwatch.settings import Duration

OK = {"name": "web", "running_num_containers": 1, "target_num_containers": 1}
ILL = {**OK, "running_num_containers": 0}


def loop(**more: Any) -> IncidentRule:  # noqa: ANN401 - any key of the table
    """Make a rule that counts three deaths of a service's containers within ten minutes."""
    keys: dict[str, Any] = {
        "name": "loop",
        "each": {"type": "container", "ended": ["failed", "oom"]},
        "times": 3,
        "within": Duration(600.0),
        "per": "service",
        "for_seconds": 0.0,
        "clear_for_seconds": 60.0,
        "text": "loop: {{ name }}",
        "resolve_text": "loop is over: {{ name }}",
        **more,
    }
    return incident_rule(incident_settings(**keys))


def world_of(*rules: IncidentRule, **more: Any) -> World:  # noqa: ANN401 - as World.of
    """Make a world that is caught up, in which a service is ill."""
    world = World.of(*(rules or (loop(),)), **more)
    world.catch_up()
    world.found(SERVICE, state="Not running", **ILL)
    return world


def verify(world: World, **service: object) -> list[Notice]:
    """Let the platform say how the service is, if it is asked."""
    if SERVICE in world.uris_asked():
        return notices(world.found(SERVICE, **(service or {"state": "Not running", **ILL})))
    return []


def die(world: World, uri: str = CONTAINER, code: int = 1, **more: object) -> list[Notice]:
    """Let a container run and die; what has to be verified is so."""
    parents: list[str] = [SERVICE]
    said = notices(world.event(uri, "Running", parents=parents, object={"name": "c"}))
    event: dict[str, object] = {"parents": parents, "object": {"name": "c", "exit_code": code}}
    world.uris_asked()
    said += notices(world.event(uri, "Stopped", **{**event, **more}))
    return said + verify(world)


class CountTests(SynchronousTestCase):
    """Open from the third within ten minutes on."""

    def test_the_third_opens_it_for_the_service(self) -> None:
        world = world_of()
        self.assertEqual(die(world) + die(world), [])
        (said,) = die(world)
        self.assertEqual((said.key, said.text), ("loop/main/service/web", "loop: c"))
        self.assertEqual(die(world), [])
        self.assertEqual(world.open_keys(), ["loop/main/service/web"])

    def test_all_containers_of_it_count(self) -> None:
        world = world_of()
        said = [die(world, f"/api/v1/container/c{number}/") for number in range(3)]
        self.assertEqual([len(one) for one in said], [0, 0, 1])

    def test_three_that_are_too_far_apart_do_not(self) -> None:
        world = world_of()
        for _ in range(5):
            self.assertEqual(die(world), [])
            self.assertEqual(world.wait(301.0), [])

    def test_what_ends_well_does_not_count(self) -> None:
        world = world_of()
        for _ in range(5):
            self.assertEqual(die(world, code=0), [])

    def test_the_same_death_told_twice_counts_once(self) -> None:
        world = world_of()
        for _ in range(5):
            die(world)
            world.event(CONTAINER, "Stopped", parents=[SERVICE])
            world.wait(301.0)
        self.assertEqual(world.open_keys(), [])

    def test_what_a_listing_finds_gone_does_not_count(self) -> None:
        """Nobody saw how it ended."""
        world = world_of(loop(times=1, each={"type": "container", "kind": "gone"}))
        world.event(CONTAINER, "Running", parents=[SERVICE])
        world.listed({CONTAINER: None})
        self.assertEqual(world.decider.incidents.members(), [])
        world.event("/api/v1/container/c2/", "Terminated", parents=[SERVICE], action="delete")
        self.assertEqual(len(world.decider.incidents.members()), 1)

    def test_a_rule_about_events_counts_each_of_them(self) -> None:
        world = world_of(loop(each={"type": "container", "action": "start"}))
        for _ in range(3):
            world.event(CONTAINER, "Starting", parents=[SERVICE], action="start")
        self.assertEqual(forms(verify(world)), [("plain", TRIGGER)])

    def test_what_has_no_such_parent_counts_for_itself(self) -> None:
        world = world_of()
        for _ in range(3):
            world.event(CONTAINER, "Running", parents=[])
            world.event(CONTAINER, "Stopped", parents=[], object={"name": "c", "exit_code": 1, "service": None})  # fmt: skip
        (said,) = notices(world.found(CONTAINER, state="Stopped", exit_code=1))
        self.assertEqual(said.key, "loop/main/container/c")

    def test_without_per_each_counts_for_itself(self) -> None:
        world = world_of(loop(per=None))
        for number in range(2):
            die(world, f"/api/v1/container/c{number}/")
        self.assertEqual(len(world.decider.incidents.members()), 0)
        die(world, "/api/v1/container/c0/")
        die(world, "/api/v1/container/c0/")
        self.assertEqual([m.name[1][2] for m in world.decider.incidents.members()], ["c0"])

    def test_what_is_ignored_does_not_count(self) -> None:
        world = world_of(ignores=make_ignores({"type": "container"}))
        for _ in range(3):
            self.assertEqual(die(world), [])

    def test_one_that_cannot_be_computed_does_not_count(self) -> None:
        world = world_of(loop(each={"type": "container"}, when="1 / (name | length - 1) > 0", times=1))  # fmt: skip
        world.event(CONTAINER, "Stopped", parents=[SERVICE], object={"name": "c"})
        self.assertEqual(world.decider.incidents.members(), [])
        self.assertEqual(world.decider.counts["rejected"], 1)

    def test_what_another_incident_explains_waits(self) -> None:
        lost = incident_rule(incident_settings(name="lost", while_={"type": "service", "state": "Not running"}, for_seconds=0.0))  # fmt: skip
        world = world_of(lost, loop(unless_open="lost"))
        verify(world)
        self.assertEqual(world.open_keys(), ["lost/main/service/web"])
        self.assertEqual(die(world) + die(world) + die(world), [])
        (member,) = (m for m in world.decider.incidents.members() if m.name[0] == "loop")
        self.assertEqual(member.phase.value, "excused")


class EndTests(SynchronousTestCase):
    """Over when it is well for ``clear_for``, or not matched again within ``within``."""

    def test_well_when_its_excuse_ends(self) -> None:
        """What was on its way to open, and excused, is over if its service is well by then."""
        world = world_of(loop(times=1, for_seconds=10.0, unless={"deploy": "running"}))
        self.assertEqual(die(world), [])
        self.assertEqual(notices(world.event(SERVICE, "Redeploying", parents=[])), [])
        world.wait(5.0)
        counts = {"running_num_containers": 3, "target_num_containers": 3}
        said = notices(world.event(SERVICE, "Running", parents=[], object=counts))
        self.assertEqual(said + world.wait(300.0), [])
        self.assertEqual(world.open_keys(), [])

    def world(self) -> World:
        """Make a world in which a crash loop is open."""
        world = world_of()
        said = die(world) + die(world) + die(world)
        self.assertEqual(forms(said), [("plain", TRIGGER)])
        return world

    def test_well_for_a_while(self) -> None:
        world = self.world()
        world.event(SERVICE, "Running", object=OK)
        self.assertEqual(world.wait(59.9), [])
        world.wait(0.1)
        self.assertEqual(forms(verify(world, state="Running", **OK)), [("plain", RESOLVE)])

    def test_well_for_too_short(self) -> None:
        world = self.world()
        for _ in range(5):
            world.event(SERVICE, "Running", object=OK)
            self.assertEqual(world.wait(50.0), [])
            world.event(SERVICE, "Not running", object=ILL)
            self.assertEqual(die(world), [])
        self.assertEqual(world.open_keys(), ["loop/main/service/web"])

    def test_a_part_that_is_well_says_nothing_of_what_it_is_counted_for(self) -> None:
        """A service that nobody knows, and a container of it that was started again."""
        each = {"type": "container", "action": "start"}
        world = World.of(loop(each=each, times=2, clear_for_seconds=0.0))
        world.catch_up()
        said = []
        for _ in range(2):
            said += notices(world.event(CONTAINER, "Running", parents=[SERVICE], action="start"))
        self.assertEqual(forms(said + world.wait(100.0)), [("plain", TRIGGER)])

    def test_no_further_match(self) -> None:
        world = self.world()
        world.wait(300.0)
        die(world)
        self.assertEqual(world.wait(599.9), [])
        said = world.wait(100.0) + verify(world)
        self.assertEqual(forms(said), [("plain", RESOLVE)])

    def test_not_while_its_stream_is_down(self) -> None:
        """What happened meanwhile nobody knows."""
        world = self.world()
        world.stream("Disconnected")
        self.assertEqual(world.wait(3600.0), [])
        said = notices(world.catch_up()) + verify(world)
        self.assertEqual(forms(said), [("plain", RESOLVE)])

    def test_after_that_it_takes_three_again(self) -> None:
        world = self.world()
        world.wait(700.0)
        verify(world)
        self.assertEqual(die(world) + die(world), [])
        self.assertEqual(forms(die(world)), [("plain", TRIGGER)])

    def test_the_service_is_deleted(self) -> None:
        world = self.world()
        said = notices(world.event(SERVICE, "Terminated", action="delete"))
        self.assertEqual(forms(said), [("plain", RESOLVE)])


class UnsettledTests(SynchronousTestCase):
    """What cannot be judged before a look-up waits for it, ten seconds at most."""

    def die(self, world: World, uri: str = CONTAINER) -> None:
        """Let a container die of which only a look-up tells how."""
        world.event(uri, "Stopped", parents=[SERVICE])

    def test_it_is_asked_for_and_counted_then(self) -> None:
        world = world_of(loop(times=1))
        world.uris_asked()
        self.die(world)
        self.assertEqual(world.uris_asked(), [CONTAINER])
        world.found(CONTAINER, state="Stopped", exit_code=1)
        self.assertEqual(forms(verify(world)), [("plain", TRIGGER)])

    def test_it_counts_once(self) -> None:
        """The answer is a change as well, which matches."""
        world = world_of(loop(times=2))
        self.die(world)
        world.found(CONTAINER, state="Stopped", exit_code=1)
        self.assertEqual(world.decider.incidents.members(), [])

    def test_the_answer_may_be_that_it_ended_well(self) -> None:
        world = world_of(loop(times=1))
        self.die(world)
        world.found(CONTAINER, state="Stopped", exit_code=0)
        self.assertEqual(world.decider.incidents.members(), [])
        self.assertEqual(world.decider.counts["uncounted"], 0)

    def test_no_answer(self) -> None:
        world = world_of(loop(times=1))
        self.die(world)
        world.uris_asked()
        world.unanswered(CONTAINER)
        self.assertEqual(world.uris_asked(), [])
        self.assertEqual(world.decider.counts["uncounted"], 1)
        self.assertIsNone(world.decider.next_due())

    def test_no_answer_at_all(self) -> None:
        world = world_of(loop(times=1))
        self.die(world)
        self.assertEqual(world.wait(9.9), [])
        self.assertEqual(world.decider.counts["uncounted"], 0)
        world.wait(0.1)
        self.assertEqual(world.decider.counts["uncounted"], 1)
        self.assertEqual(world.decider.incidents._counting._by_need, {})
        world.found(CONTAINER, state="Stopped", exit_code=1)
        self.assertEqual(world.decider.incidents.members(), [])

    def test_an_answer_may_tell_what_has_to_be_asked_for_next(self) -> None:
        """The parent that it counts for is known to a service between."""
        world = world_of(loop(times=1, per="stack"))
        world.event(CONTAINER, "Stopped")
        world.uris_asked()
        world.found(CONTAINER, state="Stopped", exit_code=1, service="/api/v1/service/s9/")
        self.assertIn("/api/v1/service/s9/", world.uris_asked())
        world.found("/api/v1/service/s9/", name="x", stack=STACK, state="Running")
        (member,) = world.decider.incidents.members()
        self.assertEqual(member.name[1], ("main", "stack", "k1"))

    def test_two_that_wait_for_the_same(self) -> None:
        world = world_of(loop(times=2, per="stack"))
        uris = ["/api/v1/container/c1/", "/api/v1/container/c2/"]
        for uri in uris:
            world.event(uri, "Stopped")
            world.found(uri, state="Stopped", exit_code=1, service="/api/v1/service/s9/")
        world.found("/api/v1/service/s9/", name="x", stack=STACK, state="Running")
        self.assertEqual(len(world.decider.incidents.members()), 1)

    def test_one_that_was_given_up_is_not_counted_by_an_answer(self) -> None:
        world = world_of(loop(times=1, per="stack"))
        uris = ["/api/v1/container/c1/", "/api/v1/container/c2/"]
        for uri in uris:
            world.event(uri, "Stopped")
            world.found(uri, state="Stopped", exit_code=1, service="/api/v1/service/s9/")
            world.wait(6.0)
        self.assertEqual(world.decider.counts["uncounted"], 1)
        world.found("/api/v1/service/s9/", name="x", stack=STACK, state="Running")
        (member,) = world.decider.incidents.members()
        self.assertEqual(member.change.after.key[2], "c2")

    def test_deaths_are_in_order_whenever_they_are_settled(self) -> None:
        world = world_of(loop(within=Duration(100.0)))
        self.die(world)
        world.wait(5.0)
        die(world, "/api/v1/container/c2/")
        world.found(CONTAINER, state="Stopped", exit_code=1)
        world.wait(97.0)
        self.assertEqual(die(world, "/api/v1/container/c3/"), [])
        self.assertEqual(forms(die(world, "/api/v1/container/c4/")), [("plain", TRIGGER)])

    def test_a_restart_waits_anew_and_asks_again(self) -> None:
        world = world_of(loop(times=1))
        self.die(world)
        world.now += 20.0
        world.uris_asked()
        world.restart(loop(times=1))
        self.assertIn(CONTAINER, world.uris_asked())
        world.catch_up()
        world.wait(9.0)
        world.found(CONTAINER, state="Stopped", exit_code=1)
        self.assertEqual(forms(verify(world)), [("plain", TRIGGER)])

    def test_a_restart_may_know_by_now(self) -> None:
        world = world_of(loop(times=1))
        self.die(world)
        world.decider.inventory.restore(
            [r for r in [world.decider.inventory.get(("main", "container", "c1"))] if r]
        )
        kept = dict(world.records)
        world.found(CONTAINER, state="Stopped", exit_code=1)
        world.records = kept
        world.restart(loop(times=1))
        self.assertEqual(len(world.decider.incidents.members()), 1)

    def test_what_a_rule_waits_for_that_is_removed_is_forgotten(self) -> None:
        world = world_of(loop(times=1))
        self.die(world)
        world.reload(rule_set())
        self.assertIsNone(world.decider.next_due())
        self.assertNotIn("unsettled", {kind for kind, _ in world.records})

    def test_a_rule_that_does_not_count_any_more(self) -> None:
        world = world_of(loop(times=1))
        self.die(world)
        other = incident_rule(
            incident_settings(name="loop", while_={"type": "container", "state": "Stopped"})
        )
        world.reload(rule_set(other))
        self.assertEqual({"unsettled", "tally"} & {kind for kind, _ in world.records}, set())

    def test_a_rule_with_another_name_goes_on_waiting(self) -> None:
        world = world_of(loop(times=1))
        self.die(world)
        world.reload(rule_set(loop(times=1, name="crash", was="loop")))
        world.found(CONTAINER, state="Stopped", exit_code=1)
        (said,) = verify(world)
        self.assertEqual(said.rule, "crash")

    def test_what_waits_is_bounded(self) -> None:
        world = world_of(loop(times=1))
        before = counting.UNSETTLED_MAX_COUNT
        waiting = world.decider.incidents._counting
        self.die(world)
        (row,) = waiting._unsettled.values()
        waiting._unsettled.update(dict.fromkeys(map(str, range(before)), row))
        self.die(world, "/api/v1/container/c2/")
        self.assertEqual(world.decider.counts["uncounted"], 1)

    def test_records_that_cannot_be_read_are_forgotten(self) -> None:
        world = world_of(loop(times=1))
        self.die(world)
        (name,) = (name for name in world.records if name[0] == "unsettled")
        world.records[name] = b"?"
        world.restart(loop(times=1))
        self.assertEqual(world.unreadable_count, 1)

    def test_everything_again_for_a_store_that_lost_it(self) -> None:
        world = world_of(loop(times=1))
        self.die(world)
        (name,) = (name for name in world.records if name[0] == "unsettled")
        world.decider.save_everything()
        self.assertEqual(world.tick().records[name], world.records[name])
