"""Holds docs/events.md to what both sides of the wire really say."""

from __future__ import annotations

import json
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.bridge.cases import STATES
from tutumwatch.bridge.stream import AUTH_MESSAGE, UNAUTHORIZED_MESSAGE
from tutumwatch.events.event import Event, decode_event

TEXT = Path(__file__).parents[2].joinpath("docs", "events.md").read_text("utf-8")
SAMPLES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]


class EventsDocumentTests(SynchronousTestCase):
    """The samples can be relied on."""

    def test_every_type_has_a_sample_that_the_watcher_takes(self) -> None:
        types = {sample["type"] for sample in SAMPLES}
        self.assertEqual(types, {*STATES, "auth", "error", "user-notifications"})
        for sample in SAMPLES:
            self.assertIsInstance(decode_event(json.dumps(sample).encode()), Event)

    def test_the_bridges_own_messages_are_these(self) -> None:
        for message in (AUTH_MESSAGE, UNAUTHORIZED_MESSAGE):
            self.assertIn(json.loads(message), SAMPLES)

    def test_all_states_are_named(self) -> None:
        for type_, states in STATES.items():
            self.assertIn(f"| {type_} | {states} |", TEXT)
