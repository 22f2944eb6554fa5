"""A store with a decider before it, and the commands of the control socket upon both."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from itertools import chain, count
from typing import Any, TypeVar

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.outbox.cases import FaultyStore, memory_store
from tests.secrets_check import RecordedLog
from tutumwatch.control.commands import Commands
from tutumwatch.control.resolving import Resolving
from tutumwatch.control.silencing import Silencing
from tutumwatch.control.wire import Fate
from tutumwatch.events.inputs import Input
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.notifiers.outcomes import Delivered, GiveUp, Outcome, Reason
from tutumwatch.rules.decider import Decider
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.ignores import Ignores
from tutumwatch.rules.members import OpenIncident
from tutumwatch.rules.notice import Notice
from tutumwatch.rules.routes import Routes
from tutumwatch.rules.rule_set import RuleSet

_Result = TypeVar("_Result")

REFUSED = GiveUp(Reason.CLIENT, "400 invalid_payload")
DELIVERED = Delivered()


RULES = RuleSet((), (), Routes(), Ignores(), (), {})


class CommandsTestCase(SynchronousTestCase):
    """Gives each test a store in memory; what is decided is committed at once."""

    now = 50.0

    def setUp(self) -> None:
        """Make them."""
        self.log = RecordedLog()
        self.addCleanup(self.log.stop)
        self.rows = memory_store()
        self.store = FaultyStore(self.rows)
        self.clock = Clock()
        self.decider = Decider(Inventory(), RULES)
        self.carried: list[Input] = []
        self.ids: Iterator[str] = chain(("beef01", "5eaf00"), map(str, count()))
        silencing = Silencing(
            self.decider, self.carry_out, lambda: self.now, lambda: next(self.ids), self.clock
        )
        resolving = Resolving(self.decider, self.carry_out, lambda: self.now)
        self.commands = Commands(
            self.store, self.carry_out, lambda: self.now, lambda: {"ok": True}, silencing, resolving
        )

    def result_of(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Give what a coroutine that waits for nothing comes to."""
        return self.successResultOf(Deferred.fromCoroutine(work))

    def carry_out(self, item: Input) -> Deferred[Decisions]:
        """Decide an input and commit what it comes to, as the pipeline does."""
        self.carried.append(item)
        decisions = self.decider.decide(item)
        self.result_of(self.store.commit(decisions, 50.0))
        return succeed(decisions)

    def owe(self, *notices: Notice) -> list[int]:
        """Commit notices, and give their rows."""
        before = self.rows._last_id
        self.result_of(self.store.commit(Decisions(owed=list(notices)), 0.0))
        return list(range(before + 1, self.rows._last_id + 1))

    def send(self, row_id: int, outcome: Outcome | None = None) -> None:
        """Begin to send a notice, and end with an outcome, if one is given."""
        self.result_of(self.store.begin([row_id]))
        if outcome is not None:
            self.result_of(self.store.finish({row_id: outcome}, {}))

    def state_of(self, row_id: int) -> str | None:
        """Give the state of a row, None if there is none."""
        found = self.result_of(self.store.find([row_id]))
        return found[0].state if found else None

    def open_incident(self, rule: str, key: str) -> None:
        """Let an incident be open."""
        incident = msgspec.msgpack.encode(OpenIncident((rule, key), 0.0, ("ops",), key))
        self.decider.restore({("incident", f'["{rule}","{key}"]'): incident}, (), 0, 0.0)


def told(fates: tuple[Fate, ...]) -> list[tuple[int, str, bool]]:
    """Give fates as they are compared."""
    return [(fate.id, fate.became, fate.done) for fate in fates]
