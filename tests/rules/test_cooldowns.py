"""Tests of cooldowns: a rule that rests counts, and tells later how much that was."""

from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from tests.rules.talk import SERVICE, STACK, Talk, make_rule, make_rules, texts
from tutumwatch.inventory.resource import Key
from tutumwatch.rules.cooldowns import COOLDOWN, MARKS_MAX_COUNT, Cooldowns
from tutumwatch.rules.records import Records

WEB: Key = ("main", "service", "web")


class RestingTests(SynchronousTestCase):
    """After a rule has spoken of a resource it says nothing of it for a while."""

    def talk(self, seconds: float = 300.0) -> Talk:
        """Begin with one rule that rests."""
        return Talk.of(make_rule(text="{{ uuid }} {{ state }}", cooldown_seconds=seconds))

    def test_what_was_kept_back_is_told_with_the_next(self) -> None:
        talk = self.talk()
        self.assertEqual(texts(talk.event(SERVICE, "Stopped", parents=[])), ["s1 Stopped"])
        for _ in range(14):
            talk.now += 10
            self.assertEqual(talk.event(SERVICE, "Running", parents=[]).owed, [])
        talk.now = 1299.9
        self.assertEqual(talk.event(SERVICE, "Starting", parents=[]).owed, [])
        talk.now = 1300.0
        decisions = talk.event(SERVICE, "Running", parents=[])
        self.assertEqual(texts(decisions), ["s1 Running (and 15 more)"])
        self.assertEqual(talk.speaking.counts, {"cooldown": 15})
        talk.now = 1600.0
        self.assertEqual(texts(talk.event(SERVICE, "Running", parents=[])), ["s1 Running"])
        self.assertIsNone(talk.speaking.next_due())

    def test_each_resource_and_each_rule_has_its_own(self) -> None:
        other = make_rule(text="other", name="other", cooldown_seconds=60.0)
        always = make_rule(text="always", name="always")
        talk = Talk.of(make_rule(cooldown_seconds=300.0), other, always)
        self.assertEqual(texts(talk.event(SERVICE, parents=[])), ["said", "other", "always"])
        self.assertEqual(
            texts(talk.event("/api/v1/service/s2/", parents=[])), ["said", "other", "always"]
        )
        talk.now += 60
        self.assertEqual(texts(talk.event(SERVICE, parents=[])), ["other", "always"])

    def test_what_is_gone_is_told_and_ends_the_rest(self) -> None:
        """Nothing comes after it that could tell how much was kept back."""
        talk = self.talk()
        talk.event(SERVICE, parents=[])
        talk.event(SERVICE, parents=[])
        gone = talk.event(SERVICE, "Terminated", parents=[], action="delete")
        self.assertEqual(texts(gone), ["s1 Terminated (and 1 more)"])
        self.assertEqual(talk.records, {})
        self.assertEqual(texts(talk.event(SERVICE, parents=[])), ["s1 Running"])

    def test_a_message_that_waited_counts_from_when_it_is_said(self) -> None:
        talk = Talk.of(make_rule(text="{{ stack.name }}", cooldown_seconds=300.0))
        talk.event(SERVICE, parents=[STACK])
        talk.event(SERVICE, parents=[STACK])
        talk.now += 5
        self.assertEqual(texts(talk.found(STACK, name="shop")), ["shop"])
        self.assertEqual(talk.rows, {})
        self.assertEqual(talk.speaking.counts["cooldown"], 1)
        talk.now += 299
        self.assertEqual(talk.event(SERVICE, parents=[STACK]).owed, [])
        talk.now += 1
        self.assertEqual(texts(talk.event(SERVICE, parents=[STACK])), ["shop (and 2 more)"])

    def test_nobody_to_tell_begins_no_rest(self) -> None:
        rule = make_rule({"type": "notifier"}, notify=["plain"], cooldown_seconds=9.0)
        talk = Talk.of(rule)
        talk.event(SERVICE)
        self.assertEqual(talk.records, {})


class RememberingTests(SynchronousTestCase):
    """A restart neither ends a rest nor forgets what was kept back."""

    def setUp(self) -> None:
        """Let a rule rest that has kept two back."""
        self.rule = make_rule(cooldown_seconds=300.0)
        self.talk = Talk.of(self.rule)
        for _ in range(3):
            self.talk.event(SERVICE, parents=[])

    def test_a_restart(self) -> None:
        self.talk.now += 200
        self.talk.restart()
        self.assertEqual(self.talk.event(SERVICE, parents=[]).owed, [])
        self.talk.now += 100
        self.assertEqual(texts(self.talk.event(SERVICE, parents=[])), ["said (and 3 more)"])

    def test_a_rest_that_is_dated_later_than_now_counts_from_now(self) -> None:
        """A clock was wrong; another restart does not begin it once more."""
        self.talk.now -= 500
        self.talk.restart()
        self.talk.now += 10
        self.talk.restart()
        self.talk.now += 289
        self.assertEqual(self.talk.event(SERVICE, parents=[]).owed, [])
        self.talk.now += 1
        self.assertEqual(texts(self.talk.event(SERVICE, parents=[])), ["said (and 3 more)"])

    def test_a_store_that_was_lost_is_written_again(self) -> None:
        kept = dict(self.talk.records)
        self.assertEqual(len(kept), 1)
        self.assertFalse(self.talk.speaking.records)
        self.talk.speaking.save_everything()
        self.assertEqual(self.talk.speaking.records.take(), kept)

    def test_what_cannot_be_read_is_forgotten(self) -> None:
        (name,) = self.talk.records
        talk = Talk.of(self.rule)
        records = {name: b"\xc1", ("member", "x"): b"another's"}
        self.assertEqual(talk.speaking.restore(records, ()), 1)
        self.assertEqual(talk.speaking.records.take(), {name: None})
        self.assertEqual(talk.speaking.records.take(), {})
        self.assertEqual(len(texts(talk.event(SERVICE, parents=[]))), 1)

    def test_a_reload_that_keeps_the_rule(self) -> None:
        """Its rest goes on; a new length counts from the next thing that it says."""
        self.talk.use(make_rules(make_rule(cooldown_seconds=600.0)))
        self.talk.now += 300
        self.assertEqual(texts(self.talk.event(SERVICE, parents=[])), ["said (and 2 more)"])
        self.talk.now += 599
        self.assertEqual(self.talk.event(SERVICE, parents=[]).owed, [])

    def test_a_reload_that_ends_the_rest(self) -> None:
        self.talk.use(make_rules(make_rule()))
        self.assertEqual(texts(self.talk.event(SERVICE, parents=[])), ["said (and 2 more)"])
        self.assertEqual(self.talk.records, {})

    def test_a_reload_without_the_rule_forgets_it(self) -> None:
        self.talk.use(make_rules())
        self.assertEqual(self.talk.records, {})
        self.assertEqual(self.talk.speaking.counts["cooldown forgotten"], 2)


class BoundedTests(SynchronousTestCase):
    """Memory and store are bounded, and what is forgotten for that is counted."""

    def setUp(self) -> None:
        """Begin with as many rests as there may be."""
        self.counts: Counter[str] = Counter()
        self.records = Records()
        self.cooldowns = Cooldowns(self.records, self.counts)
        for number in range(MARKS_MAX_COUNT):
            self.admit(number, number / 10)

    def admit(self, number: int, now: float, seconds: float = 10_000.0) -> int | None:
        """Let a rule speak of a resource."""
        return self.cooldowns.admit("r", ("main", "service", str(number)), seconds, now)

    def test_the_oldest_are_forgotten_at_last(self) -> None:
        self.assertIsNone(self.admit(0, 1.0))
        self.assertEqual(self.admit(-1, 1000.0), 0)
        self.assertEqual(self.counts["cooldown forgotten"], 1)
        self.assertEqual(self.admit(MARKS_MAX_COUNT // 10 - 1, 1000.0), 0)
        self.assertIsNone(self.admit(MARKS_MAX_COUNT // 10, 1000.0))
        self.assertIsNone(self.admit(-1, 1000.0))

    def test_first_those_that_are_over_and_have_nothing_to_tell(self) -> None:
        self.assertIsNone(self.admit(0, 1.0))
        self.assertEqual(self.admit(-1, 1e6), 0)
        self.assertEqual(self.counts["cooldown forgotten"], 0)
        unsaved = self.records.take()
        self.assertEqual(sum(record is None for record in unsaved.values()), MARKS_MAX_COUNT - 1)
        self.assertTrue(all(name[0] == COOLDOWN for name in unsaved))
        self.assertEqual(self.admit(0, 1e6), 1)

    def test_the_order_survives_a_restart(self) -> None:
        records = {n: r for n, r in self.records.take().items() if r is not None}
        self.cooldowns = Cooldowns(self.records, self.counts)
        self.assertEqual(self.cooldowns.restore(dict(sorted(records.items()))), 0)
        self.admit(-1, 1000.0)
        self.assertIsNone(self.admit(MARKS_MAX_COUNT // 10, 1000.0))
        self.assertEqual(self.admit(MARKS_MAX_COUNT // 10 - 1, 1000.0), 0)
