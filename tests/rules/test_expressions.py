"""Tests of conditions: what they mean, and what is found when they are loaded."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.rules.world import unexpected
from tutumwatch.rules.expressions import Condition, ConditionError, compile_condition
from tutumwatch.rules.view import ABSENT
from tutumwatch.rules.vocabulary import Path


def compiled(source: str, types: Collection[str] | None = None) -> Condition:
    """Compile a condition that holds no mistake."""
    return compile_condition(source, types, lambda what: unexpected(source, what))


class HoldsTests(SynchronousTestCase):
    """Whether a condition is true of some values."""

    VALUES: Mapping[Path, object] = {
        ("type",): "service",
        ("state",): "Running",
        ("name",): "pay-web",
        ("running",): 2,
        ("target",): 3,
        ("late",): False,
        ("changed",): ["image", "state"],
        ("stack", "name"): "shop",
        ("before", "image"): "nginx:1",
        ("labels", "com.example.job"): "nightly",
        ("service", "labels", "a"): "b",
    }

    def holds(self, source: str) -> bool:
        """Compute a condition; what has no value above is absent."""
        condition = compiled(source)
        return condition.holds({path: self.VALUES.get(path, ABSENT) for path in condition.paths})

    def test_what_is_true(self) -> None:
        for source in (
            "state == 'Running'",
            "running < target and not late",
            "running + 1 == target",
            "name is matches('web')",
            "name is matches('^pay-.*b$')",
            "stack.name in ['shop', 'pay']",
            "'state' in changed",
            "before.image != 'nginx:2'",
            "labels['com.example.job'] == 'nightly'",
            "service.labels.a == 'b'",
            "name.startswith('pay')",
            "name | length > 3",
            "state | lower == 'running'",
            "target and running / target < 0.7",
        ):
            self.assertTrue(self.holds(source), source)

    def test_what_is_false(self) -> None:
        for source in (
            "state == 'Stopped'",
            "name is matches('^web')",
            "name is not matches('web')",
            "'name' in changed",
            "late",
            "stack.name not in ['shop', 'pay']",
        ):
            self.assertFalse(self.holds(source), source)

    def test_what_is_absent(self) -> None:
        """It is an empty text that is neither more nor less than anything."""
        for source, expected in (
            ("exit_code", False),
            ("exit_code == ''", True),
            ("exit_code == 0", False),
            ("exit_code != 0", True),
            ("exit_code > 0", False),
            ("exit_code <= 0", False),
            ("exit_code >= 0", False),
            ("node.region < 'x'", False),
            ("0 < exit_code", False),
            ("0 >= exit_code", False),
            ("exit_code - 1 < 5", False),
            ("5 - exit_code < 5", False),
            ("1 / (exit_code + 1) < 5", False),
            ("exit_code / 2 < 5", False),
            ("exit_code * 2 + 3 > 1 or 7 // (exit_code + 2) % 2 > 9", False),
            ("node.name | upper == ''", True),
            ("'x' in node.name", False),
            ("node.name is matches('x')", False),
            ("node.name is matches('^$')", True),
            ("labels.nothing | default('x', true) == 'x'", True),
        ):
            self.assertEqual(self.holds(source), expected, source)

    def test_paths(self) -> None:
        condition = compiled("state == 'Running' and labels['a.b'] != stack.labels.c or running")
        self.assertEqual(
            condition.paths,
            {("state",), ("labels", "a.b"), ("stack", "labels", "c"), ("running",)},
        )
        self.assertEqual(compiled("name.startswith('x')").paths, {("name",)})

    def test_one_that_raises_says_what(self) -> None:
        condition = compiled("1 / (exit_code - 137) > 0")
        self.assertTrue(condition.holds({("exit_code",): 138}))
        with self.assertRaises(ConditionError) as raised:
            condition.holds({("exit_code",): 137})
        self.assertEqual(str(raised.exception), "ZeroDivisionError: division by zero")
        with self.assertRaises(ConditionError) as raised:
            condition.holds({("exit_code",): "text"})
        self.assertTrue(str(raised.exception).startswith("TypeError: "))


class MistakesTests(SynchronousTestCase):
    """What is wrong with a condition, before it is asked."""

    def mistakes(self, source: object, types: Collection[str] | None = None) -> list[str]:
        """Compile and give what is wrong."""
        found: list[str] = []
        compile_condition(source, types, found.append)
        return found

    def test_what_is_no_expression(self) -> None:
        for source, what in (
            (5, 'expected an expression such as "exit_code > 128", got 5'),
            (True, 'expected an expression such as "exit_code > 128", got True'),
            (" ", "expected an expression such as \"exit_code > 128\", got ' '"),
            ("exit_code >", "unexpected 'end of template'"),
            ("exit_code 5", "chunk after expression"),
            (
                "{{ exit_code > 5 }}",
                "expected token ':', got '}'; write the expression alone, without {{ }}",
            ),
            ("exit_code > 'x", 'unexpected char "\'" at 12'),
        ):
            self.assertEqual(self.mistakes(source), [what], source)

    def test_names(self) -> None:
        for source, what in (
            ("stat == 'x'", "'stat' is no known field (did you mean 'state'?)"),
            ("stack.nam == 'x'", "'stack.nam' is no known field (did you mean 'stack.name'?)"),
            ("stack == 'x'", "'stack' is no known field"),
            ("range(5)", "'range' is no known field"),
            ("labels == 'x'", "'labels' must name one of the labels, as labels.job does"),
            ("1 < 2", "reads no field, so it is the same of everything"),
            (
                "labels.com.example.job == 'x'",
                "the dots of a label do not nest; write labels['com.example.job']",
            ),
            (
                "service.labels.a.b",
                "the dots of a label do not nest; write service.labels['a.b']",
            ),
            ("name | lowr == 'x'", "there is no filter 'lowr' (did you mean 'lower'?)"),
            ("name is match('x')", "there is no test 'match' (did you mean 'matches'?)"),
            ("late and name is xyz", "there is no test 'xyz'"),
        ):
            (found,) = self.mistakes(source)
            self.assertTrue(found.startswith(what), found)

    def test_a_label_may_be_computed_with(self) -> None:
        self.assertEqual(self.mistakes("labels.job.startswith('x')"), [])
        self.assertEqual(self.mistakes("labels['a.b'].lower() == 'x'"), [])

    def test_words(self) -> None:
        """A word that a field will never hold would make a condition that is never true."""
        running = "'running' is written 'Running'; write it so, or compare state | lower"
        for source, what in (
            ("state == 'Runing'", "'Runing' is no known state (did you mean 'Running'?)"),
            ("'Runing' != state", "'Runing' is no known state (did you mean 'Running'?)"),
            ("state == 'running'", running),
            ("late or state in ('Stopped', 'running')", running),
            ("state not in ['running', name, 5]", running),
            ("before.state == 'running'", running.replace("state |", "before.state |")),
            ("type == 'servce'", "'servce' is no known type (did you mean 'service'?)"),
            ("'stat' in changed", "'stat' is no known field (did you mean 'state'?)"),
        ):
            self.assertEqual(self.mistakes(source), [what], source)

    def test_words_that_may_be(self) -> None:
        for source in (
            "state == 'Running'",
            "state == 'Hibernating'",
            "state | lower == 'running'",
            "state.lower() == 'running'",
            "state == name",
            "state ~ 'x' == 'runningx'",
            "labels.state == 'running'",
            "state < 'running'",
            "1 < exit_code < 5",
            "[state, name] == 'running'",
            "running and parents[running - 1] == 'running'",
        ):
            self.assertEqual(self.mistakes(source), [], source)

    def test_regular_expressions(self) -> None:
        (found,) = self.mistakes("late and name is matches('[')")
        self.assertTrue(found.startswith("'[' is no regular expression: unterminated"), found)
        self.assertEqual(self.mistakes("name is matches(stack.name)"), [])

    def test_it_is_tried_out_for_each_type(self) -> None:
        for source, types, what in (
            (
                "exit_code > 'x'",
                None,
                "cannot be computed for the type action: TypeError: '>' not supported between instances of 'int' and 'str'",
            ),
            (
                "running / target < 1",
                {"service"},
                "cannot be computed for the type service where its numbers are 0: ZeroDivisionError: division by zero",
            ),
            (
                "'abc'[exit_code:] == ''",
                {"service"},
                "cannot be computed for the type service where its fields are absent: TypeError: ",
            ),
            (
                "name.upperr() == 'X'",
                {"node"},
                "cannot be computed for the type node: UndefinedError: ",
            ),
            ("name.__class__", {"node"}, "cannot be computed for the type node: SecurityError: "),
        ):
            (found,) = self.mistakes(source, types)
            self.assertTrue(found.startswith(what), found)

    def test_a_type_that_it_leaves_out_is_not_tried(self) -> None:
        source = "type == 'stack' or 1 / 0 > 0"
        self.assertEqual(self.mistakes(source, {"stack"}), [])
        self.assertEqual(len(self.mistakes(source, {"node", "service"})), 1)

    def test_all_are_told_at_once(self) -> None:
        source = "stat == 'x' and state == 'Runing' and name | lowr and stat"
        self.assertEqual(len(self.mistakes(source)), 3)

    def test_one_that_holds_a_mistake_is_never_true(self) -> None:
        for source in (5, "stat", "exit_code >"):
            condition = compile_condition(source, None, lambda _what: None)
            self.assertEqual(condition.paths, frozenset())
            self.assertFalse(condition.holds({}))

    @given(st.text(max_size=30) | st.text(alphabet="state(){}[]|.'\"<>=! 01isnot", max_size=30))
    def test_any_text_is_a_condition_or_a_mistake(self, source: str) -> None:
        """Never anything else, whatever is written there."""
        compile_condition(source, {"service"}, lambda _what: None)
