"""What goes over the control socket: one line of JSON each way, then the connection ends.

``{"command": "status"}`` is answered ``{"status": {"ok": true, ...}}``, and ``{"command": "drop",
"ids": [17]}`` ``{"fates": [{"id": 17, "became": "dropped", "done": true}]}``; "retry" likewise.
What cannot be done is answered ``{"error": "..."}``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec

# So many ids fit into a line with room to spare.
IDS_MAX_COUNT = 1_000
LINE_MAX_BYTES = 64 * 1024
# The path of a Unix socket may have so many bytes (sun_path of unix(7), without its last 0).
PATH_MAX_BYTES = 107

# What SQLite can have for a row's number.
RowId: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
RowIds: TypeAlias = Annotated[tuple[RowId, ...], msgspec.Meta(max_length=IDS_MAX_COUNT)]


class Asked(msgspec.Struct, frozen=True, tag_field="command", forbid_unknown_fields=True):
    """What may be asked."""


class AskStatus(Asked, frozen=True, tag="status"):
    """How the watcher is."""


class AskRetry(Asked, frozen=True, tag="retry"):
    """Send dead letters again."""

    ids: RowIds


class AskDrop(Asked, frozen=True, tag="drop"):
    """Do not send notices any more, nor keep the dead ones."""

    ids: RowIds


Question: TypeAlias = AskStatus | AskRetry | AskDrop


class Fate(msgspec.Struct, frozen=True):
    """What became of a notice; ``done``: what was asked for, or what leaves nothing to ask for."""

    id: int
    became: str
    done: bool


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer: an error, or what was asked for."""

    error: str = ""
    fates: tuple[Fate, ...] = ()
    status: Mapping[str, Any] | None = None


Kind = TypeVar("Kind")

_question: msgspec.json.Decoder[Question] = msgspec.json.Decoder(Question)
_reply = msgspec.json.Decoder(Reply)


def decode_question(line: bytes) -> Question:
    """Read what is asked.

    :raises ValueError: if it is nothing that may be.
    """
    return _decode(_question, line)


def decode_reply(line: bytes) -> Reply:
    """Read an answer.

    :raises ValueError: if it is none.
    """
    return _decode(_reply, line)


def _decode(decoder: msgspec.json.Decoder[Kind], line: bytes) -> Kind:
    try:
        return decoder.decode(line)
    except msgspec.MsgspecError as problem:  # no ValueError in every version
        raise ValueError(str(problem)) from problem


def encode_line(said: Question | Reply) -> bytes:
    """Write a line, without its end."""
    return msgspec.json.encode(said)


def socket_path(store_path: str) -> str:
    """Give the path of the socket of the watcher that has a store."""
    return f"{store_path}.sock"


def is_too_long(path: str) -> bool:
    """Say whether no socket can have this path."""
    return len(os.fsencode(path)) > PATH_MAX_BYTES
