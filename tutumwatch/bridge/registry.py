"""All things that the REST API knows, those that are gone for a while as well."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TypeVar

import attrs

from tutumwatch.bridge.model import Action, Service, Thing

# A GET after a delete message must still be answered.
GONE_KEPT_SECONDS = 3600.0
GONE_KEPT_COUNT = 500
ENDED_ACTIONS_KEPT_COUNT = 200

ThingT = TypeVar("ThingT", bound=Thing)


@attrs.define(eq=False)
class Registry:
    """Things by type and uuid, oldest first; bounded in what is gone and in ended actions."""

    _by_type: dict[str, dict[str, Thing]] = attrs.field(factory=dict)
    _gone: deque[tuple[float, Thing]] = attrs.field(factory=deque)
    _ended: deque[Action] = attrs.field(factory=deque)

    def __len__(self) -> int:
        """Count all things that are kept."""
        return sum(len(things) for things in self._by_type.values())

    def find(self, type_: str, uuid: str) -> Thing | None:
        """Give a thing by type and uuid, or None."""
        return self._by_type.get(type_, {}).get(uuid)

    def things(self, type_: str) -> Iterable[Thing]:
        """Give all things of a type, oldest first."""
        return self._by_type.get(type_, {}).values()

    def add(self, thing: ThingT) -> ThingT:
        """Keep a new thing; it takes over from a gone one of the same uuid."""
        things = self._by_type.setdefault(thing.type, {})
        things.pop(thing.uuid, None)
        things[thing.uuid] = thing
        return thing

    def retire(self, thing: Thing, now: float) -> None:
        """Note that a thing is gone: it stays for an hour, or until too many others are.

        What a thing belongs to is to be retired after it, so that it is never left without.
        """
        self._gone.append((now, thing))

    def end(self, action: Action) -> None:
        """Note that an action ended: it stays until too many later ones did."""
        self._ended.append(action)

    def forget_old(self, now: float) -> None:
        """Drop what has been gone for long enough."""
        while len(self._ended) > ENDED_ACTIONS_KEPT_COUNT:
            self._drop(self._ended.popleft())
        while self._gone and (
            self._gone[0][0] + GONE_KEPT_SECONDS <= now or len(self._gone) > GONE_KEPT_COUNT
        ):
            self._drop(self._gone.popleft()[1])

    def _drop(self, thing: Thing) -> None:
        things = self._by_type[thing.type]
        if things.get(thing.uuid) is thing:
            del things[thing.uuid]
        if isinstance(thing, Service) and thing.stack is not None:
            thing.stack.services.pop(thing.now.id, None)
