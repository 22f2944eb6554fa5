"""What goes over the control socket: one line of JSON each way, then the connection ends.

``{"command": "status"}`` is answered ``{"status": {"ok": true, ...}}``, and ``{"command": "drop",
"ids": [17]}`` ``{"fates": [{"id": 17, "became": "dropped", "done": true}]}``; "retry" likewise.
``{"command": "silence", "match": [{"service.name": "web"}], "lasts": 7200}`` is answered
``{"silence": {"name": "5eaf00", "ends": 1795774800.0, ...}, "reach": {...}}``.
``{"command": "resolve", "key": "node lost/main/node/n2"}`` is answered ``{"named_fates": [...]}``.
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
# Of a silence: who made it, and why.
REMARK_MAX_CHARS = 500
# A key may be made by a rule's template, of whatever a platform calls its things.
KEY_MAX_CHARS = 10_000
# The path of a Unix socket may have so many bytes (sun_path of unix(7), without its last 0).
PATH_MAX_BYTES = 107

# What SQLite can have for a row's number.
RowId: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
Remark: TypeAlias = Annotated[str, msgspec.Meta(max_length=REMARK_MAX_CHARS)]
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


class AskSilence(Asked, frozen=True, tag="silence"):
    """Say nothing for a while of what matches, or only tell what that would mean (``preview``).

    ``match``: tables, of which one must match. ``starts``: in seconds since 1970, at once if None;
    it ``ends`` at such a time, or ``lasts`` so many seconds.
    """

    match: tuple[dict[str, Any], ...]
    starts: float | None = None
    ends: float | None = None
    lasts: float | None = None
    comment: Remark = ""
    by: Remark = ""
    preview: bool = False


class AskUnsilence(Asked, frozen=True, tag="unsilence"):
    """End silences."""

    names: Annotated[tuple[Remark, ...], msgspec.Meta(max_length=IDS_MAX_COUNT)]


class AskSilences(Asked, frozen=True, tag="silences"):
    """Which silences and mutes there are."""


class AskResolve(Asked, frozen=True, tag="resolve"):
    """Close the incidents that are open under a key."""

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=KEY_MAX_CHARS)]


Question: TypeAlias = (
    AskStatus | AskRetry | AskDrop | AskSilence | AskUnsilence | AskSilences | AskResolve
)


class Fate(msgspec.Struct, frozen=True):
    """What became of a notice; ``done``: what was asked for, or what leaves nothing to ask for."""

    id: int
    became: str
    done: bool


class NamedFate(msgspec.Struct, frozen=True):
    """What became of a silence or an incident; ``done``: what was asked for."""

    name: str
    became: str
    done: bool


class KnownSilence(msgspec.Struct, frozen=True, omit_defaults=True):
    """A silence, or a mute of the configuration (``is_mute``).

    ``state``: active, pending or expired. A mute's times are those of the window that holds now,
    or else comes next. ``withheld_count``: of incidents that it keeps from opening.
    """

    name: str
    state: str
    match: Any
    starts: float
    ends: float
    is_mute: bool = False
    comment: str = ""
    by: str = ""
    withheld_count: int = 0


class Withheld(msgspec.Struct, frozen=True):
    """Something that was said, and would not have been."""

    at: float
    rule: str
    text: str
    notifiers: tuple[str, ...]


class Reach(msgspec.Struct, frozen=True):
    """What a silence is about.

    ``names``: a few of the ``matching_count`` resources that are within it at present; None if it
    is about any. ``withheld``: the last of what it would have withheld since ``since``, of
    ``said_count`` that were said; ``by_rule`` counts all. ``unsure_count``: of how many more
    nobody can tell.
    """

    matching_count: int
    names: tuple[str, ...] | None
    since: float
    said_count: int
    unsure_count: int
    by_rule: Mapping[str, int]
    withheld: tuple[Withheld, ...]
    warnings: tuple[str, ...] = ()


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer: an error, or what was asked for."""

    error: str = ""
    fates: tuple[Fate, ...] = ()
    status: Mapping[str, Any] | None = None
    silence: KnownSilence | None = None
    reach: Reach | None = None
    named_fates: tuple[NamedFate, ...] = ()
    silences: tuple[KnownSilence, ...] = ()


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
