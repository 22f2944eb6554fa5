"""Whatever happens in whatever order: lanes keep their order, and nothing owed is lost."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
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
    open_store,
)
from tests.outbox.test_rows import TOO_BIG, waiting
from tutumwatch.notifiers.outcomes import Delivered, GiveUp, Outcome, RetryLater
from tutumwatch.outbox.sqlite.codec import decode_notice
from tutumwatch.outbox.store import DIGEST_RULE, Delivery, Head, HeldUp
from tutumwatch.rules.decisions import Decisions, Dropped, Owed, Revived, Settled
from tutumwatch.rules.notice import Form, Notice

_LANES = st.sampled_from(["a", "b", "c"])
_ENDS = st.sampled_from(
    [Delivered(), BAD, SERVER_DOWN, TIMED_OUT, REFUSED_FOR_SURE, limited(1.0), KEY_REFUSED, TOO_BIG]
)
_WHICH = st.integers(0, 5)
_COMMIT = st.tuples(
    st.just("commit"), st.lists(st.tuples(_LANES, st.sampled_from([*Form, None])), max_size=4)
)
_SETTLE = st.tuples(st.just("settle"), st.tuples(_WHICH, st.booleans()))
_BEGIN = st.tuples(st.just("begin"), _WHICH)
_FINISH = st.tuples(st.just("finish"), st.tuples(_WHICH, _ENDS))
_DROP = st.tuples(st.just("drop"), st.integers(1, 30))
_REVIVE = st.tuples(st.just("revive"), _WHICH)
_DIGEST = st.tuples(st.just("digest"), st.none())
_RESTART = st.tuples(st.just("restart"), st.none())
_STEP = st.one_of(_COMMIT, _SETTLE, _BEGIN, _FINISH, _DROP, _REVIVE, _DIGEST, _RESTART)
_Step: TypeAlias = tuple[str, Any]
_ALL = "SELECT notice, waits_for FROM deliveries"
_LIVE = "SELECT notice, waits_for FROM deliveries WHERE state < 3"
_ONE = "SELECT notice, waits_for FROM deliveries WHERE id = ?"
_HEADS = "SELECT id FROM deliveries WHERE head = 1 AND state = 1"
_BAD_LANES = (
    "SELECT key FROM deliveries WHERE state < 3 GROUP BY notifier, key"
    " HAVING sum(head) != 1 OR min(id) != min(CASE WHEN head THEN id END)"
)


class _Run:
    """Drives a store and keeps its own books of what was committed, sent, and how it ended."""

    def __init__(self, test: SynchronousTestCase, path: str) -> None:
        self.test = test
        self.path = path
        self.store = open_store(path)
        self.store.restore()
        self.do(self.store.open())
        # The place of each notice in the order of commit, by its text, which begins with its lane.
        self.places: dict[str, int] = {}
        self.last_place = 0
        self.forms: dict[str, Form] = {}
        self.waiting: dict[str, str] = {}
        self.heads: dict[int, Head] = {}
        self.sending: dict[int, Delivery] = {}
        self.sent: defaultdict[str, list[int]] = defaultdict(list)
        self.maybe_seen: set[str] = set()
        self.ended: dict[str, str] = {}
        self.counts: Counter[str] = Counter()

    # -- what is done

    def take(self, heads: Sequence[Head]) -> None:
        """Take new heads: none may be out already."""
        for head in heads:
            self.test.assertNotIn(head.row_id, {**self.heads, **self.sending})
            self.heads[head.row_id] = head

    def do(self, work: Any) -> Any:  # noqa: ANN401 - a coroutine of the store
        """Make one call of the store."""
        return self.test.successResultOf(Deferred.fromCoroutine(work))

    def owe(self, *owed: Owed) -> None:
        """Commit, and take the heads."""
        self.take(self.do(self.store.commit(Decisions(owed=list(owed)), 0.0)))

    def place(self, text: str, form: Form) -> Notice:
        """Give a notice the last place in its lane."""
        self.last_place += 1
        self.places[text] = self.last_place
        self.forms[text] = form
        return notice(text, text[0], form)

    def commit(self, wanted: list[tuple[str, Form | None]]) -> None:
        """Commit notices, and rows that wait for one."""
        owed: list[Owed] = []
        for lane, form in wanted:
            text = f"{lane}{len(self.places):04}"
            if form is not None:
                owed.append(self.place(text, form))
                continue
            self.place(text, Form.MESSAGE)
            self.waiting[f"w {text}"] = text
            owed.append(waiting(f"w {text}", lane))
        self.owe(*owed)

    def settle(self, which: int, *, said: bool) -> None:
        """End the waiting of a row."""
        if not self.waiting:
            return
        row_id = sorted(self.waiting)[which % len(self.waiting)]
        text = self.waiting.pop(row_id)
        if not said:
            self.ended[text] = "no match"
        self.owe(Settled(row_id, (notice(text, text[0]),) if said else ()))

    def begin(self, which: int) -> None:
        """Begin to send a head."""
        if not self.heads:
            return
        row_id = sorted(self.heads)[which % len(self.heads)]
        del self.heads[row_id]
        for begun in self.do(self.store.begin([row_id])):
            self.sending[row_id] = begun
            self.sent[begun.notice.key].append(self.places[begun.notice.text])

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
        self.take(self.do(self.store.finish({row_id: outcome}, {})))

    def drop(self, row_id: int) -> None:
        """Drop a row, whatever it is."""
        before = self.texts(_ALL)
        self.owe(Dropped(row_id, "by hand"))
        for text in before - self.texts(_ALL):
            self.ended[text] = "dropped"
            self.waiting.pop(f"w {text}", None)

    def revive(self, which: int) -> None:
        """Send a dead letter again, in a new place."""
        dead = self.query("SELECT id FROM deliveries WHERE state = 3 ORDER BY id")
        if dead:
            (row_id,) = dead[which % len(dead)]
            (text,) = self.texts(_ONE, row_id)
            del self.ended[text]
            # Who may have seen it before has seen another one: this one is said anew.
            self.maybe_seen.discard(text)
            self.place(text, self.forms[text])
            self.owe(Revived(row_id))

    def digest(self) -> None:
        """Tell all messages in one that wait, if there are enough."""
        before = self.texts(_LIVE)
        held_up: list[HeldUp] = []

        def write(held: HeldUp) -> Notice:
            held_up.append(held)
            text = f"d{len(self.places):04}"
            return attrs.evolve(self.place(text, Form.MESSAGE), rule=DIGEST_RULE)

        self.take(self.do(self.store.digest("ops", 1.0, write)))
        gone = before - self.texts(_LIVE)
        self.test.assertEqual([held.count for held in held_up], [len(gone)] if gone else [])
        self.ended.update(dict.fromkeys(gone, "digested"))
        self.test.assertEqual({self.forms[text] for text in gone} - {Form.MESSAGE}, set())

    def count(self) -> None:
        """Add up what the store counted since it began."""
        self.counts.update(self.store.counts)

    def restart(self) -> None:
        """Be killed, and begin again with what the file has."""
        self.count()
        self.do(self.store.close())
        self.store = open_store(self.path)
        restored = self.store.restore()
        interrupted = self.do(self.store.open())
        self.test.assertEqual({row.id for row in restored.waiting}, set(self.waiting))
        # Those that were being sent, and those that may have arrived at an earlier attempt.
        again = {head.row_id for head in interrupted}
        maybe_sent = self.query("SELECT id FROM deliveries WHERE head = 1 AND maybe_sent = 1")
        self.test.assertEqual(again, {row_id for (row_id,) in maybe_sent})
        self.test.assertLessEqual(set(self.sending), again)
        self.maybe_seen |= {begun.notice.text for begun in self.sending.values()}
        self.sending.clear()
        self.heads = {head.row_id: head for head in self.do(self.store.heads("ops", 1_000))}

    # -- what is there

    def query(self, query: str, *values: int) -> list[tuple[Any, ...]]:
        """Look into the file."""
        done = self.store._writer.do(lambda t: t.connection.execute(query, values).fetchall())
        return self.test.successResultOf(done)

    def texts(self, query: str, *values: int) -> set[str]:
        """Give what some rows say, or will; no two say the same."""
        rows = self.query(query, *values)
        texts = {_text(row) for row in rows}
        self.test.assertEqual(len(texts), len(rows), "something is there twice")
        return texts

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
            case ("drop", row_id):
                self.drop(row_id)
            case ("revive", which):
                self.revive(which)
            case ("digest", _):
                self.digest()
            case _:
                self.restart()

    def deliver_all(self) -> None:
        """Let everything that waits be said, and everything that is owed be delivered."""
        while self.waiting:
            self.settle(0, said=True)
        while self.heads or self.sending:
            self.begin(0)
            self.finish(0, Delivered())


def _text(row: tuple[Any, ...]) -> str:
    sealed, waits_for = row
    return decode_notice(sealed).text if sealed is not None else str(waits_for).removeprefix("w ")


class AnyOrderTests(SynchronousTestCase):
    """Random commits, settlements, beginnings and ends, drops, digests and restarts."""

    @settings(max_examples=150, deadline=None)
    @given(st.lists(_STEP, max_size=60))
    def test_lanes_keep_their_order_and_nothing_is_lost(self, steps: list[_Step]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            run = _Run(self, str(Path(folder, "outbox.sqlite")))
            for step in steps:
                run.step(step)
                self.check_books(run)
            run.deliver_all()
            self.check_end(run)
            run.do(run.store.close())

    def check_books(self, run: _Run) -> None:
        """At every moment, what was committed has ended, is owed, or nobody has seen it."""
        live = run.texts(_LIVE)
        self.assertEqual(len(live), run.store.owed_counts().get("ops", 0))
        self.assertEqual(live & set(run.ended), set(), "owed and ended")
        for text in set(run.places) - live - set(run.ended):
            run.ended[text] = "withdrawn"
            self.assertNotIn(text, run.maybe_seen)
            self.assertIsNot(run.forms[text], Form.MESSAGE)
        sending = [begun.notice.key for begun in run.sending.values()]
        self.assertEqual(len(sending), len(set(sending)), "two of one lane are under way")
        self.assertEqual(run.query(_BAD_LANES), [], "its first row is its head, and no other")
        heads = {row_id for (row_id,) in run.query(_HEADS)}
        self.assertEqual(heads - set(run.heads), set(), "nobody was told of these")

    def check_end(self, run: _Run) -> None:
        """In the end nothing is owed, and each lane was sent in its order."""
        self.assertEqual(run.store.owed_counts(), {})
        for lane, sent in run.sent.items():
            self.assertEqual(sent, sorted(sent), f"lane {lane} was sent out of order")
        ends = Counter(run.ended.values())
        run.count()
        self.assertEqual(run.counts["withdrawn"], ends["withdrawn"] + ends["no match"])
        self.assertEqual(run.counts["digested"], ends["digested"])
        withdrawn = [text for text in run.places if run.ended[text] == "withdrawn"]
        for lane in "abc":
            forms = Counter(run.forms[text] for text in withdrawn if text[0] == lane)
            self.assertEqual(forms[Form.TRIGGER], forms[Form.RESOLVE])
