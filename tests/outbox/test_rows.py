"""Tests of what is owed as rows: lanes, heads, waiting rows, what may be withdrawn, dead letters."""

from __future__ import annotations

from collections.abc import Sequence

from tests.outbox.cases import (
    BAD,
    KEY_REFUSED,
    REFUSED_FOR_SURE,
    SERVER_DOWN,
    TIMED_OUT,
    OutboxTestCase,
    limited,
    notice,
)
from tutumwatch.events.inputs import Link, LinkType
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.notifiers.outcomes import Delivered, Outcome, Reason, Smaller
from tutumwatch.outbox.store import Delivery, Head, Restored
from tutumwatch.rules.decisions import Dropped, Owed, Revived, Settled, WaitingRow
from tutumwatch.rules.notice import Form

TRIGGER, RESOLVE = Form.TRIGGER, Form.RESOLVE
TOO_BIG = Smaller(Reason.TOO_LARGE, "413")


def waiting(row_id: str, key: str, *notifiers: str) -> WaitingRow:
    """Make a place for what waits for a look-up."""
    change = Inventory().apply_link(Link(LinkType.STREAM, "main", "Connected", "", 0.0), "c")
    return WaitingRow(
        row_id, "a rule", notifiers or ("ops",), key, change, number=0, due=10.0, needs=frozenset()
    )


def texts(begun: Sequence[Delivery]) -> list[str]:
    """Give what deliveries say."""
    return [delivery.notice.text for delivery in begun]


class RowsTestCase(OutboxTestCase):
    """Words for the store's calls."""

    def said(self, heads: Sequence[Head]) -> list[str]:
        """Give what heads say, as the file has it."""
        told = dict(self.rows("SELECT id, notice FROM deliveries"))
        return [self.notice_in(told[head.row_id]).text for head in heads]

    def owe_heads(self, *owed: Owed) -> list[str]:
        """Commit decisions, and give what the new heads say."""
        return self.said(self.commit(*owed))

    def begin(self, *heads: Head) -> Sequence[Delivery]:
        """Note that heads are about to be sent."""
        return self.result_of(self.store.begin([head.row_id for head in heads]))

    def finish(self, head: Head, outcome: Outcome, up_seconds: float = 0.0) -> Sequence[Head]:
        """End the sending of a head."""
        row_id = head.row_id
        return self.result_of(self.store.finish({row_id: outcome}, {row_id: up_seconds}))

    def end(self, head: Head, outcome: Outcome) -> list[str]:
        """Send a head, end so, and give what the heads say that come of it."""
        self.begin(head)
        return self.said(self.finish(head, outcome))

    def owed_texts(self) -> list[str]:
        """Give what is still to be said, in order of commit."""
        rows = self.rows("SELECT notice FROM deliveries WHERE state IN (1, 2) ORDER BY id")
        return [self.notice_in(sealed).text for (sealed,) in rows]

    def damage(self, row_id: int) -> None:
        """Let a bit of a notice flip on the disk."""
        ((sealed,),) = self.rows("SELECT notice FROM deliveries WHERE id = ?", row_id)
        flipped = bytes([*sealed[:-1], sealed[-1] ^ 1])
        self.rows("UPDATE deliveries SET notice = ? WHERE id = ?", flipped, row_id)


class LaneTests(RowsTestCase):
    """The notices of one key to one notifier are given out one by one, in their order."""

    def test_a_new_store_knows_nothing(self) -> None:
        self.assertEqual(self.store.restore(), Restored())
        self.assertEqual(len(self.result_of(self.store.open())), 0)

    def test_only_the_first_of_a_lane_is_given_out(self) -> None:
        heads = self.commit(notice("1", "a"), notice("2", "a"), notice("3", "b"))
        self.assertEqual(self.said(heads), ["1", "3"])
        self.assertEqual([head.row_id for head in heads], [1, 3])

    def test_a_head_says_what_must_be_known_of_it_before_it_is_read(self) -> None:
        said, opened = self.commit(notice("1", at=17.0), notice("2", form=TRIGGER))
        self.assertEqual(said, Head(1, "ops", at=17.0, is_message=True))
        self.assertEqual(opened, Head(2, "ops", at=0.0, is_message=False))
        self.begin(said)
        self.assertEqual(
            self.finish(said, SERVER_DOWN), [Head(1, "ops", at=17.0, is_message=True, attempts=1)]
        )

    def test_lanes_of_two_notifiers_are_two(self) -> None:
        heads = self.commit(notice("1", "a"), notice("2", "a", notifier="other"))
        self.assertEqual([(h.notifier, h.row_id) for h in heads], [("ops", 1), ("other", 2)])

    def test_a_head_is_given_out_once(self) -> None:
        self.commit(notice("1", "a"))
        self.assertEqual(self.commit(notice("2", "a")), [])

    def test_the_next_is_head_when_the_first_is_delivered(self) -> None:
        (head,) = self.commit(notice("1", "a"), notice("2", "a"), notice("3", "a"))
        self.assertEqual(self.end(head, Delivered()), ["2"])

    def test_the_next_is_head_when_the_first_is_given_up(self) -> None:
        (head,) = self.commit(notice("1", "a"), notice("2", "a"))
        self.assertEqual(self.end(head, BAD), ["2"])

    def test_every_other_outcome_keeps_the_head_with_one_attempt_more(self) -> None:
        for outcome in (SERVER_DOWN, REFUSED_FOR_SURE, limited(3.0), TOO_BIG, KEY_REFUSED):
            (head,) = self.commit(notice(f"1 {outcome}", "a"), notice("2", "a"))
            self.begin(head)
            (again,) = self.finish(head, outcome)
            self.assertEqual((again.row_id, again.attempts), (head.row_id, 1), outcome)
            self.assertEqual(self.end(again, Delivered()), ["2"])
            self.setUp()

    def test_a_batch_may_end_in_many_ways(self) -> None:
        heads = self.commit(*(notice(f"{lane}{n}", lane) for n in (1, 2) for lane in "abc"))
        self.begin(*heads)
        a, b, c = (head.row_id for head in heads)
        outcomes: dict[int, Outcome] = {a: Delivered(), b: SERVER_DOWN, c: BAD}
        after = self.result_of(self.store.finish(outcomes, {}))
        self.assertEqual(self.said(after), ["a2", "b1", "c2"])

    def test_what_is_remembered_comes_with_the_next_of_the_lane(self) -> None:
        a, b = self.commit(notice("1", "a"), notice("2", "a"), notice("3", "a"), notice("4", "b"))
        self.assertEqual([begun.memory for begun in self.begin(a, b)], [None, None])
        outcomes = {a.row_id: Delivered(remember="ts 17"), b.row_id: Delivered()}
        (second,) = self.result_of(self.store.finish(outcomes, {}))
        self.assertEqual([begun.memory for begun in self.begin(second)], ["ts 17"])
        (third,) = self.finish(second, Delivered())
        self.assertEqual([begun.memory for begun in self.begin(third)], ["ts 17"])

    def test_the_first_heads_can_be_asked_for(self) -> None:
        """In order of commit; not those that are being sent, nor those of other notifiers."""
        sent, *_ = self.commit(*(notice(str(number)) for number in range(5)), waiting("w", "a"))
        self.commit(notice("behind", "1"), notice("elsewhere", notifier="pd"))
        self.begin(sent)
        self.assertEqual(self.said(self.result_of(self.store.heads("ops", 3))), ["1", "2", "3"])
        self.assertEqual(len(self.result_of(self.store.heads("ops", 100))), 4)
        self.assertEqual(self.result_of(self.store.heads("nobody", 100)), [])

    def test_an_end_of_what_is_not_being_sent_means_nothing(self) -> None:
        (head,) = self.commit(notice("1", "a"), notice("2", "a"))
        for outcome in (Delivered(), BAD, SERVER_DOWN):
            self.assertEqual(self.finish(head, outcome), [])
        self.assertEqual(self.owed_texts(), ["1", "2"])
        self.assertEqual(self.store.owed_counts(), {"ops": 2})

    def test_what_was_begun_and_never_ended_is_begun_again(self) -> None:
        """A bug of ours in between must not lose it; nobody knows whether it arrived."""
        (head,) = self.commit(notice("down", "k", TRIGGER))
        self.begin(head)
        (again,) = self.begin(head)
        self.assertEqual((again.notice.text, again.attempts), ("down", 1))
        self.finish(head, REFUSED_FOR_SURE)
        self.commit(notice("up", "k", RESOLVE))
        self.assertEqual(self.owed_texts(), ["down", "up"])


class CountTests(RowsTestCase):
    """What is owed is counted by notifier, and so is how it ended."""

    def test_what_is_owed(self) -> None:
        heads = self.commit(
            notice("1", "a"), notice("2", "a"), notice("3", notifier="pd"), waiting("w", "c")
        )
        self.assertEqual(self.store.owed_counts(), {"ops": 3, "pd": 1})
        self.end(heads[0], Delivered())
        self.end(heads[1], BAD)
        self.assertEqual(self.store.owed_counts(), {"ops": 2})
        self.assertEqual(self.store.counts, {"delivered": 1, "dead": 1})

    def test_nothing_is_kept_of_what_has_ended(self) -> None:
        """The file is bounded by what is owed, not by what ever was."""
        for head in self.commit(notice("1"), notice("2")):
            self.end(head, Delivered())
        self.commit(waiting("w", "c"))
        self.commit(Settled("w", ()))
        self.assertEqual(self.store.owed_counts(), {})
        for query in (
            "SELECT * FROM deliveries",
            "SELECT * FROM waiting",
            "SELECT * FROM memory",
        ):
            self.assertEqual(self.rows(query), [], query)

    def test_closing_is_no_end_of_what_is_owed(self) -> None:
        self.commit(notice("1"))
        self.result_of(self.store.close())
        self.assertEqual(self.store.owed_counts(), {"ops": 1})


class WaitingRowTests(RowsTestCase):
    """What waits for a look-up holds its place in its lane and blocks that lane only."""

    def test_a_waiting_row_blocks_its_own_lane(self) -> None:
        heads = self.commit(waiting("w", "a"), notice("after it", "a"), notice("other", "b"))
        self.assertEqual(self.said(heads), ["other"])

    def test_settled_it_is_said_in_its_place(self) -> None:
        self.commit(waiting("w", "a"), notice("after it", "a"))
        (head,) = self.commit(Settled("w", (notice("it", "a", at=9.0),)))
        self.assertEqual((self.said([head]), head.at), (["it"], 9.0))
        self.assertEqual(self.end(head, Delivered()), ["after it"])

    def test_settled_behind_another_it_is_said_after_that(self) -> None:
        (first,) = self.commit(notice("first", "a"), waiting("w", "a"))
        self.assertEqual(self.commit(Settled("w", (notice("it", "a"),))), [])
        self.assertEqual(self.end(first, Delivered()), ["it"])

    def test_without_a_notice_it_is_withdrawn(self) -> None:
        self.commit(waiting("w", "a"), notice("after it", "a"))
        self.assertEqual(self.owe_heads(Settled("w", ())), ["after it"])
        self.assertEqual(self.store.counts["withdrawn"], 1)
        self.assertEqual(self.store.owed_counts(), {"ops": 1})

    def test_withdrawn_behind_another_it_changes_no_head(self) -> None:
        self.commit(notice("first", "a"), waiting("w", "a"), notice("after it", "a"))
        self.assertEqual(self.commit(Settled("w", ())), [])

    def test_each_notifier_has_a_row_of_its_own(self) -> None:
        self.commit(waiting("w", "a", "ops", "pd", "third"))
        self.assertEqual(self.store.owed_counts(), {"ops": 1, "pd": 1, "third": 1})
        both = (notice("to pd", "a", notifier="pd"), notice("to ops", "a"))
        self.assertEqual(self.owe_heads(Settled("w", both)), ["to ops", "to pd"])
        self.assertEqual(self.store.counts["withdrawn"], 1)

    def test_a_notifier_that_is_not_to_be_told_is_left_out(self) -> None:
        """A route decided for others: its place is given up, and what is behind it goes on."""
        self.assertEqual(self.owe_heads(waiting("w", "a", "ops", "pd")), [])
        behind = (notice("to ops", "a"), notice("to pd", "a", notifier="pd"))
        self.assertEqual(self.owe_heads(*behind), [])
        only = Settled("w", (notice("it", "a", notifier="pd"),))
        also = notice("it to web", "a", notifier="web")
        self.assertEqual(self.owe_heads(only, also), ["to ops", "it", "it to web"])
        self.assertEqual(self.rows("SELECT * FROM waiting"), [])
        self.assertEqual(self.store.owed_counts(), {"ops": 1, "pd": 2, "web": 1})

    def test_it_may_be_settled_in_the_commit_that_made_it(self) -> None:
        heads = self.commit(waiting("w", "a"), Settled("w", (notice("it", "a"),)))
        self.assertEqual(self.said(heads), ["it"])

    def test_a_delivered_head_does_not_give_out_what_waits(self) -> None:
        (first,) = self.commit(notice("first", "a"), waiting("w", "a"))
        self.assertEqual(self.end(first, Delivered()), [])

    def test_what_waits_cannot_be_sent(self) -> None:
        self.commit(waiting("w", "a"))
        self.assertEqual(self.begin(Head(1, "ops")), [])


class WithdrawTests(RowsTestCase):
    """A trigger and the resolve behind it cancel each other only if nobody can have seen it."""

    def assert_withdrawn(self, count: int, owed: dict[str, int]) -> None:
        """Fail unless so many were withdrawn, and so many are still owed."""
        counts = (self.store.counts["withdrawn"], self.store.owed_counts())
        self.assertEqual(counts, (count, owed))

    def test_a_trigger_never_tried_goes_with_its_resolve(self) -> None:
        heads = self.commit(notice("down", "k", TRIGGER), notice("up", "k", RESOLVE))
        self.assertEqual(heads, [])
        self.assert_withdrawn(2, {})

    def test_also_if_it_was_given_out_already(self) -> None:
        """The deliverer that holds it learns so when it wants to send it."""
        (head,) = self.commit(notice("down", "k", TRIGGER))
        self.assertEqual(self.commit(notice("up", "k", RESOLVE)), [])
        self.assertEqual(self.begin(head), [])
        self.assert_withdrawn(2, {})

    def test_what_comes_behind_them_is_head(self) -> None:
        self.commit(notice("down", "k", TRIGGER))
        heads = self.commit(notice("up", "k", RESOLVE), notice("down again", "k", TRIGGER))
        self.assertEqual(self.said(heads), ["down again"])

    def test_not_while_it_is_being_sent(self) -> None:
        (head,) = self.commit(notice("down", "k", TRIGGER))
        self.begin(head)
        self.commit(notice("up", "k", RESOLVE))
        self.assert_withdrawn(0, {"ops": 2})
        self.assertEqual(self.said(self.finish(head, Delivered())), ["up"])

    def test_when_it_was_surely_refused(self) -> None:
        for outcome in (REFUSED_FOR_SURE, limited(None), KEY_REFUSED, TOO_BIG):
            (head,) = self.commit(notice("down", "k", TRIGGER))
            self.begin(head)
            self.commit(notice("up", "k", RESOLVE))
            self.assertEqual(self.finish(head, outcome), [])
            self.assertEqual(self.store.owed_counts(), {}, outcome)

    def test_when_it_was_surely_refused_before(self) -> None:
        (head,) = self.commit(notice("down", "k", TRIGGER))
        self.end(head, REFUSED_FOR_SURE)
        self.commit(notice("up", "k", RESOLVE))
        self.assert_withdrawn(2, {})

    def test_never_after_an_attempt_that_may_have_been_taken(self) -> None:
        for outcome in (TIMED_OUT, SERVER_DOWN):
            (head,) = self.commit(notice("down", outcome.said, TRIGGER))
            self.end(head, outcome)
            self.commit(notice("up", outcome.said, RESOLVE))
        self.assert_withdrawn(0, {"ops": 4})

    def test_nor_if_a_later_attempt_is_surely_refused(self) -> None:
        """The first one may have opened an incident, which must be closed."""
        (head,) = self.commit(notice("down", "k", TRIGGER))
        self.end(head, TIMED_OUT)
        self.end(head, REFUSED_FOR_SURE)
        self.commit(notice("up", "k", RESOLVE))
        self.end(head, REFUSED_FOR_SURE)
        self.assert_withdrawn(0, {"ops": 2})
        self.assertEqual(self.end(head, Delivered()), ["up"])

    def test_a_resolve_after_a_delivered_trigger_is_sent(self) -> None:
        (head,) = self.commit(notice("down", "k", TRIGGER))
        self.end(head, Delivered())
        self.assertEqual(self.owe_heads(notice("up", "k", RESOLVE)), ["up"])

    def test_only_a_trigger_and_its_resolve_are_a_pair(self) -> None:
        self.commit(notice("1", "a", RESOLVE), notice("2", "a", TRIGGER))
        self.commit(notice("3", "b"), notice("4", "b", RESOLVE))
        self.commit(notice("5", "c", TRIGGER), notice("6", "c"))
        self.commit(notice("7", "d", TRIGGER), notice("8", "e", RESOLVE))
        self.commit(waiting("w", "f"), notice("9", "f", RESOLVE))
        self.assert_withdrawn(0, {"ops": 10})

    def test_a_pair_deep_in_a_lane_goes_too(self) -> None:
        """A stream that flaps while PagerDuty is down leaves one thing to say, not hundreds."""
        (head,) = self.commit(notice("down", "k", TRIGGER))
        self.begin(head)
        for _ in range(100):
            self.commit(notice("up", "k", RESOLVE), notice("down", "k", TRIGGER))
        self.assertEqual(self.store.owed_counts(), {"ops": 3})
        self.assertEqual(self.said(self.finish(head, REFUSED_FOR_SURE)), ["down"])
        self.assertEqual(self.store.owed_counts(), {"ops": 1})

    def test_a_pair_that_is_withdrawn_behind_a_head_changes_no_head(self) -> None:
        self.commit(notice("said", "k"), notice("down", "k", TRIGGER))
        self.assertEqual(self.commit(notice("up", "k", RESOLVE)), [])
        self.assert_withdrawn(2, {"ops": 1})


class DeadLetterTests(RowsTestCase):
    """What was given up is kept for a person, who may have it sent again."""

    def test_it_says_what_and_why(self) -> None:
        (head,) = self.commit(notice("1", "a"))
        self.end(head, SERVER_DOWN)
        self.end(head, BAD)
        self.assertEqual(self.dead_letters(), [(notice("1", "a"), "400 invalid_payload")])
        self.assertEqual(self.rows("SELECT id, attempts FROM deliveries"), [(1, 2)])

    def test_it_is_no_part_of_its_lane(self) -> None:
        (head,) = self.commit(notice("down", "k", TRIGGER))
        self.end(head, BAD)
        self.assertEqual(self.owe_heads(notice("up", "k", RESOLVE)), ["up"])
        self.assertEqual(self.store.owed_counts(), {"ops": 1})

    def test_revived_it_goes_behind_its_lane(self) -> None:
        (dead,) = self.commit(notice("1", "a"))
        self.end(dead, BAD)
        (head,) = self.commit(notice("2", "a"))
        self.assertEqual(self.commit(Revived(dead.row_id)), [])
        self.assertEqual(self.owed_texts(), ["2", "1"])
        self.assertEqual(self.store.owed_counts(), {"ops": 2})
        self.assertEqual(self.end(head, Delivered()), ["1"])
        self.assertEqual(self.dead_letters(), [])
        self.assertEqual(self.store.counts["revived"], 1)

    def test_revived_it_begins_anew(self) -> None:
        """With no attempt behind it, and proof that nobody has seen this one yet."""
        (dead,) = self.commit(notice("down", "k", TRIGGER))
        self.end(dead, TIMED_OUT)
        self.end(dead, BAD)
        (head,) = self.commit(Revived(dead.row_id))
        self.assertNotEqual(head.row_id, dead.row_id)
        self.assertEqual([(b.attempts, b.up_seconds) for b in self.begin(head)], [(0, 0.0)])

    def test_only_a_dead_letter_is_revived(self) -> None:
        (sent, _) = self.commit(notice("1"), notice("2"))
        self.begin(sent)
        self.assertEqual(self.commit(Revived(1), Revived(2), Revived(99)), [])
        self.assertEqual(self.owed_texts(), ["1", "2"])
        self.assertEqual(self.store.counts, {})

    def test_one_that_is_damaged_stays_what_it_is(self) -> None:
        """There is nothing left to send; what else the commit has is kept."""
        (dead,) = self.commit(notice("1"))
        self.end(dead, BAD)
        self.damage(dead.row_id)
        self.assertEqual(self.owe_heads(Revived(dead.row_id), notice("2")), ["2"])
        self.assertEqual(self.rows("SELECT state FROM deliveries ORDER BY id"), [(3,), (1,)])


class DropTests(RowsTestCase):
    """A person may say that something is not to be sent."""

    def drop(self, row_id: int) -> Sequence[Head]:
        """Drop a row."""
        return self.commit(Dropped(row_id, "dropped by hand"))

    def test_the_next_of_its_lane_is_head(self) -> None:
        (head,) = self.commit(notice("1", "a"), notice("2", "a"))
        self.assertEqual(self.said(self.drop(head.row_id)), ["2"])
        self.assertEqual((self.owed_texts(), self.store.owed_counts()), (["2"], {"ops": 1}))
        self.assertEqual(self.store.counts, {"dropped": 1})
        self.assertEqual(self.begin(head), [])

    def test_behind_a_head_it_changes_no_head(self) -> None:
        self.commit(notice("1", "a"), notice("2", "a"), notice("3", "a"))
        self.assertEqual(self.drop(2), [])
        self.assertEqual(self.owed_texts(), ["1", "3"])

    def test_what_waits_lets_its_lane_go_on(self) -> None:
        """Nothing is left of it but the rows of its other notifiers."""
        self.commit(waiting("w", "a", "ops", "pd"), notice("after it", "a"))
        self.assertEqual(self.said(self.drop(1)), ["after it"])
        self.assertEqual(self.rows("SELECT id FROM waiting"), [("w",)])
        self.drop(2)
        self.assertEqual(self.rows("SELECT id FROM waiting"), [])
        self.assertEqual(self.commit(Settled("w", (notice("it", "a"),))), [])
        self.assertEqual(self.store.owed_counts(), {"ops": 1})

    def test_a_dead_letter_is_forgotten(self) -> None:
        (head,) = self.commit(notice("1", "a"))
        self.end(head, BAD)
        self.assertEqual(self.drop(head.row_id), [])
        self.assertEqual((self.dead_letters(), self.store.owed_counts()), ([], {}))

    def test_what_is_being_sent_is_not(self) -> None:
        (head,) = self.commit(notice("1", "a"), notice("2", "a"))
        self.begin(head)
        self.assertEqual(self.drop(head.row_id), [])
        self.assertEqual(self.store.counts, {})
        self.assertEqual(self.said(self.finish(head, Delivered())), ["2"])

    def test_nor_what_is_not_there(self) -> None:
        self.assertEqual(self.drop(99), [])
        self.assertEqual(self.store.counts, {})


class DamagedNoticeTests(RowsTestCase):
    """A notice that cannot be read any more is given up, and its lane goes on."""

    def test_it_is_given_out_as_damaged(self) -> None:
        """What is known of it without reading it is there, so that it can be told."""
        damaged, whole = self.commit(notice("1", "a", TRIGGER, rule="r", at=7.0), notice("3", "b"))
        self.damage(damaged.row_id)
        lost, kept = self.begin(damaged, whole)
        self.assertEqual((lost.is_damaged, kept.is_damaged), (True, False))
        said = lost.notice
        self.assertEqual(
            (said.notifier, said.rule, said.key, said.at, said.text),
            ("ops", "r", "a", 7.0, "it was damaged on the disk"),
        )

    def test_one_that_is_no_bytes_at_all_is_damaged(self) -> None:
        (head,) = self.commit(notice("1", "a"))
        self.rows("UPDATE deliveries SET notice = NULL")
        self.assertEqual([begun.is_damaged for begun in self.begin(head)], [True])

    def test_its_lane_goes_on_when_it_is_given_up(self) -> None:
        (head,) = self.commit(notice("1", "a"), notice("2", "a"))
        self.damage(head.row_id)
        self.assertEqual(self.end(head, BAD), ["2"])


class FindTests(RowsTestCase):
    """What a person names is found, whatever its state."""

    def test_those_that_there_are(self) -> None:
        dead, _ = self.commit(notice("1", "a", TRIGGER), notice("2", "b", rule="r"))
        self.end(dead, BAD)
        self.commit(waiting("w", "c"))
        self.assertEqual(
            [
                (row.row_id, row.form, row.rule, row.key)
                for row in self.result_of(self.store.find([3, 99, 1, 2]))
            ],
            [
                (3, "message", "a rule", "c"),
                (1, "trigger", "a rule", "a"),
                (2, "message", "r", "b"),
            ],
        )
