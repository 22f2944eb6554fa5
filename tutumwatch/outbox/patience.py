"""For how long each notice has failed while its destination was up; too long, and it ends."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from tutumwatch.notifiers.outcomes import GiveUp, Outcome, RetryLater
from tutumwatch.outbox.store import Delivery


@attrs.define
class Patience:
    """Has what it needs to know of each head in memory; what a head has failed is in the store.

    ``up``, here: for how long the destination has been up in all, as its gate counts it.
    """

    give_up_after_seconds: float
    # What ``up`` was, or would have been, when each head failed first.
    _first_up: dict[int, float] = attrs.field(factory=dict)

    def settle(self, head: Delivery, failed: RetryLater, up: float) -> Outcome:
        """Give the outcome that counts: what has failed for too long ends."""
        up_since = up - self._first_up.setdefault(head.row_id, up - head.up_seconds)
        if up_since > self.give_up_after_seconds:
            return GiveUp(failed.reason, f"tried {head.attempts + 1} times: {failed.said}")
        return failed

    def up_seconds(self, begun: Sequence[Delivery], up: float) -> dict[int, float]:
        """Give for how long each has failed while the destination was up."""
        return {
            head.row_id: up - self._first_up[head.row_id]
            if head.row_id in self._first_up
            else head.up_seconds
            for head in begun
        }

    def forget(self, row_id: int) -> None:
        """Forget a head that has ended."""
        self._first_up.pop(row_id, None)
