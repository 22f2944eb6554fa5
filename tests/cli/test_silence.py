"""Tests of ``tutumwatch silence``: against a watcher's decider, and against the store alone."""

from __future__ import annotations

import json
import time
from itertools import count

import msgspec
from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from tests.cli.test_outbox import CONFIGURATION, ChangingTestCase
from tests.config.cases import CREDENTIALS, set_environment
from tests.rules.silenced import HOUR, WEB, mute, rules, said, shop
from tests.rules.silenced import silence as make_silence
from tutumwatch.cli.main import cli
from tutumwatch.control.commands import Commands
from tutumwatch.control.resolving import Resolving
from tutumwatch.control.silencing import Silencing
from tutumwatch.control.wire import AskSilence, Question, Reply
from tutumwatch.events.inputs import Input
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.rules.decider import Decider
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.notice import Notice

LISTED = """
  name  kind     state    from                  until                 incidents  by   about
    s1  silence  active   2026-11-26T12:00:00Z  2026-11-26T14:00:00Z  0          ann  \
service.name=web  # deploy
    s2  silence  pending  2026-11-27T00:00:00Z  2026-11-27T01:00:00Z  0          -    rule=x
nights  mute     pending  2026-11-26T22:00:00Z  2026-11-27T06:00:00Z  0          -    type=node
"""
NO_RULE = "there is no rule of such a name, so it withholds nothing; the rules are service down"
NOT_RUNNING = "start it and say this again: only the watcher changes its store\n"
MUTES = """\
[[mutes]]
name = "nights"
match = { type = "node" }
from = "22:00"
to = "06:00"
"""


class SilenceCommandTestCase(ChangingTestCase):
    """Runs ``tutumwatch silence`` beside a watcher that knows a shop, if one runs."""

    now = 1_795_694_400.0

    def setUp(self) -> None:
        """Make what the watcher would have."""
        super().setUp()
        self.decider = Decider(Inventory(), rules())
        self.decider.inventory.restore(shop().resources())
        names = map("s{}".format, count(1))
        silencing = Silencing(
            self.decider, self.carry_out, lambda: self.now, lambda: next(names), Clock()
        )
        resolving = Resolving(self.decider, self.carry_out, lambda: self.now)
        self.commands = Commands(
            self.store, self.carry_out, lambda: self.now, dict, silencing, resolving
        )

    def carry_out(self, item: Input) -> Deferred[Decisions]:
        """Decide it."""
        return succeed(self.decider.decide(item))

    def watch(self) -> None:
        """Have a watcher."""

        def answer(question: Question) -> Reply:
            doing = Deferred.fromCoroutine(self.commands.do(question))
            return self.successResultOf(doing)

        self.listen(answer)

    def silence(self, *arguments: str, **variables: str) -> Result:
        """Run the command."""
        set_environment(self, {"HOME": str(self.folder / "home"), "LOGNAME": "ann", **variables})
        return CliRunner().invoke(cli, ["silence", *arguments, "--store", self.path])

    def said(self, *arguments: str) -> list[str]:
        """Give the lines of a command that succeeds."""
        result = self.silence(*arguments)
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        return result.stdout.splitlines()


class AddTests(SilenceCommandTestCase):
    """``silence add``."""

    def test_for_a_time(self) -> None:
        self.watch()
        self.assertEqual(
            self.said("add", "--for", "2h", "--comment", "deploy", "service=web", "stack=shop"),
            [
                "silence s1 until 2026-11-26T14:00:00Z: service.name=web stack.name=shop",
                "it is about 2 resources at present: service shop/web, container web-1",
                "since 2026-11-25T12:00:00Z it would have withheld 0 of 0 that were said",
            ],
        )
        (asked,) = self.asked
        match = {"service.name": "web", "stack.name": "shop"}
        self.assertEqual(
            asked, AskSilence((match,), lasts=7200.0, comment="deploy", by="ann", preview=False)
        )
        (made,) = self.decider.silences
        self.assertEqual((made.match, made.by), ([match], "ann"))

    def test_from_and_until(self) -> None:
        """Of an hour that comes twice from the first up to the second."""
        self.watch()
        zone = "[Europe/Berlin]"
        self.now -= 60 * 24 * HOUR
        lines = self.said(
            *("add", "--from", f"2026-10-25T02:30{zone}", "--until", f"2026-10-25T02:30{zone}"),
            *("--by", "cron", "name=web"),
        )
        self.assertEqual(
            lines[0],
            "silence s1 from 2026-10-25T00:30:00Z until 2026-10-25T01:30:00Z: name=web",
        )
        self.assertEqual([one.by for one in self.decider.silences], ["cron"])

    def test_warnings(self) -> None:
        self.watch()
        lines = self.said("add", "--for", "8d", "name=nobody", "rule=nothing")
        self.assertEqual(
            [lines[1], *lines[3:]],
            [
                "it is about 0 resources at present",
                f"warning: {NO_RULE}",
                "warning: it matches nothing that is known at present",
                "warning: it lasts 8 days, and may well be forgotten",
            ],
        )
        lines = self.said("add", "--for", "1d", "rule=nothing")
        self.assertEqual(len(lines), 3)
        self.assertFalse(any("it is about" in line for line in lines))

    def test_more_than_a_few(self) -> None:
        self.watch()
        (line,) = [x for x in self.said("add", "--for", "1h", "name=!x") if "is about" in x]
        self.assertEqual(
            line,
            "it is about 5 resources at present: stack shop, service shop/web, container web-1, "
            "node node-2, container stranger",
        )

    def notice(self, rule: str, notifier: str = "ops", uri: str = WEB.uri) -> Notice:
        """Say something of a service."""
        return said(rule, notifier, stream="main", type="service", resource_uri=uri)

    def test_a_preview(self) -> None:
        self.watch()
        for ago, rule, notifier in ((7_500.0, "news", "ops"), (60.0, "service down", "pd")):
            at = time.time() - ago
            self.decider.silences.note([self.notice(rule, notifier)], at)
        self.decider.silences.note([said("other", uri="x"), said("other", key="l")], time.time())
        self.now = time.time()
        lines = self.said("add", "--preview", "service=web")
        self.assertEqual(lines[0], "this would silence service.name=web")
        self.assertRegex(
            lines[2],
            r"^since \S+Z it would have withheld 2 of 4 that were said \(news 1, service down 1\)$",
        )
        self.assertEqual(
            lines[3:],
            [
                "  ago  rule          to   text",
                "2h 5m  news          ops  news to ops",
                "   1m  service down  pd   service down to pd",
            ],
        )
        self.assertEqual((list(self.decider.silences), self.decider.counts["events"]), ([], 0))
        gone = self.notice("news", uri="/api/v1/service/s9/")
        self.decider.silences.note([gone], self.now)
        (line,) = [x for x in self.said("add", "--preview", "name=web") if x.startswith("since")]
        self.assertTrue(line.endswith(", and of 1 more nobody can tell"), line)

    def test_what_is_not_understood(self) -> None:
        for arguments, what in (
            ((), "what is to be silenced? service=web, say"),
            (("service=web",), "for how long? either --for 2h, or --until"),
            (("--for", "1h", "--until", "2026-11-27", "service=web"), "for how long?"),
            (("--preview", "--for", "1h", "--until", "2026-11-27", "a=b"), "for how long?"),
            (("--for", "long", "service=web"), "--for: 'long' is no length of time"),
            (("--until", "soon", "service=web"), "--until: 'soon' is no time"),
            (("--from", "soon", "--for", "1h", "service=web"), "--from: 'soon' is no time"),
            (("--for", "1h", "web\x1b"), "WORDS: 'web\\x1b' says nothing"),
            (("--for", "1h", "--comment", "x" * 501, "a=b"), "--comment: 500 characters must do"),
            (("--for", "1h", "--by", "x" * 501, "a=b"), "--by: 500 characters must do"),
        ):
            result = self.silence("add", *arguments)
            self.assertEqual((result.exit_code, result.stdout), (2, ""), arguments)
            self.assertIn(what, result.stderr)

    def test_what_the_watcher_refuses(self) -> None:
        self.watch()
        for arguments, what in (
            (("--for", "1h", "servce.name=web"), "did you mean 'service.name'?"),
            (("--until", "2020-01-01", "service=web"), "it would be over already"),
        ):
            result = self.silence("add", *arguments)
            self.assertEqual((result.exit_code, result.stdout), (1, ""))
            self.assertIn(what, result.stderr)

    def test_a_watcher_of_another_version(self) -> None:
        self.listen(lambda _: Reply(status={"ok": True}))
        result = self.silence("add", "--for", "1h", "service=web")
        self.assertEqual((result.exit_code, result.stdout), (1, ""))
        self.assertIn("the watcher does not know silences", result.stderr)

    def test_one_that_does_not_answer_rightly(self) -> None:
        self.listen(lambda _: b"hello\n")
        for arguments in (("add", "--for", "1h", "a=b"), ("rm", "x"), ("list",)):
            result = self.silence(*arguments)
            self.assertEqual((result.exit_code, result.stdout), (1, ""))
            self.assertIn("is no watcher", result.stderr)

    def test_nobody_runs(self) -> None:
        for arguments in (("add", "--for", "1h", "service=web"), ("rm", "s1")):
            result = self.silence(*arguments)
            self.assertEqual((result.exit_code, result.stdout), (1, ""))
            self.assertTrue(result.stderr.endswith(NOT_RUNNING), result.stderr)


class EndTests(SilenceCommandTestCase):
    """``silence rm``."""

    def test_each_is_answered(self) -> None:
        self.watch()
        self.silence("add", "--for", "2h", "service=web")
        result = self.silence("rm", "s1", "s\x1b9")
        self.assertEqual(result.exit_code, 1)
        self.assertEqual(
            result.stdout,
            "s1 removed; it was active\ns\\x1b9 is no silence; `silence list` names them\n",
        )
        self.assertEqual(list(self.decider.silences), [])

    def test_all_done(self) -> None:
        self.watch()
        self.silence("add", "--for", "2h", "service=web")
        self.assertEqual(self.said("rm", "s1"), ["s1 removed; it was active"])

    def test_none_named(self) -> None:
        self.assertEqual(self.silence("rm").exit_code, 2)

    def test_no_answer_is_no_success(self) -> None:
        self.listen(lambda _: Reply())
        self.assertEqual(self.silence("rm", "s1").exit_code, 1)


class ListTests(SilenceCommandTestCase):
    """``silence list``."""

    def test_beside_a_watcher(self) -> None:
        self.watch()
        self.decider.silences.use([mute()], self.now)
        self.silence("add", "--for", "2h", "--comment", "deploy", "service=web")
        self.silence("add", "--from", "2026-11-27", "--for", "1h", "--by", "", "rule=x")
        self.assertEqual([line.rstrip() for line in self.said("list")], LISTED.splitlines()[1:])
        objects = [json.loads(line) for line in self.said("list", "--json")]
        self.assertEqual(
            objects[0],
            {
                "name": "s1",
                "kind": "silence",
                "state": "active",
                "starts": self.now,
                "ends": self.now + 2 * HOUR,
                "withheld_incidents": 0,
                "by": "ann",
                "comment": "deploy",
                "match": [{"service.name": "web"}],
            },
        )
        self.assertEqual([(o["name"], o["kind"]) for o in objects[2:]], [("nights", "mute")])

    def test_nothing_at_all(self) -> None:
        self.watch()
        self.assertEqual(self.said("list"), ["no silences and no mutes"])
        self.assertEqual(self.said("list", "--json"), [])

    def test_what_the_watcher_refuses(self) -> None:
        self.listen(lambda _: Reply(error="no\x1b"))
        result = self.silence("list")
        self.assertEqual((result.exit_code, result.stderr), (1, "no\\x1b\n"))

    def keep(self) -> None:
        """Have the store keep two silences, and what cannot be read."""
        now = time.time()
        silences = [
            make_silence("later", {"name": "\x1b"}, now + 60, now + 120, at=2.0),
            make_silence("now", None, now - 60, now + 60, at=1.0),
        ]
        records: dict[tuple[str, str], bytes | None] = {
            ("silence", one.id): msgspec.msgpack.encode(one) for one in silences
        }
        records["silence", "bad"] = b"\xc1"
        records["greeted", "main"] = b""
        self.result_of(self.store.commit(Decisions(records=records), 0.0))

    def test_from_the_store_if_nobody_runs(self) -> None:
        self.keep()
        result = self.silence("list")
        self.assertEqual(result.exit_code, 0)
        lines = result.stdout.splitlines()
        self.assertEqual(
            [line.split()[:3] for line in lines[1:]],
            [["now", "silence", "active"], ["later", "silence", "pending"]],
        )
        self.assertTrue(lines[2].endswith("?          ann  name='\\x1b'  # deploy"), lines[2])
        self.assertIn(f"no watcher runs with the store {self.path}", result.stderr)
        result = self.silence("list", "--json")
        objects = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertEqual(
            [(o["name"], o["withheld_incidents"]) for o in objects],
            [("now", None), ("later", None)],
        )

    def test_with_the_mutes_of_a_configuration(self) -> None:
        self.keep()
        file = self.folder / "watch.toml"
        file.write_text(CONFIGURATION.format(path=self.path) + MUTES)
        set_environment(self, {"HOME": str(self.folder), **CREDENTIALS})
        result = CliRunner().invoke(cli, ["silence", "list", "-c", str(file)])
        self.assertEqual(result.exit_code, 0, result.output)
        names = [line.split()[0] for line in result.stdout.splitlines()[1:]]
        self.assertEqual(names, ["now", "later", "nights"])

    def test_a_variable_that_names_the_store_needs_no_configuration(self) -> None:
        self.keep()
        set_environment(self, {"HOME": str(self.folder), "TUTUMWATCH_STORE": self.path})
        result = CliRunner().invoke(cli, ["silence", "list"])
        self.assertEqual((result.exit_code, len(result.stdout.splitlines())), (0, 3))

    def test_no_store_either(self) -> None:
        set_environment(self, {"HOME": str(self.folder)})
        result = CliRunner().invoke(cli, ["silence", "list", "--store", "/nonexistent/x"])
        self.assertEqual(result.exit_code, 1)
        self.assertIn("there is no store", result.stderr)
