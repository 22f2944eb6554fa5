"""Tests of storms: what nobody could read singly is told in one summary a minute."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.rules.talk import (
    DESTINATIONS,
    SERVICE,
    STACK,
    Talk,
    make_routes,
    make_rule,
    make_rules,
    notices,
    said_by,
    texts,
    told,
    uris,
)
from tutumwatch.inventory.resource import change_of
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.gathered import NAME_MAX_CHARS
from tutumwatch.rules.storms import STORM, Minute

RULE = make_rule(text="{{ name }}")


def burst(talk: Talk, count: int, state: str = "Running", **more: object) -> list[Decisions]:
    """Let something happen to each of some services."""
    return [
        talk.event(uri, state, parents=[], object={"name": f"n<{number}>"}, **more)
        for number, uri in enumerate(uris(count))
    ]


class StormTests(SynchronousTestCase):
    """Above a number in a minute, the others of that minute are told together at its end."""

    def test_the_others_of_a_minute_become_one_summary(self) -> None:
        talk = Talk.of(RULE, storm_count=3)
        said = [texts(decisions) for decisions in burst(talk, 20)]
        self.assertEqual(said, [["n<0>"], ["n<1>"], ["n<2>"], *([[]] * 17)])
        self.assertEqual(talk.speaking.counts, {"storm": 17})
        self.assertEqual(talk.speaking.next_due(), 1060.0)
        talk.now = 1059.0
        self.assertEqual(talk.tick().owed, [])
        talk.now = 1060.0
        names = ", ".join(f"service n<{number}> running" for number in range(3, 13))
        decisions = talk.tick()
        self.assertEqual(
            texts(decisions), [f"news: 17 changes more in a minute: {names} and 7 more"]
        )
        (notice,) = notices(decisions)
        self.assertEqual(
            (notice.key, notice.id, notice.at, notice.details, notice.marks),
            ("summary/news", "storm/1000.0/news/plain", 1060.0, {"count": "17"}, ()),
        )
        self.assertIsNone(talk.speaking.next_due())
        self.assertEqual(talk.records, {})

    def test_as_many_as_are_allowed_are_no_storm(self) -> None:
        talk = Talk.of(RULE, storm_count=20)
        self.assertEqual(sum(len(texts(d)) for d in burst(talk, 20)), 20)
        self.assertIsNone(talk.speaking.next_due())
        talk.now += 60
        self.assertEqual(sum(len(texts(d)) for d in burst(talk, 20)), 20)

    def test_without_a_limit_all_is_said_and_nothing_kept(self) -> None:
        talk = Talk.of(RULE)
        self.assertEqual(sum(len(texts(d)) for d in burst(talk, 100)), 100)
        self.assertEqual(talk.records, {})

    def test_every_minute_begins_anew(self) -> None:
        talk = Talk.of(RULE, storm_count=1)
        for _ in range(2):
            self.assertEqual(sum(len(texts(d)) for d in burst(talk, 3)), 1)
            talk.now += 30
            self.assertEqual(sum(len(texts(d)) for d in burst(talk, 3)), 0)
            (text,) = said_by(talk.wait(30))
            self.assertTrue(text.startswith("news: 5 changes more"), text)

    def test_each_rule_has_its_own(self) -> None:
        other = make_rule(text="other", name="other")
        talk = Talk.of(RULE, other, storm_count=2)
        self.assertEqual([len(texts(d)) for d in burst(talk, 3)], [2, 2, 0])
        self.assertEqual(len(talk.wait(60)), 2)

    def test_what_comes_before_a_late_tick_goes_with_the_others(self) -> None:
        talk = Talk.of(RULE, storm_count=1)
        burst(talk, 2)
        talk.now += 61
        self.assertEqual([len(texts(d)) for d in burst(talk, 1)], [0])
        self.assertEqual(
            texts(talk.tick()),
            ["news: 2 changes more in a minute: service n<1> running, service n<0> running"],
        )

    def test_one_that_comes_often_is_named_once(self) -> None:
        talk = Talk.of(RULE, storm_count=1)
        for state in ("Running", *("Stopped", "Running") * 3):
            talk.event(SERVICE, state, parents=[], object={"name": "web"})
        talk.now += 60
        names = "service web stopped (3 times), service web running (3 times)"
        self.assertEqual(texts(talk.tick()), [f"news: 6 changes more in a minute: {names}"])

    def test_one_is_a_summary_too(self) -> None:
        talk = Talk.of(RULE, storm_count=1)
        burst(talk, 2)
        self.assertEqual(
            said_by(talk.wait(60)), ["news: 1 change more in a minute: service n<1> running"]
        )

    def test_each_destination_gets_what_is_for_it_escaped_once(self) -> None:
        routes = make_routes(
            {"match": {"name": "n<?>"}, "news": ["slack"], "continue": True},
            {"news": ["plain"]},
        )
        rule = make_rule(routes=routes, notify="news", change=True)
        talk = Talk.of(rule, routes=routes, storm_count=1)
        burst(talk, 12)
        talk.now += 60
        decisions = talk.tick()
        self.assertEqual(told(decisions), ["slack", "plain"])
        slack, plain = texts(decisions)
        self.assertTrue(slack.startswith("news: 9 changes more in a minute: service n&lt;1&gt;"))
        self.assertTrue(plain.startswith("news: 11 changes more in a minute: service n<1>"))
        self.assertTrue(plain.endswith("service n<10> running and 1 more"), plain)
        self.assertEqual([n.is_change for n in notices(decisions)], [True, True])

    def test_what_a_cooldown_kept_back_before_it_is_told(self) -> None:
        rule = make_rule(cooldown_seconds=50.0)
        talk = Talk.of(rule, storm_count=1)
        talk.event(SERVICE, parents=[])
        for _ in range(4):
            talk.event(SERVICE, parents=[])
        talk.now += 50
        self.assertEqual(talk.event(SERVICE, parents=[], object={"name": "web"}).owed, [])
        self.assertEqual(
            said_by(talk.wait(10)),
            ["news: 1 change more in a minute: service web running (and 4 more)"],
        )

    def test_a_message_that_waited_may_be_one_too_many(self) -> None:
        rule = make_rule(text="{{ stack.name }}")
        talk = Talk.of(rule, storm_count=1)
        for uri in uris(2):
            talk.event(uri, parents=[STACK], object={"name": uri[16:18]})
        self.assertEqual(texts(talk.found(STACK, name="shop")), ["shop"])
        self.assertEqual(talk.rows, {})
        self.assertEqual(
            said_by(talk.wait(60)), ["news: 1 change more in a minute: shop/s1 running"]
        )


class RememberingTests(SynchronousTestCase):
    """What was gathered survives a restart, and its rule."""

    def setUp(self) -> None:
        """Gather two."""
        self.talk = Talk.of(RULE, storm_count=2)
        burst(self.talk, 4)
        self.said = "news: 2 changes more in a minute: service n<2> running, service n<3> running"

    def test_a_restart(self) -> None:
        self.talk.now += 30
        self.talk.restart()
        burst(self.talk, 1)
        self.assertEqual(self.talk.speaking.next_due(), 1060.0)
        (text,) = said_by(self.talk.wait(30))
        self.assertTrue(text.startswith("news: 3 changes more"), text)

    def test_what_was_said_counts_after_a_restart(self) -> None:
        talk = Talk.of(RULE, storm_count=2)
        burst(talk, 2)
        self.assertIsNone(talk.speaking.next_due())
        talk.restart()
        self.assertEqual([texts(d) for d in burst(talk, 1)], [[]])

    def test_a_minute_that_ended_while_we_did_not_run(self) -> None:
        self.talk.now += 3600
        self.talk.restart()
        self.assertEqual(said_by(self.talk.wait(0)), [self.said])

    def test_a_minute_that_is_dated_later_than_now_counts_from_now(self) -> None:
        """A clock was wrong; another restart does not begin it once more."""
        self.talk.now -= 500
        self.talk.restart()
        self.talk.now += 10
        self.talk.restart()
        self.assertEqual(self.talk.wait(49), [])
        self.assertEqual(said_by(self.talk.wait(1)), [self.said])
        talk = Talk.of(RULE, storm_count=2)
        burst(talk, 2)
        talk.now -= 500
        talk.restart()
        self.assertIsNone(talk.speaking.next_due())
        talk.now += 60
        self.assertEqual([texts(d) for d in burst(talk, 1)], [["n<0>"]])

    def test_a_record_is_written_once_a_batch_and_bounded(self) -> None:
        speaking = self.talk.speaking
        resources = list(self.talk.inventory.resources_of("main"))
        decisions = Decisions()
        for number in range(1000):
            resource = resources[number % 4]
            speaking.hear(change_of(str(number), resource, resource, "update"), decisions, 1)
        self.talk.records.update(
            {name: record for name, record in speaking.records.take().items() if record}
        )
        (name,) = self.talk.records
        self.assertEqual(name, (STORM, "news"))
        self.assertLess(len(self.talk.records[name]), 11 * (NAME_MAX_CHARS + 10))

    def test_a_store_that_was_lost_is_written_again(self) -> None:
        kept = dict(self.talk.records)
        self.talk.speaking.save_everything()
        self.assertEqual(self.talk.speaking.records.take(), kept)

    def test_what_cannot_be_read_is_forgotten(self) -> None:
        talk = Talk.of(RULE, storm_count=2)
        name = (STORM, "news")
        records = {name: b"\xc1", ("cooldown?", "x"): b"another's"}
        self.assertEqual(talk.speaking.restore(records, ()), 1)
        self.assertEqual(talk.speaking.records.take(), {name: None})

    def test_a_reload_that_keeps_the_rule(self) -> None:
        self.assertEqual(self.talk.use(make_rules(RULE, storm_count=0)).owed, [])
        self.assertEqual([texts(d) for d in burst(self.talk, 1)], [[]])
        self.assertEqual(len(self.talk.wait(60)), 1)
        self.assertEqual([texts(d) for d in burst(self.talk, 1)], [["n<0>"]])

    def test_a_reload_without_the_rule_tells_at_once(self) -> None:
        decisions = self.talk.use(make_rules(storm_count=2))
        self.assertEqual(texts(decisions), [self.said])
        self.assertEqual(self.talk.records, {})
        self.assertIsNone(self.talk.speaking.next_due())

    def test_a_rule_that_gathered_nothing_leaves_nothing(self) -> None:
        talk = Talk.of(RULE, storm_count=2)
        burst(talk, 1)
        self.assertEqual(talk.use(make_rules()).owed, [])
        self.assertEqual(talk.records, {})

    def test_a_notifier_that_is_off_meanwhile_gets_none_and_that_is_counted(self) -> None:
        destinations = {"slack": DESTINATIONS["slack"]}
        rule = make_rule(notify=["slack"])
        self.talk.use(make_rules(rule, destinations=destinations))
        self.assertEqual(self.talk.wait(60), [])
        self.assertEqual(self.talk.speaking.counts["unrouted"], 2)
        self.assertEqual(self.talk.speaking.unrouted, "rule 'news': a summary of 2 changes")

    def test_long_names_are_cut(self) -> None:
        talk = Talk.of(make_rule(), storm_count=1)
        for uri in uris(2):
            talk.event(uri, parents=[], object={"name": "x" * 500})
        minute = msgspec.msgpack.decode(talk.records[STORM, "news"], type=Minute)
        assert minute.gathered is not None
        (name,) = minute.gathered.shares["plain"].names
        self.assertEqual((len(name), name[-1]), (NAME_MAX_CHARS, "…"))
