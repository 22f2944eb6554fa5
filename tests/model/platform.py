"""The platform: what there is, its stream of events, and its REST API."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock

from tests.model.happened import HAPPENED
from tutumwatch.events.inputs import CONNECTED, DISCONNECTED, UNAUTHORIZED, Link, LinkType
from tutumwatch.http import NoResponse, Request, Response

STREAM = "main"
DIAL_SECONDS = 0.5
DIAL_AGAIN_SECONDS = 5.0
ANSWER_SECONDS = 0.05
LATE_SECONDS = 4.0
REPEATABLE_COUNT = 20
_PARENT_OF = {"container": "service", "service": "stack"}


@attrs.define
class Thing:
    """A resource of the platform; ``state`` None: there is none (any more)."""

    uri: str
    type: str
    parent: str | None
    state: str | None = None

    def to_object(self) -> dict[str, Any]:
        """Give it as the REST API does."""
        name = self.uri.strip("/").rpartition("/")[2]
        known = {"resource_uri": self.uri, "name": f"name-of-{name}", "state": self.state}
        return known | ({_PARENT_OF[self.type]: self.parent} if self.parent else {})


def _things() -> dict[str, Thing]:
    parents = {"stack": ("", 0), "service": ("stack", 2), "container": ("service", 4)}
    counts = {"stack": 2, "service": 4, "container": 10}
    made = {}
    for type_, count in counts.items():
        of, of_count = parents[type_]
        for number in range(count):
            uri = f"/api/v1/{type_}/{type_[0]}{type_[2]}{number}/"
            parent = f"/api/v1/{of}/{of[0]}{of[2]}{number % of_count}/" if of else None
            made[uri] = Thing(uri, type_, parent)
    return made


class Rest(Enum):
    """How the REST API answers."""

    OK = "ok"
    FAILS = "fails"
    LATE = "late"
    NEVER = "never"
    REFUSES = "refuses"


@attrs.define(eq=False)
class Platform:
    """What there is, over all lives of the watcher.

    ``network``: the state that the stream has, or would have if it were dialled.
    """

    things: dict[str, Thing] = attrs.field(factory=_things)
    network: str = CONNECTED
    rest: Rest = Rest.OK
    said: deque[bytes] = attrs.field(factory=lambda: deque(maxlen=REPEATABLE_COUNT))
    _event_count: int = 0
    # What each event that was not sent yet tells.
    _kinds: dict[bytes, str] = attrs.field(factory=dict)

    def change(self, thing: Thing, state: str | None, *, with_uuid: bool) -> bytes:
        """Let something happen, and give the event that tells of it."""
        self._event_count += 1
        kind = "same" if state == thing.state else "changed"
        if state is None:
            kind = "gone" if thing.state is not None else "same"
        elif thing.state is None:
            kind = "new"
        thing.state = state
        action = {"new": "create", "gone": "delete"}.get(kind, "update")
        event: dict[str, Any] = {
            "type": thing.type,
            "action": action if state is not None else "delete",
            "state": state or "Terminated",
            "resource_uri": thing.uri,
            "parents": [thing.parent] if thing.parent else [],
        }
        if with_uuid:
            event["uuid"] = f"uuid-{self._event_count}"
        payload = json.dumps(event).encode()
        self._kinds[payload] = kind
        return payload

    def count(self, payload: bytes, *, seen: bool) -> None:
        """Count an event that was sent, or could not be."""
        kind = self._kinds.pop(payload, None)
        if not seen:
            HAPPENED["event: unseen, the stream was down"] += 1
        elif kind is not None:
            HAPPENED[f"event: {kind}"] += 1
            HAPPENED["event: without a uuid"] += b'"uuid"' not in payload


@attrs.define(eq=False)
class _Asked:
    """A call that is not answered yet."""

    counted: str
    answer: Response | NoResponse
    call: IDelayedCall = attrs.field(init=False)
    answered: Deferred[Response | NoResponse] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.answered = Deferred(self._cancelled)

    def end(self) -> None:
        """Answer it."""
        HAPPENED[self.counted] += bool(self.counted)
        self.answered.callback(self.answer)

    def _cancelled(self, answered: Deferred[Response | NoResponse]) -> None:
        self.call.cancel()
        answered.callback(NoResponse(timed_out=True, sentence="ended by us"))


@attrs.define(eq=False)
class ModelRest:
    """The REST API for one life: an HTTPCaller.

    :param counts: whether these are look-ups, each of which is counted.
    """

    _platform: Platform
    _clock: Clock
    _counts: bool

    def send(self, request: Request, deadline_seconds: float) -> Deferred[Response | NoResponse]:
        """Answer, as things are when it is asked."""
        path = urlsplit(request.url.reveal()).path
        thing = self._platform.things.get(path)
        counted, seconds, answer = self._answer(path, thing)
        asked = _Asked(counted if self._counts else "", answer)
        asked.call = self._clock.callLater(min(seconds, deadline_seconds), asked.end)
        return asked.answered

    def _answer(self, path: str, thing: Thing | None) -> tuple[str, float, Response | NoResponse]:
        match self._platform.rest:
            case Rest.FAILS:
                return "look-up: failed", ANSWER_SECONDS, Response(503, b"")
            case Rest.REFUSES:
                return (
                    "look-up: failed",
                    ANSWER_SECONDS,
                    NoResponse(timed_out=False, sentence="refused"),
                )
            case Rest.NEVER:
                silence = NoResponse(timed_out=True, sentence="no answer")
                return "look-up: never answered", float("inf"), silence
            case rest:
                late = rest is Rest.LATE
                found = self._found(path, thing)
                said = "found" if found.status == 200 else "missing"
                seconds = LATE_SECONDS if late else ANSWER_SECONDS
                return f"look-up: {'late' if late else said}", seconds, found

    def _found(self, path: str, thing: Thing | None) -> Response:
        parts = path.strip("/").split("/")
        if len(parts) == 3:  # a list: /api/v1/TYPE/
            things = [t for t in self._platform.things.values() if t.type == parts[2]]
            objects = [t.to_object() for t in things if t.state is not None]
            body = {"meta": {"total_count": len(objects)}, "objects": objects}
            return Response(200, json.dumps(body).encode())
        if thing is None or thing.state is None:
            return Response(404, b"")
        return Response(200, json.dumps(thing.to_object()).encode())


class ModelStream(Service):
    """The stream for one life: dials, is lost, is refused; reads when it may."""

    def __init__(
        self,
        platform: Platform,
        clock: Clock,
        now: Callable[[], float],
        receive: Callable[[str, bytes], None],
        submit: Callable[[Link], None],
    ) -> None:
        """Make the stream."""
        self.setName(f"stream:{STREAM}")
        self._platform = platform
        self._clock = clock
        self._now = now
        self._receive = receive
        self._submit = submit
        self._state: str | None = None
        self._is_suspended = False
        self._is_paused = False
        self._unread: deque[bytes] = deque()
        self._dialling = clock.callLater(0.0, lambda: None)

    def startService(self) -> None:
        """Dial."""
        super().startService()
        self._dial_in(DIAL_SECONDS)

    def _dial_in(self, seconds: float) -> None:
        if self._dialling.active():
            self._dialling.cancel()
        self._dialling = self._clock.callLater(seconds, self._dial)

    def _dial(self) -> None:
        self._become(self._platform.network)
        if self._state != CONNECTED:
            self._dial_in(DIAL_AGAIN_SECONDS)

    def _become(self, state: str) -> None:
        if state == self._state:
            return
        if state == CONNECTED and self._state is not None:
            HAPPENED["stream: back"] += 1
        elif state == UNAUTHORIZED:
            HAPPENED["stream: unauthorized"] += 1
        elif self._state == CONNECTED:
            HAPPENED["stream: lost"] += 1
        self._state = state
        self._submit(Link(LinkType.STREAM, STREAM, state, "as told", self._now()))

    def network_changed(self) -> None:
        """Notice that the network changed."""
        if self.running and self._state == CONNECTED != self._platform.network:
            self._unread.clear()
            self._become(self._platform.network)
            self._dial_in(DIAL_SECONDS)
        elif self.running and not self._is_suspended and self._state != CONNECTED:
            self._dial_in(DIAL_SECONDS)

    def send(self, payload: bytes) -> bool:
        """Send an event, if anybody listens."""
        if not self.running or self._state != CONNECTED:
            return False
        if self._is_paused:
            self._unread.append(payload)
        else:
            self._receive(STREAM, payload)
        return True

    def pause(self) -> None:
        """Read no further."""
        self._is_paused = True

    def resume(self) -> None:
        """Read on."""
        self._is_paused = False
        while self._unread and not self._is_paused:
            self._receive(STREAM, self._unread.popleft())

    def suspend(self, reason: str) -> None:
        """Hang up, and stay away."""
        if not self.running:
            return
        HAPPENED["disk: streams suspended after 20 s"] += 1
        self._is_suspended = True
        self._unread.clear()
        if self._dialling.active():
            self._dialling.cancel()
        self._become(DISCONNECTED)

    def redial(self) -> None:
        """Dial at once."""
        self._is_suspended = False
        if self.running and self._state != CONNECTED:
            self._dial_in(DIAL_SECONDS)

    async def stop(self) -> None:
        """Hang up for good."""
        self.running = False
        if self._dialling.active():
            self._dialling.cancel()

    def stopService(self) -> Deferred[None]:
        """See :meth:`stop`."""
        return Deferred.fromCoroutine(self.stop())
