"""Whatever happens in whatever order: lanes keep their order, and nothing owed is lost."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st
from tutumwatch.outbox.memory import MemoryStore
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.outbox.cases import (
    BAD,
    KEY_REFUSED,
    REFUSED_FOR_SURE,
    SERVER_DOWN,
    TIMED_OUT,
    limited,
    notice,
)
from tests.outbox.test_memory import TOO_BIG, waiting
from tutumwatch.notifiers.outcomes import Delivered, GiveUp, Outcome, RetryLater
from tutumwatch.outbox.store import Delivery
from tutumwatch.rules.decisions import Decisions, Owed, Settled
from tutumwatch.rules.notice import Form, Notice

_LANES = st.sampled_from(["a", "b", "c"])
_ENDS = st.sampled_from(
    [Delivered(), BAD, SERVER_DOWN, TIMED_OUT, REFUSED_FOR_SURE, limited(1.0), KEY_REFUSED, TOO_BIG]
)
_COMMIT = st.tuples(
    st.just("commit"), st.lists(st.tuples(_LANES, st.sampled_from([*Form, None])), max_size=4)
)
_SETTLE = st.tuples(st.just("settle"), st.tuples(st.integers(0, 5), st.booleans()))
_BEGIN = st.tuples(st.just("begin"), st.integers(0, 5))
_FINISH = st.tuples(st.just("finish"), st.tuples(st.integers(0, 5), _ENDS))
_Step: TypeAlias = tuple[str, Any]


class _Run:
    """Drives a store and keeps its own books of what was committed, sent, and how it ended."""

    def __init__(self, test: SynchronousTestCase) -> None:
        self.test = test
        self.store = MemoryStore()
        self.committed: list[str] = []
        self.waiting: dict[str, str] = {}
        self.heads: dict[int, Delivery] = {}
        self.sending: dict[int, Delivery] = {}
        self.sent: defaultdict[str, list[str]] = defaultdict(list)
        self.maybe_seen: set[str] = set()
        self.ended: dict[str, str] = {}
        self.withdrawn_waiting = 0
        self.forms: dict[str, Form] = {}

    def take(self, heads: list[Delivery]) -> None:
        """Take new heads: none may be out already, one a lane."""
        for head in heads:
            self.test.assertNotIn(head.row_id, {**self.heads, **self.sending})
            self.heads[head.row_id] = head

    def do(self, work: Any) -> list[Delivery]:  # noqa: ANN401 - a coroutine of the store
        """Make one call of the store."""
        return list(self.test.successResultOf(Deferred.fromCoroutine(work)))

    def name(self, lane: str, form: Form) -> Notice:
        """Make a notice with a text that says its lane and its place in the order of commit."""
        text = f"{lane}{len(self.committed):04}"
        self.committed.append(text)
        self.forms[text] = form
        return notice(text, lane, form)

    def commit(self, wanted: list[tuple[str, Form | None]]) -> None:
        """Commit notices, and rows that wait for one."""
        owed: list[Owed] = []
        for lane, form in wanted:
            if form is not None:
                owed.append(self.name(lane, form))
                continue
            row_id = f"w{len(self.committed)}"
            self.waiting[row_id] = self.name(lane, Form.MESSAGE).text
            owed.append(waiting(row_id, lane))
        self.take(self.do(self.store.commit(Decisions(owed=owed))))

    def settle(self, which: int, *, said: bool) -> None:
        """End the waiting of a row."""
        if not self.waiting:
            return
        row_id = sorted(self.waiting)[which % len(self.waiting)]
        text = self.waiting.pop(row_id)
        self.withdrawn_waiting += not said
        if not said:
            self.ended[text] = "no match"
        notices = (notice(text, text[0]),) if said else ()
        self.take(self.do(self.store.commit(Decisions(owed=[Settled(row_id, notices)]))))

    def begin(self, which: int) -> None:
        """Begin to send a head."""
        if not self.heads:
            return
        row_id = sorted(self.heads)[which % len(self.heads)]
        del self.heads[row_id]
        for head in self.do(self.store.begin([row_id])):
            self.sending[row_id] = head
            self.sent[head.notice.key].append(head.notice.text)

    def finish(self, which: int, outcome: Outcome) -> None:
        """End the sending of a head."""
        if not self.sending:
            return
        row_id = sorted(self.sending)[which % len(self.sending)]
        text = self.sending.pop(row_id).notice.text
        if isinstance(outcome, Delivered | GiveUp):
            self.ended[text] = type(outcome).__name__
        if isinstance(outcome, RetryLater) and not outcome.surely_refused:
            self.maybe_seen.add(text)
        self.take(self.do(self.store.finish({row_id: outcome})))

    def step(self, step: _Step) -> None:
        """Do one thing."""
        match step:
            case ("commit", wanted):
                self.commit(wanted)
            case ("settle", (which, said)):
                self.settle(which, said=said)
            case ("begin", which):
                self.begin(which)
            case ("finish", (which, outcome)):
                self.finish(which, outcome)
            case _:
                raise AssertionError(step)

    def deliver_all(self) -> None:
        """Let everything that waits be said, and everything that is owed be delivered."""
        while self.waiting:
            self.settle(0, said=True)
        while self.heads or self.sending:
            self.begin(0)
            self.finish(0, Delivered())


class AnyOrderTests(SynchronousTestCase):
    """Random commits, settlements, beginnings and ends."""

    @settings(max_examples=300, deadline=None)
    @given(st.lists(st.one_of(_COMMIT, _SETTLE, _BEGIN, _FINISH), max_size=60))
    def test_lanes_keep_their_order_and_nothing_is_lost(self, steps: list[_Step]) -> None:
        run = _Run(self)
        for step in steps:
            run.step(step)
            self.check_books(run)
        run.deliver_all()
        self.check_end(run)

    def check_books(self, run: _Run) -> None:
        """At every moment, what was committed has ended or is owed."""
        counts = run.store
        gone = counts.delivered_count + counts.dead_count + counts.withdrawn_count
        self.assertEqual(gone + counts.owed_counts().get("ops", 0), len(run.committed))
        sending = [h.notice.key for h in run.sending.values()]
        self.assertEqual(len(sending), len(set(sending)), "two of one lane are under way")

    def check_end(self, run: _Run) -> None:
        """In the end nothing is owed; what was withdrawn, nobody can have seen."""
        self.assertEqual(run.store.owed_counts(), {})
        for lane, sent in run.sent.items():
            self.assertEqual(sent, sorted(sent), f"lane {lane} was sent out of order")
        withdrawn = [text for text in run.committed if text not in run.ended]
        self.assertEqual(
            len(withdrawn) + run.withdrawn_waiting, run.store.withdrawn_count, withdrawn
        )
        for lane in "abc":
            of_lane = [text for text in withdrawn if text[0] == lane]
            forms = [run.forms[text] for text in of_lane]
            self.assertEqual(forms.count(Form.TRIGGER), forms.count(Form.RESOLVE))
            self.assertNotIn(Form.MESSAGE, forms)
            self.assertEqual([text for text in of_lane if text in run.maybe_seen], [])
