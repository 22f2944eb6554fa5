"""Tests of deploys that last too long."""

from __future__ import annotations

import itertools

from tests.inventory.test_deploys import OTHER, DeployCase
from tests.inventory.test_inventory import CONTAINER, SERVICE, key_of
from tutumwatch.events.event import Event
from tutumwatch.events.inputs import Found, Link, LinkType, Missing
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Deploy


class DeadlineCase(DeployCase):
    """A service that is being deployed, and the time."""

    def begin(self, uri: str = SERVICE, at: float = 100.0) -> None:
        """Begin a deploy."""
        self.tell(uri, "Redeploying", at=at)

    def tick(self, now: float) -> list[str]:
        """Let the time be so; give what changed, as id, and the state of the deploy."""
        self.inventory.tick(now)
        derived = self.inventory.take_derived()
        return [f"{d.id}: {self.state_of(d.after.deploy)}" for d in derived]

    def link(self, state: str, at: float, name: str = "main") -> None:
        """Let the stream have a state."""
        self.inventory.apply_link(Link(LinkType.STREAM, name, state, "why", at), "link")

    def restart(self) -> None:
        """Begin again with what was kept."""
        resources = list(self.inventory._resources.values())
        self.inventory = Inventory()
        self.inventory.restore(resources)


class OverdueTests(DeadlineCase):
    """After fifteen minutes a deploy that still runs is overdue; once, as a change of its own."""

    def test_when_the_time_has_come(self) -> None:
        self.assertIsNone(self.inventory.next_due())
        self.begin()
        before = self.known(SERVICE)
        self.inventory.take_unsaved()
        self.assertEqual(self.inventory.next_due(), 1000.0)
        self.assertEqual(self.tick(999.9), [])
        self.inventory.tick(1000.5)
        [change] = self.inventory.take_derived()
        after = self.known(SERVICE)
        self.assertEqual(change.id, "main/deploy-s1-overdue-100.0")
        self.assertEqual((change.before, change.after, change.at), (before, after, 1000.5))
        self.assertEqual((change.kind.value, change.changed), ("changed", {"deploy"}))
        self.assertEqual(after.deploy, Deploy("overdue", 100.0))
        self.assertEqual(self.inventory.take_unsaved(), {key_of(SERVICE): after})
        self.assertIsNone(self.inventory.next_due())
        self.assertEqual(self.tick(5000.0), [])

    def test_what_ended_before_is_not(self) -> None:
        for state, more in (("Running", {}), ("Stopped", {"target_num_containers": 0})):
            self.begin()
            self.tell(SERVICE, state, at=200.0, fields=more)
            self.assertIsNone(self.inventory.next_due(), state)
            self.assertEqual(self.tick(9000.0), [])

    def test_it_may_still_end(self) -> None:
        for update, expected in (("completed", "done"), ("paused", "failed")):
            self.begin()
            self.tick(2000.0)
            change = self.tell(SERVICE, "Running", at=2001.0, fields={"update_state": update})
            self.assertEqual(change.after.deploy, Deploy(expected, 100.0, 2001.0))

    def test_an_action_that_fails_then(self) -> None:
        self.begin()
        self.tick(2000.0)
        self.action("Failed")
        self.assertEqual(self.state_of(self.deploy), "failed")

    def test_the_next_one_begins_anew(self) -> None:
        self.begin()
        self.begin(at=500.0)
        self.assertEqual(self.inventory.next_due(), 1000.0)
        self.tick(1000.0)
        self.tell(SERVICE, "Scaling", at=1100.0)
        self.assertEqual(self.deploy, Deploy("running", 1100.0))
        self.tell(SERVICE, "Redeploying", at=1200.0)
        self.assertEqual(self.inventory.next_due(), 2100.0)

    def test_a_service_that_goes_is_not(self) -> None:
        for state in ("Terminating", "TERMINATED"):
            self.begin()
            self.tell(SERVICE, state, at=200.0)
            self.assertIsNone(self.inventory.next_due(), state)
        self.begin(at=300.0)
        self.answer(SERVICE, Missing(), at=400.0)
        self.assertIsNone(self.inventory.next_due())

    def test_one_that_is_back_is(self) -> None:
        """A restarted platform may have it again, still on its way."""
        self.begin()
        self.answer(SERVICE, Missing(), at=400.0)
        self.answer(SERVICE, Found({"state": "Redeploying"}), at=500.0)
        self.assertEqual(self.inventory.next_due(), 1400.0)

    def test_one_that_is_forgotten_is_not(self) -> None:
        self.inventory = Inventory(max_count=1)
        self.begin()
        self.begin(OTHER, at=200.0)
        self.assertEqual(self.inventory.next_due(), 1100.0)
        self.assertEqual(self.tick(1100.0), ["main/deploy-s2-overdue-200.0: overdue"])

    def test_a_job_that_is_through_is_done(self) -> None:
        """Too fast for anybody to see it run; nothing is expected of it any more."""
        self.tell(SERVICE, "Starting", at=100.0)
        ended = {"exit_code": 0}
        self.tell(CONTAINER, "Stopped", parents=[SERVICE], at=110.0, fields=ended)
        self.tell(SERVICE, "Stopped", at=110.0)
        self.assertEqual(self.tick(1000.0), ["main/deploy-s1-done-100.0: done"])
        self.assertEqual(self.deploy, Deploy("done", 100.0, 1000.0))

    def test_several_at_once_come_in_an_order_that_a_restart_keeps(self) -> None:
        for uris in itertools.permutations((SERVICE, OTHER, "/api/v1/service/s3/")):
            self.inventory = Inventory()
            for uri in uris:
                self.begin(uri)
            names = [line.partition("-overdue")[0] for line in self.tick(2000.0)]
            self.assertEqual(names, [f"main/deploy-s{number}" for number in (1, 2, 3)])


class SetDeadlineTests(DeadlineCase):
    """The configuration says how long is too long."""

    def test_at_the_start(self) -> None:
        self.inventory = Inventory(deploy_deadline_seconds=60.0)
        self.begin()
        self.assertEqual(self.inventory.next_due(), 160.0)

    def test_while_one_runs(self) -> None:
        self.begin()
        self.begin(OTHER, at=200.0)
        self.tell(OTHER, "Running", at=210.0)
        self.inventory.set_deploy_deadline(60.0)
        self.assertEqual(self.inventory.next_due(), 160.0)
        self.assertEqual(self.tick(170.0), ["main/deploy-s1-overdue-100.0: overdue"])
        self.inventory.set_deploy_deadline(3600.0)
        self.assertEqual(self.state_of(self.deploy), "overdue")
        self.begin(OTHER, at=300.0)
        self.assertEqual(self.inventory.next_due(), 3900.0)


class RestartTests(DeadlineCase):
    """A deadline outlives us."""

    def test_it_is_where_it_was(self) -> None:
        self.begin()
        self.begin(OTHER, at=200.0)
        self.tell(OTHER, "Running", at=300.0)
        self.restart()
        self.assertEqual(self.inventory.next_due(), 1000.0)
        self.assertEqual(self.tick(1000.0), ["main/deploy-s1-overdue-100.0: overdue"])
        self.restart()
        self.assertIsNone(self.inventory.next_due())

    def test_of_a_stream_that_is_watched_no_more(self) -> None:
        self.begin()
        self.inventory.forget_others({"lab"}, set())
        self.assertIsNone(self.inventory.next_due())


class BlindTests(DeadlineCase):
    """While a stream is blind nothing of it becomes overdue: it may have ended unseen."""

    def test_while_it_is_down(self) -> None:
        self.link("Connected", 0.0)
        self.begin()
        self.link("Disconnected", 200.0)
        self.assertIsNone(self.inventory.next_due())
        self.begin(OTHER, at=250.0)
        self.assertEqual(self.tick(9000.0), [])
        self.link("Unauthorized", 9001.0)
        self.assertEqual(self.tick(9002.0), [])

    def test_until_it_is_caught_up(self) -> None:
        """What fell due meanwhile is then overdue at once."""
        self.link("Connected", 0.0)
        self.begin()
        self.link("Disconnected", 200.0)
        self.link("Connected", 2000.0)
        self.assertEqual(self.tick(2030.0), [])
        self.inventory.take_unsaved()
        self.inventory.catch_up("main")
        self.assertEqual(list(self.inventory.take_unsaved()), [("main", "stream", "main")])
        self.assertEqual(self.inventory.next_due(), 1000.0)
        self.assertEqual(self.tick(2030.0), ["main/deploy-s1-overdue-100.0: overdue"])

    def test_a_minute_at_most(self) -> None:
        """There are servers that list nothing."""
        self.link("Disconnected", 200.0)
        self.begin()
        self.link("Connected", 2000.0)
        self.assertEqual(self.inventory.next_due(), 2060.0)
        self.link("Connected", 2030.0)
        self.assertEqual(self.inventory.next_due(), 2060.0)
        self.assertEqual(len(self.tick(2060.0)), 1)

    def test_a_deadline_that_is_later_stays(self) -> None:
        self.link("Connected", 0.0)
        self.begin(at=10.0)
        self.assertEqual(self.inventory.next_due(), 910.0)

    def test_after_a_restart(self) -> None:
        """That it was caught up is kept, so that what was decided then is known again alike."""
        self.link("Connected", 0.0)
        self.inventory.catch_up("main")
        self.begin(at=1.0)
        self.inventory.set_deploy_deadline(10.0)
        self.restart()
        self.inventory.set_deploy_deadline(10.0)
        self.assertEqual(self.inventory.next_due(), 11.0)
        self.inventory.begin_blind(5.0)
        self.assertIsNone(self.inventory.next_due())

    def test_it_stays_caught_up_until_it_goes(self) -> None:
        self.link("Connected", 0.0)
        self.inventory.catch_up("main")
        self.link("Connected", 3.0)
        self.inventory.set_deploy_deadline(10.0)
        self.begin(at=1.0)
        self.assertEqual(self.inventory.next_due(), 11.0)
        self.link("Disconnected", 5.0)
        self.inventory.catch_up("main")
        self.link("Connected", 6.0)
        self.assertEqual(self.inventory.next_due(), 66.0)

    def test_a_stream_that_nobody_knows(self) -> None:
        self.inventory.catch_up("main")
        self.assertEqual(len(self.inventory), 0)

    def test_another_stream_sees_on(self) -> None:
        self.begin()
        self.link("Disconnected", 50.0, name="lab")
        event = Event("service", "update", "Scaling", SERVICE)
        self.inventory.apply_event(event, "id", "lab", 1, 60.0)
        self.assertEqual(self.inventory.next_due(), 1000.0)
        self.link("Connected", 950.0, name="lab")
        self.inventory.catch_up("lab")
        self.assertEqual(self.inventory.next_due(), 960.0)
