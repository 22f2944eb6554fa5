"""Splits off whole messages, which are nearly all that a stream sends, faster than Autobahn does.

Autobahn takes a frame through a dozen calls and copies what is behind it; in a burst of events that
is half of all our work. Whatever is not plain (fragments, control frames, compression) is its own.
"""

from __future__ import annotations

# RFC 6455, 5.2: FIN and the opcode of a text; a server does not mask; 126 announces two bytes more.
WHOLE_TEXT = 0x81
SHORT_MAX_BYTES = 125
TWO_MORE_BYTES = 126
HEADER_BYTES, LONG_HEADER_BYTES = 2, 4


def split_messages(received: bytes) -> tuple[list[bytes], int]:
    """Split off the whole text messages that received bytes begin with, but for the last frame.

    :return: the messages, and how many bytes they took with their headers. What is left begins
        with a frame of whatever kind.
    """
    messages: list[bytes] = []
    at, end = 0, len(received)
    while at + LONG_HEADER_BYTES <= end and received[at] == WHOLE_TEXT:
        size = received[at + 1]
        begin = at + HEADER_BYTES
        if size == TWO_MORE_BYTES:
            size = int.from_bytes(received[begin : begin + 2], "big")
            begin = at + LONG_HEADER_BYTES
        elif size > SHORT_MAX_BYTES:
            break
        if begin + size >= end:
            break
        messages.append(received[begin : begin + size])
        at = begin + size
    return messages, at
