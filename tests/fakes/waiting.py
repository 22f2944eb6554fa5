"""Waits for conditions instead of sleeping: a Deferred fires as soon as its condition holds."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure


class Conditions:
    """The conditions that somebody waits for; tried again at every :meth:`changed`."""

    def __init__(self, clock: IReactorTime, describe: Callable[[], str]) -> None:
        self._clock = clock
        self._describe = describe
        self._attempts: list[Callable[[], None]] = []

    def when(self, holds: Callable[[], bool], timeout_seconds: float) -> Deferred[None]:
        """Return a Deferred that fires once ``holds()`` is true, tried now and at each change.

        It fails with what ``holds`` raises, or with a TimeoutError that describes the subject.
        """
        waiter: Deferred[None] = Deferred()

        def attempt() -> None:
            outcome = _outcome_of(holds)
            if outcome is False:
                return
            self._attempts.remove(attempt)
            self._fire_soon(waiter, None if outcome is True else outcome)

        def explain(_cancelled: Failure | None, seconds: float) -> Failure:
            return Failure(TimeoutError(f"not so within {seconds} s: {self._describe()}"))

        def forget(outcome: Failure | None) -> Failure | None:
            if attempt in self._attempts:
                self._attempts.remove(attempt)
            return outcome

        self._attempts.append(attempt)
        attempt()
        waiter.addTimeout(timeout_seconds, self._clock, onTimeoutCancel=explain)
        return waiter.addBoth(forget)

    def changed(self) -> None:
        """Try every condition."""
        for attempt in list(self._attempts):
            if attempt in self._attempts:
                attempt()

    def _fire_soon(self, waiter: Deferred[None], outcome: Failure | None) -> None:
        """Fire when the answer that is being written now has left, not from within its writing.

        The reactor runs delayed calls before it writes, hence the second turn.
        """

        def fire() -> None:
            if not waiter.called:
                waiter.callback(outcome)

        self._clock.callLater(0, self._clock.callLater, 0, fire)


def _outcome_of(holds: Callable[[], bool]) -> bool | Failure:
    """Return whether it holds; a condition's bug belongs to the test that waits."""
    try:
        return bool(holds())
    except Exception:  # noqa: BLE001 - see above
        return Failure()
