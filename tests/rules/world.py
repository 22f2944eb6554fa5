"""A decider with rules, told one thing after the other by a test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from tests.rules.talk import (
    CLUSTER,
    CONTAINER,
    DESTINATIONS,
    KNOWN,
    NODE,
    SERVICE,
    STACK,
    angle,
    event_bytes,
    make_rule,
    notices,
    pass_time,
    texts,
    unexpected,
)
from tutumwatch.events.inputs import (
    Answer,
    Found,
    Input,
    Link,
    LinkType,
    Listed,
    Looked,
    Message,
    Missing,
    Reloaded,
    Resolve,
    Silence,
    Started,
    Tick,
    Unanswered,
    Unsilence,
)
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.rules.acquaintance import met_before
from tutumwatch.rules.decider import Decider
from tutumwatch.rules.decisions import Decisions, Need, RecordName, Settled, WaitingRow
from tutumwatch.rules.ignores import Ignores
from tutumwatch.rules.incident_rules import IncidentRule, IncidentSettings
from tutumwatch.rules.incident_tables import compile_incident
from tutumwatch.rules.messages import MessageRule
from tutumwatch.rules.notice import Form, Notice
from tutumwatch.rules.routes import Routes
from tutumwatch.rules.rule_set import RuleSet
from tutumwatch.settings import Duration

__all__ = [
    "CLUSTER",
    "CONTAINER",
    "DESTINATIONS",
    "KNOWN",
    "NODE",
    "SERVICE",
    "STACK",
    "angle",
    "event_bytes",
    "notices",
    "texts",
    "unexpected",
]

STREAMS = ("main",)


def message_rule(
    match: object = None,
    text: str = "said",
    *,
    name: str = "news",
    notify: Sequence[str] = ("plain",),
    fresh: Sequence[str] = (),
) -> MessageRule:
    """Compile a message rule that holds no mistake; by default it is about services."""
    return make_rule(match, text, name=name, notify=list(notify), fresh=list(fresh))


def incident_settings(
    *,
    name: str = "stream down",
    while_: object = None,
    notify: object = ("plain",),
    for_seconds: float = 15.0,
    clear_for_seconds: float = 5.0,
    key: str | None = None,
    text: str = "down: {{ reason }}",
    resolve_text: str = "up",
    **more: Any,  # noqa: ANN401 - any key of the table
) -> IncidentSettings:
    """Make the settings of an incident rule, by default about streams."""
    if while_ is None and not {"each", "absent"} & more.keys():
        while_ = {"type": "stream", "state": "!Connected"}
    return IncidentSettings(
        name=name,
        while_=while_,
        notify=list(notify) if isinstance(notify, tuple) else notify,
        for_=Duration(for_seconds),
        clear_for=Duration(clear_for_seconds),
        key=key,
        text=text,
        resolve_text=resolve_text,
        **more,
    )


def service_rule(**more: Any) -> IncidentRule:  # noqa: ANN401 - any key of the table
    """Compile a rule about services that are stopped: for 2 minutes, and over for 30 s."""
    table: dict[str, Any] = {
        "name": "service down",
        "while_": {"type": "service", "state": "Stopped"},
        "for_seconds": 120.0,
        "clear_for_seconds": 30.0,
        "text": "{{ name }} is {{ state }}",
        "resolve_text": "{{ name }} is {{ state }}",
    }
    return incident_rule(incident_settings(**table | more))


def incident_rule(
    settings: IncidentSettings | None = None, routes: Routes | None = None
) -> IncidentRule:
    """Compile an incident rule that holds no mistake."""
    chosen = settings or incident_settings()
    return compile_incident(chosen, routes or Routes(), DESTINATIONS, KNOWN, unexpected)


def rule_set(
    *rules: MessageRule | IncidentRule,
    routes: Routes | None = None,
    ignores: Ignores | None = None,
    **more: Any,  # noqa: ANN401 - any other part of a RuleSet
) -> RuleSet:
    """Put rules together; messages storm never."""
    parts = {"streams": STREAMS, "storm_count": 0, "mutes": (), **more}
    return RuleSet(
        messages=tuple(rule for rule in rules if isinstance(rule, MessageRule)),
        incidents=tuple(rule for rule in rules if isinstance(rule, IncidentRule)),
        routes=routes or Routes(),
        ignores=ignores or Ignores(),
        destinations=DESTINATIONS,
        **parts,
    )


@attrs.define
class World:
    """A decider and the time; every call decides one input at that time, and keeps what it says.

    ``asked``: what was to be looked up since a test emptied it.
    """

    decider: Decider
    now: float = 1000.0
    number: int = 0
    records: dict[RecordName, bytes] = attrs.field(factory=dict)
    waiting: dict[str, WaitingRow] = attrs.field(factory=dict)
    asked: set[Need] = attrs.field(factory=set)
    # Of the last restart: how many records could not be read.
    unreadable_count: int = 0
    _runs_count: int = 1

    @classmethod
    def of(
        cls,
        *rules: MessageRule | IncidentRule,
        inventory: Inventory | None = None,
        **more: Any,  # noqa: ANN401 - any other part of a RuleSet
    ) -> World:
        """Make a world of some rules, in which nothing has happened but that we started."""
        world = cls(Decider(inventory or Inventory(), rule_set(*rules, **more)))
        world.start()
        return world

    # -- a run, and the next one

    def decide(self, item: Input) -> Decisions:
        """Decide any input, and keep what a store would keep."""
        decisions = self.decider.decide(item)
        for name, record in decisions.records.items():
            if record is None:
                self.records.pop(name, None)
            else:
                self.records[name] = record
        for owed in decisions.owed:
            if isinstance(owed, WaitingRow):
                self.waiting[owed.id] = owed
            elif isinstance(owed, Settled):
                del self.waiting[owed.row_id]
        self.asked |= decisions.needs
        return decisions

    def start(self, alive_at: float | None = None) -> Decisions:
        """Begin a run."""
        return self.decide(Started("run", alive_at, self.now))

    def restart(self, *rules: MessageRule | IncidentRule, forgotten: bool = False) -> Decisions:
        """End, and go on with what was kept, under these rules; give what that comes to.

        :param forgotten: nothing is known of the platform and of our own connections.
        """
        return self.restart_under(rule_set(*rules), forgotten=forgotten)

    def restart_under(self, rules: RuleSet, *, forgotten: bool = False) -> Decisions:
        """End, and go on with what was kept, under these rules; see :meth:`restart`."""
        inventory = Inventory()
        if not forgotten:
            inventory.restore(self.decider.inventory.resources())
        self.decider = Decider(inventory, rules)
        self._runs_count += 1
        self.unreadable_count = self.decider.restore(
            self.records, self.waiting.values(), self.number, self.now
        )
        return self.decide(Started(f"run {self._runs_count}", self.now, self.now))

    def reload(self, rules: RuleSet) -> Decisions:
        """Go on under other rules."""
        self.decider.rule_sets["other"] = rules
        return self.decide(Reloaded("other", self.now))

    def remember(self, *streams: str) -> None:
        """Know these streams, and all that their platforms have, from a run before."""
        records = met_before(streams)
        self.records |= records
        self.decider.restore(records, (), 0, self.now)

    # -- what happens

    def catch_up(self, stream: str = "main") -> Decisions:
        """Connect a stream, and list what is known already: nothing new."""
        self.stream("Connected", stream)
        return self.decide(Listed(stream, (), self.now))

    def bytes(self, payload: bytes, stream: str = "main") -> Decisions:
        """Receive a message."""
        self.number += 1
        return self.decide(Message(stream, self.number, payload, self.now))

    def event(self, uri: str | None, state: str | None = "Running", /, **more: object) -> Decisions:
        """Receive an event; of the stream main, unless another ``stream`` is named."""
        stream = str(more.pop("stream", "main"))
        return self.bytes(event_bytes(uri, state, **more), stream)

    def stream(self, state: str, name: str = "main", reason: str = "why") -> Decisions:
        """Let a stream have a state."""
        return self.decide(Link(LinkType.STREAM, name, state, reason, self.now))

    def notifier(self, state: str, name: str = "pd") -> Decisions:
        """Let a destination have a state."""
        return self.decide(Link(LinkType.NOTIFIER, name, state, "why", self.now))

    def looked(self, uri: str, answer: Answer, asked: int | None = None) -> Decisions:
        """Receive the answer to a look-up; by default it was asked after the last message."""
        number = self.number if asked is None else asked
        return self.decide(Looked("main", uri, number, answer, self.now))

    def found(self, uri: str, asked: int | None = None, /, **fields: object) -> Decisions:
        """Receive an object."""
        return self.looked(uri, Found(fields), asked)

    def missing(self, uri: str) -> Decisions:
        """Hear that there is no such object."""
        return self.looked(uri, Missing())

    def unanswered(self, uri: str) -> Decisions:
        """Hear nothing."""
        return self.looked(uri, Unanswered("timed out"))

    def listed(self, objects: Mapping[str, Mapping[str, object] | None]) -> Decisions:
        """Receive everything that the platform of main has, by resource_uri; None is gone."""
        rows = tuple(
            Looked(
                "main",
                uri,
                self.number,
                Missing() if fields is None else Found(dict(fields)),
                self.now,
            )
            for uri, fields in objects.items()
        )
        return self.decide(Listed("main", rows, self.now))

    def silence(self, match: object, seconds: float, id_: str = "s1") -> Decisions:
        """Let a person silence what matches, for so long from now on."""
        ends = self.now + seconds
        return self.decide(Silence(id_, match, self.now, ends, "", "ops", self.now))

    def unsilence(self, id_: str = "s1") -> Decisions:
        """Let a person end a silence."""
        return self.decide(Unsilence(id_, self.now))

    def resolve(self, key: str) -> Decisions:
        """Let a person close an incident."""
        return self.decide(Resolve(key, self.now))

    # -- time

    def tick(self) -> Decisions:
        """Let what is due be done."""
        return self.decide(Tick(self.now))

    def wait(self, seconds: float) -> list[Notice]:
        """Let time pass; see :func:`pass_time`."""
        return pass_time(self, self.decider.next_due, seconds)

    def wait_and_find(self, seconds: float, uri: str, **fields: object) -> list[Notice]:
        """Let time pass, and answer the look-up that is wanted then; give what both said."""
        return self.wait(seconds) + notices(self.found(uri, **fields))

    # -- how it stands

    def open_keys(self) -> list[str]:
        """Give the keys of the incidents that are open, oldest first."""
        return [one.name[1] for one in self.decider.incidents.open_incidents()]

    def phases(self) -> dict[str, str]:
        """Give how far each member is, by the last part of its resource's key."""
        return {m.name[1][2]: m.phase.value for m in self.decider.incidents.members()}

    def uris_asked(self) -> list[str]:
        """Give what was to be looked up since this was called last."""
        asked, self.asked = self.asked, set()
        return sorted({need.resource_uri for need in asked})


def forms(said: Iterable[Notice]) -> list[tuple[str, str]]:
    """Give the notifier and form of each notice."""
    return [(notice.notifier, notice.form.value) for notice in said]


TRIGGER, RESOLVE = Form.TRIGGER.value, Form.RESOLVE.value
