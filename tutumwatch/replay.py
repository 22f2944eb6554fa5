"""Decides again what a journal holds, without any effect: what would have been said, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tutumwatch.events.inputs import Input
from tutumwatch.rules.decider import Decider
from tutumwatch.rules.decisions import Decisions


def replay(inputs: Iterable[Input], decider: Decider) -> Iterator[Decisions]:
    """Give what each input comes to, with the times that it had; nothing is asked or sent.

    Every look-up that was made is among the inputs, and so is every restart. A decider with the
    rules of then says what was said then; one with other rules says what they would have said.

    :param decider: one that has decided nothing yet, or was restored to where the inputs begin.
    """
    for item in inputs:
        yield decider.decide(item)
