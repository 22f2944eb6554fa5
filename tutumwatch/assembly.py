"""Puts a watch together: every part that a configuration asks for, each told of its neighbours."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

import attrs
from twisted.application.service import IService
from twisted.internet.endpoints import (
    HostnameEndpoint,
    UNIXServerEndpoint,
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

from tutumwatch.config.heartbeat import HeartbeatSettings
from tutumwatch.config.plans import Configuration, NotifierPlan, StreamPlan
from tutumwatch.config.status import DEFAULT_LISTEN, OFF
from tutumwatch.control.commands import Commands
from tutumwatch.control.service import SOCKET_MODE, ControlService
from tutumwatch.control.wire import socket_path
from tutumwatch.events.inputs import LinkType, Started
from tutumwatch.http import Web, load_trust_root
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.notifiers.service import NotifierService
from tutumwatch.outbox.deliverer import Deliverer
from tutumwatch.outbox.digest import write_digest
from tutumwatch.outbox.gate import State
from tutumwatch.outbox.outbox import Outbox
from tutumwatch.outbox.store import IN_MEMORY, Store
from tutumwatch.resources.catchup import CatchUp
from tutumwatch.resources.client import ResourceClient
from tutumwatch.resources.lookups import LookUps
from tutumwatch.restart import WatchTime, blind_since, restore
from tutumwatch.root import Watch
from tutumwatch.rules.decider import Decider
from tutumwatch.rules.incidents import Incidents
from tutumwatch.secret import Secret
from tutumwatch.status.health import HealthCheck
from tutumwatch.status.heartbeat import Heartbeat
from tutumwatch.status.sdnotify import ServiceManager
from tutumwatch.status.service import StatusService
from tutumwatch.stream.factory import DialListener, StreamFactory
from tutumwatch.stream.service import StreamService
from tutumwatch.watch import Pipeline

CONNECT_TIMEOUT_SECONDS = 10.0

_log = Logger()


def make_watch(
    configuration: Configuration,
    store: Store,
    reactor: IReactorTime,
    utc_now: Callable[[], float],
    dice: random.Random,
    manager: ServiceManager,
    embedded: Sequence[IService] = (),
) -> Watch:
    """Construct everything that a configuration asks for, as it was when it last ran.

    :param store: not opened yet.
    :param reactor: a whole reactor; here it counts as a clock and is handed to endpoints.
    :param dice: for jitter, and the id of this run.
    :param embedded: services of this process that are watched over their sockets.
    :raises StoreUnusableError: if the store cannot be read.
    """
    restored = store.restore()
    now = WatchTime.begin(reactor, utc_now, restored.alive_at).now
    decider = make_decider(configuration)
    streams = {plan.name for plan in configuration.streams}
    restore(decider, restored, streams, set(configuration.destinations), now())
    deliverers: dict[str, Deliverer] = {}
    outbox = Outbox(store, deliverers, reactor)
    started = Started(f"{dice.getrandbits(48):012x}", restored.alive_at, now())
    pipeline = Pipeline(decider, outbox, reactor, now, started, restored.last_number)
    parts = _Parts(reactor, now, lambda: dice.uniform(0.8, 1.2), _Webs(reactor, utc_now), pipeline)
    for plan in configuration.notifiers:
        deliverers[plan.name] = parts.make_deliverer(plan, store)
    for stream in configuration.streams:
        parts.make_stream(stream)
    parts.connect(restored.alive_at)
    health = HealthCheck(
        decider, outbox, list(parts.streams.values()), lambda: pipeline.store_problem
    )
    status = StatusService(health.check, _listen(configuration, reactor), manager, reactor)
    parts.make_control(configuration.store_path, store, health)
    parts.make_heartbeat(configuration.heartbeat, health)
    _say_what_is_on(configuration)
    return Watch(
        pipeline,
        outbox,
        list(parts.streams.values()),
        # The status comes last: it tells the service manager that all has started.
        [*parts.notifiers.values(), *embedded, *parts.others(), status],
        reactor,
        status.say_stopping,
        parts.close,
        parts.use,
    )


@attrs.define
class _Parts:
    """The parts of a watch that are made one for each table of the configuration."""

    _reactor: IReactorTime
    _now: Callable[[], float]
    _jitter: Callable[[], float]
    _webs: _Webs
    _pipeline: Pipeline
    notifiers: dict[str, NotifierService] = attrs.field(factory=dict)
    streams: dict[str, StreamService] = attrs.field(factory=dict)
    _clients: dict[str, ResourceClient] = attrs.field(factory=dict)
    _look_ups: LookUps = attrs.field(init=False)
    _catch_ups: dict[str, CatchUp] = attrs.field(factory=dict)
    _control: ControlService | None = None
    _heartbeat: Heartbeat | None = None

    def make_deliverer(self, plan: NotifierPlan, store: Store) -> Deliverer:
        """Make a notifier's service and what delivers to it, in the state that it last had."""
        service = NotifierService(plan.name, plan.notifier, self._webs.get(plan.ca_file))
        self.notifiers[plan.name] = service
        deliverer = Deliverer(
            plan.name,
            service.deliver,
            store,
            plan.pace,
            self._reactor,
            self._now,
            self._jitter,
            self._pipeline.report_notifier,
            lambda held: write_digest(held, plan.kind.escape, self._now()),
        )
        known = self._pipeline.decider.inventory.get(("", LinkType.NOTIFIER.value, plan.name))
        if known is not None and known.state != State.DELIVERING.value:
            deliverer.restore(State(known.state), str((known.fields or {}).get("reason", "")))
        return deliverer

    def make_stream(self, plan: StreamPlan) -> None:
        """Make a stream's service, and the client of its REST API."""
        settings = plan.settings
        url, headers, secrets = _session(plan)

        def make_factory(listener: DialListener) -> StreamFactory:
            return StreamFactory(
                url, headers, settings, self._reactor, self._jitter, listener, secrets
            )

        self.streams[plan.name] = StreamService(
            plan.name,
            _endpoint(plan, self._reactor),
            make_factory,
            self._reactor,
            self._now,
            self._pipeline.receive,
            self._pipeline.submit,
            settings.ping_interval.seconds + settings.ping_timeout.seconds,
        )
        web = self._webs.get(settings.ca_file)
        self._clients[plan.name] = ResourceClient(web, plan.rest, plan.credentials.headers())

    def connect(self, alive_at: float | None) -> None:
        """Make what asks the platforms, and tell the pipeline of it all."""
        pipeline, clock = self._pipeline, self._reactor
        submit, last_number = pipeline.submit, pipeline.last_number
        self._look_ups = LookUps(self._clients, submit, last_number, self._now, clock)
        for name, client in self._clients.items():
            known, blind = pipeline.decider.inventory, blind_since(pipeline.decider, name, alive_at)
            self._catch_ups[name] = CatchUp(
                name, client, known, submit, last_number, self._now, clock, blind
            )
        pipeline.connect(self.streams.values(), self._look_ups, self._catch_ups)

    def make_control(self, store_path: str, store: Store, health: HealthCheck) -> None:
        """Make what listens to the command line, unless no other process can know the store."""
        if store_path == IN_MEMORY:
            return
        path = socket_path(store_path)
        carry_out = self._pipeline.carry_out
        commands = Commands(store, carry_out, self._now, lambda: health.check().to_object())
        endpoint = UNIXServerEndpoint(self._reactor, path, mode=SOCKET_MODE, wantPID=0)
        self._control = ControlService(path, endpoint, commands.do, self._reactor)

    def make_heartbeat(self, settings: HeartbeatSettings, health: HealthCheck) -> None:
        """Make the heartbeat, if one is wanted."""
        if settings.url is not None:
            web, interval = self._webs.get(None), settings.interval.seconds
            self._heartbeat = Heartbeat(health.check, settings.url, interval, web, self._reactor)

    def others(self) -> Sequence[IService]:
        """Give the services that are there if a configuration wants them."""
        return [service for service in (self._control, self._heartbeat) if service is not None]

    def use(self, fresh: Configuration) -> None:
        """Go on with the credentials and addresses that a configuration has now."""
        if self._heartbeat is not None and fresh.heartbeat.url is not None:
            self._heartbeat.use(fresh.heartbeat.url)
        for notifier in fresh.notifiers:
            if notifier.name in self.notifiers:
                web = self._webs.get(notifier.ca_file)
                self.notifiers[notifier.name].use(notifier.notifier, web)
        for stream in fresh.streams:
            if stream.name in self.streams:
                self.streams[stream.name].use(*_session(stream))
                self._clients[stream.name].use(stream.rest, stream.credentials.headers())

    async def close(self) -> None:
        """Close what the services share, and what must not be there when the store is free."""
        if self._control is not None:
            await self._control.stopService()
        for catch_up in self._catch_ups.values():
            catch_up.stop()
        self._look_ups.stop()
        await self._webs.close()


def make_decider(configuration: Configuration) -> Decider:
    """Make the decider; rules whose notifiers are all off are left out."""
    rules = {rule.name: rule for rule in configuration.incidents if rule.texts}
    inventory = Inventory()
    incidents = Incidents(rules, inventory, configuration.destinations)
    inventory.is_needed = incidents.is_needed
    messages = [rule for rule in configuration.messages if rule.texts]
    return Decider(inventory, incidents, messages)


def _session(plan: StreamPlan) -> tuple[str, Mapping[str, str], Sequence[Secret]]:
    """Give URL and headers with the credentials in them, and what must not show of those."""
    credentials = plan.credentials
    if plan.settings.credentials == "header":
        headers = {name: value.reveal() for name, value in credentials.headers().items()}
        return plan.url, headers, credentials.secrets()
    return f"{plan.url}?{credentials.query().reveal()}", {}, credentials.secrets()


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
