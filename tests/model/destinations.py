"""Destinations as the watcher meets them: what they do with a request, and what they answer."""

from __future__ import annotations

import json
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock

from tests.model.happened import HAPPENED
from tests.model.ledger import Ledger, require
from tutumwatch.http import NoResponse, Request, Response
from tutumwatch.notifiers.contract import Pace
from tutumwatch.rules.notice import Form, Notice

ANSWER_SECONDS = 0.05
SLOW_SECONDS = 3.0


@attrs.frozen
class _Behaviour:
    """``status`` 0: no answer; ``seconds`` until it, inf: never."""

    counted: str = ""
    status: int = 200
    acts: bool = False
    seconds: float = ANSWER_SECONDS
    retry_after: float | None = None
    never_sent: bool = False


class Manner(Enum):
    """How a destination meets a request."""

    ACCEPT = _Behaviour(acts=True)
    ACCEPT_SLOWLY = _Behaviour(acts=True, seconds=SLOW_SECONDS)
    ACCEPT_MUTELY = _Behaviour(
        "answer: accepted, and then no answer in time", 0, acts=True, seconds=float("inf")
    )
    LOSE = _Behaviour("answer: nothing arrived, and no answer in time", 0, seconds=float("inf"))
    ACCEPT_AND_CLOSE = _Behaviour("answer: accepted, and the connection closed", 0, acts=True)
    FAIL = _Behaviour("answer: 500", 500)
    ACCEPT_AND_FAIL = _Behaviour("answer: accepted, and 500", 500, acts=True)
    THROTTLE = _Behaviour("answer: 429 with Retry-After", 429, retry_after=7.0)
    THROTTLE_LONG = _Behaviour("answer: 429 with Retry-After", 429, retry_after=90.0)
    REFUSE_CONNECTION = _Behaviour("answer: connection refused", 0, never_sent=True)
    REFUSE_PAYLOAD = _Behaviour("answer: 400", 400)


REFUSE_KEY = _Behaviour("answer: 401", 401)


@attrs.define(eq=False)
class _InFlight:
    """A request that is not answered yet."""

    batch: Sequence[Notice]
    acted: bool
    lanes: set[tuple[str, str]]
    call: IDelayedCall = attrs.field(init=False)
    answered: Deferred[Response | NoResponse] = attrs.field(init=False)


@attrs.define(eq=False)
class ModelDestination:
    """One destination over all lives of the watcher; an HTTPCaller for the life that is.

    ``batch``: what the next request is to say, noted by whoever hands it to the notifier. ``key``:
    the credential that is accepted.
    """

    name: str
    pace: Pace
    _ledger: Ledger
    _now: Callable[[], float]
    key: str
    manner: Manner = Manner.ACCEPT
    next_manners: deque[Manner] = attrs.field(factory=deque)
    # The keys of which it fails to hear, each time.
    hated: set[str] = attrs.field(factory=set)
    clock: Clock = attrs.field(factory=Clock)
    batch: Sequence[Notice] = ()
    # What PagerDuty shows: the keys of the incidents that are open.
    open_keys: set[str] = attrs.field(factory=set)
    _in_flight: list[_InFlight] = attrs.field(factory=list)
    # Requests of this life that were acted on and of which the watcher has not noted the end.
    _unended: list[_InFlight] = attrs.field(factory=list)
    _was_refusing: bool = False

    def send(self, request: Request, deadline_seconds: float) -> Deferred[Response | NoResponse]:
        """Meet a request; what the watcher would take for a bug of ours is kept for the history."""
        try:
            return self._meet(request, deadline_seconds)
        except Exception:
            self._ledger.broken.append(traceback.format_exc())
            raise

    def _meet(self, request: Request, deadline_seconds: float) -> Deferred[Response | NoResponse]:
        batch = self.batch
        self._ledger.arrives(batch, self._now())
        self._hold_limits(batch)
        key, body = _read(request)
        behaviour = REFUSE_KEY if key != self.key else self._next_manner(batch).value
        lanes = self._ledger.lanes([notice.id for notice in batch])
        flight = _InFlight(batch, behaviour.acts, lanes)
        if behaviour.acts:
            self._act(batch, body)
        self._in_flight.append(flight)
        earlier = (f for f in self._unended if not any(notice in batch for notice in f.batch))
        self._unended = [*earlier, flight]
        seconds = min(behaviour.seconds, deadline_seconds)
        flight.call = self.clock.callLater(seconds, self._answer, flight, behaviour)
        flight.answered = Deferred(lambda _: self._cancel(flight))
        return flight.answered

    def _next_manner(self, batch: Sequence[Notice]) -> Manner:
        if any(notice.key in self.hated for notice in batch):
            return Manner.FAIL
        return self.next_manners.popleft() if self.next_manners else self.manner

    def _hold_limits(self, batch: Sequence[Notice]) -> None:
        limit = self.pace.concurrency_count
        require(len(self._in_flight) < limit, f"{self.name}: more than {limit} at once")
        require(len(batch) <= self.pace.batch_count, f"{self.name}: {len(batch)} in one request")
        lanes = self._ledger.lanes([notice.id for notice in batch])
        require(len(lanes) == len(batch), f"{self.name}: a lane twice in one request")
        for flight in self._in_flight:
            require(not lanes & flight.lanes, f"{self.name}: two of one lane at once")
        if len(batch) > 1:
            HAPPENED["sent in one request"] += 1

    def _act(self, batch: Sequence[Notice], body: Mapping[str, Any]) -> None:
        self._ledger.accepts(batch)
        if "dedup_key" not in body:
            said = "\n".join(notice.text for notice in batch)
            require(body["text"] == said, f"{self.name} hears {body['text']!r}, not {said!r}")
            return
        (notice,) = batch
        key, action = body["dedup_key"], body["event_action"]
        require(key == notice.key, f"{self.name} hears of {key!r}, not {notice.key!r}")
        require(action == notice.form.value, f"{self.name} hears {action!r} in {notice}")
        if notice.form is Form.TRIGGER:
            HAPPENED["opened an incident"] += key not in self.open_keys
            self.open_keys.add(key)
        else:
            is_open = key in self.open_keys
            HAPPENED["closed an incident" if is_open else "dropped an orphan"] += 1
            self.open_keys.discard(key)

    def _answer(self, flight: _InFlight, behaviour: _Behaviour) -> None:
        self._in_flight.remove(flight)
        self._count(behaviour)
        status = behaviour.status
        if status in {400, 401, 429} or behaviour.never_sent:
            self._ledger.refuses(flight.batch, for_good=status == 400)
        elif status != 200 and behaviour.acts:
            self._ledger.may_repeat[self.name] += len(flight.batch)
        if status:
            body = b"ok" if status == 200 else b"no"
            flight.answered.callback(Response(status, body, behaviour.retry_after))
            return
        timed_out = behaviour.seconds == float("inf")
        flight.answered.callback(
            NoResponse(timed_out, "no answer", surely_unsent=behaviour.never_sent)
        )

    def _count(self, behaviour: _Behaviour) -> None:
        if behaviour is REFUSE_KEY:
            self._was_refusing = True
        elif self._was_refusing and behaviour.status == 200:
            self._was_refusing = False
            HAPPENED["destination: accepts again after 401"] += 1
        if behaviour.status == 429:
            HAPPENED[f"{behaviour.counted} for the {self.pace.retry_after}"] += 1
        elif behaviour.counted:
            HAPPENED[behaviour.counted] += 1

    def _cancel(self, flight: _InFlight) -> None:
        flight.call.cancel()
        self._in_flight.remove(flight)
        if flight.acted:
            self._ledger.may_repeat[self.name] += len(flight.batch)
        flight.answered.callback(NoResponse(timed_out=True, sentence="ended by us"))

    def new_life(self, clock: Clock) -> None:
        """Begin with another process."""
        self.clock = clock
        self._in_flight.clear()
        self._unended.clear()
        self.batch = ()

    def is_under_way(self) -> bool:
        """Say whether a request is not answered."""
        return bool(self._in_flight)

    def crashed(self) -> None:
        """Count what must be repeated because a process ended: its concurrency at the most."""
        sending = self._ledger.sending(self.name)
        unended = [
            flight
            for flight in self._unended
            if flight.acted and any(notice.id in sending for notice in flight.batch)
        ]
        limit = self.pace.concurrency_count
        require(len(unended) <= limit, f"{self.name}: {len(unended)} requests are not ended")
        self._ledger.may_repeat[self.name] += len(unended)


def _read(request: Request) -> tuple[str, Mapping[str, Any]]:
    """Give the credential of a request and what it says."""
    body = json.loads(request.body or b"{}")
    return body.get("routing_key") or request.url.reveal().rpartition("/")[2], body
