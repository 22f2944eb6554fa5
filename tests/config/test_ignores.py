"""Tests of the ``[[ignore]]`` tables, as far as reading them goes."""

from __future__ import annotations

from tests.config.cases import LoadingTestCase

HEAD = '[streams.main]\n[notifiers.console]\nkind = "console"\n'


class IgnoresTests(LoadingTestCase):
    """``[[ignore]]``."""

    def test_tables(self) -> None:
        text = """\
[[ignore]]
match = [ { type = "container", name = "cron-*" }, { labels.job = "*" } ]
[[ignore]]
match.type = "node"
when = "name is matches('^spot')"
"""
        ignores = self.load(HEAD + text).rules.ignores
        self.assertEqual(ignores.paths, {("type",), ("name",), ("labels", "job")})

    def test_a_file_without_any(self) -> None:
        self.assertEqual(self.load(HEAD).rules.ignores.paths, frozenset())

    def test_what_is_no_array_of_tables(self) -> None:
        for text, found in (("ignore = 5", "a number"), ("[ignore]\nmatch = {}", "a table")):
            self.assertEqual(
                self.mistakes(f"{text}\n{HEAD}"),
                [f"1: ignore: expected tables such as [[ignore]], got {found}"],
            )

    def test_every_mistake_is_told_with_its_line(self) -> None:
        text = """\
[[ignore]]
match = [
    { type = "servce" },
    { labels = "x" },
]
[[ignore]]
match = {}
[[ignore]]
name = "cron-*"
"""
        everything = 'say what nobody is to hear of, as in match = { name = "cron-*" }'
        self.assertEqual(
            self.mistakes(f"{text}\n{HEAD}"),
            [
                "3: ignore[1].match[1].type: 'servce' is no known type (did you mean 'service'?)",
                "4: ignore[1].match[2].labels: 'labels' must name one of the labels, as labels.job does",
                f"7: ignore[2].match: this would ignore everything; {everything}",
                "8: ignore[3]: the key 'match' is missing",
                "9: ignore[3].name: there is no such key; known are match, when; a field belongs into the match: match = { name = ... }",
            ],
        )
