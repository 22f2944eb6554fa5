"""Tests of ``tutumwatch incidents``: what is shown beside a watcher, and what one is asked."""

from __future__ import annotations

import json
import time
from typing import Any

import attrs
from click.testing import CliRunner, Result
from msgspec.structs import replace

from tests.cli.test_outbox import ChangingTestCase
from tests.config.cases import set_environment
from tutumwatch.cli.main import cli
from tutumwatch.control.wire import AskResolve, AskStatus, NamedFate, Question, Reply
from tutumwatch.inventory.resource import Resource, change_of
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.members import Member, OpenIncident, Phase, encode

RULE = "service down"


def member(
    uuid: str,
    phase: Phase,
    since: float,
    key: str | None = None,
    **more: Any,  # noqa: ANN401 - any other attribute of a Member
) -> Member:
    """Make a member: a service that is called as its uuid."""
    of = Resource(("main", "service", uuid), f"/api/v1/service/{uuid}/", uuid)
    made = Member((RULE, of.key), (RULE, key or uuid), phase, since, change_of("c", None, of))
    return attrs.evolve(made, **more)


class IncidentsTestCase(ChangingTestCase):
    """Runs the command on a store that has incidents."""

    def setUp(self) -> None:
        """Begin at a time."""
        super().setUp()
        self.now = time.time()

    def keep(self, *kept: Member | OpenIncident) -> None:
        """Let the store have them, and two records that nobody can read."""
        records: dict[tuple[str, str], bytes | None] = {
            ("member", "x"): b"\xc1",
            ("incident", "x"): b"\xc1",
        }
        for one in kept:
            kind = "member" if isinstance(one, Member) else "incident"
            records[kind, json.dumps(one.name)] = encode(one)
        self.result_of(self.store.commit(Decisions(records=records), 0.0))

    def incidents(self, *arguments: str) -> Result:
        """Run the command."""
        variables = {"HOME": str(self.folder / "home"), "TUTUMWATCH_STORE": self.path}
        set_environment(self, variables)
        return CliRunner().invoke(cli, ["incidents", *arguments])

    def lines(self, *arguments: str) -> list[str]:
        """Give what is listed beside a watcher."""
        result = self.incidents(*arguments)
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        return result.stdout.splitlines()

    def watch(self) -> None:
        """Have a watcher that only says that it is there."""
        self.listen(lambda _: Reply(status={"ok": True}))


class ListTests(IncidentsTestCase):
    """``incidents list``."""

    def test_nothing(self) -> None:
        self.watch()
        self.keep()
        self.assertEqual(self.lines(), ["no incident is open, and none is on its way"])
        self.assertEqual([type(one) for one in self.asked], [AskStatus])

    def test_all_there_is(self) -> None:
        """What is open first, then what may be soon, and what keeps it from that."""
        self.watch()
        now = self.now
        node = (RULE, "node/n2")
        self.keep(
            OpenIncident((RULE, "a"), now - 7_500, ("pd", "slack"), "key a"),
            member("a", Phase.OPEN, now - 7_600),
            OpenIncident((RULE, "b"), now - 600, ("pd",), "key b", {"pd": "more"}, "shop/b"),
            member("b", Phase.CLEARING, now - 600, due=now + 5),
            OpenIncident((RULE, "gone"), now - 60, (), "key g", {}, "shop/gone"),
            member("c", Phase.PENDING, now - 60, due=now + 60.9),
            member("d", Phase.PENDING, now - 30, "k", due=now - 1),
            member("e", Phase.PENDING, now - 20, "k"),
            member("f", Phase.PENDING, now - 10),
            member("g", Phase.PENDING, now - 5, withheld_by="nights", due=1_800_000_000.0),
            member("h", Phase.EXCUSED, now - 5, excused_by=node),
            member("i", Phase.EXCUSED, now - 4),
            member("j", Phase.DISMISSED, now - 3),
        )
        self.assertEqual(
            [" ".join(line.split()) for line in self.lines("list")],
            [
                "since state rule key told what",
                "2h 5m open service down key a pd, slack service a",
                "1m open service down key g - shop/gone",
                "10m clearing service down key b pd (in 'more') shop/b; over; about to close",
                "1m pending service down c - service c; opens in 1m",
                "30s pending service down k - 2 members: service d, service e; about to open",
                "10s pending service down f - service f; opens once it is certain",
                "5s withheld service down g - service g; withheld by nights until 2027-01-15T08:00:00Z",
                "5s excused service down h - service h; excused by node/n2",
                "4s excused service down i - service i; excused by its unless",
                "3s dismissed service down j - service j; closed by hand, and not over yet",
            ],
        )

    def test_members_that_come_to_one_that_is_open(self) -> None:
        """Only those that keep it open are named."""
        self.watch()
        one = OpenIncident((RULE, "k"), self.now, ("pd",), "k")
        self.keep(one, member("a", Phase.OPEN, 1.0, "k"), member("b", Phase.PENDING, 1.0, "k"))
        self.assertTrue(self.lines()[1].endswith("k    pd    service a"), self.lines())

    def test_several_that_keep_one_open(self) -> None:
        """What it was about when it opened is one of them."""
        self.watch()
        one = OpenIncident((RULE, "k"), self.now, (), "k", {}, "shop/a")
        self.keep(one, member("a", Phase.OPEN, 1.0, "k"), member("b", Phase.OPEN, 1.0, "k"))
        self.assertTrue(self.lines()[1].endswith(" 2 members: service a, service b"), self.lines())

    def test_what_was_counted_for_another_is_not_named_instead_of_it(self) -> None:
        self.watch()
        died = Resource(
            ("main", "container", "c1"),
            "/api/v1/container/c1/",
            "web-1",
            parents=("/api/v1/node/n1/", "/api/v1/service/a/"),
        )
        counted = member("a", Phase.EXCUSED, 1.0, change=change_of("c", None, died))
        self.keep(counted)
        self.assertTrue(self.lines()[1].endswith("service a; excused by its unless"), self.lines())
        self.assertEqual(self.named(), (None, "/api/v1/service/a/"))
        nowhere = change_of("c", None, replace(died, parents=None))
        self.keep(attrs.evolve(counted, change=nowhere))
        self.assertEqual(self.named(), (None, None))
        opened = OpenIncident((RULE, "a"), 1.0, (), "a", {}, "shop/web")
        self.keep(opened, attrs.evolve(counted, phase=Phase.OPEN))
        self.assertTrue(self.lines()[1].endswith(" shop/web"), self.lines())
        self.assertEqual(self.named(), (None, "/api/v1/service/a/"))

    def named(self) -> tuple[str | None, str | None]:
        """Give name and resource_uri of the only member."""
        (line,) = self.lines("list", "--json")
        (one,) = json.loads(line)["members"]
        return one["name"], one["resource_uri"]

    def test_json(self) -> None:
        self.watch()
        now = self.now
        self.keep(
            OpenIncident((RULE, "a"), now, ("pd",), "key a", {"pd": "more"}, "shop/a"),
            member("a", Phase.OPEN, 1.0),
            member("c", Phase.PENDING, 2.0, due=now),
        )
        opened, pending = (json.loads(line) for line in self.lines("list", "--json"))
        self.assertEqual(
            opened,
            {
                "state": "open",
                "rule": RULE,
                "key": "key a",
                "since": now,
                "about": "shop/a",
                "told": ["pd"],
                "grouped": {"pd": "more"},
                "opens_at": None,
                "withheld_by": [],
                "excused_by": [],
                "members": [
                    {
                        "stream": "main",
                        "type": "service",
                        "name": "a",
                        "resource_uri": "/api/v1/service/a/",
                        "since": 1.0,
                        "state": "open",
                    }
                ],
            },
        )
        self.assertEqual(
            (pending["state"], pending["opens_at"], pending["about"]), ("pending", now, None)
        )

    def test_without_a_watcher(self) -> None:
        self.keep()
        result = self.incidents()
        self.assertEqual(result.exit_code, 0)
        self.assertEqual(
            result.stderr, f"no watcher runs with the store {self.path}: so it was last\n"
        )

    def test_beside_what_is_no_watcher(self) -> None:
        self.keep()
        self.listen(lambda _: b"hello\n")
        result = self.incidents()
        self.assertEqual(result.exit_code, 0)
        self.assertIn("is no watcher", result.stderr)

    def test_without_a_store(self) -> None:
        result = self.incidents("list", "--store", str(self.folder / "none"))
        self.assertEqual((result.exit_code, result.stdout), (1, ""))
        self.assertIn("there is no store", result.stderr)


class ResolveTests(IncidentsTestCase):
    """``incidents resolve``."""

    def answer(self, *fates: NamedFate, error: str = "") -> None:
        """Have a watcher that answers so."""

        def reply(_question: Question) -> Reply:
            return Reply(error=error, named_fates=fates)

        self.listen(reply)

    def test_what_it_closed(self) -> None:
        self.answer(NamedFate("k", "closed: down: shop/\x1bweb", done=True))
        result = self.incidents("resolve", "k")
        self.assertEqual((result.exit_code, result.output), (0, "k closed: down: shop/\\x1bweb\n"))
        self.assertEqual(self.asked, [AskResolve("k")])

    def test_what_it_did_not(self) -> None:
        self.answer(NamedFate("k", "it was not taken", done=False))
        result = self.incidents("resolve", "k")
        self.assertEqual((result.exit_code, result.output), (1, "k it was not taken\n"))

    def test_an_unknown_key(self) -> None:
        self.answer(error="no incident is open under the key 'x'; did you mean 'y'?")
        result = self.incidents("resolve", "x")
        self.assertEqual((result.exit_code, result.stdout), (1, ""))
        self.assertIn("did you mean 'y'?", result.stderr)

    def test_a_watcher_of_another_version(self) -> None:
        self.answer()
        self.assertEqual(self.incidents("resolve", "x").exit_code, 1)

    def test_nobody_runs(self) -> None:
        result = self.incidents("resolve", "x")
        self.assertEqual((result.exit_code, result.stdout), (1, ""))
        self.assertTrue(result.stderr.endswith("only the watcher changes its store\n"))

    def test_one_that_does_not_answer_rightly(self) -> None:
        self.listen(lambda _: b"hello\n")
        result = self.incidents("resolve", "x")
        self.assertEqual((result.exit_code, result.stdout), (1, ""))
        self.assertIn("is no watcher", result.stderr)

    def test_no_key(self) -> None:
        for key in ("", "x" * 10_001):
            result = self.incidents("resolve", key)
            self.assertEqual(result.exit_code, 2)
            self.assertIn("KEY: it has 1 to 10000 characters", result.stderr)
