"""What a rule sees of a change: own fields and parents' fields, each a value, absent or unknown.

Absent is not unknown. A field that a known object does not carry is absent: nothing will ever
make it match. Unknown is only what was not looked up yet, or could not be.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeAlias

import attrs
from msgspec.structs import replace

from tutumwatch.events.resource_uri import parse_resource_uri
from tutumwatch.inventory.deploys import NEVER
from tutumwatch.inventory.endings import is_over
from tutumwatch.inventory.health import (
    TYPES_WITH_HEALTH,
    no_children,
    wellness_of,
)
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, Resource
from tutumwatch.inventory.survey import in_words
from tutumwatch.rules.decisions import Need
from tutumwatch.rules.vocabulary import DERIVED_FIELDS, PARENT_TYPES, Path


class _Absent(Enum):
    ABSENT = "absent"


ABSENT = _Absent.ABSENT


@attrs.frozen
class Unknown:
    """What would have to be looked up to know."""

    need: Need


Value: TypeAlias = Any
"""A JSON scalar, a list or mapping of texts, ABSENT, or an Unknown."""

TYPE: Path = ("type",)
_OF_THE_CHANGE = frozenset({"kind", "action", "changed", "late", "date"})

# A container's object does not name these; one of its parents does.
_NAMED_BY = {"stack": "service", "nodecluster": "node"}


# Not frozen, which takes four times as long: one is made for every rule and change.
@attrs.define(eq=False)
class View:
    """Reads the fields of one change.

    :param fresh: the parent types that this rule wants looked up after the event.
    :param answered: the resource_uris that were looked up for this rule and change since.
    """

    _inventory: Inventory
    _change: Change
    _fresh: frozenset[str] = frozenset()
    _answered: frozenset[str] = frozenset()

    def value(self, path: Path) -> Value:
        """Give the value at a path that :func:`tutumwatch.rules.vocabulary.field_of` made."""
        if path == TYPE:
            # It does not change, and nearly every rule asks for it.
            return self._change.after.type
        head, rest = path[0], path[1:]
        if head == "before":
            before = self._change.before
            return ABSENT if before is None else self._field(before, rest, settled=True)
        if rest and head in PARENT_TYPES:
            return self._of_parent(head, rest)
        if head not in _OF_THE_CHANGE:
            return self._field(self._latest(), path)
        return self._of_change(head)

    def _of_change(self, name: str) -> Value:
        """Give what is told of the change alone, whatever it changed."""
        match name:
            case "kind":
                return self._change.kind.value
            case "action":
                return self._change.action or ABSENT
            case "changed":
                return sorted(self._change.changed)
            case "late":
                return self._change.late
            case _:
                return self._change.date or ABSENT

    def uri_of(self, type_: str) -> str | Unknown | _Absent:
        """Give the resource_uri of the parent of a type; of such a resource itself its own."""
        return self._parent_uri(self._latest(), type_)

    def _latest(self) -> Resource:
        """Give the resource as it was after the change, with what was looked up since."""
        after = self._change.after
        known = self._inventory.get(after.key)
        if known is None or known is after or known.fields is None:
            return after
        if after.fields is not None:
            # What was known of a container before its end may not tell how it ended.
            if known.ended and not after.ended and _is_the_end_of(known, after):
                return replace(after, ended=known.ended, fields=known.fields)
            return after
        return replace(
            after,
            name=after.name or known.name,
            fields=known.fields,
            parents=known.parents if after.parents is None else after.parents,
            parents_complete=after.parents_complete or known.parents_complete,
            ended=known.ended if _is_the_end_of(known, after) else after.ended,
        )

    def _field(self, resource: Resource, path: Path, *, settled: bool = False) -> Value:
        value: Value
        # What is asked for most comes first.
        match path:
            case ("name",):
                value = resource.name
            case ("state",):
                value = resource.state
            case (name,) if name in DERIVED_FIELDS:
                return self._derived(resource, name, settled=settled)
            case ("stream",):
                return resource.stream or ABSENT
            case ("uuid",):
                return resource.key[2] or ABSENT
            case ("resource_uri",):
                return resource.uri or ABSENT
            case ("reason" | "blind" as name,):  # of our own connections alone
                return (resource.fields or {}).get(name, ABSENT)
            case ("parents",):
                value = None if resource.parents is None else list(resource.parents)
            case ("labels", label):
                value = (resource.fields or {}).get("labels", {}).get(label)
            case _:
                value = (resource.fields or {}).get(path[0])
        if value is not None:
            return value
        return ABSENT if settled or resource.fields is not None else _to_look_up(resource)

    def _derived(self, resource: Resource, name: str, *, settled: bool) -> Value:
        """Give what is derived from all that is known of a resource."""
        match name:
            case "health":
                # How its children were before the change nobody knows any more.
                children = no_children if settled else self._inventory.children_of
                wellness = wellness_of(resource, children)
                if wellness is not None:
                    return wellness.value
                is_to_learn = resource.type in TYPES_WITH_HEALTH and resource.type != "stack"
            case "ended":
                if resource.ended:
                    return resource.ended
                is_to_learn = resource.type == "container" and resource.gone_at is None
            case _:
                return _of_deploy(resource, name, self._change.at)
        # Of a container that has ended its fields may tell of a time before.
        is_to_learn &= is_over(resource.state) if resource.state else resource.fields is None
        return _to_look_up(resource) if is_to_learn and not settled else ABSENT

    def _of_parent(self, type_: str, path: Path) -> Value:
        uri = self._parent_uri(self._latest(), type_)
        if not isinstance(uri, str):
            return uri
        name = parse_resource_uri(uri)
        if name is None:
            return ABSENT
        stream = self._change.after.stream
        if type_ in self._fresh and uri not in self._answered:
            return Unknown(Need(stream, uri, fresh=True))
        key = (stream, name.type, name.uuid)
        if key == self._change.after.key:
            return self._field(self._latest(), path)
        parent = self._inventory.get(key)
        if parent is None:
            return Unknown(Need(stream, uri))
        return self._field(parent, path)

    def _parent_uri(self, resource: Resource, type_: str) -> str | Unknown | _Absent:
        """Give the resource_uri of a parent, ABSENT, or what must be looked up to know it."""
        if resource.type == type_:
            return resource.uri or ABSENT
        for uri in resource.parents or ():
            name = parse_resource_uri(uri)
            if name is not None and name.type == type_:
                return uri
        if resource.parents_complete:
            return ABSENT
        if resource.parents is None:
            return ABSENT if resource.fields is not None else _to_look_up(resource)
        between = self._parent_uri(resource, _NAMED_BY[type_]) if type_ in _NAMED_BY else ABSENT
        if not isinstance(between, str):
            return between
        name = parse_resource_uri(between)
        link = self._inventory.get((resource.stream, name.type, name.uuid)) if name else None
        if link is None:
            return Unknown(Need(resource.stream, between))
        return self._parent_uri(link, type_)


def _to_look_up(resource: Resource) -> Unknown | _Absent:
    """Give what a look-up of a resource will tell; what has no usable name is never asked for."""
    if parse_resource_uri(resource.uri) is None:
        return ABSENT
    return Unknown(Need(resource.stream, resource.uri))


def _is_the_end_of(known: Resource, after: Resource) -> bool:
    """Say whether what is known of a container now tells how it ended then."""
    return is_over(after.state) and (known.since == after.since or known.gone_at is not None)


def _of_deploy(resource: Resource, name: str, at: float) -> Value:
    """Give a field of the last deploy of a service."""
    if resource.type != "service":
        return ABSENT
    deploy = resource.deploy
    if name == "deploy":
        return NEVER if deploy is None else deploy.state
    if deploy is None:
        return ABSENT
    if name == "image_before":
        return ABSENT if deploy.image_before is None else deploy.image_before
    until = at if deploy.ended_at is None else deploy.ended_at
    if name == "deploy_time":
        return in_words(max(0.0, until - deploy.since))
    begun = deploy.since if deploy.ended_at is None else deploy.ended_at
    # What is told of may have happened before it.
    return in_words(max(0.0, at - begun))
