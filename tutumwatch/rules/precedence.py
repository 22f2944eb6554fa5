"""What goes on first of all that comes at one time: whatever explains the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tutumwatch.rules.incident_rules import IncidentRule
from tutumwatch.rules.members import Member, MemberName, Phase


def precedence_of(rules: Mapping[str, IncidentRule]) -> dict[str, int]:
    """Give each rule its place: behind those that may explain its incidents, else as in the file.

    Of rules that explain each other the first goes last.
    """
    places: dict[str, int] = {}

    def place(name: str, asking: frozenset[str]) -> None:
        if name not in rules or name in places or name in asking:
            return
        for explaining in rules[name].unless_open:
            place(explaining, asking | {name})
        places[name] = len(places)

    for name in rules:
        place(name, frozenset())
    return places


def in_precedence(members: Iterable[Member], places: Mapping[str, int]) -> list[Member]:
    """Sort members by the places of their rules, then by age; a restart changes nothing of it.

    Who enters an incident comes before who leaves it, so that it stays open.
    """

    def place(one: Member) -> tuple[int, bool, float, MemberName]:
        return (places[one.name[0]], one.phase is Phase.CLEARING, one.since, one.name)

    return sorted(members, key=place)
