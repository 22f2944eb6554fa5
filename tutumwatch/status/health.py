"""How we are. Only our own being stuck is unhealthy; what we watch or tell may be down.

A supervisor acts on this: were it to kill the watcher because the platform or a destination is
down, nobody would be told of the very outage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from tutumwatch import __version__
from tutumwatch.outbox.outbox import Outbox
from tutumwatch.rules.decider import Decider
from tutumwatch.stream.service import StreamService

UNTAKEN_MAX_SECONDS = 30.0
OK = "ok"


@attrs.frozen
class Health:
    """An answer about our health: its fields are what ``/healthz`` shows as JSON."""

    ok: bool
    problems: Sequence[str]
    version: str
    streams: Mapping[str, Mapping[str, str]]
    notifiers: Mapping[str, Mapping[str, object]]
    store: str
    open_incidents: Sequence[str]
    counts: Mapping[str, int]

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
        waiting = sum(int(str(n["waiting"])) for n in self.notifiers.values())
        return ", ".join([*streams, *others, *store, f"{waiting} notices waiting"])


@attrs.frozen
class HealthCheck:
    """Looks at every part; cheap, and without waiting for anything."""

    _decider: Decider
    _outbox: Outbox
    _streams: Sequence[StreamService]
    _store_problem: Callable[[], str]

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
            },
            store=self._store_problem() or OK,
            open_incidents=[
                f"{rule}: {key}" for rule, key in self._decider.incidents.open_incidents()
            ],
            counts={**self._decider.counts, "resources": len(self._decider.inventory)}
            | {"waiting_for_look_up": len(self._decider.waiting)},
        )
