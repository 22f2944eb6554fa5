"""Fake services that keep books: which life of the watcher each request came from, what it did.

They fail at random, as real ones do, and kill the watcher at a request when they are told to.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

import attrs
from twisted.internet import reactor
from twisted.web.server import Request

from tests.fakes.answers import OWN_ANSWER, Answer
from tests.fakes.pagerduty import FakePagerDuty
from tests.fakes.scripted import Received, ScriptedServer
from tests.fakes.slack import FakeSlack
from tests.fakes.tutum import LIST_PATH, FakeTutum
from tests.torture.boundaries import Outside

ANSWER_MAX_SECONDS = 0.015
# Slack finds fault with what tells of every so many-th event, each time.
BAD_EVERY_COUNT = 61
BAD_PAYLOAD = Answer(400, "invalid_payload")

# A text reads like this: /api/v1/service/7/ is Running-123 of shop (details unknown)
_TEXT = re.compile(r"(?P<uri>/\S+) is \D+-(?P<number>\d+)\b")
Told: TypeAlias = tuple[str, int]
"""What a text tells of: a resource_uri, and the number of the event of it."""


def told_by(text: str) -> Told | None:
    """Read what a text tells of; None for a summary."""
    found = _TEXT.match(text)
    return (found["uri"], int(found["number"])) if found is not None else None


@attrs.define
class Mood:
    """How a service answers: mostly well and soon.

    ``failing``: the share of requests that fail. ``life``: how often the watcher was started.
    ``lost_answer``: the request that is being answered is acted on, and its answer lost, while the
    watcher lives on.
    """

    dice: random.Random
    failing: float = 0.1
    life: int = 0
    lost_answer: bool = False
    _kill: Callable[[], object] | None = None
    _moment: Outside | None = None
    _number: int = 0

    def doom(self, kill: Callable[[], object], moment: Outside, number: int) -> None:
        """Kill at the ``number``-th request from now on."""
        self._kill, self._moment, self._number = kill, moment, number

    def next_answer(self, failures: Sequence[Answer]) -> tuple[Answer, Callable[[], object] | None]:
        """Give the answer to the next request, and what kills when it was acted on."""
        self._number -= 1
        kill, self.lost_answer = self._kill, False
        if kill is None or self._number != 0:
            return self._usual_answer(failures), None
        match self._moment:
            case Outside.REQUEST_ACCEPTED:
                return Answer.accept_then_hang(), kill
            case Outside.REQUEST_ANSWERED:
                return OWN_ANSWER, lambda: reactor.callLater(0, kill)
            case Outside.TIMED_OUT:
                self.lost_answer = True
                return Answer.accept_then_hang(), None
            case _:
                return Answer.hang(), kill

    def _usual_answer(self, failures: Sequence[Answer]) -> Answer:
        if self.dice.random() >= self.failing:
            delay = self.dice.uniform(0.0, ANSWER_MAX_SECONDS)
            return attrs.evolve(OWN_ANSWER, delay_seconds=delay)
        answer = self.dice.choice(failures)
        self.lost_answer = answer.is_processed
        return answer

    def said_again(self) -> None:
        """Take note that something was accepted that had been accepted before."""
        if self._moment is Outside.TIMED_OUT and self._number < 0 and self._kill is not None:
            self._kill()


def answered_in_mood(
    server: ScriptedServer,
    mood: Mood,
    failures: Sequence[Answer],
    respond: Callable[[Request], int],
    request: Request,
) -> int:
    """Answer a request as the mood is."""
    answer, kill = mood.next_answer(failures)
    server.answer_next(answer)
    done = respond(request)
    if kill is not None:
        kill()
    return done


@attrs.frozen
class Said:
    """A request that Slack acted on: its lines, and the life that sent it.

    ``lost_answer``: the watcher lived on and could not know that it had been acted on.
    """

    life: int
    lines: tuple[str, ...]
    lost_answer: bool = False

    def told(self) -> list[Told]:
        """Give what its lines tell of."""
        told = (told_by(line) for line in self.lines)
        return [one for one in told if one is not None]

    @property
    def is_bad(self) -> bool:
        """Whether Slack finds fault with one of its lines."""
        return any(number % BAD_EVERY_COUNT == 0 for _, number in self.told())


class BookkeepingSlack(FakeSlack):
    """A webhook without any memory of its own: what is sent twice stands there twice.

    ``refused``: the requests that it found fault with; a notice alone in one is given up then.
    ``told_count``: how many lines it accepted that tell of events of services and containers.
    """

    mood: Mood

    def __init__(self, reactor: object) -> None:
        super().__init__(reactor)  # type: ignore[arg-type] # ScriptedServer.listen passes it on
        self.said: list[Said] = []
        self.refused: list[Said] = []
        self.told_count = 0

    def respond(self, request: Request) -> int:
        """Answer in the mood."""
        failures = [Answer(500), Answer(503), Answer.throttled(), Answer.reset()]
        failures += [Answer.accept_then_reset(), Answer(502), Answer(500), Answer.throttled(1)]
        return answered_in_mood(self, self.mood, failures, super().respond, request)

    def process(self, request: Received) -> Answer:
        """Take note of a message that is accepted, and of one that is not."""
        lines = tuple(str(request.json()["text"]).split("\n"))
        said = Said(self.mood.life, lines, self.mood.lost_answer)
        if said.is_bad:
            self.refused.append(said)
            return BAD_PAYLOAD
        told = set(said.told())
        if any(told.intersection(earlier.told()) for earlier in self.said):
            self.mood.said_again()
        self.said.append(said)
        self.told_count += sum("/node" not in uri for uri, _ in said.told())
        return super().process(request)


@attrs.frozen
class Paged:
    """An event that PagerDuty accepted; ``effect``: "opened", "closed", or nothing."""

    life: int
    action: str
    key: str
    text: str
    effect: str
    lost_answer: bool = False


class BookkeepingPagerDuty(FakePagerDuty):
    """An Events API that tells what each event did."""

    mood: Mood

    def __init__(self, reactor: object) -> None:
        super().__init__(reactor)  # type: ignore[arg-type] # ScriptedServer.listen passes it on
        self.paged: list[Paged] = []

    def respond(self, request: Request) -> int:
        """Answer in the mood."""
        failures = [Answer(500), Answer(503), Answer.throttled(), Answer(403), Answer.reset()]
        failures += [Answer.accept_then_reset(), Answer.accept_then_reset()]
        return answered_in_mood(self, self.mood, failures, super().respond, request)

    def process(self, request: Received) -> Answer:
        """Take note of an event that is accepted."""
        body = json.loads(request.body)
        key = str(body["incident_key"])
        before = key in self.open_keys()
        answer = super().process(request)
        after = key in self.open_keys()
        effect = {(False, True): "opened", (True, False): "closed"}.get((before, after), "")
        action, text, lost = body["event_type"], body["description"], self.mood.lost_answer
        event = Paged(self.mood.life, action, key, text, effect, lost)
        before_it = next((old for old in reversed(self.paged) if old.key == key), None)
        if before_it is not None and (action, text) == (before_it.action, before_it.text):
            self.mood.said_again()
        self.paged.append(event)
        return answer


class MoodyTutum(FakeTutum):
    """A platform whose look-ups fail now and then."""

    mood: Mood

    def respond(self, request: Request) -> int:
        """Answer look-ups in the mood, and all else as ever."""
        path = request.uri.decode("latin-1").partition("?")[0]
        if LIST_PATH.fullmatch(path) or not path.startswith("/api/v1/"):
            return super().respond(request)
        failures = [Answer(500), Answer.reset()]
        return answered_in_mood(self, self.mood, failures, super().respond, request)
