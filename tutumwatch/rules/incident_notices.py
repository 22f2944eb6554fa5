"""Writes the notices of incidents: by the texts of their rule, or plainly where it has none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.messages import facts_of, render_or_say
from tutumwatch.rules.notice import Destination, Form, Notice, Severity
from tutumwatch.rules.texts import Text
from tutumwatch.rules.view import View


def write_notices(
    rule: IncidentRule,
    key: str,
    form: Form,
    change: Change,
    inventory: Inventory,
    notifiers: Iterable[str],
    now: float,
    marks: tuple[str, ...] = (),
) -> list[Notice]:
    """Write what a rule says of a change when its incident opens or closes.

    :param notifiers: those that are told; the rule has a text for each.
    """
    texts: Mapping[str, Text] = rule.texts if form is Form.TRIGGER else rule.resolve_texts
    # How long ago something was, counts from when it is said.
    view = View(inventory, replace(change, at=now))
    return [
        Notice(
            id=f"{change.id}/{rule.name}/{form.value}/{notifier}/{now}",
            form=form,
            rule=rule.name,
            notifier=notifier,
            key=key,
            text=render_or_say(texts[notifier], view, change) + _ending(marks),
            at=now,
            severity=rule.severity,
            marks=marks,
            details=facts_of(change.after, view),
        )
        for notifier in notifiers
    ]


def write_plainly(
    destination: Destination,
    form: Form,
    rule: str,
    key: str,
    text: str,
    now: float,
    severity: Severity = Severity.INFO,
    marks: tuple[str, ...] = (),
) -> Notice:
    """Write what no template of a rule says."""
    return Notice(
        id=f"{rule}/{key}/{form.value}/{destination.name}/{now}",
        form=form,
        rule=rule,
        notifier=destination.name,
        key=key,
        text=destination.escape(text) + _ending(marks),
        at=now,
        severity=severity,
        marks=marks,
    )


def _ending(marks: tuple[str, ...]) -> str:
    return "".join(f" ({mark})" for mark in marks)
