"""Tests of how a member goes on: quiet, pending, open, clearing, quiet."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

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
    service_rule,
    texts,
)
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.settings import Duration

OTHER = "/api/v1/service/s2/"
DOWN = {"name": "web", "state": "Stopped"}
WELL = {"name": "web", "state": "Running"}
OPENED, CLOSED = [("plain", TRIGGER)], [("plain", RESOLVE)]


def caught_up(*rules: IncidentRule, **more: Any) -> World:  # noqa: ANN401 - as rule_set
    """Make a world whose stream is caught up, in which a service runs."""
    world = World.of(*rules, **more)
    world.catch_up()
    world.event(SERVICE, "Running", parents=[], object=WELL)
    world.uris_asked()
    return world


class ServiceTestCase(SynchronousTestCase):
    """A service that must run: stopped for 2 minutes, and well for 30 seconds."""

    def setUp(self) -> None:
        """Make a world."""
        self.world = self.begin()

    def begin(self, **more: Any) -> World:  # noqa: ANN401 - any key of the table
        """Make a world with one rule."""
        return caught_up(service_rule(**more))

    def stop(self) -> None:
        """Let the service stop, which says nothing yet."""
        self.assertEqual(self.world.event(SERVICE, "Stopped").owed, [])

    def open(self) -> None:
        """Let the service be down for long enough."""
        self.stop()
        self.assertEqual(forms(self.world.wait_and_find(120.0, SERVICE, **DOWN)), OPENED)
        self.world.uris_asked()

    def run_again(self) -> None:
        """Let the service run, which says nothing yet."""
        self.assertEqual(self.world.event(SERVICE, "Running").owed, [])

    def assert_quiet(self) -> None:
        """Fail unless nothing is remembered, and nothing waited for."""
        self.assertEqual((self.world.phases(), self.world.open_keys()), ({}, []))
        self.assertIsNone(self.world.decider.next_due())


class OpeningTests(ServiceTestCase):
    """Before an incident opens, its resource is looked up."""

    def test_what_is_still_so_opens(self) -> None:
        self.stop()
        self.assertEqual(self.world.wait(119.0), [])
        self.assertEqual(self.world.uris_asked(), [])
        self.assertEqual(self.world.wait(1.0), [])
        self.assertEqual(self.world.uris_asked(), [SERVICE])
        self.world.now += 2.0
        (opened,) = notices(self.world.found(SERVICE, **DOWN))
        self.assertEqual((opened.text, opened.marks, opened.at), ("web is Stopped", (), 1122.0))
        self.assertEqual(self.world.phases(), {"s1": "open"})
        self.assertIsNone(self.world.decider.next_due())

    def test_what_is_well_meanwhile_opens_nothing(self) -> None:
        """The stream told nothing of it."""
        self.stop()
        self.assertEqual(self.world.wait_and_find(120.0, SERVICE, **WELL), [])
        self.assertEqual(self.world.phases(), {"s1": "pending"})
        self.assertEqual(self.world.wait(30.0), [])
        self.assert_quiet()

    def test_what_is_well_for_less_than_clear_for_is_looked_up_again(self) -> None:
        self.stop()
        self.world.wait_and_find(120.0, SERVICE, **WELL)
        self.world.wait(29.0)
        self.world.uris_asked()
        self.stop()
        self.assertEqual(self.world.uris_asked(), [SERVICE])
        self.assertEqual(forms(notices(self.world.found(SERVICE, **DOWN))), OPENED)

    def test_what_cannot_be_looked_up_opens_and_says_so(self) -> None:
        self.stop()
        self.assertEqual(self.world.wait(120.0), [])
        (opened,) = notices(self.world.unanswered(SERVICE))
        self.assertEqual(opened.text, "web is Stopped (unverified)")
        self.assertEqual(opened.marks, ("unverified",))

    def test_a_look_up_is_waited_for_ten_seconds(self) -> None:
        self.stop()
        self.assertEqual(self.world.wait(129.0), [])
        (opened,) = self.world.wait(1.0)
        self.assertEqual((opened.marks, opened.at), (("unverified",), 1130.0))
        self.assertEqual(self.world.found(SERVICE, **DOWN).owed, [])

    def test_what_is_gone_opens_nothing(self) -> None:
        """That there is no such service is an answer."""
        self.stop()
        self.world.wait(120.0)
        self.assertEqual(self.world.missing(SERVICE).owed, [])
        self.assert_quiet()

    def test_an_answer_from_before_does_not_count(self) -> None:
        self.stop()
        self.world.wait(120.0)
        self.assertEqual(self.world.found(SERVICE, self.world.number - 1, **DOWN).owed, [])
        self.assertEqual(forms(notices(self.world.found(SERVICE, **DOWN))), OPENED)

    def test_the_same_news_while_it_is_looked_up(self) -> None:
        """They change nothing: neither the time that is waited for, nor what is asked."""
        self.stop()
        self.world.wait(120.0)
        self.world.uris_asked()
        self.world.now += 5.0
        self.stop()
        self.assertEqual(self.world.uris_asked(), [])
        self.assertEqual([notice.at for notice in self.world.wait(60.0)], [1130.0])

    def test_other_news_while_it_is_looked_up(self) -> None:
        """The stream knows better than an answer that was asked for before."""
        self.stop()
        self.world.wait(120.0)
        self.run_again()
        self.assertEqual(self.world.found(SERVICE, self.world.number - 1, **DOWN).owed, [])
        self.assertEqual(self.world.wait(60.0), [])
        self.assert_quiet()

    def test_what_is_gone_joins_nothing(self) -> None:
        self.world = self.begin(while_={"type": "service"}, until={"state": "Running"})
        self.world.event(OTHER, "Terminated", parents=[])
        self.assertNotIn("s2", self.world.phases())

    def test_a_second_one_joins_without_a_word(self) -> None:
        self.world = self.begin(key="all")
        self.open()
        self.world.event(OTHER, "Stopped", parents=[], object={"name": "db"})
        self.assertEqual(self.world.wait_and_find(120.0, OTHER, name="db", state="Stopped"), [])
        self.assertEqual(self.world.phases(), {"s1": "open", "s2": "open"})

    def test_it_may_be_true_from_the_first_that_is_heard(self) -> None:
        """An older since is kept; of what a listing finds, it is the time of the listing."""
        world = World.of(service_rule())
        world.stream("Connected")
        world.now += 10.0
        world.listed({SERVICE: DOWN})
        (opened,) = world.wait_and_find(120.0, SERVICE, **DOWN)
        self.assertEqual(opened.at, 1130.0)


class ClosingTests(ServiceTestCase):
    """Before an incident closes, its resource is looked up, too."""

    def setUp(self) -> None:
        """Open an incident."""
        super().setUp()
        self.open()

    def test_what_is_still_well_closes(self) -> None:
        self.run_again()
        self.assertEqual(self.world.wait(30.0), [])
        self.assertEqual(self.world.uris_asked(), [SERVICE])
        (closed,) = notices(self.world.found(SERVICE, **WELL))
        self.assertEqual((closed.form.value, closed.text), (RESOLVE, "web is Running"))
        self.assert_quiet()

    def test_what_is_down_again_does_not_close(self) -> None:
        """The stream told nothing of that."""
        self.run_again()
        self.assertEqual(self.world.wait_and_find(30.0, SERVICE, **DOWN), [])
        self.assertEqual(self.world.phases(), {"s1": "open"})
        self.assertEqual(self.world.wait(3600.0), [])

    def test_what_cannot_be_looked_up_is_postponed(self) -> None:
        """Until there is an answer; each try waits for 10 s at the most."""
        self.run_again()
        self.world.wait(30.0)
        self.assertEqual(self.world.unanswered(SERVICE).owed, [])
        self.assertEqual(self.world.wait(29.0), [])
        self.world.uris_asked()
        self.assertEqual(self.world.wait(1.0), [])
        self.assertEqual(self.world.uris_asked(), [SERVICE])
        self.assertEqual(self.world.wait(600.0), [])
        self.assertEqual(self.world.phases(), {"s1": "clearing"})
        self.assertEqual(forms(notices(self.world.found(SERVICE, **WELL))), CLOSED)

    def test_news_in_a_postponed_end_do_not_try_it(self) -> None:
        self.run_again()
        self.world.wait(30.0)
        self.world.unanswered(SERVICE)
        self.world.uris_asked()
        self.run_again()
        self.assertEqual(self.world.uris_asked(), [])

    def test_a_postponed_end_that_is_none(self) -> None:
        self.run_again()
        self.world.wait(30.0)
        self.world.unanswered(SERVICE)
        self.stop()
        self.assertEqual(self.world.wait(3600.0), [])
        self.assertEqual(self.world.phases(), {"s1": "open"})

    def test_what_is_deleted_closes_at_once_and_says_so(self) -> None:
        (closed,) = notices(self.world.event(SERVICE, "Terminated"))
        self.assertEqual(
            (closed.form.value, closed.text), (RESOLVE, "web is Terminated (was deleted)")
        )
        self.assert_quiet()

    def test_what_a_look_up_finds_deleted(self) -> None:
        self.run_again()
        self.world.wait(30.0)
        (closed,) = notices(self.world.missing(SERVICE))
        self.assertEqual(closed.marks, ("was deleted",))
        self.assert_quiet()

    def test_clear_for_zero_looks_up_as_well(self) -> None:
        self.world = self.begin(clear_for_seconds=0.0)
        self.open()
        self.run_again()
        self.assertEqual(self.world.uris_asked(), [SERVICE])
        self.assertEqual(forms(notices(self.world.found(SERVICE, **WELL))), CLOSED)

    def test_the_members_stay_known(self) -> None:
        inventory = self.world.decider.inventory
        self.assertTrue(inventory.is_needed(("main", "service", "s1")))
        self.assertFalse(inventory.is_needed(("main", "service", "s2")))


class UnknownTests(ServiceTestCase):
    """Unknown changes nothing: what was true when it was known last is true, and so on."""

    def begin(self, **more: Any) -> World:  # noqa: ANN401 - any key of the table
        """Make a world in which the rule depends on the stack."""
        condition = {"type": "service", "state": "Stopped", "stack.name": "shop"}
        world = caught_up(service_rule(while_=condition, **more))
        world.found(STACK, name="shop")
        world.event(SERVICE, "Running", parents=[STACK])
        return world

    def be_unknown(self) -> None:
        """Let the service be of a stack that nobody told of yet."""
        unknown = "/api/v1/stack/k2/"
        self.assertEqual(self.world.event(SERVICE, "Stopped", parents=[unknown]).owed, [])
        self.assertIn(unknown, self.world.uris_asked())

    def test_it_joins_nothing(self) -> None:
        self.be_unknown()
        self.assert_quiet()

    def test_it_joins_once_it_is_known(self) -> None:
        self.be_unknown()
        self.world.now += 1.0
        self.world.found("/api/v1/stack/k2/", name="shop")
        self.assertEqual(self.world.phases(), {"s1": "pending"})
        self.assertEqual(self.world.decider.next_due(), 1121.0)

    def test_what_is_pending_opens(self) -> None:
        self.stop()
        self.be_unknown()
        self.world.wait(120.0)
        self.assertEqual(self.world.uris_asked(), [SERVICE, "/api/v1/stack/k2/"])
        self.assertEqual(self.world.found(SERVICE, **DOWN).owed, [])
        (opened,) = notices(self.world.unanswered("/api/v1/stack/k2/"))
        self.assertEqual(opened.marks, ("unverified",))

    def test_what_was_over_is_over(self) -> None:
        self.stop()
        self.run_again()
        self.be_unknown()
        self.assertEqual(self.world.wait(3600.0), [])
        self.assert_quiet()

    def test_what_is_open_stays_open(self) -> None:
        self.stop()
        self.world.wait(120.0)
        self.world.found(STACK, name="shop")
        self.assertEqual(forms(notices(self.world.found(SERVICE, **DOWN))), OPENED)
        self.be_unknown()
        self.assertEqual(self.world.wait(3600.0), [])
        self.assertEqual(self.world.phases(), {"s1": "open"})

    def test_a_parent_that_is_learned_later_is_judged(self) -> None:
        """Of what is over by that, too."""
        self.world.found(STACK, name="other")
        self.stop()
        self.assertEqual(self.world.phases(), {})
        self.world.found(STACK, name="shop")
        self.assertEqual(self.world.phases(), {"s1": "pending"})
        self.world.found(STACK, name="other")
        self.assertEqual(self.world.wait(3600.0), [])
        self.assert_quiet()

    def test_a_condition_that_cannot_be_computed(self) -> None:
        """It is unknown, and counted; looking it up did not help, so the opening is marked."""
        self.world = caught_up(
            service_rule(while_={"type": "service"}, when="10 / (target - 7) > 5", for_seconds=10.0)
        )
        self.world.event(SERVICE, "Stopped", object={**DOWN, "target_num_containers": 8})
        self.assertEqual(self.world.phases(), {"s1": "pending"})
        self.world.event(SERVICE, "Stopped", object={**DOWN, "target_num_containers": 7})
        self.assertEqual(self.world.decider.counts["rejected"], 1)
        answer = {**DOWN, "target_num_containers": 7}
        (opened,) = self.world.wait_and_find(10.0, SERVICE, **answer)
        self.assertEqual(opened.marks, ("unverified",))
        rejected = self.world.decider.last_rejected
        assert rejected is not None
        self.assertEqual(rejected.sample, "rule 'service down'")


class KeyTests(ServiceTestCase):
    """Resources that share a key are one incident."""

    def test_a_key_that_is_not_known_yet_is_learned_until_it_opens(self) -> None:
        self.world = self.begin(key="stack {{ stack.name }}")
        self.world.event(SERVICE, "Stopped", parents=[STACK])
        self.world.wait(120.0)
        self.assertEqual(self.world.uris_asked(), [SERVICE, STACK])
        self.world.found(STACK, name="shop")
        (opened,) = notices(self.world.found(SERVICE, **DOWN))
        self.assertEqual(opened.key, "stack shop")
        self.run_again()
        (closed,) = self.world.wait_and_find(30.0, SERVICE, **WELL)
        self.assertEqual(closed.key, "stack shop")

    def test_a_key_that_stays_unknown_is_the_default(self) -> None:
        self.world = self.begin(key="stack {{ stack.name }}")
        self.world.event(SERVICE, "Stopped", parents=[STACK])
        self.world.wait(120.0)
        self.world.unanswered(STACK)
        (opened,) = notices(self.world.found(SERVICE, **DOWN))
        self.assertEqual(opened.key, "service down/main/service/s1")

    def test_what_is_deleted_leaves_the_others_in_it(self) -> None:
        self.world = self.begin(key="all", for_seconds=0.0)
        for uri in (SERVICE, OTHER):
            self.world.event(uri, "Stopped", parents=[])
            self.world.found(uri, **DOWN)
        self.assertEqual(self.world.event(SERVICE, "Terminated").owed, [])
        self.assertEqual(self.world.open_keys(), ["all"])
        (closed,) = notices(self.world.event(OTHER, "Terminated"))
        self.assertEqual(closed.form.value, RESOLVE)


class CountedTests(SynchronousTestCase):
    """Deaths of containers of one service, three within ten minutes."""

    def setUp(self) -> None:
        """Make a world in which a service runs."""
        self.rule = incident_rule(
            incident_settings(
                name="crash loop",
                each={"type": "container", "state": "Stopped"},
                times=3,
                within=Duration(600.0),
                per="service",
                for_seconds=0.0,
                clear_for_seconds=60.0,
                text="{{ name }} died",
                resolve_text="over",
            )
        )
        self.world = caught_up(self.rule)

    def die(self, seconds: float = 5.0) -> list[str]:
        """Let the container die, and come again after a while."""
        world = self.world
        said = texts(world.event(CONTAINER, "Stopped", parents=[SERVICE], object={"name": "c"}))
        said += [notice.text for notice in world.wait(seconds)]
        return said + texts(world.event(CONTAINER, "Running"))

    def open(self) -> None:
        """Let it die three times; the service is down then, for all that is known."""
        for _ in range(3):
            self.assertEqual(self.die(), [])
        self.assertEqual(texts(self.world.found(SERVICE, **DOWN)), ["c died"])

    def test_it_closes_when_there_was_no_further_match_in_time(self) -> None:
        self.open()
        self.assertEqual(self.world.wait(594.0), [])
        self.assertEqual(forms(self.world.wait(1.0)), CLOSED)
        self.assertEqual(self.world.phases(), {})

    def test_it_closes_when_the_service_is_well(self) -> None:
        self.open()
        self.world.event(SERVICE, "Running")
        self.assertEqual(self.world.wait(59.0), [])
        self.assertEqual(forms(self.world.wait_and_find(1.0, SERVICE, **WELL)), CLOSED)

    def test_what_is_well_when_it_opens_is_clearing(self) -> None:
        """It is told all the same."""
        for _ in range(3):
            self.die()
        self.assertEqual(texts(self.world.found(SERVICE, **WELL)), ["c died"])
        self.assertEqual(self.world.phases(), {"s1": "clearing"})

    def test_a_further_death_keeps_it_open(self) -> None:
        """It must be well for as long from then on."""
        self.open()
        self.world.event(SERVICE, "Running")
        self.world.wait(50.0)
        self.assertEqual(self.die(), [])
        self.assertEqual(self.world.wait(54.0), [])
        self.assertEqual(forms(self.world.wait_and_find(1.0, SERVICE, **WELL)), CLOSED)

    def test_a_service_that_is_deleted(self) -> None:
        self.open()
        (closed,) = notices(self.world.event(SERVICE, "Terminated"))
        self.assertEqual(closed.marks, ("was deleted",))

    def test_no_further_match_while_the_stream_is_down_closes_nothing(self) -> None:
        """Nobody could have seen one; once it is back, it is looked up first."""
        self.open()
        self.world.stream("Disconnected")
        self.assertEqual(self.world.wait(3600.0), [])
        self.assertEqual(self.world.phases(), {"s1": "clearing"})
        self.world.uris_asked()
        self.assertEqual(notices(self.world.catch_up()), [])
        self.assertEqual(self.world.uris_asked(), [SERVICE])
        self.assertEqual(forms(notices(self.world.found(SERVICE, **DOWN))), CLOSED)

    def test_matches_while_that_is_held_keep_it_open(self) -> None:
        self.open()
        self.world.stream("Disconnected")
        self.world.wait(3600.0)
        self.world.stream("Connected")
        for _ in range(3):
            self.die()
        self.assertEqual(self.world.phases(), {"s1": "open"})
        self.assertEqual(self.world.catch_up().owed, [])

    def test_it_is_held_over_a_restart_too(self) -> None:
        self.open()
        self.world.stream("Disconnected")
        self.world.wait(3600.0)
        for _ in range(2):
            self.assertEqual(notices(self.world.restart(self.rule)), [])
            self.assertEqual(self.world.wait(60.0), [])
        self.world.catch_up()
        self.assertEqual(forms(notices(self.world.found(SERVICE, **DOWN))), CLOSED)

    def test_what_was_not_told_is_forgotten_without_a_word(self) -> None:
        for _ in range(2):
            self.die()
        self.world.wait(3600.0)
        self.assertEqual(self.world.decider.next_due(), None)
        for _ in range(3):
            self.die()
        self.assertEqual(self.world.phases(), {"s1": "pending"})


class AbsentTests(SynchronousTestCase):
    """Something that must exist: it is missed only when all is known that there is."""

    def setUp(self) -> None:
        """Make the rule."""
        self.rule = incident_rule(
            incident_settings(
                name="shop is gone",
                absent={"type": "stack", "name": "shop"},
                for_seconds=60.0,
                clear_for_seconds=5.0,
                text="gone",
                resolve_text="back",
            )
        )

    def world(self, *streams: str) -> World:
        """Make a world with these streams."""
        return World.of(self.rule, streams=streams or ("main",))

    def test_what_is_not_listed_is_missed(self) -> None:
        world = self.world()
        self.assertEqual(world.wait(3600.0), [])
        world.catch_up()
        self.assertEqual(world.wait(59.0), [])
        (opened,) = world.wait(1.0)
        self.assertEqual((opened.text, opened.key), ("gone", "shop is gone"))
        world.found(STACK, name="shop")
        self.assertEqual([notice.text for notice in world.wait(5.0)], ["back"])

    def test_what_was_never_listed_may_be_there(self) -> None:
        """A platform that gives no lists, or not now."""
        world = self.world()
        world.stream("Connected")
        self.assertEqual(world.wait(3600.0), [])
        self.assertEqual(world.phases(), {})
        world.listed({})
        self.assertEqual([notice.text for notice in world.wait(60.0)], ["gone"])

    def test_what_is_listed_late_is_there(self) -> None:
        world = self.world()
        world.stream("Connected")
        world.wait(3600.0)
        world.listed({STACK: {"name": "shop"}})
        self.assertEqual(world.wait(3600.0), [])
        world.missing(STACK)
        self.assertEqual([notice.text for notice in world.wait(60.0)], ["gone"])

    def test_all_streams_must_have_been_listed(self) -> None:
        world = self.world("main", "lab")
        world.catch_up("main")
        self.assertEqual(world.wait(3600.0), [])
        world.catch_up("lab")
        self.assertEqual([notice.text for notice in world.wait(60.0)], ["gone"])

    def test_what_falls_due_while_a_stream_is_not_caught_up_acts_then(self) -> None:
        world = self.world("main", "lab")
        for name in ("main", "lab"):
            world.catch_up(name)
        world.wait(50.0)
        world.stream("Connected", "lab")
        self.assertEqual(world.wait(50.0), [])
        (opened,) = notices(world.catch_up("lab"))
        self.assertEqual(opened.at, 1100.0)

    def test_it_does_not_close_while_a_stream_is_down(self) -> None:
        world = self.world("main", "lab")
        for name in ("main", "lab"):
            world.catch_up(name)
        world.wait(60.0)
        world.stream("Disconnected", "lab")
        world.found(STACK, name="shop")
        self.assertEqual(world.wait(3600.0), [])
        self.assertEqual([notice.text for notice in notices(world.catch_up("lab"))], ["back"])

    def test_another_that_matches_will_do(self) -> None:
        world = self.world()
        world.found(STACK, name="shop")
        world.found("/api/v1/stack/k2/", name="shop")
        world.catch_up()
        world.missing(STACK)
        self.assertEqual(world.wait(3600.0), [])


class DismissedTests(ServiceTestCase):
    """What a person closed stays quiet until it was well once, for as long as clear_for."""

    def setUp(self) -> None:
        """Open an incident, and close it by hand."""
        super().setUp()
        self.open()
        (text,) = texts(self.world.resolve("service down/main/service/web"))
        self.assertTrue(text.endswith(": resolved by hand"), text)
        self.assertEqual(self.world.phases(), {"s1": "dismissed"})

    def test_it_stays_quiet_while_it_is_so(self) -> None:
        for _ in range(3):
            self.stop()
            self.assertEqual(self.world.wait(3600.0), [])
        self.assertEqual(self.world.open_keys(), [])

    def test_it_opens_again_after_it_was_well(self) -> None:
        self.run_again()
        self.assertEqual(self.world.wait(30.0), [])
        self.assert_quiet()
        self.open()

    def test_a_short_time_of_being_well_does_not_count(self) -> None:
        self.run_again()
        self.world.wait(29.0)
        self.stop()
        self.assertEqual(self.world.wait(3600.0), [])
        self.assertEqual(self.world.phases(), {"s1": "dismissed"})

    def test_clear_for_zero_counts_any(self) -> None:
        self.world = self.begin(clear_for_seconds=0.0)
        self.open()
        self.world.resolve("service down/main/service/web")
        self.run_again()
        self.assert_quiet()

    def test_what_is_deleted_is_forgotten(self) -> None:
        self.assertEqual(self.world.event(SERVICE, "Terminated").owed, [])
        self.assert_quiet()

    def test_it_is_kept_over_a_restart(self) -> None:
        """So is how long it has been well."""
        self.run_again()
        self.world.wait(10.0)
        self.world.restart(service_rule())
        self.world.catch_up()
        self.assertEqual(self.world.wait(20.0), [])
        self.assertEqual(self.world.phases(), {})

    def test_another_key_closes_nothing(self) -> None:
        world = self.begin()
        world.event(SERVICE, "Stopped")
        world.wait_and_find(120.0, SERVICE, **DOWN)
        self.assertEqual(world.resolve("nothing").owed, [])
        self.assertEqual(world.phases(), {"s1": "open"})

    def test_what_is_on_its_way_is_not_closed(self) -> None:
        """It opens the incident anew."""
        world = self.begin(key="all")
        world.event(SERVICE, "Stopped")
        world.wait(60.0)
        world.event(OTHER, "Stopped", parents=[])
        world.wait_and_find(60.0, SERVICE, **DOWN)
        self.assertEqual(forms(notices(world.resolve("all"))), CLOSED)
        self.assertEqual(forms(world.wait_and_find(60.0, OTHER, **DOWN)), OPENED)
        self.assertEqual(world.phases(), {"s1": "dismissed", "s2": "open"})
