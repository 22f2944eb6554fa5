"""Tests of a configuration as a whole: files, syntax, tables, and all mistakes at once."""

from __future__ import annotations

from pathlib import Path

from tests.config.cases import CREDENTIALS, LoadingTestCase, environment_of
from tutumwatch.config.environment import Environment
from tutumwatch.config.load import load_configuration
from tutumwatch.config.mistakes import ConfigurationError, Mistake

STREAM = "[streams.main]\n"

FULL_OF_MISTAKES = """\
[streams.main]
url = "https://stream.example/v1/events"
auth = "${NO_SUCH_VARIABLE}"
ping_intervall = "30s"

[stream.other]

[notifiers.ops]
kind = "slak"

[notifiers.slack]
kind = "slack"
url = "hooks.slack.com/services/x"
batch = "20"

[notifiers.pager]
kind = "pagerduty"
key = "0123456789"
ca_file = "/nowhere/ca.pem"

[[messages]]
name = "first"
match = { type = "service", state = "Runing" }
notify = ["slak"]

[[messages]]
name = "first"
match = { stak.name = "shop" }
notify = []
text = "{{ name"
fresh = ["stacks"]

[[messages]]
match = { type = "node" }
notify = ["slack"]

[[incidents]]
name = "service down"
while = { type = "service", health = "dwn" }
for = "two minutes"
notify = ["pager"]

[status]
listen = "9797"

[[routes]]
match = { stak.name = "pay-*" }
news = ["slak"]

[[ignore]]
match = { nam = "cron-*" }

[[mutes]]
name = "night"
match = { type = "nod" }
"""

ALL_MISTAKES = [
    "2: streams.main.url: expected a URL that begins with wss:// (or ws://) and names a host",
    "3: streams.main.auth: NO_SUCH_VARIABLE is not set, nor NO_SUCH_VARIABLE_FILE; set one, or write ${NO_SUCH_VARIABLE:-default}",
    "4: streams.main.ping_intervall: there is no such key (did you mean 'ping_interval'?); known are url, rest, auth, user, apikey, credentials, ca_file, ping_interval, ping_timeout, handshake_timeout",
    "6: stream: there is no such table or key (did you mean 'streams'?); known are the tables streams, store, status, heartbeat, notifiers, routes, ignore, messages, incidents, mutes, tests and the keys storm, deploy_deadline, last_resort",
    "9: notifiers.ops.kind: 'slak' is no kind of notifier (did you mean 'slack'?); known are console, pagerduty, slack",
    "13: notifiers.slack.url: expected a URL that begins with https:// (or http://) and names a host",
    "14: notifiers.slack.batch: expected a whole number, got a text",
    "18: notifiers.pager.key: an integration key has 32 characters, this one 10",
    "19: notifiers.pager.ca_file: cannot read certificates from '/nowhere/ca.pem': [Errno 2] No such file or directory: '/nowhere/ca.pem'",
    "23: messages[1].match.state ('first'): 'Runing' is no known state (did you mean 'Running'?)",
    "24: messages[1].notify ('first'): there is no notifier, and no role of a route, 'slak' (did you mean 'slack'?)",
    "27: messages[2].name ('first'): another rule has this name; each needs its own",
    "28: messages[2].match.stak.name ('first'): 'stak.name' is no known field (did you mean 'stack.name'?)",
    "29: messages[2].notify ('first'): names no notifier, so nobody would be told",
    "30: messages[2].text ('first'): line 1 of the text: unexpected end of template, expected 'end of print statement'.",
    "31: messages[2].fresh ('first'): 'stacks' is no type of parent (did you mean 'stack'?)",
    "33: messages[3]: the key 'name' is missing",
    "39: incidents[1].while.health ('service down'): 'dwn' is no known health (did you mean 'down'?)",
    '40: incidents[1].for (\'service down\'): \'two minutes\' is no length of time; write it like "500ms", "15s", "5m" or "1h30m"',
    '44: status.listen: Unknown endpoint type: \'9797\'; write it like "tcp:9797:interface=127.0.0.1", or "off"',
    "47: routes[1].match.stak.name: 'stak.name' is no known field (did you mean 'stack.name'?)",
    "47: routes[1].match: the last route must have none; add a [[routes]] without match after it, for what no other route takes",
    "48: routes[1].news: there is no notifier 'slak' (did you mean 'slack'?)",
    "51: ignore[1].match.nam: 'nam' is no known field (did you mean 'name'?)",
    "53: mutes[1] ('night'): would always hold: say on which days, or from when to when",
    "55: mutes[1].match.type ('night'): 'nod' is no known type (did you mean 'node'?)",
]


class AllMistakesTests(LoadingTestCase):
    """No mistake hides another: each is a line with its place and remedy, in order."""

    maxDiff = None

    def test_every_mistake_gives_a_line(self) -> None:
        self.assertEqual(self.mistakes(FULL_OF_MISTAKES), ALL_MISTAKES)

    def test_each_line_begins_with_the_file(self) -> None:
        path = self.write("[streams.main]\n\ncolor = 1\n")
        error = self.assertRaises(
            ConfigurationError, load_configuration, path, environment_of(CREDENTIALS)
        )
        self.assertTrue(
            str(error).startswith(f"{path}:3: streams.main.color: there is no such key")
        )
        self.assertEqual(error.source, path)

    def test_a_mistake_is_one_line_whatever_a_key_is_called(self) -> None:
        (mistake,) = self.mistakes('[streams.main]\n"a\\n\\u001b[31mb" = 1\n')
        self.assertTrue(mistake.startswith("2: streams.main.a\\n\\x1b[31mb: there is no such key"))

    def test_mistakes_without_a_line_come_last(self) -> None:
        error = ConfigurationError(
            "f", [Mistake("", "b"), Mistake("x", "a", 2), Mistake("y", "c", 1)]
        )
        self.assertEqual(str(error), "f:1: y: c\nf:2: x: a\nf: b")


class FileTests(LoadingTestCase):
    """The file itself may be at fault."""

    def assert_unreadable(self, path: str, said: str) -> None:
        """Fail unless a file is refused with one line."""
        error = self.assertRaises(
            ConfigurationError, load_configuration, path, environment_of(CREDENTIALS)
        )
        self.assertEqual(str(error), f"{path}{said}")

    def test_a_file_that_is_not_there(self) -> None:
        self.assert_unreadable("/nowhere/c.toml", ": cannot be read: No such file or directory")

    def test_a_folder(self) -> None:
        self.assert_unreadable("/", ": cannot be read: Is a directory")

    def test_a_file_in_another_encoding(self) -> None:
        self.assert_unreadable(self.write(b"# \xe9\n"), ": cannot be read: it is not UTF-8")

    def test_a_byte_order_mark_does_no_harm(self) -> None:
        configuration = self.load("\ufeff[streams.main]\n")
        self.assertEqual([stream.name for stream in configuration.streams], ["main"])

    def test_a_syntax_error_has_its_line(self) -> None:
        for text, said in (
            ("[streams.main]\n\nurl = \n", ":3: no TOML: Invalid value (column 7)"),
            (
                "[streams.main]\nurl 5\n",
                ":2: no TOML: Expected '=' after a key in a key/value pair (column 5)",
            ),
            ("[a]\n[a]\n", ":2: no TOML: Cannot declare ('a',) twice (column 3)"),
            ("[a]\nb = [1,", ": no TOML: Invalid value (at end of document)"),
        ):
            self.assert_unreadable(self.write(text), said)


class TablesTests(LoadingTestCase):
    """The tables at the top of the file."""

    def test_an_empty_file(self) -> None:
        self.assertEqual(
            self.mistakes("# nothing yet\n"), ["no stream is named; add a [streams.main] table"]
        )

    def test_streams_may_not_be_an_empty_table(self) -> None:
        self.assertEqual(
            self.mistakes("[streams]\n"), ["no stream is named; add a [streams.main] table"]
        )

    def test_one_bracket_too_many_or_too_few(self) -> None:
        text = """\
[[streams]]
[[notifiers]]
[messages]
[incidents]
[[status]]
"""
        self.assertEqual(
            self.mistakes(text),
            [
                "1: streams: expected tables such as [streams.main], got a list",
                "2: notifiers: expected tables such as [notifiers.main], got a list",
                "3: messages: expected tables such as [[messages]], got a table",
                "4: incidents: expected tables such as [[incidents]], got a table",
                "5: status: expected a table, got a list",
            ],
        )

    def test_values_where_tables_belong_are_not_repeated(self) -> None:
        """A webhook in the wrong place is still a credential."""
        text = """\
messages = ["hunter2"]
[streams]
main = "hunter2"
[notifiers]
slack = "hunter2"
"""
        self.assertEqual(
            self.mistakes(text),
            [
                "1: messages[1]: expected a table, got a text",
                "3: streams.main: expected a table, got a text",
                "5: notifiers.slack: expected a table, got a text",
            ],
        )

    def test_status(self) -> None:
        for line, listen in (
            ("", None),
            ('listen = "off"', "off"),
            ('listen = "tcp:0:interface=127.0.0.1"', "tcp:0:interface=127.0.0.1"),
            ('listen = "unix:/run/tutumwatch.sock"', "unix:/run/tutumwatch.sock"),
            ('listen = "${STATUS:-}"', None),
            ('listen = "${STATUS:-off}"', "off"),
        ):
            configuration = self.load(f"{STREAM}[status]\n{line}\n")
            self.assertEqual(configuration.status.listen, listen, line)

    def test_a_status_that_is_no_endpoint(self) -> None:
        remedy = '; write it like "tcp:9797:interface=127.0.0.1", or "off"'
        for listen, said in (
            ("tpc:9797", "Unknown endpoint type: 'tpc'"),
            ("tcp:http", "invalid literal for int() with base 10: 'http'"),
            ("tcp", "_parseTCP() missing 1 required positional argument: 'port'"),
            ("systemd:domain=INET:index=0", "list index out of range"),
        ):
            (mistake,) = self.mistakes(f'{STREAM}[status]\nlisten = "{listen}"\n')
            self.assertEqual(mistake, f"3: status.listen: {said}{remedy}")

    def test_a_status_from_a_variable(self) -> None:
        (mistake,) = self.environment_mistakes(**CREDENTIALS, TUTUMWATCH_STATUS="9797")
        self.assertEqual(
            mistake,
            "the environment: status.listen: Unknown endpoint type: '9797'; write it like "
            '"tcp:9797:interface=127.0.0.1", or "off" (it comes from TUTUMWATCH_STATUS)',
        )


class RemarksTests(LoadingTestCase):
    """What is no mistake and yet may not be meant is said."""

    SLACK = '[notifiers.slack]\nkind = "slack"\nurl = "${SLACK_URL}"\noptional = true\n'
    CONSOLE = '[notifiers.console]\nkind = "console"\n'
    RULE = '[[messages]]\nname = "all"\nmatch = {}\nnotify = ["slack"]\n'
    INCIDENT = '[[incidents]]\nname = "down"\nwhile = { type = "stream" }\nnotify = ["console"]\n'

    def test_nothing_to_remark(self) -> None:
        text = STREAM + self.SLACK + self.CONSOLE + self.RULE + self.INCIDENT
        configuration = self.load(text, **CREDENTIALS, SLACK_URL="https://hooks.example/x")
        self.assertEqual(configuration.remarks(), [])

    def test_a_notifier_that_is_off(self) -> None:
        configuration = self.load(STREAM + self.SLACK + self.CONSOLE + self.RULE + self.INCIDENT)
        self.assertEqual(configuration.remarks(), ["notifier slack is off: SLACK_URL is not set"])

    def test_a_notifier_that_no_rule_names(self) -> None:
        text = STREAM + self.SLACK + self.CONSOLE + self.RULE
        configuration = self.load(text, **CREDENTIALS, SLACK_URL="https://hooks.example/x")
        self.assertEqual(configuration.remarks(), ["notifier console is on, but no rule names it"])

    def test_all_notifiers_off(self) -> None:
        self.assertEqual(
            self.load(STREAM + self.SLACK + self.RULE).remarks(),
            [
                "notifier slack is off: SLACK_URL is not set",
                "nobody will be told anything: no rule names a notifier that is on",
            ],
        )

    def test_no_notifier_and_no_rule(self) -> None:
        self.assertEqual(
            self.load(STREAM).remarks(),
            ["nobody will be told anything: no rule names a notifier that is on"],
        )


class ConfigurationTests(LoadingTestCase):
    """A good file, read whole."""

    def test_everything_is_there(self) -> None:
        path = self.write(
            STREAM
            + '[notifiers.pager]\nkind = "pagerduty"\nkey = "0123456789abcdef0123456789abcdef"\n'
            + '[[messages]]\nname = "m"\nmatch = { type = "node" }\nnotify = ["pager"]\n'
            + '[[incidents]]\nname = "i"\nwhile = { type = "stream" }\nnotify = ["pager"]\n'
        )
        configuration = load_configuration(path, Environment(CREDENTIALS, Path("/none")))
        self.assertEqual(configuration.source, path)
        self.assertEqual([plan.name for plan in configuration.streams], ["main"])
        self.assertEqual([plan.name for plan in configuration.notifiers], ["pager"])
        self.assertEqual([rule.name for rule in configuration.rules.messages], ["m"])
        self.assertEqual(
            [rule.name for rule in configuration.rules.incidents], ["i", "last resort"]
        )
        self.assertEqual(dict(configuration.off), {})
