"""Tests of going on under other rules: at a reload, and at a restart with another configuration.

No page stays open that nothing would close any more, none is sent twice, and no timer restarts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.tutum_events import kind_and_uuid
from tests.rules.talk import make_ignores
from tests.rules.world import (
    CONTAINER,
    NODE,
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
from tutumwatch.rules.rule_set import RuleSet
from tutumwatch.settings import Duration

OTHER = "/api/v1/service/s2/"
KEY = "down/main/service/shop/web"


def down(**more: Any) -> IncidentRule:  # noqa: ANN401 - any key of the table
    """Make a rule that pages for every service that is stopped for a minute."""
    keys: dict[str, Any] = {
        "name": "down",
        "while_": {"type": "service", "state": "Stopped"},
        "for_seconds": 60.0,
        "clear_for_seconds": 30.0,
        "text": "{{ name }} down",
        "resolve_text": "{{ name }} up",
        **more,
    }
    return incident_rule(incident_settings(**keys))


def answer(world: World) -> list[Notice]:
    """Let the platform say of all that is asked for what is known of it; give what that said."""
    said: list[Notice] = []
    for uri in world.uris_asked():
        known = world.decider.inventory.get(("main", *kind_and_uuid(uri)))
        if known is not None:
            said += notices(world.found(uri, name=known.name, state=known.state))
    return said


def pass_time(world: World, seconds: float) -> list[Notice]:
    """Let time pass, and what has to be verified be so."""
    said = world.wait(seconds)
    return said + answer(world)


def world_of(*rules: IncidentRule, **more: Any) -> World:  # noqa: ANN401 - as World.of
    """Make a world in which a service has just stopped."""
    world = World.of(*(rules or (down(),)), **more)
    world.found(STACK, name="shop", state="Running")
    world.catch_up()
    world.event(SERVICE, "Stopped", parents=[STACK], object={"name": "web"})
    return world


def opened(*rules: IncidentRule, **more: Any) -> World:  # noqa: ANN401 - as World.of
    """Make a world in which that is told."""
    world = world_of(*rules, **more)
    assert forms(pass_time(world, 60.0)) == [("plain", TRIGGER)]
    return world


def restart(world: World, rules: RuleSet) -> list[Notice]:
    """Restart under other rules, and catch up."""
    said = notices(world.restart_under(rules))
    said += notices(world.catch_up())
    return said + answer(world)


def reload(world: World, rules: RuleSet) -> list[Notice]:
    """Reload other rules."""
    return notices(world.reload(rules)) + answer(world)


Change = Callable[[World, RuleSet], list[Notice]]
WAYS: tuple[Change, ...] = (reload, restart)


class SameRulesTests(SynchronousTestCase):
    """The same rules again change nothing."""

    def test_nothing_is_said_and_no_timer_restarts(self) -> None:
        for go_on in WAYS:
            world = world_of()
            world.wait(59.0)
            self.assertEqual(go_on(world, rule_set(down())), [])
            self.assertEqual([n.at for n in pass_time(world, 1.0)], [1060.0])
            self.assertEqual(go_on(world, rule_set(down())), [])
            world.event(SERVICE, "Running", object={"name": "web"})
            world.wait(29.0)
            self.assertEqual(go_on(world, rule_set(down())), [])
            self.assertEqual([n.at for n in pass_time(world, 1.0)], [1090.0])

    def test_what_was_being_verified_is_verified_again(self) -> None:
        for go_on in WAYS:
            world = world_of()
            world.wait(60.0)
            world.uris_asked()
            said = go_on(world, rule_set(down())) + pass_time(world, 0.0)
            self.assertEqual(forms(said), [("plain", TRIGGER)])

    def test_no_member_is_written_again(self) -> None:
        """There may be ten thousand."""
        world = opened()
        world.event(OTHER, "Stopped", parents=[], object={"name": "db"})
        for decided in (world.restart(down()), world.reload(rule_set(down()))):
            self.assertNotIn("member", {kind for kind, _ in decided.records})

    def test_nothing_is_judged_again(self) -> None:
        """A member that was excused by what only an event tells stays excused."""
        world = world_of(down(unless={"state": "Stopped"}))
        self.assertEqual(world.phases(), {"s1": "excused"})
        world.reload(rule_set(down(unless={"state": "Stopped"})))
        self.assertIsNone(world.decider.next_due())


class TimesTests(SynchronousTestCase):
    """Other lengths of time count from when it began."""

    def test_for(self) -> None:
        for seconds, at in ((120.0, 1120.0), (30.0, 1040.0)):
            for go_on in WAYS:
                world = world_of()
                world.wait(40.0)
                said = go_on(world, rule_set(down(for_seconds=seconds)))
                said += pass_time(world, max(0.0, at - world.now))
                self.assertEqual([n.at for n in said], [at])

    def test_clear_for(self) -> None:
        for seconds, at in ((60.0, 1120.0), (10.0, 1080.0)):
            for go_on in WAYS:
                world = opened()
                world.event(SERVICE, "Running", object={"name": "web"})
                world.wait(20.0)
                said = go_on(world, rule_set(down(clear_for_seconds=seconds)))
                said += pass_time(world, max(0.0, at - world.now))
                self.assertEqual([n.at for n in said], [at])

    def test_unless_max(self) -> None:
        lost = down(name="lost", while_={"type": "node", "state": "Stopped"}, for_seconds=0.0)
        rules = [lost, down(unless_open="lost", unless_max=Duration(1000.0), for_seconds=0.0)]
        other = down(unless_open="lost", unless_max=Duration(100.0), for_seconds=0.0)
        for go_on in WAYS:
            world = World.of(*rules)
            world.catch_up()
            world.event(NODE, "Stopped", parents=[], object={"name": "n1"})
            answer(world)
            world.event(SERVICE, "Stopped", parents=[NODE], object={"name": "web"})
            world.wait(200.0)
            self.assertEqual(world.phases(), {"n1": "open", "s1": "excused"})
            go_on(world, rule_set(lost, other))
            pass_time(world, 0.0)
            self.assertEqual(world.phases(), {"n1": "open", "s1": "open"})

    def test_what_a_silence_withholds_stays_so(self) -> None:
        world = world_of()
        world.silence({"type": "service"}, 500.0)
        self.assertEqual(pass_time(world, 100.0), [])
        self.assertEqual(reload(world, rule_set(down())), [])
        self.assertEqual(pass_time(world, 399.0), [])
        self.assertEqual(restart(world, rule_set(down())), [])
        self.assertEqual([n.at for n in pass_time(world, 1.0)], [1500.0])

    def test_what_a_silence_withheld_that_is_over(self) -> None:
        world = world_of()
        world.silence({"type": "service"}, 500.0)
        pass_time(world, 100.0)
        world.now += 1000.0
        said = restart(world, rule_set(down())) + pass_time(world, 1.0)
        self.assertEqual(forms(said), [("plain", TRIGGER)])


class RemovedTests(SynchronousTestCase):
    """A rule that is not there any more leaves nothing behind."""

    def test_it_is_resolved_where_it_was_told(self) -> None:
        for go_on in WAYS:
            world = opened(down(notify="plain"), down(name="other", for_seconds=1000.0))
            (said,) = go_on(world, rule_set(down(name="other", for_seconds=1000.0)))
            self.assertEqual((said.notifier, said.form.value, said.key), ("plain", RESOLVE, KEY))
            self.assertEqual(said.text, "down: shop/web is closed: its rule was removed")
            self.assertEqual(world.phases(), {"s1": "pending"})
            self.assertFalse([n for kind, n in world.records if kind == "rule" and "down" in n])

    def test_what_was_pending_is_forgotten(self) -> None:
        for go_on in WAYS:
            world = world_of()
            self.assertEqual(go_on(world, rule_set()) + pass_time(world, 100.0), [])

    def test_it_explains_nothing_any_more(self) -> None:
        lost = down(name="lost", while_={"type": "node", "state": "Stopped"}, for_seconds=0.0)
        for go_on in WAYS:
            world = World.of(lost, down(unless_open="lost", for_seconds=0.0))
            world.catch_up()
            world.event(NODE, "Stopped", parents=[], object={"name": "n1"})
            answer(world)
            world.event(SERVICE, "Stopped", parents=[NODE], object={"name": "web"})
            go_on(world, rule_set(down(for_seconds=0.0)))
            pass_time(world, 0.0)
            self.assertEqual(world.phases(), {"s1": "open"})


class ChangedTests(SynchronousTestCase):
    """Another condition is judged at once, for all that is known."""

    def test_what_does_not_hold_any_more_is_resolved(self) -> None:
        for go_on in WAYS:
            world = opened()
            (said,) = go_on(world, rule_set(down(while_={"type": "service", "name": "db"})))
            self.assertEqual((said.key, said.form.value), (KEY, RESOLVE))
            self.assertEqual(said.text, "down: shop/web is closed: its rule was changed")

    def test_what_it_is_not_about_any_more_is_resolved(self) -> None:
        for go_on in WAYS:
            world = opened()
            (said,) = go_on(world, rule_set(down(while_={"type": "node", "state": "Stopped"})))
            self.assertEqual(said.text, "down: shop/web is closed: its rule was changed")

    def test_what_holds_still_goes_on(self) -> None:
        for go_on in WAYS:
            world = opened()
            wide = down(while_={"type": "service", "state": ["Stopped", "Starting"]})
            self.assertEqual(go_on(world, rule_set(wide)), [])
            self.assertEqual(world.open_keys(), [KEY])

    def test_what_is_pending_under_it_goes_on(self) -> None:
        for go_on in WAYS:
            world = world_of()
            world.wait(50.0)
            wide = down(while_={"type": "service", "state": ["Stopped", "Starting"]})
            self.assertEqual(go_on(world, rule_set(wide)), [])
            self.assertEqual([n.at for n in pass_time(world, 10.0)], [1060.0])

    def test_what_holds_only_now_begins_now(self) -> None:
        for go_on in WAYS:
            world = world_of(down(while_={"type": "service", "state": "Starting"}))
            world.wait(50.0)
            self.assertEqual(go_on(world, rule_set(down())), [])
            self.assertEqual([n.at for n in pass_time(world, 60.0)], [1110.0])

    def test_what_is_gone_is_not_judged(self) -> None:
        world = world_of(down(while_={"type": "service", "state": "Starting"}))
        world.event(SERVICE, "Terminated", action="delete")
        world.reload(rule_set(down(while_={"type": "service"})))
        self.assertEqual(world.phases(), {})

    def test_what_is_clearing_goes_on_to_clear(self) -> None:
        """What we knew when we were stopped may be old."""
        for go_on in WAYS:
            world = opened()
            world.event(SERVICE, "Running", object={"name": "web"})
            world.wait(20.0)
            wide = down(while_={"type": "service", "state": ["Stopped", "Starting"]})
            self.assertEqual(go_on(world, rule_set(wide)), [])
            self.assertEqual([n.at for n in pass_time(world, 10.0)], [1090.0])

    def test_another_form(self) -> None:
        for go_on in WAYS:
            for other in (
                {"absent": {"type": "service", "name": "web"}},
                {"each": {"type": "service", "state": "Stopped"}, "within": Duration(60.0)},
            ):
                world = opened()
                settings = incident_settings(name="down", **other)
                (said,) = go_on(world, rule_set(incident_rule(settings)))
                self.assertEqual(said.text, "down: shop/web is closed: its rule was changed")
                self.assertEqual(world.phases(), {})

    def test_another_excuse_applies_to_what_is_pending(self) -> None:
        for go_on in WAYS:
            world = world_of()
            excused = down(unless={"name": "web"}, clear_for_seconds=0.0)
            self.assertEqual(go_on(world, rule_set(excused)) + pass_time(world, 100.0), [])
            self.assertEqual(world.phases(), {"s1": "excused"})
            self.assertEqual(go_on(world, rule_set(down())), [])
            self.assertEqual(len(pass_time(world, 60.0)), 1)

    def test_another_excuse_closes_nothing(self) -> None:
        for go_on in WAYS:
            world = opened()
            self.assertEqual(go_on(world, rule_set(down(unless={"name": "web"}))), [])
            self.assertEqual(world.open_keys(), [KEY])

    def test_another_rule_that_explains(self) -> None:
        lost = down(name="lost", while_={"type": "node", "state": "Stopped"}, for_seconds=0.0)
        for go_on in WAYS:
            world = World.of(lost, down(for_seconds=0.0, unless_open="lost"))
            world.catch_up()
            world.event(NODE, "Stopped", parents=[], object={"name": "n1"})
            answer(world)
            world.event(SERVICE, "Stopped", parents=[NODE], object={"name": "web"})
            self.assertEqual(world.phases(), {"n1": "open", "s1": "excused"})
            go_on(world, rule_set(lost, down(for_seconds=0.0)))
            pass_time(world, 0.0)
            self.assertEqual(world.phases(), {"n1": "open", "s1": "open"})

    def test_another_rule_that_explains_what_was_counted(self) -> None:
        lost = down(name="lost", while_={"type": "service", "state": "Stopped"}, for_seconds=0.0)
        loop: dict[str, Any] = {
            "each": {"type": "container", "ended": "failed"},
            "name": "loop",
            "within": Duration(1e6),
            "per": "service",
            "for_seconds": 0.0,
        }
        explained = incident_rule(incident_settings(**loop, unless_open="lost"))
        for go_on in WAYS:
            world = world_of(lost, explained)
            answer(world)
            world.event(CONTAINER, "Stopped", parents=[SERVICE], object={"exit_code": 1})
            world.wait(100.0)
            self.assertEqual(world.open_keys(), ["lost/main/service/shop/web"])
            go_on(world, rule_set(lost, incident_rule(incident_settings(**loop))))
            pass_time(world, 0.0)
            self.assertEqual(len(world.open_keys()), 2)

    def test_what_explained_it_may_not_hold_any_more(self) -> None:
        """Then it is judged again, although its own rule is the same."""
        while_ = {"type": "node", "state": "Stopped"}
        lost = down(name="lost", while_=while_, for_seconds=0.0)
        narrow = down(name="lost", while_={**while_, "name": "n2"}, for_seconds=0.0)
        ill = down(for_seconds=0.0, unless_open="lost")
        for go_on in WAYS:
            world = World.of(lost, ill)
            world.catch_up()
            world.event(NODE, "Stopped", parents=[], object={"name": "n1"})
            answer(world)
            world.event(SERVICE, "Stopped", parents=[NODE], object={"name": "web"})
            said = go_on(world, rule_set(narrow, ill)) + pass_time(world, 10.0)
            self.assertEqual(
                [(n.key, n.form.value) for n in said],
                [("lost/main/node/n1", RESOLVE), ("down after lost", TRIGGER)],
            )

    def test_what_is_ignored_now_is_resolved(self) -> None:
        for go_on in WAYS:
            world = opened()
            ignores = make_ignores({"name": "web"})
            rules = rule_set(down(severity="info", when='type != "x"'), ignores=ignores)
            (said,) = go_on(world, rules)
            self.assertEqual(said.form.value, RESOLVE)
            self.assertEqual(said.text, "down: shop/web is closed: it is ignored now")

    def test_what_is_counted_and_ignored_now_is_resolved(self) -> None:
        settings: dict[str, Any] = {
            "each": {"type": "container", "ended": "failed"},
            "name": "loop",
            "within": Duration(600.0),
            "per": "service",
            "for_seconds": 0.0,
        }
        for go_on in WAYS:
            world = World.of(incident_rule(incident_settings(**settings)))
            world.catch_up()
            world.event(SERVICE, "Not running", object={"name": "web"})
            world.event(CONTAINER, "Stopped", parents=[SERVICE], object={"exit_code": 1})
            answer(world)
            self.assertEqual(world.open_keys(), ["loop/main/service/web"])
            rule = incident_rule(incident_settings(**settings, when='type != "x"'))
            rules = rule_set(rule, ignores=make_ignores({"type": "service", "name": "web"}))
            self.assertEqual(forms(go_on(world, rules)), [("plain", RESOLVE)])


class KeyTests(SynchronousTestCase):
    """Another key is another incident; what its members have behind them counts."""

    def test_an_open_one_is_resolved_and_opens_under_the_other_key(self) -> None:
        for go_on in WAYS:
            world = opened()
            said = go_on(world, rule_set(down(key="{{ name }}"))) + pass_time(world, 0.0)
            self.assertEqual(
                [(n.key, n.form.value) for n in said], [(KEY, RESOLVE), ("web", TRIGGER)]
            )
            self.assertEqual(world.open_keys(), ["web"])
            said = go_on(world, rule_set(down())) + pass_time(world, 0.0)
            self.assertEqual(
                [(n.key, n.form.value) for n in said], [("web", RESOLVE), (KEY, TRIGGER)]
            )

    def test_a_pending_one_goes_on(self) -> None:
        for go_on in WAYS:
            world = world_of()
            world.wait(50.0)
            self.assertEqual(go_on(world, rule_set(down(key="{{ name }}"))), [])
            self.assertEqual([(n.key, n.at) for n in pass_time(world, 10.0)], [("web", 1060.0)])

    def test_one_that_clears_ends_under_the_key_that_was_told(self) -> None:
        world = opened()
        world.event(SERVICE, "Running", object={"name": "web"})
        world.wait(10.0)
        (said,) = reload(world, rule_set(down(key="{{ name }}")))
        self.assertEqual((said.key, said.form.value), (KEY, RESOLVE))
        self.assertEqual(pass_time(world, 100.0), [])
        self.assertEqual(world.phases(), {})

    def test_a_key_that_is_not_known_now_moves_nothing(self) -> None:
        world = World.of(down(key="{{ stack.name }}"))
        world.catch_up()
        world.found(STACK, name="shop", state="Running")
        world.event(SERVICE, "Stopped", parents=[STACK], object={"name": "web"})
        pass_time(world, 60.0)
        self.assertEqual(world.open_keys(), ["shop"])
        world.event(SERVICE, "Stopped", parents=["/api/v1/stack/k9/"])
        self.assertEqual(
            reload(world, rule_set(down(key="{{ stack.name }}", when='type != "x"'))), []
        )
        self.assertEqual(world.open_keys(), ["shop"])

    def test_one_that_a_person_closed_stays_closed(self) -> None:
        for go_on in WAYS:
            world = opened()
            world.resolve(KEY)
            said = go_on(world, rule_set(down(key="{{ name }}"))) + pass_time(world, 1000.0)
            self.assertEqual(said, [])

    def test_a_page_beside_one_that_a_person_closed_does_not_stay_open(self) -> None:
        world = opened(down(key="shop"))
        world.resolve("shop")
        world.event(OTHER, "Stopped", parents=[STACK], object={"name": "db"})
        self.assertEqual(forms(pass_time(world, 60.0)), [("plain", TRIGGER)])
        narrow = down(key="shop", while_={"type": "service", "state": "Stopped", "name": "web"})
        self.assertEqual(forms(reload(world, rule_set(narrow))), [("plain", RESOLVE)])


class OwnKeyTests(SynchronousTestCase):
    """Without a ``key`` another rule, or another name of the resource, moves nothing."""

    def test_what_is_open_has_another_name_by_now(self) -> None:
        for go_on in WAYS:
            world = opened()
            world.event(SERVICE, "Stopped", object={"name": "shop-web"})
            answer(world)
            self.assertEqual(go_on(world, rule_set(down(when='type != "x"'))), [])
            self.assertEqual(world.open_keys(), [KEY])

    def test_what_opened_before_its_names_were_known(self) -> None:
        for go_on in WAYS:
            world = World.of(down(for_seconds=0.0))
            world.catch_up()
            world.event(SERVICE, "Stopped", parents=[STACK], object={"name": "web"})
            world.wait(10.0)
            self.assertEqual(world.open_keys(), ["down/main/service/s1"])
            world.found(STACK, name="shop", state="Running")
            self.assertEqual(go_on(world, rule_set(down(when='type != "x"'))), [])
            self.assertEqual(world.open_keys(), ["down/main/service/s1"])


class RenamedTests(SynchronousTestCase):
    """``was``: the rule is called otherwise, and all else goes on."""

    def test_an_open_one_keeps_the_key_that_was_told(self) -> None:
        for go_on in WAYS:
            world = opened()
            self.assertEqual(go_on(world, rule_set(down(name="ill", was="down"))), [])
            self.assertEqual(world.open_keys(), ["ill/main/service/shop/web"])
            world.event(SERVICE, "Running", object={"name": "web"})
            (said,) = pass_time(world, 30.0)
            self.assertEqual((said.key, said.rule, said.form.value), (KEY, "ill", RESOLVE))
            world.event(SERVICE, "Stopped", object={"name": "web"})
            (said,) = pass_time(world, 60.0)
            self.assertEqual((said.key, said.rule), ("ill/main/service/shop/web", "ill"))

    def test_a_pending_one_goes_on(self) -> None:
        for go_on in WAYS:
            world = world_of()
            world.wait(50.0)
            self.assertEqual(go_on(world, rule_set(down(name="ill", was="down"))), [])
            self.assertEqual([n.at for n in pass_time(world, 10.0)], [1060.0])

    def test_with_a_key_of_its_own(self) -> None:
        for go_on in WAYS:
            world = opened(down(key="down/{{ name }}"))
            renamed = rule_set(down(name="ill", was="down", key="down/{{ name }}"))
            self.assertEqual(go_on(world, renamed), [])
            self.assertEqual(world.open_keys(), ["down/web"])

    def test_it_may_be_changed_at_once(self) -> None:
        for go_on in WAYS:
            world = opened()
            other = down(name="ill", was="down", while_={"type": "service", "name": "db"})
            (said,) = go_on(world, rule_set(other))
            self.assertEqual((said.key, said.form.value), (KEY, RESOLVE))

    def test_the_same_rules_again(self) -> None:
        """``was`` may stay in the file; and the new name is known after a restart."""
        world = opened(down(), down(name="other", for_seconds=1e6))
        rules = rule_set(down(name="ill", was="down"), down(name="other", for_seconds=1e6))
        for go_on in (reload, reload, restart, restart):
            self.assertEqual(go_on(world, rules), [])
            self.assertEqual(world.open_keys(), ["ill/main/service/shop/web"])
            names = {name for kind, name in world.records if kind == "rule"}
            self.assertEqual(names, {'["ill"]', '["other"]'})

    def test_other_rules_keep_their_names(self) -> None:
        world = world_of(down(), down(name="other"))
        pass_time(world, 60.0)
        self.assertEqual(reload(world, rule_set(down(name="ill", was="down"), down(name="other"))), [])  # fmt: skip
        self.assertEqual(
            set(world.open_keys()), {"ill/main/service/shop/web", "other/main/service/shop/web"}
        )

    def test_a_rule_that_was_there_already_is_not_the_other_one(self) -> None:
        world = opened(down(), down(name="ill", for_seconds=1e6))
        (said,) = reload(world, rule_set(down(name="ill", was="down", for_seconds=1e6)))
        self.assertEqual((said.key, said.form.value), (KEY, RESOLVE))
        self.assertEqual(world.phases(), {"s1": "pending"})

    def test_what_is_absent(self) -> None:
        for go_on in WAYS:
            settings: dict[str, Any] = {"absent": {"type": "stack", "name": "x"}, "for_seconds": 0.0, "clear_for_seconds": 0.0}  # fmt: skip
            world = World.of(incident_rule(incident_settings(name="gone", **settings)))
            self.assertEqual(forms(notices(world.catch_up())), [("plain", TRIGGER)])
            renamed = incident_settings(name="missing", was="gone", **settings)
            self.assertEqual(go_on(world, rule_set(incident_rule(renamed))), [])
            self.assertEqual(world.phases(), {"missing": "open"})
            (said,) = notices(world.event(STACK, "Running", object={"name": "x"}))
            self.assertEqual((said.key, said.rule, said.form.value), ("gone", "missing", RESOLVE))
            self.assertEqual(said.details["name"], "missing")


class LostTests(SynchronousTestCase):
    """What cannot be known any more."""

    def test_a_resource_that_nobody_can_tell_of(self) -> None:
        world = opened()
        world.decider.inventory.forget_others(set(), set())
        (said,) = notices(world.reload(rule_set(down())))
        self.assertEqual(said.text, "down: shop/web is closed: nothing is in it")

    def test_an_open_one_whose_record_cannot_be_read_opens_again(self) -> None:
        """Its key is the same, so whoever keeps it open hears it once."""
        world = opened()
        (name,) = (name for name in world.records if name[0] == "incident")
        world.records[name] = b"?"
        said = restart(world, rule_set(down())) + pass_time(world, 1.0)
        self.assertEqual([(n.key, n.form.value) for n in said], [(KEY, TRIGGER)])
        world.event(SERVICE, "Running", object={"name": "web"})
        self.assertEqual(forms(pass_time(world, 30.0)), [("plain", RESOLVE)])

    def test_what_was_counted_for_what_is_not_known_goes_on(self) -> None:
        each: dict[str, Any] = {
            "each": {"type": "container", "ended": "failed"},
            "within": Duration(600.0),
        }
        rule = incident_rule(incident_settings(name="loop", per="stack", for_seconds=0.0, **each))
        world = World.of(rule)
        world.catch_up()
        world.event(CONTAINER, "Stopped", parents=[STACK], object={"exit_code": 1})
        self.assertEqual(world.open_keys(), ["loop/main/stack/k1"])
        self.assertEqual(reload(world, rule_set(rule)), [])
        self.assertEqual(restart(world, rule_set(rule)), [])
        self.assertEqual(world.open_keys(), ["loop/main/stack/k1"])

    def test_everything_again_for_a_store_that_lost_it(self) -> None:
        world = opened()
        world.decider.save_everything()
        again = world.tick().records
        self.assertEqual(again["rule", '["down"]'], world.records["rule", '["down"]'])
