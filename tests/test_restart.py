"""Tests of going on after a restart: what we know then is what we would know without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.rules.world import (
    World,
    event_bytes,
    message_rule,
)
from tests.secrets_check import RecordedLog
from tutumwatch.events.inputs import (
    Found,
    Input,
    Link,
    LinkType,
    Listed,
    Looked,
    Message,
    Missing,
    Started,
    Tick,
)
from tutumwatch.inventory.inventory import GONE_KEPT_SECONDS
from tutumwatch.inventory.resource import Key, Resource
from tutumwatch.outbox.store import Restored
from tutumwatch.restart import WatchTime, blind_since, restore
from tutumwatch.rules.decider import Decider

NOW = 1_800_000_000.0
HOUR, DAY = 3600.0, 86_400.0
STACK, SERVICE = "/api/v1/stack/k1/", "/api/v1/service/s1/"
MAIN: Key = ("main", "stream", "main")


class WatchTimeTests(SynchronousTestCase):
    """Set by the wall clock once; never behind what was committed, unless that is absurd."""

    def setUp(self) -> None:
        """Make a monotonic clock, and record the log."""
        self.clock = Clock()
        self.clock.advance(77.0)
        self.log = RecordedLog()
        self.addCleanup(self.log.stop)

    def begin(self, wall: float, alive_at: float | None) -> WatchTime:
        """Start at a time of the wall clock, after we last ran at another."""
        return WatchTime.begin(self.clock, lambda: wall, alive_at)

    def warnings(self) -> list[str]:
        """Give what was said."""
        return [e["log_format"].format(**e) for e in self.log.events]

    def test_it_is_the_wall_clocks_and_runs_on_the_monotonic_one(self) -> None:
        for alive_at in (None, NOW - DAY, NOW - 1.0, NOW):
            time = self.begin(NOW, alive_at)
            self.assertEqual(time.now(), NOW)
            self.clock.advance(10.0)
            self.assertEqual(time.now(), NOW + 10.0)
        self.assertEqual(self.warnings(), [])

    def test_a_clock_that_is_an_hour_behind(self) -> None:
        """The time goes on from the last commit: nothing is dated before what is known."""
        time = self.begin(NOW - HOUR, NOW)
        self.assertEqual(time.now(), NOW)
        self.clock.advance(5.0)
        self.assertEqual(time.now(), NOW + 5.0)
        (said,) = self.warnings()
        self.assertEqual(
            said,
            "the clock is 3600 s behind what was written when we last ran; the time goes on from "
            "there",
        )

    def test_a_small_correction_is_no_news(self) -> None:
        for back in (0.5, 60.0):
            self.assertEqual(self.begin(NOW - back, NOW).now(), NOW)
        self.assertEqual(self.warnings(), [])
        self.begin(NOW - 61.0, NOW)
        self.assertEqual(len(self.warnings()), 1)

    def test_a_clock_that_is_a_day_ahead(self) -> None:
        """It may be that we were off for a day: the wall clock is believed."""
        self.assertEqual(self.begin(NOW + DAY, NOW).now(), NOW + DAY)
        self.assertEqual(self.warnings(), [])

    def test_a_clock_that_is_more_than_a_day_behind(self) -> None:
        """It was wrong before, and is right now."""
        self.assertEqual(self.begin(NOW - DAY, NOW).now(), NOW)
        self.assertEqual(self.begin(NOW - DAY - 1.0, NOW).now(), NOW - DAY - 1.0)
        self.assertEqual(
            self.warnings()[-1],
            "the clock is 86401 s behind what was written when we last ran; it is taken to be "
            "right now",
        )


URIS = (STACK, SERVICE, "/api/v1/service/s2/", "/api/v1/container/c1/", "/api/v1/action/a1/")
STATES = ("Running", "Stopped", "Terminating", "Terminated", "Success", "")
OBJECTS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["web", "db"]),
        "state": st.sampled_from(STATES),
        "stack": st.just(STACK),
        "running_num_containers": st.integers(0, 2),
    },
)
# What may happen, each with the time that passed before it.
EVENTS = st.fixed_dictionaries(
    {"uri": st.sampled_from(URIS), "state": st.sampled_from(STATES)},
    optional={
        "parents": st.lists(st.sampled_from([STACK, SERVICE, "@x"]), max_size=2),
        "action": st.sampled_from(["create", "update", "delete"]),
        "object": OBJECTS,
        "uuid": st.sampled_from(["e1", "e2", "e3"]),
    },
)
LOOKED = st.tuples(
    st.sampled_from(URIS), st.integers(0, 4), st.builds(Found, OBJECTS) | st.just(Missing())
)
LINKS = st.sampled_from(
    [
        *((LinkType.STREAM, "main", s) for s in ("Connected", "Disconnected", "Unauthorized")),
        *((LinkType.NOTIFIER, "pd", s) for s in ("Delivering", "Refused")),
    ]
)
HAPPENINGS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 1.0, 60.0, GONE_KEPT_SECONDS + 1.0]),
        EVENTS | LOOKED | st.lists(LOOKED, max_size=3) | LINKS | st.sampled_from(["tick", "run"]),
    ),
    max_size=25,
)


# The uuids of resources. Our own connections are written when saving is done, in one go.
WRITTEN = ("k1", "s1", "s2", "c1", "a1")


def inputs_of(happenings: Sequence[tuple[float, Any]]) -> list[Input]:
    """Make the inputs of a history; look-ups were asked for so many messages before."""
    at, number, inputs = NOW, 0, list[Input]([Started("first", None, NOW)])

    def looked(uri: str, before: int, answer: Found | Missing) -> Looked:
        return Looked("main", uri, max(0, number - before), answer, at)

    for seconds, happening in happenings:
        at += seconds
        match happening:
            case dict() as told:
                number += 1
                more = {key: value for key, value in told.items() if key not in {"uri", "state"}}
                payload = event_bytes(told["uri"], told["state"], **more)
                inputs.append(Message("main", number, payload, at))
            case (LinkType() as type_, str(name), str(state)):
                inputs.append(Link(type_, name, state, "why", at))
            case (str(uri), int(before), answer):
                inputs.append(looked(uri, before, answer))
            case list(rows):
                inputs.append(Listed("main", tuple(looked(*row) for row in rows), at))
            case "run":
                inputs.append(Started(f"run-{at}", at - seconds / 2, at))
            case _:
                inputs.append(Tick(at))
    return inputs


def present_in(decider: Decider) -> dict[Key, Resource]:
    """Give what is known and not gone: of what is gone, only that it is counts."""
    kept = decider.inventory._resources.values()
    return {known.key: known for known in kept if known.gone_at is None}


@attrs.define
class Disk:
    """What a store has of an inventory: rows, each as it was when it was written."""

    rows: dict[Key, Resource] = attrs.field(factory=dict)

    def write(self, changed: Mapping[Key, Resource | None]) -> None:
        """Write rows."""
        for key, resource in changed.items():
            if resource is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = resource


class AnyRestartTests(SynchronousTestCase):
    """Whatever was saved last, and wherever saving ended: nothing of what came is forgotten."""

    @settings(deadline=None, max_examples=300)
    @given(HAPPENINGS, st.integers(0, 25), st.integers(0, 25), st.sets(st.sampled_from(WRITTEN)))
    def test_the_inventory_is_as_if_we_had_never_ended(
        self, happenings: list[tuple[float, Any]], saved: int, more: int, written: set[str]
    ) -> None:
        """Saving was done after some inputs; it was begun again later, and some of it written."""
        inputs = inputs_of(happenings)
        saved = min(saved, len(inputs))
        begun = min(saved + more, len(inputs))
        decider, disk = World.of().decider, Disk()
        for item in inputs[:saved]:
            decider.decide(item)
        disk.write(decider.inventory.take_unsaved())
        for item in inputs[saved:begun]:
            decider.decide(item)
        changed = decider.inventory.take_unsaved()
        disk.write({key: changed[key] for key in changed if key[2] in written})
        for item in inputs[begun:]:
            decider.decide(item)
        restarted = World.of().decider
        kept = Restored(NOW, 0, list(disk.rows.values()), inputs[:saved], inputs[saved:])
        restore(restarted, kept, {"main"}, {"pd"}, NOW)
        known, expected = present_in(restarted), present_in(decider)
        self.assertEqual(known.keys(), expected.keys())
        for key, resource in known.items():
            ours = expected[key]
            unknown = {
                name: getattr(resource, name)
                for name in ("name", "fields", "parents", "parents_complete")
                if not getattr(ours, name)
            }
            self.assertEqual(resource, msgspec.structs.replace(ours, seen=resource.seen, **unknown))
        self.assertEqual(restarted._seen, decider._seen)


class RestoreTests(SynchronousTestCase):
    """What the store kept becomes what the decider knows."""

    def setUp(self) -> None:
        """Record the log."""
        self.log = RecordedLog()
        self.addCleanup(self.log.stop)

    def restored(self, kept: Restored, world: World | None = None) -> Decider:
        """Give a decider that goes on with what was kept, watching main and telling pd."""
        decider = (world or World.of()).decider
        restore(decider, kept, {"main"}, {"pd"}, NOW)
        return decider

    def test_what_nobody_can_tell_of_any_more_is_forgotten(self) -> None:
        """A stream and a notifier that the configuration does not have now."""
        before = World.of()
        for stream in ("main", "lab"):
            before.stream("Connected", stream)
            before.bytes(event_bytes(SERVICE), stream)
        for notifier in ("pd", "slack"):
            before.notifier("Refused", notifier)
        rows = list(before.decider.inventory.take_unsaved().values())
        kept = Restored(NOW, 2, [row for row in rows if row is not None])
        inventory = self.restored(kept).inventory
        known = sorted(inventory._resources)
        self.assertEqual(
            known, [("", "notifier", "pd"), ("main", "service", "s1"), ("main", "stream", "main")]
        )
        # So the store forgets it, too.
        self.assertEqual(
            {key for key, row in inventory.take_unsaved().items() if row is None},
            {key for key in before.decider.inventory._resources if key not in known},
        )

    def test_counts_are_of_this_run(self) -> None:
        later = [Message("main", 1, b"no JSON", NOW), Message("main", 2, event_bytes(SERVICE), NOW)]
        decider = self.restored(Restored(NOW, 2, later=later))
        self.assertEqual(decider.counts, {})
        self.assertIsNone(decider.last_rejected)

    def test_a_server_that_repeats_itself_after_the_restart(self) -> None:
        """Whether what it repeats came before the inventory was saved, or after that."""
        told = [
            Message("main", n, event_bytes(SERVICE, parents=[], uuid=f"e{n}"), NOW) for n in (1, 2)
        ]
        world = World.of(message_rule())
        kept = Restored(NOW, 2, earlier=told[:1], later=told[1:])
        decider = self.restored(kept, world)
        for uuid in ("e1", "e2"):
            self.assertEqual(world.event(SERVICE, "Stopped", parents=[], uuid=uuid).owed, [])
        self.assertEqual(decider.counts, {"repeated": 2})
        self.assertEqual(len(world.event(SERVICE, "Stopped", parents=[], uuid="e3").owed), 1)

    def test_records_that_cannot_be_read_are_said(self) -> None:
        self.restored(Restored(NOW, 0, records={("member", "x"): b"\xc1", ("incident", "y"): b""}))
        (event,) = self.log.events
        self.assertEqual(
            event["log_format"].format(**event),
            "2 records of incidents cannot be read and are forgotten; what was open may have to "
            "be resolved by hand",
        )

    def test_since_when_nothing_was_seen(self) -> None:
        """Since we last ran; if nothing was seen by then, for as long as that."""
        cases: Sequence[tuple[Sequence[tuple[str, float]], float | None]] = (
            ((), None),
            ((("Connected", 10.0),), 90.0),
            ((("Connected", 10.0), ("Disconnected", 30.0)), 30.0),
            ((("Disconnected", 30.0),), 90.0),
        )
        for links, expected in cases:
            later = [Link(LinkType.STREAM, "main", state, "why", at) for state, at in links]
            decider = self.restored(Restored(90.0, 0, later=later))
            self.assertEqual(blind_since(decider, "main", 90.0), expected, links)
            self.assertIsNone(blind_since(decider, "lab", 90.0))

    def test_the_blind_time_is_told_with_the_next_connect(self) -> None:
        for links, blind in (
            ((("Connected", 10.0),), "30 s"),
            ((("Connected", 10.0), ("Disconnected", 30.0)), "1 min 30 s"),
        ):
            later = [Link(LinkType.STREAM, "main", state, "why", at) for state, at in links]
            decider = self.restored(Restored(90.0, 0, later=later))
            for item in (
                Started("second", 90.0, 100.0),
                Link(LinkType.STREAM, "main", "Disconnected", "refused", 101.0),
                Link(LinkType.STREAM, "main", "Connected", "", 120.0),
            ):
                decider.decide(item)
            known = decider.inventory.get(MAIN)
            assert known is not None
            assert known.fields is not None
            self.assertEqual(known.fields["blind"], blind)

    def test_it_counts_on_over_a_second_restart(self) -> None:
        """Also if the second run ended before its stream told anything, and saved what it knew."""
        first = self.restored(
            Restored(90.0, 0, later=[Link(LinkType.STREAM, "main", "Connected", "", 10.0)])
        )
        first.inventory.take_unsaved()
        first.decide(Started("second", 90.0, 100.0))
        rows = [row for row in first.inventory.take_unsaved().values() if row is not None]
        decider = self.restored(Restored(200.0, 0, rows))
        self.assertEqual(blind_since(decider, "main", 200.0), 90.0)
