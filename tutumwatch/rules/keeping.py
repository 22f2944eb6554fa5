"""Reads what was kept of incidents when we last ran."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
import msgspec

from tutumwatch.rules.adopting import Adopting
from tutumwatch.rules.counting import Counting
from tutumwatch.rules.decisions import RecordName
from tutumwatch.rules.members import GROUP, MEMBER, OPEN, OPENINGS, RULE, TALLY, UNSETTLED
from tutumwatch.rules.membership import Membership
from tutumwatch.rules.records import Records
from tutumwatch.rules.tallies import Tallies
from tutumwatch.rules.telling import Telling


@attrs.frozen
class Keeping:
    """All parts of the incidents that keep something over a restart."""

    _records: Records
    _members: Membership
    _tallies: Tallies
    _counting: Counting
    _telling: Telling
    _adopting: Adopting

    def restore(self, records: Mapping[RecordName, bytes], now: float) -> int:
        """Give every part what it kept; what cannot be read is forgotten.

        :return: how many records could not be read.
        """
        readers: Mapping[str, Callable[[str, bytes], None]] = {
            MEMBER: lambda _, record: self._members.restore(record, now),
            OPEN: lambda _, record: self._telling.restore(record),
            TALLY: lambda _, record: self._tallies.restore(record),
            UNSETTLED: lambda _, record: self._counting.restore(record),
            GROUP: lambda _, record: self._telling.groups.restore_group(record),
            OPENINGS: self._telling.groups.restore_openings,
            RULE: self._adopting.restore,
        }
        unreadable = 0
        for name, record in records.items():
            read = readers.get(name[0])
            if read is None:
                continue
            try:
                read(str(msgspec.json.decode(name[1])[0]), record)
            except (msgspec.MsgspecError, IndexError, TypeError):
                unreadable += 1
                self._records.put(name, None)
        self._telling.restored()
        # What was restored is kept already.
        unsaved = {name: record for name, record in self._records.take().items() if record is None}
        for name in unsaved:
            self._records.put(name, None)
        return unreadable

    def save_everything(self) -> None:
        """Record everything again."""
        for part in (self._members, self._tallies, self._counting, self._telling, self._adopting):
            part.save_everything()
