"""Tests of what excuses: a deploy that goes on, and what another open incident explains."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

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
    service_rule,
)
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.settings import Duration

OTHER = "/api/v1/service/s2/"
OTHER_NODE = "/api/v1/node/n2/"
WELL = {"name": "web", "state": "Running"}
DOWN = {"name": "web", "state": "Stopped"}
LOST = {"name": "node-1", "state": "Unreachable"}


def node_rule(**more: Any) -> IncidentRule:  # noqa: ANN401 - any key of the table
    """Compile a rule about nodes that are lost, which opens and closes at once."""
    table: dict[str, Any] = {
        "name": "node lost",
        "while_": {"type": "node", "state": "Unreachable"},
        "for_seconds": 0.0,
        "clear_for_seconds": 0.0,
        "text": "{{ name }} is lost",
    }
    return incident_rule(incident_settings(**table | more))


class DeployTests(SynchronousTestCase):
    """A planned deploy pages nobody, until it takes too long."""

    def setUp(self) -> None:
        """Make a world in which a service runs."""
        self.rule = service_rule(
            while_={"type": "service", "state": ["Stopped", "Redeploying"]},
            unless={"deploy": "running"},
        )
        self.world = World.of(self.rule)
        self.world.catch_up()
        self.world.event(SERVICE, "Running", parents=[], object=WELL)

    def test_what_a_deploy_excuses_opens_nothing(self) -> None:
        self.world.event(SERVICE, "Redeploying")
        self.assertEqual(self.world.phases(), {"s1": "excused"})
        self.assertEqual(self.world.wait(600.0), [])
        self.world.event(SERVICE, "Running")
        self.assertEqual(self.world.phases(), {})

    def test_what_takes_too_long_is_true_from_then_on(self) -> None:
        self.world.event(SERVICE, "Redeploying")
        self.assertEqual(self.world.wait(900.0), [])
        self.assertEqual(self.world.phases(), {"s1": "pending"})
        self.assertEqual(self.world.wait(119.0), [])
        (opened,) = self.world.wait_and_find(1.0, SERVICE, name="web", state="Redeploying")
        self.assertEqual(opened.at, 2020.0)

    def test_a_deploy_closes_nothing_that_is_open(self) -> None:
        self.world.event(SERVICE, "Stopped")
        self.world.wait_and_find(120.0, SERVICE, **DOWN)
        self.assertEqual(self.world.event(SERVICE, "Redeploying").owed, [])
        self.assertEqual(self.world.wait(600.0), [])
        self.assertEqual(self.world.phases(), {"s1": "open"})

    def test_a_deploy_that_begins_while_it_is_pending(self) -> None:
        """What was true before that counts no more, unless the deploy is shorter than clear_for."""
        for seconds, due in ((29.0, 1120.0), (30.0, 1210.0)):
            self.setUp()
            self.world.event(SERVICE, "Stopped")
            self.world.wait(60.0)
            self.world.event(SERVICE, "Redeploying")
            self.world.wait(seconds)
            self.world.event(SERVICE, "Running")
            self.world.event(SERVICE, "Stopped")
            self.assertEqual(self.world.decider.next_due(), due)

    def test_what_is_unknown_does_not_excuse(self) -> None:
        """It is looked up; what it tells then counts."""
        rule = service_rule(unless={"stack.name": "test"})
        world = World.of(rule)
        world.catch_up()
        world.event(SERVICE, "Stopped", parents=[STACK])
        self.assertEqual(world.phases(), {"s1": "pending"})
        self.assertEqual(world.uris_asked(), [STACK])
        world.found(STACK, name="test")
        self.assertEqual(world.wait(30.0), [])
        self.assertEqual(world.phases(), {"s1": "excused"})
        world.found(STACK, name="shop")
        self.assertEqual(world.phases(), {"s1": "pending"})

    def test_a_verification_that_finds_an_excuse(self) -> None:
        rule = service_rule(unless={"name": "planned"}, clear_for_seconds=0.0)
        world = World.of(rule)
        world.catch_up()
        world.event(SERVICE, "Stopped", parents=[])
        self.assertEqual(world.wait_and_find(120.0, SERVICE, name="planned", state="Stopped"), [])
        self.assertEqual(world.phases(), {"s1": "excused"})
        self.assertIsNone(world.decider.next_due())

    def test_without_a_deploy_after_a_reload_of_other_rules(self) -> None:
        """What excused it may not do so any more."""
        self.world.event(SERVICE, "Redeploying")
        self.world.wait(60.0)
        without = service_rule(while_={"type": "service", "state": ["Stopped", "Redeploying"]})
        self.world.reload(rule_set(without))
        (opened,) = self.world.wait_and_find(120.0, SERVICE, name="web", state="Redeploying")
        self.assertEqual(opened.at, 1180.0)


class ExplainedTests(SynchronousTestCase):
    """A service of which a container is on a node: what a lost node explains is not told."""

    def setUp(self) -> None:
        """Make a world in which all is well."""
        self.begin()

    def begin(self, *others: IncidentRule, node: IncidentRule | None = None, **more: Any) -> None:  # noqa: ANN401 - as above
        """Make a world in which all is well, with these rules."""
        self.service = service_rule(**{"unless_open": "node lost", "for_seconds": 20.0} | more)
        self.world = World.of(self.service, node or node_rule(), *others)
        self.world.catch_up()
        self.world.event(NODE, "Deployed", parents=[], object={"name": "node-1"})
        self.world.event(SERVICE, "Running", parents=[], object=WELL)
        self.world.event(CONTAINER, "Running", parents=[SERVICE, NODE])

    def lose(self, uri: str = NODE) -> None:
        """Let a node be lost, which is told at once."""
        self.world.event(uri, "Unreachable", parents=[])
        self.assertEqual(forms(notices(self.world.found(uri, **LOST))), [("plain", TRIGGER)])

    def heal(self, uri: str = NODE) -> None:
        """Let a node be back, which is told at once."""
        self.world.event(uri, "Deployed")
        said = notices(self.world.found(uri, name="node-1", state="Deployed"))
        self.assertEqual(forms(said), [("plain", RESOLVE)])

    def stop(self) -> None:
        """Let the service stop."""
        self.world.event(SERVICE, "Stopped")

    def test_what_it_explains_is_not_told_for_so_long(self) -> None:
        """After that it must be true for as long as ever, and is told in a group."""
        self.lose()
        self.stop()
        self.assertEqual(self.world.phases(), {"n1": "open", "s1": "excused"})
        self.assertEqual(self.world.wait(300.0), [])
        self.assertEqual(self.world.phases(), {"n1": "open", "s1": "pending"})
        self.assertEqual(self.world.wait_and_find(20.0, SERVICE, **DOWN), [])
        (opened,) = self.world.wait(5.0)
        self.assertEqual(opened.key, "service down after node lost")

    def test_the_time_may_be_another(self) -> None:
        self.begin(unless_max=Duration(7.0))
        self.lose()
        self.stop()
        self.world.wait(6.9)
        self.assertEqual(self.world.phases()["s1"], "excused")
        self.world.wait(0.1)
        self.assertEqual(self.world.phases()["s1"], "pending")

    def test_news_after_that_time_excuse_it_no_more(self) -> None:
        self.lose()
        self.stop()
        self.world.wait(310.0)
        self.stop()
        self.assertEqual(self.world.decider.next_due(), 1320.0)

    def test_what_is_well_before_it_is_never_told(self) -> None:
        self.lose()
        self.stop()
        self.world.wait(100.0)
        self.world.event(SERVICE, "Running")
        self.heal()
        self.assertEqual(self.world.wait(3600.0), [])
        self.assertEqual(self.world.phases(), {})

    def test_what_is_deleted_before_it_is_never_told(self) -> None:
        self.lose()
        self.stop()
        self.assertEqual(self.world.event(SERVICE, "Terminated").owed, [])
        self.assertEqual(self.world.phases(), {"n1": "open"})

    def test_its_end_has_what_it_explained_judged_again(self) -> None:
        self.lose()
        self.stop()
        self.world.wait(100.0)
        self.heal()
        self.assertEqual(self.world.phases(), {"s1": "pending"})
        self.assertEqual(self.world.decider.next_due(), 1120.0)

    def test_its_beginning_has_what_is_pending_judged_again(self) -> None:
        self.stop()
        self.world.wait(19.0)
        self.lose()
        self.assertEqual(self.world.wait(30.0), [])
        self.assertEqual(self.world.phases()["s1"], "excused")

    def test_one_that_is_shorter_than_clear_for_restarts_nothing(self) -> None:
        self.stop()
        self.world.wait(15.0)
        self.lose()
        self.world.wait(10.0)
        self.heal()
        self.assertEqual(self.world.uris_asked()[-1], SERVICE)
        self.assertEqual(len(notices(self.world.found(SERVICE, **DOWN))), 1)

    def test_without_clear_for_any_restarts_it(self) -> None:
        self.begin(clear_for_seconds=0.0)
        self.stop()
        self.world.wait(15.0)
        self.lose()
        self.assertEqual(self.world.phases()["s1"], "excused")
        self.heal()
        self.assertEqual(self.world.decider.next_due(), 1035.0)

    def test_what_is_over_while_it_is_explained_for_a_short_time(self) -> None:
        self.stop()
        self.world.wait(15.0)
        self.lose()
        self.world.event(SERVICE, "Running")
        self.assertEqual(self.world.wait(3600.0), [])
        self.assertEqual(self.world.phases(), {"n1": "open"})

    def test_what_is_open_stays_open(self) -> None:
        self.stop()
        self.world.wait_and_find(20.0, SERVICE, **DOWN)
        self.lose()
        self.assertEqual(self.world.wait(3600.0), [])
        self.assertEqual(self.world.phases(), {"n1": "open", "s1": "open"})

    def test_another_node_explains_nothing(self) -> None:
        self.world.event(OTHER_NODE, "Deployed", parents=[], object={"name": "node-2"})
        self.lose(OTHER_NODE)
        self.stop()
        self.assertEqual(self.world.phases()["s1"], "pending")

    def test_a_node_that_is_not_told_of_explains_nothing(self) -> None:
        """Nor one of which somebody closed the incident."""
        self.begin(node=node_rule(for_seconds=60.0))
        self.world.event(NODE, "Unreachable")
        self.stop()
        self.assertEqual(self.world.phases(), {"n1": "pending", "s1": "pending"})
        self.begin()
        self.lose()
        self.stop()
        self.world.resolve("node lost/main/node/node-1")
        self.assertEqual(self.world.phases(), {"n1": "dismissed", "s1": "pending"})

    def test_a_rule_that_is_removed_explains_nothing(self) -> None:
        self.lose()
        self.stop()
        self.world.reload(rule_set(self.service))
        self.world.wait(0.0)
        self.assertEqual(self.world.phases(), {"s1": "pending"})

    def test_one_of_several_that_share_an_incident(self) -> None:
        """It explains as long as it is in it, not as long as the others are."""
        self.begin(node=node_rule(key="nodes"))
        self.world.event(OTHER_NODE, "Unreachable", parents=[])
        self.world.found(OTHER_NODE, **LOST)
        self.world.event(NODE, "Unreachable")
        self.assertEqual(self.world.found(NODE, **LOST).owed, [])
        self.stop()
        self.assertEqual(self.world.phases()["s1"], "excused")
        self.world.event(NODE, "Deployed")
        self.assertEqual(self.world.found(NODE, state="Deployed").owed, [])
        self.assertEqual(self.world.phases(), {"n2": "open", "s1": "pending"})

    def test_a_parent_of_a_parent_explains(self) -> None:
        """Parents that go round in a circle end nowhere, and do no harm."""
        stack = service_rule(name="stack stopped", while_={"type": "stack", "state": "Stopped"})
        box = service_rule(
            name="box",
            while_={"type": "container", "state": "Stopped"},
            unless_open=["stack stopped"],
        )
        self.begin(stack, box)
        self.world.event(STACK, "Stopped", parents=[SERVICE])
        self.world.event(SERVICE, "Running", parents=[STACK])
        self.world.wait_and_find(120.0, STACK, state="Stopped")
        self.world.event(CONTAINER, "Stopped")
        self.assertEqual(self.world.phases(), {"k1": "open", "c1": "excused"})

    def test_a_stream_explains_what_it_tells(self) -> None:
        stream = incident_rule(incident_settings(for_seconds=0.0, clear_for_seconds=0.0))
        self.begin(stream, unless_open="stream down")
        self.stop()
        self.world.stream("Disconnected")
        self.assertEqual(self.world.wait(30.0), [])
        self.assertEqual(self.world.phases(), {"main": "open", "s1": "excused"})

    def test_an_incident_of_the_resource_itself_explains_for_as_long_as_it_is_open(self) -> None:
        """People know of it already."""
        state = {"type": "service", "state": ["Stopped", "Partly running"]}
        worse = service_rule(name="trouble", while_=state, for_seconds=0.0, clear_for_seconds=0.0)
        self.begin(worse, unless_open=["trouble", "node lost"])
        self.world.event(SERVICE, "Stopped")
        self.world.found(SERVICE, **DOWN)
        self.lose()
        self.assertEqual(self.world.wait(3600.0), [])
        members = {m.name[0]: m.phase.value for m in self.world.decider.incidents.members()}
        self.assertEqual(
            members, {"trouble": "open", "service down": "excused", "node lost": "open"}
        )

    def test_a_rule_does_not_explain_itself(self) -> None:
        self.begin(unless_open="service down")
        self.stop()
        self.assertEqual(len(self.world.wait_and_find(20.0, SERVICE, **DOWN)), 1)

    def test_of_two_that_explain_each_other_the_first_is_told(self) -> None:
        table = {"for_seconds": 20.0, "while_": {"type": "service", "state": "Stopped"}}
        other = service_rule(name="other", unless_open="service down", **table)
        self.begin(other, unless_open="other")
        self.stop()
        self.world.wait(20.0)
        self.assertEqual(len(notices(self.world.found(SERVICE, **DOWN))), 1)
        self.assertEqual(self.world.wait(3600.0), [])

    def test_what_excuses_lasts_over_a_restart(self) -> None:
        self.lose()
        self.stop()
        self.world.wait(100.0)
        self.world.restart(self.service, node_rule())
        self.assertEqual(self.world.wait(10.0), [])
        self.world.catch_up()
        self.assertEqual(self.world.phases(), {"n1": "open", "s1": "excused"})
        self.assertEqual(self.world.wait(189.0), [])
        self.assertEqual(self.world.phases()["s1"], "excused")
        self.world.wait(1.0)
        self.assertEqual(self.world.phases()["s1"], "pending")

    def test_another_excuse_after_what_explained_it(self) -> None:
        """It is told in the group of those that the incident explained."""
        self.begin(unless={"name": "planned"})
        self.lose()
        self.stop()
        self.world.wait(100.0)
        self.world.event(SERVICE, "Stopped", object={**DOWN, "name": "planned"})
        self.assertEqual(self.world.wait(500.0), [])
        self.world.event(SERVICE, "Stopped", object=DOWN)
        self.assertEqual(self.world.wait_and_find(20.0, SERVICE, **DOWN), [])
        (opened,) = self.world.wait(5.0)
        self.assertEqual(opened.key, "service down after node lost")

    def test_both_kinds_of_excuse(self) -> None:
        """A deploy excuses for as long as it goes on; its time does not count."""
        self.begin(unless={"deploy": "running"})
        self.world.event(SERVICE, "Redeploying")
        self.stop()
        self.assertEqual(self.world.phases(), {"s1": "excused"})
        self.assertEqual(self.world.decider.next_due(), 1900.0)
        self.lose()
        self.world.wait(899.0)
        self.assertEqual(self.world.phases()["s1"], "excused")
        self.world.wait(2.0)
        member = next(m for m in self.world.decider.incidents.members() if m.name[1][2] == "s1")
        self.assertEqual((member.phase.value, member.excused_since), ("excused", 1900.0))
