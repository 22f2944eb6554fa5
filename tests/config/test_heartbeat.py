"""Tests of the ``[heartbeat]`` table."""

from __future__ import annotations

from tests.config.cases import CREDENTIALS, LoadingTestCase, environment_of
from tutumwatch.config.heartbeat import HeartbeatSettings
from tutumwatch.config.load import DOCKER, TUTORIAL, load_configuration
from tutumwatch.secret import Secret
from tutumwatch.settings import Duration

URL = "https://hc-ping.example/5c1b6f0e-1f6d-4a5c"
STREAM = "[streams.main]\n[heartbeat]\n"


class HeartbeatTableTests(LoadingTestCase):
    """Where the sign of life goes, and how often."""

    def test_without_it_there_is_none(self) -> None:
        for text in ("[streams.main]\n", STREAM, f'{STREAM}url = "${{HEARTBEAT_URL:-}}"\n'):
            self.assertEqual(self.load(text).heartbeat, HeartbeatSettings())
        self.assertIsNone(HeartbeatSettings().url)
        self.assertEqual(HeartbeatSettings().interval, Duration(60.0))

    def test_what_is_set(self) -> None:
        found = self.load(f'{STREAM}url = "{URL}"\ninterval = "5m"\n').heartbeat
        self.assertEqual(found, HeartbeatSettings(url=Secret(URL), interval=Duration(300.0)))
        self.assertNotIn(URL, repr(found))

    def test_a_secret_in_a_file(self) -> None:
        path = self.write(f"{URL}\n")
        found = self.load(f'{STREAM}url = "file:{path}"\n').heartbeat
        self.assertEqual(found.url, Secret(URL))

    def test_the_built_in_ones_take_the_variable(self) -> None:
        for built_in in (TUTORIAL, DOCKER):
            for variables, url in (({}, None), ({"HEARTBEAT_URL": URL}, Secret(URL))):
                environment = environment_of({**CREDENTIALS, **variables})
                loaded = load_configuration(None, environment, built_in)
                self.assertEqual(loaded.heartbeat.url, url)

    def test_mistakes(self) -> None:
        for lines, said in (
            ('url = "hc-ping.example/x"', "3: heartbeat.url: expected a URL that begins with"),
            ('url = "ftp://hc/x"', "3: heartbeat.url: expected a URL that begins with"),
            ('url = "https://u:p@hc/x"', "3: heartbeat.url: a user and password in the URL"),
            ('interval = "0.5s"', "3: heartbeat.interval: "),
            ('interval = "500ms"', "3: heartbeat.interval: must be at least 1s"),
            ("interval = 60", "3: heartbeat.interval: expected a length of time"),
            ('every = "1m"', "3: heartbeat.every: there is no such key"),
        ):
            (mistake,) = self.mistakes(f"{STREAM}{lines}\n")
            self.assertIn(said, mistake)
            self.assertNotIn("hc", mistake)
