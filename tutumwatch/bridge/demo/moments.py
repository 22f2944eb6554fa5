"""What an engine tells at one moment, and how much time it lets pass between two.

The times are those that were measured with Swarm, and its defaults.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import attrs

from tutumwatch.bridge.happenings import Happening

# From a service's change to its containers, from the order to stop to SIGTERM, and from a node's
# return to the end of what was started elsewhere.
CREATE_SECONDS, STOP_SECONDS, HEAL_SECONDS = 0.2, 3.1, 3.0
# Swarm's defaults: how long what failed waits to be started again, and a new container is watched
# before an update counts it as good.
RESTART_SECONDS, MONITOR_SECONDS = 5.0, 5.0


@attrs.frozen
class Moment:
    """What is told at once, and for how long the operation then does nothing.

    The pause is that of a real engine; whoever plays a story may have another pace.
    """

    happenings: Sequence[Happening]
    pause_seconds: float = 0.0


Moments: TypeAlias = Iterator[Moment]


def told(happenings: Sequence[Happening], pause_seconds: float = 0.0) -> Moments:
    """Tell of what there is to tell, and pause; nothing to tell is no moment."""
    if happenings:
        yield Moment(happenings, pause_seconds)
