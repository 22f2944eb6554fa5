"""Says what is known to be said: unless the rule rests, and in a summary if it is one of too many.

What is not said is counted: that of a rest is told with the next thing that the rule says of the
resource, that of a storm with its summary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

import attrs

from tutumwatch.inventory.resource import Change, ChangeKind
from tutumwatch.rules.cooldowns import Cooldowns
from tutumwatch.rules.decisions import RecordName, WaitingRow
from tutumwatch.rules.gathered import Gathered
from tutumwatch.rules.messages import DETAILS_UNKNOWN, LATE, MessageRule
from tutumwatch.rules.notice import Destination, Notice
from tutumwatch.rules.records import Records
from tutumwatch.rules.storms import Storms
from tutumwatch.rules.summary import name_of, outcome_of
from tutumwatch.rules.view import View

IN_A_MINUTE = "more in a minute"


@attrs.frozen
class Utterance:
    """Something that a rule has to say: of which change, to whom, and after which wait."""

    rule: MessageRule
    change: Change
    view: View
    notifiers: tuple[str, ...]
    waited: WaitingRow | None = None

    def in_brief(self) -> str:
        """Say whom it is about, and what became of it."""
        return f"{name_of(self.view)} {outcome_of(self.view)}".rstrip()


@attrs.define
class Voice:
    """What message rules have said, as far as it keeps them from saying more.

    ``unrouted``: the last thing that nobody was told of, in words. ``records``: what has to be kept
    over a restart.
    """

    counts: Counter[str]
    records: Records = attrs.field(factory=Records, init=False)
    cooldowns: Cooldowns = attrs.field(init=False)
    storms: Storms = attrs.field(init=False)
    unrouted: str = ""

    def __attrs_post_init__(self) -> None:
        self.cooldowns = Cooldowns(self.records, self.counts)
        self.storms = Storms(self.records)

    def say(self, utterance: Utterance, storm_count: int, now: float) -> list[Notice]:
        """Write the notices, or keep the thing back.

        :param storm_count: how much a rule says singly in a minute; 0 is no limit.
        """
        more_count = self._admit(utterance, now)
        if more_count is None:
            return []
        rule = utterance.rule
        if not self.storms.admits(rule.name, storm_count, now):
            self.counts["storm"] += 1
            self.storms.gather(
                rule.name,
                utterance.notifiers,
                utterance.in_brief(),
                more_count,
                is_change=rule.change,
            )
            return []
        return rule.write(
            utterance.change, utterance.view, utterance.notifiers, utterance.waited, more_count
        )

    def say_late(
        self,
        utterances: Iterable[Utterance],
        listing_id: str,
        now: float,
        destinations: Mapping[str, Destination],
    ) -> list[Notice]:
        """Write one summary of much that one listing found."""
        gathered: Gathered | None = None
        marks: tuple[str, ...] = (LATE,)
        for utterance in utterances:
            more_count = self._admit(utterance, now)
            if more_count is None:
                continue
            if gathered is None:
                gathered = Gathered(utterance.rule.name, utterance.rule.change)
            gathered.add(utterance.notifiers, utterance.in_brief(), more_count)
            if utterance.waited is not None:
                marks = (LATE, DETAILS_UNKNOWN)
        return [] if gathered is None else gathered.write("", listing_id, now, destinations, marks)

    def tick(self, now: float, destinations: Mapping[str, Destination]) -> list[Notice]:
        """Write the summaries that are due."""
        return self._sum_up(self.storms.take_due(now), now, destinations)

    def begin(self, now: float) -> None:
        """Go on after a restart."""
        self.cooldowns.begin(now)
        self.storms.begin(now)

    def use(
        self, rules: Collection[str], now: float, destinations: Mapping[str, Destination]
    ) -> list[Notice]:
        """Forget all rules but these; what the others had gathered is said."""
        self.cooldowns.use(rules)
        return self._sum_up(self.storms.use(rules), now, destinations)

    def _admit(self, utterance: Utterance, now: float) -> int | None:
        """Give how much was kept back before it; None if it is to be kept back itself."""
        if not utterance.notifiers:
            self._miss(1, f"rule {utterance.rule.name!r}: {utterance.in_brief()}")
            return None
        change = utterance.change
        more_count = self.cooldowns.admit(
            utterance.rule.name,
            change.after.key,
            utterance.rule.cooldown_seconds,
            now,
            is_last=change.kind is ChangeKind.GONE,
        )
        if more_count is None:
            self.counts["cooldown"] += 1
        return more_count

    def _miss(self, count: int, what: str) -> None:
        self.counts["unrouted"] += count
        self.unrouted = what

    def _sum_up(
        self,
        ended: Iterator[tuple[float, Gathered]],
        now: float,
        destinations: Mapping[str, Destination],
    ) -> list[Notice]:
        notices: list[Notice] = []
        for began, gathered in ended:
            written = gathered.write(IN_A_MINUTE, f"storm/{began}", now, destinations)
            if not written:
                self._miss(
                    gathered.count, f"rule {gathered.rule!r}: a summary of {gathered.count} changes"
                )
            notices += written
        return notices

    # -- what is kept over a restart

    def restore(self, records: Mapping[RecordName, bytes]) -> int:
        """Begin with what was kept when we last ran.

        :return: how many records could not be read; they are forgotten.
        """
        return self.cooldowns.restore(records) + self.storms.restore(records)

    def save_everything(self) -> None:
        """Count all that is kept over a restart as changed: what was kept is lost."""
        self.cooldowns.save_everything()
        self.storms.save_everything()
