"""A file that is cut short, whose bits flip, or that somebody writes into while it is in use."""

from __future__ import annotations

import random
from pathlib import Path

from tests.faults.running import FaultsTestCase, uuid_of

PAGE_BYTES = 4096


class DamagedBytesTests(FaultsTestCase):
    """What is damaged is put aside loudly, what can be saved of it is told, and we go on."""

    async def owe(self, count: int) -> None:
        """Have a watcher that cannot deliver commit some messages, and end well: no log is left."""
        await self.slack.refuse_connections()
        await self.run_watcher()
        self.say(range(count))
        await self.waits(count)
        await self.end_well()
        await self.slack.resume()

    async def check_goes_on(self, owed: int, saved_min: int) -> int:
        """Start over a damaged file, and fail unless it is loud and goes on; give what was told."""
        program = await self.run_watcher(batch=20)
        self.say([owed])
        await self.until_health("counts", "'events': 1")
        await self.all_told(saved_min + 1)
        await self.waits(0)
        await self.check_loud()
        told = self.told()
        self.assertEqual(set(told.values()), {1})
        self.assertGreaterEqual(len(told), saved_min + 1)
        self.assertLessEqual(len(told), owed + 1)
        await self.until_health("store", "ok")
        await self.end_well()
        self.assertIn("is damaged", program.printed)
        return len(told)

    async def check_loud(self) -> None:
        """Fail unless the damaged file is there, and the log names it and what was saved."""
        await self.program.says("saved from the damaged store: ")
        (aside,) = self.aside()
        self.assertIn(f"is now {aside}", self.program.printed)
        await self.until_health("moved_aside_count", 1)

    def aside(self) -> list[Path]:
        """Give the files that were put aside."""
        found = self.store_folder.glob("outbox.sqlite.damaged-*")
        return sorted(path for path in found if not path.name.endswith(("-wal", "-shm")))

    def flip_bits(self, seed: int) -> None:
        """Flip a bit in each of ten pages, but for the first two."""
        dice = random.Random(seed)
        with self.store.open("r+b") as file:
            pages = self.store.stat().st_size // PAGE_BYTES
            for page in dice.sample(range(2, pages), 10):
                at = page * PAGE_BYTES + dice.randrange(PAGE_BYTES)
                file.seek(at)
                (byte,) = file.read(1)
                file.seek(at)
                file.write(bytes([byte ^ 1 << dice.randrange(8)]))

    async def test_cut_in_half(self) -> None:
        await self.owe(300)
        size = self.store.stat().st_size
        with self.store.open("r+b") as file:
            file.truncate(size // 2)
        await self.check_goes_on(300, 0)

    async def test_the_beginning_is_gone(self) -> None:
        await self.owe(20)
        with self.store.open("r+b") as file:
            file.write(bytes(100))
        await self.check_goes_on(20, 0)

    async def test_emptied(self) -> None:
        """An empty file is none that we made: it is not taken for a new one."""
        await self.owe(5)
        with self.store.open("r+b") as file:
            file.truncate(0)
        await self.check_goes_on(5, 0)

    async def test_flipped_bits(self) -> None:
        """A flipped bit shows when it is read, or at the start; no wrong text is ever told."""
        await self.owe(300)
        self.flip_bits(seed=5)
        await self.run_watcher(batch=20)
        self.say([300])
        await self.until_health("counts", "'events': 1")
        await self.waits(0)
        told = self.told()
        self.assertEqual(set(told.values()), {1})
        self.assertGreaterEqual(len(told), 200)
        self.assertLessEqual(set(told), self.uuids(301))
        self.assertRegex(self.program.printed, "damaged")
        await self.end_well()

    async def test_overwritten_while_it_is_in_use(self) -> None:
        """SQLite finds it out in the middle of the work; so much was owed that not all is cached."""
        await self.slack.refuse_connections()
        await self.run_watcher(batch=20)
        count = 9_000
        self.say(range(count))
        await self.waits(count, 60)
        size = self.store.stat().st_size
        self.assertGreater(size, 3_000_000)
        dice = random.Random(3)
        with self.store.open("r+b") as file:
            for page in range(8, size // PAGE_BYTES, 3):
                file.seek(page * PAGE_BYTES)
                file.write(dice.randbytes(PAGE_BYTES))
        await self.slack.resume()
        await self.check_loud()
        self.say([count])
        await self.until_health("counts", f"'events': {count + 1}")
        await self.waits(0)
        told = self.told()
        self.assertEqual(set(told.values()), {1})
        self.assertLessEqual(set(told), self.uuids(count + 1))
        self.assertLessEqual(self.uuids(count + 1) - self.uuids(count), set(told))
        self.assertEqual(self.tutum.connection_count, 1)
        await self.until_health("store", "ok")
        await self.end_well()
        self.assertNotIn("undelivered", self.program.printed)

    def uuids(self, count: int) -> set[str]:
        """Give the first so many containers."""
        return {uuid_of(number) for number in range(count)}
