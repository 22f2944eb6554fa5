"""What happens in the simulated cloud: it is built, has a history, and then lives on for ever.

Its life begins with one of each thing that is worth telling, so that whoever has a minute sees
what watching is for: a good deploy, a bad one and its fix, a lost node, a crash loop and its fix.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice, repeat

import attrs

from tutumwatch.bridge.demo.cluster import FakeCluster
from tutumwatch.bridge.demo.engine import FakeEngine
from tutumwatch.bridge.demo.flaws import Flaw
from tutumwatch.bridge.demo.moments import Moment, Moments
from tutumwatch.bridge.happenings import ContainerIs, ContainerPhase, Update

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
# More than a blip: what is lost for less than half a minute is told to nobody.
OUTAGE_SECONDS = 35.0
# So often something crashes before it is mended; after a bad deploy it crashes for so many moments.
LOOP_DEATHS_COUNT, LOOP_MOMENTS_COUNT = 4, 4

Turn = Callable[[], Moments]


@attrs.define(eq=False)
class Story:
    """One cloud's life, an endless sequence of moments; a seed gives the same one again.

    :param seconds: says how much time has passed since it began.
    """

    _dice: random.Random
    _seconds: Callable[[], float]
    cluster: FakeCluster = attrs.field(init=False)
    engine: FakeEngine = attrs.field(init=False)
    _version: int = 10
    _lost: str | None = None
    _back_at: float = 0.0

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
        opening = (self.round, self._lose_a_node, self._deploy_badly, self._crash_on_and_on)
        for turn in chain(opening, self._turns()):
            yield self._until_it_is_back(turn())

    def _until_it_is_back(self, operation: Moments) -> Moments:
        """Let an operation go on; between its moments a node that was lost for long comes back."""
        for moment in operation:
            yield moment
            if self._lost is not None and self._seconds() >= self._back_at:
                node_id, self._lost = self._lost, None
                yield from self.engine.heal_node(node_id)

    def _turns(self) -> Iterator[Turn]:
        turns: Sequence[Turn] = (
            self.round,
            self._scale,
            self._come_and_go,
            self._deploy_badly,
            self._lose_a_node,
            self._crash,
            self._crash_on_and_on,
        )
        weights = (8, 3, 2, 1, 1, 1, 1)
        for _ in repeat(None):
            yield self._dice.choices(turns, weights)[0]

    def round(self) -> Moments:
        """Redeploy one service, with all that belongs to it."""
        yield from self._redeploy(self._a_service())

    def _a_service(self) -> str:
        return self._dice.choice(list(self.cluster.services))

    def _redeploy(self, service_id: str) -> Moments:
        yield from self.engine.redeploy(service_id, self._next_image(service_id))

    def _next_image(self, service_id: str) -> str:
        image = self.cluster.services[service_id].image.split(":")[0]
        self._version += 1
        return self._image(image)

    def _image(self, name: str) -> str:
        return f"{name}:{self._version // 10}.{self._version % 10}"

    def _scale(self) -> Moments:
        service = self.cluster.services[self._a_service()]
        others = [n for n in range(1, SCALE_MAX_COUNT + 1) if n != service.replica_count]
        yield from self.engine.scale(service.id, self._dice.choice(others))

    def _come_and_go(self) -> Moments:
        """Deploy a stack for a trial, and remove it again."""
        yield from self.engine.deploy("trial", "canary", self._image("shop/web"), 1, 0)
        for service in list(self.cluster.services.values()):
            if service.stack == "trial":
                yield from self.engine.remove(service.id)

    # -- what goes wrong

    def _deploy_badly(self) -> Moments:
        """Deploy an image whose containers crash; then one that is good."""
        service_id = self._a_service()
        image = self._next_image(service_id)
        self.cluster.flaws[image] = Flaw()
        bad = self.engine.redeploy(service_id, image)
        for moment in bad:
            yield moment
            if self.cluster.services[service_id].update is Update.PAUSED:
                break
        yield from islice(bad, LOOP_MOMENTS_COUNT)
        yield from self._mend(service_id, bad)

    def _crash_on_and_on(self) -> Moments:
        """Let the containers of a service crash, and those in their place; then deploy a fix."""
        service_id = self._a_service()
        loop = self.engine.spoil(service_id, Flaw(is_oom=self._toss()))
        deaths_count = 0
        for moment in loop:
            yield moment
            deaths_count += _deaths_in(moment)
            if deaths_count >= LOOP_DEATHS_COUNT:
                break
        yield from self._mend(service_id, loop)

    def _mend(self, service_id: str, trouble: Moments) -> Moments:
        """Deploy what is good, which ends the trouble."""
        yield from self._redeploy(service_id)
        yield from trouble
        self.cluster.flaws.clear()

    def _crash(self) -> Moments:
        victim = self._dice.choice(self.cluster.running_containers())
        yield from self.engine.crash(victim, oom=self._toss())

    def _toss(self) -> bool:
        return self._dice.random() < 0.5  # noqa: PLR2004 - a coin

    def _lose_a_node(self) -> Moments:
        """Let a node be lost, of which no other is; it is back after a while."""
        if self._lost is None:
            self._lost = self._dice.choice(list(self.cluster.nodes))
            self._back_at = self._seconds() + OUTAGE_SECONDS
            yield from self.engine.cut_node(self._lost)


def _deaths_in(moment: Moment) -> int:
    stopped = ContainerPhase.STOPPED
    return sum(isinstance(h, ContainerIs) and h.phase is stopped for h in moment.happenings)
