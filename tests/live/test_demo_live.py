"""Tests of ``--demo`` as a newcomer sees it: a process, its console, its end."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from twisted.internet import reactor

from tests.live.programs import RunningProgram
from tests.live.running import PAGERDUTY_KEY, TOKEN, USER
from tests.live.test_twistd import RUN, TWISTD, ProgramTestCase
from tutumwatch.notifiers.slack import escape_mrkdwn

STATUS = "tcp:0:interface=127.0.0.1"
WATCHING = "watching 3 stacks, 9 services, 3 nodes"
WATCHING_MAX_SECONDS = 5.0
# With its imports, and other tests beside it on the same processor.
START_MAX_SECONDS = 10.0
DEPLOY_ENDS = re.compile(r"\S+ (\d)/\1 running, image \S+ -> \S+, deployed.*\n")


class DemoTestCase(ProgramTestCase):
    """Starts demos; whatever they print names things as people do."""

    def start_demo(
        self, *options: str, command: Sequence[str] = RUN, **variables: str
    ) -> RunningProgram:
        """Start a demo, by default with nothing in its environment."""
        given = {"TUTUMWATCH_STATUS": STATUS, **variables}
        program = self.run_program([*command, "--demo", *options], **given)
        self.addCleanup(self.assert_names_only, program)
        return program

    def assert_names_only(self, program: RunningProgram) -> None:
        """Fail if any line has a platform's word for something, or a traceback."""
        # Where Python lies is the user's choice.
        said = program.output.replace(str(Path(sys.executable).parent), "")
        self.assertNotRegex(said, r"(?i)tutum(?!watch|bridge)")
        self.assertNotIn("/api/", said)
        self.assertNotIn("Traceback", said)

    def has_told(self, count: int) -> Callable[[RunningProgram], bool]:
        """Give the condition that the end of so many deploys was told."""
        return lambda program: len(DEPLOY_ENDS.findall(program.printed)) >= count

    async def rounds(self, program: RunningProgram, count: int) -> list[str]:
        """Play some rounds one by one, and give what was told of them."""
        for number in range(count):
            program.transport.signalProcess(signal.SIGUSR1)
            await program.when(self.has_told(number + 1))
        told = program.printed.partition(WATCHING)[2].splitlines()
        return [line.partition("Z ")[2] for line in told[1:]]


class DemoTests(DemoTestCase):
    """Two words, and there is something to see."""

    async def test_it_watches_within_seconds_and_plays_a_round_when_asked(self) -> None:
        begun = reactor.seconds()
        program = self.start_demo("--rate", "0")
        await program.says("watching stream main at 127.0.0.1:")
        first_line = reactor.seconds()
        await program.says(WATCHING)
        self.assertLess(reactor.seconds() - first_line, WATCHING_MAX_SECONDS)
        self.assertLess(reactor.seconds() - begun, START_MAX_SECONDS)
        self.assertIn("stream main connected", program.printed)
        told = await self.rounds(program, 1)
        self.assertEqual(told, ["shop/web 3/3 running, image 2.0 -> 2.7, deployed"])
        self.assertLess(await program.end("TERM"), 5.0)
        self.assertEqual(program.complained, "")
        self.assertEqual(list(self.cwd.iterdir()), [])

    async def test_it_lives(self) -> None:
        """At 40 events a second; tests/scenarios has what is told at 2, the default."""
        program = self.start_demo("--rate", "40")
        await program.when(self.has_told(2))
        for said in (" bad deploy: ", " bad deploy is over: ", " crash loop: "):
            await program.says(said)
        self.assertLess(await program.end("INT"), 5.0)

    async def test_under_twistd(self) -> None:
        program = self.start_demo("--rate", "0", command=TWISTD)
        await program.says(WATCHING)
        await self.rounds(program, 1)
        self.assertLess(await program.end("TERM"), 5.0)

    async def test_a_seed_is_a_story(self) -> None:
        """The same one each time, and another one for another seed."""
        programs = [self.start_demo("--rate", "0", "--seed", seed) for seed in ("7", "7", "8")]
        for program in programs:
            await program.says(WATCHING)
        stories = [await self.rounds(program, 3) for program in programs]
        self.assertEqual([len(story) for story in stories], [3, 3, 3])
        self.assertEqual(stories[0], stories[1])
        self.assertNotEqual(stories[0], stories[2])

    async def test_two_at_once(self) -> None:
        """Each has a port of its own."""
        programs = [self.start_demo("--rate", "0") for _ in range(2)]
        for program in programs:
            await program.says(WATCHING)


class OthersTests(DemoTestCase):
    """What else is in the environment, and what is wrong."""

    async def test_a_real_platforms_variables_stay_where_they_are(self) -> None:
        """Nobody asks that platform anything, and the bridge is not told its credentials."""
        folder = self.folder()
        (folder / "key").write_text("k3y-0f-the-r3al-0ne")
        self.secrets.append("k3y-0f-the-r3al-0ne")
        program = self.start_demo(
            "--rate",
            "0",
            SLACK_URL="",
            PAGERDUTY_KEY="",
            TUTUM_STREAM_HOST=self.tutum.stream_host,
            TUTUM_REST_HOST=self.tutum.rest_url,
            TUTUM_USERNAME=USER,
            TUTUM_TOKEN=TOKEN,
            TUTUM_AUTH="ApiKey real:k3y-0f-the-r3al-0ne",
            TUTUM_USER="real",
            TUTUM_APIKEY_FILE=str(folder / "key"),
            TUTUM_STREAM_URL=self.tutum.stream_host,
            TUTUM_BASE_URL=self.tutum.rest_url,
        )
        await program.says(WATCHING)
        await program.end()
        self.assertEqual((self.tutum.connections, self.tutum.requests), ([], []))
        self.assertNotIn(str(self.tutum.port), program.output)

    async def test_slack_and_pagerduty_are_told_where_they_are_set(self) -> None:
        """The same names; and PagerDuty has nothing to open."""
        program = self.start_demo(
            "--rate",
            "0",
            SLACK_URL=self.slack.url,
            PAGERDUTY_KEY=PAGERDUTY_KEY,
            PAGERDUTY_URL=self.pagerduty.url,
        )
        await program.says(WATCHING)
        told = await self.rounds(program, 2)
        await self.slack.when(lambda fake: len(fake.texts) == len(told))
        self.assertEqual(self.slack.texts, list(map(escape_mrkdwn, told)))
        self.assertEqual(self.pagerduty.open_keys(), [])

    async def test_a_rate_or_seed_that_is_none(self) -> None:
        for command, status in ((RUN, 1), (TWISTD, 1)):
            program = self.run_program([*command, "--demo", "--rate", "10001"])
            await program.when(lambda ended: ended.exit_code is not None)
            self.assertEqual(program.exit_code, status)
            self.assertIn("--rate must be from 0 to 10000, not 10001.0", program.output)
            self.assertNotIn("Traceback", program.output)
