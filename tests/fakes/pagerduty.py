"""A fake of PagerDuty's Events API, versions 1 and 2, on one port.

===============================================  =========================  =================
``POST /generic/2010-04-15/create_event.json``   service_key, event_type    200, 400, 403
``POST /v2/enqueue``                             routing_key, event_action  202, 400, 429
``POST /v2/change/enqueue``                      routing_key, payload       202, 400, 429
===============================================  =========================  =================

A trigger opens an incident or is appended to the open one with the same key; a resolve closes it;
acknowledge or resolve with nothing open is accepted and dropped. Sources, read 2026-11:
https://developer.pagerduty.com/docs/events-api-v1-overview, .../events-api-v2-overview and
.../send-change-event.

Run it alone with ``python -m tests.fakes.pagerduty [--port N]``.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections import defaultdict, deque

import attrs
from twisted.internet.interfaces import IReactorTCP

from tests.fakes.answers import Answer
from tests.fakes.scripted import Received, ScriptedServer
from tests.fakes.standalone import run

V1_PATH = "/generic/2010-04-15/create_event.json"
V2_PATH = "/v2/enqueue"
CHANGE_PATH = "/v2/change/enqueue"

# https://developer.pagerduty.com/docs/events-api-v2-overview, read 2026-11 (v1 has the same).
KEY_LENGTH_CHARS = 32
DEDUP_KEY_MAX_CHARS = 255
SUMMARY_MAX_CHARS = 1024
BODY_MAX_BYTES = 512_000  # "512 KB"; the smaller of its two readings
ACTIONS = ("trigger", "acknowledge", "resolve")
SEVERITIES = ("critical", "error", "warning", "info")
# https://developer.pagerduty.com/docs/rate-limits, read 2026-11: per integration key, sliding.
LIMIT_COUNT = 120
LIMIT_WINDOW_SECONDS = 60.0

_JSON = {"Content-Type": "application/json"}


@attrs.define
class Incident:
    """One incident: from the trigger that opened it to the resolve that closed it."""

    routing_key: str
    key: str
    opened_at: float
    acknowledged_at: float | None = None
    closed_at: float | None = None
    descriptions: list[str] = attrs.field(factory=list)
    events: list[dict[str, object]] = attrs.field(factory=list)

    @property
    def is_open(self) -> bool:
        """Whether no resolve has come yet."""
        return self.closed_at is None


@attrs.frozen
class _Event:
    """A body of either version, in one vocabulary; ``errors`` says what is wrong with it."""

    routing_key: str
    action: str
    key: str
    description: str
    errors: list[str]


class FakePagerDuty(ScriptedServer):
    """An Events API that keeps its incidents.

    ``events`` has the accepted bodies, decoded, in order; ``incidents`` every incident in order
    of opening; ``changes`` the accepted change events. Switches: ``strict_keys`` checks that keys
    have 32 characters, ``limits_rate`` throttles above 120 events a minute for each key.
    """

    def __init__(self, reactor: IReactorTCP) -> None:
        super().__init__(reactor)
        self.events: list[dict[str, object]] = []
        self.changes: list[dict[str, object]] = []
        self.incidents: list[Incident] = []
        self.strict_keys = False
        self.limits_rate = False
        self._accepted_at: defaultdict[str, deque[float]] = defaultdict(deque)

    @property
    def url(self) -> str:
        """Scheme and host of both APIs, as ``PAGERDUTY_URL`` wants it."""
        return self.base_url

    @property
    def v1_url(self) -> str:
        """Where version 1 takes its events."""
        return self.base_url + V1_PATH

    @property
    def v2_url(self) -> str:
        """Where version 2 takes its events."""
        return self.base_url + V2_PATH

    def open_keys(self) -> list[str]:
        """Return the keys of the open incidents, in order of opening."""
        return [incident.key for incident in self.incidents if incident.is_open]

    def opened_count(self, key: str) -> int:
        """Return how many incidents with this key were ever opened."""
        return sum(incident.key == key for incident in self.incidents)

    def closed_count(self, key: str) -> int:
        """Return how many incidents with this key were closed again."""
        return sum(incident.key == key and not incident.is_open for incident in self.incidents)

    def summary(self) -> str:
        """Say what was received."""
        return f"{super().summary()}; {len(self.events)} events, open: {self.open_keys()}"

    def process(self, request: Received) -> Answer:
        """Take in an event, or say what is wrong with it."""
        status = _refused_status(request)
        if status is not None:
            return Answer(status)
        body = _decoded(request.body)
        if body is None:
            return _refusal(
                "unrecognized object", "Event object format is unrecognized", ["JSON parse error"]
            )
        if request.path == CHANGE_PATH:
            return self._take_change(body, request.time)
        if request.path == V2_PATH:
            event = _read_v2(body, strict_keys=self.strict_keys)
            return self._take(event, body, request.time, version=2)
        event = _read_v1(body, strict_keys=self.strict_keys)
        return self._take(event, body, request.time, version=1)

    def _take(self, event: _Event, body: dict[str, object], now: float, *, version: int) -> Answer:
        if event.errors:
            return _refusal("invalid event", "Event object is invalid", event.errors)
        if not self._is_within_limit(event.routing_key, now):
            return Answer(403) if version == 1 else _TOO_MANY
        self.events.append(body)
        self._advance(event, body, now)
        key_name = "incident_key" if version == 1 else "dedup_key"
        self.echo(f"{event.action} {event.key}: {event.description}")
        return _success(200 if version == 1 else 202, **{key_name: event.key})

    def _take_change(self, body: dict[str, object], now: float) -> Answer:
        event = _read_change(body, strict_keys=self.strict_keys)
        if event.errors:
            return _refusal("invalid event", "Event object is invalid", event.errors)
        if not self._is_within_limit(event.routing_key, now):
            return _TOO_MANY
        self.changes.append(body)
        self.echo(f"change: {event.description}")
        return _success(202)

    def _is_within_limit(self, routing_key: str, now: float) -> bool:
        accepted = self._accepted_at[routing_key]
        while accepted and accepted[0] <= now - LIMIT_WINDOW_SECONDS:
            accepted.popleft()
        if self.limits_rate and len(accepted) >= LIMIT_COUNT:
            return False
        accepted.append(now)
        return True

    def _advance(self, event: _Event, body: dict[str, object], now: float) -> None:
        """Move the state machine of the event's key; an orphan changes nothing."""
        incident = self._open_incident(event.routing_key, event.key)
        if incident is None:
            if event.action != "trigger":
                return
            incident = Incident(event.routing_key, event.key, opened_at=now)
            self.incidents.append(incident)
        incident.events.append(body)
        if event.action == "trigger":
            incident.descriptions.append(event.description)
        elif event.action == "acknowledge":
            incident.acknowledged_at = now
        else:
            incident.closed_at = now

    def _open_incident(self, routing_key: str, key: str) -> Incident | None:
        for incident in self.incidents:
            if incident.is_open and (incident.routing_key, incident.key) == (routing_key, key):
                return incident
        return None


def _refused_status(request: Received) -> int | None:
    """Return the status for a request that is no event at all, or None."""
    if request.path not in (V1_PATH, V2_PATH, CHANGE_PATH):
        return 404
    if request.method != "POST":
        return 405
    return 413 if len(request.body) > BODY_MAX_BYTES else None


def _read_v1(body: dict[str, object], *, strict_keys: bool) -> _Event:
    errors = _key_errors(body, "service_key", strict_keys=strict_keys)
    errors += _action_errors(body, "event_type")
    is_trigger = body.get("event_type") == "trigger"
    errors += _text_errors(body, "incident_key", DEDUP_KEY_MAX_CHARS, is_required=not is_trigger)
    errors += _text_errors(body, "description", SUMMARY_MAX_CHARS, is_required=is_trigger)
    return _event(body, ("service_key", "event_type", "incident_key"), body, "description", errors)


def _read_v2(body: dict[str, object], *, strict_keys: bool) -> _Event:
    errors = _key_errors(body, "routing_key", strict_keys=strict_keys)
    errors += _action_errors(body, "event_action")
    is_trigger = body.get("event_action") == "trigger"
    errors += _text_errors(body, "dedup_key", DEDUP_KEY_MAX_CHARS, is_required=not is_trigger)
    payload = body.get("payload")
    payload = payload if isinstance(payload, dict) else {}
    if is_trigger:
        errors += _text_errors(payload, "summary", SUMMARY_MAX_CHARS, is_required=True)
        errors += _text_errors(payload, "source", BODY_MAX_BYTES, is_required=True)
        if payload.get("severity") not in SEVERITIES:
            errors.append(f"severity is invalid (must be one of: {' '.join(SEVERITIES)})")
    names = ("routing_key", "event_action", "dedup_key")
    return _event(body, names, payload, "summary", errors)


def _read_change(body: dict[str, object], *, strict_keys: bool) -> _Event:
    payload = body.get("payload")
    payload = payload if isinstance(payload, dict) else {}
    errors = _key_errors(body, "routing_key", strict_keys=strict_keys)
    errors += _text_errors(payload, "summary", SUMMARY_MAX_CHARS, is_required=True)
    for name in ("source", "timestamp"):
        errors += _text_errors(payload, name, BODY_MAX_BYTES, is_required=False)
    if not isinstance(payload.get("custom_details", {}), dict):
        errors.append("'custom_details' must be an object")
    links = body.get("links", [])
    if not isinstance(links, list) or not all(map(_is_link, links)):
        errors.append("'links' must be objects with an 'href'")
    return _event(body, ("routing_key", "", ""), payload, "summary", errors)


def _is_link(link: object) -> bool:
    return isinstance(link, dict) and bool(link.get("href"))


def _event(
    body: dict[str, object],
    names: tuple[str, str, str],
    described: dict[str, object],
    description: str,
    errors: list[str],
) -> _Event:
    routing_key, action, key = (str(body.get(name) or "") for name in names)
    text = str(described.get(description) or "")
    return _Event(routing_key, action, key or uuid.uuid4().hex, text, errors)


def _key_errors(body: dict[str, object], name: str, *, strict_keys: bool) -> list[str]:
    key = body.get(name)
    if not isinstance(key, str) or not key:
        return [f"'{name}' is missing or blank"]
    if strict_keys and len(key) != KEY_LENGTH_CHARS:
        return [f"Length of '{name}' is incorrect (should be {KEY_LENGTH_CHARS} characters)"]
    return []


def _action_errors(body: dict[str, object], name: str) -> list[str]:
    if body.get(name) in ACTIONS:
        return []
    return [f"{name} is invalid (must be one of: {' '.join(ACTIONS)})"]


def _text_errors(
    fields: dict[str, object], name: str, limit_chars: int, *, is_required: bool
) -> list[str]:
    text = fields.get(name)
    if text is None or text == "":
        return [f"'{name}' is missing or blank"] if is_required else []
    if not isinstance(text, str):
        return [f"'{name}' must be a string"]
    if len(text) > limit_chars:
        return [f"Length of '{name}' is incorrect (should be at most {limit_chars} characters)"]
    return []


def _decoded(body: bytes) -> dict[str, object] | None:
    try:
        decoded = json.loads(body)
    except ValueError:
        return None
    return decoded if isinstance(decoded, dict) else None


def _success(status: int, **more: str) -> Answer:
    fields = {"status": "success", "message": "Event processed", **more}
    return Answer(status, json.dumps(fields), _JSON)


def _refusal(status_word: str, message: str, errors: list[str]) -> Answer:
    fields = {"status": status_word, "message": message, "errors": errors}
    return Answer(400, json.dumps(fields), _JSON)


_TOO_MANY = Answer(429, json.dumps({"message": "Request Limit Exceeded"}), _JSON)


if __name__ == "__main__":
    run(sys.argv[1:], "tests.fakes.pagerduty", FakePagerDuty, lambda fake: fake.url)
