"""Reads the files that tutumwatch is deployed with."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import attrs

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"


@attrs.frozen
class Instruction:
    """An instruction of a Dockerfile: ``RUN``, and what follows with its lines joined."""

    name: str
    rest: str

    @property
    def words(self) -> list[str]:
        """The exec form, a JSON list of strings.

        :raises ValueError: for the shell form.
        """
        words: list[str] = json.loads(self.rest)
        return words


def read_dockerfile() -> list[list[Instruction]]:
    """Give the instructions of our Dockerfile: those before the first stage, then each stage's."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    code = re.sub(r"(?m)^\s*#.*\n", "", text).replace("\\\n", " ")
    stages: list[list[Instruction]] = [[]]
    for line in filter(None, map(str.strip, code.splitlines())):
        name, _, rest = line.partition(" ")
        if name == "FROM":
            stages.append([])
        stages[-1].append(Instruction(name, re.sub(r"\s+", " ", rest.strip())))
    return stages


def health_command(stage: list[Instruction]) -> list[str]:
    """Give the command of a stage's HEALTHCHECK."""
    (check,) = [i for i in stage if i.name == "HEALTHCHECK"]
    options, _, command = check.rest.partition(" CMD ")
    assert options, check
    return Instruction("CMD", command).words


def read_unit() -> dict[str, list[str]]:
    """Give the settings of our systemd unit, each with all of its values; sections do not matter."""
    settings: dict[str, list[str]] = {}
    for line in (DEPLOY / "tutumwatch.service").read_text("utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            settings.setdefault(name, []).append(value)
    return settings


def read_yaml(name: str) -> dict[str, Any]:
    """Give what a YAML file below deploy/ holds.

    :raises ImportError: without PyYAML, which only the ``dev`` extra brings.
    """
    import yaml

    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text("utf-8"))
    return loaded
