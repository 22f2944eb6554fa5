"""Tests of what rules remember over a restart: what is open stays open, and only that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.rules.world import (
    DESTINATIONS,
    RESOLVE,
    SERVICE,
    STACK,
    TRIGGER,
    World,
    event_bytes,
    forms,
    incident_rule,
    incident_settings,
    message_rule,
    notices,
    texts,
)
from tutumwatch.events.inputs import (
    Drop,
    Input,
    Link,
    LinkType,
    Message,
    OwedRow,
    Retry,
    Started,
    Tick,
)
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.rules.decider import Decider
from tutumwatch.rules.decisions import (
    Decisions,
    Dropped,
    Need,
    RecordName,
    Revived,
    Settled,
    WaitingRow,
)
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.incidents import Incidents
from tutumwatch.rules.messages import MessageRule
from tutumwatch.rules.notice import Destination, Notice


@attrs.define
class RestartedWorld:
    """A world whose decisions are kept, so that another one may go on with them."""

    world: World
    records: dict[RecordName, bytes] = attrs.field(factory=dict)
    waiting: dict[str, WaitingRow] = attrs.field(factory=dict)

    @classmethod
    def of(cls, *rules: MessageRule | IncidentRule) -> RestartedWorld:
        """Make one of some rules, in which nothing has happened."""
        return cls(World.of(*rules))

    def remember(self, *streams: str) -> None:
        """Know these streams from a run before."""
        self.world.remember(*streams)
        self.records |= {(kind, name): b"" for kind in ("greeted", "caught up") for name in streams}

    def kinds(self) -> set[str]:
        """Give the kinds of the records that are kept, but for those of streams."""
        return {kind for kind, _ in self.records} - {"greeted", "caught up"}

    def keep(self, decisions: Decisions) -> Decisions:
        """Keep what was decided, as a store does."""
        for name, value in decisions.records.items():
            if value is None:
                self.records.pop(name, None)
            else:
                self.records[name] = value
        for owed in decisions.owed:
            if isinstance(owed, WaitingRow):
                self.waiting[owed.id] = owed
            elif isinstance(owed, Settled):
                del self.waiting[owed.row_id]
        return decisions

    def wait(self, seconds: float) -> list[Notice]:
        """Let time pass, with a Tick at every time that is waited for; give what that said."""
        end = self.world.now + seconds
        said: list[Notice] = []
        while (due := self.world.decider.next_due()) is not None and due <= end:
            self.world.now = due
            said += notices(self.keep(self.world.tick()))
        self.world.now = end
        return said

    def restart(
        self,
        *rules: MessageRule | IncidentRule,
        destinations: Mapping[str, Destination] = DESTINATIONS,
        forgotten: bool = False,
    ) -> Decisions:
        """End, and go on with these rules and destinations; give what that comes to.

        :param forgotten: nothing is known of the platform and of our own connections.
        """
        before = self.world
        inventory = Inventory()
        if not forgotten:
            inventory.restore(before.decider.inventory._resources.values())
        incidents = Incidents(
            {rule.name: rule for rule in rules if isinstance(rule, IncidentRule)},
            inventory,
            destinations,
        )
        inventory.is_needed = incidents.is_needed
        messages = [rule for rule in rules if isinstance(rule, MessageRule)]
        decider = Decider(inventory, incidents, messages)
        decider.restore(self.records, self.waiting.values(), before.number, before.now)
        self.world = World(decider, before.now, before.number)
        return self.keep(decider.decide(Started("second", before.now, before.now)))


AT_ONCE = incident_settings(for_seconds=0.0)
TOLD_ALL = incident_settings(for_seconds=0.0, notify=["plain", "slack", "pd"])


class IncidentsTests(SynchronousTestCase):
    """Incidents over a restart."""

    def opened(self, *rules: IncidentRule) -> RestartedWorld:
        """Give a world in which the incidents of a stream that is down are open."""
        kept = RestartedWorld.of(*rules)
        kept.remember("main")
        kept.keep(kept.world.stream("Disconnected"))
        return kept

    def test_a_condition_that_began_before_fires_at_its_true_time(self) -> None:
        rule = incident_rule(incident_settings(for_seconds=15.0))
        for away_seconds, left_seconds in ((10.0, 5.0), (15.0, 0.0), (100.0, 0.0)):
            kept = self.opened(rule)
            kept.world.now += away_seconds
            self.assertEqual(notices(kept.restart(rule)), [])
            if left_seconds:
                self.assertEqual(kept.world.wait(left_seconds - 0.1), [])
            self.assertEqual(forms(kept.world.wait(0.1)), [("plain", TRIGGER)])

    def test_an_open_one_stays_open_and_is_resolved_where_it_was_told(self) -> None:
        rule = incident_rule(TOLD_ALL)
        kept = self.opened(rule)
        self.assertEqual(notices(kept.restart(rule)), [])
        self.assertEqual(
            kept.world.decider.incidents.open_incidents(),
            [("stream down", "stream down/main/stream/main")],
        )
        self.assertEqual(notices(kept.keep(kept.world.stream("Disconnected"))), [])
        kept.keep(kept.world.stream("Connected"))
        said = kept.world.wait(5.0)
        self.assertEqual(forms(said), [(n, RESOLVE) for n in ("plain", "slack", "pd")])
        self.assertEqual({notice.text for notice in said}, {"up"})

    def test_what_is_kept_of_it_ends_with_it(self) -> None:
        rule = incident_rule(incident_settings(for_seconds=0.0, clear_for_seconds=0.0))
        kept = self.opened(rule)
        self.assertEqual(kept.kinds(), {"incident", "member"})
        kept.keep(kept.world.stream("Connected"))
        self.assertEqual(kept.kinds(), set())

    def test_a_clear_goes_on(self) -> None:
        rule = incident_rule(AT_ONCE)
        kept = self.opened(rule)
        kept.keep(kept.world.stream("Connected"))
        kept.world.now += 3.0
        kept.restart(rule)
        self.assertEqual(kept.world.wait(1.9), [])
        self.assertEqual(forms(kept.world.wait(0.1)), [("plain", RESOLVE)])

    def test_a_gap_goes_on(self) -> None:
        """Of a condition that was not true for long enough: it is quiet, or has not been broken."""
        rule = incident_rule(incident_settings(for_seconds=15.0))
        for back_after_seconds, said in ((4.0, [("plain", TRIGGER)]), (5.0, [])):
            kept = self.opened(rule)
            kept.keep(kept.world.stream("Connected"))
            kept.restart(rule)
            kept.world.wait(back_after_seconds)
            kept.world.stream("Disconnected")
            self.assertEqual(forms(kept.world.wait(14.9 - back_after_seconds)), [])
            self.assertEqual(forms(kept.world.wait(0.1)), said)

    def test_dates_of_a_clock_that_was_wrong_count_from_now(self) -> None:
        """It ran days ahead; what is due then would otherwise be due in days."""
        for_long, at_once = incident_settings(for_seconds=15.0), AT_ONCE
        for settings_, gap, seconds, said in (
            (for_long, False, 15.0, [("plain", TRIGGER)]),
            (for_long, True, 5.0, []),
            (at_once, True, 5.0, [("plain", RESOLVE)]),
        ):
            rule = incident_rule(settings_)
            kept = self.opened(rule)
            if gap:
                kept.keep(kept.world.stream("Connected"))
            kept.world.now -= 3 * 86_400.0
            kept.restart(rule)
            due = kept.world.decider.next_due()
            assert due is not None
            self.assertEqual(due, kept.world.now + seconds)
            self.assertEqual(forms(kept.world.wait(seconds)), said)
            self.assertIsNone(kept.world.decider.next_due())

    def test_a_gap_or_an_end_ahead_of_a_beginning_that_is_not(self) -> None:
        for settings_ in (incident_settings(for_seconds=15.0), AT_ONCE):
            rule = incident_rule(settings_)
            kept = self.opened(rule)
            begun = kept.world.now
            kept.world.now += 3 * 86_400.0
            kept.keep(kept.world.stream("Connected"))
            kept.world.now = begun + 10.0
            kept.restart(rule)
            self.assertEqual(kept.world.decider.next_due(), begun + 15.0)

    def test_a_rule_that_was_removed(self) -> None:
        """What it opened is closed wherever it was told, with the reason; nothing is left of it."""
        kept = self.opened(incident_rule(TOLD_ALL))
        decisions = kept.restart()
        self.assertEqual(
            forms(notices(decisions)), [(n, RESOLVE) for n in ("plain", "slack", "pd")]
        )
        (notice, _, _) = notices(decisions)
        self.assertEqual(
            (notice.rule, notice.key, notice.at),
            ("stream down", "stream down/main/stream/main", kept.world.now),
        )
        self.assertEqual(
            notice.text, "stream down: stream down/main/stream/main is closed: its rule was removed"
        )
        self.assertEqual(kept.kinds(), set())
        self.assertIsNone(kept.world.decider.next_due())
        self.assertEqual(notices(kept.restart()), [])

    def test_a_rule_that_is_about_something_else_now(self) -> None:
        """Nothing would ever judge the stream again, and close it."""
        kept = self.opened(incident_rule(AT_ONCE))
        other = incident_rule(
            incident_settings(while_={"type": "notifier", "state": "Refused"}, for_seconds=0.0)
        )
        self.assertEqual(forms(notices(kept.restart(other))), [("plain", RESOLVE)])

    def test_a_resource_that_is_not_known_any_more(self) -> None:
        """A stream or notifier that was removed: nobody could tell that it is well again."""
        rule = incident_rule(AT_ONCE)
        decisions = self.opened(rule).restart(rule, forgotten=True)
        self.assertEqual(
            texts(decisions),
            ["stream down: stream down/main/stream/main is closed: nothing is in it"],
        )

    def test_one_that_others_are_in_stays_open(self) -> None:
        rule = incident_rule(incident_settings(for_seconds=0.0, key="streams"))
        kept = RestartedWorld.of(rule)
        for stream in ("main", "lab"):
            kept.keep(kept.world.stream("Disconnected", stream))
        inventory = kept.world.decider.inventory
        inventory.forget_others({"lab"}, set())
        self.assertEqual(notices(kept.restart(rule)), [])
        kept.keep(kept.world.stream("Connected", "lab"))
        self.assertEqual(forms(kept.world.wait(5.0)), [("plain", RESOLVE)])

    def test_a_pending_one_of_a_removed_rule_is_forgotten(self) -> None:
        kept = self.opened(incident_rule())
        self.assertEqual(notices(kept.restart()), [])
        self.assertEqual(kept.kinds(), set())
        self.assertEqual(kept.world.wait(100.0), [])

    def test_a_notifier_that_was_removed_is_not_told(self) -> None:
        without_pd = {name: DESTINATIONS[name] for name in ("plain", "slack")}
        for rules in ((), (incident_rule(incident_settings(for_seconds=0.0)),)):
            kept = self.opened(incident_rule(TOLD_ALL))
            said = notices(kept.restart(*rules, destinations=without_pd))
            kept.world.stream("Connected")
            said += kept.world.wait(5.0)
            self.assertEqual(forms(said), [("plain", RESOLVE), ("slack", RESOLVE)], rules)

    def test_a_notifier_that_the_rule_does_not_name_any_more_is_told_of_the_end(self) -> None:
        """Else a page would stay open there for ever."""
        kept = self.opened(incident_rule(TOLD_ALL))
        kept.restart(incident_rule(AT_ONCE))
        kept.keep(kept.world.stream("Connected"))
        said = kept.world.wait(5.0)
        key = "stream down/main/stream/main"
        self.assertEqual(
            {notice.notifier: notice.text for notice in said},
            {
                "plain": "up",
                "slack": f"stream down: {key} is closed: it is over",
                "pd": f"stream down: {key} is closed: it is over",
            },
        )
        self.assertEqual({notice.key for notice in said}, {key})
        self.assertEqual(kept.world.decider.counts["rejected"], 0)

    def test_what_is_said_plainly_is_escaped(self) -> None:
        kept = self.opened(
            incident_rule(incident_settings(name="<!>", notify=["slack"], for_seconds=0.0))
        )
        (text,) = texts(kept.restart())
        self.assertEqual(
            text, "&lt;!&gt;: &lt;!&gt;/main/stream/main is closed: its rule was removed"
        )

    def test_a_notifier_that_the_rule_names_only_now_is_not_told_of_the_end(self) -> None:
        kept = self.opened(incident_rule(AT_ONCE))
        kept.restart(incident_rule(TOLD_ALL))
        kept.keep(kept.world.stream("Connected"))
        self.assertEqual(forms(kept.world.wait(5.0)), [("plain", RESOLVE)])

    def test_the_oldest_is_the_first(self) -> None:
        rule = incident_rule(AT_ONCE)
        kept = RestartedWorld.of(rule)
        for stream in ("b", "a", "c"):
            kept.keep(kept.world.stream("Disconnected", stream))
            kept.world.now += 1.0
        kept.records = dict(sorted(kept.records.items()))
        kept.restart(rule)
        opened = [key for _, key in kept.world.decider.incidents.open_incidents()]
        self.assertEqual(opened, [f"stream down/{s}/stream/{s}" for s in ("b", "a", "c")])

    def test_records_that_cannot_be_read_are_forgotten(self) -> None:
        rule = incident_rule(AT_ONCE)
        kept = self.opened(rule)
        unread = {name: value[:-1] for name, value in kept.records.items() if value}
        self.assertEqual(len(unread), 2)
        kept.records |= unread
        decisions = kept.restart(rule)
        self.assertEqual(decisions.records, dict.fromkeys(unread))
        self.assertEqual((notices(decisions), kept.kinds()), ([], set()))
        self.assertEqual(forms(notices(kept.world.stream("Disconnected"))), [("plain", TRIGGER)])

    def test_everything_again_for_a_store_that_lost_it(self) -> None:
        rule = incident_rule(AT_ONCE)
        kept = self.opened(rule)
        before = kept.world.decider
        self.assertEqual(before.incidents.take_unsaved(), {})
        before.save_everything()
        self.assertTrue(before.incidents.has_unsaved)
        self.assertEqual(
            before.incidents.take_unsaved(), {n: v for n, v in kept.records.items() if v}
        )
        self.assertEqual(before.inventory.take_unsaved().keys(), {("main", "stream", "main")})

    def test_that_streams_were_known_is_saved_again_as_well(self) -> None:
        """Else the next start would resolve what it takes for orphans, and miss what changed."""
        world = World.of()
        world.remember("main", "lab")
        world.decider.save_everything()
        again = {(kind, name): b"" for kind in ("greeted", "caught up") for name in ("main", "lab")}
        self.assertEqual(world.decider.decide(Tick(world.now)).records, again)
        self.assertEqual(world.decider.decide(Tick(world.now)).records, {})


STREAM_STATES = st.sampled_from(["Connected", "Disconnected", "Unauthorized"])
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 1.0, 4.0, 6.0, 20.0]), st.sampled_from(["main", "lab"]), STREAM_STATES
    ),
    max_size=15,
)


class AnyHistoryTests(SynchronousTestCase):
    """Whenever we are started again, what is said is what would have been said without."""

    @settings(deadline=None)
    @given(STEPS, st.sets(st.integers(0, 15)))
    def test_restarts_change_nothing_that_is_said(
        self, steps: Sequence[tuple[float, str, str]], restarts: set[int]
    ) -> None:
        rules = (
            incident_rule(incident_settings(for_seconds=5.0, key="streams")),
            incident_rule(incident_settings(name="each", for_seconds=0.0)),
        )
        said = []
        for restarts_at in (set[int](), restarts):
            kept = RestartedWorld.of(*rules)
            kept.remember("main", "lab")
            told = []
            for number, (seconds, stream, state) in enumerate(
                [*steps, (99.0, "main", "Connected")]
            ):
                told += kept.wait(seconds)
                told += notices(kept.keep(kept.world.stream(state, stream)))
                if number in restarts_at:
                    told += notices(kept.restart(*rules))
            said.append([(notice.at, notice.rule, notice.key, notice.form) for notice in told])
        self.assertEqual(said[0], said[1])

    @given(st.text(), st.text(), st.floats(0, 1e12))
    def test_records_are_read_as_they_were_written(self, name: str, key: str, at: float) -> None:
        """Whatever characters a rule, a key or a stream is named with."""
        rule = incident_rule(
            incident_settings(name=name, for_seconds=0.0, key=key.replace("{", ""))
        )
        kept = RestartedWorld.of(rule)
        kept.world.now = at
        kept.keep(kept.world.stream("Disconnected", key or "main"))
        before = kept.world.decider.incidents
        kept.restart(rule)
        after = kept.world.decider.incidents
        self.assertEqual((after._members, after._open), (before._members, before._open))
        self.assertEqual(kept.kinds(), {"member", "incident"})


class WaitingRowsTests(SynchronousTestCase):
    """Messages that waited for a look-up when we ended."""

    def waiting(self, *rules: MessageRule) -> RestartedWorld:
        """Give a world in which a message of each rule waits for a stack."""
        kept = RestartedWorld.of(*rules)
        kept.keep(kept.world.event(SERVICE, parents=[STACK], uuid="e1"))
        return kept

    def test_they_wait_anew_and_what_they_need_is_asked_for_again(self) -> None:
        rule = message_rule(text="{{ stack.name }}")
        kept = self.waiting(rule)
        kept.world.now += 500.0
        decisions = kept.restart(rule)
        self.assertEqual(decisions.needs, {Need("main", STACK)})
        self.assertEqual(decisions.owed, [])
        self.assertEqual(kept.world.decider.next_due(), kept.world.now + 10.0)
        self.assertEqual(texts(kept.keep(kept.world.found(STACK, name="shop"))), ["shop"])
        self.assertEqual(kept.waiting, {})

    def test_those_that_nobody_answers_for_go_out_all_the_same(self) -> None:
        rule = message_rule(text="{{ stack.name }}")
        kept = self.waiting(rule)
        kept.restart(rule)
        said = [notice.text for notice in kept.world.wait(10.0)]
        self.assertEqual(said, ["(unknown) (details unknown)"])

    def test_those_of_a_rule_that_was_removed_are_withdrawn(self) -> None:
        """Else their lane would wait for ever."""
        stays = message_rule(text="{{ stack.name }}", name="stays")
        kept = self.waiting(message_rule(text="{{ stack.name }}", name="goes"), stays)
        decisions = kept.restart(stays)
        self.assertEqual(decisions.owed, [Settled("main/e1/goes", ())])
        self.assertEqual([row.rule for row in kept.world.decider.waiting], ["stays"])
        self.assertEqual(list(kept.waiting), ["main/e1/stays"])

    def test_an_id_of_one_run_is_none_of_another(self) -> None:
        """Events without a uuid: two rows with one id would settle each other."""
        rule = message_rule(text="{{ stack.name }}")
        kept = RestartedWorld.of(rule)
        kept.keep(kept.world.event(SERVICE, parents=[STACK]))
        kept.restart(rule)
        kept.world.number = 0
        kept.keep(kept.world.event(SERVICE, parents=[STACK]))
        self.assertEqual(list(kept.waiting), ["main/run-1/news", "main/second-1/news"])


class GreetedTests(SynchronousTestCase):
    """What is said once in the life of a store."""

    def test_orphans_are_resolved_at_the_very_first_connect_alone(self) -> None:
        rule = incident_rule(incident_settings(notify=["pd"]))
        kept = RestartedWorld.of(rule)
        self.assertEqual(
            forms(notices(kept.keep(kept.world.stream("Connected")))), [("pd", RESOLVE)]
        )
        kept.restart(rule)
        self.assertEqual(notices(kept.keep(kept.world.stream("Connected"))), [])

    def test_only_the_very_first_listing_is_silent(self) -> None:
        rule = message_rule({"type": "service"}, "{{ state }}")
        kept = RestartedWorld.of(rule)
        kept.keep(kept.world.listed({SERVICE: {"state": "Running"}}))
        kept.restart(rule)
        decisions = kept.keep(kept.world.listed({SERVICE: {"state": "Stopped"}}))
        self.assertEqual(texts(decisions), ["Stopped (late)"])


class ByHandTests(SynchronousTestCase):
    """A person sends dead letters again, or drops what is owed."""

    def setUp(self) -> None:
        """Open an incident."""
        self.world = World.of(
            incident_rule(incident_settings(for_seconds=0.0, clear_for_seconds=0.0))
        )
        self.world.stream("Disconnected")
        ((self.rule, self.key),) = self.world.decider.incidents.open_incidents()

    def retried(self, form: str) -> list[object]:
        """Give what sending a dead letter of the incident again comes to."""
        row = OwedRow(7, form, self.rule, self.key)
        return list(self.world.decider.decide(Retry((row,), self.world.now)).owed)

    def test_a_trigger_counts_as_long_as_its_incident_is_open(self) -> None:
        self.assertEqual(self.retried("trigger"), [Revived(7)])
        self.world.stream("Connected")
        self.assertEqual(self.retried("trigger"), [Dropped(7, "its incident is closed")])

    def test_a_resolve_counts_until_its_incident_is_open_again(self) -> None:
        self.assertEqual(self.retried("resolve"), [Dropped(7, "its incident is open again")])
        self.world.stream("Connected")
        self.assertEqual(self.retried("resolve"), [Revived(7)])

    def test_a_message_always_counts(self) -> None:
        self.assertEqual(self.retried("message"), [Revived(7)])
        self.world.stream("Connected")
        self.assertEqual(self.retried("message"), [Revived(7)])

    def test_several_in_their_order(self) -> None:
        rows = tuple(
            OwedRow(number, form, self.rule, self.key)
            for number, form in ((3, "message"), (1, "resolve"), (2, "trigger"))
        )
        owed = self.world.decider.decide(Retry(rows, self.world.now)).owed
        self.assertEqual(owed, [Revived(3), Dropped(1, "its incident is open again"), Revived(2)])

    def test_what_is_dropped_is_dropped(self) -> None:
        owed = self.world.decider.decide(Drop((7, 9), self.world.now)).owed
        self.assertEqual(owed, [Dropped(7, "dropped by hand"), Dropped(9, "dropped by hand")])

    def test_neither_is_repeated_by_a_replay(self) -> None:
        """What came of it is kept already; and it tells nothing of the platform."""
        before = dict(self.world.decider.inventory._resources)
        for item in (Retry((), 1.0), Drop((), 1.0)):
            self.world.decider.replay(item)
        self.assertEqual(self.world.decider.inventory._resources, before)
        self.assertEqual(self.world.decider.counts["rejected"], 0)


class ReplayTests(SynchronousTestCase):
    """What came after the inventory was saved is taken in again, and nothing is said."""

    def test_an_input_that_was_rejected_is_rejected_again(self) -> None:
        """It stops neither the start nor the next one."""
        decider = World.of(message_rule({})).decider
        broken = Link(cast("LinkType", None), "main", "Connected", "", 5.0)
        for item in (broken, Message("main", 1, b"no JSON", 5.0), cast("Input", "no input")):
            decider.replay(item)
        self.assertEqual(decider.counts["rejected"], 3)
        decider.replay(Message("main", 2, event_bytes(SERVICE), 6.0))
        self.assertEqual(len(decider.inventory), 1)

    def test_nothing_is_said_asked_for_or_waited_for(self) -> None:
        """All that came of it was kept with it."""
        rules = (message_rule(text="{{ stack.name }}"), incident_rule(AT_ONCE))
        kept = RestartedWorld.of(*rules)
        inputs: list[Input] = [
            Message("main", 1, event_bytes(SERVICE, parents=[STACK]), 5.0),
            Link(LinkType.STREAM, "main", "Disconnected", "why", 6.0),
            Tick(7.0),
        ]
        for item in inputs:
            kept.world.decider.replay(item)
        decider = kept.world.decider
        self.assertEqual((len(decider.waiting), decider.incidents.open_incidents()), (0, []))
        self.assertEqual(decider.incidents.take_unsaved(), {})
        self.assertEqual(len(decider.inventory), 2)
