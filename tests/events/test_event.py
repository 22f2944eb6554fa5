"""Tests of how a message of the stream is read."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.tutum_events import (
    KINDS,
    action_event,
    container_event,
    event_of,
    service_event,
    uri_of,
)
from tutumwatch.events.event import Event, Rejected, decode_event, sample_of

MEGABYTE = 1024 * 1024
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
NAMES = ["type", "action", "state", "resource_uri", "parents", "uuid", "date", "object", "data"]


class DecodeEventTests(SynchronousTestCase):
    """Any bytes give an Event, or a Rejected that says why."""

    def decoded(self, message: object) -> Event:
        """Decode a message that must be usable."""
        event = decode_event(json.dumps(message).encode())
        assert isinstance(event, Event), event
        return event

    def assert_rejected(self, payload: bytes, reason: str) -> None:
        """Fail unless a message is rejected for a reason that begins so."""
        rejected = decode_event(payload)
        assert isinstance(rejected, Rejected), rejected
        self.assertTrue(rejected.reason.startswith(reason), rejected.reason)

    def test_the_sample_of_the_documentation(self) -> None:
        service = "/api/v1/service/d0b1eb62-7662-4a81-8a10-d5a74b07811e/"
        event = decode_event(
            b'{"type":"container","action":"create","state":"Starting",'
            b'"resource_uri":"/api/v1/container/fa159860-9048-4d1e-8655-6285fa9e3fa2/",'
            b'"parents":["/api/v1/service/d0b1eb62-7662-4a81-8a10-d5a74b07811e/"],'
            b'"uuid":"6d7b","date":"2015-12-07T04:01:01+00:00"}'
        )
        self.assertEqual(
            event,
            Event(
                type="container",
                action="create",
                state="Starting",
                resource_uri="/api/v1/container/fa159860-9048-4d1e-8655-6285fa9e3fa2/",
                parents=[service],
                uuid="6d7b",
                date="2015-12-07T04:01:01+00:00",
            ),
        )

    def test_every_type_of_the_platform(self) -> None:
        for kind in KINDS:
            made = event_of(kind, said=("update", "Running"), parents=[uri_of("stack", "s")])
            event = self.decoded(made)
            self.assertEqual(
                (event.type, event.action, event.state, event.resource_uri, event.parents),
                (kind, "update", "Running", made["resource_uri"], made["parents"]),
            )
        self.assertEqual(len(self.decoded(container_event()).parents or ()), 4)
        self.assertEqual(len(self.decoded(action_event(of=service_event())).parents or ()), 2)

    def test_a_message_may_say_no_more_than_its_type(self) -> None:
        self.assertEqual(
            self.decoded({"type": "auth"}), Event("auth", "", None, None, None, None, None)
        )

    def test_null_means_not_told(self) -> None:
        event = self.decoded(
            {"type": "x", "state": None, "resource_uri": None, "parents": None, "uuid": None}
        )
        self.assertEqual((event.state, event.resource_uri, event.parents), (None, None, None))

    def test_what_nobody_has_heard_of_passes(self) -> None:
        """Types, actions, states and fields that are new, and known names used otherwise."""
        event = self.decoded(
            {"type": "volume", "action": "snapshot", "state": "Frozen", "size": [1], "é": {}}
        )
        self.assertEqual((event.type, event.action, event.state), ("volume", "snapshot", "Frozen"))
        for odd in ("text", 7, [1], None, {"a": {"b": None}}):
            event = self.decoded({"type": "user-notifications", "data": odd, "object": odd})
            self.assertEqual((event.data, event.object), (odd, odd))

    def test_what_has_no_usable_type_is_rejected(self) -> None:
        for payload, reason in (
            (b"{}", "Object missing required field `type`"),
            (b'{"type":""}', "Expected `str` of length >= 1 - at `$.type`"),
            (b'{"type":null}', "Expected `str`, got `null` - at `$.type`"),
            (b'{"type":7}', "Expected `str`, got `int` - at `$.type`"),
        ):
            self.assert_rejected(payload, reason)

    def test_what_is_no_json_object_is_rejected(self) -> None:
        for payload, reason in (
            (b"", "Input data was truncated"),
            (b"hello", "JSON is malformed"),
            (b'{"type":"a"', "Input data was truncated"),
            (b'{"type":"a"} {"type":"b"}', "JSON is malformed: trailing characters"),
            (b"[]", "Expected `object`, got `array`"),
            (b'"type"', "Expected `object`, got `str`"),
            (b"null", "Expected `object`, got `null`"),
            (b'\xef\xbb\xbf{"type":"a"}', "JSON is malformed"),
            (b'{"type":"\xff"}', "'utf-8' codec can't decode byte 0xff"),
            (b'{"type":"\\ud800"}', "Input data was truncated"),
        ):
            self.assert_rejected(payload, reason)

    def test_a_field_of_the_wrong_shape_is_rejected_with_its_name(self) -> None:
        for field, value in (
            ("action", 1),
            ("state", {}),
            ("resource_uri", []),
            ("parents", "/api/v1/stack/a/"),
            ("parents", [1]),
            ("uuid", 5),
            ("date", False),
        ):
            rejected = decode_event(json.dumps({"type": "stack", field: value}).encode())
            assert isinstance(rejected, Rejected), field
            self.assertIn(f"at `$.{field}", rejected.reason)

    def test_a_field_that_is_too_long_is_rejected_with_its_name(self) -> None:
        """What we keep of an event stays in memory, so it has to be bounded."""
        for field, longest in (
            ("type", "x" * 256),
            ("action", "x" * 256),
            ("state", "x" * 256),
            ("uuid", "x" * 256),
            ("date", "x" * 256),
            ("resource_uri", "x" * 512),
            ("parents", ["x" * 512] * 64),
        ):
            message = {"type": "stack", field: longest}
            self.assertEqual(getattr(self.decoded(message), field), longest)
            longer = [*longest, "x"] if isinstance(longest, list) else f"{longest}x"
            rejected = decode_event(json.dumps({"type": "stack", field: longer}).encode())
            assert isinstance(rejected, Rejected), field
            self.assertIn(f"`$.{field}`", rejected.reason)
        rejected = decode_event(json.dumps({"type": "x", "parents": ["x" * 513]}).encode())
        self.assertIsInstance(rejected, Rejected)

    def test_deep_nesting_is_rejected(self) -> None:
        """A megabyte of brackets, in a field that we know and in one that we ignore."""
        for start in (b"", b'{"type":"a","object":', b'{"type":"a","unheard-of":'):
            for bracket in (b"[", b'{"a":'):
                payload = start + bracket * (MEGABYTE // len(bracket))
                rejected = decode_event(payload)
                assert isinstance(rejected, Rejected), payload[:40]
                self.assertLess(len(rejected.sample), 810)
        self.assert_rejected(b'{"type":"a","object":' + b"[" * MEGABYTE, "nested too deeply")

    def test_numbers_without_end_are_rejected_or_ignored(self) -> None:
        self.assert_rejected(
            b'{"type":"a","object":{"n":' + b"9" * 5000 + b"}}", "Integer value out of range"
        )
        self.assertIsInstance(decode_event(b'{"type":"a","n":' + b"9" * 5000 + b"}"), Event)

    @given(st.binary())
    @example(b'{"type":"a","object":{"\\ud800":1}}')
    @example(b"\x00")
    def test_any_bytes_give_a_value(self, payload: bytes) -> None:
        self.assertIsInstance(decode_event(payload), Event | Rejected)

    @given(st.dictionaries(st.sampled_from(NAMES) | st.text(), ANY_JSON))
    def test_any_json_object_gives_a_value(self, message: dict[str, object]) -> None:
        payload = json.dumps(message).encode("utf-8", "replace")
        self.assertIsInstance(decode_event(payload), Event | Rejected)

    @given(st.binary(max_size=300))
    def test_a_sample_is_short_printable_and_plain(self, payload: bytes) -> None:
        sample = sample_of(payload)
        self.assertTrue(sample.isascii())
        self.assertTrue(sample.isprintable() or not sample)
        self.assertLessEqual(len(sample), 4 * 200 + 3)
        self.assertEqual(sample.endswith("..."), len(payload) > 200 or payload.endswith(b"..."))


class SampleTests(SynchronousTestCase):
    """What is shown of a message that was no use."""

    def test_the_beginning_is_kept_and_a_cut_is_marked(self) -> None:
        self.assertEqual(sample_of(b"x" * 200), "x" * 200)
        self.assertEqual(sample_of(b"x" * 201), "x" * 200 + "...")

    def test_what_would_move_a_terminal_is_escaped(self) -> None:
        self.assertEqual(sample_of(b"a\x1b[2J\r\n\xe9\x00"), "a\\x1b[2J\\r\\n\\xe9\\x00")


class RefusalTests(SynchronousTestCase):
    """The one message by which a server says that it does not accept our credentials."""

    def test_it_is_recognized(self) -> None:
        event = decode_event(b'{"type":"error","data":{"errorMessage":"UNAUTHORIZED"}}')
        assert isinstance(event, Event)
        self.assertTrue(event.is_refusal)

    def test_nothing_else_is_taken_for_it(self) -> None:
        for message in (
            {"type": "error"},
            {"type": "error", "data": None},
            {"type": "error", "data": "UNAUTHORIZED"},
            {"type": "error", "data": {"errorMessage": "THROTTLED"}},
            {"type": "error", "data": {"errorMessage": ["UNAUTHORIZED"]}},
            {"type": "stack", "data": {"errorMessage": "UNAUTHORIZED"}},
        ):
            event = decode_event(json.dumps(message).encode())
            assert isinstance(event, Event), message
            self.assertFalse(event.is_refusal, message)
