"""Tests of due times: what is due is done, and nothing is told twice, whatever happened before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.rules.silenced import mute
from tests.rules.world import (
    CONTAINER,
    NODE,
    SERVICE,
    STACK,
    World,
    incident_rule,
    incident_settings,
    notices,
    rule_set,
    service_rule,
)
from tutumwatch.events.inputs import Answer, Found, Missing, Unanswered
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.notice import Form, Notice
from tutumwatch.rules.rule_set import RuleSet
from tutumwatch.settings import Duration

STATES = {
    SERVICE: ("Running", "Stopped", "Redeploying", "Terminated"),
    CONTAINER: ("Running", "Stopped", "Terminated"),
    NODE: ("Deployed", "Unreachable"),
    STACK: ("Running", "Terminated"),
}
FOUND: Sequence[dict[str, str]] = ({}, {}, {"state": "Running"}, {"state": "Stopped"})
PARENTS = {SERVICE: [STACK], CONTAINER: [SERVICE, NODE], NODE: [], STACK: []}

Step: TypeAlias = partial[Decisions]


def some_rules(number: int) -> RuleSet:
    """Make rules of every form; those of another number differ in all that may differ."""
    other, seconds = number > 0, (0.1, 20.0)[number % 2]
    rules = [
        service_rule(
            unless={"deploy": "running"},
            unless_open=["node lost", "crash loop", "service down"],
            unless_max=Duration(50.0 + number),
            for_seconds=seconds,
            clear_for_seconds=(0.3, 0.0)[number % 2],
            repeat=None if other else Duration(100.0),
            key="{{ stack.name }}" if other else None,
        ),
        incident_rule(
            incident_settings(
                name="crash loop",
                each={"type": "container", "state": "Stopped"},
                times=2,
                within=Duration(60.0),
                per="service",
                unless_open="node lost",
                for_seconds=0.0,
                text="crash",
            )
        ),
        incident_rule(
            incident_settings(
                name="no stack", absent={"type": "stack"}, for_seconds=seconds, text="gone"
            )
        ),
        incident_rule(),
    ]
    if number < 2:
        node = {"type": "node", "state": "Unreachable"}
        settings_ = incident_settings(name="node lost", while_=node, for_seconds=0.0, text="lost")
        rules.append(incident_rule(settings_))
    nights = mute("nights", {"type": "service"}, "00:20", "00:30")
    return rule_set(*rules, mutes=() if other else (nights,))


RULES = [some_rules(number) for number in range(3)]

# -- what may happen


def tell(world: World, uri: str, number: int) -> Decisions:
    """Let a resource have a state."""
    states = STATES[uri]
    return world.event(uri, states[number % len(states)], parents=PARENTS[uri])


def answer(world: World, answer_: Answer) -> Decisions:
    """End all look-ups that are wanted, each in the same way."""
    decided = Decisions()
    for uri in world.uris_asked():
        decided.owed += world.looked(uri, answer_).owed
    return decided


def link(world: World, state: str) -> Decisions:
    """Let the stream have a state."""
    return world.stream(state)


def list_all(world: World) -> Decisions:
    """Let the platform have listed what is known."""
    return world.listed({})


def silence(world: World, seconds: float) -> Decisions:
    """Silence services; 0: no longer."""
    return world.silence([{"type": "service"}], seconds) if seconds else world.unsilence()


def resolve(world: World, number: int) -> Decisions:
    """Close one of the incidents that are open."""
    keys = world.open_keys() or ["nothing"]
    return world.resolve(keys[number % len(keys)])


def reload(world: World, number: int) -> Decisions:
    """Go on under other rules."""
    return world.reload(RULES[number])


def restart(world: World, number: int, away: float) -> Decisions:
    """End, and go on under other rules after a while; the clock may be wrong."""
    world.now = max(0.0, world.now + away)
    return world.restart_under(RULES[number])


def wait(world: World, seconds: float) -> Decisions:
    """Let time pass, with all the Ticks that are wanted, or, if it is below 0, with none."""
    if seconds >= 0:
        return Decisions(owed=list(world.wait(seconds)))
    world.now -= seconds
    return Decisions()


def steps_of(do: Callable[..., Decisions], **choices: Sequence[object]) -> st.SearchStrategy[Step]:
    """Make steps of one kind."""
    drawn = {name: st.sampled_from(some) for name, some in choices.items()}
    return st.builds(partial, st.just(do), **drawn)


def die(world: World) -> Decisions:
    """Let a container come and die."""
    owed = [one for number in (0, 1) for one in tell(world, CONTAINER, number).owed]
    return Decisions(owed=owed)


USUAL = (
    steps_of(tell, uri=[*STATES, SERVICE], number=range(4)),
    steps_of(tell, uri=[NODE, SERVICE], number=[0, 1]),
    st.just(partial(die)),
    steps_of(answer, answer_=[*map(Found, FOUND), Unanswered("no"), Missing()]),
    steps_of(answer, answer_=[*map(Found, FOUND)]),
    steps_of(wait, seconds=[0.3, 1.0, 10.0, 31.0, 130.0, 700.0]),
    steps_of(wait, seconds=[0.3, 1.0, -1.0, -50.0, -1000.0]),
)
RARE = (
    steps_of(link, state=["Connected", "Disconnected"]),
    st.just(partial(list_all)),
    steps_of(silence, seconds=[0.0, 30.0, 400.0]),
    steps_of(resolve, number=range(4)),
    steps_of(reload, number=range(3)),
    steps_of(restart, number=range(3), away=[0.0, 500.0, -500.0]),
)
# Mapped, so that it is one of the usual ones and not six.
STEPS = st.one_of(*USUAL, st.one_of(*RARE).map(lambda step: step))


class AnyHistoryTests(SynchronousTestCase):
    """Whatever happens, in whatever order, and whether or not look-ups are answered."""

    @settings(deadline=None, max_examples=200)
    @given(st.lists(STEPS, max_size=40))
    def test_what_is_due_is_done_by_a_tick(self, steps: Sequence[Step]) -> None:
        """Else a Tick would follow a Tick for ever; nor is anything told open or closed twice."""
        world = World.of(*RULES[0].incidents, mutes=RULES[0].mutes)
        world.catch_up()
        said: list[Notice] = []
        for step in [*steps, partial(link, state="Connected"), partial(list_all)]:
            said += notices(step(world))
            self.assert_done(world, said)
            self.assertEqual(world.decider.counts["rejected"], 0, world.decider.last_rejected)
        self.assert_told_in_turn(said)

    def assert_done(self, world: World, said: list[Notice]) -> None:
        """Fail unless a Tick, now or at any time that is waited for, does all that is due then."""
        said += notices(world.tick())
        due = world.decider.next_due()
        self.assertTrue(due is None or due > world.now, due)

    def assert_told_in_turn(self, said: Sequence[Notice]) -> None:
        """Fail if an incident was resolved that was not open; but for repeats, nothing is twice."""
        is_open: set[str] = set()
        for notice in said:
            if notice.form is Form.TRIGGER:
                is_repeated = notice.rule == "service down" or " after " in notice.key
                self.assertTrue(is_repeated or notice.key not in is_open, notice)
                is_open.add(notice.key)
            else:
                self.assertIn(notice.key, is_open, notice)
                is_open.discard(notice.key)
