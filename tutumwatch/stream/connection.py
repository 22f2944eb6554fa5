"""What we know of one connection, and its timers; both end with it."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from tutumwatch.stream.protocol import StreamProtocol

GOODBYE_SECONDS = 1.0


@attrs.define(eq=False)
class Connection:
    """One connection, from TCP to its end.

    ``is_open`` from the end of the handshake on, ``is_closing`` once either side said goodbye.
    ``gone`` fires when it has ended.
    """

    protocol: StreamProtocol
    _clock: IReactorTime
    is_open: bool = False
    is_closing: bool = False
    gone: Deferred[None] = attrs.field(factory=Deferred)
    _timers: list[IDelayedCall] = attrs.field(factory=list)

    @property
    def is_live(self) -> bool:
        """Whether what it says counts."""
        return self.is_open and not self.is_closing

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call something later, unless the connection closes before."""
        self._timers.append(self._clock.callLater(seconds, call))

    def hang_up(self) -> None:
        """Say goodbye; abort when the peer has not hung up a second later.

        Without a finished handshake there is nobody to say goodbye to.
        """
        if self.is_closing:
            return
        self.is_closing = True
        self.forget_timers()
        if not self.is_open:
            self.protocol.abort()
            return
        self.after(GOODBYE_SECONDS, self.protocol.abort)
        self.protocol.resume_reading()  # a paused transport would never see the answer
        self.protocol.sendClose(1000)

    def forget_timers(self) -> None:
        """Cancel what was to be called later."""
        for timer in self._timers:
            if timer.active():
                timer.cancel()
        self._timers.clear()
