"""Tests of the ``[streams.NAME]`` tables."""

from __future__ import annotations

import base64

from tests.config.cases import CREDENTIALS, LoadingTestCase, environment_of
from tests.fakes.tls import make_tls
from tutumwatch.config.plans import StreamPlan
from tutumwatch.config.tutum import NO_CREDENTIALS
from tutumwatch.settings import Duration

KEY = "s3cr3t-k3y"
BASIC = "Basic " + base64.b64encode(f"ops:{KEY}".encode()).decode()
NO_URL = "expected a URL that begins with wss:// (or ws://) and names a host"
NO_REST = "expected a URL that begins with https:// (or http://) and names a host"


class StreamsTestCase(LoadingTestCase):
    """Loads one stream."""

    def stream(self, lines: str, **variables: str) -> StreamPlan:
        """Load a stream from the lines of its table."""
        (plan,) = self.load(f"[streams.main]\n{lines}\n", **variables).streams
        return plan


class URLTests(StreamsTestCase):
    """Where the stream and the REST API are."""

    def test_what_is_left_out_comes_from_the_environment(self) -> None:
        plan = self.stream(
            "", **CREDENTIALS, TUTUM_STREAM_HOST="ws://a", TUTUM_REST_HOST="http://b"
        )
        self.assertEqual((plan.name, plan.url, plan.rest), ("main", "ws://a/v1/events", "http://b"))

    def test_without_any_they_are_the_public_ones(self) -> None:
        plan = self.stream("")
        self.assertEqual(plan.url, "wss://stream.tutum.co/v1/events")
        self.assertEqual(plan.rest, "https://dashboard.tutum.co")

    def test_a_table_wins_over_the_environment(self) -> None:
        plan = self.stream(
            'url = "wss://c/v1/events"\nrest = "https://d"',
            **CREDENTIALS,
            TUTUM_STREAM_HOST="no url",
            TUTUM_REST_HOST="no url",
        )
        self.assertEqual((plan.url, plan.rest), ("wss://c/v1/events", "https://d"))

    def test_the_path_of_the_api_is_taken_off_rest(self) -> None:
        self.assertEqual(self.stream('rest = "https://d/api/v1/"').rest, "https://d")

    def test_a_variable_that_is_empty_counts_as_left_out(self) -> None:
        plan = self.stream('url = "${U:-}"\nauth = "${A:-}"\nca_file = "${C:-}"')
        self.assertEqual(plan.url, "wss://stream.tutum.co/v1/events")
        self.assertIsNone(plan.settings.ca_file)

    def test_a_bad_url(self) -> None:
        self.assertEqual(
            self.mistakes('[streams.main]\nurl = "stream.tutum.co"\nrest = "dashboard.tutum.co"\n'),
            [f"2: streams.main.url: {NO_URL}", f"3: streams.main.rest: {NO_REST}"],
        )

    def test_a_bad_url_from_a_variable_names_it(self) -> None:
        text = '[streams.main]\nurl = "${U}"\nrest = "${R:-x}"\n'
        self.assertEqual(
            self.mistakes(text, **CREDENTIALS, U="x"),
            [
                f"2: streams.main.url: {NO_URL} (it comes from U)",
                f"3: streams.main.rest: {NO_REST} (it comes from R)",
            ],
        )

    def test_an_environment_that_is_wrong_throughout(self) -> None:
        self.assertEqual(
            self.environment_mistakes(
                TUTUM_STREAM_HOST="x", TUTUM_REST_HOST="x", TUTUM_TOKEN=KEY, SLACK_URL="x"
            ),
            [
                f"the environment: streams.main: TUTUM_STREAM_HOST: {NO_URL}",
                f"the environment: streams.main: TUTUM_REST_HOST: {NO_REST}",
                (
                    "the environment: streams.main: TUTUM_TOKEN is set but TUTUM_USERNAME is not; "
                    "set both, or unset it"
                ),
                f"the environment: notifiers.slack.url: {NO_REST} (it comes from SLACK_URL)",
            ],
        )


class CredentialsTests(StreamsTestCase):
    """Credentials of a table, or the environment's."""

    def authorization(self, lines: str, **variables: str) -> str:
        """Give the Authorization value that a table leads to."""
        return self.stream(lines, **variables).credentials.authorization.reveal()

    def test_each_form(self) -> None:
        path = self.write(f"{KEY}\n")
        for lines in (
            f'auth = "{BASIC}"',
            f'user = "ops"\napikey = "{KEY}"',
            f'user = "ops"\napikey = "file:{path}"',
            'user = "${U:-ops}"\napikey = "${K}"',
            'user = "ops"\napikey = "file:${F}"',
            'user = "ops"\napikey = "${L}"',
        ):
            variables = {"K": KEY, "F": path, "L_FILE": path}
            self.assertEqual(self.authorization(lines, **variables), BASIC, lines)

    def test_the_environments_are_taken_where_a_table_has_none(self) -> None:
        variables = {"TUTUM_USERNAME": "ops", "TUTUM_TOKEN": KEY}
        self.assertEqual(self.authorization("", **variables), BASIC)

    def test_none_at_all(self) -> None:
        (mistake,) = self.mistakes("\n[streams.main]\n", OTHER="1")
        self.assertEqual(mistake, f"2: streams.main: {NO_CREDENTIALS}")

    def test_mistakes(self) -> None:
        for lines, said in (
            (
                f'auth = "{BASIC}"\nuser = "ops"',
                "1: streams.main: auth and user or apikey are both set; keep one",
            ),
            (
                f'auth = "{BASIC}"\napikey = "{KEY}"',
                "1: streams.main: auth and user or apikey are both set; keep one",
            ),
            (
                f'apikey = "{KEY}"',
                "1: streams.main: user and apikey go together; one of them is missing",
            ),
            (
                'user = "ops"',
                "1: streams.main: user and apikey go together; one of them is missing",
            ),
            (
                'user = "ops"\napikey = ""',
                "1: streams.main: user and apikey go together; one of them is missing",
            ),
            (
                f'user = "a:b"\napikey = "{KEY}"',
                "1: streams.main: the user name must not hold a colon",
            ),
            (
                f'auth = "{KEY}"',
                '1: streams.main: it must begin with its scheme, as in "Basic ..." or "ApiKey user:key"',
            ),
            ("auth = 5", "2: streams.main.auth: expected a text in quotes, got a number"),
            (
                'user = "ops"\napikey = "file:/nowhere/key"',
                "3: streams.main.apikey: file: cannot read '/nowhere/key': No such file or directory",
            ),
            (
                'user = "ops"\napikey = "${K}"',
                "3: streams.main.apikey: K is not set, nor K_FILE; set one, or write ${K:-default}",
            ),
        ):
            (mistake,) = self.mistakes(f"[streams.main]\n{lines}\n")
            self.assertEqual(mistake, said)
            self.assertNotIn(KEY, mistake)

    def test_credentials_do_not_show_in_the_plan(self) -> None:
        plan = self.stream(f'user = "ops"\napikey = "{KEY}"')
        self.assertNotIn(KEY, repr(plan))
        self.assertNotIn(BASIC.removeprefix("Basic "), repr(plan))


class OtherSettingsTests(StreamsTestCase):
    """The rest of the table."""

    def test_timers(self) -> None:
        settings = self.stream('ping_interval = "1m"\nhandshake_timeout = "1s"').settings
        self.assertEqual(settings.ping_interval, Duration(60.0))
        self.assertEqual(settings.ping_timeout, Duration(15.0))
        self.assertEqual(settings.handshake_timeout, Duration(1.0))

    def test_a_timer_that_would_never_run_or_run_out_at_once(self) -> None:
        """Autobahn takes 0 for "off": a stream that has gone silent would never be noticed."""
        text = '[streams.main]\nping_interval = "0s"\nping_timeout = "999ms"\nhandshake_timeout = "0s"\n'
        self.assertEqual(
            self.mistakes(text),
            [
                "2: streams.main.ping_interval: must be at least 1s",
                "3: streams.main.ping_timeout: must be at least 1s",
                "4: streams.main.handshake_timeout: must be at least 1s",
            ],
        )

    def test_how_credentials_are_sent(self) -> None:
        self.assertEqual(self.stream('credentials = "query"').settings.credentials, "query")
        (mistake,) = self.mistakes('[streams.main]\ncredentials = "heder"\n')
        self.assertEqual(
            mistake,
            "2: streams.main.credentials: expected 'header' or 'query', got 'heder' (did you mean 'header'?)",
        )

    def test_a_ca_file(self) -> None:
        folder = self.folder()
        path = str(make_tls(folder).ca)
        self.assertEqual(self.stream(f'ca_file = "{path}"').settings.ca_file, path)

    def test_a_ca_file_without_certificates(self) -> None:
        path = self.write("nothing")
        (mistake,) = self.mistakes(f'[streams.main]\nca_file = "{path}"\n')
        self.assertEqual(mistake, f"2: streams.main.ca_file: {path!r} holds no PEM certificate")

    def test_several_streams(self) -> None:
        """A mistake in one hides none in another."""
        text = '[streams.a]\nurl = "ws://a/v1/events"\n[streams.b]\nurl = "b"\n[streams.c]\nx = 1\n'
        mistakes = self.mistakes(text)
        self.assertEqual(mistakes[0], f"4: streams.b.url: {NO_URL}")
        self.assertTrue(mistakes[1].startswith("6: streams.c.x: there is no such key; known are"))
        plans = self.load('[streams.a]\nurl = "ws://a/v1/events"\n[streams."b c"]\n').streams
        self.assertEqual([plan.name for plan in plans], ["a", "b c"])


class MisplacedCredentialTests(LoadingTestCase):
    """A variable in the wrong place may hold a credential; its value is not repeated."""

    def test_it_is_not_repeated(self) -> None:
        text = """\
[streams.main]
credentials = "${K}"
ping_interval = "${K}"
"""
        self.assertEqual(
            self.mistakes(text, **CREDENTIALS, K=KEY),
            [
                "2: streams.main.credentials: expected 'header' or 'query', got that (it comes from K)",
                (
                    "3: streams.main.ping_interval: that is no length of time; write it like "
                    '"500ms", "15s", "5m" or "1h30m" (it comes from K)'
                ),
            ],
        )

    def test_an_environment_prints_nothing(self) -> None:
        self.assertNotIn(KEY, repr(environment_of({"TUTUM_TOKEN": KEY})))
