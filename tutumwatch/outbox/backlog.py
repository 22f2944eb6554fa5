"""The heads of one notifier that are held in memory; the store has all of them.

A destination that is down for long leaves more lanes than memory should hold.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from tutumwatch.outbox.heads import Heads
from tutumwatch.outbox.store import Head, Store, StoreUnwritableError

# So many heads are held; further ones are read when half of them are gone.
HEADS_MAX_COUNT = 10_000
READ_AGAIN_SECONDS = 1.0


@attrs.define(eq=False)
class Backlog:
    """Heads, read from the store as they are needed.

    :param wake: called when there are more of them.
    """

    _notifier: str
    _store: Store
    _clock: IReactorTime
    _wake: Callable[[], None]
    heads: Heads = attrs.field(factory=Heads)
    # Whether the store has heads that are not here, and the reading of them.
    _is_behind: bool = True
    _reading: Deferred[None] | None = None

    _log = Logger()

    @property
    def is_reading(self) -> bool:
        """Whether there may be more in a moment."""
        return self._reading is not None

    def offer(self, head: Head) -> None:
        """Take on a head, unless so many are here that it comes in its turn."""
        if self.heads.known_count >= HEADS_MAX_COUNT:
            self._is_behind = True
        if head.interrupted or not self._is_behind:
            self.heads.add(head, self._clock.seconds())

    def read_on(self) -> None:
        """Read heads that are not here, unless there is enough to do."""
        enough = len(self.heads) >= HEADS_MAX_COUNT // 2
        if self._is_behind and self._reading is None and not enough:
            # What is offered from now on may be missing in the answer.
            self._is_behind = False
            reading = self._reading = Deferred.fromCoroutine(self._read())
            reading.addErrback(self._failed)
            reading.addBoth(self._have_read)

    async def _read(self) -> None:
        wanted = self.heads.known_count + HEADS_MAX_COUNT
        while True:
            try:
                heads = await self._store.heads(self._notifier, wanted)
            except StoreUnwritableError:
                await deferLater(self._clock, READ_AGAIN_SECONDS)
                continue
            break
        now = self._clock.seconds()
        for head in heads:
            self.heads.add(head, now)
        self._is_behind = self._is_behind or len(heads) == wanted

    def _failed(self, failure: Failure) -> None:
        self._is_behind = True
        if not failure.check(CancelledError):
            self._log.failure("{notifier}: reading what is owed", failure, notifier=self._notifier)

    def _have_read(self, _result: object) -> None:
        self._reading = None
        self._wake()

    def stop(self) -> None:
        """Read no more."""
        if self._reading is not None:
            self._reading.cancel()
