"""Tests of going over to another configuration while everything runs; the network is a stand-in."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError  # noqa: A004 - the reactor's own
from twisted.logger import formatEvent
from twisted.python.failure import Failure

from tests.fakes.tls import make_tls
from tests.outbox.cases import UNWRITABLE, FaultyStore, memory_store
from tests.secrets_check import find_leaks
from tests.test_assembly import BOX, AssemblyTestCase
from tutumwatch.config.plans import Configuration
from tutumwatch.events.inputs import Input, Link, LinkType
from tutumwatch.outbox.gate import State
from tutumwatch.outbox.outbox import Outbox
from tutumwatch.outbox.sqlite.codec import decode_notice
from tutumwatch.root import Watch
from tutumwatch.sources import DIALLED_ANEW
from tutumwatch.status.service import StatusService
from tutumwatch.stream.service import StreamService
from tutumwatch.watch import Pipeline

STREAM_PORTS = 9000
WEBHOOK = "s3cr3t-w3bh00k"
STREAM = """
[status]
listen = "off"
[streams.main]
url = "ws://stream.example:9001/v1/events"
auth = "Basic eA=="
"""
LAB = """
[streams.lab]
url = "ws://lab.example:9002/v1/events"
auth = "Basic eA=="
"""
SLACK = f"""
[notifiers.slack]
kind = "slack"
url = "http://slack.example/{WEBHOOK}"
"""
PD = """
[notifiers.pd]
kind = "pagerduty"
key = "9a1b2c3d4e5f60718293a4b5c6d7e8f9"
"""
BOXES = """
[[messages]]
name = "box"
match = { type = "container" }
notify = ["slack"]
text = "{{ state }}"
"""
DOWN = """
[[incidents]]
name = "stream down"
while = { type = "stream", state = "!Connected" }
for = "0s"
notify = ["slack"]
"""
TO_BOTH = DOWN.replace('"slack"', '"slack", "pd"')
ALL = STREAM + SLACK + BOXES + DOWN


class ChangeoverTestCase(AssemblyTestCase):
    """Runs watches; what they dial and call is seen at the reactor, and is never answered."""

    watch: Watch

    def begin(self, text: str) -> Configuration:
        """Start a watch, and let it open its store."""
        configuration = self.load(text)
        self.kept = memory_store()
        self.store = FaultyStore(self.kept)
        self.watch = self.make(configuration, self.store)
        self.watch.startService()
        self.addCleanup(self.end)
        self.turn()
        return configuration

    def end(self) -> None:
        """Stop it, unless that was done."""
        if self.watch.running:
            stopped = self.watch.stopService()
            for _ in range(60):
                self.reactor.advance(0.1)
            self.successResultOf(stopped)

    def turn(self, count: int = 3) -> None:
        """Let the reactor turn, without time passing."""
        for _ in range(count):
            self.reactor.advance(0)

    def begin_reload(self, text: str) -> Deferred[None]:
        """Begin to go over to another configuration."""
        done = self.watch.reload(lambda: self.load(text))
        self.turn()
        return done

    def reload(self, text: str) -> None:
        """Go over to another configuration, which takes no time."""
        self.successResultOf(self.begin_reload(text))

    def told(self, notifier: str) -> list[str]:
        """Give what the store keeps for a notifier, in order."""
        query = "SELECT notice FROM deliveries ORDER BY id"
        rows = self.successResultOf(
            self.kept._writer.do(lambda t: t.connection.execute(query).fetchall())
        )
        notices = [decode_notice(sealed) for (sealed,) in rows]
        return [notice.text for notice in notices if notice.notifier == notifier]

    @property
    def pipeline(self) -> Pipeline:
        """Give the pipeline."""
        return cast("Pipeline", self.watch.getServiceNamed("pipeline"))

    @property
    def outbox(self) -> Outbox:
        """Give the outbox."""
        return cast("Outbox", self.watch.getServiceNamed("outbox"))

    def stream(self, name: str) -> StreamService:
        """Give the service of a stream."""
        return cast("StreamService", self.watch.getServiceNamed(f"stream:{name}"))

    def names(self) -> list[str]:
        """Give the names of all services."""
        return [child.name for child in self.watch]

    def is_said(self, words: str) -> bool:
        """Say whether words were logged."""
        return any(words in formatEvent(event) for event in self.log.events)

    def differences(self) -> str:
        """Give the line that tells of the last reload's differences."""
        lines = [formatEvent(e) for e in self.log.events if "differences" in e]
        return lines[-1]

    def stream_is(self, name: str, state: str) -> None:
        """Let a stream be in a state, as far as is told."""
        self.stream(name).state = state
        self.submit(Link(LinkType.STREAM, name, state, "", self.pipeline._now()))

    def submit(self, item: Input) -> None:
        """Let something come in."""
        self.pipeline.submit(item)
        self.turn()

    def dialled_ports(self) -> list[int]:
        """Give the ports that streams were dialled at, in order."""
        ports = [port for _, port, *_ in cast("Any", self.reactor).tcpClients]
        return [port for port in ports if port >= STREAM_PORTS]

    def called_ports(self) -> list[int]:
        """Give the ports that were called over HTTP, in order."""
        ports = [port for _, port, *_ in cast("Any", self.reactor).tcpClients]
        return [port for port in ports if port < STREAM_PORTS]

    def open_count(self) -> int:
        """Count the incidents that are open."""
        return len(self.pipeline.decider.incidents.open_incidents())


class RulesTests(ChangeoverTestCase):
    """Rules are swapped between two inputs; what that comes to is told before."""

    def test_nothing_has_changed(self) -> None:
        configuration = self.begin(ALL)
        before = self.names()
        services = [self.watch.getServiceNamed(name) for name in before]
        self.reload(ALL)
        self.assertEqual([self.watch.getServiceNamed(name) for name in self.names()], services)
        self.assertEqual(
            self.differences(), "reload: 2 rules unchanged; 0 incidents will resolve, 0 will open"
        )
        self.assertTrue(self.is_said(f"reload: configuration {configuration.id} is in effect"))

    def test_a_rule_that_is_removed_closes_what_it_opened(self) -> None:
        self.begin(ALL)
        self.stream_is("main", "Disconnected")
        self.assertEqual(self.open_count(), 1)
        self.reload(STREAM + SLACK + BOXES)
        self.assertEqual(
            self.differences(),
            "reload: - rule 'stream down', 1 rule unchanged; 1 incident will resolve, 0 will open",
        )
        self.assertEqual(self.open_count(), 0)

    def test_a_rule_that_is_added_opens_what_is_so(self) -> None:
        self.begin(STREAM + SLACK + BOXES)
        self.stream_is("main", "Disconnected")
        self.reload(ALL)
        self.assertTrue(self.differences().endswith("0 incidents will resolve, 1 will open"))
        self.assertEqual(self.open_count(), 1)

    def test_what_came_before_is_decided_by_the_rules_of_then(self) -> None:
        """And what comes after by the new ones, also while both wait in one queue."""
        self.begin(ALL)
        self.pipeline.receive("main", BOX)
        new = ALL.replace("{{ state }}", "NEW {{ state }}")
        done = self.watch.reload(lambda: self.load(new))
        self.turn()
        self.successResultOf(done)
        self.pipeline.receive("main", BOX)
        self.turn()
        self.assertEqual(self.told("slack"), ["Running", "NEW Running"])

    def test_only_the_rules_that_count_are_kept(self) -> None:
        self.begin(ALL)
        for number in range(3):
            self.reload(f"{ALL}# {number}\n")
        self.assertEqual(len(self.pipeline.decider.rule_sets), 1)

    def test_a_mistake_changes_nothing(self) -> None:
        self.begin(ALL)
        rules, names = self.pipeline.decider.rules, self.names()
        self.reload(ALL.replace("[[messages]]", "[[message]]").replace("kind =", "kin ="))
        self.assertTrue(self.is_said("there is no such table"))
        self.assertTrue(self.is_said("the key 'kind' is missing"))
        self.assertTrue(self.is_said("nothing is changed"))
        self.assertIs(self.pipeline.decider.rules, rules)
        self.assertEqual(self.names(), names)
        self.assertFalse(self.is_said("reload: configuration"))

    def test_a_file_that_is_gone_when_it_is_to_be_used_changes_nothing(self) -> None:
        self.begin(ALL)
        rules = self.pipeline.decider.rules
        path = make_tls(self.folder).ca
        changed = self.load(f'{STREAM}{SLACK}ca_file = "{path}"\n{PD}{BOXES}')
        path.unlink()
        self.successResultOf(self.watch.reload(lambda: changed))
        self.assertTrue(self.is_said("cannot read certificates"))
        self.assertTrue(self.is_said("nothing is changed"))
        self.assertIs(self.pipeline.decider.rules, rules)

    def test_it_waits_for_a_store_that_cannot_be_written(self) -> None:
        self.begin(ALL)
        self.store.faults["commit"] = UNWRITABLE
        done = self.begin_reload(ALL + PD)
        self.assertNoResult(done)
        self.assertNotIn("notifier:pd", self.names())
        del self.store.faults["commit"]
        self.reactor.advance(1.0)
        self.turn()
        self.successResultOf(done)
        self.assertIn("notifier:pd", self.names())

    def test_it_does_not_outlive_the_watch(self) -> None:
        self.begin(ALL)
        self.store.faults["commit"] = UNWRITABLE
        done = self.begin_reload(ALL + PD)
        self.end()
        self.successResultOf(done)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_no_credential_is_told(self) -> None:
        self.begin(ALL)
        self.reload(ALL.replace(WEBHOOK, f"{WEBHOOK}-n3w") + PD)
        self.assertEqual(find_leaks(self.log.output, [WEBHOOK, f"{WEBHOOK}-n3w"]), [])


class NotifiersTests(ChangeoverTestCase):
    """Notifiers come, go and change; what is owed to them stays."""

    def test_one_that_is_added_gets_what_waits_for_it(self) -> None:
        self.begin(STREAM + SLACK + PD + TO_BOTH)
        self.stream_is("main", "Disconnected")
        self.assertEqual(len(self.told("pd")), 1)
        removed = self.begin_reload(STREAM + SLACK + DOWN)
        self.reactor.advance(3.1)
        self.turn()
        self.successResultOf(removed)
        self.assertNotIn("notifier:pd", self.names())
        before = len(self.called_ports())
        self.reload(STREAM + SLACK + PD + TO_BOTH)
        self.assertIn("notifier:pd", self.names())
        self.assertEqual(self.called_ports()[before:], [443])
        self.assertIs(self.outbox.deliverers["pd"].state, State.DELIVERING)

    def test_one_that_is_removed_gets_nothing_more(self) -> None:
        self.begin(STREAM + SLACK + PD + BOXES.replace('"slack"', '"slack", "pd"'))
        self.assertIn("notifier:pd", self.names())
        done = self.begin_reload(STREAM + SLACK + BOXES)
        self.successResultOf(done)
        self.assertNotIn("notifier:pd", self.names())
        self.assertEqual(list(self.outbox.deliverers), ["slack"])
        self.pipeline.receive("main", BOX)
        self.turn()
        self.assertEqual((self.told("slack"), self.told("pd")), (["Running"], []))

    def test_what_is_being_sent_to_it_has_three_seconds_to_end(self) -> None:
        """Then it is ended; it is kept, counted, and told."""
        self.begin(STREAM + SLACK + PD + BOXES.replace('"slack"', '"slack", "pd"'))
        self.pipeline.receive("main", BOX)
        self.turn()
        done = self.begin_reload(STREAM + SLACK + BOXES)
        self.reactor.advance(2.9)
        self.assertNoResult(done)
        self.reactor.advance(0.2)
        self.turn()
        self.successResultOf(done)
        self.assertEqual(self.told("pd"), ["Running"])
        self.assertEqual(self.outbox.owed_counts()["pd"], 1)
        self.assertTrue(self.is_said("notifier pd is removed; 1 notices for it are kept"))

    def test_what_is_open_there_is_named(self) -> None:
        self.begin(STREAM + SLACK + PD + TO_BOTH)
        self.stream_is("main", "Disconnected")
        self.begin_reload(STREAM + SLACK + DOWN)
        self.reactor.advance(3.1)
        self.turn()
        self.assertTrue(
            self.is_said(
                "notifier pd is removed, and was told of incidents that were open: close them "
                "there by hand: stream down: "
            )
        )
        self.assertFalse(self.is_said("notifier slack is removed"))

    def test_what_is_open_elsewhere_is_not_named(self) -> None:
        self.begin(STREAM + SLACK + PD + DOWN)
        self.stream_is("main", "Disconnected")
        self.reload(STREAM + SLACK + DOWN)
        self.assertNotIn("notifier:pd", self.names())
        self.assertFalse(self.is_said("by hand"))

    def test_several_that_hang_are_removed_at_once(self) -> None:
        more = PD + PD.replace("notifiers.pd", "notifiers.second")
        self.begin(STREAM + SLACK + more + BOXES.replace('"slack"', '"slack", "pd", "second"'))
        self.pipeline.receive("main", BOX)
        self.turn()
        done = self.begin_reload(STREAM + SLACK + BOXES)
        self.reactor.advance(3.1)
        self.turn()
        self.successResultOf(done)
        self.assertEqual(list(self.outbox.deliverers), ["slack"])

    def test_only_ten_of_them_are_named(self) -> None:
        names = [f"s{number}" for number in range(12)]
        streams = "".join(LAB.replace("lab", name) for name in names)
        self.begin(STREAM + streams + SLACK + PD + TO_BOTH)
        for name in names:
            self.stream_is(name, "Disconnected")
        self.begin_reload(STREAM + streams + SLACK + DOWN)
        self.reactor.advance(3.1)
        self.turn()
        (line,) = [formatEvent(e) for e in self.log.events if "by hand" in e["log_format"]]
        self.assertEqual(line.count("stream down: "), 10)
        self.assertTrue(line.endswith(", and 2 more"))

    def test_how_it_ends_is_no_news_of_a_notifier_that_is_gone(self) -> None:
        """Else an incident would open for it that nothing closes."""
        self.begin(STREAM + SLACK + PD + TO_BOTH)
        deliverer = self.outbox.deliverers["pd"]
        self.submit(Link(LinkType.NOTIFIER, "pd", "Delivering", "", self.pipeline._now()))
        key = ("", "notifier", "pd")
        self.assertIsNotNone(self.pipeline.decider.inventory.get(key))
        done = self.begin_reload(STREAM + SLACK + DOWN)
        self.successResultOf(done)
        deliverer._report("pd", State.FAILING, "timeout")
        self.turn()
        self.assertIsNone(self.pipeline.decider.inventory.get(key))

    def test_one_that_comes_back_reports_again(self) -> None:
        self.begin(STREAM + SLACK + PD + TO_BOTH)
        self.reload(STREAM + SLACK + DOWN)
        self.reload(STREAM + SLACK + PD + TO_BOTH)
        self.outbox.deliverers["pd"]._report("pd", State.FAILING, "timeout")
        self.turn()
        self.assertIsNotNone(self.pipeline.decider.inventory.get(("", "notifier", "pd")))

    def test_another_pace_counts_at_once(self) -> None:
        self.begin(ALL)
        deliverer, service = self.outbox.deliverers["slack"], "notifier:slack"
        kept = self.watch.getServiceNamed(service)
        self.reload(ALL.replace(SLACK, f"{SLACK}rate = 7\n"))
        self.assertIs(self.outbox.deliverers["slack"], deliverer)
        self.assertIs(self.watch.getServiceNamed(service), kept)
        self.assertEqual(deliverer._gate._pace.rate_per_second, 7)
        self.assertTrue(self.differences().startswith("reload: ~ notifier slack (rate), 2 rules"))

    def test_another_address_counts_from_the_next_request_on(self) -> None:
        self.begin(ALL)
        self.reload(ALL.replace("slack.example", "slack.example:8443"))
        self.pipeline.receive("main", BOX)
        self.turn()
        self.assertEqual(self.called_ports(), [8443])

    def test_one_that_refused_us_is_asked_again(self) -> None:
        self.begin(ALL)
        gate = self.outbox.deliverers["slack"]._gate
        gate.hold(0.0)
        gate._probe_at = 1e9
        self.reload(ALL)
        self.assertTrue(gate.is_open(self.reactor.seconds()))


class StreamsTests(ChangeoverTestCase):
    """Streams come, go and change; one that is as it was is left alone."""

    def test_one_that_is_added_is_dialled(self) -> None:
        self.begin(ALL)
        before = self.stream("main")
        self.reload(ALL + LAB)
        self.assertIs(self.stream("main"), before)
        self.assertEqual(self.dialled_ports(), [9001, 9002])
        self.stream_is("lab", "Connected")
        self.assertIsNotNone(self.pipeline._catch_ups["lab"])

    def test_one_that_is_removed_is_heard_no_more(self) -> None:
        """Nor does an incident stay open for what only it could tell of."""
        self.begin(ALL + LAB)
        self.stream_is("lab", "Disconnected")
        self.pipeline.receive("lab", BOX)
        self.turn()
        self.assertEqual((self.open_count(), len(self.pipeline.decider.inventory)), (1, 2))
        self.reload(ALL)
        self.assertTrue(
            self.differences().startswith(
                "reload: - stream lab, 2 rules unchanged; 1 incident will resolve"
            )
        )
        self.assertNotIn("stream:lab", self.names())
        self.assertEqual((self.open_count(), len(self.pipeline.decider.inventory)), (0, 0))
        self.submit(Link(LinkType.STREAM, "lab", "Connected", "", self.pipeline._now()))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_what_it_said_last_is_decided_and_then_forgotten(self) -> None:
        self.begin(ALL + LAB)
        self.pipeline.receive("lab", BOX)
        self.reload(ALL)
        self.assertEqual(self.told("slack"), ["Running"])
        self.assertEqual(len(self.pipeline.decider.inventory), 0)

    def test_one_that_is_changed_is_dialled_anew(self) -> None:
        """What happens meanwhile is not seen, so that counts as blind."""
        self.begin(ALL)
        self.stream_is("main", "Connected")
        before = self.stream("main")
        self.reload(ALL.replace("9001", "9003"))
        self.turn()
        self.assertIsNot(self.stream("main"), before)
        self.assertEqual(before.running, 0)
        self.assertEqual(self.dialled_ports(), [9001, 9003])
        known = self.pipeline.decider.inventory.get(("main", "stream", "main"))
        assert known is not None
        self.assertEqual(known.state, "Disconnected")
        self.assertEqual((known.fields or {})["reason"], DIALLED_ANEW)
        self.assertEqual(self.pipeline._catch_ups["main"]._blind_since, self.pipeline._now())

    def test_one_that_refused_us_stays_so_until_it_takes_us(self) -> None:
        """Its incident goes on: being dialled anew is no news of it."""
        self.begin(ALL)
        self.stream_is("main", "Unauthorized")
        self.reload(ALL.replace("eA==", "eQ=="))
        known = self.pipeline.decider.inventory.get(("main", "stream", "main"))
        assert known is not None
        self.assertEqual(known.state, "Unauthorized")

    def test_one_that_waits_is_dialled_at_once(self) -> None:
        self.begin(ALL)
        ((_, _, factory, *_),) = cast("Any", self.reactor).tcpClients
        factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
        self.reactor.advance(0.5)  # it waits for a second at least
        self.assertEqual(self.dialled_ports(), [9001])
        self.reload(ALL)
        self.turn()
        self.assertEqual(self.dialled_ports(), [9001, 9001])

    def test_look_ups_use_other_credentials(self) -> None:
        self.begin(ALL)
        client = self.pipeline._look_ups._clients["main"]
        self.reload(ALL.replace("eA==", "eQ=="))
        self.assertIs(self.pipeline._look_ups._clients["main"], client)
        self.assertEqual(client._headers["Authorization"].reveal(), "Basic eQ==")


class ServicesTests(ChangeoverTestCase):
    """What tells others how we are."""

    BEAT = '[heartbeat]\nurl = "http://beat.example/u"\n'

    def test_a_heartbeat_comes_changes_and_goes(self) -> None:
        self.begin(ALL)
        self.assertNotIn("heartbeat", self.names())
        self.reload(ALL + self.BEAT)
        first = self.watch.getServiceNamed("heartbeat")
        self.assertTrue(first.running)
        self.reload(ALL + self.BEAT)
        self.assertIs(self.watch.getServiceNamed("heartbeat"), first)
        self.reload(f'{ALL}{self.BEAT}interval = "5m"\n')
        second = self.watch.getServiceNamed("heartbeat")
        self.assertIsNot(second, first)
        self.assertEqual((first.running, second.running), (0, 1))
        self.reload(ALL)
        self.assertNotIn("heartbeat", self.names())
        self.assertEqual(second.running, 0)

    def test_the_status_listens_elsewhere(self) -> None:
        self.begin(ALL)
        status = cast("StatusService", self.watch.getServiceNamed("status"))
        self.assertIsNone(status.port)
        self.reload(ALL.replace('listen = "off"', 'listen = "tcp:8765:interface=127.0.0.1"'))
        self.assertIs(self.watch.getServiceNamed("status"), status)
        self.assertIsNotNone(status.port)
        self.assertEqual(cast("Any", self.reactor).tcpServers[-1][0], 8765)
        self.reload(ALL)
        self.assertIsNone(status.port)

    def test_the_last_reload_is_shown(self) -> None:
        self.begin(ALL)
        status = cast("StatusService", self.watch.getServiceNamed("status"))
        self.assertEqual(status._check().reload, {})
        self.reload("[streams]")
        shown = status._check().reload
        self.assertEqual(shown["state"], "failed")
        self.assertIn("watch.toml", shown["reason"])
        self.assertTrue(status._check().ok)
        self.reload(ALL)
        self.assertEqual(status._check().reload["state"], "ok")

    def test_the_store_stays_until_the_next_start(self) -> None:
        self.begin(ALL)
        path = self.outbox.store
        self.reload(f'[store]\npath = "/nowhere/else.sqlite"\n{ALL}')
        self.assertIs(self.outbox.store, path)
        self.assertIn("~ store (path: counts from the next start)", self.differences())
