"""A container that crashes once is no page; one that crashes on and on is one, until it is mended."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.scenarios.harness import Scenario
from tutumwatch.bridge.demo.flaws import Flaw

MINUTE, HOUR = 60.0, 3600.0
OLD, NEW, FIXED = "pay/ledger:1.0", "pay/ledger:1.1", "pay/ledger:1.2"


class CrashTests(SynchronousTestCase):
    """A service of one container, and one of fifty."""

    def setUp(self) -> None:
        self.story = Scenario()
        self.story.nodes("node-1", "node-2", "node-3")
        self.ledger = self.story.deploy("pay", "ledger", OLD, 1)
        self.web = self.story.deploy("shop", "web", "shop/web:1.0", 50)
        self.story.start()
        self.story.wait(10 * MINUTE)
        self.assertEqual(self.story.pages(), [])

    def assert_one_page(self, who: str = "pay/ledger") -> None:
        """Fail unless a loop that goes on is one page, in time, and its end one resolve."""
        story = self.story
        story.wait(HOUR)
        deaths = story.cloud.deaths()
        self.assertGreater(len(deaths), 20)
        (page,) = story.pages()
        self.assertIn(who, page.text)
        self.assertGreaterEqual(page.opened_at, deaths[2])
        self.assertLessEqual(page.opened_at, deaths[2] + MINUTE)
        self.assertIsNone(page.resolved)

    def assert_mended(self) -> None:
        """Fail unless all is well, with one resolve, and stays so."""
        self.story.wait(HOUR)
        self.assertEqual(self.story.cloud.ill_services(), set())
        (page,) = self.story.pages()
        self.assertIsNotNone(page.resolved)
        self.assertEqual(self.story.ledger.orphans.get("slack", []), [])

    def test_a_loop_and_its_fix(self) -> None:
        for flaw in (
            Flaw(lives_seconds=1),
            Flaw(lives_seconds=10),
            Flaw(lives_seconds=30, is_oom=True),
        ):
            self.setUp()
            self.story.begin(self.story.engine.spoil(self.ledger, flaw))
            self.assert_one_page()
            self.story.play(self.story.engine.redeploy(self.ledger, FIXED))
            self.assert_mended()

    def test_a_loop_that_ends_by_itself(self) -> None:
        """As when what it depends on is back."""
        self.story.begin(self.story.engine.spoil(self.ledger, Flaw(lives_seconds=10)))
        self.assert_one_page()
        self.story.cluster.flaws.clear()
        self.assert_mended()

    def test_a_deploy_that_seems_good_at_first(self) -> None:
        story = self.story
        story.cluster.flaws[NEW] = Flaw(lives_seconds=20)
        story.begin(story.engine.redeploy(self.ledger, NEW))
        self.assert_one_page()
        story.play(story.engine.redeploy(self.ledger, FIXED))
        self.assert_mended()

    def test_one_of_fifty_that_crashes_on_and_on(self) -> None:
        story = self.story
        story.begin(story.engine.spoil(self.web, Flaw(good_count=49, lives_seconds=10)))
        self.assert_one_page("shop/web")
        story.play(story.engine.redeploy(self.web, "shop/web:1.1", parallelism=10))
        self.assert_mended()

    def test_once(self) -> None:
        for oom in (False, True):
            for service in (self.ledger, self.web):
                container = self.story.cluster.containers_of(service)[0]
                self.story.play(self.story.engine.crash(container, oom=oom))
            self.story.wait(HOUR)
        self.assertEqual(len(self.story.cloud.deaths()), 4)
        self.assertEqual(self.story.pages(), [])

    def test_a_job_that_fails_and_one_that_does_not(self) -> None:
        for number, code in enumerate((0, 1, 0, 1)):
            self.story.play(self.story.engine.leave_stopped(f"job-{number}", "job:1", code))
        self.story.wait(HOUR)
        self.assertEqual(self.story.pages(), [])
