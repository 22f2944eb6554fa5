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
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, Resource
from tutumwatch.rules.decisions import Need
from tutumwatch.rules.vocabulary import PARENT_TYPES, Path


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
        head, *rest = path
        if head == "before":
            before = self._change.before
            return ABSENT if before is None else self._field(before, tuple(rest), settled=True)
        if rest and head in PARENT_TYPES:
            return self._of_parent(head, tuple(rest))
        if head not in _OF_THE_CHANGE:
            # A type does not change, and nearly every rule asks for it.
            resource = self._change.after if path == TYPE else self._latest()
            return self._field(resource, path, settled=False)
        match head:
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

    def _latest(self) -> Resource:
        """Give the resource as it was after the change, with what was looked up since."""
        after = self._change.after
        known = self._inventory.get(after.key)
        if known is None or known.fields is None or after.fields is not None:
            return after
        return replace(
            after,
            name=after.name or known.name,
            fields=known.fields,
            parents=known.parents if after.parents is None else after.parents,
            parents_complete=after.parents_complete or known.parents_complete,
        )

    def _field(self, resource: Resource, path: Path, *, settled: bool) -> Value:
        value: Value
        match path:
            case ("type",):
                return resource.type
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
            case ("name",):
                value = resource.name
            case ("state",):
                value = resource.state
            case ("labels", label):
                value = (resource.fields or {}).get("labels", {}).get(label)
            case _:
                value = (resource.fields or {}).get(path[0])
        if value is not None:
            return value
        if settled or resource.fields is not None or parse_resource_uri(resource.uri) is None:
            return ABSENT
        return Unknown(Need(resource.stream, resource.uri))

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
            return self._field(self._latest(), path, settled=False)
        parent = self._inventory.get(key)
        if parent is None:
            return Unknown(Need(stream, uri))
        return self._field(parent, path, settled=False)

    def _parent_uri(self, resource: Resource, type_: str) -> str | Value:
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
            if resource.fields is not None or parse_resource_uri(resource.uri) is None:
                return ABSENT
            return Unknown(Need(resource.stream, resource.uri))
        between = self._parent_uri(resource, _NAMED_BY[type_]) if type_ in _NAMED_BY else ABSENT
        if not isinstance(between, str):
            return between
        name = parse_resource_uri(between)
        link = self._inventory.get((resource.stream, name.type, name.uuid)) if name else None
        if link is None:
            return Unknown(Need(resource.stream, between))
        return self._parent_uri(link, type_)
