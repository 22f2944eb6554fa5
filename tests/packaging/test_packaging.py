"""However tutumwatch is installed, `twistd` lists it, and after an uninstall no longer."""

from __future__ import annotations

import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from tests.packaging.environment import Environment, build, copy_checkout

PLUGIN = "twisted/plugins/tutumwatch_plugin.py"
WANTED = (PLUGIN, "tutumwatch/config/tutorial.toml", "tutumwatch/py.typed", "tutumwatch/tap.py")
UNWANTED = ("twisted/__init__.py", "twisted/plugins/__init__.py")


class PackagingTests(SynchronousTestCase):
    """The four ways of installing, tried on a copy of this checkout."""

    scratch: ClassVar[tempfile.TemporaryDirectory[str]]
    source: ClassVar[Path]
    wheel: ClassVar[Path]
    archive: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        """Build wheel and source archive once."""
        cls.scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.scratch.cleanup)
        cls.source = Path(cls.scratch.name, "source")
        copy_checkout(cls.source)
        built = Path(cls.scratch.name, "built")
        build(cls.source, built)
        (cls.wheel,) = built.glob("*.whl")
        (cls.archive,) = built.glob("*.tar.gz")

    def environment(self) -> Environment:
        """Make an environment for one test."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return Environment(Path(folder.name))

    def check_install(self, *what: str | Path, runs_from: str) -> None:
        """Install, look, uninstall, look again."""
        environment = self.environment()
        self.assertEqual(environment.listed_commands(), [], "before it is installed")
        environment.install(*what)
        self.assertEqual(environment.listed_commands(), ["tutumwatch", "tutumwatch"])
        module = environment.run("-c", "import tutumwatch; print(tutumwatch.__file__)")
        self.assertIn(runs_from, module)
        self.assertTrue((environment.python.parent / "tutumwatch").exists(), "the command")
        environment.pip("uninstall", "--yes", "tutumwatch")
        self.assertEqual(environment.listed_commands(), [], "after it is uninstalled")
        self.assertFalse((environment.python.parent / "tutumwatch").exists(), "the command")

    def assert_holds(self, names: list[str]) -> None:
        """Fail unless the plugin and the data files are among some names, and no trap is."""
        self.assertEqual([name for name in WANTED if name not in names], [])
        self.assertEqual([name for name in UNWANTED if name in names], [])

    def test_the_wheel_holds_the_plugin_and_the_data_files_and_no_tests(self) -> None:
        with zipfile.ZipFile(self.wheel) as wheel:
            names = wheel.namelist()
        self.assert_holds(names)
        self.assertEqual([name for name in names if name.startswith("tests")], [])

    def test_the_source_archive_holds_the_tests_too(self) -> None:
        with tarfile.open(self.archive) as archive:
            names = [name.partition("/")[2] for name in archive.getnames()]
        self.assert_holds(names)
        self.assertIn("tests/packaging/test_packaging.py", names)
        self.assertIn("LICENSE", names)

    def test_an_installed_wheel_is_listed(self) -> None:
        self.check_install(self.wheel, runs_from="site-packages")

    def test_an_installed_source_archive_is_listed(self) -> None:
        self.check_install(self.archive, runs_from="site-packages")

    def test_an_installed_checkout_is_listed(self) -> None:
        """By ``pip install .``."""
        self.check_install(self.source, runs_from="site-packages")

    def test_an_editable_checkout_is_listed(self) -> None:
        """By ``pip install -e .``."""
        self.check_install("-e", self.source, runs_from=str(self.source))
