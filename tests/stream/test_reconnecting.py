"""Tests of reconnecting: when it is dialled again, and what ends that."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionRefusedError as RefusedError
from twisted.internet.error import DNSLookupError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.stream.cases import ServiceTestCase, pass_time
from tests.stream.fake_endpoint import AUTH, EVENT, UNAUTHORIZED, FakeEndpoint, FakeServer
from tutumwatch.stream.connector import EndpointConnector
from tutumwatch.stream.factory import StreamFactory
from tutumwatch.stream.service import StreamService
from tutumwatch.stream.settings import StreamSettings


def gaps(times: list[float]) -> list[float]:
    """Give the pauses between some times."""
    return [later - earlier for earlier, later in pairwise(times)]


class DelayTests(ServiceTestCase):
    """How long it waits."""

    def test_delays_double_to_a_minute(self) -> None:
        self.endpoint.fail_with(RefusedError())
        self.service.startService()
        self.wait(300)
        self.assertEqual(gaps(self.endpoint.dial_times), [1, 2, 4, 8, 16, 32, 60, 60, 60])

    def test_jitter_is_drawn_from_what_was_given(self) -> None:
        self.endpoint.fail_with(RefusedError())
        self.jitter_factor = 0.75
        self.service.startService()
        self.wait(12)
        self.assertEqual(gaps(self.endpoint.dial_times), [0.75, 1.5, 3, 6])

    def test_jitter_never_leads_over_a_minute(self) -> None:
        self.endpoint.fail_with(RefusedError())
        self.jitter_factor = 1.25
        self.service.startService()
        self.wait(1_000)
        self.assertEqual(gaps(self.endpoint.dial_times)[:8], [1.25, 2.5, 5, 10, 20, 40, 60, 60])

    def test_years_of_failures_do_not_overflow(self) -> None:
        self.endpoint.fail_with(RefusedError())
        self.factory.retries = 20_000_000
        self.service.startService()
        self.wait(120)
        self.assertEqual(self.endpoint.dial_times, [0, 60, 120])

    def test_an_exception_in_whoever_listens_does_not_end_it(self) -> None:
        """Neither when a dial fails, nor when a connection ends."""

        def broken() -> None:
            message = "broken"
            raise ZeroDivisionError(message)

        self.on_link = broken
        self.endpoint.fail_with(RefusedError())
        self.service.startService()
        self.endpoint.behave = self.endpoint.let_through
        self.wait(1)
        self.endpoint.server.accept()
        self.endpoint.server.say(AUTH)
        self.endpoint.server.drop()
        self.wait(2)
        self.assertEqual(len(self.endpoint.dials), 3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)

    def test_a_protocol_that_dies_before_the_dial_says_so_is_retried_once(self) -> None:
        self.endpoint.behave = self.endpoint.make_and_hold
        self.service.startService()
        self.endpoint.server.drop()
        self.endpoint.behave = self.endpoint.hold
        self.endpoint.dials[0].result.callback(self.endpoint.server.protocol)
        self.wait(30)
        self.assertEqual(self.endpoint.dial_times, [0, 1])

    def test_a_connection_can_open_before_the_dial_says_so(self) -> None:
        self.endpoint.behave = self.endpoint.make_and_hold
        self.open(AUTH)
        self.assertEqual(self.states, [("Connected", "")])
        self.endpoint.dials[0].result.callback(self.endpoint.server.protocol)
        self.endpoint.server.say(EVENT)
        self.assertEqual(self.messages, [AUTH, EVENT])


class RudeServerTests(ServiceTestCase):
    """A server that does not want us is not asked over and over."""

    def assert_left_in_peace(self, serve: Callable[[FakeServer], None]) -> None:
        """Hold that there are at most 12 dials in the first minute, ever farther apart."""
        self.endpoint.serve = serve
        self.service.startService()
        self.wait(60)
        self.assertEqual(len(self.endpoint.dials), 6)
        between = gaps(self.endpoint.dial_times)
        self.assertEqual(between, sorted(between))
        self.assertGreaterEqual(between[0], 1)

    def test_refuses(self) -> None:
        self.assert_left_in_peace(lambda server: server.refuse(503))

    def test_refuses_and_says_retry_at_once(self) -> None:
        self.assert_left_in_peace(lambda server: server.refuse(503, "Retry-After: 0"))

    def test_closes_instead_of_an_answer(self) -> None:
        self.assert_left_in_peace(lambda server: server.hang_up())

    def test_accepts_and_closes_at_once(self) -> None:
        def serve(server: FakeServer) -> None:
            server.accept()
            server.say(AUTH)
            server.close(1000)
            server.hang_up()

        self.assert_left_in_peace(serve)
        self.assertEqual(self.messages, [AUTH] * 6)

    def test_accepts_and_aborts(self) -> None:
        def serve(server: FakeServer) -> None:
            server.accept()
            server.say(AUTH)
            server.drop()

        self.assert_left_in_peace(serve)

    def test_accepts_and_drops_when_it_is_believed(self) -> None:
        """Connected after 5 s, yet not proven good."""

        def serve(server: FakeServer) -> None:
            server.accept()
            self.clock.callLater(6, server.drop)

        self.endpoint.serve = serve
        self.service.startService()
        self.wait(60)
        self.assertEqual(gaps(self.endpoint.dial_times), [7, 8, 10, 14])


class ProofTests(ServiceTestCase):
    """What makes the delay the first one again."""

    def fail_some_times(self) -> None:
        """Have the next delay be 8 s, and the next dial succeed."""
        self.endpoint.fail_with(RefusedError())
        self.service.startService()
        self.wait(3)
        self.endpoint.behave = self.endpoint.let_through
        self.wait(4)
        self.endpoint.server.accept()
        self.endpoint.server.say(AUTH)

    def delay_after_drop(self) -> float:
        """Drop the connection, and give the delay before the next dial."""
        dropped_at = self.clock.seconds()
        self.endpoint.server.drop()
        self.wait(60)
        return self.endpoint.dial_times[4] - dropped_at

    def test_ten_seconds_open_reset_the_delay(self) -> None:
        self.fail_some_times()
        self.wait(10)
        self.assertEqual(self.delay_after_drop(), 1)

    def test_less_do_not(self) -> None:
        self.fail_some_times()
        self.wait(9.75)
        self.assertEqual(self.delay_after_drop(), 8)

    def test_ten_seconds_without_a_handshake_do_not(self) -> None:
        self.endpoint.fail_with(RefusedError())
        self.service.startService()
        self.wait(3)
        self.endpoint.behave = self.endpoint.let_through
        self.wait(4 + 10)
        self.assertTrue(self.endpoint.server.transport.is_over)
        self.assertEqual(self.states, [("Disconnected", "Connection was refused by other side")])
        self.wait(60)
        self.assertEqual(self.endpoint.dial_times[:5], [0, 1, 3, 7, 25])

    def test_being_refused_after_a_while_does_not(self) -> None:
        """The server takes us in, and at 9.5 s says that our credentials are bad."""
        self.fail_some_times()
        self.wait(9.5)
        self.endpoint.server.say(UNAUTHORIZED)
        self.wait(301)
        self.assertEqual(self.factory.retries, 4)

    def test_the_end_of_a_connection_takes_its_timers_with_it(self) -> None:
        """What was to happen 5 and 10 s after the opening does not happen to the next connection."""
        self.open(AUTH)
        self.wait(4)
        self.endpoint.server.drop()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.wait(1)
        self.endpoint.server.accept()
        self.wait(4.5)
        self.assertEqual([link.state for link in self.links], ["Connected", "Disconnected"])


class RetryAfterTests(ServiceTestCase):
    """A server that says when to come back is obeyed, within reason."""

    def delay(self, *headers: str, times: int = 1) -> float:
        """Give the delay after a refusal with these headers."""
        self.endpoint.serve = lambda server: server.refuse(503, *headers)
        self.service.startService()
        self.wait(10_000)
        return gaps(self.endpoint.dial_times)[times - 1]

    def test_longer_than_ours_is_obeyed(self) -> None:
        self.assertEqual(self.delay("Retry-After: 7"), 7)

    def test_shorter_than_ours_is_not(self) -> None:
        self.assertEqual(self.delay("Retry-After: 7", times=5), 16)

    def test_no_more_than_a_quarter_of_an_hour(self) -> None:
        self.assertEqual(self.delay("Retry-After: 86400"), 900)

    def test_without_end(self) -> None:
        self.assertEqual(self.delay("Retry-After: " + "9" * 400), 900)

    def test_zero(self) -> None:
        self.assertEqual(self.delay("Retry-After: 0"), 1)

    def test_rubbish(self) -> None:
        self.assertEqual(self.delay("Retry-After: soon"), 1)

    def test_twice(self) -> None:
        """Two headers are joined by a comma, which makes no sense of them."""
        self.assertEqual(self.delay("Retry-After: 7", "Retry-After: 8"), 1)

    def test_a_date(self) -> None:
        self.assertEqual(self.delay("Retry-After: Tue, 14 Nov 2023 22:14:50 GMT"), 90)

    def test_a_date_in_the_past(self) -> None:
        self.assertEqual(self.delay("Retry-After: Tue, 14 Nov 2023 22:13:00 GMT"), 1)

    def test_none(self) -> None:
        self.assertEqual(self.delay(), 1)

    def test_it_holds_for_one_attempt(self) -> None:
        """The delay after the next failure, which does not say, is ours again."""
        self.endpoint.serve = lambda server: server.refuse(429, "Retry-After: 100")
        self.service.startService()
        self.endpoint.fail_with(RefusedError())
        self.wait(150)
        self.assertEqual(self.endpoint.dial_times, [0, 100, 102, 106, 114, 130])


class FactoryTests(SynchronousTestCase):
    """The factory alone: the traps of the class it is made of."""

    def setUp(self) -> None:
        """Make a factory whose service is not started."""
        self.clock = Clock()
        self.endpoint = FakeEndpoint(self.clock)
        self.endpoint.fail_with(DNSLookupError())
        made: list[StreamFactory] = []

        def make(listener: object) -> StreamFactory:
            settings = StreamSettings()
            made.append(
                StreamFactory("ws://x/", {}, settings, self.clock, lambda: 1.0, listener)  # type: ignore[arg-type] # a DialListener it is
            )
            return made[0]

        StreamService(
            "main",
            self.endpoint,
            make,
            self.clock,
            lambda: 0.0,
            print,
            print,
            silence_max_seconds=1,
        )
        self.factory = made[0]
        self.connector = EndpointConnector(self.endpoint, self.factory)

    def test_proof_never_leaks_a_retry_that_is_pending(self) -> None:
        """The base class would forget its timer, and nobody could stop it any more."""
        self.connector.connect()
        self.factory.prove()
        self.factory.stopTrying()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_proof_never_takes_a_stop_back(self) -> None:
        self.factory.stopTrying()
        self.factory.prove()
        self.connector.connect()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_retry_now_never_takes_a_stop_back(self) -> None:
        self.connector.connect()
        self.factory.stopTrying()
        self.factory.retry_now()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_retries_after_a_stop(self) -> None:
        self.factory.connector = self.connector
        self.factory.stopTrying()
        self.factory.retry()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    @given(
        st.integers(0, 10**9),
        st.floats(0.5, 1.5),
        st.floats(0, 1e12) | st.just(float("inf")),
        st.booleans(),
    )
    def test_no_delay_is_ever_out_of_bounds(
        self,
        retries: int,
        jitter: float,
        asked: float,
        refused: bool,  # noqa: FBT001 - hypothesis gives it
    ) -> None:
        """At least half a second, at most a quarter of an hour; if refused, at least 5 minutes."""
        clock, endpoint = Clock(), FakeEndpoint(Clock())
        endpoint.fail_with(DNSLookupError())
        factory = StreamFactory(
            "ws://x/", {}, StreamSettings(), clock, lambda: jitter, self.factory._listener
        )
        factory.retries, factory.asked_delay_seconds, factory.is_refused = retries, asked, refused
        EndpointConnector(endpoint, factory).connect()
        (call,) = clock.getDelayedCalls()
        self.assertGreaterEqual(call.getTime(), 300 if refused else 0.5)
        self.assertLessEqual(call.getTime(), 900)
        factory.stopTrying()


class OwnClockTests(ServiceTestCase):
    """Autobahn's timers run on our clock, and to the second."""

    def test_a_handshake_that_is_not_answered_in_10_s(self) -> None:
        self.service.startService()
        self.wait(9.75)
        self.assertFalse(self.endpoint.server.transport.disconnected)
        self.wait(0.25)
        self.assertTrue(self.endpoint.server.transport.disconnected)
        self.assertEqual(len(self.states), 1)
        self.assertIn("opening handshake timeout", self.states[0][1])

    def test_a_peer_that_falls_silent(self) -> None:
        """It is pinged 30 s after the opening, and given up 15 s later."""
        self.open(AUTH)
        pass_time(self.clock, 29.75)
        self.assertEqual(len(self.endpoint.server.frames), 1)
        self.wait(0.25)
        self.assertEqual(len(self.endpoint.server.frames), 2)
        self.wait(14.75)
        self.assertEqual(self.states, [("Connected", "")])
        self.wait(0.25)
        self.assertIn("ping timeout", self.states[1][1])
        self.wait(1)
        self.assertEqual(self.endpoint.dial_times, [0, 46])

    def test_a_peer_that_speaks_needs_no_pong(self) -> None:
        """Events between pings are life enough."""
        self.open(AUTH)
        for _ in range(20):
            self.wait(20)
            self.endpoint.server.say(EVENT)
        self.assertEqual(self.states, [("Connected", "")])
