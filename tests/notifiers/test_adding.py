"""Tests that docs/adding-a-notifier.md shows what is there, and says what is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from tests.notifiers.cases import answer
from tutumwatch.notifiers import outcomes
from tutumwatch.notifiers.outcomes import Delivered, GiveUp, Outcome, Park, RetryLater
from tutumwatch.notifiers.statuses import judge_status

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "tests" / "thirdparty" / "acme-chat"
ADDING = (ROOT / "docs/adding-a-notifier.md").read_text("utf-8")
_BLOCK = re.compile(r"```(python|toml)\n(.*?)```", re.DOTALL)


def lines_of(text: str) -> list[str]:
    """Give the lines that are not empty: between the pieces of a file there is prose."""
    return [line for line in text.splitlines() if line]


class AddingTests(SynchronousTestCase):
    """Whoever copies the document's code has the package that the tests install."""

    blocks: ClassVar[list[str]] = [text for _, text in _BLOCK.findall(ADDING)]

    def test_the_module_is_shown_whole_and_in_order(self) -> None:
        module = (PACKAGE / "acme_chat.py").read_text("utf-8")
        self.assertEqual(lines_of("".join(self.blocks[:5])), lines_of(module))

    def test_every_other_block_is_a_piece_of_a_file(self) -> None:
        names = ("twisted/plugins/acme_chat_plugin.py", "pyproject.toml", "acme_chat_tests.py")
        self.assertEqual(len(self.blocks), 5 + len(names))
        for name, block in zip(names, self.blocks[5:], strict=True):
            self.assertIn(block, (PACKAGE / name).read_text("utf-8"), name)

    def test_every_outcome_is_in_the_table(self) -> None:
        told = set(re.findall(r"^\| `(\w+)\(", ADDING, re.MULTILINE))
        self.assertEqual(told, {kind.__name__ for kind in Outcome.__args__})
        self.assertTrue(told <= set(vars(outcomes)))

    def test_what_is_said_of_statuses(self) -> None:
        said = (
            (Delivered, (200, 202)),
            (RetryLater, (429, 500, 503)),
            (Park, (401, 403, 404)),
            (GiveUp, (400, 413, 422)),
        )
        for kind, statuses in said:
            for status in statuses:
                self.assertIsInstance(judge_status(answer(status)), kind)

    def test_what_it_links_to_is_there(self) -> None:
        links = re.findall(r"\]\(([^)]+)\)", ADDING)
        self.assertGreater(len(links), 3)
        for link in links:
            self.assertTrue((ROOT / "docs" / link).exists(), link)
