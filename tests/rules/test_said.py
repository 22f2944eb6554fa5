"""Tests of what is remembered of what was said, and of what a silence would have withheld of it."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from tests.rules.silenced import (
    NODE,
    SERVICE,
    STRANGER,
    WEB,
    WEB_1,
    resource,
    said,
    shop,
)
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, ChangeKind
from tutumwatch.rules.decisions import Dropped, Owed, RecordName, Settled, WaitingRow
from tutumwatch.rules.notice import Form
from tutumwatch.rules.records import Records
from tutumwatch.rules.said import (
    SAID_MAX_COUNT,
    SAID_SECONDS,
    TEXT_MAX_CHARS,
    Preview,
    Said,
    Saying,
    preview,
)
from tutumwatch.rules.silences import scope_of


class SaidTests(SynchronousTestCase):
    """What is remembered, and for how long."""

    def setUp(self) -> None:
        """Remember nothing yet."""
        self.records = Records()
        self.said = Said(self.records)

    def note(self, *owed: Owed, at: float = 0.0) -> None:
        """Decide to say something."""
        self.said.note(owed, at)

    def sayings(self, since: float = 0.0) -> list[Saying]:
        """Give all that is remembered."""
        return list(self.said.since(since))

    def kept(self) -> dict[RecordName, bytes]:
        """Give what the store has after the records that were taken now."""
        return {name: value for name, value in self.records.take().items() if value is not None}

    def test_one_saying_for_all_who_are_told(self) -> None:
        self.note(said(name="web"), said(notifier="pd"), said(), said("other"), at=7.0)
        self.assertEqual(
            self.sayings(),
            [
                Saying(0, 7.0, "news", "news to ops", ("ops", "pd"), {"name": "web"}),
                Saying(1, 7.0, "other", "other to ops", ("ops",), {}),
            ],
        )

    def test_what_differs_is_not_one(self) -> None:
        self.note(said(), said(key="l"), said(form=Form.TRIGGER))
        self.assertEqual(len(self.sayings()), 3)

    def test_what_says_nothing_new(self) -> None:
        change = Change("e1", ChangeKind.NEW, None, WEB, frozenset(), 0.0)
        waiting = WaitingRow("w1", "news", ("ops",), "k", change, 1, 10.0, frozenset())
        self.note(said(form=Form.RESOLVE), waiting, Dropped(1, "by hand"), Settled("w1", ()))
        self.assertEqual((self.sayings(), bool(self.records)), ([], False))

    def test_what_waited_is_said_when_it_is_settled(self) -> None:
        self.note(Settled("w1", (said(), said(notifier="pd"))), at=3.0)
        self.assertEqual([(s.at, s.notifiers) for s in self.sayings()], [(3.0, ("ops", "pd"))])

    def test_texts_are_cut(self) -> None:
        self.note(said("x" * 1_000))
        self.assertEqual(len(self.sayings()[0].text), TEXT_MAX_CHARS)

    def test_since_a_time(self) -> None:
        for at in (1.0, 2.0, 3.0):
            self.note(said(), at=at)
        self.assertEqual([saying.at for saying in self.sayings(2.0)], [2.0, 3.0])

    def test_a_day_later_it_is_forgotten(self) -> None:
        self.note(said(), at=0.0)
        self.note(said("second"), at=1.0)
        self.records.take()
        self.note(at=SAID_SECONDS)
        self.assertFalse(self.records)
        self.note(said("third"), at=SAID_SECONDS + 0.5)
        self.assertEqual([saying.rule for saying in self.sayings()], ["second", "third"])
        unsaved = self.records.take()
        self.assertEqual(
            (unsaved["said", "0"], set(unsaved)), (None, {("said", "0"), ("said", "2")})
        )

    def test_no_more_than_so_many(self) -> None:
        for number in range(SAID_MAX_COUNT):
            self.assertFalse(self.said.is_full)
            self.note(said(str(number)))
        self.assertTrue(self.said.is_full)
        self.note(said("last"))
        self.assertTrue(self.said.is_full)
        rules = [saying.rule for saying in self.sayings()]
        self.assertEqual((rules[0], rules[-1], len(rules)), ("1", "last", SAID_MAX_COUNT))
        kept = self.kept()
        self.assertEqual(len(kept), SAID_MAX_COUNT)
        after = Said(Records())
        after.restore(kept)
        self.assertEqual([saying.rule for saying in after.since(0.0)], rules)

    def test_a_restart_goes_on_where_it_ended(self) -> None:
        for rule in ("a", "b", "c"):
            self.note(said(rule))
        kept = self.kept()
        del kept["said", "1"]
        after = Said(Records())
        self.assertEqual(after.restore({**kept, ("silence", "x"): b"\xc1"}), 0)
        after.note([said("d")], 5.0)
        self.assertEqual(
            [(saying.number, saying.rule) for saying in after.since(0.0)],
            [(0, "a"), (2, "c"), (3, "d")],
        )

    def test_a_gap_takes_nobodys_name(self) -> None:
        """A record that was lost leaves the count of those before it as it was."""
        for number in range(SAID_MAX_COUNT):
            self.note(said(str(number)))
        kept = self.kept()
        del kept["said", "5"]
        records = Records()
        after = Said(records)
        after.restore(kept)
        for rule in ("x", "y"):
            after.note([said(rule)], 5.0)
        remaining = {**kept, **records.take()}
        again = Said(Records())
        again.restore({name: value for name, value in remaining.items() if value is not None})
        self.assertEqual(list(again.since(0.0)), list(after.since(0.0)))
        self.assertEqual([saying.rule for saying in again.since(5.0)], ["x", "y"])

    def test_what_cannot_be_read(self) -> None:
        good = msgspec.msgpack.encode(Saying(4, 1.0, "r", "t", ("ops",), {}))
        self.assertEqual(self.said.restore({("said", "3"): b"\xc1", ("said", "4"): good}), 1)
        self.assertEqual([saying.number for saying in self.sayings()], [4])
        self.assertEqual(self.records.take(), {("said", "3"): None})

    def test_a_lost_store(self) -> None:
        self.note(said("a"), said("b"))
        kept = self.records.take()
        self.said.save_everything()
        self.assertEqual(self.records.take(), kept)


def saying(rule: str = "news", /, **facts: str) -> Saying:
    """Make one about a resource with some details."""
    return Saying(0, 1.0, rule, "said", ("ops",), facts)


OF_WEB = {"stream": "main", "type": "service", "resource_uri": SERVICE, "state": "Stopped"}


class PreviewTests(SynchronousTestCase):
    """What a silence would have withheld."""

    def preview(
        self, match: object, *sayings: Saying, inventory: Inventory | None = None
    ) -> list[int]:
        """Give how many it would, and how many nobody can tell of."""
        found = preview(scope_of(match), sayings, inventory or shop())
        self.assertEqual(found.said_count, len(sayings))
        return [len(found.withheld), found.unsure_count]

    def test_a_resource_that_is_known(self) -> None:
        """By all that is known of it now, and the state that it had."""
        for match, expected in (
            ({"name": "web", "stack.name": "shop"}, [1, 0]),
            ({"state": "stopped"}, [1, 0]),
            ({"state": "Running"}, [0, 0]),
            ({"rule": "news", "name": "web"}, [1, 0]),
            ({"rule": "other", "name": "web"}, [0, 0]),
        ):
            self.assertEqual(self.preview(match, saying(**OF_WEB)), expected, match)
        of_container = {**OF_WEB, "type": "container", "resource_uri": WEB_1.uri}
        match = {"labels.team": "pay", "node.name": "node-2"}
        self.assertEqual(self.preview(match, saying(**of_container)), [1, 0])

    def test_one_that_is_gone_by_what_was_said_of_it(self) -> None:
        facts = {"stream": "main", "type": "container", "name": "web-7", "state": "Terminated"}
        uri = "/api/v1/container/c7/"
        gone = saying(**facts, resource_uri=uri, service="web", stack="shop", node="node-2")
        plain = saying(**facts, resource_uri=uri)
        for match, expected, of_plain in (
            ({"name": "web-7"}, [1, 0], [1, 0]),
            ({"service.name": "web"}, [1, 0], [0, 1]),
            ({"stack.name": "shop", "node.name": "node-?"}, [1, 0], [0, 1]),
            ({"stack.name": "pay"}, [0, 0], [0, 1]),
            ({"nodecluster.name": "!x"}, [0, 1], [0, 1]),
            ({"labels.team": "pay"}, [0, 1], [0, 1]),
            ({"state": "Terminated", "type": "container"}, [1, 0], [1, 0]),
        ):
            self.assertEqual(self.preview(match, gone), expected, match)
            self.assertEqual(self.preview(match, plain), of_plain, match)

    def test_our_own_connections(self) -> None:
        inventory = Inventory()
        stream = replace(resource("stream", "main", "main"), uri="")
        notifier = replace(stream, key=("", "notifier", "pd"), name="pd")
        inventory.restore([stream, notifier])
        down = saying("down", stream="main", type="stream", name="main", state="Disconnected")
        refused = saying("refused", type="notifier", name="pd", state="Refused")
        for match, count in (
            ({"type": "stream", "state": "!Connected"}, 1),
            ({"type": "notifier", "name": "pd"}, 1),
            ({"name": "pd", "uuid": "main"}, 0),
        ):
            found = self.preview(match, down, refused, inventory=inventory)
            self.assertEqual(found, [count, 0], match)

    def test_a_summary_of_many_is_about_no_resource(self) -> None:
        summary = saying("deploys")
        self.assertEqual(self.preview({"rule": "deploys"}, summary), [1, 0])
        self.assertEqual(self.preview({"service.name": "web"}, summary), [0, 0])

    def test_which(self) -> None:
        of_web, of_node = (
            saying(**OF_WEB),
            saying(**{**OF_WEB, "type": "node", "resource_uri": NODE}),
        )
        found = preview(scope_of({"name": "web"}), [of_web, of_node, of_web], shop())
        self.assertEqual(found, Preview((of_web, of_web), 0, 3))

    def test_it_changes_nothing(self) -> None:
        inventory = shop()
        self.preview({"service.name": "x"}, saying(**OF_WEB), inventory=inventory)
        known = inventory.get(STRANGER.key)
        self.assertEqual((known, inventory.get(WEB.key)), (STRANGER, WEB))
