"""However tutumwatch is installed, `twistd` lists it, and after an uninstall no longer.

No network is needed: a virtual environment is made by hand, with a copy of Twisted (our plugin is
installed into its folder), and links to all else that the running Python has installed. A
tutumwatch that is installed there is left out, so that it cannot stand in for the one under test.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import twisted
from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND_MAX_SECONDS = 60
SETUPTOOLS_MIN = 77  # what pyproject.toml asks for, and the environment must have

# What lies in a checkout and is no part of the project.
NO_SOURCE = shutil.ignore_patterns(
    ".git", ".venv*", ".*_cache", ".hypothesis", "__pycache__", "*.egg-info", "build", "dist",
    "dropin.cache", "_trial_temp*", ".coverage*",
)  # fmt: skip
NOT_TWISTEDS = shutil.ignore_patterns("__pycache__", "dropin.cache", "tutumwatch_plugin.py", "test")
OURS = re.compile(r"tutumwatch|__editable__|.*\.(?:pth|egg-link)$|__pycache__|[Tt]wisted$")

PLUGIN = "twisted/plugins/tutumwatch_plugin.py"
WANTED = (PLUGIN, "tutumwatch/config/tutorial.toml", "tutumwatch/py.typed", "tutumwatch/tap.py")
UNWANTED = ("twisted/__init__.py", "twisted/plugins/__init__.py")


def run(*command: str | Path, folder: Path) -> str:
    """Run a command and give what it printed; fail with that if the command does."""
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=COMMAND_MAX_SECONDS,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


class Environment:
    """A virtual environment with all that tutumwatch needs, in which it is not installed.

    :param folder: where to make it; it holds an empty folder ``elsewhere``, to run commands in.
    """

    def __init__(self, folder: Path) -> None:
        venv.create(folder / "env", symlinks=True)
        self.elsewhere = folder / "elsewhere"
        self.elsewhere.mkdir()
        self.python = folder / "env" / "bin" / "python"
        site_packages = next((folder / "env" / "lib").glob("python*/site-packages"))
        twisted_folder = Path(twisted.__file__).parent
        shutil.copytree(twisted_folder, site_packages / "twisted", ignore=NOT_TWISTEDS)
        links = folder / "links"
        links.mkdir()
        for path in twisted_folder.parent.iterdir():
            if not OURS.match(path.name):
                (links / path.name).symlink_to(path)
        (site_packages / "links.pth").write_text(f"{links}\n", encoding="utf-8")

    def run(self, *arguments: str | Path) -> str:
        """Run this environment's Python, from a folder that has nothing to do with it."""
        return run(self.python, "-I", *arguments, folder=self.elsewhere)

    def pip(self, *arguments: str | Path) -> None:
        """Run pip, which may neither ask a registry nor build elsewhere."""
        self.run("-m", "pip", "--disable-pip-version-check", *arguments)

    def install(self, *what: str | Path) -> None:
        """Install tutumwatch, and nothing that it needs."""
        self.pip("install", "--no-index", "--no-deps", "--no-build-isolation", *what)

    def listed_commands(self) -> list[str]:
        """Give the lines of `twistd --help` and of `twist --help` that name tutumwatch."""
        twistd = self.run("-c", "from twisted.scripts.twistd import run; run()", "--help")
        twist = self.run("-m", "twisted", "--help")
        lines = (twistd + twist).splitlines()
        return [line.split()[0] for line in lines if re.match(r"\s+tutumwatch\s", line)]


class PackagingTests(SynchronousTestCase):
    """The four ways of installing, tried on a copy of this checkout."""

    scratch: ClassVar[tempfile.TemporaryDirectory[str]]
    source: ClassVar[Path]
    wheel: ClassVar[Path]
    archive: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        """Build wheel and source archive once."""
        if int(version("setuptools").partition(".")[0]) < SETUPTOOLS_MIN:
            raise AssertionError(f"setuptools {SETUPTOOLS_MIN} is needed: pip install -e '.[dev]'")
        cls.scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.scratch.cleanup)
        cls.source = Path(cls.scratch.name, "source")
        shutil.copytree(ROOT, cls.source, ignore=NO_SOURCE)
        built = Path(cls.scratch.name, "built")
        run(sys.executable, "-m", "build", "-n", "-o", built, cls.source, folder=cls.source)
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
