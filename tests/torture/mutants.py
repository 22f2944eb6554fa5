"""Breaks each promise on purpose, in a copy of the tree, to see that the suite notices.

``python -m tests.torture.mutants``: every mutant must make a test fail, and the tree as it is must
pass. A mutant that no longer fits the source is an error: it would prove nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs

ROOT = Path(__file__).resolve().parent.parent.parent
COPIED = ("tutumwatch", "tests", "twisted", "pyproject.toml", "setup.cfg")
TESTS = ("tests/torture/test_promises.py",)
TESTS_MAX_SECONDS = 120.0
TREES_AT_ONCE_COUNT = 2
# How pytest ends when tests failed; anything else but 0 is no verdict.
FAILED = 1

_FAILED_TEST = re.compile(r"^FAILED \S+::(?P<name>\w+)", re.MULTILINE)


class MutantError(Exception):
    """A mutant proves nothing; says why."""


@attrs.frozen
class Change:
    """A piece of a file that stands in it exactly once, and what takes its place."""

    path: str
    old: str
    new: str

    def changed(self, text: str) -> str:
        """Give the text of the file with the piece changed.

        :raises MutantError: if the piece is not there, or is there more than once.
        """
        if text.count(self.old) != 1:
            raise MutantError(f"{self.path} has {text.count(self.old)} times:\n{self.old}")
        return text.replace(self.old, self.new)


def apply(changes: Iterable[Change], root: Path) -> None:
    """Change the files below a folder.

    :raises MutantError: as :meth:`Change.changed`.
    """
    for change in changes:
        file = root / change.path
        file.write_text(change.changed(file.read_text("utf-8")), "utf-8")


@attrs.frozen
class Mutant:
    """A promise that is broken, and how."""

    name: str
    changes: tuple[Change, ...]


ROWS = "tutumwatch/outbox/sqlite/rows.py"
TAKING_BACK = "tutumwatch/outbox/sqlite/heads.py"
STORE = "tutumwatch/outbox/sqlite/store.py"
WRITER = "tutumwatch/outbox/sqlite/writer.py"
JOURNAL = "tutumwatch/outbox/sqlite/journal.py"
MUTANTS = (
    Mutant(
        "no mark before the request",
        (
            Change(ROWS, "SET state = 2, attempts", "SET state = 1, attempts"),
            Change(
                ROWS,
                '"SELECT notifier, key FROM deliveries WHERE id = ? AND state = 2"',
                '"SELECT notifier, key FROM deliveries WHERE id = ? AND state = 1"',
            ),
            Change(
                ROWS,
                '" WHERE id = ? AND state = 2 RETURNING key',
                '" WHERE id = ? AND state = 1 RETURNING key',
            ),
        ),
    ),
    Mutant(
        "commit after the request",
        (
            Change(WRITER, '            connection.execute("COMMIT")\n', ""),
            Change(
                WRITER,
                '            connection.execute("BEGIN IMMEDIATE")\n',
                "            if connection.in_transaction:\n"
                '                connection.execute("COMMIT")\n'
                '            connection.execute("BEGIN IMMEDIATE")\n',
            ),
        ),
    ),
    Mutant(
        "lane ignored",
        (
            Change(
                ROWS,
                "        self._connection.execute(\n"
                '            "INSERT INTO deliveries(id, notifier, key, state, head,',
                "        is_head = True\n        self._connection.execute(\n"
                '            "INSERT INTO deliveries(id, notifier, key, state, head,',
            ),
        ),
    ),
    Mutant(
        "timer in memory only",
        (
            Change(
                "tutumwatch/rules/membership.py",
                "        self._records.put(record_of(MEMBER, *member.name), encode(member))\n"
                "        if member.due is None:\n",
                "        if member.due is None:\n",
            ),
        ),
    ),
    Mutant(
        "open incident in memory only",
        (
            Change(
                "tutumwatch/rules/telling.py",
                "        self._open[one.name] = one\n"
                "        self._records.put(record_of(OPEN, *one.name), encode(one))\n",
                "        self._open[one.name] = one\n",
            ),
        ),
    ),
    Mutant(
        "resolve overtakes its trigger",
        (
            Change(
                "tutumwatch/rules/notice.py",
                "return (self.notifier, self.key)",
                'return (self.notifier, f"{self.form.value}/{self.key}")',
            ),
        ),
    ),
    Mutant(
        "withdrawn without proof",
        (Change(ROWS, "if state == PENDING and not maybe_sent:", "if state == PENDING:"),),
    ),
    Mutant(
        "interrupted, and forgotten",
        (
            Change(
                TAKING_BACK,
                "SET state = 1, maybe_sent = 1 WHERE state = 2",
                "SET state = 1, maybe_sent = 1 WHERE state = 9",
            ),
        ),
    ),
    Mutant(
        "interrupted, and taken for never sent",
        (
            Change(
                TAKING_BACK,
                "SET state = 1, maybe_sent = 1 WHERE state = 2",
                "SET state = 1, maybe_sent = 0 WHERE state = 2",
            ),
        ),
    ),
    Mutant(
        "what was one request is repeated as many",
        (
            Change(
                "tutumwatch/outbox/deliverer.py",
                "        if together:\n",
                "        if together < 0:\n",
            ),
        ),
    ),
    Mutant(
        "two requests are repeated as one and a piece",
        (
            Change(
                "tutumwatch/outbox/heads.py",
                "head.interrupted and other.interrupted and head.request == other.request",
                "head.interrupted and other.interrupted",
            ),
        ),
    ),
    Mutant(
        "after a second kill a request is taken apart",
        (
            Change(
                TAKING_BACK,
                "    return [_interrupted(*row) for row in rows], sending\n",
                "    return [_interrupted(*row) for row in rows][:sending], sending\n",
            ),
        ),
    ),
    Mutant(
        "page of the journal not written",
        (
            Change(
                JOURNAL,
                "    return True\n\n\ndef alive_at",
                '    connection.execute("DELETE FROM journal WHERE number = ?", (page.number,))\n'
                "    return True\n\n\ndef alive_at",
            ),
        ),
    ),
    Mutant(
        "checkpoint ahead of its page",
        (
            Change(
                STORE,
                "        number = self._last_page.number\n",
                "        number = self._last_page.number + 1\n",
            ),
        ),
    ),
    Mutant(
        "checkpoint said to be whole before it is",
        (
            Change(
                STORE,
                "        number = self._last_page.number\n",
                "        number = self._last_page.number\n"
                "        await self._writer.do(\n"
                "            lambda t: journal.finish_checkpoint(t.connection, number, at)\n"
                "        )\n",
            ),
        ),
    ),
    Mutant(
        "repetitions of before the restart told again",
        (
            Change(
                "tutumwatch/restart.py",
                "        decider.remember_uuids(item)\n",
                "        del item\n",
            ),
        ),
    ),
    Mutant(
        "incident opened without a look-up",
        (
            Change(
                "tutumwatch/rules/restraint.py",
                "        check = self._verifying.begin(rule, member)\n",
                "        check = None\n",
            ),
        ),
    ),
    Mutant(
        "timer of a stream acts before it is caught up",
        (
            Change(
                "tutumwatch/rules/restraint.py",
                "        if self._verifying.may_act(rule, member):\n",
                "        if self._verifying is not None:\n",
            ),
        ),
    ),
    Mutant(
        "members of a group forgotten at a restart",
        (
            Change(
                "tutumwatch/rules/grouping.py",
                "                self._members.setdefault((notifier, key), {})[one.name] = None\n",
                "                self._members.setdefault((notifier, key), {})\n",
            ),
        ),
    ),
    Mutant(
        "group closed with its first member",
        (
            Change(
                "tutumwatch/rules/grouping.py",
                "        if not self._members[name]:\n",
                "        if name in self._members:\n",
            ),
        ),
    ),
    Mutant(
        "silence ended, and nothing told",
        (
            Change(
                "tutumwatch/rules/incidents.py",
                "if m.withheld_by in ended) if ended else ()",
                "if m.withheld_by in ended) if not ended else ()",
            ),
        ),
    ),
)


def copy_tree(to: Path) -> None:
    """Copy what the tests need."""
    leave_out = shutil.ignore_patterns("__pycache__", "*.pyc", "dropin.cache")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to / name, ignore=leave_out)
        else:
            shutil.copy(ROOT / name, to / name)


def run_tests(root: Path) -> tuple[int, str]:
    """Run the tests of a tree; give how pytest ended, and what it printed."""
    variables = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    options = ("-x", "-q", "-rf", "--tb=line", "-p", "no:cacheprovider")
    ran = subprocess.run(
        (sys.executable, "-m", "pytest", *options, *TESTS),
        cwd=root,
        env=variables,
        capture_output=True,
        text=True,
        timeout=TESTS_MAX_SECONDS,
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr


def noticed_by(mutant: Mutant | None) -> str:
    """Run the tests of a mutant, or of the tree as it is; name the test that failed.

    :raises MutantError: if the mutant cannot be made, or nothing can be said of it.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        copy_tree(root)
        apply(mutant.changes if mutant is not None else (), root)
        code, printed = run_tests(root)
    if code == 0:
        return ""
    failed = _FAILED_TEST.search(printed)
    if code != FAILED or failed is None:
        raise MutantError(f"the tests ended with {code}:\n{printed[-3000:]}")
    return failed["name"]


def main() -> int:
    """Run all; give 1 if a mutant lives, or the tree as it is fails."""
    begun = time.monotonic()
    failed = noticed_by(None)
    if failed:
        print(f"the tree as it is fails: {failed}")
        return 1
    alive = 0
    with ThreadPoolExecutor(TREES_AT_ONCE_COUNT) as pool:
        for mutant, name in zip(MUTANTS, pool.map(noticed_by, MUTANTS), strict=True):
            alive += not name
            print(f"{mutant.name:<48}{name or 'NOT NOTICED'}", flush=True)
    print(f"{len(MUTANTS)} mutants, {alive} not noticed, {time.monotonic() - begun:.0f} s")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
