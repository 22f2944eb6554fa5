"""A configuration with tests, performed."""

from __future__ import annotations

from tests.config.cases import LoadingTestCase
from tutumwatch.config.plans import Configuration
from tutumwatch.rehearsal.comparing import compare
from tutumwatch.rehearsal.performing import Utterances, perform
from tutumwatch.rules.notice import Notice

HEAD = """\
[streams.main]
url = "ws://127.0.0.1:9/v1/events"
[notifiers.console]
kind = "console"
[notifiers.pd]
kind = "pagerduty"
key = "0123456789abcdef0123456789abcdef"
"""


class RehearsalTestCase(LoadingTestCase):
    """Performs a test."""

    head = HEAD

    def loaded(self, rules: str, test: str) -> Configuration:
        """Load rules and a test."""
        test = test if "notices" in test else f"{test}\nnotices = []"
        return self.load(f'{self.head}{rules}\n[[tests]]\nname = "t"\n{test}')

    def performed(self, rules: str, test: str) -> Utterances:
        """Give what a test comes to."""
        configuration = self.loaded(rules, test)
        assert configuration.rehearsed is not None
        return perform(configuration.rehearsals[0], configuration.rehearsed)

    def said(self, rules: str, test: str) -> list[tuple[float, str, str]]:
        """Give when what was said, in which form."""
        performed = self.performed(rules, test)
        self.assertEqual(performed.rejected, ())
        return [(at, n.form.value, n.text) for at, n in performed.said if isinstance(n, Notice)]

    def compared(self, rules: str, test: str) -> list[str]:
        """Give how what was said differs from what was expected."""
        configuration = self.loaded(rules, test)
        assert configuration.rehearsed is not None
        (rehearsal,) = configuration.rehearsals
        return compare(rehearsal, perform(rehearsal, configuration.rehearsed))
