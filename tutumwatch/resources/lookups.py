"""Look-ups under way: one for each resource at a time, a few at a time, each ends as an Input."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import TypeAlias

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from tutumwatch.events.inputs import LOOK_UP_DEADLINE_SECONDS, Answer, Looked, Unanswered
from tutumwatch.resources.client import ResourceClient

LOOK_UPS_AT_ONCE_COUNT = 32
RETRY_SECONDS = 1.0

_Name: TypeAlias = tuple[str, str]
"""(stream, resource_uri)"""


@attrs.define(eq=False)
class LookUps:
    """Asks for resources and submits each answer as a Looked.

    :param clients: by stream.
    :param last_number: gives the number of the last message that arrived.
    :param now: gives the watch's time.
    """

    _clients: Mapping[str, ResourceClient]
    _submit: Callable[[Looked], None]
    _last_number: Callable[[], int]
    _now: Callable[[], float]
    _clock: IReactorTime
    counts: Counter[str] = attrs.field(factory=Counter)
    _queue: deque[_Name] = attrs.field(factory=deque)
    _queued: set[_Name] = attrs.field(factory=set)
    # What is asked now; True: once more after that, because somebody wants a fresher answer.
    _under_way: dict[_Name, bool] = attrs.field(factory=dict)
    _tasks: set[Deferred[None]] = attrs.field(factory=set)
    _last_failure: str = ""
    _starting: bool = False
    _stopped: bool = False

    _log = Logger()

    def ask(self, stream: str, resource_uri: str, *, fresh: bool = False) -> None:
        """Look a resource up, unless that is being done.

        :param fresh: an answer that was asked for before now will not do.
        """
        name = (stream, resource_uri)
        if name in self._under_way:
            self._under_way[name] |= fresh
        elif name not in self._queued and not self._stopped:
            self._queued.add(name)
            self._queue.append(name)
            self._go_on()

    def _go_on(self) -> None:
        if self._starting:  # what ends within the loop below, ends here
            return
        self._starting = True
        while self._queue and len(self._under_way) < LOOK_UPS_AT_ONCE_COUNT:
            name = self._queue.popleft()
            self._queued.discard(name)
            self._under_way[name] = False
            task = Deferred.fromCoroutine(self._look_up(name))
            self._tasks.add(task)
            task.addErrback(self._failed)
            task.addBoth(self._ended, task, name)
        self._starting = False

    def _failed(self, failure: Failure) -> None:
        """Log a bug; those who wait for the answer give up when their time comes."""
        if not failure.check(CancelledError):
            self._log.failure("a look-up failed", failure)

    def _ended(self, _result: object, task: Deferred[None], name: _Name) -> None:
        self._tasks.discard(task)
        if self._under_way.pop(name) and not self._stopped:
            self._queued.add(name)
            self._queue.appendleft(name)
        self._go_on()

    async def _look_up(self, name: _Name) -> None:
        stream, resource_uri = name
        asked = self._last_number()
        answer = await self._answer(stream, resource_uri)
        if self._stopped:
            return
        if not isinstance(answer, Unanswered) and stream not in self._clients:
            # Removed meanwhile: nothing would ever take back what this tells.
            answer = Unanswered(f"stream {stream!r} is not watched any more")
        self.counts[type(answer).__name__] += 1
        if isinstance(answer, Unanswered):
            self._say(stream, resource_uri, answer)
        else:
            self._last_failure = ""
        self._submit(Looked(stream, resource_uri, asked, answer, self._now()))

    async def _answer(self, stream: str, resource_uri: str) -> Answer:
        """Ask; once more after a second if there was no answer and the deadline allows."""
        client = self._clients.get(stream)
        if client is None:
            return Unanswered(f"stream {stream!r} has no REST API")
        deadline = self._clock.seconds() + LOOK_UP_DEADLINE_SECONDS
        answer = await client.get_resource(resource_uri, LOOK_UP_DEADLINE_SECONDS)
        left = deadline - self._clock.seconds() - 2 * RETRY_SECONDS
        if isinstance(answer, Unanswered) and left > 0 and not self._stopped:
            await deferLater(self._clock, RETRY_SECONDS)
            answer = await client.get_resource(resource_uri, left)
        return answer

    def _say(self, stream: str, resource_uri: str, answer: Unanswered) -> None:
        """Warn once of a failure; the same one repeated is only counted."""
        if answer.reason == self._last_failure:
            return
        self._last_failure = answer.reason
        self._log.warn(
            "{stream}: look-up of {resource_uri} failed: {reason}",
            stream=stream,
            resource_uri=resource_uri,
            reason=answer.reason,
        )

    def stop(self) -> None:
        """End every look-up; none is submitted any more."""
        self._stopped = True
        self._queue.clear()
        for task in list(self._tasks):
            task.cancel()
