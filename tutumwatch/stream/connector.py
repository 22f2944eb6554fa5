"""Dials an endpoint for a ReconnectingClientFactory, which expects a connector of the old kind."""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.error import NotConnectingError, UserError
from twisted.internet.interfaces import (
    IAddress,
    IConnector,
    IProtocol,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.protocol import ClientFactory
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(IConnector)
class EndpointConnector:
    """Tells the factory of each attempt: started, then exactly one of failed and lost."""

    def __init__(self, endpoint: IStreamClientEndpoint, factory: ClientFactory) -> None:
        """Make a connector that has not dialled yet."""
        self._endpoint = endpoint
        self._factory = factory
        self._dialling: Deferred[IProtocol] | None = None
        # The attempt that has not ended; its end is told once, whichever way it comes first.
        self._attempt_count = 0
        self._unended: int | None = None
        self._protocol: IProtocol | None = None

    def connect(self) -> None:
        """Dial."""
        if self._unended is not None:
            message = "this connector is connecting or connected already"
            raise UserError(message)
        self._attempt_count += 1
        attempt = self._unended = self._attempt_count
        self._factory.doStart()
        self._factory.startedConnecting(self)
        dialling = self._endpoint.connect(self._factory)
        if attempt == self._unended:  # it may have failed, and been told so, already
            self._dialling = dialling
        dialling.addCallbacks(
            lambda protocol: self._made(attempt, protocol),
            lambda reason: self._end(attempt, reason, lost=False),
        )

    def _made(self, attempt: int, protocol: IProtocol) -> None:
        # The protocol can die before its endpoint says that it is there.
        if attempt == self._unended:
            self._dialling, self._protocol = None, protocol

    def lost(self, reason: Failure) -> None:
        """Hear from the protocol that its connection is gone."""
        if self._unended is not None:
            self._end(self._unended, reason, lost=True)

    def _end(self, attempt: int, reason: Failure, *, lost: bool) -> None:
        if attempt != self._unended:
            return
        self._unended = self._dialling = self._protocol = None
        if lost:
            self._factory.clientConnectionLost(self, reason)
        else:
            self._factory.clientConnectionFailed(self, reason)
        if self._unended is None:
            self._factory.doStop()

    def stopConnecting(self) -> None:
        """Give up the attempt that is under way.

        :raises NotConnectingError: if none is.
        """
        if self._dialling is None:
            raise NotConnectingError
        self._dialling.cancel()

    def disconnect(self) -> None:
        """End whatever there is: an attempt, or a connection."""
        if self._dialling is not None:
            self._dialling.cancel()
        elif self._protocol is not None:
            transport = cast("ITransport | None", getattr(self._protocol, "transport", None))
            if transport is not None:
                transport.loseConnection()

    def getDestination(self) -> IAddress:
        """Give what is dialled: an endpoint, which stands for its address."""
        return cast("IAddress", self._endpoint)
