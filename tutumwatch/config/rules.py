"""Reads the rules, and what goes with them: routes, what is ignored, mutes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import attrs
import msgspec

from tutumwatch.config.ignores import read_ignores
from tutumwatch.config.lines import Place
from tutumwatch.config.mistakes import Mistakes
from tutumwatch.config.mutes import read_mutes
from tutumwatch.config.routes import read_routes
from tutumwatch.config.tables import read_table
from tutumwatch.config.values import describe
from tutumwatch.events.inputs import LinkType
from tutumwatch.rules.incident_rules import (
    IncidentRule,
    IncidentSettings,
)
from tutumwatch.rules.incident_tables import compile_incident
from tutumwatch.rules.messages import MessageRule, MessageSettings, compile_message
from tutumwatch.rules.notice import Destination
from tutumwatch.rules.routes import Routes
from tutumwatch.rules.rule_set import RuleSet
from tutumwatch.rules.vocabulary import suggestion
from tutumwatch.settings import Duration, Settings

RuleSettings = TypeVar("RuleSettings", MessageSettings, IncidentSettings)
Rule = TypeVar("Rule", MessageRule, IncidentRule)
TABLES = ("routes", "ignore", "messages", "incidents", "mutes")

# What stands for a required key that is wrong, so that the rest of the rule is checked as well.
_STAND_INS = {"name": "", "match": {}}
LAST_RESORT = IncidentSettings(
    name="last resort",
    while_={"type": LinkType.NOTIFIER.value, "state": ["Failing", "Refused"]},
    notify="*",
    for_=Duration(300.0),
    text="{{ name }} takes no notices: {{ reason }}",
    resolve_text="{{ name }} takes notices again",
)


class GeneralSettings(Settings, frozen=True, kw_only=True):
    """The keys of rules in general, which stand above all tables."""

    storm: int = 20
    deploy_deadline: Duration = Duration(900.0)
    last_resort: bool = True


GENERAL = tuple(field.encode_name for field in msgspec.structs.fields(GeneralSettings))


def read_rules(
    raw: Mapping[str, Any],
    destinations: Mapping[str, Destination],
    known: Sequence[str],
    streams: Iterable[str],
    mistakes: Mistakes,
) -> RuleSet:
    """Read all rules of a configuration; what is wrong is noted.

    :param destinations: the notifiers that are on.
    :param known: the names of all notifiers, those that are off as well.
    """
    general = _read_general(raw, mistakes)
    routes = read_routes(raw.get("routes", []), destinations, known, mistakes)
    reader = _RulesReader(routes, destinations, known, mistakes)
    messages = reader.read("messages", raw, MessageSettings, compile_message)
    incidents = reader.read("incidents", raw, IncidentSettings, compile_incident)
    reader.check_names(raw, incidents)
    if general.last_resort and not any(_is_about_notifiers(rule) for rule in incidents):
        incidents.append(reader.compile_last_resort(raw))
    names = [rule.name for rule in messages] + [rule.name for rule in incidents]
    return RuleSet(
        messages=tuple(messages),
        incidents=tuple(_sealed(rule, raw.get("ignore")) for rule in incidents),
        routes=routes,
        ignores=read_ignores(raw.get("ignore", []), mistakes),
        mutes=tuple(read_mutes(raw.get("mutes", []), names, mistakes)),
        destinations=destinations,
        storm_count=general.storm,
        deploy_deadline_seconds=general.deploy_deadline.seconds,
        streams=tuple(streams),
    )


def _sealed(rule: IncidentRule, ignored: object) -> IncidentRule:
    """Let a rule be another one when something else is ignored: what is open is judged again."""
    if not ignored:
        return rule
    seal = hashlib.sha256(repr(ignored).encode()).hexdigest()[:8]
    return attrs.evolve(rule, digest=f"{rule.digest}-{seal}")


def _read_general(raw: Mapping[str, Any], mistakes: Mistakes) -> GeneralSettings:
    general = {key: raw[key] for key in GENERAL if key in raw}
    settings = read_table(GeneralSettings, general, (), mistakes) or GeneralSettings()
    if settings.storm < 0:
        mistakes.add(("storm",), f"expected 0 (never) or more, got {settings.storm}")
    if settings.deploy_deadline.seconds <= 0:
        mistakes.add(("deploy_deadline",), "expected a length of time above 0")
    return settings


def _is_about_notifiers(rule: IncidentRule) -> bool:
    types = rule.matcher.types
    return types is not None and LinkType.NOTIFIER.value in types


@attrs.define
class _RulesReader:
    """Reads rules, of which no two may have one name."""

    _routes: Routes
    _destinations: Mapping[str, Destination]
    _known: Sequence[str]
    _mistakes: Mistakes
    _names: dict[str, None] = attrs.field(factory=dict)

    def read(
        self,
        table: str,
        raw: Mapping[str, Any],
        kind: type[RuleSettings],
        compile_rule: Callable[..., Rule],
    ) -> list[Rule]:
        """Read the tables of one kind; what is wrong is noted."""
        stand_ins = {**_STAND_INS, "notify": list(self._known)}
        rules: list[Rule] = []
        for number, of_rule in enumerate(self._array(raw, table)):
            place: Place = (table, number)
            settings = read_table(kind, of_rule, place, self._mistakes, stand_ins=stand_ins)
            if settings is None:
                continue
            self._check_name((*place, "name"), of_rule, settings.name)
            mistake = self._mistakes.reporter(place, settings.name)
            scope = (self._routes, self._destinations, self._known)
            rules.append(compile_rule(settings, *scope, mistake))
        return rules

    def compile_last_resort(self, raw: Mapping[str, Any]) -> IncidentRule:
        """Compile the rule that is there if no other tells of a notifier that fails."""
        for table in ("messages", "incidents"):
            for number, of_rule in enumerate(self._array(raw, table)):
                if isinstance(of_rule, Mapping) and of_rule.get("name") == LAST_RESORT.name:
                    what = "is the name of the rule that tells of notifiers; choose another"
                    self._mistakes.add((table, number, "name"), what, LAST_RESORT.name)
        mistake = self._mistakes.reporter((), LAST_RESORT.name)
        scope = (self._routes, self._destinations, self._known)
        return compile_incident(LAST_RESORT, *scope, mistake)

    def check_names(self, raw: Mapping[str, Any], incidents: Sequence[IncidentRule]) -> None:
        """Check the names of other rules that incident rules name."""
        names = [rule.name for rule in incidents]
        earlier: dict[object, object] = {}
        for number, table in enumerate(self._array(raw, "incidents")):
            if not isinstance(table, Mapping):
                continue
            name = table.get("name", "")
            mistake = self._mistakes.reporter(
                ("incidents", number), name if isinstance(name, str) else ""
            )
            others = table.get("unless_open", [])
            for other in others if isinstance(others, list) else [others]:
                if isinstance(other, str) and other not in names:
                    near = suggestion(other, names)
                    remedy = "; name another [[incidents]] table of this file"
                    mistake("unless_open", f"there is no incident rule {other!r}{near or remedy}")
                elif isinstance(other, str) and other == name:
                    mistake("unless_open", "an incident does not explain itself; name another rule")
            was = table.get("was")
            if not isinstance(was, str):
                continue
            if was in self._names:
                mistake("was", f"a rule {was!r} is still there; it cannot be this one too")
            elif was in earlier:
                mistake("was", f"{earlier[was]!r} was {was!r} already; only one rule can go on")
            earlier.setdefault(was, name)

    def _array(self, raw: Mapping[str, Any], name: str) -> list[Any]:
        array = raw.get(name, [])
        if isinstance(array, list):
            return array
        if not self._mistakes.is_wrong((name,)):
            what = f"expected tables such as [[{name}]], got {describe(array)}"
            self._mistakes.add((name,), what)
        return []

    def _check_name(self, place: Place, raw: Mapping[str, Any], name: str) -> None:
        if raw.get("name") == "":
            self._mistakes.add(place, "expected a name")
        if name and name in self._names:
            self._mistakes.add(place, "another rule has this name; each needs its own", name)
        self._names[name] = None
