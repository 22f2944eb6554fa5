"""What deciding some inputs came to: all that one commit has to keep."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import attrs

from tutumwatch.events.inputs import Input
from tutumwatch.inventory.resource import Change
from tutumwatch.rules.notice import Notice


@attrs.frozen
class Need:
    """A resource that must be looked up before something can be said.

    ``fresh``: what is known already does not do; the answer must be asked for after the event.
    """

    stream: str
    resource_uri: str
    fresh: bool = False


@attrs.frozen
class WaitingRow:
    """Something that may have to be said once its needs are looked up; it keeps its place.

    It is settled when every need is answered, or at ``due`` as it then is. ``number``: that of
    the last message when it came; a fresh answer must have been asked for since. ``answered``,
    ``failed`` and ``missing``: the resource_uris whose look-up ended, those of them that gave no
    answer, and those that the platform does not have.
    """

    id: str
    rule: str
    notifiers: tuple[str, ...]
    key: str
    change: Change
    number: int
    due: float
    needs: frozenset[Need]
    answered: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()

    def without(self, needs: Iterable[Need]) -> WaitingRow:
        """Give the row as it is when these needs will never be answered."""
        uris = {need.resource_uri for need in needs}
        return attrs.evolve(
            self,
            needs=self.needs.difference(needs),
            answered=self.answered | uris,
            failed=self.failed | uris,
        )


@attrs.frozen
class Settled:
    """The end of a waiting row: its notices, or none, which withdraws it."""

    row_id: str
    notices: tuple[Notice, ...]


@attrs.frozen
class Revived:
    """A dead letter that is to be sent again; it takes its place at the end of its lane."""

    row_id: int


@attrs.frozen
class Dropped:
    """A notice that is not to be sent: a person said so, or it is no longer true; says why."""

    row_id: int
    reason: str


Owed: TypeAlias = Notice | WaitingRow | Settled | Revived | Dropped

RecordName: TypeAlias = tuple[str, str]
"""(kind, name) of something that rules remember over a restart."""


@attrs.define
class Decisions:
    """What some inputs, decided in order, came to; ``owed`` is in the order of decision.

    ``records``: what rules must know after a restart and did not before, encoded by whoever will
    read it; None is forgotten. A store keeps them and does not look into them.
    """

    inputs: list[Input] = attrs.field(factory=list)
    owed: list[Owed] = attrs.field(factory=list)
    needs: set[Need] = attrs.field(factory=set)
    records: dict[RecordName, bytes | None] = attrs.field(factory=dict)
