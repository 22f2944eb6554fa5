"""Tests of what is saved of the inventory, and of beginning with what was saved."""

from __future__ import annotations

from tests.inventory.test_inventory import CONTAINER, NODE, SERVICE, STACK, InventoryCase, key_of
from tutumwatch.events.inputs import Found, Link, LinkType, Missing
from tutumwatch.inventory.inventory import GONE_KEPT_SECONDS, Inventory
from tutumwatch.inventory.resource import Key, Resource

MAIN: Key = ("main", "stream", "main")


def uuids(keys: object) -> list[str]:
    """Give the uuids of keys, sorted."""
    return sorted(key[2] for key in keys)  # type: ignore[attr-defined] # any collection of keys


class KeepingCase(InventoryCase):
    """An inventory that is saved."""

    def link(self, type_: LinkType, name: str, state: str, at: float = 100.0) -> None:
        """Let one of our own connections have a state."""
        self.inventory.apply_link(Link(type_, name, state, "why", at), "id")

    def connect(self, state: str = "Connected", at: float = 100.0) -> None:
        """Let the stream have a state."""
        self.link(LinkType.STREAM, "main", state, at)

    def restored(self) -> Inventory:
        """Give another inventory that begins with what this one knows."""
        again = Inventory()
        again.restore(reversed(self.inventory._resources.values()))
        return again


class TakeUnsavedTests(KeepingCase):
    """What has changed since the last time."""

    def test_each_change_once_as_it_is_now(self) -> None:
        self.tell(SERVICE, "Starting")
        self.tell(SERVICE, "Running")
        self.tell(STACK)
        unsaved = self.inventory.take_unsaved()
        self.assertEqual(uuids(unsaved), ["k1", "s1"])
        self.assertEqual(unsaved[key_of(SERVICE)], self.known(SERVICE))
        self.assertEqual(self.inventory.take_unsaved(), {})
        self.tell(SERVICE, "Stopped")
        self.assertEqual(uuids(self.inventory.take_unsaved()), ["s1"])

    def test_whatever_changed_it(self) -> None:
        self.connect()
        self.answer(NODE, Found({"state": "Deployed"}))
        self.assertEqual(uuids(self.inventory.take_unsaved()), ["main", "n1"])
        self.answer(NODE, Missing())
        self.assertEqual(uuids(self.inventory.take_unsaved()), ["n1"])

    def test_what_is_known_no_more_is_none(self) -> None:
        """Forgotten, finished, or pushed out by others."""
        self.tell(SERVICE, action="delete", at=100.0)
        self.tell("/api/v1/action/a1/", "In progress")
        self.inventory.take_unsaved()
        self.tell("/api/v1/action/a1/", "Success", at=100.0 + GONE_KEPT_SECONDS)
        gone = dict.fromkeys([key_of(SERVICE), key_of("/api/v1/action/a1/")])
        self.assertEqual(self.inventory.take_unsaved(), gone)
        for number in range(6):
            self.tell(f"/api/v1/node/n{number}/")
        unsaved = self.inventory.take_unsaved()
        self.assertIsNone(unsaved[key_of("/api/v1/node/n0/")])
        self.assertEqual(len([known for known in unsaved.values() if known is not None]), 5)

    def test_what_could_not_be_saved_is_taken_again_as_it_is_then(self) -> None:
        self.tell(SERVICE, "Starting")
        self.tell(STACK)
        taken = self.inventory.take_unsaved()
        self.tell(SERVICE, "Running")
        self.inventory.save_again(taken)
        again = self.inventory.take_unsaved()
        self.assertEqual(uuids(again), ["k1", "s1"])
        self.assertEqual(again[key_of(SERVICE)], self.known(SERVICE))

    def test_everything_for_a_store_that_lost_it(self) -> None:
        self.tell(SERVICE)
        self.connect()
        self.inventory.take_unsaved()
        self.inventory.save_everything()
        self.assertEqual(uuids(self.inventory.take_unsaved()), ["main", "s1"])


class RestoreTests(KeepingCase):
    """Beginning with what was saved."""

    def test_all_is_known_as_it_was(self) -> None:
        self.tell(STACK)
        self.tell(SERVICE, parents=[STACK])
        self.tell(CONTAINER, parents=[SERVICE, STACK])
        self.connect()
        again = self.restored()
        self.assertEqual(dict(again._resources), dict(self.inventory._resources))
        self.assertEqual(again._children, self.inventory._children)
        self.assertEqual({r.uri for r in again.children_of(key_of(STACK))}, {SERVICE, CONTAINER})
        self.assertEqual(again.take_unsaved(), {})

    def test_children_keep_their_order(self) -> None:
        """Whatever is judged for each of them comes to the same, and is said in the same order."""
        self.inventory = Inventory()
        uris = [f"/api/v1/service/s{number}/" for number in range(20)]
        for uri in reversed(uris):
            self.tell(uri, parents=[STACK])
        for known in (self.inventory, self.restored()):
            children = [child.uri for child in known.children_of(key_of(STACK))]
            self.assertEqual(children, sorted(uris))

    def test_the_least_recently_seen_is_the_first_to_go(self) -> None:
        for uri, at in ((SERVICE, 3.0), (STACK, 1.0), (NODE, 2.0)):
            self.tell(uri, at=at)
        kept = self.inventory._resources.values()
        self.inventory = Inventory(max_count=3)
        self.inventory.restore(kept)
        self.tell(CONTAINER, at=4.0)
        self.assertEqual(uuids(self.inventory._resources), ["c1", "n1", "s1"])

    def test_what_is_gone_is_forgotten_in_its_time(self) -> None:
        """Whatever order it was saved in: the first that was gone is the first to be forgotten."""
        self.tell(SERVICE, action="delete", at=200.0)
        self.tell(NODE, action="delete", at=100.0)
        self.tell(
            NODE, at=300.0, action="delete"
        )  # heard of again, and gone since 100 all the same
        self.inventory = self.restored()
        self.tell(CONTAINER, at=100.0 + GONE_KEPT_SECONDS)
        self.assertEqual(uuids(self.inventory._resources), ["c1", "s1"])
        self.tell(CONTAINER, at=200.0 + GONE_KEPT_SECONDS)
        self.assertEqual(uuids(self.inventory._resources), ["c1"])

    def test_what_is_gone_ahead_of_its_time_holds_up_no_other(self) -> None:
        """Saved after what comes in again now, or dated by a clock that was wrong."""
        self.tell(SERVICE, action="delete", at=3 * 86_400.0)
        self.inventory = self.restored()
        for number in range(3):
            self.tell(f"/api/v1/node/n{number}/", action="delete", at=100.0 + number)
        self.tell(CONTAINER, at=101.0 + GONE_KEPT_SECONDS)
        self.assertEqual(uuids(self.inventory._resources), ["c1", "n2", "s1"])


class BeginBlindTests(KeepingCase):
    """We did not run: of a stream we only know since when nothing was seen."""

    def stream(self) -> Resource:
        """Give what is known of the stream."""
        known = self.inventory.get(MAIN)
        assert known is not None
        return known

    def test_a_stream_that_was_connected_was_blind_since_we_ended(self) -> None:
        self.connect()
        self.inventory.begin_blind(500.0)
        self.assertEqual(
            (self.stream().state, self.stream().fields), (None, {"blind_since": 500.0})
        )
        self.connect(at=560.0)
        self.assertEqual(self.stream().fields, {"reason": "why", "blind": "1 min 0 s"})

    def test_one_that_was_not_is_blind_for_longer(self) -> None:
        self.connect()
        self.connect("Disconnected", at=200.0)
        self.inventory.begin_blind(500.0)
        self.inventory.begin_blind(600.0)
        self.connect("Unauthorized", at=650.0)
        self.connect(at=700.0)
        self.assertEqual(self.stream().fields, {"reason": "why", "blind": "8 min 20 s"})

    def test_all_else_is_as_it_was(self) -> None:
        self.tell(SERVICE)
        self.link(LinkType.NOTIFIER, "pd", "Refused")
        before = dict(self.inventory._resources)
        self.inventory.begin_blind(500.0)
        self.assertEqual(dict(self.inventory._resources), before)

    def test_it_is_saved(self) -> None:
        """A run that ends before its stream tells anything leaves this to the next one."""
        self.connect()
        self.tell(SERVICE)
        self.inventory.take_unsaved()
        self.inventory.begin_blind(500.0)
        self.assertEqual(self.inventory.take_unsaved(), {MAIN: self.stream()})


class ForgetOthersTests(KeepingCase):
    """What is not in the configuration any more."""

    def test_streams_and_notifiers(self) -> None:
        self.tell(SERVICE, parents=[STACK])
        self.connect()
        for name in ("pd", "main"):
            self.link(LinkType.NOTIFIER, name, "Refused")
        self.inventory.take_unsaved()
        self.inventory.forget_others({"main"}, {"pd"})
        forgotten: Key = ("", "notifier", "main")
        self.assertEqual(self.inventory.take_unsaved(), {forgotten: None})
        self.inventory.forget_others({"lab"}, {"pd"})
        self.assertEqual(list(self.inventory._resources), [("", "notifier", "pd")])
        self.assertEqual(self.inventory._children, {})
        self.assertEqual(self.inventory.take_unsaved(), dict.fromkeys([key_of(SERVICE), MAIN]))
