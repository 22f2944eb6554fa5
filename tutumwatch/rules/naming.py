"""Which incident a resource belongs to under a rule."""

from __future__ import annotations

from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change
from tutumwatch.rules.incident_rules import IncidentRule, RuleForm
from tutumwatch.rules.members import IncidentName, MemberName
from tutumwatch.rules.view import View


def incident_of(
    rule: IncidentRule, name: MemberName, change: Change, inventory: Inventory
) -> IncidentName:
    """Give the incident that a resource belongs to under a rule: by its key, or by itself."""
    parts = name[1] if rule.form is not RuleForm.ABSENT else ()
    default = "/".join((rule.name, *(part for part in parts if part)))
    if rule.key is None:
        return (rule.name, default)
    view = View(inventory, change)
    try:
        key = rule.key.say(view)
    except Exception:  # noqa: BLE001 - a template may raise anything; the default key serves
        key = default
    return (rule.name, key.strip() or default)
