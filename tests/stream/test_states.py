"""Tests of what the service believes of its stream, and what it says of it."""

from __future__ import annotations

from OpenSSL import SSL
from service_identity.exceptions import VerificationError
from twisted.internet.error import ConnectionRefusedError as RefusedError
from twisted.internet.error import DNSLookupError

from tests.stream.cases import NOW, ServiceTestCase
from tests.stream.fake_endpoint import AUTH, EVENT, UNAUTHORIZED, FakeServer
from tutumwatch.events.inputs import Link, LinkType


class ConnectedTests(ServiceTestCase):
    """Connected means proof of life."""

    def test_the_auth_message(self) -> None:
        self.open()
        self.assertEqual(self.links, [])
        self.endpoint.server.say(AUTH)
        self.assertEqual(self.links, [Link(LinkType.STREAM, "main", "Connected", "", NOW)])

    def test_an_event(self) -> None:
        self.open(EVENT)
        self.assertEqual(self.states, [("Connected", "")])

    def test_a_pong(self) -> None:
        """A ping goes out with the opening, so that a good server proves itself at once."""
        self.open()
        self.assertEqual(self.endpoint.server.frames, [(9, b"")])
        self.endpoint.server.pong()
        self.assertEqual(self.states, [("Connected", "")])

    def test_five_seconds_open(self) -> None:
        self.open()
        self.wait(4.75)
        self.assertIsNone(self.service.state)
        self.wait(0.25)
        self.assertEqual(self.states, [("Connected", "")])

    def test_a_tcp_connection_is_no_proof(self) -> None:
        self.service.startService()
        self.wait(5)
        self.assertEqual(self.links, [])

    def test_the_state_is_told_once(self) -> None:
        self.open(AUTH, EVENT, EVENT)
        self.endpoint.server.pong()
        self.wait(20)
        self.assertEqual(self.states, [("Connected", "")])

    def test_messages_come_in_order_and_whole(self) -> None:
        """Whether they come with the handshake, together, or in pieces; text or not JSON at all."""
        self.service.startService()
        self.endpoint.server.accept(then=b"\x81\x03one")
        self.endpoint.server.transport.deliver(b"\x81\x03two\x81\x05th")
        self.endpoint.server.transport.deliver(b"ree")
        self.assertEqual(self.messages, [b"one", b"two", b"three"])

    def test_the_state_is_known_before_the_message_is_handed_over(self) -> None:
        seen: list[int] = []
        self.on_message = lambda: seen.append(len(self.links))
        self.open(AUTH)
        self.assertEqual(seen, [1])


class DisconnectedTests(ServiceTestCase):
    """Disconnected is told with a reason that an operator understands."""

    def assert_reason(self, reason: str) -> None:
        """Hold that the stream is disconnected for this reason, and that this was told."""
        self.assertEqual(self.links[-1].state, "Disconnected")
        self.assertEqual(self.links[-1].reason, reason)
        self.assertEqual(self.service.reason, reason)
        self.assertIn(("warn", f"stream main: {reason}; next attempt in 1 s"), self.log)

    def test_a_host_name_that_does_not_exist(self) -> None:
        self.endpoint.fail_with(DNSLookupError("no results for hostname lookup: nowhere.example"))
        self.service.startService()
        self.assert_reason(
            "the host name cannot be resolved (DNS lookup failed: no results for hostname lookup: "
            "nowhere.example.)"
        )

    def test_a_connection_that_is_refused(self) -> None:
        self.endpoint.fail_with(RefusedError())
        self.service.startService()
        self.assert_reason("Connection was refused by other side")

    def test_a_server_that_refuses_the_handshake(self) -> None:
        self.service.startService()
        self.endpoint.server.answer("HTTP/1.1 503 Service Unavailable")
        self.wait(0)
        self.assert_reason("the server answered 503 Service Unavailable to the handshake")

    def test_a_redirect_is_not_followed(self) -> None:
        self.service.startService()
        self.endpoint.server.answer("HTTP/1.1 302 Found", "Location: ws://elsewhere.example/")
        self.wait(0)
        self.assert_reason("the server answered 302 Found to the handshake")
        self.assertEqual(len(self.endpoint.dials), 1)

    def test_an_old_server(self) -> None:
        self.service.startService()
        self.endpoint.server.answer("HTTP/1.0 200 OK")
        self.wait(0)
        self.assert_reason("the server answered HTTP/1.0 200 OK to the handshake")

    def test_a_101_that_is_none(self) -> None:
        self.service.startService()
        self.endpoint.server.answer("HTTP/1.1 101 Switching Protocols", "Upgrade: h2c")
        self.wait(0)
        self.assertIn("HTTP Upgrade header different", self.service.reason)

    def test_no_http_at_all(self) -> None:
        self.service.startService()
        self.endpoint.server.answer("rubbish")
        self.wait(0)
        self.assert_reason('Bad HTTP response status line "rubbish"')

    def test_a_wrong_certificate(self) -> None:
        """TLS fails after TCP connected: only the transport's reason names it."""
        self.service.startService()
        error = SSL.Error([("SSL routines", "", "certificate verify failed")])
        self.endpoint.server.transport.end(error)
        self.assert_reason("TLS: certificate verify failed")

    def test_a_certificate_for_another_host(self) -> None:
        self.service.startService()
        self.endpoint.server.transport.end(VerificationError(errors=[]))
        self.assert_reason("the server's certificate is not for this host name")

    def test_a_close_with_a_code(self) -> None:
        self.open(AUTH)
        self.endpoint.server.close(4001, "auth expired")
        self.endpoint.server.hang_up()
        self.assert_reason("closed by the server with 4001 auth expired")

    def test_a_close_with_a_code_of_servers_only(self) -> None:
        self.open(AUTH)
        self.endpoint.server.close(1012)
        self.endpoint.server.hang_up()
        self.assert_reason("closed by the server with 1012")

    def test_a_close_without_a_code(self) -> None:
        self.open(AUTH)
        self.endpoint.server.transport.deliver(b"\x88\x00")
        self.endpoint.server.hang_up()
        self.assert_reason("closed by the server with no code")

    def test_a_close_that_means_to_write_our_log(self) -> None:
        self.open(AUTH)
        self.endpoint.server.close(4000, "x\n2026-11-24 all is well\x1b[2J")
        self.endpoint.server.hang_up()
        self.assert_reason("closed by the server with 4000 x?2026-11-24 all is well?[2J")

    def test_a_close_after_which_the_server_does_not_hang_up(self) -> None:
        """We hang up a second later."""
        self.open(AUTH)
        self.endpoint.server.close(1001, "going away")
        self.assertTrue(self.endpoint.server.said_goodbye)
        self.wait(0.75)
        self.assertEqual(len(self.links), 1)
        self.wait(0.25)
        self.assert_reason("closed by the server with 1001 going away")

    def test_a_connection_that_breaks(self) -> None:
        self.open(AUTH)
        self.endpoint.server.drop()
        self.assert_reason(
            "peer dropped the TCP connection without previous WebSocket closing handshake"
        )

    def test_a_message_that_is_too_large(self) -> None:
        """It is not even collected: its announcement ends the connection."""
        self.open(AUTH)
        self.endpoint.server.transport.deliver(b"\x81\x7f" + (10_000_000).to_bytes(8, "big"))
        self.wait(0)
        self.assertEqual(self.messages, [AUTH])
        self.assertIn("10000000 exceeds payload limit of 1048576", self.service.reason)
        self.assertNotIn("I dropped", self.service.reason)
        self.wait(1)
        self.assertEqual(len(self.endpoint.dials), 2)

    def test_a_message_that_is_too_large_in_pieces(self) -> None:
        """Each is small; together they are not."""
        self.open(AUTH)
        piece = (60_000).to_bytes(2, "big") + b"x" * 60_000
        self.endpoint.server.transport.deliver(b"\x02\x7e" + piece)
        for _ in range(20):
            self.endpoint.server.transport.deliver(b"\x00\x7e" + piece)
        self.wait(0)
        self.assertEqual(self.messages, [AUTH])
        self.assertIn("exceeds payload limit of 1048576", self.service.reason)

    def test_a_large_message_that_is_not_too_large(self) -> None:
        self.open(b"x" * 1024 * 1024)
        self.assertEqual([len(message) for message in self.messages], [1024 * 1024])

    def test_the_same_state_again_is_no_news(self) -> None:
        """Yet the reason, which status shows, is the newest one."""
        self.endpoint.fail_with(RefusedError())
        self.service.startService()
        self.endpoint.fail_with(DNSLookupError("x"))
        self.wait(60)
        self.assertEqual(self.states, [("Disconnected", "Connection was refused by other side")])
        self.assertIn("cannot be resolved", self.service.reason)


class LogTests(ServiceTestCase):
    """One line for a failure, however often it comes."""

    def test_the_same_failure_is_logged_once(self) -> None:
        self.endpoint.fail_with(RefusedError())
        self.service.startService()
        self.wait(3_600)
        self.assertEqual(
            self.log,
            [("warn", "stream main: Connection was refused by other side; next attempt in 1 s")],
        )

    def test_another_failure_is_logged_too(self) -> None:
        self.endpoint.fail_with(RefusedError())
        self.service.startService()
        self.endpoint.serve = lambda server: server.refuse(503, "Retry-After: 30")
        self.endpoint.behave = self.endpoint.let_through
        self.wait(120)
        self.assertEqual(
            [line for _, line in self.log],
            [
                "stream main: Connection was refused by other side; next attempt in 1 s",
                "stream main: the server answered 503 Refused to the handshake; next attempt in 30 s",
            ],
        )

    def test_a_failure_after_ten_good_seconds_is_news(self) -> None:
        """So is that they were good."""
        self.open(AUTH)
        self.endpoint.server.drop()
        self.wait(1)
        for _ in range(2):
            self.endpoint.server.accept()
            self.wait(10)
            self.endpoint.server.drop()
            self.wait(1)
        self.assertEqual([level for level, _ in self.log], ["warn", "info"] * 2 + ["warn"])
        self.assertEqual(self.log[1], ("info", "stream main: well again"))

    def test_a_good_stream_logs_nothing(self) -> None:
        self.open(AUTH)
        self.wait(20)
        self.assertEqual(self.log, [])


class UnauthorizedTests(ServiceTestCase):
    """A refused credential is a state of its own, with a slow cadence of its own."""

    def refuse_by_message(self, server: FakeServer) -> None:
        """Do what Tutum does with bad credentials."""
        server.accept()
        server.say(UNAUTHORIZED)
        server.close(1000)
        server.hang_up()

    def test_statuses_that_refuse(self) -> None:
        self.endpoint.serve = lambda server: server.answer("HTTP/1.1 401 Unauthorized")
        self.service.startService()
        self.wait(900)
        self.assertEqual(
            self.states,
            [("Unauthorized", "the server answered 401 Unauthorized to the handshake")],
        )
        self.assertEqual(self.endpoint.dial_times, [0, 300, 600, 900])
        said = "stream main: the server answered 401 Unauthorized to the handshake"
        self.assertEqual(self.log, [("warn", f"{said}; next attempt in 300 s")])

    def test_every_status(self) -> None:
        """Of all that refuse the handshake, two mean the credentials."""
        statuses = [status for status in range(100, 1_000) if status != 101]
        self.endpoint.serve = lambda server: server.refuse(statuses[len(self.endpoint.dials) - 1])
        self.service.startService()
        refused = set()
        for status in statuses:
            self.wait(0)
            if self.service.state == "Unauthorized":
                refused.add(status)
            self.service.redial()
        self.endpoint.behave = self.endpoint.hold
        self.assertEqual(refused, {401, 403})
        self.assertEqual(len(self.links), 5)

    def test_a_retry_after_can_only_lengthen_the_wait(self) -> None:
        self.endpoint.serve = lambda server: server.refuse(403, "Retry-After: 5")
        self.service.startService()
        self.endpoint.serve = lambda server: server.refuse(403, "Retry-After: 600")
        self.wait(1_000)
        self.assertEqual(self.endpoint.dial_times, [0, 300, 900])

    def test_the_message_that_refuses(self) -> None:
        """It is handed over after the change of state; the next attempt is in 5 minutes."""
        self.endpoint.serve = self.refuse_by_message
        self.service.startService()
        self.wait(300)
        self.assertEqual(self.states, [("Unauthorized", "the server says UNAUTHORIZED")])
        self.assertEqual(self.messages, [UNAUTHORIZED, UNAUTHORIZED])
        self.assertEqual(self.endpoint.dial_times, [0, 300])

    def test_we_hang_up_on_a_server_that_refuses_us_and_stays(self) -> None:
        """What else it says does not count: neither a pong, nor events, nor the time it stays."""
        self.open(UNAUTHORIZED)
        self.assertTrue(self.endpoint.server.said_goodbye)
        self.endpoint.server.pong()
        self.endpoint.server.say(EVENT)
        self.wait(0.75)
        self.assertFalse(self.endpoint.server.transport.disconnected)
        self.wait(0.25)
        self.assertTrue(self.endpoint.server.transport.is_over)
        self.assertEqual(self.messages, [UNAUTHORIZED])
        self.assertEqual(self.states, [("Unauthorized", "the server says UNAUTHORIZED")])

    def test_an_event_that_speaks_of_it_is_no_refusal(self) -> None:
        """Neither is rubbish, nor an error of another kind, nor a novel."""
        self.open(
            b'{"type":"action","state":"UNAUTHORIZED"}',
            b"UNAUTHORIZED",
            b'{"type":"error","data":{"errorMessage":"UNAUTHORIZED user"}}',
            b'{"type":"error"}',
            UNAUTHORIZED + b" " * 1024,
        )
        self.assertEqual(self.states, [("Connected", "")])
        self.assertEqual(len(self.messages), 5)

    def test_a_pong_proves_nothing(self) -> None:
        """A server may answer it before it refuses us again."""
        self.endpoint.serve = self.refuse_by_message
        self.service.startService()
        self.endpoint.serve = lambda server: server.accept()
        self.wait(300)
        self.endpoint.server.pong()
        self.assertEqual(self.service.state, "Unauthorized")
        self.endpoint.server.say(AUTH)
        self.assertEqual(self.service.state, "Connected")

    def test_an_event_proves_it(self) -> None:
        self.endpoint.serve = self.refuse_by_message
        self.service.startService()
        self.endpoint.serve = lambda server: server.accept()
        self.wait(300)
        self.endpoint.server.say(EVENT)
        self.assertEqual([state for state, _ in self.states], ["Unauthorized", "Connected"])

    def test_five_seconds_prove_it(self) -> None:
        self.endpoint.serve = self.refuse_by_message
        self.service.startService()
        self.endpoint.serve = lambda server: server.accept()
        self.wait(304)
        self.assertEqual(self.service.state, "Unauthorized")
        self.wait(1)
        self.assertEqual(self.service.state, "Connected")

    def test_once_accepted_the_cadence_is_the_usual_one(self) -> None:
        self.endpoint.serve = self.refuse_by_message
        self.service.startService()
        self.endpoint.serve = lambda server: server.accept()
        self.wait(320)
        self.endpoint.server.drop()
        self.assertEqual(self.service.state, "Disconnected")
        self.wait(1)
        self.assertEqual(self.endpoint.dial_times, [0, 300, 321])

    def test_an_outage_meanwhile_says_nothing_of_the_credentials(self) -> None:
        """The state stays, and so does the cadence."""
        self.endpoint.serve = self.refuse_by_message
        self.service.startService()
        self.endpoint.fail_with(RefusedError())
        self.wait(600)
        self.assertEqual(self.states, [("Unauthorized", "the server says UNAUTHORIZED")])
        self.assertEqual(self.endpoint.dial_times, [0, 300, 600])

    def test_redial_asks_again_at_once(self) -> None:
        """As when the configuration was read again; refused once more, it waits as before."""
        self.endpoint.serve = self.refuse_by_message
        self.service.startService()
        self.wait(10)
        self.service.redial()
        self.wait(320)
        self.assertEqual(self.endpoint.dial_times, [0, 10, 310])
        self.assertEqual(len(self.links), 1)


class SilenceTests(ServiceTestCase):
    """For the health check: a stream that says nothing although it must."""

    def test_a_stream_that_is_not_connected_is_never_silent(self) -> None:
        self.assertEqual(self.service.silent_seconds(), 0)
        self.endpoint.behave = self.endpoint.hold
        self.service.startService()
        self.wait(3_600)
        self.assertEqual(self.service.silent_seconds(), 0)

    def test_a_stream_that_is_given_up_in_time_is_not_silent(self) -> None:
        """At every moment until its pings find out, and afterwards."""
        self.open(AUTH)
        for _ in range(240):
            self.wait(0.25)
            self.assertEqual(self.service.silent_seconds(), 0)
        self.assertEqual(self.service.state, "Disconnected")

    def test_a_stuck_reactor_shows(self) -> None:
        """No timer ran although its time has come."""
        self.open(AUTH)
        self.clock.rightNow += 47
        self.assertEqual(self.service.silent_seconds(), 0)
        self.clock.rightNow += 3
        self.assertEqual(self.service.silent_seconds(), 3)
        self.endpoint.server.say(EVENT)
        self.assertEqual(self.service.silent_seconds(), 0)
