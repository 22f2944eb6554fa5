"""Tests for tutumwatch.resources.catchup: what a platform's lists make of what we know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.events.event import Event
from tutumwatch.events.inputs import Found, Listed, Missing
from tutumwatch.http import NoResponse, Request, Response
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.resources.catchup import CatchUp
from tutumwatch.resources.client import ResourceClient
from tutumwatch.secret import Secret

STACK = "/api/v1/stack/11111111-1111-4111-8111-111111111111/"
WEB = "/api/v1/service/22222222-2222-4222-8222-222222222222/"
GONE = "/api/v1/service/33333333-3333-4333-8333-333333333333/"


@attrs.define
class ListServer:
    """A platform's REST API: answers lists from ``objects``, in pages, and counts what is asked."""

    objects: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    asked: list[str] = attrs.field(factory=list)
    status: int = 200
    hangs: bool = False
    before_answer: Callable[[str], None] = lambda _path: None

    def send(self, request: Request, deadline_seconds: float) -> Deferred[Response | NoResponse]:
        """Answer at once, or never."""
        parts = urlsplit(request.url.reveal())
        self.asked.append(f"{parts.path}?{parts.query}".rstrip("?"))
        answer: Deferred[Response | NoResponse] = Deferred()
        self.before_answer(parts.path)
        if not self.hangs:
            answer.callback(self._answer(parts.path, parts.query))
        return answer

    def _answer(self, path: str, query: str) -> Response:
        if self.status != 200:
            return Response(self.status, b"{}")
        if path.count("/") > 4:
            found = self.objects.get(path)
            return Response(404, b"{}") if found is None else Response(200, _json(found))
        fields = parse_qs(query)
        offset, limit = int(fields["offset"][0]), int(fields["limit"][0])
        matching = [o for uri, o in self.objects.items() if uri.startswith(path)]
        meta = {"total_count": len(matching), "limit": limit, "offset": offset}
        return Response(200, _json({"meta": meta, "objects": matching[offset : offset + limit]}))

    def add(self, uri: str, **fields: object) -> None:
        """Let the platform have an object."""
        self.objects[uri] = {"resource_uri": uri, **fields}


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)


class CatchUpTests(SynchronousTestCase):
    """After each connect the platform is asked for everything that it has."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        self.server = ListServer()
        self.inventory = Inventory()
        self.submitted: list[Listed] = []
        self.number = 7
        client = ResourceClient(
            self.server, "https://rest.example", {"Authorization": Secret("ApiKey u:k")}
        )
        self.catch_up = CatchUp(
            "main",
            client,
            self.inventory,
            self.submitted.append,
            lambda: self.number,
            lambda: 1_000.0 + self.clock.seconds(),
            self.clock,
        )
        self.addCleanup(self.catch_up.stop)

    def know(self, uri: str, state: str = "Running") -> None:
        """Let the inventory know a service from an event."""
        event = Event("service", "update", state, uri, [STACK])
        self.inventory.apply_event(event, "e1", "main", 1, 900.0)

    def uris(self) -> list[str]:
        """Give what the one listing found."""
        (listed,) = self.submitted
        return [row.resource_uri for row in listed.rows]

    def test_every_type_is_listed_and_submitted_two_seconds_after_the_last_page(self) -> None:
        self.server.add(STACK, name="shop", state="Running")
        self.server.add(WEB, name="web", state="Running")
        self.catch_up.connected()
        self.assertEqual(self.submitted, [])
        self.clock.advance(2.0)
        self.assertEqual(self.uris(), [STACK, WEB])
        self.assertEqual(
            self.server.asked,
            [
                f"/api/v1/{type_}/?limit=100&offset=0"
                for type_ in ("stack", "nodecluster", "node", "service", "container")
            ],
        )
        (listed,) = self.submitted
        self.assertEqual({row.asked for row in listed.rows}, {7})
        self.assertEqual(listed.rows[1].answer, Found(self.server.objects[WEB]))

    def test_pages_are_asked_for_by_offset_until_all_are_there(self) -> None:
        for number in range(250):
            self.server.add(f"/api/v1/node/n{number}/", state="Deployed")
        self.catch_up.connected()
        self.clock.advance(2.0)
        self.assertEqual(len(self.uris()), 250)
        pages = [path for path in self.server.asked if path.startswith("/api/v1/node/")]
        self.assertEqual([p.rpartition("=")[2] for p in pages], ["0", "100", "200"])

    def test_a_row_carries_the_number_of_the_last_message_when_its_page_was_asked_for(self) -> None:
        self.server.add(STACK, state="Running")
        self.server.add(WEB, state="Running")

        def count_up(_path: str) -> None:
            self.number += 1

        self.server.before_answer = count_up
        self.catch_up.connected()
        self.clock.advance(2.0)
        (listed,) = self.submitted
        self.assertEqual([row.asked for row in listed.rows], [7, 10])

    def test_what_is_known_and_not_listed_is_asked_for_before_it_counts_as_gone(self) -> None:
        self.know(WEB)
        self.know(GONE)
        self.server.add(WEB, state="Running")
        self.catch_up.connected()
        self.clock.advance(2.0)
        self.assertIn(GONE, self.server.asked)
        self.assertNotIn(WEB, self.server.asked)
        (listed,) = self.submitted
        self.assertEqual(listed.rows[-1].resource_uri, GONE)
        self.assertEqual(listed.rows[-1].answer, Missing())

    def test_actions_are_listed_from_when_the_stream_was_lost(self) -> None:
        self.catch_up.connected()
        self.clock.advance(2.0)
        self.catch_up.lost(1_002.0)
        self.clock.advance(30.0)
        self.catch_up.connected()
        self.clock.advance(2.0)
        self.assertEqual(len(self.submitted), 2)
        self.assertEqual(
            self.server.asked[-1],
            "/api/v1/action/?start_date__gte=1970-01-01T00%3A16%3A42%2B00%3A00&limit=100&offset=0",
        )

    def test_blind_time_begins_with_the_first_loss(self) -> None:
        """A stream that is refused after it was lost has been blind since it was lost."""
        self.catch_up.connected()
        self.clock.advance(2.0)
        self.catch_up.lost(1_002.0)
        self.catch_up.lost(1_500.0)
        self.catch_up.connected()
        self.clock.advance(2.0)
        self.assertIn("00%3A16%3A42", self.server.asked[-1])

    def test_a_platform_without_lists_is_asked_again_ever_more_rarely(self) -> None:
        self.server.status = 404
        self.catch_up.connected()
        asked = []
        for _ in range(700):
            self.clock.advance(1.0)
            asked.append(len(self.server.asked))
        # At 0, 5, 25, 105 and 405 seconds.
        self.assertEqual([asked[0], asked[4], asked[24], asked[104], asked[404]], [1, 2, 3, 4, 5])
        self.assertEqual(self.submitted, [])
        self.server.status = 200
        self.clock.advance(302.0)
        self.clock.advance(2.0)
        self.assertEqual(len(self.submitted), 1)

    def test_a_listing_ends_with_the_stream(self) -> None:
        self.server.hangs = True
        self.catch_up.connected()
        self.catch_up.lost(1_001.0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.submitted, [])

    def test_what_gives_no_answer_is_not_taken_for_gone(self) -> None:
        self.know(GONE)

        def fail_for_single(path: str) -> None:
            self.server.status = 500 if path == GONE else 200

        self.server.before_answer = fail_for_single
        self.catch_up.connected()
        self.clock.advance(2.0)
        self.assertEqual(self.uris(), [])
