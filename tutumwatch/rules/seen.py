"""Which events were seen already: a server that repeats itself must not be believed twice."""

from __future__ import annotations

from collections import OrderedDict

import attrs

SEEN_MAX_COUNT = 10_000


@attrs.define
class SeenEvents:
    """The last events that had a uuid, by stream and uuid."""

    _seen: OrderedDict[tuple[str, str], None] = attrs.field(factory=OrderedDict)

    def is_repeated(self, stream: str, uuid: str) -> bool:
        """Say whether an event was seen before; from now on it was."""
        if (stream, uuid) in self._seen:
            return True
        self._seen[stream, uuid] = None
        if len(self._seen) > SEEN_MAX_COUNT:
            self._seen.popitem(last=False)
        return False
