"""Tests of what is told of messages that waited for too long: one message, on return."""

from __future__ import annotations

from tests.outbox.cases import (
    KEY_REFUSED,
    SERVER_DOWN,
    START,
    UNWRITABLE,
    FaultyStore,
    escape,
    notice,
    told,
)
from tests.outbox.test_rows import RowsTestCase, waiting
from tutumwatch.notifiers.contract import Pace
from tutumwatch.notifiers.outcomes import Delivered
from tutumwatch.outbox.digest import write_digest
from tutumwatch.outbox.store import DIGEST_RULE, Head, HeldUp
from tutumwatch.rules.decisions import Settled
from tutumwatch.rules.notice import Form, Notice

STALE_SECONDS = 3600.0


class WriteDigestTests(RowsTestCase):
    """It says how many, from when to when, of which rules, and the last ones in full."""

    def test_with_some_left_out(self) -> None:
        held = HeldUp("ops", 12, 86_400.0, 90_061.0, {"web": 10, "db <down>": 2}, ["*x*", "y"])
        self.assertEqual(
            write_digest(held, escape, 95_000.0),
            Notice(
                id="held up/ops/95000.0",
                form=Form.MESSAGE,
                rule=DIGEST_RULE,
                notifier="ops",
                key="held up/95000.0",
                text="<12 messages from 1970-01-02 00:00 UTC to 1970-01-02 01:01 UTC were held up: "
                "2 of db <down>, 10 of web; the last of them:>\n*x*\ny",
                at=95_000.0,
                marks=("held up",),
            ),
        )

    def test_with_all_of_them(self) -> None:
        held = HeldUp("ops", 2, 0.0, 0.0, {"web": 2}, ["x", "y"])
        said = write_digest(held, escape, 0.0).text
        self.assertTrue(said.endswith("2 of web; they are:>\nx\ny"), said)


class DigestRowsTests(RowsTestCase):
    """All old messages that are not being sent become one, if they are more than three."""

    def setUp(self) -> None:
        """Keep what a digest is written of."""
        super().setUp()
        self.held: list[HeldUp] = []

    def digest(self, before: float = 100.0) -> list[str]:
        """Replace what happened before a time; give what the heads say that come of it."""
        return self.said(self.result_of(self.store.digest("ops", before, self.write)))

    def write(self, held: HeldUp) -> Notice:
        """Write a digest that can be told from all else."""
        self.held.append(held)
        return notice(f"digest {len(self.held)}", rule=DIGEST_RULE, at=0.0)

    def test_three_are_told_one_by_one(self) -> None:
        self.commit(*(notice(str(number)) for number in range(3)))
        self.assertEqual(self.digest(), [])
        self.assertEqual((self.owed_texts(), self.held), (["0", "1", "2"], []))

    def test_ten_thousand_are_told_in_one_and_more_in_another(self) -> None:
        """So that nothing else waits for long; the next of them goes first."""
        self.commit(*(notice(f"{number:05}") for number in range(10_005)))
        self.digest()
        self.assertEqual((self.held[0].count, self.held[0].latest[-1]), (10_000, "09999"))
        self.assertEqual(self.digest(), ["digest 2"])
        self.assertEqual((self.held[1].count, self.held[1].latest[0]), (5, "10000"))

    def test_four_are_told_in_one(self) -> None:
        self.commit(
            notice("1", at=5.0),
            notice("2", at=9.0, rule="other"),
            notice("3", at=3.0),
            notice("4", at=99.0),
        )
        self.assertEqual(self.digest(), ["digest 1"])
        self.assertEqual(self.owed_texts(), ["digest 1"])
        by_rule = {"a rule": 3, "other": 1}
        self.assertEqual(self.held, [HeldUp("ops", 4, 3.0, 99.0, by_rule, ["1", "2", "3", "4"])])
        self.assertEqual(self.store.owed_counts(), {"ops": 1})
        self.assertEqual(self.store.counts, {"digested": 4})

    def test_the_last_ten_are_given_in_full(self) -> None:
        self.commit(*(notice(f"{number:02}") for number in range(14)))
        self.digest()
        (held,) = self.held
        self.assertEqual(held.latest, [f"{number:02}" for number in range(4, 14)])
        self.assertEqual(held.count, 14)

    def test_one_that_is_damaged_counts_and_is_left_out_of_them(self) -> None:
        self.commit(*(notice(str(number)) for number in range(4)))
        self.damage(2)
        self.digest()
        (held,) = self.held
        self.assertEqual((held.count, held.latest), (4, ["0", "2", "3"]))

    def test_only_old_messages_of_this_notifier_count(self) -> None:
        """What opens or closes an incident is said, however late."""
        self.commit(
            *(notice(f"new {number}", at=100.0) for number in range(4)),
            *(notice(f"down {number}", form=Form.TRIGGER) for number in range(4)),
            *(notice(f"up {number}", form=Form.RESOLVE) for number in range(4)),
            *(notice(f"elsewhere {number}", notifier="pd") for number in range(4)),
            *(waiting(f"w{number}", "a") for number in range(4)),
            *(notice(f"old {number}") for number in range(3)),
        )
        self.assertEqual((self.digest(), self.held), ([], []))

    def test_what_is_being_sent_is_left_alone(self) -> None:
        sent, *_ = self.commit(*(notice(str(number)) for number in range(5)))
        self.begin(sent)
        self.digest()
        self.assertEqual(self.held[0].latest, ["1", "2", "3", "4"])
        self.assertEqual(self.owed_texts(), ["0", "digest 1"])

    def test_a_digest_is_in_no_other(self) -> None:
        self.commit(*(notice(str(number)) for number in range(4)))
        self.digest()
        self.commit(*(notice(str(number)) for number in range(3)))
        self.assertEqual(self.digest(), [])
        self.commit(notice("3"))
        self.assertEqual(self.digest(), ["digest 2"])
        self.assertEqual(self.held[1].latest, ["0", "1", "2", "3"])
        self.assertEqual(self.owed_texts(), ["digest 1", "digest 2"])

    def test_what_came_behind_them_is_head(self) -> None:
        self.commit(
            *(notice(f"old {lane}", lane) for lane in "abcd"),
            notice("new", "a", at=100.0),
            notice("down", "b", Form.TRIGGER),
            waiting("w", "c"),
        )
        self.assertEqual(sorted(self.digest()), ["digest 1", "down", "new"])
        self.assertEqual(self.owe_heads(Settled("w", (notice("it", "c"),))), ["it"])

    def test_a_head_that_stays_head_is_not_given_out_again(self) -> None:
        self.commit(notice("down", "a", Form.TRIGGER), notice("old", "a"))
        self.commit(*(notice(f"old {lane}", lane) for lane in "bcd"))
        self.assertEqual(self.digest(), ["digest 1"])


class StaleTests(RowsTestCase):
    """A destination that was away for long is not flooded with what is over."""

    def test_an_outage_of_hours_is_told_in_one(self) -> None:
        """The probe that finds it back tells one of them, and no digest is tried before that."""
        deliverer = self.deliverer()
        self.destination.judge = lambda _notice: KEY_REFUSED
        self.owe(deliverer, *(notice(f"{number:02}") for number in range(30)))
        self.pass_seconds(2 * STALE_SECONDS, step=5.0)
        self.assertEqual(self.owed_texts(), [f"{number:02}" for number in range(30)])
        self.assertEqual({tuple(batch) for batch in self.destination.batches}, {("00",)})
        self.destination.batches.clear()
        self.destination.judge = lambda _notice: Delivered()
        self.pass_seconds(300.0)
        probe, digest = self.destination.batches
        self.assertEqual(probe, ["00"])
        self.assertEqual(len(digest), 1)
        lines = digest[0].splitlines()
        self.assertEqual(
            lines[0],
            "<29 messages from 1970-01-01 00:00 UTC to 1970-01-01 00:00 UTC were held up: "
            "29 of a rule; the last of them:>",
        )
        self.assertEqual(lines[1:], [f"{number:02}" for number in range(20, 30)])
        self.assertEqual(self.store.owed_counts(), {})

    def test_an_outage_of_minutes_is_told_one_by_one(self) -> None:
        deliverer = self.deliverer()
        self.destination.judge = lambda _notice: KEY_REFUSED
        texts = [str(number) for number in range(5)]
        self.owe(deliverer, *(notice(text) for text in texts))
        self.pass_seconds(900.0)
        self.destination.batches.clear()
        self.destination.judge = lambda _notice: Delivered()
        self.pass_seconds(300.0)
        self.assertEqual(self.destination.batches, told(*texts))

    def test_incidents_are_told_one_by_one_after_any_outage(self) -> None:
        store = FaultyStore(self.store)
        deliverer = self.deliverer(store=store)
        self.clock.advance(2 * STALE_SECONDS)
        texts = [str(number) for number in range(5)]
        self.owe(deliverer, *(notice(text, form=Form.TRIGGER) for text in texts))
        self.assertEqual(self.destination.batches, told(*texts))
        self.assertNotIn("digest", store.asked)

    def test_what_is_exactly_so_old_is_not_too_old(self) -> None:
        store = FaultyStore(self.store)
        deliverer = self.deliverer(Pace(stale_after_seconds=60.0), store=store)
        self.clock.advance(60.0)
        self.owe(deliverer, notice("x", at=0.0))
        self.assertNotIn("digest", store.asked)
        self.clock.advance(1.0)
        self.owe(deliverer, notice("y", at=0.0))
        self.assertIn("digest", store.asked)

    def test_two_requests_at_once_make_one_digest(self) -> None:
        deliverer = self.deliverer(Pace(concurrency_count=4, batch_count=2))
        self.clock.advance(2 * STALE_SECONDS)
        self.owe(deliverer, *(notice(str(number)) for number in range(20)))
        self.assertEqual([len(batch) for batch in self.destination.batches], [1])
        self.assertEqual(self.store.counts["digested"], 20)

    def test_many_more_than_are_held_make_one_digest(self) -> None:
        """It was read of a store that had them all."""
        deliverer = self.deliverer(heads_max_count=10)
        self.clock.advance(2 * STALE_SECONDS)
        self.commit(*(notice(str(number)) for number in range(500)))
        deliverer.wake()
        self.assertEqual([len(batch) for batch in self.destination.batches], [1])
        self.assertEqual(self.store.owed_counts(), {})

    def test_while_nothing_can_be_digested_they_go_one_by_one(self) -> None:
        """A disk that is full keeps no new notice; what is committed is delivered."""
        store = FaultyStore(self.store, {"digest": UNWRITABLE})
        deliverer = self.deliverer(store=store)
        self.clock.advance(2 * STALE_SECONDS)
        texts = [str(number) for number in range(5)]
        self.owe(deliverer, *(notice(text) for text in texts))
        self.assertEqual(self.destination.batches, told(*texts))

    def test_a_digest_that_cannot_be_delivered_is_tried_again(self) -> None:
        """As it was written; it grows old, and is told all the same."""
        deliverer = self.deliverer()
        self.clock.advance(2 * STALE_SECONDS)
        self.destination.judge = lambda _notice: SERVER_DOWN
        self.owe(deliverer, *(notice(str(number)) for number in range(5)))
        self.pass_seconds(2 * STALE_SECONDS, step=5.0)
        self.destination.judge = lambda _notice: Delivered()
        self.pass_seconds(300.0)
        self.assertEqual(len({tuple(batch) for batch in self.destination.batches}), 1)
        self.assertEqual((self.store.owed_counts(), self.store.counts["digested"]), ({}, 5))

    def test_it_is_the_watchs_time_that_counts(self) -> None:
        """Not the one in which delays are measured."""
        self.assertEqual((self.clock.seconds(), self.now()), (START, 0.0))
        head = Head(1, "ops", at=-STALE_SECONDS - 1.0)
        store = FaultyStore(self.store)
        deliverer = self.deliverer(store=store)
        deliverer.wake()
        deliverer.offer(head)
        deliverer.wake()
        self.assertIn("digest", store.asked)
