"""Tests of the ``[[routes]]`` tables, as far as reading them goes."""

from __future__ import annotations

from tests.config.cases import LoadingTestCase
from tutumwatch.rules.routes import Audience

HEAD = """\
[streams.main]
[notifiers.console]
kind = "console"
[notifiers.pager]
kind = "pagerduty"
key = "${PAGER_KEY}"
optional = true
"""


class RoutesTests(LoadingTestCase):
    """``[[routes]]``."""

    def test_routes(self) -> None:
        text = """\
[[routes]]
match = { stack.name = "pay-*", labels."tutumwatch.team" = "pay" }
news = "pager | console"
page = ["pager"]
[[routes]]
news = ["console"]
[[messages]]
name = "m"
match = {}
notify = "news"
"""
        rules = self.load(HEAD + text).rules
        self.assertEqual(rules.routes.roles, ("news", "page"))
        self.assertEqual(rules.routes.paths, {("stack", "name"), ("labels", "tutumwatch.team")})
        self.assertEqual(rules.messages[0].audience, Audience((), ("news",)))
        self.assertEqual(rules.routes.reachable(Audience((), ("news", "page"))), ("console",))

    def test_a_file_without_routes(self) -> None:
        self.assertEqual(self.load(HEAD).rules.routes.roles, ())

    def test_what_is_no_array_of_tables(self) -> None:
        for text, found in (
            ('routes = "x"', "a text"),
            ("[routes]\nnews = []", "a table"),
            ("[routes.main]", "a table"),
        ):
            self.assertEqual(
                self.mistakes(f"{text}\n{HEAD}"),
                [f"1: routes: expected tables such as [[routes]], got {found}"],
            )
        self.assertEqual(
            self.mistakes(f"routes = [5]\n{HEAD}"), ["1: routes[1]: expected a table, got 5"]
        )

    def test_every_mistake_is_told_with_its_line(self) -> None:
        text = """\
[[routes]]
match = [
    { type = "service" },
    { stat = "x" },
]
continue = "yes"
news = ["consol", "pager | slak"]
page = []
console = "console"

[[routes]]
match.stack.nam = "x"
when = "exit_code >"

[[routes]]
labels."a.b" = 5
news = "console"

[[routes]]
news = "console"
match = { type = "node" }
"""
        notifiers = (
            'expected notifiers such as ["slack"] or "pagerduty | slack", got an empty list; '
            "what nobody is to hear of belongs into [[ignore]]"
        )
        labels = (
            'expected notifiers such as ["slack"] or "pagerduty | slack", got '
            "{'a.b': 5}; a field belongs into the match: match = { labels = ... }"
        )
        never = (
            "is never reached: routes[3] has no match and takes all of it; "
            "give that one a match or continue = true, or leave 'news' out here"
        )
        self.assertEqual(
            self.mistakes(f"{text}\n{HEAD}"),
            [
                "4: routes[1].match[2].stat: 'stat' is no known field (did you mean 'state'?)",
                "6: routes[1].continue: expected true or false, got 'yes'",
                "7: routes[1].news: there is no notifier 'consol' (did you mean 'console'?)",
                "7: routes[1].news: there is no notifier 'slak'",
                f"8: routes[1].page: {notifiers}",
                "9: routes[1].console: a notifier has this name, so rules could not notify the role; call it otherwise",
                '11: routes[2]: names no role such as news = ["slack"], so it tells nobody',
                "12: routes[2].match.stack.nam: 'stack.nam' is no known field (did you mean 'stack.name'?)",
                "13: routes[2].when: unexpected 'end of template'",
                f"16: routes[3].labels: {labels}",
                f"20: routes[4].news: {never}",
                "21: routes[4].match: the last route must have none; add a [[routes]] without match after it, for what no other route takes",
            ],
        )

    def test_a_rule_that_names_no_role_and_no_notifier(self) -> None:
        text = """\
[[routes]]
news = "console"
[[messages]]
name = "m"
match = {}
notify = ["nws", "news", "pager"]
"""
        self.assertEqual(
            self.mistakes(f"{text}\n{HEAD}"),
            [
                "6: messages[1].notify ('m'): there is no notifier, and no role of a route, 'nws' (did you mean 'news'?)"
            ],
        )

    def test_what_is_remarked(self) -> None:
        """What is no mistake and yet may not be meant."""
        remarks = self.load(HEAD + '[[routes]]\npage = "pager"\n').remarks()
        self.assertIn(
            "role page: none of its notifiers is on, so what is for it reaches nobody", remarks
        )
        self.assertIn("role page: no rule notifies it", remarks)
