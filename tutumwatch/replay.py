"""Decides again what a journal holds, without any effect: what would have been said, and why."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import attrs

from tutumwatch.events.inputs import Input, Message, Started
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.outbox.store import Restored
from tutumwatch.restart import restore
from tutumwatch.rules.decider import Decider
from tutumwatch.rules.decisions import Decisions, RecordName, Settled, WaitingRow
from tutumwatch.rules.seen import SEEN_MAX_COUNT


def replay(inputs: Iterable[Input], decider: Decider) -> Iterator[Decisions]:
    """Give what each input comes to, with the times that it had; nothing is asked or sent.

    Every look-up that was made is among the inputs, and so is every restart. A decider with the
    rules of then says what was said then; one with other rules says what they would have said.

    :param decider: one that has decided nothing yet; its ``rule_sets`` are those that a reload
        among the inputs may name.
    """
    again = Replay(decider)
    for item in inputs:
        yield again.decide(item)


@attrs.define
class Replay:
    """Lives through the inputs of one run after the other, as :func:`replay`.

    ``decider``: that of the run that is being replayed. The next run begins with what this one has
    left in its store, and in the order in which a store gives it: nothing else outlives a restart.
    """

    decider: Decider
    _has_begun: bool = False
    _records: dict[RecordName, bytes] = attrs.field(factory=dict)
    _waiting: dict[str, WaitingRow] = attrs.field(factory=dict)
    _messages: deque[Message] = attrs.field(factory=lambda: deque(maxlen=SEEN_MAX_COUNT))

    def decide(self, item: Input) -> Decisions:
        """Say what the next input comes to."""
        if isinstance(item, Started) and self._has_begun:
            self.decider = self._restarted(item)
        self._has_begun = True
        decisions = self.decider.decide(item)
        self._keep(item, decisions)
        return decisions

    def _keep(self, item: Input, decisions: Decisions) -> None:
        if isinstance(item, Message):
            self._messages.append(item)
        for owed in decisions.owed:
            if isinstance(owed, WaitingRow):
                self._waiting[owed.id] = owed
            elif isinstance(owed, Settled):
                self._waiting.pop(owed.row_id, None)
        for name, record in decisions.records.items():
            if record is None:
                self._records.pop(name, None)
            else:
                self._records[name] = record

    def _restarted(self, started: Started) -> Decider:
        before = self.decider
        rules = before.rules
        decider = Decider(Inventory(), rules, rule_sets=before.rule_sets)
        kept = Restored(
            started.alive_at,
            self._messages[-1].number if self._messages else 0,
            sorted(before.inventory.resources(), key=lambda resource: resource.key),
            earlier=list(self._messages),
            waiting=[row for _, row in sorted(self._waiting.items())],
            records=dict(sorted(self._records.items())),
        )
        restore(decider, kept, set(rules.streams), set(rules.destinations), started.at)
        return decider
