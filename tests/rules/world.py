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
    texts,
    unexpected,
)
from tutumwatch.events.inputs import (
    Answer,
    Found,
    Link,
    LinkType,
    Listed,
    Looked,
    Message,
    Missing,
    Reloaded,
    Started,
    Tick,
    Unanswered,
)
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.rules.decider import Decider
from tutumwatch.rules.decisions import Decisions
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
    """A decider and the time; every call decides one input at that time."""

    decider: Decider
    now: float = 1000.0
    number: int = 0

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

    def start(self, alive_at: float | None = None) -> Decisions:
        """Begin a run."""
        return self.decider.decide(Started("run", alive_at, self.now))

    def reload(self, rules: RuleSet) -> Decisions:
        """Go on under other rules."""
        self.decider.rule_sets["other"] = rules
        return self.decider.decide(Reloaded("other", self.now))

    def catch_up(self, stream: str = "main") -> Decisions:
        """Connect a stream, and list what is known already: nothing new."""
        self.stream("Connected", stream)
        return self.decider.decide(Listed(stream, (), self.now))

    def remember(self, *streams: str) -> None:
        """Know these streams, and all that their platforms have, from a run before."""
        records = {(kind, name): b"" for kind in ("greeted", "caught up") for name in streams}
        self.decider.restore(records, (), 0, self.now)

    def bytes(self, payload: bytes, stream: str = "main") -> Decisions:
        """Receive a message."""
        self.number += 1
        return self.decider.decide(Message(stream, self.number, payload, self.now))

    def event(self, uri: str | None, state: str | None = "Running", /, **more: object) -> Decisions:
        """Receive an event."""
        return self.bytes(event_bytes(uri, state, **more))

    def stream(self, state: str, name: str = "main", reason: str = "why") -> Decisions:
        """Let a stream have a state."""
        return self.decider.decide(Link(LinkType.STREAM, name, state, reason, self.now))

    def notifier(self, state: str, name: str = "pd") -> Decisions:
        """Let a destination have a state."""
        return self.decider.decide(Link(LinkType.NOTIFIER, name, state, "why", self.now))

    def looked(self, uri: str, answer: Answer, asked: int | None = None) -> Decisions:
        """Receive the answer to a look-up; by default it was asked after the last message."""
        number = self.number if asked is None else asked
        return self.decider.decide(Looked("main", uri, number, answer, self.now))

    def found(self, uri: str, asked: int | None = None, **fields: object) -> Decisions:
        """Receive an object."""
        return self.looked(uri, Found(fields), asked)

    def missing(self, uri: str) -> Decisions:
        """Hear that there is no such object."""
        return self.looked(uri, Missing())

    def unanswered(self, uri: str) -> Decisions:
        """Hear nothing."""
        return self.looked(uri, Unanswered("timed out"))

    def listed(self, objects: Mapping[str, Mapping[str, object]]) -> Decisions:
        """Receive everything that the platform of main has, by resource_uri."""
        rows = tuple(
            Looked("main", uri, self.number, Found(dict(fields)), self.now)
            for uri, fields in objects.items()
        )
        return self.decider.decide(Listed("main", rows, self.now))

    def tick(self) -> Decisions:
        """Let what is due be done."""
        return self.decider.decide(Tick(self.now))

    def wait(self, seconds: float) -> list[Notice]:
        """Let time pass, with a Tick at every time that is waited for; give what that said."""
        end = self.now + seconds
        said: list[Notice] = []
        ticks = 0
        while (due := self.decider.next_due()) is not None and due <= end:
            ticks += 1
            assert ticks < 1000, "what was due stays due"
            self.now = max(due, self.now)
            said += notices(self.tick())
        self.now = end
        return said


def forms(said: Iterable[Notice]) -> list[tuple[str, str]]:
    """Give the notifier and form of each notice."""
    return [(notice.notifier, notice.form.value) for notice in said]


TRIGGER, RESOLVE = Form.TRIGGER.value, Form.RESOLVE.value
