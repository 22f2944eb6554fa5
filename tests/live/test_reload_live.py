"""Going over to another configuration: on real sockets, and by a real SIGHUP."""

from __future__ import annotations

import signal
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.logger import formatEvent

from tests.fakes.answers import Answer
from tests.fakes.tutum import FakeTutum
from tests.fakes.tutum_events import container_event, new_uuid
from tests.live.programs import RunningProgram
from tests.live.running import PD, SLACK, USER, LiveTestCase, stop, until
from tests.live.test_twistd import RUN, TWISTD, ProgramTestCase
from tutumwatch.config.environment import Environment
from tutumwatch.config.load import load_configuration

MAIN = """
last_resort = false

[status]
listen = "${TUTUMWATCH_STATUS}"

[streams.main]
"""
LAB = """
[streams.lab]
url = "LAB_STREAM"
rest = "LAB_REST"
"""
BOXES = """
[[messages]]
name = "box"
match = { type = "container" }
notify = ["slack"]
text = "box {{ state }}"
"""
DOWN = """
[[incidents]]
name = "stream down"
while = { type = "stream", state = "!Connected" }
for = "0s"
clear_for = "0s"
notify = ["slack"]
text = "down: {{ reason }}"
resolve_text = "back"
"""
ALL = MAIN + SLACK + BOXES


class InProcessTests(LiveTestCase):
    """The watcher in this process; what changes is seen by the servers around it."""

    def begin_reload(self, configuration: str) -> Deferred[None]:
        """Let the watcher go over to another configuration."""
        path = self.home / "tutumwatch.toml"
        path.write_text(configuration, "utf-8")
        environment = Environment(self.variables(), self.home)
        return self.watch.reload(lambda: load_configuration(str(path), environment))

    async def reload(self, configuration: str) -> None:
        """See :meth:`begin_reload`; wait until it is done."""
        await self.begin_reload(configuration)

    async def start_with(self, configuration: str) -> None:
        """Start the watcher and wait until it is connected, and has caught up."""
        self.start(configuration)
        await self.tutum.when(lambda fake: fake.connection_count == 1)
        await until(lambda: self.is_said("watching"), what="it has caught up")

    def is_said(self, words: str) -> bool:
        """Say whether words were logged."""
        return any(words in formatEvent(event) for event in self.log.events)

    async def tell(self, fake: FakeTutum, state: str) -> None:
        """Let a platform tell of a container, and wait until Slack knows."""
        fake.send(container_event(new_uuid(), action="update", state=state))
        await self.slack.when(lambda slack: any(state in text for text in slack.texts))

    async def start_lab(self) -> tuple[FakeTutum, str]:
        """Start another platform; give it, and the table that has it watched."""
        lab = await FakeTutum.listen(reactor)
        self.addCleanup(stop, lab)
        lab.expect(*self.account())
        table = LAB.replace("LAB_STREAM", lab.stream_url).replace("LAB_REST", lab.rest_url)
        return lab, table

    def account(self) -> tuple[str, str]:
        """Give user and token of the platforms."""
        return USER, self.variables()["TUTUM_TOKEN"]

    async def test_other_rules_leave_the_stream_alone(self) -> None:
        await self.start_with(ALL)
        await self.tell(self.tutum, "Starting")
        await self.reload(ALL.replace('"box {{', '"BOX {{'))
        await self.tell(self.tutum, "Running")
        self.assertEqual(self.slack.texts, ["box Starting", "BOX Running"])
        self.assertEqual(len(self.tutum.handshakes), 1)
        self.assertTrue(self.is_said("reload: ~ rule 'box' (text), 0 rules unchanged; 0 incidents"))

    async def test_a_stream_with_another_token_is_dialled_anew(self) -> None:
        """What its platform told meanwhile is found, and nothing is told as down for longer."""
        await self.start_with(ALL + DOWN)
        token = "an0ther-t0ken-of-the-platform"
        self.secrets.append(token)
        self.tutum.expect(USER, token)
        await self.reload(
            (ALL + DOWN).replace(
                "[streams.main]", f'[streams.main]\nuser = "{USER}"\napikey = "{token}"'
            )
        )
        await self.tutum.when(lambda fake: len(fake.handshakes) == 2 and fake.connection_count == 1)
        await self.tell(self.tutum, "Running")
        await until(lambda: "back" in self.slack.texts, what="the stream is told as back")
        self.assertEqual(self.slack.texts[:1], ["down: dialled anew: its settings were changed"])
        self.assertTrue(self.is_said("~ stream main (credentials)"))
        await self.tutum.when(
            lambda fake: any("/action/" in asked.path for asked in fake.list_requests)
        )

    async def test_a_second_stream_comes_and_goes(self) -> None:
        lab, table = await self.start_lab()
        await self.start_with(ALL)
        await self.reload(ALL + table)
        await lab.when(lambda fake: fake.connection_count == 1)
        await self.tell(lab, "Starting")
        await self.tell(self.tutum, "Running")
        await self.reload(ALL)
        self.assertEqual(lab.connection_count, 0)
        await self.tell(self.tutum, "Stopped")
        self.assertEqual(len(self.tutum.handshakes), 1)
        self.assertEqual(list((await self.health_fields())["streams"]), ["main"])

    async def health_fields(self) -> dict[str, dict[str, object]]:
        """Give the health."""
        _, fields = await self.health()
        return fields

    async def test_a_notifier_comes_with_what_waits_for_it(self) -> None:
        """It was on before, and away for a while; nothing of it is lost, and nothing doubled."""
        both = MAIN + SLACK + PD + BOXES.replace('"slack"', '"slack", "pd"')
        self.pagerduty.answer_always(Answer(503, "down"))
        await self.start_with(both)
        await self.tell(self.tutum, "Starting")
        await self.pagerduty.when(lambda fake: len(fake.requests) >= 1)
        await self.reload(ALL)
        self.assertTrue(self.is_said("notifier pd is removed; 1 notices for it are kept"))
        fields = await self.health_fields()
        self.assertEqual(fields["notifiers"]["pd"]["state"], "off")  # type: ignore[index] # JSON
        self.pagerduty.answer_ok()
        await self.tell(self.tutum, "Running")
        self.assertEqual(self.pagerduty.events, [])
        await self.reload(both)
        await self.pagerduty.when(lambda fake: len(fake.events) == 1)
        await self.tell(self.tutum, "Stopped")
        await self.pagerduty.when(lambda fake: len(fake.events) == 2)
        self.assertEqual(
            [event["payload"]["summary"] for event in self.pagerduty.events],  # type: ignore[index] # JSON
            ["box Starting", "box Stopped"],
        )

    async def test_a_reload_does_not_keep_it_from_ending(self) -> None:
        await self.start_with(MAIN + SLACK + PD + BOXES.replace('"slack"', '"slack", "pd"'))
        self.pagerduty.answer_always(Answer(delay_seconds=30.0))
        await self.tell(self.tutum, "Running")
        await self.pagerduty.when(lambda fake: len(fake.requests) >= 1)
        done = self.begin_reload(ALL)
        begun = reactor.seconds()
        await self.watch.stopService()
        await done
        self.assertLess(reactor.seconds() - begun, 5.0)


class SignalTests(ProgramTestCase):
    """A process of its own, and SIGHUP."""

    async def run_file(self, arguments: list[str], configuration: str) -> RunningProgram:
        """Run the watcher with a file, and wait until it is connected."""
        self.path = Path(self.write(configuration))
        program = self.run_program([*arguments, "--config", str(self.path)], **self.variables())
        await self.tutum.when(lambda fake: fake.connection_count == 1, timeout_seconds=30)
        return program

    async def reload(self, program: RunningProgram, configuration: str, says: str) -> None:
        """Write another file, send SIGHUP and wait for some words."""
        self.path.write_text(configuration, "utf-8")
        program.transport.signalProcess(signal.SIGHUP.name.removeprefix("SIG"))
        await program.says(says)

    async def tell(self, state: str) -> None:
        """Let the platform tell of a container, and wait until Slack knows."""
        self.tutum.send(container_event(new_uuid(), action="update", state=state))
        await self.slack.when(lambda slack: any(state in text for text in slack.texts))

    async def test_rules_and_mistakes(self) -> None:
        """Every mistake is told, and all goes on; the next file is taken."""
        program = await self.run_file(RUN, ALL)
        wrong = ALL.replace("type = ", "tipe = ").replace("kind = ", "kin = ")
        await self.reload(program, wrong, "reload failed: nothing is changed")
        for words in (
            "'tipe' is no known field (did you mean 'type'?)",
            "the key 'kind' is missing",
        ):
            self.assertIn(words, program.output)
        _, fields = await self.health_of(program)
        self.assertEqual(fields["reload"]["state"], "failed")
        self.assertIn(f"{self.path}:", fields["reload"]["reason"])
        await self.tell("Starting")
        await self.reload(program, ALL.replace('"box {{', '"BOX {{') + DOWN, "is in effect")
        self.assertIn(
            "reload: + rule 'stream down', ~ rule 'box' (text), 0 rules unchanged; "
            "0 incidents will resolve, 0 will open",
            program.output,
        )
        _, fields = await self.health_of(program)
        self.assertEqual(fields["reload"]["state"], "ok")
        await self.tell("Running")
        self.assertEqual(self.slack.texts, ["box Starting", "BOX Running"])
        self.assertEqual(len(self.tutum.handshakes), 1)
        await program.end()
        self.assertNotIn("Traceback", program.output)

    async def test_an_open_incident_of_a_rule_that_is_removed_is_closed(self) -> None:
        program = await self.run_file(TWISTD, ALL + DOWN)
        self.tutum.answer_always(Answer(503, "down"))
        self.tutum.drop()
        await self.slack.when(lambda slack: any("down: " in text for text in slack.texts))
        await self.reload(program, ALL, "1 incident will resolve, 0 will open")
        await self.slack.when(lambda slack: len(slack.texts) == 2)
        self.assertIn("its rule was removed", self.slack.texts[1])
        await program.end()

    async def test_an_open_incident_under_another_name_and_for_others(self) -> None:
        """It stays the same one; who is told of it no more sees its end, and nobody sees two."""
        paging = (ALL + PD + DOWN).replace(
            'notify = ["slack"]\ntext = "down', 'notify = ["pd"]\ntext = "down'
        )
        program = await self.run_file(RUN, paging)
        self.tutum.answer_always(Answer(503, "down"))
        await self.tutum.refuse_connections()
        await self.pagerduty.when(lambda fake: len(fake.open_keys()) == 1)
        (key,) = self.pagerduty.open_keys()
        renamed = paging.replace('"stream down"', '"blind"\nwas = "stream down"')
        await self.reload(program, renamed, "0 incidents will resolve, 0 will open")
        elsewhere = renamed.replace('notify = ["pd"]', 'notify = ["slack"]')
        await self.reload(program, elsewhere, "~ rule 'blind'")
        await self.pagerduty.when(lambda fake: fake.open_keys() == [])
        await self.slack.when(lambda fake: len(fake.texts) == 1)
        self.assertIn("down: ", self.slack.texts[0])
        await self.tutum.resume()
        await self.slack.when(lambda fake: "back" in fake.texts, timeout_seconds=30)
        await program.end()
        self.assertEqual(self.pagerduty.opened_count(key), 1)
        self.assertEqual(len(self.slack.texts), 2)
        self.assertNotIn("Traceback", program.output)

    async def test_the_simulated_cloud_of_a_demo_is_the_same_one(self) -> None:
        """The port that is bound is known, although it is another's by now."""
        self.path = Path(self.write(ALL))
        arguments = [*RUN, "--demo", "--rate", "0", "--config", str(self.path)]
        program = self.run_program(arguments, **self.variables())
        await program.says("watching 3 stacks")
        elsewhere = ALL.replace(
            "[streams.main]", '[streams.main]\nurl = "ws://real.example/v1/events"'
        )
        await self.reload(program, elsewhere, "watches something else")
        await self.reload(program, ALL + DOWN, "is in effect")
        self.assertNotIn("Traceback", program.output)
        await program.end()
