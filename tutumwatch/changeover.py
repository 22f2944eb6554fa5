"""The order in which a running watch goes over to another configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from tutumwatch.config.mistakes import ConfigurationError, Mistake
from tutumwatch.config.plans import Configuration, StreamPlan
from tutumwatch.destinations import Destinations
from tutumwatch.dialling import Webs
from tutumwatch.differences import describe_differences
from tutumwatch.events.inputs import Reloaded, Tick
from tutumwatch.outbox.outbox import Outbox
from tutumwatch.rules.members import OpenIncident
from tutumwatch.sources import Sources
from tutumwatch.stream.service import StreamService
from tutumwatch.vitals import Vitals
from tutumwatch.watch import Pipeline

# So many incidents are named in one line; of more than that only the number is told.
NAMED_MAX_COUNT = 10


@attrs.define(eq=False)
class Changeover:
    """Lets every part go on as a configuration says that was read while we run."""

    _configuration: Configuration
    _pipeline: Pipeline
    _outbox: Outbox
    _sources: Sources
    _destinations: Destinations
    _vitals: Vitals
    _webs: Webs
    _now: Callable[[], float]

    _log = Logger()

    async def go_over(self, new: Configuration) -> None:
        """Go over to a configuration; what is as it was is not disturbed.

        :raises ConfigurationError: if something of it cannot be had; then nothing is changed.
        """
        fresh = self._prepare(new)
        for name in self._sources.names() - {plan.name for plan in new.streams}:
            await self._sources.remove(name)
        # What came before, also from those streams, is decided by the rules that held then.
        await self._pipeline.carry_out(Tick(self._now()))
        self._forget_gone(new)
        self._say_differences(new)
        leaving = self._use_notifiers(new)
        await self._use_rules(new)
        await gatherResults(Deferred.fromCoroutine(self._remove(*left)) for left in leaving.items())
        await self._use_streams(fresh)
        await self._vitals.use(new.status, new.heartbeat)
        self._ask_again()
        self._log.info("reload: configuration {id} is in effect", id=new.id)

    def _prepare(self, new: Configuration) -> list[tuple[StreamPlan, StreamService]]:
        """Make what could fail, and the services of the streams that are new or changed."""
        try:
            for plan in new.notifiers:
                self._webs.get(plan.ca_file, plan.trust)
            for stream in new.streams:
                self._webs.get(stream.settings.ca_file, stream.trust)
            changed = self._sources.find_changed(new.streams)
            return [(plan, self._sources.make(plan)) for plan in changed]
        except ValueError as problem:
            raise ConfigurationError(new.source, [Mistake("", str(problem))]) from problem

    def _use_notifiers(self, new: Configuration) -> dict[str, Sequence[OpenIncident]]:
        """Add and change notifiers; give those that leave, with what is open there."""
        for plan in new.notifiers:
            if plan.name in self._destinations.names():
                self._destinations.change(plan)
            else:
                self._destinations.add(plan)
        known = self._pipeline.decider.incidents.open_incidents()
        leaving = self._destinations.names() - {plan.name for plan in new.notifiers}
        for name in leaving:
            self._destinations.take_leave(name)
        return {name: [one for one in known if name in one.told] for name in sorted(leaving)}

    def _forget_gone(self, new: Configuration) -> None:
        """Forget what nobody can tell of any more, so that no incident stays open for it."""
        streams = {plan.name for plan in new.streams}
        self._pipeline.decider.inventory.forget_others(streams, set(new.destinations))

    def _say_differences(self, new: Configuration) -> None:
        differences = describe_differences(self._configuration, new)
        outlook = self._pipeline.decider.preview(new.rules, self._now())
        self._log.info(
            "reload: {differences}; {resolving} {incidents} will resolve, {opening} will open",
            differences=", ".join(differences),
            resolving=outlook.resolving,
            incidents="incident" if outlook.resolving == 1 else "incidents",
            opening=outlook.opening,
        )
        self._configuration = new

    async def _use_rules(self, new: Configuration) -> None:
        rule_sets = self._pipeline.decider.rule_sets
        rule_sets[new.id] = new.rules
        await self._pipeline.carry_out(Reloaded(new.id, self._now()))
        for other in [known for known in rule_sets if known != new.id]:
            del rule_sets[other]

    async def _remove(self, notifier: str, incidents: Sequence[OpenIncident]) -> None:
        """Remove a notifier, and say what that leaves to people."""
        await self._destinations.remove(notifier)
        owed = self._outbox.owed_counts().get(notifier, 0)
        if owed:
            self._log.warn(
                "notifier {notifier} is removed; {count} notices for it are kept, until it is "
                "back or `tutumwatch outbox drop`",
                notifier=notifier,
                count=owed,
            )
        if incidents:
            named = ", ".join(f"{one.name[0]}: {one.key}" for one in incidents[:NAMED_MAX_COUNT])
            more = len(incidents) - NAMED_MAX_COUNT
            self._log.warn(
                "notifier {notifier} is removed, and was told of incidents that were open: close "
                "them there by hand: {incidents}",
                notifier=notifier,
                incidents=named if more <= 0 else f"{named}, and {more} more",
            )

    async def _use_streams(self, fresh: Sequence[tuple[StreamPlan, StreamService]]) -> None:
        for plan, service in fresh:
            if plan.name in self._sources.names():
                await self._sources.change(plan, service)
            else:
                self._sources.add(plan, service)

    def _ask_again(self) -> None:
        """Ask whoever refused us, or did not answer: it may have been put right."""
        for stream in self._sources.services.values():
            stream.redial()
        for deliverer in self._outbox.deliverers.values():
            deliverer.probe_now()
