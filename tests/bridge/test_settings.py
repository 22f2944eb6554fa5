"""Tests of tutumwatch/bridge/settings.py."""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.bridge.credentials import Account
from tutumwatch.bridge.settings import BridgeError, DemoSettings, is_loopback, read_account
from tutumwatch.secret import Secret

LOCAL, OPEN = "tcp:8080:interface=127.0.0.1", "tcp:8080"


class LoopbackTests(SynchronousTestCase):
    """Only what surely cannot be reached from elsewhere goes without credentials."""

    def test_endpoints(self) -> None:
        for listen, expected in (
            (LOCAL, True),
            ("tcp:8080:interface=127.8.9.1", True),
            ("tcp:8080:interface=localhost", True),
            ("tcp:port=8080:interface=127.0.0.1:backlog=5", True),
            (r"tcp6:8080:interface=\:\:1", True),
            ("ssl:8443:interface=127.0.0.1:privateKey=k.pem", True),
            ("unix:/run/bridge.sock", True),
            (OPEN, False),
            ("tcp:8080:interface=0.0.0.0", False),
            ("tcp:8080:interface=10.0.0.1", False),
            (r"tcp6:8080:interface=\:\:1234", False),
            (r"tcp6:8080:interface=\:\:", False),
            ("tcp:8080:interface=127.0.0.1.evil.test", False),
            ("tcp:8080:interface=localhost.evil.test", False),
            ("tcp:8080:interface=127.0.0.1:interface=0.0.0.0", False),
            ("systemd:domain=INET:index=0", False),
            ("systemd:domain=INET:index=0:interface=127.0.0.1", False),
            ("", False),
        ):
            self.assertIs(is_loopback(listen), expected, listen)


class AccountTests(SynchronousTestCase):
    """The bridge's credentials, from the environment."""

    def folder(self) -> Path:
        """Make a folder of this test's own."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return Path(folder.name)

    def test_both_set(self) -> None:
        environ = {"TUTUMBRIDGE_USER": "ops", "TUTUMBRIDGE_APIKEY": "s3cret"}
        for listen in (LOCAL, OPEN):
            self.assertEqual(read_account(environ, listen), Account("ops", Secret("s3cret")))

    def test_from_files(self) -> None:
        path = self.folder() / "key"
        path.write_text("s3cret\n", "utf-8")
        environ = {"TUTUMBRIDGE_USER": "ops", "TUTUMBRIDGE_APIKEY_FILE": str(path)}
        self.assertEqual(read_account(environ, OPEN), Account("ops", Secret("s3cret")))

    def test_none_needed_on_loopback(self) -> None:
        for environ in ({}, {"TUTUMBRIDGE_USER": "", "TUTUMBRIDGE_APIKEY": ""}):
            self.assertEqual(read_account(environ, LOCAL), Account())

    def test_mistakes(self) -> None:
        empty = self.folder() / "empty"
        empty.touch()
        binary = self.folder() / "binary"
        binary.write_bytes(b"\xff\xfe")
        user, key = {"TUTUMBRIDGE_USER": "ops"}, {"TUTUMBRIDGE_APIKEY": "s3cret"}
        for environ, listen, expected in (
            ({}, OPEN, "tcp:8080 can be reached from elsewhere: set TUTUMBRIDGE_USER and"),
            (user, LOCAL, "TUTUMBRIDGE_APIKEY is not set, but the other of the pair is"),
            (key, LOCAL, "TUTUMBRIDGE_USER is not set, but the other of the pair is"),
            (
                {**user, "TUTUMBRIDGE_APIKEY_FILE": str(empty)},
                LOCAL,
                "TUTUMBRIDGE_APIKEY is not set",
            ),
            (
                {**key, **user, "TUTUMBRIDGE_USER_FILE": "/x"},
                LOCAL,
                "TUTUMBRIDGE_USER and TUTUMBRIDGE_USER_FILE are both set; unset one of them",
            ),
            (
                {**user, "TUTUMBRIDGE_APIKEY_FILE": "/no/such"},
                LOCAL,
                "TUTUMBRIDGE_APIKEY_FILE: cannot read '/no/such': ",
            ),
            (
                {**user, "TUTUMBRIDGE_APIKEY_FILE": str(binary)},
                LOCAL,
                f"TUTUMBRIDGE_APIKEY_FILE: cannot read '{binary}': ",
            ),
        ):
            with self.assertRaises(BridgeError) as caught:
                read_account(environ, listen)
            self.assertTrue(str(caught.exception).startswith(expected), str(caught.exception))
            self.assertNotIn("s3cret", str(caught.exception))


class DemoSettingsTests(SynchronousTestCase):
    """What the line at the start says."""

    def test_texts(self) -> None:
        for rate, expected in (
            (1.0, "a simulated cloud (seed 1, 1 event a second)"),
            (0.5, "a simulated cloud (seed 1, 0.5 events a second)"),
            (10_000.0, "a simulated cloud (seed 1, 10000 events a second)"),
            (0.0, "a simulated cloud (seed 1, standing still)"),
        ):
            self.assertEqual(str(DemoSettings(1, rate)), expected)
