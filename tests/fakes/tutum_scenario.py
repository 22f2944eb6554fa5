"""The small shop that lives on a stand-alone fake Tutum, about one event a second, without end.

A stack ``shop`` of the services web, db and cache runs on two nodes. It is deployed once; then
web is scaled up, one of its containers crashes and is started again, cache is redeployed, and web
is scaled down, over and over. Uuids come from a seeded source and stay the same within a run; the
REST objects are in step with every event.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from email.utils import formatdate
from itertools import count

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from tests.fakes.tutum import FakeTutum
from tests.fakes.tutum_events import (
    StreamEvent,
    action_event,
    container_event,
    new_uuid,
    node_event,
    nodecluster_event,
    service_event,
    stack_event,
    uri_of,
)

IMAGES = {"web": "shop/web:1.4", "db": "postgres:9.4", "cache": "redis:3.0"}
WEB_COUNT, WEB_COUNT_IN_SALE = 2, 4
# 128 + SIGKILL: what a container that ran out of memory shows.
CRASH_EXIT_CODE = 137


class Shop:
    """Lives one event at a time: each step of :meth:`life` is announced when it is taken."""

    def __init__(self, fake: FakeTutum, seed: int = 7) -> None:
        self._fake = fake
        self._source = random.Random(seed)
        self._stack, self._cluster = self._uuid(), self._uuid()
        self._nodes = [self._uuid(), self._uuid()]
        self._services = {name: self._uuid() for name in IMAGES}
        self._containers: dict[str, list[str]] = {name: [] for name in IMAGES}
        self._node_of: dict[str, str] = {}
        self._numbers = count(1)

    def life(self) -> Iterator[StreamEvent]:
        """Yield every event, in order, after it was announced; never ends."""
        yield from self._deploy()
        while True:
            yield from self._scale("web", WEB_COUNT_IN_SALE)
            yield from self._crash("web")
            yield from self._redeploy("cache")
            yield from self._scale("web", WEB_COUNT)

    def _uuid(self) -> str:
        return new_uuid(self._source)

    def _deploy(self) -> Iterator[StreamEvent]:
        cluster = nodecluster_event(self._cluster, state="Deployed")
        uris = [uri_of("node", node) for node in self._nodes]
        yield self._announce(cluster, name="shop-nodes", nodes=uris, current_num_nodes=len(uris))
        for number, node in enumerate(self._nodes, 1):
            event = node_event(node, nodecluster=self._cluster)
            yield self._announce(event, nickname=f"node-{number}.shop.example")
        yield self._announce(
            stack_event(self._stack, state="Starting"),
            name="shop",
            services=[uri_of("service", service) for service in self._services.values()],
        )
        for name in IMAGES:
            yield self._service(name, "Starting", action="create")
            started = self._uuid()
            yield self._action(started, name, "In progress", title="Service Start")
            for _ in range(WEB_COUNT if name == "web" else 1):
                yield from self._start_container(name)
            yield self._service(name, "Running")
            yield self._action(started, name, "Success")
        yield self._stack_is("Running")

    def _scale(self, name: str, target: int) -> Iterator[StreamEvent]:
        yield self._service(name, "Scaling", target_num_containers=target)
        while len(self._containers[name]) < target:
            yield from self._start_container(name)
        while len(self._containers[name]) > target:
            yield from self._end_container(name, self._containers[name][-1])
        yield self._service(name, "Running")

    def _crash(self, name: str) -> Iterator[StreamEvent]:
        broken = self._source.choice(self._containers[name])
        yield self._container(name, broken, "Stopped", exit_code=CRASH_EXIT_CODE)
        yield self._service(name, "Partly running")
        yield self._stack_is("Partly running")
        yield self._container(name, broken, "Starting", exit_code=None)
        yield self._container(name, broken, "Running")
        yield self._service(name, "Running")
        yield self._stack_is("Running")

    def _redeploy(self, name: str) -> Iterator[StreamEvent]:
        yield self._service(name, "Redeploying")
        redeployed = self._uuid()
        yield self._action(redeployed, name, "In progress", title="Service Redeploy")
        for old in list(self._containers[name]):
            yield from self._end_container(name, old)
            yield from self._start_container(name)
        yield self._service(name, "Running")
        yield self._action(redeployed, name, "Success")

    def _start_container(self, name: str) -> Iterator[StreamEvent]:
        uuid = self._uuid()
        self._containers[name].append(uuid)
        number = next(self._numbers)
        self._node_of[uuid] = self._nodes[number % len(self._nodes)]
        yield self._container(name, uuid, "Starting", action="create", name=f"{name}-{number}")
        yield self._container(name, uuid, "Running")

    def _end_container(self, name: str, uuid: str) -> Iterator[StreamEvent]:
        yield self._container(name, uuid, "Terminating")
        self._containers[name].remove(uuid)
        yield self._container(
            name, uuid, "Terminated", action="delete", destroyed_datetime=formatdate()
        )

    def _container(
        self, service: str, uuid: str, state: str, action: str = "update", **fields: object
    ) -> StreamEvent:
        event = container_event(
            uuid,
            action=action,
            state=state,
            service=self._services[service],
            stack=self._stack,
            node=self._node_of[uuid],
            nodecluster=self._cluster,
        )
        return self._announce(event, image_name=IMAGES[service], **fields)

    def _service(
        self, name: str, state: str, action: str = "update", **fields: object
    ) -> StreamEvent:
        event = service_event(self._services[name], action=action, state=state, stack=self._stack)
        containers = [uri_of("container", uuid) for uuid in self._containers[name]]
        counted = {"current_num_containers": len(containers), "containers": containers}
        return self._announce(event, name=name, image_name=IMAGES[name], **counted, **fields)

    def _stack_is(self, state: str) -> StreamEvent:
        return self._announce(stack_event(self._stack, action="update", state=state))

    def _action(self, uuid: str, service: str, state: str, title: str | None = None) -> StreamEvent:
        """Announce the beginning of an action, which has a title, or its end."""
        of = service_event(self._services[service], stack=self._stack)
        if title is None:
            event = action_event(uuid, action="update", state=state, of=of)
            return self._announce(event, end_date=formatdate())
        event = action_event(uuid, action="create", state=state, of=of)
        return self._announce(event, action=title, start_date=formatdate(), end_date=None)

    def _announce(self, event: StreamEvent, **fields: object) -> StreamEvent:
        self._fake.announce(event, **fields)
        return event


def open_shop(fake: FakeTutum, clock: IReactorTime, interval_seconds: float = 1.0) -> LoopingCall:
    """Let the shop live on this fake, an event for each interval, and return what drives it."""
    life = Shop(fake).life()

    def live() -> None:
        event = next(life)
        uri = event["resource_uri"]
        fake.echo(f"sent {event['type']} {event['action']} {event['state']} {uri}")

    driver = LoopingCall(live)
    driver.clock = clock
    driver.start(interval_seconds)
    return driver
