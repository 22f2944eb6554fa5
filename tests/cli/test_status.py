"""Tests of ``tutumwatch status``: the lines, the exit status, and what is said if nobody runs."""

from __future__ import annotations

import json

from click.testing import CliRunner, Result

from tests.cli.test_outbox import ChangingTestCase
from tests.config.cases import set_environment
from tests.status.test_health import health
from tutumwatch.cli.main import cli
from tutumwatch.control.wire import AskStatus, Reply
from tutumwatch.status.health import Health


class StatusTests(ChangingTestCase):
    """With a watcher that is only its socket; the store has three dead letters."""

    def status(self, *arguments: str, store: str = "") -> Result:
        """Run the command."""
        set_environment(self, {"HOME": str(self.folder / "home")})
        return CliRunner().invoke(cli, ["status", *arguments, "--store", store or self.path])

    def listen_with(self, said: Health) -> None:
        """Have a watcher that is as it says."""
        self.listen(lambda _: Reply(status=said.to_object()))

    def test_all_is_well(self) -> None:
        self.execute("DELETE FROM deliveries")
        self.listen_with(health(reload={"state": "ok", "at": "", "reason": ""}))
        result = self.status()
        self.assertEqual(
            (result.exit_code, result.stdout.splitlines()),
            (
                0,
                [
                    "tutumwatch 1: running",
                    "stream main: Connected",
                    "notifier slack: Delivering; 0 waiting",
                    "store: ok",
                    "since the start: 0 events, 0 delivered",
                ],
            ),
        )
        self.assertEqual(self.asked, [AskStatus()])

    def test_all_there_is_to_say(self) -> None:
        """What is down is no reason for another exit status: see the health page."""
        self.listen_with(
            health(
                streams={"main": {"state": "Disconnected", "reason": "refused\x1b"}},
                notifiers={
                    "slack": {"state": "Refused", "reason": "404 no_service", "waiting": 3},
                    "gone": {"state": "off", "reason": "notices wait", "waiting": 1},
                },
                store="the disk is full",
                open_incidents=["stream down: stream down/main"],
                moved_aside_count=1,
                reload={"state": "failed", "at": "", "reason": "watch.toml:3: url: \x1b"},
                counts={
                    "events": 10,
                    "rejected": 2,
                    "delivered": 7,
                    "dead_letters": 1,
                    "withdrawn": 4,
                    "possible_repeats": 1,
                    "digested": 9,
                    "revived": 1,
                    "dropped": 2,
                    "resources": 5,
                },
            )
        )
        result = self.status()
        self.assertEqual(
            (result.exit_code, result.stdout.splitlines()),
            (
                0,
                [
                    "tutumwatch 1: running",
                    "stream main: Disconnected (refused\\x1b)",
                    "notifier slack: Refused (404 no_service); 3 waiting",
                    "notifier gone: off (notices wait); 1 waiting",
                    "store: the disk is full; 1 damaged file moved aside: see the log",
                    "the last reload failed: watch.toml:3: url: \\x1b",
                    "open incident: stream down: stream down/main",
                    "dead letters: ops 2, pd 1 (`tutumwatch outbox list` has them)",
                    (
                        "since the start: 10 events, 2 rejected, 7 delivered, 1 given up, 4 withdrawn, "
                        "1 possible repeats, 9 told in a digest, 2 dropped, 1 sent again"
                    ),
                ],
            ),
        )

    def test_stuck(self) -> None:
        self.listen_with(health(ok=False, problems=("notifier pd is stuck",)))
        result = self.status()
        self.assertEqual(result.exit_code, 1)
        self.assertEqual(
            result.stdout.splitlines()[:2], ["tutumwatch 1: stuck", "  notifier pd is stuck"]
        )

    def test_json(self) -> None:
        for said, exit_code in ((health(), 0), (health(ok=False, problems=("x",)), 1)):
            self.listen_with(said)
            result = self.status("--json")
            self.assertEqual(result.exit_code, exit_code)
            expected = json.loads(json.dumps({"running": True, **said.to_object()}))
            self.assertEqual(json.loads(result.stdout), expected)
            self.doCleanups()
            self.setUp()

    def test_nobody_runs(self) -> None:
        result = self.status()
        self.assertEqual(
            (result.exit_code, result.stdout.splitlines()),
            (
                1,
                [
                    f"no watcher runs with the store {self.path}",
                    "owed: ops 1",
                    "dead letters: ops 2, pd 1",
                ],
            ),
        )
        result = self.status("--json")
        self.assertEqual(
            (result.exit_code, json.loads(result.stdout)),
            (1, {"running": False, "owed": {"ops": 1}, "dead_letters": {"ops": 2, "pd": 1}}),
        )

    def test_nobody_runs_and_there_is_no_store(self) -> None:
        result = self.status(store=f"{self.path}-elsewhere")
        self.assertEqual(result.exit_code, 1)
        self.assertIn("no watcher runs, and there is no store", result.stdout)
        result = self.status("--json", store=f"{self.path}-elsewhere")
        self.assertEqual(json.loads(result.stdout)["running"], False)

    def test_a_watcher_of_another_version(self) -> None:
        for reply in (Reply(status={"ok": True}), Reply()):
            self.listen(lambda _, reply=reply: reply)  # type: ignore[misc] # mypy does not infer the default
            result = self.status()
            self.assertEqual(result.exit_code, 1)
            self.assertIn("of another version", result.stderr)
            self.doCleanups()
            self.setUp()

    def test_its_store_cannot_be_read(self) -> None:
        """It says how it is all the same; only the number of dead letters is missing."""
        self.listen_with(health())
        (self.folder / "outbox.sqlite").unlink()
        result = self.status()
        self.assertEqual((result.exit_code, "dead letters" in result.stdout), (0, False))

    def test_one_that_no_socket_can_be_had_of(self) -> None:
        result = self.status(store=self.path + "x" * 100)
        self.assertEqual((result.exit_code, result.stdout), (1, ""))
        self.assertIn("shorter path", result.stderr)

    def test_one_that_cannot_answer(self) -> None:
        self.listen(lambda _: Reply(error="20 are asking already; say it again"))
        result = self.status()
        self.assertEqual((result.exit_code, result.stdout), (1, ""))
        self.assertIn("asking already", result.stderr)
