"""The status service: the health server, and what the service manager is told."""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorTime, IStreamServerEndpoint
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from tutumwatch.status.health import Health
from tutumwatch.status.sdnotify import ServiceManager
from tutumwatch.status.web import StatusSite

STATUS_SECONDS = 10.0


class StatusService(Service):
    """``status``: answers /healthz, and reports to the service manager."""

    name = "status"
    _log = Logger()

    def __init__(
        self,
        check: Callable[[], Health],
        endpoint: IStreamServerEndpoint | None,
        manager: ServiceManager,
        clock: IReactorTime,
    ) -> None:
        """Make the service.

        :param endpoint: where to listen, or None for nowhere.
        """
        self._check = check
        self._endpoint = endpoint
        self._manager = manager
        self._loop = LoopingCall(self._tell)
        self._loop.clock = clock
        self.port: IListeningPort | None = None

    def startService(self) -> None:
        """Listen, and say that we are ready."""
        super().startService()
        self._listen()
        self._manager.tell(READY="1", STATUS=self._check().summary)
        watchdog = self._manager.watchdog_seconds
        period = STATUS_SECONDS if watchdog is None else min(STATUS_SECONDS, watchdog / 2)
        self._loop.start(period, now=False).addErrback(
            lambda failure: self._log.failure("telling the service manager failed", failure)
        )

    async def use(self, endpoint: IStreamServerEndpoint | None) -> None:
        """Listen at another endpoint from now on; at the one before if that cannot be."""
        before, self._endpoint = self._endpoint, endpoint
        await self._stop()
        if self.running:
            await self._listen()
            if self.port is None and endpoint is not None:
                self._endpoint = before
                await self._listen()

    def _listen(self) -> Deferred[None]:
        if self._endpoint is None:
            return succeed(None)
        listening = self._endpoint.listen(StatusSite(self._check))
        return listening.addCallbacks(self._listening, self._not_listening)

    def _listening(self, port: IListeningPort) -> None:
        self.port = port
        self._log.info("health: http://{at.host}:{at.port}/healthz", at=port.getHost())

    def _not_listening(self, failure: Failure) -> None:
        error = failure.value
        text = str(error.socketError if isinstance(error, CannotListenError) else error)
        self._log.warn(
            "no /healthz: {text}; [status] listen (or TUTUMWATCH_STATUS) names another endpoint",
            text=text,
        )

    def _tell(self) -> None:
        health = self._check()
        said = {"STATUS": health.summary}
        if health.ok and self._manager.watchdog_seconds is not None:
            said["WATCHDOG"] = "1"
        self._manager.tell(**said)

    async def _stop(self) -> None:
        port, self.port = self.port, None
        if port is not None:
            await maybeDeferred(port.stopListening)

    def stopService(self) -> Deferred[None]:
        """Stop listening."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        return Deferred.fromCoroutine(self._stop())

    def say_stopping(self) -> None:
        """Tell the service manager that we are on our way out."""
        self._manager.tell(STOPPING="1", STATUS="delivering what is left")
