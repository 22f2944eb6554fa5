"""Tests for what the decider makes of a listing: what happened while nobody listened, told late."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.trial.unittest import SynchronousTestCase

from tests.rules.talk import (
    SERVICE,
    STACK,
    event_bytes,
    make_ignores,
    make_rule,
    make_rules,
    texts,
)
from tutumwatch.events.inputs import (
    Answer,
    Found,
    Input,
    Link,
    LinkType,
    Listed,
    Looked,
    Message,
    Missing,
    Unanswered,
)
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.rules.decider import Decider
from tutumwatch.rules.decisions import Decisions, WaitingRow
from tutumwatch.rules.messages import MessageRule

NEWS = "{{ name }} is {{ state | lower }}"


class Watching:
    """A decider of message rules, and the time."""

    def __init__(self, *rules: MessageRule) -> None:
        """Begin with some rules, in a world in which nothing has happened."""
        self.decider = Decider(Inventory(), make_rules(*rules))
        self.now = 1000.0
        self.number = 0

    def event(self, uri: str, state: str, **more: object) -> Decisions:
        """Receive an event."""
        self.number += 1
        return self.take(Message("main", self.number, event_bytes(uri, state, **more), self.now))

    def stream(self, state: str) -> Decisions:
        """Let the stream have a state."""
        return self.take(Link(LinkType.STREAM, "main", state, "why", self.now))

    def take(self, item: Input) -> Decisions:
        """Decide something."""
        return self.decider.decide(item)


def found(**fields: object) -> Found:
    """Make the answer that an object with these fields gives."""
    return Found(fields)


class ListedTests(SynchronousTestCase):
    """A listing speaks where a state differs from what was known, marked late."""

    def setUp(self) -> None:
        changed = {"type": "service", "changed": "state"}
        self.world = Watching(make_rule(changed, NEWS))

    def listed(self, rows: Mapping[str, Answer], asked: int | None = None) -> Decisions:
        """Decide a listing with these rows, by default asked for after the last message."""
        number = self.world.number if asked is None else asked
        at = self.world.now
        answers = tuple(Looked("main", uri, number, answer, at) for uri, answer in rows.items())
        return self.world.take(Listed("main", answers, at))

    def first(self) -> None:
        """Let the first listing pass, in which web runs."""
        self.listed({SERVICE: found(name="web", state="Running", stack=STACK)})

    def test_the_first_listing_says_nothing(self) -> None:
        """Everything is new to a process that knows no past."""
        self.assertEqual(texts(self.listed({SERVICE: found(name="web", state="Running")})), [])
        known = self.world.decider.inventory.get(("main", "service", "s1"))
        self.assertEqual(known and known.state, "Running")

    def test_a_process_that_knows_its_past_speaks_at_the_first_listing(self) -> None:
        records = {("caught up", name): b"" for name in ("main", "a", "b")}
        self.world.decider.restore(records, (), 0, self.world.now)
        decisions = self.listed({SERVICE: found(name="web", state="Stopped")})
        self.assertEqual(texts(decisions), ["web is stopped (late)"])

    def test_a_state_that_differs_is_told_late_and_once(self) -> None:
        self.first()
        row = {SERVICE: found(name="web", state="Stopped", stack=STACK)}
        decisions = self.listed(row)
        self.assertEqual(texts(decisions), ["web is stopped (late)"])
        self.assertEqual(texts(self.listed(row)), [])

    def test_a_state_that_is_the_same_says_nothing(self) -> None:
        self.first()
        same = found(name="web", state="Running", stack=STACK, image_name="shop/web:2")
        self.assertEqual(texts(self.listed({SERVICE: same})), [])

    def test_an_event_that_came_after_the_page_was_asked_for_knows_better(self) -> None:
        self.first()
        self.world.event(SERVICE, "Redeploying")
        decisions = self.listed({SERVICE: found(name="web", state="Stopped")}, asked=0)
        self.assertEqual(texts(decisions), [])
        known = self.world.decider.inventory.get(("main", "service", "s1"))
        self.assertEqual(known and known.state, "Redeploying")

    def test_what_is_gone_is_told_late(self) -> None:
        world = Watching(make_rule({"kind": "gone"}, "{{ name }} is gone"))
        self.world = world
        self.first()
        self.assertEqual(texts(self.listed({SERVICE: Missing()})), ["web is gone (late)"])

    def test_what_came_and_went_unseen_is_not_told(self) -> None:
        self.first()
        other = {"/api/v1/service/s2/": found(name="job", state="Terminated")}
        self.assertEqual(texts(self.listed(other)), [])

    def test_what_is_new_is_told_late(self) -> None:
        self.first()
        other = {"/api/v1/service/s2/": found(name="api", state="Starting")}
        self.assertEqual(texts(self.listed(other)), ["api is starting (late)"])

    def test_no_answer_changes_nothing(self) -> None:
        self.first()
        self.assertEqual(texts(self.listed({SERVICE: Unanswered("500")})), [])

    def test_up_to_three_are_told_singly_and_more_become_one_summary(self) -> None:
        self.listed({STACK: found(name="shop", state="Running")})
        uris = [f"/api/v1/service/s{number}/" for number in range(14)]
        three = {uri: found(name=uri[-3:-1], state="Running", stack=STACK) for uri in uris[:3]}
        self.assertEqual(len(texts(self.listed(three))), 3)
        many = {uri: found(name=f"n<{uri[16:-1]}>", state="Stopped", stack=STACK) for uri in uris}
        self.assertEqual(
            texts(self.listed(many)),
            [
                "news: 14 changes: "
                + ", ".join(f"shop/n<s{number}> stopped" for number in range(10))
                + " and 4 more (late)"
            ],
        )

    def test_a_summary_is_escaped_for_its_destination(self) -> None:
        self.world = Watching(make_rule(text=NEWS, notify=["slack"]))
        self.listed({})
        rows = {f"/api/v1/service/s{n}/": found(name="<!channel>", state="Stopped") for n in "abcd"}
        (text,) = texts(self.listed(rows))
        self.assertNotIn("<!channel>", text)
        self.assertIn("&lt;!channel&gt; stopped", text)

    def test_a_summary_says_what_is_gone(self) -> None:
        self.world = Watching(make_rule({"kind": "gone"}, NEWS))
        uris = [f"/api/v1/service/s{n}/" for n in "abcd"]
        self.listed({uri: found(name=uri[-2], state="Running") for uri in uris})
        (text,) = texts(self.listed(dict.fromkeys(uris, Missing())))
        names = ", ".join(f"service {name} gone" for name in "abcd")
        self.assertEqual(text, f"news: 4 changes: {names} (late)")

    def test_only_what_a_rule_matches_counts_for_its_summary(self) -> None:
        self.world = Watching(make_rule({"type": "service", "name": "web"}, NEWS))
        self.listed({})
        rows = {f"/api/v1/service/s{n}/": found(name="api", state="Stopped") for n in "abcd"}
        rows[SERVICE] = found(name="web", state="Stopped")
        self.assertEqual(texts(self.listed(rows)), ["web is stopped (late)"])

    def test_a_late_change_may_wait_for_a_look_up(self) -> None:
        self.world = Watching(make_rule(text="{{ stack.name }}", fresh=["stack"]))
        self.listed({})
        decisions = self.listed({SERVICE: found(name="web", state="Stopped", stack=STACK)})
        (row,) = decisions.owed
        assert isinstance(row, WaitingRow)
        self.assertTrue(row.change.late)

    def test_a_rule_may_leave_out_what_is_late(self) -> None:
        self.world = Watching(make_rule({"type": "service", "late": False}, NEWS))
        self.listed({})
        self.assertEqual(texts(self.listed({SERVICE: found(name="web", state="Stopped")})), [])
        self.assertEqual(len(texts(self.world.event(SERVICE, "Running"))), 1)

    def test_a_deploy_that_nobody_saw_is_told_late(self) -> None:
        self.world = Watching(make_rule({"changed": "deploy"}, "{{ name }}: {{ deploy }}"))
        self.first()
        self.world.event(SERVICE, "Redeploying")
        row = {SERVICE: found(name="web", state="Running", stack=STACK)}
        self.assertEqual(texts(self.listed(row)), ["web: done (late)"])

    def test_what_is_ignored_is_not_told_late(self) -> None:
        rules = make_rules(make_rule(text=NEWS), ignores=make_ignores({"name": "web"}))
        self.world.decider = Decider(Inventory(), rules)
        self.first()
        self.assertEqual(texts(self.listed({SERVICE: found(name="web", state="Stopped")})), [])
        self.assertEqual(self.world.decider.counts["ignored"], 1)


class BlindTests(SynchronousTestCase):
    """A stream that is back says for how long nothing was seen."""

    def setUp(self) -> None:
        """Speak of streams."""
        self.world = Watching(make_rule({"type": "stream"}, "{{ state }} {{ blind }}"))

    def test_the_blind_time_is_a_field_of_the_stream(self) -> None:
        self.world.stream("Connected")
        self.world.now += 100
        self.world.stream("Disconnected")
        self.world.now += 15
        self.world.stream("Unauthorized")
        self.world.now += 110
        self.assertEqual(texts(self.world.stream("Connected")), ["Connected 2 min 5 s"])

    def test_a_stream_that_never_was_connected_was_not_blind(self) -> None:
        said = [
            text
            for state in ("Disconnected", "Connected", "Connected")
            for text in texts(self.world.stream(state))
        ]
        self.assertEqual(said, ["Disconnected ", "Connected ", "Connected "])
