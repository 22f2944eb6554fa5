"""Tests that docs/rules.md says what is so: its examples are run, and name every key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.config.cases import LoadingTestCase
from tests.config.test_docs import RULES, VARIABLES, sections, toml_blocks
from tutumwatch.config.load import DOCKER
from tutumwatch.config.rehearsal_tables import RehearsalSettings
from tutumwatch.config.rules import GeneralSettings
from tutumwatch.inventory.deploys import DEPLOY_STATES
from tutumwatch.inventory.endings import ENDINGS
from tutumwatch.rehearsal.comparing import compare
from tutumwatch.rehearsal.performing import perform
from tutumwatch.rules.incident_rules import IncidentSettings
from tutumwatch.rules.messages import MessageSettings
from tutumwatch.rules.silences import MuteSettings
from tutumwatch.rules.vocabulary import HEALTHS
from tutumwatch.settings import Settings

ROOT = Path(__file__).resolve().parent.parent.parent
DOCKER_TEXT = (ROOT / "tutumwatch/config" / DOCKER).read_text("utf-8")
# What the document says that its examples leave out.
LEFT_OUT = """
[streams.main]

[notifiers.console]
kind = "console"

[notifiers.slack]
kind = "slack"
url = "${SLACK_URL}"

[notifiers.pagerduty]
kind = "pagerduty"
key = "${PAGERDUTY_KEY}"
"""
USER = {"TUTUM_USERNAME": "ops", "TUTUM_TOKEN": "t0k3n"}
TABLES_OF_RULES = {"messages", "incidents"}
# A code span, so that what stands in one is no link.
_CODE = re.compile(r"`[^`]*`|^```.*?^```", re.DOTALL | re.MULTILINE)


def keys_of(kind: type[Settings]) -> set[str]:
    """Give the keys of a table."""
    return {field.encode_name for field in msgspec.structs.fields(kind)}


def completed(block: str) -> str:
    """Make a whole configuration of an example."""
    if not TABLES_OF_RULES.isdisjoint(tomllib.loads(block)):
        return block + LEFT_OUT
    return f"{DOCKER_TEXT}\n{block}"


def anchors_in(text: str) -> set[str]:
    """Give what links may name of a document: its headings, as GitHub makes anchors of them."""
    headings = re.findall(r"(?m)^#+ (.*)$", text)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


class ExamplesTests(LoadingTestCase):
    """What happens in an example comes to what it says."""

    def test_every_example(self) -> None:
        blocks = toml_blocks(RULES)
        self.assertGreater(len(blocks), 25)
        for block in blocks:
            configuration = self.load(completed(block), **VARIABLES, **USER)
            self.assertNotEqual(configuration.rehearsals, (), block)
            rules = configuration.rehearsed
            assert rules is not None
            for rehearsal in configuration.rehearsals:
                performed = perform(rehearsal, rules)
                self.assertEqual(compare(rehearsal, performed), [])
                self.assertEqual(performed.rejected, (), rehearsal.name)

    def test_every_key_is_in_one(self) -> None:
        examples = [tomllib.loads(block) for block in toml_blocks(RULES)]

        def used(array: str) -> set[str]:
            return {key for one in examples for table in one.get(array, []) for key in table}

        self.assertEqual(keys_of(MessageSettings) - used("messages"), set())
        self.assertEqual(keys_of(IncidentSettings) - used("incidents"), set())
        self.assertEqual(keys_of(MuteSettings) - used("mutes"), set())
        self.assertEqual(keys_of(RehearsalSettings) - used("tests"), set())
        self.assertEqual({"match", "when", "continue"} - used("routes"), set())
        self.assertEqual({"match", "when"} - used("ignore"), set())
        self.assertEqual(keys_of(GeneralSettings) - {key for one in examples for key in one}, set())

    def test_every_recipe_is_whole(self) -> None:
        cookbook = RULES.split("\n## Cookbook\n")[1].split("\n## ")[0]
        recipes = sections(cookbook)
        self.assertEqual(len(recipes), 10)
        self.assertEqual([len(toml_blocks(recipe)) for recipe in recipes.values()], [1] * 10)


class WordsTests(LoadingTestCase):
    """What a rule may ask for is explained."""

    def test_every_word_of_the_derived_fields(self) -> None:
        told = set(re.findall(r"(?m)^\| `([\w ]+)` \|", sections(RULES)["Fields"]))
        self.assertEqual((HEALTHS | ENDINGS | DEPLOY_STATES) - told, set())

    def test_every_rule_that_is_shipped(self) -> None:
        docker = tomllib.loads(DOCKER_TEXT)
        names = [rule["name"] for table in TABLES_OF_RULES for rule in docker[table]]
        section = sections(RULES)["docker.toml, rule by rule"]
        told = re.findall(r"(?m)^\| ([a-z ]+) \| ", section)
        self.assertEqual(sorted(told), sorted([*names, "rule"]))


class LinksTests(LoadingTestCase):
    """A link between documents leads somewhere."""

    def links(self) -> Iterator[tuple[Path, str]]:
        """Give each link of a document to a file of ours, after the document."""
        for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
            text = _CODE.sub("", path.read_text("utf-8"))
            for target in re.findall(r"\]\(([^)\s]+)\)", text):
                if not target.startswith("http"):
                    yield path, target

    def test_every_link(self) -> None:
        found = list(self.links())
        self.assertGreater(len(found), 50)
        for path, target in found:
            name, _, anchor = target.partition("#")
            linked = path.parent / name if name else path
            self.assertTrue(linked.exists(), f"{path.name}: {target}")
            if anchor:
                self.assertIn(
                    anchor, anchors_in(linked.read_text("utf-8")), f"{path.name}: {target}"
                )
