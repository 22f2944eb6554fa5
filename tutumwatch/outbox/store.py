"""What keeps what we owe: the seam between deciding and delivering.

The rows of one lane (a notifier and a key) are delivered strictly in order, one at a time; only
the first row of a lane, its *head*, is ever given out. A store keeps notices, never a rendered
request and never a credential.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import attrs

from tutumwatch.events.inputs import Input, OwedRow
from tutumwatch.inventory.resource import Key, Resource
from tutumwatch.notifiers.outcomes import Outcome
from tutumwatch.rules.decisions import Decisions, RecordName, WaitingRow
from tutumwatch.rules.notice import Notice


@attrs.frozen
class Head:
    """The first row of a lane, small enough to hold many: what it says is read when it is sent.

    ``row_id`` grows in the order of commit. ``at``: when what it tells happened. ``attempts``:
    how often it was sent before. ``interrupted``: it was being sent when we last ended, as a part
    of a ``request``: those that have the same go again together.
    """

    row_id: int
    notifier: str
    at: float = 0.0
    is_message: bool = True
    attempts: int = 0
    interrupted: bool = False
    request: int = 0


@attrs.frozen
class Delivery:
    """A head with what it says.

    ``attempts``: how often it was sent before; ``up_seconds``: for how long it has failed while
    its destination was up. ``memory``: what the last delivery of its lane asked to remember.
    ``is_damaged``: what it says is lost, and ``notice`` only tells of what it was.
    """

    row_id: int
    notice: Notice
    attempts: int = 0
    up_seconds: float = 0.0
    memory: str | None = None
    is_damaged: bool = False


@attrs.frozen
class HeldUp:
    """The messages of one notifier that have become so old that they are told in one.

    ``latest``: the texts of the last ones, oldest first, as they would have been sent.
    """

    notifier: str
    count: int
    first_at: float
    last_at: float
    by_rule: Mapping[str, int]
    latest: Sequence[str]


@attrs.frozen
class Restored:
    """What a store kept of earlier runs.

    ``alive_at``: when we last ran, None if we never did. ``last_number``: that of the last message
    that was committed. ``earlier``: the last inputs that ``resources`` holds already; ``later``:
    those that came after it. Both are in the order of their commit.
    """

    alive_at: float | None = None
    last_number: int = 0
    resources: Iterable[Resource] = ()
    earlier: Iterable[Input] = ()
    later: Iterable[Input] = ()
    waiting: Sequence[WaitingRow] = ()
    records: Mapping[RecordName, bytes] = attrs.field(factory=dict)


class StoreUnwritableError(Exception):
    """The store can keep nothing at the moment; says why."""


class StoreUnusableError(Exception):
    """There is no store to begin with; says why, and what to do about it."""


class Store(Protocol):
    """Keeps decisions and the progress of their delivery. Calls are served in order.

    Each call that waits may raise StoreUnwritableError; then nothing was kept, and the same call
    may be repeated.
    """

    # How often a damaged file was replaced by a new one, which knows only what could be saved.
    replaced_count: int

    @property
    def counts(self) -> Mapping[str, int]:
        """What became of notices since we started, by what that is called."""

    def restore(self) -> Restored:
        """Give what was kept; called once, before anything else and before a reactor runs.

        :raises StoreUnusableError: if it cannot be read or made.
        """

    async def open(self) -> Sequence[Head]:
        """Make ready; give the heads that were being sent when we last ended."""

    async def commit(self, decisions: Decisions, at: float) -> Sequence[Head]:
        """Keep what some inputs came to, whole or not at all; give the lanes' new heads."""

    async def heads(self, notifier: str, count: int) -> Sequence[Head]:
        """Give the first heads of a notifier that are not being sent, in order of commit."""

    async def begin(self, row_ids: Sequence[int]) -> Sequence[Delivery]:
        """Note that these heads are about to be sent; give those that still are to be."""

    async def finish(
        self, outcomes: Mapping[int, Outcome], up_seconds: Mapping[int, float]
    ) -> Sequence[Head]:
        """Note how sending ended, by row; give the heads that their lanes then have.

        Delivered and given-up rows leave their lane; every other outcome keeps its row as head.
        """

    async def digest(
        self, notifier: str, before: float, write: Callable[[HeldUp], Notice]
    ) -> Sequence[Head]:
        """Replace all messages that happened before a time by one, if there are many."""

    async def checkpoint(self, changed: Mapping[Key, Resource | None], at: float) -> None:
        """Keep the resources that changed up to the last commit; None is known no more."""

    async def find(self, row_ids: Sequence[int]) -> Sequence[OwedRow]:
        """Give those of some rows that there are."""

    def owed_counts(self) -> Mapping[str, int]:
        """Count what is owed, by notifier."""

    async def close(self) -> None:
        """Keep nothing any more."""


# In place of a file's path: a store that ends with the process.
IN_MEMORY = ":memory:"
# So many old messages are still told singly; the text of a digest has the last ones of more.
DIGEST_ABOVE_COUNT = 3
DIGEST_LATEST_COUNT = 10
# What a digest has in place of a rule; it is never part of another one.
DIGEST_RULE = "held up"
