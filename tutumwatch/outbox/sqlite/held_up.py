"""Takes the messages out of the file that have become too old to be told one by one."""

from __future__ import annotations

import sqlite3

from tutumwatch.outbox.sqlite.codec import DamagedError, decode_notice
from tutumwatch.outbox.store import DIGEST_ABOVE_COUNT, DIGEST_LATEST_COUNT, DIGEST_RULE, HeldUp
from tutumwatch.rules.notice import Form

# The rule of a digest is none of the user's: a digest is not told within another.
_OLD = "FROM deliveries WHERE notifier = ? AND state = 1 AND form = ? AND rule != ? AND at < ?"
# More than these are told in several: no commit should wait for long.
TOLD_IN_ONE_MAX_COUNT = 10_000


def take_held_up(connection: sqlite3.Connection, notifier: str, before: float) -> HeldUp | None:
    """Remove the first messages that happened before a time and are not being sent, if many are.

    :return: what they were, or None: so few are told one by one.
    """
    values = (notifier, Form.MESSAGE.value, DIGEST_RULE, before, TOLD_IN_ONE_MAX_COUNT)
    old = f"FROM deliveries WHERE id IN (SELECT id {_OLD} ORDER BY id LIMIT ?)"
    count, first_at, last_at = connection.execute(
        f"SELECT count(*), min(at), max(at) {old}", values
    ).fetchone()
    if count <= DIGEST_ABOVE_COUNT:
        return None
    by_rule = connection.execute(f"SELECT rule, count(*) {old} GROUP BY rule", values).fetchall()
    latest = connection.execute(
        f"SELECT notice {old} ORDER BY id DESC LIMIT {DIGEST_LATEST_COUNT}", values
    ).fetchall()
    texts = [text for (sealed,) in reversed(latest) if (text := _text_of(sealed)) is not None]
    connection.execute(f"DELETE {old}", values)
    return HeldUp(notifier, count, first_at, last_at, dict(by_rule), texts)


def _text_of(sealed: object) -> str | None:
    try:
        return decode_notice(sealed).text
    except DamagedError:
        return None
