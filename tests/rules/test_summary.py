"""Tests of the line that says what there is to say of a change."""

from __future__ import annotations

import attrs
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from tests.rules.talk import CLUSTER, CONTAINER, NODE, SERVICE, STACK
from tutumwatch.events.event import Event
from tutumwatch.events.inputs import Found, Link, LinkType, Looked
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, ChangeKind, Resource
from tutumwatch.rules.summary import WANTED, name_of, outcome_of, summary_of
from tutumwatch.rules.touching import touched
from tutumwatch.rules.view import Unknown, View

ACTION = "/api/v1/action/a1/"
OLD, NEW = "registry:5000/shop/web:1.4", "registry:5000/shop/web:1.5"


@attrs.define
class Platform:
    """A platform that tells of itself, and what is known of it."""

    now: float = 1000.0
    inventory: Inventory = attrs.field(factory=Inventory)
    _count: int = 0

    def event(
        self,
        uri: str | None,
        state: str = "Running",
        action: str = "update",
        parents: list[str] | None = None,
        object: dict[str, object] | None = None,  # noqa: A002 - what it is called in an event
    ) -> Change:
        """Tell of something; ``object`` is what its object says; what has no uri is an error."""
        self._count += 1
        type_ = uri.strip("/").split("/")[-2] if uri else "error"
        told = Event(
            type=type_,
            resource_uri=uri,
            state=state,
            action=action,
            parents=parents,
            object=object,
        )
        return self.inventory.apply_event(told, f"c{self._count}", "main", self._count, self.now)

    def know(self, uri: str, **fields: object) -> None:
        """Let something be known."""
        looked = Looked("main", uri, self._count, Found(fields), self.now)
        self.inventory.apply_looked(looked, "looked")

    def link(self, type_: LinkType, state: str, reason: str = "") -> Change:
        """Let a connection of ours have a state."""
        return self.inventory.apply_link(Link(type_, "main", state, reason, self.now), "link")

    def summary(self, change: Change) -> str:
        """Give what there is to say."""
        return summary_of(View(self.inventory, change))


class SummaryTestCase(SynchronousTestCase):
    """A platform with a shop."""

    def setUp(self) -> None:
        """Let a stack and a node be known by name."""
        self.platform = Platform()
        self.platform.know(STACK, name="shop", state="Running")
        self.platform.know(NODE, nickname="node-2", state="Deployed")

    def assert_said(self, change: Change, said: str) -> None:
        """Fail unless this is said of a change."""
        self.assertEqual(self.platform.summary(change), said)

    def service(self, state: str, running: int = 3, target: int = 3, image: str = OLD) -> Change:
        """Tell of the shop's web service."""
        counts = {"running_num_containers": running, "target_num_containers": target}
        named = {"name": "web", "image_name": image, **counts}
        return self.platform.event(SERVICE, state, parents=[STACK], object=named)

    def container(self, state: str, **fields: object) -> Change:
        """Tell of a container of it on node-2."""
        parents = [SERVICE, STACK, NODE]
        named = {"name": "web-1", **fields}
        return self.platform.event(CONTAINER, state, parents=parents, object=named)


class ContainerTests(SummaryTestCase):
    """Of a container that ended by itself all is said that may explain it."""

    def test_all_that_there_is_to_say(self) -> None:
        self.service("Running")
        self.service("Redeploying", image=NEW)
        self.platform.now += 60
        self.service("Running", image=NEW)
        self.platform.now += 250
        self.service("Partly running", 2, image=NEW)
        self.assert_said(
            self.container("Stopped", exit_code=137, exit_code_msg="OOM killed"),
            "shop/web 2/3, exit 137 (OOM) on node-2, image 1.4 -> 1.5, deploy 4 min ago",
        )

    def test_how_it_ended(self) -> None:
        self.platform.know(SERVICE, name="web", stack=STACK)
        for fields, said in (
            ({"exit_code": 1}, "exit 1"),
            ({"exit_code": 127, "exit_code_msg": "not found"}, "exit 127 (not found)"),
            ({"exit_code": 0}, "exit 0"),
            ({}, "failed"),
            ({"exit_code_msg": "no such image"}, "no such image"),
            ({"exit_code_msg": "oom"}, "OOM"),
        ):
            self.container("Running")
            self.assert_said(self.container("Stopped", **fields), f"shop/web {said} on node-2")

    def test_one_that_was_stopped_is_named_itself(self) -> None:
        self.platform.know(SERVICE, name="web", stack=STACK)
        self.container("Stopping")
        self.assert_said(self.container("Stopped", exit_code=143), "shop/web-1 stopped on node-2")

    def test_one_that_lives(self) -> None:
        self.service("Partly running", 2)
        self.assert_said(self.container("Running", exit_code=1), "shop/web-1 running on node-2")

    def test_one_that_is_gone(self) -> None:
        self.container("Running")
        change = self.platform.event(CONTAINER, "Terminated", "delete")
        self.assert_said(change, "shop/web-1 gone")

    def test_one_of_which_little_is_known(self) -> None:
        self.assert_said(
            self.platform.event(CONTAINER, "Stopped"), f"container {CONTAINER} stopped"
        )
        alone = self.platform.event(CONTAINER, "Running", parents=[], object={"name": "box"})
        self.assert_said(alone, "container box running")
        ended = self.platform.event(CONTAINER, "Stopped", object={"name": "box", "exit_code": 1})
        self.assert_said(ended, "container box exit 1")
        self.platform.know(SERVICE, name="web")
        change = self.platform.event(
            CONTAINER, "Stopped", parents=[SERVICE], object={"exit_code": 1}
        )
        self.assert_said(change, "service web exit 1")


class ServiceTests(SummaryTestCase):
    """Of a service its counts, its state and its deploy are said."""

    def test_the_counts(self) -> None:
        for state, running, target, said in (
            ("Running", 3, 3, "shop/web 3/3 running"),
            ("Partly running", 2, 3, "shop/web 2/3 partly running"),
            ("Stopped", 0, 3, "shop/web 0/3 stopped"),
            ("Stopped", 0, 0, "shop/web stopped"),
        ):
            self.assert_said(self.service(state, running, target), said)

    def test_counts_that_cannot_be_of_this_state_are_older(self) -> None:
        """A server that sends no objects: they were looked up once."""
        self.platform.know(
            SERVICE, name="web", stack=STACK, running_num_containers=3, target_num_containers=3
        )
        for state in ("Stopped", "Not running", "Partly running"):
            self.assert_said(self.platform.event(SERVICE, state), f"shop/web {state.lower()}")
        self.assert_said(self.platform.event(SERVICE, "Running"), "shop/web running")
        self.assert_said(self.platform.event(SERVICE, "Stopping"), "shop/web stopping")
        self.platform.know(
            SERVICE, name="web", stack=STACK, running_num_containers=1, target_num_containers=3
        )
        self.assert_said(self.platform.event(SERVICE, "Running"), "shop/web running")

    def test_counts_by_which_it_is_ill_though_its_state_says_running(self) -> None:
        """Whoever is told that it is down sees why."""
        for running, said in ((0, "shop/web 0/3 running"), (2, "shop/web 2/3 running")):
            self.assert_said(self.service("Running", running), said)
            self.assert_said(self.service("Running", running), said)
        self.service("Partly running", 2)
        self.assert_said(self.service("Running", 3, target=4), "shop/web 3/4 running")
        self.assert_said(self.platform.event(SERVICE, "Running"), "shop/web 3/4 running")
        known = self.platform.inventory.get(("main", "service", "s1"))
        assert known is not None
        self.assert_said(touched(known, "", known.seen), "shop/web 3/4 running")

    def test_counts_that_are_none(self) -> None:
        self.platform.know(SERVICE, name="web", running_num_containers=3)
        self.assert_said(self.platform.event(SERVICE), "service web running")

    def test_a_deploy_from_begin_to_end(self) -> None:
        self.service("Running")
        self.assert_said(
            self.service("Redeploying", 2, image=NEW), "shop/web 2/3 redeploying, image 1.4 -> 1.5"
        )
        self.platform.now += 30
        self.assert_said(
            self.service("Redeploying", 1, image=NEW),
            "shop/web 1/3 redeploying, image 1.4 -> 1.5, deploying for 30 s",
        )
        self.platform.now += 213
        self.assert_said(
            self.service("Running", image=NEW),
            "shop/web 3/3 running, image 1.4 -> 1.5, deployed in 4 min 3 s",
        )
        self.platform.now += 42
        self.assert_said(
            self.service("Stopped", 0, image=NEW),
            "shop/web 0/3 stopped, image 1.4 -> 1.5, deploy 42 s ago",
        )

    def test_a_deploy_of_long_ago_explains_nothing(self) -> None:
        self.service("Running")
        self.service("Redeploying")
        self.service("Running")
        self.platform.now += 3599
        self.assert_said(self.service("Stopped", 0), "shop/web 0/3 stopped, deploy 59 min ago")
        self.platform.now += 1
        self.assert_said(self.service("Stopped", 0), "shop/web 0/3 stopped")

    def test_a_deploy_that_does_not_end_well(self) -> None:
        change = self.service("Running")
        self.service("Redeploying", 2, image=NEW)
        redeploying = self.service("Redeploying", 2, image=NEW)
        self.assertIsNotNone(redeploying.after.deploy)
        images = "image 1.4 -> 1.5"
        for state, news, later in (
            ("failed", "deploy failed after 10 s", "deploy failed 5 min ago"),
            ("rolled back", "rolled back after 10 s", "rolled back 5 min ago"),
            (
                "overdue",
                "deploy overdue, under way for 10 s",
                "deploy overdue, under way for 5 min 10 s",
            ),
        ):
            change = self.with_deploy(redeploying, state, 1010.0)
            self.assert_said(change, f"shop/web 2/3 redeploying, {images}, {news}")
            change = replace(change, at=1310.0, changed=frozenset())
            self.assert_said(change, f"shop/web 2/3 redeploying, {images}, {later}")

    def with_deploy(self, change: Change, state: str, at: float) -> Change:
        """Let a deploy have come to something."""
        assert change.after.deploy is not None
        ended_at = None if state == "overdue" else at
        deploy = replace(change.after.deploy, state=state, ended_at=ended_at)
        after = replace(change.after, deploy=deploy)
        return replace(change, after=after, at=at, changed=frozenset({"deploy"}))

    def test_images_are_as_short_as_they_are_clear(self) -> None:
        one, other = "sha256:" + "1" * 64, "sha256:" + "2" * 64
        for before, after, said in (
            ("web:1.4", "web:1.5", "1.4 -> 1.5"),
            ("web", "web:2", "latest -> 2"),
            ("a/web:1", "b/web:1", "a/web:1 -> b/web:1"),
            ("h:5000/web", "h:5000/web:2", "latest -> 2"),
            (f"web:1@{one}", f"web:1@{other}", "111111111111 -> 222222222222"),
            (f"web:1@{one}", f"web:2@{other}", "1 -> 2"),
            ("web:1", f"web:1@{other}", "1 -> 1"),
        ):
            self.platform = Platform()
            for image, state in ((before, "Running"), (after, "Redeploying")):
                named: dict[str, object] = {"name": "web", "image_name": image}
                change = self.platform.event(SERVICE, state, parents=[], object=named)
            self.assert_said(change, f"service web redeploying, image {said}")

    def test_what_was_just_now(self) -> None:
        """As when a page about it is cleared, once that is verified."""
        self.service("Running")
        self.service("Redeploying", 2, image=NEW)
        self.service("Running", image=NEW)
        for seconds, said in ((0.2, "just now"), (9.8, "just now"), (1.0, "11 s ago")):
            self.platform.now += seconds
            change = self.service("Running", image=NEW)
            self.assert_said(change, f"shop/web 3/3 running, image 1.4 -> 1.5, deploy {said}")

    def test_one_that_took_no_time(self) -> None:
        """Or was over when it was seen."""
        self.service("Running")
        self.service("Redeploying", 2)
        self.platform.now += 0.4
        self.assert_said(self.service("Running"), "shop/web 3/3 running, deployed")
        redeploying = self.service("Redeploying", 2)
        change = self.with_deploy(redeploying, "failed", self.platform.now)
        self.assert_said(change, "shop/web 2/3 redeploying, deploy failed")

    def test_a_first_deploy_names_its_image(self) -> None:
        for image in (OLD, f"{OLD}@sha256:{'1' * 64}"):
            self.setUp()
            said = f"image {OLD}"
            change = self.service("Starting", 0, image=image)
            self.assert_said(change, f"shop/web 0/3 starting, {said}")
            self.platform.now += 12
            change = self.service("Running", image=image)
            self.assert_said(change, f"shop/web 3/3 running, {said}, deployed in 12 s")

    def test_scaling(self) -> None:
        self.service("Running")
        self.assert_said(self.service("Scaling", 3, 5), "shop/web 3/5 scaling")
        self.platform.now += 4
        self.assert_said(self.service("Running", 5, 5), "shop/web 5/5 running, scaled in 4 s")
        self.platform.now += 60
        change = self.service("Partly running", 4, 5)
        self.assert_said(change, "shop/web 4/5 partly running, deploy 1 min ago")

    def test_a_deploy_of_the_same_image_names_none(self) -> None:
        self.service("Running")
        self.assert_said(self.service("Redeploying", 2), "shop/web 2/3 redeploying")

    def test_one_that_is_gone(self) -> None:
        """How many of it ran, and what was deployed, is of no use any more."""
        self.service("Running")
        self.assert_said(self.platform.event(SERVICE, "Terminated", "delete"), "shop/web gone")
        self.service("Redeploying", image=NEW)
        self.service("Running", image=NEW)
        self.service("Terminating", 2, image=NEW)
        gone = self.platform.event(SERVICE, "Terminated", "delete")
        self.assert_said(gone, "shop/web gone")
        later = replace(gone, kind=ChangeKind.SAME, before=gone.after)
        self.assert_said(later, "shop/web gone")

    def test_one_without_a_state(self) -> None:
        self.assert_said(self.platform.event(SERVICE, "", "create"), f"service {SERVICE} created")


class OthersTests(SummaryTestCase):
    """Everything else is named with its type."""

    def test_other_types(self) -> None:
        self.platform.know(CLUSTER, name="eu", state="Deployed")
        for uri, state, said in (
            (STACK, "Partly running", "stack shop partly running"),
            (NODE, "Unreachable", "node node-2 unreachable"),
            (CLUSTER, "Partly deployed", "node cluster eu partly deployed"),
        ):
            self.assert_said(self.platform.event(uri, state, parents=[]), said)

    def test_an_action_is_named_for_what_it_is_about(self) -> None:
        self.platform.know(SERVICE, name="web", stack=STACK)
        self.platform.know(CLUSTER, name="eu")
        for parents, said in (
            ([SERVICE, STACK], "action on shop/web failed"),
            ([STACK], "action on stack shop failed"),
            ([NODE], "action on node node-2 failed"),
            ([CLUSTER], "action on node cluster eu failed"),
            ([], f"action {ACTION} failed"),
        ):
            self.assert_said(self.platform.event(ACTION, "Failed", parents=parents), said)

    def test_our_own_connections(self) -> None:
        for type_, state, reason, said in (
            (LinkType.STREAM, "Connected", "", "stream main connected"),
            (LinkType.STREAM, "Disconnected", "lost", "stream main disconnected: lost"),
            (LinkType.NOTIFIER, "Refused", "403", "notifier main refused: 403"),
        ):
            self.assert_said(self.platform.link(type_, state, reason), said)
        self.platform.now += 125
        self.assert_said(
            self.platform.link(LinkType.STREAM, "Connected"),
            "stream main connected; nothing was seen for 2 min 5 s",
        )

    def test_what_is_no_resource(self) -> None:
        self.assert_said(self.platform.event(None, "", ""), "error")
        self.assert_said(self.platform.event(None, "odd", ""), "error odd")


class WantedTests(SummaryTestCase):
    """Whose it is is looked up; nothing else is asked for."""

    def test_what_is_wanted_names_whom_it_is_about(self) -> None:
        container = self.platform.event(CONTAINER, "Stopped", parents=[SERVICE, STACK, NODE])
        view = View(self.platform.inventory, container)
        needs = {
            v.need.resource_uri for path in WANTED if isinstance(v := view.value(path), Unknown)
        }
        self.assertEqual(needs, {CONTAINER, SERVICE})

    def test_in_brief(self) -> None:
        view = View(self.platform.inventory, self.service("Partly running", 2))
        self.assertEqual((name_of(view), outcome_of(view)), ("shop/web", "partly running"))

    def test_nothing_is_said_that_is_not_known(self) -> None:
        resource = Resource(("main", "service", ""), "")
        change = replace(self.service("Running"), after=resource)
        self.assert_said(change, "service updated")
