"""How things are now, as a decider with the rules of a configuration sees it; nothing is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import attrs

from tutumwatch.config.plans import Configuration
from tutumwatch.events.inputs import CONNECTED, Link, LinkType, Listed, Looked, Started
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Resource
from tutumwatch.outbox.store import Restored
from tutumwatch.restart import restore
from tutumwatch.rules.acquaintance import met_before
from tutumwatch.rules.decider import Decider
from tutumwatch.rules.decisions import Decisions, Need
from tutumwatch.rules.incident_rules import OF_EVENTS, IncidentRule
from tutumwatch.rules.matchers import Answer, Matcher
from tutumwatch.rules.members import Member, Phase
from tutumwatch.rules.messages import MessageRule
from tutumwatch.rules.summary import name_of
from tutumwatch.rules.touching import touched
from tutumwatch.rules.view import Unknown, Value, View
from tutumwatch.rules.vocabulary import Path


def decider_of(configuration: Configuration, restored: Restored, now: float) -> Decider:
    """Give a decider that knows what a store has kept, under the rules of a configuration.

    What these make of what is there is decided; what that comes to is told to nobody.
    """
    decider = Decider(Inventory(), configuration.rules)
    streams = {plan.name for plan in configuration.streams}
    # Of a store that is empty nothing has to be put in order here.
    records = {**met_before(streams), **restored.records}
    restored = attrs.evolve(restored, records=records)
    restore(decider, restored, streams, set(configuration.destinations), now)
    decider.silences.use(configuration.rules.mutes, now)
    decider.incidents.use(configuration.rules, now, Decisions())
    return decider


def decider_of_lists(
    configuration: Configuration, lists: Iterable[tuple[str, Sequence[Looked]]], now: float
) -> Decider:
    """Give a decider that knows what the platforms say that they have.

    :param lists: by the name of the stream.
    """
    decider = Decider(Inventory(), configuration.rules)
    decider.decide(Started("now", None, now))
    for stream, rows in lists:
        decider.decide(Link(LinkType.STREAM, stream, CONNECTED, "", now))
        decider.decide(Listed(stream, tuple(rows), now))
    return decider


class _PresentView(View):
    """What a rule sees of a resource of which nothing happens at the moment."""

    def value(self, path: Path) -> Value:
        """Give a value; what only an event tells may be anything."""
        if path[0] in OF_EVENTS:
            return Unknown(Need("", "an event"))
        return super().value(path)


@attrs.frozen
class Matching:
    """What is there of what a rule is about.

    ``names``: of what it matches; of a message rule, what it may speak of when something happens.
    ``opened``, ``coming``, ``excused``: the members of an incident rule.
    """

    rule: MessageRule | IncidentRule
    names: Sequence[str]
    unsure_count: int = 0
    opened: Sequence[Member] = ()
    coming: Sequence[Member] = ()
    excused: Sequence[Member] = ()


def matchings(decider: Decider) -> Iterator[Matching]:
    """Say of each rule which resources it matches at present, and what follows from that."""
    rules = decider.rules
    for rule in rules.messages:
        yield _matching(decider, rule)
    members = decider.incidents.members()
    for incident_rule in rules.incidents:
        of_rule = [member for member in members if member.name[0] == incident_rule.name]
        yield attrs.evolve(
            _matching(decider, incident_rule),
            opened=[m for m in of_rule if m.phase.is_counted],
            coming=[m for m in of_rule if m.phase is Phase.PENDING],
            excused=[m for m in of_rule if m.phase in {Phase.EXCUSED, Phase.DISMISSED}],
        )


def _matching(decider: Decider, rule: MessageRule | IncidentRule) -> Matching:
    names: list[str] = []
    unsure_count = 0
    for resource in _present(decider.inventory, rule.matcher):
        view = _PresentView(decider.inventory, touched(resource, "now", resource.seen))
        verdict = rule.matcher.judge(view)
        if verdict.answer is Answer.NO or decider.rules.ignores.judge(view).answer is Answer.YES:
            continue
        if verdict.answer is Answer.UNKNOWN and any(need.stream for need in verdict.needs):
            unsure_count += 1
        else:
            names.append(name_of(view))
    return Matching(rule, names, unsure_count)


def _present(inventory: Inventory, matcher: Matcher) -> Iterator[Resource]:
    for resource in inventory.resources():
        if resource.gone_at is None and matcher.may_match(resource.type):
            yield resource


def present_name(decider: Decider, member: Member) -> str:
    """Say whom a member is about."""
    return name_of(View(decider.inventory, member.change))
