"""The console: every notice is a line of the log."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from tutumwatch.notifiers.contract import NotifierKind, NotifierSettings, Pace
from tutumwatch.notifiers.outcomes import Delivered, Outcome
from tutumwatch.rules.notice import Notice

PACE = Pace(batch_count=100)


class ConsoleSettings(NotifierSettings, frozen=True, kw_only=True):
    """``kind = "console"``: nothing to set."""


@attrs.frozen
class Console:
    """Writes notices to the log that twistd was told to write."""

    _log = Logger()

    def send(self, batch: Sequence[Notice]) -> Deferred[Sequence[Outcome]]:
        """Write each notice; what was written counts as delivered."""
        for notice in batch:
            self._log.info("{text}", text=notice.text, rule=notice.rule)
        return succeed([Delivered()] * len(batch))


def escape_control(text: str) -> str:
    """Make a value harmless on a terminal: no escape sequences, no line of its own."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def make_console(settings: ConsoleSettings) -> Console:  # noqa: ARG001 - it has no settings of its own
    """Make a console notifier."""
    return Console()


KIND = NotifierKind("console", ConsoleSettings, make_console, escape_control, PACE)
