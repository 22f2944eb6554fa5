"""Tests of the keys of incidents: what people call a resource, or what the rule says."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.rules.world import (
    CLUSTER,
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
from tutumwatch.settings import Duration

AGAIN = "/api/v1/service/s2/"
WEB: dict[str, object] = {"name": "web", "state": "Stopped", "stack": STACK}
NAMED = "down/main/service/shop/web"
BY_UUID = "down/main/service/s1"


def down(type_: str = "service", **more: Any) -> IncidentRule:  # noqa: ANN401 - any key of the table
    """Make a rule that pages at once for everything of a type that is stopped."""
    keys: dict[str, Any] = {
        "name": "down",
        "while_": {"type": type_, "state": "Stopped"},
        "for_seconds": 0.0,
        "clear_for_seconds": 0.0,
        "text": "down",
        "resolve_text": "up",
        **more,
    }
    return incident_rule(incident_settings(**keys))


def world_of(*rules: IncidentRule, is_stack_known: bool = True) -> World:
    """Make a world that is caught up, with a stack that is called shop."""
    world = World.of(*(rules or (down(),)))
    if is_stack_known:
        world.found(STACK, name="shop", state="Running")
    world.catch_up()
    return world


def told(said: list[Notice]) -> list[tuple[str, str]]:
    """Give key and form of each notice."""
    return [(notice.key, notice.form.value) for notice in said]


def stop(world: World, uri: str = SERVICE, /, **fields: object) -> list[tuple[str, str]]:
    """Let a service be found to be stopped, and be seen so again; give what that said."""
    found = notices(world.found(uri, **{**WEB, **fields}))
    return told(found + notices(world.found(uri, **{**WEB, **fields})))


class NamesTests(SynchronousTestCase):
    """By default a key is made of rule, stream, type and names, from the whole to the part."""

    def key_of(self, type_: str, uri: str, /, **fields: object) -> str:
        """Give the key of a resource that is stopped, and all of whose parents are known."""
        world = world_of(down(type_))
        world.found(SERVICE, name="web", state="Running", stack=STACK)
        world.found(uri, state="Stopped", **fields)
        world.found(uri, state="Stopped", **fields)
        (key,) = world.open_keys()
        return key

    def test_of_each_type(self) -> None:
        for type_, uri, fields, key in (
            ("service", AGAIN, {"name": "db", "stack": STACK}, "service/shop/db"),
            ("service", AGAIN, {"name": "db", "stack": None}, "service/db"),
            ("container", CONTAINER, {"name": "web-1", "service": SERVICE}, "container/shop/web/web-1"),
            ("container", CONTAINER, {"name": "box", "service": None}, "container/box"),
            ("node", NODE, {"nickname": "node-1", "node_cluster": CLUSTER}, "node/node-1"),
            ("stack", "/api/v1/stack/k2/", {"name": "pay"}, "stack/pay"),
            ("nodecluster", CLUSTER, {"name": "big"}, "nodecluster/big"),
        ):  # fmt: skip
            self.assertEqual(self.key_of(type_, uri, **fields), f"down/main/{key}")

    def test_of_what_has_no_name(self) -> None:
        for name in ("", None):
            self.assertEqual(
                self.key_of("service", AGAIN, name=name, stack=STACK), "down/main/service/s2"
            )

    def test_of_our_own_connections(self) -> None:
        world = World.of(down("stream"), down("notifier", name="silent"))
        world.stream("Stopped")
        world.notifier("Stopped", "slack")
        self.assertEqual(world.open_keys(), ["down/main/stream/main", "silent/notifier/slack"])

    def test_of_what_is_absent(self) -> None:
        absent: dict[str, Any] = {"while_": None, "absent": {"type": "stack", "name": "x"}}
        for key, expected in (
            (None, "down"),
            ("no {{ name }}", "no down"),
            ("{{ labels.x }}", "down"),
        ):
            world = world_of(down(key=key, **absent))
            world.wait(0.0)
            self.assertEqual(world.open_keys(), [expected])


class SameNameTests(SynchronousTestCase):
    """Whatever has the names has the incident."""

    def test_a_service_that_is_created_anew(self) -> None:
        world = world_of()
        self.assertEqual(stop(world), [(NAMED, TRIGGER)])
        said = told(notices(world.event(SERVICE, "Terminated", action="delete")))
        self.assertEqual(said, [(NAMED, RESOLVE)])
        self.assertEqual(stop(world, AGAIN), [(NAMED, TRIGGER)])

    def test_one_that_takes_its_place_before_it_is_gone(self) -> None:
        """Nobody is told of that."""
        world = world_of()
        self.assertEqual(stop(world) + stop(world, AGAIN), [(NAMED, TRIGGER)])
        self.assertEqual(world.event(SERVICE, "Terminated", action="delete").owed, [])
        said = notices(world.event(AGAIN, "Running")) + notices(world.found(AGAIN, **{**WEB, "state": "Running"}))  # fmt: skip
        self.assertEqual(told(said), [(NAMED, RESOLVE)])

    def test_a_container_that_is_replaced(self) -> None:
        world = world_of(down("container"))
        world.found(SERVICE, **{**WEB, "state": "Running"})
        keys = set()
        for uri in (CONTAINER, "/api/v1/container/c2/"):
            keys |= set(stop(world, uri, name="web-1", service=SERVICE))
            world.event(uri, "Terminated", action="delete")
        self.assertEqual(keys, {("down/main/container/shop/web/web-1", TRIGGER)})

    def test_the_same_name_in_another_stack_or_stream(self) -> None:
        world = world_of()
        world.found("/api/v1/stack/k2/", name="pay", state="Running")
        self.assertEqual(stop(world, AGAIN, stack="/api/v1/stack/k2/"), [("down/main/service/pay/web", TRIGGER)])  # fmt: skip
        self.assertEqual(stop(world), [(NAMED, TRIGGER)])
        world.catch_up("lab")
        world.event(SERVICE, "Stopped", parents=[], object={"name": "web"}, stream="lab")
        world.wait(10.0)
        self.assertIn("down/lab/service/web", world.open_keys())

    def counting(self, per: str) -> IncidentRule:
        """Make a rule that counts containers that stop."""
        each = {"type": "container", "state": "Stopped"}
        return down(while_=None, each=each, within=Duration(60.0), per=per)

    def test_a_service_that_is_counted_for(self) -> None:
        """It is named itself, and not what died."""
        world = world_of(self.counting("service"))
        world.found(SERVICE, **{**WEB, "state": "Running"})
        world.event(CONTAINER, "Stopped", parents=[SERVICE], object={"name": "web-1"})
        world.wait(10.0)
        self.assertEqual(world.open_keys(), [NAMED])

    def test_one_that_nothing_is_known_of_is_counted_by_its_uuid(self) -> None:
        world = world_of(self.counting("service"))
        world.event(CONTAINER, "Stopped", parents=[SERVICE], object={"name": "web-1"})
        self.assertEqual(world.open_keys(), [BY_UUID])
        world = world_of(self.counting("node"))
        world.event(CONTAINER, "Stopped", parents=[NODE], object={"name": "box", "service": None})
        self.assertEqual(world.open_keys(), ["down/main/node/n1"])


class OtherNameTests(SynchronousTestCase):
    """What was told keeps its key; before that it is named as it is called."""

    def test_one_that_is_open(self) -> None:
        world = world_of()
        stop(world)
        self.assertEqual(stop(world, name="shop-web"), [])
        self.assertEqual(world.open_keys(), [NAMED])
        world.restart(down())
        world.catch_up()
        said = notices(world.found(SERVICE, **{**WEB, "name": "shop-web", "state": "Running"}))
        said += notices(world.found(SERVICE, **{**WEB, "name": "shop-web", "state": "Running"}))
        self.assertEqual(told(said), [(NAMED, RESOLVE)])
        self.assertEqual(stop(world, name="shop-web"), [("down/main/service/shop/shop-web", TRIGGER)])  # fmt: skip

    def test_one_that_is_not_open_yet(self) -> None:
        world = world_of(down(for_seconds=60.0))
        world.found(SERVICE, **WEB)
        world.found(SERVICE, **{**WEB, "name": "shop-web"})
        self.assertEqual(world.wait(60.0), [])
        said = notices(world.found(SERVICE, **{**WEB, "name": "shop-web"}))
        self.assertEqual(told(said), [("down/main/service/shop/shop-web", TRIGGER)])

    def test_a_key_that_could_be_told_is_kept(self) -> None:
        world = world_of(down(for_seconds=60.0, key="{{ name }}"))
        world.found(SERVICE, **WEB)
        world.found(SERVICE, **{**WEB, "name": "shop-web"})
        self.assertEqual(world.wait(60.0), [])
        said = notices(world.found(SERVICE, **{**WEB, "name": "shop-web"}))
        self.assertEqual(told(said), [("web", TRIGGER)])


class LearnedTests(SynchronousTestCase):
    """Names that are not known when it joins are known when it opens, or its uuid has to do."""

    def begin(self, rule: IncidentRule, /, **more: object) -> World:
        """Make a world in which a service of a stack without a name is stopped for a minute."""
        world = world_of(rule, is_stack_known=False)
        world.event(SERVICE, "Stopped", parents=[STACK], **more)
        self.assertEqual(self.key_of_the_member(world), BY_UUID)
        world.uris_asked()
        return world

    def key_of_the_member(self, world: World) -> str:
        """Give the key of the only member."""
        (member,) = world.decider.incidents.members()
        return member.incident[1]

    def test_they_are_asked_for_before_it_opens(self) -> None:
        world = self.begin(down(for_seconds=60.0))
        self.assertEqual(world.wait(60.0), [])
        self.assertEqual(world.uris_asked(), [SERVICE, STACK])
        world.found(STACK, name="shop")
        self.assertEqual(told(notices(world.found(SERVICE, **WEB))), [(NAMED, TRIGGER)])

    def test_over_a_restart(self) -> None:
        world = self.begin(down(for_seconds=60.0))
        world.restart(down(for_seconds=60.0))
        world.catch_up()
        world.found(STACK, name="shop")
        world.wait(60.0)
        self.assertEqual(told(notices(world.found(SERVICE, **WEB))), [(NAMED, TRIGGER)])
        world.restart(down(for_seconds=60.0))
        self.assertEqual(world.open_keys(), [NAMED])

    def test_nobody_can_tell_them(self) -> None:
        """Its end has the key that was told, whatever is known by then."""
        world = self.begin(down())
        world.unanswered(STACK)
        self.assertEqual(told(notices(world.found(SERVICE, **WEB))), [(BY_UUID, TRIGGER)])
        world.found(STACK, name="shop")
        self.assertEqual(stop(world), [])
        said = notices(world.event(SERVICE, "Running"))
        said += notices(world.found(SERVICE, **{**WEB, "state": "Running"}))
        self.assertEqual(told(said), [(BY_UUID, RESOLVE)])
        self.assertEqual(stop(world), [(NAMED, TRIGGER)])

    def test_a_stack_that_is_not_there_has_no_name(self) -> None:
        world = self.begin(down())
        world.missing(STACK)
        self.assertEqual(told(notices(world.found(SERVICE, **WEB))), [("down/main/service/web", TRIGGER)])  # fmt: skip

    def test_a_key_of_the_rule_that_cannot_be_told_yet(self) -> None:
        world = self.begin(down(key="{{ stack.name }}"), object={"name": "web"})
        world.found(STACK, name="shop")
        self.assertEqual(told(notices(world.found(SERVICE, **WEB))), [("shop", TRIGGER)])

    def test_a_key_of_the_rule_that_fails_is_the_default(self) -> None:
        world = world_of(down(key="{{ 1 / (name | length - 3) }}"))
        self.assertEqual(stop(world), [(NAMED, TRIGGER)])

    def test_names_that_are_forgotten_take_none_away(self) -> None:
        """The stack is another one, of which nobody has heard."""
        world = world_of(down(for_seconds=60.0))
        world.found(SERVICE, **WEB)
        world.event(SERVICE, "Stopped", parents=["/api/v1/stack/k9/"])
        world.wait(100.0)
        self.assertEqual(world.open_keys(), [NAMED])


class ChangedRuleTests(SynchronousTestCase):
    """Another rule of the same name moves what has another key under it, and nothing else."""

    def keys_under(self, world: World, *keys: str | None) -> list[str]:
        """Give the key that a stopped service has under a rule, and then under others."""
        found = []
        for number, key in enumerate(keys):
            world.reload(rule_set(down(key=key, when=f"type != '{number}'")))
            world.wait(0.0)
            world.found(STACK, name="shop", state="Running")
            world.found(SERVICE, **WEB)
            found += world.open_keys()
        return found

    def test_a_key_and_none(self) -> None:
        world = world_of()
        stop(world)
        keys = ("{{ name }}", "{{ stack.name }}", None, None)
        self.assertEqual(self.keys_under(world, *keys), ["web", "shop", NAMED, NAMED])

    def test_one_that_cannot_be_told_moves_nothing(self) -> None:
        world = world_of(down(key="web"))
        stop(world)
        self.assertEqual(self.keys_under(world, "{{ labels.x }}"), ["web"])

    def test_another_name_of_what_is_open(self) -> None:
        world = world_of()
        stop(world)
        stop(world, name="shop-web")
        self.assertEqual(self.keys_under(world, None), [NAMED])
