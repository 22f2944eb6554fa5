"""How we are. Only our own being stuck is unhealthy; what we watch or tell may be down.

A supervisor acts on this: were it to kill the watcher because the platform or a destination is
down, nobody would be told of the very outage.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import attrs

from tutumwatch import __version__
from tutumwatch.events.inputs import CONNECTED
from tutumwatch.outbox.gate import State
from tutumwatch.outbox.outbox import Outbox
from tutumwatch.rules.decider import Decider
from tutumwatch.stream.service import StreamService

UNTAKEN_MAX_SECONDS = 30.0
OK = "ok"
# The state of a notifier that is not on, and for which notices wait all the same.
OFF = "off"
# How a reload ends.
RELOAD_OK, RELOAD_FAILED = "ok", "failed"
# What the counts of the store are called beside those of others.
_STORE_COUNTS = {"dead": "dead_letters", "possible repeats": "possible_repeats"}


@attrs.frozen
class Health:
    """An answer about our health: its fields are what ``/healthz`` shows as JSON.

    ``ok`` is what a supervisor acts on: we are not stuck. ``moved_aside_count``: how many damaged
    files of the store were replaced since we started. ``counts`` are of that time, too.
    ``reload``: how the last attempt to read the configuration again ended, and when; empty if there
    was none.
    """

    ok: bool
    problems: Sequence[str]
    version: str
    streams: Mapping[str, Mapping[str, str]]
    notifiers: Mapping[str, Mapping[str, object]]
    store: str
    open_incidents: Sequence[str]
    counts: Mapping[str, int]
    moved_aside_count: int = 0
    reload: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def not_well(self) -> Sequence[str]:
        """All that keeps us from watching and telling, a phrase each; empty if we do."""
        streams = (
            f"stream {name} is {stream['state']}"
            for name, stream in self.streams.items()
            if stream["state"] != CONNECTED
        )
        store = [] if self.store == OK else [f"the store: {self.store}"]
        notifiers = (
            f"notifier {name} is {notifier['state']}"
            for name, notifier in self.notifiers.items()
            if notifier["state"] not in {State.DELIVERING.value, OFF}
        )
        return [*self.problems, *streams, *store, *notifiers]

    def to_object(self) -> Mapping[str, Any]:
        """Give the fields, as a JSON object has them."""
        return attrs.asdict(self)

    @property
    def summary(self) -> str:
        """One line for people: what is well, or what is not."""
        if self.problems:
            return "stuck: " + "; ".join(self.problems)
        streams = (f"{name} {s['state']}" for name, s in self.streams.items())
        others = (
            f"{name} {n['state']}"
            for name, n in self.notifiers.items()
            if n["state"] != "Delivering"
        )
        store = [] if self.store == OK else [f"store: {self.store}"]
        aside = [f"{self.moved_aside_count} damaged files moved aside"]
        failed = ["the last reload failed"] if self.reload.get("state") == RELOAD_FAILED else []
        waiting = sum(int(str(n["waiting"])) for n in self.notifiers.values())
        return ", ".join(
            [
                *streams,
                *others,
                *store,
                *(aside if self.moved_aside_count else []),
                *failed,
                f"{waiting} notices waiting",
            ]
        )


@attrs.frozen
class HealthCheck:
    """Looks at every part; cheap, and without waiting for anything."""

    _decider: Decider
    _outbox: Outbox
    _streams: Collection[StreamService]
    _store_problem: Callable[[], str]
    _reload: Callable[[], Mapping[str, str]] = dict

    def check(self) -> Health:
        """Say how we are now."""
        problems = [
            f"stream {s.stream_name} is believed Connected, but nothing was received in time"
            for s in self._streams
            if s.silent_seconds() > 0
        ]
        problems += [
            f"notifier {name}: a delivery that could be sent was not, for {d.stuck_seconds():.0f} s"
            for name, d in self._outbox.deliverers.items()
            if d.stuck_seconds() >= UNTAKEN_MAX_SECONDS
        ]
        owed = self._outbox.owed_counts()
        return Health(
            ok=not problems,
            problems=problems,
            version=__version__,
            streams={
                s.stream_name: {"state": s.state or "Connecting", "reason": s.reason}
                for s in self._streams
            },
            notifiers={
                name: {"state": d.state.value, "reason": d.reason, "waiting": owed.get(name, 0)}
                | {"outcomes": dict(d.counts)}
                for name, d in self._outbox.deliverers.items()
            }
            | {
                name: {"state": OFF, "reason": "notices wait, and it is not on", "waiting": count}
                for name, count in owed.items()
                if name not in self._outbox.deliverers
            },
            store=self._store_problem() or OK,
            open_incidents=[
                f"{one.name[0]}: {one.key}" for one in self._decider.incidents.open_incidents()
            ],
            counts={**self._decider.counts, "resources": len(self._decider.inventory)}
            | {"waiting_for_look_up": len(self._decider.speaking.waiting)}
            | {_STORE_COUNTS.get(what, what): n for what, n in self._outbox.store.counts.items()},
            moved_aside_count=self._outbox.store.replaced_count,
            reload=self._reload(),
        )
