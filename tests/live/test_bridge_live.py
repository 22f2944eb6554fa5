"""The bridge from outside: raw bytes over loopback, no client of ours."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from twisted.application.service import MultiService
from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError, ProcessDone, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.logger import formatEvent
from twisted.python.failure import Failure
from twisted.python.usage import UsageError
from twisted.trial.unittest import TestCase

from tests.bridge.cases import STATES
from tests.bridge.fields import wrong_fields
from tests.bridge.wire import ACCEPT, BASIC, CLOSE, PING, PONG, TEXT, Answer, Wire
from tests.fakes.tls import make_tls
from tests.fakes.waiting import Conditions
from tests.secrets_check import SecretsCheckedTestCase
from tutumwatch.bridge.credentials import Account
from tutumwatch.bridge.demo.cloud import DemoCloud
from tutumwatch.bridge.hub import CLIENTS_MAX_COUNT
from tutumwatch.bridge.listener import Listener
from tutumwatch.bridge.settings import DemoSettings
from tutumwatch.bridge.tap import BridgeOptions, Options, make_bridge, makeService
from tutumwatch.secret import Secret

ROOT = str(Path(__file__).resolve().parents[2])
DOCUMENT = Path(ROOT, "docs", "bridge.md").read_text("utf-8")
TYPES = tuple(STATES)
KEY = "p+q/r+s3cret=="
HEADER = f"Authorization: ApiKey ops:{KEY}"
BASE64 = base64.b64encode(f"ops:{KEY}".encode()).decode()
AUTH = {"type": "auth", "action": "", "state": "", "resource_uri": "", "parents": []}
REFUSED = {**AUTH, "type": "error", "data": {"errorMessage": "UNAUTHORIZED"}}
FIVE = {"type", "action", "state", "resource_uri", "parents"}


class BridgeTestCase(SecretsCheckedTestCase, TestCase):
    """Starts bridges in this process, on a port of their own, that stand still."""

    bridge: MultiService
    port = 0

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits a coroutine here
        """Start one with credentials."""
        self.record(KEY, BASE64)
        self.start(Account("ops", Secret(KEY)))

    def start(
        self, account: Account, rate: float = 0.0, listen: str = "tcp:0:interface=127.0.0.1"
    ) -> int:
        """Start a bridge, for the length of a test; give its port."""
        bridge = make_bridge(
            DemoSettings(1, rate), serverFromString(reactor, listen), account, reactor, time.time
        )
        bridge.startService()
        self.addCleanup(bridge.stopService)
        self.bridge = bridge
        listener = cast("Listener", bridge.getServiceNamed("listener"))
        assert listener.port is not None
        self.port = cast("IPv4Address", listener.port.getHost()).port
        return self.port

    @property
    def cloud(self) -> DemoCloud:
        """The simulated cloud of the bridge that was started last."""
        return cast("DemoCloud", self.bridge.getServiceNamed("cloud"))

    def said(self, namespace: str) -> list[str]:
        """Give the lines that one module logged."""
        return [
            formatEvent(event)
            for event in self.log.events
            if event.get("log_namespace", "").startswith(namespace)
        ]

    async def wire(self) -> Wire:
        """Connect to the bridge, for the length of a test."""
        wire = await Wire.connect(self.port)
        self.addCleanup(lambda: Deferred.fromCoroutine(wire.close()))
        return wire

    async def listen(self, path: str = "/v1/events", header: str = HEADER) -> Wire:
        """Listen to the stream, as somebody who was accepted."""
        wire = await self.wire()
        status, _ = await wire.upgrade(path, header)
        self.assertEqual(status, 101)
        self.assertEqual((await wire.frame()).json(), AUTH)
        return wire

    async def get(self, path: str) -> Answer:
        """GET one thing, with the right credentials."""
        wire = await self.wire()
        answer = await wire.ask(f"GET {path}", HEADER)
        await wire.close()
        return answer

    async def listed(self, path: str) -> list[dict[str, Any]]:
        """GET the objects of a list."""
        answer = await self.get(path)
        self.assertEqual(answer.status, 200, answer.body)
        return cast("list[dict[str, Any]]", answer.json()["objects"])


class StreamTests(BridgeTestCase):
    """The stream, byte by byte."""

    async def test_both_paths_without_a_redirect(self) -> None:
        for path in ("/v1/events", "/v1/events/", "/api/audit/v1/events", "/api/audit/v1/events/"):
            wire = await self.wire()
            status, headers = await wire.upgrade(path, HEADER)
            self.assertEqual((status, headers["sec-websocket-accept"]), (101, ACCEPT), path)
            self.assertNotIn("sec-websocket-protocol", headers)
            self.assertNotIn("sec-websocket-extensions", headers)
            frame = await wire.frame()
            self.assertEqual((frame.opcode, frame.is_last, frame.json()), (TEXT, True, AUTH))

    async def test_credentials_in_four_forms(self) -> None:
        self.assertIn("+", BASE64 + KEY)
        for query, header in (
            ("", f"Authorization: Basic {BASE64}"),
            ("", HEADER),
            (f"?token={quote(KEY, safe='')}&user=ops", ""),
            (f"?user=ops&token={KEY}", ""),
            (f"?auth=Basic%20{BASE64}", ""),
            (f"?auth=ApiKey%20ops:{KEY}", ""),
            (f"?auth={quote(f'Basic {BASE64}', safe='')}", ""),
        ):
            for path in ("/v1/events", "/v1/events/", "/api/audit/v1/events"):
                wire = await self.wire()
                status, _ = await wire.upgrade(path + query, *filter(None, [header]))
                self.assertEqual(status, 101, (query, header))
                self.assertEqual((await wire.frame()).json(), AUTH, (query, header))
                await wire.close()

    async def test_bad_credentials_are_told_in_a_message_and_then_closed(self) -> None:
        """On a plain 401 the official SDK dials again thousands of times a minute."""
        for query, header in (
            ("", "X-None: given"),
            ("", BASIC),
            ("", "Authorization: ApiKey ops:wrong"),
            ("", "Authorization: Basic \xff"),
            ("?token=wrong&user=ops", "X-None: given"),
        ):
            wire = await self.wire()
            status, _ = await wire.upgrade(f"/v1/events{query}", header)
            self.assertEqual(status, 101)
            told = await wire.frame()
            self.assertEqual((told.opcode, told.json()), (TEXT, REFUSED))
            self.cloud.play_round()
            end = await wire.frame()
            self.assertEqual(end.opcode, CLOSE)
            self.assertEqual(end.payload, (3401).to_bytes(2, "big") + b"UNAUTHORIZED")
            wire.send_frame(CLOSE, end.payload)
            await wire.ended()

    async def test_docker_clouds_stream_refuses_with_401(self) -> None:
        wire = await self.wire()
        answer = await wire.ask("GET /api/audit/v1/events", BASIC)
        self.assertEqual((answer.status, answer.json()), (401, {"error": "UNAUTHORIZED"}))

    async def test_any_origin_is_ignored(self) -> None:
        for origin in ("http://elsewhere.test", "null", "no url", "http://a, http://b", "file://x"):
            await self.listen(header=f"{HEADER}\r\nOrigin: {origin}")

    async def test_a_subprotocol_is_not_demanded_and_not_chosen(self) -> None:
        wire = await self.wire()
        status, headers = await wire.upgrade(
            "/v1/events", HEADER, "Sec-WebSocket-Protocol: tutum, other"
        )
        self.assertEqual((status, headers.get("sec-websocket-protocol")), (101, None))

    async def test_deflate_may_be_offered(self) -> None:
        wire = await self.listen(header=f"{HEADER}\r\nSec-WebSocket-Extensions: permessage-deflate")
        self.cloud.play_round()
        self.assertEqual((await wire.frame()).json()["type"], "service")

    async def test_pings_are_answered_with_their_payload(self) -> None:
        wire = await self.listen()
        for payload in (b"", b"x", b"\xff" * 125):
            wire.send_frame(PING, payload)
            frame = await wire.frame()
            self.assertEqual((frame.opcode, frame.payload, frame.is_last), (PONG, payload, True))

    async def test_messages_of_a_client_are_ignored(self) -> None:
        wire = await self.listen()
        wire.send_frame(TEXT, b"{}")
        wire.send_frame(PONG, b"unasked")
        wire.send_frame(PING, b"still there")
        self.assertEqual((await wire.frame()).payload, b"still there")

    async def test_a_close_is_answered_and_events_go_on_for_others(self) -> None:
        wire, other = await self.listen(), await self.listen()
        wire.send_frame(CLOSE, (1000).to_bytes(2, "big"))
        frame = await wire.frame()
        self.assertEqual((frame.opcode, frame.payload[:2]), (CLOSE, (1000).to_bytes(2, "big")))
        self.cloud.play_round()
        await wire.ended()
        self.assertEqual(wire.received, b"")
        self.assertEqual((await other.frame()).json()["state"], "Redeploying")

    async def test_a_client_may_come_back_at_once(self) -> None:
        for _ in range(20):
            await (await self.listen()).close()

    async def test_events_are_unfragmented_text_with_all_five_fields(self) -> None:
        wire = await self.listen()
        self.cloud.play_round()
        seen: set[str] = set()
        last: dict[str, Any] = {}
        while last.get("type") != "action" or last["state"] != "Success":
            frame = await wire.frame()
            self.assertEqual((frame.opcode, frame.is_last), (TEXT, True))
            last = frame.json()
            self.assertLessEqual(FIVE, last.keys())
            self.assertIsInstance(last["parents"], list)
            self.assertRegex(last["date"], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00\Z")
            self.assertEqual(wrong_fields(last["type"], last["object"]), [])
            self.assertEqual(last["object"]["state"], last["state"])
            seen.add(last["type"])
        self.assertEqual(seen, {"service", "stack", "action", "container"})

    async def test_it_wants_an_upgrade_and_a_get(self) -> None:
        for path in ("/v1/events", "/v1/events/"):
            answer = await self.get(f"{path}?redirect=http%3A%2F%2Fevil.test")
            self.assertEqual((answer.status, answer.headers["upgrade"]), (426, "websocket"))
            wire = await self.wire()
            answer = await wire.ask(f"POST {path}", HEADER, "Content-Length: 0")
            self.assertEqual(answer.status, 405)
        self.assertEqual((await self.get("/v1/events/more")).status, 404)

    async def test_the_client_after_the_200th_is_refused(self) -> None:
        wires = [await self.listen() for _ in range(CLIENTS_MAX_COUNT)]
        wire = await self.wire()
        await wire.upgrade("/v1/events", HEADER)
        frame = await wire.frame()
        self.assertEqual((frame.opcode, frame.payload[2:]), (CLOSE, b"too many clients"))
        wire.send_frame(CLOSE, frame.payload)
        await wire.ended()
        self.cloud.play_round()
        for one in wires:
            self.assertEqual((await one.frame()).json()["state"], "Redeploying")
        await wires[0].close()
        await self.listen()

    async def test_a_slow_client_is_dropped_and_others_do_not_wait(self) -> None:
        slow, quick = await self.listen(), await self.listen()
        slow.pause()
        numbers: list[int] = []
        while not self.said("tutumwatch.bridge.stream"):
            for _ in range(50):
                self.cloud.play_round()
            quick.send_frame(PING)
            while (frame := await quick.frame()).opcode != PONG:
                numbers.append(int(frame.json()["uuid"][-12:], 16))
        self.assertLess(len(numbers), 20_000)
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))
        (line,) = self.said("tutumwatch.bridge.stream")
        self.assertRegex(
            line, r"a stream client at tcp4:127\.0\.0\.1:\d+ does not keep up: dropped"
        )
        slow.resume()
        await slow.ended()
        self.assertFalse(quick.is_closed)

    async def test_a_client_that_catches_up_loses_nothing(self) -> None:
        """A pause fills what waits for a client; pongs keep their place among the events."""
        wire = await self.listen()
        wire.pause()
        for _ in range(200):
            self.cloud.play_round()
        wire.send_frame(PING, b"in between")
        await deferLater(reactor, 0)
        self.cloud.play_round()
        wire.resume()
        wire.send_frame(PING, b"end")
        numbers: list[int] = []
        pongs: list[bytes] = []
        while pongs[-1:] != [b"end"]:
            frame = await wire.frame()
            if frame.opcode == PONG:
                pongs.append(frame.payload)
            else:
                numbers.append(int(frame.json()["uuid"][-12:], 16))
        self.assertGreater(len(numbers), 2000)
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))
        self.assertEqual(pongs, [b"in between", b"end"])

    async def test_a_client_that_is_often_slow_for_a_while_is_kept(self) -> None:
        """What it caught up with does not count any more: 60 MB in all are far over the bound."""
        wire = await self.listen()
        for _ in range(10):
            wire.pause()
            for _ in range(200):
                self.cloud.play_round()
            wire.resume()
            wire.send_frame(PING, b"mark")
            await wire.when(lambda: wire.received.endswith(b"\x8a\x04mark"))
            wire.received = b""
        self.assertEqual(self.said("tutumwatch.bridge.stream"), [])

    async def test_stopping_tells_the_clients(self) -> None:
        wire = await self.listen()
        await self.bridge.stopService()
        frame = await wire.frame()
        self.assertEqual(frame.payload, (1001).to_bytes(2, "big") + b"the bridge stops")
        await wire.ended()

    async def test_stopping_waits_for_no_one(self) -> None:
        wire = await self.listen()
        wire.pause()
        for _ in range(400):
            self.cloud.play_round()
        closing = await self.listen()
        closing.send_frame(CLOSE)
        await closing.frame()
        await self.bridge.stopService()
        wire.resume()
        await wire.ended()

    async def test_over_tls(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        tls = make_tls(Path(folder.name))
        listen = (
            f"ssl:0:interface=127.0.0.1:privateKey={tls.good.key}:certKey={tls.good.certificate}"
        )
        port = self.start(Account("ops", Secret(KEY)), listen=listen)
        wire = await Wire.connect(port, tls)
        self.addCleanup(lambda: Deferred.fromCoroutine(wire.close()))
        self.assertEqual((await wire.ask("GET /api/v1/auth/", HEADER)).status, 200)
        self.assertEqual((await wire.upgrade("/v1/events", HEADER))[0], 101)
        self.assertEqual((await wire.frame()).json(), AUTH)
        for _ in range(100):
            self.cloud.play_round()
        wire.send_frame(PING, b"end")
        while (frame := await wire.frame()).opcode != PONG:
            self.assertLessEqual(FIVE, frame.json().keys())
        wire.send_frame(CLOSE)
        self.assertEqual((await wire.frame()).opcode, CLOSE)
        await wire.ended()


class RestTests(BridgeTestCase):
    """The REST API, as the published clients of the time ask."""

    async def test_every_list_and_object_with_the_types_that_clients_insist_on(self) -> None:
        for type_ in TYPES:
            answer = await self.get(f"/api/v1/{type_}/?limit=0")
            self.assertEqual(
                (answer.status, answer.headers["content-type"]), (200, "application/json")
            )
            page = answer.json()
            self.assertEqual(page.keys(), {"meta", "objects"})
            self.assertEqual(page["meta"]["total_count"], len(page["objects"]))
            self.assertGreater(len(page["objects"]), 0)
            for object_ in page["objects"]:
                self.assertEqual(wrong_fields(type_, object_), [])
                self.assertIn(object_["state"], STATES[type_].split(", "))
                self.assertNotRegex(json.dumps(object_), r"\d{4}-\d\d-\d\dT")
            one = page["objects"][0]
            for uri in (one["resource_uri"], one["resource_uri"].rstrip("/")):
                self.assertEqual((await self.get(uri)).json(), one)
            self.assertEqual(await self.listed(f"/api/v1/{type_}?limit=1000"), page["objects"])

    async def test_containers_are_on_nodes_of_the_list(self) -> None:
        """The official CLI looks each container's node up there."""
        self.cloud.play_round()
        nodes = {node["resource_uri"] for node in await self.listed("/api/v1/node/")}
        for container in await self.listed("/api/v1/container/?limit=0"):
            self.assertIn(container["node"], nodes)

    async def test_the_history_is_there(self) -> None:
        counts = {
            type_: (await self.get(f"/api/v1/{type_}/")).json()["meta"]["total_count"]
            for type_ in TYPES
        }
        self.assertEqual(counts["action"], 25)
        self.assertEqual((counts["stack"], counts["service"]), (3, 9))
        self.assertEqual((counts["nodecluster"], counts["node"]), (1, 3))
        states = [o["state"] for o in await self.listed("/api/v1/container/?limit=0")]
        self.assertIn("Running", states)
        self.assertIn("Stopped", states)

    async def test_auth(self) -> None:
        for path in ("/api/v1/auth/", "/api/v1/auth"):
            answer = await self.get(path)
            self.assertEqual((answer.status, answer.json()), (200, {"user": "ops"}))
            answer = await (await self.wire()).ask(f"GET {path}", BASIC)
            self.assertEqual((answer.status, answer.json()), (401, {"error": "UNAUTHORIZED"}))

    async def test_credentials_in_four_forms_and_401_for_others(self) -> None:
        wire = await self.wire()
        for query, header, expected in (
            ("", f"Authorization: Basic {BASE64}", 200),
            ("", HEADER, 200),
            (f"?token={KEY}&user=ops", "X-None: given", 200),
            (f"?auth=Basic%20{BASE64}", "X-None: given", 200),
            ("", "X-None: given", 401),
            ("", BASIC, 401),
            ("", "Authorization: Basic \xff\xfe", 401),
            ("", "Authorization: Bearer x", 401),
        ):
            answer = await wire.ask(f"GET /api/v1/service/{query}", header)
            self.assertEqual(answer.status, expected, (query, header))
            self.assertNotIn(KEY, answer.body.decode())
        for path in ("/api/v1/stack/x/", "/api/app/v1/stack/", "/api/v1/service/?limit=x"):
            answer = await wire.ask(f"GET {path}", BASIC)
            self.assertEqual((answer.status, answer.json()), (401, {"error": "UNAUTHORIZED"}))

    async def test_any_credentials_where_none_are_set(self) -> None:
        self.start(Account())
        wire = await self.wire()
        self.assertEqual((await wire.ask("GET /api/v1/service/", BASIC)).status, 200)
        self.assertEqual((await wire.ask("GET /api/v1/service/")).status, 401)

    async def test_odd_requests_on_one_connection(self) -> None:
        """No Accept, a type for no body, a body with a GET; the connection goes on."""
        wire = await self.wire()
        for _ in range(3):
            answer = await wire.ask(
                "GET /api/v1/service/",
                HEADER,
                "Content-Type: application/json",
                "Content-Length: 2",
                body=b"{}",
            )
            self.assertEqual((answer.status, len(answer.json()["objects"])), (200, 9))
            answer = await wire.ask(
                "GET /api/v1/service/", HEADER, "Content-Type: application/json"
            )
            self.assertEqual(answer.status, 200)
        answer = await wire.ask(
            "GET /api/v1/stack/", HEADER, "Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\r\n\r\n"
        )
        self.assertEqual((answer.status, len(answer.json()["objects"])), (200, 3))
        big = await wire.ask(
            "GET /api/v1/stack/", HEADER, "Content-Length: 3000000", body=b"x" * 3_000_000
        )
        self.assertEqual(big.status, 200)
        head = await wire.ask("HEAD /api/v1/stack/", HEADER)
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertGreater(int(head.headers["content-length"]), 1000)
        self.assertEqual((await wire.ask("GET /api/v1/stack/", HEADER)).status, 200)

    async def test_of_doubled_parameters_the_last_counts(self) -> None:
        path = "/api/v1/service/?name=web&name=db&limit=5&limit=7"
        page = (await self.get(path)).json()
        self.assertEqual(page["meta"]["limit"], 7)
        self.assertEqual([o["name"] for o in page["objects"]], ["db"])

    async def test_writes_are_refused(self) -> None:
        wire = await self.wire()
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"):
            for path in (
                "/api/v1/service/",
                "/api/v1/service/x/start/",
                "/api/v1/auth/",
                "/api/v1/",
                "/v1/events",
                "/api/app/v1/stack/",
                "/",
            ):
                answer = await wire.ask(
                    f"{method} {path}",
                    HEADER,
                    "Content-Type: application/json",
                    "Content-Length: 2",
                    body=b"{}",
                )
                self.assertEqual(
                    (answer.status, answer.json(), answer.headers["allow"]),
                    (405, {"error": "this server is read-only"}, "GET, HEAD"),
                    (method, path),
                )

    async def test_what_there_is_not(self) -> None:
        wire = await self.wire()
        unknown = "00000000-0000-4000-8000-000000000000"
        (stack, *_) = await self.listed("/api/v1/stack/")
        for path in (
            "/",
            "/x",
            "/api",
            "/api/",
            "/api/v1/",
            "/api/v2/service/",
            "/api/v1/image/",
            "/v1",
            "/v1/x",
            f"/api/v1/service/{unknown}/",
            f"/api/v1/service/{stack['uuid']}/",
            f"{stack['resource_uri']}start/",
            "/api/app/v1/auth/",
            "/api/infra/v1/stack/",
            "/api/app/",
            "/api/v1/%ff/",
            "/api/v1/service/%c3%28/",
            "/api/app/v1/service/x/y/z",
        ):
            answer = await wire.ask(f"GET {path}", HEADER)
            self.assertEqual((answer.status, list(answer.json())), (404, ["error"]), path)
            self.assertEqual(answer.headers["content-type"], "application/json")

    async def test_bad_queries_are_400_and_say_why(self) -> None:
        for query, expected in (
            ("limit=x", "limit must be a whole number, not 'x'"),
            ("offset=-1", "offset must be a whole number, not '-1'"),
            ("nmae=web", "'nmae' is no filter of service"),
        ):
            answer = await self.get(f"/api/v1/service/?{query}")
            self.assertEqual((answer.status, answer.json()), (400, {"error": expected}))
        answer = await self.get("/api/v1/action/?start_date__gte=soon")
        self.assertEqual(answer.json(), {"error": "start_date__gte: 'soon' is no date"})

    async def test_pages(self) -> None:
        path = "/api/v1/action/?state=Success&limit=10"
        seen: list[str] = []
        while path:
            page = (await self.get(path)).json()
            self.assertEqual((page["meta"]["limit"], page["meta"]["offset"]), (10, len(seen)))
            self.assertEqual(page["meta"]["total_count"], 25)
            seen += [o["uuid"] for o in page["objects"]]
            self.assertEqual(page["meta"]["previous"] is None, len(seen) <= 10)
            path = page["meta"]["next"]
            if path is not None:
                self.assertEqual(path, f"/api/v1/action/?state=Success&limit=10&offset={len(seen)}")
        self.assertEqual(len(set(seen)), 25)
        page = (await self.get("/api/app/v1/service/?limit=2&name=web")).json()
        self.assertIsNone(page["meta"]["next"])
        page = (await self.get(f"/api/app/v1/service?limit=2&token={quote(KEY)}&user=ops")).json()
        self.assertEqual(page["meta"]["next"], "/api/app/v1/service/?limit=2&offset=2")

    async def test_filters_with_encoded_values_are_kept(self) -> None:
        (cluster,) = await self.listed("/api/v1/nodecluster/")
        query = f"node_cluster={quote(cluster['resource_uri'], safe='')}&limit=1"
        page = (await self.get(f"/api/v1/node/?{query}")).json()
        self.assertEqual(page["meta"]["total_count"], 3)
        self.assertEqual(page["meta"]["next"], f"/api/v1/node/?{query}&offset=1")

    async def test_filters_of_every_type(self) -> None:
        (web,) = await self.listed("/api/v1/service/?name=web")
        (shop,) = await self.listed("/api/v1/stack/?name=shop")
        (node, *_) = await self.listed("/api/v1/node/")
        (cluster,) = await self.listed("/api/v1/nodecluster/")
        (container, *_) = await self.listed(
            f"/api/v1/container/?service={quote(web['resource_uri'])}"
        )
        (action, *_) = await self.listed("/api/v1/action/")
        for type_, one in (
            ("stack", shop),
            ("service", web),
            ("container", container),
            ("nodecluster", cluster),
            ("node", node),
            ("action", action),
        ):
            for query in (f"uuid={one['uuid']}", f"uuid__startswith={one['uuid'][:13]}"):
                self.assertEqual(await self.listed(f"/api/v1/{type_}/?{query}"), [one])
            state = quote(one["state"])
            self.assertIn(one, await self.listed(f"/api/v1/{type_}/?limit=0&state={state}"))
            for query in ("state=running", "uuid=x", "uuid__startswith=x"):
                self.assertEqual(await self.listed(f"/api/v1/{type_}/?{query}"), [])
        for path, count in (
            (f"service/?stack={shop['resource_uri']}", 4),
            ("service/?stack__name=shop", 4),
            ("service/?stack__name=Shop", 0),
            (f"container/?service={web['resource_uri']}&state=Running", 3),
            ("container/?service__stack__name=shop&state=Running", 7),
            (f"container/?node={node['resource_uri']}&state=Terminated&name=none", 0),
            ("nodecluster/?name=demo&region=&node_type=", 1),
            ("nodecluster/?region=elsewhere", 0),
            (f"node/?node_cluster={cluster['resource_uri']}", 3),
            ("node/?docker_version=28.2.2&region=&node_type=", 3),
            ("node/?docker_version=28", 0),
            (f"action/?object={web['resource_uri']}", 3),
            (f"action/?object={container['resource_uri']}", 0),
            (f"action/?object={container['resource_uri']}&include_related=true", 3),
            (f"action/?object={shop['resource_uri']}&include_related=true", 12),
            ("action/?start_date__gte=2000-01-01T00:00:00Z&end_date__lte=2999-01-01", 25),
            ("action/?start_date__lte=2000-01-01", 0),
            (f"action/?start_date__gte={quote(action['start_date'])}", 25),
            (f"action/?start_date__lte={quote(action['start_date'])}", 1),
            (f"action/?end_date__lte={quote(action['end_date'])}", 1),
        ):
            answer = await self.get(f"/api/v1/{path}")
            self.assertEqual(answer.status, 200, path)
            self.assertEqual(answer.json()["meta"]["total_count"], count, path)

    async def test_docker_clouds_paths(self) -> None:
        for part, types in (
            ("app", ("stack", "service", "container")),
            ("infra", ("node", "nodecluster")),
            ("audit", ("action",)),
        ):
            for type_ in types:
                there = await self.listed(f"/api/{part}/v1/{type_}/")
                self.assertEqual(there, await self.listed(f"/api/v1/{type_}/"))
                one = (await self.get(f"/api/{part}/v1/{type_}/{there[0]['uuid']}/")).json()
                self.assertEqual(one, there[0])
        (shop,) = await self.listed("/api/app/v1/stack/?name=shop")
        cloud_uri = shop["resource_uri"].replace("/api/v1/", "/api/app/v1/")
        self.assertEqual(len(await self.listed(f"/api/app/v1/service/?stack={cloud_uri}")), 4)


class BridgeDocumentTests(BridgeTestCase):
    """The examples of docs/bridge.md."""

    async def test_the_curl_examples(self) -> None:
        self.start(Account())
        wire = await self.wire()
        found = re.findall(r"^curl (.*)'http://127\.0\.0\.1:8080(/[^']*)'$", DOCUMENT, re.MULTILINE)
        self.assertGreater(len(found), 5)
        for options, path in found:
            header = BASIC if "-u" in options else options.removeprefix("-H '").rstrip("' ")
            answer = await wire.ask(f"GET {path}", header or "X-None: given")
            self.assertEqual(answer.status, 200, path)
            if not path.endswith("/auth/"):
                self.assertGreater(len(answer.json()["objects"]), 0, path)


class AnswersAtOnceTests(BridgeTestCase):
    """When an event is received, a GET of it and of every parent answers, with its state."""

    async def test_with_the_state_of_the_event(self) -> None:
        self.start(Account("ops", Secret(KEY)), rate=80)
        stream, rest = await self.listen(), await self.wire()
        for _ in range(60):
            event = (await stream.frame()).json()
            answer = await rest.ask(f"GET {event['resource_uri']}", HEADER)
            self.assertEqual(answer.status, 200, event)
            for parent in event["parents"]:
                self.assertEqual((await rest.ask(f"GET {parent}", HEADER)).status, 200, parent)
            # Its state, or a later one: that of an event that was on its way with the answer.
            states = [event["state"]]
            while answer.json()["state"] not in states and len(states) < 50:
                later = (await stream.frame()).json()
                if later["resource_uri"] == event["resource_uri"]:
                    states.append(later["state"])
            self.assertIn(answer.json()["state"], states)


class TapTests(BridgeTestCase):
    """Options, the line at the start, the signal."""

    def options(self, *words: str) -> BridgeOptions:
        """Read a command line."""
        options = Options()
        options.parseOptions(words)
        return options

    def test_defaults(self) -> None:
        options = self.options("--demo")
        self.assertEqual(
            (options["listen"], options["seed"], options["rate"]),
            ("tcp:8080:interface=127.0.0.1", 1, 2.0),
        )

    def test_mistakes(self) -> None:
        for words, expected in (
            ((), "say what to show: --demo"),
            (("--demo", "--rate", "-1"), "--rate must be from 0 to 10000, not -1.0"),
            (("--demo", "--rate", "10001"), "--rate must be from 0 to 10000, not 10001.0"),
            (("--demo", "--rate", "nan"), "--rate must be from 0 to 10000, not nan"),
            (("--demo", "--rate", "quick"), "could not convert string to float"),
            (("--demo", "--seed", "1.5"), "invalid literal for int"),
            (("--demo", "--listen", "nonsense"), "--listen 'nonsense' is no endpoint: "),
            (("--demo", "--listen", "tcp:http"), "--listen 'tcp:http' is no endpoint: "),
            (("--demo", "--listen", "tcp"), "--listen 'tcp' is no endpoint: "),
            (("--demo", "--listen", "tcp:8080"), "tcp:8080 can be reached from elsewhere: "),
        ):
            with self.assertRaises(UsageError) as caught:
                self.options(*words)
            self.assertIn(expected, str(caught.exception))

    def test_the_line_at_the_start(self) -> None:
        self.start(Account())
        self.start(Account("ops", Secret(KEY)), rate=1, listen=r"tcp6:0:interface=\:\:1")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        lines = self.said("tutumwatch.bridge.listener")
        self.assertRegex(
            lines[-2],
            r"serving a simulated cloud \(seed 1, standing still\) at http://127\.0\.0\.1:\d+; "
            r"any credentials\Z",
        )
        self.assertRegex(
            lines[-1],
            r"serving a simulated cloud \(seed 1, 1 event a second\) at http://\[::1\]:\d+; "
            r"credentials of ops\Z",
        )

    def test_a_unix_socket(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = f"{folder.name}/bridge.sock"
        bridge = make_bridge(
            DemoSettings(1, 0),
            serverFromString(reactor, f"unix:{path}"),
            Account(),
            reactor,
            time.time,
        )
        bridge.startService()
        self.addCleanup(bridge.stopService)
        self.assertIn(path, self.said("tutumwatch.bridge.listener")[-1])

    async def test_a_port_that_is_taken_ends_it(self) -> None:
        taken = serverFromString(reactor, f"tcp:{self.port}:interface=127.0.0.1")
        bridge = make_bridge(DemoSettings(1, 0), taken, Account(), reactor, time.time)
        with self.assertRaises(CannotListenError):
            bridge.startService()
        await bridge.stopService()

    async def test_requests_are_not_logged(self) -> None:
        before = len(self.said("twisted.python.log"))
        await self.get(f"/api/v1/service/?token={KEY}&user=ops")
        self.assertEqual(self.said("twisted.python.log")[before:], [])

    async def test_a_signal_plays_a_round(self) -> None:
        before = signal.getsignal(signal.SIGUSR1)
        self.addCleanup(signal.signal, signal.SIGUSR1, before)
        options = self.options("--demo", "--rate", "0", "--listen", "tcp:0:interface=127.0.0.1")
        self.bridge = cast("MultiService", makeService(options))
        self.bridge.startService()
        self.addCleanup(self.bridge.stopService)
        listener = cast("Listener", self.bridge.getServiceNamed("listener"))
        assert listener.port is not None
        self.port = cast("IPv4Address", listener.port.getHost()).port
        wire = await self.listen()
        os.kill(os.getpid(), signal.SIGUSR1)
        self.assertEqual((await wire.frame()).json()["state"], "Redeploying")


class Process(ProcessProtocol):
    """A ``twistd tutumbridge`` of its own, and what it says."""

    def __init__(self) -> None:
        self.said = ""
        self.status: int | None = None
        self.is_over = False
        self._conditions = Conditions(reactor, lambda: self.said)

    @classmethod
    def start(cls, *words: str, **variables: str) -> Process:
        """Start one; ``variables`` are set besides ours."""
        process = cls()
        environ = {k: v for k, v in os.environ.items() if not k.startswith("TUTUMBRIDGE_")}
        twistd = str(Path(sys.executable).with_name("twistd"))
        command = [twistd, "-n", "--pidfile=", "tutumbridge", *words]
        reactor.spawnProcess(process, command[0], command, {**environ, **variables}, path=ROOT)
        return process

    def outReceived(self, data: bytes) -> None:
        """Keep what it says."""
        self.said += data.decode()
        self._conditions.changed()

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        """Note how it ended."""
        self.status = cast("ProcessDone | ProcessTerminated", reason.value).exitCode
        self.is_over = True
        self._conditions.changed()

    async def port(self) -> int:
        """Wait until it listens, and give its port."""
        await self._conditions.when(lambda: "serving" in self.said, 20)
        found = re.search(r"http://127\.0\.0\.1:(\d+)", self.said)
        assert found is not None
        return int(found[1])

    async def end(self, name: str = "TERM") -> int | None:
        """End it by a signal; give its exit status."""
        if not self.is_over and self.transport is not None:
            self.transport.signalProcess(name)
        return await self.ended()

    async def ended(self) -> int | None:
        """Wait until it ended; give its exit status."""
        await self._conditions.when(lambda: self.is_over, 20)
        return self.status


class TwistdTests(TestCase):
    """The real command."""

    def run_bridge(self, *words: str, **variables: str) -> Process:
        """Start one, for the length of a test at most."""
        process = Process.start(*words, **variables)
        self.addCleanup(lambda: Deferred.fromCoroutine(process.end("KILL")))
        return process

    async def test_it_serves_tells_its_round_at_once_and_ends(self) -> None:
        process = self.run_bridge(
            "--demo",
            "--rate",
            "0",
            "--listen",
            "tcp:0:interface=127.0.0.1",
            TUTUMBRIDGE_USER="ops",
            TUTUMBRIDGE_APIKEY=KEY,
        )
        port = await process.port()
        wire = await Wire.connect(port)
        self.addCleanup(lambda: Deferred.fromCoroutine(wire.close()))
        answer = await wire.ask("GET /api/v1/service/", HEADER)
        self.assertEqual(len(answer.json()["objects"]), 9)
        self.assertEqual((await wire.ask("GET /api/v1/service/", BASIC)).status, 401)
        await wire.upgrade("/v1/events", HEADER)
        self.assertEqual((await wire.frame()).json(), AUTH)
        assert process.transport is not None
        process.transport.signalProcess(signal.SIGUSR1)
        states: list[str] = []
        while states[-1:] != ["action Success"]:
            event = (await wire.frame()).json()
            states.append(f"{event['type']} {event['state']}")
        self.assertEqual(states[0], "service Redeploying")
        await process.end()
        self.assertIn("Server Shut Down.", process.said)
        self.assertIn(
            "serving a simulated cloud (seed 1, standing still) at "
            f"http://127.0.0.1:{port}; credentials of ops",
            process.said,
        )
        for unwanted in (KEY, BASE64, "GET /", "Starting factory", "Traceback"):
            self.assertNotIn(unwanted, process.said)

    async def test_it_does_not_start_open_to_all(self) -> None:
        process = self.run_bridge("--demo", "--listen", "tcp:0")
        self.assertEqual(await process.ended(), 1)
        self.assertIn("can be reached from elsewhere: set TUTUMBRIDGE_USER", process.said)
        self.assertNotIn("Traceback", process.said)

    async def test_it_keeps_up_with_10000_events_a_second(self) -> None:
        """For 5 s; the bound is generous, the machine may have other work."""
        process = self.run_bridge(
            "--demo", "--rate", "10000", "--listen", "tcp:0:interface=127.0.0.1"
        )
        wire = await Wire.connect(await process.port())
        self.addCleanup(lambda: Deferred.fromCoroutine(wire.close()))
        await wire.upgrade("/v1/events", BASIC)
        await wire.frame()
        count, begin = 0, reactor.seconds()
        while reactor.seconds() < begin + 5:
            await wire.when(lambda: len(wire.received) > 0)
            count += wire.received.count(b'"object":{"')
            wire.received = b""
        self.assertGreater(count, 25_000)
        self.assertFalse(wire.is_closed)
