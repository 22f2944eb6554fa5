"""Tests of how kinds of notifiers are found: records in ``twisted.plugins``, of any package."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

import attrs
from twisted.plugin import IPlugin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.live.programs import ROOT, script
from tutumwatch.notifiers.console import KIND as CONSOLE
from tutumwatch.notifiers.contract import NotifierKind
from tutumwatch.notifiers.maker import INotifierMaker, NotifierMaker, find_makers

# Whatever else twistd is run for, it reads our records: they may cost next to nothing.
HEAVY = ("treq", "autobahn", "msgspec", "jinja2", "click", "service_identity")
LIGHT = ["tutumwatch", "tutumwatch.notifiers", "tutumwatch.notifiers.maker"]

STREAM = '[streams.main]\nurl = "ws://127.0.0.1:9/v1/events"\nauth = "Basic eA=="\n'
RECORD = """\
from tutumwatch.notifiers.maker import NotifierMaker
record = NotifierMaker({name!r}, {module!r})
"""


class FindMakersTests(SynchronousTestCase):
    """Every record counts, in whatever package it is; of one name the same one always does."""

    def test_ours(self) -> None:
        found = find_makers()
        self.assertEqual(sorted(found), ["console", "pagerduty", "slack"])
        for name, makers in found.items():
            (maker,) = makers
            verifyObject(INotifierMaker, maker)
            verifyObject(IPlugin, maker)
            self.assertEqual(maker.load().name, name)

    def test_ours_come_before_those_of_the_same_name(self) -> None:
        """In whatever order they are found; what is installed later takes nothing over."""
        ours = NotifierMaker("slack", "tutumwatch.notifiers.slack")
        theirs = NotifierMaker("slack", "acme.slack")
        for plugins in ([ours, theirs], [theirs, ours]):
            self.assertEqual(find_makers(plugins), {"slack": [ours, theirs]})

    def test_among_others_the_name_of_the_module_decides(self) -> None:
        one, other = NotifierMaker("chat", "acme_chat"), NotifierMaker("chat", "zeta_chat")
        for plugins in ([one, other], [other, one]):
            self.assertEqual(find_makers(plugins), {"chat": [one, other]})

    def test_a_package_may_bring_a_maker_of_its_own(self) -> None:
        """The interface is what counts, not the class."""

        @implementer(IPlugin, INotifierMaker)
        @attrs.frozen
        class Own:
            name: str = "own"
            module: str = "own_package"

            def load(self) -> NotifierKind:
                return CONSOLE

        # A class that implements the interface; mypy-zope does not see through attrs here.
        own = cast("Any", Own())
        verifyObject(INotifierMaker, own)
        self.assertEqual(find_makers([own]), {"own": [own]})
        self.assertIs(own.load(), CONSOLE)


class InstalledTests(SynchronousTestCase):
    """Records that are found on the path of a process of its own."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "twisted" / "plugins").mkdir(parents=True)

    def add(self, name: str, module: str, source: str) -> None:
        """Add a module, and a record that names a kind in it."""
        record = RECORD.format(name=name, module=module)
        (self.folder / "twisted" / "plugins" / f"{module}_plugin.py").write_text(record, "utf-8")
        (self.folder / f"{module}.py").write_text(source, "utf-8")

    def run_alone(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program that has the folder on its path."""
        kept = {n: v for n, v in os.environ.items() if n == "PATH" or "COVERAGE" in n}
        return subprocess.run(
            command,
            env={**kept, "HOME": "/nonexistent", "PYTHONPATH": f"{self.folder}:{ROOT}"},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def check(self, *tables: str) -> subprocess.CompletedProcess[str]:
        """Run ``tutumwatch check`` on a stream and some more tables."""
        path = self.folder / "watch.toml"
        path.write_text(STREAM + "".join(tables), "utf-8")
        return self.run_alone(sys.executable, "-m", "tutumwatch", "check", "-c", str(path))

    def test_reading_the_records_imports_nothing_heavy(self) -> None:
        ran = self.run_alone(
            sys.executable,
            "-c",
            "import sys, twisted.plugins.tutumwatch_plugin\n"
            "from tutumwatch.notifiers.maker import find_makers; find_makers()\n"
            "print(*sorted(sys.modules))",
        )
        self.assertEqual(ran.stderr, "")
        loaded = ran.stdout.split()
        self.assertEqual([name for name in loaded if name.startswith("tutumwatch")], LIGHT)
        self.assertEqual([name for name in loaded if name.partition(".")[0] in HEAVY], [])

    def test_one_that_cannot_be_imported_is_a_mistake_where_its_kind_is_named(self) -> None:
        """With the kind, the module and the reason, on one line; else it does no harm."""
        self.add("broken", "broken_chat", "raise RuntimeError('no licence:\\nbuy one')")
        self.add("absent", "absent_chat", "import not_installed_chat_sdk")
        named = self.check(
            '[notifiers.a]\nkind = "broken"\n[notifiers.b]\nkind = "absent"\n',
        )
        self.assertEqual((named.returncode, named.stdout), (1, ""))
        first, second = named.stderr.splitlines()
        self.assertTrue(first.endswith(
            ":5: notifiers.a.kind: the kind 'broken' of broken_chat cannot be loaded: "
            r"RuntimeError: no licence:\nbuy one"
        ), first)  # fmt: skip
        self.assertTrue(second.endswith(
            ":7: notifiers.b.kind: the kind 'absent' of absent_chat cannot be loaded: "
            "ModuleNotFoundError: No module named 'not_installed_chat_sdk'"
        ), second)  # fmt: skip
        unnamed = self.check('[notifiers.a]\nkind = "console"\n')
        self.assertEqual((unnamed.returncode, unnamed.stderr), (0, ""))

    def test_one_without_a_kind_in_it_is_a_mistake_too(self) -> None:
        self.add("empty", "empty_chat", "")
        self.add("odd", "odd_chat", "KIND = 'odd'")
        ran = self.check('[notifiers.a]\nkind = "empty"\n[notifiers.b]\nkind = "odd"\n')
        first, second = ran.stderr.splitlines()
        self.assertIn("'empty' of empty_chat cannot be loaded: AttributeError: ", first)
        self.assertIn("'odd' of odd_chat cannot be loaded: it is no NotifierKind, but str", second)

    def test_twistd_helps_whatever_is_installed(self) -> None:
        self.add("broken", "broken_chat", "raise RuntimeError('no')")
        self.add("slack", "other_slack", "raise RuntimeError('no')")
        ran = self.run_alone(script("twistd"), "--help")
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        self.assertRegex(ran.stdout, r"(?m)^ +tutumwatch +Watch the platform")

    def test_whose_name_is_taken_is_not_used_and_that_is_said(self) -> None:
        self.add("console", "other_console", "raise RuntimeError('not asked for')")
        rule = '[[messages]]\nname = "all"\nmatch = {}\nnotify = ["a"]\n'
        ran = self.check('[notifiers.a]\nkind = "console"\n', rule)
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        self.assertEqual(
            ran.stdout.splitlines()[1:],
            [
                (
                    "the kind 'console' of other_console is not used: "
                    "tutumwatch.notifiers.console has that name"
                )
            ],
        )

    def test_a_mistyped_kind_is_told_what_is_installed(self) -> None:
        self.add("acme-chat", "acme", "")
        ran = self.check('[notifiers.a]\nkind = "acme-chta"\n')
        self.assertIn(
            "'acme-chta' is no kind of notifier (did you mean 'acme-chat'?); "
            "known are acme-chat, console, pagerduty, slack",
            ran.stderr,
        )
