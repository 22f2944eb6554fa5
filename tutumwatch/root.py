"""The root service: everything together, stopped in order and in bounded time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tutumwatch.config.plans import Configuration
from tutumwatch.outbox.outbox import Outbox
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
        streams: Sequence[StreamService],
        others: Sequence[IService],
        clock: IReactorTime,
        say_stopping: Callable[[], None],
        close: Callable[[], Awaitable[None]],
        use: Callable[[Configuration], None],
    ) -> None:
        """Make the root service.

        :param others: further children, which start and stop last.
        :param say_stopping: called before anything stops.
        :param close: closes what the children shared: look-ups and connection pools.
        :param use: lets the children go on with the credentials of a configuration.
        """
        super().__init__()
        self._pipeline = pipeline
        self._outbox = outbox
        self._streams = streams
        self._others = others
        self._clock = clock
        self._say_stopping = say_stopping
        self._close = close
        self._use = use
        for child in (outbox, pipeline, *streams, *others):
            child.setServiceParent(self)

    def renew(self, configuration: Configuration) -> None:
        """Go on with the credentials and addresses of a configuration that was read again.

        Whoever refused us is asked at once. Everything else in it counts from the next start.
        """
        self._use(configuration)
        self._log.info(
            "credentials and addresses are read again, and whoever refused us is asked again; "
            "what else has changed counts from the next start"
        )
        for stream in self._streams:
            stream.redial()
        for deliverer in self._outbox.deliverers.values():
            deliverer.probe_now()

    def stopService(self) -> Deferred[None]:
        """Stop intake, drain the outbox, close: 5 seconds at most, then the rest is left."""
        Service.stopService(self)
        self._say_stopping()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        # Deliveries go on from here to the end of the drain.
        end = self._clock.seconds() + GRACE_SECONDS
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
            (f"stopping {child.name}", _stopped(child), CLOSE_SECONDS) for child in self._others
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
