"""Histories for tests: a small platform, and who watches it on a virtual time, over restarts.

A history is a list of steps. What the platform does, how its REST API answers and what people do is
in the steps; which look-ups are made, and when Ticks are due, comes of the decisions.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import Any, TypeAlias

import attrs

from tests.fakes.tutum_events import kind_and_uuid, uri_of
from tests.rules.world import notices
from tests.scenarios.harness import own_rules
from tests.scenarios.kept import Kept
from tutumwatch.events.inputs import (
    CONNECTED,
    DISCONNECTED,
    LOOK_UP_DEADLINE_SECONDS,
    Answer,
    Drop,
    Found,
    Input,
    Link,
    LinkType,
    Listed,
    Looked,
    Message,
    Missing,
    OwedRow,
    Reloaded,
    Resolve,
    Retry,
    Silence,
    Started,
    Tick,
    Unanswered,
    Unsilence,
)
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.outbox.store import Restored
from tutumwatch.resources.catchup import LISTED_TYPES, SETTLE_SECONDS
from tutumwatch.restart import restore
from tutumwatch.rules.decider import Decider
from tutumwatch.rules.decisions import Decisions, WaitingRow
from tutumwatch.rules.members import Phase
from tutumwatch.rules.notice import Form, Notice
from tutumwatch.rules.rule_set import RuleSet

STREAM = "main"
BEGUN_AT = 1_800_000_000.0  # 08:00 UTC on a Friday
ANSWER_SECONDS, LATE_SECONDS = 1.0, 4.0
LIST_AGAIN_SECONDS = 30.0
TICKS_AT_ONCE_MAX_COUNT = 500
SETTLED_SECONDS = 2_000.0
DEADLINE_SECONDS = 180.0

_SHOP, _PAY = uri_of("stack", "k1"), uri_of("stack", "k2")
_CLUSTER = uri_of("nodecluster", "nc1")
_SERVICES = {"s1": ("web", _SHOP), "s2": ("db", _SHOP), "s3": ("till", _PAY), "s4": ("cron", _SHOP)}
CONTAINERS_COUNT = 14


def _objects() -> dict[str, dict[str, Any]]:
    """Make all that there is: two stacks with their services, two nodes, many containers."""
    objects: dict[str, dict[str, Any]] = {
        _SHOP: {"name": "shop", "state": "Running"},
        _PAY: {"name": "pay", "state": "Running"},
        _CLUSTER: {"name": "cluster", "state": "Deployed"},
    }
    for number in (1, 2):
        objects[uri_of("node", f"n{number}")] = {
            "external_fqdn": f"node-{number}",
            "state": "Deployed",
            "node_cluster": _CLUSTER,
        }
    for uuid, (name, stack) in _SERVICES.items():
        objects[uri_of("service", uuid)] = {
            "name": name,
            "state": "Running",
            "stack": stack,
            "image_name": f"{name}:1",
            "target_num_containers": 2,
            "running_num_containers": 2,
        }
    for number in range(CONTAINERS_COUNT):
        service = "s2" if number == 10 else "s3" if number > 10 else "s1"
        objects[uri_of("container", f"c{number}")] = {
            "name": f"{_SERVICES[service][0]}-{number}",
            "state": "Running",
            "service": uri_of("service", service),
            "node": uri_of("node", f"n{1 + number % 2}"),
        }
    return {uri: {"resource_uri": uri, **fields} for uri, fields in objects.items()}


ORIGINALS = _objects()
URIS = tuple(ORIGINALS)
_PARENTS = ("service", "stack", "node", "node_cluster")
_RUNNING_COUNTS = {"Running": 2, "Partly running": 1, "Redeploying": 1, "Stopped": 0}
# What may become of each type: a state, and more fields of its object.
BECOMES: Mapping[str, Sequence[tuple[str, Mapping[str, Any]]]] = {
    "stack": [("Running", {}), ("Stopped", {}), ("Terminated", {})],
    "nodecluster": [("Deployed", {}), ("Partly deployed", {})],
    "node": [("Deployed", {}), ("Unreachable", {}), ("Unreachable", {}), ("Terminated", {})],
    "service": [
        ("Running", {}),
        ("Stopped", {}),
        ("Partly running", {}),
        ("Redeploying", {}),
        ("Running", {"image_name": "other:2"}),
        ("Redeploying", {"update_state": "updating"}),
        ("Running", {"update_state": "completed"}),
        ("Partly running", {"update_state": "paused"}),
        ("Terminated", {}),
    ],
    "container": [
        ("Running", {}),
        ("Stopped", {"exit_code": 1}),
        ("Stopped", {"exit_code": 0}),
        ("Stopped", {"exit_code": 137, "exit_code_msg": "OOM"}),
        ("Stopping", {}),
        ("Terminated", {}),
    ],
}


def type_of(uri: str) -> str:
    """Give the type that a resource_uri names."""
    return kind_and_uuid(uri)[0]


class Tell(Enum):
    """How much an event tells."""

    ALL = "all"
    PARENTS = "parents"
    LITTLE = "little"


class Manner(Enum):
    """How the REST API answers."""

    OK = "ok"
    LATE = "late"
    FAILS = "fails"
    SILENT = "silent"


# -- steps


@attrs.frozen
class Happens:
    """Something happens to a resource, and an event tells of it, if anybody listens."""

    uri: str
    becomes: int
    tell: Tell = Tell.ALL
    uuid: str = ""
    is_lost: bool = False


@attrs.frozen
class AllHappens:
    """The same happens to all containers at once."""

    becomes: int


@attrs.frozen
class Fails:
    """An action that was done to a service fails."""

    service: str


@attrs.frozen
class Rubbish:
    """The stream sends what is no event."""


@attrs.frozen
class Network:
    """The stream has another state."""

    state: str


@attrs.frozen
class Rest:
    """The REST API answers otherwise about some types."""

    manner: Manner
    types: tuple[str, ...]


@attrs.frozen
class Destination:
    """A destination has another state."""

    name: str
    state: str


@attrs.frozen
class Wait:
    """Time passes."""

    seconds: float


@attrs.frozen
class Silenced:
    """A person silences something for a while."""

    match: Mapping[str, Any]
    seconds: float


@attrs.frozen
class Unsilenced:
    """A person ends the last silence."""


@attrs.frozen
class Rules:
    """Other rules count from now on."""

    name: str


@attrs.frozen
class ByHand:
    """A person resolves an open incident."""

    which: int


@attrs.frozen
class Asked:
    """A person retries and drops a notice."""

    form: Form
    which: int


@attrs.frozen
class Saved:
    """The inventory is saved."""


@attrs.frozen
class Again:
    """The watcher is away, and there again after a while; ``meanwhile`` nobody sees what happens.

    ``away_seconds``: less than none if its clock was far ahead before. ``network``: the state that
    its stream has then.
    """

    away_seconds: float
    meanwhile: tuple[Happens, ...] = ()
    network: str = CONNECTED


Step: TypeAlias = (
    Happens
    | AllHappens
    | Fails
    | Rubbish
    | Network
    | Rest
    | Destination
    | Wait
    | Silenced
    | Unsilenced
    | Rules
    | ByHand
    | Asked
    | Saved
    | Again
)


# -- the platform


@attrs.define(eq=False)
class SmallPlatform:
    """What there is, and how the REST API answers."""

    objects: dict[str, dict[str, Any]] = attrs.field(factory=_objects)
    network: str = CONNECTED
    manners: dict[str, Manner] = attrs.field(factory=dict)

    def change(self, uri: str, becomes: int) -> str:
        """Let something happen; give what the event calls it."""
        choices = BECOMES[type_of(uri)]
        state, more = choices[becomes % len(choices)]
        known = self.objects.get(uri)
        fields = dict(known or ORIGINALS[uri])
        for name in ("exit_code", "exit_code_msg"):
            fields.pop(name, None)
        fields |= {"state": state, **more}
        if "target_num_containers" in fields:
            fields["running_num_containers"] = _RUNNING_COUNTS.get(state, 0)
        if state == "Terminated":
            self.objects.pop(uri, None)
            return "delete"
        self.objects[uri] = fields
        return "update" if known else "create"

    def event(self, uri: str, action: str, step: Happens) -> bytes:
        """Give the event that tells what happened."""
        fields = self.objects.get(uri) or {**ORIGINALS[uri], "state": "Terminated"}
        said: dict[str, Any] = {
            "type": type_of(uri),
            "resource_uri": uri,
            "action": action,
            "state": fields["state"],
        }
        if step.tell is not Tell.LITTLE:
            said["parents"] = list(_parents_of(fields))
        if step.tell is Tell.ALL:
            said["object"] = fields
        if step.uuid:
            said["uuid"] = step.uuid
        return json.dumps(said).encode()

    def answer(self, uri: str) -> tuple[float, Answer]:
        """Answer a look-up: after how long, and how."""
        match self.manners.get(type_of(uri), Manner.OK):
            case Manner.FAILS:
                return ANSWER_SECONDS, Unanswered("the REST API answered 503")
            case Manner.SILENT:
                return LOOK_UP_DEADLINE_SECONDS, Unanswered("timed out")
            case manner:
                seconds = LATE_SECONDS if manner is Manner.LATE else ANSWER_SECONDS
                known = self.objects.get(uri)
                return seconds, Missing() if known is None else Found(dict(known))

    def lists(self) -> bool:
        """Say whether lists can be had."""
        return all(
            self.manners.get(type_, Manner.OK) in {Manner.OK, Manner.LATE} for type_ in LISTED_TYPES
        )


def _parents_of(fields: Mapping[str, Any]) -> Iterator[str]:
    """Give the parents of an object and those of its parents, as an event does."""
    for parent in (fields[name] for name in _PARENTS if name in fields):
        yield parent
        yield from _parents_of(ORIGINALS[parent])


# -- who watches


@attrs.define(eq=False)
class Watching:
    """A watcher of a platform, on a virtual time; keeps its journal and all that it decided.

    ``sleeps``: an :class:`Again` finds it asleep and not ended: it goes on with all that it knows,
    and has to connect anew. ``happened`` counts what it went through.
    """

    rule_sets: Mapping[str, RuleSet]
    sleeps: bool = False
    happened: Counter[str] = attrs.field(factory=Counter)
    platform: SmallPlatform = attrs.field(factory=SmallPlatform)
    kept: Kept = attrs.field(factory=Kept)
    journal: list[Input] = attrs.field(factory=list)
    decided: list[Decisions] = attrs.field(factory=list)
    now: float = BEGUN_AT
    decider: Decider = attrs.field(init=False)
    _rules: RuleSet = attrs.field(init=False)
    _number: int = 0
    _lives_count: int = 0
    _silences_count: int = 0
    _under_way: dict[str, bool] = attrs.field(factory=dict)
    # What comes at a time if nothing ends it: when, in which order, and what to do.
    _coming: list[tuple[float, int, Callable[[], None]]] = attrs.field(factory=list)
    _coming_count: int = 0
    _connection: int = 0
    _last_rows: list[str] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self._rules = self.rule_sets["first"]
        self._start()

    def live(self, steps: Sequence[Step]) -> None:
        """Live through a history, and on until nothing more comes of it."""
        for step in steps:
            self.do(step)
        self.platform.manners = {}
        if self.platform.network != CONNECTED:
            self.do(Network(CONNECTED))
        self._pass(SETTLED_SECONDS)

    # -- what comes of it

    @property
    def said(self) -> list[Notice]:
        """All that was said."""
        return [notice for decisions in self.decided for notice in notices(decisions)]

    @property
    def open_keys(self) -> list[str]:
        """The keys of the incidents that are open."""
        return sorted(one.key for one in self.decider.incidents.open_incidents())

    # -- lives

    def _start(self) -> None:
        restored = _sorted(self.kept.restored())
        self._lives_count += 1
        rules = self._rules
        self.decider = Decider(Inventory(), rules, rule_sets=dict(self.rule_sets))
        restore(self.decider, restored, set(rules.streams), set(rules.destinations), self.now)
        self._decide(Started(f"life-{self._lives_count}", restored.alive_at, self.now))
        self._connect()

    def _again(self, step: Again) -> None:
        """End, or sleep, and be there again; what was asked before is asked again."""
        self._count_what_waits()
        self.kept.alive_at = self.now
        self.now += step.away_seconds
        self.platform.network = step.network
        for unseen in step.meanwhile:
            self.platform.change(unseen.uri, unseen.becomes)
        self._under_way, self._coming = {}, []
        self._connection += 1
        if not self.sleeps:
            self._start()
            return
        self._wake()
        if self._knows_connection(CONNECTED):
            self._link(LinkType.STREAM, STREAM, DISCONNECTED)
        self._connect()

    def _wake(self) -> None:
        """Let whatever waited for a look-up ask anew: no answer came through."""
        incidents, decisions = self.decider.incidents, Decisions()
        self.decider.speaking.begin(self.now, decisions)
        incidents._counting.begin(incidents._by_name, self.now, decisions)
        for member in incidents.members():
            rule = incidents._by_name[member.name[0]]
            gap_ends = (member.gap_since or 0.0) + rule.clear_for_seconds
            fails_to_clear = member.phase is Phase.CLEARING and gap_ends <= self.now
            if member.check is not None or fails_to_clear:
                incidents._members.keep(attrs.evolve(member, check=None, due=self.now))
        self._take(Tick(self.now), decisions)

    def _knows_connection(self, state: str) -> bool:
        known = self.decider.inventory.get((STREAM, "stream", STREAM))
        return known is not None and known.state == state

    def _count_what_waits(self) -> None:
        """Count what a restart finds in the middle of something."""
        incidents = self.decider.incidents
        found = Counter(f"a member is {member.phase.value}" for member in incidents.members())
        for member in incidents.members():
            found["a member is being verified"] += member.check is not None
            found["a member is withheld"] += member.withheld_by is not None
            gap = member.phase is Phase.PENDING and member.gap_since is not None
            found["a member has a gap"] += gap
        found["an incident is open"] += len(incidents.open_incidents())
        found["a message waits"] += len(self.decider.speaking.waiting)
        found["a look-up is under way"] += len(self._under_way)
        found += Counter(f"a record of kind {kind}" for kind, _ in self.kept.restored().records)
        self.happened += Counter({f"away: {what}": n for what, n in found.items()})

    # -- one step

    def do(self, step: Step) -> None:  # noqa: C901, PLR0912 - one case each
        """Live through a step."""
        self.happened[f"a step: {type(step).__name__}"] += 1
        match step:
            case Happens():
                self._happen(step)
            case AllHappens(becomes):
                for uri in URIS:
                    if type_of(uri) == "container":
                        self._happen(Happens(uri, becomes))
            case Fails(service):
                said = {"type": "action", "state": "Failed", "parents": [service]}
                uri = uri_of("action", f"a{self._number}")
                self._receive(json.dumps({**said, "resource_uri": uri}).encode())
            case Rubbish():
                self._receive(b"{")
            case Network(state):
                self._network(state)
            case Rest(manner, types):
                self.platform.manners |= dict.fromkeys(types, manner)
            case Destination(name, state):
                self._link(LinkType.NOTIFIER, name, state)
            case Wait(seconds):
                self._pass(seconds)
            case Silenced(match, seconds):
                self._silences_count += 1
                ends = self.now + seconds
                self._decide(
                    Silence(self._last_silence, [match], self.now, ends, "", "ann", self.now)
                )
            case Unsilenced():
                self._decide(Unsilence(self._last_silence, self.now))
            case Rules(name):
                self._rules = self.rule_sets[name]
                self._decide(Reloaded(name, self.now))
            case ByHand(which):
                if self.open_keys:
                    key = self.open_keys[which % len(self.open_keys)]
                    self._decide(Resolve(key, self.now))
            case Asked():
                self._decide_asked(step)
            case Saved():
                self.kept.checkpoint(self.decider.inventory.take_unsaved(), self.now)
            case Again():
                self._again(step)

    def _happen(self, step: Happens) -> None:
        payload = self.platform.event(step.uri, self.platform.change(step.uri, step.becomes), step)
        if step.is_lost:
            self.happened["an event: lost"] += 1
        else:
            self._receive(payload)

    def _receive(self, payload: bytes) -> None:
        if self._knows_connection(CONNECTED):
            self._number += 1
            self._decide(Message(STREAM, self._number, payload, self.now))

    def _decide_asked(self, step: Asked) -> None:
        if self.open_keys:
            key = self.open_keys[step.which % len(self.open_keys)]
            self._decide(Retry((OwedRow(1, step.form.value, "rule", key),), self.now))
        self._decide(Drop((step.which,), self.now))

    @property
    def _last_silence(self) -> str:
        return f"silence-{self._silences_count}"

    # -- links, lists, look-ups

    def _link(self, type_: LinkType, name: str, state: str) -> None:
        self._decide(Link(type_, name, state, "why", self.now))

    def _network(self, state: str) -> None:
        if state != self.platform.network:
            self.platform.network = state
            self._connection += 1
            self._connect()

    def _connect(self) -> None:
        """Tell how the stream is, and list what there is if it is there."""
        self._link(LinkType.STREAM, STREAM, self.platform.network)
        if self.platform.network == CONNECTED:
            self._in(0.0, partial(self._list, self._connection))

    def _list(self, connection: int) -> None:
        if connection != self._connection:
            return
        if not self.platform.lists():
            self._in(LIST_AGAIN_SECONDS, partial(self._list, connection))
            return
        answers: dict[str, Answer] = {
            uri: Found(dict(fields)) for uri, fields in self.platform.objects.items()
        }
        for known in self.decider.inventory.resources_of(STREAM):
            if known.type in LISTED_TYPES:
                answers.setdefault(known.uri, Missing())
        asked = self._number
        rows = [
            Looked(STREAM, uri, asked, answer, self.now) for uri, answer in sorted(answers.items())
        ]
        self._in(SETTLE_SECONDS, partial(self._listed, connection, tuple(rows)))

    def _listed(self, connection: int, rows: tuple[Looked, ...]) -> None:
        if connection == self._connection:
            self._decide(Listed(STREAM, rows, self.now))

    def _ask(self, uri: str, *, fresh: bool = False) -> None:
        if uri in self._under_way:
            self._under_way[uri] |= fresh
            return
        self._under_way[uri] = False
        seconds, answer = self.platform.answer(uri)
        if seconds == LATE_SECONDS:
            self.happened["a look-up: late"] += 1
        self._in(seconds, partial(self._answer, uri, self._number, answer))

    def _answer(self, uri: str, asked: int, answer: Answer) -> None:
        self.happened[f"a look-up: {type(answer).__name__}"] += 1
        asked_again = self._under_way.pop(uri)
        self._decide(Looked(STREAM, uri, asked, answer, self.now))
        if asked_again:
            self._ask(uri)

    # -- time

    def _in(self, seconds: float, do: Callable[[], None]) -> None:
        self._coming_count += 1
        self._coming.append((self.now + seconds, self._coming_count, do))

    def _pass(self, seconds: float) -> None:
        end = self.now + seconds
        ticks = 0
        while True:
            due = self.decider.next_due()
            next_ = min(self._coming, key=lambda one: one[:2], default=None)
            if due is not None and due <= end and (next_ is None or due < next_[0]):
                ticks = ticks + 1 if due <= self.now else 0
                assert ticks < TICKS_AT_ONCE_MAX_COUNT, "what was due stays due"
                self.now = max(self.now, due)
                self._decide(Tick(self.now))
            elif next_ is not None and next_[0] <= end:
                self._coming.remove(next_)
                self.now = max(self.now, next_[0])
                next_[2]()
            else:
                break
        self.now = max(self.now, end)

    def _decide(self, item: Input) -> None:
        decisions = self.decider.decide(item)
        rejected = self.decider.last_rejected
        assert rejected is None or rejected.sample == "{", rejected
        self._take(item, decisions)

    def _take(self, item: Input, decisions: Decisions) -> None:
        self.journal.append(item)
        self.decided.append(decisions)
        self.kept.commit(decisions, self.now)
        waiting = sum(isinstance(owed, WaitingRow) for owed in decisions.owed)
        self.happened += Counter({"a message waits": waiting})
        for need in sorted(decisions.needs, key=lambda need: (need.resource_uri, need.fresh)):
            self._ask(need.resource_uri, fresh=need.fresh)


def _sorted(restored: Restored) -> Restored:
    """Give what was kept in the order in which the real store gives it."""
    return attrs.evolve(
        restored,
        resources=sorted(restored.resources, key=lambda resource: resource.key),
        waiting=sorted(restored.waiting, key=lambda row: row.id),
        records=dict(sorted(restored.records.items())),
    )


def load(text: str, storm_count: int) -> RuleSet:
    """Compile rules for the stream main and the notifiers console, slack and pagerduty."""
    return attrs.evolve(
        own_rules(text).rules, storm_count=storm_count, deploy_deadline_seconds=DEADLINE_SECONDS
    )
