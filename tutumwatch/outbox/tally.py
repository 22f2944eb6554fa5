"""What becomes of deliveries: counted, and told to an operator once."""

from __future__ import annotations

from collections import Counter

import attrs
from twisted.logger import Logger

from tutumwatch.notifiers.outcomes import GiveUp, Outcome, Park, RetryLater
from tutumwatch.rules.notice import Notice


@attrs.define
class Tally:
    """Counts how one notifier's deliveries end, by the name of the outcome."""

    _notifier: str
    counts: Counter[str] = attrs.field(factory=Counter)
    _last_said: str = ""

    _log = Logger()

    def count(self, notice: Notice, outcome: Outcome) -> None:
        """Count an outcome; a notice that is given up is an error in the log."""
        self.counts[type(outcome).__name__] += 1
        if isinstance(outcome, GiveUp):
            self._log.error(
                "{notifier} gave up a notice of rule {rule} about {key} ({reason}): {said}",
                notifier=self._notifier,
                rule=notice.rule,
                key=notice.key,
                reason=outcome.reason.value,
                said=outcome.said,
            )

    def judge(self, failure: RetryLater | Park | None) -> None:
        """Warn once of what speaks against the destination; the same repeated is only counted."""
        said = "" if failure is None else f"{type(failure).__name__} {failure.reason.value}"
        if failure is not None and said != self._last_said:
            self._log.warn(
                "{notifier} does not take notices ({reason}): {said}",
                notifier=self._notifier,
                reason=failure.reason.value,
                said=failure.said,
            )
        self._last_said = said
