"""Any history ends the same in whichever way it is lived through: at one go, over a restart, again.

What "the same" means, exactly:

- **A restart.** Two watchers live through one history. At one point in it both are away for a
  while, in which things happen that nobody tells them; then both have to connect and to list what
  there is. One of them slept: it went on with all that it knew. The other one ended, and began with
  what was committed and saved. In the end both have the same incidents open, under the same keys,
  and have said the same: as often, to the same notifiers, in the same forms, under the same keys,
  in the same words. Ids and times may differ, and the order in which a group names what opened at
  one instant; and so may what is said of the stream itself: only the one that slept knows that it
  lost it.
- **A replay.** The inputs of a history, with restarts, a clock that goes back, and reloads, are
  decided again by :func:`tutumwatch.replay.replay`. Each comes to exactly the same: the same is
  owed with the same ids and times, the same look-ups are wanted, the same records are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from random import Random

import attrs
from hypothesis import HealthCheck, given, note, settings
from hypothesis import Phase as HypothesisPhase
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.tutum_events import uri_of
from tests.rules.histories import (
    BECOMES,
    URIS,
    Again,
    AllHappens,
    Asked,
    ByHand,
    Destination,
    Fails,
    Happens,
    Manner,
    Network,
    Rest,
    Rubbish,
    Rules,
    Saved,
    Silenced,
    Step,
    Tell,
    Unsilenced,
    Wait,
    Watching,
    load,
    type_of,
)
from tutumwatch.events.inputs import (
    CONNECTED,
    DISCONNECTED,
    UNAUTHORIZED,
    Looked,
    Message,
    Started,
)
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.replay import replay
from tutumwatch.rules.decider import Decider
from tutumwatch.rules.grouping import MANY
from tutumwatch.rules.members import Phase
from tutumwatch.rules.notice import Form
from tutumwatch.rules.rule_set import RuleSet

FIRST = """
[[routes]]
match = { stack.name = "pay" }
news = ["slack"]
page = ["pagerduty", "slack"]
[[routes]]
news = ["console"]
page = ["pagerduty"]
[[ignore]]
match = { service.name = "cron" }
[[ignore]]
match = { name = "cron" }

[[messages]]
name = "service news"
match = { type = "service", changed = "state" }
notify = "news"
text = "{{ stack.name }}/{{ name }} is {{ state }}"
cooldown = "2m"
[[messages]]
name = "box"
match = { type = "container", changed = "state", service.name = ["web", "till"] }
notify = "news"
text = "{{ name }} of {{ service.name }} is {{ state }} {{ ended }}"
[[messages]]
name = "deploy"
match = { type = "service", changed = "deploy", deploy = ["done", "failed", "overdue"] }
notify = ["console"]
fresh = ["stack"]
text = "deploy of {{ stack.name }}/{{ name }} is {{ deploy }}"
[[messages]]
name = "destination"
match = { type = "notifier", changed = "state" }
notify = "news"
text = "{{ name }} is {{ state }}"

[[incidents]]
name = "service down"
while = { type = "service", health = ["degraded", "down"] }
unless = { deploy = "running" }
unless_open = ["node lost", "crash loop"]
unless_max = "2m"
for = "1m"
clear_for = "20s"
repeat = "10m"
notify = "page"
text = "{{ stack.name }}/{{ name }} is {{ health }}"
resolve_text = "{{ name }} is {{ health }}"
[[incidents]]
name = "stack trouble"
while = { type = "service", state = ["Stopped", "Partly running"], stack.name = "shop" }
key = "trouble in {{ stack.name }}"
for = "5s"
clear_for = "0s"
notify = ["slack"]
text = "{{ stack.name }}"
resolve_text = "{{ stack.name }} is well"
[[incidents]]
name = "deploy failed"
while = { type = "service", deploy = ["failed", "overdue"] }
until = { deploy = ["done", "none"] }
for = "0s"
clear_for = "0s"
notify = "page"
text = "{{ name }}: {{ deploy }}"
resolve_text = "{{ name }}: {{ deploy }}"
[[incidents]]
name = "node lost"
while = { type = "node", state = "Unreachable" }
for = "30s"
clear_for = "30s"
notify = "page"
text = "{{ name }} of {{ nodecluster.name }} is {{ state }}"
resolve_text = "{{ name }} is {{ state }}"
[[incidents]]
name = "crash loop"
each = { type = "container", ended = ["failed", "oom"] }
times = 2
within = "5m"
per = "service"
clear_for = "1m"
notify = "page"
text = "{{ service.name }} crashes"
resolve_text = "over"
[[incidents]]
name = "box down"
while = { type = "container", health = "down", service.name = "web" }
for = "20s"
clear_for = "10s"
notify = ["pagerduty"]
text = "{{ name }} is {{ ended }}"
resolve_text = "{{ name }} is {{ state }}"
[[incidents]]
name = "no pay"
absent = { type = "stack", name = "pay" }
for = "30s"
clear_for = "10s"
notify = "page"
text = "pay is gone"
resolve_text = "pay is there"
[[incidents]]
name = "stream down"
while = { type = "stream", state = "!Connected" }
for = "15s"
clear_for = "5s"
notify = "page"
text = "{{ state }}"
resolve_text = "{{ state }}"
[[incidents]]
name = "destination down"
while = { type = "notifier", state = ["Failing", "Refused"] }
for = "20s"
clear_for = "5s"
notify = "*"
text = "{{ name }} is {{ state }}"
resolve_text = "{{ name }} is {{ state }}"
[[mutes]]
name = "a while"
match = { type = "node" }
from = "08:05"
to = "08:15"
"""
OTHER = (
    FIRST.replace('for = "1m"\nclear_for = "20s"', 'for = "90s"\nclear_for = "40s"')
    .replace('name = "stack trouble"', 'name = "trouble"\nwas = "stack trouble"')
    .replace('page = ["pagerduty"]', 'page = ["slack"]')
    .replace('cooldown = "2m"', "")
    .replace('service.name = "web" }\nfor = "20s"', 'service.name = "web" }\nfor = "5s"')
)
FEWER = (
    FIRST[: FIRST.index('[[incidents]]\nname = "node lost"')].replace(
        'unless_open = ["node lost", "crash loop"]\nunless_max = "2m"\n', ""
    )
    + FIRST[FIRST.index('[[incidents]]\nname = "no pay"') :]
)


@cache
def rule_sets() -> Mapping[str, RuleSet]:
    """Compile the rules that a history may reload."""
    return {"first": load(FIRST, 4), "other": load(OTHER, 0), "fewer": load(FEWER, 4)}


# -- what may happen

SERVICES, NODES, CONTAINERS = (
    [uri for uri in URIS if type_of(uri) == type_] for type_ in ("service", "node", "container")
)
PAY = uri_of("stack", "k2")
ALL_TYPES = ("stack", "service", "container", "node")
SILENCES: Sequence[Mapping[str, object]] = (
    {"type": "service"},
    {"type": "container"},
    {"rule": "crash loop"},
    {"stack.name": "shop"},
)
PAUSES = (0.5, 1.5, 7.0, 11.0, 25.0, 35.0, 70.0, 95.0, 200.0)
TYPES = (("stack",), ("service",), ("container", "node"), ("stack", "service"))
AWAY_SECONDS = (0.0, 0.0, 3.0, 40.0, 1_000.0, 100_000.0)


@attrs.define
class Chance:
    """Makes steps by chance: the same for the same seed."""

    dice: Random

    def happens(self) -> Happens:
        """Let anything happen to anything."""
        uri = self.dice.choice([*URIS, *SERVICES * 3])
        becomes = self.dice.randrange(len(BECOMES[type_of(uri)]))
        uuid = self.dice.choice(["", "", "e1", "e2"])
        return Happens(uri, becomes, self.dice.choice([*Tell]), uuid, self.dice.random() < 0.25)

    def becomes(self, uri: str, state: str) -> Happens:
        """Let a resource have a state."""
        known = [found for found, _ in BECOMES[type_of(uri)]]
        fitting = [number for number, found in enumerate(known) if found == state]
        # A server that repeats itself says what is no longer so, and is not believed.
        uuid = f"e{self.dice.randrange(9)}" if self.dice.random() < 0.2 else ""
        return Happens(uri, self.dice.choice(fitting), self.dice.choice([*Tell]), uuid)

    def pause(self) -> Wait:
        """Let time pass."""
        return Wait(self.dice.choice(PAUSES))

    def again(self) -> list[Step]:
        """Let the watcher be away, often just when it has begun to look something up.

        Its stream is there when it is back.
        """
        meanwhile = tuple(self.happens() for _ in range(self.dice.randint(0, 3)))
        some = [*self.dice.sample(CONTAINERS, 3), self.dice.choice(SERVICES)]
        last = [Happens(uri, 1, Tell.LITTLE) for uri in some[: self.dice.randint(0, 4)]]
        just_then = self.dice.choice([Wait(0.0), Wait(0.0), Wait(1.0), Wait(21.0)])
        return [*last, just_then, Again(self.dice.choice(AWAY_SECONDS), meanwhile)]

    def again_anyhow(self) -> list[Step]:
        """Let the watcher be away; it may find its clock far behind, or its stream down."""
        *before, again = self.again()
        assert isinstance(again, Again)
        network = self.dice.choice([CONNECTED, DISCONNECTED, UNAUTHORIZED])
        seconds = self.dice.choice([again.away_seconds, again.away_seconds, -100_000.0])
        return [*before, attrs.evolve(again, away_seconds=seconds, network=network)]

    def ill(self, service: str) -> Happens:
        """Let a service be ill."""
        return self.becomes(service, self.dice.choice(["Stopped", "Partly running"]))

    def single(self) -> Step:
        """Make one step."""
        dice = self.dice
        makers: Sequence[Callable[[], Step]] = (
            self.happens,
            self.pause,
            lambda: Network(dice.choice([CONNECTED, DISCONNECTED, UNAUTHORIZED])),
            lambda: Rest(dice.choice([*Manner]), dice.choice(TYPES)),
            Unsilenced,
            lambda: Rules(dice.choice(["first", "other", "fewer"])),
            lambda: ByHand(dice.randrange(6)),
            lambda: Asked(dice.choice([*Form]), dice.randrange(6)),
            Saved,
            Rubbish,
        )
        return dice.choice(makers)()

    def episode(self) -> Sequence[Step]:
        """Make steps that have to do with each other, so that something comes of them."""
        dice, service = self.dice, self.dice.choice(SERVICES)
        episodes: Sequence[Callable[[], Sequence[Step]]] = (
            lambda: [self.single()],
            lambda: [self.single()],
            lambda: [self.single(), self.single()],
            lambda: [self.ill(service), self.pause()],
            lambda: [self.ill(service), self.pause(), self.becomes(service, "Running")],
            lambda: self._node(service),
            self._deaths,
            lambda: self._deploy(service),
            lambda: [self.becomes(PAY, "Terminated"), self.pause(), self.becomes(PAY, "Running")],
            lambda: [AllHappens(dice.choice([0, 0, 1, 2])), self.pause()],
            lambda: [Network(DISCONNECTED), self.pause(), Network(CONNECTED), self.pause()],
            lambda: self._doubts(service),
            lambda: self._doubts(service),
            lambda: self._silence(service),
            self._destination,
        )
        return dice.choice(episodes)()

    def _node(self, service: str) -> Sequence[Step]:
        node = self.dice.choice(NODES)
        back = [self.becomes(node, "Deployed")] if self.dice.random() < 0.5 else []
        return [
            self.becomes(node, "Unreachable"),
            self.pause(),
            self.ill(service),
            self.pause(),
            *back,
        ]

    def _deaths(self) -> Sequence[Step]:
        return [
            step
            for _ in range(3)
            for step in (self.becomes(self.dice.choice(CONTAINERS), "Stopped"), self.pause())
        ]

    def _deploy(self, service: str) -> Sequence[Step]:
        ends: Sequence[Step] = (
            self.becomes(service, "Running"),
            self.becomes(service, "Partly running"),
            Fails(service),
        )
        return [
            self.becomes(service, "Redeploying"),
            self.pause(),
            self.dice.choice(ends),
            self.pause(),
        ]

    def _doubts(self, service: str) -> Sequence[Step]:
        rest = Rest(self.dice.choice([*Manner]), self.dice.choice(TYPES))
        died, gone = self.dice.sample(CONTAINERS, 2)
        return [
            rest,
            Happens(gone, 5, Tell.PARENTS, is_lost=True),
            Happens(died, 1, Tell.LITTLE),
            self.ill(service),
            self.pause(),
            Rest(Manner.OK, ALL_TYPES),
        ]

    def _silence(self, service: str) -> Sequence[Step]:
        match = self.dice.choice(SILENCES)
        seconds = self.dice.choice([30.0, 120.0, 600.0])
        silenced = Silenced(match, seconds)
        return [silenced, self.ill(service), *self._deaths(), self.pause()]

    def _destination(self) -> Sequence[Step]:
        name = self.dice.choice(["slack", "pagerduty"])
        state = self.dice.choice(["Failing", "Refused"])
        back = [Destination(name, "Delivering")] if self.dice.random() < 0.5 else []
        return [Destination(name, state), self.pause(), *back]


def episodes_of(seeds: Sequence[int]) -> list[Step]:
    """Make a history of an episode for each seed."""
    return [step for seed in seeds for step in Chance(Random(seed)).episode()]


SEEDS = st.integers(0, 2**32)
# Hypothesis left alone would make most histories short; it deletes what a failure does not need.
BEFORE, AFTER = (st.lists(SEEDS, min_size=least, max_size=12).map(episodes_of) for least in (6, 2))
AGAINS = SEEDS.map(lambda seed: Chance(Random(seed)).again())
ANY_AGAINS = SEEDS.map(lambda seed: Chance(Random(seed)).again_anyhow())

SETTINGS = settings(
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
    phases=(HypothesisPhase.generate, HypothesisPhase.shrink),
)
# Of so many histories each of these comes in so many at the least: none is there for show.
LEAST_COUNTS = {
    **dict.fromkeys(("a step: Happens", "a step: Wait", "a look-up: Found"), 200),
    **{
        f"a step: {type_.__name__}": 10
        for type_ in (
            AllHappens,
            Asked,
            ByHand,
            Destination,
            Fails,
            Network,
            Rest,
            Rubbish,
            Rules,
            Saved,
            Silenced,
            Unsilenced,
        )
    },
    "a look-up: Missing": 3,
    "a look-up: Unanswered": 20,
    "a look-up: late": 10,
    "an event: lost": 10,
    "a message waits": 100,
    **{f"away: a member is {phase.value}": 3 for phase in Phase},
    "away: a member is being verified": 5,
    "away: a member is withheld": 10,
    "away: a member has a gap": 3,
    "away: a message waits": 5,
    **{
        f"away: a record of kind {kind}": 5
        for kind in (
            "cooldown",
            "group",
            "incident",
            "openings",
            "said",
            "silence",
            "storm",
            "tally",
        )
    },
    "away: a record of kind unsettled": 1,
    **{f"counted: {what}": 10 for what in ("cooldown", "ignored", "muted", "storm", "repeated")},
    **{
        f"told: trigger of {rule}": 10
        for rule in (
            "service down",
            "stack trouble",
            "deploy failed",
            "node lost",
            "crash loop",
            "box down",
            "no pay",
            "stream down",
            "destination down",
        )
    },
    "told: trigger of trouble": 3,
    **{f"told: message of {rule}": 50 for rule in ("service news", "box", "deploy", "destination")},
    "told: a summary": 20,
    "told: a group": 20,
    "told: late": 20,
    "told: details unknown": 5,
    "told: unverified": 10,
    "told: was deleted": 3,
    "told: and more": 3,
    "told: is closed: resolved by hand": 5,
    "told: is closed: others are told of it now": 1,
    "told: is closed: its rule was removed": 1,
}


def said_by(watching: Watching) -> Counter[tuple[str, ...]]:
    """Give what was said, but for ids and times; and nothing of the stream."""
    return Counter(
        (notice.notifier, notice.form.value, notice.rule, notice.key, _in_order(notice.text))
        for notice in watching.said
        if notice.details.get("type") != "stream" and notice.rule != "stream down"
    )


def _in_order(text: str) -> str:
    """Give a text with the incidents of a group, of which many opened at one instant, in order."""
    said, are_open, names = text.partition(" are open: ")
    return said + are_open + ", ".join(sorted(names.split(", ")))


def what_happened(watching: Watching) -> set[str]:
    """Give what a history that was lived through had in it."""
    found = {*watching.happened}
    found |= {f"counted: {what}" for what in watching.decider.counts}
    for notice in watching.said:
        found.add(f"told: {notice.form.value} of {notice.rule}")
        found |= {f"told: {mark}" for mark in notice.marks}
        if notice.key.startswith("summary/"):
            found.add("told: a summary")
        if notice.form is Form.TRIGGER and (" after " in notice.key or notice.key == MANY):
            found.add("told: a group")
        if " more)" in notice.text:
            found.add("told: and more")
        if ": is closed" not in notice.text and " is closed: " in notice.text:
            found.add(f"told: is closed: {notice.text.rpartition(' is closed: ')[2]}")
    return found


class RestartTests(SynchronousTestCase):
    """A restart changes nothing."""

    def test_at_any_point(self) -> None:
        happened: Counter[str] = Counter()

        @settings(SETTINGS, max_examples=250)
        @given(BEFORE, AGAINS, AFTER)
        def live_twice(before: list[Step], again: list[Step], after: list[Step]) -> None:
            steps = [Wait(3.0), *before, *again, *after]
            note("\n".join(map(str, steps)))
            slept, ended = Watching(rule_sets(), sleeps=True), Watching(rule_sets())
            for watching in (slept, ended):
                watching.live(steps)
            self.assertEqual(ended.open_keys, slept.open_keys)
            told, expected = said_by(ended), said_by(slept)
            self.assertEqual((told - expected, expected - told), (Counter(), Counter()))
            happened.update(what_happened(ended))

        live_twice()
        rare = {what: happened[what] for what, n in LEAST_COUNTS.items() if happened[what] < n}
        self.assertEqual(rare, {})


class WaitingTests(SynchronousTestCase):
    """A message that waits for more than one look-up."""

    def test_after_a_restart_only_what_is_still_unknown_is_asked_for(self) -> None:
        box, service = uri_of("container", "c1"), uri_of("service", "s1")
        watching = Watching(rule_sets())
        for step in (
            Rest(Manner.FAILS, ("stack",)),  # nothing can be listed
            Rest(Manner.LATE, ("service",)),
            Happens(box, 1, Tell.LITTLE),
            Wait(1.5),
            Again(20.0),
        ):
            watching.do(step)
        asked = [
            {need.resource_uri for need in decisions.needs}
            for item, decisions in zip(watching.journal, watching.decided, strict=True)
            if isinstance(item, Started | Message | Looked)
        ]
        self.assertEqual(asked, [set(), {box}, {service}, {service}])
        watching.do(Wait(8.0))  # for the stack, too, of which nothing can be known
        texts = [notice.text for notice in watching.said if notice.rule == "box"]
        self.assertEqual(texts, ["web-1 of web is Stopped failed (details unknown)"])


class ReplayTests(SynchronousTestCase):
    """A journal tells all."""

    @settings(SETTINGS, max_examples=80)
    @given(BEFORE, ANY_AGAINS, AFTER, ANY_AGAINS, AFTER)
    def test_it_comes_to_the_same(
        self,
        first: list[Step],
        again: list[Step],
        then: list[Step],
        once_more: list[Step],
        last: list[Step],
    ) -> None:
        watching = Watching(rule_sets())
        watching.live([Wait(3.0), *first, *again, *then, *once_more, *last])
        decider = Decider(Inventory(), rule_sets()["first"], rule_sets=dict(rule_sets()))
        for decisions, expected in zip(
            replay(watching.journal, decider), watching.decided, strict=True
        ):
            self.assertEqual(decisions, expected)
