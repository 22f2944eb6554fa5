"""Tests of message rules: when they speak, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.trial.unittest import SynchronousTestCase

from tests.rules.talk import (
    CLUSTER,
    CONTAINER,
    DESTINATIONS,
    NODE,
    SERVICE,
    STACK,
    Talk,
    make_routes,
    make_rule,
    notices,
    texts,
    unexpected,
)
from tutumwatch.events.inputs import Found
from tutumwatch.inventory.resource import Resource
from tutumwatch.rules.decisions import Need, Settled, WaitingRow
from tutumwatch.rules.messages import MessageRule, MessageSettings, compile_message, facts_of
from tutumwatch.rules.notice import Form, Notice, Severity

TUTORIAL = (
    "A Service on Tutum was {{ action | past }}.\n"
    "It belonged to the {{ stack.name }} Stack.\n"
    "The Stack state is: {{ stack.state }}"
)


class SpeakingTests(SynchronousTestCase):
    """A rule says something each time something matches."""

    def test_one_notice_for_each_notifier(self) -> None:
        talk = Talk.of(make_rule(text="{{ type }} {{ state }}", notify=["plain", "slack"]))
        said = notices(talk.event(SERVICE, "Running", parents=[], uuid="e1"))
        self.assertEqual(
            said,
            [
                Notice(
                    id=f"main/e1/news/{notifier}",
                    form=Form.MESSAGE,
                    rule="news",
                    notifier=notifier,
                    key="main/service/s1",
                    text="service Running",
                    at=1000.0,
                    severity=Severity.INFO,
                    marks=(),
                    details={
                        "type": "service",
                        "state": "Running",
                        "resource_uri": SERVICE,
                        "stream": "main",
                    },
                )
                for notifier in ("plain", "slack")
            ],
        )
        self.assertEqual(said[0].lane, ("plain", "main/service/s1"))

    def test_it_speaks_on_every_event_unless_it_asks_for_a_change(self) -> None:
        always = make_rule(name="always")
        once = make_rule({"type": "service", "changed": "state"}, name="changed")
        talk = Talk.of(always, once)
        for state, rules in (
            ("Running", ["always", "changed"]),
            ("Running", ["always"]),
            ("Stopped", ["always", "changed"]),
        ):
            said = notices(talk.event(SERVICE, state, parents=[]))
            self.assertEqual([notice.rule for notice in said], rules, state)

    def test_every_rule_that_matches_speaks_in_the_order_of_the_file(self) -> None:
        rules = [make_rule(name=name) for name in ("c", "a", "b")]
        said = notices(Talk.of(*rules).event(SERVICE, parents=[]))
        self.assertEqual([notice.rule for notice in said], ["c", "a", "b"])

    def test_what_does_not_match_says_nothing(self) -> None:
        talk = Talk.of(make_rule({"type": "service", "state": "Stopped"}))
        self.assertEqual(talk.event(SERVICE, parents=[]).owed, [])
        self.assertEqual(talk.event(STACK, "Stopped", parents=[]).owed, [])

    def test_text_is_escaped_for_each_destination(self) -> None:
        talk = Talk.of(make_rule(text="<!here> {{ name }}", notify=["plain", "slack"]))
        said = texts(talk.event(SERVICE, parents=[], object={"name": "<!channel>"}))
        self.assertEqual(said, ["<!here> <!channel>", "<!here> &lt;!channel&gt;"])

    def test_a_text_that_fails_kills_no_notice(self) -> None:
        """A plain sentence goes out instead, escaped like any other."""
        failing = "{{ state.nothing.at.all }}"
        talk = Talk.of(make_rule(text=failing, notify=["plain", "slack"]))
        named = {"name": "<!channel>"}
        self.assertEqual(
            texts(talk.event(SERVICE, parents=[], object=named)),
            [
                "service <!channel>: Running (its text failed: UndefinedError)",
                "service &lt;!channel&gt;: Running (its text failed: UndefinedError)",
            ],
        )
        (said, _) = texts(talk.event(SERVICE, "Stopped", parents=[], action=""))
        self.assertEqual(said, "service <!channel>: Stopped (its text failed: UndefinedError)")

    def test_a_text_that_fails_names_what_there_is(self) -> None:
        talk = Talk.of(make_rule({}, text="{{ state.nothing.at.all }}"))
        failed = "(its text failed: UndefinedError)"
        for payload, said in (
            (b'{"type":"auth"}', "auth : new"),
            (b'{"type":"x","state":"odd"}', "x : odd"),
            (
                b'{"type":"x","resource_uri":"/api/v1/x/u/","action":"a","state":"s"}',
                "x /api/v1/x/u/: a",
            ),
        ):
            self.assertEqual(texts(talk.bytes(payload)), [f"{said} {failed}"])

    def test_the_default_text(self) -> None:
        """It says in a line what there is to say."""
        rule = make_rule({}, MessageSettings(name="", match={}, notify=[]).text)
        for state, fields, said in (
            ("Partly running", {"name": "web"}, "service web partly running"),
            ("Stopped", {}, f"service {SERVICE} stopped"),
            ("", {"name": "web"}, "service web updated"),
        ):
            decisions = Talk.of(rule).event(SERVICE, state, parents=[], object=fields)
            self.assertEqual(texts(decisions), [said])

    def test_a_message_may_be_one_that_asks_nobody_to_act(self) -> None:
        for change in (False, True):
            decisions = Talk.of(make_rule(change=change)).event(SERVICE, parents=[])
            self.assertEqual([n.is_change for n in notices(decisions)], [change])

    def test_the_details_name_the_parents_that_are_known(self) -> None:
        """Nothing is looked up for them."""
        talk = Talk.of(make_rule({"type": "container"}))
        talk.found(SERVICE, name="web", stack=STACK)
        talk.found(STACK, name="shop")
        (notice,) = notices(talk.event(CONTAINER, parents=[SERVICE, STACK, NODE]))
        self.assertEqual(
            notice.details,
            {
                "type": "container",
                "state": "Running",
                "resource_uri": CONTAINER,
                "stream": "main",
                "service": "web",
                "stack": "shop",
            },
        )
        self.assertEqual(
            facts_of(talk.inventory.get(("main", "stack", "k1")) or fail()),
            {
                "type": "stack",
                "name": "shop",
                "resource_uri": STACK,
                "stream": "main",
            },
        )

    def test_an_event_without_a_resource(self) -> None:
        """The tutorial's ``Auth completed``."""
        talk = Talk.of(make_rule({"type": "auth"}, text="Auth completed"))
        (notice,) = notices(talk.bytes(b'{"type":"auth"}'))
        self.assertEqual((notice.text, notice.key), ("Auth completed", "main/auth/"))
        self.assertEqual(notice.details, {"type": "auth", "stream": "main"})


class LookingUpTests(SynchronousTestCase):
    """What a rule needs to know is looked up first; the notice keeps its place meanwhile."""

    def talk(
        self, text: str = TUTORIAL, match: object = None, fresh: Sequence[str] = ("stack",)
    ) -> Talk:
        """Make a talk with one rule."""
        return Talk.of(make_rule(match, text, fresh=fresh))

    def row(self, talk: Talk, uri: str = SERVICE, **more: object) -> WaitingRow:
        """Receive an event of a service, for which its stack must be looked up."""
        parents = more.pop("parents", [STACK])
        decisions = talk.event(uri, action="create", parents=parents, **more)
        (row,) = decisions.owed
        assert isinstance(row, WaitingRow), row
        self.assertEqual(decisions.needs, row.needs)
        return row

    def test_the_tutorials_text_letter_for_letter(self) -> None:
        talk = self.talk()
        row = self.row(talk, uuid="e1")
        self.assertEqual(
            (row.id, row.key, row.notifiers), ("main/e1/news", "main/service/s1", ("plain",))
        )
        self.assertEqual(row.needs, {Need("main", STACK, fresh=True)})
        self.assertEqual((row.number, row.due), (1, 1010.0))
        talk.now = 1003.0
        (settled,) = talk.found(STACK, name="shop", state="Partly running").owed
        assert isinstance(settled, Settled)
        (notice,) = settled.notices
        self.assertEqual(settled.row_id, row.id)
        self.assertEqual(
            notice.text,
            "A Service on Tutum was created.\n"
            "It belonged to the shop Stack.\n"
            "The Stack state is: Partly running",
        )
        self.assertEqual((notice.id, notice.at, notice.marks), ("main/e1/news/plain", 1000.0, ()))
        self.assertEqual(len(talk.speaking.waiting), 0)

    def test_fresh_asks_each_time(self) -> None:
        talk = self.talk("{{ stack.state }}")
        self.row(talk)
        talk.found(STACK, state="Starting")
        self.row(talk)
        self.assertEqual(texts(talk.found(STACK, state="Running")), ["Running"])

    def test_without_fresh_what_is_known_serves(self) -> None:
        talk = self.talk("{{ stack.state }}", fresh=())
        self.row(talk)
        talk.found(STACK, state="Starting")
        self.assertEqual(texts(talk.event(SERVICE, parents=[STACK])), ["Starting"])

    def test_an_answer_that_was_asked_before_the_event_is_not_fresh(self) -> None:
        """One look-up was under way when the second event came; that one waits for its own."""
        talk = self.talk("{{ stack.state }}")
        self.row(talk)
        self.row(talk)
        self.assertEqual(texts(talk.found(STACK, asked=1, state="Starting")), ["Starting"])
        self.assertEqual(len(talk.speaking.waiting), 1)
        self.assertEqual(texts(talk.found(STACK, asked=2, state="Running")), ["Running"])

    def test_an_older_answer_serves_where_fresh_is_not_asked(self) -> None:
        talk = self.talk("{{ stack.name }}", fresh=())
        self.row(talk)
        self.assertEqual(texts(talk.found(STACK, asked=0, name="shop")), ["shop"])

    def test_one_answer_serves_all_that_wait_for_it(self) -> None:
        """In the order in which they came."""
        talk = self.talk("{{ uuid }} of {{ stack.name }}")
        for name in ("c", "a", "b"):
            self.row(talk, f"/api/v1/service/{name}/")
        self.assertEqual(
            texts(talk.found(STACK, name="shop")), ["c of shop", "a of shop", "b of shop"]
        )

    def test_other_answers_are_none(self) -> None:
        talk = self.talk()
        self.row(talk)
        self.assertEqual(talk.found("/api/v1/stack/other/", name="x").owed, [])
        self.assertEqual(len(talk.speaking.waiting), 1)

    def test_a_busy_stack_keeps_its_name(self) -> None:
        """An event of the stack arrives while it is looked up: its state is newer than the answer."""
        talk = self.talk("{{ stack.name }} is {{ stack.state }}")
        self.row(talk)
        talk.event(STACK, "Stopped")
        said = texts(talk.found(STACK, asked=1, name="shop", state="Running"))
        self.assertEqual(said, ["shop is Stopped"])

    def test_several_needs_are_joined(self) -> None:
        talk = self.talk("{{ name }} in {{ stack.name }}", fresh=())
        row = self.row(talk)
        self.assertEqual(row.needs, {Need("main", STACK), Need("main", SERVICE)})
        self.assertEqual(talk.found(STACK, name="shop").owed, [])
        self.assertEqual(texts(talk.found(SERVICE, name="web")), ["web in shop"])

    def test_a_resource_that_is_needed_twice(self) -> None:
        """As it is known, and fresh: of a stack ``stack`` is the stack itself."""
        match = {"type": "stack"}
        talk = self.talk("{{ name }} is {{ stack.state }}", match)
        row = self.row(talk, STACK, parents=[])
        self.assertEqual(row.needs, {Need("main", STACK), Need("main", STACK, fresh=True)})
        self.assertEqual(talk.found(STACK, asked=0, name="shop", state="x").owed, [])
        self.assertEqual(texts(talk.found(STACK, name="shop")), ["shop is Running"])
        self.assertEqual(len(talk.speaking.waiting), 0)

    def test_an_answer_may_show_that_more_is_needed(self) -> None:
        """A container's object names its service, and the service its stack."""
        talk = self.talk("{{ stack.name }}", {"type": "container"}, fresh=())
        decisions = talk.event(CONTAINER)
        self.assertEqual(decisions.needs, {Need("main", CONTAINER)})
        for uri, fields, needed in (
            (CONTAINER, {"service": SERVICE}, SERVICE),
            (SERVICE, {"stack": STACK}, STACK),
        ):
            decisions = talk.looked(uri, Found(fields))
            self.assertEqual((decisions.owed, decisions.needs), ([], {Need("main", needed)}))
        self.assertEqual(talk.speaking.next_due(), 1010.0)
        self.assertEqual(texts(talk.found(STACK, name="shop")), ["shop"])
        self.assertIsNone(talk.speaking.next_due())

    def test_a_match_that_needs_a_look_up(self) -> None:
        """No match: the row is withdrawn."""
        match = {"type": "service", "stack.name": "shop"}
        for name, said in (("shop", ["said"]), ("other", [])):
            talk = self.talk("said", match, fresh=())
            row = self.row(talk)
            decisions = talk.found(STACK, name=name)
            self.assertEqual(texts(decisions), said)
            (settled,) = decisions.owed
            assert isinstance(settled, Settled)
            self.assertEqual(settled.row_id, row.id)

    def test_absent_is_empty(self) -> None:
        talk = self.talk("[{{ image }}]", fresh=())
        self.row(talk)
        self.assertEqual(texts(talk.found(SERVICE, name="web")), ["[]"])

    def test_404_is_an_answer(self) -> None:
        """The notice goes out, marked."""
        talk = self.talk("stack {{ stack.name }}")
        self.row(talk)
        (notice,) = notices(talk.missing(STACK))
        self.assertEqual(notice.text, "stack  (the stack is gone)")
        self.assertEqual(notice.marks, ("the stack is gone",))

    def test_404_of_what_was_known(self) -> None:
        """It is said as it was last known, and matched so."""
        match = {"type": "service", "stack.name": "shop"}
        talk = self.talk("{{ stack.name }}", match)
        self.row(talk)
        talk.found(STACK, name="shop")
        self.row(talk)
        self.assertEqual(texts(talk.missing(STACK)), ["shop (the stack is gone)"])

    def test_404_of_what_was_never_known_matches_nothing(self) -> None:
        for match, said in (
            ({"type": "service", "stack.name": "shop"}, []),
            ({"type": "service", "stack.name": "!shop"}, ["said (the stack is gone)"]),
        ):
            talk = self.talk("said", match, fresh=())
            self.row(talk)
            self.assertEqual(texts(talk.missing(STACK)), said)

    def test_no_answer_goes_out_marked(self) -> None:
        talk = self.talk("stack {{ stack.name }}")
        self.row(talk)
        (notice,) = notices(talk.unanswered(STACK))
        self.assertEqual(notice.text, "stack (unknown) (details unknown)")
        self.assertEqual(notice.marks, ("details unknown",))

    def test_no_answer_about_what_was_known(self) -> None:
        """What is known serves, and the mark says that it may be old."""
        talk = self.talk("{{ stack.name }}")
        self.row(talk)
        talk.found(STACK, name="shop")
        self.row(talk)
        self.assertEqual(texts(talk.unanswered(STACK)), ["shop (details unknown)"])
        self.row(talk)
        self.assertEqual([n.text for n in talk.wait(10.0)], ["shop (details unknown)"])

    def test_no_answer_about_whether_it_matches(self) -> None:
        """It is said: silence would be worse."""
        talk = self.talk("said", {"type": "service", "stack.name": "shop"}, fresh=())
        self.row(talk)
        self.assertEqual(texts(talk.unanswered(STACK)), ["said (details unknown)"])

    def test_both_marks(self) -> None:
        talk = self.talk("{{ name }} {{ stack.name }}", fresh=())
        self.row(talk)
        talk.missing(STACK)
        (notice,) = notices(talk.unanswered(SERVICE))
        self.assertEqual(notice.marks, ("the stack is gone", "details unknown"))
        self.assertEqual(notice.text, "(unknown)  (the stack is gone) (details unknown)")

    def test_after_a_failure_nothing_more_is_asked(self) -> None:
        talk = self.talk("{{ stack.name }}{{ name }}", {"type": "container"}, fresh=())
        talk.event(CONTAINER, parents=None)
        decisions = talk.unanswered(CONTAINER)
        self.assertEqual(decisions.needs, set())
        self.assertEqual(texts(decisions), ["(unknown)(unknown) (details unknown)"])

    def test_after_a_failure_nothing_that_an_answer_reveals_is_asked(self) -> None:
        """The notice is marked anyway; asking on would only delay it."""
        text = "{{ stack.name }} {{ node.host }} {{ nodecluster.name }}"
        talk = self.talk(text, {"type": "container"}, fresh=())
        talk.found(CONTAINER, service=SERVICE, node=NODE)
        decisions = talk.event(CONTAINER)
        self.assertEqual(decisions.needs, {Need("main", SERVICE), Need("main", NODE)})
        self.assertEqual(talk.unanswered(SERVICE).owed, [])
        decisions = talk.found(NODE, external_fqdn="a.example", node_cluster=CLUSTER)
        self.assertEqual(decisions.needs, set())
        self.assertEqual(texts(decisions), ["(unknown) a.example (unknown) (details unknown)"])

    def test_nothing_waits_longer_than_ten_seconds(self) -> None:
        talk = self.talk("stack {{ stack.name }}")
        self.row(talk)
        self.assertEqual(talk.speaking.next_due(), 1010.0)
        self.assertEqual(talk.wait(9.9), [])
        (notice,) = talk.wait(0.1)
        self.assertEqual(notice.text, "stack (unknown) (details unknown)")
        self.assertEqual(len(talk.speaking.waiting), 0)
        self.assertEqual(talk.found(STACK, name="late").owed, [])

    def test_what_was_answered_in_time_is_said_at_the_deadline(self) -> None:
        talk = self.talk("{{ name }} in {{ stack.name }}", fresh=())
        self.row(talk)
        talk.found(STACK, name="shop")
        (notice,) = talk.wait(10.0)
        self.assertEqual(notice.text, "(unknown) in shop (details unknown)")

    def test_an_answer_without_the_thing_that_was_asked_for_is_marked(self) -> None:
        """A 404 of a stack of which an event arrived meanwhile: it is there, and without a name."""
        talk = self.talk("{{ stack.name }}", fresh=())
        self.row(talk)
        talk.event(STACK, "Running")
        talk.number -= 1
        (notice,) = notices(talk.missing(STACK))
        self.assertEqual(notice.text, "(unknown) (the stack is gone) (details unknown)")


class CompileMessageTests(SynchronousTestCase):
    """Every mistake in a ``[[messages]]`` table is told with the key that it is in."""

    def mistakes(self, **more: object) -> list[tuple[str, str]]:
        """Compile a table and give what is wrong with it."""
        said: dict[str, object] = {"name": "n", "match": {}, "notify": ["plain"], "text": "x"}
        found: list[tuple[str, str]] = []
        settings = MessageSettings(**{**said, **more})  # type: ignore[arg-type] # a table of any kind
        self.compile(settings, lambda *pair: found.append(pair))
        return found

    def compile(
        self, settings: MessageSettings, mistake: Callable[[str, str], None]
    ) -> MessageRule:
        """Compile a table where one notifier is off, and a route has the role news."""
        routes = make_routes({"news": ["slack", "pd"]})
        return compile_message(settings, routes, DESTINATIONS, (*DESTINATIONS, "off"), mistake)

    def test_mistakes(self) -> None:
        for table, where, what in (
            (
                {"match": {"stat": "x"}},
                "match.stat",
                "'stat' is no known field (did you mean 'state'?)",
            ),
            (
                {"match": "service"},
                "match",
                "expected a table such as { type = \"service\" }, got 'service'",
            ),
            ({"text": "{{ nme }}"}, "text", "'nme' is no known field (did you mean 'name'?)"),
            (
                {"text": "{{ name }", "notify": ["plain", "slack"]},
                "text",
                "line 1 of the text: unexpected '}'",
            ),
            (
                {"fresh": ["stak"]},
                "fresh",
                "'stak' is no type of parent (did you mean 'stack'?)",
            ),
            (
                {"fresh": ["action"]},
                "fresh",
                "'action' is no type of parent; write service, stack or node",
            ),
            ({"notify": []}, "notify", "names no notifier, so nobody would be told"),
        ):
            self.assertEqual(self.mistakes(**table), [(where, what)])

    def test_all_are_told_at_once(self) -> None:
        found = self.mistakes(match={"x": 1}, when="(", text="{{ y }}", fresh=["z"], notify=["w"])
        self.assertEqual(
            [where for where, _ in found], ["match.x", "when", "fresh", "notify", "text"]
        )

    def test_a_notifier_that_is_off_is_no_mistake(self) -> None:
        """It is left out; a text without any other is still checked."""
        self.assertEqual(self.mistakes(notify=["off"]), [])
        self.assertEqual(len(self.mistakes(notify=["off"], text="{{ nme }}")), 1)
        settings = MessageSettings(name="n", match={}, notify=["off", "plain"])
        self.assertEqual(list(self.compile(settings, unexpected).texts), ["plain"])

    def test_there_is_a_text_for_every_notifier_that_may_be_told(self) -> None:
        settings = MessageSettings(name="n", match={}, notify=["news", "plain"])
        rule = self.compile(settings, unexpected)
        self.assertEqual(set(rule.texts), {"slack", "pd", "plain"})
        self.assertEqual(rule.audience.roles, ("news",))

    def test_what_is_left_out(self) -> None:
        rule = self.compile(MessageSettings(name="n", match={}, notify="plain"), unexpected)
        self.assertEqual((rule.cooldown_seconds, rule.change, rule.fresh), (0.0, False, set()))


def fail() -> Resource:
    """Stand for a resource that must be there."""
    raise AssertionError
