"""``tutumwatch send-test``: one harmless message through each notifier's real path."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from typing import assert_never

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from tutumwatch.config.plans import NotifierPlan
from tutumwatch.http import HTTPCaller, NoResponse, Request, Response, Web, load_trust_root
from tutumwatch.notifiers.outcomes import Delivered, GiveUp, Outcome, Park, RetryLater, Smaller
from tutumwatch.notifiers.service import NotifierService
from tutumwatch.notifiers.statuses import said_by
from tutumwatch.rules.notice import Form, Notice, Severity
from tutumwatch.secret import blot_out

TEXT = "This is a test of tutumwatch; nothing happened."


@attrs.define
class _Overheard:
    """An HTTP caller that keeps what was said last; ``said`` stays empty where none is needed."""

    _web: HTTPCaller
    said: str = ""

    def send(self, request: Request, deadline_seconds: float) -> Deferred[Response | NoResponse]:
        return self._web.send(request, deadline_seconds).addCallback(self._keep, request)

    def _keep(self, answer: Response | NoResponse, request: Request) -> Response | NoResponse:
        if isinstance(answer, NoResponse):
            self.said = f": {answer.sentence}"
        else:
            # Some repeat the request in their answer, and its URL may be a credential.
            body = blot_out(answer.body, (request.url, *request.secrets))
            self.said = f": {said_by(attrs.evolve(answer, body=body))}"
        return answer


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
            say(f"{plan.name}{what}: {_verdict(outcome)} in {took_ms:.0f} ms{overheard.said}")
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
    """Say how it went, and what would become of a real notice."""
    match outcome:
        case Delivered():
            return "delivered"
        case RetryLater():
            fate = "it would be tried again"
        case Park():
            fate = "all would wait until that is put right"
        case GiveUp() | Smaller():
            fate = "it would be given up"
        case _:
            assert_never(outcome)
    return f"NOT delivered ({outcome.reason.value}: {fate})"
