"""Tests of how the differences of two configurations are put into words."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.tls import make_tls
from tutumwatch.config.environment import Environment
from tutumwatch.config.load import load_configuration
from tutumwatch.config.plans import Configuration
from tutumwatch.differences import describe_differences

SECRET = "s3cr3t-w3bh00k"
STREAM = """
[streams.main]
url = "wss://stream.example/v1/events"
auth = "Basic eA=="
"""
LAB = """
[streams.lab]
url = "ws://lab.example/v1/events"
user = "ops"
apikey = "k"
"""
SLACK = """
[notifiers.slack]
kind = "slack"
url = "http://slack.example/hook"
"""
BOX = """
[[messages]]
name = "box"
match = { type = "container" }
notify = ["slack"]
text = "a box"
"""
DOWN = """
[[incidents]]
name = "stream down"
while = { type = "stream", state = "!Connected" }
notify = ["slack"]
"""
ALL = STREAM + SLACK + BOX + DOWN


class DifferencesTestCase(SynchronousTestCase):
    """Loads configurations."""

    def setUp(self) -> None:
        """Make a folder for files."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def load(self, text: str, **variables: str) -> Configuration:
        """Load a configuration."""
        path = self.folder / "watch.toml"
        path.write_text(text, "utf-8")
        variables = {"TUTUMWATCH_STORE": ":memory:", **variables}
        return load_configuration(str(path), Environment(variables, self.folder))

    def told(self, before: str, after: str) -> list[str]:
        """Say in what the second text differs from the first, but for what is unchanged."""
        *told, _ = describe_differences(self.load(before), self.load(after))
        return told


class DifferencesTests(DifferencesTestCase):
    """Names and keys are told, values never."""

    def test_nothing(self) -> None:
        same = self.load(ALL)
        self.assertEqual(describe_differences(same, self.load(ALL)), ["2 rules unchanged"])

    def test_each_text_has_an_id_of_its_own(self) -> None:
        ids = [self.load(text).id for text in (ALL, ALL, f"# new\n{ALL}")]
        self.assertEqual(ids[0], ids[1])
        self.assertNotEqual(ids[0], ids[2])
        self.assertRegex(ids[0], r"\A[0-9a-f]{12}\Z")

    def test_a_comment_is_no_difference(self) -> None:
        self.assertEqual(self.told(ALL, f"# new\n{ALL}"), [])

    def test_what_comes_and_goes(self) -> None:
        spare = SLACK.replace("notifiers.slack", "notifiers.spare")
        told = ["+ notifier spare", "+ stream lab", "+ rule 'box'"]
        less, more = STREAM + SLACK + DOWN, ALL + LAB + spare
        self.assertEqual(self.told(less, more), told)
        self.assertEqual(self.told(more, less), [line.replace("+", "-") for line in told])

    def test_rules_that_are_unchanged_are_counted(self) -> None:
        def last(before: str, after: str) -> str:
            return describe_differences(self.load(before), self.load(after))[-1]

        self.assertEqual(last(STREAM + SLACK, ALL), "0 rules unchanged")
        self.assertEqual(last(ALL, ALL.replace("a box", "the box")), "1 rule unchanged")
        self.assertEqual(last(ALL, ALL), "2 rules unchanged")

    def test_an_optional_notifier_whose_variable_is_gone_is_off_for_that(self) -> None:
        text = STREAM + SLACK.replace('"http://slack.example/hook"', '"${HOOK}"\noptional = true')
        before = self.load(text, HOOK="http://slack.example/hook")
        self.assertEqual(
            describe_differences(before, self.load(text))[0],
            "- notifier slack (HOOK is not set)",
        )
        self.assertEqual(describe_differences(self.load(text), before)[0], "+ notifier slack")

    def test_a_notifier_is_changed_by_its_keys(self) -> None:
        after = ALL.replace("slack.example/hook", f"slack.example/{SECRET}")
        after = after.replace('kind = "slack"', 'kind = "slack"\nrate = 5\nstale_after = "2h"')
        self.assertEqual(self.told(ALL, after), ["~ notifier slack (rate, stale_after, url)"])

    def test_another_kind_of_the_same_name(self) -> None:
        after = ALL.replace(
            'kind = "slack"\nurl = "http://slack.example/hook"', 'kind = "console"\nbatch = 2'
        )
        self.assertEqual(self.told(ALL, after), ["~ notifier slack (kind, batch, url)"])

    def test_a_secret_in_a_file_that_holds_another_one_now(self) -> None:
        file = self.folder / "hook"
        text = ALL.replace("http://slack.example/hook", f"file:{file}")
        file.write_text("http://slack.example/old")
        before = self.load(text)
        file.write_text(f"http://slack.example/{SECRET}")
        told = describe_differences(before, self.load(text))
        self.assertEqual(told[0], "~ notifier slack (url)")
        self.assertNotIn(SECRET, str(told))

    def test_a_stream_is_changed_by_what_is_dialled(self) -> None:
        for old, new, keys in (
            ("stream.example", "other.example", "url"),
            ("eA==", "eQ==", "credentials"),
            ("[streams.main]", '[streams.main]\nrest = "https://rest.example"', "rest"),
            ("[streams.main]", '[streams.main]\nping_interval = "5s"', "ping_interval"),
            ("[streams.main]", '[streams.main]\ncredentials = "query"', "credentials"),
            ('auth = "Basic eA=="', 'user = "ops"\napikey = "k"', "credentials"),
        ):
            with self.subTest(new):
                self.assertEqual(self.told(ALL, ALL.replace(old, new)), [f"~ stream main ({keys})"])

    def test_where_it_is_written_is_no_difference(self) -> None:
        """A URL that was left out and is the public one all the same."""
        before = ALL.replace('url = "wss://stream.example/v1/events"\n', "")
        after = ALL.replace("wss://stream.example", "wss://stream.tutum.co")
        self.assertEqual(self.told(before, after), [])

    def test_a_file_of_certificates_that_was_replaced(self) -> None:
        ours, theirs = (self.folder / name for name in ("ours", "theirs"))
        for folder in (ours, theirs):
            folder.mkdir()
        path = make_tls(ours).ca
        lines = f'ca_file = "{path}"\n'
        text = STREAM + lines + SLACK + lines
        before = self.load(text)
        self.assertEqual(describe_differences(before, self.load(text)), ["0 rules unchanged"])
        path.write_bytes(make_tls(theirs).ca.read_bytes())
        told = ["~ notifier slack (ca_file)", "~ stream main (ca_file)"]
        self.assertEqual(describe_differences(before, self.load(text))[:2], told)
        self.assertEqual(self.told(STREAM + SLACK, text), told)

    def test_a_rule_is_changed_by_its_keys(self) -> None:
        after = ALL.replace("a box", "the box").replace(DOWN, f'{DOWN}for = "1m"\n')
        self.assertEqual(
            self.told(ALL, after), ["~ rule 'box' (text)", "~ rule 'stream down' (for)"]
        )

    def test_a_rule_that_is_of_another_kind_now(self) -> None:
        after = ALL.replace(
            DOWN, DOWN.replace("[[incidents]]", "[[messages]]").replace("while", "match")
        )
        self.assertEqual(
            self.told(ALL, after), ["~ rule 'stream down' (from [[incidents]] to [[messages]])"]
        )

    def test_the_order_of_rules_is_no_difference(self) -> None:
        self.assertEqual(self.told(ALL, STREAM + SLACK + DOWN + BOX), [])

    def test_services_of_our_own(self) -> None:
        after = (
            f'{ALL}[status]\nlisten = "off"\n[heartbeat]\nurl = "http://beat.example/{SECRET}"\n'
        )
        self.assertEqual(self.told(ALL, after), ["~ heartbeat (url)", "~ status (listen)"])
        default = f'{ALL}[status]\nlisten = "tcp:9797:interface=127.0.0.1"\n'
        self.assertEqual(self.told(ALL, default), [])

    def test_another_store_counts_from_the_next_start(self) -> None:
        after = self.load(ALL, TUTUMWATCH_STORE=str(self.folder / "new.sqlite"))
        told = describe_differences(self.load(ALL), after)
        self.assertEqual(told[0], "~ store (path: counts from the next start)")


class WrittenTests(DifferencesTestCase):
    """What stands beside rules is compared as it is written."""

    def told_written(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
        """Say in what some tables differ from others."""
        configuration = self.load(ALL)
        return describe_differences(
            attrs.evolve(configuration, written=before), attrs.evolve(configuration, written=after)
        )

    def test_a_rule_that_says_what_it_was_called_is_renamed(self) -> None:
        before = {"messages": [{"name": "old", "match": {}}, {"name": "kept", "match": {}}]}
        renamed = {"name": "new", "was": "old", "match": {}}
        after = {"messages": [renamed, {"name": "kept", "match": {}}]}
        told = ["~ rule 'new' (was 'old')", "1 rule unchanged"]
        self.assertEqual(self.told_written(before, after), told)
        after = {"messages": [{**renamed, "match": {"type": "node"}}, before["messages"][1]]}
        told = ["~ rule 'new' (was 'old', match)", "1 rule unchanged"]
        self.assertEqual(self.told_written(before, after), told)

    def test_what_it_was_called_long_ago_changes_nothing(self) -> None:
        """The old name is gone, or another rule has it by now."""
        renamed = {"name": "new", "was": "old", "match": {}}
        told = ["1 rule unchanged"]
        self.assertEqual(self.told_written({"messages": [renamed]}, {"messages": [renamed]}), told)
        self.assertEqual(
            self.told_written({"messages": [{**renamed, "was": "older"}]}, {"messages": [renamed]}),
            told,
        )
        both = {"messages": [renamed, {"name": "old", "match": {}}]}
        self.assertEqual(
            self.told_written({"messages": [{"name": "old", "match": {}}]}, both),
            ["+ rule 'new'", "1 rule unchanged"],
        )

    def test_mutes_are_no_rules(self) -> None:
        before = {"mutes": [{"name": "night", "from": "02:00"}, {"name": "noon", "from": "12:00"}]}
        after = {"mutes": [{"name": "night", "from": "03:00"}, {"name": "dawn", "from": "05:00"}]}
        self.assertEqual(
            self.told_written(before, after),
            ["+ mute 'dawn'", "- mute 'noon'", "~ mute 'night' (from)", "0 rules unchanged"],
        )

    def test_what_has_no_name_is_one_thing(self) -> None:
        before = {"route": [{"page": ["pd"]}], "storm": 20, "ignore": []}
        after = {"route": [{"page": ["pd"]}, {"team": "x"}], "storm": 20, "deploy_deadline": "5m"}
        self.assertEqual(
            self.told_written(before, after),
            ["~ route", "- ignore", "+ deploy_deadline", "0 rules unchanged"],
        )

    def test_tests_do_not_run(self) -> None:
        self.assertEqual(self.told(ALL, f'{ALL}[[tests]]\nname = "t"\nnotices = []\n'), [])
