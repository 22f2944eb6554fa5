"""A disk whose fsync takes seconds, or never returns."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.task import deferLater

from tests.faults.running import FaultsTestCase, uuid_of
from tests.live.running import until
from tutumwatch.outbox.sqlite.opening import WAL_MAX_BYTES


class SlowDiskTests(FaultsTestCase):
    """An fsync of seconds."""

    async def test_a_second_for_each(self) -> None:
        """Deliveries are slow, in order, and each is made once."""
        shim = self.use_shim()
        await self.run_watcher()
        shim.set(sync_ms=500)
        self.say(range(3))
        await self.all_told(3)
        self.assertEqual(self.slack.texts, [uuid_of(number) for number in range(3)])
        self.assertEqual(self.tutum.connection_count, 1)
        await self.until_health("store", "ok")
        self.assertNotIn("cannot be written", self.program.printed)
        await self.end_well()

    async def test_it_hangs_in_a_flood(self) -> None:
        """The platform is slowed down, nothing is lost; pongs that we do not read are no silence."""
        shim = self.use_shim()
        count = 60_000
        await self.run_watcher(ping="1s")
        shim.set(sync_ms=3_600_000)
        done = self.tutum.flood(count, lambda number: _flooded(number % 5_000))
        (flood,) = self.tutum.floods
        await self.tutum.when(lambda _: flood.is_paused)
        await until(lambda: shim.get("syncs_begun") > 0)
        pings_count = len(self.tutum.pings)
        await self.tutum.when(lambda fake: len(fake.pings) > pings_count)
        await deferLater(reactor, 1.5)
        status, health = await self.health()
        self.assertEqual((status, self.tutum.connection_count), (200, 1))
        self.assertLess(flood.written_count, count)
        self.assertLessEqual(health["counts"].get("events", 0), 500)
        shim.set(sync_ms=0)
        self.assertEqual(await done, [count])
        await self.until_health("counts", f"'events': {count}", 60)
        self.say([1])
        await self.all_told(1)
        self.assertEqual(len(self.tutum.handshakes), 1)
        log = self.store.with_name("outbox.sqlite-wal")
        self.assertLessEqual(log.stat().st_size, WAL_MAX_BYTES)
        await self.end_well()

    async def test_it_hangs_for_long(self) -> None:
        """After 20 s the stream is closed; we end in time; what was committed is told later."""
        shim = self.use_shim()
        await self.slack.refuse_connections()
        await self.run_watcher()
        self.say(range(3))
        await self.waits(3)
        shim.set(sync_ms=3_600_000)
        begun = reactor.seconds()
        self.say([3])
        await self.tutum.when(lambda fake: fake.connection_count == 0, timeout_seconds=25)
        self.assertGreater(reactor.seconds() - begun, 19)
        await self.until_health("store", "nothing was written for 20 s")
        await self.program.says("the store cannot be written: nothing was written for 20 s")
        await self.end_well()
        self.assertIn("closing the store took longer than", self.program.printed)
        shim.set(sync_ms=0)
        await self.slack.resume()
        await self.run_watcher()
        await self.all_told(3)
        await self.waits(0)
        # Whether the last one was written before the disk hung is a matter of luck.
        self.check_told_once(range(len(self.told())))
        await self.end_well()


def _flooded(number: int) -> bytes:
    """Give an event that matches nothing, of half a kilobyte."""
    uuid = uuid_of(number + 1_000_000)
    return (
        f'{{"type":"container","action":"update","state":"Starting","parents":[],'
        f'"resource_uri":"/api/v1/container/{uuid}/","padding":"{"-" * 400}"}}'
    ).encode()
