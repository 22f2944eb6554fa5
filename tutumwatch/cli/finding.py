"""Finds what a command is about: a configuration, a store, and the watcher that runs with it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from tutumwatch.cli.terminal import visible
from tutumwatch.config.environment import Environment
from tutumwatch.config.load import load_configuration
from tutumwatch.config.mistakes import ConfigurationError
from tutumwatch.config.plans import Configuration
from tutumwatch.config.store import STORE_VARIABLE
from tutumwatch.control.client import NobodyAnswersError, NotRunningError, ask
from tutumwatch.control.wire import Question, Reply, socket_path
from tutumwatch.outbox.store import IN_MEMORY

CONFIG_OPTION = click.option(
    "-c", "--config", metavar="FILE", help="The configuration; without it the environment's."
)
_STORE_OPTION = click.option(
    "--store", metavar="PATH", help="The store itself; then no configuration is read."
)


def store_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options ``--config`` and ``--store``."""
    return CONFIG_OPTION(_STORE_OPTION(command))


def load(config: str | None) -> Configuration:
    """Load a configuration, or name its mistakes and end."""
    try:
        return load_configuration(config, Environment.of_process())
    except ConfigurationError as error:
        fail(str(error))


def find_store(config: str | None, store: str | None) -> str:
    """Give the path of the store, or say why there is none and end.

    A command that only needs the path needs no credentials: ``--store`` or TUTUMWATCH_STORE do.
    """
    if store is None and config is None:
        store = os.environ.get(STORE_VARIABLE)
    if not store:
        try:
            store = load_configuration(config, Environment.of_process()).store_path
        except ConfigurationError as error:
            fail(f"{error}\n--store PATH names the store itself, and needs no configuration")
    if store == IN_MEMORY:
        fail("the store is in the memory of the watcher: nobody else can read it")
    return str(Path(store).absolute())


def ask_watcher(path: str, question: Question) -> Reply:
    """Ask the watcher that runs with a store to do something, or say why it does not, and end."""
    try:
        reply = ask(socket_path(path), question)
    except NotRunningError:
        fail(
            f"no watcher runs with the store {visible(path)}; start it and say this again: "
            "only the watcher changes its store"
        )
    except NobodyAnswersError as problem:
        fail(visible(str(problem)))
    if reply.error:
        fail(visible(reply.error))
    return reply


def fail(sentence: str) -> NoReturn:
    """Say what is wrong, and end."""
    click.echo(sentence, err=True)
    sys.exit(1)
