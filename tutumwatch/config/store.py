"""The ``[store]`` table, and where the store is without one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tutumwatch.config.environment import Environment
from tutumwatch.config.mistakes import Mistakes
from tutumwatch.config.plans import StreamPlan
from tutumwatch.config.tables import read_table
from tutumwatch.outbox.store import IN_MEMORY
from tutumwatch.settings import Settings

STORE_VARIABLE = "TUTUMWATCH_STORE"
FILE_NAME = "outbox.sqlite"
HASH_CHARS = 8


class StoreSettings(Settings, frozen=True, kw_only=True):
    """``[store]``: ``path`` is a file, or ":memory:" for a store that ends with the process."""

    path: str | None = None


def read_store(
    raw: Any,  # noqa: ANN401 - TOML
    streams: Sequence[StreamPlan],
    environment: Environment,
    mistakes: Mistakes,
    *,
    by_environment: bool,
) -> str:
    """Read the table and give the absolute path of the store, or ":memory:".

    Left out, it is what TUTUMWATCH_STORE says, else a file in the state directory: the one of
    the service manager, or the user's.

    :param by_environment: there is no configuration file: each platform and user has a file.
    """
    settings = read_table(StoreSettings, raw, ("store",), mistakes, environment) or StoreSettings()
    path = settings.path or environment.variables.get(STORE_VARIABLE)
    if path:
        return path if path == IN_MEMORY else str(Path(path).absolute())
    name = f"outbox-{_hash_of(streams)}.sqlite" if by_environment else FILE_NAME
    return str(state_folder(environment) / name)


def state_folder(environment: Environment) -> Path:
    """Give the folder for what must survive a restart."""
    variables = environment.variables
    # systemd gives several, separated by colons, to a unit that has several.
    given = variables.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    state = variables.get("XDG_STATE_HOME") or ""
    # A relative path there is to be ignored (XDG Base Directory Specification 0.8).
    home = Path(state) if Path(state).is_absolute() else environment.home / ".local" / "state"
    return home / "tutumwatch"


def _hash_of(streams: Sequence[StreamPlan]) -> str:
    """Tell apart what two environments watch; no credential is part of it."""
    told = "\n".join(f"{plan.url}\n{plan.credentials.account()}" for plan in streams)
    return hashlib.sha256(told.encode()).hexdigest()[:HASH_CHARS]
