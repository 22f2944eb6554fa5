"""The platform of a test: it has what the test tells, and says so as a real one does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import msgspec

from tutumwatch.config.rehearsal_plans import EventStep, Portrayal
from tutumwatch.events.event import Event
from tutumwatch.events.inputs import Answer, Found, Missing, Unanswered
from tutumwatch.rehearsal.objects import write_object

REST_IS_DOWN = "the test says that it is down"
# The order in which Tutum names the parents of each type.
_PARENTS_TOLD = ("service", "stack", "node", "nodecluster")
# A container's object names neither its stack nor its node cluster.
_NOT_IN_ITS_OBJECT = {"container": frozenset({"stack", "nodecluster"})}


@attrs.define
class _Actor:
    """A resource as it is by now."""

    type: str
    name: str
    state: str = ""
    fields: dict[str, Any] = attrs.field(factory=dict)
    parents: dict[str, str] = attrs.field(factory=dict)


@attrs.define
class Stage:
    """Everything that there is, by stream and resource_uri.

    ``is_up``: look-ups are answered.
    """

    is_up: bool = True
    _actors: dict[tuple[str, str], _Actor] = attrs.field(factory=dict)
    # The actions of each stream whose events did not arrive: a listing finds them.
    _unseen: dict[str, dict[str, None]] = attrs.field(factory=dict)

    def take(self, told: Portrayal) -> None:
        """Let a resource be as it is told to be; what is not told stays as it was."""
        actor = self._actors.setdefault((told.stream, told.uri), _Actor(told.type, told.name))
        actor.state = told.state or actor.state
        actor.fields.update(told.fields)
        actor.parents.update(told.parents)

    def event(self, step: EventStep, number: int) -> bytes:
        """Let what an event tells be so, and give the event as a stream would.

        :param number: tells it from all others.
        """
        told = step.told
        self.take(told)
        actor = self._actors[told.stream, told.uri]
        event = Event(
            type=told.type,
            action=step.action,
            state=actor.state,
            resource_uri=told.uri,
            parents=list(self._parents_of(told.stream, actor).values()),
            uuid=f"event-{number}",
            object=None if step.is_bare else self._object(told.stream, told.uri, actor),
        )
        if step.is_gone:
            del self._actors[told.stream, told.uri]
        return msgspec.json.encode(event)

    def missed(self, told: Portrayal) -> None:
        """Note that the event of a resource did not arrive."""
        if told.type == "action" and (told.stream, told.uri) in self._actors:
            self._unseen.setdefault(told.stream, {})[told.uri] = None

    def get(self, stream: str, uri: str) -> Answer:
        """Answer a look-up."""
        if not self.is_up:
            return Unanswered(REST_IS_DOWN)
        actor = self._actors.get((stream, uri))
        return Missing() if actor is None else Found(self._object(stream, uri, actor))

    def listing(self, stream: str) -> Iterator[tuple[str, Answer]]:
        """Give all that a platform has, and of its actions those that were not seen."""
        unseen = self._unseen.pop(stream, {})
        for (of_stream, uri), actor in self._actors.items():
            if of_stream == stream and (actor.type != "action" or uri in unseen):
                yield uri, Found(self._object(stream, uri, actor))

    def _parents_of(self, stream: str, actor: _Actor) -> dict[str, str]:
        """Give the parents of a resource, also those that it has through another parent."""
        parents = dict(actor.parents)
        for uri in actor.parents.values():
            above = self._actors.get((stream, uri))
            parents = {**(above.parents if above is not None else {}), **parents}
        return {type_: parents[type_] for type_ in _PARENTS_TOLD if type_ in parents}

    def _object(self, stream: str, uri: str, actor: _Actor) -> Mapping[str, Any]:
        left_out = _NOT_IN_ITS_OBJECT.get(actor.type, frozenset())
        all_parents = self._parents_of(stream, actor)
        parents = {type_: p for type_, p in all_parents.items() if type_ not in left_out}
        return write_object(uri, actor.name, actor.state, parents, actor.fields)
