"""Long histories made by a seed: episodes, each of which lets one kind of fault take effect."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import ClassVar

from tests.model.destinations import Manner
from tests.model.file import CrashPoint, DiskFault, Work
from tests.model.history import History, Restart
from tests.model.platform import Rest
from tutumwatch.events.inputs import CONNECTED, DISCONNECTED, UNAUTHORIZED

URIS = sorted(History.uris())
STATES = ("Running", "Stopped", "Starting", None)
NETWORK = (CONNECTED, DISCONNECTED, UNAUTHORIZED)
NAMES = ("slack", "pd", "hook")
# What must come often comes more often: these hold up a destination, so few fit into a history.
RARE_MANNERS = (
    *Manner,
    *(Manner.ACCEPT_AND_FAIL, Manner.ACCEPT_AND_FAIL, Manner.ACCEPT_AND_CLOSE),
    *(
        Manner.ACCEPT_MUTELY,
        Manner.ACCEPT_MUTELY,
        Manner.LOSE,
        Manner.LOSE,
        Manner.LOSE,
        Manner.THROTTLE,
    ),
)
CRASH_POINTS: tuple[CrashPoint | str, ...] = (
    *(CrashPoint("crash: within a transaction", statement=number) for number in (2, 5)),
    CrashPoint("crash: before a commit of decisions", Work.COMMIT),
    CrashPoint("crash: after a commit of decisions", Work.COMMIT, is_after=True),
    CrashPoint("crash: before the mark of a delivery", Work.BEGIN),
    CrashPoint("crash: after the end of a delivery", Work.FINISH, is_after=True),
    CrashPoint("crash: at saving the inventory", Work.SAVING),
    CrashPoint("crash: at the start", Work.START),
    "crash: between mark and request",
    "crash: between answer and end",
)


class RandomHistory:
    """A long history of a seed, made of episodes: each lets one kind of fault take effect.

    None waits for the one before to end, and single steps come between them.
    """

    EPISODES_COUNT: ClassVar = 15

    def __init__(self, seed: int) -> None:
        """Make it."""
        self.dice = Random(seed)
        self.history = History(self.dice)

    def run(self) -> None:
        """Live through it."""
        episodes = (
            (2, self._news),
            (4, self._repeat),
            (24, self._crash_at),
            (16, self._crash),
            (4, self._stop),
            (11, self._answers),
            (6, self._link),
            (8, self._rest),
            (7, self._disk),
            (6, self._keys),
            (5, self._rules),
            (4, self._silence),
            (3, self._dead),
            (2, self._outage),
            (2, self._doubt),
            (0.8, self._grudge),
        )
        weights = [weight for weight, _ in episodes]
        try:
            for _ in range(self.EPISODES_COUNT):
                self.dice.choices([episode for _, episode in episodes], weights)[0]()
            self.history.heal()
        finally:
            self.history.close()

    # -- single steps, each with its check

    def _do(self, step: Callable[[], None]) -> None:
        self.history.be_alive()
        step()
        self.history.check()

    def _wait(self, *seconds: float) -> None:
        chosen = self.dice.choice(seconds) * self.dice.choice((1.0, 1.0, 1.1))
        self._do(lambda: self.history.wait(chosen))

    def _happen(self, count: int = 1, type_: str = "") -> None:
        for _ in range(count):
            uri = self.dice.choice([uri for uri in URIS if type_ in uri])
            state, with_uuid = self.dice.choice(STATES), self.dice.random() < 0.5
            self._do(partial(self.history.happen, uri, state, with_uuid=with_uuid))

    def _network(self, state: str) -> None:
        self._do(lambda: self.history.network(state))

    # -- episodes

    def _news(self) -> None:
        if self.dice.random() < 0.3:
            state = self.dice.choice(STATES)
            self._do(lambda: self.history.happen_to_many(state, 14))
        if self.dice.random() < 0.1:
            self._do(self.history.send_rubbish)
        self._happen(self.dice.randint(1, 5))
        self._wait(0.0, 0.02, 0.06, 0.5, 3.0, 20.0)

    def _repeat(self) -> None:
        self._wait(0.6)
        self._happen(2)
        for _ in range(4):
            self._do(partial(self.history.repeat, self.dice.randrange(20)))

    def _restart(self) -> Restart:
        return Restart(
            self.dice.choice([0.5, 3.0, 20.0, 300.0]),
            clock_back=self.dice.random() < 0.2,
            thread_seconds=self.dice.choice([None, 0.0, 0.02]),
        )

    def _crash_at(self) -> None:
        for point in self.dice.sample(CRASH_POINTS, 4):
            restart = self._restart()
            self._wait(0.6)
            self._do(partial(self.history.crash_at, point, restart))
            work = point.work if isinstance(point, CrashPoint) else None
            if work is Work.COMMIT and self.dice.random() < 0.5:
                self._network(DISCONNECTED)
                self._wait(15.2)
                self._network(CONNECTED)
            else:
                self._happen(2)
            self._wait(0.9, 0.9, 4.0)
            if work is Work.SAVING:
                self._wait(66.0)

    def _crash(self) -> None:
        restart = self._restart()
        if self.dice.random() < 0.9:
            self._wait(0.6)
            self._happen(2)
            self._wait(0.03, 0.05)
        self._do(lambda: self.history.crash(restart))

    def _stop(self) -> None:
        restart = self._restart()
        self._happen(1)
        self._wait(0.0, 0.1, 5.0)
        self._do(lambda: self.history.stop(restart))

    def _answers(self) -> None:
        for name in NAMES:
            manners = self.dice.choices(RARE_MANNERS, k=self.dice.randint(1, 4))
            if name == "hook":
                manners.insert(0, Manner.THROTTLE)
            self._do(partial(self.history.behave_next, name, manners))
        self._happen(4)
        self._wait(0.3, 11.0, 25.0, 40.0)

    def _link(self) -> None:
        """Lose the stream for a while, at times for too short a while that PagerDuty hears of."""
        manner = self.dice.choice((None, None, Manner.REFUSE_CONNECTION, Manner.THROTTLE_LONG))
        if manner is not None:
            self._do(lambda: self.history.behave("pd", manner))
        for state in (UNAUTHORIZED, DISCONNECTED):
            self._wait(0.6)
            self._network(state)
            self._wait(2.0, 14.0, 17.0, 30.0)
            self._happen(1)
            self._network(CONNECTED)
            self._wait(0.6, 3.0, 8.0)
        if manner is not None:
            self._do(lambda: self.history.behave("pd", Manner.ACCEPT))

    def _rest(self) -> None:
        for rest in (self.dice.choice((Rest.FAILS, Rest.REFUSES)), Rest.LATE, Rest.NEVER):
            self._wait(0.6)
            self._do(partial(self.history.answer_look_ups, rest))
            self._happen(3, "/service/")
            self._wait(0.3, 11.0, 11.0, 11.0, 11.0)
        self._do(lambda: self.history.answer_look_ups(Rest.OK))

    def _disk(self) -> None:
        for fault in (DiskFault.BROKEN, DiskFault.FULL):
            self._wait(0.6)
            self._happen(2)
            self._wait(0.0, 0.04)
            self._do(partial(self.history.disk, fault))
            self._happen(1)
            self._wait(21.0, 21.0, 21.0, 4.0)
            self._do(lambda: self.history.disk(DiskFault.NONE))
            self._wait(0.5, 2.0)

    def _keys(self) -> None:
        for name in ("slack", "hook", self.dice.choice(NAMES)):
            self._do(partial(self.history.rotate, name))
        self._happen(3)
        self._network(UNAUTHORIZED)
        self._wait(1.0, 30.0)
        self._network(CONNECTED)
        self._do(self.history.renew)
        self._wait(1.0)

    def _rules(self) -> None:
        """Change the rules while the stream is down or not, for a reload and for a start in turn."""
        for with_reload in (True, False, True, False):
            self._network(self.dice.choice(NETWORK))
            self._wait(0.6, 5.0, 12.0, 20.0)
            self._happen(1)
            self._do(partial(self.history.change_rules, with_reload=with_reload))
            if not with_reload:
                self._do(partial(self.history.crash, self._restart()))
            self._wait(0.6, 6.0)
        self._network(CONNECTED)

    def _silence(self) -> None:
        """Silence what is about to be told, twice at times."""
        self._network(self.dice.choice(NETWORK))
        for _ in range(2):
            self._wait(0.6, 7.0, 14.0)
            self._do(partial(self.history.silence, self.dice.choice((8.0, 20.0, 45.0))))
            self._happen(1)
        self._wait(3.0, 20.0, 30.0)
        self._network(CONNECTED)

    def _dead(self) -> None:
        name = self.dice.choice(("slack", "hook"))
        self._wait(0.6)
        self._do(lambda: self.history.behave_next(name, [Manner.REFUSE_PAYLOAD] * 3))
        self._happen(4, "/container/")
        self._wait(1.0, 3.0)
        for _ in range(3):
            self._do(partial(self.history.drop, self.dice.randrange(20)))
        self._do(self.history.retry_dead)
        self._wait(0.2)

    def _outage(self) -> None:
        """Let a destination be away until messages are stale, with many of them."""
        name, manner = self.dice.choice(NAMES), self.dice.choice(tuple(Manner))
        self._do(lambda: self.history.behave(name, manner))
        state = self.dice.choice(STATES)
        self._do(lambda: self.history.happen_to_many(state, 14))
        self._wait(30.0, 90.0, 700.0)
        if self.dice.random() < 0.5:  # what is probed then cannot be marked
            self._do(lambda: self.history.disk(DiskFault.BROKEN))
            self._wait(30.0)
            self._do(lambda: self.history.disk(DiskFault.NONE))
        self._do(lambda: self.history.behave(name, Manner.ACCEPT))
        self._wait(1.0, 60.0)

    def _doubt(self) -> None:
        """Kill the watcher when PagerDuty may have a trigger, and let the resolve come meanwhile."""
        first = self.dice.choice((Manner.ACCEPT_MUTELY, Manner.LOSE, Manner.ACCEPT))
        then = self.dice.choice((Manner.REFUSE_CONNECTION, Manner.THROTTLE))
        self._network(DISCONNECTED)
        self._wait(14.0)
        self._do(lambda: self.history.behave_next("pd", [first, then, then, then]))
        self._wait(1.53, 4.0)
        restart = self._restart()
        self._do(lambda: self.history.crash(restart))
        self._network(CONNECTED)
        self._wait(8.0)

    def _grudge(self) -> None:
        """Let a destination fail to hear of one thing until that is given up."""
        uri = self.dice.choice([uri for uri in URIS if "/stack/" not in uri])
        self._do(lambda: self.history.hate("hook", uri))
        self._do(lambda: self.history.happen(uri, "Running", with_uuid=False))
        for _ in range(5):
            self._happen(3)
            self._wait(80.0)
