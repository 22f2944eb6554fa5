"""Does what is asked over the control socket."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, assert_never

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from tutumwatch.control.resolving import Resolving
from tutumwatch.control.silencing import Silencing
from tutumwatch.control.wire import (
    AskDrop,
    AskResolve,
    AskRetry,
    AskSilence,
    AskSilences,
    AskStatus,
    AskUnsilence,
    Fate,
    Question,
    Reply,
)
from tutumwatch.events.inputs import Drop, Input, OwedRow, Retry
from tutumwatch.outbox.store import Store, StoreUnwritableError
from tutumwatch.rules.decisions import Decisions, Dropped, Revived

NO_SUCH = "there is no such notice"
NOT_REVIVED = "is still dead: it is damaged, or the watcher's log says why"


@attrs.frozen
class Commands:
    """What the running watcher does for a person.

    :param carry_out: takes an input; fires when it is committed, with all that was decided then.
    :param now: gives the watch's time.
    :param status: says how the watcher is.
    :param silencing: makes, ends and lists silences.
    :param resolving: closes incidents.
    """

    _store: Store
    _carry_out: Callable[[Input], Deferred[Decisions]]
    _now: Callable[[], float]
    _status: Callable[[], Mapping[str, Any]]
    _silencing: Silencing
    _resolving: Resolving

    _log = Logger()

    async def do(self, question: Question) -> Reply:
        """Do it, and say what came of it."""
        try:
            match question:
                case AskStatus():
                    return Reply(status=self._status())
                case AskRetry(ids=ids):
                    return self._told("retry", await self._retry(ids))
                case AskDrop(ids=ids):
                    return self._told("drop", await self._drop(ids))
                case AskSilence():
                    return await self._silencing.add(question)
                case AskUnsilence():
                    return await self._silencing.end(question)
                case AskSilences():
                    return self._silencing.list_all()
                case AskResolve(key=key):
                    return await self._resolving.resolve(key)
                case _:
                    assert_never(question)
        except StoreUnwritableError as problem:
            return Reply(error=f"the store cannot be used at the moment: {problem}")

    async def _retry(self, ids: Sequence[int]) -> Iterable[Fate]:
        found = {row.row_id: row for row in await self._store.find(ids)}
        dead = tuple(row for row in found.values() if row.state == "dead")
        decided: dict[int, Fate] = {}
        if dead:
            decisions = await self._carry_out(Retry(dead, self._now()))
            decided = {fate.id: fate for fate in _decided(decisions)}
            # What is sent again has a new number, at the end of its lane.
            for row in await self._store.find([row.row_id for row in dead]):
                decided[row.row_id] = Fate(row.row_id, NOT_REVIVED, done=False)
        return [
            decided.get(row_id) or _not_retried(row_id, found.get(row_id))
            for row_id in dict.fromkeys(ids)
        ]

    async def _drop(self, ids: Sequence[int]) -> Iterable[Fate]:
        before = {row.row_id for row in await self._store.find(ids)}
        if before:
            await self._carry_out(Drop(tuple(sorted(before)), self._now()))
        # A row that is being sent stays; nobody can know yet whether it arrives.
        after = {row.row_id for row in await self._store.find(sorted(before))}
        return [
            Fate(row_id, NO_SUCH, done=False)
            if row_id not in before
            else Fate(row_id, "is being sent: not dropped", done=False)
            if row_id in after
            else Fate(row_id, "dropped", done=True)
            for row_id in dict.fromkeys(ids)
        ]

    def _told(self, command: str, fates: Iterable[Fate]) -> Reply:
        """Answer, and leave a line in the log of what a person did."""
        reply = Reply(fates=tuple(fates))
        became = Counter(fate.became for fate in reply.fates)
        self._log.info(
            "outbox {command}: {became}",
            command=command,
            became=", ".join(f"{count} {what}" for what, count in became.items()) or "nothing",
        )
        return reply


def _decided(decisions: Decisions) -> Iterable[Fate]:
    for owed in decisions.owed:
        match owed:
            case Revived(row_id):
                yield Fate(row_id, "is sent again", done=True)
            case Dropped(row_id, reason):
                yield Fate(row_id, f"dropped: {reason}", done=True)
            case _:
                pass


def _not_retried(row_id: int, row: OwedRow | None) -> Fate:
    if row is None:
        return Fate(row_id, NO_SUCH, done=False)
    return Fate(row_id, f"is {row.state}, not dead: it is sent anyway", done=False)
