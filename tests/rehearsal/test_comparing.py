"""Tests of comparing what a test expects with what was said."""

from __future__ import annotations

from tests.rehearsal.cases import RehearsalTestCase

RULES = """
[[messages]]
name = "news"
match = { changed = "state" }
notify = ["console", "pd"]
text = "{{ name }} {{ state }}"
"""
STEPS = """
resources = [{ type = "service", name = "web" }]
steps = [
  { at = "1m", type = "service", name = "web", state = "Stopped" },
  { at = "2m", type = "service", name = "web", state = "Running" },
  { at = "3m", type = "service", name = "web", state = "Stopped" },
]
destinations = "console"
"""
HEAD = "test 't' failed (- expected and not said, + said and not expected)"


class ComparingTests(RehearsalTestCase):
    """What is said of a test that fails, and that nothing is said of one that does not."""

    def differences(self, notices: str, steps: str = STEPS) -> list[str]:
        """Compare with what is expected."""
        return self.compared(RULES, f"{steps}\nnotices = [{notices}]")

    def test_as_expected(self) -> None:
        for notices in (
            '{ to = "console" }, { to = "console" }, { to = "console" }',
            """{ to = "console", at = "1m" }, { to = "console", text = "web R*" },
            { to = "console", key = "main/service/w?b", form = "message", rule = "news" }""",
        ):
            self.assertEqual(self.differences(notices), [])

    def test_nothing_expected(self) -> None:
        self.assertEqual(
            self.differences(""),
            [
                HEAD,
                "  console: 0 expected, 3 said",
                "    + at 1 min 0 s message 'news': web Stopped (key 'main/service/web')",
                "    + at 2 min 0 s message 'news': web Running (key 'main/service/web')",
                "    + at 3 min 0 s message 'news': web Stopped (key 'main/service/web')",
            ],
        )

    def test_one_that_is_missing_and_one_too_many(self) -> None:
        """What fits stands side by side, whatever is between."""
        first, other = '{ to = "console", text = "web S*" }', '{ to = "console", text = "x\\ny" }'
        self.assertEqual(
            self.differences(f"{first}, {other}, {first}"),
            [
                HEAD,
                "  console: 3 expected, 3 said",
                "      at 1 min 0 s message 'news': web Stopped",
                "    - any: x\\ny",
                "    + at 2 min 0 s message 'news': web Running (key 'main/service/web')",
                "      at 3 min 0 s message 'news': web Stopped",
            ],
        )

    def test_what_differs(self) -> None:
        others = '{ to = "console" }, { to = "console" }'
        for wrong, line in (
            ('at = "61s"', "    - at 1 min 1 s any: *"),
            ('form = "trigger"', "    - trigger: *"),
            ('rule = "last resort"', "    - any 'last resort': *"),
            ('key = "k*"', "    - any: * (key 'k*')"),
            ('text = "w"', "    - any: w"),
        ):
            lines = self.differences(f'{{ to = "console", {wrong} }}, {others}')
            self.assertIn(line, lines)
            self.assertEqual(len(lines), 6, lines)

    def test_each_notifier_for_itself(self) -> None:
        steps = STEPS.replace('destinations = "console"', "")
        lines = self.differences('{ to = ["console", "pd"] }, ' * 3, steps)
        self.assertEqual(lines, [])
        lines = self.differences('{ to = "console" }, ' * 3, steps)
        self.assertEqual(lines[1], "  pd: 0 expected, 3 said")

    def test_what_could_not_be_decided_is_shown(self) -> None:
        rules = RULES.replace("notify", 'when = "1 // (running - 7) != 9"\nnotify')
        steps = STEPS.replace('name = "web" }]', 'name = "web", running = 7 }]')
        lines = self.compared(rules, f'{steps}\nnotices = [{{ to = "console" }}]')
        self.assertEqual(lines[:3], [HEAD, "  console: 1 expected, 0 said", "    - any: *"])
        self.assertTrue(all(line.startswith("  not decided: rule 'news'") for line in lines[3:]))
        self.assertEqual(len(lines), 6)
