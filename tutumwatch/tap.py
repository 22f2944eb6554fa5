"""``twistd tutumwatch``: reads the configuration and constructs everything; nothing else does."""

from __future__ import annotations

import os
import random
import secrets
import signal
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, cast
from urllib.parse import urlsplit

from twisted.application.service import IService
from twisted.internet.endpoints import (
    AdoptedStreamServerEndpoint,
    HostnameEndpoint,
    serverFromString,
    wrapClientTLS,
)
from twisted.internet.interfaces import (
    IReactorTime,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.ssl import optionsForClientTLS
from twisted.logger import Logger
from twisted.python import usage

from tutumwatch.bridge.credentials import Account
from tutumwatch.bridge.demo.cloud import RATE_MAX
from tutumwatch.bridge.settings import DemoSettings
from tutumwatch.bridge.tap import make_bridge, obey_signal
from tutumwatch.config.environment import Environment
from tutumwatch.config.load import DOCKER, TUTORIAL, load_configuration
from tutumwatch.config.mistakes import ConfigurationError
from tutumwatch.config.plans import Configuration, StreamPlan
from tutumwatch.config.status import DEFAULT_LISTEN, OFF
from tutumwatch.http import Web, load_trust_root
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.notifiers.service import NotifierService
from tutumwatch.outbox.deliverer import Deliverer
from tutumwatch.outbox.memory import MemoryStore
from tutumwatch.outbox.outbox import Outbox
from tutumwatch.resources.catchup import CatchUp
from tutumwatch.resources.client import ResourceClient
from tutumwatch.resources.lookups import LookUps
from tutumwatch.root import Watch
from tutumwatch.rules.decider import Decider
from tutumwatch.rules.incidents import Incidents
from tutumwatch.secret import Secret
from tutumwatch.status.health import HealthCheck
from tutumwatch.status.sdnotify import ServiceManager
from tutumwatch.status.service import StatusService
from tutumwatch.stream.factory import DialListener, StreamFactory
from tutumwatch.stream.service import StreamService
from tutumwatch.watch import Pipeline

CONNECT_TIMEOUT_SECONDS = 10.0

_log = Logger()


class Options(usage.Options):
    """The options of ``twistd tutumwatch`` and of ``tutumwatch run``."""

    optFlags: ClassVar = [
        ["demo", None, "Watch a simulated cloud, embedded and on this machine alone."],
    ]
    optParameters: ClassVar = [
        ["config", "c", None, "The configuration file; without it only the environment counts."],
        ["seed", None, None, "Which simulated cloud: a number, the same story; 1 if unset.", int],
        ["rate", None, None, "Its events a second, 0 (still) to 10000; 1 if unset.", float],
    ]
    longdesc = (
        "Watch a Tutum Stream and tell Slack, PagerDuty and the console. Without --config, set "
        "TUTUM_USERNAME and TUTUM_TOKEN (or TUTUM_AUTH), and SLACK_URL and PAGERDUTY_KEY as wanted."
    )

    def postOptions(self) -> None:
        """Read and check the configuration, so that a mistake ends us before anything starts.

        :raises UsageError: with every mistake.
        """
        demo = {key: self[key] for key in ("seed", "rate") if self[key] is not None}
        if demo and not self["demo"]:
            raise usage.UsageError(f"--{next(iter(demo))} is of use with --demo alone")
        environment, built_in = Environment.of_process(), TUTORIAL
        try:
            if self["demo"]:
                self["embedded"] = EmbeddedDemo(DemoSettings(**demo))
                environment, built_in = self["embedded"].environment(environment), DOCKER
            self["configuration"] = load_configuration(self["config"], environment, built_in)
            if self["demo"]:
                self["embedded"].require_watched(self["configuration"])
        except (ConfigurationError, ValueError) as problem:
            raise usage.UsageError(str(problem)) from None


def makeService(options: Options) -> IService:
    """Make the service that twistd runs."""
    from twisted.internet import reactor

    watch = make_watch(
        options["configuration"],
        cast("IReactorTime", reactor),
        time.time,
        random.Random(),  # noqa: S311 - for jitter and a run's id, not for secrets
        ServiceManager.from_environment(os.environ),
        [options["embedded"].make_bridge(reactor)] if options["demo"] else [],
    )
    ask_again = cast("Any", reactor).callFromThread
    cast("Any", reactor).callWhenRunning(
        signal.signal, signal.SIGHUP, lambda *_: ask_again(watch.ask_again)
    )
    return watch


def make_watch(
    configuration: Configuration,
    reactor: IReactorTime,
    utc_now: Callable[[], float],
    dice: random.Random,
    manager: ServiceManager,
    embedded: Sequence[IService] = (),
) -> Watch:
    """Construct everything that a configuration asks for.

    :param reactor: a whole reactor; here it counts as a clock and is handed to endpoints.
    :param dice: for jitter, and the id of this run.
    :param embedded: services of this process that are watched over their sockets.
    """
    # The watch's time: set by the wall clock once, then monotonic (see events/inputs.py).
    offset = utc_now() - reactor.seconds()

    def now() -> float:
        return offset + reactor.seconds()

    def jitter() -> float:
        return dice.uniform(0.8, 1.2)

    webs = _Webs(reactor, utc_now)
    decider = make_decider(configuration, f"{dice.getrandbits(48):012x}")
    store = MemoryStore()
    deliverers: dict[str, Deliverer] = {}
    outbox = Outbox(store, deliverers, reactor)
    pipeline = Pipeline(decider, outbox, reactor, now)
    services = []
    for plan in configuration.notifiers:
        service = NotifierService(plan.name, plan.notifier, webs.get(plan.ca_file))
        services.append(service)
        report = pipeline.report_notifier
        deliverers[plan.name] = Deliverer(
            plan.name, service.deliver, store, plan.pace, reactor, jitter, report
        )
    streams = [_stream(plan, reactor, now, jitter, pipeline) for plan in configuration.streams]
    clients = {plan.name: _rest_client(plan, webs) for plan in configuration.streams}
    look_ups = LookUps(clients, pipeline.submit, pipeline.last_number, now, reactor)
    inventory, last_number = decider.inventory, pipeline.last_number
    catch_ups = {
        name: CatchUp(name, client, inventory, pipeline.submit, last_number, now, reactor)
        for name, client in clients.items()
    }
    pipeline.connect(streams, look_ups, catch_ups)
    health = HealthCheck(decider, outbox, streams, lambda: pipeline.store_problem)
    status = StatusService(health.check, _listen(configuration, reactor), manager, reactor)

    async def close() -> None:
        """Close what the services share."""
        for catch_up in catch_ups.values():
            catch_up.stop()
        look_ups.stop()
        await webs.close()

    _say_what_is_on(configuration)
    # The status comes last: it tells the service manager that all has started.
    others = [*services, *embedded, status]
    return Watch(pipeline, outbox, streams, others, reactor, status.say_stopping, close)


def make_decider(configuration: Configuration, run_id: str) -> Decider:
    """Make the decider; rules whose notifiers are all off are left out."""
    drops_orphans = frozenset(p.name for p in configuration.notifiers if p.kind.drops_orphans)
    rules = {rule.name: rule for rule in configuration.incidents if rule.texts}
    inventory = Inventory()
    incidents = Incidents(rules, inventory, drops_orphans)
    inventory.is_needed = incidents.is_needed
    messages = [rule for rule in configuration.messages if rule.texts]
    return Decider(inventory, incidents, messages, run_id)


def _rest_client(plan: StreamPlan, webs: _Webs) -> ResourceClient:
    web = webs.get(plan.settings.ca_file)
    return ResourceClient(web, plan.rest, plan.credentials.headers())


def _stream(
    plan: StreamPlan,
    reactor: IReactorTime,
    now: Callable[[], float],
    jitter: Callable[[], float],
    pipeline: Pipeline,
) -> StreamService:
    settings, credentials = plan.settings, plan.credentials
    as_header = settings.credentials == "header"
    headers = {n: v.reveal() for n, v in credentials.headers().items()} if as_header else {}
    url = plan.url if as_header else f"{plan.url}?{credentials.query().reveal()}"

    def make_factory(listener: DialListener) -> StreamFactory:
        secrets = credentials.secrets()
        return StreamFactory(url, headers, settings, reactor, jitter, listener, secrets)

    return StreamService(
        plan.name,
        _endpoint(plan, reactor),
        make_factory,
        reactor,
        now,
        pipeline.receive,
        pipeline.submit,
        settings.ping_interval.seconds + settings.ping_timeout.seconds,
    )


def _endpoint(plan: StreamPlan, reactor: Any) -> IStreamClientEndpoint:  # noqa: ANN401 - a whole reactor
    parts = urlsplit(plan.url)
    host = cast("str", parts.hostname)
    tls = parts.scheme == "wss"
    plain = HostnameEndpoint(
        reactor, host, parts.port or (443 if tls else 80), timeout=CONNECT_TIMEOUT_SECONDS
    )
    if not tls:
        return plain
    ca_file = plan.settings.ca_file
    root = load_trust_root(ca_file) if ca_file is not None else None
    endpoint: IStreamClientEndpoint = wrapClientTLS(optionsForClientTLS(host, root), plain)
    return endpoint


def _listen(configuration: Configuration, reactor: Any) -> IStreamServerEndpoint | None:  # noqa: ANN401 - a whole reactor
    listen = configuration.status.listen or DEFAULT_LISTEN
    return None if listen == OFF else serverFromString(reactor, listen)


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

    def environment(self, environment: Environment) -> Environment:
        """Give an environment whose platform is this one, whatever Tutum variables it has."""
        host = self._host()
        kept = {k: v for k, v in environment.variables.items() if not k.startswith("TUTUM_")}
        apikey = cast("Secret", self._account.apikey).reveal()
        ours = {
            "TUTUM_STREAM_HOST": f"ws://{host}",
            "TUTUM_REST_HOST": f"http://{host}",
            "TUTUM_USER": self._account.user,
            "TUTUM_APIKEY": apikey,
        }
        return Environment(kept | ours, environment.home)

    def _host(self) -> str:
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def require_watched(self, configuration: Configuration) -> None:
        """Check that a configuration watches it.

        :raises ValueError: if all its streams are elsewhere.
        """
        if all(urlsplit(plan.url).netloc != self._host() for plan in configuration.streams):
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


class _Webs:
    """One HTTP client, with one pool of connections, for each set of trusted roots."""

    def __init__(self, reactor: IReactorTime, utc_now: Callable[[], float]) -> None:
        self._reactor = reactor
        self._utc_now = utc_now
        self._webs: dict[str | None, Web] = {}

    def get(self, ca_file: str | None) -> Web:
        if ca_file not in self._webs:
            root = load_trust_root(ca_file) if ca_file is not None else None
            self._webs[ca_file] = Web.over_sockets(self._reactor, self._utc_now, root)
        return self._webs[ca_file]

    async def close(self) -> None:
        for web in self._webs.values():
            await web.close()


def _say_what_is_on(configuration: Configuration) -> None:
    on = ", ".join(plan.name for plan in configuration.notifiers) or "none"
    off = "".join(f"; off: {name} ({why})" for name, why in configuration.off.items())
    hosts: Sequence[str] = [f"{p.name} at {urlsplit(p.url).netloc}" for p in configuration.streams]
    _log.info(
        "watching stream {streams}; notifiers on: {on}{off}",
        streams=", ".join(hosts),
        on=on,
        off=off,
    )
    for sentence in configuration.passed_over:
        _log.warn("{sentence}", sentence=sentence)
