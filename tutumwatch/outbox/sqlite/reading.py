"""Reads the file beside a running watcher: without its lock, and without changing a byte of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from tutumwatch.events.inputs import Input
from tutumwatch.outbox.sqlite.codec import DamagedError, decode_notice, decode_page, unseal
from tutumwatch.outbox.sqlite.journal import JournalReader, alive_at, last_page
from tutumwatch.outbox.sqlite.rows import DEAD, STATE_NAMES
from tutumwatch.outbox.sqlite.schema import APPLICATION_ID, VERSION, version_of
from tutumwatch.outbox.store import Restored
from tutumwatch.rules.decisions import RecordName
from tutumwatch.rules.notice import Notice

# So many rows are read at once; between two of these the watcher can tidy its file.
PAGE_COUNT = 500
BUSY_SECONDS = 5.0
_DAMAGE = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB"})
_COLUMNS = (
    "id, notifier, key, state, form, rule, at, attempts, maybe_sent, waits_for, reason, notice"
)


class UnreadableStoreError(Exception):
    """There is nothing to read; says why, and what to do about it."""


@attrs.frozen
class KeptRow:
    """A notice in the file. ``state``: waiting (for a look-up), pending, sending or dead.

    ``maybe_sent``: it may have arrived already. ``notice`` is None if it is not written yet, or is
    damaged.
    """

    id: int
    notifier: str
    key: str
    state: str
    form: str
    rule: str
    at: float
    attempts: int
    maybe_sent: bool
    waits_for: str | None
    reason: str
    notice: Notice | None
    is_damaged: bool = False


@attrs.frozen
class StoreReader:
    """Reads the rows of a file that is open; see :func:`open_to_read`."""

    _connection: sqlite3.Connection

    def rows(self, states: Sequence[str], notifier: str | None = None) -> Iterator[KeptRow]:
        """Give the rows in some states, in the order of their commit.

        :param notifier: only those of this one.
        """
        # As numbers in the text: SQLite would not use its index of the dead ones otherwise.
        numbers = ", ".join(str(STATE_NAMES.index(state)) for state in states)
        last = -1
        while True:
            page = self._all(
                f"SELECT {_COLUMNS} FROM deliveries WHERE state IN ({numbers}) AND id > ?"
                " AND (notifier = ? OR ? IS NULL) ORDER BY id LIMIT ?",
                (last, notifier, notifier, PAGE_COUNT),
            )
            yield from map(_row, page)
            if len(page) < PAGE_COUNT:
                return
            last = page[-1][0]

    def row(self, row_id: int) -> KeptRow | None:
        """Give one row, if it is there."""
        found = self._all(f"SELECT {_COLUMNS} FROM deliveries WHERE id = ?", (row_id,))
        return _row(found[0]) if found else None

    def records(self, kind: str) -> Iterator[bytes]:
        """Give what rules keep of a kind; what is damaged is left out."""
        query = "SELECT name, value FROM records WHERE kind = ? ORDER BY name"
        for name, sealed in self._all(query, (kind,)):
            with suppress(DamagedError):
                yield unseal(sealed, kind, name)

    def restored(self) -> Restored:
        """Give what a start would begin with, without what waits for look-ups and what is damaged.

        ``earlier`` is left out as well: :meth:`inputs` gives it.
        """
        self._connection.execute("BEGIN")
        try:
            journal = JournalReader(self._connection)
            records = self._all("SELECT kind, name, value FROM records")
            return Restored(
                alive_at=alive_at(self._connection),
                last_number=last_page(self._connection).last_number,
                resources=list(journal.resources()),
                later=list(journal.later()),
                records=dict(_unsealed(records)),
            )
        finally:
            self._connection.execute("COMMIT")

    def inputs(self) -> Iterator[Input]:
        """Give what was decided, the last first, as far back as the journal reaches."""
        last = None
        while page := self._all(
            "SELECT number, at, inputs, last_number, page FROM journal"
            " WHERE number < ? OR ? IS NULL ORDER BY number DESC LIMIT 1",
            (last, last),
        ):
            last, *beside, sealed = page[0]
            with suppress(DamagedError):
                yield from reversed(decode_page(sealed, last, *beside))

    def owed_counts(self) -> Mapping[str, int]:
        """Count what is owed, by notifier."""
        return self._counts(f"state < {DEAD}")

    def dead_counts(self) -> Mapping[str, int]:
        """Count the dead letters, by notifier."""
        return self._counts(f"state = {DEAD}")

    def _counts(self, condition: str) -> Mapping[str, int]:
        return dict(
            self._all(
                f"SELECT notifier, count(*) FROM deliveries WHERE {condition} GROUP BY notifier"
                " ORDER BY notifier"
            )
        )

    def _all(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        return self._connection.execute(statement, values).fetchall()


@contextmanager
def open_to_read(path: str) -> Iterator[StoreReader]:
    """Open a file for as long as it takes to read it.

    :raises UnreadableStoreError: if it is not there, of another version, damaged, or none of ours;
        also while it is read.
    """
    file = Path(path)
    if not file.is_file():
        raise UnreadableStoreError(f"there is no store {path}; --store PATH names another one")
    has_log = _log_of(file).exists()
    try:
        connection = _connect(file, has_log=has_log)
        try:
            _check(path, connection)
            yield StoreReader(connection)
        finally:
            connection.close()
    except sqlite3.Error as problem:
        raise UnreadableStoreError(_explain(file, problem, has_log=has_log)) from problem


def _connect(file: Path, *, has_log: bool) -> sqlite3.Connection:
    # SQLite would make the files beside it if they are not there, and write into them if they are.
    how = "readonly_shm=1" if has_log else "immutable=1"
    connection = sqlite3.connect(
        f"{file.absolute().as_uri()}?mode=ro&{how}",
        uri=True,
        isolation_level=None,
        timeout=BUSY_SECONDS,
    )
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    return connection


def _log_of(file: Path) -> Path:
    return file.with_name(f"{file.name}-wal")


def _check(path: str, connection: sqlite3.Connection) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID:
        raise UnreadableStoreError(f"{path} is no store of tutumwatch")
    version = version_of(connection)
    if version > VERSION:
        raise UnreadableStoreError(
            f"the store {path} is of version {version}, and this tutumwatch reads version "
            f"{VERSION}; use the tutumwatch that watches"
        )
    if version < VERSION:
        raise UnreadableStoreError(
            f"the store {path} is of version {version}, and this tutumwatch reads version "
            f"{VERSION}; the watcher brings it up to date when it starts"
        )


def _explain(file: Path, problem: sqlite3.Error, *, has_log: bool) -> str:
    if getattr(problem, "sqlite_errorname", "") in _DAMAGE:
        if not has_log and _log_of(file).exists():
            return f"a watcher began to use {file} at this very moment; say it again"
        return (
            f"the store {file} is damaged ({problem}); the watcher moves it aside when it starts, "
            "and saves what can be read of it"
        )
    return (
        f"the store {file} cannot be read: {problem}; run this as the user that the watcher runs "
        "as, and if that is so, start the watcher"
    )


def _row(columns: Sequence[Any]) -> KeptRow:
    row_id, notifier, key, state, form, rule, at, attempts, maybe, waits_for, reason, sealed = (
        columns
    )
    notice = None if sealed is None else _notice(sealed)
    return KeptRow(
        row_id,
        notifier,
        key,
        STATE_NAMES[state],
        form,
        rule,
        at,
        attempts,
        bool(maybe),
        waits_for,
        reason,
        notice,
        sealed is not None and notice is None,
    )


def _unsealed(records: Sequence[Any]) -> Iterator[tuple[RecordName, bytes]]:
    for kind, name, sealed in records:
        with suppress(DamagedError):
            yield (kind, name), unseal(sealed, kind, name)


def _notice(sealed: object) -> Notice | None:
    try:
        return decode_notice(sealed)
    except DamagedError:
        return None
