"""What can happen to a watcher, as verbs; after each, what must hold is checked."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from zope.interface import implementer

from tests.model.destinations import Manner, ModelDestination
from tests.model.expected import ExpectedIncidents
from tests.model.file import CrashPoint, DiskFault, KilledError, StoreFile, Work
from tests.model.happened import HAPPENED
from tests.model.ledger import BrokenPromiseError, Ledger, require
from tests.model.life import HEADS_MAX_COUNTS, Life, configuration, for_seconds, with_keys
from tests.model.platform import STREAM, Platform, Rest
from tutumwatch.control.wire import AskDrop, AskRetry, AskSilence
from tutumwatch.events.inputs import CONNECTED, DISCONNECTED
from tutumwatch.outbox.sqlite.rows import DEAD

BEGUN_AT = 1_800_000_000.0
STOP_SECONDS = 5.0
# Nothing that can be sent lies about for longer, as long as the disk works.
STUCK_MAX_SECONDS = 2.0
HOUR_SECONDS = 3_600.0
_SPINNING_COUNT = 20_000


def _memory() -> str | None:
    """Give a folder in memory: a crash of a process does not ask whether the disk was fast."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a folder of our own is made in it


@implementer(ILogObserver)
@attrs.define
class BugObserver:
    """Keeps what is logged as a bug: what was caught, and must not have been raised."""

    bugs: list[str] = attrs.field(factory=list)

    def __call__(self, event: LogEvent) -> None:
        """Take a log event."""
        if event["log_level"] is LogLevel.critical:
            failure = event.get("log_failure")
            said = failure.getTraceback() if failure is not None else ""
            self.bugs.append(f"{formatEvent(event)}\n{said}")


@attrs.frozen
class Restart:
    """How the watcher comes back after its end."""

    down_seconds: float = 1.0
    clock_back: bool = False
    thread_seconds: float | None = None


@attrs.define(eq=False)
class History:
    """The world and the watcher in it; the watcher is started again whenever it has ended."""

    dice: Random
    folder: Path = attrs.field(init=False)
    platform: Platform = attrs.field(factory=Platform)
    file: StoreFile = attrs.field(init=False)
    ledger: Ledger = attrs.field(init=False)
    destinations: dict[str, ModelDestination] = attrs.field(factory=dict)
    life: Life = attrs.field(init=False)
    _restart: Restart = attrs.field(factory=Restart)
    _keys: dict[str, str] = attrs.field(factory=dict)
    # Which of the two configurations is in the file.
    _is_other: bool = False
    # The wall clock when the life that is began, and what it then showed too much or too little.
    _wall: float = BEGUN_AT
    _observer: BugObserver = attrs.field(factory=BugObserver)
    _now: float = BEGUN_AT
    _asked: list[Deferred[Any]] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tutumwatch-model-", dir=_memory()))
        globalLogPublisher.addObserver(self._observer)
        self.file = StoreFile(self.folder, self._died)
        self.file.path.parent.mkdir()
        plans = configuration().notifiers
        self.ledger = Ledger(
            self.file,
            {plan.name: plan.pace.stale_after_seconds for plan in plans},
            {plan.name: plan.pace.give_up_after_seconds for plan in plans},
            ExpectedIncidents(for_seconds()),
        )
        for plan in plans:
            self._keys[plan.name] = f"{plan.name:->32}"
            self.destinations[plan.name] = ModelDestination(
                plan.name, plan.pace, self.ledger, self._watch_time, self._keys[plan.name]
            )
        self._start()

    def close(self) -> None:
        """Leave nothing behind."""
        globalLogPublisher.removeObserver(self._observer)
        self.life.is_dead = True
        self.file.forget_connections()
        shutil.rmtree(self.folder)

    def _watch_time(self) -> float:
        return self.life.now() if self.life.has_time else self._now

    @staticmethod
    def uris() -> set[str]:
        """Give the names of all that a history may tell of."""
        return set(Platform().things)

    # -- lives

    def be_alive(self) -> None:
        """Start the watcher, if it has ended; until it stays."""
        self._after_end()
        while self.life.is_dead:
            self._start()
            self._after_end()

    def _start(self) -> None:
        restart, self._restart = self._restart, Restart()
        self._wall += restart.down_seconds
        if restart.clock_back:
            self._wall -= HOUR_SECONDS
            HAPPENED["restart: the clock an hour back"] += 1
        self.file.fault = DiskFault.NONE
        self.life = Life(
            self.file,
            self.ledger,
            self.platform,
            self.destinations,
            with_keys(self._keys, is_other=self._is_other),
            self.dice,
            self._wall,
            restart.thread_seconds,
        )
        for destination in self.destinations.values():
            destination.new_life(self.life.clock)
        try:
            self.life.begin()
        except KilledError:
            self.life.is_dead = True

    def _died(self) -> None:
        """Take note that the process ended just now, with the file as it is."""
        self.life.is_dead = True

    def _after_end(self) -> None:
        """See to it that a dead process leaves nothing but its file."""
        life = self.life
        if not life.is_dead or life.is_buried:
            return
        life.is_buried = True
        self._now = self._watch_time()
        self._wall += life.clock.seconds() - life.begun_at
        self.file.forget_connections()
        self.file.armed = None
        self._asked.clear()
        if self.file.rows("SELECT 1 FROM sqlite_master WHERE name = 'journal'"):
            self.ledger.look(self._now)
        for destination in self.destinations.values():
            destination.crashed()
        self.ledger.crashed()

    def crash(self, restart: Restart) -> None:
        """Kill the watcher now."""
        self._restart = restart
        under_way = any(d.is_under_way() for d in self.destinations.values())
        HAPPENED[
            "crash: while a request is under way" if under_way else "crash: between two steps"
        ] += 1
        self.file.leave()
        self._after_end()

    def crash_at(self, point: CrashPoint | str, restart: Restart) -> None:
        """Kill the watcher when it comes to a point."""
        self._restart = restart
        if isinstance(point, CrashPoint):
            if point.work is Work.START:
                self.crash(restart)
            self.file.armed = point
        else:
            self.life.armed = point

    def stop(self, restart: Restart) -> None:
        """Stop the watcher as a service manager does; it is back with the next step."""
        self._restart = restart
        life = self.life
        stopped: list[object] = []
        life.watch.stopService().addBoth(stopped.append)
        self._pass(STOP_SECONDS, lambda: bool(stopped))
        if not life.is_dead:
            require(stopped == [None], f"it did not stop in {STOP_SECONDS} s: {stopped}")
            left = [str(call) for call in life.clock.getDelayedCalls()]
            if self.file.fault is DiskFault.NONE:
                require(not left, f"a stopped watcher still waits: {left}")
            HAPPENED["stop: clean"] += 1
            life.is_dead = True
        self._after_end()

    # -- time

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._pass(seconds, lambda: False)

    def _pass(self, seconds: float, is_enough: Callable[[], bool]) -> None:
        clock = self.life.clock
        end = clock.seconds() + seconds
        for _ in range(_SPINNING_COUNT):
            if self.life.is_dead or is_enough():
                break
            due = clock.calls[0].getTime() if clock.calls else end
            if due > end:
                clock.advance(end - clock.seconds())
                break
            clock.advance(max(0.0, due - clock.seconds()))
            if not clock.calls and clock.seconds() >= end:
                break
        else:
            raise BrokenPromiseError(f"{_SPINNING_COUNT} timers in {seconds} s")
        self._after_end()

    # -- what happens

    def happen(self, uri: str, state: str | None, *, with_uuid: bool) -> None:
        """Let something happen on the platform, which tells of it if anybody listens."""
        payload = self.platform.change(self.platform.things[uri], state, with_uuid=with_uuid)
        seen = self.life.stream.send(payload)
        self.platform.count(payload, seen=seen)
        if seen and with_uuid:
            self.platform.said.append(payload)

    def happen_to_many(self, state: str | None, count: int) -> None:
        """Let the same happen to the last resources at once."""
        for uri in sorted(self.platform.things)[-count:]:
            self.happen(uri, state, with_uuid=False)

    def behave(self, name: str, manner: Manner) -> None:
        """Let a destination behave so from now on."""
        self.destinations[name].manner = manner

    def behave_next(self, name: str, manners: Sequence[Manner]) -> None:
        """Let a destination meet its next requests so."""
        self.destinations[name].next_manners.extend(manners)

    def hate(self, name: str, uri: str) -> None:
        """Let a destination fail whenever it is to hear of a resource."""
        self.destinations[name].hated.add("/".join((STREAM, *uri.strip("/").split("/")[2:])))

    def answer_look_ups(self, rest: Rest) -> None:
        """Let the REST API answer so from now on."""
        self.platform.rest = rest

    def disk(self, fault: DiskFault) -> None:
        """Let the disk be so from now on."""
        self.file.fault = fault

    def repeat(self, which: int) -> None:
        """Let the server send an event again."""
        if self.platform.said:
            payload = self.platform.said[which % len(self.platform.said)]
            HAPPENED["event: repeated by the server"] += self.life.stream.send(payload)

    def send_rubbish(self) -> None:
        """Let the server send what is no event."""
        self.life.stream.send(b'{"type": 5, ')

    def network(self, state: str) -> None:
        """Let the stream come, go, or be refused."""
        self.platform.network = state
        self.life.stream.network_changed()

    def rotate(self, name: str) -> None:
        """Let a destination accept another key only."""
        destination = self.destinations[name]
        destination.key = f"{self.dice.getrandbits(128):032x}"

    def renew(self) -> None:
        """Give the watcher the keys that are accepted now, and a SIGHUP."""
        self._keys = {name: d.key for name, d in self.destinations.items()}
        self._reload()
        HAPPENED["credentials: renewed by SIGHUP"] += 1

    def change_rules(self, *, with_reload: bool) -> None:
        """Write the other rules into the file, with a SIGHUP or for the next start."""
        self._is_other = not self._is_other
        if with_reload:
            self._reload()

    def _reload(self) -> None:
        fresh = with_keys(self._keys, is_other=self._is_other)
        self.life.watch.reload(lambda: fresh)

    def silence(self, seconds: float) -> None:
        """Let a person silence the stream, and containers, for a while."""
        tables: tuple[dict[str, Any], ...] = ({"type": "stream"}, {"type": "container"})
        self._ask(AskSilence(tables, lasts=seconds, by="ann"))

    def retry_dead(self) -> None:
        """Let a person send all dead letters again."""
        self._ask(AskRetry(tuple(self.ledger.row_ids(DEAD))))

    def drop(self, which: int) -> None:
        """Let a person drop a notice."""
        row_ids = self.ledger.row_ids()
        if row_ids:
            row_id = row_ids[which % len(row_ids)]
            self.ledger.meddled.add(self.ledger.lane_of(row_id))
            self._ask(AskDrop((row_id,)))
            HAPPENED["person: dropped a notice"] += 1

    def _ask(self, question: AskRetry | AskDrop | AskSilence) -> None:
        if isinstance(question, AskSilence) or question.ids:
            self._asked.append(Deferred.fromCoroutine(self.life.commands.do(question)))

    # -- what must hold

    def check(self) -> None:
        """Hold everything that must hold between two steps."""
        self.be_alive()
        life, now = self.life, self.life.now()
        self._now = now
        require(not self.ledger.broken, "".join(self.ledger.broken[:1]))
        if self.file.rows("SELECT 1 FROM sqlite_master WHERE name = 'journal'"):
            self.ledger.look(now)
        require(not self._observer.bugs, f"a bug is logged: {self._observer.bugs}")
        pipeline = life.pipeline
        is_idle = pipeline._carrying is None and not pipeline._queue
        if is_idle and self.ledger.is_settled():
            expected = self.ledger.expected
            are = {one.key for one in pipeline.decider.incidents.open_incidents()}
            require(are == expected.open_keys(), f"open: {are}, not {expected.open_keys()}")
            due = expected.next_due()
            is_to_run = (
                bool(life.clock.calls) and life.clock.calls[0].getTime() <= life.clock.seconds()
            )
            is_overdue = due is not None and due < now - 0.01 and not is_to_run
            require(not is_overdue, f"an incident has been due since {due}, and it is {now}")
        for name, deliverer in life.outbox.deliverers.items():
            pace = self.destinations[name].pace
            heads = deliverer._heads
            out = heads.known_count - len(heads)
            require(
                # Read while less than half are here; those that are out come back to the others.
                len(heads) + out
                <= 1.5 * HEADS_MAX_COUNTS[name] + 2 * pace.concurrency_count * pace.batch_count,
                f"{name} holds {len(heads)} heads in memory, {out} out",
            )
            if self.file.fault is DiskFault.NONE:
                stuck = deliverer.stuck_seconds()
                require(stuck < STUCK_MAX_SECONDS, f"{name} is stuck for {stuck} s")

    def heal(self) -> None:
        """Let all go well but the stream, which stays as it is, and wait for what is owed."""
        self.file.fault, self.file.armed = DiskFault.NONE, None
        self.platform.rest = Rest.OK
        for destination in self.destinations.values():
            destination.manner = Manner.ACCEPT
            destination.next_manners.clear()
            destination.hated.clear()
        self._restart = Restart()
        self.be_alive()
        self.life.armed = ""
        self.renew()
        self._wait_for_all()
        self._check_pages()
        for _ in range(3):
            if self.ledger.dead():
                self.retry_dead()
                self._wait_for_all()
        require(not self.ledger.dead(), f"still dead: {self.ledger.dead()}")
        self._check_pages()
        # What could not be asked for is asked for again after the next connect alone.
        self.network(DISCONNECTED)
        self.network(CONNECTED)
        self._wait_for_all()
        self._check_pages()
        self._check_knowledge()
        self.stop(Restart())
        require(not self.ledger.owed, f"never ended: {self.ledger.owed}")

    def _wait_for_all(self) -> None:
        """Wait until nothing is owed, and for a while longer; it must come to that."""
        self.wait(60.0)
        for _ in range(40):
            self.check()
            if not self.ledger.live():
                break
            self.wait(60.0)
        require(not self.ledger.live(), f"owed for ever: {self.ledger.live()}")
        self.wait(30.0)
        self.check()

    def _check_pages(self) -> None:
        """Hold PagerDuty to what is so, but for what a person took out or a dead letter hides."""
        # PagerDuty is never told of its own trouble. What was owed to it then may have been
        # withdrawn: nothing shows that it is well again before there is something to say.
        excused = {"notifier/pd"}
        excused |= {key for name, key in self.ledger.meddled if name == "pd"}
        excused |= {o.key for o in self.ledger.dead() if o.notifier == "pd"}
        are = self.destinations["pd"].open_keys - excused
        expected = self.ledger.expected.open_keys() - excused
        require(are == expected, f"PagerDuty shows {are}, and it should be {expected}")
        if self.platform.network == CONNECTED:
            is_open = self.ledger.expected.open_keys() - {"notifier/pd"}
            require(not is_open, f"all is well, and {is_open} are open")

    def _check_knowledge(self) -> None:
        """Hold what the watcher knows to what there is."""
        inventory = self.life.pipeline.decider.inventory
        for thing in self.platform.things.values():
            uuid = thing.uri.strip("/").rpartition("/")[2]
            known = inventory.get((STREAM, thing.type, uuid))
            state = None if known is None or known.gone_at is not None else known.state
            require(state == thing.state, f"{thing} is known as {known}")
