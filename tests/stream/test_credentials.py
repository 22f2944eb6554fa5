"""Tests of credentials and of the URL they go to."""

from __future__ import annotations

import base64
from collections.abc import Callable
from urllib.parse import parse_qs

from hypothesis import assume, example, given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.secrets_check import find_leaks
from tests.stream.test_protocol import RecordingListener
from tutumwatch.secret import Secret
from tutumwatch.settings import Duration
from tutumwatch.stream.credentials import Credentials
from tutumwatch.stream.factory import StreamFactory
from tutumwatch.stream.settings import StreamSettings
from tutumwatch.stream.urls import require_stream_url

# Their base64 holds "+", "/" and "=".
USER, KEY = "u", "~~>?>?"
BASIC = "Basic dTp+fj4/Pj8="


class CredentialsTests(SynchronousTestCase):
    """The forms in which credentials are given, and in which they are sent."""

    def test_a_pair_becomes_basic(self) -> None:
        headers = Credentials.from_pair(USER, KEY).headers()
        self.assertEqual(headers, {"Authorization": Secret(BASIC)})

    def test_a_header_is_sent_as_it_is(self) -> None:
        for value in (BASIC, "ApiKey u:~~>?>?"):
            headers = Credentials.from_header(f" {value}\n").headers()
            self.assertEqual(headers, {"Authorization": Secret(value)})

    def test_a_pair_in_a_query(self) -> None:
        query = Credentials.from_pair("a b", "k+/=&k").query()
        self.assertEqual(query, Secret("token=k%2B%2F%3D%26k&user=a%20b"))

    def test_a_header_in_a_query(self) -> None:
        query = Credentials.from_header(BASIC).query()
        self.assertEqual(query, Secret("auth=Basic%20dTp%2Bfj4%2FPj8%3D"))

    @given(st.text(min_size=1), st.text(min_size=1))
    def test_any_pair_survives_both_forms(self, user: str, key: str) -> None:
        assume(":" not in user)
        try:
            (user + key).encode()
        except UnicodeEncodeError:
            return
        credentials = Credentials.from_pair(user, key)
        coded = credentials.authorization.reveal().removeprefix("Basic ")
        self.assertEqual(base64.b64decode(coded, validate=True).decode(), f"{user}:{key}")
        query = parse_qs(credentials.query().reveal(), strict_parsing=True)
        self.assertEqual(query, {"user": [user], "token": [key]})

    def test_mistakes(self) -> None:
        """Each says what is wrong and does not repeat the credential."""
        for make, complaint in (
            (lambda: Credentials.from_pair("", "k"), "user and API key must not be empty"),
            (lambda: Credentials.from_pair("u", ""), "user and API key must not be empty"),
            (lambda: Credentials.from_pair("u:u", "k"), "the user name must not hold a colon"),
            (lambda: Credentials.from_header("Basic a\r\nX: y"), "it must be printable ASCII"),
            (lambda: Credentials.from_header("Basic \u00e4"), "it must be printable ASCII"),
            (lambda: Credentials.from_header("secret"), "it must begin with its scheme"),
            (lambda: Credentials.from_header("Basic "), "it must begin with its scheme"),
            (lambda: Credentials.from_header(""), "it must begin with its scheme"),
        ):
            self.assert_refused(make, complaint)

    def assert_refused(self, make: Callable[[], Credentials], complaint: str) -> None:
        """Hold that credentials cannot be made, and why."""
        error = self.assertRaises(ValueError, make)
        self.assertIn(complaint, str(error))
        self.assertNotIn("secret", str(error))

    def test_they_are_not_printed(self) -> None:
        for credentials in (
            Credentials.from_pair("u", "s3cr3t-k3y"),
            Credentials.from_header(BASIC),
        ):
            printed = f"{credentials!r} {credentials} {credentials.headers()} {credentials.query()}"
            self.assertEqual(find_leaks(printed, ["s3cr3t-k3y", BASIC]), [])

    def test_whose_they_are(self) -> None:
        for credentials in (
            Credentials.from_pair(USER, KEY),
            *map(Credentials.from_header, (BASIC, f"basic {BASIC[6:]}", f"ApiKey {USER}:{KEY}")),
        ):
            self.assertEqual(credentials.account(), USER)
        for value in ("Bearer t0k3n", "Basic t0k3n", "Basic dG9rZW4="):
            self.assertEqual(Credentials.from_header(value).account(), "", value)

    def test_what_must_not_show(self) -> None:
        """The value, what it encodes, and the key alone; of rubbish, the rubbish."""
        for credentials, secrets in (
            (Credentials.from_pair("u", "key"), ("Basic dTprZXk=", "dTprZXk=", "u:key", "key")),
            (Credentials.from_header("ApiKey u:key"), ("ApiKey u:key", "u:key", "u:key", "key")),
            (Credentials.from_header("Basic !"), ("Basic !", "!", "!", "")),
            (Credentials.from_header("Basic /w=="), ("Basic /w==", "/w==", "/w==", "")),
        ):
            self.assertEqual(tuple(s.reveal() for s in credentials.secrets()), secrets)


class StreamURLTests(SynchronousTestCase):
    """What is taken for a stream's URL."""

    def test_urls_that_will_do(self) -> None:
        for url in (
            "wss://stream.tutum.co/v1/events",
            "ws://127.0.0.1:8080/v1/events/",
            "ws://[::1]:80",
            "wss://a-b.example",
        ):
            require_stream_url("url", url)

    def test_urls_that_will_not(self) -> None:
        """The message names the setting and does not repeat the URL."""
        for url in (
            "",
            "stream.tutum.co",
            "https://stream.tutum.co/v1/events",
            "wss:///v1/events",
            "wss://h:0/",
            "wss://h:65536/",
            "wss://h:port/",
            "wss://[::1/",
            "wss://h/a b",
            "wss://h/\r\nX: y",
            "wss://h/\x7f",
            "ws://unix:/tmp/socket",
            "ws://unix/",
        ):
            error = self.assertRaises(ValueError, require_stream_url, "TUTUM_STREAM_HOST", url)
            self.assertEqual(
                str(error),
                "TUTUM_STREAM_HOST: expected a URL that begins with wss:// (or ws://) and names a host",
            )

    def test_urls_with_more_in_them(self) -> None:
        for url in ("ws://u:k@h/", "ws://u@h/", "ws://h/?token=k", "ws://h/#x"):
            error = self.assertRaises(ValueError, require_stream_url, "url", url)
            self.assertEqual(
                str(error),
                'url: no credentials, "?" or "#" in it; use auth, or user and apikey',
            )

    @given(st.text(alphabet="wsunix:/.@?#[]%0915abc-_\u00e4 \t", max_size=30).map("ws:".__add__))
    @example("ws://h:1/%")
    def test_what_is_taken_can_be_dialled(self, url: str) -> None:
        """Autobahn has no complaint left of its own."""
        try:
            require_stream_url("url", url)
        except ValueError:
            return
        factory = StreamFactory(
            url, {}, StreamSettings(), Clock(), lambda: 1.0, RecordingListener()
        )
        self.assertTrue(0 < factory.port < 65536)


class SettingsTests(SynchronousTestCase):
    """What holds where nothing is set."""

    def test_defaults(self) -> None:
        settings = StreamSettings()
        self.assertEqual(settings.credentials, "header")
        self.assertEqual(settings.ping_interval, Duration(30))
        self.assertEqual(settings.ping_timeout, Duration(15))
        self.assertEqual(settings.handshake_timeout, Duration(10))
