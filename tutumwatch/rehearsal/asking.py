"""Asks a platform once what it has."""

from __future__ import annotations

from collections.abc import Callable

from tutumwatch.events.inputs import Found, Looked, Unanswered
from tutumwatch.resources.catchup import (
    LISTED_TYPES,
    PAGE_COUNT,
    PAGES_MAX_COUNT,
    REQUEST_SECONDS,
    NoListsError,
)
from tutumwatch.resources.client import ResourceClient


async def list_once(
    stream: str, client: ResourceClient, now: Callable[[], float]
) -> tuple[Looked, ...]:
    """Give all that a platform has, as a listing finds it.

    :raises NoListsError: if it does not say.
    """
    rows: list[Looked] = []
    for type_ in LISTED_TYPES:
        count = 0
        for _ in range(PAGES_MAX_COUNT):
            page = await client.list_page(type_, {}, count, PAGE_COUNT, REQUEST_SECONDS)
            if isinstance(page, Unanswered):
                raise NoListsError(page.reason)
            count += len(page.objects)
            for fields in page.objects:
                uri = str(fields.get("resource_uri") or "")
                rows.append(Looked(stream, uri, 0, Found(fields), now()))
            if not page.objects or count >= page.total_count:
                break
    return tuple(rows)
