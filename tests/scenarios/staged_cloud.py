"""The simulated cloud on a virtual time, with its stream and its REST API."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from enum import Enum

import attrs
import msgspec

from tests.scenarios.timeline import Timeline
from tutumwatch.bridge.announcement import Announcement
from tutumwatch.bridge.demo.cluster import FakeCluster
from tutumwatch.bridge.demo.engine import FakeEngine
from tutumwatch.bridge.demo.moments import Moments
from tutumwatch.bridge.model import Action, Service, Thing, make_cluster
from tutumwatch.bridge.objects import object_of
from tutumwatch.bridge.reducer import Reducer
from tutumwatch.events.inputs import LOOK_UP_DEADLINE_SECONDS, Answer, Found, Missing, Unanswered
from tutumwatch.events.resource_uri import parse_resource_uri
from tutumwatch.inventory.fields import without_unread
from tutumwatch.resources.catchup import LISTED_TYPES
from tutumwatch.resources.lookups import RETRY_SECONDS


class Rest(Enum):
    """How the REST API answers: with what there is, with an error, or not at all."""

    OK = "ok"
    FAILS = "fails"
    SILENT = "silent"


@attrs.define(eq=False, repr=False)
class StagedCloud:
    """An engine whose operations take the time that they take, and a bridge in front of it.

    ``rest``: how its REST API answers, ``rest_of`` how to questions about one type; ``rest_seconds``:
    after what time. ``hear``: is told the bytes of each event, as a client of the stream is.
    ``announced``: all events, and when they came.
    """

    timeline: Timeline
    hear: Callable[[bytes], None]
    seed: int = 1
    rest: Rest = Rest.OK
    rest_of: dict[str, Rest] = attrs.field(factory=dict)
    rest_seconds: float = 0.05
    cluster: FakeCluster = attrs.field(init=False)
    engine: FakeEngine = attrs.field(init=False)
    reducer: Reducer = attrs.field(init=False)
    announced: list[tuple[float, Announcement]] = attrs.field(factory=list)
    _going_count: int = 0

    def __attrs_post_init__(self) -> None:
        """Begin with nothing."""
        self.cluster = FakeCluster(random.Random(self.seed))
        self.engine = FakeEngine(self.cluster)
        scope = f"story-{self.seed}"
        self.reducer = Reducer(scope, make_cluster(scope, "cloud", self.timeline.utc))

    # -- the engine

    def begin(self, operation: Moments) -> Callable[[], bool]:
        """Let an operation go on while time passes; give what says whether it has ended."""
        is_going = True

        def go_on() -> None:
            nonlocal is_going
            moment = next(operation, None)
            if moment is None:
                is_going = False
                return
            self.tell(self.reducer.apply(moment.happenings, self.timeline.utc))
            self.timeline.after(moment.pause_seconds, go_on)

        self.timeline.after(0.0, go_on)
        return lambda: not is_going

    def tell(self, announcements: Sequence[Announcement]) -> None:
        """Tell of what was announced, as the bridge does."""
        for announcement in announcements:
            self.announced.append((self.timeline.seconds, announcement))
            self.hear(msgspec.json.encode(announcement))

    # -- what there is

    def service(self, name: str) -> str:
        """Give the engine's id of a service; the last one of that name."""
        ids = [s.id for s in self.cluster.services.values() if s.name == name]
        return ids[-1]

    def node(self, hostname: str) -> str:
        """Give the engine's id of a node."""
        return next(n.id for n in self.cluster.nodes.values() if n.hostname == hostname)

    def thing(self, type_: str, name: str) -> Thing:
        """Give a thing as the bridge knows it; the last one of that name."""
        things = [t for t in self.reducer.registry.things(type_) if name_of(t) == name]
        return things[-1]

    def deaths(self, since: float = 0.0, service: str = "") -> list[float]:
        """Say when containers ended that nobody had asked to, from a time on: of all, or of one."""
        asked: set[str] = set()
        deaths = []
        for at, told in self.announced:
            if told.state in {"Stopping", "Terminating"}:
                asked.add(told.resource_uri)
            elif (told.type, told.state) == ("container", "Stopped") and at >= since:
                of_service = str(told.object["name"]).rpartition("-")[0]
                if told.resource_uri not in asked and service in {"", of_service}:
                    deaths.append(at)
        return deaths

    def ill_services(self) -> set[str]:
        """Give the names of the services that run too few containers."""
        services = self.reducer.registry.things("service")
        return {
            s.now.name
            for s in services
            if isinstance(s, Service) and not s.is_gone and s.count().running < s.now.replica_count
        }

    # -- the REST API

    def rest_answers(self, type_: str) -> Rest:
        """Say how it answers a question about a type."""
        return self.rest_of.get(type_, self.rest)

    def answer_seconds(self, resource_uri: str) -> float:
        """Say after what time a look-up ends; one that fails is tried twice."""
        named = parse_resource_uri(resource_uri)
        match self.rest_answers(named.type if named is not None else ""):
            case Rest.OK:
                return self.rest_seconds
            case Rest.FAILS:
                return 2 * self.rest_seconds + RETRY_SECONDS
            case Rest.SILENT:
                return LOOK_UP_DEADLINE_SECONDS

    def get(self, resource_uri: str) -> Answer:
        """Answer a look-up, as it is told by who asks."""
        named = parse_resource_uri(resource_uri)
        if named is None:
            return Unanswered("is no resource_uri; nothing was sent")
        match self.rest_answers(named.type):
            case Rest.OK:
                thing = self.reducer.registry.find(named.type, named.uuid)
                return Missing() if thing is None else Found(json_of(thing))
            case Rest.FAILS:
                return Unanswered("the REST API answered 503")
            case Rest.SILENT:
                return Unanswered("timed out")

    def list_everything(self, actions_since: float | None) -> list[Mapping[str, object]] | None:
        """Answer the lists, actions from a time on; None if one of them cannot be had."""
        listed: list[Thing] = []
        for type_ in (*LISTED_TYPES, "action"):
            if self.rest_answers(type_) is not Rest.OK:
                return None
            listed += [
                thing
                for thing in self.reducer.registry.things(type_)
                if not isinstance(thing, Action)
                or (actions_since is not None and thing.deployed_at >= int(actions_since))
            ]
        return [json_of(thing) for thing in listed]


def name_of(thing: Thing) -> str:
    """Give what people call a thing."""
    fields = object_of(thing)
    return str(fields.get("external_fqdn") or fields.get("name") or fields["uuid"])


def json_of(thing: Thing) -> dict[str, object]:
    """Give a thing's object as it comes out of the REST client."""
    sent = msgspec.json.encode(object_of(thing))
    return without_unread(msgspec.json.decode(sent, type=dict))
