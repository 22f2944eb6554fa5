"""What was said in the last day, to tell what a silence would have withheld of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping

import attrs
import msgspec
from msgspec.structs import replace

from tutumwatch.events.resource_uri import parse_resource_uri
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, ChangeKind, Resource
from tutumwatch.rules.decisions import Owed, RecordName, Settled
from tutumwatch.rules.matchers import Answer
from tutumwatch.rules.messages import NAMED_PARENTS
from tutumwatch.rules.notice import Form, Notice
from tutumwatch.rules.records import Records
from tutumwatch.rules.scopes import Scope
from tutumwatch.rules.view import View

SAID = "said"
SAID_SECONDS = 24 * 3600.0
# About 300 bytes each, in memory and in the store.
SAID_MAX_COUNT = 2_000
TEXT_MAX_CHARS = 200


class Saying(msgspec.Struct, frozen=True, array_like=True):
    """Something that was said once, to one or more notifiers; ``facts`` are a notice's details."""

    number: int
    at: float
    rule: str
    text: str
    notifiers: tuple[str, ...]
    facts: Mapping[str, str]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Saying).decode


@attrs.define
class Said:
    """The last things that were said, at most a day ago, and no more than 2,000.

    Resolves are not among them: who was told of an incident is told of its end.
    """

    _records: Records
    # Encoded, which takes a fourth of the memory.
    _kept: deque[tuple[int, float, bytes]] = attrs.field(factory=deque)
    _count: int = 0

    def note(self, owed: Iterable[Owed], at: float) -> None:
        """Remember what has just been decided to be said."""
        said: dict[tuple[str, str, str], list[Notice]] = {}
        for one in owed:
            notices = one.notices if isinstance(one, Settled) else (one,)
            for notice in notices:
                if isinstance(notice, Notice) and notice.form is not Form.RESOLVE:
                    what = (notice.rule, notice.key, notice.form.value)
                    said.setdefault(what, []).append(notice)
        for notices_of_one in said.values():
            self._keep(notices_of_one, at)
        while self._kept and self._kept[0][1] < at - SAID_SECONDS:
            self._forget_first()

    def _keep(self, notices: list[Notice], at: float) -> None:
        first = notices[0]
        saying = Saying(
            self._count,
            at,
            first.rule,
            first.text[:TEXT_MAX_CHARS],
            tuple(dict.fromkeys(notice.notifier for notice in notices)),
            first.details,
        )
        # By number, because a record that could not be read leaves a gap.
        while self._kept and self._kept[0][0] <= self._count - SAID_MAX_COUNT:
            self._forget_first()
        self._kept.append((self._count, at, _encode(saying)))
        self._records.put(_name(self._count), self._kept[-1][2])
        self._count += 1

    def _forget_first(self) -> None:
        self._records.put(_name(self._kept.popleft()[0]), None)

    def since(self, at: float) -> Iterator[Saying]:
        """Give what was said from a time on, oldest first."""
        return (_decode(encoded) for _, when, encoded in self._kept if when >= at)

    @property
    def is_full(self) -> bool:
        """Whether older things may have been forgotten before their day was over."""
        return len(self._kept) == SAID_MAX_COUNT

    def restore(self, records: Mapping[RecordName, bytes]) -> int:
        """Begin with what was kept; give how many records could not be read."""
        unreadable = 0
        for name, record in records.items():
            if name[0] == SAID:
                try:
                    saying = _decode(record)
                except msgspec.MsgspecError:
                    unreadable += 1
                    self._records.put(name, None)
                else:
                    self._kept.append((saying.number, saying.at, record))
        self._kept = deque(sorted(self._kept))
        self._count = self._kept[-1][0] + 1 if self._kept else 0
        return unreadable

    def save_everything(self) -> None:
        """Count all that is kept as changed."""
        for number, _, encoded in self._kept:
            self._records.put(_name(number), encoded)


def _name(number: int) -> RecordName:
    # The number of names is bounded too; one that comes again replaces what was forgotten.
    return (SAID, str(number % SAID_MAX_COUNT))


@attrs.frozen
class Preview:
    """What a silence would have withheld; ``unsure_count``: more that nobody can tell of."""

    withheld: tuple[Saying, ...]
    unsure_count: int
    said_count: int


def preview(scope: Scope, said: Iterable[Saying], inventory: Inventory) -> Preview:
    """Say what of all that was said lies within a scope.

    A resource that is still known counts as it is now, with the state that it had; of one that is
    gone only what was said of it is known.
    """
    withheld: list[Saying] = []
    unsure = count = 0
    for saying in said:
        count += 1
        answer = scope.judge(saying.rule, _view(saying, inventory))
        if answer is Answer.YES:
            withheld.append(saying)
        unsure += answer is Answer.UNKNOWN
    return Preview(tuple(withheld), unsure, count)


def _view(saying: Saying, inventory: Inventory) -> View:
    facts = saying.facts
    uri = facts.get("resource_uri", "")
    name = parse_resource_uri(uri)
    stream, type_ = facts.get("stream", ""), facts.get("type", "")
    key = (stream, type_, name.uuid if name else facts.get("name", ""))
    known = inventory.get(key)
    if known is None:
        known, inventory = _from_facts(Resource(key, uri, facts.get("name")), facts)
    after = replace(known, state=facts.get("state", known.state))
    change = Change("", ChangeKind.CHANGED, None, after, frozenset(), saying.at)
    return View(inventory, change)


def _from_facts(resource: Resource, facts: Mapping[str, str]) -> tuple[Resource, Inventory]:
    """Make a resource, and an inventory with its parents, of what was said of it."""
    parents = [
        Resource((resource.stream, type_, "said"), f"/api/v1/{type_}/said/", facts[type_])
        for type_ in NAMED_PARENTS
        if type_ in facts
    ]
    if parents:
        uris = tuple(parent.uri for parent in parents)
        resource = replace(resource, parents=uris)
    inventory = Inventory()
    inventory.restore(parents)
    return resource, inventory
