"""The ``tutumwatch`` command and its subcommands."""

from __future__ import annotations

import sys

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
    from twisted.python.usage import UsageError
    from twisted.scripts.twistd import (  # type: ignore[attr-defined]  # it takes them from its platform's module
        ServerOptions,
        runApp,
    )

    observer = "json_observer" if as_json else "text_observer"
    arguments = ["-n", "--pidfile=", f"--logger=tutumwatch.logs.{observer}", "tutumwatch"]
    arguments += [] if config is None else ["--config", config]
    options = ServerOptions()
    try:
        options.parseOptions(arguments)
    except UsageError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    runApp(options)  # pragma: no cover - it ends by a signal, watched from outside


@cli.command()
@_CONFIG
def check(config: str | None) -> None:
    """Read a configuration and name every mistake in it, a line each."""
    try:
        configuration = load_configuration(config, Environment.of_process())
    except ConfigurationError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    counts = ", ".join(
        f"{what}: {len(things)}"
        for what, things in (
            ("watched streams", configuration.streams),
            ("notifiers on", configuration.notifiers),
            ("message rules", configuration.messages),
            ("incident rules", configuration.incidents),
        )
    )
    click.echo(f"{configuration.source}: no mistakes ({counts})")
    for remark in configuration.remarks():
        click.echo(remark)
