"""What docker.toml tells of the life of the simulated cloud: what a newcomer sees, and an hour."""

from __future__ import annotations

import random
import re

from twisted.trial.unittest import SynchronousTestCase

from tests.scenarios.harness import CONSOLE, Scenario
from tests.scenarios.ledger import Page
from tests.scenarios.staged_cloud import StagedCloud
from tutumwatch.bridge.demo.cloud import DemoCloud
from tutumwatch.bridge.demo.flaws import Fault, Flaw
from tutumwatch.bridge.demo.story import Story
from tutumwatch.bridge.happenings import NodeState
from tutumwatch.bridge.settings import DEFAULT_RATE

MINUTE, HOUR = 60.0, 3600.0
LOOP_SECONDS, LOST_SECONDS, SOON_SECONDS = 10 * MINUTE, 30.0, 1.0

WHO = r"(?:[a-z]+/|service )[a-z]+"
COUNTS = r"\d/\d"
IMAGES = r"image (?:[\w/]+:[\d.]+|[\d.]+ -> [\d.]+)"
LATELY = r"deploy(?: failed)? (?:just now|\d+ (?:s|min) ago)|deploying for \d+ s"
# Every form of what is said of a cloud.
FORMS = re.compile(
    rf"(?P<good>{WHO} {COUNTS} running, {IMAGES}, deployed(?: in .*)?)"
    rf"|(?P<scaled>{WHO} {COUNTS} running, scaled(?: in .*)?)"
    rf"|(?P<failed>{WHO} {COUNTS} (?:partly running|starting), {IMAGES}, deploy failed(?: after .*)?)"
    rf"|(?P<gone>{WHO} gone)"
    rf"|bad deploy: {WHO} {COUNTS} (?:partly running|starting), {IMAGES}, deploy failed(?: after .*)?"
    rf"|(?P<fixed>bad deploy is over: {WHO} {COUNTS} running, {IMAGES}, deploy just now)"
    rf"|(?P<loop>crash loop: {WHO} {COUNTS}, exit (?:1|137 \(OOM\)) on node-\d(?:, {IMAGES})?(?:, (?:{LATELY}))?)"
    rf"|(?P<stable>crash loop is over: {WHO} {COUNTS} (?:running|redeploying|scaling)(?:, {IMAGES})?(?:, (?:{LATELY}))?)"
    r"|(?P<lost>node lost: node-\d is unreachable)"
    r"|(?P<back>node lost is over: node-\d is deployed)"
)


class NewcomerTests(SynchronousTestCase):
    """``--demo``, at the rate that it has by default, and at another."""

    def told(self, seed: int, rate: float, seconds: float) -> list[tuple[float, str]]:
        """Let a cloud live that is watched; give what was told on the console, and when."""
        story = Scenario()
        cloud, timeline = story.cloud, story.timeline
        demo = DemoCloud(seed, rate, cloud.tell, timeline.clock, lambda: timeline.utc)
        cloud.reducer = demo.reducer
        story.start()
        begun = story.seconds

        def let_time_pass() -> None:
            timeline.after(1.0 / rate, let_time_pass)

        let_time_pass()
        demo.startService()
        story.wait(seconds)
        demo.stopService()
        self.assertEqual(story.decider.counts["unrouted"], 0)
        said = (s for s in story.said if s.notice.notifier == CONSOLE and s.at > begun)
        return [(said.at - begun, said.text) for said in said]

    def test_what_watching_is_for_within_a_minute_and_a_half(self) -> None:
        """A good deploy, a bad one and its fix, a crash loop, a node that is lost and back."""
        for seed in range(1, 13):
            at: dict[str, float] = {}
            for seconds, text in self.told(seed, DEFAULT_RATE, 90.0):
                form = FORMS.fullmatch(text)
                assert form is not None, text
                at.setdefault(form.lastgroup or "page", seconds)
            self.assertLessEqual(at["good"], 15.0, seed)
            self.assertLessEqual(at["failed"], 40.0, seed)
            self.assertLess(at["failed"], at["fixed"])
            self.assertLessEqual(at["fixed"], 60.0, seed)
            self.assertLessEqual(at["lost"], 60.0, seed)
            self.assertLessEqual(at["loop"], 75.0, seed)
            self.assertLess(at["lost"], at["back"])

    def test_every_line_is_one_of_these_forms_and_all_of_them_come(self) -> None:
        """Names, not addresses; nothing of a container but that it crashes on and on."""
        texts = [text for seed in (1, 2) for _, text in self.told(seed, 5.0, 900.0)]
        self.assertGreater(len(texts), 300)
        self.assertEqual([text for text in texts if not FORMS.fullmatch(text)], [])
        forms = {match.lastgroup for text in texts if (match := FORMS.fullmatch(text))}
        self.assertEqual(forms, {*FORMS.groupindex, None})


class HourTests(SynchronousTestCase):
    """An hour at the pace of a real cloud: something happens every few seconds."""

    def live(self, seed: int) -> tuple[Scenario, Story]:
        """Let a cloud live for an hour; whenever it comes to rest, pages are open for the ill."""
        scenario, dice = Scenario(), random.Random(seed)
        cloud = scenario.cloud
        story = Story(dice, lambda: scenario.seconds)
        cloud.cluster, cloud.engine = story.cluster, story.engine
        scenario.play(story.beginning())
        scenario.start()
        scenario.wait(10 * MINUTE)
        begun, rest_at = scenario.seconds, 0.0
        for operation in story.life():
            scenario.play(operation)
            scenario.wait(dice.uniform(0.0, 20.0))
            if scenario.seconds >= rest_at:
                scenario.wait(5 * MINUTE)
                self.assertEqual(scenario.open_pages(), self.lost_nodes(story))
                rest_at = scenario.seconds + 10 * MINUTE
            if scenario.seconds - begun > HOUR:
                break
        self.assertEqual(scenario.decider.counts["unrouted"], 0)
        return scenario, story

    def lost_nodes(self, story: Story) -> list[str]:
        """Give the pages of nodes that are lost: of all else nothing is ill between operations."""
        nodes = story.cluster.nodes.values()
        return [
            f"node lost: {node.hostname} is unreachable"
            for node in nodes
            if node.state is NodeState.DOWN
        ]

    def test_every_page_has_its_reason_and_every_reason_its_page(self) -> None:
        """A planned deploy, scaling, a service that comes or goes, one crash: none is a page."""
        for seed in (1, 2, 3):
            scenario, _ = self.live(seed)
            cloud = scenario.cloud
            pages = scenario.pages(10 * MINUTE)
            for page in pages:
                self.assertTrue(has_reason(page, cloud), page.text)
            self.assertEqual({len(page.triggers) for page in pages}, {1})
            failures = failures_in(cloud)
            for at in failures:
                close = [p for p in pages if 0 <= p.opened_at - at <= SOON_SECONDS]
                self.assertEqual(sum("bad deploy" in p.text for p in close), 1, at)
            self.assertGreater(len(failures), 1)
            outages = [at for at, told in cloud.announced if told.state == "Unreachable"]
            for at in outages:
                until = at + LOST_SECONDS + SOON_SECONDS
                close = [p for p in pages if at <= p.opened_at <= until]
                self.assertEqual(sum("node lost" in p.text for p in close), 1, at)
            self.assertGreater(len(outages), 1)
            self.assertGreater(sum("crash loop" in page.text for page in pages), 1)
            self.assertGreater(len(scenario.messages(since=10 * MINUTE)), 30)

    def test_what_is_ill_at_the_end(self) -> None:
        """Each of four things, with one page of its own; all are closed when it is mended."""
        scenario, story = self.live(4)
        cluster, engine, cloud = story.cluster, story.engine, scenario.cloud
        for node in cluster.nodes.values():
            if node.state is NodeState.DOWN:
                scenario.play(engine.heal_node(node.id))
        scenario.wait(5 * MINUTE)
        self.assertEqual(scenario.open_pages(), [])
        cluster.flaws["shop/web:bad"] = Flaw()
        cluster.flaws["shop/search:bad"] = Flaw(Fault.MISSING)
        web, store = cloud.service("web"), cloud.service("store")
        scenario.begin(engine.redeploy(web, "shop/web:bad"))
        scenario.begin(engine.spoil(store, Flaw(lives_seconds=20)))
        search = scenario.deploy("shop", "search", "shop/search:bad", 2)
        scenario.cut("node-2")
        scenario.wait(HOUR)
        about = ("node-2", "metrics/store", "shop/search", "shop/web")
        named = [[a for a in about if a in text] for text in scenario.open_pages()]
        self.assertEqual(sorted(named), [[a] for a in sorted(about)], scenario.open_pages())
        self.assertIn("search", cloud.ill_services())
        for service in (web, store, search):
            scenario.play(engine.redeploy(service, "fixed:1"))
        scenario.play(engine.heal_node(cloud.node("node-2")))
        scenario.wait(5 * MINUTE)
        self.assertEqual(cloud.ill_services(), set())
        self.assertEqual(scenario.open_pages(), [])
        self.assertEqual(scenario.decider.counts["unrouted"], 0)


def has_reason(page: Page, cloud: StagedCloud) -> bool:
    """Say whether something had happened that is worth a page."""
    at = page.opened_at
    match page.text.split(": ")[0]:
        case "bad deploy":
            return any(0 <= at - t <= SOON_SECONDS for t in failures_in(cloud))
        case "crash loop":
            who = page.text.split(": ")[1].removeprefix("service ").split()[0].split("/")[-1]
            return sum(at - LOOP_SECONDS <= t <= at for t in cloud.deaths(service=who)) > 2
        case "node lost":
            name = page.text.split()[2]
            states = [
                (t, told.state)
                for t, told in cloud.announced
                if told.type == "node" and told.object["external_fqdn"] == name and t <= at
            ]
            return states[-1][1] == "Unreachable" and at - states[-1][0] >= LOST_SECONDS
        case _:
            return False


def failures_in(cloud: StagedCloud) -> list[float]:
    """Say when an action failed."""
    return [at for at, told in cloud.announced if told.type == "action" and told.state == "Failed"]
