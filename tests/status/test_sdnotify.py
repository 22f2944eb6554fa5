"""Tests of what the service manager is told, against real datagram sockets."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.status.sdnotify import ServiceManager


class SdNotifyTestCase(SynchronousTestCase):
    """Listens as systemd does."""

    def listen(self, address: str) -> socket.socket:
        """Make a datagram socket; it is closed at the end."""
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.addCleanup(listening.close)
        listening.bind(address)
        return listening

    def path(self) -> str:
        """Give a path for a socket."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return str(Path(folder.name, "notify"))


class TellTests(SdNotifyTestCase):
    """One datagram for each thing that is told."""

    def test_a_socket_with_a_path(self) -> None:
        path = self.path()
        listening = self.listen(path)
        manager = ServiceManager.from_environment({"NOTIFY_SOCKET": path})
        manager.tell(READY="1", STATUS="main Connected")
        self.assertEqual(listening.recv(1000), b"READY=1\nSTATUS=main Connected")

    def test_a_socket_without_a_path(self) -> None:
        """Linux's abstract ones, written with an @."""
        name = f"tutumwatch-test-{os.getpid()}"
        listening = self.listen(f"\0{name}")
        ServiceManager.from_environment({"NOTIFY_SOCKET": f"@{name}"}).tell(WATCHDOG="1")
        self.assertEqual(listening.recv(1000), b"WATCHDOG=1")

    def test_a_text_stays_on_its_line(self) -> None:
        """Nothing in a status can be taken for another assignment."""
        path = self.path()
        listening = self.listen(path)
        ServiceManager(path, None).tell(STATUS="a\nMAINPID=1\r\nb  c")
        self.assertEqual(listening.recv(1000), b"STATUS=a MAINPID=1 b c")

    def test_nobody_listens(self) -> None:
        """Then it goes nowhere, and nothing fails."""
        for address in (None, "/nowhere/notify", "/" + "x" * 200, "\0tutumwatch-nobody"):
            ServiceManager(address, None).tell(READY="1")

    def test_a_manager_that_does_not_read(self) -> None:
        """We do not wait for it."""
        path = self.path()
        self.listen(path)
        for _ in range(2_000):
            ServiceManager(path, None).tell(STATUS="x" * 1_000)


class FromEnvironmentTests(SdNotifyTestCase):
    """What the manager asks for."""

    def test_the_watchdog(self) -> None:
        for variables, seconds in (
            ({"WATCHDOG_USEC": "30000000"}, 30.0),
            ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
            ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, None),
            ({"WATCHDOG_USEC": "0"}, None),
            ({"WATCHDOG_USEC": "soon"}, None),
            ({"WATCHDOG_USEC": "-5"}, None),
            ({"WATCHDOG_USEC": "²"}, None),
            ({}, None),
        ):
            manager = ServiceManager.from_environment({"NOTIFY_SOCKET": "/x", **variables})
            self.assertEqual(manager.watchdog_seconds, seconds, variables)

    def test_without_a_socket_nobody_watches(self) -> None:
        manager = ServiceManager.from_environment({"WATCHDOG_USEC": "30000000"})
        self.assertEqual(manager, ServiceManager(None, None))
        self.assertEqual(
            ServiceManager.from_environment({"NOTIFY_SOCKET": ""}).watchdog_seconds, None
        )
