"""One life of the watcher: everything of it but the sockets, on a clock, over the file that is left."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any, cast

import attrs
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock

from tests.model.destinations import ModelDestination
from tests.model.file import KilledError, StoreFile
from tests.model.happened import HAPPENED
from tests.model.ledger import Ledger
from tests.model.platform import STREAM, ModelRest, ModelStream, Platform
from tutumwatch.assembly import make_decider
from tutumwatch.config.environment import Environment
from tutumwatch.config.load import load_configuration
from tutumwatch.config.plans import Configuration
from tutumwatch.control.commands import Commands
from tutumwatch.control.resolving import Resolving
from tutumwatch.control.silencing import Silencing
from tutumwatch.events.inputs import LinkType, OwedRow, Reloaded, Started
from tutumwatch.inventory.resource import Key, Resource
from tutumwatch.notifiers.outcomes import Outcome
from tutumwatch.notifiers.service import NotifierService
from tutumwatch.outbox.deliverer import Deliverer
from tutumwatch.outbox.digest import write_digest
from tutumwatch.outbox.gate import State
from tutumwatch.outbox.outbox import Outbox
from tutumwatch.outbox.sqlite.store import SQLiteStore
from tutumwatch.outbox.store import Delivery, Head, HeldUp, Restored, StoreUnwritableError
from tutumwatch.reload import Reloads
from tutumwatch.resources.catchup import CatchUp
from tutumwatch.resources.client import ResourceClient
from tutumwatch.resources.lookups import LookUps
from tutumwatch.restart import WatchTime, blind_since, restore
from tutumwatch.root import Watch
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.notice import Notice
from tutumwatch.secret import Secret
from tutumwatch.stream.service import StreamService
from tutumwatch.watch import Pipeline

# So few heads are held in memory that histories come to the limit; Slack's batches need more.
HEADS_MAX_COUNTS = {"slack": 40, "pd": 4, "hook": 4}
CALLS_AT_ONCE_MAX_COUNT = 5_000
MARK_FAILED = "disk: a mark or an end of a delivery failed"
RULES = """
[streams.main]
auth = "Basic eA=="
rest = "http://rest.example"
[notifiers.slack]
kind = "slack"
url = "http://slack.example/KEY"
stale_after = "10m"
give_up_after = "20m"
[notifiers.pd]
kind = "pagerduty"
host = "http://pagerduty.example"
key = "0123456789abcdef0123456789abcdef"
give_up_after = "20m"
[notifiers.hook]
kind = "slack"
url = "http://hook.example/KEY"
batch = 1
rate = 0
concurrency = 4
retry_after = "notice"
stale_after = "10m"
give_up_after = "5m"

[[messages]]
name = "box"
match = { type = "container" }
notify = ["slack", "hook"]
text = "{{ uuid }} of {{ service.name }} is {{ state }}"
[[messages]]
name = "service"
match = { type = "service" }
notify = ["hook", "slack"]
fresh = ["stack"]
text = "{{ stack.name }} has {{ uuid }} {{ state }}"
[[messages]]
name = "one stack"
match = { type = "service", stack.name = "name-of-sa0" }
notify = ["hook"]
fresh = ["stack"]
text = "ours: {{ uuid }} {{ state }}"

[[incidents]]
name = "stream down"
while = { type = "stream", state = "!Connected" }
for = "15s"
clear_for = "5s"
key = "tutum-stream"
notify = ["pd", "slack"]
text = "down: {{ reason }}"
resolve_text = "up"
[[incidents]]
name = "destination down"
while = { type = "notifier", state = ["Failing", "Refused"] }
for = "20s"
clear_for = "5s"
key = "notifier/{{ name }}"
notify = ["pd", "hook"]
"""


# The same incidents under other names, which are patient for another time, and other messages.
OTHER_RULES = (
    RULES.replace('"stream down"', '"no stream"\nwas = "stream down"')
    .replace('"destination down"', '"no destination"\nwas = "destination down"')
    .replace('for = "15s"', 'for = "25s"')
    .replace('for = "20s"', 'for = "10s"')
    .replace('name = "one stack"', 'name = "another"')
    .replace('notify = ["slack", "hook"]', 'notify = ["slack"]')
    .replace("down: {{ reason }}", "no stream: {{ reason }}")
)
RULES = RULES.replace('"stream down"', '"stream down"\nwas = "no stream"').replace(
    '"destination down"', '"destination down"\nwas = "no destination"'
)


@cache
def configuration(*, is_other: bool = False) -> Configuration:
    """Load one of the two configurations of every history."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(OTHER_RULES if is_other else RULES)
        file.flush()
        return load_configuration(file.name, Environment({}, Path("/nowhere")))


def for_seconds() -> Mapping[str, Mapping[LinkType, float]]:
    """Give for how long each must last under each configuration, by its id."""
    stream, notifier = LinkType.STREAM, LinkType.NOTIFIER
    return {
        configuration().id: {stream: 15.0, notifier: 20.0},
        configuration(is_other=True).id: {stream: 25.0, notifier: 10.0},
    }


def with_keys(keys: Mapping[str, str], *, is_other: bool) -> Configuration:
    """Give a configuration with other credentials."""
    chosen = configuration(is_other=is_other)
    plans = []
    for plan in chosen.notifiers:
        notifier: Any = plan.notifier
        key = keys[plan.name]
        if plan.kind.name == "pagerduty":
            notifier = attrs.evolve(notifier, key=Secret(key))
        else:
            notifier = attrs.evolve(notifier, url=Secret(f"http://{plan.name}.example/{key}"))
        plans.append(attrs.evolve(plan, notifier=notifier))
    return attrs.evolve(chosen, notifiers=tuple(plans))


@contextmanager
def counted_failure(name: str) -> Iterator[None]:
    """Count how often something could not be written."""
    try:
        yield
    except StoreUnwritableError:
        HAPPENED[name] += 1
        raise


@attrs.define(eq=False)
class LedgerStore:
    """The real store; the ledger is told what is tried, and finds out what was done."""

    inner: SQLiteStore
    _ledger: Ledger
    replaced_count: int = 0

    @property
    def counts(self) -> Mapping[str, int]:
        """See Store."""
        return self.inner.counts

    def restore(self) -> Restored:
        """See Store."""
        return self.inner.restore()

    async def open(self) -> Sequence[Head]:
        """See Store."""
        return await self.inner.open()

    async def commit(self, decisions: Decisions, at: float) -> Sequence[Head]:
        """See Store."""
        self._ledger.offer(decisions, self.inner._last_page.number + 1)
        with counted_failure("disk: a commit failed"):
            return await self.inner.commit(decisions, at)

    async def heads(self, notifier: str, count: int) -> Sequence[Head]:
        """See Store."""
        found = await self.inner.heads(notifier, count)
        HAPPENED["fell behind its heads"] += len(found) == count
        return found

    async def begin(self, row_ids: Sequence[int]) -> Sequence[Delivery]:
        """See Store."""
        with counted_failure(MARK_FAILED):
            return await self.inner.begin(row_ids)

    async def finish(
        self, outcomes: Mapping[int, Outcome], up_seconds: Mapping[int, float]
    ) -> Sequence[Head]:
        """See Store."""
        with counted_failure(MARK_FAILED):
            return await self.inner.finish(outcomes, up_seconds)

    async def digest(
        self, notifier: str, before: float, write: Callable[[HeldUp], Notice]
    ) -> Sequence[Head]:
        """See Store."""

        def told(held: HeldUp) -> Notice:
            notice = write(held)
            self._ledger.offer_digest(held, notice)
            return notice

        return await self.inner.digest(notifier, before, told)

    async def checkpoint(self, changed: Mapping[Key, Resource | None], at: float) -> None:
        """See Store."""
        await self.inner.checkpoint(changed, at)

    async def find(self, row_ids: Sequence[int]) -> Sequence[OwedRow]:
        """See Store."""
        return await self.inner.find(row_ids)

    def owed_counts(self) -> Mapping[str, int]:
        """See Store."""
        return self.inner.owed_counts()

    async def close(self) -> None:
        """See Store."""
        await self.inner.close()


@attrs.define(eq=False)
class Life:
    """The watcher from its start to its end.

    ``armed``: where a delivery is to be ended by a crash, if it comes there. ``thread_seconds``:
    how long the store's thread takes to give its answer; None: no time at all.
    """

    file: StoreFile
    ledger: Ledger
    platform: Platform
    destinations: Mapping[str, ModelDestination]
    configuration: Configuration
    dice: Random
    wall: float
    thread_seconds: float | None = None
    armed: str = ""
    is_dead: bool = False
    is_buried: bool = False
    has_time: bool = False
    clock: Clock = attrs.field(factory=Clock)
    begun_at: float = 0.0
    stopped: Deferred[None] | None = None
    now: Callable[[], float] = attrs.field(init=False)
    store: LedgerStore = attrs.field(init=False)
    pipeline: Pipeline = attrs.field(init=False)
    outbox: Outbox = attrs.field(init=False)
    stream: ModelStream = attrs.field(init=False)
    watch: Watch = attrs.field(init=False)
    commands: Commands = attrs.field(init=False)
    _last_call_at: float = 0.0
    _calls_count: int = 0
    _services: dict[str, NotifierService] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.clock.advance(5_000.0)
        self.begun_at = self.clock.seconds()

    def begin(self) -> None:
        """Construct the watcher as a start does, and start it.

        :raises KilledError: if it does not come so far.
        """
        file, clock = self.file, self.clock
        utc_now = self._wall_time
        inner = SQLiteStore(str(file.path), file.connect, utc_now, self._in_thread, lambda: None)
        self.store = LedgerStore(inner, self.ledger)
        restored = self.store.restore()
        self.now = WatchTime.begin(clock, utc_now, restored.alive_at).now
        self.has_time = True
        decider = make_decider(self.configuration)
        names = {plan.name for plan in self.configuration.notifiers}
        restore(decider, restored, {STREAM}, names, self.now())
        HAPPENED["restart: a timer goes on"] += decider.incidents.next_due() is not None
        HAPPENED["restart: a look-up begins anew"] += len(decider.speaking.waiting) > 0
        deliverers: dict[str, Deliverer] = {}
        self.outbox = Outbox(self.store, deliverers, clock)
        started = Started(f"{self.dice.getrandbits(48):012x}", restored.alive_at, self.now())
        self.ledger.expected.configurations[started.run_id] = self.configuration.id
        self.pipeline = Pipeline(
            decider, self.outbox, clock, self.now, started, restored.last_number
        )
        for plan in self.configuration.notifiers:
            service = NotifierService(plan.name, plan.notifier, self.destinations[plan.name])
            self._services[plan.name] = service
            deliverer = deliverers[plan.name] = Deliverer(
                plan.name,
                partial(self._deliver, plan.name),
                self.store,
                plan.pace,
                clock,
                self.now,
                lambda: self.dice.uniform(0.8, 1.2),
                self.pipeline.report_notifier,
                partial(self._write_digest, plan.kind.escape),
                HEADS_MAX_COUNTS[plan.name],
            )
            known = decider.inventory.get(("", LinkType.NOTIFIER.value, plan.name))
            if known is not None and known.state != State.DELIVERING.value:
                deliverer.restore(State(known.state), str((known.fields or {}).get("reason", "")))
        self._connect(restored.alive_at)
        self.watch.startService()

    def _wall_time(self) -> float:
        return self.wall + self.clock.seconds() - self.begun_at

    def _write_digest(self, escape: Callable[[str], str], held: HeldUp) -> Notice:
        return write_digest(held, escape, self.now())

    def _connect(self, alive_at: float | None) -> None:
        pipeline, clock, now = self.pipeline, self.clock, self.now
        submit, last_number = pipeline.submit, pipeline.last_number
        base = "http://rest.example"
        asked = ResourceClient(ModelRest(self.platform, clock, counts=True), base, {})
        listed = ResourceClient(ModelRest(self.platform, clock, counts=False), base, {})
        look_ups = LookUps({STREAM: asked}, submit, last_number, now, clock)
        inventory = pipeline.decider.inventory
        blind = blind_since(pipeline.decider, STREAM, alive_at)
        catch_up = CatchUp(STREAM, listed, inventory, submit, last_number, now, clock, blind)
        self.stream = ModelStream(self.platform, clock, now, pipeline.receive, submit)
        streams = [cast("StreamService", self.stream)]
        pipeline.connect(streams, look_ups, {STREAM: catch_up})
        silencing = Silencing(
            pipeline.decider,
            pipeline.carry_out,
            now,
            lambda: f"{self.dice.getrandbits(24):06x}",
            clock,
        )
        resolving = Resolving(pipeline.decider, pipeline.carry_out, now)
        self.commands = Commands(self.store, pipeline.carry_out, now, dict, silencing, resolving)

        async def close() -> None:
            catch_up.stop()
            look_ups.stop()

        self.watch = Watch(
            pipeline,
            self.outbox,
            streams,
            list(self._services.values()),
            clock,
            lambda: None,
            close,
            Reloads(self._use, now),
        )

    async def _use(self, fresh: Configuration) -> None:
        """Go over to another configuration, in the order of changeover.py."""
        for plan in fresh.notifiers:
            self._services[plan.name].use(plan.notifier, self.destinations[plan.name])
        self.pipeline.decider.rule_sets[fresh.id] = fresh.rules
        await self.pipeline.carry_out(Reloaded(fresh.id, self.now()))
        self.stream.redial()
        for deliverer in self.outbox.deliverers.values():
            deliverer.probe_now()

    # -- the seams at which a crash may come

    def _in_thread(self, work: Callable[[], Any]) -> Deferred[Any]:
        """Do the store's work; the answer comes when the thread has told the reactor."""
        if self.is_dead or self._is_spinning():
            return Deferred()
        try:
            done = execute(self._surviving, work)
        except KilledError:
            return Deferred()
        if self.is_dead or self.thread_seconds is None:
            return Deferred() if self.is_dead else done
        answered: Deferred[Any] = Deferred()
        self.clock.callLater(self.thread_seconds, done.addBoth, answered.callback)
        return answered

    def _is_spinning(self) -> bool:
        """Say whether the store is asked again and again without any time passing."""
        if self._last_call_at != self.clock.seconds():
            self._last_call_at, self._calls_count = self.clock.seconds(), 0
        self._calls_count += 1
        if self._calls_count == CALLS_AT_ONCE_MAX_COUNT:
            self.ledger.broken.append("the store is asked without end")
        return self._calls_count >= CALLS_AT_ONCE_MAX_COUNT

    def _surviving(self, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the work gives
        try:
            return work()
        except KilledError:
            return None

    async def _deliver(
        self, name: str, batch: Sequence[Notice], memory: Mapping[str, str]
    ) -> Sequence[Outcome]:
        await self._survive("crash: between mark and request")
        self.destinations[name].batch = batch
        outcomes = await self._services[name].deliver(batch, memory)
        await self._survive("crash: between answer and end")
        return outcomes

    async def _survive(self, point: str) -> None:
        """Go on, unless the process ends here or has ended."""
        if self.armed == point and not self.is_dead:
            HAPPENED[point] += 1
            self.file.leave()
        if self.is_dead:
            await Deferred[None]()
