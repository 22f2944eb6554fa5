"""Tests of where the store is."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from tests.config.cases import CREDENTIALS, NO_HOME, LoadingTestCase, environment_of
from tutumwatch.config.environment import Environment
from tutumwatch.config.load import load_configuration

STREAM = "[streams.main]\n"
TOKEN = "s3cr3t-t0k3n"


class StorePathTests(LoadingTestCase):
    """``[store] path``, else TUTUMWATCH_STORE, else a file in the state directory."""

    def path(self, text: str = STREAM, **variables: str) -> str:
        """Give where the store of a configuration file is."""
        return self.load(text, **{**CREDENTIALS, **variables}).store_path

    def test_the_table_comes_first(self) -> None:
        text = f'{STREAM}[store]\npath = "/var/lib/x.sqlite"\n'
        self.assertEqual(self.path(text, TUTUMWATCH_STORE="/elsewhere"), "/var/lib/x.sqlite")

    def test_the_variable_comes_next(self) -> None:
        path = self.path(TUTUMWATCH_STORE="/var/lib/y.sqlite", STATE_DIRECTORY="/var/lib/tw")
        self.assertEqual(path, "/var/lib/y.sqlite")

    def test_a_variable_in_the_table(self) -> None:
        text = f'{STREAM}[store]\npath = "${{WHERE:-}}"\n'
        self.assertEqual(self.path(text, WHERE="/var/lib/z.sqlite"), "/var/lib/z.sqlite")
        self.assertEqual(self.path(text, TUTUMWATCH_STORE="/y"), "/y")

    def test_a_relative_path_is_one_of_the_folder_that_we_start_in(self) -> None:
        """We may be about to become a daemon, which moves to another one."""
        expected = str(Path.cwd() / "x.sqlite")
        self.assertEqual(self.path(f'{STREAM}[store]\npath = "x.sqlite"\n'), expected)
        self.assertEqual(self.path(TUTUMWATCH_STORE="x.sqlite"), expected)

    def test_in_memory(self) -> None:
        self.assertEqual(self.path(f'{STREAM}[store]\npath = ":memory:"\n'), ":memory:")
        self.assertEqual(self.path(TUTUMWATCH_STORE=":memory:"), ":memory:")

    def test_the_state_directory(self) -> None:
        """The service manager's, else the user's; of several, the first."""
        for variables, folder in (
            ({"STATE_DIRECTORY": "/var/lib/tw", "XDG_STATE_HOME": "/xdg"}, "/var/lib/tw"),
            ({"STATE_DIRECTORY": "/var/lib/tw:/var/lib/other"}, "/var/lib/tw"),
            ({"STATE_DIRECTORY": "", "XDG_STATE_HOME": "/xdg"}, "/xdg/tutumwatch"),
            # To be ignored, says the specification.
            ({"XDG_STATE_HOME": "relative"}, f"{NO_HOME}/.local/state/tutumwatch"),
            ({}, f"{NO_HOME}/.local/state/tutumwatch"),
        ):
            self.assertEqual(self.path(**variables), f"{folder}/outbox.sqlite", variables)

    def test_mistakes(self) -> None:
        self.assertEqual(
            self.mistakes(f"{STREAM}[store]\npath = 3\npaht = 'x'\n"),
            [
                "3: store.path: expected a text in quotes, got a number",
                "4: store.paht: there is no such key (did you mean 'path'?); known are path",
            ],
        )
        (unset,) = self.mistakes(f'{STREAM}[store]\npath = "${{WHERE}}"\n')
        self.assertIn("3: store.path: WHERE is not set, nor WHERE_FILE", unset)
        self.assertEqual(
            self.mistakes(f'store = "x"\n{STREAM}'), ["1: store: expected a table, got a text"]
        )


class EnvironmentAloneTests(LoadingTestCase):
    """Without a file, each platform and user has a store; no credential tells anything of it."""

    def name(self, **variables: str) -> str:
        """Give the name of the store that goes with an environment."""
        environment = environment_of({"STATE_DIRECTORY": "/s", **variables})
        path = Path(load_configuration(None, environment).store_path)
        self.assertEqual(str(path.parent), "/s")
        return path.name

    def test_it_is_named_after_stream_and_user(self) -> None:
        told = b"wss://stream.tutum.co/v1/events\nops"
        expected = f"outbox-{hashlib.sha256(told).hexdigest()[:8]}.sqlite"
        self.assertEqual(self.name(TUTUM_USER="ops", TUTUM_APIKEY=TOKEN), expected)

    def test_another_stream_or_user_has_another(self) -> None:
        names = {
            self.name(TUTUM_USER=user, TUTUM_APIKEY=TOKEN, TUTUM_STREAM_HOST=host)
            for user in ("ops", "dev")
            for host in ("wss://one.example", "wss://two.example")
        }
        self.assertEqual(len(names), 4)

    def test_a_new_credential_goes_on_with_the_old_store(self) -> None:
        """And the name tells nothing of either."""
        names = [
            self.name(**variables)
            for key in (TOKEN, "another")
            for variables in (
                {"TUTUM_USER": "ops", "TUTUM_APIKEY": key},
                {"TUTUM_AUTH": "Basic " + base64.b64encode(f"ops:{key}".encode()).decode()},
                {"TUTUM_AUTH": f"ApiKey ops:{key}"},
            )
        ]
        self.assertEqual(set(names), {self.name(**CREDENTIALS)})

    def test_a_credential_without_a_user_is_no_part_of_it(self) -> None:
        names = {self.name(TUTUM_AUTH=f"Bearer {key}") for key in (TOKEN, "another")}
        self.assertEqual(len(names), 1)

    def test_the_variable_still_counts(self) -> None:
        variables = {**CREDENTIALS, "TUTUMWATCH_STORE": "/x.sqlite"}
        environment = Environment(variables, NO_HOME)
        self.assertEqual(load_configuration(None, environment).store_path, "/x.sqlite")
