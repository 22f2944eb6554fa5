"""What systemd is told: ready, status, stopping, and that we are alive and not stuck.

One datagram of ``KEY=VALUE`` lines to ``$NOTIFY_SOCKET``; sd_notify(3), read 2026-11.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

import attrs


@attrs.frozen
class ServiceManager:
    """The service manager that started us, if one did; otherwise every word goes nowhere.

    :param watchdog_seconds: how often it wants to hear ``WATCHDOG=1``, or None if it does not.
    """

    _address: str | None
    watchdog_seconds: float | None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> ServiceManager:
        """Read ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``."""
        address = environ.get("NOTIFY_SOCKET") or None
        period = environ.get("WATCHDOG_USEC", "")
        for_us = environ.get("WATCHDOG_PID", "") in {"", str(os.getpid())}
        seconds = int(period) / 1e6 if period.isdecimal() and int(period) and for_us else None
        if address is not None and address.startswith("@"):
            address = "\0" + address[1:]
        return cls(address, seconds if address is not None else None)

    def tell(self, **assignments: str) -> None:
        """Send assignments, as ``READY="1", STATUS="..."``; errors are nobody's business."""
        if self._address is None:
            return
        lines = "\n".join(f"{k}={' '.join(v.split())}" for k, v in assignments.items())
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as to,
        ):
            to.sendto(lines.encode(), self._address)
