"""When message rules speak: at once, after a look-up, of many things together, or not at all.

Of what a rule matches nothing is said that is ignored, or withheld by a silence or a mute. What is
left goes to whom its routes name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs
from msgspec.structs import replace

from tutumwatch.events.inputs import LOOK_UP_DEADLINE_SECONDS, Looked
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change
from tutumwatch.rules.decisions import Decisions, RecordName, Settled, WaitingRow
from tutumwatch.rules.index import RuleIndex
from tutumwatch.rules.judgement import Judgement, judge_message
from tutumwatch.rules.matchers import Answer
from tutumwatch.rules.messages import MessageRule
from tutumwatch.rules.notice import Notice
from tutumwatch.rules.records import Records
from tutumwatch.rules.rejecting import Reject, count_nothing, describe_problem
from tutumwatch.rules.rule_set import RuleSet
from tutumwatch.rules.view import View
from tutumwatch.rules.voice import Utterance, Voice
from tutumwatch.rules.waiting import Waiting

if TYPE_CHECKING:
    from tutumwatch.rules.silences import Silences

# More late changes than this of one rule, found by one listing, become one summary.
LATE_SINGLY_COUNT = 3


@attrs.define
class Speaking:
    """Every message rule, and what waits to be said.

    ``reject`` is told what could not be decided: why, and of which rule and change; whoever counts
    that sets it.
    """

    _inventory: Inventory
    _rules: RuleSet
    _silences: Silences
    waiting: Waiting = attrs.field(factory=Waiting)
    counts: Counter[str] = attrs.field(factory=Counter)
    reject: Reject = count_nothing
    _index: RuleIndex[MessageRule] = attrs.field(init=False)
    _voice: Voice = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._index = RuleIndex(self._rules.messages)
        self._voice = Voice(self.counts)

    @property
    def unrouted(self) -> str:
        """The last thing that nobody was told of, in words; empty if there was none."""
        return self._voice.unrouted

    # -- what is heard

    def hear(self, change: Change, decisions: Decisions, number: int) -> None:
        """Say what there is to say of a change; a rule that raises silences no other.

        :param number: that of the last message.
        """
        for rule in self._index.rules_for(change):
            self._hear(rule, change, decisions, number)

    def hear_late(
        self, changes: Sequence[Change], listing_id: str, decisions: Decisions, number: int
    ) -> None:
        """Say of each change that a listing found, or of all together, what a rule has to say."""
        late: dict[str, list[Change]] = {}
        for change in changes:
            for rule in self._index.rules_for(change):
                late.setdefault(rule.name, []).append(replace(change, late=True))
        for name, rule in self._index.by_name.items():
            if name in late:
                self._hear_late(rule, late[name], listing_id, decisions, number)

    def answer(self, looked: Looked, decisions: Decisions) -> None:
        """Go on with what waited for a look-up."""
        for row in self.waiting.answer(looked):
            self._go_on(row, looked.at, decisions)

    def tick(self, now: float, decisions: Decisions) -> None:
        """Go on with what waited long enough, and say the summaries that are due."""
        for row in self.waiting.due(now):
            self._go_on(row, now, decisions)
        decisions.owed += self._voice.tick(now, self._rules.destinations)

    def next_due(self) -> float | None:
        """Give the earliest time at which :meth:`tick` would say something."""
        times = (self.waiting.next_due(), self._voice.storms.next_due())
        return min((t for t in times if t is not None), default=None)

    # -- restarts and reloads

    def restore(self, records: Mapping[RecordName, bytes], waiting: Iterable[WaitingRow]) -> int:
        """Begin with what was kept when we last ran; :meth:`begin` comes next.

        :return: how many records could not be read; they are forgotten.
        """
        for row in sorted(waiting, key=lambda row: (row.number, row.id)):
            self.waiting.add(row)
        return self._voice.restore(records)

    def begin(self, at: float, decisions: Decisions) -> None:
        """Go on after a restart: what waits, waits anew; that of rules that are gone is settled."""
        self._voice.begin(at)
        self._leave_the_gone(at, decisions)
        for row in self.waiting:
            # What was learned meanwhile is not asked for again.
            self._go_on(attrs.evolve(row, due=at + LOOK_UP_DEADLINE_SECONDS), at, decisions)

    def use(self, rules: RuleSet, at: float, decisions: Decisions) -> None:
        """Go on with other rules; what is kept of those that are still there stays."""
        self._rules = rules
        self._index = RuleIndex(rules.messages)
        self._leave_the_gone(at, decisions)

    @property
    def records(self) -> Records:
        """What has to be kept over a restart."""
        return self._voice.records

    def save_everything(self) -> None:
        """Count all that is kept over a restart as changed: what was kept is lost."""
        self._voice.save_everything()

    def _leave_the_gone(self, at: float, decisions: Decisions) -> None:
        """End what rules began that are not there any more."""
        for row in self.waiting:
            if row.rule not in self._index.by_name:
                self.waiting.remove(row)
                decisions.owed.append(Settled(row.id, ()))
        names, destinations = self._index.by_name.keys(), self._rules.destinations
        decisions.owed += self._voice.use(names, at, destinations)

    # -- one rule and one change

    def _judge(
        self, rule: MessageRule, change: Change, view: View, *, settled: bool = False
    ) -> Judgement:
        rules, silences = self._rules, self._silences
        judgement = judge_message(rule, view, change.at, rules, silences, settled=settled)
        if judgement.failed:
            self._reject(rule.name, change, judgement.failed)
        if judgement.withheld:
            self.counts[judgement.withheld] += 1
        return judgement

    def _hear(self, rule: MessageRule, change: Change, decisions: Decisions, number: int) -> None:
        try:
            if rule.matcher.refuses_more(change):
                return
            view = rule.view(self._inventory, change)
            judgement = self._judge(rule, change, view)
            if judgement.answer is Answer.UNKNOWN:
                self._wait(rule, change, judgement, decisions, number)
            elif judgement.answer is Answer.YES:
                utterance = Utterance(rule, change, view, judgement.notifiers)
                decisions.owed += self._voice.say(utterance, self._rules.storm_count, change.at)
        except Exception as problem:  # noqa: BLE001 - a rejected one for this rule alone
            self._reject(rule.name, change, problem)

    def _hear_late(
        self,
        rule: MessageRule,
        changes: Sequence[Change],
        listing_id: str,
        decisions: Decisions,
        number: int,
    ) -> None:
        """Say much at once if it is much; what is not known then is not looked up."""
        utterances: list[Utterance] = []
        for change in changes:
            try:
                view = rule.view(self._inventory, change)
                judgement = self._judge(rule, change, view)
                waited = None
                if judgement.answer is Answer.UNKNOWN:
                    row = rule.wait(change, judgement.notifiers, judgement.needs, number)
                    waited = row.without(judgement.needs)
                    judgement = self._judge(rule, change, view, settled=True)
                if judgement.answer is Answer.YES:
                    utterances.append(Utterance(rule, change, view, judgement.notifiers, waited))
            except Exception as problem:  # noqa: BLE001 - as above
                self._reject(rule.name, change, problem)
        if len(utterances) > LATE_SINGLY_COUNT:
            at, destinations = changes[-1].at, self._rules.destinations
            decisions.owed += self._voice.say_late(utterances, listing_id, at, destinations)
            return
        for utterance in utterances:
            self._hear(rule, utterance.change, decisions, number)

    def _wait(
        self,
        rule: MessageRule,
        change: Change,
        judgement: Judgement,
        decisions: Decisions,
        number: int,
    ) -> None:
        row = rule.wait(change, judgement.notifiers, judgement.needs, number)
        decisions.owed.append(row)
        if self.waiting.is_full:
            self._go_on(row.without(row.needs), change.at, decisions)
        else:
            self.waiting.add(row)
            decisions.needs |= row.needs

    def _go_on(self, row: WaitingRow, now: float, decisions: Decisions) -> None:
        """Judge a row again: it waits on for what it has learned to need, or is settled.

        Whom only its look-ups showed to be told has no place kept, and is told behind what came
        for him meanwhile.
        """
        self.waiting.remove(row)
        notices: list[Notice] = []
        try:
            rule = self._index.by_name[row.rule]
            view = rule.view(self._inventory, row.change, row)
            judgement = self._judge(rule, row.change, view)
            needs = frozenset(n for n in judgement.needs if n.resource_uri not in row.answered)
            if needs and not row.failed:
                self.waiting.add(attrs.evolve(row, needs=needs))
                decisions.needs |= needs
                return
            waited = row.without(judgement.needs)
            if judgement.answer is Answer.UNKNOWN:
                judgement = self._judge(rule, row.change, view, settled=True)
            if judgement.answer is Answer.YES:
                utterance = Utterance(rule, row.change, view, judgement.notifiers, waited)
                notices = self._voice.say(utterance, self._rules.storm_count, now)
        except Exception as problem:  # noqa: BLE001 - a row that nobody settles blocks its lane
            self._reject(row.rule, row.change, problem)
        placed = tuple(notice for notice in notices if notice.notifier in row.notifiers)
        decisions.owed.append(Settled(row.id, placed))
        decisions.owed += (notice for notice in notices if notice not in placed)

    def _reject(self, rule: str, change: Change, problem: Exception | str) -> None:
        if isinstance(problem, Exception):
            problem = describe_problem(problem)
        self.reject(problem, f"rule {rule!r}: {change.id}".encode())
