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

# Deleting goes on in steps of this many, so that no commit has to wait for long.
DELETED_AT_ONCE_COUNT = 100
# The server may repeat what it sent before the restart; this many inputs are looked through.
EARLIER_INPUTS_COUNT = 10_000

_CHECKPOINT, _ALIVE_AT = "checkpoint", "alive_at"


@attrs.frozen
class Retention:
    """What is kept at most."""

    pages_seconds: float = 30 * 24 * 3600.0
    pages_bytes: int = 1024**3
    memory_seconds: float = 30 * 24 * 3600.0
    dead_count: int = 100_000


@attrs.frozen
class Forgotten:
    """What a step of forgetting deleted; ``is_all``: there is nothing more to forget."""

    dead_count: int
    is_all: bool


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
    return LastPage(last.number + 1, float(at), next(numbers, last.last_number))


def write_page(connection: sqlite3.Connection, page: LastPage, inputs: Sequence[Input]) -> bool:
    """Write the inputs of a commit; say whether they were not there yet.

    That they are means that this commit was done after all when it seemed to fail.
    """
    beside = (page.number, page.at, len(inputs), page.last_number)
    sealed = encode_page(inputs, *beside)
    there = connection.execute(
        "SELECT page FROM journal WHERE number = ?", (page.number,)
    ).fetchone()
    if there is not None and there[0] == sealed:
        return False
    connection.execute(
        "INSERT INTO journal SELECT ?, ?, ?,"
        " ? + ifnull((SELECT total FROM journal ORDER BY number DESC LIMIT 1), 0), ?, ?",
        (*beside[:3], len(sealed), page.last_number, sealed),
    )
    return True


def alive_at(connection: sqlite3.Connection) -> float | None:
    """Give when we last ran, None if we never did."""
    at = max(_meta(connection, _ALIVE_AT), last_page(connection).at)
    return at or None


@attrs.define
class JournalReader:
    """Reads what a start needs, and counts what is damaged of it and left out."""

    _connection: sqlite3.Connection
    damaged_count: int = 0

    def later(self) -> Iterator[Input]:
        """Give the inputs that came after the inventory was written."""
        numbers = self._connection.execute(
            "SELECT number FROM journal WHERE number > ? ORDER BY number", (self._checkpoint(),)
        ).fetchall()
        for (number,) in numbers:
            yield from self._inputs(number)

    def earlier(self) -> Iterator[Input]:
        """Give the last inputs that came before the inventory was written."""
        pages = self._connection.execute(
            "SELECT number, inputs FROM journal WHERE number <= ? ORDER BY number DESC",
            (self._checkpoint(),),
        )
        numbers: list[int] = []
        count = 0
        for number, inputs in pages:
            numbers.append(number)
            count += inputs
            if count >= EARLIER_INPUTS_COUNT:
                break
        for number in reversed(numbers):
            yield from self._inputs(number)

    def resources(self) -> Iterator[Resource]:
        """Give the inventory as it was written."""
        for (sealed,) in self._connection.execute("SELECT resource FROM resources"):
            try:
                yield decode_resource(sealed)
            except DamagedError:
                self.damaged_count += 1

    def _checkpoint(self) -> float:
        return _meta(self._connection, _CHECKPOINT)

    def _inputs(self, number: int) -> list[Input]:
        page, *beside = self._connection.execute(
            "SELECT page, number, at, inputs, last_number FROM journal WHERE number = ?", (number,)
        ).fetchone()
        try:
            return decode_page(page, *beside)
        except DamagedError:
            self.damaged_count += 1
            return []


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


def forget_old(
    connection: sqlite3.Connection, at: float, checkpoint: int, kept: Retention
) -> Forgotten:
    """Take a small step of deleting what is too old or too much; no page after a checkpoint."""
    pages = _forget_pages(connection, at, checkpoint, kept)
    connection.execute("DELETE FROM memory WHERE at < ?", (at - kept.memory_seconds,))
    (dead,) = connection.execute("SELECT count(*) FROM deliveries WHERE state = 3").fetchone()
    forgotten = connection.execute(
        "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE state = 3"
        " ORDER BY id LIMIT ?)",
        (min(max(0, dead - kept.dead_count), DELETED_AT_ONCE_COUNT),),
    ).rowcount
    give_room_back(connection, DELETED_AT_ONCE_COUNT)
    return Forgotten(forgotten, max(pages, forgotten) < DELETED_AT_ONCE_COUNT)


def _forget_pages(
    connection: sqlite3.Connection, at: float, checkpoint: int, kept: Retention
) -> int:
    newest = connection.execute("SELECT total FROM journal ORDER BY number DESC LIMIT 1").fetchone()
    oldest = connection.execute(
        "SELECT number, at, total - length(page) FROM journal WHERE number < ?"
        " ORDER BY number LIMIT ?",
        (checkpoint, DELETED_AT_ONCE_COUNT),
    ).fetchall()
    count = 0
    for number, page_at, before in oldest:
        is_old = page_at < at - kept.pages_seconds
        if not is_old and newest[0] - before <= kept.pages_bytes:
            break
        connection.execute("DELETE FROM journal WHERE number = ?", (number,))
        count += 1
    return count


def give_room_back(connection: sqlite3.Connection, count: int) -> None:
    """Let the file be shorter by so many pages, if so many of it are free."""
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    for _ in range(min(free, count)):
        # It gives no rows, so Python lets it take a single step, which is one page.
        connection.execute("PRAGMA incremental_vacuum(1)")


def _meta(connection: sqlite3.Connection, name: str) -> float:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return row[0] if row is not None else 0
