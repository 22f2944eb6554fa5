"""Tests that docs/ and README.md say what is so."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import get_type_hints

import msgspec

from tests.config.cases import LoadingTestCase
from tutumwatch.config.heartbeat import HeartbeatSettings
from tutumwatch.config.load import TABLES
from tutumwatch.config.rehearsal_tables import RehearsalSettings
from tutumwatch.config.rules import GeneralSettings
from tutumwatch.config.status import StatusSettings
from tutumwatch.config.store import StoreSettings
from tutumwatch.notifiers.contract import NotifierSettings
from tutumwatch.notifiers.maker import find_makers
from tutumwatch.rules.incident_rules import IncidentSettings
from tutumwatch.rules.messages import MessageSettings
from tutumwatch.rules.silences import MuteSettings
from tutumwatch.rules.vocabulary import OWN_FIELDS, PARENT_TYPES
from tutumwatch.settings import Duration, Settings
from tutumwatch.stream.settings import StreamSettings

ROOT = Path(__file__).resolve().parent.parent.parent
CONFIGURATION = (ROOT / "docs/configuration.md").read_text("utf-8")
RULES = (ROOT / "docs/rules.md").read_text("utf-8")
FROM_THE_TUTORIAL = (ROOT / "docs/from-the-tutorial.md").read_text("utf-8")
VARIABLES = {
    "TUTUM_AUTH": "Basic b3BzOms=",
    "STAGING_AUTH": "ApiKey ops:k",
    "HEARTBEAT_URL": "https://hc-ping.example/x",
    "SLACK_URL": "https://hooks.slack.com/services/T0/B0/x",
    "PAGERDUTY_KEY": "0123456789abcdef0123456789abcdef",
}
_ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (.+?) \|", re.MULTILINE)


def sections(text: str) -> dict[str, str]:
    """Give the parts of a document by their headings."""
    _, *parts = re.split(r"^##+ (.*)$", text, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def toml_blocks(text: str) -> list[str]:
    """Give the TOML examples of a document."""
    return re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)


class ExamplesTests(LoadingTestCase):
    """Whoever copies an example has a configuration that loads."""

    def test_every_example_loads(self) -> None:
        secrets = self.folder()
        (secrets / "apikey").write_text("k\n")
        readme = (ROOT / "README.md").read_text("utf-8")
        blocks = toml_blocks(CONFIGURATION) + toml_blocks(readme)
        self.assertGreater(len(blocks), 8)
        for block in blocks:
            text = block.replace("/run/secrets/", f"{secrets.absolute()}/")
            configuration = self.load(text, **VARIABLES)
            self.assertNotEqual(configuration.streams, ())

    def test_the_built_in_configurations_have_no_variable_that_is_not_documented(self) -> None:
        files = ("tutorial.toml", "docker.toml")
        text = "".join((ROOT / "tutumwatch/config" / name).read_text("utf-8") for name in files)
        named = set(re.findall(r"\$\{(\w+)", text)) | set(re.findall(r"TUTUM_\w+", text))
        source = (ROOT / "tutumwatch/config/tutum.py").read_text("utf-8")
        named |= set(re.findall(r"TUTUM_\w+", source))
        self.assertIn("TUTUM_PASS", named)
        table = sections(FROM_THE_TUTORIAL)["Every variable"]
        self.assertEqual([name for name in sorted(named) if f"`{name}`" not in table], [])


class KeysTests(LoadingTestCase):
    """Every table and key is documented, with its default."""

    def assert_documented(
        self, heading: str, kind: type[Settings], but: type[Settings] = Settings
    ) -> None:
        """Fail unless a section's rows are a class's keys, with their defaults."""
        section = sections(CONFIGURATION)[heading]
        documented = {key: default for key, _, default in _ROW.findall(section)}
        inherited = set(but.__struct_encode_fields__)
        fields = [f for f in msgspec.structs.fields(kind) if f.encode_name not in inherited]
        expected = {field.encode_name: self.shown(field) for field in fields}
        for name, hint in get_type_hints(kind).items():
            if hint is Duration and name.removesuffix("_") in documented:
                documented[name.removesuffix("_")] = str(
                    Duration.parse(documented[name.removesuffix("_")].strip("`"))
                )
        self.assertEqual(documented, expected)

    def shown(self, field: msgspec.structs.FieldInfo) -> str:
        """Write a default as the documents do."""
        default = field.default
        if field.required:
            return "required"
        if default is None:
            return "none"
        if default is msgspec.NODEFAULT:
            return f"`{field.default_factory()}`"
        if isinstance(default, Duration):
            return str(default)
        if isinstance(default, bool):
            return f"`{str(default).lower()}`"
        word = default.value if isinstance(default, Enum) else str(default)
        return f"`{word.replace('|', chr(92) + '|')}`"

    def test_every_key(self) -> None:
        self.assert_documented("`[streams.NAME]`", StreamSettings)
        self.assert_documented("`[store]`", StoreSettings)
        self.assert_documented("`[status]`", StatusSettings)
        self.assert_documented("`[heartbeat]`", HeartbeatSettings)
        self.assert_documented("`[notifiers.NAME]`", NotifierSettings)
        self.assert_documented("Keys above all tables", GeneralSettings)
        self.assert_documented("`[[messages]]`", MessageSettings)
        self.assert_documented("`[[incidents]]`", IncidentSettings)
        self.assert_documented("`[[mutes]]`", MuteSettings)
        self.assert_documented("`[[tests]]`", RehearsalSettings)
        kinds = {name: makers[0].load() for name, makers in find_makers().items()}
        for name, kind in kinds.items():
            self.assert_documented(f'`kind = "{name}"`', kind.settings, NotifierSettings)

    def test_every_table(self) -> None:
        tables = [re.findall(r"\w+", h)[0] for h in sections(CONFIGURATION) if h.startswith("`[")]
        self.assertEqual(sorted(tables), sorted(TABLES))

    def test_every_field(self) -> None:
        section = sections(RULES)["Fields"]
        told = set(re.findall(r"`(\w+)[`.]", section))
        self.assertEqual(sorted((OWN_FIELDS | PARENT_TYPES | {"before"}) - told), [])
