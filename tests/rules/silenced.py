"""A shop of which something may be withheld, for tests of silences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tutumwatch.events.inputs import Silence
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, ChangeKind, Resource
from tutumwatch.rules.ignores import Ignores
from tutumwatch.rules.incident_rules import IncidentSettings
from tutumwatch.rules.incident_tables import compile_incident
from tutumwatch.rules.notice import Destination, Form, Notice
from tutumwatch.rules.routes import Routes
from tutumwatch.rules.rule_set import RuleSet
from tutumwatch.rules.silences import Mute, MuteSettings, compile_mute
from tutumwatch.rules.view import View

HOUR, DAY = 3600.0, 86_400.0
STACK, SERVICE, NODE = "/api/v1/stack/k1/", "/api/v1/service/s1/", "/api/v1/node/n1/"


def resource(
    type_: str,
    uuid: str,
    name: str | None,
    parents: Sequence[str] | None = (),
    fields: Mapping[str, Any] | None = None,
) -> Resource:
    """Make a resource of which everything is known, unless its parents are None."""
    is_known = parents is not None
    return Resource(
        ("main", type_, uuid),
        f"/api/v1/{type_}/{uuid}/",
        name,
        "Running",
        None if parents is None else tuple(parents),
        # Its object names neither the stack nor the node cluster of a container.
        is_known and type_ != "container",
        fields or {} if is_known else None,
    )


SHOP = resource("stack", "k1", "shop")
WEB = resource("service", "s1", "web", (STACK,))
WEB_1 = resource("container", "c1", "web-1", (SERVICE, NODE), {"labels": {"team": "pay"}})
NODE_2 = resource("node", "n1", "node-2")
STRANGER = resource("container", "c9", "stranger", None)


def shop() -> Inventory:
    """Make an inventory of a shop: a stack, its service, its container, the node; and a stranger."""
    inventory = Inventory()
    inventory.restore((SHOP, WEB, WEB_1, NODE_2, STRANGER))
    return inventory


def rules() -> RuleSet:
    """Make the rules for a shop: one incident, "service down"."""
    destinations = {"ops": Destination("ops", str)}
    settings = IncidentSettings(
        name="service down", while_={"type": "service", "state": "Stopped"}, notify=["ops"]
    )
    rule = compile_incident(settings, Routes(), destinations, ("ops",), unexpected)
    return RuleSet((), (rule,), Routes(), Ignores(), (), destinations)


def unexpected(where: str, what: str) -> None:
    """Take a mistake where there is none."""
    raise AssertionError((where, what))


def view_of(of: Resource, inventory: Inventory | None = None) -> View:
    """See a resource as a rule does."""
    change = Change("main/e1", ChangeKind.CHANGED, of, of, frozenset(), 0.0)
    return View(inventory or shop(), change)


def silence(
    silence_id: str = "5eaf00",
    match: object = None,
    starts: float = 0.0,
    ends: float = HOUR,
    at: float = 0.0,
) -> Silence:
    """Make a silence, by default of the service web for an hour."""
    tables = [{"service.name": "web"}] if match is None else match
    return Silence(silence_id, tables, starts, ends, "deploy", "ann", at)


def mute(
    name: str = "nights", match: object = None, begin: str = "22:00", end: str = "06:00"
) -> Mute:
    """Make a mute, by default of nodes from 22:00 to 06:00 UTC."""
    tables = {"type": "node"} if match is None else match
    settings = MuteSettings(name=name, match=tables, from_=begin, to=end)
    return compile_mute(settings, (), unexpected)


def said(
    rule: str = "news",
    notifier: str = "ops",
    form: Form = Form.MESSAGE,
    key: str = "k",
    **facts: str,
) -> Notice:
    """Make a notice with some details."""
    return Notice("n1", form, rule, notifier, key, f"{rule} to {notifier}", 0.0, details=facts)
