"""Tests of docker.toml's rules: what is told of what happens in a cloud, word for word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tests.config.cases import CREDENTIALS, environment_of
from tests.rules.world import World, notices
from tutumwatch.assembly import make_decider
from tutumwatch.config.load import DOCKER, load_configuration
from tutumwatch.notifiers.slack import escape_mrkdwn
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.notice import Form, Notice

VARIABLES = {
    **CREDENTIALS,
    "SLACK_URL": "https://hooks.slack.com/services/T0/B0/w3bh00k",
    "PAGERDUTY_KEY": "0123456789abcdef0123456789abcdef",
}
STACK, NODE, CLUSTER = "/api/v1/stack/k1/", "/api/v1/node/n1/", "/api/v1/nodecluster/nc1/"
SERVICE, LONELY, NEW_SERVICE = (f"/api/v1/service/s{number}/" for number in (1, 2, 9))
OLD, NEW, FIXED = "shop/web:1.0", "shop/web:1.1", "shop/web:1.2"
MINUTE = 60.0
DEADLINE = 15 * MINUTE


def service(running: int, target: int = 3, image: str = OLD, **more: object) -> dict[str, Any]:
    """Make a service's object, as the bridge sends it along."""
    return {
        "name": "web",
        "stack": STACK,
        "image_name": image,
        "running_num_containers": running,
        "target_num_containers": target,
        "update_state": None,
        **more,
    }


@attrs.define
class Cloud:
    """Events of a cloud, and what is told of each: by news, and by pages.

    ``objects``: what a look-up finds.
    """

    world: World
    objects: dict[str, dict[str, Any]] = attrs.field(factory=dict)

    @classmethod
    def known(cls) -> Cloud:
        """Make a cloud that was listed: a stack with a service of three, another one, a node."""
        configuration = load_configuration(None, environment_of(VARIABLES), DOCKER)
        cloud = cls(World(make_decider(configuration)))
        cloud.world.start()
        cloud.world.stream("Connected", reason="")
        # What a process before may have opened is closed; that is not what these tests are about.
        cloud.list_objects({
            STACK: {"name": "shop", "state": "Running"},
            SERVICE: {**service(3), "state": "Running"},
            LONELY: {**service(1, 1), "name": "mailer", "stack": None, "state": "Running"},
            NODE: {"external_fqdn": "node-1", "state": "Deployed", "node_cluster": CLUSTER},
        })  # fmt: skip
        return cloud

    def list_objects(self, objects: Mapping[str, Mapping[str, Any]]) -> Decisions:
        """List some objects."""
        self.objects |= {uri: dict(fields) for uri, fields in objects.items()}
        return self.world.listed(objects)

    def listed(self, objects: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Give what is told when some objects are listed."""
        return self.told(self.list_objects(objects))

    def told(self, decisions: Decisions) -> list[str]:
        """Give what was told, pages marked as such; what has to be looked up is found at once."""
        said = notices(decisions)
        needs = list(decisions.needs)
        while needs:
            uri = needs.pop().resource_uri
            found = self.world.found(uri, **self.objects[uri])
            said += notices(found)
            needs += found.needs
        return lines_of(said)

    def event(
        self,
        uri: str,
        state: str,
        fields: Mapping[str, Any],
        parents: Sequence[str] = (),
        action: str = "update",
    ) -> list[str]:
        """Let something have a state."""
        self.objects[uri] = {**fields, "state": state}
        return self.told(
            self.world.event(uri, state, action=action, parents=list(parents), object=fields)
        )

    def service(
        self, state: str, fields: Mapping[str, Any], action: str = "update", uri: str = SERVICE
    ) -> list[str]:
        """Let a service have a state."""
        parents = [STACK] if fields.get("stack") else []
        return self.event(uri, state, fields, parents, action)

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
            told += self.event(f"/api/v1/container/c{number}/", state, fields, parents)
        return told

    def node(
        self, state: str, uri: str = NODE, name: str = "node-1", action: str = "update"
    ) -> list[str]:
        """Let a node have a state."""
        return self.event(uri, state, {"external_fqdn": name}, [CLUSTER], action)

    def wait(self, seconds: float) -> list[str]:
        """Let time pass."""
        world = self.world
        end = world.now + seconds
        told = []
        while (due := world.decider.next_due()) is not None and due <= end:
            world.now = max(due, world.now)
            told += self.told(world.tick())
        world.now = end
        return told


def lines_of(said: Sequence[Notice]) -> list[str]:
    """Give what was said, each text once, with a mark before that of a page.

    The console hears all of it; Slack hears the news, PagerDuty the pages.
    """
    texts: dict[str, list[str]] = {name: [] for name in ("console", "slack", "pagerduty")}
    marks = {Form.MESSAGE: "", Form.TRIGGER: "PAGE ", Form.RESOLVE: "END "}
    for notice in said:
        texts[notice.notifier].append(marks[notice.form] + notice.text)
    news = [text for text in texts["console"] if not text.startswith(("PAGE ", "END "))]
    pages = [text for text in texts["console"] if text not in news]
    assert texts["slack"] == list(map(escape_mrkdwn, news)), texts
    assert texts["pagerduty"] == pages, texts
    return texts["console"]


class DockerTestCase(SynchronousTestCase):
    """Gives each test a cloud in which all is well."""

    def setUp(self) -> None:
        self.cloud = Cloud.known()


class DeployTests(DockerTestCase):
    """A deploy is one line, whatever its containers do meanwhile."""

    def redeploy(self, code: int) -> list[str]:
        """Replace three containers by such of another image; the old ones end with a code."""
        cloud = self.cloud
        for number in range(3):
            cloud.container(number, "Starting", "Running")
        told = cloud.service("Redeploying", service(3, image=NEW, update_state="updating"))
        for number in range(3):
            told += cloud.wait(5.0)
            told += cloud.container(number, "Stopping", "Stopped", "Terminated", code=code)
            told += cloud.container(number + 3, "Starting", "Running")
        return told + cloud.service("Running", service(3, image=NEW, update_state="completed"))

    def test_one_that_ends_well(self) -> None:
        told = self.redeploy(143)
        self.assertEqual(told, ["shop/web 3/3 running, image 1.0 -> 1.1, deployed in 15 s"])

    def test_containers_that_are_killed_because_they_do_not_stop(self) -> None:
        """Docker kills after 10 s: exit 137, and no failure."""
        for code in (137, 0, 1):
            self.setUp()
            self.assertEqual(len(self.redeploy(code)), 1, code)

    def test_the_same_image_again(self) -> None:
        self.cloud.service("Redeploying", service(3))
        self.assertEqual(self.cloud.wait(7.0), [])
        told = self.cloud.service("Running", service(3))
        self.assertEqual(told, ["shop/web 3/3 running, deployed in 7 s"])

    def test_of_a_service_that_was_not_known(self) -> None:
        fields = service(3, name="api", image="shop/api:4.2")
        self.cloud.service("Redeploying", fields, uri=NEW_SERVICE)
        self.cloud.wait(7.0)
        told = self.cloud.service("Running", fields, uri=NEW_SERVICE)
        self.assertEqual(told, ["shop/api 3/3 running, image shop/api:4.2, deployed in 7 s"])

    def test_one_that_nobody_saw(self) -> None:
        self.cloud.world.stream("Disconnected")
        self.cloud.world.now += 60
        self.cloud.world.stream("Connected")
        fields = service(3, image=NEW, update_state="completed")
        self.assertEqual(
            self.cloud.listed({SERVICE: {**fields, "state": "Running"}}),
            ["shop/web 3/3 running, image 1.0 -> 1.1, deployed (late)"],
        )

    def deploy_badly(self) -> list[str]:
        """Deploy an image whose first container fails; the engine gives up."""
        self.cloud.service("Redeploying", service(3, image=NEW, update_state="updating"))
        told = self.cloud.wait(8.0)
        told += self.cloud.container(4, "Starting", "Running", "Stopped", code=1)
        paused = service(2, image=NEW, update_state="paused")
        return told + self.cloud.service("Partly running", paused)

    def test_one_that_fails_and_the_fix(self) -> None:
        said = "shop/web 2/3 partly running, image 1.0 -> 1.1, deploy failed after 8 s"
        self.assertEqual(self.deploy_badly(), [said, f"PAGE bad deploy: {said}"])
        self.assertEqual(self.cloud.wait(10 * MINUTE), [])
        self.cloud.service("Redeploying", service(2, image=FIXED, update_state="updating"))
        self.assertEqual(self.cloud.wait(16.0), [])
        fixed = service(3, image=FIXED, update_state="completed")
        self.assertEqual(
            self.cloud.service("Running", fixed),
            [
                "shop/web 3/3 running, image 1.1 -> 1.2, deployed in 16 s",
                "END bad deploy is over: shop/web 3/3 running, image 1.1 -> 1.2, deploy just now",
            ],
        )

    def test_one_that_fails_and_is_removed(self) -> None:
        self.deploy_badly()
        self.cloud.service("Terminating", service(2, image=NEW))
        self.assertEqual(
            self.cloud.service("Terminated", service(0, image=NEW), "delete"),
            ["shop/web gone", "END bad deploy is over: shop/web gone (was deleted)"],
        )

    def test_one_that_is_rolled_back(self) -> None:
        """Then nobody has to act any more."""
        self.cloud.service("Redeploying", service(3, image=NEW, update_state="updating"))
        self.cloud.wait(8.0)
        told = self.cloud.service("Redeploying", service(2, update_state="rollback_started"))
        self.assertEqual(
            told,
            [
                "shop/web 2/3 redeploying, deploy failed after 8 s",
                "PAGE bad deploy: shop/web 2/3 redeploying, deploy failed after 8 s",
            ],
        )
        self.cloud.wait(12.0)
        self.assertEqual(
            self.cloud.service("Running", service(3, update_state="rollback_completed")),
            [
                "shop/web 3/3 running, rolled back after 20 s",
                "END bad deploy is over: shop/web 3/3 running, rolled back just now",
            ],
        )

    def test_one_that_does_not_end(self) -> None:
        """It excuses its service, until it is overdue."""
        self.cloud.service("Redeploying", service(2, image=NEW, update_state="updating"))
        self.assertEqual(self.cloud.wait(DEADLINE - 1), [])
        self.assertEqual(
            self.cloud.wait(2.0),
            [
                (
                    "PAGE bad deploy: shop/web 2/3 redeploying, image 1.0 -> 1.1, "
                    "deploy overdue, under way for 15 min 0 s"
                )
            ],
        )
        self.assertEqual(self.cloud.wait(60 * MINUTE), [])


class ServiceTests(DockerTestCase):
    """A service that comes, goes, grows, or is not what it should be."""

    def test_trouble_and_its_end(self) -> None:
        cloud = self.cloud
        self.assertEqual(cloud.service("Partly running", service(2)), [])
        self.assertEqual(cloud.wait(119.0), [])
        told = ["PAGE service degraded: shop/web 2/3 partly running"]
        self.assertEqual(cloud.wait(2.0), told)
        self.assertEqual(cloud.service("Stopped", service(0)), [])
        self.assertEqual(cloud.service("Running", service(3)), [])
        self.assertEqual(cloud.wait(29.0), [])
        self.assertEqual(cloud.wait(2.0), ["END service down is over: shop/web 3/3 running"])

    def test_trouble_that_is_short(self) -> None:
        for _ in range(5):
            self.cloud.service("Partly running", service(2))
            self.assertEqual(self.cloud.wait(110.0), [])
            self.cloud.service("Running", service(3))
            self.assertEqual(self.cloud.wait(40.0), [])

    def test_one_without_a_stack(self) -> None:
        fields = {**service(0, 1), "name": "mailer", "stack": None}
        self.assertEqual(self.cloud.service("Stopped", fields, uri=LONELY), [])
        told = ["PAGE service down: service mailer 0/1 stopped"]
        self.assertEqual(self.cloud.wait(121.0), told)

    def test_a_new_one(self) -> None:
        cloud, fields = self.cloud, service(0, 2, name="api", image="shop/api:1.0")
        self.assertEqual(cloud.service("Starting", fields, "create", NEW_SERVICE), [])
        cloud.wait(3.0)
        self.assertEqual(
            cloud.service("Running", {**fields, "running_num_containers": 2}, uri=NEW_SERVICE),
            ["shop/api 2/2 running, image shop/api:1.0, deployed in 3 s"],
        )
        self.assertEqual(cloud.service("Terminating", fields, uri=NEW_SERVICE), [])
        gone = cloud.service("Terminated", fields, "delete", NEW_SERVICE)
        self.assertEqual(gone, ["shop/api gone"])

    def test_one_whose_image_is_not_to_be_had(self) -> None:
        fields = service(0, 2, name="api", image="shop/api:1.O")
        self.cloud.service("Starting", fields, "create", NEW_SERVICE)
        self.assertEqual(
            self.cloud.wait(DEADLINE + 1),
            [
                (
                    "PAGE bad deploy: shop/api 0/2 starting, image shop/api:1.O, "
                    "deploy overdue, under way for 15 min 0 s"
                )
            ],
        )

    def test_scaling(self) -> None:
        cloud = self.cloud
        self.assertEqual(cloud.service("Scaling", service(3, 5)), [])
        cloud.wait(2.0)
        self.assertEqual(
            cloud.service("Running", service(5, 5)), ["shop/web 5/5 running, scaled in 2 s"]
        )

    def test_one_that_somebody_stops_and_starts(self) -> None:
        cloud = self.cloud
        self.assertEqual(cloud.service("Stopping", service(3, 0)), [])
        self.assertEqual(cloud.service("Stopped", service(0, 0)), ["shop/web stopped"])
        self.assertEqual(cloud.wait(10 * MINUTE), [])
        cloud.service("Scaling", service(0, 3))
        cloud.wait(2.0)
        told = cloud.service("Running", service(3, 3))
        self.assertEqual(told, ["shop/web 3/3 running, scaled in 2 s"])

    def test_what_happened_while_we_were_away(self) -> None:
        """What is down is a page, if it stays so; what came and went is none."""
        rows = {
            SERVICE: {**service(1), "state": "Partly running"},
            LONELY: {**service(0, 0), "name": "mailer", "stack": None, "state": "Stopped"},
        }
        self.assertEqual(self.cloud.listed(rows), ["service mailer stopped (late)"])
        told = ["PAGE service degraded: shop/web 1/3 partly running"]
        self.assertEqual(self.cloud.wait(121.0), told)

    def test_what_a_name_can_do(self) -> None:
        """Nobody is pinged by it."""
        fields = service(0, 0, name="<!channel>")
        world = self.cloud.world
        told = notices(world.event(SERVICE, "Stopped", parents=[STACK], object=fields))
        self.assertEqual(
            {n.notifier: n.text for n in told},
            {"console": "shop/<!channel> stopped", "slack": "shop/&lt;!channel&gt; stopped"},
        )


class ContainerTests(DockerTestCase):
    """Of containers nothing, unless one fails again and again."""

    def die(self, number: int, code: int | None = 1, message: str | None = None) -> list[str]:
        """Let a container end by itself."""
        states = ("Starting", "Running", "Stopped", "Terminated")
        return self.cloud.container(number, *states, code=code, message=message)

    def test_one_that_fails_once_or_twice(self) -> None:
        self.assertEqual(self.die(4) + self.die(5, 137, "OOM"), [])
        self.assertEqual(self.cloud.wait(11 * MINUTE), [])
        self.assertEqual(self.die(6) + self.die(7), [])

    def test_a_crash_loop_and_its_end(self) -> None:
        cloud = self.cloud
        cloud.service("Partly running", service(2))
        self.assertEqual(self.die(4) + cloud.wait(6.0) + self.die(5) + cloud.wait(6.0), [])
        told = ["PAGE crash loop: shop/web 2/3, exit 137 (OOM) on node-1"]
        self.assertEqual(self.die(6, 137, "OOM"), told)
        for number in range(7, 50):
            self.assertEqual(self.die(number) + cloud.wait(6.0), [])
        cloud.service("Running", service(3))
        self.assertEqual(cloud.wait(119.0), [])
        self.assertEqual(cloud.wait(2.0), ["END crash loop is over: shop/web 3/3 running"])

    def test_one_that_ends_otherwise(self) -> None:
        """Well, or because it was asked to."""
        for number in range(4, 20):
            self.assertEqual(self.die(number, 0), [])
            states = ("Starting", "Running", "Stopping", "Stopped", "Terminated")
            self.assertEqual(self.cloud.container(number + 100, *states, code=137), [])

    def test_nothing_of_stacks_clusters_and_actions(self) -> None:
        for uri, state in (
            (STACK, "Partly running"),
            (STACK, "Redeploying"),
            (CLUSTER, "Partly deployed"),
            ("/api/v1/action/a1/", "In progress"),
            ("/api/v1/action/a1/", "Failed"),
        ):
            self.assertEqual(self.cloud.event(uri, state, {"name": "x"}), [], uri)
        self.assertEqual(self.cloud.wait(60 * MINUTE), [])


class NodeTests(DockerTestCase):
    """A node that comes, goes, and comes back."""

    def test_lost_and_found(self) -> None:
        cloud = self.cloud
        self.assertEqual(cloud.node("Unreachable"), [])
        self.assertEqual(cloud.wait(29.0), [])
        self.assertEqual(cloud.wait(2.0), ["PAGE node lost: node-1 is unreachable"])
        self.assertEqual(cloud.node("Deployed"), [])
        self.assertEqual(cloud.wait(29.0), [])
        self.assertEqual(cloud.wait(2.0), ["END node lost is over: node-1 is deployed"])

    def test_a_blip(self) -> None:
        self.cloud.node("Unreachable")
        self.cloud.wait(20.0)
        self.assertEqual(self.cloud.node("Deployed") + self.cloud.wait(10 * MINUTE), [])

    def test_what_ran_there(self) -> None:
        """It is explained by the node, for five minutes; then it is one page of its own."""
        cloud = self.cloud
        for number in range(3):
            cloud.container(number, "Running")
        self.assertEqual(cloud.node("Unreachable") + cloud.service("Stopped", service(0)), [])
        self.assertEqual(cloud.wait(2 * MINUTE), ["PAGE node lost: node-1 is unreachable"])
        self.assertEqual(cloud.wait(3 * MINUTE), [])
        self.assertEqual(cloud.wait(5 * MINUTE), ["PAGE service down after node lost: shop/web"])

    def test_a_new_one(self) -> None:
        uri = "/api/v1/node/n2/"
        self.assertEqual(self.cloud.node("Deploying", uri, "node-2", "create"), [])
        self.assertEqual(self.cloud.node("Deployed", uri, "node-2"), ["node node-2 deployed"])
        uri = "/api/v1/node/n3/"
        told = self.cloud.node("Deployed", uri, "node-3", "create")
        self.assertEqual(told, ["node node-3 deployed"])

    def test_one_that_leaves(self) -> None:
        told = self.cloud.node("Terminated", action="delete")
        self.assertEqual(told, ["node node-1 gone"])

    def test_one_that_is_lost_and_removed(self) -> None:
        self.cloud.node("Unreachable")
        self.cloud.wait(40.0)
        self.assertEqual(
            self.cloud.node("Terminated", action="delete"),
            ["node node-1 gone", "END node lost is over: node-1 is terminated (was deleted)"],
        )


class ConnectionTests(DockerTestCase):
    """The stream, and whoever is to be told: of both all hear that can."""

    def said(self, said: Sequence[Notice]) -> dict[str, list[str]]:
        """Give what was said to whom."""
        told: dict[str, list[str]] = {}
        for notice in said:
            told.setdefault(notice.notifier, []).append(notice.text)
        return told

    def test_a_short_break_is_a_line_on_the_console(self) -> None:
        world = self.cloud.world
        said = notices(world.stream("Disconnected", reason="the server closed it"))
        line = "stream main disconnected: the server closed it"
        self.assertEqual(self.said(said), {"console": [line]})
        self.assertEqual(world.wait(10.0), [])
        said = notices(world.stream("Connected", reason=""))
        line = "stream main connected; nothing was seen for 10 s"
        self.assertEqual(self.said(said), {"console": [line]})
        self.assertEqual(world.wait(60.0), [])

    def test_a_long_one_is_an_incident_with_the_time_that_nothing_was_seen(self) -> None:
        world = self.cloud.world
        world.stream("Disconnected", reason="refused")
        text = "no events arrive: the stream is disconnected: refused"
        told = {name: [text] for name in ("console", "pagerduty", "slack")}
        self.assertEqual(self.said(world.wait(60.0)), told)
        world.stream("Connected", reason="")
        text = "events arrive again; nothing was seen for 1 min 0 s"
        told = {name: [text] for name in ("console", "pagerduty", "slack")}
        self.assertEqual(self.said(world.wait(10.0)), told)

    def test_one_that_was_there_never(self) -> None:
        self.cloud.world.stream("Unauthorized", reason="")
        (text,) = self.said(self.cloud.world.wait(20.0))["pagerduty"]
        self.assertEqual(text, "no events arrive: the stream is unauthorized")

    def test_a_notifier_that_fails_is_told_to_every_other_one(self) -> None:
        world = self.cloud.world
        for name, others in (
            ("slack", ("console", "pagerduty")),
            ("pagerduty", ("console", "slack")),
        ):
            self.assertEqual(notices(world.notifier("Refused", name)), [])
            self.assertEqual(world.wait(299.0), [])
            text = f"{name} takes no notices: why"
            self.assertEqual(self.said(world.wait(2.0)), {other: [text] for other in others})
            world.notifier("Delivering", name)
            text = f"{name} takes notices again"
            self.assertEqual(self.said(world.wait(60.0)), {other: [text] for other in others})
