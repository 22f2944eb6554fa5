"""Saves the inventory every now and then: a start has to take in again what came after that."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from tutumwatch.inventory.inventory import Inventory
from tutumwatch.outbox.store import Store, StoreUnwritableError

# It is saved when so many inputs came, or so long ago: a start within seconds, and a store that
# knows when we last ran.
SAVE_AFTER_COUNT = 50_000
SAVE_AFTER_SECONDS = 60.0
SAVE_CHECK_SECONDS = 5.0


@attrs.define(eq=False)
class InventorySaver:
    """Saves what changed; each time as it was after the last commit.

    :param now: gives the watch's time.
    """

    _inventory: Inventory
    _store: Store
    _clock: IReactorTime
    _now: Callable[[], float]
    # Why nothing can be saved; empty if it can. Where no input comes, no commit would notice.
    problem: str = ""
    _saving: Deferred[None] | None = None
    _inputs_count: int = 0
    _saved_at: float = attrs.field(init=False)

    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self._saved_at = self._clock.seconds()

    def count(self, inputs: int) -> None:
        """Take note of a commit with so many inputs."""
        self._inputs_count += inputs

    def hurry(self) -> None:
        """Count it as long ago that anything was saved."""
        self._saved_at = self._clock.seconds() - SAVE_AFTER_SECONDS

    def save_if_due(self) -> None:
        """Save what changed, if that is due. No input may be decided and not yet committed."""
        is_late = self._clock.seconds() - self._saved_at >= SAVE_AFTER_SECONDS
        if is_late or self._inputs_count >= SAVE_AFTER_COUNT:
            self._begin()

    def save(self) -> Deferred[None]:
        """Save what changed; fires when that is done, or has failed."""
        self._begin()
        saved: Deferred[None] = Deferred()
        if self._saving is None:
            saved.callback(None)
        else:
            self._saving.addBoth(saved.callback)
        return saved

    def _begin(self) -> None:
        if self._saving is None:
            self._saved_at, self._inputs_count = self._clock.seconds(), 0
            saving = self._saving = Deferred.fromCoroutine(self._save())
            saving.addErrback(self._failed)
            saving.addBoth(self._ended)

    async def _save(self) -> None:
        changed = self._inventory.take_unsaved()
        try:
            await self._store.checkpoint(changed, self._now())
        except BaseException as problem:
            self._inventory.save_again(changed)
            if not isinstance(problem, StoreUnwritableError):
                raise
            self._say_broken(str(problem))
        else:
            self.problem = ""

    def _say_broken(self, problem: str) -> None:
        if not self.problem:
            self._log.error("the inventory cannot be saved: {problem}", problem=problem)
        self.problem = problem
        self.hurry()

    def _failed(self, failure: Failure) -> None:
        self._log.failure("saving the inventory failed", failure)

    def _ended(self, _result: object) -> None:
        self._saving = None
