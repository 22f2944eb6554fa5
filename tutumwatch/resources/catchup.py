"""Catching up: asks the platform for everything, to find what happened while we were away.

Live events go on meanwhile and are not held back. What a list says is a candidate only: it carries
the number of the last message that had arrived when its page was asked for, and what arrived later
knows better. What is known but in no list is asked for singly before it counts as gone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from tutumwatch.events.inputs import Answer, Found, Listed, Looked, Unanswered
from tutumwatch.events.resource_uri import parse_resource_uri
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Key
from tutumwatch.resources.client import ResourceClient

LISTED_TYPES = ("stack", "nodecluster", "node", "service", "container")
PAGE_COUNT = 100
PAGES_MAX_COUNT = 2_000
REQUEST_SECONDS = 10.0
# Events that were sent before the last page was answered may still be on their way.
SETTLE_SECONDS = 2.0
RETRY_SECONDS = 300.0
RETRY_FIRST_SECONDS = 5.0


class NoListsError(Exception):
    """The platform gave no usable list; says why."""


@attrs.define(eq=False)
class CatchUp:
    """Catches up with one stream's platform each time that the stream connects.

    :param inventory: what is known, only read.
    :param last_number: gives the number of the last message that arrived.
    :param now: gives the watch's time.
    :param blind_since: since when nothing was seen of it, if it was seen before we ran.
    """

    stream: str
    _client: ResourceClient
    _inventory: Inventory
    _submit: Callable[[Listed], None]
    _last_number: Callable[[], int]
    _now: Callable[[], float]
    _clock: IReactorTime
    _blind_since: float | None = None
    _task: Deferred[None] | None = None
    _run: int = 0
    _was_connected: bool = False

    _log = Logger()

    def connected(self) -> None:
        """List everything: the stream is there."""
        self.stop()
        self._task = Deferred.fromCoroutine(self._catch_up(self._run, self._blind_since))
        self._task.addErrback(self._failed)
        self._blind_since = None
        self._was_connected = True

    def lost(self, at: float) -> None:
        """List no further: the stream is gone again; what happens from now on is not seen."""
        self.stop()
        if self._was_connected:
            self._was_connected, self._blind_since = False, at

    def stop(self) -> None:
        """End a listing that is under way."""
        self._run += 1
        if self._task is not None:
            self._task.cancel()
        self._task = None

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("catching up with {stream} failed", failure, stream=self.stream)

    async def _catch_up(self, run: int, blind_since: float | None) -> None:
        """List until it succeeds, ever more rarely; live events are told all the same."""
        wait = RETRY_FIRST_SECONDS
        while True:
            try:
                rows = await self._list_everything(run, blind_since)
            except NoListsError as problem:
                self._log.warn(
                    "{stream}: cannot list what there is ({reason}); again in {wait:.0f} s",
                    stream=self.stream,
                    reason=str(problem),
                    wait=wait,
                )
                await deferLater(self._clock, wait, lambda: None)
                wait = min(wait * 4, RETRY_SECONDS)
                continue
            self._submit(Listed(self.stream, tuple(rows), self._now()))
            return

    async def _list_everything(self, run: int, blind_since: float | None) -> list[Looked]:
        begun = self._now()
        rows: list[Looked] = []
        for type_ in LISTED_TYPES:
            rows += await self._list(run, type_, {})
        if blind_since is not None:
            since = datetime.fromtimestamp(blind_since, UTC).isoformat(timespec="seconds")
            rows += await self._list(run, "action", {"start_date__gte": since})
        names = (parse_resource_uri(row.resource_uri) for row in rows)
        listed = {(self.stream, *name) for name in names if name is not None}
        rows += await self._ask_for_absent(run, listed, begun)
        await deferLater(self._clock, SETTLE_SECONDS, lambda: None)
        return rows

    async def _list(self, run: int, type_: str, filters: dict[str, str]) -> list[Looked]:
        rows: list[Looked] = []
        for _ in range(PAGES_MAX_COUNT):
            asked = self._last_number()
            page = await self._client.list_page(
                type_, filters, len(rows), PAGE_COUNT, REQUEST_SECONDS
            )
            self._require_run(run)
            if isinstance(page, Unanswered):
                raise NoListsError(page.reason)
            rows += _rows_of(self.stream, page.objects, asked, self._now())
            if not page.objects or len(rows) >= page.total_count:
                return rows
        raise NoListsError(f"more than {PAGES_MAX_COUNT} pages of {type_}")

    async def _ask_for_absent(self, run: int, listed: set[Key], begun: float) -> list[Looked]:
        """Ask for what is known and not listed nor heard of: only an answer makes it gone."""
        rows = []
        absent = [
            resource.uri
            for resource in self._inventory.resources_of(self.stream)
            if resource.type in LISTED_TYPES
            and resource.seen < begun
            and resource.key not in listed
        ]
        for uri in absent:
            asked = self._last_number()
            answer: Answer = await self._client.get_resource(uri, REQUEST_SECONDS)
            self._require_run(run)
            if not isinstance(answer, Unanswered):
                rows.append(Looked(self.stream, uri, asked, answer, self._now()))
        return rows

    def _require_run(self, run: int) -> None:
        """End a listing that was stopped: a call that is cancelled gives an answer, too."""
        if run != self._run:
            raise CancelledError


def _rows_of(stream: str, objects: Sequence[dict[str, Any]], asked: int, at: float) -> list[Looked]:
    uris = ((str(o.get("resource_uri") or ""), o) for o in objects)
    return [Looked(stream, uri, asked, Found(o), at) for uri, o in uris]
