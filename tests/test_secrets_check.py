"""Tests of the check that no credential shows: it finds every disguise."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.secrets_check import RecordedLog, find_leaks, parts_of
from tutumwatch.secret import Secret

KEY = "k3y/+ with 'quotes' & \"more\" % ü"


class FindLeaksTests(SynchronousTestCase):
    """A credential in an output is found, whatever it looks like."""

    def test_an_output_without_it_is_clean(self) -> None:
        self.assertEqual(find_leaks("nothing here: [hidden], k3y", [KEY]), [])

    def test_every_disguise_is_found(self) -> None:
        for output in (
            KEY,
            f"user:{KEY}",
            quote(KEY, safe=""),
            quote(KEY, safe="").lower(),
            f"https://host/{quote(KEY)}",
            repr(KEY),
            repr({"headers": [KEY.encode()]}),
            json.dumps({"key": KEY}),
            base64.b64encode(KEY.encode()).decode(),
            base64.urlsafe_b64encode(f"u:{KEY}".encode()).decode(),
        ):
            self.assertNotEqual(find_leaks(f"before {output} after", [KEY]), [], output)

    @given(user=st.binary(max_size=9), after=st.binary(max_size=9))
    def test_base64_is_found_behind_any_user_name(self, user: bytes, after: bytes) -> None:
        coded = base64.b64encode(user + b":" + b"an-api-key-0123456789" + after).decode()
        self.assertNotEqual(find_leaks(f"Basic {coded}", ["an-api-key-0123456789"]), [])

    def test_a_webhook_is_a_secret_in_all_its_parts(self) -> None:
        self.assertEqual(
            parts_of("https://hooks.slack.com/services/T0/B0/XyZ"),
            ("https://hooks.slack.com/services/T0/B0/XyZ", "/services/T0/B0/XyZ", "XyZ"),
        )


class RecordedLogTests(SynchronousTestCase):
    """Everything that is logged is looked at, at every level."""

    def setUp(self) -> None:
        self.log = RecordedLog()
        self.addCleanup(self.log.stop)
        self.logger = Logger()

    def test_debug_values_and_tracebacks_are_recorded(self) -> None:
        self.logger.debug("nothing to see", hidden="in-a-value")
        self.logger.failure("failed", Failure(ValueError("in-a-traceback")))
        self.flushLoggedErrors(ValueError)
        self.logger.info("{text}", text="in-a-text")
        for secret in ("in-a-value", "in-a-traceback", "in-a-text"):
            self.assertNotEqual(find_leaks(self.log.output, [secret]), [], secret)

    def test_a_secret_in_its_wrapping_does_not_show(self) -> None:
        self.logger.info("{key} {key!r}", key=Secret("wrapped-0123"))
        self.assertEqual(find_leaks(self.log.output, ["wrapped-0123"]), [])

    def test_the_texts_of_a_namespace_are_given_in_order(self) -> None:
        self.logger.info("{text}", text="one")
        self.logger.info("{text}", text="two")
        self.assertEqual(self.log.lines(__name__), ["one", "two"])
