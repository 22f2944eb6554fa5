"""Delivers what is owed to one notifier: in lanes, in portions, at its pace, until it has it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from tutumwatch.notifiers.contract import Pace
from tutumwatch.notifiers.outcomes import GiveUp, Outcome, Reason, RetryLater, Smaller
from tutumwatch.outbox.backlog import HEADS_MAX_COUNT, Backlog
from tutumwatch.outbox.gate import BACKOFF_FIRST_SECONDS, Gate, State, retry_seconds
from tutumwatch.outbox.heads import Heads
from tutumwatch.outbox.patience import Patience
from tutumwatch.outbox.store import Delivery, Head, HeldUp, Store, StoreUnwritableError
from tutumwatch.outbox.tally import Tally
from tutumwatch.rules.notice import Notice

# A request ends after its deadline; one that is still out this much later never will.
REQUEST_LOST_SECONDS = 25.0

Deliver: TypeAlias = Callable[[Sequence[Notice], Mapping[str, str]], Awaitable[Sequence[Outcome]]]
"""What a notifier's service does: it sends some notices, and gives an outcome for each in order."""


@attrs.define(eq=False)
class _Request:
    """Something under way. ``since`` moves on while only the store keeps it from ending."""

    since: float


@attrs.define(eq=False)
class Deliverer:
    """Sends the heads of one notifier's lanes. Nothing here waits: it is woken.

    :param now: gives the watch's time, in which notices have their age; ``clock`` measures delays.
    :param report: told of each change of the destination's state, with the reason.
    :param write_digest: tells in one what has become too old to be told singly.
    """

    notifier: str
    _deliver: Deliver
    _store: Store
    _pace: Pace
    _clock: IReactorTime
    _now: Callable[[], float]
    _jitter: Callable[[], float]
    _report: Callable[[str, State, str], None]
    _write_digest: Callable[[HeldUp], Notice]
    _heads_max_count: int = HEADS_MAX_COUNT
    _tally: Tally = attrs.field(init=False)
    _gate: Gate = attrs.field(init=False)
    _patience: Patience = attrs.field(init=False)
    _backlog: Backlog = attrs.field(init=False)
    _heads: Heads = attrs.field(init=False)
    _singly: set[int] = attrs.field(factory=set)
    _under_way: dict[_Request, Deferred[None]] = attrs.field(factory=dict)
    _timer: IDelayedCall | None = None
    _waking: bool = False
    _stopped: bool = False
    _quiet: list[tuple[float, Deferred[None]]] = attrs.field(factory=list)

    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self._gate = Gate(self._pace, self._jitter)
        self._patience = Patience(self._pace.give_up_after_seconds)
        self._tally = Tally(self.notifier)
        self._backlog = Backlog(
            self.notifier, self._store, self._clock, self.wake, self._heads_max_count
        )
        self._heads = self._backlog.heads

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each outcome came, by its name."""
        return self._tally.counts

    @property
    def state(self) -> State:
        """How the destination is."""
        return self._gate.state

    @property
    def reason(self) -> str:
        """Why it is not Delivering; empty if it is."""
        return self._gate.reason

    def restore(self, state: State, reason: str) -> None:
        """Begin with the state that the destination had when we last ran."""
        self._gate.restore(state, reason)

    def use(self, pace: Pace) -> None:
        """Go on at another pace."""
        self._pace = pace
        self._patience.give_up_after_seconds = pace.give_up_after_seconds
        self._gate.use(pace, self._clock.seconds())
        self.wake()

    def offer(self, head: Head) -> None:
        """Take on the head of a lane; :meth:`wake` sends it."""
        self._backlog.offer(head)

    def read_again(self) -> None:
        """Look in the store for heads that nobody offered."""
        self._backlog.read_again()
        self.wake()

    def probe_now(self) -> None:
        """Ask a destination that refused us again: its credential may have been put right."""
        self._gate.probe_now()
        self.wake()

    def wake(self) -> None:
        """Send what may be sent now, and wake again when more may be."""
        if self._waking:  # what is sent and answered within the loop below ends here
            return
        now = self._clock.seconds()
        self._waking = True
        while not self._stopped and self._may_send(now):
            batch = self._heads.take(self._portion(now), now)
            self._gate.take(now)
            request = _Request(now)
            task = Deferred.fromCoroutine(self._send(batch, request))
            self._under_way[request] = task
            task.addBoth(self._ended, request)
        self._waking = False
        if not self._stopped:
            self._backlog.read_on()  # which may wake us
        self._wake_at(None if self._stopped else self._next_wake(now), now)
        self._tell_quiet()

    def _wake_at(self, due: float | None, now: float) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if due is not None:
            self._timer = self._clock.callLater(max(0.0, due - now), self.wake)

    def _may_send(self, now: float) -> bool:
        if not len(self._heads) or not self._has_slot() or not self._gate.is_open(now):
            return False
        if self._gate.is_probing:
            self._heads.hurry_first(now)
        return self._heads.ready_count(now) > 0

    def _has_slot(self) -> bool:
        slots = 1 if self._gate.is_probing else self._pace.concurrency_count
        return len(self._under_way) < slots

    def _portion(self, now: float) -> int:
        """Say how many notices the next request takes."""
        ready, together = self._heads.ready_count(now), self._heads.interrupted_count(self._singly)
        if together:
            return min(together, self._pace.batch_count)
        if self._gate.is_probing or self._singly or ready <= self._pace.batch_above_count:
            return 1
        return self._pace.batch_count

    def _next_wake(self, now: float) -> float | None:
        if not len(self._heads) or not self._has_slot():
            return None  # woken by an offer, or by the end of what is under way
        opens = self._gate.opens_at
        if self._gate.is_probing or self._heads.ready_count(now):
            return opens
        due = self._heads.next_due()
        return None if due is None else max(due, opens)

    def _ended(self, result: object, request: _Request) -> object:
        del self._under_way[request]
        self.wake()
        return result

    async def _send(self, batch: Sequence[Head], request: _Request) -> None:
        try:
            await self._digest_if_stale(batch)
            begun = await self._store.begin([head.row_id for head in batch])
            self._forget_withdrawn(batch, begun)
            if not begun:
                self._gate.give_back()
                return
            settled = await self._deliver_begun(begun)
            for head in begun:
                self._tally.count(head.notice, settled[head.row_id])
            up = self._gate.up_seconds(self._clock.seconds())
            up_seconds = self._patience.up_seconds(begun, up)
            heads = await self._finish(settled, up_seconds, request)
        except (CancelledError, StoreUnwritableError):  # we are stopping, or nothing can be kept
            self._not_sent(batch)
            return
        except Exception:  # noqa: BLE001 - the loop must go on: these heads are sent again later
            self._log.failure("{notifier}: delivering failed", notifier=self.notifier)
            self._not_sent(batch)
            return
        self._again(heads, settled)

    async def _deliver_begun(self, begun: Sequence[Delivery]) -> dict[int, Outcome]:
        """Send what can be read of some heads; give how each of them ended."""
        settled: dict[int, Outcome] = {
            head.row_id: GiveUp(Reason.UNREADABLE, head.notice.text)
            for head in begun
            if head.is_damaged
        }
        whole = [head for head in begun if not head.is_damaged]
        if not whole:
            self._gate.give_back()
            return settled
        memory = {h.notice.key: h.memory for h in whole if h.memory is not None}
        outcomes = await self._deliver([head.notice for head in whole], memory)
        for head, outcome in zip(whole, outcomes, strict=True):
            settled[head.row_id] = self._settle(head, outcome, len(whole))
        self._learn(outcomes)
        return settled

    async def _digest_if_stale(self, batch: Sequence[Head]) -> None:
        """Tell old messages in one, unless the destination is down and would not hear it."""
        before = self._now() - self._pace.stale_after_seconds
        is_stale = any(head.is_message and head.at < before for head in batch)
        if not is_stale or self._gate.is_probing:
            return
        try:
            heads = await self._store.digest(self.notifier, before, self._write_digest)
        except StoreUnwritableError:  # a disk that is full: what is committed goes on singly
            return
        for head in heads:
            self.offer(head)

    def _forget_withdrawn(self, batch: Sequence[Head], begun: Sequence[Delivery]) -> None:
        for row_id in {head.row_id for head in batch} - {head.row_id for head in begun}:
            self._heads.remove(row_id)
            self._singly.discard(row_id)
            self._patience.forget(row_id)

    async def _finish(
        self,
        settled: Mapping[int, Outcome],
        up_seconds: Mapping[int, float],
        request: _Request,
    ) -> Sequence[Head]:
        """Note how it ended, for as often as it takes: to send again would say it twice."""
        while True:
            try:
                return await self._store.finish(settled, up_seconds)
            except StoreUnwritableError:
                if self._stopped:
                    raise
                await deferLater(self._clock, BACKOFF_FIRST_SECONDS)
                request.since = self._clock.seconds()

    def _settle(self, head: Delivery, outcome: Outcome, batch_size: int) -> Outcome:
        """Give the outcome that counts: an endless retry, or a batch of one, ends."""
        match outcome:
            case RetryLater():
                up = self._gate.up_seconds(self._clock.seconds())
                return self._patience.settle(head, outcome, up)
            case Smaller() if batch_size == 1:
                return GiveUp(outcome.reason, outcome.said)
            case _:
                return outcome

    def _learn(self, outcomes: Sequence[Outcome]) -> None:
        """Let the gate learn from a request that ended, and report the state that it comes to."""
        if self._stopped:  # then it was ended by us, which speaks against nobody
            return
        before, now = self._gate.state, self._clock.seconds()
        self._tally.judge(self._gate.learn(now, outcomes))
        if self._gate.state is before:
            return
        if self._gate.state is State.DELIVERING:
            self._heads.hurry(now)
            self.wake()  # it has all its slots again, also while this request cannot end
        self._report(self.notifier, self._gate.state, self._gate.reason)

    def _again(self, heads: Sequence[Head], settled: Mapping[int, Outcome]) -> None:
        """Take on the heads that are next, those of failed attempts when their time comes."""
        now = self._clock.seconds()
        kept = {head.row_id for head in heads}
        for row_id in settled:
            self._singly.discard(row_id)
            if row_id not in kept:
                self._heads.remove(row_id)
                self._patience.forget(row_id)
        for head in heads:
            match settled.get(head.row_id):
                case RetryLater(after_seconds=after):
                    wait = retry_seconds(after, head.attempts, self._jitter)
                    self._heads.put_back(head, now, now + wait)
                case Smaller():
                    self._singly.add(head.row_id)
                    self._heads.put_back(head, now, now)
                case None:
                    self.offer(head)
                case _:
                    self._heads.put_back(head, now, now)

    def _not_sent(self, batch: Sequence[Head]) -> None:
        """Take heads back that were not sent after all, and be in no haste with them."""
        now = self._clock.seconds()
        self._gate.hold(now + BACKOFF_FIRST_SECONDS)
        for head in batch:
            self._heads.put_back(head, now, now + BACKOFF_FIRST_SECONDS)

    def stuck_seconds(self) -> float:
        """Give for how long something that could be sent has not been taken, or ended.

        0 while the destination is down, parked, throttled, or has nothing to do.
        """
        now = self._clock.seconds()
        oldest = min((request.since for request in self._under_way), default=now)
        lost = max(0.0, now - oldest - REQUEST_LOST_SECONDS)
        self._heads.ready_count(now)  # a due one is ready, also if its timer was lost
        since = self._heads.ready_since
        closed = self._gate.is_probing or not self._gate.is_open(now)
        if since is None or closed or not self._has_slot():
            return lost
        return max(lost, now - max(since, self._gate.opens_at))

    def when_quiet(self, deadline: float) -> Deferred[None]:
        """Give a Deferred that fires when nothing is under way and nothing can go by then."""
        quiet: Deferred[None] = Deferred()
        self._quiet.append((deadline, quiet))
        self._tell_quiet()
        return quiet

    def _tell_quiet(self) -> None:
        if self._under_way or self._backlog.is_reading:
            return
        due = self._next_wake(self._clock.seconds())
        fired = [q for deadline, q in self._quiet if due is None or due > deadline or self._stopped]
        self._quiet = [entry for entry in self._quiet if entry[1] not in fired]
        for quiet in fired:
            if not quiet.called:
                quiet.callback(None)

    def stop(self) -> None:
        """Take nothing more; what is under way goes on."""
        self._stopped = True
        self.wake()

    def cancel(self) -> None:
        """End what is under way."""
        for task in list(self._under_way.values()):
            task.cancel()
        self._backlog.stop()
