"""Tests that docs/operating.md shows what the commands print."""

from __future__ import annotations

import re
import shlex
import time

import attrs
from click.testing import CliRunner

from tests.cli.test_outbox import ChangingTestCase
from tests.config.cases import set_environment
from tests.live.programs import ROOT
from tests.outbox.cases import notice
from tests.status.test_health import health
from tutumwatch import __version__
from tutumwatch.cli.main import cli
from tutumwatch.control.wire import AskDrop, AskRetry, Fate, Question, Reply
from tutumwatch.notifiers.outcomes import GiveUp, Reason
from tutumwatch.rules.notice import Form, Severity

OPERATING = ROOT / "docs/operating.md"
SHOWN_STORE = "/var/lib/tutumwatch/outbox.sqlite"
_BLOCK = re.compile(r"(?m)^    \$ tutumwatch (.*)\n((?:    .*\n)*)")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def examples() -> list[tuple[str, str]]:
    """Give each command line of the document, and what it shows below."""
    text = OPERATING.read_text("utf-8")
    return [(command, re.sub(r"(?m)^    ", "", shown)) for command, shown in _BLOCK.findall(text)]


class OperatingTests(ChangingTestCase):
    """Each example is run, on a store as the document tells of it."""

    def setUp(self) -> None:
        """Owe 1, 3 and 4 to Slack; let PagerDuty have refused 2."""
        super().setUp()
        self.execute("DELETE FROM deliveries")
        self.store = self.open()
        page = notice(
            "no events arrive: the stream is disconnected",
            "stream down/main",
            Form.TRIGGER,
            "pagerduty",
            rule="stream down",
            at=time.time() - 7_500,
        )
        page = attrs.evolve(page, severity=Severity.CRITICAL, details={"state": "Disconnected"})
        self.owe(
            notice("a", notifier="slack"),
            page,
            notice("b", notifier="slack"),
            notice("c", notifier="slack"),
        )
        self.result_of(self.store.begin([2]))
        self.result_of(self.store.finish({2: GiveUp(Reason.CLIENT, "400 invalid event")}, {}))

    def answer(self, question: Question) -> Reply:
        """Answer as the watcher of the document does."""
        match question:
            case AskRetry(ids=ids):
                became = "dropped: its incident is closed"
            case AskDrop(ids=ids):
                became = "dropped"
            case _:
                return Reply(
                    status=health(
                        version=__version__,
                        notifiers={
                            "console": {"state": "Delivering", "reason": "", "waiting": 0},
                            "slack": {
                                "state": "Refused",
                                "reason": "credential refused: 404 no_service",
                                "waiting": 3,
                            },
                        },
                        open_incidents=["a notifier fails: a notifier fails/notifier/slack"],
                        counts={"events": 1042, "delivered": 57, "dead_letters": 1},
                    ).to_object()
                )
        return Reply(fates=tuple(Fate(row_id, became, done=True) for row_id in ids))

    def test_every_example(self) -> None:
        # Those of silences have a watcher of their own (tests/cli/test_operating_silences.py).
        found = [one for one in examples() if not one[0].startswith("silence ")]
        self.assertEqual(len(found), 6)
        is_running = False
        set_environment(self, {"HOME": "/nonexistent", "TUTUMWATCH_STORE": self.path})
        # The one that tells of a watcher that does not run comes before there is one.
        for command, shown in sorted(found, key=lambda one: "no watcher runs" not in one[1]):
            if "no watcher runs" not in shown and not is_running:
                is_running = True
                self.listen(self.answer)
            result = CliRunner().invoke(cli, shlex.split(command))
            printed = result.output.replace(self.path, SHOWN_STORE)
            self.assertEqual(_MOMENT.sub("AT", printed), _MOMENT.sub("AT", shown), command)
