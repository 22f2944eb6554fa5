"""Tests of routes: who is told of what."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.rules.world import DESTINATIONS, SERVICE, STACK, unexpected
from tutumwatch.events.event import Event
from tutumwatch.events.inputs import Found, Link, LinkType, Looked
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.rules.decisions import Need
from tutumwatch.rules.route_tables import compile_routes
from tutumwatch.rules.routes import Audience, Routed, Routes, compile_audience, remarks
from tutumwatch.rules.view import View

# "off" is configured, and off.
KNOWN = (*DESTINATIONS, "off")
PAY: dict[str, object] = {"match": {"stack.name": "pay"}, "news": ["plain"]}
LAST = {"news": ["slack"]}
NEEDS_STACK = frozenset({Need("main", STACK)})


def compiled(*tables: object) -> Routes:
    """Compile routes that hold no mistake."""
    return compile_routes(tables, DESTINATIONS, KNOWN, unexpected)


def audience(notify: object, routes: Routes | None = None) -> Audience:
    """Compile a ``notify`` that holds no mistake."""
    return compile_audience(notify, routes or Routes(), DESTINATIONS, KNOWN, unexpected)


class RoutesTestCase(SynchronousTestCase):
    """Routes changes of a service in a stack of which nothing is known at first."""

    def setUp(self) -> None:
        """Know nothing."""
        self.inventory = Inventory()

    def view(self, uri: str = SERVICE, **fields: object) -> View:
        """Look at a service that is running."""
        event = Event("service", "update", "Running", uri, [STACK], object=fields or None)
        return View(self.inventory, self.inventory.apply_event(event, "id", "main", 1, 5.0))

    def know_stack(self, name: str) -> None:
        """Look the stack up."""
        looked = Looked("main", STACK, 1, Found({"name": name}), 6.0)
        self.inventory.apply_looked(looked, "looked")

    def told(self, routes: Routes, notify: object, view: View | None = None) -> tuple[str, ...]:
        """Say who is told for certain."""
        routed = routes.resolve(audience(notify, routes), view or self.view(name="web"))
        self.assertEqual((routed.needs, routed.failed), (frozenset(), ""))
        return routed.notifiers


class ResolveTests(RoutesTestCase):
    """What each role comes to."""

    def test_without_routes_notifiers_are_named(self) -> None:
        self.assertEqual(self.told(Routes(), ["slack", "plain", "slack"]), ("slack", "plain"))
        self.assertEqual(self.told(Routes(), "pd"), ("pd",))
        self.assertEqual(self.told(Routes(), ["off"]), ())

    def test_the_first_route_that_matches_wins(self) -> None:
        routes = compiled(
            {"match": {"state": "Stopped"}, "news": ["plain"]},
            {"match": {"name": "w*"}, "news": ["slack"]},
            {"news": ["pd"]},
        )
        self.assertEqual(self.told(routes, "news"), ("slack",))
        self.assertEqual(self.told(routes, "news", self.view(name="db")), ("pd",))

    def test_a_route_that_continues_is_told_besides(self) -> None:
        routes = compiled(
            {"match": {"name": "w*"}, "continue": True, "news": ["plain", "pd"]},
            {"match": {"name": "*b"}, "continue": False, "news": ["slack", "pd"]},
            {"news": ["off"]},
        )
        self.assertEqual(self.told(routes, "news"), ("plain", "pd", "slack"))

    def test_a_role_goes_on_to_the_next_route_that_has_it(self) -> None:
        """The first route takes the news alone."""
        routes = compiled(
            {"match": {"name": "web"}, "news": ["plain"]},
            {"news": ["slack"], "page": ["pd"]},
        )
        self.assertEqual(self.told(routes, ["page", "news"]), ("pd", "plain"))

    def test_a_route_whose_notifiers_are_off_leaves_the_role_to_the_next(self) -> None:
        """An optional destination that is off makes nothing unheard."""
        routes = compiled({"match": {"name": "web"}, "page": ["off"]}, {"page": ["slack"]})
        self.assertEqual(self.told(routes, "page"), ("slack",))

    def test_a_route_matches_a_label(self) -> None:
        """A label's name is one key, however it is written."""
        for match in (
            {"labels": {"tutumwatch.team": "pay"}},
            {"labels.tutumwatch.team": "pay"},
            {"labels": {"tutumwatch": {"team": "pay"}}},
        ):
            routes = compiled({"match": match, "news": "plain"}, {"news": "slack"})
            team = self.view(labels={"tutumwatch.team": "pay"})
            self.assertEqual(self.told(routes, "news", team), ("plain",))
            self.assertEqual(self.told(routes, "news", self.view(labels={})), ("slack",))

    def test_roles_and_notifiers_may_be_mixed(self) -> None:
        routes = compiled({"news": ["slack", "pd"]})
        self.assertEqual(self.told(routes, ["pd", "news"]), ("pd", "slack"))

    def test_of_alternatives_the_first_that_is_on_is_told(self) -> None:
        routes = compiled({"page": ["off | pd|slack", "plain"], "none": "off|off"})
        self.assertEqual(self.told(routes, "page"), ("pd", "plain"))
        self.assertEqual(self.told(routes, "none"), ())
        self.assertEqual(self.told(routes, "off | slack"), ("slack",))

    def test_everyone(self) -> None:
        """A role, or a rule, may have every notifier that is on."""
        self.assertEqual(self.told(Routes(), "*"), ("plain", "slack", "pd"))
        self.assertEqual(self.told(Routes(), ["pd", "*"]), ("pd", "plain", "slack"))
        self.assertEqual(self.told(compiled({"all": "*"}), "all"), ("plain", "slack", "pd"))
        self.assertTrue(audience("*").everyone)
        self.assertFalse(audience("pd").everyone)

    def test_a_when_that_raises_is_no_match_and_is_told(self) -> None:
        when = "1 / (exit_code - 137) > 0"
        routes = compiled({"when": when, "news": ["plain"]}, {"news": ["slack"], "page": ["pd"]})
        routed = routes.resolve(audience(["page", "news"], routes), self.view(exit_code=137))
        self.assertEqual(routed.notifiers, ("pd", "slack"))
        self.assertEqual(routed.needs, frozenset())
        self.assertEqual(routed.failed, "when: ZeroDivisionError: division by zero")
        self.assertEqual(self.told(routes, "news", self.view(exit_code=138)), ("plain",))


class UnknownTests(RoutesTestCase):
    """Routes that depend on what was not looked up."""

    def resolve(self, *tables: object, settled: bool = False) -> Routed:
        """Route the news of a service."""
        routes = compiled(*tables)
        return routes.resolve(audience("news", routes), self.view(), settled=settled)

    def test_who_may_be_told_until_it_is_known(self) -> None:
        self.assertEqual(self.resolve(PAY, LAST), Routed(("plain", "slack"), NEEDS_STACK))

    def test_a_look_up_decides(self) -> None:
        self.know_stack("pay")
        self.assertEqual(self.resolve(PAY, LAST), Routed(("plain",)))
        self.know_stack("shop")
        self.assertEqual(self.resolve(PAY, LAST), Routed(("slack",)))

    def test_what_comes_before_needs_no_look_up(self) -> None:
        first = {"match": {"state": "Running"}, "news": ["pd"]}
        self.assertEqual(self.resolve(first, PAY, LAST), Routed(("pd",)))

    def test_a_route_without_the_role_needs_no_look_up(self) -> None:
        pay = {"match": {"stack.name": "pay"}, "page": ["pd"]}
        self.assertEqual(self.resolve(pay, {"news": ["slack"], "page": ["pd"]}), Routed(("slack",)))

    def test_what_stays_unknown_goes_to_the_last_route(self) -> None:
        between = {"match": {"state": "Running"}, "news": ["pd"]}
        routed = self.resolve(PAY, between, LAST, settled=True)
        self.assertEqual(routed, Routed(("slack",), NEEDS_STACK))

    def test_what_is_certain_before_it_stays(self) -> None:
        first = {"match": {"state": "Running"}, "continue": True, "news": ["pd"]}
        routed = self.resolve(first, PAY, LAST, settled=True)
        self.assertEqual(routed, Routed(("pd", "slack"), NEEDS_STACK))

    def test_an_unknown_route_that_continues_takes_nothing_from_the_others(self) -> None:
        pay = {**PAY, "continue": True}
        between = {"match": {"state": "Running"}, "news": ["pd"]}
        routed = self.resolve(pay, between, LAST, settled=True)
        self.assertEqual(routed, Routed(("pd",), NEEDS_STACK))

    def test_somebody_is_told_although_no_last_route_has_the_role(self) -> None:
        other = {"match": {"state": "Stopped"}, "news": ["pd"]}
        routed = self.resolve(PAY, other, {"page": ["slack"]}, settled=True)
        self.assertEqual(routed, Routed(("plain",), NEEDS_STACK))
        pay = {**PAY, "continue": True}
        routed = self.resolve(pay, other, {"page": ["slack"]}, settled=True)
        self.assertEqual(routed, Routed(("plain",), NEEDS_STACK))

    def test_needs_of_all_roles_are_told_at_once(self) -> None:
        routes = compiled(
            {"match": {"name": "web"}, "page": ["pd"]},
            {"match": {"stack.name": "pay"}, "news": ["plain"]},
            {"news": ["slack"], "page": ["slack"]},
        )
        routed = routes.resolve(audience(["page", "news"], routes), self.view())
        self.assertEqual(routed.needs, NEEDS_STACK | {Need("main", SERVICE)})
        self.assertEqual(routed.notifiers, ("pd", "slack", "plain"))


class OwnTroubleTests(RoutesTestCase):
    """A notifier is not told of its own trouble: it could not be delivered."""

    def trouble(self, name: str) -> View:
        """Look at a notifier that fails."""
        link = Link(LinkType.NOTIFIER, name, "Failing", "why", 5.0)
        return View(self.inventory, self.inventory.apply_link(link, "id"))

    def test_the_others_are_told(self) -> None:
        self.assertEqual(self.told(Routes(), "*", self.trouble("pd")), ("plain", "slack"))
        routes = compiled({"page": ["pd"], "news": ["slack"]})
        self.assertEqual(self.told(routes, ["page", "news"], self.trouble("pd")), ("slack",))

    def test_it_is_told_if_nobody_else_is(self) -> None:
        self.assertEqual(self.told(Routes(), ["pd"], self.trouble("pd")), ("pd",))

    def test_a_service_of_that_name_is_no_notifier(self) -> None:
        view = self.view("/api/v1/service/pd/", name="pd")
        self.assertEqual(self.told(Routes(), ["pd", "slack"], view), ("pd", "slack"))


class ReachableTests(SynchronousTestCase):
    """Who could be told, and what routes read."""

    def test_everybody_whom_a_route_could_tell(self) -> None:
        routes = compiled(
            {"match": {"stack.name": "pay"}, "news": ["plain"], "page": ["pd"]},
            {"news": ["slack", "off"], "page": ["off"]},
        )
        self.assertEqual(routes.reachable(audience("news", routes)), ("plain", "slack"))
        self.assertEqual(routes.reachable(audience(["slack", "page"], routes)), ("slack", "pd"))
        self.assertEqual(routes.reachable(audience("off", routes)), ())

    def test_paths(self) -> None:
        routes = compiled(
            {"match": {"stack.name": "pay"}, "news": "plain"},
            {"match": {"labels.a.b": "x"}, "when": "exit_code > 1", "news": "plain"},
            {"news": "slack"},
        )
        paths = {("stack", "name"), ("labels", "a.b"), ("exit_code",)}
        self.assertEqual(routes.paths, paths)
        self.assertEqual(Routes().paths, frozenset())


class RemarksTests(SynchronousTestCase):
    """What is no mistake and yet may not be meant."""

    def remarks(self, *tables: object, notify: object = ("news",)) -> list[str]:
        """Give the remarks on routes and one rule."""
        routes = compiled(*tables)
        return remarks(routes, [audience(notify, routes)])

    def test_nothing_to_remark(self) -> None:
        self.assertEqual(
            self.remarks({"match": {"type": "node"}, "news": "pd"}, {"news": "pd"}), []
        )

    def test_nobody_is_on(self) -> None:
        self.assertEqual(
            self.remarks({"match": {"type": "node"}, "news": "off"}, {"news": ["off"]}),
            ["role news: none of its notifiers is on, so what is for it reaches nobody"],
        )

    def test_no_last_route_has_the_role(self) -> None:
        self.assertEqual(
            self.remarks(
                {"match": {"type": "node"}, "news": "pd"}, {"page": "pd"}, notify=["news", "page"]
            ),
            [
                "role news: what its other routes do not match reaches nobody: no route without match has it"
            ],
        )

    def test_of_the_last_route_nobody_is_on(self) -> None:
        self.assertEqual(
            self.remarks({"match": {"type": "node"}, "news": "pd"}, {"news": "off"}),
            [
                "role news: what its other routes do not match reaches nobody: of the route without match none of its notifiers is on"
            ],
        )

    def test_a_role_that_no_rule_notifies(self) -> None:
        self.assertEqual(
            self.remarks({"news": "pd", "page": "pd"}), ["role page: no rule notifies it"]
        )


class AudienceMistakesTests(SynchronousTestCase):
    """What is wrong with a ``notify``."""

    def mistakes(self, notify: object, *tables: object) -> list[str]:
        """Compile and give what is wrong."""
        found: list[tuple[str, str]] = []
        compile_audience(
            notify, compiled(*tables), DESTINATIONS, KNOWN, lambda *said: found.append(said)
        )
        self.assertEqual({where for where, _ in found} - {"notify"}, set())
        return [what for _, what in found]

    def test_without_routes(self) -> None:
        for notify, what in (
            ([], "names no notifier, so nobody would be told"),
            (5, 'expected a role or a notifier, or a list such as ["news", "slack"], got 5'),
            (["pd", 5], "expected a role or a notifier, or a list such as"),
            ("slak", "there is no notifier 'slak' (did you mean 'slack'?)"),
            (["pd", "xyz"], "there is no notifier 'xyz'"),
            ("pd | slak", "there is no notifier 'slak' (did you mean 'slack'?)"),
            ("pd |", "'pd |' lacks the name of a notifier"),
            ("", "'' lacks the name of a notifier"),
        ):
            (found,) = self.mistakes(notify)
            self.assertTrue(found.startswith(what), found)

    def test_with_routes(self) -> None:
        news = {"news": "slack"}
        for notify, what in (
            ("nws", "there is no notifier, and no role of a route, 'nws' (did you mean 'news'?)"),
            (
                ["slak"],
                "there is no notifier, and no role of a route, 'slak' (did you mean 'slack'?)",
            ),
            ("news | pd", "'news' is a role; alternatives are notifiers"),
            ("slak | pd", "there is no notifier 'slak' (did you mean 'slack'?)"),
        ):
            self.assertEqual(self.mistakes(notify, news), [what])

    def test_all_are_told_at_once(self) -> None:
        self.assertEqual(len(self.mistakes(["slak", "", "pd", "plan"])), 3)

    def test_a_notifier_that_is_off_is_no_mistake(self) -> None:
        self.assertEqual(self.mistakes(["off", "off | pd"]), [])


class RouteMistakesTests(SynchronousTestCase):
    """What is wrong with ``[[routes]]``."""

    def mistakes(self, *tables: object) -> list[tuple[str, str]]:
        """Compile and give what is wrong."""
        found: list[tuple[str, str]] = []
        compile_routes(tables, DESTINATIONS, KNOWN, lambda *said: found.append(said))
        return found

    def test_mistakes_of_one_route(self) -> None:
        wanted = 'expected notifiers such as ["slack"] or "pagerduty | slack", got '
        for route, where, what in (
            (5, "0", "expected a table, got 5"),
            ({}, "0", 'names no role such as news = ["slack"], so it tells nobody'),
            ({"news": "slak"}, "0.news", "there is no notifier 'slak' (did you mean 'slack'?)"),
            (
                {"news": ["pd|plan"]},
                "0.news",
                "there is no notifier 'plan' (did you mean 'plain'?)",
            ),
            (
                {"news": []},
                "0.news",
                f"{wanted}an empty list; what nobody is to hear of belongs into [[ignore]]",
            ),
            ({"news": 5}, "0.news", f"{wanted}5"),
            (
                {"stack.name": "shop"},
                "0.stack.name",
                "there is no notifier 'shop'; a field belongs into the match: match = { stack.name = ... }",
            ),
            (
                {"state": "Running"},
                "0.state",
                "there is no notifier 'Running'; a field belongs into the match: match = { state = ... }",
            ),
            ({"news": [["pd"]]}, "0.news", f"{wanted}[['pd']]"),
            (
                {"news": "pd", "contnue": True},
                "0.contnue",
                f"{wanted}True (did you mean 'continue'?)",
            ),
            ({"news": "pd", "continue": "yes"}, "0.continue", "expected true or false, got 'yes'"),
            (
                {"slack": "pd"},
                "0.slack",
                "a notifier has this name, so rules could not notify the role; call it otherwise",
            ),
            (
                {"*": "pd"},
                "0.*",
                "this means every notifier, so rules could not notify the role; call it otherwise",
            ),
        ):
            self.assertEqual(self.mistakes(route), [(where, what)], route)

    def test_mistakes_in_matches(self) -> None:
        last = {"news": "slack"}
        stat = "'stat' is no known field (did you mean 'state'?)"
        for match, where in (
            ({"stat": "x"}, "0.match.stat"),
            ([{"type": "node"}, {"stat": "x"}], "0.match.1.stat"),
        ):
            self.assertEqual(self.mistakes({"match": match, "news": "pd"}, last), [(where, stat)])
        ((where, _),) = self.mistakes({"when": "exit_code >", "news": "pd"}, last)
        self.assertEqual(where, "0.when")

    def test_the_last_route_may_refuse_nothing(self) -> None:
        what = (
            "the last route must have none; "
            "add a [[routes]] without match after it, for what no other route takes"
        )
        node = {"match": {"type": "node"}, "news": "slack"}
        self.assertEqual(self.mistakes({"page": "pd"}, node), [("1.match", what)])
        condition = {"when": "exit_code > 1", "news": "slack"}
        self.assertEqual(self.mistakes(condition), [("0.when", what)])
        self.assertEqual(self.mistakes(node, {"match": {}, "news": "pd"}), [])
        self.assertEqual(self.mistakes(node, 7), [("1", "expected a table, got 7")])

    def test_a_role_that_is_never_reached(self) -> None:
        what = (
            "is never reached: routes[1] has no match and takes all of it; "
            "give that one a match or continue = true, or leave 'news' out here"
        )
        last = {"news": "slack", "page": "pd"}
        self.assertEqual(self.mistakes({"news": "plain"}, last), [("1.news", what)])
        self.assertEqual(
            self.mistakes({"news": "plain"}, {"news": "pd"}, last),
            [("1.news", what), ("2.news", what)],
        )

    def test_a_role_that_is_reached(self) -> None:
        last = {"news": "slack", "page": "pd"}
        for first in (
            {"other": "plain"},
            {"news": "plain", "continue": True},
            {"news": "plain", "match": {"type": "node"}},
            {"news": "plain", "when": "exit_code > 1"},
        ):
            self.assertEqual(self.mistakes(first, last), [], first)

    def test_a_route_that_holds_a_mistake_brings_no_others(self) -> None:
        """Nothing is said of what would follow if it were so."""
        routes = compile_routes(
            [{"match": {"stat": "x"}, "news": 5}, {"news": "pd"}],
            DESTINATIONS,
            KNOWN,
            lambda *_said: None,
        )
        self.assertEqual(routes.roles, ("news",))
        self.assertEqual(len(self.mistakes({"match": {"stat": "x"}, "news": 5}, {"news": "pd"})), 2)
        self.assertEqual(len(self.mistakes({"when": 5, "news": "pd"}, {"news": "pd"})), 1)
