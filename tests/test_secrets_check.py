"""Tests of the check that no credential shows: it finds every disguise."""

from __future__ import annotations

import base64
import json
import tempfile
from pathlib import Path
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.outbox.cases import notice, open_store
from tests.secrets_check import RecordedLog, find_leaks, parts_of, read_stores
from tutumwatch.events.inputs import Message
from tutumwatch.rules.decisions import Decisions
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


class ReadStoresTests(SynchronousTestCase):
    """Whatever a store keeps of a credential is found, wherever that is."""

    def setUp(self) -> None:
        """Make a store."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.store = open_store(str(self.folder / "state" / "outbox.sqlite"))
        self.store.restore()

    def commit(self, decisions: Decisions) -> None:
        """Keep something; what stands in the log of SQLite is not in the file itself then."""
        self.successResultOf(Deferred.fromCoroutine(self.store.commit(decisions, 1.0)))

    def close(self) -> None:
        """End with the store: then all is in the file."""
        self.successResultOf(Deferred.fromCoroutine(self.store.close()))

    def is_found(self, secret: str) -> bool:
        """Say whether a credential is found."""
        return find_leaks("\n".join(read_stores(self.folder)), [secret]) != []

    def test_what_was_received(self) -> None:
        """It is compressed; long messages of a page are much alike."""
        payload = b'{"type":"x","secret":"s3cr3t-token"}'
        self.commit(Decisions([Message("main", n, payload, 1.0) for n in range(99)]))
        files = b"".join(path.read_bytes() for path in (self.folder / "state").iterdir())
        self.assertNotIn(b"s3cr3t-token", files)
        self.assertTrue(self.is_found("s3cr3t-token"))
        self.close()
        self.assertTrue(self.is_found("s3cr3t-token"))

    def test_what_is_owed(self) -> None:
        owed = notice("x" * 3_000 + base64.b64encode(b"ops:s3cr3t-token").decode() + "x" * 5_000)
        self.commit(Decisions(owed=[owed]))
        self.assertTrue(self.is_found("s3cr3t-token"))
        self.close()
        self.assertTrue(self.is_found("s3cr3t-token"))

    def test_what_lies_beside_it(self) -> None:
        self.close()
        for name in (
            "outbox.sqlite.lock",
            "outbox.sqlite.v1-20261126T000000Z",
            "outbox.sqlite-wal",
        ):
            self.assertFalse(self.is_found("s3cr3t-token"))
            path = self.folder / "state" / name
            path.write_bytes(b"\xff\0s3cr3t-token\0\xff")
            self.assertTrue(self.is_found("s3cr3t-token"), name)
            path.unlink()

    def test_what_is_damaged(self) -> None:
        self.commit(Decisions(owed=[notice("s3cr3t-token")]))
        self.close()
        path = self.folder / "state" / "outbox.sqlite"
        content = path.read_bytes()
        path.write_bytes(content[:100] + bytes(5_000) + content[5_100:])
        self.assertTrue(self.is_found("s3cr3t-token"))

    def test_a_store_that_holds_none_is_clean(self) -> None:
        self.commit(Decisions([Message("main", 1, b"{}", 1.0)], [notice("text")]))
        self.assertFalse(self.is_found("s3cr3t-token"))
        self.close()
        self.assertFalse(self.is_found("s3cr3t-token"))


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
