"""When a destination may be sent to: token bucket, Retry-After, circuit, parking.

Pure: every method takes ``now``, in seconds on the monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

import attrs

from tutumwatch.notifiers.contract import Pace
from tutumwatch.notifiers.outcomes import Delivered, Outcome, Park, Reason, RetryLater

BACKOFF_FIRST_SECONDS = 1.0
BACKOFF_MAX_SECONDS = 300.0
RETRY_AFTER_MAX_SECONDS = 3600.0
CIRCUIT_FAILURES_COUNT = 10
CIRCUIT_SILENCE_SECONDS = 5.0
PROBE_MAX_SECONDS = 60.0
PARKED_PROBE_SECONDS = 300.0
# A timer may be this much early: rounding, not a reason to wait for another one.
ROUNDING_SECONDS = 1e-6


class State(Enum):
    """How a destination is; the states of the resource type ``notifier``."""

    DELIVERING = "Delivering"
    FAILING = "Failing"
    REFUSED = "Refused"


def backoff_seconds(
    failures: int, jitter: Callable[[], float], longest: float = BACKOFF_MAX_SECONDS
) -> float:
    """Give how long to wait after the given number of failures: doubling, up to the longest.

    :param jitter: gives a factor, 0.8 to 1.2, so that many do not come back at once.
    """
    doubled = BACKOFF_FIRST_SECONDS * 2.0 ** min(max(failures - 1, 0), 20)
    return min(longest, doubled) * jitter()


def retry_seconds(
    asked: float | None,
    failures: int,
    jitter: Callable[[], float],
    longest: float = BACKOFF_MAX_SECONDS,
) -> float:
    """Give how long to wait: what a ``Retry-After`` asked for, if that is a second to an hour.

    Less than a second is no answer to a server that says so each time: then waits grow.
    """
    if asked is None or asked < BACKOFF_FIRST_SECONDS:
        return backoff_seconds(failures, jitter, longest)
    return min(asked, RETRY_AFTER_MAX_SECONDS)


@attrs.define
class Gate:
    """Says when the next request to a destination may go."""

    _pace: Pace
    _jitter: Callable[[], float]
    state: State = State.DELIVERING
    reason: str = ""
    # Nothing goes before a token is there, before a Retry-After has passed, and, while the
    # destination is down, before the next probe.
    _token_at: float = 0.0
    _asked_until: float = 0.0
    _probe_at: float = 0.0
    # Somebody may have put it right since the last request went.
    _is_put_right: bool = False
    _tokens: float = attrs.field(init=False)
    _tokens_at: float = 0.0
    _failures_count: int = 0
    _limits_count: int = 0
    _probes_count: int = 0
    _last_success: float = attrs.field(default=float("-inf"))
    _up_seconds: float = 0.0
    _up_at: float | None = None

    def __attrs_post_init__(self) -> None:
        self._tokens = float(self._pace.burst_count)

    def use(self, pace: Pace, now: float) -> None:
        """Go on at another pace; what has been sent counts on."""
        self._refill(now)
        self._pace, self._token_at = pace, 0.0
        self._add_token(0.0)

    def restore(self, state: State, reason: str) -> None:
        """Begin as we ended: a destination that was down is probed at once."""
        self.state, self.reason = state, reason

    @property
    def opens_at(self) -> float:
        """Since when a request may go, or from when on one will."""
        return max(self._token_at, self._asked_until, self._probe_at)

    def is_open(self, now: float) -> bool:
        """Say whether a request may go now."""
        return self.opens_at - now < ROUNDING_SECONDS

    @property
    def is_probing(self) -> bool:
        """Whether only one request at a time may go, to see if the destination is back."""
        return self.state is not State.DELIVERING

    def take(self, now: float) -> None:
        """Count one request that goes now."""
        self._is_put_right = False
        self._refill(now)
        self._add_token(-1.0)

    def give_back(self) -> None:
        """Take back that a request goes: nothing was left to send."""
        self._add_token(1.0)

    def _refill(self, now: float) -> None:
        gained = (now - self._tokens_at) * self._pace.rate_per_second
        self._tokens = min(float(self._pace.burst_count), self._tokens + gained)
        self._tokens_at = now

    def _add_token(self, count: float) -> None:
        rate = self._pace.rate_per_second
        if rate > 0:
            self._tokens += count
            self._token_at = self._tokens_at + max(0.0, 1.0 - self._tokens) / rate

    def learn(self, now: float, outcomes: Sequence[Outcome]) -> RetryLater | Park | None:
        """Learn from a request that ended; give the outcome that speaks against the destination.

        An answer that accepts one notice, or finds fault with the notices alone, shows that the
        destination is up.
        """
        self._count_up(now)
        parked = next((o for o in outcomes if isinstance(o, Park)), None)
        if parked is not None:
            self._park(now, parked)
            return parked
        retried = next((o for o in outcomes if isinstance(o, RetryLater)), None)
        if retried is None or any(isinstance(o, Delivered) for o in outcomes):
            self._succeed(now)
            return None
        limited = retried.reason is Reason.RATE_LIMITED
        if not limited or self.is_probing:
            self._fail(now, retried)
        if self._pace.retry_after == "destination" and (
            limited or retried.after_seconds is not None
        ):
            self._wait(now, retried.after_seconds)
        return retried

    def _succeed(self, now: float) -> None:
        self._up_at = now
        self._failures_count = self._limits_count = self._probes_count = 0
        self._last_success = now
        # A Retry-After holds: what succeeds meanwhile was sent before it came.
        self._probe_at = min(self._probe_at, now)
        self.state, self.reason = State.DELIVERING, ""

    def _fail(self, now: float, failed: RetryLater) -> None:
        """Count a failure; too many in a row, with no success for a while, open the circuit."""
        if self._probe_at - now >= ROUNDING_SECONDS:
            return  # sent before the circuit opened, so no probe
        self._failures_count += 1
        silent = now - self._last_success >= CIRCUIT_SILENCE_SECONDS
        if self.state is State.DELIVERING and not (
            silent and self._failures_count >= CIRCUIT_FAILURES_COUNT
        ):
            return
        self.state, self.reason = State.FAILING, f"{failed.reason.value}: {failed.said}"
        self._up_at = None
        self._probes_count += 1
        wait = backoff_seconds(self._probes_count + 2, self._jitter, PROBE_MAX_SECONDS)
        self._probe_at = now + wait

    def _wait(self, now: float, after_seconds: float | None) -> None:
        """Obey a Retry-After of the whole destination."""
        self._limits_count += 1
        wait = retry_seconds(after_seconds, self._limits_count, self._jitter, PROBE_MAX_SECONDS)
        self._asked_until = max(self._asked_until, now + wait)

    def _park(self, now: float, parked: Park) -> None:
        self._up_at = None
        self.state, self.reason = State.REFUSED, f"{parked.reason.value}: {parked.said}"
        # What was under way when it was put right was refused for what it was before.
        self._probe_at = now if self._is_put_right else now + PARKED_PROBE_SECONDS

    def hold(self, until: float) -> None:
        """Let nothing go before a time, not even a probe: nothing can be marked as being sent."""
        self._asked_until = max(self._asked_until, until)

    def probe_now(self) -> None:
        """Let a probe go at once: somebody may have put it right."""
        self._probe_at, self._is_put_right = 0.0, True

    def up_seconds(self, now: float) -> float:
        """Give for how long the destination has been up, of all the time that we know of."""
        self._count_up(now)
        return self._up_seconds

    def _count_up(self, now: float) -> None:
        if self._up_at is not None:
            self._up_seconds += now - self._up_at
            self._up_at = now
