"""``twistd tutumbridge``: constructs a bridge; nothing else does."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any, ClassVar, cast

from twisted.application.service import IService, MultiService
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IReactorTime, IStreamServerEndpoint
from twisted.python import usage

from tutumwatch.bridge.credentials import Account
from tutumwatch.bridge.demo.cloud import RATE_MAX, DemoCloud
from tutumwatch.bridge.hub import Hub
from tutumwatch.bridge.listener import Listener
from tutumwatch.bridge.settings import (
    DEFAULT_LISTEN,
    DEFAULT_RATE,
    BridgeError,
    DemoSettings,
    read_account,
)
from tutumwatch.bridge.site import make_site
from tutumwatch.bridge.stream import EventsFactory
from tutumwatch.monotonic import run_on_monotonic_time


class BridgeOptions(usage.Options):
    """The options of ``twistd tutumbridge``."""

    optFlags: ClassVar = [["demo", None, "Show a simulated cloud."]]
    optParameters: ClassVar = [
        ["listen", "l", DEFAULT_LISTEN, "Where to listen: a Twisted endpoint."],
        ["seed", None, 1, "Which simulated cloud: the same number, the same story.", int],
        ["rate", None, DEFAULT_RATE, f"Events a second, 0 (still) to {RATE_MAX:.0f}.", float],
    ]
    longdesc = (
        "Serve the Tutum Stream and REST API. TUTUMBRIDGE_USER and TUTUMBRIDGE_APIKEY (each also "
        "as NAME_FILE) are the credentials that clients need; on loopback they may be left out, "
        "and then any will do. SIGUSR1 redeploys one service of the simulated cloud at once."
    )

    def postOptions(self) -> None:
        """Check the options.

        :raises UsageError: saying what to change.
        """
        from twisted.internet import reactor

        if not self["demo"]:
            raise usage.UsageError("say what to show: --demo")
        if not 0 <= self["rate"] <= RATE_MAX:
            raise usage.UsageError(f"--rate must be from 0 to {RATE_MAX:.0f}, not {self['rate']}")
        try:
            serverFromString(reactor, self["listen"])
        except (ValueError, TypeError) as problem:
            raise usage.UsageError(
                f"--listen {self['listen']!r} is no endpoint: {problem}"
            ) from None
        try:
            self["account"] = read_account(os.environ, self["listen"])
        except BridgeError as problem:
            raise usage.UsageError(str(problem)) from None


# The name that twistd looks for.
Options = BridgeOptions


def makeService(options: BridgeOptions) -> IService:
    """Make the service that twistd runs."""
    from twisted.internet import reactor

    run_on_monotonic_time(reactor)
    bridge = make_bridge(
        DemoSettings(options["seed"], options["rate"]),
        serverFromString(reactor, options["listen"]),
        options["account"],
        cast("IReactorTime", reactor),
        time.time,
    )
    obey_signal(bridge, reactor)
    return bridge


def make_bridge(
    demo: DemoSettings,
    endpoint: IStreamServerEndpoint,
    account: Account,
    reactor: IReactorTime,
    utc_now: Callable[[], float],
) -> MultiService:
    """Construct a bridge in front of a simulated cloud: services ``cloud`` and ``listener``.

    :param reactor: a whole reactor; here it counts as a clock and is handed to the endpoint.
    """
    hub = Hub()
    cloud = DemoCloud(demo.seed, demo.rate, hub.announce, reactor, utc_now)
    factory = EventsFactory(hub, account, reactor)
    site = make_site(cloud.reducer.registry, factory, account)
    credentials = "any credentials" if account.apikey is None else f"credentials of {account.user}"
    bridge = MultiService()
    Listener(endpoint, site, hub, str(demo), credentials).setServiceParent(bridge)
    cloud.setServiceParent(bridge)
    return bridge


def obey_signal(bridge: MultiService, reactor: Any) -> None:  # noqa: ANN401 - a whole reactor
    """Let SIGUSR1 play a round of the simulated cloud, once the reactor runs."""
    cloud = cast("DemoCloud", bridge.getServiceNamed("cloud"))

    def obey(*_: object) -> None:
        reactor.callFromThread(cloud.play_round)

    reactor.callWhenRunning(signal.signal, signal.SIGUSR1, obey)
