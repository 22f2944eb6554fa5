"""A disk that becomes read-only, or whose writes and fsyncs fail for a while."""

from __future__ import annotations

import errno

from tests.fakes.answers import Answer
from tests.faults.running import FaultsTestCase
from tests.live.running import until


class ReadOnlyDiskTests(FaultsTestCase):
    """A real ext4 that its kernel makes read-only, as it does when the hardware fails."""

    async def test_it_becomes_read_only_and_is_repaired(self) -> None:
        """Nothing is sent that cannot be noted; after the repair and a restart all is told."""
        disk = self.fragile_disk()
        self.slack.answer_always(Answer.hang())
        await self.run_watcher()
        self.say(range(10))
        await self.slack.when(lambda fake: len(fake.requests) == 1)
        await self.waits(10)
        await self.program.says(", 1 service")  # else all that is listed later is no news
        disk.abort()
        self.slack.answer_ok()
        self.slack.drop_connections()
        self.say([10])
        await self.until_health("store", "disk I/O error")
        status, health = await self.health()
        self.assertEqual((status, health["notifiers"]["slack"]["waiting"]), (200, 10))
        self.assertEqual(self.program.printed.count("the store cannot be written"), 1)
        self.assertEqual(self.tutum.connection_count, 1)
        self.assertEqual(self.told(), {})
        await self.end_well()
        disk.repair()
        await self.run_watcher()
        await self.all_told(11)
        self.check_told_once(range(11))
        await self.end_well()

    async def test_it_is_read_only_at_the_start(self) -> None:
        """A sentence, and status 1."""
        disk = self.fragile_disk()
        disk.abort()
        program = self.start_watcher()
        await program.when(lambda ended: ended.exit_code is not None)
        self.assertEqual(program.exit_code, 1, program.output)
        self.assertRegex(program.output, r"the store \S+ cannot be used: Read-only file system")
        self.assertNotIn("Traceback", program.output)


class FailingCallsTests(FaultsTestCase):
    """System calls that fail for as long as a test wishes, while a request is under way."""

    async def check_goes_on(self, **levers: int) -> None:
        """Let a disk fail under a delivery and a commit, then not; fail unless all is told once."""
        shim = self.use_shim()
        await self.run_watcher()
        self.slack.answer_next(Answer(delay_seconds=0.3))
        self.say(range(5))
        await self.waits(5)
        shim.set(**levers)
        self.say([5])
        await self.until_health("store", "disk")
        failed_count = shim.get("writes_failed") + shim.get("syncs_failed")
        await until(
            lambda: shim.get("writes_failed") + shim.get("syncs_failed") > failed_count, 5, "again"
        )
        told_count = len(self.slack.requests)
        # The first was under way; not one more was sent before that could be noted.
        self.assertLessEqual(told_count, 5)
        shim.set(**dict.fromkeys(levers, 0))
        await self.all_told(6)
        self.check_told_once(range(6))
        self.assertEqual(self.tutum.connection_count, 1)
        await self.until_health("store", "ok")
        await self.end_well()

    async def test_read_only(self) -> None:
        await self.check_goes_on(write_errno=errno.EROFS)

    async def test_no_space(self) -> None:
        await self.check_goes_on(write_errno=errno.ENOSPC)

    async def test_over_quota(self) -> None:
        await self.check_goes_on(write_errno=errno.EDQUOT)

    async def test_writes_fail(self) -> None:
        await self.check_goes_on(write_errno=errno.EIO)

    async def test_fsync_fails(self) -> None:
        """A COMMIT that raised wrote all but the certainty; it is done again, and has one effect."""
        await self.check_goes_on(sync_errno=errno.EIO)
        await self.run_watcher()
        self.say([6])
        await self.all_told(7)
        self.check_told_once(range(7))

    async def test_fsync_fails_and_we_are_killed(self) -> None:
        """What a COMMIT that raised has left in the log may count or not; never twice."""
        shim = self.use_shim()
        await self.run_watcher()
        self.say(range(3))
        await self.all_told(3)
        await self.waits(0)
        shim.set(sync_errno=errno.EIO)
        self.say(range(3, 6))
        await self.until_health("store", "disk I/O error")
        self.assertEqual(len(self.told()), 3)
        await self.program.end("KILL")
        shim.set(sync_errno=0)
        await self.run_watcher()
        self.say([6])
        await self.all_told(7)
        self.check_told_once(range(7))
        await self.end_well()

    async def test_reads_fail_at_the_start(self) -> None:
        """That is the disk, not the file: a sentence, status 1, and the file stays where it is."""
        shim = self.use_shim()
        await self.slack.refuse_connections()
        await self.run_watcher()
        self.say(range(3))
        await self.waits(3)
        await self.program.end("KILL")
        await self.slack.resume()
        shim.set(read_errno=errno.EIO)
        program = self.start_watcher()
        await program.when(lambda ended: ended.exit_code is not None)
        self.assertEqual(program.exit_code, 1, program.output)
        self.assertIn(f"the store {self.store} cannot be used: ", program.output)
        self.assertNotIn("Traceback", program.output)
        self.assertEqual(list(self.store_folder.glob("*.damaged-*")), [])
        shim.set(read_errno=0)
        await self.run_watcher()
        await self.all_told(3)
        self.check_told_once(range(3))
        await self.end_well()
