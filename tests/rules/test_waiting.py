"""Tests of the waiting room: rows that wait for look-ups."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tests.rules.talk import SERVICE, STACK, Talk, make_rule, notices
from tutumwatch.events.inputs import Answer, Found, Looked, Unanswered
from tutumwatch.inventory.resource import Change, ChangeKind, Resource
from tutumwatch.rules.decisions import Decisions, Need, Settled, WaitingRow
from tutumwatch.rules.waiting import WAITING_MAX_COUNT, Waiting

PLAIN = Need("main", STACK)
FRESH = Need("main", STACK, fresh=True)
OTHER = Need("main", SERVICE)


def row(row_id: str, *needs: Need, number: int = 5, due: float = 10.0) -> WaitingRow:
    """Make a row that waits."""
    resource = Resource(("main", "service", "s1"), SERVICE)
    change = Change("id", ChangeKind.NEW, None, resource, frozenset(), 0.0)
    return WaitingRow(row_id, "rule", ("plain",), "key", change, number, due, frozenset(needs))


def looked(uri: str = STACK, asked: int = 9, answer: Answer | None = None) -> Looked:
    """Make the end of a look-up."""
    return Looked("main", uri, asked, answer or Found({}), 1.0)


class WaitingTests(SynchronousTestCase):
    """Rows are found by what they need, and go on when all of it was answered."""

    def setUp(self) -> None:
        """Begin with an empty room."""
        self.waiting = Waiting()

    def ready(self, answer: Looked) -> list[str]:
        """Give the ids of the rows that an answer lets go on."""
        return [row.id for row in self.waiting.answer(answer)]

    def test_a_row_goes_on_when_all_is_answered(self) -> None:
        self.waiting.add(row("a", PLAIN, OTHER))
        self.assertEqual(self.ready(looked(STACK)), [])
        self.assertEqual(self.ready(looked(STACK)), [])
        (answered,) = self.waiting.answer(looked(SERVICE, answer=Unanswered("no")))
        self.assertEqual(answered.answered, {STACK, SERVICE})
        self.assertEqual((answered.failed, answered.missing), ({SERVICE}, frozenset()))

    def test_an_answer_of_another_stream_is_none(self) -> None:
        self.waiting.add(row("a", PLAIN))
        self.assertEqual(self.waiting.answer(Looked("other", STACK, 9, Found({}), 1.0)), [])

    def test_a_fresh_answer_was_asked_for_after_the_event(self) -> None:
        self.waiting.add(row("a", FRESH, number=5))
        self.assertEqual(self.ready(looked(asked=4)), [])
        self.assertEqual(self.ready(looked(asked=5)), ["a"])

    def test_a_row_that_was_removed_waits_no_longer(self) -> None:
        waits = row("a", PLAIN, FRESH, OTHER)
        self.waiting.add(waits)
        self.waiting.remove(waits)
        self.waiting.remove(waits)
        self.assertEqual(len(self.waiting), 0)
        self.assertEqual(self.ready(looked()), [])
        self.assertIsNone(self.waiting.next_due())
        self.assertEqual(self.waiting._by_need, {})

    def test_a_row_may_wait_on_with_other_needs(self) -> None:
        waits = row("a", PLAIN)
        self.waiting.add(waits)
        self.waiting.add(attrs.evolve(waits, needs=frozenset({OTHER})))
        self.assertEqual(len(self.waiting), 1)
        self.assertEqual(self.ready(looked(STACK)), [])
        self.assertEqual(self.ready(looked(SERVICE)), ["a"])

    def test_due_rows_count_as_unanswered(self) -> None:
        self.waiting.add(row("late", PLAIN, due=20.0))
        self.waiting.add(row("b", PLAIN, due=10.0))
        self.waiting.add(row("a", PLAIN, OTHER, due=10.0))
        self.waiting.answer(looked(SERVICE))
        self.assertEqual(self.waiting.next_due(), 10.0)
        b, a = self.waiting.due(10.0)
        self.assertEqual((b.id, a.id), ("b", "a"))
        self.assertEqual((a.needs, a.failed, a.answered), (frozenset(), {STACK}, {STACK, SERVICE}))
        self.assertEqual(self.waiting.next_due(), 20.0)


class FullRoomTests(SynchronousTestCase):
    """Memory is bounded whatever happens: beyond 20,000 rows a further one is settled at once."""

    def test_a_full_room(self) -> None:
        talk = Talk.of(make_rule(text="{{ stack.name }}"))
        for number in range(WAITING_MAX_COUNT):
            talk.speaking.waiting.add(row(str(number), PLAIN))
        decisions: Decisions = talk.event(SERVICE, parents=[STACK])
        waits, settled = decisions.owed
        assert isinstance(waits, WaitingRow)
        assert isinstance(settled, Settled)
        self.assertEqual(settled.row_id, waits.id)
        self.assertEqual([n.text for n in notices(decisions)], ["(unknown) (details unknown)"])
        self.assertEqual(decisions.needs, set())
        self.assertEqual(len(talk.speaking.waiting), WAITING_MAX_COUNT)
