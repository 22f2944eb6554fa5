"""How a member goes on: quiet, excused, pending, open, clearing, quiet.

A gap shorter than ``clear_for`` does not restart ``for``; it does not close an incident either.
Before a member opens or closes its incident, its resource is looked up: what a stream told may be
old. No timer acts before its stream has caught up.
"""

from __future__ import annotations

import attrs

from tutumwatch.events.inputs import Looked, Unanswered
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.entering import DELETED, Entering
from tutumwatch.rules.incident_rules import IncidentRule, RuleForm
from tutumwatch.rules.matchers import Answer
from tutumwatch.rules.members import Member, MemberName, Phase
from tutumwatch.rules.membership import Membership
from tutumwatch.rules.naming import incident_of
from tutumwatch.rules.restraint import Restraint
from tutumwatch.rules.standing import Judge, Standing
from tutumwatch.rules.telling import UNVERIFIED
from tutumwatch.rules.touching import present

# An end that could not be verified is tried again after this.
CLEAR_AGAIN_SECONDS = 30.0


@attrs.define
class Progress:
    """Takes members from one phase to the next; what that comes to is added to the decisions."""

    _inventory: Inventory
    _members: Membership
    _judge: Judge
    _entering: Entering
    _restraint: Restraint

    def member(self, name: MemberName) -> Member | None:
        """Give a member, or None."""
        return self._members.get(name)

    # -- news

    def take(self, rule: IncidentRule, change: Change, decisions: Decisions) -> None:
        """Take in how a resource stands after a change."""
        name = (rule.name, change.after.key)
        member = self._members.get(name)
        if change.after.gone_at is not None:
            if member is not None:
                self._entering.leave(rule, member, change.at, decisions, (DELETED,))
            return
        if member is None and rule.form is RuleForm.WHILE and _is_none(rule, change):
            return
        standing = self._judge.stand(rule, change, member, change.at)
        # What is told of something that was counted is the last that was counted.
        is_told_of = member is not None and rule.form is RuleForm.EACH
        told = member.change if member is not None and is_told_of else change
        self.settle(rule, name, told, member, standing, change.at, decisions)

    def settle(
        self,
        rule: IncidentRule,
        name: MemberName,
        change: Change,
        member: Member | None,
        standing: Standing,
        now: float,
        decisions: Decisions,
    ) -> None:
        """Take a member on by how it stands.

        :param change: what is told of it.
        """
        decisions.needs |= standing.needs
        if standing.answer is Answer.UNKNOWN:
            return
        if standing.answer is Answer.NO:
            if member is not None:
                self._becomes_false(rule, member, now, decisions)
        elif member is not None and (member.phase.is_counted or member.phase is Phase.DISMISSED):
            self._stays(member, change)
        else:
            member = attrs.evolve(member or self._join(rule, name, change, now), change=change)
            if standing.is_excused:
                self._becomes_excused(rule, member, standing, now)
            else:
                self._becomes_true(rule, member, now, decisions)

    def _stays(self, member: Member, change: Change) -> None:
        """Let what was told, or closed by a person, go on: it is not over."""
        phase = Phase.OPEN if member.phase.is_counted else member.phase
        self._members.keep(
            attrs.evolve(member, phase=phase, change=change, gap_since=None, due=None, check=None)
        )

    def _join(self, rule: IncidentRule, name: MemberName, change: Change, now: float) -> Member:
        # Pending without a gap or a due time, which is as new as excused.
        return Member(
            name, incident_of(rule, name, change, self._inventory), Phase.EXCUSED, now, change
        )

    def _becomes_true(
        self, rule: IncidentRule, member: Member, now: float, decisions: Decisions
    ) -> None:
        if member.phase is Phase.EXCUSED or _is_over(rule, member, now):
            # The Tick that ends a gap may be late.
            member = attrs.evolve(member, since=now)
        member = attrs.evolve(member, phase=Phase.PENDING, gap_since=None)
        if member.check is not None:
            self._members.keep(member)
            return
        due = member.since + rule.for_seconds
        if due <= now:
            self._ripen(rule, member, now, decisions)
        else:
            self._members.keep(attrs.evolve(member, due=due))

    def _becomes_excused(
        self, rule: IncidentRule, member: Member, standing: Standing, now: float
    ) -> None:
        member = attrs.evolve(member, check=None, withheld_by=None)
        gap_since = now if member.gap_since is None else member.gap_since
        gap_ends = gap_since + rule.clear_for_seconds
        if member.phase is Phase.PENDING and gap_ends > now:
            self._members.keep(attrs.evolve(member, gap_since=gap_since, due=gap_ends))
            return
        since, ends = member.excused_since, None
        if standing.explained_by is not None:
            since = now if since is None else since
            # After that only an incident of its own explains it, whose end has it judged again.
            ends = since + rule.unless_max_seconds
        self._members.keep(
            attrs.evolve(
                member,
                phase=Phase.EXCUSED,
                gap_since=None,
                due=ends if ends is not None and ends > now else None,
                excused_since=since,
                excused_by=standing.explained_by or member.excused_by,
            )
        )

    def _becomes_false(
        self, rule: IncidentRule, member: Member, now: float, decisions: Decisions
    ) -> None:
        if member.phase is Phase.EXCUSED:
            self._entering.leave(rule, member, now, decisions)
        elif member.gap_since is None:
            phase = Phase.CLEARING if member.phase is Phase.OPEN else member.phase
            due = now + rule.clear_for_seconds
            member = attrs.evolve(
                member, phase=phase, gap_since=now, due=due, check=None, withheld_by=None
            )
            if due > now:
                self._members.keep(member)
            elif phase is Phase.CLEARING:
                self._clear(rule, member, now, decisions)
            else:
                self._entering.leave(rule, member, now, decisions)

    # -- time

    def go_on(self, rule: IncidentRule, member: Member, now: float, decisions: Decisions) -> None:
        """Take a member on whose time has come."""
        if self._restraint.hold(rule, member):
            return
        if member.check is not None:
            failed = attrs.evolve(member.check, uris=frozenset(), failed=True)
            self._checked(rule, attrs.evolve(member, check=failed), now, decisions)
        elif member.phase is Phase.CLEARING:
            self._clear(rule, member, now, decisions)
        else:
            self.look_again(rule, member, now, decisions)

    def look_again(
        self, rule: IncidentRule, member: Member, now: float, decisions: Decisions
    ) -> None:
        """Judge a member by what is known of its resource now."""
        standing = self._stand_now(rule, member, now)
        if standing.answer is Answer.NO and _is_over(rule, member, now):
            self._entering.leave(rule, member, now, decisions)
        else:
            self.settle(rule, member.name, member.change, member, standing, now, decisions)

    def _stand_now(self, rule: IncidentRule, member: Member, now: float) -> Standing:
        """Judge a member; unknown changes nothing: it is as it was when that was known last."""
        last = Answer.YES if member.gap_since is None else Answer.NO
        change = present(self._inventory, member, now)
        return self._judge.stand(rule, change, member, now, unknown=last)

    def end_count(
        self, rule: IncidentRule, member: Member, now: float, decisions: Decisions
    ) -> None:
        """End what was not matched again in time."""
        ending = attrs.evolve(member, phase=Phase.CLEARING, gap_since=now, check=None)
        if not (member.phase.is_counted and self._restraint.hold(rule, ending)):
            self._entering.leave(rule, member, now, decisions)

    # -- opening

    def _ripen(self, rule: IncidentRule, member: Member, now: float, decisions: Decisions) -> None:
        """Open an incident for a member that was true for long enough, once that is verified."""
        restraint = self._restraint
        if not (
            restraint.hold(rule, member)
            or restraint.withhold(rule, member, now)
            or restraint.verify(rule, member, now, decisions)
        ):
            self._open(rule, member, now, decisions)

    def answered(
        self, rule: IncidentRule, member: Member, looked: Looked, decisions: Decisions
    ) -> None:
        """Take in that one of the look-ups ended that a member waits for."""
        check = member.check
        if check is None or looked.asked < check.number:
            return
        failed = check.failed or isinstance(looked.answer, Unanswered)
        check = attrs.evolve(check, uris=check.uris - {looked.resource_uri}, failed=failed)
        member = attrs.evolve(member, check=check)
        if check.uris:
            self._members.keep(member)
        elif not self._restraint.hold(rule, member):
            self._checked(rule, member, looked.at, decisions)

    def _checked(
        self, rule: IncidentRule, member: Member, now: float, decisions: Decisions
    ) -> None:
        """Go on when the look-ups have ended: an opening that cannot be verified opens."""
        failed = member.check is not None and member.check.failed
        member = attrs.evolve(member, check=None)
        standing = self._stand_now(rule, member, now)
        is_true = standing.answer is Answer.YES and not standing.is_excused
        if member.phase is not Phase.CLEARING and is_true:
            decisions.needs |= standing.needs
            if not self._restraint.withhold(rule, member, now):
                marks = (UNVERIFIED,) if failed or standing.is_guessed else ()
                self._open(rule, member, now, decisions, marks)
        elif member.phase is not Phase.CLEARING or standing.answer is Answer.YES:
            self.settle(rule, member.name, member.change, member, standing, now, decisions)
        elif failed:
            self._members.keep(attrs.evolve(member, due=now + CLEAR_AGAIN_SECONDS))
        else:
            self._entering.leave(rule, member, now, decisions)

    def _open(
        self,
        rule: IncidentRule,
        member: Member,
        now: float,
        decisions: Decisions,
        marks: tuple[str, ...] = (),
    ) -> None:
        member = self._entering.enter(rule, member, now, decisions, marks)
        if rule.form is RuleForm.EACH:
            # It may be well by now: what was counted is over then, if it stays so.
            self.look_again(rule, member, now, decisions)

    # -- closing

    def _clear(self, rule: IncidentRule, member: Member, now: float, decisions: Decisions) -> None:
        """End what was over for long enough, once that is verified."""
        ends = _gap_ends(rule, member)
        if ends is not None and ends > now:
            # It was held for another gap before this one.
            self._members.keep(attrs.evolve(member, due=ends))
        elif not (
            self._restraint.hold(rule, member)
            or self._restraint.verify(rule, member, now, decisions)
        ):
            self._checked(rule, member, now, decisions)


def _is_none(rule: IncidentRule, change: Change) -> bool:
    """Say at once of most that it is no member: of what has no name nobody could tell its end."""
    return not change.after.key[2] or rule.matcher.refuses(change)


def _gap_ends(rule: IncidentRule, member: Member) -> float | None:
    """Give when the gap that a member is in will be so long that it counts."""
    return None if member.gap_since is None else member.gap_since + rule.clear_for_seconds


def _is_over(rule: IncidentRule, member: Member, now: float) -> bool:
    """Say whether a member is in a gap that counts."""
    ends = _gap_ends(rule, member)
    return ends is not None and ends <= now
