"""Builds the events of Tutum's stream, with the order of fields and of parents that it has.

Uuids that a caller does not give come from a seeded random source and have the version-4 form.
"""

from __future__ import annotations

import random
import uuid as uuids
from typing import Literal, NotRequired, TypedDict

Kind = Literal["stack", "service", "container", "nodecluster", "node", "action"]
KINDS: tuple[Kind, ...] = ("stack", "service", "container", "nodecluster", "node", "action")

_random = random.Random(2015)


class StreamEvent(TypedDict):
    """One message of the stream; the last two fields are in real captures, not in the document."""

    type: str
    action: str
    state: str
    resource_uri: str
    parents: list[str]
    uuid: NotRequired[str]
    date: NotRequired[str]


def new_uuid(source: random.Random = _random) -> str:
    """Return the next uuid (version 4) of a seeded random source."""
    return str(uuids.UUID(int=source.getrandbits(128), version=4))


def uri_of(kind: str, uuid: str) -> str:
    """Return the REST path of an object."""
    return f"/api/v1/{kind}/{uuid}/"


def kind_and_uuid(resource_uri: str) -> tuple[str, str]:
    """Split the REST path of an object, of Tutum's form or Docker Cloud's, into its last parts."""
    kind, uuid = resource_uri.strip("/").split("/")[-2:]
    return kind, uuid


def event_of(
    kind: str,
    uuid: str | None = None,
    *,
    said: tuple[str, str],
    parents: list[str],
    date: str | None = None,
) -> StreamEvent:
    """Return an event of any type; ``said`` is its action and state.

    A ``date`` (ISO, with offset) adds the two fields that only real captures have.
    """
    action, state = said
    made: StreamEvent = {
        "type": kind,
        "action": action,
        "state": state,
        "resource_uri": uri_of(kind, uuid or new_uuid()),
        "parents": parents,
    }
    if date is not None:
        made["uuid"] = new_uuid()
        made["date"] = date
    return made


def stack_event(
    uuid: str | None = None,
    *,
    action: str = "create",
    state: str = "Running",
    date: str | None = None,
) -> StreamEvent:
    """Return the event of a stack, which has no parents."""
    return event_of("stack", uuid, said=(action, state), parents=[], date=date)


def service_event(
    uuid: str | None = None,
    *,
    action: str = "create",
    state: str = "Running",
    stack: str | None = None,
    date: str | None = None,
) -> StreamEvent:
    """Return the event of a service; its parent is its stack (``stack=""``: it has none)."""
    parents = [] if stack == "" else [uri_of("stack", stack or new_uuid())]
    return event_of("service", uuid, said=(action, state), parents=parents, date=date)


def container_event(
    uuid: str | None = None,
    *,
    action: str = "create",
    state: str = "Starting",
    service: str | None = None,
    stack: str | None = None,
    node: str | None = None,
    nodecluster: str | None = None,
    date: str | None = None,
) -> StreamEvent:
    """Return the event of a container; parents: service, stack, node, node cluster.

    >>> container_event("0-uuid", service="1", stack="2", node="3", nodecluster="4")["parents"]
    ['/api/v1/service/1/', '/api/v1/stack/2/', '/api/v1/node/3/', '/api/v1/nodecluster/4/']
    """
    parents = [
        uri_of("service", service or new_uuid()),
        uri_of("stack", stack or new_uuid()),
        uri_of("node", node or new_uuid()),
        uri_of("nodecluster", nodecluster or new_uuid()),
    ]
    return event_of("container", uuid, said=(action, state), parents=parents, date=date)


def nodecluster_event(
    uuid: str | None = None,
    *,
    action: str = "create",
    state: str = "Deployed",
    date: str | None = None,
) -> StreamEvent:
    """Return the event of a node cluster, which has no parents."""
    return event_of("nodecluster", uuid, said=(action, state), parents=[], date=date)


def node_event(
    uuid: str | None = None,
    *,
    action: str = "create",
    state: str = "Deployed",
    nodecluster: str | None = None,
    date: str | None = None,
) -> StreamEvent:
    """Return the event of a node; its parent is its cluster."""
    parents = [uri_of("nodecluster", nodecluster or new_uuid())]
    return event_of("node", uuid, said=(action, state), parents=parents, date=date)


def action_event(
    uuid: str | None = None,
    *,
    action: str = "create",
    state: str = "In progress",
    of: StreamEvent | None = None,
    date: str | None = None,
) -> StreamEvent:
    """Return the event of an action; parents: the object it acts on, and that object's parents."""
    acted = service_event() if of is None else of
    return event_of(
        "action",
        uuid,
        said=(action, state),
        parents=[acted["resource_uri"], *acted["parents"]],
        date=date,
    )
