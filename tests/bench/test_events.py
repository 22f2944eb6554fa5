"""The bench's events: what is to be told of them, and how a notice is known again."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from bench.events import event_of, frames, numbers_in, object_of, told_in, uri_of
from bench.http_servers import FAILED, LIMITED, OK, DestinationSite
from bench.wire import Behaviour, Plan
from bench.workloads import WORKLOADS
from tutumwatch.events.event import Event, decode_event
from tutumwatch.stream.frames import split_messages

MIXED = Plan(count=100, look_up_every=20)


class EventsTests(SynchronousTestCase):
    """Plans, and their events."""

    def test_each_is_an_event_of_tutum(self) -> None:
        for workload in WORKLOADS:
            for number in range(25):
                event = decode_event(event_of(workload.plan, number).encode())
                assert isinstance(event, Event)
                self.assertEqual(event.state, "Running")

    def test_one_in_twenty_is_looked_up_and_the_last_is(self) -> None:
        with_stack = [n for n in range(100) if json.loads(event_of(MIXED, n))["parents"]]
        self.assertEqual(with_stack, [19, 39, 59, 79, 99])
        self.assertEqual(MIXED.notice_count, 5)

    def test_a_flood_ends_with_the_one_that_is_told(self) -> None:
        plan = Plan(count=3, ends_with_notice=True)
        kinds = [json.loads(event_of(plan, n))["type"] for n in range(plan.sent_count)]
        self.assertEqual(kinds, ["service", "service", "service", "container"])

    def test_resources_take_turns(self) -> None:
        plan = Plan(count=10, resources=4)
        uris = [json.loads(event_of(plan, n))["resource_uri"] for n in range(10)]
        self.assertEqual(uris[:2], uris[4:6])
        self.assertEqual(len(set(uris)), 4)

    def test_frames_are_whole_messages(self) -> None:
        messages, _ = split_messages(frames(MIXED, range(3)) + b"\x81")
        self.assertEqual([m.decode() for m in messages], [event_of(MIXED, n) for n in range(3)])

    def test_lists_have_what_was_told_of(self) -> None:
        told = told_in(MIXED, 40)
        self.assertEqual((len(told["service"]), told["stack"]), (40, [19, 39]))

    def test_a_notice_is_known_by_what_it_names(self) -> None:
        self.assertEqual(numbers_in(f"Check {uri_of('container', 12)} to".encode()), [12])
        self.assertEqual(numbers_in(f"the {object_of('stack', 7)['name']} Stack".encode()), [7])


class LedgerTests(SynchronousTestCase):
    """The destination's ledger; its clock is asyncio's."""

    def test_faults_are_the_same_for_every_client_and_as_many_as_said(self) -> None:
        behaviour = Behaviour(failed=0.1, limited=0.05)
        drawn = []
        for _ in range(2):
            site = DestinationSite()
            site.behaviour = behaviour
            drawn.append([site.status_for(number) for number in range(2_000)])
        self.assertEqual(drawn[0], drawn[1])
        self.assertApproximates(drawn[0].count(FAILED) / 2_000, 0.1, 0.02)
        self.assertApproximates(drawn[0].count(LIMITED) / 2_000, 0.05, 0.015)
        self.assertIn(OK, drawn[0])

    def test_a_second_attempt_is_drawn_anew(self) -> None:
        site = DestinationSite()
        site.behaviour = Behaviour(failed=0.5)
        first = [site.status_for(number) for number in range(200)]
        second = [site.status_for(number) for number in range(200)]
        self.assertNotEqual(first, second)
