"""Puts a watch together: every part that a configuration asks for, each told of its neighbours."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from urllib.parse import urlsplit

import attrs
from twisted.application.service import IService
from twisted.internet.endpoints import UNIXServerEndpoint
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tutumwatch.changeover import Changeover
from tutumwatch.config.plans import Configuration
from tutumwatch.control.commands import Commands
from tutumwatch.control.resolving import Resolving
from tutumwatch.control.service import SOCKET_MODE, ControlService
from tutumwatch.control.silencing import Silencing
from tutumwatch.control.wire import socket_path
from tutumwatch.destinations import Destinations
from tutumwatch.dialling import Webs
from tutumwatch.events.inputs import Started
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.outbox.outbox import Outbox
from tutumwatch.outbox.store import IN_MEMORY, Store
from tutumwatch.reload import Reloads
from tutumwatch.restart import WatchTime, restore
from tutumwatch.root import Watch
from tutumwatch.rules.decider import Decider
from tutumwatch.sources import Sources
from tutumwatch.status.health import Health, HealthCheck
from tutumwatch.status.sdnotify import ServiceManager
from tutumwatch.vitals import Vitals
from tutumwatch.watch import Pipeline

# The least and the greatest factor that a delay is drawn out or shortened by.
JITTER = (0.8, 1.2)
SILENCE_ID_CHARS = 6

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
    core = _Core.begin(configuration, store, reactor, utc_now, dice)
    pipeline, outbox, now = core.pipeline, core.outbox, core.now
    webs, jitter = Webs(reactor, utc_now), partial(dice.uniform, *JITTER)
    sources = Sources(reactor, now, jitter, webs, pipeline)
    destinations = Destinations(reactor, now, jitter, webs, pipeline, outbox)
    for plan in configuration.notifiers:
        destinations.add(plan)
    for stream in configuration.streams:
        sources.add(stream, sources.make(stream), core.alive_at)
    streams = sources.services.values()
    health = HealthCheck(
        pipeline.decider, outbox, streams, lambda: pipeline.store_problem, lambda: reloads.last
    ).check
    vitals = Vitals(reactor, webs, health, configuration.status, configuration.heartbeat, manager)
    changeover = Changeover(
        configuration, pipeline, outbox, sources, destinations, vitals, webs, now
    )
    reloads = Reloads(changeover.go_over, now)
    control = _make_control(configuration.store_path, core, health, reactor, dice)

    async def close() -> None:
        """Close what the services share, and what must not be there when the store is free."""
        for service in control:
            await service.stopService()
        sources.stop()
        await webs.close()

    _say_what_is_on(configuration)
    return Watch(
        pipeline,
        outbox,
        streams,
        [*destinations.services.values(), *embedded, *control, *vitals.services()],
        reactor,
        vitals.status.say_stopping,
        close,
        reloads,
    )


@attrs.frozen
class _Core:
    """What all others are made around.

    ``now`` gives the watch's time; ``alive_at``: when we last ran.
    """

    outbox: Outbox
    pipeline: Pipeline
    now: Callable[[], float]
    alive_at: float | None

    @classmethod
    def begin(
        cls,
        configuration: Configuration,
        store: Store,
        reactor: IReactorTime,
        utc_now: Callable[[], float],
        dice: random.Random,
    ) -> _Core:
        """Go on with what the store has kept."""
        restored = store.restore()
        now = WatchTime.begin(reactor, utc_now, restored.alive_at).now
        decider = make_decider(configuration)
        streams = {plan.name for plan in configuration.streams}
        restore(decider, restored, streams, set(configuration.destinations), now())
        outbox = Outbox(store, {}, reactor)
        started = Started(_new_id(dice), restored.alive_at, now())
        pipeline = Pipeline(decider, outbox, reactor, now, started, restored.last_number)
        return cls(outbox, pipeline, now, restored.alive_at)


def _new_id(dice: random.Random) -> str:
    return f"{dice.getrandbits(48):012x}"


def _make_control(
    store_path: str,
    core: _Core,
    health: Callable[[], Health],
    reactor: IReactorTime,
    dice: random.Random,
) -> list[ControlService]:
    """Make what listens to the command line, unless no other process can know the store."""
    if store_path == IN_MEMORY:
        return []
    path, carry_out = socket_path(store_path), core.pipeline.carry_out
    silencing = Silencing(
        core.pipeline.decider,
        carry_out,
        core.now,
        lambda: _new_id(dice)[:SILENCE_ID_CHARS],
        reactor,
    )
    commands = Commands(
        core.outbox.store,
        carry_out,
        core.now,
        lambda: health().to_object(),
        silencing,
        Resolving(core.pipeline.decider, carry_out, core.now),
    )
    endpoint = UNIXServerEndpoint(reactor, path, mode=SOCKET_MODE, wantPID=0)
    return [ControlService(path, endpoint, commands.do, reactor)]


def make_decider(configuration: Configuration) -> Decider:
    """Make the decider, which knows nothing yet."""
    return Decider(Inventory(), configuration.rules)


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
