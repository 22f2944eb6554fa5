"""Tests of pausing, suspending and stopping, at every moment of a connection's life."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.error import ConnectionRefusedError as RefusedError

from tests.stream.cases import ServiceTestCase
from tests.stream.fake_endpoint import AUTH, EVENT, UNAUTHORIZED


class PauseTests(ServiceTestCase):
    """Reading stops and goes on as the watch asks."""

    def is_reading(self) -> bool:
        """Say whether the newest connection's socket is read."""
        return self.endpoint.server.transport.producerState == "producing"

    def test_pause_and_resume(self) -> None:
        self.open(AUTH)
        self.service.pause()
        self.endpoint.server.say(EVENT)
        self.assertEqual((self.is_reading(), self.messages), (False, [AUTH]))
        self.service.resume()
        self.wait(0)
        self.assertEqual((self.is_reading(), self.messages), (True, [AUTH, EVENT]))

    def test_from_within_a_message(self) -> None:
        """What had been read already is still handed over."""
        self.on_message = self.service.pause
        self.open(AUTH, EVENT)
        self.endpoint.server.say(EVENT)
        self.assertEqual(self.messages, [AUTH, EVENT])

    def test_before_there_is_a_connection(self) -> None:
        """The handshake is read nevertheless; once open, the connection is paused."""
        self.service.pause()
        self.service.startService()
        self.service.pause()
        self.assertTrue(self.is_reading())
        self.endpoint.server.accept()
        self.assertFalse(self.is_reading())
        self.service.resume()
        self.assertTrue(self.is_reading())

    def test_resume_before_there_is_a_connection(self) -> None:
        self.service.pause()
        self.service.resume()
        self.open()
        self.assertTrue(self.is_reading())

    def test_a_pause_outlasts_a_connection(self) -> None:
        """Who paused will resume: until then the next connection is paused too."""
        self.open(AUTH)
        self.service.pause()
        self.endpoint.server.drop()
        self.wait(1)
        self.endpoint.server.accept()
        self.assertFalse(self.is_reading())

    def test_a_pause_outlasts_a_suspension(self) -> None:
        """The socket is read so that the goodbye is heard, and the next one is paused again."""
        self.open(AUTH)
        self.service.pause()
        self.service.suspend("the store cannot be written")
        self.assertTrue(self.is_reading())
        self.endpoint.server.close(1000)
        self.endpoint.server.hang_up()
        self.service.redial()
        self.endpoint.server.accept()
        self.assertFalse(self.is_reading())

    def test_a_closing_connection_is_read(self) -> None:
        """Nothing of it is handed over, so that there is nothing to slow down."""
        self.open(AUTH)
        self.service.suspend("the store cannot be written")
        self.service.pause()
        self.service.resume()
        self.service.pause()
        self.assertTrue(self.is_reading())
        self.endpoint.server.say(EVENT)
        self.assertEqual(self.messages, [AUTH])

    def test_a_pong_that_we_do_not_read_is_no_silence(self) -> None:
        """A disk that is slow in a flood must not cost the stream; after the pause pings count."""
        self.open(AUTH)
        self.service.pause()
        self.wait(60)
        self.assertEqual((self.service.state, self.service.reason), ("Connected", ""))
        self.service.resume()
        self.wait(15)
        self.assertIn("ping timeout", self.service.reason)


class StopTests(ServiceTestCase):
    """Stopping says goodbye, takes a second at most, and is final (see also the cleanup)."""

    def test_a_server_that_answers_the_goodbye(self) -> None:
        self.open(AUTH)
        stopped = self.service.stopService()
        self.assertNoResult(stopped)
        self.assertEqual(self.endpoint.server.frames, [(9, b""), (8, b"\x03\xe8")])
        self.endpoint.server.close(1000)
        self.endpoint.server.hang_up()
        self.successResultOf(stopped)
        self.assertFalse(self.endpoint.server.transport.disconnected)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_server_that_does_not(self) -> None:
        self.open(AUTH)
        stopped = self.service.stopService()
        self.wait(0.75)
        self.assertNoResult(stopped)
        self.assertFalse(self.endpoint.server.transport.disconnected)
        self.wait(0.25)
        self.assertTrue(self.endpoint.server.transport.disconnected)
        self.successResultOf(stopped)

    def test_a_server_that_answers_and_does_not_hang_up(self) -> None:
        self.open(AUTH)
        stopped = self.service.stopService()
        self.endpoint.server.close(1000)
        self.assertEqual(reactor.getDelayedCalls(), self.global_calls)
        self.wait(1)
        self.assertTrue(self.endpoint.server.transport.disconnected)
        self.successResultOf(stopped)

    def test_a_paused_connection(self) -> None:
        """It is read again, or the server's goodbye would not be heard."""
        self.open(AUTH)
        self.service.pause()
        self.endpoint.server.say(EVENT)
        stopped = self.service.stopService()
        self.endpoint.server.close(1000)
        self.wait(0)
        self.assertEqual(self.messages, [AUTH])
        self.endpoint.server.hang_up()
        self.successResultOf(stopped)

    def test_nothing_is_told_afterwards(self) -> None:
        """Neither messages nor states, refused credentials included."""
        self.open(AUTH)
        self.service.stopService()
        self.endpoint.server.say(EVENT, UNAUTHORIZED)
        self.endpoint.server.pong()
        self.endpoint.server.drop()
        self.wait(10)
        self.assertEqual((self.messages, self.states), ([AUTH], [("Connected", "")]))
        self.assertEqual(self.service.silent_seconds(), 0)
        self.assertEqual(self.log, [])

    def test_before_the_start(self) -> None:
        self.successResultOf(self.service.stopService())

    def test_during_the_first_dial(self) -> None:
        """It is given up: nothing is connected or told later."""
        self.endpoint.behave = self.endpoint.hold
        self.service.startService()
        self.successResultOf(self.service.stopService())
        self.assertTrue(self.endpoint.dials[0].is_cancelled)
        self.assertEqual((self.links, self.log), ([], []))

    def test_during_a_later_dial(self) -> None:
        self.endpoint.fail_with(RefusedError())
        self.service.startService()
        self.endpoint.behave = self.endpoint.hold
        self.wait(1)
        self.successResultOf(self.service.stopService())
        self.assertTrue(self.endpoint.dials[1].is_cancelled)

    def test_between_two_dials(self) -> None:
        self.endpoint.fail_with(RefusedError())
        self.service.startService()
        self.successResultOf(self.service.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_during_the_handshake(self) -> None:
        """There is nobody to say goodbye to: the connection is aborted."""
        self.service.startService()
        stopped = self.service.stopService()
        self.assertTrue(self.endpoint.server.transport.disconnected)
        self.wait(0)
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_open_that_races_the_stop(self) -> None:
        """The dial was given up when its connection is made, or opens; it is aborted."""
        self.endpoint.behave = self.endpoint.hold
        self.service.startService()
        self.successResultOf(self.service.stopService())
        server = self.endpoint.make(self.factory)
        self.assertTrue(server.transport.disconnected)
        server.transport.disconnecting = False  # as if all this was read in the same turn
        server.accept()
        server.say(AUTH)
        server.close(1000)
        self.wait(60)
        self.assertTrue(server.transport.is_over)
        self.assertEqual((self.messages, self.links), ([], []))

    def test_an_open_within_the_turn_of_the_stop(self) -> None:
        """The server's answer was read in the turn in which the connection was aborted."""
        self.service.startService()
        stopped = self.service.stopService()
        self.endpoint.server.transport.disconnecting = False
        self.endpoint.server.accept()
        self.endpoint.server.say(AUTH)
        self.wait(20)
        self.successResultOf(stopped)
        self.assertEqual((self.messages, self.links), ([], []))

    def test_while_the_server_says_goodbye_itself(self) -> None:
        self.open(AUTH)
        self.endpoint.server.close(1001)
        self.wait(0.5)
        stopped = self.service.stopService()
        self.wait(0.5)
        self.successResultOf(stopped)
        self.assertEqual([opcode for opcode, _ in self.endpoint.server.frames], [9, 8])

    def test_twice(self) -> None:
        """Both end with the connection."""
        self.open(AUTH)
        first, second = self.service.stopService(), self.service.stopService()
        self.endpoint.server.hang_up()
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_whoever_waits_may_give_up(self) -> None:
        self.open(AUTH)
        stopped = self.service.stopService()
        stopped.addErrback(lambda _cancelled: None)
        stopped.cancel()
        self.endpoint.server.hang_up()
        self.wait(10)

    def test_redial_and_suspend_do_nothing_any_more(self) -> None:
        self.open(AUTH)
        stopped = self.service.stopService()
        self.endpoint.server.hang_up()
        self.successResultOf(stopped)
        self.service.redial()
        self.service.suspend("the store cannot be written")
        self.service.redial()
        self.wait(1_000)
        self.assertEqual(len(self.endpoint.dials), 1)
        self.assertEqual(self.states, [("Connected", "")])

    def test_it_can_be_started_again(self) -> None:
        self.open(AUTH)
        stopped = self.service.stopService()
        self.endpoint.server.hang_up()
        self.successResultOf(stopped)
        self.service.startService()
        self.endpoint.server.accept()
        self.endpoint.server.say(EVENT)
        self.endpoint.server.drop()
        self.wait(2)
        self.assertEqual(len(self.endpoint.dials), 3)


class SuspendTests(ServiceTestCase):
    """Suspending is not stopping: redial brings the stream back."""

    def test_an_open_stream(self) -> None:
        """It is closed by a goodbye, what it still says is dropped, and the reason is ours."""
        self.open(AUTH)
        self.service.suspend("the store cannot be written")
        self.endpoint.server.say(EVENT)
        self.endpoint.server.pong()
        self.assertTrue(self.endpoint.server.said_goodbye)
        self.endpoint.server.close(1000)
        self.endpoint.server.hang_up()
        self.wait(1_000)
        self.assertEqual(self.messages, [AUTH])
        self.assertEqual(
            self.states, [("Connected", ""), ("Disconnected", "the store cannot be written")]
        )
        self.assertEqual(len(self.endpoint.dials), 1)
        self.service.redial()
        self.endpoint.server.accept()
        self.endpoint.server.say(EVENT)
        self.assertEqual(self.messages, [AUTH, EVENT])
        self.assertEqual(self.states[-1], ("Connected", ""))

    def test_a_server_that_never_answers(self) -> None:
        self.open(AUTH)
        self.service.suspend("the store cannot be written")
        self.wait(1)
        self.assertTrue(self.endpoint.server.transport.is_over)

    def test_again_and_again(self) -> None:
        """As the watch does, each second; the reason that status shows is the newest."""
        self.open(AUTH)
        for second in range(5):
            self.service.suspend(f"the store cannot be written {second}")
            self.wait(1)
        self.assertEqual(self.states[1:], [("Disconnected", "the store cannot be written 0")])
        self.assertEqual(self.service.reason, "the store cannot be written 4")
        self.assertEqual(self.endpoint.server.frames, [(9, b""), (8, b"\x03\xe8")])

    def test_redial_before_the_end(self) -> None:
        """The stream is still closing: it is dialled again after its end."""
        self.open(AUTH)
        self.service.suspend("the store cannot be written")
        self.service.redial()
        self.endpoint.server.pong()
        self.assertEqual(len(self.endpoint.dials), 1)
        self.endpoint.server.close(1000)
        self.endpoint.server.hang_up()
        self.wait(1)
        self.assertEqual(self.endpoint.dial_times, [0, 1])
        self.assertEqual(self.states[1:], [("Disconnected", "the connection was closed")])

    def test_during_a_dial(self) -> None:
        self.endpoint.behave = self.endpoint.hold
        self.service.startService()
        self.service.suspend("the store cannot be written")
        self.assertTrue(self.endpoint.dials[0].is_cancelled)
        self.assertEqual(self.states, [("Disconnected", "the store cannot be written")])
        self.wait(1_000)
        self.service.redial()
        self.assertEqual(self.endpoint.dial_times, [0, 1_000])

    def test_during_a_handshake(self) -> None:
        self.service.startService()
        self.service.suspend("the store cannot be written")
        self.wait(1_000)
        self.assertEqual(self.states, [("Disconnected", "the store cannot be written")])
        self.assertEqual(len(self.endpoint.dials), 1)

    def test_between_two_dials(self) -> None:
        """The reason that status shows is the new one."""
        self.endpoint.fail_with(RefusedError())
        self.service.startService()
        self.service.suspend("the store cannot be written")
        self.assertEqual(self.service.reason, "the store cannot be written")
        self.wait(1_000)
        self.assertEqual(len(self.endpoint.dials), 1)
        self.service.redial()
        self.assertEqual(self.endpoint.dial_times, [0, 1_000])
        self.wait(2)
        self.assertEqual(self.endpoint.dial_times, [0, 1_000, 1_002])

    def test_after_which_it_is_stopped(self) -> None:
        self.open(AUTH)
        self.service.suspend("the store cannot be written")
        stopped = self.service.stopService()
        self.wait(1)
        self.successResultOf(stopped)
        self.service.redial()
        self.wait(1)
        self.assertEqual(len(self.endpoint.dials), 1)

    def test_redial_of_a_stream_that_is_well_changes_nothing(self) -> None:
        self.open(AUTH)
        self.service.redial()
        self.wait(20)
        self.assertEqual(len(self.endpoint.dials), 1)
        self.assertEqual(self.states, [("Connected", "")])

    def test_redial_instead_of_waiting(self) -> None:
        self.endpoint.fail_with(RefusedError())
        self.service.startService()
        self.wait(10)
        self.service.redial()
        self.wait(0)
        self.assertEqual(self.endpoint.dial_times, [0, 1, 3, 7, 10])
