"""Tests of counting matches: how many are enough, when they are forgotten, and what is kept."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.rules.test_counting import die, loop, verify, world_of
from tests.rules.world import RESOLVE, TRIGGER, World, forms, notices, rule_set
from tutumwatch.rules import tallies
from tutumwatch.rules.members import MemberName, Recurrence
from tutumwatch.rules.records import Records
from tutumwatch.rules.tallies import Tallies
from tutumwatch.settings import Duration

NAME: MemberName = ("loop", ("main", "service", "s1"))


def named(number: int) -> MemberName:
    """Give a resource."""
    return ("loop", ("main", "service", f"s{number}"))


class CountTests(SynchronousTestCase):
    """A tally alone."""

    def counted(self, *times: float, count: int = 3) -> list[bool]:
        """Count matches within 10 s; say each time whether there were enough."""
        rule, tally = loop(times=count, within=Duration(10.0)), Tallies(Records())
        return [tally.count(rule, NAME, at) for at in times]

    def test_enough_within_a_length_of_time(self) -> None:
        for times, enough in (
            ((0.0, 5.0, 10.0), [False, False, True]),
            ((0.0, 5.0, 10.1), [False, False, False]),
            ((0.0, 5.0, 10.1, 11.0), [False, False, False, True]),
            ((0.0, 1.0, 2.0, 11.0, 20.0), [False, False, True, True, True]),
        ):
            self.assertEqual(self.counted(*times), enough)

    def test_in_any_order(self) -> None:
        self.assertEqual(self.counted(10.0, 5.0, 0.0), [False, False, True])
        self.assertEqual(self.counted(20.0, 5.0, 0.0), [False, False, False])

    def test_one_is_enough_for_once(self) -> None:
        self.assertEqual(self.counted(0.0, count=1), [True])

    def test_it_is_forgotten_when_the_last_is_too_old(self) -> None:
        rule, tally = loop(times=2, within=Duration(10.0)), Tallies(Records())
        tally.count(rule, NAME, 5.0)
        tally.count(rule, NAME, 0.0)
        self.assertEqual(tally.next_due(), 15.0)
        self.assertEqual(list(tally.tick(14.9)), [])
        self.assertEqual(list(tally.tick(15.0)), [NAME])
        self.assertFalse(tally.is_reached(NAME))
        self.assertIsNone(tally.next_due())

    def test_the_one_matched_the_longest_ago_makes_room(self) -> None:
        rule, tally = loop(times=2, within=Duration(10.0)), Tallies(Records())
        for number in range(tallies.TALLIES_MAX_COUNT):
            tally.count(rule, named(number), 0.0)
        tally.count(rule, named(0), 0.0)
        tally.count(rule, named(1), 20.0)
        tally.count(rule, ("loop", ("main", "service", "new")), 1.0)
        self.assertEqual(len(tally._tallies), tallies.TALLIES_MAX_COUNT)
        self.assertNotIn(named(2), tally._tallies)
        self.assertTrue(tally.is_reached(named(0)))
        self.assertIn(named(1), tally._tallies)

    def test_where_there_were_enough_of_all_nothing_makes_room(self) -> None:
        """An incident is open for each of them."""
        rule, tally = loop(times=1), Tallies(Records())
        tally._tallies.update(
            dict.fromkeys(
                map(named, range(tallies.TALLIES_MAX_COUNT)),
                Recurrence(NAME, (0.0,), is_reached=True),
            )
        )
        tally.count(rule, ("loop", ("main", "service", "new")), 1.0)
        self.assertEqual(len(tally._tallies), tallies.TALLIES_MAX_COUNT + 1)


class KeptTests(SynchronousTestCase):
    """Counting goes on over restarts and reloads."""

    def world(self, count: int) -> World:
        """Make a world with some deaths."""
        world = world_of()
        for _ in range(count):
            die(world)
        return world

    def test_over_a_restart(self) -> None:
        world = self.world(2)
        world.now += 100.0
        world.restart(loop())
        world.catch_up()
        self.assertEqual(forms(die(world)), [("plain", TRIGGER)])

    def test_an_open_one_over_a_restart_too_long_after(self) -> None:
        """It ends, but not before all is known of its stream."""
        world = self.world(3)
        world.now += 700.0
        self.assertEqual(notices(world.restart(loop())) + world.wait(50.0), [])
        said = notices(world.catch_up()) + world.wait(10.0) + verify(world)
        self.assertEqual(forms(said), [("plain", RESOLVE)])

    def test_one_that_clears_over_another_restart(self) -> None:
        world = self.world(3)
        world.now += 700.0
        world.restart(loop())
        world.tick()
        self.assertEqual(notices(world.restart(loop())), [])
        said = notices(world.catch_up()) + world.wait(100.0) + verify(world)
        self.assertEqual(forms(said), [("plain", RESOLVE)])

    def test_a_rule_that_wants_more_of_them_now(self) -> None:
        world = self.world(3)
        (said,) = notices(world.reload(rule_set(loop(times=4))))
        self.assertEqual(said.form.value, RESOLVE)
        self.assertIn("its rule was changed", said.text)
        self.assertEqual(die(world) + die(world) + die(world), [])
        self.assertEqual(forms(die(world)), [("plain", TRIGGER)])

    def test_a_rule_that_wants_fewer_of_them_now(self) -> None:
        world = self.world(3)
        self.assertEqual(notices(world.reload(rule_set(loop(times=2)))), [])
        self.assertEqual(world.open_keys(), ["loop/main/service/web"])

    def test_a_rule_that_counts_longer_now(self) -> None:
        world = self.world(3)
        world.reload(rule_set(loop(within=Duration(1200.0))))
        self.assertEqual(world.wait(1199.0), [])
        self.assertEqual(forms(world.wait(100.0) + verify(world)), [("plain", RESOLVE)])

    def test_a_rule_that_is_removed_counts_nothing(self) -> None:
        world = self.world(2)
        world.reload(rule_set())
        self.assertNotIn("tally", {kind for kind, _ in world.records})
        self.assertIsNone(world.decider.next_due())

    def test_a_rule_with_another_name_goes_on_counting(self) -> None:
        world = world_of(loop(), loop(name="other"))
        die(world)
        die(world)
        world.reload(rule_set(loop(name="crash", was="loop"), loop(name="other")))
        self.assertEqual({n.rule for n in die(world)}, {"crash", "other"})

    def test_records_that_cannot_be_read_are_forgotten(self) -> None:
        world = self.world(2)
        (name,) = (name for name in world.records if name[0] == "tally")
        world.records[name] = b"?"
        world.restart(loop())
        self.assertEqual(world.unreadable_count, 1)
        self.assertNotIn(name, world.records)

    def test_everything_again_for_a_store_that_lost_it(self) -> None:
        world = self.world(2)
        (name,) = (name for name in world.records if name[0] == "tally")
        world.decider.save_everything()
        self.assertEqual(world.tick().records[name], world.records[name])
