"""Which incident a resource belongs to under a rule.

By default each resource has its own, named by what people call it: a service that is created anew,
or a container that takes the place of another one, has the incident that the first one had.
"""

from __future__ import annotations

from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change, Resource
from tutumwatch.rules.incident_rules import IncidentRule, RuleForm, is_own_connection
from tutumwatch.rules.members import IncidentName, Member, MemberName
from tutumwatch.rules.texts import Text
from tutumwatch.rules.touching import touched
from tutumwatch.rules.view import ABSENT, Unknown, View

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

    By itself, too, if its key fails, is empty, or names what is not known.
    """
    key = "" if rule.key is None else _say(rule.key, View(inventory, change))
    return (rule.name, key or _default_key(rule, name, change, inventory))


def learned_incident_of(rule: IncidentRule, member: Member, inventory: Inventory) -> IncidentName:
    """Give the incident of a member that is about to open one.

    What it joined with counts, if its key could be told then.
    """
    joined = member.incident[1]
    names = _names_of(_resource_of(member.name, member.change, inventory), inventory)
    could_be_told = joined not in {_join(rule, member.name[1]), _join(rule, names)}
    if could_be_told or rule.form is RuleForm.ABSENT:
        return member.incident
    return incident_of(rule, member.name, member.change, inventory)


def _default_key(rule: IncidentRule, name: MemberName, change: Change, inventory: Inventory) -> str:
    if rule.form is RuleForm.ABSENT:
        return rule.name
    return _join(rule, _names_of(_resource_of(name, change, inventory), inventory) or name[1])


def _resource_of(name: MemberName, change: Change, inventory: Inventory) -> Resource | None:
    known = inventory.get(name[1])
    return change.after if known is None and change.after.key == name[1] else known


def _names_of(resource: Resource | None, inventory: Inventory) -> tuple[str, ...]:
    """Give what a resource is called by; nothing if that is not known, or it has no name."""
    if resource is None or is_own_connection(resource.type):
        return ()
    view = View(inventory, touched(resource, "", resource.seen))
    values = [view.value(path) for path in _NAMED_BY.get(resource.type, _NAME)]
    if any(isinstance(value, Unknown) for value in values) or values[-1] in {ABSENT, ""}:
        return ()
    names = (str(value) for value in values if value is not ABSENT)
    return (resource.stream, resource.type, *names)


def _join(rule: IncidentRule, parts: tuple[str, ...]) -> str:
    return "/".join((rule.name, *(part for part in parts if part)))


def _say(key: Text, view: View) -> str:
    if any(isinstance(view.value(path), Unknown) for path in key.paths):
        return ""
    try:
        return key.say(view).strip()
    except Exception:  # noqa: BLE001 - a template may raise anything; the default key serves
        return ""
