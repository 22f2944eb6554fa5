"""Which streams were met before: a first connect, and a first listing, tell of nothing new."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import attrs

from tutumwatch.rules.decisions import RecordName
from tutumwatch.rules.records import Records

_GREETED, _CAUGHT_UP = "greeted", "caught up"


def met_before(streams: Iterable[str]) -> dict[RecordName, bytes]:
    """Give the records of streams that were connected to, and caught up with, before."""
    return {(kind, stream): b"" for stream in streams for kind in (_GREETED, _CAUGHT_UP)}


@attrs.define
class Acquaintance:
    """The streams that were connected to once, and those that were caught up with once."""

    records: Records = attrs.field(factory=Records)
    _known: set[RecordName] = attrs.field(factory=set)

    def greet(self, stream: str) -> bool:
        """Take in a connect; say whether it is the first."""
        return self._meet((_GREETED, stream))

    def catch_up(self, stream: str) -> bool:
        """Take in a listing; say whether it is the first."""
        return self._meet((_CAUGHT_UP, stream))

    def has_listed(self, stream: str) -> bool:
        """Say whether a stream was caught up with."""
        return (_CAUGHT_UP, stream) in self._known

    def _meet(self, name: RecordName) -> bool:
        if name in self._known:
            return False
        self._known.add(name)
        self.records.put(name, b"")
        return True

    def forget_others(self, streams: Collection[str]) -> None:
        """Forget streams that are not watched any more: if one comes back, all of it is new."""
        for name in [name for name in self._known if name[1] not in streams]:
            self._known.discard(name)
            self.records.put(name, None)

    def restore(self, names: Iterable[RecordName]) -> None:
        """Know again which streams were met."""
        self._known = {name for name in names if name[0] in {_GREETED, _CAUGHT_UP}}

    def save_everything(self) -> None:
        """Record everything again."""
        for name in self._known:
            self.records.put(name, b"")
