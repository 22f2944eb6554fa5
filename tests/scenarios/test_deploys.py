"""A planned deploy pages nobody; one that fails pages once, whatever its containers do."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.scenarios.harness import CONSOLE, Scenario
from tutumwatch.bridge.demo.flaws import Fault, Flaw
from tutumwatch.bridge.demo.rollout import OnFailure

OLD, NEW, FIXED = "shop/web:1.0", "shop/web:1.1", "shop/web:1.2"
MINUTE, HOUR = 60.0, 3600.0
DEADLINE = 15 * MINUTE
# From the deadline, or from what went wrong, to the page.
SOON = 3 * MINUTE


class ShopTestCase(SynchronousTestCase):
    """Gives each test a watched stack: shop/web with 50 containers, shop/db with one."""

    def setUp(self) -> None:
        self.story = Scenario()
        self.story.nodes("node-1", "node-2", "node-3")
        self.web = self.story.deploy("shop", "web", OLD, 50)
        self.db = self.story.deploy("shop", "db", "postgres:16", 1)
        self.story.start()
        self.story.wait(10 * MINUTE)
        self.assertEqual(self.story.lines(), [])
        self.assertEqual(self.story.open_pages(), [])
        self.begun = self.story.seconds

    def lines(self) -> list[str]:
        """Give what Slack was told."""
        return self.story.lines(since=self.begun)

    def page(self) -> str:
        """Give the text of the one page that there was."""
        (page,) = self.story.pages()
        return page.text

    def fix(self) -> None:
        """Deploy an image that is well, quickly, and wait until that has settled."""
        self.story.play(self.story.engine.redeploy(self.web, FIXED, parallelism=10))
        self.story.wait(5 * MINUTE)
        self.assertEqual(self.story.cloud.ill_services(), set())


class GoodDeployTests(ShopTestCase):
    """What goes as planned."""

    def assert_told(self, lines: list[str]) -> None:
        """Fail unless a deploy was told in few lines that say all that people ask."""
        self.assertIn(len(lines), {1, 2, 3}, lines)
        told = " / ".join(lines)
        for word in ("shop/web", "1.0", "1.1"):
            self.assertIn(word, told)
        self.assertRegex(told, r"\d+ (min|s)\b")
        self.assertRegex(told, r"50(/| of )50")

    def test_of_fifty_containers(self) -> None:
        took = self.story.play(self.story.engine.redeploy(self.web, NEW))
        self.assertGreater(took, 2 * MINUTE)
        self.story.wait(HOUR)
        self.assertEqual(self.story.pages(), [])
        self.assert_told(self.lines())
        self.assertEqual(len(self.lines()), len(self.story.lines(CONSOLE, since=self.begun)))

    def test_of_many_at_once(self) -> None:
        self.story.play(self.story.engine.redeploy(self.web, NEW, parallelism=25))
        self.story.wait(HOUR)
        self.assertEqual(self.story.pages(), [])
        self.assert_told(self.lines())

    def test_of_containers_that_are_killed_in_the_end(self) -> None:
        """Many a program does not stop when it is asked to."""
        self.story.cluster.exit_code = 137
        self.story.play(self.story.engine.redeploy(self.web, NEW))
        self.story.wait(HOUR)
        self.assertEqual(self.story.pages(), [])
        self.assert_told(self.lines())

    def test_scaling(self) -> None:
        for count in (60, 3):
            self.story.play(self.story.engine.scale(self.web, count))
            self.story.wait(10 * MINUTE)
        self.assertEqual(self.story.pages(), [])
        self.assertLessEqual(len(self.lines()), 4)

    def test_a_new_service_and_its_end(self) -> None:
        service = self.story.deploy("shop", "canary", "shop/canary:1.0", 3)
        self.story.play(self.story.engine.remove(service))
        self.story.wait(HOUR)
        self.assertEqual(self.story.pages(), [])
        self.assertLessEqual(len(self.lines()), 3)

    def test_another_service_that_goes_down_meanwhile(self) -> None:
        """A deploy excuses the service that is deployed, and no other."""
        story = self.story
        has_ended = story.begin(story.engine.redeploy(self.web, NEW, delay_seconds=10))
        story.wait(MINUTE)
        story.cluster.flaws["postgres:16"] = Flaw(Fault.MISSING)
        (container,) = story.cluster.containers_of(self.db)
        story.begin(story.engine.crash(container, oom=False))
        story.wait(5 * MINUTE)
        self.assertFalse(has_ended())
        self.assertIn("shop/db", self.page())
        story.wait(HOUR)
        self.assertIn("shop/db", self.page())


class FailingDeployTests(ShopTestCase):
    """What does not."""

    def test_at_container_twenty(self) -> None:
        """The update is paused, and its last container crashes on and on."""
        story = self.story
        story.cluster.flaws[NEW] = Flaw(good_count=19)
        story.begin(story.engine.redeploy(self.web, NEW))
        story.wait(30 * MINUTE)
        self.assertGreater(len(story.cloud.deaths(self.begun)), 100)
        self.assertIn("shop/web", self.page())
        self.assertEqual(len(self.lines()), 1, self.lines())
        self.fix()
        self.assertEqual(len(story.pages()), 1)
        self.assertEqual(story.open_pages(), [])

    def test_one_that_is_rolled_back(self) -> None:
        story = self.story
        story.cluster.flaws[NEW] = Flaw(good_count=19)
        story.play(story.engine.redeploy(self.web, NEW, on_failure=OnFailure.ROLL_BACK))
        story.wait(30 * MINUTE)
        self.assertLessEqual(len(story.pages()), 1)
        self.assertLessEqual(len(self.lines()), 2)
        self.assertIn("rolled back", " / ".join(self.lines()))
        self.fix()
        self.assertEqual(story.open_pages(), [])

    def test_an_image_that_does_not_exist(self) -> None:
        """The engine rejects every task and pauses the update."""
        story = self.story
        story.cluster.flaws[NEW] = Flaw(Fault.MISSING)
        story.play(story.engine.redeploy(self.web, NEW))
        story.wait(DEADLINE + SOON)
        self.assertIn("shop/web", self.page())
        story.wait(HOUR)
        self.assertEqual(len(story.pages()), 1)
        self.fix()
        self.assertEqual(story.open_pages(), [])

    def test_an_image_that_is_pulled_for_ever(self) -> None:
        """The update never ends: that is told after the deadline, once."""
        story = self.story
        story.cluster.flaws[NEW] = Flaw(Fault.HANGS)
        story.play(story.engine.redeploy(self.web, NEW))
        story.wait(self.begun + DEADLINE - 1 - story.seconds)
        self.assertEqual(story.pages(), [])
        story.wait(SOON)
        self.assertIn("shop/web", self.page())
        story.wait(HOUR)
        self.assertEqual(len(story.pages()), 1)
        self.fix()
        self.assertEqual(story.open_pages(), [])

    def test_a_new_service_whose_image_does_not_exist(self) -> None:
        story = self.story
        story.cluster.flaws["shop/search:9"] = Flaw(Fault.MISSING)
        search = story.deploy("shop", "search", "shop/search:9", 2)
        story.wait(self.begun + DEADLINE - 1 - story.seconds)
        self.assertEqual(story.pages(), [])
        story.wait(SOON)
        self.assertIn("shop/search", self.page())
        story.wait(HOUR)
        self.assertEqual(len(story.pages()), 1)
        story.play(story.engine.redeploy(search, "shop/search:10"))
        story.wait(5 * MINUTE)
        self.assertEqual(story.cloud.ill_services(), set())
        self.assertEqual(story.open_pages(), [])
        self.assertEqual(len(story.pages()), 1)

    def test_one_that_is_given_up(self) -> None:
        """A service that is removed has no page any more."""
        story = self.story
        story.cluster.flaws[NEW] = Flaw(good_count=19)
        story.begin(story.engine.redeploy(self.web, NEW))
        story.wait(30 * MINUTE)
        self.assertEqual(len(story.open_pages()), 1)
        story.play(story.engine.remove(self.web))
        story.wait(5 * MINUTE)
        self.assertEqual(story.open_pages(), [])
