"""The files that tutumwatch is deployed with, as far as they can be tried without Docker."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.deploy.files import (
    DEPLOY,
    ROOT,
    Instruction,
    health_command,
    read_dockerfile,
    read_unit,
    read_yaml,
)
from tutumwatch.config.environment import Environment
from tutumwatch.config.load import load_configuration
from tutumwatch.config.plans import Configuration
from tutumwatch.config.status import DEFAULT_LISTEN
from tutumwatch.config.store import state_folder

HOME = "/var/lib/tutumwatch"
UID = "10001"
EXPOSURE_MAX = 2.0
COMMAND_MAX_SECONDS = 30

SECRETS = {
    "tutum_auth": "ApiKey ops:0123",
    "user": "ops",
    "apikey": "0123",
    "slack_url": "https://hooks.slack.com/services/T/B/x",
    "pagerduty_key": "0123456789abcdef0123456789abcdef",
}


def run(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command and give what came of it."""
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=COMMAND_MAX_SECONDS,
        check=False,
        env={**os.environ, **variables},
    )


class DeployTestCase(SynchronousTestCase):
    """Says what the watcher makes of an environment."""

    def folder(self) -> Path:
        """Make a folder of this test's own."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return Path(folder.name)

    def configured_by(
        self, variables: Mapping[str, str], secrets_in: str | None = None
    ) -> Configuration:
        """Load the built-in configuration in an environment.

        :param secrets_in: where the variables say that the secrets lie, which here lie elsewhere.
        """
        folder = self.folder()
        for name, value in SECRETS.items():
            (folder / name).write_text(value, "utf-8")
        there = {
            name: value if secrets_in is None else value.replace(secrets_in, str(folder))
            for name, value in variables.items()
        }
        return load_configuration(None, Environment(there, folder))

    def assert_all_on(self, configuration: Configuration) -> None:
        """Fail unless a stream is watched and every notifier of the tutorial is on."""
        self.assertEqual([plan.name for plan in configuration.streams], ["main"])
        self.assertEqual(
            sorted(plan.name for plan in configuration.notifiers), ["console", "pagerduty", "slack"]
        )


class DockerfileTests(SynchronousTestCase):
    """What the Dockerfile promises; tests/deploy/test_image.py has the image itself."""

    def setUp(self) -> None:
        self.before, self.build, self.image = read_dockerfile()

    def named(self, name: str, stage: list[Instruction] | None = None) -> list[str]:
        """Give what follows each instruction of a name, in the last stage or another."""
        return [i.rest for i in (self.image if stage is None else stage) if i.name == name]

    def test_both_stages_stand_on_a_base_that_can_be_chosen(self) -> None:
        self.assertEqual(self.named("ARG", self.before), ["BASE=python:3.13-slim"])
        self.assertEqual(self.named("FROM", self.build), ["${BASE} AS build"])
        self.assertEqual(self.named("FROM"), ["${BASE}"])

    def test_a_base_needs_no_program_called_python(self) -> None:
        """Debian's has python3 alone; the environment that is made has both."""
        for stage in (self.build, self.image):
            for commands in self.named("RUN", stage):
                self.assertNotRegex(commands, r"(^|&& )python ")

    def test_the_last_stage_takes_the_environment_alone(self) -> None:
        """No source, no pip and no cache of pip's comes along."""
        self.assertEqual(self.named("COPY"), ["--from=build /opt/tutumwatch /opt/tutumwatch"])
        self.assertEqual(self.named("ADD"), [])
        (commands,) = self.named("RUN", self.build)
        self.assertIn("venv --without-pip /opt/tutumwatch", commands)
        self.assertIn("--no-cache-dir", commands)

    def test_the_list_of_plugins_is_written_after_all_is_installed(self) -> None:
        """A second later: Twisted writes it again if a plugin is not older, to the second."""
        (commands,) = self.named("RUN", self.build)
        self.assertRegex(
            commands, r"install .*&& sleep 1 && /opt/tutumwatch/bin/twistd --help >/dev/null$"
        )

    def test_it_runs_as_a_user_of_a_fixed_number(self) -> None:
        """After everything that root must do, so that nothing below runs as root."""
        self.assertEqual(self.named("USER"), [f"{UID}:{UID}"])
        names = [i.name for i in self.image]
        self.assertGreater(names.index("USER"), max(i for i, n in enumerate(names) if n == "RUN"))
        self.assertEqual(self.named("WORKDIR"), [HOME])

    def test_what_is_owed_lies_in_a_volume(self) -> None:
        """Made before the volume is declared, and the user's: else root would own a new one."""
        (volume,) = [i.words for i in self.image if i.name == "VOLUME"]
        self.assertEqual(volume, [HOME])
        names = [i.name for i in self.image]
        (made,) = [n for n, i in enumerate(self.image) if f"-m 0700 {HOME}" in i.rest]
        self.assertLess(made, names.index("VOLUME"))
        (variables,) = self.named("ENV")
        found = dict(word.split("=", 1) for word in variables.split())
        self.assertEqual(found["STATE_DIRECTORY"], HOME)
        self.assertEqual(state_folder(Environment(found, Path("/elsewhere"))), Path(HOME))

    def test_it_starts_in_exec_form_and_without_a_pid_file(self) -> None:
        """A shell in front would keep SIGTERM from us; `tutumwatch run` writes no pid file."""
        commands = [i.words for i in self.image if i.name in {"ENTRYPOINT", "CMD"}]
        self.assertEqual(commands, [["tutumwatch"], ["run"]])
        self.assertEqual(self.named("STOPSIGNAL"), ["SIGTERM"])

    def test_what_is_copied_exists_and_is_not_ignored(self) -> None:
        """The build sees what .dockerignore lets through, which is what the build copies."""
        lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        patterns = [line for line in lines if line and not line.startswith("#")]
        self.assertEqual(patterns[0], "*")
        let_through = {line[1:] for line in patterns if line.startswith("!")}
        copied = {name for rest in self.named("COPY", self.build) for name in rest.split()[:-1]}
        self.assertEqual(copied, let_through)
        self.assertEqual([name for name in copied if not (ROOT / name).exists()], [])


class HealthCheckCommandTests(SynchronousTestCase):
    """The command of the HEALTHCHECK, run here."""

    def setUp(self) -> None:
        *_, image = read_dockerfile()
        self.command = health_command(image)

    def answering(self, status: int) -> int:
        """Serve a status at every path, and give the port."""

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status if self.path == "/healthz" else 404)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        server = HTTPServer(("127.0.0.1", 0), Answer)
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server.server_port

    def exit_code(self, port: int, **variables: str) -> int:
        """Run the command against another port, and give its exit status."""
        default = re.search(r"tcp:(\d+):interface=([\d.]+)", DEFAULT_LISTEN)
        assert default is not None
        self.assertEqual(self.command[0], "python")
        *options, code = self.command[1:]
        self.assertIn(f"'{default[2]}', {default[1]}", code)
        return run(
            sys.executable, *options, code.replace(default[1], str(port)), **variables
        ).returncode

    def test_well(self) -> None:
        self.assertEqual(self.exit_code(self.answering(200)), 0)

    def test_stuck(self) -> None:
        self.assertEqual(self.exit_code(self.answering(503)), 1)

    def test_nobody_listens(self) -> None:
        self.assertEqual(self.exit_code(1), 1)

    def test_a_proxy_in_the_environment_is_not_asked(self) -> None:
        proxy = f"http://127.0.0.1:{self.answering(502)}"
        self.assertEqual(self.exit_code(self.answering(200), http_proxy=proxy, HTTP_PROXY=proxy), 0)


class UnitTests(DeployTestCase):
    """deploy/tutumwatch.service."""

    def setUp(self) -> None:
        self.unit = read_unit()

    def test_it_runs_in_the_foreground_without_a_pid_file(self) -> None:
        (start,) = self.unit["ExecStart"]
        self.assertEqual(
            start.split(),
            [
                "/opt/tutumwatch/bin/twistd",
                "-n",
                "--pidfile=",
                "--logger=tutumwatch.logs.text_observer",
                "tutumwatch",
            ],
        )

    def test_the_service_manager_is_told_and_waits_for_the_end(self) -> None:
        for name, value in (
            ("Type", "notify"),
            ("NotifyAccess", "main"),
            ("WatchdogSec", "60"),
            ("Restart", "on-failure"),
            ("TimeoutStopSec", "15"),
            ("StateDirectory", Path(HOME).name),
            ("StateDirectoryMode", "0700"),
        ):
            self.assertEqual(self.unit[name], [value], name)

    def test_every_credential_is_loaded_and_read(self) -> None:
        """By the names that the watcher knows: with them alone everything is on."""
        credentials = [value.partition(":")[0] for value in self.unit["LoadCredential"]]
        variables = dict(value.split("=", 1) for value in self.unit["Environment"])
        self.assertEqual([path.removeprefix("%d/") for path in variables.values()], credentials)
        self.assert_all_on(self.configured_by(variables, "%d"))

    def analyze(self, *arguments: str) -> str:
        """Have systemd-analyze look at the unit, with a program in it that exists here."""
        if shutil.which("systemd-analyze") is None:
            raise SkipTest("systemd-analyze is not installed")
        path = self.folder() / "tutumwatch.service"
        text = (DEPLOY / path.name).read_text("utf-8")
        path.write_text(text.replace("/opt/tutumwatch/bin/twistd", sys.executable), "utf-8")
        done = run("systemd-analyze", *arguments, path)
        if re.search(r"(unrecognized|invalid) option", done.stderr):
            raise SkipTest(f"this systemd-analyze does not know {arguments}")
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout + done.stderr

    def test_systemd_finds_nothing_wrong(self) -> None:
        self.assertEqual(self.analyze("verify"), "")

    def test_it_is_exposed_to_little(self) -> None:
        report = self.analyze("security", "--offline=yes", "--no-pager")
        found = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
        assert found is not None
        self.assertLessEqual(float(found[1]), EXPOSURE_MAX)


class StackFileTests(DeployTestCase):
    """The YAML files below deploy/."""

    if importlib.util.find_spec("yaml") is None:
        skip = "PyYAML is not installed; the dev extra brings it"

    def test_stack_secrets_are_ours_to_read_and_read(self) -> None:
        """Only uid 10001 may read them, and with them alone everything is on."""
        stack = read_yaml("stack.yml")
        (service,) = stack["services"].values()
        names = [secret["source"] for secret in service["secrets"]]
        for secret in service["secrets"]:
            self.assertEqual((secret["uid"], secret["gid"], secret["mode"]), (UID, UID, 0o400))
        self.assertEqual(stack["secrets"], {name: {"external": True} for name in names})
        paths = {v for k, v in service["environment"].items() if k.endswith("_FILE")}
        self.assertEqual(paths, {f"/run/secrets/{name}" for name in names})
        variables = without_settings(service["environment"])
        self.assert_all_on(self.configured_by(variables, "/run/secrets"))

    def test_stack_runs_one_at_a_time_on_a_labelled_node(self) -> None:
        """Two at a time would tell everything twice, and the volume is one node's."""
        (service,) = read_yaml("stack.yml")["services"].values()
        deploy = service["deploy"]
        self.assertEqual(deploy["replicas"], 1)
        self.assertEqual(deploy["update_config"]["order"], "stop-first")
        self.assertEqual(deploy["rollback_config"]["order"], "stop-first")
        self.assertEqual(deploy["placement"]["constraints"], ["node.labels.tutumwatch == yes"])
        self.assertEqual(deploy["restart_policy"]["condition"], "any")

    def test_stack_and_compose_confine_it_alike(self) -> None:
        """State in a volume, all else read-only; more time to stop than it takes."""
        for name in ("stack.yml", "compose.yml"):
            file = read_yaml(name)
            (service,) = file["services"].values()
            self.assertEqual(service["volumes"], [f"state:{HOME}"], name)
            self.assertEqual(file["volumes"], {"state": {}}, name)
            self.assertIs(service["read_only"], True, name)  # noqa: FBT003 - YAML's true is expected
            self.assertEqual(service["cap_drop"], ["ALL"], name)
            self.assertEqual(service["stop_grace_period"], "15s", name)

    def test_compose_passes_on_what_the_watcher_reads(self) -> None:
        """Credentials are asked for, the rest may be left out."""
        (service,) = read_yaml("compose.yml")["services"].values()
        needed = {n for n, v in service["environment"].items() if v.startswith(f"${{{n}:?")}
        self.assertEqual(needed, {"TUTUM_USERNAME", "TUTUM_TOKEN"})
        values = {
            "TUTUM_USERNAME": SECRETS["user"],
            "TUTUM_TOKEN": SECRETS["apikey"],
            "SLACK_URL": SECRETS["slack_url"],
            "PAGERDUTY_KEY": SECRETS["pagerduty_key"],
        }
        self.assertLessEqual(values.keys(), service["environment"].keys())
        self.assert_all_on(self.configured_by(values))
        self.assertEqual(service["build"], "..")
        self.assertEqual(service["restart"], "unless-stopped")

    def test_the_stack_file_of_the_platform(self) -> None:
        """The role "global" gives the container TUTUM_AUTH, and that is enough."""
        (service,) = read_yaml("tutum.yml").values()
        self.assertEqual(service["roles"], ["global"])
        self.assertEqual(service["image"], "tutumwatch")
        variables = dict(value.split("=", 1) for value in service["environment"])
        configuration = self.configured_by(variables | {"TUTUM_AUTH": SECRETS["tutum_auth"]})
        self.assertEqual([plan.name for plan in configuration.notifiers], ["console"])
        self.assertEqual(sorted(configuration.off), ["pagerduty", "slack"])

    def test_docker_takes_the_stack_file(self) -> None:
        if shutil.which("docker") is None or run("docker", "stack", "config", "--help").returncode:
            raise SkipTest("no docker command that knows `stack config`")
        done = run("docker", "stack", "config", "-c", DEPLOY / "stack.yml")
        self.assertEqual((done.returncode, done.stderr), (0, ""))


def without_settings(variables: Mapping[str, str]) -> dict[str, str]:
    """Leave out what a stack file takes from the environment in which it is deployed."""
    return {name: value for name, value in variables.items() if not value.startswith("${")}
