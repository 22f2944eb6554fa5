"""Changes of what did not change itself, and is to be judged again because something else did."""

from __future__ import annotations

from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, ChangeKind, Resource
from tutumwatch.rules.members import Member


def touched(resource: Resource, change_id: str, at: float) -> Change:
    """Make the Change of a resource that did not change itself, and is to be judged again."""
    name = "/".join((change_id, *resource.key))
    return Change(name, ChangeKind.SAME, resource, resource, frozenset(), at)


def present(inventory: Inventory, member: Member, now: float) -> Change:
    """Make the Change that says how a member's resource is now."""
    known = inventory.get(member.name[1])
    return touched(known or member.change.after, member.change.id, now)
