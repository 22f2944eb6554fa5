"""A story: the simulated cloud on one side, a decider with rules on the other, no socket between.

The cloud's events are the bytes that its bridge would send, its objects those of its REST API.
Time is virtual, and nothing is left to chance: the same story is told in the same way each time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import attrs

from tests.scenarios.kept import Kept
from tests.scenarios.ledger import Ledger, Page, Said
from tests.scenarios.staged_cloud import StagedCloud
from tests.scenarios.timeline import Timeline
from tutumwatch.assembly import make_decider
from tutumwatch.bridge.demo.cluster import FakeCluster
from tutumwatch.bridge.demo.engine import FakeEngine
from tutumwatch.bridge.demo.moments import Moments
from tutumwatch.config.environment import Environment
from tutumwatch.config.load import DOCKER, load_configuration
from tutumwatch.config.plans import Configuration
from tutumwatch.events.inputs import (
    CONNECTED,
    DISCONNECTED,
    Answer,
    Found,
    Input,
    Link,
    LinkType,
    Listed,
    Looked,
    Message,
    Reloaded,
    Started,
    Tick,
    Unanswered,
)
from tutumwatch.events.resource_uri import parse_resource_uri
from tutumwatch.inventory.resource import Key
from tutumwatch.resources.catchup import (
    LISTED_TYPES,
    RETRY_FIRST_SECONDS,
    RETRY_SECONDS,
    SETTLE_SECONDS,
)
from tutumwatch.restart import WatchTime, blind_since, restore
from tutumwatch.rules.decider import Decider
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.notice import Form
from tutumwatch.saving import SAVE_AFTER_SECONDS

STREAM, SLACK, PAGERDUTY, CONSOLE = "main", "slack", "pagerduty", "console"
VARIABLES = {
    "TUTUM_USERNAME": "ops",
    "TUTUM_TOKEN": "t0k3n",
    "SLACK_URL": "https://hooks.slack.com/services/T0/B0/w3bh00k",
    "PAGERDUTY_KEY": "0123456789abcdef0123456789abcdef",
}
# For the rules of a story of its own: the tables that are not about rules.
HEAD = """
[streams.main]
[notifiers.console]
kind = "console"
[notifiers.slack]
kind = "slack"
url = "${SLACK_URL}"
[notifiers.pagerduty]
kind = "pagerduty"
key = "${PAGERDUTY_KEY}"
"""
TICKS_AT_ONCE_MAX_COUNT = 1000
PLAY_MAX_SECONDS = 24 * 3600.0


@cache
def docker_rules() -> Configuration:
    """Load docker.toml, with all its notifiers on."""
    return load_configuration(None, Environment(VARIABLES, Path("/nonexistent")), DOCKER)


@cache
def own_rules(text: str) -> Configuration:
    """Load rules; the stream ``main`` and the notifiers console, slack and pagerduty are there."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(HEAD + text)
        file.flush()
        return load_configuration(file.name, Environment(VARIABLES, Path("/nonexistent")))


@attrs.define(eq=False, repr=False)
class _Life:
    """One life of the watcher: from a start to its end."""

    decider: Decider
    time: WatchTime
    number: int
    blind_since: float | None
    is_connected: bool = False
    # What is being looked up; True: to be asked once more after that.
    under_way: dict[str, bool] = attrs.field(factory=dict)
    # Tells a listing from the one of the connection before.
    run: int = 0


@attrs.define(eq=False, repr=False)
class Scenario:
    """A cloud and who watches it.

    ``rules``: the configuration of the next start. ``may_reject``: an input or a rule that raises
    is no mistake of the story. ``clock_wrong_seconds``: by how much our clock is ahead of the true
    time when we start.
    """

    rules: Configuration = attrs.field(factory=docker_rules)
    may_reject: bool = False
    clock_wrong_seconds: float = 0.0
    timeline: Timeline = attrs.field(factory=Timeline)
    ledger: Ledger = attrs.field(factory=Ledger)
    kept: Kept = attrs.field(factory=Kept)
    cloud: StagedCloud = attrs.field(init=False)
    _life: _Life | None = None
    _lives_count: int = 0
    _ticks: tuple[float, int] = (0.0, 0)

    def __attrs_post_init__(self) -> None:
        """Begin with an empty cloud that nobody watches."""
        self.cloud = StagedCloud(self.timeline, self._receive)

    # -- the cloud

    @property
    def engine(self) -> FakeEngine:
        """What can happen to the cloud: the operations for :meth:`play` and :meth:`begin`."""
        return self.cloud.engine

    @property
    def cluster(self) -> FakeCluster:
        """What there is in the cloud, and what is wrong with which images."""
        return self.cloud.cluster

    @property
    def seconds(self) -> float:
        """Say how far the story is."""
        return self.timeline.seconds

    def nodes(self, *hostnames: str, capacity: int | None = None) -> None:
        """Let nodes join.

        :param capacity: how many containers fit on each.
        """
        self.cluster.capacity = capacity
        for hostname in hostnames:
            self.play(self.engine.join(hostname))

    def deploy(self, stack: str | None, name: str, image: str, count: int, **labels: str) -> str:
        """Let a service be deployed, wait for its end, and give the engine's id of it."""
        self.play(self.engine.deploy(stack, name, image, count, labels=labels))
        return self.cloud.service(name)

    def cut(self, hostname: str) -> None:
        """Let a node be lost, while time passes."""
        self.begin(self.engine.cut_node(self.cloud.node(hostname)))

    def heal(self, hostname: str) -> None:
        """Let a node be back, while time passes."""
        self.begin(self.engine.heal_node(self.cloud.node(hostname)))

    def begin(self, operation: Moments) -> Callable[[], bool]:
        """Let an operation go on while time passes; give what says whether it has ended."""
        return self.cloud.begin(operation)

    def play(self, operation: Moments) -> float:
        """Let an operation go on to its end, and give how long it took."""
        begun = self.seconds
        has_ended = self.begin(operation)
        while not has_ended():
            assert self.seconds - begun < PLAY_MAX_SECONDS, "it does not end"
            self._step(begun + PLAY_MAX_SECONDS)
        return self.seconds - begun

    # -- time

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        end = self.seconds + seconds
        while self._step(end):
            pass

    def _step(self, end: float) -> bool:
        """Do what comes next, if it comes by then; False: the time is up."""
        at = self.timeline.next_at()
        due = self._next_due()
        if due is not None and due <= end and (at is None or due < at):
            self.timeline.go_to(due)
            self._tick()
            return True
        if at is not None and at <= end:
            self.timeline.make_next()
            return True
        self.timeline.go_to(end)
        return False

    def _next_due(self) -> float | None:
        if self._life is None:
            return None
        due = self._life.decider.next_due()
        if due is None:
            return None
        # Differences of seconds since 1970 are not exact.
        return max(self.seconds, round(self.seconds + due - self._life.time.now(), 6))

    def _tick(self) -> None:
        at, count = self._ticks
        self._ticks = (self.seconds, count + 1 if at == self.seconds else 1)
        assert self._ticks[1] < TICKS_AT_ONCE_MAX_COUNT, "what was due stays due"
        life = self._living()
        # What is due at a time is due then, however the seconds round.
        self.decide(Tick(max(life.time.now(), life.decider.next_due() or 0.0)))

    # -- the watcher

    @property
    def decider(self) -> Decider:
        """The decider of this life."""
        return self._living().decider

    @property
    def now(self) -> float:
        """Give the watch's time."""
        return self._living().time.now()

    def _living(self) -> _Life:
        assert self._life is not None, "nobody watches"
        return self._life

    def start(self, *, connect: bool = True) -> None:
        """Let the watcher begin with what was kept, and catch up with the cloud."""
        assert self._life is None, "it watches already"
        self._lives_count += 1
        restored = self.kept.restored()

        def wall_clock() -> float:
            return self.timeline.utc + self.clock_wrong_seconds

        time = WatchTime.begin(self.timeline.clock, wall_clock, restored.alive_at)
        decider = make_decider(self.rules)
        restore(decider, restored, {STREAM}, set(self.rules.destinations), time.now())
        blind = blind_since(decider, STREAM, restored.alive_at)
        self._life = _Life(decider, time, restored.last_number, blind)
        self.decide(Started(f"life-{self._lives_count}", restored.alive_at, time.now()))
        if connect:
            self.connect()
            self.wait(SETTLE_SECONDS + 2 * self.cloud.rest_seconds)

    def kill(self) -> None:
        """End the watcher at once; what happens from now on is not seen."""
        self.kept.alive_at = self.now
        self._life = None

    def lose_store(self) -> None:
        """Let the file be deleted while nobody watches."""
        assert self._life is None, "somebody watches"
        self.kept = Kept()

    def restart(self, away_seconds: float = 0.0) -> None:
        """End the watcher, and start it again after a while."""
        self.kill()
        self.wait(away_seconds)
        self.start()

    def reload(self, rules: Configuration) -> None:
        """Let other rules count from now on."""
        self.rules = rules
        self.decider.rule_sets[rules.id] = rules.rules
        self.decide(Reloaded(rules.id, self.now))

    def connect(self) -> None:
        """Let the stream connect; the lists are asked for."""
        life = self._living()
        life.is_connected = True
        life.run += 1
        self.link(LinkType.STREAM, STREAM, CONNECTED)
        since, life.blind_since = life.blind_since, None
        self._list_soon(life, life.run, since, self.cloud.rest_seconds, RETRY_FIRST_SECONDS)

    def disconnect(self, reason: str = "the server closed it") -> None:
        """Let the stream break; what happens from now on is not seen."""
        life = self._living()
        life.is_connected, life.blind_since = False, self.now
        life.run += 1
        self.link(LinkType.STREAM, STREAM, DISCONNECTED, reason)

    def link(self, type_: LinkType, name: str, state: str, reason: str = "") -> None:
        """Let a connection of ours have a state."""
        self.decide(Link(type_, name, state, reason, self.now))

    def decide(self, item: Input) -> Decisions:
        """Decide any input, commit what it comes to, and begin the look-ups that it wants."""
        life = self._living()
        decisions = life.decider.decide(item)
        rejected = life.decider.last_rejected
        assert self.may_reject or rejected is None, rejected
        if self.rules is docker_rules():
            assert not life.decider.counts["unrouted"], "docker.toml leaves nothing unsaid"
        self.kept.commit(decisions, life.time.now())
        if life.time.now() - self.kept.checkpointed_at >= SAVE_AFTER_SECONDS:
            self.kept.checkpoint(life.decider.inventory.take_unsaved(), life.time.now())
        self.ledger.hear(decisions, self.seconds)
        for need in sorted(decisions.needs, key=lambda n: (n.resource_uri, n.fresh)):
            self._look_up(life, need.resource_uri, fresh=need.fresh)
        return decisions

    def _receive(self, payload: bytes) -> None:
        life = self._life
        if life is not None and life.is_connected:
            life.number += 1
            self.decide(Message(STREAM, life.number, payload, life.time.now()))

    def _look_up(self, life: _Life, uri: str, *, fresh: bool = False) -> None:
        if uri in life.under_way:
            life.under_way[uri] |= fresh
            return
        life.under_way[uri] = False
        asked = life.number

        def answer() -> None:
            if life is self._life:
                self.decide(Looked(STREAM, uri, asked, self.cloud.get(uri), life.time.now()))
                if life.under_way.pop(uri):
                    self._look_up(life, uri)

        self.timeline.after(self.cloud.answer_seconds(uri), answer)

    def _list_soon(
        self, life: _Life, run: int, since: float | None, wait: float, retry: float
    ) -> None:
        def ask() -> None:
            if life is not self._life or life.run != run:
                return
            rows = self._list(life, since)
            if rows is None:
                self._list_soon(life, run, since, retry, min(retry * 4, RETRY_SECONDS))
            else:
                self.timeline.after(SETTLE_SECONDS, lambda: submit(tuple(rows)))

        def submit(rows: tuple[Looked, ...]) -> None:
            if life is self._life and life.run == run:
                self.decide(Listed(STREAM, rows, life.time.now()))

        self.timeline.after(wait, ask)

    def _list(self, life: _Life, since: float | None) -> list[Looked] | None:
        """Give all that there is, and of what is known and not listed what a look-up says."""
        objects = self.cloud.list_everything(since)
        if objects is None:
            return None
        answers: dict[str, Answer] = {str(o["resource_uri"]): Found(o) for o in objects}
        known = life.decider.inventory.resources_of(STREAM)
        for uri in [r.uri for r in known if r.type in LISTED_TYPES]:
            if uri not in answers:
                answers[uri] = self.cloud.get(uri)
        return [
            Looked(STREAM, uri, life.number, answer, life.time.now())
            for uri, answer in answers.items()
            if not isinstance(answer, Unanswered)
        ]

    # -- what was said

    @property
    def said(self) -> list[Said]:
        """All that was said, in order."""
        return self.ledger.said

    def lines(self, notifier: str = SLACK, since: float = 0.0) -> list[str]:
        """Give the texts that a destination was sent from a time on, messages and incidents."""
        return [s.text for s in self.said if s.notice.notifier == notifier and s.at >= since]

    def messages(self, notifier: str = SLACK, since: float = 0.0) -> list[str]:
        """Give the texts of the messages alone."""
        return [
            s.text
            for s in self.said
            if s.notice.notifier == notifier and s.notice.form is Form.MESSAGE and s.at >= since
        ]

    def pages(self, since: float = 0.0, notifier: str = PAGERDUTY) -> list[Page]:
        """Give the incidents that a destination opened from a time on, in order."""
        return [p for p in self.ledger.pages.get(notifier, []) if p.opened_at >= since]

    def open_pages(self, notifier: str = PAGERDUTY) -> list[str]:
        """Give the texts of the incidents that a destination has open, in order."""
        return [page.text for page in self.ledger.open_pages(notifier)]

    def known(self, type_: str, name: str) -> Key:
        """Give the watcher's key of a thing."""
        named = parse_resource_uri(self.cloud.thing(type_, name).uri)
        assert named is not None
        return (STREAM, named.type, named.uuid)

    def told(self) -> Sequence[tuple[float, str, str, str]]:
        """Give all that was said in a form to look at: when, to whom, in which form, what."""
        return [(round(s.at, 2), s.notice.notifier, s.notice.form.value, s.text) for s in self.said]
