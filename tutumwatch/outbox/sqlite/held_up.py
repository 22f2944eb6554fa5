"""Takes the messages out of the file that have become too old to be told one by one."""

from __future__ import annotations

import sqlite3

from tutumwatch.outbox.sqlite.codec import DamagedError, decode_notice
from tutumwatch.outbox.store import DIGEST_ABOVE_COUNT, DIGEST_LATEST_COUNT, DIGEST_RULE, HeldUp
from tutumwatch.rules.notice import Form

_OLD = (
    "FROM deliveries WHERE notifier = ? AND state = 1 AND form = ? AND rule != ? AND at < ?"
    # The rule of a digest is none of the user's: a digest is not told within another.
)


def take_held_up(connection: sqlite3.Connection, notifier: str, before: float) -> HeldUp | None:
    """Remove all messages that happened before a time and are not being sent, if they are many.

    :return: what they were, or None: so few are told one by one.
    """
    values = (notifier, Form.MESSAGE.value, DIGEST_RULE, before)
    count, first_at, last_at = connection.execute(
        f"SELECT count(*), min(at), max(at) {_OLD}", values
    ).fetchone()
    if count <= DIGEST_ABOVE_COUNT:
        return None
    by_rule = connection.execute(f"SELECT rule, count(*) {_OLD} GROUP BY rule", values).fetchall()
    latest = connection.execute(
        f"SELECT notice {_OLD} ORDER BY id DESC LIMIT {DIGEST_LATEST_COUNT}", values
    ).fetchall()
    texts = [text for (sealed,) in reversed(latest) if (text := _text_of(sealed)) is not None]
    connection.execute(f"DELETE {_OLD}", values)
    return HeldUp(notifier, count, first_at, last_at, dict(by_rule), texts)


def _text_of(sealed: object) -> str | None:
    try:
        return decode_notice(sealed).text
    except DamagedError:
        return None
