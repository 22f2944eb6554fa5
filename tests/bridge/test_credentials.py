"""Tests of tutumwatch/bridge/credentials.py."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.bridge.credentials import Account, Presented, read_credentials
from tutumwatch.secret import Secret

OPS = Presented("ops", "s3cret")
# Its base64 has both a "+" and a "/": b3BzOj4+Pj8/Pz4+
ODD = Presented("ops", ">>>???>>")


class ReadCredentialsTests(SynchronousTestCase):
    """The four forms, and what is none of them."""

    def test_headers(self) -> None:
        for header, expected in (
            (b"Basic b3BzOnMzY3JldA==", OPS),
            (b"basic  b3BzOnMzY3JldA== ", OPS),
            (b"ApiKey ops:s3cret", OPS),
            (b"apikey ops:s3:cret", Presented("ops", "s3:cret")),
            (b"ApiKey \xc3\xb6ps:s3cret", Presented("öps", "s3cret")),
            (b"Bearer b3BzOnMzY3JldA==", None),
            (b"Basic", None),
            (b"Basic !", None),
            (b"Basic b3Bz", None),  # ops, without a colon
            (b"Basic /w==", None),  # not UTF-8
            (b"Basic \xff", None),
            (b"ApiKey ops", None),
            (b"ApiKey :s3cret", None),
            (b"ApiKey ops:", None),
        ):
            self.assertEqual(read_credentials(header, ""), expected, header)

    def test_token_and_user_in_any_order(self) -> None:
        for query in (
            "token=s3cret&user=ops",
            "x=1&user=ops&token=s3cret",
            "user=ops&token=s3%63ret",
        ):
            self.assertEqual(read_credentials(b"", query), OPS, query)
        for query in (
            "",
            "token=s3cret",
            "user=ops",
            "user=&token=s3cret",
            "user=ops&token=",
            "a&b",
        ):
            self.assertIsNone(read_credentials(b"", query), query)

    def test_a_plus_of_the_auth_query_is_one_of_base64(self) -> None:
        """Clients encode the space and nothing else; a query parser would make it a space."""
        encoded = b64encode(b"ops:>>>???>>").decode()
        self.assertEqual(encoded, "b3BzOj4+Pj8/Pz4+")
        for query in (
            f"auth=Basic%20{encoded}",
            f"auth=Basic+{encoded}",
            f"auth={quote(f'Basic {encoded}', safe='')}",
            f"auth={quote_plus(f'Basic {encoded}')}",
            "auth=ApiKey%20ops:>>>???>>",
            f"auth={quote_plus('ApiKey ops:>>>???>>')}",
            f"x=1&auth=Basic%20{encoded}&y=2",
        ):
            self.assertEqual(read_credentials(b"", query), ODD, query)

    def test_the_header_counts_before_the_query(self) -> None:
        self.assertIsNone(read_credentials(b"Bearer x", "token=s3cret&user=ops"))

    @given(st.binary(), st.text())
    def test_no_request_is_an_error(self, header: bytes, query: str) -> None:
        self.assertIsInstance(read_credentials(header, query), Presented | None)


class AccountTests(SynchronousTestCase):
    """Who is admitted."""

    def test_the_right_credentials_only(self) -> None:
        account = Account("ops", Secret("s3cret"))
        self.assertTrue(account.accepts(OPS))
        for presented in (
            None,
            Presented("ops", "s3cre"),
            Presented("Ops", "s3cret"),
            Presented("ops", "s3cret "),
            Presented("öps", "s3cret"),
        ):
            self.assertFalse(account.accepts(presented), presented)

    def test_any_without_a_key_but_not_none(self) -> None:
        self.assertTrue(Account().accepts(ODD))
        self.assertFalse(Account().accepts(None))

    def test_no_key_is_shown(self) -> None:
        self.assertNotIn("s3cret", repr((OPS, Account("ops", Secret("s3cret")))))
