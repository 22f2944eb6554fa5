"""Loads a configuration whole: a file, or the built-in one that follows the environment alone."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import attrs

from tutumwatch.config.environment import Environment
from tutumwatch.config.heartbeat import read_heartbeat
from tutumwatch.config.lines import scan_lines
from tutumwatch.config.mistakes import ConfigurationError, Mistake, Mistakes
from tutumwatch.config.notifiers import read_notifiers
from tutumwatch.config.plans import Configuration
from tutumwatch.config.rehearsal_reading import Surroundings
from tutumwatch.config.rehearsals import destinations_of_all, read_rehearsals
from tutumwatch.config.rules import GENERAL, read_rules
from tutumwatch.config.rules import TABLES as RULE_TABLES
from tutumwatch.config.status import read_status
from tutumwatch.config.store import read_store
from tutumwatch.config.streams import read_streams
from tutumwatch.config.values import describe
from tutumwatch.rules.notice import Destination
from tutumwatch.rules.vocabulary import suggestion

_SETTINGS = ("streams", "store", "status", "heartbeat", "notifiers")
# Nothing that runs reads them.
_TESTS = "tests"
TABLES = (*_SETTINGS, *RULE_TABLES, _TESTS)
TUTORIAL, DOCKER = "tutorial.toml", "docker.toml"
ENVIRONMENT = "the environment"
ID_CHARS = 12

_SYNTAX_LINE = re.compile(r" \(at line (\d+), (column \d+)\)$")


def load_configuration(
    path: str | None, environment: Environment, built_in: str = TUTORIAL
) -> Configuration:
    """Load a file, or without one a built-in configuration: TUTORIAL, or DOCKER.

    :raises ConfigurationError: with every mistake that is in it.
    """
    if path is None:
        text = resources.files("tutumwatch.config").joinpath(built_in).read_text("utf-8")
        # Lines of a file that its user never saw would be no help.
        configuration = _read(tomllib.loads(text), ENVIRONMENT, Mistakes(), environment)
    else:
        text = _text_of(path)
        configuration = _read(_parse(text, path), path, Mistakes(scan_lines(text)), environment)
    return attrs.evolve(configuration, id=hashlib.sha256(text.encode()).hexdigest()[:ID_CHARS])


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text("utf-8-sig")
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or "it is not UTF-8"
        raise ConfigurationError(path, [Mistake("", f"cannot be read: {reason}")]) from None


def _parse(text: str, path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        said = str(problem)
        line = int(found[1]) if (found := _SYNTAX_LINE.search(said)) else None
        what = _SYNTAX_LINE.sub(r" (\2)", said)
        raise ConfigurationError(path, [Mistake("", f"no TOML: {what}", line)]) from None


def _read(
    raw: Mapping[str, Any], source: str, mistakes: Mistakes, environment: Environment
) -> Configuration:
    for key in raw:
        if key not in TABLES and key not in GENERAL:
            known = f"; known are the tables {', '.join(TABLES)} and the keys {', '.join(GENERAL)}"
            near = suggestion(key, (*TABLES, *GENERAL))
            mistakes.add((key,), f"there is no such table or key{near}{known}")
    streams = read_streams(_tables(raw, "streams", mistakes), environment, mistakes)
    if raw.get("streams", {}) == {}:
        mistakes.add((), "no stream is named; add a [streams.main] table")
    notifier_tables = _tables(raw, "notifiers", mistakes)
    notifiers, off, passed_over = read_notifiers(notifier_tables, environment, mistakes)
    destinations = {
        plan.name: Destination(plan.name, plan.kind.escape, plan.kind.drops_orphans)
        for plan in notifiers
    }
    names = [stream.name for stream in streams]
    rules = read_rules(raw, destinations, tuple(notifier_tables), names, mistakes)
    # A test says the same wherever it is run, so there all notifiers are on.
    around = Surroundings(names, tuple(notifier_tables), rules.names)
    rehearsals = read_rehearsals(raw.get(_TESTS, []), around, mistakes)
    rehearsed = rules if rehearsals else None
    if off and rehearsals and not mistakes.found:
        everybody = destinations_of_all(notifier_tables, destinations)
        rehearsed = read_rules(raw, everybody, tuple(notifier_tables), names, Mistakes())
    configuration = Configuration(
        source=source,
        streams=tuple(streams),
        notifiers=tuple(notifiers),
        off=off,
        passed_over=tuple(passed_over),
        rules=rules,
        store_path=read_store(
            raw.get("store", {}),
            streams,
            environment,
            mistakes,
            by_environment=source == ENVIRONMENT,
        ),
        status=read_status(raw.get("status", {}), environment, mistakes),
        heartbeat=read_heartbeat(raw.get("heartbeat", {}), environment, mistakes),
        written={name: table for name, table in raw.items() if name not in {*_SETTINGS, _TESTS}},
        rehearsals=tuple(rehearsals),
        rehearsed=rehearsed,
    )
    if mistakes.found:
        raise ConfigurationError(source, mistakes.found)
    return configuration


def _tables(raw: Mapping[str, Any], name: str, mistakes: Mistakes) -> Mapping[str, Any]:
    tables = raw.get(name, {})
    if isinstance(tables, Mapping):
        return tables
    mistakes.add((name,), f"expected tables such as [{name}.main], got {describe(tables)}")
    return {}
