"""Tests of the sentences about an end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet.error import ConnectError, ConnectionDone, DNSLookupError
from twisted.internet.error import TimeoutError as ConnectTimeoutError
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.stream.ending import (
    Ending,
    failed_dial,
    lost_connection,
    printable,
    refused_handshake,
)


class RefusedHandshakeTests(SynchronousTestCase):
    """What an answer to a handshake says."""

    def test_a_refusal(self) -> None:
        self.assertEqual(
            refused_handshake("HTTP/1.1 429 Too Many Requests", {"retry-after": "7"}),
            Ending("the server answered 429 Too Many Requests to the handshake", 429, "7"),
        )

    def test_a_bare_status(self) -> None:
        self.assertEqual(
            refused_handshake("HTTP/1.1 503", {}),
            Ending("the server answered 503 to the handshake", 503),
        )

    def test_another_version_is_named(self) -> None:
        self.assertEqual(
            refused_handshake("HTTP/1.0 200 OK", {}),
            Ending("the server answered HTTP/1.0 200 OK to the handshake", 200),
        )

    def test_no_refusal(self) -> None:
        """Accepted, not answered, or not understood."""
        for line in (
            "HTTP/1.1 101 Switching Protocols",
            "",
            "rubbish",
            "HTTP/1.1 \u00b2\u00b2\u00b2",
            "HTTP/1.1 ok",
        ):
            self.assertIsNone(refused_handshake(line, {}))

    @given(st.text())
    def test_any_line_can_be_read(self, line: str) -> None:
        ending = refused_handshake(line, {})
        if ending is not None:
            self.assertTrue(ending.said.isprintable())
            self.assertLessEqual(len(ending.said), 350)


class LostConnectionTests(SynchronousTestCase):
    """What the end of a connection was due to."""

    def test_what_was_said_comes_first(self) -> None:
        self.assertEqual(
            lost_connection("closed by the server with 1000 ", Failure(ConnectionDone())),
            Ending("closed by the server with 1000"),
        )

    def test_except_before_tls(self) -> None:
        error = SSL.Error([("a", "b", "certificate has expired")])
        self.assertEqual(
            lost_connection("peer dropped", Failure(error)), Ending("TLS: certificate has expired")
        )

    def test_nothing_said(self) -> None:
        ending = lost_connection("", Failure(ConnectionDone()))
        self.assertEqual(ending, Ending("the connection was closed"))


class FailedDialTests(SynchronousTestCase):
    """Why there is no connection."""

    def test_a_timeout(self) -> None:
        self.assertEqual(
            failed_dial(Failure(ConnectTimeoutError())), Ending("no connection was made in time")
        )

    def test_a_name_without_an_address(self) -> None:
        ending = failed_dial(Failure(DNSLookupError("no results for hostname lookup: x")))
        self.assertIn("the host name cannot be resolved", ending.said)

    def test_anything_else(self) -> None:
        self.assertEqual(
            failed_dial(Failure(ConnectError(string="no route\nto host"))),
            Ending("An error occurred while connecting: no route?to host"),
        )


class PrintableTests(SynchronousTestCase):
    """What a server says does not write our log for us."""

    def test_one_line_without_codes(self) -> None:
        self.assertEqual(printable(" a\r\nb\x1b[31mc\u2028d\u202ee "), "a??b?[31mc?d?e")

    def test_letters_stay(self) -> None:
        self.assertEqual(printable("Größe 大"), "Größe 大")

    def test_it_is_cut(self) -> None:
        self.assertEqual(len(printable("x" * 1_000)), 300)
