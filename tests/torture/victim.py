"""A watcher that kills itself, for good and at once, at a boundary of its own store.

``python -m tests.torture.victim CONFIGURATION DOOM AHEAD``; DOOM is the JSON of a
:class:`tests.torture.boundaries.Doom`, or ``null`` for a watcher that nothing ails; AHEAD is by how
many seconds its wall clock is ahead. SIGTERM stops it as it stops tutumwatch; SIGUSR1 lets it save
its inventory, which it would do once a minute.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable
from threading import Thread
from typing import Any, ClassVar, cast

import attrs
import msgspec
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import globalLogBeginner
from zope.interface import directlyProvides, providedBy

from tests.torture.boundaries import Doom, Moment
from tutumwatch.assembly import make_watch
from tutumwatch.config.environment import Environment
from tutumwatch.config.load import load_configuration
from tutumwatch.inventory.links import key_of_stream, sees_from
from tutumwatch.logs import TextObserver
from tutumwatch.outbox.sqlite.store import SQLiteStore
from tutumwatch.resources.catchup import SETTLE_SECONDS
from tutumwatch.status.sdnotify import ServiceManager
from tutumwatch.tap import make_store
from tutumwatch.watch import Pipeline

# Retries and reconnects wait a twentieth of their time: a life lasts a second.
HASTE = 0.05
# So long, and not two seconds, a listing waits for what is on its way: on loopback that is enough.
HASTY_SETTLE_SECONDS = 0.3


class HastyDice(random.Random):
    """Dice whose jitter is haste."""

    def uniform(self, a: float, b: float) -> float:
        """Give far less than was asked for."""
        return HASTE * super().uniform(a, b)


class HastyReactor:
    """The reactor, but that a listing is soon complete: no incident opens before it."""

    def __init__(self, real: Any) -> None:  # noqa: ANN401 - whatever interfaces it has
        """Provide all that the real one does."""
        self._real = real
        directlyProvides(self, *providedBy(real))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any power of the real one
        """Give what the real one has."""
        return getattr(self._real, name)

    def callLater(
        self, delay: float, call: Callable[..., object], *args: object, **kw: object
    ) -> IDelayedCall:
        """Call something later, or sooner."""
        wait = HASTY_SETTLE_SECONDS if delay == SETTLE_SECONDS else delay
        return cast("IDelayedCall", self._real.callLater(wait, call, *args, **kw))


def die() -> None:
    """Be gone, as if the power were."""
    os.kill(os.getpid(), signal.SIGKILL)


@attrs.define
class Fate:
    """Counts transactions, and dies in the one that it is told.

    ``is_caught_up``: says whether the platform has told all that it has, so that incidents open.
    """

    doom: Doom | None
    is_caught_up: Callable[[], bool] = lambda: False
    _ran: str = ""
    _met_count: int = 0

    @property
    def moves_log_often(self) -> bool:
        """Whether SQLite is to write its log into the file at each commit, to be killed at it."""
        return self.doom is not None and self.doom.moment is Moment.IN_COMMIT

    def begin(self, statement: str) -> None:
        """Take note of a statement that is about to run."""
        doom = self.doom
        if doom is None:
            return
        if statement.startswith("BEGIN"):
            self._ran = ""
        if statement == "COMMIT" and doom.statement in self._ran:
            if doom.when_caught_up and not self.is_caught_up():
                return
            self._met_count += 1
            if self._is_met(Moment.BEFORE_COMMIT):
                die()
            if self._is_met(Moment.IN_COMMIT):
                Thread(target=self._die_later, daemon=True).start()
        self._ran += statement

    def end(self, statement: str) -> None:
        """Take note of a statement that has run."""
        doom = self.doom
        if doom is None:
            return
        if doom.moment is Moment.AFTER_STATEMENT and doom.statement in statement:
            die()
        if statement == "COMMIT" and doom.statement in self._ran:
            if self._is_met(Moment.AFTER_COMMIT):
                die()
            self._ran = ""

    def _is_met(self, moment: Moment) -> bool:
        assert self.doom is not None
        return self.doom.moment is moment and self._met_count == self.doom.number

    def _die_later(self) -> None:
        assert self.doom is not None
        time.sleep(self.doom.after_seconds)
        die()

    def watch_copies(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take note of a file that is about to be opened (an audit hook)."""
        doom = self.doom
        if doom is None or doom.moment is not Moment.AT_COPY or event != "sqlite3.connect":
            return
        if doom.statement in str(arguments[0]):
            die()


class DoomedConnection(sqlite3.Connection):
    """A connection that lets a fate know what it runs, before and after.

    SQLite's own trace callback would tell the one and not the other.
    """

    fate: ClassVar[Fate]

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:  # noqa: ANN401 - sqlite3's
        """Run a statement."""
        return self._live_through(
            sql, lambda: super(DoomedConnection, self).execute(sql, parameters)
        )

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        """Run a statement several times."""
        return self._live_through(
            sql, lambda: super(DoomedConnection, self).executemany(sql, parameters)
        )

    def _live_through(self, sql: str, run: Callable[[], sqlite3.Cursor]) -> sqlite3.Cursor:
        self.fate.begin(sql)
        cursor = run()
        self.fate.end(sql)
        if self.fate.moves_log_often and sql.startswith("PRAGMA wal_autocheckpoint ="):
            super().execute("PRAGMA wal_autocheckpoint = 1")
        return cursor


def connect_doomed(path: str) -> sqlite3.Connection:
    """Open a file as :func:`tutumwatch.outbox.sqlite.store.connect` does."""
    connection = sqlite3.connect(
        path,
        isolation_level=None,
        check_same_thread=False,
        timeout=5.0,
        factory=DoomedConnection,
    )
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    return connection


def doomed_store(path: str, doom: Doom | None) -> SQLiteStore:
    """Make the store of a watcher that is to die."""
    fate = DoomedConnection.fate = Fate(doom)
    sys.addaudithook(fate.watch_copies)
    return attrs.evolve(make_store(path, reactor, time.time), connect=connect_doomed)


def sees_now(pipeline: Pipeline) -> bool:
    """Say whether a pipeline's stream was listed since it connected."""
    return sees_from(pipeline.decider.inventory.get(key_of_stream("main"))) == 0.0


def main(path: str, doom: Doom | None, ahead_seconds: float) -> None:
    """Run until a signal, or the doom."""
    globalLogBeginner.beginLoggingTo([TextObserver(sys.stderr)], redirectStandardIO=False)
    loaded = load_configuration(path, Environment.of_process())
    store = doomed_store(loaded.store_path, doom)
    manager = ServiceManager.from_environment({})
    hasty, dice = cast("Any", HastyReactor(reactor)), HastyDice()
    watch = make_watch(loaded, store, hasty, lambda: time.time() + ahead_seconds, dice, manager)
    pipeline = cast("Pipeline", watch.getServiceNamed("pipeline"))
    DoomedConnection.fate.is_caught_up = lambda: sees_now(pipeline)

    def save(*_signal: object) -> None:
        """Save the inventory, soon."""
        cast("Any", reactor).callFromThread(lambda: Deferred.fromCoroutine(pipeline.save()))

    reactor.callWhenRunning(signal.signal, signal.SIGUSR1, save)
    reactor.callWhenRunning(watch.startService)
    reactor.addSystemEventTrigger("before", "shutdown", watch.stopService)
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1], msgspec.json.decode(sys.argv[2], type=Doom | None), float(sys.argv[3]))
