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


def seal(content: bytes, *beside: object) -> bytes:
    """Put a checksum before some bytes.

    :param beside: what stands in other columns of the row; the checksum covers it as well.
    """
    return _checksum(content, beside) + content


def unseal(sealed: Any, *beside: object) -> bytes:  # noqa: ANN401 - what a damaged file gives may be anything
    """Give the bytes behind a checksum.

    :raises DamagedError: if it does not fit.
    """
    if not isinstance(sealed, bytes):
        raise DamagedError(f"no bytes, but {type(sealed).__name__}")
    content = sealed[_CHECKSUM_BYTES:]
    if _checksum(content, beside) != sealed[:_CHECKSUM_BYTES]:
        raise DamagedError("the checksum does not fit")
    return content


def _checksum(content: bytes, beside: Sequence[object]) -> bytes:
    covered = repr(beside).encode("utf-8", "replace") if beside else b""
    return zlib.crc32(content, zlib.crc32(covered)).to_bytes(_CHECKSUM_BYTES, "big")


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


def encode_page(inputs: Sequence[Input], *beside: object) -> bytes:
    """Write a page of the journal."""
    return seal(zlib.compress(_encode(inputs), _COMPRESSION_LEVEL), *beside)


def decode_page(sealed: Any, *beside: object) -> list[Input]:  # noqa: ANN401 - what is in the file
    """Read a page of the journal.

    :raises DamagedError: as :func:`unseal`, and for what is no page. So do the others.
    """
    content = unseal(sealed, *beside)
    try:
        return _decode(_inputs, zlib.decompress(content))
    except zlib.error as problem:
        raise DamagedError(str(problem)) from problem


def encode_notice(notice: Notice) -> bytes:
    """Write a notice."""
    return seal(_encode(notice))


def decode_notice(sealed: Any, lane: tuple[str, str] | None = None) -> Notice:  # noqa: ANN401 - what is in the file
    """Read a notice.

    :param lane: where it was found, if that is to be checked as well.
    """
    notice = _decode(_notice, unseal(sealed))
    if lane not in {None, notice.lane}:
        raise DamagedError(f"it stands in the lane {lane}")
    return notice


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
