"""Tests of what is told of incidents that are open: whom, how often, and of what end."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tests.rules.talk import make_routes
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
from tutumwatch.events.inputs import OwedRow, Retry
from tutumwatch.rules.decisions import Dropped, Revived
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.notice import Notice, Severity
from tutumwatch.rules.routes import Routes
from tutumwatch.settings import Duration

OTHER = "/api/v1/service/s2/"
TEAMS: tuple[dict[str, object], ...] = (
    {"match": {"stack.name": "pay"}, "page": ["pd"]},
    {"page": ["plain"]},
)


def down(routes: Routes | None = None, **more: Any) -> IncidentRule:  # noqa: ANN401 - any key
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
    return incident_rule(incident_settings(**keys), routes)


def stop(world: World, state: str = "Stopped") -> list[Notice]:
    """Let the service have a state, and verify what follows; give what that said."""
    world.asked.clear()
    said = notices(world.event(SERVICE, state, parents=[STACK], object={"name": "web"}))
    objects: dict[str, dict[str, str]] = {SERVICE: {"name": "web", "state": state}}
    objects[STACK] = {"name": "shop", "state": "Running"}
    for uri in world.uris_asked():
        said += notices(world.found(uri, **objects[uri]))
    return said


class RepeatTests(SynchronousTestCase):
    """``repeat``: while it is open it is told again."""

    def world(self, **more: Any) -> World:  # noqa: ANN401 - any key of the rule
        """Make a world in which the service is down."""
        world = World.of(down(repeat=Duration(3600.0), **more))
        world.catch_up()
        self.assertEqual(forms(stop(world)), [("plain", TRIGGER)])
        return world

    def test_the_trigger_is_sent_again_each_time(self) -> None:
        world = self.world()
        said = world.wait(2 * 3600.0)
        self.assertEqual([n.at for n in said], [4600.0, 8200.0])
        self.assertEqual(forms(said), [("plain", TRIGGER)] * 2)
        self.assertEqual(len({n.id for n in said}), 2)
        self.assertEqual({n.key for n in said}, {"down/main/service/shop/web"})

    def test_the_end_ends_it(self) -> None:
        world = self.world()
        stop(world, "Running")
        self.assertIsNone(world.decider.next_due())

    def test_it_goes_on_over_a_restart(self) -> None:
        world = self.world()
        world.now += 1800.0
        world.restart(down(repeat=Duration(3600.0)))
        self.assertEqual([n.at for n in world.wait(3600.0)], [4600.0])

    def test_an_interval_that_is_new_counts_from_now(self) -> None:
        world = World.of(down())
        world.catch_up()
        stop(world)
        world.wait(100.0)
        world.reload(rule_set(down(repeat=Duration(60.0))))
        self.assertEqual([n.at for n in world.wait(60.0)], [1160.0])

    def test_a_shorter_interval_is_kept_at_once_and_a_longer_one_after_the_next(self) -> None:
        for seconds, at in ((60.0, 1160.0), (7200.0, 4600.0)):
            world = self.world()
            world.wait(100.0)
            world.reload(rule_set(down(repeat=Duration(seconds))))
            self.assertEqual(world.wait(4000.0)[0].at, at)

    def test_no_interval_any_more(self) -> None:
        world = self.world()
        world.reload(rule_set(down()))
        self.assertEqual(world.wait(10_000.0), [])

    def test_a_silence_keeps_it_quiet_until_its_end(self) -> None:
        world = self.world()
        world.silence({"type": "service"}, 5000.0)
        self.assertEqual([n.at for n in world.wait(5000.0)], [6000.0])
        self.assertEqual([n.at for n in world.wait(3600.0)], [9600.0])

    def test_whoever_is_told_of_a_group_is_not_told_singly(self) -> None:
        world = World.of(down(repeat=Duration(3600.0)))
        world.catch_up()
        for number in range(11):
            world.event(f"/api/v1/service/x{number}/", "Stopped", parents=[])
            world.found(f"/api/v1/service/x{number}/", state="Stopped")
        world.wait(10.0)
        again = world.wait(3600.0)
        self.assertEqual(len(again), 10)
        self.assertNotIn("more incidents", {n.key for n in again})


class RerouteTests(SynchronousTestCase):
    """Other routes, or another ``notify``: those who are told change hands."""

    def world(self, *tables: dict[str, object], **more: Any) -> World:  # noqa: ANN401 - any key
        """Make a world with routes in which a service of a stack is down."""
        routes = make_routes(*(tables or ({"page": ["plain"]},)))
        world = World.of(down(routes, notify="page", **more), routes=routes)
        world.catch_up()
        stop(world)
        return world

    def reroute(self, world: World, *tables: dict[str, object], **more: Any) -> list[Any]:  # noqa: ANN401 - as above
        """Go on under other routes."""
        routes = make_routes(*tables)
        rule = down(routes, notify="page", **more)
        return notices(world.reload(rule_set(rule, routes=routes)))

    def test_it_is_resolved_where_it_was_told_and_told_where_it_is_to_be(self) -> None:
        world = self.world()
        said = self.reroute(world, {"page": ["pd"]})
        self.assertEqual(forms(said), [("plain", RESOLVE), ("pd", TRIGGER)])
        self.assertEqual(
            [n.text for n in said],
            ["down: shop/web is closed: others are told of it now", "web down"],
        )
        self.assertEqual({n.key for n in said}, {"down/main/service/shop/web"})
        self.assertEqual(forms(stop(world, "Running")), [("pd", RESOLVE)])

    def test_who_stays_hears_nothing(self) -> None:
        world = self.world()
        self.assertEqual(forms(self.reroute(world, {"page": ["plain", "pd"]})), [("pd", TRIGGER)])
        self.assertEqual(forms(self.reroute(world, {"page": ["plain"]})), [("pd", RESOLVE)])
        self.assertEqual(self.reroute(world, {"page": ["plain"]}), [])
        self.assertEqual(forms(stop(world, "Running")), [("plain", RESOLVE)])

    def test_a_restart_under_the_same_rules_says_nothing(self) -> None:
        routes = make_routes(*TEAMS)
        world = self.world(*TEAMS)
        self.assertEqual(world.open_keys(), ["down/main/service/shop/web"])
        again = world.restart_under(rule_set(down(routes, notify="page"), routes=routes))
        self.assertEqual(again.owed, [])

    def test_a_route_that_depends_on_what_is_not_known_changes_nothing(self) -> None:
        world = self.world()
        world.event(SERVICE, "Stopped", parents=["/api/v1/stack/k9/"])
        self.assertEqual(self.reroute(world, {"match": {"stack.name": "x"}, "page": ["pd"]}, {"page": ["slack"]}), [])  # fmt: skip
        self.assertEqual(forms(stop(world, "Running")), [("plain", RESOLVE)])

    def test_as_long_as_one_member_is_told_to_the_same_nobody_else_is(self) -> None:
        """Of a shared key the first one decided; which one that was is not kept."""
        tables: tuple[dict[str, object], ...] = (
            {"match": {"name": "web"}, "page": ["pd"]},
            {"page": ["plain"]},
        )
        world = self.world(*tables, key="shop")
        world.event(OTHER, "Stopped", parents=[], object={"name": "db"})
        world.found(OTHER, name="db", state="Stopped")
        stop(world)
        self.assertEqual(self.reroute(world, *tables, key="shop"), [])
        self.assertEqual(forms(self.reroute(world, {"page": ["slack"]}, key="shop")), [("pd", RESOLVE), ("slack", TRIGGER)])  # fmt: skip

    def test_a_notifier_that_is_off_now_cannot_be_told(self) -> None:
        world = self.world()
        routes = make_routes({"page": ["pd"]})
        rules = rule_set(down(routes, notify="page"), routes=routes)
        on = {name: one for name, one in rules.destinations.items() if name != "plain"}
        said = notices(world.reload(attrs.evolve(rules, destinations=on)))
        self.assertEqual(forms(said), [("pd", TRIGGER)])
        self.assertEqual(world.decider.counts["untold resolves"], 1)

    def test_who_is_told_again_is_told_singly_if_there_is_no_flood(self) -> None:
        routes = make_routes({"page": ["plain"]})
        world = World.of(down(routes, notify="page"), routes=routes)
        world.catch_up()
        for number in range(11):
            world.event(f"/api/v1/service/x{number}/", "Stopped", parents=[])
            world.found(f"/api/v1/service/x{number}/", state="Stopped")
        for number in range(10):
            world.event(f"/api/v1/service/x{number}/", "Running", parents=[])
            world.found(f"/api/v1/service/x{number}/", state="Running")
        world.wait(100.0)
        said = self.reroute(world, {"page": ["pd"]})
        self.assertEqual([(n.notifier, n.key) for n in said], [("plain", "more incidents"), ("pd", "down/main/service/x10")])  # fmt: skip
        said = self.reroute(world, {"page": ["plain"]})
        self.assertEqual(forms(said), [("pd", RESOLVE), ("plain", TRIGGER)])

    def test_many_are_told_to_others_as_one_group(self) -> None:
        routes = make_routes({"page": ["plain"]})
        world = World.of(down(routes, notify="page"), routes=routes)
        world.catch_up()
        for number in range(12):
            world.event(f"/api/v1/service/x{number}/", "Stopped", parents=[])
            world.found(f"/api/v1/service/x{number}/", state="Stopped")
            world.wait(60.0)
        said = self.reroute(world, {"page": ["pd"]})
        self.assertEqual(forms(said).count(("plain", RESOLVE)), 12)
        self.assertEqual(forms(said).count(("pd", TRIGGER)), 10)
        (group,) = world.wait(10.0)
        self.assertEqual((group.notifier, group.key), ("pd", "more incidents"))


class UnroutedTests(SynchronousTestCase):
    """An incident that nobody is told of is counted, and the last one named."""

    ROUTES = ({"match": {"stack.name": "pay"}, "page": ["plain"]}, {"news": ["plain"]})

    def world(self, rule: IncidentRule, routes: Routes) -> World:
        """Make a world in which the service is down."""
        world = World.of(rule, routes=routes)
        world.catch_up()
        self.assertEqual(stop(world), [])
        return world

    def test_no_route_has_anybody(self) -> None:
        routes = make_routes(*self.ROUTES)
        world = self.world(down(routes, notify="page"), routes)
        self.assertEqual(world.decider.counts["unrouted"], 1)
        self.assertEqual(world.decider.incidents.unrouted, "rule 'down': shop/web")
        self.assertEqual(world.open_keys(), ["down/main/service/shop/web"])

    def test_a_rule_whose_notifiers_are_all_off_is_no_accident(self) -> None:
        world = self.world(down(notify="off"), Routes())
        self.assertEqual(world.decider.counts["unrouted"], 0)
        self.assertEqual(world.decider.incidents.unrouted, "")

    def test_a_route_that_cannot_be_computed_is_counted(self) -> None:
        routes = make_routes(
            {"match": {"type": "service"}, "when": "1 / (name | length - 3) > 1", "page": ["pd"]},
            {"page": ["plain"]},
        )
        world = World.of(down(routes, notify="page"), routes=routes)
        world.catch_up()
        self.assertEqual(forms(stop(world)), [("plain", TRIGGER)])
        self.assertEqual(world.decider.counts["rejected"], 1)
        assert world.decider.last_rejected is not None
        self.assertIn("division", world.decider.last_rejected.reason)


class MarksTests(SynchronousTestCase):
    """How sure a notice is stands at its end."""

    def test_what_could_not_be_looked_up_is_unverified(self) -> None:
        world = World.of(down())
        world.catch_up()
        world.event(SERVICE, "Stopped", parents=[], object={"name": "web"})
        (said,) = notices(world.unanswered(SERVICE))
        self.assertEqual((said.text, said.marks), ("web down (unverified)", ("unverified",)))

    def test_a_route_that_had_to_be_guessed(self) -> None:
        routes = make_routes(*TEAMS)
        world = World.of(down(routes, notify="page"), routes=routes)
        world.catch_up()
        world.event(SERVICE, "Stopped", parents=[STACK], object={"name": "web"})
        world.found(SERVICE, name="web", state="Stopped")
        (said,) = notices(world.unanswered(STACK))
        self.assertEqual(said.notifier, "plain")
        self.assertEqual(said.text, "web down (unverified) (details unknown)")

    def test_what_was_deleted(self) -> None:
        world = World.of(down())
        world.catch_up()
        stop(world)
        (said,) = notices(world.event(SERVICE, "Terminated", action="delete"))
        self.assertEqual((said.text, said.marks), ("web up (was deleted)", ("was deleted",)))


class EndTests(SynchronousTestCase):
    """Whoever was told is told of the end; nobody else is."""

    def test_severity_goes_with_both(self) -> None:
        world = World.of(down(severity=Severity.WARNING))
        world.catch_up()
        said = stop(world) + stop(world, "Running")
        self.assertEqual([n.severity for n in said], [Severity.WARNING] * 2)

    def test_the_end_of_a_rule_that_does_not_tell_them_any_more_is_plain(self) -> None:
        world = World.of(down(notify="slack"))
        world.catch_up()
        world.event(SERVICE, "Stopped", parents=[], object={"name": "<web>"})
        world.found(SERVICE, name="<web>", state="Stopped")
        (said,) = notices(world.reload(rule_set()))
        self.assertEqual(said.text, "down: service &lt;web&gt; is closed: its rule was removed")
        self.assertEqual(said.severity, Severity.INFO)

    def test_what_is_not_open_is_not_closed(self) -> None:
        world = World.of(down())
        world.catch_up()
        stop(world)
        stop(world, "Running")
        self.assertEqual(stop(world, "Running"), [])

    def test_ids_are_unique_over_a_life_of_many(self) -> None:
        world = World.of(down(notify=["plain", "pd"], repeat=Duration(1.0)))
        world.catch_up()
        ids: list[str] = []
        for _ in range(3):
            ids += [n.id for n in stop(world)]
            ids += [n.id for n in world.wait(2.0)]
            ids += [n.id for n in stop(world, "Running")]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual(len(ids), 3 * 2 * 4)


class AbsentTests(SynchronousTestCase):
    """Of what is not there the name is that of its rule."""

    def test_the_default_texts(self) -> None:
        keys: dict[str, Any] = {"text": None, "resolve_text": None, "clear_for_seconds": 0.0}
        settings = incident_settings(
            name="shop", absent={"type": "stack", "name": "shop"}, for_seconds=0.0, **keys
        )
        world = World.of(incident_rule(settings))
        (gone,) = notices(world.catch_up())
        self.assertEqual(gone.text, "shop: there is none")
        (back,) = notices(world.event(STACK, "Running", object={"name": "shop"}))
        self.assertEqual(back.text, "shop: there is one again")
        world.event(STACK, "Terminated", action="delete")
        (removed,) = notices(world.reload(rule_set()))
        self.assertEqual(removed.text, "shop is closed: its rule was removed")
        self.assertEqual(world.decider.counts["unrouted"], 0)


class DeadLetterTests(SynchronousTestCase):
    """A dead trigger is sent again only while its incident is open."""

    def test_of_an_incident_and_of_a_group(self) -> None:
        world = World.of(down())
        world.catch_up()
        stop(world)
        for key, kind in (("down/main/service/shop/web", Revived), ("more incidents", Dropped)):
            row = OwedRow(1, TRIGGER, "down", key)
            (owed,) = world.decide(Retry((row,), world.now)).owed
            self.assertIsInstance(owed, kind)
