"""Tests of ``tutumwatch outbox``: what it shows, what it asks, and how it finds the store."""

from __future__ import annotations

import json
import os
import pty
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import attrs
from click.testing import CliRunner, Result

from tests.config.cases import CREDENTIALS, set_environment
from tests.live.programs import ROOT
from tests.outbox.cases import BAD, TIMED_OUT, notice
from tests.outbox.test_reading import StoredFileTestCase
from tutumwatch.cli.main import cli
from tutumwatch.config.environment import Environment
from tutumwatch.config.load import load_configuration
from tutumwatch.control.wire import Fate, Question, Reply, decode_question, encode_line
from tutumwatch.inventory.resource import Resource, change_of
from tutumwatch.rules.decisions import WaitingRow
from tutumwatch.rules.notice import Form, Severity

COMMAND = (sys.executable, "-m", "tutumwatch")
CONFIGURATION = """\
[streams.main]
url = "ws://127.0.0.1:9/v1/events"
[store]
path = "{path}"
"""


class OutboxCommandTestCase(StoredFileTestCase):
    """Runs the command in an environment of its own."""

    def invoke(self, *arguments: str, **variables: str) -> Result:
        """Run it, for this store unless another one, or none, is named."""
        set_environment(self, {"HOME": str(self.folder / "home"), **variables})
        return CliRunner().invoke(cli, ["outbox", *arguments])

    def lines(self, *arguments: str) -> list[str]:
        """Give the lines of a command that succeeds."""
        result = self.invoke(*arguments, "--store", self.path)
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        return result.stdout.splitlines()

    def objects(self, *arguments: str) -> list[dict[str, object]]:
        """Give the objects of a list."""
        return [json.loads(line) for line in self.lines("list", "--json", *arguments)]

    def wait_for_a_look_up(self) -> None:
        """Owe something whose needs are not known yet."""
        after = Resource(("main", "service", "s1"), "/api/v1/service/s1/")
        change = change_of("main/e1", None, after)
        self.owe(WaitingRow("w1", "news", ("ops",), "s1", change, 1, 10.0, frozenset()))


class ListTests(OutboxCommandTestCase):
    """``outbox list``."""

    def setUp(self) -> None:
        """Owe something in every state but waiting: 1 dead, 2 being sent, 3 and 4 pending."""
        super().setUp()
        ago = time.time() - 7_500
        self.owe(
            notice("first\nsecond", rule="news", at=ago),
            notice("under way", at=ago),
            notice("next", at=ago),
            notice("page", "k", Form.TRIGGER, "pd", at=ago),
        )
        self.result_of(self.store.begin([1, 2]))
        self.result_of(self.store.finish({1: BAD}, {}))

    def test_dead_ones_and_what_is_owed_besides(self) -> None:
        self.assertEqual(
            self.lines("list"),
            [
                "id  notifier  state  form     age    attempts  rule  text or reason",
                " 1  ops       dead   message  2h 5m  1         news  400 invalid_payload | first",
                "owed: ops 2, pd 1 (--state owed lists them)",
            ],
        )

    def test_states(self) -> None:
        for state, ids in (
            ("dead", ["1"]),
            ("sending", ["2"]),
            ("pending", ["3", "4"]),
            ("owed", ["2", "3", "4"]),
            ("all", ["1", "2", "3", "4"]),
        ):
            lines = self.lines("list", "--state", state)
            self.assertEqual([x.split()[0] for x in lines[1:] if x[:2].strip().isdigit()], ids)
        self.assertEqual(self.lines("list", "--state", "waiting"), ["nothing is waiting"])

    def test_one_notifier(self) -> None:
        self.assertEqual([o["id"] for o in self.objects("--state", "all", "--notifier", "pd")], [4])
        self.assertEqual(self.lines("list", "--notifier", "pd")[0], "no dead letters for pd")

    def test_limit(self) -> None:
        lines = self.lines("list", "--state", "all", "--limit", "2")
        self.assertEqual([line.split()[0] for line in lines[1:3]], ["1", "2"])
        self.assertEqual(lines[3:], ["there are more than 2; --limit 0 lists all"])
        self.assertEqual(len(self.objects("--state", "all", "--limit", "0")), 4)
        self.assertEqual(len(self.objects("--state", "all", "--limit", "3")), 3)

    def test_json(self) -> None:
        (row,) = self.objects()
        self.assertEqual(
            {name: row[name] for name in ("id", "state", "text", "reason", "damaged", "marks")},
            {
                "id": 1,
                "state": "dead",
                "text": "first\nsecond",
                "reason": "400 invalid_payload",
                "damaged": False,
                "marks": [],
            },
        )

    def test_what_waits_has_no_text_yet(self) -> None:
        self.wait_for_a_look_up()
        (line,) = self.lines("list", "--state", "waiting")[1:]
        self.assertTrue(line.endswith("news  (waits for a look-up)"), line)
        (row,) = self.objects("--state", "waiting")
        self.assertEqual((row["text"], row["waits_for"]), (None, "w1"))

    def test_a_damaged_one(self) -> None:
        self.execute("UPDATE deliveries SET notice = x'00', reason = '' WHERE id = 1")
        self.assertIn("(what it says is damaged)", self.lines("list")[1])

    def test_an_empty_store(self) -> None:
        self.execute("DELETE FROM deliveries")
        self.assertEqual(self.lines("list"), ["no dead letters", "owed: nothing"])
        self.assertEqual(self.lines("list", "--state", "all"), ["nothing"])

    def test_a_text_does_not_steer_the_terminal(self) -> None:
        bad = "\x1b]0;owned\x07\x9b2J\u202e"
        self.owe(
            attrs.evolve(
                notice(bad, notifier=f"ops{bad}", rule=bad),
                marks=(bad,),
                details={bad: bad},
            )
        )
        shown = [
            *self.lines("list", "--state", "all"),
            *self.lines("list", "--state", "all", "--json"),
            *self.lines("show", "5"),
            *self.lines("show", "5", "--json"),
        ]
        for line in shown:
            self.assertTrue(line.isprintable(), repr(line))
        self.assertIn("\\x1b]0;owned", "\n".join(shown))


class ShowTests(OutboxCommandTestCase):
    """``outbox show``."""

    def test_everything(self) -> None:
        said = attrs.evolve(
            notice("web is down\nsince 5 min", "inc/web", Form.TRIGGER, "pd", at=1_767_323_045.0),
            severity=Severity.CRITICAL,
            marks=("gone", "details unknown"),
            details={"state": "Stopped", "name": "web"},
        )
        self.owe(said)
        self.result_of(self.store.begin([1]))
        self.result_of(self.store.finish({1: TIMED_OUT}, {}))
        self.result_of(self.store.begin([1]))
        self.result_of(self.store.finish({1: BAD}, {}))
        lines = self.lines("show", "1")
        self.assertRegex(lines.pop(6), r"^happened  2026-01-02T03:04:05Z \(\d+d( \d+h)? ago\)$")
        self.assertEqual(
            lines,
            [
                "notice    1",
                "state     dead",
                "notifier  pd",
                "form      trigger",
                "rule      a rule",
                "about     inc/web",
                "tried     2 attempts; it may have arrived",
                "reason    400 invalid_payload",
                "severity  critical",
                "marks     gone, details unknown",
                "details   name: web",
                "          state: Stopped",
                "text",
                "    web is down",
                "    since 5 min",
            ],
        )
        (line,) = self.lines("show", "1", "--json")
        self.assertEqual(json.loads(line)["details"], {"state": "Stopped", "name": "web"})

    def test_what_waits(self) -> None:
        self.wait_for_a_look_up()
        lines = self.lines("show", "1")
        self.assertIn("waits for w1", lines)
        self.assertIn("tried     not tried yet", lines)

    def test_one_that_is_not_there(self) -> None:
        result = self.invoke("show", "7", "--store", self.path)
        self.assertEqual((result.exit_code, result.stdout), (1, ""))
        self.assertIn("there is no notice 7", result.stderr)


class FindingTests(OutboxCommandTestCase):
    """Which store is meant."""

    def listed(self, *arguments: str, **variables: str) -> Result:
        """List, and name no store but by these."""
        return self.invoke("list", *arguments, **variables)

    def write(self, path: str) -> str:
        """Write a configuration with a store."""
        file = self.folder / "watch.toml"
        file.write_text(CONFIGURATION.format(path=path))
        return str(file)

    def test_by_itself_without_credentials(self) -> None:
        """Neither the configuration nor its credentials are needed."""
        config = self.write("/elsewhere")
        result = self.listed("--store", self.path, "--config", config)
        self.assertEqual((result.exit_code, result.stderr), (0, ""))

    def test_by_a_variable_without_credentials(self) -> None:
        self.assertEqual(self.listed(TUTUMWATCH_STORE=self.path).exit_code, 0)

    def test_by_a_configuration(self) -> None:
        result = self.listed("-c", self.write(self.path), **CREDENTIALS)
        self.assertEqual((result.exit_code, result.stderr), (0, ""))

    def test_by_the_environment(self) -> None:
        variables = {**CREDENTIALS, "STATE_DIRECTORY": str(self.folder)}
        path = load_configuration(None, Environment(variables, self.folder)).store_path
        result = self.listed(**variables)
        self.assertIn(f"there is no store {path}", result.stderr)

    def test_without_credentials_it_says_what_does_without(self) -> None:
        result = self.listed("-c", self.write(self.path))
        self.assertEqual(result.exit_code, 1)
        self.assertIn("--store PATH names the store itself", result.stderr.splitlines()[-1])

    def test_a_store_in_memory(self) -> None:
        for arguments in (("--store", ":memory:"), ("-c", self.write(":memory:"))):
            result = self.listed(*arguments, **CREDENTIALS)
            self.assertEqual(result.exit_code, 1)
            self.assertIn("in the memory of the watcher", result.stderr)

    def test_what_cannot_be_read(self) -> None:
        result = self.listed("--store", str(self.folder / "no\x1b"))
        self.assertEqual(result.exit_code, 1)
        self.assertIn("there is no store", result.stderr)
        self.assertIn("no\\x1b;", result.stderr)


class ChangingTestCase(OutboxCommandTestCase):
    """``outbox retry`` and ``outbox drop``, with a watcher that is only its socket."""

    def setUp(self) -> None:
        """Owe 1 and 2 to ops, dead, 3 to ops, 4 to pd, dead."""
        super().setUp()
        self.owe(notice("a"), notice("b"), notice("c"), notice("d", notifier="pd"))
        self.result_of(self.store.begin([1, 2, 4]))
        self.result_of(self.store.finish({1: BAD, 2: BAD, 4: BAD}, {}))
        self.asked: list[Question] = []

    def listen(self, answer: Callable[[Question], Reply | bytes]) -> None:
        """Answer every question in a thread until the test ends."""
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(f"{self.path}.sock")
        listening.listen()

        def serve() -> None:
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                with client:
                    line = b""
                    while not line.endswith(b"\n"):
                        line += client.recv(65_536)
                    question = decode_question(line)
                    self.asked.append(question)
                    reply = answer(question)
                    client.sendall(
                        reply if isinstance(reply, bytes) else encode_line(reply) + b"\n"
                    )

        thread = threading.Thread(target=serve)
        thread.start()

        def stop() -> None:
            # A thread that waits for a client does not see that its socket was closed.
            listening.shutdown(socket.SHUT_RDWR)
            listening.close()
            thread.join()

        self.addCleanup(stop)

    def obey(self) -> None:
        """Have a watcher that does all that is asked."""
        self.listen(
            lambda question: Reply(
                fates=tuple(
                    Fate(row_id, "dropped", done=True) for row_id in getattr(question, "ids", ())
                )
            )
        )

    def ids(self) -> list[tuple[str, tuple[int, ...]]]:
        """Give what was asked, and for which rows."""
        return [(type(question).__name__, getattr(question, "ids", ())) for question in self.asked]


class ChangingTests(ChangingTestCase):
    """Which rows are named, and what is said of them."""

    def change(self, *arguments: str) -> Result:
        """Run the command."""
        return self.invoke(*arguments, "--store", self.path)

    def test_rows_by_number(self) -> None:
        self.obey()
        result = self.change("drop", "1", "3")
        self.assertEqual((result.exit_code, result.stdout), (0, "1 dropped\n3 dropped\n"))
        self.assertEqual(self.ids(), [("AskDrop", (1, 3))])

    def test_many(self) -> None:
        self.obey()
        for arguments, ids in (
            (("retry", "--all-dead"), (1, 2, 4)),
            (("retry", "--notifier", "ops"), (1, 2)),
            (("retry", "--all-dead", "--notifier", "pd"), (4,)),
            (("drop", "--all-dead"), (1, 2, 4)),
            (("drop", "--notifier", "ops"), (1, 2, 3)),
            (("drop", "--all-dead", "--notifier", "ops"), (1, 2)),
        ):
            self.asked.clear()
            result = self.change(*arguments, "--yes")
            self.assertEqual(result.exit_code, 0, result.output)
            self.assertEqual([found for _, found in self.ids()], [ids], arguments)

    def test_none_at_all(self) -> None:
        result = self.change("retry", "--notifier", "nobody", "--yes")
        self.assertEqual((result.exit_code, result.stdout), (0, "there are none\n"))

    def test_more_than_a_line_may_hold(self) -> None:
        self.obey()
        self.owe(*(notice(f"n{number}") for number in range(1_100)))
        result = self.change("drop", "--notifier", "ops", "--yes")
        self.assertEqual(len(result.stdout.splitlines()), 1_103)
        self.assertEqual([len(ids) for _, ids in self.ids()], [1_000, 103])

    def test_without_a_terminal_yes_must_be_said(self) -> None:
        self.obey()
        result = self.change("drop", "--notifier", "ops")
        self.assertEqual((result.exit_code, result.stdout), (1, ""))
        self.assertEqual(
            result.stderr,
            "drop 2 dead letters and 1 notice not sent yet (ops): this is no terminal to ask at; "
            "--yes does it\n",
        )
        self.assertEqual(self.asked, [])

    def test_which_ones(self) -> None:
        for arguments in (
            ("retry",),
            ("drop",),
            ("drop", "1", "--all-dead"),
            ("retry", "1", "--notifier", "ops"),
            ("retry", "0"),
            ("drop", "x"),
        ):
            self.assertEqual(self.change(*arguments).exit_code, 2, arguments)

    def test_what_was_not_done_ends_with_1(self) -> None:
        self.listen(lambda _: Reply(fates=(Fate(1, "is being sent: not dropped\x1b", done=False),)))
        result = self.change("drop", "1")
        self.assertEqual(
            (result.exit_code, result.stdout), (1, "1 is being sent: not dropped\\x1b\n")
        )

    def test_an_error(self) -> None:
        self.listen(lambda _: Reply(error="the store cannot be used at the moment: full"))
        result = self.change("drop", "1")
        self.assertEqual(result.exit_code, 1)
        self.assertIn("the store cannot be used at the moment: full", result.stderr)

    def test_one_that_is_no_watcher(self) -> None:
        for said, words in ((b"HTTP/1.1 400\n", "is no watcher"), (b"", "ended before")):
            with self.subTest(said=said):
                self.listen(lambda _, said=said: said)  # type: ignore[misc] # mypy does not infer the default
                result = self.change("drop", "1")
                self.assertEqual(result.exit_code, 1)
                self.assertIn(words, result.stderr)
                self.doCleanups()
                self.setUp()

    def test_no_watcher(self) -> None:
        result = self.change("retry", "1")
        self.assertEqual(result.exit_code, 1)
        self.assertIn(f"no watcher runs with the store {self.path}; start it", result.stderr)

    def test_a_store_that_is_not_there(self) -> None:
        for arguments in (("show", "1"), ("drop", "--all-dead", "--yes")):
            result = self.invoke(*arguments, "--store", f"{self.path}-elsewhere")
            self.assertEqual((result.exit_code, result.stdout), (1, ""))
            self.assertIn("there is no store", result.stderr)

    def test_a_path_that_no_socket_can_have(self) -> None:
        result = self.invoke("drop", "1", "--store", self.path + "x" * 100)
        self.assertEqual(result.exit_code, 1)
        self.assertIn("give the store a shorter path", result.stderr)


class AskingTests(ChangingTestCase):
    """At a terminal a person is asked."""

    def answer(self, said: str) -> tuple[int, str]:
        """Run the command at a terminal, say something, and give its status and output."""
        ours, its = pty.openpty()
        self.addCleanup(os.close, ours)
        with os.fdopen(its) as terminal:
            os.write(ours, said.encode())
            done = subprocess.run(
                [*COMMAND, "outbox", "drop", "--all-dead", "--store", self.path],
                stdin=terminal,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=60,
                check=False,
                cwd=ROOT,
            )
        return done.returncode, done.stdout

    def test_yes(self) -> None:
        self.obey()
        code, said = self.answer("y\n")
        self.assertEqual(code, 0, said)
        self.assertTrue(said.startswith("drop 3 dead letters (ops, pd)? [y/N]: "), said)
        self.assertEqual(self.ids(), [("AskDrop", (1, 2, 4))])

    def test_no(self) -> None:
        self.obey()
        for said in ("n\n", "\n"):
            code, printed = self.answer(said)
            self.assertEqual(code, 1)
            self.assertIn("nothing is done", printed)
        self.assertEqual(self.asked, [])
