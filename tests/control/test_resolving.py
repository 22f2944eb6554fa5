"""Tests of closing incidents by hand: what is closed, and what is said of a key that is not."""

from __future__ import annotations

from twisted.internet.defer import succeed

from tests.control.cases import CommandsTestCase
from tutumwatch.control.resolving import Resolving
from tutumwatch.control.silencing import NOT_TAKEN
from tutumwatch.control.wire import AskResolve, NamedFate, Reply
from tutumwatch.events.inputs import Resolve
from tutumwatch.inventory.resource import Resource, change_of
from tutumwatch.rules.decisions import Decisions
from tutumwatch.rules.members import Member, OpenIncident, Phase, encode

GROUP = "more incidents"


class ResolvingTests(CommandsTestCase):
    """``tutumwatch incidents resolve``, as the watcher does it."""

    def ask(self, key: str) -> Reply:
        """Ask for it."""
        return self.result_of(self.commands.do(AskResolve(key)))

    def fates(self, key: str) -> tuple[NamedFate, ...]:
        """Ask for what can be done."""
        reply = self.ask(key)
        self.assertEqual(reply.error, "")
        return reply.named_fates

    def open_grouped(self, rule: str, key: str) -> None:
        """Let an incident be open that was told of in a group."""
        one = OpenIncident((rule, key), 60.0, (), key, {"ops": GROUP}, "shop/web")
        self.decider.restore({("incident", f'["{rule}","{key}"]'): encode(one)}, (), 0, 0.0)

    def test_it_is_closed(self) -> None:
        self.open_incident("down", "down/main/s1")
        self.open_incident("down", "down/main/s2")
        self.assertEqual(
            self.fates("down/main/s1"),
            (
                NamedFate(
                    "down/main/s1",
                    "closed: down: down/main/s1, open since 1970-01-01T00:00:00Z, told to ops",
                    done=True,
                ),
            ),
        )
        self.assertEqual(self.carried, [Resolve("down/main/s1", 50.0)])
        self.assertEqual(
            [one.key for one in self.decider.incidents.open_incidents()], ["down/main/s2"]
        )
        (event,) = [e for e in self.log.events if "closed by hand" in e["log_format"]]
        self.assertEqual((event["key"], event["count"]), ("down/main/s1", 1))

    def test_all_of_a_group(self) -> None:
        self.open_grouped("down", "a")
        self.open_grouped("lost", "b")
        fates = self.fates(GROUP)
        self.assertEqual([fate.name for fate in fates], ["a", "b"])
        self.assertEqual(
            fates[0].became,
            "closed: down: shop/web, open since 1970-01-01T00:01:00Z, told to nobody",
        )
        self.assertEqual(self.decider.incidents.open_incidents(), [])

    def test_what_is_not_open(self) -> None:
        self.assertEqual(self.ask("x").error, "no incident is open under the key 'x'; none is open")
        self.open_incident("down", "down/main/s1")
        self.open_incident("lost", "lost/node-1")
        for key, hint in (
            ("down/main/s2", "did you mean 'down/main/s1'?"),
            ("node-1", "did you mean 'lost/node-1'?"),
            ("zzz", "`tutumwatch incidents` lists those that are"),
        ):
            self.assertEqual(
                self.ask(key), Reply(error=f"no incident is open under the key {key!r}; {hint}")
            )
        self.assertEqual(self.carried, [])

    def test_what_is_on_its_way(self) -> None:
        change = change_of("c", None, Resource(("main", "node", "n1"), "/api/v1/node/n1/"))
        member = Member(("lost", change.after.key), ("lost", "k"), Phase.PENDING, 0.0, change)
        self.decider.restore(
            {("member", '["lost",["main","node","n1"]]'): encode(member)}, (), 0, 0.0
        )
        self.assertEqual(
            self.ask("k").error,
            "the incident 'k' is not open: it is pending; nobody was told of it",
        )

    def test_what_is_not_taken(self) -> None:
        """It says so, and not that it is closed."""
        self.open_incident("down", "k")
        resolving = Resolving(self.decider, lambda _: succeed(Decisions()), lambda: 50.0)
        reply = self.result_of(resolving.resolve("k"))
        self.assertEqual(reply, Reply(named_fates=(NamedFate("k", NOT_TAKEN, done=False),)))
