"""A wall clock that jumps a day forward and an hour back, under a running watcher and between two."""

from __future__ import annotations

from twisted.internet import reactor

from tests.fakes.answers import Answer
from tests.fakes.tutum_stream import Behaviour
from tests.faults.running import FaultsTestCase

DAY, HOUR = 24 * 3600, 3600
FOR_SECONDS = 2.0
REFUSING = Behaviour(answer=Answer(503))


class ClockJumpTests(FaultsTestCase):
    """Only what is written for people shows the wall clock; nothing waits by it."""

    async def check_page_in_time(self, jump: int, number: int) -> None:
        """Break the stream, let the clock jump, and fail unless the page comes when it should."""
        assert self.shim is not None
        begun = reactor.seconds()
        await self.tutum.refuse_connections()
        await self.until_health("streams", "Disconnected")
        self.shim.set(clock_seconds=jump)
        await self.pagerduty.when(lambda fake: fake.opened_count("stream") == number)
        took = reactor.seconds() - begun
        self.assertGreater(took, FOR_SECONDS - 0.1)
        self.assertLess(took, FOR_SECONDS + 2.0)
        await self.tutum.resume()
        await self.connected()
        await self.pagerduty.when(lambda fake: fake.closed_count("stream") == number)
        said = str(self.pagerduty.events[-1]["description"])
        self.assertRegex(said, r"^back, nothing was seen for [1-9] s$")

    async def test_while_running(self) -> None:
        """Timers of rules, of retries, of pings and of requests know nothing of it."""
        self.use_shim()
        await self.run_watcher(for_=f"{FOR_SECONDS:.0f}s", ping="1s")
        await self.check_page_in_time(DAY, 1)
        await self.check_page_in_time(-HOUR, 2)
        await self.check_deliveries(DAY, 0)
        await self.check_deliveries(-HOUR, 2)
        self.check_told_once(range(4))
        status, health = await self.health()
        self.assertEqual((status, health["problems"], health["store"]), (200, [], "ok"))
        await self.end_well()

    async def check_deliveries(self, jump: int, number: int) -> None:
        """Let the clock jump with a request under way and one that waits for its second attempt."""
        assert self.shim is not None
        streams_count = len(self.tutum.handshakes)
        self.slack.answer_next(Answer(delay_seconds=0.5), Answer(503), Answer())
        self.say([number, number + 1])
        await self.slack.when(lambda fake: len(fake.texts) > number)
        self.shim.set(clock_seconds=jump)
        await self.all_told(number + 2, 5)
        pings_count = len(self.tutum.pings)
        await self.tutum.when(lambda fake: len(fake.pings) > pings_count + 1, timeout_seconds=6)
        self.assertEqual(len(self.tutum.handshakes), streams_count)

    async def check_between_two_runs(self, first: int, second: int) -> None:
        """Leave two messages and a page that is open, let the clock jump, and start again."""
        shim = self.use_shim()
        shim.set(clock_seconds=first)
        await self.run_watcher()
        self.tutum.every_handshake(REFUSING)
        self.tutum.drop()
        await self.pagerduty.when(lambda fake: fake.opened_count("stream") == 1)
        self.tutum.accept()
        await self.connected()
        await self.pagerduty.when(lambda fake: fake.closed_count("stream") == 1)
        await self.slack.refuse_connections()
        self.say(range(2))
        await self.waits(2)
        await self.program.end("KILL")
        shim.set(clock_seconds=second)
        await self.slack.resume()
        await self.run_watcher()
        self.say([2])
        await self.all_told(3)
        self.check_told_once(range(3))
        # A page of this run opens and closes like any other.
        self.tutum.every_handshake(REFUSING)
        self.tutum.drop()
        await self.pagerduty.when(lambda fake: fake.opened_count("stream") == 2)
        self.tutum.accept()
        await self.connected()
        await self.pagerduty.when(lambda fake: fake.closed_count("stream") == 2)
        await self.end_well()

    async def test_a_day_forward_between_two_runs(self) -> None:
        await self.check_between_two_runs(0, DAY)

    async def test_an_hour_back_between_two_runs(self) -> None:
        """The time goes on from what was written last, and the log says so."""
        await self.check_between_two_runs(0, -HOUR)
        self.assertRegex(self.program.printed, r"the clock is 3\d{3} s behind what was written")
        self.assertIn("the time goes on from there", self.program.printed)

    async def test_more_than_a_day_back_between_two_runs(self) -> None:
        """The clock was wrong before, and is taken to be right now."""
        await self.check_between_two_runs(DAY, -HOUR)
        self.assertIn("it is taken to be right now", self.program.printed)
