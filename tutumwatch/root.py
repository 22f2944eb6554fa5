"""The root service: everything together, stopped in order and in bounded time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tutumwatch.outbox.outbox import Outbox
from tutumwatch.reload import Load, Reloads
from tutumwatch.stream.service import StreamService
from tutumwatch.watch import Pipeline

# Stopping takes one grace and five closes at most: less than 5 s.
GRACE_SECONDS = 3.0
CLOSE_SECONDS = 0.35


class Watch(MultiService):
    """Everything together: starts its children, and stops them in order and in bounded time."""

    _log = Logger()

    def __init__(
        self,
        pipeline: Pipeline,
        outbox: Outbox,
        streams: Collection[StreamService],
        others: Sequence[IService],
        clock: IReactorTime,
        say_stopping: Callable[[], None],
        close: Callable[[], Awaitable[None]],
        reloads: Reloads,
    ) -> None:
        """Make the root service.

        :param streams: looked at each time: they may come and go.
        :param others: further children, which start last; they stop last, with those that come.
        :param say_stopping: called before anything stops.
        :param close: closes what the children shared: look-ups and connection pools.
        :param reloads: lets the children go on with another configuration.
        """
        super().__init__()
        self._pipeline = pipeline
        self._outbox = outbox
        self._streams = streams
        self._clock = clock
        self._say_stopping = say_stopping
        self._close = close
        self._reloads = reloads
        for child in (outbox, pipeline, *streams, *others):
            child.setServiceParent(self)

    def reload(self, load: Load) -> Deferred[None]:
        """Go on with a configuration that is read again, unless it cannot be used.

        Whoever refused us is asked at once. Fires when it is done, or has failed; that is logged.
        """
        return self._reloads.ask(load)

    def stopService(self) -> Deferred[None]:
        """Stop intake, drain the outbox, close: 5 seconds at most, then the rest is left."""
        Service.stopService(self)
        self._reloads.stop()
        self._say_stopping()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        # Deliveries go on from here to the end of the drain.
        end = self._clock.seconds() + GRACE_SECONDS
        first = {self._outbox, self._pipeline, *self._streams}
        others = [child for child in self if child not in first]
        await self._together(
            (f"stopping {s.name}", s.stop(), self._left(end)) for s in self._streams
        )
        await self._step("deciding what had arrived", self._pipeline.finish(), self._left(end))
        left = self._left(end)
        await self._step("draining the outbox", self._outbox.drain(left), left + CLOSE_SECONDS)
        saving = max(self._left(end), CLOSE_SECONDS)
        await self._step("saving the inventory", self._pipeline.save(), saving)
        self._pipeline.stopService()
        await self._step("closing connections", self._close(), CLOSE_SECONDS)
        await self._step("closing the store", self._outbox.close(), CLOSE_SECONDS)
        await self._together(
            (f"stopping {child.name}", _stopped(child), CLOSE_SECONDS) for child in others
        )

    def _together(
        self, steps: Iterable[tuple[str, Awaitable[None], float]]
    ) -> Deferred[list[tuple[bool, None]]]:
        return DeferredList([Deferred.fromCoroutine(self._step(*step)) for step in steps])

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
