"""A configured destination as a service: all kinds share this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from traceback import extract_tb

import attrs
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from tutumwatch.http import DEADLINE_SECONDS, HTTPCaller, NoResponse
from tutumwatch.notifiers.contract import Notifier, Sender
from tutumwatch.notifiers.outcomes import GiveUp, Outcome, Reason, RetryLater
from tutumwatch.rules.notice import Notice
from tutumwatch.secret import blot_out


class NotifierService(Service):
    """``notifier:NAME``: delivers batches of notices to one destination, once each it is asked.

    It neither waits nor repeats: order, pace and retries are the outbox's.
    """

    _log = Logger()

    def __init__(self, name: str, notifier: Notifier | Sender, web: HTTPCaller) -> None:
        """Make the service.

        :param name: the notifier's name in the configuration.
        :param web: makes the calls of a notifier that speaks HTTP.
        """
        self.notifier_name = name
        self.setName(f"notifier:{name}")
        self._notifier = notifier
        self._web = web

    def use(self, notifier: Notifier | Sender, web: HTTPCaller) -> None:
        """Go on with other settings: a key that was changed, say."""
        self._notifier = notifier
        self._web = web

    def deliver(
        self, batch: Sequence[Notice], memory: Mapping[str, str] | None = None
    ) -> Deferred[Sequence[Outcome]]:
        """Send some notices: one outcome for each, in their order; the Deferred never fails.

        :param memory: what earlier deliveries asked to remember, by the notice's key.
        """
        return Deferred.fromCoroutine(self._deliver_or_say(batch, memory or {}))

    async def _deliver_or_say(
        self, batch: Sequence[Notice], memory: Mapping[str, str]
    ) -> Sequence[Outcome]:
        try:
            outcomes = list(await self._deliver(batch, memory))
        except CancelledError:
            return [RetryLater(Reason.TIMEOUT, "cancelled: we are stopping")] * len(batch)
        except Exception as error:  # noqa: BLE001 - these notices become dead letters for a person to see
            # Without the error's words: they may repeat a request, which holds the credential.
            last = extract_tb(error.__traceback__)[-1]
            where = f"{Path(last.filename).name}:{last.lineno}"
            return self._bug(f"it raised {type(error).__name__} at {where}", batch)
        if len(outcomes) != len(batch):
            return self._bug(f"{len(outcomes)} outcomes for {len(batch)} notices", batch)
        return outcomes

    async def _deliver(
        self, batch: Sequence[Notice], memory: Mapping[str, str]
    ) -> Sequence[Outcome]:
        if isinstance(self._notifier, Sender):
            return await self._notifier.send(batch)
        request = self._notifier.render(batch, memory)
        answer = await self._web.send(request, DEADLINE_SECONDS)
        if isinstance(answer, NoResponse):
            reason = Reason.TIMEOUT if answer.timed_out else Reason.NETWORK
            lost = RetryLater(reason, answer.sentence, surely_refused=answer.surely_unsent)
            return [lost] * len(batch)
        said = blot_out(answer.body, (request.url, *request.secrets))
        return self._notifier.judge(batch, attrs.evolve(answer, body=said))

    def _bug(self, what: str, batch: Sequence[Notice]) -> Sequence[Outcome]:
        self._log.error(
            "{notifier}: a bug in the notifier: {what}", notifier=self.notifier_name, what=what
        )
        return [GiveUp(Reason.CLIENT, f"a bug in the notifier: {what}")] * len(batch)
