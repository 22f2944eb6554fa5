"""The image itself, built and run by a real Docker.

Needs a daemon that the docker command reaches, and in TUTUMWATCH_TEST_BASE the name of an image
that can stand below ours: one with Python 3.11 or later and its venv module. The build, which gets
the host's network, asks the package index for what tutumwatch depends on.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tests.deploy.files import ROOT
from tests.live.programs import RunningProgram, start_program
from tests.live.running import LiveTestCase, until

BASE_VARIABLE = "TUTUMWATCH_TEST_BASE"
BASE = os.environ.get(BASE_VARIABLE, "")
IMAGE = f"tutumwatch-test:{os.getpid()}"

UID = 10001
ABOVE_BASE_MAX_BYTES = 120 * 1000 * 1000
STOP_MAX_SECONDS = 5.0
BUILD_MAX_SECONDS = 600
COMMAND_MAX_SECONDS = 60


def docker(*arguments: str, timeout_seconds: float = COMMAND_MAX_SECONDS) -> str:
    """Run the docker command, and give what it printed."""
    done = subprocess.run(
        ["docker", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"docker {arguments}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def why_not() -> str | None:
    """Say why there can be no image here, or give None."""
    if not BASE:
        return f"{BASE_VARIABLE} names no image to build on"
    if shutil.which("docker") is None:
        return "there is no docker command"
    asked = subprocess.run(
        ["docker", "image", "inspect", BASE],
        capture_output=True,
        text=True,
        timeout=COMMAND_MAX_SECONDS,
        check=False,
    )
    return f"no Docker that has the image {BASE}: {asked.stderr}" if asked.returncode else None


def inspect(kind: str, name: str) -> dict[str, Any]:
    """Give what Docker knows of an image or a container."""
    (known,) = json.loads(docker(kind, "inspect", name))
    assert isinstance(known, dict)
    return known


def setUpModule() -> None:
    """Build the image, once."""
    if ImageTestCase.skip is None:
        build = ("build", "--network", "host", "--build-arg", f"BASE={BASE}", "-t", IMAGE)
        docker(*build, str(ROOT), timeout_seconds=BUILD_MAX_SECONDS)


def tearDownModule() -> None:
    """Remove it again."""
    if ImageTestCase.skip is None:
        docker("image", "rm", IMAGE)


class ImageTestCase(TestCase):
    """Is skipped where there can be no image."""

    skip = why_not()


class ImageTests(ImageTestCase):
    """What the image is."""

    def test_it_adds_little_to_its_base(self) -> None:
        above = inspect("image", IMAGE)["Size"] - inspect("image", BASE)["Size"]
        self.assertLess(above, ABOVE_BASE_MAX_BYTES)

    def test_it_says_how_it_runs(self) -> None:
        config = inspect("image", IMAGE)["Config"]
        self.assertEqual(config["User"], f"{UID}:{UID}")
        self.assertEqual(config["Entrypoint"], ["tutumwatch"])
        self.assertEqual(config["Cmd"], ["run"])
        self.assertEqual(config["StopSignal"], "SIGTERM")
        self.assertEqual(config["Healthcheck"]["Test"][:2], ["CMD", "python"])

    def test_its_commands_are_those_of_the_command_line(self) -> None:
        credentials = ("-e", "TUTUM_USERNAME=ops", "-e", "TUTUM_TOKEN=0123")
        said = docker("run", "--rm", "--network", "none", *credentials, IMAGE, "check")
        self.assertIn("no mistakes (watched streams: 1, notifiers on: 1,", said)

    def test_its_twistd_knows_us(self) -> None:
        said = docker("run", "--rm", "--network", "none", "--entrypoint", "twistd", IMAGE, "--help")
        self.assertRegex(said, r"(?m)^ +tutumwatch +\S")
        self.assertRegex(said, r"(?m)^ +tutumbridge +\S")


class ContainerTests(LiveTestCase, ImageTestCase):
    """A container, in front of fakes on this machine, whose network it shares."""

    async def run_watcher(self, *options: str, **variables: str) -> RunningProgram:
        """Run a container until it is connected; ``docker run`` passes signals on to it."""
        self.name = f"tutumwatch-test-{os.getpid()}"
        changed = {**self.variables(), "TUTUMWATCH_STATUS": "", **variables}
        for name, value in changed.items():
            options += ("-e", f"{name}={value}")
        arguments = [shutil.which("docker") or "docker", "run", "--name", self.name]
        arguments += ["--network", "host", "--read-only", "--cap-drop", "ALL", *options, IMAGE]
        program = start_program(arguments, {"HOME": os.environ.get("HOME", "/")}, self.folder())
        self.addCleanup(self.remove, program)
        await program.says("Auth completed")
        self.assertRegex(program.printed, r"(?m)^\S+Z watching stream main at 127\.0\.0\.1:\d+; ")
        return program

    def remove(self, program: RunningProgram) -> Deferred[None]:
        """Remove the container, and wait for the command that ran it."""
        docker("rm", "--force", self.name)
        self.outputs.append(program.output)
        return program.when(lambda ended: ended.exit_code is not None)

    def health_in_docker(self) -> str:
        """Say what Docker thinks of the container's health."""
        return str(inspect("container", self.name)["State"]["Health"]["Status"])

    async def test_it_watches_is_healthy_and_ends_at_once(self) -> None:
        """On a read-only root, without capabilities, as nobody in particular; status 0."""
        program = await self.run_watcher("--health-interval", "1s")
        await until(lambda: self.health_in_docker() == "healthy", 30.0, "healthy")
        self.assertNotIn("plugin cache", program.output)
        self.assertEqual(program.complained, "")
        self.assertEqual(docker("exec", self.name, "id", "-u", "-n").strip(), "tutumwatch")
        self.assertLess(await program.end("TERM"), STOP_MAX_SECONDS)
        self.assertEqual(program.exit_code, 0)

    async def test_it_starts_again_after_a_kill(self) -> None:
        """Nothing that the first run left keeps the second from starting."""
        program = await self.run_watcher()
        docker("kill", "--signal", "KILL", self.name)
        await program.when(lambda ended: ended.exit_code == 137)
        docker("start", self.name)
        await self.tutum.when(lambda fake: fake.connection_count == 1)
        await until(
            lambda: docker("logs", self.name).count("Auth completed") == 2, 30.0, "connected again"
        )
        docker("stop", "-t", "10", self.name)
        self.assertEqual(inspect("container", self.name)["State"]["ExitCode"], 0)

    async def test_secrets_in_files(self) -> None:
        """As Swarm hands them out: below /run/secrets, for uid 10001 alone."""
        folder = self.folder()
        folder.chmod(0o755)
        variables: dict[str, str] = {}
        for name in ("TUTUM_TOKEN", "SLACK_URL", "PAGERDUTY_KEY"):
            path = folder / name.lower()
            path.write_text(self.variables()[name], "utf-8")
            self.give_to_container(path)
            variables |= {name: "", f"{name}_FILE": f"/run/secrets/{path.name}"}
        mount = f"type=bind,source={folder},target=/run/secrets,readonly"
        program = await self.run_watcher("--mount", mount, **variables)
        self.assertRegex(program.printed, r"notifiers on: console, slack, pagerduty")
        self.outputs.append(docker("inspect", self.name))
        await program.end("TERM")

    def give_to_container(self, path: Path) -> None:
        """Let the container's user read a file, and, if we may give it away, nobody else."""
        if os.getuid() == 0:
            path.chmod(0o400)
            os.chown(path, UID, UID)
        else:
            path.chmod(0o444)


class DemoContainerTests(ImageTestCase):
    """``docker run tutumwatch run --demo``, the first thing that anybody tries."""

    async def test_the_simulated_cloud(self) -> None:
        name = f"tutumwatch-demo-{os.getpid()}"
        arguments = [shutil.which("docker") or "docker", "run", "--name", name, "--rm"]
        arguments += ["--network", "host", "--read-only", IMAGE, "run", "--demo"]
        program = start_program(arguments, {"HOME": os.environ.get("HOME", "/")}, ROOT)
        self.addCleanup(program.end)
        await program.when(lambda p: re.search(r"watching \d+ stacks", p.printed) is not None)
        self.assertLess(await program.end("TERM"), STOP_MAX_SECONDS)
        self.assertEqual(program.exit_code, 0)
