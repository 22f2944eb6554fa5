"""Tests of what is watched, in a sentence."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.inventory.resource import Resource
from tutumwatch.inventory.survey import in_words, survey

STACK = Resource(("main", "stack", "k1"), "/api/v1/stack/k1/", name="shop", state="Running")


def service(name: str, state: str, running: object = None, target: object = None) -> Resource:
    """Make a service of the stack shop."""
    uri = f"/api/v1/service/{name}/"
    told = {"running": running, "target": target}
    fields = {key: value for key, value in told.items() if value is not None}
    parents = ("/api/v1/stack/k1/",)
    key = ("main", "service", name)
    return Resource(key, uri, name=name, state=state, parents=parents, fields=fields)


def of_type(type_: str, state: str | None) -> Resource:
    """Make a resource of a type."""
    return Resource(("main", type_, "x"), f"/api/v1/{type_}/x/", name=type_, state=state)


class SurveyTests(SynchronousTestCase):
    """One sentence says what is watched and what of it is not well."""

    def test_all_is_well(self) -> None:
        resources = [STACK, service("web", "Running", 2, 2), of_type("node", "Deployed")]
        self.assertEqual(
            survey(resources, {STACK.key: "shop"}), "watching 1 stack, 1 service, 1 node"
        )

    def test_nothing_is_there(self) -> None:
        self.assertEqual(survey([], {}), "watching 0 stacks, 0 services, 0 nodes")

    def test_what_is_not_well_is_named_with_its_stack(self) -> None:
        resources = [
            STACK,
            service("web", "Partly running", 1, 2),
            service("db", "Stopped", 0, 1),
            of_type("node", "Unreachable"),
            of_type("nodecluster", "Partly deployed"),
            of_type("container", "Stopped"),
            replace(of_type("container", "Stopped"), ended="failed"),
        ]
        self.assertEqual(
            survey(resources, {STACK.key: "shop"}),
            "watching 1 stack, 2 services, 1 node; not healthy: node, shop/db, shop/web",
        )

    def test_a_job_that_is_through_is_well(self) -> None:
        """Its container is among what there is."""
        job = service("job", "Stopped", 0, 1)
        ended = replace(of_type("container", "Stopped"), ended="clean", parents=(job.uri,))
        self.assertEqual(survey([job, ended], {}), "watching 0 stacks, 1 service, 0 nodes")

    def test_many_are_counted(self) -> None:
        resources = [service(f"s{number:02}", "Stopped", 0, 1) for number in range(12)]
        line = survey(resources, {})
        self.assertTrue(line.endswith("s08, s09 and 2 more"), line)


class InWordsTests(SynchronousTestCase):
    """Lengths of time are written as people say them."""

    def test_each_size(self) -> None:
        spans = (0.4, 42, 60, 185, 3_599, 3_600, 7_800)
        self.assertEqual(
            [in_words(seconds) for seconds in spans],
            ["0 s", "42 s", "1 min 0 s", "3 min 5 s", "59 min 59 s", "1 h 0 min", "2 h 10 min"],
        )
