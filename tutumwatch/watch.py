"""The way of an event: decode, apply, decide, commit, release. Only this module knows it whole."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from tutumwatch.events.inputs import CONNECTED, Input, Link, LinkType, Listed, Message, Tick
from tutumwatch.inventory.survey import survey
from tutumwatch.outbox.gate import State
from tutumwatch.outbox.outbox import Outbox
from tutumwatch.outbox.store import StoreUnwritableError
from tutumwatch.resources.catchup import CatchUp
from tutumwatch.resources.lookups import LookUps
from tutumwatch.rules.decider import Decider
from tutumwatch.rules.decisions import Decisions
from tutumwatch.stream.service import StreamService

COMMIT_MAX_COUNT = 500
COMMIT_MAX_BYTES = 4 * 1024 * 1024
# Reading stops above these and goes on at half of them.
QUEUE_MAX_COUNT = 1_000
QUEUE_MAX_BYTES = 4 * 1024 * 1024
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
    ) -> None:
        """Make the pipeline; :meth:`connect` names the rest of the way.

        :param now: gives the watch's time.
        """
        self.decider = decider
        self._outbox = outbox
        self._clock = clock
        self._now = now
        self._streams: list[StreamService] = []
        self._look_ups: LookUps  # from connect(): each needs the other
        self._catch_ups: Mapping[str, CatchUp]
        self._queue: deque[Input] = deque()
        self._queued_bytes = 0
        self._carried_count = 0
        self._scheduled: IDelayedCall | None = None
        self._timer: IDelayedCall | None = None
        self._carrying: Deferred[None] | None = None
        self._last_number = 0
        self._broken_since: float | None = None
        self._streams_suspended = False
        self._last_rejection = ""
        self.store_problem = ""

    def connect(
        self,
        streams: Iterable[StreamService],
        look_ups: LookUps,
        catch_ups: Mapping[str, CatchUp],
    ) -> None:
        """Name the streams that feed this pipeline, and what asks the platform for it.

        :param catch_ups: by stream.
        """
        self._streams = list(streams)
        self._look_ups = look_ups
        self._catch_ups = catch_ups

    # -- what comes in

    def receive(self, stream: str, payload: bytes) -> None:
        """Take a message of a stream."""
        self._last_number += 1
        self._queued_bytes += len(payload)
        self.submit(Message(stream, self._last_number, payload, self._now()))

    def submit(self, item: Input) -> None:
        """Take any input; they are decided in this order."""
        self._queue.append(item)
        if len(self._queue) > QUEUE_MAX_COUNT or self._queued_bytes > QUEUE_MAX_BYTES:
            for stream in self._streams:
                stream.pause()
        self._schedule()

    def report_notifier(self, notifier: str, state: State, reason: str) -> None:
        """Take the new state of a destination as an input."""
        self.submit(Link(LinkType.NOTIFIER, notifier, state.value, reason, self._now()))

    def last_number(self) -> int:
        """Give the number of the last message that arrived."""
        return self._last_number

    # -- what is done with it

    def startService(self) -> None:
        """Open the store; what comes in meanwhile waits."""
        super().startService()
        self._run(self._open(), "opening the store")

    async def _open(self) -> None:
        restored = await self._outbox.open()
        self.decider.knows_the_past = restored.knows_the_past

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
        self._set_timer()
        self._resume_if_half()
        self._schedule()

    async def _carry(self) -> None:
        """Take one portion of inputs all the way."""
        taken = self._take()
        self._carried_count = len(taken)
        decisions = Decisions()
        for item in taken:
            decisions.add(self.decider.decide(item))
        self._say_rejected()
        await self._commit(decisions)
        self._carried_count = 0
        for need in decisions.needs:
            self._look_ups.ask(need.stream, need.resource_uri, fresh=need.fresh)
        for item in taken:
            match item:
                case Link(type=LinkType.STREAM):
                    self._follow(item)
                case Listed():
                    self._say_what_is_watched(item)
                case _:
                    pass

    def _say_rejected(self) -> None:
        """Warn of what could not be used; the same reason again is only counted."""
        rejected = self.decider.last_rejected
        if rejected is not None and rejected.reason != self._last_rejection:
            self._last_rejection = rejected.reason
            self._log.warn(
                "rejected: {reason} in {sample}", reason=rejected.reason, sample=rejected.sample
            )

    def _follow(self, link: Link) -> None:
        """Let what catches up know that a stream came or went."""
        if link.state == CONNECTED:
            self._catch_ups[link.name].connected()
        else:
            self._catch_ups[link.name].lost(link.at)

    def _say_what_is_watched(self, listed: Listed) -> None:
        inventory = self.decider.inventory
        known = list(inventory.resources_of(listed.stream))
        names = {r.key: r.name for r in known if r.type == "stack" and r.name is not None}
        link = inventory.get((listed.stream, LinkType.STREAM.value, listed.stream))
        blind = (link.fields or {}).get("blind") if link is not None else None
        after = f"; nothing was seen for {blind}" if blind else ""
        self._log.info("{survey}{after}", survey=survey(known, names), after=after)

    def _take(self) -> list[Input]:
        taken: list[Input] = []
        taken_bytes = 0
        while self._queue and len(taken) < COMMIT_MAX_COUNT:
            size_bytes = _size_bytes(self._queue[0])
            if taken and taken_bytes + size_bytes > COMMIT_MAX_BYTES:
                break
            taken_bytes += size_bytes
            taken.append(self._queue.popleft())
        self._queued_bytes -= taken_bytes
        return taken

    async def _commit(self, decisions: Decisions) -> None:
        while True:
            try:
                heads = await self._outbox.commit(decisions)
            except StoreUnwritableError as problem:
                self._commit_failed(problem)
                await self._pause_before_retry()
                continue
            self._commit_succeeded()
            self._outbox.release(heads)
            return

    def _pause_before_retry(self) -> Deferred[None]:
        waited: Deferred[None] = Deferred(lambda _: call.cancel())
        call = self._clock.callLater(COMMIT_RETRY_SECONDS, waited.callback, None)
        return waited

    def _commit_failed(self, problem: StoreUnwritableError) -> None:
        now = self._clock.seconds()
        if self._broken_since is None:
            self._broken_since = now
            self.store_problem = str(problem)
            self._log.error("{broken}: {problem}", broken=STORE_BROKEN, problem=problem)
        overdue = now - self._broken_since >= COMMIT_FAILED_MAX_SECONDS
        if overdue and not self._streams_suspended:
            self._streams_suspended = True
            for stream in self._streams:
                stream.suspend(STORE_BROKEN)

    def _commit_succeeded(self) -> None:
        if self._broken_since is None:
            return
        self._broken_since, self.store_problem = None, ""
        self._log.info("the store can be written again")
        if self._streams_suspended:
            self._streams_suspended = False
            for stream in self._streams:
                stream.redial()

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
        half_empty = (
            len(self._queue) <= QUEUE_MAX_COUNT // 2 and self._queued_bytes <= QUEUE_MAX_BYTES // 2
        )
        if half_empty:
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
        lost = self._carried_count + len(self._queue)
        if lost:
            self._log.warn("stopped with {count} inputs uncommitted", count=lost)
        if self._carrying is not None:
            self._carrying.cancel()

    @staticmethod
    def _cancel(call: IDelayedCall | None) -> None:
        if call is not None and call.active():
            call.cancel()


def _size_bytes(item: Input) -> int:
    return len(item.payload) if isinstance(item, Message) else 0
