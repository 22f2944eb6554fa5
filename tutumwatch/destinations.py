"""The notifiers that are on, each with what delivers to it; they come and go as we run."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IReactorTime

from tutumwatch.config.plans import NotifierPlan
from tutumwatch.dialling import Webs
from tutumwatch.events.inputs import LinkType
from tutumwatch.notifiers.service import NotifierService
from tutumwatch.outbox.deliverer import Deliverer
from tutumwatch.outbox.digest import write_digest
from tutumwatch.outbox.gate import State
from tutumwatch.outbox.outbox import Outbox
from tutumwatch.outbox.store import HeldUp
from tutumwatch.rules.notice import Notice
from tutumwatch.watch import Pipeline

# So long may what is being sent to a notifier that is removed still take.
REMOVE_GRACE_SECONDS = 3.0


@attrs.define(eq=False)
class Destinations:
    """Every notifier: its service, and its deliverer in the outbox."""

    _reactor: IReactorTime
    _now: Callable[[], float]
    _jitter: Callable[[], float]
    _webs: Webs
    _pipeline: Pipeline
    _outbox: Outbox
    services: dict[str, NotifierService] = attrs.field(factory=dict)
    _plans: dict[str, NotifierPlan] = attrs.field(factory=dict)
    # Those that are resources; what leaves is none any more, and would become one again.
    _reporting: set[str] = attrs.field(factory=set)

    def add(self, plan: NotifierPlan) -> None:
        """Tell a further notifier, from where it ended; what waits for it goes out."""
        name = plan.name
        web = self._webs.get(plan.ca_file, plan.trust)
        service = NotifierService(name, plan.notifier, web)
        self._plans[name], self.services[name] = plan, service
        self._reporting.add(name)
        deliverer = Deliverer(
            name,
            service.deliver,
            self._outbox.store,
            plan.pace,
            self._reactor,
            self._now,
            self._jitter,
            self._report,
            lambda held: self._write_digest(name, held),
        )
        known = self._pipeline.decider.inventory.get(("", LinkType.NOTIFIER.value, name))
        if known is not None and known.state != State.DELIVERING.value:
            deliverer.restore(State(known.state), str((known.fields or {}).get("reason", "")))
        if self._pipeline.parent is None:
            self._outbox.deliverers[name] = deliverer
        else:
            service.setServiceParent(self._pipeline.parent)
            self._outbox.add(deliverer)

    def _report(self, name: str, state: State, reason: str) -> None:
        if name in self._reporting:
            self._pipeline.report_notifier(name, state, reason)

    def _write_digest(self, name: str, held: HeldUp) -> Notice:
        return write_digest(held, self._plans[name].kind.escape, self._now())

    def names(self) -> set[str]:
        """Give the names of those that are on."""
        return set(self.services)

    def change(self, plan: NotifierPlan) -> None:
        """Go on as a notifier is configured now; what is under way is not disturbed."""
        self.services[plan.name].use(plan.notifier, self._webs.get(plan.ca_file, plan.trust))
        if plan.pace != self._plans[plan.name].pace:
            self._outbox.deliverers[plan.name].use(plan.pace)
        self._plans[plan.name] = plan

    def take_leave(self, name: str) -> None:
        """Count a notifier as none any more; :meth:`remove` comes when nothing new is for it."""
        self._reporting.discard(name)

    async def remove(self, name: str) -> None:
        """Tell a notifier nothing more; what is owed to it stays in the store."""
        await self._outbox.remove(name, REMOVE_GRACE_SECONDS)
        await maybeDeferred(self.services.pop(name).disownServiceParent)
        del self._plans[name]
