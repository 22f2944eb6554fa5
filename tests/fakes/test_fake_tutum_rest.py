"""Tests of the fake REST API and of what builds its events and objects."""

from __future__ import annotations

import json
import random
import re
from typing import Any

from treq.client import HTTPClient
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.http_headers import Headers

from tests.fakes.answers import Answer
from tests.fakes.clients import http_client
from tests.fakes.tutum import FakeTutum
from tests.fakes.tutum_events import (
    KINDS,
    action_event,
    container_event,
    kind_and_uuid,
    new_uuid,
    node_event,
    nodecluster_event,
    service_event,
    stack_event,
)
from tests.fakes.tutum_objects import rest_object

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")


class RestTests(TestCase):
    """Objects over HTTP."""

    fake: FakeTutum
    client: HTTPClient

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits a coroutine here
        """Start the fake."""
        self.fake = await FakeTutum.listen(reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.fake.stop()))
        self.client = http_client(self)

    async def get(self, path: str, authorization: str = "ApiKey user:key") -> tuple[int, Any]:
        """Get a path and return the status and the decoded answer, or its text."""
        response = await self.client.get(
            self.fake.rest_url + path,
            headers=Headers({"Authorization": [authorization]}),
            allow_redirects=False,
        )
        text = await response.text()
        is_json = response.headers.getRawHeaders("content-type") == ["application/json"]
        return response.code, json.loads(text) if is_json else text

    async def test_an_object_of_each_type_is_served(self) -> None:
        """Whole, and under Docker Cloud's paths too."""
        for kind in KINDS:
            served = rest_object(kind, new_uuid())
            self.fake.put(served)
            self.assertEqual(await self.get(served["resource_uri"]), (200, served))
            for part in ("app", "infra", "audit"):
                path = served["resource_uri"].replace("/api/", f"/api/{part}/")
                self.assertEqual(await self.get(path), (200, served))

    async def test_an_object_of_docker_cloud_is_served_under_both_paths(self) -> None:
        """Its resource_uri may be the successor's."""
        uuid = new_uuid()
        uri = f"/api/app/v1/stack/{uuid}/"
        self.fake.put(rest_object("stack", uuid, resource_uri=uri))
        for path in (uri, f"/api/v1/stack/{uuid}/"):
            self.assertEqual((await self.get(path))[1]["resource_uri"], uri)

    async def test_what_is_not_there_is_404_with_an_error(self) -> None:
        """The body says so in JSON."""
        for path in ("/api/v1/stack/none/", "/elsewhere/"):
            self.assertEqual(await self.get(path), (404, {"error": "Object not found"}))

    async def test_a_path_without_the_last_slash_redirects(self) -> None:
        """301, as Tutum does."""
        self.assertEqual((await self.get("/api/v1/stack/x"))[0], 301)

    async def test_writes_are_refused(self) -> None:
        """The fake is read-only."""
        response = await self.client.post(f"{self.fake.rest_url}/api/v1/stack/", json={})
        self.assertEqual(
            (response.code, await response.text()), (405, '{"error": "Method not allowed"}')
        )

    async def test_credentials_are_checked(self) -> None:
        """Any good form will do until the right ones are named; requests are recorded."""
        self.assertEqual((await self.get("/api/v1/auth/"))[0], 200)
        self.assertEqual((await self.get("/api/v1/auth/", "Bearer x"))[0], 401)
        self.fake.expect("user", "other")
        self.assertEqual(await self.get("/api/v1/auth/"), (401, {"error": "Unauthorized"}))
        self.assertEqual((await self.get("/api/v1/auth/?user=user&token=other", ""))[0], 401)
        self.assertEqual((await self.get("/api/v1/auth/", "ApiKey user:other"))[0], 200)
        self.assertEqual(self.fake.rest_requests[-1].headers["authorization"], "ApiKey user:other")

    async def test_rest_answers_are_scripted_and_the_stream_is_not(self) -> None:
        """The same faults as everywhere."""
        self.fake.answer_next(
            Answer(500), Answer(200, "no json"), Answer.redirect("http://elsewhere.invalid/")
        )
        got = [(await self.get("/api/v1/auth/"))[0] for _ in range(4)]
        self.assertEqual(got, [500, 200, 302, 200])

    async def test_a_huge_body_is_sent_whole(self) -> None:
        """It is the client that must have a limit."""
        self.fake.answer_next(Answer(200, b"x" * 3_000_000))
        self.assertEqual(len((await self.get("/api/v1/auth/"))[1]), 3_000_000)


class EventBuilderTests(SynchronousTestCase):
    """Events as Tutum makes them."""

    def test_fields_come_in_order(self) -> None:
        """Five fields, and two more in a capture."""
        fields = ["type", "action", "state", "resource_uri", "parents"]
        self.assertEqual(list(container_event()), fields)
        captured = stack_event(date="2015-12-07T04:01:01+00:00")
        self.assertEqual(list(captured), [*fields, "uuid", "date"])

    def test_parents_come_in_order(self) -> None:
        """Each type has its own list."""
        container = container_event()
        for event, kinds in (
            (stack_event(), []),
            (service_event(), ["stack"]),
            (service_event(stack=""), []),
            (container, ["service", "stack", "node", "nodecluster"]),
            (nodecluster_event(), []),
            (node_event(), ["nodecluster"]),
            (action_event(), ["service", "stack"]),
            (action_event(of=container), ["container", "service", "stack", "node", "nodecluster"]),
        ):
            self.assertEqual([kind_and_uuid(uri)[0] for uri in event["parents"]], kinds)

    def test_given_uuids_are_used(self) -> None:
        """The caller can name the object and its parents."""
        event = container_event("0", service="1", stack="2", node="3", nodecluster="4")
        self.assertEqual(event["resource_uri"], "/api/v1/container/0/")
        self.assertEqual([kind_and_uuid(uri)[1] for uri in event["parents"]], list("1234"))

    def test_uuids_are_of_version_4_and_repeatable(self) -> None:
        """A seeded source gives the same ones."""
        self.assertRegex(new_uuid(), UUID4)
        first, second = (new_uuid(random.Random(5)) for _ in "ab")
        self.assertEqual(first, second)

    def test_a_node_has_no_name_and_an_action_no_nickname(self) -> None:
        """The fields by type are Tutum's."""
        self.assertNotIn("name", rest_object("node", new_uuid()))
        self.assertNotIn("nickname", rest_object("action", new_uuid()))
        self.assertEqual(rest_object("stack", new_uuid(), name="shop")["nickname"], "shop")
