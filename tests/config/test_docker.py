"""Tests of docker.toml's rules: what is told of what happens in a cloud, word for word."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import msgspec
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.config.cases import CREDENTIALS, environment_of
from tests.rules.world import World, forms, notices
from tutumwatch.assembly import make_decider
from tutumwatch.bridge.announcement import Announcement
from tutumwatch.bridge.demo.cloud import DemoCloud
from tutumwatch.bridge.objects import object_of
from tutumwatch.config.load import DOCKER, load_configuration
from tutumwatch.events.inputs import Found, Listed, Looked
from tutumwatch.resources.catchup import LISTED_TYPES
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.notice import Notice

VARIABLES = {
    **CREDENTIALS,
    "SLACK_URL": "https://hooks.slack.com/services/T0/B0/w3bh00k",
    "PAGERDUTY_KEY": "0123456789abcdef0123456789abcdef",
}
STACK, NODE, CLUSTER = "/api/v1/stack/k1/", "/api/v1/node/n1/", "/api/v1/nodecluster/nc1/"
SERVICE, LONELY = "/api/v1/service/s1/", "/api/v1/service/s2/"
OLD, NEW = "shop/web:1.0", "shop/web:1.1"

# Every form of what docker.toml says of a cloud.
WHO = r"(?:[a-z]+/)?[a-z]+"
FORMS = re.compile(
    rf"{WHO} is being redeployed (?:from [\w/]+:[\d.]+ to|with) [\w/]+:[\d.]+"
    rf"|{WHO} is redeployed with [\w/]+:[\d.]+: \d of \d running"
    rf"|{WHO} is new: [\w/]+:[\d.]+, \d wanted"
    rf"|{WHO} is (?:scaled|running again|running|partly running|stopped): \d of \d"
    rf"|{WHO} is gone"
    rf"|{WHO}-\d+ failed on node-\d: exit (?:1|137 \(OOM\))"
    r"|node-\d is (?:unreachable|back)"
)


def service(running: int, target: int = 3, image: str = OLD, **more: object) -> dict[str, Any]:
    """Make a service's object, as the bridge sends it along."""
    return {
        "name": "web",
        "stack": STACK,
        "image_name": image,
        "running_num_containers": running,
        "target_num_containers": target,
        **more,
    }


@attrs.define
class Cloud:
    """Events of a cloud, and what the console is told of each."""

    world: World
    said: list[Notice] = attrs.field(factory=list)

    @classmethod
    def empty(cls) -> Cloud:
        """Make a cloud of which nothing is known."""
        configuration = load_configuration(None, environment_of(VARIABLES), DOCKER)
        return cls(World(make_decider(configuration)))

    @classmethod
    def known(cls) -> Cloud:
        """Make a cloud that was listed: a stack with a service of three, another one, a node."""
        cloud = cls.empty()
        cloud.listed({
            STACK: {"name": "shop", "state": "Running"},
            SERVICE: {**service(3), "state": "Running"},
            LONELY: {**service(1, 1), "name": "mailer", "stack": None, "state": "Running"},
            NODE: {"external_fqdn": "node-1", "state": "Deployed", "node_cluster": CLUSTER},
        })  # fmt: skip
        return cloud

    def listed(self, objects: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """List some objects."""
        world = self.world
        rows = tuple(
            Looked("main", uri, world.number, Found(dict(fields)), world.now)
            for uri, fields in objects.items()
        )
        return self.told(world.decider.decide(Listed("main", rows, world.now)))

    def told(
        self, decisions: Decisions, look_up: Callable[[str], Mapping[str, Any]] | None = None
    ) -> list[str]:
        """Give what the console is told; Slack is told the same.

        :param look_up: gives the object of what is asked for; without it nothing may be.
        """
        said = notices(decisions)
        for need in decisions.needs:
            assert look_up is not None, need
            said += notices(self.world.found(need.resource_uri, **look_up(need.resource_uri)))
        self.said += said
        console = [n.text for n in said if n.notifier == "console"]
        assert sorted(n.text for n in said if n.notifier == "slack") == sorted(console)
        return console

    def service(
        self, state: str, fields: Mapping[str, Any], action: str = "update", uri: str = SERVICE
    ) -> list[str]:
        """Let a service have a state."""
        parents = [STACK] if fields.get("stack") else []
        return self.told(
            self.world.event(uri, state, action=action, parents=parents, object=fields)
        )

    def container(
        self,
        number: int,
        *states: str,
        code: int | None = None,
        message: str | None = None,
        parents: Sequence[str] = (SERVICE, STACK, NODE, CLUSTER),
    ) -> list[str]:
        """Let a container have some states; it has an exit code when it is stopped."""
        told = []
        for state in states:
            is_over = state in {"Stopped", "Terminated"}
            fields = {
                "name": f"web-{number}",
                "exit_code": code if is_over else None,
                "exit_code_msg": message if is_over else None,
            }
            uri = f"/api/v1/container/c{number}/"
            event = self.world.event(uri, state, parents=list(parents), object=fields)
            told += self.told(event)
        return told

    def node(self, state: str, uri: str = NODE, name: str = "node-1", action: str = "update") -> list[str]:  # fmt: skip
        """Let a node have a state."""
        fields = {"external_fqdn": name}
        return self.told(
            self.world.event(uri, state, action=action, parents=[CLUSTER], object=fields)
        )


class DockerTestCase(SynchronousTestCase):
    """Gives each test a cloud in which all is well."""

    def setUp(self) -> None:
        self.cloud = Cloud.known()
        self.assertEqual(self.cloud.said, [])


class DeployTests(DockerTestCase):
    """A deploy is two lines, whatever its containers do meanwhile."""

    def redeploy(self, code: int) -> list[str]:
        """Replace three containers by such of another image; the old ones end with a code."""
        cloud = self.cloud
        for number in range(3):
            cloud.container(number, "Starting", "Running")
        told = cloud.service("Redeploying", service(3, image=NEW, update_state="updating"))
        for number in range(3):
            told += cloud.container(number, "Stopping", "Stopped", "Terminated", code=code)
            told += cloud.container(number + 3, "Starting", "Running")
        return told + cloud.service("Running", service(3, image=NEW))

    def test_its_begin_and_its_end(self) -> None:
        self.assertEqual(
            self.redeploy(143),
            [
                "shop/web is being redeployed from shop/web:1.0 to shop/web:1.1",
                "shop/web is redeployed with shop/web:1.1: 3 of 3 running",
            ],
        )

    def test_containers_that_are_killed_because_they_do_not_stop(self) -> None:
        """Docker kills after 10 s: exit 137, and no failure."""
        for code in (137, 0, 1):
            self.cloud = Cloud.known()
            self.assertEqual(len(self.redeploy(code)), 2, code)

    def test_the_same_image_again(self) -> None:
        told = self.cloud.service("Redeploying", service(3))
        self.assertEqual(told, ["shop/web is being redeployed with shop/web:1.0"])

    def test_of_a_service_that_was_not_known(self) -> None:
        other = "/api/v1/service/s9/"
        told = self.cloud.service("Redeploying", service(3, name="api"), uri=other)
        self.assertEqual(told, ["shop/api is being redeployed with shop/web:1.0"])

    def test_one_that_ends_with_too_few(self) -> None:
        self.cloud.service("Redeploying", service(3, image=NEW))
        self.assertEqual(
            self.cloud.service("Partly running", service(1, image=NEW)),
            ["shop/web is redeployed with shop/web:1.1: 1 of 3 running"],
        )
        self.assertEqual(
            self.cloud.service("Running", service(3, image=NEW)),
            ["shop/web is running again: 3 of 3"],
        )

    def test_a_container_that_fails_during_one(self) -> None:
        """Nobody asked it to stop."""
        self.cloud.container(1, "Starting", "Running")
        self.cloud.service("Redeploying", service(3, image=NEW))
        told = self.cloud.container(1, "Stopped", "Terminated", code=1)
        self.assertEqual(told, ["shop/web-1 failed on node-1: exit 1"])

    def test_one_that_nobody_saw(self) -> None:
        self.cloud.service("Redeploying", service(3, image=NEW))
        rows = {SERVICE: {**service(3, image=NEW), "state": "Running"}}
        self.assertEqual(
            self.cloud.listed(rows),
            ["shop/web is redeployed with shop/web:1.1: 3 of 3 running (late)"],
        )


class ServiceTests(DockerTestCase):
    """A service that comes, goes, grows, or is not what it should be."""

    def test_trouble_and_its_end(self) -> None:
        cloud = self.cloud
        self.assertEqual(
            cloud.service("Partly running", service(2)), ["shop/web is partly running: 2 of 3"]
        )
        self.assertEqual(cloud.service("Partly running", service(1)), [])
        self.assertEqual(cloud.service("Stopped", service(0)), ["shop/web is stopped: 0 of 3"])
        self.assertEqual(
            cloud.service("Running", service(3)), ["shop/web is running again: 3 of 3"]
        )

    def test_one_without_a_stack(self) -> None:
        fields = {**service(0, 1), "name": "mailer", "stack": None}
        told = self.cloud.service("Stopped", fields, uri=LONELY)
        self.assertEqual(told, ["mailer is stopped: 0 of 1"])
        told = self.cloud.service("Redeploying", fields, uri=LONELY)
        self.assertEqual(told, ["mailer is being redeployed with shop/web:1.0"])

    def test_a_new_one(self) -> None:
        uri, fields = "/api/v1/service/s9/", service(0, 2, name="api")
        self.assertEqual(
            self.cloud.service("Starting", fields, "create", uri),
            ["shop/api is new: shop/web:1.0, 2 wanted"],
        )
        self.assertEqual(
            self.cloud.service("Running", {**fields, "running_num_containers": 2}, uri=uri),
            ["shop/api is running: 2 of 2"],
        )
        self.assertEqual(self.cloud.service("Terminating", fields, uri=uri), [])
        self.assertEqual(
            self.cloud.service("Terminated", fields, "delete", uri), ["shop/api is gone"]
        )

    def test_one_that_was_there_before_us_is_not_new(self) -> None:
        """Its first event may come before the lists do."""
        told = self.cloud.service("Starting", service(1, name="api"), uri="/api/v1/service/s9/")
        self.assertEqual(told, [])

    def test_scaling(self) -> None:
        self.assertEqual(self.cloud.service("Scaling", service(3, 5)), [])
        self.assertEqual(
            self.cloud.service("Running", service(5, 5)), ["shop/web is scaled: 5 of 5"]
        )
        self.cloud.service("Stopping", service(5, 0))
        self.assertEqual(
            self.cloud.service("Stopped", service(0, 0)), ["shop/web is stopped: 0 of 0"]
        )

    def test_what_happened_while_we_were_away(self) -> None:
        rows = {
            SERVICE: {**service(1), "state": "Partly running"},
            "/api/v1/service/s8/": {**service(0, name="api"), "state": "Starting"},
            "/api/v1/service/s9/": {**service(3, name="db"), "state": "Running"},
        }
        self.assertEqual(
            self.cloud.listed(rows),
            [
                "shop/api is new: shop/web:1.0, 3 wanted (late)",
                "shop/db is running: 3 of 3 (late)",
                "shop/web is partly running: 1 of 3 (late)",
            ],
        )

    def test_what_a_name_can_do(self) -> None:
        """Nobody is pinged by it."""
        world = self.cloud.world
        fields = service(0, 1, name="<!channel>")
        told = notices(world.event(SERVICE, "Stopped", parents=[STACK], object=fields))
        self.assertEqual(
            {n.notifier: n.text for n in told},
            {
                "console": "shop/<!channel> is stopped: 0 of 1",
                "slack": "shop/&lt;!channel&gt; is stopped: 0 of 1",
            },
        )


class ContainerTests(DockerTestCase):
    """Of containers only those that fail."""

    def test_one_that_fails(self) -> None:
        for code, message, why in (
            (1, None, "exit 1"),
            (137, "OOM", "exit 137 (OOM)"),
            (137, None, "exit 137"),
            (255, None, "exit 255"),
        ):
            self.cloud = Cloud.known()
            told = self.cloud.container(
                4, "Starting", "Running", "Stopped", "Terminated", code=code, message=message
            )
            self.assertEqual(told, [f"shop/web-4 failed on node-1: {why}"])

    def test_one_that_ends_otherwise(self) -> None:
        """Well, by SIGTERM, or nobody knows how."""
        for code in (0, 143, None):
            told = self.cloud.container(4, "Starting", "Running", "Stopped", code=code)
            self.assertEqual(told, [], code)

    def test_one_of_no_service(self) -> None:
        told = self.cloud.container(5, "Starting", "Stopped", code=2, parents=[NODE, CLUSTER])
        self.assertEqual(told, ["web-5 failed on node-1: exit 2"])
        told = self.cloud.container(6, "Starting", "Stopped", code=2, parents=[])
        self.assertEqual(told, ["web-6 failed: exit 2"])

    def test_nothing_of_stacks_clusters_and_actions(self) -> None:
        for uri, state in (
            (STACK, "Partly running"),
            (STACK, "Redeploying"),
            (CLUSTER, "Partly deployed"),
            ("/api/v1/action/a1/", "In progress"),
            ("/api/v1/action/a1/", "Failed"),
        ):
            event = self.cloud.world.event(uri, state, parents=[], object={"name": "x"})
            self.assertEqual(self.cloud.told(event), [], uri)


class NodeTests(DockerTestCase):
    """A node that comes, goes, and comes back."""

    def test_lost_and_found(self) -> None:
        self.assertEqual(self.cloud.node("Unreachable"), ["node-1 is unreachable"])
        self.assertEqual(self.cloud.node("Unreachable"), [])
        self.assertEqual(self.cloud.node("Deployed"), ["node-1 is back"])

    def test_a_new_one(self) -> None:
        uri = "/api/v1/node/n2/"
        self.assertEqual(self.cloud.node("Deploying", uri, "node-2", "create"), [])
        self.assertEqual(self.cloud.node("Deployed", uri, "node-2"), ["node-2 has joined"])
        uri = "/api/v1/node/n3/"
        told = self.cloud.node("Deployed", uri, "node-3", "create")
        self.assertEqual(told, ["node-3 has joined"])

    def test_one_that_leaves(self) -> None:
        self.assertEqual(self.cloud.node("Terminated", action="delete"), ["node-1 has left"])


class ConnectionTests(DockerTestCase):
    """The stream, and whoever is to be told."""

    def test_a_short_break_is_a_line_on_the_console(self) -> None:
        world = self.cloud.world
        said = notices(world.stream("Connected", reason=""))
        self.assertEqual(
            [(n.notifier, n.text) for n in said if n.form.value == "message"],
            [("console", "the event stream is connected")],
        )
        said = notices(world.stream("Disconnected", reason="the server closed it"))
        self.assertEqual(
            [(n.notifier, n.text) for n in said],
            [("console", "the event stream is disconnected: the server closed it")],
        )
        self.assertEqual(world.wait(10.0), [])

    def test_a_long_one_is_an_incident_with_the_time_that_nothing_was_seen(self) -> None:
        world = self.cloud.world
        world.stream("Connected", reason="")
        world.stream("Disconnected", reason="refused")
        said = world.wait(60.0)
        self.assertEqual(forms(said), [("pagerduty", "trigger"), ("slack", "trigger")])
        text = "no events arrive: the stream is disconnected: refused"
        self.assertEqual({n.text for n in said}, {text})
        world.stream("Connected", reason="")
        said = world.wait(10.0)
        self.assertEqual(forms(said), [("pagerduty", "resolve"), ("slack", "resolve")])
        text = "events arrive again; nothing was seen for 1 min 0 s"
        self.assertEqual({n.text for n in said}, {text})

    def test_one_that_was_there_never(self) -> None:
        world = self.cloud.world
        world.stream("Unauthorized", reason="")
        said = world.wait(20.0)
        text = "no events arrive: the stream is unauthorized"
        self.assertEqual({n.text for n in said}, {text})

    def test_a_notifier_that_fails_is_told_to_all(self) -> None:
        world = self.cloud.world
        self.assertEqual(notices(world.notifier("Refused", "slack")), [])
        self.assertEqual(world.wait(299.0), [])
        said = world.wait(2.0)
        self.assertEqual(
            forms(said), [("console", "trigger"), ("slack", "trigger"), ("pagerduty", "trigger")]
        )
        self.assertEqual({n.text for n in said}, {"slack takes no notices: why"})
        world.notifier("Delivering", "slack")
        self.assertEqual({n.text for n in world.wait(6.0)}, {"slack takes notices again"})


class DemoCloudTests(SynchronousTestCase):
    """The whole of the simulated cloud, told in words for people."""

    def live(self, seed: int, rate: float, seconds: int) -> list[tuple[float, str]]:
        """Let a cloud live that was listed; give what was told on the console, and when."""
        cloud, clock = Cloud.empty(), Clock()
        told: list[tuple[float, str]] = []

        def announce(announcements: Sequence[Announcement]) -> None:
            for announcement in announcements:
                decisions = cloud.world.bytes(msgspec.json.encode(announcement))
                told.extend((clock.seconds(), text) for text in cloud.told(decisions, look_up))

        def look_up(uri: str) -> Mapping[str, Any]:
            thing = demo.reducer.registry.find(*uri.strip("/").split("/")[-2:])
            assert thing is not None
            return object_of(thing)

        demo = DemoCloud(seed, rate, announce, clock, lambda: 1_800_000_000.0 + clock.seconds())
        things = [t for type_ in LISTED_TYPES for t in demo.reducer.registry.things(type_)]
        cloud.listed({thing.uri: object_of(thing) for thing in things})
        demo.startService()
        clock.pump([1.0 / rate] * int(seconds * rate))
        demo.stopService()
        self.assertEqual(clock.getDelayedCalls(), [])
        return told

    def test_a_whole_deploy_is_told_within_a_minute(self) -> None:
        """At the rate that it has by default, whatever the seed."""
        for seed in range(20):
            told = self.live(seed, 1.0, 60)
            begins = next((at, text) for at, text in told if "being redeployed from" in text)
            who = begins[1].partition(" ")[0]
            ends = next((at, t) for at, t in told if t.startswith(f"{who} is redeployed with"))
            self.assertLess(begins[0], ends[0])
            self.assertLessEqual(ends[0], 45)

    def test_every_line_is_one_of_these_forms_and_all_of_them_come(self) -> None:
        """Names, not addresses; nothing of a container but that it failed."""
        texts = [text for seed in range(4) for _, text in self.live(seed, 50.0, 60)]
        self.assertGreater(len(texts), 500)
        self.assertEqual([text for text in texts if not FORMS.fullmatch(text)], [])
        words = " / ".join(texts)
        for form in (
            "redeployed from", "is redeployed", "is new", "scaled", "running again", "is running",
            "partly", "stopped", "gone", "failed", "OOM", "unreachable", "back",
        ):  # fmt: skip
            self.assertIn(form, words)
