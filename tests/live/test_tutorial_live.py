"""The tutorial, lived through: the whole watcher between a stream, Slack and PagerDuty."""

from __future__ import annotations

from tests.fakes.answers import Answer
from tests.fakes.tutum_events import (
    StreamEvent,
    container_event,
    event_of,
    node_event,
    service_event,
    stack_event,
    uri_of,
)
from tests.fakes.tutum_objects import rest_object
from tests.live.running import BASIC, PAGERDUTY_KEY, LiveTestCase, built_in_configuration, until

SHOP = "5a9f0b7e-1111-4a5b-9c3d-000000000001"
WEB = "5a9f0b7e-2222-4a5b-9c3d-000000000002"
BOX = "5a9f0b7e-3333-4a5b-9c3d-000000000003"
HOST = "5a9f0b7e-4444-4a5b-9c3d-000000000004"

QUICK = built_in_configuration(for_="2s", clear_for="500ms")
OPENED = {
    "service_key": PAGERDUTY_KEY,
    "event_type": "trigger",
    "incident_key": "tutum-stream",
    "description": "Tutum Stream connection closed.",
}
CLOSED = {
    "service_key": PAGERDUTY_KEY,
    "event_type": "resolve",
    "incident_key": "tutum-stream",
    "description": "Tutum Stream connection open.",
}
# Of a storm, which is one incident; with an empty store nobody knows whether it is open.
NO_STORM = {
    "service_key": PAGERDUTY_KEY,
    "event_type": "resolve",
    "incident_key": "more incidents",
    "description": "more incidents: all are over",
}
GREETING = [CLOSED, NO_STORM]


def box_text(verb: str, uuid: str = BOX) -> str:
    """Give what the tutorial said of a container."""
    return (
        f"Your container was {verb} on Tutum!\nCheck /api/v1/container/{uuid}/ to see more details."
    )


def web_event(action: str = "create", state: str = "Running") -> StreamEvent:
    """Make an event of the service, which belongs to the shop."""
    return service_event(WEB, action=action, state=state, stack=SHOP)


class SlackTests(LiveTestCase):
    """What Slack is told."""

    async def test_a_container(self) -> None:
        """The tutorial's text, letter for letter, in a POST that holds nothing else."""
        await self.start_connected()
        self.tutum.send(container_event(BOX))
        await self.slack.when(lambda fake: len(fake.texts) == 1)
        (request,) = self.slack.requests
        self.assertEqual(
            request.json(),
            {
                "text": "Your container was created on Tutum!\n"
                "Check /api/v1/container/5a9f0b7e-3333-4a5b-9c3d-000000000003/ to see more details."
            },
        )
        self.assertEqual(request.headers["content-type"], "application/json")
        self.assertEqual(self.tutum.rest_requests, [])

    async def test_a_service_with_its_stack(self) -> None:
        """The stack is asked for each time, with the same credentials, and told as it is then."""
        await self.start_connected()
        self.tutum.put(rest_object("stack", SHOP, name="shop", state="Starting"))
        self.tutum.send(web_event())
        await self.slack.when(lambda fake: len(fake.texts) == 1)
        self.tutum.put(rest_object("stack", SHOP, name="shop", state="Partly running"))
        self.tutum.send(web_event("update"))
        await self.slack.when(lambda fake: len(fake.texts) == 2)
        self.assertEqual(
            self.slack.texts,
            [
                (
                    "A Service on Tutum was created.\n"
                    "It belonged to the shop Stack.\n"
                    "The Stack state is: Starting"
                ),
                (
                    "A Service on Tutum was updated.\n"
                    "It belonged to the shop Stack.\n"
                    "The Stack state is: Partly running"
                ),
            ],
        )
        asked = self.tutum.rest_requests
        self.assertEqual([r.path for r in asked], [uri_of("stack", SHOP)] * 2)
        self.assertEqual(asked[0].headers["accept"], "application/json")
        self.assertEqual(asked[0].headers["authorization"], f"Basic {BASIC}")

    async def test_verbs(self) -> None:
        """Every verb is in the past tense, those that the tutorial spelled wrong as well."""
        await self.start_connected()
        for action in ("create", "update", "delete", "stop", "redeploy"):
            self.tutum.send(container_event(BOX, action=action))
        await self.slack.when(lambda fake: len(fake.texts) == 5)
        self.assertEqual(
            self.slack.texts,
            [box_text(v) for v in ("created", "updated", "deleted", "stopped", "redeployed")],
        )

    async def test_who_is_not_spoken_of(self) -> None:
        """A service without parents and a user notification say nothing, here or on the console."""
        await self.start_connected()
        self.tutum.send(service_event(WEB, stack=""))
        self.tutum.send({"type": "user-notifications", "action": "create", "state": "x"})
        self.tutum.send(container_event(BOX))
        await self.slack.when(lambda fake: len(fake.texts) == 1)
        self.assertEqual(self.slack.texts, [box_text("created")])
        self.assertEqual(self.console_lines(), ["Connected", "Auth completed"])

    async def test_few_that_wait_go_one_by_one(self) -> None:
        """One POST for each notice, in order, while ten or fewer wait."""
        await self.start_connected()
        uuids = [f"{BOX[:-2]}{number:02}" for number in range(10)]
        self.tutum.send_many(container_event(uuid) for uuid in uuids)
        await self.slack.when(lambda fake: len(fake.requests) == 10)
        self.assertEqual(self.slack.texts, [box_text("created", uuid) for uuid in uuids])

    async def test_a_stack_that_is_gone(self) -> None:
        """A 404 is an answer: the notice goes out at once, and says so."""
        await self.start_connected()
        self.tutum.send(web_event("delete", "Terminated"))
        await self.slack.when(lambda fake: len(fake.texts) == 1)
        self.assertEqual(
            self.slack.texts,
            [
                (
                    "A Service on Tutum was deleted.\n"
                    "It belonged to the  Stack.\n"
                    "The Stack state is:  (the stack is gone)"
                )
            ],
        )

    async def test_a_rest_api_that_fails(self) -> None:
        """Asked twice in vain, the notice goes out, marked; the stream goes on."""
        await self.start_connected()
        self.tutum.answer_always(Answer(500, "oops"))
        self.tutum.send(web_event())
        self.tutum.send(container_event(BOX))
        await self.slack.when(lambda fake: len(fake.texts) == 2)
        self.assertEqual(
            self.slack.texts,
            [
                box_text("created"),
                (
                    "A Service on Tutum was created.\n"
                    "It belonged to the (unknown) Stack.\n"
                    "The Stack state is: (unknown) (details unknown)"
                ),
            ],
        )
        self.assertEqual(len(self.tutum.rest_requests), 2)

    async def test_a_rest_api_that_hangs(self) -> None:
        """After ten seconds the notice goes out, marked."""
        await self.start_connected()
        self.tutum.answer_always(Answer.hang())
        self.tutum.send(web_event())
        await self.slack.when(lambda fake: len(fake.texts) == 1, timeout_seconds=12)
        self.assertEqual(
            self.slack.texts,
            [
                (
                    "A Service on Tutum was created.\n"
                    "It belonged to the (unknown) Stack.\n"
                    "The Stack state is: (unknown) (details unknown)"
                )
            ],
        )


class ConsoleTests(LiveTestCase):
    """What the terminal shows."""

    async def test_a_whole_session(self) -> None:
        """Connected, Auth completed, the other events, the error and the end, in this order."""
        await self.start_connected()
        self.tutum.send(stack_event(SHOP, action="update", state="Partly running"))
        self.tutum.send(node_event(HOST, state="Deployed", nodecluster=SHOP))
        self.tutum.send(event_of("volume", BOX, said=("create", "Created"), parents=[]))
        await until(lambda: len(self.console_lines()) == 5)
        self.tutum.close(4001, "maintenance")
        await until(lambda: len(self.console_lines()) == 9)
        self.assertEqual(
            self.console_lines(),
            [
                "Connected",
                "Auth completed",
                f"stack:update:Partly running:/api/v1/stack/{SHOP}/:[]",
                f"node:create:Deployed:/api/v1/node/{HOST}/:['/api/v1/nodecluster/{SHOP}/']",
                f"volume:create:Created:/api/v1/volume/{BOX}/:[]",
                "closed by the server with 4001 maintenance",
                "### closed ###",
                "Connected",
                "Auth completed",
            ],
        )


class PagerDutyTests(LiveTestCase):
    """Who is paged, and when."""

    async def start_greeted(self) -> None:
        """Start a watcher with an empty store, and wait until PagerDuty knows that all is well."""
        await self.start_connected(QUICK)
        await self.pagerduty.when(lambda fake: len(fake.events) == len(GREETING))

    async def test_the_first_connect_resolves_what_may_be_open(self) -> None:
        await self.start_connected()
        (request,) = self.pagerduty.requests
        self.assertEqual(request.path, "/generic/2010-04-15/create_event.json")
        self.assertEqual(request.json(), CLOSED)
        await self.pagerduty.when(lambda fake: len(fake.events) == len(GREETING))
        self.assertEqual(self.pagerduty.events, GREETING)

    async def test_a_break_of_a_second_pages_nobody(self) -> None:
        """With the reconnect that follows, the stream was away for less than ``for``."""
        await self.start_greeted()
        self.tutum.drop()
        await self.tutum.when(lambda fake: len(fake.handshakes) == 2)
        # Nothing is pending any more, so no page can come of it.
        await until(lambda: self.pipeline.decider.next_due() is None)
        self.assertEqual(self.pagerduty.events, GREETING)

    async def test_a_longer_break_triggers_once_and_resolves_once(self) -> None:
        await self.start_greeted()
        await self.tutum.refuse_connections()
        await self.pagerduty.when(lambda fake: len(fake.events) == len(GREETING) + 1)
        self.assertEqual(self.pagerduty.open_keys(), ["tutum-stream"])
        await self.tutum.resume()
        await self.pagerduty.when(lambda fake: len(fake.events) == len(GREETING) + 2)
        self.assertEqual(self.pagerduty.events, [*GREETING, OPENED, CLOSED])
        self.assertEqual(self.pagerduty.open_keys(), [])

    async def test_a_page_survives_a_pagerduty_that_fails(self) -> None:
        """First tries that fail, or are acted on and not answered, change nothing in the end."""
        await self.start_greeted()
        self.pagerduty.answer_next(Answer(500), Answer.accept_then_reset())
        await self.tutum.refuse_connections()
        await self.pagerduty.when(lambda fake: len(fake.requests) == len(GREETING) + 1)
        await self.tutum.resume()
        await self.pagerduty.when(
            lambda fake: fake.closed_count("tutum-stream") == 1, timeout_seconds=20
        )
        self.assertEqual(self.pagerduty.opened_count("tutum-stream"), 1)
        tried = [request.json()["event_type"] for request in self.pagerduty.requests]
        self.assertEqual(tried, [*["resolve"] * 2, *["trigger"] * 3, "resolve"])
