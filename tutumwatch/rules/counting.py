"""Rules that count: what matched, for which resource, and what cannot be judged yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import attrs
from msgspec.structs import replace

from tutumwatch.events.inputs import LOOK_UP_DEADLINE_SECONDS, Looked, Unanswered
from tutumwatch.events.resource_uri import parse_resource_uri
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, ChangeKind, Key, Resource
from tutumwatch.inventory.timers import Timers
from tutumwatch.rules.decisions import Decisions, Need
from tutumwatch.rules.incident_rules import OF_EVENTS, IncidentRule, RuleForm
from tutumwatch.rules.matchers import Answer
from tutumwatch.rules.members import UNSETTLED, Unsettled, decode_unsettled, encode, record_of
from tutumwatch.rules.progress import Progress
from tutumwatch.rules.records import Records
from tutumwatch.rules.standing import Judge, Standing
from tutumwatch.rules.tallies import Tallies
from tutumwatch.rules.touching import touched
from tutumwatch.rules.view import ABSENT, Unknown, View

# Beyond this many changes that wait for a look-up, a further one is not counted.
UNSETTLED_MAX_COUNT = 20_000


@attrs.define
class Counting:
    """Counts what rules match, once it is known whether they do, and for which resource."""

    _inventory: Inventory
    _records: Records
    _tallies: Tallies
    _judge: Judge
    _progress: Progress
    counts: Counter[str]
    _unsettled: dict[str, Unsettled] = attrs.field(factory=dict)
    _by_need: dict[tuple[str, str], dict[str, None]] = attrs.field(factory=dict)
    _timers: Timers[str] = attrs.field(factory=Timers)

    def take(self, rule: IncidentRule, change: Change, decisions: Decisions) -> None:
        """Count a change, or wait for what has to be looked up first."""
        if rule.matcher.refuses(change) or _is_found_gone(change):
            return
        needs = self._count(rule, change, change.at, decisions)
        if not needs:
            return
        if len(self._unsettled) >= UNSETTLED_MAX_COUNT:
            self.counts["uncounted"] += 1
            return
        due = change.at + LOOK_UP_DEADLINE_SECONDS
        self._wait(Unsettled(f"{change.id}/{rule.name}", rule.name, change, due), needs)
        decisions.needs |= needs

    def _count(
        self, rule: IncidentRule, change: Change, now: float, decisions: Decisions
    ) -> frozenset[Need]:
        """Count a change if it matches; give what must be looked up to know that."""
        view = View(self._inventory, change)
        verdict = self._judge.matches(rule, view)
        if verdict.answer is Answer.UNKNOWN:
            return verdict.needs
        if verdict.answer is Answer.NO or self._was_counted(rule, change):
            return frozenset()
        if self._judge.is_ignored(rule, view):
            return frozenset()
        key = self._key_of(rule, change, view)
        if isinstance(key, Unknown):
            return frozenset({key.need})
        if self._tallies.count(rule, (rule.name, key), change.at):
            self._take_enough(rule, key, change, now, decisions)
        return frozenset()

    def _take_enough(
        self, rule: IncidentRule, key: Key, change: Change, now: float, decisions: Decisions
    ) -> None:
        """Take in that there were enough matches for a resource, which need not be known."""
        name = (rule.name, key)
        member = self._progress.member(name)
        standing = Standing(Answer.YES)
        if member is None or not member.phase.is_counted:
            counted = self._inventory.get(key) or Resource(key, "")
            present = touched(counted, change.id, now)
            standing = self._judge.stand(rule, present, member, now)
        self._progress.settle(rule, name, change, member, standing, now, decisions)
        settled = self._progress.member(name)
        if settled is not None and settled.phase.is_counted:
            # It may be well all the same: what was counted is over then, if it stays so.
            self._progress.look_again(rule, settled, now, decisions)

    def _was_counted(self, rule: IncidentRule, change: Change) -> bool:
        """Say whether the resource matched before this change: the same death is told twice."""
        if change.before is None or any(path[0] in OF_EVENTS for path in rule.matcher.paths):
            return False
        earlier = replace(change, after=change.before, before=None, kind=ChangeKind.SAME)
        return rule.matcher.judge(View(self._inventory, earlier)).answer is Answer.YES

    def _key_of(self, rule: IncidentRule, change: Change, view: View) -> Key | Unknown:
        """Give the resource that a rule counts for: the parent it names, or the changed one."""
        uri = view.uri_of(rule.per) if rule.per is not None else ABSENT
        if isinstance(uri, Unknown):
            return uri
        named = parse_resource_uri(uri) if isinstance(uri, str) else None
        return change.after.key if named is None else (change.after.stream, *named)

    def _wait(self, row: Unsettled, needs: frozenset[Need]) -> None:
        self._unsettled[row.id] = row
        self._timers.set(row.id, row.due)
        for need in needs:
            self._by_need.setdefault((need.stream, need.resource_uri), {})[row.id] = None
        self._records.put(record_of(UNSETTLED, row.id), encode(row))

    def _forget(self, row_id: str) -> None:
        del self._unsettled[row_id]
        self._timers.cancel(row_id)
        self._records.put(record_of(UNSETTLED, row_id), None)
        if not self._unsettled:
            self._by_need.clear()

    def _give_up(self, row_id: str) -> None:
        self._forget(row_id)
        self.counts["uncounted"] += 1

    def answer(
        self, looked: Looked, rules: Mapping[str, IncidentRule], decisions: Decisions
    ) -> None:
        """Count what waited for a look-up, or wait on for what is still not known."""
        for row_id in self._by_need.pop((looked.stream, looked.resource_uri), {}):
            row = self._unsettled.get(row_id)
            if row is None:
                continue
            if isinstance(looked.answer, Unanswered):
                self._give_up(row_id)
            else:
                self._try(row, rules, looked.at, decisions)

    def begin(self, rules: Mapping[str, IncidentRule], now: float, decisions: Decisions) -> None:
        """Wait anew, and ask again for what is waited for: after a restart, or a reload."""
        renamed = {rule.was: rule.name for rule in rules.values()}
        self._by_need.clear()
        for row in list(self._unsettled.values()):
            name = row.rule if row.rule in rules else renamed.get(row.rule, row.rule)
            due = now + LOOK_UP_DEADLINE_SECONDS
            self._try(attrs.evolve(row, rule=name, due=due), rules, now, decisions)

    def _try(
        self,
        row: Unsettled,
        rules: Mapping[str, IncidentRule],
        now: float,
        decisions: Decisions,
    ) -> None:
        rule = rules.get(row.rule)
        needs = frozenset[Need]()
        if rule is not None and rule.form is RuleForm.EACH:
            needs = self._count(rule, row.change, now, decisions)
        if needs:
            self._wait(row, needs)
            decisions.needs |= needs
        else:
            self._forget(row.id)

    def tick(self, now: float) -> None:
        """Give up what nobody could tell in time: it is not counted."""
        for row_id in self._timers.take_due(now):
            self._give_up(row_id)

    def next_due(self) -> float | None:
        """Give when the first is given up."""
        return self._timers.next_due()

    def restore(self, record: bytes) -> None:
        """Go on waiting; see :meth:`begin`.

        :raises MsgspecError: if it cannot be read.
        """
        row = decode_unsettled(record)
        self._unsettled[row.id] = row
        self._timers.set(row.id, row.due)

    def save_everything(self) -> None:
        """Record everything again."""
        for row in self._unsettled.values():
            self._records.put(record_of(UNSETTLED, row.id), encode(row))


def _is_found_gone(change: Change) -> bool:
    """Say whether nobody saw how it ended: a listing or a look-up only found that it is gone."""
    return change.kind is ChangeKind.GONE and not change.action
