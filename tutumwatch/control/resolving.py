"""Closes incidents, as a person at the command line asks for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from difflib import get_close_matches

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from tutumwatch.control.silencing import NOT_TAKEN
from tutumwatch.control.wire import NamedFate, Reply
from tutumwatch.events.inputs import Input, Resolve
from tutumwatch.rules.decider import Decider
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.members import OpenIncident

SUGGESTED_COUNT = 3
# Keys are long, and begin alike.
_LIKENESS = 0.4


@attrs.frozen
class Resolving:
    """What the running watcher knows of open incidents, and does about them.

    :param carry_out: takes an input; fires when it is committed.
    :param now: gives the watch's time.
    """

    _decider: Decider
    _carry_out: Callable[[Input], Deferred[Decisions]]
    _now: Callable[[], float]

    _log = Logger()

    async def resolve(self, key: str) -> Reply:
        """Close what is open under a key, and say what that was."""
        found = self._open_under(key)
        if not found:
            return Reply(error=self._explain_unknown(key))
        await self._carry_out(Resolve(key, self._now()))
        left = {one.name for one in self._open_under(key)}
        fates = [
            NamedFate(one.key, NOT_TAKEN, done=False)
            if one.name in left
            else NamedFate(one.key, f"closed: {_description(one)}", done=True)
            for one in found
        ]
        self._log.info(
            "incidents closed by hand under the key {key}: {count}",
            key=key,
            count=len(found) - len(left),
        )
        return Reply(named_fates=tuple(fates))

    def _open_under(self, key: str) -> list[OpenIncident]:
        known = self._decider.incidents.open_incidents()
        return [one for one in known if key in one.keys]

    def _explain_unknown(self, key: str) -> str:
        coming = [m for m in self._decider.incidents.members() if m.incident[1] == key]
        if coming:
            phase = coming[0].phase.value
            return f"the incident {key!r} is not open: it is {phase}; nobody was told of it"
        open_now = self._decider.incidents.open_incidents()
        keys = list(dict.fromkeys(k for one in open_now for k in one.keys))
        near = get_close_matches(key, keys, n=SUGGESTED_COUNT, cutoff=_LIKENESS)
        near = near or [k for k in keys if key in k][:SUGGESTED_COUNT]
        if near:
            hint = f"did you mean {' or '.join(map(repr, near))}?"
        else:
            hint = "`tutumwatch incidents` lists those that are" if keys else "none is open"
        return f"no incident is open under the key {key!r}; {hint}"


def _description(one: OpenIncident) -> str:
    since = datetime.fromtimestamp(one.since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    told = f"told to {', '.join(one.told)}" if one.told else "told to nobody"
    return f"{one.name[0]}: {one.about or one.key}, open since {since}, {told}"
