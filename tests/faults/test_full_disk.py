"""A disk of 4 MB that somebody fills up."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.task import deferLater

from tests.fakes.answers import Answer
from tests.faults.running import FaultsTestCase

RESERVE_BYTES = 2 * 1024 * 1024


class FullDiskTests(FaultsTestCase):
    """What is committed is delivered; what cannot be committed is not read for long."""

    async def test_filled_up_while_requests_are_under_way(self) -> None:
        """Deliveries go on by the reserve, the stream is closed after 20 s, all comes back alone."""
        disk = self.small_disk()
        self.slack.answer_always(Answer.hang())
        await self.run_watcher()
        self.say(range(40))
        await self.slack.when(lambda fake: len(fake.requests) == 1)
        await self.waits(40)
        disk.fill()
        self.slack.answer_ok()
        self.slack.drop_connections()
        await self.all_told(40)
        self.check_told_once(range(40))
        self.assertEqual(self.reserve_bytes(), 0)
        disk.fill()

        # The log may have room for a few more commits.
        count = 40
        while "full" not in str((await self.health())[1]["store"]):
            self.say([count])
            count += 1
            self.assertLess(count, 2_000)
            await deferLater(reactor, 0.01)
        self.assertEqual(self.tutum.connection_count, 1)
        await self.tutum.when(lambda fake: fake.connection_count == 0, timeout_seconds=25)
        status, health = await self.health()
        self.assertEqual((status, health["streams"]["main"]["state"]), (200, "Disconnected"))
        self.assertEqual(self.program.printed.count("the store cannot be written"), 1)

        handshakes = len(self.tutum.handshakes)
        await deferLater(reactor, 2.5)
        self.assertEqual(len(self.tutum.handshakes), handshakes)
        disk.make_room()
        await self.connected()
        self.say([count])
        await self.all_told(count + 1)
        self.check_told_once(range(count + 1))
        await self.until_health("store", "ok")
        await self.pagerduty.when(lambda fake: fake.closed_count("stream") == 1)
        self.assertEqual(self.pagerduty.opened_count("stream"), 1)
        texts = [str(event["description"]) for event in self.pagerduty.events[-2:]]
        self.assertEqual(texts[0], "down: the store cannot be written")
        self.assertRegex(texts[1], r"^back, nothing was seen for [1-9] s$")
        self.assertIn("the store can be written again", self.program.printed)
        await self.program.says("; nothing was seen for ")
        self.assertEqual(self.reserve_bytes(), RESERVE_BYTES)
        await self.end_well()

    async def test_filled_up_before_the_first_start(self) -> None:
        """A sentence, and status 1: there is nothing to deliver, and nothing could be kept."""
        disk = self.small_disk()
        disk.fill()
        program = self.start_watcher()
        await program.when(lambda ended: ended.exit_code is not None)
        self.assertEqual(program.exit_code, 1, program.output)
        self.assertRegex(program.output, r"the store \S+ cannot be used: .*(full|space)")
        self.assertNotIn("Traceback", program.output)
        disk.make_room()
        await self.run_watcher()
        self.say([1])
        await self.all_told(1)
        await self.end_well()

    async def test_filled_up_between_two_runs(self) -> None:
        """What the last run left is delivered, by the reserve; it goes on when there is room."""
        disk = self.small_disk()
        await self.slack.refuse_connections()
        await self.run_watcher()
        self.say(range(20))
        await self.waits(20)
        await self.program.end("KILL")
        disk.fill()
        self.assertEqual(disk.free_bytes(), 0)
        await self.slack.resume()
        self.start_watcher()
        await self.all_told(20)
        disk.make_room()
        await self.connected()
        self.say([20])
        await self.all_told(21)
        self.check_told_once(range(21))
        await self.end_well()

    async def test_filled_up_by_the_store_itself(self) -> None:
        """A destination is dead until nothing more goes onto the disk; then all of it arrives."""
        self.small_disk()
        await self.slack.refuse_connections()
        await self.run_watcher(batch=20)
        count = 0
        while (await self.health())[1]["store"] == "ok":
            self.say(range(count, count + 250))
            count += 250
        await self.slack.resume()
        await self.all_told(count, 20)
        await self.until_health("store", "ok")
        self.assertEqual(self.tutum.connection_count, 1)
        self.say([count])
        await self.all_told(count + 1)
        self.check_told_once(range(count + 1))
        self.assertEqual(self.reserve_bytes(), RESERVE_BYTES)
        await self.end_well()

    def reserve_bytes(self) -> int:
        """Say how much of the disk the watcher keeps for bad times."""
        return self.store.with_name("outbox.sqlite.reserve").stat().st_size
