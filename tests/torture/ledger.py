"""The books: what was committed and so is owed, what arrived, and what does not add up."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing, contextmanager
from pathlib import Path

import attrs
from twisted.internet.defer import execute

from tests.fakes.tutum_events import kind_and_uuid
from tests.torture.destinations import Paged, Said, Told, told_by
from tutumwatch.events.inputs import Listed, Message
from tutumwatch.outbox.sqlite.codec import decode_notice
from tutumwatch.outbox.sqlite.rows import DEAD
from tutumwatch.outbox.sqlite.store import SQLiteStore, connect
from tutumwatch.rules.grouping import MANY

# How a text ends that tells of what a listing found.
LATE = " (late)"
_STATE = re.compile(r"\D+-(?P<number>\d+)")


@attrs.frozen
class Violation:
    """Something that does not add up, and the life of the watcher whose end is to blame."""

    what: str
    life: int
    is_loss: bool = False


@attrs.frozen
class Committed:
    """An event that stands in the journal; ``life`` is the one that put it there."""

    number: int
    type: str
    uri: str
    life: int


@attrs.define
class Books:
    """All that was committed, life by life."""

    committed: dict[int, Committed] = attrs.field(factory=dict)
    listings_count: int = 0

    def take_in(self, store: Path, life: int) -> None:
        """Read what a life left in the journal."""
        with copied(store) as copy:
            restored = SQLiteStore(str(copy), connect, time.time, execute, lambda: None).restore()
        inputs = [*restored.earlier, *restored.later]
        self.listings_count = sum(isinstance(item, Listed) for item in inputs)
        for item in inputs:
            event = json.loads(item.payload) if isinstance(item, Message) else {}
            state = _STATE.fullmatch(event.get("state", ""))
            if state is not None:
                number = int(state["number"])
                self.committed.setdefault(
                    number, Committed(number, event["type"], event["resource_uri"], life)
                )

    def owed(self, type_: str) -> dict[Told, int]:
        """Give what was to be said of the events of a type, and the life that owed it first."""
        return {(c.uri, c.number): c.life for c in self.committed.values() if c.type == type_}


@contextmanager
def copied(store: Path) -> Iterator[Path]:
    """Copy a store's file, so that the next watcher finds it as the last one left it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / store.name
        for suffix in ("", "-wal"):
            part = store.with_name(store.name + suffix)
            if part.exists():
                shutil.copy(part, copy.with_name(copy.name + suffix))
        yield copy


def left_over(store: Path) -> tuple[list[str], set[Told]]:
    """Give what a store still owes, and what it gave up, as texts tell of it."""
    with copied(store) as copy, closing(connect(str(copy))) as connection:
        rows = connection.execute("SELECT state, key, notice FROM deliveries").fetchall()
        waiting = connection.execute("SELECT id FROM waiting").fetchall()
    owed = [key for state, key, _ in rows if state != DEAD] + [f"waiting {w}" for (w,) in waiting]
    return owed, told_of(decode_notice(notice).text for state, _, notice in rows if state == DEAD)


def told_of(texts: Iterable[str]) -> set[Told]:
    """Read what some texts tell of."""
    return {told for text in texts if (told := told_by(text)) is not None}


def missing(
    owed: Mapping[Told, int], said: Sequence[Said], dead: AbstractSet[Told]
) -> list[Violation]:
    """Find what was owed and neither arrived nor is a dead letter."""
    arrived = {told for request in said for told in request.told()} | dead
    return [
        Violation(f"{uri}, event {number}: lost", owed[uri, number], is_loss=True)
        for uri, number in owed.keys() - arrived
    ]


def told_too_soon(
    owed: Mapping[Told, int], said: Sequence[Said], type_: str
) -> Iterator[Violation]:
    """Find events of a type that were told before they were committed.

    What a listing found is no event.
    """
    for request in said:
        lines = [line for line in request.lines if LATE not in line]
        for uri, number in Said(request.life, tuple(lines)).told():
            is_owed = owed.get((uri, number), request.life + 1) <= request.life
            if kind_and_uuid(uri)[0] == type_ and not is_owed:
                yield Violation(f"{uri}: event {number} told, and not committed", request.life)


def out_of_order(said: Sequence[Said]) -> Iterator[Violation]:
    """Find what was told of a resource for the first time after something later was."""
    last: dict[str, int] = {}
    seen: set[Told] = set()
    for request in said:
        for uri, number in request.told():
            if (uri, number) in seen:
                continue
            seen.add((uri, number))
            if number < last.get(uri, 0):
                yield Violation(f"{uri}: event {number} told after {last[uri]}", request.life)
            last[uri] = max(number, last.get(uri, 0))


@attrs.define
class Repeats:
    """Repeated requests, by the life whose kill they are due to.

    ``lost_answers``: how many are due to an answer that was lost, and to no kill; ``one_by_one``:
    to a destination that found fault with what had been repeated together.
    """

    by_life: dict[int, list[Said]] = attrs.field(factory=dict)
    lost_answers: int = 0
    one_by_one: int = 0
    violations: list[Violation] = attrs.field(factory=list)

    def count(self, request: Said, earlier: Sequence[Said]) -> None:
        """Count a request.

        :param earlier: when what is in it was accepted last, for each that was accepted before.
        """
        lives = [one.life for one in earlier if not one.lost_answer]
        if not lives:
            self.lost_answers += bool(earlier)
        elif max(lives) == request.life:
            what = f"{request.lines[0]} said twice in one life"
            self.violations.append(Violation(what, request.life))
        else:
            self.by_life.setdefault(max(lives), []).append(request)

    def counts(self) -> dict[int, int]:
        """Give how many are due to each life's kill."""
        return {life: len(requests) for life, requests in self.by_life.items()}

    def above(self, concurrency: int) -> Iterator[Violation]:
        """Find the kills that led to more repeated requests than may have been under way."""
        for life, requests in self.by_life.items():
            if len(requests) > concurrency:
                sizes = ", ".join(f"{len(one.lines)} in life {one.life}" for one in requests)
                yield Violation(
                    f"{len(requests)} repeated requests ({sizes}), and at most {concurrency} were "
                    "under way",
                    life,
                )


def repeats_of(said: Sequence[Said], refused: Sequence[Said] = ()) -> Repeats:
    """Count the requests that repeat what was accepted before.

    :param refused: those that were found fault with: what was in them is sent one by one.
    """
    repeats = Repeats()
    singly = {(one.life, told) for one in refused if len(one.lines) > 1 for told in one.told()}
    accepted: dict[Told, Said] = {}
    for request in said:
        told = request.told()
        earlier = [accepted[one] for one in told if one in accepted]
        if earlier and len(told) == 1 and (request.life, told[0]) in singly:
            repeats.one_by_one += 1
        else:
            repeats.count(request, earlier)
        accepted |= dict.fromkeys(told, request)
    return repeats


def paging_faults(
    paged: Sequence[Paged], open_keys: Iterable[str], broken: AbstractSet[str], life: int
) -> Iterator[Violation]:
    """Find what PagerDuty was told that opened twice, closed too early, or stays as it is not.

    Incidents are told of one by one, or as the group with the key MANY.
    """
    yield from _wrong_effects([event for event in paged if event.key != MANY])
    yield from out_of_order([_as_said(event, event.text) for event in paged])
    is_open = set(open_keys)
    for key in is_open - broken - {MANY}:
        yield Violation(f"{key}: well, and its incident is open", life)
    grouped = broken - is_open
    if MANY not in is_open:
        for key in grouped:
            yield Violation(f"{key}: broken, and no incident is open", life, is_loss=True)
    elif not grouped:
        yield Violation(f"{MANY}: open, and there are none", life)


def _wrong_effects(paged: Sequence[Paged]) -> Iterator[Violation]:
    opened_by: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    told_keys: set[str] = set()
    for event in paged:
        name = f"{event.action} of {event.key} ({event.text})"
        is_repeat = (event.key, event.text) in seen
        # With an empty store the watcher resolves what a process before it may have opened.
        is_orphan = event.action == "resolve" and event.key not in told_keys
        seen.add((event.key, event.text))
        told_keys.add(event.key)
        if is_repeat and event.effect:
            yield Violation(f"{name}: repeated, and {event.effect} an incident", event.life)
        elif event.effect == "opened":
            opened_by[event.key] = event.text
        elif event.effect == "closed" and not _comes_after(event.text, opened_by[event.key]):
            yield Violation(f"{name}: closed what was opened later", event.life)
        elif not event.effect and not is_repeat and not is_orphan:
            yield Violation(f"{name}: had no effect", event.life)


def _comes_after(text: str, earlier: str) -> bool:
    told, before = told_by(text), told_by(earlier)
    return told is not None and before is not None and told[1] > before[1]


def _as_said(event: Paged, line: str) -> Said:
    return Said(event.life, (line,), event.lost_answer)


def paging_repeats(paged: Sequence[Paged]) -> Repeats:
    """Count the events that repeat what was accepted before.

    What is said of a group may be said again of the next one: only one that follows its like
    repeats it.
    """
    said: list[Said] = []
    last, number = ("", ""), 0
    for event in paged:
        line = event.text
        if event.key == MANY:
            number += (event.action, event.text) != last
            last = (event.action, event.text)
            line = f"/group/ is {event.action}-{number}"
        said.append(_as_said(event, line))
    return repeats_of(said)
