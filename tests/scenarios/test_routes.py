"""Who is told: teams by their labels and by their stacks, and everybody but who is ill."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from itertools import chain, combinations
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.scenarios.harness import (
    CONSOLE,
    PAGERDUTY,
    SLACK,
    VARIABLES,
    Scenario,
    docker_rules,
    own_rules,
)
from tests.scenarios.staged_cloud import Rest
from tutumwatch.bridge.demo.flaws import Fault, Flaw
from tutumwatch.config.environment import Environment
from tutumwatch.config.load import DOCKER, load_configuration
from tutumwatch.config.plans import Configuration
from tutumwatch.events.inputs import LinkType
from tutumwatch.rules.notice import Form

SECOND, MINUTE, HOUR = 1.0, 60.0, 3600.0
DELIVERING, FAILING, REFUSED = "Delivering", "Failing", "Refused"
TEAM = "tutumwatch.team"

RULES = """
[[messages]]
name = "removed"
match = { type = "service", kind = "gone" }
notify = "news"
text = "{{ name }} is removed"
[[incidents]]
name = "down"
while = { type = "service", health = ["degraded", "down"] }
for = "30s"
clear_for = "10s"
notify = "page"
text = "{{ name }} is down"
resolve_text = "{{ name }} is back"
"""
BY_LABEL = """
[[routes]]
match = { labels."tutumwatch.team" = "pay" }
news = ["slack"]
page = ["slack"]
[[routes]]
news = ["console"]
page = ["pagerduty"]
"""
BY_STACK = """
[[routes]]
match = { stack.name = ["pay-*", "!pay-test"] }
news = ["slack"]
page = ["slack", "pagerduty"]
[[routes]]
news = ["console"]
page = ["console"]
"""
IGNORE = """
[[ignore]]
match = { type = "service", name = "cron-*" }
"""


class TeamTestCase(SynchronousTestCase):
    """Gives each test a watched cloud, and services that fall and are well again."""

    def watch(self, rules: str) -> None:
        """Begin the story, with an empty cloud."""
        self.story = Scenario(own_rules(rules))
        self.story.nodes("node-1")
        self.story.start()

    def deploy(self, stack: str | None, name: str, **labels: str) -> None:
        """Deploy a service of two containers."""
        self.story.deploy(stack, name, f"{name}:1", 2, **labels)

    def fall(self, *names: str) -> None:
        """Let one container of each of some services be lost for good."""
        for name in names:
            self.story.cluster.flaws[f"{name}:1"] = Flaw(Fault.MISSING)
            first, *_ = self.story.cluster.containers_of(self.story.cloud.service(name))
            self.story.begin(self.story.engine.crash(first, oom=False))
        self.story.wait(2 * MINUTE)
        self.assertLessEqual(set(names), self.story.cloud.ill_services())

    def rise(self, *names: str) -> None:
        """Let some services be well again."""
        for name in names:
            del self.story.cluster.flaws[f"{name}:1"]
            self.story.begin(
                self.story.engine.redeploy(self.story.cloud.service(name), f"{name}:2")
            )
        self.story.wait(2 * MINUTE)

    def remove(self, *names: str) -> None:
        """Remove some services."""
        for name in names:
            self.story.play(self.story.engine.remove(self.story.cloud.service(name)))
        self.story.wait(MINUTE)

    def told(self, form: Form) -> dict[str, list[str]]:
        """Say who was told what, in one form."""
        told: dict[str, list[str]] = {}
        for said in self.story.said:
            if said.notice.form is form:
                told.setdefault(said.notice.notifier, []).append(said.text)
        return told


class TwoTeamsTests(TeamTestCase):
    """Each team hears of what is its own, from the beginning to the end."""

    def test_by_labels(self) -> None:
        self.watch(BY_LABEL + RULES)
        self.deploy("shop", "checkout", **{TEAM: "pay"})
        self.deploy("shop", "web", **{TEAM: "front"})
        self.deploy("shop", "db")
        self.fall("checkout", "web", "db")
        self.assertEqual(
            self.told(Form.TRIGGER),
            {SLACK: ["checkout is down"], PAGERDUTY: ["web is down", "db is down"]},
        )
        self.rise("checkout", "web")
        self.assertEqual(
            self.told(Form.RESOLVE), {SLACK: ["checkout is back"], PAGERDUTY: ["web is back"]}
        )
        self.remove("checkout", "web")
        self.assertEqual(
            self.told(Form.MESSAGE), {SLACK: ["checkout is removed"], CONSOLE: ["web is removed"]}
        )

    def test_by_stacks(self) -> None:
        """A stack that is excluded, and a service without a stack, are everybody's."""
        self.watch(BY_STACK + RULES)
        self.deploy("pay-eu", "checkout")
        self.deploy("pay-test", "try")
        self.deploy("shop", "web")
        self.deploy(None, "alone")
        names = ("checkout", "try", "web", "alone")
        self.fall(*names)
        others = ["try is down", "web is down", "alone is down"]
        self.assertEqual(
            self.told(Form.TRIGGER),
            {SLACK: ["checkout is down"], PAGERDUTY: ["checkout is down"], CONSOLE: others},
        )
        self.remove(*names)
        self.assertEqual(
            self.told(Form.MESSAGE),
            {SLACK: ["checkout is removed"], CONSOLE: [f"{n} is removed" for n in names[1:]]},
        )
        for notifier in (CONSOLE, SLACK, PAGERDUTY):
            self.assertEqual(self.story.open_pages(notifier), [])

    def test_a_team_that_is_renamed_while_its_page_is_open(self) -> None:
        """Who was told hears of the end."""
        self.watch(BY_LABEL + RULES)
        self.deploy("shop", "web", **{TEAM: "pay"})
        self.fall("web")
        self.story.reload(own_rules((BY_LABEL + RULES).replace('"pay"', '"money"')))
        self.story.wait(MINUTE)
        self.assertEqual(self.story.open_pages(SLACK), [])
        self.assertEqual(self.story.open_pages(PAGERDUTY), ["web is down"])
        self.rise("web")
        self.assertEqual(self.story.open_pages(PAGERDUTY), [])
        self.assertEqual(len(self.story.pages()), 1)


class IgnoreTests(TeamTestCase):
    """What nobody wants to hear of, and what somebody wants to nevertheless."""

    def test_labels_and_tables(self) -> None:
        """A label says more than a table; of two labels the one that ignores counts."""
        self.watch(IGNORE + BY_LABEL + RULES)
        ignore, enable = {"tutumwatch.ignore": "true"}, {"tutumwatch.enable": "true"}
        self.deploy("shop", "web")
        self.deploy("shop", "toy", **ignore)
        self.deploy("shop", "cron-tidy")
        self.deploy("shop", "cron-bill", **enable)
        self.deploy("shop", "cron-both", **enable, **ignore)
        self.deploy("shop", "cron-not", **{"tutumwatch.enable": "false"})
        names = ("web", "toy", "cron-tidy", "cron-bill", "cron-both", "cron-not")
        self.fall(*names)
        self.assertEqual(self.told(Form.TRIGGER), {PAGERDUTY: ["web is down", "cron-bill is down"]})
        self.remove(*names)
        self.assertEqual(
            self.told(Form.MESSAGE), {CONSOLE: ["web is removed", "cron-bill is removed"]}
        )
        self.assertEqual(self.story.open_pages(), [])

    def test_of_a_container_by_its_service(self) -> None:
        """The label of a service counts for its containers."""
        self.watch(
            IGNORE
            + """
            [[incidents]]
            name = "crash"
            each = { type = "container", ended = "failed" }
            within = "10m"
            per = "service"
            notify = ["pagerduty"]
            text = "{{ name }} crashes"
            """
        )
        self.deploy("shop", "web")
        self.deploy("shop", "toy", **{"tutumwatch.ignore": "true"})
        self.deploy("shop", "cron-bill", **{"tutumwatch.enable": "true"})
        self.fall("web", "toy", "cron-bill")
        texts = sorted(self.told(Form.TRIGGER)[PAGERDUTY])
        self.assertEqual([text.partition("-1 ")[0] for text in texts], ["cron-bill", "web"])

    def test_a_table_that_comes_while_a_page_is_open(self) -> None:
        """What is ignored from now on has no page any more."""
        self.watch(BY_LABEL + RULES)
        self.deploy("shop", "cron-tidy")
        self.fall("cron-tidy")
        self.assertEqual(self.story.open_pages(), ["cron-tidy is down"])
        self.story.reload(own_rules(IGNORE + BY_LABEL + RULES))
        self.story.wait(5 * MINUTE)
        self.assertEqual(self.story.open_pages(), [])


class LastResortTests(SynchronousTestCase):
    """A notifier that takes nothing for five minutes is told of by every other one."""

    def setUp(self) -> None:
        self.watch(docker_rules())

    def watch(self, rules: Configuration) -> None:
        """Begin the story."""
        self.story = Scenario(rules)
        self.story.start()
        self.story.wait(MINUTE)
        self.begun = self.story.seconds

    def set(self, notifier: str, state: str, reason: str = "500 from the server") -> None:
        """Let a notifier be so."""
        self.story.link(LinkType.NOTIFIER, notifier, state, reason)

    def told(self) -> dict[str, list[str]]:
        """Say who was told what since the beginning, except that the stream is back."""
        told: dict[str, list[str]] = {}
        for said in self.story.said:
            if said.at >= self.begun and said.notice.rule != "stream":
                told.setdefault(said.notice.notifier, []).append(said.text)
        return told

    def test_each_of_them(self) -> None:
        """Everybody else hears of it after five minutes, and of its end."""
        everybody = {CONSOLE, SLACK, PAGERDUTY}
        for ill in sorted(everybody):
            for state in (FAILING, REFUSED):
                self.setUp()
                self.set(ill, state)
                self.story.wait(5 * MINUTE - 1)
                self.assertEqual(self.told(), {})
                self.story.wait(2 * SECOND)
                text = f"{ill} takes no notices: 500 from the server"
                self.assertEqual(self.told(), {n: [text] for n in everybody - {ill}})
                self.story.wait(HOUR)
                self.set(ill, DELIVERING, "")
                self.story.wait(MINUTE)
                both = [text, f"{ill} takes notices again"]
                self.assertEqual(self.told(), dict.fromkeys(everybody - {ill}, both))

    def test_one_that_is_back_in_time(self) -> None:
        """Not for long enough in one piece: nobody hears of it."""
        self.set(SLACK, FAILING)
        self.story.wait(4 * MINUTE)
        self.set(SLACK, DELIVERING, "")
        self.story.wait(MINUTE)
        self.set(SLACK, FAILING)
        self.story.wait(4 * MINUTE)
        self.set(SLACK, DELIVERING, "")
        self.story.wait(HOUR)
        self.assertEqual(self.told(), {})

    def test_one_that_goes_from_bad_to_worse(self) -> None:
        """Failing, then refused: still the same trouble."""
        self.set(SLACK, FAILING)
        self.story.wait(3 * MINUTE)
        self.set(SLACK, REFUSED, "404 no_service")
        self.story.wait(2 * MINUTE + 1)
        self.assertEqual(self.told()[PAGERDUTY], ["slack takes no notices: 404 no_service"])

    def test_two_of_them(self) -> None:
        """Each is told of the other: the first that is well again delivers it."""
        self.set(SLACK, FAILING)
        self.set(PAGERDUTY, REFUSED)
        self.story.wait(6 * MINUTE)
        slack, pagerduty = (
            f"{n} takes no notices: 500 from the server" for n in (SLACK, PAGERDUTY)
        )
        self.assertEqual(
            self.told(), {CONSOLE: [pagerduty, slack], SLACK: [pagerduty], PAGERDUTY: [slack]}
        )

    def test_over_a_restart(self) -> None:
        """Five minutes since it began, and told once."""
        self.set(SLACK, FAILING)
        self.story.wait(3 * MINUTE)
        self.story.restart(away_seconds=MINUTE)
        self.story.wait(self.begun + 5 * MINUTE - 1 - self.story.seconds)
        self.assertEqual(self.told(), {})
        self.story.wait(2 * SECOND)
        self.story.restart()
        self.story.wait(HOUR)
        self.assertEqual(
            {name: len(texts) for name, texts in self.told().items()}, {CONSOLE: 1, PAGERDUTY: 1}
        )

    def test_while_the_stream_is_down(self) -> None:
        """What our own connections do needs no stream."""
        self.story.disconnect()
        self.set(SLACK, REFUSED)
        self.story.wait(6 * MINUTE)
        self.assertIn("slack takes no notices: 500 from the server", self.told()[PAGERDUTY])

    def test_without_a_rule_that_says_so(self) -> None:
        """It is there by itself, and not a second time beside a rule of one's own."""
        self.watch(own_rules(RULES.replace('"news"', '"slack"').replace('"page"', '"pagerduty"')))
        self.set(SLACK, FAILING)
        self.story.wait(6 * MINUTE)
        self.assertEqual(set(self.told()), {CONSOLE, PAGERDUTY})
        self.watch(
            own_rules(
                """
                [[incidents]]
                name = "mine"
                while = { type = "notifier", state = "Failing" }
                for = "1m"
                notify = ["slack"]
                text = "mine"
                """
            )
        )
        self.set(PAGERDUTY, FAILING)
        self.story.wait(6 * MINUTE)
        self.assertEqual(self.told(), {SLACK: ["mine"]})


@cache
def docker_rules_for(on: frozenset[str]) -> Configuration:
    """Load docker.toml with some of its optional notifiers on."""
    variables: Mapping[str, str] = {
        name: value
        for name, value in VARIABLES.items()
        if name.partition("_")[0].lower() in on | {"tutum"}
    }
    return load_configuration(None, Environment(variables, Path("/nonexistent")), DOCKER)


def all_of(names: Iterable[str]) -> Iterable[frozenset[str]]:
    """Give every set of some names, also the empty one."""
    listed = list(names)
    return map(
        frozenset, chain.from_iterable(combinations(listed, n) for n in range(len(listed) + 1))
    )


class NothingUnroutedTests(SynchronousTestCase):
    """Under docker.toml everything that is said reaches somebody, whoever is on."""

    def test_a_day_on_which_everything_happens(self) -> None:
        for on in all_of((SLACK, PAGERDUTY)):
            story = Scenario(docker_rules_for(on))
            self.live_through_it(story)
            self.assertEqual(story.decider.counts["unrouted"], 0)
            rules = {said.notice.rule for said in story.said}
            self.assertEqual(rules, set(story.rules.rules.names))
            told = {said.notice.notifier for said in story.said}
            self.assertEqual(told, on | {CONSOLE})
            for notifier in told:
                self.assertEqual(story.open_pages(notifier), [])

    def live_through_it(self, story: Scenario) -> None:
        """Let everything happen for which there is a rule, with and without REST."""
        engine, cluster = story.engine, story.cluster
        story.nodes("node-1", "node-2")
        web = story.deploy("shop", "web", "shop/web:1", 6)
        alone = story.deploy(None, "alone", "alone:1", 1)
        story.start()
        for rest in (Rest.OK, Rest.FAILS):
            story.cloud.rest = rest
            cluster.capacity = 4
            story.cut("node-2")
            story.wait(20 * MINUTE)
            story.heal("node-2")
            cluster.capacity = None
            story.wait(5 * MINUTE)
            cluster.flaws["shop/web:2"] = Flaw(Fault.MISSING)
            story.begin(engine.redeploy(web, "shop/web:2"))
            story.wait(30 * MINUTE)
            story.play(engine.redeploy(web, "shop/web:3", parallelism=6))
            story.begin(engine.spoil(alone, Flaw()))
            story.wait(10 * MINUTE)
            cluster.flaws.clear()
            story.wait(10 * MINUTE)
        story.cloud.rest = Rest.OK
        story.play(engine.join("node-3"))
        story.play(engine.remove(web))
        story.disconnect()
        for notifier in story.rules.destinations:
            story.link(LinkType.NOTIFIER, notifier, REFUSED, "no such channel")
        story.wait(10 * MINUTE)
        for notifier in story.rules.destinations:
            story.link(LinkType.NOTIFIER, notifier, DELIVERING)
        story.connect()
        story.wait(HOUR)
