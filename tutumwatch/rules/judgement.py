"""Whether a message rule has something to say of a change, and to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from tutumwatch.rules.decisions import Need
from tutumwatch.rules.matchers import Answer
from tutumwatch.rules.messages import MessageRule
from tutumwatch.rules.rule_set import RuleSet
from tutumwatch.rules.view import View

if TYPE_CHECKING:
    from tutumwatch.rules.silences import Silences

IGNORED, MUTED = "ignored", "muted"


@attrs.frozen
class Judgement:
    """What a message rule makes of a change.

    UNKNOWN: ``needs`` must be looked up to know, and ``notifiers`` are those that may be told.
    ``withheld``: what keeps it from being said although the rule matches, or may. ``failed``: why
    a condition could not be computed, which counts as one that is false.
    """

    answer: Answer
    notifiers: tuple[str, ...] = ()
    needs: frozenset[Need] = frozenset()
    withheld: str = ""
    failed: str = ""


def judge_message(
    rule: MessageRule,
    view: View,
    at: float,
    rules: RuleSet,
    silences: Silences,
    *,
    settled: bool = False,
) -> Judgement:
    """Judge a change under one rule.

    :param at: when it happened; silences and mutes are those of that time.
    :param settled: what is unknown will stay so. It is said then: silence would be worse.
    """
    verdict = rule.matcher.judge(view)
    failed = verdict.failed
    if verdict.answer is Answer.NO:
        return Judgement(Answer.NO, failed=failed)
    ignored = rules.ignores.judge(view)
    failed = failed or ignored.failed
    if ignored.answer is Answer.YES:
        return Judgement(Answer.NO, withheld=IGNORED, failed=failed)
    if silences.withholding(rule.name, view, at) is not None:
        return Judgement(Answer.NO, withheld=MUTED, failed=failed)
    routed = rules.routes.resolve(rule.audience, view, settled=settled)
    needs = verdict.needs | ignored.needs | routed.needs | rule.text_needs(view)
    answer = Answer.UNKNOWN if needs and not settled else Answer.YES
    return Judgement(answer, routed.notifiers, needs, failed=failed or routed.failed)
