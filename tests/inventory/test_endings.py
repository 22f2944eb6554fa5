"""Tests of how a container is said to have ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.inventory.test_inventory import CONTAINER, SERVICE, InventoryCase
from tutumwatch.events.inputs import Found, Missing


class EndingCase(InventoryCase):
    """One container, of which a test tells."""

    def container(self, state: str, **fields: object) -> str:
        """Tell a state, with an object if there are fields; give how it ended, as is known."""
        told: Mapping[str, Any] | None = fields or None
        return self.tell(CONTAINER, state, parents=[SERVICE], fields=told).after.ended

    def live(self, *states: str) -> None:
        """Let it go through states, each with its object."""
        for state in states:
            self.container(state, name="web-1")


class EndingTests(EndingCase):
    """The first that holds of: oom, stopped, clean, failed."""

    def test_of_itself(self) -> None:
        for fields, expected in (
            ({"exit_code": 0}, "clean"),
            ({"exit_code": 0.0}, "clean"),
            ({"exit_code": 1}, "failed"),
            ({"exit_code": 137}, "failed"),
            ({"exit_code": 137, "exit_code_msg": "OOM"}, "oom"),
            ({"exit_code": 0, "exit_code_msg": "oom killed"}, "oom"),
            ({"exit_code": 1, "exit_code_msg": "oops"}, "failed"),
            ({"exit_code": None}, "failed"),
        ):
            self.live("Starting", "Running")
            self.assertEqual(self.container("Stopped", **fields), expected, fields)

    def test_stopped_by_somebody(self) -> None:
        """Whatever it exits with then, unless the kernel was faster."""
        for way in ("Stopping", "STOPPING", "Terminating"):
            for fields, expected in (
                ({"exit_code": 0}, "stopped"),
                ({"exit_code": 143}, "stopped"),
                ({"exit_code": 137, "exit_code_msg": "OOM"}, "oom"),
            ):
                self.live("Running", way)
                self.assertEqual(self.container("Stopped", **fields), expected, (way, fields))

    def test_while_it_lives_it_has_not_ended(self) -> None:
        for state in ("Starting", "Running", "Stopping", "Terminating", "Hibernating"):
            self.assertEqual(self.container(state, exit_code=1), "", state)

    def test_started_again_it_has_not_ended(self) -> None:
        """Nor is it being stopped any more."""
        self.live("Running", "Stopping")
        self.container("Stopped", exit_code=0)
        for state in ("Starting", "Running"):
            self.assertEqual(self.container(state, name="web-1"), "")
        self.assertEqual(self.container("Stopped", exit_code=3), "failed")

    def test_how_it_ended_stays_when_it_is_removed(self) -> None:
        """What is terminated after its end was not stopped."""
        self.live("Running")
        self.container("Stopped", exit_code=2)
        for state in ("Terminating", "Terminated"):
            self.assertEqual(self.container(state), "failed", state)
        self.assertEqual(self.container("Terminated", exit_code=2), "failed")

    def test_removed_at_once(self) -> None:
        """Of what was not seen to stop only its exit code tells that it ended of itself."""
        for fields, expected in (
            ({"exit_code": None}, "stopped"),
            ({"exit_code": 0}, "clean"),
            ({"exit_code": 1}, "failed"),
        ):
            self.live("Running")
            self.assertEqual(self.container("Terminated", **fields), expected, fields)

    def test_the_change_names_it(self) -> None:
        self.live("Running")
        change = self.tell(CONTAINER, "Stopped", parents=[SERVICE], fields={"exit_code": 1})
        self.assertIn("ended", change.changed)
        change = self.tell(CONTAINER, "Terminated", parents=[SERVICE], fields={"exit_code": 1})
        self.assertNotIn("ended", change.changed)
        self.assertIn("ended", self.tell(CONTAINER, "Running").changed)

    def test_other_types_do_not_end(self) -> None:
        after = self.tell(SERVICE, "Stopped", fields={"exit_code": 1}).after
        self.assertEqual((after.ended, after.was_stopping), ("", False))


class UntoldEndingTests(EndingCase):
    """Events of other platforms bring no object: how a container ended must be looked up."""

    def test_it_is_not_known_until_then(self) -> None:
        """An exit code that is known already is of an earlier run."""
        self.container("Running")
        self.answer(CONTAINER, Found({"exit_code": 0, "state": "Running"}))
        self.assertEqual(self.container("Stopped"), "")
        self.answer(CONTAINER, Found({"exit_code": 5, "state": "Stopped"}))
        self.assertEqual(self.known(CONTAINER).ended, "failed")

    def test_that_it_was_stopping_is_kept_until_then(self) -> None:
        """The kernel may have been faster than whoever stopped it."""
        for message, expected in ((None, "stopped"), ("OOM", "oom")):
            for state in ("Running", "Stopping", "Stopped"):
                self.assertEqual(self.container(state), "")
            self.assertTrue(self.known(CONTAINER).was_stopping)
            found = {"exit_code": 5, "exit_code_msg": message, "state": "Stopped"}
            self.answer(CONTAINER, Found(found))
            self.assertEqual(self.known(CONTAINER).ended, expected)
            self.assertEqual(self.container("Terminated"), expected)

    def test_an_answer_of_before_tells_nothing(self) -> None:
        self.container("Running")
        asked = self.number
        self.container("Stopped")
        self.answer(CONTAINER, Found({"name": "web-1", "state": "Running"}), asked=asked)
        self.assertEqual(self.known(CONTAINER).ended, "")

    def test_what_is_terminated_after_that_was_stopped(self) -> None:
        for state in ("Running", "Terminating"):
            self.container(state)
        self.assertEqual(self.container("Terminated"), "stopped")

    def test_what_is_terminated_at_once_may_have_ended_in_any_way(self) -> None:
        self.container("Running")
        self.assertEqual(self.container("Terminated"), "")

    def test_what_is_missing_did_not_end_in_any_way_that_is_known(self) -> None:
        self.container("Running")
        self.answer(CONTAINER, Missing())
        self.assertEqual(self.known(CONTAINER).ended, "")

    def test_a_listing_finds_one_that_has_ended(self) -> None:
        self.answer(CONTAINER, Found({"exit_code": 1, "state": "Stopped"}))
        self.assertEqual(self.known(CONTAINER).ended, "failed")
