"""Tests of asking a platform once what it has, and of what rules make of that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from twisted.internet.defer import Deferred, succeed

from tests.rehearsal.cases import RehearsalTestCase
from tutumwatch.events.inputs import Found, Looked
from tutumwatch.http import NoResponse, Request, Response
from tutumwatch.rehearsal.asking import list_once
from tutumwatch.rehearsal.situation import decider_of_lists, matchings, present_name
from tutumwatch.resources.catchup import PAGE_COUNT, NoListsError
from tutumwatch.resources.client import ResourceClient

RULES = """
[[incidents]]
name = "down"
while = { type = "service", health = "down" }
for = "1m"
notify = "pd"
"""


class Lists:
    """Answers lists: so many of each type, services without a container that runs."""

    def __init__(self, counts: Mapping[str, int], status: int = 200) -> None:
        """Have so many of each type."""
        self.counts = counts
        self.status = status
        self.asked: list[str] = []

    def send(self, request: Request, deadline_seconds: float) -> Deferred[Response | NoResponse]:
        """Answer a request for a page."""
        del deadline_seconds
        url = urlsplit(request.url.reveal())
        self.asked.append(f"{url.path}?{url.query}")
        type_ = url.path.split("/")[3]
        offset = int(parse_qs(url.query)["offset"][0])
        count = self.counts.get(type_, 0)
        objects = [
            {
                "resource_uri": f"/api/v1/{type_}/x{number}/",
                "name": f"x{number}",
                "state": "Running",
                "running_num_containers": 0,
                "target_num_containers": 1,
            }
            for number in range(offset, min(count, offset + PAGE_COUNT))
        ]
        body = json.dumps({"meta": {"total_count": count}, "objects": objects}).encode()
        return succeed(Response(self.status, body))


class AskingTests(RehearsalTestCase):
    """All that a platform has is listed, page by page."""

    def rows(self, lists: Lists) -> tuple[Looked, ...]:
        """List it."""
        client = ResourceClient(lists, "http://rest.example", {})
        doing = Deferred.fromCoroutine(list_once("main", client, lambda: 7.0))
        return self.successResultOf(doing)

    def test_every_page(self) -> None:
        lists = Lists({"service": PAGE_COUNT + 1, "node": 1})
        rows = self.rows(lists)
        self.assertEqual(len(rows), PAGE_COUNT + 2)
        first = rows[0]
        self.assertEqual(
            (first.stream, first.resource_uri, first.at), ("main", "/api/v1/node/x0/", 7.0)
        )
        self.assertIsInstance(first.answer, Found)
        self.assertEqual(
            [path for path in lists.asked if "service" in path][1:],
            [f"/api/v1/service/?limit={PAGE_COUNT}&offset={PAGE_COUNT}"],
        )

    def test_one_that_does_not_answer(self) -> None:
        client = ResourceClient(Lists({}, 503), "http://rest.example", {})
        failure = self.failureResultOf(
            Deferred.fromCoroutine(list_once("main", client, lambda: 7.0)), NoListsError
        )
        self.assertIn("the REST API answered 503", str(failure.value))

    def test_what_rules_make_of_it(self) -> None:
        configuration = self.load(f"last_resort = false\n{self.head}{RULES}")
        decider = decider_of_lists(configuration, [("main", self.rows(Lists({"service": 2})))], 7.0)
        (of_rule,) = matchings(decider)
        self.assertEqual(of_rule.names, ["service x0", "service x1"])
        self.assertEqual([present_name(decider, m) for m in of_rule.coming], list(of_rule.names))
        self.assertEqual((of_rule.opened, of_rule.excused, of_rule.unsure_count), ([], [], 0))
