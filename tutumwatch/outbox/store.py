"""What keeps what we owe: the seam between deciding and delivering.

The rows of one lane (a notifier and a key) are delivered strictly in order, one at a time; only
the first row of a lane, its *head*, is ever given out. A store keeps notices, never a rendered
request and never a credential.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import attrs

from tutumwatch.notifiers.outcomes import Outcome
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.notice import Notice


@attrs.frozen
class Delivery:
    """The head of a lane: the next notice to send there.

    ``row_id`` grows in the order of commit. ``attempts``: how often it was sent before.
    ``memory``: what the last delivery of this lane asked to remember.
    """

    row_id: int
    notice: Notice
    attempts: int = 0
    memory: str | None = None

    @property
    def notifier(self) -> str:
        """The notifier that it goes to."""
        return self.notice.notifier


@attrs.frozen
class DeadLetter:
    """A notice that was given up, and why."""

    row_id: int
    notice: Notice
    attempts: int
    reason: str


@attrs.frozen
class Restored:
    """What a store knew when it was opened.

    ``knows_the_past`` is False for a store that never kept anything.
    """

    heads: Sequence[Delivery]
    knows_the_past: bool


class StoreUnwritableError(Exception):
    """The store can keep nothing at the moment; says why."""


class Store(Protocol):
    """Keeps decisions and the progress of their delivery. Calls are served in order.

    Each may raise StoreUnwritableError; then nothing was kept, and the same call may be repeated.
    """

    async def open(self) -> Restored:
        """Make ready and give the heads of all lanes."""

    async def commit(self, decisions: Decisions) -> Sequence[Delivery]:
        """Keep what some inputs came to, whole or not at all; give the lanes' new heads."""

    async def begin(self, row_ids: Sequence[int]) -> Sequence[Delivery]:
        """Note that these heads are about to be sent; give those that still are to be."""

    async def finish(self, outcomes: Mapping[int, Outcome]) -> Sequence[Delivery]:
        """Note how sending ended, by row; give the heads that their lanes then have.

        Delivered and given-up rows leave their lane; every other outcome keeps its row as head.
        """

    def owed_counts(self) -> Mapping[str, int]:
        """Count what is owed, by notifier."""

    async def close(self) -> None:
        """Keep nothing any more."""
