"""Tests of when message rules speak, and to whom: ignores, silences, routes, restarts, reloads."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.rules.talk import (
    NODE,
    SERVICE,
    STACK,
    Talk,
    make_ignores,
    make_routes,
    make_rule,
    make_rules,
    notices,
    said_by,
    texts,
    told,
    unexpected,
    uris,
)
from tutumwatch.events.inputs import LinkType, Silence
from tutumwatch.rules.cooldowns import Mark
from tutumwatch.rules.decisions import Decisions, Need, Settled, WaitingRow
from tutumwatch.rules.ignores import compile_ignores
from tutumwatch.rules.notice import Notice
from tutumwatch.rules.silences import MuteSettings, Silences, compile_mute
from tutumwatch.rules.speaking import Speaking
from tutumwatch.rules.storms import Minute

TEAMS = make_routes(
    {"match": {"stack.name": "pay-*"}, "news": ["slack"]},
    {"news": ["plain"]},
)
NEWS = make_rule(text="{{ state }}", notify="news", routes=TEAMS)


class RoutedTests(SynchronousTestCase):
    """A role is told whom the routes name for what happened."""

    def setUp(self) -> None:
        """Begin with a rule that tells a role of two teams."""
        self.talk = Talk.of(NEWS, routes=TEAMS)

    def test_what_is_known_is_routed_at_once(self) -> None:
        for name, notifier in (("pay-eu", "slack"), ("shop", "plain")):
            self.talk.found(STACK, name=name)
            self.assertEqual(told(self.talk.event(SERVICE, parents=[STACK])), [notifier])

    def test_what_is_not_known_is_looked_up_and_keeps_its_place_everywhere(self) -> None:
        decisions = self.talk.event(SERVICE, parents=[STACK])
        (row,) = decisions.owed
        assert isinstance(row, WaitingRow)
        self.assertEqual(set(row.notifiers), {"slack", "plain"})
        self.assertEqual(decisions.needs, {Need("main", STACK)})
        (settled,) = self.talk.found(STACK, name="pay-eu").owed
        assert isinstance(settled, Settled)
        self.assertEqual([notice.notifier for notice in settled.notices], ["slack"])
        self.assertEqual(settled.notices[0].text, "Running")

    def test_what_nobody_answers_goes_to_the_last_route_marked(self) -> None:
        self.talk.event(SERVICE, parents=[STACK])
        decisions = self.talk.unanswered(STACK)
        self.assertEqual(told(decisions), ["plain"])
        self.assertEqual(texts(decisions), ["Running (details unknown)"])

    def test_who_only_the_answer_shows_is_told_as_well(self) -> None:
        """The stack had another name when the row was made."""
        rule = make_rule(text="{{ name }}", notify="news", routes=TEAMS)
        talk = Talk.of(rule, routes=TEAMS)
        talk.found(STACK, name="shop")
        (row,) = talk.event(SERVICE, parents=[STACK]).owed
        assert isinstance(row, WaitingRow)
        self.assertEqual(row.notifiers, ("plain",))
        talk.found(STACK, name="pay-eu")
        settled, notice = talk.found(SERVICE, name="web").owed
        self.assertEqual(settled, Settled(row.id, ()))
        self.assertEqual((told(Decisions(owed=[notice])), talk.rows), (["slack"], {}))

    def test_what_nobody_has_is_counted_and_named(self) -> None:
        routes = make_routes({"match": {"state": "x"}, "news": ["slack"]}, {"other": ["plain"]})
        rule = make_rule(notify="news", routes=routes)
        talk = Talk.of(rule, routes=routes)
        talk.found(STACK, name="shop")
        self.assertEqual(talk.speaking.unrouted, "")
        named = {"name": "web"}
        self.assertEqual(talk.event(SERVICE, "Stopped", parents=[STACK], object=named).owed, [])
        self.assertEqual(talk.speaking.counts, {"unrouted": 1})
        self.assertEqual(talk.speaking.unrouted, "rule 'news': shop/web stopped")

    def test_a_role_whose_notifiers_are_off_has_nobody(self) -> None:
        routes = make_routes({"news": ["off"]})
        rule = make_rule(text="{{ stack.name }}", notify="news", routes=routes)
        talk = Talk.of(rule, routes=routes)
        self.assertEqual(talk.event(SERVICE, parents=[STACK]).owed, [])
        self.assertEqual(talk.speaking.counts, {"unrouted": 1})

    def test_a_rule_whose_notifiers_are_off_costs_nothing(self) -> None:
        talk = Talk.of(make_rule(text="{{ stack.name }}", notify="off"))
        decisions = talk.event(SERVICE, parents=[STACK])
        self.assertEqual((decisions.owed, decisions.needs), ([], set()))
        self.assertEqual(talk.speaking.counts, {})

    def test_a_notifier_is_not_told_of_its_own_trouble(self) -> None:
        talk = Talk.of(make_rule({"type": "notifier"}, notify=["slack", "plain"]))
        self.assertEqual(told(talk.link(LinkType.NOTIFIER, "slack", "Failing")), ["plain"])


class WithheldTests(SynchronousTestCase):
    """What is ignored or silenced is not said, and counted."""

    def test_what_is_ignored(self) -> None:
        talk = Talk.of(make_rule(), ignores=make_ignores({"name": "cron-*"}))
        for name, said in (("cron-1", []), ("web", ["said"])):
            named = {"name": name}
            self.assertEqual(texts(talk.event(SERVICE, parents=[], object=named)), said)
        self.assertEqual(talk.speaking.counts, {"ignored": 1})

    def test_what_may_be_ignored_is_looked_up(self) -> None:
        for name, said in (("cron-1", []), ("web", ["said"])):
            talk = Talk.of(make_rule(), ignores=make_ignores({"name": "cron-*"}))
            decisions = talk.event(SERVICE, parents=[])
            self.assertEqual(decisions.needs, {Need("main", SERVICE)})
            self.assertEqual(texts(talk.found(SERVICE, name=name)), said)
            self.assertEqual(talk.rows, {})
            self.assertEqual(talk.speaking.counts["ignored"], 1 - len(said))

    def test_what_nobody_can_tell_is_not_ignored(self) -> None:
        talk = Talk.of(make_rule(), ignores=make_ignores({"name": "cron-*"}))
        talk.event(SERVICE, parents=[])
        self.assertEqual(said_by(talk.wait(10)), ["said (details unknown)"])

    def test_what_is_ignored_is_not_looked_up_for_its_text(self) -> None:
        rule = make_rule(text="{{ stack.name }}")
        talk = Talk.of(rule, ignores=make_ignores({"type": "service"}))
        decisions = talk.event(SERVICE, parents=[STACK])
        self.assertEqual((decisions.owed, decisions.needs), ([], set()))

    def test_what_is_silenced(self) -> None:
        talk = Talk.of(make_rule())
        silence = Silence("s", {"type": "service"}, 900.0, 1100.0, "why", "me", 900.0)
        talk.silences.add(silence)
        self.assertEqual(talk.event(SERVICE, parents=[]).owed, [])
        self.assertEqual(talk.speaking.counts, {"muted": 1})
        talk.now = 1100.0
        self.assertEqual(texts(talk.event(SERVICE, parents=[])), ["said"])

    def test_a_mute_counts_when_it_happened(self) -> None:
        """Not when a look-up ended that it waited for."""
        settings = MuteSettings(name="m", match={"rule": "news"}, from_="00:00", to="00:20")
        talk = Talk.of(make_rule(text="{{ stack.name }}"))
        talk.silences.use([compile_mute(settings, ["news"], unexpected)], talk.now)
        talk.now = 1199.0
        self.assertEqual(talk.event(SERVICE, parents=[STACK]).owed, [])
        self.assertEqual(talk.speaking.counts, {"muted": 1})
        talk.now = 1200.0
        self.assertEqual(len(talk.event(SERVICE, parents=[STACK]).owed), 1)

    def test_a_silence_that_begins_while_something_waits(self) -> None:
        talk = Talk.of(make_rule(text="{{ stack.name }}"))
        talk.event(SERVICE, parents=[STACK])
        talk.silences.add(Silence("s", {"rule": "news"}, 900.0, 1100.0, "", "me", 1001.0))
        (settled,) = talk.found(STACK, name="shop").owed
        assert isinstance(settled, Settled)
        self.assertEqual((settled.notices, talk.speaking.counts), ((), {"muted": 1}))


class FailingTests(SynchronousTestCase):
    """A rule that raises silences no other, and is counted."""

    def test_a_condition_that_cannot_be_computed(self) -> None:
        rule = make_rule(when="exit_code > 1", name="broken")
        talk = Talk.of(rule, make_rule())
        decisions = talk.event(SERVICE, parents=[], object={"exit_code": "x"})
        self.assertEqual(texts(decisions), ["said"])
        ((reason, sample),) = talk.rejected
        self.assertTrue(reason.startswith("when: "), reason)
        self.assertEqual(sample, b"rule 'broken': main/run-1")

    def test_a_condition_of_a_route_or_an_ignore_that_cannot_be_computed(self) -> None:
        """It counts as one that is false, so that it is said, to the next route."""
        failing = {"match": {}, "when": "exit_code > 1"}
        routes = make_routes({**failing, "news": ["slack"]}, {"news": ["plain"]})
        rule = make_rule(notify="news", routes=routes)
        ignores = compile_ignores([failing], unexpected)
        for rules in (make_rules(rule, routes=routes), make_rules(make_rule(), ignores=ignores)):
            talk = Talk(rules)
            decisions = talk.event(SERVICE, parents=[], object={"exit_code": "x"})
            self.assertEqual(told(decisions), ["plain"])
            self.assertEqual(len(talk.rejected), 1)

    def test_a_rule_that_raises(self) -> None:
        others = make_rule(), make_rule(name="other")
        talk = Talk(make_rules(*others, ignores=_Broken()))  # type: ignore[arg-type] # it raises
        self.assertEqual(talk.event(SERVICE, parents=[]).owed, [])
        self.assertEqual(
            talk.rejected,
            [
                (f"RuntimeError: {'x' * 300}", b"rule 'news': main/run-1"),
                (f"RuntimeError: {'x' * 300}", b"rule 'other': main/run-1"),
            ],
        )
        self.assertEqual(talk.listed({SERVICE: {"state": "Stopped"}}).owed, [])
        self.assertEqual(len(talk.rejected), 4)

    def test_a_row_that_raises_is_settled(self) -> None:
        """Else it would block its lane for ever."""
        talk = Talk.of(make_rule(text="{{ stack.name }}"))
        talk.event(SERVICE, parents=[STACK])
        talk.use(make_rules(*talk.rules.messages, ignores=_Broken()))  # type: ignore[arg-type] # it raises
        (settled,) = talk.found(STACK, name="shop").owed
        assert isinstance(settled, Settled)
        self.assertEqual((settled.notices, len(talk.rejected)), ((), 1))

    def test_without_anybody_who_counts(self) -> None:
        rules = make_rules(make_rule(), ignores=_Broken())  # type: ignore[arg-type] # it raises
        talk = Talk(rules)
        talk.speaking = Speaking(talk.inventory, rules, Silences())
        self.assertEqual(talk.event(SERVICE, parents=[]).owed, [])


class _Broken:
    """Ignores that fail."""

    def judge(self, view: object) -> object:
        """Fail."""
        raise RuntimeError("x" * 300)


class LateTests(SynchronousTestCase):
    """What a listing found is said late: singly, or all together if it is much."""

    def listed(self, talk: Talk, count: int, **more: object) -> Decisions:
        """Let a listing find that some services have stopped."""
        named = {uri: {"name": uri[16:-1], "state": "Stopped", **more} for uri in uris(count)}
        return talk.listed(named)

    def test_few_are_said_singly(self) -> None:
        talk = Talk.of(make_rule(text="{{ name }}"))
        self.assertEqual(texts(self.listed(talk, 3)), ["s0 (late)", "s1 (late)", "s2 (late)"])

    def test_many_are_said_together_by_each_rule_in_the_order_of_the_file(self) -> None:
        rules = [make_rule(name=name, text="{{ name }}") for name in ("b", "a")]
        talk = Talk.of(*rules)
        names = "service s0 stopped, service s1 stopped, service s2 stopped, service s3 stopped"
        decisions = self.listed(talk, 4)
        self.assertEqual(texts(decisions), [f"{rule}: 4 changes: {names} (late)" for rule in "ba"])
        first = notices(decisions)[0]
        self.assertEqual(
            (first.id, first.key, first.marks, first.details, first.at),
            ("run-5/b/plain", "summary/b", ("late",), {"count": "4"}, 1000.0),
        )

    def test_a_summary_goes_where_its_parts_would_have_gone(self) -> None:
        talk = Talk.of(NEWS, routes=TEAMS)
        talk.found(STACK, name="pay-eu")
        talk.found("/api/v1/stack/k2/", name="shop")
        found = {
            uri: {"name": uri[16:-1], "state": "Stopped", "stack": f"/api/v1/stack/k{n % 2 + 1}/"}
            for n, uri in enumerate(uris(5))
        }
        decisions = talk.listed(found)
        self.assertEqual(
            list(zip(told(decisions), texts(decisions), strict=True)),
            [
                (
                    "slack",
                    "news: 3 changes: pay-eu/s0 stopped, pay-eu/s2 stopped, pay-eu/s4 stopped (late)",
                ),
                ("plain", "news: 2 changes: shop/s1 stopped, shop/s3 stopped (late)"),
            ],
        )

    def test_what_is_not_known_is_not_looked_up_for_a_summary(self) -> None:
        talk = Talk.of(NEWS, routes=TEAMS)
        decisions = self.listed(talk, 4, stack=STACK)
        self.assertEqual(told(decisions), ["plain"])
        (text,) = texts(decisions)
        self.assertTrue(text.endswith("service s3 stopped (late) (details unknown)"), text)
        self.assertEqual(decisions.needs, set())

    def test_few_that_are_not_known_wait(self) -> None:
        talk = Talk.of(NEWS, routes=TEAMS)
        decisions = self.listed(talk, 3, stack=STACK)
        self.assertEqual(len(talk.rows), 3)
        self.assertEqual(decisions.needs, {Need("main", STACK)})

    def test_what_is_withheld_does_not_count(self) -> None:
        talk = Talk.of(make_rule(), ignores=make_ignores({"name": ["s0", "s1"]}))
        self.assertEqual(texts(self.listed(talk, 5)), ["said (late)"] * 3)
        self.assertEqual(talk.speaking.counts, {"ignored": 2})

    def test_a_rest_holds_for_a_summary_too(self) -> None:
        talk = Talk.of(make_rule(cooldown_seconds=300.0, change=True))
        for uri in uris(4):
            talk.event(uri, "Running", parents=[])
        (text,) = texts(self.listed(talk, 6))
        self.assertEqual(text, "news: 2 changes: service s4 stopped, service s5 stopped (late)")
        self.assertEqual(talk.speaking.counts, {"cooldown": 4})
        talk.now += 10
        self.assertEqual(talk.listed({uri: {"state": "Running"} for uri in uris(4)}).owed, [])
        talk.now += 300
        decisions = self.listed(talk, 4)
        (text,) = texts(decisions)
        self.assertTrue(text.endswith("(late) (and 8 more)"), text)
        self.assertEqual([n.is_change for n in notices(decisions)], [True])

    def test_nobody_to_tell_is_counted(self) -> None:
        routes = make_routes({"match": {"state": "x"}, "news": ["slack"]}, {"other": ["plain"]})
        talk = Talk.of(make_rule(notify="news", routes=routes), routes=routes)
        self.assertEqual(self.listed(talk, 4).owed, [])
        self.assertEqual(talk.speaking.counts, {"unrouted": 4})

    def test_what_no_rule_hears_of(self) -> None:
        talk = Talk.of(make_rule({"type": "service", "state": "Running"}))
        self.assertEqual(self.listed(talk, 9).owed, [])


class RestartTests(SynchronousTestCase):
    """What waits survives restarts and reloads."""

    def setUp(self) -> None:
        """Let something wait."""
        self.rule = make_rule(text="{{ stack.name }}")
        self.talk = Talk.of(self.rule)
        (row,) = self.talk.event(SERVICE, parents=[STACK]).owed
        assert isinstance(row, WaitingRow)
        self.row = row

    def test_what_waits_waits_anew(self) -> None:
        self.talk.now += 100
        decisions = self.talk.restart()
        self.assertEqual((decisions.owed, decisions.needs), ([], {Need("main", STACK)}))
        self.assertEqual(self.talk.speaking.next_due(), 1110.0)
        self.assertEqual(texts(self.talk.found(STACK, name="shop")), ["shop"])

    def test_what_waits_for_a_rule_that_is_gone_is_settled(self) -> None:
        for go_on in (Talk.restart, Talk.use):
            self.setUp()
            decisions = go_on(self.talk, make_rules(make_rule(name="other")))
            self.assertEqual(decisions.owed, [Settled(self.row.id, ())])
            self.assertEqual(decisions.needs, set())
            self.assertIsNone(self.talk.speaking.next_due())

    def test_a_reload_lets_the_rest_wait_on(self) -> None:
        self.talk.now += 5
        decisions = self.talk.use(make_rules(make_rule(text="now: {{ stack.name }}")))
        self.assertEqual((decisions.owed, decisions.needs), ([], set()))
        self.assertEqual(self.talk.speaking.next_due(), 1010.0)
        self.assertEqual(texts(self.talk.found(STACK, name="shop")), ["now: shop"])

    def test_a_reload_may_give_a_rule_other_notifiers(self) -> None:
        rule = make_rule(text="{{ stack.name }}", notify=["slack", "plain"])
        self.talk.use(make_rules(rule))
        settled, notice = self.talk.found(STACK, name="shop").owed
        assert isinstance(settled, Settled)
        self.assertEqual([n.notifier for n in settled.notices], ["plain"])
        self.assertEqual(told(Decisions(owed=[notice])), ["slack"])

    def test_a_reload_speaks_by_the_new_rules_alone(self) -> None:
        self.talk.use(make_rules(make_rule({"type": "stack"})))
        self.assertEqual(self.talk.event(NODE).owed, [])
        self.assertEqual(texts(self.talk.event(STACK)), ["said"])


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["event", "gone", "wait", "restart", "found", "listed"]),
        st.integers(0, 4),
        st.sampled_from([1, 7, 20, 61]),
    ),
    max_size=60,
)


class CountingTests(SynchronousTestCase):
    """Nothing that matches is lost: it is said, or counted in what is said, or still held."""

    @settings(max_examples=150, deadline=None)
    @given(STEPS, st.integers(0, 3), st.sampled_from([0.0, 15.0, 90.0]))
    def test_no_count_is_lost(
        self, steps: list[tuple[str, int, int]], storm_count: int, cooldown_seconds: float
    ) -> None:
        """For any history, restarts included."""
        rule = make_rule(
            text="{{ name }} {{ stack.name }}", fresh=["stack"], cooldown_seconds=cooldown_seconds
        )
        talk = Talk.of(rule, storm_count=storm_count)
        matched = said = 0
        for step, number, seconds in steps:
            uri = f"/api/v1/service/s{number}/"
            match step:
                case "event" | "gone":
                    matched += 1
                    more = {"action": "delete"} if step == "gone" else {}
                    parents = [STACK] if number % 2 else []
                    named = {"name": f"s{number}"}
                    done = notices(talk.event(uri, parents=parents, object=named, **more))
                case "wait":
                    done = talk.wait(seconds)
                case "restart":
                    done = notices(talk.restart())
                case "found":
                    done = notices(talk.found(STACK, name="shop"))
                case _:
                    state = f"state at {talk.now}"
                    rows = {u: {"name": u[16:-1], "state": state} for u in uris(number + 1)}
                    keys = [("main", "service", uri[16:-1]) for uri in rows]
                    known = [talk.inventory.get(key) for key in keys]
                    matched += sum(one is None or one.state != state for one in known)
                    done = notices(talk.listed(rows))
            said += sum(self.counted_in(notice) for notice in done)
            self.assertEqual(said + self.held(talk), matched, step)
        self.assertEqual(len(talk.rows), len(talk.speaking.waiting))

    def counted_in(self, notice: Notice) -> int:
        """Count what a notice tells of: itself, what it sums up, and what was kept back."""
        count = int(notice.details.get("count", "1"))
        if notice.text.endswith(" more)"):
            count += int(notice.text.rpartition("(and ")[2].removesuffix(" more)"))
        return count

    def held(self, talk: Talk) -> int:
        """Count what waits for a look-up, for the end of a minute, or for that of a rest."""
        minutes = [
            msgspec.msgpack.decode(record, type=Minute)
            for (kind, _), record in talk.records.items()
            if kind == "storm"
        ]
        gathered = [minute.gathered for minute in minutes if minute.gathered is not None]
        in_storms = sum(one.count + one.shares["plain"].withheld for one in gathered)
        in_rests = sum(
            msgspec.msgpack.decode(record, type=Mark).withheld
            for (kind, _), record in talk.records.items()
            if kind == "cooldown"
        )
        return in_storms + in_rests + len(talk.rows)
