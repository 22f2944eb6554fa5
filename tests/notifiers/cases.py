"""What the tests of notifiers have in common: notices, answers, a caller of HTTP by script."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from twisted.internet.defer import Deferred, succeed

from tutumwatch.http import NoResponse, Request, Response
from tutumwatch.rules.notice import Form, Notice, Severity

# 2026-01-02T03:04:05.678Z
AT = 1_767_323_045.678
PAYLOAD_AT_FAULT = (400, 406, 411, 413, 414, 415, 417, 418, 422, 431)
CREDENTIAL_AT_FAULT = (401, 402, 403, 407)
BUSY = (408, 409, 421, 423, 424, 425)
ALL_STATUSES = range(100, 600)


def notice(
    text: str = "web is down",
    form: Form = Form.MESSAGE,
    key: str = "web",
    details: Mapping[str, str] | None = None,
) -> Notice:
    """Make a notice with everything in it."""
    return Notice(
        id=f"id of {text[:20]}",
        form=form,
        rule="service down",
        notifier="ops",
        key=key,
        text=text,
        at=AT,
        severity=Severity.CRITICAL,
        marks=("gone",),
        details=details or {},
    )


def answer(status: int, body: bytes | str = b"", after: float | None = None) -> Response:
    """Make an answer."""
    return Response(status, body.encode() if isinstance(body, str) else body, after)


@attrs.define
class ScriptedWeb:
    """Gives the same answer to every request, and keeps the requests; None: it never answers."""

    answer: Response | NoResponse | None
    requests: list[Request] = attrs.field(factory=list)
    deadlines: list[float] = attrs.field(factory=list)

    def send(self, request: Request, deadline_seconds: float) -> Deferred[Response | NoResponse]:
        """Take a request."""
        self.requests.append(request)
        self.deadlines.append(deadline_seconds)
        return Deferred() if self.answer is None else succeed(self.answer)
