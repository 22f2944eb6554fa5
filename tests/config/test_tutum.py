"""Tests of where the Tutum API is and with which credentials, by the environment alone."""

from __future__ import annotations

import base64
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.config.cases import FilesTestCase, environment_of
from tutumwatch.config.environment import Environment
from tutumwatch.config.tutum import (
    NO_CREDENTIALS,
    find_credentials,
    find_rest_url,
    find_stream_url,
)

KEY = "s3cr3t-k3y/+"
BASIC = "Basic " + base64.b64encode(f"ops:{KEY}".encode()).decode()
NO_STREAM = "expected a URL that begins with wss:// (or ws://) and names a host"
NO_REST = "expected a URL that begins with https:// (or http://) and names a host"


class StreamURLTests(SynchronousTestCase):
    """TUTUM_STREAM_URL, else TUTUM_STREAM_HOST, else the public stream."""

    def test_without_any_it_is_the_public_one(self) -> None:
        self.assertEqual(find_stream_url(environment_of({})), "wss://stream.tutum.co/v1/events")

    def test_every_form(self) -> None:
        """Scheme and host, the SDK's base, or the whole URL, with and without a last slash."""
        whole = "ws://127.0.0.1:8080/v1/events"
        cloud = "wss://ws.cloud.example/api/audit/v1/events"
        for name in ("TUTUM_STREAM_HOST", "TUTUM_STREAM_URL"):
            for value, url in (
                ("ws://127.0.0.1:8080", whole),
                ("ws://127.0.0.1:8080/", whole),
                ("ws://127.0.0.1:8080/v1", whole),
                ("ws://127.0.0.1:8080/v1/", whole),
                ("ws://127.0.0.1:8080/v1/events", whole),
                ("ws://127.0.0.1:8080/v1/events/", f"{whole}/"),
                ("wss://ws.cloud.example/api/audit/v1/", cloud),
                ("wss://ws.cloud.example/api/audit/v1/events", cloud),
                ("wss://[::1]:80", "wss://[::1]:80/v1/events"),
            ):
                self.assertEqual(find_stream_url(environment_of({name: value})), url, value)

    def test_the_url_wins_over_the_host(self) -> None:
        variables = {"TUTUM_STREAM_URL": "wss://a/v1/", "TUTUM_STREAM_HOST": "wss://b"}
        self.assertEqual(find_stream_url(environment_of(variables)), "wss://a/v1/events")

    def test_what_is_no_url_is_an_error_that_names_the_variable(self) -> None:
        for name in ("TUTUM_STREAM_HOST", "TUTUM_STREAM_URL"):
            for value in (
                "stream.tutum.co",
                "https://stream.tutum.co",
                "wss://",
                "wss://[",
                "wss://a b",
            ):
                problem = self.assertRaises(
                    ValueError, find_stream_url, environment_of({name: value})
                )
                self.assertEqual(str(problem), f"{name}: {NO_STREAM}", value)

    def test_credentials_in_the_url_are_refused_and_not_repeated(self) -> None:
        for value in (f"wss://a/v1/events?token={KEY}", f"wss://ops:{KEY}@a"):
            problem = self.assertRaises(
                ValueError, find_stream_url, environment_of({"TUTUM_STREAM_URL": value})
            )
            self.assertTrue(str(problem).startswith("TUTUM_STREAM_URL: "))
            self.assertNotIn(KEY, str(problem))


class RestURLTests(SynchronousTestCase):
    """TUTUM_BASE_URL, else TUTUM_REST_HOST, else the public API."""

    def test_without_any_it_is_the_public_one(self) -> None:
        self.assertEqual(find_rest_url(environment_of({})), "https://dashboard.tutum.co")

    def test_every_form(self) -> None:
        """Scheme and host, or the SDK's base; what a proxy put before it is kept."""
        for name in ("TUTUM_REST_HOST", "TUTUM_BASE_URL"):
            for value, url in (
                ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
                ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
                ("https://a/api/v1/", "https://a"),
                ("https://a/api/v1", "https://a"),
                ("https://a/api/app/v1/", "https://a"),
                ("https://a/proxy/api/v1/", "https://a/proxy"),
                ("https://a/proxy/", "https://a/proxy"),
            ):
                self.assertEqual(find_rest_url(environment_of({name: value})), url, value)

    def test_the_base_wins_over_the_host(self) -> None:
        variables = {"TUTUM_BASE_URL": "https://a/api/v1/", "TUTUM_REST_HOST": "https://b"}
        self.assertEqual(find_rest_url(environment_of(variables)), "https://a")

    def test_what_is_no_url_is_an_error_that_names_the_variable(self) -> None:
        for name in ("TUTUM_REST_HOST", "TUTUM_BASE_URL"):
            for value in ("dashboard.tutum.co", "wss://a", "https://", "https://["):
                problem = self.assertRaises(
                    ValueError, find_rest_url, environment_of({name: value})
                )
                self.assertEqual(str(problem), f"{name}: {NO_REST}", value)

    def test_a_query_is_refused_and_not_repeated(self) -> None:
        for value in (f"https://a/?token={KEY}", f"https://a/#{KEY}"):
            problem = self.assertRaises(
                ValueError, find_rest_url, environment_of({"TUTUM_REST_HOST": value})
            )
            self.assertEqual(
                str(problem), 'TUTUM_REST_HOST: no "?" or "#" in it; scheme and host will do'
            )


class CredentialsTests(FilesTestCase):
    """The first complete source wins, in the documented order; each also from files."""

    def authorization(self, variables: dict[str, str], home: Path | None = None) -> str:
        """Give the Authorization value that an environment leads to."""
        environment = Environment(variables, home or Path("/nonexistent"))
        return find_credentials(environment).authorization.reveal()

    def assert_refused(self, variables: dict[str, str], said: str, home: str = "/none") -> None:
        """Fail unless there are no credentials, for this reason, and none is repeated."""
        environment = Environment(variables, Path(home))
        problem = self.assertRaises(ValueError, find_credentials, environment)
        self.assertEqual(str(problem), said)
        self.assertNotIn(KEY, repr(problem))
        self.assertIsNone(problem.__cause__)

    def home_with(self, content: bytes | str) -> str:
        """Make a home folder with a ``.tutum`` in it."""
        path = Path(self.write(content))
        home = self.folder()
        path.rename(home / ".tutum")
        return str(home)

    def test_a_whole_header(self) -> None:
        for value in (BASIC, f"ApiKey ops:{KEY}"):
            self.assertEqual(self.authorization({"TUTUM_AUTH": value}), value)

    def test_each_pair_is_sent_as_basic(self) -> None:
        for user_name, key_name in (
            ("TUTUM_USERNAME", "TUTUM_TOKEN"),
            ("TUTUM_USER", "TUTUM_APIKEY"),
            ("TUTUM_USER", "TUTUM_PASS"),
        ):
            self.assertEqual(self.authorization({user_name: "ops", key_name: KEY}), BASIC)

    def test_each_variable_may_name_a_file(self) -> None:
        user, key, header = self.write("ops\n"), self.write(f"{KEY}\n"), self.write(f"{BASIC}\n")
        for variables in (
            {"TUTUM_AUTH_FILE": header},
            {"TUTUM_USERNAME_FILE": user, "TUTUM_TOKEN_FILE": key},
            {"TUTUM_USERNAME": "ops", "TUTUM_TOKEN_FILE": key},
            {"TUTUM_USER_FILE": user, "TUTUM_APIKEY_FILE": key},
            {"TUTUM_USER_FILE": user, "TUTUM_PASS_FILE": key},
        ):
            self.assertEqual(self.authorization(variables), BASIC, variables)

    def test_the_order(self) -> None:
        """Each source in turn is taken away, and the next one shows."""
        home = Path(self.home_with("[auth]\nuser = file\napikey = k\n"))
        variables = {
            "TUTUM_AUTH": "ApiKey whole:k",
            "TUTUM_USERNAME": "first",
            "TUTUM_TOKEN": "k",
            "TUTUM_USER": "second",
            "TUTUM_APIKEY": "k",
            "TUTUM_PASS": "password",
        }
        self.assertEqual(self.authorization(variables, home), "ApiKey whole:k")
        for gone, pair in (
            (("TUTUM_AUTH",), b"first:k"),
            (("TUTUM_USERNAME", "TUTUM_TOKEN"), b"second:k"),
            (("TUTUM_APIKEY",), b"second:password"),
            (("TUTUM_USER", "TUTUM_PASS"), b"file:k"),
        ):
            for name in gone:
                del variables[name]
            coded = base64.b64encode(pair).decode()
            self.assertEqual(self.authorization(variables, home), f"Basic {coded}")

    def test_the_file_of_the_sdk(self) -> None:
        coded = BASIC.removeprefix("Basic ")
        for content in (
            f"[auth]\nuser = ops\napikey = {KEY}\n",
            f"[auth]\nbasic_auth = {coded}\n",
            f"# comment\n[other]\nx = %1\n[auth]\nbasic_auth={coded}\nuser = other\napikey = x\n",
        ):
            home = Path(self.home_with(content))
            self.assertEqual(self.authorization({}, home), BASIC, content)

    def test_no_credentials_at_all(self) -> None:
        self.assertTrue(NO_CREDENTIALS.startswith("Please provide authentication credentials: "))
        self.assert_refused({}, NO_CREDENTIALS)
        self.assert_refused(
            {"TUTUM_AUTH": "", "TUTUM_USERNAME": "", "TUTUM_TOKEN": ""}, NO_CREDENTIALS
        )
        self.assert_refused({}, NO_CREDENTIALS, home="/dev/null")

    def test_half_a_pair_is_an_error_that_names_both_variables(self) -> None:
        for there, missing in (
            ("TUTUM_USERNAME", "TUTUM_TOKEN"),
            ("TUTUM_TOKEN", "TUTUM_USERNAME"),
            ("TUTUM_USER", "TUTUM_APIKEY"),
            ("TUTUM_APIKEY", "TUTUM_USER"),
            ("TUTUM_PASS", "TUTUM_USER"),
        ):
            said = f"{there} is set but {missing} is not; set both, or unset it"
            self.assert_refused({there: KEY}, said)

    def test_half_a_pair_is_an_error_also_before_a_whole_one(self) -> None:
        variables = {"TUTUM_USERNAME": "a", "TUTUM_USER": "b", "TUTUM_APIKEY": KEY}
        said = "TUTUM_USERNAME is set but TUTUM_TOKEN is not; set both, or unset it"
        self.assert_refused(variables, said)

    def test_what_comes_after_a_complete_source_is_not_looked_at(self) -> None:
        """A container with the role ``global`` is given TUTUM_AUTH, whatever else is set."""
        variables = {"TUTUM_AUTH": BASIC, "TUTUM_USERNAME": "a", "TUTUM_TOKEN_FILE": "/nowhere"}
        self.assertEqual(self.authorization(variables), BASIC)

    def test_a_name_and_its_file_are_an_error(self) -> None:
        for name in ("TUTUM_AUTH", "TUTUM_USERNAME", "TUTUM_TOKEN", "TUTUM_USER", "TUTUM_APIKEY"):
            variables = {"TUTUM_USERNAME": "a", "TUTUM_USER": "a", name: KEY, f"{name}_FILE": "/x"}
            if name in {"TUTUM_USER", "TUTUM_APIKEY"}:
                del variables["TUTUM_USERNAME"]
            said = f"{name} and {name}_FILE are both set; unset one of them"
            self.assert_refused(variables, said)

    def test_values_that_cannot_be_sent(self) -> None:
        for variables, said in (
            (
                {"TUTUM_AUTH": KEY},
                'TUTUM_AUTH: it must begin with its scheme, as in "Basic ..." or "ApiKey user:key"',
            ),
            (
                {"TUTUM_AUTH": f"Basic {KEY}\nX-Evil: 1"},
                "TUTUM_AUTH: it must be printable ASCII, on one line",
            ),
            (
                {"TUTUM_USERNAME": "a:b", "TUTUM_TOKEN": KEY},
                "TUTUM_USERNAME: the user name must not hold a colon",
            ),
        ):
            self.assert_refused(variables, said)

    def test_files_of_the_sdk_that_cannot_be_used(self) -> None:
        for content, said in (
            ("", f"section [auth] needs basic_auth, or user and apikey. {NO_CREDENTIALS}"),
            (
                f"[auth]\nuser = {KEY}\n",
                f"section [auth] needs basic_auth, or user and apikey. {NO_CREDENTIALS}",
            ),
            (f"{KEY}\n", "no INI file (MissingSectionHeaderError)"),
            (f"[auth]\n{KEY}\n", "no INI file (ParsingError)"),
            (b"[auth]\nuser = \xff\n", "no INI file (UnicodeDecodeError)"),
            (f"[auth]\nuser = a:b\napikey = {KEY}\n", "the user name must not hold a colon"),
            (f"[auth]\nbasic_auth = \u00e9{KEY}\n", "it must be printable ASCII, on one line"),
        ):
            home = self.home_with(content)
            self.assert_refused({}, f"{home}/.tutum: {said}", home)

    def test_a_file_of_the_sdk_that_cannot_be_read(self) -> None:
        home = self.folder()
        (home / ".tutum").mkdir()
        self.assert_refused({}, f"{home}/.tutum: cannot be read: Is a directory", str(home))
