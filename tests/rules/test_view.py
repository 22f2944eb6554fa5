"""Tests of what a rule sees of a change: a value, nothing, or something to look up first."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from tests.rules.world import CLUSTER, CONTAINER, NODE, SERVICE, STACK
from tutumwatch.events.event import Event
from tutumwatch.events.inputs import Found, Link, LinkType, Looked, Missing
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change
from tutumwatch.rules.decisions import Need
from tutumwatch.rules.view import ABSENT, Unknown, Value, View


def needed(uri: str, *, fresh: bool = False) -> Unknown:
    """Give what a view says of a field for which a resource must be looked up."""
    return Unknown(Need("main", uri, fresh=fresh))


class ViewCase(SynchronousTestCase):
    """A view of the last event."""

    def setUp(self) -> None:
        """Begin with nothing known."""
        self.inventory = Inventory()
        self.number = 0
        self.at = 5.0

    def event(self, uri: str | None, parents: list[str] | None = None, **more: Any) -> Change:  # noqa: ANN401 - fields of an event
        """Take in an event."""
        self.number += 1
        said = {"state": "Running", **more}
        type_ = said.pop("type", None) or (uri or "").strip("/").split("/")[-2]
        event = Event(type=type_, resource_uri=uri, parents=parents, **said)
        return self.inventory.apply_event(event, "id", "main", self.number, self.at)

    def found(self, uri: str, **fields: object) -> None:
        """Take in an object."""
        looked = Looked("main", uri, self.number, Found(fields), self.at)
        self.inventory.apply_looked(looked, "looked")

    def view(self, change: Change, **options: frozenset[str]) -> View:
        """Look at a change."""
        return View(self.inventory, change, **options)

    def assert_seen(self, view: View, **expected: Value) -> None:
        """Fail unless a view has these values; two underscores stand for a dot."""
        for name, value in expected.items():
            self.assertEqual(view.value(tuple(name.split("__"))), value, name)


class OwnFieldsTests(ViewCase):
    """Fields of the resource itself."""

    def test_what_an_event_tells(self) -> None:
        change = self.event(SERVICE, [STACK], action="update", date="2015-12-07T04:01:01+00:00")
        self.assert_seen(
            self.view(change),
            type="service",
            action="update",
            kind="new",
            state="Running",
            resource_uri=SERVICE,
            uuid="s1",
            parents=[STACK],
            stream="main",
            changed=["parents", "state"],
            date="2015-12-07T04:01:01+00:00",
        )

    def test_what_only_the_object_tells_is_unknown_until_it_was_looked_up(self) -> None:
        view = self.view(self.event(CONTAINER, [SERVICE]))
        unknown = needed(CONTAINER)
        self.assert_seen(view, name=unknown, exit_code=unknown, image=unknown, labels__job=unknown)
        self.found(CONTAINER, name="web-1", exit_code=0, labels={"job": "x"})
        self.assert_seen(view, name="web-1", exit_code=0, labels__job="x")

    def test_what_a_known_object_does_not_carry_is_absent(self) -> None:
        view = self.view(self.event(CONTAINER, [SERVICE]))
        self.found(CONTAINER, name="web-1")
        self.assert_seen(view, exit_code=ABSENT, image=ABSENT, labels__job=ABSENT, region=ABSENT)
        self.found(CONTAINER, name="web-1", labels={})
        self.assert_seen(view, labels__job=ABSENT)

    def test_the_state_is_the_one_of_the_change(self) -> None:
        """Not the one that the resource has by now."""
        change = self.event(CONTAINER, [SERVICE], state="Starting")
        self.event(CONTAINER, [SERVICE], state="Stopped")
        self.found(CONTAINER, name="web-1", state="Stopped")
        self.assert_seen(self.view(change), state="Starting", name="web-1")

    def test_fields_that_came_along_are_those_of_the_change(self) -> None:
        change = self.event(CONTAINER, [SERVICE], object={"exit_code": 1})
        self.event(CONTAINER, [SERVICE], object={"exit_code": 0, "name": "later"})
        self.assert_seen(self.view(change), exit_code=1, name=ABSENT)

    def test_parents_that_were_not_told(self) -> None:
        change = self.event(CONTAINER, None)
        self.assert_seen(
            self.view(change), parents=needed(CONTAINER), stack__name=needed(CONTAINER)
        )
        self.found(CONTAINER, service=SERVICE)
        self.assert_seen(self.view(change), parents=[SERVICE])

    def test_a_state_that_was_not_told(self) -> None:
        change = self.event(CONTAINER, [], state=None)
        self.assert_seen(self.view(change), state=needed(CONTAINER))

    def test_an_event_without_a_resource_has_nothing_to_look_up(self) -> None:
        """A bad resource_uri is shown, and never asked for."""
        for uri in (None, "@elsewhere.example/"):
            change = self.event(uri, None, type="auth", state=None)
            self.assert_seen(
                self.view(change),
                type="auth",
                state=ABSENT,
                name=ABSENT,
                parents=ABSENT,
                uuid=ABSENT,
                resource_uri=uri or ABSENT,
                stack__name=ABSENT,
                exit_code=ABSENT,
                action=ABSENT,
                date=ABSENT,
            )

    def test_what_is_gone_has_nothing_to_look_up(self) -> None:
        change = self.event(CONTAINER, None)
        self.inventory.apply_looked(Looked("main", CONTAINER, 1, Missing(), 6.0), "looked")
        self.assert_seen(self.view(change), name=ABSENT, parents=[], stack__name=ABSENT)

    def test_before(self) -> None:
        """What was not known before is absent: nothing will tell it any more."""
        first = self.event(CONTAINER, [SERVICE], state="Starting")
        self.assert_seen(self.view(first), before__state=ABSENT, before__name=ABSENT)
        second = self.event(CONTAINER, [NODE], state="Running")
        self.assert_seen(
            self.view(second),
            before__state="Starting",
            before__parents=[SERVICE],
            before__name=ABSENT,
            before__labels__job=ABSENT,
            changed=["parents", "state"],
            kind="changed",
        )
        late = replace(second, late=True)
        self.assert_seen(self.view(second), late=False)
        self.assert_seen(self.view(late), late=True)
        third = self.event(CONTAINER, [NODE], state="Running")
        self.assert_seen(self.view(third), changed=[], kind="same")

    def test_our_own_connections(self) -> None:
        for type_, stream in ((LinkType.STREAM, "main"), (LinkType.NOTIFIER, ABSENT)):
            link = Link(type_, "main", "Failing", "refused", 5.0)
            change = self.inventory.apply_link(link, "link")
            self.assert_seen(
                self.view(change),
                type=type_.value,
                name="main",
                state="Failing",
                reason="refused",
                stream=stream,
                resource_uri=ABSENT,
                action=ABSENT,
                exit_code=ABSENT,
                parents=[],
                stack__name=ABSENT,
            )

    def test_only_our_own_connections_have_a_reason(self) -> None:
        """A container has none, and no look-up will find one."""
        self.assert_seen(self.view(self.event(CONTAINER, [])), reason=ABSENT)


class ParentFieldsTests(ViewCase):
    """Fields of parents."""

    def test_a_parent_that_is_known(self) -> None:
        self.found(STACK, name="shop", state="Running")
        view = self.view(self.event(SERVICE, [STACK]))
        self.assert_seen(
            view,
            stack__name="shop",
            stack__state="Running",
            stack__uuid="k1",
            stack__resource_uri=STACK,
            stack__image=ABSENT,
        )

    def test_a_parent_that_is_not_known_must_be_looked_up(self) -> None:
        view = self.view(self.event(SERVICE, [STACK]))
        self.assert_seen(view, stack__name=needed(STACK), stack__state=needed(STACK))
        self.event(STACK, [], state="Running")
        self.assert_seen(view, stack__name=needed(STACK), stack__state="Running")

    def test_a_parent_that_the_message_does_not_name_is_absent(self) -> None:
        view = self.view(self.event(SERVICE, []))
        self.assert_seen(view, stack__name=ABSENT, node__state=ABSENT, service__state="Running")

    def test_a_resource_is_its_own_stack(self) -> None:
        """Of a stack itself ``stack.*`` is the stack."""
        change = self.event(STACK, [], state="Stopped")
        self.assert_seen(self.view(change), stack__state="Stopped", stack__name=needed(STACK))
        self.event(STACK, [], state="Running")
        self.found(STACK, name="shop")
        self.assert_seen(self.view(change), stack__state="Stopped", stack__name="shop")

    def test_a_parent_that_is_gone_is_not_asked_for_again(self) -> None:
        self.inventory.apply_looked(Looked("main", STACK, 0, Missing(), 5.0), "looked")
        view = self.view(self.event(SERVICE, [STACK]))
        self.assert_seen(view, stack__name=ABSENT, stack__state=ABSENT)

    def test_fresh_asks_each_time(self) -> None:
        """Until it was answered for this very change; then what is known serves."""
        self.found(STACK, name="shop", state="Running")
        change = self.event(SERVICE, [STACK])
        fresh = frozenset({"stack"})
        self.assert_seen(self.view(change, fresh=fresh), stack__name=needed(STACK, fresh=True))
        answered = self.view(change, fresh=fresh, answered=frozenset({STACK}))
        self.assert_seen(answered, stack__name="shop")

    def test_fresh_of_a_bad_resource_uri_asks_nobody(self) -> None:
        """The type of an event may be a stack's and its path lead elsewhere."""
        change = self.event("@elsewhere.example/", [], type="stack")
        view = self.view(change, fresh=frozenset({"stack"}))
        self.assert_seen(view, stack__state=ABSENT, stack__name=ABSENT)

    def test_the_stack_of_a_container_whose_object_leaves_it_out(self) -> None:
        """Its service names it, and must perhaps be looked up first."""
        change = self.event(CONTAINER, None)
        self.found(CONTAINER, service=SERVICE, node=NODE)
        view = self.view(change)
        self.assert_seen(view, stack__name=needed(SERVICE), nodecluster__name=needed(NODE))
        self.found(SERVICE, name="web", stack=STACK)
        self.found(NODE, node_cluster=CLUSTER)
        self.assert_seen(view, stack__name=needed(STACK), nodecluster__name=needed(CLUSTER))
        self.found(STACK, name="shop")
        self.found(CLUSTER, name="eu")
        self.assert_seen(view, stack__name="shop", nodecluster__name="eu", service__name="web")

    def test_the_service_of_a_container_whose_object_names_none(self) -> None:
        change = self.event(CONTAINER, None)
        self.found(CONTAINER, node=NODE)
        view = self.view(change)
        self.assert_seen(view, service__name=ABSENT, stack__name=ABSENT)
        self.found(NODE, external_fqdn="a.example")
        self.assert_seen(view, nodecluster__name=ABSENT, node__host="a.example")

    def test_a_service_that_must_be_looked_up_to_know_its_stack(self) -> None:
        change = self.event(CONTAINER, None)
        self.found(CONTAINER, service=SERVICE)
        self.event(SERVICE, None)
        self.assert_seen(self.view(change), stack__name=needed(SERVICE))

    def test_a_change_is_seen_the_same_after_its_resource_was_forgotten(self) -> None:
        change = self.event(CONTAINER, [SERVICE])
        self.inventory = Inventory()
        self.assert_seen(self.view(change), state="Running", name=needed(CONTAINER))

    def test_parents_of_no_form_are_passed_over(self) -> None:
        view = self.view(self.event(SERVICE, ["@elsewhere/", "", STACK]))
        self.assert_seen(view, stack__uuid=needed(STACK))

    def test_a_view_changes_nothing(self) -> None:
        self.found(CONTAINER, labels={"job": "x"})
        before = self.inventory.get(("main", "container", "c1"))
        view = self.view(self.event(CONTAINER, [SERVICE], object={"labels": {"job": "x"}}))
        view.value(("parents",)).append("x")
        self.assert_seen(view, labels__job="x", labels__other=ABSENT, parents=[SERVICE])
        self.assertEqual(before and before.fields, {"labels": {"job": "x"}})


class UriOfTests(ViewCase):
    """The resource_uri of a parent, for whoever wants to look it up."""

    def test_each_way(self) -> None:
        view = self.view(self.event(CONTAINER, [SERVICE]))
        self.assertEqual(view.uri_of("service"), SERVICE)
        self.assertIs(view.uri_of("node"), ABSENT)
        self.assertEqual(self.view(self.event(SERVICE, [STACK])).uri_of("service"), SERVICE)
        self.assertEqual(self.view(self.event(NODE)).uri_of("nodecluster"), needed(NODE))


class HealthTests(ViewCase):
    """How well a resource is, and was, and its parents are."""

    def test_of_what_is_known(self) -> None:
        counts = {"running_num_containers": 1, "target_num_containers": 2}
        self.event(SERVICE, [STACK], object={**counts, "running_num_containers": 2})
        change = self.event(SERVICE, [STACK], object=counts)
        self.event(NODE, [], state="Unreachable")
        self.assert_seen(self.view(change), health="degraded", before__health="ok")
        view = self.view(self.event(CONTAINER, [SERVICE, STACK, NODE]))
        self.event(STACK)
        self.assert_seen(view, health="ok", service__health="degraded", stack__health="degraded")
        self.assert_seen(view, node__health="down", before__health=ABSENT)

    def test_of_a_service_without_counts(self) -> None:
        """Its state serves: a look-up is not made for more."""
        self.assert_seen(self.view(self.event(SERVICE, [STACK])), health="ok")

    def test_of_a_job(self) -> None:
        """Its containers are asked now; how they were before is not known any more."""
        counts = {"running_num_containers": 0, "target_num_containers": 1}
        self.event(SERVICE, [], state="Stopped", object=counts)
        self.event(CONTAINER, [SERVICE], state="Stopped", object={"exit_code": 0})
        change = self.event(SERVICE, [], state="Stopped", object=counts)
        self.assert_seen(self.view(change), health="ended", before__health="down")

    def test_what_a_look_up_would_tell(self) -> None:
        for uri in (SERVICE, NODE, CLUSTER, CONTAINER):
            change = self.event(uri, [], state=None)
            self.assert_seen(self.view(change), health=needed(uri))
            self.found(uri, name="x")
            change = self.event(uri, [], state=None)
            self.assert_seen(self.view(change), health=ABSENT)

    def test_what_none_would_tell(self) -> None:
        """No object of a stack says which services it has."""
        self.assert_seen(self.view(self.event(STACK, state=None)), health=ABSENT)
        self.assert_seen(self.view(self.event("/api/v1/action/a/")), health=ABSENT)
        change = self.event("@elsewhere/", type="service", state=None)
        self.assert_seen(self.view(change), health=ABSENT)

    def test_of_a_parent_that_is_not_known(self) -> None:
        view = self.view(self.event(CONTAINER, [SERVICE]))
        self.assert_seen(view, service__health=needed(SERVICE), node__health=ABSENT)


class EndedTests(ViewCase):
    """How a container ended; unknown only if a look-up can tell."""

    def test_of_an_object_that_came_along(self) -> None:
        self.event(CONTAINER, [], object={})
        change = self.event(CONTAINER, [], state="Stopped", object={"exit_code": 1})
        self.assert_seen(self.view(change), ended="failed", health="down", before__ended=ABSENT)
        change = self.event(CONTAINER, [], state="Terminated", object={"exit_code": 1})
        self.assert_seen(self.view(change), ended="failed", health="ended")
        self.assert_seen(self.view(change), before__ended="failed", before__health="down")

    def test_what_has_not_ended(self) -> None:
        for state in ("Running", "Stopping"):
            self.assert_seen(self.view(self.event(CONTAINER, [], state=state)), ended=ABSENT)

    def test_other_types(self) -> None:
        change = self.event(SERVICE, [], state="Stopped")
        self.assert_seen(self.view(change), ended=ABSENT, before__ended=ABSENT)

    def test_what_a_look_up_will_tell(self) -> None:
        change = self.event(CONTAINER, [], state="Stopped")
        view = self.view(change)
        self.assert_seen(view, ended=needed(CONTAINER), health=needed(CONTAINER))
        self.found(CONTAINER, state="Stopped", exit_code=2)
        self.assert_seen(view, ended="failed", health="down", exit_code=2)

    def test_although_its_object_was_known_before(self) -> None:
        """While it ran it had no exit code, or that of an earlier run."""
        self.event(CONTAINER, [], object={"name": "web-1"})
        view = self.view(self.event(CONTAINER, [], state="Stopped"))
        self.assert_seen(view, ended=needed(CONTAINER), health=needed(CONTAINER))
        self.found(CONTAINER, state="Stopped", exit_code=2)
        self.assert_seen(view, ended="failed", health="down", exit_code=2)

    def test_removed_before_the_answer_came(self) -> None:
        for fields in (None, {"name": "web-1"}):
            ran = self.event(CONTAINER, [], object=fields)
            stopped = self.event(CONTAINER, [], state="Stopped")
            self.at += 1.0
            self.event(CONTAINER, [], state="Terminated")
            self.found(CONTAINER, state="Terminated", exit_code=2)
            self.assert_seen(self.view(stopped), ended="failed")
            self.assert_seen(self.view(ran), ended=ABSENT, health="ok")

    def test_of_an_end_that_was_told_all_is_as_it_was_told(self) -> None:
        told = {"exit_code": 2, "name": "web-1"}
        change = self.event(CONTAINER, [], state="Stopped", object=told)
        self.event(CONTAINER, [], state="Stopped", object={**told, "image_name": "later"})
        self.assert_seen(self.view(change), ended="failed", image=ABSENT)

    def test_what_was_not_known_before_will_not_be(self) -> None:
        self.event(CONTAINER, [], state="Stopped")
        change = self.event(CONTAINER, [], state="Running")
        self.assert_seen(self.view(change), before__ended=ABSENT, before__health=ABSENT)

    def test_another_end_is_not_taken_for_this_one(self) -> None:
        """It was started again, and ended again."""
        for fields in (None, {"name": "web-1"}):
            self.inventory = Inventory()
            ran = self.event(CONTAINER, [], object=fields)
            stopped = self.event(CONTAINER, [], state="Stopped")
            self.at += 1.0
            self.event(CONTAINER, [], state="Running")
            self.event(CONTAINER, [], state="Stopped", object={"exit_code": 2})
            self.assert_seen(self.view(stopped), ended=needed(CONTAINER))
            self.assert_seen(self.view(ran), ended=ABSENT)

    def test_of_what_is_gone_nothing_more_can_be_learned(self) -> None:
        change = self.event(CONTAINER, [], state="Terminated")
        self.assert_seen(self.view(change), ended=ABSENT, health="ended")
        change = self.event(CONTAINER, [], state="Stopped", action="delete")
        self.assert_seen(self.view(change), ended=ABSENT, health="ended")

    def test_of_what_nothing_is_known(self) -> None:
        self.assert_seen(self.view(self.event(CONTAINER, [], state=None)), ended=needed(CONTAINER))
        change = self.event(None, type="container", state="Stopped")
        self.assert_seen(self.view(change), ended=ABSENT, health=ABSENT)


class DeployTests(ViewCase):
    """The last deploy of a service."""

    def test_none(self) -> None:
        view = self.view(self.event(SERVICE, []))
        self.assert_seen(
            view, deploy="none", image_before=ABSENT, deploy_time=ABSENT, deploy_ago=ABSENT
        )
        self.assert_seen(view, service__deploy="none", before__deploy=ABSENT)

    def test_other_types_have_none(self) -> None:
        for uri in (STACK, NODE, CONTAINER):
            view = self.view(self.event(uri, []))
            self.assert_seen(view, deploy=ABSENT, image_before=ABSENT, deploy_ago=ABSENT)

    def test_from_its_begin_to_its_end(self) -> None:
        """Times are as seen from the change."""
        self.event(SERVICE, [], object={"image_name": "web:1"})
        self.at = 100.0
        change = self.event(SERVICE, [], state="Redeploying", object={"image_name": "web:2"})
        self.assert_seen(self.view(change), deploy="running", image="web:2", image_before="web:1")
        self.assert_seen(self.view(change), deploy_time="0 s", deploy_ago="0 s")
        self.at = 142.0
        change = self.event(SERVICE, [], state="Partly running")
        self.assert_seen(self.view(change), deploy="running", deploy_time="42 s", deploy_ago="42 s")
        self.at = 343.0
        change = self.event(SERVICE, [], state="Running")
        self.assert_seen(
            self.view(change), deploy="done", deploy_time="4 min 3 s", deploy_ago="0 s"
        )
        self.assert_seen(
            self.view(change),
            before__deploy="running",
            before__image_before="web:1",
            before__deploy_time="4 min 3 s",
        )
        self.at = 583.0
        change = self.event(CONTAINER, [SERVICE])
        self.assert_seen(
            self.view(change),
            service__deploy="done",
            service__deploy_time="4 min 3 s",
            service__deploy_ago="4 min 0 s",
            service__image_before="web:1",
        )

    def test_one_that_began_after_what_is_told(self) -> None:
        """As when an incident is told of late."""
        self.at = 100.0
        change = self.event(CONTAINER, [SERVICE])
        self.at = 142.0
        self.event(SERVICE, [], state="Redeploying")
        self.assert_seen(self.view(change), service__deploy_time="0 s", service__deploy_ago="0 s")
        self.at = 150.0
        self.event(SERVICE, [], state="Running")
        self.assert_seen(self.view(change), service__deploy_time="8 s", service__deploy_ago="0 s")

    def test_of_its_creation_no_image_was_before(self) -> None:
        change = self.event(SERVICE, [], state="Starting")
        self.assert_seen(self.view(change), deploy="running", image_before=ABSENT)

    def test_overdue(self) -> None:
        """It goes on, and its age is that of its begin."""
        self.event(SERVICE, [], state="Redeploying")
        self.inventory.tick(905.0)
        [change] = self.inventory.take_derived()
        self.assert_seen(self.view(change), deploy="overdue", changed=["deploy"])
        self.assert_seen(self.view(change), deploy_time="15 min 0 s", deploy_ago="15 min 0 s")

    def test_of_a_parent_that_is_not_known(self) -> None:
        view = self.view(self.event(CONTAINER, [SERVICE]))
        self.assert_seen(view, service__deploy=needed(SERVICE), service__deploy_ago=needed(SERVICE))
        self.found(SERVICE, state="Running")
        self.assert_seen(view, service__deploy="none", service__deploy_ago=ABSENT)
