"""Tests of credentials as a type, of URLs that may be logged, and of blotting out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.secret import HIDDEN, Secret, blot_out, redacted

TOKEN = "s3cr3t/+t0ken"
URL = "https://hooks.example/services/T0AB12CD/B0EF34GH/s3cr3tt0ken"


class SecretTests(SynchronousTestCase):
    """A credential cannot be printed by accident."""

    def test_revealed_it_is_itself(self) -> None:
        self.assertEqual(Secret(TOKEN).reveal(), TOKEN)

    def test_however_it_is_printed_it_is_hidden(self) -> None:
        secret = Secret(TOKEN)
        for printed in (str(secret), repr(secret), f"{secret}", f"{secret!r}", "%s" % secret):  # noqa: UP031 - one of the ways
            self.assertNotIn("s3cr3t", printed)
            self.assertIn(HIDDEN, printed)
        self.assertNotIn("s3cr3t", f"{[secret]} { {'key': secret} }")

    def test_equal_ones_are_equal(self) -> None:
        self.assertEqual(Secret(TOKEN), Secret(TOKEN))
        self.assertNotEqual(Secret(TOKEN), Secret("another"))
        self.assertNotEqual(Secret(TOKEN), TOKEN)
        self.assertEqual(len({Secret(TOKEN), Secret(TOKEN)}), 1)

    def test_an_empty_one_is_false(self) -> None:
        self.assertFalse(Secret(""))
        self.assertTrue(Secret("x"))


class RedactedTests(SynchronousTestCase):
    """Of a URL, scheme, host and port may be logged."""

    def test_urls(self) -> None:
        for url, said in (
            (URL, "https://hooks.example/..."),
            ("wss://stream.example:8443/v1/events?token=T&user=u", "wss://stream.example:8443/..."),
            ("https://user:pass@host.example/", "https://host.example"),
            ("http://host.example", "http://host.example"),
            ("http://host.example?token=T", "http://host.example/..."),
            ("http://[::1]:8080/x", "http://[::1]:8080/..."),
            ("http://host.example/#token", "http://host.example"),
            ("https://host:port/T", "(unreadable URL)"),
            ("https://[::1/T", "(unreadable URL)"),
        ):
            self.assertEqual(redacted(url), said)

    @given(st.text())
    def test_whatever_it_is(self, path: str) -> None:
        self.assertEqual(redacted(f"https://host.example/x{path}"), "https://host.example/...")


class BlotOutTests(SynchronousTestCase):
    """What a server says is read without the credentials that it repeats."""

    def blotted(self, text: str, *secrets: str) -> str:
        """Blot credentials out of a text."""
        return blot_out(text.encode(), [Secret(secret) for secret in secrets]).decode()

    def test_a_credential(self) -> None:
        self.assertEqual(self.blotted(f"bad key {TOKEN}!", TOKEN), "bad key [hidden]!")
        self.assertEqual(self.blotted("bad key s3cr3t%2F%2Bt0ken!", TOKEN), "bad key [hidden]!")
        self.assertEqual(self.blotted("bad key s3cr3t\\/+t0ken!", TOKEN), "bad key [hidden]!")
        self.assertEqual(self.blotted("Basic czNjcjN0Lyt0MGtlbg==", TOKEN), "Basic [hidden]")

    def test_a_url_its_path_and_the_last_part_of_that(self) -> None:
        self.assertEqual(self.blotted(f"no {URL}", URL), "no [hidden]")
        path = "/services/T0AB12CD/B0EF34GH/s3cr3tt0ken"
        self.assertEqual(self.blotted(f"no {path} here", URL), "no /[hidden] here")
        self.assertEqual(self.blotted("no s3cr3tt0ken here", URL), "no [hidden] here")

    def test_several(self) -> None:
        self.assertEqual(
            self.blotted("s3cr3t-1 s3cr3t-22", "s3cr3t-1", "s3cr3t-22"), "[hidden] [hidden]"
        )

    def test_the_longer_one_first(self) -> None:
        self.assertEqual(self.blotted("s3cr3t-22", "s3cr3t-2", "s3cr3t-22"), "[hidden]")

    def test_what_is_too_short_to_be_one_is_left(self) -> None:
        """Else an answer could no longer be understood."""
        self.assertEqual(self.blotted("ok no_service", "ok", "https://x/no"), "ok no_service")

    def test_nothing_else_is_touched(self) -> None:
        self.assertEqual(blot_out(b"\xff\x00 ok", [Secret(URL)]), b"\xff\x00 ok")

    @given(st.text("ab/+%<\"'", min_size=8), st.text(), st.text())
    def test_it_is_not_left(self, secret: str, before: str, after: str) -> None:
        said = blot_out(f"{before}{secret}{after}".encode(), [Secret(secret)])
        self.assertNotIn(secret.encode(), said)
