"""Tests of the ``tutumwatch`` command: as a command object, and as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from click.testing import CliRunner, Result

from tests.config.cases import CREDENTIALS, FilesTestCase, set_environment
from tutumwatch import __version__
from tutumwatch.cli.main import cli
from tutumwatch.config.tutum import NO_CREDENTIALS

GOOD = """\
[streams.main]
url = "ws://127.0.0.1:9/v1/events"
[status]
listen = "off"
[notifiers.console]
kind = "console"
[notifiers.slack]
kind = "slack"
url = "${SLACK_URL}"
optional = true
[[messages]]
name = "all"
match = {}
notify = ["console"]
"""
BAD = """\
[streams.main]
colour = 1
[notifiers.slack]
kind = "slak"
[[messages]]
name = "all"
match = { state = "Runing" }
notify = ["slack"]
"""


class RunTests(FilesTestCase):
    """``tutumwatch run``, as far as it comes before anything starts."""

    def invoke(self, *arguments: str, **variables: str) -> Result:
        """Run the command in an environment of its own."""
        set_environment(self, {"HOME": "/nonexistent", **variables})
        return CliRunner().invoke(cli, arguments)

    def test_run_ends_before_anything_starts(self) -> None:
        """The same lines as check's, and nothing of twistd's own usage."""
        path = self.write(BAD)
        checked = self.invoke("check", "-c", path, **CREDENTIALS)
        result = self.invoke("run", "-c", path, **CREDENTIALS)
        self.assertEqual(result.exit_code, 1)
        self.assertEqual((result.stdout, result.stderr), ("", checked.stderr))


class ProcessTests(FilesTestCase):
    """The command as it is installed."""

    def run_alone(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run ``python -m tutumwatch`` to its end."""
        return subprocess.run(
            [sys.executable, "-m", "tutumwatch", *arguments],
            env=self.variables(**variables),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def variables(self, **variables: str) -> dict[str, str]:
        """Give the environment of the process: none of ours but what finds the modules."""
        kept = {
            n: v for n, v in os.environ.items() if n in {"PATH", "PYTHONPATH"} or "COVERAGE" in n
        }
        return {"HOME": "/nonexistent", **kept, **variables}

    def test_version(self) -> None:
        ran = self.run_alone("--version")
        self.assertEqual((ran.returncode, ran.stdout), (0, f"tutumwatch, version {__version__}\n"))

    def test_the_console_script(self) -> None:
        """What pip makes calls the same function."""
        program = "from tutumwatch.__main__ import main; main()"
        ran = subprocess.run(
            [sys.executable, "-c", program, "--version"],
            env=self.variables(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual((ran.returncode, ran.stdout), (0, f"tutumwatch, version {__version__}\n"))

    def test_help(self) -> None:
        for option in ("--help", "-h"):
            ran = self.run_alone(option)
            self.assertEqual(ran.returncode, 0)
            for word in ("Usage:", "run", "check"):
                self.assertIn(word, ran.stdout)
        self.assertIn("--config FILE", self.run_alone("run", "--help").stdout)

    def test_run_with_mistakes_has_the_status_1(self) -> None:
        path = self.write(BAD)
        ran = self.run_alone("run", "--config", path, **CREDENTIALS)
        self.assertEqual((ran.returncode, ran.stdout), (1, ""))
        self.assertEqual(len(ran.stderr.splitlines()), 3)

    def test_run_without_credentials_has_the_status_1(self) -> None:
        ran = self.run_alone("run")
        self.assertEqual(ran.returncode, 1)
        self.assertEqual(ran.stderr, f"the environment: streams.main: {NO_CREDENTIALS}\n")

    def test_run_watches_until_it_is_told_to_stop(self) -> None:
        """In the foreground, without a pid file, with the configuration that was named."""
        for option, beginning in ((), ""), (("--json",), "{"):
            folder = self.folder()
            process = subprocess.Popen(
                [sys.executable, "-m", "tutumwatch", "run", *option, "-c", self.write(GOOD)],
                env=self.variables(**CREDENTIALS, PYTHONUNBUFFERED="1"),
                stdout=subprocess.PIPE,
                text=True,
                cwd=folder,
            )
            assert process.stdout is not None
            self.addCleanup(process.stdout.close)
            self.addCleanup(process.kill)
            line = next(line for line in process.stdout if "watching stream" in line)
            self.assertIn("main at 127.0.0.1:9", line)
            self.assertTrue(line.startswith(beginning))
            self.assertEqual(list(folder.iterdir()), [])
            process.terminate()
            process.communicate(timeout=60)
            self.assertEqual(process.returncode, -signal.SIGTERM)
