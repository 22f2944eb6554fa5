"""Tests of what a person may have the watcher do, and of what it says came of it."""

from __future__ import annotations

from tests.control.cases import DELIVERED, REFUSED, CommandsTestCase, told
from tests.outbox.cases import UNWRITABLE, notice
from tutumwatch.control.commands import NO_SUCH, NOT_REVIVED
from tutumwatch.control.wire import AskDrop, AskRetry, AskStatus
from tutumwatch.rules.notice import Form


class RetryTests(CommandsTestCase):
    """Dead letters are sent again."""

    def retry(self, *ids: int) -> list[tuple[int, str, bool]]:
        """Ask for it."""
        return told(self.result_of(self.commands.do(AskRetry(ids))).fates)

    def test_a_dead_letter_is_owed_again_under_a_new_number(self) -> None:
        (dead,) = self.owe(notice("bad"))
        self.send(dead, REFUSED)
        self.assertEqual(self.rows.owed_counts(), {})
        self.assertEqual(self.retry(dead), [(dead, "is sent again", True)])
        self.assertEqual((self.state_of(dead), self.state_of(dead + 1)), (None, "pending"))
        self.assertEqual(self.rows.owed_counts(), {"ops": 1})

    def test_what_is_owed_is_left_as_it_is(self) -> None:
        """Also a trigger whose incident is closed: its resolve is behind it."""
        first, second = self.owe(notice("on", "k", Form.TRIGGER), notice("other"))
        self.send(second)
        self.assertEqual(
            self.retry(first, second),
            [
                (first, "is pending, not dead: it is sent anyway", False),
                (second, "is sending, not dead: it is sent anyway", False),
            ],
        )
        self.assertEqual((self.state_of(first), self.carried), ("pending", []))

    def test_what_is_not_there(self) -> None:
        self.assertEqual(self.retry(17), [(17, NO_SUCH, False)])
        self.assertEqual(self.carried, [])

    def test_a_trigger_of_a_closed_incident_is_dropped(self) -> None:
        (dead,) = self.owe(notice("on", "k", Form.TRIGGER))
        self.send(dead, REFUSED)
        self.assertEqual(self.retry(dead), [(dead, "dropped: its incident is closed", True)])
        self.assertEqual((self.state_of(dead), self.rows.owed_counts()), (None, {}))

    def test_a_resolve_of_an_open_incident_is_dropped(self) -> None:
        (trigger,) = self.owe(notice("on", "k", Form.TRIGGER, rule="r"))
        self.send(trigger, REFUSED)
        (resolve,) = self.owe(notice("off", "k", Form.RESOLVE, rule="r"))
        self.send(resolve, REFUSED)
        self.open_incident("r", "k")
        self.assertEqual(
            self.retry(trigger, resolve),
            [
                (trigger, "is sent again", True),
                (resolve, "dropped: its incident is open again", True),
            ],
        )

    def test_a_damaged_one_stays_dead(self) -> None:
        (dead,) = self.owe(notice("bad"))
        self.send(dead, REFUSED)
        self.damage()
        self.assertEqual(self.retry(dead), [(dead, NOT_REVIVED, False)])
        self.assertEqual(self.state_of(dead), "dead")

    def damage(self) -> None:
        """Change what a notice says without its checksum."""
        self.successResultOf(
            self.rows._writer.do(
                lambda t: t.connection.execute("UPDATE deliveries SET notice = x'00'").rowcount
            )
        )

    def test_each_number_is_answered_once(self) -> None:
        (dead,) = self.owe(notice("bad"))
        self.send(dead, REFUSED)
        self.assertEqual(
            self.retry(dead, 99, dead), [(dead, "is sent again", True), (99, NO_SUCH, False)]
        )

    def test_the_log_says_what_a_person_did(self) -> None:
        first, second = self.owe(notice("a"), notice("b"))
        for row_id in (first, second):
            self.send(row_id, REFUSED)
        self.retry(first, second, 99)
        (event,) = [e for e in self.log.events if "control" in e["log_namespace"]]
        self.assertEqual(event["became"], f"2 is sent again, 1 {NO_SUCH}")


class DropTests(CommandsTestCase):
    """Notices are forgotten."""

    def drop(self, *ids: int) -> list[tuple[int, str, bool]]:
        """Ask for it."""
        return told(self.result_of(self.commands.do(AskDrop(ids))).fates)

    def test_dead_and_owed_ones_are_dropped(self) -> None:
        dead, owed = self.owe(notice("a"), notice("b"))
        self.send(dead, REFUSED)
        self.assertEqual(self.drop(dead, owed), [(dead, "dropped", True), (owed, "dropped", True)])
        self.assertEqual((self.state_of(dead), self.state_of(owed)), (None, None))
        self.assertEqual(self.rows.owed_counts(), {})

    def test_what_is_being_sent_is_not(self) -> None:
        (row_id,) = self.owe(notice("a"))
        self.send(row_id)
        self.assertEqual(self.drop(row_id), [(row_id, "is being sent: not dropped", False)])
        self.assertEqual(self.state_of(row_id), "sending")

    def test_what_is_not_there(self) -> None:
        (row_id,) = self.owe(notice("a"))
        self.send(row_id, DELIVERED)
        self.assertEqual(self.drop(row_id), [(row_id, NO_SUCH, False)])
        self.assertEqual(self.carried, [])

    def test_what_stood_behind_it_goes_on(self) -> None:
        first, second = self.owe(notice("a", "k"), notice("b", "k"))
        self.drop(first)
        heads = self.result_of(self.store.heads("ops", 10))
        self.assertEqual([head.row_id for head in heads], [second])


class OtherTests(CommandsTestCase):
    """How the watcher is, and what it cannot do."""

    def test_status(self) -> None:
        self.assertEqual(self.result_of(self.commands.do(AskStatus())).status, {"ok": True})

    def test_a_store_that_cannot_be_used(self) -> None:
        self.store.faults["find"] = UNWRITABLE
        reply = self.result_of(self.commands.do(AskDrop((1,))))
        self.assertEqual(
            (reply.error, reply.fates),
            ("the store cannot be used at the moment: no space left on device", ()),
        )
