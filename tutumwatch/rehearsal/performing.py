"""Performs a test: its events go to the decider that runs live, on a time of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import assert_never

import attrs

from tutumwatch.config.rehearsal_plans import EventStep, LinkStep, Rehearsal, RestStep, Step
from tutumwatch.events.inputs import (
    CONNECTED,
    Found,
    Input,
    Link,
    LinkType,
    Listed,
    Looked,
    Message,
    Missing,
    Started,
    Tick,
)
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.rehearsal.stage import Stage
from tutumwatch.rehearsal.trying import notices_in
from tutumwatch.rules.acquaintance import met_before
from tutumwatch.rules.decider import Decider
from tutumwatch.rules.decisions import Decisions, Need
from tutumwatch.rules.notice import Form, Notice
from tutumwatch.rules.rule_set import RuleSet

# Timers that stay due for ever, or look-ups that ask for one another, would be a bug of ours.
AT_ONE_TIME_MAX_COUNT = 10_000
ENDLESS = "what is due stays due, or what was looked up is asked for again"


@attrs.frozen
class Utterances:
    """What a test came to: each notice with the seconds from the start at which it was owed.

    ``rejected``: what could not be decided, or computed, and why.
    """

    said: tuple[tuple[float, Notice], ...]
    rejected: tuple[str, ...] = ()


def perform(rehearsal: Rehearsal, rules: RuleSet) -> Utterances:
    """Let everything happen that a test tells, and give what is said."""
    performance = _Performance(rehearsal, rules)
    performance.open()
    for step in rehearsal.steps:
        performance.go_on(step.at)
        performance.take(step)
    performance.go_on(rehearsal.lasts, is_end=True)
    rejected = dict.fromkeys(performance.rejected)
    return Utterances(tuple(performance.said), tuple(rejected))


@attrs.define
class _Performance:
    """One test under way."""

    _rehearsal: Rehearsal
    _rules: RuleSet
    said: list[tuple[float, Notice]] = attrs.field(factory=list)
    rejected: list[str] = attrs.field(factory=list)
    _stage: Stage = attrs.field(factory=Stage)
    _decider: Decider = attrs.field(init=False)
    _now: float = attrs.field(init=False)
    _number: int = 0
    _connected: set[str] = attrs.field(factory=set)
    _to_list: dict[str, None] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self._decider = Decider(Inventory(), self._rules)
        self._now = self._rehearsal.begins

    def open(self) -> None:
        """Begin to watch what is there."""
        for told in self._rehearsal.present:
            self._stage.take(told)
        streams = self._rules.streams
        # With an empty store, what is not so would be resolved. Here nothing ever was.
        self._decider.restore(met_before(streams), (), 0, self._now)
        for stream in streams:
            # What is known before we start is no news.
            self._decider.replay(Link(LinkType.STREAM, stream, CONNECTED, "", self._now))
            self._decider.replay(Listed(stream, tuple(self._rows(stream)), self._now))
        self._decide(Started("rehearsal", None, self._now))
        for stream in streams:
            self._connect(stream, "")
        self.said = [(at, notice) for at, notice in self.said if notice.form is not Form.MESSAGE]

    def go_on(self, at: float, *, is_end: bool = False) -> None:
        """Let time pass until a step comes; at its own time the step is first.

        :param is_end: what is due at the end is done as well.
        """
        end = self._rehearsal.begins + at
        ticks = 0
        while (due := self._decider.next_due()) is not None:
            if due > end or (due == end and not is_end):
                break
            ticks = 1 if due > self._now else ticks + 1
            if ticks > AT_ONE_TIME_MAX_COUNT:
                self.rejected.append(ENDLESS)
                break
            self._now = max(self._now, due)
            self._decide(Tick(self._now))
        self._now = max(self._now, end)

    def take(self, step: Step) -> None:
        """Let a step happen."""
        match step:
            case EventStep():
                self._number += 1
                payload = self._stage.event(step, self._number)
                if step.told.stream in self._connected:
                    self._decide(Message(step.told.stream, self._number, payload, self._now))
                else:
                    self._stage.missed(step.told)
            case LinkStep(type=LinkType.STREAM, state="Connected"):
                self._connect(step.name, step.reason)
            case LinkStep():
                if step.type is LinkType.STREAM:
                    self._connected.discard(step.name)
                self._decide(Link(step.type, step.name, step.state, step.reason, self._now))
            case RestStep(is_up=is_up):
                self._stage.is_up = is_up
                self._list()
            case _:
                assert_never(step)

    def _connect(self, stream: str, reason: str) -> None:
        self._connected.add(stream)
        self._to_list[stream] = None
        self._decide(Link(LinkType.STREAM, stream, CONNECTED, reason, self._now))
        self._list()

    def _list(self) -> None:
        """List what there is on the streams that came, if anybody answers."""
        if self._stage.is_up:
            for stream in [one for one in self._to_list if one in self._connected]:
                del self._to_list[stream]
                self._decide(Listed(stream, tuple(self._rows(stream)), self._now))

    def _rows(self, stream: str) -> Iterable[Looked]:
        there = dict(self._stage.listing(stream))
        for resource in self._decider.inventory.resources_of(stream):
            if resource.type != "action":
                there.setdefault(resource.uri, self._stage.get(stream, resource.uri))
        for uri, answer in there.items():
            if isinstance(answer, Found | Missing):
                yield Looked(stream, uri, self._number, answer, self._now)

    def _decide(self, item: Input) -> None:
        """Decide an input, and answer at once whatever has to be looked up for it."""
        waiting: deque[Need] = deque()
        self._hear(self._decider.decide(item), waiting)
        asked = 0
        while waiting:
            asked += 1
            if asked > AT_ONE_TIME_MAX_COUNT:
                self.rejected.append(ENDLESS)
                return
            need = waiting.popleft()
            answer = self._stage.get(need.stream, need.resource_uri)
            looked = Looked(need.stream, need.resource_uri, self._number, answer, self._now)
            self._hear(self._decider.decide(looked), waiting)

    def _hear(self, decisions: Decisions, waiting: deque[Need]) -> None:
        if (rejected := self._decider.last_rejected) is not None:
            self.rejected.append(f"{rejected.sample}: {rejected.reason}")
            self._decider.last_rejected = None
        known = {need.resource_uri for need in waiting}
        new = (need for need in decisions.needs if need.resource_uri not in known)
        waiting.extend(sorted(new, key=lambda need: (need.resource_uri, need.fresh)))
        at = self._now - self._rehearsal.begins
        self.said += [(at, notice) for notice in notices_in(decisions)]
