"""What can be wrong with an image, so that containers of it do not run, or not for long."""

from __future__ import annotations

from enum import Enum

import attrs

EXIT_KILLED, EXIT_FAILED = 137, 1


class Fault(Enum):
    """What can be wrong with an image.

    MISSING: there is none, so that every task is rejected at once; an engine tells nothing of such
    a task. HANGS: it is being pulled for ever. CRASHES: its containers die by themselves.
    """

    MISSING = "missing"
    HANGS = "hangs"
    CRASHES = "crashes"


@attrs.frozen
class Flaw:
    """What is wrong with an image, from its container number ``good_count`` + 1 on.

    ``lives_seconds``: how long a container that crashes runs before.
    """

    fault: Fault = Fault.CRASHES
    good_count: int = 0
    lives_seconds: float = 1.0
    exit_code: int = EXIT_FAILED
    is_oom: bool = False
