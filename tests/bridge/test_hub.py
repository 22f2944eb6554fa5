"""Tests of tutumwatch/bridge/hub.py."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from tests.bridge.cases import World, node
from tutumwatch.bridge.hub import CLIENTS_MAX_COUNT, Hub, frame_text


class RecordingClient:
    """Keeps what it is sent; leaves after the first frame if told so."""

    def __init__(self, hub: Hub, *, leaves: bool = False) -> None:
        self.hub = hub
        self.leaves = leaves
        self.frames: list[bytes] = []
        self.is_dismissed = False

    def take(self, frame: bytes) -> None:
        """Keep a frame."""
        self.frames.append(frame)
        if self.leaves:
            self.hub.leave(self)

    def dismiss(self) -> None:
        """Leave."""
        self.is_dismissed = True
        self.hub.leave(self)


class FrameTests(SynchronousTestCase):
    """RFC 6455, section 5.2: the length in one of three forms."""

    def test_lengths(self) -> None:
        for count, head in (
            (0, b"\x81\x00"),
            (125, b"\x81\x7d"),
            (126, b"\x81\x7e\x00\x7e"),
            (65_535, b"\x81\x7e\xff\xff"),
            (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
        ):
            self.assertEqual(frame_text(b"x" * count), head + b"x" * count)


class HubTests(SynchronousTestCase):
    """Every client is sent every event from when it joined until it left."""

    def test_all_get_all_even_if_one_leaves_meanwhile(self) -> None:
        hub = Hub()
        world = World()
        world.tell(node())
        hub.announce(world.last)
        clients = [RecordingClient(hub, leaves=number == 0) for number in range(3)]
        for client in clients:
            hub.join(client)
        hub.announce(world.last)
        self.assertEqual([len(client.frames) for client in clients], [1, 2, 2])
        first = json.loads(clients[1].frames[0][4:])
        self.assertEqual(
            list(first),
            ["type", "action", "state", "resource_uri", "parents", "uuid", "date", "object"],
        )
        self.assertEqual((first["type"], first["state"]), ("node", "Deployed"))

    def test_its_bound(self) -> None:
        hub = Hub()
        clients = [RecordingClient(hub) for _ in range(CLIENTS_MAX_COUNT)]
        for client in clients:
            self.assertFalse(hub.is_full)
            hub.join(client)
        self.assertTrue(hub.is_full)
        hub.leave(clients[0])
        hub.leave(clients[0])
        self.assertFalse(hub.is_full)
        self.assertEqual(hub.client_count, CLIENTS_MAX_COUNT - 1)

    def test_all_are_sent_away(self) -> None:
        hub = Hub()
        clients = [RecordingClient(hub) for _ in range(3)]
        for client in clients:
            hub.join(client)
        hub.dismiss_all()
        self.assertEqual([client.is_dismissed for client in clients], [True] * 3)
        self.assertEqual(hub.client_count, 0)
