"""Tests of ``[[tests]]`` as they are read: what they mean, and every mistake with its place."""

from __future__ import annotations

from tests.config.cases import CREDENTIALS, LoadingTestCase
from tutumwatch.config.rehearsal_plans import (
    EventStep,
    ExpectedNotice,
    LinkStep,
    Portrayal,
    Rehearsal,
    RestStep,
)
from tutumwatch.events.inputs import LinkType

HEAD = """\
[streams.main]
url = "ws://127.0.0.1:9/v1/events"
[notifiers.console]
kind = "console"
[notifiers.slack]
kind = "slack"
url = "${SLACK_URL}"
optional = true
[[messages]]
name = "news"
match = { type = "service" }
notify = ["console", "slack"]
"""
FIRST_LINE = HEAD.count("\n") + 1
NOON = 1_767_614_400.0  # 2026-01-05T12:00:00Z


class ReadingTestCase(LoadingTestCase):
    """Reads one test."""

    def read(self, text: str) -> Rehearsal:
        """Read a test without mistakes, which needs no more than its own keys."""
        configuration = self.load(f'{HEAD}[[tests]]\nname = "t"\n{text}')
        (rehearsal,) = configuration.rehearsals
        return rehearsal

    def wrong(self, text: str) -> list[str]:
        """Give the mistakes in a test, without the place of the test itself."""
        found = self.mistakes(f'{HEAD}[[tests]]\nname = "t"\n{text}')
        return [line.replace("tests[1]", "", 1).replace(" ('t')", "") for line in found]

    def only(self, text: str) -> str:
        """Give the one mistake in a test, without its line."""
        (line,) = self.wrong(text)
        return line.partition(": ")[2].removeprefix(".")


class MeaningTests(ReadingTestCase):
    """What a test means."""

    def test_the_least(self) -> None:
        rehearsal = self.read("notices = []")
        self.assertEqual(
            rehearsal,
            Rehearsal("t", FIRST_LINE, NOON, 3600.0, ("console", "slack"), (), (), ()),
        )

    def test_times(self) -> None:
        for begins, at in (
            ('"2026-11-24T01:30:00+01:00"', 1_795_480_200.0),
            ('"2026-11-24T00:30"', 1_795_480_200.0),
            ("2026-11-24T00:30:00Z", 1_795_480_200.0),
            ("2026-11-24T00:30:00", 1_795_480_200.0),
        ):
            self.assertEqual(self.read(f"begins = {begins}\nnotices = []").begins, at)
        self.assertEqual(self.read('until = "5m"\nnotices = []').lasts, 300.0)
        step = '{ at = "2m", rest = "down" }'
        self.assertEqual(self.read(f"steps = [{step}]\nnotices = []").lasts, 3720.0)

    def test_what_is_there(self) -> None:
        rehearsal = self.read("""\
resources = [
  { type = "stack", name = "shop" },
  { type = "service", name = "web app", stack = "shop", state = "partly running", update_state = "paused", running = 1, labels = { job = "x", "a.b" = true, n = 7 } },
  { type = "nodecluster", name = "east" },
  { type = "node", name = "node-2", nodecluster = "east" },
  { type = "container", name = "web-1", service = "web app", node = "node-2" },
]
notices = []
""")
        shop, web, east, node, container = rehearsal.present
        self.assertEqual(shop, Portrayal("main", "stack", "shop", "/api/v1/stack/shop/", "Running"))
        self.assertEqual(
            web,
            Portrayal(
                "main",
                "service",
                "web app",
                "/api/v1/service/web-app/",
                "partly running",
                {"stack": shop.uri},
                {
                    "running": 1,
                    "update_state": "paused",
                    "labels": {"job": "x", "a.b": "true", "n": "7"},
                },
            ),
        )
        self.assertEqual(node.parents, {"nodecluster": east.uri})
        self.assertEqual((east.state, node.state), ("Deployed", "Deployed"))
        self.assertEqual(
            container.parents, {"service": web.uri, "node": node.uri, "stack": shop.uri}
        )

    def test_what_happens(self) -> None:
        rehearsal = self.read("""\
resources = [{ type = "service", name = "web" }]
steps = [
  { at = "0s", type = "service", name = "web", state = "Redeploying", bare = true },
  { at = "1m", type = "container", name = "web-1", service = "web", state = "Starting" },
  { at = "1m", type = "action", name = "deploy", service = "web", state = "Failed" },
  { at = "2m", type = "service", name = "web", action = "delete" },
  { at = "3m", type = "service", name = "web", state = "Running" },
  { at = "3m", type = "service", name = "web", state = "Terminated" },
  { at = "4m", stream = "main", state = "Disconnected", reason = "closed" },
  { at = "5m", notifier = "slack", state = "Failing" },
  { at = "6m", rest = "up" },
]
notices = []
""")
        uri = "/api/v1/service/web/"
        first, second, third, fourth, fifth, sixth, *links = rehearsal.steps
        assert isinstance(first, EventStep)
        self.assertEqual(
            first,
            EventStep(
                0.0,
                Portrayal("main", "service", "web", uri, "Redeploying"),
                "update",
                is_bare=True,
            ),
        )
        assert isinstance(second, EventStep)
        self.assertEqual((second.action, second.told.parents), ("create", {"service": uri}))
        assert isinstance(third, EventStep)
        self.assertEqual((third.told.type, third.told.state), ("action", "Failed"))
        assert isinstance(fourth, EventStep)
        self.assertEqual((fourth.action, fourth.is_gone), ("delete", True))
        # What comes after an end under the same name is another one.
        assert isinstance(fifth, EventStep)
        self.assertEqual((fifth.action, fifth.told.uri), ("create", "/api/v1/service/web-2/"))
        assert isinstance(sixth, EventStep)
        self.assertEqual(
            (sixth.action, sixth.is_gone, sixth.told.uri), ("delete", True, fifth.told.uri)
        )
        self.assertEqual(
            links,
            [
                LinkStep(240.0, LinkType.STREAM, "main", "Disconnected", "closed"),
                LinkStep(300.0, LinkType.NOTIFIER, "slack", "Failing"),
                RestStep(360.0, is_up=True),
            ],
        )

    def test_two_of_one_name(self) -> None:
        """Services of two stacks; whoever names one says which."""
        rehearsal = self.read("""\
resources = [
  { type = "stack", name = "a" }, { type = "stack", name = "b" },
  { type = "service", name = "web", stack = "a" }, { type = "service", name = "web", stack = "b" },
  { type = "container", name = "one", service = "b/web" },
  { type = "container", name = "two", service = "web", stack = "a" },
]
steps = [{ at = "0s", type = "service", name = "web", stack = "b", state = "Stopped" }]
notices = []
""")
        *_, first, second, one, two = rehearsal.present
        self.assertEqual(
            (first.uri, second.uri), ("/api/v1/service/web/", "/api/v1/service/web-2/")
        )
        self.assertEqual((one.parents["service"], two.parents["service"]), (second.uri, first.uri))
        (step,) = rehearsal.steps
        assert isinstance(step, EventStep)
        self.assertEqual((step.told.uri, step.action), (second.uri, "update"))

    def test_a_container_that_moves_is_the_same(self) -> None:
        rehearsal = self.read("""\
resources = [{ type = "node", name = "n1" }, { type = "node", name = "n2" },
  { type = "container", name = "c", node = "n1" }]
steps = [{ at = "0s", type = "container", name = "c", node = "n2" }]
notices = []
""")
        (step,) = rehearsal.steps
        assert isinstance(step, EventStep)
        self.assertEqual(step.told.uri, "/api/v1/container/c/")
        self.assertEqual(step.told.parents, {"node": "/api/v1/node/n2/"})

    def test_what_is_expected(self) -> None:
        rehearsal = self.read("""\
destinations = "console"
notices = [
  { to = "console", form = "message", rule = "news", text = "*x*", key = "k", at = "1m" },
  { to = ["console"] },
]
""")
        self.assertEqual(rehearsal.heard, ("console",))
        self.assertEqual(
            rehearsal.expected,
            (
                ExpectedNotice("console", "*x*", "message", "news", "k", 60.0),
                ExpectedNotice("console"),
            ),
        )
        both = self.read('notices = [{ to = ["console", "slack"] }]')
        self.assertEqual([one.notifier for one in both.expected], ["console", "slack"])

    def test_every_notifier_is_on(self) -> None:
        """What is off here for want of a variable is told in a test all the same."""
        configuration = self.load(f'{HEAD}[[tests]]\nname = "t"\nnotices = []')
        self.assertEqual(list(configuration.rules.destinations), ["console"])
        assert configuration.rehearsed is not None
        destinations = configuration.rehearsed.destinations
        self.assertEqual(list(destinations), ["console", "slack"])
        self.assertEqual(destinations["slack"].escape("<a>"), "&lt;a&gt;")
        with_slack = {**CREDENTIALS, "SLACK_URL": "https://hooks.slack.com/services/T/B/x"}
        all_on = self.load(f'{HEAD}[[tests]]\nname = "t"\nnotices = []', **with_slack)
        self.assertIs(all_on.rehearsed, all_on.rules)
        self.assertIsNone(self.load(HEAD).rehearsed)


class MistakesTests(ReadingTestCase):
    """What is wrong is said, with its place and a remedy."""

    def test_no_tables(self) -> None:
        (line,) = self.mistakes(f"tests = 1\n{HEAD}")
        self.assertEqual(line, "1: tests: expected tables such as [[tests]], got a number")
        (line,) = self.mistakes(f"tests = [1]\n{HEAD}")
        self.assertEqual(line, "1: tests[1]: expected a table, got a number")

    def test_names(self) -> None:
        text = '[[tests]]\nname = "t"\nnotices = []\n[[tests]]\nname = "t"\nnotices = []\n'
        (line,) = self.mistakes(f"{HEAD}{text}")
        self.assertEqual(
            line,
            f"{FIRST_LINE + 4}: tests[2].name ('t'): another test has this name; each needs its own",
        )
        (line,) = self.mistakes(f'{HEAD}[[tests]]\nname = ""\nnotices = []')
        self.assertEqual(line, f"{FIRST_LINE + 1}: tests[1].name: expected a name")

    def test_its_own_keys(self) -> None:
        for text, what in (
            ("", "the key 'notices' is missing"),
            ("notices = 1", "notices: expected a list of tables, got a number"),
            ("notices = []\nsteps = {}", "steps: expected a list of tables, got a table"),
            (
                'notices = []\nbegins = "soon"',
                'begins: expected a time such as "2026-11-24T01:30:00+01:00"',
            ),
            ("notices = []\nbegins = 7", "begins: expected a time such as"),
            ('notices = []\nuntil = "32d"', "until: a test may last 31 days"),
            (
                'notices = []\nuntil = "1m"\nsteps = [{ at = "2m", rest = "down" }]',
                "until: it would end before its last step; until counts from the start",
            ),
            (
                "notices = []\ndestinations = 7",
                'destinations: expected the name of a notifier, or a list such as ["slack"]',
            ),
            (
                'notices = []\ndestinations = ["slak"]',
                "destinations: there is no notifier 'slak' (did you mean 'slack'?)",
            ),
            ("notices = []\nstpes = []", "stpes: there is no such key (did you mean 'steps'?)"),
        ):
            self.assertIn(what, self.only(text))

    def test_resources(self) -> None:
        for table, what in (
            ("1", "resources[1]: expected a table, got a number"),
            ('{ type = "service" }', "resources[1]: the key 'name' is missing"),
            ('{ name = "web" }', "resources[1] ('web'): the key 'type' is missing"),
            ('{ type = "service", name = "" }', "resources[1].name: expected a name"),
            ('{ type = "servce", name = "web" }', "got 'servce' (did you mean 'service'?)"),
            (
                '{ type = "service", name = "web", state = "Runing" }',
                "resources[1].state: 'Runing' is no state of a resource (did you mean 'Running'?)",
            ),
            (
                '{ type = "service", name = "web", state = "Connected" }',
                "'Connected' is no state of a resource; Running, Stopped or Deployed are some",
            ),
            (
                '{ type = "service", name = "web", update_state = "pause" }',
                "resources[1].update_state: 'pause' is no state of an update (did you mean 'paused'?)",
            ),
            (
                '{ type = "service", name = "web", update_state = "x" }',
                "'x' is no state of an update; known are completed, paused, ",
            ),
            (
                '{ type = "service", name = "web", labels = 7 }',
                "resources[1].labels: expected a table",
            ),
            (
                '{ type = "service", name = "web", labels = { a.b = 7 } }',
                "each name in quotes with",
            ),
            ('{ type = "service", name = "web", running = "2" }', "expected a whole number"),
            (
                '{ type = "service", name = "web", stream = "man" }',
                "resources[1].stream: there is no stream 'man' (did you mean 'main'?)",
            ),
            (
                '{ type = "service", name = "web", node = "n" }',
                "resources[1].node: a service has no node; it can have: stack",
            ),
            (
                '{ type = "stack", name = "s", node = "n" }',
                "resources[1].node: a stack has no node; leave it out",
            ),
            (
                '{ type = "service", name = "web", stack = "shop" }',
                "resources[1].stack: there is no stack 'shop'; declare it in resources, or in a",
            ),
            (
                '{ type = "stack", name = "shop" }, { type = "service", name = "a", stack = "shp" }',
                "resources[2].stack: there is no stack 'shp' (did you mean 'shop'?)",
            ),
            (
                '{ type = "stack", name = "shop" }, { type = "stack", name = "shop" }',
                "resources[2].name: another stack has this name; each needs its own",
            ),
        ):
            self.assertIn(what, self.only(f"resources = [{table}]\nnotices = []"))

    def test_steps(self) -> None:
        for step, what in (
            ('{ type = "service", name = "web" }', "steps[1] ('web'): the key 'at' is missing"),
            ('{ at = "soon", rest = "up" }', "steps[1].at: 'soon' is no length of time"),
            ('{ at = "0s", rest = "dwn" }', "got 'dwn' (did you mean 'down'?)"),
            ('{ at = "0s", stream = "main" }', "steps[1]: the key 'state' is missing"),
            (
                '{ at = "0s", stream = "man", state = "Connected" }',
                "steps[1].stream: there is no stream",
            ),
            ('{ at = "0s", stream = "main", state = "Conected" }', "(did you mean 'Connected'?)"),
            (
                '{ at = "0s", notifier = "pd", state = "Failing" }',
                "there is no notifier 'pd'; there are:",
            ),
            (
                '{ at = "0s", notifier = "slack", state = "Bad" }',
                "expected 'Delivering' or 'Failing'",
            ),
            ('{ at = "0s", type = "contaner", name = "c" }', "(did you mean 'container'?)"),
            (
                '{ at = "0s", type = "service", name = "web", state = "Running", reason = "x" }',
                "steps[1].reason ('web'): there is no such key",
            ),
            (
                '{ at = "0s", type = "service", name = "web" }',
                "steps[1].name: the service 'web' is new: say in which state it is",
            ),
            (
                '{ at = "0s", type = "service", name = "web", action = "delete" }',
                "there is no service 'web' that could go; declare it in resources, or in a step before",
            ),
            (
                '{ at = "1m", rest = "down" }, { at = "30s", rest = "up" }',
                "steps[2].at: it comes before the step above it; steps stand in the order of time",
            ),
        ):
            self.assertIn(what, self.only(f"steps = [{step}]\nnotices = []"))

    def test_names_that_are_nearly_right(self) -> None:
        resources = 'resources = [{ type = "service", name = "web" }]\nnotices = []\n'
        for step, what in (
            ('name = "wbe"', "the service 'wbe' (did you mean 'web'?) is new: say in which state"),
            ('name = "wbe", action = "delete"', "'wbe' that could go (did you mean 'web'?)"),
        ):
            text = f'{resources}steps = [{{ at = "0s", type = "service", {step} }}]'
            self.assertIn(what, self.only(text))

    def test_names_of_several(self) -> None:
        resources = """\
notices = []
resources = [{ type = "stack", name = "a" }, { type = "stack", name = "b" },
  { type = "service", name = "web", stack = "a" }, { type = "service", name = "web", stack = "b" }]
"""
        for step, what in (
            (
                'type = "service", name = "web"',
                "steps[1].name: 2 are called 'web'; say of which stack",
            ),
            (
                'type = "container", name = "c", service = "web", state = "Running"',
                "steps[1].service: 2 are called 'web'; write STACK/web",
            ),
            (
                'type = "container", name = "c", service = "b/wbe", state = "Running"',
                "steps[1].service: there is no service 'wbe' in the stack 'b' (did you mean 'web'?)",
            ),
        ):
            self.assertIn(what, self.only(f'{resources}steps = [{{ at = "0s", {step} }}]'))

    def test_one_mistake_is_told_once(self) -> None:
        """Of what could not be read nobody knows whom it would have brought."""
        text = """\
resources = [
  { type = "stak", name = "shop" },
  { type = "service", name = "web", stack = "shop" },
]
steps = [
  { at = "0s", type = "container", name = "c", service = "web", state = "Running" },
  { at = "0s", type = "service", name = "web" },
  { at = "0s", type = "service", name = "web", action = "delete" },
]
notices = []
"""
        self.assertIn("'stak' (did you mean 'stack'?)", self.only(text))

    def test_notices(self) -> None:
        for table, what in (
            ("1", "notices[1]: expected a table, got a number"),
            ("{}", "notices[1]: the key 'to' is missing"),
            ("{ to = 7 }", "notices[1].to: expected the name of a notifier, or a list such as"),
            (
                '{ to = "slak" }',
                "notices[1].to: there is no notifier 'slak' (did you mean 'slack'?)",
            ),
            (
                '{ to = "slack", rule = "nws" }',
                "notices[1].rule: there is no rule 'nws' (did you mean 'news'?)",
            ),
            ('{ to = "slack", form = "page" }', "expected 'message' or 'trigger' or 'resolve'"),
        ):
            self.assertIn(what, self.only(f"notices = [{table}]"))
        self.assertEqual(
            self.only('destinations = ["console"]\nnotices = [{ to = "slack" }]'),
            "notices[1].to: 'slack' is not among the destinations",
        )

    def test_beside_a_notifier_that_is_wrong(self) -> None:
        """Its kind is not asked for."""
        text = HEAD.replace('kind = "slack"', 'kind = "slak"')
        (line,) = self.mistakes(f'{text}[[tests]]\nname = "t"\nnotices = []')
        self.assertIn("'slak' is no kind of notifier", line)
