"""Slack incoming webhooks: ``POST`` of ``{"text": ...}``, answered ``ok``.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks, read 2026-11. The
webhook's URL is the credential.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
    Smaller,
)
from tutumwatch.notifiers.statuses import judge_status, said_by
from tutumwatch.notifiers.urls import require_http_url
from tutumwatch.rules.notice import Notice
from tutumwatch.secret import Secret

# Slack advises 4,000 and cuts a message off past 40,000, without a word.
# https://docs.slack.dev/reference/methods/chat.postMessage, read 2026-11
TEXT_ADVISED_CHARS = 4_000
TEXT_MAX_CHARS = 40_000
# So that each notice of a full batch has 400 characters.
BATCH_MAX_COUNT = 100
ENTITY_MAX_CHARS = len("&amp;")
# Longer ones are not worth the text before them.
LINK_MAX_CHARS = 1_000
# 1 message a second for each channel, "short bursts" allowed.
# https://docs.slack.dev/apis/web-api/rate-limits, read 2026-11
PACE = Pace(batch_count=20, batch_above_count=10, rate_per_second=1.0, burst_count=10)

# The bodies of errors that only a person can mend: the webhook, its channel or its team.
_TARGET_ERRORS = frozenset(
    {"action_prohibited", "posting_to_general_channel_denied", "invalid_token", "team_disabled"}
    | {"channel_not_found", "no_active_hooks", "no_service", "no_service_id", "no_team"}
    | {"channel_is_archived", "user_not_found"}
)


class SlackSettings(NotifierSettings, frozen=True, kw_only=True):
    """``kind = "slack"``: ``url`` is the incoming webhook."""

    url: Secret


@attrs.frozen
class Slack:
    """One incoming webhook: one channel."""

    url: Secret

    def render(self, batch: Sequence[Notice], memory: Mapping[str, str]) -> Request:
        """Say one notice as it is, several as one message with a line break between them."""
        longest = min(TEXT_ADVISED_CHARS, TEXT_MAX_CHARS // len(batch) - 1)
        text = "\n".join(cut_escaped(notice.text, longest) for notice in batch)
        return Request(
            "POST", self.url, {"Content-Type": "application/json"}, encode_json({"text": text})
        )

    def judge(self, batch: Sequence[Notice], response: Response) -> Sequence[Outcome]:
        """Read the answer: ``ok``, or one bare word that says what is wrong."""
        word = response.body[:200].strip().decode("utf-8", "replace")
        outcome = judge_status(response)
        if isinstance(outcome, Delivered) and word not in {"ok", ""} and not _is_ok(response.body):
            outcome = Park(Reason.CLIENT, f"this is not Slack: {said_by(response)}")
        elif word in _TARGET_ERRORS:
            outcome = Park(Reason.AUTH, said_by(response))
        elif isinstance(outcome, RetryLater) and word == "rollup_error":
            outcome = attrs.evolve(outcome, surely_refused=True)
        elif isinstance(outcome, GiveUp) and len(batch) > 1:
            outcome = Smaller(outcome.reason, outcome.said)
        return for_all(batch, outcome)


def _is_ok(body: bytes) -> bool:
    """Accept what servers that speak Slack's webhooks answer in its place."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(answer, dict) and (answer.get("ok") is True or answer.get("success") is True)


def escape_mrkdwn(text: str) -> str:
    """Make a value harmless in a Slack text: nothing in it can link or ping.

    https://docs.slack.dev/messaging/formatting-message-text, read 2026-11: these three, no others.
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut_escaped(text: str, max_chars: int) -> str:
    """Cut an escaped text with an ellipsis, never inside an ``&entity;`` or ``<link|text>``."""
    if len(text) <= max_chars:
        return text
    cut = text[: max_chars - 1]
    for start, end, longest in (("&", ";", ENTITY_MAX_CHARS), ("<", ">", LINK_MAX_CHARS)):
        opened = cut.rfind(start)
        # One that is not closed soon is text.
        close = text.find(end, opened, opened + longest) if opened >= 0 else -1
        if close >= len(cut):
            cut = cut[:opened]
    return cut + "…"


def make_slack(settings: SlackSettings) -> Slack:
    """Make a Slack notifier.

    :raises ValueError: if ``url`` is no HTTP URL, or ``batch`` leaves no room for a notice.
    """
    if settings.batch is not None and settings.batch > BATCH_MAX_COUNT:
        message = f"batch: must be at most {BATCH_MAX_COUNT}"
        raise ValueError(message)
    require_http_url("url", settings.url.reveal())
    return Slack(settings.url)


KIND = NotifierKind("slack", SlackSettings, make_slack, escape_mrkdwn, PACE)
