"""The ``tutumwatch`` command and its subcommands."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from tutumwatch import __version__
from tutumwatch.config.environment import Environment
from tutumwatch.config.load import load_configuration
from tutumwatch.config.mistakes import ConfigurationError

_CONFIG = click.option(
    "-c", "--config", metavar="FILE", help="The configuration; without it the environment's."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tutumwatch")
def cli() -> None:
    """Watch the platform that runs your containers and tell people what they need to know."""


@cli.command()
@_CONFIG
@click.option("--json", "as_json", is_flag=True, help="Log JSON, an object a line.")
def run(config: str | None, *, as_json: bool) -> None:
    """Watch, in the foreground and without a pid file, until stopped by SIGTERM or SIGINT."""
    from twisted.scripts.twistd import run as run_twistd

    observer = "json_observer" if as_json else "text_observer"
    sys.argv = ["twistd", "-n", "--pidfile=", f"--logger=tutumwatch.logs.{observer}", "tutumwatch"]
    sys.argv += [] if config is None else ["--config", config]
    run_twistd()


@cli.command()
@_CONFIG
def check(config: str | None) -> None:
    """Read a configuration and name every mistake in it."""
    try:
        configuration = load_configuration(config, Environment(os.environ, Path.home()))
    except ConfigurationError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    click.echo(
        f"{configuration.source}: no mistakes; "
        f"{len(configuration.streams)} streams, {len(configuration.notifiers)} notifiers on, "
        f"{len(configuration.messages)} message and {len(configuration.incidents)} incident rules"
    )
    for name, why in configuration.off.items():
        click.echo(f"notifier {name} is off: {why}")
