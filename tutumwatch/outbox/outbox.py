"""The outbox as a service: commits what was decided, releases it, drains it at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from twisted.application.service import Service
from twisted.internet.defer import DeferredList
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tutumwatch.outbox.deliverer import Deliverer
from tutumwatch.outbox.store import Head, Store
from tutumwatch.rules.decisions import Decisions


class Outbox(Service):
    """``outbox``: one store, and one deliverer for each notifier."""

    name = "outbox"
    _log = Logger()

    def __init__(self, store: Store, deliverers: dict[str, Deliverer], clock: IReactorTime) -> None:
        """Make the service.

        :param deliverers: by the notifier's name.
        """
        self.store = store
        self.deliverers = deliverers
        self._clock = clock
        self._replaced_count = store.replaced_count

    async def open(self) -> None:
        """Open the store and send on what it still holds."""
        heads = await self.store.open()
        self._say_owed()
        self.release(heads)
        for deliverer in self.deliverers.values():
            deliverer.wake()

    def _say_owed(self) -> None:
        """Say what the last run left, and what of it nobody will be told as things are."""
        owed = {name: count for name, count in self.owed_counts().items() if count}
        elsewhere = {name: count for name, count in owed.items() if name not in self.deliverers}
        here = {name: count for name, count in owed.items() if name in self.deliverers}
        if here:
            self._log.info("still owed from the last run: {owed}", owed=_listed(here))
        if elsewhere:
            self._log.warn(
                "notices wait for notifiers that are not on: {elsewhere}; they are kept, until "
                "`tutumwatch outbox drop`",
                elsewhere=_listed(elsewhere),
            )

    async def commit(self, decisions: Decisions, at: float) -> Sequence[Head]:
        """Keep what was decided; nothing of it may have an effect before this is done."""
        heads = await self.store.commit(decisions, at)
        if self.store.replaced_count != self._replaced_count:
            self._replaced_count = self.store.replaced_count
            # Where the first of a lane could not be saved, the next one is its head.
            for deliverer in self.deliverers.values():
                deliverer.read_again()
        return heads

    def release(self, heads: Sequence[Head]) -> None:
        """Let what was committed be sent; what is for a notifier that is not on stays."""
        ours = [head for head in heads if head.notifier in self.deliverers]
        for head in ours:
            self.deliverers[head.notifier].offer(head)
        for notifier in dict.fromkeys(head.notifier for head in ours):
            self.deliverers[notifier].wake()

    def owed_counts(self) -> Mapping[str, int]:
        """Count what is owed, by notifier."""
        return self.store.owed_counts()

    def add(self, deliverer: Deliverer) -> None:
        """Let a further notifier be sent to; what waits for it goes out."""
        self.deliverers[deliverer.notifier] = deliverer
        deliverer.wake()

    async def remove(self, notifier: str, grace_seconds: float) -> None:
        """Send no more to a notifier; what is owed to it stays.

        What is under way may end by itself for a while; then it is ended, and sent again if the
        notifier ever comes back. Until this returns none of the same name may be added.
        """
        deliverer = self.deliverers.pop(notifier)
        deliverer.stop()
        quiet = deliverer.when_quiet(self._clock.seconds())
        try:
            with suppress(DeferredTimeoutError):
                await quiet.addTimeout(grace_seconds, self._clock)
        finally:
            deliverer.cancel()
        await deliverer.when_quiet(self._clock.seconds())

    async def drain(self, grace_seconds: float) -> None:
        """Go on sending for as long as there is something to send, but not longer than this."""
        deadline = self._clock.seconds() + grace_seconds
        quiet = DeferredList(
            [d.when_quiet(deadline) for d in self.deliverers.values()], consumeErrors=True
        )
        # When the time is up, each that is not quiet ends cancelled, and the list with them.
        await quiet.addTimeout(grace_seconds, self._clock)
        for deliverer in self.deliverers.values():
            deliverer.stop()
            deliverer.cancel()

    async def close(self) -> None:
        """Close the store, and say what is left in it."""
        left = {name: count for name, count in self.owed_counts().items() if count}
        if left:
            self._log.warn(
                "stopped with {count} notices undelivered: {left}",
                count=sum(left.values()),
                left=_listed(left),
            )
        await self.store.close()


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
