"""Tests of the stage itself: that stories are told as a watcher with sockets would hear them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.scenarios.harness import CONSOLE, PAGERDUTY, SLACK, Scenario, own_rules
from tests.scenarios.ledger import Ledger
from tests.scenarios.staged_cloud import Rest
from tutumwatch.events.inputs import CONNECTED, LinkType
from tutumwatch.rules.decisions import Decisions, Settled
from tutumwatch.rules.notice import Form, Notice

RULES = """
[[messages]]
name = "service"
match = { type = "service", changed = "state" }
notify = ["console"]
text = "{{ name }} is {{ state }}"
[[messages]]
name = "fresh"
match = { type = "service", changed = "state", stack.name = "shop" }
fresh = ["stack"]
notify = ["slack"]
text = "{{ stack.name }}/{{ name }} is {{ state }}"
[[incidents]]
name = "stream down"
while = { type = "stream", state = "!Connected" }
for = "15s"
clear_for = "5s"
notify = ["pagerduty", "slack"]
text = "down"
resolve_text = "up"
"""


class StageTestCase(SynchronousTestCase):
    """Gives each test a watched cloud of one service with two containers."""

    def setUp(self) -> None:
        self.story = Scenario(own_rules(RULES))
        self.story.nodes("node-1", "node-2")
        self.web = self.story.deploy("shop", "web", "shop/web:1", 2)
        self.story.start()
        self.begun = self.story.seconds

    def told(self, notifier: str) -> list[tuple[float, str]]:
        """Say what was told since the beginning, and how long after it."""
        return [
            (round(s.at - self.begun, 2), s.text)
            for s in self.story.said
            if s.notice.notifier == notifier and s.at >= self.begun
        ]


class StreamTests(StageTestCase):
    """Events, and what is missed."""

    def test_events_come_at_their_time(self) -> None:
        took = self.story.play(self.story.engine.redeploy(self.web, "shop/web:2"))
        self.assertEqual(
            self.told(CONSOLE),
            [(0.0, "web is Redeploying"), (round(took, 2), "web is Running")],
        )

    def test_operations_overlap(self) -> None:
        self.story.begin(self.story.engine.redeploy(self.web, "shop/web:2"))
        api = self.story.deploy("shop", "api", "shop/api:1", 1)
        self.story.wait(60.0)
        self.assertEqual(
            [text for _, text in self.told(CONSOLE)],
            ["web is Redeploying", "api is Starting", "api is Running", "web is Running"],
        )
        self.assertEqual(self.story.cloud.service("api"), api)

    def test_what_happens_while_it_is_down_is_listed_late(self) -> None:
        story = self.story
        story.disconnect()
        story.cut("node-1")
        story.cluster.capacity = 1
        story.wait(60.0)
        self.assertEqual(self.told(CONSOLE), [])
        self.assertEqual(self.told(PAGERDUTY), [(15.0, "down")])
        story.connect()
        story.wait(60.0)
        self.assertEqual(self.told(CONSOLE), [(62.05, "web is Partly running (late)")])
        self.assertEqual(self.told(PAGERDUTY)[1:], [(65.0, "up")])
        (page,) = story.pages()
        self.assertAlmostEqual(page.opened_at - self.begun, 15.0)
        self.assertEqual(page.text, "down")
        self.assertEqual(story.open_pages(), [])

    def test_what_is_gone_is_found_by_a_look_up(self) -> None:
        story = self.story
        key = story.known("service", "web")
        story.disconnect()
        story.play(story.engine.remove(self.web))
        story.cloud.reducer.registry.forget_old(story.timeline.utc + 3601)
        story.connect()
        story.wait(10.0)
        known = story.decider.inventory.get(key)
        assert known is not None
        self.assertIsNotNone(known.gone_at)

    def test_lists_that_cannot_be_had_are_asked_for_again(self) -> None:
        story = self.story
        story.disconnect()
        story.play(story.engine.scale(self.web, 0))
        story.cloud.rest_of = {"node": Rest.FAILS}
        story.connect()
        story.wait(4.0)
        story.cloud.rest_of = {}
        self.assertEqual(self.told(CONSOLE), [])
        story.wait(4.0)
        self.assertEqual([text for _, text in self.told(CONSOLE)], ["web is Stopped (late)"])

    def test_the_same_story_is_told_in_the_same_way(self) -> None:
        self.story.play(self.story.engine.redeploy(self.web, "shop/web:2"))
        first = self.story.told()
        self.setUp()
        self.story.play(self.story.engine.redeploy(self.web, "shop/web:2"))
        self.assertEqual(self.story.told(), first)
        self.assertEqual(len(first), len(set(first)))


class LookUpTests(StageTestCase):
    """What is asked of the REST API."""

    def assert_told_after(self, seconds: float, mark: str) -> None:
        """Fail unless Slack is told of a scaling so much later than the console."""
        self.story.begin(self.story.engine.scale(self.web, 3))
        self.story.wait(0.1)
        self.story.wait(60.0)
        (at, text), *_ = self.told(SLACK)
        self.assertEqual((at, text), (seconds, f"shop/web is Scaling{mark}"))
        self.assertEqual(self.told(CONSOLE)[0], (0.0, "web is Scaling"))

    def test_an_answer(self) -> None:
        self.story.cloud.rest_seconds = 0.5
        self.assert_told_after(0.5, "")

    def test_an_error(self) -> None:
        self.story.cloud.rest = Rest.FAILS
        self.assert_told_after(1.1, " (details unknown)")

    def test_an_error_of_one_type(self) -> None:
        self.story.cloud.rest_of = {"stack": Rest.SILENT, "service": Rest.FAILS}
        self.assert_told_after(10.0, " (details unknown)")

    def test_a_second_one_waits_for_the_first(self) -> None:
        """One look-up of a resource at a time; what is asked meanwhile is asked after it."""
        self.story.cloud.rest_seconds = 0.5
        for name in ("one", "two"):
            self.story.begin(self.story.engine.deploy("shop", name, "i:1", 0))
            self.story.wait(0.3)
        self.story.wait(5.0)
        self.assertEqual(
            self.told(SLACK),
            [(0.5, "shop/one is Not running"), (1.0, "shop/two is Not running")],
        )


class RestartTests(StageTestCase):
    """What is kept."""

    def test_an_open_incident(self) -> None:
        story = self.story
        story.disconnect()
        story.wait(20.0)
        story.kill()
        story.wait(100.0)
        story.start()
        story.wait(20.0)
        (page,) = story.pages()
        self.assertEqual(len(page.triggers), 1)
        self.assertIsNotNone(page.resolved)
        self.assertEqual([text for _, text in self.told(SLACK)], ["down", "up"])

    def test_what_waited_for_a_look_up(self) -> None:
        story = self.story
        story.cloud.rest = Rest.SILENT
        story.begin(story.engine.deploy("shop", "api", "i:1", 0))
        story.wait(1.0)
        story.kill()
        self.assertEqual(self.told(SLACK), [])
        story.cloud.rest = Rest.OK
        story.wait(30.0)
        story.start()
        self.assertEqual([text for _, text in self.told(SLACK)], ["shop/api is Not running"])

    def test_what_was_known_since_and_before_the_last_checkpoint(self) -> None:
        story = self.story
        api = story.deploy("shop", "api", "i:1", 1)
        story.wait(100.0)
        story.play(story.engine.scale(api, 2))
        key = story.known("service", "api")
        before = story.decider.inventory.get(key)
        story.restart(away_seconds=10.0)
        after = story.decider.inventory.get(key)
        assert before is not None
        assert after is not None
        self.assertEqual((after.state, after.fields), (before.state, before.fields))
        self.assertEqual([text for _, text in self.told(CONSOLE)][-1], "api is Running")
        self.assertGreater(story.kept.checkpointed_at, 0.0)

    def test_a_lost_store(self) -> None:
        story = self.story
        story.kill()
        story.lose_store()
        story.wait(60.0)
        story.start()
        self.assertEqual(self.told(CONSOLE), [])
        self.assertIn("up", [text for _, text in self.told(PAGERDUTY)])
        self.assertEqual(story.pages(), [])
        orphans = [said.text for said in story.ledger.orphans[PAGERDUTY]]
        self.assertEqual(orphans.count("up"), 2)

    def test_a_state_of_a_notifier(self) -> None:
        self.story.link(LinkType.NOTIFIER, SLACK, "Refused", "no such channel")
        known = self.story.decider.inventory.get(("", "notifier", SLACK))
        assert known is not None
        self.assertEqual(known.state, "Refused")
        self.assertNotEqual(known.state, CONNECTED)


def notice(form: Form, key: str = "k", notifier: str = PAGERDUTY) -> Notice:
    """Make something to say."""
    return Notice(f"{form.value}-{key}", form, "rule", notifier, key, form.value, 0.0)


class LedgerTests(SynchronousTestCase):
    """What PagerDuty has after all."""

    def test_keys(self) -> None:
        ledger = Ledger()
        ledger.hear(Decisions(owed=[notice(Form.TRIGGER), notice(Form.TRIGGER, "other")]), 1.0)
        ledger.hear(Decisions(owed=[notice(Form.TRIGGER)]), 2.0)
        ledger.hear(Decisions(owed=[Settled("row", (notice(Form.RESOLVE, "other"),))]), 3.0)
        (first, second) = ledger.pages[PAGERDUTY]
        self.assertEqual([said.at for said in first.triggers], [1.0, 2.0])
        self.assertEqual(second.resolved, ledger.said[3])
        self.assertEqual(ledger.open_pages(PAGERDUTY), [first])

    def test_a_resolve_of_nothing(self) -> None:
        ledger = Ledger()
        ledger.hear(Decisions(owed=[notice(Form.RESOLVE)]), 1.0)
        self.assertEqual(ledger.open_pages(PAGERDUTY), [])
        self.assertEqual(ledger.orphans[PAGERDUTY], ledger.said)

    def test_a_message_is_a_page_at_pagerduty_alone(self) -> None:
        ledger = Ledger()
        said = [notice(Form.MESSAGE), notice(Form.MESSAGE, notifier=SLACK)]
        ledger.hear(Decisions(owed=[*said]), 1.0)
        self.assertEqual([page.key for page in ledger.open_pages(PAGERDUTY)], ["message-k"])
        self.assertEqual(ledger.open_pages(SLACK), [])
