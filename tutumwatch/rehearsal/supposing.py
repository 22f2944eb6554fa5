"""Who would be told of something of which a person names a few fields: ``stack=shop``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Resource
from tutumwatch.rules.decisions import Need
from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.match_tables import flatten_table
from tutumwatch.rules.matchers import Answer
from tutumwatch.rules.messages import MessageRule
from tutumwatch.rules.routes import Audience
from tutumwatch.rules.rule_set import RuleSet
from tutumwatch.rules.touching import touched
from tutumwatch.rules.view import TYPE, Unknown, Value, View
from tutumwatch.rules.vocabulary import PARENT_TYPES, Path, explain_unknown, field_of

# Of several that are named it is about the narrowest.
_FROM_NARROW_TO_WIDE = ("service", "stack", "node", "nodecluster")


class SupposedView(View):
    """What a rule sees of something of which a few fields are given; all others are unknown."""

    def __init__(self, fields: Mapping[Path, str]) -> None:
        """Suppose some fields."""
        resource = Resource(("", fields.get(TYPE, ""), ""), "")
        super().__init__(Inventory(), touched(resource, "supposed", 0.0))
        self._fields = fields

    def value(self, path: Path) -> Value:
        """Give what is supposed, or that it depends."""
        return self._fields.get(path, Unknown(Need("", ".".join(path))))


def suppose(table: Mapping[str, object]) -> SupposedView:
    """Read the fields that a person names.

    :raises ValueError: for one that there is not, or that has not one value.
    """
    fields: dict[Path, str] = {}
    for path, value in flatten_table(table):
        if field_of(path) != path:
            raise ValueError(explain_unknown(path))
        if not isinstance(value, str) or value.startswith("!"):
            raise ValueError(f"{'.'.join(path)}: one value is to be supposed, as it would be")
        fields[path] = value
    if TYPE not in fields:
        named = {path[0] for path in fields}
        type_ = next((one for one in _FROM_NARROW_TO_WIDE if one in named), None)
        fields |= {} if type_ is None else {TYPE: type_}
    if (own := fields.get(TYPE)) in PARENT_TYPES:
        # Of a service itself service.name is its name.
        fields |= {path[1:]: value for path, value in fields.items() if path[0] == own}
        fields |= {(own, *path): v for path, v in list(fields.items()) if path == ("name",)}
    return SupposedView(fields)


@attrs.frozen
class Told:
    """Who is told under one rule, by the role or, for names in the rule itself, an empty text.

    ``depends_on``: the fields that decide it; ``notifiers`` are then all who may be told.
    """

    rule: str
    role: str
    notifiers: tuple[str, ...]
    depends_on: tuple[str, ...]


def who_is_told(rules: RuleSet, view: SupposedView) -> Iterator[Told]:
    """Say for each rule that may be about it who would be told."""
    all_rules: list[MessageRule | IncidentRule] = [*rules.messages, *rules.incidents]
    for rule in all_rules:
        verdict = rule.matcher.judge(view)
        if verdict.answer is Answer.NO:
            continue
        for role, audience in _audiences(rule):
            routed = rules.routes.resolve(audience, view)
            yield Told(
                rule.name,
                role,
                routed.notifiers,
                tuple(sorted(need.resource_uri for need in routed.needs)),
            )


def _audiences(rule: MessageRule | IncidentRule) -> Iterator[tuple[str, Audience]]:
    audience = rule.audience
    for role in audience.roles:
        yield role, Audience((), (role,))
    if audience.notifiers or not audience.roles:
        yield "", Audience(audience.notifiers, (), everyone=audience.everyone)
