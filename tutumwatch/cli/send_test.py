"""``tutumwatch send-test``: one harmless message through each notifier's real path."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from tutumwatch.config.plans import NotifierPlan
from tutumwatch.http import HTTPCaller, NoResponse, Request, Response, Web, load_trust_root
from tutumwatch.notifiers.outcomes import Delivered, Outcome
from tutumwatch.notifiers.service import NotifierService
from tutumwatch.notifiers.statuses import said_by
from tutumwatch.rules.notice import Form, Notice, Severity

TEXT = "This is a test of tutumwatch; nothing happened."


@attrs.define
class _Overheard:
    """An HTTP caller that keeps what was answered last."""

    _web: HTTPCaller
    answer: Response | NoResponse | None = None

    def send(self, request: Request, deadline_seconds: float) -> Deferred[Response | NoResponse]:
        self.answer = None
        return self._web.send(request, deadline_seconds).addCallback(self._keep)

    def _keep(self, answer: Response | NoResponse) -> Response | NoResponse:
        self.answer = answer
        return answer

    def said(self) -> str:
        match self.answer:
            case None:
                return "(no HTTP)"
            case NoResponse(sentence=sentence):
                return sentence
            case response:
                return said_by(response)


async def send_test(
    plans: Sequence[NotifierPlan], reactor: IReactorTime, say: Callable[[str], None]
) -> bool:
    """Send to each notifier, one after the other, and say how it went.

    :return: whether every message was delivered.
    """
    delivered = True
    for plan in plans:
        root = load_trust_root(plan.ca_file) if plan.ca_file is not None else None
        web = Web.over_sockets(reactor, time.time, root)
        overheard = _Overheard(web)
        service = NotifierService(plan.name, plan.notifier, overheard)
        for notice in _notices(plan):
            begin = reactor.seconds()
            (outcome,) = await service.deliver([notice])
            took_ms = (reactor.seconds() - begin) * 1000
            what = "" if notice.form is Form.MESSAGE else f" ({notice.form.value})"
            say(f"{plan.name}{what}: {_verdict(outcome)} in {took_ms:.0f} ms: {overheard.said()}")
            delivered &= isinstance(outcome, Delivered)
        await web.close()
    return delivered


def _notices(plan: NotifierPlan) -> list[Notice]:
    """Make what is sent: where incidents are opened, one that is closed at once; else a message."""
    forms = [Form.TRIGGER, Form.RESOLVE] if plan.kind.drops_orphans else [Form.MESSAGE]
    key = f"tutumwatch-test-{uuid.uuid4().hex[:12]}"
    return [
        Notice(
            id=f"{key}/{form.value}",
            form=form,
            rule="send-test",
            notifier=plan.name,
            key=key,
            text=plan.kind.escape(TEXT),
            at=time.time(),
            severity=Severity.INFO,
        )
        for form in forms
    ]


def _verdict(outcome: Outcome) -> str:
    if isinstance(outcome, Delivered):
        return "delivered"
    return f"NOT delivered ({outcome.reason.value}; would be: {type(outcome).__name__})"
