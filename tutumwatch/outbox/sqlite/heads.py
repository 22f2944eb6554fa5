"""Reads heads from the file, and takes back those that were being sent when we last ended."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import attrs

from tutumwatch.outbox.store import Head
from tutumwatch.rules.notice import Form

HEAD_COLUMNS = "id, notifier, at, form, attempts"
# Of what may have arrived so many go again together, as they went; after a long outage there may
# be more, and those go like any others.
INTERRUPTED_MAX_COUNT = 1_000


def head_of(row: Sequence[object]) -> Head:
    """Read a head from HEAD_COLUMNS."""
    row_id, notifier, at, form, attempts = row
    is_message = form == Form.MESSAGE.value
    return Head(int(row_id), str(notifier), float(at), is_message, int(attempts))  # type: ignore[call-overload,arg-type] # SQLite gives what the columns declare


def take_back(connection: sqlite3.Connection) -> tuple[list[Head], int]:
    """Find what may have arrived, and let it go again.

    That is what was being sent when we last ended, and what had failed by then: after a kill that
    came soon after another one, it may be both.

    :return: the heads, each with the request that it was part of, and how many were being sent.
    """
    sending = connection.execute(
        "UPDATE deliveries SET state = 1, maybe_sent = 1 WHERE state = 2"
    ).rowcount
    rows = connection.execute(
        f"SELECT request, {HEAD_COLUMNS} FROM deliveries"
        " WHERE head = 1 AND state = 1 AND maybe_sent = 1 ORDER BY id LIMIT ?",
        (INTERRUPTED_MAX_COUNT,),
    )
    return [_interrupted(*row) for row in rows], sending


def _interrupted(request: int, *row: object) -> Head:
    return attrs.evolve(head_of(row), interrupted=True, request=request)
