"""One platform, its destinations, and one watcher's store, over many lives of the watcher."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import attrs
import msgspec
from twisted.internet import reactor
from twisted.internet.task import deferLater

from tests.fakes.tutum_events import event_of, kind_and_uuid, uri_of
from tests.live.programs import RunningProgram, start_program
from tests.torture.boundaries import FAILED, SAVED, SAVED_WHOLLY, Boundary, Doom, Moment, Outside
from tests.torture.destinations import (
    BookkeepingPagerDuty,
    BookkeepingSlack,
    Mood,
    MoodyTutum,
)
from tests.torture.ledger import (
    Books,
    Repeats,
    Violation,
    left_over,
    missing,
    out_of_order,
    paging_faults,
    paging_repeats,
    repeats_of,
    told_too_soon,
)
from tutumwatch.outbox.sqlite.schema import TABLES, migrate

CONFIGURATION = """
storm = 0
last_resort = false

[streams.main]
url = "{tutum}/v1/events"
rest = "{rest}"
user = "ops"
apikey = "key"

[store]
path = "{store}"

[status]
listen = "off"

[notifiers.ops]
kind = "slack"
url = "{ops}"
rate = 0

[notifiers.hook]
kind = "slack"
url = "{hook}"
rate = 0
batch = 5
concurrency = {hook_concurrency}
retry_after = "notice"

[notifiers.pd]
kind = "pagerduty"
api = "v1"
key = "0123456789abcdef0123456789abcdef"
host = "{pagerduty}"
rate = 0
details = false

[notifiers.many]
kind = "pagerduty"
api = "v1"
key = "fedcba9876543210fedcba9876543210"
host = "{many}"
rate = 0
details = false

[[incidents]]
name = "node down"
while = {{ type = "node", state = "Unreachable*" }}
for = "0s"
clear_for = "0s"
key = "{{{{ resource_uri }}}}"
notify = ["pd", "ops"]
text = "{{{{ resource_uri }}}} is {{{{ state }}}}"
resolve_text = "{{{{ resource_uri }}}} is {{{{ state }}}}"

[[incidents]]
name = "cluster down"
while = {{ type = "nodecluster", state = "Empty*" }}
for = "{cluster_for}"
clear_for = "200ms"
key = "{{{{ resource_uri }}}}"
notify = ["pd"]
text = "{{{{ resource_uri }}}} is {{{{ state }}}}"
resolve_text = "{{{{ resource_uri }}}} is {{{{ state }}}}"

[[incidents]]
name = "service down"
while = {{ type = "service", state = "Stopped*" }}
for = "200ms"
clear_for = "100ms"
key = "{{{{ resource_uri }}}}"
notify = ["many"]
text = "{{{{ resource_uri }}}} is {{{{ state }}}}"
resolve_text = "{{{{ resource_uri }}}} is {{{{ state }}}}"

[[messages]]
name = "services"
match = {{ type = "service" }}
notify = ["ops"]
text = "{{{{ resource_uri }}}} is {{{{ state }}}}"

[[messages]]
name = "containers"
match = {{ type = "container" }}
notify = ["hook"]
fresh = ["stack"]
text = "{{{{ resource_uri }}}} is {{{{ state }}}} of {{{{ stack.name }}}}"
"""
# How many requests may be under way at once: to ops, to hook, to PagerDuty, to that for many.
CONCURRENCIES = (1, 4, 2, 2)
# Each life begins so long after the last one, by its wall clock: a notifier is told of ten further
# openings singly, and of the rest as a group.
AHEAD_SECONDS = 61.0
# From one life into the next.
CLUSTER_FOR = "62s"
# In so many lives nothing breaks any more: a group ends.
CALM = 0.25
# So many kills within come once the watcher has caught up, and then later by so much.
LATE = 0.7
LATE_FACTOR = 8
STACK, CLUSTER = uri_of("stack", "shop"), uri_of("nodecluster", "main")
# Weight, how many there are, the state when all is well and when it is not, parents.
_KINDS: dict[str, tuple[int, int, str, str, list[str]]] = {
    "service": (45, 30, "Running", "Stopped", [STACK]),
    "container": (30, 30, "Running", "Stopped", [uri_of("service", "0"), STACK]),
    "node": (20, 8, "Deployed", "Unreachable", [CLUSTER]),
    "nodecluster": (3, 3, "Deployed", "Empty", []),
}
STEP_SECONDS = 0.005
EVENTS_AT_ONCE_COUNT = 6
UNDER_WAY_MAX_COUNT = 100
LIFE_MAX_SECONDS = 25.0
SETTLED_MAX_SECONDS = 40.0
DISTRESS = 0.4


@attrs.define
class Kill:
    """One kill, or an attempt at one that came to nothing: why, in ``problem``."""

    boundary: Boundary
    life: int
    problem: str = ""


@attrs.define(eq=False)
class World:
    """All that outlives a watcher; :meth:`settle` says what does not add up in the end."""

    folder: Path
    dice: random.Random
    tutum: MoodyTutum
    ops: BookkeepingSlack
    hook: BookkeepingSlack
    pagerduty: BookkeepingPagerDuty
    many: BookkeepingPagerDuty
    books: Books = attrs.field(factory=Books)
    kills: list[Kill] = attrs.field(factory=list)
    life: int = 0
    start_seconds: float = 1.0
    _event_count: int = 0
    _well: dict[str, bool] = attrs.field(factory=dict)
    _sent_count: int = 0
    _arrived_count: int = 0
    _is_calm: bool = False
    _bugs: list[Violation] = attrs.field(factory=list)

    @classmethod
    async def begin(cls, folder: Path, dice: random.Random) -> Self:
        """Start the services, in a folder for the store."""
        fakes: list[Any] = []
        slacks, pagers = (BookkeepingSlack,) * 2, (BookkeepingPagerDuty,) * 2
        for kind in (MoodyTutum, *slacks, *pagers):
            fake = await kind.listen(reactor)
            fake.mood = Mood(dice)
            fakes.append(fake)
        world = cls(folder, dice, *fakes)
        world.configuration.write_text(
            CONFIGURATION.format(
                tutum=world.tutum.stream_host,
                rest=world.tutum.rest_url,
                store=world.store,
                ops=world.ops.url,
                hook=world.hook.url,
                pagerduty=world.pagerduty.url,
                many=world.many.url,
                cluster_for=CLUSTER_FOR,
                hook_concurrency=CONCURRENCIES[1],
            ),
            "utf-8",
        )
        return world

    async def end(self) -> None:
        """Stop the services."""
        for fake in self._fakes:
            await fake.stop()

    @property
    def store(self) -> Path:
        """The watcher's file."""
        return self.folder / "outbox.sqlite"

    @property
    def configuration(self) -> Path:
        """The watcher's configuration."""
        return self.folder / "tutumwatch.toml"

    @property
    def _fakes(self) -> list[Any]:
        return [self.tutum, self.ops, self.hook, self.pagerduty, self.many]

    # -- one life

    async def kill_at(self, boundary: Boundary) -> None:
        """Let a watcher live, under load, until it is killed at a boundary."""
        kill = Kill(boundary, self.life + 1)
        self.kills.append(kill)
        if boundary.is_old and (self.store.exists() or boundary.kill is Moment.AT_COPY):
            make_old(self.store)
        program = self._start(self._doom_for(boundary))
        # A calm life may have nothing to tell PagerDuty.
        self._is_calm &= not isinstance(boundary.kill, Outside)
        ending = self._end_from_outside(boundary, program)
        begun = reactor.seconds()
        while program.exit_code is None:
            if reactor.seconds() - begun > LIFE_MAX_SECONDS:
                kill.problem = f"was not killed: nothing like it happened; {self._summary(program)}"
                await program.end("KILL")
                break
            self._feed()
            next(ending, None)
            await deferLater(reactor, STEP_SECONDS)
        if not kill.problem and program.exit_code != -signal.SIGKILL:
            kill.problem = f"ended by itself with {program.exit_code}: {program.output[-3000:]}"
        self._note_bugs(program)
        # What it sent before it died is still read, and is its own.
        for fake in self._fakes:
            await fake.when(lambda fake: fake.tcp_connection_count == 0)
        self._take_in()

    def _note_bugs(self, program: RunningProgram) -> None:
        """Take note of inputs that could not be decided: all that arrive are good ones."""
        for line in program.output.splitlines():
            if "rejected: " in line or line.startswith("Traceback"):
                self._bugs.append(Violation(f"logged: {line}", self.life))

    def _summary(self, program: RunningProgram) -> str:
        """Say what happened in this life, and what it said of it."""
        arrived = self._accepted_count - self._arrived_count
        return f"{self._sent_count} events were sent, {arrived} told; {program.output[-2000:]}"

    def _take_in(self) -> None:
        if self.store.exists():
            self.books.take_in(self.store, self.life)

    def _start(self, doom: Doom | None) -> RunningProgram:
        self.life += 1
        for fake in self._fakes:
            fake.mood = Mood(self.dice, life=self.life)
        # What the lives before could not tell any more is under way as well.
        self._sent_count = sum(1 for _ in self._untold_faults())
        self._arrived_count = self._accepted_count
        self._is_calm = self.dice.random() < CALM
        doomed, ahead = msgspec.json.encode(doom).decode(), str(AHEAD_SECONDS * self.life)
        arguments = ["-m", "tests.torture.victim", str(self.configuration), doomed, ahead]
        return start_program([sys.executable, *arguments], {}, self.folder)

    @property
    def _accepted_count(self) -> int:
        return self.ops.told_count + self.hook.told_count

    def _doom_for(self, boundary: Boundary) -> Doom | None:
        if isinstance(boundary.kill, Outside):
            return None
        when_caught_up = boundary.highest_number > 1 and self.dice.random() < LATE
        highest = boundary.highest_number * (LATE_FACTOR if when_caught_up else 1)
        return Doom(
            boundary.kill,
            boundary.statement,
            self.dice.randint(1, highest),
            self.dice.uniform(0.0, 0.0005),
            when_caught_up,
        )

    def _end_from_outside(self, boundary: Boundary, program: RunningProgram) -> Iterator[None]:
        """Do, step by step, what leads to the end of a life; yields until the next step."""

        def kill() -> None:
            if program.exit_code is None:
                program.transport.signalProcess("KILL")

        begun = reactor.seconds()
        match boundary.kill:
            case Outside.START:
                yield from _wait(self.dice.uniform(0.3, 1.0) * self.start_seconds)
                kill()
            case Outside.LOAD | Outside.STOP:
                yield from self._until_connected(begun)
                yield from _wait(self.dice.uniform(0.0, 2.5))
                if boundary.kill is Outside.STOP:
                    program.transport.signalProcess("TERM")
                    yield from _wait(self.dice.uniform(0.0, 0.06))
                kill()
            case Outside():
                is_look_up = boundary.kill is Outside.LOOK_UP
                fake = self.tutum if is_look_up else self.dice.choice(self._fakes[1:])
                number = self.dice.randint(1, 40 if is_look_up else 6)
                fake.mood.doom(kill, boundary.kill, number)
            case Moment():
                yield from self._until_connected(begun)
                yield from self._provoke(boundary, program)

    def _provoke(self, boundary: Boundary, program: RunningProgram) -> Iterator[None]:
        """Bring about what seldom happens by itself."""
        if boundary.statement == FAILED:
            for fake in self._fakes[1:]:
                fake.mood.failing = DISTRESS
        while boundary.statement in {SAVED, SAVED_WHOLLY}:
            yield from _wait(0.03)
            if program.exit_code is None:
                program.transport.signalProcess(signal.SIGUSR1)

    def _until_connected(self, begun: float) -> Iterator[None]:
        while not self.tutum.connections:
            yield
        self.start_seconds = 0.7 * self.start_seconds + 0.3 * (reactor.seconds() - begun)

    # -- load

    def _feed(self) -> None:
        """Let the platform have news, no faster than the destinations hear of it."""
        arrived = self._accepted_count - self._arrived_count
        if self.tutum.connections and self._sent_count - arrived < UNDER_WAY_MAX_COUNT:
            for _ in range(self.dice.randint(0, EVENTS_AT_ONCE_COUNT)):
                self._happen()

    def _happen(self) -> None:
        weights = [weight for weight, *_ in _KINDS.values()]
        (kind,) = self.dice.choices(list(_KINDS), weights)
        _, count, good, bad, parents = _KINDS[kind]
        self._event_count += 1
        self._sent_count += kind in {"service", "container"}
        uuid = str(self.dice.randrange(count))
        uri = uri_of(kind, uuid)
        self._well[uri] = self._is_calm or not self._well.get(uri, True)
        state = f"{good if self._well[uri] else bad}-{self._event_count}"
        self.tutum.announce(
            event_of(
                kind,
                uuid,
                said=("update", state),
                parents=parents,
                date="2026-11-26T00:00:00+00:00",
            )
        )

    # -- the reckoning

    def broken(self, *types: str) -> set[str]:
        """Give what an incident must be open for, of some types."""
        return {
            uri for uri, well in self._well.items() if not well and kind_and_uuid(uri)[0] in types
        }

    def _paged(self, *, with_slow: bool) -> Iterator[tuple[BookkeepingPagerDuty, set[str]]]:
        """Give each PagerDuty, and what it must know to be broken.

        :param with_slow: also what is an incident only a minute after it was heard of.
        """
        yield self.pagerduty, self.broken("node", *(("nodecluster",) if with_slow else ()))
        yield self.many, self.broken("service")

    async def settle(self) -> list[Violation]:
        """Let watchers live in peace until nothing is owed, and say what does not add up.

        What the first one's listing finds may be an incident in the next one's life.
        """
        listings = self.books.listings_count
        violations: list[Violation] = []
        for with_slow in (False, True):
            begun = reactor.seconds()
            owed = [""]
            while owed and reactor.seconds() - begun < SETTLED_MAX_SECONDS:
                problem = await self._live_in_peace(begun, with_slow=with_slow)
                if problem is not None:
                    return [*self._bugs, *violations, problem]
                owed, _ = left_over(self.store)
            violations += self._faults(with_slow=with_slow)
        if owed:
            violations.append(Violation(f"still owed in the end: {owed[:5]}", self.life))
        if self.books.listings_count == listings:
            violations.append(Violation("nothing was listed in the end", self.life))
        return list(dict.fromkeys((*self._bugs, *violations)))

    async def _live_in_peace(self, begun: float, *, with_slow: bool) -> Violation | None:
        """Let a watcher live until it has nothing to do, and end it; say if it did not end well."""
        program = self._start(None)
        # Else the end of an incident may be looked up again half a minute later.
        self.tutum.mood.failing = 0.0
        while reactor.seconds() - begun < SETTLED_MAX_SECONDS and not self._seems_settled(
            with_slow=with_slow
        ):
            await deferLater(reactor, STEP_SECONDS)
        await deferLater(reactor, 3.0)  # what a listing found is told then
        await program.end()
        self._note_bugs(program)
        self._take_in()
        if program.exit_code == 0:
            return None
        return Violation(f"ended with {program.exit_code}: {program.output[-3000:]}", self.life)

    def _seems_settled(self, *, with_slow: bool) -> bool:
        return bool(self.tutum.connections) and not any(
            (*self._untold_faults(), *self._paging_faults(with_slow=with_slow))
        )

    def _untold_faults(self) -> Iterator[Violation]:
        for slack, type_ in ((self.ops, "service"), (self.hook, "container")):
            singly = (request for request in slack.refused if len(request.lines) == 1)
            refused = {told for request in singly for told in request.told()}
            yield from missing(self.books.owed(type_), slack.said, refused)

    def _paging_faults(self, *, with_slow: bool) -> Iterator[Violation]:
        for pagerduty, broken in self._paged(with_slow=with_slow):
            known = pagerduty.open_keys()
            open_keys = [key for key in known if with_slow or "/nodecluster/" not in key]
            yield from paging_faults(pagerduty.paged, open_keys, broken, self.life)

    def _faults(self, *, with_slow: bool) -> Iterator[Violation]:
        _, dead = left_over(self.store)
        for slack, type_ in ((self.ops, "service"), (self.hook, "container")):
            yield from missing(self.books.owed(type_), slack.said, dead)
            yield from told_too_soon(self.books.owed(type_), slack.said, type_)
            yield from out_of_order(slack.said)
        for repeats, concurrency in zip(self.repeats(), CONCURRENCIES, strict=True):
            yield from repeats.violations
            yield from repeats.above(concurrency)
        yield from self._paging_faults(with_slow=with_slow)

    def repeats(self) -> list[Repeats]:
        """Count repeated requests: those of ops, of hook, of PagerDuty, of that for many."""
        said = [repeats_of(slack.said, slack.refused) for slack in (self.ops, self.hook)]
        return said + [paging_repeats(one.paged) for one in (self.pagerduty, self.many)]


def _wait(seconds: float) -> Iterator[None]:
    end = reactor.seconds() + seconds
    while reactor.seconds() < end:
        yield


def make_old(store: Path) -> None:
    """Make a file of the first version of one of today's, with all that it holds."""
    old = store.with_name("old.sqlite")
    old.unlink(missing_ok=True)
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        migrate(connection, 1)
        if not store.exists():
            store.touch()
        connection.execute("ATTACH ? AS today", (str(store),))
        connection.execute("BEGIN")
        for table in TABLES:
            columns = [row[1] for row in connection.execute(f"PRAGMA main.table_info({table})")]
            there = {row[1] for row in connection.execute(f"PRAGMA today.table_info({table})")}
            shared = ", ".join(column for column in columns if column in there)
            if shared:
                copy = f"INSERT INTO main.{table}({shared}) SELECT {shared} FROM today.{table}"  # noqa: S608 - names of our own columns
                connection.execute(copy)
        connection.execute("COMMIT")
    for suffix in ("-wal", "-shm"):
        store.with_name(store.name + suffix).unlink(missing_ok=True)
    shutil.move(old, store)
