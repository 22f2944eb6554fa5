"""The tables within a ``[[tests]]`` table, and what one of them can say by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from tutumwatch.events.inputs import CONNECTED, DISCONNECTED, UNAUTHORIZED
from tutumwatch.inventory.deploys import UPDATE_STATES
from tutumwatch.inventory.fields import FIELDS, LABELS
from tutumwatch.rules.vocabulary import STATES, suggestion
from tutumwatch.settings import Duration, Settings

PARENT_KEYS = ("service", "stack", "node", "nodecluster")
STATE_AT_THE_START: Mapping[str, str] = {
    "stack": "Running",
    "service": "Running",
    "container": "Running",
    "node": "Deployed",
    "nodecluster": "Deployed",
}
_OF_OUR_CONNECTIONS = frozenset(
    {CONNECTED, DISCONNECTED, UNAUTHORIZED, "Delivering", "Failing", "Refused"}
)

ResourceType: TypeAlias = Literal["stack", "service", "container", "node", "nodecluster"]
EventType: TypeAlias = Literal["stack", "service", "container", "node", "nodecluster", "action"]


class RehearsalSettings(Settings, frozen=True, kw_only=True):
    """A ``[[tests]]`` table."""

    name: str
    begins: Any = None
    until: Duration | None = None
    destinations: Any = None
    resources: Any = msgspec.field(default_factory=list)
    steps: Any = msgspec.field(default_factory=list)
    notices: Any


class PortrayalSettings(Settings, frozen=True, kw_only=True):
    """What a table says of a resource."""

    name: str
    state: str | None = None
    stream: str | None = None
    service: str | None = None
    stack: str | None = None
    node: str | None = None
    nodecluster: str | None = None
    nickname: str | None = None
    image: str | None = None
    exit_code: int | None = None
    exit_code_msg: str | None = None
    running: int | None = None
    target: int | None = None
    update_state: str | None = None
    host: str | None = None
    region: str | None = None
    labels: Any = None


class PresentSettings(PortrayalSettings, frozen=True, kw_only=True):
    """One of ``resources``."""

    type: ResourceType


class EventSettings(PortrayalSettings, frozen=True, kw_only=True):
    """One of ``steps`` that is an event."""

    at: Duration
    type: EventType
    action: str = ""
    bare: bool = False


class StreamStepSettings(Settings, frozen=True, kw_only=True):
    """One of ``steps`` that is about a stream."""

    at: Duration
    stream: str
    state: Literal["Connected", "Disconnected", "Unauthorized"]
    reason: str = ""


class NotifierStepSettings(Settings, frozen=True, kw_only=True):
    """One of ``steps`` that is about a notifier."""

    at: Duration
    notifier: str
    state: Literal["Delivering", "Failing", "Refused"]
    reason: str = ""


class RestStepSettings(Settings, frozen=True, kw_only=True):
    """One of ``steps`` that is about look-ups."""

    at: Duration
    rest: Literal["down", "up"]


StepSettings: TypeAlias = (
    EventSettings | StreamStepSettings | NotifierStepSettings | RestStepSettings
)


class ExpectedSettings(Settings, frozen=True, kw_only=True):
    """One of ``notices``."""

    to: Any
    text: str | None = None
    form: Literal["message", "trigger", "resolve"] | None = None
    rule: str | None = None
    key: str | None = None
    at: Duration | None = None


def kind_of_step(raw: object) -> type[StepSettings]:
    """Say what a step is about, by its keys."""
    keys: Mapping[Any, Any] = raw if isinstance(raw, Mapping) else {}
    if "type" in keys:
        return EventSettings
    kinds: Mapping[str, type[StepSettings]] = {
        "notifier": NotifierStepSettings,
        "rest": RestStepSettings,
        "stream": StreamStepSettings,
    }
    return next((kind for key, kind in kinds.items() if key in keys), EventSettings)


def explain_state(state: str) -> str | None:
    """Say what is wrong with the state of a resource; None if nothing is.

    Rules take states that nobody has heard of. In a test such a one is a slip of the pen.
    """
    known = STATES - _OF_OUR_CONNECTIONS
    if state.lower() in {one.lower() for one in known}:
        return None
    near = suggestion(state, known)
    return f"{state!r} is no state of a resource{near or '; Running, Stopped or Deployed are some'}"


def explain_update_state(state: str) -> str | None:
    """Say what is wrong with the state of an update; None if nothing is."""
    if state in UPDATE_STATES:
        return None
    known = f"; known are {', '.join(sorted(UPDATE_STATES))}"
    return f"{state!r} is no state of an update{suggestion(state, UPDATE_STATES) or known}"


def explain_labels(labels: object) -> str | None:
    """Say what is wrong with labels; None if nothing is."""
    if isinstance(labels, Mapping) and all(
        isinstance(value, str | int | float) for value in labels.values()
    ):
        return None
    return 'expected a table of texts such as { job = "nightly" }, each name in quotes with a dot'


def fields_of(settings: PortrayalSettings) -> dict[str, Any]:
    """Give the fields that a table tells, by what rules call them."""
    named = {name: getattr(settings, name) for name in sorted(FIELDS)}
    told = {name: value for name, value in named.items() if value is not None}
    if LABELS in told:
        labels = told[LABELS] if isinstance(told[LABELS], Mapping) else {}
        told[LABELS] = {name: _written(value) for name, value in labels.items()}
    return told


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
