"""Tests of the texts of notices."""

from __future__ import annotations

import jinja2
from twisted.trial.unittest import SynchronousTestCase

from tests.rules.talk import SERVICE, STACK, Talk, angle, make_rule, texts
from tutumwatch.rules.decisions import Need
from tutumwatch.rules.texts import TextError, compile_text
from tutumwatch.rules.view import ABSENT, Unknown, Value
from tutumwatch.rules.vocabulary import Path


class TextTests(SynchronousTestCase):
    """A text is checked when it is loaded, and rendered with what is known."""

    def render(self, source: str, **values: Value) -> str:
        """Render with the values of fields; two underscores stand for a dot."""
        text = compile_text(source, str)
        return text.render({tuple(name.split("__")): value for name, value in values.items()})

    def test_values_are_filled_in(self) -> None:
        self.assertEqual(
            self.render(
                "{{ stack.name }}/{{ name }} is {{ state | lower }}, was {{ before.state }}",
                stack__name="shop",
                name="web",
                state="Running",
                before__state="Starting",
            ),
            "shop/web is running, was Starting",
        )

    def test_the_tutorials_text_letter_for_letter(self) -> None:
        said = self.render(
            "Your container was {{ action | past }} on Tutum!\n"
            "Check {{ resource_uri }} to see more details.",
            action="create",
            resource_uri="/api/v1/container/c1/",
        )
        self.assertEqual(
            said,
            "Your container was created on Tutum!\n"
            "Check /api/v1/container/c1/ to see more details.",
        )

    def test_a_list_is_shown_as_one(self) -> None:
        self.assertEqual(self.render("{{ parents }}", parents=["/a/", "/b/"]), "['/a/', '/b/']")
        self.assertEqual(self.render("{{ parents[0] }}", parents=["/a/"]), "/a/")
        loop = "{% for p in parents %}{{ loop.index }}{{ p }} {% endfor %}"
        self.assertEqual(self.render(loop, parents=["/a/", "/b/"]), "1/a/ 2/b/ ")

    def test_numbers_are_numbers(self) -> None:
        text = "{{ 'all' if running >= target else 'some' }} of {{ target }}"
        self.assertEqual(self.render(text, running=3, target=10), "some of 10")

    def test_absent_is_empty_and_unknown_says_so(self) -> None:
        unknown = Unknown(Need("main", "/api/v1/stack/k1/"))
        text = "{{ name }}|{{ stack.name }}|{{ name or 'none' }}|{{ stack.name | upper }}"
        said = self.render(text, name=ABSENT, stack__name=unknown)
        self.assertEqual(said, "|(unknown)|none|(UNKNOWN)")

    def test_nothing_that_a_template_computes_is_shown_as_none(self) -> None:
        self.assertEqual(self.render("{{ {}.get(state) }}", state="x"), "")

    def test_labels(self) -> None:
        """Their dots do not nest, so such a one is put in brackets."""
        text = compile_text("{{ labels.job }}, {{ labels['com.example.team'] }}", str)
        job, team = ("labels", "job"), ("labels", "com.example.team")
        self.assertEqual(text.paths, {job, team})
        self.assertEqual(text.render({job: "nightly", team: "pay"}), "nightly, pay")

    def test_the_summary_is_a_name_like_any_other(self) -> None:
        """Whose it is is looked up for it, and nothing else; it is escaped once."""
        source = "{{ summary }}{% if state %}!{% endif %}"
        named = {("name",), ("service", "name"), ("stack", "name"), ("state",)}
        self.assertEqual(compile_text(source, str).paths, named)
        self.assertEqual(compile_text("{{ summary | upper }}", str).paths, named - {("state",)})
        talk = Talk.of(make_rule(text=source, notify=["plain", "slack"]))
        talk.found(STACK, name="<shop>")
        decisions = talk.event(SERVICE, "Stopped", parents=[STACK], object={"name": "web & co"})
        self.assertEqual(
            texts(decisions), ["<shop>/web & co stopped!", "&lt;shop&gt;/web &amp; co stopped!"]
        )

    def test_every_field_that_is_named_is_known_beforehand(self) -> None:
        for source, paths in (
            ("nothing", set()),
            ("{{ state.upper() }}", {("state",)}),
            ("{{ stack['name'] }}", {("stack", "name")}),
            ("{{ stack.name.upper() ~ node.host }}", {("stack", "name"), ("node", "host")}),
            ("{% if exit_code %}{{ name }}{% endif %}", {("exit_code",), ("name",)}),
            ("{% set s = stack.name %}{{ s }}", {("stack", "name")}),
            ("{{ parents | join(', ') }}", {("parents",)}),
        ):
            named: frozenset[Path] = compile_text(source, str).paths
            self.assertEqual(named, paths, source)

    def assert_refused(self, source: str, said: str) -> None:
        """Fail unless a text is refused with this sentence."""
        error = self.assertRaises(TextError, compile_text, source, str)
        self.assertEqual(str(error), said)

    def test_a_field_that_does_not_exist_is_refused(self) -> None:
        """Also where it would not be reached."""
        self.assert_refused("{{ stat }}", "'stat' is no known field (did you mean 'state'?)")
        self.assert_refused(
            "{% if state %}x{% else %}{{ stack.nam }}{% endif %}",
            "'stack.nam' is no known field (did you mean 'stack.name'?)",
        )
        self.assert_refused(
            "{{ labels }}", "'labels' must name one of the labels, as labels.job does"
        )
        self.assert_refused(
            "{{ labels[name] }}", "'labels' must name one of the labels, as labels.job does"
        )
        self.assert_refused("{{ sumary }}", "'sumary' is no known field (did you mean 'summary'?)")
        self.assert_refused("{{ zzz(9) }}", "'zzz' is no known field")

    def test_what_is_no_template_is_refused_with_its_line(self) -> None:
        self.assert_refused(
            "fine\n{{ state",
            "line 2 of the text: unexpected end of template, expected 'end of print statement'.",
        )
        self.assert_refused("{{ state | lowr }}", "line 1 of the text: No filter named 'lowr'.")

    def test_values_are_escaped_for_their_destination(self) -> None:
        """What the author of the text wrote is left as it is, so that it may ping."""
        text = compile_text("<!here> {{ name }} {{ name | upper }} {{ '<b>' }}", angle)
        said = text.render({("name",): "<!channel> & co"})
        self.assertEqual(
            said, "<!here> &lt;!channel&gt; &amp; co &lt;!CHANNEL&gt; &amp; CO &lt;b&gt;"
        )

    def test_a_template_can_reach_no_further_than_its_values(self) -> None:
        for source in (
            "{{ state.__class__.__mro__ }}",
            "{{ parents.append('x') }}",
            "{{ state.nope }}",
        ):
            text = compile_text(source, str)
            values: dict[Path, Value] = {path: ["a"] for path in text.paths}
            self.assertRaises((jinja2.TemplateError, TypeError), text.render, values)
