"""Tests of taking whole messages at once: it gives what Autobahn gives, however bytes arrive."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.stream.cases import pass_time
from tests.stream.test_protocol import Wire
from tutumwatch.stream.frames import split_messages

CONTINUED, TEXT, BINARY, CLOSE, PING, PONG = 0x00, 0x01, 0x02, 0x08, 0x09, 0x0A
FIN = 0x80


def frame(first: int, payload: bytes) -> bytes:
    """Make a frame as a server sends it: RFC 6455, 5.2, without a mask."""
    if len(payload) < 126:
        return bytes([first, len(payload)]) + payload
    if len(payload) < 1 << 16:
        return bytes([first, 126]) + len(payload).to_bytes(2, "big") + payload
    return bytes([first, 127]) + len(payload).to_bytes(8, "big") + payload


def text(payload: bytes) -> bytes:
    """Make the frame of a whole text message."""
    return frame(FIN | TEXT, payload)


_TEXTS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"x" * size for size in (0, 1, 124, 125, 126, 127, 128, 300, 65_535, 65_536)]),
)
_FRAMES = st.one_of(
    _TEXTS.map(text),
    _TEXTS.map(lambda payload: frame(FIN | BINARY, payload)),
    st.tuples(_TEXTS, _TEXTS).map(lambda two: frame(TEXT, two[0]) + frame(FIN | CONTINUED, two[1])),
    # A control frame may stand between the parts of a message.
    st.binary(max_size=20).map(
        lambda ping: frame(TEXT, b"a") + frame(FIN | PING, ping) + frame(FIN | CONTINUED, b"b")
    ),
    st.binary(max_size=20).map(lambda pong: frame(FIN | PONG, pong)),
)


def told_of(*chunks: bytes) -> list[str]:
    """Give the messages that a connection tells, and where it ended, if these bytes arrive."""
    wire = Wire()
    wire.server.accept()
    for chunk in chunks:
        wire.server.transport.deliver(chunk)
    told = [one for one in wire.listener.told if one.startswith(("received", "closing", "ended"))]
    wire.server.drop()
    pass_time(wire.clock, 0.5)
    wire.factory.stopTrying()
    return told


class SplitTests(SynchronousTestCase):
    """Which frames are split off, and where it stops."""

    def test_all_but_the_last_frame(self) -> None:
        for last in (text(b"three"), text(b"three")[:-1], frame(FIN | PING, b""), b"\x81"):
            whole = text(b"one") + text(b"two")
            messages, taken_bytes = split_messages(whole + last)
            self.assertEqual((messages, taken_bytes), ([b"one", b"two"], len(whole)), last)

    def test_a_single_frame_is_left(self) -> None:
        """It shows Autobahn that the peer lives."""
        self.assertEqual(split_messages(text(b"one")), ([], 0))
        self.assertEqual(split_messages(b""), ([], 0))

    def test_long_ones_too(self) -> None:
        whole = text(b"x" * 126) + text(b"y" * 65_535)
        messages, taken_bytes = split_messages(whole + b"\x81\x00")
        self.assertEqual([len(message) for message in messages], [126, 65_535])
        self.assertEqual(taken_bytes, len(whole))

    def test_what_is_not_plain_is_left(self) -> None:
        """Other kinds, parts, reserved bits, a mask, and more than 64 KiB."""
        for other in (
            *(frame(FIN | kind, b"x" * 20) for kind in (BINARY, CLOSE, PING, PONG, CONTINUED)),
            frame(TEXT, b"x" * 20),
            frame(FIN | TEXT | 0x40, b"x" * 20),
            b"\x81\x94" + b"mask" + b"x" * 20,
            text(b"x" * 65_536),
        ):
            self.assertEqual(split_messages(text(b"one") + other + b"."), ([b"one"], 5), other[:4])


class SameAsAutobahnTests(SynchronousTestCase):
    """Many frames at once tell what the same bytes tell one by one, which Autobahn takes alone."""

    @given(st.lists(_FRAMES, max_size=8), st.lists(st.integers(0, 2_000), max_size=6))
    @example([text(b"a"), text(b"b"), frame(FIN | CLOSE, b"\x03\xe8bye"), text(b"c")], [])
    @example([text(b"a"), b"\x83\x00", text(b"b")], [])
    @example([text(b"\xff"), text(b"\xc3"), text(b"b")], [])
    def test_the_same_is_told(self, frames: list[bytes], cuts: list[int]) -> None:
        one_by_one = told_of(*frames)
        whole = b"".join(frames)
        places = sorted({0, len(whole), *(cut % (len(whole) + 1) for cut in cuts)})
        chunks = [whole[a:b] for a, b in pairwise(places)]
        self.assertEqual(told_of(*chunks), one_by_one)
        self.assertEqual(told_of(whole), one_by_one)

    def test_nothing_is_told_after_the_connection_was_dropped(self) -> None:
        """The listener may do so in the middle of what arrived at once."""
        for frames in ([text(b"a"), text(b"b"), text(b"c")], [text(b"a"), text(b"b")]):
            wire = Wire()
            wire.server.accept()
            wire.listener.drops_at = "received a"
            wire.server.transport.deliver(b"".join(frames))
            told = [one for one in wire.listener.told if one.startswith("received")]
            self.assertEqual(told, ["received a"])
            wire.end()
