"""Saves what can be read of a damaged file into a new one.

Nothing is taken that was not proved to be what was written: what a checksum covers is checked, and
the columns beside it are set by it. A notice that does not stand this becomes a dead letter.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from tutumwatch.outbox.sqlite.codec import DamagedError
from tutumwatch.outbox.sqlite.copies import connect_to_read, copy_with_first_page, read_leaves
from tutumwatch.outbox.sqlite.mending import Mender, Row, dead_letter
from tutumwatch.outbox.sqlite.rows import DAMAGED, DEAD
from tutumwatch.outbox.sqlite.schema import TABLES, is_as_made

# The tables whose rows have a number, by the name of that.
_NUMBERS: Mapping[str, str] = {"deliveries": "id", "journal": "number"}
_NUMBER_MAX = 2**53


@attrs.frozen
class Saved:
    """What was saved: rows by table, dead letters among them, rows that could be read in vain."""

    rows: Counter[str] = attrs.field(factory=Counter)
    dead_count: int = 0
    lost_count: int = 0


def salvage(damaged: Path, connection: sqlite3.Connection) -> Saved:
    """Copy every row that can still be read.

    :param connection: to an empty store, within a transaction.
    """
    with _opened(damaged) as source:
        if source is None:
            return Saved()
        salvaged = _Salvage(source, connection)
        salvaged.copy_tables()
    salvaged.find_missing(damaged)
    return salvaged.end()


@contextmanager
def _opened(damaged: Path) -> Iterator[sqlite3.Connection | None]:
    """Open a damaged file, or a copy with another first page if its tables cannot be found."""
    if damaged.stat().st_size:  # SQLite would delete the log beside an empty one
        with closing(connect_to_read(damaged)) as source:
            if _has_tables(source):
                yield source
                return
    with copy_with_first_page(damaged) as copy:
        if copy is None:
            yield None
            return
        with closing(connect_to_read(copy)) as source:
            yield source if _has_tables(source) else None


def _has_tables(source: sqlite3.Connection) -> bool:
    try:
        return is_as_made(source)
    except sqlite3.Error:
        return False


@attrs.define
class _Salvage:
    """Copies from one connection to another, and counts."""

    _source: sqlite3.Connection
    _target: sqlite3.Connection
    _mender: Mender = attrs.field(factory=Mender)
    _saved: Counter[str] = attrs.field(factory=Counter)
    _lost_count: int = 0
    _dead_count: int = 0
    # Lanes by row.
    _missing: dict[int, list[str]] = attrs.field(factory=dict)
    # Rows whose numbers are damaged or taken.
    _without_number: list[Row] = attrs.field(factory=list)

    def copy_tables(self) -> None:
        """Copy every row that is where it should be; note what an index knows and is not there."""
        for table in TABLES:
            for row in _rows(self._source, table):
                self._mend_and_insert(table, row)
        known = "SELECT id, notifier, key FROM deliveries INDEXED BY lanes WHERE state < 3"
        with suppress(sqlite3.Error):
            for row_id, *lane in self._source.execute(known):
                there = "SELECT 1 FROM deliveries WHERE id = ?"
                if not self._target.execute(there, (row_id,)).fetchone():
                    self._missing[row_id] = lane

    def find_missing(self, damaged: Path) -> None:
        """Look for what is missing in all pages; what is not there becomes a dead letter."""
        self._give_numbers()
        if self._missing:
            with copy_with_first_page(damaged) as copy:
                if copy is not None:
                    self._read_leaves(copy)
        for row_id, (notifier, key) in self._missing.items():
            row: Row = {"id": row_id, "notifier": notifier, "key": key}
            self._insert("deliveries", dead_letter(row))

    def _give_numbers(self) -> None:
        """Let a row have the place that its lane misses, if there is only one."""
        without, self._without_number = self._without_number, []
        for row in without:
            lane = [row["notifier"], row["key"]]
            missing = [row_id for row_id, its_lane in self._missing.items() if its_lane == lane]
            if row["state"] != DEAD and len(missing) == 1:
                self._insert("deliveries", {**row, "id": missing[0], "maybe_sent": 1})
                del self._missing[missing[0]]
            else:
                self._without_number.append(row)

    def _read_leaves(self, copy: Path) -> None:
        names = _names(self._target, "deliveries")
        query = f"SELECT {', '.join(names)} FROM deliveries NOT INDEXED"
        for values in read_leaves(copy, "deliveries", query):
            row = dict(zip(names, values, strict=True))
            lane = self._missing.get(row["id"])
            if lane is None:
                continue
            mended = self._mender.mend("deliveries", row)
            if mended["state"] != DEAD and [mended["notifier"], mended["key"]] == lane:
                # It may be what the row was once: nobody knows what became of it since.
                self._insert("deliveries", {**mended, "maybe_sent": 1})
                del self._missing[row["id"]]

    def end(self) -> Saved:
        """Keep what has no place as dead letters behind all others; mark the first of lanes."""
        for row in self._without_number:
            (last,) = self._target.execute("SELECT ifnull(max(id), 0) FROM deliveries").fetchone()
            self._insert("deliveries", dead_letter({**row, "id": last + 1}))
        self._target.execute(
            "UPDATE deliveries SET head = 1 WHERE id IN (SELECT min(id) FROM deliveries"
            " WHERE state < 3 GROUP BY notifier, key)"
        )
        return Saved(self._saved, self._dead_count, self._lost_count)

    def _mend_and_insert(self, table: str, row: Row) -> None:
        try:
            self._insert(table, self._mender.mend(table, row))
        except DamagedError:
            self._lost_count += 1

    def _insert(self, table: str, row: Row) -> None:
        if table == "deliveries" and row["id"] is None:
            self._without_number.append(row)
            return
        inserted = self._target.execute(
            f"INSERT INTO {table}({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"
            " ON CONFLICT DO NOTHING",
            tuple(row.values()),
        ).rowcount
        self._saved[table] += inserted
        self._dead_count += inserted and row.get("reason") == DAMAGED
        if table == "deliveries" and not inserted:
            self._insert_second(row)

    def _insert_second(self, row: Row) -> None:
        """Keep a notice whose number another one has; the same row may also be met twice."""
        there = self._target.execute("SELECT notice FROM deliveries WHERE id = ?", (row["id"],))
        if there.fetchone()[0] != row.get("notice"):
            self._without_number.append({**row, "id": None})


def _names(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def _rows(source: sqlite3.Connection, table: str) -> Iterator[Row]:
    names = _names(source, table)
    query = f"SELECT {', '.join(names)} FROM {table} NOT INDEXED"
    number = _NUMBERS.get(table)
    rows = _from_both_ends(source, query) if number is None else _by_number(source, query, number)
    return (dict(zip(names, row, strict=True)) for row in rows)


def _from_both_ends(source: sqlite3.Connection, query: str) -> Iterator[Sequence[Any]]:
    for order in ("ASC", "DESC"):
        with suppress(sqlite3.Error):
            yield from source.execute(f"{query} ORDER BY 1 {order}")
            return


def _by_number(source: sqlite3.Connection, query: str, number: str) -> Iterator[Sequence[Any]]:
    """Give all rows; where some cannot be read, go on with the next that can."""
    from_query = f"{query} WHERE {number} >= ? ORDER BY {number}"

    def is_readable(start: int) -> bool:
        try:
            source.execute(f"{from_query} LIMIT 1", (start,)).fetchone()
        except sqlite3.Error:
            return False
        return True

    start: int | None = 0
    while start is not None:
        try:
            for row in source.execute(from_query, (start,)):
                if start <= row[0] < _NUMBER_MAX:
                    start = row[0] + 1
                yield row
            return
        except sqlite3.Error:
            start = _next_start(start, is_readable)


def _next_start(start: int, is_readable: Callable[[int], bool]) -> int | None:
    """Give the first number from which on reading goes on, None if there is none."""
    step = 1
    while not is_readable(start + step):
        step *= 2
        if step > _NUMBER_MAX:
            return None
    low, high = start + step // 2, start + step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_readable(middle) else (middle, high)
    return high
