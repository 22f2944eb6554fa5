"""Tests of Acme Chat, against a room on this machine: ``trial acme_chat_tests.py``."""

from __future__ import annotations

import json
import time
from typing import Any, BinaryIO, cast

from acme_chat import AcmeChat
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from tutumwatch.http import Web
from tutumwatch.notifiers.outcomes import Delivered, GiveUp, Park, RetryLater
from tutumwatch.notifiers.service import NotifierService
from tutumwatch.rules.notice import Form, Notice
from tutumwatch.secret import Secret


class Room(Resource):
    """A room that keeps what it is told."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []
        self.status = 200

    def render_POST(self, request: Request) -> bytes:
        """Take a message."""
        self.messages.append(json.load(cast("BinaryIO", request.content))["message"])
        request.setResponseCode(self.status)
        return b""


class AcmeChatTests(TestCase):
    """What a room is told, and what becomes of a notice that it refuses."""

    def setUp(self) -> None:
        self.room = Room()
        site = cast("Any", Site(self.room))
        port = cast("Any", reactor.listenTCP(0, site, interface="127.0.0.1"))
        self.addCleanup(port.stopListening)
        web = Web.over_sockets(reactor, time.time)
        self.addCleanup(lambda: Deferred.fromCoroutine(web.close()))
        url = Secret(f"http://127.0.0.1:{port.getHost().port}/rooms/s3cr3t")
        self.service = NotifierService("room", AcmeChat(url), web)

    def notice(self, text: str) -> Notice:
        """Make a notice."""
        return Notice(f"id of {text}", Form.MESSAGE, "rule", "room", "web", text, time.time())

    async def test_a_batch_is_one_message(self) -> None:
        outcomes = await self.service.deliver([self.notice("one"), self.notice("two")])
        self.assertEqual(outcomes, [Delivered(), Delivered()])
        self.assertEqual(self.room.messages, ["one\ntwo"])

    async def test_what_a_status_leads_to(self) -> None:
        for status, kind in ((429, RetryLater), (503, RetryLater), (403, Park), (400, GiveUp)):
            self.room.status = status
            (outcome,) = await self.service.deliver([self.notice("one")])
            self.assertIsInstance(outcome, kind)
