"""Deploys of services: when one begins, and how it ends.

One begins when a service is redeployed or scaled, and when it is started for the first time. It
ends well when the service runs; it fails, or is rolled back, when the object says so of the
update. That it lasts too long only time can tell (:mod:`tutumwatch.inventory.deadlines`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from tutumwatch.inventory.resource import Deploy, Resource

RUNNING, DONE, FAILED = "running", "done", "failed"
ROLLED_BACK, OVERDUE = "rolled back", "overdue"
NEVER = "none"
DEPLOY_STATES = frozenset({NEVER, RUNNING, DONE, FAILED, ROLLED_BACK, OVERDUE})

# What an object says of its update, in the words of Swarm, whose are the only ones.
_UPDATING, _PAUSED, _COMPLETED = "updating", "paused", "completed"
_ROLLING_BACK, _ROLLBACK_PAUSED = "rollback_started", "rollback_paused"
_WAS_ROLLED_BACK = "rollback_completed"
UPDATE_STATES = frozenset(
    {_UPDATING, _PAUSED, _COMPLETED, _ROLLING_BACK, _ROLLBACK_PAUSED, _WAS_ROLLED_BACK}
)
_GIVEN_UP = frozenset({_PAUSED, _ROLLBACK_PAUSED})
_GOES_ON = frozenset({_UPDATING, _ROLLING_BACK})

_BEGINNINGS = frozenset({"redeploying", "scaling", "starting"})
_NEVER_RAN = frozenset({"", "not running"})
_AT_REST = frozenset({"stopped", "not running"})

_NOTHING: Mapping[str, Any] = {}


def deploy_after(
    before: Resource | None, state: str, fields: Mapping[str, Any] | None, at: float
) -> Deploy | None:
    """Give the last deploy of a service that is said to be so now; None if it never had one.

    :param state: in lower case.
    """
    if before is None:
        return Deploy(RUNNING, at) if state in _BEGINNINGS else None
    were, are = before.fields or _NOTHING, fields or _NOTHING
    if state in _BEGINNINGS and _begins(before, state, were, are):
        return Deploy(RUNNING, at, image_before=_image_before(before, were))
    deploy = before.deploy
    if deploy is None or deploy.ended_at is not None:
        # Only what our bridge serves says how its update went.
        return _after_its_end(deploy, state, were, are, at) if "update_state" in are else deploy
    outcome = _outcome(state, were, are)
    return deploy if outcome is None else deploy_ended(deploy, outcome, at)


def deploy_ended(deploy: Deploy, outcome: str, at: float) -> Deploy:
    """Give a deploy that has come to an end."""
    return replace(deploy, state=outcome, ended_at=at)


def deploy_overdue(deploy: Deploy) -> Deploy:
    """Give a deploy that lasts too long."""
    return replace(deploy, state=OVERDUE)


def _begins(before: Resource, state: str, were: Mapping[str, Any], are: Mapping[str, Any]) -> bool:
    if before.gone_at is not None:
        return True
    state_before = (before.state or "").lower()
    if state == "starting":
        # Later on, a service that starts has crashed, or was stopped by somebody.
        return before.deploy is None and state_before in _NEVER_RAN
    if state_before != state:
        return True
    # One after the other, without a state between them.
    was = were.get("update_state")
    is_other = was != _UPDATING or _is_other_image(were, are)
    return was is not None and are.get("update_state") == _UPDATING and is_other


def _image_before(before: Resource, were: Mapping[str, Any]) -> str | None:
    """Give the image that ran when all was at rest, also if a deploy replaces an unfinished one."""
    deploy = before.deploy
    return deploy.image_before if deploy is not None and deploy.goes_on else _image(were)


def _outcome(state: str, were: Mapping[str, Any], are: Mapping[str, Any]) -> str | None:
    """Say how a deploy ends, None if it goes on.

    What is said of the update counts if it is news: it may be left over from the one before.
    """
    update = are.get("update_state")
    if update != were.get("update_state"):
        if update in _GIVEN_UP or update == _ROLLING_BACK:
            return FAILED
        if update == _WAS_ROLLED_BACK:
            return ROLLED_BACK
    is_at_rest = state in _AT_REST and are.get("target") == 0
    return DONE if state == "running" or is_at_rest else None


def _after_its_end(
    deploy: Deploy | None, state: str, were: Mapping[str, Any], are: Mapping[str, Any], at: float
) -> Deploy | None:
    """Give a deploy that was taken for failed its true end; find one that nobody saw.

    Of a service that was never updated before, only the image tells that there was one.
    """
    was, update = were.get("update_state"), are.get("update_state")
    is_news = _is_other_image(were, are) or (was is not None and was != update)
    outcome = _late_outcome(state, update) if is_news else None
    if outcome is None:
        return deploy
    if deploy is not None and deploy.state == FAILED and was in _GOES_ON:
        return deploy if outcome == FAILED else deploy_ended(deploy, outcome, at)
    return Deploy(outcome, at, at, _image(were))


def _late_outcome(state: str, update: str | None) -> str | None:
    if update in _GIVEN_UP:
        return FAILED
    if update == _WAS_ROLLED_BACK:
        return ROLLED_BACK
    return DONE if update == _COMPLETED and state == "running" else None


def _image(fields: Mapping[str, Any]) -> str | None:
    image = fields.get("image")
    return image if isinstance(image, str) else None


def _is_other_image(were: Mapping[str, Any], are: Mapping[str, Any]) -> bool:
    before, now = _image(were), _image(are)
    return before is not None and now is not None and before != now
