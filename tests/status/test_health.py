"""Tests of what counts as being well: only our own being stuck does not."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from tests.outbox.cases import (
    KEY_REFUSED,
    SERVER_DOWN,
    ScriptedDestination,
    memory_store,
    notice,
)
from tests.stream.cases import URL, ServiceTestCase
from tutumwatch import __version__
from tutumwatch.events.inputs import Link, LinkType
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.notifiers.contract import Pace
from tutumwatch.outbox.deliverer import Deliverer
from tutumwatch.outbox.digest import write_digest
from tutumwatch.outbox.gate import State
from tutumwatch.outbox.outbox import Outbox
from tutumwatch.rules.decider import Decider
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.ignores import Ignores
from tutumwatch.rules.notice import Notice
from tutumwatch.rules.routes import Routes
from tutumwatch.rules.rule_set import RuleSet
from tutumwatch.settings import Duration
from tutumwatch.status.health import Health, HealthCheck
from tutumwatch.stream.factory import DialListener, StreamFactory
from tutumwatch.stream.settings import StreamSettings


def health(**changed: object) -> Health:
    """Make a health answer in which all is well but what is changed."""
    well: dict[str, object] = {
        "ok": True,
        "problems": (),
        "version": "1",
        "streams": {"main": {"state": "Connected", "reason": ""}},
        "notifiers": {"slack": {"state": "Delivering", "reason": "", "waiting": 0}},
        "store": "ok",
        "open_incidents": (),
        "counts": {},
    }
    return Health(**{**well, **changed})  # type: ignore[arg-type]  # the fields of Health


class SummaryTests(ServiceTestCase):
    """One line for ``systemctl status``."""

    def test_all_is_well(self) -> None:
        self.assertEqual(health().summary, "main Connected, 0 notices waiting")

    def test_what_others_do_is_said(self) -> None:
        said = health(
            streams={"main": {"state": "Disconnected"}, "lab": {"state": "Connected"}},
            notifiers={
                "slack": {"state": "Refused", "waiting": 3},
                "pd": {"state": "Delivering", "waiting": 1},
            },
            store="the disk is full",
        ).summary
        self.assertEqual(
            said,
            "main Disconnected, lab Connected, slack Refused, store: the disk is full, "
            "4 notices waiting",
        )

    def test_being_stuck_is_all_that_is_said(self) -> None:
        said = health(problems=("stream main is silent", "notifier pd is stuck")).summary
        self.assertEqual(said, "stuck: stream main is silent; notifier pd is stuck")


class HealthCheckTests(ServiceTestCase):
    """The parts are real, on a Clock; what they are connected to is not."""

    def setUp(self) -> None:
        """Make an outbox and a decider beside the stream."""
        super().setUp()
        self.store = memory_store()
        self.destination = ScriptedDestination(self.clock)
        self.deliverer = Deliverer(
            "ops",
            self.destination.deliver,
            self.store,
            Pace(),
            self.clock,
            self.clock.seconds,
            lambda: 1.0,
            lambda _notifier, _state, _reason: None,
            lambda held: write_digest(held, str, self.clock.seconds()),
        )
        self.addCleanup(self.deliverer.cancel)
        self.addCleanup(self.deliverer.stop)
        self.decider = Decider(Inventory(), RuleSet((), (), Routes(), Ignores(), (), {}))
        self.store_problem = ""
        self.reload: dict[str, str] = {}
        outbox = Outbox(self.store, {"ops": self.deliverer}, self.clock)
        self.check = HealthCheck(
            self.decider,
            outbox,
            [self.service],
            lambda: self.store_problem,
            lambda: self.reload,
        ).check

    def make_factory(self, listener: DialListener) -> StreamFactory:
        """Make a factory whose pings come too late to close a silent connection."""
        late = StreamSettings(ping_interval=Duration(1_000.0))
        return StreamFactory(URL, {}, late, self.clock, lambda: 1.0, listener)

    def owe(self, *texts: str) -> None:
        """Commit some notices and offer them to the deliverer, without waking it."""
        owed: list[Notice] = [notice(text) for text in texts]
        decisions = Decisions()
        decisions.owed += owed
        for head in self.successResultOf(Deferred.fromCoroutine(self.store.commit(decisions, 0.0))):
            self.deliverer.offer(head)

    def problems(self) -> list[str]:
        """Give what is wrong; ``ok`` says the same."""
        found = self.check()
        self.assertEqual(found.ok, not found.problems)
        return list(found.problems)

    def test_before_anything_happened(self) -> None:
        self.assertEqual(
            self.check(),
            Health(
                ok=True,
                problems=[],
                version=__version__,
                streams={"main": {"state": "Connecting", "reason": ""}},
                notifiers={
                    "ops": {"state": "Delivering", "reason": "", "waiting": 0, "outcomes": {}}
                },
                store="ok",
                open_incidents=[],
                counts={"resources": 0, "waiting_for_look_up": 0},
            ),
        )

    def test_what_is_counted(self) -> None:
        self.open(b'{"type":"auth"}')
        self.decider.counts["events"] += 2
        self.decider.decide(Link(LinkType.STREAM, "main", "Connected", "", 1.0))
        self.owe("one", "two")
        self.destination.holds = True
        self.deliverer.wake()
        self.destination.end_one()
        found = self.check()
        self.assertEqual(
            found.counts,
            {"events": 2, "resources": 1, "waiting_for_look_up": 0, "delivered": 1},
        )
        self.assertEqual(found.streams, {"main": {"state": "Connected", "reason": ""}})
        self.assertEqual(
            found.notifiers["ops"],
            {"state": "Delivering", "reason": "", "waiting": 1, "outcomes": {"Delivered": 1}},
        )

    # -- what is not our fault

    def test_a_stream_that_is_down_is_a_field(self) -> None:
        self.open(b'{"type":"auth"}')
        self.endpoint.behave = self.endpoint.hold
        self.endpoint.server.drop()
        self.clock.advance(500.0)
        self.assertEqual(self.problems(), [])
        self.assertEqual(self.check().streams["main"]["state"], "Disconnected")

    def test_a_destination_that_is_down_is_a_field(self) -> None:
        """Its circuit is open, and nothing can be sent, for as long as it takes."""
        self.destination.judge = lambda _notice: SERVER_DOWN
        self.owe(*(f"n{number}" for number in range(20)))
        self.deliverer.wake()
        for _ in range(600):
            self.clock.advance(1.0)
            self.assertEqual(self.problems(), [])
        self.assertIs(self.deliverer.state, State.FAILING)
        found = self.check().notifiers["ops"]
        self.assertEqual((found["state"], found["waiting"]), ("Failing", 20))
        self.assertEqual(found["reason"], "server failed: 503")

    def test_a_destination_that_refuses_us_is_a_field(self) -> None:
        self.destination.judge = lambda _notice: KEY_REFUSED
        self.owe("one", "two")
        self.deliverer.wake()
        for _ in range(100):
            self.clock.advance(10.0)
            self.assertEqual(self.problems(), [])
        self.assertEqual(self.check().notifiers["ops"]["state"], "Refused")

    def test_a_store_that_is_down_is_a_field(self) -> None:
        self.store_problem = "the disk is full"
        self.assertEqual(self.problems(), [])
        self.assertEqual(self.check().store, "the disk is full")

    # -- what is

    def test_a_silent_stream_that_nobody_closes(self) -> None:
        """Pings ought to have closed it after 45 s; within a minute we say so."""
        self.open(b'{"type":"auth"}')
        self.clock.advance(45.0)
        self.assertEqual(self.problems(), [])
        self.clock.advance(15.0)
        self.assertEqual(
            self.problems(), ["stream main is believed Connected, but nothing was received in time"]
        )
        self.endpoint.server.say(b'{"type":"x"}')
        self.assertEqual(self.problems(), [])

    def test_a_delivery_that_nobody_takes(self) -> None:
        self.deliverer.wake()  # what was owed before is read
        self.owe("one")
        self.clock.advance(29.9)
        self.assertEqual(self.problems(), [])
        self.clock.advance(0.1)
        self.assertEqual(
            self.problems(),
            ["notifier ops: a delivery that could be sent was not, for 30 s"],
        )
        self.deliverer.wake()
        self.assertEqual(self.problems(), [])

    def test_a_request_that_never_ends(self) -> None:
        """It has a deadline of ten seconds; if that does not end it, something is stuck."""
        self.destination.holds = True
        self.owe("one", "two")
        self.deliverer.wake()
        self.clock.advance(10.0)
        self.assertEqual(self.problems(), [])
        self.clock.advance(70.0)
        self.assertEqual(len(self.problems()), 1)

    # -- what the store tells

    def test_what_the_store_counts(self) -> None:
        self.store.counts.update({"dead": 2, "possible repeats": 1, "digested": 7})
        counts = self.check().counts
        self.assertEqual(
            {name: counts[name] for name in ("dead_letters", "possible_repeats", "digested")},
            {"dead_letters": 2, "possible_repeats": 1, "digested": 7},
        )

    def test_a_damaged_file_that_was_moved_aside(self) -> None:
        """It is no reason to start us again, and yet to be seen."""
        self.open(b'{"type":"auth"}')
        self.store.replaced_count = 1
        found = self.check()
        self.assertEqual((found.ok, found.moved_aside_count, found.not_well), (True, 1, []))
        self.assertIn("1 damaged files moved aside", found.summary)

    def test_a_reload_that_failed(self) -> None:
        """All goes on as it was: that is no reason to be started again, nor to be missed."""
        self.assertEqual(self.check().reload, {})
        self.reload = {"state": "ok", "at": "2027-01-15T08:00:00+00:00", "reason": ""}
        self.assertNotIn("reload", self.check().summary)
        self.reload["state"], self.reload["reason"] = "failed", "watch.toml:3: url: no URL"
        found = self.check()
        self.assertEqual(found.reload["reason"], "watch.toml:3: url: no URL")
        self.assertIn("the last reload failed, ", found.summary)
        self.assertEqual(found.not_well, ["stream main is Connecting"])
        self.assertTrue(found.ok)

    def test_what_waits_for_a_notifier_that_is_not_on(self) -> None:
        decisions = Decisions(owed=[notice("for nobody", notifier="gone")])
        self.successResultOf(Deferred.fromCoroutine(self.store.commit(decisions, 0.0)))
        found = self.check()
        self.assertEqual(
            found.notifiers["gone"],
            {"state": "off", "reason": "notices wait, and it is not on", "waiting": 1},
        )
        self.assertEqual(found.notifiers["ops"]["state"], "Delivering")
        self.assertIn("gone off", found.summary)

    def test_all_that_is_not_well(self) -> None:
        """Also what is no fault of ours, as long as it keeps us from watching or telling."""
        self.assertEqual(self.check().not_well, ["stream main is Connecting"])
        self.open(b'{"type":"auth"}')
        self.assertEqual(self.check().not_well, [])
        self.store_problem = "the disk is full"
        self.destination.judge = lambda _notice: KEY_REFUSED
        self.owe("one")
        self.deliverer.wake()
        self.assertEqual(
            self.check().not_well, ["the store: the disk is full", "notifier ops is Refused"]
        )
        self.clock.advance(60.0)
        self.assertEqual(len(self.check().problems), 1)
        self.assertEqual(self.check().not_well[0], self.check().problems[0])
