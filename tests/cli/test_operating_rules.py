"""Tests that docs/operating.md shows what ``check``, ``explain`` and ``incidents`` print."""

from __future__ import annotations

import os
import re
import shlex
import time
from pathlib import Path

import attrs
from click.testing import CliRunner

from tests.cli.test_incidents import IncidentsTestCase
from tests.cli.test_operating import OPERATING
from tests.config.cases import CREDENTIALS, set_environment
from tutumwatch.cli.main import cli
from tutumwatch.control.wire import AskResolve, NamedFate, Question, Reply
from tutumwatch.inventory.resource import Resource, change_of
from tutumwatch.rules.members import Member, OpenIncident, Phase

_BLOCK = re.compile(r"(?ms)^```(\w+)\n(.*?)^```$")
# What follows a command, up to the next one.
_EXAMPLE = re.compile(r"(?ms)^\$ tutumwatch ([^\n]*)\n(.*?)(?=^\$ |\Z)")
NODE_LOST = "node lost/main/node/n2"
UNTIL = 1_795_701_600.0  # 2026-11-26T14:00:00Z
CLOSED = "closed: node lost: node n2, open since 2026-11-26T10:00:00Z, told to pagerduty, slack"


def blocks(language: str) -> list[str]:
    """Give the blocks of a language in the document."""
    return [text for name, text in _BLOCK.findall(OPERATING.read_text("utf-8")) if name == language]


class OperatingRulesTests(IncidentsTestCase):
    """Each example is run, with the files that the document shows."""

    def setUp(self) -> None:
        """Write the files, go where they are, and have the watcher of the document."""
        super().setUp()
        (configuration,) = [text for text in blocks("toml") if "a deploy is news" in text]
        (events,) = [text for text in blocks("json") if '"Redeploying"' in text]
        folder = Path(self.folder)
        (folder / "watch.toml").write_text(configuration, encoding="utf-8")
        (folder / "events.ndjson").write_text(events, encoding="utf-8")
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(folder)
        set_environment(
            self, {"HOME": str(folder / "home"), "TUTUMWATCH_STORE": self.path, **CREDENTIALS}
        )

    def run_examples(self, command: str) -> int:
        """Run every example of a command; say how many there are."""
        count = 0
        for line, shown in (
            found for block in blocks("console") for found in _EXAMPLE.findall(block)
        ):
            if line.split()[0] == command:
                count += 1
                printed = CliRunner().invoke(cli, shlex.split(line)).output
                self.assertIn(shown.rstrip(), printed, printed)
        return count

    def test_check(self) -> None:
        self.assertEqual(self.run_examples("check"), 3)

    def test_explain(self) -> None:
        self.assertEqual(self.run_examples("explain"), 2)

    def test_incidents(self) -> None:
        now = time.time()

        def kept(rule: str, type_: str, uuid: str, name: str, phase: Phase, since: float) -> Member:
            of = Resource(("main", type_, uuid), f"/api/v1/{type_}/{uuid}/", name)
            key = f"{rule}/main/{type_}/{name}"
            return Member((rule, of.key), (rule, key), phase, since, change_of("c", None, of))

        down = "service down"
        lost = kept("node lost", "node", "n2", "n2", Phase.OPEN, now - 7_500)
        web = kept(down, "service", "w1", "web", Phase.PENDING, now - 60)
        api = kept(down, "service", "w2", "api", Phase.PENDING, now - 30)
        db = kept(down, "service", "w3", "db", Phase.EXCUSED, now - 10)
        self.keep(
            OpenIncident(lost.incident, now - 7_500, ("pagerduty", "slack"), NODE_LOST),
            lost,
            attrs.evolve(web, due=now + 60.9),
            attrs.evolve(api, withheld_by="5eaf00", due=UNTIL),
            attrs.evolve(db, excused_by=lost.incident),
        )

        def answer(question: Question) -> Reply:
            if isinstance(question, AskResolve):
                return Reply(named_fates=(NamedFate(question.key, CLOSED, done=True),))
            return Reply(status={"ok": True})

        self.listen(answer)
        self.assertEqual(self.run_examples("incidents"), 2)
