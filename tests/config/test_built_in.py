"""Tests of tutorial.toml and docker.toml: what is done without a file."""

from __future__ import annotations

from importlib import resources

from tests.config.cases import CREDENTIALS, LoadingTestCase, environment_of
from tutumwatch.config.load import DOCKER, load_configuration
from tutumwatch.config.mistakes import ConfigurationError
from tutumwatch.config.plans import Configuration
from tutumwatch.config.tutum import NO_CREDENTIALS
from tutumwatch.notifiers.pagerduty import PagerDuty
from tutumwatch.notifiers.slack import Slack
from tutumwatch.rules.notice import Severity
from tutumwatch.rules.texts import Text
from tutumwatch.secret import Secret

HOOK = "https://hooks.slack.com/services/T0/B0/w3bh00k"
ALL = {**CREDENTIALS, "SLACK_URL": HOOK, "PAGERDUTY_KEY": "any", "PAGERDUTY_URL": "http://pd:1"}
V2_KEY = "0123456789abcdef0123456789abcdef"
DOCKER_ALL = {"SLACK_URL": HOOK, "PAGERDUTY_KEY": V2_KEY, "PAGERDUTY_URL": "http://pd:1"}
BOX = "/api/v1/container/fa159860-9048-4d1e-8655-6285fa9e3fa2/"


class BuiltInTests(LoadingTestCase):
    """With the variables of the tutorial, the watcher does what the tutorial did."""

    def load_built_in(self, **variables: str) -> Configuration:
        """Load the built-in configuration."""
        return load_configuration(None, environment_of(variables))

    def render(self, texts: dict[str, Text], **values: object) -> dict[str, str]:
        """Render a rule's texts for each of its notifiers; dots in names are underscores."""
        paths = {
            tuple(name.split("_")) if name.startswith("stack") else (name,): value
            for name, value in values.items()
        }
        return {name: text.render(paths) for name, text in texts.items()}

    def test_everything_on(self) -> None:
        configuration = self.load_built_in(**ALL)
        self.assertEqual(configuration.source, "the environment")
        self.assertEqual([plan.name for plan in configuration.streams], ["main"])
        self.assertEqual(
            [plan.name for plan in configuration.notifiers], ["console", "slack", "pagerduty"]
        )
        _, slack, pagerduty = configuration.notifiers
        self.assertEqual(slack.notifier, Slack(Secret(HOOK)))
        self.assertEqual(
            pagerduty.notifier,
            PagerDuty(Secret("any"), "v1", "http://pd:1", "tutumwatch", details=False),
        )
        self.assertEqual(configuration.remarks(), [])

    def test_without_the_notifiers_variables_they_are_off(self) -> None:
        configuration = self.load_built_in(**CREDENTIALS)
        self.assertEqual([plan.name for plan in configuration.notifiers], ["console"])
        self.assertEqual(
            configuration.remarks(),
            [
                "notifier slack is off: SLACK_URL is not set",
                "notifier pagerduty is off: PAGERDUTY_KEY is not set",
            ],
        )

    def test_the_public_pagerduty_is_the_default(self) -> None:
        configuration = self.load_built_in(**CREDENTIALS, PAGERDUTY_KEY="any")
        notifier = configuration.notifiers[1].notifier
        self.assertEqual(
            notifier,
            PagerDuty(
                Secret("any"), "v1", "https://events.pagerduty.com", "tutumwatch", details=False
            ),
        )

    def test_without_credentials(self) -> None:
        self.assertEqual(
            self.environment_mistakes(SLACK_URL=HOOK),
            [f"the environment: streams.main: {NO_CREDENTIALS}"],
        )

    def test_the_slack_texts_letter_for_letter(self) -> None:
        rules = {rule.name: rule for rule in self.load_built_in(**ALL).rules.messages}
        self.assertEqual(
            self.render(dict(rules["container"].texts), action="create", resource_uri=BOX),
            {"slack": f"Your container was created on Tutum!\nCheck {BOX} to see more details."},
        )
        self.assertEqual(
            self.render(
                dict(rules["service"].texts),
                action="create",
                stack_name="shop",
                stack_state="Running",
            ),
            {
                "slack": (
                    "A Service on Tutum was created.\n"
                    "It belonged to the shop Stack.\n"
                    "The Stack state is: Running"
                )
            },
        )
        self.assertEqual(rules["service"].fresh, {"stack"})

    def test_the_lines_of_the_terminal(self) -> None:
        rules = {rule.name: rule for rule in self.load_built_in(**ALL).rules.messages}
        self.assertEqual(self.render(dict(rules["connected"].texts)), {"console": "Connected"})
        self.assertEqual(self.render(dict(rules["auth"].texts)), {"console": "Auth completed"})
        self.assertEqual(self.render(dict(rules["closed"].texts)), {"console": "### closed ###"})
        self.assertEqual(self.render(dict(rules["error"].texts), reason="why"), {"console": "why"})
        said = self.render(
            dict(rules["other events"].texts),
            type="stack",
            action="update",
            state="Running",
            resource_uri="/api/v1/stack/1/",
            parents=[],
        )
        self.assertEqual(said, {"console": "stack:update:Running:/api/v1/stack/1/:[]"})

    def test_the_incident_of_the_stream(self) -> None:
        rule, last_resort = self.load_built_in(**ALL).rules.incidents
        self.assertEqual(last_resort.name, "last resort")
        assert rule.key is not None
        self.assertEqual(rule.key.render({}), "tutum-stream")
        self.assertEqual((rule.for_seconds, rule.clear_for_seconds), (15.0, 5.0))
        self.assertEqual(rule.severity, Severity.CRITICAL)
        self.assertEqual(
            self.render(dict(rule.texts)), {"pagerduty": "Tutum Stream connection closed."}
        )
        self.assertEqual(
            self.render(dict(rule.resolve_texts)), {"pagerduty": "Tutum Stream connection open."}
        )

    def test_a_copy_of_it_loads_as_a_file(self) -> None:
        """Its first lines tell the reader to copy it."""
        text = resources.files("tutumwatch.config").joinpath("tutorial.toml").read_text("utf-8")
        copied = self.load(text, **ALL)
        built_in = self.load_built_in(**ALL)
        self.assertEqual(copied.notifiers, built_in.notifiers)
        self.assertEqual(
            [r.name for r in copied.rules.messages], [r.name for r in built_in.rules.messages]
        )


class DockerTests(LoadingTestCase):
    """docker.toml: what ``--demo`` does. Its texts are in test_docker.py."""

    def load_docker(self, **variables: str) -> Configuration:
        """Load it as the built-in configuration."""
        return load_configuration(None, environment_of({**CREDENTIALS, **variables}), DOCKER)

    def test_with_nothing_set_the_console_alone_is_on(self) -> None:
        configuration = self.load_docker()
        self.assertEqual([plan.name for plan in configuration.notifiers], ["console"])
        self.assertEqual(
            configuration.remarks(),
            [
                "notifier slack is off: SLACK_URL is not set",
                "notifier pagerduty is off: PAGERDUTY_KEY is not set",
            ],
        )
        self.assertTrue(all(rule.texts for rule in configuration.rules.messages))

    def test_everything_on(self) -> None:
        configuration = self.load_docker(**DOCKER_ALL)
        console, slack, pagerduty = configuration.notifiers
        self.assertEqual(console.name, "console")
        self.assertEqual(slack.notifier, Slack(Secret(HOOK)))
        self.assertEqual(
            pagerduty.notifier, PagerDuty(Secret(V2_KEY), "v2", "http://pd:1", "tutumwatch", details=True)
        )  # fmt: skip
        self.assertEqual(configuration.remarks(), [])

    def test_every_rule_tells_the_console(self) -> None:
        """News goes to Slack as well; only incidents go to PagerDuty."""
        configuration = self.load_docker(**DOCKER_ALL)
        for rule in configuration.rules.messages:
            wanted = {"console"} if rule.name == "stream" else {"console", "slack"}
            self.assertEqual(set(rule.texts), wanted, rule.name)
        more = {"stream down": {"slack"}, "last resort": {"slack"}}
        for incident in configuration.rules.incidents:
            wanted = {"console", "pagerduty"} | more.get(incident.name, set())
            self.assertEqual(set(incident.texts), wanted, incident.name)

    def test_without_pagerduty_a_page_goes_to_slack(self) -> None:
        for incident in self.load_docker(SLACK_URL=HOOK).rules.incidents:
            self.assertEqual(set(incident.texts), {"console", "slack"}, incident.name)

    def test_a_key_of_the_old_api_is_a_mistake(self) -> None:
        error = self.assertRaises(ConfigurationError, self.load_docker, PAGERDUTY_KEY="any")
        self.assertIn("notifiers.pagerduty.key: ", str(error))
        self.assertIn("(it comes from PAGERDUTY_KEY)", str(error))

    def test_nothing_in_it_is_called_tutum(self) -> None:
        """Its reader runs Docker, and may never have heard of it."""
        text = resources.files("tutumwatch.config").joinpath("docker.toml").read_text("utf-8")
        self.assertNotRegex(text, r"(?i)tutum(?!watch)")
        self.assertNotIn("resource_uri", text)

    def test_a_copy_of_it_loads_as_a_file(self) -> None:
        text = resources.files("tutumwatch.config").joinpath("docker.toml").read_text("utf-8")
        copied, built_in = (
            self.load(text, **CREDENTIALS, **DOCKER_ALL),
            self.load_docker(**DOCKER_ALL),
        )
        self.assertEqual(copied.notifiers, built_in.notifiers)
        self.assertEqual(
            [r.name for r in copied.rules.messages], [r.name for r in built_in.rules.messages]
        )
