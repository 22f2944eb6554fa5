"""What goes wrong on our side: texts that raise, look-ups without an answer, REST that is down.

Nothing is kept back for that: it goes out, it says what is not known, and the last route takes it.
"""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.scenarios.harness import CONSOLE, PAGERDUTY, SLACK, Scenario, docker_rules, own_rules
from tests.scenarios.staged_cloud import Rest
from tutumwatch.config.plans import Configuration
from tutumwatch.events.inputs import LOOK_UP_DEADLINE_SECONDS
from tutumwatch.rules.messages import DETAILS_UNKNOWN
from tutumwatch.rules.notice import Form, Notice
from tutumwatch.rules.telling import UNVERIFIED

SECOND, MINUTE, HOUR = 1.0, 60.0, 3600.0
DOWN = """
[[incidents]]
name = "down"
while = { type = "service", health = ["degraded", "down"] }
for = "30s"
clear_for = "10s"
notify = ["pagerduty", "slack"]
text = "{{ name }} is down"
resolve_text = "{{ name }} is back"
"""
NEWS = """
[[messages]]
name = "news"
match = { type = "service", changed = "state", state = "Partly running" }
notify = ["slack"]
text = "{{ name }} is {{ state }}"
"""
# Loads, and fails whenever it is rendered: a name is no number.
RAISES = "{{ name / 2 }}"
# Which of them takes a service of a stack that nobody can look up is not certain.
BY_STACK = """
[[routes]]
match = { stack.name = "pay-*" }
news = ["slack"]
page = ["slack"]
[[routes]]
news = ["console"]
page = ["pagerduty"]
"""
DEADLINE = LOOK_UP_DEADLINE_SECONDS


class DoubtTestCase(SynchronousTestCase):
    """Gives each test a cloud: shop/web with four containers, of which node-1 and node-2 hold two."""

    story: Scenario

    def watch(
        self, rules: Configuration, *, rest: dict[str, Rest] | None = None, may_reject: bool = False
    ) -> None:
        """Begin the story.

        :param rest: how questions about a type are answered, from the start on.
        """
        self.story = Scenario(rules, may_reject=may_reject)
        self.story.nodes("node-1", "node-2", capacity=2)
        self.story.deploy("shop", "web", "shop/web:1", 4)
        self.story.cloud.rest_of = rest or {}
        self.story.start()
        self.story.wait(2 * MINUTE)
        self.begun = self.story.seconds

    def fall(self) -> None:
        """Let half of it be lost."""
        self.story.cut("node-1")

    def rise(self) -> None:
        """Let all be well."""
        self.story.heal("node-1")

    def told(self, notifier: str) -> list[Notice]:
        """Give what somebody was told since the beginning."""
        said = [one for one in self.story.said if one.at >= self.begun]
        return [one.notice for one in said if one.notice.notifier == notifier]

    def page(self) -> str:
        """Give the text of the one page that there was."""
        (page,) = self.story.pages(since=self.begun)
        self.assertEqual(len(page.triggers), 1)
        return page.text


class FailingTextTests(DoubtTestCase):
    """A template that raises costs its own words, and nothing else."""

    def assert_one_page_and_its_end(self) -> tuple[str, str]:
        """Let it be down for a while; give what PagerDuty was told, first and last."""
        self.fall()
        self.story.wait(5 * MINUTE)
        self.rise()
        self.story.wait(5 * MINUTE)
        told = self.told(PAGERDUTY)
        self.assertEqual([notice.form for notice in told], [Form.TRIGGER, Form.RESOLVE])
        self.assertEqual(self.story.open_pages(), [])
        self.assertEqual([notice.text for notice in told], [n.text for n in self.told(SLACK)])
        return told[0].text, told[1].text

    def test_of_an_incident(self) -> None:
        self.watch(own_rules(DOWN.replace("{{ name }} is down", RAISES)))
        opened, closed = self.assert_one_page_and_its_end()
        self.assertEqual(opened, "service web: Partly running (its text failed: TypeError)")
        self.assertEqual(closed, "web is back")

    def test_of_its_end(self) -> None:
        self.watch(own_rules(DOWN.replace("{{ name }} is back", RAISES)))
        opened, closed = self.assert_one_page_and_its_end()
        self.assertEqual(opened, "web is down")
        self.assertEqual(closed, "service web: Running (its text failed: TypeError)")

    def test_of_its_key(self) -> None:
        """It has the key that it would have without one, before and after a restart."""
        self.watch(own_rules(DOWN + f'key = "{RAISES}"\n'))
        self.fall()
        self.story.wait(5 * MINUTE)
        self.story.restart()
        self.assertEqual(self.page(), "web is down")
        (notice,) = self.told(PAGERDUTY)
        self.assertEqual(notice.key, "down/main/service/shop/web")
        self.rise()
        self.story.wait(5 * MINUTE)
        self.assertEqual(self.story.open_pages(), [])

    def test_of_a_message(self) -> None:
        self.watch(own_rules(NEWS.replace("{{ name }} is", f"{RAISES} is")))
        self.fall()
        self.story.wait(MINUTE)
        (notice,) = self.told(SLACK)
        self.assertEqual(notice.text, "service web: Partly running (its text failed: TypeError)")

    def test_of_one_rule_of_two(self) -> None:
        """The other one speaks, and so does this one."""
        again = NEWS.replace('"news"', '"again"').replace("{{ name }} is", f"{RAISES} is")
        self.watch(own_rules(again + NEWS))
        self.fall()
        self.story.wait(MINUTE)
        self.assertEqual(self.told(SLACK)[1].text, "web is Partly running")
        self.assertEqual(len(self.told(SLACK)), 2)

    def test_of_a_condition(self) -> None:
        """One that cannot be computed opens nothing, and is counted; other rules go on."""
        four = 'when = "1 / (target - 4) < 1"'
        self.watch(
            own_rules(DOWN.replace('"down"\n', f'"other"\n{four}\n') + DOWN), may_reject=True
        )
        self.fall()
        self.story.wait(5 * MINUTE)
        self.assertEqual(self.page(), "web is down")
        self.assertGreater(self.story.decider.counts["rejected"], 0)


class UnknownParentTests(DoubtTestCase):
    """A parent that the REST API cannot answer for, and is not told of."""

    def watch_blindly(self, rules: str, answer: Rest = Rest.FAILS) -> None:
        """Begin the story; nobody can say what a stack is, from the start on."""
        self.watch(own_rules(rules), rest={"stack": answer})
        hear = self.story.cloud.hear

        def hear_of_no_stack(payload: bytes) -> None:
            if msgspec.json.decode(payload)["type"] != "stack":
                hear(payload)

        self.story.cloud.hear = hear_of_no_stack

    def test_in_the_text_of_a_message(self) -> None:
        text = NEWS.replace("{{ name }}", "{{ stack.name }}/{{ name }}")
        self.watch_blindly(text)
        self.fall()
        self.story.wait(MINUTE)
        (notice,) = self.told(SLACK)
        self.assertEqual(notice.text, f"(unknown)/web is Partly running ({DETAILS_UNKNOWN})")
        self.assertEqual(notice.marks, (DETAILS_UNKNOWN,))

    def test_in_a_message_that_is_about_it(self) -> None:
        """Whether it matches nobody can say: said, rather than not."""
        rule = NEWS.replace("{ type", '{ stack.name = "shop", type')
        self.watch_blindly(rule, Rest.SILENT)
        self.fall()
        self.story.wait(MINUTE)
        (notice,) = self.told(SLACK)
        self.assertEqual(notice.marks, (DETAILS_UNKNOWN,))
        self.assertAlmostEqual(self.story.said[-1].at - self.begun, DEADLINE, delta=1.0)

    def test_in_the_routes_of_a_message(self) -> None:
        """The last route takes it."""
        self.watch_blindly(BY_STACK + NEWS.replace('["slack"]', '"news"'))
        self.fall()
        self.story.wait(MINUTE)
        (notice,) = self.told(CONSOLE)
        self.assertEqual(notice.marks, (DETAILS_UNKNOWN,))
        self.assertEqual(self.told(SLACK), [])

    def test_in_the_routes_of_an_incident(self) -> None:
        """The last route takes it, marked; its end goes to whom was told."""
        self.watch_blindly(BY_STACK + DOWN.replace('["pagerduty", "slack"]', '"page"'))
        self.fall()
        self.story.wait(5 * MINUTE)
        self.assertIn(DETAILS_UNKNOWN, self.page())
        self.assertIn("web is down", self.page())
        self.story.cloud.rest_of = {}
        self.rise()
        self.story.wait(10 * MINUTE)
        self.assertEqual(self.story.open_pages(), [])
        self.assertEqual(self.told(SLACK), [])
        self.assertEqual(self.story.decider.counts["unrouted"], 0)

    def test_in_the_text_of_an_incident(self) -> None:
        text = DOWN.replace('"{{ name }} is down', '"{{ stack.name }}/{{ name }} is down')
        self.watch_blindly(text)
        self.fall()
        self.story.wait(5 * MINUTE)
        self.assertTrue(self.page().startswith("(unknown)/web is down ("), self.page())

    def test_in_the_key_of_an_incident(self) -> None:
        """Two services of stacks that nobody knows are not one incident."""
        self.watch_blindly(DOWN + 'key = "{{ stack.name }}"\n')
        self.fall()
        self.story.wait(5 * MINUTE)
        self.assertIn("web is down", self.page())
        self.story.cloud.rest_of = {}
        self.rise()
        self.story.wait(10 * MINUTE)
        self.assertEqual(self.story.open_pages(), [])

    def test_in_an_excuse(self) -> None:
        """What is unknown excuses nothing."""
        self.watch_blindly(DOWN + 'unless = { stack.name = "shop" }\n')
        self.fall()
        self.story.wait(5 * MINUTE)
        self.assertIn("web is down", self.page())

    def test_in_a_condition(self) -> None:
        """What is unknown changes nothing: it opens when the stack can be looked up."""
        self.watch_blindly(DOWN.replace("{ type", '{ stack.name = "shop", type'))
        self.fall()
        self.story.wait(5 * MINUTE)
        self.assertEqual(self.story.pages(since=self.begun), [])
        self.story.cloud.rest_of = {}
        self.story.wait(10 * MINUTE)
        self.assertEqual(self.page(), "web is down")


class SilentRestTests(DoubtTestCase):
    """A REST API that does not answer, or says that it cannot."""

    def break_off(self, rest: Rest) -> None:
        """Let REST be so from now on, and a service fall."""
        self.story.cloud.rest = rest
        self.fall()

    def test_a_look_up_that_times_out(self) -> None:
        """The page comes ten seconds later than it would, and says that it was not verified."""
        self.watch(own_rules(DOWN))
        self.break_off(Rest.SILENT)
        self.story.wait(30 * SECOND + DEADLINE - 1)
        self.assertEqual(self.story.pages(since=self.begun), [])
        self.story.wait(2 * SECOND)
        self.assertEqual(self.page(), f"web is down ({UNVERIFIED})")

    def test_a_look_up_that_fails(self) -> None:
        self.watch(own_rules(DOWN))
        self.break_off(Rest.FAILS)
        self.story.wait(35 * SECOND)
        self.assertEqual(self.page(), f"web is down ({UNVERIFIED})")

    def test_a_look_up_that_times_out_over_a_restart(self) -> None:
        """It is asked again, and once is told."""
        self.watch(own_rules(DOWN))
        self.break_off(Rest.SILENT)
        self.story.wait(35 * SECOND)
        self.story.restart()
        self.story.wait(5 * MINUTE)
        self.assertEqual(self.page(), f"web is down ({UNVERIFIED})")

    def test_an_end_waits_until_it_can_be_verified(self) -> None:
        for rest in (Rest.SILENT, Rest.FAILS):
            self.watch(own_rules(DOWN))
            self.fall()
            self.story.wait(5 * MINUTE)
            self.assertEqual(self.page(), "web is down")
            self.story.cloud.rest = rest
            self.rise()
            self.story.wait(HOUR)
            self.assertEqual(self.story.open_pages(), ["web is down"])
            self.story.cloud.rest = Rest.OK
            self.story.wait(MINUTE)
            self.assertEqual(self.story.open_pages(), [])

    def test_down_for_an_hour(self) -> None:
        """Every notice goes out under docker.toml, and what is open is what is broken."""
        self.watch(docker_rules())
        self.story.deploy("shop", "db", "postgres:16", 0)
        self.story.cloud.rest = Rest.SILENT
        self.story.wait(10 * MINUTE)
        self.fall()
        self.story.wait(20 * MINUTE)
        self.assertTrue(any("node-1" in page for page in self.story.open_pages()))
        for page in self.story.pages(since=self.begun):
            self.assertIn(UNVERIFIED, page.text)
        self.story.begin(self.story.engine.deploy("shop", "new", "shop/new:1", 0))
        self.story.begin(self.story.engine.remove(self.story.cloud.service("db")))
        self.story.wait(30 * MINUTE)
        self.assertTrue(any("db" in line for line in self.story.messages(since=self.begun)))
        self.rise()
        self.story.wait(5 * MINUTE)
        self.assertNotEqual(self.story.open_pages(), [])
        self.story.cloud.rest = Rest.OK
        self.story.wait(5 * MINUTE)
        self.assertEqual(self.story.open_pages(), [])
        for page in self.story.pages():
            self.assertEqual(len(page.triggers), 1)
        self.assertEqual(self.story.decider.counts["unrouted"], 0)

    def test_a_connect_whose_lists_cannot_be_had(self) -> None:
        """After a minute we go on without: what is broken is told, unverified."""
        self.watch(own_rules(DOWN))
        self.story.disconnect()
        self.story.cloud.rest = Rest.FAILS
        self.story.connect()
        self.fall()
        self.story.wait(55 * SECOND)
        self.assertEqual(self.story.pages(since=self.begun), [])
        self.story.wait(30 * SECOND)
        self.assertEqual(self.page(), f"web is down ({UNVERIFIED})")
