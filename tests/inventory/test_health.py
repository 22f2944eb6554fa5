"""Tests of how well a resource is."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.inventory.health import (
    TYPES_WITH_HEALTH,
    Children,
    Wellness,
    no_children,
    wellness_of,
)
from tutumwatch.inventory.resource import Key, Resource

STACK = "/api/v1/stack/k1/"


def of_type(type_: str, state: str | None, uuid: str = "x") -> Resource:
    """Make a resource of a type."""
    return Resource(("main", type_, uuid), f"/api/v1/{type_}/{uuid}/", state=state)


def service(state: str | None, running: object = None, target: object = None) -> Resource:
    """Make a service of a stack, with counts where they are told."""
    told = {"running": running, "target": target}
    fields = {key: value for key, value in told.items() if value is not None}
    return replace(of_type("service", state), fields=fields, parents=(STACK,))


def container(ended: str, state: str = "Stopped", gone_at: float | None = None) -> Resource:
    """Make a container that has ended, or not."""
    return replace(of_type("container", state), ended=ended, gone_at=gone_at)


def these(*children: Resource) -> Children:
    """Let these be the children of the service x and of the stack x."""

    def give(key: Key) -> Iterable[Resource]:
        if key[1] == "stack":
            return [child for child in children if child.type != "container"]
        return [child for child in children if child.type == "container"]

    return give


class ByStateTests(SynchronousTestCase):
    """What a state alone tells, in any case."""

    def test_of_every_state(self) -> None:
        table = {
            ("node", "Deployed"): Wellness.OK,
            ("node", "DEPLOYED"): Wellness.OK,
            ("node", "Unreachable"): Wellness.DOWN,
            ("node", "Deploying"): Wellness.PROGRESSING,
            ("node", "Upgrading"): Wellness.PROGRESSING,
            ("node", "Terminated"): Wellness.ENDED,
            ("node", "Terminating"): Wellness.ENDED,
            ("nodecluster", "Deployed"): Wellness.OK,
            ("nodecluster", "Partly deployed"): Wellness.DEGRADED,
            ("nodecluster", "Init"): Wellness.PROGRESSING,
            ("nodecluster", "Deploying"): Wellness.PROGRESSING,
            ("nodecluster", "Scaling"): Wellness.PROGRESSING,
            ("nodecluster", "Empty cluster"): Wellness.ENDED,
            ("service", "Running"): Wellness.OK,
            ("service", "Partly running"): Wellness.DEGRADED,
            ("service", "Stopped"): Wellness.DOWN,
            ("service", "Not running"): Wellness.DOWN,
            ("service", "Redeploying"): Wellness.PROGRESSING,
            ("service", "Starting"): Wellness.PROGRESSING,
            ("service", "Terminating"): Wellness.ENDED,
            ("service", "Terminated"): Wellness.ENDED,
            ("container", "Running"): Wellness.OK,
            ("container", "Starting"): Wellness.PROGRESSING,
            ("container", "Stopping"): Wellness.PROGRESSING,
            ("container", "Terminating"): Wellness.ENDED,
            ("container", "Terminated"): Wellness.ENDED,
            ("stack", "Terminated"): Wellness.ENDED,
        }
        for (type_, state), expected in table.items():
            wellness = wellness_of(of_type(type_, state), no_children)
            self.assertEqual(wellness, expected, (type_, state))

    def test_nobody_knows(self) -> None:
        for type_ in TYPES_WITH_HEALTH:
            for state in (None, ""):
                self.assertIsNone(wellness_of(of_type(type_, state), no_children), type_)

    def test_other_types_have_no_health(self) -> None:
        for type_ in ("action", "stream", "notifier", "error"):
            self.assertIsNone(wellness_of(of_type(type_, "Terminated"), no_children), type_)

    def test_of_what_is_gone_nothing_is_expected(self) -> None:
        """Whatever its last state was."""
        for type_ in TYPES_WITH_HEALTH:
            gone = replace(of_type(type_, "Unreachable"), gone_at=0.0)
            self.assertEqual(wellness_of(gone, no_children), Wellness.ENDED, type_)

    def test_a_container_that_stopped(self) -> None:
        for ended, expected in (
            ("clean", Wellness.ENDED),
            ("stopped", Wellness.ENDED),
            ("failed", Wellness.DOWN),
            ("oom", Wellness.DOWN),
            ("", None),
        ):
            self.assertEqual(wellness_of(container(ended), no_children), expected, ended)


class OfServicesTests(SynchronousTestCase):
    """Counts decide where they are known: a state says what is planned."""

    def test_of_counts(self) -> None:
        for state, running, target, expected in (
            ("Redeploying", 2, 2, Wellness.OK),
            ("Scaling", 3, 2, Wellness.OK),
            ("Redeploying", 1, 2, Wellness.DEGRADED),
            ("Running", 0, 2, Wellness.DOWN),
            (None, 0, 2, Wellness.DOWN),
            ("Stopped", 0, 0, Wellness.ENDED),
            ("Running", 2, 0, Wellness.ENDED),
            ("Terminating", 2, 2, Wellness.ENDED),
            ("Running", "?", 2, Wellness.OK),
            ("Partly running", 1, None, Wellness.DEGRADED),
        ):
            told = service(state, running, target)
            self.assertEqual(wellness_of(told, no_children), expected, told)

    def test_one_that_is_through_with_its_work(self) -> None:
        """Every container of it ended well, and of itself."""
        job = service("Stopped", 0, 2)
        for children, expected in (
            ([container("clean")], Wellness.ENDED),
            ([container("clean"), container("clean")], Wellness.ENDED),
            ([container("clean"), container("failed")], Wellness.DOWN),
            ([container("clean"), container("stopped")], Wellness.DOWN),
            ([container("clean"), container("", "Starting")], Wellness.DOWN),
            ([container("clean"), container("")], Wellness.DOWN),
            ([container("clean"), container("failed", gone_at=1.0)], Wellness.ENDED),
            ([container("clean", gone_at=1.0)], Wellness.DOWN),
            ([], Wellness.DOWN),
        ):
            self.assertEqual(wellness_of(job, these(*children)), expected, children)

    def test_also_without_counts(self) -> None:
        self.assertEqual(wellness_of(service("Stopped"), these(container("clean"))), Wellness.ENDED)

    def test_one_that_still_runs_is_not_through(self) -> None:
        """Of its containers not all need be known."""
        known = these(container("clean"))
        self.assertEqual(wellness_of(service("Partly running", 1, 2), known), Wellness.DEGRADED)
        self.assertEqual(wellness_of(service("Running", 2, 2), known), Wellness.OK)

    def test_what_else_names_it_as_a_parent_does_not_matter(self) -> None:
        """An action of it is no container."""

        def give(_key: Key) -> Iterable[Resource]:
            return [container("clean"), of_type("action", "In progress")]

        self.assertEqual(wellness_of(service("Stopped", 0, 1), give), Wellness.ENDED)


class OfStacksTests(SynchronousTestCase):
    """A stack is as well as the worst of its services."""

    def test_the_worst(self) -> None:
        ok, degraded = service("Running", 2, 2), service("Partly running", 1, 2)
        down, ended = service("Stopped", 0, 2), service("Stopped", 0, 0)
        starting, unknown = service("Starting"), service(None)
        for services, expected in (
            ([ok, ok], Wellness.OK),
            ([ok, degraded, starting], Wellness.DEGRADED),
            ([degraded, down, ok], Wellness.DOWN),
            ([ok, starting], Wellness.PROGRESSING),
            ([ok, ended], Wellness.OK),
            ([ended, ended], Wellness.ENDED),
            ([unknown, ok], Wellness.OK),
            ([unknown], None),
            ([], None),
        ):
            stack = of_type("stack", "Running")
            self.assertEqual(wellness_of(stack, these(*services)), expected, services)

    def test_its_services_are_asked_about_their_containers(self) -> None:
        known = these(service("Stopped", 0, 1), container("clean"))
        self.assertEqual(wellness_of(of_type("stack", "Stopped"), known), Wellness.ENDED)

    def test_its_containers_and_actions_do_not_count(self) -> None:
        def give(_key: Key) -> Iterable[Resource]:
            return [container("failed"), of_type("action", "In progress")]

        self.assertIsNone(wellness_of(of_type("stack", "Running"), give))


class IllTests(SynchronousTestCase):
    """What somebody should know of."""

    def test_only_degraded_and_down_are_ill(self) -> None:
        ill = [wellness for wellness in Wellness if wellness.is_ill]
        self.assertEqual(ill, [Wellness.DEGRADED, Wellness.DOWN])
