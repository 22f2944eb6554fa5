"""Acme Chat for tutumwatch: a notice is a POST of {"message": ...} to a room's URL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from tutumwatch.http import Request, Response
from tutumwatch.notifiers.contract import (
    NotifierKind,
    NotifierSettings,
    Pace,
    encode_json,
    for_all,
)
from tutumwatch.notifiers.outcomes import Outcome
from tutumwatch.notifiers.statuses import judge_status
from tutumwatch.notifiers.urls import require_http_url
from tutumwatch.rules.notice import Notice
from tutumwatch.secret import Secret


class AcmeSettings(NotifierSettings, frozen=True, kw_only=True):
    """``kind = "acme-chat"``: ``url`` is the room's own, and its only credential."""

    url: Secret


@attrs.frozen
class AcmeChat:
    """One room."""

    url: Secret

    def render(self, batch: Sequence[Notice], memory: Mapping[str, str]) -> Request:
        """Say several notices as one message, a line each."""
        message = "\n".join(notice.text for notice in batch)
        headers = {"Content-Type": "application/json"}
        return Request("POST", self.url, headers, encode_json({"message": message}))

    def judge(self, batch: Sequence[Notice], response: Response) -> Sequence[Outcome]:
        """Acme says all by the status."""
        return for_all(batch, judge_status(response))


def make(settings: AcmeSettings) -> AcmeChat:
    """Make one from its table of the configuration."""
    require_http_url("url", settings.url.reveal())
    return AcmeChat(settings.url)


PACE = Pace(batch_count=10, rate_per_second=5.0, burst_count=5)
KIND = NotifierKind("acme-chat", AcmeSettings, make, str, PACE)
