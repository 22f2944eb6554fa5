"""What tests of the configuration share: files and environments of their own, and loading."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tutumwatch.config.environment import Environment
from tutumwatch.config.load import load_configuration
from tutumwatch.config.mistakes import ConfigurationError
from tutumwatch.config.plans import Configuration

NO_HOME = Path("/nonexistent")
CREDENTIALS = {"TUTUM_USERNAME": "ops", "TUTUM_TOKEN": "t0k3n"}


def set_environment(test: SynchronousTestCase, variables: Mapping[str, str]) -> None:
    """Make these the only variables of this process until the test ends."""
    before = dict(os.environ)

    def put_back() -> None:
        os.environ.clear()
        os.environ.update(before)

    test.addCleanup(put_back)
    os.environ.clear()
    os.environ.update(variables)


def environment_of(variables: Mapping[str, str]) -> Environment:
    """Give an environment without a home folder."""
    return Environment(variables, NO_HOME)


class FilesTestCase(SynchronousTestCase):
    """Gives a test files of its own."""

    def write(self, content: bytes | str) -> str:
        """Write a file and return its path."""
        path = self.folder() / "file"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def folder(self) -> Path:
        """Make a folder that is removed when the test ends."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return Path(folder.name)


class LoadingTestCase(FilesTestCase):
    """Loads configurations from texts."""

    def load(self, text: str, **variables: str) -> Configuration:
        """Load a configuration that has no mistake."""
        environment = environment_of(variables or CREDENTIALS)
        return load_configuration(self.write(text), environment)

    def mistakes(self, text: str, **variables: str) -> list[str]:
        """Give the mistakes in a text, each as ``LINE: WHERE: WHAT``."""
        environment = environment_of(variables or CREDENTIALS)
        path = self.write(text)
        error = self.assertRaises(ConfigurationError, load_configuration, path, environment)
        lines = str(error).splitlines()
        self.assertEqual(len(lines), len(error.mistakes))
        return [line.removeprefix(path).removeprefix(":").strip() for line in lines]

    def environment_mistakes(self, **variables: str) -> list[str]:
        """Give the mistakes in an environment without a file."""
        environment = environment_of(variables)
        error = self.assertRaises(ConfigurationError, load_configuration, None, environment)
        return str(error).splitlines()
