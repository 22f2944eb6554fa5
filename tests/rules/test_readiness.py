"""Tests of when anything may act: no timer does before its stream is caught up."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.rules.world import (
    RESOLVE,
    SERVICE,
    TRIGGER,
    World,
    forms,
    incident_rule,
    incident_settings,
    notices,
    service_rule,
)
from tutumwatch.rules.readiness import Readiness

DOWN = {"name": "web", "state": "Stopped"}
WELL = {"name": "web", "state": "Running"}
OPENED, CLOSED = [("plain", TRIGGER)], [("plain", RESOLVE)]
HOUR = 3600.0


class ReadyTests(SynchronousTestCase):
    """Ready is a stream that was listed since it connected, or has been connected for a minute."""

    def setUp(self) -> None:
        """Know of no stream."""
        self.readiness = Readiness()

    def assert_is(self, *, connected: bool, ready: bool) -> None:
        """Fail unless the stream is so."""
        self.assertEqual(self.readiness.is_connected("main"), connected)
        self.assertEqual(self.readiness.is_ready("main"), ready)

    def test_at_first(self) -> None:
        self.assert_is(connected=False, ready=False)
        self.assertIsNone(self.readiness.next_due())

    def test_connected_and_listed(self) -> None:
        self.readiness.connected("main", 5.0)
        self.assert_is(connected=True, ready=False)
        self.assertTrue(self.readiness.listed("main"))
        self.assert_is(connected=True, ready=True)
        self.assertIsNone(self.readiness.next_due())

    def test_a_second_listing_is_no_news(self) -> None:
        self.readiness.connected("main", 5.0)
        self.readiness.listed("main")
        self.assertFalse(self.readiness.listed("main"))

    def test_a_listing_from_before_does_not_count(self) -> None:
        self.assertFalse(self.readiness.listed("main"))
        self.readiness.connected("main", 5.0)
        self.assert_is(connected=True, ready=False)

    def test_one_that_takes_too_long_is_not_waited_for(self) -> None:
        self.readiness.connected("main", 5.0)
        self.assertEqual(self.readiness.next_due(), 65.0)
        self.assertEqual(list(self.readiness.tick(64.9)), [])
        self.assertEqual(list(self.readiness.tick(65.0)), ["main"])
        self.assert_is(connected=True, ready=True)
        self.assertIsNone(self.readiness.next_due())
        self.assertFalse(self.readiness.listed("main"))

    def test_lost(self) -> None:
        """What is known may be looked up still, unless it was not caught up with."""
        for listed in (True, False):
            self.setUp()
            self.readiness.connected("main", 5.0)
            if listed:
                self.readiness.listed("main")
            self.readiness.lost("main")
            self.assert_is(connected=False, ready=listed)
            self.assertIsNone(self.readiness.next_due())
            self.readiness.connected("main", 9.0)
            self.assert_is(connected=True, ready=False)

    def test_each_stream_for_itself(self) -> None:
        self.readiness.connected("main", 5.0)
        self.readiness.connected("lab", 6.0)
        self.readiness.listed("lab")
        self.assert_is(connected=True, ready=False)
        self.assertEqual(list(self.readiness.tick(99.0)), ["main"])


class OpeningTests(SynchronousTestCase):
    """A service that has been down for two minutes, when nobody could be sure of it."""

    def setUp(self) -> None:
        """Let it be down, and what is known of it be a minute old."""
        self.world = World.of(service_rule())
        self.world.catch_up()
        self.world.event(SERVICE, "Stopped", parents=[], object=DOWN)
        self.world.wait(60.0)

    def assert_held(self, seconds: float) -> None:
        """Let time pass; fail if anything is said or looked up."""
        self.assertEqual(self.world.wait(seconds), [])
        self.assertEqual(self.world.uris_asked(), [])
        self.assertEqual(self.world.phases(), {"s1": "pending"})

    def assert_acts(self) -> None:
        """Fail unless it is looked up, and opens."""
        self.assertEqual(self.world.uris_asked(), [SERVICE])
        self.assertEqual(forms(notices(self.world.found(SERVICE, **DOWN))), OPENED)

    def test_what_is_due_after_a_restart_waits_for_the_list(self) -> None:
        """And for the connect, however long that takes."""
        self.world.restart(service_rule())
        self.assert_held(HOUR)
        self.world.stream("Connected")
        self.assert_held(59.0)
        self.world.listed({SERVICE: DOWN})
        self.assert_acts()

    def test_a_list_that_takes_longer_than_a_minute_is_not_waited_for(self) -> None:
        self.world.restart(service_rule())
        self.world.stream("Connected")
        self.assert_held(59.9)
        self.assertEqual(self.world.wait(0.1), [])
        self.assert_acts()
        self.assertEqual(notices(self.world.listed({SERVICE: DOWN})), [])

    def test_the_due_time_does_not_move(self) -> None:
        self.world.now += 30.0
        self.world.restart(service_rule())
        self.world.catch_up()
        self.assert_held(29.9)
        self.assertEqual(self.world.wait(0.1), [])
        self.assert_acts()

    def test_what_ended_meanwhile_is_never_told(self) -> None:
        """The list says so."""
        self.world.now += HOUR
        self.world.restart(service_rule())
        self.world.stream("Connected")
        self.world.wait(5.0)
        self.world.listed({SERVICE: WELL})
        self.assertEqual(self.world.wait(HOUR), [])
        self.assertEqual(self.world.phases(), {})

    def test_what_was_deleted_meanwhile_is_never_told(self) -> None:
        self.world.now += HOUR
        self.world.restart(service_rule())
        self.world.stream("Connected")
        self.assert_held(5.0)
        self.world.listed({SERVICE: None})
        self.assertEqual(self.world.phases(), {})

    def test_one_that_is_looked_up_when_the_stream_comes_back_is_asked_for_again(self) -> None:
        """That answer could be of the time before."""
        self.world.wait(60.0)
        self.world.stream("Disconnected")
        self.world.stream("Connected")
        self.world.uris_asked()
        self.assertEqual(self.world.found(SERVICE, **DOWN).owed, [])
        self.assert_held(20.0)
        self.world.listed({SERVICE: DOWN})
        self.assert_acts()

    def test_one_whose_look_up_is_overdue_when_the_stream_comes_back(self) -> None:
        self.world.wait(60.0)
        self.world.stream("Connected")
        self.world.uris_asked()
        self.assert_held(20.0)
        self.world.listed({SERVICE: DOWN})
        self.assert_acts()

    def test_news_while_it_is_held_change_nothing(self) -> None:
        self.world.stream("Connected")
        self.assert_held(59.0)
        self.world.stream("Connected")
        self.assert_held(10.0)
        self.world.event(SERVICE, "Stopped")
        self.assert_held(10.0)
        self.world.listed({})
        self.assert_acts()

    def test_one_that_another_stream_tells_of(self) -> None:
        """It is not held for this one."""
        world = World.of(service_rule(), streams=("main", "lab"))
        world.catch_up("lab")
        world.event(SERVICE, "Stopped", stream="lab", parents=[])
        self.assertEqual(world.wait(120.0), [])
        self.assertEqual({need.stream for need in world.asked}, {"lab"})

    def test_a_stream_that_breaks_while_it_is_pending(self) -> None:
        """It was caught up: what is known is looked up, and told."""
        self.world.stream("Disconnected")
        self.assertEqual(self.world.wait(60.0), [])
        self.assert_acts()

    def test_an_excuse_that_runs_out_while_it_is_held(self) -> None:
        rule = service_rule(unless={"deploy": "running"}, unless_open="other", for_seconds=0.0)
        other = service_rule(name="other", for_seconds=0.0)
        self.world = World.of(other, rule)
        self.world.catch_up()
        self.world.event(SERVICE, "Stopped", parents=[])
        self.assertEqual(len(notices(self.world.found(SERVICE, **DOWN))), 1)
        self.world.now += HOUR
        self.world.restart(other, rule)
        self.assertEqual(self.world.wait(HOUR), [])
        self.world.catch_up()
        self.assertEqual(self.world.wait(HOUR), [])
        members = [m.phase.value for m in self.world.decider.incidents.members()]
        self.assertEqual(sorted(members), ["excused", "open"])


class ClosingTests(SynchronousTestCase):
    """An incident of a service that runs again, when nobody can be sure of that."""

    def setUp(self) -> None:
        """Open it."""
        self.world = World.of(service_rule(for_seconds=0.0))
        self.world.catch_up()
        self.world.event(SERVICE, "Stopped", parents=[], object=DOWN)
        self.assertEqual(forms(notices(self.world.found(SERVICE, **DOWN))), OPENED)
        self.world.uris_asked()

    def assert_open(self, seconds: float) -> None:
        """Let time pass; fail if anything is said or looked up."""
        self.assertEqual(self.world.wait(seconds), [])
        self.assertEqual(self.world.uris_asked(), [])
        self.assertEqual(len(self.world.open_keys()), 1)

    def assert_closes(self) -> None:
        """Fail unless it is looked up, and closes."""
        self.assertEqual(self.world.uris_asked(), [SERVICE])
        self.assertEqual(forms(notices(self.world.found(SERVICE, **WELL))), CLOSED)
        self.assertEqual(self.world.phases(), {})

    def test_nothing_closes_while_the_stream_is_down(self) -> None:
        self.world.event(SERVICE, "Running")
        self.world.stream("Disconnected")
        self.assert_open(HOUR)
        self.world.stream("Connected")
        self.assert_open(50.0)
        self.world.listed({SERVICE: WELL})
        self.assert_closes()

    def test_what_a_look_up_tells_while_the_stream_is_down(self) -> None:
        self.world.stream("Disconnected")
        self.assertEqual(self.world.found(SERVICE, **WELL).owed, [])
        self.assert_open(HOUR)
        self.world.catch_up()
        self.assert_closes()

    def test_clear_for_zero_waits_for_the_stream_as_well(self) -> None:
        self.world = World.of(service_rule(for_seconds=0.0, clear_for_seconds=0.0))
        self.world.catch_up()
        self.world.event(SERVICE, "Stopped", parents=[], object=DOWN)
        self.world.found(SERVICE, **DOWN)
        self.world.uris_asked()
        self.world.stream("Disconnected")
        self.assertEqual(self.world.found(SERVICE, **WELL).owed, [])
        self.assert_open(HOUR)
        self.world.catch_up()
        self.assert_closes()

    def test_a_stream_that_breaks_while_it_is_looked_up(self) -> None:
        self.world.event(SERVICE, "Running")
        self.world.wait(30.0)
        self.world.uris_asked()
        self.world.stream("Disconnected")
        self.assertEqual(self.world.found(SERVICE, **WELL).owed, [])
        self.assert_open(HOUR)
        self.world.catch_up()
        self.assert_closes()

    def test_what_is_down_again_when_the_stream_is_back(self) -> None:
        self.world.event(SERVICE, "Running")
        self.world.stream("Disconnected")
        self.assert_open(HOUR)
        self.world.stream("Connected")
        self.world.listed({SERVICE: DOWN})
        self.assert_open(HOUR)

    def test_a_gap_that_begins_while_an_earlier_one_is_held(self) -> None:
        """It must be as long as any."""
        self.world.event(SERVICE, "Running")
        self.world.stream("Disconnected")
        self.world.wait(60.0)
        self.world.stream("Connected")
        self.world.event(SERVICE, "Stopped")
        self.world.event(SERVICE, "Running")
        self.world.wait(10.0)
        self.world.listed({SERVICE: WELL})
        self.assert_open(19.0)
        self.assertEqual(self.world.wait(1.0), [])
        self.assert_closes()

    def test_after_a_restart(self) -> None:
        self.world.event(SERVICE, "Running")
        self.world.now += 60.0
        self.world.restart(service_rule(for_seconds=0.0))
        self.assert_open(HOUR)
        self.world.catch_up()
        self.assert_closes()

    def test_what_is_deleted_closes_all_the_same(self) -> None:
        """That there is no such service is certain."""
        self.world.stream("Disconnected")
        (closed,) = notices(self.world.missing(SERVICE))
        self.assertEqual(closed.marks, ("was deleted",))


class OwnConnectionsTests(SynchronousTestCase):
    """Streams and notifiers wait for nothing: of them we know ourselves."""

    def test_a_stream_that_never_comes(self) -> None:
        world = World.of(incident_rule())
        world.stream("Disconnected")
        self.assertEqual(forms(world.wait(15.0)), OPENED)

    def test_a_notifier(self) -> None:
        rule = incident_rule(
            incident_settings(name="x", while_={"type": "notifier", "state": "Refused"})
        )
        world = World.of(rule)
        world.notifier("Refused")
        self.assertEqual(forms(world.wait(15.0)), OPENED)
        world.notifier("Delivering")
        self.assertEqual(forms(world.wait(5.0)), CLOSED)

    def test_nothing_is_over_by_a_restart(self) -> None:
        """An end that is due before the stream is there again is none."""
        rule = incident_rule(incident_settings(for_seconds=0.0))
        world = World.of(rule)
        world.remember("main")
        world.stream("Disconnected")
        world.stream("Connected")
        world.restart(rule)
        self.assertEqual(world.wait(HOUR), [])
        self.assertEqual(world.phases(), {"main": "open"})
        world.stream("Connected")
        self.assertEqual(forms(world.wait(5.0)), CLOSED)
