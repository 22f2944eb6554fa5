"""Who plays in a test: which resource a name means, at the place in the test where it stands."""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from tutumwatch.rules.vocabulary import suggestion

# The keys that name a parent, by the type of what has one, the narrowest parent first.
PARENTS: Mapping[str, tuple[str, ...]] = {
    "stack": (),
    "service": ("stack",),
    "container": ("service", "stack", "node"),
    "node": ("nodecluster",),
    "nodecluster": (),
    "action": ("service", "stack", "node", "nodecluster"),
}
# Of these parents two of one name are two resources; elsewhere it is one that was moved.
_TOLD_APART_BY = ("service", "stack")
_NO_UUID = re.compile(r"[^0-9A-Za-z_-]+")
_UUID_MAX_CHARS = 48
# The type that is named by ``stack/name``.
_IN_A_STACK = "service"


class CastingError(ValueError):
    """A name that cannot be meant; ``key`` is what has it.

    ``is_nobody``: it means nothing, as far as is known.
    """

    def __init__(self, key: str, what: str, *, is_nobody: bool = False) -> None:
        """Say what is wrong with the value of a key."""
        super().__init__(what)
        self.key = key
        self.is_nobody = is_nobody


@attrs.define
class Role:
    """A resource of the test: its resource_uri, and its parents as they are by now, by type."""

    type: str
    name: str
    uri: str
    parents: dict[str, Role] = attrs.field(factory=dict)


@attrs.define
class Cast:
    """The resources of one stream that are there, at a place in a test."""

    _roles: list[Role] = attrs.field(factory=list)
    _uuids: set[tuple[str, str]] = attrs.field(factory=set)

    def parents_of(self, type_: str, named: Mapping[str, str]) -> dict[str, Role]:
        """Give the parents that are named, by type.

        :raises CastingError: for one that cannot be meant.
        """
        wrong = next((key for key in named if key not in PARENTS[type_]), None)
        if wrong is not None:
            known = (
                f"it can have: {', '.join(PARENTS[type_])}" if PARENTS[type_] else "leave it out"
            )
            raise CastingError(wrong, f"a {type_} has no {wrong}; {known}")
        found: dict[str, Role] = {}
        for key in reversed(PARENTS[type_]):
            if key in named:
                within = {k: v for k, v in found.items() if k in PARENTS[key]}
                found[key] = self._parent(key, named[key], within)
        return found

    def _parent(self, type_: str, written: str, within: Mapping[str, Role]) -> Role:
        stack, slash, name = written.rpartition("/")
        if slash and type_ == _IN_A_STACK:
            within = {"stack": self._parent("stack", stack, {})}
        else:
            name = written
        found = self._find(type_, name, within)
        if len(found) > 1:
            raise CastingError(type_, f"{len(found)} are called {name!r}; write STACK/{name}")
        if found:
            return found[0]
        known = sorted({role.name for role in self._roles if role.type == type_})
        where = "".join(f" in the {key} {role.name!r}" for key, role in within.items())
        remedy = suggestion(name, known) or "; declare it in resources, or in a step before"
        what = f"there is no {type_} {name!r}{where}{remedy}"
        raise CastingError(type_, what, is_nobody=True)

    def find(self, type_: str, name: str, parents: Mapping[str, Role]) -> Role | None:
        """Give the resource that is meant by a name, or None if there is none yet.

        :raises CastingError: if it may be one of several.
        """
        apart = {key: role for key, role in parents.items() if key in _TOLD_APART_BY}
        found = self._find(type_, name, apart)
        if len(found) > 1:
            key = next(k for k in PARENTS[type_] if k in _TOLD_APART_BY)
            raise CastingError("name", f"{len(found)} are called {name!r}; say of which {key}")
        return found[0] if found else None

    def _find(self, type_: str, name: str, parents: Mapping[str, Role]) -> list[Role]:
        return [
            role
            for role in self._roles
            if (role.type, role.name) == (type_, name)
            and all(_belongs_to(role, parent) for parent in parents.values())
        ]

    def join(self, type_: str, name: str, parents: Mapping[str, Role]) -> Role:
        """Let a new resource come."""
        word = _NO_UUID.sub("-", name).strip("-_")[:_UUID_MAX_CHARS] or type_
        uuid, number = word, 1
        while (type_, uuid) in self._uuids:
            number += 1
            uuid = f"{word}-{number}"
        self._uuids.add((type_, uuid))
        role = Role(type_, name, f"/api/v1/{type_}/{uuid}/")
        self._roles.append(role)
        self.adopt(role, parents)
        return role

    def adopt(self, role: Role, parents: Mapping[str, Role]) -> None:
        """Let a resource have these parents from now on; of others, those it had."""
        role.parents.update(parents)
        service = role.parents.get("service")
        if service is not None and "stack" in service.parents:
            role.parents["stack"] = service.parents["stack"]

    def leave(self, role: Role) -> None:
        """Let a resource go; another one of its name is another one."""
        self._roles.remove(role)

    def names_of(self, type_: str) -> list[str]:
        """Give the names of those of a type that are there."""
        return [role.name for role in self._roles if role.type == type_]


def _belongs_to(role: Role, parent: Role) -> bool:
    return any(own is parent for own in role.parents.values())
