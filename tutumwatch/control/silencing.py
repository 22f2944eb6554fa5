"""Makes, ends and lists silences, as a person at the command line asks for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from tutumwatch.control.wire import (
    AskSilence,
    AskUnsilence,
    KnownSilence,
    NamedFate,
    Reach,
    Reply,
    Withheld,
)
from tutumwatch.events.inputs import Input, Silence, Unsilence
from tutumwatch.inventory.resource import Resource
from tutumwatch.inventory.survey import full_name, list_names
from tutumwatch.rules.decider import Decider
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.members import Phase
from tutumwatch.rules.said import SAID_SECONDS, preview
from tutumwatch.rules.scopes import Scope
from tutumwatch.rules.silences import Mute, scope_of
from tutumwatch.rules.touching import touched
from tutumwatch.rules.view import View
from tutumwatch.rules.windows import Span

SILENCES_MAX_COUNT = 1_000
SILENCE_MAX_SECONDS = 366 * 24 * 3600.0
LONG_SECONDS = 7 * 24 * 3600.0
SHOWN_MAX_COUNT = 20
NAMES_MAX_COUNT = 5
# So many resources are looked at in one go; in between, events are taken.
LOOKED_AT_ONCE_COUNT = 500

ACTIVE, PENDING, EXPIRED = "active", "pending", "expired"
NOTHING_NAMED = "what is to be silenced? name a resource or a rule: everything is too much"
NOT_TAKEN = "it was not taken; the watcher's log says why"


@attrs.frozen
class Silencing:
    """What the running watcher knows of silences, and does about them.

    :param carry_out: takes an input; fires when it is committed.
    :param now: gives the watch's time.
    :param new_id: gives a short word at random, for a silence.
    """

    _decider: Decider
    _carry_out: Callable[[Input], Deferred[Decisions]]
    _now: Callable[[], float]
    _new_id: Callable[[], str]
    _clock: IReactorTime

    _log = Logger()

    async def add(self, question: AskSilence) -> Reply:
        """Make a silence, or only say what it would mean."""
        now = self._now()
        try:
            scope = _scope_asked_for(question)
            starts, ends = _times_asked_for(question, now)
        except ValueError as problem:
            return Reply(error=str(problem))
        reach = await self._reach(scope, now, ends - starts)
        match = list(question.match)
        silence = Silence(self._free_id(), match, starts, ends, question.comment, question.by, now)
        if not question.preview:
            if len(list(self._decider.silences)) >= SILENCES_MAX_COUNT:
                return Reply(error=f"there are {SILENCES_MAX_COUNT} silences already; end some")
            await self._carry_out(silence)
            if self._decider.silences.get(silence.id) is None:
                return Reply(error=NOT_TAKEN)
            self._log.info(
                "silence {name} made by {by}, for {seconds} s: {match}{comment}",
                name=silence.id,
                by=silence.by or "nobody",
                seconds=round(ends - starts),
                match=match,
                comment=f" ({silence.comment})" if silence.comment else "",
            )
        return Reply(silence=known_silence(silence, now), reach=reach)

    def _free_id(self) -> str:
        """Give an id that no silence and no mute is called by."""
        taken = {mute.name for mute in self._decider.silences.mutes}
        while (new := self._new_id()) in taken or self._decider.silences.get(new) is not None:
            pass
        return new

    async def end(self, question: AskUnsilence) -> Reply:
        """End silences."""
        fates = [await self._end(name) for name in dict.fromkeys(question.names)]
        return Reply(named_fates=tuple(fates))

    async def _end(self, name: str) -> NamedFate:
        silence = self._decider.silences.get(name)
        if silence is None:
            if any(mute.name == name for mute in self._decider.silences.mutes):
                return NamedFate(name, "is a mute: it stands in the configuration", done=False)
            return NamedFate(name, "is no silence; `silence list` names them", done=False)
        now = self._now()
        state = _state_of(silence, now)
        await self._carry_out(Unsilence(name, now))
        if self._decider.silences.get(name) is not None:
            return NamedFate(name, NOT_TAKEN, done=False)
        self._log.info("silence {name} ended by hand; it was {state}", name=name, state=state)
        return NamedFate(name, f"removed; it was {state}", done=True)

    def list_all(self) -> Reply:
        """Give every silence that is not forgotten, and every mute."""
        now = self._now()
        counts = self._withheld_counts()
        known = [known_silence(silence, now, counts) for silence in self._decider.silences]
        for mute in self._decider.silences.mutes:
            span = self._decider.silences.span_of(mute, now)
            known.append(known_mute(mute, span, now, counts))
        return Reply(silences=tuple(known))

    def _withheld_counts(self) -> Mapping[str, int]:
        """Count the incidents that are kept from opening, by what keeps them."""
        members = self._decider.incidents.members()
        withheld = {(m.withheld_by, m.incident) for m in members if m.phase is Phase.PENDING}
        return Counter(by for by, _ in withheld if by is not None)

    async def _reach(self, scope: Scope, now: float, seconds: float) -> Reach:
        count, names = 0, None
        warnings: list[str] = []
        rules = self._decider.rules
        names_of_rules = rules.names
        if not any(map(scope.may_be_said_by, names_of_rules)):
            known = list_names(names_of_rules) or "none"
            warnings.append(
                f"there is no rule of such a name, so it withholds nothing; the rules are {known}"
            )
        if not scope.takes_any_resource():
            count, names = await self._present(scope)
            if not count:
                warnings.append("it matches nothing that is known at present")
        if seconds > LONG_SECONDS:
            warnings.append(f"it lasts {seconds / 86_400:.0f} days, and may well be forgotten")
        since = now - SAID_SECONDS
        sayings = list(self._decider.silences.said.since(since))
        if self._decider.silences.said.is_full and sayings:
            since = sayings[0].at
        found = preview(scope, sayings, self._decider.inventory)
        last = found.withheld[-SHOWN_MAX_COUNT:]
        return Reach(
            matching_count=count,
            names=names,
            since=since,
            said_count=found.said_count,
            unsure_count=found.unsure_count,
            by_rule=Counter(saying.rule for saying in found.withheld),
            withheld=tuple(Withheld(s.at, s.rule, s.text, s.notifiers) for s in last),
            warnings=tuple(warnings),
        )

    async def _present(self, scope: Scope) -> tuple[int, tuple[str, ...]]:
        """Count the resources that are within a scope, and name the first of them."""
        count = 0
        names: list[str] = []
        for number, resource in enumerate(self._decider.inventory.resources(), 1):
            if not number % LOOKED_AT_ONCE_COUNT:
                await deferLater(self._clock, 0.0, lambda: None)
            view = View(self._decider.inventory, touched(resource, "now", resource.seen))
            if resource.gone_at is None and scope.takes_resource(view):
                count += 1
                if len(names) < NAMES_MAX_COUNT:
                    names.append(self._name_of(resource))
        return count, tuple(names)

    def _name_of(self, resource: Resource) -> str:
        parents = (self._decider.inventory.get(key) for key in resource.parent_keys())
        stacks = {p.key: p.name for p in parents if p is not None and p.type == "stack" and p.name}
        return f"{resource.type} {full_name(resource, stacks)}"


def _scope_asked_for(question: AskSilence) -> Scope:
    """Compile what a silence is to be about.

    :raises ValueError: if that is nothing, or everything.
    """
    if not question.match or not all(question.match):
        raise ValueError(NOTHING_NAMED)
    return scope_of(list(question.match))


def _times_asked_for(question: AskSilence, now: float) -> tuple[float, float]:
    """Give from when to when a silence is to be.

    :raises ValueError: if it could not be so.
    """
    starts = now if question.starts is None else max(now, question.starts)
    if (question.ends is None) is (question.lasts is None):
        raise ValueError("say either for how long, or until when")
    ends = starts + question.lasts if question.lasts is not None else question.ends
    if ends is None or ends <= now:
        raise ValueError("it would be over already")
    if ends <= starts:
        raise ValueError("it would end before it starts")
    if ends - starts > SILENCE_MAX_SECONDS:
        raise ValueError("a silence may last a year; for longer, write a mute, or change the rule")
    return starts, ends


def _state_of(silence: Silence, now: float) -> str:
    if now < silence.starts:
        return PENDING
    return ACTIVE if now < silence.ends else EXPIRED


def known_silence(
    silence: Silence, now: float, counts: Mapping[str, int] = MappingProxyType({})
) -> KnownSilence:
    """Say what there is to say of a silence; ``counts``: incidents, by what withholds them."""
    return KnownSilence(
        silence.id,
        _state_of(silence, now),
        silence.match,
        silence.starts,
        silence.ends,
        comment=silence.comment,
        by=silence.by,
        withheld_count=counts.get(silence.id, 0),
    )


def known_mute(
    mute: Mute, span: Span, now: float, counts: Mapping[str, int] = MappingProxyType({})
) -> KnownSilence:
    """Say what there is to say of a mute, which holds for a span next."""
    return KnownSilence(
        mute.name,
        ACTIVE if span.begins <= now else PENDING,
        mute.match,
        span.begins,
        span.ends,
        is_mute=True,
        withheld_count=counts.get(mute.name, 0),
    )
