"""Which incident a resource belongs to under a rule.

By default each resource has its own, named by what people call it: a service that is created anew,
or a container that takes the place of another one, has the incident that the first one had.
"""

from __future__ import annotations

from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, Resource
from tutumwatch.rules.incident_rules import IncidentRule, RuleForm
from tutumwatch.rules.members import IncidentName, Member, MemberName
from tutumwatch.rules.texts import Text
from tutumwatch.rules.touching import touched
from tutumwatch.rules.view import ABSENT, Unknown, Value, View

# What a resource of a type is called by, from the whole to the part.
_NAMED_BY = {
    "service": (("stack", "name"), ("name",)),
    "container": (("stack", "name"), ("service", "name"), ("name",)),
}
_NAME = (("name",),)


def incident_of(
    rule: IncidentRule, name: MemberName, change: Change, inventory: Inventory
) -> IncidentName:
    """Give the incident that a resource belongs to under a rule: by its key, or by itself.

    By itself, too, if its key fails, is empty, or names what is not known. As long as its names
    are not known it is named by its uuid.
    """
    key = _told_key(rule, name, change, inventory)
    return (rule.name, key or _join(rule, () if rule.form is RuleForm.ABSENT else name[1]))


def learned_incident_of(rule: IncidentRule, member: Member, inventory: Inventory) -> IncidentName:
    """Give the incident of a member that has not opened one, by what is known now.

    What it joined with counts, if its key could be told then.
    """
    if not _is_by_itself(rule, member):
        return member.incident
    key = _told_key(rule, member.name, member.change, inventory)
    return (rule.name, key) if key else member.incident


def moved_incident_of(
    rule: IncidentRule, member: Member, change: Change, inventory: Inventory
) -> IncidentName:
    """Give the incident of a member whose rule was changed.

    A key that cannot be told moves none, and by another name of its resource none is another one.
    """
    if rule.key is None:
        is_kept = _is_by_itself(rule, member)
        return member.incident if is_kept else incident_of(rule, member.name, change, inventory)
    key = _say(rule.key, View(inventory, change))
    return (rule.name, key) if key else member.incident


def names_to_learn(rule: IncidentRule, resource: Resource, inventory: Inventory) -> set[str]:
    """Give what to look up before the incident of a resource can be named, by resource_uri."""
    if rule.key is not None:
        return set()
    values = _names_of(resource, inventory)
    return {value.need.resource_uri for value in values if isinstance(value, Unknown)}


def _is_by_itself(rule: IncidentRule, member: Member) -> bool:
    """Say whether an incident is named by its only member, by whichever names."""
    return member.incident[1].startswith(_join(rule, member.name[1][:2]) + "/")


def _told_key(rule: IncidentRule, name: MemberName, change: Change, inventory: Inventory) -> str:
    """Give the key that a rule has for a resource, or its names; empty if they are not known."""
    key = "" if rule.key is None else _say(rule.key, View(inventory, change))
    if key:
        return key
    resource = inventory.get(name[1])
    if resource is None:  # nothing that is absent is there, and what is counted for may be unknown
        return ""
    values = _names_of(resource, inventory)
    if any(isinstance(value, Unknown) for value in values) or values[-1] in {ABSENT, ""}:
        return ""
    names = [str(value) for value in values if value is not ABSENT]
    return _join(rule, (resource.stream, resource.type, *names))


def _names_of(resource: Resource, inventory: Inventory) -> list[Value]:
    view = View(inventory, touched(resource, "", resource.seen))
    return [view.value(path) for path in _NAMED_BY.get(resource.type, _NAME)]


def _join(rule: IncidentRule, parts: tuple[str, ...]) -> str:
    return "/".join((rule.name, *(part for part in parts if part)))


def _say(key: Text, view: View) -> str:
    if any(isinstance(view.value(path), Unknown) for path in key.paths):
        return ""
    try:
        return key.say(view).strip()
    except Exception:  # noqa: BLE001 - a template may raise anything; the default key serves
        return ""
