"""Reads the ``[[messages]]`` and ``[[incidents]]`` tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import attrs

from tutumwatch.config.lines import Place
from tutumwatch.config.mistakes import Mistakes
from tutumwatch.config.tables import read_table
from tutumwatch.rules.incident_rules import (
    IncidentRule,
    IncidentSettings,
    compile_incident,
)
from tutumwatch.rules.messages import MessageRule, MessageSettings, compile_message
from tutumwatch.rules.notice import Destination

RuleSettings = TypeVar("RuleSettings", MessageSettings, IncidentSettings)
Rule = TypeVar("Rule", MessageRule, IncidentRule)
Compiler: TypeAlias = Callable[
    [RuleSettings, Mapping[str, Destination], Sequence[str], Callable[[str, str], None]], Rule
]

# What stands for a required key that is wrong, so that the rest of the rule is checked as well.
_STAND_INS = {"name": "", "match": {}, "while_": {"type": "stream"}}


@attrs.define
class RulesReader:
    """Reads rules, of which no two may have one name.

    :param destinations: the notifiers that are on.
    :param known: the names of all notifiers, those that are off as well.
    """

    _destinations: Mapping[str, Destination]
    _known: Sequence[str]
    _mistakes: Mistakes
    _names: set[str] = attrs.field(factory=set)

    def read_messages(self, tables: Sequence[Any]) -> list[MessageRule]:
        """Read the ``[[messages]]`` tables; what is wrong is noted."""
        return self._read("messages", tables, MessageSettings, compile_message)

    def read_incidents(self, tables: Sequence[Any]) -> list[IncidentRule]:
        """Read the ``[[incidents]]`` tables; what is wrong is noted."""
        return self._read("incidents", tables, IncidentSettings, compile_incident)

    def _read(
        self,
        table: str,
        raws: Sequence[Any],
        kind: type[RuleSettings],
        compile_rule: Compiler[RuleSettings, Rule],
    ) -> list[Rule]:
        stand_ins = {**_STAND_INS, "notify": list(self._known)}
        rules: list[Rule] = []
        for number, raw in enumerate(raws):
            place: Place = (table, number)
            settings = read_table(kind, raw, place, self._mistakes, stand_ins=stand_ins)
            if settings is None:
                continue
            self._check_name((*place, "name"), raw, settings.name)
            mistake = self._reporter(place, settings.name)
            rules.append(compile_rule(settings, self._destinations, self._known, mistake))
        return rules

    def _check_name(self, place: Place, raw: Mapping[str, Any], name: str) -> None:
        if raw.get("name") == "":
            self._mistakes.add(place, "expected a name")
        if name and name in self._names:
            self._mistakes.add(place, "another rule has this name; each needs its own", name)
        self._names.add(name)

    def _reporter(self, place: Place, name: str) -> Callable[[str, str], None]:
        """Give what a rule's compiler reports mistakes to: the dotted key, and what is wrong."""

        def mistake(where: str, what: str) -> None:
            self._mistakes.add((*place, *where.split(".")), what, name)

        return mistake
