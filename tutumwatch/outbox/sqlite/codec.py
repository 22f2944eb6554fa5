"""What is written into the file as bytes: sealed with a checksum, because SQLite has none.

A bit that flips on the disk within a text would otherwise be delivered as it is.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from tutumwatch.events.inputs import Input
from tutumwatch.inventory.resource import Resource
from tutumwatch.rules.decisions import WaitingRow
from tutumwatch.rules.notice import Notice

_CHECKSUM_BYTES = 4
# Fast, and half the size of nothing at all: the events of one platform are much alike.
_COMPRESSION_LEVEL = 1

Kind = TypeVar("Kind")


class DamagedError(Exception):
    """What was read is not what was written."""


def seal(content: bytes) -> bytes:
    """Put a checksum before some bytes."""
    return zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "big") + content


def unseal(sealed: Any) -> bytes:  # noqa: ANN401 - what a damaged file gives may be anything
    """Give the bytes behind a checksum.

    :raises DamagedError: if it does not fit.
    """
    if not isinstance(sealed, bytes):
        raise DamagedError(f"no bytes, but {type(sealed).__name__}")
    content = sealed[_CHECKSUM_BYTES:]
    if zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "big") != sealed[:_CHECKSUM_BYTES]:
        raise DamagedError("the checksum does not fit")
    return content


def _decode(decoder: msgspec.msgpack.Decoder[Kind], content: bytes) -> Kind:
    try:
        return decoder.decode(content)
    except msgspec.MsgspecError as problem:
        raise DamagedError(str(problem)) from problem


_encode = msgspec.msgpack.Encoder().encode
_inputs = msgspec.msgpack.Decoder(list[Input])
_notice = msgspec.msgpack.Decoder(Notice)
_waiting = msgspec.msgpack.Decoder(WaitingRow)
_resource = msgspec.msgpack.Decoder(Resource)


def encode_page(inputs: Sequence[Input]) -> bytes:
    """Write a page of the journal."""
    return seal(zlib.compress(_encode(inputs), _COMPRESSION_LEVEL))


def decode_page(sealed: Any) -> list[Input]:  # noqa: ANN401 - what is in the file
    """Read a page of the journal.

    :raises DamagedError: as :func:`unseal`, and for what is no page. So do the others.
    """
    content = unseal(sealed)
    try:
        return _decode(_inputs, zlib.decompress(content))
    except zlib.error as problem:
        raise DamagedError(str(problem)) from problem


def encode_notice(notice: Notice) -> bytes:
    """Write a notice."""
    return seal(_encode(notice))


def decode_notice(sealed: Any) -> Notice:  # noqa: ANN401 - what is in the file
    """Read a notice."""
    return _decode(_notice, unseal(sealed))


def encode_waiting(row: WaitingRow) -> bytes:
    """Write what waits for a look-up."""
    return seal(_encode(row))


def decode_waiting(sealed: Any) -> WaitingRow:  # noqa: ANN401 - what is in the file
    """Read what waits for a look-up."""
    return _decode(_waiting, unseal(sealed))


def encode_resource(resource: Resource) -> bytes:
    """Write a resource."""
    return seal(_encode(resource))


def decode_resource(sealed: Any) -> Resource:  # noqa: ANN401 - what is in the file
    """Read a resource."""
    return _decode(_resource, unseal(sealed))
