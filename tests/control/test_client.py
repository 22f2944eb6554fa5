"""Tests of the command line's side of the control socket, against real sockets."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.control.client import NobodyAnswersError, NotRunningError, ask
from tutumwatch.control.wire import AskStatus


class AskTests(SynchronousTestCase):
    """Each way in which no answer comes; tests/cli has the answers."""

    def setUp(self) -> None:
        """Choose a place for a socket."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = str(Path(folder.name, "sock"))

    def failure(self, deadline_seconds: float = 5.0) -> str:
        """Ask, and give what is said of it."""
        return str(
            self.assertRaises(NobodyAnswersError, ask, self.path, AskStatus(), deadline_seconds)
        )

    def listen(self) -> None:
        """Take connections, and never answer."""
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(self.path)
        listening.listen()
        self.addCleanup(listening.close)

    def test_nobody_is_there(self) -> None:
        """No socket, or one that was left behind."""
        self.assertRaises(NotRunningError, ask, self.path, AskStatus())
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(self.path)
        self.assertRaises(NotRunningError, ask, self.path, AskStatus())

    def test_one_that_never_answers(self) -> None:
        self.listen()
        self.assertEqual(self.failure(0.05), "the watcher did not answer within 0.05 s")

    def test_what_is_no_socket(self) -> None:
        """As any other error, in the system's words."""
        self.path = f"{self.path}/sock"
        Path(self.path).parent.write_text("")
        self.assertIn(f"{self.path}: Not a directory", self.failure())
