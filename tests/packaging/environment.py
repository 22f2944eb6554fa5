"""A virtual environment of a test's own, in which tutumwatch is not installed yet, and its wheel.

No network is needed: a virtual environment is made by hand, with a copy of Twisted (our plugin is
installed into its folder), and links to all else that the running Python has installed. A
tutumwatch that is installed there is left out, so that it cannot stand in for the one under test.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path

import twisted

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


def build(source: Path, to: Path, *options: str) -> None:
    """Build a copy of a project, with what is installed here.

    :param options: as ``--wheel``; without any, a source archive and a wheel.
    """
    if int(version("setuptools").partition(".")[0]) < SETUPTOOLS_MIN:
        raise AssertionError(f"setuptools {SETUPTOOLS_MIN} is needed: pip install -e '.[dev]'")
    run(sys.executable, "-m", "build", "-n", "-o", to, *options, source, folder=source)


def copy_checkout(to: Path, part: str = ".") -> None:
    """Copy this checkout, or a folder of it: building leaves things behind."""
    shutil.copytree(ROOT / part, to, ignore=NO_SOURCE)
