"""Tests of the ``[[messages]]`` and ``[[incidents]]`` tables, as far as reading them goes."""

from __future__ import annotations

from tests.config.cases import LoadingTestCase
from tutumwatch.rules.notice import Severity

HEAD = '[streams.main]\n[notifiers.console]\nkind = "console"\n'


class RulesTestCase(LoadingTestCase):
    """Reads rules beside a stream and a console."""

    def wrong(self, text: str) -> list[str]:
        """Give the mistakes in rules; the first line is 1."""
        return self.mistakes(f"{text}\n{HEAD}")


class MessagesTests(RulesTestCase):
    """``[[messages]]``."""

    def test_a_rule(self) -> None:
        text = '[[messages]]\nname = "m"\nmatch = { type = "node" }\nnotify = ["console"]\nfresh = ["stack"]\n'
        (rule,) = self.load(HEAD + text).messages
        self.assertEqual(rule.name, "m")
        self.assertEqual(rule.matcher.types, {"node"})
        self.assertEqual(set(rule.texts), {"console"})
        self.assertEqual(rule.fresh, {"stack"})

    def test_texts_are_templates_in_which_variables_are_left_alone(self) -> None:
        text = '[[messages]]\nname = "m"\nmatch = {}\nnotify = ["console"]\ntext = "costs ${5} ${HOME}"\n'
        (rule,) = self.load(HEAD + text).messages
        self.assertEqual(rule.texts["console"].render({}), "costs ${5} ${HOME}")

    def test_missing_keys(self) -> None:
        self.assertEqual(
            self.wrong("[[messages]]\n"),
            [
                "1: messages[1]: the key 'name' is missing",
                "1: messages[1]: the key 'match' is missing",
                "1: messages[1]: the key 'notify' is missing",
            ],
        )

    def test_a_rule_that_is_wrong_is_checked_further(self) -> None:
        """The mistakes of every key are told at once, whichever of the others are wrong."""
        text = """\
[[messages]]
name = 5
match = { type = "service", stat = "Running" }
notify = "console"
text = "{{ nam }}"
fresh = ["stak"]
"""
        self.assertEqual(
            self.wrong(text),
            [
                "2: messages[1].name: expected a text in quotes, got a number",
                "3: messages[1].match.stat: 'stat' is no known field (did you mean 'state'?)",
                '4: messages[1].notify: expected a list of texts such as ["a", "b"], got a text',
                "5: messages[1].text: 'nam' is no known field (did you mean 'name'?)",
                "6: messages[1].fresh: 'stak' is no type of parent (did you mean 'stack'?)",
            ],
        )

    def test_nobody_to_tell(self) -> None:
        text = '[[messages]]\nname = "m"\nmatch = {}\nnotify = []\n'
        (mistake,) = self.wrong(text)
        self.assertTrue(mistake.startswith("4: messages[1].notify ('m'): names no notifier"))

    def test_a_match_in_a_table_of_its_own(self) -> None:
        """The line is that of the key, in whichever form it is written."""
        head = '[[messages]]\nname = "m"\nnotify = ["console"]\n'
        for more, said in (
            ('[messages.match]\nstate = "Runing"', "5: messages[1].match.state ('m'): "),
            ('match.state = "Runing"', "4: messages[1].match.state ('m'): "),
            ('[messages.match]\n"stak.name" = "x"', "5: messages[1].match.stak.name ('m'): "),
            ('[messages.match.stak]\nname = "x"', "5: messages[1].match.stak.name ('m'): "),
        ):
            (mistake,) = self.wrong(f"{head}{more}\n")
            self.assertEqual(mistake[: len(said)], said)


class NamesTests(RulesTestCase):
    """A rule's name is how everything else refers to it."""

    def test_messages_and_incidents_share_their_names(self) -> None:
        text = """\
[[messages]]
name = "x"
match = {}
notify = ["console"]
[[incidents]]
name = "x"
while = { type = "stream" }
notify = ["console"]
"""
        self.assertEqual(
            self.wrong(text),
            ["6: incidents[1].name ('x'): another rule has this name; each needs its own"],
        )

    def test_an_empty_name(self) -> None:
        text = '[[messages]]\nname = ""\nmatch = {}\nnotify = ["console"]\n'
        self.assertEqual(
            self.wrong(text * 2),
            ["2: messages[1].name: expected a name", "6: messages[2].name: expected a name"],
        )


class IncidentsTests(RulesTestCase):
    """``[[incidents]]``."""

    def test_a_rule(self) -> None:
        text = """\
[[incidents]]
name = "i"
while = { type = "notifier", state = "Failing" }
for = "1m"
clear_for = "0s"
key = "{{ name }}"
severity = "warning"
notify = ["console"]
"""
        (rule,) = self.load(HEAD + text).incidents
        self.assertEqual((rule.name, rule.for_seconds, rule.clear_for_seconds), ("i", 60.0, 0.0))
        self.assertEqual(rule.severity, Severity.WARNING)
        self.assertEqual(rule.matcher.types, {"notifier"})

    def test_only_streams_and_notifiers(self) -> None:
        for while_ in (
            '{ type = "service" }',
            '{ state = "Stopped" }',
            '{ type = ["stream", "node"] }',
        ):
            text = f'[[incidents]]\nname = "i"\nwhile = {while_}\nnotify = ["console"]\n'
            (mistake,) = self.wrong(text)
            self.assertEqual(
                mistake,
                '3: incidents[1].while.type (\'i\'): an incident is about the type "stream" or "notifier"',
            )

    def test_mistakes(self) -> None:
        text = """\
[[incidents]]
name = "i"
for = 15
clear_for = "soon"
severity = "critcal"
key = "{{ nam }}"
notify = ["consol"]
resolve_text = "{% if %}"
"""
        self.assertEqual(
            self.wrong(text),
            [
                "1: incidents[1] ('i'): the key 'while' is missing",
                '3: incidents[1].for (\'i\'): expected a length of time such as "15s" or "5m", got a number',
                '4: incidents[1].clear_for (\'i\'): \'soon\' is no length of time; write it like "500ms", "15s", "5m" or "1h30m"',
                "5: incidents[1].severity ('i'): expected 'critical' or 'error' or 'warning' or 'info', got 'critcal' (did you mean 'critical'?)",
                "6: incidents[1].key ('i'): 'nam' is no known field (did you mean 'name'?)",
                "7: incidents[1].notify ('i'): there is no notifier 'consol' (did you mean 'console'?)",
                "8: incidents[1].resolve_text ('i'): line 1 of the text: Expected an expression, got 'end of statement block'",
            ],
        )
