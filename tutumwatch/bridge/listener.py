"""The bridge's port."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Site

from tutumwatch.bridge.hub import Hub


class Listener(Service):
    """``listener``: listens, and says what is served where; ``port`` is None until it listens."""

    name = "listener"
    port: IListeningPort | None = None
    _log = Logger()

    def __init__(
        self, endpoint: IStreamServerEndpoint, site: Site, hub: Hub, served: str, credentials: str
    ) -> None:
        """Make the service.

        :param served: what there is to see, for the line at the start.
        :param credentials: which ones clients need, for the same line.
        """
        self._endpoint = endpoint
        self._site = site
        self._hub = hub
        self._served = served
        self._credentials = credentials

    def startService(self) -> None:
        """Listen.

        :raises CannotListenError: when the port is taken: there is nothing to run for then.
        """
        super().startService()
        failures: list[Failure] = []
        self._endpoint.listen(self._site).addCallbacks(self._listening, failures.append)
        for failure in failures:
            failure.raiseException()

    def _listening(self, port: IListeningPort) -> None:
        self.port = port
        self._log.info(
            "serving {served} at {where}; {credentials}",
            served=self._served,
            where=_where(port),
            credentials=self._credentials,
        )

    def stopService(self) -> Deferred[None]:
        """Stop listening, and send the stream's clients away."""
        super().stopService()
        self._hub.dismiss_all()
        return Deferred.fromCoroutine(self._stop_listening())

    async def _stop_listening(self) -> None:
        if self.port is not None:
            await maybeDeferred(self.port.stopListening)


def _where(port: IListeningPort) -> str:
    at = port.getHost()
    match at:
        case IPv4Address():
            return f"http://{at.host}:{at.port}"
        case IPv6Address():
            return f"http://[{at.host}]:{at.port}"
        case _:
            return str(at)
