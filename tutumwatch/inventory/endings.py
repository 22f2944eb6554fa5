"""How a container ended: of itself, well or not, or because somebody stopped it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tutumwatch.inventory.resource import GONE_STATE, TERMINATING_STATE, Resource

CLEAN, FAILED, OOM, STOPPED = "clean", "failed", "oom", "stopped"
ENDINGS = frozenset({CLEAN, FAILED, OOM, STOPPED})

_ON_ITS_WAY = frozenset({"stopping", TERMINATING_STATE})
_OVER = frozenset({"stopped", GONE_STATE})
_ENDING = _ON_ITS_WAY | _OVER
_LIVES = ("", False)


def is_over(state: str | None) -> bool:
    """Say whether a container in this state has ended."""
    return state is not None and state.lower() in _OVER


def ending_of(
    before: Resource | None, state: str, fields: Mapping[str, Any] | None
) -> tuple[str, bool]:
    """Give how a container ended, empty if it has not or if that is not known yet.

    :param state: in lower case.
    :param fields: what its object says, None if nothing was said of it this time: an exit code
        that is known from before tells of an earlier run.
    :return: and whether it was being stopped before it ended.
    """
    if state not in _ENDING:
        return _LIVES
    ended, was_stopping = _LIVES if before is None else (before.ended, before.was_stopping)
    if state in _ON_ITS_WAY:
        # What is removed after its end ended before.
        return ended, was_stopping or not ended
    if fields is not None:
        return _told(fields, state, was_stopping=was_stopping), was_stopping
    if not ended and was_stopping and state == GONE_STATE:
        ended = STOPPED
    return ended, was_stopping


def _told(fields: Mapping[str, Any], state: str, *, was_stopping: bool) -> str:
    if "oom" in str(fields.get("exit_code_msg", "")).lower():
        return OOM
    code = fields.get("exit_code")
    # Without an exit code it was removed with all that was in it, or with its node.
    if was_stopping or (code is None and state == GONE_STATE):
        return STOPPED
    return CLEAN if code == 0 else FAILED
