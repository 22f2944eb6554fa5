"""Tests for what the decider makes of a listing: what happened while nobody listened, told late."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.trial.unittest import SynchronousTestCase

from tests.rules.world import SERVICE, STACK, World, incident_rule, incident_settings, message_rule
from tutumwatch.events.inputs import Answer, Found, Listed, Looked, Missing, Unanswered
from tutumwatch.rules.decisions import Decisions, WaitingRow
from tutumwatch.rules.notice import Form, Notice

NEWS = "{{ name }} is {{ state | lower }}"


def found(**fields: object) -> Found:
    """Make the answer that an object with these fields gives."""
    return Found(fields)


class ListedTests(SynchronousTestCase):
    """A listing speaks where a state differs from what was known, marked late."""

    def setUp(self) -> None:
        changed = {"type": "service", "changed": "state"}
        self.world = World.of(message_rule(changed, NEWS))

    def listed(self, rows: Mapping[str, Answer], asked: int | None = None) -> Decisions:
        """Decide a listing with these rows, by default asked for after the last message."""
        number = self.world.number if asked is None else asked
        at = self.world.now
        answers = tuple(Looked("main", uri, number, answer, at) for uri, answer in rows.items())
        return self.world.decider.decide(Listed("main", answers, at))

    def texts(self, decisions: Decisions) -> list[str]:
        """Give the texts of what is owed."""
        return [owed.text for owed in decisions.owed if isinstance(owed, Notice)]

    def first(self) -> None:
        """Let the first listing pass, in which web runs."""
        self.listed({SERVICE: found(name="web", state="Running", stack=STACK)})

    def test_the_first_listing_says_nothing(self) -> None:
        """Everything is new to a process that knows no past."""
        self.assertEqual(self.texts(self.listed({SERVICE: found(name="web", state="Running")})), [])
        known = self.world.decider.inventory.get(("main", "service", "s1"))
        self.assertEqual(known and known.state, "Running")

    def test_a_process_that_knows_its_past_speaks_at_the_first_listing(self) -> None:
        self.world.remember("main", "a", "b")
        decisions = self.listed({SERVICE: found(name="web", state="Stopped")})
        self.assertEqual(self.texts(decisions), ["web is stopped (late)"])

    def test_a_state_that_differs_is_told_late_and_once(self) -> None:
        self.first()
        row = {SERVICE: found(name="web", state="Stopped", stack=STACK)}
        decisions = self.listed(row)
        self.assertEqual(self.texts(decisions), ["web is stopped (late)"])
        (notice,) = [owed for owed in decisions.owed if isinstance(owed, Notice)]
        self.assertEqual(notice.marks, ("late",))
        self.assertEqual(self.texts(self.listed(row)), [])

    def test_a_state_that_is_the_same_says_nothing(self) -> None:
        self.first()
        same = found(name="web", state="Running", stack=STACK, image_name="shop/web:2")
        self.assertEqual(self.texts(self.listed({SERVICE: same})), [])

    def test_an_event_that_came_after_the_page_was_asked_for_knows_better(self) -> None:
        self.first()
        self.world.event(SERVICE, "Redeploying")
        decisions = self.listed({SERVICE: found(name="web", state="Stopped")}, asked=0)
        self.assertEqual(self.texts(decisions), [])
        known = self.world.decider.inventory.get(("main", "service", "s1"))
        self.assertEqual(known and known.state, "Redeploying")

    def test_what_is_gone_is_told_late(self) -> None:
        world = World.of(message_rule({"kind": "gone"}, "{{ name }} is gone"))
        self.world = world
        self.first()
        self.assertEqual(self.texts(self.listed({SERVICE: Missing()})), ["web is gone (late)"])

    def test_what_came_and_went_unseen_is_not_told(self) -> None:
        self.first()
        other = {"/api/v1/service/s2/": found(name="job", state="Terminated")}
        self.assertEqual(self.texts(self.listed(other)), [])

    def test_what_is_new_is_told_late(self) -> None:
        self.first()
        other = {"/api/v1/service/s2/": found(name="api", state="Starting")}
        self.assertEqual(self.texts(self.listed(other)), ["api is starting (late)"])

    def test_no_answer_changes_nothing(self) -> None:
        self.first()
        self.assertEqual(self.texts(self.listed({SERVICE: Unanswered("500")})), [])

    def test_up_to_three_are_told_singly_and_more_become_one_summary(self) -> None:
        self.listed({STACK: found(name="shop", state="Running")})
        uris = [f"/api/v1/service/s{number}/" for number in range(14)]
        three = {uri: found(name=uri[-3:-1], state="Running", stack=STACK) for uri in uris[:3]}
        self.assertEqual(len(self.texts(self.listed(three))), 3)
        many = {uri: found(name=f"n<{uri[16:-1]}>", state="Stopped", stack=STACK) for uri in uris}
        self.assertEqual(
            self.texts(self.listed(many)),
            [
                "news: 14 changes: "
                + "".join(f"shop/n<s{number}> stopped, " for number in range(9))
                + "shop/n<s9> stopped and 4 more (late)"
            ],
        )

    def test_a_summary_is_escaped_for_its_destination(self) -> None:
        self.world = World.of(message_rule(text=NEWS, notify=["slack"]))
        self.listed({})
        rows = {f"/api/v1/service/s{n}/": found(name="<!channel>", state="Stopped") for n in "abcd"}
        (text,) = self.texts(self.listed(rows))
        self.assertNotIn("<!channel>", text)
        self.assertIn("&lt;!channel&gt; stopped", text)

    def test_a_summary_says_what_is_gone(self) -> None:
        self.world = World.of(message_rule({"kind": "gone"}, NEWS))
        uris = [f"/api/v1/service/s{n}/" for n in "abcd"]
        self.listed({uri: found(name=uri[-2], state="Running") for uri in uris})
        (text,) = self.texts(self.listed(dict.fromkeys(uris, Missing())))
        self.assertEqual(text, "news: 4 changes: a gone, b gone, c gone, d gone (late)")

    def test_only_what_a_rule_matches_counts_for_its_summary(self) -> None:
        self.world = World.of(message_rule({"type": "service", "name": "web"}, NEWS))
        self.listed({})
        rows = {f"/api/v1/service/s{n}/": found(name="api", state="Stopped") for n in "abcd"}
        rows[SERVICE] = found(name="web", state="Stopped")
        self.assertEqual(self.texts(self.listed(rows)), ["web is stopped (late)"])

    def test_a_late_change_may_wait_for_a_look_up(self) -> None:
        self.world = World.of(message_rule(text="{{ stack.name }}", fresh=["stack"]))
        self.listed({})
        decisions = self.listed({SERVICE: found(name="web", state="Stopped", stack=STACK)})
        (row,) = decisions.owed
        assert isinstance(row, WaitingRow)
        self.assertTrue(row.change.late)

    def test_a_rule_may_leave_out_what_is_late(self) -> None:
        self.world = World.of(message_rule({"type": "service", "late": False}, NEWS))
        self.listed({})
        self.assertEqual(self.texts(self.listed({SERVICE: found(name="web", state="Stopped")})), [])
        self.assertEqual(len(self.texts(self.world.event(SERVICE, "Running"))), 1)


class BlindTests(SynchronousTestCase):
    """A stream that is back says for how long nothing was seen."""

    def test_the_blind_time_is_a_field_of_the_stream(self) -> None:
        settings = incident_settings(clear_for_seconds=0.0, resolve_text="back after {{ blind }}")
        world = World.of(incident_rule(settings))
        world.stream("Connected")
        world.now += 100
        world.stream("Disconnected")
        world.wait(15)
        world.stream("Unauthorized")
        world.now += 110
        decisions = world.stream("Connected")
        (notice,) = [owed for owed in decisions.owed if isinstance(owed, Notice)]
        self.assertEqual((notice.form, notice.text), (Form.RESOLVE, "back after 2 min 5 s"))

    def test_a_stream_that_never_was_connected_was_not_blind(self) -> None:
        world = World.of(message_rule({"type": "stream"}, "{{ state }} {{ blind }}"))
        texts = [
            owed.text
            for state in ("Disconnected", "Connected", "Connected")
            for owed in world.stream(state).owed
            if isinstance(owed, Notice)
        ]
        self.assertEqual(texts, ["Disconnected ", "Connected ", "Connected "])
