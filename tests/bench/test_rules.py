"""The bench's many rules: which of them may match what its flood is made of."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bench.contenders import FEW_RULES, MANY_RULES, TUTUMWATCH, Contender
from bench.events import event_of
from bench.rules import MORE_COUNT, more_rules
from bench.wire import Plan, Ports
from bench.workloads import WORKLOADS
from tutumwatch.assembly import make_decider
from tutumwatch.config.environment import Environment
from tutumwatch.config.load import load_configuration
from tutumwatch.events.event import Event, decode_event
from tutumwatch.events.inputs import Message
from tutumwatch.inventory.inventory import Inventory
from tutumwatch.inventory.resource import Change
from tutumwatch.rules.incident_rules import IncidentRule, RuleForm
from tutumwatch.rules.messages import MessageRule
from tutumwatch.rules.rule_set import RuleSet

(WORKLOAD,) = (one for one in WORKLOADS if one.name == "rules")


class RulesTests(SynchronousTestCase):
    """Three rules may match an event of the flood, however many there are."""

    def rules_of(self, contender: Contender) -> RuleSet:
        """Read the configuration that a contender is started with."""
        path = Path(tempfile.mkdtemp()) / "config.toml"
        self.addCleanup(shutil.rmtree, path.parent)
        path.write_text(contender.configuration(Ports(1, 2, 3)), "utf-8")
        return load_configuration(str(path), Environment({}, path.parent)).rules

    def change(self, number: int) -> Change:
        """Give what an event of the flood comes to."""
        event = decode_event(event_of(WORKLOAD.plan, number).encode())
        assert isinstance(event, Event)
        return Inventory().apply_event(event, "id", "main", 1, 1.0)

    def test_so_many_more(self) -> None:
        few, many = self.rules_of(FEW_RULES), self.rules_of(MANY_RULES)
        counts = [len(rules.messages) + len(rules.incidents) for rules in (few, many)]
        self.assertEqual(counts[1] - counts[0], MORE_COUNT)
        self.assertEqual(MORE_COUNT, 200)

    def test_of_all_forms(self) -> None:
        more = self.rules_of(MANY_RULES)
        forms = Counter(rule.form for rule in more.incidents)
        self.assertEqual(set(forms), set(RuleForm))
        self.assertGreaterEqual(min(len(more.messages), *forms.values()), MORE_COUNT // 8)

    def test_three_may_match_and_none_does(self) -> None:
        for contender in (FEW_RULES, MANY_RULES):
            rules = self.rules_of(contender)
            every: list[MessageRule | IncidentRule] = [*rules.messages, *rules.incidents]
            for number in (0, 1, WORKLOAD.plan.count - 1):
                may = [rule.name for rule in every if rule.may_take(self.change(number))]
                self.assertEqual(may, ["service", "service down", "service flaps"])

    def test_nothing_is_said_but_at_the_end(self) -> None:
        path = Path(tempfile.mkdtemp()) / "config.toml"
        self.addCleanup(shutil.rmtree, path.parent)
        path.write_text(MANY_RULES.configuration(Ports(1, 2, 3)), "utf-8")
        decider = make_decider(load_configuration(str(path), Environment({}, path.parent)))
        plan = Plan(count=50, ends_with_notice=True)
        said = [
            len(decider.decide(Message("main", n + 1, event_of(plan, n).encode(), 1.0)).owed)
            for n in range(plan.sent_count)
        ]
        self.assertEqual(said, [0] * 50 + [1])
        self.assertEqual(decider.incidents.members(), [])

    def test_no_two_are_the_same(self) -> None:
        rules = more_rules().split("[[")
        self.assertEqual(len(set(rules)), len(rules))

    def test_all_else_is_as_in_the_other_workloads(self) -> None:
        ports = Ports(1, 2, 3)
        text = TUTUMWATCH.configuration(ports)
        for contender in WORKLOAD.contenders:
            self.assertTrue(contender.configuration(ports).startswith(text))
            self.assertEqual(contender.batch, TUTUMWATCH.batch)
        (flood,) = (one for one in WORKLOADS if one.name == "flood")
        self.assertEqual(WORKLOAD.plan, flood.plan)
        self.assertIn("storm = 0", text)
