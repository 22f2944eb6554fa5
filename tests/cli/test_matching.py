"""Tests of what a person writes at a shell: words, times, lengths."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.cli.matching import length_of, match_of, moment_of, words_of

WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)


class WordsTests(SynchronousTestCase):
    """``key=value``."""

    def test_what_they_mean(self) -> None:
        for written, table in (
            ("service=web stack=shop", {"service.name": "web", "stack.name": "shop"}),
            ("node=node-2 nodecluster=*", {"node.name": "node-2", "nodecluster.name": "*"}),
            ("rule='crash loop'", {"rule": "crash loop"}),
            ("stack.name=pay-* state=!Running", {"stack.name": "pay-*", "state": "!Running"}),
            ("service!=web", {"service.name": "!web"}),
            ("service=web service=api service=db", {"service.name": ["web", "api", "db"]}),
            ("name=a name=a", {"name": "a"}),
            ("container=web-1", {"type": "container", "name": "web-1"}),
            ("container=a container=b", {"type": "container", "name": ["a", "b"]}),
            ("notifier=pd", {"type": "notifier", "name": "pd"}),
            ("stream=main type=node", {"stream": "main", "type": "node"}),
            ("labels.job=a=b", {"labels.job": "a=b"}),
            ("", {}),
        ):
            self.assertEqual(match_of(shlex.split(written)), table, written)

    def test_what_says_nothing(self) -> None:
        for word in ("web", "=web", "service=", ""):
            error = self.assertRaises(ValueError, match_of, ["service=web", word])
            self.assertTrue(str(error).startswith(f"{word!r} says nothing; write key=value"))

    def test_a_match_in_words(self) -> None:
        cases: tuple[tuple[Any, str], ...] = (
            ({"service.name": "web", "rule": "crash loop"}, "service.name=web rule='crash loop'"),
            (
                {"service": {"name": ["a", "!b"]}, "late": True},
                "service.name=a service.name='!b' late=True",
            ),
            ([{"name": "a"}, {"labels": {"x.y": "b"}}], "name=a or labels.x.y=b"),
            (({"exit_code": 137},), "exit_code=137"),
            ({}, "everything"),
            ("rubbish", "'rubbish'"),
        )
        for match, words in cases:
            self.assertEqual(words_of(match), words)

    @given(st.dictionaries(st.sampled_from(("name", "rule", "state")), WORDS, min_size=1))
    def test_there_and_back(self, table: dict[str, str]) -> None:
        self.assertEqual(match_of(shlex.split(words_of(table))), table)


class MomentTests(SynchronousTestCase):
    """Times."""

    def test_zones(self) -> None:
        for text, utc in (
            ("2026-11-27T10:00", "2026-11-27T10:00"),
            (" 2026-11-27 10:00:30 ", "2026-11-27T10:00:30"),
            ("2026-11-27", "2026-11-27T00:00"),
            ("2026-11-27T10:00Z", "2026-11-27T10:00"),
            ("2026-11-27T10:00+01:00", "2026-11-27T09:00"),
            ("2026-11-27T10:00[Europe/Berlin]", "2026-11-27T09:00"),
        ):
            expected = datetime.fromisoformat(utc).replace(tzinfo=UTC).timestamp()
            self.assertEqual(moment_of(text, last=False), expected, text)

    def test_a_time_that_comes_twice(self) -> None:
        text = "2026-10-25T02:30[Europe/Berlin]"
        first, last = (moment_of(text, last=last) for last in (False, True))
        self.assertEqual(last - first, 3600.0)

    def test_what_is_none(self) -> None:
        for text in (
            "",
            "tomorrow",
            "10:00",
            "2026-11-27T25:00",
            "2026-11-27T10:00[",
            "[UTC]",
            "2026-11-27T10:00+01:00[Europe/Berlin]",
        ):
            error = self.assertRaises(ValueError, moment_of, text, last=False)
            self.assertIn("is no time; write it like 2026-11-27T10:00 (UTC)", str(error))
        error = self.assertRaises(ValueError, moment_of, "2026-11-27[Europe/Berln]", last=False)
        self.assertIn("(did you mean 'Europe/Berlin'?)", str(error))

    @given(st.datetimes(), st.sampled_from(("", "[America/New_York]")))
    def test_any_time_has_its_place(self, shown: datetime, zone: str) -> None:
        found = moment_of(f"{shown.isoformat()}{zone}", last=True)
        self.assertLess(abs(found - shown.replace(tzinfo=UTC).timestamp()), 86_400)

    def test_lengths(self) -> None:
        self.assertEqual(length_of("1h30m"), 5400.0)
        for text in ("2 hours", "", f"{'9' * 400}h"):
            self.assertRaises(ValueError, length_of, text)
