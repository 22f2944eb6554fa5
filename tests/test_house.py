"""The rules of the house, held by reading the source: floors, sizes, names, ignores.

Each rule is a function from a file's path and text to complaints, so that a few lines of made-up
source show that it can fail.
"""

from __future__ import annotations

import ast
import io
import re
import tempfile
import tokenize
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path, PurePosixPath

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent

# From the ground up. A module imports its own folder and lower floors. Modules that stand directly
# in tutumwatch/ share that folder, so those of one floor may import each other.
FLOORS = (
    {
        "secret.py",
        "settings.py",
        "monotonic.py",
        "plain_url.py",
        "endpoints.py",
        "http.py",
        "events/",
    },
    {"stream/", "inventory/"},
    {"resources/", "rules/"},
    {"notifiers/"},
    {"outbox/"},
    {"config/"},
    {
        "watch.py",
        "intake.py",
        "saving.py",
        "restart.py",
        "replay.py",
        "differences.py",
        "dialling.py",
        "status/",
        "control/",
        "logs.py",
    },
    {"sources.py", "destinations.py", "vitals.py", "reload.py", "rehearsal/"},
    {"changeover.py", "root.py"},
    {"assembly.py"},
    {"tap.py", "embedded.py"},
    {"cli/", "tutorial.py"},
    {"__main__.py"},
)
# The server side stands apart: it knows the watcher through the wire only.
BRIDGE = "bridge/"
BRIDGE_IMPORTS = {"events/", "http.py", "secret.py", "monotonic.py"}
BRIDGE_IMPORTED_BY = {"tap.py", "embedded.py"}

# These run live, in explain and in replay, so they may not know a reactor.
WITHOUT_TWISTED = {"events/", "inventory/", "rules/"}
ONLY_IMPORTERS = {"treq": {"http.py"}, "autobahn": {"stream/", BRIDGE}}
PLUGIN_IMPORTS = {"twisted.application.service", "tutumwatch.notifiers.maker"}

COMPOSITION_ROOTS = ("tap.py", "tutorial.py", "__main__.py", "cli/", "bridge/tap.py")
NAMES_THAT_SAY_NOTHING = {"base", "common", "helper", "helpers", "util", "utils"}
MODULE_MAX_LINES = 350
FUNCTION_MAX_LINES = 60

Complaints = Iterator[str]
Rule = Callable[[PurePosixPath, str], Complaints]


def place_of(path: PurePosixPath) -> str:
    """Give the part of the package that a path below tutumwatch/ belongs to: a file or a folder."""
    inside = path.parts[1:]
    return inside[0] if len(inside) == 1 else f"{inside[0]}/"


def imports_in(path: PurePosixPath, text: str) -> Iterator[tuple[int, str]]:
    """Give line and dotted name of every import, also those inside functions and conditions.

    ``from a import b`` gives ``a.b``, whether b is a module or not.
    """
    package = path.parts[:-1]
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                above = ".".join(package[: len(package) - level + 1]) if level else ""
                origin = ".".join(part for part in (above, module) if part)
                yield from ((node.lineno, f"{origin}.{alias.name}") for alias in names)
            case _:
                pass


def imported_places(path: PurePosixPath, text: str) -> Iterator[tuple[int, str]]:
    """Give line and place of every import of a part of tutumwatch."""
    known = {place.removesuffix(".py").rstrip("/"): place for place in {BRIDGE}.union(*FLOORS)}
    for line, name in imports_in(path, text):
        package, _, inside = name.partition(".")
        part = inside.partition(".")[0]
        if package == "tutumwatch" and part and part != "__version__":
            yield line, known.get(part, part)


def rule_floors(path: PurePosixPath, text: str) -> Complaints:
    """Hold that a module imports its own folder and lower floors only."""
    floor_of = {place: number for number, places in enumerate(FLOORS) for place in places}
    own = place_of(path)
    if own == "__init__.py":
        yield from (
            f"{path}:{line}: imports {place}" for line, place in imported_places(path, text)
        )
        return
    if own not in {BRIDGE, *floor_of}:
        yield f"{path}: {own} stands on no floor; give it one in tests/test_house.py"
        return
    for line, place in imported_places(path, text):
        if own == BRIDGE:
            allowed = place == BRIDGE or place in BRIDGE_IMPORTS
        elif place == BRIDGE:
            allowed = own in BRIDGE_IMPORTED_BY
        else:
            neighbours = own == place or (own.endswith(".py") and place.endswith(".py"))
            above = floor_of.get(place, len(FLOORS)) - floor_of[own]
            allowed = above < 0 or (above == 0 and neighbours)
        if not allowed:
            yield f"{path}:{line}: {own} imports {place}, which is not below it"


def rule_libraries(path: PurePosixPath, text: str) -> Complaints:
    """Hold who may import Twisted, treq and Autobahn."""
    own = place_of(path)
    for line, name in imports_in(path, text):
        library = name.partition(".")[0]
        if library in {"twisted", "treq", "autobahn"} and own in WITHOUT_TWISTED:
            yield f"{path}:{line}: {own} imports {name}, and must run without a reactor"
        elif own not in ONLY_IMPORTERS.get(library, {own}):
            yield f"{path}:{line}: {own} imports {name}; only {ONLY_IMPORTERS[library]} may"


def rule_reactor(path: PurePosixPath, text: str) -> Complaints:
    """Hold that the reactor is imported by the composition roots alone, inside functions."""
    is_root = str(path.relative_to(path.parts[0])).startswith(COMPOSITION_ROOTS)
    tree = ast.parse(text)
    inside = {
        node.lineno
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    for line, name in imports_in(path, text):
        if name == "twisted.internet.reactor":
            if not is_root:
                yield f"{path}:{line}: takes the reactor itself; make it an argument"
            elif line not in inside:
                yield f"{path}:{line}: imports the reactor outside a function"


def rule_plugin(path: PurePosixPath, text: str) -> Complaints:
    """Hold that what every twistd command imports is nearly nothing."""
    for line, name in imports_in(path, text):
        if name.rpartition(".")[0] not in PLUGIN_IMPORTS:
            yield f"{path}:{line}: imports {name}"


def rule_name(path: PurePosixPath, text: str) -> Complaints:
    """Hold that a module's name says what it is about."""
    del text
    for name in (*path.parent.parts, path.stem):
        if name in NAMES_THAT_SAY_NOTHING:
            yield f"{path}: {name} says nothing"


def rule_size(path: PurePosixPath, text: str) -> Complaints:
    """Hold the greatest length of modules and functions."""
    lines = text.count("\n")
    if lines > MODULE_MAX_LINES:
        yield f"{path}: {lines} lines, more than {MODULE_MAX_LINES}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_MAX_LINES:
                yield f"{path}:{node.lineno}: {node.name} has {lines} lines"


def rule_ignores(path: PurePosixPath, text: str) -> Complaints:
    """Hold that what silences a tool names the code and gives a reason, on the same line."""
    codes = r"[A-Za-z0-9-]+(?:, ?[A-Za-z0-9-]+)*"
    reason = r"\s+[-#]+ \w.{3,}"
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT:
            continue
        for found, wanted in (
            (r"# *type: *ignore", rf"# type: ignore\[{codes}\]{reason}"),
            (r"# *noqa", rf"# noqa: {codes}{reason}"),
            (r"# *pragma: *no", rf"# pragma: no (?:cover|branch){reason}"),
        ):
            if re.search(found, token.string) and not re.search(wanted, token.string):
                yield f"{path}:{token.start[0]}: {token.string}: no code, or no reason"


def rule_print(path: PurePosixPath, text: str) -> Complaints:
    """Hold that only the command line prints."""
    if place_of(path) == "cli/":
        return
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Call(func=ast.Name(id="print")):
                yield f"{path}:{node.lineno}: prints"
            case _:
                pass


def rule_patching(path: PurePosixPath, text: str) -> Complaints:
    """Hold that tests replace nothing in a module: what a thing needs is an argument."""
    for line, name in imports_in(path, text):
        if "mock" in name.split("."):
            yield f"{path}:{line}: imports {name}"
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Name(id="monkeypatch" | "MagicMock") | ast.arg(arg="monkeypatch"):
                yield f"{path}:{node.lineno}: patches"
            case ast.Attribute(value=ast.Name(id="self" | "mock"), attr="patch"):
                yield f"{path}:{node.lineno}: patches"
            case _:
                pass


def twice_named_classes(sources: list[tuple[PurePosixPath, str]]) -> Complaints:
    """Hold that one class name exists once."""
    places = defaultdict(list)
    for path, text in sources:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path}:{node.lineno}")
    for name, found in places.items():
        if len(found) > 1:
            yield f"{name} is the name of {len(found)} classes: {', '.join(found)}"


def shadowing_packages(root: Path) -> Complaints:
    """Hold that our part of twisted/plugins hides neither Twisted nor the plugins of others."""
    for name in ("twisted/__init__.py", "twisted/plugins/__init__.py"):
        if (root / name).exists():
            yield f"{name} would hide what is installed under the same name"


def undeclared_packages(root: Path) -> Complaints:
    """Hold the list of packages in pyproject.toml to the tree."""
    with (root / "pyproject.toml").open("rb") as file:
        declared = set(tomllib.load(file)["tool"]["setuptools"]["packages"])
    folders = (path.parent.relative_to(root) for path in root.glob("tutumwatch/**/__init__.py"))
    present = {".".join(folder.parts) for folder in folders} | {"twisted.plugins"}
    yield from (f"{name} is in no package list" for name in sorted(present - declared))
    yield from (f"{name} is declared and not there" for name in sorted(declared - present))


def sources_below(*folders: str) -> list[tuple[PurePosixPath, str]]:
    """Give path and text of the modules of this checkout."""
    found = []
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = PurePosixPath(path.relative_to(ROOT).as_posix())
            found.append((name, path.read_text(encoding="utf-8")))
    return found


class HouseTests(SynchronousTestCase):
    """This checkout keeps the rules."""

    def assert_kept(self, rule: Rule, *folders: str) -> None:
        """Fail with every complaint that a rule has of the modules in some folders."""
        complaints = [
            complaint for source in sources_below(*folders) for complaint in rule(*source)
        ]
        self.assertEqual(complaints, [], "\n".join(complaints))

    def test_a_module_imports_its_own_folder_and_lower_floors(self) -> None:
        self.assert_kept(rule_floors, "tutumwatch")

    def test_libraries_are_imported_where_they_belong(self) -> None:
        self.assert_kept(rule_libraries, "tutumwatch")

    def test_the_reactor_is_taken_by_the_composition_roots_alone(self) -> None:
        self.assert_kept(rule_reactor, "tutumwatch")

    def test_the_twistd_plugin_imports_nothing_heavy(self) -> None:
        self.assert_kept(rule_plugin, "twisted")

    def test_no_module_is_named_for_nothing(self) -> None:
        self.assert_kept(rule_name, "tutumwatch", "tests")

    def test_modules_and_functions_are_short(self) -> None:
        self.assert_kept(rule_size, "tutumwatch")

    def test_every_ignore_has_a_code_and_a_reason(self) -> None:
        self.assert_kept(rule_ignores, "tutumwatch", "tests", "twisted")

    def test_only_the_command_line_prints(self) -> None:
        self.assert_kept(rule_print, "tutumwatch")

    def test_no_test_patches(self) -> None:
        self.assert_kept(rule_patching, "tests")

    def test_one_class_name_exists_once(self) -> None:
        self.assertEqual(list(twice_named_classes(sources_below("tutumwatch"))), [])

    def test_nothing_hides_twisted(self) -> None:
        self.assertEqual(list(shadowing_packages(ROOT)), [])

    def test_every_package_is_declared(self) -> None:
        self.assertEqual(list(undeclared_packages(ROOT)), [])


class RulesCanFailTests(SynchronousTestCase):
    """Each rule complains of made-up source that breaks it, and of nothing else."""

    def assert_judged(self, rule: Rule, path: str, text: str, *, good: bool) -> None:
        """Fail unless a rule says of a text what it ought to say."""
        complaints = list(rule(PurePosixPath(path), text))
        self.assertEqual(not complaints, good, f"{rule.__name__} of {path}: {text!r}: {complaints}")

    def test_floors(self) -> None:
        """Up is refused in every form of import, down and the own folder are not."""
        for path, text, good in (
            ("tutumwatch/outbox/lanes.py", "from tutumwatch.rules.notice import Notice", True),
            ("tutumwatch/outbox/lanes.py", "from tutumwatch.outbox.rows import Row", True),
            ("tutumwatch/outbox/lanes.py", "from .rows import Row", True),
            ("tutumwatch/outbox/lanes.py", "from ..rules import notice", True),
            ("tutumwatch/settings.py", "from tutumwatch.secret import Secret", True),
            ("tutumwatch/watch.py", "import tutumwatch.logs", True),
            ("tutumwatch/tap.py", "from tutumwatch import __version__", True),
            ("tutumwatch/tap.py", "from tutumwatch.bridge.tap import serve", True),
            ("tutumwatch/bridge/rest.py", "from tutumwatch.events.event import Event", True),
            ("tutumwatch/rules/verdict.py", "from tutumwatch.outbox import lanes", False),
            ("tutumwatch/rules/verdict.py", "def f():\n    import tutumwatch.watch", False),
            (
                "tutumwatch/rules/verdict.py",
                "if TYPE_CHECKING:\n    from tutumwatch import tap",
                False,
            ),
            ("tutumwatch/rules/verdict.py", "from ..outbox.lanes import Lane", False),
            ("tutumwatch/rules/verdict.py", "from .. import outbox", False),
            ("tutumwatch/rules/verdict.py", "from tutumwatch import unheard_of", False),
            ("tutumwatch/rules/verdict.py", "from tutumwatch.resources import lookup", False),
            ("tutumwatch/status/page.py", "from tutumwatch.watch import Watch", False),
            ("tutumwatch/bridge/rest.py", "from tutumwatch.rules import verdict", False),
            ("tutumwatch/watch.py", "from tutumwatch.bridge import rest", False),
            ("tutumwatch/__init__.py", "from tutumwatch import tap", False),
            ("tutumwatch/surprise/thing.py", "", False),
        ):
            self.assert_judged(rule_floors, path, text, good=good)

    def test_the_table_of_floors_is_a_ladder(self) -> None:
        """Each floor may import the one below and not the one above."""
        for lower, upper in pairwise(FLOORS):
            for below in lower:
                for above in upper:
                    self.assert_judged(rule_floors, *_import(above, below), good=True)
                    self.assert_judged(rule_floors, *_import(below, above), good=False)

    def test_libraries(self) -> None:
        for path, text, good in (
            ("tutumwatch/http.py", "import treq", True),
            ("tutumwatch/stream/protocol.py", "from autobahn.twisted import websocket", True),
            ("tutumwatch/watch.py", "from twisted.logger import Logger", True),
            ("tutumwatch/tutorial.py", "import treq", False),
            ("tutumwatch/tap.py", "def f():\n    import autobahn", False),
            ("tutumwatch/rules/verdict.py", "from twisted.logger import Logger", False),
            ("tutumwatch/events/event.py", "import twisted", False),
            ("tutumwatch/inventory/store.py", "import treq.client", False),
        ):
            self.assert_judged(rule_libraries, path, text, good=good)

    def test_reactor(self) -> None:
        for path, text, good in (
            ("tutumwatch/tap.py", "def f():\n    from twisted.internet import reactor", True),
            ("tutumwatch/cli/run.py", "def f():\n    from twisted.internet import reactor", True),
            ("tutumwatch/bridge/tap.py", "def f():\n    import twisted.internet.reactor", True),
            ("tutumwatch/watch.py", "from twisted.internet import defer", True),
            ("tutumwatch/tap.py", "from twisted.internet import reactor", False),
            ("tutumwatch/watch.py", "def f():\n    from twisted.internet import reactor", False),
            ("tutumwatch/bridge/rest.py", "def f():\n    import twisted.internet.reactor", False),
        ):
            self.assert_judged(rule_reactor, path, text, good=good)

    def test_plugin(self) -> None:
        path = "twisted/plugins/tutumwatch_plugin.py"
        light = "from twisted.application.service import ServiceMaker"
        self.assert_judged(rule_plugin, path, light, good=True)
        self.assert_judged(rule_plugin, path, "from tutumwatch import tap", good=False)

    def test_name(self) -> None:
        self.assert_judged(rule_name, "tutumwatch/outbox/lanes.py", "", good=True)
        self.assert_judged(rule_name, "tutumwatch/outbox/utils.py", "", good=False)
        self.assert_judged(rule_name, "tests/common/thing.py", "", good=False)

    def test_size(self) -> None:
        path = "tutumwatch/watch.py"
        for text, good in (
            ("x = 1\n" * MODULE_MAX_LINES, True),
            ("x = 1\n" * (MODULE_MAX_LINES + 1), False),
            ("async def f():\n" + "    x = 1\n" * (FUNCTION_MAX_LINES - 1), True),
            ("async def f():\n" + "    x = 1\n" * FUNCTION_MAX_LINES, False),
        ):
            self.assert_judged(rule_size, path, text, good=good)

    def test_ignores(self) -> None:
        """The words are put together here, so that no tool takes this file's texts for its own."""
        hush, look_away, uncovered = "type" + ": ignore", "no" + "qa", "pragma" + ": no cover"
        for text, good in (
            (f"x = 1  # {hush}[misc]  # zope gives it no type", True),
            (f"x = 1  # {look_away}: ANN401 - any value is meant", True),
            (f"x = 1  # {uncovered} - the platform has no such call", True),
            (f"x = '# {hush}'", True),
            (f"x = 1  # {hush}", False),
            (f"x = 1  # {hush}[misc]", False),
            (f"x = 1  # {hush}  # zope gives it no type", False),
            (f"x = 1  # {look_away}", False),
            (f"x = 1  # {look_away}: ANN401", False),
            (f"x = 1  # {uncovered}", False),
        ):
            self.assert_judged(rule_ignores, "tutumwatch/watch.py", text + "\n", good=good)

    def test_print(self) -> None:
        self.assert_judged(rule_print, "tutumwatch/cli/show.py", "print(1)", good=True)
        self.assert_judged(rule_print, "tutumwatch/watch.py", "page.print(1)", good=True)
        self.assert_judged(rule_print, "tutumwatch/watch.py", "print(1)", good=False)

    def test_patching(self) -> None:
        for text, good in (
            ("await client.patch(url)", True),
            ("monkey = 'monkeypatch'", True),
            ("from unittest import mock", False),
            ("from unittest.mock import MagicMock", False),
            ("import unittest.mock", False),
            ("self.patch(module, 'name', 1)", False),
            ("def test_it(monkeypatch): pass", False),
        ):
            self.assert_judged(rule_patching, "tests/test_it.py", text, good=good)

    def test_class_names(self) -> None:
        one = (PurePosixPath("tutumwatch/a.py"), "class Row: pass")
        other = (PurePosixPath("tutumwatch/b.py"), "class Lane:\n    class Row: pass")
        self.assertEqual(list(twice_named_classes([one])), [])
        self.assertEqual(len(list(twice_named_classes([one, other]))), 1)

    def test_shadowing(self) -> None:
        root = self.made_up_tree("twisted/__init__.py", "twisted/plugins/__init__.py")
        self.assertEqual(len(list(shadowing_packages(root))), 2)

    def test_packages(self) -> None:
        root = self.made_up_tree("tutumwatch/__init__.py", "tutumwatch/rules/__init__.py")
        declared = '[tool.setuptools]\npackages = ["tutumwatch", "tutumwatch.gone"]\n'
        (root / "pyproject.toml").write_text(declared, encoding="utf-8")
        self.assertEqual(
            list(undeclared_packages(root)),
            [
                "tutumwatch.rules is in no package list",
                "twisted.plugins is in no package list",
                "tutumwatch.gone is declared and not there",
            ],
        )

    def made_up_tree(self, *names: str) -> Path:
        """Make a folder with some empty files in it, for the length of one test."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        for name in names:
            path = Path(folder.name, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return Path(folder.name)


def _import(own: str, place: str) -> tuple[str, str]:
    """Make up a module of one place that imports another place."""
    path = f"tutumwatch/{own}" + ("thing.py" if own.endswith("/") else "")
    return path, f"import tutumwatch.{place.removesuffix('.py').rstrip('/')}"
