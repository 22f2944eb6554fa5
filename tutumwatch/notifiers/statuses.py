"""What an HTTP status means for a delivery where a destination's documents say nothing else."""

from __future__ import annotations

from tutumwatch.http import Response
from tutumwatch.notifiers.outcomes import Delivered, GiveUp, Outcome, Park, Reason, RetryLater

SAID_MAX_CHARS = 200
# The payload itself is at fault: another one may pass.
_PAYLOAD_STATUSES = frozenset({400, 406, 411, 413, 414, 415, 417, 418, 422, 431})
_AUTH_STATUSES = frozenset({401, 402, 403, 407})
_BUSY_STATUSES = frozenset({408, 409, 421, 423, 424, 425, 429})


def said_by(response: Response) -> str:
    """Give status and beginning of an answer for a log line: one line, printable, cut."""
    text = response.body[: SAID_MAX_CHARS * 4].decode("utf-8", "replace")
    line = "".join(c if c.isprintable() else " " for c in text).strip()
    cut = line[: SAID_MAX_CHARS - 1] + "…" if len(line) > SAID_MAX_CHARS else line
    return f"{response.status} {cut}".strip()


def judge_status(response: Response) -> Outcome:
    """Judge an answer by its status alone.

    A refused credential or address parks the destination; only a bad payload kills a notice.
    """
    status, said = response.status, said_by(response)
    after = response.retry_after_seconds
    if 200 <= status < 300:  # noqa: PLR2004 - the class of success
        return Delivered()
    if status == 429:  # noqa: PLR2004 - Too Many Requests: refused, so not acted on
        return RetryLater(Reason.RATE_LIMITED, said, after, surely_refused=True)
    if status >= 500 or status in _BUSY_STATUSES:  # noqa: PLR2004 - the class of server errors
        return RetryLater(Reason.SERVER, said, after)
    if status in _AUTH_STATUSES:
        return Park(Reason.AUTH, said)
    if status in _PAYLOAD_STATUSES:
        reason = Reason.TOO_LARGE if status == 413 else Reason.CLIENT  # noqa: PLR2004 - Content Too Large
        return GiveUp(reason, said)
    # A redirect, not found, gone, or something unheard of: the address is not the right one.
    return Park(Reason.CLIENT, said)
