"""How a member goes on: quiet, excused, pending, open, clearing, quiet.

A gap shorter than ``clear_for`` does not restart ``for``; it does not close an incident either.
Before a member opens or closes its incident, its resource is looked up: what a stream told may be
old. No timer acts before its stream has caught up.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from tutumwatch.events.inputs import LOOK_UP_DEADLINE_SECONDS
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change
from tutumwatch.rules.decisions import Decisions, Need
from tutumwatch.rules.incident_rules import IncidentRule, RuleForm
from tutumwatch.rules.matchers import Answer
from tutumwatch.rules.members import Member, MemberName, Phase
from tutumwatch.rules.membership import Membership
from tutumwatch.rules.naming import incident_of
from tutumwatch.rules.silences import Silences
from tutumwatch.rules.standing import Judge, Standing
from tutumwatch.rules.tallies import Tallies
from tutumwatch.rules.telling import UNVERIFIED, Telling
from tutumwatch.rules.touching import present, touched
from tutumwatch.rules.verifying import Verifying
from tutumwatch.rules.view import View

# An end that could not be verified is tried again after this.
CLEAR_AGAIN_SECONDS = 30.0
DELETED = "was deleted"


@attrs.define
class Progress:
    """Takes members from one phase to the next; what that comes to is added to the decisions.

    ``on_open_or_close``: told of each rule of which an incident opened or closed.
    """

    _inventory: Inventory
    _members: Membership
    _judge: Judge
    _telling: Telling
    _tallies: Tallies
    _silences: Silences
    verifying: Verifying
    _on_open_or_close: Callable[[str], None]

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
                self.leave(rule, member, change.at, decisions, DELETED)
            return
        if member is None and rule.matcher.refuses(change):
            return
        standing = self._judge.stand(rule, change, member, change.at)
        is_counted = member is not None and rule.form is RuleForm.EACH
        told = member.change if member is not None and is_counted else change
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
        elif member is not None and member.phase is Phase.DISMISSED:
            return
        elif member is not None and member.phase.is_counted:
            self._members.keep(
                attrs.evolve(
                    member, phase=Phase.OPEN, change=change, gap_since=None, due=None, check=None
                )
            )
        else:
            member = member or self._join(rule, name, change, now)
            member = attrs.evolve(member, change=change)
            if standing.is_excused:
                self._becomes_excused(rule, member, standing, now)
            else:
                self._becomes_true(rule, member, now, decisions)

    def _becomes_true(
        self, rule: IncidentRule, member: Member, now: float, decisions: Decisions
    ) -> None:
        if member.phase is Phase.EXCUSED or _gap_seconds(member, now) >= rule.clear_for_seconds:
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

    def _join(self, rule: IncidentRule, name: MemberName, change: Change, now: float) -> Member:
        # Pending without a gap or a due time, which is as new as excused.
        return Member(
            name, incident_of(rule, name, change, self._inventory), Phase.EXCUSED, now, change
        )

    def _becomes_excused(
        self, rule: IncidentRule, member: Member, standing: Standing, now: float
    ) -> None:
        if member.phase is Phase.PENDING and rule.clear_for_seconds > 0:
            gap_since = now if member.gap_since is None else member.gap_since
            if gap_since + rule.clear_for_seconds > now:
                gap_ends = gap_since + rule.clear_for_seconds
                self._members.keep(
                    attrs.evolve(member, gap_since=gap_since, due=gap_ends, check=None)
                )
                return
        since = member.excused_since
        ends: float | None = None
        if standing.explained_by is not None:
            since = now if since is None else since
            # After that only an incident of its own explains it, whose end has it judged again.
            ends = since + rule.unless_max_seconds
        self._members.keep(
            attrs.evolve(
                member,
                phase=Phase.EXCUSED,
                gap_since=None,
                check=None,
                due=ends if ends is not None and ends > now else None,
                excused_since=since,
                excused_by=standing.explained_by or member.excused_by,
            )
        )

    def _becomes_false(
        self, rule: IncidentRule, member: Member, now: float, decisions: Decisions
    ) -> None:
        if member.phase in {Phase.EXCUSED, Phase.DISMISSED}:
            self.leave(rule, member, now, decisions)
        elif member.gap_since is None:
            phase = Phase.CLEARING if member.phase is Phase.OPEN else member.phase
            due = now + rule.clear_for_seconds
            member = attrs.evolve(member, phase=phase, gap_since=now, due=due, check=None)
            if due <= now:
                self._end_gap(rule, member, now, decisions)
            else:
                self._members.keep(member)

    # -- time

    def go_on(self, rule: IncidentRule, member: Member, now: float, decisions: Decisions) -> None:
        """Take a member on whose time has come."""
        if not self.verifying.may_act(rule, member):
            self._hold(member)
        elif member.check is not None:
            failed = attrs.evolve(member.check, uris=frozenset(), failed=True)
            self._checked(rule, attrs.evolve(member, check=failed), now, decisions)
        elif member.phase is Phase.CLEARING:
            self._end_gap(rule, member, now, decisions)
        else:
            self.look_again(rule, member, now, decisions)

    def look_again(
        self, rule: IncidentRule, member: Member, now: float, decisions: Decisions
    ) -> None:
        """Judge a member by what is known of its resource now."""
        change = present(self._inventory, member, now)
        standing = self._judge.stand(rule, change, member, now)
        if standing.answer is Answer.UNKNOWN and member.phase is Phase.PENDING:
            # Unknown changes nothing: it was true when it was known last.
            standing = Standing(Answer.YES, needs=standing.needs)
        gap_seconds = _gap_seconds(member, now)
        if standing.answer is Answer.NO and gap_seconds >= rule.clear_for_seconds:
            self.leave(rule, member, now, decisions)
        else:
            self.settle(rule, member.name, member.change, member, standing, now, decisions)

    # -- opening

    def _ripen(self, rule: IncidentRule, member: Member, now: float, decisions: Decisions) -> None:
        """Open an incident for a member that was true for long enough, once that is verified."""
        if not self.verifying.may_act(rule, member):
            self._hold(member)
        elif not self._withhold(rule, member, now) and not self._verify(
            rule, member, now, decisions
        ):
            self._open(rule, member, now, decisions)

    def _hold(self, member: Member) -> None:
        """Let a member wait until its stream is caught up."""
        self._members.keep(attrs.evolve(member, due=None))
        self.verifying.hold(member)

    def _withhold(self, rule: IncidentRule, member: Member, now: float) -> bool:
        """Keep a member from opening as long as a silence or a mute says so."""
        view = View(self._inventory, member.change)
        by = self._silences.withholding(rule.name, view, now)
        if by is None:
            return False
        due = self._silences.ends_at(by, now)
        self._members.keep(attrs.evolve(member, withheld_by=by, due=due, check=None))
        return True

    def _verify(self, rule: IncidentRule, member: Member, now: float, decisions: Decisions) -> bool:
        """Begin to look up what must be seen before going on; say whether there is any."""
        check = self.verifying.begin(rule, member)
        if check is None:
            return False
        decisions.needs |= {Need(member.stream, uri, fresh=True) for uri in check.uris}
        due = now + LOOK_UP_DEADLINE_SECONDS
        self._members.keep(attrs.evolve(member, check=check, due=due))
        return True

    def answered(
        self,
        rule: IncidentRule,
        member: Member,
        uri: str,
        now: float,
        decisions: Decisions,
        *,
        failed: bool,
    ) -> None:
        """Take in that one of the look-ups ended that a member waits for."""
        if member.check is None:
            return
        left = member.check.uris - {uri}
        check = attrs.evolve(member.check, uris=left, failed=member.check.failed or failed)
        member = attrs.evolve(member, check=check)
        if left:
            self._members.keep(member)
        else:
            self._checked(rule, member, now, decisions)

    def _checked(
        self, rule: IncidentRule, member: Member, now: float, decisions: Decisions
    ) -> None:
        """Go on when the look-ups have ended: an opening that cannot be verified opens."""
        failed = member.check is not None and member.check.failed
        member = attrs.evolve(member, check=None)
        standing = self._judge.stand(rule, present(self._inventory, member, now), member, now)
        decisions.needs |= standing.needs
        if member.phase is Phase.CLEARING:
            if failed:
                self._members.keep(attrs.evolve(member, due=now + CLEAR_AGAIN_SECONDS))
            elif standing.answer is Answer.YES:
                self.settle(rule, member.name, member.change, member, standing, now, decisions)
            else:
                self.leave(rule, member, now, decisions)
        elif standing.answer is Answer.NO or standing.is_excused:
            self.settle(rule, member.name, member.change, member, standing, now, decisions)
        elif not self._withhold(rule, member, now):
            self._open(rule, member, now, decisions, (UNVERIFIED,) if failed else ())

    def _open(
        self,
        rule: IncidentRule,
        member: Member,
        now: float,
        decisions: Decisions,
        marks: tuple[str, ...] = (),
    ) -> None:
        member = attrs.evolve(
            member, phase=Phase.OPEN, due=None, check=None, gap_since=None, withheld_by=None
        )
        self._members.keep(member)
        if self._telling.get(member.incident) is None:
            decisions.owed += self._telling.open(rule, member, now, marks)
        self._on_open_or_close(rule.name)
        if rule.form is RuleForm.EACH:
            # It may be well by now: what was counted is over then, if it stays so.
            self.look_again(rule, member, now, decisions)

    # -- closing

    def _end_gap(
        self, rule: IncidentRule, member: Member, now: float, decisions: Decisions
    ) -> None:
        """End what was over for long enough."""
        if member.phase is not Phase.CLEARING:
            self.leave(rule, member, now, decisions)
        elif not self.verifying.may_act(rule, member):
            self._hold(member)
        elif not self._verify(rule, member, now, decisions):
            self.leave(rule, member, now, decisions)

    def leave(
        self,
        rule: IncidentRule,
        member: Member,
        now: float,
        decisions: Decisions,
        why: str = "",
    ) -> None:
        """Forget a member; its incident is closed with the last that is counted."""
        self._members.forget(member.name)
        self._tallies.forget(member.name)
        incident = member.incident
        if self._telling.get(incident) is None:
            if member.is_orphan:
                decisions.owed += self._telling.resolve_orphan(rule, incident, member.change, now)
            return
        if any(other.phase.is_counted for other in self._members.of_incident(incident)):
            return
        marks = (why,) if why == DELETED else ()
        decisions.owed += self._telling.close(
            incident, now, rule=rule, change=self._last_change(member, now), marks=marks
        )
        self._on_open_or_close(rule.name)

    def _last_change(self, member: Member, now: float) -> Change:
        """Give what a resolve tells of: the resource as it is."""
        known = self._inventory.get(member.name[1])
        return member.change if known is None else touched(known, member.change.id, now)


def _gap_seconds(member: Member, now: float) -> float:
    return -1.0 if member.gap_since is None else now - member.gap_since
