"""The journal: a page for each commit with the inputs that it decided, and the inventory as of one.

The inventory is written apart, and less often: a start reads it and takes in again the pages that
came after it. Every function runs within a transaction that somebody else begins and ends.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

import attrs

from tutumwatch.events.inputs import Input, Message
from tutumwatch.inventory.resource import Key, Resource
from tutumwatch.outbox.sqlite.codec import (
    DamagedError,
    decode_page,
    decode_resource,
    encode_page,
    encode_resource,
)

PAGES_KEPT_SECONDS = 30 * 24 * 3600.0
PAGES_KEPT_BYTES = 1024**3
MEMORY_KEPT_SECONDS = 30 * 24 * 3600.0
DEAD_KEPT_COUNT = 100_000
# Deleting goes on in steps of this many, so that no commit has to wait for long.
DELETED_AT_ONCE_COUNT = 50
# The server may repeat what it sent before the restart; this many inputs are looked through.
EARLIER_INPUTS_COUNT = 10_000

_CHECKPOINT, _ALIVE_AT = "checkpoint", "alive_at"


@attrs.frozen
class LastPage:
    """The end of the journal: its last page, when that was, and the last message up to it."""

    number: int = 0
    at: float = 0.0
    last_number: int = 0


def last_page(connection: sqlite3.Connection) -> LastPage:
    """Give the end of the journal."""
    row = connection.execute(
        "SELECT number, at, last_number FROM journal ORDER BY number DESC LIMIT 1"
    ).fetchone()
    return LastPage() if row is None else LastPage(*row)


def page_after(last: LastPage, inputs: Sequence[Input], at: float) -> LastPage:
    """Give what the end of the journal is after some more inputs."""
    numbers = (item.number for item in reversed(inputs) if isinstance(item, Message))
    return LastPage(last.number + 1, at, next(numbers, last.last_number))


def write_page(connection: sqlite3.Connection, page: LastPage, inputs: Sequence[Input]) -> None:
    """Write the inputs of a commit."""
    sealed = encode_page(inputs)
    connection.execute(
        "INSERT INTO journal SELECT ?, ?, ?,"
        " ? + ifnull((SELECT total FROM journal ORDER BY number DESC LIMIT 1), 0), ?, ?",
        (page.number, page.at, len(inputs), len(sealed), page.last_number, sealed),
    )


def alive_at(connection: sqlite3.Connection) -> float | None:
    """Give when we last ran, None if we never did."""
    at = max(_meta(connection, _ALIVE_AT), last_page(connection).at)
    return at or None


def read_later(connection: sqlite3.Connection) -> Iterator[Input]:
    """Give the inputs that came after the inventory was written."""
    pages = connection.execute(
        "SELECT page FROM journal WHERE number > ? ORDER BY number",
        (_meta(connection, _CHECKPOINT),),
    )
    for (page,) in pages:
        yield from _inputs(page)


def read_earlier(connection: sqlite3.Connection) -> Iterator[Input]:
    """Give the last inputs that came before the inventory was written."""
    pages = connection.execute(
        "SELECT number, inputs FROM journal WHERE number <= ? ORDER BY number DESC",
        (_meta(connection, _CHECKPOINT),),
    )
    numbers: list[int] = []
    count = 0
    for number, inputs in pages:
        numbers.append(number)
        count += inputs
        if count >= EARLIER_INPUTS_COUNT:
            break
    for number in reversed(numbers):
        row = connection.execute("SELECT page FROM journal WHERE number = ?", (number,)).fetchone()
        yield from _inputs(row[0])


def _inputs(page: object) -> list[Input]:
    try:
        return decode_page(page)
    except DamagedError:
        return []  # what it told is found by the next listing


def read_resources(connection: sqlite3.Connection) -> Iterator[Resource]:
    """Give the inventory as it was written."""
    for (sealed,) in connection.execute("SELECT resource FROM resources"):
        try:
            yield decode_resource(sealed)
        except DamagedError:
            continue  # the next listing knows it


def write_resources(
    connection: sqlite3.Connection, changed: Iterable[tuple[Key, Resource | None]]
) -> None:
    """Write resources that changed; None is known no more."""
    for key, resource in changed:
        if resource is None:
            connection.execute(
                "DELETE FROM resources WHERE stream = ? AND type = ? AND uuid = ?", key
            )
        else:
            connection.execute(
                "INSERT OR REPLACE INTO resources VALUES (?, ?, ?, ?)",
                (*key, encode_resource(resource)),
            )


def finish_checkpoint(connection: sqlite3.Connection, page_number: int, at: float) -> None:
    """Note that the inventory is written as it was after a page, and that we live."""
    values = ((_CHECKPOINT, page_number), (_ALIVE_AT, at))
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values)


def forget_old(connection: sqlite3.Connection, at: float, checkpoint: int) -> int:
    """Take a small step of deleting what is too old or too much.

    :return: how many dead letters were among it: those beyond the newest 100,000.
    """
    _forget_pages(connection, at, checkpoint)
    connection.execute("DELETE FROM memory WHERE at < ?", (at - MEMORY_KEPT_SECONDS,))
    (dead,) = connection.execute("SELECT count(*) FROM deliveries WHERE state = 3").fetchone()
    forgotten = connection.execute(
        "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE state = 3"
        " ORDER BY id LIMIT ?)",
        (min(max(0, dead - DEAD_KEPT_COUNT), DELETED_AT_ONCE_COUNT),),
    )
    connection.execute(f"PRAGMA incremental_vacuum({DELETED_AT_ONCE_COUNT})").fetchall()
    return forgotten.rowcount


def _forget_pages(connection: sqlite3.Connection, at: float, checkpoint: int) -> None:
    newest = connection.execute("SELECT total FROM journal ORDER BY number DESC LIMIT 1").fetchone()
    oldest = connection.execute(
        "SELECT number, at, total FROM journal WHERE number < ? ORDER BY number LIMIT ?",
        (checkpoint, DELETED_AT_ONCE_COUNT),
    ).fetchall()
    for number, page_at, total in oldest:
        is_old = page_at < at - PAGES_KEPT_SECONDS
        if not is_old and newest[0] - total <= PAGES_KEPT_BYTES:
            return
        connection.execute("DELETE FROM journal WHERE number = ?", (number,))


def _meta(connection: sqlite3.Connection, name: str) -> float:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return row[0] if row is not None else 0
