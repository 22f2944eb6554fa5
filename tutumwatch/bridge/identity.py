"""Names of objects: uuids that are made of an engine's own ids, so that a restart changes none."""

from __future__ import annotations

import hashlib
import uuid


def make_uuid(text: str) -> str:
    """Make a uuid of a text.

    It is laid out as version 4: the published clients test for that form before they take a word
    for a uuid.
    """
    digest = hashlib.sha256(text.encode()).digest()[:16]
    return str(uuid.UUID(bytes=digest, version=4))


def uri_of(type_: str, uuid_: str) -> str:
    """Give the resource_uri of an object."""
    return f"/api/v1/{type_}/{uuid_}/"
