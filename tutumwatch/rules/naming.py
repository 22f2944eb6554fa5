"""Which incident a resource belongs to under a rule."""

from __future__ import annotations

from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change
from tutumwatch.rules.incident_rules import IncidentRule, RuleForm
from tutumwatch.rules.members import IncidentName, Member, MemberName
from tutumwatch.rules.texts import Text
from tutumwatch.rules.view import Unknown, View


def incident_of(
    rule: IncidentRule, name: MemberName, change: Change, inventory: Inventory
) -> IncidentName:
    """Give the incident that a resource belongs to under a rule: by its key, or by itself.

    By itself, too, if its key fails, is empty, or names what is not known.
    """
    key = "" if rule.key is None else _say(rule.key, View(inventory, change))
    return (rule.name, key or _default_key(rule, name))


def learned_incident_of(rule: IncidentRule, member: Member, inventory: Inventory) -> IncidentName:
    """Give the incident of a member that is about to open one.

    What it joined with counts, if its key could be told then.
    """
    if rule.key is None or member.incident[1] != _default_key(rule, member.name):
        return member.incident
    return incident_of(rule, member.name, member.change, inventory)


def _default_key(rule: IncidentRule, name: MemberName) -> str:
    parts = name[1] if rule.form is not RuleForm.ABSENT else ()
    return "/".join((rule.name, *(part for part in parts if part)))


def _say(key: Text, view: View) -> str:
    if any(isinstance(view.value(path), Unknown) for path in key.paths):
        return ""
    try:
        return key.say(view).strip()
    except Exception:  # noqa: BLE001 - a template may raise anything; the default key serves
        return ""
