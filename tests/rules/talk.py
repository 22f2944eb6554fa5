"""Message rules alone, told one thing after the other by a test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import attrs

from tutumwatch.events.event import Rejected, decode_event
from tutumwatch.events.inputs import (
    Answer,
    Found,
    Link,
    LinkType,
    Looked,
    Missing,
    Unanswered,
)
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, ChangeKind
from tutumwatch.rules.decisions import Decisions, RecordName, Settled, WaitingRow
from tutumwatch.rules.ignores import Ignores, compile_ignores
from tutumwatch.rules.messages import MessageRule, MessageSettings, compile_message
from tutumwatch.rules.notice import Destination, Notice
from tutumwatch.rules.route_tables import compile_routes
from tutumwatch.rules.routes import Routes
from tutumwatch.rules.rule_set import RuleSet
from tutumwatch.rules.silences import Silences
from tutumwatch.rules.speaking import Speaking
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
KNOWN = (*DESTINATIONS, "off")


def unexpected(where: str, what: str) -> None:
    """Take a mistake where there is none."""
    raise AssertionError((where, what))


def make_routes(*tables: Mapping[str, object]) -> Routes:
    """Compile routes that hold no mistake."""
    return compile_routes(tables, DESTINATIONS, KNOWN, unexpected)


def make_ignores(*matches: object) -> Ignores:
    """Compile ``[[ignore]]`` tables that hold no mistake."""
    return compile_ignores([{"match": match} for match in matches], unexpected)


def make_rule(
    match: object = None,
    text: str = "said",
    *,
    routes: Routes | None = None,
    cooldown_seconds: float = 0.0,
    **more: Any,  # noqa: ANN401 - any key of the table
) -> MessageRule:
    """Compile a message rule that holds no mistake; by default it is about services."""
    table: dict[str, Any] = {"name": "news", "notify": "plain", **more}
    settings = MessageSettings(
        match={"type": "service"} if match is None else match,
        text=text,
        cooldown=Duration(cooldown_seconds),
        **table,
    )
    return compile_message(settings, routes or Routes(), DESTINATIONS, KNOWN, unexpected)


def make_rules(
    *messages: MessageRule,
    routes: Routes | None = None,
    ignores: Ignores | None = None,
    storm_count: int = 0,
    destinations: Mapping[str, Destination] | None = None,
) -> RuleSet:
    """Make a rule set of message rules."""
    return RuleSet(
        messages=messages,
        incidents=(),
        routes=routes or Routes(),
        ignores=ignores or Ignores(),
        mutes=(),
        destinations=DESTINATIONS if destinations is None else destinations,
        storm_count=storm_count,
    )


def event_bytes(uri: str | None, state: str | None = "Running", /, **more: object) -> bytes:
    """Make the bytes of an event; its type is that of its resource_uri."""
    said: dict[str, Any] = {"resource_uri": uri, "state": state, "action": "update"}
    if uri is not None and "type" not in more:
        said["type"] = uri.strip("/").split("/")[-2]
    return json.dumps({**said, **more}).encode()


class Ticking(Protocol):
    """What has a time of its own, and goes on when it is told that a time has come."""

    now: float

    def tick(self) -> Decisions:
        """Let what is due be done."""


def pass_time(one: Ticking, next_due: Callable[[], float | None], seconds: float) -> list[Notice]:
    """Let time pass, with a Tick at every time that is waited for; give what that said."""
    end = one.now + seconds
    said: list[Notice] = []
    ticks = 0
    while (due := next_due()) is not None and due <= end:
        ticks += 1
        assert ticks < 1000, "what was due stays due"
        one.now = max(due, one.now)
        said += notices(one.tick())
    one.now = end
    return said


@attrs.define
class Talk:
    """Message rules and the time; every call is one input at that time."""

    rules: RuleSet
    inventory: Inventory = attrs.field(factory=Inventory)
    silences: Silences = attrs.field(factory=Silences)
    now: float = 1000.0
    number: int = 0
    speaking: Speaking = attrs.field(init=False)
    records: dict[RecordName, bytes] = attrs.field(factory=dict)
    rows: dict[str, WaitingRow] = attrs.field(factory=dict)
    rejected: list[tuple[str, bytes]] = attrs.field(factory=list)
    _input_count: int = 0

    def __attrs_post_init__(self) -> None:
        self.speaking = self._start()

    @classmethod
    def of(cls, *messages: MessageRule, **more: Any) -> Talk:  # noqa: ANN401 - as make_rules
        """Begin with some rules."""
        return cls(make_rules(*messages, **more))

    def _start(self) -> Speaking:
        speaking = Speaking(self.inventory, self.rules, self.silences)
        speaking.reject = lambda reason, sample: self.rejected.append((reason, sample))
        return speaking

    def event(self, uri: str | None, state: str | None = "Running", /, **more: object) -> Decisions:
        """Receive an event."""
        return self.bytes(event_bytes(uri, state, **more))

    def bytes(self, payload: bytes) -> Decisions:
        """Receive a message."""
        event = decode_event(payload)
        assert not isinstance(event, Rejected), event
        self.number += 1
        change_id = f"main/{event.uuid or self._own_id()}"
        return self.hear(
            self.inventory.apply_event(event, change_id, "main", self.number, self.now)
        )

    def link(self, type_: LinkType, name: str, state: str, reason: str = "why") -> Decisions:
        """Let a connection of ours have a state."""
        link = Link(type_, name, state, reason, self.now)
        return self.hear(self.inventory.apply_link(link, self._own_id()))

    def hear(self, change: Change) -> Decisions:
        """Let the rules hear of a change."""
        decisions = Decisions()
        self.speaking.hear(change, decisions, self.number)
        return self._kept(decisions)

    def looked(self, uri: str, answer: Answer, asked: int | None = None) -> Decisions:
        """Receive the answer to a look-up; by default it was asked after the last message."""
        decisions = Decisions()
        looked = Looked("main", uri, self.number if asked is None else asked, answer, self.now)
        self.inventory.apply_looked(looked, self._own_id())
        self.speaking.answer(looked, decisions)
        return self._kept(decisions)

    def found(self, uri: str, asked: int | None = None, **fields: object) -> Decisions:
        """Receive an object."""
        return self.looked(uri, Found(fields), asked)

    def missing(self, uri: str) -> Decisions:
        """Hear that there is no such object."""
        return self.looked(uri, Missing())

    def unanswered(self, uri: str) -> Decisions:
        """Hear nothing."""
        return self.looked(uri, Unanswered("timed out"))

    def listed(self, rows: Mapping[str, Mapping[str, object] | None]) -> Decisions:
        """Receive everything that the platform has, by resource_uri; None is gone."""
        decisions = Decisions()
        changes: list[Change] = []
        for uri, fields in rows.items():
            answer: Answer = Missing() if fields is None else Found(dict(fields))
            looked = Looked("main", uri, self.number, answer, self.now)
            change = self.inventory.apply_looked(looked, self._own_id())
            if change is not None and change.kind is not ChangeKind.SAME:
                changes.append(change)
        self.speaking.hear_late(changes, self._own_id(), decisions, self.number)
        return self._kept(decisions)

    def tick(self) -> Decisions:
        """Let what is due be done."""
        decisions = Decisions()
        self.speaking.tick(self.now, decisions)
        return self._kept(decisions)

    def wait(self, seconds: float) -> list[Notice]:
        """Let time pass; see :func:`pass_time`."""
        return pass_time(self, self.speaking.next_due, seconds)

    def restart(self, rules: RuleSet | None = None) -> Decisions:
        """Begin anew with what was kept."""
        self.rules = rules or self.rules
        self.speaking = self._start()
        assert self.speaking.restore(self.records, self.rows.values()) == 0
        decisions = Decisions()
        self.speaking.begin(self.now, decisions)
        return self._kept(decisions)

    def use(self, rules: RuleSet) -> Decisions:
        """Go on with other rules."""
        self.rules = rules
        decisions = Decisions()
        self.speaking.use(rules, self.now, decisions)
        return self._kept(decisions)

    def _kept(self, decisions: Decisions) -> Decisions:
        """Keep what a store would keep."""
        if self.speaking.records:
            for name, record in self.speaking.records.take().items():
                if record is None:
                    self.records.pop(name, None)
                else:
                    self.records[name] = record
        for owed in decisions.owed:
            if isinstance(owed, WaitingRow):
                self.rows[owed.id] = owed
            elif isinstance(owed, Settled):
                del self.rows[owed.row_id]
        return decisions

    def _own_id(self) -> str:
        self._input_count += 1
        return f"run-{self._input_count}"


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


def told(decisions: Decisions) -> list[str]:
    """Give the notifiers that are told."""
    return [notice.notifier for notice in notices(decisions)]


def uris(count: int, type_: str = "service") -> Sequence[str]:
    """Give some resources."""
    return [f"/api/v1/{type_}/{type_[0]}{number}/" for number in range(count)]


def said_by(some: Iterable[Notice]) -> list[str]:
    """Give the texts of notices."""
    return [notice.text for notice in some]
