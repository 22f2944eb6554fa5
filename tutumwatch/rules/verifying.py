"""What comes before a member opens or closes its incident: may it act, what must be looked up."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from tutumwatch.events.resource_uri import parse_resource_uri
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.rules.incident_rules import IncidentRule, RuleForm, is_own_connection
from tutumwatch.rules.members import Check, Member, MemberName, Phase
from tutumwatch.rules.naming import names_to_learn
from tutumwatch.rules.readiness import Readiness
from tutumwatch.rules.rule_set import RuleSet
from tutumwatch.rules.touching import touched
from tutumwatch.rules.view import View
from tutumwatch.rules.vocabulary import parents_in


@attrs.define
class Verifying:
    """Knows which streams are caught up, and which members wait for that.

    ``has_listed``: says of a stream whether its platform has ever told all that it has.
    ``number``: that of the last message that arrived.
    """

    rules: RuleSet
    _inventory: Inventory
    has_listed: Callable[[str], bool]
    readiness: Readiness = attrs.field(factory=Readiness)
    number: int = 0
    _held: dict[str, dict[MemberName, None]] = attrs.field(factory=dict)

    def may_act(self, rule: IncidentRule, member: Member) -> bool:
        """Say whether what is known is new enough: no end is told while a stream is down."""
        if is_own_connection(member.name[1][1]):
            return True
        if rule.form is RuleForm.ABSENT:
            streams, is_known = self.rules.streams, self.may_miss()
        else:
            streams, is_known = (member.stream,), self.readiness.is_ready(member.stream)
        is_end = member.phase is Phase.CLEARING
        return is_known and not (is_end and not all(map(self.readiness.is_connected, streams)))

    def may_miss(self) -> bool:
        """Say whether what is not known anywhere is not there: what was never listed may be."""
        streams = self.rules.streams
        return all(map(self.readiness.is_ready, streams)) and all(map(self.has_listed, streams))

    def hold(self, member: Member) -> None:
        """Let a member wait until its stream is caught up."""
        self._held.setdefault(member.stream, {})[member.name] = None

    def take_held(self, stream: str) -> list[MemberName]:
        """Give the members whose time came before a stream was caught up."""
        return [*self._held.pop(stream, {}), *self._held.pop("", {})]

    def begin(self, rule: IncidentRule, member: Member) -> Check | None:
        """Give what to look up: the resource, and the parents that the rule names; or None.

        Also who its incident would be named by, if that is not known yet. An end depends on no
        more than what decides whether the rule holds.
        """
        known = self._inventory.get(member.name[1])
        if known is None or is_own_connection(known.type):
            return None
        asks, names = rule.reads, set[str]()
        if member.phase is not Phase.CLEARING:
            asks |= rule.asks | parents_in(self.rules.ignores.paths)
            names = names_to_learn(rule, known, self._inventory)
        view = View(self._inventory, touched(known, "", known.seen))
        found = [known.uri, *names, *map(view.uri_of, sorted(asks))]
        uris = {uri for uri in found if isinstance(uri, str) and parse_resource_uri(uri)}
        return Check(self.number, frozenset(uris)) if uris else None
