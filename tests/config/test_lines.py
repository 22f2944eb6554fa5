"""Tests of the lines on which the tables and keys of a TOML text stand."""

from __future__ import annotations

import tomllib
from textwrap import dedent

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.config.lines import Place, scan_lines

# Values that look like tables, keys or comments, on one line or several.
VALUES = (
    "1",
    "1979-05-27 07:32:00",
    "true # [x]",
    '"[x]"',
    '"a = 1 # \\" ]"',
    "'[x] \"'",
    "''",
    '""',
    '""""""',
    '"""\n[x]\nkey = 1\n"""',
    '"""\\"""\n[[x]]"""',
    '"""a "" b\n[x] """"',
    "'''\n[[a]]\nk0 = '''",
    '"""it\'s \'\'\'\n"""',
    '"""\n""" # """',
    "[\n  [1, 2], # [c]\n\n  \"]\", '[',\n]",
    "[]",
    "[ [], [\n] ]",
    '{ a = 1, "b.c" = "}", d.e = [ { f = "]" } ] }',
    "{}",
    '[\n  { type = "x" },\n  { type = """\n[y]\n""" },\n]',
)
KEY_STYLES = ("{0}", '"{0}"', "'{0}'", "{0}.inner", '{0} . "in ner"', '  "{0}"', "{0}.'a=b#'")


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[Place, int]]:
    """Give a TOML text and the true line of each of its tables and top keys."""
    lines: list[str] = []
    truth: dict[Place, int] = {}

    def pairs(table: Place) -> None:
        for number in range(draw(st.integers(0, 3))):
            lines.extend([""] * draw(st.integers(0, 1)) + ["# k0 = 1"] * draw(st.integers(0, 1)))
            key = draw(st.sampled_from(KEY_STYLES)).format(f"k{number}")
            truth[*table, f"k{number}"] = len(lines) + 1
            lines.extend(f"{key}={draw(st.sampled_from(VALUES))}".split("\n"))

    pairs(())
    for number in range(draw(st.integers(0, 3))):
        style = draw(st.sampled_from(("[{0}]", "[ {0} ] # [x]", '["{0}"]', "[[{0}]]")))
        for element in range(draw(st.integers(1, 3)) if style == "[[{0}]]" else 1):
            place: Place = (f"t{number}", element) if style == "[[{0}]]" else (f"t{number}",)
            truth[place] = len(lines) + 1
            lines.append(style.format(f"t{number}"))
            pairs(place)
            if draw(st.booleans()):
                truth[*place, "sub"] = len(lines) + 1
                lines.append(f"[t{number}.'sub']")
                pairs((*place, "sub"))
    return draw(st.sampled_from(("\n", "\r\n"))).join(lines), truth


class ScanLinesTests(SynchronousTestCase):
    """Whatever the text looks like, the line is that of the table or key itself."""

    def assert_lines(self, text: str, expected: dict[Place, int]) -> None:
        """Fail unless the text is TOML and each place has its line."""
        tomllib.loads(text)
        lines = scan_lines(text)
        self.assertEqual({place: lines.find(place) for place in expected}, expected, text)

    @given(documents())
    def test_any_document(self, document: tuple[str, dict[Place, int]]) -> None:
        self.assert_lines(*document)

    def test_tables_and_keys(self) -> None:
        text = """\
        # [streams.other]
        top = 1

        [streams.main]          # the one
        url = "x"

        [notifiers."slack.ops"]
        kind = "slack"
        [ notifiers . 'pd' ]
        "key" = 'x'
        """
        self.assert_lines(
            dedent(text),
            {
                ("top",): 2,
                ("streams",): 4,
                ("streams", "main"): 4,
                ("streams", "main", "url"): 5,
                ("notifiers", "slack.ops"): 7,
                ("notifiers", "slack.ops", "kind"): 8,
                ("notifiers", "pd"): 9,
                ("notifiers", "pd", "key"): 10,
            },
        )

    def test_arrays_of_tables_and_tables_below_them(self) -> None:
        text = """\
        [[messages]]
        name = "a"
        [messages.match]
        type = "x"
        [[messages]]
        match.stack.name = "y"
        [[messages.more]]
        a = 1
        [[messages.more]]
        a = 2
        """
        self.assert_lines(
            dedent(text),
            {
                ("messages",): 1,
                ("messages", 0): 1,
                ("messages", 0, "name"): 2,
                ("messages", 0, "match"): 3,
                ("messages", 0, "match", "type"): 4,
                ("messages", 1): 5,
                ("messages", 1, "match"): 6,
                ("messages", 1, "match", "stack", "name"): 6,
                ("messages", 1, "more", 0, "a"): 8,
                ("messages", 1, "more", 1): 9,
                ("messages", 1, "more", 1, "a"): 10,
            },
        )

    def test_inline_tables_and_arrays(self) -> None:
        """Each element of an array that goes over several lines has its own line."""
        text = """\
        match = [
          { type = "a" },

          { type = "b", stack.name = "c" },
        ]
        other = { a = { b = 1 } }
        """
        self.assert_lines(
            dedent(text),
            {
                ("match",): 1,
                ("match", 0): 2,
                ("match", 0, "type"): 2,
                ("match", 1, "type"): 4,
                ("match", 1, "stack", "name"): 4,
                ("other", "a", "b"): 6,
            },
        )

    def test_quotes_before_the_closing_ones_belong_to_the_text(self) -> None:
        self.assert_lines(
            'a = [\n""""x"""",\n\'\'\'y\'\'\'\',\n1,\n]\n', {("a", 1): 3, ("a", 2): 4}
        )

    def test_a_quoted_dotted_key_and_a_dotted_key_are_one_place(self) -> None:
        """Rules read ``"stack.name"`` and ``stack.name`` alike."""
        text = '[messages.match]\n"stack.name" = "x"\n'
        self.assert_lines(text, {("messages", "match", "stack", "name"): 2})

    def test_escapes_in_a_quoted_key_are_undone(self) -> None:
        self.assert_lines('\n"\\u0061\\"" = 1', {('a"',): 2})

    def test_a_place_that_is_not_there_has_the_line_of_what_is_around_it(self) -> None:
        lines = scan_lines("\n[streams.main]\nurl = 1\n")
        self.assertEqual(lines.find(("streams", "main", "rest")), 2)
        self.assertEqual(lines.find(("streams", "other", "url")), 2)
        self.assertIsNone(lines.find(("status",)))
        self.assertIsNone(lines.find(()))

    @given(st.text(alphabet="[]{}=\"'.,#\n\\ ab", max_size=40))
    @example('"\\ "=1')
    @example("[x")
    @example("=")
    @example("[1,")
    @example("a={b")
    @example("a=[}")
    def test_what_is_no_toml_ends_the_scan(self, text: str) -> None:
        """It neither raises nor runs for ever; what was found until then is kept."""
        self.assertEqual(scan_lines(f"a = 1\n{text}").find(("a",)), 1)
