"""Tests of an empty store: what a process before us may have opened is resolved, once."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.rules.talk import make_routes
from tests.rules.world import (
    CONTAINER,
    NODE,
    RESOLVE,
    SERVICE,
    STACK,
    TRIGGER,
    World,
    incident_rule,
    incident_settings,
    notices,
    rule_set,
)
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.notice import Notice
from tutumwatch.rules.routes import Routes
from tutumwatch.settings import Duration

OTHER = "/api/v1/service/s2/"
WEB: dict[str, object] = {"name": "web", "state": "Running", "stack": STACK}
CLOUD: dict[str, dict[str, object]] = {STACK: {"name": "shop", "state": "Running"}, SERVICE: WEB}
GROUP = ("more incidents", RESOLVE)


def down(routes: Routes | None = None, **more: Any) -> IncidentRule:  # noqa: ANN401 - any key
    """Make a rule that tells everybody of every service that is stopped for a minute."""
    keys: dict[str, Any] = {
        "name": "down",
        "while_": {"type": "service", "state": "Stopped"},
        "notify": ["plain", "slack", "pd"],
        "for_seconds": 60.0,
        "clear_for_seconds": 0.0,
        **more,
    }
    return incident_rule(incident_settings(**keys), routes)


def told(said: list[Notice]) -> list[tuple[str, str]]:
    """Give key and form of each; nothing but PagerDuty is told of what we did not open."""
    assert {notice.notifier for notice in said} <= {"pd"}, said
    return [(notice.key, notice.form.value) for notice in said]


def listed(*rules: IncidentRule, **more: Any) -> tuple[World, list[Notice]]:  # noqa: ANN401 - as World.of
    """Make a world with an empty store; give what the first listing says."""
    world = World.of(*rules, **more)
    world.stream("Connected")
    return world, notices(world.listed(CLOUD))


class OrphanTests(SynchronousTestCase):
    """Each key that a present resource would have is resolved where that does no harm."""

    def test_what_is_well_is_resolved_once(self) -> None:
        world, said = listed(down())
        self.assertEqual(told(said), [("down/main/service/shop/web", RESOLVE), GROUP])
        self.assertEqual(notices(world.listed(CLOUD)), [])
        self.assertEqual(len({notice.id for notice in said}), 2)

    def test_a_store_that_knows_the_past_resolves_nothing(self) -> None:
        world = World.of(down())
        world.remember("main")
        world.stream("Connected")
        self.assertEqual(notices(world.listed(CLOUD)), [])

    def test_a_key_that_many_share_is_resolved_once(self) -> None:
        world = World.of(down(key="all"))
        world.stream("Connected")
        said = notices(world.listed({**CLOUD, OTHER: {**WEB, "name": "db"}}))
        self.assertEqual(told(said), [("all", RESOLVE), GROUP])

    def test_every_notifier_that_it_may_have_gone_to(self) -> None:
        """The routes may have been others, or what they read."""
        routes = make_routes({"match": {"name": "x"}, "page": "pd"}, {"page": "plain"})
        _, said = listed(down(routes, notify="page"), routes=routes)
        self.assertEqual(told(said), [("down/main/service/shop/web", RESOLVE), GROUP])

    def test_nobody_who_would_show_it(self) -> None:
        _, said = listed(down(notify=["plain", "slack"]))
        self.assertEqual(said, [])

    def test_the_stream_is_the_first(self) -> None:
        world = World.of(down(while_={"type": "stream", "state": "!Connected"}, name="stream"))
        said = notices(world.stream("Connected"))
        self.assertEqual(told(said), [("stream/main/stream/main", RESOLVE), GROUP])
        self.assertEqual(notices(world.listed(CLOUD)), [])


class IllTests(SynchronousTestCase):
    """What is ill may be open at the destination: it opens again, or is resolved."""

    def world(self, **more: Any) -> World:  # noqa: ANN401 - any key of the rule
        """Make a world with an empty store and a service that is down."""
        world = World.of(down(**more))
        world.stream("Connected")
        said = notices(world.listed({**CLOUD, SERVICE: {**WEB, "state": "Stopped"}}))
        self.assertEqual(told(said), [GROUP])
        return world

    def test_it_opens_again(self) -> None:
        world = self.world()
        world.wait(60.0)
        said = notices(world.found(SERVICE, **{**WEB, "state": "Stopped"}))
        said += notices(world.found(STACK, **CLOUD[STACK]))
        self.assertEqual({n.form.value for n in said}, {TRIGGER})
        self.assertEqual(len(said), 3)
        world.event(SERVICE, "Running")
        said = notices(world.found(SERVICE, **WEB))
        self.assertEqual([n.form.value for n in said], [RESOLVE] * 3)

    def test_it_is_well_before_that(self) -> None:
        world = self.world()
        world.wait(30.0)
        said = notices(world.event(SERVICE, "Running"))
        self.assertEqual(told(said), [("down/main/service/shop/web", RESOLVE)])
        self.assertEqual(world.wait(1000.0), [])

    def test_over_a_restart(self) -> None:
        world = self.world()
        world.now += 30.0
        world.restart(down())
        world.catch_up()
        said = notices(world.event(SERVICE, "Running"))
        self.assertEqual(told(said), [("down/main/service/shop/web", RESOLVE)])

    def test_what_came_before_the_listing_is_named_by_it(self) -> None:
        """The names by which it may be open were not known when it joined."""
        world = World.of(down(notify="pd"))
        world.stream("Connected")
        world.event(SERVICE, "Stopped", parents=[STACK], object={"name": "web"})
        said = notices(world.listed({**CLOUD, SERVICE: {**WEB, "state": "Stopped"}}))
        self.assertEqual(told(said), [GROUP])
        said = notices(world.event(SERVICE, "Running"))
        self.assertEqual(told(said), [("down/main/service/shop/web", RESOLVE)])

    def test_what_opened_before_the_listing_keeps_the_key_that_was_told(self) -> None:
        """A listing that takes long; what may be open under its names is resolved."""
        world = World.of(down(notify="pd"))
        world.stream("Connected")
        world.event(SERVICE, "Stopped", parents=[STACK], object={"name": "web"})
        said = told(world.wait(100.0))
        self.assertEqual(said, [("down/main/service/s1", TRIGGER)])
        said = told(notices(world.listed({**CLOUD, SERVICE: {**WEB, "state": "Stopped"}})))
        self.assertEqual(said, [("down/main/service/shop/web", RESOLVE), GROUP])
        self.assertEqual(world.open_keys(), ["down/main/service/s1"])

    def test_one_that_is_open_already_is_none(self) -> None:
        """A listing is the first of its stream, and not of everything."""
        world = World.of(down(key="all", for_seconds=0.0), streams=("main", "b"))
        world.catch_up("b")
        world.event(SERVICE, "Stopped", stream="b", parents=[])
        world.wait(10.0)
        self.assertEqual(world.open_keys(), ["all"])
        world.stream("Connected")
        self.assertEqual(told(notices(world.listed(CLOUD))), [GROUP])


class FormTests(SynchronousTestCase):
    """Rules that count, and rules that want something."""

    def loop(self, **more: Any) -> IncidentRule:  # noqa: ANN401 - any key of the table
        """Make a rule that counts deaths."""
        return down(
            name="loop",
            while_=None,
            each={"type": "container", "ended": "failed"},
            within=Duration(60.0),
            **more,
        )

    def keys(self, rule: IncidentRule, cloud: dict[str, dict[str, object]]) -> set[str]:
        """Give the keys that are resolved."""
        world = World.of(rule)
        world.stream("Connected")
        return {key for key, _ in told(notices(world.listed(cloud)))} - {"more incidents"}

    def test_what_is_counted_for_a_parent(self) -> None:
        cloud: dict[str, dict[str, object]] = {
            **CLOUD,
            CONTAINER: {"state": "Running", "service": SERVICE},
            "/api/v1/container/c2/": {"state": "Running", "service": None},
        }
        self.assertEqual(
            self.keys(self.loop(per="service"), cloud),
            {"loop/main/service/shop/web", "loop/main/container/c2"},
        )

    def test_what_has_no_such_parent_is_counted_by_itself(self) -> None:
        cloud: dict[str, dict[str, object]] = {NODE: {"name": "n1", "state": "Deployed"}}
        rule = down(name="loop", while_=None, each={"type": "node", "state": "Unreachable"}, within=Duration(60.0), per="nodecluster")  # fmt: skip
        self.assertEqual(self.keys(rule, cloud), {"loop/main/node/n1"})

    def test_what_is_counted_by_itself(self) -> None:
        cloud: dict[str, dict[str, object]] = {**CLOUD, CONTAINER: {"state": "Running"}}
        self.assertEqual(self.keys(self.loop(), cloud), {"loop/main/container/c1"})

    def test_what_is_there_is_not_absent(self) -> None:
        for name, keys in (("shop", {"gone"}), ("pay", set())):
            rule = down(name="gone", while_=None, absent={"type": "stack", "name": name})
            self.assertEqual(self.keys(rule, {**CLOUD}), keys)

    def test_what_is_absent_opens_again(self) -> None:
        world, said = listed(down(name="gone", while_=None, absent={"type": "stack", "name": "x"}))
        self.assertEqual(said, [])
        self.assertEqual({n.form.value for n in world.wait(60.0)}, {TRIGGER})


class GroupTests(SynchronousTestCase):
    """Of groups only their keys are known."""

    def test_each_that_a_rule_may_have_had(self) -> None:
        lost = down(name="lost", while_={"type": "node", "state": "Stopped"})
        loop = down(name="loop", while_={"type": "service", "state": "Starting"})
        _, said = listed(lost, loop, down(unless_open=["lost", "loop"]))
        self.assertEqual(
            {key for key, _ in told(said)},
            {
                "down/main/service/shop/web",
                "loop/main/service/shop/web",
                "more incidents",
                "down after lost",
                "down after loop",
            },
        )

    def test_none_that_is_open(self) -> None:
        """Another stream was added to a watcher that has run for long."""
        world = World.of(down(for_seconds=0.0, notify="pd"))
        world.remember("main")
        world.catch_up()
        for number in range(12):
            world.event(f"/api/v1/service/x{number}/", "Stopped", parents=[])
        world.wait(30.0)
        self.assertTrue(world.decider.incidents.is_told("more incidents"))
        stream = down(name="stream", while_={"type": "stream", "state": "!Connected"}, notify="pd")
        world.reload(rule_set(down(for_seconds=0.0, notify="pd"), stream, streams=("main", "b")))
        said = notices(world.stream("Connected", "b"))
        self.assertEqual(told(said), [("stream/b/stream/b", RESOLVE)])
