"""Tests of when a deploy of a service begins, and how it ends."""

from __future__ import annotations

from tests.inventory.test_inventory import CONTAINER, SERVICE, STACK, InventoryCase
from tutumwatch.events.inputs import Found, Missing
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, Deploy

OTHER = "/api/v1/service/s2/"
ACTION = "/api/v1/action/a1/"


class DeployCase(InventoryCase):
    """One service, of which a test tells; every input comes a second after the one before."""

    def setUp(self) -> None:
        """Begin with nothing, at the time 0."""
        super().setUp()
        self.inventory = Inventory()
        self.now = 0.0

    def service(self, state: str | None, image: str = "", update: str = "", **more: object) -> str:
        """Tell a state, with an object if there is anything to say in it; give the deploy's."""
        self.now += 1.0
        told = {"image_name": image, "update_state": update, **more}
        fields = {name: value for name, value in told.items() if value not in {"", None}}
        change = self.tell(SERVICE, state, at=self.now, fields=fields or None)
        return self.state_of(change.after.deploy)

    def listed(self, state: str, image: str = "", update: str = "") -> str:
        """Find it in a listing; give the state of its deploy."""
        self.now += 1.0
        told = {"state": state, "image_name": image, "update_state": update}
        self.answer(SERVICE, Found({k: v for k, v in told.items() if v}), at=self.now)
        return self.state_of(self.deploy)

    def action(self, state: str, *parents: str, uri: str = ACTION) -> Change:
        """Tell of an action of the service, or of something else."""
        self.now += 1.0
        return self.tell(uri, state, at=self.now, parents=[*(parents or (SERVICE, STACK))])

    def state_of(self, deploy: Deploy | None) -> str:
        """Give the state of a deploy; "none" if there is none."""
        return "none" if deploy is None else deploy.state

    @property
    def deploy(self) -> Deploy | None:
        """What is known of the last deploy."""
        return self.known(SERVICE).deploy


class BeginTests(DeployCase):
    """One begins when a service is redeployed, scaled, or started for the first time."""

    def test_a_service_that_runs_was_never_deployed(self) -> None:
        """As far as anybody saw."""
        for state in ("Running", "Partly running", "Stopped", "Running", "Stopping", None):
            self.assertEqual(self.service(state), "none", state)
        self.assertIsNone(self.deploy)

    def test_redeployed_and_scaled(self) -> None:
        for state in ("Redeploying", "Scaling", "REDEPLOYING"):
            self.service("Running", "web:1")
            self.assertEqual(self.service(state, "web:2"), "running", state)
            self.assertEqual(self.deploy, Deploy("running", self.now, None, "web:1"))

    def test_created(self) -> None:
        self.assertEqual(self.service("Starting", "web:1"), "running")
        self.assertEqual(self.deploy, Deploy("running", 1.0))
        self.assertEqual(self.service("Running", "web:1"), "done")
        self.assertEqual(self.deploy, Deploy("done", 1.0, 2.0))

    def test_created_and_not_started_at_first(self) -> None:
        self.assertEqual(self.service("Not running"), "none")
        self.assertEqual(self.service("Starting"), "running")

    def test_created_of_which_nothing_was_known_but_that_it_is(self) -> None:
        self.assertEqual(self.service(None), "none")
        self.assertEqual(self.service("Starting"), "running")

    def test_started_again_it_is_not_deployed(self) -> None:
        """It crashed, or was stopped and started by somebody."""
        self.service("Running")
        for state in ("Stopped", "Starting", "Running", "Starting"):
            self.assertEqual(self.service(state), "none", state)
        self.service("Redeploying")
        self.service("Running")
        self.service("Not running")
        self.assertEqual(self.service("Starting"), "done")

    def test_created_again_after_it_was_gone(self) -> None:
        self.service("Running")
        self.service("Terminated")
        self.assertEqual(self.service("Starting"), "running")
        self.service("Terminated")
        self.service("Starting")
        self.assertEqual(self.deploy, Deploy("running", self.now))

    def test_a_listing_that_finds_it_on_its_way(self) -> None:
        """It runs since then."""
        for state in ("Redeploying", "Scaling", "Starting"):
            self.inventory = Inventory()
            self.assertEqual(self.listed(state), "running", state)
            self.assertEqual(self.deploy, Deploy("running", self.now))

    def test_the_same_again_begins_nothing(self) -> None:
        self.service("Redeploying", "web:2", "updating")
        begun = self.deploy
        for _ in range(2):
            self.service("Redeploying", "web:2", "updating")
            self.service("Redeploying")
            self.listed("Redeploying", "web:2", "updating")
        self.assertIs(self.deploy, begun)

    def test_an_image_that_is_learned_later_begins_nothing(self) -> None:
        """Other platforms send no object along, and say nothing of their updates."""
        self.listed("Running", "web:1")
        self.service("Redeploying")
        begun = self.deploy
        self.listed("Redeploying", "web:2")
        self.listed("Redeploying", "web:2", "updating")
        self.assertIs(self.deploy, begun)

    def test_one_before_the_other_has_ended(self) -> None:
        """It replaces the image that ran when all was at rest."""
        self.service("Running", "web:1")
        self.service("Redeploying", "web:2", "updating")
        self.service("Scaling", "web:2")
        self.assertEqual(self.deploy, Deploy("running", 3.0, None, "web:1"))
        self.service("Redeploying", "web:3", "updating")
        self.assertEqual(self.deploy, Deploy("running", 4.0, None, "web:1"))

    def test_one_right_after_the_other(self) -> None:
        """Without a state between them."""
        self.service("Running", "web:1")
        self.service("Redeploying", "web:2", "updating")
        self.listed("Redeploying", "web:3", "updating")
        self.assertEqual(self.deploy, Deploy("running", 3.0, None, "web:1"))
        self.service("Redeploying", "web:1", "rollback_started")
        self.listed("Redeploying", "web:4", "updating")
        self.assertEqual(self.deploy, Deploy("running", 5.0, None, "web:1"))
        self.service("Redeploying", "web:4", "rollback_started")
        self.listed("Redeploying", "web:4", "updating")
        self.assertEqual(self.deploy, Deploy("running", 7.0, None, "web:4"))

    def test_after_a_failed_one(self) -> None:
        self.service("Redeploying", "web:2", "updating")
        self.service("Partly running", "web:2", "paused")
        self.assertEqual(self.service("Redeploying", "web:3", "updating"), "running")
        self.assertEqual(self.deploy, Deploy("running", 3.0, None, "web:2"))
        self.assertEqual(self.service("Running", "web:3", "completed"), "done")

    def test_the_change_names_it(self) -> None:
        self.service("Running")
        change = self.tell(SERVICE, "Redeploying", at=5.0)
        self.assertEqual(change.changed, {"state", "deploy"})
        self.assertEqual(self.tell(SERVICE, "Redeploying", at=6.0).changed, frozenset())
        self.assertEqual(self.tell(SERVICE, "Scaling", at=7.0).changed, {"state", "deploy"})
        self.assertEqual(self.tell(SERVICE, "Running", at=8.0).changed, {"state", "deploy"})
        self.assertEqual(self.tell(SERVICE, "Partly running", at=9.0).changed, {"state"})

    def test_other_types_are_not_deployed(self) -> None:
        for uri in (STACK, CONTAINER):
            self.assertIsNone(self.tell(uri, "Redeploying").after.deploy)
        self.answer(STACK, Found({"state": "Starting"}))
        self.assertIsNone(self.known(STACK).deploy)


class EndTests(DeployCase):
    """It ends when the service runs, or when its object says how the update went."""

    def begin(self, update: str = "updating") -> None:
        """Begin a deploy, at the time 2."""
        self.now = 0.0
        self.inventory = Inventory()
        self.service("Running", "web:1", "completed")
        self.service("Redeploying", "web:2", update)

    def test_well(self) -> None:
        self.begin()
        for state in ("Partly running", "Starting", "Stopped"):
            self.assertEqual(self.service(state, "web:2"), "running", state)
        self.assertEqual(self.service("RUNNING", "web:2", "completed"), "done")
        self.assertEqual(self.deploy, Deploy("done", 2.0, 6.0, "web:1"))

    def test_once(self) -> None:
        self.begin()
        self.service("Running", "web:2", "completed")
        ended = self.deploy
        self.service("Running", "web:2", "completed")
        self.service("Partly running", "web:2", "completed")
        self.listed("Running", "web:2", "completed")
        self.service("Running")
        self.assertIs(self.deploy, ended)

    def test_an_update_that_is_said_to_be_complete_must_run_as_well(self) -> None:
        """One whose containers all fail is complete too, if it is to go on all the same."""
        self.begin()
        self.assertEqual(self.service("Partly running", "web:2", "completed"), "running")
        self.assertEqual(self.service("Running", "web:2", "completed"), "done")

    def test_a_service_that_is_stopped_meanwhile(self) -> None:
        """With none to run, it is where it should be."""
        for state in ("Stopped", "Not running"):
            self.begin()
            self.assertEqual(self.service("Stopping", target_num_containers=0), "running")
            self.assertEqual(self.service(state, target_num_containers=0), "done", state)

    def test_paused(self) -> None:
        """Whatever else the service does: it may seem to run for a moment."""
        for state in ("Partly running", "Running", "Stopped"):
            self.begin()
            self.assertEqual(self.service(state, "web:2", "paused"), "failed", state)
            self.assertEqual(self.service("Running", "web:2", "paused"), "failed", state)
            self.assertEqual(self.deploy, Deploy("failed", 2.0, 3.0, "web:1"))

    def test_rolled_back(self) -> None:
        self.begin()
        self.assertEqual(self.service("Redeploying", "web:1", "rollback_started"), "failed")
        self.assertEqual(self.service("Running", "web:1", "rollback_completed"), "rolled back")
        self.assertEqual(self.deploy, Deploy("rolled back", 2.0, 4.0, "web:1"))
        self.assertEqual(
            self.service("Partly running", "web:1", "rollback_completed"), "rolled back"
        )
        self.assertEqual(self.service("Running", "web:1", "rollback_completed"), "rolled back")

    def test_rolled_back_within_a_moment(self) -> None:
        self.begin()
        self.assertEqual(self.service("Running", "web:1", "rollback_completed"), "rolled back")

    def test_a_rollback_that_is_paused(self) -> None:
        self.begin()
        self.assertEqual(self.service("Partly running", "web:1", "rollback_paused"), "failed")
        self.begin()
        self.service("Redeploying", "web:1", "rollback_started")
        failed = self.deploy
        self.assertEqual(self.service("Partly running", "web:1", "rollback_paused"), "failed")
        self.assertIs(self.deploy, failed)

    def test_rolled_back_by_somebody(self) -> None:
        """Which is a deploy of its own, and has not failed."""
        self.begin("rollback_started")
        self.assertEqual(self.service("Redeploying", "web:1", "rollback_started"), "running")
        self.assertEqual(self.service("Running", "web:1", "rollback_completed"), "rolled back")
        self.assertEqual(self.deploy, Deploy("rolled back", 2.0, 4.0, "web:1"))

    def test_what_is_left_over_from_an_earlier_update_does_not_count(self) -> None:
        for left in ("paused", "rollback_paused", "rollback_completed"):
            self.service("Partly running", "web:1", left)
            self.assertEqual(self.service("Scaling", "web:1", left), "running", left)
            self.assertEqual(self.service("Running", "web:1", left), "done", left)

    def test_the_end_of_the_service(self) -> None:
        """A deploy that does not end by itself goes with its service."""
        self.begin()
        for state in ("Terminating", "Terminated"):
            self.assertEqual(self.service(state), "running", state)
        self.begin()
        self.assertEqual(self.tell(SERVICE, "Running", action="delete").after.deploy, self.deploy)
        self.answer(SERVICE, Missing())
        self.assertEqual(self.state_of(self.deploy), "running")


class FailedActionTests(DeployCase):
    """An action that failed says so of the deploy of its service: a change of its own."""

    def begin(self) -> None:
        """Begin a deploy, and an action that does it."""
        self.service("Running", "web:1", "completed")
        self.service("Redeploying", "web:2", "updating")
        self.action("In progress")
        self.assertEqual(self.inventory.take_derived(), [])

    def test_it_fails(self) -> None:
        self.begin()
        before = self.known(SERVICE)
        self.inventory.take_unsaved()
        change = self.action("Failed")
        [derived] = self.inventory.take_derived()
        self.assertEqual(derived.id, f"{change.id}/deploy-s1")
        self.assertEqual((derived.before, derived.after), (before, self.known(SERVICE)))
        self.assertEqual(derived.after.deploy, Deploy("failed", 2.0, 4.0, "web:1"))
        self.assertEqual((derived.changed, derived.kind.value), ({"deploy"}, "changed"))
        self.assertEqual((derived.at, derived.action, derived.late), (4.0, "", False))
        self.assertIn(derived.after.key, self.inventory.take_unsaved())
        self.assertEqual(self.inventory.take_derived(), [])

    def test_actions_that_end_otherwise(self) -> None:
        self.begin()
        for state in ("Success", "Canceled", "In progress"):
            self.action(state)
            self.assertEqual(self.inventory.take_derived(), [])
        self.assertEqual(self.state_of(self.deploy), "running")

    def test_an_action_of_another(self) -> None:
        self.begin()
        self.action("Failed", OTHER, STACK)
        self.assertEqual(self.state_of(self.deploy), "running")

    def test_a_service_that_is_not_being_deployed(self) -> None:
        self.service("Running")
        self.action("Failed")
        self.service("Redeploying")
        self.service("Running")
        self.action("Failed")
        self.service("Redeploying")
        self.service("Terminated")
        self.action("Failed")
        self.assertEqual(self.inventory.take_derived(), [])
        self.assertEqual(self.state_of(self.deploy), "running")

    def test_what_fails_and_is_no_action(self) -> None:
        self.begin()
        self.tell("/api/v1/job/j/", "Failed", parents=[SERVICE])
        self.assertEqual(self.state_of(self.deploy), "running")

    def test_one_that_was_looked_up(self) -> None:
        self.begin()
        self.answer(ACTION, Found({"state": "Failed", "object": SERVICE}), at=9.0)
        [derived] = self.inventory.take_derived()
        self.assertEqual((derived.id, derived.at), ("looked/deploy-s1", 9.0))

    def test_one_of_which_a_listing_tells_for_the_first_time(self) -> None:
        """It may be one of hours ago."""
        self.begin()
        self.answer("/api/v1/action/a2/", Found({"state": "Failed", "object": SERVICE}))
        self.assertEqual(self.state_of(self.deploy), "running")

    def test_what_nobody_took_is_forgotten(self) -> None:
        """A run that only learns again what was decided must not say it once more."""
        for learn in (
            lambda: self.service("Running"),
            lambda: self.listed("Running"),
            lambda: self.inventory.tick(0.0),
        ):
            self.begin()
            self.action("Failed")
            learn()
            self.assertEqual(self.inventory.take_derived(), [])

    def test_a_good_end_after_all(self) -> None:
        """The update went on, and is complete: it is the same deploy."""
        self.begin()
        self.action("Failed")
        self.assertEqual(self.service("Partly running", "web:2", "completed"), "failed")
        self.service("Redeploying", "web:2", "updating")
        self.action("Failed")
        self.assertEqual(self.service("Running", "web:2", "completed"), "done")
        self.assertEqual(self.deploy, Deploy("done", 6.0, 8.0, "web:2"))

    def test_running_alone_is_no_good_end(self) -> None:
        """What crashes runs now and then; and other platforms say no more than that."""
        self.begin()
        self.action("Failed")
        for update in ("updating", ""):
            self.assertEqual(self.service("Running", "web:2", update), "failed")

    def test_a_rollback_after_it(self) -> None:
        """As our bridge tells it: the action that failed, and a service event when it is over."""
        self.begin()
        self.action("Failed")
        self.assertEqual(self.service("Running", "web:1", "rollback_completed"), "rolled back")
        self.assertEqual(self.deploy, Deploy("rolled back", 2.0, 5.0, "web:1"))

    def test_a_pause_after_it(self) -> None:
        """Which is why it failed: nothing new."""
        self.begin()
        self.action("Failed")
        failed = self.deploy
        self.service("Partly running", "web:2", "paused")
        self.assertIs(self.deploy, failed)


class UnseenTests(DeployCase):
    """A deploy that nobody saw, because we did not listen: its end is found by a listing."""

    def known_before(self, image: str = "web:1", update: str = "completed") -> None:
        """Know the service from before."""
        self.now = 0.0
        self.inventory = Inventory()
        self.service("Running", image, update)

    def test_how_it_ended(self) -> None:
        for state, image, update, expected in (
            ("Running", "web:2", "completed", "done"),
            ("Partly running", "web:2", "paused", "failed"),
            ("Partly running", "web:1", "paused", "failed"),
            ("Running", "web:2", "rollback_paused", "failed"),
            ("Running", "web:1", "rollback_completed", "rolled back"),
        ):
            self.known_before()
            self.assertEqual(self.listed(state, image, update), expected, (state, update))
            self.assertEqual(self.deploy, Deploy(expected, 2.0, 2.0, "web:1"))

    def test_the_first_one_ever(self) -> None:
        """Only the image tells that there was one."""
        self.known_before(update="")
        self.assertEqual(self.listed("Running", "web:1", "completed"), "none")
        self.known_before(update="")
        self.assertEqual(self.listed("Running", "web:2", "completed"), "done")

    def test_none(self) -> None:
        for state, image, update in (
            ("Running", "web:1", "completed"),
            ("Running", "web:2", ""),
            ("Running", "", "completed"),
            ("Running", "web:1", ""),
            ("Partly running", "web:2", "completed"),
            ("Running", "web:2", "updating"),
        ):
            self.known_before()
            self.assertEqual(self.listed(state, image, update), "none", (state, image, update))

    def test_of_a_service_that_was_not_known(self) -> None:
        """What was before is past."""
        for update in ("paused", "completed", "rollback_completed"):
            self.inventory = Inventory()
            self.assertEqual(self.listed("Running", "web:1", update), "none")
        self.inventory = Inventory()
        self.service("Running")
        self.assertEqual(self.listed("Running", "web:1", "paused"), "none")

    def test_after_one_that_was_seen(self) -> None:
        """A second one, of which only the end is found."""
        self.known_before()
        self.service("Redeploying", "web:2", "updating")
        self.service("Partly running", "web:2", "paused")
        self.listed("Running", "web:3", "completed")
        self.assertEqual(self.deploy, Deploy("done", 4.0, 4.0, "web:2"))

    def test_the_change_names_it(self) -> None:
        self.known_before()
        found = {"state": "Running", "image_name": "web:2", "update_state": "completed"}
        change = self.answer(SERVICE, Found(found))
        assert change is not None
        self.assertEqual(change.changed, {"image", "deploy"})
