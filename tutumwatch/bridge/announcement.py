"""What is sent to stream clients: Tutum's event, with the object's fields beside it."""

from __future__ import annotations

from typing import Any

import msgspec


class Announcement(msgspec.Struct, frozen=True):
    """One event, as it goes over the wire.

    A real one::

        {"type": "container", "action": "update", "state": "Running",
         "resource_uri": "/api/v1/container/.../", "parents": ["/api/v1/service/.../"],
         "uuid": "...", "date": "2026-01-31T08:15:00+00:00", "object": {"name": "web-1", ...}}

    The first five are always there; ``object`` is ours: clients of Tutum ignore it.
    """

    type: str
    action: str
    state: str
    resource_uri: str
    parents: list[str]
    uuid: str
    date: str
    object: dict[str, Any]
