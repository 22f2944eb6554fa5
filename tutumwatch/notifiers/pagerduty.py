"""PagerDuty's Events API, versions 1 and 2.

v1: https://developer.pagerduty.com/docs/events-api-v1-overview, v2:
https://developer.pagerduty.com/docs/events-api-v2-overview, read 2026-11. A trigger is idempotent
while its incident is open; a resolve of what is not open is accepted and dropped. A change event,
of version 2 alone, wakes nobody: https://developer.pagerduty.com/docs/send-change-event.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import attrs
import msgspec

from tutumwatch.http import Request, Response
from tutumwatch.notifiers.contract import NotifierKind, NotifierSettings, Pace, encode_json, for_all
from tutumwatch.notifiers.outcomes import (
    Delivered,
    GiveUp,
    Outcome,
    Park,
    Reason,
    RetryLater,
)
from tutumwatch.notifiers.statuses import judge_status, said_by
from tutumwatch.notifiers.urls import require_http_url
from tutumwatch.rules.notice import Form, Notice
from tutumwatch.secret import Secret

HOST = "https://events.pagerduty.com"
PATHS = {"v1": "/generic/2010-04-15/create_event.json", "v2": "/v2/enqueue"}
CHANGE_PATH = "/v2/change/enqueue"
KEY_MAX_CHARS = 255
SUMMARY_MAX_CHARS = 1024
ROUTING_KEY_CHARS = 32
DETAIL_MAX_CHARS = 1024
# About 120 events a minute for each integration key, in a sliding window: no burst above that.
# https://developer.pagerduty.com/docs/events-api-v2-overview, read 2026-11
PACE = Pace(rate_per_second=2.0, concurrency_count=2)

_EVENT_TYPES = {Form.TRIGGER: "trigger", Form.RESOLVE: "resolve", Form.MESSAGE: "trigger"}


class PagerDutySettings(NotifierSettings, frozen=True, kw_only=True):
    """``kind = "pagerduty"``: ``key`` is the integration key.

    ``host`` is scheme and host of the Events API (https://events.eu.pagerduty.com in Europe), the
    path is appended. ``details = false`` sends nothing but the text.
    """

    key: Secret
    api: Literal["v1", "v2"] = "v2"
    host: str = HOST
    client: str = "tutumwatch"
    details: bool = True


@attrs.frozen
class PagerDuty:
    """One integration of one PagerDuty service."""

    key: Secret
    api: Literal["v1", "v2"]
    host: str
    client: str
    details: bool

    def render(self, batch: Sequence[Notice], memory: Mapping[str, str]) -> Request:
        """Trigger or resolve one incident, or tell of a change.

        A message is a trigger that a person closes; in version 1 so is one that tells of a change.
        """
        (notice,) = batch
        path = PATHS[self.api]
        if self._is_change(notice):
            body, path = self._render_change(notice), CHANGE_PATH
        else:
            body = self._render_v1(notice) if self.api == "v1" else self._render_v2(notice)
        url = Secret(self.host.rstrip("/") + path)
        headers = {"Content-Type": "application/json"}
        return Request("POST", url, headers, encode_json(body), secrets=(self.key,))

    def _is_change(self, notice: Notice) -> bool:
        return notice.is_change and self.api == "v2"

    def _render_v1(self, notice: Notice) -> dict[str, Any]:
        body: dict[str, Any] = {
            "service_key": self.key.reveal(),
            "event_type": _EVENT_TYPES[notice.form],
            "incident_key": incident_key(notice),
            "description": _summary(notice),
        }
        if self.details:
            body["details"] = self._details(notice)
            if notice.form is not Form.RESOLVE:
                body["client"] = self.client
        return body

    def _render_v2(self, notice: Notice) -> dict[str, Any]:
        body: dict[str, Any] = {
            "routing_key": self.key.reveal(),
            "event_action": _EVENT_TYPES[notice.form],
            "dedup_key": incident_key(notice),
        }
        if notice.form is Form.RESOLVE:
            return body
        payload = self._payload(notice) | {"severity": notice.severity.value}
        return body | {"client": self.client, "payload": payload}

    def _render_change(self, notice: Notice) -> dict[str, Any]:
        """Tell of a change; it has no severity, no key, and no client."""
        return {"routing_key": self.key.reveal(), "payload": self._payload(notice)}

    def _payload(self, notice: Notice) -> dict[str, Any]:
        payload: dict[str, Any] = {
            "summary": _summary(notice),
            "source": notice.details.get("stream") or self.client,
            "timestamp": datetime.fromtimestamp(notice.at, UTC).isoformat(timespec="milliseconds"),
        }
        if self.details:
            payload["custom_details"] = self._details(notice)
        return payload

    def _details(self, notice: Notice) -> dict[str, str]:
        told = {name: cut(value, DETAIL_MAX_CHARS) for name, value in notice.details.items()}
        return told | {"rule": notice.rule, "text": cut(notice.text, 4 * SUMMARY_MAX_CHARS)}

    def judge(self, batch: Sequence[Notice], response: Response) -> Sequence[Outcome]:
        """Read the answer: accepted, throttled (v1 says so with 403), or wrong.

        A change event that is refused is given up; what else is refused may park the destination.
        """
        outcome = judge_status(response)
        if isinstance(outcome, Delivered) and response.body.lstrip()[:1] == b"<":
            # A portal or a proxy answers everything with a page of its own.
            outcome = Park(Reason.CLIENT, f"this is not PagerDuty: {said_by(response)}")
        elif self.api == "v1" and response.status == 403:  # noqa: PLR2004 - v1's word for 429
            after = response.retry_after_seconds
            said = said_by(response)
            outcome = RetryLater(Reason.RATE_LIMITED, said, after, surely_refused=True)
        elif isinstance(outcome, GiveUp) and _blames_the_key(response.body):
            outcome = Park(Reason.AUTH, said_by(response))
        if isinstance(outcome, Park) and self._is_change(batch[0]) and _is_refusal(response):
            # A key, or a host, that takes no changes may well take pages: these must not wait.
            outcome = GiveUp(outcome.reason, outcome.said)
        return for_all(batch, outcome)


class _Answer(msgspec.Struct):
    """``{"status": "invalid event", "errors": ["Length of 'routing_key' is incorrect ..."]}``."""

    errors: list[str] = msgspec.field(default_factory=list)


def _blames_the_key(body: bytes) -> bool:
    try:
        errors = msgspec.json.decode(body, type=_Answer).errors
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return any("routing_key" in error or "service_key" in error for error in errors)


def _is_refusal(response: Response) -> bool:
    return 400 <= response.status < 500  # noqa: PLR2004 - the class of client errors


def incident_key(notice: Notice) -> str:
    """Give the key of the incident: the notice's own, or its digest where that is too long."""
    key = notice.id if notice.form is Form.MESSAGE else notice.key
    return key if len(key) <= KEY_MAX_CHARS else hashlib.sha256(key.encode()).hexdigest()


def _summary(notice: Notice) -> str:
    """Give the text; an event that says nothing would be refused, so then the rule's name."""
    return cut(notice.text if notice.text.strip() else notice.rule, SUMMARY_MAX_CHARS)


def cut(text: str, max_chars: int) -> str:
    """Cut by code point, with an ellipsis inside the limit."""
    return text if len(text) <= max_chars else text[: max_chars - 1] + "…"


def make_pagerduty(settings: PagerDutySettings) -> PagerDuty:
    """Make a PagerDuty notifier.

    :raises ValueError: if ``host`` is no HTTP URL, or ``key`` cannot be a v2 routing key.
    """
    require_http_url("host", settings.host)
    if not settings.client:
        message = "client: it is empty"
        raise ValueError(message)
    length = len(settings.key.reveal())
    if not length:
        message = "key: it is empty"
        raise ValueError(message)
    if settings.api == "v2" and length != ROUTING_KEY_CHARS:
        message = f"key: an integration key has {ROUTING_KEY_CHARS} characters, this one {length}"
        raise ValueError(message)
    return PagerDuty(settings.key, settings.api, settings.host, settings.client, settings.details)


KIND = NotifierKind("pagerduty", PagerDutySettings, make_pagerduty, str, PACE, drops_orphans=True)
