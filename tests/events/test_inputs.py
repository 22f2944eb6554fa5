"""Tests of inputs as they are kept: what was written by an earlier version is read by this one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.events.inputs import (
    Drop,
    Found,
    Input,
    Link,
    LinkType,
    Listed,
    Looked,
    Message,
    Missing,
    OwedRow,
    Retry,
    Silence,
    Started,
    Tick,
    Unanswered,
    Unsilence,
)

TIMES = st.floats(0, 4e9)
# An object is JSON that the platform sent.
OBJECTS = st.dictionaries(
    st.text(max_size=5), st.none() | st.integers(0, 2**60) | st.text(max_size=5), max_size=3
)
ANSWERS = st.builds(Found, OBJECTS) | st.just(Missing()) | st.builds(Unanswered, st.text())
LOOKED = st.builds(Looked, st.text(), st.text(), st.integers(0, 2**40), ANSWERS, TIMES)
ROWS = st.builds(OwedRow, st.integers(0, 2**40), st.text(), st.text(), st.text(), st.text())
INPUTS: st.SearchStrategy[Input] = st.one_of(
    st.builds(Started, st.text(), st.none() | TIMES, TIMES),
    st.builds(Message, st.text(), st.integers(0, 2**40), st.binary(), TIMES),
    st.builds(Link, st.sampled_from(LinkType), st.text(), st.text(), st.text(), TIMES),
    LOOKED,
    st.builds(Listed, st.text(), st.lists(LOOKED, max_size=3).map(tuple), TIMES),
    st.builds(Tick, TIMES),
    st.builds(Retry, st.lists(ROWS, max_size=3).map(tuple), TIMES),
    st.builds(Drop, st.lists(st.integers(0, 2**40), max_size=3).map(tuple), TIMES),
    st.builds(Silence, st.text(), OBJECTS, TIMES, TIMES, st.text(), st.text(), TIMES),
    st.builds(Unsilence, st.text(), TIMES),
)
_decoder = msgspec.msgpack.Decoder(list[Input])


class KeptTests(SynchronousTestCase):
    """Inputs in a journal."""

    @given(st.lists(INPUTS, max_size=4))
    def test_they_are_read_as_they_were_written(self, inputs: list[Input]) -> None:
        self.assertEqual(_decoder.decode(msgspec.msgpack.encode(inputs)), inputs)

    def test_what_stands_in_files_out_there(self) -> None:
        """A field may be added at the end, with a default; none may go, move, or change its name."""
        looked = ["Looked", "main", "/api/v1/stack/k1/", 3, ["Found", {"name": "shop"}], 5.5]
        kept: list[tuple[list[Any], Input]] = [
            (["Started", "run", None, 5.5], Started("run", None, 5.5)),
            (["Message", "main", 7, b"{}", 5.5], Message("main", 7, b"{}", 5.5)),
            (
                ["Link", "notifier", "pd", "Refused", "401", 5.5],
                Link(LinkType.NOTIFIER, "pd", "Refused", "401", 5.5),
            ),
            (looked, self.looked(Found({"name": "shop"}))),
            ([*looked[:4], ["Missing"], 5.5], self.looked(Missing())),
            ([*looked[:4], ["Unanswered", "504"], 5.5], self.looked(Unanswered("504"))),
            (
                ["Listed", "main", [looked], 5.5],
                Listed("main", (self.looked(Found({"name": "shop"})),), 5.5),
            ),
            (["Tick", 5.5], Tick(5.5)),
            (
                ["Retry", [[1, "trigger", "rule", "key"]], 5.5],
                Retry((OwedRow(1, "trigger", "rule", "key"),), 5.5),
            ),
            (["Drop", [1, 2], 5.5], Drop((1, 2), 5.5)),
            (
                ["Silence", "5eaf00", [{"name": "web"}], 5.5, 9.5, "deploy", "ann", 5.5],
                Silence("5eaf00", [{"name": "web"}], 5.5, 9.5, "deploy", "ann", 5.5),
            ),
            (["Unsilence", "5eaf00", 5.5], Unsilence("5eaf00", 5.5)),
        ]
        written = msgspec.msgpack.encode([row for row, _ in kept])
        self.assertEqual(_decoder.decode(written), [item for _, item in kept])

    def looked(self, answer: Found | Missing | Unanswered) -> Looked:
        """Give the end of a look-up."""
        return Looked("main", "/api/v1/stack/k1/", 3, answer, 5.5)

    def test_a_message_is_named_by_its_number(self) -> None:
        """In a log; what is in it may be long."""
        self.assertEqual(repr(Message("main", 7, b"x" * 10_000, 5.0)), "Message('main', 7)")

    def test_a_mapping_may_hold_any_json(self) -> None:
        found: Mapping[str, Any] = {"a": [1, 2.5, None, {"b": True}], "c": "\u2028"}
        item = self.looked(Found(found))
        self.assertEqual(_decoder.decode(msgspec.msgpack.encode([item])), [item])
