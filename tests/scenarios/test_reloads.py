"""Other rules while an incident is open: no page stays open for nothing, none is sent twice."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.scenarios.harness import CONSOLE, PAGERDUTY, SLACK, Scenario, own_rules

HOUR = 3600.0
RULES = """
[[incidents]]
name = "node lost"
while = { type = "node", state = "Unreachable" }
for = "30s"
clear_for = "10s"
notify = ["pagerduty"]
text = "{{ name }} is lost"
resolve_text = "{{ name }} is back"
"""


class ReloadTests(SynchronousTestCase):
    """A node is lost, and PagerDuty knows."""

    def setUp(self) -> None:
        self.story = Scenario(own_rules(RULES))
        self.story.nodes("node-1", "node-2")
        self.story.start()
        self.story.cut("node-1")
        self.story.wait(HOUR)
        self.assert_open(PAGERDUTY, 1)

    def assert_open(self, notifier: str, count: int, told: int = 1) -> None:
        """Fail unless a destination has so many incidents open, and was told of so many."""
        pages = self.story.pages(notifier=notifier)
        self.assertEqual(len(self.story.open_pages(notifier)), count, self.story.told())
        self.assertEqual([len(page.triggers) for page in pages], [1] * told)

    def reload(self, rules: str) -> None:
        """Let other rules count, and let time pass."""
        self.story.reload(own_rules(rules))
        self.story.wait(HOUR)

    def heal(self) -> None:
        """Let the node be back; nothing may be open anywhere then."""
        self.story.heal("node-1")
        self.story.wait(HOUR)
        for notifier in (PAGERDUTY, SLACK, CONSOLE):
            self.assertEqual(self.story.open_pages(notifier), [])
        self.assertEqual(self.story.ledger.orphans.get(SLACK, []), [])

    def test_the_same_again(self) -> None:
        self.reload(RULES + "# the same\n")
        self.assert_open(PAGERDUTY, 1)
        self.heal()

    def test_a_rename(self) -> None:
        self.reload(RULES.replace('"node lost"', '"node gone"\nwas = "node lost"'))
        self.assert_open(PAGERDUTY, 1)
        self.heal()
        self.assert_open(PAGERDUTY, 0)

    def test_a_rename_that_does_not_say_so(self) -> None:
        """That is one rule less and another more."""
        self.reload(RULES.replace('"node lost"', '"node gone"'))
        self.assert_open(PAGERDUTY, 1, told=2)
        self.heal()

    def test_a_removal(self) -> None:
        self.reload("")
        self.assert_open(PAGERDUTY, 0)
        self.reload(RULES)
        self.assert_open(PAGERDUTY, 1, told=2)
        self.heal()

    def test_another_destination(self) -> None:
        self.reload(RULES.replace('["pagerduty"]', '["slack"]'))
        self.assert_open(PAGERDUTY, 0)
        self.assert_open(SLACK, 1)
        self.heal()

    def test_one_destination_more(self) -> None:
        self.reload(RULES.replace('["pagerduty"]', '["pagerduty", "slack"]'))
        self.assert_open(PAGERDUTY, 1)
        self.heal()
        self.assert_open(PAGERDUTY, 0)

    def test_a_rule_that_does_not_hold_any_more(self) -> None:
        self.reload(
            RULES.replace('state = "Unreachable"', 'state = "Unreachable", name = "node-9"')
        )
        self.assert_open(PAGERDUTY, 0)
        self.heal()

    def test_a_rule_that_is_patient(self) -> None:
        """What is open stays open."""
        self.reload(RULES.replace('"30s"', '"5h"'))
        self.assert_open(PAGERDUTY, 1)
        self.heal()

    def test_over_a_restart(self) -> None:
        """A file that was changed while nobody watched is no reload; it comes to the same."""
        self.story.kill()
        self.story.rules = own_rules(RULES.replace('["pagerduty"]', '["slack"]'))
        self.story.start()
        self.story.wait(HOUR)
        self.assert_open(PAGERDUTY, 0)
        self.assert_open(SLACK, 1)
        self.heal()
