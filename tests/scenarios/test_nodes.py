"""A node that is lost is one page, not one for each of what ran there."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.scenarios.harness import Scenario

MINUTE, HOUR = 60.0, 3600.0


class LostNodeTests(SynchronousTestCase):
    """Three nodes with 50 containers each: 20 services of six, 30 of one."""

    def setUp(self) -> None:
        self.story = Scenario()

    def watch(self, room: int) -> None:
        """Begin the story; ``room``: how many more containers fit on a node."""
        story = self.story
        story.nodes("node-1", "node-2", "node-3", capacity=50 + room)
        for number in range(20):
            story.deploy(f"stack-{number % 3}", f"many-{number}", f"many:{number}", 6)
        for number in range(30):
            story.deploy(f"stack-{number % 3}", f"one-{number}", f"one:{number}", 1)
        story.start()
        story.wait(10 * MINUTE)
        self.assertEqual(self.on("node-3"), 50)
        self.assertEqual(story.pages(), [])

    def on(self, hostname: str) -> int:
        """Count the containers on a node."""
        node, containers = self.story.cloud.node(hostname), self.story.cluster.containers.values()
        return sum(c.node == node and c.is_wanted for c in containers)

    def test_with_room_elsewhere(self) -> None:
        self.watch(room=50)
        self.story.cut("node-3")
        self.story.wait(2 * MINUTE)
        (page,) = self.story.pages()
        self.assertIn("node-3", page.text)
        self.story.wait(HOUR)
        self.assertEqual(self.story.cloud.ill_services(), set())
        self.story.heal("node-3")
        self.story.wait(5 * MINUTE)
        self.assertEqual(self.story.open_pages(), [])
        self.assertEqual(len(self.story.pages()), 1)

    def test_with_room_for_some(self) -> None:
        """What is still down after five minutes is one page more."""
        self.watch(room=10)
        self.story.cut("node-3")
        self.story.wait(4 * MINUTE)
        (page,) = self.story.pages()
        self.assertIn("node-3", page.text)
        waiting = [c for c in self.story.cluster.containers.values() if not c.node]
        self.assertEqual(len(waiting), 30)
        self.assertGreater(len(self.story.cloud.ill_services()), 15)
        self.story.wait(HOUR)
        self.assertLessEqual(len(self.story.pages()), 2)
        self.story.heal("node-3")
        self.story.wait(5 * MINUTE)
        self.assertEqual(self.story.cloud.ill_services(), set())
        self.assertEqual(self.story.open_pages(), [])
        self.assertLessEqual(len(self.story.pages()), 2)

    def test_few_lines(self) -> None:
        self.watch(room=50)
        begun = self.story.seconds
        self.story.cut("node-3")
        self.story.wait(10 * MINUTE)
        self.story.heal("node-3")
        self.story.wait(10 * MINUTE)
        self.assertLessEqual(len(self.story.lines(since=begun)), 6)

    def test_a_blip(self) -> None:
        self.watch(room=50)
        self.story.cut("node-3")
        self.story.wait(5.0)
        self.story.heal("node-3")
        self.story.wait(HOUR)
        self.assertEqual(self.story.pages(), [])
