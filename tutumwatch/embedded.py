"""``--demo``: a simulated cloud behind its bridge, in the process that watches it."""

from __future__ import annotations

import secrets
import socket
import time
from typing import Any, cast
from urllib.parse import urlsplit

from twisted.application.service import IService
from twisted.internet.endpoints import AdoptedStreamServerEndpoint

from tutumwatch.bridge.credentials import Account
from tutumwatch.bridge.demo.cloud import RATE_MAX
from tutumwatch.bridge.settings import DemoSettings
from tutumwatch.bridge.tap import make_bridge, obey_signal
from tutumwatch.config.environment import Environment
from tutumwatch.config.plans import Configuration
from tutumwatch.config.store import STORE_VARIABLE
from tutumwatch.outbox.store import IN_MEMORY
from tutumwatch.secret import Secret


class EmbeddedDemo:
    """A bridge in front of a simulated cloud, in this process, on a port of its own on loopback.

    The port is bound at once, so that the configuration can name it before anything runs.
    """

    def __init__(self, demo: DemoSettings) -> None:
        """Bind a port.

        :raises ValueError: for a rate that makes no sense.
        """
        if not 0 <= demo.rate <= RATE_MAX:
            raise ValueError(f"--rate must be from 0 to {RATE_MAX:.0f}, not {demo.rate}")
        self._demo = demo
        self._account = Account("demo", Secret(secrets.token_hex(16)))
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()
        self._host = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def environment(self, environment: Environment) -> Environment:
        """Give an environment whose platform is this one, whatever Tutum variables it has."""
        host = self._host
        kept = {k: v for k, v in environment.variables.items() if not k.startswith("TUTUM_")}
        apikey = cast("Secret", self._account.apikey).reveal()
        ours = {
            "TUTUM_STREAM_HOST": f"ws://{host}",
            "TUTUM_REST_HOST": f"http://{host}",
            "TUTUM_USER": self._account.user,
            "TUTUM_APIKEY": apikey,
            # What the simulated cloud did is of no use to the next one.
            STORE_VARIABLE: IN_MEMORY,
        }
        return Environment(kept | ours, environment.home)

    def require_watched(self, configuration: Configuration) -> None:
        """Check that a configuration watches it.

        :raises ValueError: if all its streams are elsewhere.
        """
        if all(urlsplit(plan.url).netloc != self._host for plan in configuration.streams):
            raise ValueError(
                f"--demo: {configuration.source} watches something else; leave out url and rest "
                "of one of its streams"
            )

    def make_bridge(self, reactor: Any) -> IService:  # noqa: ANN401 - a whole reactor
        """Make the service that serves what is bound, and closes it; SIGUSR1 plays a round."""
        # The endpoint closes what it is given: nobody else may do so, too.
        endpoint = AdoptedStreamServerEndpoint(reactor, self._socket.detach(), socket.AF_INET)
        bridge = make_bridge(self._demo, endpoint, self._account, reactor, time.time)
        bridge.setName("bridge")
        obey_signal(bridge, reactor)
        return bridge
