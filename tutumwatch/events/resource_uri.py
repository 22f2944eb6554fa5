"""Names of resources: the only paths of the REST API that we ever ask for."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

# Docker Cloud, the successor, served the same objects below app/, infra/ and audit/.
_RESOURCE_URI = re.compile(
    r"/api/(?:app/|infra/|audit/)?v1/([a-z][a-z-]{0,31})/([0-9A-Za-z][0-9A-Za-z_-]{0,63})/?",
    re.ASCII,
)


class ResourceName(NamedTuple):
    """What a resource_uri names: a type and a uuid."""

    type: str
    uuid: str


@lru_cache(maxsize=8192)
def parse_resource_uri(uri: str) -> ResourceName | None:
    """Read ``/api/v1/<type>/<uuid>/``; None for everything else.

    This is a guard: a message names the path that our credentials are sent to, so nothing that
    could leave the host (``@elsewhere``, ``//elsewhere``, ``..``, percent-encodings, line breaks)
    may pass.
    """
    match = _RESOURCE_URI.fullmatch(uri)
    return None if match is None else ResourceName(match[1], match[2])
