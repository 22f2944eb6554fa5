"""What a good engineer writes in an afternoon, with websockets and aiohttp; one of the baselines.

It never stops reading, reconnects, makes at most 64 requests at a time, and tries each eight times
with waits of 1, 2, 4, ... seconds. What it owes is in memory: without limit, and gone with the
process. Messages of one resource may overtake each other.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Coroutine
from http import HTTPStatus
from random import SystemRandom
from typing import Any

import aiohttp
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

STREAM_URL = os.environ.get("TUTUM_STREAM_URL", "wss://stream.tutum.co/v1/events")
REST_URL = os.environ.get("TUTUM_REST_HOST", "https://dashboard.tutum.co")
SLACK_URL = os.environ.get("SLACK_URL", "")
HEADERS = {"Authorization": os.environ.get("TUTUM_AUTH", "")}

REQUESTS_AT_ONCE_COUNT = 64
ATTEMPTS_COUNT = 8
REQUEST_SECONDS = 10.0
BACKOFF_MAX_SECONDS = 60.0

_log = logging.getLogger("watch")
_dice = SystemRandom()


class Watcher:
    """Reads the stream; each message that is to be told becomes a task."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        """Make it.

        :param session: its connections are shared by all requests.
        """
        self._session = session
        self._slots = asyncio.Semaphore(REQUESTS_AT_ONCE_COUNT)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Read, and connect again whenever the connection is lost."""
        async for stream in connect(STREAM_URL, additional_headers=HEADERS):
            try:
                async for message in stream:
                    self._take(json.loads(message))
            except ConnectionClosed:
                _log.warning("the connection is lost")

    def _take(self, event: dict[str, Any]) -> None:
        if event["type"] == "container":
            self._begin(
                self._post(
                    f"Your container was {event['action']}d on Tutum!\n"
                    f"Check {event['resource_uri']} to see more details."
                )
            )
        elif event["type"] == "service" and event["parents"]:
            self._begin(self._tell_of_service(event))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell_of_service(self, event: dict[str, Any]) -> None:
        answer = await self._request("GET", REST_URL + event["parents"][0], headers=HEADERS)
        if answer is None:
            return
        stack = json.loads(answer)
        await self._post(
            f"A Service on Tutum was {event['action']}d.\n"
            f"It belonged to the {stack['name']} Stack.\n"
            f"The Stack state is: {stack['state']}"
        )

    async def _post(self, text: str) -> None:
        await self._request("POST", SLACK_URL, json={"text": text})

    async def _request(self, method: str, url: str, **options: Any) -> str | None:  # noqa: ANN401 - aiohttp's
        """Make a request until it succeeds; None if it never does."""
        for attempt in range(ATTEMPTS_COUNT):
            wait = min(BACKOFF_MAX_SECONDS, 2.0**attempt) * _dice.uniform(0.8, 1.2)
            try:
                async with (
                    self._slots,
                    self._session.request(method, url, **options) as answer,
                ):
                    text = await answer.text()
                    if answer.status == HTTPStatus.OK:
                        return text
                    wait = float(answer.headers.get("Retry-After", wait))
            except (aiohttp.ClientError, TimeoutError) as problem:
                _log.info("%s %s: %r", method, url, problem)
            await asyncio.sleep(wait)
        _log.error("%s %s: given up", method, url)
        return None


async def main() -> None:
    """Run for ever."""
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        await Watcher(session).run()


if __name__ == "__main__":
    asyncio.run(main())
