"""Tests of incidents: open while something is true, told once, closed once."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.rules.world import (
    RESOLVE,
    SERVICE,
    TRIGGER,
    World,
    forms,
    incident_rule,
    incident_settings,
    notices,
)
from tutumwatch.inventory.links import CATCH_UP_MAX_SECONDS
from tutumwatch.rules.grouping import MANY
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.notice import Form, Notice, Severity


def stream_rule(**more: Any) -> IncidentRule:  # noqa: ANN401 - what incident_settings takes
    """Make the rule that every test begins with: 15 s down, 5 s up."""
    return incident_rule(incident_settings(**more))


class StreamDownTests(SynchronousTestCase):
    """Down for 15 s triggers, up for 5 s resolves; the process before us left nothing open."""

    def world(self, **more: Any) -> World:  # noqa: ANN401 - what incident_settings takes
        """Make a world whose stream was connected before."""
        world = World.of(stream_rule(**more))
        world.remember("main", "a", "b")
        world.stream("Connected")
        return world

    def test_the_whole_life(self) -> None:
        world = self.world(notify=["plain", "pd"], key="tutum-stream")
        self.assertEqual(world.stream("Disconnected", reason="gone away").owed, [])
        self.assertEqual(world.wait(14.9), [])
        self.assertEqual(world.open_keys(), [])
        opened = world.wait(0.1)
        self.assertEqual(forms(opened), [("plain", TRIGGER), ("pd", TRIGGER)])
        self.assertEqual(world.open_keys(), ["tutum-stream"])
        self.assertIsNone(world.decider.next_due())
        self.assertEqual(world.wait(3600.0), [])
        self.assertEqual(world.catch_up().owed, [])
        self.assertEqual(world.wait(4.9), [])
        self.assertEqual(world.open_keys(), ["tutum-stream"])
        closed = world.wait(0.1)
        self.assertEqual(forms(closed), [("plain", RESOLVE), ("pd", RESOLVE)])
        self.assertEqual(world.open_keys(), [])
        self.assertIsNone(world.decider.next_due())

    def test_what_is_said(self) -> None:
        world = self.world(notify=["pd"], key="tutum-stream")
        world.stream("Disconnected", reason="gone away")
        (opened,) = world.wait(20.0)
        self.assertEqual(
            opened,
            Notice(
                id="run-input-3/stream down/trigger/pd/1015.0",
                form=Form.TRIGGER,
                rule="stream down",
                notifier="pd",
                key="tutum-stream",
                text="down: gone away",
                at=1015.0,
                severity=Severity.CRITICAL,
                marks=(),
                details={
                    "type": "stream",
                    "name": "main",
                    "state": "Disconnected",
                    "stream": "main",
                    "reason": "gone away",
                },
            ),
        )
        world.stream("Connected", reason="")
        (closed,) = world.wait(20.0)
        self.assertEqual(
            (closed.text, closed.form, closed.key), ("up", Form.RESOLVE, "tutum-stream")
        )
        self.assertEqual((closed.at, closed.details["state"]), (1025.0, "Connected"))

    def test_a_short_break_pages_nobody(self) -> None:
        world = self.world()
        world.stream("Disconnected")
        world.wait(14.0)
        world.stream("Connected")
        self.assertEqual(world.wait(100.0), [])
        self.assertEqual(world.decider.incidents.members(), [])

    def test_a_gap_shorter_than_clear_for_does_not_restart_for(self) -> None:
        """A server that accepts and drops us at once is down all the same."""
        world = self.world()
        world.stream("Disconnected")
        world.wait(10.0)
        world.stream("Connected")
        world.wait(4.0)
        world.stream("Disconnected")
        self.assertEqual(world.decider.next_due(), 1015.0)
        self.assertEqual([n.at for n in world.wait(100.0)], [1015.0])

    def test_for_that_ended_within_a_gap(self) -> None:
        """Opens as soon as it is true again."""
        world = self.world()
        world.stream("Disconnected")
        world.wait(13.0)
        world.stream("Connected")
        self.assertEqual(world.wait(4.0), [])
        self.assertEqual(forms(notices(world.stream("Disconnected"))), [("plain", TRIGGER)])

    def test_a_gap_as_long_as_clear_for_restarts_for(self) -> None:
        world = self.world()
        world.stream("Disconnected")
        world.wait(10.0)
        world.stream("Connected")
        world.wait(5.0)
        world.stream("Disconnected")
        self.assertEqual([n.at for n in world.wait(100.0)], [1030.0])

    def test_a_gap_whose_tick_is_late_restarts_for_too(self) -> None:
        world = self.world()
        world.stream("Disconnected")
        world.wait(10.0)
        world.stream("Connected")
        world.now += 5.0
        self.assertEqual(world.stream("Disconnected").owed, [])
        self.assertEqual([n.at for n in world.wait(100.0)], [1030.0])

    def test_further_news_in_a_gap_do_not_prolong_it(self) -> None:
        world = self.world()
        world.stream("Disconnected")
        world.wait(10.0)
        world.stream("Connected")
        world.wait(4.0)
        world.stream("Connected", reason="still")
        self.assertEqual(world.decider.next_due(), 1015.0)

    def test_a_recovery_shorter_than_clear_for_does_not_close(self) -> None:
        world = self.world()
        world.stream("Disconnected")
        self.assertEqual(len(world.wait(15.0)), 1)
        for _ in range(3):
            world.stream("Connected")
            self.assertEqual(world.wait(4.9), [])
            self.assertEqual(world.stream("Unauthorized").owed, [])
            self.assertEqual(world.wait(10.0), [])
        world.stream("Connected")
        self.assertEqual(forms(world.wait(5.0)), [("plain", RESOLVE)])

    def test_another_bad_state_is_the_same_incident(self) -> None:
        world = self.world()
        world.stream("Disconnected")
        world.wait(10.0)
        world.stream("Unauthorized", reason="401")
        (opened,) = world.wait(5.0)
        self.assertEqual(opened.text, "down: 401")
        self.assertEqual(world.stream("Disconnected").owed, [])
        self.assertEqual(world.wait(100.0), [])

    def test_no_trigger_twice_and_no_resolve_twice(self) -> None:
        world = self.world()
        world.stream("Disconnected")
        world.wait(15.0)
        for _ in range(3):
            self.assertEqual(world.stream("Disconnected").owed, [])
            self.assertEqual(world.wait(60.0), [])
        world.stream("Connected")
        world.wait(5.0)
        for _ in range(3):
            self.assertEqual(world.stream("Connected").owed, [])
            self.assertEqual(world.wait(60.0), [])

    def test_for_zero_pages_for_every_break(self) -> None:
        """As the tutorial did."""
        world = self.world(for_seconds=0.0)
        self.assertEqual(forms(notices(world.stream("Disconnected"))), [("plain", TRIGGER)])
        world.stream("Connected")
        self.assertEqual(forms(world.wait(5.0)), [("plain", RESOLVE)])

    def test_clear_for_zero_closes_at_once(self) -> None:
        world = self.world(clear_for_seconds=0.0)
        world.stream("Disconnected")
        world.wait(14.0)
        world.stream("Connected")
        world.stream("Disconnected")
        self.assertEqual([n.at for n in world.wait(15.0)], [1029.0])
        self.assertEqual(forms(notices(world.stream("Connected"))), [("plain", RESOLVE)])
        self.assertEqual(world.decider.incidents.members(), [])

    def test_both_zero(self) -> None:
        world = self.world(for_seconds=0.0, clear_for_seconds=0.0)
        said = []
        for state in ("Disconnected", "Connected", "Disconnected", "Unauthorized", "Connected"):
            said += notices(world.stream(state))
        self.assertEqual([n.form.value for n in said], [TRIGGER, RESOLVE, TRIGGER, RESOLVE])
        self.assertEqual(len({notice.id for notice in said}), 4)

    def test_a_late_tick_says_when_it_was_told(self) -> None:
        world = self.world()
        world.stream("Disconnected")
        world.now += 60.0
        self.assertEqual([n.at for n in world.wait(0.0)], [1060.0])

    def test_every_opening_has_an_id_of_its_own(self) -> None:
        world = self.world()
        said = []
        for _ in range(3):
            world.stream("Disconnected")
            said += world.wait(20.0)
            world.stream("Connected")
            said += world.wait(20.0)
        self.assertEqual([n.form.value for n in said], [TRIGGER, RESOLVE] * 3)
        self.assertEqual(len({notice.id for notice in said}), 6)

    def test_the_members_stay_known(self) -> None:
        """However many resources are seen meanwhile."""
        world = self.world()
        key = ("main", "stream", "main")
        self.assertFalse(world.decider.inventory.is_needed(key))
        world.stream("Disconnected")
        self.assertTrue(world.decider.inventory.is_needed(key))


class KeyTests(SynchronousTestCase):
    """Resources that share a key are one incident."""

    def world(self, *rules: IncidentRule) -> World:
        """Make a world that knows the past."""
        world = World.of(*rules)
        world.remember("main", "a", "b")
        return world

    def test_by_default_each_resource_has_its_own(self) -> None:
        world = self.world(stream_rule())
        world.stream("Disconnected", "a")
        world.stream("Disconnected", "b")
        keys = [notice.key for notice in world.wait(15.0)]
        self.assertEqual(keys, ["stream down/a/stream/a", "stream down/b/stream/b"])

    def test_a_shared_key_is_open_while_any_is_in_it(self) -> None:
        world = self.world(stream_rule(key="all"))
        world.stream("Disconnected", "a")
        world.wait(5.0)
        world.stream("Disconnected", "b")
        self.assertEqual([(n.key, n.at) for n in world.wait(30.0)], [("all", 1015.0)])
        world.stream("Connected", "a")
        self.assertEqual(world.wait(30.0), [])
        world.stream("Connected", "b")
        self.assertEqual(forms(world.wait(30.0)), [("plain", RESOLVE)])

    def test_one_that_is_not_ripe_holds_nothing_open(self) -> None:
        """It opens the incident again when its own time has come."""
        world = self.world(stream_rule(key="all"))
        world.stream("Disconnected", "a")
        world.wait(20.0)
        world.stream("Connected", "a")
        world.stream("Disconnected", "b")
        said = world.wait(30.0)
        self.assertEqual(
            [(n.form.value, n.at) for n in said], [(RESOLVE, 1025.0), (TRIGGER, 1035.0)]
        )

    def test_one_that_is_ripe_when_another_one_leaves_keeps_it_open(self) -> None:
        """Whichever was there first."""
        for first, second in (("a", "b"), ("b", "a")):
            world = self.world(stream_rule(key="all", for_seconds=5.0))
            world.stream("Disconnected", first)
            world.wait(20.0)
            for name, state in ((first, "Connected"), (second, "Disconnected")):
                world.stream(state, name)
            self.assertEqual(world.wait(30.0), [])
            self.assertEqual(world.open_keys(), ["all"])

    def test_a_pending_one_that_ends_closes_nothing(self) -> None:
        world = self.world(stream_rule(key="all"))
        world.stream("Disconnected", "a")
        world.wait(20.0)
        world.stream("Disconnected", "b")
        world.wait(1.0)
        world.stream("Connected", "b")
        self.assertEqual(world.wait(30.0), [])
        self.assertEqual(world.open_keys(), ["all"])

    def test_a_key_may_name_fields(self) -> None:
        world = self.world(stream_rule(key="{{ type }}-{{ name }}"))
        world.stream("Disconnected", "a")
        self.assertEqual([n.key for n in world.wait(15.0)], ["stream-a"])

    def test_a_key_that_fails_or_is_empty_gives_the_default(self) -> None:
        for key in ("{{ name.nothing.at.all }}", "{{ image }}", "  ", ""):
            world = self.world(stream_rule(key=key))
            world.stream("Disconnected", "a")
            self.assertEqual([n.key for n in world.wait(15.0)], ["stream down/a/stream/a"], key)

    def test_a_key_is_kept_from_joining_to_leaving(self) -> None:
        """A resolve has the key of its trigger, whatever changed meanwhile."""
        world = self.world(stream_rule(key="{{ reason }}"))
        world.stream("Disconnected", reason="first")
        world.stream("Disconnected", reason="second")
        said = world.wait(15.0)
        world.stream("Connected", reason="third")
        said += world.wait(5.0)
        self.assertEqual([n.key for n in said], ["first", "first"])

    def test_rules_do_not_disturb_each_other(self) -> None:
        world = self.world(
            stream_rule(name="soon", for_seconds=1.0, key="k"),
            stream_rule(name="later", for_seconds=9.0, key="k2"),
        )
        world.stream("Disconnected")
        self.assertEqual(
            [(n.rule, n.at) for n in world.wait(20.0)], [("soon", 1001.0), ("later", 1009.0)]
        )


class NotifierTests(SynchronousTestCase):
    """A destination is watched like a stream."""

    def test_a_refused_key_is_told_elsewhere(self) -> None:
        rule = stream_rule(
            name="pd refuses",
            while_={"type": "notifier", "state": "Refused"},
            text="{{ name }}: {{ reason }}",
            notify=["slack"],
        )
        world = World.of(rule)
        world.notifier("Failing")
        self.assertEqual(world.wait(60.0), [])
        world.notifier("Refused")
        (opened,) = world.wait(60.0)
        self.assertEqual((opened.text, opened.key), ("pd: why", "pd refuses/notifier/pd"))
        world.notifier("Delivering")
        self.assertEqual(forms(world.wait(60.0)), [("slack", RESOLVE)])


class OrphanTests(SynchronousTestCase):
    """With an empty store the first connect resolves what a process before us may have opened.

    Groups that it may have opened, too; these are told of elsewhere.
    """

    def of_rules(self, said: list[Notice]) -> list[Notice]:
        """Leave out what is said of groups."""
        return [notice for notice in said if notice.key != MANY]

    def test_the_first_connect_resolves_where_that_does_no_harm(self) -> None:
        world = World.of(stream_rule(notify=["plain", "pd"], key="tutum-stream"))
        (resolve,) = self.of_rules(notices(world.stream("Connected")))
        self.assertEqual(
            (resolve.notifier, resolve.form, resolve.key, resolve.text),
            ("pd", Form.RESOLVE, "tutum-stream", "up"),
        )
        world.stream("Disconnected")
        self.assertEqual(world.stream("Connected").owed, [])

    def test_a_store_that_knows_the_past_resolves_nothing(self) -> None:
        world = World.of(stream_rule(notify=["pd"]))
        world.remember("main", "a", "b")
        self.assertEqual(world.stream("Connected").owed, [])

    def test_each_stream_is_greeted(self) -> None:
        world = World.of(stream_rule(notify=["pd"]))
        said = [n for name in "aba" for n in notices(world.stream("Connected", name))]
        keys = [notice.key for notice in self.of_rules(said)]
        self.assertEqual(keys, ["stream down/a/stream/a", "stream down/b/stream/b"])

    def test_a_break_that_was_not_told_yet_is_resolved_too(self) -> None:
        """The process before us may have told it; so it is resolved once it is not told again."""
        world = World.of(stream_rule(notify=["pd"]))
        world.stream("Disconnected")
        world.wait(5.0)
        self.assertEqual(self.of_rules(notices(world.stream("Connected"))), [])
        (resolve,) = world.wait(60.0)
        self.assertEqual((resolve.form, resolve.at), (Form.RESOLVE, 1010.0))
        self.assertEqual(resolve.details["state"], "Connected")
        self.assertEqual(world.wait(60.0), [])

    def test_one_that_several_are_on_their_way_to_is_resolved_once(self) -> None:
        world = World.of(stream_rule(notify=["pd"], key="all"))
        for name in ("a", "b"):
            world.stream("Disconnected", name)
        said = [n for name in ("a", "b") for n in notices(world.stream("Connected", name))]
        self.assertEqual(self.of_rules(said), [])
        self.assertEqual([notice.key for notice in world.wait(60.0)], ["all"])

    def test_what_we_opened_ourselves_is_resolved_once(self) -> None:
        for clear_for in (5.0, 0.0):
            world = World.of(stream_rule(notify=["pd"], clear_for_seconds=clear_for))
            world.stream("Disconnected")
            self.assertEqual(forms(world.wait(15.0)), [("pd", TRIGGER)])
            said = notices(world.stream("Connected")) + world.wait(60.0)
            self.assertEqual(forms(self.of_rules(said)), [("pd", RESOLVE)])

    def test_rules_about_other_things_resolve_nothing(self) -> None:
        world = World.of(stream_rule(name="other", while_={"type": "notifier"}, notify=["pd"]))
        self.assertEqual(world.stream("Connected").owed, [])


STATES = st.sampled_from(["Connected", "Disconnected", "Unauthorized"])
STEPS = st.lists(
    st.tuples(
        STATES, st.sampled_from("ab"), st.sampled_from([0.0, 0.5, 2.0, 5.0, 8.0, 15.0, 40.0])
    ),
    max_size=30,
)
SECONDS = st.sampled_from([0.0, 1.0, 5.0, 15.0, 30.0])


class HistoryTests(SynchronousTestCase):
    """Never a resolve before its trigger, never an open page for a closed problem."""

    @settings(deadline=None)
    @given(STEPS, SECONDS, SECONDS, st.sampled_from([None, "shared"]), st.booleans())
    def test_any_history(
        self,
        steps: list[tuple[str, str, float]],
        for_seconds: float,
        clear_for_seconds: float,
        key: str | None,
        late: bool,  # noqa: FBT001 - hypothesis draws it
    ) -> None:
        """Triggers and resolves of a key alternate; once all is quiet, open is what is down."""
        world = World.of(
            stream_rule(for_seconds=for_seconds, clear_for_seconds=clear_for_seconds, key=key)
        )
        said: list[Notice] = []
        state = {}
        for to, name, pause in steps:
            state[name] = to
            said += notices(world.stream(to, name))
            if late:
                world.now += pause
            else:
                said += world.wait(pause)
        said += world.wait(for_seconds + clear_for_seconds + CATCH_UP_MAX_SECONDS)
        down = {name for name, last in state.items() if last != "Connected"}
        keys = {key or f"stream down/{name}/stream/{name}" for name in down}
        is_open = set(world.open_keys())
        self.assertEqual(is_open, keys)
        self.assertIsNone(world.decider.next_due())
        self.assertEqual(len({notice.id for notice in said}), len(said))
        for one in {notice.key for notice in said} | keys:
            told = [notice.form for notice in said if notice.key == one]
            expected = itertools.cycle([Form.TRIGGER, Form.RESOLVE])
            self.assertEqual(told, list(itertools.islice(expected, len(told))))
            self.assertEqual(len(told) % 2 == 1, one in is_open)
        self.assertEqual(len(world.phases()), len(down))

    @settings(deadline=None)
    @given(STEPS)
    def test_a_page_means_that_it_was_down_for_long_enough(
        self, steps: list[tuple[str, str, float]]
    ) -> None:
        """A trigger comes when it was not connected for 15 s, gaps of less than 5 s aside."""
        world = World.of(stream_rule())
        down_since: float | None = None
        up_since: float | None = 0.0
        for to, _, pause in steps:
            if to == "Connected":
                up_since = world.now if up_since is None else up_since
            else:
                if down_since is None or (up_since is not None and world.now - up_since >= 5):
                    down_since = world.now
                up_since = None
            begun = world.now
            said = notices(world.stream(to)) + world.wait(pause)
            for notice in said:
                if notice.form is Form.TRIGGER:
                    assert down_since is not None
                    self.assertEqual(notice.at, max(begun, down_since + 15))
                else:
                    assert up_since is not None
                    self.assertEqual(notice.at, up_since + 5)


class ServerWithoutObjectsTests(SynchronousTestCase):
    """Events of a server that sends no objects along tell a state, and no counts."""

    def test_what_was_counted_before_the_state_changed_closes_nothing_and_keeps_nothing_open(
        self,
    ) -> None:
        down = {"type": "service", "health": ["degraded", "down"]}
        world = World.of(incident_rule(incident_settings(name="down", while_=down)))
        world.catch_up()
        ill = {"state": "Stopped", "running_num_containers": 0, "target_num_containers": 2}
        world.event(SERVICE, "Stopped", parents=[])
        world.found(SERVICE, **ill)
        world.wait(15.0)
        self.assertEqual(
            [notice.form for notice in notices(world.found(SERVICE, **ill))], [Form.TRIGGER]
        )
        world.event(SERVICE, "Running", parents=[])
        world.wait(5.0)
        well = {"state": "Running", "running_num_containers": 2, "target_num_containers": 2}
        self.assertEqual(
            [notice.form for notice in notices(world.found(SERVICE, **well))], [Form.RESOLVE]
        )
