"""Tests of ``tutumwatch send-test``: the real command, against servers on this machine."""

from __future__ import annotations

import re
import sys
from typing import cast

from click.testing import CliRunner, Result
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from tests.config.cases import CREDENTIALS, FilesTestCase, set_environment
from tests.fakes.answers import Answer
from tests.fakes.tls import make_tls
from tests.live.programs import RunningProgram, start_program
from tests.live.running import PAGERDUTY_KEY, LiveTestCase
from tutumwatch.cli.main import cli
from tutumwatch.cli.send_test import TEXT, send_test
from tutumwatch.config.environment import Environment
from tutumwatch.config.load import load_configuration

SEND_TEST = [sys.executable, "-m", "tutumwatch", "send-test"]
OFF = """\
[streams.main]
[notifiers.console]
kind = "console"
[notifiers.slack]
kind = "slack"
url = "${SLACK_URL}"
optional = true
[notifiers.pd]
kind = "pagerduty"
key = "${PAGERDUTY_KEY}"
optional = true
"""
WITH_V2 = '[streams.main]\n[notifiers.pd]\nkind = "pagerduty"\nkey = "{key}"\nhost = "{host}"\n'
WITH_TLS = '[streams.main]\n[notifiers.s]\nkind = "slack"\nurl = "{url}"\nca_file = "{ca_file}"\n'


class SendTestTestCase(LiveTestCase):
    """Runs the command, as its users do, and checks all that it writes for secrets."""

    async def sent(self, *arguments: str, **variables: str) -> tuple[int | None, list[str]]:
        """Give exit status and lines; what took a while shows as ``N ms``, a time as ``TIME``."""
        program = await self.ended(*arguments, **variables)
        self.assertEqual(program.complained, "")
        printed = re.sub(r"\b\d+ ms", "N ms", program.printed)
        printed = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", "TIME", printed)
        return program.exit_code, printed.splitlines()

    async def ended(self, *arguments: str, **variables: str) -> RunningProgram:
        """Run the command to its end."""
        environment = {**self.variables(), **variables}
        program = start_program([*SEND_TEST, *arguments], environment, self.folder())
        self.addCleanup(lambda: Deferred.fromCoroutine(program.end("KILL")))
        await program.when(lambda running: running.exit_code is not None)
        self.outputs.append(program.output)
        return program

    def write(self, text: str) -> str:
        """Write a configuration, and give its path."""
        path = self.folder() / "watch.toml"
        path.write_text(text, "utf-8")
        return str(path)


class DeliveredTests(SendTestTestCase):
    """What is well says so: outcome, time, and what the destination said."""

    async def test_all_that_are_on(self) -> None:
        """PagerDuty gets an incident of its own, which is over at once."""
        status, lines = await self.sent()
        self.assertEqual(
            lines,
            [
                f"TIME {TEXT}",
                "console: delivered in N ms",
                "slack: delivered in N ms: 200 ok",
                (
                    'pagerduty (trigger): delivered in N ms: 200 {"status": "success", '
                    f'"message": "Event processed", "incident_key": "{self.key()}"}}'
                ),
                (
                    'pagerduty (resolve): delivered in N ms: 200 {"status": "success", '
                    f'"message": "Event processed", "incident_key": "{self.key()}"}}'
                ),
            ],
        )
        self.assertEqual(status, 0)
        self.assertEqual(self.slack.texts, [TEXT])
        self.assertEqual([e["event_type"] for e in self.pagerduty.events], ["trigger", "resolve"])
        self.assertEqual(self.pagerduty.open_keys(), [])
        self.assertEqual(self.tutum.connections, [])

    def key(self) -> str:
        """Give the key of the incident that was opened."""
        return str(self.pagerduty.events[0]["incident_key"])

    async def test_the_text_is_harmless_and_says_what_it_is(self) -> None:
        self.assertEqual(TEXT, "This is a test of tutumwatch; nothing happened.")

    async def test_one_by_its_name(self) -> None:
        status, lines = await self.sent("slack")
        self.assertEqual((status, lines), (0, ["slack: delivered in N ms: 200 ok"]))
        self.assertEqual((self.slack.texts, self.pagerduty.requests), ([TEXT], []))

    async def test_twice_are_two_incidents(self) -> None:
        """Else PagerDuty would put the second test into the first one's history."""
        path = self.write(WITH_V2.format(key=PAGERDUTY_KEY, host=self.pagerduty.url))
        for _ in range(2):
            status, lines = await self.sent("-c", path)
            self.assertEqual((status, len(lines)), (0, 2), lines)
        said = [(e["event_action"], e["dedup_key"]) for e in self.pagerduty.events]
        first, second = said[0][1], said[2][1]
        self.assertEqual(
            said,
            [("trigger", first), ("resolve", first), ("trigger", second), ("resolve", second)],
        )
        self.assertNotEqual(first, second)
        payload = cast("dict[str, object]", self.pagerduty.events[0]["payload"])
        self.assertEqual((payload["summary"], payload["severity"]), (TEXT, "info"))
        self.assertEqual(self.pagerduty.open_keys(), [])


class NotDeliveredTests(SendTestTestCase):
    """What is not well says what it is, and what would become of a real notice; status 1."""

    async def test_a_wrong_webhook(self) -> None:
        wrong = f"{self.slack.base_url}/services/T0AAAAAAA/B0BBBBBBB/wr0ngS3cr3tT0k3n"
        self.secrets += [wrong, "wr0ngS3cr3tT0k3n"]
        status, lines = await self.sent("slack", SLACK_URL=wrong)
        self.assertEqual(status, 1)
        self.assertEqual(
            lines,
            [
                (
                    "slack: NOT delivered (credential refused: all would wait until that is put right)"
                    " in N ms: 404 no_service"
                )
            ],
        )

    async def test_nobody_listens(self) -> None:
        """The others are tried all the same."""
        await self.slack.refuse_connections()
        status, lines = await self.sent()
        self.assertEqual(status, 1)
        self.assertEqual([line.partition(" ")[0] for line in lines[1:]], ["console:", "slack:", "pagerduty", "pagerduty"])  # fmt: skip
        self.assertEqual(
            lines[2],
            "slack: NOT delivered (no connection: it would be tried again) in N ms: "
            "Connection was refused by other side: 111: Connection refused",
        )

    async def test_a_payload_that_is_refused(self) -> None:
        self.slack.answer_next(Answer(400, "invalid_payload"))
        status, lines = await self.sent("slack")
        self.assertEqual(
            (status, lines),
            (
                1,
                [
                    (
                        "slack: NOT delivered (request refused: it would be given up) in N ms: "
                        "400 invalid_payload"
                    )
                ],
            ),
        )

    async def test_a_server_that_repeats_the_request(self) -> None:
        """Many answer ``Cannot POST /the/path``, and a webhook's path is its credential."""
        for answer in (
            Answer(404, f"Cannot POST {self.slack.secret_path}"),
            Answer(200, f'ok {{"url": "{self.slack.url}"}}'),
        ):
            self.slack.answer_next(answer)
            status, (line,) = await self.sent("slack")
            self.assertEqual(status, 1)
            self.assertIn("[hidden]", line)

    async def test_a_trigger_that_fails_is_resolved_all_the_same(self) -> None:
        """It may have been accepted before it failed."""
        self.pagerduty.answer_next(Answer(status=500, body="oops", processes=True))
        status, lines = await self.sent("pagerduty")
        self.assertEqual(status, 1)
        self.assertEqual(
            lines[0],
            "pagerduty (trigger): NOT delivered (server failed: it would be tried again) in N ms: "
            "500 oops",
        )
        self.assertTrue(lines[1].startswith("pagerduty (resolve): delivered in N ms: 200 "), lines)
        self.assertEqual(self.pagerduty.open_keys(), [])

    async def test_a_certificate_that_nobody_vouches_for(self) -> None:
        """Whether ``ca_file`` is right is what one wants to try."""
        files = make_tls(self.folder())
        await self.slack.stop()
        self.slack = await type(self.slack).listen(reactor, 0, files.good.context_factory())
        self.addCleanup(lambda: Deferred.fromCoroutine(self.slack.stop()))
        ca_file = str(files.ca)
        good = self.write(WITH_TLS.format(url=self.slack.url, ca_file=ca_file))
        self.assertEqual(await self.sent("-c", good), (0, ["s: delivered in N ms: 200 ok"]))
        status, (line,) = await self.sent("slack", SLACK_URL=self.slack.url)
        self.assertEqual(status, 1)
        self.assertIn("NOT delivered (no connection", line)
        self.assertIn("certificate", line)


class NobodyTests(FilesTestCase):
    """A name that is not on: what is on, and why the others are not."""

    def invoke(self, *arguments: str, **variables: str) -> Result:
        """Run the command in an environment of its own."""
        set_environment(self, {"HOME": "/nonexistent", **CREDENTIALS, **variables})
        result = CliRunner().invoke(cli, ["send-test", *arguments])
        self.assertEqual((result.exit_code, result.stdout), (1, ""))
        return result

    def test_one_that_is_off(self) -> None:
        result = self.invoke("slack", "-c", self.write(OFF), PAGERDUTY_KEY=PAGERDUTY_KEY)
        self.assertEqual(
            result.stderr,
            "no notifier 'slack' is on; on: console, pd; off: slack (SLACK_URL is not set)\n",
        )

    def test_one_that_there_is_not(self) -> None:
        result = self.invoke("slck", "-c", self.write(OFF))
        self.assertEqual(
            result.stderr,
            "no notifier 'slck' is on (did you mean 'slack'?); on: console; "
            "off: slack (SLACK_URL is not set); off: pd (PAGERDUTY_KEY is not set)\n",
        )

    def test_none_at_all(self) -> None:
        only_slack = OFF.replace('[notifiers.console]\nkind = "console"\n', "").partition("[notifiers.pd")[0]  # fmt: skip
        path = self.write(only_slack)
        self.assertEqual(
            self.invoke("-c", path).stderr,
            "no notifier is on; off: slack (SLACK_URL is not set)\n",
        )
        self.assertEqual(
            self.invoke("pd", "-c", path).stderr,
            "no notifier 'pd' is on; on: none; off: slack (SLACK_URL is not set)\n",
        )

    def test_a_mistake_in_the_configuration(self) -> None:
        path = self.write("[streams.main]\n[notifiers.x]\n")
        self.assertIn(f"{path}:2: notifiers.x: the key 'kind' is missing", self.invoke("-c", path).stderr)  # fmt: skip


class OutcomeTests(LiveTestCase):
    """In this process, for what takes too long outside."""

    async def test_it_says_whether_all_were_delivered(self) -> None:
        configuration = load_configuration(None, Environment(self.variables(), self.folder()))
        said: list[str] = []
        self.assertTrue(await send_test(configuration.notifiers, reactor, said.append))
        self.slack.answer_always(Answer.throttled(30))
        self.assertFalse(await send_test(configuration.notifiers, reactor, said.append))
        self.outputs += said
        self.assertEqual(len(said), 8)
        self.assertIn("(asked to slow down: it would be tried again)", said[5])
        self.assertEqual(self.pagerduty.open_keys(), [])
