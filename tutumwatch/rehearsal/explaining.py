"""Says of each rule what it makes of an event, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import attrs

from tutumwatch.inventory.resource import Change
from tutumwatch.inventory.survey import in_words
from tutumwatch.rehearsal.trying import Trial
from tutumwatch.rules.decider import Decider
from tutumwatch.rules.decisions import Need
from tutumwatch.rules.incident_rules import IncidentRule, RuleForm
from tutumwatch.rules.judgement import IGNORED, judge_message
from tutumwatch.rules.matchers import Answer, Matcher
from tutumwatch.rules.members import TALLY, Member, Phase, decode_tally
from tutumwatch.rules.messages import MessageRule, render_or_say
from tutumwatch.rules.notice import Notice
from tutumwatch.rules.patterns import quoted
from tutumwatch.rules.view import TYPE, View


@attrs.frozen
class Explained:
    """What a rule makes of an event, in words; then what it says, or would say, to whom."""

    rule: str
    verdict: str
    reasons: tuple[str, ...] = ()
    texts: tuple[tuple[str, str], ...] = ()


def explain(decider: Decider, trial: Trial) -> Iterator[Explained]:
    """Explain what every rule makes of an event that was taken."""
    assert trial.change is not None  # noqa: S101 - only what was taken is explained
    explaining = _Explaining(decider, trial, trial.change)
    for rule in decider.rules.messages:
        yield explaining.message(rule)
    for incident_rule in decider.rules.incidents:
        yield explaining.incident(incident_rule)


@attrs.define
class _Explaining:
    """Explains one event."""

    _decider: Decider
    _trial: Trial
    _change: Change

    # -- messages

    def message(self, rule: MessageRule) -> Explained:
        decider, change = self._decider, self._change
        view = rule.view(decider.inventory, change)
        reasons = _reasons(rule.matcher, view)
        rules, silences = decider.rules, decider.silences
        judgement = judge_message(rule, view, change.at, rules, silences)
        if judgement.withheld == IGNORED:
            return Explained(rule.name, "ignored", (str(rules.ignores.explain(view)),))
        if judgement.withheld:
            by = silences.withholding(rule.name, view, change.at)
            return Explained(rule.name, f"withheld by {by}")
        if judgement.answer is Answer.NO:
            return Explained(rule.name, "no", reasons)
        said = self._said(rule.name)
        if judgement.answer is Answer.UNKNOWN and not said:
            more = self._doubts(rule, view)
            texts = tuple(
                (n, render_or_say(rule.texts[n], view, change)) for n in judgement.notifiers
            )
            return Explained(rule.name, "waits for look-ups", (*reasons, *more), texts)
        if said:
            return Explained(rule.name, "yes", (), said)
        if not judgement.notifiers:
            return Explained(rule.name, "yes, and nobody is told: no notifier is on for it")
        if rule.cooldown_seconds:
            return Explained(
                rule.name,
                "yes, and it rests: it spoke of this a moment ago",
                (f"cooldown is {in_words(rule.cooldown_seconds)}",),
            )
        return Explained(rule.name, "yes, and it is kept for a summary: there are too many")

    def _doubts(self, rule: MessageRule, view: View) -> Iterator[str]:
        """Say what else would be looked up: of what is ignored, whom to tell, and what to say."""
        ignores, routes = self._decider.rules.ignores, self._decider.rules.routes
        if ignores.judge(view).answer is Answer.UNKNOWN:
            yield str(ignores.explain(view))
        yield from _look_ups("who is told", routes.resolve(rule.audience, view).needs)
        yield from _look_ups("its text", rule.text_needs(view))

    # -- incidents

    def incident(self, rule: IncidentRule) -> Explained:
        view = View(self._decider.inventory, self._change)
        verdict = rule.matcher.judge(view)
        reasons = _reasons(rule.matcher, view)
        said = self._said(rule.name)
        member = self._member(rule)
        if member is not None:
            return self._of_member(rule, member, reasons, said)
        ignores = self._decider.rules.ignores
        if verdict.answer is Answer.YES and ignores.judge(view).answer is Answer.YES:
            return Explained(rule.name, "ignored", (str(ignores.explain(view)),))
        if said:
            return Explained(rule.name, "over", reasons, said)
        if verdict.answer is Answer.UNKNOWN:
            return Explained(rule.name, "not known, which changes nothing", reasons)
        if verdict.answer is Answer.NO:
            return Explained(rule.name, "no", reasons)
        match rule.form:
            case RuleForm.EACH:
                return Explained(rule.name, self._counted(rule))
            case RuleForm.ABSENT:
                return Explained(rule.name, "no", ("it is there",))
            case _:
                return Explained(rule.name, "no", ("it is gone",))

    def _member(self, rule: IncidentRule) -> Member | None:
        """Find the member that an event is about: its resource, or what its rule counts by."""
        after = self._change.after
        keys = {after.key, *after.parent_keys()} if rule.per else {after.key}
        found = (m for m in self._decider.incidents.members() if m.name[0] == rule.name)
        return next((m for m in found if m.name[1] in keys or rule.form is RuleForm.ABSENT), None)

    def _of_member(
        self,
        rule: IncidentRule,
        member: Member,
        reasons: Sequence[str],
        said: tuple[tuple[str, str], ...],
    ) -> Explained:
        match member.phase:
            case Phase.PENDING if member.withheld_by is not None:
                return Explained(rule.name, f"true, and withheld by {member.withheld_by}")
            case Phase.PENDING:
                return self._pending(rule, member, reasons)
            case Phase.EXCUSED if member.excused_by is not None:
                return Explained(rule.name, f"true, and explained by {member.excused_by[1]!r}")
            case Phase.EXCUSED:
                return Explained(rule.name, "true, and excused by its unless")
            case Phase.DISMISSED:
                what = "true, and closed by hand: it stays closed until it is over once"
                return Explained(rule.name, what)
            case Phase.CLEARING:
                left = in_words(max(0.0, (member.due or self._trial.at) - self._trial.at))
                verdict = f"{'opens' if said else 'open'}; it closes in {left} if that lasts"
                return Explained(rule.name, verdict, tuple(reasons), said)
            case _:
                return Explained(rule.name, "opens" if said else "open already", (), said)

    def _pending(self, rule: IncidentRule, member: Member, reasons: Sequence[str]) -> Explained:
        at = self._trial.at
        if member.gap_since is not None:
            left = in_words(max(0.0, (member.due or at) - at))
            return Explained(rule.name, f"not any more; forgotten in {left}", tuple(reasons))
        texts = tuple(self._texts(rule, member))
        if member.check is not None:
            needs = (Need(member.stream, uri) for uri in member.check.uris)
            verdict = "true; it opens once that is verified"
            return Explained(rule.name, verdict, tuple(_look_ups("that", needs)), texts)
        left = in_words(max(0.0, (member.due or at) - at))
        return Explained(rule.name, f"true; it opens in {left} if it stays so", (), texts)

    def _texts(self, rule: IncidentRule, member: Member) -> Iterator[tuple[str, str]]:
        view = View(self._decider.inventory, member.change)
        routed = self._decider.rules.routes.resolve(rule.audience, view, settled=True)
        for notifier in routed.notifiers:
            if notifier in rule.texts:
                yield notifier, render_or_say(rule.texts[notifier], view, member.change)

    def _counted(self, rule: IncidentRule) -> str:
        """Say how many there are by now of what a rule counts."""
        for (kind, _), record in self._trial.records.items():
            if kind == TALLY and record is not None:
                tally = decode_tally(record)
                if tally.name[0] == rule.name:
                    count, within = len(tally.times), in_words(rule.within_seconds)
                    return f"counted: {count} of {rule.times} within {within}"
        return "matched, and not counted: it matched before, or waits for a look-up"

    def _said(self, rule: str) -> tuple[tuple[str, str], ...]:
        return tuple(map(_destined, (n for n in self._trial.said if n.rule == rule)))


def _reasons(matcher: Matcher, view: View) -> tuple[str, ...]:
    """Say why a rule does not match; of one that is about other types only that."""
    type_ = str(view.value(TYPE))
    if matcher.types is None or matcher.may_match(type_):
        return tuple(matcher.explain(view))
    return (f"type is {quoted(type_)}, not {' or '.join(map(quoted, sorted(matcher.types)))}",)


def _destined(notice: Notice) -> tuple[str, str]:
    form = "" if notice.form.value == "message" else f" ({notice.form.value})"
    return f"{notice.notifier}{form}", notice.text


def _look_ups(what: str, needs: Iterable[Need]) -> Iterator[str]:
    uris = sorted(need.resource_uri for need in needs)
    yield from (f"{what} depends on {uri}: would look it up" for uri in uris)
