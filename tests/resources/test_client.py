"""Tests of asking for one resource: the guard, the credentials, and every kind of answer."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.notifiers.cases import ScriptedWeb, answer
from tutumwatch.events.inputs import Answer, Found, Missing, Unanswered
from tutumwatch.http import NoResponse, Response
from tutumwatch.resources.client import Page, ResourceClient
from tutumwatch.secret import Secret

UUID = "7eaf7fff-882c-4f3d-9a8f-a22317ac00ce"
URI = f"/api/v1/service/{UUID}/"
BASE = "https://rest.example"
HEADERS = {"Authorization": Secret("Basic dXNlcjprZXk=")}

NO_RESOURCE_URIS = (
    "", "/", "@elsewhere.example/", "//elsewhere.example/api/v1/service/1/", "\\\\elsewhere.example/",
    "https://elsewhere.example/api/v1/service/1/", "http:/api/v1/service/1/", ".elsewhere.example/",
    ":pw@elsewhere.example/api/v1/service/1/", "api/v1/service/1/", " /api/v1/service/1/",
    "/api/v1/service/../../secret/", "/api/v1/service/..", "/api/v1/../service/1/", "/api/v1/./1/",
    "/api/v1/service/1/../2/", "/api/v1/service/%2e%2e/", "/api/v1/service/1%2f..%2f/",
    "/api/v1/service/1?x=y", "/api/v1/service/1/#x", "/api/v1/service/1/\r\nHost: elsewhere.example",
    "/api/v1/service/1\n", "/api/v1/service/1/\n", "/api/v1/service/1\x00", "/api/v1/service/1/start/",
    "/api/v1/service//", "/api/v1//1/", "/api/v1/service", "/api/v1/service/", "/api/v2/service/1/",
    "/api/v1/Service/1/", "/api/v1/service/é/", "/api/v1/service/\uff11/", "/api/other/v1/service/1/",
    "/API/v1/service/1/", "/api/v1/service/" + "1" * 65 + "/", "/api/v1/service/1//",
    "/api/v1/service/1;x/", "/api/v1/service/1@elsewhere.example/", "/api\\v1\\service\\1/",
    "/api/v1/service/$(id)/", "/api/v1/service/*/", "/api/v1/service/1 /",
)  # fmt: skip


class ClientTestCase(SynchronousTestCase):
    """Words for one client."""

    def client(self, web: ScriptedWeb, base: str = BASE) -> ResourceClient:
        """Make a client of one host."""
        return ResourceClient(web, base, HEADERS)

    def get(self, given_answer: Response | NoResponse, uri: str = URI) -> Answer:
        """Ask for a resource."""
        client = self.client(ScriptedWeb(given_answer))
        return self.successResultOf(Deferred.fromCoroutine(client.get_resource(uri, 10.0)))


class GuardTests(ClientTestCase):
    """Only what is a resource_uri is asked for, and only from the configured host."""

    def test_what_is_sent(self) -> None:
        for base in (BASE, BASE + "/"):
            for uri in (URI, URI.rstrip("/")):
                web = ScriptedWeb(answer(200, "{}"))
                fetched = Deferred.fromCoroutine(self.client(web, base).fetch(uri, 3.0))
                self.assertEqual(self.successResultOf(fetched), answer(200, "{}"))
                (request,) = web.requests
                self.assertEqual((request.method, request.body), ("GET", None))
                self.assertEqual(request.url.reveal(), BASE + URI)
                self.assertEqual(
                    request.headers,
                    {"Accept": "application/json", "Authorization": "Basic dXNlcjprZXk="},
                )
                self.assertEqual(web.deadlines, [3.0])

    def test_the_paths_of_docker_cloud_are_asked_for_too(self) -> None:
        for part in ("app/", "infra/", "audit/"):
            web = ScriptedWeb(answer(200, "{}"))
            client = self.client(web)
            uri = f"/api/{part}v1/node/{UUID}/"
            self.successResultOf(Deferred.fromCoroutine(client.get_resource(uri, 3.0)))
            self.assertEqual(web.requests[0].url.reveal(), BASE + uri)

    def test_nothing_is_sent_for_anything_else(self) -> None:
        """A message names what is asked for: it must not choose the host, or the path at large."""
        for uri in NO_RESOURCE_URIS:
            web = ScriptedWeb(answer(200, "{}"))
            client = self.client(web)
            got = self.successResultOf(Deferred.fromCoroutine(client.get_resource(uri, 3.0)))
            assert isinstance(got, Unanswered), uri
            self.assertTrue(got.reason.endswith("is no resource_uri; nothing was sent"), got)
            self.assertEqual(web.requests, [], uri)
            fetched = Deferred.fromCoroutine(client.fetch(uri, 3.0))
            self.assertIn("nothing was sent", str(self.failureResultOf(fetched, ValueError).value))
            self.assertEqual(web.requests, [], uri)

    @given(st.text() | st.text().map(lambda text: f"/api/v1/service/{text}"))
    def test_whatever_it_is_the_host_is_ours(self, uri: str) -> None:
        web = ScriptedWeb(answer(200, "{}"))
        client = self.client(web)
        self.successResultOf(Deferred.fromCoroutine(client.get_resource(uri, 3.0)))
        for request in web.requests:
            self.assertRegex(
                request.url.reveal(), r"\Ahttps://rest\.example/api/v1/service/[0-9A-Za-z_-]+/\Z"
            )

    def test_a_long_one_is_not_repeated_whole(self) -> None:
        got = self.get(answer(200), "/" + "x" * 10_000)
        assert isinstance(got, Unanswered)
        self.assertLess(len(got.reason), 200)

    def test_the_credentials_are_in_no_repr(self) -> None:
        self.assertNotIn("dXNlcjprZXk", repr(self.client(ScriptedWeb(None))))


class AnswerTests(ClientTestCase):
    """Every answer is one of: the object, none there, nobody knows and why."""

    def test_an_object(self) -> None:
        found = self.get(answer(200, json.dumps({"name": "web", "state": "Running"})))
        self.assertEqual(found, Found({"name": "web", "state": "Running"}))

    def test_what_is_not_read_goes_no_further(self) -> None:
        """What we look up is written down, and the environment of a container holds passwords."""
        variables = [{"key": "DB_PASSWORD", "value": "pa55w0rd"}]
        body = {"name": "web", "labels": {"team": "a"}, "container_envvars": variables}
        found = self.get(answer(200, json.dumps({**body, "link_variables": {"X": "pa55w0rd"}})))
        self.assertEqual(found, Found({"name": "web", "labels": {"team": "a"}}))

    def test_there_is_none(self) -> None:
        for status in (404, 410):
            self.assertEqual(self.get(answer(status, "whatever")), Missing())

    def test_any_other_status_is_no_answer(self) -> None:
        for status in (201, 204, 301, 302, 400, 401, 403, 429, 500, 503):
            expected = Unanswered(f"the REST API answered {status}")
            self.assertEqual(self.get(answer(status, "{}")), expected)

    def test_no_answer_is_told_in_its_words(self) -> None:
        self.assertEqual(
            self.get(NoResponse(timed_out=True, sentence="no answer within 10 s")),
            Unanswered("no answer within 10 s"),
        )

    def test_what_is_no_json_object(self) -> None:
        deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
        for body in (b"", b"<html>", b"[]", b'"x"', b"null", b"{", b'{"a":\xff}', b"\xff", deep):
            got = self.get(answer(200, body))
            expected = Unanswered("the REST API answered something that is no JSON object")
            self.assertEqual(got, expected, body[:20])


class ListPageTests(ClientTestCase):
    """One page of a list: what is asked for, and every kind of answer."""

    def list_page(
        self, given_answer: Response | NoResponse, web: ScriptedWeb | None = None
    ) -> Page | Unanswered:
        """Ask for the second page of the services of a stack."""
        client = self.client(web or ScriptedWeb(given_answer))
        filters = {"stack__name": "a&b c", "name": "é"}
        page = client.list_page("service", filters, 25, 50, 10.0)
        return self.successResultOf(Deferred.fromCoroutine(page))

    def test_what_is_sent(self) -> None:
        """To our host alone, with its credentials; nothing in a filter is a parameter of its own."""
        web = ScriptedWeb(answer(200, page_of()))
        self.list_page(answer(200), web)
        (request,) = web.requests
        self.assertEqual(request.method, "GET")
        self.assertEqual(
            request.url.reveal(),
            f"{BASE}/api/v1/service/?stack__name=a%26b+c&name=%C3%A9&limit=50&offset=25",
        )
        self.assertEqual(
            request.headers, {"Accept": "application/json", "Authorization": "Basic dXNlcjprZXk="}
        )
        self.assertEqual(web.deadlines, [10.0])

    def test_a_page(self) -> None:
        uri = f"/api/v1/service/{UUID}/"
        objects = [
            {"name": "web", "resource_uri": uri, "stack": "/api/v1/stack/k1/"},
            {"name": "db"},
        ]
        sent = [{**listed, "container_envvars": ["pa55w0rd"]} for listed in objects]
        got = self.list_page(answer(200, page_of(*sent)))
        self.assertEqual(got, Page(objects, 27))

    def test_an_empty_page(self) -> None:
        self.assertEqual(self.list_page(answer(200, page_of())), Page([], 25))

    def test_the_next_page_that_a_server_names_is_not_followed(self) -> None:
        """It could name another host, and our credentials would go there."""
        body = json.loads(page_of({"name": "web"}))
        for named in ("https://elsewhere.example/api/v1/service/", "//elsewhere.example/", None, 7):
            body["meta"]["next"] = named
            web = ScriptedWeb(answer(200, json.dumps(body)))
            self.assertIsInstance(self.list_page(answer(200), web), Page)
            self.assertEqual(len(web.requests), 1)

    def test_any_other_status_is_no_answer(self) -> None:
        """404 too: that there is no list says nothing of what there is."""
        for status in (201, 204, 301, 302, 400, 401, 403, 404, 410, 429, 500, 503):
            expected = Unanswered(f"the REST API answered {status} to a list of service")
            self.assertEqual(self.list_page(answer(status, page_of())), expected)

    def test_no_answer_is_told_in_its_words(self) -> None:
        got = self.list_page(NoResponse(timed_out=True, sentence="no answer within 10 s"))
        self.assertEqual(got, Unanswered("no answer within 10 s"))

    def test_what_is_no_list(self) -> None:
        deep = b'{"meta":{"total_count":1},"objects":[' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000
        for body in (
            b"", b"<html>", b"[]", b"null", b"{}", b'{"objects": []}', b'{"meta": {}, "objects": []}',
            b'{"meta": {"total_count": "1"}, "objects": []}', b'{"meta": {"total_count": 1}}',
            b'{"meta": {"total_count": 1}, "objects": {}}', b'{"meta": {"total_count": 1}, "objects": [1]}',
            b'{"meta": {"total_count": null}, "objects": []}', b'{"a":\xff}', b"\xff", deep + b"]}",
        ):  # fmt: skip
            expected = Unanswered("the REST API answered something that is no list of service")
            self.assertEqual(self.list_page(answer(200, body)), expected, body[:60])

    def test_objects_are_in_no_repr(self) -> None:
        """They hold environment variables, which hold passwords."""
        self.assertEqual(repr(Page([{"container_envvars": "s3cr3t"}], 1)), "Page(total_count=1)")


def page_of(*objects: object) -> str:
    """Give the body of the second page of a list, of which 25 objects are on the first."""
    meta = {
        "limit": 50,
        "offset": 25,
        "next": None,
        "previous": "/api/v1/service/?limit=50&offset=0",
        "total_count": 25 + len(objects),
    }
    return json.dumps({"meta": meta, "objects": objects})
