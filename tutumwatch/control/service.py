"""The control socket as a service: a line in, a line out, for nobody but our own user."""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IListeningPort,
    IReactorTime,
    IStreamServerEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from tutumwatch.control.wire import (
    LINE_MAX_BYTES,
    PATH_MAX_BYTES,
    Question,
    Reply,
    decode_question,
    encode_line,
    is_too_long,
)

CLIENTS_MAX_COUNT = 20
# For a whole line to come, and for what it asks to be done.
LINE_DEADLINE_SECONDS = 10.0
COMMAND_DEADLINE_SECONDS = 30.0
# Nobody but our own user may connect.
SOCKET_MODE = 0o600

_TOO_MANY = Reply(error=f"{CLIENTS_MAX_COUNT} are asking already; say it again")
_TOO_LONG = Reply(error=f"a line may have {LINE_MAX_BYTES} bytes")
_TOO_SLOW = Reply(error=f"no whole line came within {LINE_DEADLINE_SECONDS:.0f} s")
_NOT_YET = Reply(
    error=f"it is not done after {COMMAND_DEADLINE_SECONDS:.0f} s, because the store cannot be "
    "written; it will be when it can"
)
_BUG = Reply(error="that failed, by a bug; the watcher's log has more")


class ControlProtocol(Protocol):
    """One connection: one question, one answer."""

    _log = Logger()
    transport: ITCPTransport

    def __init__(
        self,
        do: Callable[[Question], Awaitable[Reply]],
        clock: IReactorTime,
        clients: set[ControlProtocol],
    ) -> None:
        """Serve a client.

        :param do: does what is asked.
        :param clients: all that are being served.
        """
        self._do = do
        self._clock = clock
        self._clients = clients
        self._received = bytearray()
        self._deadline: IDelayedCall | None = None
        self._doing: Deferred[None] | None = None
        # Nothing is read or answered any more; the connection ends, or has ended.
        self._is_over = False
        self._is_lost = False

    def connectionMade(self) -> None:
        """Wait for a line, but not for long."""
        if len(self._clients) >= CLIENTS_MAX_COUNT:
            self._answer(_TOO_MANY)
            return
        self._clients.add(self)
        self._deadline = self._clock.callLater(LINE_DEADLINE_SECONDS, self._answer, _TOO_SLOW)

    def dataReceived(self, data: bytes) -> None:
        """Do what the first line asks; what comes after it is not looked at."""
        if self._doing is not None or self._is_over:
            return
        self._received += data
        line, end, _ = bytes(self._received).partition(b"\n")
        if len(line) > LINE_MAX_BYTES:
            self._answer(_TOO_LONG)
        elif end:
            self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            question = decode_question(line)
        except ValueError as problem:
            self._answer(Reply(error=str(problem)))
            return
        self._cancel_deadline()
        doing = self._doing = Deferred.fromCoroutine(self._serve(question))
        doing.addBoth(self._done)

    async def _serve(self, question: Question) -> None:
        work = Deferred.fromCoroutine(_awaited(self._do(question)))
        work.addTimeout(COMMAND_DEADLINE_SECONDS, self._clock)
        try:
            reply = await work
        except DeferredTimeoutError:
            reply = _NOT_YET
        except CancelledError:
            return
        except Exception:  # noqa: BLE001 - a client must be answered, whatever it is
            self._log.failure("a command of the control socket failed")
            reply = _BUG
        self._answer(reply)

    def _done(self, _result: None) -> None:
        self._doing = None
        if self._is_lost:
            self._clients.discard(self)

    def _answer(self, reply: Reply) -> None:
        """Answer and hang up, also on one that does not read."""
        if self._is_over:
            return
        self._is_over = True
        self._cancel_deadline()
        self.transport.write(encode_line(reply) + b"\n")
        self.transport.loseConnection()
        self._deadline = self._clock.callLater(LINE_DEADLINE_SECONDS, self.end)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Forget a client; what it asked for is done all the same."""
        self._is_over = True
        self._cancel_deadline()
        self._is_lost = True
        if self._doing is None:
            self._clients.discard(self)

    def end(self) -> None:
        """End the connection now; what was asked for and has begun is done all the same."""
        self.transport.abortConnection()
        if self._doing is not None:
            self._doing.cancel()


class _ControlFactory(Factory):
    """Makes a protocol for each client."""

    noisy = False

    def __init__(self, do: Callable[[Question], Awaitable[Reply]], clock: IReactorTime) -> None:
        self._do = do
        self._clock = clock
        self.clients: set[ControlProtocol] = set()

    def buildProtocol(self, addr: IAddress | None) -> ControlProtocol:
        """Serve a client."""
        return ControlProtocol(self._do, self._clock, self.clients)


class ControlService(Service):
    """``control``: listens for as long as it runs, and takes its socket away afterwards."""

    name = "control"
    _log = Logger()

    def __init__(
        self,
        path: str,
        endpoint: IStreamServerEndpoint,
        do: Callable[[Question], Awaitable[Reply]],
        clock: IReactorTime,
    ) -> None:
        """Make the service.

        :param path: where the socket is to be. Only we may have this one: whoever made what is
            there now is gone.
        :param endpoint: listens there.
        :param do: does what is asked.
        """
        self._path = path
        self._endpoint = endpoint
        self._factory = _ControlFactory(do, clock)
        self._port: IListeningPort | None = None

    def startService(self) -> None:
        """Listen; without a socket we watch all the same."""
        super().startService()
        if is_too_long(self._path):
            self._without(f"a socket's path may have {PATH_MAX_BYTES} bytes")
            return
        try:
            self._remove_stale()
        except OSError as problem:
            self._without(problem.strerror or str(problem))
            return
        # The socket must never be there with more rights than in the end.
        before = os.umask(0o777 & ~SOCKET_MODE)
        try:
            listening = self._endpoint.listen(self._factory)
        finally:
            os.umask(before)
        listening.addCallbacks(self._listening, self._not_listening)

    def _remove_stale(self) -> None:
        """Remove the socket of a process that was killed, and nothing that is no socket.

        :raises OSError: if that cannot be.
        """
        path = Path(self._path)
        try:
            is_socket = stat.S_ISSOCK(path.lstat().st_mode)
        except FileNotFoundError:
            return
        if not is_socket:
            raise FileExistsError(0, "something that is no socket is there")
        path.unlink()

    def _listening(self, port: IListeningPort) -> None:
        self._port = port

    def _not_listening(self, failure: Failure) -> None:
        error = failure.value
        self._without(str(error.socketError if isinstance(error, CannotListenError) else error))

    def _without(self, why: str) -> None:
        self._log.warn(
            "no control socket {path}: {why}; `tutumwatch status` and `tutumwatch outbox` cannot "
            "reach this watcher",
            path=self._path,
            why=why,
        )

    def stopService(self) -> Deferred[None]:
        """Take the socket away and end every connection; to be called again does no harm."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        port, self._port = self._port, None
        for client in list(self._factory.clients):
            client.end()
        if port is not None:
            with suppress(OSError):  # the disk is read-only: the next one to start removes it
                await maybeDeferred(port.stopListening)


async def _awaited(work: Awaitable[Reply]) -> Reply:
    return await work
