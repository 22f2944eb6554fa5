"""The way of an event: decode, apply, decide, commit, release. Only this module knows it whole."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence

from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from tutumwatch.events.inputs import Input, Link, LinkType, Message, Tick
from tutumwatch.outbox.gate import State
from tutumwatch.outbox.outbox import Outbox
from tutumwatch.outbox.store import StoreUnwritableError
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
GRACE_SECONDS = 3.0
CLOSE_SECONDS = 0.5
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
        self._look_ups: LookUps | None = None
        self._queue: deque[Input] = deque()
        self._queued_bytes = 0
        self._paused = False
        self._scheduled: IDelayedCall | None = None
        self._timer: IDelayedCall | None = None
        self._carrying: Deferred[None] | None = None
        self._last_number = 0
        self._broken_since: float | None = None
        self.store_problem = ""

    def connect(self, streams: Iterable[StreamService], look_ups: LookUps) -> None:
        """Name the streams that feed this pipeline, and what looks resources up for it."""
        self._streams = list(streams)
        self._look_ups = look_ups

    # -- what comes in

    def receive(self, stream: str, payload: bytes) -> None:
        """Take a message of a stream."""
        self._last_number += 1
        self._queued_bytes += len(payload)
        self.submit(Message(stream, self._last_number, payload, self._now()))

    def submit(self, item: Input) -> None:
        """Take any input; they are decided in this order."""
        self._queue.append(item)
        full = len(self._queue) > QUEUE_MAX_COUNT or self._queued_bytes > QUEUE_MAX_BYTES
        if full and not self._paused:
            self._paused = True
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
        self._carrying = Deferred.fromCoroutine(self._open())
        self._carrying.addErrback(lambda failure: self._log.failure("opening the store", failure))
        self._carrying.addBoth(self._carried)

    async def _open(self) -> None:
        restored = await self._outbox.open()
        self.decider.knows_the_past = restored.knows_the_past

    def _schedule(self) -> None:
        if self._queue and self.running and self._carrying is None and self._scheduled is None:
            self._scheduled = self._clock.callLater(0, self._begin)

    def _begin(self) -> None:
        self._scheduled = None
        self._carrying = Deferred.fromCoroutine(self._carry())
        self._carrying.addErrback(lambda failure: self._log.failure("carrying inputs", failure))
        self._carrying.addBoth(self._carried)

    def _carried(self, _result: object) -> None:
        self._carrying = None
        self._schedule()

    async def _carry(self) -> None:
        """Take one portion of inputs all the way."""
        decisions = Decisions()
        for item in self._take():
            decisions.add(self.decider.decide(item))
        await self._commit(decisions)
        if self._look_ups is not None:
            for need in decisions.needs:
                self._look_ups.ask(need.stream, need.resource_uri, fresh=need.fresh)
        self._set_timer()
        self._resume_if_half()

    def _take(self) -> list[Input]:
        taken: list[Input] = []
        taken_bytes = 0
        while self._queue and len(taken) < COMMIT_MAX_COUNT and taken_bytes < COMMIT_MAX_BYTES:
            item = self._queue.popleft()
            if isinstance(item, Message):
                taken_bytes += len(item.payload)
            taken.append(item)
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
        elif now - self._broken_since >= COMMIT_FAILED_MAX_SECONDS:
            for stream in self._streams:
                stream.suspend(STORE_BROKEN)

    def _commit_succeeded(self) -> None:
        if self._broken_since is not None:
            self._broken_since, self.store_problem = None, ""
            self._log.info("the store can be written again")
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
        if self._paused and half_empty:
            self._paused = False
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
        """Stop at once; what is queued stays undecided."""
        super().stopService()
        self._cancel(self._timer)
        self._cancel(self._scheduled)
        if self._carrying is not None:
            self._carrying.cancel()

    @staticmethod
    def _cancel(call: IDelayedCall | None) -> None:
        if call is not None and call.active():
            call.cancel()


class Watch(MultiService):
    """Everything together: starts its children, and stops them in order and in bounded time."""

    _log = Logger()

    def __init__(
        self,
        pipeline: Pipeline,
        outbox: Outbox,
        streams: Sequence[StreamService],
        others: Sequence[IService],
        clock: IReactorTime,
        say_stopping: Callable[[], None],
        close: Callable[[], Awaitable[None]],
    ) -> None:
        """Make the root service.

        :param others: further children, which start first and stop last.
        :param say_stopping: called before anything stops.
        :param close: closes what the children shared: look-ups and connection pools.
        """
        super().__init__()
        self._pipeline = pipeline
        self._outbox = outbox
        self._streams = streams
        self._others = others
        self._clock = clock
        self._say_stopping = say_stopping
        self._close = close
        for child in (*others, outbox, pipeline, *streams):
            child.setServiceParent(self)

    def stopService(self) -> Deferred[None]:
        """Stop intake, drain the outbox, close: 5 seconds at most, then the rest is left."""
        Service.stopService(self)
        self._say_stopping()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        end = self._clock.seconds() + GRACE_SECONDS
        closing = [self._step(f"stopping {s.name}", s.stop(), GRACE_SECONDS) for s in self._streams]
        await DeferredList([Deferred.fromCoroutine(step) for step in closing])
        await self._step("deciding what had arrived", self._pipeline.finish(), self._left(end))
        await self._step("draining the outbox", self._outbox.drain(self._left(end)), GRACE_SECONDS)
        self._pipeline.stopService()
        await self._step("closing connections", self._close(), CLOSE_SECONDS)
        await self._step("closing the store", self._outbox.close(), CLOSE_SECONDS)
        for child in reversed(self._others):
            await self._step(f"stopping {child.name}", _stopped(child), CLOSE_SECONDS)

    def _left(self, end: float) -> float:
        return max(0.0, end - self._clock.seconds())

    async def _step(self, what: str, work: Awaitable[None], seconds: float) -> None:
        """Do one step of stopping; one that fails or takes too long does not hold up the next."""
        step = Deferred.fromCoroutine(_awaited(work))
        step.addTimeout(seconds, self._clock)
        try:
            await step
        except DeferredTimeoutError:
            self._log.warn("{what} took longer than {seconds:.1f} s", what=what, seconds=seconds)
        except Exception:  # noqa: BLE001 - whatever it is, the others must still stop
            self._log.failure("{what} failed", what=what)


async def _awaited(work: Awaitable[None]) -> None:
    await work


async def _stopped(child: IService) -> None:
    await maybeDeferred(child.stopService)
