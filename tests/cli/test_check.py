"""Tests of ``tutumwatch check``: mistakes, tests, who is told, and what there is at present."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from click.testing import CliRunner, Result

from tests.cli.test_main import BAD, GOOD
from tests.config.cases import CREDENTIALS, FilesTestCase, set_environment
from tests.live.programs import ROOT
from tests.outbox.test_reading import StoredFileTestCase
from tutumwatch.cli.main import cli
from tutumwatch.config.tutum import NO_CREDENTIALS
from tutumwatch.inventory.resource import Resource, change_of
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.members import Member, OpenIncident, Phase, encode

RULES = """\
[streams.main]
url = "ws://127.0.0.1:9/v1/events"
[notifiers.console]
kind = "console"
[notifiers.ops]
kind = "console"
[notifiers.pay]
kind = "console"
[[routes]]
match = { stack.name = "pay-*" }
news = ["pay"]
page = ["pay", "ops"]
[[routes]]
news = ["ops"]
page = ["ops"]
[[ignore]]
match = { type = "container", name = "cron-*" }
[[messages]]
name = "service news"
match = { type = "service", changed = "state" }
notify = "news"
[[messages]]
name = "node news"
match = { type = "node", changed = "state" }
notify = ["news", "console"]
[[incidents]]
name = "service down"
while = { type = "service", health = ["degraded", "down"] }
unless = { deploy = "running" }
for = "2m"
notify = "page"
"""
TEST = """\
[[tests]]
name = "a service that is down is paged"
resources = [{ type = "service", name = "web", running = 0, target = 1 }]
notices = [{ to = "ops", at = "2m", form = "trigger" }]
"""
TWELVE = """\
storm = -1
[streams.main]
url = "ws://127.0.0.1:9/v1/events"
colour = 1
[notifiers.console]
kind = "consle"
[notifiers.ops]
kind = "console"
[[routes]]
match = { stak.name = "pay-*" }
news = ["opps"]
[[routes]]
news = ["ops"]
[[messages]]
name = "news"
match = { type = "servce" }
notify = "newz"
text = "{{ nme }}"
[[incidents]]
name = "down"
while = { health = "dwn" }
unless_open = "node lst"
notify = "ops"
[[mutes]]
name = "night"
match = { type = "node" }
from = "2am"
to = "04:00"
[[tests]]
name = "t"
steps = [{ at = "0s", type = "service", name = "web", state = "Runing" }]
notices = []
"""


class CheckTestCase(FilesTestCase):
    """Runs the command in an environment of its own."""

    def check(self, *arguments: str, **variables: str) -> Result:
        """Run it."""
        set_environment(self, {"HOME": "/nonexistent", **variables})
        return CliRunner().invoke(cli, ["check", *arguments])

    def lines(self, text: str, *arguments: str) -> list[str]:
        """Give what is said of a file without mistakes, but for the first line."""
        result = self.check("-c", self.write(text), *arguments, **CREDENTIALS)
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        return result.stdout.splitlines()[1:]


class MistakesTests(CheckTestCase):
    """Every mistake is a line; without any, it says so."""

    def test_a_good_file(self) -> None:
        path = self.write(GOOD)
        result = self.check("--config", path, **CREDENTIALS)
        self.assertEqual(result.exit_code, 0)
        self.assertEqual(
            result.stdout,
            f"{path}: no mistakes (watched streams: 1, notifiers on: 1, message rules: 1, incident rules: 1)\n"
            "notifier slack is off: SLACK_URL is not set\n",
        )
        self.assertEqual(result.stderr, "")

    def test_all_mistakes_go_to_stderr_a_line_each(self) -> None:
        path = self.write(BAD)
        result = self.check("-c", path, **CREDENTIALS)
        self.assertEqual(result.exit_code, 1)
        self.assertEqual(result.stdout, "")
        lines = result.stderr.splitlines()
        self.assertEqual(
            [line.partition(" ")[0] for line in lines], [f"{path}:{n}:" for n in (2, 4, 7)]
        )

    def test_twelve_mistakes_are_twelve_lines(self) -> None:
        """Each with its line, the rule if it is in one, and a suggestion where there is one."""
        path = self.write(TWELVE)
        result = self.check("-c", path, **CREDENTIALS)
        self.assertEqual((result.exit_code, result.stdout), (1, ""))
        lines = [line.removeprefix(f"{path}:") for line in result.stderr.splitlines()]
        self.assertEqual(
            [line.partition(":")[0] for line in lines],
            ["1", "4", "6", "10", "11", "16", "17", "18", "21", "22", "27", "31"],
        )
        for number, words in enumerate(
            (
                ("storm",),
                ("streams.main.colour", "known are"),
                ("notifiers.console.kind", "did you mean 'console'?"),
                ("routes[1].match.stak.name", "did you mean 'stack.name'?"),
                ("routes[1].news", "'opps'", "did you mean 'ops'?"),
                ("messages[1].match.type ('news')", "did you mean 'service'?"),
                ("messages[1].notify ('news')", "'newz'", "did you mean 'news'?"),
                ("messages[1].text ('news')", "'nme'", "did you mean 'name'?"),
                ("incidents[1].while.health ('down')", "did you mean 'down'?"),
                ("incidents[1].unless_open ('down')", "'node lst'"),
                ("mutes[1].from ('night')", "'2am'"),
                ("tests[1].steps[1].state ('t')", "did you mean 'Running'?"),
            )
        ):
            for word in words:
                self.assertIn(word, lines[number])

    def test_the_environment_alone(self) -> None:
        result = self.check(**CREDENTIALS)
        self.assertEqual(result.exit_code, 0)
        self.assertTrue(
            result.stdout.startswith("the environment: no mistakes (watched streams: 1, ")
        )

    def test_no_credentials(self) -> None:
        result = self.check()
        self.assertEqual(result.exit_code, 1)
        self.assertEqual(result.stderr, f"the environment: streams.main: {NO_CREDENTIALS}\n")

    def test_a_config_whose_notifiers_are_all_off(self) -> None:
        text = GOOD.replace('[notifiers.console]\nkind = "console"\n', "").replace(
            "console", "slack"
        )
        result = self.check("-c", self.write(text), **CREDENTIALS)
        self.assertEqual(result.exit_code, 0)
        self.assertTrue(
            result.stdout.endswith(
                "notifier slack is off: SLACK_URL is not set\n"
                "nobody will be told anything: no rule names a notifier that is on\n"
            )
        )

    def test_an_option_that_there_is_not(self) -> None:
        self.assertEqual(self.check("--colour").exit_code, 2)

    def test_it_takes_less_than_a_second(self) -> None:
        """From the start of the process to its end; of a CPU, as others may run beside."""
        docker = ROOT / "tutumwatch/config/docker.toml"
        text = docker.read_text("utf-8").replace(
            "[streams.main]", '[streams.main]\nurl = "ws://127.0.0.1:9/v1/events"', 1
        )
        command = [sys.executable, "-m", "tutumwatch", "check", "-c", self.write(text)]
        set_environment(self, {"HOME": "/nonexistent", **CREDENTIALS})
        took: list[float] = []
        for _ in range(2):
            before = os.times()
            ran = subprocess.run(command, capture_output=True, cwd=ROOT, timeout=60, check=False)
            after = os.times()
            took.append(sum(after[2:4]) - sum(before[2:4]))
            self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertLess(min(took), 1.0)


class PerformedTests(CheckTestCase):
    """The tests of a file are performed."""

    def test_all_as_expected(self) -> None:
        self.assertEqual(self.lines(f"{RULES}{TEST}"), ["1 test: all as expected"])

    def test_one_fails(self) -> None:
        line = RULES.count("\n") + 1
        text = f"{RULES}{TEST.replace('2m', '3m')}"
        path = self.write(text)
        result = self.check("-c", path, **CREDENTIALS)
        self.assertEqual((result.exit_code, len(result.stdout.splitlines())), (1, 1))
        self.assertEqual(
            result.stderr,
            f"{path}:{line}: test 'a service that is down is paged' failed "
            "(- expected and not said, + said and not expected)\n"
            "  ops: 1 expected, 1 said\n"
            "    - at 3 min 0 s trigger: *\n"
            "    + at 2 min 0 s trigger 'service down': service web 0/1 running "
            "(key 'service down/main/service/web')\n"
            "1 of 1 test failed\n",
        )

    def test_of_what_is_built_in(self) -> None:
        """No file, no line."""
        result = self.check(**CREDENTIALS)
        self.assertNotIn("failed", result.stderr)


class RoutesTests(CheckTestCase):
    """``--routes``: who is told of what."""

    def routes(self, *words: str) -> list[str]:
        """Give what is said of something."""
        return self.lines(RULES, "--routes", *words)

    def test_of_a_service_in_a_stack(self) -> None:
        self.assertEqual(
            self.routes("stack=shop", "service=web"),
            [
                "rule          notify  told",
                "service news  news    ops",
                "service down  page    ops",
                "2 of 4 rules are not about it",
            ],
        )
        lines = self.routes("stack=pay-1", "service=web")
        self.assertEqual(
            lines[1:3], ["service news  news    pay", "service down  page    pay, ops"]
        )

    def test_what_it_depends_on(self) -> None:
        lines = self.routes("service=web")
        self.assertIn("service news  news    pay, ops (depends on stack.name)", lines)

    def test_by_name_and_by_role(self) -> None:
        lines = self.routes("type=node", "name=n1", "stack=x")
        self.assertEqual(
            lines,
            [
                "rule       notify   told",
                "node news  news     ops",
                "node news  by name  console",
                "3 of 4 rules are not about it",
            ],
        )

    def test_what_no_rule_is_about(self) -> None:
        lines = self.routes("container=cron-1")
        self.assertEqual(lines, ["ignored: ignore[1] matches", "4 of 4 rules are not about it"])

    def test_of_a_stack_itself(self) -> None:
        """Of a stack ``stack.name`` is its name, whichever way it is named."""
        rules = RULES.replace('type = "service", changed', 'type = "stack", changed')
        for words in (
            ("stack=pay-1",),
            ("type=stack", "name=pay-1"),
            ("type=stack", "stack=pay-1"),
        ):
            lines = self.lines(rules, "--routes", *words)
            self.assertEqual(lines[1], "service news  news    pay")

    def test_of_a_service_its_name_is_known(self) -> None:
        """Whichever way a rule asks for it."""
        for name, count in (("web", 2), ("db", 3)):
            rules = RULES.replace(
                'type = "service", changed', f'type = "service", name = "{name}", changed'
            )
            lines = self.lines(rules, "--routes", "service=web", "stack=shop")
            self.assertEqual(lines[-1], f"{count} of 4 rules are not about it")

    def test_what_is_not_understood(self) -> None:
        path = self.write(RULES)
        for arguments, what in (
            (("--routes",), "who is told of what?"),
            (("stack=shop",), "WORDS are for --routes"),
            (("--routes", "shop"), "WORDS: 'shop' says nothing"),
            (("--routes", "stak.name=x"), "did you mean 'stack.name'?"),
            (("--routes", "stack!=x"), "stack.name: one value is to be supposed"),
            (("--routes", "stack=x", "stack=y"), "stack.name: one value is to be supposed"),
        ):
            result = self.check("-c", path, *arguments, **CREDENTIALS)
            self.assertEqual(result.exit_code, 2)
            self.assertIn(what, result.stderr)


class NowTests(StoredFileTestCase):
    """``--against-now``, by what the store of a watcher has."""

    def known(self, name: str, running: int, type_: str = "service", **more: object) -> Resource:
        """Make a resource."""
        fields = {"running": running, "target": 1, **more}
        uri = f"/api/v1/{type_}/{name}/"
        return Resource(
            key=("main", type_, name),
            uri=uri,
            name=name,
            state="Running",
            parents=(),
            parents_complete=True,
            fields=fields,
            since=1.0,
            seen=1.0,
        )

    def keep(self, *resources: Resource, members: tuple[Member, ...] = ()) -> None:
        """Let the store have them."""
        records: dict[tuple[str, str], bytes | None] = {
            ("member", json.dumps([m.name[0], m.name[1]])): encode(m) for m in members
        }
        for name in (m.incident for m in members if m.phase.is_counted):
            records["incident", json.dumps(name)] = encode(OpenIncident(name, 1.0, (), name[1]))
        self.result_of(self.store.commit(Decisions(records=records), 5.0))
        self.result_of(self.store.checkpoint({r.key: r for r in resources}, 5.0))

    def now(self, *arguments: str, text: str = RULES) -> Result:
        """Run the command."""
        set_environment(self, {"HOME": str(self.folder), **CREDENTIALS})
        file = self.folder / "watch.toml"
        file.write_text(text, encoding="utf-8")
        return CliRunner().invoke(
            cli, ["check", "-c", str(file), "--against-now", "--store", self.path, *arguments]
        )

    def test_what_matches_and_what_would_open(self) -> None:
        self.keep(
            self.known("web", 1),
            self.known("api", 0),
            self.known("db", 0),
            self.known("cron-1", 0, "container"),
        )
        result = self.now()
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        lines = result.stdout.splitlines()[1:]
        self.assertEqual(lines[0], f"at present, as the store {self.path} knows it:")
        self.assertEqual(lines[1], "rule          matches  open  what")
        self.assertEqual(
            lines[2],
            "service news  3        -     may speak of service api, service db, service web",
        )
        self.assertEqual(lines[3], "node news     0        -")
        self.assertRegex(
            lines[4],
            r"^service down  2        0     service api would open in 1m 59s|2m, service db",
        )
        self.assertEqual(lines[5], "last resort   0        0")

    def test_what_waits_or_is_open_already(self) -> None:
        api, db, web = self.known("api", 0), self.known("db", 0), self.known("web", 0)

        def member(of: Resource, phase: Phase, withheld_by: str | None = None) -> Member:
            name = ("service down", of.key)
            incident = ("service down", f"service down/main/service/{of.name}")
            change = change_of("c", None, of)
            return Member(name, incident, phase, 1.0, change, withheld_by=withheld_by)

        self.keep(api, members=(member(api, Phase.OPEN),))
        (line,) = [x for x in self.now().stdout.splitlines() if x.startswith("service down")]
        self.assertEqual(line, "service down  1        1     service api is open")
        self.keep(
            api,
            db,
            web,
            members=(
                member(db, Phase.PENDING),
                member(web, Phase.PENDING, withheld_by="nights"),
                member(api, Phase.DISMISSED),
            ),
        )
        (line,) = [x for x in self.now().stdout.splitlines() if x.startswith("service down")]
        for what in (
            "service db would open at once",
            "service web is withheld by nights",
            "service api is excused",
        ):
            self.assertIn(what, line)

    def test_what_nobody_knows_is_counted_apart(self) -> None:
        unknown = Resource(("main", "container", "c"), "/api/v1/container/c/", state="Stopped")
        self.keep(unknown)
        text = RULES.replace('type = "service", health = ["degraded", "down"]', 'ended = "oom"')
        (line,) = [x for x in self.now(text=text).stdout.splitlines() if "service down" in x]
        self.assertTrue(line.startswith("service down  0 + 1?   0"), line)

    def test_a_store_that_is_not_there(self) -> None:
        result = self.now("--store", str(self.folder / "none"))
        self.assertEqual(result.exit_code, 1)
        self.assertIn("there is no store", result.stderr)


class _Platform(BaseHTTPRequestHandler):
    """Lists one service, two pages of nodes, and nothing else; or refuses."""

    is_refusing = False

    def do_GET(self) -> None:
        """Answer."""
        type_ = urlsplit(self.path).path.strip("/").split("/")[-1]
        offset = int(parse_qs(urlsplit(self.path).query)["offset"][0])
        objects = []
        total = {"service": 1, "node": 150}.get(type_, 0)
        for number in range(offset, min(total, offset + 100)):
            uri = f"/api/v1/{type_}/{type_}{number}/"
            down = {"running_num_containers": 0, "target_num_containers": 1}
            objects.append({"resource_uri": uri, "name": "web", "state": "Running", **down})
        body = json.dumps({"meta": {"total_count": total}, "objects": objects}).encode()
        self.send_response(503 if self.is_refusing else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


class AskedNowTests(CheckTestCase):
    """``--against-now`` without a store: the platform is asked, in a process as a reactor wants."""

    def ask(self, *, is_refusing: bool) -> subprocess.CompletedProcess[str]:
        """Run the command against a platform."""
        platform = type("_Here", (_Platform,), {"is_refusing": is_refusing})
        server = ThreadingHTTPServer(("127.0.0.1", 0), platform)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        rest = f'rest = "http://127.0.0.1:{server.server_port}"'
        text = RULES.replace("[streams.main]", f"[streams.main]\n{rest}", 1)
        kept = {name: value for name, value in os.environ.items() if "COVERAGE" in name}
        set_environment(self, {**kept, "HOME": str(self.folder()), **CREDENTIALS})
        return subprocess.run(
            [sys.executable, "-m", "tutumwatch", "check", "-c", self.write(text), "--against-now"],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=60,
            check=False,
        )

    def test_what_it_says(self) -> None:
        ran = self.ask(is_refusing=False)
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        lines = ran.stdout.splitlines()[1:]
        self.assertEqual(lines[0], "at present, as the platform says (there is no store yet):")
        self.assertTrue(lines[3].startswith("node news     150      -"), lines)
        self.assertIn("service web would open in", lines[4])

    def test_one_that_does_not_say(self) -> None:
        ran = self.ask(is_refusing=True)
        self.assertEqual(ran.returncode, 1)
        self.assertEqual(
            ran.stderr,
            "main: cannot list what there is: the REST API answered 503 to a list of stack\n",
        )
