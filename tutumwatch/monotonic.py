"""Lets a reactor's timers run on a clock that nobody sets.

Twisted's own are due at a time of the wall clock: one that is set back by an hour holds up every
ping, retry and deadline by an hour, and one that jumps ahead lets them all go off at once.
"""

from __future__ import annotations

import time
from typing import Any


def run_on_monotonic_time(reactor: Any) -> None:  # noqa: ANN401 - a whole reactor
    """Count a reactor's seconds on the monotonic clock from now on; what is due is due as before.

    To be called once, before anything runs: a call that was made earlier and is put off later
    would be put off on the old clock.
    """
    ahead = time.monotonic() - reactor.seconds()
    for call in reactor.getDelayedCalls():
        call.delay(ahead)
    reactor.seconds = time.monotonic
