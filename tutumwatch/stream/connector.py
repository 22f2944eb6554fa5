"""Dials an endpoint for a ReconnectingClientFactory, which expects a connector of the old kind."""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import NotConnectingError, UserError
from twisted.internet.interfaces import (
    IAddress,
    IConnector,
    IProtocol,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(IConnector)
class EndpointConnector:
    """Tells the factory of each attempt: started, then exactly one of failed and lost."""

    _log = Logger()

    def __init__(self, endpoint: IStreamClientEndpoint, factory: ClientFactory) -> None:
        """Make a connector that has not dialled yet."""
        self._endpoint = endpoint
        self._factory = factory
        self._attempt_count = 0
        # The attempt that has not ended; its end is told once, whichever way it comes first.
        self._attempt: int | None = None
        self._dialling: Deferred[IProtocol] | None = None
        self._protocol: IProtocol | None = None

    def connect(self) -> None:
        """Dial.

        :raises UserError: if the last attempt has not ended.
        """
        if self._attempt is not None:
            message = "this connector is connecting or connected already"
            raise UserError(message)
        self._attempt_count += 1
        attempt = self._attempt = self._attempt_count
        self._factory.startedConnecting(self)
        # An endpoint that raises is one that failed; else nobody would try again.
        dialling = maybeDeferred(self._endpoint.connect, self._factory)
        if attempt == self._attempt:  # the connection may have come and gone already
            self._dialling = dialling
        dialling.addCallbacks(
            lambda _protocol: self._dialled(attempt),
            lambda reason: self._failed(attempt, reason),
        ).addErrback(lambda failure: self._log.failure("dialling", failure))

    def made(self, protocol: IProtocol) -> bool:
        """Hear from a protocol that it is connected; False if nobody waits for it any more."""
        if self._attempt is None or self._protocol is not None:
            return False
        self._protocol = protocol
        return True

    def lost(self, protocol: IProtocol, reason: Failure) -> None:
        """Hear from a protocol that its connection is gone."""
        # It can die before its endpoint says that it is there: the Deferred is past caring.
        if protocol is self._protocol:
            self._attempt = self._dialling = self._protocol = None
            self._factory.clientConnectionLost(self, reason)

    def _dialled(self, attempt: int) -> None:
        if attempt == self._attempt:
            self._dialling = None

    def _failed(self, attempt: int, reason: Failure) -> None:
        if attempt == self._attempt:
            self._attempt = self._dialling = self._protocol = None
            self._factory.clientConnectionFailed(self, reason)

    def stopConnecting(self) -> None:
        """Give up the attempt that is under way.

        :raises NotConnectingError: if none is.
        """
        if self._dialling is None:
            raise NotConnectingError
        self._dialling.cancel()

    def disconnect(self) -> None:
        """End whatever there is, at once: an attempt, or a connection."""
        if self._dialling is not None:
            self._dialling.cancel()
        elif self._protocol is not None:
            cast("ITCPTransport", cast("Protocol", self._protocol).transport).abortConnection()

    def getDestination(self) -> IAddress:
        """Give what is dialled: an endpoint, which stands for its address."""
        return cast("IAddress", self._endpoint)
