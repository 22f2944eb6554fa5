"""Tests of what rules remember over a restart: what is open stays open, and only that."""

from __future__ import annotations

from collections.abc import Sequence
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
    rule_set,
    texts,
)
from tutumwatch.events.inputs import (
    Drop,
    Found,
    Input,
    Link,
    LinkType,
    Listed,
    Looked,
    Message,
    OwedRow,
    Retry,
    Started,
    Tick,
)
from tutumwatch.inventory.links import CATCH_UP_MAX_SECONDS
from tutumwatch.rules.decisions import (
    Dropped,
    Need,
    Revived,
    Settled,
)
from tutumwatch.rules.grouping import MANY
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.messages import MessageRule
from tutumwatch.rules.notice import Form, Notice


def come_back(world: World, *rules: MessageRule | IncidentRule) -> list[Notice]:
    """Restart; our streams are at once as they were."""
    links = [known for known in world.decider.inventory.resources() if known.type == "stream"]
    said = notices(world.restart(*rules))
    for known in links:
        said += notices(world.stream(known.state or "", known.key[2]))
    return said


def kinds(world: World) -> set[str]:
    """Give the kinds of the records of incidents that are kept, but for those of rules."""
    return {kind for kind, _ in world.records} & {"incident", "member", "tally", "group"}


AT_ONCE = incident_settings(for_seconds=0.0)
TOLD_ALL = incident_settings(for_seconds=0.0, notify=["plain", "slack", "pd"])


class IncidentsTests(SynchronousTestCase):
    """Incidents over a restart."""

    def opened(self, *rules: IncidentRule) -> World:
        """Give a world in which the incidents of a stream that is down are open."""
        world = World.of(*rules)
        world.remember("main")
        world.stream("Disconnected")
        return world

    def test_a_condition_that_began_before_fires_at_its_true_time(self) -> None:
        rule = incident_rule(incident_settings(for_seconds=15.0))
        for away_seconds, left_seconds in ((10.0, 5.0), (15.0, 0.0), (100.0, 0.0)):
            world = self.opened(rule)
            world.now += away_seconds
            self.assertEqual(notices(world.restart(rule)), [])
            if left_seconds:
                self.assertEqual(world.wait(left_seconds - 0.1), [])
            self.assertEqual(forms(world.wait(0.1)), [("plain", TRIGGER)])

    def test_an_open_one_stays_open_and_is_resolved_where_it_was_told(self) -> None:
        rule = incident_rule(TOLD_ALL)
        world = self.opened(rule)
        self.assertEqual(notices(world.restart(rule)), [])
        self.assertEqual(
            world.open_keys(),
            ["stream down/main/stream/main"],
        )
        self.assertEqual(notices(world.stream("Disconnected")), [])
        world.stream("Connected")
        said = world.wait(5.0)
        self.assertEqual(forms(said), [(n, RESOLVE) for n in ("plain", "slack", "pd")])
        self.assertEqual({notice.text for notice in said}, {"up"})

    def test_what_is_kept_of_it_ends_with_it(self) -> None:
        rule = incident_rule(incident_settings(for_seconds=0.0, clear_for_seconds=0.0))
        world = self.opened(rule)
        self.assertEqual(kinds(world), {"incident", "member"})
        world.stream("Connected")
        self.assertEqual(kinds(world), set())

    def test_a_clear_goes_on(self) -> None:
        rule = incident_rule(AT_ONCE)
        world = self.opened(rule)
        world.stream("Connected")
        world.now += 3.0
        come_back(world, rule)
        self.assertEqual(world.wait(1.9), [])
        self.assertEqual(forms(world.wait(0.1)), [("plain", RESOLVE)])

    def test_a_gap_goes_on(self) -> None:
        """Of a condition that was not true for long enough: it is quiet, or has not been broken."""
        rule = incident_rule(incident_settings(for_seconds=15.0))
        for back_after_seconds, said in ((4.0, [("plain", TRIGGER)]), (5.0, [])):
            world = self.opened(rule)
            world.stream("Connected")
            come_back(world, rule)
            world.wait(back_after_seconds)
            world.stream("Disconnected")
            self.assertEqual(forms(world.wait(14.9 - back_after_seconds)), [])
            self.assertEqual(forms(world.wait(0.1)), said)

    def test_dates_of_a_clock_that_was_wrong_count_from_now(self) -> None:
        """It ran days ahead; what is due then would otherwise be due in days."""
        for_long, at_once = incident_settings(for_seconds=15.0), AT_ONCE
        for settings_, gap, seconds, said in (
            (for_long, False, 15.0, [("plain", TRIGGER)]),
            (for_long, True, 5.0, []),
            (at_once, True, 5.0, [("plain", RESOLVE)]),
        ):
            rule = incident_rule(settings_)
            world = self.opened(rule)
            if gap:
                world.stream("Connected")
            world.now -= 3 * 86_400.0
            come_back(world, rule)
            now = world.now
            self.assertEqual(world.decider.next_due(), now + seconds)
            self.assertEqual(forms(world.wait(seconds)), said)
            # What is left is that the list of a stream that is connected is not waited for.
            left_due = now + CATCH_UP_MAX_SECONDS if gap else None
            self.assertEqual(world.decider.next_due(), left_due)

    def test_a_gap_or_an_end_ahead_of_a_beginning_that_is_not(self) -> None:
        for settings_ in (incident_settings(for_seconds=15.0), AT_ONCE):
            rule = incident_rule(settings_)
            world = self.opened(rule)
            begun = world.now
            world.now += 3 * 86_400.0
            world.stream("Connected")
            world.now = begun + 10.0
            come_back(world, rule)
            self.assertEqual(world.decider.next_due(), begun + 15.0)

    def test_a_rule_that_was_removed(self) -> None:
        """What it opened is closed wherever it was told, with the reason; nothing is left of it."""
        world = self.opened(incident_rule(TOLD_ALL))
        decisions = world.restart()
        self.assertEqual(
            forms(notices(decisions)), [(n, RESOLVE) for n in ("plain", "slack", "pd")]
        )
        (notice, _, _) = notices(decisions)
        self.assertEqual(
            (notice.rule, notice.key, notice.at),
            ("stream down", "stream down/main/stream/main", world.now),
        )
        self.assertEqual(notice.text, "stream down: stream main is closed: its rule was removed")
        self.assertEqual(kinds(world), set())
        self.assertIsNone(world.decider.next_due())
        self.assertEqual(notices(world.restart()), [])

    def test_a_rule_that_is_about_something_else_now(self) -> None:
        """Nothing would ever judge the stream again, and close it."""
        world = self.opened(incident_rule(AT_ONCE))
        other = incident_rule(
            incident_settings(while_={"type": "notifier", "state": "Refused"}, for_seconds=0.0)
        )
        self.assertEqual(forms(notices(world.restart(other))), [("plain", RESOLVE)])

    def test_a_resource_that_is_not_known_any_more(self) -> None:
        """A stream or notifier that was removed: nobody could tell that it is well again."""
        rule = incident_rule(AT_ONCE)
        decisions = self.opened(rule).restart(rule, forgotten=True)
        self.assertEqual(
            texts(decisions),
            ["stream down: stream main is closed: nothing is in it"],
        )

    def test_one_that_others_are_in_stays_open(self) -> None:
        rule = incident_rule(incident_settings(for_seconds=0.0, key="streams"))
        world = World.of(rule)
        for stream in ("main", "lab"):
            world.stream("Disconnected", stream)
        inventory = world.decider.inventory
        inventory.forget_others({"lab"}, set())
        self.assertEqual(notices(world.restart(rule)), [])
        world.stream("Connected", "lab")
        self.assertEqual(forms(world.wait(5.0)), [("plain", RESOLVE)])

    def test_a_pending_one_of_a_removed_rule_is_forgotten(self) -> None:
        world = self.opened(incident_rule())
        self.assertEqual(notices(world.restart()), [])
        self.assertEqual(kinds(world), set())
        self.assertEqual(world.wait(100.0), [])

    def test_a_notifier_that_was_removed_is_not_told(self) -> None:
        without_pd = {name: DESTINATIONS[name] for name in ("plain", "slack")}
        for rules in ((), (incident_rule(incident_settings(for_seconds=0.0)),)):
            world = self.opened(incident_rule(TOLD_ALL))
            said = notices(
                world.restart_under(attrs.evolve(rule_set(*rules), destinations=without_pd))
            )
            world.stream("Connected")
            said += world.wait(5.0)
            told = sorted(forms(said))
            self.assertEqual(told, [("plain", RESOLVE), ("slack", RESOLVE)], rules)

    def test_a_notifier_that_the_rule_does_not_name_any_more_is_told_at_once(self) -> None:
        """Else a page would stay open there."""
        world = self.opened(incident_rule(TOLD_ALL))
        said = notices(world.restart(incident_rule(AT_ONCE)))
        key = "stream down/main/stream/main"
        self.assertEqual(forms(said), [("slack", RESOLVE), ("pd", RESOLVE)])
        self.assertEqual({notice.key for notice in said}, {key})
        world.stream("Connected")
        self.assertEqual(
            [(n.notifier, n.text, n.key) for n in world.wait(5.0)], [("plain", "up", key)]
        )
        self.assertEqual(world.decider.counts["rejected"], 0)

    def test_what_is_said_plainly_is_escaped(self) -> None:
        world = self.opened(
            incident_rule(incident_settings(name="<!>", notify=["slack"], for_seconds=0.0))
        )
        (text,) = texts(world.restart())
        self.assertEqual(text, "&lt;!&gt;: stream main is closed: its rule was removed")

    def test_a_notifier_that_the_rule_names_only_now_is_told_that_it_is_open(self) -> None:
        world = self.opened(incident_rule(AT_ONCE))
        said = notices(world.restart(incident_rule(TOLD_ALL)))
        self.assertEqual(forms(said), [("slack", TRIGGER), ("pd", TRIGGER)])
        world.stream("Connected")
        said = world.wait(5.0)
        self.assertEqual(forms(said), [(n, RESOLVE) for n in ("plain", "slack", "pd")])

    def test_the_oldest_is_the_first(self) -> None:
        rule = incident_rule(AT_ONCE)
        world = World.of(rule)
        for stream in ("b", "a", "c"):
            world.stream("Disconnected", stream)
            world.now += 1.0
        world.records = dict(sorted(world.records.items()))
        world.restart(rule)
        self.assertEqual(
            world.open_keys(), [f"stream down/{s}/stream/{s}" for s in ("b", "a", "c")]
        )

    def test_records_that_cannot_be_read_are_forgotten(self) -> None:
        rule = incident_rule(AT_ONCE)
        world = self.opened(rule)
        told = {"incident", "member"}
        unread = {name: value[:-1] for name, value in world.records.items() if name[0] in told}
        self.assertEqual(len(unread), 2)
        world.records |= unread
        decisions = world.restart(rule)
        self.assertEqual(decisions.records, dict.fromkeys(unread))
        self.assertEqual(world.unreadable_count, 2)
        self.assertEqual((notices(decisions), kinds(world)), ([], set()))
        self.assertEqual(forms(notices(world.stream("Disconnected"))), [("plain", TRIGGER)])

    def test_everything_again_for_a_store_that_lost_it(self) -> None:
        rule = incident_rule(AT_ONCE)
        world = self.opened(rule)
        records, world.records = world.records, {}
        world.decider.inventory.take_unsaved()
        world.decider.save_everything()
        world.tick()
        self.assertEqual(world.records, records)
        inventory = world.decider.inventory
        self.assertEqual(inventory.take_unsaved().keys(), {("main", "stream", "main")})

    def test_that_streams_were_known_is_saved_again_as_well(self) -> None:
        """Else the next start would resolve what it takes for orphans, and miss what changed."""
        world = World.of()
        world.remember("main", "lab")
        world.records.clear()
        world.decider.save_everything()
        again = {(kind, name): b"" for kind in ("greeted", "caught up") for name in ("main", "lab")}
        self.assertEqual(world.tick().records, again)
        self.assertEqual(world.tick().records, {})


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
            world = World.of(*rules)
            world.remember("main", "lab")
            told = []
            for number, (seconds, stream, state) in enumerate(
                [*steps, (99.0, "main", "Connected")]
            ):
                told += world.wait(seconds)
                told += notices(world.stream(state, stream))
                if number in restarts_at:
                    told += come_back(world, *rules)
            # What is due at one time may come in any order.
            said.append(sorted((n.at, n.rule, n.key, n.form.value) for n in told))
        self.assertEqual(said[0], said[1])

    @given(st.text(), st.text(), st.floats(0, 1e12))
    def test_records_are_read_as_they_were_written(self, name: str, key: str, at: float) -> None:
        """Whatever characters a rule, a key or a stream is named with."""
        rule = incident_rule(
            incident_settings(name=name, for_seconds=0.0, key=key.replace("{", ""))
        )
        world = World.of(rule)
        world.now = at
        world.stream("Disconnected", key or "main")
        before = world.decider.incidents
        world.restart(rule)
        after = world.decider.incidents
        self.assertEqual(after.members(), before.members())
        self.assertEqual(after.open_incidents(), before.open_incidents())
        self.assertEqual(kinds(world), {"member", "incident"})


class WaitingRowsTests(SynchronousTestCase):
    """Messages that waited for a look-up when we ended."""

    def waiting(self, *rules: MessageRule) -> World:
        """Give a world in which a message of each rule waits for a stack."""
        world = World.of(*rules)
        world.event(SERVICE, parents=[STACK], uuid="e1")
        return world

    def test_they_wait_anew_and_what_they_need_is_asked_for_again(self) -> None:
        rule = message_rule(text="{{ stack.name }}")
        world = self.waiting(rule)
        world.now += 500.0
        decisions = world.restart(rule)
        self.assertEqual(decisions.needs, {Need("main", STACK)})
        self.assertEqual(decisions.owed, [])
        self.assertEqual(world.decider.next_due(), world.now + 10.0)
        self.assertEqual(texts(world.found(STACK, name="shop")), ["shop"])
        self.assertEqual(world.waiting, {})

    def test_those_that_nobody_answers_for_go_out_all_the_same(self) -> None:
        rule = message_rule(text="{{ stack.name }}")
        world = self.waiting(rule)
        world.restart(rule)
        said = [notice.text for notice in world.wait(10.0)]
        self.assertEqual(said, ["(unknown) (details unknown)"])

    def test_those_of_a_rule_that_was_removed_are_withdrawn(self) -> None:
        """Else their lane would wait for ever."""
        stays = message_rule(text="{{ stack.name }}", name="stays")
        world = self.waiting(message_rule(text="{{ stack.name }}", name="goes"), stays)
        decisions = world.restart(stays)
        self.assertEqual(decisions.owed, [Settled("main/e1/goes", ())])
        self.assertEqual(list(world.waiting), ["main/e1/stays"])

    def test_an_id_of_one_run_is_none_of_another(self) -> None:
        """Events without a uuid: two rows with one id would settle each other."""
        rule = message_rule(text="{{ stack.name }}")
        world = World.of(rule)
        world.event(SERVICE, parents=[STACK])
        world.restart(rule)
        world.number = 0
        world.event(SERVICE, parents=[STACK])
        self.assertEqual(list(world.waiting), ["main/run-1/news", "main/run 2-1/news"])


class GreetedTests(SynchronousTestCase):
    """What is said once in the life of a store."""

    def test_orphans_are_resolved_at_the_very_first_connect_alone(self) -> None:
        rule = incident_rule(incident_settings(notify=["pd"]))
        world = World.of(rule)
        said = {notice.key: notice.form for notice in notices(world.stream("Connected"))}
        self.assertEqual(said, dict.fromkeys(["stream down/main/stream/main", MANY], Form.RESOLVE))
        world.restart(rule)
        self.assertEqual(notices(world.stream("Connected")), [])

    def test_only_the_very_first_listing_is_silent(self) -> None:
        rule = message_rule({"type": "service"}, "{{ state }}")
        world = World.of(rule)
        world.listed({SERVICE: {"state": "Running"}})
        world.restart(rule)
        decisions = world.listed({SERVICE: {"state": "Stopped"}})
        self.assertEqual(texts(decisions), ["Stopped (late)"])


class ByHandTests(SynchronousTestCase):
    """A person sends dead letters again, or drops what is owed."""

    def setUp(self) -> None:
        """Open an incident."""
        self.world = World.of(
            incident_rule(incident_settings(for_seconds=0.0, clear_for_seconds=0.0))
        )
        self.world.stream("Disconnected")
        ((self.rule, self.key),) = [
            one.name for one in self.world.decider.incidents.open_incidents()
        ]

    def retried(self, form: str) -> list[object]:
        """Give what sending a dead letter of the incident again comes to."""
        row = OwedRow(7, form, self.rule, self.key)
        return list(self.world.decide(Retry((row,), self.world.now)).owed)

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
        owed = self.world.decide(Retry(rows, self.world.now)).owed
        self.assertEqual(owed, [Revived(3), Dropped(1, "its incident is open again"), Revived(2)])

    def test_what_is_dropped_is_dropped(self) -> None:
        owed = self.world.decide(Drop((7, 9), self.world.now)).owed
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

    def test_what_look_ups_listings_and_ticks_told_is_known_again(self) -> None:
        world = World.of()
        looked = Looked("main", SERVICE, 0, Found({"name": "web", "state": "Redeploying"}), 5.0)
        row = Looked("main", STACK, 0, Found({"name": "shop"}), 6.0)
        for item in (
            Started("run", None, 1.0),
            Message("main", 1, event_bytes(SERVICE, "Redeploying"), 2.0),
            Link(LinkType.STREAM, "main", "Connected", "", 3.0),
            looked,
            Listed("main", (row,), 6.0),
            Tick(902.0),
        ):
            world.decider.replay(item)
        known = {resource.key[1]: resource for resource in world.decider.inventory.resources()}
        self.assertEqual((known["service"].name, known["stack"].name), ("web", "shop"))
        deploy = known["service"].deploy
        self.assertEqual(deploy and deploy.state, "overdue")
        self.assertEqual(world.decider.counts["rejected"], 0)

    def test_nothing_is_said_asked_for_or_waited_for(self) -> None:
        """All that came of it was kept with it."""
        rules = (message_rule(text="{{ stack.name }}"), incident_rule(AT_ONCE))
        world = World.of(*rules)
        inputs: list[Input] = [
            Message("main", 1, event_bytes(SERVICE, parents=[STACK]), 5.0),
            Link(LinkType.STREAM, "main", "Disconnected", "why", 6.0),
            Tick(7.0),
        ]
        for item in inputs:
            world.decider.replay(item)
        decider = world.decider
        self.assertEqual(len(decider.speaking.waiting), 0)
        self.assertEqual(decider.incidents.members(), [])
        self.assertFalse(decider.incidents.records)
        self.assertEqual(len(decider.inventory), 2)
