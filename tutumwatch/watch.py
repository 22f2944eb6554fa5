"""The way of an event: decode, apply, decide, commit, release. Only this module knows it whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from tutumwatch.events.inputs import (
    CONNECTED,
    Input,
    Link,
    LinkType,
    Listed,
    Message,
    Started,
    Tick,
)
from tutumwatch.intake import Intake
from tutumwatch.inventory.survey import survey
from tutumwatch.outbox.gate import State
from tutumwatch.outbox.outbox import Outbox
from tutumwatch.outbox.store import StoreUnwritableError
from tutumwatch.resources.catchup import CatchUp
from tutumwatch.resources.lookups import LookUps
from tutumwatch.rules.decider import Decider
from tutumwatch.rules.decisions import Decisions
from tutumwatch.saving import SAVE_CHECK_SECONDS, InventorySaver
from tutumwatch.stream.service import StreamService

Kept = TypeVar("Kept")

COMMIT_RETRY_SECONDS = 1.0
COMMIT_FAILED_MAX_SECONDS = 20.0
STORE_BROKEN = "the store cannot be written"


class Pipeline(Service):
    """``pipeline``: one queue of Inputs, one decider, one commit at a time.

    Decisions have no effect before their commit; a commit that fails is tried again, with the
    same decisions, and after 20 s the streams are closed until it succeeds.
    """

    name = "pipeline"
    _log = Logger()

    def __init__(
        self,
        decider: Decider,
        outbox: Outbox,
        clock: IReactorTime,
        now: Callable[[], float],
        started: Started,
        last_number: int = 0,
    ) -> None:
        """Make the pipeline; :meth:`connect` names the rest of the way.

        :param now: gives the watch's time.
        :param started: the first input.
        :param last_number: that of the last message that was committed when we last ran.
        """
        self._started = started
        self.decider = decider
        self._outbox = outbox
        self._clock = clock
        self._now = now
        self._streams: Collection[StreamService] = ()
        self._look_ups: LookUps  # from connect(): each needs the other
        self._catch_ups: Mapping[str, CatchUp]
        self._queue = Intake()
        self._carried_count = 0
        self._scheduled: IDelayedCall | None = None
        self._timer: IDelayedCall | None = None
        self._carrying: Deferred[None] | None = None
        self._last_number = last_number
        self._streams_suspended = False
        self._saver = InventorySaver(decider.inventory, outbox.store, clock, now)
        self._saver_check = LoopingCall(self._save_if_due)
        self._saver_check.clock = clock
        self._replaced_count = 0
        # By the identity of the input that somebody waits for.
        self._awaited: dict[int, Deferred[Decisions]] = {}
        self._last_rejection = ""
        self._unrouted_rules = {""}
        self._store_problem = ""

    @property
    def store_problem(self) -> str:
        """Why nothing can be kept at the moment; empty if it can."""
        return self._store_problem or self._saver.problem

    def connect(
        self,
        streams: Collection[StreamService],
        look_ups: LookUps,
        catch_ups: Mapping[str, CatchUp],
    ) -> None:
        """Name the streams that feed this pipeline, and what asks the platform for it.

        :param streams: looked at each time: they may come and go.
        :param catch_ups: by stream; they come and go with these.
        """
        self._streams = streams
        self._look_ups = look_ups
        self._catch_ups = catch_ups

    # -- what comes in

    def receive(self, stream: str, payload: bytes) -> None:
        """Take a message of a stream."""
        self._last_number += 1
        self.submit(Message(stream, self._last_number, payload, self._now()))

    def submit(self, item: Input) -> None:
        """Take any input; they are decided in this order."""
        self._queue.add(item)
        if self._queue.is_full:
            for stream in self._streams:
                stream.pause()
        self._schedule()

    def carry_out(self, item: Input) -> Deferred[Decisions]:
        """Take what a person wants; fires when it is committed, with all that was decided then."""
        done: Deferred[Decisions] = Deferred()
        self._awaited[id(item)] = done
        self.submit(item)
        return done

    def report_notifier(self, notifier: str, state: State, reason: str) -> None:
        """Take the new state of a destination as an input."""
        self.submit(Link(LinkType.NOTIFIER, notifier, state.value, reason, self._now()))

    def last_number(self) -> int:
        """Give the number of the last message that arrived."""
        return self._last_number

    # -- what is done with it

    def startService(self) -> None:
        """Open the store and go on where we ended; what comes in meanwhile waits."""
        super().startService()
        self._run(self._open(), "opening the store")
        self._saver_check.start(SAVE_CHECK_SECONDS, now=False)

    async def _open(self) -> None:
        await self._keep(self._outbox.open)
        decisions = self.decider.decide(self._started)
        await self._commit(decisions)
        self._ask(decisions)

    def _schedule(self) -> None:
        if self._queue and self.running and self._carrying is None and self._scheduled is None:
            self._scheduled = self._clock.callLater(0, self._begin)

    def _begin(self) -> None:
        self._scheduled = None
        self._run(self._carry(), "carrying inputs")

    def _run(self, work: Coroutine[Deferred[Any], Any, None], what: str) -> None:
        self._carrying = Deferred.fromCoroutine(work)
        self._carrying.addErrback(self._failed, what)
        self._carrying.addBoth(self._carried)

    def _failed(self, failure: Failure, what: str) -> None:
        if self.running or not failure.check(CancelledError):
            self._log.failure("{what} failed", failure, what=what)

    def _carried(self, _result: object) -> None:
        self._carrying = None
        self._save_if_due()
        self._set_timer()
        self._resume_if_half()
        self._schedule()

    async def _carry(self) -> None:
        """Take one portion of inputs all the way."""
        taken = self._queue.take()
        self._carried_count = len(taken)
        decisions = Decisions()
        for item in taken:
            self.decider.decide(item, decisions)
        self._say_rejected()
        await self._commit(decisions)
        self._carried_count = 0
        self._saver.count(len(taken))
        self._ask(decisions)
        self._tell_carried(taken, decisions)
        for item in taken:
            match item:
                case Link(type=LinkType.STREAM):
                    self._follow(item)
                case Listed():
                    self._say_what_is_watched(item)
                case _:
                    pass

    def _tell_carried(self, taken: Sequence[Input], decisions: Decisions) -> None:
        carried = [id(item) for item in taken if id(item) in self._awaited]
        for item_id in carried:
            self._awaited.pop(item_id).callback(decisions)

    def _ask(self, decisions: Decisions) -> None:
        for need in decisions.needs:
            self._look_ups.ask(need.stream, need.resource_uri, fresh=need.fresh)

    def _say_rejected(self) -> None:
        """Warn of what could not be used, or told; the same reason again is only counted."""
        rejected = self.decider.last_rejected
        if rejected is not None and rejected.reason != self._last_rejection:
            self._last_rejection = rejected.reason
            self._log.warn(
                "rejected: {reason} in {sample}", reason=rejected.reason, sample=rejected.sample
            )
        for what in (self.decider.speaking.unrouted, self.decider.incidents.unrouted):
            rule = what.partition(": ")[0]
            if rule not in self._unrouted_rules:
                self._unrouted_rules.add(rule)
                self._log.warn("unrouted: no route has anybody for {what}", what=what)

    def _follow(self, link: Link) -> None:
        """Let what catches up know that a stream came or went."""
        catch_up = self._catch_ups.get(link.name)
        if catch_up is None:  # the stream was removed meanwhile
            return
        if link.state == CONNECTED:
            catch_up.connected()
        else:
            catch_up.lost(link.at)

    def _say_what_is_watched(self, listed: Listed) -> None:
        inventory = self.decider.inventory
        known = list(inventory.resources_of(listed.stream))
        names = {r.key: r.name for r in known if r.type == "stack" and r.name is not None}
        link = inventory.get((listed.stream, LinkType.STREAM.value, listed.stream))
        blind = (link.fields or {}).get("blind") if link is not None else None
        after = f"; nothing was seen for {blind}" if blind else ""
        self._log.info("{survey}{after}", survey=survey(known, names), after=after)

    async def _commit(self, decisions: Decisions) -> None:
        at = self._now()
        heads = await self._keep(lambda: self._outbox.commit(decisions, at))
        if self._outbox.store.replaced_count != self._replaced_count:
            self._replaced_count = self._outbox.store.replaced_count
            # A new file in place of a damaged one has only what could be saved.
            self.decider.save_everything()
            self._saver.hurry()
            self._tick()
        self._outbox.release(heads)

    async def _keep(self, call: Callable[[], Awaitable[Kept]]) -> Kept:
        """Make a call of the store until it succeeds; after 20 s without that, stop listening."""
        overdue = self._clock.callLater(COMMIT_FAILED_MAX_SECONDS, self._suspend)
        try:
            while True:
                try:
                    kept = await call()
                except StoreUnwritableError as problem:
                    self._say_broken(str(problem))
                    await deferLater(self._clock, COMMIT_RETRY_SECONDS)
                    continue
                break
        finally:
            self._cancel(overdue)
        self._say_well()
        return kept

    def _say_broken(self, problem: str) -> None:
        if not self._store_problem:
            self._log.error("{broken}: {problem}", broken=STORE_BROKEN, problem=problem)
        self._store_problem = problem

    def _suspend(self) -> None:
        if not self._store_problem:
            self._say_broken(f"nothing was written for {COMMIT_FAILED_MAX_SECONDS:.0f} s")
        self._streams_suspended = True
        for stream in self._streams:
            stream.suspend(STORE_BROKEN)

    def _say_well(self) -> None:
        if self._store_problem:
            self._store_problem = ""
            self._log.info("the store can be written again")
        if self._streams_suspended:
            self._streams_suspended = False
            for stream in self._streams:
                stream.redial()

    def _save_if_due(self) -> None:
        # Between two commits: the inventory is as it was after the last one.
        if self.running and self._carrying is None:
            self._saver.save_if_due()

    async def save(self) -> None:
        """Save the inventory, so that the next start has nothing to take in again."""
        if self._carrying is None:
            await self._saver.save()

    def _set_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        due = self.decider.next_due()
        if due is not None and self.running:
            self._timer = self._clock.callLater(max(0.0, due - self._now()), self._tick)

    def _tick(self) -> None:
        self.submit(Tick(self._now()))

    def _resume_if_half(self) -> None:
        if self._queue.is_half_empty:
            for stream in self._streams:
                stream.resume()

    async def finish(self) -> None:
        """Take what is queued all the way."""
        while self._carrying is not None or self._queue:
            if self._carrying is None:
                self._cancel(self._scheduled)
                self._begin()
            if self._carrying is not None:
                ended: Deferred[None] = Deferred()
                self._carrying.addBoth(ended.callback)
                await ended

    def stopService(self) -> None:
        """Stop at once, and say what had arrived and is not committed: it is lost."""
        super().stopService()
        self._cancel(self._timer)
        self._cancel(self._scheduled)
        if self._saver_check.running:
            self._saver_check.stop()
        lost = self._carried_count + len(self._queue)
        if lost:
            self._log.warn("stopped with {count} inputs uncommitted", count=lost)
        if self._carrying is not None:
            self._carrying.cancel()

    @staticmethod
    def _cancel(call: IDelayedCall | None) -> None:
        if call is not None and call.active():
            call.cancel()
