"""Tests of the one decider: inputs in order, each one decided, whatever it is."""

from __future__ import annotations

from typing import ClassVar, cast

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.rules.world import (
    CONTAINER,
    SERVICE,
    STACK,
    World,
    event_bytes,
    forms,
    incident_rule,
    incident_settings,
    message_rule,
    notices,
    rule_set,
    service_rule,
    texts,
)
from tutumwatch.events.inputs import (
    Found,
    Input,
    Link,
    LinkType,
    Looked,
    Message,
    Missing,
    Reloaded,
    Tick,
)
from tutumwatch.rules.decisions import Decisions, Need, Settled, WaitingRow
from tutumwatch.rules.index import SIGNS_MAX_COUNT
from tutumwatch.rules.matchers import Matcher, _FieldTest
from tutumwatch.rules.messages import MessageRule
from tutumwatch.rules.seen import SEEN_MAX_COUNT

ACTION = "/api/v1/action/a1/"


def raises(value: object) -> bool:
    """Fail as a rule with a bug would."""
    message = f"a bug, with {value} and {'x' * 500}"
    raise ZeroDivisionError(message)


def raising_rule(field: str = "state", name: str = "raising") -> MessageRule:
    """Make a rule about every type that raises when it judges a field."""
    matcher = Matcher(((_FieldTest(tuple(field.split(".")), (raises,), ()),),), None)
    return attrs.evolve(message_rule({}, "never", name=name), matcher=matcher)


class MessageInputTests(SynchronousTestCase):
    """Bytes of a stream."""

    def test_a_message_that_is_no_event_is_rejected_and_counted(self) -> None:
        world = World.of(message_rule({}))
        decisions = world.bytes(b"\xff\x1b no JSON")
        self.assertEqual(decisions.owed, [])
        self.assertEqual(world.decider.counts, {"rejected": 1})
        rejected = world.decider.last_rejected
        assert rejected is not None
        self.assertEqual(rejected.sample, "\\xff\\x1b no JSON")
        self.assertEqual(rejected.reason, "JSON is malformed: invalid character (byte 0)")
        self.assertEqual(texts(world.event(SERVICE, parents=[])), ["said"])
        self.assertEqual(world.decider.counts, {"rejected": 1, "events": 1})

    def test_every_input_is_kept_with_its_decisions(self) -> None:
        """Whatever comes of it: the store keeps a page of them."""
        world = World.of()
        message = Message("main", 1, b"no JSON", 5.0)
        tick = Tick(6.0)
        both = world.decider.decide(message)
        self.assertIs(world.decider.decide(tick, both), both)
        self.assertEqual(both, Decisions([message, tick]))

    def test_a_uuid_that_was_seen_before_is_a_repeat(self) -> None:
        world = World.of(message_rule())
        self.assertEqual(texts(world.event(SERVICE, parents=[], uuid="e1")), ["said"])
        for state in ("Running", "Stopped"):
            self.assertEqual(world.event(SERVICE, state, parents=[], uuid="e1").owed, [])
        self.assertEqual(world.decider.counts, {"events": 1, "repeated": 2})
        known = world.decider.inventory.get(("main", "service", "s1"))
        self.assertEqual(known and known.state, "Running")

    def test_equal_content_is_no_repeat(self) -> None:
        world = World.of(message_rule())
        for _ in range(2):
            self.assertEqual(texts(world.event(SERVICE, parents=[])), ["said"])
        for _ in range(2):
            self.assertEqual(texts(world.event(SERVICE, parents=[], uuid="")), ["said"])

    def test_another_stream_may_use_the_same_uuid(self) -> None:
        world = World.of(message_rule())
        payload = event_bytes(SERVICE, parents=[], uuid="e1")
        for stream in ("a", "b"):
            self.assertEqual(texts(world.bytes(payload, stream)), ["said"])

    def test_the_last_ten_thousand_uuids_are_remembered(self) -> None:
        world = World.of(message_rule({"type": "service"}))
        for number in range(SEEN_MAX_COUNT + 1):
            world.bytes(b'{"type":"x","uuid":"e%d"}' % number)
        self.assertEqual(len(world.decider._seen._seen), 10_000)
        for uuid, said in (("e1", 0), ("e10000", 0), ("e0", 1)):
            self.assertEqual(len(world.event(SERVICE, parents=[], uuid=uuid).owed), said, uuid)

    def test_ids_are_unique_also_across_restarts(self) -> None:
        """Its uuid, or else the stream, the run and the number of its arrival."""
        world = World.of(message_rule())
        said = [
            notices(world.event(SERVICE, parents=[], **more))[0].id
            for more in ({"uuid": "e1"}, {}, {"uuid": "e2"}, {})
        ]
        self.assertEqual(said, [f"main/{e}/news/plain" for e in ("e1", "run-2", "e2", "run-4")])

    def test_no_message_speaks_for_our_own_connections(self) -> None:
        """Else a server could page that our stream, or PagerDuty itself, is down."""
        rule = incident_rule(
            incident_settings(
                while_={"type": ["stream", "notifier"], "state": "!Connected"}, for_seconds=0.0
            )
        )
        world = World.of(rule, message_rule({}))
        for type_, uri in (
            ("stream", "/api/v1/stream/main/"),
            ("notifier", "/api/v1/notifier/pd/"),
            ("stream", None),
        ):
            decisions = world.event(uri, "Disconnected", type=type_, parents=[])
            self.assertEqual(decisions.owed, [])
            rejected = world.decider.last_rejected
            assert rejected is not None
            self.assertEqual(rejected.reason, f"the type '{type_}' is not the platform's to tell")
        self.assertEqual(world.decider.counts, {"rejected": 3})
        self.assertEqual(len(world.decider.inventory), 0)

    def test_types_without_end_take_no_memory(self) -> None:
        """Rules are found for all of them."""
        world = World.of(message_rule({"type": "!service"}, "{{ type }}"))
        for number in range(2 * SIGNS_MAX_COUNT):
            self.assertEqual(texts(world.bytes(b'{"type":"t%d"}' % number)), [f"t{number}"])
        for index in (world.decider.speaking._index, world.decider.incidents._concerned):
            self.assertEqual(len(index._by_signs), SIGNS_MAX_COUNT)


class LinkInputTests(SynchronousTestCase):
    """The states of our own connections."""

    def test_messages_and_incidents_are_judged(self) -> None:
        match = {"type": "stream", "changed": "state", "state": "!Connected"}
        rule = incident_rule(incident_settings(for_seconds=0.0))
        world = World.of(message_rule(match, "{{ name }}: {{ reason }}"), rule)
        said = world.stream("Disconnected", reason="refused")
        self.assertEqual(forms(notices(said)), [("plain", "message"), ("plain", "trigger")])
        self.assertEqual(texts(said), ["main: refused", "down: refused"])
        self.assertEqual(world.stream("Disconnected", reason="timed out").owed, [])

    def test_two_links_at_one_time_have_different_ids(self) -> None:
        world = World.of(message_rule({"type": "notifier"}))
        said = [notices(world.notifier("Failing"))[0].id for _ in range(2)]
        self.assertEqual(said, ["run-input-2/news/plain", "run-input-3/news/plain"])


class LookedInputTests(SynchronousTestCase):
    """The ends of look-ups settle what waits, and make no message of their own."""

    def test_an_answer_makes_no_message(self) -> None:
        world = World.of(message_rule({}))
        self.assertEqual(world.found(STACK, name="shop", state="Running").owed, [])
        self.assertEqual(world.missing(STACK).owed, [])

    def test_two_rules_that_wait_for_the_same(self) -> None:
        first = message_rule(text="1 {{ stack.name }}", name="first")
        second = message_rule(text="2 {{ stack.name }}", name="second")
        world = World.of(first, second)
        decisions = world.event(SERVICE, parents=[STACK])
        self.assertEqual(decisions.needs, {Need("main", STACK)})
        self.assertEqual(len(decisions.owed), 2)
        self.assertEqual(texts(world.found(STACK, name="shop")), ["1 shop", "2 shop"])

    def test_a_bad_resource_uri_is_never_looked_up(self) -> None:
        """The rule speaks at once, with what there is."""
        world = World.of(
            message_rule({"type": "service"}, "{{ name }}|{{ stack.name }}", fresh=["stack"])
        )
        for uri, parents in (
            ("@elsewhere.example/", ["@elsewhere.example/"]),
            ("https://elsewhere.example/api/v1/service/s1/", ["//elsewhere.example/"]),
        ):
            decisions = world.event(uri, parents=parents, type="service")
            self.assertEqual((texts(decisions), decisions.needs), (["|"], set()))

    def test_incidents_are_judged_again(self) -> None:
        """A condition may begin and end with what a look-up tells."""
        at_once = incident_settings(
            while_={"type": "container", "state": "Stopped"},
            for_seconds=0.0,
            clear_for_seconds=0.0,
        )
        world = World.of(incident_rule(at_once))
        world.catch_up()
        for state, said in (
            ("Stopped", [("plain", "trigger")]),
            ("Stopped", []),
            ("Running", [("plain", "resolve")]),
        ):
            # What a look-up told is looked up once more before it is acted upon.
            found = [notices(world.found(CONTAINER, state=state)) for _ in range(2)]
            self.assertEqual(forms(found[0] + found[1]), said)


class RaisingRuleTests(SynchronousTestCase):
    """A bug in a rule is counted and shown; it stops neither the next event nor the next rule."""

    def test_the_next_event_is_decided(self) -> None:
        world = World.of(raising_rule(), message_rule({"type": "service", "state": "Stopped"}))
        self.assertEqual(world.event(SERVICE, "Running", parents=[], uuid="e1").owed, [])
        self.assertEqual(world.decider.counts, {"events": 1, "rejected": 1})
        rejected = world.decider.last_rejected
        assert rejected is not None
        self.assertEqual(rejected.sample, "rule 'raising': main/e1")
        self.assertTrue(rejected.reason.startswith("ZeroDivisionError: a bug, with Running"))
        self.assertEqual(len(rejected.reason), 200)
        self.assertEqual(texts(world.event(SERVICE, "Stopped", parents=[])), ["said"])

    def test_other_rules_and_incidents_speak(self) -> None:
        world = World.of(
            message_rule({}, name="before"),
            raising_rule(),
            message_rule({}, name="after"),
            incident_rule(incident_settings(for_seconds=0.0)),
        )
        said = [notice.rule for notice in notices(world.stream("Disconnected"))]
        self.assertEqual(said, ["before", "after", "stream down"])

    def test_a_row_whose_rule_raises_does_not_block_its_lane(self) -> None:
        """It is settled without a notice, in time or at the deadline; others are as ever."""
        for in_time, said in (
            (True, ["shop"]),
            (False, ["shop (details unknown)"]),
        ):
            late_bug = raising_rule("stack.name")
            world = World.of(late_bug, message_rule(text="{{ stack.name }}", fresh=["stack"]))
            rows = world.event(SERVICE, parents=[STACK]).owed
            ids = [row.id for row in rows if isinstance(row, WaitingRow)]
            self.assertEqual(ids, ["main/run-1/raising", "main/run-1/news"])
            if in_time:
                decisions = world.found(STACK, name="shop")
            else:
                known = Looked("main", STACK, 1, Found({"name": "shop"}), 5.0)
                world.decider.inventory.apply_looked(known, "unheard")
                decisions = world.decide(Tick(1010.0))
            settled = [owed.row_id for owed in decisions.owed if isinstance(owed, Settled)]
            self.assertEqual(settled, ids)
            self.assertEqual(texts(decisions), said)
            self.assertEqual(world.decider.counts["rejected"], 1)
            self.assertEqual(world.waiting, {})

    def test_what_was_said_before_an_incident_rule_raised_is_said(self) -> None:
        """And what other incident rules make of it comes about."""
        matcher = raising_rule().matcher
        for_services = incident_settings(
            name="other", while_={"type": "service"}, for_seconds=0.0, text="open"
        )
        rules = (attrs.evolve(incident_rule(), matcher=matcher), incident_rule(for_services))
        world = World.of(message_rule({}), *rules)
        world.catch_up()
        said = texts(world.event(SERVICE, parents=[]))
        self.assertEqual(said + texts(world.found(SERVICE)), ["said", "open"])
        rejected = world.decider.last_rejected
        assert rejected is not None
        self.assertEqual(rejected.sample, "rule 'stream down'")
        self.assertTrue(rejected.reason.startswith("ZeroDivisionError: a bug, with Running"))
        self.assertEqual(len(rejected.reason), 200)

    def test_an_input_that_is_none_is_rejected(self) -> None:
        """A bug of ours: it is counted, and the next input is decided."""
        world = World.of(message_rule())
        broken = Link(cast("LinkType", None), "main", "Connected", "", 5.0)
        for odd in (broken, cast("Input", "no input")):
            self.assertEqual(world.decide(odd), Decisions([odd]))
        self.assertEqual(world.decider.counts["rejected"], 2)
        self.assertEqual(texts(world.event(SERVICE, parents=[])), ["said"])


class Fuse:
    """A pattern that fits everything, until it is blown: then it raises."""

    is_blown = False

    def __call__(self, value: object) -> bool:
        """Fit a value."""
        return raises(value) if self.is_blown else True


class RaisingTimerTests(SynchronousTestCase):
    """A rule that raises when its time has come keeps no other from its time."""

    def test_the_others_that_are_due_then(self) -> None:
        fuse = Fuse()
        is_service = _FieldTest(("type",), ("service".__eq__,), ())
        matcher = Matcher(((is_service, _FieldTest(("state",), (fuse,), ())),), None)
        world = World.of(
            attrs.evolve(service_rule(name="raising"), matcher=matcher), service_rule(name="after")
        )
        world.catch_up()
        world.event(SERVICE, "Stopped", parents=[])
        fuse.is_blown = True
        self.assertEqual(world.wait(120.0), [])
        self.assertEqual(world.decider.counts["rejected"], 1)
        rejected = world.decider.last_rejected
        assert rejected is not None
        self.assertEqual(rejected.sample, "rule 'raising'")
        said = notices(world.found(SERVICE, state="Stopped"))
        self.assertEqual([notice.rule for notice in said], ["after"])


class ListedInputTests(SynchronousTestCase):
    """What a listing finds is told late, also of what follows from it."""

    FAILED: ClassVar = {"state": "Failed", "action": "service_redeploy", "object": SERVICE}

    def setUp(self) -> None:
        """Begin a deploy, and lose the stream."""
        deploys = {"type": "service", "changed": "deploy", "deploy": "failed"}
        self.world = World.of(message_rule(deploys, "{{ name }}: {{ deploy }}"))

    def fails(self) -> list[str]:
        """Let a listing find that the action of a deploy failed; give what that says."""
        self.world.event(SERVICE, "Running", parents=[], object={"name": "web"})
        self.world.event(SERVICE, "Redeploying")
        self.world.event(ACTION, "In progress", parents=[SERVICE])
        return texts(self.world.listed({ACTION: self.FAILED}))

    def test_a_deploy_of_which_the_action_failed(self) -> None:
        self.world.catch_up()
        self.assertEqual(self.fails(), ["web: failed (late)"])

    def test_the_first_listing_says_nothing(self) -> None:
        self.assertEqual(self.fails(), [])

    def test_what_has_another_name_alone_says_nothing(self) -> None:
        self.world = World.of(message_rule({"type": "service"}))
        self.world.catch_up()
        self.world.event(SERVICE, "Running", parents=[], object={"name": "web"})
        running = {"name": "api", "state": "Running"}
        self.assertEqual(texts(self.world.listed({SERVICE: running})), [])


class FollowingTests(SynchronousTestCase):
    """What an input brings about of other resources is judged with it."""

    def setUp(self) -> None:
        """Begin a deploy."""
        message = message_rule(
            {"type": "service", "changed": "deploy", "deploy": "failed"}, "{{ deploy }}"
        )
        incident = service_rule(while_={"type": "service", "deploy": "failed"})
        self.world = World.of(message, incident)
        self.world.catch_up()
        self.world.event(SERVICE, "Redeploying", parents=[])
        self.world.event(ACTION, "In progress", parents=[SERVICE])

    def test_an_event_of_an_action_that_failed(self) -> None:
        self.assertEqual(texts(self.world.event(ACTION, "Failed")), ["failed"])
        self.assertEqual(self.world.phases(), {"s1": "pending"})

    def test_a_look_up_of_an_action_that_failed(self) -> None:
        """It makes no message."""
        self.assertEqual(texts(self.world.found(ACTION, state="Failed", object=SERVICE)), [])
        self.assertEqual(self.world.phases(), {"s1": "pending"})


class ReloadedInputTests(SynchronousTestCase):
    """Other rules count from then on."""

    def test_messages_and_incidents(self) -> None:
        world = World.of(message_rule(text="before"))
        self.assertEqual(texts(world.event(SERVICE, parents=[])), ["before"])
        decisions = world.reload(rule_set(message_rule(text="after"), incident_rule()))
        self.assertEqual(decisions.owed, [])
        self.assertEqual(texts(world.event(SERVICE, parents=[])), ["after"])
        world.stream("Disconnected")
        self.assertEqual(len(world.wait(15.0)), 1)

    def test_rules_that_nobody_gave_us_change_nothing(self) -> None:
        world = World.of(message_rule(text="before"))
        world.decide(Reloaded("unheard of", world.now))
        self.assertEqual(texts(world.event(SERVICE, parents=[])), ["before"])

    def test_the_deadline_of_deploys(self) -> None:
        world = World.of(service_rule(while_={"type": "service", "deploy": "overdue"}))
        world.catch_up()
        world.event(SERVICE, "Redeploying", parents=[])
        self.assertEqual(world.decider.next_due(), 1900.0)
        world.reload(rule_set(deploy_deadline_seconds=60.0))
        self.assertEqual(world.decider.next_due(), 1060.0)

    def test_what_would_come_of_it_without_any_effect(self) -> None:
        world = World.of(incident_rule(incident_settings(for_seconds=0.0)))
        world.stream("Disconnected")
        other = rule_set(incident_rule(incident_settings(name="other", for_seconds=0.0)))
        outlook = world.decider.preview(other, world.now)
        self.assertEqual((outlook.resolving, outlook.opening), (1, 1))
        self.assertEqual(world.open_keys(), ["stream down/main/stream/main"])


class RepeatedTests(SynchronousTestCase):
    """What was seen before we ran is known again, if the server repeats it."""

    def test_a_uuid_of_an_earlier_run(self) -> None:
        world = World.of(message_rule())
        seen = Message("main", 1, event_bytes(SERVICE, parents=[], uuid="e1"), 5.0)
        for item in (seen, Message("main", 2, b"no JSON", 5.0), Tick(5.0)):
            world.decider.remember_uuids(item)
        self.assertEqual(world.event(SERVICE, parents=[], uuid="e1").owed, [])
        self.assertEqual(world.decider.counts, {"repeated": 1})


class NextDueTests(SynchronousTestCase):
    """The earliest time at which a Tick would change something."""

    def test_rows_and_incidents(self) -> None:
        world = World.of(message_rule(text="{{ stack.name }}"), incident_rule())
        self.assertIsNone(world.decider.next_due())
        world.stream("Disconnected")
        self.assertEqual(world.decider.next_due(), 1015.0)
        world.event(SERVICE, parents=[STACK])
        self.assertEqual(world.decider.next_due(), 1010.0)
        self.assertEqual(len(world.wait(20.0)), 2)
        self.assertIsNone(world.decider.next_due())

    def test_a_tick_without_anything_due_changes_nothing(self) -> None:
        world = World.of(message_rule(), incident_rule())
        self.assertEqual(world.decide(Tick(5.0)).owed, [])


SOME_URIS = st.sampled_from([STACK, SERVICE, CONTAINER, "@elsewhere/", None])
INPUTS = st.lists(
    st.one_of(
        st.tuples(
            st.just("event"),
            SOME_URIS,
            st.sampled_from(["Running", "Terminated", ""]),
            st.none() | st.lists(st.sampled_from([STACK, SERVICE, "@x"]), max_size=2),
        ),
        st.tuples(st.just("found"), SOME_URIS, st.integers(0, 5), st.sampled_from(["shop", ""])),
        st.tuples(st.just("missing"), SOME_URIS, st.integers(0, 5), st.none()),
        st.tuples(
            st.just("link"),
            st.sampled_from(["a", "b"]),
            st.sampled_from(["Connected", "x"]),
            st.none(),
        ),
        st.tuples(st.just("wait"), st.integers(0, 12), st.none(), st.none()),
        st.tuples(st.just("bytes"), st.binary(max_size=20), st.none(), st.none()),
    ),
    max_size=30,
)


class HistoryOfRowsTests(SynchronousTestCase):
    """Whatever comes in whatever order: every row that waits is settled once, ids are unique."""

    @settings(deadline=None)
    @given(INPUTS)
    def test_any_history(self, steps: list[tuple[str, object, object, object]]) -> None:
        world = World.of(
            message_rule({}, "{{ name }} {{ stack.name }}", name="all", fresh=["stack"]),
            message_rule({"stack.name": "shop"}, "{{ service.image }}", name="shop"),
            message_rule([{"name": "!x"}, {"labels.a": "b"}], name="or", notify=["plain", "pd"]),
            incident_rule(),
        )
        decided = [self.decide(world, *step) for step in steps]
        for _ in range(3):
            world.now += 20.0
            decided.append(world.decide(Tick(world.now)))
        owed = [one for decisions in decided for one in decisions.owed]
        rows = [one.id for one in owed if isinstance(one, WaitingRow)]
        settled = [one.row_id for one in owed if isinstance(one, Settled)]
        self.assertEqual(sorted(rows), sorted(settled))
        self.assertEqual(len(set(rows)), len(rows))
        ids = [notice.id for decisions in decided for notice in notices(decisions)]
        self.assertEqual(len(set(ids)), len(ids))
        waiting = world.decider.speaking.waiting
        self.assertEqual((len(waiting), waiting._by_need, world.waiting), (0, {}, {}))
        needs = [need for decisions in decided for need in decisions.needs]
        self.assertTrue(all(need.resource_uri.startswith("/api/v1/") for need in needs))

    def decide(self, world: World, what: str, a: object, b: object, c: object) -> Decisions:
        """Decide one step; only what is no JSON is ever rejected."""
        rejected = world.decider.counts["rejected"]
        decisions = Decisions()
        match what:
            case "event":
                uri = cast("str | None", a)
                decisions = world.event(uri, cast("str", b), parents=c, type="container")
            case "found" | "missing":
                answer = Found({"name": c, "stack": STACK}) if what == "found" else Missing()
                looked = Looked(
                    "main", cast("str | None", a) or "", cast("int", b), answer, world.now
                )
                decisions = world.decide(looked)
            case "link":
                link = Link(LinkType.STREAM, cast("str", a), cast("str", b), "", world.now)
                decisions = world.decide(link)
            case "wait":
                world.now += cast("int", a)
                decisions = world.decide(Tick(world.now))
            case _:
                return world.bytes(cast("bytes", a))
        self.assertEqual(world.decider.counts["rejected"], rejected, world.decider.last_rejected)
        return decisions
