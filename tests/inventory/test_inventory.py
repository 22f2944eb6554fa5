"""Tests of what we know of the platform, and of what one input changes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.events.event import Event
from tutumwatch.events.inputs import Answer, Found, Link, LinkType, Looked, Missing, Unanswered
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, ChangeKind, Key, Resource

STACK = "/api/v1/stack/k1/"
SERVICE = "/api/v1/service/s1/"
NODE = "/api/v1/node/n1/"
CONTAINER = "/api/v1/container/c1/"


def key_of(uri: str) -> Key:
    """Give the key of a resource of the stream main."""
    type_, uuid = uri.strip("/").split("/")[-2:]
    return ("main", type_, uuid)


class InventoryCase(SynchronousTestCase):
    """An inventory that a test tells things, one message after the other."""

    def setUp(self) -> None:
        """Begin with nothing."""
        self.inventory = Inventory(max_count=5)
        self.number = 0

    def tell(
        self,
        uri: str | None,
        state: str | None = "Running",
        *,
        action: str = "update",
        parents: list[str] | None = None,
        at: float = 100.0,
        type_: str | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> Change:
        """Apply an event, which has the next number."""
        self.number += 1
        event = Event(
            type=type_ or key_of(uri or CONTAINER)[1],
            action=action,
            state=state,
            resource_uri=uri,
            parents=parents,
            object=fields,
        )
        return self.inventory.apply_event(event, f"id-{self.number}", "main", self.number, at)

    def answer(
        self, uri: str, answer: Answer, *, asked: int | None = None, at: float = 100.0
    ) -> Change | None:
        """Apply the answer to a look-up that was asked after a message, by default the last."""
        number = self.number if asked is None else asked
        return self.inventory.apply_looked(Looked("main", uri, number, answer, at), "looked")

    def known(self, uri: str) -> Resource:
        """Give what is known of a resource that must be known."""
        resource = self.inventory.get(key_of(uri))
        assert resource is not None, uri
        return resource

    def children(self, uri: str) -> set[str]:
        """Give the uris of the children of a resource."""
        return {child.uri for child in self.inventory.children_of(key_of(uri))}


class ApplyEventTests(InventoryCase):
    """An event changes one resource, in the order of arrival."""

    def test_a_resource_that_was_not_known_is_new(self) -> None:
        """Everything that is known of it counts as changed."""
        change = self.tell(SERVICE, "Running", parents=[STACK], action="create", at=7.0)
        self.assertEqual(
            change,
            Change(
                id="id-1",
                kind=ChangeKind.NEW,
                before=None,
                after=Resource(
                    key=("main", "service", "s1"),
                    uri=SERVICE,
                    state="Running",
                    parents=(STACK,),
                    parents_complete=True,
                    number=1,
                    since=7.0,
                    seen=7.0,
                ),
                changed=frozenset({"state", "parents"}),
                at=7.0,
                action="create",
            ),
        )
        self.assertEqual(self.inventory.get(("main", "service", "s1")), change.after)

    def test_a_change_names_what_differs(self) -> None:
        self.tell(SERVICE, "Stopped", parents=[STACK], at=1.0)
        change = self.tell(SERVICE, "Running", parents=[STACK], at=2.0)
        self.assertEqual((change.kind, change.changed), (ChangeKind.CHANGED, {"state"}))
        self.assertEqual(change.before and change.before.state, "Stopped")
        self.assertEqual((change.after.state, change.after.since), ("Running", 2.0))
        change = self.tell(SERVICE, "Running", parents=[], at=3.0)
        self.assertEqual((change.kind, change.changed), (ChangeKind.CHANGED, {"parents"}))

    def test_the_same_again_is_the_same(self) -> None:
        """Its state keeps the time at which it began."""
        self.tell(SERVICE, "Running", parents=[STACK], at=1.0)
        change = self.tell(SERVICE, "Running", parents=[STACK], at=9.0)
        self.assertEqual((change.kind, change.changed), (ChangeKind.SAME, frozenset()))
        self.assertEqual((change.after.since, change.after.seen), (1.0, 9.0))

    def test_the_last_to_arrive_wins_whatever_its_date(self) -> None:
        for state in ("Running", "Starting"):
            self.tell(SERVICE, state)
        self.assertEqual(self.known(SERVICE).state, "Starting")

    def test_what_is_not_told_is_left_as_known(self) -> None:
        """An empty or missing state, and missing parents."""
        self.tell(SERVICE, "Running", parents=[STACK])
        for state in ("", None):
            change = self.tell(SERVICE, state)
            self.assertEqual(change.kind, ChangeKind.SAME)
        known = self.known(SERVICE)
        self.assertEqual((known.state, known.parents), ("Running", (STACK,)))
        self.tell(STACK, None)
        self.assertIsNone(self.known(STACK).state)

    def test_the_date_of_the_event_is_kept_with_the_change(self) -> None:
        event = Event("stack", "update", "Running", STACK, date="2015-12-07T04:01:01+00:00")
        change = self.inventory.apply_event(event, "id", "main", 1, 1.0)
        self.assertEqual(change.date, "2015-12-07T04:01:01+00:00")

    def test_an_event_without_a_usable_resource_uri_leaves_no_trace(self) -> None:
        for uri in (None, "", "@elsewhere.example/", f"https://elsewhere.example{CONTAINER}"):
            for _ in range(2):
                change = self.tell(uri, "Running", type_="container")
                self.assertEqual((change.kind, change.before), (ChangeKind.NEW, None))
                self.assertEqual(change.after.key, ("main", "container", ""))
        self.assertEqual(len(self.inventory), 0)

    def test_two_streams_do_not_share_resources(self) -> None:
        self.tell(SERVICE, "Running")
        event = Event("service", "update", "Stopped", SERVICE)
        change = self.inventory.apply_event(event, "other", "second", 2, 100.0)
        self.assertEqual(change.kind, ChangeKind.NEW)
        self.assertEqual(self.known(SERVICE).state, "Running")

    def test_the_paths_of_docker_cloud_name_the_same_resource(self) -> None:
        self.tell(CONTAINER, "Starting")
        change = self.tell("/api/app/v1/container/c1", "Running")
        self.assertEqual(change.kind, ChangeKind.CHANGED)
        self.assertEqual(change.after.uri, CONTAINER)

    def test_an_object_that_comes_along_is_read(self) -> None:
        """The state of the event wins over its object's; without one the object's serves."""
        fields = {"name": "web", "state": "Running", "labels": {"job": "x"}}
        change = self.tell(CONTAINER, "Starting", parents=[SERVICE, STACK], fields=fields)
        after = change.after
        self.assertEqual((after.name, after.state), ("web", "Starting"))
        self.assertEqual(after.fields, {"labels": {"job": "x"}})
        self.assertEqual(after.parents, (SERVICE, STACK))
        self.assertEqual(change.changed, {"name", "state", "parents", "labels"})
        change = self.tell(CONTAINER, None, fields=fields, at=200.0)
        self.assertEqual((change.after.state, change.after.since), ("Running", 200.0))
        self.assertEqual(change.changed, {"state"})
        change = self.tell(CONTAINER, None, fields={"labels": {"job": "y"}})
        self.assertEqual((change.after.name, change.changed), ("web", {"labels"}))
        change = self.tell(CONTAINER, None, fields={"exit_code": 0, "labels": {"job": "y"}})
        self.assertEqual(change.changed, {"exit_code"})
        change = self.tell(CONTAINER, None, fields={"exit_code": 0})
        self.assertEqual(change.changed, {"labels"})

    def test_an_object_that_is_none_is_ignored(self) -> None:
        for odd in ("text", 7, ["a"]):
            event = Event("container", "update", "Running", CONTAINER, object=odd)
            self.assertIsNone(self.inventory.apply_event(event, "id", "main", 1, 1.0).after.fields)

    def test_an_object_does_not_shorten_the_parents_that_an_event_named(self) -> None:
        """A container's object leaves out its stack."""
        self.tell(CONTAINER, parents=[SERVICE, STACK])
        self.tell(CONTAINER, fields={"service": SERVICE})
        self.assertEqual(self.known(CONTAINER).parents, (SERVICE, STACK))
        self.assertEqual(self.children(STACK), {CONTAINER})


class GoneTests(InventoryCase):
    """What ended: told once, kept ten minutes, and back if it is heard of again."""

    def test_deleted_and_terminated_are_gone(self) -> None:
        for action, state in (
            ("delete", "Running"),
            ("update", "Terminated"),
            ("update", "TERMINATED"),
        ):
            uri = f"/api/v1/service/{action}-{state}/"
            self.tell(uri, "Running")
            change = self.tell(uri, state, action=action, at=150.0)
            self.assertEqual((change.kind, change.after.gone_at), (ChangeKind.GONE, 150.0))

    def test_gone_at_first_sight(self) -> None:
        self.assertEqual(self.tell(SERVICE, "Terminated").kind, ChangeKind.GONE)

    def test_it_goes_once(self) -> None:
        """Also at the time zero, which is a time like any other."""
        self.tell(SERVICE, "Terminated", at=0.0)
        change = self.tell(SERVICE, "Terminated", action="delete", at=5.0)
        self.assertEqual((change.kind, change.after.gone_at), (ChangeKind.SAME, 0.0))

    def test_an_event_brings_it_back(self) -> None:
        self.tell(SERVICE, "Terminated")
        change = self.tell(SERVICE, "Starting")
        self.assertEqual((change.kind, change.after.gone_at), (ChangeKind.CHANGED, None))
        self.tell(STACK, at=2000.0)
        self.assertEqual(self.known(SERVICE).state, "Starting")

    def test_ten_minutes_later_it_is_forgotten(self) -> None:
        self.tell(SERVICE, "Terminated", parents=[STACK], at=100.0)
        self.tell(NODE, "Deployed", at=699.9)
        self.assertIsNotNone(self.inventory.get(key_of(SERVICE)))
        self.tell(NODE, "Deployed", at=700.0)
        self.assertIsNone(self.inventory.get(key_of(SERVICE)))
        self.assertEqual(self.children(STACK), set())

    def test_what_was_forgotten_a_moment_ago_is_new(self) -> None:
        """The event that ends the ten minutes may be one of the resource itself."""
        self.tell(SERVICE, "Terminated", at=100.0)
        change = self.tell(SERVICE, "Running", at=700.0)
        self.assertEqual((change.kind, change.before), (ChangeKind.NEW, None))
        self.answer(STACK, Missing(), at=700.0)
        change_of_answer = self.answer(STACK, Found({"state": "Running"}), at=1300.0)
        assert change_of_answer is not None
        self.assertEqual(change_of_answer.kind, ChangeKind.NEW)

    def test_gone_again_counts_from_the_last_time(self) -> None:
        for state, at in (("Terminated", 0.0), ("Running", 300.0), ("Terminated", 500.0)):
            self.tell(SERVICE, state, at=at)
        self.tell(NODE, at=1099.0)
        self.assertEqual(self.known(SERVICE).gone_at, 500.0)
        self.tell(NODE, at=1100.0)
        self.assertIsNone(self.inventory.get(key_of(SERVICE)))

    def test_coming_and_going_leaves_one_note(self) -> None:
        """Ten thousand times in a second must not be remembered for ten minutes."""
        for _ in range(100):
            self.tell(SERVICE, "Terminated")
            self.tell(SERVICE, "Running")
            self.tell(SERVICE, "Terminated")
        self.assertEqual(len(self.inventory._gone), 1)

    def test_a_finished_action_leaves_at_once(self) -> None:
        action = "/api/v1/action/a1/"
        for state in ("Success", "Failed", "Canceled", "SUCCESS"):
            self.tell(action, "In progress", parents=[SERVICE])
            self.assertEqual(self.children(SERVICE), {action})
            change = self.tell(action, state)
            self.assertEqual((change.kind, change.after.state), (ChangeKind.CHANGED, state))
            self.assertIsNone(self.inventory.get(key_of(action)))
            self.assertEqual(self.children(SERVICE), set())
        self.assertEqual(self.tell(action, "Success").kind, ChangeKind.NEW)
        self.assertEqual(len(self.inventory), 0)

    def test_other_types_may_have_such_a_state(self) -> None:
        self.tell("/api/v1/job/j/", "Failed")
        self.assertEqual(len(self.inventory), 1)


class BackTests(InventoryCase):
    """What was gone and is found again is there again: a restarted platform may say so."""

    def test_a_look_up_that_finds_it(self) -> None:
        self.tell(SERVICE, "Terminated", action="delete")
        self.answer(SERVICE, Found({"state": "Running"}))
        self.assertIsNone(self.known(SERVICE).gone_at)
        self.assertEqual(len(list(self.inventory.resources_of("main"))), 1)

    def test_a_look_up_that_finds_it_terminated(self) -> None:
        self.tell(SERVICE, "Terminated", action="delete")
        self.answer(SERVICE, Found({"state": "Terminated"}), at=150.0)
        self.assertEqual(self.known(SERVICE).gone_at, 100.0)


class ManyGoneTests(InventoryCase):
    """Of what is gone at most 10,000 are kept, however short ago: a fast platform fills no memory."""

    def test_the_longest_gone_leave_first(self) -> None:
        self.inventory = Inventory()
        for number in range(10_002):
            self.tell(f"/api/v1/container/c{number}/", "Terminated", action="delete")
        self.tell(SERVICE)
        self.assertEqual(len(self.inventory), 10_001)
        self.assertIsNone(self.inventory.get(key_of("/api/v1/container/c1/")))
        self.assertEqual(self.known("/api/v1/container/c2/").state, "Terminated")


class CapTests(InventoryCase):
    """Beyond the cap the least recently seen leave, without an incident; they are counted."""

    def fill(self, *names: str) -> None:
        """Hear of stacks."""
        for name in names:
            self.tell(f"/api/v1/stack/{name}/")

    def names(self) -> list[str]:
        """Give the uuids that are known, least recently seen first."""
        return [key[2] for key in self.inventory._resources]

    def test_the_least_recently_seen_leaves(self) -> None:
        self.fill("a", "b", "c", "d", "e", "a", "f")
        self.assertEqual(self.names(), ["c", "d", "e", "a", "f"])
        self.assertEqual(self.inventory.evicted_count, 1)

    def test_what_is_known_takes_no_further_place(self) -> None:
        self.fill("a", "b", "c", "d", "e", "e", "a")
        self.assertEqual(self.names(), ["b", "c", "d", "e", "a"])
        self.assertEqual(self.inventory.evicted_count, 0)

    def test_an_answer_counts_as_seen(self) -> None:
        self.fill("a", "b", "c", "d", "e")
        self.answer("/api/v1/stack/a/", Found({"name": "shop"}))
        self.fill("f")
        self.assertEqual(self.names(), ["c", "d", "e", "a", "f"])

    def test_members_of_incidents_stay(self) -> None:
        self.inventory.is_needed = lambda key: key[2] in {"a", "b"}
        self.fill(*"abcdefgh")
        self.assertEqual(sorted(self.names()), ["a", "b", "f", "g", "h"])
        self.assertEqual(self.inventory.evicted_count, 3)

    def test_our_own_connections_stay(self) -> None:
        """No look-up would bring them back."""
        for type_, name in ((LinkType.STREAM, "main"), (LinkType.NOTIFIER, "pd")):
            self.inventory.apply_link(Link(type_, name, "Connected", "", 0.0), "link")
        self.fill(*"abcdefgh")
        self.assertEqual(sorted(self.names()), ["f", "g", "h", "main", "pd"])

    def test_where_all_are_needed_none_leaves(self) -> None:
        self.inventory.is_needed = lambda _key: True
        self.fill(*"abcdefg")
        self.assertEqual(len(self.inventory), 7)
        self.assertEqual(self.inventory.evicted_count, 0)

    def test_what_left_is_no_longer_a_child(self) -> None:
        self.tell(SERVICE, parents=[STACK])
        self.fill(*"abcde")
        self.assertEqual(self.children(STACK), set())

    def test_nothing_is_needed_by_itself(self) -> None:
        self.assertFalse(Inventory().is_needed(key_of(STACK)))


class ChildrenTests(InventoryCase):
    """The index from a parent to its children."""

    def test_children_are_found_by_every_parent(self) -> None:
        self.tell(CONTAINER, parents=[SERVICE, STACK, NODE])
        self.tell(SERVICE, parents=[STACK])
        self.assertEqual(self.children(STACK), {CONTAINER, SERVICE})
        self.assertEqual(self.children(NODE), {CONTAINER})
        self.assertEqual(self.children("/api/v1/node/other/"), set())

    def test_a_container_that_moves_leaves_its_old_node(self) -> None:
        self.tell(CONTAINER, parents=[SERVICE, NODE])
        self.tell(CONTAINER, parents=[SERVICE, "/api/v1/node/n2/"])
        self.assertEqual(self.children(NODE), set())
        self.assertEqual(self.children("/api/v1/node/n2/"), {CONTAINER})
        self.assertEqual(self.children(SERVICE), {CONTAINER})

    def test_its_siblings_stay(self) -> None:
        self.tell(CONTAINER, parents=[SERVICE])
        self.tell("/api/v1/container/c2/", parents=[SERVICE])
        self.tell(CONTAINER, parents=[])
        self.assertEqual(self.children(SERVICE), {"/api/v1/container/c2/"})

    def test_what_is_no_resource_uri_is_no_parent(self) -> None:
        """A parent that is named twice is one parent."""
        self.tell(CONTAINER, parents=["@elsewhere/", SERVICE, SERVICE, ""])
        self.assertEqual(self.known(CONTAINER).parent_keys(), [key_of(SERVICE)] * 2)
        self.tell(CONTAINER, parents=[])
        self.assertEqual(self.children(SERVICE), set())


class ApplyLinkTests(InventoryCase):
    """Our own connections are resources too."""

    def test_a_stream(self) -> None:
        link = Link(LinkType.STREAM, "main", "Disconnected", "connection refused", 5.0)
        change = self.inventory.apply_link(link, "run-1")
        self.assertEqual(change.kind, ChangeKind.NEW)
        self.assertEqual(
            change.after,
            Resource(
                key=("main", "stream", "main"),
                uri="",
                name="main",
                state="Disconnected",
                parents=(),
                parents_complete=True,
                fields={"reason": "connection refused"},
                since=5.0,
                seen=5.0,
            ),
        )
        self.assertEqual((change.at, change.action, change.id), (5.0, "", "run-1"))

    def test_a_notifier_belongs_to_no_stream(self) -> None:
        change = self.inventory.apply_link(
            Link(LinkType.NOTIFIER, "pd", "Refused", "403", 5.0), "run-1"
        )
        self.assertEqual(change.after.key, ("", "notifier", "pd"))
        self.assertEqual(change.after.stream, "")

    def test_another_reason_for_the_same_state(self) -> None:
        """The state keeps the time at which it began."""
        for reason, at in (("refused", 1.0), ("timed out", 2.0)):
            link = Link(LinkType.STREAM, "main", "Disconnected", reason, at)
            change = self.inventory.apply_link(link, "run")
        self.assertEqual((change.kind, change.changed), (ChangeKind.CHANGED, {"reason"}))
        self.assertEqual((change.after.since, change.after.seen), (1.0, 2.0))


class ApplyLookedTests(InventoryCase):
    """The answer to a look-up, unless something newer knows better."""

    def test_an_object_is_learned(self) -> None:
        fields = {"name": "shop", "state": "Running", "nickname": "s"}
        change = self.answer(STACK, Found(fields), at=4.0)
        assert change is not None
        self.assertEqual(change.kind, ChangeKind.NEW)
        self.assertEqual(
            change.after,
            Resource(
                key=key_of(STACK),
                uri=STACK,
                name="shop",
                state="Running",
                parents=(),
                parents_complete=True,
                fields={"nickname": "s"},
                since=4.0,
                seen=4.0,
            ),
        )

    def test_it_completes_what_an_event_told(self) -> None:
        self.tell(SERVICE, "Running", at=1.0)
        change = self.answer(SERVICE, Found({"name": "web", "state": "Running", "stack": STACK}))
        assert change is not None
        self.assertEqual((change.kind, change.changed), (ChangeKind.CHANGED, {"name", "parents"}))
        self.assertEqual(change.after.since, 1.0)
        self.assertEqual(self.children(STACK), {SERVICE})

    def test_a_state_that_no_event_told(self) -> None:
        self.tell(SERVICE, "Starting", at=1.0)
        change = self.answer(SERVICE, Found({"state": "Running"}), at=9.0)
        assert change is not None
        self.assertEqual((change.after.state, change.after.since), ("Running", 9.0))

    def test_the_same_again_is_the_same(self) -> None:
        self.answer(STACK, Found({"name": "shop"}))
        change = self.answer(STACK, Found({"name": "shop"}))
        assert change is not None
        self.assertEqual(change.kind, ChangeKind.SAME)

    def test_what_arrived_since_it_was_asked_knows_better(self) -> None:
        """Nothing that an event told is taken back by an older answer."""
        self.answer(STACK, Found({"name": "old", "state": "Starting"}))
        self.tell(STACK, "Running")
        for answer in (Found({"name": "older", "state": "Stopped"}), Missing()):
            self.assertIsNone(self.answer(STACK, answer, asked=0))
        known = self.known(STACK)
        self.assertEqual((known.name, known.state, known.gone_at), ("old", "Running", None))

    def test_an_older_answer_still_tells_what_was_never_told(self) -> None:
        """Events name no names: else a busy stack would stay without one."""
        self.tell(STACK, "Running", at=1.0)
        change = self.answer(STACK, Found({"name": "shop", "state": "Terminated"}), asked=0)
        assert change is not None
        after = change.after
        self.assertEqual((after.name, after.state, after.gone_at), ("shop", "Running", None))
        self.assertEqual(
            (after.since, after.fields, change.changed), (1.0, {}, {"name", "parents"})
        )
        self.tell(SERVICE, None)
        self.answer(SERVICE, Found({"state": "Running"}), asked=0)
        self.assertEqual(self.known(SERVICE).state, "Running")

    def test_an_answer_that_was_asked_after_the_event_is_newer(self) -> None:
        self.tell(STACK, "Running")
        self.answer(STACK, Found({"state": "Stopped"}), asked=self.number)
        self.assertEqual(self.known(STACK).state, "Stopped")

    def test_an_object_of_a_container_does_not_name_all_parents(self) -> None:
        self.answer(CONTAINER, Found({"service": SERVICE, "node": NODE}))
        known = self.known(CONTAINER)
        self.assertEqual((known.parents, known.parents_complete), ((SERVICE, NODE), False))
        self.answer(CONTAINER, Found({"name": "web-1"}))
        self.assertEqual(self.known(CONTAINER).parents, (SERVICE, NODE))
        self.tell(CONTAINER, parents=[SERVICE, STACK])
        self.answer(CONTAINER, Found({"service": SERVICE}))
        known = self.known(CONTAINER)
        self.assertEqual((known.parents, known.parents_complete), ((SERVICE, STACK), True))

    def test_parents_that_are_all_known_now_are_a_change_of_no_name(self) -> None:
        """The same parents, told by an event: complete from now on."""
        self.answer(CONTAINER, Found({"service": SERVICE}))
        self.tell(CONTAINER, None, parents=[SERVICE])
        self.assertTrue(self.known(CONTAINER).parents_complete)

    def test_404_means_gone(self) -> None:
        """What was known stays; what was not is absent from now on."""
        self.tell(SERVICE, "Running", at=1.0)
        change = self.answer(SERVICE, Missing(), at=2.0)
        assert change is not None
        after = change.after
        self.assertEqual(
            (change.kind, after.gone_at, after.state), (ChangeKind.GONE, 2.0, "Running")
        )
        self.assertEqual((after.parents, after.parents_complete, after.fields), ((), True, {}))
        change = self.answer(SERVICE, Missing(), at=3.0)
        assert change is not None
        self.assertEqual((change.kind, change.after.gone_at), (ChangeKind.SAME, 2.0))
        self.tell(NODE, at=602.0)
        self.assertIsNone(self.inventory.get(key_of(SERVICE)))

    def test_404_of_what_was_never_heard_of(self) -> None:
        change = self.answer(STACK, Missing())
        assert change is not None
        self.assertEqual((change.kind, change.before), (ChangeKind.GONE, None))

    def test_an_object_that_is_terminated_is_gone(self) -> None:
        """The platform keeps its objects for a while after their end."""
        change = self.answer(STACK, Found({"name": "shop", "state": "Terminated"}), at=3.0)
        assert change is not None
        self.assertEqual((change.kind, change.after.gone_at), (ChangeKind.GONE, 3.0))
        self.tell(NODE, at=603.0)
        self.assertIsNone(self.inventory.get(key_of(STACK)))

    def test_an_answer_that_lags_behind_brings_nothing_back(self) -> None:
        """The list of the platform may lag behind its events."""
        self.tell(SERVICE, "Running", action="delete", at=1.0)
        change = self.answer(SERVICE, Found({"state": "Terminating"}), at=2.0)
        assert change is not None
        self.assertEqual((change.after.state, change.after.gone_at), ("Terminating", 1.0))

    def test_an_action_that_finished_is_not_kept(self) -> None:
        action = "/api/v1/action/a1/"
        self.tell(action, "In progress")
        change = self.answer(action, Found({"state": "Success", "object": SERVICE}))
        assert change is not None
        self.assertEqual((change.after.state, len(self.inventory)), ("Success", 0))

    def test_no_answer_teaches_nothing(self) -> None:
        self.tell(STACK)
        before = self.known(STACK)
        self.assertIsNone(self.answer(STACK, Unanswered("timed out")))
        self.assertIsNone(self.answer("@elsewhere/", Found({"name": "x"})))
        self.assertIs(self.known(STACK), before)
        self.assertEqual(len(self.inventory), 1)


URIS = [f"/api/v1/{type_}/{n}/" for type_ in ("stack", "service", "action") for n in range(3)]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["event", "found", "missing", "link"]),
        st.sampled_from(URIS),
        st.sampled_from(["Running", "Terminated", "Success", "", None]),
        st.none() | st.lists(st.sampled_from([*URIS, "@x"]), max_size=3),
        st.sampled_from(["update", "delete"]),
        st.integers(0, 400),
    ),
    max_size=40,
)


class HistoryTests(InventoryCase):
    """Whatever happens, the picture stays bounded and in agreement with itself."""

    @settings(max_examples=200, deadline=None)
    @given(STEPS, st.integers(1, 6))
    def test_the_index_agrees_with_the_resources(
        self, steps: list[tuple[str, str, str | None, list[str] | None, str, int]], cap: int
    ) -> None:
        self.inventory = Inventory(max_count=cap)
        self.number = 0
        at = 0.0
        for what, uri, state, parents, action, later in steps:
            at += later
            change: Change | None
            if what == "event":
                change = self.tell(uri, state, parents=parents, action=action, at=at)
            elif what == "link":
                link = Link(LinkType.STREAM, "main", state or "Connected", "", at)
                change = self.inventory.apply_link(link, "link")
            else:
                object_ = {"state": state, "stack": next(iter(parents or []), None)}
                answer = Found(object_) if what == "found" else Missing()
                change = self.answer(uri, answer, asked=self.number - later % 3, at=at)
            self.assert_consistent(cap, at)
            if change is not None:
                kept = self.inventory.get(change.after.key)
                self.assertEqual(kept, None if change.after.is_finished else change.after)

    def assert_consistent(self, cap: int, at: float) -> None:
        """Fail unless index, gone ones and bounds agree with the resources."""
        resources = self.inventory._resources
        children: dict[Key, set[Key]] = {}
        for key, resource in resources.items():
            self.assertEqual(resource.key, key)
            for parent in resource.parent_keys():
                children.setdefault(parent, set()).add(key)
        self.assertEqual(self.inventory._children, children)
        gone = {key: r.gone_at for key, r in resources.items() if r.gone_at is not None}
        self.assertEqual(dict(self.inventory._gone), gone)
        seen = [key for key in resources if key[1] != "stream"]
        # Our own stream stays, and may be the one above the cap.
        self.assertLessEqual(len(seen), cap)
        self.assertTrue(all(gone_at + 600 > at for gone_at in gone.values()))
        self.assertFalse(any(resource.is_finished for resource in resources.values()))
