"""Tests of groups: many openings at once are told of as one."""

from __future__ import annotations

from typing import Any

import attrs
import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.rules.world import (
    NODE,
    RESOLVE,
    TRIGGER,
    World,
    forms,
    incident_rule,
    incident_settings,
    notices,
    rule_set,
)
from tutumwatch.rules.grouping import GATHER_SECONDS, MANY, SINGLY_SECONDS, UPDATE_SECONDS
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.notice import Notice, Severity
from tutumwatch.settings import Duration


def down(**more: Any) -> IncidentRule:  # noqa: ANN401 - any key of the table
    """Make a rule that pages at once for every service that is stopped, and clears at once."""
    keys: dict[str, Any] = {
        "name": "down",
        "while_": {"type": "service", "state": "Stopped"},
        "for_seconds": 0.0,
        "clear_for_seconds": 0.0,
        "text": "{{ name }} down",
        "resolve_text": "{{ name }} up",
        **more,
    }
    return incident_rule(incident_settings(**keys))


def set_state(world: World, number: int, state: str = "Stopped") -> list[Notice]:
    """Let a service have a state, and verify what follows; give what that said."""
    uri, name = f"/api/v1/service/s{number}/", f"web-{number}"
    said = notices(world.event(uri, state, parents=[], object={"name": name}))
    return said + notices(world.found(uri, name=name, state=state))


def world_of(*rules: IncidentRule, **more: Any) -> World:  # noqa: ANN401 - as World.of
    """Make a world that is caught up."""
    world = World.of(*(rules or (down(),)), **more)
    world.catch_up()
    return world


def flood(count: int) -> World:
    """Make a world in which so many services are down."""
    world = world_of()
    for number in range(count):
        set_state(world, number)
    return world


class ManyTests(SynchronousTestCase):
    """The openings after the tenth in a minute are one group."""

    def test_ten_are_told_singly(self) -> None:
        world = world_of()
        for number in range(10):
            self.assertEqual(forms(set_state(world, number)), [("plain", TRIGGER)])
        self.assertEqual(world.wait(100.0), [])

    def test_further_ones_are_told_together_after_a_while(self) -> None:
        world = flood(10)
        for number in (10, 11, 12):
            self.assertEqual(set_state(world, number), [])
        self.assertEqual(world.wait(GATHER_SECONDS - 0.1), [])
        (said,) = world.wait(0.1)
        self.assertEqual((said.key, said.form.value, said.rule), (MANY, TRIGGER, "down"))
        self.assertEqual(
            said.text,
            "more incidents: 3 are open: service web-10 (down), service web-11 (down), "
            "service web-12 (down)",
        )
        self.assertEqual(world.wait(1000.0), [])

    def test_one_alone(self) -> None:
        world = flood(11)
        (said,) = world.wait(10.0)
        self.assertEqual(said.text, "more incidents: service web-10 (down)")

    def test_a_minute_later_they_are_told_singly_again(self) -> None:
        world = flood(10)
        world.wait(SINGLY_SECONDS)
        self.assertEqual(forms(set_state(world, 10)), [("plain", TRIGGER)])

    def test_each_notifier_has_its_own_ten(self) -> None:
        world = world_of(down(), down(name="pd", while_={"type": "node", "state": "Stopped"}, notify="pd"))  # fmt: skip
        for number in range(11):
            set_state(world, number)
        said = notices(world.event(NODE, "Stopped", parents=[]))
        said += notices(world.found(NODE, state="Stopped"))
        self.assertEqual(forms(said), [("pd", TRIGGER)])

    def test_later_ones_are_told_with_the_rest_and_first(self) -> None:
        world = flood(12)
        world.wait(10.0)
        set_state(world, 12)
        self.assertEqual(world.wait(UPDATE_SECONDS - 0.1), [])
        (update,) = world.wait(0.1)
        self.assertEqual((update.key, update.form.value), (MANY, TRIGGER))
        self.assertEqual(
            update.text,
            "more incidents: 3 are open: service web-12 (down), service web-10 (down), "
            "service web-11 (down)",
        )

    def test_many_names_are_cut(self) -> None:
        world = flood(22)
        (said,) = world.wait(10.0)
        self.assertTrue(said.text.startswith("more incidents: 12 are open: service web-10"))
        self.assertTrue(said.text.endswith(" and 2 more"))

    def test_it_is_as_severe_as_the_worst_in_it(self) -> None:
        for severities, worst in (
            ((Severity.WARNING, Severity.INFO), Severity.WARNING),
            ((Severity.INFO, Severity.ERROR), Severity.ERROR),
        ):
            rules = [
                down(name=name, severity=severity, key=f"{name}/{{{{ name }}}}")
                for name, severity in zip("ab", severities, strict=True)
            ]
            world = world_of(*rules)
            for number in range(6):
                set_state(world, number)
            (group,) = world.wait(10.0)
            self.assertEqual(group.severity, worst)

    def test_what_is_in_it_marks_it(self) -> None:
        world = flood(10)
        world.event("/api/v1/service/x/", "Stopped", parents=[], object={"name": "x"})
        world.unanswered("/api/v1/service/x/")
        (said,) = world.wait(10.0)
        self.assertEqual(said.text, "more incidents: service x (down) (unverified)")
        self.assertEqual(said.marks, ("unverified",))


class EndTests(SynchronousTestCase):
    """A group is resolved with the last that is in it, and only if it was told."""

    def test_only_the_last_end_is_told(self) -> None:
        world = flood(13)
        world.wait(10.0)
        self.assertEqual(set_state(world, 11, "Running"), [])
        self.assertEqual(set_state(world, 10, "Running"), [])
        (said,) = set_state(world, 12, "Running")
        self.assertEqual((said.key, said.form.value, said.text), (MANY, RESOLVE, "more incidents: all are over"))  # fmt: skip
        self.assertEqual(forms(set_state(world, 0, "Running")), [("plain", RESOLVE)])

    def test_one_that_ends_before_it_is_told_is_not_named(self) -> None:
        world = flood(12)
        self.assertEqual(set_state(world, 10, "Running"), [])
        (said,) = world.wait(10.0)
        self.assertEqual(said.text, "more incidents: service web-11 (down)")

    def test_one_that_ended_before_it_was_told_was_none(self) -> None:
        world = flood(12)
        said = set_state(world, 10, "Running") + set_state(world, 11, "Running")
        self.assertEqual(said + world.wait(100.0), [])
        self.assertFalse(world.decider.incidents.is_told(MANY))

    def test_news_that_ended_before_they_were_told_are_none(self) -> None:
        """The notifier knows all that is in it."""
        world = flood(12)
        world.wait(10.0)
        for number in (12, 13):
            set_state(world, number)
        for number in (12, 13):
            set_state(world, number, "Running")
        self.assertEqual(world.wait(1000.0), [])
        self.assertEqual(set_state(world, 10, "Running"), [])
        self.assertEqual(forms(set_state(world, 11, "Running")), [("plain", RESOLVE)])

    def test_the_next_group_is_told_anew(self) -> None:
        world = flood(11)
        world.wait(10.0)
        set_state(world, 10, "Running")
        set_state(world, 10)
        (said,) = world.wait(GATHER_SECONDS)
        self.assertEqual(forms([said]), [("plain", TRIGGER)])

    def test_a_person_closes_all_that_is_in_it_at_once(self) -> None:
        world = flood(13)
        world.wait(10.0)
        said = notices(world.resolve(MANY))
        self.assertEqual([(n.key, n.form.value) for n in said], [(MANY, RESOLVE)])
        self.assertEqual(len(world.open_keys()), 10)


class ExcuseTests(SynchronousTestCase):
    """What another incident explained and does not any more is one group."""

    def rules(self, **more: Any) -> list[IncidentRule]:  # noqa: ANN401 - any key of the table
        """Make a rule that explains others for ten seconds."""
        lost = down(name="lost", while_={"type": "node", "state": "Stopped"})
        return [lost, down(unless_open="lost", unless_max=Duration(10.0), **more)]

    def world(self, count: int, **more: Any) -> World:  # noqa: ANN401 - as above
        """Make a world in which a node is lost, and services on it."""
        world = world_of(*self.rules(**more))
        world.event(NODE, "Stopped", parents=[], object={"name": "n1"})
        world.found(NODE, name="n1", state="Stopped")
        for number in range(count):
            self.set_state(world, number)
        return world

    def set_state(self, world: World, number: int, state: str = "Stopped") -> list[Notice]:
        """Let a service on the node have a state, and verify what follows."""
        uri, name = f"/api/v1/service/s{number}/", f"web-{number}"
        said = notices(world.event(uri, state, parents=[NODE], object={"name": name}))
        return said + notices(world.found(uri, name=name, state=state))

    def pass_excuse(self, world: World, count: int) -> list[Notice]:
        """Let the time pass for which they are excused, and verify what follows."""
        said = world.wait(10.0)
        for number in range(count):
            said += notices(world.found(f"/api/v1/service/s{number}/", state="Stopped"))
        return said + world.wait(GATHER_SECONDS)

    def test_they_are_told_as_one(self) -> None:
        world = self.world(2)
        (said,) = self.pass_excuse(world, 2)
        self.assertEqual(said.key, "down after lost")
        self.assertEqual(said.text, "down after lost: 2 are open: service web-0, service web-1")

    def test_one_alone_is_told_under_the_key_of_the_group(self) -> None:
        """Others may follow."""
        world = self.world(1)
        (said,) = self.pass_excuse(world, 1)
        self.assertEqual((said.key, said.text), ("down after lost", "down after lost: service web-0"))  # fmt: skip
        self.assertEqual(forms(self.set_state(world, 0, "Running")), [("plain", RESOLVE)])

    def test_they_are_none_of_the_ten(self) -> None:
        world = self.world(12)
        self.assertEqual(len(self.pass_excuse(world, 12)), 1)
        self.assertEqual(forms(set_state(world, 20)), [("plain", TRIGGER)])


class KeptTests(SynchronousTestCase):
    """Groups go on over restarts, reloads and other names."""

    def test_one_that_gathers_is_told_at_its_time(self) -> None:
        world = flood(12)
        world.now += 2.0
        world.restart(down())
        (said,) = world.wait(100.0)
        self.assertEqual((said.at, said.key), (1005.0, MANY))

    def test_one_that_was_told_is_not_told_again(self) -> None:
        world = flood(12)
        world.wait(10.0)
        self.assertEqual(notices(world.restart(down())) + world.wait(1000.0), [])
        world.catch_up()
        self.assertEqual(set_state(world, 10, "Running"), [])
        self.assertEqual(forms(set_state(world, 11, "Running")), [("plain", RESOLVE)])

    def test_news_that_were_not_told_yet(self) -> None:
        world = flood(12)
        world.wait(10.0)
        set_state(world, 12)
        world.restart(down())
        world.catch_up()
        self.assertEqual(set_state(world, 10, "Running"), [])
        (said,) = world.wait(100.0)
        self.assertIn("2 are open: service web-12 (down), service web-11", said.text)

    def test_the_ten_are_counted_over_a_restart(self) -> None:
        world = flood(10)
        world.restart(down())
        world.catch_up()
        self.assertEqual(set_state(world, 10), [])

    def test_openings_of_a_clock_that_was_wrong_do_not_count(self) -> None:
        world = flood(10)
        world.now -= 500.0
        world.restart(down())
        world.catch_up()
        self.assertEqual(forms(set_state(world, 10)), [("plain", TRIGGER)])

    def test_a_rule_that_is_removed_leaves_the_rest(self) -> None:
        rules = [down(key="a/{{ name }}"), down(name="other", key="b/{{ name }}")]
        world = world_of(*rules)
        for number in range(6):
            set_state(world, number)
        world.wait(10.0)
        said = notices(world.reload(rule_set(rules[0])))
        self.assertEqual({(n.rule, n.form.value) for n in said}, {("other", RESOLVE)})
        self.assertNotIn(MANY, {n.key for n in said})
        self.assertEqual([n.key for n in set_state(world, 5, "Running")], [MANY])
        self.assertFalse(world.decider.incidents.is_told(MANY))

    def test_a_rule_with_another_name_stays_in_it(self) -> None:
        world = flood(13)
        world.wait(10.0)
        set_state(world, 13)
        self.assertEqual(notices(world.reload(rule_set(down(name="ill", was="down")))), [])
        (update,) = world.wait(UPDATE_SECONDS)
        self.assertTrue(
            update.text.startswith("more incidents: 4 are open: service web-13 (ill)"), update.text
        )
        for number in (10, 11, 12):
            self.assertEqual(set_state(world, number, "Running"), [])
        self.assertEqual(forms(set_state(world, 13, "Running")), [("plain", RESOLVE)])

    def test_a_notifier_that_is_off_now_hears_nothing(self) -> None:
        world = flood(12)
        rules = rule_set(down(notify="pd"))
        on = {name: one for name, one in rules.destinations.items() if name != "plain"}
        said = notices(world.reload(attrs.evolve(rules, destinations=on)))
        self.assertEqual({n.notifier for n in said + world.wait(100.0)}, {"pd"})

    def test_a_group_whose_record_cannot_be_read_was_told(self) -> None:
        world = flood(12)
        world.wait(10.0)
        world.records["group", '["plain","more incidents"]'] = b"?"
        world.restart(down())
        self.assertEqual(world.unreadable_count, 1)
        world.catch_up()
        self.assertEqual(set_state(world, 10, "Running"), [])
        self.assertEqual(forms(set_state(world, 11, "Running")), [("plain", RESOLVE)])

    def test_a_group_of_which_nobody_knows_what_is_in_it_ends(self) -> None:
        world = flood(11)
        world.wait(10.0)
        name = next(n for n in world.records if n[0] == "incident" and "web-10" in n[1])
        world.records[name] = b"?"
        said = notices(world.restart(down()))
        self.assertEqual([(n.key, n.form.value) for n in said], [(MANY, RESOLVE)])

    def test_everything_again_for_a_store_that_lost_it(self) -> None:
        world = flood(12)
        kept = dict(world.records)
        world.decider.save_everything()
        again = world.tick().records
        for kind in ("group", "openings", "incident"):
            names = {name for name in kept if name[0] == kind}
            self.assertTrue(names)
            self.assertEqual({n: again[n] for n in names}, {n: kept[n] for n in names})

    def test_a_group_grows_by_no_record(self) -> None:
        """What is in it is not written again with every one that joins it."""
        world = flood(11)
        records = world.event("/api/v1/service/s11/", "Stopped", parents=[]).records
        records |= world.found("/api/v1/service/s11/", state="Stopped").records
        self.assertNotIn("group", {kind for kind, _ in records})
        kept = world.records["group", '["plain","more incidents"]']
        self.assertEqual(
            msgspec.msgpack.decode(kept),
            {"notifier": "plain", "key": MANY, "is_told": False, "gathered": 1000.0},
        )
