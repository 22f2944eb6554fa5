"""One message in place of many that were held up: what they were, and the last of them in full."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from tutumwatch.outbox.store import DIGEST_RULE, HeldUp
from tutumwatch.rules.notice import Form, Notice


def write_digest(held: HeldUp, escape: Callable[[str], str], now: float) -> Notice:
    """Write it; the texts of the last messages are what they would have been.

    :param escape: makes a text harmless for the destination.
    :param now: the watch's time.
    """
    rules = ", ".join(f"{count} of {rule}" for rule, count in sorted(held.by_rule.items()))
    first, last = _time(held.first_at), _time(held.last_at)
    head = f"{held.count} messages from {first} to {last} were held up: {rules}"
    left = held.count - len(held.latest)
    introduction = "the last of them:" if left else "they are:"
    return Notice(
        id=f"{DIGEST_RULE}/{held.notifier}/{now}",
        form=Form.MESSAGE,
        rule=DIGEST_RULE,
        notifier=held.notifier,
        key=f"{DIGEST_RULE}/{now}",
        text="\n".join([escape(f"{head}; {introduction}"), *held.latest]),
        at=now,
        marks=("held up",),
    )


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
