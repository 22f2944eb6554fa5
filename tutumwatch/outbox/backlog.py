"""The heads of one notifier that are held in memory; the store has all of them.

A destination that is down for long leaves more lanes than memory should hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from tutumwatch.outbox.heads import Heads
from tutumwatch.outbox.store import Head, Store, StoreUnwritableError

# So many heads wait in memory; further ones are read when half of them are gone.
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
    _max_count: int = HEADS_MAX_COUNT
    heads: Heads = attrs.field(factory=Heads)
    # Whether the store has heads that are not here, and the reading of them.
    _is_behind: bool = True
    _reading: Deferred[None] | None = None
    # What was offered while we read: it may be missing in the answer.
    _offered: list[Head] = attrs.field(factory=list)

    _log = Logger()

    @property
    def is_reading(self) -> bool:
        """Whether there may be more in a moment."""
        return self._reading is not None

    def offer(self, head: Head) -> None:
        """Take on a head, unless so many are here that it comes in its turn."""
        if head.interrupted:
            self.heads.add(head, self._clock.seconds())
        elif self.heads.known_count + len(self._offered) >= self._max_count:
            self._is_behind = True
        elif self._reading is not None:
            self._offered.append(head)
        elif not self._is_behind:
            self.heads.add(head, self._clock.seconds())

    def read_again(self) -> None:
        """Take it that the store has heads that are not here."""
        self._is_behind = True

    def read_on(self) -> None:
        """Read heads that are not here, unless there is enough to do."""
        enough = 2 * len(self.heads) >= self._max_count
        if self._is_behind and self._reading is None and not enough:
            self._is_behind = False
            reading = self._reading = Deferred.fromCoroutine(self._read())
            reading.addErrback(self._cancelled)
            reading.addBoth(self._have_read)

    async def _read(self) -> None:
        # Those that are out may be among the answer, and tell nothing new.
        wanted = self._max_count + self.heads.known_count - len(self.heads)
        heads = await self._ask(wanted)
        now = self._clock.seconds()
        for head in heads:
            if len(self.heads) < self._max_count:
                self.heads.add(head, now)
        is_full = len(self.heads) >= self._max_count
        self._is_behind = self._is_behind or is_full or len(heads) == wanted

    async def _ask(self, wanted: int) -> Sequence[Head]:
        while True:
            try:
                return await self._store.heads(self._notifier, wanted)
            except CancelledError:
                raise
            except StoreUnwritableError:  # it is told where commits fail
                pass
            except Exception:  # noqa: BLE001 - what is owed must be read in the end
                self._log.failure("{notifier}: reading what is owed", notifier=self._notifier)
            await deferLater(self._clock, READ_AGAIN_SECONDS)

    def _cancelled(self, failure: Failure) -> None:
        failure.trap(CancelledError)
        self._is_behind = True

    def _have_read(self, _result: object) -> None:
        self._reading = None
        offered, self._offered = self._offered, []
        for head in offered:
            # While there is more to read they come in their turn, behind all of that.
            self.offer(head)
        self._wake()

    def stop(self) -> None:
        """Read no more."""
        if self._reading is not None:
            self._reading.cancel()
