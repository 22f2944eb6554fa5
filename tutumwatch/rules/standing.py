"""How a resource stands under an incident rule: does it hold, and what excuses it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import assert_never

import attrs

from tutumwatch.events.inputs import LinkType
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, Key, Resource
from tutumwatch.rules.absences import Absences
from tutumwatch.rules.decisions import Need
from tutumwatch.rules.ignores import Ignores
from tutumwatch.rules.incident_rules import IncidentRule, RuleForm
from tutumwatch.rules.matchers import Answer, Matcher, Verdict
from tutumwatch.rules.members import IncidentName, Member, Phase
from tutumwatch.rules.membership import Membership
from tutumwatch.rules.rule_set import RuleSet
from tutumwatch.rules.tallies import Tallies
from tutumwatch.rules.view import View

# A parent of a parent of a parent: container, service, stack. Parents in a circle end here too.
ANCESTORS_MAX_DEPTH = 3
_HEALTH = ("health",)


@attrs.frozen
class Standing:
    """Whether a rule holds; if so, whether it is excused, and which open incident explains it.

    ``needs``: what has to be looked up to know. ``is_guessed``: the answer is what it was before.
    """

    answer: Answer
    is_excused: bool = False
    explained_by: IncidentName | None = None
    needs: frozenset[Need] = frozenset()
    is_guessed: bool = False


@attrs.define
class Judge:
    """Says of a resource how it stands under a rule.

    ``reject``: told of a rule what cannot be computed of it.
    """

    rules: RuleSet
    _inventory: Inventory
    _members: Membership
    _tallies: Tallies
    _absences: Absences
    reject: Callable[[str, str], None]

    def stand(
        self,
        rule: IncidentRule,
        change: Change,
        member: Member | None,
        now: float,
        *,
        unknown: Answer = Answer.UNKNOWN,
    ) -> Standing:
        """Judge a resource after a change; whoever is counted already needs no excuse.

        :param unknown: the answer if it is not known whether the rule holds.
        """
        match rule.form:
            case RuleForm.WHILE:
                standing = self._stand_while(rule, change, member)
            case RuleForm.EACH:
                standing = self._stand_counted(rule, change, member)
            case RuleForm.ABSENT:
                is_absent = self._absences.is_absent(rule.name)
                standing = Standing(Answer.YES if is_absent else Answer.NO)
            case _:
                assert_never(rule.form)
        if standing.answer is Answer.UNKNOWN:
            standing = attrs.evolve(standing, answer=unknown, is_guessed=True)
        if standing.answer is not Answer.YES or (member is not None and member.phase.is_counted):
            return standing
        return self._excuse(rule, change, member, standing, now)

    def _stand_while(self, rule: IncidentRule, change: Change, member: Member | None) -> Standing:
        view = View(self._inventory, change)
        verdict = self._judged(rule, rule.matcher, view)
        is_counted = member is not None and member.phase.is_counted
        if verdict.answer is Answer.NO and rule.until is not None and is_counted:
            # Over is only what has ended well, not what goes on in another way.
            ending = self._judged(rule, rule.until, view)
            ended = {Answer.YES: Answer.NO, Answer.NO: Answer.YES}
            return Standing(ended.get(ending.answer, Answer.UNKNOWN), needs=ending.needs)
        if verdict.answer is not Answer.YES:
            return Standing(verdict.answer, needs=verdict.needs)
        ignored = self._judged(rule, self.rules.ignores, view)
        is_ignored = ignored.answer is Answer.YES
        return Standing(Answer.NO if is_ignored else Answer.YES, needs=ignored.needs)

    def is_ignored(self, rule: IncidentRule, view: View) -> bool:
        """Say whether nobody wants to hear of what a view shows."""
        return self._judged(rule, self.rules.ignores, view).answer is Answer.YES

    def matches(self, rule: IncidentRule, view: View) -> Verdict:
        """Say whether a rule matches what a view shows."""
        return self._judged(rule, rule.matcher, view)

    def _judged(self, rule: IncidentRule, matcher: Matcher | Ignores, view: View) -> Verdict:
        """Judge, and count what cannot be computed: that is unknown, and so changes nothing."""
        verdict = matcher.judge(view)
        if verdict.failed and verdict.answer is Answer.NO:
            self.reject(rule.name, verdict.failed)
            return Verdict(Answer.UNKNOWN)
        return verdict

    def _stand_counted(self, rule: IncidentRule, change: Change, member: Member | None) -> Standing:
        """Judge what was counted: what was told, or excused, is over once its resource is well."""
        name = (rule.name, change.after.key) if member is None else member.name
        # Also if it was well already when what excused it ended.
        is_over = member is not None and (
            member.phase is not Phase.PENDING or member.gap_since is not None
        )
        # What it is counted for need not be known itself: then the change is of one of its parts.
        is_own = change.after.key == name[1]
        if is_over and is_own and View(self._inventory, change).value(_HEALTH) == "ok":
            return Standing(Answer.NO)
        is_reached = self._tallies.is_reached(name)
        return Standing(Answer.YES if is_reached else Answer.NO)

    def _excuse(
        self,
        rule: IncidentRule,
        change: Change,
        member: Member | None,
        standing: Standing,
        now: float,
    ) -> Standing:
        if rule.unless is not None:
            verdict = self._judged(rule, rule.unless, View(self._inventory, change))
            standing = attrs.evolve(standing, needs=standing.needs | verdict.needs)
            if verdict.answer is Answer.YES:
                return attrs.evolve(standing, is_excused=True)
        if not rule.unless_open:
            return standing
        since = member.excused_since if member is not None else None
        is_long = since is not None and since + rule.unless_max_seconds <= now
        keys = [change.after.key] if is_long else self._related(change.after)
        explained_by = self._explain(rule, keys)
        if explained_by is None:
            return standing
        return attrs.evolve(standing, is_excused=True, explained_by=explained_by)

    def _explain(self, rule: IncidentRule, keys: Iterable[Key]) -> IncidentName | None:
        """Find an open incident, of a rule that explains this one, with one of these in it."""
        for key in keys:
            for name in self._members.rules_of(key):
                member = self._members.get((name, key))
                is_named = name in rule.unless_open
                if is_named and member is not None and member.phase.is_counted:
                    return member.incident
        return None

    def _related(self, resource: Resource) -> Iterator[Key]:
        """Give what may explain it: itself, what it is part of, and what its parts are part of.

        Itself first: what people were told of it already explains it for as long as that is open.
        """
        yield resource.key
        yield (resource.stream, LinkType.STREAM.value, resource.stream)
        yield from self._with_ancestors(resource.parent_keys())
        for child in self._inventory.children_of(resource.key):
            yield from self._with_ancestors(child.parent_keys())

    def _with_ancestors(self, keys: Iterable[Key]) -> Iterator[Key]:
        layer = list(keys)
        for _ in range(ANCESTORS_MAX_DEPTH):
            yield from layer
            known = (self._inventory.get(key) for key in layer)
            layer = [parent for one in known if one is not None for parent in one.parent_keys()]
