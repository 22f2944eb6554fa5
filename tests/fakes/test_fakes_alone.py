"""Tests of the fakes as programs of their own, and of the shop that lives on the fake Tutum."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from itertools import islice
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.http_headers import Headers

import tests
from tests.fakes.clients import http_client, open_stream
from tests.fakes.pagerduty import V2_PATH
from tests.fakes.tutum import FakeTutum
from tests.fakes.tutum_events import StreamEvent
from tests.fakes.tutum_scenario import Shop, open_shop
from tests.fakes.tutum_stream import AUTH_MESSAGE
from tests.fakes.waiting import Conditions


class Program(ProcessProtocol):
    """A running program, and the lines that it has printed."""

    transport: IProcessTransport

    def __init__(self) -> None:
        self.printed = ""
        self.failed = ""
        self.has_ended = False
        self._conditions = Conditions(reactor, lambda: self.printed + self.failed)

    def lines(self, count: int) -> Deferred[list[str]]:
        """Return a Deferred that fires with the first lines when so many were printed."""
        waiter = self._conditions.when(lambda: self.printed.count("\n") >= count, 10.0)
        return waiter.addCallback(lambda _held: self.printed.splitlines()[:count])

    def ended(self) -> Deferred[None]:
        """Return a Deferred that fires when the program is no more."""
        return self._conditions.when(lambda: self.has_ended, 10.0)

    def outReceived(self, data: bytes) -> None:
        """Keep what is printed."""
        self.printed += data.decode()
        self._conditions.changed()

    def errReceived(self, data: bytes) -> None:
        """Keep what is complained of."""
        self.failed += data.decode()

    def processEnded(self, reason: Failure) -> None:
        """Note the end."""
        self.has_ended = True
        self._conditions.changed()


class StandaloneTests(TestCase):
    """``python -m tests.fakes.<name>``."""

    def start(self, name: str) -> Program:
        """Start a program, which is ended by a signal when the test ends."""
        program = Program()
        root = str(Path(tests.__file__).parent.parent)
        arguments = [sys.executable, "-m", f"tests.fakes.{name}"]
        reactor.spawnProcess(program, sys.executable, arguments, env=dict(os.environ), path=root)

        async def end() -> None:
            program.transport.signalProcess("TERM")
            await program.ended()

        self.addCleanup(lambda: Deferred.fromCoroutine(end()))
        return program

    async def test_slack_prints_its_url_and_the_texts(self) -> None:
        """The first line is the URL to post to."""
        program = self.start("slack")
        (url,) = await program.lines(1)
        response = await http_client(self).post(url, json={"text": "hello"})
        self.assertEqual(await response.text(), "ok")
        self.assertIn("hello", await program.lines(2))

    async def test_pagerduty_prints_its_url_and_the_events(self) -> None:
        """The first line is what ``PAGERDUTY_URL`` wants."""
        program = self.start("pagerduty")
        (url,) = await program.lines(1)
        body = {"routing_key": "k", "event_action": "resolve", "dedup_key": "tutum-stream"}
        response = await http_client(self).post(url + V2_PATH, json=body)
        await response.text()
        self.assertEqual(response.code, 202)
        self.assertIn("resolve tutum-stream: ", await program.lines(2))

    async def test_tutum_prints_its_url_and_lives(self) -> None:
        """The first line is the URL of both stream and REST; events come by themselves."""
        program = self.start("tutum")
        (url,) = await program.lines(1)
        client = await open_stream(self, f"{url.replace('http', 'ws')}/v1/events")
        await client.when(lambda stream: len(stream.messages) >= 2)
        self.assertEqual(client.messages[0], AUTH_MESSAGE)
        event: StreamEvent = json.loads(client.messages[1])
        headers = Headers({"Authorization": ["ApiKey user:key"]})
        response = await http_client(self).get(url + event["resource_uri"], headers=headers)
        self.assertEqual(json.loads(await response.text())["state"], event["state"])


class ShopTests(TestCase):
    """The scenario, a step at a time."""

    def setUp(self) -> None:
        """Make a Tutum that does not listen."""
        self.fake = FakeTutum(reactor)

    def test_objects_are_in_step_with_every_event(self) -> None:
        """The event's object has its state, and every parent exists."""
        for event in islice(Shop(self.fake).life(), 200):
            self.assertEqual(self.fake.objects[event["resource_uri"]]["state"], event["state"])
            for parent in event["parents"]:
                self.assertIn(parent, self.fake.objects)

    def test_a_life_is_repeatable_and_rich(self) -> None:
        """The same seed, the same events; all six types and the interesting states occur."""
        first, second = (list(islice(Shop(self.fake).life(), 200)) for _ in "ab")
        self.assertEqual(first, second)
        seen = Counter((event["type"], event["state"]) for event in first)
        for pair in (
            ("stack", "Partly running"),
            ("service", "Scaling"),
            ("service", "Redeploying"),
            ("container", "Stopped"),
            ("container", "Terminated"),
            ("node", "Deployed"),
            ("nodecluster", "Deployed"),
            ("action", "Success"),
        ):
            self.assertIn(pair, seen)

    def test_an_action_is_one_object_from_begin_to_end(self) -> None:
        """Its success is an update of what was created in progress."""
        actions = [
            event for event in islice(Shop(self.fake).life(), 200) if event["type"] == "action"
        ]
        begun, done = actions[:2]
        self.assertEqual((begun["state"], done["state"]), ("In progress", "Success"))
        self.assertEqual(begun["resource_uri"], done["resource_uri"])
        kept = self.fake.objects[done["resource_uri"]]
        self.assertEqual((kept["action"], kept["object"]), ("Service Start", done["parents"][0]))

    def test_a_crash_leaves_its_exit_code(self) -> None:
        """The object of a stopped container says why."""
        for event in Shop(self.fake).life():
            if (event["type"], event["state"]) == ("container", "Stopped"):
                break
        self.assertEqual(self.fake.objects[event["resource_uri"]]["exit_code"], 137)

    def test_the_clock_drives_it(self) -> None:
        """One event at once and one for each interval."""
        lines: list[str] = []
        self.fake.echo = lines.append
        clock = Clock()
        driver = open_shop(self.fake, clock, 1.0)
        clock.pump([1.0] * 4)
        self.assertEqual(len(lines), 5)
        self.assertTrue(lines[0].startswith("sent nodecluster create Deployed /api/v1/"))
        driver.stop()
        self.assertEqual(clock.getDelayedCalls(), [])
