"""Whatever happens to services, what is said of their deploys holds together."""

from __future__ import annotations

from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.inventory.test_deploys import ACTION, OTHER, DeployCase
from tests.inventory.test_inventory import SERVICE, key_of
from tutumwatch.events.inputs import Found, Link, LinkType, Missing
from tutumwatch.inventory.health import Wellness, no_children, wellness_of
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, Resource

DEADLINE_SECONDS = 900.0
BEGINNINGS = {"redeploying", "scaling"}
GOOD_ENDS = {"running", "stopped", "not running"}

Step: TypeAlias = tuple[str, str, str | None, str | None, str | None, int | None, int]

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["event"] * 5 + ["found", "found", "missing", "delete", "restart"])
        | st.sampled_from(["failed", "tick", "tick", "catch up", "connect", "lose"]),
        st.sampled_from([SERVICE, SERVICE, SERVICE, OTHER]),
        st.sampled_from(["Starting", "Running", "RUNNING", "Partly running", "Redeploying"])
        | st.sampled_from(["Scaling", "Stopped", "Not running", "Terminating", "Terminated", None]),
        st.sampled_from([None, "web:1", "web:2"]),
        st.sampled_from([None, "updating", "paused", "completed"])
        | st.sampled_from(["rollback_started", "rollback_paused", "rollback_completed"]),
        st.sampled_from([None, 0, 2]),
        st.sampled_from([0, 1, 30, 300, 900]),
    ),
    max_size=30,
)


class DeployHistoryTests(DeployCase):
    """Any sequence of events, answers, restarts and times."""

    @settings(max_examples=200, deadline=None)
    @given(STEPS)
    def test_every_change_is_one_that_a_deploy_can_take(self, steps: list[Step]) -> None:
        self.inventory, self.now = Inventory(), 0.0
        for step in steps:
            self.now += step[-1]
            for change in self.take(step):
                self.check_change(change, step[0])
            self.check_timers(step[0])

    def take(self, step: Step) -> list[Change]:
        """Do what a step says; give what changed of services."""
        what, uri, state, image, update, target, _ = step
        told = {"image_name": image, "update_state": update, "target_num_containers": target}
        known = {name: value for name, value in told.items() if value is not None}
        change: Change | None = None
        match what:
            case "event":
                change = self.tell(uri, state, at=self.now, fields=known or None)
            case "delete":
                change = self.tell(uri, state, at=self.now, action="delete")
            case "found":
                answer = Found({**known, "state": state})
                change = self.answer(uri, answer, at=self.now)
            case "missing":
                change = self.answer(uri, Missing(), at=self.now)
            case "failed":
                self.tell(ACTION, "Failed", parents=[uri], at=self.now)
            case "tick":
                self.inventory.tick(self.now)
            case "catch up":
                self.inventory.catch_up("main")
            case "restart":
                resources = list(self.inventory._resources.values())
                self.inventory = Inventory()
                self.inventory.restore(resources)
            case _:
                state = "Connected" if what == "connect" else "Disconnected"
                link = Link(LinkType.STREAM, "main", state, "", self.now)
                self.inventory.apply_link(link, "link")
        derived = self.inventory.take_derived()
        if what not in {"failed", "tick"}:
            self.assertEqual(derived, [])
        return [*derived, *([change] if change is not None else [])]

    def check_change(self, change: Change, what: str) -> None:
        """Hold what may become of a deploy by one input."""
        after, before = change.after, change.before
        deploy, was = after.deploy, before.deploy if before is not None else None
        self.assertEqual("deploy" in change.changed, deploy != was)
        if deploy is None:
            self.assertIsNone(was)
        elif was is None or deploy.since != was.since:
            self.check_new(change)
        else:
            self.check_same(change, what)
        state = (after.state or "").lower()
        if deploy is not None and after.gone_at is None and state == "running":
            self.assertFalse(deploy.goes_on)
        was_gone = before is None or before.gone_at is not None
        enters = was_gone or (before is not None and (before.state or "").lower() != state)
        if state in BEGINNINGS and enters and after.gone_at is None:
            assert deploy is not None
            self.assertEqual((deploy.state, deploy.since), ("running", self.now))

    def check_new(self, change: Change) -> None:
        """Hold that a deploy begins now; one that nobody saw has ended by what the object says."""
        deploy = change.after.deploy
        assert deploy is not None
        self.assertEqual(deploy.since, self.now)
        state = (change.after.state or "").lower()
        if deploy.goes_on:
            self.assertEqual(deploy.state, "running")
            self.assertIn(state, {"starting", *BEGINNINGS})
            return
        self.assertEqual(deploy.ended_at, self.now)
        update = (change.after.fields or {}).get("update_state", "")
        expected = {
            "paused": "failed",
            "rollback_paused": "failed",
            "rollback_completed": "rolled back",
            "completed": "done",
        }
        self.assertEqual(deploy.state, expected[update])

    def check_same(self, change: Change, what: str) -> None:
        """Hold how a deploy that was known may go on."""
        assert change.before is not None
        was, deploy = change.before.deploy, change.after.deploy
        assert was is not None
        assert deploy is not None
        if deploy.since == self.now and deploy.image_before != was.image_before:
            return  # two within a moment
        self.assertEqual(deploy.image_before, was.image_before)
        self.assertEqual(deploy.goes_on, deploy.state in {"running", "overdue"})
        if deploy.state == was.state:
            self.assertEqual(deploy, was)
            return
        if deploy.since == self.now:
            return
        allowed = {
            "running": {"done", "failed", "rolled back", "overdue"},
            "overdue": {"done", "failed", "rolled back"},
            "failed": {"done", "rolled back"},
            "done": set(),
            "rolled back": set(),
        }
        self.assertIn(deploy.state, allowed[was.state])
        self.check_reason(deploy.state, change.after, what)
        if not deploy.goes_on:
            self.assertEqual(deploy.ended_at, self.now)

    def check_reason(self, state: str, after: Resource, what: str) -> None:
        """Hold that a deploy ended for a reason that is to be seen."""
        update = (after.fields or {}).get("update_state")
        if state == "done" and what == "tick":
            self.assertEqual(wellness_of(after, no_children), Wellness.ENDED)
        elif state == "done":
            self.assertIn((after.state or "").lower(), GOOD_ENDS)
        elif state == "failed" and what != "failed":
            self.assertIn(update, {"paused", "rollback_started", "rollback_paused"})
        elif state == "rolled back":
            self.assertEqual(update, "rollback_completed")
        elif state == "overdue":
            self.assertEqual(what, "tick")
        if what == "tick":
            assert after.deploy is not None
            self.assertGreaterEqual(self.now, after.deploy.since + DEADLINE_SECONDS)

    def check_timers(self, what: str) -> None:
        """Hold that exactly what runs is waited for, and nothing of a stream that is down."""
        due = []
        for uri in (SERVICE, OTHER):
            known = self.inventory.get(key_of(uri))
            if known is not None and known.deploy is not None and known.deploy.state == "running":
                is_leaving = known.gone_at is not None or known.state == "Terminating"
                due += [] if is_leaving else [known.deploy.since + DEADLINE_SECONDS]
        link = self.inventory.get(("main", "stream", "main"))
        if link is None or (link.fields or {}).get("caught_up"):
            self.assertEqual(self.inventory.next_due(), min(due, default=None))
        elif link.state != "Connected":
            self.assertIsNone(self.inventory.next_due())
        else:
            at = [max(time, link.since + 60.0) for time in due]
            self.assertEqual(self.inventory.next_due(), min(at, default=None))
        if what == "tick":
            next_due = self.inventory.next_due()
            self.assertTrue(next_due is None or next_due > self.now, "what was due stays due")
