"""One message of the Tutum Stream, decoded; total, so that any bytes give a value."""

from __future__ import annotations

from typing import Annotated, Any

import attrs
import msgspec
from msgspec import Meta

# What we keep of an event stays in memory for as long as its resource lives, so every text in it
# is bounded. Real values are far below: a resource_uri is about 60 characters.
WORD_MAX_CHARS = 256
URI_MAX_CHARS = 512
PARENTS_MAX_COUNT = 64
SAMPLE_MAX_BYTES = 200

Word = Annotated[str, Meta(max_length=WORD_MAX_CHARS)]
TypeName = Annotated[str, Meta(min_length=1, max_length=WORD_MAX_CHARS)]
URI = Annotated[str, Meta(max_length=URI_MAX_CHARS)]


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message of the stream.

    A real one::

        {"type": "container", "action": "create", "state": "Starting",
         "resource_uri": "/api/v1/container/fa159860-9048-4d1e-8655-6285fa9e3fa2/",
         "parents": ["/api/v1/service/d0b1eb62-7662-4a81-8a10-d5a74b07811e/"],
         "uuid": "6d7b...", "date": "2015-12-07T04:01:01+00:00"}

    Types, actions and states that nobody has heard of pass through, and further fields are
    ignored. ``parents`` is None where the message does not say. ``object`` holds the resource's
    public fields where the server sends them along (our bridge does); it and ``data`` may be of
    any shape, as a type that nobody has heard of may use these names for something else.
    """

    type: TypeName
    action: Word = ""
    state: Word | None = None
    resource_uri: URI | None = None
    parents: Annotated[list[URI], Meta(max_length=PARENTS_MAX_COUNT)] | None = None
    uuid: Word | None = None
    date: Word | None = None
    object: Any = None
    data: Any = None

    @property
    def is_refusal(self) -> bool:
        """Whether the server says that it does not accept our credentials."""
        return (
            self.type == "error"
            and isinstance(self.data, dict)
            and self.data.get("errorMessage") == "UNAUTHORIZED"
        )


@attrs.frozen
class Rejected:
    """A message that could not be used: why, and how it began (at most 200 bytes, printable)."""

    reason: str
    sample: str


_decoder = msgspec.json.Decoder(Event)


def decode_event(payload: bytes) -> Event | Rejected:
    """Decode one message of the stream; any bytes give an :class:`Event` or a :class:`Rejected`.

    The reason names the field: ``Expected `str`, got `int` - at `$.state```.
    """
    try:
        return _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        return Rejected(str(problem), sample_of(payload))
    except RecursionError:
        return Rejected("nested too deeply", sample_of(payload))


def sample_of(payload: bytes) -> str:
    """Give the beginning of a message as printable ASCII, cut at 200 bytes with a mark."""
    start = payload[:SAMPLE_MAX_BYTES].decode("ascii", "backslashreplace")
    printable = "".join(c if c.isprintable() else repr(c)[1:-1] for c in start)
    return printable + ("..." if len(payload) > SAMPLE_MAX_BYTES else "")
