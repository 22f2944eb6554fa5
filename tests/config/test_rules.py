"""Tests of the ``[[messages]]`` and ``[[incidents]]`` tables, as far as reading them goes."""

from __future__ import annotations

from tests.config.cases import LoadingTestCase
from tutumwatch.rules.notice import Severity

OF_EVENTS = (
    "tells of an event, and an incident is open while something is so; "
    'use it in "each", or in [[messages]]'
)
NO_LENGTH = 'is no length of time; write it like "500ms", "15s", "5m" or "1h30m"'
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
        (rule,) = self.load(HEAD + text).rules.messages
        self.assertEqual(rule.name, "m")
        self.assertEqual(rule.matcher.types, {"node"})
        self.assertEqual(set(rule.texts), {"console"})
        self.assertEqual(rule.fresh, {"stack"})

    def test_texts_are_templates_in_which_variables_are_left_alone(self) -> None:
        text = '[[messages]]\nname = "m"\nmatch = {}\nnotify = ["console"]\ntext = "costs ${5} ${HOME}"\n'
        (rule,) = self.load(HEAD + text).rules.messages
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
notify = 5
text = "{{ nam }}"
fresh = ["stak"]
"""
        self.assertEqual(
            self.wrong(text),
            [
                "2: messages[1].name: expected a text in quotes, got a number",
                "3: messages[1].match.stat: 'stat' is no known field (did you mean 'state'?)",
                '4: messages[1].notify: expected a role or a notifier, or a list such as ["news", "slack"], got 5',
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

    maxDiff = None

    def one_wrong(self, *lines: str) -> str:
        """Give the one mistake in a rule, of which some lines are given."""
        text = "\n".join(('[[incidents]]\nname = "i"\nnotify = "console"', *lines))
        (mistake,) = self.wrong(text)
        return mistake

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
        (rule,) = self.load(HEAD + text).rules.incidents
        self.assertEqual((rule.name, rule.for_seconds, rule.clear_for_seconds), ("i", 60.0, 0.0))
        self.assertEqual(rule.severity, Severity.WARNING)
        self.assertEqual(rule.matcher.types, {"notifier"})

    def test_an_incident_may_be_about_anything(self) -> None:
        for while_ in ('{ type = "service" }', '{ state = "Stopped" }', "{}"):
            text = f'[[incidents]]\nname = "i"\nwhile = {while_}\nnotify = "console"\n'
            self.assertEqual(self.load(HEAD + text).rules.incidents[0].name, "i")

    def test_twelve_mistakes_give_twelve_lines(self) -> None:
        text = """\
[[incidents]]
name = "i"
while = { type = "servise", kind = "gone" }
each = { type = "container", stat = "Stopped" }
until = { deploy = "dun" }
unless = { action = "create" }
unless_open = ["node lots"]
for = 15
clear_for = "soon"
severity = "critcal"
key = "{{ nam }}"
notify = ["consol"]
repeat = "0s"
times = 3
resolve_text = "{% if %}"

[[incidents]]
name = "node lost"
while = { type = "node" }
was = "i"
notify = "console"
"""
        self.assertEqual(
            self.wrong(text),
            [
                '1: incidents[1] (\'i\'): has more than one of "while", "each" and "absent"; an incident is one of them',
                "3: incidents[1].while.type ('i'): 'servise' is no known type (did you mean 'service'?)",
                f"3: incidents[1].while.kind ('i'): 'kind' {OF_EVENTS}",
                "4: incidents[1].each.stat ('i'): 'stat' is no known field (did you mean 'state'?)",
                "5: incidents[1].until.deploy ('i'): 'dun' is no known state of a deploy",
                f"6: incidents[1].unless.action ('i'): 'action' {OF_EVENTS}",
                "7: incidents[1].unless_open ('i'): there is no incident rule 'node lots' (did you mean 'node lost'?)",
                '8: incidents[1].for (\'i\'): expected a length of time such as "15s" or "5m", got a number',
                f"9: incidents[1].clear_for ('i'): 'soon' {NO_LENGTH}",
                "10: incidents[1].severity ('i'): expected 'critical' or 'error' or 'warning' or 'info', got 'critcal' (did you mean 'critical'?)",
                "11: incidents[1].key ('i'): 'nam' is no known field (did you mean 'name'?)",
                "12: incidents[1].notify ('i'): there is no notifier 'consol' (did you mean 'console'?)",
                "13: incidents[1].repeat ('i'): expected a length of time above 0",
                "14: incidents[1].times ('i'): counts what \"each\" matches; this rule has none",
                "15: incidents[1].resolve_text ('i'): line 1 of the text: Expected an expression, got 'end of statement block'",
                "20: incidents[2].was ('node lost'): a rule 'i' is still there; it cannot be this one too",
            ],
        )

    def test_no_form(self) -> None:
        self.assertEqual(
            self.one_wrong(),
            '1: incidents[1] (\'i\'): has none of "while", "each" and "absent"; an incident is one of them',
        )

    def test_a_deploy_state(self) -> None:
        self.assertTrue(
            self.one_wrong('while = { deploy = "don" }').startswith(
                "4: incidents[1].while.deploy ('i'): 'don' is no known state of a deploy"
            )
        )

    def test_each(self) -> None:
        each = 'each = { type = "container" }'
        for lines, said in (
            ((), 'within (\'i\'): is missing: "each" counts within a length of time, such as "10m"'),
            (('within = "0s"',), 'within (\'i\'): is missing: "each" counts within a length of time, such as "10m"'),
            (('within = "1m"', "times = 0"), "times ('i'): expected 1 or more, got 0"),
            (('within = "1m"', 'per = "servic"'), "per ('i'): 'servic' is no type of parent (did you mean 'service'?)"),
            (('within = "1m"', "until = {}"), 'until (\'i\'): "each" says itself when it is over; "until" goes with "while"'),
        ):  # fmt: skip
            mistake = self.one_wrong(each, *lines)
            self.assertEqual(mistake.partition(": incidents[1].")[2], said)

    def test_absent(self) -> None:
        absent = 'absent = { type = "stack" }'
        for line, said in (
            ('per = "service"', '5: incidents[1].per (\'i\'): counts what "each" matches; this rule has none'),
            ('within = "5m"', '5: incidents[1].within (\'i\'): counts what "each" matches; this rule has none'),
            ("unless = {}", '5: incidents[1].unless (\'i\'): is about a resource, and "absent" has none; leave it out'),
            ('when = "nam"', "5: incidents[1].when ('i'): 'nam' is no known field (did you mean 'name'?)"),
        ):  # fmt: skip
            self.assertEqual(self.one_wrong(absent, line), said)

    def test_names_of_other_rules(self) -> None:
        for line, said in (
            ('unless_open = "i"', "5: incidents[1].unless_open ('i'): an incident does not explain itself; name another rule"),
            ("unless_open = [5]", "5: incidents[1].unless_open ('i'): expected the name of a rule, or a list of them"),
            (
                'unless_open = "x"',
                ("5: incidents[1].unless_open ('i'): there is no incident rule 'x'; "
                "name another [[incidents]] table of this file"),
            ),
            ('was = "i"', "5: incidents[1].was ('i'): a rule 'i' is still there; it cannot be this one too"),
            ("was = 5", "5: incidents[1].was ('i'): expected a text in quotes, got a number"),
        ):  # fmt: skip
            self.assertEqual(self.one_wrong("while = {}", line), said)

    def test_two_rules_that_were_one(self) -> None:
        rule = '[[incidents]]\nname = "{}"\nwhile = {{}}\nnotify = "console"\nwas = "x"\n'
        self.assertEqual(
            self.wrong(rule.format("a") + rule.format("b")),
            ["10: incidents[2].was ('b'): 'a' was 'x' already; only one rule can go on"],
        )

    def test_what_is_no_table(self) -> None:
        self.assertEqual(
            self.wrong("incidents = [5]"), ["1: incidents[1]: expected a table, got a number"]
        )
        self.assertEqual(
            self.wrong("incidents = 5"),
            ["1: incidents: expected tables such as [[incidents]], got a number"],
        )

    def test_a_nameless_one_is_checked_further(self) -> None:
        self.assertEqual(
            self.wrong('[[incidents]]\nname = 5\nwhile = { stat = "x" }\nnotify = "console"\n'),
            [
                "2: incidents[1].name: expected a text in quotes, got a number",
                "3: incidents[1].while.stat: 'stat' is no known field (did you mean 'state'?)",
            ],
        )


class LastResortTests(RulesTestCase):
    """That a notifier fails is told to every other one, whatever the file says of notifiers."""

    def test_a_rule_that_tells_of_notifiers_is_added(self) -> None:
        (rule,) = self.load(HEAD).rules.incidents
        self.assertEqual((rule.name, rule.for_seconds), ("last resort", 300.0))
        self.assertEqual(rule.matcher.types, {"notifier"})
        self.assertTrue(rule.audience.everyone)

    def test_not_beside_another_one(self) -> None:
        text = '[[incidents]]\nname = "mine"\nwhile = { type = "notifier" }\nnotify = "console"\n'
        self.assertEqual([r.name for r in self.load(HEAD + text).rules.incidents], ["mine"])

    def test_not_if_it_is_off(self) -> None:
        self.assertEqual(self.load(f"last_resort = false\n{HEAD}").rules.incidents, ())

    def test_its_name_is_taken(self) -> None:
        """Two rules of one name would be one."""
        for table, match in (("messages", "match"), ("incidents", "while")):
            text = f'[[{table}]]\nname = "last resort"\n{match} = {{ type = "node" }}\nnotify = "console"\n'
            self.assertEqual(
                self.wrong(text),
                [
                    f"2: {table}[1].name ('last resort'): is the name of the rule that tells of notifiers; choose another"
                ],
            )


class GeneralTests(RulesTestCase):
    """The keys above all tables."""

    def test_they_have_defaults(self) -> None:
        rules = self.load(HEAD).rules
        self.assertEqual((rules.storm_count, rules.deploy_deadline_seconds), (20, 900.0))

    def test_they_are_read(self) -> None:
        rules = self.load(f'storm = 0\ndeploy_deadline = "1h"\n{HEAD}').rules
        self.assertEqual((rules.storm_count, rules.deploy_deadline_seconds), (0, 3600.0))

    def test_mistakes(self) -> None:
        for line, said in (
            ("storm = -1", "1: storm: expected 0 (never) or more, got -1"),
            ('storm = "x"', "1: storm: expected a whole number, got a text"),
            ('deploy_deadline = "0s"', "1: deploy_deadline: expected a length of time above 0"),
            ("last_resort = 1", "1: last_resort: expected true or false, got a number"),
        ):
            self.assertEqual(self.wrong(line), [said])


class IgnoredTests(RulesTestCase):
    """What is ignored decides whether a rule holds."""

    RULE = '[[incidents]]\nname = "i"\nwhile = { type = "node" }\nnotify = "console"\n'

    def digest(self, more: str = "") -> str:
        """Give what differs where another condition is meant."""
        return self.load(HEAD + self.RULE + more).rules.incidents[0].digest

    def test_a_rule_is_another_one_when_something_else_is_ignored(self) -> None:
        ignore = '[[ignore]]\nmatch = { name = "a" }\n'
        other = ignore.replace('"a"', '"b"')
        self.assertEqual(self.digest(ignore), self.digest(ignore))
        self.assertEqual(len({self.digest(), self.digest(ignore), self.digest(other)}), 3)
