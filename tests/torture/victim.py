"""A watcher that kills itself, for good and at once, at a boundary of its own store.

``python -m tests.torture.victim CONFIGURATION DOOM``; DOOM is the JSON of a
:class:`tests.torture.boundaries.Doom`, or ``null`` for a watcher that nothing ails. SIGTERM stops
it as it stops tutumwatch; SIGUSR1 lets it save its inventory, which it would do once a minute.
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
from twisted.logger import globalLogBeginner

from tests.torture.boundaries import Doom, Moment
from tutumwatch.assembly import make_watch
from tutumwatch.config.environment import Environment
from tutumwatch.config.load import load_configuration
from tutumwatch.logs import TextObserver
from tutumwatch.outbox.sqlite.store import SQLiteStore
from tutumwatch.rules.incident_rules import IncidentSettings
from tutumwatch.rules.incident_tables import compile_incident
from tutumwatch.settings import Duration
from tutumwatch.status.sdnotify import ServiceManager
from tutumwatch.tap import make_store
from tutumwatch.watch import Pipeline

# The watcher can keep these, though today's configuration admits no rule of such types.
TEXT = "{{ resource_uri }} is {{ state }}"
INCIDENTS = (
    IncidentSettings(
        name="node down",
        while_={"type": "node", "state": "Unreachable*"},
        for_=Duration(0.0),
        clear_for=Duration(0.0),
        key="{{ resource_uri }}",
        notify=["pd", "ops"],
        text=TEXT,
        resolve_text=TEXT,
    ),
    IncidentSettings(
        name="cluster down",
        while_={"type": "nodecluster", "state": "Empty*"},
        for_=Duration(1.5),
        clear_for=Duration(0.2),
        key="{{ resource_uri }}",
        notify=["pd"],
        text=TEXT,
        resolve_text=TEXT,
    ),
)
# Retries and reconnects wait a twentieth of their time: a life lasts a second.
HASTE = 0.05


class HastyDice(random.Random):
    """Dice whose jitter is haste."""

    def uniform(self, a: float, b: float) -> float:
        """Give far less than was asked for."""
        return HASTE * super().uniform(a, b)


def die() -> None:
    """Be gone, as if the power were."""
    os.kill(os.getpid(), signal.SIGKILL)


@attrs.define
class Fate:
    """Counts transactions, and dies in the one that it is told."""

    doom: Doom | None
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


def main(path: str, doom: Doom | None) -> None:
    """Run until a signal, or the doom."""
    globalLogBeginner.beginLoggingTo([TextObserver(sys.stderr)], redirectStandardIO=False)
    loaded = load_configuration(path, Environment.of_process())
    known = loaded.destinations
    incidents = [compile_incident(one, known, [*known], lambda *_: None) for one in INCIDENTS]
    loaded = attrs.evolve(loaded, incidents=tuple(incidents))
    store = doomed_store(loaded.store_path, doom)
    manager = ServiceManager.from_environment({})
    watch = make_watch(loaded, store, cast("Any", reactor), time.time, HastyDice(), manager)
    pipeline = cast("Pipeline", watch.getServiceNamed("pipeline"))

    def save(*_signal: object) -> None:
        """Save the inventory, soon."""
        cast("Any", reactor).callFromThread(lambda: Deferred.fromCoroutine(pipeline.save()))

    reactor.callWhenRunning(signal.signal, signal.SIGUSR1, save)
    reactor.callWhenRunning(watch.startService)
    reactor.addSystemEventTrigger("before", "shutdown", watch.stopService)
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1], msgspec.json.decode(sys.argv[2], type=Doom | None))
