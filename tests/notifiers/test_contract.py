"""Tests of what all notifiers share: pace from settings, kinds, URLs, JSON."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.notifiers.cases import notice
from tutumwatch.notifiers.contract import (
    NotifierSettings,
    Pace,
    Sender,
    encode_json,
    for_all,
)
from tutumwatch.notifiers.maker import find_makers
from tutumwatch.notifiers.outcomes import Delivered
from tutumwatch.notifiers.slack import Slack
from tutumwatch.notifiers.urls import require_http_url
from tutumwatch.secret import Secret
from tutumwatch.settings import Duration


class PaceTests(SynchronousTestCase):
    """What the configuration sets wins over the kind's own pace."""

    def pace(self, **settings: Any) -> Pace:  # noqa: ANN401 - any setting
        """Apply settings to a pace in which nothing is a default."""
        own = Pace(20, 10, 1.0, 5, 2, "destination", 100.0)
        return own.with_settings(NotifierSettings(kind="x", **settings))

    def test_without_settings_it_is_the_kinds_own(self) -> None:
        self.assertEqual(self.pace(), Pace(20, 10, 1.0, 5, 2, "destination", 100.0))

    def test_every_setting_counts(self) -> None:
        self.assertEqual(
            self.pace(
                batch=3,
                rate=0.5,
                burst=7,
                concurrency=9,
                retry_after="notice",
                give_up_after=Duration(60.0),
            ),
            Pace(3, 10, 0.5, 7, 9, "notice", 60.0),
        )

    def test_zero_is_a_rate_without_limit(self) -> None:
        self.assertEqual(self.pace(rate=0.0).rate_per_second, 0.0)

    def test_numbers_that_make_no_sense_are_refused_by_name(self) -> None:
        for key in ("batch", "burst", "concurrency"):
            problem = self.assertRaises(ValueError, self.pace, **{key: 0})
            self.assertEqual(str(problem), f"{key}: must be at least 1")
        problem = self.assertRaises(ValueError, self.pace, rate=-1.0)
        self.assertEqual(str(problem), "rate: must be 0 (no limit) or more")


class KindTests(SynchronousTestCase):
    """The kinds that a configuration may name."""

    def test_their_names(self) -> None:
        makers = find_makers()
        self.assertEqual(sorted(makers), ["console", "pagerduty", "slack"])
        self.assertTrue(all(name == maker.load().name for name, (maker,) in makers.items()))

    def test_one_that_speaks_http_is_no_sender(self) -> None:
        self.assertNotIsInstance(Slack(Secret("https://x/")), Sender)

    def test_an_outcome_for_all(self) -> None:
        self.assertEqual(for_all([notice(), notice()], Delivered()), [Delivered(), Delivered()])

    def test_json_is_compact_utf_8(self) -> None:
        self.assertEqual(encode_json({"a": ["ü", None]}), '{"a":["ü",null]}'.encode())


class RequireHTTPURLTests(SynchronousTestCase):
    """A URL of a server is asked for by the name of the key, and never repeated."""

    def test_urls(self) -> None:
        for url in ("https://x", "http://x:8080/a?b=c", "https://[::1]:443/", "HTTPS://x.example"):
            require_http_url("url", url)

    def test_what_is_none(self) -> None:
        for url in (
            "",
            "x",
            "x.example/a",
            "ftp://x/",
            "https://",
            "https:///path",
            "//x",
            "https://:80/",
            "https://x:0/",
            "https://x:99999/",
            "https://x:p/",
            "https://[::1/",
            "https://x/ y",
            "https://x/\n",
            "\thttps://x/",
            "https://x/\x00",
        ):
            problem = self.assertRaises(ValueError, require_http_url, "url", url)
            self.assertEqual(
                str(problem),
                "url: expected a URL that begins with https:// (or http://) and names a host",
            )

    def test_a_password_in_it(self) -> None:
        """It would not be sent."""
        for url in ("https://u:p@x/", "https://u@x/", "https://:p@x/"):
            problem = self.assertRaises(ValueError, require_http_url, "host", url)
            self.assertEqual(
                str(problem), "host: a user and password in the URL are not sent; take them out"
            )
