"""Saves what can be read of a damaged file into a new one."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tutumwatch.outbox.sqlite.schema import TABLES

_ORDERS = ("ASC", "DESC")


def salvage(damaged: Path, connection: sqlite3.Connection) -> Mapping[str, int]:
    """Copy every row that can still be read; give how many there were, by table.

    Each table is read from both its ends, so that a damaged place in the middle costs what lies in
    it. What a row says is checked when it is read the next time.
    """
    saved: Counter[str] = Counter()
    try:
        source = sqlite3.connect(f"{damaged.absolute().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error:
        return saved
    source.text_factory = lambda text: text.decode("utf-8", "replace")
    try:
        for table in TABLES:
            saved[table] = _copy(source, connection, table)
    finally:
        source.close()
    connection.execute("UPDATE deliveries SET head = 0")
    connection.execute(
        "UPDATE deliveries SET head = 1 WHERE id IN (SELECT min(id) FROM deliveries"
        " WHERE state < 3 GROUP BY notifier, key)"
    )
    return saved


def _copy(source: sqlite3.Connection, connection: sqlite3.Connection, table: str) -> int:
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    known = [c for c in columns if c in _columns_of(source, table)]
    if not known:
        return 0
    places = ", ".join("?" * len(known))
    insert = f"INSERT OR IGNORE INTO {table}({', '.join(known)}) VALUES ({places})"
    saved = 0
    for row in _rows(source, table, known):
        try:
            saved += connection.execute(insert, row).rowcount
        except sqlite3.Error:
            continue  # half of it is damaged
    return saved


def _columns_of(source: sqlite3.Connection, table: str) -> set[str]:
    try:
        return {row[1] for row in source.execute(f"PRAGMA table_info({table})")}
    except sqlite3.Error:
        return set()


def _rows(
    source: sqlite3.Connection, table: str, columns: Sequence[str]
) -> Iterator[Sequence[Any]]:
    for order in _ORDERS:
        query = f"SELECT {', '.join(columns)} FROM {table} NOT INDEXED ORDER BY 1 {order}"
        try:
            yield from source.execute(query)
        except sqlite3.Error:
            continue  # the other end may be whole
