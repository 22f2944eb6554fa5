"""The streams that are watched, each with what asks its platform; they come and go as we run."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime

from tutumwatch.config.plans import StreamPlan
from tutumwatch.dialling import Webs, make_endpoint, session_of
from tutumwatch.events.inputs import CONNECTED, DISCONNECTED, Link, LinkType
from tutumwatch.resources.catchup import CatchUp
from tutumwatch.resources.client import ResourceClient
from tutumwatch.resources.lookups import LookUps
from tutumwatch.restart import blind_since
from tutumwatch.stream.factory import DialListener, StreamFactory
from tutumwatch.stream.service import StreamService
from tutumwatch.watch import Pipeline

DIALLED_ANEW = "dialled anew: its settings were changed"


@attrs.define(eq=False)
class Sources:
    """Every stream: its service, its REST client, and what catches up with its platform.

    What is in ``services`` is what the pipeline and the others see, also after a change.
    """

    _reactor: IReactorTime
    _now: Callable[[], float]
    _jitter: Callable[[], float]
    _webs: Webs
    _pipeline: Pipeline
    services: dict[str, StreamService] = attrs.field(factory=dict)
    _plans: dict[str, StreamPlan] = attrs.field(factory=dict)
    _clients: dict[str, ResourceClient] = attrs.field(factory=dict)
    _catch_ups: dict[str, CatchUp] = attrs.field(factory=dict)
    _look_ups: LookUps = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        pipeline = self._pipeline
        self._look_ups = LookUps(
            self._clients, pipeline.submit, pipeline.last_number, self._now, self._reactor
        )
        pipeline.connect(self.services.values(), self._look_ups, self._catch_ups)

    def make(self, plan: StreamPlan) -> StreamService:
        """Make a stream's service; nothing comes of it yet.

        :raises ValueError: if its ``ca_file`` cannot be read.
        """
        settings = plan.settings
        url, headers, secrets = session_of(plan)

        def make_factory(listener: DialListener) -> StreamFactory:
            return StreamFactory(
                url, headers, settings, self._reactor, self._jitter, listener, secrets
            )

        return StreamService(
            plan.name,
            make_endpoint(plan, self._reactor),
            make_factory,
            self._reactor,
            self._now,
            self._pipeline.receive,
            self._pipeline.submit,
            settings.ping_interval.seconds + settings.ping_timeout.seconds,
        )

    def add(self, plan: StreamPlan, service: StreamService, alive_at: float | None = None) -> None:
        """Watch a further stream; with the watch around us running, it is dialled at once.

        :param service: what :meth:`make` made of the plan.
        :param alive_at: when we last ran.
        """
        name, pipeline = plan.name, self._pipeline
        self._plans[name], self.services[name] = plan, service
        web = self._webs.get(plan.settings.ca_file, plan.trust)
        client = ResourceClient(web, plan.rest, plan.credentials.headers())
        self._clients[name] = client
        self._catch_ups[name] = CatchUp(
            name,
            client,
            pipeline.decider.inventory,
            pipeline.submit,
            pipeline.last_number,
            self._now,
            self._reactor,
            blind_since(pipeline.decider, name, alive_at),
        )
        self._start(service)

    def _start(self, service: StreamService) -> None:
        if self._pipeline.parent is not None:
            service.setServiceParent(self._pipeline.parent)

    def find_changed(self, plans: Iterable[StreamPlan]) -> list[StreamPlan]:
        """Give those of some plans that are not as they were, or not there."""
        return [plan for plan in plans if self._plans.get(plan.name) != plan]

    def names(self) -> set[str]:
        """Give the names of those that are watched."""
        return set(self.services)

    async def remove(self, name: str) -> None:
        """Watch a stream no more: nothing of it is taken from now on."""
        del self._plans[name], self._clients[name]
        self._catch_ups.pop(name).stop()
        await _ended(self.services.pop(name))

    async def change(self, plan: StreamPlan, service: StreamService) -> None:
        """Dial a stream as it is configured now, with a service made for that.

        The time between counts as blind: the listing after it tells what happened.
        """
        name = plan.name
        before = self.services[name]
        await _ended(before)
        if before.state == CONNECTED:
            self._pipeline.submit(
                Link(LinkType.STREAM, name, DISCONNECTED, DIALLED_ANEW, self._now())
            )
        self._plans[name], self.services[name] = plan, service
        web = self._webs.get(plan.settings.ca_file, plan.trust)
        self._clients[name].use(web, plan.rest, plan.credentials.headers())
        self._start(service)

    def stop(self) -> None:
        """Ask no platform any more."""
        for catch_up in self._catch_ups.values():
            catch_up.stop()
        self._look_ups.stop()


def _ended(service: StreamService) -> Deferred[None]:
    """Stop a stream, which takes a second at most."""
    return maybeDeferred(service.disownServiceParent)
