"""One HTTP answer of a fake server, good or broken, as a value, and how it is delivered."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from http import HTTPStatus
from typing import assert_never, cast

import attrs
from twisted.internet.interfaces import IReactorTime, ITCPTransport
from twisted.python.failure import Failure
from twisted.web.server import Request


class Fault(enum.Enum):
    """What goes wrong on the wire while an answer is delivered."""

    NONE = "none"
    NO_ANSWER = "the connection stays open and no byte of an answer is ever sent"
    STALLED_BODY = "headers and the body's beginning are sent, the rest never is"
    RESET = "the connection is aborted (TCP RST) instead of an answer"
    RAW = "the body is the whole answer, status line included; then the connection closes"


def _as_bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text


@attrs.frozen
class Answer:
    """An answer to one request.

    ``status=None`` stands for the answer that the service itself gives; with a status the
    given body and headers are sent instead. ``processes`` says whether the service acts on the
    request (keeps the text, opens the incident); by default it does for its own answers and for
    scripted statuses below 300, and does not for hang, reset and the other statuses.
    """

    status: int | None = None
    body: bytes = attrs.field(default=b"", converter=_as_bytes)
    headers: Mapping[str, str] = attrs.field(factory=dict)
    delay_seconds: float = 0.0
    fault: Fault = Fault.NONE
    processes: bool | None = None

    @classmethod
    def hang(cls) -> Answer:
        """Record the request, do not act on it, and never answer."""
        return cls(fault=Fault.NO_ANSWER, processes=False)

    @classmethod
    def accept_then_hang(cls) -> Answer:
        """Act on the request as usual, and never answer: the client cannot know."""
        return cls(fault=Fault.NO_ANSWER, processes=True)

    @classmethod
    def slow_body(cls, status: int | None = None, body: bytes | str = b"") -> Answer:
        """Send the headers and the body given, announce one byte more, and stall."""
        return cls(status=status, body=body, fault=Fault.STALLED_BODY)

    @classmethod
    def reset(cls) -> Answer:
        """Abort the connection without acting on the request."""
        return cls(fault=Fault.RESET, processes=False)

    @classmethod
    def accept_then_reset(cls) -> Answer:
        """Act on the request as usual, then abort the connection instead of answering."""
        return cls(fault=Fault.RESET, processes=True)

    @classmethod
    def throttled(cls, retry_after: str | float | None = None, status: int = 429) -> Answer:
        """Refuse for now; ``retry_after`` is sent as it is (seconds, an HTTP date, rubbish)."""
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        return cls(status=status, headers=headers)

    @classmethod
    def redirect(cls, location: str, status: int = 302) -> Answer:
        """Send the client elsewhere."""
        return cls(status=status, headers={"Location": location})

    @classmethod
    def raw(cls, wire_bytes: bytes | str) -> Answer:
        """Send exactly these bytes, which need not be HTTP, and close the connection."""
        return cls(status=0, body=wire_bytes, fault=Fault.RAW)

    @property
    def is_processed(self) -> bool:
        """Whether the service acts on a request that gets this answer."""
        if self.processes is not None:
            return self.processes
        return self.status is None or 0 < self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def status_sent(self) -> int | None:
        """The status that the client can read, None when there is none."""
        if self.fault in (Fault.NO_ANSWER, Fault.RESET, Fault.RAW):
            return None
        return self.status

    def completed_by(self, own: Answer) -> Answer:
        """Return this answer with the service's own status, headers and body where it has none."""
        if self.status is not None:
            return self
        headers = {**own.headers, **self.headers}
        return attrs.evolve(self, status=own.status, body=own.body + self.body, headers=headers)


OWN_ANSWER = Answer()


def deliver(request: Request, answer: Answer, clock: IReactorTime) -> None:
    """Send the answer on the request's connection, or break it in the way the answer says.

    A delayed answer is dropped when its connection goes first, so no delayed call outlives it.
    """
    if answer.delay_seconds <= 0:
        _send(request, answer)
        return
    pending = clock.callLater(answer.delay_seconds, _send, request, answer)

    def forget(_reason: Failure) -> None:
        if pending.active():
            pending.cancel()

    request.notifyFinish().addErrback(forget)


def transport_of(request: Request) -> ITCPTransport:
    """Return the connection that a request came on."""
    return cast("ITCPTransport", request.channel.transport)


def _send(request: Request, answer: Answer) -> None:
    match answer.fault:
        case Fault.NO_ANSWER:
            pass
        case Fault.RESET:
            transport_of(request).abortConnection()
        case Fault.RAW:
            transport_of(request).write(answer.body)
            transport_of(request).loseConnection()
        case Fault.STALLED_BODY:
            _send_head(request, answer, len(answer.body) + 1)
            request.write(answer.body)
        case Fault.NONE:
            _send_head(request, answer, len(answer.body))
            request.write(answer.body)
            request.finish()
        case _:
            assert_never(answer.fault)


def _send_head(request: Request, answer: Answer, length_bytes: int) -> None:
    status = HTTPStatus.OK if answer.status is None else answer.status
    # Twisted has no words for some of the newer codes, 429 among them.
    known = status in HTTPStatus.__members__.values()
    request.setResponseCode(status, HTTPStatus(status).phrase.encode() if known else None)
    request.setHeader("Content-Length", str(length_bytes))
    for name, text in answer.headers.items():
        request.setHeader(name, text)
