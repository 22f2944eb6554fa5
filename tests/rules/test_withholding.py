"""Tests of silences and mutes of incidents: withheld, and told at the end if it is still so."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.rules.silenced import mute
from tests.rules.world import (
    RESOLVE,
    SERVICE,
    TRIGGER,
    World,
    forms,
    notices,
    rule_set,
    service_rule,
)
from tutumwatch.rules.silences import Mute

DOWN = {"name": "web", "state": "Stopped"}
MATCH = [{"type": "service"}]
OPENED, CLOSED = [("plain", TRIGGER)], [("plain", RESOLVE)]
MINUTE, HOUR = 60.0, 3600.0
# 22:00 UTC.
EVENING = 22 * HOUR


class SilencedTests(SynchronousTestCase):
    """A service that is down for two minutes while it is silenced."""

    def setUp(self) -> None:
        """Let it be down."""
        self.world = World.of(service_rule())
        self.world.catch_up()
        self.world.event(SERVICE, "Stopped", parents=[], object=DOWN)

    def assert_withheld(self, seconds: float) -> None:
        """Let time pass; fail if anything is said or looked up."""
        self.assertEqual(self.world.wait(seconds), [])
        self.assertEqual(self.world.uris_asked(), [])
        self.assertEqual((self.world.phases(), self.world.open_keys()), ({"s1": "pending"}, []))

    def assert_opens_once(self, seconds: float = 0.0) -> None:
        """Fail unless it opens, once, and is looked up before."""
        self.assertEqual(self.world.wait(seconds), [])
        self.assertEqual(self.world.uris_asked(), [SERVICE])
        self.assertEqual(forms(notices(self.world.found(SERVICE, **DOWN))), OPENED)
        self.assertEqual(self.world.wait(HOUR), [])

    def test_its_end_tells_what_is_still_so(self) -> None:
        self.world.silence(MATCH, 600.0)
        self.assert_withheld(599.0)
        self.assert_opens_once(1.0)

    def test_what_ended_before_is_never_told(self) -> None:
        self.world.silence(MATCH, 600.0)
        self.world.wait(300.0)
        self.world.event(SERVICE, "Running")
        self.assertEqual(self.world.wait(HOUR), [])
        self.assertEqual(self.world.phases(), {})

    def test_what_is_deleted_before_is_never_told(self) -> None:
        self.world.silence(MATCH, 600.0)
        self.world.wait(300.0)
        self.assertEqual(self.world.event(SERVICE, "Terminated").owed, [])

    def test_one_that_is_over_before_it_is_due_withholds_nothing(self) -> None:
        self.world.silence(MATCH, 60.0)
        self.assert_withheld(119.0)
        self.assert_opens_once(1.0)

    def test_one_that_is_removed(self) -> None:
        self.world.silence(MATCH, 600.0)
        self.assert_withheld(200.0)
        self.world.unsilence()
        self.assert_opens_once()

    def test_one_that_is_removed_before_it_is_due(self) -> None:
        self.world.silence(MATCH, 600.0)
        self.world.wait(60.0)
        self.world.unsilence()
        self.assert_withheld(59.0)
        self.assert_opens_once(1.0)

    def test_removing_another_one_changes_nothing(self) -> None:
        self.world.silence(MATCH, 600.0)
        self.world.silence([{"type": "node"}], 600.0, "s2")
        self.world.wait(200.0)
        for other in ("s2", "s3"):
            self.world.unsilence(other)
        self.assert_withheld(100.0)

    def test_two_withhold_until_both_are_over(self) -> None:
        self.world.silence(MATCH, 600.0)
        self.world.silence(MATCH, 900.0, "s2")
        self.assert_withheld(899.0)
        self.assert_opens_once(1.0)

    def test_one_that_comes_while_it_is_looked_up(self) -> None:
        self.world.wait(120.0)
        self.world.silence(MATCH, 600.0)
        self.world.uris_asked()
        self.assertEqual(self.world.found(SERVICE, **DOWN).owed, [])
        self.assert_withheld(599.0)
        self.assert_opens_once(1.0)

    def test_one_that_comes_too_late_withholds_no_resolve(self) -> None:
        self.world.wait_and_find(120.0, SERVICE, **DOWN)
        self.world.silence(MATCH, HOUR)
        self.world.event(SERVICE, "Running")
        self.assertEqual(forms(self.world.wait_and_find(30.0, SERVICE, state="Running")), CLOSED)

    def test_what_it_does_not_match_any_more_is_told(self) -> None:
        """With the next that is heard of it."""
        self.world.silence([{"name": "web"}], HOUR)
        self.assert_withheld(200.0)
        renamed = {**DOWN, "name": "api"}
        self.world.event(SERVICE, "Stopped", object=renamed)
        self.assertEqual(forms(notices(self.world.found(SERVICE, **renamed))), OPENED)

    def test_a_short_recovery_meanwhile(self) -> None:
        """It does not tell of it twice, nor restart anything."""
        self.world.silence(MATCH, 600.0)
        self.world.wait(590.0)
        self.world.event(SERVICE, "Running")
        self.assertEqual(self.world.wait(15.0), [])
        self.world.event(SERVICE, "Stopped")
        self.assert_opens_once()

    def test_a_long_recovery_meanwhile(self) -> None:
        self.world.silence(MATCH, 600.0)
        self.world.wait(500.0)
        self.world.event(SERVICE, "Running")
        self.world.wait(30.0)
        self.world.event(SERVICE, "Stopped")
        self.assert_withheld(119.0)
        self.assert_opens_once(1.0)

    def test_it_lasts_over_a_restart(self) -> None:
        self.world.silence(MATCH, 600.0)
        self.world.wait(300.0)
        self.world.restart(service_rule())
        self.world.catch_up()
        self.assert_withheld(299.0)
        self.assert_opens_once(1.0)

    def test_one_that_ends_while_we_are_away(self) -> None:
        """What was withheld is told once it is known that it is still so."""
        self.world.silence(MATCH, 600.0)
        self.world.wait(300.0)
        self.world.now += 600.0
        self.world.restart(service_rule())
        self.assert_withheld(10.0)
        self.world.catch_up()
        self.assert_opens_once()

    def test_one_that_ends_while_the_stream_is_not_caught_up(self) -> None:
        self.world.silence(MATCH, 600.0)
        self.world.wait(590.0)
        self.world.stream("Connected")
        self.assert_withheld(20.0)
        self.world.catch_up()
        self.assert_opens_once()


class MutedTests(SynchronousTestCase):
    """Nodes are muted from 22:00 to 06:00; here the match is of services."""

    def world(self, *mutes: Mute) -> World:
        """Let a service be down since 22:30."""
        world = World.of(service_rule(), mutes=mutes)
        world.now = EVENING + HOUR / 2
        world.start()
        world.catch_up()
        world.event(SERVICE, "Stopped", parents=[], object=DOWN)
        self.assertEqual(world.wait(HOUR), [])
        return world

    def nights(self, begin: str = "22:00", end: str = "06:00", name: str = "nights") -> Mute:
        """Make a mute of services."""
        return mute(name, {"type": "service"}, begin, end)

    def assert_opens(self, world: World) -> None:
        """Fail unless it opens now, with a Tick at once."""
        self.assertEqual(world.wait(0.0), [])
        self.assertEqual(forms(notices(world.found(SERVICE, **DOWN))), OPENED)

    def test_its_end_tells_what_is_still_so(self) -> None:
        world = self.world(self.nights())
        self.assertEqual(world.wait(6.5 * HOUR - 1.0), [])
        world.now += 1.0
        self.assert_opens(world)

    def test_a_reload_that_drops_it(self) -> None:
        world = self.world(self.nights())
        world.reload(rule_set(service_rule()))
        self.assert_opens(world)

    def test_a_reload_that_gives_it_another_time(self) -> None:
        world = self.world(self.nights())
        world.reload(rule_set(service_rule(), mutes=(self.nights("01:00", "02:00"),)))
        self.assert_opens(world)

    def test_a_reload_that_gives_it_another_match(self) -> None:
        world = self.world(self.nights())
        world.reload(rule_set(service_rule(), mutes=(mute(),)))
        self.assert_opens(world)

    def test_a_reload_that_keeps_it(self) -> None:
        """Also under another name."""
        for name in ("nights", "other"):
            world = self.world(self.nights())
            world.reload(rule_set(service_rule(), mutes=(self.nights(name=name),)))
            self.assertEqual(world.wait(6.5 * HOUR - 1.0), [])
            world.now += 1.0
            self.assert_opens(world)

    def test_a_reload_that_brings_one(self) -> None:
        """What is due next is withheld."""
        world = World.of(service_rule())
        world.now = EVENING
        world.catch_up()
        world.event(SERVICE, "Stopped", parents=[], object=DOWN)
        world.wait(MINUTE)
        world.reload(rule_set(service_rule(), mutes=(self.nights(),)))
        self.assertEqual(world.wait(HOUR), [])
        self.assertEqual(world.phases(), {"s1": "pending"})

    def test_a_restart_with_other_mutes(self) -> None:
        world = self.world(self.nights())
        world.restart_under(rule_set(service_rule(), mutes=(self.nights("01:00", "02:00"),)))
        world.catch_up()
        self.assert_opens(world)
