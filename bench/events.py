"""The events, the objects behind them, and how a notice is known again when it arrives.

All are made of a number, so that nobody has to remember them.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable

from bench.wire import Plan, Said

# The last part of a uuid of ours, or of a stack's name: it stands once in what is told of an event.
_NUMBER = re.compile(rb"-([0-9a-f]{12})")
_UUID = "{kind:08x}-0000-4000-8000-{number:012x}"
# RFC 6455, 5.2: FIN and the opcode of a text; 126 announces two bytes of length.
_TEXT_FRAME, _TWO_MORE_BYTES, _SHORT_MAX_BYTES = 0x81, 126, 125
KINDS = ("stack", "service", "container", "nodecluster", "node", "event")


def uuid_of(kind: str, number: int) -> str:
    """Give the uuid of an object."""
    return _UUID.format(kind=0xBE0C0000 + KINDS.index(kind), number=number)


def uri_of(kind: str, number: int) -> str:
    """Give the resource_uri of an object."""
    return f"/api/v1/{kind}/{uuid_of(kind, number)}/"


def numbers_in(text: bytes) -> list[int]:
    """Give the numbers that a body, or a path, speaks of."""
    return [int(found, 16) for found in _NUMBER.findall(text)]


def event_of(plan: Plan, number: int) -> str:
    """Write an event as in real captures of Tutum's stream.

    A service without a stack is told by nobody, a container by everybody, and a service with a
    stack by everybody who has asked for that.
    """
    resource, kind, parents = number % plan.resources, "service", ""
    match plan.said(number):
        case Said.NOTICE:
            kind = "container"
            above = ("service", "node", "stack", "nodecluster")
            parents = ",".join(f'"{uri_of(parent, 1)}"' for parent in above)
        case Said.LOOKED_UP:
            parents = f'"{uri_of("stack", resource)}"'
        case Said.NOTHING:
            pass
    return (
        f'{{"type":"{kind}","action":"update","state":"Running","resource_uri":'
        f'"{uri_of(kind, resource)}","parents":[{parents}],"uuid":"{uuid_of("event", number)}",'
        '"date":"2015-12-07T04:01:01+00:00"}'
    )


def frame(text: str) -> bytes:
    """Put a text into a WebSocket frame of a server."""
    payload = text.encode()
    if len(payload) <= _SHORT_MAX_BYTES:
        return bytes((_TEXT_FRAME, len(payload))) + payload
    return struct.pack("!BBH", _TEXT_FRAME, _TWO_MORE_BYTES, len(payload)) + payload


def frames(plan: Plan, numbers: Iterable[int]) -> bytes:
    """Write some events as frames, one behind the other."""
    return b"".join(frame(event_of(plan, number)) for number in numbers)


def object_of(kind: str, number: int) -> dict[str, object]:
    """Give what the REST API has of an object."""
    return {
        "uuid": uuid_of(kind, number),
        "resource_uri": uri_of(kind, number),
        "name": f"{kind}-{number:012x}",
        "state": "Running",
    }


def told_in(plan: Plan, sent: int) -> dict[str, list[int]]:
    """Give the numbers of the resources that the first events of a plan told of, by type."""
    told: dict[str, list[int]] = {"service": [], "container": [], "stack": []}
    for number in range(min(sent, plan.resources)):
        said = plan.said(number)
        told["container" if said is Said.NOTICE else "service"].append(number)
        if said is Said.LOOKED_UP:
            told["stack"].append(number)
    return told
