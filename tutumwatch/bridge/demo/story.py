"""What happens in the simulated cloud: it is built, has a history, and then lives on for ever."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import attrs

from tutumwatch.bridge.demo.cluster import FakeCluster
from tutumwatch.bridge.demo.engine import FakeEngine
from tutumwatch.bridge.demo.moments import Moments

# stack (None: a service of its own), service, image, version, containers, port
_SERVICES = (
    ("shop", "web", "shop/web", 3, 80),
    ("shop", "api", "shop/api", 2, 8080),
    ("shop", "db", "postgres", 1, 0),
    ("shop", "cache", "redis", 1, 0),
    ("pay", "gateway", "pay/gateway", 2, 443),
    ("pay", "ledger", "pay/ledger", 2, 0),
    ("metrics", "collector", "metrics/collector", 2, 0),
    ("metrics", "store", "metrics/store", 1, 0),
    (None, "mailer", "acme/mailer", 1, 25),
)
_NODES = ("node-1", "node-2", "node-3")
HISTORY_ACTIONS_COUNT = 25
SCALE_MAX_COUNT = 5


@attrs.define(eq=False)
class Story:
    """One cloud's life, an endless sequence of moments; a seed gives the same one again."""

    _dice: random.Random
    cluster: FakeCluster = attrs.field(init=False)
    engine: FakeEngine = attrs.field(init=False)
    _version: int = 10

    def __attrs_post_init__(self) -> None:
        self.cluster = FakeCluster(self._dice)
        self.engine = FakeEngine(self.cluster)

    def beginning(self) -> Moments:
        """Build the cloud, and let enough happen that it has a past; ends with all well."""
        for hostname in _NODES:
            yield from self.engine.join(hostname)
        for stack, name, image, count, port in _SERVICES:
            yield from self.engine.deploy(stack, name, self._image(image), count, port)
        for number in range(HISTORY_ACTIONS_COUNT - len(_SERVICES)):
            service_id = list(self.cluster.services)[number % len(self.cluster.services)]
            yield from self._redeploy(service_id)
        # A one-off job that ended: a container that stays, stopped.
        yield from self.engine.leave_stopped("backup", "acme/backup:1.0")

    def life(self) -> Iterator[Moments]:
        """Give one operation after the other, for ever; a deploy comes first."""
        yield self.round()
        turns: tuple[Callable[[], Moments], ...] = (
            self._scale,
            self._crash,
            self.round,
            self._lose_a_node,
            self._come_and_go,
        )
        weights = (3, 3, 4, 1, 1)
        while True:
            yield self._dice.choices(turns, weights)[0]()

    def round(self) -> Moments:
        """Redeploy one service, with all that belongs to it."""
        yield from self._redeploy(self._dice.choice(list(self.cluster.services)))

    def _redeploy(self, service_id: str) -> Moments:
        image = self.cluster.services[service_id].image.split(":")[0]
        self._version += 1
        yield from self.engine.redeploy(service_id, self._image(image))

    def _image(self, name: str) -> str:
        return f"{name}:{self._version // 10}.{self._version % 10}"

    def _scale(self) -> Moments:
        service = self._dice.choice(list(self.cluster.services.values()))
        others = [n for n in range(1, SCALE_MAX_COUNT + 1) if n != service.replica_count]
        yield from self.engine.scale(service.id, self._dice.choice(others))

    def _crash(self) -> Moments:
        victim = self._dice.choice(self.cluster.running_containers())
        yield from self.engine.crash(victim, oom=self._dice.random() < 0.5)  # noqa: PLR2004 - a coin

    def _lose_a_node(self) -> Moments:
        yield from self.engine.lose_node(self._dice.choice(list(self.cluster.nodes)))

    def _come_and_go(self) -> Moments:
        """Deploy a stack for a trial, and remove it again."""
        yield from self.engine.deploy("trial", "canary", self._image("shop/web"), 1, 0)
        for service in list(self.cluster.services.values()):
            if service.stack == "trial":
                yield from self.engine.remove(service.id)
