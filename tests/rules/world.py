"""A decider with rules, told one thing after the other by a test."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from tutumwatch.events.inputs import (
    Answer,
    Found,
    Link,
    LinkType,
    Listed,
    Looked,
    Message,
    Missing,
    Tick,
    Unanswered,
)
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.rules.decider import Decider
from tutumwatch.rules.decisions import Decisions, Settled
from tutumwatch.rules.incident_rules import IncidentRule, IncidentSettings, compile_incident
from tutumwatch.rules.incidents import Incidents
from tutumwatch.rules.messages import MessageRule, MessageSettings, compile_message
from tutumwatch.rules.notice import Destination, Form, Notice
from tutumwatch.settings import Duration

STACK = "/api/v1/stack/k1/"
SERVICE = "/api/v1/service/s1/"
NODE = "/api/v1/node/n1/"
CLUSTER = "/api/v1/nodecluster/nc1/"
CONTAINER = "/api/v1/container/c1/"


def angle(text: str) -> str:
    """Escape as Slack asks."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


DESTINATIONS = {
    "plain": Destination("plain", str),
    "slack": Destination("slack", angle),
    "pd": Destination("pd", str, drops_orphans=True),
}


def unexpected(where: str, what: str) -> None:
    """Take a mistake where there is none."""
    raise AssertionError((where, what))


def message_rule(
    match: object = None,
    text: str = "said",
    *,
    name: str = "news",
    notify: Sequence[str] = ("plain",),
    fresh: Sequence[str] = (),
) -> MessageRule:
    """Compile a message rule that holds no mistake; by default it is about services."""
    settings = MessageSettings(
        name=name,
        match={"type": "service"} if match is None else match,
        notify=list(notify),
        text=text,
        fresh=list(fresh),
    )
    return compile_message(settings, DESTINATIONS, tuple(DESTINATIONS), unexpected)


def incident_settings(
    *,
    name: str = "stream down",
    while_: object = None,
    notify: Sequence[str] = ("plain",),
    for_seconds: float = 15.0,
    clear_for_seconds: float = 5.0,
    key: str | None = None,
    text: str = "down: {{ reason }}",
    resolve_text: str = "up",
) -> IncidentSettings:
    """Make the settings of an incident rule, by default about streams."""
    return IncidentSettings(
        name=name,
        while_={"type": "stream", "state": "!Connected"} if while_ is None else while_,
        notify=list(notify),
        for_=Duration(for_seconds),
        clear_for=Duration(clear_for_seconds),
        key=key,
        text=text,
        resolve_text=resolve_text,
    )


def incident_rule(settings: IncidentSettings | None = None) -> IncidentRule:
    """Compile an incident rule that holds no mistake."""
    chosen = settings or incident_settings()
    return compile_incident(chosen, DESTINATIONS, tuple(DESTINATIONS), unexpected)


def event_bytes(uri: str | None, state: str | None = "Running", /, **more: object) -> bytes:
    """Make the bytes of an event; its type is that of its resource_uri."""
    said: dict[str, Any] = {"resource_uri": uri, "state": state, "action": "update"}
    if uri is not None and "type" not in more:
        said["type"] = uri.strip("/").split("/")[-2]
    return json.dumps({**said, **more}).encode()


@attrs.define
class World:
    """A decider and the time; every call decides one input at that time."""

    decider: Decider
    now: float = 1000.0
    number: int = 0

    @classmethod
    def of(cls, *rules: MessageRule | IncidentRule, inventory: Inventory | None = None) -> World:
        """Make a world of some rules, in which nothing has happened."""
        known = inventory or Inventory()
        messages = [rule for rule in rules if isinstance(rule, MessageRule)]
        incidents = {rule.name: rule for rule in rules if isinstance(rule, IncidentRule)}
        kept = Incidents(incidents, known, DESTINATIONS)
        known.is_needed = kept.is_needed
        return cls(Decider(known, kept, messages))

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


def notices(decisions: Decisions) -> list[Notice]:
    """Give what is to be said, also that of rows that are settled."""
    said: list[Notice] = []
    for owed in decisions.owed:
        if isinstance(owed, Notice):
            said.append(owed)
        elif isinstance(owed, Settled):
            said += owed.notices
    return said


def texts(decisions: Decisions) -> list[str]:
    """Give the texts that are to be said."""
    return [notice.text for notice in notices(decisions)]


def forms(said: Iterable[Notice]) -> list[tuple[str, str]]:
    """Give the notifier and form of each notice."""
    return [(notice.notifier, notice.form.value) for notice in said]


TRIGGER, RESOLVE = Form.TRIGGER.value, Form.RESOLVE.value
